"""What the engine needs of the world, as small protocols that are passed in, so that a simulator can replace them.

The real ones are made in `kk99.engine.daemon`.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from kk99 import batch


class Clock(Protocol):
    """Time of day and time elapsed, in nanoseconds."""

    def now_ns(self) -> int:
        """Return the time of day since 1970 (UTC)."""

    def monotonic_ns(self) -> int:
        """Return a time that only rises and is never set."""


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Return the time of day since 1970 (UTC)."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return a time that only rises and is never set."""
        return time.monotonic_ns()


class Writer(Protocol):
    """The journal's one writer; holding it is what makes this engine the only one."""

    @property
    def last_seq(self) -> int:
        """Sequence of the last durable command."""

    def append(self, batches: Sequence[tuple[int, int, Sequence[Any]]]) -> int:
        """Commit (first_seq, count, frame pieces) batches in one synced transaction; the last sequence."""

    def close(self) -> None:
        """Let go of the journal."""


class EventStore(Protocol):
    """Event frames, kept for those who come late."""

    discarded: str | None
    """Why something had to go at the opening, if it had to."""
    is_new: bool
    """There was none at the opening: not even a broken one."""

    def last(self) -> Any:
        """Return where it ends: `event`, and `last_seq`, the last command whose events are stored."""

    def append(self, frames: Sequence[bytes]) -> None:
        """Store encoded frames, without waiting for the disk."""

    def sync(self) -> int:
        """Wait for the disk; any thread may."""

    def read(self, after: tuple[int, int], max_bytes: int) -> list[bytes]:
        """Return encoded frames from the one that holds the event after `after` on; any thread may."""

    def cut_after(self, seq: int) -> None:
        """Remove the events of commands above a sequence."""

    def begin_after(self, event: tuple[int, int], seq: int) -> None:
        """Have an empty store begin after an event and the sequence it stands at."""

    def rebuild_at_next_opening(self, why: str) -> None:
        """Have the next opening discard the store; any thread may."""

    def close(self) -> None:
        """Let go of the store."""


class Applied(Protocol):
    """What one call of `Machine.apply` did."""

    @property
    def next(self) -> int:
        """Index of the first row that was not applied."""

    @property
    def events(self) -> batch.Events:
        """The events, valid until the next call."""


class Machine(Protocol):
    """The deterministic state machine, as far as the engine uses it."""

    @property
    def seq(self) -> int:
        """Sequence of the last command."""

    @property
    def time_ns(self) -> int:
        """Time of the last command."""

    @property
    def last_event(self) -> tuple[int, int]:
        """(cause_seq, index) of the last event."""

    def apply(self, commands: batch.Commands, start: int = 0) -> Applied:
        """Apply stamped commands from row `start` on."""

    def pending_work(self) -> bool:
        """Whether CONTINUE commands are wanted."""

    def next_timer_ns(self) -> int:
        """Return when a CLOCK command is wanted if no other comes, 0: never."""

    def session(self, session_id: int) -> tuple[int, int]:
        """Return (epoch, last client sequence) of a session."""

    def session_id_of(self, name: str) -> int | None:
        """Return the session's id, None when there is none."""

    def check(self) -> None:
        """Raise InvariantError if money is not conserved."""

    def check_all(self) -> None:
        """Recount all, and raise InvariantError if money is not conserved."""

    def sessions_to_guard(self) -> set[int]:
        """Return the sessions whose loss would cancel something."""

    def image(self) -> batch.Events:
        """Return the whole state as event rows."""


class Sections(Protocol):
    """A copy of a machine's state, in buffers that are used again."""

    seq: int
    time_ns: int
    last_event: tuple[int, int]

    def reserve(self, machine: Any) -> None:
        """Make room ahead of the copy; slow."""

    def begin(self, machine: Any) -> None:
        """Begin to copy the state as it stands; quick."""

    def advance(self) -> bool:
        """Copy a little more of the state as it stood at `begin`, between batches; return whether all is copied."""

    def canonical(self) -> list[tuple[str, memoryview]]:
        """Return the sections by name: equal states give equal bytes."""

    def hash(self) -> bytes:
        """Return the state hash."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything the engine touches but threads and ZeroMQ."""

    clock: Clock
    new_machine: Callable[[], Machine]
    new_sections: Callable[[], Sections]
    machine_of: Callable[[Any], Machine]
    """A machine from a snapshot's sections; raises SnapshotError."""
    open_writer: Callable[[Path, bytes], Writer]
    read_journal: Callable[[Path, int], Iterable[tuple[int, batch.Commands]]]
    """(first_seq, commands) of every batch that holds a command from the given sequence on."""
    open_events: Callable[[Path, int], EventStore]
    """The event store in a folder, to be kept below so many bytes."""
    load_snapshot: Callable[[Path, bytes, int], tuple[Machine, list[str]]]
    """The newest good snapshot at or below a sequence as a machine (empty if there is none), and why others were not
    used."""
    write_snapshot: Callable[[Path, Sections, bytes, int], None]
    """Write sections of a venue durably, keep so many snapshots."""
    free_bytes: Callable[[Path], int]
    trades_of: Callable[[Any], int]
    """How many trades a machine has made, ever."""


def free_bytes(path: Path) -> int:
    """Return how many bytes the disk that holds `path` can still take."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize
