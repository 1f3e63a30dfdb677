"""Who may give orders and which need a second person: `operators.toml` beside the settings, and each one's own key.

::

    expire_s = 3600                     # a proposal lives so long
    second_person = ["deposit", "bust"] # orders that somebody else must approve
    [operators]
    anna = "<public key>"               # as `kk99 approvals key` prints it
    ben = "<public key>"

Invariants: without that file whoever may enter the engine's folder of sockets may give any order, and names himself;
with it, an order counts only with the signature of the person it names, and nobody is his own second person.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from journal import keys
from journal.storage import write_durably
from kk99.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

OPERATORS_FILE: Final = "operators.toml"
MONEY_AND_TRADES: Final = ("deposit", "withdraw", "bust", "correct", "kill", "reference-price")
"""What needs a second person unless the file says otherwise."""
EXPIRE_S: Final = 3_600
EXPIRE_S_MIN: Final = 60
EXPIRE_S_MAX: Final = 7 * 86_400
ACTOR_CHARS_MAX: Final = 64
REASON_CHARS_MAX: Final = 256
"""As the documents that carry them."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may give orders, and which of them need a second person; without operators, nobody is asked."""

    operators: dict[str, Ed25519PublicKey]
    second_person: frozenset[str]
    expire_s: int

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who he is."""
        return not self.operators

    def check(self, text: str, actor: str) -> dict[str, Any]:
        """Return the fields of a line that `actor` signed, or raise `InputError`."""
        fields = keys.check(text, self._key_of(actor))
        if fields.get("actor") != actor:
            raise InputError(f"the line is signed by {actor} and names another as actor")
        return fields

    def sign(self, fields: dict[str, Any], key_file: Path) -> str:
        """Return the fields as a line signed by the actor they name, whose private key is in the file."""
        key = load_key(key_file)
        text = keys.sign(fields, key)
        if not self.is_open and keys.check(text)["public_key"] != raw(self._key_of(fields["actor"])):
            raise InputError(f"{key_file} is not the key of {fields['actor']} in {OPERATORS_FILE}")
        return text

    def _key_of(self, actor: str) -> Ed25519PublicKey:
        if actor not in self.operators:
            raise InputError(
                f"{actor!r} is no operator of this venue; {OPERATORS_FILE} has {', '.join(self.operators)}"
            )
        return self.operators[actor]


OPEN: Final = Policy({}, frozenset(), EXPIRE_S)


def raw(key: Ed25519PublicKey) -> str:
    """Return a public key as hexadecimal."""
    return key.public_bytes_raw().hex()


def read_policy(path: Path, verbs: Collection[str]) -> Policy:
    """Return what the file says (no file: `OPEN`), or raise `InputError`; `verbs` are the orders there are."""
    if not path.exists():
        return OPEN
    try:
        return policy_of(tomllib.loads(path.read_text()), verbs)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def policy_of(document: dict[str, Any], verbs: Collection[str]) -> Policy:
    """Return the policy that a parsed file states, or raise `InputError`."""
    if unknown := sorted(set(document) - {"expire_s", "second_person", "operators"}):
        raise InputError(f"unknown key {unknown[0]!r}; known are expire_s, second_person, operators")
    expire_s = document.get("expire_s", EXPIRE_S)
    if type(expire_s) is not int or not EXPIRE_S_MIN <= expire_s <= EXPIRE_S_MAX:
        raise InputError(f"expire_s = {expire_s!r}: must be a whole number from {EXPIRE_S_MIN} to {EXPIRE_S_MAX}")
    second = document.get("second_person", list(MONEY_AND_TRADES))
    if not isinstance(second, list) or not all(isinstance(verb, str) for verb in second):
        raise InputError("second_person must be a list of orders")
    if wrong := sorted(set(second) - set(verbs)):
        raise InputError(f"second_person has {wrong[0]!r}; the orders are {', '.join(verbs)}")
    operators = document.get("operators", {})
    if not isinstance(operators, dict) or not operators:
        raise InputError("operators must be a table of names and public keys")
    if second and len(operators) == 1:
        raise InputError("second_person needs a second operator: add one, or set second_person = []")
    return Policy({check_actor(name): _public_key(name, text) for name, text in operators.items()},
                  frozenset(second), expire_s)  # fmt: skip


def _public_key(name: str, text: Any) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"the key of {name} is not the 64 hexadecimal digits that `kk99 approvals key` prints"
        ) from error


def check_actor(actor: str) -> str:
    """Return the name of an actor, or raise `InputError`."""
    if not actor.strip() or len(actor) > ACTOR_CHARS_MAX or not actor.isprintable():
        raise InputError(f"who orders it is missing or odd: give --actor, a name of at most {ACTOR_CHARS_MAX} letters")
    return actor


def check_reason(reason: str) -> str:
    """Return a reason, or raise `InputError`."""
    if not reason.strip() or len(reason) > REASON_CHARS_MAX or not reason.isprintable():
        raise InputError(f"why is missing or odd: give --reason, a line of at most {REASON_CHARS_MAX} letters")
    return reason


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key in a file, which only its owner may read, or raise `InputError`."""
    try:
        data, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; `kk99 approvals key` makes yours") from error
    if mode & 0o077:
        raise InputError(f"{path} may be read by others: chmod 600 it, or make another with `kk99 approvals key`")
    if len(data) != keys.KEY_BYTES:
        raise InputError(f"{path} does not hold an Ed25519 key of {keys.KEY_BYTES} bytes")
    return Ed25519PrivateKey.from_private_bytes(data)


def make_key(path: Path) -> str:
    """Make a private key in a file if there is none, mode 0600; return its public key in hexadecimal."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, Ed25519PrivateKey.generate().private_bytes_raw(), 0o600)
    return raw(load_key(path).public_key())
