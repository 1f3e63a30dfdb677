"""The layout of a snapshot file: a header, a table of named sections, the sections.

Invariants, each a test:
- every byte of the file is covered: the header and the table by the header's BLAKE3, a section by the BLAKE3 in the
  table, the bytes between sections by being zero, the length by the header;
- a section begins at a multiple of `ALIGNMENT`, so that it can be used where it is mapped;
- parsing trusts nothing: each number is checked against the file's size before it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from blake3 import blake3

from kk99 import schema
from kk99.errors import SnapshotError

MAGIC: Final = b"KK99SNAP"
FORMAT_VERSION: Final = 1
ALIGNMENT: Final = 64
HASH_BYTES: Final = 32
VENUE_ID_BYTES: Final = 16
SECTION_NAME_BYTES: Final = 64
SECTIONS_MAX: Final = 1024
NO_HASH: Final = bytes(HASH_BYTES)

HEADER: Final = np.dtype([
    ("magic", "V8"), ("format_version", "<u4"), ("section_count", "<u4"),
    ("venue_id", "V16"), ("fingerprint", "<i8"), ("behaviour_version", "<i8"),
    ("seq", "<i8"), ("time_ns", "<i8"), ("last_cause_seq", "<i8"), ("last_index", "<i8"),
    ("journal_hash", "V32"), ("state_hash", "V32"),
    ("file_size", "<i8"), ("reserved", "V32"), ("header_hash", "V32"),
])  # fmt: skip
"""The first 248 bytes; `header_hash` is BLAKE3 over the bytes before it and the section table."""
HEADER_SIZE: Final = HEADER.itemsize

SECTION: Final = np.dtype([
    ("name", f"S{SECTION_NAME_BYTES}"), ("offset", "<i8"), ("size", "<i8"), ("hash", "V32"),
])  # fmt: skip
"""One line of the section table, 112 bytes."""


@dataclass(frozen=True, slots=True)
class Meta:
    """What a snapshot says about itself.

    `venue_id` is 16 bytes; `last_event` the (cause_seq, index) of the last event up to `seq`; `journal_hash` the hash
    of the journal batch that ends at `seq` (`NO_HASH`: not given); `state_hash` the machine's own hash, 32 bytes.
    """

    venue_id: bytes
    seq: int
    time_ns: int
    last_event: tuple[int, int]
    state_hash: bytes
    journal_hash: bytes = NO_HASH
    fingerprint: int = schema.FINGERPRINT
    behaviour_version: int = schema.BEHAVIOUR_VERSION


@dataclass(frozen=True, slots=True)
class Section:
    """Where a section lies: `offset` and `size` in bytes, and its BLAKE3."""

    name: str
    offset: int
    size: int
    hash: bytes


def table_end(section_count: int) -> int:
    """Return the offset in bytes at which the section table ends."""
    return HEADER_SIZE + section_count * SECTION.itemsize


def align(offset: int) -> int:
    """Return the first multiple of `ALIGNMENT` at or after an offset."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def lay_out(sizes: list[tuple[str, int]]) -> tuple[list[Section], int]:
    """Return the sections (name, size in bytes) with their offsets, hashes still empty, and the file's size.

    Raises SnapshotError for a name that is empty, taken, not ASCII or too long, and for too many sections.
    """
    if len(sizes) > SECTIONS_MAX:
        raise SnapshotError(f"{len(sizes)} sections where at most {SECTIONS_MAX} fit")
    sections: list[Section] = []
    end = table_end(len(sizes))
    for name, size in sizes:
        if not name or not name.isascii() or not name.isprintable() or len(name) > SECTION_NAME_BYTES:
            raise SnapshotError(f"a section can't be named {name!r}")
        if any(section.name == name for section in sections):
            raise SnapshotError(f"two sections are named {name!r}")
        sections.append(Section(name, align(end), size, NO_HASH))
        end = align(end) + size
    return sections, end


def encode_header(meta: Meta, sections: list[Section], file_size: int) -> bytes:
    """Return the header and the section table."""
    if (
        len(meta.venue_id) != VENUE_ID_BYTES
        or len(meta.state_hash) != HASH_BYTES
        or len(meta.journal_hash) != HASH_BYTES
    ):
        raise SnapshotError("the venue id must have 16 bytes, each hash 32")
    table = np.array(
        [(section.name.encode(), section.offset, section.size, section.hash) for section in sections], SECTION
    ).tobytes()
    header = np.zeros((), HEADER)
    header["magic"] = np.void(MAGIC)
    header["format_version"], header["section_count"] = FORMAT_VERSION, len(sections)
    header["venue_id"] = np.void(meta.venue_id)
    header["fingerprint"], header["behaviour_version"] = meta.fingerprint, meta.behaviour_version
    header["seq"], header["time_ns"] = meta.seq, meta.time_ns
    header["last_cause_seq"], header["last_index"] = meta.last_event
    header["journal_hash"], header["state_hash"] = np.void(meta.journal_hash), np.void(meta.state_hash)
    header["file_size"] = file_size
    before = header.tobytes()[:-HASH_BYTES]
    return before + blake3(before + table).digest() + table


def decode_header(data: bytes, size: int) -> tuple[Meta, int, int]:
    """Return what the first `HEADER_SIZE` bytes of a file of `size` bytes say: meta, number of sections, file size.

    Only the form is checked here; `decode_table` proves that header and table are undamaged.
    """
    if len(data) < HEADER_SIZE:
        raise SnapshotError(f"{len(data)} bytes are too few for a snapshot's header of {HEADER_SIZE}")
    header = np.frombuffer(data, HEADER, 1)[0]
    if header["magic"].tobytes() != MAGIC:
        raise SnapshotError("it does not begin as a snapshot does")
    if header["format_version"] != FORMAT_VERSION:
        raise SnapshotError(f"format {header['format_version']} where this release reads {FORMAT_VERSION}")
    count, file_size = int(header["section_count"]), int(header["file_size"])
    if size != file_size:
        raise SnapshotError(f"{size} bytes where the header promises {file_size}")
    if count > SECTIONS_MAX or file_size < table_end(count):
        raise SnapshotError(f"the header is damaged: {count} sections can't be")
    meta = Meta(
        venue_id=header["venue_id"].tobytes(),
        seq=int(header["seq"]),
        time_ns=int(header["time_ns"]),
        last_event=(int(header["last_cause_seq"]), int(header["last_index"])),
        state_hash=header["state_hash"].tobytes(),
        journal_hash=header["journal_hash"].tobytes(),
        fingerprint=int(header["fingerprint"]),
        behaviour_version=int(header["behaviour_version"]),
    )
    return meta, count, file_size


def decode_table(header: bytes, table: bytes, file_size: int) -> list[Section]:
    """Return the sections of the table, having checked the header's hash and that they lie in order within the file."""
    if blake3(header[:-HASH_BYTES] + table).digest() != header[-HASH_BYTES:]:
        raise SnapshotError("the header or the section table is damaged: the hash differs")
    sections = [
        Section(row["name"].decode("ascii", "replace"), int(row["offset"]), int(row["size"]), row["hash"].tobytes())
        for row in np.frombuffer(table, SECTION)
    ]
    wanted, size = lay_out([(section.name, section.size) for section in sections])
    if (
        min((section.size for section in sections), default=0) < 0
        or size != file_size
        or [section.offset for section in wanted] != [section.offset for section in sections]
    ):
        raise SnapshotError("the sections do not lie where the format puts them")
    return sections
