"""Dormant orders: which prices pass a trigger, how trailing ones follow, and what a busy instrument has to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import BPS, CancelReason, EventKind, OrderType, Side, TimeInForce, TrailUnit, TriggerSource
from tests.naive import watching
from tests.naive.matching import aggress
from tests.naive.records import (
    LIMIT_ONCE_TRIGGERED,
    Instrument,
    Order,
    Place,
    Reach,
    Walk,
)
from tests.naive.venue import Step, unlink

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.naive.venue import Venue

IF_TOUCHED = {OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED}


# Prices and triggers --------------------------------------------------------------------------------------------------


def prices_of(instrument: Instrument) -> dict[int, int]:
    """The present price of each source that has one."""
    book = instrument.book
    prices = {
        TriggerSource.LAST: instrument.last_price_ticks,
        TriggerSource.BID: (book.best_price(Side.BUY) or 0) if instrument.is_open else 0,
        TriggerSource.ASK: (book.best_price(Side.SELL) or 0) if instrument.is_open else 0,
        TriggerSource.INDEX: instrument.index_price_ticks,
    }
    return {int(source): price for source, price in prices.items() if price}


def reach_of(prices: dict[int, int]) -> Reach:
    """The reach that begins with these prices."""
    return {source: (price, price) for source, price in prices.items()}


def widen(reach: Reach, by: Reach) -> None:
    """Let a reach take in another."""
    for source, (low, high) in by.items():
        lowest, highest = reach.get(source, (low, high))
        reach[source] = min(low, lowest), max(high, highest)


def is_up(order: Order) -> bool:
    """Whether the order's trigger passes when its source rises to it."""
    return (order.side == Side.BUY) != (order.order_type in IF_TOUCHED)


def passes(order: Order, reach: Reach) -> bool:
    """Whether the order's trigger lies within the reach."""
    if order.trigger not in reach:
        return False
    low, high = reach[order.trigger]
    return high >= order.trigger_price_ticks if is_up(order) else low <= order.trigger_price_ticks


def has_passed(instrument: Instrument, order: Order) -> bool:
    """Whether the order's trigger has passed, now or within what a busy instrument reached."""
    return passes(order, reach_of(prices_of(instrument))) or passes(order, instrument.reach or {})


# Trailing -------------------------------------------------------------------------------------------------------------


def trailing(instrument: Instrument, source: int, side: int) -> list[Order]:
    """The trailing orders of a source and side, latest first."""
    orders = [one for one in instrument.dormant if one.is_trailing and (one.trigger, one.side) == (source, side)]
    return sorted(orders, key=lambda order: -order.serial)


def would_follow(order: Order, reach: Reach) -> bool:
    """Whether a trailing order would follow its source through the reach."""
    if order.trigger not in reach:
        return False
    low, high = reach[order.trigger]
    return high > order.extreme_ticks if order.side == Side.SELL else low < order.extreme_ticks


def first_extreme(instrument: Instrument, order: Order) -> int:
    """Where a new trailing order begins: at the present price, or with the latest of its list if that is behind it."""
    prices = prices_of(instrument)
    others = trailing(instrument, order.trigger, order.side)
    if others and would_follow(others[0], reach_of(prices)):
        return others[0].extreme_ticks
    return prices[order.trigger]


