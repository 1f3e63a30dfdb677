"""The journal, core and output stages: what each does with a batch, apart from threads.

::

    ring ─▶ JournalStage ─ batches ─▶ CoreStage ─ event frames ─▶ OutputStage ─▶ subscribers, event store
                 └─ durable_seq ──────────────────────────────────▶ gate

Invariants:
- a batch reaches the core as it is journaled, so a replay of the journal makes the same event frames;
- the core works on a batch while it is being committed; its events wait at the gate until `durable_seq` reaches them;
- after a stage broke (`Progress.failed`) nothing leaves.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kk99.engine.progress import Counters, Progress, Signal
from kk99.engine.ring import Batch, Ring

if TYPE_CHECKING:
    from collections.abc import Callable

    from kk99 import batch
    from kk99.engine.ports import EventStore, Machine, Writer

IDLE_S: Final = 0.2
"""A stage with nothing to do looks around that often, whether it was woken or not."""
FEW_ROWS: Final = 32
"""So few commands are committed and published without waking another thread: that is where a lone order's time would
go."""
STORED_FRAMES_MAX: Final = 64
"""Frames that one append to the event store takes."""
STORE_BYTES: Final = 256 << 10
STORE_PAUSE_S: Final = 0.005
"""Fewer bytes than STORE_BYTES wait so long for their place in the store: writing them would delay the next command."""


class JournalStage:
    """Commits everything that has arrived, and hands it to the core first."""

    def __init__(
        self, ring: Ring, writer: Writer, progress: Progress, counters: Counters, batch_rows: int, commit_batches: int
    ) -> None:
        self.signal = Signal()
        self._lock = threading.Lock()
        self._ring = ring
        self._writer = writer
        self._progress = progress
        self._counters = counters
        self._batch_rows = batch_rows
        self._commit_batches = commit_batches

    def step(self, core: CoreStage, output: OutputStage) -> bool:
        """Commit once; False when there was nothing to commit."""
        with self._lock:
            return self._commit(core, output)

    def step_now(self, core: CoreStage, output: OutputStage) -> bool:
        """Commit in the caller's thread, quicker for a few rows; False when there are more, or one runs."""
        if self._ring.head_seq - self._ring.cut_seq > FEW_ROWS or not self._lock.acquire(blocking=False):
            return False
        try:
            self._commit(core, output)
        finally:
            self._lock.release()
        return True

    def _commit(self, core: CoreStage, output: OutputStage) -> bool:
        batches: list[Batch] = []
        while len(batches) < self._commit_batches:
            cut = self._ring.cut(self._batch_rows)
            if cut is None:
                break
            batches.append(cut)
            core.inbox.put(cut)
            self._counters.times.batch_commands.count(len(cut.commands.rows))
        if not batches:
            return False
        began_ns = time.perf_counter_ns()
        last_seq = self._writer.append([(b.first_seq, len(b.commands.rows), b.commands.pieces()) for b in batches])
        assert last_seq == batches[-1].last_seq
        self._progress.durable_seq = last_seq
        self._counters.count_commit(time.perf_counter_ns() - began_ns, len(batches))
        if last_seq - batches[0].first_seq < FEW_ROWS:
            output.publish_now()
        else:
            output.signal.set()
        return True


class Question:
    """Something asked of the core: answered once all up to a sequence is applied."""

    def __init__(self, barrier_seq: int, ask: Callable[[Machine], Any]) -> None:
        self.barrier_seq = barrier_seq
        self.ask = ask
        self.is_done = False
        self.value: Any = None


class EventFrame(NamedTuple):
    """Encoded events and what the gate needs to know of them."""

    data: bytes
    last_seq: int
    last_event: tuple[int, int]
    first_time_ns: int
    """When its first command was sequenced."""
    commands: int
    events: int
    trades: int
    put_ns: int
    """When it came to the gate, on the monotonic clock."""


