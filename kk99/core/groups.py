"""Market groups: an index that falls too far below its last close halts all instruments of its group.

They are visited step by step, as pending work: a group with visits left stands in a first-in first-out list.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import breaker, output, phases
from kk99.core import breaker_layout as bl
from kk99.core import layout as lay
from kk99.core.memory import far, high, inlined, kernel, load, low, pair, store
from kk99.schema import RejectCode as R

OPEN = schema.MarketState.OPEN.value
HALTED = schema.MarketState.HALTED.value
CALL = schema.MarketState.CALL.value
UNCROSSING = schema.MarketState.UNCROSSING.value
RECOVERY = schema.CallPurpose.RECOVERY.value
SELL = schema.Side.SELL.value
BY_GROUP = schema.StateReason.MARKET_WIDE.value
R_MARKET_WIDE = schema.BreakerReason.MARKET_WIDE.value
E_GROUP_INDEX = schema.EventKind.GROUP_INDEX_CHANGED.value
C_CLOSE = schema.word_of(schema.COMMAND, "close_price_ticks")
PPM = schema.PPM
PRICE_MAX = schema.PRICE_TICKS_MAX
UNITS_PER_ORDER = schema.WORK_UNITS_PER_ORDER
DAY_NS = 86_400_000_000_000
LEVELS = 3


@kernel
def _fall(m: Any, group_at: int) -> int:
    """Return how far a group's index is below its last close, in millionths."""
    index = load(m, group_at + bl.G_INDEX)
    close = load(m, group_at + bl.G_CLOSE)
    return (close - index) * PPM // close if 0 < index < close else 0


@kernel
def _check(m: Any, group: int, index: int, close: int) -> int:
    if group < 1 or group > load(m, lay.HEADER + lay.H_MARKET_GROUPS):
        return R.INSTRUMENT_UNKNOWN.value
    if index < 0 or close < 0 or index | close == 0:
        return R.PRICE_INVALID.value
    return R.PRICE_ABOVE_MAX.value if index > PRICE_MAX or close > PRICE_MAX else 0


@far
def index_price(m: Any, c: Any, at: int) -> None:
    """Take a group's index, its last close or both, or reject them."""
    group = load(c, at + output.C_TARGET_LO)
    index = load(c, at + output.C_PRICE)
    close = load(c, at + C_CLOSE)
    code = _check(m, group, index, close)
    if code != 0:
        output.reject(m, c, at, code)
        return
    group_at = lay.group(group)
    if close != 0:
        store(m, group_at + bl.G_CLOSE, close)
    if index != 0:
        store(m, group_at + bl.G_INDEX, index)
    fall = _fall(m, group_at)
    price = load(m, group_at + bl.G_INDEX)
    breaker.tell(m, E_GROUP_INDEX, 0, group, price, fall, load(m, group_at + bl.G_CLOSE))
    if index != 0:
        _look(m, group, fall)


@kernel
def _look(m: Any, group: int, fall: int) -> None:
    """Halt a group if its index fell to a level not yet reached on this day."""
    group_at = lay.group(group)
    day = breaker.now(m) // DAY_NS
    if load(m, group_at + bl.G_DAY) != day:
        store(m, group_at + bl.G_DAY, day)
        store(m, group_at + bl.G_REACHED, 0)
    reached = 0
    for level in range(1, LEVELS + 1):
        threshold = load(m, group_at + bl.G_LEVELS + level - 1)
        if threshold != 0 and fall >= threshold:
            reached = level
    if reached <= load(m, group_at + bl.G_REACHED):
        return
    store(m, group_at + bl.G_REACHED, reached)
    until_ns = breaker.now(m) + load(m, group_at + bl.G_HALT_NS)
    if reached == LEVELS:
        until_ns = (day + 1) * DAY_NS
    threshold = load(m, group_at + bl.G_LEVELS + reached - 1)
    price = load(m, group_at + bl.G_INDEX)
    store(m, group_at + bl.G_UNTIL_NS, until_ns)
    store(m, group_at + bl.G_PRICE, price)
    store(m, group_at + bl.G_FALL, fall)
    store(m, group_at + bl.G_THRESHOLD, threshold)
    store(m, group_at + bl.G_ORIGIN, load(m, lay.S_ORIGIN))
    breaker.tell_halt(m, 0, group, R_MARKET_WIDE, SELL, price, fall, threshold, until_ns)
    _join(m, group)


