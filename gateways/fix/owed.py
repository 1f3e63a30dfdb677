"""The reports that a session is owed, in order, and the latest it was sent, as far as memory is kept for them.

Invariants: what is kept is bounded in number, and of what was sent in bytes too; whatever there is no room for is read
from the events again; nothing is skipped.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Final

from gateways.fix.index import Place
from gateways.fix.parcels import EMPTY

if TYPE_CHECKING:
    from gateways.fix.parcels import Parcel

RECENT_BYTES: Final = 2 << 20
"""Bytes of reports that are kept to be sent again."""
NOWHERE: Final = Place(0, 0, 0)


class Owed:
    """The reports of one session; `unsent_max` may wait, `recent_max` are kept to be sent again."""

    def __init__(self, unsent_max: int, recent_max: int) -> None:
        self.is_behind = False
        """Whether there are further reports beyond those that wait, to be read from the events."""
        self.is_reading = False
        """Whether those are being read now."""
        self._unsent_max = unsent_max
        self._recent_max = recent_max
        self._unsent: deque[Parcel] = deque()
        self._count = 0
        self._later: deque[Parcel] | None = None
        self._later_count = 0
        self._is_void = False
        """Whether what is being read was given up meanwhile."""
        self._recent: list[Parcel] = []
        self._recent_count = self._recent_bytes = 0
        self._dropped_to = NOWHERE
        """The last report that was given up while nobody was connected."""

    def __len__(self) -> int:
        return self._count

    def take(self, parcel: Parcel, *, is_bound: bool) -> None:
        """Take the next reports; while nobody is connected the latest are kept, else the first."""
        self._remember(parcel)
        if self.is_behind:
            if self._later is not None:
                self._later.append(parcel)
                self._later_count += parcel.count
                if self._later_count > self._unsent_max:  # the reading again goes on from where it ends
                    self._later = None
            return
        if is_bound and self._count + parcel.count > self._unsent_max:
            self.is_behind = True
            parcel = parcel.part(0, self._unsent_max - self._count)
            if not parcel.count:
                return
        self._unsent.append(parcel)
        self._count += parcel.count
        while self._count > self._unsent_max and not is_bound:
            first = self._unsent.popleft()
            self._count -= first.count
            self._dropped_to = first.place(first.count - 1)

    def begin(self, after: Place) -> None:
        """Begin with a connection that has all reports up to a place."""
        if self._dropped_to > after:
            self._unsent.clear()
            self._count = 0
            self.is_behind = True
        self._dropped_to = NOWHERE
        while self._unsent and (passed := self._unsent[0].count_to(after)):
            self.next(passed)

    def forget(self) -> None:
        """Give up what is kept: it is to be made again."""
        self.is_behind = self.is_behind or self._count > 0
        self._is_void = self.is_reading
        self._unsent.clear()
        self._recent.clear()
        self._count = self._recent_count = self._recent_bytes = 0

    def next(self, count: int) -> Parcel:
        """Return the next reports, at most so many; they wait no longer."""
        if not self._unsent:
            return EMPTY
        first = self._unsent[0]
        if first.count <= count:
            self._unsent.popleft()
        else:
            self._unsent[0] = first.part(count, first.count)
            first = first.part(0, count)
        self._count -= first.count
        return first

    # Reading again ----------------------------------------------------------------------------------------------------

    def begin_reading(self) -> None:
        """Note that further reports, up to what `take` was given, are now read from the events."""
        self._later, self._later_count = deque(), 0
        self.is_reading = True

    def end_reading(self, parcel: Parcel, *, is_end: bool) -> None:
        """Take what was read; with `is_end` it is all there was when the reading began."""
        parcel, is_end = (EMPTY, False) if self._is_void else (parcel, is_end)
        self._is_void = False
        found = [parcel] if parcel.count else []
        if is_end and self._later is not None:
            found += self._later
            self.is_behind = False
        self._unsent.extend(found)
        self._count += sum(one.count for one in found)
        self._later = None
        self.is_reading = False

    def recent(self, place: Place) -> tuple[str, bytes] | None:
        """Return MsgType and body of a report that was made before, if it is still in memory."""
        at = bisect_right(self._recent, place, key=lambda parcel: parcel.place(0)) - 1
        if at < 0:
            return None
        parcel = self._recent[at]
        row = parcel.count_to(place) - 1
        return (parcel.msg_type(row), parcel.body(row)) if parcel.place(row) == place else None

    def _remember(self, parcel: Parcel) -> None:
        if parcel.count > self._recent_max:
            parcel = parcel.part(parcel.count - self._recent_max, parcel.count).alone()
        self._recent.append(parcel)
        self._recent_count += parcel.count
        self._recent_bytes += len(parcel.data)
        gone = 0
        while gone < len(self._recent) - 1 and (
            self._recent_count > self._recent_max or self._recent_bytes > RECENT_BYTES
        ):
            first = self._recent[gone]
            self._recent_count -= first.count
            self._recent_bytes -= len(first.data)
            gone += 1
        if gone:
            del self._recent[:gone]
