"""Trading days, with schedules that change and time that jumps, give the events and the state of the naive model."""

import pytest

from kk99.machine import Machine
from tests.core.days import Days
from tests.core.logs import Draws, part
from tests.naive.compare import assert_same_events, assert_same_state
from tests.naive.model import Naive

COMMANDS = 900
BATCH = 20


@pytest.mark.parametrize("seed", [0, 1, 2, 6])
def test_days_are_those_of_the_naive_model(seed):
    """Event by event, and after every batch the same books, balances and orders that wait."""
    days = Days(Draws(seed))
    days.go_on(COMMANDS)
    commands, machine, naive = days.commands(), Machine(), Naive()
    for start in range(0, len(days.items), BATCH):
        rows = part(commands, start, start + BATCH)
        assert_same_events(machine.apply_all(rows), naive, rows, days.items[start : start + BATCH])
        assert_same_state(machine, naive)
    machine.check_all()
