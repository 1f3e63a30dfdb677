"""`kk99 replay bisect`: the first sequence where two runs, or two programs on the same log, differ.

Invariants, each a test:
- what both logs have in common is found by their chains where they were written in the same batches, row by row beyond;
- states are compared by hash at sequences both sides were asked for, so the sides may be two releases.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kk99 import kinds, schema
from kk99.errors import InputError, JournalError, SnapshotError
from kk99.machine import Machine
from kk99.schema import Flag
from replay import documents, run
from replay.inspect import journaled
from replay.stored import StoredEvents
from snapshots import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from journal.reader import Reader
    from kk99 import batch
    from kk99.paths import DataDir

    HashesAt = Callable[[list[int]], dict[int, str]]
    """Sequences to the state hash at each."""

PROBES: Final = 16
"""State hashes that one replay gives on the way: so the rounds are log16 of the log's length."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference: at which command, in what (commands, events, snapshot, state), how each side has it."""

    seq: int
    what: str
    left: Any
    right: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far two sides are equal, what was compared, and the first difference, if there is one."""

    equal_to_seq: int
    compared: list[str]
    difference: Difference | None


_Taken = tuple["batch.Rows", "batch.Rows", list[bytes]]
"""Command rows, their cold rows, their documents."""


class _Commands:
    """A log as a stream of command rows, their cold rows and documents, taken a few at a time."""

    def __init__(self, pieces: Iterator[run.Piece]) -> None:
        self._pieces = pieces
        self.rows: batch.Rows = np.zeros(0, schema.COMMAND)
        self._cold: batch.Rows = np.zeros(0, schema.COLD)
        self._documents: list[bytes] = []

    def fill(self) -> bool:
        """Read on until there is a row; return whether there is."""
        while not len(self.rows):
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self.rows, self._documents = documents.detached(piece.commands.rows, piece.commands.tail)
            self._cold = piece.commands.cold
        return True

    def take(self, count: int) -> _Taken:
        """Return the next rows with what belongs to them."""
        rows, self.rows = self.rows[:count], self.rows[count:]
        cold_count = int(np.count_nonzero(rows["flags"] & Flag.HAS_COLD))
        cold, self._cold = self._cold[:cold_count], self._cold[cold_count:]
        marked = int(np.count_nonzero(kinds.has_document(rows)))
        texts, self._documents = self._documents[:marked], self._documents[marked:]
        return rows, cold, texts


def compare_runs(left: DataDir, left_reader: Reader, right: DataDir, right_reader: Reader) -> Comparison:
    """Compare two venues' data: their commands, then, as far as those are equal, stored events and snapshots."""
    compared = ["commands"]
    common, difference = compare_logs(left_reader, right_reader)
    if difference is not None:
        return Comparison(common, compared, difference)
    found = [
        _compare_events(left, right, compared),
        _compare_snapshots(left, right, common, compared),
    ]
    first = min((one for one in found if one is not None), key=lambda one: one.seq, default=None)
    return Comparison(common if first is None else first.seq - 1, compared, first)


def compare_logs(left: Reader, right: Reader) -> tuple[int, Difference | None]:
    """Return the last sequence up to which two logs have equal commands, and the first difference.

    That one log is shorter is no difference. Raises JournalError where one can't be read.
    """
    end = min(left.head().seq, right.head().seq)
    seq = _common_batches(left, right, end)
    sides = [_Commands(run.pieces(reader.batches(seq + 1, end))) for reader in (left, right)]
    while all(side.fill() for side in sides):
        count = min(len(side.rows) for side in sides)
        (rows, cold, texts), (rows_2, cold_2, texts_2) = (side.take(count) for side in sides)
        if rows.tobytes() != rows_2.tobytes() or cold.tobytes() != cold_2.tobytes() or texts != texts_2:
            at = _first_wrong((rows, cold, texts), (rows_2, cold_2, texts_2))
            first = int(rows["seq"][at])
            return first - 1, Difference(first, "commands", _shown(left, first), _shown(right, first))
        seq = int(rows["seq"][-1])
    return min(seq, end), None


def _common_batches(left: Reader, right: Reader, end: int) -> int:
    """Return a sequence at which a batch with the same hash ends in both logs, as late as a binary search finds one.

    An equal hash proves all before it equal. 0 if none is found: the logs may have been written in other batches.
    """
    low, high = 0, end
    while low < high:
        middle = (low + high + 1) // 2
        one, other = left.batch_at(middle), right.batch_at(middle)
        if one is not None and other is not None and one.hash == other.hash:
            low = one.last_seq
        else:
            high = middle - 1
    return low


