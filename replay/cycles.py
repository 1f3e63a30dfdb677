"""When trades settle: the settlement cycles and calendars that a log's documents gave its markets, at every moment.

Source: docs/explanation/settlement-cycles.md. A trade that found no slots for what it owes, which takes 2^20 - 2
obligations open at once, settled when it was made; that is not seen here.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

DAY_NS: Final = 86_400 * 1_000_000_000
Place = tuple[int, int]
"""Sequence and index of an event."""


class Cycles:
    """What each instrument's settlement days and calendar were, and each calendar's dates, from which event on."""

    def __init__(self) -> None:
        """Know of none."""
        self._terms: dict[int, list[tuple[Place, int, str]]] = {}
        self._calendars: dict[str, list[tuple[Place, list[int]]]] = {}

    def note_instrument(self, row: np.void, days: int, calendar: str) -> None:
        """An instrument's document, at its event, says so."""
        self._terms.setdefault(int(row["instrument_id"]), []).append((_place(row), days, calendar))

    def note_calendar(self, row: np.void, name: str, dates: list[int]) -> None:
        """A calendar has these dates from its event on."""
        self._calendars.setdefault(name, []).append((_place(row), dates))

    def value_date(self, trade: np.void) -> int:
        """Return the day since 1970 on which a trade settles, 0 if it did when it was made."""
        terms, place = self._terms[int(trade["instrument_id"])], _place(trade)
        _, days, calendar = terms[bisect_right(terms, place, key=lambda one: one[0]) - 1]
        if days == 0:
            return 0
        today = int(trade["time_ns"]) // DAY_NS
        if not calendar:
            return today + days
        known = self._calendars[calendar]
        return nth_date(known[bisect_right(known, place, key=lambda one: one[0]) - 1][1], today, days)


def nth_date(dates: Sequence[int], today: int, days: int) -> int:
    """Return the business date so many after the first one from today on; after the last date every day is one."""
    at = bisect_left(dates, today)
    if at + days < len(dates):
        return dates[at + days]
    return max(today, dates[-1] + 1) + at + days - len(dates)


def date_text(date: int) -> str:
    """Return a day since 1970 as ISO 8601, or as a number where the calendar has no name for it."""
    first = dt.date(1970, 1, 1).toordinal()
    if date > dt.date.max.toordinal() - first:
        return f"day {date}"
    return dt.date.fromordinal(first + date).isoformat()


def _place(row: np.void) -> Place:
    return int(row["cause_seq"]), int(row["index"])
