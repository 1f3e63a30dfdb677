"""The gateway's settings: where it listens, its bounds, and every FIX session with its accounts and its credential.

Invariants: every setting has a default or is required, and bounds; an unknown key, a wrong type or a value out of
bounds is refused with an `InputError` that names the file and the key; a password is only ever kept as its scrypt hash.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import hmac
import ipaddress
import os
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateways.fix.codec import MESSAGE_BYTES_DEFAULT, MESSAGE_BYTES_MAX
from gateways.fix.states import SECOND_NS, Limits
from kk99.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

ENGINE_SESSION_PREFIX: Final = "fix/"
_COMP_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,27}")
"""What fits, after the prefix, into the name of an engine session, and into the name of a file."""
_SCRYPT_COST: Final = 1 << 14
_SCRYPT_COST_MAX: Final = 1 << 17
_SCRYPT_BLOCK: Final = 8
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """One FIX session: the counterparty's names, what it must prove, what it may do."""

    comp_id: str
    """Its SenderCompID."""
    password: str
    """Hash of its Password (554), as `kk99 gateway password` makes it."""
    accounts: tuple[str, ...]
    """Accounts it trades for; the first is meant when a message names none."""
    username: str = ""
    """Its Username (553); by default it need not send one, or its SenderCompID."""
    venue_comp_id: str = ""
    """The TargetCompID that it uses; by default the gateway's."""
    addresses: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks that it may come from."""
    newer_tags: bool = False
    """Whether it gets, and may send, tags that are newer than FIX 4.4."""
    microseconds: bool = False
    """Whether its timestamps have microseconds instead of milliseconds."""
    cancel_on_disconnect: bool = False
    """Whether all its orders are canceled when its connection ends."""

    @property
    def engine_session(self) -> str:
        """The name of the engine's session that it is bound to."""
        return ENGINE_SESSION_PREFIX + self.comp_id

    def may_come_from(self, address: str) -> bool:
        """Return whether a connection from an address may log on as this session."""
        found = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in ipaddress.ip_network(network) for network in self.addresses)


@dataclass(frozen=True, slots=True)
class FixSettings:
    """The table [fix], and its sessions."""

    listen: str = "127.0.0.1:9878"
    """host:port; there is no encryption here: a private network, or a TLS proxy in front."""
    comp_id: str = "KK99"
    """Our SenderCompID."""
    accuracy_s: float = 120.0
    logon_s: float = 10.0
    message_bytes: int = MESSAGE_BYTES_DEFAULT
    """A longer message is garbled."""
    output_bytes: int = 8 << 20
    """What may wait for a counterparty that does not read; beyond it its connection is closed."""
    connections_max: int = 1_024
    connections_per_address: int = 64
    sessions: tuple[SessionSettings, ...] = ()

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


_BOUNDS: Final = {
    "accuracy_s": (0.1, 86_400.0), "logon_s": (0.1, 600.0), "message_bytes": (256, MESSAGE_BYTES_MAX),
    "output_bytes": (1 << 16, 1 << 30), "connections_max": (1, 65_536), "connections_per_address": (1, 65_536),
}  # fmt: skip


def load(path: Path) -> FixSettings:
    """Read the settings from a TOML file, or raise `InputError`."""
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from error
    if unknown := sorted(set(document) - {"fix", "sessions"}):
        raise InputError(f"{path}: unknown key {unknown[0]!r}; here are [fix] and [[sessions]]")
    table, rows = document.get("fix", {}), document.get("sessions", [])
    if not isinstance(table, dict) or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: [fix] is a table, [[sessions]] are tables")
    try:
        sessions = tuple(_session(row, number) for number, row in enumerate(rows, 1))
        settings = FixSettings(**_checked(FixSettings, table, {"sessions"}, "[fix]"), sessions=sessions)
        _check(settings)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return settings


