"""`kk99 vault fetch`: secrets from HashiCorp Vault into a folder in memory, for systemd to hand to the services.

Invariants: a secret is never printed, logged or put on a disk; either all of them are there in the end, or the
command fails and those of before stay as they were.
"""

from __future__ import annotations

import base64
import binascii
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from journal.storage import write_durably
from kk99.errors import InputError

ENCODINGS: Final = ("text", "base64")
SECRETS_MAX: Final = 64
TIMEOUT_S: Final = 10
_PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret: the name of its file, and where Vault has it."""

    name: str
    path: str
    field: str
    encoding: str


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """Which Vault, and which secrets."""

    url: str
    mount: str
    role_id: str
    secrets: tuple[Secret, ...]


def read_settings(path: Path) -> VaultSettings:
    """Return the settings in a TOML file, or raise `InputError`."""
    try:
        return settings_of(tomllib.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def settings_of(document: dict[str, Any]) -> VaultSettings:
    """Return the settings that a parsed file states, or raise `InputError`."""
    _refuse_unknown(document, {"vault", "secrets"})
    vault, secrets = document.get("vault"), document.get("secrets")
    if not isinstance(vault, dict) or not isinstance(secrets, list) or not 1 <= len(secrets) <= SECRETS_MAX:
        raise InputError(f"it takes a table [vault] and 1 to {SECRETS_MAX} tables [[secrets]]")
    _refuse_unknown(vault, {"url", "mount", "role_id"})
    url = _text(vault, "url", "")
    if not _is_private(url):
        raise InputError(f"url = {url!r}: must be https://, or http:// on this machine")
    return VaultSettings(
        url, _text(vault, "mount", "secret"), _text(vault, "role_id", ""), tuple(_secret(one) for one in secrets)
    )


def _is_private(url: str) -> bool:
    """Return whether nobody on the way can read what an address sends."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it raises when it is none
    except ValueError:
        return False
    is_here = parts.hostname in {"127.0.0.1", "localhost", "::1"} and "@" not in parts.netloc
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and is_here))


def _secret(given: Any) -> Secret:
    if not isinstance(given, dict):
        raise InputError("a secret is a table")
    _refuse_unknown(given, {"name", "path", "field", "encoding"})
    made = Secret(*(_text(given, name, "text" if name == "encoding" else "") for name in Secret.__slots__))
    if not made.name or "/" in made.name or made.name.startswith(".") or not made.path or not made.field:
        raise InputError(f"the secret {made.name!r} needs a name (of a file), a path and a field")
    if made.encoding not in ENCODINGS:
        raise InputError(f"encoding = {made.encoding!r}: must be one of {', '.join(ENCODINGS)}")
    return made


def _refuse_unknown(given: dict[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(given) - known):
        raise InputError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")


def _text(given: dict[str, Any], name: str, default: str) -> str:
    value = given.get(name, default)
    if not isinstance(value, str):
        raise InputError(f"{name} = {value!r}: must be text")
    return value


def fetch(settings: VaultSettings, token: str) -> dict[str, bytes]:
    """Return the secrets by name, or raise `InputError`; `token` is Vault's, or the secret id of the AppRole."""
    try:
        import hvac  # noqa: PLC0415 - an extra
        import requests  # noqa: PLC0415 - comes with it
        from hvac.exceptions import VaultError  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise InputError("secrets from Vault need the extra `vault`: pip install 'kk99[vault]'") from error
    client = hvac.Client(url=settings.url, timeout=TIMEOUT_S)
    try:
        if settings.role_id:
            client.auth.approle.login(role_id=settings.role_id, secret_id=token)
        else:
            client.token = token
        return {secret.name: _fetch_one(client, settings.mount, secret) for secret in settings.secrets}
    except (VaultError, requests.RequestException) as error:  # their texts name paths, never values
        raise InputError(f"{settings.url}: {error}; is the token good, and does its policy allow reading?") from error


def _fetch_one(client: Any, mount: str, secret: Secret) -> bytes:
    answer = client.secrets.kv.v2.read_secret_version(
        path=secret.path, mount_point=mount, raise_on_deleted_version=True
    )
    value = answer["data"]["data"].get(secret.field)
    if not isinstance(value, str) or not value:
        raise InputError(f"{secret.path} in Vault has no text in its field {secret.field!r}")
    if secret.encoding == "text":
        return value.encode()
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise InputError(f"the field {secret.field!r} of {secret.path} in Vault is not base64") from error


@click.group()
def vault() -> None:
    """Fetch secrets from HashiCorp Vault (the extra `vault`)."""


@vault.command("fetch")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), required=True, help="TOML file as vault.toml."
)
@click.option("--token-file", type=click.Path(path_type=Path), required=True, help="File with the token or secret id.")
@click.option(
    "--to", "folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for them."
)
def fetch_command(config_file: Path, token_file: Path, folder: Path) -> None:
    """Fetch all secrets that the settings name, each into a file that only its owner may read."""
    settings = read_settings(config_file)
    try:
        token = token_file.read_text().strip()
    except (OSError, ValueError) as error:
        raise InputError(f"{token_file}: {error}") from error
    found = fetch(settings, token)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, value in found.items():
        write_durably(folder / name, value, _PRIVATE)
    click.echo(f"{len(found)} secrets in {folder}: {', '.join(found)}")
