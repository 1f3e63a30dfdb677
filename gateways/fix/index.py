"""The outbound numbers of one FIX session in one epoch: what each was used for, and when it was first sent.

A file: a head, then a row for each number at a place of its own. There are no messages in it: those are made again
from the events that the rows name.

Invariants:
- a row is written before the bytes of its message leave, so it outlives the death of the process without a sync;
- a number is used only below what the head, synced, reserves: after a loss of power, which the machine's boot id tells,
  the next number is the first one not reserved, so none is ever used twice;
- a row that was lost with the power is no row: its number is filled in as a gap;
- a file that has fewer rows than its head knows of counts as one after a loss of power.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from kk99.errors import ClientError

BLOCK: Final = 1_000
"""Numbers that are reserved at a time; more, up to BLOCK_MAX, of a session that uses them up within BLOCK_S."""
BLOCK_MAX: Final = 1 << 18
BLOCK_S: Final = 0.5
RING: Final = 4_096
"""Rows that a ring has: what is sent on a session for market data is never sent again, so older ones are no loss."""
_MAGIC: Final = b"KK99FIX1"
_RING_MAGIC: Final = b"KK99FIXR"
_HEAD: Final = struct.Struct("<8sqqq16sIqiiI")
_HEAD_BYTES: Final = 512
"""The head has a disk's sector of its own, which is written whole or not at all."""
_ROW: Final = struct.Struct("<qqqiHHI")
assert _HEAD.size <= _HEAD_BYTES
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_NUMBER_MAX: Final = 1 << 40


class Place(NamedTuple):
    """A message's place in the stream of events: the event, and which of the session's messages about it."""

    cause_seq: int
    event_index: int
    part: int


ADMIN: Final = Place(0, 0, 0)
"""What stands for a message that no event made."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a number was used for."""

    number: int
    place: Place
    sending_ns: int
    poss_resend: bool = False


class Index:
    """The file of one session's epoch; `next_out` is the number that the next message gets."""

    def __init__(self, path: Path, epoch: int, after: Place, *, is_ring: bool = False) -> None:
        """Open the file, or make it for an epoch whose first report is the one after `after`, as a ring or not.

        Raises `ClientError` for a file that is damaged or of another epoch.
        """
        self.path = path
        self.epoch = epoch
        self.after = after
        """The place of the last report sent."""
        self.was_lost = False
        """Whether numbers may have been used, before it was opened, that it does not know of."""
        self.next_out = 1
        self._reserved = 0
        self._reserved_at = 0.0
        self._block = BLOCK
        self._synced = 0
        """The rows up to this number are on disk."""
        self._is_clean = False
        self._is_ring = is_ring
        is_new = not path.exists()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if is_new:
                self._reserve(BLOCK)
                _sync_folder(path.parent)
            else:
                self._read()
        except BaseException:
            os.close(self._file)
            raise

    def append(self, entries: list[tuple[Place, int, bool]]) -> int:
        """Note that the next numbers are used for (place, sending time, poss_resend); return the first of them."""
        first = self.next_out
        rows = bytearray()
        for number, (place, sending_ns, poss_resend) in enumerate(entries, first):
            row = _ROW.pack(number, place.cause_seq, sending_ns, place.event_index, place.part, poss_resend, 0)
            rows += row[:-4] + zlib.crc32(row[:-4]).to_bytes(4, "little")
            if place != ADMIN:
                self.after = place
        self._write(rows, len(entries))
        return first

    def extend(self, rows: memoryview, count: int, last: Place) -> None:
        """Note that the next numbers are used as rows say, one for each that follow the last number's; all reports."""
        self._write(rows, count)
        self.after = last

    def _write(self, rows: bytearray | memoryview, count: int) -> None:
        last = self.next_out + count - 1
        if last > self._reserved:
            is_fast = time.monotonic() < self._reserved_at + BLOCK_S
            self._block = min(4 * self._block, BLOCK_MAX) if is_fast else BLOCK
            self._reserve(last + self._block)
        head = count if not self._is_ring else min(count, RING - (self.next_out - 1) % RING)
        for number, part in (
            (self.next_out, rows[: head * _ROW.size]),
            (self.next_out + head, rows[head * _ROW.size :]),
        ):
            written = os.pwrite(self._file, part, self._at(number)) if part else 0
            if written != len(part):
                raise OSError(f"{self.path}: only {written} of {len(part)} bytes were written")
        self.next_out = last + 1

    def find(self, number: int) -> Sent | None:
        """Return what a number was used for, None if that is not known."""
        data = os.pread(self._file, _ROW.size, self._at(number))
        if len(data) < _ROW.size:
            return None
        found, cause_seq, sending_ns, index, part, flags, crc = _ROW.unpack(data)
        if found != number or zlib.crc32(data[:-4]) != crc:
            return None
        return Sent(number, Place(cause_seq, index, part), sending_ns, bool(flags))

    def close(self) -> None:
        """Sync and close: whatever happens later, nothing of it is in doubt."""
        os.fsync(self._file)
        self._is_clean, self._synced = True, self.next_out - 1
        self._write_head()
        os.close(self._file)

    def _at(self, number: int) -> int:
        """Return where the row of a number stands."""
        return _offset((number - 1) % RING + 1 if self._is_ring else number)

    def _reserve(self, number: int) -> None:
        os.fsync(self._file)  # the rows before the head that says so
        self._reserved, self._synced = number, self.next_out - 1
        self._write_head()
        self._reserved_at = time.monotonic()

    def _write_head(self) -> None:
        magic = _RING_MAGIC if self._is_ring else _MAGIC
        fields = (magic, self.epoch, self._reserved, self._synced, _boot_id(), self._is_clean, *self.after)
        head = _HEAD.pack(*fields, 0)[:-4]
        os.pwrite(self._file, (head + zlib.crc32(head).to_bytes(4, "little")).ljust(_HEAD_BYTES, b"\0"), 0)
        os.fsync(self._file)

    def _read(self) -> None:
        data = os.pread(self._file, _HEAD.size, 0)
        if len(data) < _HEAD.size or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise ClientError(f"{self.path} is damaged: move it away; the client must then reset the numbers (141=Y)")
        magic, epoch, reserved, synced, boot_id, is_clean, *after, _ = _HEAD.unpack(data)
        self._is_ring = magic == _RING_MAGIC
        if magic not in {_MAGIC, _RING_MAGIC} or epoch != self.epoch:
            raise ClientError(f"{self.path} is not the index of epoch {self.epoch}")
        self.after = Place(*after)
        self._reserved, self._synced = reserved, synced
        last = self._last_number()
        self.was_lost = last < synced or (not is_clean and boot_id != _boot_id())  # the first: the file was cut
        if self.was_lost:  # pages reach a disk in any order: beyond a hole reports may be missing before it
            whole = synced
            while self.find(whole + 1) is not None:
                whole += 1
            self._find_after(whole)
            self.next_out = reserved + 1
        else:
            self._find_after(last)
            self.next_out = last + 1
        self._reserve(max(reserved, self.next_out - 1 + BLOCK))

    def _last_number(self) -> int:
        """Return the last number with a row."""
        if self._is_ring:
            found = (os.pread(self._file, _ROW.size, _offset(slot)) for slot in range(1, RING + 1))
            numbers = (_ROW.unpack(data)[0] for data in found if len(data) == _ROW.size)
            return max((number for number in numbers if self.find(number) is not None), default=0)
        number = (os.fstat(self._file).st_size - _HEAD_BYTES) // _ROW.size
        while number > 0 and self.find(number) is None:
            number -= 1
        return max(number, 0)

    def _find_after(self, last: int) -> None:
        """Find the place of the last report among the rows; admin messages have none."""
        for number in range(last, max(last - RING, 0) if self._is_ring else 0, -1):
            sent = self.find(number)
            if sent is not None and sent.place != ADMIN:
                self.after = sent.place
                return


