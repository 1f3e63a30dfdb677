"""A segment: one LMDB environment in a folder named by the first sequence it may hold.

- Only the writer that began a segment's batches writes to it, so every segment but a live journal's last is at rest:
  it is checked as a file before LMDB maps it, and read without locks.
- A segment's opening record says what came before it; the number in its last batch says how many entries it must
  have, so an LMDB root that points to an older tree is noticed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import lmdb

from journal import format as record
from journal import pages, storage
from kk99.errors import CorruptionError, JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANIFEST_FILE: Final = "manifest.json"
_CHUNK_BYTES: Final = 2 << 20
"""What one transaction reads; larger blocks cost page faults: 4 MiB and more halve the speed."""
_CHUNK_BATCHES: Final = 1024
_LIVE_TRIES: Final = 8


class Link(NamedTuple):
    """What the next batch must continue."""

    next_seq: int
    number: int
    hash: bytes
    time_ns: int
    epoch: int


def link_of(header: record.Header) -> Link:
    """Return what follows a batch or an opening."""
    digest = header.previous_hash if header.kind == record.OPENING else header.hash
    return Link(header.last_seq + 1, header.number, digest, header.last_time_ns, header.epoch)


@dataclass(frozen=True, slots=True)
class Segment:
    """One folder of the journal."""

    path: Path
    first_seq: int

    @property
    def manifest(self) -> Path:
        """The signed manifest, there when the segment is sealed."""
        return self.path / MANIFEST_FILE

    @property
    def size_bytes(self) -> int:
        """Length of the data file."""
        return (self.path / pages.DATA_FILE).stat().st_size


def segment_path(folder: Path, first_seq: int) -> Path:
    """Return the folder of the segment that begins at `first_seq`."""
    return folder / f"{first_seq:020d}"


def list_segments(folder: Path) -> list[Segment]:
    """Return the journal's segments in order."""
    names = sorted(entry.name for entry in os.scandir(folder) if len(entry.name) == 20 and entry.name.isdigit())
    return [Segment(folder / name, int(name)) for name in names]


