"""Our own recording format (.kk99rec): a line of JSON about the flow, then its rows, compressed with zstd.

The layout is in docs/reference/recording-format.md. Whatever is not exactly such a file raises `InputError`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import zstandard

from kk99.errors import InputError
from kk99.feed.flow import ROW, ROWS_MAX, Flow

if TYPE_CHECKING:
    from pathlib import Path

MAGIC: Final = b"KK99REC1"
HEADER_BYTES_MAX: Final = 65_536
_LEVEL: Final = 19


def write(path: Path, flow: Flow, source: str) -> None:
    """Write a checked flow; `source` says where it comes from and under which licence."""
    header = {
        "instrument": flow.instrument, "accounts": list(flow.accounts), "rotate": flow.rotate, "rows": len(flow.rows),
        "source": source, "notes": flow.notes,
    }  # fmt: skip
    line = json.dumps(header, sort_keys=True).encode() + b"\n"
    path.write_bytes(MAGIC + line + zstandard.compress(flow.rows.tobytes(), _LEVEL))


def read(path: Path) -> Flow:
    """Return the flow of a recording."""
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise InputError(f"{path}: not a recording")
    end = data.find(b"\n", 0, HEADER_BYTES_MAX)
    try:
        header = json.loads(data[len(MAGIC) : end])
        rows = _rows(data[end + 1 :], _count(header["rows"]))
        accounts = tuple(_text(name) for name in header["accounts"])
        flow = Flow(rows, _text(header["instrument"]), accounts, header["rotate"] is True, dict(header["notes"]))
        return flow.check()
    except (KeyError, TypeError, ValueError, zstandard.ZstdError, InputError) as error:
        raise InputError(f"{path}: a damaged recording: {error}") from error


def _rows(data: bytes, count: int) -> Any:
    size = count * ROW.itemsize
    if zstandard.frame_content_size(data) != size:
        raise InputError(f"the rows are not {size} bytes")
    return np.frombuffer(zstandard.decompress(data), ROW, count)


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 < value <= ROWS_MAX:
        raise InputError(f"a recording has 1 to {ROWS_MAX} rows")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InputError("a name is text")
    return value
