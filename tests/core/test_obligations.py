"""What is owed, in memory: value dates at a calendar's edges, chains and slots, bounds, and what becomes of it."""

import random
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99 import schema
from kk99.core import layout as lay
from kk99.machine import Machine, Sections
from kk99.schema import EventKind, Flag, MarketState, OrderType, RejectCode, Side, TimeInForce
from tests.core import logs
from tests.core.python_lane import python_lane
from tests.core.test_bounds import raise_to, run, venue
from tests.naive import commands as make
from tests.naive.compare import assert_same, empty_machine
from tests.naive.model import Naive
from tests.naive.settling import value_date_after

LANE = python_lane()
A, B, C = range(schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 3)
USD, BTC = 1, 2
LATER = {"settlement_days": 1}
DAYS = schema.SETTLEMENT_DAYS_MAX
DATE_MAX = (1 << 31) - 1
TODAY_MAX = ((1 << 63) - 1) // LANE.obligations.DAY_NS
FULL = schema.OBLIGATIONS_MAX - 8 * schema.FILLS_PER_COMMAND_MAX


# Value dates ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def state():
    """A memory of the python lane."""
    return LANE.state.State()


def dates_of(size):
    """Some calendars of at most so many dates, dense and wide."""
    dates = st.one_of(st.integers(0, 30), st.integers(0, DATE_MAX))
    return st.lists(dates, min_size=1, max_size=size, unique=True).map(sorted)


@given(dates_of(12), st.one_of(st.integers(0, 40), st.integers(0, TODAY_MAX)), st.integers(1, DAYS))
def test_a_value_date_is_the_nth_business_date_after_the_trade_date(state, dates, today, days):
    """Before the first date, between, on the last and after the end: as by looking through the dates one by one."""
    for at in (today, *[date + shift for date in dates for shift in (-1, 0, 1)]):
        assert value_date(state, dates, max(at, 0), days) == value_date_after(dates, max(at, 0), days)


def value_date(state, dates, today, days):
    """The kernel's answer with a calendar of these dates."""
    LANE.define.calendar(state, 1, dates)
    return LANE.obligations._nth_date(state.handle, 1, days, today)


@pytest.mark.parametrize("count", [1, 2, schema.CALENDAR_DATES_MAX])
@pytest.mark.parametrize("days", [1, DAYS])
def test_value_dates_at_the_edges_of_the_smallest_and_the_largest_calendar(state, count, days):
    """From before the first of the dates, two days apart, to beyond the last."""
    dates = list(range(10, 10 + 2 * count, 2))
    for today in {0, 9, 10, 11, 12, *range(max(0, dates[-1] - 2 * DAYS), dates[-1] + 3)}:
        assert value_date(state, dates, today, days) == value_date_after(dates, today, days)


def test_without_a_calendar_every_day_is_a_business_day(state):
    """The value date is so many days after today."""
    assert LANE.obligations._nth_date(state.handle, 0, DAYS, 7) == 7 + DAYS


def test_the_value_date_changes_at_midnight():
    """A market's value date holds to the last nanosecond of a day, not to the first of the next one."""
    day_ns = LANE.obligations.DAY_NS
    machine = Machine()
    setup = [
        make.asset("USD"), make.asset("BTC"), make.instrument("BTC/USD", "BTC", "USD", **LATER),
        make.instrument_state(1, MarketState.OPEN), make.account("A"), make.account("B"),
        make.deposit(A, BTC, 9), make.deposit(B, USD, 99), make.order_new(A, 1, Side.SELL, 9, 1),
    ]  # fmt: skip
    run(machine, *setup)
    for time_ns in (5 * day_ns, 6 * day_ns - 1, 6 * day_ns):
        commands = logs.stamped([make.order_new(B, 1, Side.BUY, 1, 1)], machine.seq + 1)
        commands.rows["time_ns"] = time_ns
        machine.apply_all(commands)
    assert owed(machine) == [(A, USD, 6, 2, 0), (B, BTC, 6, 2, 0), (A, USD, 7, 1, 0), (B, BTC, 7, 1, 0)]


