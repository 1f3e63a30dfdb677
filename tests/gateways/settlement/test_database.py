"""The database and its settings: URLs, migrations, locks, wrong files; what is refused and how."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st

from gateways.settlement import bulk, migrations, settings, tables
from gateways.settlement import rows as rows_of
from gateways.settlement.candles import SUM_MAX
from gateways.settlement.candles import of_trades as candles_of
from gateways.settlement.database import Database, DatabaseError
from gateways.settlement.rows import Write
from gateways.settlement.settings import BOOKS_FILE, SettlementSettings
from kk99.errors import InputError, InvariantError
from tests.gateways.settlement.support import emptied, sqlite
from tests.gateways.settlement.support import rows_of as stored

MIGRATIONS = Path(migrations.__file__).parent
BULK = [
    table for table in tables.metadata.tables.values() if not any(isinstance(c.type, sa.Text) for c in table.columns)
]
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def test_migrations_lead_to_the_tables_that_are_declared(database):
    """After the migrations nothing is left to change; running them again changes nothing."""
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    database.migrate()
    database.check()


def test_books_of_the_release_before_are_brought_up(database):
    """What is kept stays, trades of then have settled at once, and what settled at the trade is no obligation."""
    database.drop()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(sa.text("INSERT INTO trades VALUES (1, 2, 3, 4, 5, 1, 1, 7, 8, 9, 16, 1, 2, 17, 3, 4, 5)"))
        connection.execute(sa.text("INSERT INTO obligations VALUES (16, 1, 20000, 20000, 5, 3, 9)"))
    database.migrate()
    database.check()
    (trade,) = stored(database, tables.trades)
    assert (trade["trade_id"], trade["burned_units"], trade["value_date"]) == (1, 5, 0)
    assert stored(database, tables.obligations) == []


def test_books_of_another_release_are_refused(database):
    """A revision that this release does not know is left alone; a database without tables is named as such."""
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InputError, match="newer release"):
        database.migrate()
    with pytest.raises(InputError, match="9999"):
        database.check()
    database.drop()
    with pytest.raises(InputError, match="has no books"):
        database.check()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://root@host/db",
        "postgresql+asyncpg://host/db",
        "file.db",
    ],
)
def test_urls_of_no_database_are_refused(url):
    """Only a file of SQLite's or a PostgreSQL is a place for books, and the error says how to write it."""
    with pytest.raises(InputError, match="sqlite:///"):
        Database(url)


def test_a_password_is_never_shown(tmp_path):
    """The URL may have none but in a file; names and errors do not show it."""
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    chosen = SettlementSettings(url="postgresql://kk99@nowhere.invalid/books", password_file=file)
    with chosen.open(tmp_path) as opened:
        assert opened.url.password == "s3cret"
        assert "s3cret" not in opened.name
        with pytest.raises(DatabaseError) as failure:
            opened.migrate()
    assert "s3cret" not in str(failure.value)
    with pytest.raises(InputError, match="password_file"):
        SettlementSettings(password_file=tmp_path / "none").open(tmp_path)


def test_books_lie_in_the_data_folder_by_default(tmp_path):
    """Without a URL they are a file there, made with its folder."""
    with SettlementSettings().open(tmp_path / "settlement", is_writer=True) as opened:
        opened.migrate()
    assert (tmp_path / "settlement" / BOOKS_FILE).exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[settlement]\nurl = 3", "url = 3: must be of type str"),
        ("[settlement]\nwait_s = 11", "wait_s = 11.0: must be from 0.0 to 10.0"),
        ("[settlement]\nwait_s = true", "wait_s = True: must be of type float"),
        ("[settlement]\ntransaction_events = 0", "transaction_events = 0: must be from 1 to"),
        ("[settlement]\ntransaction_events = 1048577", "must be from 1 to 1048576"),
        ("[settlement]\nspeed = 1", "unknown key 'speed'"),
        ("[settlement]\nsettle = 1", "settle = 1: must be of type bool"),
        ("[settlement]\nretry_s = 0.9", "retry_s = 0.9: must be from 1.0 to 604800.0"),
        ("[settlement]\npenalty_ppm = 1000001", "must be from 0 to 1000000"),
        ('[settlement]\nsession = ""', "session = '': must be 1 to 32 bytes"),
        ("[fixes]\n", "unknown key 'fixes'"),
        ("settlement = 1", "not a table"),
        ("[settlement", "not TOML"),
    ],
)
def test_wrong_settings_are_refused_by_name(tmp_path, text, why):
    """Unknown keys, wrong types, values out of bounds."""
    file = tmp_path / "settlement.toml"
    file.write_text(text)
    with pytest.raises(InputError) as failure:
        settings.load(file)
    assert why in str(failure.value)
    assert str(file) in str(failure.value)


def test_settings_at_their_bounds_are_taken(tmp_path):
    """The first and the last allowed value of each; a password's file is beside the settings."""
    file = tmp_path / "settlement.toml"
    file.write_text('[settlement]\nwait_s = 0\ntransaction_events = 1048576\npassword_file = "secret"\n')
    found = settings.load(file)
    assert (found.wait_s, found.transaction_events, found.password_file) == (0.0, 1 << 20, tmp_path / "secret")
    assert settings.load(None) == SettlementSettings()
    with pytest.raises(InputError, match="No such file"):
        settings.load(tmp_path / "none.toml")


