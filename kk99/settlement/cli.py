"""The `kk99 settlement` commands: arguments in, one answer out."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - the commands' types
import json
import time
from pathlib import Path  # noqa: TC003 - the commands' types
from typing import TYPE_CHECKING, Any, Final

import click

from gateways.client import Client
from gateways.settlement import books, content, reconcile, reports
from gateways.settlement import settings as settings_of
from kk99.errors import ClientError, InputError
from kk99.settlement import settling
from kk99.settlement.options import (
    address_of,
    config_option,
    connect_option,
    csv_option,
    data_option,
    from_option,
    json_option,
    open_books,
    reading,
    to_option,
)
from kk99.settlement.show import print_record, print_records

if TYPE_CHECKING:
    from gateways.settlement.database import Database
    from kk99 import batch

_CATCH_UP_S: Final = 60.0
_LOOK_S: Final = 0.02
_TELL_S: Final = 1.0
_ENGINE_S: Final = 2.0


@click.group()
def settlement() -> None:
    """Look into the books, prove them, derive them anew, settle what is owed, print what accounts get."""


for _command in settling.COMMANDS:
    settlement.add_command(_command)


# How the books stand --------------------------------------------------------------------------------------------------


@settlement.command()
@config_option
@data_option
@json_option
def status(file: Path | None, data: Path, as_json: bool) -> None:
    """Print how far the books go."""
    with reading(file, data) as connection:
        cursor = books.cursor_of(connection)
    if cursor is None:
        raise InputError("the books are empty: no event came yet")
    found = {
        "venue_id": cursor.venue_id, "seq": cursor.cause_seq, "index": cursor.event_index,
        "time": reports.time_text(cursor.time_ns), "events": cursor.event_count, "last_trade_id": cursor.trade_id,
    }  # fmt: skip
    print_record(found, as_json=as_json)


@settlement.command(name="hash")
@config_option
@data_option
@json_option
def hash_(file: Path | None, data: Path, as_json: bool) -> None:
    """Print the hash of all that the books hold: equal for equal events, in either database."""
    rows: list[dict[str, Any]] = []
    with reading(file, data) as connection:
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
@config_option
@data_option
@json_option
@click.confirmation_option("--yes", prompt="This drops all tables of the books and derives them anew. Go on?")
def rebuild(file: Path | None, data: Path, as_json: bool) -> None:
    """Drop the books and derive them anew from the journal; the gateway must not run."""
    with open_books(file, data, is_writer=True) as database:
        database.migrate()
        database.lock()
        database.drop()
        database.migrate()
        _derive(database, file, data, as_json=as_json)


@settlement.command(name="catch-up")
@config_option
@data_option
@json_option
def catch_up(file: Path | None, data: Path, as_json: bool) -> None:
    """Derive from the journal what the books lack, where the engine stores its events no longer."""
    with open_books(file, data, is_writer=True) as database:
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
@config_option
@data_option
@connect_option
@json_option
@click.option("--journal", "from_journal", is_flag=True, help="Take the core's side from the journal, not the engine.")
@click.pass_context
def reconcile_(
    ctx: click.Context, file: Path | None, data: Path, address: str | None, as_json: bool, from_journal: bool
) -> None:
    """Compare the books with the core's balances and open orders, to the unit; status 1 when they differ."""
    with open_books(file, data) as database:
        last_event, frames = _core(data, None if from_journal else address or address_of(data))
        _await(database, last_event)
        with database.reading() as connection:
            found = reconcile.reconcile(connection, last_event, frames)
    differences = [
        {
            "what": one.what,
            "number": one.number,
            "asset_id": one.asset_id,
            "books": one.books,
            "core": one.core,
            "value_date": one.value_date,
        }
        for one in found.differences
    ]
    summary = {
        "seq": found.seq, "balances": found.balances, "orders": found.orders, "obligations": found.obligations,
        "differences": differences,
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(summary))
    else:
        orders = (
            "open orders and obligations not compared (the books went on)"
            if found.orders is None
            else f"{found.orders:,} open orders, {found.obligations:,} open obligations"
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
@config_option
@data_option
@from_option
@to_option
@json_option
@csv_option
def confirmations(
    account: str, file: Path | None, data: Path, first: dt.date, last: dt.date | None, as_json: bool, as_csv: bool
) -> None:
    """Print a confirmation of each trade of ACCOUNT (name or number)."""
    period = reports.Period(first, last or first)
    with reading(file, data) as connection:
        found = reports.account_named(connection, account)
        print_records(reports.confirmations(connection, found, period), as_json=as_json, as_csv=as_csv)


@settlement.command()
@click.argument("account")
@config_option
@data_option
@from_option
@to_option
@json_option
@csv_option
def statement(
    account: str, file: Path | None, data: Path, first: dt.date, last: dt.date | None, as_json: bool, as_csv: bool
) -> None:
    """Print the statement of ACCOUNT (name or number): each balance, and what moved it."""
    period = reports.Period(first, last or first)
    with reading(file, data) as connection:
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
@config_option
@data_option
@from_option
@to_option
@json_option
@csv_option
def invoice(
    account: str, file: Path | None, data: Path, first: dt.date, last: dt.date | None, as_json: bool, as_csv: bool
) -> None:
    """Print the fee invoice of ACCOUNT (name or number)."""
    period = reports.Period(first, last or first)
    with reading(file, data) as connection:
        found = reports.account_named(connection, account)
        print_records(reports.invoice(connection, found, period), as_json=as_json, as_csv=as_csv)
