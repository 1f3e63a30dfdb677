"""The gateway's settings from its file, and those of each FIX session from its identity in the journal.

Invariants: every setting has a default and bounds; an unknown key, a wrong type or a value out of bounds is refused
with an `InputError` that names the file and the key; who may log on is no setting of the file but the venue's to say.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateways.fix.codec import MESSAGE_BYTES_DEFAULT, MESSAGE_BYTES_MAX
from gateways.fix.states import SECOND_NS, Limits
from kk99 import config
from kk99.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENGINE_SESSION_PREFIX: Final = "fix/"
IDENTITY_KIND: Final = "fix_session"
BLOCKED: Final = "BLOCKED"
_COMP_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,28}")
TRADING: Final = "trading"
MARKET_DATA: Final = "market_data"
DROP_COPY: Final = "drop_copy"
ADMIN: Final = "admin"
_REQUESTS: Final = {8013: ("cancel_on_disconnect", "Y"), 8014: ("newer_tags", "Y"), 8015: ("microseconds", "6")}
LOGON_REQUESTS: Final = tuple(_REQUESTS)
"""What a Logon may ask for, whatever the identity says: cancel on disconnect, newer tags, decimal places of times."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """One FIX session: the counterparty's names, what it must prove, what it may do."""

    comp_id: str
    """Its SenderCompID."""
    credential: str
    """argon2id hash of its Password (554); "": its certificate is enough."""
    accounts: tuple[str, ...]
    """Accounts it acts for; with one alone a message need not name it."""
    role: str = TRADING
    is_blocked: bool = False
    username: str = ""
    """Its Username (553); by default it need not send one, or its SenderCompID."""
    venue_comp_id: str = ""
    """The TargetCompID that it uses; by default the gateway's."""
    addresses: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks that it may come from."""
    certificates: tuple[str, ...] = ()
    """SHA-256 of the TLS certificates of which it must show one; none: it need not."""
    cancel_on_disconnect: bool = False
    """Whether all its orders are canceled when its connection ends."""
    messages_per_s: int = 0
    """Application messages it may send in the long run; 0: no limit."""
    messages_burst: int = 1
    newer_tags: bool = False
    """Whether it gets, and may send, tags that are newer than FIX 4.4."""
    microseconds: bool = False
    """Whether its timestamps have microseconds instead of milliseconds."""

    @classmethod
    def of(cls, identity: Mapping[str, Any]) -> SessionSettings:
        """Return what the document of an identity, as the journal has it, says."""
        flags = ("cancel_on_disconnect", "newer_tags", "microseconds")
        lists = ("accounts", "addresses", "certificates")
        same = ("credential", "role", "username", "venue_comp_id", "messages_per_s", "messages_burst")
        values: dict[str, Any] = {name: identity[name] for name in same}
        values |= {name: bool(identity[name]) for name in flags} | {name: tuple(identity[name]) for name in lists}
        return cls(comp_id=identity["name"], is_blocked=identity["state"] == BLOCKED, **values)

    def identity(self) -> dict[str, Any]:
        """Return the fields of the identity that says this."""
        fields = dataclasses.asdict(self)
        name, is_blocked = fields.pop("comp_id"), fields.pop("is_blocked")
        state = BLOCKED if is_blocked else "ACTIVE"
        flags = {key: int(value) if isinstance(value, bool) else value for key, value in fields.items()}
        return {"name": name, "kind": IDENTITY_KIND, "state": state, **flags}

    @property
    def engine_session(self) -> str:
        """The name of the engine's session that it is bound to."""
        return ENGINE_SESSION_PREFIX + self.comp_id

    def may_come_from(self, address: str) -> bool:
        """Return whether a connection from an address may log on as this session."""
        found = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in ipaddress.ip_network(network) for network in self.addresses)

    def as_asked(self, requests: Mapping[int, str]) -> SessionSettings:
        """Return what holds for a connection whose Logon asks for these, by tag: see `LOGON_REQUESTS`."""
        changes: dict[str, Any] = {
            name: requests[tag] == yes for tag, (name, yes) in _REQUESTS.items() if tag in requests
        }
        return dataclasses.replace(self, **changes)

    def in_force(self, new: SessionSettings) -> SessionSettings:
        """Return what holds for a connection that is there when the session gets other settings.

        What it may do changes at once; by which names and in which form the two sides speak, with the next Logon.
        """
        changed = ("accounts", "role", "is_blocked", "cancel_on_disconnect", "messages_per_s", "messages_burst")
        return dataclasses.replace(self, **{name: getattr(new, name) for name in changed})


