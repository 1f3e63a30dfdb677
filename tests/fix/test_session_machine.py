"""The session machine under any sequence of messages and times: what must hold, and that a lossy line loses nothing."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


SEQS = st.one_of(st.integers(-2, 6), st.integers(0, 12), st.sampled_from([0, 10**12, 10**12 + 1]))
EVENTS = st.one_of(
    st.tuples(
        st.just("message"), st.sampled_from("D01234A5"), SEQS, st.booleans(), st.integers(0, 9), st.integers(0, 14)
    ),
    st.tuples(
        st.just("next"),
        st.sampled_from("D01D24"),
        st.integers(0, 3),
        st.booleans(),
        st.integers(0, 9),
        st.integers(0, 14),
    ),
    st.tuples(st.sampled_from(["tick", "logout", "garbled", "version"]), st.integers(0, 40)),
)


def build(run, msg_type, seq, dup, oddity, number):
    """A message with one odd thing about it."""
    odd = {
        0: {"reason": 5, "ref_tag": 54}, 1: {"names_right": False}, 2: {"sending_ns": run.now_ns + 200 * SECOND_NS},
        3: {"poss_resend": True}, 4: {"f141": "Y"},
    }.get(oddity if number == 0 else oddity + 3, {})  # fmt: skip
    given = {
        "4": {"f36": str(number), "f123": "Y" if oddity % 2 else "N"},
        "2": {"f7": str(number), "f16": str(oddity)},
    }
    orig = {"orig_sending_ns": run.now_ns - SECOND_NS * (oddity - 1)} if oddity else {}
    return inbound(msg_type, seq, run.now_ns, poss_dup=dup, **(given.get(msg_type, {}) | orig | odd))


@pytest.mark.hypothesis
@given(st.integers(1, 4), st.lists(EVENTS, max_size=40))
def test_whatever_comes_the_invariants_hold(first, events):
    """Numbers are taken once and in order, a gap is asked for once, the queue is bounded, a Logout is answered."""
    run = Checked()
    run.receive(inbound("A", first, run.now_ns))
    for event in events:
        if event[0] == "message":
            run.receive(build(run, *event[1:]))
        elif event[0] == "next":
            run.receive(build(run, event[1], run.next_in + event[2], *event[3:]))
        elif event[0] == "tick":
            run.now_ns += event[1] * SECOND_NS
            run.perform(run.session.tick(run.now_ns))
            assert run.session.next_tick_ns > run.now_ns
        elif event[0] == "logout":
            run.perform(run.session.logout("bye", run.now_ns))
        else:
            status = Status.GARBLED_CHECKSUM if event[0] == "garbled" else Status.BAD_BEGIN_STRING
            run.receive(Inbound(status, "D", seq=run.next_in))


@pytest.mark.hypothesis
@given(st.integers(0, 2**32 - 1))
def test_a_lossy_line_loses_nothing(seed):
    """A client that answers what it is asked gets each message taken once, in order, however many are lost at first."""
    chance = random.Random(seed)
    run = Checked(Limits(queue_messages=chance.randint(1, 6)))
    run.receive(inbound("A", 1, run.now_ns))
    kinds = {seq: chance.choice("DDD0") for seq in range(2, chance.randint(3, 30))}
    for seq, msg_type in kinds.items():
        if chance.random() < 0.6:
            send(run, inbound(msg_type, seq, run.now_ns), kinds, chance)
    seq = len(kinds) + 2
    while run.next_in < seq or run.session.waiting:  # heartbeats show what the last messages' loss hid
        assert seq < 100
        kinds[seq] = "0"
        send(run, inbound("0", seq, run.now_ns), kinds, chance)
        seq += 1
    assert run.delivered == [seq for seq, msg_type in kinds.items() if msg_type == "D"]
    assert run.session.state is State.ACTIVE


def send(run, message, kinds, chance):
    """Send a message, and then answer each ResendRequest that follows."""
    asked = len(run.sent)
    run.receive(message)
    while asked < len(run.sent):
        action = run.sent[asked]
        asked += 1
        if action.msg_type == "2":
            (_, begin), (_, end) = action.fields
            seq = begin
            while seq <= end:
                if kinds[seq] == "D":
                    run.receive(inbound("D", seq, run.now_ns, poss_dup=True, orig_sending_ns=run.now_ns - SECOND_NS))
                    seq += 1
                    continue
                new = next((other for other in range(seq, end + 1) if kinds[other] == "D"), end + 1)
                new = new if chance.random() < 0.5 else seq + 1
                run.receive(inbound("4", seq, run.now_ns, poss_dup=True, f36=str(new), f123="Y"))
                seq = new
