"""A naive venue with one market that keeps to a trading schedule, checked after every command; for tests of days."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import CancelReason, CommandKind, EventKind, OrderType, RejectCode, Side, StateReason, TimeInForce
from tests.naive import commands as make
from tests.naive.model import Naive
from tests.naive.rows import completed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.naive.records import Instrument
    from tests.naive.rows import Item
    from tests.naive.states import State
    from tests.naive.venue import Event

Brief = tuple[int | str, ...]

BUY, SELL = Side.BUY, Side.SELL
ALICE, BOB, CAROL = range(schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 3)
WEEKDAYS = 0b0011111
DAY = (
    ("08:00:00", WEEKDAYS, "PRE_OPEN"),
    ("09:00:00", WEEKDAYS, "OPENING_CALL"),
    ("09:10:00", WEEKDAYS, "OPEN"),
    ("17:00:00", WEEKDAYS, "CLOSING_CALL"),
    ("17:10:00", WEEKDAYS, "CLOSED"),
)
MARKET = {"order_type": int(OrderType.MARKET)}

STATE = "venue changes"
ORDERED = "operator changes"
INDICATIVE = "indicative"
UNCROSSED = "uncrossed"
TRADE = "trade"
CANCELED = "canceled"
JOINED = "joined"
AUCTION = ("price_ticks", "qty_lots", "leaves_lots")
BRIEF = {
    EventKind.MARKET_STATE_CHANGED: (STATE, "state", "call_purpose", "state_reason", "expire_time_ns"),
    EventKind.INSTRUMENT_STATE_CHANGED: (ORDERED, "state", "call_purpose"),
    EventKind.AUCTION_INDICATIVE: (INDICATIVE, *AUCTION),
    EventKind.AUCTION_UNCROSSED: (UNCROSSED, *AUCTION),
    EventKind.TRADE: (TRADE, "order_id", "contra_order_id", "price_ticks", "qty_lots"),
    EventKind.ORDER_CANCELED: (CANCELED, "order_id", "reason", "leaves_lots"),
    EventKind.ORDER_TRIGGERED: (JOINED, "order_id"),
}
"""What tests name a kind of event by, and the fields that they look at; other kinds are told by their name alone."""
BY_SCHEDULE, AFTER_UNCROSS = StateReason.SCHEDULE, StateReason.UNCROSSED
EXPIRED, LINKED = CancelReason.EXPIRED, CancelReason.LINKED


def ns(text: str) -> int:
    """A time on a Wednesday (or some days later: "+2 09:00:00") as nanoseconds."""
    days, _, time = text.rpartition(" ")
    moment = datetime.fromisoformat(f"2026-11-18 {time}").replace(tzinfo=UTC)
    return (int(moment.timestamp()) + int(days or 0) * 86_400) * 1_000_000_000


def brief(events: Iterable[Event]) -> list[Brief]:
    """Events as what they are called and what matters of them."""
    result: list[Brief] = []
    for event in events:
        kind = EventKind(event["kind"])
        name, *fields = BRIEF.get(kind, (kind.name,))
        result.append((name, *(event.get(field, 0) for field in fields)))
    return result


def answer_to_order(events: Iterable[Event]) -> Event:
    """The event that tells whether an order was accepted, among those of the work before and after it."""
    return next(event for event in events if event.get("command_kind") == CommandKind.ORDER_NEW)


class Floor:
    """A venue in the early morning, with a market around 100 and three accounts that have plenty."""

    def __init__(self, schedule: str = "day", **fields: int) -> None:
        self.naive, self.time_ns = Naive(), ns("07:00:00")
        self.do(make.asset("USD"), make.asset("BTC"), make.trading_schedule("day", *DAY))
        limits: dict[str, int | str] = {"collar_ppm": 100_000, "reference_price_ticks": 100, **fields}
        self.do(make.instrument("BTC/USD", "BTC", "USD", trading_schedule=schedule, **limits))
        self.do(*[make.account(name) for name in ("alice", "bob", "carol")])
        self.do(*[make.deposit(account, asset, 1_000_000) for account in (ALICE, BOB, CAROL) for asset in (1, 2)])

    def do(self, *items: Item, at: str = "") -> list[Event]:
        """Apply commands, the first at the time given, and return what the last one caused."""
        self.time_ns = ns(at) if at else self.time_ns
        events = []
        for fields, document in items:
            stamp = {"seq": self.naive.seq + 1, "time_ns": self.time_ns}
            events = self.naive.apply(completed(fields | stamp), document)
            self.naive.check()
        return events

    def clock(self, at: str = "") -> list[Brief]:
        """Let time pass, and return what happened beside the tick."""
        events = self.do(make.command(CommandKind.CLOCK), at=at)
        return brief(event for event in events if event["kind"] != EventKind.CLOCK_TICKED)

    def order(
        self,
        account: int,
        side: int,
        qty_lots: int,
        price_ticks: int,
        time_in_force: int = TimeInForce.GTC,
        **more: int,
    ) -> int:
        """Enter an order, and return its id."""
        item = make.order_new(account, 1, side, qty_lots, price_ticks, time_in_force=time_in_force, **more)
        answer = answer_to_order(self.do(item))
        assert answer["kind"] == EventKind.ORDER_ACCEPTED, RejectCode(answer["reason"]).name
        return int(answer["order_id"])

    def refusal(self, time_in_force: int, price_ticks: int = 100, **more: int) -> RejectCode | None:
        """Try to buy ten lots, and return why that is refused, None if it is not."""
        item = make.order_new(CAROL, 1, BUY, 10, price_ticks, time_in_force=time_in_force, **more)
        answer = answer_to_order(self.do(item))
        return RejectCode(answer["reason"]) if answer["kind"] == EventKind.REJECTED else None

    def put(self, state: int) -> list[Brief]:
        """Put the market into a state as an operator."""
        return brief(self.do(make.instrument_state(1, state)))

    @property
    def instrument(self) -> Instrument:
        """The market's instrument."""
        return self.naive.instruments[1]

    @property
    def now(self) -> State:
        """The market's state and its call's purpose."""
        return self.instrument.market.now

    def book(self) -> list[list[tuple[int, int]]]:
        """(price, leaves) of the bids, and of the asks, each in price-time order."""
        sides = self.naive.book(1)
        return [[(price, leaves) for price, orders in sides[side] for _, leaves in orders] for side in (BUY, SELL)]

    def live(self) -> set[int]:
        """The ids of the live orders."""
        return set(self.naive.live)
