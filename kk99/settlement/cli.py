"""The `kk99 settlement` commands: arguments in, one answer out."""

from __future__ import annotations

import datetime as dt
import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateways.client import Client
from gateways.settlement import books, content, reconcile, reports
from gateways.settlement import settings as settings_of
from kk99 import batch, config
from kk99.errors import ClientError, InputError
from kk99.paths import DataDir
from kk99.settlement.show import print_record, print_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from gateways.settlement.database import Database

_CATCH_UP_S: Final = 60.0
_LOOK_S: Final = 0.02
_TELL_S: Final = 1.0
_ENGINE_S: Final = 2.0

_config = click.option("--config", "file", type=click.Path(path_type=Path), help="TOML file with [settlement].")
_data = click.option(
    "--data", type=click.Path(path_type=Path), default=Path("var"), envvar="KK99_DATA", show_default=True,
    help="The venue's folder; the books lie in it, under settlement, unless the settings say else.",
)  # fmt: skip
_connect = click.option(
    "--connect", "address", help="The engine: folder of its sockets (default: run in --data) or tcp://host:port."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_csv = click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")


class _Day(click.ParamType[dt.date]):
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


_from = click.option("--from", "first", type=_Day(), required=True, help="First UTC day.")
_to = click.option("--to", "last", type=_Day(), help="Last UTC day (default: the first).")


@click.group()
def settlement() -> None:
    """Look into the books, prove them, derive them anew, print what accounts get."""


def _address(data: Path) -> str:
    return config.EngineSettings(data_dir=data).address


@contextmanager
def _database(file: Path | None, data: Path, *, is_writer: bool = False) -> Iterator[Database]:
    """Give the database of the books; a reader's must have this release's tables."""
    database = settings_of.load(file).open(DataDir(data.absolute()).settlement, is_writer=is_writer)
    with database:
        if not is_writer:
            if database.is_sqlite and not Path(database.url.database or "").exists():
                raise InputError(f"{database.name}: no books there yet: run `kk99 gateway settlement`")
            database.check()
        yield database


@contextmanager
def _reading(file: Path | None, data: Path) -> Iterator[sa.Connection]:
    with _database(file, data) as database, database.reading() as connection:
        yield connection


# How the books stand --------------------------------------------------------------------------------------------------


@settlement.command()
@_config
@_data
@_json
def status(file: Path | None, data: Path, as_json: bool) -> None:
    """Print how far the books go."""
    with _reading(file, data) as connection:
        cursor = books.cursor_of(connection)
    if cursor is None:
        raise InputError("the books are empty: no event came yet")
    found = {
        "venue_id": cursor.venue_id, "seq": cursor.cause_seq, "index": cursor.event_index,
        "time": reports.time_text(cursor.time_ns), "events": cursor.event_count, "last_trade_id": cursor.trade_id,
    }  # fmt: skip
    print_record(found, as_json=as_json)


@settlement.command(name="hash")
@_config
@_data
@_json
def hash_(file: Path | None, data: Path, as_json: bool) -> None:
    """Print the hash of all that the books hold: equal for equal events, in either database."""
    rows: list[dict[str, Any]] = []
    with _reading(file, data) as connection:
        cursor = books.cursor_of(connection)
        whole = content.content_hash(
            connection, lambda name, count, found: rows.append({"table": name, "rows": count, "hash": found})
        )
    seq = 0 if cursor is None else cursor.cause_seq
    if as_json:
        click.echo(json.dumps({"hash": whole, "seq": seq, "tables": rows}))
        return
    for row in rows:
        click.echo(f"{row['hash'][:16]}  {row['rows']:>12,}  {row['table']}")
    click.echo(f"{whole}  all, up to seq {seq:,}")


# Derived from the journal ---------------------------------------------------------------------------------------------


@settlement.command()
@_config
@_data
@_json
@click.confirmation_option("--yes", prompt="This drops all tables of the books and derives them anew. Go on?")
def rebuild(file: Path | None, data: Path, as_json: bool) -> None:
    """Drop the books and derive them anew from the journal; the gateway must not run."""
    with _database(file, data, is_writer=True) as database:
        database.migrate()
        database.lock()
        database.drop()
        database.migrate()
        _derive(database, file, data, as_json=as_json)


@settlement.command(name="catch-up")
@_config
@_data
@_json
def catch_up(file: Path | None, data: Path, as_json: bool) -> None:
    """Derive from the journal what the books lack, where the engine stores its events no longer."""
    with _database(file, data, is_writer=True) as database:
        database.migrate()
        database.lock()
        _derive(database, file, data, as_json=as_json)


def _derive(database: Database, file: Path | None, data: Path, *, as_json: bool) -> None:
    from kk99.settlement.journal import derive  # noqa: PLC0415 - importing the core takes a while

    told = began = time.monotonic()

    def tell(seq: int) -> None:
        nonlocal told
        if not as_json and time.monotonic() - told > _TELL_S:
            told = time.monotonic()
            click.echo(f"seq {seq:,}")

    kept = derive(database, data, settings_of.load(file).transaction_events, tell)
    found = {
        "seq": kept.cursor.cause_seq, "events": kept.cursor.event_count,
        "seconds": round(time.monotonic() - began, 3),
    }  # fmt: skip
    print_record(found, as_json=as_json)


# Proof against the core -----------------------------------------------------------------------------------------------


@settlement.command(name="reconcile")
@_config
@_data
@_connect
@_json
@click.option("--journal", "from_journal", is_flag=True, help="Take the core's side from the journal, not the engine.")
@click.pass_context
def reconcile_(
    ctx: click.Context, file: Path | None, data: Path, address: str | None, as_json: bool, from_journal: bool
) -> None:
    """Compare the books with the core's balances and open orders, to the unit; status 1 when they differ."""
    with _database(file, data) as database:
        last_event, frames = _core(data, None if from_journal else address or _address(data))
        _await(database, last_event)
        with database.reading() as connection:
            found = reconcile.reconcile(connection, last_event, frames)
    differences = [
        {"what": one.what, "number": one.number, "asset_id": one.asset_id, "books": one.books, "core": one.core}
        for one in found.differences
    ]
    summary = {"seq": found.seq, "balances": found.balances, "orders": found.orders, "differences": differences}
    if as_json:
        click.echo(json.dumps(summary))
    else:
        orders = (
            "open orders not compared (the books went on)" if found.orders is None else f"{found.orders:,} open orders"
        )
        click.echo(f"seq {found.seq:,}: {found.balances:,} balances, {orders}")
        for one in differences:
            click.echo("differs: " + "  ".join(f"{name} {value}" for name, value in one.items()))
        if not differences:
            click.echo("books and core agree to the unit")
    ctx.exit(1 if differences else 0)


def _core(data: Path, address: str | None) -> tuple[tuple[int, int], list[batch.Events]]:
    """Return the core's last event and state: the engine's at an address, or (None) the journal's."""
    if address is None:
        from kk99.settlement.journal import core_state  # noqa: PLC0415 - importing the core takes a while

        return core_state(data)
    with Client.connect(address, timeout_s=_ENGINE_S) as client:
        image = client.image()
    return image.last_event, image.frames


def _await(database: Database, event: tuple[int, int]) -> None:
    """Wait until the books have reached an event, for a while."""
    deadline = time.monotonic() + _CATCH_UP_S
    at = (0, 0)
    while time.monotonic() < deadline:
        with database.reading() as connection:
            cursor = books.cursor_of(connection)
        at_now = (0, 0) if cursor is None else cursor.event
        if at_now >= event:
            return
        if at_now != at:  # they come nearer
            at, deadline = at_now, time.monotonic() + _CATCH_UP_S
        time.sleep(_LOOK_S)
    raise ClientError(f"the books stand at seq {at[0]:,}, the core at {event[0]:,}: does the gateway run?")


# Papers ---------------------------------------------------------------------------------------------------------------


@settlement.command()
@click.argument("account")
@_config
@_data
@_from
@_to
@_json
@_csv
def confirmations(
    account: str, file: Path | None, data: Path, first: dt.date, last: dt.date | None, as_json: bool, as_csv: bool
) -> None:
    """Print a confirmation of each trade of ACCOUNT (name or number)."""
    period = reports.Period(first, last or first)
    with _reading(file, data) as connection:
        found = reports.account_named(connection, account)
        print_records(reports.confirmations(connection, found, period), as_json=as_json, as_csv=as_csv)


@settlement.command()
@click.argument("account")
@_config
@_data
@_from
@_to
@_json
@_csv
def statement(
    account: str, file: Path | None, data: Path, first: dt.date, last: dt.date | None, as_json: bool, as_csv: bool
) -> None:
    """Print the statement of ACCOUNT (name or number): each balance, and what moved it."""
    period = reports.Period(first, last or first)
    with _reading(file, data) as connection:
        found = reports.account_named(connection, account)
        made = reports.statement(connection, found, period)
    if as_json:
        assets = [{"asset": a.asset, "opening": a.opening, "closing": a.closing, "entries": a.entries} for a in made]
        text = {"account": found["name"], "from": str(period.first), "to": str(period.last), "assets": assets}
        click.echo(json.dumps(text))
        return
    if as_csv:
        lines = ({"asset": one.asset} | entry for one in made for entry in one.entries)
        print_records(lines, as_json=False, as_csv=True)
        return
    for one in made:
        click.echo(f"{found['name']}, {one.asset}, {period.first} to {period.last}")
        click.echo(f"opening balance {one.opening}")
        print_records(one.entries, as_json=False, as_csv=False)
        click.echo(f"closing balance {one.closing}\n")


@settlement.command()
@click.argument("account")
@_config
@_data
@_from
@_to
@_json
@_csv
def invoice(
    account: str, file: Path | None, data: Path, first: dt.date, last: dt.date | None, as_json: bool, as_csv: bool
) -> None:
    """Print the fee invoice of ACCOUNT (name or number)."""
    period = reports.Period(first, last or first)
    with _reading(file, data) as connection:
        found = reports.account_named(connection, account)
        print_records(reports.invoice(connection, found, period), as_json=as_json, as_csv=as_csv)
