"""A breaker watches an open market: it begins and stops, bounds aggressors, and looks at each settling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import PPM, BreakerReason, EventKind, Side
from tests.naive.book import opposite
from tests.naive.breaker import Breaker, Trip, spread_of
from tests.naive.clock import SECOND_NS, Wants

if TYPE_CHECKING:
    from tests.naive.records import Instrument, Order
    from tests.naive.venue import Venue


def set_timer(venue: Venue, breaker: Breaker, wants: Wants, seconds: int) -> int:
    """Set a timer of a breaker so long from now, and return its number."""
    return venue.timers.set(venue.time_ns + seconds * SECOND_NS, wants, breaker.instrument_number)


def tell(venue: Venue, kind: EventKind, instrument: Instrument, trip: Trip, expire_time_ns: int = 0) -> None:
    """BREAKER_TRIPPED or BREAKER_ALERT of an instrument."""
    venue.emit(
        kind,
        instrument_id=instrument.number,
        breaker_reason=int(trip.reason),
        side=int(trip.side),
        price_ticks=trip.price_ticks,
        measure=trip.measure,
        threshold=trip.threshold,
        expire_time_ns=expire_time_ns,
    )


# Beginning and stopping -----------------------------------------------------------------------------------------------


def begin(venue: Venue, instrument: Instrument) -> None:
    """Begin to watch, if there is a breaker."""
    breaker = instrument.breaker
    if breaker is None:
        return
    last_ticks, document = instrument.last_price_ticks, breaker.document
    breaker.is_watching, breaker.began_ns, breaker.stop = True, venue.time_ns, None
    breaker.set_bands(last_ticks)
    breaker.taken = [(venue.time_ns, last_ticks)] if last_ticks else []
    breaker.volumes.clear()
    breaker.alerted_window = -1
    breaker.base, breaker.samples, breaker.is_uncorrelated = None, [], False
    if document["index_silence_s"]:
        breaker.silence_timer = set_timer(venue, breaker, Wants.SILENCE, document["index_silence_s"])
    if document["stress_s"]:
        breaker.stress_timer = set_timer(venue, breaker, Wants.STRESS, document["stress_s"])
    if document["correlation_with"]:
        breaker.correlation_timer = set_timer(venue, breaker, Wants.CORRELATION, document["correlation_s"])


def stop(venue: Venue, instrument: Instrument) -> None:
    """Watch no longer, if a breaker did."""
    breaker = instrument.breaker
    if breaker is None or not breaker.is_watching:
        return
    breaker.is_watching = False
    for name in ("spread_timer", "silence_timer", "stress_timer", "correlation_timer"):
        venue.timers.drop(getattr(breaker, name))
        setattr(breaker, name, 0)


def set_reference(instrument: Instrument, price_ticks: int) -> None:
    """Give the breaker, if there is one, a static reference."""
    breaker = instrument.breaker
    if breaker is not None:
        breaker.static_ticks = price_ticks
        if breaker.is_watching:
            breaker.set_bands(instrument.last_price_ticks)


# Aggressors -----------------------------------------------------------------------------------------------------------


def bound_of(instrument: Instrument, order: Order) -> int:
    """The worst price at which an aggressor may trade now: its limit, or a band's bound."""
    breaker = instrument.breaker
    if breaker is None or not breaker.is_watching or not breaker.bands:
        return order.limit_ticks
    if order.side == Side.BUY:
        return min(order.limit_ticks, *(band.high_ticks for band in breaker.bands))
    return max(order.limit_ticks, *(band.low_ticks for band in breaker.bands))


def note_stop(instrument: Instrument, order: Order) -> None:
    """An aggressor's matching ended for no reason of its own: remember it if a band stopped it."""
    breaker, price_ticks = instrument.breaker, instrument.book.best_price(opposite(order.side))
    has_left = order.leaves_lots or order.budget_units
    if breaker is None or price_ticks is None or not has_left:
        return
    if not instrument.book.is_crossed_by(order.side, order.limit_ticks):
        return
    if order.side == Side.BUY:
        band = min(breaker.bands, key=lambda one: one.high_ticks)
        bound_ticks = band.high_ticks
        assert price_ticks > bound_ticks
    else:
        band = max(breaker.bands, key=lambda one: one.low_ticks)
        bound_ticks = band.low_ticks
        assert price_ticks < bound_ticks
    measure = abs(price_ticks - band.centre_ticks) * PPM // band.centre_ticks
    breaker.stop = Trip(band.reason, order.side, bound_ticks, measure, band.ppm)


