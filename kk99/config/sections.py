"""Every setting an operator edits, one section a process: a frozen dataclass for each table of the TOML file.

Invariants: every setting has a default, a unit in its name where it has one, bounds where it is a number, and a
sentence below it, which the reference page shows.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kk99.errors import InputError

_IPC_PATH_BYTES_MAX: Final = 107 - len("/submit")
"""What the kernel allows for the path of a socket, less the longest file name in the folder."""
_PROCESSES_MAX: Final = 64


def _bounded(default: float, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def _check_bounds(settings: Any) -> None:
    for one in dataclasses.fields(settings):
        if "low" in one.metadata:
            low, high = one.metadata["low"], one.metadata["high"]
            if not low <= getattr(settings, one.name) <= high:
                raise InputError(f"{one.name} = {getattr(settings, one.name)}: must be from {low} to {high}")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The engine, with its journal, event store and snapshots."""

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
        _check_bounds(self)
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


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """The exporter, which serves the figures of all processes to Prometheus."""

    listen: str = "127.0.0.1:9464"
    """host:port of HTTP. Unencrypted and open to all who reach it: loopback or a private network."""
    processes: tuple[str, ...] = ("engine",)
    """Processes that must run: `kk99_process_up` of one that does not report is 0."""

    def __post_init__(self) -> None:
        """Check every bound."""
        port = self.listen.rpartition(":")[2]
        if not self.host or not port.isdecimal() or int(port) > 65_535:
            raise InputError(f"listen = {self.listen!r}: must be host:port with a port from 0 to 65535")
        if len(self.processes) > _PROCESSES_MAX:
            raise InputError(f"processes: {len(self.processes)} names where {_PROCESSES_MAX} are allowed")

    @property
    def host(self) -> str:
        """The host of `listen`, without brackets."""
        return self.listen.rpartition(":")[0].removeprefix("[").removesuffix("]")

    @property
    def port(self) -> int:
        """The port of `listen`; 0: the system chooses one."""
        return int(self.listen.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Settings:
    """All sections, by the name of their table."""

    engine: EngineSettings = field(default_factory=EngineSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)


SECTIONS: Final[dict[str, type[Any]]] = {"engine": EngineSettings, "metrics": MetricsSettings}
"""The dataclass of each section that is not a gateway's; theirs stand in the gateways."""
NAMES: Final = (*SECTIONS, "fix", "settlement")
"""Every section that a file may have and variables of the environment may name."""
