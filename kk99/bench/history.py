"""`kk99 bench history`: how fast the books take events in, in both databases, and how fast they answer.

Events are those of the exchange mix, made beforehand; they are written in the gateway's own transactions. Questions are
asked of books with ten million executions, of which a tenth are one account's; each answer is a page of PAGE rows.
"""

from __future__ import annotations

import itertools
import tempfile
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gateways.settlement import bulk, tables
from gateways.settlement import rows as rows_of
from gateways.settlement.books import Books
from gateways.settlement.database import Database
from gateways.settlement.queries import Queries
from gateways.settlement.rows import Write
from gateways.settlement.settings import SettlementSettings
from gateways.settlement.terms import CANDLE_INTERVALS_S, DAY_NS, SECOND_NS, OrderState
from kk99 import batch, build, schema
from kk99.bench import flows, venue
from kk99.bench.results import Result
from kk99.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kk99.bench.options import Options

BENCH: Final = "history"
PAGE: Final = 100
_VENUE: Final = bytes(16)
_BEGIN_NS: Final = 1_750_000_000 * SECOND_NS
_STEP_NS: Final = 10_000
_WHALE: Final = schema.VENUE_ACCOUNTS
_INSTRUMENTS: Final = 100
_CHUNK: Final = 200_000
_SEED: Final = 7


def run(options: Options) -> list[Result]:
    """Return every figure of the bench."""
    frames = _frames(options)
    count = sum(len(frame.rows) for frame in frames)
    found: list[Result] = []
    with options.folder() as folder:
        options.say(f"writing {count:,} events to SQLite")
        with Database(f"sqlite:///{folder}/rate.db", is_writer=True) as database:
            found.append(Result(BENCH, "sqlite.events_per_s", count / _write(database, frames), "events/s"))
        with _postgres(options) as url:
            rate = None
            if url is not None:
                options.say(f"writing {count:,} events to PostgreSQL")
                with Database(url, is_writer=True) as database:
                    rate = count / _write(database, frames)
            found.append(Result(BENCH, "postgres.events_per_s", rate, "events/s"))
        del frames
        found += _queries(folder, options)
    return found


def _frames(options: Options) -> list[batch.Events]:
    """Return the events of the exchange mix as the engine would give them."""
    options.say("making events")
    workload = flows.mix(options, 1_000_000)
    flow = np.concatenate([workload.setup, workload.timed])
    machine, frames = Machine(), []
    rows = venue.commands_of(flow)
    for commands in itertools.chain(venue.set_up(workload, flow), venue.parts(rows)):
        times = _BEGIN_NS + _STEP_NS * np.arange(machine.seq, machine.seq + len(commands.rows))
        stamped = build.stamp(commands, machine.seq + 1, times)
        start = 0
        while start < len(stamped.rows):
            previous = machine.last_event
            applied = machine.apply(stamped, start)
            start = applied.next
            made, tail = applied.events.rows.copy(), bytes(applied.events.tail)
            frames.append(batch.Events(made, tail, previous, machine.seq))
    return frames


def _write(database: Database, frames: list[batch.Events]) -> float:
    """Have new books take all events; the seconds that took."""
    database.migrate()
    books = Books(database, _VENUE)
    limit = SettlementSettings().transaction_events
    began = time.perf_counter()
    waiting: list[batch.Events] = []
    count = 0
    for frame in frames:
        waiting.append(frame)
        count += len(frame.rows)
        if count >= limit:
            books.take(waiting)
            waiting, count = [], 0
    books.take(waiting)
    return time.perf_counter() - began


@contextmanager
def _postgres(options: Options) -> Iterator[str | None]:
    """Give the URL of a PostgreSQL on the disk under test, None if it can't be run here."""
    with tempfile.TemporaryDirectory(dir=options.data.absolute()) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its libraries, about folders that it does not need
        try:
            from pgserver.postgres_server import get_server  # noqa: PLC0415 - of the development group

            server = get_server(folder, cleanup_mode="delete")
        except Exception as error:  # noqa: BLE001 - whatever keeps it from running
            options.say(f"no PostgreSQL can be run here: {error!r}")
            yield None
            return
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


# Questions ------------------------------------------------------------------------------------------------------------