# Looking --------------------------------------------------------------------------------------------------------------


def look(venue: Venue, instrument: Instrument, path: list[int], lots: int) -> bool:
    """Look at an open market after so many lots traded at these prices; return whether that halted it."""
    breaker = instrument.breaker
    if breaker is None:
        return False
    assert breaker.is_watching
    if lots:
        look_at_volume(venue, instrument, breaker, lots)
    trip, breaker.stop = breaker.stop, None
    if trip is None:
        trip = move_of(venue, breaker, path)
    if trip is not None:
        venue.halt(instrument, trip)
        return True
    breaker.set_bands(instrument.last_price_ticks)
    look_at_spread(venue, instrument, breaker)
    return False


def look_at_volume(venue: Venue, instrument: Instrument, breaker: Breaker, lots: int) -> None:
    """Count lots, and alert if they are too many."""
    if breaker.document["volume_ratio_ppm"] == 0:
        return
    window = breaker.volume_window(venue.time_ns)
    breaker.volumes[window] = min(breaker.volumes[window] + lots, schema.VOLUME_MAX)
    volume, limit = breaker.volumes[window], breaker.volume_limit(venue.time_ns)
    if limit and volume > limit and breaker.alerted_window != window:
        breaker.alerted_window = window
        trip = Trip(BreakerReason.VOLUME, 0, instrument.last_price_ticks, volume, limit)
        tell(venue, EventKind.BREAKER_ALERT, instrument, trip)


def move_of(venue: Venue, breaker: Breaker, path: list[int]) -> Trip | None:
    """Take the first and the last price of a path into the window, up to one that moved too far."""
    threshold = breaker.document["move_ppm"]
    for price_ticks in dict.fromkeys([path[0], path[-1]] if path else []):
        breaker.taken.append((venue.time_ns, price_ticks))
        up, down = breaker.moves(venue.time_ns, price_ticks)
        if threshold and up > threshold:
            return Trip(BreakerReason.MOVE, Side.BUY, price_ticks, up, threshold)
        if threshold and down > threshold:
            return Trip(BreakerReason.MOVE, Side.SELL, price_ticks, down, threshold)
    return None


def present_spread(instrument: Instrument) -> int | None:
    """The spread of an instrument's book."""
    return spread_of(instrument.book.best_price(Side.BUY), instrument.book.best_price(Side.SELL))


def look_at_spread(venue: Venue, instrument: Instrument, breaker: Breaker) -> None:
    """Set the spread's timer when it becomes wide, take it back when it is not."""
    spread, threshold = present_spread(instrument), breaker.document["spread_ppm"]
    if threshold == 0 or spread is None or spread <= threshold:
        venue.timers.drop(breaker.spread_timer)
        breaker.spread_timer = 0
    elif breaker.spread_timer == 0:
        breaker.spread_timer = set_timer(venue, breaker, Wants.SPREAD, breaker.document["spread_s"])


# Spread and silence, when their timers fire ---------------------------------------------------------------------------


def spread_lasted(venue: Venue, instrument: Instrument, breaker: Breaker) -> None:
    """The spread was wide for too long."""
    breaker.spread_timer = 0
    measure = present_spread(instrument)
    assert measure is not None
    venue.halt(instrument, Trip(BreakerReason.SPREAD, 0, 0, measure, breaker.document["spread_ppm"]))


def hear_index(venue: Venue, instrument: Instrument) -> None:
    """An index price came: its silence begins anew."""
    breaker = instrument.breaker
    if breaker is not None and breaker.is_watching and breaker.document["index_silence_s"]:
        venue.timers.drop(breaker.silence_timer)
        breaker.silence_timer = set_timer(venue, breaker, Wants.SILENCE, breaker.document["index_silence_s"])


def silence_lasted(venue: Venue, instrument: Instrument, breaker: Breaker) -> None:
    """No index price came for too long."""
    breaker.silence_timer = 0
    seconds = breaker.document["index_silence_s"]
    trip = Trip(BreakerReason.INDEX_SILENCE, 0, instrument.index_price_ticks, seconds, seconds)
    if breaker.document["index_silence_halts"]:
        venue.halt(instrument, trip)
    else:
        tell(venue, EventKind.BREAKER_ALERT, instrument, trip)
