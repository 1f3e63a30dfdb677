"""Markets with circuit breakers, in random mixes: the core's events and state are those of the naive model."""

import functools

import pytest

from kk99.schema import BreakerReason, CommandKind, EventKind, MarketState, Side, StateReason
from tests.core import breaker_mixes
from tests.core.breaker_mixes import GROUPS, MARKETS, setup
from tests.core.comparing import UNITS, compared, units_of_work
from tests.core.mixes import ACCOUNTS
from tests.naive import commands as make
from tests.naive.clock import SECOND_NS
from tests.naive.model import Naive
from tests.naive.rows import to_commands

COMMANDS = 400
SEEDS = (*range(16), 23, 25)


@functools.cache
def told(seed):
    """Run a mix in the python lane and in the model, comparing each command; return (kind, reason) of all events."""
    naive = Naive()
    with units_of_work(UNITS[seed % len(UNITS)]):
        return compared(naive, breaker_mixes.run(naive, seed, COMMANDS))


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


UNCROSSED = {(EventKind.MARKET_STATE_CHANGED, StateReason.UNCROSSED)}
MARKET_WIDE = {(EventKind.BREAKER_TRIPPED, BreakerReason.MARKET_WIDE)}


def long_uncross(call_s, later):
    """Commands at their seconds: groups halt one after another while a market has many pairs to uncross."""
    who = {"call_s": call_s, "stress_s": 0, "static_band_ppm": 1_000, "extend_s": 2}
    breakers = [{"name": name, "group": group} | who for name, group in zip(MARKETS, ("world", *GROUPS), strict=True)]
    orders = [
        make.order_new(ACCOUNTS[side - 1], 1, side, 1, price)
        for side, price in ((Side.BUY, 104), (Side.SELL, 96))
        for _ in range(24)
    ]
    falls = [
        make.command(CommandKind.INDEX_PRICE, target_lo=group, price_ticks=price, close_price_ticks=1000)
        for group, price in ((1, 920), (1, 860), (2, 920))
    ]
    states = [make.instrument_state(1, state) for state in (MarketState.CALL, MarketState.OPEN)]
    items = [*setup(), *[make.document(CommandKind.BREAKER_DEFINE, fields) for fields in breakers]]
    timed = [(0, item) for item in (*items, states[0], *orders, states[1], *falls)]
    return timed + [(second, make.command(CommandKind.CLOCK)) for second in later]


def rows_of(naive, timed):
    """Yield each item and its row."""
    for second, item in timed:
        commands = to_commands([item])
        commands.rows["seq"] = naive.seq + 1
        commands.rows["time_ns"] = round(second * SECOND_NS)
        yield item, commands


@pytest.mark.parametrize("units", [1, 65])
@pytest.mark.parametrize("call_s", [0, 1, 5])
@pytest.mark.parametrize("later", [(4, 4, 4), (0, 4, 5.5, 7, 9), (3, 3.5, 10, 10, 10), (0.1, 0.2, 0.3, 8, 8, 20)])
def test_a_recovery_goes_on_while_its_market_is_uncrossing(units, call_s, later):
    """With few units a halt, and the timers of its recovery, come in the midst of an uncross and of other visits."""
    timed = [*long_uncross(call_s, later), *[(30, make.command(CommandKind.CONTINUE))] * 50]
    naive = Naive()
    with units_of_work(units):
        assert compared(naive, rows_of(naive, timed)) >= UNCROSSED | MARKET_WIDE


@pytest.mark.parametrize("phases", ["CLOSED OPENING_CALL OPEN CLOSED OPEN", "PRE_OPEN OPEN CLOSING_CALL CLOSED OPEN"])
@pytest.mark.parametrize("fall_s", [0, 1.5, 2.5, 3.5, 5])
def test_schedules_open_no_market_of_a_halted_group(phases, fall_s):
    """Phases that come before, within and after the halt of a group, and within the recovery from it."""
    fields = {"name": MARKETS[1], "group": "world", "call_s": 3, "stress_s": 0}
    times = [(f"00:00:{2 * number + 1:02}", 127, phase) for number, phase in enumerate(phases.split())]
    fall = make.command(CommandKind.INDEX_PRICE, target_lo=1, price_ticks=920, close_price_ticks=1000)
    items = [*setup(), make.document(CommandKind.BREAKER_DEFINE, fields), make.trading_schedule("day", *times)]
    orders = [make.order_new(ACCOUNTS[0], 2, side, 1, 100) for side in (Side.BUY, Side.SELL)]
    ticks = [(number / 2, make.command(CommandKind.CLOCK)) for number in range(40)]
    timed = [*[(0, item) for item in items], (fall_s, fall), *[(fall_s, order) for order in orders], *ticks]
    timed.sort(key=lambda pair: pair[0])
    naive = Naive()
    assert compared(naive, rows_of(naive, timed)) >= MARKET_WIDE
