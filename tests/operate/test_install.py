"""What `kk99 install` lays out below another root, and that it lays it out once."""

import os
import shutil
import subprocess

import pytest

from journal import keys
from kk99.config import load_engine
from kk99.operate import install as installing


def snapshot(root):
    """Every path below a root with its content or where it points."""
    found = {}
    for path in root.rglob("*"):
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path.relative_to(root))] = str(path.readlink()) if path.is_symlink() else content
    return found


@pytest.fixture
def run(kk99_command, tmp_path):
    """The command, staged."""
    return lambda *options, **more: kk99_command("install", "--root", tmp_path / "root", *options, **more)


def test_a_dry_run_changes_nothing(run, tmp_path):
    """It says what would be made, and makes nothing."""
    answer = run("--dry-run")
    assert set(answer["items"].values()) == {"make"}
    assert not (tmp_path / "root").exists()


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a user, below another root too")
def test_a_second_install_changes_nothing_and_keeps_what_was_edited(run, tmp_path):
    """Units are brought up to date; settings, secrets and the release that runs stay as an operator left them."""
    root = tmp_path / "root"
    assert "kk99 is user" in run()["user"]
    first = snapshot(root)
    assert "kk99:" in (root / "etc/passwd").read_text()
    assert set(run()["items"].values()) == {"same", "kept"}
    assert snapshot(root) == first
    (root / "etc/kk99/kk99.toml").write_text("[engine]\nring_rows = 8192\n")
    unit = root / "etc/systemd/system/kk99-engine.service"
    unit.write_text("old")
    states = run()["items"]
    assert (states[str(unit)], states[str(root / "etc/kk99/kk99.toml")]) == ("update", "kept")
    assert unit.read_text() != "old"
    assert load_engine(root / "etc/kk99/kk99.toml").ring_rows == 8192


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a user, below another root too")
def test_the_layout_is_what_the_units_expect(run, tmp_path):
    """Settings load, the key is private, the program is linked, every unit is there."""
    root = tmp_path / "root"
    run()
    settings = load_engine(root / "etc/kk99/kk99.toml")
    assert (str(settings.data_dir), str(settings.run_dir)) == ("/var/lib/kk99", "/run/kk99")
    credentials = root / "etc/kk99/credentials"
    assert credentials.stat().st_mode & 0o777 == 0o700
    assert (credentials / keys.KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert len((credentials / keys.KEY_FILE).read_bytes()) == keys.KEY_BYTES
    assert (root / "etc/kk99/fix.toml").stat().st_mode & 0o077 == 0
    assert (root / "opt/kk99/current").is_symlink()
    units = {path.name for path in (root / "etc/systemd/system").iterdir()}
    assert {"kk99.target", "kk99-engine.service", "kk99-backup.timer", "kk99-.service.d"} <= units
    assert "kk99-vault.service" not in units
    assert (root / "var/backups/kk99").stat().st_uid != 0


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a user, below another root too")
def test_with_vault_secrets_are_fetched_not_kept(run, tmp_path):
    """The folder of credentials points into memory, and the unit that fetches them is there."""
    root = tmp_path / "root"
    run("--vault")
    assert str((root / "etc/kk99/credentials").readlink()) == "/run/kk99-credentials"
    assert (root / "etc/systemd/system/kk99-vault.service").exists()
    assert (root / "etc/kk99/vault.toml").stat().st_mode & 0o077 == 0


def test_only_root_installs(monkeypatch, kk99_command):
    """Anybody else is told what to do."""
    monkeypatch.setattr(installing.os, "geteuid", lambda: 1000)
    assert "sudo" in kk99_command("install", status=1, json=False)


def test_a_user_that_can_not_be_made_is_an_error(run, monkeypatch):
    """What systemd-sysusers says is passed on."""
    failed = subprocess.CompletedProcess([], 1, "", "no such thing")
    monkeypatch.setattr(installing.subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(installing.shutil, "which", lambda _: "/bin/false")
    assert "no such thing" in run(status=1, json=False)
