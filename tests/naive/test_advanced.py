"""Advanced orders in the naive model: what must hold, holds, however orders of all types are mixed and interrupted.

What each type does stands in `tests/core/tables/`, case by case; here are the cases that need many orders.
"""

import copy
import functools
from collections import Counter
from unittest import mock

import pytest
from hypothesis import given

from kk99 import schema
from kk99.schema import CancelReason, EventKind, RejectCode
from tests.core import cascades
from tests.core.strategies import scenarios, setup
from tests.core.tables import language
from tests.naive.compare import stamped
from tests.naive.model import Naive
from tests.naive.rows import apply_to_naive


class Driver:
    """The model, driven by lines of the tables' language, and checked after each."""

    def __init__(self, *lines):
        self.naive = Naive()
        apply_to_naive(self.naive, stamped([*language.prelude(), *map(language.read, cascades.RICH)], 1))
        self.run(*lines)

    def run(self, *lines):
        """Apply lines, and return what the last one caused, counted by kind."""
        return Counter(EventKind(event["kind"]) for event in self.events(*lines))

    def events(self, *lines):
        """Apply lines, and return the events of the last one."""
        events = []
        for line in lines:
            events = apply_to_naive(self.naive, stamped([language.read(line)], self.naive.seq + 1))
            self.naive.check()
        return events

    def rejection(self, line):
        """Why a line is refused."""
        return next(RejectCode(event["reason"]) for event in self.events(line) if event["kind"] == EventKind.REJECTED)

    @property
    def instrument(self):
        """Market X."""
        return self.naive.instruments[language.MARKETS["X"]]

    def trailing(self):
        """What the live trailing orders follow, latest first."""
        orders = sorted(self.instrument.dormant, key=lambda order: -order.serial)
        return [order.extreme_ticks for order in orders if order.is_trailing]


def triggered(events):
    """How many orders were activated."""
    return sum(event["kind"] == EventKind.ORDER_TRIGGERED for event in events)


# All that must hold ---------------------------------------------------------------------------------------------------


@functools.cache
def after_setup():
    """A model of the small venue."""
    naive = Naive()
    apply_to_naive(naive, stamped(setup(), 1))
    return naive


def run_checked(items):
    """Apply commands to the small venue, checking after each."""
    naive = copy.deepcopy(after_setup())
    for item in items:
        apply_to_naive(naive, stamped([item], naive.seq + 1))
        naive.check()


@given(scenarios())
def test_all_holds_after_every_command(items):
    """Money, holds, books, triggers and links are right after each command, whatever came."""
    run_checked(items)


@pytest.mark.parametrize(("units", "fills"), [(1, 4096), (70, 3), (300, 1)])
@given(items=scenarios())
def test_all_holds_however_short_a_round_is(units, fills, items):
    """So it is when pending work is cut into the smallest pieces, and few orders may be met."""
    with (
        mock.patch.object(schema, "WORK_UNITS_PER_COMMAND", units),
        mock.patch.object(schema, "FILLS_PER_COMMAND_MAX", fills),
    ):
        run_checked(items)


@pytest.mark.parametrize("name", cascades.CASES)
def test_all_holds_in_a_cascade(name):
    """So it is in the midst of work that takes many commands."""
    Driver(*cascades.CASES[name]())


def two_places(driver):
    """An order waits and rests."""
    driver.instrument.book.add(driver.instrument.dormant[0])


def lose_order(driver):
    """A dormant order is in no queue."""
    driver.instrument.dormant.pop()


def unequal_legs(driver):
    """A stop leg has more leaves than its limit leg."""
    leg = next(order for order in driver.naive.live.values() if order.linked is not None and order.is_dormant)
    leg.leaves_lots += 1
    leg.qty_lots += 1


def cheap_leg(driver):
    """A limit leg holds by its own limit alone."""
    leg = next(order for order in driver.naive.live.values() if order.linked is not None and not order.is_dormant)
    leg.hold_price_ticks = leg.limit_ticks
    driver.naive.rehold(leg)


