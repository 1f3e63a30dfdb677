"""Copy a journal while it is being written; the copy is a journal itself, at rest.

Invariants, each a test:
- the writer is hardly disturbed: what is read and written is throttled, transactions are short (a long one would make
  LMDB's file grow), and what was written is synced bit by bit, so that no heap of pages waits in front of its commits;
- a sealed segment is copied byte for byte, or linked to an earlier backup's copy of it; the segment that is written
  still is copied batch by batch, verified as it is read, up to the end that the journal had when the copy began;
- what was copied is read back from the copy and verified before the copy's head is signed.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from journal import format as record
from journal import head as heads
from journal import pages, storage
from journal.draft import Draft, opening_record, truncation_record
from journal.reader import Reader
from journal.segment import MANIFEST_FILE, link_of, segment_path
from kk99.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from journal.segment import Segment

HEAD_FILE: Final = "head.json"
CHUNK_BYTES: Final = 1 << 20
SYNC_BYTES: Final = 8 << 20
"""Written between two syncs of a copy."""
_COPY_BATCHES: Final = 64


@contextmanager
def one_at_a_time(folder: Path, what: str) -> Iterator[None]:
    """Hold the folder, which must be there; `InputError` if another process does `what` in it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise InputError(f"{folder}: another {what} is under way there: wait for it") from error
    try:
        yield
    finally:
        os.close(fd)


class Throttle:
    """Lets so many bytes a second pass, 0: as many as come; `spend` sleeps when they come faster."""

    def __init__(
        self,
        bytes_per_s: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._monotonic, self._sleep = monotonic, sleep
        self._due = monotonic()

    def spend(self, size: int) -> None:
        """Take `size` bytes off what may pass; time that was not used is not saved up."""
        if not self._bytes_per_s:
            return
        now = self._monotonic()
        self._due = max(self._due, now) + size / self._bytes_per_s
        if self._due > now:
            self._sleep(self._due - now)


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup came to: the copy's head, and the bytes that were copied or linked to an earlier backup's."""

    head: heads.Head
    copied_bytes: int
    linked_bytes: int


def backup(
    path: Path,
    target: Path,
    key: Ed25519PrivateKey,
    *,
    throttle: Throttle | None = None,
    previous: Path | None = None,
) -> Copied:
    """Copy the journal in folder `path` to the new folder `target`; return what was done, verified.

    `previous` is the journal of an earlier backup on the same disk, whose sealed segments are shared. The head also
    stands in `target` as `head.json`, signed. What is written while the copy is made is not in it; it holds a whole
    number of batches. Raises `InputError` if there is something at `target`.
    """
    throttle = throttle or Throttle()
    if target.exists() and any(target.iterdir()):
        raise InputError(f"{target} is not empty")
    copied = linked = 0
    verify_from = 0
    with Reader(path, any_release=True) as reader:
        end_seq = reader.head().seq
        for segment in reader.segments():
            if segment.first_seq > end_seq + 1:
                break  # begun since
            shared = previous and _shared(segment, previous)
            if shared:
                linked += _link(shared, target / segment.path.name)
                continue
            verify_from = verify_from or segment.first_seq
            if segment.manifest.exists():
                copied += _copy_sealed(segment, target, throttle)
            else:
                copied += _copy_open(reader, segment, end_seq, target, throttle)
    with Reader(target, any_release=True) as reader:
        for batch in reader.batches(verify_from or end_seq + 1):
            throttle.spend(len(batch.record))
        head = reader.head()
    storage.write_durably(target / HEAD_FILE, heads.sign(head, key).encode() + b"\n")
    return Copied(head, copied, linked)


def copy_file(source: Path, target: Path, throttle: Throttle) -> int:
    """Copy a file, throttled and synced bit by bit, leaving nothing of it in the page cache; return its bytes."""
    size = unsynced = 0
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            throttle.spend(len(chunk))
            writer.write(chunk)
            size, unsynced = size + len(chunk), unsynced + len(chunk)
            if unsynced >= SYNC_BYTES:
                writer.flush()
                os.fdatasync(writer.fileno())
                unsynced = 0
                for file in (reader, writer):
                    os.posix_fadvise(file.fileno(), 0, size, os.POSIX_FADV_DONTNEED)
        writer.flush()
        os.fsync(writer.fileno())
    return size


def _shared(segment: Segment, previous: Path) -> Path | None:
    """Return the earlier backup's copy of a sealed segment if it is the same one."""
    if not segment.manifest.exists():
        return None
    found = previous / segment.path.name
    try:
        is_same = (found / MANIFEST_FILE).read_bytes() == segment.manifest.read_bytes()
        return found if is_same and (found / pages.DATA_FILE).stat().st_size == segment.size_bytes else None
    except OSError:
        return None


def _link(source: Path, target: Path) -> int:
    target.mkdir(parents=True)
    for name in (pages.DATA_FILE, MANIFEST_FILE):
        os.link(source / name, target / name)
    storage.sync_folder(target)
    return (target / pages.DATA_FILE).stat().st_size


def _copy_sealed(segment: Segment, target: Path, throttle: Throttle) -> int:
    copy = target / segment.path.name
    copy.mkdir(parents=True)
    size = copy_file(segment.path / pages.DATA_FILE, copy / pages.DATA_FILE, throttle)
    copy_file(segment.manifest, copy / MANIFEST_FILE, throttle)
    storage.sync_folder(copy)
    return size


def _copy_open(reader: Reader, segment: Segment, end_seq: int, target: Path, throttle: Throttle) -> int:
    """Copy the batches of a segment that has no manifest, up to the journal's end as it was."""
    opening = reader.opening(segment)
    start, venue_id = link_of(opening), opening.venue_id
    records = [opening_record(start, venue_id)]
    for index, text in enumerate(reader.truncations(segment), 1):
        records.append(truncation_record(index, start, venue_id, text))
    size = unsynced = 0
    with Draft(segment_path(target, segment.first_seq)) as copy:
        copy.put(records)
        put: list[tuple[bytes, bytes]] = []
        for batch in reader.batches(segment.first_seq, end_seq) if end_seq >= segment.first_seq else ():
            throttle.spend(len(batch.record))
            put.append((record.key_of(batch.first_seq), batch.record))
            size, unsynced = size + len(batch.record), unsynced + len(batch.record)
            if len(put) >= _COPY_BATCHES:
                copy.put(put)
                put.clear()
            if unsynced >= SYNC_BYTES:
                copy.sync()
                unsynced = 0
        copy.put(put)
    return size