class OpenSegment:
    """A segment open for reading.

    Damage to LMDB's own pages leaves what lies before it readable: `problem` says what is wrong after key `safe_key`.
    """

    def __init__(self, segment: Segment, *, live: bool, from_seq: int = 0) -> None:
        """Check the file as far as reading from `from_seq` needs it, then open it.

        Raises `CorruptionError` if nothing can be read, `JournalError` if the environment is live and can't be locked.
        """
        self.segment = segment
        self.live = live
        self.problem: str | None = None
        self.safe_key = b""
        self._check_file(from_seq)
        if live and os.statvfs(segment.path).f_flag & os.ST_RDONLY:
            raise JournalError(f"{segment.path} is being written, and a read-only mount can't lock it: use a backup")
        try:
            self._environment = storage.acquire(segment.path, lock=live)
        except lmdb.Error as error:
            raise CorruptionError(segment.first_seq, f"LMDB can't open the segment: {error}") from error
        try:
            if live:
                self._environment.reader_check()
            self.opening = self._read_opening()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it."""
        storage.release(self.segment.path)

    def start(self, seq: int) -> tuple[Link, bytes]:
        """Return where reading from `seq` begins: what the batch that holds it must continue, and its key.

        If the segment ends before `seq`, that is its last batch; if it has none, a key after its opening.
        """
        limit = record.key_of(seq)
        with self._begin() as txn, txn.cursor() as cursor:
            if self.problem is not None and limit > self.safe_key:
                found = cursor.set_key(self.safe_key)
            elif cursor.set_range(limit):
                found = bytes(cursor.key()) == limit or cursor.prev()
            else:
                found = cursor.last()
            if not found or bytes(cursor.key())[:8] == record.OPENING_KEY:
                return link_of(self.opening), record.key_of(self.segment.first_seq)
            key = bytes(cursor.key())
            if cursor.prev() and (before := bytes(cursor.key()))[:8] != record.OPENING_KEY:
                try:
                    return link_of(record.parse_header(cursor.value())), key
                except record.RecordError as error:
                    raise CorruptionError(int.from_bytes(before, "big"), str(error)) from error
        return link_of(self.opening), key

    def records(self, key: bytes) -> Iterator[tuple[record.Header, bytes]]:
        """Yield (header, whole record) from the batch at `key` on, up to the end or the damage, in short transactions.

        Nothing but the headers is verified; raises `RecordError` at one that is wrong.
        """
        while chunk := self._chunk(key):
            for _, header, value in chunk:
                yield header, value
            last_key = chunk[-1][0]
            if last_key == self.safe_key:
                return
            key = record.key_of(int.from_bytes(last_key, "big") + 1)

    def check_entries(self, number: int) -> None:
        """Check that the segment has as many entries as it must if its last batch is `number`; raise `RecordError`."""
        with self._begin() as txn, txn.cursor() as cursor:
            own = _count_own(cursor)
            entries = txn.stat()["entries"]
        if entries != own + number - self.opening.number:
            raise record.RecordError(
                f"LMDB counts {entries} entries, the last batch says {own + number - self.opening.number}"
            )

    def last(self) -> Link:
        """Return the verified end of the segment; raise `CorruptionError` if its last batch is not to be trusted."""
        if self.problem is not None:
            raise CorruptionError(int.from_bytes(self.safe_key[:8], "big") + 1, f"after this sequence: {self.problem}")
        with self._begin() as txn, txn.cursor() as cursor:
            cursor.last()
            key, value = bytes(cursor.key()), bytes(cursor.value())
            own = _count_own(cursor)
            entries = txn.stat()["entries"]
        seq = int.from_bytes(key[:8], "big") or self.segment.first_seq
        try:
            header = record.parse_header(value) if key[:8] != record.OPENING_KEY else self.opening
            if header is not self.opening:
                record.verify_record(header, value, full=True)
        except record.RecordError as error:
            raise CorruptionError(seq, str(error)) from error
        if header.epoch != self.opening.epoch or entries != own + header.number - self.opening.number:
            raise CorruptionError(seq, "the last batch does not fit the segment's opening and LMDB's count of entries")
        return link_of(header)

    def truncations(self) -> list[bytes]:
        """Return the payloads of the truncation records that stand in this segment."""
        found = []
        with self._begin() as txn, txn.cursor() as cursor:
            more = cursor.set_range(record.truncation_key(0))
            while more and bytes(cursor.key())[:8] == record.OPENING_KEY:
                found.append(bytes(cursor.value())[record.HEADER_SIZE :])
                more = cursor.next()
        return found

    def _check_file(self, from_seq: int) -> None:
        for left in reversed(range(_LIVE_TRIES)):
            try:
                if self.live:
                    pages.read_metas(self.segment.path)
                else:
                    pages.check_tree(self.segment.path, record.key_of(from_seq))
            except pages.PageError as error:
                if self.live and left:  # a commit came between the two meta pages
                    continue
                if error.last_key is None:
                    raise CorruptionError(self.segment.first_seq, str(error)) from error
                self.problem, self.safe_key = str(error), error.last_key
            return

    def _begin(self) -> lmdb.Transaction[memoryview]:
        try:
            return self._environment.begin(buffers=True)
        except lmdb.MapResizedError:
            self._environment.set_mapsize(0)
            return self._environment.begin(buffers=True)

    def _read_opening(self) -> record.Header:
        with self._begin() as txn:
            value = bytes(txn.get(record.OPENING_KEY) or b"")
        try:
            header = record.parse_header(value)
            record.verify_record(header, value, full=True)
        except record.RecordError as error:
            raise CorruptionError(self.segment.first_seq, f"the segment's opening: {error}") from error
        if header.kind != record.OPENING or header.first_seq != self.segment.first_seq:
            raise CorruptionError(self.segment.first_seq, "the segment's opening is of another segment")
        return header

    def _chunk(self, key: bytes) -> list[tuple[bytes, record.Header, bytes]]:
        found: list[tuple[bytes, record.Header, bytes]] = []
        size = 0
        with self._begin() as txn, txn.cursor() as cursor:
            more = (self.problem is None or key <= self.safe_key) and cursor.set_range(key)
            while more and size < _CHUNK_BYTES and len(found) < _CHUNK_BATCHES:
                at, view = bytes(cursor.key()), cursor.value()
                try:
                    header = record.parse_header(view)  # before the copy: it proves the length
                except record.RecordError:
                    if not found:
                        raise
                    break
                found.append((at, header, bytes(view)))
                size += len(view)
                more = at != self.safe_key and cursor.next()
        return found


def _count_own(cursor: lmdb.Cursor[memoryview]) -> int:
    """Return how many records of the segment itself stand before its batches."""
    count = 0
    more = cursor.first()
    while more and bytes(cursor.key())[:8] == record.OPENING_KEY:
        count, more = count + 1, cursor.next()
    return count
