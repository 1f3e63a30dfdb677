"""The `kk99 gateway` commands: processes that clients of other protocols trade through."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from gateways.fix import settings
from kk99 import config
from kk99.logs import configure_logs
from kk99.paths import DataDir
from kk99.settlement.run import run_gateway
from kk99.up import Stopper


@click.group()
def gateway() -> None:
    """Run a gateway."""


@gateway.command()
@click.option("--config", "file", type=click.Path(path_type=Path), required=True, help="TOML file with a table [fix].")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("var"), envvar="KK99_DATA", show_default=True,
    help="The venue's folder; the gateway keeps its numbers in it, under fix.",
)  # fmt: skip
@click.option(
    "--connect", "address", help="The engine: folder of its sockets (default: run in --data) or tcp://host:port."
)
@click.option("--json-log", is_flag=True, help="Log as JSON lines.")
def fix(file: Path, data: Path, address: str | None, json_log: bool) -> None:
    """Run the FIX 4.4 gateway until SIGTERM or SIGINT; SIGHUP has it read its certificates again."""
    chosen = settings.load(file)
    configure_logs(json_log, "fix")
    from gateways.fix.server import run  # noqa: PLC0415 - the codec is compiled only to be run

    folder = DataDir(data.absolute()).fix
    stopper = Stopper()
    run(chosen, address or config.EngineSettings(data_dir=data).address, folder, stopper, Reloader())


class Reloader:
    """Remembers that SIGHUP came, until asked."""

    def __init__(self) -> None:
        self._is_set = False
        signal.signal(signal.SIGHUP, self._set)

    def _set(self, *_: object) -> None:
        self._is_set = True

    def __call__(self) -> bool:
        """Return whether to read files again; once for each signal, or several that came together."""
        was_set, self._is_set = self._is_set, False
        return was_set


@gateway.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, help="Port to listen on, 0: any that is free.")
@click.option("--per-minute", default=1_000, show_default=True, help="Requests that an address may make in a minute.")
@click.option("--connections", default=4_096, show_default=True, help="WebSocket connections at once.")
@click.option("--origin", "origins", multiple=True, help="Origin whose pages may read the answers (CORS); repeatable.")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("var"), envvar="KK99_DATA", show_default=True,
    help="The venue's folder.",
)  # fmt: skip
@click.option(
    "--connect", "address", help="The engine: folder of its sockets (default: run in --data) or tcp://host:port."
)
@click.option("--json-log", is_flag=True, help="Log as JSON lines.")
def web(
    host: str, port: int, per_minute: int, connections: int, origins: tuple[str, ...],
    data: Path, address: str | None, json_log: bool,
) -> None:  # fmt: skip
    """Run the market data gateway (HTTP and WebSocket) until SIGTERM or SIGINT."""
    configure_logs(json_log, "web")
    from gateways.web.server import run  # noqa: PLC0415 - the HTTP server is imported only to be run
    from gateways.web.settings import WebSettings  # noqa: PLC0415 - likewise

    chosen = WebSettings(
        address=address or config.EngineSettings(data_dir=data).address, data=data.absolute(), host=host, port=port,
        per_minute=per_minute, connections_max=connections, origins=origins,
    )  # fmt: skip
    run(chosen, Stopper(), lambda at: click.echo(f"kk99 web ready at http://{host}:{at}/"))


gateway.add_command(run_gateway)
