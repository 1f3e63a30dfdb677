"""Extras: what special orders have beside their record, and the lists of orders that end with a phase.

An order is special when it waits, hides, expires, belongs to another or rests for an auction. Its extra's slot stands
beside its hash, in a word that is rebuilt on load; the extra itself, with the lists it is in, is primary.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import layout as lay
from kk99.core.copying import touch, touch_extra
from kk99.core.memory import (
    add,
    high,
    inlined,
    kernel,
    load,
    load_high,
    load_low,
    low,
    pair,
    store,
    store_high,
    store_low,
)

AT_CLOSE = schema.TimeInForce.AT_CLOSE.value
CALL = schema.MarketState.CALL.value
CLOSING = schema.CallPurpose.CLOSING.value


@inlined
def is_special(m: Any, order_at: int) -> bool:
    """Return whether an order has an extra."""
    return load(m, order_at + lay.O_TERMS) & lay.SPECIAL != 0


@inlined
def of(m: Any, order_at: int) -> int:
    """Return the place of a special order's extra, whose words may then change."""
    at = lay.extra(load_high(m, order_at + lay.O_HASH))
    touch_extra(m, at)
    return at


@kernel
def attach(m: Any, slot: int) -> int:
    """Give an order an empty extra; return its place. The order's client id is indexed already."""
    extra = -load(m, lay.HEADER + lay.H_EXTRA_FREE)
    if extra != 0:
        store(m, lay.HEADER + lay.H_EXTRA_FREE, load(m, lay.extra(extra) + lay.X_ORDER))
    else:
        extra = load(m, lay.HEADER + lay.H_EXTRA_TOP) + 1
        store(m, lay.HEADER + lay.H_EXTRA_TOP, extra)
    order_at = lay.order(slot)
    touch(m, order_at)
    store(m, order_at + lay.O_TERMS, load(m, order_at + lay.O_TERMS) | lay.SPECIAL)
    store_high(m, order_at + lay.O_HASH, extra)
    extra_at = of(m, order_at)
    store(m, extra_at + lay.X_ORDER, slot)
    return extra_at


@kernel
def detach(m: Any, slot: int) -> None:
    """Free an order's extra, which is in no list any more."""
    order_at = lay.order(slot)
    extra = load_high(m, order_at + lay.O_HASH)
    at = of(m, order_at)
    for word in range(lay.EXTRA_WORDS):
        store(m, at + word, 0)
    store(m, at + lay.X_ORDER, load(m, lay.HEADER + lay.H_EXTRA_FREE))
    store(m, lay.HEADER + lay.H_EXTRA_FREE, -extra)
    touch(m, order_at)
    store(m, order_at + lay.O_TERMS, load(m, order_at + lay.O_TERMS) & ~lay.SPECIAL)


@kernel
def timed_add(m: Any, slot: int, which: int) -> None:
    """Put a special order at the end of its instrument's DAY (0), AT_OPEN (1) or AT_CLOSE (2) orders."""
    order_at = lay.order(slot)
    at = of(m, order_at)
    list_at = lay.instrument(high(load(m, order_at + lay.O_OWNER))) + lay.I_TIMED + which
    ends = load(m, list_at)
    last = high(ends)
    store(m, at + lay.X_TIMED_LINKS, pair(0, last))
    store_high(m, at + lay.X_PLACE, which + 1)
    if last == 0:
        store(m, list_at, pair(slot, slot))
    else:
        store_low(m, of(m, lay.order(last)) + lay.X_TIMED_LINKS, slot)
        store(m, list_at, pair(low(ends), slot))


@kernel
def timed_remove(m: Any, slot: int) -> None:
    """Take a special order out of its timed list, if it is in one."""
    order_at = lay.order(slot)
    at = of(m, order_at)
    which = load_high(m, at + lay.X_PLACE) - 1
    if which < 0:
        return
    instrument_at = lay.instrument(high(load(m, order_at + lay.O_OWNER)))
    list_at = instrument_at + lay.I_TIMED + which
    links = load(m, at + lay.X_TIMED_LINKS)
    following = low(links)
    before = high(links)
    if load(m, instrument_at + lay.I_EXPIRING + which) == slot:
        store(m, instrument_at + lay.I_EXPIRING + which, before)
    if before == 0:
        store_low(m, list_at, following)
    else:
        store_low(m, of(m, lay.order(before)) + lay.X_TIMED_LINKS, following)
    if following == 0:
        store_high(m, list_at, before)
    else:
        store_high(m, of(m, lay.order(following)) + lay.X_TIMED_LINKS, before)
    store_high(m, at + lay.X_PLACE, 0)


@inlined
def waits(m: Any, instrument_at: int, force: int) -> bool:
    """Return whether an order of a time in force that comes in now waits for the closing call."""
    if force != AT_CLOSE:
        return False
    return load(m, instrument_at + lay.I_STATE) != CALL or load(m, instrument_at + lay.I_CALL) != CLOSING


@kernel
def wait(m: Any, slot: int) -> None:
    """Let an AT_CLOSE order, that is in its list, wait for its call; a price level is kept for it."""
    order_at = lay.order(slot)
    store_low(m, of(m, order_at) + lay.X_PLACE, lay.P_WAITING)
    first_at = lay.instrument(high(load(m, order_at + lay.O_OWNER))) + lay.I_WAITING
    first = load(m, first_at)
    if first == 0 or load(m, lay.order(first) + lay.O_ENTRY_SEQ) > load(m, order_at + lay.O_ENTRY_SEQ):
        store(m, first_at, slot)
    add(m, lay.S_LEVELS, 1)


@kernel
def stop_waiting(m: Any, slot: int) -> None:
    """Let an order that waits for its call, and is in its list still, rest or end."""
    order_at = lay.order(slot)
    store_low(m, of(m, order_at) + lay.X_PLACE, lay.P_RESTING)
    add(m, lay.S_LEVELS, -1)
    first_at = lay.instrument(high(load(m, order_at + lay.O_OWNER))) + lay.I_WAITING
    if load(m, first_at) != slot:
        return
    while slot != 0 and place_of(m, of(m, lay.order(slot))) != lay.P_WAITING:
        slot = load_low(m, of(m, lay.order(slot)) + lay.X_TIMED_LINKS)
    store(m, first_at, slot)


@inlined
def place_of(m: Any, extra_at: int) -> int:
    """Return where a special order waits: one of P_RESTING to P_SCHEDULED, or P_BOOK plus a trigger book's number."""
    return load_low(m, extra_at + lay.X_PLACE)


@inlined
def is_dormant(m: Any, extra_at: int) -> bool:
    """Return whether a special order waits for its trigger."""
    return lay.P_BOOK <= load_low(m, extra_at + lay.X_PLACE) < lay.P_BOOK + lay.ENTERING


@inlined
def holds_nothing(m: Any, extra_at: int) -> bool:
    """Return whether the other leg holds for this one: it is the dormant stop leg of a linked pair."""
    return load(m, extra_at + lay.X_LINKED) != 0 and is_dormant(m, extra_at)


@inlined
def hold_price(m: Any, order_at: int) -> int:
    """Return the price at which an order's open quantity is held."""
    if is_special(m, order_at):
        return load(m, of(m, order_at) + lay.X_HOLD_PRICE)
    return load(m, order_at + lay.O_PRICE)


@inlined
def resting_price(m: Any, order_at: int) -> int:
    """Return the price at which an order rests: its limit, or of a market order that waits for an auction its bound."""
    price = load(m, order_at + lay.O_PRICE)
    return price if price != 0 else load(m, of(m, order_at) + lay.X_HOLD_PRICE)
