"""The documents of command and event rows: where they are, what they say.

Invariants: an offset is a matter of the frame that holds the row, never of the row; two rows are equal when all else
is and their documents are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from kk99.kinds import has_document

if TYPE_CHECKING:
    from kk99 import batch


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
