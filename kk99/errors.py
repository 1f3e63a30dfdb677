"""The one tree of operational errors.

::

    KK99Error
    ├── InvariantError        the program is wrong: stop, restart, replay
    ├── JournalError          the journal can't be read, written or trusted
    │   ├── JournalLockedError    another engine holds it
    │   ├── CorruptionError       a stretch is damaged; `seq` says where
    │   └── ReleaseError          another release wrote it, and must read it; `seq` says from where
    ├── SnapshotError         a snapshot is damaged, of another schema, or of another venue
    ├── EngineError           the engine can't start or go on
    ├── ClientError           the engine refused, or can't be reached
    │   └── BusyError             the engine is full: send again from the number given
    └── InputError            a file or an argument is wrong; the text says what to do
"""

from __future__ import annotations


class KK99Error(Exception):
    """Root of all operational errors."""


class InvariantError(KK99Error):
    """A broken invariant: the process must stop."""


class JournalError(KK99Error):
    """The journal can't be read, written or trusted."""


class JournalLockedError(JournalError):
    """Another process writes this journal."""


class CorruptionError(JournalError):
    """A stretch of the journal is damaged."""

    def __init__(self, seq: int, message: str) -> None:
        """Say what is wrong from which sequence on."""
        super().__init__(f"at seq {seq}: {message}")
        self.seq = seq


class ReleaseError(JournalError):
    """A stretch of the journal needs another release of the program."""

    def __init__(self, seq: int, message: str) -> None:
        """Say which release is needed from which sequence on."""
        super().__init__(f"at seq {seq}: {message}")
        self.seq = seq


class SnapshotError(KK99Error):
    """A snapshot is damaged, of another schema, or of another venue."""


class EngineError(KK99Error):
    """The engine can't start or go on."""


class ClientError(KK99Error):
    """The engine refused, or can't be reached."""


class BusyError(ClientError):
    """The engine is full: send again from `client_seq`."""

    def __init__(self, client_seq: int) -> None:
        """Say from which client sequence to send again."""
        super().__init__(f"busy: send again from client sequence {client_seq}")
        self.client_seq = client_seq


class InputError(KK99Error):
    """A file or an argument is wrong; the text says what to do."""
