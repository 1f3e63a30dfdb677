"""Draining a busy instrument: dormant orders whose trigger passed are activated, trailing ones follow, one a step."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import ending, entry, extras, ledger, linked, triggers
from kk99.core import layout as lay
from kk99.core.copying import touch
from kk99.core.memory import far, high, inlined, kernel, load, low, pair, store

BUY = schema.Side.BUY.value
SELL = schema.Side.SELL.value
MARKET = schema.OrderType.MARKET.value
IOC = schema.TimeInForce.IOC.value
OPEN = schema.MarketState.OPEN.value
TRAILING_STOP_LIMIT = schema.OrderType.TRAILING_STOP_LIMIT.value
E_TRIGGERED = schema.EventKind.ORDER_TRIGGERED.value
UNITS = schema.TRIGGER_UNITS
UNITS_PER_ORDER = schema.WORK_UNITS_PER_ORDER
NOTHING = -1


@far
def step(m: Any, instrument_id: int) -> int:
    """Do one step of a busy instrument; return its units, or NOTHING when there is none left."""
    at = lay.instrument(instrument_id)
    if load(m, at + lay.I_STATE) != OPEN:
        if _goes_on(m, at):
            return UNITS_PER_ORDER
        triggers.drop_reach(m, at)
        return NOTHING
    number = _in_reach(m, at)
    if number >= 0:
        level = load(m, lay.trigger_book(instrument_id, number) + lay.L_BEST)
        return _activate(m, instrument_id, low(load(m, lay.level(level) + lay.V_QUEUE)))
    if load(m, at + lay.I_IN_REACH) != 0:
        _retarget(m, instrument_id)
        if _walk(m, at):
            return UNITS_PER_ORDER
    triggers.drop_reach(m, at)
    return NOTHING


@kernel
def _in_reach(m: Any, at: int) -> int:
    """Return the first of an instrument's trigger books with an order within the reach, or -1."""
    if load(m, at + lay.I_ENTERING) != 0:
        return lay.ENTERING
    if load(m, at + lay.I_IN_REACH) != 0:
        for number in range(0, lay.TRIGGER_BOOKS, 2):
            if load(m, at + lay.I_REACH + number) <= load(m, at + lay.I_TRIGGERS + number):
                return number
            if load(m, at + lay.I_REACH + number + 1) >= load(m, at + lay.I_TRIGGERS + number + 1):
                return number + 1
    return -1


# Activation -----------------------------------------------------------------------------------------------------------


@kernel
def _activate(m: Any, instrument_id: int, slot: int) -> int:
    """Activate a dormant order, or let one in from the entering queue; return the units that it cost."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    instrument_at = lay.instrument(instrument_id)
    terms = load(m, order_at + lay.O_TERMS)
    side = terms & 0xFF
    enters = extras.place_of(m, extra_at) == lay.P_BOOK + lay.ENTERING
    trails = triggers.is_trailing(m, extra_at)
    if trails:
        triggers.trail_remove(m, slot)
    triggers.remove(m, slot)
    held = linked.hold_of(m, order_at)
    if not enters:
        if load(m, extra_at + lay.X_LINKED) != 0:
            held = 0  # the other leg held for both
            ending.cancel_linked(m, extra_at)
            store(m, extra_at + lay.X_LINKED, 0)
        _become(m, instrument_at, slot, trails)
    limit = load(m, extra_at + lay.X_HOLD_PRICE)
    if enters:
        limit = load(m, order_at + lay.O_PRICE)
    elif high(load(m, extra_at + lay.X_SOURCE)) == MARKET:
        bound = entry.market_limit(m, instrument_at, side)
        limit = min(limit, bound) if side == BUY else bound
    after = linked.hold_of(m, order_at)
    ledger.hold(m, low(load(m, order_at + lay.O_BALANCES)), after - held)
    linked.accepted(m, E_TRIGGERED, order_at, 0, after)
    entry.aggress_far(m, slot, limit, load(m, extra_at + lay.X_HOLD_PRICE), 0, 0)
    triggers.settle(m, instrument_id)
    return UNITS + UNITS_PER_ORDER * load(m, lay.S_MET)


@inlined
def _become(m: Any, instrument_at: int, slot: int, trails: bool) -> None:
    """Give a triggered order its type, time in force, price and hold price."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    terms = load(m, order_at + lay.O_TERMS)
    order_type = high(load(m, extra_at + lay.X_SOURCE))
    touch(m, order_at)
    if order_type == MARKET:
        terms = terms & ~(0xFFFF << 8) | MARKET << 8 | IOC << 16
        store(m, order_at + lay.O_PRICE, 0)
    else:
        limit = load(m, extra_at + lay.X_LIMIT)
        if trails:
            trigger = load(m, extra_at + lay.X_TRIGGER)
            most = load(m, extra_at + lay.X_HOLD_PRICE)
            limit = triggers.trail_limit(m, instrument_at, terms & 0xFF, trigger, limit, most)
        terms = terms & ~(0xFF << 8) | order_type << 8
        store(m, order_at + lay.O_PRICE, limit)
        store(m, extra_at + lay.X_HOLD_PRICE, limit)
    store(m, order_at + lay.O_TERMS, terms)
    store(m, extra_at + lay.X_SHOWN, 0)
    store(m, extra_at + lay.X_DISPLAY, 0)
    store(m, extra_at + lay.X_REFILL, 0)


