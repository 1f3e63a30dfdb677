"""The books: takes events in, writes what they make and how far they go in one transaction, goes on where it stands.

Invariants:
- the cursor and all rows change in the same transaction, so after any crash the rows are those of the events up to the
  cursor, no more, no less;
- the cursor moves only from where this process last saw it: of two processes that write, one stops;
- after an error nothing that was held in memory is used again: it is read anew from the tables.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import sqlalchemy as sa

from gateways.settlement import bulk, tables
from gateways.settlement.amend import AMENDING, amend
from gateways.settlement.derive import Deriver
from gateways.settlement.reference import block_of
from gateways.settlement.terms import OrderState
from kk99.errors import ClientError, InputError, InvariantError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateways.settlement.database import Database
    from gateways.settlement.reference import Block
    from kk99.batch import Events

_BEGINNING: Final = (0, 0)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far books go."""

    venue_id: str
    cause_seq: int
    event_index: int
    time_ns: int
    trade_id: int
    event_count: int

    @property
    def event(self) -> tuple[int, int]:
        """The last event's (cause_seq, index); (0, 0) before the first."""
        return self.cause_seq, self.event_index


def cursor_of(connection: sa.Connection) -> Cursor | None:
    """Return how far the books go, None before the first event."""
    row = connection.execute(sa.select(tables.cursor)).one_or_none()
    return None if row is None else Cursor(*row[1:])


class Books:
    """The books of a venue in a database, which this process has locked and migrated."""

    def __init__(self, database: Database, venue_id: bytes) -> None:
        """Take up where they stand; raises `InputError` when they are another venue's."""
        self._database = database
        self._venue_id = venue_id.hex()
        self._deriver = Deriver()
        self.cursor = Cursor(self._venue_id, *_BEGINNING, 0, 0, 0)
        self.load()

    def load(self) -> None:
        """Read from the tables what must be known to go on."""
        deriver = Deriver()
        with self._database.writing() as connection:
            found = cursor_of(connection)
            if found is None:
                found = Cursor(self._venue_id, *_BEGINNING, 0, 0, 0)
            elif found.venue_id != self._venue_id:
                raise InputError(f"{self._database.name} has the books of venue {found.venue_id}, not {self._venue_id}")
            for table in (tables.assets, tables.instruments, tables.accounts, tables.calendars):
                rows = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
                deriver.reference.load(table, rows)
                for row in rows:
                    if table is tables.instruments:
                        deriver.obligations.cycles.set_instrument(row["instrument_id"], json.loads(row["document"]))
                    elif table is tables.calendars:
                        deriver.obligations.cycles.set_calendar(json.loads(row["document"]))
            owed = sa.select(tables.obligations).where(tables.IS_OPEN)
            deriver.obligations.load(bulk.load(connection, owed, tables.obligations))
            open_orders = sa.select(tables.orders).where(
                tables.orders.c.state == sa.literal_column(f"{OrderState.OPEN:d}")
            )
            deriver.orders.load(bulk.load(connection, open_orders, tables.orders))
            deriver.balances.load(bulk.load(connection, sa.select(tables.balances), tables.balances))
            lasting = sa.select(tables.halts).where(tables.halts.c.end_seq == 0)
            deriver.markets.load(dict(row) for row in connection.execute(lasting).mappings())
        deriver.last_trade_id = found.trade_id
        if found.event_count:
            deriver.last_time_ns = found.time_ns
        self._deriver, self.cursor = deriver, found

    def take(self, frames: Sequence[Events]) -> int:
        """Write the events of frames that follow the cursor; return how many there were.

        Raises `DatabaseError` when the database is away, having changed nothing: `load` and take them again.
        """
        if not frames:
            return 0
        if frames[0].previous != self.cursor.event:
            raise ClientError(f"events after {frames[0].previous} came where those after {self.cursor.event} follow")
        block = block_of(frames)
        with self._database.writing() as connection:
            self._write(connection, block)
            after = self._after(block)
            self._move(connection, after)
        self.cursor = after
        return len(block.rows)

    def _write(self, connection: sa.Connection, block: Block) -> None:
        """Write what a block makes: stretches between busts and corrections at once, each of those alone."""
        begin = 0
        for at in [*np.flatnonzero(np.isin(block.rows["kind"], AMENDING)).tolist(), len(block.rows)]:
            if at > begin:
                derived = self._deriver.follow(block, begin, at)
                for table, records in derived.records:
                    bulk.put(connection, table, records)
                for item in derived.writes:
                    bulk.write(connection, item)
            if at < len(block.rows):
                for item in amend(connection, self._deriver, block, at):
                    bulk.write(connection, item)
            begin = at + 1

    def _after(self, block: Block) -> Cursor:
        last = block.rows[-1]
        return Cursor(
            self._venue_id, int(last["cause_seq"]), int(last["index"]), int(last["time_ns"]),
            self._deriver.last_trade_id, self.cursor.event_count + len(block.rows),
        )  # fmt: skip

    def _move(self, connection: sa.Connection, after: Cursor) -> None:
        before, cursor = self.cursor, tables.cursor
        values = {
            "venue_id": after.venue_id, "cause_seq": after.cause_seq, "event_index": after.event_index,
            "time_ns": after.time_ns, "trade_id": after.trade_id, "event_count": after.event_count,
        }  # fmt: skip
        if before.event == _BEGINNING:
            connection.execute(sa.insert(cursor).values(id=1, **values))
            return
        is_there = (cursor.c.cause_seq == before.cause_seq) & (cursor.c.event_index == before.event_index)
        if connection.execute(sa.update(cursor).where(is_there).values(values)).rowcount != 1:
            raise InvariantError(f"the books stand no longer at {before.event}: another process writes them")
