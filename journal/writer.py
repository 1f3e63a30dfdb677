"""Write the journal: batches in order, each group of them one durable transaction.

- `append` returns when everything given is on the disk; until then nobody may hear of it.
- One writer at a time. Batches go only to a segment it began, or that held none: what another left behind is checked
  at its end, sealed and never written again.
- Anything that goes wrong is final: the writer then refuses all further use, and a new one must begin from what the
  disk holds.
"""

from __future__ import annotations

import os
import shutil
import struct
import time
from typing import TYPE_CHECKING, Any, Final, Self

from journal import disk, keys, storage
from journal import format as record
from journal.head import Head
from journal.lock import WriterLock
from journal.reader import Reader
from journal.seal import seal
from journal.segment import Link, OpenSegment, Segment, segment_path
from journal.truncation import interrupted
from kk99 import batch, schema
from kk99.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SEGMENT_BYTES: Final = 16 << 30
SEGMENT_NS: Final = 86_400 * 10**9
_PAGE_BYTES: Final = 4096
_DRAFT_FOLDER: Final = "beginning"
_FIRST_ROW: Final = record.HEADER_SIZE + batch.HEADER_SIZE
_FRAME_HEAD: Final = struct.Struct("<I12xI")
"""Of a frame's header, the magic and the number of rows."""
_ROW_HEAD: Final = struct.Struct("<qq")
"""A command row begins with its sequence and its time."""


