"""The papers that an account gets: trade confirmations, statements, fee invoices; amounts as decimal text.

Each is made of the books alone, in one transaction, for whole UTC days. Invariants, each a test: a statement's entries
lead from its opening to its closing balance; an invoice's lines are the fees of the ledger, to the unit.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from gateways.settlement import tables
from gateways.settlement.terms import DAY_NS, EntryKind, LedgerCause, Liquidity, TradeState
from kk99 import schema
from kk99.decimals import Precision, amount_text
from kk99.errors import InputError, InvariantError
from kk99.schema import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

Record = dict[str, Any]
_EPOCH: Final = dt.date(1970, 1, 1)
_FEE_NAMES: Final = {
    LedgerCause.TRADE: "trading fees",
    LedgerCause.BUST: "trading fees of busted trades, given back",
    LedgerCause.CORRECTION: "trading fees of corrected trades, the difference",
    LedgerCause.DEPOSIT: "deposit fees",
    LedgerCause.WITHDRAWAL: "withdrawal fees",
}
_REBATES: Final = "rebates"


@dataclass(frozen=True, slots=True)
class Period:
    """UTC days, both included."""

    first: dt.date
    last: dt.date

    def __post_init__(self) -> None:
        """Check the order."""
        if self.last < self.first:
            raise InputError(f"the period ends on {self.last}, before it begins on {self.first}")

    @property
    def first_day(self) -> int:
        """Days since 1970-01-01 at its beginning."""
        return (self.first - _EPOCH).days

    @property
    def last_day(self) -> int:
        """Days since 1970-01-01 at its end."""
        return (self.last - _EPOCH).days

    def bounds(self, connection: sa.Connection, column: str) -> tuple[int, int]:
        """Return the first sequence or trade id of the period, and the first after it."""
        return tuple(_first_of(connection, day, column) for day in (self.first_day, self.last_day + 1))  # type: ignore[return-value]

    def contains(self, time_ns: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
        """Return the condition that a time lies in it."""
        return sa.and_(time_ns >= self.first_day * DAY_NS, time_ns < (self.last_day + 1) * DAY_NS)


class Names:
    """How the numbers of the books read."""

    def __init__(self, connection: sa.Connection) -> None:
        """Read what there is."""
        read = {
            table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for table in (tables.assets, tables.instruments)
        }
        self._assets = {row["asset_id"]: row for row in read["assets"]}
        self._instruments = {row["instrument_id"]: row for row in read["instruments"]}
        self._precisions = {
            number: Precision(
                row["tick_units"], row["lot_units"],
                self._assets[row["base_asset_id"]]["scale"], self._assets[row["quote_asset_id"]]["scale"],
            )
            for number, row in self._instruments.items()
        }  # fmt: skip

    def asset(self, asset_id: int) -> str:
        """Return an asset's name."""
        return str(self._assets[asset_id]["name"])

    def amount(self, units: int, asset_id: int) -> str:
        """Return units of an asset as decimal text."""
        return amount_text(units, self._assets[asset_id]["scale"])

    def instrument(self, instrument_id: int) -> str:
        """Return an instrument's name."""
        return str(self._instruments[instrument_id]["name"])

    def quote(self, instrument_id: int) -> int:
        """Return the asset in which an instrument is paid."""
        return int(self._instruments[instrument_id]["quote_asset_id"])

    def price(self, price_ticks: int, instrument_id: int) -> str:
        """Return a price as decimal text."""
        return self._precisions[instrument_id].price_text(price_ticks)

    def qty(self, qty_lots: int, instrument_id: int) -> str:
        """Return a quantity as decimal text."""
        return self._precisions[instrument_id].qty_text(qty_lots)


