"""The `kk99 bench` command: one bench, or each of them in a process of its own, as a table or one JSON object."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console

from kk99.bench import host, results
from kk99.bench.options import Options

if TYPE_CHECKING:
    from kk99.bench.results import Result

BENCHES: Final = (
    "core",
    "triggers",
    "auction",
    "fix",
    "journal",
    "snapshot",
    "replay",
    "memory",
    "startup",
    "recover",
    "engine",
    "history",
    "web",
)
ALL: Final = "all"
_WIDTH: Final = 140


@click.command()
@click.argument("name", type=click.Choice([*BENCHES, ALL]))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quick", is_flag=True, help="Tiny sizes: shows that the benches work, not how fast the venue is.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/bench"),
    show_default=True,
    help="Where journals are written: the disk that is measured.",
)
@click.pass_context
def bench(ctx: click.Context, name: str, *, as_json: bool, quick: bool, data: Path) -> None:
    """Measure, each figure beside its yardstick, what it must reach and what it should."""
    options = Options(quick, data)
    machine = host.describe(data)
    failed: list[str] = []
    found: list[Result] = []
    for one in BENCHES if name == ALL else (name,):
        try:
            found += _apart(one, options) if name == ALL else run(one, options)
        except subprocess.CalledProcessError:
            failed.append(one)
    if as_json:
        click.echo(json.dumps(results.document(name, machine, found)))
    else:
        Console(width=_WIDTH).print(results.table(machine, found, quick=quick))
    for one in failed:
        options.say(f"{one} failed: run `kk99 bench {one}` to see why")
    ctx.exit(1 if failed else 0)


def run(name: str, options: Options) -> list[Result]:
    """Run a bench in this process and return its figures."""
    found: list[Result] = importlib.import_module(f"kk99.bench.{name}").run(options)
    return found


def _apart(name: str, options: Options) -> list[Result]:
    """Run a bench in a process of its own, so that none inherits another's memory, and return its figures."""
    command = [sys.executable, "-m", "kk99.cli", "bench", name, "--json", "--data", str(options.data)]
    command += ["--quick"] if options.quick else []
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 - our own command
    return results.results_of(json.loads(done.stdout))