def trail_after(instrument: Instrument, order: Order, extreme_ticks: int) -> None:
    """Set a trailing order's trigger by the extreme that it follows."""
    order.extreme_ticks = extreme_ticks
    distance = order.trail
    if order.trail_unit == TrailUnit.BASIS_POINTS:
        distance = -(-extreme_ticks * order.trail // BPS)
    if order.side == Side.SELL:
        order.trigger_price_ticks = max(extreme_ticks - distance, 0)
    else:
        order.trigger_price_ticks = min(extreme_ticks + distance, int(instrument.document["max_price_ticks"]))


def limit_from_trigger(instrument: Instrument, order: Order) -> int:
    """The limit of a trailing stop-limit, counted from its trigger as it stands."""
    step, highest = int(instrument.document["tick_step"]), int(instrument.document["max_price_ticks"])
    if order.side == Side.SELL:
        limit = max(order.trigger_price_ticks - order.price_ticks, 1)
        return max(limit - limit % step, step)
    limit = min(order.trigger_price_ticks + order.price_ticks, highest)
    if order.hold_price_ticks:
        limit = min(limit, order.hold_price_ticks)
    return limit - limit % step if limit >= step else limit


# Settling -------------------------------------------------------------------------------------------------------------


def settle(venue: Venue, instrument: Instrument) -> None:
    """Look at the prices of an open instrument: it may become busy, and what it has reached may widen."""
    if not instrument.is_open:
        return
    path, lots = instrument.path, instrument.traded_lots
    instrument.path, instrument.traded_lots = [], 0
    if watching.look(venue, instrument, path, lots):
        return
    prices = prices_of(instrument)
    for last in dict.fromkeys([path[0], path[-1]] if path else [instrument.last_price_ticks]):
        look(venue, instrument, reach_of(prices | {int(TriggerSource.LAST): last} if last else prices))
    if instrument.entering:
        venue.make_busy(instrument)


def look(venue: Venue, instrument: Instrument, seen: Reach) -> None:
    """Look at one set of prices."""
    if instrument.reach is not None:
        widen(instrument.reach, seen)
    elif any(passes(one, seen) or (one.is_trailing and would_follow(one, seen)) for one in instrument.dormant):
        instrument.reach = seen
        venue.make_busy(instrument)


# Draining -------------------------------------------------------------------------------------------------------------


def next_step(venue: Venue, instrument: Instrument) -> Step:
    """The next step of a busy instrument."""

    def step(do: Callable[[Venue, Instrument, Order], int], order: Order) -> Step:
        return Step(lambda: do(venue, instrument, order), instrument.busy_origin)

    if instrument.is_open:
        order = next_to_activate(instrument)
        if order is not None:
            return step(activate, order)
        if instrument.reach is not None:
            widen(instrument.targets, instrument.reach)
            instrument.reach = reach_of(prices_of(instrument))
    order = next_in_walk(instrument)
    if order is None and instrument.is_open:
        order = next_to_follow(instrument)
    if order is not None:
        return step(follow_target, order)
    return Step(lambda: finish(venue, instrument), instrument.busy_origin)


def next_to_activate(instrument: Instrument) -> Order | None:
    """The first order that enters or whose trigger lies within the reach."""
    if instrument.entering:
        return instrument.entering[0]
    reached = [order for order in instrument.dormant if passes(order, instrument.reach or {})]

    def urgency(order: Order) -> tuple[int, bool, int]:
        price = order.trigger_price_ticks
        return order.trigger, is_up(order), price if is_up(order) else -price

    return min(reached, key=urgency, default=None)


def activate(venue: Venue, instrument: Instrument, order: Order) -> int:
    """Let an order meet the book that waited for it; return the units."""
    if order.is_dormant:
        trigger(venue, instrument, order)
    else:
        venue.put(order, Place.NOWHERE)
    venue.emit_order(EventKind.ORDER_TRIGGERED, order, order.flags)
    met = aggress(venue, order)
    settle(venue, instrument)
    return schema.TRIGGER_UNITS + met * schema.WORK_UNITS_PER_ORDER


def trigger(venue: Venue, instrument: Instrument, order: Order) -> None:
    """Make a dormant order what it is once triggered."""
    venue.put(order, Place.NOWHERE)
    limit_leg = unlink(order)
    if limit_leg is not None:
        venue.cancel(limit_leg, CancelReason.LINKED)
    if order.order_type in LIMIT_ONCE_TRIGGERED:
        if order.is_trailing:
            order.price_ticks = limit_from_trigger(instrument, order)
        order.order_type = OrderType.LIMIT
        order.limit_ticks = order.hold_price_ticks = order.price_ticks
    else:
        order.order_type, order.time_in_force = OrderType.MARKET, TimeInForce.IOC
        bounds = instrument.bounds()
        if order.side == Side.BUY:
            order.limit_ticks = min(order.hold_price_ticks, bounds[1] if bounds else order.hold_price_ticks)
        else:
            order.limit_ticks = max(bounds[0], 1) if bounds else 1
    order.trigger = order.trigger_price_ticks = order.trail = order.trail_unit = order.extreme_ticks = 0
    venue.rehold(order)


def next_in_walk(instrument: Instrument) -> Order | None:
    """The order with which an interrupted walk through a trailing list goes on; if none would follow, it is over."""
    walk = instrument.walk
    if walk is None:
        return None
    older = [one for one in trailing(instrument, walk.source, walk.side) if one.serial < walk.serial]
    if older and would_follow(older[0], instrument.targets):
        return older[0]
    instrument.walk = None
    return None


def next_to_follow(instrument: Instrument) -> Order | None:
    """The latest order of the first trailing list that would follow the targets."""
    for source in TriggerSource:
        for side in (Side.SELL, Side.BUY):
            orders = trailing(instrument, source, side)
            if orders and would_follow(orders[0], instrument.targets):
                return orders[0]
    return None


def follow_target(venue: Venue, instrument: Instrument, order: Order) -> int:
    """Let a trailing order follow; return the units."""
    low, high = instrument.targets[order.trigger]
    trail_after(instrument, order, high if order.side == Side.SELL else low)
    venue.put(order, Place.DORMANT)
    instrument.walk = Walk(order.trigger, order.side, order.serial)
    return schema.WORK_UNITS_PER_ORDER


def finish(venue: Venue, instrument: Instrument) -> int:
    """Nothing is left to do: the instrument is busy no more."""
    instrument.reach, instrument.targets, instrument.walk = None, {}, None
    venue.busy.remove(instrument)
    return 0
