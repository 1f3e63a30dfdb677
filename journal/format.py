"""The record of the journal: a header and a frame of command rows, one LMDB value per batch.

- The key of a batch is its first sequence, 8 bytes big-endian, so key order is log order. Keys that begin with
  sequence 0 hold the segment's own records: its opening (8 zero bytes), then truncations (8 zero bytes and a number).
- `hash` is BLAKE3-256, `crc` CRC32C, both over the header with `hash`, `crc` and `header_crc` zeroed, and the payload.
  `header_crc` is CRC32C over the header before it, so a damaged length is known before anything is read by it.
- `previous_hash` is the hash of the batch before, 32 zero bytes before the first: the batches are a chain.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

import google_crc32c
import numpy as np
from blake3 import blake3

import kk99
from kk99 import schema

MAGIC: Final = b"KK99JRNL"
FORMAT_VERSION: Final = 1
BATCH: Final = 1
OPENING: Final = 2
TRUNCATION: Final = 3

HEADER: Final = np.dtype([
    ("magic", "S8"), ("format", "<u2"), ("header_size", "<u2"), ("kind", "<u4"),
    ("venue_id", "V16"), ("release", "S16"),
    ("number", "<i8"), ("epoch", "<i8"), ("first_seq", "<i8"), ("count", "<i8"), ("payload_size", "<i8"),
    ("first_time_ns", "<i8"), ("last_time_ns", "<i8"), ("behaviour", "<i8"), ("fingerprint", "<i8"),
    ("previous_hash", "V32"), ("hash", "V32"), ("crc", "<u4"), ("header_crc", "<u4"),
])  # fmt: skip
"""Header of a record, 192 bytes.

`number` counts batches from 1 (in an opening: the number of the last batch before the segment); `epoch` counts the
engines that took the journal over; `release` is the program that wrote the record. An opening's `first_seq` is the
first sequence the segment may hold, its times are the last command's before.
"""
HEADER_SIZE: Final = HEADER.itemsize
_FIELDS: Final = struct.Struct("<8sHHI16s16s9q32s32sII")
_HASH_AT: Final = 152
_CRC_AT: Final = 184
_HEADER_CRC_AT: Final = 188
_BLANK: Final = bytes(HEADER_SIZE - _HASH_AT)

VENUE_ID_BYTES: Final = 16
HASH_BYTES: Final = 32
NO_HASH: Final = bytes(HASH_BYTES)
RELEASE: Final = kk99.__dict__.get("__version__", "0.1.0")
OPENING_KEY: Final = bytes(8)


class RecordError(ValueError):
    """The bytes are not an undamaged record; the text says why."""


class Header(NamedTuple):
    """A record's header; fields as in `HEADER`."""

    kind: int
    venue_id: bytes
    release: str
    number: int
    epoch: int
    first_seq: int
    row_count: int
    payload_size: int
    first_time_ns: int
    last_time_ns: int
    behaviour: int
    fingerprint: int
    previous_hash: bytes
    hash: bytes
    crc: int

    @property
    def last_seq(self) -> int:
        """The last sequence of the batch; in an opening, the last before the segment."""
        return self.first_seq + self.row_count - 1


@dataclass(frozen=True, slots=True)
class JournalBatch:
    """A batch as it lies in the journal; `record` is the whole LMDB value."""

    header: Header
    record: bytes

    @property
    def frame(self) -> memoryview:
        """The kk99.batch frame of command rows."""
        return memoryview(self.record)[HEADER_SIZE:]

    @property
    def first_seq(self) -> int:
        """Sequence of the first command."""
        return self.header.first_seq

    @property
    def last_seq(self) -> int:
        """Sequence of the last command."""
        return self.header.last_seq

    @property
    def count(self) -> int:
        """Number of commands."""
        return self.header.row_count

    @property
    def epoch(self) -> int:
        """Which take-over of the journal wrote it."""
        return self.header.epoch

    @property
    def hash(self) -> bytes:
        """BLAKE3-256, 32 bytes."""
        return self.header.hash


