"""A folder of backups: each the whole of what can't be made again, whole or not there, proved by a signed manifest.

::

    STORE/<last sequence, 20 digits>-<UTC time to the millisecond>/
        journal/        a journal at rest; sealed segments are shared with the backup before it (hard links)
        snapshots/      the newest good one at or below the journal's end
        fix/ operations/ venue.id
        manifest.json   written last, signed: the head, and size and hash of every file

Invariants, each a test: a folder without a manifest is no backup; a file that is not in the manifest, or is not as the
manifest says, makes a backup bad; a private key is never in it; the event store and the books, which the journal
gives again, are not either.
"""

from __future__ import annotations

import calendar
import contextlib
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from journal import head as heads
from journal import keys, storage
from journal.backup import CHUNK_BYTES, Copied, Throttle, copy_file, one_at_a_time
from journal.backup import backup as copy_journal
from journal.reader import Reader
from kk99.errors import CorruptionError, InputError, SnapshotError
from snapshots import store as snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from journal.segment import Segment
    from kk99.paths import DataDir

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
VENUE_ID: Final = "venue.id"
_NAME: Final = re.compile(r"\d{20}-\d{8}T\d{9}Z")
_PARTIAL: Final = ".partial"
_PARTIAL_NAME: Final = re.compile(r"\d{8}T\d{9}Z\.partial")
_HEAD_TYPES: Final = {"seq": int, "hash": str, "time_ns": int}
_HEX_64: Final = re.compile(r"[0-9a-f]{64}")
_HEX_32: Final = re.compile(r"[0-9a-f]{32}")
_BESIDE: Final = ("fix", "operations")
"""Folders whose files are copied as they are."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup and what its manifest says, whose signature was checked."""

    path: Path
    fields: dict[str, Any]

    @property
    def head(self) -> heads.Head:
        """The end of its journal."""
        made = self.fields["head"]
        return heads.Head(
            made["seq"], bytes.fromhex(made["hash"]), made["time_ns"], bytes.fromhex(self.fields["venue_id"])
        )

    @property
    def files(self) -> dict[str, list[Any]]:
        """Size and hash of each file, by its path."""
        found: dict[str, list[Any]] = self.fields["files"]
        return found


def catalogue(store: Path) -> list[Path]:
    """Return the folders of whole backups, the oldest first."""
    if not store.is_dir():
        return []
    found = [path for path in store.iterdir() if _NAME.fullmatch(path.name) and (path / MANIFEST).exists()]
    return sorted(found, key=lambda path: path.name.partition("-")[2])


