"""Busy instruments: a first-in first-out list of those with steps of work to do."""

from __future__ import annotations

from typing import Any

from kk99.core import layout as lay
from kk99.core.memory import high, inlined, kernel, load, low, pair, store


@inlined
def first(m: Any) -> int:
    """Return the busy instrument in front, 0: none."""
    return low(load(m, lay.HEADER + lay.H_BUSY))


@kernel
def join(m: Any, instrument_id: int) -> None:
    """Put an instrument at the end of the list, unless it is in it."""
    at = lay.instrument(instrument_id)
    if load(m, at + lay.I_BUSY) != 0:
        return
    store(m, at + lay.I_BUSY, 1)
    store(m, at + lay.I_BUSY_ORIGIN, load(m, lay.S_ORIGIN))
    ends = load(m, lay.HEADER + lay.H_BUSY)
    last = high(ends)
    if last == 0:
        store(m, lay.HEADER + lay.H_BUSY, pair(instrument_id, instrument_id))
    else:
        store(m, lay.instrument(last) + lay.I_BUSY_NEXT, instrument_id)
        store(m, lay.HEADER + lay.H_BUSY, pair(low(ends), instrument_id))


@kernel
def leave(m: Any) -> None:
    """Take the instrument in front out of the list."""
    ends = load(m, lay.HEADER + lay.H_BUSY)
    at = lay.instrument(low(ends))
    following = load(m, at + lay.I_BUSY_NEXT)
    store(m, lay.HEADER + lay.H_BUSY, pair(following, high(ends) if following != 0 else 0))
    store(m, at + lay.I_BUSY, 0)
    store(m, at + lay.I_BUSY_NEXT, 0)
    store(m, at + lay.I_BUSY_ORIGIN, 0)
