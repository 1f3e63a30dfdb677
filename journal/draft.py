"""Segments written aside from batches that stand already: what a truncation keeps, what a backup copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from journal import format as record
from journal import storage
from kk99.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from journal.segment import Link


def opening_record(end: Link, venue_id: bytes) -> tuple[bytes, memoryview]:
    """Return key and value of the opening of a segment that continues `end`."""
    value = memoryview(bytearray(record.HEADER_SIZE))
    _fill(value, record.OPENING, end, venue_id)
    return record.OPENING_KEY, value


def truncation_record(index: int, end: Link, venue_id: bytes, text: bytes) -> tuple[bytes, memoryview]:
    """Return key and value of the record, JSON, of the truncation `index` after which a segment began."""
    value = memoryview(bytearray(record.HEADER_SIZE) + text)
    _fill(value, record.TRUNCATION, end, venue_id)
    return record.truncation_key(index), value


def _fill(value: memoryview, kind: int, end: Link, venue_id: bytes) -> None:
    record.fill_header(
        value, kind=kind, venue_id=venue_id, number=end.number, epoch=end.epoch, first_seq=end.next_seq, count=0,
        times_ns=(end.time_ns, end.time_ns), previous_hash=end.hash,
    )  # fmt: skip


class Draft:
    """An environment being written aside, durable when the block ends; without a path, nothing at all."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def __enter__(self) -> Self:
        if self._path is not None:
            self._path.mkdir(parents=True)
            self._environment = storage.acquire(self._path, write=True, sync=False)
        return self

    def put(self, records: Sequence[tuple[bytes, Any]]) -> None:
        """Store records whose keys are above all before."""
        if self._path is None:
            return
        with self._environment.begin(write=True) as txn:
            for key, value in records:
                if not txn.put(key, value, append=True):
                    raise JournalError("LMDB holds a higher key already")

    def sync(self) -> None:
        """Make what was put durable, so that what waits to be written never becomes a heap."""
        if self._path is not None:
            self._environment.sync(True)

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            self._environment.sync(True)
            storage.release(self._path)
            storage.sync_folder(self._path)
            storage.sync_folder(self._path.parent)
