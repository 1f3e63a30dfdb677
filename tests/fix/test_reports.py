"""Events become reports: scripts of messages, and what everyone is told."""

from __future__ import annotations

import pytest

from gateways.fix import orders
from gateways.fix.listing import Listing
from gateways.fix.reasons import Refusal
from gateways.fix.reports import Reports
from kk99 import build, schema
from kk99.schema import (
    MarketState,
    SelfTrade,
)
from tests.fix.desk import TIME, WHO, Desk, body, brief, inbound, order

ACC, BCC = schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 1
SELL = {"t1": "BCC", "t54": 2}


def target(client_id, of, **changes):
    """A cancel's body, or with price and type a replace's."""
    fields = {11: client_id, 41: of, 1: "ACC", 55: "BTC-USDT", 54: 1, 60: TIME, 38: "1"}
    return body(fields | {int(name[1:]): value for name, value in changes.items()})


def replace(client_id, of, **changes):
    """A replace's body."""
    return target(client_id, of, **({"t40": 2, "t44": "100"} | changes))


@pytest.fixture
def desk():
    """A venue of one's own."""
    return Desk()


def test_an_order_lives(desk):
    """Accepted, filled in part, replaced, filled whole: quantities, average and fees are right at each step."""
    tags = (11, 41, 38, 44, 32, 31, 14, 151, 6, 137, 851)
    assert brief(desk.send("D", order("A1", t38="3")), *tags) == [
        "ONE 8 0/0 11=A1 38=3.000 44=100.00 14=0.000 151=3.000 6=0"
    ]
    taken = desk.send("D", order("B1", t38="1", t59=3, **SELL), session="TWO")
    assert brief(taken, *tags) == [
        "TWO 8 0/0 11=B1 38=1.000 44=100.00 14=0.000 151=1.000 6=0",
        "TWO 8 F/2 11=B1 38=1.000 44=100.00 32=1.000 31=100.00 14=1.000 151=0.000 6=100 137=0.100000 851=2",
        "ONE 8 F/1 11=A1 38=3.000 44=100.00 32=1.000 31=100.00 14=1.000 151=2.000 6=100 137=-0.020000 851=1",
    ]
    assert brief(desk.send("G", replace("A2", "A1", t38="4", t44="101")), *tags) == [
        "ONE 8 5/1 11=A2 41=A1 38=4.000 44=101.00 14=1.000 151=3.000 6=100",
    ]
    taken = desk.send("D", order("B2", t38="3", t44="90", t59=3, **SELL), session="TWO")
    assert brief(taken, *tags)[-1] == (
        "ONE 8 F/2 11=A2 38=4.000 44=101.00 32=3.000 31=101.00 14=4.000 151=0.000 6=100.75 137=-0.060600 851=1"
    )
    assert len({report[17] for report in taken}) == 3


def test_an_average_that_does_not_end_is_rounded(desk):
    """To six places beyond the price's, half up; else it is exact."""
    instrument = desk.listing.by_name["BTC-USDT"]
    assert instrument.average(100 + 2 * 101, 3) == b"1.006666666667"
    assert instrument.average(3 * 10_050, 3) == b"100.5"
    assert instrument.average(0, 0) == b"0"


def test_cancels_are_answered(desk):
    """A cancel names itself and its order; a second one, or one of nothing, is rejected with the right reason."""
    desk.send("D", order("A1"))
    assert brief(desk.send("F", target("A2", "A1")), 11, 41, 151) == ["ONE 8 4/4 11=A2 41=A1 151=0.000"]
    assert brief(desk.send("F", target("A3", "A1")), 37, 11, 41, 39, 434, 102) == [
        "ONE 9 37=NONE 11=A3 41=A1 39=8 434=1 102=1",
    ]
    desk.send("D", order("A4"))
    desk.send("D", order("A5"))
    (told,) = desk.send("G", replace("A5", "A4"))
    assert (told[35], told[39], told[434], told[102], told[58]) == ("9", "0", "2", "6", "Duplicate ClOrdID")
    (told,) = desk.send("G", replace("A6", "A4", t44="100.001"))
    assert (told[35], told[37] != "NONE", told[434], told[102]) == ("9", True, "2", "99")
    (told,) = desk.send("G", replace("A6", "A4", t59=0))
    assert (told[102], told[58]) == ("2", "Only price, quantity and StopPx can be changed")


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({}, True),
        ({"t59": 6, "t126": "20240612-00:00:00", "t18": 6, "t111": "0.2"}, True),
        ({"t432": "20240611"}, True),
        ({"t40": 4, "t99": 90}, False),
        ({"t59": 1}, False),
        ({"t432": "20240612"}, False),
        ({"t18": "Q"}, False),
        ({"t18": "6 Q"}, False),
        ({"t111": "0.3"}, False),
    ],
)
def test_only_price_quantity_and_trigger_can_be_changed(desk, changes, is_same):
    """What a replace repeats must be as it is; what it leaves out stays."""
    desk.send("D", order("A1", t59=6, t126="20240612-00:00:00", t18=6, t111="0.2"))
    (told,) = desk.send("G", replace("A2", "A1", t44="99", **changes))
    assert told[35] == ("8" if is_same else "9")
    assert is_same or (told[102], told[39]) == ("2", "0")