# Visits ---------------------------------------------------------------------------------------------------------------


@inlined
def _join(m: Any, group: int) -> None:
    """Let the visits of a group begin, at the end of the list, or again in its place there."""
    group_at = lay.group(group)
    is_listed = load(m, group_at + bl.G_VISIT) != 0
    store(m, group_at + bl.G_VISIT, 1)
    if is_listed:
        return
    ends = load(m, lay.HEADER + lay.H_HALTING)
    if ends == 0:
        store(m, lay.HEADER + lay.H_HALTING, pair(group, group))
    else:
        store(m, lay.group(high(ends)) + bl.G_NEXT, group)
        store(m, lay.HEADER + lay.H_HALTING, pair(low(ends), group))


@inlined
def _leave(m: Any) -> None:
    """Take the group in front out of the list."""
    ends = load(m, lay.HEADER + lay.H_HALTING)
    group_at = lay.group(low(ends))
    following = load(m, group_at + bl.G_NEXT)
    store(m, group_at + bl.G_VISIT, 0)
    store(m, group_at + bl.G_NEXT, 0)
    store(m, lay.HEADER + lay.H_HALTING, pair(following, high(ends)) if following != 0 else 0)


@kernel
def _is_to_halt(m: Any, instrument_at: int, breaker_at: int) -> bool:
    """Return whether a market trades, or is on its way to."""
    state = load(m, instrument_at + lay.I_STATE)
    if state == OPEN or state == CALL or load(m, breaker_at + bl.B_STEP) != 0:
        return True
    wanted = low(load(m, instrument_at + lay.I_WANTED))
    return state == UNCROSSING and (wanted == OPEN or wanted == CALL)


@kernel
def _ends_in(m: Any, instrument_at: int, breaker_at: int) -> int:
    """Return what a market that is halted with its group is to end in."""
    if load(m, breaker_at + bl.B_STEP) != 0:
        return load(m, breaker_at + bl.B_ENDS_IN)
    state = load(m, instrument_at + lay.I_STATE)
    purpose = load(m, instrument_at + lay.I_CALL)
    if state == CALL and purpose != RECOVERY:
        return pair(CALL, purpose)
    wanted = load(m, instrument_at + lay.I_WANTED)
    return wanted if state == UNCROSSING and low(wanted) == CALL else OPEN


@kernel
def _halt(m: Any, instrument_id: int) -> None:
    """Halt an instrument with its group."""
    at = lay.instrument(instrument_id)
    state = load(m, at + lay.I_STATE)
    breaker.hold(m, instrument_id, _ends_in(m, at, breaker.of(m, at)))
    if state == UNCROSSING:
        store(m, at + lay.I_WANTED, HALTED)
    elif state == HALTED:
        output.market_state(m, instrument_id, HALTED, 0, BY_GROUP)
    else:
        phases.enter(m, instrument_id, HALTED, 0, BY_GROUP)


@far
def visit(m: Any, units: int) -> int:
    """Visit the next breaker for the group in front; return its units, 0 at the end, -1 when none are left for it."""
    group = low(load(m, lay.HEADER + lay.H_HALTING))
    group_at = lay.group(group)
    store(m, lay.S_ORIGIN, load(m, group_at + bl.G_ORIGIN))
    number = load(m, group_at + bl.G_VISIT)
    if number > load(m, lay.HEADER + lay.H_BREAKERS):
        _leave(m)
        return 0
    if units <= 0:
        return -1
    store(m, group_at + bl.G_VISIT, number + 1)
    breaker_at = lay.breaker(number)
    instrument_id = load(m, breaker_at + bl.B_INSTRUMENT)
    if load(m, breaker_at + bl.B_GROUP) != group or not _is_to_halt(m, lay.instrument(instrument_id), breaker_at):
        return 1
    _halt(m, instrument_id)
    return UNITS_PER_ORDER