def left_behind(driver):
    """A trailing order has not followed."""
    order = next(order for order in driver.instrument.dormant if order.is_trailing)
    order.extreme_ticks -= 5
    order.trigger_price_ticks -= 5


def wrong_distance(driver):
    """A trailing order's trigger is not at its distance."""
    next(order for order in driver.instrument.dormant if order.is_trailing).trigger_price_ticks -= 1


def shows_nothing(driver):
    """An iceberg at rest shows nothing."""
    next(order for order in driver.naive.live.values() if order.display_qty_lots).shown_lots = 0


def overlooked(driver):
    """A trigger has passed, and nothing is to be done about it."""
    driver.instrument.index_price_ticks = 1


FAULTS = [two_places, lose_order, unequal_legs, cheap_leg, left_behind, wrong_distance, shows_nothing, overlooked]


@pytest.mark.parametrize("fault", FAULTS)
def test_check_notices_a_fault(fault):
    """The model's check fails once the state is damaged."""
    driver = Driver(
        "index X 100",
        "A sell 5 @ 0 trailing_stop index trail:5",
        "A buy 5 @ 90 oco last:110 then:120",
        "B sell 9 @ 130 show:2",
    )
    fault(driver)
    with pytest.raises(AssertionError):
        driver.naive.check()


# Work in rounds -------------------------------------------------------------------------------------------------------


