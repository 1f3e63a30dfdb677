"""Rebuilds a venue from its events alone: books, order states, balances, totals, trades, states and sessions.

Invariants: it sees EVENT rows and their documents, never a command, and shares no code with the core or the naive
model; it is right after each command's last event (in its midst, an order that comes in stands in its book already).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack

from kk99 import kinds, schema
from kk99.schema import EventKind, Flag, MarketState, OrderType, RejectCode, Side
from tests.rebuilt_book import Instrument, Order, Place
from tests.rebuilt_money import Money

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from kk99 import batch

Event = dict[str, Any]
Document = dict[str, Any]
EVENT_FIELDS = schema.EVENT.names or ()
ORDER_FIELDS = (
    "order_id",
    "account_id",
    "instrument_id",
    "side",
    "order_type",
    "time_in_force",
    "price_ticks",
    "qty_lots",
    "leaves_lots",
)
NUMBER_NOT_TAKEN = {RejectCode.SESSION_UNKNOWN, RejectCode.SESSION_EPOCH_WRONG, RejectCode.CLIENT_SEQ_GAP}


@dataclass
class Session:
    """A session's open epoch and the last number that an event showed to be taken."""

    epoch: int = 0
    last: int = 0


class Rebuilt(Money):
    """A venue as its events tell; empty at first."""

    def __init__(self) -> None:
        super().__init__()
        self.assets: dict[int, Document] = {}
        self.schedules: dict[str, Document] = {}
        self.trading_schedules: dict[str, Document] = {}
        self.instruments: dict[int, Instrument] = {}
        self.accounts: dict[int, Document] = {}
        self.account_states: dict[int, int] = {}
        self.sessions: dict[int, Session] = {}
        self.orders: dict[int, Order] = {}
        self.trades: dict[int, Event] = {}
        self.last: tuple[int, int] = (0, 0)
        self.algos: dict[int, Document] = {}
        """The slices of each scheduled order, by its id."""
        self.suspended: set[int] = set()
        self.aggressors: list[int] = []
        """The orders that came in last; the one that now trades is the last of them that is no exit."""

    def apply(self, events: batch.Events) -> None:
        """Take a batch of events, which must follow the last one without a gap."""
        self.apply_rows(events.rows, events.tail)

    def apply_rows(self, rows: npt.NDArray[np.void], tail: bytes | memoryview) -> None:
        """Take event rows with the tail that their documents lie in."""
        for row in rows:
            event: Event = dict(zip(EVENT_FIELDS, row.item(), strict=True))
            cause, index = event["cause_seq"], event["index"]
            assert (cause, index) in {(self.last[0], self.last[1] + 1), (self.last[0] + 1, 0)}, "a gap"
            if cause != self.last[0]:
                self.aggressors.clear()
            self.last = cause, index
            if event["kind"] in kinds.DOCUMENT_EVENTS:
                offset, size = event["document_offset"], event["document_size"]
                self._document(event, msgpack.unpackb(bytes(tail[offset : offset + size])))
            else:
                self._plain(event)

    def book(self, instrument_id: int) -> dict[int, list[tuple[int, list[tuple[int, int]]]]]:
        """For each side, best price first: (price, [(order id, leaves) in time order])."""
        return {
            side: [
                (price, [(order_id, self.orders[order_id].leaves_lots) for order_id in levels[price]])
                for price in sorted(levels, reverse=side == Side.BUY)
            ]
            for side, levels in self.instruments[instrument_id].levels.items()
        }

    # Events without a document ----------------------------------------------------------------------------------------

    def _plain(self, event: Event) -> None:
        """Take one event."""
        match event["kind"]:
            case EventKind.TRADE:
                self._trade(event)
            case EventKind.DEPOSITED:
                self.transfer(event, event["amount_units"])
                self.deposited[event["asset_id"]] += event["amount_units"] + event["fee_units"]
            case EventKind.WITHDRAWN:
                self.transfer(event, -event["amount_units"] - event["fee_units"])
                self.withdrawn[event["asset_id"]] += event["amount_units"]
            case EventKind.SESSION_OPENED:
                self.sessions[event["session_id"]] = Session(event["session_epoch"])
                return
            case EventKind.INDEX_PRICE_CHANGED:
                self.instruments[event["instrument_id"]].index_price_ticks = event["price_ticks"]
            case EventKind.MARKET_STATE_CHANGED:
                self.instruments[event["instrument_id"]].enter_state(event)
            case EventKind.OBLIGATION_SETTLED | EventKind.OBLIGATION_FAILED:
                self.of_obligation(event)
            case kind:
                self._of_order(kind, event)
        self._number(event)

    def _of_order(self, kind: int, event: Event) -> None:
        """Take an event of one order's life."""
        match kind:
            case EventKind.ORDER_ACCEPTED:
                self._accepted(event)
            case EventKind.ORDER_DETAILS:
                self._details(event)
            case EventKind.ORDER_REPLACED:
                self._replaced(event)
            case EventKind.ORDER_TRIGGERED:
                self._triggered(event)
            case EventKind.ORDER_REDUCED:
                self._reduced(event)
            case EventKind.ORDER_RESIZED:
                self._resized(event)
            case EventKind.ORDER_REFRESHED:
                order = self.orders[event["order_id"]]
                order.shown_lots = event["display_qty_lots"]
                self.instruments[order.instrument_id].to_the_back(order)
            case EventKind.ORDER_CANCELED:
                self._end(self.orders[event["order_id"]])
            case EventKind.ORDER_RELEASED:
                self._released(event)
            case EventKind.ORDER_SUSPENDED:
                (self.suspended.add if event["state"] else self.suspended.discard)(event["order_id"])

    def _number(self, event: Event) -> None:
        """Note that the command took its number, where the event says which."""
        if event["kind"] in {EventKind.TRADE, EventKind.DUPLICATE} or not event["session_id"]:
            return
        if event["kind"] == EventKind.REJECTED and event["reason"] in NUMBER_NOT_TAKEN:
            return
        self.sessions[event["session_id"]].last = event["client_seq"]

    def _rates(self, instrument: Instrument, account_id: int) -> int:
        """The rate that the hold of an order entered now is made with."""
        schedule = instrument.document["fee_schedule"]
        if not schedule:
            return 0
        rates = self.schedules[schedule]["tiers"][self.accounts[account_id]["tier"]]
        return max(int(rates["maker_ppm"]), int(rates["taker_ppm"]), 0)

    def _hold(self, order: Order, amount: int) -> None:
        """Hold that amount for an order; the difference goes back to, or comes from, what is available."""
        instrument = self.instruments[order.instrument_id]
        key = order.account_id, instrument.base if order.side == Side.SELL else instrument.quote
        self.available[key] -= amount - order.hold_units
        self.held[key] += amount - order.hold_units
        order.hold_units = amount

    def _told_hold(self, order: Order, amount: int) -> None:
        """Hold the amount that an event tells; from it follows the price at which a buy is held."""
        self._hold(order, amount)
        if order.is_child_like:
            order.hold_price_ticks = order.price_ticks  # by its parent's rates, if it is a child
        elif not order.is_budget:
            order.hold_price_ticks = self.instruments[order.instrument_id].hold_price(order, amount)

    # Orders -----------------------------------------------------------------------------------------------------------

    def _accepted(self, event: Event) -> None:
        instrument = self.instruments[event["instrument_id"]]
        order = Order(
            **{name: event[name] for name in ORDER_FIELDS},
            hold_ppm=self._rates(instrument, event["account_id"]),
            client_id=(event["client_id_lo"], event["client_id_hi"]),
        )
        self.orders[order.order_id] = order
        self._told_hold(order, event["amount_units"])
        instrument.enter(order)
        if not order.is_dormant and order.order_type != OrderType.ALGO:
            self.aggressors.append(order.order_id)

    def _details(self, event: Event) -> None:
        order = self.orders[event["order_id"]]
        instrument = self.instruments[order.instrument_id]
        order.trigger, order.linked_order_id = event["trigger"], event["linked_order_id"]
        order.expire_time_ns = event["expire_time_ns"]
        if order.is_dormant or order.order_type == OrderType.BRACKET:
            order.trigger_price_ticks = event["trigger_price_ticks"]
        else:
            order.display_qty_lots = event["display_qty_lots"]
            order.shown_lots = min(order.display_qty_lots, order.leaves_lots)
        if order.order_type == OrderType.BRACKET:
            return
        order.parent_order_id = event["parent_order_id"]
        if order.parent_order_id in self.algos:
            order.hold_ppm = self.orders[order.parent_order_id].hold_ppm
            assert order.hold_units == instrument.hold(order), "a hold that no rate of its parent explains"
        elif order.parent_order_id and not order.is_dormant:  # an exit does not trade when it is armed
            self.aggressors.remove(order.order_id)
            instrument.remove(order)
            if instrument.would_cross(order):
                order.place = Place.APART
            else:
                instrument.put(order)

    def _replaced(self, event: Event) -> None:
        order = self.orders[event["order_id"]]
        instrument = self.instruments[order.instrument_id]
        meets = order.place == Place.BOOK and not event["flags"] & Flag.PRIORITY_KEPT
        if meets:
            instrument.remove(order)
        order.price_ticks, order.client_id = event["price_ticks"], (event["client_id_lo"], event["client_id_hi"])
        order.qty_lots, order.leaves_lots = event["qty_lots"], event["leaves_lots"]
        order.shown_lots = min(order.shown_lots, order.leaves_lots)
        if not event["flags"] & Flag.PRIORITY_KEPT:
            for one in (order, self.orders.get(order.linked_order_id)):
                if one is not None:
                    one.hold_ppm = self._rates(instrument, order.account_id)
        self._told_hold(order, event["amount_units"])
        if meets:
            instrument.put(order)
            self.aggressors.append(order.order_id)

    def _triggered(self, event: Event) -> None:
        order = self.orders[event["order_id"]]
        instrument = self.instruments[order.instrument_id]
        for name in ("order_type", "time_in_force", "price_ticks", "qty_lots", "leaves_lots"):
            setattr(order, name, event[name])
        order.trigger = order.trigger_price_ticks = 0
        self._told_hold(order, event["amount_units"])
        instrument.put(order)
        self.aggressors.append(order.order_id)

    def _reduced(self, event: Event) -> None:
        """Self-trade prevention: what comes in shows anew, what rests shows less."""
        order = self.orders[event["order_id"]]
        taken = order.leaves_lots - event["leaves_lots"]
        order.qty_lots, order.leaves_lots = event["qty_lots"], event["leaves_lots"]
        self._told_hold(order, event["amount_units"])
        self._show_less(order, taken, comes_in=self.aggressors[-1:] == [order.order_id])

    def _resized(self, event: Event) -> None:
        order = self.orders[event["order_id"]]
        grows = event["leaves_lots"] > order.leaves_lots
        order.qty_lots, order.leaves_lots = event["qty_lots"], event["leaves_lots"]
        self._told_hold(order, event["amount_units"])
        if grows:
            self.instruments[order.instrument_id].to_the_back(order)

    def _end(self, order: Order) -> None:
        self._hold(order, 0)
        self.instruments[order.instrument_id].remove(order)
        other = self.orders.get(order.linked_order_id)
        if other is not None:
            other.linked_order_id = 0
        if order.order_id in self.aggressors:
            self.aggressors.remove(order.order_id)
        del self.orders[order.order_id]
        self.algos.pop(order.order_id, None)

    def _released(self, event: Event) -> None:
        """What a parent has left after a child; in the midst of the release it still holds for all."""
        parent = self.orders[event["order_id"]]
        parent.leaves_lots = event["leaves_lots"]
        self._told_hold(parent, event["amount_units"])
        if parent.leaves_lots == 0:
            self._end(parent)

    def _show_less(self, order: Order, taken: int, *, comes_in: bool) -> None:
        """What an iceberg shows after quantity was taken off it."""
        is_uncross = self.instruments[order.instrument_id].state == MarketState.UNCROSSING
        shown = order.display_qty_lots if comes_in else order.shown_lots - taken
        order.shown_lots = min(order.shown_lots if is_uncross else shown, order.leaves_lots)

    def _trade(self, event: Event) -> None:
        """Both orders' leaves and holds, then the money."""
        trade = dict(event)
        self.trades[event["trade_id"]] = trade
        instrument = self.instruments[event["instrument_id"]]
        trade["tick_lot_units"] = instrument.tick_lot_units
        trade["value_date"] = self.value_date(event, instrument)
        instrument.reference_price_ticks = instrument.last_price_ticks = event["price_ticks"]
        notional = event["price_ticks"] * event["qty_lots"] * instrument.tick_lot_units
        for prefix in ("", "contra_"):
            order = self.orders[event[prefix + "order_id"]]
            order.leaves_lots = event[prefix + "leaves_lots"]
            order.notional_units += notional
            if order.is_budget:
                self._hold(order, order.hold_units - notional - event["fee_units"])
                continue
            self._hold(order, instrument.hold(order))
            self._show_less(order, event["qty_lots"], comes_in=not prefix)
            if order.leaves_lots == 0:
                self._end(order)
        self.post(trade, instrument, 1, is_new=True)

    # Events with a document -------------------------------------------------------------------------------------------

    def _document(self, event: Event, document: Document) -> None:
        """Take one event that carries a document."""
        kind = EventKind(event["kind"])
        match kind:
            case EventKind.ASSET_DEFINED:
                self.assets[event["asset_id"]] = document
            case EventKind.FEE_SCHEDULE_DEFINED:
                self.schedules[document["name"]] = document
            case EventKind.INSTRUMENT_DEFINED:
                self._instrument(event["instrument_id"], document)
            case EventKind.INSTRUMENT_CHANGED:
                self.instruments[event["instrument_id"]].document = document
            case EventKind.ACCOUNT_DEFINED:
                self.accounts[event["account_id"]] = document
                self.account_states[event["account_id"]] = 0
            case EventKind.ACCOUNT_CHANGED:
                self.accounts[event["account_id"]] = document
            case EventKind.SESSION_DEFINED:
                self.sessions[event["order_id"]] = Session()
            case EventKind.TRADING_SCHEDULE_DEFINED:
                self.trading_schedules[document["name"]] = document
            case EventKind.SETTLEMENT_CALENDAR_DEFINED:
                self.calendars[document["name"]] = document
            case EventKind.PENALTY_PAID:
                self.of_obligation(event)
            case EventKind.ALGO_SCHEDULED:
                start_ns = document["start_time_ns"] or event["time_ns"] or 1
                self.algos[event["order_id"]] = document | {"start_time_ns": start_ns}
            case EventKind.INSTRUMENT_STATE_CHANGED:
                self.instruments[event["instrument_id"]].enter_state(event)
            case EventKind.ACCOUNT_STATE_CHANGED:
                self.account_states[event["account_id"]] = event["state"]
            case EventKind.REFERENCE_PRICE_CHANGED:
                self.instruments[event["instrument_id"]].reference_price_ticks = event["price_ticks"]
            case _:
                self._revised(event, is_busted=kind == EventKind.TRADE_BUSTED)
                return
        self._number(event)

    def _instrument(self, number: int, document: Document) -> None:
        names = {asset["name"]: one for one, asset in self.assets.items()}
        base, quote = names[document["base"]], names[document["quote"]]
        units = document["tick_units"] * document["lot_units"] // 10 ** self.assets[base]["scale"]
        self.instruments[number] = Instrument(document, base, quote, units, document["reference_price_ticks"])

    def _revised(self, event: Event, *, is_busted: bool) -> None:
        """A bust or correction: its money, and what it takes off orders that still live."""
        old = self.trades[event["trade_id"]]
        new = old | {name: event[name] for name in ("price_ticks", "qty_lots", "fee_units", "contra_fee_units")}
        new["burned_units"] = event["burned_units"]
        if is_busted:
            assert new == old, "a bust repeats the trade"
            new["qty_lots"] = 0
        instrument = self.instruments[event["instrument_id"]]
        self.post(old, instrument, -1)
        if not is_busted:
            self.post(new, instrument, 1)
        units = old["tick_lot_units"]
        for order_id in (old["order_id"], old["contra_order_id"]):
            if order_id in self.orders:
                order = self.orders[order_id]
                order.qty_lots -= old["qty_lots"] - new["qty_lots"]
                order.notional_units -= (
                    old["price_ticks"] * old["qty_lots"] - new["price_ticks"] * new["qty_lots"]
                ) * units
        self.trades[event["trade_id"]] = new
