"""Engines to test with: in this process with any port replaced, or as a process of their own that can be killed."""

import atexit
import contextlib
import dataclasses
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from kk99 import batch, schema
from kk99.config import EngineSettings
from kk99.core.state import compile_kernel
from kk99.engine.daemon import real_ports
from kk99.engine.engine import Engine

DEADLINE_S = 60.0
ROOT = Path(__file__).parent.parent.parent


def wait_for(is_so, what="it"):
    """Wait until a condition holds, or fail."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.002)


def ports_with(**replaced):
    """The real ports with some replaced."""
    return dataclasses.replace(real_ports(), **replaced)


def new_run_dir():
    """A folder short enough for the path of a socket, gone when the tests are done."""
    folder = Path(tempfile.mkdtemp(prefix="kk99-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextlib.contextmanager
def running(data_dir, ports=None, **settings):
    """An engine in this process; what broke in it is raised at the end unless the test took it out of `faults`."""
    values = {"disk_reserve_bytes": 0, "run_dir": new_run_dir(), "snapshot_commands": 0} | settings
    faults = []
    compile_kernel()
    engine = Engine(
        EngineSettings(data_dir=data_dir, **values), ports or real_ports(), lambda *fault: faults.append(fault)
    )
    engine.faults = faults
    engine.reports = []
    engine.start(engine.reports.append)
    try:
        yield engine
    finally:
        engine.stop()
    assert not faults, faults


class EngineProcess:
    """An engine as a process of its own."""

    def __init__(self, data_dir, config=""):
        self.data_dir = data_dir
        self.run_dir = new_run_dir()
        self.config = data_dir.with_name(f"{data_dir.name}.toml")
        self.config.write_text(f"[engine]\ndisk_reserve_bytes = 0\n{config}")
        self.process = None
        self.log = data_dir.with_name(f"{data_dir.name}.log")

    def start(self):
        """Start it, and wait until it says that it is ready."""
        arguments = ["engine", "--data", self.data_dir, "--run", self.run_dir, "--config", self.config, "--json-log"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kk99.cli", *map(str, arguments)],
                stdout=subprocess.PIPE, stderr=log, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        line = self.process.stdout.readline().decode()
        assert "ready" in line, self.log.read_text()
        return line

    def kill(self):
        """End it at once."""
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.process.stdout.close()

    def terminate(self, number=signal.SIGTERM):
        """Ask it to end; its exit status."""
        self.process.send_signal(number)
        status = self.process.wait(DEADLINE_S)
        self.process.stdout.close()
        return status

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


def rejected_orders(count):
    """Commands that the core answers with one REJECTED each (there is no such account)."""
    rows = np.zeros(count, schema.COMMAND)
    rows["kind"] = schema.CommandKind.ORDER_NEW
    return batch.commands(rows)


def events_until(client, is_enough):
    """The frames that a client sees until they are enough."""
    frames = []
    deadline = time.monotonic() + DEADLINE_S
    while not is_enough(frames):
        assert time.monotonic() < deadline, f"only {len(frames)} frames came"
        events = client.poll_events(0.05)
        if events is not None:
            frames.append(events)
    return frames


def row_count(frames):
    """How many events there are in frames."""
    return sum(len(frame.rows) for frame in frames)


def rows_of_clients(frames):
    """The events that commands of clients caused; a session's own opening may be on its way when it is welcomed."""
    rows = np.concatenate([np.zeros(0, schema.EVENT), *(frame.rows for frame in frames)])
    return rows[rows["client_seq"] > 0]


def identities(frames):
    """The (cause_seq, index) of every event, in order."""
    return list(itertools.chain.from_iterable(frame.rows[["cause_seq", "index"]].tolist() for frame in frames))
