"""Orders whose time ends, through the naive model: dates by timers, days and auctions by their market."""

import pytest

from kk99 import schema
from kk99.schema import CancelReason, EventKind, MarketState, OrderType, RejectCode, TimeInForce, TriggerSource
from tests.naive import commands as make
from tests.naive import states
from tests.naive.floor import (
    AFTER_UNCROSS,
    ALICE,
    BOB,
    BUY,
    CANCELED,
    CAROL,
    EXPIRED,
    JOINED,
    LINKED,
    MARKET,
    ORDERED,
    SELL,
    STATE,
    TRADE,
    UNCROSSED,
    Floor,
    brief,
    ns,
)

STOP = {"trigger": TriggerSource.LAST, "trigger_price_ticks": 95}


@pytest.fixture
def floor():
    """A market that an operator opened; no schedule closes it."""
    floor = Floor(schedule="")
    floor.put(MarketState.OPEN)
    return floor


@pytest.fixture
def slow(monkeypatch):
    """A round of work is three steps that cost as much as an order."""
    monkeypatch.setattr(schema, "WORK_UNITS_PER_COMMAND", 3 * schema.WORK_UNITS_PER_ORDER)


def until(time, **more):
    """The terms of an order that is good till a date."""
    return {"time_in_force": TimeInForce.GTD, "expire_time_ns": ns(time), **more}


# Dates ----------------------------------------------------------------------------------------------------------------


def test_an_order_ends_on_its_date(floor):
    """The first command at or after the date ends the order, before anything else of the command."""
    order = floor.order(ALICE, BUY, 5, 100, **until("07:30:00"))
    assert floor.clock("07:29:59") == []
    events = floor.do(make.order_cancel(ALICE, order), at="07:30:00")
    assert brief(events) == [(CANCELED, order, EXPIRED, 5), ("REJECTED",)]
    assert events[0]["origin_seq"] == events[0]["cause_seq"]
    assert "command_kind" not in events[0]
    assert events[1]["reason"] == RejectCode.ORDER_UNKNOWN


def test_a_date_is_after_now(floor):
    """The next nanosecond is a date; now is not, and no other order has one."""
    at_ns = floor.time_ns
    assert floor.refusal(TimeInForce.GTD, expire_time_ns=at_ns) == RejectCode.EXPIRE_INVALID
    assert floor.refusal(TimeInForce.GTD) == RejectCode.EXPIRE_INVALID
    assert floor.refusal(TimeInForce.GTC, expire_time_ns=at_ns + 1) == RejectCode.FLAGS_INVALID
    assert floor.refusal(TimeInForce.GTD, expire_time_ns=at_ns + 1) is None


def test_dates_that_fall_together_end_by_timer(floor):
    """Orders end by date, and those of one date by the number of their timers, of which ended ones are used again."""
    orders = [floor.order(ALICE, BUY, 1, 90 + number, **until("07:30:00")) for number in range(3)]
    floor.do(make.order_cancel(ALICE, orders[1]))
    early = floor.order(ALICE, BUY, 1, 100, **until("07:20:00"))
    floor.do(make.order_cancel(ALICE, orders[0]))
    floor.order(BOB, SELL, 1, 100)
    reused = floor.order(ALICE, BUY, 1, 99, **until("07:30:00"))
    first = floor.order(ALICE, BUY, 1, 98, **until("07:25:00"))
    assert early not in floor.live()
    assert floor.naive.live[reused].timer == 2
    assert floor.naive.live[first].timer == 1
    assert floor.clock("07:40:00") == [(CANCELED, one, EXPIRED, 1) for one in (first, reused, orders[2])]


def test_an_order_filled_on_entry_sets_no_timer(floor):
    """A timer is set once the order rests; one that is filled, or half an OCO gone with it, has none."""
    floor.order(BOB, SELL, 5, 100)
    floor.order(ALICE, BUY, 5, 100, **until("07:30:00"))
    oco = {"order_type": OrderType.OCO, "trigger": TriggerSource.LAST, "trigger_price_ticks": 105}
    floor.order(BOB, SELL, 5, 100)
    floor.order(ALICE, BUY, 5, 100, **until("07:30:00", **oco, stop_limit_price_ticks=106))
    assert floor.live() == set()
    assert floor.clock("07:30:00") == []


def test_both_legs_of_an_oco_have_the_date(floor):
    """The limit leg's timer is set first, and when it fires the stop leg follows."""
    oco = {"order_type": OrderType.OCO, "stop_limit_price_ticks": 94, **STOP}
    limit = floor.order(ALICE, SELL, 5, 110, **until("07:30:00", **oco))
    assert [order.timer for order in floor.naive.live.values()] == [1, 2]
    assert floor.clock("07:30:00") == [(CANCELED, limit, EXPIRED, 5), (CANCELED, limit + 1, LINKED, 5)]


