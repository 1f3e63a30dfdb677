"""An upgrade of a venue that a service manager runs: proved, drained, backed up, and back again when it fails.

systemctl is a script here that starts and stops a real engine, as the units would.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from journal.backup import one_at_a_time
from kk99.errors import EngineError, InputError
from kk99.operate import deploy as deploying
from kk99.operate import site
from kk99.operate.deploy import Deploy, Release, describe, point_to
from tests.engine.harness import ROOT, new_run_dir
from tests.operate.conftest import Kk99

pytestmark = pytest.mark.xdist_group("processes")

SYSTEMCTL = """#!{python}
import os, signal, subprocess, sys, time
base = {base!r}
words = [word for word in sys.argv[1:] if not word.startswith("--")]
with open(base + "/calls", "a") as log:
    log.write(" ".join(words) + "\\n")
program = base + "/opt/current/bin/kk99"
pid_file = base + "/engine.pid"
if words == ["start", "kk99-backup.service"]:
    sys.exit(subprocess.run([program, "backup", base + "/store", "--data", base + "/var", "--rate-mib", "0"],
                            stdout=subprocess.DEVNULL).returncode)
if words == ["stop", "kk99.target"] and os.path.exists(pid_file):
    pid = int(open(pid_file).read())
    os.kill(pid, signal.SIGTERM)
    while os.path.exists(f"/proc/{{pid}}") and open(f"/proc/{{pid}}/stat").read().split()[2] != "Z":
        time.sleep(0.02)
    os.remove(pid_file)
if words == ["start", "kk99.target"]:
    engine = subprocess.Popen([program, "engine", "--data", base + "/var"], stdout=subprocess.PIPE,
                              stderr=open(base + "/engine.log", "ab"), start_new_session=True)
    open(pid_file, "w").write(str(engine.pid))
    if b"ready" not in engine.stdout.readline():  # a target is reached whatever becomes of what it wants
        os.remove(pid_file)
