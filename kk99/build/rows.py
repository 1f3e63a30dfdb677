"""Rows of commands from fields, rows and documents joined to batches, batches numbered; client order ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import blake3
import numpy as np
import numpy.typing as npt

from kk99 import schema
from kk99.batch import Commands, Rows
from kk99.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kk99.schema import CommandKind

Ints = int | npt.NDArray[np.integer[Any]]
"""One number for all rows, or one for each."""

NO_COLD: Final = np.zeros(0, schema.COLD)


def new_rows(n: int) -> Rows:
    """Return COMMAND (n,), all zero."""
    return np.zeros(n, schema.COMMAND)


def rows_of(kind: CommandKind, **fields: Ints) -> Rows:
    """Return COMMAND rows of a kind, as many as the arrays among the fields are long, or raise `InputError`."""
    values = {name: _fitting(schema.COMMAND, name, value) for name, value in fields.items()}
    lengths = {len(value) for value in values.values() if not isinstance(value, int)}
    if len(lengths) > 1:
        raise InputError(f"fields of rows have different lengths: {sorted(lengths)}")
    rows = new_rows(lengths.pop() if lengths else 1)
    rows["kind"] = kind
    given: dict[int, str] = {}
    for name, value in values.items():
        if isinstance(value, int) and value == 0:
            continue
        offset = _offset_of(name)
        if offset in given:
            raise InputError(f"a row has but one of {given[offset]} and {name}")
        given[offset] = name
        rows[name] = value
    return rows


def _offset_of(name: str) -> int:
    assert schema.COMMAND.fields is not None
    return int(schema.COMMAND.fields[name][1])


def plain(kind: CommandKind, **fields: Ints) -> Commands:
    """Return commands of rows alone."""
    return Commands(rows_of(kind, **fields), NO_COLD)


def cold_row(**fields: int | str) -> Rows:
    """Return COLD (1,) with these fields, client ids as text and the rest as numbers, or raise `InputError`."""
    row = np.zeros(1, schema.COLD)
    for name, value in fields.items():
        if isinstance(value, str) and name in {"client_id", "original_client_id"}:
            row[name] = _client_id_bytes(value)
        else:
            row[name] = _fitting(schema.COLD, name, value)
    return row


def batch_of(items: Iterable[Commands | Rows]) -> Commands:
    """Return one `Commands` with the rows of all items in order; documents are found in the joined tail."""
    parts = [item if isinstance(item, Commands) else Commands(item, NO_COLD) for item in items]
    # Not np.concatenate: it would lay out rows anew, without unions.
    rows = new_rows(sum(len(part.rows) for part in parts))
    cold = np.zeros(sum(len(part.cold) for part in parts), schema.COLD)
    row_at = cold_at = tail_at = 0
    for part in parts:
        mine = rows[row_at : row_at + len(part.rows)]
        mine[:] = part.rows
        mine["document_offset"][mine["kind"] >= schema.FIRST_DOCUMENT_KIND] += tail_at
        cold[cold_at : cold_at + len(part.cold)] = part.cold
        row_at += len(part.rows)
        cold_at += len(part.cold)
        tail_at += len(part.tail)
    return Commands(rows, cold, b"".join(part.tail for part in parts))


def stamp(commands: Commands, first_seq: int, time_ns: Ints) -> Commands:
    """Return a copy with sequences from `first_seq` on and one time for all rows, or each its own."""
    rows = commands.rows.copy()
    rows["seq"] = np.arange(first_seq, first_seq + len(rows))
    rows["time_ns"] = time_ns
    return Commands(rows, commands.cold, commands.tail)


def for_session(commands: Commands, session_id: int, session_epoch: int, first_client_seq: int) -> Commands:
    """Return a copy that a session sends in its epoch, with client sequences from `first_client_seq` on."""
    rows = commands.rows.copy()
    rows["session_id"] = session_id
    rows["session_epoch"] = session_epoch
    rows["client_seq"] = np.arange(first_client_seq, first_client_seq + len(rows))
    return Commands(rows, commands.cold, commands.tail)


def client_id_hash(text: str) -> tuple[int, int]:
    """Return (lo, hi), the 128-bit BLAKE3 of a client order id as two signed words, or raise `InputError`.

    It is never (0, 0), which means "no client id".
    """
    digest = blake3.blake3(_client_id_bytes(text)).digest(length=16)
    lo = int.from_bytes(digest[:8], "little", signed=True)
    hi = int.from_bytes(digest[8:], "little", signed=True)
    return (lo, hi) if lo or hi else (1, 0)


def _client_id_bytes(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise InputError("a client order id is not text that UTF-8 can hold") from error
    if not 1 <= len(data) <= schema.CLIENT_ID_BYTES or b"\0" in data:
        raise InputError(f"a client order id is 1 to {schema.CLIENT_ID_BYTES} bytes of UTF-8, none of them zero")
    return data


def _fitting(row: np.dtype[np.void], name: str, value: Any) -> Ints:
    """Return the value, or raise `InputError` if the row has no such field of whole numbers or it can't hold it."""
    if row.fields is None or name not in row.fields or row.fields[name][0].kind not in "iu":
        raise InputError(f"no field {name} takes whole numbers")
    bounds = np.iinfo(row.fields[name][0])
    if isinstance(value, int):
        fits = bounds.min <= value <= bounds.max
    else:
        value = np.asarray(value)
        is_list = value.ndim == 1 and value.dtype.kind in "iu"
        fits = is_list and not ((value < bounds.min).any() or (value > bounds.max).any())
    if not fits:
        raise InputError(f"{name} takes whole numbers from {bounds.min} to {bounds.max}")
    return value  # type: ignore[no-any-return]
