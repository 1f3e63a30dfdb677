"""A session in the place of a server, whose every answer is held against what must be."""

from __future__ import annotations

from gateways.fix import rules, tables
from gateways.fix.actions import Authenticate, Deliver, Disconnect, OpenEpoch, Resend, Send, Take
from gateways.fix.codec import Inbound
from gateways.fix.session import Session
from gateways.fix.states import SECOND_NS, Limits, State
from gateways.fix.tables import Status
from tests.fix.support import NOW_NS

LIMITS = Limits(queue_messages=4, queue_bytes=1_000, resend_ns=100 * SECOND_NS)


def inbound(msg_type, seq, now_ns, **rest):
    """A valid message, but for what is given."""
    fields = {"A": {98: "0", 108: "30"}, "1": {112: "T"}, "2": {7: "1", 16: "0"}, "4": {36: str(seq + 1)}}.get(
        msg_type, {}
    )
    fields |= {int(tag[1:]): value for tag, value in rest.items() if tag[0] == "f"}
    given = {name: value for name, value in rest.items() if name[0] != "f"}
    kind = rules.KINDS.index(msg_type)
    return Inbound(
        Status.OK, msg_type, kind, seq=seq, **({"sending_ns": now_ns, "raw": b"x" * 100} | given), fields=fields
    )


class Checked:
    """A session whose every answer is checked, in the place of a server."""

    def __init__(self, limits=LIMITS):
        self.session = Session(limits, NOW_NS)
        self.limits = limits
        self.now_ns = NOW_NS
        self.next_in = 1
        self.next_out = 1
        self.asked_to = 0
        self.delivered = []
        self.sent = []

    def receive(self, message):
        """Give it a message, and hold its answer against what must be."""
        before = self.session.state
        actions = self.session.receive(message, self.now_ns, self.next_out)
        self.perform(actions)
        is_open = before in {State.ACTIVE, State.AWAITING_RESEND, State.LOGGING_OUT}
        if is_open and message.msg_type == "5" and message.seq >= 0 and not message.poss_dup:
            logouts = [action for action in actions if isinstance(action, Send) and action.msg_type == "5"]
            assert len(logouts) == (before is not State.LOGGING_OUT)
            assert self.session.state is State.CLOSED
        return actions

    def perform(self, actions):
        """Do as a server would."""
        for place, action in enumerate(actions):
            match action:
                case Authenticate():
                    self.perform(self.session.authenticated(self.next_in, self.next_out, self.now_ns))
                case OpenEpoch():
                    self.next_in = self.next_out = 1
                    self.asked_to = 0
                case Take(first, last):
                    assert first == self.next_in <= last
                    self.next_in = last + 1
                case Deliver(message):
                    assert message.seq == self.next_in
                    assert message.reason == tables.VALID
                    self.next_in += 1
                    self.delivered.append(message.seq)
                case Send("2", ((_, begin), (_, end))):
                    assert self.asked_to < begin <= end
                    assert begin == self.next_in
                    self.asked_to = end
                    self.next_out += 1
                case Resend(first, last):
                    assert 1 <= first <= last < self.next_out
                case Disconnect():
                    assert place == len(actions) - 1
                    assert self.session.state is State.CLOSED
                case Send():
                    self.next_out += 1
            if isinstance(action, Send):
                self.sent.append(action)
        if self.session.state is not State.CLOSED:
            assert self.session.next_in == self.next_in or self.session.state in {
                State.AWAITING_LOGON,
                State.AUTHENTICATING,
            }
        assert self.session.waiting <= self.limits.queue_messages
