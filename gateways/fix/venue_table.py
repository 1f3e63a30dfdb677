"""What compiled code knows of the venue: instruments, names of accounts, and which sessions are told what, as tables.

Invariant: a table says exactly what the `listing` does; what does not fit it (a name too long, too many decimal
places) is not in it, and is left to Python.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kk99 import schema

if TYPE_CHECKING:
    from collections.abc import Container

    import numpy.typing as npt

    from gateways.fix.listing import Instrument, Listing

NAME_WORDS: Final = 4
NAME_BYTES: Final = 8 * NAME_WORDS

# An instrument
I_FITS, I_TICK_UNITS, I_PRICE_SIZE, I_PRICE_PLACES, I_PRICE_MAX = range(5)
I_LOT_UNITS, I_QTY_SIZE, I_QTY_PLACES, I_QTY_MAX, I_BASE_SCALE, I_QUOTE_SCALE = range(5, 11)
I_NAME_LENGTH: Final = 11
I_NAME: Final = 12
I_QUOTE_LENGTH: Final = I_NAME + NAME_WORDS
I_QUOTE: Final = I_QUOTE_LENGTH + 1
I_WORDS: Final = I_QUOTE + NAME_WORDS
"""I_FITS: whether it is here. A price is `ticks * I_PRICE_SIZE` with I_PRICE_PLACES decimal places, at most
I_PRICE_MAX ticks; a quantity likewise; amounts have I_QUOTE_SCALE places."""

A_LENGTH: Final = 0
"""Bytes of an account's name; 0: it has none, UNFIT: it is too long."""
A_NAME: Final = 1
A_WORDS: Final = A_NAME + NAME_WORDS
UNFIT: Final = -1

UNKNOWN: Final = -1
"""A session whose name is not known yet."""
UNWANTED: Final = -2
SLOW: Final = 1 << 20
"""Added to the line of a session whose reports Python makes."""
assert schema.SESSIONS_MAX <= SLOW

D_NEWER: Final = 0
"""Whether a line's session asked for newer tags."""
D_PLACES: Final = 1
"""Decimal places of its times."""
D_WORDS: Final = 2

_NUMBER_MAX: Final = 10**18 - 1
_AVERAGE_PLACES: Final = 6
_PLACES_MAX: Final = 18


class Venue(NamedTuple):
    """The tables."""

    instruments: Any
    """int64[n, I_WORDS], by number."""
    accounts: Any
    """int64[n, A_WORDS], by number."""
    sessions: Any
    """int32[SESSIONS_MAX]: a session's line, by number: the number itself, UNKNOWN or UNWANTED."""
    lines: Any
    """int64[SESSIONS_MAX, D_WORDS]."""


class Dialect(NamedTuple):
    """How a session wants its reports."""

    newer: bool = False
    places: int = 3


def words_of(name: bytes) -> npt.NDArray[np.int64]:
    """Return a short name as words."""
    return np.frombuffer(name.ljust(NAME_BYTES, b"\0"), np.int64)


class VenueTables:
    """The tables of a listing; `sessions` are those that are told, each in its dialect."""

    def __init__(self, listing: Listing, sessions: Container[str]) -> None:
        self._listing = listing
        self._sessions = sessions
        self._dialects: dict[str, Dialect] = {}
        self._instruments: dict[int, Instrument] = {}
        self._accounts = self._numbers = 0
        """How many accounts and sessions of the listing are here."""
        self.venue = Venue(
            np.zeros((64, I_WORDS), np.int64),
            np.zeros((64, A_WORDS), np.int64),
            np.full(schema.SESSIONS_MAX, UNKNOWN, np.int32),
            np.tile(np.array(Dialect(), np.int64), (schema.SESSIONS_MAX, 1)),
        )

    def speak(self, session: str, dialect: Dialect) -> None:
        """Have a session told in a dialect from now on."""
        self._dialects[session] = dialect
        for number, name in self._listing.sessions.items():
            if name == session:
                self.venue.lines[number] = dialect

    def dialect(self, session: str) -> Dialect:
        """Return the dialect of a session."""
        return self._dialects.get(session, Dialect())

    def refresh(self) -> None:
        """Take what is new in the listing."""
        listing = self._listing
        for number, instrument in listing.instruments.items():
            if self._instruments.get(number) is not instrument:
                self._instruments[number] = instrument
                self._grow("instruments", number)
                self.venue.instruments[number] = row_of(instrument)
        for number, account in itertools.islice(listing.account_names.items(), self._accounts, None):
            self._grow("accounts", number)
            name = account.encode()
            row = self.venue.accounts[number]
            row[A_LENGTH] = len(name) if len(name) <= NAME_BYTES else UNFIT
            row[A_NAME:] = words_of(name[:NAME_BYTES])
        self._accounts = len(listing.account_names)
        for number, name_ in itertools.islice(listing.sessions.items(), self._numbers, None):
            self.venue.sessions[number] = number if name_ in self._sessions else UNWANTED
            self.venue.lines[number] = self.dialect(name_)
        self._numbers = len(listing.sessions)

    def _grow(self, which: str, number: int) -> None:
        table = getattr(self.venue, which)
        if number >= len(table):
            larger = np.zeros((2 * number, table.shape[1]), np.int64)
            larger[: len(table)] = table
            self.venue = self.venue._replace(**{which: larger})


def row_of(instrument: Instrument) -> npt.NDArray[np.int64]:
    """Return an instrument's row."""
    row = np.zeros(I_WORDS, np.int64)
    precision = instrument.precision
    name, quote = instrument.name.encode(), instrument.quote.encode()
    scales = precision.base_scale, precision.quote_scale
    sizes = precision.tick_units, precision.lot_units
    if max(len(name), len(quote)) > NAME_BYTES or max(*scales, scales[1] + _AVERAGE_PLACES) > _PLACES_MAX:
        return row
    if max(sizes) >= 1 << 40:
        return row
    row[I_FITS], row[I_TICK_UNITS], row[I_LOT_UNITS] = 1, precision.tick_units, precision.lot_units
    row[I_BASE_SCALE], row[I_QUOTE_SCALE] = scales
    row[I_PRICE_SIZE : I_PRICE_MAX + 1] = _written(precision.tick_units, precision.quote_scale)
    row[I_QTY_SIZE : I_QTY_MAX + 1] = _written(precision.lot_units, precision.base_scale)
    row[I_NAME_LENGTH], row[I_QUOTE_LENGTH] = len(name), len(quote)
    row[I_NAME : I_NAME + NAME_WORDS] = words_of(name)
    row[I_QUOTE : I_QUOTE + NAME_WORDS] = words_of(quote)
    return row


def _written(size_units: int, scale: int) -> tuple[int, int, int]:
    """Return size and decimal places of one tick or lot as it is written, and how many of them can be."""
    while scale and size_units % 10 == 0:
        size_units //= 10
        scale -= 1
    return size_units, scale, _NUMBER_MAX // size_units
