"""`kk99 bench journal`: commits beside bare LMDB commits of the same size, verified reads, and the event store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from journal import format as record
from journal.event_store import EventStore
from journal.reader import Reader
from journal.writer import Writer
from kk99 import batch, schema
from kk99.bench import flows, logs, venue
from kk99.bench.results import Result

if TYPE_CHECKING:
    from pathlib import Path

    from kk99.batch import Rows
    from kk99.bench.options import Options

BENCH: Final = "journal"
COMMIT_ROWS: Final = (1, 256, 4096)
READ_ROWS: Final = (64, 4096)
_READ_BYTES: Final = 4 << 20
_STORED_FRAMES: Final = 16


def run(options: Options) -> list[Result]:
    """Return every figure of the bench."""
    scenario = venue.scenario(flows.mix(options, 1_000_000))
    rows = scenario.rows.copy()
    rows["seq"] -= int(rows["seq"][0]) - 1
    found: list[Result] = []
    with options.folder() as folder:
        for size in COMMIT_ROWS:
            options.say(f"commits of {size:,} commands")
            found += commits(folder / f"commit-{size}", rows, size, options.pick(300, 5))
        for size in READ_ROWS:
            options.say(f"reading batches of {size:,} commands")
            found += reads(folder / f"read-{size}", rows, size)
        options.say("event store")
        frames = _event_frames(scenario)
        found += events(folder / "events", frames)
    return found


def commits(folder: Path, rows: Rows, size: int, count: int) -> list[Result]:
    """Time commits of one batch each, in turns with bare commits of as many bytes."""
    count = max(2, min(count, len(rows) // size))
    value_bytes = record.HEADER_SIZE + batch.HEADER_SIZE + size * schema.ROW_SIZE
    ours, bare = [], []
    with (
        logs.BareCommits(folder.with_name(f"{folder.name}-bare"), value_bytes) as other,
        Writer(folder, logs.VENUE_ID) as writer,
    ):
        for one in logs.batches_of(rows[: count * size], size):
            bare.append(other.commit_ns())
            began = time.perf_counter_ns()
            writer.append([one])
            ours.append(time.perf_counter_ns() - began)
    ours, bare = ours[count // 10 :], bare[count // 10 :]  # the first ones make the files
    rates = [size * len(ns) * 1e9 / sum(ns) for ns in (ours, bare)]
    name = f"commit_{size}"
    return [
        Result(BENCH, f"{name}.commands_per_s", rates[0], "1/s", rates[1]),
        Result(BENCH, f"{name}.p50_us", logs.percentile_us(ours, 50), "us", logs.percentile_us(bare, 50)),
        Result(BENCH, f"{name}.p99_us", logs.percentile_us(ours, 99), "us", logs.percentile_us(bare, 99)),
    ]


def reads(folder: Path, rows: Rows, size: int) -> list[Result]:
    """Time reading batches with chain and checksums verified, not applied."""
    logs.write(folder, logs.batches_of(rows, size))
    with Reader(folder) as reader:
        began = time.perf_counter()
        count = sum(one.count for one in reader.batches())
        seconds = time.perf_counter() - began
    return [Result(BENCH, f"read_{size}.commands_per_s", count / seconds, "1/s")]


def events(folder: Path, frames: list[bytes]) -> list[Result]:
    """Time the event store: appending as the engine does, the sync after it, and reading all."""
    count = sum(len(batch.decode_events(frame).rows) for frame in frames)
    with EventStore(folder) as store:
        began = time.perf_counter()
        for start in range(0, len(frames), _STORED_FRAMES):
            store.append(frames[start : start + _STORED_FRAMES])
        appended = time.perf_counter()
        store.sync()
        synced = time.perf_counter()
        after, seen = (0, 0), 0
        while some := store.read(after, _READ_BYTES):
            seen += sum(len(batch.decode_events(frame).rows) for frame in some)
            last = batch.decode_events(some[-1]).rows[-1]
            after = (int(last["cause_seq"]), int(last["index"]))
        read = time.perf_counter()
    assert seen == count, f"{seen} events read where {count} were stored"
    return [
        Result(BENCH, "events.append.events_per_s", count / (appended - began), "1/s"),
        Result(BENCH, "events.append_and_sync.events_per_s", count / (synced - began), "1/s"),
        Result(BENCH, "events.read.events_per_s", count / (read - synced), "1/s"),
    ]


def _event_frames(scenario: venue.Scenario) -> list[bytes]:
    """Return the timed commands' events as frames, a chain from nothing."""
    machine, frames = scenario.machine(), []
    previous = (0, 0)
    for rows in venue.applied(machine, venue.plain(scenario.timed)):
        frames.append(batch.Events(rows, b"", previous, machine.seq).encode())
        previous = (int(rows[-1]["cause_seq"]), int(rows[-1]["index"]))
    return frames
