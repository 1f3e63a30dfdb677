"""`kk99 bench snapshot`: how long a batch waits at most while a snapshot of a large venue is copied and written.

As in the engine: there is room for the copy before; it is begun between two batches, goes on between those that follow,
and when it is complete, a thread hashes and writes it while the batches go on.
"""

from __future__ import annotations

import sys
import threading
import time
from statistics import median
from typing import TYPE_CHECKING, Final

from kk99.bench import flows, logs, venue
from kk99.bench.results import Result
from kk99.core.state import compile_kernel
from kk99.engine.engine import SWITCH_INTERVAL_S
from kk99.errors import InvariantError
from kk99.machine import Machine, Sections
from snapshots import store
from snapshots.format import Meta

if TYPE_CHECKING:
    from pathlib import Path

    from kk99.bench.options import Options

BENCH: Final = "snapshot"
SNAPSHOTS_MAX: Final = 10


class _Run:
    """Batches that follow one another, with the longest wait between the ends of two."""

    def __init__(self, scenario: venue.Scenario) -> None:
        self.machine = scenario.machine()
        self.batch_s: list[float] = []
        self._parts = iter(venue.parts(scenario.timed))
        self._ended = time.perf_counter()

    def step(self) -> bool:
        """Apply a batch; False when there is none left."""
        part = next(self._parts, None)
        if part is None:
            return False
        venue.apply_all(self.machine, part)
        now = time.perf_counter()
        self.batch_s.append(now - self._ended)
        self._ended = now
        return True

    def pause(self) -> None:
        """Begin to count again from now."""
        self._ended = time.perf_counter()


def run(options: Options) -> list[Result]:
    """Return every figure of the bench."""
    compile_kernel()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    scenario = venue.scenario(flows.deep(options))
    running, sections = _Run(scenario), Sections()
    pauses_s: list[float] = []
    copy_s: list[float] = []
    write_s: list[float] = []
    with options.folder() as folder:
        while len(copy_s) < SNAPSHOTS_MAX:
            sections.reserve(running.machine)
            running.pause()
            if not running.step():
                break
            pauses = _copy_beside(running, sections)
            pauses_s += pauses
            copy_s.append(sum(pauses))
            _write_beside(running, sections, folder, write_s)
            options.say(
                f"snapshot {len(copy_s)}: copied in {len(pauses)} pauses of {max(pauses) * 1e3:.1f} ms at most, "
                f"written in {write_s[-1]:.2f} s"
            )
        size, load_s = _load(folder, sections.hash())
    usual_s = median(running.batch_s)
    return [
        Result(BENCH, "stall_ms", (max(running.batch_s) - usual_s) * 1e3, "ms"),
        Result(BENCH, "batch.p50_ms", usual_s * 1e3, "ms"),
        Result(BENCH, "copy.p50_ms", median(copy_s) * 1e3, "ms"),
        Result(BENCH, "copy.pause_max_ms", max(pauses_s) * 1e3, "ms"),
        Result(BENCH, "write.seconds", median(write_s), "s"),
        Result(BENCH, "load.seconds", load_s, "s"),
        Result(BENCH, "bytes", size, "B"),
    ]


def _copy_beside(running: _Run, sections: Sections) -> list[float]:
    """Copy the state while batches go on; return how long each pause between two of them took."""
    pauses_s: list[float] = []
    is_complete = False
    while not is_complete:
        began = time.perf_counter()
        if pauses_s:
            is_complete = sections.advance()
        else:
            sections.begin(running.machine)
        pauses_s.append(time.perf_counter() - began)
        running.step()
    return pauses_s


def _write_beside(running: _Run, sections: Sections, folder: Path, write_s: list[float]) -> None:
    """Write the copy in a thread while batches go on until it is written or none is left."""

    def write() -> None:
        began = time.perf_counter()
        meta = Meta(logs.VENUE_ID, sections.seq, sections.time_ns, sections.last_event, sections.hash())
        store.write(folder, sections.canonical(), meta)
        store.prune(folder, 1)
        write_s.append(time.perf_counter() - began)

    thread = threading.Thread(target=write)
    thread.start()
    while thread.is_alive() and running.step():
        pass
    thread.join()


def _load(folder: Path, state_hash: bytes) -> tuple[int, float]:
    """Load the newest snapshot as at a start; its bytes and the seconds that took."""
    began = time.perf_counter()
    found, skipped = store.newest_good(folder, logs.VENUE_ID)
    if found is None:
        raise InvariantError(f"no snapshot is good: {skipped}")
    Machine.from_sections(found.sections)
    seconds = time.perf_counter() - began
    if found.meta.state_hash != state_hash:
        raise InvariantError("the newest snapshot is not the one written last")
    return found.path.stat().st_size, seconds
