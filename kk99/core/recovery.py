"""What follows a halt by a circuit breaker, step by step to the market's reopening; and what its other timers do."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import auction, breaker, output, phases, sampling, timers, watching
from kk99.core import breaker_layout as bl
from kk99.core import layout as lay
from kk99.core.breaker import now, set_timer
from kk99.core.memory import far, high, kernel, load, low, pair, store

OPEN = schema.MarketState.OPEN.value
CALL = schema.MarketState.CALL.value
UNCROSSING = schema.MarketState.UNCROSSING.value
RECOVERY = schema.CallPurpose.RECOVERY.value
BY_RECOVERY = schema.StateReason.RECOVERING.value
BY_EXTENSION = schema.StateReason.EXTENDED.value
BY_RECOVERED = schema.StateReason.RECOVERED.value
R_SPREAD = schema.BreakerReason.SPREAD.value
R_INDEX_SILENCE = schema.BreakerReason.INDEX_SILENCE.value


@kernel
def go(m: Any, instrument_id: int, state: int, purpose: int, reason: int) -> None:
    """Put a market in a state, now or, while it is uncrossing, then."""
    at = lay.instrument(instrument_id)
    if load(m, at + lay.I_STATE) == UNCROSSING:
        store(m, at + lay.I_WANTED, pair(state, purpose))
    else:
        phases.enter(m, instrument_id, state, purpose, reason)


@kernel
def _is_outside(m: Any, instrument_id: int) -> bool:
    """Return whether a call would trade outside of the static band."""
    price = auction.price_of(m, instrument_id)
    return price != 0 and breaker.outside_static(m, instrument_id, price)


@kernel
def _next_step(m: Any, instrument_id: int) -> None:
    """Take the next step of a recovery, whose timer fired."""
    at = lay.instrument(instrument_id)
    breaker_at = breaker.of(m, at)
    step = load(m, breaker_at + bl.B_STEP)
    ends_in = load(m, breaker_at + bl.B_ENDS_IN)
    call_ns = load(m, breaker_at + bl.B_CALL_NS)
    extend_ns = load(m, breaker_at + bl.B_EXTEND_NS)
    if step < breaker.STEP_CALL and ends_in == OPEN and call_ns != 0:
        store(m, breaker_at + bl.B_STEP, breaker.STEP_CALL)
        set_timer(m, instrument_id, timers.M_RECOVERY, now(m) + call_ns)
        go(m, instrument_id, CALL, RECOVERY, BY_RECOVERY)
        return
    is_in_call = step == breaker.STEP_CALL and load(m, at + lay.I_STATE) == CALL
    if is_in_call and ends_in == OPEN and extend_ns != 0 and _is_outside(m, instrument_id):
        store(m, breaker_at + bl.B_STEP, breaker.STEP_EXTENDED)
        set_timer(m, instrument_id, timers.M_RECOVERY, now(m) + extend_ns)
        output.market_state(m, instrument_id, CALL, RECOVERY, BY_EXTENSION)
        return
    store(m, breaker_at + bl.B_STEP, 0)
    go(m, instrument_id, low(ends_in), high(ends_in), BY_RECOVERED)


@kernel
def _fall_silent(m: Any, instrument_id: int) -> None:
    """Halt an open market, or tell it, because its index price did not come."""
    at = lay.instrument(instrument_id)
    breaker_at = breaker.of(m, at)
    price = load(m, at + lay.I_INDEX)
    silence_s = load(m, breaker_at + bl.B_SILENCE_S)
    if load(m, breaker_at + bl.B_SILENCE_HALTS) != 0:
        breaker.trip(m, instrument_id, R_INDEX_SILENCE, 0, price, silence_s, silence_s)
    else:
        breaker.alert(m, instrument_id, R_INDEX_SILENCE, price, silence_s, silence_s)


@far
def fire(m: Any, kind: int, instrument_id: int) -> None:
    """Do what a timer of an instrument's breaker, which was just taken out, is for."""
    at = lay.instrument(instrument_id)
    breaker_at = breaker.of(m, at)
    due_ns = load(m, lay.timer(load(m, at + lay.I_TIMERS + kind)) + lay.M_DUE_NS)
    store(m, at + lay.I_TIMERS + kind, 0)
    if kind == timers.M_RECOVERY:
        _next_step(m, instrument_id)
    elif kind == timers.M_SPREAD:
        threshold = load(m, breaker_at + bl.B_SPREAD_PPM)
        breaker.trip(m, instrument_id, R_SPREAD, 0, 0, watching.spread(m, instrument_id), threshold)
    elif kind == timers.M_SILENCE:
        _fall_silent(m, instrument_id)
    elif kind == timers.M_STRESS:
        sampling.set_again(m, instrument_id, kind, due_ns, load(m, breaker_at + bl.B_STRESS_NS))
        sampling.measure_stress(m, instrument_id)
    else:
        sampling.set_again(m, instrument_id, kind, due_ns, load(m, breaker_at + bl.B_CORRELATION_NS))
        sampling.sample(m, instrument_id)
