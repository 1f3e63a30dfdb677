"""One TCP connection of a counterparty: bytes in, the session machine's actions done in order, bytes out.

::

    bytes ─▶ decode ─▶ machine ─┬─ Take, Deliver ─▶ rows ─▶ the engine session
                                └─ Send, Resend, Disconnect ─▶ outbox ─▶ once its number is durable ─▶ bytes

Invariants: what answers an inbound number leaves when that number is in the journal; reports leave after the Logon's
answer; input stops while output or the engine is full; a peer that does not read is cut off, and loses nothing.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gateways.fix import codec, tables
from gateways.fix.actions import Action, Authenticate, Deliver, Disconnect, OpenEpoch, Resend, Send, Take
from gateways.fix.compiled import PAD
from gateways.fix.resend import Resending
from gateways.fix.session import Session
from gateways.fix.states import NEVER, SECOND_NS, State
from kk99 import batch, build
from kk99.errors import ClientError

if TYPE_CHECKING:
    from gateways.fix.gateway import Gateway
    from gateways.fix.line import Line

RECEIVE_BYTES: Final = 1 << 16
GAP_FILL_MAX: Final = 4_096
"""Numbers that one message may take."""
ROWS_HELD: Final = 16_384
"""Commands under way above which nothing more is read."""
_REPORTS_AT_A_TIME: Final = 64
_STALLED_NS: Final = 10 * SECOND_NS
"""A peer that takes no byte for so long is cut off."""
_FAREWELL_NS: Final = 5 * SECOND_NS
"""How long the last messages, and the peer's own closing, are waited for."""


