"""The circuit breaker of an instrument: how it halts the market, and the bands outside of which nothing trades.

What it measures stands in `watching` and `sampling`, what follows a halt in `recovery`. An instrument without a breaker
pays for the two bounds of its bands alone, which then bound nothing.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import breaker_layout as bl
from kk99.core import layout as lay
from kk99.core import output, timers
from kk99.core.memory import far, inlined, kernel, load, pair, store

BUY = schema.Side.BUY.value
SELL = schema.Side.SELL.value
OPEN = schema.MarketState.OPEN.value
CANCEL_ONLY = schema.MarketState.CANCEL_ONLY.value
HALTED = schema.MarketState.HALTED.value
CLOSED = schema.MarketState.CLOSED.value
BY_BREAKER = schema.StateReason.BREAKER.value
R_STATIC_BAND = schema.BreakerReason.STATIC_BAND.value
R_DYNAMIC_BAND = schema.BreakerReason.DYNAMIC_BAND.value
R_MARKET_WIDE = schema.BreakerReason.MARKET_WIDE.value
E_TRIPPED = schema.EventKind.BREAKER_TRIPPED.value
E_ALERT = schema.EventKind.BREAKER_ALERT.value
REASON_SHIFT = schema.shift_of(schema.EVENT, "breaker_reason")
EXPIRE_WORD = schema.word_of(schema.EVENT, "expire_time_ns")
PPM = schema.PPM
STEP_CANCEL_ONLY = 1  # of a recovery
STEP_HALTED = 2  # with its market group
STEP_CALL = 3
STEP_EXTENDED = 4


@inlined
def of(m: Any, instrument_at: int) -> int:
    """Return the place of an instrument's breaker; it has one."""
    return lay.breaker(load(m, instrument_at + lay.I_BREAKER))


@inlined
def now(m: Any) -> int:
    """Return the time of the command under way."""
    return load(m, lay.HEADER + lay.H_TIME_NS)


# Timers ---------------------------------------------------------------------------------------------------------------


@kernel
def take_back(m: Any, instrument_at: int, kind: int) -> None:
    """Take an instrument's timer of a kind back, if it is set."""
    timers.disarm(m, load(m, instrument_at + lay.I_TIMERS + kind))
    store(m, instrument_at + lay.I_TIMERS + kind, 0)


@kernel
def set_timer(m: Any, instrument_id: int, kind: int, due_ns: int) -> None:
    """Set an instrument's timer of a kind, which is not set."""
    store(m, lay.instrument(instrument_id) + lay.I_TIMERS + kind, timers.arm(m, kind, instrument_id, due_ns))


# Events ---------------------------------------------------------------------------------------------------------------


@kernel
def tell(m: Any, kinds: int, instrument_id: int, group: int, price: int, measure: int, threshold: int) -> int:
    """Write an event of a breaker, `kinds` with its reason and side; return its place."""
    event = output.begin(m, kinds, instrument_id, 0, 0, group)
    output.finish(m, event, price, measure, threshold, 0, 0, 0)
    return event


@kernel
def alert(m: Any, instrument_id: int, reason: int, price: int, measure: int, threshold: int) -> None:
    """Tell that a threshold is passed that halts nothing."""
    tell(m, E_ALERT | reason << REASON_SHIFT, instrument_id, 0, price, measure, threshold)


@kernel
def tell_halt(
    m: Any,
    instrument_id: int,
    group: int,
    reason: int,
    side: int,
    price: int,
    measure: int,
    threshold: int,
    end_ns: int,
) -> None:
    """Tell that an instrument, or a market group, is halted, and when trading is expected to resume."""
    kinds = E_TRIPPED | side << 8 | reason << REASON_SHIFT
    store(m, tell(m, kinds, instrument_id, group, price, measure, threshold) + EXPIRE_WORD, end_ns)


# Halting --------------------------------------------------------------------------------------------------------------


@kernel
def stop(m: Any, instrument_at: int) -> None:
    """Stop watching."""
    take_back(m, instrument_at, timers.M_SPREAD)
    take_back(m, instrument_at, timers.M_SILENCE)
    take_back(m, instrument_at, timers.M_STRESS)
    take_back(m, instrument_at, timers.M_CORRELATION)


@far
def trip(m: Any, instrument_id: int, reason: int, side: int, price: int, measure: int, threshold: int) -> None:
    """Halt an open market and begin its recovery."""
    at = lay.instrument(instrument_id)
    breaker_at = of(m, at)
    cancel_only_ns = load(m, breaker_at + bl.B_CANCEL_ONLY_NS)
    end_ns = 0
    if cancel_only_ns != 0:
        end_ns = now(m) + cancel_only_ns + load(m, breaker_at + bl.B_CALL_NS)
    tell_halt(m, instrument_id, 0, reason, side, price, measure, threshold, end_ns)
    stop(m, at)
    state = HALTED
    if cancel_only_ns != 0:
        state = CANCEL_ONLY
        begin_recovery(m, instrument_id, STEP_CANCEL_ONLY, pair(OPEN, 0), now(m) + cancel_only_ns)
    output.market_state(m, instrument_id, state, 0, BY_BREAKER)
    store(m, at + lay.I_STATE, state)


@kernel
def begin_recovery(m: Any, instrument_id: int, step: int, ends_in: int, due_ns: int) -> None:
    """Begin a recovery, or begin it anew, with a step that lasts until a time."""
    at = lay.instrument(instrument_id)
    breaker_at = of(m, at)
    take_back(m, at, timers.M_RECOVERY)
    set_timer(m, instrument_id, timers.M_RECOVERY, due_ns)
    store(m, breaker_at + bl.B_STEP, step)
    store(m, breaker_at + bl.B_ENDS_IN, ends_in)


