"""A folder of snapshots: written so that a crash leaves none half done, listed, loaded with every byte checked, pruned.

Invariants, each a test:
- a file under its final name is whole: it is written and fsynced under another name, renamed, and the folder fsynced;
- nothing is mapped before the file's size is known to be what its header says (a shorter file would be a SIGBUS);
- a bad snapshot is never used and never hides a good one: it is skipped for the one before it, and the reason is told.
"""

from __future__ import annotations

import mmap
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from kk99 import schema
from kk99.errors import SnapshotError
from snapshots import format as layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from snapshots.format import Meta, Section

Sections = list[tuple[str, memoryview]]

CHUNK_BYTES: Final = 1 << 20
"""Hashed and written at a time; both calls let go of the interpreter lock."""
SYNC_BYTES: Final = 8 << 20
"""Synced at a time, so that no heap of unwritten pages makes the journal's own sync wait."""

_NAME: Final = re.compile(r"snapshot-(\d{20})\.kk99")
_PARTIAL: Final = ".partial"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that was found good; `sections` are views of the mapped file, which lives as long as they do."""

    path: Path
    meta: Meta
    sections: Sections


@dataclass(frozen=True, slots=True)
class Skipped:
    """A snapshot that was not used, and why."""

    path: Path
    reason: str


def path_of(folder: Path, seq: int) -> Path:
    """Return the path of the snapshot at a sequence."""
    return folder / f"snapshot-{seq:020d}.kk99"


def seq_of(path: Path) -> int:
    """Return the sequence in a snapshot's file name."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise SnapshotError(f"{path}: a snapshot is named snapshot-<20 digits>.kk99")
    return int(match[1])


