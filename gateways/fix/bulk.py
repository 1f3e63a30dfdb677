"""Reports of whole frames of events, by compiled code where it can, event by event in Python where it can't.

The two share the live orders, so each event is followed by one of them; what either makes is the same to the byte.

Invariant: reports come out in the order of their events, each as bytes in the dialect of its session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from gateways.fix import follow as follow_
from gateways.fix import live_table as lt
from gateways.fix import parcels
from gateways.fix import report_write as rw
from gateways.fix import text_table as tt
from gateways.fix.codec import body_bytes
from gateways.fix.compiled import PAD
from gateways.fix.lives import Columns, Event
from gateways.fix.reports import Reports
from gateways.fix.venue_table import Dialect, VenueTables
from kk99 import schema
from kk99.batch import Commands
from kk99.schema import Flag

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    import numpy.typing as npt

    from gateways.fix.answers import Report
    from gateways.fix.listing import Listing
    from gateways.fix.parcels import Parcel
    from kk99.batch import Events, Rows

    Words = npt.NDArray[np.int64]

ROWS: Final = 2_048
"""Reports that are written at a time."""
DATA_BYTES: Final = 1 << 20
_NO_COLD: Final = np.zeros((0, schema.ROW_WORDS), np.int64)


class PendingTexts:
    """The texts of commands: of those submitted here, and of others that were asked for, `commands`, for a frame."""

    def __init__(self, commands: Callable[[list[int]], Commands]) -> None:
        self.tables = tt.new_texts()
        self._commands = commands
        self._at: Words = np.zeros(lt.ST_WORDS, np.int64)
        self._found = np.zeros(1, np.int64)

    def submitted(self, session_id: int, epoch: int, first_seq: int, commands: Commands) -> None:
        """Remember commands that are about to be submitted."""
        self.tables = tt.with_room(self.tables, len(commands.rows))
        flags = (commands.rows["flags"] & int(Flag.HAS_COLD)).astype(np.uint8)
        tt.add(self.tables, session_id, epoch, first_seq, flags, tt.words_of(commands.cold))

    def prepare(self, events: Words, bulk: BulkReports) -> None:
        """Ask for what the events need and is not here; raises `ClientError` when it can't be had."""
        if int(self.tables.ps[tt.PS_ASKED]):
            tt.forget_asked(self.tables)
        if len(self._found) < len(events):
            self._found = np.zeros(2 * len(events), np.int64)
        many = tt.missing(events, len(events), bulk.tables.venue, self.tables, self._found)
        if not many:
            return
        seqs = np.unique(self._found[:many]).tolist()
        commands = self._commands(seqs)
        self.tables = tt.with_room(self.tables, len(seqs))
        cold, cold_at = tt.words_of(commands.cold), 0
        has_cold = (commands.rows["flags"] & int(Flag.HAS_COLD)) != 0
        by_seq = dict(zip(commands.rows["seq"].tolist(), has_cold.tolist(), strict=True))
        for seq in seqs:
            is_there = by_seq.get(seq, False)
            tt.ask(self.tables, seq, int(is_there), cold[cold_at : cold_at + 1] if is_there else _NO_COLD)
            cold_at += is_there

    def stand_at(self, st: Words) -> None:
        """Take note of the state that says where the texts of the event at hand are."""
        self._at = st

    def of(self, cause_seq: int) -> Rows | None:
        """Return the cold row, COLD (1,), of the command that has a sequence; None: it has none."""
        row = int(tt.look(self.tables, cause_seq))
        if not row and cause_seq == int(self._at[lt.ST_CAUSE]):
            row = int(self._at[lt.ST_TEXT_AT])
        return tt.cold_of(self.tables, row) if row else None