def account_named(connection: sa.Connection, text: str) -> Record:
    """Return the account of a name or, failing that, of a number; `InputError` if there is none."""
    its = tables.accounts.c
    query = sa.select(tables.accounts).where(its.name == text)
    row = connection.execute(query).mappings().first()
    if row is None and text.isdecimal() and len(text) < 10:
        row = connection.execute(sa.select(tables.accounts).where(its.account_id == int(text))).mappings().first()
    if row is None:
        raise InputError(f"the books have no account named or numbered {text!r}")
    return dict(row)


def asset_named(connection: sa.Connection, text: str) -> Record:
    """Return the asset of a name or, failing that, of a number; `InputError` if there is none."""
    its = tables.assets.c
    rows = connection.execute(sa.select(tables.assets).order_by(its.asset_id)).mappings().all()
    for row in sorted(rows, key=lambda one: one["name"] != text):
        if text in {row["name"], str(row["asset_id"])}:
            return dict(row)
    raise InputError(f"the books have no asset named or numbered {text!r}")


def date_text(date: int) -> str:
    """Return a day since 1970 as ISO 8601, or as a number where the calendar has no name for it."""
    if date > (dt.date.max - _EPOCH).days:
        return f"day {date}"
    return str(_EPOCH + dt.timedelta(days=date))


def time_text(time_ns: int) -> str:
    """Return a time as ISO 8601 in UTC, to the nanosecond."""
    seconds, rest = divmod(time_ns, 10**9)
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _first_of(connection: sa.Connection, day: int, column: str) -> int:
    days = tables.days.c
    found = connection.scalar(sa.select(days[column]).where(days.day >= day).order_by(days.day).limit(1))
    return 1 << 62 if found is None else int(found)


def _streamed(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Any]:
    return iter(connection.execution_options(stream_results=True).execute(query).mappings())


# Confirmations --------------------------------------------------------------------------------------------------------


