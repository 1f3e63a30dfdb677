"""Copy a journal while it is being written; the copy is a journal itself, at rest."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

import lmdb

from journal import head as heads
from journal import pages, storage
from journal.lock import is_live
from journal.reader import Reader
from journal.segment import MANIFEST_FILE
from kk99.errors import InputError, JournalError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HEAD_FILE: Final = "head.json"


def backup(path: Path, target: Path, key: Ed25519PrivateKey) -> heads.Head:
    """Copy the journal in folder `path` to the new folder `target` and return the copy's head, verified.

    The head also stands in `target` as `head.json`, signed. What is written while the copy is made may be in it or
    not; what is in it is a whole number of batches. Raises `InputError` if there is something at `target`.
    """
    if target.exists() and any(target.iterdir()):
        raise InputError(f"{target} is not empty")
    with Reader(path, any_release=True) as reader:
        segments = reader.segments()
    for at, segment in enumerate(segments):
        copy = target / segment.path.name
        copy.mkdir(parents=True)
        live = at + 1 == len(segments) and is_live(path)
        try:
            environment = storage.acquire(segment.path, lock=live)
            try:
                environment.copy(str(copy))
            finally:
                storage.release(segment.path)
        except lmdb.Error as error:
            raise JournalError(f"{segment.path} can't be copied: {error}") from error
        _sync_file(copy / pages.DATA_FILE)
        if segment.manifest.exists():
            shutil.copyfile(segment.manifest, copy / MANIFEST_FILE)
            _sync_file(copy / MANIFEST_FILE)
        storage.sync_folder(copy)
    with Reader(target, any_release=True) as reader:
        head = reader.head()
    storage.write_durably(target / HEAD_FILE, heads.sign(head, key).encode() + b"\n")
    return head


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
