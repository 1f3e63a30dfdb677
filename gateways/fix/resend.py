"""One ResendRequest being answered: reports made again from their events, gap fills for all else.

Invariants: a number gets again what it was first used for, or is filled in; runs of what is filled in are one gap;
however long the range, only a chunk of it is in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateways.fix.index import ADMIN, Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateways.fix.index import Sent
    from gateways.fix.line import Line
    from gateways.fix.parcels import Parcel

    Read = Callable[[Line, Place, Place, int, Callable[[Parcel], None]], None]

CHUNK: Final = 256
"""Numbers looked at in one step."""
READ_NUMBERS: Final = 4_096
"""Numbers whose reports are read from the events at a time."""


class Resending:
    """The numbers `first` to `last` of a line; `read` has reports read from the events, in a thread."""

    def __init__(self, line: Line, first: int, last: int, read: Read) -> None:
        self._line = line
        self._next = first
        self._last = last
        self._read = read
        self._gap_from = 0
        self._is_reading = False
        self._found: dict[Place, tuple[str, bytes] | None] = {}
        """What was read; None: it is not stored any more."""

    @property
    def is_done(self) -> bool:
        """Whether all is answered."""
        return self._next > self._last and not self._gap_from

    def step(self, now_ns: int) -> bytes:
        """Return the next messages; nothing while events are read."""
        if self._is_reading or self._line.index is None:
            return b""
        end = min(self._next + CHUNK, self._last + 1)
        chunk = [(number, self._line.index.find(number)) for number in range(self._next, end)]
        if self._has_to_read([sent for _, sent in chunk if sent is not None]):
            return b""
        made = bytearray()
        for number, sent in chunk:
            report = None if sent is None or sent.place == ADMIN else self._report(sent.place)
            if sent is None or report is None:
                self._gap_from = self._gap_from or number
                continue
            made += self._close_gap(number, now_ns)
            made += self._line.again(sent, *report, now_ns)
        self._next = end
        if end > self._last:
            made += self._close_gap(end, now_ns)
        return bytes(made)

    def _close_gap(self, number: int, now_ns: int) -> bytes:
        first, self._gap_from = self._gap_from, 0
        return self._line.gap_fill(first, number - 1, now_ns) if first else b""

    def _report(self, place: Place) -> tuple[str, bytes] | None:
        """Return MsgType and body of what was sent."""
        return self._line.owed.recent(place) or self._found.get(place)

    def _has_to_read(self, chunk: list[Sent]) -> bool:
        """Begin to read what is neither in memory nor was read before; whether there is such."""
        if all(self._is_known(sent.place) for sent in chunk):
            return False
        assert self._line.index is not None
        end = min(self._next + READ_NUMBERS, self._last + 1)
        found = [self._line.index.find(number) for number in range(self._next, end)]
        wanted = [sent.place for sent in found if sent is not None and not self._is_known(sent.place)]
        self._is_reading = True

        def take(found: Parcel) -> None:
            self._found = dict.fromkeys(wanted)
            for at in range(found.count):
                self._found[found.place(at)] = found.msg_type(at), found.body(at)
            self._is_reading = False

        first = min(wanted)
        self._read(self._line, Place(first.cause_seq, first.event_index, first.part - 1), max(wanted), 0, take)
        return True

    def _is_known(self, place: Place) -> bool:
        return place == ADMIN or place in self._found or self._line.owed.recent(place) is not None
