"""One writer per journal: a lock on a file, held for the holder's life and let go by the kernel whatever ends it."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING, Final

from kk99.errors import JournalLockedError

if TYPE_CHECKING:
    from pathlib import Path

LOCK_FILE: Final = "lock"
_PATIENCE_S: Final = 0.2
"""A reader that asks whether the journal is live holds the lock for an instant."""


class WriterLock:
    """The exclusive lock of the journal in `folder`."""

    def __init__(self, folder: Path) -> None:
        """Take it, or raise `JournalLockedError`."""
        self._fd = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() < deadline:
                    time.sleep(_PATIENCE_S / 20)
                    continue
                holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
                os.close(self._fd)
                raise JournalLockedError(f"{folder} is written by process {holder or 'unknown'}") from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let it go; further calls do nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_live(folder: Path) -> bool:
    """Tell whether a writer holds the journal in `folder`, here or in another process."""
    try:
        fd = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
