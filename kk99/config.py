"""Settings an operator edits: TOML read into checked, frozen dataclasses.

Invariants: every setting has a default, a unit in its name and bounds; an unknown key, a wrong type or a value out of
bounds is refused with an `InputError` that names the file, the key and what is allowed.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kk99.errors import InputError

_IPC_PATH_BYTES_MAX: Final = 107 - len("/submit")
"""What the kernel allows for the path of a socket, less the longest file name in the folder."""


def _bounded(default: float, low: float, high: float) -> Any:
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings of the engine daemon: the table [engine] of its TOML file."""

    data_dir: Path = Path("var")
    """Journal, event store and snapshots live in here."""
    run_dir: Path | None = None
    """Folder of the ipc sockets, made with mode 0700; by default `run` in `data_dir`."""
    endpoint: str = ""
    """`tcp://host:port` to listen on instead (and the two ports after it). Unencrypted: for loopback or a private
    link."""

    ring_rows: int = _bounded(65_536, 4_096, 1 << 22)
    """Commands under way, a power of two; a frame of the largest size must fit. Beyond them clients are told "busy"."""
    ring_tail_bytes: int = _bounded(64 << 20, 16 << 20, 1 << 32)
    """Documents under way."""
    batch_rows: int = _bounded(4_096, 1, 4_096)
    """Rows of a journaled batch at most."""
    commit_batches: int = _bounded(8, 1, 64)
    """Batches that share a commit at most."""
    output_bytes: int = _bounded(128 << 20, 1 << 16, 1 << 34)
    """Events that wait for durability or for the event store; beyond them the core waits."""
    events_hwm: int = _bounded(256, 1, 1 << 20)
    """Frames kept for a slow subscriber before it misses some (and catches up from the event store)."""
    submit_hwm: int = _bounded(256, 1, 1 << 20)
    """Frames kept for each client before the transport itself slows it."""
    images_waiting: int = _bounded(4, 1, 64)
    """Clients that may wait for an image at a time."""

    lease_s: float = _bounded(10.0, 0.05, 3_600.0)
    """A session not heard of for so long is lost."""
    clock_jump_s: float = _bounded(60.0, 0.1, 86_400.0)
    """A jump of the clock beyond this stops ingress until an operator confirms."""
    event_store_sync_s: float = _bounded(5.0, 0.05, 3_600.0)
    """How often the event store is synced to disk."""
    event_store_bytes: int = _bounded(32 << 30, 1 << 20, 48 << 30)
    """The oldest events leave the event store beyond this; who is further behind takes an image."""
    drain_s: float = _bounded(30.0, 0.1, 600.0)
    """How long a shutdown may take to finish what was accepted."""
    disk_reserve_bytes: int = _bounded(1 << 30, 0, 1 << 50)
    """Ingress is refused when the disk has less than this left."""

    snapshot_commands: int = _bounded(1_000_000, 0, 1 << 50)
    """Commands between two snapshots; 0 for none."""
    snapshot_at_stop: bool = True
    """Whether a shutdown ends with a snapshot."""
    snapshots_kept: int = _bounded(3, 1, 1_000)
    """Older ones are pruned."""
    check_all_batches: int = _bounded(0, 0, 1 << 50)
    """Batches between two full recounts of the ledger (each batch has the cheap check); 0 for none."""

    def __post_init__(self) -> None:
        """Check every bound."""
        for field in dataclasses.fields(self):
            if "low" in field.metadata:
                low, high = field.metadata["low"], field.metadata["high"]
                if not low <= getattr(self, field.name) <= high:
                    raise InputError(f"{field.name} = {getattr(self, field.name)}: must be from {low} to {high}")
        if self.ring_rows & (self.ring_rows - 1):
            raise InputError(f"ring_rows = {self.ring_rows}: must be a power of two")
        if self.endpoint and not _is_tcp(self.endpoint):
            raise InputError(f"endpoint = {self.endpoint!r}: must be tcp://host:port with a port from 1 to 65533")
        if not self.endpoint and len(str(self.sockets_dir).encode()) > _IPC_PATH_BYTES_MAX:
            raise InputError(f"run_dir = {self.sockets_dir}: a socket's path is limited; choose a shorter one")

    @property
    def sockets_dir(self) -> Path:
        """The folder of the ipc sockets."""
        return (self.run_dir or self.data_dir / "run").absolute()

    @property
    def address(self) -> str:
        """Where clients connect: the endpoint if there is one, else the folder of the sockets."""
        return self.endpoint or str(self.sockets_dir)


def _is_tcp(endpoint: str) -> bool:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return endpoint.startswith("tcp://") and bool(host) and port.isdecimal() and 1 <= int(port) <= 65_533


def load_engine(path: Path | None, **overrides: Any) -> EngineSettings:
    """Return the engine's settings from a TOML file (None: the defaults), with overrides (None: not given) on top.

    Relative folders in the file are relative to the folder the file is in. Raises `InputError`.
    """
    given = {} if path is None else _table(path, "engine")
    values = _checked(EngineSettings, given, path)
    if path is not None:
        for key in ("data_dir", "run_dir"):
            if key in values:
                values[key] = path.parent / values[key]
    values |= {key: value for key, value in overrides.items() if value is not None}
    try:
        return EngineSettings(**values)
    except InputError as error:
        raise InputError(f"{path or 'settings'}: {error}") from error


def _table(path: Path, name: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from error
    unknown = sorted(set(document) - {name})
    if unknown:
        raise InputError(f"{path}: unknown key {unknown[0]!r}; the only table here is [{name}]")
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise InputError(f"{path}: {name} is not a table")
    return table


def _checked(kind: type[EngineSettings], given: dict[str, Any], path: Path | None) -> dict[str, Any]:
    """Return the values converted to the fields' types."""
    fields = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in fields:
            raise InputError(f"{path}: unknown key {key!r}; known are {', '.join(fields)}")
        values[key] = _converted(value, fields[key], f"{path}: {key} = {value!r}")
    return values


def _converted(value: Any, wanted: str, where: str) -> Any:
    if wanted == "bool" and isinstance(value, bool):
        return value
    if wanted == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if wanted == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if wanted == "str" and isinstance(value, str):
        return value
    if wanted.startswith("Path") and isinstance(value, str) and value:
        return Path(value)
    raise InputError(f"{where}: must be of type {wanted.removesuffix(' | None').replace('Path', 'text (a folder)')}")
