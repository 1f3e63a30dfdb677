"""`kk99 gateway settlement`: the process that keeps the books."""

from __future__ import annotations

from pathlib import Path

import click

from kk99 import config
from kk99.logs import configure_logs
from kk99.paths import DataDir
from kk99.up import Stopper


@click.command(name="settlement")
@click.option("--config", "file", type=click.Path(path_type=Path), help="TOML file with [settlement].")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("var"), envvar="KK99_DATA", show_default=True,
    help="The venue's folder; the books lie in it, under settlement, unless the settings say else.",
)  # fmt: skip
@click.option(
    "--connect", "address", help="The engine: folder of its sockets (default: run in --data) or tcp://host:port."
)
@click.option("--json-log", is_flag=True, help="Log as JSON lines.")
def run_gateway(file: Path | None, data: Path, address: str | None, json_log: bool) -> None:
    """Run the settlement and history gateway until SIGTERM or SIGINT."""
    should_stop = Stopper()
    configure_logs(json_log, "settlement")
    from gateways.settlement import gateway, settings  # noqa: PLC0415 - SQL is imported only to be run

    chosen = settings.load(file)
    folder = DataDir(data.absolute()).settlement
    gateway.run(chosen, address or config.EngineSettings(data_dir=data).address, data, folder, should_stop)
