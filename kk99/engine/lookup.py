"""Finds single commands in the journal again, with what the core never sees of them: their cold rows.

Invariant: reads through the journal's own reader, in the thread that asks; neither the core nor the writer waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import numpy as np

from kk99 import batch, schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SEQS_MAX: Final = 1_024
"""Commands that one question may name."""

ReadJournal = Callable[[int], Iterable[tuple[int, batch.Commands]]]
"""(first_seq, commands) of every batch from the one that holds a sequence on."""


def commands_of(read_journal: ReadJournal, seqs: Sequence[int]) -> batch.Commands:
    """Return the commands with these sequences, in rising order; those that carry a document are left out.

    All must be durable. Raises `JournalError`.
    """
    rows: list[batch.Rows] = []
    cold: list[batch.Rows] = []
    for first_seq, commands, wanted in _batches_with(read_journal, sorted(set(seqs))):
        places = np.array(wanted, np.int64) - first_seq
        places = places[commands.rows["kind"][places] < schema.FIRST_DOCUMENT_KIND]
        has_cold = commands.rows["flags"] & schema.Flag.HAS_COLD != 0
        cold_places = np.cumsum(has_cold) - 1
        rows.append(commands.rows[places])
        cold.append(commands.cold[cold_places[places[has_cold[places]]]])
    return batch.commands(_joined(rows, schema.COMMAND), _joined(cold, schema.COLD))


def _batches_with(read_journal: ReadJournal, seqs: list[int]) -> Iterator[tuple[int, batch.Commands, list[int]]]:
    """Yield each batch that holds some of the sequences, with those."""
    at = 0
    while at < len(seqs):
        found = next(iter(read_journal(seqs[at])), None)
        if found is None:
            return
        first_seq, commands = found
        end_seq = first_seq + len(commands.rows)
        wanted = [seq for seq in seqs[at:] if seq < end_seq]
        yield first_seq, commands, wanted
        at += len(wanted)


def _joined(parts: list[batch.Rows], row: np.dtype[np.void]) -> batch.Rows:
    """Return rows one after another; not by np.concatenate, which would lay them out anew, without unions."""
    joined = np.zeros(sum(len(part) for part in parts), row)
    at = 0
    for part in parts:
        joined[at : at + len(part)] = part
        at += len(part)
    return joined
