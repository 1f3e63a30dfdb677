"""The engine put together: recovers, opens its sockets, runs its threads, drains and stops.

::

    ingress thread ─▶ ring ─▶ journal thread ─▶ core thread ─▶ output thread
    query thread (catch-up, images, counters)    keeper thread (snapshots, images)

Invariants: the sockets open only when the machine stands at the journal's end; whatever breaks in a thread stops the
process, and from then on nothing leaves.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
import zmq

from kk99 import transport
from kk99.engine import sockets
from kk99.engine.clock import StampClock
from kk99.engine.figures import EngineFigures
from kk99.engine.keeper import Keeper
from kk99.engine.progress import Counters, Progress
from kk99.engine.recovery import Recovered, Report, recover
from kk99.engine.ring import Ring
from kk99.engine.sequencer import Sequencer
from kk99.engine.servers import IngressServer, QueryServer
from kk99.engine.sessions import Hellos
from kk99.engine.stages import IDLE_S, CoreStage, JournalStage, OutputStage
from kk99.engine.watch import Standing
from kk99.errors import EngineError
from kk99.metrics.reporter import Reporter
from kk99.paths import DataDir
from kk99.protocol import EVENTS_SOCKET, EVENTS_TOPIC, QUERY_SOCKET, SUBMIT_SOCKET

if TYPE_CHECKING:
    from collections.abc import Callable

    from kk99.config import EngineSettings
    from kk99.engine.kernel import Kernel
    from kk99.engine.ports import Machine, Ports
    from kk99.metrics.figures import Figures

SWITCH_INTERVAL_S: Final = 0.00005
"""A thread that wakes with something urgent waits at most so long for the interpreter."""
_POLL_S: Final = 0.002

log = structlog.get_logger("engine")


class Engine:
    """One venue's engine. `on_fatal` is called by a thread that broke, with the stage's name and what was raised."""

    def __init__(self, settings: EngineSettings, ports: Ports, on_fatal: Callable[[str, BaseException], None]) -> None:
        self.settings = settings
        self._ports = ports
        self._on_fatal = on_fatal
        self._stages_stop = threading.Event()
        self._ingress_stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._turns = dict.fromkeys(("ingress", "journal", "core", "output", "query"), 0)
        self.counters = Counters()
        self.kernel: Kernel | None = None
        """What compiling or loading the core took, where that was looked at."""

    def start(self, report: Report) -> None:
        """Recover, open the sockets and run; returns when clients are served."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        recovered = recover(self.settings, self._ports, report)
        try:
            self._open(recovered)
        except BaseException:
            recovered.store.close()
            recovered.writer.close()
            raise
        self._build(recovered)
        self._lease_open_sessions(recovered.machine)
        self._reporter.start()
        self._run("output", self._output_loop)
        self._run("core", self._core_loop)
        self._run("journal", self._journal_loop)
        self._run("keeper", self._keeper_loop)
        self._run("query", self._query_loop)
        self._ingress = self._run("ingress", self._ingress_loop)

    def stop(self) -> None:
        """Take nothing more, finish and publish what was accepted, snapshot if so set, close."""
        self._sequencer.closing = True
        self._ingress_wake.set()
        deadline = time.monotonic() + self.settings.drain_s
        if not self._drain(deadline):
            return
        time.sleep(_POLL_S)  # one more turn of ingress, for the last acknowledgments
        self._ingress_stop.set()
        self._ingress_wake.set()
        self._ingress.join()
        if not self._drain(deadline):  # it may have been about to put something when closing was set
            return
        self._stages_stop.set()
        for wake in (self._journal.signal.set, self._output.signal.set, self._query_wake.set):
            wake()
        self._core.inbox.put(None)
        for thread in self._threads:
            thread.join()
        if self.settings.snapshot_at_stop and not self.progress.failed:
            self._keeper.write_last(self._machine)
        self._close()

    def stats(self) -> dict[str, Any]:
        """Return counters and standing by name."""
        progress = self.progress
        return {
            **self.counters.snapshot(),
            "head_seq": self._ring.head_seq,
            "durable_seq": progress.durable_seq,
            "applied_seq": progress.applied_seq,
            "stored_seq": progress.stored_seq,
            "published": list(progress.published),
            "ring_rows": self._ring.capacity,
            "ring_depth": self._ring.head_seq - progress.released_seq,
            "output_bytes_waiting": self._output.waiting_bytes,
            "pending_work": progress.pending_work,
            "next_timer_ns": progress.next_timer_ns,
            "clock_jumped_ns": self._stamp_clock.jumped_ns,
            "is_closing": self._sequencer.closing,
            "uptime_s": time.monotonic() - self._started_at,
        }

    def standing(self) -> Standing:
        """Return how far the stages have come, for the watchdog; the keeper may take its time over a snapshot."""
        progress = self.progress
        return Standing(
            dict(self._turns), self._ring.head_seq, progress.durable_seq, progress.applied_seq, progress.stored_seq
        )

    # Putting it together --------------------------------------------------------------------------------------------

    def _open(self, recovered: Recovered) -> None:
        settings = self.settings
        sockets.prepare_folder(settings)
        self._context: zmq.Context[Any] = zmq.Context()
        try:
            self._submit_socket = sockets.bind(self._context, zmq.ROUTER, settings, SUBMIT_SOCKET, settings.submit_hwm)
            self._events_socket = sockets.bind(self._context, zmq.PUB, settings, EVENTS_SOCKET, settings.events_hwm)
            self._query_socket = sockets.bind(self._context, zmq.ROUTER, settings, QUERY_SOCKET, settings.submit_hwm)
            self._reporter = Reporter(settings.sockets_dir, "engine", self._report)
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self._ingress_wake, self._query_wake = sockets.Wake(), sockets.Wake()
        self._recovered = recovered

    def _build(self, recovered: Recovered) -> None:
        settings, ports, counters = self.settings, self._ports, self.counters
        machine, writer, store = recovered.machine, recovered.writer, recovered.store
        self._machine = machine
        self._started_at = time.monotonic()
        counters.snapshot_seq = recovered.snapshot_seq
        self.progress = Progress(
            writer.last_seq, machine.seq, machine.pending_work(), machine.last_event, store.last().last_seq,
            machine.next_timer_ns(),
        )  # fmt: skip
        self._ring = Ring(settings.ring_rows, settings.ring_tail_bytes, machine.seq)
        self._stamp_clock = StampClock(ports.clock, machine.time_ns, int(settings.clock_jump_s * 1e9))
        self._output = OutputStage(
            self._publish, store, self.progress, counters, settings.output_bytes, ports.clock.now_ns
        )
        self._journal = JournalStage(
            self._ring, writer, self.progress, counters, settings.batch_rows, settings.commit_batches
        )
        self._keeper = Keeper(
            settings, ports, machine, recovered.venue_id, store, self.progress, counters, self._deliver,
            recovered.snapshot_seq,
        )  # fmt: skip
        self._core = CoreStage(
            machine,
            self.progress,
            counters,
            settings.check_all_batches,
            self._ingress_wake.set,
            self._keeper.after_batch,
            ports.trades_of,
        )
        hellos = Hellos(self._core.ask, settings.lease_s, recovered.venue_id)
        self._sequencer = Sequencer(
            settings, self._ring, self.progress, counters, self._stamp_clock, hellos,
            lambda: ports.free_bytes(settings.data_dir),
        )  # fmt: skip
        self._ingress_server = IngressServer(
            self._submit_socket, self._sequencer, self._ingress_wake, self._hand_over, counters
        )
        self._query_server = QueryServer(
            self._query_socket, self._query_wake, store, self.progress, counters, recovered.venue_id,
            self.stats, self._ask_image, self._stamp_clock.confirm, settings.images_waiting,
            lambda seq: ports.read_journal(DataDir(settings.data_dir).journal, seq),
        )  # fmt: skip
        self._figures = EngineFigures(
            settings, ports, self.kernel, counters, self.progress, self._ring, self._output, self._sequencer,
            self._stamp_clock,
        )  # fmt: skip

    def _lease_open_sessions(self, machine: Machine) -> None:
        """Guard who has something to lose; all others have said nothing that a loss would change."""
        for session_id in sorted(machine.sessions_to_guard()):
            self._sequencer.lease_at_start(session_id, "", *machine.session(session_id))

    def _hand_over(self) -> None:
        """Have what ingress put into the ring journaled."""
        if self._ring.head_seq != self._ring.cut_seq and not self._journal.step_now(self._core, self._output):
            self._journal.signal.set()

    def _publish(self, frame: bytes) -> None:
        transport.send(self._events_socket, [EVENTS_TOPIC, frame])

    def _report(self, figures: Figures) -> None:
        self._figures.add_to(figures)

    def _ask_image(self) -> None:
        self._keeper.image_wanted = True
        self._core.inbox.put(None)

    def _deliver(self, image: Any) -> None:
        self._query_server.deliver(image)

    # Threads --------------------------------------------------------------------------------------------------------

    def _run(self, name: str, loop: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                loop()
            except BaseException as error:  # noqa: BLE001 - whatever it is, the process must not go on
                self._fail(name, error)

        thread = threading.Thread(target=guarded, name=f"kk99-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _fail(self, stage: str, error: BaseException) -> None:
        self.progress.failed = True
        self._ingress_stop.set()
        self._stages_stop.set()
        self._on_fatal(stage, error)

    def _ingress_loop(self) -> None:
        while not self._ingress_stop.is_set():
            self._ingress_server.step()
            self._turns["ingress"] += 1

    def _journal_loop(self) -> None:
        while not self._stages_stop.is_set():
            if not self._journal.step(self._core, self._output):
                self._journal.signal.wait(IDLE_S)
            self._turns["journal"] += 1

    def _core_loop(self) -> None:
        while not self._stages_stop.is_set():
            self._core.step(self._output)
            self._turns["core"] += 1

    def _output_loop(self) -> None:
        while not self._stages_stop.is_set():
            wait_s = self._output.step()
            if wait_s:
                self._output.signal.wait(wait_s)
            self._turns["output"] += 1

    def _keeper_loop(self) -> None:
        self._keeper.prepare()
        while not self._stages_stop.is_set():
            self._keeper.step()

    def _query_loop(self) -> None:
        while not self._stages_stop.is_set():
            self._query_server.step()
            self._turns["query"] += 1

    def _drain(self, deadline: float) -> bool:
        """Wait until all that was put is done with and stored; False, having failed, when the time is up."""
        while not self._is_drained() and not self.progress.failed:
            if time.monotonic() > deadline:
                self._fail("drain", EngineError(f"not drained after {self.settings.drain_s} s"))
                return False
            time.sleep(_POLL_S)
        return True

    def _is_drained(self) -> bool:
        progress, head_seq = self.progress, self._ring.head_seq
        return progress.released_seq >= head_seq and progress.stored_seq >= head_seq and not self._output.waiting_bytes

    def _close(self) -> None:
        self._reporter.close()
        self._events_socket.close(linger=1_000)  # the last frames may still be on their way
        self._submit_socket.close(linger=1_000)
        self._context.destroy(linger=0)
        self._ingress_wake.close()
        self._query_wake.close()
        if not self.progress.failed:
            self._recovered.store.sync()
        self._recovered.store.close()
        self._recovered.writer.close()
