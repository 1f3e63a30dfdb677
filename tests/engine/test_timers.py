"""Due timers of the core: a CLOCK command makes them fire when no other comes, once, and only by a trusted clock."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from gateways.client import Client
from kk99 import build
from kk99.engine.ports import SystemClock
from kk99.engine.servers import IDLE_MS, WAITING_MS, IngressServer
from kk99.schema import CancelReason, CommandKind, EventKind, Side
from tests.engine.harness import events_until, ports_with, running, wait_for
from tests.engine.world import SECOND, World
from tests.replay import venue


@pytest.fixture
def world():
    """A world in which a session is bound and timers are due in one, two and two seconds."""
    world = World()
    world.hello()
    world.timers_ns = [world.now_ns + SECOND, world.now_ns + 2 * SECOND, world.now_ns + 2 * SECOND]
    world.run_stages()
    return world


def pass_time(world, time_ns):
    """Let time pass, as the clock and as what elapses."""
    world.now_ns += time_ns
    world.elapsed_ns += time_ns


def put_in_turn(world):
    """What the sequencer puts in one turn, as (kind, time)."""
    world.sequencer.turn()
    return [(int(row["kind"]), int(row["time_ns"])) for row in world.run_stages()]


def test_a_due_timer_gets_a_clock_when_nothing_comes(world):
    """Not a nanosecond early, once for a due time however many timers it has, and with the time that it then is."""
    pass_time(world, SECOND - 1)
    assert put_in_turn(world) == []
    pass_time(world, 1)
    assert put_in_turn(world) == [(CommandKind.CLOCK, world.now_ns)]
    assert put_in_turn(world) == []
    pass_time(world, 5 * SECOND)
    assert put_in_turn(world) == [(CommandKind.CLOCK, world.now_ns)]
    assert put_in_turn(world) == []


def test_a_clock_under_way_is_not_sent_again(world):
    """Until the core has applied it, the same due time gets no second one."""
    pass_time(world, SECOND)
    for _ in range(3):
        world.sequencer.turn()
    assert [int(row["kind"]) for row in world.run_stages()] == [CommandKind.CLOCK]


def test_a_command_makes_a_clock_needless(world):
    """While commands are under way none is sent, and afterwards none when they made the timer fire."""
    pass_time(world, SECOND)
    world.submit(1)
    world.sequencer.turn()
    assert [int(row["kind"]) for row in world.run_stages()] == [CommandKind.ORDER_NEW]
    assert put_in_turn(world) == []


def test_pending_work_carries_a_due_timer(world):
    """CONTINUE commands make timers fire too, so no CLOCK comes beside them."""
    world.progress.pending_work = True
    pass_time(world, SECOND)
    assert {kind for kind, _ in put_in_turn(world)} == {CommandKind.CONTINUE}
    world.progress.pending_work = False
    assert put_in_turn(world) == []


@pytest.mark.parametrize("jump_ns", [60 * SECOND + 1, 3_600 * SECOND])
def test_no_timer_fires_by_a_clock_that_jumped(world, jump_ns):
    """A jump makes nothing due until an operator confirms it; then what is due fires at the new time."""
    world.now_ns += jump_ns
    for _ in range(3):
        assert put_in_turn(world) == []
    assert world.clock.jumped_ns == jump_ns
    assert world.sequencer.timer_wait_ns > 3_600 * SECOND
    world.clock.confirm()
    assert put_in_turn(world) == [(CommandKind.CLOCK, world.now_ns)]
    assert world.clock.jumped_ns == 0


def test_a_timer_from_before_the_start_fires(world):
    """What came due while the engine was down fires at once, with the time of the start."""
    started = World(last_time_ns=world.now_ns + 1_000_000 * SECOND)
    started.progress.next_timer_ns = world.progress.next_timer_ns
    assert put_in_turn(started) == [(CommandKind.CLOCK, started.now_ns)]


def test_no_timer_fires_while_closing(world):
    """An engine that stops leaves due timers to the next start."""
    pass_time(world, SECOND)
    world.sequencer.closing = True
    assert put_in_turn(world) == []


def test_a_full_ring_does_not_lose_a_timer():
    """The CLOCK comes when there is room again."""
    world = World()
    world.hello()
    assert world.submit(1, 4096) == []
    world.timers_ns = [world.now_ns + 1]
    world.progress.applied_seq, world.progress.next_timer_ns = world.ring.head_seq, world.now_ns + 1  # not durable yet
    pass_time(world, 1)
    world.sequencer.turn()
    assert {int(row["kind"]) for row in world.run_stages()} == {CommandKind.ORDER_NEW}
    assert put_in_turn(world) == [(CommandKind.CLOCK, world.now_ns)]


def test_the_wait_for_a_timer(world):
    """It is what is left until the next one, 0 or less when that is due, and long when there is none."""
    assert world.sequencer.timer_wait_ns == SECOND
    pass_time(world, SECOND + 5)
    assert world.sequencer.timer_wait_ns == -5
    world.timers_ns = []
    world.run_stages()
    assert world.sequencer.timer_wait_ns > 3_600 * SECOND


# The engine itself ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timer_wait_ns", "wait_ms"),
    [(-5, WAITING_MS), (0, WAITING_MS), (1, WAITING_MS), (3_000_001, 4), (50_000_000, IDLE_MS), (1 << 62, IDLE_MS)],
)
def test_ingress_sleeps_no_longer_than_until_the_timer(timer_wait_ns, wait_ms):
    """Rounded up to milliseconds, never without a pause, and never longer than without a timer."""
    server = IngressServer.__new__(IngressServer)
    server._sequencer = SimpleNamespace(timer_wait_ns=timer_wait_ns)
    assert server._idle_ms() == wait_ms


class SetClock(SystemClock):
    """The machine's clock, set ahead."""

    ahead_ns = 0

    def now_ns(self):
        """Return the time of day as set."""
        return super().now_ns() + self.ahead_ns


