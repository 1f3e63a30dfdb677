"""Scheduled orders in the naive model: time, rounds of work, bounds, and what must hold of a parent.

What they do case by case stands in `tests/core/tables/scheduled.txt`.
"""

import msgpack
import pytest

from kk99 import schema
from kk99.schema import CancelReason, CommandKind, EventKind, RejectCode
from tests.naive import commands as make
from tests.naive.clock import SECOND_NS
from tests.naive.floor import ALICE, BOB, BUY, CANCELED, SELL, TRADE, Floor, brief

RELEASED = "ORDER_RELEASED"
CHILD = ["ORDER_ACCEPTED", "ORDER_DETAILS"]


@pytest.fixture
def floor():
    """An open market with 100 lots offered at 100."""
    floor = Floor(schedule="")
    floor.put(schema.MarketState.OPEN)
    floor.order(BOB, SELL, 100, 100)
    return floor


def parent(floor, *slices, until_s=60, side=BUY, price=100, **more):
    """Enter a scheduled order of Alice's, and return its id; slices are (second, lots)."""
    timed = [(round(second * SECOND_NS), lots) for second, lots in slices]
    item = make.algo_order(ALICE, 1, side, price, timed, floor.time_ns + until_s * SECOND_NS, **more)
    first, *_ = floor.do(item)
    assert first["kind"] == EventKind.ALGO_SCHEDULED, RejectCode(first["reason"]).name
    return first["order_id"]


def after(floor, seconds):
    """Let seconds pass, and return the names of what happened."""
    floor.time_ns += round(seconds * SECOND_NS)
    return [name for name, *_ in floor.clock()]


def lots(floor):
    """The lots of each trade so far."""
    return [trade.qty_lots for trade in floor.naive.trades.values()]


def test_what_was_missed_is_released_at_once_before_the_end(floor):
    """A jump over all slices and the end: one child for all that was due, then the rest expires."""
    order = parent(floor, (1, 30), (2, 90), (3, 5))
    floor.time_ns += 100 * SECOND_NS
    events = floor.clock()
    assert [event[0] for event in events] == [*CHILD, TRADE, CANCELED, RELEASED, CANCELED]
    assert lots(floor) == [100]
    assert events[-1] == (CANCELED, order, CancelReason.EXPIRED, 25)


def test_parents_of_one_time_go_by_their_timers_numbers(floor):
    """Of two that are due at one time the one with the lower number is first, whichever was entered first."""
    first = parent(floor, (9, 1))
    second = parent(floor, (9, 2))
    floor.do(make.order_cancel(ALICE, first))
    third = parent(floor, (9, 3))
    after(floor, 0)
    floor.time_ns += 9 * SECOND_NS
    events = floor.do(make.command(CommandKind.CLOCK))
    released = [event["order_id"] for event in events if event["kind"] == EventKind.ORDER_RELEASED]
    # The first's timers were freed expiry first, so its release's number is the third's expiry's, and the other way.
    assert released == [third, second]


