"""The sequencer: the one place that gives a command its sequence and its time. No sockets: messages in, messages out.

Invariants:
- a frame's rows are all of the session its connection is bound to, and go into the ring whole or not at all;
- per session, numbers enter the ring without a gap: after a refusal everything above it is refused until it comes
  again;
- time never decreases; after a jump of the clock beyond the bound nothing is taken until an operator confirms;
- the loss of a session is journaled once it is due, before the session is bound again;
- a timer of the core that is due fires: with the next command, or with a CLOCK of the sequencer's own;
- nothing of a session is acknowledged, nor a WELCOME sent, before what it says is durable.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kk99 import batch, schema
from kk99.engine.ring import Ring, document_bytes
from kk99.engine.sessions import Hellos, Session
from kk99.protocol import BusyReason, ErrorCode, Hello, Kind, Message, ProtocolError, decode, error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kk99.config import EngineSettings
    from kk99.engine.clock import StampClock
    from kk99.engine.progress import Counters, Progress

Reply = tuple[bytes, Message]

_CLIENT_SEQ: Final = schema.word_of(schema.COMMAND, "client_seq")
_SESSION: Final = schema.word_of(schema.COMMAND, "session_id")
_EPOCH_SHIFT: Final = schema.shift_of(schema.COMMAND, "session_epoch")
_COUNTING: Final = np.arange(schema.BATCH_ROWS_MAX, dtype=np.int64)
_WORDS: Final = struct.Struct(f"<{schema.ROW_WORDS}q")
_KIND: Final = schema.word_of(schema.COMMAND, "kind")
assert schema.shift_of(schema.COMMAND, "kind") == 0
_OWN_KINDS: Final = tuple(
    kind.value
    for kind in (
        schema.CommandKind.CONTINUE, schema.CommandKind.CLOCK, schema.CommandKind.SESSION_OPEN,
        schema.CommandKind.SESSION_LOST, schema.CommandKind.SESSION_DEFINE,
    )
)  # fmt: skip
_IS_OWN: Final = np.zeros(256, np.bool_)
_IS_OWN[list(_OWN_KINDS)] = True
ACK_ROWS: Final = 1_024
ACK_NS: Final = 2_000_000
_CONTINUES_MAX: Final = 64
_DISK_LOOK_NS: Final = 100_000_000
_NEVER_NS: Final = 1 << 62
LEASES_LOOK_NS: Final = 50_000_000
"""Leases are looked at that often: a lapse is noticed by so much late."""


@dataclass(slots=True)
class _Taken:
    """A frame in the ring whose acknowledgment is due when `seq` is durable."""

    seq: int
    client_seq: int


@dataclass(slots=True)
class _Binding:
    """A connection bound to a session."""

    session: Session
    taken: deque[_Taken] = field(default_factory=deque)
    durable_client_seq: int = 0


class Sequencer:
    """Decides over every message of the submit socket; `hellos` asks the core about sessions."""

    def __init__(
        self,
        settings: EngineSettings,
        ring: Ring,
        progress: Progress,
        counters: Counters,
        clock: StampClock,
        hellos: Hellos,
        disk_free: Callable[[], int],
    ) -> None:
        self.closing = False
        self._settings = settings
        self._ring = ring
        self._progress = progress
        self._counters = counters
        self._clock = clock
        self._hellos = hellos
        self._disk_free = disk_free
        self._disk_looked_ns = clock.monotonic_ns() - _DISK_LOOK_NS
        self._disk_low = False
        self._leases_looked_ns = clock.monotonic_ns() - LEASES_LOOK_NS
        self._bindings: dict[bytes, _Binding] = {}
        self._waiting: dict[bytes, _Binding] = {}
        self._leased: dict[int, Session] = {}
        self._lapsed: deque[Session] = deque()
        self._lease_ns = int(settings.lease_s * 1e9)
        self._own_seq = 0
        self._acked_seq = self._acked_ns = 0
        self._continues = 1

    # From the sockets -----------------------------------------------------------------------------------------------

    def on_message(self, peer: bytes, parts: Sequence[Any]) -> list[Reply]:
        """Take one message of a connection; the replies that are due at once."""
        try:
            message = decode(parts)
            if message.kind == Kind.HELLO:
                return self._on_hello(peer, Hello.of(message), message.a)
        except ProtocolError as reason:
            return [self._refuse(peer, ErrorCode.MESSAGE_INVALID, str(reason), 0)]
        binding = self._bindings.get(peer)
        frame_no = message.a if message.kind == Kind.SUBMIT else 0
        if binding is None:
            return [self._refuse(peer, ErrorCode.NOT_BOUND, "say HELLO first", frame_no)]
        binding.session.heard_ns = self._clock.monotonic_ns()
        if message.kind == Kind.SUBMIT:
            return self._on_submit(peer, binding, message)
        if message.kind == Kind.PING:
            return [(peer, self._standing(Kind.PONG, binding, message.a))]
        if message.kind == Kind.BYE:
            return self._on_bye(peer, binding, message.a != 0)
        return [self._refuse(peer, ErrorCode.MESSAGE_INVALID, f"{message.kind.name} is not for this socket", 0)]

    def turn(self) -> list[Reply]:
        """Do what time and the other stages have made due; the replies."""
        replies: list[Reply] = []
        if self._waiting:
            replies += self._acknowledge()
        lapsed = {session.session_id for session in self._lapsed}
        for peer, session, reply in self._hellos.turn(self._put_own, self._progress, lapsed):
            if session is not None:
                self._bind(peer, session)
            replies.append((peer, reply))
        self._lapse()
        self._carry_on()
        self._tick()
        return replies

    @property
    def is_waiting(self) -> bool:
        """Whether something is due as soon as another stage comes along."""
        return bool(self._waiting or self._lapsed or self._progress.pending_work) or self._hellos.is_waiting

    @property
    def bound_count(self) -> int:
        """How many sessions are bound to a connection."""
        return len(self._bindings)

    @property
    def timer_wait_ns(self) -> int:
        """How long until a timer is due, 0 or less when one is; long when none is or the clock is not trusted."""
        due_ns = self._progress.next_timer_ns
        return self._clock.wait_ns(due_ns) if due_ns and not self._clock.jumped_ns else _NEVER_NS

    def lease_at_start(self, session_id: int, name: str, epoch: int, last_client_seq: int) -> None:
        """Give a session that was open before the start one lease's time to say HELLO."""
        self._leased[session_id] = Session(session_id, name, epoch, last_client_seq + 1, self._clock.monotonic_ns())

    # Connections and sessions ---------------------------------------------------------------------------------------

    def _on_hello(self, peer: bytes, hello: Hello, number: int) -> list[Reply]:
        if self.closing:
            return [(peer, Message(Kind.BUSY, 0, 0, BusyReason.CLOSING))]
        self._unbind(peer)
        replies: list[Reply] = []
        others = [other for other, binding in self._bindings.items() if binding.session.name == hello.name]
        others += self._hellos.withdraw(hello.name)
        for other in others:
            if other != peer:
                text = f"another connection has said HELLO as {hello.name}"
                replies.append(self._refuse(other, ErrorCode.TAKEN_OVER, text, 0))
        self._hellos.begin(peer, hello, number, self._ring.head_seq)
        return replies

    def _bind(self, peer: bytes, session: Session) -> None:
        session.heard_ns = self._clock.monotonic_ns()
        self._bindings[peer] = _Binding(session, durable_client_seq=session.next_client_seq - 1)
        self._leased[session.session_id] = session
        self._counters.sessions_bound += 1

    def _on_bye(self, peer: bytes, binding: _Binding, is_lost: bool) -> list[Reply]:
        session = binding.session
        self._unbind(peer)
        self._leased.pop(session.session_id, None)
        if is_lost:
            self._lapsed.append(session)
        return []

    def _unbind(self, peer: bytes) -> None:
        self._bindings.pop(peer, None)
        self._waiting.pop(peer, None)

    def _refuse(self, peer: bytes, code: ErrorCode, text: str, frame_no: int) -> Reply:
        """Unbind a connection; its session's lease runs on."""
        self._unbind(peer)
        self._counters.frames_refused += 1
        return peer, error(code, text, frame_no)

    # Frames ---------------------------------------------------------------------------------------------------------

    def _on_submit(self, peer: bytes, binding: _Binding, message: Message) -> list[Reply]:
        frame_no, session = message.a, binding.session
        try:
            commands = batch.decode_commands(message.payload[0] if len(message.payload) == 1 else b"")
        except batch.FrameError as reason:
            return [self._refuse(peer, ErrorCode.FRAME_INVALID, str(reason), frame_no)]
        tail_bytes = document_bytes(commands)
        fault = _fault_of(commands, session, tail_bytes)
        if fault:
            return [self._refuse(peer, ErrorCode.ROWS_INVALID, fault, frame_no)]
        first, count = int(commands.rows["client_seq"][0]), len(commands.rows)
        time_ns = self._clock.stamp_ns()
        busy = self._busy(first > session.next_client_seq, count, tail_bytes, time_ns)
        if busy or time_ns is None:
            return [(peer, Message(Kind.BUSY, session.next_client_seq, frame_no, busy))]
        seq = self._ring.put(commands, time_ns, tail_bytes)
        session.next_client_seq = max(session.next_client_seq, first + count)
        binding.taken.append(_Taken(seq, first + count - 1))
        self._waiting[peer] = binding
        self._counters.frames_taken += 1
        self._counters.commands_taken += count
        return []

    def _busy(self, is_gap: bool, row_count: int, tail_bytes: int, time_ns: int | None) -> int:
        """Return the reason to refuse a frame for now, or 0."""
        counters = self._counters
        if is_gap:
            counters.busy_gap += 1
            return BusyReason.GAP
        if not self._ring.has_room(row_count, tail_bytes, self._progress.released_seq):
            counters.busy_full += 1
            return BusyReason.FULL
        reason = 0
        if self.closing:
            reason = BusyReason.CLOSING
        elif time_ns is None:
            reason = BusyReason.CLOCK
        elif self._is_disk_low():
            reason = BusyReason.DISK
        counters.busy_other += reason != 0
        return reason

    def _is_disk_low(self) -> bool:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._disk_looked_ns >= _DISK_LOOK_NS:
            self._disk_looked_ns = now_ns
            self._disk_low = self._disk_free() < self._settings.disk_reserve_bytes
        return self._disk_low

    # What time makes due --------------------------------------------------------------------------------------------

    def _standing(self, kind: Kind, binding: _Binding, b: int) -> Message:
        return Message(kind, binding.durable_client_seq, b, binding.session.next_client_seq)

    def _acknowledge(self) -> list[Reply]:
        """Acknowledge what is durable and out of the ring, so that clients send no more than there is room for.

        Many rows are acknowledged at once, few so seldom that a lone order's way stays free.
        """
        replies: list[Reply] = []
        released_seq, now_ns = self._progress.released_seq, self._clock.monotonic_ns()
        if released_seq - self._acked_seq < ACK_ROWS and now_ns - self._acked_ns < ACK_NS:
            return replies
        self._acked_seq, self._acked_ns = released_seq, now_ns
        for peer, binding in list(self._waiting.items()):
            taken, is_new = binding.taken, False
            while taken and taken[0].seq <= released_seq:
                is_new = True
                # A frame that was sent again may end below what is durable already.
                binding.durable_client_seq = max(binding.durable_client_seq, taken.popleft().client_seq)
            if is_new:
                replies.append((peer, self._standing(Kind.ACK, binding, self._progress.durable_seq)))
            if not taken:
                del self._waiting[peer]
        return replies

    def _lapse(self) -> None:
        """Journal the loss of sessions whose lease lapsed, one at a time so that the core's work queue never fills."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._leases_looked_ns >= LEASES_LOOK_NS:
            self._leases_looked_ns = now_ns
            self._end_leases(now_ns)
        if self._lapsed and self._is_settled() and not self._progress.pending_work:
            row = np.zeros(1, schema.COMMAND)
            row["kind"], row["target_lo"] = schema.CommandKind.SESSION_LOST, self._lapsed[0].session_id
            if self._put_own(batch.commands(row)):
                self._lapsed.popleft()
                self._counters.sessions_lost += 1

    def _end_leases(self, now_ns: int) -> None:
        for session in [s for s in self._leased.values() if now_ns - s.heard_ns > self._lease_ns]:
            del self._leased[session.session_id]
            self._lapsed.append(session)
            for peer in [peer for peer, binding in self._bindings.items() if binding.session is session]:
                self._unbind(peer)

    def _carry_on(self) -> None:
        """Append CONTINUE commands while the core has work and nothing else comes to carry it."""
        if not self._progress.pending_work:
            self._continues = 1
        elif self._progress.applied_seq >= self._ring.head_seq:
            rows = np.zeros(self._continues, schema.COMMAND)
            rows["kind"] = schema.CommandKind.CONTINUE
            if self._put_own(batch.commands(rows)):
                self._continues = min(self._continues * 2, _CONTINUES_MAX)

    def _tick(self) -> None:
        """Append a CLOCK command when a timer is due and nothing is under way that would make it fire."""
        progress = self._progress
        if progress.applied_seq < self._ring.head_seq or progress.pending_work:
            return
        due_ns = progress.next_timer_ns
        if due_ns and self._clock.has_reached(due_ns):
            row = np.zeros(1, schema.COMMAND)
            row["kind"] = schema.CommandKind.CLOCK
            self._put_own(batch.commands(row))

    def _is_settled(self) -> bool:
        return self._progress.applied_seq >= self._own_seq

    def _put_own(self, commands: batch.Commands) -> int:
        """Put commands of the sequencer itself; their last sequence, 0 when there is no room or the engine stops."""
        if self.closing:  # what is due then, is due again after the next start
            return 0
        tail_bytes = document_bytes(commands)
        if not self._ring.has_room(len(commands.rows), tail_bytes, self._progress.released_seq):
            return 0
        self._own_seq = self._ring.put(commands, self._clock.own_stamp_ns(), tail_bytes)
        self._counters.commands_own += len(commands.rows)
        return self._own_seq


def _fault_of(commands: batch.Commands, session: Session, tail_bytes: int) -> str:
    """Return what is wrong with a frame of a session, or nothing."""
    rows = commands.rows
    count = len(rows)
    if not 1 <= count <= schema.BATCH_ROWS_MAX:
        return f"{count} rows where 1 to {schema.BATCH_ROWS_MAX} are allowed"
    wanted = session.session_id | session.epoch << _EPOCH_SHIFT
    if count == 1:  # a lone order, without numpy's machinery
        words = _WORDS.unpack(rows.tobytes())
        first, is_of_session, is_rising = words[_CLIENT_SEQ], words[_SESSION] == wanted, True
        has_own = words[_KIND] & 0xFF in _OWN_KINDS
    else:
        columns = rows.view(np.int64).reshape(count, schema.ROW_WORDS)
        first = int(columns[0, _CLIENT_SEQ])
        is_of_session = bool((columns[:, _SESSION] == wanted).all())
        is_rising = bool((columns[:, _CLIENT_SEQ] - _COUNTING[:count] == first).all())
        has_own = bool(_IS_OWN[rows["kind"]].any())
    if not is_of_session:
        return f"a row is not of session {session.session_id}, epoch {session.epoch}"
    if not is_rising or not 1 <= first <= 1 << 62:
        return "client sequences do not rise by one from row to row"
    if has_own:
        return "a row is of a kind that only the sequencer may write"
    if tail_bytes > batch.TAIL_BYTES_MAX:
        return f"documents of {tail_bytes} bytes where {batch.TAIL_BYTES_MAX} are allowed"
    return ""
