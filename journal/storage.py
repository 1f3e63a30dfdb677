"""How the room reaches LMDB: one handle per environment in a process, and a port a simulator can stand behind.

LMDB forbids opening an environment twice in one process, so readers beside a writer share its handle: `acquire` and
`release` count who uses it.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import lmdb

from kk99.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path

MAP_SIZE: Final = 64 << 30
"""Address space of an environment in bytes; the file grows only with what is written."""


class Transaction(Protocol):
    """A write transaction: all of it or nothing."""

    def put(self, key: bytes, value: Any, *, append: bool = False) -> bool:
        """Store a value; with `append`, False means that the key is not above all others."""

    def commit(self) -> None:
        """Make it durable."""

    def abort(self) -> None:
        """Forget it."""


class Environment(Protocol):
    """An open environment, as far as a writer needs one."""

    def begin(self, *, write: bool) -> Transaction:
        """Begin a write transaction."""

    def sync(self, force: bool) -> None:
        """Make all that was committed durable."""

    def close(self) -> None:
        """Close it."""


class Storage(Protocol):
    """The port: where a writer's environments come from."""

    def open(self, path: Path, map_size: int) -> Environment:
        """Open or create the environment in folder `path`, durable at each commit."""

    def close(self, path: Path) -> None:
        """Give back what `open` gave."""


@dataclass(slots=True)
class _Handle:
    environment: lmdb.Environment
    users: int
    writable: bool


_handles: dict[str, _Handle] = {}
_lock: Final = threading.Lock()


def acquire(
    path: Path, *, write: bool = False, map_size: int = 0, sync: bool = True, lock: bool = True
) -> lmdb.Environment:
    """Return this process's handle of the environment in folder `path`, opening it if need be; pair with `release`.

    Raises `lmdb.Error` if LMDB can't open it, `JournalError` if it is to be written but open for reading only.
    """
    name = os.path.realpath(path)
    with _lock:
        handle = _handles.get(name)
        if handle is None:
            environment = (
                lmdb.open(name, map_size=map_size or MAP_SIZE, sync=sync, metasync=sync)
                if write
                else lmdb.open(name, map_size=map_size, readonly=True, create=False, lock=lock)
            )
            handle = _handles[name] = _Handle(environment, 0, write)
        if write and not handle.writable:
            raise JournalError(f"{name} is open for reading in this process: close its readers first")
        handle.users += 1
        return handle.environment


def release(path: Path) -> None:
    """Give back what `acquire` gave; the last user closes the environment."""
    name = os.path.realpath(path)
    with _lock:
        handle = _handles[name]
        handle.users -= 1
        if not handle.users:
            del _handles[name]
            handle.environment.close()


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put a small file in its place whole: after a crash it is the old one or the new one."""
    draft = path.with_name(path.name + ".draft")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


class LmdbStorage:
    """The real thing."""

    def open(self, path: Path, map_size: int) -> Environment:
        """Open or create the environment in folder `path`, durable at each commit."""
        path.mkdir(parents=True, exist_ok=True)
        environment = acquire(path, write=True, map_size=map_size)
        sync_folder(path)
        sync_folder(path.parent)
        return environment

    def close(self, path: Path) -> None:
        """Give back what `open` gave."""
        release(path)
