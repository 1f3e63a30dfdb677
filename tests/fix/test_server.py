"""The rules of numbers at the gateway, over a raw socket: what is taken, refused, filled in, sent again."""

import random
import threading

import numpy as np
import pytest

from gateways.client import Client
from gateways.fix import index, line
from kk99.schema import EventKind
from tests.engine.harness import running, wait_for
from tests.fix.raw_client import RawClient, fields, gateway, venue, without
from tests.fix.venue_process import set_up


def rows_of(engine, name="fix/CLIENT"):
    """(epoch, client sequence, kind) of every event that a FIX session's messages caused themselves."""
    with Client.connect(engine.settings.address, name) as client:
        session_id = client.session_id
    found = []
    with Client.connect(engine.settings.address, after=(0, 0)) as client:
        last = client.welcome.last_event
        at = (0, 0)
        while at < last:
            for row in client.poll_events(1.0).rows:
                at = int(row["cause_seq"]), int(row["index"])
                if row["kind"] != EventKind.TRADE and int(row["session_id"]) == session_id and row["client_seq"] > 0:
                    found.append((int(row["session_epoch"]), int(row["client_seq"]), int(row["kind"])))
    return found


def test_every_number_is_one_row(tmp_path):
    """Logon, orders, what is refused, heartbeats and gap fills: each number inbound is a row, in order."""
    with venue(tmp_path) as (engine, port), RawClient(port) as client:
        client.logon()
        assert client.expect("A")[34] == "1"
        client.order("a")
        assert client.expect("8")[11] == "a"
        client.send("V", "262=m|263=0|264=1|267=1|269=0|146=1|55=DEMOUSD|")
        refused = client.expect("j")
        assert (refused[372], refused[380]) == ("V", "3")
        client.send("D", "11=b|")
        assert client.expect("3")[373] == "1"
        client.send("1", "112=hello|")
        assert client.expect("0")[112] == "hello"
        client.send("4", f"123=Y|36={client.seq + 10}|", header="43=Y|122=20200101-00:00:00|")
        client.seq += 9
        client.order("c")
        assert client.expect("8")[11] == "c"
        client.send("5")
        assert client.is_closed()
        wait_for(lambda: len(rows_of(engine)) >= 17)
        assert [seq for _, seq, _ in rows_of(engine)] == list(range(1, 18))
        kinds = [kind for _, _, kind in rows_of(engine)]
        assert [at for at, kind in enumerate(kinds, 1) if kind == EventKind.ORDER_ACCEPTED] == [2, 16]
        assert kinds.count(EventKind.MESSAGE_NOTED) == 15


def test_a_gap_fill_of_too_many_numbers(tmp_path):
    """4,096 numbers at once are taken; one more ends the session and takes none."""
    with venue(tmp_path) as (engine, port):
        with RawClient(port) as client:
            client.logon()
            client.expect("A")
            client.send("4", f"123=Y|36={2 + 4_096}|")
            client.seq = 2 + 4_096
            client.send("1", "112=x|")
            client.expect("0")
            client.send("4", f"123=Y|36={client.seq + 4_097}|")
            assert "4096" in client.expect("5")[58]
            assert client.is_closed()
        wait_for(lambda: len(rows_of(engine)) == 4_098)


def test_gaps_low_numbers_and_duplicates(tmp_path):
    """What is missing is asked for once, what waited is then taken; a duplicate is ignored; a low number ends it."""
    with venue(tmp_path) as (engine, port), RawClient(port) as client:
        client.logon()
        client.expect("A")
        client.order("late", seq=3)
        asked = client.expect("2")
        assert (asked[7], asked[16]) == ("2", "2")
        client.order("first", seq=2, header="43=Y|122=20200101-00:00:00|")
        assert client.expect("8")[11] == "first"
        assert client.expect("8")[11] == "late"
        client.order("first", seq=2, header="43=Y|122=20200101-00:00:00|")
        client.order("low", seq=2)
        assert "too low, expecting 4" in client.expect("5")[58]
        assert client.is_closed()
        assert [seq for _, seq, _ in rows_of(engine)] == [1, 2, 3]


def test_who_may_log_on(tmp_path):
    """A wrong password, name, user or second connection is told nothing, and uses up no number."""
    with venue(tmp_path) as (engine, port):
        for name, password in (("CLIENT", "wrong"), ("NOBODY", "secret")):
            with RawClient(port, name) as client:
                client.logon(password=password)
                assert client.receive() == b""
        with RawClient(port) as client, RawClient(port) as second:
            client.logon()
            client.expect("A")
            second.logon()
            assert second.receive() == b""
        wait_for(lambda: rows_of(engine) == [(1, 1, EventKind.MESSAGE_NOTED)])


