"""Clients for market data that ask for far too much: what is kept for them is bounded, and others are served."""

import contextlib
import threading
import time

import pytest

from gateways.client import Client
from gateways.fix.link import Link
from gateways.fix.market import DATA_BYTES, Subscriber
from gateways.fix.settings import SessionSettings
from kk99 import build
from tests.engine.harness import running, wait_for
from tests.fix.raw_client import HASH, RawClient, gateway
from tests.fix.test_copies import log_on
from tests.fix.test_market import Venue, ask, drain, request
from tests.fix.venue_process import set_up

SESSIONS = tuple(SessionSettings(f"DATA{number}", HASH, (), role="market_data") for number in range(4))


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine with a market, for all tests here."""
    with running(tmp_path_factory.mktemp("hostile") / "venue") as engine:
        set_up(engine.settings.address)
        yield engine


@pytest.fixture(scope="module")
def port(engine, tmp_path_factory):
    """One gateway for all tests here: each has a session of its own."""
    with gateway(engine, tmp_path_factory.mktemp("hostile-fix"), more=SESSIONS) as port:
        yield port


@contextlib.contextmanager
def logged_on(port, name):
    """A client that has logged on."""
    with RawClient(port, name) as client:
        assert log_on(client, body="141=Y|")[35] == "A"
        yield client


def book(name, depth=0, update=0):
    """The body of a V for both sides of one book."""
    return f"262={name}|263=1|264={depth}|265={update}|267=2|269=0|269=1|146=1|55=DEMOUSD|"


def test_a_pipeline_of_questions_is_answered_one_after_another(port, monkeypatch):
    """However many wait, at most one has its answer begun; all are answered, in order."""
    waiting, ask_ = [], Subscriber.ask

    def asked(self, message):
        waiting.append(len(self._answers))
        ask_(self, message)

    monkeypatch.setattr(Subscriber, "ask", asked)
    with logged_on(port, "DATA0") as data:
        sender = threading.Thread(target=lambda: [data.send("x", f"320=q{at}|559=4|263=0|") for at in range(1_500)])
        sender.start()
        assert [data.expect("y")[320] for _ in range(1_500)] == [f"q{at}" for at in range(1_500)]
        sender.join()
    assert (len(waiting), max(waiting)) == (1_500, 0)


def test_hundreds_of_full_refreshes_do_not_hold_up_a_trader(engine, port, monkeypatch):
    """What is made for a reader is what it can take, and the newest: a trader is answered between the parts of it."""
    most, told = [0], Link._tell

    def measured(self, line, now_ns):
        before = len(self._out)
        is_told = told(self, line, now_ns)
        if is_told:
            most[0] = max(most[0], before)
        return is_told

    monkeypatch.setattr(Link, "_tell", measured)
    with (
        Client.connect(engine.settings.address, "levels") as algo,
        logged_on(port, "DATA1") as data,
        logged_on(port, "CLIENT") as client,
    ):
        algo.submit(build.batch_of([build.order_new(17, 1, 2, 5, 50_000 + at) for at in range(200)]))
        algo.flush()
        for number in range(300):
            data.send("V", book(f"r{number}"))
        data.send("V", book("inc", update=1))
        slowest = 0.0
        for number in range(30):
            begin = time.monotonic()
            client.order(f"t{number}", qty=1, price=10 + number)
            assert client.expect("8")[11] == f"t{number}"
            slowest = max(slowest, time.monotonic() - begin)
        assert slowest < 5.0
        left = {*(f"r{number}" for number in range(300)), "inc"}
        while left:
            left.discard(data.expect("W")[262])
    assert 0 < most[0] < DATA_BYTES


def test_a_storm_of_subscriptions_ends_where_it_began(port):
    """The same id asked for and ended a thousand times: the last one is told, nothing of the others is kept."""
    with logged_on(port, "DATA2") as data:
        for _ in range(500):
            data.send("V", book("again", update=1))
            data.send("V", "262=again|263=2|264=0|267=1|269=0|146=1|55=DEMOUSD|")
        data.send("V", book("last", update=1))
        while data.expect("W")[262] != "last":
            pass


@pytest.mark.parametrize("body", ["7=1|16=0|", "7=3|16=3|", "7=1|16=4096|", "7=2|16=999999|"])
def test_a_resend_of_market_data_is_one_gap_and_a_snapshot(port, body):
    """Whatever part of it is asked for: the numbers are filled in up to where that ends, then books are told anew."""
    with logged_on(port, "DATA3") as data:
        data.send("V", book("b", update=1))
        sent = int(data.expect("W")[34])
        first = min(int(body.split("|")[0][2:]), sent)
        data.send("2", f"7={first}|" + body.split("|")[1] + "|")
        filled = data.expect("4")
        asked = int(body.split("|")[1][3:])
        last = min(asked, sent) if asked else sent
        assert (filled[34], filled[43], filled[123], filled[36]) == (str(first), "Y", "Y", str(last + 1))
        assert int(data.expect("W")[34]) == sent + 1
        for wrong in ("7=0|16=0|", f"7={sent + 50}|16=0|", "7=3|16=2|"):
            data.send("2", wrong)
            assert data.expect("3")[372] == "2"
        data.send("5")
        assert data.is_closed()


def test_instruments_that_change_often_are_told_once_to_each_list():
    """Of a thousand changes that a slow reader has not taken, each of its lists is told the latest of each."""
    venue = Venue().list("ONE", "TWO")
    subscriber = Subscriber(venue.feed)
    for number in range(8):
        ask(subscriber, "x", f"320=l{number}|559=4|263=1|")
    assert len(drain(subscriber)) == 8
    for _ in range(500):
        for instrument in venue.listing.instruments.values():
            subscriber.note_listed(instrument)
    assert not subscriber.is_answering
    told = [dict(fields) for _, fields in drain(subscriber)]
    assert [(one[320], one[393]) for one in told] == [(b"l%d" % number, b"2") for number in range(8)]
    assert drain(subscriber) == []


def test_a_request_that_changes_all_the_time_is_not_all_that_is_told():
    """While there is room for one message after each change, all requests have their turn."""
    venue = Venue().list("ONE")
    subscriber = Subscriber(venue.feed)
    for name in ("one", "two", "three"):
        ask(subscriber, "V", request(name, ["ONE"], update=0))
    told = []
    for number in range(9):
        venue.order(1, 1, 100 + number)
        told += [dict(fields)[262] for _, fields in drain(subscriber, 1)]
    assert told == [b"one", b"two", b"three"] * 3


def test_connections_leave_nothing_behind(port, monkeypatch):
    """When a client has gone, whatever it asked for, the feed keeps nothing of it."""
    feeds, make = set(), Subscriber.__init__

    def made(self, feed):
        feeds.add(feed)
        make(self, feed)

    monkeypatch.setattr(Subscriber, "__init__", made)
    with logged_on(port, "DATA0") as data:
        data.send("V", book("b"))
        data.send("e", "324=s|55=DEMOUSD|263=1|")
        data.send("x", "320=l|559=4|263=1|")
        data.expect("y")
    (feed,) = feeds
    wait_for(lambda: not any((*feed._watched.values(), *feed._statuses.values(), feed._list_watchers)), "all gone")
