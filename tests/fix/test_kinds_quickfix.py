"""Every kind of order, time in force, instruction and request, as a stock client sends it and is told of it."""

import time

import pytest
import quickfix as fix
import quickfix44 as fix44

from tests.fix.stock_client import StockClient, wait_for
from tests.fix.venue_process import FixVenue

pytestmark = pytest.mark.xdist_group("processes")

TOMORROW = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(time.time() + 86_400))
RESTING = {150: "0", 39: "0"}
REFUSED = {150: "8", 39: "8"}
SELL = {"_54": 2}
KINDS = {
    "market_sell": ({"_54": 2, "_40": 1, "_38": 3}, RESTING | {40: "1", 38: "3"}),
    "market_by_cash": ({"_40": 1, "_38": None, "_152": "100"}, RESTING | {40: "1", 152: "100.000000"}),
    "market_of_nothing": ({"_40": 1, "_38": None}, REFUSED | {103: "13"}),
    "limit": ({"_44": 20}, RESTING | {40: "2", 44: "20.00"}),
    "limit_without_price": ({"_44": None}, REFUSED | {103: "99"}),
    "stop": (SELL | {"_40": 3, "_44": None, "_99": 30}, RESTING | {40: "3", 99: "30.00"}),
    "stop_limit": (SELL | {"_40": 4, "_44": 29, "_99": 30}, RESTING | {40: "4", 44: "29.00", 99: "30.00"}),
    "if_touched": (SELL | {"_40": "J", "_44": None, "_99": 90}, RESTING | {40: "J", 99: "90.00"}),
    "limit_if_touched": (SELL | {"_40": "J", "_44": 89, "_99": 90}, RESTING | {40: "J", 44: "89.00", 99: "90.00"}),
    "trailing": (SELL | {"_40": "P", "_44": None, "_18": "a", "_211": -20}, RESTING | {40: "P", 211: "2000"}),
    "trailing_bp": (
        SELL | {"_40": "P", "_44": None, "_18": "a", "_211": 500, "_836": 1}, RESTING | {40: "P", 211: "500", 836: "1"},
    ),
    "trailing_limit": (
        SELL | {"_40": "P", "_44": None, "_18": "a", "_211": 20, "_389": 1}, RESTING | {40: "P", 389: "1.00"},
    ),
    "trailing_no_mark": (SELL | {"_40": "P", "_44": None, "_211": 20}, REFUSED | {103: "11"}),
    "day": ({"_44": 20, "_59": 0}, RESTING | {59: "0"}),
    "until_canceled": ({"_44": 20, "_59": 1}, RESTING | {59: "1"}),
    "until_tomorrow": ({"_44": 20, "_59": 6, "_126": TOMORROW}, RESTING | {59: "6", 126: f"{TOMORROW}.000"}),
    "until_yesterday": ({"_44": 20, "_59": 6, "_432": "20200101"}, REFUSED | {103: "8"}),
    "at_open_too_late": ({"_44": 20, "_59": 2}, REFUSED | {103: "4"}),
    "at_close": ({"_44": 20, "_59": 7}, RESTING | {59: "7"}),
    "at_once": ({"_44": 20, "_59": 3}, RESTING | {59: "3"}),
    "all_or_nothing": ({"_44": 20, "_59": 4}, RESTING | {59: "4"}),
    "post_only": ({"_44": 20, "_18": "6"}, RESTING | {18: "6"}),
    "post_only_would_trade": ({"_44": 60, "_18": "6"}, REFUSED | {103: "99"}),
    "cancel_when_gone": ({"_44": 20, "_18": "Q"}, RESTING | {18: "Q"}),
    "not_held": ({"_44": 20, "_18": "1"}, REFUSED | {103: "11"}),
    "pegged": ({"_40": "D"}, REFUSED | {103: "11"}),
    "iceberg": ({"_44": 20, "_38": 50, "_111": 5}, RESTING | {111: "5"}),
    "minimum": ({"_44": 20, "_38": 50, "_110": 5}, RESTING | {110: "5"}),
    "account": ({"_44": 20, "_1": "alice"}, RESTING | {1: "alice"}),
    "stranger's_account": ({"_44": 20, "_1": "bob"}, REFUSED | {103: "15"}),
    "unknown_symbol": ({"_44": 20, "_55": "NONE"}, REFUSED | {103: "1", 55: "NONE"}),
    "same_id": ({"_11": "limit", "_44": 20}, REFUSED | {103: "6"}),
    "off_tick": ({"_44": "20.001"}, REFUSED | {103: "99"}),
    "short_sale": ({"_44": 20, "_54": 5}, REFUSED | {103: "11"}),
}  # fmt: skip
"""What is sent, over a buy of 10 until canceled, and what the first report of it says."""
ENDED = {"market_by_cash": "4", "at_once": "4", "all_or_nothing": "4", "minimum": "4", "market_sell": "2"}
"""OrdStatus of what does not rest, in its last report."""


