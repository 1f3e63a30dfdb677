"""The venue that a command is about, and how its answers are printed: tables for people, one JSON object for scripts.

Invariants: the engine is spoken to through the gateways' client only, and only if it is the one of these data; an
answer goes to standard output, all else to standard error; an error says what to do next; nothing that is shown can
steer the terminal.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateways.client import Client
from kk99 import config
from kk99.errors import ClientError
from kk99.operate.people import OPERATORS_FILE
from kk99.paths import DataDir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kk99.config import EngineSettings

CONFIG_FILE: Final = Path("/etc/kk99/kk99.toml")
"""The settings of an installed venue: what a command is about when nothing else is said."""
CREDENTIALS_DIR: Final = Path("/etc/kk99/credentials")
"""Its secrets, as the units name them."""
VENUE_ID_FILE: Final = "venue.id"
ENGINE_TIMEOUT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Site:
    """A venue on this machine."""

    settings: EngineSettings
    config_file: Path | None
    is_installed: bool
    """Whether systemd runs it: its settings are those of the installed venue."""

    @property
    def paths(self) -> DataDir:
        """The folders of its data."""
        return DataDir(self.settings.data_dir.absolute())

    @property
    def address(self) -> str:
        """Where its engine listens."""
        return self.settings.address

    @property
    def operators_file(self) -> Path:
        """Who may give orders: what lies beside the installed venue's settings or in the data goes before the rest.

        So another --config, or --data alone, does not leave the rules of the venue behind.
        """
        folders = [self.paths.root]
        if CONFIG_FILE.exists() and config.load_engine(CONFIG_FILE).data_dir.absolute() == self.paths.root:
            folders.insert(0, CONFIG_FILE.parent)
        if self.config_file is not None:
            folders.append(self.config_file.absolute().parent)
        found = [folder / OPERATORS_FILE for folder in folders]
        return next((path for path in found if path.exists()), found[0])

    @contextmanager
    def client(self, session_name: str | None = None) -> Iterator[Client]:
        """Give a client of the engine; `ClientError` that says how to start it when there is none."""
        with self._reader() as client:
            if session_name is None:
                yield client
                return
        with Client.connect(self.address, session_name, timeout_s=ENGINE_TIMEOUT_S) as client:
            yield client

    def _reader(self) -> Client:
        """Return a client that only looks, so that an engine of another venue is not even asked for a session."""
        try:
            client = Client.connect(self.address, timeout_s=ENGINE_TIMEOUT_S)
        except ClientError as error:
            raise ClientError(f"{error}; {self.how_to_start}") from error
        try:
            self._refuse_another_venue(client)
        except BaseException:
            client.close()
            raise
        return client

    def _refuse_another_venue(self, client: Client) -> None:
        """Raise `ClientError` when the engine that answers is not the one of the data folder."""
        path = self.paths.root / VENUE_ID_FILE
        own = path.read_text(errors="replace").strip() if path.exists() else ""
        if own and client.welcome is not None and client.welcome.venue_id.hex() != own:
            raise ClientError(f"{self.address}: this engine is of another venue than {path}: give its --data, too")

    @property
    def how_to_start(self) -> str:
        """What to do when no engine answers."""
        start = "systemctl start kk99.target" if self.is_installed else f"kk99 up --data {self.settings.data_dir}"
        return f"if it should run, look at `kk99 logs` and start it with `{start}`"


def _site(data: Path | None, run: Path | None, config_file: Path | None) -> Site:
    if config_file is None and data is None and CONFIG_FILE.exists():
        config_file = CONFIG_FILE
    settings = config.load_engine(config_file, data_dir=data, run_dir=run)
    is_installed = config_file is not None and config_file.absolute() == CONFIG_FILE
    if is_installed and os.access(CREDENTIALS_DIR, os.R_OK):  # what a command signs, it signs with the services' key
        os.environ.setdefault("CREDENTIALS_DIRECTORY", str(CREDENTIALS_DIR))
    return Site(settings, config_file, is_installed)


def on_site(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which venue; the command gets it as `site`."""

    def made(
        ctx: click.Context, data_dir: Path | None, run_dir: Path | None, config_file: Path | None, **given: Any
    ) -> Any:
        return ctx.invoke(command, site=_site(data_dir, run_dir, config_file), **given)

    made.__doc__, made.__name__ = command.__doc__, command.__name__
    made.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    folder = click.Path(path_type=Path, file_okay=False)
    for option in (
        click.option("--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), envvar="KK99_CONFIG",
                     help=f"The venue's settings (default: {CONFIG_FILE}, if it is there and no --data is given)."),
        click.option("--run", "run_dir", type=folder, help="Folder of the engine's sockets, if it is elsewhere."),
        click.option("--data", "data_dir", type=folder, envvar="KK99_DATA",
                     help="The venue's data folder (default: that of the settings, else var)."),
    ):  # fmt: skip
        made = option(made)
    return click.pass_context(made)


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None, left: int = 1) -> Table:
    """Return a table; all but the first `left` columns are numbers, to the right."""
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(head):
        made.add_column(name, justify="left" if at < left else "right", overflow="fold")
    for row in rows:
        made.add_row(*(Text(plain(cell) if isinstance(cell, str) else f"{cell:,}") for cell in row))
    return made


def plain(text: str) -> str:
    """Return a text as a screen may get it: what would steer the terminal is written out, as in a literal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)


def show(answer: Any, *tables: Table | str, to_json: bool) -> None:
    """Print an answer: as one JSON object, or as the tables."""
    if to_json:
        click.echo(json.dumps(answer, allow_nan=False))
        return
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = 160
    for one in tables:
        console.print(Text(plain(one)) if isinstance(one, str) else one)