class BulkReports:
    """Follows all orders of the venue; reports those of the sessions wanted."""

    def __init__(
        self, listing: Listing, sessions: Container[str], commands: Callable[[list[int]], Commands], *,
        is_compiled: bool = True, trade_window: int = schema.TRADE_WINDOW,
    ) -> None:  # fmt: skip
        """`is_compiled` False: all is followed in Python, as the reference for tests."""
        self.listing = listing
        self.texts = PendingTexts(commands)
        self.tables = VenueTables(listing, sessions)
        self._reports = Reports(listing, self.texts, sessions, trade_window=trade_window)
        self.lives = self._reports.lives
        self._out = rw.new_out(ROWS, DATA_BYTES)
        self._why = np.zeros(1, np.int64)
        self._is_compiled = is_compiled
        self._numbers: dict[str, int] = {}
        self._listed: Events | None = None
        """The last events whose definitions were taken."""
        self._full: list[tuple[Words, npt.NDArray[np.uint8]]] = []
        self.python_events = 0
        """Events that were followed in Python."""

    def warm_up(self) -> None:
        """Have compiled what is not yet, the first time for some seconds."""
        none = np.zeros((0, schema.ROW_WORDS), np.int64)
        self._compiled(none, 0)
        self.texts.submitted(0, 0, 1, Commands(np.zeros(0, schema.COMMAND), np.zeros(0, schema.COLD)))
        self.texts.prepare(none, self)
        self.texts.of(0)
        self.lives.find(0, 1, 1)

    def follow(self, events: Events) -> list[tuple[int, Parcel]]:
        """Take events, definitions among them, or an image; return what each session is told, by its number.

        Raises `ClientError`, and has followed none of them, when texts that they need can't be had.
        """
        if len(events.tail) and self._listed is not events:
            self.listing.follow(events)
            self._listed = events
            self.tables.refresh()
            self._numbers = {name: number for number, name in self.listing.sessions.items()}
        words = np.ascontiguousarray(events.rows).view(np.int64).reshape(len(events.rows), schema.ROW_WORDS).copy()
        self.texts.prepare(words, self)
        self._begin()
        at, count = 0, len(words)
        while at < count:
            at = self._compiled(words, at) if self._is_compiled else self._locate(words, at)
            if at < count and self._why[0] == follow_.TO_PYTHON:
                self._python(events, at)
                at += 1
            elif at < count:
                self._make_room()
        self._empty()
        parts, self._full = self._full, []
        return [part for rows, data in parts for part in parcels.by_line(rows, data)]

    def _compiled(self, words: Words, at: int) -> int:
        book, tables = self.lives.book, self.tables.venue
        return int(follow_.follow(words, at, len(words), book, tables, self.texts.tables, self._out, self._why))

    def _locate(self, words: Words, at: int) -> int:
        """Find the texts of the next event for Python."""
        self._why[0] = follow_.TO_PYTHON
        follow_.locate_texts(words, at, self.lives.book, self.tables.venue, self.texts.tables)
        return at

    def _python(self, events: Events, at: int) -> None:
        """Follow one event in Python, and write down what it made."""
        reports = self._reports
        if int(events.rows["kind"][at]) not in reports.kinds:
            return
        self.python_events += 1
        reports.teller.made = []
        self.texts.stand_at(self.lives.book.st)
        reports.take(Event(Columns(events.rows[at : at + 1]), 0))
        for report in reports.teller.made:
            self._write(report)

    def _write(self, report: Report) -> None:
        dialect: Dialect = self.tables.dialect(report.session)
        body = body_bytes(report.body(newer=bool(dialect.newer), places=dialect.places))
        st, out = self.lives.book.st, self._out
        if st[lt.ST_ROWS] == len(out.rows) or st[lt.ST_BYTES] + len(body) + PAD > len(out.data):
            self._empty()
        at, begin = int(st[lt.ST_ROWS]), int(st[lt.ST_BYTES])
        kind = int.from_bytes(report.msg_type.encode(), "little")
        out.rows[at] = self._numbers[report.session], *report.identity, begin, len(body), kind, 0
        out.data[begin : begin + len(body)] = np.frombuffer(body, np.uint8)
        st[lt.ST_ROWS], st[lt.ST_BYTES] = at + 1, begin + len(body)

    def _begin(self) -> None:
        st = self.lives.book.st
        st[lt.ST_ROWS] = st[lt.ST_BYTES] = 0

    def _empty(self) -> None:
        """Take out what was written so far."""
        st, out = self.lives.book.st, self._out
        rows, size = int(st[lt.ST_ROWS]), int(st[lt.ST_BYTES])
        if rows:
            self._full.append((out.rows[:rows].copy(), out.data[: size + PAD].copy()))
        self._begin()

    def _make_room(self) -> None:
        if not lt.has_room(self.lives.book):
            self.lives.book = lt.with_room(self.lives.book)
        else:
            self._empty()
