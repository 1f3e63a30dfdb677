"""What the tests of the books share: logs as event frames, books made of them, and what the core says itself."""

import functools
import itertools

import sqlalchemy as sa

from gateways.settlement import content, tables
from gateways.settlement.books import Books
from gateways.settlement.database import Database
from gateways.settlement.reconcile import reconcile
from kk99 import batch, build
from kk99.machine import Machine
from tests.core import settlement_mixes
from tests.naive.model import Naive
from tests.naive.rows import apply_to_naive
from tests.replay.measuring import mixed
from tests.replay.venue import cut

VENUE = bytes(range(16))


class Log:
    """A log applied: its events in frames of so many commands, and the core after all of them."""

    def __init__(self, commands, size=64):
        self.machine = Machine()
        self.frames = []
        for part in cut(commands, [size]):
            start = 0
            while start < len(part.rows):
                previous = self.machine.last_event
                applied = self.machine.apply(part, start)
                start = applied.next
                rows, tail = applied.events.rows.copy(), bytes(applied.events.tail)
                self.frames.append(batch.Events(rows, tail, previous, self.machine.seq))

    @property
    def event_count(self):
        """How many events there are."""
        return sum(len(frame.rows) for frame in self.frames)


@functools.cache
def mixed_log(seed, count=400, size=64):
    """A log of everything: orders of all types, auctions, operators, busts and corrections."""
    return Log(mixed(seed, count), size)


@functools.cache
def settling_log(seed, count=900, size=16):
    """A log of trades that settle later: obligations settled, failed and penalised, cycles that change."""
    naive, parts = Naive(), []
    for _, commands in settlement_mixes.run(naive, seed, count):
        apply_to_naive(naive, commands)
        parts.append(commands)
    return Log(build.batch_of(parts), size)


def sqlite(folder, *, is_writer=True):
    """Books in a file."""
    return Database(f"sqlite:///{folder}/books.db", is_writer=is_writer)


def emptied(database):
    """The database with this release's tables, and nothing in them."""
    database.drop()
    database.migrate()
    return database


def write(database, frames, *, at_once=3, venue=VENUE):
    """Have books take frames, so many in each transaction; the books."""
    books = Books(database, venue)
    frames = iter(frames)
    while part := list(itertools.islice(frames, at_once)):
        books.take(part)
    return books


def hash_of(database):
    """The hash of all that the books hold."""
    with database.reading() as connection:
        return content.content_hash(connection)


def rows_of(database, table, *, by=()):
    """All rows of a table as dictionaries."""
    with database.reading() as connection:
        query = sa.select(table).order_by(*(by or table.primary_key))
        return [dict(row) for row in connection.execute(query).mappings()]


def differences(database, machine):
    """In what the books differ from the core."""
    with database.reading() as connection:
        return reconcile(connection, machine.last_event, [machine.image()]).differences


def orders_of_core(machine):
    """What the core's image says of each live order, by the books' names."""
    rows = machine.image().rows
    images = rows[rows["kind"] == kind("ORDER_IMAGE")]
    same = (
        "account_id", "instrument_id", "side", "order_type", "time_in_force", "flags", "price_ticks", "qty_lots",
        "leaves_lots", "client_id_lo", "client_id_hi", "session_id", "notional_units",
    )  # fmt: skip
    return {
        int(row["order_id"]): {name: int(row[name]) for name in same} | {"entry_seq": int(row["origin_seq"])}
        for row in images
    }


def kind(name):
    """The number of an event kind."""
    from kk99.schema import EventKind

    return EventKind[name]


def open_orders(database):
    """The open orders of the books by number."""
    with database.reading() as connection:
        found = connection.execute(sa.select(tables.orders).where(tables.orders.c.state == 1)).mappings()
        return {row["order_id"]: dict(row) for row in found}
