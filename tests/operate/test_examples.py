"""The documented examples: every command has one, and they do what they say on a small venue."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from kk99 import cli
from kk99.operate import people
from tests.engine.harness import DEADLINE_S, ROOT, new_run_dir
from tests.operate.conftest import Kk99

pytestmark = pytest.mark.xdist_group("processes")

PAGES = ("docs/reference/command-line.md", "docs/how-to/operate.md", "docs/how-to/back-up-and-restore.md")
ELSEWHERE = {
    "bench", "deploy", "docs", "drill kill", "drill settlement", "engine", "feed", "fix", "gateway fix",
    "replay audit", "restart", "settlement fail", "vault fetch",
}  # fmt: skip
"""What needs more than a small venue: documented, and run by tests of its own."""
ORDER_ID = re.compile(r"op-\d{14}-[0-9a-f]{8}")


def blocks(page, kind):
    """The commands of the page's blocks of a kind, each as its words after `kk99`."""
    text = (ROOT / page).read_text()
    found = []
    for body in re.findall(rf"^```{re.escape(kind)}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        found += [shlex.split(line.removeprefix("$ kk99 ")) for line in body.splitlines() if line.startswith("$ kk99 ")]
    return found


def paths_of(command, path):
    """The names of a command's subcommands, or its own if it has none."""
    if isinstance(command, click.Group):
        return [
            name for word in command.list_commands(None) for name in paths_of(command.commands[word], [*path, word])
        ]
    return [" ".join(path)]


def test_every_command_has_an_example():
    """No command is missing on the pages, and what is run elsewhere is documented all the same."""
    text = "\n".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    run = [" ".join(words) + " " for page in PAGES for kind in KINDS for words in blocks(page, kind)]
    missing = []
    for name in cli.COMMANDS:
        for path in paths_of(cli.root.get_command(None, name), [name]):
            is_run = any(line.startswith((f"{path} ", f"{path.removesuffix(' list')} ")) for line in run)
            is_elsewhere = any(path == one or path.startswith(f"{one} ") for one in ELSEWHERE)
            if not is_run and not (is_elsewhere and f"kk99 {path}" in text):
                missing.append(path)
    assert missing == []


KINDS = ("console", "console operators", "console service", "console slow")


@pytest.fixture(scope="module")
def folder():
    """A folder with a venue that runs, in `var`, the settings that ship, and operators' keys."""
    made = new_run_dir()
    (made / "config").symlink_to(ROOT / "config")
    kk99 = Kk99(made / "var")
    with pytest.MonkeyPatch.context() as patch, kk99.venue:
        patch.chdir(made)
        kk99.start()
        kk99.set_up()
        kk99.venue.stop()  # which writes a snapshot
        kk99.start()
        yield made


@pytest.fixture
def operators_folder(folder):
    """Anna and ben are the venue's operators."""
    lines = [f'{name} = "{people.make_key(folder / f"{name}.key")}"' for name in ("anna", "ben")]
    (folder / "var/operators.toml").write_text("[operators]\n" + "\n".join(lines) + "\n")
    yield folder
    (folder / "var/operators.toml").unlink()


def run_all(commands):
    """Run commands in this process; an order's id stands for the one that was last given."""
    kk99, last = Kk99(Path("var")), ""
    for words in commands:
        printed = kk99.run(*(ORDER_ID.sub(last, word) for word in words), data=False)
        last = (ORDER_ID.findall(printed) or [last])[-1]


@pytest.mark.parametrize("page", PAGES)
def test_examples_do_what_they_say(folder, page):
    """Each command of the page ends well."""
    for left in set(folder.iterdir()) - {folder / "var", folder / "config"}:
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    run_all(blocks(page, "console"))


def test_examples_of_a_second_person_do_what_they_say(operators_folder):
    """An order waits, is approved, or is given up."""
    assert (operators_folder / "anna.key").exists()
    for page in PAGES:
        run_all(blocks(page, "console operators"))


@pytest.mark.parametrize("words", [words for page in PAGES for words in blocks(page, "console service")], ids=" ".join)
def test_services_run_until_they_are_told_to_stop(folder, words):
    """Each says that it is ready, and ends with status 0 at a signal."""
    command = [sys.executable, "-m", "kk99.cli", *words]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | environment,
        text=True,
    ) as process:  # fmt: skip
        said = []
        deadline = time.monotonic() + DEADLINE_S
        for line in process.stdout:
            said.append(line)
            if "ready" in line or time.monotonic() > deadline:
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(DEADLINE_S) == 0, "".join(said) + rest
        assert any("ready" in line for line in said), "".join(said)


@pytest.mark.parametrize("words", [words for page in PAGES for words in blocks(page, "console slow")], ids=" ".join)
def test_slow_examples_do_what_they_say(folder, words):
    """Benches and drills, at their smallest, end well."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "kk99.cli", *words]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=280, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
