"""Rows of tables as numpy arrays: a field of int64 for each column, in the table's order.

Such an array is what deriving makes and what is written in bulk: as tuples to SQLite, as binary COPY to PostgreSQL.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import sqlalchemy as sa

Rows = npt.NDArray[np.void]
Words = npt.NDArray[np.int64]


@functools.cache
def dtype_of(table: sa.Table) -> np.dtype[np.void]:
    """Return the dtype of a table's rows: int64 for each column."""
    return np.dtype([(column.name, np.int64) for column in table.columns])


def empty(table: sa.Table, count: int = 0) -> Rows:
    """Return so many rows, all zero."""
    return np.zeros(count, dtype_of(table))


def made(table: sa.Table, count: int, **columns: Any) -> Rows:
    """Return rows with the columns given; those not given are zero."""
    rows = np.zeros(count, dtype_of(table))
    for name, values in columns.items():
        rows[name] = values
    return rows


@dataclass(frozen=True, slots=True)
class Write:
    """Rows of a table to be written.

    `how` is "insert" (none of them is there), "replace" (those that are there take all values), "update" (all of them
    are there and take the values of `columns`) or "merge" (the table's own rule joins them with those that are there).
    No primary key comes twice.
    """

    table: sa.Table
    rows: Rows
    how: str = "insert"
    columns: tuple[str, ...] = ()


def last_of_each(keys: Words) -> npt.NDArray[np.intp]:
    """Return the place of the last of each key, rising."""
    _, back = np.unique(keys[::-1], return_index=True)
    places: npt.NDArray[np.intp] = np.sort(len(keys) - 1 - back)
    return places


def group_starts(*keys: Words) -> npt.NDArray[np.intp]:
    """Return where each run of equal keys begins."""
    if not len(keys[0]):
        return np.zeros(0, np.intp)
    is_start = np.ones(len(keys[0]), np.bool_)
    is_start[1:] = functools.reduce(np.logical_or, [key[1:] != key[:-1] for key in keys])
    return np.flatnonzero(is_start)
