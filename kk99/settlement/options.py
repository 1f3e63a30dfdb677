"""What the commands of `kk99 settlement` share: their options, and the books that they open."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateways.settlement import settings as settings_of
from kk99 import config
from kk99.errors import InputError
from kk99.paths import DataDir

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from gateways.settlement.database import Database

config_option = click.option("--config", "file", type=click.Path(path_type=Path), help="TOML file with [settlement].")
data_option = click.option(
    "--data", type=click.Path(path_type=Path), default=Path("var"), envvar="KK99_DATA", show_default=True,
    help="The venue's folder; the books lie in it, under settlement, unless the settings say else.",
)  # fmt: skip
connect_option = click.option(
    "--connect", "address", help="The engine: folder of its sockets (default: run in --data) or tcp://host:port."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")


class Day(click.ParamType[dt.date]):
    """A UTC day."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        """Return the day that YYYY-MM-DD names."""
        if isinstance(value, dt.date):
            return value
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day such as 2026-03-31.", param, ctx)


from_option = click.option("--from", "first", type=Day(), required=True, help="First UTC day.")
to_option = click.option("--to", "last", type=Day(), help="Last UTC day (default: the first).")


def address_of(data: Path) -> str:
    """Return where the engine of a venue's folder listens."""
    return config.EngineSettings(data_dir=data).address


@contextmanager
def open_books(file: Path | None, data: Path, *, is_writer: bool = False) -> Iterator[Database]:
    """Give the database of the books; a reader's must have this release's tables."""
    database = settings_of.load(file).open(DataDir(data.absolute()).settlement, is_writer=is_writer)
    with database:
        if not is_writer:
            if database.is_sqlite and not Path(database.url.database or "").exists():
                raise InputError(f"{database.name}: no books there yet: run `kk99 gateway settlement`")
            database.check()
        yield database


@contextmanager
def reading(file: Path | None, data: Path) -> Iterator[sa.Connection]:
    """Give a connection to the books that sees one state."""
    with open_books(file, data) as database, database.reading() as connection:
        yield connection
