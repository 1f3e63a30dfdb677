"""`kk99 bench recover`: an engine killed under load, its newest snapshot a million commands back.

How long from its start until it serves (the recovery objective), and how many commands of which an event had been
heard, or which had been acknowledged as durable, it then no longer has (the loss objective: none).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from gateways.client import Client
from journal.reader import Reader
from kk99.bench import flows, venue
from kk99.bench.load import Engine, Load
from kk99.bench.results import Result
from kk99.errors import EngineError, InvariantError
from snapshots import store

if TYPE_CHECKING:
    from kk99.bench.options import Options
    from kk99.bench.workloads import Workload

BENCH: Final = "recover"
_SNAPSHOT_S: Final = 120.0


def run(options: Options) -> list[Result]:
    """Return every figure of the bench."""
    return [*_recover(flows.mix(options), "", options), *_recover(flows.deep(options), "deep_book.", options)]


def _recover(workload: Workload, name: str, options: Options) -> list[Result]:
    """Load an engine, kill it, start it again; the seconds that took and what there was to replay."""
    kill_seq = options.pick(10_000_000, 80_000)
    snapshot_seq = kill_seq - options.pick(1_000_000, 20_000)
    scenario = venue.scenario(workload)
    with options.folder() as folder, Engine(folder, snapshot_commands=snapshot_seq) as engine:
        engine.start()
        with Client.connect(engine.address, "bench") as client:
            load = Load(client, scenario)
            load.set_up()
            options.say(f"{workload.name}: sending commands up to seq {snapshot_seq:,} and a snapshot")
            load.keep_up(until_seq=snapshot_seq)
            _await_snapshot(engine, load)
            options.say(f"{workload.name}: sending commands up to seq {kill_seq:,}, then SIGKILL")
            load.keep_up(until_seq=kill_seq)
            engine.kill_engine()
            acknowledged = client.durable_client_seq
        with Reader(engine.paths.journal) as reader:
            end = reader.head().seq
        replayed = end - store.seq_of(store.catalogue(engine.paths.snapshots)[-1])
        seconds = engine.start()
        with Client.connect(engine.address) as client:
            assert client.welcome is not None
            durable_seq = client.welcome.durable_seq
        with Client.connect(engine.address, "bench") as client:
            taken = client.next_client_seq - 1
    lost = max(load.heard_seq - durable_seq, acknowledged - taken, 0)
    if not load.heard_seq <= end <= durable_seq:
        raise InvariantError(f"seq {load.heard_seq} was heard of, the journal ended at {end}, now at {durable_seq}")
    options.say(f"{workload.name}: ready after {seconds:.2f} s, {replayed:,} of {end:,} commands replayed")
    return [
        Result(BENCH, f"{name}seconds", seconds, "s"),
        Result(BENCH, f"{name}replayed", replayed, "commands"),
        Result(BENCH, f"{name}journal", end, "commands"),
        Result(BENCH, f"{name}acknowledged", acknowledged, "commands"),
        Result(BENCH, f"{name}lost", lost, "commands"),
    ]


def _await_snapshot(engine: Engine, load: Load) -> None:
    """Wait until the snapshot is there, keeping the session alive."""
    deadline = time.monotonic() + _SNAPSHOT_S
    while not store.catalogue(engine.paths.snapshots):
        if time.monotonic() > deadline:
            raise EngineError(f"no snapshot after {_SNAPSHOT_S} s")
        load.keep_up(until=time.monotonic() - 1)
        time.sleep(0.01)
        load.hear_all()