def enter(engine, expire_time_ns):
    """Set up the venue, enter an order that expires, and return once it is durable."""
    setup = venue.setup()
    order = build.order_new(venue.BOB, 1, Side.BUY, 1, 90, expire_time_ns=expire_time_ns)
    with Client.connect(engine.settings.address, "one") as client:
        client.submit(build.batch_of([*setup[:7], *setup[9:13], order]))
        client.flush()
    wait_for(lambda: engine.progress.next_timer_ns == expire_time_ns, "the timer")


def expiry(engine, after):
    """The events after one until an order has expired: the rows of the command that made it expire."""
    with Client.connect(engine.settings.address, after=after) as reader:
        frames = events_until(
            reader, lambda frames: any((f.rows["kind"] == EventKind.ORDER_CANCELED).any() for f in frames)
        )
    rows = np.concatenate([frame.rows for frame in frames])
    (at,) = np.flatnonzero(rows["kind"] == EventKind.ORDER_CANCELED)
    assert rows["reason"][at] == CancelReason.EXPIRED
    return rows[rows["cause_seq"] == rows["cause_seq"][at]]


def test_an_order_expires_in_an_idle_engine(tmp_path):
    """Nobody sends anything: it ends soon after its time, and with it the need for another CLOCK."""
    with running(tmp_path / "a") as engine:
        expire_time_ns = time.time_ns() + SECOND
        enter(engine, expire_time_ns)
        after, own = engine.progress.published, engine.counters.commands_own
        rows = expiry(engine, after)
        assert [int(kind) for kind in rows["kind"]] == [EventKind.ORDER_CANCELED, EventKind.CLOCK_TICKED]
        assert 0 <= rows["time_ns"][0] - expire_time_ns < SECOND
        assert engine.progress.next_timer_ns == 0
        assert engine.counters.commands_own == own + 1


def test_a_jump_of_the_clock_expires_nothing(tmp_path):
    """Until an operator says that the time is right; then it does."""
    clock = SetClock()
    with running(tmp_path / "a", ports_with(clock=clock)) as engine:
        enter(engine, time.time_ns() + 1800 * SECOND)
        after, own = engine.progress.published, engine.counters.commands_own
        clock.ahead_ns = 3600 * SECOND
        wait_for(lambda: engine.stats()["clock_jumped_ns"], "the jump")
        assert engine.counters.commands_own == own
        with Client.connect(engine.settings.address) as client:
            client.confirm_clock()
        assert len(expiry(engine, after)) == 2


def test_a_timer_fires_after_a_restart(tmp_path):
    """What came due while the engine was down fires when it is up again, from the journal and from a snapshot."""
    for snapshot_at_stop in (False, True):
        data, clock = tmp_path / str(snapshot_at_stop), SetClock()
        with running(data, snapshot_at_stop=snapshot_at_stop) as engine:
            enter(engine, time.time_ns() + 1800 * SECOND)
            after = engine.progress.published
        clock.ahead_ns = 3600 * SECOND
        with running(data, ports_with(clock=clock)) as engine:
            assert len(expiry(engine, after)) == 2
            assert engine.progress.next_timer_ns == 0
