"""The engine as a process: readiness, signals, and SIGKILL at any moment without loss."""

import random
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from gateways.client import Client
from kk99 import build
from kk99.schema import VENUE_ACCOUNTS, EventKind
from tests.engine.harness import DEADLINE_S, ROOT, EngineProcess, events_until, new_run_dir, rejected_orders, row_count

OPERATOR = {"actor": "test", "reason": "set up"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(tmp_path, number):
    """What was acknowledged before a signal is there after it; the engine ends with status 0."""
    with EngineProcess(tmp_path / "a") as engine:
        with Client.connect(engine.run_dir, "one") as client:
            for _ in range(20):
                client.submit(rejected_orders(500))
            client.flush()
        assert engine.terminate(number) == 0
        engine.start()
        with Client.connect(engine.run_dir, "one", after=(0, 0)) as client:
            assert client.next_client_seq == 10_001
            assert row_count(events_until(client, lambda frames: row_count(frames) >= 10_002)) == 10_002
        assert engine.terminate() == 0


def test_a_second_signal_does_not_cut_the_shutdown_short(tmp_path):
    """However often it is asked to end, at readiness and after, the engine ends once, with status 0."""
    with EngineProcess(tmp_path / "a") as engine:
        for _ in range(3):
            engine.process.send_signal(signal.SIGTERM)
            engine.process.send_signal(signal.SIGINT)
        assert engine.process.wait(DEADLINE_S) == 0
        engine.process.stdout.close()


def test_a_signal_while_commands_pour_in(tmp_path):
    """A client that goes on through a clean restart loses nothing and doubles nothing."""
    with EngineProcess(tmp_path / "a") as engine:
        with Client.connect(engine.run_dir, "one", timeout_s=DEADLINE_S) as client:
            status = []
            stopping = threading.Timer(0.2, lambda: (status.append(engine.terminate()), engine.start()))
            stopping.start()
            while stopping.is_alive() or client.next_client_seq < 20_000:
                client.submit(rejected_orders(50))
            stopping.join(DEADLINE_S)
            client.flush()
            total = client.next_client_seq - 1
            assert status == [0]
            with Client.connect(engine.run_dir, after=(0, 0)) as reader:
                rows = np.concatenate([f.rows for f in events_until(reader, lambda f: row_count(f) >= total + 2)])
        rows = rows[rows["kind"] == EventKind.REJECTED]
        assert rows["client_seq"].tolist() == list(range(1, total + 1))


def test_kills_at_random(tmp_path):
    """Five SIGKILLs under load: every command applied once and in order, every event seen once, the money exact."""
    rng = random.Random(20)
    with EngineProcess(tmp_path / "a", "snapshot_commands = 20000\n") as engine:
        with Client.connect(engine.run_dir, "one", timeout_s=DEADLINE_S, rows_under_way=4_000) as client:
            client.poll_events(0)
            client.submit(build.batch_of([build.asset("USD", 2, **OPERATOR), build.account("a", "o", **OPERATOR)]))
            deposit = build.deposit(np.full(100, VENUE_ACCOUNTS), 1, 1)
            seen = []

            def follow():
                while (events := client.poll_events(0)) is not None:
                    seen.append(events)

            for _ in range(5):
                kill_at = time.monotonic() + rng.uniform(0.1, 0.5)
                acknowledged = 0
                while time.monotonic() < kill_at:
                    client.submit(deposit)
                    follow()
                    acknowledged = client.durable_client_seq
                engine.kill()
                engine.start()
                assert client.durable_client_seq >= acknowledged
            client.flush()
            total = client.next_client_seq - 1
            seen += events_until(client, lambda frames: row_count(seen) + row_count(frames) >= total)
            follow()
            image = client.image()
        rows = np.concatenate([frame.rows for frame in seen])
        taken = rows[(rows["session_id"] == 1) & (rows["kind"] != EventKind.DUPLICATE)]
        assert taken["client_seq"].tolist() == list(range(1, total + 1))
        assert (np.diff(rows["cause_seq"]) >= 0).all()
        balances = np.concatenate([frame.rows for frame in image.frames])
        balances = balances[balances["kind"] == EventKind.BALANCE_IMAGE]
        assert balances["amount_units"][balances["account_id"] == VENUE_ACCOUNTS].tolist() == [total - 2]


def test_readiness_and_the_command_line(tmp_path):
    """The service manager hears READY=1 and STOPPING=1; counters can be asked for from the command line."""
    path = new_run_dir() / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, pytest.MonkeyPatch.context() as patch:
        manager.bind(str(path))
        manager.settimeout(DEADLINE_S)
        patch.setenv("NOTIFY_SOCKET", str(path))
        with EngineProcess(tmp_path / "a") as engine:
            heard = b""
            while b"READY=1" not in heard:
                heard = manager.recv(4096)
            command = [sys.executable, "-m", "kk99.cli", "engine", "--run", str(engine.run_dir), "--stats"]
            result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=DEADLINE_S)
            assert '"durable_seq": 0' in result.stdout
            second = [*command[:4], "--data", str(engine.data_dir), "--run", str(new_run_dir())]
            result = subprocess.run(second, cwd=ROOT, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
            assert result.returncode == 1
            assert "kk99:" in result.stderr
            assert engine.terminate() == 0
            while heard != b"STOPPING=1":
                heard = manager.recv(4096)
