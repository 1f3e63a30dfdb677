"""What a circuit breaker watches while its market is open: the move of the last price, the volume, the spread.

It looks at each settling, before the dormant orders, at what happened since the one before. Nothing is looked at twice:
a look without a trade costs the spread.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import breaker, timers
from kk99.core import breaker_layout as bl
from kk99.core import layout as lay
from kk99.core.breaker import now, set_timer, take_back
from kk99.core.memory import add, far, inlined, kernel, load, store
from kk99.core.memory import entry as compiled

BUY = schema.Side.BUY.value
SELL = schema.Side.SELL.value
OPEN = schema.MarketState.OPEN.value
R_MOVE = schema.BreakerReason.MOVE.value
R_VOLUME = schema.BreakerReason.VOLUME.value
PPM = schema.PPM
SLOTS = schema.MOVE_SLOTS
SECOND_NS = 1_000_000_000
NO_SPREAD = -1
NEVER = -1  # as the number of a window


# The window of the move -----------------------------------------------------------------------------------------------


@kernel
def _fill_window(m: Any, breaker_at: int, price: int) -> None:
    """Let the window hold one price, or none (0)."""
    for word in range(2 * SLOTS):
        store(m, breaker_at + bl.B_SLOTS + word, price)
    store(m, breaker_at + bl.B_SLOT, now(m) // load(m, breaker_at + bl.B_MOVE_SLOT_NS))
    store(m, breaker_at + bl.B_LAST, price)
    store(m, breaker_at + bl.B_LOW, price)
    store(m, breaker_at + bl.B_HIGH, price)


@kernel
def advance_window(m: Any, breaker_at: int) -> None:
    """Let the window, which holds a price, end now: in slots passed over the last price stood."""
    slot = now(m) // load(m, breaker_at + bl.B_MOVE_SLOT_NS)
    latest = load(m, breaker_at + bl.B_SLOT)
    if slot == latest:
        return
    last = load(m, breaker_at + bl.B_LAST)
    for passed in range(max(latest + 1, slot - SLOTS + 1), slot + 1):
        at = breaker_at + bl.B_SLOTS + 2 * (passed % SLOTS)
        store(m, at, last)
        store(m, at + 1, last)
    lowest = last
    highest = last
    for place in range(SLOTS):
        lowest = min(lowest, load(m, breaker_at + bl.B_SLOTS + 2 * place))
        highest = max(highest, load(m, breaker_at + bl.B_SLOTS + 2 * place + 1))
    store(m, breaker_at + bl.B_SLOT, slot)
    store(m, breaker_at + bl.B_LOW, lowest)
    store(m, breaker_at + bl.B_HIGH, highest)


@kernel
def _take_in(m: Any, breaker_at: int, price: int) -> None:
    """Take a price into the window, which ends now."""
    if load(m, breaker_at + bl.B_LAST) == 0:
        _fill_window(m, breaker_at, price)
        return
    at = breaker_at + bl.B_SLOTS + 2 * (load(m, breaker_at + bl.B_SLOT) % SLOTS)
    store(m, at, min(load(m, at), price))
    store(m, at + 1, max(load(m, at + 1), price))
    store(m, breaker_at + bl.B_LAST, price)
    store(m, breaker_at + bl.B_LOW, min(load(m, breaker_at + bl.B_LOW), price))
    store(m, breaker_at + bl.B_HIGH, max(load(m, breaker_at + bl.B_HIGH), price))


@inlined
def risen(m: Any, breaker_at: int, price: int) -> int:
    """Return how far a price of the window is above its lowest, in millionths."""
    lowest = load(m, breaker_at + bl.B_LOW)
    return (price - lowest) * PPM // lowest


@inlined
def fallen(m: Any, breaker_at: int, price: int) -> int:
    """Return how far a price of the window is below its highest, in millionths."""
    highest = load(m, breaker_at + bl.B_HIGH)
    return (highest - price) * PPM // highest


@kernel
def _trips_move(m: Any, instrument_id: int, breaker_at: int, price: int) -> bool:
    """Take a price into the window; halt, and return true, if it moved too far."""
    threshold = load(m, breaker_at + bl.B_MOVE_PPM)
    _take_in(m, breaker_at, price)
    side = BUY
    measure = risen(m, breaker_at, price)
    if measure <= threshold:
        side = SELL
        measure = fallen(m, breaker_at, price)
    if measure <= threshold:
        return False
    breaker.trip(m, instrument_id, R_MOVE, side, price, measure, threshold)
    return True


# Volume ---------------------------------------------------------------------------------------------------------------


@kernel
def advance_volume(m: Any, breaker_at: int) -> int:
    """Let the windows of volume end with the present one; return its number."""
    window = now(m) // load(m, breaker_at + bl.B_VOLUME_NS)
    latest = load(m, breaker_at + bl.B_VOLUME_AT)
    for passed in range(max(latest + 1, window - bl.VOLUMES + 1), window + 1):
        store(m, breaker_at + bl.B_VOLUMES + passed % bl.VOLUMES, 0)
    store(m, breaker_at + bl.B_VOLUME_AT, window)
    return window


@kernel
def volume_limit(m: Any, breaker_at: int, window: int) -> int:
    """Return the volume above which the present window is told, 0 if it is not known or off."""
    ppm = load(m, breaker_at + bl.B_VOLUME_PPM)
    if ppm == 0 or window <= load(m, breaker_at + bl.B_VOLUME_FIRST) + schema.VOLUME_WINDOWS:
        return 0
    total = 0
    for before in range(1, schema.VOLUME_WINDOWS + 1):
        total += load(m, breaker_at + bl.B_VOLUMES + (window - before) % bl.VOLUMES)
    average = total // schema.VOLUME_WINDOWS
    if average == 0:
        return 0
    return max(average // PPM * ppm + average % PPM * ppm // PPM, 1)


@kernel
def _count_volume(m: Any, instrument_id: int, breaker_at: int) -> None:
    """Count what the last aggressor traded; tell, once a window, when it is more than usual."""
    window = advance_volume(m, breaker_at)
    volume_at = breaker_at + bl.B_VOLUMES + window % bl.VOLUMES
    volume = min(load(m, volume_at) + load(m, lay.S_TRADED), schema.VOLUME_MAX)
    store(m, volume_at, volume)
    limit = volume_limit(m, breaker_at, window)
    if limit != 0 and volume > limit and load(m, breaker_at + bl.B_VOLUME_ALERTED) != window:
        store(m, breaker_at + bl.B_VOLUME_ALERTED, window)
        breaker.alert(m, instrument_id, R_VOLUME, load(m, lay.instrument(instrument_id) + lay.I_LAST), volume, limit)


# The spread -----------------------------------------------------------------------------------------------------------


@kernel
def spread(m: Any, instrument_id: int) -> int:
    """Return an instrument's spread in millionths of its mid price, or NO_SPREAD."""
    bids_at = lay.book(instrument_id, BUY)
    asks_at = lay.book(instrument_id, SELL)
    if load(m, bids_at + lay.L_BEST) == 0 or load(m, asks_at + lay.L_BEST) == 0:
        return NO_SPREAD
    bid = load(m, bids_at + lay.L_BEST_PRICE)
    ask = load(m, asks_at + lay.L_BEST_PRICE)
    return 2 * (ask - bid) * PPM // (ask + bid) if ask >= bid else NO_SPREAD


