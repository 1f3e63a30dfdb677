"""Frames: many command or event rows in one piece of bytes, as they travel over ZeroMQ and lie in the journal.

A frame is a `HEADER`, the hot rows, the cold rows (one for each hot row with `Flag.HAS_COLD`, in order), then the
tail that document rows point into. Decoding copies nothing: the arrays are read-only views of the given bytes.
Anything that is not exactly such a frame raises `FrameError`; whether the rows make sense is the core's to say.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

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
_HEADER: Final = struct.Struct("<IHHqIIIIqqqq")
assert _HEADER.size == HEADER_SIZE

_TERMS: Final = schema.word_of(schema.COMMAND, "kind")
"""The word that holds both a command's kind and its flags: one look at each row tells what belongs to it."""
assert schema.word_of(schema.COMMAND, "flags") == _TERMS
assert schema.shift_of(schema.COMMAND, "kind") == 0
_KIND_MASK: Final = 0xFF
_FIRST_TERMS: Final = struct.Struct(f"<{_TERMS * 8}xq")
_HAS_COLD: Final = schema.Flag.HAS_COLD.value << schema.shift_of(schema.COMMAND, "flags")

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
    header = _HEADER.pack(
        MAGIC, content, 0, schema.FINGERPRINT, len(rows), len(cold), len(tail), 0, *previous, last_seq, 0,
    )  # fmt: skip
    pieces: list[Any] = [header, np.ascontiguousarray(rows).view(np.uint8).data]
    if len(cold):
        pieces.append(np.ascontiguousarray(cold).view(np.uint8).data)
    if len(tail):
        pieces.append(tail)
    return pieces


def decode_commands(data: bytes | memoryview) -> Commands:
    """Return the `Commands` that a frame holds, or raise `FrameError`.

    Documents must lie within the tail and be at most `DOCUMENT_BYTES_MAX` long.
    """
    header = _header(data, COMMANDS)
    rows, cold, tail = _body(data, header, schema.COMMAND)
    any_terms = _any_terms(data, rows)
    wanted = 0
    if any_terms & _HAS_COLD:
        wanted = int(np.count_nonzero(rows["flags"] & schema.Flag.HAS_COLD))
    if wanted != len(cold):
        message = f"{wanted} rows say HAS_COLD, {len(cold)} cold rows follow"
        raise FrameError(message)
    if any_terms & _KIND_MASK >= schema.FIRST_DOCUMENT_KIND:
        documents = rows[rows["kind"] >= schema.FIRST_DOCUMENT_KIND]
        offset, size = documents["document_offset"].astype(np.int64), documents["document_size"].astype(np.int64)
        bad = (offset < 0) | (size < 0) | (size > schema.DOCUMENT_BYTES_MAX) | (offset + size > len(tail))
        if bad.any():
            message = "a document lies outside the frame or is too long"
            raise FrameError(message)
    return Commands(rows, cold, tail)


def _any_terms(data: bytes | memoryview, rows: Rows) -> int:
    """Return the bits of kind and flags that stand in any row."""
    if len(rows) == 1:  # a lone order: numpy's machinery, gone from the caches, would take longer than all the rest
        return int(_FIRST_TERMS.unpack_from(data, HEADER_SIZE)[0])
    return int(np.bitwise_or.reduce(rows.view(np.int64)[_TERMS :: schema.ROW_WORDS]))


def decode_events(data: bytes | memoryview) -> Events:
    """Return the `Events` that a frame holds, or raise `FrameError`."""
    header = _header(data, EVENTS)
    rows, _, tail = _body(data, header, schema.EVENT)
    return Events(rows, tail, (header.previous_cause_seq, header.previous_index), header.last_seq)


class _Header(NamedTuple):
    """The fields of `HEADER`."""

    magic: int
    content: int
    reserved: int
    fingerprint: int
    row_count: int
    cold_count: int
    tail_size: int
    flags: int
    previous_cause_seq: int
    previous_index: int
    last_seq: int
    reserved_2: int


def _header(data: bytes | memoryview, content: int) -> _Header:
    if len(data) < HEADER_SIZE:
        message = f"{len(data)} bytes are too few for a frame"
        raise FrameError(message)
    header = _Header._make(_HEADER.unpack_from(data))
    if header.magic != MAGIC or header.content != content:
        message = "not a frame of the kind expected"
        raise FrameError(message)
    if header.fingerprint != schema.FINGERPRINT:
        message = f"schema {header.fingerprint:016x} where {schema.FINGERPRINT:016x} is spoken"
        raise FrameError(message)
    if header.row_count > FRAME_ROWS_MAX or header.cold_count > header.row_count:
        message = f"{header.row_count} rows and {header.cold_count} cold rows are out of bounds"
        raise FrameError(message)
    if header.tail_size > TAIL_BYTES_MAX:
        message = f"a tail of {header.tail_size} bytes is too long"
        raise FrameError(message)
    return header


def _body(data: bytes | memoryview, header: _Header, row: np.dtype[np.void]) -> tuple[Rows, Rows, memoryview]:
    row_count, cold_count, tail_size = header.row_count, header.cold_count, header.tail_size
    cold_at = HEADER_SIZE + row_count * schema.ROW_SIZE
    tail_at = cold_at + cold_count * schema.ROW_SIZE
    if len(data) != tail_at + tail_size:
        message = f"{len(data)} bytes where the header promises {tail_at + tail_size}"
        raise FrameError(message)
    rows = np.frombuffer(data, row, row_count, HEADER_SIZE) if row_count else np.zeros(0, row)
    cold = np.frombuffer(data, schema.COLD, cold_count, cold_at) if cold_count else _NO_COLD
    return rows, cold, memoryview(data)[tail_at:]