def owed(machine):
    """What a machine's image says is owed."""
    rows = machine.image().rows
    rows = rows[rows["kind"] == EventKind.OBLIGATION_IMAGE]
    names = ("account_id", "asset_id", "order_id", "amount_units", "state")
    return [tuple(int(row[name]) for name in names) for row in rows]


# Chains and slots -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0, 3, LANE.obligations.HEADS_MASK])
def test_obligations_are_found_while_they_are_open_however_long_the_chains(mask):
    """Opened and closed at random, each is found by its key, in few chains or many; the last freed slot comes first."""
    chance, memory = random.Random(mask), LANE.state.State()
    m, core = memory.handle, LANE.obligations
    keys = [(LANE.memory.pair(A + number % 5, 1 + number % 3), number % 7) for number in range(105)]
    slots, free, top = {}, [], 0
    with mock.patch.object(core, "HEADS_MASK", mask):
        for _ in range(2_000):
            key = chance.choice(keys)
            if key in slots:
                core.close(m, slots[key])
                free.append(slots.pop(key))
            else:
                slots[key] = core._open(m, *key)
                expected = free.pop() if free else (top := top + 1)
                assert slots[key] == expected
            probe = chance.choice(keys)
            assert core.find(m, *probe) == slots.get(probe, 0)
        assert [core.find(m, *key) for key in keys] == [slots.get(key, 0) for key in keys]
        assert memory.header(lay.H_OBLIGATIONS) == len(slots)
        assert memory.header(lay.H_OBLIGATION_TOP) == top > 60


# At rest --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def settled():
    """A log with many obligations, its events' hash, and the machine after it."""
    log, machine = logs.log("settling-2"), Machine()
    return log, logs.run(machine, log), machine


@pytest.mark.parametrize("size", [1, 7, schema.BATCH_ROWS_MAX])
def test_batches_of_any_size_leave_the_same_owed(settled, size):
    """Events and state have the same hashes however the log is cut."""
    log, events, machine = settled
    other = Machine()
    assert logs.run(other, log, size) == events
    assert other.state_hash() == machine.state_hash()
    assert owed(other) == owed(machine)
    other.check_all()


@pytest.mark.parametrize("row", [60, 300, 555, logs.MIXED])
def test_a_snapshot_keeps_what_is_owed(settled, row):
    """Loaded by another process's salt, a state goes on as the one it was taken of, with free slots and chains."""
    log, _, machine = settled
    first = Machine()
    logs.run(first, logs.part(log, 0, row))
    sections = Sections()
    sections.copy(first)
    second = Machine.from_sections([(name, bytes(data)) for name, data in sections.canonical()])
    assert second.state_hash() == first.state_hash()
    assert owed(second) == owed(first)
    assert logs.run(second, logs.part(log, row)) == logs.run(first, logs.part(log, row))
    assert second.state_hash() == first.state_hash() == machine.state_hash()
    second.check_all()


# Bounds ---------------------------------------------------------------------------------------------------------------


def test_orders_are_refused_while_so_much_is_owed_and_what_rests_fills_all_the_same():
    """At the bound new orders, replaces that lose their place and scheduled orders are refused; stops still trigger."""
    machine = venue(**LATER, collar_ppm=500_000, reference_price_ticks=100)
    stop = {"order_type": OrderType.STOP_LIMIT, "trigger": 1, "trigger_price_ticks": 100}
    resting, *_ = run(
        machine, make.order_new(A, 1, Side.SELL, 5, 100), make.order_new(B, 1, Side.BUY, 2, 100, **stop),
        make.instrument("BTC2/USD", "BTC", "USD"), make.instrument_state(2, MarketState.OPEN),
    )  # fmt: skip
    raise_to(machine, lay.H_OBLIGATIONS, FULL - 1)
    buy = make.order_new(B, 1, Side.BUY, 1, 100)
    rows = run(machine, buy)
    assert (rows["kind"] == EventKind.TRADE).sum() == 2  # the stop's, too
    assert machine.state.header(lay.H_OBLIGATIONS) == FULL + 1
    algo = make.algo_order(B, 1, Side.BUY, 100, [(0, 1)], 1 << 50)
    target = int(resting["order_id"])
    refused = [buy, make.order_new(B, 2, Side.BUY, 1, 1), algo, make.order_replace(A, target, 5, 101)]
    rows = run(machine, *refused)
    assert rows["reason"].tolist() == [RejectCode.ORDERS_FULL] * 4
    (kept,) = run(machine, make.order_replace(A, target, 4, 100))
    assert kept["flags"] & Flag.PRIORITY_KEPT
    raise_to(machine, lay.H_OBLIGATIONS, FULL - 1)
    rows = run(machine, make.order_replace(A, target, 5, 101), buy)
    assert EventKind.REJECTED not in rows["kind"]


