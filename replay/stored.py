"""The event store compared with the events that the log brings forth again.

Invariants, each a test:
- the store may begin late (it is pruned) and end early (it is synced now and then), but has no hole, no other event;
- a difference is named by the command and the index of the first event that differs.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import lmdb
import numpy as np

from journal import pages, storage
from journal.event_store import READ_BYTES
from journal.lock import is_live
from kk99 import batch, kinds, schema
from kk99.errors import JournalError
from replay import columns, documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kk99.paths import DataDir

Key = tuple[int, int]
"""(cause_seq, index) of an event."""


def key_of(row: np.void) -> Key:
    """Return the (cause_seq, index) of an event row."""
    return int(row["cause_seq"]), int(row["index"])


class StoredEvents:
    """Stored frames, taken in step with other events that should be the same.

    `problem` is (seq, text) of the first difference, after which nothing is compared any more; `wrong` how the others
    and the store have that event.
    """

    def __init__(self, frames: Iterable[bytes | memoryview]) -> None:
        """Begin with the first frame."""
        self._frames: Iterator[bytes | memoryview] = iter(frames)
        self._frame = batch.Events(np.zeros(0, schema.EVENT))
        self._rows: batch.Rows = self._frame.rows
        self._documents: list[bytes] = []
        self.first: Key | None = None
        self.last: Key | None = None
        self.compared = 0
        self.problem: tuple[int, str] | None = None
        self.wrong: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        if self._fill():
            self.first = key_of(self._rows[0])

    @classmethod
    @contextmanager
    def opened(cls, data: DataDir) -> Iterator[Self]:
        """Begin with the first frame of a venue's event store; a store that does not exist is empty."""
        if not (data.events / pages.DATA_FILE).exists():
            yield cls([])
            return
        try:
            if not is_live(data.journal):
                pages.check_tree(data.events)
            environment = storage.acquire(data.events, lock=os.access(data.events, os.W_OK))
        except (pages.PageError, lmdb.Error) as error:
            broken = cls([])
            broken.problem = (0, f"the event store can't be read: {error}")
            yield broken
            return
        try:
            yield cls(_frames(environment))
        finally:
            storage.release(data.events)

    def take_frame(self) -> batch.Events | None:
        """Return the next stored events, not compared with anything, or None at the end."""
        if not self._fill():
            return None
        self._rows = self._rows[:0]
        return self._frame

    def begin_after(self, last: Key) -> None:
        """Pass over the stored events up to one that is not compared; the next is the first."""
        while self._fill():
            rows = self._rows
            early = (rows["cause_seq"] < last[0]) | ((rows["cause_seq"] == last[0]) & (rows["index"] <= last[1]))
            passed = int(np.count_nonzero(early))
            self._drop(passed)
            if passed < len(rows):
                self.first = key_of(self._rows[0])
                return
        self.first = None

    def compare(self, events: batch.Events) -> None:
        """Compare the next events, of which those before the store's first one are passed over."""
        if self.problem is not None or self.first is None:
            return
        rows, texts = documents.detached(events.rows, events.tail)
        if self.compared == 0:
            rows, texts = self._from_first(rows, texts)
        while len(rows) and self._fill():
            count = min(len(rows), len(self._rows))
            self._compare(rows[:count], texts)
            texts = texts[self._take(count) :]
            rows = rows[count:]

    def leftover(self) -> tuple[int, str] | None:
        """Return (seq, text) if the store holds more events than were compared."""
        if self.problem is None and self._fill():
            seq, index = key_of(self._rows[0])
            return seq, f"the event store holds event {seq}.{index}, which no command of the log causes"
        return None

    def summary(self) -> str:
        """Return in a sentence what was compared."""
        if self.first is None or self.last is None:
            return "no stored event was compared"
        first, last = (f"{seq}.{index}" for seq, index in (self.first, self.last))
        return f"{self.compared:,} stored events compared, from {first} to {last}"

    def _from_first(self, rows: batch.Rows, texts: list[bytes]) -> tuple[batch.Rows, list[bytes]]:
        assert self.first is not None
        seq, index = self.first
        early = (rows["cause_seq"] < seq) | ((rows["cause_seq"] == seq) & (rows["index"] < index))
        passed = int(np.count_nonzero(early))
        return rows[passed:], texts[int(np.count_nonzero(kinds.has_document(rows[:passed]))) :]

    def _compare(self, rows: batch.Rows, texts: list[bytes]) -> None:
        """Compare as many rows as given, and their documents, the first of `texts`."""
        stored = self._rows[: len(rows)]
        marked = np.flatnonzero(kinds.has_document(rows))
        texts = texts[: len(marked)]
        if rows.tobytes() == stored.tobytes() and texts == self._documents[: len(marked)]:
            return
        words = rows.view(np.int64).reshape(len(rows), -1) != stored.view(np.int64).reshape(len(rows), -1)
        found = [int(at) for at in np.flatnonzero(words.any(axis=1))[:1]]
        pairs = zip(marked, texts, self._documents, strict=False)
        found += [int(at) for at, text, other in pairs if text != other][:1]
        at = min(found)
        seq, index = key_of(rows[at])
        self.wrong = (self._described(rows, at, texts), self._described(stored, at, self._documents))
        self.problem = (seq, f"event {seq}.{index} is stored otherwise: {_difference(*self.wrong)}")

    @staticmethod
    def _described(rows: batch.Rows, at: int, texts: list[bytes]) -> dict[str, Any]:
        before = int(np.count_nonzero(kinds.has_document(rows[:at])))
        return columns.described(rows[at], texts[before] if before < len(texts) else b"")

    def _take(self, count: int) -> int:
        """Drop rows that were compared; return how many documents they had."""
        self.last = key_of(self._rows[count - 1])
        self.compared += count
        return self._drop(count)

    def _drop(self, count: int) -> int:
        marked = int(np.count_nonzero(kinds.has_document(self._rows[:count])))
        self._rows, self._documents = self._rows[count:], self._documents[marked:]
        return marked

    def _fill(self) -> bool:
        """Read frames until there is a row to compare; return whether there is."""
        while not len(self._rows) and self.problem is None:
            try:
                data = next(self._frames, None)
                if data is None:
                    return False
                self._frame = batch.decode_events(data)
            except (JournalError, batch.FrameError) as error:
                self.problem = (self.last[0] if self.last else 0, f"the event store can't be read: {error}")
                return False
            self._rows, self._documents = documents.detached(self._frame.rows, self._frame.tail)
        return self.problem is None


def _frames(environment: lmdb.Environment) -> Iterator[bytes]:
    """Yield the frames in order, in short transactions; opened thus, the store is not changed, as its owner would do.

    Their checksums are not looked at: every byte is compared with what it should be.
    """
    key = b""
    while True:
        found: list[bytes] = []
        size = 0
        with environment.begin() as txn, txn.cursor() as cursor:
            more = cursor.set_range(key) if key else cursor.first()
            while more and size < READ_BYTES:
                found.append(bytes(cursor.value()))
                size += len(found[-1])
                key = bytes(cursor.key()) + b"\0"
                more = cursor.next()
        yield from found
        if not found:
            return


def _difference(wanted: dict[str, Any], stored: dict[str, Any]) -> str:
    """Return the fields in which two described events differ."""
    names = [name for name in {**wanted, **stored} if wanted.get(name) != stored.get(name)]
    return ", ".join(f"{name} {stored.get(name, 0)} instead of {wanted.get(name, 0)}" for name in names)
