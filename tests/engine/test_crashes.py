"""The engine dies at its worst moments: writing a snapshot, beginning a segment, on a disk that is full.

Where a moment is named, the engine kills itself with SIGKILL exactly there. After each death the journal at rest holds
all that was acknowledged, `kk99 replay verify` finds nothing wrong, and the next engine goes on with the same clients.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
import zmq

from gateways.client import Client
from journal.reader import Reader
from journal.segment import list_segments
from kk99 import batch, build, protocol, schema
from kk99.engine.daemon import EXIT_BROKEN
from kk99.paths import DataDir
from kk99.protocol import BusyReason, Hello, Kind, Message, Welcome
from replay.verify import verify
from snapshots import store
from tests.engine.harness import (
    DEADLINE_S,
    ROOT,
    EngineProcess,
    events_until,
    identities,
    rejected_orders,
    wait_for,
)

ENTRY = """
import os, signal, sys
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def die_at(owner, name, count=1):
    real, calls = getattr(owner, name), []
    def stand_in(*given, **named):
        calls.append(1)
        return die() if len(calls) == count else real(*given, **named)
    setattr(owner, name, stand_in)
{change}
from kk99.cli import main
main()
"""
IN_A_SNAPSHOT = {
    "in the middle of the file": """
import snapshots.store as store
real = os.pwrite
def half(descriptor, data, offset):
    real(descriptor, data[: len(data) // 2], offset)
    die()
store.os = type(sys)("os")
store.os.__dict__.update(os.__dict__, pwrite=half)
""",
    "before the file is synced": """
import snapshots.store as store
store.os = type(sys)("os")
store.os.__dict__.update(os.__dict__, fsync=die)
""",
    "before its name is synced": "import snapshots.store as store\nstore._sync_folder = die\n",
}
SMALL_SEGMENTS = """
import functools
import journal.storage as storage
import journal.writer as writer
from kk99.engine import daemon
def arm():
    die_at({owner}, {name!r}, {count})
real = writer.Writer.append
def append(*given):
    if arms:
        arms.pop()()
    return real(*given)
arms, writer.Writer.append = [arm], append
daemon.Writer = functools.partial(writer.Writer, segment_bytes=200_000)
"""
"""Segments of a few batches; armed when the engine is up, since it begins a segment at its start too."""
IN_A_ROLL = {
    moment: SMALL_SEGMENTS.format(owner=owner, name=name, count=count)
    for moment, (owner, name, count) in {
        "before the seal": ("writer", "seal", 1),
        "before the new segment is begun": ("writer.Writer", "_begin_segment", 1),
        "before the new segment has its name": ("storage.LmdbStorage", "close", 2),
        "before the new segment is opened": ("storage.LmdbStorage", "open", 2),
    }.items()
}
MIB = 1 << 20


class MortalEngine(EngineProcess):
    """An engine that dies on its own at a named moment."""

    change = ""

    def start(self):
        """Start it with the change made, and wait until it says that it is ready, or is dead: clients are quick."""
        options = ["engine", "--data", self.data_dir, "--run", self.run_dir, "--config", self.config, "--json-log"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", ENTRY.format(change=self.change), *map(str, options)],
                stdout=subprocess.PIPE, stderr=log, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        line = self.process.stdout.readline().decode()
        assert "ready" in line or self.process.wait(DEADLINE_S) == -signal.SIGKILL, self.log.read_text()

    def await_death(self, client):
        """Have a client send until the engine has killed itself; the last command it then knows to be durable."""
        deadline = time.monotonic() + DEADLINE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "the engine did not come to that moment"
            if client.rows_under_way < 2_000:
                client.submit(rejected_orders(50))
            client.pump(0.002)
        assert self.process.returncode == -signal.SIGKILL, self.log.read_text()
        self.process.stdout.close()
        client.pump(0.01)  # what was sent before the end
        return client.durable_client_seq


def journaled(data_dir, session_id):
    """The client sequences of a session in the journal, in order."""
    found = []
    with Reader(DataDir(data_dir).journal) as reader:
        for item in reader.batches():
            rows = batch.decode_commands(item.frame).rows
            mine = (rows["session_id"] == session_id) & (rows["kind"] != schema.CommandKind.SESSION_OPEN)
            found += rows["client_seq"][mine].tolist()
    return found


def check_good(data_dir):
    """The data at rest stands every check of `kk99 replay verify`."""
    data = DataDir(data_dir)
    with Reader(data.journal) as reader:
        assert verify(data, reader, events=True).problems == []


def check_verdict(data_dir):
    """`kk99 replay verify` itself says GOOD."""
    command = [sys.executable, "-m", "kk99.cli", "replay", "verify", "--events", "--data", str(data_dir)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "GOOD" in answer.stdout


def end_well(engine, client):
    """Have the engine take everything that is under way, stop it, and check all that it leaves."""
    client.submit(rejected_orders(1))
    client.flush()
    total = client.next_client_seq - 1
    assert engine.terminate() == 0
    assert journaled(engine.data_dir, client.session_id) == list(range(1, total + 1))
    check_verdict(engine.data_dir)


def survive(engine, changes, look):
    """Let an engine die at each of the moments in turn, the next one recovering from it; end with a sound one."""
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: engine.process.poll() is None and engine.kill())
        client = None
        for moment, change in changes.items():
            engine.change = change
            engine.start()
            if client is None:
                client = stack.enter_context(Client.connect(engine.run_dir, "one", timeout_s=DEADLINE_S))
            acknowledged = engine.await_death(client)
            present = journaled(engine.data_dir, client.session_id)
            assert present == list(range(1, len(present) + 1)), moment
            assert len(present) >= acknowledged > 0, moment
            check_good(engine.data_dir)
            look(moment)
        engine.change = ""
        engine.start()
        end_well(engine, client)


def test_deaths_while_a_snapshot_is_written(tmp_path):
    """A snapshot half written, not synced or not named for good is never taken for one, and nothing is lost."""
    data = DataDir(tmp_path / "a")

    def look(moment):
        assert "file" not in moment or list(data.snapshots.glob("*.partial"))
        for path in store.catalogue(data.snapshots):
            store.load(path)

    survive(MortalEngine(data.root, "snapshot_commands = 500\n"), IN_A_SNAPSHOT, look)
    assert not list(data.snapshots.glob("*.partial"))


def test_deaths_while_a_segment_is_begun(tmp_path):
    """From the old segment's last batch to the new one's first, no moment loses or doubles a command."""
    data = DataDir(tmp_path / "a")
    counts = []
    survive(MortalEngine(data.root), IN_A_ROLL, lambda _: counts.append(len(list_segments(data.journal))))
    assert counts == sorted(counts)
    assert counts[-1] > len(IN_A_ROLL)


class SmallDisk:
    """A disk of its own, in memory."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        # Skipped without root: only a mounted disk is full for the engine alone; `make test` as root runs it.
        if os.geteuid() != 0:
            pytest.skip("only root can mount a small disk")
        made = self._mount("-t", "tmpfs", "-o", "size=128m", "none")
        if made.returncode:
            pytest.skip(f"a small disk can't be mounted here: {made.stderr.strip()}")

    def grow(self):
        """Make it four times as large."""
        assert self._mount("-o", "remount,size=512m").returncode == 0

    def _mount(self, *options):
        return subprocess.run(["mount", *options, self.path], capture_output=True, text=True, check=False)

    @property
    def free_bytes(self):
        """What it can still take."""
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize

    def fill(self, left_bytes):
        """Lay a file on it that leaves so much free; the file."""
        filler = self.path / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free_bytes - left_bytes)
        return filler


@pytest.fixture
def disk(tmp_path):
    """A disk of 128 MiB."""
    small = SmallDisk(tmp_path / "disk")
    yield small
    subprocess.run(["umount", "--lazy", small.path], check=True)


def refusal(run_dir):
    """How the engine answers another session's first command."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger, socket.rcvtimeo = 0, int(DEADLINE_S * 1000)
        socket.connect(protocol.endpoint(str(run_dir), protocol.SUBMIT_SOCKET))
        socket.send_multipart(Hello("another").message(1).parts())
        welcome = Welcome.of(protocol.decode(socket.recv_multipart()))
        number = welcome.last_client_seq + 1
        rows = build.for_session(rejected_orders(1), welcome.session_id, welcome.epoch, number)
        socket.send_multipart(Message(Kind.SUBMIT, 1, payload=[rows.encode()]).parts())
        return protocol.decode(socket.recv_multipart())


def check_refused_and_read(engine, seen_seq):
    """Commands are refused for want of disk, and every kind of read is answered."""
    answer = refusal(engine.run_dir)
    assert (answer.kind, answer.a, answer.c) == (Kind.BUSY, 1, BusyReason.DISK)
    with Client.connect(engine.run_dir, after=(0, 0), timeout_s=DEADLINE_S) as reader:
        assert reader.engine_stats()["durable_seq"] >= seen_seq
        assert reader.image().seq >= seen_seq
        frames = events_until(reader, lambda frames: frames and frames[-1].last_seq >= seen_seq)
    assert identities(frames)[:seen_seq] == [(seq, 0) for seq in range(1, seen_seq + 1)]


def test_a_disk_nearly_full(tmp_path, disk):
    """Ingress is refused while there is room yet, reads go on, a SIGKILL then loses nothing, room lets it go on."""
    data = disk.path / "data"
    reserve = 80 * MIB
    engine = EngineProcess(tmp_path / "engine")
    engine.config.write_text(f"[engine]\ndisk_reserve_bytes = {reserve}\n")
    engine.data_dir = data
    with engine, Client.connect(engine.run_dir, "one", timeout_s=DEADLINE_S) as client:
        while not client.stats.busy:
            client.submit(rejected_orders(2_000))
            wait_for(lambda: client.pump(0.01) or not client.rows_under_way or client.stats.busy, "an answer")
        assert reserve // 2 < disk.free_bytes < reserve
        acknowledged = client.durable_client_seq
        check_refused_and_read(engine, acknowledged)
        engine.kill()
        assert len(journaled(data, client.session_id)) >= acknowledged > 0
        check_good(data)
        engine.start()
        check_refused_and_read(engine, acknowledged)
        disk.grow()
        end_well(engine, client)


def test_a_disk_that_is_full_in_the_middle_of_a_commit(tmp_path, disk):
    """Without a reserve the engine stops at the failed write; what it acknowledged is there, room or not."""
    engine = EngineProcess(tmp_path / "engine")
    engine.data_dir = data = disk.path / "data"
    with engine, Client.connect(engine.run_dir, "one", timeout_s=DEADLINE_S) as client:
        client.submit(rejected_orders(10))
        client.flush()
        filler = disk.fill(2 * MIB)
        deadline = time.monotonic() + DEADLINE_S
        while engine.process.poll() is None:
            assert time.monotonic() < deadline, "the disk did not fill up"
            if client.rows_under_way < 20_000:
                client.submit(rejected_orders(500))
            client.pump(0.01)
        assert engine.process.returncode == EXIT_BROKEN
        client.pump(0.01)
        acknowledged = client.durable_client_seq
        assert len(journaled(data, client.session_id)) >= acknowledged >= 10
        check_good(data)
        filler.unlink()
        engine.process.stdout.close()
        engine.start()
        end_well(engine, client)
