"""Business dates for settlement calendars: an exchange's sessions, or the lines of a file."""

from __future__ import annotations

import datetime as dt
import warnings
from typing import TYPE_CHECKING

from kk99.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def of_exchange(mic: str, first: dt.date, last: dt.date) -> list[dt.date]:
    """Return the sessions of an exchange from one day to another, both included; raises `InputError`.

    Holidays are those that the package exchange_calendars knows.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its libraries, about one another
        try:
            import exchange_calendars  # noqa: PLC0415 - optional, and slow to import
        except ImportError as error:
            raise InputError(
                "exchange calendars are an extra: pip install 'kk99[calendars]', or give a --file"
            ) from error
        if mic not in exchange_calendars.get_calendar_names():
            raise InputError(f"{mic!r} is no exchange that exchange_calendars knows; XNYS, XLON and XETR are some")
        try:
            found = exchange_calendars.get_calendar(mic, start=first.isoformat(), end=last.isoformat())
        except (ValueError, exchange_calendars.errors.NoSessionsError) as error:
            raise InputError(f"{mic} from {first} to {last}: {error}") from error
    return [session.date() for session in found.sessions]


def of_file(path: Path) -> list[dt.date]:
    """Return the dates of a file, a line each as YYYY-MM-DD, rising; raises `InputError` that names the line."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    made: list[dt.date] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            day = dt.date.fromisoformat(line.strip())
        except ValueError:
            raise InputError(f"{path}, line {number}: {line.strip()!r} is no day such as 2026-03-31") from None
        if day < dt.date(1970, 1, 1) or (made and day <= made[-1]):
            raise InputError(f"{path}, line {number}: {day} must be after the day before it, and not before 1970")
        made.append(day)
    if not made:
        raise InputError(f"{path}: no dates")
    return made
