"""The `kk99` command itself, and the generated reference pages."""

import subprocess
import sys
from pathlib import Path

import pytest

from kk99 import cli, docs, schema
from kk99.errors import BusyError, InputError, JournalError


def run(capsys, *arguments):
    """What the command line prints and its status."""
    with pytest.raises(SystemExit) as end:
        cli.main(list(arguments))
    out, err = capsys.readouterr()
    return end.value.code, out, err


def test_help_lists_every_command(capsys):
    """Each subcommand stands there with its line."""
    status, out, _ = run(capsys, "--help")
    assert status == 0
    for name, (_, text) in cli.COMMANDS.items():
        assert name in out
        assert text.split()[0] in out


def test_help_imports_nothing_heavy():
    """Asking for help loads neither numba nor numpy nor a socket library."""
    code = (
        "import sys; from kk99 import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('numba', 'numpy', 'zmq', 'lmdb', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_has_help(capsys, name):
    """Each subcommand can be imported and says what it does."""
    status, out, _ = run(capsys, name, "--help")
    assert status == 0
    assert "Usage:" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["up", "--speed", "0"],
        ["up", "--seconds", "-1"],
        ["up", "--seconds", "0"],
        ["feed"],
        ["feed", "--nope"],
        *(["up", option, value] for option in ("--seconds", "--speed") for value in ("nan", "inf", "-inf")),
        *(["feed", "convert", "a.gz", "b.kk99rec", "--tick", value] for value in ("nan", "inf", "0", "x")),
    ],
)
def test_wrong_usage_is_status_2(capsys, arguments):
    """Errors of usage keep their status and show the usage."""
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert err.startswith("Usage:")
    assert err.splitlines()[-1].startswith("kk99: ") or arguments == ["feed"]


@pytest.mark.parametrize("error", [InputError("a bad file"), JournalError("a bad journal"), BusyError(7)])
def test_operational_errors_are_one_line_and_status_1(capsys, monkeypatch, error):
    """Whatever of the error tree is raised ends in one line, without a traceback."""

    def stale(_folder):
        raise error

    monkeypatch.setattr(docs, "stale", stale)
    status, out, err = run(capsys, "docs", "--check")
    assert (status, out, err) == (1, "", f"kk99: {error}\n")


@pytest.mark.parametrize("name", ["missing.kk99rec", "missing.csv", "odd.txt"])
def test_feed_of_a_bad_file_is_one_line(capsys, tmp_path, name):
    """`kk99 feed FILE` is `kk99 feed play FILE`, and a file that is not there is an error, not a traceback."""
    status, _, err = run(capsys, "feed", str(tmp_path / name), "--connect", str(tmp_path))
    assert status == 1
    assert err.startswith("kk99: ")
    assert err.count("\n") == 1


def test_convert_wants_the_name_of_a_recording(capsys, tmp_path):
    """A target with another ending is refused before anything is read."""
    status, _, err = run(capsys, "feed", "convert", str(tmp_path / "a.gz"), str(tmp_path / "b.txt"))
    assert status == 1
    assert ".kk99rec" in err


# Reference pages ------------------------------------------------------------------------------------------------------


def test_shipped_pages_are_up_to_date():
    """`kk99 docs --check` would pass."""
    assert docs.stale(docs.PAGES_DIR) == []


def test_a_changed_or_missing_page_is_found(tmp_path):
    """A page that differs is named, and so is one that is not there."""
    for name, text in docs.pages().items():
        (tmp_path / name).write_text(text)
    (tmp_path / "enums.md").write_text("old")
    (tmp_path / "limits.md").unlink()
    assert docs.stale(tmp_path) == ["enums.md", "limits.md"]


def test_every_bound_and_code_is_on_its_page():
    """No bound, enum member or document field is left out."""
    pages = docs.pages()
    for code in schema.RejectCode:
        assert f"`{code.name}`" in pages["reject-codes.md"]
    for name in ("PPM", "ORDERS_MAX", "CLIENT_ID_WINDOW", "BATCH_ROWS_MAX"):
        assert f"`{name}`" in pages["limits.md"]
    assert "`tick_units`" in pages["documents.md"]
    assert Path(docs.PAGES_DIR).name == "reference"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "/x/\x1b[2J"), "kk99: /x/\\x1b[2J: No space left on device\n"),
        (PermissionError(13, "Permission denied"), "kk99: Permission denied\n"),
        (OSError("odd"), "kk99: odd\n"),
        (InputError("a \x1b[31mred\u202e name"), "kk99: a \\x1b[31mred\\u202e name\n"),
    ],
)
def test_a_disk_that_fails_is_one_line_that_steers_no_terminal(capsys, monkeypatch, error, said):
    """A full disk or a folder that may not be entered is told as any other error, without control characters."""

    def stale(_folder):
        raise error

    monkeypatch.setattr(docs, "stale", stale)
    assert run(capsys, "docs", "--check") == (1, "", said)


def test_a_reader_that_has_seen_enough_is_no_error():
    """`kk99 config show | head -1` ends without a traceback."""
    command = f"{sys.executable} -m kk99.cli config show | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
