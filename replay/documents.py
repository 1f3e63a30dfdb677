"""The documents of command and event rows: where they are, what they say.

Invariants: an offset is a matter of the frame that holds the row, never of the row; two rows are equal when all else
is and their documents are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgpack

from kk99 import schema
from kk99.schema import EventKind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from kk99 import batch

FIRST_DOCUMENT_EVENT: Final = EventKind.ASSET_DEFINED
LAST_DOCUMENT_EVENT: Final = EventKind.TRADE_CORRECTED


def has_document(rows: batch.Rows) -> npt.NDArray[np.bool_]:
    """Return which rows, all COMMAND or all EVENT, have a document: bool (n,)."""
    kinds = rows["kind"]
    if rows.dtype == schema.COMMAND:
        return kinds >= schema.FIRST_DOCUMENT_KIND
    return (kinds >= FIRST_DOCUMENT_EVENT) & (kinds <= LAST_DOCUMENT_EVENT)


def bytes_of(row: Any, tail: bytes | memoryview) -> bytes:
    """Return the document of one row."""
    offset, size = int(row["document_offset"]), int(row["document_size"])
    return bytes(tail[offset : offset + size])


def fields_of(row: Any, tail: bytes | memoryview) -> Any:
    """Return what the document of one row says, or, if that is not msgpack, its bytes as hexadecimal text."""
    data = bytes_of(row, tail)
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=False)
    except (ValueError, msgpack.exceptions.UnpackException):
        return data.hex()


def detached(rows: batch.Rows, tail: bytes | memoryview) -> tuple[batch.Rows, list[bytes]]:
    """Return a copy of the rows with no offsets in it, and their documents in order."""
    rows = rows.copy()
    marked = has_document(rows)
    if not marked.any():
        return rows, []
    documents = [bytes_of(row, tail) for row in rows[marked]]
    rows["document_offset"][marked] = 0
    return rows, documents
