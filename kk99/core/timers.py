"""Timers: a binary heap of the slots of those that are set, first due first, of equal due times the lower slot first.

A timer says when, of what kind and whose; its owner keeps the slot to disarm it. A freed slot is used again last freed
first. `H_NEXT_TIMER_NS` always tells when the first is due, so whether one is due costs one comparison.
"""

from __future__ import annotations

from typing import Any

from kk99.core import layout as lay
from kk99.core.memory import far, inlined, kernel, load, store

M_EXPIRY = 1  # of an order
M_PHASE = 2  # of an instrument: the next transition of its trading schedule
M_INDICATIVE = 3  # of an instrument: the next look at its auction
M_RECOVERY = 4  # of an instrument's breaker, as those below: the end of a step of its recovery
M_SPREAD = 5  # the spread has been wide for too long
M_SILENCE = 6  # no index price came for too long
M_STRESS = 7  # the next measure of stress
M_CORRELATION = 8  # the next sample
M_RELEASE = 9  # of a scheduled order


@inlined
def _is_earlier(m: Any, first: int, second: int) -> bool:
    """Return whether one timer fires before another."""
    first_ns = load(m, lay.timer(first) + lay.M_DUE_NS)
    second_ns = load(m, lay.timer(second) + lay.M_DUE_NS)
    return first_ns < second_ns or (first_ns == second_ns and first < second)


@inlined
def _put(m: Any, place: int, slot: int) -> None:
    """Let a timer stand at a place of the heap."""
    store(m, lay.TIMER_HEAP + place, slot)
    store(m, lay.timer(slot) + lay.M_PLACE, place)


@kernel
def _rise(m: Any, place: int, slot: int) -> None:
    """Put a timer at a free place, or above it as far as it is earlier than what stands there."""
    while place > 1:
        parent = load(m, lay.TIMER_HEAP + (place >> 1))
        if not _is_earlier(m, slot, parent):
            break
        _put(m, place, parent)
        place >>= 1
    _put(m, place, slot)


@kernel
def _sink(m: Any, place: int, slot: int, count: int) -> None:
    """Put a timer at a free place, or below it as far as what stands there is earlier."""
    child = 2 * place
    while child <= count:
        earlier = load(m, lay.TIMER_HEAP + child)
        if child < count:
            other = load(m, lay.TIMER_HEAP + child + 1)
            if _is_earlier(m, other, earlier):
                earlier = other
                child += 1
        if not _is_earlier(m, earlier, slot):
            break
        _put(m, place, earlier)
        place = child
        child = 2 * place
    _put(m, place, slot)


@kernel
def _take_out(m: Any, slot: int) -> None:
    """Take a timer out of the heap and free its slot; what it was for stays readable."""
    place = load(m, lay.timer(slot) + lay.M_PLACE)
    count = load(m, lay.HEADER + lay.H_TIMERS)
    last = load(m, lay.TIMER_HEAP + count)
    store(m, lay.HEADER + lay.H_TIMERS, count - 1)
    if last != slot:
        if place > 1 and _is_earlier(m, last, load(m, lay.TIMER_HEAP + (place >> 1))):
            _rise(m, place, last)
        else:
            _sink(m, place, last, count - 1)
    store(m, lay.timer(slot) + lay.M_PLACE, load(m, lay.HEADER + lay.H_TIMER_FREE))
    store(m, lay.HEADER + lay.H_TIMER_FREE, slot)
    _tell_next(m)


@inlined
def _tell_next(m: Any) -> None:
    next_ns = 0
    if load(m, lay.HEADER + lay.H_TIMERS) != 0:
        next_ns = load(m, lay.timer(load(m, lay.TIMER_HEAP + 1)) + lay.M_DUE_NS)
    store(m, lay.HEADER + lay.H_NEXT_TIMER_NS, next_ns)


@far
def arm(m: Any, kind: int, owner: int, due_ns: int) -> int:
    """Set a timer for an order slot or an instrument, due at a time above 0; return its slot."""
    slot = load(m, lay.HEADER + lay.H_TIMER_FREE)
    if slot != 0:
        store(m, lay.HEADER + lay.H_TIMER_FREE, load(m, lay.timer(slot) + lay.M_PLACE))
    else:
        slot = load(m, lay.HEADER + lay.H_TIMER_TOP) + 1
        store(m, lay.HEADER + lay.H_TIMER_TOP, slot)
    at = lay.timer(slot)
    store(m, at + lay.M_DUE_NS, due_ns)
    store(m, at + lay.M_OWNER, owner)
    store(m, at + lay.M_KIND, kind)
    count = load(m, lay.HEADER + lay.H_TIMERS) + 1
    store(m, lay.HEADER + lay.H_TIMERS, count)
    _rise(m, count, slot)
    _tell_next(m)
    return slot


@far
def disarm(m: Any, slot: int) -> None:
    """Take back a timer that has not fired; slot 0 is none."""
    if slot != 0:
        _take_out(m, slot)
        _clear(m, slot)


@inlined
def _clear(m: Any, slot: int) -> None:
    at = lay.timer(slot)
    store(m, at + lay.M_DUE_NS, 0)
    store(m, at + lay.M_OWNER, 0)
    store(m, at + lay.M_KIND, 0)


@inlined
def due(m: Any) -> bool:
    """Return whether a timer is due at the time of the command under way."""
    next_ns = load(m, lay.HEADER + lay.H_NEXT_TIMER_NS)
    return next_ns != 0 and next_ns <= load(m, lay.HEADER + lay.H_TIME_NS)


@far
def pop(m: Any) -> int:
    """Free the slot of the first timer and return it; its time, owner and kind can be read until the next `arm`."""
    slot = load(m, lay.TIMER_HEAP + 1)
    _take_out(m, slot)
    return slot