@pytest.fixture(scope="module")
def traders(tmp_path_factory):
    """A venue whose last trade was at 50, with a bid at 50 and an offer at 60, and both sides' clients."""
    folder = tmp_path_factory.mktemp("kinds")
    with (
        FixVenue(folder) as venue,
        StockClient(folder / "c", venue.port) as client,
        StockClient(folder / "o", venue.port, "OTHER") as other,
    ):
        client.wait_logged_on()
        other.wait_logged_on()
        other.order("bid", 1, 100, 50)
        other.order("offer", 2, 100, 60)
        client.order("first", 2, 1, 50)
        client.wait_report("first", _150="F")
        yield venue, client, other
        venue.agrees(client)
        venue.agrees(other, "OTHER")
        assert not [message for message in client.admin + other.admin if message[35] == "3"]


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_order_is_told_as_it_was_sent(traders, name):
    """It is accepted or refused with its own terms in the report, and ends as its kind does."""
    _, client, _ = traders
    changes, expected = KINDS[name]
    fields = {"_11": name, "_55": "DEMOUSD", "_54": 1, "_38": 10, "_40": 2, "_59": 1} | changes
    if fields["_40"] == 1:
        fields["_59"] = 0
    client.send("D", **{tag: value for tag, value in fields.items() if value is not None})
    client_id = fields["_11"]
    told = client.wait_report(client_id, _150=expected[150])
    assert {tag: told.get(tag) for tag in expected} == expected, told
    assert told[6] == "0"
    if name in ENDED:
        client.wait_report(client_id, _39=ENDED[name])


def test_what_waits_is_triggered_and_filled(traders):
    """A trade at its StopPx sets a stop-limit off: told as restated, then as filled."""
    _, client, other = traders
    client.order("down", 2, 1, 50)
    client.wait_report("down", _150="F")
    client.send("D", _11="waits", _55="DEMOUSD", _54=1, _38=2, _40=4, _44=60, _99=58, _59=1)
    client.wait_report("waits", _150="0")
    other.order("at58", 2, 1, 58)
    client.order("to58", 1, 1, 58)
    restated = client.wait_report("waits", _150="D")
    assert (restated[40], restated[39], restated[378]) == ("2", "0", "99")
    filled = client.wait_report("waits", _150="F")
    assert (filled[39], filled[31], filled[14]) == ("2", "60.00", "2")


def test_of_two_linked_orders_one_cancels_the_other(traders):
    """A NewOrderList of a limit and a stop that share ClOrdLinkID: the limit fills, the stop is canceled."""
    _, client, other = traders
    message = fix44.NewOrderList()
    for tag, value in ((66, "list"), (394, 3), (68, 2)):
        message.setField(tag, str(value))
    common = {67: 1, 583: "pair", 55: "DEMOUSD", 54: 2, 38: 4, 59: 1, 60: TOMORROW}
    for client_id, terms in (("take", {67: 1, 40: 2, 44: 57}), ("loss", {67: 2, 40: 3, 99: 31})):
        group = fix44.NewOrderList.NoOrders()
        for tag, value in ({11: client_id} | common | terms).items():
            group.setField(tag, str(value))
        message.addGroup(group)
    fix.Session.sendToTarget(message, client.session)
    assert client.wait_report("take", _150="0")[40] == "2"
    assert client.wait_report("loss", _150="0")[40] == "3"
    other.order("takes", 1, 4, 57)
    assert client.wait_report("take", _150="F")[39] == "2"
    assert client.wait_report("loss", _150="4")[378] == "99"


