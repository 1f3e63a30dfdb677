"""The engine in this process, with real sockets, journal and core: what clients see of it."""

import contextlib
import socket
import threading
import time

import numpy as np
import pytest
import zmq

from gateways.client import Client
from journal.writer import Writer
from kk99 import protocol, schema
from kk99.engine.ports import SystemClock
from kk99.errors import BusyError, ClientError, InvariantError, JournalLockedError
from kk99.protocol import ErrorCode, Hello, Kind, Message
from kk99.schema import CommandKind, EventKind
from tests.engine.harness import (
    DEADLINE_S,
    events_until,
    identities,
    ports_with,
    rejected_orders,
    row_count,
    rows_of_clients,
    running,
    wait_for,
)


class SlowWriter(Writer):
    """A journal whose commits wait at a gate."""

    gate = threading.Event()
    reached = threading.Event()

    def append(self, batches):
        """Commit when the gate is open."""
        self.reached.set()
        assert self.gate.wait(DEADLINE_S)
        return super().append(batches)


@pytest.fixture
def slow_writer():
    """A fresh SlowWriter whose gate is open."""

    class Fresh(SlowWriter):
        gate = threading.Event()
        reached = threading.Event()

    Fresh.gate.set()
    return Fresh


@contextlib.contextmanager
def raw_connection(engine, name):
    """A plain socket to the engine, to say wrong things with."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as connection:
        connection.linger = 0
        connection.connect(protocol.endpoint(engine.settings.address, name))
        yield connection


def answer(connection):
    """The next message on a plain socket."""
    assert connection.poll(DEADLINE_S * 1000)
    return protocol.decode(connection.recv_multipart())


def submit_and_flush(client, commands):
    """Submit, and wait for it to be durable."""
    client.submit(commands)
    client.flush()


def image_of(address):
    """An image, asked for by a client of its own."""
    with Client.connect(address) as client:
        return client.image()


def is_served(engine):
    """Whether an honest client is served as ever."""
    with Client.connect(engine.settings.address, "honest") as client:
        client.poll_events(0)
        first, last = client.submit(rejected_orders(3))
        frames = events_until(client, lambda frames: len(rows_of_clients(frames)) >= 3)
        return rows_of_clients(frames)["client_seq"].tolist() == list(range(first, last + 1))


def test_hello_submit_events(tmp_path):
    """Commands go in, each causes its event, in order; the session's name and number are kept over a restart."""
    with running(tmp_path / "a") as engine, Client.connect(engine.settings.address, "one") as client:
        assert (client.session_id, client.epoch, client.next_client_seq) == (1, 1, 1)
        client.poll_events(0)
        assert client.submit(rejected_orders(1)) == (1, 1)
        assert client.submit(rejected_orders(schema.BATCH_ROWS_MAX)) == (2, 4097)
        rows = rows_of_clients(events_until(client, lambda frames: len(rows_of_clients(frames)) >= 4097))
        assert rows["client_seq"].tolist() == list(range(1, 4098))
        assert set(rows["kind"].tolist()) == {EventKind.REJECTED}
        assert rows["cause_seq"].tolist() == list(range(3, 4100))
        client.flush()
        assert client.durable_client_seq == 4097
    with running(tmp_path / "a") as engine, Client.connect(engine.settings.address, "one") as client:
        assert (client.session_id, client.epoch, client.next_client_seq) == (1, 1, 4098)
    with running(tmp_path / "a") as engine, Client.connect(engine.settings.address, "one", resume=False) as client:
        assert (client.session_id, client.epoch, client.next_client_seq) == (1, 2, 1)


