"""The player's pace and its numbers, with a client and a clock that are made up."""

import pytest

from kk99.errors import BusyError
from kk99.feed import plan as planning
from kk99.feed.flow import Flow, Style, rows_of
from kk99.feed.plan import Plan
from kk99.feed.player import LATE_S, Player
from kk99.schema import CommandKind, Side

SECOND = 1_000_000_000


class Clock:
    """Time that passes only while the client waits."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        """Return the time."""
        return self.now


class FakeClient:
    """Takes commands and notes when; `busy` refusals come first."""

    def __init__(self, clock, next_client_seq=1, busy=0):
        self.clock, self.next_client_seq, self.busy = clock, next_client_seq, busy
        self.taken = []

    def submit(self, commands, *, wait=True):
        """Take commands, which must be the next ones."""
        assert not wait
        if self.busy:
            self.busy -= 1
            raise BusyError(self.next_client_seq)
        rows = commands.rows
        assert list(rows["client_seq"]) == list(range(self.next_client_seq, self.next_client_seq + len(rows)))
        first = self.next_client_seq
        self.next_client_seq += len(rows)
        self.taken.append((round(self.clock.now - 1000.0, 6), len(rows)))
        return first, self.next_client_seq - 1

    def pump(self, timeout_s=0.0):
        """Let time pass."""
        self.clock.now += timeout_s


@pytest.fixture
def plan(monkeypatch):
    """Three orders, a second apart, after as few mass cancels as can be."""
    monkeypatch.setattr(planning, "CLEARED_AT_LEAST", 1)
    records = [(n * SECOND, 100, 1, n + 1, CommandKind.ORDER_NEW, 0, Side.BUY, Style.LIMIT) for n in range(3)]
    return Plan(Flow(rows_of(records), "X", ("a",)), 1, [16])


def times(client):
    """When how many commands went out, those of one moment together."""
    found = {}
    for at, count in client.taken:
        found[round(at, 3)] = found.get(round(at, 3), 0) + count
    return found


def play(plan, client, clock, speed=1.0, loop=False, until=None):
    """Play to the end, or until so many seconds have passed."""
    player = Player(plan, client, speed, loop=loop, monotonic=clock)
    player.run(lambda: until is not None and clock.now - 1000.0 >= until)
    return player


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_commands_go_out_when_they_are_due(plan, speed):
    """At real time and at a multiple, each at its time, the cycle's clearing first and the next one's last."""
    clock = Clock()
    client = FakeClient(clock)
    assert play(plan, client, clock, speed).is_done
    assert times(client) == {0.0: plan.clearing + 1, 1 / speed: 1, 2 / speed: 1 + plan.clearing}
    assert client.next_client_seq == plan.end(1) + 1


def test_full_speed_waits_for_nothing(plan):
    """At infinite speed everything goes out at once, cycle after cycle."""
    clock = Clock()
    client = FakeClient(clock)
    player = Player(plan, client, float("inf"), loop=True, monotonic=clock)
    for _ in range(10):
        player.step()
    assert clock.now == 1000.0
    assert client.next_client_seq == 10 * plan.length + 1


def test_loop_starts_over_at_the_end(plan):
    """The next cycle begins when the last command of this one was due."""
    clock = Clock()
    client = FakeClient(clock)
    play(plan, client, clock, loop=True, until=4.5)
    assert times(client) == {0.0: plan.clearing + 1, 1.0: 1, 2.0: 2 + plan.clearing, 3.0: 1, 4.0: 2 + plan.clearing}


def test_feed_goes_on_after_the_last_number_taken(plan):
    """A session that has taken some of the plan gets the rest, the first of it at once."""
    clock = Clock()
    client = FakeClient(clock, next_client_seq=plan.clearing + 2)
    play(plan, client, clock)
    assert times(client) == {0.0: 1, 1.0: 1 + plan.clearing}


def test_a_stall_delays_and_is_not_made_up_for(plan):
    """After a pause longer than LATE_S the rest keeps its distances."""
    clock = Clock()
    client = FakeClient(clock)
    player = Player(plan, client, 1.0, loop=False, monotonic=clock)
    player.step()
    clock.now += 10.0 + LATE_S
    player.run(lambda: False)
    assert times(client) == {0.0: plan.clearing + 1, 10.0 + LATE_S: 1, 11.0 + LATE_S: 1 + plan.clearing}


def test_busy_waits_and_sends_the_same_again(plan):
    """A refusal costs time, never a command."""
    clock = Clock()
    client = FakeClient(clock, busy=3)
    play(plan, client, clock)
    assert sum(times(client).values()) == plan.end(1)