def test_another_session_may_cancel(desk):
    """Its owner is told that it was canceled, the other that its request was done."""
    desk.send("D", order("A1"))
    told = desk.send("F", target("B1", "A1"), session="TWO")
    assert brief(told, 11, 41, 378) == ["ONE 8 4/4 11=A1 378=99", "TWO 8 4/4 11=B1 41=A1"]
    assert told[0][17] != told[1][17]
    desk.send("D", order("A2"))
    told = desk.send("G", replace("B2", "A2", t38="2"), session="TWO")
    assert brief(told, 11, 41, 151) == ["ONE 8 5/0 11=B2 41=A2 151=2.000", "TWO 8 5/0 11=B2 41=A2 151=2.000"]


def test_orders_that_end_at_once(desk):
    """What is not filled is canceled, with words; a budget ends so when it is spent."""
    assert brief(desk.send("D", order("A1", t59=3)), 58) == ["ONE 8 0/0", "ONE 8 4/4 58=Not filled at once"]
    assert brief(desk.send("D", order("A2", t59=4)), 58)[1] == "ONE 8 4/4 58=Not filled whole at once"
    assert brief(desk.send("D", order("A3", t110="0.1")), 58)[1] == "ONE 8 4/4 58=MinQty not filled at once"
    desk.send("D", order("B1", **SELL), session="TWO")
    budget = desk.send("D", order("A4", t40=1, t44=None, t38=None, t152="50"))
    assert brief([report for report in budget if report[0] == "ONE"], 38, 152, 14, 151, 58) == [
        "ONE 8 0/0 152=50.000000 14=0.000 151=0.000",
        "ONE 8 F/1 152=50.000000 14=0.499 151=0.000",
        "ONE 8 4/4 152=50.000000 14=0.499 151=0.000 58=What is left of CashOrderQty buys nothing",
    ]


def test_orders_expire(desk):
    """A day's order ends with the day, one till a time at that time; both say how long they live."""
    desk.send("D", order("A1", t59=0))
    (told,) = desk.send("D", order("A2", t59=6, t126="20240611-12:35:00"))
    assert (told[59], told[126]) == ("6", "20240611-12:35:00.000")
    desk.time_ns += 10_000_000_000
    assert brief(desk.run(build.clock()), 11) == ["ONE 8 C/C 11=A2"]
    assert brief(desk.set_state(MarketState.CLOSED), 11, 58) == ["ONE 8 C/C 11=A1 58=Expired"]


def test_stops_are_triggered(desk):
    """A stop says its trigger; when it is triggered it is restated, with 150=L for who speaks newer FIX."""
    stop = {"t40": 4, "t44": "102", "t99": "101"}
    assert brief(desk.send("D", order("A1", **stop)), 40, 44, 99) == ["ONE 8 0/0 40=4 44=102.00 99=101.00"]
    assert brief(desk.send("G", replace("A2", "A1", **stop | {"t99": "101.5"})), 11, 99) == [
        "ONE 8 5/0 11=A2 99=101.50",
    ]
    (told,) = desk.send("H", body({11: "A2", 55: "BTC-USDT", 54: 1, 790: "S"}))
    assert (told[150], told[99], told[790]) == ("I", "101.50", "S")
    desk.send("D", order("B1", t44="101.5", **SELL), session="TWO")
    told = desk.send("D", order("B2", t1="BCC", t44="101.5"), session="TWO")
    assert brief([report for report in told if report[0] == "ONE"], 40, 378) == ["ONE 8 D/0 40=2 378=99"]
    (made,) = [report for report in desk.made[-4:] if report.session == "ONE"]
    assert (150, b"L") in made.body(newer=True)
    assert brief(desk.send("G", replace("A3", "A2", **stop)), 11, 44) == ["ONE 8 5/0 11=A3 44=102.00"]


