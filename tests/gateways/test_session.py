"""The client's side of a session: whatever is lost, refused or restarted, each command is taken once and in order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.session import ClientSession, Outgoing
from kk99 import batch, schema
from kk99.errors import ClientError


def orders(count, marks=None, tail=b""):
    """Commands that carry the numbers `marks` in qty_lots."""
    rows = np.zeros(count, schema.COMMAND)
    rows["kind"] = schema.CommandKind.ORDER_NEW
    rows["qty_lots"] = range(count) if marks is None else marks
    return batch.commands(rows, None, tail)


def welcomed(rows_max=1000):
    """A session that was welcomed in epoch 2 with nothing taken."""
    session = ClientSession(rows_max)
    session.begin(7, 2, 0)
    return session


def send(session):
    """Send the next frame; its (number, commands)."""
    frame_no, data = session.next_frame()
    session.sent()
    return frame_no, batch.decode_commands(bytes(data))


def test_rows_are_stamped():
    """Session, epoch and rising numbers are written into the frame, not into the caller's rows."""
    session, given_rows = welcomed(), orders(3)
    assert session.number(given_rows) == (1, 3)
    assert session.number(orders(1)) == (4, 4)
    _, sent = send(session)
    assert sent.rows[["session_id", "session_epoch", "client_seq"]].tolist() == [(7, 2, 1), (7, 2, 2), (7, 2, 3)]
    assert not given_rows.rows["client_seq"].any()


def test_the_window_at_its_edge():
    """So many rows may be under way and not one more; a frame larger than the window goes alone."""
    session = welcomed(10)
    session.number(orders(9))
    assert session.has_room(1)
    assert not session.has_room(2)
    session.acknowledged(9)
    assert session.has_room(11)


@pytest.mark.parametrize("count", [0, schema.BATCH_ROWS_MAX + 1])
def test_frames_are_bounded(count):
    """A frame has 1 to BATCH_ROWS_MAX rows."""
    with pytest.raises(ClientError, match="rows"):
        welcomed().number(orders(count))


def test_a_tail_is_bounded():
    """Documents beyond the bound of a frame are refused before they are sent."""
    with pytest.raises(ClientError, match="tail"):
        welcomed().number(orders(1, tail=bytes(batch.TAIL_BYTES_MAX + 1)))


def test_busy_goes_back_once_and_probes():
    """After BUSY the refused frame waits for those before it and goes alone; older refusals change nothing."""
    session = welcomed()
    for _ in range(3):
        session.number(orders(2))
    numbers = [send(session)[0] for _ in range(3)]
    assert session.refused(3, numbers[1])
    assert not session.refused(3, numbers[2])
    assert session.times_back == 1
    assert not session.has_unsent
    session.acknowledged(2)
    assert session.has_unsent
    frame_no, sent = send(session)
    assert sent.rows["client_seq"].tolist() == [3, 4]
    assert frame_no == 4
    assert not session.has_unsent
    session.acknowledged(4)
    assert session.has_unsent
    assert send(session)[1].rows["client_seq"].tolist() == [5, 6]


def test_a_lost_busy_is_found_by_a_pong():
    """The client goes back to a number the engine still expects; when they agree nothing changes."""
    session = welcomed()
    for _ in range(2):
        session.number(orders(2))
        send(session)
    assert not session.expected(5, session.frame_no)
    assert not session.expected(1, session.frame_no - 1)
    assert session.expected(3, session.frame_no)
    assert send(session)[1].rows["client_seq"].tolist() == [3, 4]


def test_a_welcome_in_the_middle_of_a_frame():
    """What the venue has taken of a frame is cut off, with its cold rows; the rest is sent again."""
    session, rows = welcomed(), orders(4)
    rows.rows["flags"][[0, 2, 3]] = schema.Flag.HAS_COLD
    cold = np.zeros(3, schema.COLD)
    cold["actor"] = [10, 12, 13]
    session.number(batch.commands(rows.rows, cold, b"tail"))
    session.number(orders(1))
    send(session)
    session.begin(7, 2, 2)
    _, sent = send(session)
    assert sent.rows["qty_lots"].tolist() == [2, 3]
    assert sent.cold["actor"].tolist() == [12, 13]
    assert bytes(sent.tail) == b"tail"
    assert session.rows_kept == 3
    assert send(session)[1].rows["client_seq"].tolist() == [5]


def test_contradictions_are_refused():
    """A WELCOME that forgot what was durable, knows more than was sent, or is of another epoch is an error."""
    session = welcomed()
    session.number(orders(2))
    session.acknowledged(1)
    for session_id, epoch, last in ((7, 2, 0), (7, 2, 3), (7, 3, 0), (8, 2, 1)):
        with pytest.raises(ClientError):
            session.begin(session_id, epoch, last)
    session.begin(7, 2, 2)
    assert session.rows_kept == 0
    session.begin(7, 3, 0)
    assert session.next_client_seq == 1


def test_a_frame_that_was_not_taken_is_kept_whole():
    """`after` of a number before the frame is the frame itself."""
    frame = Outgoing(5, 6, bytearray(orders(2).encode()))
    assert frame.after(4) is frame


class Venue:
    """An engine that takes frames as the sequencer does, forgetting what is not durable when it dies."""

    def __init__(self):
        self.taken, self.durable = [], 0

    def submit(self, commands, is_full):
        """Take a frame; the number to send again from when it is refused."""
        numbers = commands.rows["client_seq"].tolist()
        if numbers[0] > len(self.taken) + 1 or is_full:
            return len(self.taken) + 1
        self.taken += [
            mark
            for number, mark in zip(numbers, commands.rows["qty_lots"].tolist(), strict=True)
            if number > len(self.taken)
        ]
        return None


@settings(max_examples=200)
@given(st.data())
def test_exactly_once_in_order(data):
    """Under refusals, late answers, acknowledgments and restarts at any moment the venue takes 0, 1, 2 … in order."""
    session, venue, made, answers = welcomed(12), Venue(), 0, []
    for _ in range(data.draw(st.integers(1, 60))):
        step = data.draw(st.sampled_from(["make", "send", "send", "answer", "sync", "kill"]))
        if step == "make" and session.has_room(count := data.draw(st.integers(1, 4))):
            session.number(orders(count, range(made, made + count)))
            made += count
        elif step == "send" and session.has_unsent:
            frame_no, commands = send(session)
            again = venue.submit(commands, data.draw(st.integers(0, 3)) == 0)
            if again is not None:
                answers.append(("busy", again, frame_no))
        elif step == "sync":
            venue.durable = len(venue.taken)
            answers.append(("ack", venue.durable, 0))
        elif step == "answer" and answers:
            kind, number, frame_no = answers.pop(0)
            session.refused(number, frame_no) if kind == "busy" else session.acknowledged(number)
        elif step == "kill":
            venue.durable = data.draw(st.integers(venue.durable, len(venue.taken)))
            del venue.taken[venue.durable :]
            answers.clear()
            session.begin(7, 2, venue.durable)
    session.begin(7, 2, len(venue.taken))
    while session.has_unsent:
        assert venue.submit(send(session)[1], False) is None
    assert venue.taken == list(range(made))
