"""Market data, security lists and market states as a stock client sees them, each message valid by its dictionary."""

import dataclasses
import random

import pytest

from gateways.client import Client
from kk99 import build
from kk99.schema import CommandKind, MarketState
from tests.fix.data_client import DATA, DataClient
from tests.fix.raw_client import PASSWORD, venue
from tests.fix.stock_client import StockClient, wait_for
from tests.fix.venue_process import INSTRUMENT, OPERATOR

pytestmark = pytest.mark.xdist_group("processes")


@pytest.fixture
def market(tmp_path):
    """A venue, a client for market data, a trader for each side."""
    with (
        venue(tmp_path, more=[DATA]) as (engine, port),
        DataClient(tmp_path / "d", port) as data,
        StockClient(tmp_path / "c", port, password=PASSWORD) as client,
        StockClient(tmp_path / "o", port, "OTHER", PASSWORD) as other,
    ):
        for each in (data, client, other):
            each.wait_logged_on()
        yield engine, data, client, other
        assert data.rejected == []
        for each in (data, client, other):
            each.initiator.stop(True)  # without waiting for a goodbye


def operate(engine, *commands):
    """Let an operator give commands, and wait until they are durable."""
    with Client.connect(engine.settings.address, "operator") as operator:
        for command in commands:
            operator.submit(command)
        operator.flush()


def test_a_book_is_told_and_followed(market):
    """A snapshot, then each new, changed and deleted level and each trade, in order; after the end nothing more."""
    _, data, client, other = market
    client.order("b1", 1, 100, 50)
    client.wait_report("b1", _150="0")
    data.ask("full")
    data.wait_book({("0", "50.00"): ("100", "1")})
    client.order("b2", 1, 10, 50)
    client.order("b3", 1, 5, 49)
    other.order("s1", 2, 7, 51)
    data.wait_book({("0", "50.00"): ("110", "2"), ("0", "49.00"): ("5", "1"), ("1", "51.00"): ("7", "1")})
    other.order("s2", 2, 105, 50)
    data.wait_book({("0", "50.00"): ("5", "1"), ("0", "49.00"): ("5", "1"), ("1", "51.00"): ("7", "1")})
    assert [(action, price, size) for action, _, price, size in data.trades["DEMOUSD"]] == [
        ("0", "50.00", "100"),
        ("0", "50.00", "5"),
    ]
    assert data.snapshots == {"DEMOUSD": 1}
    data.ask("full", action=2)
    data.settle()
    updates = data.updates
    client.order("b4", 1, 10, 48)
    client.wait_report("b4", _150="0")
    data.settle()
    assert data.updates == updates


def test_depths_kinds_and_full_refresh(market):
    """The top alone, a number of levels, one side, snapshots instead of increments, one snapshot and no more."""
    _, data, client, other = market
    for number in range(5):
        client.order(f"b{number}", 1, 10 + number, 40 + number)
        other.order(f"s{number}", 2, 20 + number, 60 + number)
    client.wait_report("b4", _150="0")
    other.wait_report("s4", _150="0")
    data.ask("top", depth=1)
    data.wait_book({("0", "44.00"): ("14", "1"), ("1", "60.00"): ("20", "1")})
    client.order("better", 1, 3, 45)
    data.wait_book({("0", "45.00"): ("3", "1"), ("1", "60.00"): ("20", "1")})
    data.ask("top", action=2)
    data.ask("three", kinds="0", depth=3)
    three = {("0", "45.00"): ("3", "1"), ("0", "44.00"): ("14", "1"), ("0", "43.00"): ("13", "1")}
    data.wait_book(three)
    client.send("F", _11="x", _41="better", _55="DEMOUSD", _54=1, _38=3)
    del three["0", "45.00"]
    data.wait_book(three | {("0", "42.00"): ("12", "1")})
    data.ask("three", action=2)
    data.settle()
    told = data.snapshots["DEMOUSD"]
    data.ask("refresh", kinds="1", depth=1, update=0)
    data.wait_book({("1", "60.00"): ("20", "1")})
    other.order("cheaper", 2, 2, 59)
    data.wait_book({("1", "59.00"): ("2", "1")})
    assert data.snapshots["DEMOUSD"] == told + 2
    data.ask("refresh", action=2)
    data.ask("once", action=0, depth=1)
    data.wait_book({("0", "44.00"): ("14", "1"), ("1", "59.00"): ("2", "1")})
    other.order("cheapest", 2, 2, 58)
    other.wait_report("cheapest", _150="0")
    data.settle()
    assert data.books["DEMOUSD"] == {("0", "44.00"): ("14", "1"), ("1", "59.00"): ("2", "1")}