def open_backup(path: Path, public_key: Ed25519PublicKey | None = None) -> Backup:
    """Return a backup by its folder, or the newest of a folder of them; `InputError` if its manifest is not good."""
    if not (path / MANIFEST).exists():
        found = catalogue(path)
        if not found:
            raise InputError(f"{path} holds no backup: `kk99 backup {path}` makes one")
        path = found[-1]
    try:
        fields = keys.check((path / MANIFEST).read_text(errors="replace"), public_key)
        return Backup(path, _checked(fields))
    except InputError as error:
        raise InputError(f"{path / MANIFEST}: {error}") from error


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a signed manifest's fields if they are a backup's, or raise `InputError`."""
    if fields.get("format") != FORMAT:
        raise InputError(f"a backup of format {fields.get('format')!r}, where this release reads {FORMAT}")
    head, files = fields.get("head"), fields.get("files")
    is_head = isinstance(head, dict) and {name: type(value) for name, value in head.items()} == _HEAD_TYPES
    if not is_head or not isinstance(files, dict) or type(fields.get("created_ns")) is not int:
        raise InputError("the manifest lacks a field, or one is of another type")
    if not _HEX_64.fullmatch(fields["head"]["hash"]) or not _HEX_32.fullmatch(str(fields.get("venue_id"))):
        raise InputError("the manifest's hash or venue is no hexadecimal number")
    for name, stated in files.items():
        if not isinstance(stated, list) or [type(part) for part in stated] != [int, str]:
            raise InputError(f"the manifest does not state size and hash of {name!r}")
        if not name or name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise InputError(f"the manifest names {name!r}, which is not in the backup")
    return fields


def make(paths: DataDir, store: Path, throttle: Throttle) -> tuple[Backup, dict[str, Any]]:
    """Back a venue up, live or at rest, to a new folder in `store`; return it and figures of what was done."""
    began = time.monotonic()
    if not paths.journal.is_dir():
        raise InputError(f"{paths.root} holds no venue: choose another folder with --data")
    if store.resolve().is_relative_to(paths.root.resolve()):
        raise InputError(f"{store} is in the venue's own folder: name one on another disk")
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    with one_at_a_time(store, "backup"):
        for left in store.glob(f"*{_PARTIAL}"):
            if _PARTIAL_NAME.fullmatch(left.name):
                shutil.rmtree(left)
        created_ns = _created_ns(store)
        partial = store / f"{_stamp(created_ns)}{_PARTIAL}"
        partial.mkdir(mode=0o700)
        try:
            copied, size = _fill(paths, partial, created_ns, _previous(store), throttle)
        except BaseException:  # a full disk gets its room back
            shutil.rmtree(partial, ignore_errors=True)
            raise
        final = store / f"{copied.head.seq:020d}-{_stamp(created_ns)}"
        partial.rename(final)
        storage.sync_folder(store)
    figures = {"copied_bytes": size, "linked_bytes": copied.linked_bytes, "seconds": round(time.monotonic() - began, 3)}
    return open_backup(final), figures


def _created_ns(store: Path) -> int:
    """Return the time, but later than every backup's there: the order of their times is that of their making."""
    now_ns = time.time_ns()
    for path in catalogue(store)[-1:]:
        text = path.name.partition("-")[2]
        last_s = calendar.timegm(time.strptime(text[:15], "%Y%m%dT%H%M%S"))
        now_ns = max(now_ns, last_s * 10**9 + (int(text[15:18]) + 1) * 10**6)
    return now_ns


