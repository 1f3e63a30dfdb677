"""The books against the core, against a naive keeping of them, and against themselves."""

from collections import Counter, defaultdict

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.settlement import bulk, tables
from gateways.settlement.books import Books
from gateways.settlement.database import DatabaseError
from kk99 import batch, build
from kk99.errors import ClientError, InputError, InvariantError
from kk99.schema import EventKind
from tests.core import breaker_mixes, logs
from tests.gateways.settlement.naive import NaiveBooks
from tests.gateways.settlement.support import (
    VENUE,
    Log,
    differences,
    emptied,
    hash_of,
    mixed_log,
    open_orders,
    orders_of_core,
    rows_of,
    settling_log,
    sqlite,
    write,
)
from tests.naive.model import Naive
from tests.naive.rows import apply_to_naive
from tests.replay.venue import advanced_run, whole_run

SEEDS = range(3)
SETTLING = ("settling-1", "settling-2")


def log_of(name):
    """A log by its name."""
    if isinstance(name, int):
        return mixed_log(name)
    if name.startswith("settling"):
        return settling_log(int(name[-1]))
    return Log({"whole": whole_run, "advanced": advanced_run, "scripted": lambda: logs.log("scripted")}[name]())


@pytest.mark.parametrize("name", [*SEEDS, *SETTLING, "whole", "advanced", "scripted"])
def test_books_agree_with_the_core_to_the_unit(tmp_path, name):
    """Every balance and every open order with all its terms is the core's, after each transaction."""
    log = log_of(name)
    with sqlite(tmp_path) as database:
        write(emptied(database), log.frames)
        assert differences(database, log.machine) == ()
        mine = open_orders(database)
        theirs = orders_of_core(log.machine)
        assert {number: {key: mine[number][key] for key in order} for number, order in theirs.items()} == theirs
        assert mine.keys() == theirs.keys()


@pytest.mark.parametrize("name", [1, SETTLING[0]])
def test_both_databases_agree_with_the_core(database, name):
    """On PostgreSQL as on SQLite."""
    log = log_of(name)
    write(database, log.frames)
    assert differences(database, log.machine) == ()


@pytest.mark.parametrize("name", [*SEEDS, *SETTLING, "whole", "scripted"])
def test_books_are_those_that_a_naive_keeper_would_keep(tmp_path, name):
    """Entries, balances, days, candles and the orders' fills come out of a plain walk over the events alike."""
    log, naive = log_of(name), NaiveBooks()
    for frame in log.frames:
        naive.take(frame)
    with sqlite(tmp_path) as database:
        write(emptied(database), log.frames)
        entries = defaultdict(list)
        for row in rows_of(database, tables.ledger):
            entry = row["account_id"], row["asset_id"], row["amount_units"], row["entry_kind"]
            entries[row["cause_seq"], row["event_index"]].append(entry)
        assert {key: Counter(found) for key, found in entries.items()} == {
            key: Counter(found) for key, found in naive.entries.items() if found
        }
        balances = {(r["account_id"], r["asset_id"]): r["balance_units"] for r in rows_of(database, tables.balances)}
        assert balances == {key: naive.balances[key] for key in balances}
        assert not any(units for key, units in naive.balances.items() if key not in balances)
        daily = {
            (r["account_id"], r["asset_id"], r["day"]): r["balance_units"]
            for r in rows_of(database, tables.daily_balances)
        }
        assert daily == naive.daily
        found = {tuple(row.values())[:3]: tuple(row.values())[3:] for row in rows_of(database, tables.candles)}
        assert found == naive.candles()
        owed = {
            (row["account_id"], row["asset_id"], row["value_date"]): [
                row[name]
                for name in ("amount_units", "state", "penalty_units", "opened_seq", "failed_seq", "settled_seq")
            ]
            for row in rows_of(database, tables.obligations)
        }
        assert owed == naive.obligations
        for row in rows_of(database, tables.orders):
            assert (row["filled_lots"], row["fee_units"]) == (
                naive.filled[row["order_id"]],
                naive.fees[row["order_id"]],
            )


@pytest.mark.parametrize("name", [*SEEDS, *SETTLING, "whole"])
def test_the_entries_of_every_event_sum_to_zero(tmp_path, name):
    """What one account gets another gives, per event and asset; the balance after each entry follows from it."""
    with sqlite(tmp_path) as database:
        write(emptied(database), log_of(name).frames)
        sums, balances = defaultdict(int), defaultdict(int)
        ordered = rows_of(
            database, tables.ledger,
            by=(tables.ledger.c.cause_seq, tables.ledger.c.event_index, tables.ledger.c.entry),
        )  # fmt: skip
        for row in ordered:
            sums[row["cause_seq"], row["event_index"], row["asset_id"]] += row["amount_units"]
            balances[row["account_id"], row["asset_id"]] += row["amount_units"]
            assert balances[row["account_id"], row["asset_id"]] == row["balance_units"]
            assert row["amount_units"] != 0
        assert set(sums.values()) == {0}


@settings(max_examples=10)
@given(st.sampled_from(SEEDS), st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from([3, 7, 4096]))
def test_content_does_not_depend_on_how_events_are_divided(tmp_path_factory, seed, sizes, frame):
    """Frames of any size, any number of them in a transaction: the same hash."""
    log = mixed_log(seed)
    expected = expected_hash(tmp_path_factory, seed)
    other = mixed_log(seed, size=frame)
    with sqlite(tmp_path_factory.mktemp("books")) as database:
        books, at, turn = Books(emptied(database), VENUE), 0, 0
        while at < len(other.frames):
            count = sizes[turn % len(sizes)]
            books.take(other.frames[at : at + count])
            at, turn = at + count, turn + 1
        assert books.cursor.event_count == log.event_count
        assert hash_of(database) == expected