def test_icebergs_and_what_waits_show_as_little_as_they_should(market):
    """Of an iceberg its display, filled up again as it trades; of a stop nothing."""
    _, data, client, other = market
    other.order("ice", 2, 100, 51, _111=10)
    client.send("D", _11="stop", _55="DEMOUSD", _54=1, _38=5, _40=4, _44=60, _99=55, _59=1)
    client.wait_report("stop", _150="0")
    data.ask("full")
    data.wait_book({("1", "51.00"): ("10", "1")})
    client.order("hit", 1, 14, 51)
    data.wait_book({("1", "51.00"): ("6", "1")})
    assert [size for _, _, _, size in data.trades["DEMOUSD"]] == ["10", "4"]


def test_several_instruments_trades_undone_and_new_listings(market):
    """One request for two instruments; a bust and a correction; an instrument listed while the list is watched."""
    engine, data, client, other = market
    data.plain("x", _320="all", _559=4, _263=1)
    wait_for(lambda: set(data.listed) == {"DEMOUSD"}, "the list")
    assert (data.listed["DEMOUSD"][15], data.listed["DEMOUSD"][561]) == ("USD", "1")
    second = INSTRUMENT | {"name": "SECOND", "tick_units": 100_000, "lot_step": 5, "min_qty_lots": 10}
    operate(
        engine,
        build.document(CommandKind.INSTRUMENT_DEFINE, second | OPERATOR),
        build.instrument_state(2, MarketState.OPEN, **OPERATOR),
    )
    wait_for(lambda: set(data.listed) == {"DEMOUSD", "SECOND"}, "the new instrument")
    assert (data.listed["SECOND"][561], data.listed["SECOND"][562]) == ("5", "10")
    data.ask("both", ("DEMOUSD", "SECOND"))
    wait_for(lambda: set(data.books) == {"DEMOUSD", "SECOND"}, "both books")
    client.send("D", _11="b", _55="SECOND", _54=1, _38=50, _40=2, _44="7.5", _59=1)
    data.wait_book({("0", "7.5"): ("50", "1")}, "SECOND")
    client.order("bid", 1, 10, 50)
    other.order("hit", 2, 4, 50)
    other.order("hit2", 2, 3, 50)
    wait_for(lambda: len(data.trades.get("DEMOUSD", ())) == 2, "two trades")
    first, second = (number for _, number, _, _ in data.trades["DEMOUSD"])
    operate(engine, build.trade_bust(int(first), **OPERATOR), build.trade_correct(int(second), 4_900, 2, **OPERATOR))
    wait_for(lambda: len(data.trades["DEMOUSD"]) == 4, "both undone")
    assert data.trades["DEMOUSD"][2:] == [("2", first, "50.00", "4"), ("1", second, "49.00", "2")]
    data.wait_book({("0", "50.00"): ("3", "1")})
    data.plain("x", _320="all", _559=4, _263=2)
    data.plain("x", _320="one", _559=0, _55="SECOND")
    data.plain("x", _320="none", _559=0, _55="NONE")
    data.plain("x", _320="never", _559=2)
    results = {"one": "0", "none": "2", "never": "1"}
    wait_for(
        lambda: results.items() <= {m[320]: m[560] for m in data.messages if m[35] == "y"}.items(), "each list's result"
    )


