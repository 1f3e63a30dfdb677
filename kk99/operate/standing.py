"""What a venue holds at a sequence, by name: instruments, accounts, balances, orders, from an image's event rows.

Invariants: an engine's image and the state that replay makes of stored data are read by the same code, so both say the
same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgpack
import numpy as np

from kk99.decimals import Precision, amount_text
from kk99.errors import InputError
from kk99.schema import AccountState, EventKind, MarketState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kk99 import batch

_NAMED: Final = {
    EventKind.ASSET_DEFINED: "assets", EventKind.INSTRUMENT_DEFINED: "instruments",
    EventKind.INSTRUMENT_CHANGED: "instruments", EventKind.ACCOUNT_DEFINED: "accounts",
    EventKind.ACCOUNT_CHANGED: "accounts", EventKind.IDENTITY_DEFINED: "identities",
    EventKind.SESSION_DEFINED: "engine_sessions",
}  # fmt: skip


@dataclass(slots=True)
class Standing:
    """The venue as an image at `seq` shows it; documents by name, all else by number."""

    seq: int
    assets: dict[str, dict[str, Any]] = field(default_factory=dict)
    instruments: dict[str, dict[str, Any]] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    identities: dict[str, dict[str, Any]] = field(default_factory=dict)
    engine_sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    session_numbers: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By number: the epoch that is open, and the last client sequence taken in it."""
    market_states: dict[int, int] = field(default_factory=dict)
    last_prices: dict[int, int] = field(default_factory=dict)
    reference_prices: dict[int, int] = field(default_factory=dict)
    account_states: dict[int, int] = field(default_factory=dict)
    balances: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """By account and asset: available and held units."""
    orders_by_instrument: Counter[int] = field(default_factory=Counter)
    orders_by_account: Counter[int] = field(default_factory=Counter)
    sessions: int = 0

    @classmethod
    def of(cls, seq: int, frames: Iterable[batch.Events]) -> Standing:
        """Return the standing that an image's frames show."""
        made = cls(seq)
        for events in frames:
            made._take(events)
        return made

    def _take(self, events: batch.Events) -> None:
        kinds = events.rows["kind"]
        orders = events.rows[kinds == EventKind.ORDER_IMAGE]
        self.orders_by_instrument.update(orders["instrument_id"].tolist())
        self.orders_by_account.update(orders["account_id"].tolist())
        self.sessions += int(np.count_nonzero(kinds == EventKind.SESSION_IMAGE))
        for row in events.rows[kinds != EventKind.ORDER_IMAGE]:
            self._take_row(EventKind(int(row["kind"])), row, events.tail)

    def _take_row(self, kind: EventKind, row: Any, tail: Any) -> None:
        if kind in _NAMED:
            start = int(row["document_offset"])
            document = msgpack.unpackb(bytes(tail[start : start + int(row["document_size"])]))
            getattr(self, _NAMED[kind])[document["name"]] = document
        elif kind == EventKind.BALANCE_IMAGE:
            units = int(row["amount_units"]), int(row["notional_units"])
            self.balances[int(row["account_id"]), int(row["asset_id"])] = units
        elif kind == EventKind.INSTRUMENT_STATE_CHANGED:
            number = int(row["instrument_id"])
            self.market_states[number], self.last_prices[number] = int(row["state"]), int(row["price_ticks"])
        elif kind == EventKind.REFERENCE_PRICE_CHANGED:
            self.reference_prices[int(row["instrument_id"])] = int(row["price_ticks"])
        elif kind == EventKind.SESSION_IMAGE:
            self.session_numbers[int(row["order_id"])] = int(row["session_epoch"]), int(row["client_seq"])
        elif kind == EventKind.ACCOUNT_STATE_CHANGED:
            self.account_states[int(row["account_id"])] = int(row["state"])

    def instrument(self, name: str) -> dict[str, Any]:
        """Return an instrument's document, or raise `InputError` that names those there are."""
        return _found(self.instruments, name, "instrument")

    def account(self, name: str) -> dict[str, Any]:
        """Return an account's document, or raise `InputError` that names those there are."""
        return _found(self.accounts, name, "account")

    def identity(self, name: str) -> dict[str, Any]:
        """Return an identity's document, or raise `InputError` that names those there are."""
        return _found(self.identities, name, "session")

    def asset(self, name: str) -> dict[str, Any]:
        """Return an asset's document, or raise `InputError` that names those there are."""
        return _found(self.assets, name, "asset")

    def precision(self, instrument: dict[str, Any]) -> Precision:
        """Return how an instrument's prices and quantities are written."""
        return Precision.of(instrument, self.assets[instrument["base"]], self.assets[instrument["quote"]])

    def instrument_rows(self) -> list[dict[str, Any]]:
        """Return one entry for each instrument."""
        return [self._instrument_row(document) for document in self.instruments.values()]

    def account_rows(self) -> list[dict[str, Any]]:
        """Return one entry for each account, with its balances as decimal text."""
        return [self._account_row(document) for document in self.accounts.values()]

    def _instrument_row(self, document: dict[str, Any]) -> dict[str, Any]:
        number, precision = document["number"], self.precision(document)

        def price(ticks: int | None) -> str | None:
            return precision.price_text(ticks) if ticks else None

        return {
            "name": document["name"], "number": number,
            "state": MarketState(self.market_states.get(number, MarketState.PRE_OPEN)).name,
            "last_price": price(self.last_prices.get(number)),
            "reference_price": price(self.reference_prices.get(number)),
            "collar_ppm": document["collar_ppm"], "orders": self.orders_by_instrument[number],
        }  # fmt: skip

    def _account_row(self, document: dict[str, Any]) -> dict[str, Any]:
        number = document["number"]
        balances = {}
        for asset in self.assets.values():
            if (units := self.balances.get((number, asset["number"]))) is not None:
                available, held = (amount_text(part, asset["scale"]) for part in units)
                balances[asset["name"]] = {"available": available, "held": held}
        return {
            "name": document["name"], "number": number, "owner": document["owner"],
            "state": AccountState(self.account_states.get(number, AccountState.ACTIVE)).name,
            "orders": self.orders_by_account[number], "balances": balances,
        }  # fmt: skip


def _found(documents: dict[str, dict[str, Any]], name: str, what: str) -> dict[str, Any]:
    if name not in documents:
        raise InputError(f"the venue has no {what} {name!r}, only {', '.join(sorted(documents)) or 'none at all'}")
    return documents[name]
