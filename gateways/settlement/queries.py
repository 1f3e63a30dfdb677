"""Questions to the books that other gateways ask: orders, fills, trades, candles, ledger, a page at a time.

Pages go by keyset: each ends with the key of its last row, and the next begins after it, so rows that come meanwhile
neither shift nor repeat anything, and a page costs the same however far it lies. Every question is answered from an
index. Rows are dictionaries by the columns' names; amounts are whole units.

Raises `InputError` for bounds that make no sense, `DatabaseError` when the database is away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from gateways.settlement import tables
from gateways.settlement.books import Cursor, cursor_of
from gateways.settlement.terms import CANDLE_INTERVALS_S, DAY_NS, OrderState
from kk99.errors import InputError

if TYPE_CHECKING:
    from gateways.settlement.database import Database

PAGE_MAX: Final = 1_000
"""Rows of a page at most."""

Record = dict[str, Any]
Key = tuple[int, ...]
"""Where a page ends: given back as `after` it is where the next begins."""

_IS_OPEN: Final = tables.orders.c.state == sa.literal_column(f"{OrderState.OPEN:d}")


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, and where the next page begins; `after` is None when there are no more."""

    rows: list[Record]
    after: Key | None


class Queries:
    """Reads the books in a database; any thread may."""

    def __init__(self, database: Database) -> None:
        """Ask a database whose tables are this release's."""
        self._database = database

    def cursor(self) -> Cursor | None:
        """Return how far the books go, None before the first event."""
        with self._database.reading() as connection:
            return cursor_of(connection)

    # What there is --------------------------------------------------------------------------------------------------

    def assets(self) -> list[Record]:
        """Return all assets."""
        return self._all(sa.select(tables.assets).order_by(tables.assets.c.asset_id))

    def instruments(self) -> list[Record]:
        """Return all instruments."""
        return self._all(sa.select(tables.instruments).order_by(tables.instruments.c.instrument_id))

    def account(self, name: str) -> Record | None:
        """Return an account by its name."""
        found = self._all(sa.select(tables.accounts).where(tables.accounts.c.name == name))
        return found[0] if found else None

    # Orders and fills -----------------------------------------------------------------------------------------------

    def order(self, account_id: int, order_id: int) -> Record | None:
        """Return one order of an account, with its further terms if it has such."""
        orders, details = tables.orders, tables.order_details
        found = self._all(sa.select(orders).where(orders.c.order_id == order_id, orders.c.account_id == account_id))
        if not found:
            return None
        terms = self._all(sa.select(details).where(details.c.order_id == order_id))
        return found[0] | ({"details": terms[0]} if terms else {})

    def orders_of_client_id(self, account_id: int, client_id_lo: int, client_id_hi: int) -> list[Record]:
        """Return the orders of an account that have a client order id, the newest first."""
        its = tables.orders.c
        query = sa.select(tables.orders).where(its.account_id == account_id, its.client_id_lo == client_id_lo)
        query = query.where(its.client_id_hi == client_id_hi).order_by(its.entry_seq.desc(), its.order_id.desc())
        return self._all(query.limit(PAGE_MAX))

    def orders(
        self,
        account_id: int,
        *,
        instrument_id: int | None = None,
        only_open: bool = False,
        since_ns: int | None = None,
        until_ns: int | None = None,
        after: Key | None = None,
        limit: int = 100,
        newest_first: bool = True,
    ) -> Page:
        """Return orders of an account by entry; `since_ns` is included, `until_ns` is not."""
        its = tables.orders.c
        query = sa.select(tables.orders).where(its.account_id == account_id)
        if only_open:
            query = query.where(_IS_OPEN)
        if instrument_id is not None:
            query = query.where(its.instrument_id == instrument_id)
        query = self._between(query, its.entry_seq, its.entry_ns, "cause_seq", since_ns, until_ns)
        return self._page(query, (its.entry_seq, its.order_id), after, limit, newest_first=newest_first)

    def fills(
        self,
        account_id: int,
        *,
        instrument_id: int | None = None,
        order_id: int | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
        after: Key | None = None,
        limit: int = 100,
        newest_first: bool = True,
    ) -> Page:
        """Return executions of an account by trade, busted ones too."""
        its = tables.executions.c
        query = sa.select(tables.executions).where(its.account_id == account_id)
        if instrument_id is not None:
            query = query.where(its.instrument_id == instrument_id)
        if order_id is not None:
            query = query.where(its.order_id == order_id)
        query = self._between(query, its.trade_id, its.time_ns, "trade_id", since_ns, until_ns)
        return self._page(query, (its.trade_id, its.liquidity), after, limit, newest_first=newest_first)

    # Markets --------------------------------------------------------------------------------------------------------

    def trades(
        self,
        instrument_id: int,
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        after: Key | None = None,
        limit: int = 100,
        newest_first: bool = True,
    ) -> Page:
        """Return the trades of an instrument by time, busted ones too."""
        its = tables.trades.c
        query = sa.select(tables.trades).where(its.instrument_id == instrument_id)
        query = _within(query, its.time_ns, since_ns, until_ns)
        return self._page(query, (its.time_ns, its.trade_id), after, limit, newest_first=newest_first)

    def candles(
        self,
        instrument_id: int,
        interval_s: int,
        *,
        since_s: int | None = None,
        until_s: int | None = None,
        after: Key | None = None,
        limit: int = 500,
        newest_first: bool = False,
    ) -> Page:
        """Return candles of an instrument; stretches without trades have none."""
        if interval_s not in CANDLE_INTERVALS_S:
            raise InputError(f"candles of {interval_s} s: there are {', '.join(map(str, CANDLE_INTERVALS_S))} s")
        its = tables.candles.c
        query = sa.select(tables.candles).where(its.instrument_id == instrument_id, its.interval_s == interval_s)
        query = _within(query, its.start_s, since_s, until_s)
        return self._page(query, (its.start_s,), after, limit, newest_first=newest_first)

    def halts(self, instrument_id: int, *, after: Key | None = None, limit: int = 100) -> Page:
        """Return the halts of an instrument, the newest first."""
        its = tables.halts.c
        query = sa.select(tables.halts).where(its.instrument_id == instrument_id)
        return self._page(query, (its.cause_seq, its.event_index), after, limit, newest_first=True)

    # Money ----------------------------------------------------------------------------------------------------------

    def balances(self, account_id: int) -> list[Record]:
        """Return the balances of an account, what is held for orders included."""
        its = tables.balances.c
        return self._all(sa.select(tables.balances).where(its.account_id == account_id).order_by(its.asset_id))

    def balance_at(self, account_id: int, asset_id: int, day: int) -> int:
        """Return the balance at the end of a UTC day (days since 1970-01-01)."""
        its = tables.daily_balances.c
        query = sa.select(its.balance_units).where(its.account_id == account_id, its.asset_id == asset_id)
        query = query.where(its.day <= day).order_by(its.day.desc()).limit(1)
        with self._database.reading() as connection:
            return int(connection.scalar(query) or 0)

    def ledger(
        self,
        account_id: int,
        asset_id: int,
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        after: Key | None = None,
        limit: int = 100,
        newest_first: bool = True,
    ) -> Page:
        """Return the entries of an account in an asset, each with the balance after it."""
        its = tables.ledger.c
        query = sa.select(tables.ledger).where(its.account_id == account_id, its.asset_id == asset_id)
        query = self._between(query, its.cause_seq, its.time_ns, "cause_seq", since_ns, until_ns)
        key = (its.cause_seq, its.event_index, its.entry)
        return self._page(query, key, after, limit, newest_first=newest_first)

    def obligations(self, account_id: int, *, after: Key | None = None, limit: int = 100) -> Page:
        """Return what the trades of an account left owed, by asset and value date; states are as stored, none DUE."""
        its = tables.obligations.c
        query = sa.select(tables.obligations).where(its.account_id == account_id)
        return self._page(query, (its.asset_id, its.value_date), after, limit, newest_first=False)

    # Inside -----------------------------------------------------------------------------------------------------

    def _all(self, query: sa.Select[Any]) -> list[Record]:
        with self._database.reading() as connection:
            found = connection.execute(query)
            names = list(found.keys())
            return [dict(zip(names, row, strict=True)) for row in found.all()]

    def _between(
        self,
        query: sa.Select[Any],
        rising: sa.ColumnElement[int],
        time_ns: sa.ColumnElement[int],
        of_day: str,
        since_ns: int | None,
        until_ns: int | None,
    ) -> sa.Select[Any]:
        """Bound a question by time: by `rising`, which an index has, to whole days, and by the time within them."""
        if since_ns is not None:
            query = query.where(rising >= self._first_of(since_ns // DAY_NS, of_day, of_none=1 << 62))
        if until_ns is not None:
            query = query.where(rising <= self._first_of(-(-until_ns // DAY_NS), of_day, of_none=1 << 62))
        return _within(query, time_ns, since_ns, until_ns)

    def _first_of(self, day: int, column: str, of_none: int) -> int:
        """Return the first sequence or trade on or after a day, `of_none` if there is none yet."""
        days = tables.days.c
        with self._database.reading() as connection:
            found = connection.scalar(sa.select(days[column]).where(days.day >= day).order_by(days.day).limit(1))
        return of_none if found is None else int(found)

    def _page(
        self,
        query: sa.Select[Any],
        key: tuple[sa.ColumnElement[int], ...],
        after: Key | None,
        limit: int,
        *,
        newest_first: bool,
    ) -> Page:
        if not 1 <= limit <= PAGE_MAX:
            raise InputError(f"limit = {limit}: must be from 1 to {PAGE_MAX}")
        if after is not None:
            if len(after) != len(key):
                raise InputError(f"after = {after}: must be the `after` of a page of this question")
            place, end = sa.tuple_(*key), sa.tuple_(*map(sa.literal, after))
            query = query.where(place < end if newest_first else place > end)
        query = query.order_by(*(column.desc() if newest_first else column for column in key)).limit(limit + 1)
        rows = self._all(query)
        more, rows = len(rows) > limit, rows[:limit]
        return Page(rows, tuple(rows[-1][column.key or ""] for column in key) if more else None)


def _within(
    query: sa.Select[Any], column: sa.ColumnElement[int], since: int | None, until: int | None
) -> sa.Select[Any]:
    if since is not None:
        query = query.where(column >= since)
    if until is not None:
        query = query.where(column < until)
    return query
