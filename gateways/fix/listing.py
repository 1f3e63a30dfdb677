"""What the venue lists, kept from its definitions: instruments with their precision, names of accounts and sessions.

Invariant: it is a function of the events followed, so that whoever follows them again reads the same texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgpack
import numpy as np

from kk99.decimals import Precision, amount_text
from kk99.schema import EventKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kk99.batch import Events

_DEFINITIONS: Final = (
    EventKind.ASSET_DEFINED,
    EventKind.INSTRUMENT_DEFINED,
    EventKind.INSTRUMENT_CHANGED,
    EventKind.ACCOUNT_DEFINED,
    EventKind.SESSION_DEFINED,
    EventKind.IDENTITY_DEFINED,
)
_AVERAGE_PLACES: Final = 6
"""Decimal places that an average price may have beyond those of its instrument."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument as a FIX session sees it."""

    instrument_id: int
    name: str
    quote: str
    """The asset in which prices, budgets and fees are."""
    precision: Precision
    tick_step: int = 1
    """A price is a multiple of so many ticks."""
    lot_step: int = 1
    min_qty_lots: int = 1

    @classmethod
    def of(cls, instrument: Mapping[str, Any], base: Mapping[str, Any], quote: Mapping[str, Any]) -> Instrument:
        """Return what the documents of an instrument and its two assets define."""
        precision = Precision.of(instrument, base, quote)
        steps = instrument["tick_step"], instrument["lot_step"], instrument["min_qty_lots"]
        return cls(instrument["number"], instrument["name"], instrument["quote"], precision, *steps)

    def price(self, price_ticks: int) -> bytes:
        """Return a price as text."""
        return self.precision.price_text(price_ticks).encode()

    def qty(self, qty_lots: int) -> bytes:
        """Return a quantity as text."""
        return self.precision.qty_text(qty_lots).encode()

    def amount(self, amount_units: int) -> bytes:
        """Return an amount of the quote asset as text."""
        return amount_text(amount_units, self.precision.quote_scale).encode()

    def average(self, notional: int, qty_lots: int) -> bytes:
        """Return the average price of fills, from the sum of price times quantity in ticks and lots.

        It is exact wherever it ends within `_AVERAGE_PLACES` more places than a price has; else rounded, half up.
        """
        if qty_lots <= 0:
            return b"0"
        places = self.precision.quote_scale + _AVERAGE_PLACES
        units = notional * self.precision.tick_units * 10**_AVERAGE_PLACES
        text = amount_text((2 * units + qty_lots) // (2 * qty_lots), places)
        return text.rstrip("0").rstrip(".").encode()


class Listing:
    """Instruments by number and name, accounts by name, session names by number."""

    def __init__(self) -> None:
        self.instruments: dict[int, Instrument] = {}
        self.by_name: dict[str, Instrument] = {}
        self.accounts: dict[str, int] = {}
        self.account_names: dict[int, str] = {}
        self.sessions: dict[int, str] = {}
        self.new_identities: list[Mapping[str, Any]] = []
        """Documents of identities in the order of their events; whoever takes them empties it."""
        self._assets: dict[str, Mapping[str, Any]] = {}

    def follow(self, events: Events) -> None:
        """Take the definitions among some events, or of an image."""
        for row in events.rows[np.isin(events.rows["kind"], _DEFINITIONS)]:
            offset, size = int(row["document_offset"]), int(row["document_size"])
            document = msgpack.unpackb(events.tail[offset : offset + size])
            self._define(int(row["kind"]), document)

    def _define(self, kind: int, document: Mapping[str, Any]) -> None:
        name, number = document["name"], document["number"]
        if kind == EventKind.ASSET_DEFINED:
            self._assets[name] = document
        elif kind == EventKind.ACCOUNT_DEFINED:
            self.accounts[name] = number
            self.account_names[number] = name
        elif kind == EventKind.SESSION_DEFINED:
            self.sessions[number] = name
        elif kind == EventKind.IDENTITY_DEFINED:
            self.new_identities.append(document)
        else:
            instrument = Instrument.of(document, self._assets[document["base"]], self._assets[document["quote"]])
            self.instruments[number] = self.by_name[name] = instrument