def test_a_command_that_makes_a_market_busy_does_a_round_at_once_and_the_next_two_more():
    """An activation costs TRIGGER_UNITS, and more for each order it met; rounds come before a command and after it."""
    stops = [f"A sell 1 @ 1 stop_limit index:{90 - number % 3}" for number in range(100)]
    driver = Driver("index X 100", *stops)
    each = schema.WORK_UNITS_PER_COMMAND // schema.TRIGGER_UNITS
    assert driver.run("index X 80")[EventKind.ORDER_TRIGGERED] == each
    assert driver.run("raw CONTINUE")[EventKind.ORDER_TRIGGERED] == 2 * each
    events = driver.events("B buy 200 @ 1")
    # The bid meets all that rest; those activated after it in the second round meet the bid, one each.
    met = schema.TRIGGER_UNITS + schema.WORK_UNITS_PER_ORDER
    own = next(number for number, event in enumerate(events) if event["kind"] == EventKind.ORDER_ACCEPTED)
    assert triggered(events[:own]) == each
    assert triggered(events[own:]) == -(-schema.WORK_UNITS_PER_COMMAND // met)


def test_events_of_the_work_name_the_command_that_set_it_off():
    """Whatever command's round does it, an activation's origin is the price that reached the trigger."""
    driver = Driver("index X 100", *["A sell 1 @ 1 stop_limit index:90"] * 40, "index X 80")
    origin = driver.naive.seq
    events = [event for event in driver.events("raw CONTINUE") if event["kind"] == EventKind.ORDER_TRIGGERED]
    assert len(events) == 24
    assert {(event["origin_seq"], event.get("command_kind", 0)) for event in events} == {(origin, 0)}


def test_what_a_busy_market_reached_counts_as_passed():
    """While it is busy a trigger within its reach is refused, though the price has come back."""
    driver = Driver("index X 100", *["A sell 1 @ 1 stop_limit index:90"] * 200, "index X 80", "index X 100")
    assert driver.instrument.reach == {schema.TriggerSource.INDEX: (80, 100), schema.TriggerSource.ASK: (1, 1)}
    assert driver.rejection("A sell 1 @ 1 stop_limit index:85") == RejectCode.TRIGGER_PASSED
    assert driver.run("A sell 1 @ 1 stop_limit index:79")[EventKind.ORDER_ACCEPTED] == 1
    driver.run(*cascades.CONTINUE * 9)
    assert driver.instrument.reach is None
    assert driver.run("A sell 1 @ 1 stop_limit index:85")[EventKind.ORDER_ACCEPTED] == 1


def test_a_walk_is_interrupted_and_ends_though_the_market_is_halted():
    """A walk moves as many as a round pays for, and moves the rest before the market is let go of."""
    each = schema.WORK_UNITS_PER_COMMAND // schema.WORK_UNITS_PER_ORDER
    driver = Driver("index X 100", *["A sell 1 @ 0 trailing_stop index trail:9"] * 300, "index X 110")
    assert driver.trailing() == [110] * each + [100] * (300 - each)
    driver.run("market X HALTED")
    assert driver.trailing() == [110] * 3 * each + [100] * (300 - 3 * each)
    driver.run("index X 105")
    assert driver.trailing() == [110] * 300
    assert not driver.naive.busy


def test_an_order_that_enters_behind_others_follows_with_them():
    """One that trails from where the latest of the others is leaves none of them behind."""
    stops = ["A buy 1 @ 1 stop_limit index:105"] * 100
    driver = Driver("index X 100", *["A sell 1 @ 0 trailing_stop index trail:50"] * 5, *stops, "index X 110")
    driver.run("A sell 1 @ 0 trailing_stop index trail:50")
    assert driver.trailing() == [100] * 6
    driver.run(*cascades.CONTINUE * 4)
    assert driver.trailing() == [110] * 6


def test_activation_leaves_the_units_that_others_need_for_the_next_command():
    """With no units left nothing more is done, not even what costs nothing; a mass cancel behind it waits."""
    driver = Driver("index X 100", *["A sell 1 @ 1 stop_limit index:90"] * 64, "index X 80")
    events = driver.run("A mass X")
    assert events[EventKind.ORDER_TRIGGERED] == 32
    assert driver.naive.busy
    assert events[EventKind.MASS_CANCEL_ACCEPTED] == 1
    events = driver.run("raw CONTINUE")
    assert events[EventKind.ORDER_TRIGGERED] == 16
    assert events[EventKind.ORDER_CANCELED] == 64
    assert not driver.naive.live


# Limits ---------------------------------------------------------------------------------------------------------------


def test_a_buys_limit_once_triggered_never_costs_more_than_it_holds():
    """Not when the highest price, or the tick step, have changed since."""
    driver = Driver("index X 990", "A buy 5 @ 50 trailing_stop_limit index trail:20")
    order = next(iter(driver.naive.live.values()))
    assert order.hold_price_ticks == 1000
    driver.run('define INSTRUMENT_CHANGE {"name": "X", "max_price_ticks": 2000, "tick_step": 7}', "index X 985")
    assert order.trigger_price_ticks == 1005
    driver.run("index X 1005")
    assert order.limit_ticks == 1000 - 1000 % 7
    driver = Driver("index X 5", "A buy 5 @ 0 trailing_stop_limit index trail:1")
    order = next(iter(driver.naive.live.values()))
    driver.run('define INSTRUMENT_CHANGE {"name": "X", "tick_step": 100}', "index X 6")
    assert order.limit_ticks == order.hold_price_ticks == 6


def test_an_iceberg_counts_by_its_parts_for_what_an_order_may_meet():
    """A fill-or-kill order that would have to meet more is canceled, another as soon as it has met as many."""
    driver = Driver('define INSTRUMENT_CHANGE {"name": "X", "max_qty_lots": 10000}', "B sell 4097 @ 100 show:1")
    (_, canceled) = driver.events("C buy 4097 @ 100 fok")
    assert canceled["reason"] == CancelReason.FOK
    events = driver.events("C buy 4097 @ 100")
    assert sum(event["kind"] == EventKind.TRADE for event in events) == schema.FILLS_PER_COMMAND_MAX
    assert events[-1]["reason"] == CancelReason.FILL_LIMIT
