"""Copying the orders while commands go on: a record is copied before its first change, the rest in slices.

A copy begins between two batches and is of the orders as they stand then. Its cursor walks up the table in slices,
between the batches that follow; a record ahead of the cursor that is about to change is copied first and marked, and
the cursor passes over it. The copy lies in the memory's last table, each record at its own place.

Invariant: whatever changes a word of an order's record that is not derived calls `touch` with the record's place
before, in the same command; what fills a new order's record relies on `orders.take_slot`, which does.
"""

from __future__ import annotations

from typing import Any, Final

from kk99.core import layout as lay
from kk99.core.memory import apart, high, inlined, load, low, store, unlikely
from kk99.core.memory import entry as compiled

COPY: Final = lay.COPIED_ORDERS - lay.ORDERS  # how far a record's copy lies from it


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
def _copy_record(m: Any, order_at: int) -> None:
    for word in range(lay.ORDER_WORDS):
        store(m, order_at + COPY + word, load(m, order_at + word))


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


@compiled
def begin_orders(m: Any, c: Any) -> int:
    """Begin a copy of the orders as they stand, in place of the last one; return its number."""
    number = load(m, lay.S_COPIES) + 1
    store(m, lay.S_COPIES, number)
    store(m, lay.S_COPY, -number)  # marks what is copied ahead, in place of a hash, which is never below 0
    store(m, lay.S_COPY_FROM, lay.ORDERS)
    store(m, lay.S_COPY_END, lay.ORDERS + (load(m, lay.HEADER + lay.H_ORDER_TOP) + 1) * lay.ORDER_WORDS)
    return number


@compiled
def copy_orders(m: Any, c: Any, count: int) -> int:
    """Copy so many more of the orders of a copy under way; return how many are left."""
    order_at = load(m, lay.S_COPY_FROM)
    end = load(m, lay.S_COPY_END)
    stop = min(order_at + count * lay.ORDER_WORDS, end)
    mark = load(m, lay.S_COPY)
    while order_at < stop:
        if load(m, order_at + COPY + lay.O_HASH) != mark:
            _copy_record(m, order_at)
        order_at += lay.ORDER_WORDS
    store(m, lay.S_COPY_FROM, stop)
    if stop == end:
        store(m, lay.S_COPY, 0)
    return (end - stop) // lay.ORDER_WORDS
