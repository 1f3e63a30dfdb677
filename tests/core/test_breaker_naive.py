"""Markets with circuit breakers, in random mixes: the core's events and state are those of the naive model."""

import functools

import pytest

from kk99 import schema
from kk99.schema import BreakerReason, EventKind, StateReason
from tests.core import breaker_mixes
from tests.core.python_lane import python_lane
from tests.naive.compare import assert_same_events, assert_same_state
from tests.naive.model import Naive

LANE = python_lane()
COMMANDS = 400
UNITS = (schema.WORK_UNITS_PER_COMMAND, 130, 65)
"""Of pending work per command: with few, timers, visits and uncrosses wait for one another."""
SEEDS = range(12)


@functools.cache
def told(seed):
    """Run a mix in the python lane and in the model, comparing each command; return (kind, reason) of all events."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "WORK_UNITS_PER_COMMAND", UNITS[seed % len(UNITS)])
        patch.setattr(LANE.apply.work, "UNITS", UNITS[seed % len(UNITS)])
        return compared(seed, COMMANDS)


def compared(seed, count):
    """Compare so many commands of a mix."""
    naive, machine = Naive(), LANE.machine.Machine()
    found = set()
    for number, (item, commands) in enumerate(breaker_mixes.run(naive, seed, count)):
        events = machine.apply_all(commands)
        assert_same_events(events, naive, commands, [item])
        naive.check()
        machine.check()
        if number % 20 == 0 or number == count - 1:
            assert_same_state(machine, naive)
        for row in events.rows:
            kind = EventKind(row["kind"])
            if kind == EventKind.MARKET_STATE_CHANGED:
                found.add((kind, StateReason(row["state_reason"])))
            elif kind in {EventKind.BREAKER_TRIPPED, EventKind.BREAKER_ALERT}:
                found.add((kind, BreakerReason(row["breaker_reason"])))
            else:
                found.add((kind, 0))
    machine.check_all()
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_breakers_do_what_those_of_the_naive_model_do(seed):
    """Event by event, with money and holds checked after each command, and the whole state every now and then."""
    told(seed)


def test_the_mixes_meet_everything_that_a_breaker_does():
    """Every reason to halt, to alert and to change a state comes up, so that the comparison means something."""
    found = set().union(*(told(seed) for seed in SEEDS))
    halts = set(BreakerReason) - {BreakerReason.VOLUME, BreakerReason.CORRELATION}
    assert {(EventKind.BREAKER_TRIPPED, reason) for reason in halts} <= found
    alerts = {BreakerReason.VOLUME, BreakerReason.CORRELATION, BreakerReason.INDEX_SILENCE}
    assert {(EventKind.BREAKER_ALERT, reason) for reason in alerts} <= found
    assert {(EventKind.MARKET_STATE_CHANGED, reason) for reason in StateReason} <= found
    assert {(EventKind.STRESS_CHANGED, 0), (EventKind.GROUP_INDEX_CHANGED, 0)} <= found
