"""The naive model's state: who is there, who owns what, which orders live, and the events of the command under way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, NamedTuple

from kk99 import schema
from kk99.schema import CancelReason, CommandKind, EventKind, RejectCode, Side, TimeInForce
from tests.naive.clock import Timers, Wants
from tests.naive.records import (
    NO_TIER,
    Account,
    Asset,
    Instrument,
    Key,
    Order,
    Place,
    RejectError,
    Session,
    Trade,
    WorkItem,
)
from tests.naive.settling import Obligations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.naive.breaker import Breaker, Trip
    from tests.naive.groups import Group

Event = dict[str, Any]
"""An event's fields that are not zero, by name; `document` holds the bytes of its document."""
Command = dict[str, int]
"""All fields of a command's row by name."""

SESSIONLESS = (
    EventKind.TRADE,
    EventKind.TRADE_BUSTED,
    EventKind.TRADE_CORRECTED,
)
"""Kinds that do not say which session's command caused them; nor do events of pending work."""


OF_ASSETS = {CommandKind.DEPOSIT, CommandKind.WITHDRAW, CommandKind.SETTLE, CommandKind.SETTLEMENT_PENALTY}
"""Commands whose row names an asset where others have an instrument."""
REPEATED = (
    "account_id",
    "instrument_id",
    "side",
    "price_ticks",
    "qty_lots",
    "amount_units",
    "client_id_lo",
    "client_id_hi",
)


class Step(NamedTuple):
    """One step of the pending work; a free one of the queue or of visits is done also when no units are left."""

    do: Callable[[], int]
    """Does it and returns the units that it cost."""
    origin_seq: int
    is_free: bool = False


