"""The sequencer without sockets: who may send what, in which order, and what time makes due."""

import numpy as np
import pytest

from kk99 import batch, schema
from kk99.engine.sequencer import ACK_NS, ACK_ROWS, LEASES_LOOK_NS
from kk99.protocol import BusyReason, ErrorCode, Hello, Kind, Message, Welcome
from kk99.schema import CommandKind
from tests.engine.world import OTHER, PEER, SECOND, World, reply_of


@pytest.fixture
def world():
    """A world in which PEER is bound to session 1."""
    world = World()
    ((_, welcome),) = world.hello()
    assert Welcome.of(welcome).session_id == 1
    assert welcome.a == 7
    return world


def test_a_first_hello_defines_and_opens_the_session():
    """A new name is defined, its first epoch opened, and the WELCOME comes last."""
    world = World()
    assert world.say(Hello("one").message()) == []
    assert world.run_stages() == []
    kinds, replies = [], []
    for _ in range(4):
        replies += world.sequencer.turn()
        kinds += [int(row["kind"]) for row in world.run_stages()]
    assert kinds == [CommandKind.SESSION_DEFINE, CommandKind.SESSION_OPEN]
    assert reply_of(replies)[0] == Kind.WELCOME
    assert not world.sequencer.is_waiting


def test_a_welcome_waits_until_it_is_durable():
    """What the core answered does not count before the journal holds it."""
    world = World()
    world.say(Hello("one").message())
    for _ in range(2):
        world.run_stages()
        world.sequencer.turn()
    durable_seq = world.progress.durable_seq
    world.run_stages()
    world.progress.durable_seq = durable_seq
    assert world.sequencer.turn() == []
    world.progress.durable_seq = world.ring.head_seq
    assert reply_of(world.sequencer.turn())[0] == Kind.WELCOME


def test_resuming_names_the_last_number_taken(world):
    """A second HELLO finds the session as it stands; with new_epoch, at the beginning of another epoch."""
    world.submit(1, 5)
    world.run_stages()
    world.sequencer.turn()
    ((_, message),) = world.hello()
    assert (Welcome.of(message).epoch, Welcome.of(message).last_client_seq) == (1, 5)
    ((_, message),) = world.hello(new_epoch=True)
    assert (Welcome.of(message).epoch, Welcome.of(message).last_client_seq) == (2, 0)


def test_a_name_that_the_core_does_not_take_is_refused():
    """When SESSION_DEFINE leaves the name unknown, the HELLO is refused."""
    world = World()
    assert reply_of(world.hello("bad name"))[:2] == (Kind.ERROR, ErrorCode.HELLO_REFUSED)


def test_frames_are_stamped_and_acknowledged_when_durable(world):
    """Rows get the next sequences and the time; the ACK waits for the journal."""
    head = world.ring.head_seq
    assert world.submit(1, 3) == []
    assert world.sequencer.turn() == []
    rows = world.run_stages()
    assert [int(row["seq"]) for row in rows] == [head + 1, head + 2, head + 3]
    assert {int(row["time_ns"]) for row in rows} == {world.now_ns}
    world.elapsed_ns += ACK_NS
    assert reply_of(world.sequencer.turn()) == (Kind.ACK, 3, head + 3, 4)
    assert world.sequencer.turn() == []


def test_many_rows_are_acknowledged_at_once(world):
    """ACK_ROWS durable rows are acknowledged without delay, fewer when ACK_NS have passed."""
    world.elapsed_ns += ACK_NS
    world.sequencer.turn()
    world.submit(1, ACK_ROWS)
    world.sequencer.turn()
    world.run_stages()
    assert reply_of(world.sequencer.turn())[:2] == (Kind.ACK, ACK_ROWS)
    world.submit(ACK_ROWS + 1, ACK_ROWS - 1)
    world.run_stages()
    assert world.sequencer.turn() == []
    assert world.sequencer.is_waiting
    world.elapsed_ns += ACK_NS
    assert reply_of(world.sequencer.turn())[:2] == (Kind.ACK, 2 * ACK_ROWS - 1)