class _History:
    """Random trades as rows of the tables: two executions, two orders and four entries of the ledger each."""

    def __init__(self, trade_count: int, account_count: int) -> None:
        self.trade_count = trade_count
        self.step_ns = 90 * DAY_NS // max(trade_count, 1)
        self._account_count = account_count
        chance = np.random.default_rng(_SEED)
        self._instrument = chance.integers(1, _INSTRUMENTS + 1, trade_count)
        self._price = chance.integers(9_000, 11_000, trade_count)
        self._qty = chance.integers(1, 1_000, trade_count)
        self._account = self.accounts(chance, 2 * trade_count)
        """By execution: the taker's and the maker's of each trade, side by side."""

    def accounts(self, chance: np.random.Generator, count: int) -> Any:
        """Return accounts, of which a tenth are the one that trades most."""
        others = chance.integers(_WHALE + 1, _WHALE + self._account_count, count)
        return np.where(chance.random(count) < 0.1, _WHALE, others)

    @staticmethod
    def order_id(execution: Any) -> Any:
        """Return the order of an execution, by its number from 0."""
        return execution + (1 << schema.ORDER_SLOT_BITS)

    def writes(self) -> Iterator[Write]:
        """Yield all rows, each table's in the order of its key, so that making them takes no longer than it must."""
        by_account = np.argsort(self._account, kind="stable")
        for first in range(0, self.trade_count, _CHUNK):
            yield self._trades(np.arange(first, min(first + _CHUNK, self.trade_count)))
        for first in range(0, len(self._account), _CHUNK):
            yield self._orders(np.arange(first, min(first + _CHUNK, len(self._account))))
            yield self._executions(by_account[first : first + _CHUNK])
            yield self._ledger(by_account[first : first + _CHUNK])
        yield self._days()
        yield from self._candles()

    def _shared(self, trade: Any) -> dict[str, Any]:
        return {
            "instrument_id": self._instrument[trade], "price_ticks": self._price[trade], "qty_lots": self._qty[trade],
            "notional_units": self._price[trade] * self._qty[trade],
        }  # fmt: skip

    def _trades(self, trade: Any) -> Write:
        return Write(tables.trades, rows_of.made(
            tables.trades, len(trade), trade_id=trade + 1, cause_seq=trade + 1, side=1, state=1,
            time_ns=_BEGIN_NS + trade * self.step_ns, **self._shared(trade),
        ))  # fmt: skip

    def _executions(self, execution: Any) -> Write:
        trade, liquidity = execution // 2, execution % 2 + 1
        return Write(tables.executions, rows_of.made(
            tables.executions, len(execution), account_id=self._account[execution], trade_id=trade + 1,
            liquidity=liquidity, order_id=self.order_id(execution), state=1, side=liquidity,
            time_ns=_BEGIN_NS + trade * self.step_ns, **self._shared(trade),
        ))  # fmt: skip

    def _orders(self, execution: Any) -> Write:
        trade, order_id = execution // 2, self.order_id(execution)
        shared, time_ns = self._shared(trade), _BEGIN_NS + trade * self.step_ns
        return Write(tables.orders, rows_of.made(
            tables.orders, len(execution), order_id=order_id, account_id=self._account[execution],
            side=execution % 2 + 1, order_type=2, filled_lots=shared["qty_lots"], entry_seq=trade + 1,
            state=np.where(trade % 50 == 0, OrderState.OPEN, OrderState.FILLED), entry_ns=time_ns, last_ns=time_ns,
            last_seq=trade + 1, client_id_lo=venue.client_ids(order_id)[0], client_id_hi=order_id, **shared,
        ))  # fmt: skip

    def _ledger(self, execution: Any) -> Write:
        trade = execution // 2
        shared = self._shared(trade)
        return Write(tables.ledger, np.concatenate([
            rows_of.made(
                tables.ledger, len(execution), account_id=self._account[execution], asset_id=asset, cause_seq=trade + 1,
                entry=execution % 2, time_ns=_BEGIN_NS + trade * self.step_ns, cause=1, entry_kind=1,
                trade_id=trade + 1, amount_units=amount,
            )
            for asset, amount in ((1, shared["notional_units"]), (2, shared["qty_lots"]))
        ]))  # fmt: skip

    def _candles(self) -> Iterator[Write]:
        """Yield the candles of every length, up to 5,000 of each instrument."""
        span_s = self.trade_count * self.step_ns // SECOND_NS
        for interval_s in CANDLE_INTERVALS_S:
            first = _BEGIN_NS // SECOND_NS // interval_s
            starts = np.arange(first, first + min(span_s // interval_s + 1, 5_000)) * interval_s
            for instrument_id in range(1, _INSTRUMENTS + 1):
                yield Write(tables.candles, rows_of.made(
                    tables.candles, len(starts), instrument_id=instrument_id, interval_s=interval_s, start_s=starts,
                    open_ticks=10_000, high_ticks=10_000, low_ticks=10_000, close_ticks=10_000, trade_count=1,
                ))  # fmt: skip

    def _days(self) -> Write:
        """Return where each day begins."""
        number = np.arange(90) * self.trade_count // 90
        day = (_BEGIN_NS + number * self.step_ns) // DAY_NS
        first = rows_of.last_of_each(day)
        return Write(tables.days, rows_of.made(
            tables.days, len(first), day=day[first], cause_seq=number[first] + 1, trade_id=number[first] + 1,
        ))  # fmt: skip


def _queries(folder: Path, options: Options) -> list[Result]:
    """Return how long the slowest hundredth of the questions takes, and each kind's."""
    history = _History(options.pick(5_000_000, 2_000), options.pick(10_000, 50))
    options.say(f"making {2 * history.trade_count:,} executions, with their orders and entries")
    url = f"sqlite:///{folder}/queries.db"
    with Database(url, is_writer=True) as database:
        database.migrate()
        indexes = [index for table in tables.metadata.tables.values() for index in table.indexes]
        with database.writing() as connection:
            for index in indexes:  # made at the end, at once
                index.drop(connection)
        for item in history.writes():
            with database.writing() as connection:
                bulk.write(connection, item)
        for index in indexes:
            with database.writing() as connection:
                index.create(connection)
        database.migrate()  # what the planner knew of the indexes went with them
    count = options.pick(4_000, 60)
    options.say(f"asking {count:,} questions of each kind")
    with Database(url) as database:
        taken_ms = _ask(Queries(database), history, count)
    whole = np.concatenate(list(taken_ms.values()))
    return [
        Result(BENCH, "query_p99_ms", float(np.percentile(whole, 99)), "ms"),
        *(
            Result(BENCH, f"query.{name}.p99_ms", float(np.percentile(times, 99)), "ms")
            for name, times in taken_ms.items()
        ),
    ]


def _ask(queries: Queries, history: _History, count: int) -> dict[str, Any]:
    """Ask each kind of question so many times, of accounts as they trade; the milliseconds each took."""
    chance = np.random.default_rng(_SEED + 1)
    executions = 2 * history.trade_count

    def someone() -> int:
        return int(history.accounts(chance, 1)[0])

    def instrument() -> int:
        return int(chance.integers(1, _INSTRUMENTS + 1))

    def moment() -> int:
        return int(_BEGIN_NS + chance.integers(history.trade_count) * history.step_ns)

    def order() -> int:
        return int(history.order_id(chance.integers(executions)))

    def trade() -> int:
        return int(chance.integers(history.trade_count))

    questions: dict[str, Callable[[], object]] = {
        "orders": lambda: queries.orders(someone(), limit=PAGE),
        "orders_open": lambda: queries.orders(someone(), only_open=True, limit=PAGE),
        "orders_of_instrument": lambda: queries.orders(someone(), instrument_id=instrument(), limit=PAGE),
        "orders_deep": lambda: queries.orders(someone(), after=(trade(), order()), limit=PAGE),
        "order": lambda: queries.order(someone(), order()),
        "fills": lambda: queries.fills(someone(), limit=PAGE),
        "fills_deep": lambda: queries.fills(someone(), after=(trade(), 1), limit=PAGE),
        "fills_of_instrument": lambda: queries.fills(someone(), instrument_id=instrument(), limit=PAGE),
        "fills_of_order": lambda: queries.fills(someone(), order_id=order(), limit=PAGE),
        "fills_since": lambda: queries.fills(someone(), since_ns=moment(), limit=PAGE, newest_first=False),
        "trades": lambda: queries.trades(instrument(), after=(moment(), trade()), limit=PAGE),
        "candles": lambda: queries.candles(instrument(), 60, since_s=moment() // SECOND_NS, limit=PAGE),
        "ledger": lambda: queries.ledger(someone(), 1, after=(trade(), 0, 0), limit=PAGE),
    }
    taken: dict[str, Any] = {}
    for name, ask in questions.items():
        times = np.zeros(count)
        for at in range(count):
            began = time.perf_counter()
            ask()
            times[at] = (time.perf_counter() - began) * 1e3
        taken[name] = times
    return taken
