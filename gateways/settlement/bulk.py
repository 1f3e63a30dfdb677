"""Writes rows in bulk, within the caller's transaction: `executemany` of tuples on SQLite, binary COPY on PostgreSQL.

On PostgreSQL rows that may be there already are copied into a temporary table of the transaction first, and joined
with the table by one statement.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateways.settlement import rows as rows_of
from gateways.settlement.candles import SUM_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateways.settlement.reference import Record
    from gateways.settlement.rows import Rows, Write

_COPY_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_COPY_END: Final = struct.pack(">h", -1)
_BIG_ENDIAN: Final[dict[Any, str]] = {sa.BigInteger: ">i8", sa.Integer: ">i4", sa.SmallInteger: ">i2"}
_DIALECTS: Final[dict[str, Any]] = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}


def write(connection: sa.Connection, item: Write) -> None:
    """Write rows as their `how` says."""
    table, dialect = item.table, connection.dialect.name
    names = table.columns.keys()
    if item.how == "update":  # in the order of the statement's parameters, which is the table's
        names = [name for name in names if name in item.columns] + [key.name for key in table.primary_key]
    if dialect == "sqlite":
        connection.exec_driver_sql(_statement(table, item.how, item.columns, dialect), item.rows[names].tolist())
    elif item.how == "insert":
        _copy(connection, table, table.name, item.rows, names)
    else:
        pending = _pending(table)
        like = f"SELECT * FROM {table.name} LIMIT 0"  # noqa: S608 - our own names
        connection.exec_driver_sql(f"CREATE TEMP TABLE IF NOT EXISTS {pending} ON COMMIT DELETE ROWS AS {like}")
        _copy(connection, table, pending, item.rows, names)
        connection.exec_driver_sql(_statement(table, item.how, item.columns, dialect))
        connection.exec_driver_sql(f"TRUNCATE {pending}")  # it may be needed again before the commit


def put(connection: sa.Connection, table: sa.Table, records: Sequence[Record]) -> None:
    """Put whole rows, some with texts, in the place of those with their keys."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    taken = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=taken), list(records)
    )


@functools.cache
def _statement(table: sa.Table, how: str, columns: tuple[str, ...], dialect: str) -> str:
    """Return the statement that takes SQLite's parameters, or the rows of PostgreSQL's pending table."""
    made: Any
    keys = list(table.primary_key)
    is_sqlite = dialect == "sqlite"
    pending = sa.table(_pending(table), *(sa.column(column.name) for column in table.columns))
    if how == "update":
        made = sa.update(table)
        for column in (*(table.c[name] for name in columns), *keys):
            value = sa.bindparam(f"new_{column.name}") if is_sqlite else pending.c[column.name]
            made = made.where(column == value) if column.primary_key else made.values({column: value})
    else:
        insert = sqlite.insert if is_sqlite else postgresql.insert
        made = insert(table)
        if not is_sqlite:
            made = made.from_select([column.name for column in table.columns], sa.select(pending))
        new = made.excluded
        if how == "replace":
            taken = {column.name: new[column.name] for column in table.columns if not column.primary_key}
            made = made.on_conflict_do_update(index_elements=keys, set_=taken)
        elif how == "merge":
            made = made.on_conflict_do_update(index_elements=keys, set_=_merged(table, new))
    return str(made.compile(dialect=_DIALECTS[dialect]()))


def _pending(table: sa.Table) -> str:
    return f"pending_{table.name}"


def _merged(table: sa.Table, new: Any) -> dict[str, Any]:
    """Return what a row that is there takes of a new one, by the table's rule."""
    old = table.c
    most: sa.ColumnElement[int] = sa.literal_column(str(SUM_MAX))
    sums = {
        name: sa.case((old[name] > most - new[name], most), else_=old[name] + new[name])
        for name in ("volume_lots", "notional_units")
    }
    return {
        "high_ticks": sa.case((new.high_ticks > old.high_ticks, new.high_ticks), else_=old.high_ticks),
        "low_ticks": sa.case((new.low_ticks < old.low_ticks, new.low_ticks), else_=old.low_ticks),
        "close_ticks": new.close_ticks,
        "trade_count": old.trade_count + new.trade_count,
        **sums,
    }


def _copy(connection: sa.Connection, table: sa.Table, into: str, rows: Rows, names: list[str]) -> None:
    """Copy the named columns of rows in PostgreSQL's binary format."""
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {into} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.write(_COPY_HEAD + packed(table, rows, names) + _COPY_END)


def packed(table: sa.Table, rows: Rows, names: Sequence[str]) -> bytes:
    """Return rows in COPY's binary format: the number of fields, then each with its length before it."""
    wire = _wire(table, tuple(names))
    out = np.empty(len(rows), wire)
    out["count"] = len(names)
    for name in names:
        field = out[name]
        field["size"] = field.dtype["value"].itemsize
        field["value"] = rows[name]
    return out.tobytes()


@functools.cache
def _wire(table: sa.Table, names: tuple[str, ...]) -> np.dtype[np.void]:
    fields: list[Any] = [("count", ">i2")]
    for name in names:
        value = _BIG_ENDIAN[type(table.c[name].type)]
        fields.append((name, np.dtype([("size", ">i4"), ("value", value)])))
    return np.dtype(fields)


def load(connection: sa.Connection, query: sa.Select[Any], table: sa.Table) -> Rows:
    """Return the whole rows of an integer table that a query selects."""
    return np.array([tuple(row) for row in connection.execute(query)], rows_of.dtype_of(table))