def test_nothing_leaves_before_it_is_durable(tmp_path, slow_writer):
    """While a commit is held up no event, acknowledgment, WELCOME, stored event or image leaves; then all do."""
    with running(tmp_path / "a", ports_with(open_writer=slow_writer)) as engine:
        address = engine.settings.address
        with Client.connect(address, "one") as client, Client.connect(address) as reader:
            client.poll_events(0)
            before = engine.progress.durable_seq
            slow_writer.gate.clear()
            client.submit(rejected_orders(10))
            wait_for(lambda: engine.progress.applied_seq == before + 10, "the core's work")
            images = []
            waiting = threading.Thread(target=lambda: images.append(image_of(address)))
            waiting.start()
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                for follower in (client, reader):
                    frame = follower.poll_events(0.02)  # the session's own opening may still be on its way
                    assert frame is None or frame.last_seq <= before
            assert client.durable_client_seq == 0
            assert images == []
            assert engine.progress.durable_seq == before
            slow_writer.gate.set()
            assert row_count(events_until(client, lambda frames: row_count(frames) >= 10)) == 10
            assert row_count(events_until(reader, lambda frames: row_count(frames) >= 10)) == 10
            client.flush()
            waiting.join(DEADLINE_S)
            assert images[0].seq == before + 10


def test_a_slow_journal_makes_busy_and_loses_nothing(tmp_path, slow_writer):
    """When the ring is full the client is told so; all that it submitted comes through once, in order."""
    count, size = 40, 1000
    with running(tmp_path / "a", ports_with(open_writer=slow_writer), ring_rows=4096) as engine:
        with Client.connect(engine.settings.address, "one", rows_under_way=count * size) as client:
            client.poll_events(0)
            slow_writer.gate.clear()
            for _ in range(count):
                client.submit(rejected_orders(size))
            wait_for(lambda: client.pump(0.01) or client.stats.busy, "a refusal")
            with pytest.raises(BusyError):
                client.submit(rejected_orders(size), wait=False)
            slow_writer.gate.set()
            frames = events_until(client, lambda frames: len(rows_of_clients(frames)) >= count * size)
            client.flush()
            rows = rows_of_clients(frames)
            assert rows["client_seq"].tolist() == list(range(1, count * size + 1))
            assert set(rows["kind"].tolist()) == {EventKind.REJECTED}
            assert client.stats.times_back > 0
        assert engine.counters.busy_full > 0


def test_hostile_bytes(tmp_path):
    """Garbage of every kind is answered or dropped; a client beside it is served as ever."""
    oversized = b"x" * (protocol.MESSAGE_BYTES_MAX + 1)
    foreign = bytearray(rejected_orders(1).encode())
    foreign[8] ^= 1
    with running(tmp_path / "a") as engine:
        for name in (protocol.SUBMIT_SOCKET, protocol.QUERY_SOCKET):
            for parts in ([b""], [b"garbage"], [b"x" * 32, b"y"], Message(Kind.HELLO, payload=[b"\xc1"]).parts()):
                with raw_connection(engine, name) as connection:
                    connection.send_multipart(parts)
                    assert answer(connection).kind == Kind.ERROR
            with raw_connection(engine, name) as connection:
                connection.send(oversized)
                assert not connection.poll(100)
            with socket.socket(socket.AF_UNIX) as plain:
                plain.connect(str(engine.settings.sockets_dir / name))
                plain.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
        for frame in (bytes(foreign), rejected_orders(2).encode()[:-5], b""):
            with raw_connection(engine, protocol.SUBMIT_SOCKET) as connection:
                connection.send_multipart(Hello("hostile").message().parts())
                assert answer(connection).kind == Kind.WELCOME
                connection.send_multipart(Message(Kind.SUBMIT, 1, payload=[frame]).parts())
                reply = answer(connection)
                assert (reply.kind, reply.a) == (Kind.ERROR, ErrorCode.FRAME_INVALID)
        assert is_served(engine)


def test_a_client_that_breaks_the_rules_is_told(tmp_path):
    """The client raises what the engine refused it for."""
    with running(tmp_path / "a") as engine, Client.connect(engine.settings.address, "one") as client:
        rows = rejected_orders(1)
        rows.rows["kind"] = CommandKind.CONTINUE
        for _ in range(2):
            with pytest.raises(ClientError, match="only the sequencer"):
                submit_and_flush(client, rows)


