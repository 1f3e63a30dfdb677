"""Orders and books as they are rebuilt from events: where each order stands, what it shows, what it holds."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from kk99.schema import PPM, CallPurpose, MarketState, OrderType, Side, TimeInForce

Event = dict[str, Any]
Document = dict[str, Any]
DORMANT_TYPES = set(range(OrderType.STOP, OrderType.TRAILING_STOP_LIMIT + 1))
IMMEDIATE = {TimeInForce.IOC, TimeInForce.FOK}


def fee(amount: int, ppm: int) -> int:
    """Millionths of an amount, rounded down."""
    return amount * ppm // PPM


class Place(enum.Enum):
    """Where a live order is."""

    BOOK = "in the book"
    APART = "waiting outside the book"
    NOWHERE = "trading, then gone"


@dataclass
class Order:
    """A live order as its events tell."""

    order_id: int
    account_id: int
    instrument_id: int
    side: int
    order_type: int
    time_in_force: int
    price_ticks: int
    qty_lots: int
    leaves_lots: int
    client_id: tuple[int, int]
    hold_ppm: int
    hold_units: int = 0
    hold_price_ticks: int = 0
    """Of a buy: the price at which what is open is held."""
    notional_units: int = 0
    place: Place = Place.NOWHERE
    rests_at_ticks: int = 0
    display_qty_lots: int = 0
    shown_lots: int = 0
    """Of an iceberg in the book."""
    trigger: int = 0
    trigger_price_ticks: int = 0
    """Of a trailing order: the first one."""
    linked_order_id: int = 0
    parent_order_id: int = 0
    expire_time_ns: int = 0

    @property
    def is_dormant(self) -> bool:
        """Whether it waits for its trigger."""
        return self.order_type in DORMANT_TYPES

    @property
    def is_budget(self) -> bool:
        """Whether it is bounded by money alone."""
        return self.order_type == OrderType.MARKET and self.qty_lots == 0

    @property
    def is_child_like(self) -> bool:
        """Whether it may be the child of a scheduled order, which ORDER_DETAILS tells next."""
        return self.order_type == OrderType.LIMIT and self.time_in_force == TimeInForce.IOC

    @property
    def is_immediate(self) -> bool:
        """Whether nothing of it stays."""
        is_market = self.order_type == OrderType.BRACKET and self.price_ticks == 0
        return self.time_in_force in IMMEDIATE or is_market


@dataclass
class Instrument:
    """An instrument, its market, and for each side its prices with the order ids in time order."""

    document: Document
    base: int
    quote: int
    tick_lot_units: int
    reference_price_ticks: int
    state: int = 0
    call_purpose: int = 0
    last_price_ticks: int = 0
    index_price_ticks: int = 0
    levels: dict[int, dict[int, list[int]]] = field(default_factory=lambda: {Side.BUY: {}, Side.SELL: {}})

    def enter_state(self, event: Event) -> None:
        """Take a market's new state."""
        self.state, self.call_purpose = event["state"], event["call_purpose"]

    def takes_at_close(self) -> bool:
        """Whether orders for the closing auction rest."""
        return self.state == MarketState.CALL and self.call_purpose == CallPurpose.CLOSING

    def market_limit(self, side: int) -> int:
        """The price at which a market order rests: the collar's bound on its side."""
        reference, collar_ppm = self.reference_price_ticks, self.document["collar_ppm"]
        width = reference * collar_ppm // PPM
        if side == Side.BUY:
            return int(min(reference + width, self.document["max_price_ticks"]))
        return max(reference - width, 1) if reference and collar_ppm else 1

    def enter(self, order: Order) -> None:
        """Put a new order where it belongs."""
        if order.order_type == OrderType.MARKET:
            order.rests_at_ticks = self.market_limit(order.side)
        is_early = order.time_in_force == TimeInForce.AT_CLOSE and not self.takes_at_close()
        if order.is_dormant or is_early or order.order_type == OrderType.ALGO:
            order.place = Place.APART
        else:
            self.put(order)

    def put(self, order: Order) -> None:
        """Put an order at the back of its price; what trades at once is taken off within the command."""
        if order.order_type != OrderType.MARKET:
            order.rests_at_ticks = order.price_ticks
        order.shown_lots = min(order.display_qty_lots, order.leaves_lots)
        order.place = Place.NOWHERE if order.is_immediate else Place.BOOK
        if order.place == Place.BOOK:
            self.levels[order.side].setdefault(order.rests_at_ticks, []).append(order.order_id)

    def remove(self, order: Order) -> None:
        """Take an order out of the book, if it is there."""
        if order.place == Place.BOOK:
            levels = self.levels[order.side]
            levels[order.rests_at_ticks].remove(order.order_id)
            if not levels[order.rests_at_ticks]:
                del levels[order.rests_at_ticks]
        order.place = Place.NOWHERE

    def to_the_back(self, order: Order) -> None:
        """Move an order of the book behind the others at its price."""
        if order.place == Place.BOOK:
            line = self.levels[order.side][order.rests_at_ticks]
            line.remove(order.order_id)
            line.append(order.order_id)

    def would_cross(self, order: Order) -> bool:
        """Whether the other side's best price is at or through an order's."""
        prices = self.levels[Side.BUY + Side.SELL - order.side]
        if order.side == Side.BUY:
            return bool(prices) and min(prices) <= order.price_ticks
        return bool(prices) and max(prices) >= order.price_ticks

    # Holds ------------------------------------------------------------------------------------------------------------

    def hold(self, order: Order) -> int:
        """What an order holds by the formula, after a fill."""
        if order.hold_units == 0:
            return 0  # another order holds for it
        if order.side == Side.SELL:
            return int(order.leaves_lots * self.document["lot_units"])
        notional = order.hold_price_ticks * order.leaves_lots * self.tick_lot_units
        return notional + fee(notional, order.hold_ppm)

    def hold_price(self, order: Order, hold_units: int) -> int:
        """The one price at which the formula gives a buy's hold."""
        if order.side == Side.SELL or order.leaves_lots == 0 or hold_units == 0:
            return 0
        notional = hold_units * PPM // (PPM + order.hold_ppm)
        while notional + fee(notional, order.hold_ppm) < hold_units:
            notional += 1
        assert notional + fee(notional, order.hold_ppm) == hold_units, "a hold that no price explains"
        price, rest = divmod(notional, order.leaves_lots * self.tick_lot_units)
        assert rest == 0, "a hold that no price explains"
        return price
