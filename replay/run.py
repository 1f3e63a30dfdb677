"""The driver of every replay: journal batches, read ahead by one thread, applied to a machine.

Invariants, each a test:
- small batches are applied together, up to `PIECE_ROWS` commands at a time, which changes nothing in the result;
- nothing is applied that is not the next command: a gap or a step back in time stops with the exact seq;
- no command is looked at in Python one at a time.

::

    reader thread: journal ─ verify ─ glue small frames ─▶ pieces ─▶ this thread: machine.apply ─▶ steps
"""

from __future__ import annotations

import struct
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kk99 import batch, schema
from kk99.errors import CorruptionError, InputError, JournalError, SnapshotError
from kk99.machine import Machine
from snapshots import store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from journal.format import JournalBatch
    from journal.reader import Reader
    from kk99.paths import DataDir
    from snapshots.format import Meta

PIECE_ROWS: Final = schema.BATCH_ROWS_MAX
GLUE_BELOW_ROWS: Final = 1024
READ_AHEAD_PIECES: Final = 4

_HEAD: Final = struct.Struct("<IHHqIIII")
"""The first fields of `batch.HEADER`, up to `flags`: this runs once for each small batch, where numpy is slow."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Successive commands, and where the journal's batches end in them: (last seq, hash of the batch)."""

    commands: batch.Commands
    ends: tuple[tuple[int, bytes], ...]

    @property
    def first_seq(self) -> int:
        """The sequence of the first command."""
        return int(self.commands.rows["seq"][0])

    @property
    def last_seq(self) -> int:
        """The sequence of the last command."""
        return int(self.commands.rows["seq"][-1])


@dataclass(frozen=True, slots=True)
class Step:
    """What one call of the core did: `commands` were taken, `events` came out (valid until the next step).

    `stopped` says that `commands` ends at one of the sequences at which the caller wanted to look at the machine.
    """

    commands: batch.Rows
    events: batch.Events
    stopped: bool


class _Glue:
    """Frames of small batches, put together until they are a piece."""

    def __init__(self) -> None:
        self.rows: list[memoryview] = []
        self.cold: list[memoryview] = []
        self.ends: list[tuple[int, bytes]] = []
        self.row_count = 0

    def add(self, frame: memoryview, row_count: int, end: tuple[int, bytes]) -> None:
        """Put a frame without a tail to those held."""
        rows_end = batch.HEADER_SIZE + row_count * schema.ROW_SIZE
        self.rows.append(frame[batch.HEADER_SIZE : rows_end])
        if len(frame) > rows_end:
            self.cold.append(frame[rows_end:])
        self.row_count += row_count
        self.ends.append(end)

    def take(self) -> Piece:
        """Return all of them as one piece."""
        cold = b"".join(self.cold)
        head = _HEAD.pack(
            batch.MAGIC, batch.COMMANDS, 0, schema.FINGERPRINT, self.row_count, len(cold) // schema.ROW_SIZE, 0, 0
        )
        frame = b"".join([head.ljust(batch.HEADER_SIZE, b"\0"), *self.rows, cold])
        return Piece(_decode(frame, self.ends[0][0]), tuple(self.ends))


def pieces(batches: Iterable[JournalBatch]) -> Iterator[Piece]:
    """Yield the journal's batches as pieces; raise CorruptionError for what is no frame of this schema.

    A batch with documents goes alone, since they point into its own tail, and a large one is better not copied.
    """
    glue = _Glue()
    try:
        for one in batches:
            frame, first_seq, row_count = one.frame, one.first_seq, one.count
            tail_size = _tail_size(frame, first_seq, row_count)
            alone = tail_size > 0 or row_count >= GLUE_BELOW_ROWS
            if glue.row_count and (alone or glue.row_count + row_count > PIECE_ROWS):
                yield glue.take()
                glue = _Glue()
            end = (first_seq + row_count - 1, one.hash)
            if alone:
                yield Piece(_decode(frame, first_seq), (end,))
            else:
                glue.add(frame, row_count, end)
    except JournalError:  # what is good before the damage is still to be applied
        if glue.row_count:
            yield glue.take()
        raise
    if glue.row_count:
        yield glue.take()


def _tail_size(frame: memoryview, first_seq: int, count: int) -> int:
    """Return the bytes of a frame's tail, having checked that it holds so many commands and is as long as it says."""
    if len(frame) < batch.HEADER_SIZE:
        raise CorruptionError(first_seq, f"{len(frame)} bytes are too few for a frame")
    magic, content, _, fingerprint, row_count, cold_count, tail_size, _ = _HEAD.unpack_from(frame)
    if (magic, content, row_count) != (batch.MAGIC, batch.COMMANDS, count):
        raise CorruptionError(first_seq, f"not a frame of {count} commands")
    if fingerprint != schema.FINGERPRINT:
        raise CorruptionError(first_seq, f"schema {fingerprint:016x}, not {schema.FINGERPRINT:016x}")
    size = batch.HEADER_SIZE + (row_count + cold_count) * schema.ROW_SIZE + tail_size
    if len(frame) != size:
        raise CorruptionError(first_seq, f"a frame of {len(frame)} bytes whose header promises {size}")
    return int(tail_size)


