"""`kk99 install`: lays out user, folders, settings, secrets and units of a venue that systemd runs.

Invariants, each a test: a second call changes nothing; what an operator may have edited (settings, secrets, where
`current` points) is made if it is missing and never touched again; units, which are the release's, are brought up to
date. With another root nothing outside of it is touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from journal import keys
from journal.storage import write_durably
from kk99.errors import EngineError, InputError
from kk99.operate import systemd
from kk99.operate.site import as_json, show, table

if TYPE_CHECKING:
    from collections.abc import Iterator

UNITS_DIR: Final = "etc/systemd/system"
SETTINGS_DIR: Final = "etc/kk99"
CREDENTIALS_DIR: Final = "etc/kk99/credentials"
FETCHED_DIR: Final = "/run/kk99-credentials"
"""Where kk99-vault.service puts secrets: in memory."""
PROGRAM_DIR: Final = "opt/kk99"
BACKUP_DIR: Final = "var/backups/kk99"
USER_FILE: Final = "kk99.sysusers.conf"
_ENGINE_SETTINGS: Final = """\
# The settings of this venue's processes: docs/reference/configuration.md has every key, its default and its bounds.
# `kk99 config check /etc/kk99/kk99.toml` judges this file.

[engine]
data_dir = "/var/lib/kk99" # the units let the processes write here and nowhere else
run_dir = "/run/kk99"
"""
_SETTLEMENT_SETTINGS: Final = """\
# The settlement gateway. Without a url the books are an SQLite file in the venue's folder. For PostgreSQL:
# url = "postgresql://kk99@127.0.0.1/kk99", its password in /etc/kk99/credentials/database-password and here
# password_file = "/run/credentials/kk99-settlement.service/database-password"

