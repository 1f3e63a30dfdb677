"""The session layer of FIX 4.4 as a state machine: messages and ticks in, actions out; no sockets, clock or storage.

    AWAITING_LOGON ── Logon ──▶ AUTHENTICATING ── authenticated ──▶ ACTIVE ⇄ AWAITING_RESEND (a gap is open)
                                                                      │ logout                  │
          CLOSED ◀── anything fatal, Logout answered, deadline ── LOGGING_OUT ◀─────────────────┘

What each message does in each place of the sequence stands in TABLE. The caller keeps the numbers: it passes
`next_in` and `next_out` when the session logs on, gives outbound numbers to what is sent, and calls `sent` after
anything it sent itself.

Invariants: `next_in` only rises within an epoch, and each number below it went out once, in a Take or a Deliver; a
gap has at most one ResendRequest; what waits beyond it is bounded; after a Disconnect nothing is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from gateways.fix.actions import (
    REASON_TEXTS,
    Action,
    Authenticate,
    Deliver,
    Disconnect,
    OpenEpoch,
    Resend,
    Send,
    Take,
    reject,
)
from gateways.fix.gap import Gap
from gateways.fix.logon import logon_answer, logon_problem, too_low
from gateways.fix.states import NEVER, SECOND_NS, SEQ_MAX, Limits, Place, State
from gateways.fix.tables import VALID, Reason, Status

if TYPE_CHECKING:
    from gateways.fix.codec import Inbound


Move = Callable[["Session", "Inbound", int, int], list[Action]]


class Session:
    """One connection's side of a session, from its first byte to its end."""

    def __init__(self, limits: Limits, now_ns: int) -> None:
        """Begin with a connection that was just accepted."""
        self.next_in = 0
        """The inbound number that comes next."""
        self._limits = limits
        self._state = State.AWAITING_LOGON
        self._logon: Inbound | None = None
        self._deadline_ns = now_ns + limits.logon_ns
        self._heartbeat_ns = 0
        self.last_in_ns = self.last_out_ns = now_ns
        self._test_ns = 0
        """When a TestRequest was sent that nothing has come after; 0: none."""
        self._gap = Gap(limits.queue_messages, limits.queue_bytes)

    # What the caller looks at ---------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the session stands."""
        return State.AWAITING_RESEND if self._state is State.ACTIVE and self._gap.end else self._state

    @property
    def plain_from(self) -> int:
        """The number from which on plain messages need not come through `receive` (see S_NEXT_IN); 0: they must."""
        return self.next_in if self.state is State.ACTIVE else 0

    @property
    def waiting(self) -> int:
        """How many messages wait beyond a gap."""
        return len(self._gap)

    @property
    def next_tick_ns(self) -> int:
        """When `tick` next has something to do."""
        if self._state is State.CLOSED:
            return NEVER
        if self._state is not State.ACTIVE:
            return self._deadline_ns
        due_ns = min(self.last_out_ns + self._heartbeat_ns, (self._test_ns or self.last_in_ns) + self._patience_ns)
        return min(due_ns, self._gap.since_ns + self._limits.resend_ns) if self._gap.end else due_ns

    @property
    def _patience_ns(self) -> int:
        """How long a silence may last: the interval and, for the way, a fifth of it."""
        return self._heartbeat_ns + self._heartbeat_ns // 5

    def _is_open(self) -> bool:
        return self._state is State.ACTIVE or self._state is State.LOGGING_OUT

    # What the caller tells ------------------------------------------------------------------------------------------

    def receive(self, message: Inbound, now_ns: int, next_out: int) -> list[Action]:
        """Return what a message asks for; `next_out` is the number that the next message sent would have."""
        if self._state is State.CLOSED:
            return []
        if message.status >= Status.JUNK:  # FIX: ignore it; but a stranger who talks garbage is no FIX client
            return [] if self._is_open() else self._end("garbled message before a Logon")
        self.last_in_ns = now_ns
        self._test_ns = 0
        if not self._is_open():
            return self._first(message)
        actions = self._check_header(message, now_ns)
        if self._is_open():
            actions += self._dispatch(message, now_ns, next_out)
        while self._is_open() and (waiting := self._gap.pop(self.next_in)) is not None:
            answer = self._take if waiting.answered else self._dispatch
            actions += answer(waiting.message, now_ns, next_out)
        if self._is_open() and self._gap.end < self.next_in:
            end = self._gap.close(self.next_in)
            actions += self._open_gap(end, now_ns) if end else []
        return actions

    def authenticated(self, next_in: int, next_out: int, now_ns: int) -> list[Action]:
        """Go on with the Logon of a peer that is who it says it is, whose session stands at these numbers."""
        logon, self._logon = self._logon, None
        if self._state is not State.AUTHENTICATING or logon is None:
            return []  # the connection went away in the meantime
        reset = logon.text(141) == "Y"
        if reset:
            next_in = next_out = 1
        self.next_in = next_in
        wrong = logon_problem(logon, self._limits, next_in, next_out, now_ns)
        if wrong:
            return self._fatal(wrong, now_ns)
        self._state = State.ACTIVE
        self.last_in_ns = now_ns
        expected = logon.number(789)
        actions: list[Action] = [OpenEpoch()] if reset else []
        if logon.seq == next_in:
            actions += self._take(logon, now_ns, next_out)
        actions += self._send("A", now_ns, *self._agree(logon))
        if expected is not None and expected < next_out:
            actions.append(Resend(expected, next_out - 1))
        if logon.seq > next_in:
            self._gap.add(logon, answered=True)
            actions += self._open_gap(logon.seq - 1, now_ns, ask=expected is None)
        return actions

    def refused(self, reason: str) -> list[Action]:
        """End a connection whose Logon is no good: a stranger is told nothing, and uses up no number."""
        return self._end(reason)

    def took_plain(self, count: int, now_ns: int) -> None:
        """Note that the next so many numbers were plain messages, which the caller has delivered itself."""
        assert self.plain_from
        self.next_in += count
        self.last_in_ns = now_ns
        self._test_ns = 0

    def sent(self, now_ns: int) -> None:
        """Note that the caller sent something of its own."""
        self.last_out_ns = now_ns

    def logout(self, text: str, now_ns: int) -> list[Action]:
        """Begin to end the session from our side."""
        if self._state is State.ACTIVE:
            self._state = State.LOGGING_OUT
            self._deadline_ns = now_ns + self._limits.logout_ns
            return self._send("5", now_ns, (58, text))
        return [] if self._is_open() or self._state is State.CLOSED else self._end(text)

    def tick(self, now_ns: int) -> list[Action]:
        """Return what the time asks for."""
        if now_ns < self.next_tick_ns:
            return []
        if self._state is not State.ACTIVE:
            return self._end("no answer to Logout" if self._is_open() else "no Logon in time")
        if self._gap.end and now_ns >= self._gap.since_ns + self._limits.resend_ns:
            return self._fatal(f"messages {self.next_in} to {self._gap.end} were not sent again", now_ns)
        if self._test_ns and now_ns >= self._test_ns + self._patience_ns:
            return self._end("no answer to TestRequest")
        actions: list[Action] = []
        if not self._test_ns and now_ns >= self.last_in_ns + self._patience_ns:
            self._test_ns = now_ns
            actions += self._send("1", now_ns, (112, f"TEST-{now_ns}"))
        elif now_ns >= self.last_out_ns + self._heartbeat_ns:
            actions += self._send("0", now_ns)
        return actions

    def disconnected(self) -> None:
        """Note that the connection is gone."""
        self._end("")

    # Logging on -----------------------------------------------------------------------------------------------------

    def _first(self, message: Inbound) -> list[Action]:
        """Take a message that came before the session is logged on."""
        if self._state is State.AUTHENTICATING:
            return self._end("a message before the Logon was answered")
        if message.status is not Status.OK or message.msg_type != "A" or not 1 <= message.seq <= SEQ_MAX:
            return self._end("the first message is no Logon of FIX 4.4")
        if message.reason != VALID:
            return self._end(f"the Logon is wrong: {REASON_TEXTS[Reason(message.reason)]} ({message.ref_tag})")
        self._state = State.AUTHENTICATING
        self._logon = message
        return [Authenticate(message)]

    def _agree(self, logon: Inbound) -> tuple[tuple[int, object], ...]:
        """Keep to the interval that a Logon asks for, and return the body of its answer."""
        self._heartbeat_ns = (logon.number(108) or 0) * SECOND_NS
        return logon_answer(logon, self.next_in)

    def _reset(self, message: Inbound, now_ns: int, _next_out: int) -> list[Action]:
        """Begin the next epoch within the connection."""
        wrong = logon_problem(message, self._limits, 1, 1, now_ns)
        if wrong or self._state is State.LOGGING_OUT:
            return self._fatal(wrong or "a Logon where a Logout was awaited", now_ns)
        self._gap.clear()
        self.next_in = 2
        return [OpenEpoch(), Take(1, 1, msg_type="A"), *self._send("A", now_ns, *self._agree(message))]

    # Each message ---------------------------------------------------------------------------------------------------

    def _check_header(self, message: Inbound, now_ns: int) -> list[Action]:
        """Return what ends the session because of a message's header, [] when nothing does."""
        if message.status is not Status.OK:
            return self._fatal("BeginString (8) must be FIX.4.4", now_ns)
        if not 0 <= message.seq <= SEQ_MAX:
            return self._fatal("MsgSeqNum (34) is missing or is no number", now_ns)
        reason = VALID
        if not message.names_right:
            reason = Reason.COMP_ID
        elif message.sending_ns >= 0 and abs(now_ns - message.sending_ns) > self._limits.accuracy_ns:
            reason = Reason.SENDING_TIME
        if reason == VALID:
            return []
        answer = reject(message, reason, 0 if reason == Reason.COMP_ID else 52)
        took = self._took(message, reason) if message.seq == self.next_in else []
        return [*took, answer, *self._fatal(REASON_TEXTS[Reason(reason)], now_ns)]

    def _dispatch(self, message: Inbound, now_ns: int, next_out: int) -> list[Action]:
        """Look a message up in TABLE, and do what stands there."""
        if message.seq > self.next_in:
            place = Place.HIGH
        elif message.seq == self.next_in:
            place = Place.NEXT
        else:
            place = Place.DUPLICATE if message.poss_dup else Place.LOW
        if message.poss_dup and message.reason == VALID and message.msg_type != "4" and place is not Place.HIGH:
            if message.orig_sending_ns < 0:
                message = replace(message, reason=Reason.REQUIRED_MISSING, ref_tag=122)
            elif message.orig_sending_ns > message.sending_ns:
                message = replace(message, reason=Reason.SENDING_TIME, ref_tag=122)
        return self.TABLE[_row(message)][place](self, message, now_ns, next_out)

    def _took(self, message: Inbound, reason: int = VALID) -> list[Action]:
        """Take a message's number, which is the next one."""
        return self._advance(Take(message.seq, message.seq, reason, message.ref_tag, message.msg_type), message.seq)

    def _advance(self, action: Action, last: int) -> list[Action]:
        """Note that numbers up to one are taken, by an action."""
        self.next_in = last + 1
        self._gap.since_ns = max(self._gap.since_ns, self.last_in_ns)
        return [action]

    def _take(self, message: Inbound, _now_ns: int, _next_out: int) -> list[Action]:
        """Take what needs no answer."""
        return self._took(message)

    def _deliver(self, message: Inbound, _now_ns: int, _next_out: int) -> list[Action]:
        """Hand on an application message."""
        return self._advance(Deliver(message), message.seq)

    def _ignore(self, _message: Inbound, _now_ns: int, _next_out: int) -> list[Action]:
        """Do nothing: it was taken before."""
        return []

    def _wait(self, message: Inbound, now_ns: int, _next_out: int) -> list[Action]:
        """Let a message wait beyond the gap, and ask for what is missing unless that was done."""
        self._gap.add(message, answered=False)
        return self._open_gap(message.seq - 1, now_ns)

    def _too_low(self, message: Inbound, now_ns: int, _next_out: int) -> list[Action]:
        """End the session: a number came twice without PossDupFlag."""
        return self._fatal(too_low(self.next_in, message.seq), now_ns)

    def _reject(self, message: Inbound, now_ns: int, _next_out: int) -> list[Action]:
        """Reject a message that is not valid; its number is taken if it is the next."""
        took = self._took(message, message.reason) if message.seq == self.next_in else []
        return [*took, *self._answer(reject(message, message.reason, message.ref_tag), now_ns)]

    def _test(self, message: Inbound, now_ns: int, _next_out: int) -> list[Action]:
        """Answer a TestRequest."""
        return [*self._took(message), *self._send("0", now_ns, (112, message.text(112)))]

    def _resend(self, message: Inbound, now_ns: int, next_out: int) -> list[Action]:
        """Answer a ResendRequest; one beyond a gap too, else two sides that miss something wait for each other."""
        begin, end = message.number(7) or 0, message.number(16) or 0
        wrong = 7 if not 1 <= begin < next_out else 16 if 0 < end < begin else 0
        if wrong:
            return self._refuse(message, wrong, now_ns, next_out)
        actions: list[Action] = [Resend(begin, next_out - 1 if end == 0 else min(end, next_out - 1))]
        if message.seq == self.next_in:
            return [*self._took(message), *actions]
        self._gap.add(message, answered=True)
        return [*actions, *self._open_gap(message.seq - 1, now_ns)]

    def _fill(self, message: Inbound, now_ns: int, next_out: int) -> list[Action]:
        """Take all the numbers that a gap fill stands for."""
        new = message.number(36) or 0
        if not message.seq < new <= SEQ_MAX:
            return self._refuse(message, 36, now_ns, next_out)
        return self._advance(Take(message.seq, new - 1, msg_type="4"), new - 1)

    def _skip(self, message: Inbound, now_ns: int, _next_out: int) -> list[Action]:
        """Go on with the number that a reset names, whatever its own is; it can't go back."""
        new = message.number(36) or 0
        if not self.next_in <= new <= SEQ_MAX:
            return self._answer(reject(message, Reason.VALUE_INCORRECT, 36), now_ns)
        return self._advance(Take(self.next_in, new - 1, msg_type="4"), new - 1) if new > self.next_in else []

    def _refuse(self, message: Inbound, tag: int, now_ns: int, next_out: int) -> list[Action]:
        """Reject a valid message because of a value that makes no sense now."""
        return self._reject(replace(message, reason=Reason.VALUE_INCORRECT, ref_tag=tag), now_ns, next_out)

    def _logon_again(self, _message: Inbound, now_ns: int, _next_out: int) -> list[Action]:
        """End the session: it is logged on already."""
        return self._fatal("already logged on", now_ns)

    def _logout(self, message: Inbound, now_ns: int, _next_out: int) -> list[Action]:
        """Answer a Logout, unless it is the answer to ours, and end."""
        took = self._took(message) if message.seq == self.next_in else []
        answer = self._send("5", now_ns) if self._state is State.ACTIVE else []
        return [*took, *answer, *self._end("logged out")]

    # What handlers share --------------------------------------------------------------------------------------------

    def _open_gap(self, end: int, now_ns: int, *, ask: bool = True) -> list[Action]:
        """Note that all up to a number is missing and ask for it, unless a gap is open: then it was asked for."""
        if self._gap.end:
            return []
        self._gap.open(end, now_ns)
        return self._send("2", now_ns, (7, self.next_in), (16, end)) if ask else []

    def _send(self, msg_type: str, now_ns: int, *fields: tuple[int, object]) -> list[Action]:
        return self._answer(Send(msg_type, fields), now_ns)

    def _answer(self, action: Action, now_ns: int) -> list[Action]:
        self.last_out_ns = now_ns
        return [action]

    def _fatal(self, text: str, now_ns: int) -> list[Action]:
        """Say why and end; only once, if a Logout was sent before."""
        answer = [] if self._state is State.LOGGING_OUT else self._send("5", now_ns, (58, text))
        return [*answer, *self._end(text)]

    def _end(self, reason: str) -> list[Action]:
        self._state = State.CLOSED
        self._gap.clear()
        self._logon = None
        return [Disconnect(reason)]

    TABLE: ClassVar[dict[str, tuple[Move, Move, Move, Move]]] = {
        #               LOW              DUPLICATE        NEXT             HIGH
        "0":           (_too_low,     _ignore,      _take,        _wait),
        "1":           (_too_low,     _ignore,      _test,        _wait),
        "2":           (_too_low,     _ignore,      _resend,      _resend),
        "3":           (_too_low,     _ignore,      _take,        _wait),
        "4":           (_too_low,     _ignore,      _fill,        _wait),
        "4 reset":     (_skip,        _skip,        _skip,        _skip),
        "5":           (_too_low,     _ignore,      _logout,      _logout),
        "A":           (_too_low,     _ignore,      _logon_again, _logon_again),
        "A reset":     (_reset,       _reset,       _reset,       _reset),
        "j":           (_too_low,     _ignore,      _take,        _wait),
        "application": (_too_low,     _ignore,      _deliver,     _wait),
        "wrong":       (_too_low,     _reject,      _reject,      _wait),
    }  # fmt: skip
    """What each message does, by where its number stands."""


def _row(message: Inbound) -> str:
    """Return the row of TABLE that a message belongs to."""
    if message.msg_type in {"3", "5"}:  # a Reject is never rejected, a Logout always answered
        return message.msg_type
    if message.reason != VALID:
        return "wrong"
    if message.msg_type == "A" and message.text(141) == "Y":
        return "A reset"
    if message.msg_type == "4" and message.text(123) != "Y":
        return "4 reset"
    return message.msg_type if message.msg_type in Session.TABLE else "application"
