"""Questions to the books: pages that miss and repeat nothing, bounds that hold, indexes that are used."""

from functools import partial

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.settlement import tables
from gateways.settlement.queries import PAGE_MAX, Queries
from gateways.settlement.terms import CANDLE_INTERVALS_S
from kk99.errors import InputError
from tests.gateways.settlement.support import Log, emptied, mixed_log, rows_of, sqlite, write
from tests.replay.venue import whole_run

ACCOUNTS = range(16, 20)


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    """Books of a mixed log, and their tables' rows."""
    with sqlite(tmp_path_factory.mktemp("books")) as database:
        write(emptied(database), mixed_log(2, 900).frames)
        yield database


@pytest.fixture(scope="module")
def queries(books):
    """Questions to them."""
    return Queries(books)


def walked(ask, limit, **more):
    """All rows of a question, page by page."""
    rows, after = [], None
    while True:
        page = ask(after=after, limit=limit, **more)
        assert len(page.rows) <= limit
        rows += page.rows
        if page.after is None:
            return rows
        assert len(page.rows) == limit
        after = page.after


def key_of(table, row):
    """The primary key of a row."""
    return tuple(row[column.name] for column in table.primary_key)


QUESTIONS = {
    "orders": (tables.orders, "orders", ("entry_seq", "order_id")),
    "fills": (tables.executions, "fills", ("trade_id", "liquidity")),
}


@settings(max_examples=40)
@given(
    st.sampled_from(sorted(QUESTIONS)), st.sampled_from(ACCOUNTS), st.integers(1, 40), st.booleans(),
    st.sampled_from([None, 1, 2]), st.integers(0, 12), st.integers(0, 12),
)  # fmt: skip
def test_pages_miss_and_repeat_nothing(books, queries, name, account, limit, newest_first, instrument, first, length):
    """Whatever the page's size, order and bounds, pages together are the rows that a plain look finds, in order."""
    table, method, order = QUESTIONS[name]
    time = "entry_ns" if name == "orders" else "time_ns"
    begin = rows_of(books, tables.trades)[0]["time_ns"]
    since, until = begin + first * 10**9, begin + (first + length) * 10**9
    expected = [
        row
        for row in rows_of(books, table)
        if row["account_id"] == account and instrument in {None, row["instrument_id"]} and since <= row[time] < until
    ]
    expected.sort(key=lambda row: tuple(row[column] for column in order), reverse=newest_first)
    more = {"instrument_id": instrument, "since_ns": since, "until_ns": until, "newest_first": newest_first}

    def ask(**page):
        return getattr(queries, method)(account, **more, **page)

    assert walked(ask, limit) == expected


@pytest.mark.parametrize("account", ACCOUNTS)
@pytest.mark.parametrize("limit", [1, 7, PAGE_MAX])
def test_ledger_open_orders_and_fills_of_an_order_come_whole(books, queries, account, limit):
    """Entries by asset, orders that are open, and the executions of each order."""
    for asset in (1, 2, 3):
        mine = [r for r in rows_of(books, tables.ledger) if (r["account_id"], r["asset_id"]) == (account, asset)]
        assert walked(partial(queries.ledger, account, asset, newest_first=False), limit) == mine
    orders = [row for row in rows_of(books, tables.orders) if row["account_id"] == account]
    still_open = {row["order_id"] for row in orders if row["state"] == 1}
    found = walked(lambda **page: queries.orders(account, only_open=True, **page), limit)
    assert {row["order_id"] for row in found} == still_open
    for order in orders[:10]:
        fills = walked(partial(queries.fills, account, order_id=order["order_id"]), limit)
        assert sum(row["qty_lots"] for row in fills if row["state"] != 3) == order["filled_lots"]


def test_pages_stay_where_they_are_while_rows_come(tmp_path):
    """Between two pages more is traded: the next page goes on where the first ended, oldest or newest first."""
    log = mixed_log(5)
    half = len(log.frames) // 2
    with sqlite(tmp_path) as database:
        kept = write(emptied(database), log.frames[:half])
        queries = Queries(database)
        before = rows_of(database, tables.executions)
        account = before[0]["account_id"]
        pages = {newest: queries.fills(account, limit=3, newest_first=newest) for newest in (True, False)}
        kept.take(log.frames[half:])
        for newest, first in pages.items():
            rest, after = list(first.rows), first.after
            while after is not None:
                page = queries.fills(account, limit=3, after=after, newest_first=newest)
                rest, after = rest + page.rows, page.after
            source = before if newest else rows_of(database, tables.executions)
            mine = [(r["trade_id"], r["liquidity"]) for r in source if r["account_id"] == account]
            assert sorted((r["trade_id"], r["liquidity"]) for r in rest) == mine