@kernel
def _look_at_spread(m: Any, instrument_id: int, breaker_at: int) -> None:
    """See that a wide spread has its timer, and no other."""
    threshold = load(m, breaker_at + bl.B_SPREAD_PPM)
    at = lay.instrument(instrument_id)
    is_set = load(m, at + lay.I_TIMERS + timers.M_SPREAD) != 0
    is_wide = threshold != 0 and spread(m, instrument_id) > threshold
    if is_wide and not is_set:
        set_timer(m, instrument_id, timers.M_SPREAD, now(m) + load(m, breaker_at + bl.B_SPREAD_NS))
    elif is_set and not is_wide:
        take_back(m, at, timers.M_SPREAD)


# Watching -------------------------------------------------------------------------------------------------------------


@far
def begin(m: Any, instrument_id: int) -> None:
    """Begin to watch an instrument with a breaker, which is open now."""
    at = lay.instrument(instrument_id)
    breaker_at = breaker.of(m, at)
    breaker.set_bands(m, at, breaker_at)
    _fill_window(m, breaker_at, load(m, at + lay.I_LAST))
    window = now(m) // load(m, breaker_at + bl.B_VOLUME_NS)
    store(m, breaker_at + bl.B_VOLUME_FIRST, window)
    store(m, breaker_at + bl.B_VOLUME_AT, window)
    store(m, breaker_at + bl.B_VOLUME_ALERTED, NEVER)
    for place in range(bl.VOLUMES):
        store(m, breaker_at + bl.B_VOLUMES + place, 0)
    for place in range(schema.CORRELATION_SAMPLES_MAX):
        store(m, breaker_at + bl.B_RETURNS + place, 0)
    store(m, breaker_at + bl.B_BASE, 0)
    store(m, breaker_at + bl.B_BASE + 1, 0)
    store(m, breaker_at + bl.B_SAMPLED, 0)
    store(m, breaker_at + bl.B_BROKEN, 0)
    if load(m, breaker_at + bl.B_SILENCE_S) != 0:
        set_timer(m, instrument_id, timers.M_SILENCE, now(m) + load(m, breaker_at + bl.B_SILENCE_S) * SECOND_NS)
    if load(m, breaker_at + bl.B_STRESS_NS) != 0:
        set_timer(m, instrument_id, timers.M_STRESS, now(m) + load(m, breaker_at + bl.B_STRESS_NS))
    if load(m, breaker_at + bl.B_OTHER) != 0:
        set_timer(m, instrument_id, timers.M_CORRELATION, now(m) + load(m, breaker_at + bl.B_CORRELATION_NS))