class EngineSessions:
    """The names of all engine sessions that FIX sessions are bound to."""

    def __contains__(self, name: object) -> bool:
        """Whether the name is one of them."""
        return isinstance(name, str) and name.startswith(ENGINE_SESSION_PREFIX)


_BOUNDS: Final = {
    "accuracy_s": (0.1, 86_400.0), "logon_s": (0.1, 600.0), "message_bytes": (256, MESSAGE_BYTES_MAX),
    "output_bytes": (1 << 16, 1 << 30), "connections_max": (1, 65_536), "connections_per_address": (1, 65_536),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FixSettings:
    """The table [fix]."""

    listen: str = "127.0.0.1:9878"
    """host:port."""
    comp_id: str = "KK99"
    """Our SenderCompID."""
    tls_certificate: str = ""
    """PEM file of our certificate and those that lead to it; "": no TLS."""
    tls_key: str = ""
    """PEM file of its key; "": it is in the same file."""
    tls_client_ca: str = ""
    """PEM file of those who sign certificates of counterparties, or of these themselves; "": none are asked for."""
    tls_client_required: bool = False
    """Whether every counterparty must show one."""
    accuracy_s: float = 120.0
    """How far SendingTime (52) may be from the venue's clock."""
    logon_s: float = 10.0
    """Within this a connection must have logged on."""
    message_bytes: int = MESSAGE_BYTES_DEFAULT
    """A longer message is garbled."""
    output_bytes: int = 8 << 20
    """What may wait for a counterparty that does not read."""
    connections_max: int = 1_024
    """Further connections are closed at once."""
    connections_per_address: int = 64
    """The same, of one address."""

    def __post_init__(self) -> None:
        """Check every bound."""
        for key, (low, high) in _BOUNDS.items():
            if not low <= getattr(self, key) <= high:
                raise InputError(f"{key} = {getattr(self, key)}: must be from {low} to {high}")
        port = self.listen.rpartition(":")[2]
        if not self.host or not port.isdecimal() or int(port) > 65_535:
            raise InputError(f"listen = {self.listen!r}: must be host:port")
        if not _COMP_ID.fullmatch(self.comp_id):
            raise InputError(f"comp_id = {self.comp_id!r}: 1 to 28 of A-Z a-z 0-9 . _ -")
        for key, needed in (("tls_key", "tls_certificate"), ("tls_client_ca", "tls_certificate")):
            if getattr(self, key) and not getattr(self, needed):
                raise InputError(f"{key} is set, but not {needed}")
        if self.tls_client_required and not self.tls_client_ca:
            raise InputError("tls_client_required is set, but not tls_client_ca")

    @property
    def host(self) -> str:
        """The host of `listen`, without brackets."""
        return self.listen.rpartition(":")[0].removeprefix("[").removesuffix("]")

    @property
    def port(self) -> int:
        """The port of `listen`; 0: the system chooses one."""
        return int(self.listen.rpartition(":")[2])

    @property
    def limits(self) -> Limits:
        """The bounds of the session layer."""
        return Limits(accuracy_ns=int(self.accuracy_s * SECOND_NS), logon_ns=int(self.logon_s * SECOND_NS))

    def target_of(self, session: SessionSettings) -> str:
        """Return the TargetCompID that a session uses."""
        return session.venue_comp_id or self.comp_id


def load(path: Path) -> FixSettings:
    """Return the table [fix] of a TOML file with what the environment says over it, or raise `InputError`."""
    return config.section(path, "fix", FixSettings)[0]