@pytest.mark.parametrize("interval", CANDLE_INTERVALS_S)
def test_candles_trades_and_halts_of_a_market(books, queries, interval):
    """Pages of candles are the table's; a length that there is none of is refused by name."""
    mine = [r for r in rows_of(books, tables.candles) if (r["instrument_id"], r["interval_s"]) == (1, interval)]
    assert walked(lambda **page: queries.candles(1, interval, **page), 3) == mine
    trades = [row for row in rows_of(books, tables.trades) if row["instrument_id"] == 1]
    assert walked(lambda **page: queries.trades(1, newest_first=False, **page), 9) == trades
    middle = trades[len(trades) // 2]["time_ns"]
    late = walked(lambda **page: queries.trades(1, since_ns=middle, newest_first=False, **page), 9)
    assert late == [row for row in trades if row["time_ns"] >= middle]
    assert len(queries.halts(1).rows) == len([r for r in rows_of(books, tables.halts) if r["instrument_id"] == 1])
    with pytest.raises(InputError, match="86400"):
        queries.candles(1, interval + 1)


def test_single_things_are_found(books, queries):
    """An order with its details, orders by client id, accounts by name, balances at a day's end, what there is."""
    details = rows_of(books, tables.order_details)[0]
    order = next(row for row in rows_of(books, tables.orders) if row["order_id"] == details["order_id"])
    assert queries.order(order["account_id"], order["order_id"]) == order | {"details": details}
    assert queries.order(order["account_id"] + 1, order["order_id"]) is None
    named = next(row for row in rows_of(books, tables.orders) if row["client_id_lo"])
    key = named["account_id"], named["client_id_lo"], named["client_id_hi"]
    assert named in queries.orders_of_client_id(*key)
    assert queries.account("A")["account_id"] == 16
    assert queries.account("nobody") is None
    assert [row["name"] for row in queries.assets()] == ["USD", "BTC", "ETH"]
    assert [row["name"] for row in queries.instruments()] == ["BTC/USD", "ETH/USD"]
    for row in queries.balances(16):
        day = queries.cursor().time_ns // (86_400 * 10**9)
        assert queries.balance_at(16, row["asset_id"], day) == row["balance_units"]
        assert queries.balance_at(16, row["asset_id"], -1) == 0
    assert all(row["account_id"] == 17 for row in queries.obligations(17, limit=2).rows)


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": PAGE_MAX + 1}, {"after": (1,)}, {"after": (1, 2, 3)}])
def test_pages_that_can_not_be_are_refused(queries, wrong):
    """A limit out of bounds, and the key of another question."""
    with pytest.raises(InputError, match=r"limit|after"):
        queries.fills(16, **wrong)
    assert queries.fills(16, limit=PAGE_MAX).after is None


def test_both_databases_answer_alike(database, tmp_path):
    """The same pages come from PostgreSQL as from SQLite."""
    log = Log(whole_run())
    write(database, log.frames)
    with sqlite(tmp_path) as other:
        write(emptied(other), log.frames)
        one, two = Queries(database), Queries(other)
        for ask in ("orders", "fills", "balances", "obligations"):
            assert getattr(one, ask)(16) == getattr(two, ask)(16)
        assert one.ledger(16, 2, limit=5).after == two.ledger(16, 2, limit=5).after
        assert one.candles(1, 60) == two.candles(1, 60)
        assert one.instruments() == two.instruments()


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda q: q.orders(16), "orders_by_account"),
        (lambda q: q.orders(16, after=(5, 1), newest_first=False), "orders_by_account"),
        (lambda q: q.orders(16, since_ns=1, until_ns=10**15), "orders_by_account"),
        (lambda q: q.orders(16, only_open=True), "orders_open"),
        (lambda q: q.orders(16, instrument_id=1, after=(5, 1)), "orders_by_instrument"),
        (lambda q: q.orders_of_client_id(16, 5, 6), "orders_by_client_id"),
        (lambda q: q.order(16, 1 << 24), "PRIMARY KEY"),
        (lambda q: q.fills(16), "PRIMARY KEY"),
        (lambda q: q.fills(16, after=(5, 1)), "PRIMARY KEY"),
        (lambda q: q.fills(16, since_ns=1, until_ns=10**15, newest_first=False), "PRIMARY KEY"),
        (lambda q: q.fills(16, instrument_id=1), "executions_by_instrument"),
        (lambda q: q.fills(16, order_id=1 << 24), "executions_by_order"),
        (lambda q: q.trades(1, after=(5, 1)), "trades_by_instrument"),
        (lambda q: q.candles(1, 60, since_s=5), "PRIMARY KEY"),
        (lambda q: q.ledger(16, 1, after=(5, 1, 1)), "PRIMARY KEY"),
        (lambda q: q.balance_at(16, 1, 5), "PRIMARY KEY"),
        (lambda q: q.halts(1), "PRIMARY KEY"),
        (lambda q: q.obligations(16), "PRIMARY KEY"),
    ],
)
def test_every_question_goes_by_its_index(books, ask, index):
    """SQLite's plan of each question names the index made for it, reads no table from end to end, sorts no pages."""
    plans = []

    def watch(connection, _cursor, statement, parameters, *_):
        if statement.startswith("SELECT"):
            explained = connection.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append(" | ".join(row[3] for row in explained))

    sa.event.listen(books.engine, "before_cursor_execute", watch)
    try:
        ask(Queries(books))
    finally:
        sa.event.remove(books.engine, "before_cursor_execute", watch)
    assert index in plans[-1]
    assert not any("SCAN" in plan for plan in plans)
    if index != "orders_by_client_id":
        assert not any("TEMP B-TREE" in plan for plan in plans)
