"""Halting a market by its breaker, and the steps in which it comes back to trading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99.schema import EventKind, StateReason
from tests.naive import auction, markets, watching
from tests.naive.breaker import Recovery
from tests.naive.clock import SECOND_NS, Wants
from tests.naive.states import CANCEL_ONLY, HALTED, OPEN, RECOVERY_CALL, UNCROSSING

if TYPE_CHECKING:
    from tests.naive.breaker import Breaker, Trip
    from tests.naive.records import Instrument
    from tests.naive.venue import Venue


def halt(venue: Venue, instrument: Instrument, trip: Trip) -> None:
    """Halt an open market because of what its breaker measured."""
    breaker = instrument.breaker
    assert breaker is not None
    wait_s, call_s = breaker.document["cancel_only_s"], breaker.document["call_s"]
    expected_ns = venue.time_ns + (wait_s + call_s) * SECOND_NS if wait_s else 0
    watching.tell(venue, EventKind.BREAKER_TRIPPED, instrument, trip, expected_ns)
    watching.stop(venue, instrument)
    if wait_s:
        breaker.recovery = Recovery(OPEN, watching.set_timer(venue, breaker, Wants.RECOVERY, wait_s))
    now = CANCEL_ONLY if wait_s else HALTED
    markets.enter(venue, instrument, now, markets.telling(venue, instrument, StateReason.BREAKER))


def end(venue: Venue, instrument: Instrument) -> None:
    """Give up a recovery, if one is under way."""
    breaker = instrument.breaker
    if breaker is not None and breaker.recovery is not None:
        venue.timers.drop(breaker.recovery.timer)
        breaker.recovery = None


def go_on(venue: Venue, instrument: Instrument, breaker: Breaker) -> None:
    """The recovery's timer fired: take its next step."""
    recovery, document, market = breaker.recovery, breaker.document, instrument.market
    assert recovery is not None
    is_uncrossing, is_to_open = market.now == UNCROSSING, recovery.ends_in == OPEN
    recovery.timer = 0
    if not recovery.is_in_call and is_to_open and document["call_s"]:
        recovery.is_in_call = True
        recovery.timer = watching.set_timer(venue, breaker, Wants.RECOVERY, document["call_s"])
        if is_uncrossing:
            market.wanted = RECOVERY_CALL
        else:
            tell = markets.telling(venue, instrument, StateReason.RECOVERING)
            markets.enter(venue, instrument, RECOVERY_CALL, tell)
        return
    may_extend = recovery.is_in_call and not recovery.is_extended and is_to_open and document["extend_s"]
    if may_extend and not is_uncrossing and is_astray(instrument, breaker):
        recovery.is_extended = True
        recovery.timer = watching.set_timer(venue, breaker, Wants.RECOVERY, document["extend_s"])
        markets.telling(venue, instrument, StateReason.EXTENDED)(RECOVERY_CALL)
        return
    breaker.recovery = None
    if is_uncrossing:
        market.wanted = recovery.ends_in
    else:
        tell = markets.telling(venue, instrument, StateReason.RECOVERED)
        markets.change(venue, instrument, recovery.ends_in, tell)


def is_astray(instrument: Instrument, breaker: Breaker) -> bool:
    """Whether the auction would now have a price outside of the static band."""
    price_ticks, band = auction.outcome_of(instrument).price_ticks, breaker.static_band
    if price_ticks == 0 or band.ppm == 0 or band.centre_ticks == 0:
        return False
    return not band.low_ticks <= price_ticks <= band.high_ticks