def test_trailing_stops_say_their_trail(desk):
    """Only the quantity of one can be changed."""
    desk.send("D", order("B1", **SELL), session="TWO")
    desk.send("D", order("B2", t1="BCC", t59=3), session="TWO")
    trail = {"t40": "P", "t44": None, "t18": "a", "t54": 2, "t211": "0.5"}
    (told,) = desk.send("D", order("A1", **trail))
    assert (told[40], told[18], told[211], told[836]) == ("P", "a", "50", "2")
    assert brief(desk.send("G", replace("A2", "A1", **trail | {"t38": "2"})), 38) == ["ONE 8 5/0 38=2.000"]
    assert brief(desk.send("G", replace("A3", "A2", **trail | {"t211": "0.6"})), 102) == ["ONE 9 102=2"]


def test_icebergs_and_self_trades(desk):
    """A refreshed iceberg makes no noise; self-trade prevention restates or cancels."""
    assert brief(desk.send("D", order("A1", t111="0.2")), 151) == ["ONE 8 0/0 151=1.000"]
    told = desk.send("D", order("B1", t38="0.3", t59=3, **SELL), session="TWO")
    assert [line for line in brief(told, 151) if "ONE" in line] == ["ONE 8 F/1 151=0.800", "ONE 8 F/1 151=0.700"]
    mine = build.order_new(ACC, 1, 2, 100, 10_000, self_trade=SelfTrade.DECREMENT)
    (told,) = desk.run(mine)
    assert (told[150], told[378], told[38], told[151]) == ("D", "5", "0.900", "0.600")


def test_a_list_is_two_orders(desk):
    """Both legs have their own ids; a fill of one restates or cancels the other; a refused list is two refusals."""
    legs = {1: "ACC", 55: "BTC-USDT", 54: 2, 38: "1"}
    limit = body({11: "A1", 67: 1, 583: "K"} | legs | {40: 2, 44: "110", 59: 1})
    stop = body({11: "A2", 67: 2, 583: "K"} | legs | {40: 3, 99: "90", 59: 1})
    text = body({66: "L", 394: 3, 68: 2, 73: 2}) + limit + stop
    assert brief(desk.send("E", text), 11, 40, 99) == ["ONE 8 0/0 11=A1 40=2", "ONE 8 0/0 11=A2 40=3 99=90.00"]
    assert (1385, b"1") in desk.made[-1].newer
    told = desk.send("D", order("B1", t1="BCC", t44="110", t38="0.4", t59=3), session="TWO")
    assert brief(told, 11, 38, 151)[2:] == ["ONE 8 F/1 11=A1 38=1.000 151=0.600", "ONE 8 D/0 11=A2 38=0.600 151=0.600"]
    assert brief(desk.send("F", target("A3", "A1", t54=2)), 11, 41, 378) == [
        "ONE 8 4/4 11=A3 41=A1",
        "ONE 8 4/4 11=A2 378=99",
    ]
    assert brief(desk.send("E", text), 11, 103) == ["ONE 8 8/8 11=A1 103=6", "ONE 8 8/8 11=A2 103=6"]
    text = text.replace("99=90", "99=90.001")
    assert brief(desk.send("E", text), 11, 103) == ["ONE 8 8/8 11=A1 103=99", "ONE 8 8/8 11=A2 103=99"]


def test_exits_of_a_bracket_belong_to_its_session(desk):
    """Whoever fills the entry, its session is told of the exits."""
    bracket = build.bracket(ACC, 1, 1, 1000, 10_000, take_profit_price_ticks=11_000, trigger_price_ticks=9_000)
    assert brief(desk.submit(orders.Mapped(bracket.rows, bracket.cold), 1, 1), 40, 44) == ["ONE 8 0/0 40=2 44=100.00"]
    told = desk.send("D", order("B1", t38="1", t59=3, **SELL), session="TWO")
    assert brief(told, 54, 40)[2:] == ["ONE 8 F/2 54=1 40=2", "ONE 8 0/0 54=2 40=2", "ONE 8 0/0 54=2 40=3"]


