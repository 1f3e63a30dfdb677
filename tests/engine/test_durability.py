"""Nothing leaves the engine before the disk has it: a recording of its writes, its syncs and all that it sent shows it.

SIGKILL can't show a missing sync: what was written and not synced survives it. So the engine runs under a recorder
while clients use it. Everything that it sends to them tells of a sequence: an event of its cause, an answer of what it
calls durable. The batch of that sequence must have been written and synced, and the page of LMDB that makes it count
(the meta page) written durably, before the send began. Files as of the last sync must recover all that was told.
"""

import bisect
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest

from gateways.client import Client
from journal import format as record
from journal.reader import Reader
from kk99 import batch, build, protocol, schema
from kk99.errors import KK99Error
from kk99.machine import Machine
from kk99.paths import DataDir
from kk99.protocol import EVENTS_TOPIC, HEAD_SIZE, Kind, Welcome
from replay import run as replaying
from tests.engine.harness import DEADLINE_S, ROOT, EngineProcess, events_until, new_run_dir
from tests.journal import sync_recorder
from tests.replay import venue

BY = {"actor": "test", "reason": "durability"}
META_BYTES = 8192
SAMPLES = 10
ENTRY = "\nfrom kk99.cli import main\nmain()\n"
SLOPPY = {
    "no sync": """
import journal.storage as storage
real = storage.acquire
storage.acquire = lambda path, **options: real(path, **{**options, "sync": False})
""",
    "no sync of the meta page": """
import journal.storage as storage
real = storage.lmdb.open
storage.lmdb.open = lambda *path, **options: real(*path, **{**options, "metasync": False})
""",
    "told before it is written": """
import time
from concurrent.futures import ThreadPoolExecutor
from journal.writer import Writer
real, thread = Writer.append, ThreadPoolExecutor(1)
def late(writer, batches):
    time.sleep(0.05)
    real(writer, batches)
def append(writer, batches):
    held = [(first, count, [bytes(piece) for piece in pieces]) for first, count, pieces in batches]
    thread.submit(late, writer, held)
    return held[-1][0] + held[-1][1] - 1
Writer.append = append
""",
}
"""Engines whose journal is not what it should be, as code that changes it before the engine starts."""


@dataclass
class Told:
    """Something the engine sent: the call at which it began to leave, what it was, the last sequence it tells of."""

    begin: int
    what: str
    seq: float
    session: tuple[int, int] = (0, 0)
    """For an acknowledgment: (session, last client sequence)."""


@dataclass
class Run:
    """A recorded engine: its data, what clients sent (by session: commands in order), what they know is durable."""

    data: DataDir
    recording: sync_recorder.Recording | None = None
    sent: dict[int, list[tuple[bytes, ...]]] = field(default_factory=dict)
    acknowledged: dict[int, int] = field(default_factory=dict)

    def submit(self, client, commands):
        """Send commands and note them."""
        self.sent.setdefault(client.session_id, []).extend(essence(commands))
        client.submit(commands)

    def note(self, *clients):
        """Note what the clients know to be durable."""
        self.acknowledged |= {client.session_id: client.durable_client_seq for client in clients}


def essence(commands):
    """Each command as bytes: its row without what the engine gives it, its cold row, its document."""
    rows = commands.rows.copy()
    is_document = rows["kind"] >= schema.FIRST_DOCUMENT_KIND
    places = list(zip(rows["document_offset"].tolist(), rows["document_size"].tolist(), strict=True))
    for name in ("seq", "time_ns", "session_id", "session_epoch", "client_seq"):
        rows[name] = 0
    rows["document_offset"][is_document] = 0
    cold = iter(commands.cold)
    found = []
    for row, has_document, (offset, size) in zip(rows, is_document, places, strict=True):
        cold_row = next(cold).tobytes() if row["flags"] & schema.Flag.HAS_COLD else b""
        found.append((row.tobytes(), cold_row, bytes(commands.tail[offset : offset + size]) if has_document else b""))
    return found


# What the engine said ----------------------------------------------------------------------------------------------


