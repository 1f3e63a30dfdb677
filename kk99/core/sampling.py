"""What a circuit breaker measures by the clock: the stress of its market, and whether it still moves with another."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import breaker, watching
from kk99.core import breaker_layout as bl
from kk99.core import layout as lay
from kk99.core.breaker import now, set_timer
from kk99.core.memory import far, high, inlined, kernel, load, low, pair, store

OPEN = schema.MarketState.OPEN.value
R_MOVE = schema.BreakerReason.MOVE.value
R_SPREAD = schema.BreakerReason.SPREAD.value
R_STATIC_BAND = schema.BreakerReason.STATIC_BAND.value
R_VOLUME = schema.BreakerReason.VOLUME.value
R_CORRELATION = schema.BreakerReason.CORRELATION.value
E_STRESS = schema.EventKind.STRESS_CHANGED.value
STRESS_MAX = schema.STRESS_MAX
PPM = schema.PPM
UNITS = schema.RETURN_UNITS
RETURN_MAX = schema.RETURN_MAX
RING = schema.CORRELATION_SAMPLES_MAX
ROOT_SHIFT = 22  # of what a root is taken from, so that it is exact enough
ROOT_BIT = 1 << 60
NO_CORRELATION = PPM + 1


@kernel
def set_again(m: Any, instrument_id: int, kind: int, due_ns: int, every_ns: int) -> None:
    """Set a timer that was due at a time to the first time after now, whole steps later."""
    set_timer(m, instrument_id, kind, due_ns + ((now(m) - due_ns) // every_ns + 1) * every_ns)


# Stress ---------------------------------------------------------------------------------------------------------------


@inlined
def part(measure: int, threshold: int) -> int:
    """Return a measure in hundredths of its threshold, at most all of it; without a threshold 0."""
    return min(STRESS_MAX, STRESS_MAX * measure // threshold) if threshold != 0 else 0


@kernel
def _move_part(m: Any, breaker_at: int, last: int) -> int:
    if load(m, breaker_at + bl.B_MOVE_PPM) == 0 or load(m, breaker_at + bl.B_LAST) == 0:
        return 0
    watching.advance_window(m, breaker_at)
    measure = max(watching.risen(m, breaker_at, last), watching.fallen(m, breaker_at, last))
    return part(measure, load(m, breaker_at + bl.B_MOVE_PPM))


@kernel
def _volume_part(m: Any, breaker_at: int) -> int:
    window = watching.advance_volume(m, breaker_at)
    volume = load(m, breaker_at + bl.B_VOLUMES + window % bl.VOLUMES)
    return part(volume, watching.volume_limit(m, breaker_at, window))


@kernel
def _band_part(m: Any, breaker_at: int, last: int) -> int:
    static = load(m, breaker_at + bl.B_STATIC)
    if last == 0 or static == 0:
        return 0
    return part(abs(last - static), breaker.reach(static, load(m, breaker_at + bl.B_STATIC_PPM)))


@far
def measure_stress(m: Any, instrument_id: int) -> None:
    """Measure the stress of an open market; tell it if it changed by a step."""
    at = lay.instrument(instrument_id)
    breaker_at = breaker.of(m, at)
    last = load(m, at + lay.I_LAST)
    move = _move_part(m, breaker_at, last)
    spread = part(max(watching.spread(m, instrument_id), 0), load(m, breaker_at + bl.B_SPREAD_PPM))
    volume = _volume_part(m, breaker_at)
    band = _band_part(m, breaker_at, last)
    greatest = max(move, spread, volume, band)
    stress = min(STRESS_MAX, greatest + (move + spread + volume + band - greatest) // 4)
    told = load(m, breaker_at + bl.B_STRESS)
    if abs(stress - told) < load(m, breaker_at + bl.B_STRESS_STEP):
        return
    reason = R_STATIC_BAND
    if greatest == 0:
        reason = 0
    elif move == greatest:
        reason = R_MOVE
    elif spread == greatest:
        reason = R_SPREAD
    elif volume == greatest:
        reason = R_VOLUME
    store(m, breaker_at + bl.B_STRESS, stress)
    breaker.tell(m, E_STRESS | reason << breaker.REASON_SHIFT, instrument_id, 0, last, stress, told)


# Correlation ----------------------------------------------------------------------------------------------------------


@kernel
def root(square: int) -> int:
    """Return the whole part of a square root."""
    found = 0
    bit = ROOT_BIT
    while bit > square:
        bit >>= 2
    while bit != 0:
        if square >= found + bit:
            square -= found + bit
            found = (found >> 1) + bit
        else:
            found >>= 1
        bit >>= 2
    return found


@inlined
def return_of(price: int, before: int) -> int:
    """Return how a price changed, in hundred-thousandths, at most RETURN_MAX up or down."""
    return max(-RETURN_MAX, min(RETURN_MAX, (price - before) * UNITS // before))


@kernel
def correlation(m: Any, breaker_at: int) -> int:
    """Return the correlation of the latest samples in millionths, or NO_CORRELATION."""
    count = load(m, breaker_at + bl.B_SAMPLES)
    sampled = load(m, breaker_at + bl.B_SAMPLED)
    sum_x = sum_y = sum_xx = sum_yy = sum_xy = 0
    for number in range(sampled - count, sampled):
        sample = load(m, breaker_at + bl.B_RETURNS + number % RING)
        x = low(sample)
        y = high(sample)
        sum_x += x
        sum_y += y
        sum_xx += x * x
        sum_yy += y * y
        sum_xy += x * y
    spread_x = root((count * sum_xx - sum_x * sum_x) << ROOT_SHIFT)
    spread_y = root((count * sum_yy - sum_y * sum_y) << ROOT_SHIFT)
    divisor = spread_x * spread_y >> ROOT_SHIFT
    if divisor == 0:
        return NO_CORRELATION
    return max(-PPM, min(PPM, (count * sum_xy - sum_x * sum_y) * PPM // divisor))


@far
def sample(m: Any, instrument_id: int) -> None:
    """Take a sample of how an open market and another moved; tell when they move together no longer."""
    at = lay.instrument(instrument_id)
    breaker_at = breaker.of(m, at)
    other_at = lay.instrument(load(m, breaker_at + bl.B_OTHER))
    price = load(m, at + lay.I_LAST)
    other = load(m, other_at + lay.I_LAST)
    before = load(m, breaker_at + bl.B_BASE)
    other_before = load(m, breaker_at + bl.B_BASE + 1)
    if load(m, other_at + lay.I_STATE) != OPEN or price == 0 or other == 0:
        price = 0
        other = 0
    store(m, breaker_at + bl.B_BASE, price)
    store(m, breaker_at + bl.B_BASE + 1, other)
    if price == 0 or before == 0:
        return
    sampled = load(m, breaker_at + bl.B_SAMPLED)
    returns = pair(return_of(price, before), return_of(other, other_before))
    store(m, breaker_at + bl.B_RETURNS + sampled % RING, returns)
    store(m, breaker_at + bl.B_SAMPLED, sampled + 1)
    if sampled + 1 < load(m, breaker_at + bl.B_SAMPLES):
        return
    found = correlation(m, breaker_at)
    least = load(m, breaker_at + bl.B_CORRELATION_MIN)
    if found == NO_CORRELATION:
        return
    is_broken = 1 if found < least else 0
    if is_broken > load(m, breaker_at + bl.B_BROKEN):
        breaker.alert(m, instrument_id, R_CORRELATION, 0, found, least)
    store(m, breaker_at + bl.B_BROKEN, is_broken)
