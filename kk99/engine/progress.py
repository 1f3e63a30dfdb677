"""What the stages know of one another: a few numbers that only rise, a wake-up each, and the counters for operators.

Each number has one writer; reading one is reading an int, which needs no lock.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Final

from kk99.metrics.figures import Histogram

COMMIT_BUCKETS: Final = 24
"""Commit times are counted by the power of two of microseconds they are below."""


class Signal:
    """Wakes one waiting thread; setting it twice before the wait is setting it once."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the waiter, or let its next wait return at once."""
        try:
            self._lock.release()
        except RuntimeError:  # it is set already
            return

    def wait(self, timeout_s: float) -> bool:
        """Wait until set; False when the time is up."""
        return self._lock.acquire(timeout=timeout_s)


@dataclass(slots=True)
class Progress:
    """How far each stage has come, as sequences."""

    durable_seq: int
    """Journal stage: all up to here is on disk."""
    applied_seq: int
    """Core stage: all up to here has its events made and checked."""
    pending_work: bool
    """Core stage: the core asks for CONTINUE commands (as of `applied_seq`)."""
    published: tuple[int, int]
    """Output stage: the last event that left, as (cause_seq, index)."""
    stored_seq: int
    """Output stage: the last command whose events are in the event store."""
    next_timer_ns: int = 0
    """Core stage: when the core's first timer is due (as of `applied_seq`), 0: none is set."""
    failed: bool = False
    """A stage broke: nothing may leave any more."""

    @property
    def released_seq(self) -> int:
        """All up to here is done with in the ring."""
        return min(self.durable_seq, self.applied_seq)


class Times:
    """Histograms since the start, counted once a batch or frame; each has one writer at a time."""

    def __init__(self) -> None:
        self.processing = Histogram("kk99_engine_processing_seconds")
        self.trade_latency = Histogram("kk99_engine_trade_latency_seconds")
        self.gate_wait = Histogram("kk99_engine_gate_wait_seconds")
        self.apply = Histogram("kk99_engine_apply_seconds")
        self.batch_commands = Histogram("kk99_engine_batch_commands")


@dataclass(slots=True)
class Counters:
    """Totals since the start; each has one writer."""

    frames_taken: int = 0
    commands_taken: int = 0
    commands_own: int = 0
    frames_refused: int = 0
    busy_full: int = 0
    busy_gap: int = 0
    busy_other: int = 0
    sessions_bound: int = 0
    sessions_lost: int = 0
    commits: int = 0
    batches: int = 0
    journal_ns: int = 0
    core_ns: int = 0
    output_ns: int = 0
    ingress_ns: int = 0
    events: int = 0
    event_frames: int = 0
    event_bytes: int = 0
    events_stored: int = 0
    output_waits: int = 0
    checks: int = 0
    checks_full: int = 0
    answers_dropped: int = 0
    queries_dropped: int = 0
    reads: int = 0
    images: int = 0
    snapshots: int = 0
    snapshot_seq: int = 0
    snapshot_stall_ns: int = 0
    commit_us_buckets: list[int] = field(default_factory=lambda: [0] * COMMIT_BUCKETS)
    times: Times = field(default_factory=Times)

    def count_commit(self, spent_ns: int, batch_count: int) -> None:
        """Count one commit of so many batches."""
        self.commits += 1
        self.batches += batch_count
        self.journal_ns += spent_ns
        self.commit_us_buckets[min((spent_ns // 1000).bit_length(), COMMIT_BUCKETS - 1)] += 1

    def snapshot(self) -> dict[str, Any]:
        """Return the totals by name, without the histograms of times."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "times"}