def test_a_gap_is_busy_until_it_is_filled(world):
    """A number above the next one is refused, with the next one; a lower one goes through to the core."""
    assert reply_of(world.submit(2, frame_no=9)) == (Kind.BUSY, 1, 9, BusyReason.GAP)
    assert world.submit(1) == []
    assert world.submit(1) == []
    assert world.submit(1, 2) == []
    assert reply_of(world.submit(4)) == (Kind.BUSY, 3, 1, BusyReason.GAP)
    assert [int(row["client_seq"]) for row in world.run_stages()] == [1, 1, 1, 2]


def test_a_full_ring_is_busy_at_the_edge(world):
    """The frame that just fits is taken, the next row refused and nothing of it kept, until rows are done with."""
    assert world.submit(1, 4095) == []
    assert world.submit(4096) == []
    assert reply_of(world.submit(4097, frame_no=5)) == (Kind.BUSY, 4097, 5, BusyReason.FULL)
    assert reply_of(world.submit(4098, frame_no=6)) == (Kind.BUSY, 4097, 6, BusyReason.GAP)
    rows = world.run_stages()
    assert world.submit(4097) == []
    assert [int(row["client_seq"]) for row in rows + world.run_stages()] == list(range(1, 4098))


@pytest.mark.parametrize(
    ("count", "fields", "reason"),
    [
        (count, fields, reason)
        for count in (1, 2)
        for fields, reason in [
            ({"session_id": 2}, "session 1"),
            ({"session_id": 0}, "session 1"),
            ({"session_epoch": 2}, "epoch 1"),
            ({"client_seq": [1, 3]}, "rise by one"),
            ({"client_seq": [0, 1]}, "rise by one"),
            ({"kind": CommandKind.CONTINUE}, "only the sequencer"),
            ({"kind": CommandKind.CLOCK}, "only the sequencer"),
            ({"kind": CommandKind.SESSION_LOST}, "only the sequencer"),
            ({"kind": CommandKind.SESSION_OPEN}, "only the sequencer"),
            ({"kind": CommandKind.SESSION_DEFINE}, "only the sequencer"),
        ]
        if (count, fields) != (1, {"client_seq": [1, 3]})  # a lone row can't leave a number out
    ],
)
def test_rows_that_are_not_the_sessions_are_refused(world, count, fields, reason):
    """Alone or not: another session or epoch, wrong numbers, the sequencer's kinds: refused, unbound, nothing kept."""
    first = {name: value[:count] if isinstance(value, list) else value for name, value in fields.items()}
    ((_, message),) = world.submit(1, count, **first)
    assert (message.kind, message.a) == (Kind.ERROR, ErrorCode.ROWS_INVALID)
    assert reason in message.document()["text"]
    assert reply_of(world.submit(1))[:2] == (Kind.ERROR, ErrorCode.NOT_BOUND)
    assert world.run_stages() == []


@pytest.mark.parametrize(
    "payload",
    [
        [], [b""], [b"x" * 64], [b"", b""],
        [batch.commands(np.zeros(1, schema.COMMAND)).encode()[:-1]],
        [batch.Events(np.zeros(1, schema.EVENT)).encode()],
    ],
)  # fmt: skip
def test_what_is_no_frame_is_refused(world, payload):
    """Truncated, foreign and empty payloads are refused with the frame's number."""
    replies = world.say(Message(Kind.SUBMIT, 3, payload=payload))
    assert reply_of(replies)[:3] == (Kind.ERROR, ErrorCode.FRAME_INVALID, 3)