def test_the_last_slots_are_used_and_then_trades_settle_at_once():
    """Of an auction's two trades the first takes slots OBLIGATIONS_MAX - 2 and - 1, the second none."""
    machine = venue(**LATER)
    orders = [make.order_new(A, 1, Side.SELL, 1, 100), make.order_new(B, 1, Side.BUY, 1, 100)]
    more = [make.order_new(C, 1, Side.SELL, 1, 100), make.order_new(B, 1, Side.BUY, 1, 100)]
    run(machine, make.instrument_state(1, MarketState.CALL), *orders, *more)
    for word in (lay.H_OBLIGATIONS, lay.H_OBLIGATION_TOP):
        raise_to(machine, word, schema.OBLIGATIONS_MAX - 3)
    rows = run(machine, make.instrument_state(1, MarketState.OPEN))
    assert (rows["kind"] == EventKind.TRADE).sum() == 2
    assert machine.state.header(lay.H_OBLIGATION_TOP) == schema.OBLIGATIONS_MAX - 1
    words = machine.state.words[lay.trade(1) + lay.T_VALUE_DATE], machine.state.words[lay.trade(2) + lay.T_VALUE_DATE]
    assert words[0] > 0 == words[1]
    (bust,) = run(machine, make.trade_bust(2))
    assert bust["kind"] == EventKind.TRADE_BUSTED


def test_calendars_and_their_dates_are_bounded():
    """The last calendar takes the last date, one more of either is refused; a known one takes new dates even so."""
    most = schema.CALENDARS_MAX - 1
    dates = range(schema.CALENDAR_DATES_MAX)
    items = [make.settlement_calendar(f"c{number}", *dates) for number in range(most)]
    items += [make.settlement_calendar("more", 1), make.settlement_calendar("c0", *dates, len(dates))]
    items += [make.settlement_calendar("c0", DATE_MAX), make.settlement_calendar("c1", DATE_MAX + 1)]
    (events,) = assert_same(empty_machine(), Naive(), items, size=len(items))
    rows = events.rows[most:]
    assert rows["reason"][rows["kind"] == EventKind.REJECTED].tolist() == [
        RejectCode.CAPACITY_REACHED, RejectCode.DOCUMENT_INVALID, RejectCode.DOCUMENT_INVALID,
    ]  # fmt: skip
    assert rows["order_id"][2] == 1


def test_a_refused_bust_opens_no_balance():
    """A seller that never held the money and is only owed it gets no balance by a bust, whatever becomes of that."""
    machine = Machine()
    run(
        machine, make.asset("USD"), make.asset("BTC"), make.instrument("BTC/USD", "BTC", "USD", **LATER),
        make.instrument_state(1, MarketState.OPEN), make.account("A"), make.account("B"),
        make.deposit(A, BTC, 9), make.deposit(B, USD, 99), make.order_new(A, 1, Side.SELL, 9, 1),
        make.order_new(B, 1, Side.BUY, 9, 1, time_in_force=TimeInForce.IOC),
    )  # fmt: skip
    before = machine.state.header(lay.H_BALANCES)
    rows = run(machine, make.trade_correct(1, 50, 9), make.trade_correct(1, 2, 9), make.trade_bust(1))
    assert rows["kind"].tolist() == [EventKind.REJECTED, EventKind.TRADE_CORRECTED, EventKind.TRADE_BUSTED]
    assert machine.state.header(lay.H_BALANCES) == before
    assert np.all([amount == 0 for *_, amount, _ in owed(machine)])
    machine.check_all()
