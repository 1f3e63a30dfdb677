"""`kk99 logs`: what the venue's processes logged, from the system's journal or from files, chosen and made readable.

Invariant: a line that is no entry (a traceback, a ready line) is shown as it stands, without control characters.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import click

from kk99.errors import EngineError, InputError
from kk99.operate import systemd
from kk99.operate.site import Site, as_json, on_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_LEAST: Final = {level: at for at, level in enumerate(LEVELS)}
_POLL_S: Final = 0.25
_HEAD: Final = ("timestamp", "level", "event", "process")


def entry_of(line: str, process: str) -> dict[str, Any]:
    """Return a logged line as an entry; what is no JSON object is an entry whose event is the line."""
    try:
        entry = json.loads(line, parse_constant=str)  # NaN is no JSON: it stays a word
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        entry = {"event": line, "level": "info"}
    return {"process": process, **entry}


def is_wanted(entry: dict[str, Any], level: str, seq: int | None) -> bool:
    """Return whether an entry is of that level or above, and if so asked, has to do with that sequence."""
    if _LEAST.get(str(entry.get("level")), 0) < _LEAST[level]:
        return False
    return seq is None or seq in (value for key, value in entry.items() if key.endswith("seq"))


def shown(entry: dict[str, Any]) -> str:
    """Return an entry as a person reads it: time, process, level, what, then the rest by name."""
    rest = " ".join(f"{key}={value}" for key, value in entry.items() if key not in _HEAD)
    line = " ".join(
        (str(entry.get("timestamp", "-"))[:23].ljust(23), str(entry["process"]).ljust(10),
         str(entry.get("level", "")).ljust(8), str(entry.get("event", "")), rest)
    )  # fmt: skip
    return "".join(letter if letter.isprintable() else " " for letter in line).rstrip()


def from_files(folder: Path, names: tuple[str, ...], *, follow: bool) -> Iterator[tuple[str, str]]:
    """Yield (process, line) of the log files in a folder, each file in order; then, to follow, what is added."""
    at: dict[Path, int] = {}
    while True:
        files = sorted(path for path in folder.glob("*.log") if not names or path.stem in names)
        if not at and not files:
            raise InputError(f"{folder} has no log of {', '.join(names) or 'any process'}: is this the right --data?")
        for path in files:
            for line, end in _lines(path, at.get(path, 0), is_last=not follow):
                at[path] = end
                yield path.stem, line
        if not follow:
            return
        yield "", ""  # all that is there was given
        time.sleep(_POLL_S)


def _lines(path: Path, start: int, *, is_last: bool) -> Iterator[tuple[str, int]]:
    """Yield lines and where they end; one that is not ended yet only if it `is_last`. What was cut begins again."""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # rotated away since it was listed
        return
    with file:
        end = start if start <= os.fstat(file.fileno()).st_size else 0
        file.seek(end)
        for line in file:
            if not line.endswith(b"\n") and not is_last:
                return
            end += len(line)
            yield line.rstrip(b"\r\n").decode(errors="replace"), end


def from_journald(names: tuple[str, ...], lines: int, *, follow: bool) -> Iterator[tuple[str, str]]:
    """Yield (process, line) of the services' entries in the system's journal."""
    program = shutil.which("journalctl")
    if program is None:
        raise EngineError("this machine has no journalctl: give --data, the folder whose log/ is meant")
    units = [argument for name in names or systemd.SERVICES for argument in ("-u", systemd.unit_of(name))]
    command = [program, *units, "-o", "json", "--all", "--no-pager", "-n", str(lines), *(["-f"] if follow else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:  # noqa: S603 - no shell
        assert reader.stdout is not None
        for text in reader.stdout:
            yield _of_journald(text)
            if follow:
                yield "", ""
    if reader.returncode:
        raise EngineError(f"journalctl ended with status {reader.returncode}: may you read the system's journal?")


def _of_journald(text: str) -> tuple[str, str]:
    """Return process and line of what journalctl printed; bytes that are no text come as a list of numbers."""
    try:
        entry = json.loads(text)
        message = entry.get("MESSAGE")
        unit = str(entry.get("_SYSTEMD_UNIT", "")).removeprefix("kk99-").removesuffix(".service")
        if isinstance(message, list):
            message = bytes(message).decode(errors="replace")
    except (ValueError, TypeError, AttributeError):
        return "journald", text
    return unit or "journald", message if isinstance(message, str) else ""


@click.command()
@click.argument("processes", nargs=-1)
@click.option(
    "--lines", "-n", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="The last so many."
)
@click.option("--level", type=click.Choice(LEVELS), default="debug", show_default=True, help="At least so bad.")
@click.option("--seq", type=click.IntRange(0), help="Only what has to do with this command sequence.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@on_site
@as_json
def logs(
    site: Site, *, processes: tuple[str, ...], lines: int, level: str, seq: int | None, follow: bool, as_json: bool
) -> None:
    """Show what PROCESSES (engine, fix, ...; default: all) logged; with --json one object a line."""
    if site.is_installed:
        source = from_journald(processes, lines, follow=follow)
    else:
        source = from_files(site.paths.root / "log", processes, follow=follow)
    last: deque[dict[str, Any]] = deque(maxlen=lines)
    for process, line in source:
        if process:
            entry = entry_of(line, process)
            if is_wanted(entry, level, seq):
                last.append(entry)
        elif follow:
            _print(last, to_json=as_json)
    _print(last, to_json=as_json)


def _print(entries: deque[dict[str, Any]], *, to_json: bool) -> None:
    while entries:
        entry = entries.popleft()
        click.echo(json.dumps(entry) if to_json else shown(entry))