def test_a_bracket_without_exits_says_so(desk):
    """When they can't be had, the session of the entry is told why."""
    desk.run(build.withdraw(ACC, 1, 1 << 50))
    bracket = build.bracket(ACC, 1, 2, 1000, 10_000, take_profit_price_ticks=9_000, trigger_price_ticks=12_000)
    desk.submit(orders.Mapped(bracket.rows, bracket.cold), 1, 1)
    told = desk.send("D", order("B1", t1="BCC", t59=3), session="TWO")
    assert brief(told, 378, 58)[2:] == ["ONE 8 F/2", "ONE 8 D/2 378=99 58=Exits refused: Insufficient funds"]


def test_trades_are_undone(desk):
    """A correction and a bust name the report that they replace, and take quantity off both orders."""
    desk.send("D", order("A1", t38="2"))
    taken = desk.send("D", order("B1", **SELL), session="TWO")
    tags = (19, 32, 31, 14, 151, 38, 6)
    corrected = desk.run(build.trade_correct(1, 9_900, 600, **WHO))
    first = {report[0]: report[17] for report in taken}
    assert brief(corrected, *tags) == [
        f"TWO 8 G/2 19={first['TWO']} 32=0.600 31=99.00 14=0.600 151=0.000 38=0.600 6=99",
        f"ONE 8 G/1 19={first['ONE']} 32=0.600 31=99.00 14=0.600 151=1.000 38=1.600 6=99",
    ]
    second = {report[0]: report[17] for report in corrected}
    assert brief(desk.run(build.trade_bust(1, **WHO)), *tags) == [
        f"TWO 8 H/4 19={second['TWO']} 32=0.600 31=99.00 14=0.000 151=0.000 38=0.000 6=0",
        f"ONE 8 H/0 19={second['ONE']} 32=0.600 31=99.00 14=0.000 151=1.000 38=1.000 6=0",
    ]


def test_trades_are_remembered_for_a_while():
    """As many as the venue can still undo; with one more the oldest is forgotten."""
    desk = Desk(trade_window=2)
    desk.send("D", order("A1", t38="3"))
    for client_id in ("B1", "B2", "B3"):
        desk.send("D", order(client_id, **SELL), session="TWO")
    assert desk.run(build.trade_bust(1, **WHO)) == []
    assert len(desk.run(build.trade_bust(2, **WHO))) == 2


def test_mass_cancels_are_answered(desk):
    """First that it is begun, then each order; of what is not there, or not to be had, a refusal."""
    for client_id in ("A1", "A2"):
        desk.send("D", order(client_id))
    told = desk.send("q", body({11: "Q1", 530: 7, 60: TIME}))
    assert brief(told, 11, 530, 531, 58) == [
        "ONE r 11=Q1 530=7 531=7",
        "ONE 8 4/4 11=A1 58=Mass cancel",
        "ONE 8 4/4 11=A2 58=Mass cancel",
    ]
    one = body({11: "Q2", 530: 1, 55: "BTC-USDT", 54: 1, 60: TIME})
    assert brief(desk.send("q", one), 530, 531, 55, 54) == ["ONE r 530=1 531=1 55=BTC-USDT 54=1"]
    assert brief(desk.send("q", one.replace("BTC", "ETH")), 531, 532) == ["ONE r 531=0 532=1"]
    assert brief(desk.send("q", body({11: "Q3", 530: 2, 60: TIME})), 531, 532) == ["ONE r 531=0 532=0"]


