"""Execution quality of scheduled orders: what a parent's children fill together, against the market of its life."""

from fractions import Fraction

from hypothesis import given, settings

from kk99 import build
from kk99.book import Book, events_of
from kk99.machine import Machine
from kk99.schema import MarketState, OrderType, SelfTrade
from replay.figures import LIVE
from replay.quality import FILLED, Quality
from tests.replay.measuring import (
    ANN,
    BEN,
    BUY,
    BY,
    CEM,
    SECOND,
    SELL,
    TICK_LOT_UNITS,
    Log,
    half,
    market_setup,
    mixtures,
    order,
    part,
    trade,
)


def quoted(**options):
    """A market of 98 to 102, 20 lots each."""
    return Log(**options).at(0, order(BEN, BUY, 20, 98), order(BEN, SELL, 20, 102))


def algo(side, price, *slices, until=100, **more):
    """A scheduled order of Ann's that runs from its entry; slices are (second, lots)."""
    timed = [(round(second * SECOND), lots) for second, lots in slices]
    lots = sum(lots for _, lots in slices)
    return build.algo_order(ANN, 1, side, lots, price, timed, until * SECOND, client_id="parent", **more)


def test_a_parent_is_measured_by_its_children_together():
    """4 at 102 after two seconds and 6 at 103 after four, against the mid of 100 at its entry."""
    log = quoted().at(1, *trade(2, 100)).at(2, algo(BUY, 105, (2, 4), (4, 6)))
    log.at(4, build.clock()).at(5, order(CEM, BUY, 16, 102), order(BEN, SELL, 9, 103)).at(6, build.clock()).end(9)
    parent = log.order("parent")
    first, second = log.children("parent")
    assert (first.filled_lots, second.filled_lots, parent.filled_lots) == (4, 6, 10)
    assert parent.average_ticks == Fraction(4 * 102 + 6 * 103, 10)
    assert (parent.entry_time_ns, parent.active_time_ns, parent.arrival_ticks) == (2 * SECOND, 2 * SECOND, 100)
    assert parent.slippage_bps(parent.arrival_ticks) == 260
    assert (parent.vwap_ticks, parent.market_lots) == (Fraction(20 * 102 + 6 * 103, 26), 26)
    assert parent.twap_ticks == Fraction(2 * 100 + 2 * 102, 4)
    assert (parent.ended, parent.filled_ratio(TICK_LOT_UNITS)) == (FILLED, 1)
    assert (parent.time_to_first_fill_ns, parent.time_to_end_ns) == (2 * SECOND, 4 * SECOND)
    assert (parent.maker_lots, parent.fee_units) == (0, first.fee_units + second.fee_units)
    assert second.arrival_ticks == half(98 + 103)


def test_what_a_child_does_not_fill_is_not_the_parents():
    """Of 30 lots 20 are there: the parent ends at its date with what it has."""
    log = quoted().at(1, algo(SELL, 98, (1, 30), until=4)).at(2, build.clock()).at(4, build.clock()).end(5)
    parent, (child,) = log.order("parent"), log.children("parent")
    assert (child.ended, child.filled_lots, child.qty_lots) == ("IOC", 20, 30)
    assert (parent.ended, parent.filled_ratio(TICK_LOT_UNITS), parent.average_ticks) == ("EXPIRED", Fraction(2, 3), 98)
    assert parent.slippage_ticks(parent.arrival_ticks) == 2
    assert parent.time_to_end_ns == 3 * SECOND


def test_self_trade_prevention_leaves_the_parents_quantity():
    """3 of a child's 8 lots are taken off: they come back, and the parent still wants 8."""
    log = Log().at(0, order(BEN, BUY, 5, 90), order(ANN, SELL, 3, 100), order(BEN, SELL, 9, 101))
    guard = {"self_trade": SelfTrade.DECREMENT}
    log.at(1, algo(BUY, 101, (1, 8), until=4, **guard)).at(2, build.clock()).end(3)
    parent, (child,) = log.order("parent"), log.children("parent")
    assert (child.qty_lots, child.filled_lots) == (5, 5)
    assert (parent.qty_lots, parent.filled_lots, parent.ended) == (8, 5, LIVE)


def test_a_parent_that_released_nothing_has_benchmarks_alone():
    """In a call there is no arrival mid, and nothing is released: the parent has no average."""
    log = quoted().at(0, build.instrument_state(1, MarketState.CALL, **BY)).at(1, algo(BUY, 110, (0, 5), until=3))
    log.at(2, build.clock()).at(3, build.clock()).end(4)
    parent = log.order("parent")
    assert list(log.children("parent")) == []
    assert (parent.arrival_ticks, parent.average_ticks, parent.ended) == (None, None, "EXPIRED")


def test_a_parent_alone_is_measured_without_its_children():
    """Who wants the parent alone gets the same figures of it."""
    wanted = {"wants": lambda event: event.order_type == OrderType.ALGO}
    both, alone = (
        quoted(**options).at(1, algo(BUY, 102, (1, 4), (2, 5))).at(2, build.clock()).at(4, build.clock()).end(5)
        for options in ({}, wanted)
    )
    assert [one.order_type for one in alone.ended] == [OrderType.ALGO]
    assert alone.ended == [both.order("parent")]


@settings(max_examples=settings().max_examples // 3)
@given(mixtures())
def test_parents_add_up_in_any_log(commands):
    """Fills, notional and fees of a parent are those of its children, and its fills are what ORDER_RELEASED tells."""
    machine, quality, book, released = Machine(), Quality(), Book(), {}
    events = machine.apply_all(commands)
    measured = {one.order_id: one for one in [*quality.take(events), *quality.finish(machine.time_ns)]}
    for event in events_of(events):
        book.settle(event)
        book.take(event)
        if event.order_id in measured and measured[event.order_id].order_type == OrderType.ALGO and event.leaves_lots:
            released[event.order_id] = event.leaves_lots
    for parent in measured.values():
        if parent.order_type != OrderType.ALGO:
            continue
        children = [one for one in measured.values() if one.parent_order_id == parent.order_id]
        for name in ("filled_lots", "notional_tick_lots", "fee_units"):
            assert getattr(parent, name) == sum(getattr(child, name) for child in children)
        assert all(child.maker_lots == 0 and child.end_time_ns == child.entry_time_ns for child in children)
        if parent.ended == FILLED:
            assert parent.filled_lots == parent.qty_lots
            assert parent.order_id not in book.orders
        else:
            assert parent.filled_lots == parent.qty_lots - released[parent.order_id]


def test_a_run_that_begins_within_a_parents_life_measures_its_later_children():
    """A parent entered before the run is not measured, its children from then on are."""
    setup = build.batch_of(
        [
            *market_setup(),
            order(BEN, SELL, 20, 102),
            algo(BUY, 102, (1, 4), (2, 5), until=9),
            build.clock(),
            build.clock(),
        ]
    )
    commands = build.stamp(setup, 1, SECOND)
    commands.rows["time_ns"][-2:] = 2 * SECOND, 3 * SECOND
    machine, quality = Machine(), Quality()
    machine.apply_all(part(commands, 0, -1))
    quality.begin(machine.image(), machine.time_ns)
    ended = list(quality.take(machine.apply_all(part(commands, -1))))
    assert [(one.order_type, one.filled_lots) for one in ended] == [(OrderType.LIMIT, 5)]
