"""The engine as a process: the real ports, logs, signals, readiness."""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

import structlog

from journal.event_store import EventStore
from journal.reader import Reader
from journal.writer import Writer
from kk99 import batch
from kk99.core import layout as lay
from kk99.engine.engine import Engine
from kk99.engine.kernel import load_kernel
from kk99.engine.ports import Machine, Ports, Sections, SystemClock, free_bytes
from kk99.engine.watch import Watch
from kk99.errors import SnapshotError
from kk99.logs import configure_logs, stand_at
from kk99.machine import Machine as VenueMachine
from kk99.machine import Sections as VenueSections
from kk99.notify import Heart, LongStart, notify
from snapshots import store as snapshot_store
from snapshots.format import Meta

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kk99.config import EngineSettings

EXIT_BROKEN: Final = 70
"""Status of an engine that found something broken: the service manager starts it again."""

_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger("engine")


class _StopWanted(Exception):  # noqa: N818 - it is no error
    """A signal came before clients were served."""


def _read_journal(folder: Path, from_seq: int) -> Iterator[tuple[int, batch.Commands]]:
    with Reader(folder) as reader:
        for item in reader.batches(from_seq):
            yield item.first_seq, batch.decode_commands(item.frame)


def _load_snapshot(folder: Path, venue_id: bytes, at_most_seq: int) -> tuple[Machine, list[str]]:
    skipped: list[str] = []
    while True:
        found, bad = snapshot_store.newest_good(folder, venue_id, at_most_seq=at_most_seq)
        skipped += [f"{item.path.name}: {item.reason}" for item in bad]
        if found is None:
            return VenueMachine(), skipped
        try:
            return VenueMachine.from_sections(found.sections), skipped
        except SnapshotError as error:
            skipped.append(f"{found.path.name}: {error}")
            at_most_seq = found.meta.seq - 1


def _write_snapshot(folder: Path, sections: Sections, venue_id: bytes, keep: int) -> None:
    meta = Meta(venue_id, sections.seq, sections.time_ns, sections.last_event, sections.hash())
    snapshot_store.write(folder, sections.canonical(), meta)
    snapshot_store.prune(folder, keep)


def _trades_of(machine: VenueMachine) -> int:
    return machine.state.header(lay.H_TRADES)


def real_ports() -> Ports:
    """Return the ports of production."""
    return Ports(
        clock=SystemClock(),
        new_machine=VenueMachine,
        new_sections=VenueSections,
        machine_of=VenueMachine.from_sections,
        open_writer=Writer,
        read_journal=_read_journal,
        open_events=EventStore,
        load_snapshot=_load_snapshot,
        write_snapshot=_write_snapshot,
        free_bytes=free_bytes,
        trades_of=_trades_of,
    )


def main(settings: EngineSettings, *, json_log: bool = False) -> int:
    """Run until SIGTERM or SIGINT; the exit status. Raises `KK99Error` when it can't start."""
    configure_logs(json_log, "engine")
    return run(settings, real_ports())


def run(settings: EngineSettings, ports: Ports) -> int:
    """Run an engine with the given ports until SIGTERM or SIGINT; the exit status."""
    began = time.monotonic()
    engine = Engine(settings, ports, _die)
    start = LongStart()
    notify("STATUS=compiling")
    engine.kernel = load_kernel(lambda part, done, count: _report_kernel(part, done, count, start))
    notify("STATUS=recovering")
    stop = _watch_signals()
    try:
        engine.start(lambda text: _report_recovery(text, start, stop))
    except _StopWanted:
        log.info("stopped while recovering")
        return 0
    stand_at(lambda: engine.progress.durable_seq)
    gc.collect()
    gc.freeze()  # what is there now stays: a full collection would stop a batch for a tenth of a second
    notify(f"READY=1\nSTATUS=at seq {engine.progress.durable_seq}")
    print(  # noqa: T201 - the one line that a person or a script waits for
        f"kk99 engine ready at {settings.address}, seq {engine.progress.durable_seq}, {time.monotonic() - began:.2f} s",
        flush=True,
    )
    _watch_over(engine, stop)
    notify("STOPPING=1")
    log.info("stopping", seq=engine.progress.durable_seq)
    engine.stop()
    log.info("stopped", seq=engine.progress.durable_seq)
    return 0


def _watch_over(engine: Engine, stop: int) -> None:
    """Wait for a signal; meanwhile feed the watchdog for as long as the stages get on."""
    watch, heart = Watch(engine.standing), Heart()
    heart.beat()
    while not select.select([stop], [], [], heart.interval_s)[0]:
        if stuck := watch.stuck():
            log.error("stuck", what=stuck)
        else:
            heart.beat(f"at seq {engine.progress.durable_seq}")


def _watch_signals() -> int:
    """Return a descriptor that is ready to read once a signal came, whichever thread the kernel gave it to.

    A mask would not do: threads that libraries began at their import do not have it.
    """
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: None)  # to the very end: a second one must not cut the shutdown short
    return reader


def _report_kernel(part: str, done: int, count: int, start: LongStart) -> None:
    log.info("kernel", part=part, done=done, of=count)
    start.step(f"compiling {part}, {done} of {count}")


def _report_recovery(text: str, start: LongStart, stop: int) -> None:
    """Tell how recovery goes; a long one is left off at a signal, since nothing is lost with it."""
    log.info("recovery", text=text)
    start.step(text)
    if select.select([stop], [], [], 0)[0]:
        raise _StopWanted


def _die(stage: str, error: BaseException) -> None:
    """Stop the process at once: what is durable is in the journal, and replay restores the rest."""
    log.critical("broken", stage=stage, exc_info=error)
    sys.stderr.flush()
    os._exit(EXIT_BROKEN)