def test_exits_have_the_date_of_their_entry(floor):
    """The timers of a bracket's exits are set when they are armed, before that of an entry which then rests."""
    bracket = {"order_type": OrderType.BRACKET, "take_profit_price_ticks": 110, "stop_limit_price_ticks": 94, **STOP}
    floor.order(BOB, SELL, 2, 100)
    entry = floor.order(ALICE, BUY, 5, 100, **until("07:40:00", **bracket))
    timers = {order.timer: order for order in floor.naive.live.values()}
    limit, stop = timers[1], timers[2]
    assert timers[3].order_id == entry
    assert limit.linked is stop
    assert floor.clock("07:40:00") == [
        (CANCELED, limit.order_id, EXPIRED, 2),
        (CANCELED, stop.order_id, LINKED, 2),
        (CANCELED, entry, EXPIRED, 3),
    ]


def test_a_dormant_order_keeps_its_date_once_triggered(floor):
    """A stop-limit that rests after its trigger ends on the date that it had."""
    stop = floor.order(ALICE, SELL, 5, 94, **until("07:30:00", order_type=OrderType.STOP_LIMIT, **STOP))
    floor.order(BOB, BUY, 1, 95)
    floor.order(CAROL, SELL, 1, 95)
    assert floor.book() == [[], [(94, 5)]]
    assert floor.clock("07:30:00") == [(CANCELED, stop, EXPIRED, 5)]


@pytest.mark.usefixtures("slow")
def test_dates_come_before_other_work(floor):
    """What is due is a step each, before the market's own steps and the queue; the rest waits for the next command."""
    dated = [floor.order(ALICE, BUY, 1, 100, **until("07:30:00")) for _ in range(4)]
    days = [floor.order(BOB, BUY, 1, 99, TimeInForce.DAY) for _ in range(5)]
    first = floor.put(MarketState.CLOSED)
    assert first == [(ORDERED, MarketState.CLOSED, 0), *[(CANCELED, one, EXPIRED, 1) for one in days[:3]]]
    events = floor.do(make.mass_cancel(ALICE), at="07:30:00")
    assert brief(events) == [
        *[(CANCELED, one, EXPIRED, 1) for one in dated[:3]],
        ("MASS_CANCEL_ACCEPTED",),
        *[(CANCELED, one, EXPIRED, 1) for one in (dated[3], *days[3:])],
    ]
    assert floor.clock() == [("MASS_CANCEL_DONE",)]


# Days -----------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("slow")
def test_a_day_ends_with_the_close(floor):
    """Day orders at rest, dormant and linked end oldest first; those entered after the close belong to another day."""
    bid = floor.order(ALICE, BUY, 5, 100, TimeInForce.DAY)
    stop = floor.order(BOB, SELL, 5, 0, TimeInForce.DAY, order_type=OrderType.STOP, **STOP)
    kept = floor.order(BOB, SELL, 5, 110)
    oco = {"order_type": OrderType.OCO, "stop_limit_price_ticks": 94, **STOP}
    legs = floor.order(CAROL, SELL, 5, 110, TimeInForce.DAY, **oco)
    last = floor.order(ALICE, BUY, 5, 99, TimeInForce.DAY)
    floor.do(make.order_replace(ALICE, bid, 5, 101))
    assert floor.put(MarketState.CLOSED) == [
        (ORDERED, MarketState.CLOSED, 0),
        (CANCELED, bid, EXPIRED, 5),
        (CANCELED, stop, EXPIRED, 5),
        (CANCELED, legs, EXPIRED, 5),
        (CANCELED, legs + 1, LINKED, 5),
    ]
    assert floor.put(MarketState.OPEN) == [(CANCELED, last, EXPIRED, 5), (ORDERED, MarketState.OPEN, 0)]
    tomorrow = floor.order(ALICE, BUY, 5, 99, TimeInForce.DAY)
    assert floor.clock() == []
    assert floor.live() == {kept, tomorrow}


@pytest.mark.usefixtures("slow")
def test_a_market_that_opens_again_ends_the_old_day(floor):
    """What was to expire does so also after the market has opened again, though it may be canceled before."""
    old = [floor.order(ALICE, BUY, 1, 100, TimeInForce.DAY) for _ in range(12)]
    floor.put(MarketState.CLOSED)
    floor.put(MarketState.OPEN)
    new = floor.order(BOB, BUY, 1, 98, TimeInForce.DAY)
    assert floor.live() == {new}
    assert len(old) == 12