# Trailing -------------------------------------------------------------------------------------------------------------


@kernel
def _retarget(m: Any, instrument_id: int) -> None:
    """Widen the targets of the trailing orders by the reach, and set the reach to the present prices."""
    at = lay.instrument(instrument_id)
    is_first = load(m, at + lay.I_HAS_TARGETS) == 0
    for source in range(triggers.SOURCES):
        lowest = load(m, at + lay.I_REACH + 2 * source)
        highest = load(m, at + lay.I_REACH + 2 * source + 1)
        if not is_first:
            highest = max(highest, load(m, at + lay.I_TARGETS + 2 * source))
            lowest = min(lowest, load(m, at + lay.I_TARGETS + 2 * source + 1))
        store(m, at + lay.I_TARGETS + 2 * source, highest)
        store(m, at + lay.I_TARGETS + 2 * source + 1, lowest)
    store(m, at + lay.I_HAS_TARGETS, 1)
    triggers.reach_present(m, instrument_id, load(m, at + lay.I_LAST))


@inlined
def _moves(m: Any, at: int, number: int, slot: int) -> bool:
    """Return whether a trailing order of a list (0: none) would follow the list's target."""
    target = load(m, at + lay.I_TARGETS + number)
    if number & 1 != 0:
        return target != lay.NEVER_UP and triggers.follows(m, slot, target, BUY)
    return triggers.follows(m, slot, target, SELL)


@kernel
def _goes_on(m: Any, at: int) -> bool:
    """Let the next trailing order of a walk that was begun follow; return whether there was one."""
    walk = load(m, at + lay.I_TRAIL_WALK)
    if walk == 0:
        return False
    if _moves(m, at, high(walk) - 1, low(walk)):
        _follow(m, at, high(walk) - 1, low(walk))
        return True
    store(m, at + lay.I_TRAIL_WALK, 0)
    return False


@kernel
def _walk(m: Any, at: int) -> bool:
    """Let the next trailing order follow; return whether there was one."""
    if _goes_on(m, at):
        return True
    for number in range(2 * triggers.SOURCES):
        slot = load(m, at + lay.I_TRAILING + number)
        if _moves(m, at, number, slot):
            _follow(m, at, number, slot)
            return True
    return False


@kernel
def _follow(m: Any, at: int, number: int, slot: int) -> None:
    """Let a trailing order follow its list's target, and the walk go on behind it."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    target = load(m, at + lay.I_TARGETS + number)
    side = load(m, order_at + lay.O_TERMS) & 0xFF
    trigger = triggers.trail_trigger(m, at, side, load(m, extra_at + lay.X_TRAIL), target)
    store(m, extra_at + lay.X_EXTREME, target)
    store(m, at + lay.I_TRAIL_WALK, pair(low(load(m, extra_at + lay.X_TRAIL_LINKS)), number + 1))
    book = extras.place_of(m, extra_at) - lay.P_BOOK
    triggers.remove(m, slot)
    store(m, extra_at + lay.X_TRIGGER, trigger)
    triggers.insert(m, slot, book, trigger)