def test_questions_are_answered(desk):
    """One order or all, by what is known when the question has its place among the events."""
    assert brief(desk.send("AF", body({584: "S0", 585: 7})), 584, 911, 912) == ["ONE 8 I/8 584=S0 911=0 912=Y"]
    assert brief(desk.send("H", body({11: "A1", 55: "BTC-USDT", 54: 1})), 37, 103) == ["ONE 8 I/8 37=NONE 103=5"]
    desk.send("D", order("A1"))
    desk.send("D", order("A2", t54=2, t44="120"))
    desk.send("D", order("B1", t44="90"), session="TWO")
    told = desk.send("AF", body({584: "S1", 585: 7}))
    assert brief(told, 11, 911, 912) == ["ONE 8 I/0 11=A1 911=2 912=N", "ONE 8 I/0 11=A2 911=2 912=Y"]
    told = desk.send("AF", body({584: "S2", 585: 1, 1: "ACC", 55: "BTC-USDT", 54: 1}))
    assert brief(told, 11, 911) == ["ONE 8 I/0 11=A1 911=2", "ONE 8 I/0 11=B1 911=2"]
    assert brief(desk.send("AF", body({584: "S3", 585: 3})), 372, 380) == ["ONE j 372=AF 380=0"]


def test_refused_messages_are_answered(desk):
    """An order by an execution report, what has no such answer by a business reject."""
    (told,) = desk.send("D", order("A1", t44="100.001", t40="2"))
    assert brief([told], 11, 103, 38, 40) == ["ONE 8 8/8 11=A1 103=99 38=1.000 40=2"]
    assert brief(desk.send("D", order("A2", t55="XRP")), 55, 103) == ["ONE 8 8/8 55=XRP 103=1"]
    assert brief(desk.send("D", order("x" * 40)), 45, 372, 380) == ["ONE j 45=3 372=D 380=0"]
    message = inbound("D", order("A4"))
    throttled = desk.submit(orders.refuse(message, Refusal.THROTTLED), 1, 4)
    assert brief(throttled, 45, 379, 380, 58) == ["ONE j 45=4 379=A4 380=0 58=Too many messages"]


def test_a_session_in_another_dialect(desk):
    """Newer tags and finer times are for those who ask."""
    desk.time_ns += 123_456
    desk.send("D", order("A1"))
    desk.send("D", order("B1", **SELL), session="TWO")
    fill = desk.made[-1]
    assert (60, b"20240611-12:34:56.000") in fill.body()
    assert (60, b"20240611-12:34:56.000123") in fill.body(places=6)
    assert {1003, 1057, 7928} <= dict(fill.body(newer=True)).keys()
    assert not {1003, 1057, 7928} & dict(fill.body()).keys()


def test_only_those_wanted_are_told(desk):
    """A gateway makes the reports of its own sessions."""
    desk.send("D", order("A1"))
    desk.send("D", order("B1", **SELL), session="TWO")
    chosen = Reports(Listing(), desk.texts, {"TWO"})
    made = [report for frame in desk.frames for report in chosen.follow(frame)]
    assert made == [report for report in desk.made if report.session == "TWO"]


def test_reports_are_made_again(desk):
    """The same events and texts give the same reports, from the beginning and from an image in their midst."""
    desk.send("D", order("A1", t38="3", t59=6, t126="20240612-00:00:00"))
    desk.send("D", order("B1", t38="1", **SELL), session="TWO")
    desk.send("D", order("A2", t40=3, t44=None, t99="101"))
    at, told, image = len(desk.frames), len(desk.made), desk.machine.image()
    desk.send("D", order("B2", t38="1", **SELL), session="TWO")
    desk.send("H", body({11: "A1", 55: "BTC-USDT", 54: 1}))
    desk.send("G", replace("A3", "A1", t38="4"))
    desk.send("F", target("A4", "A2"))
    assert desk.again() == desk.made
    from_image = Reports(Listing(), desk.texts)
    assert from_image.follow(image) == []
    assert [report for frame in desk.frames[at:] for report in from_image.follow(frame)] == desk.made[told:]


def test_a_mass_status_is_bounded(desk, monkeypatch):
    """As many orders as one answer may be about are told; of one more, that there are too many."""
    from gateways.fix import replies

    monkeypatch.setattr(replies, "MASS_STATUS_MAX", 2)
    for client_id in ("A1", "A2"):
        desk.send("D", order(client_id))
    asked = body({584: "S", 585: 7, 1: "ACC"})
    assert brief(desk.send("AF", asked), 11, 911) == ["ONE 8 I/0 11=A1 911=2", "ONE 8 I/0 11=A2 911=2"]
    desk.send("D", order("A3"))
    (told,) = desk.send("AF", asked)
    assert (told[39], told[911], told[912]) == ("8", "0", "Y")
    assert "More than 2" in told[58]
