"""The records of scheduled orders: terms, progress and slices, which their orders' extras lead to.

A document's schedule is staged in the memory before the core judges it; what is accepted becomes a record. Both are
plain numbers; what a release does stands in `releasing`.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import extras, timers
from kk99.core import layout as lay
from kk99.core.memory import add, far, inlined, kernel, load, store, store_low

STAGED_START_NS = lay.STAGED
STAGED_END_NS = lay.STAGED + 1
STAGED_PPM = lay.STAGED + 2
STAGED_COUNT = lay.STAGED + 3
STAGED_SLICES = lay.STAGED + 4  # offset and quantity of each


@inlined
def of(m: Any, order_at: int) -> int:
    """Return the number of a scheduled order's record."""
    return load(m, extras.of(m, order_at) + lay.X_ALGO)


@inlined
def full(m: Any) -> bool:
    """Return whether there is no room for one more."""
    return load(m, lay.HEADER + lay.H_ALGOS) >= schema.ALGOS_MAX


@kernel
def is_schedule(m: Any, start_ns: int, qty: int) -> bool:
    """Return whether the staged slices rise in time, begin before the staged end, and are so many lots together."""
    duration_ns = load(m, STAGED_END_NS) - start_ns
    before_ns = -1
    left = qty
    for place in range(load(m, STAGED_COUNT)):
        offset_ns = load(m, STAGED_SLICES + 2 * place)
        slice_qty = load(m, STAGED_SLICES + 2 * place + 1)
        if offset_ns <= before_ns or offset_ns >= duration_ns or slice_qty > left:
            return False
        before_ns = offset_ns
        left -= slice_qty
    return left == 0


@kernel
def attach(m: Any, slot: int, start_ns: int) -> int:
    """Give a special order the staged schedule, which begins at a time; return its record's number."""
    number = -load(m, lay.HEADER + lay.H_ALGO_FREE)
    if number != 0:
        store(m, lay.HEADER + lay.H_ALGO_FREE, load(m, lay.algo(number) + lay.Q_ORDER))
    else:
        number = load(m, lay.HEADER + lay.H_ALGO_TOP) + 1
        store(m, lay.HEADER + lay.H_ALGO_TOP, number)
    add(m, lay.HEADER + lay.H_ALGOS, 1)
    count = load(m, STAGED_COUNT)
    at = lay.algo(number)
    store(m, at + lay.Q_ORDER, slot)
    store(m, at + lay.Q_START_NS, start_ns)
    store(m, at + lay.Q_PPM, load(m, STAGED_PPM))
    store(m, at + lay.Q_COUNT, count)
    for word in range(2 * count):
        store(m, lay.slices(number) + word, load(m, STAGED_SLICES + word))
    extra_at = extras.of(m, lay.order(slot))
    store(m, extra_at + lay.X_ALGO, number)
    store_low(m, extra_at + lay.X_PLACE, lay.P_SCHEDULED)
    return number


@far
def detach(m: Any, slot: int) -> None:
    """Free a scheduled order's record and its release timer."""
    number = of(m, lay.order(slot))
    at = lay.algo(number)
    timers.disarm(m, load(m, at + lay.Q_TIMER))
    for word in range(2 * load(m, at + lay.Q_COUNT)):
        store(m, lay.slices(number) + word, 0)
    for word in range(lay.ALGO_WORDS):
        store(m, at + word, 0)
    store(m, at + lay.Q_ORDER, load(m, lay.HEADER + lay.H_ALGO_FREE))
    store(m, lay.HEADER + lay.H_ALGO_FREE, -number)
    add(m, lay.HEADER + lay.H_ALGOS, -1)


@kernel
def advance(m: Any, number: int, now_ns: int) -> int:
    """Count the slices that are due by now; return when the next one is, 0: there is none."""
    at = lay.algo(number)
    place = load(m, at + lay.Q_NEXT)
    elapsed_ns = now_ns - load(m, at + lay.Q_START_NS)
    count = load(m, at + lay.Q_COUNT)
    while place < count and load(m, lay.slices(number) + 2 * place) <= elapsed_ns:
        add(m, at + lay.Q_DUE, load(m, lay.slices(number) + 2 * place + 1))
        place += 1
    store(m, at + lay.Q_NEXT, place)
    if place == count:
        return 0
    return load(m, at + lay.Q_START_NS) + load(m, lay.slices(number) + 2 * place)
