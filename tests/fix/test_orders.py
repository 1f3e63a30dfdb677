"""Messages of clients become rows: a table of what each says, of what is refused and why, and exact numbers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.fix import orders, terms
from gateways.fix.reasons import BUSINESS, REFUSED, Refusal
from kk99 import build, kinds, schema
from kk99.schema import CommandKind, Flag, OrderType, SelfTrade, Side, TimeInForce, TrailUnit, TriggerSource
from tests.fix import desk
from tests.fix.desk import TIME, body, inbound, mapping, order

CANCEL = {11: "C1", 41: "A1", 55: "BTC-USDT", 54: 1, 60: TIME, 38: "1"}
REPLACE = CANCEL | {40: "2", 44: "101"}
COMMON = {"account_id": 16, "instrument_id": 1, "side": 1, "kind": CommandKind.ORDER_NEW, "flags": Flag.HAS_COLD}
LIMIT = {"order_type": 2, "time_in_force": 1, "qty_lots": 1000, "price_ticks": 10_000}
LAST = {"trigger": TriggerSource.LAST}
IDS = {"client_id_lo", "client_id_hi", "target_lo", "target_hi"}
MIDNIGHT_NS = 1_718_150_400_000_000_000


def mapped(msg_type, text, *, newer=False, **context):
    """What a message is mapped to."""
    return orders.to_row(inbound(msg_type, text, newer=newer), mapping(**context))


def said(row):
    """What a row says, but for ids of clients: every field that its kind uses and that is not zero."""
    names = [name for name in schema.COMMAND.names if name not in IDS and kinds.present(row, name)[0]]
    return {name: int(row[name][0]) for name in names if row[name][0]}


NEW = {
    "limit": ({}, LIMIT),
    "sell": ({"t54": 2}, LIMIT | {"side": Side.SELL}),
    "day by default": ({"t59": None}, LIMIT | {"time_in_force": TimeInForce.DAY}),
    "opening": ({"t59": 2}, LIMIT | {"time_in_force": TimeInForce.AT_OPEN}),
    "ioc": ({"t59": 3}, LIMIT | {"time_in_force": TimeInForce.IOC}),
    "fok": ({"t59": 4}, LIMIT | {"time_in_force": TimeInForce.FOK}),
    "closing": ({"t59": 7}, LIMIT | {"time_in_force": TimeInForce.AT_CLOSE}),
    "till a time": (
        {"t59": 6, "t126": "20240612-00:00:00.000000001"},
        LIMIT | {"time_in_force": TimeInForce.GTD, "expire_time_ns": MIDNIGHT_NS + 1},
    ),
    "till a day": (
        {"t59": 6, "t432": "20240611"},
        LIMIT | {"time_in_force": TimeInForce.GTD, "expire_time_ns": MIDNIGHT_NS},
    ),
    "post-only": ({"t18": 6}, LIMIT | {"flags": Flag.HAS_COLD | Flag.POST_ONLY}),
    "cancel on disconnect": ({"t18": "6 Q"}, LIMIT | {"flags": Flag.HAS_COLD | Flag.POST_ONLY | Flag.CANCEL_ON_LOST}),
    "iceberg": ({"t111": "0.1"}, LIMIT | {"display_qty_lots": 100}),
    "minimum": ({"t110": "0.1"}, LIMIT | {"min_qty_lots": 100}),
    "market": (
        {"t40": 1, "t44": None, "t59": 0},
        {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC, "qty_lots": 1000},
    ),
    "market or nothing": (
        {"t40": 1, "t44": None, "t59": 4},
        {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.FOK, "qty_lots": 1000},
    ),
    "budget": (
        {"t40": 1, "t44": None, "t38": None, "t152": "12.5"},
        {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC, "amount_units": 12_500_000},
    ),
    "stop": (
        {"t40": 3, "t44": None, "t99": "101"},
        LAST | {"order_type": OrderType.STOP, "time_in_force": 1, "qty_lots": 1000, "trigger_price_ticks": 10_100},
    ),
    "stop with a price is the core's to refuse": (
        {"t40": 3, "t99": "101"},
        LIMIT | LAST | {"order_type": OrderType.STOP, "trigger_price_ticks": 10_100},
    ),
    "stop limit": (
        {"t40": 4, "t99": "101"},
        LIMIT | LAST | {"order_type": OrderType.STOP_LIMIT, "trigger_price_ticks": 10_100},
    ),
    "market if touched": (
        {"t40": "J", "t44": None, "t99": "99"},
        LAST
        | {
            "order_type": OrderType.MARKET_IF_TOUCHED,
            "time_in_force": 1,
            "qty_lots": 1000,
            "trigger_price_ticks": 9900,
        },
    ),
    "limit if touched": (
        {"t40": "J", "t99": "99"},
        LIMIT | LAST | {"order_type": OrderType.LIMIT_IF_TOUCHED, "trigger_price_ticks": 9900},
    ),
    "trailing by price": (
        {"t40": "P", "t44": None, "t18": "a", "t211": "-0.5"},
        LAST
        | {"order_type": OrderType.TRAILING_STOP, "time_in_force": 1, "qty_lots": 1000}
        | {"trail": 50, "trail_unit": TrailUnit.TICKS},
    ),
    "trailing by basis points, with a limit": (
        {"t40": "P", "t44": None, "t18": "a Q", "t211": "25", "t836": 1, "t388": "0", "t389": "0.1"},
        LAST
        | {"order_type": OrderType.TRAILING_STOP_LIMIT, "time_in_force": 1, "qty_lots": 1000, "price_ticks": 10}
        | {"trail": 25, "trail_unit": TrailUnit.BASIS_POINTS, "flags": Flag.HAS_COLD | Flag.CANCEL_ON_LOST},
    ),
    "trailing by ticks": (
        {"t40": "P", "t44": None, "t18": "a", "t211": "3", "t836": 2},
        LAST
        | {"order_type": OrderType.TRAILING_STOP, "time_in_force": 1, "qty_lots": 1000}
        | {"trail": 3, "trail_unit": TrailUnit.TICKS},
    ),
    "the only account": ({"t1": None}, LIMIT),
    "negative numbers are the core's to refuse": (
        {"t44": "-1", "t38": "-1"},
        LIMIT | {"price_ticks": -100, "qty_lots": -1000},
    ),
}


@pytest.mark.parametrize("name", NEW)
def test_a_new_order_becomes_its_row(name):
    """Each way to enter an order has its row, and the text of its id is in the cold row."""
    changes, expected = NEW[name]
    answer = mapped("D", order("A1", **changes))
    assert type(answer) is orders.Mapped
    assert said(answer.row) == {name: value for name, value in (COMMON | expected).items() if value}
    assert tuple(answer.row[["client_id_lo", "client_id_hi"]][0]) == build.client_id_hash("A1")
    assert answer.cold["client_id"].tolist() == [b"A1"]


REFUSALS = {
    "no id": ({"t11": "x" * 37}, Refusal.CLIENT_ID),
    "an id in another alphabet": ({"t11": "\xe4"}, Refusal.CLIENT_ID),
    "account": ({"t1": "BCC"}, Refusal.ACCOUNT_UNKNOWN),
    "symbol": ({"t55": "ETH-USDT"}, Refusal.SYMBOL_UNKNOWN),
    "sell short": ({"t54": 5}, Refusal.SIDE),
    "order type": ({"t40": "D"}, Refusal.ORDER_TYPE),
    "18=E": ({"t18": "E"}, Refusal.INSTRUCTION),
    "18=H": ({"t18": "6 H"}, Refusal.INSTRUCTION),
    "a trail without its type": ({"t18": "a"}, Refusal.INSTRUCTION),
    "a peg that trails not": ({"t40": "P", "t44": None, "t18": "R", "t211": 1}, Refusal.INSTRUCTION),
    "a peg that does not say": ({"t40": "P", "t44": None, "t211": 1}, Refusal.INSTRUCTION),
    "off tick": ({"t44": "100.001"}, Refusal.PRICE),
    "beyond int64": ({"t44": "999999999999999999"}, Refusal.PRICE),
    "no price": ({"t44": None}, Refusal.PRICE_MISSING),
    "stop limit without price": ({"t40": 4, "t44": None, "t99": 1}, Refusal.PRICE_MISSING),
    "trigger off tick": ({"t40": 3, "t44": None, "t99": "0.001"}, Refusal.TRIGGER),
    "no trigger": ({"t40": 3, "t44": None}, Refusal.TRIGGER_MISSING),
    "off lot": ({"t38": "0.0001"}, Refusal.QTY),
    "no quantity": ({"t38": None}, Refusal.QTY_MISSING),
    "two quantities": ({"t40": 1, "t44": None, "t152": 1}, Refusal.QTY_MISSING),
    "budget too fine": ({"t40": 1, "t44": None, "t38": None, "t152": "0.0000001"}, Refusal.CASH),
    "budget of nothing": ({"t40": 1, "t44": None, "t38": None, "t152": "0.0"}, Refusal.CASH),
    "budget of a limit": ({"t38": None, "t152": 1}, Refusal.CASH_MISPLACED),
    "budget of a sell": ({"t40": 1, "t54": 2, "t44": None, "t38": None, "t152": 1}, Refusal.CASH_MISPLACED),
    "display off lot": ({"t111": "0.0001"}, Refusal.DISPLAY),
    "hidden whole": ({"t111": "0"}, Refusal.DISPLAY),
    "minimum off lot": ({"t110": "0.0001"}, Refusal.MIN_QTY),
    "limit with trigger": ({"t99": "1"}, Refusal.MISPLACED),
    "market with display": ({"t40": 1, "t44": None, "t111": 1}, Refusal.MISPLACED),
    "trail with price": ({"t40": "P", "t18": "a", "t211": 1}, Refusal.MISPLACED),
    "limit with offset": ({"t211": "1"}, Refusal.MISPLACED),
    "trail by tiers": ({"t40": "P", "t44": None, "t18": "a", "t211": 1, "t836": 3}, Refusal.TRAIL),
    "trail off tick": ({"t40": "P", "t44": None, "t18": "a", "t211": "0.001"}, Refusal.TRAIL),
    "half a basis point": ({"t40": "P", "t44": None, "t18": "a", "t211": "0.5", "t836": 1}, Refusal.TRAIL),
    "trail missing": ({"t40": "P", "t44": None, "t18": "a"}, Refusal.TRAIL),
    "offset off tick": ({"t40": "P", "t44": None, "t18": "a", "t211": 1, "t389": "0.001"}, Refusal.OFFSET),
    "party": ({"t453": "1|448=Bob|447=D|452=3"}, Refusal.PARTY),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_mapped_is_noted(name):
    """A refused order takes its number, with the reason and as much of it as has a place."""
    changes, refusal = REFUSALS[name]
    answer = mapped("D", order("A1", **changes))
    assert isinstance(answer, orders.Refused)
    assert answer.refusal is refusal
    (row,) = answer.row
    assert (row["kind"], row["state"], row["amount_units"]) == (CommandKind.MESSAGE_NOTED, refusal, ord("D"))
    assert len(answer.cold) == (row["flags"] & Flag.HAS_COLD != 0)
    assert (row["side"], row["order_type"]) == tuple(
        ord(str(changes.get(name, usual))) - 48 for name, usual in (("t54", 1), ("t40", 2))
    )
    assert row["instrument_id"] == (refusal != Refusal.SYMBOL_UNKNOWN)


def test_the_symbol_that_is_unknown_is_kept():
    """So that the answer can repeat it."""
    answer = mapped("D", order("A1", t55="ETH-USDT"))
    assert answer.cold["original_client_id"].tolist() == [b"ETH-USDT"]


def test_parties_go_to_the_cold_row():
    """Client (3) and executing trader (12) are numbers there; other roles are passed over."""
    answer = mapped("D", order("A1", t453="3|448=7|447=D|452=3|448=x|447=D|452=1|448=9|447=D|452=12"))
    assert (answer.cold["client"][0], answer.cold["execution_decision"][0]) == (7, 9)


def test_a_session_has_its_own_defaults():
    """What the session or account asked for once holds for each of its orders; an order may say otherwise."""
    usual = {"self_trade": SelfTrade.CANCEL_OLDEST, "cancel_on_lost": True}
    row = mapped("D", order("A1"), **usual).row
    assert said(row)["self_trade"] == SelfTrade.CANCEL_OLDEST
    assert said(row)["flags"] == Flag.HAS_COLD | Flag.CANCEL_ON_LOST
    row = mapped("D", order("A1", t7928=4, t1138="0.2"), newer=True, **usual).row
    assert (said(row)["self_trade"], said(row)["display_qty_lots"]) == (SelfTrade.DECREMENT, 200)


def test_many_accounts_must_be_named():
    """A session with two accounts says which; a mass cancel by SenderSubID."""
    both = orders.Mapping(desk.listing().by_name, desk.listing().accounts)
    assert orders.to_row(inbound("D", order("A1", t1="BCC")), both).row["account_id"][0] == 17
    assert orders.to_row(inbound("D", order("A1", t1=None)), both).refusal is Refusal.ACCOUNT_MISSING
    everything = {11: "Q1", 530: 7, 60: TIME}
    assert orders.to_row(inbound("q", body({50: "BCC"} | everything)), both).row["account_id"][0] == 17
    assert orders.to_row(inbound("q", body(everything)), both).refusal is Refusal.ACCOUNT_MISSING


TARGET = {"target_lo": build.client_id_hash("A1")[0], "target_hi": build.client_id_hash("A1")[1]}
BY_CLIENT_ID = Flag.HAS_COLD | Flag.TARGET_CLIENT_ID
CHANGES = {
    "cancel": ("F", CANCEL, {"kind": CommandKind.ORDER_CANCEL, "account_id": 16, "flags": BY_CLIENT_ID}),
    "replace": (
        "G",
        REPLACE,
        {"kind": CommandKind.ORDER_REPLACE, "side": 1, "account_id": 16, "qty_lots": 1000, "price_ticks": 10_100}
        | {"flags": BY_CLIENT_ID, "instrument_id": 1},
    ),
    "replace a stop": (
        "G",
        REPLACE | {40: 3, 44: None, 99: "102"},
        {"kind": CommandKind.ORDER_REPLACE, "side": 1, "account_id": 16, "qty_lots": 1000}
        | {"flags": BY_CLIENT_ID, "instrument_id": 1, "trigger_price_ticks": 10_200},
    ),
    "replace a trailing stop": (
        "G",
        REPLACE | {40: "P", 44: None, 18: "a", 211: 1},
        {"kind": CommandKind.ORDER_REPLACE, "side": 1, "account_id": 16, "qty_lots": 1000}
        | {"flags": BY_CLIENT_ID, "instrument_id": 1},
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_becomes_its_row(name):
    """Cancels and replaces name their order by the hash of its client order id, and keep both texts."""
    msg_type, fields, expected = CHANGES[name]
    answer = mapped(msg_type, body(fields))
    assert said(answer.row) == expected
    assert {field: int(answer.row[field][0]) for field in TARGET} == TARGET
    assert (answer.cold["client_id"][0], answer.cold["original_client_id"][0]) == (b"C1", b"A1")


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        ({530: 7}, {}),
        ({530: 7, 54: 2}, {"side": Side.SELL}),
        ({530: 1, 55: "BTC-USDT"}, {"instrument_id": 1}),
    ],
)
def test_a_mass_cancel_becomes_its_row(fields, row):
    """It is for one security or all, one side or both."""
    answer = mapped("q", body({11: "Q1", 60: TIME} | fields))
    expected = {"kind": CommandKind.MASS_CANCEL, "account_id": 16, "flags": Flag.HAS_COLD}
    assert said(answer.row) == expected | row
    assert answer.cold["client_id"].tolist() == [b"Q1"]


OTHERS = [
    ("F", CANCEL | {41: "x" * 37}, Refusal.CLIENT_ID),
    ("F", CANCEL | {1: "BCC"}, Refusal.ACCOUNT_UNKNOWN),
    ("G", REPLACE | {55: "ETH-USDT"}, Refusal.SYMBOL_UNKNOWN),
    ("G", REPLACE | {38: None, 152: 1}, Refusal.QTY_MISSING),
    ("G", REPLACE | {44: "0.001"}, Refusal.PRICE),
    ("q", {11: "Q1", 530: 3, 60: TIME}, Refusal.SCOPE),
    ("q", {11: "Q1", 530: 1, 55: "ETH-USDT", 60: TIME}, Refusal.SYMBOL_UNKNOWN),
    ("AF", {584: "S1", 585: 5}, Refusal.SCOPE),
    ("AF", {584: "x" * 37, 585: 7}, Refusal.CLIENT_ID),
]


@pytest.mark.parametrize(("msg_type", "fields", "refusal"), OTHERS)
def test_other_messages_are_refused(msg_type, fields, refusal):
    """Their note names their type, and both ids where there are two."""
    answer = mapped(msg_type, body(fields))
    assert answer.refusal is refusal
    assert answer.row["amount_units"][0] == orders.type_number(msg_type)
    if msg_type in "FG" and refusal is not Refusal.CLIENT_ID:
        assert (answer.cold["client_id"][0], answer.cold["original_client_id"][0]) == (b"C1", b"A1")


@pytest.mark.parametrize("msg_type", ["H", "AF"])
def test_questions_take_their_number(msg_type):
    """They are noted with all that their answer needs."""
    fields = {11: "A1", 55: "BTC-USDT", 54: 1, 790: "S1"} if msg_type == "H" else {584: "S1", 585: 7}
    answer = mapped(msg_type, body(fields))
    (row,) = answer.row
    expected = (CommandKind.MESSAGE_NOTED, Refusal.NONE, orders.type_number(msg_type))
    assert (row["kind"], row["state"], row["amount_units"]) == expected
    assert answer.cold["client_id"][0] == (b"A1" if msg_type == "H" else b"S1")


def list_of(*entries, **changes):
    """A NewOrderList's body."""
    head = {66: "L1", 394: 3, **{int(name[1:]): value for name, value in changes.items()}, 68: len(entries)}
    places = [entry.replace("|1=", f"|67={place}|583=K|1=", 1) for place, entry in enumerate(entries, 1)]
    return body(head) + f"73={len(entries)}|" + "".join(places)


