"""`kk99 bench engine`: the engine as a process over ZeroMQ, every batch synced before its events leave.

This process is the client: it sends, hears the events of all it sent, and counts only those. Round trips, one command
at a time, take turns with bare LMDB commits of as many bytes on the same disk.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from gateways.client import Client
from journal import format as record
from kk99 import batch, schema
from kk99.bench import flows, logs, venue
from kk99.bench.load import Engine, Load
from kk99.bench.results import Result

if TYPE_CHECKING:
    from kk99.bench.options import Options
    from kk99.bench.workloads import Workload

BENCH: Final = "engine"
SUSTAINED_S: Final = 30.0
QUICK_S: Final = 1.0
_WARM_SHARE: Final = 0.1
_ROUND_TRIPS_S: Final = 60.0
_BLOCK: Final = 20
_SETTLE_S: Final = 0.02
"""Between two blocks: the engine stores the last events after it has published them."""
_VALUE_BYTES: Final = record.HEADER_SIZE + batch.HEADER_SIZE + schema.ROW_SIZE


def run(options: Options) -> list[Result]:
    """Return every figure of the bench."""
    mix_rate, trips = _on_engine(flows.mix(options), options, with_round_trips=True)
    deep_rate, _ = _on_engine(flows.deep(options), options, with_round_trips=False)
    return [
        Result(BENCH, "durable.commands_per_s", min(mix_rate, deep_rate), "1/s"),
        Result(BENCH, "durable.exchange_mix.commands_per_s", mix_rate, "1/s"),
        Result(BENCH, "durable.deep_book.commands_per_s", deep_rate, "1/s"),
        *trips,
    ]


def _on_engine(workload: Workload, options: Options, *, with_round_trips: bool) -> tuple[float, list[Result]]:
    """Load a fresh engine with a flow; the sustained commands per second, and the round trips' figures."""
    options.say(f"{workload.name}: {workload.description}")
    scenario = venue.scenario(workload)
    with options.folder() as folder, Engine(folder, snapshot_commands=0) as engine:
        engine.start()
        with Client.connect(engine.address, "bench") as client:
            load = Load(client, scenario)
            load.set_up()
            options.say(f"{workload.name}: {load.sent:,} commands of set-up are in; now the flow")
            rate = _sustained(load, QUICK_S if options.quick else SUSTAINED_S)
            options.say(f"{workload.name}: {rate:,.0f} commands/s sustained")
            load.hear_all()
            trips = _round_trips(load, options) if with_round_trips else []
            stats = client.engine_stats()
            options.say(f"{workload.name}: the engine counts {stats}")
    return rate, trips


def _sustained(load: Load, seconds: float) -> float:
    load.keep_up(until=time.monotonic() + _WARM_SHARE * seconds)
    began, heard_seq = time.monotonic(), load.heard_seq
    load.keep_up(until=began + seconds)
    return (load.heard_seq - heard_seq) / (time.monotonic() - began)


def _round_trips(load: Load, options: Options) -> list[Result]:
    """Time round trips of one command each, in turns with bare commits, a block of either at a time.

    The first of a block does not count: it may pay for what the other left unsynced on the disk.
    """
    trips: list[int] = []
    bare: list[int] = []
    count, deadline = options.pick(5_000, 2 * _BLOCK), time.monotonic() + _ROUND_TRIPS_S
    with options.folder() as folder, logs.BareCommits(folder, _VALUE_BYTES) as commits:
        while len(trips) < count and time.monotonic() < deadline:
            for found, once in ((bare, commits.commit_ns), (trips, load.round_trip_ns)):
                time.sleep(_SETTLE_S)
                once()
                found += [once() for _ in range(_BLOCK)]
    options.say(f"{len(trips):,} round trips")
    p50_us, p99_us = (logs.percentile_us(trips, share) for share in (50, 99))
    bare_p50_us, bare_p99_us = (logs.percentile_us(bare, share) for share in (50, 99))
    return [
        Result(BENCH, "round_trip.p50_over_us", p50_us - bare_p50_us, "us", 0.0),
        Result(BENCH, "round_trip.p99_ratio", p99_us / bare_p99_us, "x", 1.0),
        Result(BENCH, "round_trip.p50_us", p50_us, "us", bare_p50_us),
        Result(BENCH, "round_trip.p99_us", p99_us, "us", bare_p99_us),
    ]