def test_states_are_told_and_pushed(market):
    """The state now, then each change of it: a halt, the resumption, cancels only, the close; of strangers, 20."""
    engine, data, _, _ = market
    data.plain("e", _324="s", _55="DEMOUSD", _263=1)
    data.plain("e", _324="n", _55="NONE", _263=0)
    data.plain("e", _324="s", _55="DEMOUSD", _263=1)
    wait_for(lambda: len(data.statuses) == 3, lambda: data.statuses)
    assert data.statuses[:2] == [("DEMOUSD", "17", "N", "Open"), ("NONE", "20", "N", "Unknown symbol")]
    assert data.statuses[2][1] == "20"
    del data.statuses[:]
    states = (MarketState.HALTED, MarketState.OPEN, MarketState.CANCEL_ONLY, MarketState.CLOSED, MarketState.PRE_OPEN)
    operate(engine, *(build.instrument_state(1, state, **OPERATOR) for state in states))
    wait_for(lambda: len(data.statuses) == 5, lambda: data.statuses)
    assert [(code, pushed) for _, code, pushed, _ in data.statuses] == [
        ("2", "Y"), ("3", "Y"), ("18", "Y"), ("18", "Y"), ("21", "Y"),
    ]  # fmt: skip
    data.plain("e", _324="s", _55="DEMOUSD", _263=2)
    data.settle()
    operate(engine, build.instrument_state(1, MarketState.OPEN, **OPERATOR))
    data.settle()
    assert len(data.statuses) == 5


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("0", {"symbols": ("DEMOUSD", "NONE")}),
        ("5", {"depth": -1}),
        ("6", {"update": None}),
        ("7", {"_266": "N"}),
        ("8", {"kinds": "04"}),
        ("A", {"_546": "2"}),
        ("B", {"_286": "0"}),
        ("C", {"_547": "Y"}),
    ],
)
def test_what_is_not_offered_is_declined_with_its_reason(declining, reason, changes):
    """Each has its MDReqRejReason, and nothing of the request is granted."""
    declining.ask(f"r{reason}", **changes)
    assert declining.wait_declined(f"r{reason}")[0] == reason
    assert "DEMOUSD" not in declining.books


@pytest.fixture(scope="module")
def declining(tmp_path_factory):
    """A client of a venue that is kept for all that is declined; QuickFIX knows sessions by their names."""
    folder = tmp_path_factory.mktemp("declining")
    session = dataclasses.replace(DATA, comp_id="ASKS")
    with venue(folder, more=[session]) as (_, port), DataClient(folder / "d", port, "ASKS") as data:
        data.wait_logged_on()
        yield data
        assert data.rejected == []


def test_ids_are_told_apart(declining):
    """An id that is open is not taken twice; one that is not open can't be ended."""
    declining.ask("twice", kinds="2")
    declining.ask("twice", kinds="2")
    assert declining.wait_declined("twice")[0] == "1"
    declining.ask("never", action=2)
    assert declining.wait_declined("never")[0] is None
    declining.ask("twice", action=2)


def test_orders_are_refused_on_a_session_for_market_data(declining):
    """It may ask, and nothing else."""
    declining.order("o", 1, 1, 1)
    wait_for(lambda: any(m[35] == "j" for m in declining.messages), "a refusal")
    refused = next(m for m in declining.messages if m[35] == "j")
    assert (refused[372], refused[380]) == ("D", "3")


def test_a_random_flow_ends_in_the_same_book(market):
    """After hundreds of orders, cancels and trades the followed book is that of a new snapshot."""
    _, data, client, other = market
    chance = random.Random(7)
    data.ask("followed")
    wait_for(lambda: "DEMOUSD" in data.books, "a snapshot")
    for number in range(400):
        side = chance.choice((1, 2))
        who = client if side == 1 else other
        if number > 20 and chance.random() < 0.3:
            target = chance.randrange(number)
            who.send("F", _11=f"x{number}", _41=f"o{target}", _55="DEMOUSD", _54=side, _38=1)
        else:
            who.order(f"o{number}", side, chance.randint(1, 30), 50 + chance.randint(-6, 4) * (1 if side == 1 else -1))
    for each in (client, other):
        each.order("last", 1, 1, 10)
        each.wait_report("last", _150="0")
    data.settle()
    assert data.updates > 1
    wait_for(lambda: ("0", "10.00") in data.books["DEMOUSD"] and data.books["DEMOUSD"]["0", "10.00"][1] == "2", "all")
    followed = dict(data.books["DEMOUSD"])
    data.ask("again", action=0)
    wait_for(lambda: data.snapshots["DEMOUSD"] == 2, "another snapshot")
    assert data.books["DEMOUSD"] == followed


def test_after_a_gap_the_books_are_told_anew(market):
    """Market data is never sent again: what a client asks for is filled in, then it gets snapshots."""
    _, data, client, _ = market
    data.ask("full")
    client.order("b1", 1, 10, 50)
    data.wait_book({("0", "50.00"): ("10", "1")})
    told = data.snapshots["DEMOUSD"]
    data.forget(2)
    client.order("b2", 1, 10, 49)
    wait_for(lambda: data.snapshots["DEMOUSD"] > told, lambda: f"a snapshot: {data.admin[-4:]}")
    data.wait_book({("0", "50.00"): ("10", "1"), ("0", "49.00"): ("10", "1")})
    assert "4" in [message[35] for message in data.admin]
    assert not any(message.get(43) == "Y" for message in data.messages)