def test_a_second_engine_is_refused(tmp_path):
    """The same data can't have two engines; the first goes on."""
    with running(tmp_path / "a") as engine:
        with pytest.raises(JournalLockedError), running(tmp_path / "a"):
            pass
        assert is_served(engine)


def test_a_session_taken_over(tmp_path):
    """The connection that said HELLO first is told, and the second goes on with the numbers."""
    with running(tmp_path / "a") as engine, Client.connect(engine.settings.address, "one") as first:
        first.submit(rejected_orders(5))
        first.flush()
        with Client.connect(engine.settings.address, "one") as second:
            assert second.next_client_seq == 6
            with pytest.raises(ClientError, match="another connection"):
                submit_and_flush(first, rejected_orders(1))
            submit_and_flush(second, rejected_orders(1))


def test_reading_from_any_sequence(tmp_path):
    """Followers from the beginning, from the middle and from now see the same events, each once, live ones included."""
    with running(tmp_path / "a", events_hwm=1) as engine:
        address = engine.settings.address
        with Client.connect(address, "one") as client:
            for size in (1, 700, 30, 4096):
                client.submit(rejected_orders(size))
            client.flush()
            with Client.connect(address, after=(0, 0)) as whole, Client.connect(address, after=(500, 0)) as part:
                client.submit(rejected_orders(50))
                client.flush()
                last = engine.progress.durable_seq
                expected = [(seq, 0) for seq in range(1, last + 1)]
                assert identities(events_until(whole, lambda f: f and f[-1].rows[-1]["cause_seq"] >= last)) == expected
                seen = events_until(part, lambda f: f and f[-1].rows[-1]["cause_seq"] >= last)
                assert identities(seen) == expected[500:]


def test_a_slow_follower_catches_up(tmp_path):
    """A follower that does not read misses frames, sees the gap, and gets them from the event store, none twice."""
    with running(tmp_path / "a", events_hwm=1) as engine:
        address = engine.settings.address
        with Client.connect(address, "one") as client, Client.connect(address) as reader:
            assert reader.poll_events(0.2) is None
            reader._follower.socket.rcvhwm = 1
            begin = engine.progress.durable_seq
            for _ in range(100):
                client.submit(rejected_orders(2000))
            client.flush()
            last = begin + 200_000
            frames = events_until(reader, lambda f: f and f[-1].rows[-1]["cause_seq"] >= last)
            assert identities(frames) == [(seq, 0) for seq in range(begin + 1, last + 1)]
            assert reader.stats.frames_read > 0


def test_an_image_and_what_follows(tmp_path):
    """An image names its sequence; events after it continue it."""
    with running(tmp_path / "a") as engine, Client.connect(engine.settings.address, "one") as client:
        client.submit(rejected_orders(9))
        client.flush()
        image = client.image()
        assert image.seq == engine.progress.durable_seq
        rows = np.concatenate([frame.rows for frame in image.frames])
        (session,) = rows[rows["kind"] == EventKind.SESSION_IMAGE]
        assert (session["session_epoch"], session["client_seq"]) == (1, 9)
        with Client.connect(engine.settings.address, after=image.last_event) as reader:
            client.submit(rejected_orders(1))
            (frame,) = events_until(reader, len)
            assert frame.rows["cause_seq"].tolist() == [image.seq + 1]


def test_a_lapsed_lease_is_journaled(tmp_path):
    """A client that goes silent is lost; when it speaks again it is welcomed back and nothing is missing."""
    with running(tmp_path / "a", lease_s=0.3) as engine:
        address = engine.settings.address
        with Client.connect(address, after=(0, 0)) as reader, Client.connect(address, "one") as client:
            client.submit(rejected_orders(1))
            client.flush()
            frames = events_until(
                reader, lambda frames: any((frame.rows["kind"] == EventKind.SESSION_LOST).any() for frame in frames)
            )
            assert frames[-1].rows["order_id"][-1] == client.session_id
            client.submit(rejected_orders(2))
            client.flush()
            assert client.next_client_seq == 4
            assert client.stats.hellos == 2


