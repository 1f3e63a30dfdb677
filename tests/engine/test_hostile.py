"""No message of a client ends the engine: every kind, extreme integers, random payloads; nor damage in its store."""

import itertools
import random

import msgpack
import numpy as np
import pytest

from gateways.client import Client
from journal import pages
from journal.event_store import REBUILD_FILE
from kk99 import batch, protocol, schema
from kk99.errors import ClientError
from kk99.paths import DataDir
from kk99.protocol import ErrorCode, Hello, Kind, Message
from tests.engine.harness import events_until, rejected_orders, row_count, running
from tests.engine.test_engine import answer, is_served, raw_connection

INT64_MAX = (1 << 63) - 1
EXTREMES = (0, 1, -1, (1 << 32) - 1, 1 << 32, 1 << 40, INT64_MAX, -INT64_MAX - 1)


def nested(depth):
    """A list in a list in a list."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


def payloads(rng):
    """What may stand where a payload belongs: nothing, noise, maps of wrong things, frames of random words."""
    rows = np.frombuffer(rng.randbytes(3 * schema.ROW_SIZE), schema.COMMAND).copy()
    rows["session_id"], rows["session_epoch"], rows["client_seq"] = 1, 1, range(1, 4)
    rows["flags"] &= ~np.uint8(schema.Flag.HAS_COLD)
    frame = bytearray(rejected_orders(3).encode())
    frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
    return [
        [], [b""], [rng.randbytes(rng.randrange(200))], [b"", b"", b""],
        [msgpack.packb({"name": "x" * rng.randrange(40), "new_epoch": rng.choice([True, False, None, 1])})],
        [msgpack.packb({"name": "fuzz", "new_epoch": True, "fingerprint": schema.FINGERPRINT})],
        [msgpack.packb({"fingerprint": rng.choice([nested(400), "f" * 8_000, -1, {}, msgpack.Timestamp(1)])})],
        [bytes(frame)], [batch.commands(rows).encode()],
    ]  # fmt: skip


@pytest.mark.parametrize("name", [protocol.SUBMIT_SOCKET, protocol.QUERY_SOCKET])
def test_no_message_ends_the_engine(tmp_path, name):
    """Every kind with extreme integers and random payloads, bound to a session or not; then all are served as ever."""
    rng = random.Random(99)
    with running(tmp_path / "a") as engine, raw_connection(engine, name) as connection:
        with Client.connect(engine.settings.address, "one") as client:
            client.submit(rejected_orders(5))
            client.flush()
        for kind, a, b in itertools.product(Kind, EXTREMES, EXTREMES):
            if name == protocol.SUBMIT_SOCKET and rng.random() < 0.3:
                connection.send_multipart(Hello("fuzz").message(a).parts())
            message = Message(kind, a, b, rng.choice(EXTREMES), rng.choice(payloads(rng)))
            connection.send_multipart(message.parts())
            while connection.poll(0):
                connection.recv_multipart()
        for _ in range(300):
            parts = [rng.randbytes(rng.choice([0, 1, protocol.HEAD_SIZE])), *rng.choice(payloads(rng))]
            connection.send_multipart(parts)
        assert is_served(engine)
        with Client.connect(engine.settings.address) as reader:
            assert reader.image().seq > 0
            assert reader.engine_stats()["durable_seq"] > 0
        assert not engine.faults


@pytest.mark.parametrize("after", [(-1, 0), (0, -2), (0, 1 << 32), (1, 1 << 40), (-1, -1), (INT64_MAX, INT64_MAX)])
def test_a_read_after_what_no_event_can_be(tmp_path, after):
    """It is refused as invalid; the edges of what can be are answered."""
    with running(tmp_path / "a") as engine, raw_connection(engine, protocol.QUERY_SOCKET) as connection:
        connection.send_multipart(Message(Kind.READ, 0, -1, 1).parts())
        assert answer(connection).kind == Kind.EVENTS
        with Client.connect(engine.settings.address, "one") as client:
            client.submit(rejected_orders(5))
            client.flush()
        connection.send_multipart(Message(Kind.READ, *after, 1).parts())
        reply = answer(connection)
        assert (reply.kind, reply.a) == (Kind.ERROR, ErrorCode.MESSAGE_INVALID)
        for good in ((0, -1), (0, (1 << 32) - 1), (1, -1), (INT64_MAX, (1 << 32) - 1)):
            connection.send_multipart(Message(Kind.READ, *good, INT64_MAX).parts())
            assert answer(connection).kind == Kind.EVENTS


def damage(data_dir, frame):
    """Flip a bit in a stored frame."""
    file = DataDir(data_dir).events / pages.DATA_FILE
    data = bytearray(file.read_bytes())
    at = data.find(frame)
    assert at > 0
    data[at + len(frame) - 5] ^= 1
    file.write_bytes(data)


def is_told_to_take_an_image(engine):
    """Whether a follower from the beginning is refused with that advice."""
    with Client.connect(engine.settings.address, after=(0, 0)) as reader, pytest.raises(ClientError, match="image"):
        events_until(reader, lambda frames: row_count(frames) > 1_000_000)
    return True


def test_a_damaged_stored_frame(tmp_path):
    """A reader is told to take an image, the engine goes on, and its next start makes the store anew and says so."""
    with running(tmp_path / "a") as engine, Client.connect(engine.settings.address, "one") as client:
        for _ in range(40):
            client.submit(rejected_orders(100))
            client.flush()
        frame = engine._recovered.store.read((50, 0))[0]
    damage(tmp_path / "a", frame)
    with running(tmp_path / "a") as engine:
        assert is_told_to_take_an_image(engine)
        assert is_served(engine)
        assert (DataDir(tmp_path / "a").events / REBUILD_FILE).exists()
    with running(tmp_path / "a") as engine:
        assert any("discarded" in report for report in engine.reports)
        last = engine.progress.durable_seq
        assert is_told_to_take_an_image(engine)
        assert is_served(engine)
        with Client.connect(engine.settings.address, after=(last, 0)) as reader:
            assert reader.image().seq > last
            assert row_count(events_until(reader, lambda frames: row_count(frames) >= 3)) >= 3
    with running(tmp_path / "a") as engine:
        assert not any("discarded" in report for report in engine.reports)
        assert is_served(engine)


def test_a_small_event_store_keeps_the_newest(tmp_path):
    """Beyond `event_store_bytes` the oldest events go; who is further behind is told to take an image."""
    for _ in range(2):
        with running(tmp_path / "a", event_store_bytes=1 << 20) as engine:
            with Client.connect(engine.settings.address, "one") as client:
                for _ in range(10):
                    client.submit(rejected_orders(2_000))
                    client.flush()
            assert is_told_to_take_an_image(engine)
            assert is_served(engine)
