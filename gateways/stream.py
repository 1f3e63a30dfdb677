"""The client's view of the event stream: every event once and in order, out of live frames and stored ones. No sockets.

Each frame names the event before its first. What was seen already is dropped or trimmed, what does not follow is a gap.
"""

from __future__ import annotations

from kk99 import batch

Identity = tuple[int, int]
"""An event's (cause_seq, index)."""


class Stream:
    """`last` is the last event seen."""

    def __init__(self, after: Identity) -> None:
        self.last = after
        self.gaps = 0
        """How often frames were missing."""

    def take(self, events: batch.Events) -> batch.Events | None:
        """Return what is new of a frame, None when nothing is; raises `Gap` when something is missing before it."""
        if not len(events.rows):
            return None
        if events.previous == self.last:
            self.last = _identity(events, -1)
            return events
        if _identity(events, -1) <= self.last:
            return None
        if events.previous > self.last:
            self.gaps += 1
            raise Gap(self.last, events.previous)
        known = _known(events, self.last)
        trimmed = batch.Events(events.rows[known:], events.tail, self.last, events.last_seq)
        self.last = _identity(events, -1)
        return trimmed


class Gap(Exception):  # noqa: N818 - it is no error: the stored events fill it
    """Events between two are missing."""

    def __init__(self, last: Identity, previous: Identity) -> None:
        super().__init__(f"events between {last} and {previous} are missing")


def _identity(events: batch.Events, at: int) -> Identity:
    row = events.rows[at]
    return int(row["cause_seq"]), int(row["index"])


def _known(events: batch.Events, last: Identity) -> int:
    """Return how many rows of the frame are at or before `last`."""
    seqs, indexes = events.rows["cause_seq"], events.rows["index"]
    return int(((seqs < last[0]) | ((seqs == last[0]) & (indexes <= last[1]))).sum())