def messages(outputs):
    """(begin, parts) of every whole ZeroMQ message in what was written to one connection."""
    stream = b"".join(output.data for output in outputs)
    starts = np.cumsum([0, *(len(output.data) for output in outputs)]).tolist()
    assert stream[0] == 0xFF
    assert stream[9] == 0x7F
    at, begin, parts = 64, None, []
    while at + 9 <= len(stream):
        flags, is_long = stream[at], stream[at] & 2
        size = int.from_bytes(stream[at + 1 : at + 9], "big") if is_long else stream[at + 1]
        head = 9 if is_long else 2
        if at + head + size > len(stream):
            return
        if not flags & 4:  # else a command of the transport's own
            begin = outputs[bisect.bisect_right(starts, at) - 1].begin if begin is None else begin
            parts.append(stream[at + head : at + head + size])
            if not flags & 1:
                yield begin, parts
                begin, parts = None, []
        at += head + size


def told(run):
    """Everything that the engine told its clients, as `Told`, in the order in which it left."""
    places = journal_places(run.data.journal)
    connections = {}
    for output in run.recording.outputs:
        if output.to.startswith("socket:"):
            connections.setdefault(output.to, []).append(output)
    found = []
    for outputs in connections.values():
        session_id = 0
        for begin, parts in messages(outputs):
            if parts[0] == EVENTS_TOPIC:
                found.append(Told(begin, "published", last_seq(parts[1])))
                continue
            assert len(parts[0]) == HEAD_SIZE
            message = protocol.decode(parts)
            if message.kind == Kind.WELCOME:
                session_id = Welcome.of(message).session_id
            found += [Told(begin, *what) for what in said(message, session_id, places)]
    return sorted(found, key=lambda one: one.begin)


def said(message, session_id, places):
    """(what, sequence, session) of one answer of the engine; a number that the journal lacks is beyond any sync."""
    name, a = message.kind.name, message.a
    if message.kind in {Kind.ACK, Kind.PONG}:
        yield name, places.get((session_id, a), math.inf) if a else 0, (session_id, a)
        yield name, message.b if message.kind == Kind.ACK else 0
    elif message.kind == Kind.WELCOME:
        welcome = Welcome.of(message)
        yield name, max(welcome.durable_seq, welcome.last_event[0])
        if session_id:
            yield name, places.get((session_id, welcome.last_client_seq), math.inf)
    elif message.kind in {Kind.EVENTS, Kind.IMAGE}:
        yield name, max([a, *map(last_seq, message.payload)])
    elif message.kind == Kind.STATS:
        stats = message.document()
        yield name, max(stats["durable_seq"], stats["stored_seq"], stats["published"][0])
    else:
        assert message.kind == Kind.BUSY, name


def last_seq(frame):
    """The last sequence that a frame of events tells of."""
    events = batch.decode_events(frame)
    return max(events.last_seq, int(events.rows["cause_seq"].max()))


def journal_places(path):
    """(session, client sequence) -> sequence; client sequence 0 is the opening of the session's epoch."""
    places = {}
    with Reader(path) as reader:
        for item in reader.batches():
            for row in batch.decode_commands(item.frame).rows[["session_id", "client_seq", "seq"]].tolist():
                places.setdefault(row[:2], row[2])
    return places


# What the disk had -------------------------------------------------------------------------------------------------


def durable_steps(recording):
    """(when, sequence): from then on all up to there was on the disk, in the order of time.

    A batch is when its whole record was written, then a sync of that file began and ended, then a meta page of the
    file was written through a descriptor that waits for the disk.
    """
    steps = [(-1, 0)]
    written, synced = {}, {}
    for call in sorted(recording.calls, key=lambda call: call.end):
        if call.name == "write" and call.durable and call.offset < META_BYTES:
            ready = [seq for when, seq in synced.get(call.file, ()) if when < call.begin]
            if ready and max(ready) > steps[-1][1]:
                steps.append((call.end, max(ready)))
        elif call.name == "write":
            written.setdefault(call.file, []).extend((call.end, seq) for seq in records_in(call.data))
        elif call.name == "sync":
            done = [seq for when, seq in written.get(call.file, ()) if when < call.begin]
            synced.setdefault(call.file, []).extend((call.end, seq) for seq in done)
            written[call.file] = [item for item in written.get(call.file, ()) if item[0] >= call.begin]
    return steps


def records_in(data):
    """The last sequence of each whole batch record in a write."""
    at = data.find(record.MAGIC)
    while at >= 0:
        if len(data) - at >= record.HEADER_SIZE:
            size = int(np.frombuffer(data, record.HEADER, 1, at)["payload_size"][0])
            value = data[at : at + record.HEADER_SIZE + max(size, 0)]
            try:
                header = record.parse_header(value)
                record.verify_record(header, value, full=True)
            except record.RecordError:  # what an older page left behind
                header = None
            if header is not None and header.kind == record.BATCH:
                yield header.last_seq
        at = data.find(record.MAGIC, at + 1)


