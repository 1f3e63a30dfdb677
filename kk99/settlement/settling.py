"""The commands about what trades leave owed: listed, settled, failed, penalties reckoned, calendars defined."""

from __future__ import annotations

import datetime as dt
import getpass
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import sqlalchemy as sa

from gateways.client import Client
from gateways.settlement import reports, settler, tables
from gateways.settlement import settings as settings_of
from gateways.settlement.obligations import state_on
from gateways.settlement.terms import DAY_NS, ObligationState
from kk99 import build, schema
from kk99.errors import InputError
from kk99.operate.desk import send
from kk99.operate.orders import Step
from kk99.operate.people import check_actor, check_reason
from kk99.schema import EventKind, RejectCode
from kk99.settlement import calendars
from kk99.settlement.options import (
    Day,
    address_of,
    config_option,
    connect_option,
    csv_option,
    data_option,
    json_option,
    reading,
)
from kk99.settlement.show import print_record, print_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SESSION: Final = "settlement-by-hand"
"""Not the gateway's own, which goes on meanwhile."""
_EPOCH: Final = dt.date(1970, 1, 1)
_ENGINE_S: Final = 3.0
_STEPS_MAX: Final = 256
"""Commands whose answers are waited for together."""
_PPM: Final = 1_000_000
_NOTHING: Final = "nothing is owed"

_date = click.option("--date", type=Day(), help="As of this UTC day (default: today).")


def _number(date: dt.date | None) -> int:
    """Return a day as days since 1970, None as today."""
    return time.time_ns() // DAY_NS if date is None else (date - _EPOCH).days


