"""The bounded ring between ingress and the stages: commands under way, in sequence, each copied in once.

::

    ingress ─put─▶ [released … cut … head] ─cut─▶ batches ─▶ journal and core

Invariants:
- the row of sequence `seq` lies at `seq & (capacity - 1)`; a row is not overwritten before it is both durable and
  applied;
- one thread puts, one thread cuts; `head_seq` is written last, so what lies at or below it is whole;
- a batch is a view of the ring, but for its documents, which are joined into a tail of its own with the offsets to
  match.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kk99 import batch, schema

_SEQ: Final = schema.word_of(schema.COMMAND, "seq")
_TIME: Final = schema.word_of(schema.COMMAND, "time_ns")
_SEQ_TIME: Final = struct.Struct("<qq")
assert (_SEQ, _TIME) == (0, 1)
_NO_COLD: Final = np.zeros(0, schema.COLD)


@dataclass(frozen=True, slots=True)
class Batch:
    """Commands with contiguous sequences, as they are journaled and applied together."""

    first_seq: int
    last_seq: int
    commands: batch.Commands


class Ring:
    """`capacity` command rows (a power of two), as many cold rows, and at most `tail_bytes_max` of documents."""

    def __init__(self, capacity: int, tail_bytes_max: int, last_seq: int) -> None:
        assert capacity & (capacity - 1) == 0
        self.capacity = capacity
        self.head_seq = last_seq
        self.cut_seq = last_seq
        self._mask = capacity - 1
        self._rows = np.zeros(capacity, schema.COMMAND)
        self._words = self._rows.view(np.int64).reshape(capacity, schema.ROW_WORDS)
        self._bytes = self._words.data.cast("B")
        self._counting = np.arange(capacity, dtype=np.int64)
        self._cold = np.zeros(capacity, schema.COLD)
        self._cold_words = self._cold.view(np.int64).reshape(capacity, schema.ROW_WORDS)
        self._cold_put = 0
        self._cold_cut = 0
        self._documents: deque[tuple[int, bytes]] = deque()
        self._tail_bytes_max = tail_bytes_max
        self._tail_bytes = 0
        self._tails: deque[tuple[int, int]] = deque()

    def has_room(self, row_count: int, document_bytes: int, released_seq: int) -> bool:
        """Whether so much can be put now that all up to `released_seq` is done with."""
        while self._tails and self._tails[0][0] <= released_seq:
            self._tail_bytes -= self._tails.popleft()[1]
        rows_fit = self.head_seq + row_count - released_seq <= self.capacity
        return rows_fit and self._tail_bytes + document_bytes <= self._tail_bytes_max

    def put(self, commands: batch.Commands, time_ns: int, document_bytes: int = 0) -> int:
        """Copy commands in, stamped with the next sequences and the time; the last sequence. There must be room."""
        count, first_seq = len(commands.rows), self.head_seq + 1
        at = first_seq & self._mask
        if count == 1:
            begin = at * schema.ROW_SIZE
            self._bytes[begin : begin + schema.ROW_SIZE] = commands.rows.tobytes()
            _SEQ_TIME.pack_into(self._bytes, begin, first_seq, time_ns)
        else:
            self._put_rows(commands.rows, at, first_seq, time_ns)
        if len(commands.cold):
            self._put_cold(commands.cold)
        last_seq = first_seq + count - 1
        if document_bytes or len(commands.tail):
            self._put_documents(commands, first_seq)
            self._tails.append((last_seq, document_bytes))
            self._tail_bytes += document_bytes
        self.head_seq = last_seq
        return last_seq

    def cut(self, row_count_max: int) -> Batch | None:
        """Return the next batch of what was put and not cut yet, or None."""
        first_seq = self.cut_seq + 1
        at = first_seq & self._mask
        count = min(self.head_seq - self.cut_seq, row_count_max, self.capacity - at)
        if count == 0:
            return None
        documents = self._take_documents(first_seq, first_seq + count - 1)
        if documents is not None:
            count = min(count, documents[2] - self.cut_seq)
        rows, tail = self._rows[at : at + count], b""
        if documents is not None and documents[0]:
            rows, tail = _with_documents(rows, documents[0], documents[1])
        self.cut_seq += count
        return Batch(first_seq, self.cut_seq, batch.Commands(rows, self._cut_cold(rows), tail))

    def _put_rows(self, rows: batch.Rows, at: int, first_seq: int, time_ns: int) -> None:
        count = len(rows)
        before_end = min(count, self.capacity - at)
        # Copied as words: by field takes 5 times as long.
        words = rows.view(np.int64).reshape(count, schema.ROW_WORDS)
        self._words[at : at + before_end] = words[:before_end]
        self._stamp(at, before_end, first_seq, time_ns)
        if before_end < count:
            self._words[: count - before_end] = words[before_end:]
            self._stamp(0, count - before_end, first_seq + before_end, time_ns)

    def _stamp(self, at: int, count: int, first_seq: int, time_ns: int) -> None:
        words = self._words[at : at + count]
        np.add(self._counting[:count], first_seq, out=words[:, _SEQ])
        words[:, _TIME] = time_ns

    def _put_cold(self, cold: batch.Rows) -> None:
        at = self._cold_put & self._mask
        before_end = min(len(cold), self.capacity - at)
        words = cold.view(np.int64).reshape(len(cold), schema.ROW_WORDS)
        self._cold_words[at : at + before_end] = words[:before_end]
        self._cold_words[: len(cold) - before_end] = words[before_end:]
        self._cold_put += len(cold)

    def _cut_cold(self, rows: batch.Rows) -> batch.Rows:
        if self._cold_cut == self._cold_put:
            return _NO_COLD
        count = int(np.count_nonzero(rows["flags"] & schema.Flag.HAS_COLD))
        at = self._cold_cut & self._mask
        self._cold_cut += count
        if at + count <= self.capacity:
            return self._cold[at : at + count]
        return np.concatenate([self._cold[at:], self._cold[: at + count - self.capacity]])

    def _put_documents(self, commands: batch.Commands, first_seq: int) -> None:
        rows = commands.rows
        for index in np.flatnonzero(rows["kind"] >= schema.FIRST_DOCUMENT_KIND).tolist():
            offset, size = int(rows["document_offset"][index]), int(rows["document_size"][index])
            self._documents.append((first_seq + index, bytes(commands.tail[offset : offset + size])))

    def _take_documents(self, first_seq: int, last_seq: int) -> tuple[list[int], list[bytes], int] | None:
        """Return indexes and documents up to `last_seq`, or to where the tail is full, and that sequence."""
        if not self._documents or self._documents[0][0] > last_seq:
            return None
        indexes: list[int] = []
        documents: list[bytes] = []
        size = 0
        while self._documents and self._documents[0][0] <= last_seq:
            seq, document = self._documents[0]
            if size + len(document) > batch.TAIL_BYTES_MAX:
                return indexes, documents, seq - 1
            self._documents.popleft()
            indexes.append(seq - first_seq)
            documents.append(document)
            size += len(document)
        return indexes, documents, last_seq


def _with_documents(rows: batch.Rows, indexes: list[int], documents: list[bytes]) -> tuple[batch.Rows, bytes]:
    """Return a copy of the rows whose offsets fit the joined documents, and these."""
    rows = rows.copy()
    sizes: npt.NDArray[np.int64] = np.array([len(document) for document in documents], np.int64)
    rows["document_offset"][indexes] = np.cumsum(sizes) - sizes
    rows["document_size"][indexes] = sizes
    return rows, b"".join(documents)


def document_bytes(commands: batch.Commands) -> int:
    """Return how many bytes the documents of the rows take, each counted for itself."""
    rows = commands.rows
    if not len(commands.tail):
        return 0
    return int(rows["document_size"][rows["kind"] >= schema.FIRST_DOCUMENT_KIND].sum(dtype=np.int64))
