"""When trades settle: the settlement days and calendars of instruments, as documents gave them so far.

The rules are those of `docs/explanation/settlement-cycles.md`. A date is a number of days since 1970-01-01 (UTC).

Invariant: documents and trades are told in the order of their events.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import numpy.typing as npt


class Cycles:
    """The settlement cycle of each instrument, and the business dates of each calendar."""

    def __init__(self) -> None:
        """Know of none: everything settles at the trade."""
        self._terms: dict[int, tuple[int, str]] = {}
        self._dates: dict[str, list[int]] = {}
        self._found: dict[tuple[int, int], int] = {}
        """Value dates by instrument and day, until the next document."""

    def set_instrument(self, instrument_id: int, document: Mapping[str, Any]) -> None:
        """Take an instrument's document; one of before there were cycles has none, and settles at the trade."""
        self._terms[instrument_id] = document.get("settlement_days", 0), document.get("settlement_calendar", "")
        self._found.clear()

    def set_calendar(self, document: Mapping[str, Any]) -> None:
        """Take a calendar's document."""
        self._dates[document["name"]] = document["dates"]
        self._found.clear()

    def are_later(self, instrument_ids: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return whether instruments, (n,), settle after the trade, (n,) bool."""
        return np.isin(instrument_ids, [number for number, (days, _) in self._terms.items() if days])

    def value_date(self, instrument_id: int, day: int) -> int:
        """Return the date on which a trade of a day settles; 0: at the trade."""
        found = self._found.get((instrument_id, day))
        if found is None:
            days, calendar = self._terms[instrument_id]
            found = _later(self._dates[calendar] if calendar else (), day, days) if days else 0
            self._found[instrument_id, day] = found
        return found


def _later(dates: Sequence[int], day: int, days: int) -> int:
    """Return the business date so many after the first at or after a day; after the last date every day is one."""
    left = dates[bisect_left(dates, day) :]
    if days < len(left):
        return left[days]
    first_beyond = max(day, dates[-1] + 1) if dates else day
    return first_beyond + days - len(left)