def told_too_early(run):
    """What left before the disk had it: (told, the last sequence that the disk had)."""
    steps = durable_steps(run.recording)
    moments = [when for when, _ in steps]
    had = [(one, steps[bisect.bisect_left(moments, one.begin) - 1][1]) for one in told(run)]
    return [(one, seq) for one, seq in had if one.seq > seq]


def recover(path):
    """The state that a journal comes to: last sequence, state hash, commands by session."""
    machine, commands = Machine(), {}
    with Reader(path) as reader:
        for item in reader.batches():
            decoded = batch.decode_commands(item.frame)
            machine.apply_all(decoded)
            sessions = decoded.rows["session_id"].tolist()
            kinds = decoded.rows["kind"].tolist()
            for session_id, kind, one in zip(sessions, kinds, essence(decoded), strict=True):
                if session_id and kind != schema.CommandKind.SESSION_OPEN:
                    commands.setdefault(session_id, []).append(one)
    return machine.seq, machine.state_hash(), commands


# The recorded engine -----------------------------------------------------------------------------------------------


def recorded(folder, drive, change=None):
    """Run an engine (with `change` made to it first) under the recorder, use it, kill it; a `Run`."""
    run = Run(DataDir(folder / "data"))
    address = new_run_dir()
    run.data.root.mkdir()
    config = folder / "engine.toml"
    config.write_text("[engine]\ndisk_reserve_bytes = 0\nsnapshot_commands = 2000\n")
    program = ["-m", "kk99.cli"] if change is None else ["-c", change + ENTRY]
    options = ["engine", "--data", run.data.root, "--run", address, "--config", config, "--json-log"]

    def use(child):
        line = child.stdout.readline().decode()
        assert "ready" in line, (folder / "log").read_text()
        try:
            drive(run, address)
        finally:
            os.kill(int((run.data.journal / "lock").read_text()), signal.SIGKILL)

    try:
        with (folder / "log").open("wb") as log:
            run.recording = sync_recorder.record(
                [sys.executable, *program, *map(str, options)], run.data.root, folder / "trace",
                drive=use, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=log,
            )  # fmt: skip
    except sync_recorder.UnavailableError as reason:
        pytest.skip(str(reason))
    return run


def use_in_every_way(run, address):
    """Documents, single commands, bursts, several sessions at once; followers, late readers, images, counters."""
    own = {schema.CommandKind.SESSION_DEFINE, schema.CommandKind.SESSION_OPEN, schema.CommandKind.CLOCK}
    documents = [build.batch_of([item]) for item in venue.setup()]
    with (
        Client.connect(address, "operator", timeout_s=DEADLINE_S) as operator,
        Client.connect(address, "one", timeout_s=DEADLINE_S) as one,
        Client.connect(address, "two", timeout_s=DEADLINE_S) as two,
        Client.connect(address, after=(0, 0), timeout_s=DEADLINE_S) as follower,
    ):
        clients = operator, one, two
        follower.poll_events(0)
        for commands in documents:
            if commands.rows["kind"][0] not in own:
                run.submit(operator, commands)
                operator.flush()
        orders = [build.batch_of([item]) for item in venue.flow(600)]
        for commands in orders[:60]:
            run.submit(one, commands)
            one.flush()
            follower.poll_events(0)
        burst = build.batch_of(venue.flow(1000, seed=2))
        for _ in range(4):
            run.submit(two, burst)
        for number, commands in enumerate(orders[60:]):
            run.submit((one, two)[number % 2], commands)
            if number % 20 == 0:
                run.submit(operator, build.account(f"account {number}", "someone", **BY))
                follower.image()
            follower.poll_events(0)
        for client in clients:
            client.flush()
        run.note(*clients)
        last = follower.engine_stats()["durable_seq"]
        events_until(follower, lambda frames: follower.stats.events and last_of(frames) >= last)
        with Client.connect(address, after=(0, 0), timeout_s=DEADLINE_S) as late:
            events_until(late, lambda frames: last_of(frames) >= last)


def last_of(frames):
    """The last sequence in frames of events."""
    return frames[-1].last_seq if frames else 0


