"""The `kk99 engine` command."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from kk99 import config
from kk99.engine import control


@click.command()
@click.option(
    "--data", "data_dir", type=click.Path(path_type=Path), help="Folder of journal, event store and snapshots."
)
@click.option(
    "--run", "run_dir", type=click.Path(path_type=Path), help="Folder of the sockets (default: run in --data)."
)
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML file with a table [engine].")
@click.option("--json-log", is_flag=True, help="Log as JSON lines.")
@click.option("--stats", "is_stats", is_flag=True, help="Print the counters of the engine that runs there, and end.")
@click.option(
    "--confirm-clock", is_flag=True, help="Tell the engine that runs there that the clock's jump is right, and end."
)
def engine(
    data_dir: Path | None,
    run_dir: Path | None,
    config_file: Path | None,
    json_log: bool,
    is_stats: bool,
    confirm_clock: bool,
) -> None:
    """Run the engine daemon: the one process that gives commands their sequence."""
    settings = config.load_engine(config_file, data_dir=data_dir, run_dir=run_dir)
    if is_stats or confirm_clock:
        click.echo(control.ask(settings.address, confirm_clock=confirm_clock))
        return
    from kk99.engine import daemon  # noqa: PLC0415 - the kernel is imported only to be run

    status = daemon.main(settings, json_log=json_log)
    sys.stdout.flush()
    sys.stderr.flush()
    # All is closed and durable: a library's thread that hangs at the interpreter's end must not hold up the exit.
    os._exit(status)
