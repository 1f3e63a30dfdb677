"""The gateway's settings: which database, and how events are gathered into transactions.

Invariants: every setting has a default and bounds; an unknown key, a wrong type or a value out of bounds is refused
with an `InputError` that names the key; a password is read from a file of its own, never kept beside the rest.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the fields' types are looked at
from typing import Any, Final

from gateways.settlement.database import Database
from kk99 import config
from kk99.errors import InputError
from kk99.protocol import NAME_BYTES_MAX

BOOKS_FILE: Final = "books.db"


def _bounded(default: float, low: float, high: float) -> Any:
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True)
class SettlementSettings:
    """The table [settlement]."""

    url: str = ""
    """The database: `sqlite:////path/of/file` or `postgresql://user@host/name`; by default SQLite in the venue's data
    folder."""
    password_file: Path | None = None
    """A file with the password of a PostgreSQL user, and nothing else."""
    transaction_events: int = _bounded(32_768, 1, 1 << 20)
    """Events that one transaction takes, about."""
    wait_s: float = _bounded(0.05, 0.0, 10.0)
    """How long an event waits at most for others to share its transaction."""
    settle: bool = False
    """Whether the gateway settles what is due, by commands; only one gateway of a venue should."""
    session: str = "settlement"
    """The session under whose name it does."""
    retry_s: float = _bounded(3_600.0, 1.0, 604_800.0)
    """How long after an obligation failed to settle it is tried again."""
    penalty_ppm: int = _bounded(0, 0, 1_000_000)
    """What a failed obligation costs the venue for each day after its value date, in millionths of what is owed."""

    def __post_init__(self) -> None:
        """Check every bound."""
        for field in dataclasses.fields(self):
            if "low" in field.metadata:
                low, high = field.metadata["low"], field.metadata["high"]
                if not low <= getattr(self, field.name) <= high:
                    raise InputError(f"{field.name} = {getattr(self, field.name)}: must be from {low} to {high}")
        if not 1 <= len(self.session.encode()) <= NAME_BYTES_MAX:
            raise InputError(f"session = {self.session!r}: must be 1 to {NAME_BYTES_MAX} bytes")

    def open(self, folder: Path, *, is_writer: bool = False) -> Database:
        """Return the database; `folder` is where the books lie by default. Raises `InputError`."""
        url = self.url or f"sqlite:///{folder.absolute() / BOOKS_FILE}"
        password = ""
        if self.password_file is not None:
            try:
                password = self.password_file.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"password_file = {self.password_file}: {error}") from error
        return Database(url, password, is_writer=is_writer)


def load(path: Path | None) -> SettlementSettings:
    """Return the table [settlement] of a TOML file (None: the defaults) with the environment's values over it.

    Raises `InputError`.
    """
    return config.section(path, "settlement", SettlementSettings)[0]
