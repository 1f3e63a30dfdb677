"""The book of every market, followed from event rows alone.

Invariants, each a test:
- after a command's last event each price shows what the venue's book shows there, of an iceberg its display only;
- an order that enters is in no book until its matching is over, so what stands there is what it meets;
- it holds live orders and their prices, nothing of what has ended.

A command's events must come in one piece: the order that enters comes to rest when the next one does, or the next
command. What is not told is worked out as the core does: where a market order rests in an auction, and whether an exit
would cross the book.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack
import numpy as np

from kk99.schema import PPM, CallPurpose, EventKind, Flag, MarketState, OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kk99 import batch

DEFINITIONS: Final = (EventKind.INSTRUMENT_DEFINED, EventKind.INSTRUMENT_CHANGED)
FOLLOWED: Final = (
    EventKind.ORDER_ACCEPTED, EventKind.ORDER_REPLACED, EventKind.ORDER_REDUCED, EventKind.ORDER_CANCELED,
    EventKind.TRADE, EventKind.ORDER_DETAILS, EventKind.ORDER_TRIGGERED, EventKind.ORDER_REFRESHED,
    EventKind.ORDER_RESIZED, EventKind.ORDER_RELEASED, EventKind.MARKET_STATE_CHANGED,
    EventKind.INSTRUMENT_STATE_CHANGED, EventKind.REFERENCE_PRICE_CHANGED, EventKind.ORDER_IMAGE, *DEFINITIONS,
)  # fmt: skip
"""The kinds of events that a book is made of; all others say nothing of it."""

_DORMANT: Final = frozenset(range(OrderType.STOP, OrderType.TRAILING_STOP_LIMIT + 1))
_IMMEDIATE: Final = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_STALE_PRICES: Final = 64
"""So many prices that are gone, and as many as there are, may lie in a heap before it is made anew."""


class Event(NamedTuple):
    """One event in plain numbers; of the names that share a place, that of a TRADE, the others as properties."""

    cause_seq: int
    time_ns: int
    kind: int
    instrument_id: int
    side: int
    order_type: int
    time_in_force: int
    call_purpose: int
    flags: int
    reason: int
    account_id: int
    contra_account_id: int
    order_id: int
    contra_order_id: int
    price_ticks: int
    qty_lots: int
    leaves_lots: int
    contra_leaves_lots: int
    fee_units: int
    contra_fee_units: int
    trade_id: int
    amount_units: int
    parent_order_id: int
    """Of an ORDER_ACCEPTED: the parent that the ORDER_DETAILS behind it names."""
    is_exit: bool
    """Whether an ORDER_ACCEPTED arms an exit, which does not meet the book."""
    document: Any
    """Of an instrument's definition or change."""

    @property
    def state(self) -> int:
        """Of a market."""
        return self.reason

    @property
    def display_qty_lots(self) -> int:
        """Of an iceberg."""
        return self.qty_lots

    @property
    def client_id(self) -> tuple[int, int]:
        """(client_id_lo, client_id_hi)."""
        return self.fee_units, self.contra_fee_units


_COLUMNS: Final = Event._fields[:-3]


def events_of(events: batch.Events) -> Iterator[Event]:
    """Yield the events of the kinds in `FOLLOWED`."""
    rows = events.rows
    rows = rows[np.isin(rows["kind"], FOLLOWED)]
    if not len(rows):
        return
    kinds = rows["kind"]
    has_details = np.zeros(len(rows), np.bool_)
    has_details[:-1] = (kinds[:-1] == EventKind.ORDER_ACCEPTED) & (kinds[1:] == EventKind.ORDER_DETAILS)
    behind = np.roll(rows, -1)
    parents = np.where(has_details, behind["parent_order_id"], 0)
    # A bracket's exits are linked to one another; other children of a parent stand alone, and meet the book.
    exits = has_details & (parents != 0) & (behind["linked_order_id"] != 0)
    told: list[Any] = [None] * len(rows)
    for at in np.flatnonzero(np.isin(kinds, DEFINITIONS)):
        offset, size = int(rows["document_offset"][at]), int(rows["document_size"][at])
        told[at] = msgpack.unpackb(events.tail[offset : offset + size])
    columns = (rows[name].tolist() for name in _COLUMNS)
    yield from map(Event._make, zip(*columns, parents.tolist(), exits.tolist(), told, strict=True))