def confirmations(connection: sa.Connection, account: Record, period: Period) -> Iterator[Record]:
    """Yield a line for each execution of an account, in order, as it now stands: busted and corrected ones say so."""
    names = Names(connection)
    its = tables.executions.c
    begin, end = period.bounds(connection, "trade_id")
    trade = tables.trades.c
    query = sa.select(tables.executions, trade.value_date).join(tables.trades, trade.trade_id == its.trade_id)
    query = query.where(its.account_id == account["account_id"], its.trade_id >= begin)
    query = query.where(its.trade_id < end).order_by(its.trade_id, its.liquidity)
    for row in _streamed(connection, query):
        instrument, quote = row["instrument_id"], names.quote(row["instrument_id"])
        sign = 1 if row["side"] == Side.BUY else -1
        yield {
            "account": account["name"], "trade_id": row["trade_id"], "time": time_text(row["time_ns"]),
            "instrument": names.instrument(instrument), "side": Side(row["side"]).name,
            "quantity": names.qty(row["qty_lots"], instrument), "price": names.price(row["price_ticks"], instrument),
            "gross": names.amount(row["notional_units"], quote), "fee": names.amount(row["fee_units"], quote),
            "net": names.amount(row["notional_units"] + sign * row["fee_units"], quote), "currency": names.asset(quote),
            "liquidity": Liquidity(row["liquidity"]).name, "order_id": row["order_id"],
            "state": TradeState(row["state"]).name,
            "settlement_date": date_text(row["value_date"] or row["time_ns"] // DAY_NS),
        }  # fmt: skip


# Statements -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AssetStatement:
    """What happened to one balance: entries lead from `opening` to `closing`."""

    asset: str
    opening: str
    closing: str
    entries: list[Record]


def statement(connection: sa.Connection, account: Record, period: Period) -> list[AssetStatement]:
    """Return the statement of an account, by asset; raises `InvariantError` if it does not add up."""
    names, account_id = Names(connection), account["account_id"]
    its = tables.balances.c
    held = connection.scalars(sa.select(its.asset_id).where(its.account_id == account_id).order_by(its.asset_id)).all()
    return [_of_asset(connection, names, account_id, asset_id, period) for asset_id in held]


def _of_asset(
    connection: sa.Connection, names: Names, account_id: int, asset_id: int, period: Period
) -> AssetStatement:
    opening = _balance_at(connection, account_id, asset_id, period.first_day - 1)
    closing = _balance_at(connection, account_id, asset_id, period.last_day)
    its = tables.ledger.c
    begin, end = period.bounds(connection, "cause_seq")
    query = sa.select(tables.ledger).where(its.account_id == account_id, its.asset_id == asset_id)
    query = query.where(its.cause_seq >= begin, its.cause_seq <= end, period.contains(its.time_ns))
    balance, entries = opening, []
    for row in _streamed(connection, query.order_by(its.cause_seq, its.event_index, its.entry)):
        balance += row["amount_units"]
        if balance != row["balance_units"]:
            raise InvariantError(f"account {account_id}, asset {asset_id}: entry {dict(row)} does not follow {balance}")
        entries.append({
            "time": time_text(row["time_ns"]), "seq": row["cause_seq"], "event": LedgerCause(row["cause"]).name,
            "what": EntryKind(row["entry_kind"]).name, "trade_id": row["trade_id"],
            "amount": names.amount(row["amount_units"], asset_id), "balance": names.amount(balance, asset_id),
        })  # fmt: skip
    if balance != closing:
        raise InvariantError(f"account {account_id}, asset {asset_id}: entries lead to {balance}, not {closing}")
    return AssetStatement(
        names.asset(asset_id), names.amount(opening, asset_id), names.amount(closing, asset_id), entries
    )


def _balance_at(connection: sa.Connection, account_id: int, asset_id: int, day: int) -> int:
    its = tables.daily_balances.c
    query = sa.select(its.balance_units).where(its.account_id == account_id, its.asset_id == asset_id, its.day <= day)
    return int(connection.scalar(query.order_by(its.day.desc()).limit(1)) or 0)


# Invoices -------------------------------------------------------------------------------------------------------------


def invoice(connection: sa.Connection, account: Record, period: Period) -> list[Record]:
    """Return the lines of an account's fee invoice, by asset; a negative amount is in the account's favour."""
    names = Names(connection)
    its = tables.ledger.c
    begin, end = period.bounds(connection, "cause_seq")
    is_rebate = sa.case((sa.and_(its.amount_units > 0, its.cause == int(LedgerCause.TRADE)), 1), else_=0)
    query = (
        sa.select(its.asset_id, its.cause, is_rebate, sa.func.count(), sa.func.sum(its.amount_units))
        .where(its.entry_kind == int(EntryKind.FEE), its.asset_id.in_(sa.select(tables.assets.c.asset_id)))
        .where(its.cause_seq >= begin, its.cause_seq <= end, period.contains(its.time_ns))
        .group_by(its.asset_id, its.cause, is_rebate)
    )
    # What is to be paid later comes to the seller without its fee, which CLEARING bears until then.
    trade = tables.trades.c
    seller = sa.case((trade.side == int(Side.BUY), trade.maker_account_id), else_=trade.taker_account_id)
    own = query.where(its.account_id == account["account_id"])
    cleared = query.join(tables.trades, trade.trade_id == its.trade_id).where(
        its.account_id == schema.CLEARING_ACCOUNT, seller == account["account_id"]
    )
    sums: dict[tuple[int, int, int], tuple[int, int]] = {}
    for row in (*connection.execute(own), *connection.execute(cleared)):
        asset_id, cause, rebate, count, units = (int(value) for value in row)
        before = sums.get((asset_id, cause, rebate), (0, 0))
        sums[asset_id, cause, rebate] = before[0] + count, before[1] + units
    return [
        {
            "account": account["name"], "from": str(period.first), "to": str(period.last),
            "asset": names.asset(asset_id), "what": _REBATES if rebate else _FEE_NAMES[LedgerCause(kind)],
            "count": count, "amount": names.amount(-units, asset_id),
        }
        for (asset_id, kind, rebate), (count, units) in sorted(sums.items())
    ]  # fmt: skip
