"""What follows a halt by a circuit breaker, step by step, and what may end it."""

import pytest

from kk99 import build
from kk99.schema import MarketState, RejectCode
from tests.core.breakers import BUY, REOPENED, SELL, WHO, A, B, Venue

MOVE = {"move_ppm": 100_000}
HOUR = 3_600


def phase(name, hour, minute=0):
    """A phase of a trading schedule, every day."""
    return {"at_s": hour * HOUR + minute * 60, "days": 127, "phase": name}


def halted(second=0.0, venue=None, **thresholds):
    """A venue whose market was open and is halted by a move at a time; and what was told of it."""
    venue = venue or Venue()
    venue.breaker(**{**MOVE, **thresholds})
    venue.at(second)
    venue.open()
    venue.trade(1_000)
    return venue, venue.trade(1_101)


def test_a_recovery_takes_its_steps():
    """A minute of cancels only, a call of four minutes, then OPEN; each step says when the next is expected."""
    venue, told = halted()
    assert told == ["TRIPPED MOVE BUY at 1101: 101000 of 100000 until 300", "CANCEL_ONLY BREAKER until 60"]
    assert venue.order(A, BUY, 1, 1_000) == ["REJECTED MARKET_CANCEL_ONLY"]
    assert venue.at(59.999999999) == []
    assert venue.at(60) == ["CALL RECOVERY RECOVERING until 300"]
    assert venue.order(A, BUY, 1, 1_000) == []
    assert venue.at(299.999999999) == []
    assert venue.at(300) == REOPENED
    assert venue.trade(1_000, 1_100) == []
    assert venue.at(10_000) == []


def test_a_call_ends_by_its_uncross():
    """With a crossing book the recovery ends in UNCROSSING; its price is the new static reference."""
    venue, _ = halted(static_band_ppm=100_000)
    venue.at(60)
    venue.order(A, SELL, 1, 1_400)
    venue.order(B, BUY, 1, 1_400)
    told = venue.at(300)
    assert told[:3] == ["INDICATIVE 1 at 1400", "UNCROSSING RECOVERED", "UNCROSSED 1 at 1400"]
    assert told[3:] == ["TRADE 1 at 1400", "OPEN UNCROSSED"]
    venue.order(A, SELL, 1, 1_541)
    assert venue.order(B, BUY, 1, 1_541)[0] == "TRIPPED STATIC_BAND BUY at 1540: 100714 of 100000 until 600"


@pytest.mark.parametrize(("price", "extends"), [(1_100, False), (1_101, True), (900, False), (899, True)])
def test_a_call_is_extended_once_when_its_price_is_outside_the_static_band(price, extends):
    """The bound itself is inside; at the second end it uncrosses wherever the price is."""
    venue = Venue(reference=1_000)
    venue, told = halted(0, venue, static_band_ppm=100_000, extend_s=100)
    assert told[-1] == "CANCEL_ONLY BREAKER until 60"
    venue.run(build.mass_cancel(A), build.mass_cancel(B))
    venue.at(60)
    venue.order(A, SELL, 1, price)
    venue.order(B, BUY, 1, price)
    told = venue.at(300)
    if extends:
        assert told[1:] == ["CALL RECOVERY EXTENDED until 400"]
        assert venue.at(399) == []
        told = ["", *venue.at(400)]
    assert told[1:] == ["UNCROSSING RECOVERED", f"UNCROSSED 1 at {price}", f"TRADE 1 at {price}", "OPEN UNCROSSED"]


@pytest.mark.parametrize("thresholds", [{"extend_s": 0, "static_band_ppm": 100_000}, {"static_band_ppm": 0}])
def test_without_extension_or_band_a_call_is_not_extended(thresholds):
    """extend_s 0, or no static band in force: whatever the price."""
    venue = Venue(reference=1_000)
    halted(0, venue, **{"move_ppm": 50_000, **thresholds})
    venue.at(60)
    venue.order(A, SELL, 1, 1_500)
    venue.order(B, BUY, 1, 1_500)
    assert venue.at(300)[1] == "UNCROSSING RECOVERED"


def test_steps_may_be_left_out():
    """Without a call it opens after the cancels; without the cancels it is halted until an operator acts."""
    venue, told = halted(call_s=0, cancel_only_s=5)
    assert told == ["TRIPPED MOVE BUY at 1101: 101000 of 100000 until 5", "CANCEL_ONLY BREAKER until 5"]
    assert venue.at(5) == ["OPEN RECOVERED"]
    venue, told = halted(cancel_only_s=0)
    assert told == ["TRIPPED MOVE BUY at 1101: 101000 of 100000", "HALTED BREAKER"]
    assert venue.at(HOUR) == []
    assert venue.open() == ["OPEN OPERATOR"]


