"""What an operator chooses of the web gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kk99.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

CONNECTIONS_MAX: Final = 20_000
PER_MINUTE_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Where it listens, what it allows: `per_minute` requests of an address, `connections_max` at once, `origins`."""

    address: str
    """The engine: folder of its sockets, or tcp://host:port."""
    data: Path
    host: str = "127.0.0.1"
    port: int = 8080
    per_minute: int = 1_000
    connections_max: int = 4_096
    origins: tuple[str, ...] = ()
    """Origins whose pages may read the answers (CORS); none by default."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise InputError(f"port = {self.port}: a port is 0 to 65535, 0 for any that is free")
        if not 1 <= self.per_minute <= PER_MINUTE_MAX:
            raise InputError(f"per_minute = {self.per_minute}: it is 1 to {PER_MINUTE_MAX}")
        if not 1 <= self.connections_max <= CONNECTIONS_MAX:
            raise InputError(f"connections_max = {self.connections_max}: it is 1 to {CONNECTIONS_MAX}")
