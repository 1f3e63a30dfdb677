"""`kk99 replay verify`: proves that a log is whole and that everything kept beside it follows from it.

Invariants, each a test:
- the chain, the checksums and the numbering are checked from the first command, whatever the replay begins with;
- the first problem is named with its exact seq; what could not be checked because of it is named too.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from journal.format import check_release
from kk99.errors import CorruptionError, InvariantError, JournalError, SnapshotError
from kk99.machine import Sections
from replay import run
from replay.stored import StoredEvents
from snapshots import format as layout
from snapshots import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from journal.format import JournalBatch
    from journal.head import Head
    from journal.reader import Reader
    from kk99.machine import Machine
    from kk99.paths import DataDir

NO_SEQ: Final = 0
"""The seq of a problem that concerns no command."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and at which sequence."""

    seq: int
    where: str
    text: str


@dataclass(frozen=True, slots=True)
class SnapshotCheck:
    """A snapshot: whether it is good, or why it is not or could not be checked."""

    seq: int
    file: str
    result: str


@dataclass(slots=True)
class Stretch:
    """Successive commands that one release can replay."""

    first_seq: int
    last_seq: int
    release: str
    fingerprint: str
    behaviour_version: int
    replayed: bool = False


@dataclass(slots=True)
class Verdict:
    """What was checked and what was found; `problems` are in order of their seq."""

    venue_id: str = ""
    first_seq: int = 0
    last_seq: int = 0
    time_ns: int = 0
    commands: int = 0
    events: int = 0
    seconds: float = 0.0
    state_hash: str = ""
    stretches: list[Stretch] = field(default_factory=list)
    snapshots: list[SnapshotCheck] = field(default_factory=list)
    truncations: list[str] = field(default_factory=list)
    stored_events: str = "not asked for"
    head: str = "not given"
    problems: list[Problem] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def commands_per_s(self) -> float:
        """Commands read, checked and applied a second."""
        return self.commands / self.seconds if self.seconds else 0.0

    def add(self, seq: int, where: str, text: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(seq, where, text))
        self.problems.sort(key=lambda problem: problem.seq)