class SetClock(SystemClock):
    """The machine's clock, set ahead."""

    ahead_ns = 0

    def now_ns(self):
        """Return the time of day as set."""
        return super().now_ns() + self.ahead_ns


def test_a_jump_of_the_clock_waits_for_an_operator(tmp_path):
    """Ingress stops at a jump, and goes on with everything that was submitted once it is confirmed."""
    clock = SetClock()
    with (
        running(tmp_path / "a", ports_with(clock=clock)) as engine,
        Client.connect(engine.settings.address, "one") as client,
    ):
        clock.ahead_ns = 3600 * 10**9
        client.submit(rejected_orders(5))
        wait_for(lambda: client.pump(0.01) or client.stats.busy, "a refusal")
        assert client.engine_stats()["clock_jumped_ns"] > 3_599 * 10**9
        client.confirm_clock()
        client.flush()
        assert client.durable_client_seq == 5


def test_snapshots_and_a_start_from_one(tmp_path):
    """Snapshots are written every so many commands; a start loads the newest and replays only what follows."""
    with running(tmp_path / "a", snapshot_commands=1_000, snapshot_at_stop=False) as engine:
        with Client.connect(engine.settings.address, "one") as client:
            for _ in range(5):
                client.submit(rejected_orders(900))
                client.flush()
            wait_for(lambda: engine.counters.snapshots >= 2, "the second snapshot")
            client.submit(rejected_orders(10))
            client.flush()
        last = engine.progress.durable_seq
    with running(tmp_path / "a", snapshot_at_stop=True) as engine:
        assert engine.counters.snapshot_seq > 0
        assert engine.progress.applied_seq == last
        assert any("replaying" in text for text in engine.reports)
    with running(tmp_path / "a") as engine:
        assert engine.counters.snapshot_seq == last
        assert engine.reports == []


def test_a_lost_event_store_is_made_again(tmp_path):
    """Without its event store the engine replays the journal and stores the same events again."""
    with running(tmp_path / "a") as engine, Client.connect(engine.settings.address, "one") as client:
        for size in (3, 300, 30):
            client.submit(rejected_orders(size))
        client.flush()
        with Client.connect(engine.settings.address, after=(0, 0)) as reader:
            frames = events_until(reader, lambda f: row_count(f) >= 335)
    for path in (tmp_path / "a" / "events").iterdir():
        path.unlink()
    with running(tmp_path / "a") as engine, Client.connect(engine.settings.address, after=(0, 0)) as reader:
        again = events_until(reader, lambda f: row_count(f) >= 335)
        assert b"".join(f.rows.tobytes() for f in again) == b"".join(f.rows.tobytes() for f in frames)


def test_a_broken_invariant_lets_nothing_out(tmp_path):
    """When the check after a batch fails, the engine stops and no event of that batch is published."""
    from kk99.machine import Machine

    class Broken(Machine):
        is_broken = False

        def check(self):
            if Broken.is_broken:
                raise InvariantError("money is gone")

    def load(*_):
        return Broken(), []

    with running(tmp_path / "a", ports_with(load_snapshot=load)) as engine:
        with Client.connect(engine.settings.address, "one", timeout_s=1.0) as client:
            client.poll_events(0)
            Broken.is_broken = True
            client.submit(rejected_orders(1))
            wait_for(lambda: engine.faults, "the fault")
            assert client.poll_events(0.1) is None
        ((stage, error),) = engine.faults
        assert stage == "core"
        assert isinstance(error, InvariantError)
        engine.faults.clear()