def catalogue(folder: Path) -> list[Path]:
    """Return the paths of the folder's snapshots by rising sequence; a folder that does not exist has none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def write(folder: Path, sections: Iterable[tuple[str, Any]], meta: Meta) -> Path:
    """Write a snapshot of (name, buffer) sections and return its path; it is durable on return.

    One thread at a time may write into a folder. Raises SnapshotError, and leaves nothing visible, if it can't.
    """
    views = [(name, memoryview(data).cast("B")) for name, data in sections]
    table, file_size = layout.lay_out([(name, view.nbytes) for name, view in views])
    final = path_of(folder, meta.seq)
    partial = final.with_name(final.name + _PARTIAL)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _write_file(partial, [view for _, view in views], table, meta, file_size)
            partial.rename(final)
            _sync_folder(folder)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise SnapshotError(f"{final}: can't be written: {error}") from error
    return final


def read_meta(path: Path) -> Meta:
    """Return what a snapshot of any venue and release says about itself; its sections are not looked at."""
    with path.open("rb") as file:
        return _read_head(path, file.fileno())[0]


def load(path: Path, venue_id: bytes | None = None, *, verify: bool = True) -> tuple[Meta, Sections]:
    """Return a snapshot's meta and its sections as read-only views of the mapped file.

    Raises SnapshotError if it is damaged (`verify` hashes every section), of another schema or, when `venue_id` is
    given, of another venue.
    """
    try:
        with path.open("rb") as file:
            meta, table = _read_head(path, file.fileno())
            _refuse_foreign(path, meta, venue_id)
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise SnapshotError(f"{path}: can't be read: {error}") from error
    if verify:
        _verify(path, view, table)
    return meta, [(section.name, view[section.offset : section.offset + section.size]) for section in table]


def newest_good(
    folder: Path,
    venue_id: bytes | None = None,
    *,
    at_most_seq: int | None = None,
    usable: Callable[[Meta], str | None] = lambda _: None,
) -> tuple[Snapshot | None, list[Skipped]]:
    """Return the newest snapshot that loads well, and the newer ones that were skipped.

    `at_most_seq` leaves out what is newer without reporting it; `usable` returns why a snapshot can't be used, or None.
    """
    skipped: list[Skipped] = []
    for path in reversed(catalogue(folder)):
        if at_most_seq is not None and seq_of(path) > at_most_seq:
            continue
        try:
            reason = usable(read_meta(path))
            if reason is None:
                meta, sections = load(path, venue_id)
                return Snapshot(path, meta, sections), skipped
        except (SnapshotError, OSError) as error:
            reason = str(error)
        skipped.append(Skipped(path, reason))
    return None, skipped


def prune(folder: Path, keep: int) -> list[Path]:
    """Delete all but the newest `keep` (at least 1) snapshots, and what interrupted writes left; return the deleted.

    A file whose header is damaged does not count among those kept.
    """
    if keep < 1:
        raise SnapshotError(f"keep at least 1 snapshot, not {keep}")
    doomed = sorted(folder.glob(f"snapshot-*.kk99{_PARTIAL}")) if folder.is_dir() else []
    good = 0
    for path in reversed(catalogue(folder)):
        if good >= keep:
            doomed.append(path)
        elif _is_readable(path):
            good += 1
    for path in doomed:
        path.unlink(missing_ok=True)
    return doomed


def _is_readable(path: Path) -> bool:
    try:
        read_meta(path)
    except (SnapshotError, OSError):
        return False
    return True


def _write_file(path: Path, views: list[memoryview], table: list[Section], meta: Meta, file_size: int) -> None:
    """Stream the sections, hashing on the way, then the header that knows their hashes, and sync."""
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o640)
    try:
        os.ftruncate(descriptor, file_size)
        unsynced = 0
        hashed: list[Section] = []
        for section, view in zip(table, views, strict=True):
            digest = blake3()
            for start in range(0, section.size, CHUNK_BYTES):
                chunk = view[start : start + CHUNK_BYTES]
                digest.update(chunk)
                _write_at(descriptor, chunk, section.offset + start)
                unsynced += chunk.nbytes
                if unsynced >= SYNC_BYTES:
                    os.fdatasync(descriptor)
                    unsynced = 0
            hashed.append(replace(section, hash=digest.digest()))
        _write_at(descriptor, memoryview(layout.encode_header(meta, hashed, file_size)), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_at(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_head(path: Path, descriptor: int) -> tuple[Meta, list[Section]]:
    """Return meta and section table of an open file, having checked both and the file's size."""
    size = os.fstat(descriptor).st_size
    header = os.pread(descriptor, layout.HEADER_SIZE, 0)
    try:
        meta, count, file_size = layout.decode_header(header, size)
        table = os.pread(descriptor, layout.table_end(count) - layout.HEADER_SIZE, layout.HEADER_SIZE)
        sections = layout.decode_table(header, table, file_size)
    except SnapshotError as error:
        raise SnapshotError(f"{path}: {error}") from error
    if _NAME.fullmatch(path.name) and seq_of(path) != meta.seq:
        raise SnapshotError(f"{path}: it is named for seq {seq_of(path)} and holds seq {meta.seq}")
    return meta, sections


def _refuse_foreign(path: Path, meta: Meta, venue_id: bytes | None) -> None:
    if meta.fingerprint != schema.FINGERPRINT:
        raise SnapshotError(
            f"{path}: schema {meta.fingerprint:016x}, behaviour {meta.behaviour_version}, where this release has "
            f"{schema.FINGERPRINT:016x} and {schema.BEHAVIOUR_VERSION}: load it with the release that wrote it"
        )
    if venue_id is not None and meta.venue_id != venue_id:
        raise SnapshotError(f"{path}: it is of venue {meta.venue_id.hex()}, not of {venue_id.hex()}")


def _verify(path: Path, view: memoryview, table: list[Section]) -> None:
    """Hash every section and look at the bytes between them."""
    end = layout.table_end(len(table))
    for section in table:
        if any(view[end : section.offset]):
            raise SnapshotError(f"{path}: bytes before section {section.name} are not zero")
        end = section.offset + section.size
        digest = blake3()
        for start in range(section.offset, end, CHUNK_BYTES):
            digest.update(view[start : min(start + CHUNK_BYTES, end)])
        if digest.digest() != section.hash:
            raise SnapshotError(f"{path}: section {section.name} is damaged: its hash differs")
