"""`kk99 bench memory`: what a process with a large venue in it takes, measured in a process of its own.

The process does nothing but read commands from a file and apply them, so that neither the generator of the flow nor the
command rows count.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateways.client import Client
from kk99 import build
from kk99.bench import flows, venue
from kk99.bench.load import Engine, Load
from kk99.bench.results import Result

if TYPE_CHECKING:
    from kk99.bench.options import Options
    from kk99.bench.workloads import Workload

BENCH: Final = "memory"


def large_venue(options: Options) -> Workload:
    """Return 1,000,000 resting orders of 100,000 accounts in 1,000 instruments."""
    return flows.deep(options, timed_count=0, instrument_count=1_000)


def run(options: Options) -> list[Result]:
    """Return every figure of the bench."""
    workload = large_venue(options)
    with options.folder() as folder:
        options.say(f"writing commands: {workload.description}")
        write_frames(folder / "frames", workload)
        options.say("applying them in a process of its own")
        found = measure(folder / "frames")
    engine = _engine_bytes(workload, options)
    if found["orders"] != len(workload.setup):
        options.say(f"{found['orders']:,} orders rest where {len(workload.setup):,} should")
    return [
        Result(BENCH, "rss_bytes", found["rss_bytes"], "B"),
        Result(BENCH, "rss_peak_bytes", found["rss_peak_bytes"], "B"),
        Result(BENCH, "rss_empty_bytes", found["rss_empty_bytes"], "B"),
        Result(BENCH, "resting_orders", found["orders"], "orders"),
        Result(BENCH, "engine.rss_bytes", engine["VmRSS"], "B"),
        Result(BENCH, "engine.rss_anonymous_bytes", engine["RssAnon"], "B"),
    ]


def _engine_bytes(workload: Workload, options: Options) -> dict[str, int]:
    """Bring an engine to the same venue, snapshots on; lines of its process's status, in bytes."""
    options.say("sending them to an engine")
    scenario = venue.scenario(workload)
    with options.folder() as folder, Engine(folder, snapshot_commands=options.pick(1_000_000, 1_000)) as engine:
        engine.start()
        with Client.connect(engine.address, "bench") as client:
            Load(client, scenario).set_up()
        assert engine.engine is not None
        status = Path(f"/proc/{engine.engine.process.pid}/status").read_text()
    lines = (line.split() for line in status.splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1] == "kB"}


def write_frames(path: Path, workload: Workload) -> None:
    """Write the workload's set-up and flow as stamped frames, each after its size (8 bytes)."""
    rows = venue.commands_of(workload.setup)
    seq = 1
    with path.open("wb") as file:
        for commands in [*venue.set_up(workload, workload.setup), *venue.parts(rows)]:
            frame = build.stamp(commands, seq, venue.TIME_NS).encode()
            seq += len(commands.rows)
            file.write(len(frame).to_bytes(8, "little") + frame)


def measure(frames: Path) -> dict[str, Any]:
    """Have a process of its own apply the frames and say what memory it takes."""
    command = [sys.executable, "-m", "kk99.bench.memory_child", str(frames)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 - our own program
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