class Levels:
    """The prices of one side, with the lots shown at each.

    Who wants more of a side than its best price makes a subclass of it for his `Book`.
    """

    __slots__ = ("_heap", "_sign", "shown_lots")

    def __init__(self, side: int) -> None:
        """Begin empty."""
        self.shown_lots: dict[int, int] = {}
        self._sign = -1 if side == Side.BUY else 1
        self._heap: list[int] = []

    def add(self, price_ticks: int, lots: int, orders: int = 0) -> None:  # noqa: ARG002 - for those that count them
        """Show so many lots more at a price, or (negative) fewer, and so many orders more or fewer."""
        before = self.shown_lots.get(price_ticks, 0)
        if before + lots:
            self.shown_lots[price_ticks] = before + lots
        elif before:
            del self.shown_lots[price_ticks]
        if not before and lots:
            heapq.heappush(self._heap, self._sign * price_ticks)
            if len(self._heap) > 2 * len(self.shown_lots) + _STALE_PRICES:
                self._heap = [self._sign * price for price in self.shown_lots]
                heapq.heapify(self._heap)

    def best(self) -> int:
        """Return the best price in ticks, 0 if there is none."""
        heap, sign, shown_lots = self._heap, self._sign, self.shown_lots
        while heap:
            price = sign * heap[0]
            if price in shown_lots:
                return price
            heapq.heappop(heap)
        return 0


class Market:
    """One instrument's market: its state, its two sides, and what bounds a market order's price."""

    __slots__ = ("asks", "bids", "call_purpose", "collar_ppm", "max_price_ticks", "reference_price_ticks", "state")

    def __init__(self, levels: type[Levels] = Levels) -> None:
        """Begin before the opening, with nothing in the book."""
        self.state = int(MarketState.PRE_OPEN)
        self.call_purpose = 0
        self.bids, self.asks = levels(Side.BUY), levels(Side.SELL)
        self.reference_price_ticks = self.collar_ppm = self.max_price_ticks = 0

    def side(self, side: int) -> Levels:
        """Return the levels of a side."""
        return self.bids if side == Side.BUY else self.asks

    def quote(self) -> tuple[int, int] | None:
        """Return (best bid, best ask) in ticks, None if the market is not open or a side is empty."""
        if self.state != MarketState.OPEN:
            return None
        bid, ask = self.bids.best(), self.asks.best()
        return (bid, ask) if bid and ask else None

    def market_limit(self, side: int) -> int:
        """Return the price in ticks at which a market order rests in an auction: the collar's bound on its side."""
        reference = self.reference_price_ticks
        width = reference * self.collar_ppm // PPM
        if side == Side.BUY:
            return min(reference + width, self.max_price_ticks)
        return max(reference - width, 1) if reference and self.collar_ppm else 1


class Order:
    """A live order: what is open of it, and what of that is shown where."""

    __slots__ = (
        "display_lots", "is_budget", "is_immediate", "is_resting", "leaves_lots", "market", "order_id", "price_ticks",
        "shown_lots", "side", "waits",
    )  # fmt: skip

    def __init__(self, event: Event, market: Market) -> None:
        """Take an order from its ORDER_ACCEPTED or ORDER_IMAGE; it is in no book yet."""
        self.order_id, self.market, self.side = event.order_id, market, event.side
        self.leaves_lots, self.shown_lots, self.display_lots = event.leaves_lots, 0, 0
        self.price_ticks = event.price_ticks
        if event.order_type == OrderType.MARKET:
            self.price_ticks = market.market_limit(event.side)
        self.is_budget = event.order_type == OrderType.MARKET and event.qty_lots == 0
        is_market_entry = event.order_type == OrderType.BRACKET and event.price_ticks == 0
        self.is_immediate = event.time_in_force in _IMMEDIATE or is_market_entry
        takes_at_close = market.state == MarketState.CALL and market.call_purpose == CallPurpose.CLOSING
        is_early = event.time_in_force == TimeInForce.AT_CLOSE and not takes_at_close
        self.waits = event.order_type in _DORMANT or event.order_type == OrderType.ALGO or is_early
        self.is_resting = False

    def show(self, lots: int) -> None:
        """Show so many lots at the order's price."""
        if self.is_resting and lots != self.shown_lots:
            orders = (lots > 0) - (self.shown_lots > 0)
            self.market.side(self.side).add(self.price_ticks, lots - self.shown_lots, orders)
        self.shown_lots = lots

    def rest(self) -> None:
        """Come to rest in the book."""
        self.shown_lots = 0
        self.is_resting = True
        self.show(min(self.display_lots, self.leaves_lots) if self.display_lots else self.leaves_lots)

    def leave(self) -> None:
        """Leave the book, if the order is there."""
        self.show(0)
        self.is_resting = False

    def shrink(self, leaves_lots: int) -> None:
        """Take what is open to a lower number; what is shown follows."""
        taken, self.leaves_lots = self.leaves_lots - leaves_lots, leaves_lots
        if not self.display_lots:
            self.show(leaves_lots)
        elif self.market.state == MarketState.UNCROSSING:  # there an iceberg trades with all its leaves
            self.show(min(self.shown_lots, leaves_lots))
        else:
            self.show(min(max(self.shown_lots - taken, 0), leaves_lots))