def test_a_reset_opens_an_epoch(tmp_path):
    """With 141=Y numbers begin at 1 on both sides, at the Logon and within the connection; orders live on."""
    with venue(tmp_path) as (engine, port):
        with RawClient(port) as client:
            client.logon()
            client.expect("A")
            client.order("kept")
            client.expect("8")
            client.send("5")
            assert client.is_closed()
        with RawClient(port) as client:
            client.logon("141=Y|", seq=1)
            answer = client.expect("A")
            assert (answer[34], answer[141]) == ("1", "Y")
            client.seq = 2
            client.order("second")
            assert client.expect("8")[34] == "2"
            client.seq = 1
            client.logon("141=Y|")
            assert client.expect("A")[34] == "1"
            client.send("H", "11=kept|55=DEMOUSD|54=1|")
            status = client.expect("8")
            assert (status[34], status[39], status[150]) == ("2", "0", "I")
        wait_for(lambda: {epoch for epoch, _, _ in rows_of(engine)} == {1, 2, 3})


@pytest.mark.parametrize("memory", [line.RECENT_MAX, 4])
def test_the_stream_is_rebuilt_byte_for_byte(tmp_path, monkeypatch, memory):
    """After a restart, from memory or from the stored events: the same bytes but for 9, 10, 43, 52 and 122."""
    monkeypatch.setattr(line, "RECENT_MAX", memory)
    monkeypatch.setattr(line, "UNSENT_MAX", memory)
    with running(tmp_path / "venue") as engine:
        set_up(engine.settings.address)
        sent = []
        with (
            gateway(engine, tmp_path / "fix") as port,
            RawClient(port) as client,
            RawClient(port, "OTHER") as other,
        ):
            for each in (client, other):
                each.logon()
                sent.append(each.receive())
            sent = sent[:1]
            for number in range(30):
                client.order(f"c{number}", qty=10 + number)
                sent.append(client.receive())
            client.send("F", f"11=x|41=c7|55=DEMOUSD|54=1|60={fields(sent[-1])[60]}|38=1|")
            sent.append(client.receive())
            client.send("D", "11=bad|55=NONE|54=1|60=20260101-00:00:00|38=1|40=1|")
            sent.append(client.receive())
            client.send("5")
            sent.append(client.receive())
            other.order("hit", side=2, qty=200)
            while fields(other.receive()).get(151) != "0":
                pass
        with gateway(engine, tmp_path / "fix") as second, RawClient(second) as client:
            client.logon(seq=client.seq + 34)
            client.seq = 36
            missed = []
            assert client.expect("A")[34] == "35"
            while not missed or fields(missed[-1])[11] != "c13":
                missed.append(client.receive())
            assert [fields(message)[34] for message in missed] == [str(36 + at) for at in range(len(missed))]
            client.send("2", "7=1|16=0|")
            again = [client.receive() for _ in range(34)]
            assert fields(again[0])[35] == "4"
            assert fields(again[0])[36] == "2"
            for first, second_time in zip(sent[1:-1], again[1:-1], strict=True):
                found = fields(second_time)
                assert (found[43], found[122]) == ("Y", fields(first)[52])
                assert without(second_time, 9, 10, 43, 52, 122) == without(first, 9, 10, 52)
            gap = fields(again[-1])
            assert (gap[34], gap[36], gap[123]) == ("34", "36", "Y")
            more = [client.receive() for _ in missed]
            assert [without(m, 9, 10, 43, 52, 122) for m in more] == [without(m, 9, 10, 52) for m in missed]


def test_reports_are_sent_anew_after_a_loss_of_power(tmp_path, monkeypatch):
    """The numbers that may have been used are gaps; their reports come with new ones, 97=Y and the same ExecID."""
    folder = tmp_path / "fix"
    with running(tmp_path / "venue") as engine:
        set_up(engine.settings.address)
        with gateway(engine, folder) as port, RawClient(port) as client:
            client.logon()
            client.expect("A")
            for number in range(5):
                client.order(f"o{number}")
            first = [client.expect("8") for _ in range(5)]
            kept = (folder / "CLIENT-1.index").read_bytes()[:512]
        (folder / "CLIENT-1.index").write_bytes(kept)  # the head was synced, the rows were not
        monkeypatch.setattr(index, "_boot_id", lambda: bytes(16))
        with gateway(engine, folder) as port, RawClient(port) as client:
            client.logon(seq=7)
            assert client.expect("A")[34] == str(index.BLOCK + 1)
            anew = [client.expect("8") for _ in range(5)]
            assert [found[97] for found in anew] == ["Y"] * 5
            assert [found[17] for found in anew] == [found[17] for found in first]
            client.seq = 8
            client.order("new")
            assert 97 not in client.expect("8")
            client.send("2", "7=1|16=0|")
            gap = client.expect("4")
            assert (gap[34], gap[36]) == ("1", str(index.BLOCK + 2))
            assert [client.expect("8").get(97) for _ in range(6)] == ["Y"] * 5 + [None]


