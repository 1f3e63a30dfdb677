"""Where the venue keeps what: the folders under one data directory.

Invariant: every path is derived here and nowhere else; secrets and sockets lie in folders only the owner may enter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = 0o700
"""Mode of the folders that hold keys and sockets."""


@dataclass(frozen=True, slots=True)
class DataDir:
    """The folders of one venue under `root`."""

    root: Path

    @property
    def journal(self) -> Path:
        """The log of commands: the one thing that can't be made again."""
        return self.root / "journal"

    @property
    def events(self) -> Path:
        """The event store, derived from the journal."""
        return self.root / "events"

    @property
    def snapshots(self) -> Path:
        """Snapshots of the state, derived from the journal."""
        return self.root / "snapshots"

    @property
    def keys(self) -> Path:
        """Private keys."""
        return self.root / "keys"

    @property
    def run(self) -> Path:
        """Unix sockets and what else lives only while processes do."""
        return self.root / "run"

    @property
    def fix(self) -> Path:
        """Outbound numbers of the FIX sessions, which nothing else has."""
        return self.root / "fix"

    @property
    def settlement(self) -> Path:
        """The books and records, unless they are in a database elsewhere; derived from the journal."""
        return self.root / "settlement"

    def create(self) -> None:
        """Make the folders that are missing."""
        for folder in (self.journal, self.events, self.snapshots):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.keys, self.run):
            folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            folder.chmod(PRIVATE)