def _first_wrong(left: _Taken, right: _Taken) -> int:
    """Return the first row that differs, in itself, its cold row or its document."""
    (rows, cold, texts), (rows_2, cold_2, texts_2) = left, right
    found = [int(at) for at in np.flatnonzero(_differs(rows, rows_2))[:1]]
    # What follows goes by row only up to the first difference: beyond it, flags and kinds need not agree.
    for marks, wrong in (
        ((rows["flags"] & Flag.HAS_COLD) != 0, _differs(cold, cold_2)),
        (kinds.has_document(rows), [one != other for one, other in zip(texts, texts_2, strict=False)]),
    ):
        pairs = zip(np.flatnonzero(marks), wrong, strict=False)
        found += [int(at) for at, differs in pairs if differs][:1]
    return min(found)


def _differs(left: batch.Rows, right: batch.Rows) -> npt.NDArray[np.bool_]:
    """Return which rows differ, as far as both go: bool (n,)."""
    count = min(len(left), len(right))
    one, other = (side[:count].view(np.int64).reshape(count, schema.ROW_WORDS) for side in (left, right))
    return np.asarray((one != other).any(axis=1))


def _shown(reader: Reader, seq: int) -> dict[str, Any]:
    command, cold, _ = journaled(reader, seq)
    return command | ({"cold": cold} if cold else {})


def _compare_events(left: DataDir, right: DataDir, compared: list[str]) -> Difference | None:
    """Compare the stored events that both sides have."""
    with StoredEvents.opened(left) as one, StoredEvents.opened(right) as other:
        if one.first is None or other.first is None:
            return None
        compared.append("events")
        # What a store that begins earlier has before the other's first event is passed over.
        late, early = (one, other) if one.first >= other.first else (other, one)
        while late.problem is None and (events := early.take_frame()) is not None:
            late.compare(events)
        if late.problem is None:
            return None
        early_has, late_has = late.wrong
        sides = (late_has, early_has) if late is one else (early_has, late_has)
        return Difference(late.problem[0], "events", *sides)


def _compare_snapshots(left: DataDir, right: DataDir, end: int, compared: list[str]) -> Difference | None:
    """Compare the state hashes of the snapshots that both sides took at the same sequence."""
    paths = [{store.seq_of(path): path for path in store.catalogue(data.snapshots)} for data in (left, right)]
    for seq in sorted(paths[0].keys() & paths[1].keys()):
        if seq > end:
            break
        compared.append(f"snapshots at seq {seq}")
        hashes = [_hash_in(side[seq]) for side in paths]
        if hashes[0] != hashes[1]:
            return Difference(seq, "snapshot", *hashes)
    return None


def _hash_in(path: Path) -> str:
    try:
        return store.load(path)[0].state_hash.hex()
    except SnapshotError as error:
        return str(error)


def compare_programs(left: HashesAt, right: HashesAt, end: int, progress: Callable[[int], None]) -> Comparison:
    """Find the first sequence, up to `end`, after which two programs that replay the same log have different states."""
    compared = ["states"]
    if _hashes(left, [end]) == _hashes(right, [end]):
        return Comparison(end, compared, None)
    good, bad = 0, end
    while bad - good > 1:
        seqs = sorted({good + (bad - good) * step // (PROBES + 1) for step in range(1, PROBES + 1)} - {good})
        mine, theirs = _hashes(left, seqs), _hashes(right, seqs)
        different = [seq for seq in seqs if mine[seq] != theirs[seq]]
        if different:
            bad = different[0]
        good = max((seq for seq in seqs if seq < bad), default=good)
        progress(end - (bad - good))
    mine, theirs = _hashes(left, [bad]), _hashes(right, [bad])
    return Comparison(good, compared, Difference(bad, "state", mine[bad], theirs[bad]))


def _hashes(side: HashesAt, seqs: list[int]) -> dict[int, str]:
    found = side(seqs)
    missing = [seq for seq in seqs if seq not in found]
    if missing:
        raise InputError(f"a side gave no state hash at seq {missing[0]}")
    return found


def hashes_here(reader: Reader, seqs: Iterable[int]) -> dict[int, str]:
    """Return the state hash at each sequence, replayed by this program."""
    seqs = sorted(seqs)
    machine = Machine()
    found: dict[int, str] = {}
    source = run.ahead(run.pieces(reader.batches(1, seqs[-1])))
    for step in run.drive(machine, source, to_seq=seqs[-1], stops=seqs):
        if step.stopped:
            found[machine.seq] = machine.state_hash().hex()
    return found


def hashes_of(program: str, data: DataDir, seqs: Iterable[int]) -> dict[int, str]:
    """Return the state hash at each sequence, replayed by another `kk99` (a command line up to that word).

    Raises JournalError with what it said if it fails, InputError if it can't be run.
    """
    asked = ",".join(str(seq) for seq in seqs)
    arguments = [*shlex.split(program), "replay", "run", "--data", str(data.root), "--hash-at", asked, "--json"]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603 (the operator's own)
    except OSError as error:
        raise InputError(f"{program}: can't be run: {error}") from error
    if done.returncode:
        raise JournalError(f"{program}: {done.stderr.strip() or done.stdout.strip()}")
    return {int(seq): text for seq, text in json.loads(done.stdout)["hashes"].items()}