class Link:
    """A connection that was accepted; `peer` is its row in the gateway's table of names."""

    def __init__(self, connection: socket.socket, address: str, gateway: Gateway, peer: int, now_ns: int) -> None:
        self.socket = connection
        self.address = address
        self.peer = peer
        self.machine = Session(gateway.settings.limits, now_ns)
        self.line: Line | None = None
        self.is_gone = False
        """Whether it is to be forgotten."""
        self.reason = ""
        """Why it ended."""
        self._gateway = gateway
        self._in = b""
        self._out = bytearray()
        self._outbox: deque[tuple[int, Action]] = deque()
        """What is to be sent, each with the inbound number that must be durable before."""
        self._rows: list[batch.Commands] = []
        self._taken = 0
        self._is_held = False
        """Whether input waits for a job."""
        self._has_new_epoch = False
        self._is_open = False
        """Whether the Logon was answered."""
        self._resending: Resending | None = None
        self._moved_ns = now_ns
        self._leave_by_ns = NEVER
        self._is_leaving = False
        """Whether nothing more is said but what is in `_out`."""

    # What the loop asks ---------------------------------------------------------------------------------------------

    @property
    def wants_input(self) -> bool:
        """Whether bytes may be read now."""
        if self._is_leaving:
            return True
        client = None if self.line is None else self.line.client
        has_room = client is None or client.rows_under_way < ROWS_HELD
        return not self._is_held and has_room and not self._is_full()

    @property
    def wants_output(self) -> bool:
        """Whether there are bytes to be sent."""
        return bool(self._out)

    @property
    def next_tick_ns(self) -> int:
        """When `tick` next has something to do."""
        stalled_ns = self._moved_ns + _STALLED_NS if self._out else NEVER
        return min(self.machine.next_tick_ns, stalled_ns, self._leave_by_ns)

    # What the loop tells --------------------------------------------------------------------------------------------

    def readable(self, now_ns: int) -> None:
        """Take the bytes that are there."""
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.drop(str(error))
            return
        if not data:
            self.drop(self.reason or "the connection was closed")
        elif not self._is_leaving:
            self._in += data
            self._decode(now_ns)

    def tick(self, now_ns: int) -> None:
        """Do what the time asks for."""
        if now_ns >= self._leave_by_ns:
            self.drop(self.reason)
        elif self._out and now_ns >= self._moved_ns + _STALLED_NS:
            self.drop("the peer does not read")
        else:
            self.do(self.machine.tick(now_ns), now_ns)

    def log_out(self, text: str, now_ns: int) -> None:
        """Begin to end it."""
        self.do(self.machine.logout(text, now_ns), now_ns)

    def drop(self, reason: str) -> None:
        """End it at once."""
        self.reason = self.reason or reason
        self.machine.disconnected()
        self.is_gone = True

    def flush(self, now_ns: int) -> None:
        """Make and send what may leave now."""
        while not self._is_leaving and not self._is_full() and self._next_message(now_ns):
            pass
        if self._out:
            self._send(now_ns)
        if self._is_leaving and not self._out and not self.is_gone:
            self._gateway.release(self)
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError as error:
                self.drop(str(error))

    # Logging on -----------------------------------------------------------------------------------------------------

    def begin(self, line: Line, *, has_new_epoch: bool, now_ns: int) -> None:
        """Go on with a Logon whose sender is who it says it is."""
        self.line = line
        self._has_new_epoch = has_new_epoch
        self._taken = line.next_in - 1
        self.resume(self.machine.authenticated(line.next_in, line.next_out, now_ns), now_ns)

    def refuse(self, reason: str, now_ns: int) -> None:
        """End it because its Logon is no good."""
        self.resume(self.machine.refused(reason), now_ns)

    def resume(self, actions: list[Action], now_ns: int) -> None:
        """Go on after a job, with what was left to do."""
        self._is_held = False
        self.do(actions, now_ns)
        self._decode(now_ns)

    # Inbound --------------------------------------------------------------------------------------------------------

    def _decode(self, now_ns: int) -> None:
        while self._in and not self._is_held and self.machine.state is not State.CLOSED:
            buffer = np.zeros(len(self._in) + PAD, np.uint8)
            buffer[: len(self._in)] = np.frombuffer(self._in, np.uint8)
            done = self._take_messages(buffer, now_ns)
            if not done:
                break
            self._in = self._in[done:]
        self._submit()

    def _take_messages(self, buffer: codec.Bytes, now_ns: int) -> int:
        """Take the messages at a buffer's beginning; how many bytes are done with."""
        gateway = self._gateway
        span = gateway.decode(buffer, len(buffer) - PAD, self.peer, now_ns)
        for message in range(int(span[tables.S_COUNT])):
            inbound = gateway.decoder.inbound(buffer, message)
            end = int(gateway.decoder.messages[message, tables.M_END])
            next_out = 1 if self.line is None else self.line.next_out
            actions = self.machine.receive(inbound, now_ns, next_out)
            self.do(actions, now_ns)
            if self._is_held or self.machine.state is State.CLOSED:
                return end
        return int(span[tables.S_DONE])

    def do(self, actions: list[Action], now_ns: int) -> None:
        """Do what the machine asks for, in order."""
        for at, action in enumerate(actions):
            if isinstance(action, Authenticate):
                self._is_held = True
                self._gateway.authenticate(self, action.message, now_ns)
            elif isinstance(action, OpenEpoch):
                if not self._has_new_epoch:
                    self._submit()
                    self._outbox.clear()
                    self._resending = None
                    self._is_open = False
                    self._is_held = True
                    self._taken = 0
                    self._gateway.open_epoch(self, actions[at + 1 :])
                    return
                self._has_new_epoch = False
            elif isinstance(action, Take):
                if action.last - action.first >= GAP_FILL_MAX:
                    self._end_with(f"more than {GAP_FILL_MAX} numbers in one gap fill", now_ns)
                    return
                self._note(action.first, action.last)
            elif isinstance(action, Deliver):
                assert self.line is not None
                self._row(self._gateway.command(self.line, action.message), action.message.seq)
            else:
                self._outbox.append((self._taken, action))
                if isinstance(action, Disconnect):
                    self.reason = action.reason
                    self._leave_by_ns = now_ns + _FAREWELL_NS

    def _note(self, first: int, last: int) -> None:
        rows = build.message_noted(np.zeros(last - first + 1, np.int64))
        self._row(rows, first)

    def _row(self, commands: batch.Commands, first: int) -> None:
        assert first == self._taken + 1, f"inbound number {first} follows {self._taken}"
        self._rows.append(commands)
        self._taken += len(commands.rows)

    def _submit(self) -> None:
        """Have what was taken journaled."""
        rows, self._rows = self._rows, []
        first = self._taken + 1 - sum(len(commands.rows) for commands in rows)
        at = 0
        while at < len(rows):
            chosen, count = [rows[at]], len(rows[at].rows)
            while at + len(chosen) < len(rows) and count + len(rows[at + len(chosen)].rows) <= GAP_FILL_MAX:
                chosen.append(rows[at + len(chosen)])
                count += len(chosen[-1].rows)
            assert self.line is not None
            try:
                self._gateway.submit(self.line, build.batch_of(chosen), first)
            except ClientError as error:
                self.drop(f"the engine session failed: {error}")
                return
            first += count
            at += len(chosen)

    def _end_with(self, text: str, now_ns: int) -> None:
        """Say why and end, for a reason that is the gateway's own."""
        self.machine.disconnected()
        for action in (Send("5", ((58, text),)), Disconnect(text)):
            self._outbox.append((self._taken, action))
        self.reason = text
        self._leave_by_ns = now_ns + _FAREWELL_NS

    # Outbound -------------------------------------------------------------------------------------------------------

    def _is_full(self) -> bool:
        return len(self._out) >= self._gateway.settings.output_bytes

    def _next_message(self, now_ns: int) -> bool:
        """Make the next messages that may leave; whether there were any."""
        if self._resending is not None:
            return self._go_on_resending(self._resending, now_ns)
        if self._outbox:
            return self._next_action(now_ns)
        line = self.line
        if line is None or not self._is_open:
            return False
        if line.unsent:
            self._out += line.reports(_REPORTS_AT_A_TIME, now_ns)
            self.machine.sent(now_ns)
            return True
        if line.is_behind:
            self._gateway.read_further(line)
        return False

    def _next_action(self, now_ns: int) -> bool:
        number, action = self._outbox[0]
        line = self.line
        if line is not None and number > line.durable_in:
            return False
        self._outbox.popleft()
        if isinstance(action, Disconnect):
            self._is_leaving = True
        elif line is not None and isinstance(action, Send):
            self._out += line.admin(action.msg_type, action.fields, now_ns)
            self._is_open = self._is_open or action.msg_type == "A"
        elif line is not None and isinstance(action, Resend):
            self._resending = Resending(line, action.first, action.last, self._gateway.read)
        return True

    def _go_on_resending(self, resending: Resending, now_ns: int) -> bool:
        made = resending.step(now_ns)
        self._out += made
        if resending.is_done:
            self._resending = None
            return True
        return bool(made)

    def _send(self, now_ns: int) -> None:
        try:
            sent: Any = self.socket.send(self._out)
        except BlockingIOError:
            return
        except OSError as error:
            self.drop(str(error))
            return
        del self._out[:sent]
        self._moved_ns = now_ns
