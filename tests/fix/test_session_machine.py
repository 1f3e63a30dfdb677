"""The session machine under any sequence of messages and times: what must hold, and that a lossy line loses nothing."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.fix.codec import Inbound
from gateways.fix.states import SECOND_NS, Limits, State
from gateways.fix.tables import Status
from tests.fix.checked import Checked, inbound

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