class Writer:
    """The one writer of the journal in folder `path`."""

    def __init__(
        self,
        path: Path,
        venue_id: bytes,
        *,
        map_size: int = storage.MAP_SIZE,
        segment_bytes: int = SEGMENT_BYTES,
        segment_ns: int = SEGMENT_NS,
        reserve_bytes: int = disk.RESERVE_BYTES,
        low_water_bytes: int = disk.LOW_WATER_BYTES,
        keys_path: Path | None = None,
        port: storage.Storage | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Take the lock, check the journal's end, seal what is left of the writer before, begin a segment.

        `venue_id` is 16 bytes; `map_size` and `segment_bytes` are bytes, a segment ends when it has so many or is
        `segment_ns` old by its commands' time; keys lie in `keys_path` (by default `keys` beside `path`). Raises
        `JournalLockedError` if another writer has the journal, `CorruptionError` if its end is damaged,
        `JournalError` if the folder can't be written or is another venue's.
        """
        if len(venue_id) != record.VENUE_ID_BYTES:
            raise JournalError(f"a venue id has {record.VENUE_ID_BYTES} bytes, not {len(venue_id)}")
        if segment_bytes > map_size // 2:
            raise JournalError("a segment may take at most half of its map")
        _prepare(path)
        self.path = path
        self.venue_id = venue_id
        self._map_size = map_size
        self._segment_bytes = segment_bytes
        self._segment_ns = segment_ns
        self._port = port or storage.LmdbStorage()
        self._now_ns = now_ns
        self._buffer = memoryview(bytearray(1 << 20))
        self._failure: str | None = None
        self._environment: storage.Environment | None = None
        self._began_ns: int | None = None  # time of the segment's first command
        self._lock = WriterLock(path)
        try:
            self._key = keys.load_or_create(keys_path or path.parent / "keys")
            self.room = disk.Room(path, reserve_bytes=reserve_bytes, low_water_bytes=low_water_bytes)
            self._end = self._take_over()
            self.epoch = self._end.epoch + 1
            self._begin_segment()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def last_seq(self) -> int:
        """Sequence of the last durable command, 0 if there is none."""
        return self._end.next_seq - 1

    @property
    def last_time_ns(self) -> int:
        """Time of the last durable command."""
        return self._end.time_ns

    @property
    def disk_nearly_full(self) -> bool:
        """Whether new commands must be refused, so that what is under way can still be written."""
        return self.room.nearly_full

    def head(self) -> Head:
        """Return the end of the last durable batch."""
        return Head(self.last_seq, self._end.hash, self._end.time_ns, self.venue_id)

    def append(self, batches: Sequence[tuple[int, int, Sequence[Any]]]) -> int:
        """Write batches durably, in one transaction, and return the last sequence.

        Each is (first_seq, count, pieces of its frame): rows stamped with sequence and time, `first_seq` the next one.
        Whatever goes wrong is raised as `JournalError` and is final; how much is on the disk, the next writer finds
        out.
        """
        if self._failure is not None:
            raise JournalError(f"the writer has failed before: {self._failure}")
        try:
            self._append(batches)
        except BaseException as error:
            self._failure = f"{type(error).__name__}: {error}"
            raise JournalError(f"the journal can't go on after {self.last_seq}: {self._failure}") from error
        return self.last_seq

    def close(self) -> None:
        """Close the segment and let go of the lock; what was appended is durable already."""
        if self._failure is None:
            self._failure = "it is closed"
        if self._environment is not None:
            self._environment = None
            self._port.close(self._segment.path)
        self._lock.release()

    def _append(self, batches: Sequence[tuple[int, int, Sequence[Any]]]) -> None:
        size = sum(memoryview(piece).nbytes for _, _, pieces in batches for piece in pieces)
        self.room.make_room(size)
        old = self._began_ns is not None and self._end.time_ns - self._began_ns >= self._segment_ns
        if self._used_bytes and (old or self._used_bytes + size > self._segment_bytes):
            self._end_segment()
            self._begin_segment()
        assert self._environment is not None
        end = self._end
        txn = self._environment.begin(write=True)
        try:
            for first_seq, count, pieces in batches:
                value, end = self._record(end, first_seq, count, pieces)
                above = txn.put(record.key_of(first_seq), value, append=True)
                assert above, f"LMDB holds a key above sequence {first_seq} already"
                self._used_bytes += -(-(len(value) + 16) // _PAGE_BYTES) * _PAGE_BYTES
        except BaseException:
            txn.abort()
            raise
        txn.commit()
        if self._began_ns is None:
            self._began_ns = end.time_ns
        self._end = end

    def _record(self, end: Link, first_seq: int, count: int, pieces: Sequence[Any]) -> tuple[memoryview, Link]:
        """Put a batch's record together in the buffer; the view is valid until the next call."""
        at = record.HEADER_SIZE
        size = at + sum(memoryview(piece).nbytes for piece in pieces)
        if size > len(self._buffer):
            self._buffer = memoryview(bytearray(2 * size))
        buffer = self._buffer
        for piece in pieces:
            view = memoryview(piece).cast("B")
            buffer[at : at + len(view)] = view
            at += len(view)
        value = buffer[:size]
        times_ns = _check_rows(value, end, first_seq, count)
        digest = record.fill_header(
            value, kind=record.BATCH, venue_id=self.venue_id, number=end.number + 1, epoch=self.epoch,
            first_seq=first_seq, count=count, times_ns=times_ns, previous_hash=end.hash,
        )  # fmt: skip
        return value, Link(first_seq + count, end.number + 1, digest, times_ns[1], self.epoch)

    def _take_over(self) -> Link:
        """Check the journal's end and seal the segment it is in; return what the next batch must continue."""
        if interrupted(self.path):
            raise JournalError(f"a truncation of {self.path} was interrupted: run it again")
        with Reader(self.path, venue_id=self.venue_id) as reader:
            end = reader.end()
            segments = reader.segments()
        for segment in segments:
            if not segment.manifest.exists() and segment.first_seq != end.next_seq:
                self._seal(segment)
        return end

    def _seal(self, segment: Segment) -> None:
        opened = OpenSegment(segment, live=False, from_seq=(1 << 63) - 1)
        try:
            opening, end = opened.opening, opened.last()
        finally:
            opened.close()
        seal(segment, opening, end, self._key, self._now_ns())

    def _begin_segment(self) -> None:
        """Enter an opening in the segment that begins at the next sequence, and open it.

        A new one is made aside and moved to its place with its opening in it, so no reader ever meets one without.
        """
        end = self._end
        self._segment = Segment(segment_path(self.path, end.next_seq), end.next_seq)
        draft = self.path / _DRAFT_FOLDER
        shutil.rmtree(draft, ignore_errors=True)
        made = self._segment.path if self._segment.path.exists() else draft
        value = memoryview(bytearray(record.HEADER_SIZE))
        record.fill_header(
            value, kind=record.OPENING, venue_id=self.venue_id, number=end.number, epoch=self.epoch,
            first_seq=end.next_seq, count=0, times_ns=(end.time_ns, end.time_ns), previous_hash=end.hash,
        )  # fmt: skip
        txn = self._port.open(made, self._map_size).begin(write=True)
        txn.put(record.OPENING_KEY, value)
        txn.commit()
        self._port.close(made)
        if made is draft:
            draft.rename(self._segment.path)
            storage.sync_folder(self.path)
        self._environment = self._port.open(self._segment.path, self._map_size)
        self._used_bytes = 0
        self._began_ns = None

    def _end_segment(self) -> None:
        self._environment = None
        self._port.close(self._segment.path)
        self._seal(self._segment)


def _prepare(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(f"{path} can't be made: {error.strerror}") from error
    if os.statvfs(path).f_flag & os.ST_RDONLY or not os.access(path, os.W_OK):
        raise JournalError(f"{path} is read-only: a journal can't be written there")


def _check_rows(value: Any, end: Link, first_seq: int, count: int) -> tuple[int, int]:
    """Return the times of the first and the last row; a batch that is not the next one is a broken invariant."""
    magic, row_count = _FRAME_HEAD.unpack_from(value, record.HEADER_SIZE)
    assert magic == batch.MAGIC, "not a frame"
    assert row_count == count >= 1, f"{row_count} rows in a batch of {count}"
    assert first_seq == end.next_seq, f"a batch from {first_seq} where {end.next_seq} is next"
    seq, first_ns = _ROW_HEAD.unpack_from(value, _FIRST_ROW)
    assert seq == first_seq, f"the first row is of sequence {seq}, not {first_seq}"
    seq, last_ns = _ROW_HEAD.unpack_from(value, _FIRST_ROW + (count - 1) * schema.ROW_SIZE)
    assert seq == first_seq + count - 1, f"the last row is of sequence {seq}, not {first_seq + count - 1}"
    assert end.time_ns <= first_ns <= last_ns, "time runs backwards"
    return first_ns, last_ns
