"""The venue's Ed25519 key: made on first use, readable by its owner only, and lines of JSON signed with it.

A service manager may hand the key over instead: what stands in its folder of credentials is taken before the file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from journal.storage import write_durably
from kk99.errors import InputError

KEY_FILE: Final = "journal.ed25519"
KEY_BYTES: Final = 32
_PRIVATE: Final = 0o600


def load_or_create(folder: Path) -> Ed25519PrivateKey:
    """Return the key in `folder`, making it (mode 0600) if there is none; a key others may read raises `InputError`.

    A file of the same name in CREDENTIALS_DIRECTORY, which the service manager guards, comes before it.
    """
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    if given and (Path(given) / KEY_FILE).exists():
        return _key_of(Path(given) / KEY_FILE)
    path = folder / KEY_FILE
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, Ed25519PrivateKey.generate().private_bytes_raw(), _PRIVATE)
    if path.stat().st_mode & 0o077:
        raise InputError(f"{path} may be read by others: chmod 600 it, or replace it if they did")
    return _key_of(path)


def _key_of(path: Path) -> Ed25519PrivateKey:
    data = path.read_bytes()
    if len(data) != KEY_BYTES:
        raise InputError(f"{path} does not hold an Ed25519 key of {KEY_BYTES} bytes")
    return Ed25519PrivateKey.from_private_bytes(data)


def sign(fields: dict[str, Any], key: Ed25519PrivateKey) -> str:
    """Return the fields with public key and signature as one line of JSON, keys sorted."""
    signed = {**fields, "public_key": key.public_key().public_bytes_raw().hex()}
    return _canonical({**signed, "signature": key.sign(_canonical(signed).encode()).hex()})


def check(text: str, public_key: Ed25519PublicKey | None = None) -> dict[str, Any]:
    """Return the fields of a line that `sign` made; `InputError` if it isn't one, or was changed.

    With `public_key`, the line must be signed with that key; else the key it names itself is taken.
    """
    try:
        fields = json.loads(text)
        signature = bytes.fromhex(fields.pop("signature"))
        named = bytes.fromhex(fields["public_key"])
        key = public_key or Ed25519PublicKey.from_public_bytes(named)
        key.verify(signature, _canonical(fields).encode())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("not a signed line of JSON") from error
    except InvalidSignature as error:
        raise InputError("the signature does not fit: the text was changed, or signed with another key") from error
    if named != key.public_bytes_raw():
        raise InputError("the line names another public key than the one it was signed with")
    return dict(fields)


def _canonical(fields: dict[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))
