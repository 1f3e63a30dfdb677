"""Timers that fire: what each of their owners wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import MarketState, StateReason
from tests.naive import groups, markets, recovery, releasing, sampling, states, watching
from tests.naive.clock import Wants, phase_at
from tests.naive.states import CLOSED, UNCROSSING

if TYPE_CHECKING:
    from tests.naive.clock import Timer
    from tests.naive.records import Instrument
    from tests.naive.venue import Venue


def fire_next(venue: Venue) -> int:
    """Do what the first timer that is due is for; return the units."""
    timer = venue.timers.take_due(venue.time_ns)
    assert timer is not None
    if timer.wants == Wants.RELEASE:
        return releasing.release(venue, venue.live[timer.owner])
    if timer.wants == Wants.EXPIRY:
        order = venue.live[timer.owner]
        order.timer = 0
        markets.expire(venue, order)
    elif timer.wants == Wants.TRANSITION:
        transition(venue, venue.instruments[timer.owner])
    elif timer.wants == Wants.INDICATIVE:
        markets.indicate(venue, venue.instruments[timer.owner])
    else:
        fire_breaker(venue, venue.instruments[timer.owner], timer)
    return schema.WORK_UNITS_PER_ORDER


def fire_breaker(venue: Venue, instrument: Instrument, timer: Timer) -> None:
    """A timer of an instrument's breaker fired."""
    breaker = instrument.breaker
    assert breaker is not None
    if timer.wants == Wants.SPREAD:
        watching.spread_lasted(venue, instrument, breaker)
    elif timer.wants == Wants.SILENCE:
        watching.silence_lasted(venue, instrument, breaker)
    elif timer.wants == Wants.STRESS:
        sampling.measure_stress(venue, instrument, breaker, timer)
    elif timer.wants == Wants.CORRELATION:
        sampling.sample(venue, instrument, breaker, timer)
    else:
        recovery.go_on(venue, instrument, breaker)


def transition(venue: Venue, instrument: Instrument) -> None:
    """A schedule's timer fired: take the phase, unless the market is to stay as it is."""
    market = instrument.market
    market.schedule_timer = 0
    markets.set_transition(venue, instrument)
    phase = phase_at(venue.trading_schedules[instrument.document["trading_schedule"]]["phases"], venue.time_ns)
    breaker, wanted = instrument.breaker, states.PHASES[phase]
    if breaker is not None and breaker.recovery is not None:
        if wanted != CLOSED:
            breaker.recovery.ends_in = wanted
            return
        recovery.end(venue, instrument)
    if market.now == UNCROSSING:
        market.wanted = wanted
        return
    wanted = states.by_schedule(market.now, phase)
    if wanted == market.now:
        return
    group = groups.halted_group(venue, instrument)
    if group is not None and wanted.state in {MarketState.OPEN, MarketState.CALL}:
        groups.halt_member(venue, instrument, group, wanted)
    else:
        markets.change(venue, instrument, wanted, markets.telling(venue, instrument, StateReason.SCHEDULE))