@pytest.mark.parametrize("second", [0, 30, 60, 299])
@pytest.mark.parametrize("state", [MarketState.OPEN, MarketState.HALTED, MarketState.CLOSED, MarketState.PRE_OPEN])
def test_an_operator_ends_a_recovery(second, state):
    """What an operator sets stays, in each step of the recovery."""
    venue, _ = halted(extend_s=100)
    venue.at(second)
    venue.set_state(state)
    while venue.machine.pending_work():
        venue.run(build.continue_work())
    assert venue.state() == state
    assert venue.at(10_000) == []
    assert venue.state() == state


def test_a_refused_override_changes_nothing():
    """The state that it is in already is refused, and the recovery goes on."""
    venue, _ = halted()
    refused = venue.run(build.instrument_state(1, MarketState.CANCEL_ONLY, **WHO))
    assert refused == [f"REJECTED {RejectCode.STATE_UNCHANGED.name}"]
    assert venue.at(60) == ["CALL RECOVERY RECOVERING until 300"]


DAY = (phase("OPENING_CALL", 9), phase("OPEN", 10), phase("CLOSING_CALL", 17), phase("CLOSED", 17, 5))


def test_a_phase_that_comes_during_a_recovery_is_what_it_ends_in():
    """It is not taken when it comes; the end of the call goes there without an uncross."""
    venue, told = halted(17 * HOUR - 100, Venue(phases=DAY))
    assert told[-1] == f"CANCEL_ONLY BREAKER until {17 * HOUR - 40}"
    assert venue.at(17 * HOUR - 40) == [f"CALL RECOVERY RECOVERING until {17 * HOUR + 200}"]
    venue.order(A, SELL, 1, 900)
    venue.order(B, BUY, 1, 900)
    assert venue.at(17 * HOUR) == ["INDICATIVE 1 at 900"]
    assert venue.at(17 * HOUR + 200) == [f"CALL CLOSING RECOVERED until {17 * HOUR + 300}"]
    told = venue.at(17 * HOUR + 300)
    assert told == ["INDICATIVE 1 at 900", "UNCROSSING SCHEDULE", "UNCROSSED 1 at 900", "TRADE 1 at 900", told[-1]]
    assert told[-1].startswith("CLOSED UNCROSSED")


def test_a_phase_that_comes_before_the_call_leaves_it_out():
    """A recovery that is to end in a phase other than OPEN goes there as soon as its cancels are over."""
    venue, _ = halted(17 * HOUR - 10, Venue(phases=DAY))
    assert venue.at(17 * HOUR) == []
    assert venue.at(17 * HOUR + 50) == [f"CALL CLOSING RECOVERED until {17 * HOUR + 300}"]


def test_a_schedule_closes_a_market_in_recovery():
    """CLOSED is taken, and the recovery is over."""
    venue, _ = halted(17 * HOUR + 4 * 60, Venue(phases=DAY))
    told = venue.at(17 * HOUR + 300)
    assert told == [f"CLOSED SCHEDULE until {33 * HOUR}"]
    assert venue.at(20 * HOUR) == []


def test_what_dormant_orders_wait_for_is_looked_at_again_when_it_opens():
    """A halt ends the settling: a stop that the move passed fires after the recovery."""
    venue = Venue()
    venue.breaker(**MOVE)
    venue.open()
    venue.trade(1_000)
    venue.run(build.stop_limit(A, 1, SELL, 1, 950, 1_000))
    assert venue.trade(899)[-1] == "CANCEL_ONLY BREAKER until 60"
    venue.at(60)
    assert venue.at(300) == [*REOPENED, "ORDER_TRIGGERED"]


@pytest.mark.parametrize("second", [0, 30, 61, 250, 301])
def test_a_restart_in_the_midst_of_a_recovery_changes_nothing(second):
    """A machine made from the state tells the same and ends in the same state."""
    told, hashes = [], []
    for restarts in (False, True):
        venue = Venue(2, reference=1_000)
        thresholds = {"spread_ppm": 20_000, "volume_ratio_ppm": 1, "volume_window_s": 1, "dynamic_band_ppm": 50_000}
        thresholds |= {"correlation_with": "I2", "correlation_s": 7, "correlation_samples": 2, "stress_s": 3}
        halted(0, venue, **thresholds)
        venue.open(2)
        venue.trade(1_000, 1_010, number=2)
        told.append(venue.at(second))
        if restarts:
            venue.restart()
        for later in (time for time in (60, 62, 300, 320, 400) if time > second):
            told[-1] += venue.at(later)
            if later in (62, 320):
                venue.order(A, SELL, 5, 1_040)
                told[-1] += venue.order(B, BUY, 5, 1_040)
        hashes.append(venue.machine.state_hash())
    assert told[0] == told[1]
    assert hashes[0] == hashes[1]