def hash_password(password: str) -> str:
    """Return what the settings keep of a password."""
    salt = os.urandom(_SALT_BYTES)
    key = _scrypt(password, salt, _SCRYPT_COST)
    return "$".join(("scrypt", str(_SCRYPT_COST), *(base64.b64encode(part).decode() for part in (salt, key))))


def is_password(password: str, kept: str) -> bool:
    """Return whether a password is the one that a hash was made of; takes some tens of milliseconds, always."""
    cost, salt, key = _hash_parts(kept)
    return hmac.compare_digest(_scrypt(password, salt, cost), key)


def _scrypt(password: str, salt: bytes, cost: int) -> bytes:
    memory = 256 * _SCRYPT_BLOCK * cost
    return hashlib.scrypt(
        password.encode(errors="replace"), salt=salt, n=cost, r=_SCRYPT_BLOCK, p=1, maxmem=memory, dklen=_HASH_BYTES
    )


def _hash_parts(kept: str) -> tuple[int, bytes, bytes]:
    """Return cost, salt and key of a hash, or raise `InputError`."""
    parts = kept.split("$")
    try:
        name, cost_text, salt_text, key_text = parts
        cost, salt, key = int(cost_text), base64.b64decode(salt_text, validate=True), base64.b64decode(key_text)
    except (ValueError, binascii.Error) as error:
        raise InputError("a password is kept as `kk99 gateway password` prints it") from error
    if name != "scrypt" or not 2 <= cost <= _SCRYPT_COST_MAX or cost & (cost - 1) or len(key) != _HASH_BYTES:
        raise InputError("a password is kept as `kk99 gateway password` prints it")
    return cost, salt, key


def _session(row: dict[str, Any], number: int) -> SessionSettings:
    where = f"[[sessions]] {number}"
    for key in ("comp_id", "password", "accounts"):
        if key not in row:
            raise InputError(f"{where}: {key} is missing")
    session = SessionSettings(**_checked(SessionSettings, row, set(), where))
    for comp_id in (session.comp_id, session.venue_comp_id or "x"):
        if not _COMP_ID.fullmatch(comp_id):
            raise InputError(
                f"{where}: {comp_id!r} is no CompID: 1 to 28 of A-Z a-z 0-9 . _ -, a letter or digit first"
            )
    if not session.accounts:
        raise InputError(f"{where}: accounts is empty")
    _hash_parts(session.password)
    for network in session.addresses:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise InputError(f"{where}: addresses: {error}") from error
    return session


def _check(settings: FixSettings) -> None:
    for key, (low, high) in _BOUNDS.items():
        if not low <= getattr(settings, key) <= high:
            raise InputError(f"{key} = {getattr(settings, key)}: must be from {low} to {high}")
    port = settings.listen.rpartition(":")[2]
    if not settings.host or not port.isdecimal() or int(port) > 65_535:
        raise InputError(f"listen = {settings.listen!r}: must be host:port")
    if not _COMP_ID.fullmatch(settings.comp_id):
        raise InputError(f"comp_id = {settings.comp_id!r}: 1 to 28 of A-Z a-z 0-9 . _ -, a letter or digit first")
    names = [session.comp_id for session in settings.sessions]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"[[sessions]]: comp_id {twice[0]!r} is there twice")


def _checked(kind: type[Any], given: dict[str, Any], not_here: set[str], where: str) -> dict[str, Any]:
    """Return the values converted to the fields' types."""
    types = {field.name: str(field.type) for field in dataclasses.fields(kind) if field.name not in not_here}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in types:
            raise InputError(f"{where}: unknown key {key!r}; known are {', '.join(types)}")
        wanted = types[key]
        if wanted.startswith("tuple") and isinstance(value, list) and all(isinstance(item, str) for item in value):
            values[key] = tuple(value)
        elif wanted == "float" and isinstance(value, int | float) and not isinstance(value, bool):
            values[key] = float(value)
        elif type(value).__name__ == wanted:
            values[key] = value
        else:
            raise InputError(f"{where}: {key} = {value!r}: must be of type {wanted.replace('tuple[str, ...]', 'list')}")
    return values