class Verification:
    """One run of `verify`: the verdict as it grows, and what is still to be compared."""

    def __init__(self, data: DataDir, reader: Reader, *, stored: StoredEvents | None, head: Head | None) -> None:
        """Take stock of what is to be compared on the way."""
        self.data = data
        self.reader = reader
        self.head = head
        try:
            self.venue_id = run.venue_of(reader)
        except JournalError:  # the replay meets it again, and reports it
            self.venue_id = bytes(layout.VENUE_ID_BYTES)
        self.verdict = Verdict(venue_id=self.venue_id.hex())
        self.good_seq = 0
        self.snapshots = {store.seq_of(path): path for path in store.catalogue(data.snapshots)}
        self.stored = stored
        self.hashes: dict[int, bytes] = {}
        self._wanted = {*self.snapshots, *([head.seq] if head else [])}

    def go(self, from_snapshot: str | None, progress: Callable[[int], None]) -> None:
        """Check everything, from the beginning or a snapshot."""
        verdict, first_seq = self.verdict, 1
        try:
            machine = run.start(self.data, self.reader, from_snapshot)
            self.good_seq, first_seq = machine.seq, machine.seq + 1
            self.read_only(machine.seq)
            self.note_truncations()
            if self.stored is not None:
                self.stored.begin_after(machine.last_event)
            self.replay(machine, progress)
        except CorruptionError as error:
            verdict.add(error.seq, "journal", str(error))
        except JournalError as error:
            verdict.add(self.good_seq + 1, "journal", str(error))
        except SnapshotError as error:
            verdict.add(NO_SEQ, "snapshot", str(error))
        except (InvariantError, AssertionError) as error:
            verdict.add(self.good_seq + 1, "invariant", f"broken by this command or one soon after: {error!r}")
        self.finish(first_seq)

    def note_truncations(self) -> None:
        """Note what operators cut off the log's end."""
        for segment in self.reader.segments():
            self.verdict.truncations += [text.decode("utf-8", "replace") for text in self.reader.truncations(segment)]

    def watched(self, batches: Iterator[JournalBatch], *, replayed: bool) -> Iterator[JournalBatch]:
        """Pass on the batches that this release can read, noting releases and the hashes that others refer to.

        Once another release is needed the state is out of reach, but the chain is followed to the end.
        """
        stretches = self.verdict.stretches
        for one in batches:
            header = one.header
            fingerprint = f"{header.fingerprint:016x}"
            if not stretches or (stretches[-1].fingerprint, stretches[-1].replayed) != (fingerprint, replayed):
                if replayed and check_release(header) is not None:
                    replayed = False
                    self.verdict.add(one.first_seq, "release", f"not replayed: {check_release(header)}")
                stretches.append(
                    Stretch(one.first_seq, 0, header.release, fingerprint, header.behaviour, replayed=replayed)
                )
            stretches[-1].last_seq = self.verdict.last_seq = one.last_seq
            if one.last_seq in self._wanted:
                self.hashes[one.last_seq] = one.hash
            if replayed:
                yield one

    def read_only(self, to_seq: int) -> None:
        """Check the batches up to a sequence without applying them."""
        for _ in self.watched(self.reader.batches(1, to_seq), replayed=False):
            pass

    def replay(self, machine: Machine, progress: Callable[[int], None]) -> None:
        """Apply the log from the machine's sequence on, and compare on the way."""
        verdict = self.verdict
        source = self.watched(self.reader.batches(machine.seq + 1), replayed=True)
        verdict.first_seq = machine.seq + 1
        for step in run.drive(machine, run.ahead(run.pieces(source)), stops=self.snapshots):
            verdict.commands += len(step.commands)
            verdict.events += len(step.events.rows)
            machine.check()
            self.good_seq = machine.seq
            if self.stored is not None:
                self.stored.compare(step.events)
            if step.stopped:
                self.check_snapshot(machine)
            progress(machine.seq)
        machine.check_all()
        verdict.time_ns = machine.time_ns
        verdict.state_hash = machine.state_hash().hex()

    def check_snapshot(self, machine: Machine) -> None:
        """Compare the snapshot at the machine's sequence with the machine."""
        seq, path = machine.seq, self.snapshots.pop(machine.seq)
        machine.check_all()
        try:
            wrong = self._wrong_in(path, machine)
        except SnapshotError as error:
            wrong = str(error)
        if wrong:
            self.verdict.add(seq, "snapshot", wrong)
        self.verdict.snapshots.append(SnapshotCheck(seq, path.name, wrong or "equal to the replayed state"))

    def _wrong_in(self, path: Path, machine: Machine) -> str:
        """Return what a snapshot at the machine's sequence has otherwise than the machine, or nothing."""
        meta, sections = store.load(path, self.venue_id)
        named = self.hashes.get(machine.seq)
        if any(meta.journal_hash) and named is not None and meta.journal_hash != named:
            return f"{path}: it names another journal batch than the one that ends at its seq"
        if (meta.time_ns, meta.last_event) != (machine.time_ns, machine.last_event):
            return f"{path}: its time or last event is not the replay's"
        regenerated = Sections()
        regenerated.copy(machine)
        names = _differing(regenerated.canonical(), sections)
        if names:
            return f"{path}: the state differs from the replay's in {', '.join(names)}"
        if meta.state_hash != regenerated.hash():
            return f"{path}: it names another state hash than its state has"
        return ""

    def finish(self, first_seq: int) -> None:
        """Judge what the replay did not meet: snapshots outside of it, the end of the event store, the head."""
        verdict = self.verdict
        for seq, path in sorted(self.snapshots.items()):
            if seq < first_seq:
                result = "not compared: before the beginning of the replay"
            elif seq > self.good_seq and verdict.good:
                result = f"it is at seq {seq}, beyond the log, which ends at {self.good_seq}"
                verdict.add(seq, "snapshot", f"{path}: {result}")
            else:
                result = "not compared: the replay did not get there"
            verdict.snapshots.append(SnapshotCheck(seq, path.name, result))
        verdict.snapshots.sort(key=lambda check: check.seq)
        if self.stored is not None:
            problem = self.stored.problem or (self.stored.leftover() if verdict.good else None)
            if problem is not None:
                verdict.add(problem[0], "events", problem[1])
            verdict.stored_events = self.stored.summary()
        if self.head is not None:
            verdict.head = self._check_head(self.head)

    def _check_head(self, head: Head) -> str:
        if head.seq == 0:
            return "extended: it was signed before the first command"
        found = self.hashes.get(head.seq)
        if head.venue_id != self.venue_id:
            text = f"the head is of venue {head.venue_id.hex()}"
        elif found == head.hash:
            return f"extended: the log holds the signed batch that ends at seq {head.seq}"
        elif found is None and self.verdict.last_seq < head.seq:
            text = f"the log was read up to seq {self.verdict.last_seq}, the signed head is at seq {head.seq}"
        elif found is None:
            text = f"no batch ends at seq {head.seq}, where one was signed"
        else:
            text = f"the batch that ends at seq {head.seq} is not the one that was signed"
        self.verdict.add(head.seq, "head", text)
        return text


def verify(
    data: DataDir,
    reader: Reader,
    *,
    from_snapshot: str | None = None,
    events: bool = False,
    head: Head | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Verdict:
    """Return the verdict on a venue's data; what is wrong with it is in there, not raised.

    `head` is a head whose signature was checked; `progress` is called with the last sequence done.
    """
    begun = time.perf_counter()
    with ExitStack() as stack:
        stored = stack.enter_context(StoredEvents.opened(data)) if events else None
        one = Verification(data, reader, stored=stored, head=head)
        one.go(from_snapshot, progress)
    one.verdict.seconds = time.perf_counter() - begun
    return one.verdict


def _differing(regenerated: list[tuple[str, Any]], stored: store.Sections) -> list[str]:
    """Return the names of the sections that are not in both or not equal."""
    left = {name: memoryview(data).cast("B") for name, data in regenerated}
    right = dict(stored)
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