def entry(client_id, **changes):
    """An order of a list, its fields in the group's order."""
    fields = {1: "ACC", 18: None, 110: None, 111: None, 55: "BTC-USDT", 54: 2, 38: "1", 40: "2", 44: "110", 99: None}
    fields |= {59: "1"} | {int(name[1:]): value for name, value in changes.items()}
    return body({11: client_id} | fields)


STOP = {"t40": 3, "t44": None, "t99": "90"}


def test_a_list_of_two_is_an_oco():
    """Whichever comes first; the stop's id goes where the core has it."""
    limit, stop = entry("A1"), entry("A2", **STOP)
    expected = COMMON | LAST | LIMIT | {"order_type": OrderType.OCO, "side": Side.SELL, "price_ticks": 11_000}
    for entries in ((limit, stop), (stop, limit)):
        answer = mapped("E", list_of(*entries))
        assert said(answer.row) == expected | {"trigger_price_ticks": 9_000}
        assert tuple(answer.row[["target_lo", "target_hi"]][0]) == build.client_id_hash("A2")
        assert (answer.cold["client_id"][0], answer.cold["original_client_id"][0]) == (b"A1", b"A2")
    answer = mapped("E", list_of(limit, entry("A2", t40=4, t44="89", t99="90", t18="Q")))
    more = {"trigger_price_ticks": 9_000, "stop_limit_price_ticks": 8_900, "flags": Flag.HAS_COLD | Flag.CANCEL_ON_LOST}
    assert said(answer.row) == expected | more