def _stamp(created_ns: int) -> str:
    seconds, rest_ns = divmod(created_ns, 10**9)
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}{rest_ns // 10**6:03d}Z"


def _previous(store: Path) -> Backup | None:
    """Return the newest backup whose manifest is good; one that is damaged does not keep others from being made."""
    for path in reversed(catalogue(store)):
        with contextlib.suppress(InputError):
            return open_backup(path)
    return None


def _fill(
    paths: DataDir, partial: Path, created_ns: int, previous: Backup | None, throttle: Throttle
) -> tuple[Copied, int]:
    """Copy everything to the folder of a backup, its manifest last; return what the journal's copy is, and bytes."""
    key = keys.load_or_create(paths.keys)
    previous = previous if previous and _same_venue(paths, previous) else None
    shared = previous.path / "journal" if previous else None
    copied = copy_journal(paths.journal, partial / "journal", key, throttle=throttle, previous=shared)
    size = copied.copied_bytes + _copy_snapshot(paths, partial, copied.head, throttle)
    for name in _BESIDE:
        if (paths.root / name).is_dir():
            size += _copy_folder(paths.root / name, partial / name, throttle)
    size += copy_file(paths.root / VENUE_ID, partial / VENUE_ID, throttle)
    head = copied.head
    fields = {
        "format": FORMAT, "venue_id": head.venue_id.hex(), "created_ns": created_ns,
        "head": {"seq": head.seq, "hash": head.hash.hex(), "time_ns": head.time_ns},
        "files": _digests(partial, previous, throttle),
    }  # fmt: skip
    storage.write_durably(partial / MANIFEST, keys.sign(fields, key).encode() + b"\n")
    return copied, size


def prune(store: Path, keep: int, venue_id: str) -> list[Path]:
    """Remove all but the newest `keep` (at least 1) backups of a venue; return what is gone.

    Those of other venues stay, and those whose manifest is not good: nobody knows of what they are.
    """
    if keep < 1:
        raise InputError(f"keep at least 1 backup, not {keep}")
    with one_at_a_time(store, "backup"):
        gone = [path for path in catalogue(store) if _is_of(path, venue_id)][:-keep]
        for path in gone:
            (path / MANIFEST).unlink()  # from here on it is no backup, whatever is left of it
            shutil.rmtree(path)
    return gone


def _is_of(path: Path, venue_id: str) -> bool:
    try:
        return bool(open_backup(path).fields["venue_id"] == venue_id)
    except InputError:
        return False


def check_files(backup: Backup, throttle: Throttle) -> None:
    """Check that the backup holds what its manifest names, each as it says, and no more; else `CorruptionError`."""
    found = {path.relative_to(backup.path).as_posix(): path for path in _files(backup.path)}
    for name in sorted(set(backup.files) ^ set(found)):
        what = "is missing" if name in backup.files else "is not in its manifest"
        raise CorruptionError(0, f"{backup.path}: {name} {what}")
    for name, path in found.items():
        if _digest(path, throttle) != backup.files[name]:
            raise CorruptionError(0, f"{path} is not what was backed up: its hash or size differs")


def _same_venue(paths: DataDir, previous: Backup) -> bool:
    with Reader(paths.journal, any_release=True) as reader:
        return reader.head().venue_id == previous.head.venue_id


def _copy_snapshot(paths: DataDir, target: Path, head: heads.Head, throttle: Throttle) -> int:
    """Copy the newest snapshot at or below the head that is good; the engine may prune it meanwhile."""
    (target / "snapshots").mkdir()
    for path in reversed(snapshots.catalogue(paths.snapshots)):
        if snapshots.seq_of(path) > head.seq:
            continue
        copy = target / "snapshots" / path.name
        try:
            size = copy_file(path, copy, throttle)
            snapshots.load(copy, head.venue_id)
        except (SnapshotError, FileNotFoundError):
            copy.unlink(missing_ok=True)
            continue
        return size
    return 0


def _copy_folder(source: Path, target: Path, throttle: Throttle) -> int:
    size = 0
    for path in _files(source):
        if path.name == "lock":
            continue
        copy = target / path.relative_to(source)
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            size += copy_file(path, copy, throttle)
        except FileNotFoundError:  # gone since
            copy.unlink(missing_ok=True)
    return size


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder but the manifest of a backup itself and LMDB's lock files."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / MANIFEST and path.name != "lock.mdb":
            yield path


def _digests(folder: Path, previous: Backup | None, throttle: Throttle) -> dict[str, list[Any]]:
    """Return size and hash of each file; of a file that is shared with the backup before, as stated there."""
    made = {}
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        shared = previous.path / name if previous and name in previous.files else None
        if previous and shared and shared.exists() and shared.samefile(path):
            made[name] = previous.files[name]
        else:
            made[name] = _digest(path, throttle)
    return made


def _digest(path: Path, throttle: Throttle) -> list[Any]:
    found = blake3()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            throttle.spend(len(chunk))
            found.update(chunk)
    return [path.stat().st_size, found.hexdigest()]


def holds_segment(backup: Backup, segment: Segment) -> bool:
    """Return whether a backup has this very segment: the same sealing manifest, not only one of the same number."""
    stated = backup.files.get(f"journal/{segment.path.name}/{segment.manifest.name}")
    return stated == _digest(segment.manifest, Throttle())


def describe(backup: Backup) -> dict[str, Any]:
    """Return what there is to say of a backup."""
    head = backup.head
    return {
        "path": str(backup.path), "seq": head.seq, "hash": head.hash.hex(), "time_ns": head.time_ns,
        "created_ns": backup.fields["created_ns"], "venue_id": backup.fields["venue_id"],
        "bytes": sum(size for size, _ in backup.files.values()),
    }  # fmt: skip