"""


class Machine:
    """A machine with a venue, two releases of this program and a service manager."""

    def __init__(self, base):
        self.base = base
        self.kk99 = Kk99(base / "var")
        (base / "bin").mkdir(parents=True)
        systemctl = base / "bin/systemctl"
        systemctl.write_text(SYSTEMCTL.format(python=sys.executable, base=str(base)))
        systemctl.chmod(0o755)
        for name in ("one", "two"):
            self.release(name)
        (base / "opt").mkdir()
        point_to(base / "opt/current", base / "one")

    def release(self, name, *, before=""):
        """A folder that holds bin/kk99, which first does what `before` says."""
        program = self.base / name / "bin/kk99"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\n{before}\nPYTHONPATH={ROOT} exec {sys.executable} -m kk99.cli "$@"\n')
        program.chmod(0o755)
        return self.base / name

    def systemctl(self, *words):
        """Call the service manager."""
        subprocess.run([self.base / "bin/systemctl", *words], check=True, timeout=120)

    def deploy(self, *words, status=0):
        """Call `kk99 deploy`; what it prints, or says of an error."""
        options = ("--prefix", self.base / "opt", "--store", self.base / "store")
        if status:
            self.kk99.run("deploy", *words, *options, status=status)
            return self.kk99.said
        return self.kk99.json("deploy", *words, *options)

    @property
    def current(self):
        """The release that runs."""
        return (self.base / "opt/current").resolve().name


@pytest.fixture(scope="module")
def machine():
    """A venue that runs release one and has some history."""
    made = Machine(new_run_dir())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{made.base / 'bin'}:{os.environ['PATH']}")
        try:
            made.systemctl("start", "kk99.target")
            made.kk99.set_up()
            yield made
        finally:
            made.systemctl("stop", "kk99.target")


def test_an_upgrade_drains_backs_up_and_serves_again_and_can_go_back(machine):
    """The new release goes on where the old one ended, with a backup of exactly that; --rollback returns."""
    before = machine.kk99.json("accounts")
    made = machine.deploy(machine.base / "two")
    assert machine.current == "two"
    assert list(made["seconds"]) == ["backup", "prove", "drain", "backup at rest", "start"]
    after = machine.kk99.json("accounts")
    assert after["accounts"] == before["accounts"]
    assert made["seq"] >= before["seq"]
    assert Path(made["backup"]).exists()
    calls = (machine.base / "calls").read_text().splitlines()[-4:]
    assert calls == [
        "start kk99-backup.service", "stop kk99.target", "start kk99-backup.service", "start kk99.target",
    ]  # fmt: skip
    assert machine.deploy("--rollback")["release"] == str(machine.base / "one")
    assert machine.current == "one"
    log = [json.loads(line) for line in (machine.base / "opt/deploys.jsonl").read_text().splitlines()]
    assert [entry["state"] for entry in log] == ["done", "done"]


def test_a_release_that_does_not_serve_is_left_for_the_one_before(machine, monkeypatch):
    """It proves itself on the backup, but its engine dies: the venue runs the old release again, whole."""
    broken = machine.release("broken", before='[ "$1" = engine ] && exit 1')
    monkeypatch.setattr(deploying, "HEALTHY_S", 0.5)
    before = machine.kk99.json("accounts")
    said = machine.deploy(broken, status=1)
    assert "again" in said
    assert machine.current == "one"
    assert machine.kk99.json("accounts")["accounts"] == before["accounts"]
    entry = json.loads((machine.base / "opt/deploys.jsonl").read_text().splitlines()[-1])
    assert entry["state"] == "went back"


class Manager:
    """A service manager and releases that only write down what they are told, and fail where they are told to."""

    def __init__(self, patch, tmp_path):
        self.calls, self.fails = [], {}
        for name in ("old", "new"):
            (tmp_path / name).mkdir()
        point_to(tmp_path / "current", tmp_path / "old")
        patch.setattr(deploying.systemd, "control", lambda *words: self.call(" ".join(words)))
        patch.setattr(deploying, "release_at", lambda path: Release(path.resolve(), path.resolve().name, "f", 1))
        patch.setattr(deploying, "_run", lambda *_, **__: "")
        patch.setattr(deploying, "engine_stats", lambda _: {"durable_seq": 7} if self.serves(tmp_path) else None)
        patch.setattr(deploying, "HEALTHY_S", 0.0)
        backup = SimpleNamespace(path=tmp_path, head=SimpleNamespace(seq=7, hash=b""))
        (tmp_path / "snapshots").mkdir()
        patch.setattr(Deploy, "_back_up", lambda _: self.call("backup") or backup)
        patch.setattr(Deploy, "_back_up_end", lambda made: made._back_up())
        self.made = Deploy(site._site(tmp_path, None, None), tmp_path, tmp_path, lambda _: None)

    def call(self, what):
        """Write down a call, and let it fail if it is to."""
        self.calls.append(what)
        if error := self.fails.get((what, self.calls.count(what))):
            raise error

    @staticmethod
    def serves(prefix):
        """Only the old release does."""
        return (prefix / "current").resolve().name == "old"


STOP, START = "stop kk99.target", "start kk99.target"


@pytest.mark.parametrize(
    "fails",
    [
        {(STOP, 1): EngineError("it hangs")},
        {("backup", 2): EngineError("No space left on device")},
        {("backup", 2): KeyboardInterrupt()},
    ],
)
def test_a_venue_that_was_stopped_is_started_again_whatever_goes_wrong(monkeypatch, tmp_path, fails):
    """A stop or a backup at rest that fails, or Ctrl-C: the old release is started again and nothing has changed."""
    manager = Manager(monkeypatch, tmp_path)
    manager.fails = fails
    with pytest.raises(type(next(iter(fails.values())))):
        manager.made.carry_out(tmp_path / "new")
    assert manager.calls[-1] == START
    assert manager.serves(tmp_path)
    assert not (tmp_path / "deploys.jsonl").exists()


@pytest.mark.parametrize("error", [EngineError("failed"), KeyboardInterrupt(), None])
def test_the_way_back_is_taken_first_and_written_down_after(monkeypatch, tmp_path, error):
    """Also when the start itself fails, and when nothing can be written: the old release runs again."""
    manager = Manager(monkeypatch, tmp_path)
    manager.fails = {(START, 1): error}

    def full(_, entry):
        manager.call(f"log {entry['state']}")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Deploy, "_log", full)
    with pytest.raises(OSError, match="No space"):
        manager.made.carry_out(tmp_path / "new")
    assert manager.calls[-3:] == [STOP, START, "log went back"]
    assert manager.serves(tmp_path)


def test_two_deploys_do_not_meet_and_one_that_hangs_is_told(tmp_path, kk99_command, monkeypatch):
    """The second is refused; a release that does not answer is none."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/kk99"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(deploying, "_DESCRIBE_S", 0.1)
    with pytest.raises(InputError, match="has not ended"):
        deploying.release_at(tmp_path)
    options = ("--prefix", tmp_path, "--data", tmp_path)
    with one_at_a_time(tmp_path, "deploy"):
        assert "under way" in kk99_command("deploy", tmp_path, *options, status=1, json=False)


OTHER_SCHEMA = json.dumps(describe() | {"fingerprint": "0"})


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (f"[ \"$1\" = deploy ] && echo '{OTHER_SCHEMA}' && exit 0", "can't continue it"),
        ('[ "$1" = replay ] && echo "a difference" >&2 && exit 1', "a difference"),
        ("exit 3", "is no release"),
    ],
)  # fmt: skip
def test_a_release_that_can_not_go_on_is_refused_before_anything_is_stopped(machine, before, said):
    """Another schema, a replay that differs, a program that does not run: trading goes on untouched."""
    calls = len((machine.base / "calls").read_text().splitlines())
    release = machine.release(f"release-{said}", before=before)
    assert said in machine.deploy(release, status=1)
    new_calls = (machine.base / "calls").read_text().splitlines()[calls:]
    assert not any("stop" in call for call in new_calls)
    assert machine.kk99.json("status")["engine"] == "up"
    assert machine.current == "one"


def test_what_is_asked_for_must_make_sense(machine):
    """No release, both a release and --rollback, or one that is not there is refused."""
    machine.kk99.run("deploy", status=2)
    machine.kk99.run("deploy", machine.base / "two", "--rollback", status=2)
    assert "nothing to go on to" in machine.deploy(machine.base / "nowhere", status=1)
    assert json.loads(machine.kk99.run("deploy", "--describe")) == describe()
