"""The event store: published frames of events, kept for clients that are behind, derived from the journal.

- A frame's key is its last event's (cause_seq, index) and the CRC32C of the frame, so the first key above an event is
  the frame in which the one after it stands. The frames are a chain: each names the last event of the one before.
- Appending does not wait for the disk. `sync` does, and fixes what it reached: until the next `sync` a read
  transaction keeps LMDB from using that tree's pages again, and its meta page is put aside, so that after a power
  loss the store is set back to exactly that point. After the death of a process alone nothing is lost.
- What does not verify is cut off or discarded, and so is a store that LMDB can't go on with; the engine makes it again
  from the journal.
- The oldest frames go when there are more bytes than are to be kept, never the last one.
"""

from __future__ import annotations

import contextlib
import json
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import google_crc32c
import lmdb
import numpy as np

from journal import pages, storage
from kk99 import batch, schema
from kk99.errors import CorruptionError, JournalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DURABLE_FILE: Final = "durable.json"
REBUILD_FILE: Final = "rebuild.txt"
"""Why the next opening is to discard the store, while there is one."""
KEPT_BYTES: Final = 32 << 30
READ_BYTES: Final = 4 << 20
PRUNE_FRAMES_MAX: Final = 256
_KEY: Final = struct.Struct(">QII")
_FRAME: Final = struct.Struct("<IHHqIIIIqqqq")
_EVENT_CAUSE: Final = struct.Struct("<q")
_EVENT_INDEX: Final = struct.Struct("<i")
_INDEX_AT: Final = 24
_TAIL_FRAMES: Final = 16
_SYNC_TRIES: Final = 64
_ROOM_TRIES: Final = 16
_LAST_KEY: Final = b"\xff" * _KEY.size


class Position(NamedTuple):
    """The end of the store: its last event's identity, and the last command whose events are all in it."""

    cause_seq: int
    event_index: int
    last_seq: int

    @property
    def event(self) -> tuple[int, int]:
        """The last event's (cause_seq, index)."""
        return self.cause_seq, self.event_index


EMPTY: Final = Position(0, 0, 0)


