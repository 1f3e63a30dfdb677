"""Journals for benches: flows written in batches of a size, and bare LMDB commits to hold the journal's against."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final, Self

import lmdb
import numpy as np

from journal.writer import Writer
from kk99 import build
from kk99.bench import venue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from kk99.batch import Commands, Rows

VENUE_ID: Final = bytes(range(16))
COMMIT_BATCHES: Final = 8
"""Batches that share a commit where commits are not what is measured; the engine's largest."""
_MAP_BYTES: Final = 64 << 30

Batch = tuple[int, int, list[Any]]
"""What `Writer.append` takes: first_seq, count, pieces of the frame."""


def batches_of(rows: Rows, batch_rows: int) -> Iterator[Batch]:
    """Yield stamped rows as batches for the writer."""
    for start in range(0, len(rows), batch_rows):
        part = rows[start : start + batch_rows]
        yield int(part["seq"][0]), len(part), venue.plain(part).pieces()


def set_up_batches(setup: Iterator[Commands]) -> Iterator[Batch]:
    """Yield a venue's set-up as batches from the first sequence on."""
    first_seq = 1
    for commands in setup:
        stamped = build.stamp(commands, first_seq, venue.TIME_NS)
        yield first_seq, len(stamped.rows), stamped.pieces()
        first_seq += len(stamped.rows)


def write(folder: Path, batches: Iterable[Batch]) -> None:
    """Write batches into a new journal, several a commit."""
    with Writer(folder, VENUE_ID) as writer:
        waiting: list[Batch] = []
        for one in batches:
            waiting.append(one)
            if len(waiting) == COMMIT_BATCHES:
                writer.append(waiting)
                waiting = []
        if waiting:
            writer.append(waiting)


class BareCommits:
    """An LMDB environment of one put a commit, synced as LMDB syncs by default: what durability costs at the least."""

    def __init__(self, folder: Path, value_bytes: int) -> None:
        self._environment = lmdb.open(str(folder), map_size=_MAP_BYTES)
        self._value = os.urandom(value_bytes)
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._environment.close()

    def commit_ns(self) -> int:
        """Commit one value and return the nanoseconds that took."""
        self._number += 1
        began = time.perf_counter_ns()
        with self._environment.begin(write=True) as txn:
            txn.put(self._number.to_bytes(8, "big"), self._value, append=True)
        return time.perf_counter_ns() - began


def percentile_us(ns: list[int] | npt.NDArray[np.int64], share: float) -> float:
    """Return a percentile of nanoseconds, in microseconds."""
    return float(np.percentile(ns, share)) / 1000
