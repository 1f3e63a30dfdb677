"""The books from the journal alone: the events that they lack, and the core's state to compare them with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateways.settlement.books import Books
from gateways.stream import Stream
from journal.reader import Reader
from kk99 import batch
from kk99.paths import DataDir
from replay import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gateways.settlement.database import Database


def derive(database: Database, data: Path, transaction_events: int, tell: Callable[[int], None]) -> Books:
    """Write the events that the books lack, made again from the journal; return the books as they then stand.

    `tell` hears the sequence after each transaction. The database is migrated and locked.
    """
    with Reader(DataDir(data.absolute()).journal) as reader:
        books = Books(database, run.venue_of(reader))
        frames: list[batch.Events] = []
        count = 0
        for events in _events_after(books.cursor.event, data, reader):
            frames.append(events)
            count += len(events.rows)
            if count >= transaction_events:
                books.take(frames)
                frames, count = [], 0
                tell(books.cursor.cause_seq)
        books.take(frames)
    return books


def _events_after(event: tuple[int, int], data: Path, reader: Reader) -> Iterator[batch.Events]:
    """Yield the events after one."""
    machine = run.nearest(DataDir(data.absolute()), reader, event[0])
    stream = Stream(event)
    previous = machine.last_event
    for step in run.drive(machine, run.ahead(run.pieces(reader.batches(machine.seq + 1)))):
        made = batch.Events(step.events.rows.copy(), bytes(step.events.tail), previous, machine.seq)
        previous = machine.last_event
        new = stream.take(made)
        if new is not None:
            yield new


def core_state(data: Path) -> tuple[tuple[int, int], list[batch.Events]]:
    """Return the last event, and the image of the core's state, that the journal comes to."""
    paths = DataDir(data.absolute())
    with Reader(paths.journal) as reader:
        machine = run.nearest(paths, reader, reader.head().seq)
        for _ in run.drive(machine, run.pieces(reader.batches(machine.seq + 1))):
            pass
    return machine.last_event, [machine.image()]