class EventStore:
    """The store in folder `path`; one process has it open, any thread of it may read, one appends."""

    def __init__(
        self,
        path: Path,
        max_bytes: int = KEPT_BYTES,
        *,
        map_size: int = storage.MAP_SIZE,
        boot_id: str | None = None,
    ) -> None:
        """Open or create it, set back to what verifies; `discarded` then says why anything had to go.

        About `max_bytes` are kept. `boot_id` is this boot's name of the machine: another one than at the last sync
        means the page cache is gone.
        """
        self.path = path
        self.discarded: str | None = None
        self.is_new = not (path / pages.DATA_FILE).exists()
        """There was no store here at the opening: not even a broken one."""
        self._max_bytes = max_bytes
        self._map_size = map_size
        self._boot_id = _boot_id() if boot_id is None else boot_id
        self._pin: lmdb.Transaction[bytes] | None = None
        self._syncing = threading.Lock()
        path.mkdir(parents=True, exist_ok=True)
        if (path / REBUILD_FILE).exists():
            self._discard((path / REBUILD_FILE).read_text(errors="replace"))
        if (path / pages.DATA_FILE).exists():
            try:
                self._set_back()
                pages.check_tree(path, _LAST_KEY)
            except (pages.PageError, ValueError, KeyError, OSError, RecursionError) as error:
                self._discard(str(error))
        self.durable_seq = 0
        self._last = EMPTY
        try:
            self._open()
        except JournalError as error:
            if not isinstance(error, CorruptionError) and not isinstance(error.__cause__, lmdb.Error):
                raise
            self._discard(str(error))
            self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def last(self) -> Position:
        """Return where the store ends."""
        return self._last

    def begins_after(self) -> tuple[int, int]:
        """Return the identity of the event before the first one kept; (0, 0) if that is the venue's first."""
        with _lmdb_errors(), self._environment.begin(buffers=True) as txn, txn.cursor() as cursor:
            return _previous(cursor.value()) if cursor.first() else self._last.event

    def begin_after(self, event: tuple[int, int], seq: int) -> None:
        """Have an empty store begin after an event, all commands up to `seq` being without one in it."""
        if self._position() != EMPTY:
            raise JournalError(f"the event store holds events up to {self._last.event} already")
        self._last = Position(*event, seq)

    def append(self, frames: Sequence[bytes | memoryview]) -> None:
        """Store frames of events, each continuing the one before, and remove the oldest beyond `max_bytes`.

        `JournalError` if one does not continue, or if the store can't be written. Does not wait for the disk, unless
        the map is full.
        """
        with self._broken_if_full(), _lmdb_errors():
            for left in reversed(range(_ROOM_TRIES)):
                try:
                    self._append(frames)
                    break
                except lmdb.MapFullError:
                    # LMDB uses pages again when no pinned state is as old: what one round frees, the next can use.
                    above_bytes = _tree_bytes(self._environment) * 7 // 8
                    if not left or not self.prune(self._last.last_seq + 1, above_bytes):
                        raise
                    self.sync()
            while _tree_bytes(self._environment) > self._max_bytes:
                if not self.prune(self._last.last_seq + 1, self._max_bytes):
                    break

    def _append(self, frames: Iterable[bytes | memoryview]) -> None:
        last = self._last
        with self._environment.begin(write=True) as txn:
            for frame in frames:
                key, position = _key_of(frame, last)
                if not txn.put(key, frame, append=True):
                    raise JournalError(f"the event store holds events after {position.event} already")
                last = position
        self._last = last

    def sync(self) -> int:
        """Make all that was appended durable.

        Return `durable_seq`, the last command whose events are all on the disk.
        """
        with self._syncing, _lmdb_errors():
            meta, position, pin = self._pinned()
            try:
                self._environment.sync(True)
                fields = {"boot_id": self._boot_id, "meta": meta.hex(), "position": position}
                storage.write_durably(self.path / DURABLE_FILE, json.dumps(fields).encode())
            except BaseException:
                pin.abort()
                raise
            if self._pin is not None:
                self._pin.abort()
            self._pin = pin
            self.durable_seq = position.last_seq
            return self.durable_seq

    def rebuild_at_next_opening(self, why: str) -> None:
        """Have the next opening discard the store; any thread may say so. Until then the rest can be read.

        Where that can't be noted (a full disk), who next meets the damage says it again.
        """
        with contextlib.suppress(OSError):
            storage.write_durably(self.path / REBUILD_FILE, why.encode())

    def read(self, after: tuple[int, int] = (0, 0), max_bytes: int = READ_BYTES) -> list[bytes]:
        """Return frames in order from the one that holds the event after `after`; at least one if there is one.

        The first may begin with events the caller has. Stops before the frame that would pass `max_bytes`. A first
        frame whose `previous` is above `after` means that what was between is not kept any more. Raises
        `CorruptionError` at a damaged frame. Index -1 of a command is before its first event.
        """
        found: list[bytes] = []
        size = 0
        first_key = _KEY.pack(after[0], 0, 0) if after[1] < 0 else _KEY.pack(*after, 0xFFFFFFFF)
        with _lmdb_errors(), self._environment.begin(buffers=True) as txn, txn.cursor() as cursor:
            more = cursor.set_range(first_key)
            while more and (not found or size + len(cursor.value()) <= max_bytes):
                found.append(_verified(bytes(cursor.key()), cursor.value()))
                size += len(found[-1])
                more = cursor.next()
        return found

    def cut_after(self, seq: int) -> None:
        """Remove every event whose cause is above `seq`."""
        with _lmdb_errors(), self._environment.begin(write=True) as txn:
            with txn.cursor() as cursor:
                trimmed = None
                more = cursor.set_range(_KEY.pack(seq + 1, 0, 0))
                if more:
                    trimmed = _trimmed(_verified(bytes(cursor.key()), memoryview(cursor.value())), seq)
                while more:
                    more = cursor.delete()
            if trimmed is not None:
                key, _ = _key_of(trimmed, Position(*_previous(trimmed), 0))
                txn.put(key, trimmed, append=True)
        self._last = self._position()

    def prune(self, before_seq: int, above_bytes: int = 0) -> int:
        """Remove the oldest frames that end before `before_seq`, at most PRUNE_FRAMES_MAX, never the last.

        Only while the store takes more than `above_bytes`. Return how many.
        """
        count = 0
        with _lmdb_errors(), self._environment.begin(write=True, buffers=True) as txn, txn.cursor() as cursor:
            last = bytes(cursor.key()) if cursor.last() else b""
            more = cursor.first()
            while more and count < PRUNE_FRAMES_MAX and bytes(cursor.key()) < min(last, _KEY.pack(before_seq, 0, 0)):
                if _tree_bytes(txn) <= above_bytes:
                    break
                more = cursor.delete()
                count += 1
        return count

    def close(self) -> None:
        """Sync and close; further calls do nothing."""
        if self._pin is None:
            return
        self.sync()
        self._pin.abort()
        self._pin = None
        storage.release(self.path)

    def _open(self) -> None:
        with _lmdb_errors():
            self._environment = storage.acquire(self.path, write=True, map_size=self._map_size, sync=False)
        try:
            with _lmdb_errors():
                self._cut_tail()
                self._last = self._position()
                self.sync()
        except BaseException:
            if self._pin is not None:
                self._pin.abort()
                self._pin = None
            storage.release(self.path)
            raise

    @contextlib.contextmanager
    def _broken_if_full(self) -> Iterator[None]:
        try:
            yield
        except JournalError as error:
            if isinstance(error.__cause__, lmdb.MapFullError):
                self.rebuild_at_next_opening(str(error))
            raise

    def _pinned(self) -> tuple[bytes, Position, lmdb.Transaction[bytes]]:
        """Return a committed state's meta page and end, and the transaction that keeps its pages from reuse."""
        for _ in range(_SYNC_TRIES):  # a commit may come between
            pin = self._environment.begin()
            meta = pages.read_raw_meta(self.path, pin.id())
            if meta is not None:
                with pin.cursor() as cursor:
                    return meta, _position_of(cursor), pin
            pin.abort()
        raise JournalError("the event store's meta page can't be read between commits")

    def _set_back(self) -> None:
        """After a restart of the machine, put the tree of the last sync in place; without one, raise `OSError`."""
        fields = json.loads((self.path / DURABLE_FILE).read_bytes())
        if not isinstance(fields, dict) or not all(isinstance(fields.get(name), str) for name in ("boot_id", "meta")):
            raise ValueError(f"{DURABLE_FILE} is not what a sync writes")
        meta = bytes.fromhex(fields["meta"])
        if len(meta) != pages.META_BYTES:
            raise ValueError(f"{DURABLE_FILE} has {len(meta)} bytes of a meta page where {pages.META_BYTES} are needed")
        if fields["boot_id"] != self._boot_id:
            (self.path / "lock.mdb").unlink(missing_ok=True)
            pages.write_raw_meta(self.path, meta)

    def _discard(self, why: str) -> None:
        self.discarded = why
        for name in (DURABLE_FILE, pages.DATA_FILE, "lock.mdb", REBUILD_FILE):
            (self.path / name).unlink(missing_ok=True)

    def _cut_tail(self) -> None:
        """Check the last frames and remove those from the first bad one on; raise its error if none is good."""
        with self._environment.begin(write=True) as txn, txn.cursor() as cursor:
            more = cursor.last()
            if not more:
                return
            for _ in range(_TAIL_FRAMES):
                if not cursor.prev():
                    cursor.first()
                    break
            before: tuple[int, int] | None = None
            while more:
                try:
                    frame = _verified(cursor.key(), memoryview(cursor.value()))
                    last = Position(*(before or _previous(frame)), 0)
                    key, _ = _key_of(frame, last)
                except JournalError as error:
                    if before is None:
                        raise CorruptionError(
                            _KEY.unpack(cursor.key())[0], "none of the last stored frames verifies"
                        ) from error
                    self.discarded = str(error)
                    while more:
                        more = cursor.delete()
                    return
                before = _KEY.unpack(key)[:2]
                more = cursor.next()

    def _position(self) -> Position:
        with self._environment.begin(buffers=True) as txn, txn.cursor() as cursor:
            return _position_of(cursor)