def test_a_session_with_newer_tags_says_oco():
    """ContingencyType takes the place of a shared link; other contingencies are refused."""
    text = list_of(entry("A1"), entry("A2", **STOP), t1385=1).replace("583=K", "583=L", 1)
    assert said(mapped("E", text, newer=True).row)["order_type"] == OrderType.OCO
    assert mapped("E", text.replace("1385=1", "1385=2"), newer=True).refusal is Refusal.LIST_SHAPE


LISTS = {
    "one": (list_of(entry("A1")), Refusal.LIST_SHAPE),
    "three": (list_of(entry("A1"), entry("A2", **STOP), entry("A3")), Refusal.LIST_SHAPE),
    "two limits": (list_of(entry("A1"), entry("A2")), Refusal.LIST_SHAPE),
    "not linked": (list_of(entry("A1"), entry("A2", **STOP)).replace("583=K", "583=L", 1), Refusal.LIST_SHAPE),
    "sides": (list_of(entry("A1"), entry("A2", t54=1, **STOP)), Refusal.LIST_TERMS),
    "quantities": (list_of(entry("A1"), entry("A2", t38=2, **STOP)), Refusal.LIST_TERMS),
    "times": (list_of(entry("A1"), entry("A2", t59=0, **STOP)), Refusal.LIST_TERMS),
    "iceberg": (list_of(entry("A1", t111="0.1"), entry("A2", **STOP)), Refusal.MISPLACED),
    "an id": (list_of(entry("A1"), entry("x" * 37, **STOP)), Refusal.CLIENT_ID),
    "account": (list_of(entry("A1"), entry("A2", t1="BCC", **STOP)), Refusal.ACCOUNT_UNKNOWN),
}


