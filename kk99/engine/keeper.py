"""The keeper: copies of the state for snapshots and images, and syncing the event store, away from the core's thread.

Invariants:
- the core copies its sections between batches, a little at a time, into memory that is used again, and only while the
  keeper is idle; the keeper looks at them only once they are complete;
- a snapshot is written only when the journal and the event store are durable to its sequence;
- an image leaves only when its sequence is durable.
"""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from kk99 import batch, kinds
from kk99.paths import DataDir

if TYPE_CHECKING:
    from collections.abc import Callable

    from kk99.config import EngineSettings
    from kk99.engine.ports import EventStore, Machine, Ports, Sections
    from kk99.engine.progress import Counters, Progress

IMAGE_FRAME_ROWS: Final = 16_384
_POLL_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Image:
    """The whole state at a sequence as encoded event frames."""

    seq: int
    last_event: tuple[int, int]
    frames: list[bytes]


@dataclass(frozen=True, slots=True)
class _Job:
    """What the copied sections are for."""

    is_image: bool
    is_snapshot: bool


class Keeper:
    """Runs in a thread of its own; `deliver` takes an image to those who asked."""

    def __init__(
        self,
        settings: EngineSettings,
        ports: Ports,
        machine: Machine,
        venue_id: bytes,
        store: EventStore,
        progress: Progress,
        counters: Counters,
        deliver: Callable[[Image], None],
        snapshot_seq: int,
    ) -> None:
        self.image_wanted = False
        """Set by whoever wants an image; the core takes it back when it has copied for one."""
        self._settings = settings
        self._ports = ports
        self._venue_id = venue_id
        self._store = store
        self._progress = progress
        self._counters = counters
        self._deliver = deliver
        self._snapshot_seq = snapshot_seq
        self._inbox: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._sections = ports.new_sections()
        self._machine = machine
        self._is_busy = True  # until there is room for a copy
        self._begun: _Job | None = None  # what the core is copying for
        self._synced_at = time.monotonic()

    def after_batch(self, machine: Machine) -> bool:
        """Begin to copy the state if a snapshot is due or an image is wanted, or copy a little more of it.

        The core stage calls this between batches; returns whether there is more to copy.
        """
        if self._is_busy:
            return False
        began_ns = time.perf_counter_ns()
        if self._begun is not None:
            if self._sections.advance():
                self._is_busy = True
                self._inbox.put(self._begun)
                self._begun = None
        elif not self._begin(machine):
            return False
        self._counters.snapshot_stall_ns = max(self._counters.snapshot_stall_ns, time.perf_counter_ns() - began_ns)
        return self._begun is not None

    def _begin(self, machine: Machine) -> bool:
        """Begin to copy the state if it is wanted; return whether it is."""
        every = self._settings.snapshot_commands
        is_snapshot = every > 0 and machine.seq - self._snapshot_seq >= every
        is_image = self.image_wanted
        if not is_snapshot and not is_image:
            return False
        self.image_wanted = False
        self._sections.begin(machine)
        if is_snapshot:
            self._snapshot_seq = machine.seq
        self._begun = _Job(is_image, is_snapshot)
        return True

    def prepare(self) -> None:
        """Make room for the next copy, with some growth."""
        self._sections.reserve(self._machine)
        self._is_busy = False

    def step(self) -> None:
        """Do one piece of work, or wait a little for one."""
        if time.monotonic() - self._synced_at >= self._settings.event_store_sync_s:
            self._store.sync()
            self._synced_at = time.monotonic()
        try:
            job = self._inbox.get(timeout=min(0.2, self._settings.event_store_sync_s))
        except queue.Empty:
            return
        sections, progress = self._sections, self._progress
        if job.is_image:
            frames = image_frames(self._ports.machine_of(sections.canonical()).image())
            if self._await(lambda: progress.durable_seq >= sections.seq):
                self._counters.images += 1
                self._deliver(Image(sections.seq, sections.last_event, frames))
        if job.is_snapshot and self._await(lambda: progress.stored_seq >= sections.seq):
            self.write(sections)
        self.prepare()

    def write(self, sections: Sections) -> None:
        """Make the event store durable, then write a snapshot; the journal and the store hold its sequence already."""
        seq = sections.seq
        assert self._progress.durable_seq >= seq
        assert self._progress.stored_seq >= seq
        self._store.sync()
        folder = DataDir(self._settings.data_dir).snapshots
        self._ports.write_snapshot(folder, sections, self._venue_id, self._settings.snapshots_kept)
        self._counters.snapshots += 1
        self._counters.snapshot_seq = seq

    def write_last(self, machine: Machine) -> None:
        """Write a snapshot of a machine that has come to rest, if there is anything new to it."""
        if machine.seq > self._counters.snapshot_seq:
            self._sections.begin(machine)
            while not self._sections.advance():
                pass
            self.write(self._sections)

    def _await(self, is_reached: Callable[[], bool]) -> bool:
        while not is_reached():
            if self._progress.failed:
                return False
            time.sleep(_POLL_S)
        return True


def image_frames(events: batch.Events) -> list[bytes]:
    """Return an image as encoded frames, each within the bounds of a frame; at least one."""
    frames: list[bytes] = []
    for start in range(0, max(len(events.rows), 1), IMAGE_FRAME_ROWS):
        frames += _encoded(events, events.rows[start : start + IMAGE_FRAME_ROWS])
    return frames


def _encoded(events: batch.Events, rows: batch.Rows) -> list[bytes]:
    has_document = kinds.has_document(rows)
    tail: bytes | memoryview = b""
    if has_document.any():
        offsets = rows["document_offset"][has_document].astype(np.int64)
        low = int(offsets.min())
        high = int((offsets + rows["document_size"][has_document]).max())
        if high - low > batch.TAIL_BYTES_MAX:
            middle = len(rows) // 2
            return _encoded(events, rows[:middle]) + _encoded(events, rows[middle:])
        tail = memoryview(events.tail)[low:high]
        rows = rows.copy()
        rows["document_offset"][has_document] = offsets - low
    return [batch.Events(rows, tail, events.previous, events.last_seq).encode()]
