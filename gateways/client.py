"""The gateways' shared client of the engine: submit commands, follow events, across restarts of either side.

One thread owns a client. Sending, resending, leases and reconnecting happen inside its calls, so it must be called
(`submit`, `poll_events`, `pump`) at least every third of the lease.

Invariants:
- what `submit` took is applied exactly once, in order, however often the engine goes away and comes back;
- events come once and in order; frames that were missed are read from the event store.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import zmq

from gateways.follower import Follower
from gateways.query import Image, Query, connect
from gateways.session import ClientSession
from kk99 import batch, protocol, transport
from kk99.errors import BusyError, ClientError
from kk99.protocol import BusyReason, ErrorCode, Hello, Kind, Message, ProtocolError, Welcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ROWS_UNDER_WAY: Final = 32_768
_HWM: Final = 1_024
_PING_WAITING_S: Final = 0.1
_HELLO_AGAIN_S: Final = 2.0
_BACKOFF_S: Final = 0.001
_BACKOFF_MAX_S: Final = 0.02
_BACKOFF_LONG_S: Final = 0.1


@dataclass(slots=True)
class ClientStats:
    """Totals of one client."""

    frames_sent: int = 0
    busy: int = 0
    times_back: int = 0
    hellos: int = 0
    gaps: int = 0
    events: int = 0
    frames_read: int = 0


class Client:
    """A connection to the engine: with a session's name it can submit, without it only follows and asks."""

    def __init__(
        self,
        address: str | Path,
        session_name: str | None,
        *,
        resume: bool,
        after: tuple[int, int] | None,
        rows_under_way: int,
        timeout_s: float,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        self._stats = ClientStats()
        self._address = str(address)
        self._timeout_s = timeout_s
        self._has_own_context = context is None
        self._context: zmq.Context[Any] = context or zmq.Context()
        self._query = Query(self._context, self._address, timeout_s)
        self._session = ClientSession(rows_under_way)
        self._name = session_name
        self._new_epoch = not resume
        self._submit: zmq.Socket[bytes] | None = None
        self._follower: Follower | None = None
        self._poller = zmq.Poller()
        self._is_bound = False
        self._refusal = ""
        self._hello_no = 0
        self._hello_at = self._ping_at = -1e9
        self._send_at = 0.0
        self._backoff_s = _BACKOFF_S
        self._lease_s = 10.0
        self._after = after
        self.welcome: Welcome | None = None
        """The engine's last WELCOME."""

    @classmethod
    def connect(
        cls,
        address: str | Path,
        session_name: str | None = None,
        *,
        resume: bool = True,
        after: tuple[int, int] | None = None,
        rows_under_way: int = ROWS_UNDER_WAY,
        timeout_s: float = 10.0,
        context: zmq.Context[Any] | None = None,
    ) -> Self:
        """Connect to the engine whose sockets are in the folder `address` (or at `tcp://host:port`) and be welcomed.

        `resume` goes on in the session's open epoch (`next_client_seq` says where); otherwise a new epoch is opened.
        Events are followed from `after`, by default from the last one published at the WELCOME. At most
        `rows_under_way` commands are submitted without being durable. Who has many clients gives them one `context`,
        whose thread moves the bytes of all; it is not closed with them. Raises `ClientError` when no engine welcomes it
        within `timeout_s`.
        """
        client = cls(
            address,
            session_name,
            resume=resume,
            after=after,
            rows_under_way=rows_under_way,
            timeout_s=timeout_s,
            context=context,
        )
        try:
            client._begin()
        except BaseException:
            client.close()
            raise
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Commands -------------------------------------------------------------------------------------------------------

    @property
    def session_id(self) -> int:
        """The session's number."""
        return self._session.session_id

    @property
    def epoch(self) -> int:
        """The session's open epoch."""
        return self._session.epoch

    @property
    def next_client_seq(self) -> int:
        """The number that the next command will get."""
        return self._session.next_client_seq

    @property
    def durable_client_seq(self) -> int:
        """All commands up to this number are durable."""
        return self._session.durable_client_seq

    @property
    def rows_under_way(self) -> int:
        """Commands submitted that are not known to be durable."""
        return self._session.rows_kept

    def submit(self, commands: batch.Commands, *, wait: bool = True, timeout_s: float = 60.0) -> tuple[int, int]:
        """Take 1 to BATCH_ROWS_MAX commands to be sent; the first and the last client sequence they got.

        When too much is under way, waits for room (`ClientError` after `timeout_s`), or with `wait=False` raises
        `BusyError` and takes nothing.
        """
        if self._name is None:
            raise ClientError("this client only reads: connect with a session's name to submit")
        deadline = 0.0
        while not self._session.has_room(len(commands.rows)):
            self.pump(0 if not wait else 0.05)
            if self._session.has_room(len(commands.rows)):
                break
            now = time.monotonic()
            deadline = deadline or now + timeout_s
            if not wait:
                raise BusyError(self._session.next_client_seq)
            if now > deadline:
                raise ClientError(f"the engine took nothing for {timeout_s} s")
        numbers = self._session.number(commands)
        self.pump(0)
        return numbers

    def flush(self, timeout_s: float = 60.0) -> None:
        """Wait until all that was submitted is durable; `ClientError` after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while self._session.rows_kept:
            if time.monotonic() > deadline:
                raise ClientError(f"{self._session.rows_kept} commands are not durable after {timeout_s} s")
            self.pump(0.05)

    def pump(self, timeout_s: float = 0.0) -> None:
        """Send what is due and take the engine's answers, waiting up to `timeout_s` for one."""
        if self._submit is None:
            return
        if self._refusal:
            raise ClientError(self._refusal)
        self._send()
        if timeout_s > 0.0 and not transport.has_message(self._submit):
            self._submit.poll(self._wait_ms(timeout_s), zmq.POLLIN)
        if self._take_answers():
            self._send()

    # Events ---------------------------------------------------------------------------------------------------------

    def events(self, timeout_s: float | None = None) -> Iterator[batch.Events]:
        """Yield events as they come, in frames; ends when none came for `timeout_s` (None: never)."""
        while True:
            events = self.poll_events(0.25 if timeout_s is None else timeout_s)
            if events is not None:
                yield events
            elif timeout_s is not None:
                return

    def poll_events(self, timeout_s: float = 0.0) -> batch.Events | None:
        """Return the next events, waiting up to `timeout_s`; None when none came.

        The rows are a view of the frame as it was received. Raises `ClientError` when events that were missed are no
        longer stored: take an image and begin again.
        """
        follower = self._follow()
        deadline = time.monotonic() + timeout_s
        self.pump(0)
        while True:
            events = follower.next()
            now = time.monotonic()
            if events is not None or now >= deadline:
                return events
            ready = self._poller.poll(self._wait_ms(min(deadline - now, follower.wait_s)))
            if not ready or ready[-1][0] is not follower.socket:  # events first: the rest is not urgent beside them
                self.pump(0)

    # Questions ------------------------------------------------------------------------------------------------------

    def image(self) -> Image:
        """Return the whole state at a sequence, as event rows."""
        return self._query.image()

    def commands(self, seqs: Sequence[int]) -> batch.Commands:
        """Return durable commands by sequence, rising, with their cold rows; those with documents are left out."""
        return self._query.commands(seqs)

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """Return what a caller with a poller of its own waits on beside its other sources, for `zmq.POLLIN`."""
        follower = [] if self._follower is None else [self._follower.socket]
        return follower if self._submit is None else [self._submit, *follower]

    @property
    def stats(self) -> ClientStats:
        """This client's totals, as they now are."""
        follower, stats = self._follower, self._stats
        stats.times_back = self._session.times_back
        if follower is not None:
            stats.gaps, stats.events, stats.frames_read = follower.gaps, follower.events, follower.frames_read
        return stats

    def engine_stats(self) -> dict[str, Any]:
        """Return the engine's counters by name."""
        return self._query.stats()

    def confirm_clock(self) -> None:
        """Say that a jump of the engine's clock is right."""
        self._query.confirm_clock()

    def close(self, *, lost: bool = False) -> None:
        """Say BYE and close; with `lost` the venue cancels the session's orders that asked for it."""
        if self._submit is not None:
            if self._is_bound:
                self._try_send(Message(Kind.BYE, int(lost)))
            self._submit.close(linger=500)
            self._submit = None
        if self._follower is not None:
            self._follower.close()
        self._query.close()
        if self._has_own_context:
            self._context.destroy()

    # Inside -----------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        if self._name is None:
            self.welcome = self._query.greet()
            return
        self._submit = connect(self._context, zmq.DEALER, self._address, protocol.SUBMIT_SOCKET, _HWM)
        self._poller.register(self._submit, zmq.POLLIN)
        while not self._is_bound:
            if time.monotonic() > deadline:
                raise ClientError(f"{self._address}: no engine answers within {self._timeout_s} s")
            self.pump(0.02)

    def _follow(self) -> Follower:
        if self._follower is None:
            assert self.welcome is not None
            after = self._after or self.welcome.last_event
            self._follower = Follower(self._context, self._address, self._query, after, self._timeout_s)
            self._poller.register(self._follower.socket, zmq.POLLIN)
        return self._follower

    def _wait_ms(self, timeout_s: float) -> int:
        """Return how long to sleep at most: until something is to be sent."""
        if self._submit is None:
            return max(int(timeout_s * 1000), 0)
        if self._session.has_unsent and self._is_bound:
            timeout_s = min(timeout_s, max(self._send_at - time.monotonic(), 0.001))
        elif self._session.is_waiting or not self._is_bound:
            timeout_s = min(timeout_s, _PING_WAITING_S)
        return max(int(min(timeout_s, self._lease_s / 6) * 1000 + 0.999), 0)

    def _try_send(self, message: Message) -> bool:
        assert self._submit is not None
        return transport.send(self._submit, message.parts())

    def _send(self) -> None:
        now = time.monotonic()
        if not self._is_bound:
            self._say_hello(now)
            return
        session = self._session
        while session.has_unsent and now >= self._send_at:
            frame_no, data = session.next_frame()
            if not self._try_send(Message(Kind.SUBMIT, frame_no, payload=[data])):
                break
            session.sent()
            self._stats.frames_sent += 1
            self._ping_at = now
        if now - self._ping_at > (_PING_WAITING_S if session.is_waiting else self._lease_s / 4):
            self._ping_at = now
            self._try_send(Message(Kind.PING, session.frame_no))

    def _say_hello(self, now: float) -> None:
        if now - self._hello_at < _HELLO_AGAIN_S:
            return
        assert self._name is not None
        if self._try_send(Hello(self._name, self._new_epoch).message(self._hello_no + 1)):
            self._hello_no += 1
            self._hello_at = now
            self._stats.hellos += 1

    def _take_answers(self) -> bool:
        """Take all answers that are there; whether there was one."""
        assert self._submit is not None
        is_any = False
        while transport.has_message(self._submit):
            is_any = True
            try:
                self._take_answer(protocol.decode(transport.receive(self._submit, 1)))
            except ProtocolError as error:
                raise ClientError(f"the engine sent no message of this protocol: {error}") from error
        return is_any

    def _take_answer(self, message: Message) -> None:
        session = self._session
        if message.kind == Kind.WELCOME:
            if message.a == self._hello_no:
                self._be_welcomed(Welcome.of(message))
        elif message.kind == Kind.ACK:
            session.acknowledged(message.a)
            self._backoff_s = _BACKOFF_S
        elif message.kind == Kind.PONG:
            session.acknowledged(message.a)
            session.expected(message.c, message.b)
        elif message.kind == Kind.BUSY:
            self._be_refused(message)
        elif message.kind == Kind.ERROR:
            self._on_error(message)

    def _be_welcomed(self, welcome: Welcome) -> None:
        self._session.begin(welcome.session_id, welcome.epoch, welcome.last_client_seq)
        self.welcome = welcome
        self._lease_s = welcome.lease_s
        self._is_bound = True
        self._new_epoch = False
        self._send_at = 0.0
        if self._follower is not None:
            self._follower.look()

    def _be_refused(self, message: Message) -> None:
        self._stats.busy += 1
        if not self._is_bound:  # the HELLO itself, of an engine that shuts down
            self._hello_at = time.monotonic() - _HELLO_AGAIN_S + _BACKOFF_LONG_S
        elif self._session.refused(message.a, message.b):
            if message.c in (BusyReason.FULL, BusyReason.GAP):
                self._send_at = time.monotonic() + self._backoff_s
                self._backoff_s = min(self._backoff_s * 2, _BACKOFF_MAX_S)
            else:
                self._send_at = time.monotonic() + _BACKOFF_LONG_S

    def _on_error(self, message: Message) -> None:
        if message.a == ErrorCode.NOT_BOUND:
            if self._is_bound and not (message.b and self._session.is_stale(message.b)):
                self._is_bound = False
                self._hello_at = -1e9
            return
        self._is_bound = False
        self._refusal = f"the engine refused: {message.document().get('text')}"
        raise ClientError(self._refusal)
