"""What the naive model remembers: plain records of plain integers, and the formulas they share."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kk99.schema import PPM, MarketState, OrderType, RejectCode, Side
from tests.naive.book import Book
from tests.naive.states import Market

if TYPE_CHECKING:
    from tests.naive.breaker import Breaker
    from tests.naive.releasing import Schedule

Key = tuple[int, int]
"""(account, asset) of a balance, or (lo, hi) of a client id."""

NO_TIER = {"maker_ppm": 0, "taker_ppm": 0, "deposit_ppm": 0, "withdrawal_ppm": 0}
TRAILING = {OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT}
MARKET_ONCE_TRIGGERED = {OrderType.STOP, OrderType.MARKET_IF_TOUCHED, OrderType.TRAILING_STOP}
LIMIT_ONCE_TRIGGERED = {OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED, OrderType.TRAILING_STOP_LIMIT}
DORMANT = MARKET_ONCE_TRIGGERED | LIMIT_ONCE_TRIGGERED
"""Types of orders that wait for a trigger; once triggered they are of another type."""


class RejectError(Exception):
    """The command changes nothing, for this reason."""

    def __init__(self, code: RejectCode) -> None:
        super().__init__(code.name)
        self.code = code


def refuse_if(condition: object, code: RejectCode) -> None:
    """Reject the command if the condition holds."""
    if condition:
        raise RejectError(code)


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


Reach = dict[int, tuple[int, int]]
"""For each source that had a price: its lowest and its highest."""


@dataclass
class Walk:
    """Where a walk through a list of trailing orders stands."""

    source: int
    side: int
    serial: int
    """Of the last order that followed: older ones come next."""


@dataclass(eq=False)
class Instrument:
    """An instrument: its document as it now stands, its market, and the orders of it that rest or wait."""

    number: int
    document: dict[str, Any]
    base: int
    quote: int
    tick_lot_units: int
    reference_price_ticks: int
    market: Market = field(default_factory=Market)
    book: Book = field(default_factory=Book)
    dormant: list[Order] = field(default_factory=list)
    """Orders that wait for a trigger, those at one price of one queue in the order of the queue."""
    entering: list[Order] = field(default_factory=list)
    """Take-profit legs that would have crossed the book, first come first."""
    waiting: list[Order] = field(default_factory=list)
    """Orders that wait for the closing call, first come first."""
    scheduled: list[Order] = field(default_factory=list)
    """Orders that are worked off by a schedule."""
    last_price_ticks: int = 0
    index_price_ticks: int = 0
    path: list[int] = field(default_factory=list)
    """Prices of the trades since the last settling."""
    traded_lots: int = 0
    """Lots of the trades since the last settling."""
    volume_lots: int = 0
    """Lots of all trades ever, whatever became of them."""
    breaker: Breaker | None = None
    busy_origin: int = 0
    """`origin_seq` of what made the instrument busy."""
    reach: Reach | None = None
    targets: Reach = field(default_factory=dict)
    """How far trailing orders are to follow."""
    walk: Walk | None = None

    @property
    def state(self) -> int:
        """The market's state."""
        return self.market.now.state

    @property
    def is_open(self) -> bool:
        """Whether the market trades continuously."""
        return self.state == MarketState.OPEN

    def bounds(self) -> tuple[int, int] | None:
        """Lowest and highest price that the collar allows, None when it is not in force."""
        reference, collar_ppm = self.reference_price_ticks, self.document["collar_ppm"]
        if collar_ppm == 0 or reference == 0:
            return None
        width = reference * collar_ppm // PPM
        return reference - width, min(reference + width, self.document["max_price_ticks"])

    def cap(self, trigger_price_ticks: int) -> int:
        """The most that a market buy set off at this trigger may pay, as it stands now."""
        capped = trigger_price_ticks + trigger_price_ticks * int(self.document["collar_ppm"]) // PPM
        return min(capped, int(self.document["max_price_ticks"]))


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


class Place(enum.Enum):
    """Where a live order is."""

    NOWHERE = "meeting the book, or gone"
    BOOK = "at rest"
    DORMANT = "waiting for its trigger"
    ENTERING = "waiting to meet the book"
    WAITING = "waiting for the closing call"
    SCHEDULED = "worked off by a schedule"


@dataclass(eq=False)
class Order:
    """An order, from its acceptance to its end.

    `limit_ticks` bounds it, and is where it rests, also where `price_ticks` is 0 (market); `hold_price_ticks` is what a
    buy holds by.
    """

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
    hold_price_ticks: int
    qty_lots: int
    leaves_lots: int
    maker_ppm: int
    taker_ppm: int
    client_id: Key
    session_id: int
    entry_seq: int
    is_budget: bool = False
    budget_units: int = 0
    serial: int = 0
    """Numbers all orders in the order of their entry."""
    place: Place = Place.NOWHERE
    hold_units: int = 0
    notional_units: int = 0
    expire_time_ns: int = 0
    timer: int = 0
    """The number of the timer that ends it, 0 is none."""
    min_qty_lots: int = 0
    display_qty_lots: int = 0
    refill_qty_lots: int = 0
    shown_lots: int = 0
    """Of an iceberg at rest: what others can meet."""
    trigger: int = 0
    trigger_price_ticks: int = 0
    trail: int = 0
    trail_unit: int = 0
    extreme_ticks: int = 0
    """Of a trailing order: the price that it follows."""
    linked: Order | None = None
    """Of an OCO's leg: the other leg."""
    parent_order_id: int = 0
    """Of a bracket's exits: the entry; of a child: its parent."""
    stop_limit_price_ticks: int = 0
    take_profit_price_ticks: int = 0
    exit: Order | None = None
    """Of a bracket: the take-profit leg that was armed last."""
    schedule: Schedule | None = None
    """Of a scheduled order."""

    @property
    def is_dormant(self) -> bool:
        """Whether it waits for a trigger."""
        return self.order_type in DORMANT

    @property
    def is_trailing(self) -> bool:
        """Whether its trigger follows a price."""
        return self.order_type in TRAILING

    @property
    def met_lots(self) -> int:
        """What an aggressor can meet of it at rest."""
        return self.shown_lots if self.display_qty_lots else self.leaves_lots

    def hold(self, instrument: Instrument) -> int:
        """The hold by the formula, as the order now stands."""
        if self.is_budget:
            return self.budget_units
        if self.is_dormant and self.linked is not None:
            return 0
        if self.side == Side.SELL:
            return self.leaves_lots * int(instrument.document["lot_units"])
        notional = self.hold_price_ticks * self.leaves_lots * instrument.tick_lot_units
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
    value_date: int = 0
    """When it settles; 0: it did at once."""

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
class Obligation:
    """What the venue owes an account, netted over all trades of one asset and one value date."""

    account_id: int
    asset_id: int
    value_date: int
    receivable_units: int = 0
    has_failed: bool = False

    @property
    def key(self) -> tuple[int, int, int]:
        """Account, asset and value date."""
        return self.account_id, self.asset_id, self.value_date


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
    """Entry serial or slot up to which all were visited."""
    last_slot: int | None = None
    """Where a session's item ends: known once the item is at the front."""
    canceled: int = 0
