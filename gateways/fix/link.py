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

from gateways.fix import tables
from gateways.fix.actions import Action, Authenticate, Deliver, Disconnect, OpenEpoch, Resend, Send, Take
from gateways.fix.compiled import PAD
from gateways.fix.failures import network_of
from gateways.fix.market import DATA_BYTES, QUESTIONS, Ask
from gateways.fix.resend import Resending
from gateways.fix.session import Session
from gateways.fix.states import NEVER, SECOND_NS, State
from kk99 import batch, build
from kk99.errors import ClientError

if TYPE_CHECKING:
    from gateways.fix.gateway import Gateway
    from gateways.fix.line import Line
    from gateways.fix.market import Subscriber

GAP_FILL_MAX: Final = 4_096
"""Numbers that one message may take."""
TOO_MANY: Final = "far too many messages"
ROWS_HELD: Final = 16_384
"""Commands under way, or answers that wait, above which nothing more is read."""
_REPORTS_AT_A_TIME: Final = 1_024
_STALLED_NS: Final = 10 * SECOND_NS
"""A peer that takes fewer than _PROGRESS_BYTES of what waits in so long is cut off."""
_PROGRESS_BYTES: Final = 1 << 14
_FAREWELL_NS: Final = 5 * SECOND_NS
"""How long the last messages, and the peer's own closing, are waited for."""


