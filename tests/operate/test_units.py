"""The systemd units: sandboxed as tightly as they must be, for the user and folders that install lays out."""

import configparser
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from gateways.client import Client
from kk99.operate import systemd
from kk99.operate.install import shipped
from tests.engine.harness import EngineProcess, rejected_orders, wait_for

UNITS = shipped("systemd")
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
NETWORK_GATEWAYS = {"kk99-fix.service", "kk99-web.service", "kk99-settlement.service", "kk99-exporter.service"}
SCORES = {name: 1.5 if name in NETWORK_GATEWAYS | {"kk99-vault.service"} else 0.5 for name in SERVICES}
"""The exposure that `systemd-analyze security` may find at most."""

MAY_FAIL = {"mbind"}
"""OpenBLAS says where its buffers should lie, and does not look at the answer."""


def needs(program):
    """Skip, saying so, where a program is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def read(name):
    """A unit with what all of them have in common, as lists of values by section and key."""
    values = {}
    for path in (UNITS / name, UNITS / "kk99-.service.d" / "sandbox.conf"):
        section = ""
        for line in path.read_text().splitlines():
            if match := re.fullmatch(r"\[(\w+)\]", line):
                section = match[1]
            elif "=" in line and not line.startswith("#"):
                key, _, value = line.partition("=")
                values.setdefault((section, key), []).append(value)
    return values


def test_every_service_of_the_venue_has_a_unit():
    """The short names of the command line, and backups and secrets beside them."""
    assert {f"kk99-{name}.service" for name in systemd.SERVICES} <= set(SERVICES)
    assert {"kk99-backup.service", "kk99-vault.service"} <= set(SERVICES)
    wanted = configparser.ConfigParser()
    wanted.read(UNITS / "kk99.target")
    assert wanted["Unit"]["Wants"].split() == [f"kk99-{name}.service" for name in systemd.SERVICES]


@needs("systemd-analyze")
@pytest.mark.parametrize("name", SERVICES)
def test_exposure_is_within_its_bound(name):
    """`systemd-analyze security --offline=true` finds at most 0.5 for the engine, 1.5 for network gateways."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={SCORES[name] * 10:.0f}"]
    done = subprocess.run([*command, str(UNITS / name)], capture_output=True, text=True, timeout=60, check=False)
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert score is not None, done.stdout + done.stderr
    assert float(score[1]) <= SCORES[name]
    assert done.returncode == 0
    assert "ignoring" not in done.stderr


@needs("systemd-analyze")
def test_units_have_no_mistakes(tmp_path):
    """`systemd-analyze verify` has nothing to say once the program is where the units look for it."""
    program = tmp_path / "kk99"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    staged = tmp_path / "units"
    shutil.copytree(UNITS, staged)
    for path in staged.glob("kk99*.service"):
        path.write_text(path.read_text().replace("/opt/kk99/current/bin/kk99", str(program)))
    files = [str(path) for path in staged.glob("kk99*.*") if path.suffix in {".service", ".target", ".timer"}]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *files],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if "kk99" in line] == []


@pytest.mark.parametrize("name", [f"kk99-{name}.service" for name in systemd.SERVICES])
def test_services_restart_and_are_watched(name):
    """Each is started again when it dies, not for ever, and has a time in which it must say that it gets on."""
    unit = read(name)
    assert unit["Service", "Restart"] == ["always"]
    assert unit["Unit", "StartLimitBurst"] == ["5"]
    assert unit["Unit", "PartOf"] == ["kk99.target"]
    assert unit["Service", "User"] == ["kk99"]
    assert ("Service", "MemoryMax") in unit
    assert ("Service", "WatchdogSec") in unit
    assert unit["Service", "Type"] == ["notify"]
    if name != "kk99-engine.service":
        assert "kk99-engine.service" in unit["Unit", "After"][0]


@pytest.mark.parametrize("name", SERVICES)
def test_code_is_compiled_so_memory_may_become_code(name):
    """No unit forbids it, and the folder of compiled code can be written."""
    unit = read(name)
    assert ("Service", "MemoryDenyWriteExecute") not in unit
    assert unit["Service", "CacheDirectory"] == ["kk99"]


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_come_as_credentials_only(name):
    """What is secret is handed over by systemd, and the folder it comes from can't be entered."""
    unit = read(name)
    secrets = [path for paths in unit["Service", "InaccessiblePaths"] for path in paths.split()]
    assert {"-/etc/kk99/fix.toml", "-/etc/kk99/vault-token"} <= set(secrets)
    is_vault = name == "kk99-vault.service"  # which writes the one that the other may be a link to
    assert ({"-/etc/kk99/credentials", "-/run/kk99-credentials"} <= set(secrets)) != is_vault
    program = unit["Service", "ExecStart"][0]
    assert "/etc/kk99/fix.toml" not in program
    for credential in unit.get(("Service", "LoadCredential"), []):
        identifier, _, path = credential.partition(":")
        assert path.startswith("/etc/kk99/")
        assert Path(path).name == identifier


def test_the_wheel_ships_the_units():
    """They are data of the wheel, as the settings are."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    data = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert data["systemd"] == "share/kk99/systemd"


@needs("systemd-analyze")
@needs("strace")
def test_the_engine_makes_no_system_call_that_its_unit_forbids(tmp_path):
    """Every call that a live engine makes, from its start to its end, is one that the filter lets pass."""
    allowed = (calls_of("@system-service") - calls_of("@privileged") - calls_of("@resources")) | {"sched_setscheduler"}
    calls = tmp_path / "calls"
    with Traced(tmp_path / "a", "snapshot_commands = 1000\n") as engine:
        engine.start_traced(calls)
        with Client.connect(engine.run_dir, "one") as client:
            for _ in range(5):
                client.submit(rejected_orders(500))
            client.flush()
            client.image()
        assert engine.terminate() == 0
        wait_for(lambda: calls.exists() and "total" in calls.read_text(), "the list of system calls")
    made = {line.split()[-1] for line in calls.read_text().splitlines() if line.strip()[:1].isdigit()} - {"total"}
    assert made
    assert made - allowed - MAY_FAIL == set()


class Traced(EngineProcess):
    """An engine whose system calls are counted from its first to its last."""

    def __enter__(self):
        return self

    def start_traced(self, calls):
        """Start it with the tracer beside it, so that this process is its parent still."""
        popen = subprocess.Popen

        def traced(arguments, **options):
            return popen(["strace", "-D", "-f", "-c", "-o", str(calls), *arguments], **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(subprocess, "Popen", traced)
            self.start()


def calls_of(group):
    """The system calls of one of systemd's groups, with those of the groups in it."""
    done = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    names = {line.strip() for line in done.stdout.splitlines()[1:] if line.startswith("    ")}
    names = {name for name in names if not name.startswith("#")}
    return {call for name in names for call in (calls_of(name) if name.startswith("@") else {name})}
