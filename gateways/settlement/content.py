"""The hash of all that the books hold: equal for equal events, in either database, however they were derived.

For each table in its order of declaration: its name, its columns' names, and its rows by primary key, each row as JSON
in the order of the columns. The hash is BLAKE3 of all of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import blake3
import sqlalchemy as sa

from gateways.settlement import tables

if TYPE_CHECKING:
    from collections.abc import Callable

_ROWS: Final = 10_000


def content_hash(
    connection: sa.Connection, tell: Callable[[str, int, str], None] = lambda _name, _count, _hash: None
) -> str:
    """Return the hash, hexadecimal, of what a transaction sees; `tell` hears each table's rows and its own hash."""
    whole = blake3.blake3()
    for table in tables.metadata.tables.values():
        found, count = _table_hash(connection, table)
        whole.update(found)
        tell(table.name, count, found.hex())
    return whole.hexdigest()


def _table_hash(connection: sa.Connection, table: sa.Table) -> tuple[bytes, int]:
    made = blake3.blake3(json.dumps([table.name, *table.columns.keys()]).encode())
    query = sa.select(table).order_by(*table.primary_key)
    count = 0
    streamed = connection.execution_options(stream_results=True, max_row_buffer=_ROWS).execute(query)
    for part in streamed.partitions(_ROWS):
        count += len(part)
        made.update("\n".join([json.dumps(tuple(row), separators=(",", ":")) for row in part]).encode() + b"\n")
    return made.digest(), count
