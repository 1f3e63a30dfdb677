"""Moves sealed segments of a journal, live or at rest, to another disk; a symbolic link stays where each was.

Invariants, each a test:
- the journal is whole at every moment: a segment and the link to its copy change places in one step;
- nothing is removed before its copy was read back from the other disk and found equal.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from journal import pages, storage
from journal.backup import CHUNK_BYTES, copy_file, one_at_a_time
from journal.segment import MANIFEST_FILE, list_segments
from kk99.errors import InputError, JournalError

if TYPE_CHECKING:
    from pathlib import Path

    from journal.backup import Throttle
    from journal.segment import Segment

_FILES: Final = (pages.DATA_FILE, MANIFEST_FILE)
_RENAME_EXCHANGE: Final = 2
_AT_FDCWD: Final = -100
_LINK: Final = ".link"
_PARTIAL: Final = ".partial"
_SEGMENT: Final = "[0-9]" * 20


def archive(path: Path, target: Path, keep: int, throttle: Throttle) -> list[tuple[int, int]]:
    """Move all but the newest `keep` sealed segments of the journal at `path` to the folder `target`.

    Returns (first sequence, bytes) of each that was moved. Raises `InputError` where the target will not do.
    """
    if keep < 0:
        raise InputError(f"keep = {keep}: must be 0 or more")
    target.mkdir(parents=True, exist_ok=True)
    if target.resolve().is_relative_to(path.resolve()):
        raise InputError(f"{target} is in the journal itself")
    with one_at_a_time(path, "archiving"), one_at_a_time(target, "archiving"):
        for left in [
            *path.glob(f"{_SEGMENT}{_LINK}"),
            *target.glob(f"{_SEGMENT}{_PARTIAL}"),
        ]:  # of one that was cut off
            left.unlink() if left.is_symlink() else shutil.rmtree(left)
        sealed = [segment for segment in list_segments(path) if segment.manifest.exists()]
        due = [segment for segment in sealed[: max(len(sealed) - keep, 0)] if not segment.path.is_symlink()]
        return [(segment.first_seq, _move(segment, target.resolve(), throttle)) for segment in due]


def _move(segment: Segment, target: Path, throttle: Throttle) -> int:
    final = target / segment.path.name
    if not final.exists():
        copy = final.with_name(final.name + _PARTIAL)
        copy.mkdir()
        try:
            for name in _FILES:
                copy_file(segment.path / name, copy / name, throttle)
            storage.sync_folder(copy)
        except OSError:  # a full disk gets its room back
            shutil.rmtree(copy, ignore_errors=True)
            raise
        copy.rename(final)
        storage.sync_folder(target)
    for name in _FILES:  # also of what an interrupted call left
        if _digest(segment.path / name, throttle) != _digest(final / name, throttle):
            raise JournalError(f"{final / name} is not what the journal has: look at that disk, then remove {final}")
    size = segment.size_bytes
    link = segment.path.with_name(segment.path.name + _LINK)
    link.symlink_to(final)
    _exchange(link, segment.path)
    storage.sync_folder(link.parent)
    shutil.rmtree(link)
    return size


def _digest(path: Path, throttle: Throttle) -> bytes:
    found = blake3()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            throttle.spend(len(chunk))
            found.update(chunk)
    return found.digest()


def _exchange(one: Path, other: Path) -> None:
    """Have two names change places in one step."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    if libc.renameat2(*names, _RENAME_EXCHANGE):
        error = ctypes.get_errno()
        raise JournalError(f"{other} can't be exchanged with a link: {os.strerror(error)}")
