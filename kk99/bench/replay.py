"""`kk99 bench replay`: from a journal to the state, chain and checksums verified, as `kk99 replay run` does it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from journal.reader import Reader
from kk99 import schema
from kk99.bench import flows, logs, venue
from kk99.bench.results import Result
from kk99.errors import InvariantError
from kk99.machine import Machine
from replay import run as replaying

if TYPE_CHECKING:
    from pathlib import Path

    from kk99.bench.options import Options

BENCH: Final = "replay"
SMALL_ROWS: Final = 64


def run(options: Options) -> list[Result]:
    """Return every figure of the bench."""
    scenario = venue.scenario(flows.mix(options))
    machine = scenario.machine()
    venue.apply_all(machine, venue.plain(scenario.timed))
    state_hash = machine.state_hash()
    del machine
    found = []
    with options.folder() as folder:
        for name, rows in (("", schema.BATCH_ROWS_MAX), (f"batch_{SMALL_ROWS}.", SMALL_ROWS)):
            path = folder / str(rows)
            options.say(f"writing a journal in batches of {rows:,}")
            logs.write(path, _batches(scenario, rows))
            rates = []
            for number in range(options.pick(3, 1)):
                rates.append(_rate(path, state_hash))
                options.say(f"replay {number + 1}: {rates[-1]:,.0f} commands/s")
            found.append(Result(BENCH, f"{name}commands_per_s", sorted(rates)[len(rates) // 2], "1/s"))
    return found


def _batches(scenario: venue.Scenario, rows: int) -> list[logs.Batch]:
    setup = logs.set_up_batches(venue.set_up(scenario.workload, scenario.flow))
    return [*setup, *logs.batches_of(scenario.rows, rows)]


def _rate(journal: Path, state_hash: bytes) -> float:
    """Replay a journal from nothing and return the commands per second."""
    began = time.perf_counter()
    machine = Machine()
    with Reader(journal) as reader:
        for _ in replaying.drive(machine, replaying.ahead(replaying.pieces(reader.batches()))):
            pass
    seconds = time.perf_counter() - began
    if machine.state_hash() != state_hash:
        raise InvariantError("the replay came to another state than the run that made the journal")
    return machine.seq / seconds
