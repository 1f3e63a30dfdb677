"""What changes under a session's feet: its accounts in mid-burst, its role while it is away, a death before a send."""

import dataclasses
import os
import threading

import numpy as np
import pytest

from gateways.client import Client
from gateways.fix import binding, sources
from gateways.fix.control import SOCKET_NAME, ask
from gateways.fix.copies import CopyStream
from gateways.fix.index import Index, Place
from gateways.fix.line import Line
from gateways.fix.link import Link
from gateways.fix.settings import SessionSettings
from kk99 import batch, build, schema
from tests.engine.harness import running, wait_for
from tests.fix.identities import define
from tests.fix.raw_client import DEADLINE_S, HASH, PASSWORD, RawClient, fields, gateway, without
from tests.fix.test_copies import log_on
from tests.fix.venue_process import set_up

HEADER = (9, 10, 43, 52, 122)
COPY = SessionSettings("COPY", HASH, ("alice", "bob"), role="drop_copy")
MOVED = SessionSettings("MOVED", HASH, ("alice",))


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine with a market, for all tests here."""
    with running(tmp_path_factory.mktemp("changes") / "venue") as engine:
        set_up(engine.settings.address)
        yield engine


def test_in_mid_burst_accounts_change_once_and_for_all(engine, tmp_path):
    """Up to one order all are the old account's, from the next on all are the new one's; so they are when resent."""
    count = 600
    with gateway(engine, tmp_path / "fix", more=[MOVED]) as port, RawClient(port, "MOVED") as client:
        client.logon("141=Y|")
        client.expect("A")
        half = threading.Event()

        def send():
            for number in range(count):
                client.order(f"m{number}", price=9)
                if number == count // 2:
                    half.set()

        sender = threading.Thread(target=send)
        sender.start()
        half.wait()
        define(engine.settings.address, dataclasses.replace(MOVED, accounts=("bob",)))
        sender.join()
        first = [client.receive() for _ in range(count)]
        told = [fields(message) for message in first]
        assert [message[11] for message in told] == [f"m{number}" for number in range(count)]
        assert {message[150] for message in told} == {"0"}
        names = [message[1] for message in told]
        moved = names.index("bob") if "bob" in names else count
        assert names == ["alice"] * moved + ["bob"] * (count - moved)
        client.order("after")
        assert client.expect("8")[1] == "bob"
        client.send("2", f"7=2|16={count + 1}|")
        again = [client.receive() for _ in range(count)]
        assert [without(message, *HEADER) for message in again] == [without(message, *HEADER) for message in first]


def test_what_was_numbered_and_not_sent_is_sent_again(engine, tmp_path, monkeypatch):
    """Killed between the index and the wire: the numbers are used, and a resend has byte for byte what they were."""
    lost, is_dying, send = {}, threading.Event(), Link._send

    def die(self, now_ns):
        if not is_dying.is_set():
            send(self, now_ns)
            return
        lost.setdefault(self.line.settings.comp_id, bytearray()).extend(self._out)
        self._out.clear()

    monkeypatch.setattr(Link, "_send", die)
    monkeypatch.setattr(Index, "close", lambda index: os.close(index._file))  # nothing is said or synced
    with (
        gateway(engine, tmp_path / "fix", more=[COPY]) as port,
        RawClient(port) as client,
        RawClient(port, "COPY") as copy,
    ):
        client.logon("141=Y|")
        client.expect("A")
        assert log_on(copy, body="141=Y|")[35] == "A"
        is_dying.set()
        for number in range(7):
            client.order(f"lost-{number}", price=9)
        wait_for(lambda: [data.count(b"\x0110=") for data in lost.values()] == [7, 7], "seven reports to each")
        kept = {name: split(bytes(data)) for name, data in lost.items()}
    is_dying.clear()
    with gateway(engine, tmp_path / "fix", more=[COPY]) as port:
        for name, seq in (("CLIENT", 9), ("COPY", 2)):
            with RawClient(port, name) as back:
                answer = log_on(back, seq=seq)
                assert int(answer[34]) > 8  # seven were used
                back.seq = seq + 1
                back.send("2", "7=2|16=8|")
                again = [back.receive() for _ in range(7)]
            assert [without(one, *HEADER) for one in again] == [without(one, *HEADER) for one in kept[name]]
            assert [fields(one)[122] for one in again] == [fields(one)[52] for one in kept[name]]


def split(data):
    """The messages that some bytes are."""
    return [b"8=FIX" + part for part in data.split(b"8=FIX")[1:]]


def test_a_session_that_becomes_one_for_copies_gets_copies_alone(engine, tmp_path):
    """What it was owed as a trader is no copy; what its accounts do from then on is, and then no more."""
    settings = SessionSettings("BOTH", HASH, ("bob",))
    with gateway(engine, tmp_path / "fix", more=[COPY, settings]) as port:
        with RawClient(port, "COPY") as copy:
            log_on(copy, body="141=Y|")
        with RawClient(port, "BOTH") as client:
            client.logon("141=Y|")
            client.expect("A")
            client.order("traded", side=2, qty=5, price=60)
            client.expect("8")
            client.send("5")
            assert client.is_closed()
        with Client.connect(engine.settings.address, "algo") as algo:
            algo.submit(build.order_new(16, 1, 1, 5, 6_000, client_id="algo-buys"))
            algo.flush()
            define(engine.settings.address, dataclasses.replace(settings, role="drop_copy"))
            algo.submit(build.order_new(17, 1, 1, 3, 900, client_id="algo-bids"))
            algo.flush()
        with RawClient(port, "BOTH") as client:
            log_on(client, body="141=Y|")
            told = client.expect("8")
            assert (told[11], told[797]) == ("algo-bids", "Y")
        define(engine.settings.address, settings)
        with RawClient(port, "BOTH") as client:
            log_on(client, body="141=Y|")
            client.order("again", price=8)
            told = client.expect("8")
            assert (told[11], 797 in told) == ("again", False)


@pytest.mark.parametrize("what", ["heartbeat", "log-out", "block"])
def test_nothing_is_said_between_two_epochs(engine, tmp_path, monkeypatch, what):
    """While the engine takes its time to open the next one, a heartbeat waits, and who is to go is cut off."""
    is_opening, may_go, flush = threading.Event(), threading.Event(), Client.flush

    def slow(client, timeout_s=60.0):
        if timeout_s == binding._ENGINE_S:
            is_opening.set()
            may_go.wait(DEADLINE_S)
        flush(client, timeout_s)

    monkeypatch.setattr(Client, "flush", slow)
    epochs = SessionSettings("EPOCHS", HASH, ("alice",))
    with gateway(engine, tmp_path / "fix", more=[epochs]) as port, RawClient(port, "EPOCHS") as client:
        client.send("A", f"98=0|108=1|141=Y|553=EPOCHS|554={PASSWORD}|")
        client.expect("A")
        client.seq = 1
        client.send("A", f"98=0|108=1|141=Y|553=EPOCHS|554={PASSWORD}|")
        assert is_opening.wait(DEADLINE_S)
        if what == "heartbeat":
            client.socket.settimeout(1.5)  # more than the interval, and the patience with the client
            with pytest.raises(TimeoutError):
                client.receive()
        elif what == "log-out":
            ask(engine.settings.sockets_dir / SOCKET_NAME, {"do": "log_out", "session": "EPOCHS"})
        else:
            define(engine.settings.address, dataclasses.replace(epochs, is_blocked=True))
        if what != "heartbeat":
            assert client.is_closed()
        may_go.set()
        if what == "heartbeat":
            client.socket.settimeout(DEADLINE_S)
            assert client.expect("A")[34] == "1"
        with RawClient(port, "CLIENT") as other:
            assert log_on(other, body="141=Y|")[35] == "A"
    define(engine.settings.address, epochs)


class Stream:
    """A stream of reports that stands somewhere."""

    def __init__(self, at):
        self.at = at


def test_copies_are_never_ahead_of_the_reports(monkeypatch):
    """Events that the gateway has not followed wait, as it may not know yet whose copies they are."""
    rows = np.zeros(2, schema.EVENT)
    rows["cause_seq"], rows["index"] = 7, (0, 1)
    copies = object.__new__(CopyStream)
    copies.at, copies._waiting = Place(6, 0, 0), [batch.Events(rows, last_seq=7)]
    monkeypatch.setattr(CopyStream, "_follow", lambda *_: ["a copy"])
    for at in (Place(6, 9, 1 << 30), Place(7, 0, 1 << 30)):
        assert copies.next(at) is None
    assert copies.next(Place(7, 1, 1 << 30)) == ["a copy"]
    assert copies.at[:2] == (7, 1)


def test_a_copy_for_one_that_has_become_a_trader_is_passed_over(monkeypatch):
    """Copies come behind: what is left of them is nothing for a session that has another role by now."""
    lines = {
        f"fix/{role}": Line(SessionSettings("S", "h", ("a",), role=role), "V") for role in ("trading", "drop_copy")
    }
    taken = []
    monkeypatch.setattr(Line, "take", lambda line, _: taken.append(line.settings.role))
    found = sources.Sources("nowhere", Stream(Place(9, 0, 0)), None, lines)
    made = iter([[dataclasses.make_dataclass("Copy", ["session"])(name) for name in lines], None])
    found._copies = type("Copies", (), {"next": lambda _, until: next(made) if until == Place(9, 0, 0) else None})()
    found.turn(is_busy=False)
    assert taken == ["drop_copy"]
