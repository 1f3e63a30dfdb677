"""What the naive model remembers: plain records of plain integers, and the three formulas they share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kk99.schema import PPM, RejectCode, Side
from tests.naive.book import Book

Key = tuple[int, int]
"""(account, asset) of a balance, or (lo, hi) of a client id."""

NO_TIER = {"maker_ppm": 0, "taker_ppm": 0, "deposit_ppm": 0, "withdrawal_ppm": 0}


class RejectError(Exception):
    """The command changes nothing, for this reason."""

    def __init__(self, code: RejectCode) -> None:
        super().__init__(code.name)
        self.code = code


def fee(amount: int, ppm: int) -> int:
    """Millionths of an amount, rounded down."""
    assert amount >= 0
    assert ppm >= 0
    return amount * ppm // PPM


@dataclass
class Asset:
    """An asset, and what ever came in and went out of it."""

    number: int
    document: dict[str, Any]
    deposited_units: int = 0
    withdrawn_units: int = 0


@dataclass
class Instrument:
    """An instrument: its document as it now stands, its two sides, its state."""

    number: int
    document: dict[str, Any]
    base: int
    quote: int
    tick_lot_units: int
    reference_price_ticks: int
    state: int = 0
    book: Book = field(default_factory=Book)

    def bounds(self) -> tuple[int, int] | None:
        """Lowest and highest price that the collar allows, None when it is not in force."""
        reference, collar_ppm = self.reference_price_ticks, self.document["collar_ppm"]
        if collar_ppm == 0 or reference == 0:
            return None
        width = reference * collar_ppm // PPM
        return reference - width, min(reference + width, self.document["max_price_ticks"])


@dataclass
class Account:
    """An account; its live orders stand in the order of their entry."""

    number: int
    document: dict[str, Any]
    state: int = 0
    orders: list[Order] = field(default_factory=list)


@dataclass
class Session:
    """A session; `taken` is the sequence at which each number of the open epoch was taken."""

    number: int
    document: dict[str, Any]
    epoch: int = 0
    last: int = 0
    taken: dict[int, int] = field(default_factory=dict)


@dataclass(eq=False)
class Order:
    """An order, from its acceptance to its end; `limit_ticks` bounds it also where `price_ticks` is 0 (market)."""

    order_id: int
    account_id: int
    instrument_id: int
    side: int
    order_type: int
    time_in_force: int
    self_trade: int
    flags: int
    price_ticks: int
    limit_ticks: int
    qty_lots: int
    leaves_lots: int
    is_budget: bool
    budget_units: int
    maker_ppm: int
    taker_ppm: int
    client_id: Key
    session_id: int
    entry_seq: int
    hold_units: int = 0
    notional_units: int = 0

    def hold(self, instrument: Instrument) -> int:
        """The hold by the formula, as the order now stands."""
        if self.is_budget:
            return self.budget_units
        if self.side == Side.SELL:
            return self.leaves_lots * int(instrument.document["lot_units"])
        notional = self.limit_ticks * self.leaves_lots * instrument.tick_lot_units
        return notional + fee(notional, max(self.maker_ppm, self.taker_ppm, 0))

    def hold_asset(self, instrument: Instrument) -> int:
        """The asset that the hold is in."""
        return instrument.base if self.side == Side.SELL else instrument.quote


@dataclass(frozen=True)
class Trade:
    """A trade as last corrected, with the rates of its time."""

    trade_id: int
    instrument_id: int
    side: int
    order_id: int
    contra_order_id: int
    account_id: int
    contra_account_id: int
    leaves_lots: int
    contra_leaves_lots: int
    taker_ppm: int
    maker_ppm: int
    burn_ppm: int
    tick_lot_units: int
    lot_units: int
    base: int
    quote: int
    price_ticks: int
    qty_lots: int
    is_busted: bool = False

    @property
    def notional_units(self) -> int:
        """Price times quantity."""
        return self.price_ticks * self.qty_lots * self.tick_lot_units

    @property
    def fee_units(self) -> int:
        """What the taker pays."""
        return fee(self.notional_units, max(self.taker_ppm, 0))

    @property
    def contra_fee_units(self) -> int:
        """What the maker pays: below zero it is a rebate, at most the taker's fee."""
        if self.maker_ppm >= 0:
            return fee(self.notional_units, self.maker_ppm)
        return -min(fee(self.notional_units, -self.maker_ppm), self.fee_units)

    @property
    def burned_units(self) -> int:
        """What is burned of the fees less rebates."""
        return fee(self.fee_units + self.contra_fee_units, self.burn_ppm)


@dataclass
class WorkItem:
    """One item of the pending work: an account's orders, or a lost session's slots (then `account_id` is 0)."""

    origin_seq: int
    reason: int
    account_id: int = 0
    instrument_id: int = 0
    side: int = 0
    session_id: int = 0
    passed: int = 0
    """Entry sequence or slot up to which all were visited."""
    last_slot: int | None = None
    """Where a session's item ends: known once the item is at the front."""
    canceled: int = 0
