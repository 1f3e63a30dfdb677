"""Execution quality, worked out from the log alone: of every order, and of every instrument.

Invariants, each a test:
- the figures do not depend on how the events were batched, nor on the state that the run began with;
- an order is handed out when it ends, and then forgotten: memory is that of live orders;
- what the children of a scheduled order fill counts for their parent too, which lives from its entry.

What is measured against which benchmark, and why, stands in `docs/explanation/execution-quality.md`.

::

    events ─ book (kk99/book.py) ─┬─▶ running sums of each market: volume, price by time, spread by time
                                    └─▶ live orders: arrival mid, fills, the sums when they began ─▶ those that end
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kk99 import batch
from kk99.book import Book, Event, events_of
from kk99.schema import CancelReason, EventKind, OrderType
from replay.figures import InstrumentQuality, OrderQuality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FILLED: Final = "FILLED"


class Revision(NamedTuple):
    """What became of a trade: its price, quantity (0: busted) and fees after its last bust or correction."""

    price_ticks: int
    qty_lots: int
    fee_units: int
    contra_fee_units: int


def revisions_in(rows: batch.Rows) -> dict[int, Revision]:
    """Return what event rows make of trades, by trade id; of two revisions of one the later."""
    found: dict[int, Revision] = {}
    for row in rows[np.isin(rows["kind"], (EventKind.TRADE_BUSTED, EventKind.TRADE_CORRECTED))]:
        qty_lots = int(row["qty_lots"]) if row["kind"] == EventKind.TRADE_CORRECTED else 0
        fees = int(row["fee_units"]), int(row["contra_fee_units"])
        found[int(row["trade_id"])] = Revision(int(row["price_ticks"]), qty_lots, *fees)
    return found


class Quality:
    """Follows event frames; hands out each order when it ends.

    `wants` says of an ORDER_ACCEPTED whether its order is measured (all are measured without it); `revisions` are what
    became of trades, by trade id: a trade that is not among them stands as it was made.
    """

    def __init__(
        self,
        *,
        wants: Callable[[Event], bool] = lambda _: True,
        revisions: Mapping[int, Revision] | None = None,
    ) -> None:
        """Begin with an empty venue."""
        self.instruments: dict[int, InstrumentQuality] = {}
        self._wants = wants
        self._revisions = revisions or {}
        self._book = Book()
        self._orders: dict[int, OrderQuality] = {}
        self._child_id = 0
        """The child that a scheduled order released last: it ends within its step, so there is one at a time."""
        self._parent: OrderQuality | None = None

    def begin(self, image: batch.Events, from_time_ns: int) -> None:
        """Begin with the state that an image tells, as it stands at a time; its orders are not measured."""
        for event in events_of(image):
            self._book.settle(event)
            self._book.take(event)
        rows = image.rows
        for row in rows[rows["kind"] == EventKind.INSTRUMENT_STATE_CHANGED]:
            number = int(row["instrument_id"])
            self.instruments[number] = InstrumentQuality(number, from_time_ns, price_ticks=int(row["price_ticks"]))

    def take(self, events: batch.Events, instrument_id: int = 0) -> Iterator[OrderQuality]:
        """Follow a frame of whole commands, of one instrument if it is given; yield the orders that end, in order."""
        if instrument_id:
            rows = events.rows
            events = batch.Events(rows[rows["instrument_id"] == instrument_id], events.tail)
        for event in events_of(events):
            self._book.settle(event)
            instrument = self.instruments.get(event.instrument_id)
            if instrument is None:
                instrument = InstrumentQuality(event.instrument_id, event.time_ns)
                self.instruments[event.instrument_id] = instrument
            elif event.time_ns > instrument.time_ns:
                instrument.advance(event.time_ns, self._book.markets[event.instrument_id])
            match event.kind:
                case EventKind.TRADE:
                    yield from self._trade(event, instrument)
                case EventKind.ORDER_ACCEPTED | EventKind.ORDER_TRIGGERED:
                    self._enter(event, instrument)
                case _:
                    if event.order_id in self._orders:
                        yield from self._change(event, instrument)
                    self._book.take(event)

    def finish(self, time_ns: int) -> Iterator[OrderQuality]:
        """End the run at a time: yield the orders that live, in the order of their entry."""
        self._book.rest()
        for number, instrument in self.instruments.items():
            if time_ns > instrument.time_ns:
                instrument.advance(time_ns, self._book.markets[number])
        for order in self._orders.values():
            order.close(self.instruments[order.instrument_id])
            yield order
        self._orders.clear()

    def _enter(self, event: Event, instrument: InstrumentQuality) -> None:
        """Take an ORDER_ACCEPTED or ORDER_TRIGGERED; what does not wait then is active from now on."""
        quote = self._book.markets[event.instrument_id].quote()
        self._book.take(event)
        if event.kind == EventKind.ORDER_ACCEPTED and self._wants(event):
            is_budget = event.order_type == OrderType.MARKET and event.qty_lots == 0
            self._orders[event.order_id] = OrderQuality(
                order_id=event.order_id,
                account_id=event.account_id,
                instrument_id=event.instrument_id,
                side=event.side,
                order_type=event.order_type,
                time_in_force=event.time_in_force,
                client_ids=[event.client_id],
                parent_order_id=event.parent_order_id,
                entry_seq=event.cause_seq,
                entry_time_ns=event.time_ns,
                qty_lots=event.qty_lots,
                budget_units=event.amount_units if is_budget else 0,
            )
        parent = self._orders.get(event.parent_order_id)
        if parent is not None and parent.order_type == OrderType.ALGO:
            self._child_id, self._parent = event.order_id, parent
        order = self._orders.get(event.order_id)
        waits = event.order_type != OrderType.ALGO and self._book.orders[event.order_id].waits
        if order is not None and order.active_time_ns is None and not waits:
            order.activate(event.time_ns, quote, instrument)

    def _trade(self, event: Event, instrument: InstrumentQuality) -> Iterator[OrderQuality]:
        self._book.take(event)
        made = Revision(event.price_ticks, event.qty_lots, event.fee_units, event.contra_fee_units)
        trade = self._revisions.get(event.trade_id, made)
        if trade.qty_lots:
            instrument.trade(trade.price_ticks, trade.qty_lots)
            if event.order_id == self._child_id and self._parent is not None:
                self._parent.fill(event.time_ns, trade.price_ticks, trade.qty_lots, trade.fee_units, is_maker=False)
        for order_id, fee_units, is_maker in (
            (event.order_id, trade.fee_units, False),
            (event.contra_order_id, trade.contra_fee_units, True),
        ):
            order = self._orders.get(order_id)
            if order is None:
                continue
            if trade.qty_lots:
                order.fill(event.time_ns, trade.price_ticks, trade.qty_lots, fee_units, is_maker=is_maker)
            if order_id not in self._book.orders:
                yield self._ended(order, event.time_ns, FILLED, instrument)

    def _change(self, event: Event, instrument: InstrumentQuality) -> Iterator[OrderQuality]:
        """Take an event that changes or ends a measured order, before the book does."""
        order = self._orders[event.order_id]
        match event.kind:
            case EventKind.ORDER_CANCELED:
                yield self._ended(order, event.time_ns, CancelReason(event.reason).name, instrument)
            case EventKind.ORDER_RELEASED if event.leaves_lots == 0:
                yield self._ended(order, event.time_ns, FILLED, instrument)
            case EventKind.ORDER_REPLACED:
                order.qty_lots = event.qty_lots
                if event.client_id != order.client_ids[-1]:
                    order.client_ids.append(event.client_id)
            case EventKind.ORDER_REDUCED | EventKind.ORDER_RESIZED:
                order.qty_lots += event.leaves_lots - self._book.orders[event.order_id].leaves_lots

    def _ended(self, order: OrderQuality, time_ns: int, how: str, instrument: InstrumentQuality) -> OrderQuality:
        order.end_time_ns, order.ended = time_ns, how
        order.close(instrument)
        del self._orders[order.order_id]
        return order