def test_releases_take_rounds_of_work(floor):
    """Each costs the timer, TRIGGER_UNITS and what it met; those without units left wait for the next command."""
    for _ in range(30):
        parent(floor, (1, 1))
    each = schema.TRIGGER_UNITS + 2 * schema.WORK_UNITS_PER_ORDER
    timers = 30 * schema.WORK_UNITS_PER_ORDER  # their start is due before, and releases nothing
    assert timers < schema.WORK_UNITS_PER_COMMAND
    assert after(floor, 0.5) == []
    first = after(floor, 1).count(RELEASED)
    assert first == -(-schema.WORK_UNITS_PER_COMMAND // each)
    assert after(floor, 0).count(RELEASED) == first
    assert after(floor, 0).count(RELEASED) == 30 - 2 * first


def test_events_of_a_release_are_those_of_a_timer(floor):
    """Their origin is the command that let the time pass, and they say nothing of its session."""
    parent(floor, (1, 1))
    floor.time_ns += SECOND_NS
    events = floor.do(make.command(CommandKind.CLOCK))
    assert {(event["origin_seq"], event.get("command_kind", 0)) for event in events[:-1]} == {(floor.naive.seq, 0)}


def test_a_child_waits_for_room(floor, monkeypatch):
    """With no room for one more order nothing is released, and what is due stays due."""
    parent(floor, (1, 4), (2, 4))
    monkeypatch.setattr(schema, "ORDERS_MAX", 3)
    assert after(floor, 1) == []
    monkeypatch.undo()
    assert after(floor, 1) == [*CHILD, TRADE, RELEASED]
    assert lots(floor) == [8]


def test_live_scheduled_orders_have_a_bound(floor, monkeypatch):
    """ALGOS_MAX live at a time, whoever's; one that ended leaves room."""
    monkeypatch.setattr(schema, "ALGOS_MAX", 2)
    first, _ = parent(floor, (1, 1)), parent(floor, (9, 1))
    item = make.algo_order(BOB, 1, SELL, 100, [(0, 1)], floor.time_ns + SECOND_NS)
    assert floor.do(item)[0]["reason"] == RejectCode.ORDERS_FULL
    floor.do(make.order_cancel(ALICE, first))
    assert floor.do(item)[0]["kind"] == EventKind.ALGO_SCHEDULED


@pytest.mark.parametrize(("count", "is_refused"), [(schema.SLICES_MAX, False), (schema.SLICES_MAX + 1, True)])
def test_slices_have_a_bound(floor, count, is_refused):
    """SLICES_MAX of them, each as large as a number may be, fit into a document."""
    slices = [(number << 50, 1) for number in range(count)]
    fields, document = make.algo_order(ALICE, 1, BUY, 100, slices, schema.AMOUNT_MAX)
    assert len(document) <= schema.DOCUMENT_BYTES_MAX
    event = floor.do((fields, document))[0]
    assert event["kind"] == (EventKind.REJECTED if is_refused else EventKind.ALGO_SCHEDULED)
    assert event.get("reason", RejectCode.DOCUMENT_INVALID) == RejectCode.DOCUMENT_INVALID


def test_the_event_has_the_document_as_given_with_all_its_fields(floor):
    """Absent ones are 0, the start as given; the times in numbers of any size."""
    item = make.algo_order(ALICE, 1, BUY, 100, [(0, 3), (1 << 40, 0)], floor.time_ns + (1 << 41))
    document = msgpack.unpackb(floor.do(item)[0]["document"])
    assert document == {
        "end_time_ns": floor.time_ns + (1 << 41),
        "participation_ppm": 0,
        "slices": [[0, 3], [1 << 40, 0]],
        "start_time_ns": 0,
    }
    assert list(document) == sorted(document)


def test_a_start_at_time_0_is_1(floor):
    """So a start is never 0, which would be none."""
    floor.naive.time_ns = floor.time_ns = 0
    order = floor.naive.live[parent(floor, (0, 5))]
    assert order.schedule.start_time_ns == 1


def test_a_parent_and_its_child_never_hold_more_than_the_parent_did(floor):
    """Whatever the fees round to: with nothing available a release still goes through, and all comes back."""
    floor.do(make.schedule("odd", {"maker_ppm": 333_333, "taker_ppm": 777_777}))
    floor.do(make.instrument_change("BTC/USD", fee_schedule="odd"))
    order = parent(floor, *[(second, 3) for second in range(1, 12)], price=99)
    floor.do(make.withdraw(ALICE, 1, floor.naive.available[ALICE, 1]))
    held = floor.naive.held[ALICE, 1]
    floor.do(make.schedule("odd", {"maker_ppm": 0, "taker_ppm": 1_000_000}))
    for _ in range(11):
        assert after(floor, 1) == [*CHILD, CANCELED, RELEASED]
        assert (floor.naive.available[ALICE, 1], floor.naive.held[ALICE, 1]) == (0, held)
    assert floor.naive.live[order].leaves_lots == 33


def test_a_slice_in_a_call_is_released_with_the_first_after_it(floor):
    """The market halts and calls; the slice after its opening releases all that came due."""
    parent(floor, (1, 1), (2, 2), (3, 3), (5, 4))
    floor.put(schema.MarketState.CALL)
    assert after(floor, 3) == []
    assert brief(floor.do(make.instrument_state(1, schema.MarketState.OPEN)))[-1][0] != RELEASED
    assert after(floor, 2) == [*CHILD, TRADE, RELEASED]
    assert lots(floor) == [10]


# What must hold -------------------------------------------------------------------------------------------------------


def more_slices(order, _):
    """The slices are more than the quantity."""
    order.schedule.slices.append([1, 1])


def rests(order, naive):
    """It is in the book."""
    naive.instruments[1].book.add(order)


def forgotten(order, naive):
    """It waits nowhere."""
    naive.instruments[1].scheduled.remove(order)


def no_timer(order, naive):
    """Nothing will ever release it."""
    naive.timers.drop(order.schedule.timer)
    order.schedule.timer = 0


def holds_less(order, naive):
    """It holds for less than it has left."""
    order.leaves_lots -= 1
    naive.rehold(order)
    order.leaves_lots += 1


def later(order, _):
    """It lives longer than its schedule."""
    order.schedule.end_time_ns += 1


@pytest.mark.parametrize("fault", [more_slices, rests, forgotten, no_timer, holds_less, later])
def test_check_notices_a_fault(floor, fault):
    """The model's check fails once a parent is damaged."""
    order = floor.naive.live[parent(floor, (1, 5))]
    fault(order, floor.naive)
    with pytest.raises((AssertionError, ValueError)):
        floor.naive.check()
