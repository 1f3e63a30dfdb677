"""The engine's figures: read off the stages' counters when somebody asks, so that the path of a command pays nothing.

Invariant: everything is read, nothing written, in the reporter's thread; a number may be a moment older than another.
"""

from __future__ import annotations

import contextlib
import time
from importlib import metadata
from typing import TYPE_CHECKING

from kk99.metrics.figures import Counts
from kk99.paths import DataDir

if TYPE_CHECKING:
    from pathlib import Path

    from kk99.config import EngineSettings
    from kk99.engine.clock import StampClock
    from kk99.engine.kernel import Kernel
    from kk99.engine.ports import Ports
    from kk99.engine.progress import Counters, Progress
    from kk99.engine.ring import Ring
    from kk99.engine.sequencer import Sequencer
    from kk99.engine.stages import OutputStage
    from kk99.metrics.figures import Figures

_BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the disk's own."""


class EngineFigures:
    """Knows where each figure of a running engine stands."""

    def __init__(
        self,
        settings: EngineSettings,
        ports: Ports,
        kernel: Kernel | None,
        counters: Counters,
        progress: Progress,
        ring: Ring,
        output: OutputStage,
        sequencer: Sequencer,
        clock: StampClock,
    ) -> None:
        self._settings = settings
        self._ports = ports
        self._kernel = kernel
        self._counters = counters
        self._progress = progress
        self._ring = ring
        self._output = output
        self._sequencer = sequencer
        self._clock = clock
        self._started_s = time.time()
        self._folders = DataDir(settings.data_dir)

    def add_to(self, figures: Figures) -> None:
        """Add all of them."""
        if self._kernel is not None:
            figures.add("kk99_engine_info", 1, self._kernel.lane, metadata.version("kk99"))
            figures.add("kk99_engine_kernel_load_seconds", self._kernel.load_s)
            figures.add("kk99_engine_kernel_compiled_functions", self._kernel.compiled)
        self._add_times(figures)
        self._add_counters(figures)
        self._add_standing(figures)
        self._add_disk(figures)

    def _add_times(self, figures: Figures) -> None:
        counters, times = self._counters, self._counters.times
        figures.add("kk99_engine_processing_seconds", times.processing)
        figures.add("kk99_engine_trade_latency_seconds", times.trade_latency)
        figures.add("kk99_engine_gate_wait_seconds", times.gate_wait)
        figures.add("kk99_engine_apply_seconds", times.apply)
        figures.add("kk99_engine_batch_commands", times.batch_commands)
        commits = Counts(tuple(counters.commit_us_buckets), counters.journal_ns / 1_000)
        figures.add("kk99_engine_commit_seconds", commits)
        for stage in ("ingress", "journal", "core", "output"):
            figures.add("kk99_engine_stage_busy_seconds_total", getattr(counters, f"{stage}_ns") / 1e9, stage)
        figures.add("kk99_engine_snapshot_stall_seconds", counters.snapshot_stall_ns / 1e9)

    def _add_counters(self, figures: Figures) -> None:
        counters = self._counters
        figures.add("kk99_engine_frames_total", counters.frames_taken)
        figures.add("kk99_engine_commands_total", counters.commands_taken, "client")
        figures.add("kk99_engine_commands_total", counters.commands_own, "sequencer")
        figures.add("kk99_engine_refused_messages_total", counters.frames_refused)
        for reason in ("full", "gap", "other"):
            figures.add("kk99_engine_busy_total", getattr(counters, f"busy_{reason}"), reason)
        figures.add("kk99_engine_sessions_bound_total", counters.sessions_bound)
        figures.add("kk99_engine_sessions_lost_total", counters.sessions_lost)
        figures.add("kk99_engine_output_waits_total", counters.output_waits)
        figures.add("kk99_engine_events_total", counters.events)
        figures.add("kk99_engine_event_bytes_total", counters.event_bytes)
        figures.add("kk99_engine_reads_total", counters.reads)
        figures.add("kk99_engine_images_total", counters.images)
        figures.add("kk99_engine_slow_clients_dropped_total", counters.answers_dropped + counters.queries_dropped)
        figures.add("kk99_engine_snapshots_total", counters.snapshots)
        figures.add("kk99_engine_conservation_checks_total", counters.checks, "batch")
        figures.add("kk99_engine_conservation_checks_total", counters.checks_full, "full")

    def _add_standing(self, figures: Figures) -> None:
        progress, ring, counters = self._progress, self._ring, self._counters
        # From the last stage to the first: each is then read no later than the one that it can't be ahead of.
        stored_seq, published_seq = progress.stored_seq, progress.published[0]
        applied_seq, durable_seq = progress.applied_seq, progress.durable_seq
        events_stored, events = counters.events_stored, counters.events
        depth, head_seq = ring.head_seq - progress.released_seq, ring.head_seq
        for stage, seq in (
            ("sequenced", head_seq), ("durable", durable_seq), ("applied", applied_seq), ("published", published_seq),
            ("stored", stored_seq),
        ):  # fmt: skip
            figures.add("kk99_engine_seq", seq, stage)
        figures.add("kk99_engine_ring_commands", depth)
        figures.add("kk99_engine_ring_capacity_commands", ring.capacity)
        figures.add("kk99_engine_durable_lag_commands", head_seq - durable_seq)
        figures.add("kk99_engine_event_store_lag_events", events - events_stored)
        figures.add("kk99_engine_output_waiting_bytes", self._output.waiting_bytes)
        figures.add("kk99_engine_output_limit_bytes", self._settings.output_bytes)
        figures.add("kk99_engine_sessions", self._sequencer.bound_count)
        figures.add("kk99_engine_pending_work", int(progress.pending_work))
        figures.add("kk99_engine_clock_jump_seconds", self._clock.jumped_ns / 1e9)
        figures.add("kk99_engine_snapshot_lag_commands", max(applied_seq - counters.snapshot_seq, 0))
        figures.add("kk99_engine_snapshot_every_commands", self._settings.snapshot_commands)

    def _add_disk(self, figures: Figures) -> None:
        settings, folders = self._settings, self._folders
        figures.add("kk99_disk_free_bytes", self._ports.free_bytes(settings.data_dir))
        figures.add("kk99_disk_reserve_bytes", settings.disk_reserve_bytes)
        snapshots = _files(folders.snapshots)
        newest_s = max((status[1] for status in snapshots), default=self._started_s)
        figures.add("kk99_engine_snapshot_age_seconds", max(time.time() - newest_s, 0.0))
        for part, files in (
            ("journal", _files(folders.journal)), ("events", _files(folders.events)), ("snapshots", snapshots),
        ):  # fmt: skip
            figures.add("kk99_data_bytes", sum(status[0] for status in files), part)


def _files(folder: Path) -> list[tuple[int, float]]:
    """Return (bytes on disk, time last written) of every file in a folder and in the folders in it."""
    found: list[tuple[int, float]] = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # pruned meanwhile
            status = path.stat()
            found.append((status.st_blocks * _BLOCK_BYTES, status.st_mtime))
    return found