@far
def look(m: Any, instrument_id: int, first: int) -> bool:
    """Look at an open instrument with a breaker, first traded since at a price (0: none); return whether it halts."""
    at = lay.instrument(instrument_id)
    breaker_at = breaker.of(m, at)
    stopped = load(m, lay.S_BAND_STOP)
    store(m, lay.S_BAND_STOP, 0)
    if first != 0 and load(m, breaker_at + bl.B_VOLUME_PPM) != 0:
        _count_volume(m, instrument_id, breaker_at)
    if stopped != 0:
        breaker.trip_band(m, instrument_id, stopped)
        return True
    if first != 0:
        if load(m, breaker_at + bl.B_MOVE_PPM) != 0:
            if load(m, breaker_at + bl.B_LAST) != 0:
                advance_window(m, breaker_at)
            if _trips_move(m, instrument_id, breaker_at, first):
                return True
            last = load(m, at + lay.I_LAST)
            if last != first and _trips_move(m, instrument_id, breaker_at, last):
                return True
        breaker.set_bands(m, at, breaker_at)
    _look_at_spread(m, instrument_id, breaker_at)
    return False


@far
def hear_index(m: Any, instrument_id: int) -> None:
    """See that an instrument with a breaker was told its index price."""
    at = lay.instrument(instrument_id)
    silence_s = load(m, breaker.of(m, at) + bl.B_SILENCE_S)
    if silence_s != 0 and load(m, at + lay.I_STATE) == OPEN:
        take_back(m, at, timers.M_SILENCE)
        set_timer(m, instrument_id, timers.M_SILENCE, now(m) + silence_s * SECOND_NS)


@compiled
def define(m: Any, c: Any, instrument_id: int, number: int) -> int:
    """Give an instrument the breaker whose thresholds were just written, or let it follow them; return its number."""
    at = lay.instrument(instrument_id)
    if load(m, at + lay.I_BREAKER) == 0:
        store(m, at + lay.I_BREAKER, number)
        add(m, at + lay.I_WATCH, lay.WATCHED)
        store(m, lay.breaker(number) + bl.B_STATIC, load(m, at + lay.I_REFERENCE))
    if load(m, at + lay.I_STATE) == OPEN:
        breaker.stop(m, at)
        begin(m, instrument_id)
        _look_at_spread(m, instrument_id, lay.breaker(number))
    return number