def _answers(data: Path, address: str | None, steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    """Give commands to the engine; yield what became of each."""
    with Client.connect(address or address_of(data), SESSION, timeout_s=_ENGINE_S) as client:
        for at in range(0, len(steps), _STEPS_MAX):
            yield from send(client, steps[at : at + _STEPS_MAX])


# What is owed ---------------------------------------------------------------------------------------------------------


@click.command()
@config_option
@data_option
@click.option("--account", help="Of this account (name or number).")
@click.option("--asset", help="Of this asset (name or number).")
@click.option(
    "--state", type=click.Choice([one.name for one in ObligationState], case_sensitive=False),
    help="In this state (default: all that are open).",
)  # fmt: skip
@_date
@json_option
@csv_option
def obligations(
    file: Path | None, data: Path, account: str | None, asset: str | None, state: str | None, date: dt.date | None,
    as_json: bool, as_csv: bool,
) -> None:  # fmt: skip
    """List what trades left owed, by value date."""
    its, today = tables.obligations.c, _number(date)
    query = sa.select(tables.obligations).order_by(its.value_date, its.account_id, its.asset_id)
    query = query.where(~tables.IS_OPEN if state == ObligationState.SETTLED.name else tables.IS_OPEN)
    with reading(file, data) as connection:
        if account is not None:
            query = query.where(its.account_id == reports.account_named(connection, account)["account_id"])
        if asset is not None:
            query = query.where(its.asset_id == reports.asset_named(connection, asset)["asset_id"])
        streamed = connection.execution_options(stream_results=True).execute(query).mappings()
        names = _Names(connection)
        lines = (names.line(row, today) for row in streamed)
        wanted = (line for line in lines if state is None or line["state"] == state)
        print_records(wanted, as_json=as_json, as_csv=as_csv, empty=_NOTHING)


class _Names:
    """How obligations read."""

    def __init__(self, connection: sa.Connection) -> None:
        self._names = reports.Names(connection)
        its = tables.accounts.c
        found = connection.execute(sa.select(its.account_id, its.name))
        self._accounts: dict[int, str] = {row.account_id: row.name for row in found}

    def head(self, row: Any) -> dict[str, Any]:
        """Return which obligation it is, and what is owed."""
        return {
            "account": self._accounts[row["account_id"]], "asset": self._names.asset(row["asset_id"]),
            "value_date": reports.date_text(row["value_date"]),
            "amount": self._names.amount(row["amount_units"], row["asset_id"]),
        }  # fmt: skip

    def amount(self, units: int, asset_id: int) -> str:
        """Return units of an asset as decimal text."""
        return self._names.amount(units, asset_id)

    def line(self, row: Any, today: int) -> dict[str, Any]:
        """Return an obligation as it stands on a day."""
        return self.head(row) | {
            "state": state_on(row["state"], row["value_date"], today).name, "reason": row["reason"],
            "penalties": self.amount(row["penalty_units"], row["asset_id"]),
            **{what: reports.time_text(row[f"{what}_ns"]) if row[f"{what}_ns"] else ""
               for what in ("opened", "failed", "settled")},
        }  # fmt: skip


# Settled or failed ----------------------------------------------------------------------------------------------------


@click.command()
@config_option
@data_option
@connect_option
@_date
@json_option
@click.pass_context
def settle(
    ctx: click.Context, file: Path | None, data: Path, address: str | None, date: dt.date | None, as_json: bool
) -> None:
    """Settle all that is due by a day, failed obligations too; status 1 when the venue refused any."""
    with reading(file, data) as connection:
        rows = settler.due(connection, _number(date), time.time_ns())
    steps = [Step("", settler.settling(rows[at : at + 1]), EventKind.OBLIGATION_SETTLED) for at in range(len(rows))]
    settled = done = 0
    refused: dict[str, int] = {}
    for answer in _answers(data, address, steps) if steps else ():
        if not answer["is_refused"]:
            settled += 1
        elif answer["outcome"] == RejectCode.OBLIGATION_UNKNOWN.name:
            done += 1  # settled by another since the books were read
        else:
            refused[answer["outcome"]] = refused.get(answer["outcome"], 0) + 1
    found = {"due": len(rows), "settled": settled, "settled_before": done, "refused": sum(refused.values())}
    print_record(found | refused, as_json=as_json)
    if refused:
        ctx.exit(1)


@click.command()
@click.argument("account")
@click.argument("asset")
@click.argument("date", type=Day())
@click.option(
    "--why", type=click.IntRange(-(2**63), 2**63 - 1), required=True, help="A number of your own; it is kept."
)
@config_option
@data_option
@connect_option
@json_option
@click.pass_context
def fail(
    ctx: click.Context, account: str, asset: str, date: dt.date, why: int, file: Path | None, data: Path,
    address: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Say that what is owed to ACCOUNT in ASSET for value date DATE failed to settle; it stays open."""
    with reading(file, data) as connection:
        row = _one(connection, account, asset, date)
        head = _Names(connection).head(row)
    commands = build.settle(
        row["account_id"], row["asset_id"], row["value_date"], row["amount_units"], failed=True, why=why
    )
    (answer,) = _answers(data, address, [Step(account, commands, EventKind.OBLIGATION_FAILED)])
    print_record(head | {"seq": answer["seq"], "outcome": answer["outcome"]}, as_json=as_json)
    if answer["is_refused"]:
        ctx.exit(1)


def _one(connection: sa.Connection, account: str, asset: str, date: dt.date) -> dict[str, Any]:
    """Return an open obligation, or raise `InputError`."""
    its = tables.obligations.c
    account_id = reports.account_named(connection, account)["account_id"]
    asset_id = reports.asset_named(connection, asset)["asset_id"]
    query = sa.select(tables.obligations).where(tables.IS_OPEN, its.value_date == _number(date))
    query = query.where(its.account_id == account_id, its.asset_id == asset_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise InputError(f"{account} is owed no {asset} for {date}: `kk99 settlement obligations` lists what is owed")
    return dict(row)


# Penalties ------------------------------------------------------------------------------------------------------------


@click.command()
@config_option
@data_option
@_date
@click.option("--ppm", type=click.IntRange(0, _PPM), help="Millionths a day (default: penalty_ppm of the settings).")
@json_option
@csv_option
def penalties(
    file: Path | None, data: Path, date: dt.date | None, ppm: int | None, as_json: bool, as_csv: bool
) -> None:
    """Print what failed obligations cost the venue by a day, by the schedule, and is not paid; it pays nothing."""
    rate, today = settings_of.load(file).penalty_ppm if ppm is None else ppm, _number(date)
    with reading(file, data) as connection:
        names = _Names(connection)
        found = settler.due(connection, today, 2**63 - 1)
        failed = found[found["state"] == ObligationState.FAILED].tolist()
        rows = [dict(zip(tables.obligations.columns.keys(), values, strict=True)) for values in failed]
        lines = [
            names.head(row)
            | {"days": today - row["value_date"]}
            | {
                what: names.amount(units, row["asset_id"])
                for what, units in (
                    ("penalty", owed), ("paid", row["penalty_units"]), ("to_pay", owed - row["penalty_units"]),
                )
            }
            for row in rows
            if (owed := penalty_units(row, rate, today)) > row["penalty_units"]
        ]  # fmt: skip
    print_records(lines, as_json=as_json, as_csv=as_csv, empty="no penalty is to be paid")


def penalty_units(row: dict[str, int], rate_ppm: int, date: int) -> int:
    """Return the penalty of a failed obligation by a date: its rate for each day since the value date, rounded down."""
    return row["amount_units"] * rate_ppm * (date - row["value_date"]) // _PPM


# Calendars ------------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("name")
@click.option("--exchange", help="Take the sessions of this exchange (its MIC, such as XNYS).")
@click.option("--from", "first", type=Day(), help="From this day.")
@click.option("--to", "last", type=Day(), help="To this day, included.")
@click.option("--file", "dates_file", type=click.Path(path_type=Path), help="Or the dates of a file, one in each line.")
@click.option("--actor", default=getpass.getuser, envvar="KK99_ACTOR", help="Who orders it (default: your login).")
@click.option("--reason", required=True, help="Why; it is kept for good.")
@data_option
@connect_option
@json_option
@click.pass_context
def calendar(
    ctx: click.Context, name: str, exchange: str | None, first: dt.date | None, last: dt.date | None,
    dates_file: Path | None, actor: str, reason: str, data: Path, address: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Define the settlement calendar NAME by its business dates, or give it others, for trades from then on."""
    if (exchange is None) == (dates_file is None):
        raise click.UsageError("give either --exchange with --from and --to, or --file")
    if dates_file is not None:
        days = calendars.of_file(dates_file)
    elif first is None or last is None:
        raise click.UsageError("--exchange needs --from and --to")
    else:
        days = calendars.of_exchange(exchange or "", first, last)
    if len(days) > schema.CALENDAR_DATES_MAX:
        raise InputError(f"{len(days):,} dates: a calendar has at most {schema.CALENDAR_DATES_MAX:,}; take fewer years")
    dates = [_number(day) for day in days]
    commands = build.settlement_calendar(name, dates, actor=check_actor(actor), reason=check_reason(reason))
    (answer,) = _answers(data, address, [Step(name, commands, EventKind.SETTLEMENT_CALENDAR_DEFINED)])
    found = {"calendar": name, "dates": len(days), "first": str(days[0]), "last": str(days[-1])}
    print_record(found | {"seq": answer["seq"], "outcome": answer["outcome"]}, as_json=as_json)
    if answer["is_refused"]:
        ctx.exit(1)


COMMANDS: Final = (obligations, settle, fail, penalties, calendar)