_HASHES = {}


def expected_hash(tmp_path_factory, seed):
    """The hash of a mixed log's books, all written at once."""
    if seed not in _HASHES:
        with sqlite(tmp_path_factory.mktemp("books")) as database:
            write(emptied(database), mixed_log(seed).frames, at_once=10_000)
            _HASHES[seed] = hash_of(database)
    return _HASHES[seed]


def test_both_databases_hold_the_same(database, tmp_path_factory):
    """The hash of the content is the same in SQLite and in PostgreSQL."""
    write(database, mixed_log(3).frames)
    assert hash_of(database) == expected_hash(tmp_path_factory, 3)


def test_books_go_on_where_they_stand(database):
    """Opened anew after every transaction they come to the same as in one go."""
    log = mixed_log(4, size=5)
    write(database, log.frames, at_once=1_000)
    expected = hash_of(database)
    emptied(database)
    for frame in log.frames:
        Books(database, VENUE).take([frame])
    assert hash_of(database) == expected


@pytest.mark.parametrize("fails_at", [1, 4, 9])
def test_what_fails_changes_nothing(database, monkeypatch, fails_at):
    """A transaction that breaks half-way leaves no row; loaded again, the books take it."""
    log = mixed_log(1)
    books = write(database, log.frames[:3])
    before, cursor = hash_of(database), books.cursor
    calls = []

    def breaking(connection, item):
        calls.append(item)
        if len(calls) == fails_at:
            raise sa.exc.OperationalError("", None, Exception("the server went away"))
        return real(connection, item)

    real = bulk.write
    with monkeypatch.context() as patched:
        patched.setattr("gateways.settlement.bulk.write", breaking)
        with pytest.raises(DatabaseError, match="went away"):
            books.take(log.frames[3:])
    assert (hash_of(database), books.cursor) == (before, cursor)
    books.load()
    books.take(log.frames[3:])
    assert differences(database, log.machine) == ()


def test_books_refuse_what_does_not_follow(database):
    """A gap, what came before, another venue, and a cursor that another process moved."""
    log = mixed_log(1)
    books = write(database, log.frames[:2], at_once=1)
    for wrong in (log.frames[:1], log.frames[3:]):
        with pytest.raises(ClientError, match="follow"):
            books.take(wrong)
    with pytest.raises(InputError, match="venue"):
        Books(database, bytes(16))
    other = Books(database, VENUE)
    other.take(log.frames[2:3])
    quiet = batch.Events(log.frames[2].rows[:1].copy(), log.frames[2].tail, books.cursor.event, 1)
    quiet.rows["kind"] = EventKind.CLOCK_TICKED  # nothing of it stands in the way but the cursor
    with pytest.raises(InvariantError, match="another process"):
        books.take([quiet])
    assert Books(database, VENUE).cursor == other.cursor


def test_tables_changed_by_hand_stop_the_books(database):
    """A row that is there already is a broken invariant that names the way out, not a wait for the database."""
    log = mixed_log(1)
    books = write(database, log.frames[:3])
    last = log.machine.last_event[0]
    with database.writing() as connection:
        row = dict.fromkeys(tables.trades.columns.keys(), 0)
        for trade_id in range(books.cursor.trade_id + 1, last):
            connection.execute(sa.insert(tables.trades).values(row | {"trade_id": trade_id}))
    with pytest.raises(InvariantError, match="rebuild"):
        books.take(log.frames[3:])


def test_halts_last_from_the_halt_to_the_opening(tmp_path):
    """A market that its breaker halts has a halt with an end; the trip is there too."""
    naive, parts = Naive(), []
    for _, commands in breaker_mixes.run(naive, 7, 700):
        apply_to_naive(naive, commands)
        parts.append(commands)
    log = Log(build.batch_of(parts))
    events = [row for frame in log.frames for row in frame.rows]
    trips = [row for row in events if row["kind"] in {EventKind.BREAKER_TRIPPED, EventKind.BREAKER_ALERT}]
    changes = [
        row for row in events if row["kind"] in {EventKind.MARKET_STATE_CHANGED, EventKind.INSTRUMENT_STATE_CHANGED}
    ]
    with sqlite(tmp_path) as database:
        write(emptied(database), log.frames)
        states, halts = rows_of(database, tables.instrument_states), rows_of(database, tables.halts)
        assert len(states) == len(changes)
        assert len(rows_of(database, tables.breaker_trips)) == len(trips) > 0
        standing = {row["instrument_id"]: row["state"] for row in rows_of(database, tables.instruments)}
        assert {
            row["instrument_id"]: row["state"]
            for row in sorted(states, key=lambda r: (r["cause_seq"], r["event_index"]))
        } == standing
        ended = [row for row in halts if row["end_seq"]]
        assert ended
        assert all(row["begin_ns"] <= row["end_ns"] and row["cause_seq"] <= row["end_seq"] for row in ended)
        lasting = {row["instrument_id"] for row in halts if not row["end_seq"]}
        halted = {number for number, state in standing.items() if state in {2, 3}}
        assert halted <= lasting