@pytest.mark.parametrize("name", LISTS)
def test_other_lists_are_refused(name):
    """A list that is not such a pair is noted with both ids, as far as they are such."""
    text, refusal = LISTS[name]
    answer = mapped("E", text)
    assert answer.refusal is refusal
    assert answer.row["amount_units"][0] == ord("E")
    assert answer.cold["client_id"][0] == b"A1"
    assert (answer.cold["original_client_id"][0] == b"A2") == (name not in {"one", "an id"})


def test_any_message_can_be_refused_as_it_stands():
    """A throttled or unsupported message takes its number; market data is noted without an answer."""
    message = inbound("F", body(CANCEL))
    assert orders.refuse(message, Refusal.THROTTLED).row["state"][0] == Refusal.THROTTLED
    unsupported = orders.to_row(message.__class__(message.status, "B", raw=message.raw), mapping())
    assert unsupported.refusal is Refusal.UNSUPPORTED
    question = mapped("x", body({320: "R", 559: 4}))
    assert type(question) is orders.Mapped
    assert (question.row["state"][0], len(question.cold)) == (0, 0)


def test_every_refusal_has_its_words():
    """Each is answered by a business reject or by its own kind of message, never both."""
    assert set(BUSINESS) | set(REFUSED) | {Refusal.NONE} == set(Refusal)
    assert not set(BUSINESS) & set(REFUSED)
    assert [*Refusal] == list(range(len(Refusal)))