class Book:
    """The markets and live orders of a venue; empty at first. For each event: `settle`, look, `take`."""

    def __init__(self, levels: type[Levels] = Levels) -> None:
        """Begin with nothing; each side of a market is of the class given."""
        self._levels = levels
        self.markets: dict[int, Market] = {}
        self.orders: dict[int, Order] = {}
        self._entering: Order | None = None
        self._seq = 0

    def settle(self, event: Event) -> None:
        """Let the order that entered last rest, if this event shows that its matching is over."""
        if self._entering is None:
            self._seq = event.cause_seq
            return
        over = event.cause_seq != self._seq
        if not over and event.kind == EventKind.TRADE:
            over = event.order_id != self._entering.order_id
        if not over:
            over = event.kind in {EventKind.ORDER_TRIGGERED, EventKind.ORDER_REPLACED} or (
                event.kind == EventKind.ORDER_ACCEPTED and not event.is_exit and event.order_type not in _DORMANT
            )
        if over:
            self.rest()
        self._seq = event.cause_seq

    def rest(self) -> None:
        """Let the order that entered last rest: no more of its events come."""
        if self._entering is not None and not self._entering.is_immediate:
            self._entering.rest()
        self._entering = None

    def take(self, event: Event) -> None:
        """Take one event, for which `settle` was called."""
        match event.kind:
            case EventKind.ORDER_ACCEPTED:
                self._accepted(event)
            case EventKind.TRADE:
                self._trade(event)
            case EventKind.ORDER_CANCELED:
                self._end(self.orders[event.order_id])
            case EventKind.ORDER_REPLACED:
                self._replaced(event)
            case EventKind.ORDER_REDUCED:
                self.orders[event.order_id].shrink(event.leaves_lots)
            case EventKind.ORDER_RESIZED:
                order = self.orders[event.order_id]
                order.leaves_lots = event.leaves_lots
                order.show(event.leaves_lots)
            case EventKind.ORDER_RELEASED:
                self._released(event)
            case EventKind.ORDER_REFRESHED:
                self.orders[event.order_id].show(event.display_qty_lots)
            case EventKind.ORDER_TRIGGERED:
                self._triggered(event)
            case EventKind.ORDER_DETAILS:
                if event.order_type == OrderType.LIMIT:
                    self.orders[event.order_id].display_lots = event.display_qty_lots
            case EventKind.ORDER_IMAGE:
                self._image(event)
            case _:
                self._of_market(event)

    def _accepted(self, event: Event) -> None:
        order = Order(event, self.markets[event.instrument_id])
        self.orders[order.order_id] = order
        if order.waits:
            return
        if not event.is_exit:
            self._entering = order
            return
        best = order.market.side(Side.BUY + Side.SELL - order.side).best()
        order.waits = best != 0 and (best <= order.price_ticks if order.side == Side.BUY else best >= order.price_ticks)
        if not order.waits:
            order.rest()

    def _trade(self, event: Event) -> None:
        self.markets[event.instrument_id].reference_price_ticks = event.price_ticks
        for order_id, leaves_lots in (
            (event.order_id, event.leaves_lots),
            (event.contra_order_id, event.contra_leaves_lots),
        ):
            order = self.orders[order_id]
            order.shrink(leaves_lots)
            if leaves_lots == 0 and not order.is_budget:
                self._end(order)

    def _end(self, order: Order) -> None:
        order.leave()
        if self._entering is order:
            self._entering = None
        del self.orders[order.order_id]

    def _replaced(self, event: Event) -> None:
        order = self.orders[event.order_id]
        if event.flags & Flag.PRIORITY_KEPT:
            order.leaves_lots = event.leaves_lots
            order.show(min(order.shown_lots, event.leaves_lots))
        else:
            order.leave()
            order.leaves_lots = event.leaves_lots
            if not order.waits:
                self._entering = order
        order.price_ticks = event.price_ticks

    def _triggered(self, event: Event) -> None:
        order = self.orders[event.order_id]
        order.waits = False
        order.leaves_lots = event.leaves_lots
        order.is_immediate = event.time_in_force in _IMMEDIATE
        if event.order_type != OrderType.MARKET:
            order.price_ticks = event.price_ticks
        self._entering = order

    def _released(self, event: Event) -> None:
        """Take what a scheduled order has left, which is in no book."""
        order = self.orders[event.order_id]
        order.leaves_lots = event.leaves_lots
        if event.leaves_lots == 0:
            self._end(order)

    def _image(self, event: Event) -> None:
        """Take a live order of an image; what hides of it, ORDER_DETAILS and ORDER_REFRESHED tell next."""
        order = Order(event, self.markets[event.instrument_id])
        self.orders[order.order_id] = order
        order.waits = event.state != 0
        if not order.waits:
            order.rest()

    def _of_market(self, event: Event) -> None:
        market = self.markets.get(event.instrument_id)
        if market is None:
            market = self.markets[event.instrument_id] = Market(self._levels)
        if event.kind == EventKind.REFERENCE_PRICE_CHANGED:
            market.reference_price_ticks = event.price_ticks
        elif event.kind in DEFINITIONS:
            market.collar_ppm = event.document["collar_ppm"]
            market.max_price_ticks = event.document["max_price_ticks"]
            if event.kind == EventKind.INSTRUMENT_DEFINED:
                market.reference_price_ticks = event.document["reference_price_ticks"]
        else:
            market.state, market.call_purpose = event.state, event.call_purpose