def _decode(frame: bytes | memoryview, first_seq: int) -> batch.Commands:
    try:
        return batch.decode_commands(frame)
    except batch.FrameError as error:
        raise CorruptionError(first_seq, str(error)) from error


def ahead(source: Iterator[Piece]) -> Iterator[Piece]:
    """Yield from a source that a thread runs `READ_AHEAD_PIECES` ahead; its errors come through in order."""
    end = object()
    with ThreadPoolExecutor(1, "replay-read") as thread:
        coming: deque[Future[Any]] = deque(thread.submit(next, source, end) for _ in range(READ_AHEAD_PIECES))
        try:
            while (piece := coming.popleft().result()) is not end:
                coming.append(thread.submit(next, source, end))
                yield piece
        finally:
            for future in coming:
                future.cancel()


def drive(
    machine: Machine,
    source: Iterable[Piece],
    *,
    to_seq: int | None = None,
    to_time_ns: int | None = None,
    stops: Iterable[int] = (),
) -> Iterator[Step]:
    """Apply the pieces to the machine, up to a sequence or a time (both included), and yield what each call did.

    Commands at or below `machine.seq` are passed over. `stops` are sequences at which a step shall end. Raises
    CorruptionError when the log has a gap or goes back in time.
    """
    waiting = deque(sorted({seq for seq in stops if seq > machine.seq}))
    for piece in source:
        rows = _next_rows(machine, piece)
        if to_seq is not None and len(rows) and to_seq < piece.last_seq:
            rows = rows[: max(0, to_seq - int(rows["seq"][0]) + 1)]
        if to_time_ns is not None:
            rows = rows[: int(np.searchsorted(rows["time_ns"], to_time_ns, side="right"))]
        while len(rows):
            count = len(rows)
            if waiting:
                count = min(count, waiting[0] - machine.seq)
            commands = batch.Commands(rows[:count], piece.commands.cold, piece.commands.tail)
            start = 0
            while start < count:
                applied = machine.apply(commands, start)
                done = applied.next == count
                stopped = done and bool(waiting) and machine.seq == waiting[0]
                if stopped:
                    waiting.popleft()
                yield Step(commands.rows[start : applied.next], applied.events, stopped)
                start = applied.next
            rows = rows[count:]
        if machine.seq < piece.last_seq:
            return


def _next_rows(machine: Machine, piece: Piece) -> batch.Rows:
    """Return the piece's commands after the machine's last one, having checked that each follows the one before."""
    rows = piece.commands.rows
    seqs, times = rows["seq"], rows["time_ns"]
    first = int(seqs[0])
    wrong = np.flatnonzero(seqs != np.arange(first, first + len(rows)))
    if len(wrong) or first > machine.seq + 1:
        found = int(seqs[wrong[0]]) if len(wrong) else first
        wanted = first + int(wrong[0]) if len(wrong) else machine.seq + 1
        raise CorruptionError(wanted, f"a gap: seq {found} follows")
    rows = rows[max(0, machine.seq + 1 - first) :]
    times = rows["time_ns"]
    back = np.flatnonzero(np.diff(times, prepend=machine.time_ns) < 0)
    if len(back):
        raise CorruptionError(int(rows["seq"][back[0]]), "time goes back")
    return rows


def venue_of(reader: Reader) -> bytes:
    """Return the venue's id, 16 bytes; CorruptionError if the log's first batch is damaged."""
    one = next(reader.batches(1, 1), None)
    return reader.head().venue_id if one is None else one.header.venue_id


def start(data: DataDir, reader: Reader, from_snapshot: str | None, at_most_seq: int | None = None) -> Machine:
    """Return the machine to begin with: empty, or of a snapshot.

    `from_snapshot` is None, "newest" (the newest good one at most at `at_most_seq`) or a path. Raises
    SnapshotError when the snapshot can't be used, InputError when there is none.
    """
    if from_snapshot is None:
        return Machine()
    if from_snapshot != "newest":
        return machine_of(store.load(Path(from_snapshot), venue_of(reader)))
    found, skipped = store.newest_good(data.snapshots, venue_of(reader), at_most_seq=at_most_seq)
    if found is None:
        reasons = "; ".join(skip.reason for skip in skipped)
        raise InputError(f"{data.snapshots}: no snapshot can be used{': ' if reasons else ''}{reasons}")
    return machine_of((found.meta, found.sections))


def nearest(data: DataDir, reader: Reader, at_most_seq: int) -> Machine:
    """Return the machine of the newest good snapshot at most at a sequence, or an empty one."""
    found, _ = store.newest_good(data.snapshots, venue_of(reader), at_most_seq=at_most_seq)
    return Machine() if found is None else machine_of((found.meta, found.sections))


def machine_of(loaded: tuple[Meta, store.Sections]) -> Machine:
    """Return the machine of a loaded snapshot, having checked that its state is the one the snapshot names."""
    meta, sections = loaded
    machine = Machine.from_sections(list(sections))
    if machine.seq != meta.seq or machine.state_hash() != meta.state_hash:
        raise SnapshotError(f"the snapshot at seq {meta.seq} holds another state than it names")
    return machine
