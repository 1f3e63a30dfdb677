"""Reports of one session as bytes: bodies one after another, and a row for each that says which it is and where.

Invariant: places rise from row to row; what is kept never refers to bytes of other sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gateways.fix import report_write as rw
from gateways.fix.codec import body_bytes
from gateways.fix.compiled import PAD, entry, plain_int
from gateways.fix.index import Place
from gateways.fix.write import put_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from gateways.fix.answers import Report
    from gateways.fix.venue_table import Dialect

_PLACE = slice(rw.R_SEQ, rw.R_PART + 1)


@dataclass(frozen=True, slots=True)
class Parcel:
    """Reports of one session, in the order of their events."""

    rows: npt.NDArray[np.int64]
    """int64[n, R_WORDS]."""
    data: npt.NDArray[np.uint8]
    """Their bodies, and PAD bytes."""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.rows)

    def place(self, at: int) -> Place:
        """Return the place of one of them."""
        return Place(*self.rows[at, _PLACE].tolist())

    def body(self, at: int) -> bytes:
        """Return the body of one of them."""
        offset, length = self.rows[at, rw.R_OFFSET : rw.R_LENGTH + 1].tolist()
        return self.data[offset : offset + length].tobytes()

    def msg_type(self, at: int) -> str:
        """Return MsgType of one of them."""
        number = int(self.rows[at, rw.R_TYPE])
        return number.to_bytes(2, "little").rstrip(b"\0").decode("ascii")

    def count_to(self, place: Place) -> int:
        """Return how many are up to a place."""
        if not self.count or self.place(0) > place:
            return 0
        low, high = 1, self.count
        while low < high:
            middle = (low + high) // 2
            if self.place(middle) <= place:
                low = middle + 1
            else:
                high = middle
        return low

    def part(self, begin: int, end: int) -> Parcel:
        """Return some of them, which share the bytes."""
        return Parcel(self.rows[begin:end], self.data)

    def alone(self) -> Parcel:
        """Return them with bytes of their own."""
        if not self.count:
            return EMPTY
        rows = self.rows.copy()
        begin = int(rows[0, rw.R_OFFSET])
        end = int(rows[-1, rw.R_OFFSET] + rows[-1, rw.R_LENGTH])
        rows[:, rw.R_OFFSET] -= begin
        return Parcel(rows, self.data[begin : end + PAD].copy())


EMPTY = Parcel(np.zeros((0, rw.R_WORDS), np.int64), np.zeros(PAD, np.uint8))


def parcel_of(reports: Iterable[Report], dialect: Dialect) -> Parcel:
    """Return reports of one session in its dialect."""
    rows, bodies, at = [], [], 0
    for report in reports:
        body = body_bytes(report.body(newer=bool(dialect.newer), places=dialect.places))
        kind = int.from_bytes(report.msg_type.encode(), "little")
        rows.append((0, *report.identity, at, len(body), kind, 0))
        bodies.append(body)
        at += len(body)
    if not rows:
        return EMPTY
    data = np.frombuffer(b"".join(bodies) + bytes(PAD), np.uint8).copy()
    return Parcel(np.array(rows, np.int64), data)


@entry
def _gather(rows: Any, data: Any, order: Any, sorted_rows: Any, sorted_data: Any) -> None:
    """Write rows and bodies in another order."""
    at = plain_int(0)
    for step in range(order.shape[0]):
        row = rows[order[step]]
        for word in range(rw.R_WORDS):
            sorted_rows[step, word] = row[word]
        sorted_rows[step, rw.R_OFFSET] = at
        at = put_bytes(sorted_data, at, data, row[rw.R_OFFSET], row[rw.R_LENGTH])


def by_line(rows: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> list[tuple[int, Parcel]]:
    """Return what was made for each line, in its order; `data` has PAD bytes at its end. Both are copied."""
    if not len(rows):
        return []
    lines = rows[:, rw.R_LINE]
    first = int(lines[0])
    if (lines == first).all():
        return [(first, Parcel(rows, data).alone())]
    order = np.argsort(lines, kind="stable")
    sorted_rows, sorted_data = np.empty_like(rows), np.empty(len(data) + PAD, np.uint8)
    _gather(rows, data, order, sorted_rows, sorted_data)
    cuts = np.flatnonzero(np.diff(sorted_rows[:, rw.R_LINE])) + 1
    whole = Parcel(sorted_rows, sorted_data)
    return [
        (int(sorted_rows[begin, rw.R_LINE]), whole.part(begin, end).alone())
        for begin, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(rows)], strict=True)
    ]


def joined(parcels: Iterable[Parcel]) -> Parcel:
    """Return parcels of one session as one."""
    rows, data, at = [], [], 0
    for parcel in parcels:
        size = len(parcel.data) - PAD
        shifted = parcel.rows.copy()
        shifted[:, rw.R_OFFSET] += at
        rows.append(shifted)
        data.append(parcel.data[:size])
        at += size
    if not rows:
        return EMPTY
    return Parcel(np.concatenate(rows), np.concatenate([*data, np.zeros(PAD, np.uint8)]))


def warm_up() -> None:
    """Have it compiled, the first time for some seconds."""
    _gather(EMPTY.rows, EMPTY.data, np.zeros(0, np.int64), EMPTY.rows, EMPTY.data)