@kernel
def end_recovery(m: Any, instrument_at: int) -> None:
    """End a recovery, if there is one, wherever it stands."""
    take_back(m, instrument_at, timers.M_RECOVERY)
    store(m, of(m, instrument_at) + bl.B_STEP, 0)


@far
def leave(m: Any, instrument_id: int, is_override: bool) -> None:
    """See that a market with a breaker takes another state; an override ends its recovery."""
    at = lay.instrument(instrument_id)
    if load(m, at + lay.I_STATE) == OPEN:
        stop(m, at)
    if is_override:
        end_recovery(m, at)


@far
def keeps_out(m: Any, instrument_id: int, state: int, purpose: int) -> bool:
    """Return whether a recovery keeps a schedule's phase out, to end in it; CLOSED ends the recovery."""
    at = lay.instrument(instrument_id)
    breaker_at = of(m, at)
    if load(m, breaker_at + bl.B_STEP) == 0:
        return False
    if state == CLOSED:
        end_recovery(m, at)
        return False
    store(m, breaker_at + bl.B_ENDS_IN, pair(state, purpose))
    return True


@far
def is_held(m: Any, instrument_id: int) -> bool:
    """Return whether the market group of an instrument with a breaker is halted."""
    group = load(m, of(m, lay.instrument(instrument_id)) + bl.B_GROUP)
    return group != 0 and load(m, lay.group(group) + bl.G_UNTIL_NS) > now(m)


@far
def hold(m: Any, instrument_id: int, ends_in: int) -> None:
    """Tell that an instrument is halted with its group, at whose end its recovery goes on; its state is not set."""
    at = lay.instrument(instrument_id)
    breaker_at = of(m, at)
    group_at = lay.group(load(m, breaker_at + bl.B_GROUP))
    until_ns = load(m, group_at + bl.G_UNTIL_NS)
    price = load(m, group_at + bl.G_PRICE)
    fall = load(m, group_at + bl.G_FALL)
    threshold = load(m, group_at + bl.G_THRESHOLD)
    end_ns = until_ns + load(m, breaker_at + bl.B_CALL_NS)
    tell_halt(m, instrument_id, 0, R_MARKET_WIDE, SELL, price, fall, threshold, end_ns)
    stop(m, at)
    begin_recovery(m, instrument_id, STEP_HALTED, ends_in, until_ns)


# Bands ----------------------------------------------------------------------------------------------------------------


@inlined
def reach(centre: int, ppm: int) -> int:
    """Return how far a band goes from its centre."""
    return centre * ppm // PPM


@inlined
def _upper(centre: int, ppm: int) -> int:
    return lay.NEVER_UP if centre == 0 or ppm == 0 else centre + reach(centre, ppm)


@inlined
def _lower(centre: int, ppm: int) -> int:
    return 0 if centre == 0 or ppm == 0 else centre - reach(centre, ppm)


@kernel
def set_bands(m: Any, instrument_at: int, breaker_at: int) -> None:
    """Let the bounds of an instrument's trades follow its static reference and its last trade."""
    last = load(m, instrument_at + lay.I_LAST)
    store(m, breaker_at + bl.B_CENTRE, last)
    static = load(m, breaker_at + bl.B_STATIC)
    static_ppm = load(m, breaker_at + bl.B_STATIC_PPM)
    ppm = load(m, breaker_at + bl.B_DYNAMIC_PPM)
    store(m, instrument_at + lay.I_BAND_LOW, max(_lower(static, static_ppm), _lower(last, ppm)))
    store(m, instrument_at + lay.I_BAND_HIGH, min(_upper(static, static_ppm), _upper(last, ppm)))


@far
def outside_static(m: Any, instrument_id: int, price: int) -> bool:
    """Return whether a price lies outside of an instrument's static band."""
    breaker_at = of(m, lay.instrument(instrument_id))
    static = load(m, breaker_at + bl.B_STATIC)
    ppm = load(m, breaker_at + bl.B_STATIC_PPM)
    return price < _lower(static, ppm) or price > _upper(static, ppm)


@far
def set_static(m: Any, instrument_id: int, price: int) -> None:
    """Set the static reference of an instrument with a breaker."""
    at = lay.instrument(instrument_id)
    breaker_at = of(m, at)
    store(m, breaker_at + bl.B_STATIC, price)
    if load(m, at + lay.I_STATE) == OPEN:
        set_bands(m, at, breaker_at)


@kernel
def trip_band(m: Any, instrument_id: int, stopped: int) -> None:
    """Halt because a band stopped an aggressor."""
    at = lay.instrument(instrument_id)
    breaker_at = of(m, at)
    side = stopped & 3
    beyond = stopped >> 2
    centre = load(m, breaker_at + bl.B_STATIC)
    ppm = load(m, breaker_at + bl.B_STATIC_PPM)
    if side == BUY:
        bound = load(m, at + lay.I_BAND_HIGH)
        is_static = bound == _upper(centre, ppm)
    else:
        bound = load(m, at + lay.I_BAND_LOW)
        is_static = bound == _lower(centre, ppm)
    reason = R_STATIC_BAND
    if not is_static:
        reason = R_DYNAMIC_BAND
        centre = load(m, breaker_at + bl.B_CENTRE)
        ppm = load(m, breaker_at + bl.B_DYNAMIC_PPM)
    trip(m, instrument_id, reason, side, bound, abs(beyond - centre) * PPM // centre, ppm)