def test_frames_without_rows_or_with_too_many_are_refused(world):
    """A frame has 1 to BATCH_ROWS_MAX rows."""
    assert reply_of(world.submit(1, 0))[:2] == (Kind.ERROR, ErrorCode.ROWS_INVALID)
    world.hello()
    assert world.submit(1, schema.BATCH_ROWS_MAX) == []
    world.run_stages()
    assert reply_of(world.submit(4097, schema.BATCH_ROWS_MAX + 1))[:2] == (Kind.ERROR, ErrorCode.ROWS_INVALID)


def test_another_schema_is_refused():
    """A HELLO of another schema is refused."""
    replies = World().say(Hello("one", fingerprint=5).message())
    assert reply_of(replies)[:2] == (Kind.ERROR, ErrorCode.MESSAGE_INVALID)


def test_messages_for_the_other_socket_are_refused(world):
    """A READ is not for the submit socket."""
    assert reply_of(world.say(Message(Kind.READ)))[:2] == (Kind.ERROR, ErrorCode.MESSAGE_INVALID)


def test_a_session_has_one_connection(world):
    """A HELLO from elsewhere takes the session over; the connection before it is told so."""
    replies = dict(world.hello(peer=OTHER))
    assert (replies[PEER].kind, replies[PEER].a) == (Kind.ERROR, ErrorCode.TAKEN_OVER)
    assert replies[OTHER].kind == Kind.WELCOME
    assert reply_of(world.submit(1))[:2] == (Kind.ERROR, ErrorCode.NOT_BOUND)
    assert world.submit(1, peer=OTHER) == []


def test_a_lapsed_lease_is_journaled_once(world):
    """A session that is not heard of is lost; it may say HELLO again and go on."""
    world.elapsed_ns += 9 * SECOND
    world.now_ns += 9 * SECOND
    assert reply_of(world.say(Message(Kind.PING, b := 4))) == (Kind.PONG, 0, b, 1)
    world.elapsed_ns += 10 * SECOND
    world.sequencer.turn()
    assert world.run_stages() == []
    world.elapsed_ns += LEASES_LOOK_NS - 1
    world.sequencer.turn()
    assert world.run_stages() == []
    world.elapsed_ns += 1
    world.sequencer.turn()
    (row,) = world.run_stages()
    assert (row["kind"], row["session_id"], row["target_lo"]) == (CommandKind.SESSION_LOST, 0, 1)
    world.sequencer.turn()
    assert world.run_stages() == []
    assert reply_of(world.submit(1))[:2] == (Kind.ERROR, ErrorCode.NOT_BOUND)
    assert reply_of(world.hello())[0] == Kind.WELCOME
    assert world.submit(1) == []


def test_a_session_from_before_the_start_has_one_lease():
    """Who was there before a restart and does not come back is lost after one lease."""
    world = World()
    world.sequencer.lease_at_start(3, "", 1, 0)
    world.sequencer.turn()
    assert world.run_stages() == []
    world.elapsed_ns += 10 * SECOND + 1
    world.sequencer.turn()
    assert [int(row["target_lo"]) for row in world.run_stages()] == [3]


def test_losses_wait_for_the_work_before_them():
    """Sessions are lost one at a time, each when the core has no work pending."""
    world = World()
    for session_id in (1, 2):
        world.sequencer.lease_at_start(session_id, "", 1, 0)
    world.elapsed_ns += 11 * SECOND
    world.sequencer.turn()
    world.sequencer.turn()
    assert [int(row["target_lo"]) for row in world.run_stages()] == [1]
    world.progress.pending_work = True
    world.sequencer.turn()
    assert [int(row["kind"]) for row in world.run_stages()] == [CommandKind.CONTINUE]
    world.progress.pending_work = False
    world.sequencer.turn()
    assert [int(row["target_lo"]) for row in world.run_stages()] == [2]


@pytest.mark.parametrize(("is_lost", "kinds"), [(0, []), (1, [CommandKind.SESSION_LOST])])
def test_bye_ends_the_lease(world, is_lost, kinds):
    """After BYE no lease lapses; a BYE as lost is journaled at once."""
    world.say(Message(Kind.BYE, is_lost))
    world.elapsed_ns += 100 * SECOND
    world.sequencer.turn()
    assert [int(row["kind"]) for row in world.run_stages()] == kinds


