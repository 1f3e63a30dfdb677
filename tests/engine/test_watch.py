"""The watchdog: fed while the stages get on, not when one hangs or turns without getting on."""

import os
import socket

import pytest

from kk99 import notify
from kk99.engine import daemon
from kk99.engine.watch import Standing, Watch
from tests.engine.harness import running

TURNS = {"ingress": 1, "journal": 1, "core": 1, "output": 1, "query": 1}
LATER = dict.fromkeys(TURNS, 2)


def stuck(before, now):
    """What a watch finds between two looks."""
    looks = iter([before, now])
    return Watch(lambda: next(looks)).stuck()


def test_an_idle_engine_that_turns_is_well():
    """Nothing to do and every stage turning: all is well."""
    assert stuck(Standing(TURNS, 7, 7, 7, 7), Standing(LATER, 7, 7, 7, 7)) == []


@pytest.mark.parametrize("name", list(TURNS))
def test_a_stage_that_hangs_is_named(name):
    """A stage that has not turned since the last look stands still."""
    assert stuck(Standing(TURNS, 7, 7, 7, 7), Standing(LATER | {name: 1}, 7, 7, 7, 7)) == [
        f"the {name} stage stands still"
    ]


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ((9, 7, 9, 7), (9, 7, 9, 7), ["durable"]),
        ((9, 9, 7, 7), (9, 9, 7, 7), ["applied"]),
        ((9, 9, 9, 7), (9, 9, 9, 7), ["leave"]),
        ((9, 7, 7, 7), (9, 8, 8, 7), []),
        ((9, 9, 9, 7), (9, 9, 9, 8), []),
    ],
)
def test_a_stage_that_has_work_and_does_not_get_on_is_named(before, now, said):
    """Turning is not enough where commands wait."""
    found = stuck(Standing(TURNS, *before), Standing(LATER, *now))
    assert len(found) == len(said)
    assert all(word in text for word, text in zip(said, found, strict=True))


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """A service manager's socket, to which this process reports."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "n"))
        made.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        yield made
    notify._owed.clear()


def test_the_heart_beats_no_more_often_than_it_must(manager, monkeypatch):
    """Told often, it feeds the watchdog three times in its time."""
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    now = [100.0]
    heart = notify.Heart(lambda: now[0])
    assert heart.interval_s == 10.0
    for now[0] in (100.0, 105.0, 109.9, 110.0, 119.0):
        heart.beat("well")
    assert [manager.recv(100) for _ in range(2)] == [b"WATCHDOG=1\nSTATUS=well"] * 2
    with pytest.raises(BlockingIOError):
        manager.recv(100)


@pytest.mark.parametrize(("usec", "pid"), [("", ""), ("0", ""), ("x", ""), ("30000000", "1")])
def test_without_a_watchdog_nothing_is_fed(manager, monkeypatch, usec, pid):
    """Where the manager asks for nothing, or another process, no beat is sent."""
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    heart = notify.Heart()
    heart.beat()
    assert heart.interval_s == notify.LOOK_S
    with pytest.raises(BlockingIOError):
        manager.recv(100)


def test_a_long_start_asks_for_time_now_and_then(manager):
    """The first seconds are not told; then each step of some seconds asks for more."""
    now = [0.0]
    start = notify.LongStart(lambda: now[0])
    for now[0] in (1.0, 9.9, 10.0, 19.9, 20.0):
        start.step("compiling")
    assert [manager.recv(100) for _ in range(2)] == [b"EXTEND_TIMEOUT_USEC=120000000\nSTATUS=compiling"] * 2


def watched(engine, monkeypatch):
    """What the daemon's watch feeds in three looks at an engine."""
    beats, (reader, writer) = [], os.pipe()
    monkeypatch.setattr(daemon, "Heart", lambda: Beats(beats, writer))
    daemon._watch_over(engine, reader)
    os.close(reader)
    os.close(writer)
    return beats


def test_a_running_engine_feeds_until_its_stages_hang(tmp_path, monkeypatch):
    """The daemon feeds while a live engine's stages turn, and no more once they do not."""
    with running(tmp_path / "a") as engine:
        assert len(watched(engine, monkeypatch)) == 3
        frozen = engine.standing()
        monkeypatch.setattr(engine, "standing", lambda: frozen)
        assert len(watched(engine, monkeypatch)) == 1  # the one at the start


class Beats:
    """A heart that ends the watch after three looks."""

    def __init__(self, beats, writer):
        self.beats, self.writer, self.looks = beats, writer, 0

    @property
    def interval_s(self):
        """Look soon; the third time, tell the daemon to stop."""
        self.looks += 1
        if self.looks == 3:
            os.write(self.writer, b"x")
        return 0.5

    def beat(self, status=""):
        """Remember it."""
        self.beats.append(status)


def test_a_service_manager_that_does_not_read_stops_nobody(manager):
    """Its queue full, no call waits; what is said once goes out as soon as there is room."""
    while notify.notify("STATUS=more"):
        pass
    assert not notify.notify("READY=1\nSTATUS=at seq 7")
    assert not notify.notify("STATUS=lost")
    while b"more" in _next(manager):
        pass
    assert notify.notify("STATUS=now")
    assert _next(manager) == b"READY=1\nSTATUS=now"
    assert notify.notify("STATUS=later")
    assert _next(manager) == b"STATUS=later"


def _next(manager):
    """The next datagram, b"" if there is none."""
    try:
        return manager.recv(4096)
    except BlockingIOError:
        return b""
