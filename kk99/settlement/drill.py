"""`kk99 drill settlement`: kills the gateway that keeps the books, again and again under load: no gap, no double.

A feed plays the recording at a steady rate, and at a random moment the gateway gets SIGKILL: most often while it
writes, now and then while it starts. After each kill the books must be whole at their cursor: as many trades as its
last number, two executions of each, every sum of the ledger zero and every balance its last entry's. At the end the
gateway catches up; then the books must agree with the core to the unit, and their hash must be that of books derived
from the journal in one go.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import sqlalchemy as sa

from gateways.settlement import content, tables
from gateways.settlement.books import Cursor, cursor_of
from gateways.settlement.database import Database, DatabaseError
from gateways.settlement.reconcile import reconcile
from gateways.settlement.settings import SettlementSettings
from kk99.errors import EngineError, InvariantError
from kk99.feed import venue as feed_venue
from kk99.feed.load import load
from kk99.feed.plan import Plan
from kk99.processes import Venue
from kk99.settlement.journal import core_state, derive

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDING: Final = "recordings/btcusdt-20240808.kk99rec"
RUN_S: Final = (0.0, 1.0)
"""How long the gateway lives after it has begun to write: anything between."""
START_KILL_EVERY: Final = 5
"""In every so many rounds the gateway is killed while it starts."""
START_S: Final = (0.0, 2.0)
_DEADLINE_S: Final = 600.0
_LOOK_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Round:
    """One kill, and how far the books were then."""

    number: int
    while_starting: bool
    seq: int
    events: int
    trades: int
    engine_seq: int


class SettlementDrill:
    """The venue under test on a folder, its books at a URL ("": SQLite in the folder)."""

    def __init__(self, data: Path, seed: int, url: str, rate: int) -> None:
        self.venue = Venue(data)
        self.rounds: list[Round] = []
        self._data = data
        self._chance = random.Random(seed)  # noqa: S311 - a reproducible choice, not a secret
        self._rate = rate
        self._settings = SettlementSettings(url=url)
        self._file = feed_venue.config_path(RECORDING)
        self._config = data / "settlement.toml"
        self._config.write_text(f"[settlement]\nurl = {json.dumps(url)}\n")

    def begin(self) -> None:
        """Start the engine, and the feed at the rate wanted."""
        self.venue.start_engine(lambda _: None, lambda: False)
        flow = load(self._file)
        plan = Plan(flow, 1, list(range(len(flow.accounts))))
        self.venue.start_feed(self._file, self._rate * plan.duration_s / plan.length)

    def play(self, steady_s: float, burst_s: float) -> None:
        """Let the gateway live: so long at the feed's rate, then so long at full speed."""
        self.venue.start_settlement(self._config)
        self._pass(steady_s)
        self.venue.stop_feed()
        self.venue.start_feed(self._file, float("inf"))
        self._pass(burst_s)
        self.venue.stop_feed()

    def _pass(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.venue.check()
            time.sleep(_LOOK_S)

    def round(self, number: int) -> Round:
        """Start the gateway, kill it, look at what it left."""
        before = self._cursor()
        while_starting = number % START_KILL_EVERY == 0
        self.venue.start_settlement(self._config)
        if while_starting:
            time.sleep(self._chance.uniform(*START_S))
        else:
            self._await(lambda cursor: cursor is not None and cursor != before)
            time.sleep(self._chance.uniform(*RUN_S))
        self.venue.check()
        self.venue.kill_settlement()
        return self._look(number, while_starting=while_starting)

    def end(self) -> dict[str, Any]:
        """Stop the feed, let the books catch up, compare them with the core and with books made anew; the verdict."""
        self.venue.stop_feed()
        began = time.monotonic()
        if self.venue.settlement is None:
            self.venue.start_settlement(self._config)
        last_event = self._last_event()
        self._await(lambda cursor: cursor is not None and cursor.event >= last_event)
        caught_up_s = time.monotonic() - began
        self.venue.stop()
        event, frames = core_state(self._data)
        with self._database() as database, database.reading() as connection:
            found = reconcile(connection, event, frames)
            kept = content.content_hash(connection)
            cursor = cursor_of(connection)
        anew = self._derived()
        checks = {
            "the books agree with the core to the unit": not found.differences,
            "every open order is the core's": found.orders is not None,
            "their hash is that of books derived from the journal": kept == anew,
        }
        return {
            "verdict": all(checks.values()), "checks": checks, "kills": len(self.rounds), "seq": found.seq,
            "events": cursor.event_count if cursor else 0, "trades": cursor.trade_id if cursor else 0,
            "caught_up_s": round(caught_up_s, 3), "hash": kept, "rounds": [asdict(entry) for entry in self.rounds],
        }  # fmt: skip

    def _database(self) -> Database:
        return self._settings.open(self.venue.paths.settlement)

    def _derived(self) -> str:
        """Return the hash of books derived from the journal in one go, in SQLite."""
        url = f"sqlite:///{self._data.absolute()}/again/books.db"
        with Database(url, is_writer=True) as database:
            database.migrate()
            derive(database, self._data, self._settings.transaction_events, lambda _: None)
        with Database(url) as database, database.reading() as connection:
            return content.content_hash(connection)

    def _look(self, number: int, *, while_starting: bool) -> Round:
        """Check that the books are whole at their cursor."""
        engine_seq = self._last_event()[0]
        try:
            with self._database() as database, database.reading() as connection:
                cursor = cursor_of(connection)
                check_whole(connection)
        except DatabaseError:  # killed before there were tables
            cursor = None
        if cursor is None:
            return Round(number, while_starting, 0, 0, 0, engine_seq)
        return Round(number, while_starting, cursor.cause_seq, cursor.event_count, cursor.trade_id, engine_seq)

    def _last_event(self) -> tuple[int, int]:
        from gateways.client import Client  # noqa: PLC0415 - sockets are opened only here

        with Client.connect(self.venue.address) as client:
            assert client.welcome is not None
            return client.welcome.last_event

    def _cursor(self) -> Cursor | None:
        try:
            with self._database() as database, database.reading() as connection:
                return cursor_of(connection)
        except DatabaseError:  # not made yet
            return None

    def _await(self, is_so: Callable[[Cursor | None], bool]) -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while not is_so(self._cursor()):
            self.venue.check()
            if time.monotonic() > deadline:
                raise EngineError(f"the books did not get on within {_DEADLINE_S} s: see log/settlement.log")
            time.sleep(_LOOK_S)


def check_whole(connection: sa.Connection) -> None:
    """Raise `InvariantError` unless the tables fit one another and the cursor."""
    cursor = cursor_of(connection)
    trade_id = 0 if cursor is None else cursor.trade_id
    trades = connection.scalar(sa.select(sa.func.count()).select_from(tables.trades))
    executions = connection.scalar(sa.select(sa.func.count()).select_from(tables.executions))
    if (trades, executions) != (trade_id, 2 * trade_id):
        raise InvariantError(f"{trades} trades and {executions} executions where trade {trade_id} was the last")
    entries = tables.ledger.c
    sums = sa.select(entries.asset_id, sa.func.sum(entries.amount_units)).group_by(entries.asset_id)
    if wrong := [asset for asset, units in connection.execute(sums) if units]:
        raise InvariantError(f"the entries of assets {wrong} do not sum to zero")
    per_balance = sa.select(entries.account_id, entries.asset_id, sa.func.sum(entries.amount_units))
    summed = {
        (account, asset): int(units)
        for account, asset, units in connection.execute(per_balance.group_by(entries.account_id, entries.asset_id))
    }
    kept = {(row.account_id, row.asset_id): row.balance_units for row in connection.execute(sa.select(tables.balances))}
    if kept != summed:
        raise InvariantError("balances are not the sums of their entries")


@click.command(name="settlement")
@click.option("--times", type=click.IntRange(0, 1000), default=50, show_default=True)
@click.option(
    "--steady", type=click.FloatRange(0, 3600), default=0.0, help="Then load for so many seconds at the rate."
)
@click.option("--burst", type=click.FloatRange(0, 3600), default=0.0, help="Then for so many at full speed.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the moments of the kills.")
@click.option("--rate", type=click.IntRange(1, 1_000_000), default=20_000, show_default=True, help="Commands a second.")
@click.option("--url", default="", help="Database of the books, emptied first (default: SQLite in --data).")
@click.option("--data", type=click.Path(path_type=Path), default=Path("var/drill"), show_default=True)
@click.option("--keep", is_flag=True, help="Leave the data there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def settlement_drill(
    ctx: click.Context, times: int, steady: float, burst: float, seed: int, rate: int, url: str, data: Path,
    keep: bool, as_json: bool,
) -> None:  # fmt: skip
    """Kill the settlement gateway with SIGKILL under load, TIMES times."""
    from kk99.drill import prepare_folder  # noqa: PLC0415 - the group imports this module

    prepare_folder(data)
    if url:
        with Database(url, is_writer=True) as database:
            database.drop()
    test = SettlementDrill(data, seed, url, rate)
    with test.venue:
        test.begin()
        for number in range(1, times + 1):
            done = test.round(number)
            test.rounds.append(done)
            if not as_json:
                text = f"books at seq {done.seq:,} of {done.engine_seq:,}, {done.trades:,} trades"
                click.echo(f"kill {number} of {times}{' while starting' if done.while_starting else ''}: {text}")
        if steady or burst:
            test.play(steady, burst)
        result = test.end()
    if as_json:
        click.echo(json.dumps(result))
    else:
        click.echo(
            f"{result['events']:,} events, {result['trades']:,} trades, level {result['caught_up_s']} s after the load"
        )
        for text, is_good in result["checks"].items():
            click.echo(f"{'yes' if is_good else 'NO '}  {text}")
    if not keep and result["verdict"]:
        shutil.rmtree(data)
    ctx.exit(0 if result["verdict"] else 1)