class Venue(ABC):
    """All that the model knows between two commands; empty at first."""

    def __init__(self) -> None:
        self.seq = 0
        self.time_ns = 0
        self.assets: dict[int, Asset] = {}
        self.schedules: dict[str, dict[str, Any]] = {}
        self.trading_schedules: dict[str, dict[str, Any]] = {}
        self.identities: dict[str, dict[str, Any]] = {}
        self.instruments: dict[int, Instrument] = {}
        self.accounts: dict[int, Account] = {}
        self.sessions: dict[int, Session] = {}
        self.available: defaultdict[Key, int] = defaultdict(int)
        self.held: defaultdict[Key, int] = defaultdict(int)
        self.live: dict[int, Order] = {}
        self.slots: list[Order | None] = [None]
        self.generations: list[int] = [0]
        self.free_slots: list[int] = []
        self.by_client_id: dict[tuple[int, Key], Order] = {}
        self.ended: deque[tuple[int, Key]] = deque()
        self.ended_ids: set[tuple[int, Key]] = set()
        self.trades: dict[int, Trade] = {}
        self.last_trade_id = 0
        self.last_serial = 0
        self.work: deque[WorkItem] = deque()
        self.busy: list[Instrument] = []
        self.breakers: dict[int, Breaker] = {}
        self.groups: dict[int, Group] = {}
        self.calendars: dict[str, dict[str, Any]] = {}
        self.obligations = Obligations()
        self.halting: list[Group] = []
        """Market groups whose breakers are being visited, first halted first."""
        self.timers = Timers()
        self.events: list[Event] = []
        self.command: dict[str, int] = {}
        self.work_origin: int | None = None
        """`origin_seq` of the pending work under way, None while the command itself is."""
        self.wants_round = False
        """Whether the command asks for another round of pending work when it is done."""

    # Events -----------------------------------------------------------------------------------------------------------

    def emit(self, kind: EventKind, **fields: Any) -> None:
        """Add an event of the command, or of the pending work, under way."""
        command, is_work = self.command, self.work_origin is not None
        event: Event = {"kind": int(kind), "cause_seq": self.seq, "time_ns": self.time_ns, "index": len(self.events)}
        event["origin_seq"] = self.origin_seq
        event["command_kind"] = 0 if is_work else command["kind"]
        if not is_work and kind not in SESSIONLESS:
            for name in ("client_seq", "session_id", "session_epoch"):
                event[name] = command[name]
        event.update(fields)
        self.events.append({name: value for name, value in event.items() if value})

    @property
    def origin_seq(self) -> int:
        """The sequence of the command that set off what is now done."""
        return self.seq if self.work_origin is None else self.work_origin

    def make_busy(self, instrument: Instrument) -> None:
        """Put an instrument at the end of the list of busy ones, if it is not there."""
        if instrument not in self.busy:
            self.busy.append(instrument)
            instrument.busy_origin = self.origin_seq

    @property
    def has_steps(self) -> bool:
        """Whether groups or busy instruments have steps to do."""
        return bool(self.halting or self.busy)

    @abstractmethod
    def halt(self, instrument: Instrument, trip: Trip) -> None:
        """Halt a market because of what its breaker measured."""

    # Who is there -----------------------------------------------------------------------------------------------------

    def account(self, number: int) -> Account:
        """The account of that number, or ACCOUNT_UNKNOWN."""
        account = self.accounts.get(number)
        if account is None:
            raise RejectError(RejectCode.ACCOUNT_UNKNOWN)
        return account

    def asset(self, number: int) -> Asset:
        """The asset of that number, or ASSET_UNKNOWN."""
        asset = self.assets.get(number)
        if asset is None:
            raise RejectError(RejectCode.ASSET_UNKNOWN)
        return asset

    def instrument(self, number: int) -> Instrument:
        """The instrument of that number, or INSTRUMENT_UNKNOWN."""
        instrument = self.instruments.get(number)
        if instrument is None:
            raise RejectError(RejectCode.INSTRUMENT_UNKNOWN)
        return instrument

    def rates(self, schedule: str, account: Account) -> dict[str, int]:
        """Today's rates of a schedule (by name, "" is none) for an account."""
        if not schedule:
            return NO_TIER
        rates: dict[str, int] = self.schedules[schedule]["tiers"][account.document["tier"]]
        return rates

    def burn_ppm(self, schedule: str) -> int:
        """Today's burn share of a schedule."""
        return int(self.schedules[schedule]["burn_ppm"]) if schedule else 0

    # Money ------------------------------------------------------------------------------------------------------------

    def credit(self, account: int, asset: int, amount: int) -> None:
        """Add to (or, below zero, take from) what an account has available."""
        self.available[account, asset] += amount
        assert self.available[account, asset] >= 0, "an available balance is negative"

    def rehold(self, order: Order) -> None:
        """Make an order's hold what the formula says; the difference comes from, or goes to, the available balance."""
        instrument = self.instruments[order.instrument_id]
        key = order.account_id, order.hold_asset(instrument)
        more = order.hold(instrument) - order.hold_units
        self.held[key] += more
        order.hold_units += more
        self.credit(*key, -more)

    # Orders -----------------------------------------------------------------------------------------------------------

    def take_slot(self) -> int:
        """The order id for a new order."""
        if self.free_slots:
            slot = self.free_slots.pop()
        else:
            slot = len(self.slots)
            self.slots.append(None)
            self.generations.append(0)
        self.generations[slot] += 1
        return self.generations[slot] << schema.ORDER_SLOT_BITS | slot

    def enlist(self, order: Order) -> None:
        """Make an order live, under a new id."""
        order.order_id = self.take_slot()
        self.last_serial += 1
        order.serial = self.last_serial
        self.live[order.order_id] = order
        self.slots[order.order_id & (1 << schema.ORDER_SLOT_BITS) - 1] = order
        self.accounts[order.account_id].orders.append(order)
        if order.client_id != (0, 0):
            self.by_client_id[order.account_id, order.client_id] = order

    def has_room(self, count: int) -> bool:
        """Whether so many more orders can live, and what they may come to be owed has room."""
        return len(self.live) + count < schema.ORDERS_MAX and self.obligations.takes_orders

    def put(self, order: Order, place: Place) -> None:
        """Take an order from where it is, and put it at the back of another place."""
        instrument = self.instruments[order.instrument_id]
        lists = {
            Place.DORMANT: instrument.dormant,
            Place.ENTERING: instrument.entering,
            Place.WAITING: instrument.waiting,
            Place.SCHEDULED: instrument.scheduled,
        }
        if order.place == Place.BOOK:
            instrument.book.remove(order)
        elif order.place != Place.NOWHERE:
            lists[order.place].remove(order)
        order.place = place
        if place == Place.BOOK:
            order.shown_lots = min(order.display_qty_lots, order.leaves_lots)
            instrument.book.add(order)
        elif place != Place.NOWHERE:
            lists[place].append(order)

    def set_expiry(self, order: Order) -> None:
        """Set the timer of an order that lives and has a date."""
        if order.time_in_force == TimeInForce.GTD and order.order_id in self.live:
            order.timer = self.timers.set(order.expire_time_ns, Wants.EXPIRY, order.order_id)

    def end(self, order: Order) -> None:
        """End an order: nothing is held for it any more, its slot is free, its client id is in the window."""
        self.put(order, Place.NOWHERE)
        self.timers.drop(order.timer)
        order.timer = 0
        if order.schedule is not None:
            self.timers.drop(order.schedule.timer)
            order.schedule.timer = 0
        order.leaves_lots = order.budget_units = 0
        self.rehold(order)
        assert order.hold_units == 0
        slot = order.order_id & (1 << schema.ORDER_SLOT_BITS) - 1
        del self.live[order.order_id]
        self.slots[slot] = None
        self.free_slots.append(slot)
        self.accounts[order.account_id].orders.remove(order)
        self.retire_client_id(order)

    def retire_client_id(self, order: Order) -> None:
        """Move an order's client id from the live ones into the window of ended ones."""
        if order.client_id == (0, 0):
            return
        key = order.account_id, order.client_id
        del self.by_client_id[key]
        self.ended.append(key)
        self.ended_ids.add(key)
        if len(self.ended) > schema.CLIENT_ID_WINDOW:
            self.ended_ids.remove(self.ended.popleft())

    def cancel(self, order: Order, reason: CancelReason) -> None:
        """Cancel what is left of an order, and then the order that it is linked to."""
        self.emit(
            EventKind.ORDER_CANCELED,
            **identity(order),
            qty_lots=order.qty_lots,
            leaves_lots=order.leaves_lots,
            reason=int(reason),
        )
        other = unlink(order)
        self.end(order)
        if other is not None:
            self.cancel(other, CancelReason.LINKED)

    def emit_order(self, kind: EventKind, order: Order, flags: int) -> None:
        """ORDER_ACCEPTED, ORDER_REPLACED or ORDER_TRIGGERED, with the whole order."""
        self.emit(
            kind,
            **identity(order),
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            self_trade=order.self_trade,
            flags=flags,
            qty_lots=order.qty_lots,
            leaves_lots=order.leaves_lots,
            amount_units=order.hold_units,
        )

    def emit_change(self, kind: EventKind, order: Order, reason: CancelReason) -> None:
        """ORDER_REDUCED or ORDER_RESIZED: what an order has come to."""
        self.emit(
            kind,
            **identity(order),
            qty_lots=order.qty_lots,
            leaves_lots=order.leaves_lots,
            amount_units=order.hold_units,
            reason=int(reason),
        )


def repeated(command: Command) -> dict[str, int]:
    """The fields of a command that an event repeats which says no more of it."""
    fields = {name: command[name] for name in REPEATED}
    if command["kind"] in OF_ASSETS:
        fields["asset_id"] = fields.pop("instrument_id")
    if not command["flags"] & schema.Flag.TARGET_CLIENT_ID:
        fields["order_id"] = command["target_lo"]
    return fields


def unlink(order: Order) -> Order | None:
    """Part an order from the one that it is linked to, and return that one."""
    other = order.linked
    if other is not None:
        order.linked = other.linked = None
    return other


def identity(order: Order) -> dict[str, int]:
    """The fields of an event that say which order it is about."""
    return {
        "order_id": order.order_id,
        "account_id": order.account_id,
        "instrument_id": order.instrument_id,
        "side": order.side,
        "price_ticks": order.price_ticks,
        "client_id_lo": order.client_id[0],
        "client_id_hi": order.client_id[1],
    }


def sign(side: int) -> int:
    """1 for the buyer, -1 for the seller."""
    return 1 if side == Side.BUY else -1
