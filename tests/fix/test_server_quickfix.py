"""The gateway driven by QuickFIX: orders, and after each crash the client's orders and the venue's agree exactly."""

import contextlib

import pytest

from tests.fix.proxy import Proxy
from tests.fix.stock_client import StockClient, wait_for
from tests.fix.venue_process import FixVenue

pytestmark = pytest.mark.xdist_group("processes")


@pytest.fixture
def venue(tmp_path):
    """A venue of its own for each test."""
    with FixVenue(tmp_path) as running:
        yield running


def test_orders_of_every_fate(venue, tmp_path):
    """Accepted, partly filled, filled, canceled, replaced, rejected: the client hears of each."""
    with StockClient(tmp_path / "c", venue.port) as client, StockClient(tmp_path / "o", venue.port, "OTHER") as other:
        client.wait_logged_on()
        other.wait_logged_on()
        client.order("bid", 1, 100, 50)
        accepted = client.wait_report("bid", _150="0")
        assert (accepted[39], accepted[151], accepted[14]) == ("0", "100", "0")
        other.order("hit", 2, 30, 50)
        assert other.wait_report("hit", _150="F")[39] == "2"
        part = client.wait_report("bid", _150="F")
        assert (part[39], part[32], part[14], part[151]) == ("1", "30", "30", "70")
        client.send("G", _11="bid2", _41="bid", _55="DEMOUSD", _54=1, _38=120, _40=2, _44=49)
        replaced = client.wait_report("bid2", _150="5")
        assert (replaced[41], replaced[151], replaced[44]) == ("bid", "90", "49.00")
        venue.agrees(client)
        client.send("F", _11="bid3", _41="bid2", _55="DEMOUSD", _54=1, _38=120)
        assert client.wait_report("bid3", _150="4")[151] == "0"
        client.order("poor", 1, 1_000_000, 999_999)
        assert client.wait_report("poor", _150="8")[103]
        client.send("F", _11="none", _41="never", _55="DEMOUSD", _54=1, _38=1)
        assert client.wait_report("none", _35="9")[102] == "1"
        client.send("V", _262="md", _263=0, _264=1)
        venue.agrees(client)
        venue.agrees(other, "OTHER")
    assert venue.stop_gateway() == 0


def test_what_happens_offline_is_told_at_the_next_logon(venue, tmp_path):
    """Fills while the client is away come at its next logon, in sequence; so does what it lost with its store."""
    with StockClient(tmp_path / "o", venue.port, "OTHER") as other:
        other.wait_logged_on()
        client = StockClient(tmp_path / "c", venue.port)
        with client:
            client.wait_logged_on()
            client.order("bid", 1, 100, 50)
            client.wait_report("bid", _150="0")
        other.order("hit", 2, 30, 50)
        other.wait_report("hit", _150="F")
        with StockClient(tmp_path / "c", venue.port) as back:
            back.wait_logged_on()
            assert back.wait_report("bid", _150="F")[14] == "30"
            assert back.orders.repeated == []
        for stored in (tmp_path / "c/store").iterdir():
            stored.unlink()  # it then believes to be at number 1, and is told what comes next
        with StockClient(tmp_path / "c", venue.port) as lost:
            expected = lost.wait_admin("5")[58]
            assert "MsgSeqNum too low" in expected


def test_a_resend_is_the_same_but_for_its_header(venue, tmp_path):
    """What a client asks for again has the same body and its first sending time; admin messages are filled in."""
    with StockClient(tmp_path / "c", venue.port) as client:
        client.wait_logged_on()
        for number in range(20):
            client.order(f"o{number}", 1, 10, 50)
        client.wait_report("o19", _150="0")
        first = {message[34]: message for message in client.messages}
        client.forget(int(min(first, key=int)))
        client.order("more", 1, 10, 50)
        client.wait_report("more", _150="0")
        wait_for(lambda: len(client.orders.repeated) == 20, "20 reports again")
        for message in client.orders.repeated:
            sent = first[message[34]]
            assert message[43] == "Y"
            assert message[122] == sent[52]
            own = {8, 9, 10, 34, 35, 43, 49, 52, 56, 122}
            assert {t: v for t, v in message.items() if t not in own} == {t: v for t, v in sent.items() if t not in own}


@pytest.mark.parametrize("what", ["gateway", "engine", "connection"])
def test_a_crash_in_mid_burst(venue, tmp_path, what):
    """Killed under orders of both sides, thrice: nothing is lost or doubled, both clients agree with the venue."""
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(Proxy(venue.port))
        client = stack.enter_context(StockClient(tmp_path / "c", proxy.port))
        other = stack.enter_context(StockClient(tmp_path / "o", proxy.port, "OTHER"))
        client.wait_logged_on()
        other.wait_logged_on()
        sent = 0
        for crash in range(3):
            for _ in range(40):
                sent += 1
                client.order(f"b{sent}", 1, 10 + sent % 7, 50)
                other.order(f"s{sent}", 2, 5 + sent % 11, 50 + sent % 2)
                if sent % 5 == 0:
                    client.send("F", _11=f"x{sent}", _41=f"b{sent}", _55="DEMOUSD", _54=1, _38=1)
                if sent % 40 == 20 + crash:
                    break_it(venue, proxy, what)
        client.wait_answered([f"b{number}" for number in range(1, sent + 1)])
        other.wait_answered([f"s{number}" for number in range(1, sent + 1)])
        venue.agrees(client)
        venue.agrees(other, "OTHER")
        wait_for(lambda: client.orders.filled() == venue.fills("CLIENT"), "the same fills")
        wait_for(lambda: other.orders.filled() == venue.fills("OTHER"), "the same fills")
        assert client.orders.filled()


def break_it(venue, proxy, what):
    """Kill a part, and start it again."""
    if what == "gateway":
        venue.kill_gateway()
        venue.start_gateway()
    elif what == "engine":
        venue.engine.kill()
        venue.engine.start()
    else:
        proxy.cut()