def test_opening_without_an_auction_ends_orders_for_it():
    """Orders for the opening auction end when the market opens, or closes, without one; what crosses is uncrossed."""
    floor = Floor(schedule="")
    bid = floor.order(ALICE, BUY, 5, 101, TimeInForce.AT_OPEN)
    assert floor.put(MarketState.OPEN) == [(ORDERED, MarketState.OPEN, 0), (CANCELED, bid, EXPIRED, 5)]
    floor.put(MarketState.PRE_OPEN)
    bid, ask = (
        floor.order(ALICE, BUY, 5, 101, TimeInForce.AT_OPEN),
        floor.order(BOB, SELL, 3, 101, TimeInForce.AT_OPEN),
    )
    assert floor.put(MarketState.OPEN) == [
        (ORDERED, MarketState.UNCROSSING, 0),
        (UNCROSSED, 101, 3, 2),
        (TRADE, ask, bid, 101, 3),
        (STATE, MarketState.OPEN, 0, AFTER_UNCROSS, 0),
        (CANCELED, bid, EXPIRED, 2),
    ]
    floor.put(MarketState.PRE_OPEN)
    bid = floor.order(ALICE, BUY, 5, 101, TimeInForce.AT_OPEN)
    assert floor.put(MarketState.CLOSED)[1:] == [(CANCELED, bid, EXPIRED, 5)]


# The closing auction's ------------------------------------------------------------------------------------------------


@pytest.fixture
def day():
    """A market that its schedule has opened."""
    floor = Floor()
    floor.clock("09:00:00")
    floor.clock("09:10:00")
    assert floor.now == states.OPEN
    return floor


def test_orders_wait_for_the_closing_call(day):
    """They hold, can be canceled and replaced, keep their place, and meet nothing before they join."""
    orders = [
        day.order(ALICE, BUY, 5, 0, TimeInForce.AT_CLOSE, **MARKET),
        day.order(BOB, SELL, 5, 99, TimeInForce.AT_CLOSE),
        day.order(CAROL, SELL, 5, 100, TimeInForce.AT_CLOSE),
    ]
    assert day.book() == [[], []]
    assert day.naive.balances()[ALICE, 1][1] == 5 * 110
    (event,) = day.do(make.order_replace(BOB, orders[1], 7, 98))
    assert event["kind"] == EventKind.ORDER_REPLACED
    assert event["flags"] == schema.Flag.PRIORITY_KEPT
    (event,) = day.do(make.order_replace(ALICE, orders[0], 7, 98))
    assert event["reason"] == RejectCode.REPLACE_UNSUPPORTED
    day.do(make.order_cancel(CAROL, orders[2]))
    assert day.clock("17:00:00")[1:] == [(JOINED, orders[0]), (JOINED, orders[1])]
    assert day.book() == [[(110, 5)], [(98, 7)]]


@pytest.mark.usefixtures("slow")
def test_orders_that_could_not_join_wait_on(day):
    """A closing call that is halted early leaves those waiting who have not joined; the next one takes them."""
    orders = [day.order(ALICE, BUY, 1, 100 + number, TimeInForce.AT_CLOSE) for number in range(5)]
    calls = ("17:00:00", 127, "CLOSING_CALL"), ("18:00:00", 127, "CLOSING_CALL"), ("18:10:00", 127, "CLOSED")
    day.do(make.trading_schedule("day", *calls))
    # The transition is one of the first three steps.
    assert day.do(make.instrument_state(1, MarketState.HALTED), at="17:00:00")[-1]["state"] == MarketState.HALTED
    day.put(MarketState.OPEN)
    assert day.book() == [[(101, 1), (100, 1)], []]
    assert day.clock("18:00:00")[1:] == [(JOINED, one) for one in orders[2:]]
    events = day.clock("18:10:00") + day.clock()
    assert events[-5:] == [(CANCELED, one, EXPIRED, 1) for one in orders]


@pytest.mark.usefixtures("slow")
def test_an_operators_opening_ends_the_closing_auction(day):
    """After a closing call's uncross its orders expire, whatever state follows; what waits is for this one too."""
    bid = day.order(ALICE, BUY, 5, 100, TimeInForce.AT_CLOSE)
    day.clock("17:00:00")
    assert day.put(MarketState.OPEN) == [
        (ORDERED, MarketState.UNCROSSING, 0),
        (UNCROSSED, 0, 0, 0),
        (STATE, MarketState.OPEN, 0, AFTER_UNCROSS, ns("17:10:00")),
        (CANCELED, bid, EXPIRED, 5),
    ]


def test_cancel_reasons_are_told_apart(day):
    """A waiting order that is mass canceled says so, and frees what it held."""
    day.order(ALICE, BUY, 5, 100, TimeInForce.AT_CLOSE)
    events = day.do(make.mass_cancel(ALICE))
    assert [event.get("reason", 0) for event in events] == [0, CancelReason.MASS_CANCEL, 0]
    assert day.naive.balances()[ALICE, 1] == (1_000_000, 0)