@st.composite
def decimals(draw, places, last):
    """A whole number of steps, and a text for it with so many places, zeros before and after as they come."""
    steps = draw(st.integers(0, last))
    text = f"{Decimal(steps).scaleb(-places):f}"
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0") + "0" * draw(st.integers(0, 4))
    whole = "0" * draw(st.integers(0, 3)) + ("" if whole == "0" and fraction and draw(st.booleans()) else whole)
    return steps, whole + ("." + fraction if fraction or draw(st.booleans()) else "")


@given(decimals(2, 10**12), decimals(3, 10**12))
def test_prices_and_quantities_are_exact(price, qty):
    """Whatever text a number has, the row has the number, and its text again is the number."""
    (ticks, price_text), (lots, qty_text) = price, qty
    row = mapped("D", order("A1", t44=price_text, t38=qty_text)).row
    assert (row["price_ticks"][0], row["qty_lots"][0]) == (ticks, lots)
    instrument = desk.listing().by_name["BTC-USDT"]
    assert Decimal(instrument.price(ticks).decode()) == Decimal(price_text)
    assert Decimal(instrument.qty(lots).decode()) == Decimal(qty_text)


@given(st.integers(1, 9999).filter(lambda number: number % 10), st.integers(0, 10**6))
def test_what_is_finer_is_never_rounded(fraction, whole):
    """A price finer than a tick is refused."""
    answer = mapped("D", order("A1", t44=f"{whole}.{fraction:04}"))
    assert answer.refusal is Refusal.PRICE


@given(st.integers(0, 9_000_000_000), st.integers(0, 999_999_999))
def test_times_are_exact(seconds, fraction):
    """An expiry is read to the nanosecond."""
    from gateways.fix.codec import timestamp_text

    time_ns = seconds * terms.NS + fraction
    assert terms.timestamp_ns(timestamp_text(time_ns, 9)) == time_ns
    assert terms.timestamp_ns(timestamp_text(time_ns, 0)) == seconds * terms.NS


def test_data_fields_may_hold_anything():
    """What looks like a field within a data field is none."""
    text = order("A1", t354=12, t355="1=BCC|54=2|x", t58="sold")
    assert said(mapped("D", text).row) == COMMON | LIMIT
