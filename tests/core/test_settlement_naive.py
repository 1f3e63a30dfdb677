"""Trades that settle later, in random mixes: the core's events and state are those of the naive model."""

import functools

import pytest

from kk99.schema import EventKind, MarketState, RejectCode, Side
from tests.core import settlement_mixes
from tests.core.comparing import UNITS, compared, fills_of_a_command, obligations_at_most, units_of_work
from tests.core.mixes import ACCOUNTS
from tests.naive import commands as make
from tests.naive.clock import DAY_NS
from tests.naive.model import Naive
from tests.naive.rows import to_commands

A, B, C, D = ACCOUNTS
COMMANDS = 500
SEEDS = range(16)


@functools.cache
def told(seed):
    """Run a mix in the python lane and in the model, comparing each command; return (kind, reason) of all events."""
    naive = Naive()
    with units_of_work(UNITS[seed % len(UNITS)]):
        return compared(naive, settlement_mixes.run(naive, seed, COMMANDS))


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_owed_is_what_the_naive_model_owes(seed):
    """Event by event, with money and obligations checked after each command, and the whole state now and then."""
    told(seed)


def test_the_mixes_meet_everything_that_becomes_of_what_is_owed():
    """Every refusal and every end of an obligation comes up, so that the comparison means something."""
    found = set().union(*(told(seed) for seed in SEEDS))
    kinds = {
        EventKind.OBLIGATION_SETTLED, EventKind.OBLIGATION_FAILED, EventKind.PENALTY_PAID, EventKind.TRADE_BUSTED,
        EventKind.TRADE_CORRECTED, EventKind.SETTLEMENT_CALENDAR_DEFINED, EventKind.AUCTION_UNCROSSED,
    }  # fmt: skip
    assert {(kind, 0) for kind in kinds} <= found
    codes = {
        RejectCode.OBLIGATION_UNKNOWN, RejectCode.SETTLEMENT_NOT_DUE, RejectCode.AMOUNT_INVALID,
        RejectCode.STATE_UNCHANGED, RejectCode.FUNDS_INSUFFICIENT, RejectCode.REFERENCE_UNKNOWN,
    }  # fmt: skip
    assert {(EventKind.REJECTED, code) for code in codes} <= found


FEW = [(100, 24), (101, 18), (102, 12), (103, 11)]


@pytest.mark.parametrize(("seed", "most"), FEW)
def test_with_few_slots_no_order_is_taken_while_so_much_is_owed(seed, most):
    """Orders are refused while the room that is kept is all there is; the model agrees on each of them."""
    naive = Naive()
    with fills_of_a_command(1), obligations_at_most(most):
        found = compared(naive, settlement_mixes.run(naive, seed, COMMANDS))
    assert (EventKind.REJECTED, RejectCode.ORDERS_FULL) in found


def test_a_trade_that_finds_no_slots_settles_at_once():
    """Of five pairs of an auction the first four take all slots; the fifth owes nothing, and can be taken back."""
    sellers = (A, B, C, D, A)
    calls = [make.instrument_state(2, state) for state in (MarketState.CALL, MarketState.OPEN)]
    asks = [make.order_new(account, 2, Side.SELL, 1, 100) for account in sellers]
    bids = [make.order_new(account, 2, Side.BUY, 1, 100) for account in (*sellers[1:], B)]
    order = make.order_new(A, 3, Side.BUY, 1, 100)
    items = [*settlement_mixes.setup(), calls[0], *asks, *bids, calls[1], order, make.trade_bust(5), make.trade_bust(4)]
    naive, ends = Naive(), [make.settle(A, 1, 1, 100), make.settle(A, 3, 1, 0), order, order]
    timed = [*[(0, item) for item in items], *[(DAY_NS, item) for item in ends]]
    with fills_of_a_command(1), obligations_at_most(9):
        assert (EventKind.REJECTED, RejectCode.ORDERS_FULL) in compared(naive, rows_of(naive, timed))
    assert [trade.value_date for trade in naive.trades.values()] == [1, 1, 1, 1, 0]
    assert len(naive.obligations.open) == 6


def rows_of(naive, timed):
    """Yield each item and its row."""
    for time_ns, item in timed:
        commands = to_commands([item])
        commands.rows["seq"], commands.rows["time_ns"] = naive.seq + 1, time_ns
        yield item, commands