def test_orders_are_canceled_on_disconnect(tmp_path):
    """A session that asks for it has no orders once its connection is gone, and is told so at its next Logon."""
    with venue(tmp_path, cancel_on_disconnect=True) as (_, port):
        with RawClient(port) as client:
            client.logon()
            client.expect("A")
            client.order("gone")
            client.expect("8")
        with RawClient(port) as client:
            client.logon(seq=3)
            client.expect("A")
            ended = client.expect("8")
            assert (ended[11], ended[39]) == ("gone", "4")


def test_garbage_and_silence(tmp_path):
    """Strangers that talk nonsense are cut off; within a session garbage is passed over."""
    with venue(tmp_path) as (_, port):
        with RawClient(port) as client:
            client.socket.sendall(b"GET / HTTP/1.1\r\n\r\n8=FIX.4.4\x019=5\x01")
            assert client.receive() == b""
        with RawClient(port) as client:
            client.logon()
            client.expect("A")
            client.socket.sendall(np.random.default_rng(7).bytes(5_000))
            client.send("1", "112=still there|")
            client.socket.sendall(b"\x018=FIX.4.4\x01")
            client.send("1", "112=again|")
            assert client.expect("0")[112] == "still there"
            assert client.expect("0")[112] == "again"


def test_a_stop_logs_sessions_out(tmp_path):
    """Told to end, the gateway says goodbye, waits for the answer, and what comes then is in the journal too."""
    with running(tmp_path / "venue") as engine:
        set_up(engine.settings.address)
        heard = []
        with gateway(engine, tmp_path / "fix") as port:
            client = RawClient(port)
            client.logon()
            client.expect("A")

            def listen():
                heard.append(client.expect("5")[58])
                client.send("5")
                heard.append(client.is_closed())

            listener = threading.Thread(target=listen)
            listener.start()
        listener.join()
        client.socket.close()
        assert heard == ["the gateway is shutting down", True]
        wait_for(lambda: [seq for _, seq, _ in rows_of(engine)] == [1, 2])


def test_a_burst_and_a_peer_that_does_not_read(tmp_path):
    """Thousands of orders at once are all answered, in order, however late the answers are read."""
    with venue(tmp_path) as (_, port), RawClient(port) as client:
        client.logon()
        client.expect("A")
        sender = threading.Thread(target=lambda: [client.order(f"o{number}") for number in range(3_000)])
        sender.start()
        sender.join()
        assert [client.expect("8")[11] for _ in range(3_000)] == [f"o{number}" for number in range(3_000)]


def test_mutated_messages_do_no_harm(tmp_path):
    """Valid frames with any field lost, doubled or replaced: each is answered or taken, and the gateway goes on."""
    rng = random.Random(4)
    values = ["0", "-1", "1", "9" * 30, "0.00000001", "x" * 40, "\xff", "Y", "7", "DEMOUSD", "20260101-00:00:00", "J"]
    bodies = {
        "D": "11=o|1=alice|55=DEMOUSD|54=1|60=20260101-00:00:00|38=5|40=2|44=50|59=1|18=6|110=1|111=2|99=60",
        "F": "11=p|41=o|55=DEMOUSD|54=1|60=20260101-00:00:00|38=5|37=1",
        "G": "11=q|41=o|55=DEMOUSD|54=1|60=20260101-00:00:00|38=5|40=2|44=51|99=1|111=1",
        "q": "11=r|530=7|60=20260101-00:00:00|54=1|55=DEMOUSD",
        "H": "11=o|55=DEMOUSD|54=1|37=5|790=x",
        "AF": "584=s|585=7|55=DEMOUSD|54=1|1=alice",
    }
    with venue(tmp_path) as (_, port):
        client = RawClient(port)
        client.logon("141=Y|")
        client.expect("A")
        for number in range(400):
            msg_type = rng.choice(list(bodies))
            parts = bodies[msg_type].replace("=o|", f"=o{number}|").split("|")
            for _ in range(rng.randint(0, 3)):
                at = rng.randrange(len(parts))
                tag = parts[at].partition("=")[0]
                change = rng.randrange(4)
                if change == 0:
                    del parts[at]
                elif change == 1:
                    parts.append(parts[at])
                else:
                    parts[at] = f"{tag}={rng.choice(values)}"
            client.send(msg_type, "|".join(parts) + "|")
        client.send("1", "112=alive|")
        assert client.expect("0")[112] == "alive"
        client.socket.close()
