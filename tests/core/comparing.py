"""The core in the python lane beside the naive model, command by command, with as few units of work as a test likes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from unittest import mock

from kk99 import schema
from kk99.schema import BreakerReason, CancelReason, EventKind, RejectCode, StateReason
from tests.core.python_lane import python_lane
from tests.naive.compare import assert_same_events, assert_same_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np

    from kk99 import batch
    from tests.naive.model import Naive
    from tests.naive.rows import Item

LANE = python_lane()
Found = set[tuple[EventKind, int]]
UNITS = (schema.WORK_UNITS_PER_COMMAND, 130, 65)
"""Of pending work per command: with few, timers, visits, releases and uncrosses wait for one another."""
BETWEEN_STATES = 20
"""Commands from one comparison of the whole state to the next."""


@contextlib.contextmanager
def units_of_work(units: int) -> Iterator[None]:
    """Both do so many units of pending work for each command."""
    with (
        mock.patch.object(schema, "WORK_UNITS_PER_COMMAND", units),
        mock.patch.object(LANE.apply.work, "UNITS", units),
    ):
        yield


@contextlib.contextmanager
def fills_of_a_command(count: int) -> Iterator[None]:
    """In both an aggressor meets so many resting orders."""
    with (
        mock.patch.object(schema, "FILLS_PER_COMMAND_MAX", count),
        mock.patch.object(LANE.matching, "FILLS_MAX", count),
    ):
        yield


@contextlib.contextmanager
def obligations_at_most(count: int) -> Iterator[None]:
    """Both have so many slots of obligations, of which 0 is none; after `fills_of_a_command`, whose room is kept."""
    bound = count - 8 * schema.FILLS_PER_COMMAND_MAX
    with (
        mock.patch.object(schema, "OBLIGATIONS_MAX", count),
        mock.patch.object(LANE.linked, "OBLIGATIONS_BOUND", bound),
    ):
        yield


def compared(naive: Naive, pairs: Iterable[tuple[Item, batch.Commands]]) -> Found:
    """Apply commands, each an item and its row, to both; return (kind, reason) of all events."""
    machine, found = LANE.machine.Machine(), set()
    for number, (item, commands) in enumerate(pairs):
        events = machine.apply_all(commands)
        assert_same_events(events, naive, commands, [item])
        naive.check()
        machine.check()
        if number % BETWEEN_STATES == 0:
            assert_same_state(machine, naive)
        found |= {_told(row) for row in events.rows}
    assert_same_state(machine, naive)
    machine.check_all()
    return found


def _told(row: np.void) -> tuple[EventKind, int]:
    kind = EventKind(row["kind"])
    match kind:
        case EventKind.MARKET_STATE_CHANGED:
            return kind, StateReason(row["state_reason"])
        case EventKind.BREAKER_TRIPPED | EventKind.BREAKER_ALERT:
            return kind, BreakerReason(row["breaker_reason"])
        case EventKind.ORDER_CANCELED:
            return kind, CancelReason(row["reason"])
        case EventKind.REJECTED:
            return kind, RejectCode(row["reason"])
        case EventKind.ORDER_SUSPENDED:
            return kind, int(row["state"])
        case EventKind.ORDER_RELEASED:
            return kind, int(row["leaves_lots"] == 0)
    return kind, 0
