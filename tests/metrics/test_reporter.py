"""A process's socket of figures: any folder, any number of askers, and nothing that harms the process."""

import socket
import threading
import time
from pathlib import Path

import pytest
import structlog

from kk99.errors import InputError
from kk99.metrics import reporter
from kk99.metrics.figures import FiguresError
from kk99.metrics.reporter import Reporter, ask, reporting

SESSIONS = "kk99_engine_sessions"


def collect(figures):
    """Add one figure."""
    figures.add(SESSIONS, 7)


def test_figures_are_served_with_those_of_any_process(tmp_path):
    """Who asks gets what was collected, and memory, time and descriptors."""
    with Reporter(tmp_path, "engine", collect):
        assert list(reporting(tmp_path)) == ["engine"]
        for _ in range(3):
            found = ask(reporting(tmp_path)["engine"])
            assert found.process == "engine"
            assert found.samples[SESSIONS] == {(): 7}
            assert found.samples["kk99_process_resident_memory_bytes"][()] > 1 << 20
            assert 0 <= time.time() - found.samples["kk99_process_start_time_seconds"][()] < 60
    assert reporting(tmp_path) == {}


def test_a_folder_with_a_long_name_is_no_obstacle(tmp_path):
    """The limit on a socket's path does not bind; the folder is made for its owner only."""
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.parent.mkdir()
    with Reporter(folder, "fix", collect):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert ask(reporting(folder)["fix"]).samples[SESSIONS] == {(): 7}


def test_what_a_killed_process_left_behind_is_replaced(tmp_path):
    """A socket without its process refuses; the next process of that name takes its place, and keeps it."""
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "engine.metrics"))
    left.close()
    with pytest.raises(ConnectionRefusedError):
        ask(reporting(tmp_path)["engine"])
    first = Reporter(tmp_path, "engine", collect)
    first.start()
    second = Reporter(tmp_path, "engine", collect)
    second.start()
    first.close()
    assert ask(reporting(tmp_path)["engine"]).samples[SESSIONS] == {(): 7}
    second.close()


def test_a_fault_in_the_figures_is_logged_and_does_no_harm(tmp_path):
    """Whatever goes wrong while figures are made, the next who asks is served."""
    faults = [ValueError("oh"), None]

    def faulty(figures):
        if (fault := faults.pop(0)) is not None:
            raise fault
        collect(figures)

    with structlog.testing.capture_logs() as logged, Reporter(tmp_path, "engine", faulty):
        with pytest.raises(FiguresError, match="see its log"):
            ask(reporting(tmp_path)["engine"])
        assert ask(reporting(tmp_path)["engine"]).samples[SESSIONS] == {(): 7}
    assert [entry["event"] for entry in logged] == ["figures not made"]


def test_who_does_not_read_holds_up_others_only_so_long(tmp_path, monkeypatch):
    """One who connects and reads nothing of a large answer is given up after the time that is allowed."""
    monkeypatch.setattr(reporter, "SEND_S", 0.2)

    def large(figures):
        for number in range(20_000):
            figures.add("kk99_trades_total", number, f"instrument {number}")

    with Reporter(tmp_path, "engine", large):
        path = reporting(tmp_path)["engine"]
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(str(path))
            assert len(ask(path, 10.0).samples["kk99_trades_total"]) == 20_000


def test_who_does_not_answer_is_given_up(tmp_path):
    """Asking a process that hangs ends when the time is up."""
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(tmp_path / "engine.metrics"))
        hanging.listen()
        with pytest.raises(TimeoutError):
            ask(tmp_path / "engine.metrics", 0.1)


def test_a_folder_that_can_not_be_used_is_named(tmp_path):
    """The error says which file could not be made."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"engine\.metrics"):
        Reporter(tmp_path / "file", "engine", collect)


def standing():
    """How many descriptors are open, and how many threads run."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def test_nothing_is_left_open(tmp_path):
    """A hundred askers leave no descriptor and no thread behind."""
    before = standing()
    with Reporter(tmp_path, "engine", collect):
        for _ in range(100):
            ask(reporting(tmp_path)["engine"])
    assert standing() == before