def test_a_reader_can_not_change_books(tmp_path):
    """Who only asks has a connection that refuses to write, and does not wait for one who writes."""
    with sqlite(tmp_path) as writer:
        emptied(writer)
        with sqlite(tmp_path, is_writer=False) as reader, writer.writing() as writing:
            writing.execute(sa.text("DELETE FROM days"))
            with reader.reading() as reading:
                assert reading.scalar(sa.text("SELECT count(*) FROM days")) == 0
                with pytest.raises(sa.exc.OperationalError, match="readonly"):
                    reading.execute(sa.text("DELETE FROM days"))


def test_a_damaged_file_is_an_error_that_says_so(tmp_path):
    """What is no database is refused, not written over."""
    (tmp_path / "books.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with sqlite(tmp_path) as opened, pytest.raises(DatabaseError, match="not a database"):
        opened.migrate()
    assert (tmp_path / "books.db").read_bytes().startswith(b"not a database")


@given(st.sampled_from(BULK), st.lists(INT64, min_size=64, max_size=64))
def test_rows_are_copied_exactly(table, numbers):
    """What goes to PostgreSQL in binary has every number at its place, big-endian, at its column's width."""
    rows = rows_of.empty(table, 2)
    wide = {"BigInteger": 64, "Integer": 32, "SmallInteger": 16}
    for at, column in enumerate(table.columns):
        bits = wide[type(column.type).__name__]
        values = np.array([numbers[at], numbers[-at]], np.int64)
        rows[column.name] = (values << (64 - bits)) >> (64 - bits)
    data = bulk.packed(table, rows, table.columns.keys())
    at = 0
    for row in rows.tolist():
        assert int.from_bytes(data[at : at + 2], "big") == len(table.columns)
        at += 2
        for value in row:
            size = int.from_bytes(data[at : at + 4], "big")
            assert int.from_bytes(data[at + 4 : at + 4 + size], "big", signed=True) == value
            at += 4 + size
    assert at == len(data)


def trades(*pieces):
    """Trades of instrument 1 as (second, price, quantity)."""
    rows = rows_of.made(tables.trades, len(pieces), trade_id=np.arange(1, len(pieces) + 1), instrument_id=1, state=1)
    for row, (second, price, qty) in zip(rows, pieces, strict=True):
        row["time_ns"], row["price_ticks"], row["qty_lots"] = second * 10**9, price, qty
        row["notional_units"] = qty
    return rows


@pytest.mark.parametrize("split", [1, 2, 3])
def test_sums_of_candles_stop_at_their_bound(database, split):
    """Sums just below the bound are exact; beyond it they stay at it, however the trades come."""
    half = SUM_MAX // 2
    for last, expected in ((half - 1, SUM_MAX - 1), (half, SUM_MAX), (half + 1, SUM_MAX), (SUM_MAX, SUM_MAX)):
        emptied(database)
        made = trades((1, 5, half), (1, 7, 0), (1, 3, last), (1, 4, 0))
        with database.writing() as connection:
            for part in np.split(made, range(split, len(made), split)):
                bulk.write(connection, candles_of(part))
        for row in stored(database, tables.candles):
            assert (row["volume_lots"], row["notional_units"]) == (expected, expected)
            prices = row["open_ticks"], row["high_ticks"], row["low_ticks"], row["close_ticks"]
            assert (prices, row["trade_count"]) == ((5, 7, 3, 4), 4)


def test_replacing_and_updating_change_what_they_name(database):
    """A replace takes all columns, an update those named, and nothing else of the table moves."""
    days = rows_of.made(tables.days, 3, day=[1, 2, 3], cause_seq=[10, 20, 30], trade_id=[5, 6, 7])
    with database.writing() as connection:
        bulk.write(connection, Write(tables.days, days))
        changed = rows_of.made(tables.days, 2, day=[2, 4], cause_seq=[21, 41], trade_id=[0, 9])
        bulk.write(connection, Write(tables.days, changed, "replace"))
        more = rows_of.made(tables.days, 1, day=3, cause_seq=99, trade_id=88, event_index=1)
        bulk.write(connection, Write(tables.days, more, "update", ("trade_id", "event_index")))
    assert [tuple(row.values()) for row in stored(database, tables.days)] == [
        (1, 10, 0, 5), (2, 21, 0, 0), (3, 30, 1, 88), (4, 41, 0, 9),
    ]  # fmt: skip


def test_numbers_that_do_not_fit_stop_the_transaction(tmp_path):
    """SQLite would make a sum beyond 64 bits a float: its strict tables refuse that."""
    with sqlite(tmp_path) as database:
        emptied(database)
        with pytest.raises(InvariantError, match="REAL"), database.writing() as connection:
            connection.execute(sa.text(f"INSERT INTO days VALUES (1, {2**63 - 1} + 10, 0, 0)"))
    assert sqlite3.sqlite_version_info >= (3, 37)
