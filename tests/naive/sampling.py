"""What a breaker measures by the clock: the correlation with another instrument, and the stress of its market."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99.schema import STRESS_MAX, BreakerReason, EventKind
from tests.naive.breaker import Trip, correlation_of, return_of
from tests.naive.clock import SECOND_NS, Wants, next_multiple_ns
from tests.naive.watching import present_spread, tell

if TYPE_CHECKING:
    from tests.naive.breaker import Breaker
    from tests.naive.clock import Timer
    from tests.naive.records import Instrument
    from tests.naive.venue import Venue


def set_again(venue: Venue, fired: Timer, seconds: int) -> int:
    """Set a timer that fired at its next due time after now, and return its number."""
    due_ns = next_multiple_ns(fired.due_time_ns, seconds * SECOND_NS, venue.time_ns)
    return venue.timers.set(due_ns, fired.wants, fired.owner)


# Correlation ----------------------------------------------------------------------------------------------------------


def sample(venue: Venue, instrument: Instrument, breaker: Breaker, fired: Timer) -> None:
    """The correlation's timer fired: take a sample, and alert if the two move together no longer."""
    assert fired.wants == Wants.CORRELATION
    document = breaker.document
    breaker.correlation_timer = set_again(venue, fired, document["correlation_s"])
    other = next(one for one in venue.instruments.values() if one.document["name"] == document["correlation_with"])
    x, y = instrument.last_price_ticks, other.last_price_ticks
    if not (other.is_open and x and y):
        breaker.base = None
        return
    base, breaker.base = breaker.base, (x, y)
    if base is None:
        return
    breaker.samples.append((return_of(x, base[0]), return_of(y, base[1])))
    count, threshold = document["correlation_samples"], document["correlation_min_ppm"]
    if len(breaker.samples) < count:
        return
    correlation = correlation_of(breaker.samples[-count:])
    if correlation is None:
        return
    was_below, breaker.is_uncorrelated = breaker.is_uncorrelated, correlation < threshold
    if breaker.is_uncorrelated and not was_below:
        trip = Trip(BreakerReason.CORRELATION, 0, 0, correlation, threshold)
        tell(venue, EventKind.BREAKER_ALERT, instrument, trip)


# Stress ---------------------------------------------------------------------------------------------------------------


def parts_of(venue: Venue, instrument: Instrument, breaker: Breaker) -> list[tuple[BreakerReason, int]]:
    """The parts of the stress, each 0 to 100."""
    last_ticks, document = instrument.last_price_ticks, breaker.document
    band = breaker.static_band
    volume = breaker.volumes[breaker.volume_window(venue.time_ns)]
    measures = [
        (BreakerReason.MOVE, max(breaker.moves(venue.time_ns, last_ticks)) if last_ticks else 0, document["move_ppm"]),
        (BreakerReason.SPREAD, present_spread(instrument) or 0, document["spread_ppm"]),
        (BreakerReason.VOLUME, volume, breaker.volume_limit(venue.time_ns) if document["volume_ratio_ppm"] else 0),
        (BreakerReason.STATIC_BAND, abs(last_ticks - band.centre_ticks) if last_ticks else 0, band.width_ticks),
    ]
    return [
        (reason, min(100, 100 * measure // threshold) if threshold else 0) for reason, measure, threshold in measures
    ]


def measure_stress(venue: Venue, instrument: Instrument, breaker: Breaker, fired: Timer) -> None:
    """The stress's timer fired: tell the stress if it has changed enough."""
    assert fired.wants == Wants.STRESS
    breaker.stress_timer = set_again(venue, fired, breaker.document["stress_s"])
    parts = parts_of(venue, instrument, breaker)
    greatest = max(part for _, part in parts)
    others = sum(part for _, part in parts) - greatest
    stress = min(STRESS_MAX, greatest + others // 4)
    if abs(stress - breaker.told_stress) < breaker.document["stress_step"]:
        return
    first = next(reason for reason, part in parts if part == greatest)
    venue.emit(
        EventKind.STRESS_CHANGED,
        instrument_id=instrument.number,
        breaker_reason=int(first) if greatest else 0,
        price_ticks=instrument.last_price_ticks,
        measure=stress,
        threshold=breaker.told_stress,
    )
    breaker.told_stress = stress