def key_of(seq: int) -> bytes:
    """Return the LMDB key of the batch that begins at `seq`."""
    return seq.to_bytes(8, "big")


def truncation_key(index: int) -> bytes:
    """Return the LMDB key of the segment's truncation record `index`."""
    return OPENING_KEY + index.to_bytes(8, "big")


def fill_header(
    record: memoryview,
    *,
    kind: int,
    venue_id: bytes,
    number: int,
    epoch: int,
    first_seq: int,
    count: int,
    times_ns: tuple[int, int],
    previous_hash: bytes,
) -> bytes:
    """Write the header of a record whose payload is already in its place; return its hash.

    `record` is writable, HEADER_SIZE + payload size bytes.
    """
    _FIELDS.pack_into(
        record, 0, MAGIC, FORMAT_VERSION, HEADER_SIZE, kind, venue_id, RELEASE.encode(), number, epoch, first_seq,
        count, len(record) - HEADER_SIZE, *times_ns, schema.BEHAVIOUR_VERSION, schema.FINGERPRINT, previous_hash,
        NO_HASH, 0, 0,
    )  # fmt: skip
    digest = blake3(record).digest()
    crc = google_crc32c.value(np.frombuffer(record, np.uint8))
    record[_HASH_AT:_CRC_AT] = digest
    struct.pack_into("<I", record, _CRC_AT, crc)
    struct.pack_into("<I", record, _HEADER_CRC_AT, google_crc32c.value(bytes(record[:_HEADER_CRC_AT])))
    return digest


def parse_header(value: bytes | memoryview) -> Header:
    """Return the header of a record, or raise `RecordError`; nothing past the header is read."""
    if len(value) < HEADER_SIZE:
        raise RecordError(f"{len(value)} bytes are too few for a record")
    head = bytes(value[:HEADER_SIZE])
    magic, version, size, kind, venue_id, release, *numbers, previous_hash, digest, crc, header_crc = _FIELDS.unpack(
        head
    )
    if magic != MAGIC:
        raise RecordError("not a record of the journal")
    if google_crc32c.value(head[:_HEADER_CRC_AT]) != header_crc:
        raise RecordError("the header's checksum is wrong")
    if version != FORMAT_VERSION or size != HEADER_SIZE:
        raise RecordError(
            f"format {version}, written by release {release.rstrip(bytes(1)).decode()}, is not known here"
        )
    header = Header._make((kind, venue_id, release.rstrip(bytes(1)).decode(), *numbers, previous_hash, digest, crc))
    if header.payload_size != len(value) - HEADER_SIZE:
        raise RecordError(f"{len(value)} bytes where the header promises {HEADER_SIZE + header.payload_size}")
    return header


def verify_record(header: Header, value: bytes, *, full: bool) -> None:
    """Check a record's CRC32C, and with `full` its BLAKE3 too; raise `RecordError` if one is wrong."""
    blanked = value[:_HASH_AT] + _BLANK
    payload = memoryview(value)[HEADER_SIZE:]
    crc = google_crc32c.value(blanked)
    if len(payload):
        crc = google_crc32c.extend(crc, np.frombuffer(payload, np.uint8))
    if crc != header.crc:
        raise RecordError("the checksum is wrong")
    if full and blake3(blanked).update(payload).digest() != header.hash:
        raise RecordError("the hash is wrong")


def check_release(header: Header) -> str | None:
    """Return which release a batch needs, as a sentence, or None if this one can read it."""
    if header.fingerprint == schema.FINGERPRINT and header.behaviour == schema.BEHAVIOUR_VERSION:
        return None
    return (
        f"written by release {header.release} (schema {header.fingerprint:016x}, behaviour {header.behaviour}), which "
        f"is needed here; this one is {RELEASE} ({schema.FINGERPRINT:016x}, {schema.BEHAVIOUR_VERSION})"
    )