class CoreStage:
    """Owns the machine: applies batches, checks the ledger, answers questions between batches."""

    def __init__(
        self,
        machine: Machine,
        progress: Progress,
        counters: Counters,
        check_all_batches: int,
        wake_ingress: Callable[[], None],
        after_batch: Callable[[Machine], bool],
        trades_of: Callable[[Machine], int],
    ) -> None:
        self.inbox: queue.SimpleQueue[Batch | Question | None] = queue.SimpleQueue()
        """Batches in sequence, questions, None to wake up."""
        self._machine = machine
        self._progress = progress
        self._counters = counters
        self._check_all_batches = check_all_batches
        self._batches = 0
        self._wake_ingress = wake_ingress
        self._after_batch = after_batch
        """Called between batches; returns whether it has more to do soon."""
        self._trades_of = trades_of
        self._trades = trades_of(machine)
        self._is_waited_for = False
        self._questions: list[Question] = []

    def ask(self, barrier_seq: int, ask: Callable[[Machine], Any]) -> Question:
        """Put a question; any thread may."""
        question = Question(barrier_seq, ask)
        self.inbox.put(question)
        return question

    def step(self, output: OutputStage) -> None:
        """Wait for one item of the inbox and deal with it."""
        try:
            item = self.inbox.get(timeout=0 if self._is_waited_for else IDLE_S)
        except queue.Empty:
            item = None
        if isinstance(item, Batch):
            self._apply(item, output)
        elif isinstance(item, Question):
            self._questions.append(item)
        self._answer()
        self._is_waited_for = self._after_batch(self._machine)

    def _apply(self, item: Batch, output: OutputStage) -> None:
        began_ns = time.perf_counter_ns()
        machine, commands, start = self._machine, item.commands, 0
        while start < len(commands.rows):
            applied = machine.apply(commands, start)
            machine.check()
            self._counters.checks += 1
            assert applied.next > start
            start = applied.next
            self._emit(applied.events, output)
        self._batches += 1
        if self._check_all_batches and self._batches % self._check_all_batches == 0:
            machine.check_all()
            self._counters.checks_full += 1
        assert machine.seq == item.last_seq
        timer_ns, progress = self._progress.next_timer_ns, self._progress
        progress.pending_work, progress.next_timer_ns = machine.pending_work(), machine.next_timer_ns()
        progress.applied_seq = item.last_seq  # after what it is the standing of
        spent_ns = time.perf_counter_ns() - began_ns
        self._counters.core_ns += spent_ns
        self._counters.times.apply.count(spent_ns)
        is_sooner = progress.next_timer_ns != 0 and (timer_ns == 0 or progress.next_timer_ns < timer_ns)
        if progress.pending_work or is_sooner:  # ingress may sleep longer than that
            self._wake_ingress()

    def _emit(self, events: batch.Events, output: OutputStage) -> None:
        rows = events.rows
        first, last, count = rows[0], rows[-1], len(rows)
        last_event = (int(last["cause_seq"]), int(last["index"]))
        self._counters.events += count
        before, self._trades = self._trades, self._trades_of(self._machine)
        output.put(
            EventFrame(
                events.encode(), last_event[0], last_event, int(first["time_ns"]),
                last_event[0] - int(first["cause_seq"]) + 1, count, self._trades - before,
                time.perf_counter_ns(),
            )
        )  # fmt: skip

    def _answer(self) -> None:
        if not self._questions:
            return
        ready = [question for question in self._questions if question.barrier_seq <= self._progress.applied_seq]
        for question in ready:
            question.value = question.ask(self._machine)
            question.is_done = True
            self._questions.remove(question)
        if ready:
            self._wake_ingress()


class OutputStage:
    """The gate: events leave, to `publish` and into the event store, when their cause is durable."""

    def __init__(
        self,
        publish: Callable[[bytes], None],
        store: EventStore,
        progress: Progress,
        counters: Counters,
        bytes_max: int,
        now_ns: Callable[[], int],
    ) -> None:
        self.signal = Signal()
        self._room = Signal()
        self._publish = publish
        self._store = store
        self._progress = progress
        self._counters = counters
        self._bytes_max = bytes_max
        self._now_ns = now_ns
        self._waiting: deque[EventFrame] = deque()
        self._published: deque[EventFrame] = deque()
        """Not stored yet."""
        self._lock = threading.Lock()
        self._has_paused = False
        self._bytes_put = 0
        self._bytes_gone = 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes of events that have not left."""
        return self._bytes_put - self._bytes_gone

    def put(self, frame: EventFrame) -> None:
        """Take a frame from the core; waits while too much is waiting here."""
        while self.waiting_bytes > self._bytes_max and not self._progress.failed:
            self._counters.output_waits += 1
            self._room.wait(IDLE_S)
        self._bytes_put += len(frame.data)
        self._waiting.append(frame)
        if frame.last_seq <= self._progress.durable_seq:
            self.signal.set()

    def step(self) -> float:
        """Let out what is durable and store it; how many seconds to wait for more, 0 when there was something to do."""
        self.publish_durable()
        if self._published and self.waiting_bytes < STORE_BYTES and not self._has_paused:
            self._has_paused = True
            return STORE_PAUSE_S
        self._has_paused = False
        frames: list[EventFrame] = []
        while self._published and len(frames) < STORED_FRAMES_MAX:
            frames.append(self._published.popleft())
        if not frames:
            return IDLE_S
        began_ns = time.perf_counter_ns()
        self._store.append([frame.data for frame in frames])
        self._progress.stored_seq = frames[-1].last_seq
        size = sum(len(frame.data) for frame in frames)
        self._bytes_gone += size
        self._room.set()
        counters = self._counters
        counters.event_frames += len(frames)
        counters.events_stored += sum(frame.events for frame in frames)
        counters.event_bytes += size
        counters.output_ns += time.perf_counter_ns() - began_ns
        return 0.0

    def publish_now(self) -> None:
        """Publish in the caller's thread; wakes the output thread only if nothing else will make it look."""
        count = self.publish_durable()
        if count is None or count == len(self._published):
            self.signal.set()

    def publish_durable(self) -> int | None:
        """Publish what is durable, up to a bound, and return how many frames; None when another thread is at it."""
        if not self._lock.acquire(blocking=False):
            return None
        count = 0
        try:
            waiting, durable_seq = self._waiting, self._progress.durable_seq
            while waiting and waiting[0].last_seq <= durable_seq and len(self._published) < STORED_FRAMES_MAX:
                if self._progress.failed:
                    break
                frame = waiting.popleft()
                self._publish(frame.data)
                self._progress.published = frame.last_event
                self._published.append(frame)
                self._measure(frame)
                count += 1
        finally:
            self._lock.release()
        return count

    def _measure(self, frame: EventFrame) -> None:
        """Count how long the commands of a frame that has just left took; the clock may have been set meanwhile."""
        times, latency_ns = self._counters.times, max(self._now_ns() - frame.first_time_ns, 0)
        times.processing.count(latency_ns, frame.commands)
        if frame.trades:
            times.trade_latency.count(latency_ns, frame.trades)
        times.gate_wait.count(time.perf_counter_ns() - frame.put_ns)