def test_questions_are_answered(traders):
    """The status of one order, and of all that live."""
    _, client, _ = traders
    plain(client, "H", _11="limit", _55="DEMOUSD", _54=1, _790="q1")
    assert client.wait_report("limit", _790="q1")[39] == "0"
    plain(client, "H", _11="iceberg", _55="DEMOUSD", _54=1, _790="q2")
    assert client.wait_report("iceberg", _790="q2")[111] == "5"
    plain(client, "H", _11="nothing", _55="DEMOUSD", _54=1)
    assert client.wait_report("nothing", _150="I")[103] == "5"
    plain(client, "AF", _584="all", _585=7)
    wait_for(lambda: any(m.get(584) == "all" and m.get(912) == "Y" for m in client.messages), "the last status")
    told = [m for m in client.messages if m.get(584) == "all"]
    assert {m[911] for m in told} == {str(len(told))}
    assert {m[11] for m in told} >= {"limit", "stop_limit", "iceberg", "trailing"}


def test_all_orders_of_a_side_are_canceled_at_once(traders):
    """A mass cancel of one security's buys is acknowledged, then each is told to be canceled; sells stay."""
    venue, client, _ = traders
    before = {m[11] for m in client.messages if m.get(150) == "4"}
    client.send("q", _11="mass", _530=1, _55="DEMOUSD", _54=1)
    wait_for(lambda: any(m[35] == "r" for m in client.messages), "the acknowledgement")
    acknowledged = next(m for m in client.messages if m[35] == "r")
    assert (acknowledged[11], acknowledged[530], acknowledged[531]) == ("mass", "1", "1")
    client.wait_report("limit", _150="4")
    venue.agrees(client)
    ended = {m[11] for m in client.messages if m.get(150) == "4"} - before
    assert {"limit", "iceberg", "post_only", "day"} <= ended
    assert not {"stop", "stop_limit", "if_touched", "trailing"} & ended
    client.send("q", _11="never", _530=3)
    wait_for(lambda: any(m[35] == "r" and m[11] == "never" for m in client.messages), "the refusal")
    assert next(m for m in client.messages if m[35] == "r" and m[11] == "never")[531] == "0"


@pytest.mark.parametrize("msg_type", ["N", "g", "R", "S", "c", "Z", "BE", "V", "x", "e"])
def test_what_a_trading_session_is_not_offered_is_refused(traders, msg_type):
    """A message of FIX 4.4 that is not spoken here, or not on this session, is answered by a j with 380=3."""
    _, client, _ = traders
    known = {"V": {"_262": "m", "_263": 0, "_264": 0}, "x": {"_320": "l", "_559": 4}, "e": {"_324": "s", "_263": 0}}
    if msg_type == "V":
        message = fix44.MarketDataRequest()
        for count, first, value in ((267, 269, "0"), (146, 55, "DEMOUSD")):
            group = fix.Group(count, first)
            group.setField(first, value)
            message.addGroup(group)
        for tag, value in known["V"].items():
            message.setField(int(tag[1:]), str(value))
        fix.Session.sendToTarget(message, client.session)
    else:
        plain(client, msg_type, **known.get(msg_type, {"_58": "x"}), **({"_55": "DEMOUSD"} if msg_type == "e" else {}))
    wait_for(lambda: any(m[35] == "j" and m[372] == msg_type for m in client.messages), "the refusal")
    assert next(m for m in client.messages if m[35] == "j" and m[372] == msg_type)[380] == "3"


def plain(client, msg_type, **fields):
    """Send a message without the time that orders have."""
    message = fix.Message()
    message.getHeader().setField(35, msg_type)
    for tag, value in fields.items():
        message.setField(int(tag[1:]), str(value))
    fix.Session.sendToTarget(message, client.session)
