"""Frames: many command or event rows in one piece of bytes, as they travel over ZeroMQ and lie in the journal.

A frame is a `HEADER`, the hot rows, the cold rows (one for each hot row with `Flag.HAS_COLD`, in order), then the
tail that document rows point into. Decoding copies nothing: the arrays are read-only views of the given bytes.
Anything that is not exactly such a frame raises `FrameError`; whether the rows make sense is the core's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kk99 import schema

MAGIC: Final = 0x4B4B3939
COMMANDS: Final = 1
EVENTS: Final = 2
FRAME_ROWS_MAX: Final = 65_536
TAIL_BYTES_MAX: Final = 16 << 20

HEADER: Final = np.dtype([
    ("magic", "<u4"), ("content", "<u2"), ("reserved", "<u2"), ("fingerprint", "<i8"),
    ("row_count", "<u4"), ("cold_count", "<u4"), ("tail_size", "<u4"), ("flags", "<u4"),
    ("previous_cause_seq", "<i8"), ("previous_index", "<i8"), ("last_seq", "<i8"), ("reserved_2", "<i8"),
])  # fmt: skip
"""Header of a frame, 64 bytes."""
HEADER_SIZE: Final = HEADER.itemsize

Rows = npt.NDArray[np.void]


class FrameError(ValueError):
    """The bytes are not a frame of this schema; the text says why."""


@dataclass(frozen=True, slots=True)
class Commands:
    """Command rows with what belongs to them.

    `rows` is COMMAND (n,), `cold` COLD (number of rows with HAS_COLD,), `tail` the documents' bytes.
    """

    rows: Rows
    cold: Rows
    tail: bytes | memoryview = b""

    def encode(self) -> bytes:
        """Return the frame's bytes."""
        return b"".join(self.pieces())

    def pieces(self) -> list[Any]:
        """Return the frame as buffers in order, for a writer that gathers."""
        return _pieces(COMMANDS, self.rows, self.cold, self.tail, (0, 0), 0)


@dataclass(frozen=True, slots=True)
class Events:
    """Event rows with their documents.

    `rows` is EVENT (n,); `previous` is the (cause_seq, index) of the event before the first, (0, 0) at the very
    beginning: a reader whose last event is another has missed something. `last_seq` is the last command whose
    events are all in here.
    """

    rows: Rows
    tail: bytes | memoryview = b""
    previous: tuple[int, int] = (0, 0)
    last_seq: int = 0

    def encode(self) -> bytes:
        """Return the frame's bytes."""
        return b"".join(self.pieces())

    def pieces(self) -> list[Any]:
        """Return the frame as buffers in order, for a writer that gathers."""
        return _pieces(EVENTS, self.rows, _NO_COLD, self.tail, self.previous, self.last_seq)


_NO_COLD: Final = np.zeros(0, schema.COLD)


def commands(rows: Rows, cold: Rows | None = None, tail: bytes = b"") -> Commands:
    """Make `Commands`, checking that cold rows and flags agree."""
    cold = _NO_COLD if cold is None else cold
    wanted = int(np.count_nonzero(rows["flags"] & schema.Flag.HAS_COLD))
    if wanted != len(cold):
        message = f"{wanted} rows say HAS_COLD, {len(cold)} cold rows are given"
        raise FrameError(message)
    return Commands(rows, cold, tail)


def _pieces(
    content: int, rows: Rows, cold: Rows, tail: bytes | memoryview, previous: tuple[int, int], last_seq: int
) -> list[Any]:
    assert rows.dtype.itemsize == schema.ROW_SIZE, "numpy has unfolded the unions: give concatenate the dtype"
    header = np.zeros(1, HEADER)
    header[0] = (
        MAGIC, content, 0, schema.FINGERPRINT, len(rows), len(cold), len(tail), 0, *previous, last_seq, 0,
    )  # fmt: skip
    pieces: list[Any] = [header.tobytes(), np.ascontiguousarray(rows).view(np.uint8).reshape(-1).data]
    if len(cold):
        pieces.append(np.ascontiguousarray(cold).view(np.uint8).reshape(-1).data)
    if len(tail):
        pieces.append(tail)
    return pieces


def decode_commands(data: bytes | memoryview) -> Commands:
    """Return the `Commands` that a frame holds, or raise `FrameError`.

    Documents must lie within the tail and be at most `DOCUMENT_BYTES_MAX` long.
    """
    header = _header(data, COMMANDS)
    rows, cold, tail = _body(data, header, schema.COMMAND)
    wanted = int(np.count_nonzero(rows["flags"] & schema.Flag.HAS_COLD))
    if wanted != len(cold):
        message = f"{wanted} rows say HAS_COLD, {len(cold)} cold rows follow"
        raise FrameError(message)
    documents = rows[rows["kind"] >= schema.FIRST_DOCUMENT_KIND]
    if len(documents):
        offset, size = documents["document_offset"].astype(np.int64), documents["document_size"].astype(np.int64)
        bad = (offset < 0) | (size < 0) | (size > schema.DOCUMENT_BYTES_MAX) | (offset + size > len(tail))
        if bad.any():
            message = "a document lies outside the frame or is too long"
            raise FrameError(message)
    return Commands(rows, cold, tail)


def decode_events(data: bytes | memoryview) -> Events:
    """Return the `Events` that a frame holds, or raise `FrameError`."""
    header = _header(data, EVENTS)
    rows, _, tail = _body(data, header, schema.EVENT)
    previous = (int(header["previous_cause_seq"]), int(header["previous_index"]))
    return Events(rows, tail, previous, int(header["last_seq"]))


def _header(data: bytes | memoryview, content: int) -> Any:
    if len(data) < HEADER_SIZE:
        message = f"{len(data)} bytes are too few for a frame"
        raise FrameError(message)
    header = np.frombuffer(data, HEADER, 1)[0]
    if header["magic"] != MAGIC or header["content"] != content:
        message = "not a frame of the kind expected"
        raise FrameError(message)
    if header["fingerprint"] != schema.FINGERPRINT:
        message = f"schema {int(header['fingerprint']):016x} where {schema.FINGERPRINT:016x} is spoken"
        raise FrameError(message)
    if header["row_count"] > FRAME_ROWS_MAX or header["cold_count"] > header["row_count"]:
        message = f"{header['row_count']} rows and {header['cold_count']} cold rows are out of bounds"
        raise FrameError(message)
    if header["tail_size"] > TAIL_BYTES_MAX:
        message = f"a tail of {header['tail_size']} bytes is too long"
        raise FrameError(message)
    return header


def _body(data: bytes | memoryview, header: Any, row: np.dtype[np.void]) -> tuple[Rows, Rows, memoryview]:
    row_count, cold_count, tail_size = int(header["row_count"]), int(header["cold_count"]), int(header["tail_size"])
    cold_at = HEADER_SIZE + row_count * schema.ROW_SIZE
    tail_at = cold_at + cold_count * schema.ROW_SIZE
    if len(data) != tail_at + tail_size:
        message = f"{len(data)} bytes where the header promises {tail_at + tail_size}"
        raise FrameError(message)
    rows = np.frombuffer(data, row, row_count, HEADER_SIZE) if row_count else np.zeros(0, row)
    cold = np.frombuffer(data, schema.COLD, cold_count, cold_at) if cold_count else _NO_COLD
    return rows, cold, memoryview(data)[tail_at:]
