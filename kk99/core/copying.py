"""Copying the orders and their extras while commands go on: a record before its first change, the rest in slices.

A copy begins between two batches and is of the records as they stand then. Its cursor walks up the tables in slices,
between the batches that follow; a record ahead of the cursor that is about to change is copied first and marked, and
the cursor passes over it. The copies lie in the memory's last tables, each record at its own place.

Invariants: whatever changes a word of an order's record that is not derived calls `touch` with the record's place
before, in the same command; what fills a new order's record relies on `orders.take_slot`, which does. An extra is
reached through `extras.of` alone, which calls `touch_extra`, whether it is to change or not.
"""

from __future__ import annotations

from typing import Any, Final

from kk99.core import layout as lay
from kk99.core.memory import apart, high, inlined, kernel, load, low, store, unlikely
from kk99.core.memory import entry as compiled

COPY: Final = lay.COPIED_ORDERS - lay.ORDERS  # how far a record's copy lies from it
EXTRA_COPY: Final = lay.COPIED_EXTRAS - lay.EXTRAS


@inlined
def touch(m: Any, order_at: int) -> None:
    """Announce a change of an order's record: what a copy under way has yet to copy of it is copied now."""
    if unlikely(load(m, lay.S_COPY) != 0):
        _preserve(m, order_at)


@inlined
def touch_neighbours(m: Any, order_at: int, links: int) -> None:
    """Announce that an order leaves a list: its neighbours there, in a word of its record, change."""
    if unlikely(load(m, lay.S_COPY) != 0):
        _preserve_neighbours(m, load(m, order_at + links))


@inlined
def touch_extra(m: Any, extra_at: int) -> None:
    """Announce a change of an extra, as `touch` does of an order's record."""
    if unlikely(load(m, lay.S_COPY) != 0):
        _preserve_extra(m, extra_at)


@inlined
def _copy_record(m: Any, order_at: int) -> None:
    for word in range(lay.ORDER_WORDS):
        store(m, order_at + COPY + word, load(m, order_at + word))


@inlined
def _copy_extra(m: Any, extra_at: int) -> None:
    for word in range(lay.EXTRA_WORDS):
        store(m, extra_at + EXTRA_COPY + word, load(m, extra_at + word))


@inlined
def _mark_of(extra_at: int) -> int:
    """Return the place of an extra's mark."""
    return lay.EXTRA_MARKS + (extra_at - lay.EXTRAS) // lay.EXTRA_WORDS


@apart
def _preserve(m: Any, order_at: int) -> None:
    """Copy a record that the cursor has yet to reach, and mark its copy, unless it is marked already."""
    if order_at < load(m, lay.S_COPY_FROM) or order_at >= load(m, lay.S_COPY_END):
        return
    mark = load(m, lay.S_COPY)
    if load(m, order_at + COPY + lay.O_HASH) != mark:
        _copy_record(m, order_at)
        store(m, order_at + COPY + lay.O_HASH, mark)


@apart
def _preserve_neighbours(m: Any, links: int) -> None:
    _preserve(m, lay.ORDERS + low(links) * lay.ORDER_WORDS)
    _preserve(m, lay.ORDERS + high(links) * lay.ORDER_WORDS)


@apart
def _preserve_extra(m: Any, extra_at: int) -> None:
    """Copy an extra that the cursor has yet to reach, and mark it, unless it is marked already."""
    if extra_at < load(m, lay.S_COPY_EXTRA) or extra_at >= load(m, lay.S_COPY_EXTRA_END):
        return
    mark = load(m, lay.S_COPY)
    if load(m, _mark_of(extra_at)) != mark:
        _copy_extra(m, extra_at)
        store(m, _mark_of(extra_at), mark)


@compiled
def begin(m: Any, c: Any) -> int:
    """Begin a copy of the orders and extras as they stand, in place of the last one; return its number."""
    number = load(m, lay.S_COPIES) + 1
    store(m, lay.S_COPIES, number)
    store(m, lay.S_COPY, -number)  # marks what is copied ahead, of an order in place of its hash, which is not below 0
    store(m, lay.S_COPY_FROM, lay.ORDERS)
    store(m, lay.S_COPY_END, lay.ORDERS + (load(m, lay.HEADER + lay.H_ORDER_TOP) + 1) * lay.ORDER_WORDS)
    store(m, lay.S_COPY_EXTRA, lay.EXTRAS)
    store(m, lay.S_COPY_EXTRA_END, lay.EXTRAS + (load(m, lay.HEADER + lay.H_EXTRA_TOP) + 1) * lay.EXTRA_WORDS)
    return number


@kernel
def _advance_orders(m: Any, count: int) -> int:
    """Copy so many more orders, or those that are left; return how many that were."""
    order_at = load(m, lay.S_COPY_FROM)
    stop = min(order_at + count * lay.ORDER_WORDS, load(m, lay.S_COPY_END))
    store(m, lay.S_COPY_FROM, stop)
    done = (stop - order_at) // lay.ORDER_WORDS
    mark = load(m, lay.S_COPY)
    while order_at < stop:
        if load(m, order_at + COPY + lay.O_HASH) != mark:
            _copy_record(m, order_at)
        order_at += lay.ORDER_WORDS
    return done


@kernel
def _advance_extras(m: Any, count: int) -> None:
    """Copy so many more extras, or those that are left."""
    extra_at = load(m, lay.S_COPY_EXTRA)
    stop = min(extra_at + count * lay.EXTRA_WORDS, load(m, lay.S_COPY_EXTRA_END))
    store(m, lay.S_COPY_EXTRA, stop)
    mark = load(m, lay.S_COPY)
    while extra_at < stop:
        if load(m, _mark_of(extra_at)) != mark:
            _copy_extra(m, extra_at)
        extra_at += lay.EXTRA_WORDS


@compiled
def advance(m: Any, c: Any, count: int) -> int:
    """Copy so many more of the orders, then extras, of a copy under way; return how many are left."""
    _advance_extras(m, count - _advance_orders(m, count))
    orders_left = (load(m, lay.S_COPY_END) - load(m, lay.S_COPY_FROM)) // lay.ORDER_WORDS
    left = orders_left + (load(m, lay.S_COPY_EXTRA_END) - load(m, lay.S_COPY_EXTRA)) // lay.EXTRA_WORDS
    if left == 0:
        store(m, lay.S_COPY, 0)
    return left