@contextlib.contextmanager
def _lmdb_errors() -> Iterator[None]:
    """Raise what LMDB raises as `JournalError`."""
    try:
        yield
    except lmdb.Error as error:
        raise JournalError(f"the event store: {error}") from error


def _tree_bytes(source: lmdb.Environment | lmdb.Transaction[memoryview]) -> int:
    """Return how many bytes the tree of frames takes, without the pages that are free again."""
    stat = source.stat()
    return stat["psize"] * (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"])


def _position_of(cursor: lmdb.Cursor[bytes] | lmdb.Cursor[memoryview]) -> Position:
    if not cursor.last():
        return EMPTY
    cause_seq, index, _ = _KEY.unpack(cursor.key())
    return Position(cause_seq, index, _FRAME.unpack_from(cursor.value())[-2])


def _key_of(frame: bytes | memoryview, last: Position) -> tuple[bytes, Position]:
    """Return a frame's key and the store's end after it, having checked that it continues `last`."""
    magic, content, _, fingerprint, count, _, _, _, *previous, last_seq, _ = _FRAME.unpack_from(frame)
    if magic != batch.MAGIC or content != batch.EVENTS or fingerprint != schema.FINGERPRINT or not count:
        raise JournalError("not a frame of events of this schema")
    if tuple(previous) != last.event:
        raise JournalError(f"a frame that continues {tuple(previous)} where the store ends at {last.event}")
    at = batch.HEADER_SIZE + (count - 1) * schema.ROW_SIZE
    (cause_seq,), (index,) = _EVENT_CAUSE.unpack_from(frame, at), _EVENT_INDEX.unpack_from(frame, at + _INDEX_AT)
    return _KEY.pack(cause_seq, index, _crc(frame)), Position(cause_seq, index, last_seq)


def _crc(frame: bytes | memoryview) -> int:
    return int(google_crc32c.value(np.frombuffer(frame, np.uint8)))


def _previous(frame: bytes | memoryview) -> tuple[int, int]:
    cause_seq, index = _FRAME.unpack_from(frame)[8:10]
    return cause_seq, index


def _verified(key: bytes, view: memoryview) -> bytes:
    """Return a copy of a stored frame, or raise `CorruptionError`."""
    cause_seq, _, crc = _KEY.unpack(key)
    if len(view) < batch.HEADER_SIZE or _crc(view) != crc:
        raise CorruptionError(cause_seq, "a frame of the event store is damaged")
    return bytes(view)


def _trimmed(frame: bytes, seq: int) -> bytes | None:
    """Return the frame with the events caused by commands up to `seq` only, or None if there are none."""
    events = batch.decode_events(frame)
    count = int(np.searchsorted(events.rows["cause_seq"], seq, side="right"))
    if not count:
        return None
    return batch.Events(events.rows[:count], events.tail, events.previous, seq).encode()


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