def use_a_little(run, address):
    """Twenty lone commands of one session, and someone who follows."""
    with (
        Client.connect(address, "one", timeout_s=DEADLINE_S) as one,
        Client.connect(address, after=(0, 0), timeout_s=DEADLINE_S) as follower,
    ):
        events_until(follower, len)
        for number in range(20):
            run.submit(one, build.batch_of([build.account(f"account {number}", "someone", **BY)]))
            one.flush()
            events_until(follower, lambda frames: frames)
        run.note(one)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The engine as it is, used in every way, recorded."""
    return recorded(tmp_path_factory.mktemp("recorded"), use_in_every_way)


pytestmark = pytest.mark.xdist_group("recorded engine")


def test_the_recording_shows_what_it_should(run):
    """Batches, their syncs and meta pages are seen, and outputs of every kind: events, answers, catch-up, images."""
    steps = durable_steps(run.recording)
    assert len(steps) > 100
    assert steps[-1][1] == max(journal_places(run.data.journal).values())
    whole = told(run)
    kinds = {one.what for one in whole}
    assert kinds >= {"published", "ACK", "WELCOME", "EVENTS", "IMAGE", "STATS"}
    assert max(one.seq for one in whole if one.what == "published") == steps[-1][1]
    assert len({one.session[0] for one in whole if one.what == "ACK"} - {0}) == 3
    assert any(run.data.snapshots.iterdir())


def test_nothing_left_before_its_batch_was_synced(run):
    """For each event frame and each answer on a socket, a sync that covers it had ended before the send began."""
    assert told_too_early(run) == []


def test_what_was_synced_at_an_acknowledgment_recovers_it(run, tmp_path):
    """As of a sampled acknowledgment, synced bytes alone recover every acknowledged command, in the replay's state."""
    acks = [one for one in told(run) if one.what == "ACK" and one.session[1]]
    sample = [acks[at] for at in sorted({*np.linspace(0, len(acks) - 1, SAMPLES).astype(int).tolist()})]
    recovered = []
    for number, one in enumerate(sample):
        target = tmp_path / str(number)
        run.recording.image(target, one.begin)
        seq, state_hash, commands = recover(DataDir(target).journal)
        assert seq >= one.seq
        session_id, client_seq = one.session
        assert commands[session_id][:client_seq] == run.sent[session_id][:client_seq]
        for other in acks[: acks.index(one)]:
            assert len(commands[other.session[0]]) >= other.session[1]
        recovered.append((seq, state_hash))
    machine, hashes = Machine(), {}
    with Reader(run.data.journal) as reader:
        stops = [seq for seq, _ in recovered]
        for step in replaying.drive(machine, replaying.pieces(reader.batches()), stops=stops):
            if step.stopped:
                hashes[machine.seq] = machine.state_hash()
    assert [hashes[seq] for seq in stops] == [state_hash for _, state_hash in recovered]


def test_an_engine_starts_from_what_was_synced_last(run, tmp_path):
    """Without any write after the last sync the engine has all that was acknowledged, and the log verifies."""
    image = tmp_path / "image"
    run.recording.image(image)
    with EngineProcess(image) as engine:
        for session_id, name in enumerate(("operator", "one", "two"), 1):
            with Client.connect(engine.run_dir, name, timeout_s=DEADLINE_S) as client:
                assert client.session_id == session_id
                assert client.next_client_seq > run.acknowledged[session_id] == len(run.sent[session_id])
        assert engine.terminate() == 0
    _, _, commands = recover(DataDir(image).journal)
    assert commands == run.sent
    command = [sys.executable, "-m", "kk99.cli", "replay", "verify", "--events", "--json", "--data", str(image)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert json.loads(answer.stdout)["good"], answer.stdout + answer.stderr


@pytest.mark.parametrize("fault", SLOPPY)
def test_an_engine_that_does_not_wait_for_the_disk_would_be_caught(tmp_path, fault):
    """The same checks fail for an engine that tells before the journal, its data or its meta page, is synced."""
    run = recorded(tmp_path, use_a_little, SLOPPY[fault])
    early = told_too_early(run)
    assert {"published", "ACK"} <= {one.what for one, _ in early}
    ack = [one for one, _ in early if one.what == "ACK" and one.session[1]][-1]
    run.recording.image(tmp_path / "image", ack.begin)
    try:
        seq, _, commands = recover(DataDir(tmp_path / "image").journal)
    except (KK99Error, OSError):  # not even a journal
        seq, commands = 0, {}
    assert seq < ack.seq
    assert len(commands.get(ack.session[0], ())) < ack.session[1]
