"""A gap in the inbound numbers, and the messages that wait beyond it.

Invariants: at most so many messages and bytes wait; what does not fit is dropped, and is a gap of its own once this
one is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateways.fix.codec import Inbound


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message beyond a gap; one that was answered already only takes its number when its turn comes."""

    message: Inbound
    answered: bool


class Gap:
    """What is missing, from the next number expected up to `end`; 0: nothing."""

    def __init__(self, messages_max: int, bytes_max: int) -> None:
        self.end = 0
        self.since_ns = 0
        """When it opened, or a message last helped to fill it."""
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._waiting: dict[int, Waiting] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def open(self, end: int, now_ns: int) -> None:
        """Note that all up to a number is missing."""
        self.end, self.since_ns = end, now_ns

    def add(self, message: Inbound, *, answered: bool) -> None:
        """Let a message wait, if there is room and its number does not wait already."""
        size = len(message.raw)
        if len(self._waiting) < self._messages_max and self._bytes + size <= self._bytes_max:
            kept = self._waiting.setdefault(message.seq, Waiting(message, answered))
            self._bytes += size if kept.message is message else 0

    def pop(self, seq: int) -> Waiting | None:
        """Return the message that waits with a number, if one does; it waits no longer."""
        waiting = self._waiting.pop(seq, None)
        if waiting is not None:
            self._bytes -= len(waiting.message.raw)
        return waiting

    def close(self, next_in: int) -> int:
        """Note that numbers below are taken; return the end of the gap that shows beyond this one, 0 when none does."""
        for seq in [seq for seq in self._waiting if seq < next_in]:
            self.pop(seq)
        if self.end >= next_in:
            return 0
        self.end = 0
        return min(self._waiting) - 1 if self._waiting else 0

    def clear(self) -> None:
        """Forget it, and all that waits."""
        self.end = self._bytes = 0
        self._waiting.clear()