def test_a_loss_is_not_forgotten_for_a_quick_hello(world):
    """A HELLO right behind the loss is answered after that is journaled, even while the core's work holds it up."""
    world.progress.pending_work = True
    world.say(Message(Kind.BYE, 1))
    replies = world.say(Hello("one").message())
    kinds = []
    for _ in range(5):
        kinds += [int(row["kind"]) for row in world.run_stages()]
        replies += world.sequencer.turn()
    assert set(kinds) == {CommandKind.CONTINUE}
    assert replies == []
    world.progress.pending_work = False
    world.run_stages()
    for _ in range(3):
        replies += world.sequencer.turn()
        kinds += [int(row["kind"]) for row in world.run_stages()]
    assert kinds[-1] == CommandKind.SESSION_LOST
    assert reply_of(replies)[0] == Kind.WELCOME
    assert world.submit(1) == []


def test_nothing_of_its_own_while_closing(world):
    """Neither work, nor a loss, nor a new session's definition is journaled once the engine stops."""
    world.say(Hello("two").message(), OTHER)
    world.say(Message(Kind.BYE, 1))
    world.progress.pending_work = True
    world.sequencer.closing = True
    for _ in range(3):
        assert world.sequencer.turn() == []
        assert world.run_stages() == []


def test_pending_work_is_carried_on_when_nothing_else_comes(world):
    """CONTINUE commands follow while the core has work, more at a time, but never beside other commands."""
    world.progress.pending_work = True
    counts = []
    for _ in range(3):
        world.sequencer.turn()
        world.sequencer.turn()
        rows = world.run_stages()
        assert {int(row["kind"]) for row in rows} == {CommandKind.CONTINUE}
        counts.append(len(rows))
    assert counts == [1, 2, 4]
    world.submit(1)
    world.sequencer.turn()
    assert [int(row["kind"]) for row in world.run_stages()] == [CommandKind.ORDER_NEW]


def test_a_jump_of_the_clock_stops_ingress_until_confirmed(world):
    """Beyond the bound nothing is taken; an operator's word lets it go on from the new time."""
    world.now_ns += 60 * SECOND
    assert world.submit(1) == []
    world.now_ns += 60 * SECOND + 1
    assert reply_of(world.submit(2)) == (Kind.BUSY, 2, 1, BusyReason.CLOCK)
    world.clock.confirm()
    assert world.submit(2) == []
    assert [int(row["time_ns"]) for row in world.run_stages()] == [world.now_ns - 60 * SECOND - 1, world.now_ns]


def test_time_stands_still_when_the_clock_goes_back(world):
    """A clock set back a little gives the last time again; far back, an operator is asked."""
    world.submit(1)
    world.now_ns -= 60 * SECOND
    assert world.submit(2) == []
    first, second = world.run_stages()
    assert first["time_ns"] == second["time_ns"]
    world.now_ns -= 1
    assert reply_of(world.submit(3))[3] == BusyReason.CLOCK
    world.clock.confirm()
    assert world.submit(3) == []
    assert world.submit(4) == []
    assert {int(row["time_ns"]) for row in world.run_stages()} == {int(first["time_ns"])}


def test_a_full_disk_and_a_shutdown_are_busy(world):
    """Ingress is refused while the disk is nearly full, and for good when the engine stops."""
    world.elapsed_ns += SECOND
    world.free = 0
    assert reply_of(world.submit(1))[3] == BusyReason.DISK
    world.elapsed_ns += SECOND
    world.free = 1 << 40
    assert world.submit(1) == []
    world.sequencer.closing = True
    assert reply_of(world.submit(2))[3] == BusyReason.CLOSING
    assert reply_of(world.say(Hello("two").message()))[3] == BusyReason.CLOSING