[settlement]
"""


@dataclass(frozen=True, slots=True)
class Item:
    """Something to lay out: a folder (`data` None), a link (a Path) or a file (bytes); `is_ours`: to be kept new."""

    path: Path
    data: bytes | Path | None
    mode: int
    is_ours: bool


def shipped(folder: str) -> Path:
    """Return a folder that comes with the release, such as `systemd`: in the checkout, or where the wheel put it."""
    for base in (Path(__file__).parents[2], Path(sys.prefix) / "share/kk99"):
        if (base / folder).is_dir():
            return base / folder
    raise InputError(f"{folder}/ is neither in the checkout nor installed: install the wheel of this release")


def items(root: Path, program: Path, *, with_vault: bool) -> Iterator[Item]:
    """Yield all that an installed venue consists of, but for its user."""
    for folder, mode in ((SETTINGS_DIR, 0o755), (f"{PROGRAM_DIR}/releases", 0o755)):
        yield Item(root / folder, None, mode, is_ours=False)
    credentials = root / CREDENTIALS_DIR
    yield Item(credentials, Path(FETCHED_DIR) if with_vault else None, 0o700, is_ours=False)
    settings = {
        "kk99.toml": _ENGINE_SETTINGS.encode(),
        "settlement.toml": _SETTLEMENT_SETTINGS.encode(),
        "fix.toml": (shipped("config") / "fix.toml").read_bytes(),
        "venue.toml": (shipped("config") / "venue.toml").read_bytes(),
    }
    for name, data in settings.items():
        yield Item(root / SETTINGS_DIR / name, data, 0o600 if name == "fix.toml" else 0o644, is_ours=False)
    if with_vault:
        data = (shipped("systemd") / "vault.toml").read_bytes()
        yield Item(root / SETTINGS_DIR / "vault.toml", data, 0o600, is_ours=False)
    else:
        key = Ed25519PrivateKey.generate().private_bytes_raw()
        yield Item(credentials / keys.KEY_FILE, key, 0o600, is_ours=False)
    yield Item(root / PROGRAM_DIR / "current", program, 0, is_ours=False)
    yield Item(root / "etc/sysusers.d/kk99.conf", (shipped("systemd") / USER_FILE).read_bytes(), 0o644, is_ours=True)
    yield from _units(root, with_vault=with_vault)


def _units(root: Path, *, with_vault: bool) -> Iterator[Item]:
    folder = shipped("systemd")
    for path in sorted(folder.rglob("kk99*")):
        is_unit = path.suffix in {".service", ".target", ".timer"} and path.is_file()
        if is_unit and (with_vault or path.name != "kk99-vault.service"):
            yield Item(root / UNITS_DIR / path.name, path.read_bytes(), 0o644, is_ours=True)
    dropin = "kk99-.service.d/sandbox.conf"
    yield Item(root / UNITS_DIR / dropin, (folder / dropin).read_bytes(), 0o644, is_ours=True)


def state_of(item: Item) -> str:
    """Return what is to be done about an item: `make`, `update`, or nothing as it is there (`same`, `kept`)."""
    if not os.path.lexists(item.path):
        return "make"
    if not item.is_ours:
        return "kept"
    assert isinstance(item.data, bytes)
    return "same" if item.path.read_bytes() == item.data else "update"


def lay_out(item: Item) -> None:
    """Make an item, or bring it up to date."""
    item.path.parent.mkdir(parents=True, exist_ok=True)
    if item.data is None:
        item.path.mkdir(mode=item.mode)
        item.path.chmod(item.mode)
    elif isinstance(item.data, Path):
        item.path.symlink_to(item.data)
    else:
        write_durably(item.path, item.data, item.mode)


def make_user(root: Path) -> str:
    """Make the venue's user, and its folder of backups where that can be owned; return what was done."""
    program = shutil.which("systemd-sysusers")
    if program is None:
        return "not made: there is no systemd-sysusers; make the user kk99 by hand"
    command = [program, *([] if root == Path("/") else [f"--root={root}"]), "kk99.conf"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    if done.returncode:
        raise EngineError(
            f"systemd-sysusers: {done.stderr.strip() or done.returncode}; nothing else was changed after it"
        )
    backups = root / BACKUP_DIR
    backups.mkdir(mode=0o700, parents=True, exist_ok=True)
    entry = next(line for line in (root / "etc/passwd").read_text().splitlines() if line.startswith("kk99:"))
    uid, gid = (int(field) for field in entry.split(":")[2:4])
    os.chown(backups, uid, gid)
    return f"kk99 is user {uid}"


@click.command()
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/"),
    show_default=True,
    help="Stage it below this folder instead.",
)
@click.option(
    "--program",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(sys.prefix),
    help="The release that runs: the folder that holds bin/kk99 (default: this one).",
)
@click.option("--vault", "with_vault", is_flag=True, help="Secrets come from HashiCorp Vault at each start.")
@click.option("--enable", is_flag=True, help="Also have the venue start with the machine.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@as_json
def install(
    root: Path, *, program: Path, with_vault: bool, enable: bool, dry_run: bool, as_json: bool
) -> None:  # fmt: skip
    """Lay out user, folders, settings and systemd units; a second time it changes nothing."""
    is_real = root.resolve() == Path("/")
    if is_real and not dry_run and os.geteuid() != 0:
        raise InputError("only root can install: run it with sudo, look with --dry-run, or stage it with --root DIR")
    wanted = list(items(root.resolve(), program.resolve(), with_vault=with_vault))
    states = {str(item.path): state_of(item) for item in wanted}
    if not dry_run:
        for item in wanted:
            if states[str(item.path)] in {"make", "update"}:
                lay_out(item)
    user = "would be made if it is missing" if dry_run else make_user(root.resolve())
    if is_real and not dry_run:
        systemd.control("daemon-reload")
        if enable:
            systemd.control(
                "enable", systemd.TARGET, "kk99-backup.timer", *(["kk99-vault.service"] if with_vault else [])
            )
    answer = {"root": str(root), "dry_run": dry_run, "user": user, "items": states}
    rows = [("user", user), *((state, path) for path, state in states.items())]
    after = "next: edit /etc/kk99/*.toml, then `systemctl start kk99.target`; `kk99 status` shows it"
    show(answer, table(("", "what"), rows, left=2), *([] if dry_run else [after]), to_json=as_json)
