"""The `kk99 gateway` commands: processes that clients of other protocols trade through."""

from __future__ import annotations

from pathlib import Path

import click

from gateways.fix import settings
from kk99 import config
from kk99.logs import configure_logs
from kk99.paths import DataDir
from kk99.up import Stopper


@click.group()
def gateway() -> None:
    """Run a gateway."""


@gateway.command()
def password() -> None:
    """Print what a gateway's settings keep of a password."""
    click.echo(settings.hash_password(click.prompt("Password", hide_input=True, confirmation_prompt=True)))


@gateway.command()
@click.option("--config", "file", type=click.Path(path_type=Path), required=True, help="TOML file of the sessions.")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("var"), envvar="KK99_DATA", show_default=True,
    help="The venue's folder; the gateway keeps its numbers in it, under fix.",
)  # fmt: skip
@click.option(
    "--connect", "address", help="The engine: folder of its sockets (default: run in --data) or tcp://host:port."
)
@click.option("--json-log", is_flag=True, help="Log as JSON lines.")
def fix(file: Path, data: Path, address: str | None, json_log: bool) -> None:
    """Run the FIX 4.4 gateway until SIGTERM or SIGINT."""
    chosen = settings.load(file)
    configure_logs(json_log)
    from gateways.fix.server import run  # noqa: PLC0415 - the codec is compiled only to be run

    folder = DataDir(data.absolute()).fix
    run(chosen, address or config.EngineSettings(data_dir=data).address, folder, Stopper())