def open_index(folder: Path, name: str, epoch: int, *, is_unused: bool, after: Place, is_ring: bool = False) -> Index:
    """Open the index of a session's epoch, and remove those of earlier ones; a new one is a ring if wanted.

    An epoch that is `unused`, nothing having come in yet, may have none: it goes on after the last report of the epoch
    before, if that is known, else after `after`. Raises `ClientError` when the index of a used epoch is gone.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}-{epoch}.index"
    earlier = sorted(
        (found for found in folder.glob(f"{name}-*.index") if _epoch_of(found, name) < epoch),
        key=lambda found: _epoch_of(found, name),
    )
    was_lost = False
    if is_unused and path.exists() and not _has_head(path):
        path.unlink()  # the process ended, or the power, while it was made: no number can have been used
    if not path.exists():
        if not is_unused:
            raise ClientError(f"{path} is gone: the client must reset the numbers (141=Y)")
        if earlier:
            before = Index(earlier[-1], _epoch_of(earlier[-1], name), after)
            after, was_lost = before.after, before.was_lost
            before.close()
    index = Index(path, epoch, after, is_ring=is_ring)
    index.was_lost = index.was_lost or was_lost  # the reports after it may have been sent in the epoch before
    for found in earlier:
        found.unlink()
    return index


def _has_head(path: Path) -> bool:
    with path.open("rb") as file:
        return any(file.read(_HEAD_BYTES))


def _epoch_of(path: Path, name: str) -> int:
    """Return the epoch in a file's name; of another session's file one that is above all."""
    text = path.name.removeprefix(f"{name}-").removesuffix(".index")
    return int(text) if text.isdecimal() else _NUMBER_MAX


def _offset(number: int) -> int:
    assert 1 <= number <= _NUMBER_MAX
    return _HEAD_BYTES + (number - 1) * _ROW.size


def _boot_id() -> bytes:
    """Return what differs from boot to boot; without it, every opening is as after a loss of power."""
    try:
        return bytes.fromhex(_BOOT_ID.read_text().strip().replace("-", ""))
    except OSError:
        return os.urandom(16)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
