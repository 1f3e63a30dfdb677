"""Scheduled orders among all others, in random mixes: the core's events and state are those of the naive model."""

import functools

import pytest

from kk99 import schema
from kk99.schema import CancelReason, EventKind, RejectCode, Side
from tests.core import mixes, scheduled_mixes
from tests.core.comparing import UNITS, compared, units_of_work
from tests.naive import commands as make
from tests.naive.compare import empty_machine, stamped
from tests.naive.model import Naive

COMMANDS = 500
SEEDS = range(9)


@functools.cache
def told(seed):
    """Run a mix in the python lane and in the model, comparing each command; return (kind, reason) of all events."""
    naive = Naive()
    with units_of_work(UNITS[seed % len(UNITS)]):
        return compared(naive, scheduled_mixes.run(naive, seed, COMMANDS))


@pytest.mark.parametrize("seed", SEEDS)
def test_scheduled_orders_do_what_those_of_the_naive_model_do(seed):
    """Event by event, with money and holds checked after each command, and the whole state every now and then."""
    told(seed)


def test_the_mixes_meet_everything_that_becomes_of_a_scheduled_order():
    """Released in part and in full, suspended and not, short of money, ended for each reason there is."""
    found = set().union(*(told(seed) for seed in SEEDS))
    assert {(EventKind.ORDER_RELEASED, 0), (EventKind.ORDER_RELEASED, 1)} <= found
    assert {(EventKind.ORDER_SUSPENDED, 0), (EventKind.ORDER_SUSPENDED, 1)} <= found
    ends = {"FUNDS", "EXPIRED", "REQUESTED", "MASS_CANCEL", "KILL_SWITCH", "SELF_TRADE", "IOC"}
    assert {(EventKind.ORDER_CANCELED, CancelReason[name]) for name in ends} <= found
    assert {(EventKind.AUCTION_UNCROSSED, 0), (EventKind.ORDER_REDUCED, 0)} <= found


def test_so_many_scheduled_orders_live_at_a_time():
    """ALGOS_MAX of them are taken, one more is ORDERS_FULL; when one ends, its place is taken again."""
    machine = empty_machine()

    def answers(*items):
        rows = machine.apply_all(stamped(items, machine.seq + 1)).rows
        return [(EventKind(row["kind"]), int(row["reason"])) for row in rows]

    def order(number):
        who = mixes.ACCOUNTS[number % 2]
        return make.algo_order(who, 1, Side.SELL, 100, [(1 << 40, 1)], 1 << 41, client_id_lo=number + 1)

    answers(*mixes.setup())
    taken = answers(*map(order, range(schema.ALGOS_MAX)))
    assert [kind for kind, _ in taken].count(EventKind.ALGO_SCHEDULED) == schema.ALGOS_MAX
    full = [(EventKind.REJECTED, RejectCode.ORDERS_FULL)]
    assert answers(order(schema.ALGOS_MAX)) == full
    answers(make.by_client_id(make.order_cancel(mixes.ACCOUNTS[1], 0), 1000))
    assert answers(order(schema.ALGOS_MAX))[0][0] == EventKind.ALGO_SCHEDULED
    assert answers(order(schema.ALGOS_MAX + 1)) == full
    machine.check_all()
