"""The naive model's state: who is there, who owns what, which orders live, and the events of the command under way."""

from __future__ import annotations

import bisect
from collections import defaultdict, deque
from typing import Any

from kk99 import schema
from kk99.schema import CancelReason, EventKind, RejectCode, Side
from tests.naive.records import (
    NO_TIER,
    Account,
    Asset,
    Instrument,
    Key,
    Order,
    RejectError,
    Session,
    Trade,
    WorkItem,
)

Event = dict[str, Any]
"""An event's fields that are not zero, by name; `document` holds the bytes of its document."""

SESSIONLESS = (
    EventKind.TRADE,
    EventKind.TRADE_BUSTED,
    EventKind.TRADE_CORRECTED,
)
"""Kinds that do not say which session's command caused them; nor do events of pending work."""


class Venue:
    """All that the model knows between two commands; empty at first."""

    def __init__(self) -> None:
        self.seq = 0
        self.time_ns = 0
        self.assets: dict[int, Asset] = {}
        self.schedules: dict[str, dict[str, Any]] = {}
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
        self.work: deque[WorkItem] = deque()
        self.events: list[Event] = []
        self.command: dict[str, int] = {}
        self.item: WorkItem | None = None

    # Events -----------------------------------------------------------------------------------------------------------

    def emit(self, kind: EventKind, **fields: Any) -> None:
        """Add an event of the command, or of the item of pending work, under way."""
        command, item = self.command, self.item
        event: Event = {"kind": int(kind), "cause_seq": self.seq, "time_ns": self.time_ns, "index": len(self.events)}
        event["origin_seq"] = self.seq if item is None else item.origin_seq
        event["command_kind"] = command["kind"] if item is None else 0
        if item is None and kind not in SESSIONLESS:
            for name in ("client_seq", "session_id", "session_epoch"):
                event[name] = command[name]
        event.update(fields)
        self.events.append({name: value for name, value in event.items() if value})

    # Who is there -----------------------------------------------------------------------------------------------------

    def account(self, number: int) -> Account:
        """The account of that number, or ACCOUNT_UNKNOWN."""
        account = self.accounts.get(number)
        if account is None:
            raise RejectError(RejectCode.ACCOUNT_UNKNOWN)
        return account

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
        """Make an order live."""
        self.live[order.order_id] = order
        self.slots[order.order_id & (1 << schema.ORDER_SLOT_BITS) - 1] = order
        self.accounts[order.account_id].orders.append(order)
        if order.client_id != (0, 0):
            self.by_client_id[order.account_id, order.client_id] = order

    def end(self, order: Order) -> None:
        """End an order: nothing is held for it any more, its slot is free, its client id is in the window."""
        order.leaves_lots = order.budget_units = 0
        self.rehold(order)
        assert order.hold_units == 0
        book = self.instruments[order.instrument_id].book
        if book.has(order):
            book.remove(order)
        slot = order.order_id & (1 << schema.ORDER_SLOT_BITS) - 1
        del self.live[order.order_id]
        self.slots[slot] = None
        self.free_slots.append(slot)
        orders = self.accounts[order.account_id].orders
        del orders[bisect.bisect_left(orders, order.entry_seq, key=lambda one: one.entry_seq)]
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
        """Cancel what is left of an order."""
        self.emit(
            EventKind.ORDER_CANCELED,
            **identity(order),
            qty_lots=order.qty_lots,
            leaves_lots=order.leaves_lots,
            reason=int(reason),
        )
        self.end(order)


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
