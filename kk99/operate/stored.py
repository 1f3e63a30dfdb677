"""A venue's state from what is on disk alone, for when no engine runs: the newest good snapshot, then replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from journal.reader import Reader
from kk99.errors import InputError
from kk99.operate.standing import Standing
from replay import run

if TYPE_CHECKING:
    from kk99.paths import DataDir


@dataclass(frozen=True, slots=True)
class Stored:
    """What the data come to."""

    standing: Standing
    time_ns: int
    state_hash: str
    snapshot_seq: int
    """Where the replay began; 0: at nothing."""


def stored(paths: DataDir) -> Stored:
    """Return the state at the journal's end; raises what the rooms raise when it can't be had."""
    if not paths.journal.is_dir():
        raise InputError(f"{paths.root} holds no venue: choose another folder with --data, or start one with `kk99 up`")
    with Reader(paths.journal) as reader:
        machine = run.nearest(paths, reader, reader.head().seq)
        snapshot_seq = machine.seq
        for _ in run.drive(machine, run.pieces(reader.batches(snapshot_seq + 1))):
            pass
    standing = Standing.of(machine.seq, [machine.image()])
    return Stored(standing, machine.time_ns, machine.state_hash().hex(), snapshot_seq)