class Link:
    """A connection that was accepted; `peer` is its row in the gateway's table of names."""

    def __init__(self, connection: socket.socket, address: str, gateway: Gateway, peer: int, now_ns: int) -> None:
        self.socket = connection
        self.address = address
        self.network, self.since_ns = network_of(address), now_ns
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
        self._outbox: deque[tuple[int, Action | Ask]] = deque()
        """What is to be sent, each with the inbound number that must be durable before."""
        self._rows: list[batch.Commands] = []
        self._taken = 0
        self._is_held = False
        """Whether input waits for a job."""
        self._has_new_epoch = False
        self._is_open = False
        """Whether the Logon was answered."""
        self._resending: Resending | None = None
        self._subscriber: Subscriber | None = None
        """Of a session for market data."""
        self._moved_ns, self._moved_bytes = now_ns, 0
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
        return not self._is_held and has_room and len(self._outbox) < ROWS_HELD and not self._is_full()

    @property
    def wants_output(self) -> bool:
        """Whether there are bytes to be sent."""
        return bool(self._out)

    @property
    def bytes_waiting(self) -> int:
        """How many bytes wait to be sent."""
        return len(self._out)

    @property
    def next_tick_ns(self) -> int:
        """When `tick` next has something to do."""
        stalled_ns = self._moved_ns + _STALLED_NS if self._out else NEVER
        machine_ns = NEVER if self._is_held and self.line is not None else self.machine.next_tick_ns
        return min(machine_ns, stalled_ns, self._leave_by_ns)

    # What the loop tells --------------------------------------------------------------------------------------------

    def readable(self, now_ns: int) -> None:
        """Take the bytes that are there."""
        kept = self._restore()
        try:
            size = self.socket.recv_into(self._gateway.buffer[kept:-PAD].data)
        except BlockingIOError:
            return
        except OSError as error:
            self.drop(str(error))
            return
        if not size:
            self.drop(self.reason or "the connection was closed")
        elif not self._is_leaving:
            self._gateway.counters.received_bytes += size
            self._decode(kept + size, now_ns)

    def tick(self, now_ns: int) -> None:
        """Do what the time asks for."""
        if now_ns >= self._leave_by_ns:
            self.drop(self.reason)
        elif self._out and now_ns >= self._moved_ns + _STALLED_NS:
            self._gateway.counters.slow_dropped += 1
            self.drop("the peer does not read")
        elif not self._is_held or self.line is None:
            self.do(self.machine.tick(now_ns), now_ns)

    def log_out(self, text: str, now_ns: int) -> None:
        """Begin to end it."""
        if self._is_held and self.line is not None:  # between two epochs nothing has a number
            self.drop(text)
        else:
            self.do(self.machine.logout(text, now_ns), now_ns)

    def drop(self, reason: str) -> None:
        """End it at once."""
        self.reason = self.reason or reason
        self.machine.disconnected()
        self.is_gone = True
        if self._subscriber is not None:
            self._subscriber.close()

    def flush(self, now_ns: int) -> None:
        """Make and send what may leave now."""
        if not self._out:
            self._moved_ns, self._moved_bytes = now_ns, 0
        if self._subscriber is not None and self._subscriber.problem:
            self.log_out(self._subscriber.problem, now_ns)
            self._subscriber.close()
        while not self._is_leaving and not self._is_full() and self._next_message(now_ns):
            pass
        if self._out:
            self._send(now_ns)
        if self._is_leaving and not self._out and not self.is_gone:
            self._gateway.binding.release(self)
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError as error:
                self.drop(str(error))

    # Logging on -----------------------------------------------------------------------------------------------------

    def begin(self, line: Line, *, has_new_epoch: bool, now_ns: int) -> None:
        """Go on with a Logon whose sender is who it says it is."""
        self.line = line
        self._subscriber = self._gateway.subscriber(line)
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
        self._decode(self._restore(), now_ns)

    # Inbound --------------------------------------------------------------------------------------------------------

    def _restore(self) -> int:
        """Put the bytes kept of before at the beginning of the gateway's buffer; how many these are."""
        kept = len(self._in)
        if kept:
            self._gateway.buffer[:kept] = np.frombuffer(self._in, np.uint8)
        return kept

    def _decode(self, end: int, now_ns: int) -> None:
        """Take the messages in the first bytes of the gateway's buffer, and keep what is left."""
        begin = 0
        while begin < end and not self._is_held and self.machine.state is not State.CLOSED:
            done = self._take_messages(begin, end, now_ns)
            if done == begin:
                break
            begin = done
        self._in = self._gateway.buffer[begin:end].tobytes()
        self._submit()

    def _take_messages(self, begin: int, end: int, now_ns: int) -> int:
        """Take messages out of a part of the gateway's buffer; where what is not done with begins."""
        gateway, machine = self._gateway, self.machine
        span = gateway.decode(begin, end, self.peer, machine.plain_from, now_ns)
        count, plain = int(span[tables.S_COUNT]), int(span[tables.S_PLAIN])
        gateway.counters.messages += count
        at = 0
        while at < count:
            many = self._take_plain(at, plain - at, now_ns)
            if many:
                at += many
                continue
            inbound = gateway.decoder.inbound(gateway.buffer, at)
            stop = int(gateway.decoder.messages[at, tables.M_END])
            next_out = 1 if self.line is None else self.line.next_out
            self.do(machine.receive(inbound, now_ns, next_out), now_ns)
            if self._is_held or machine.state is State.CLOSED:
                return stop
            at += 1
        return int(span[tables.S_DONE])

    def _take_plain(self, at: int, count: int, now_ns: int) -> int:
        """Take plain messages from one on all at once; how many, 0 when that one needs a look of its own."""
        line = self.line
        if count <= 0 or line is None or self.machine.plain_from != self._gateway.decoder.messages[at, tables.M_SEQ]:
            return 0
        commands = self._gateway.take(line, at, count, now_ns)
        if commands is None:
            return 0
        many = len(commands.rows)
        self._row(commands, self.machine.next_in)
        self.machine.took_plain(many, now_ns)
        return many

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
                    self._gateway.binding.open_epoch(self, actions[at + 1 :])
                    return
                self._has_new_epoch = False
            elif isinstance(action, Take):
                if action.last - action.first >= GAP_FILL_MAX:
                    self.end(f"more than {GAP_FILL_MAX} numbers in one gap fill", now_ns)
                    return
                self._note(action.first, action.last)
                self._charge(now_ns, is_free=action.msg_type == "A")
            elif isinstance(action, Deliver):
                assert self.line is not None
                refusal, is_abuse = self.line.refusal(action.message.msg_type, now_ns)
                if is_abuse:
                    self.end(TOO_MANY, now_ns)
                self._row(self._gateway.command(self.line, action.message, refusal), action.message.seq)
                if self._subscriber is not None and not refusal and action.message.msg_type in QUESTIONS:
                    self._outbox.append((self._taken, Ask(action.message)))
            else:
                self._outbox.append((self._taken, action))
                self._charge(now_ns, is_free=not isinstance(action, Resend))
                if isinstance(action, Disconnect):
                    self.reason = action.reason
                    self._leave_by_ns = now_ns + _FAREWELL_NS

    def _charge(self, now_ns: int, *, is_free: bool) -> None:
        """Count an admin message, which can't be refused, against what the session may send."""
        if not is_free and self.line is not None and self.line.is_abused(now_ns):
            self.end(TOO_MANY, now_ns)

    def _note(self, first: int, last: int) -> None:
        self._row(build.message_noted(np.zeros(last - first + 1, np.int64)), first)

    def _row(self, commands: batch.Commands, first: int) -> None:
        assert first == self._taken + 1, f"inbound number {first} follows {self._taken}"
        self._rows.append(commands)
        self._taken += len(commands.rows)

    def _submit(self) -> None:
        """Have what was taken journaled."""
        rows, self._rows = self._rows, []
        first, at = self._taken + 1 - sum(len(commands.rows) for commands in rows), 0
        while at < len(rows):
            chosen, count = [rows[at]], len(rows[at].rows)
            while at + len(chosen) < len(rows) and count + len(rows[at + len(chosen)].rows) <= GAP_FILL_MAX:
                chosen.append(rows[at + len(chosen)])
                count += len(chosen[-1].rows)
            assert self.line is not None
            try:
                self._gateway.submit(self.line, chosen[0] if len(chosen) == 1 else build.batch_of(chosen), first)
            except ClientError as error:
                self.drop(f"the engine session failed: {error}")
                return
            first += count
            at += len(chosen)

    def end(self, text: str, now_ns: int) -> None:
        """Say why and end, for a reason that is not the session layer's; what comes in from now on is not looked at."""
        if self.line is None or self.line.client is None:
            self.drop(text)
            return
        if self._leave_by_ns != NEVER:  # it ends already
            return
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
        if len(line.owed):
            self._out += line.reports(_REPORTS_AT_A_TIME, now_ns)
            self.machine.sent(now_ns)
            return True
        if line.owed.is_behind:
            self._gateway.read_further(line)
        return self._tell(line, now_ns)

    def _tell(self, line: Line, now_ns: int) -> bool:
        told = None if self._subscriber is None or len(self._out) >= DATA_BYTES else self._subscriber.next()
        if told is not None:
            self._out += line.admin(*told, now_ns)
            self.machine.sent(now_ns)
        return told is not None

    def _next_action(self, now_ns: int) -> bool:
        number, action = self._outbox[0]
        line = self.line
        if line is not None and (line.index is None or number > line.durable_in):
            return False
        if isinstance(action, Ask) and line and self._subscriber and self._subscriber.is_answering:
            return self._tell(line, now_ns) or not self._subscriber.is_answering
        self._outbox.popleft()
        if isinstance(action, Disconnect):
            self._is_leaving = True
        elif line is not None and isinstance(action, Send):
            self._out += line.admin(action.msg_type, action.fields, now_ns)
            self._is_open = self._is_open or action.msg_type == "A"
        elif line is not None and isinstance(action, Resend):
            self._gateway.counters.resends += 1
            line.resend_count += 1
            self._resending = Resending(line, action.first, action.last, self._gateway.read)
            if self._subscriber is not None:
                self._subscriber.resync()
        elif isinstance(action, Ask) and self._subscriber is not None:
            self._subscriber.ask(action.message)
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
        self._gateway.counters.sent_bytes += sent
        del self._out[:sent]
        self._moved_bytes += sent
        if not self._out or self._moved_bytes >= _PROGRESS_BYTES:
            self._moved_ns, self._moved_bytes = now_ns, 0
