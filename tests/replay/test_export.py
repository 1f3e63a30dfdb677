"""`replay export`: what another program reads from the files is what the log holds."""

import builtins
import csv

import duckdb
import numpy as np
import pytest

from journal.reader import Reader
from kk99 import schema
from kk99.errors import InputError
from kk99.machine import Machine
from kk99.schema import EventKind
from replay import export
from tests.replay import venue


def query(text):
    """The rows that DuckDB answers."""
    with duckdb.connect() as database:
        return database.execute(text).fetchall()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The data folder of the standard run, with a snapshot to start from."""
    return venue.write(tmp_path_factory.mktemp("run"), venue.whole_run(), (7,), snapshots_at=(126,))


@pytest.fixture(scope="module")
def events():
    """All events of the standard run."""
    return Machine().apply_all(venue.whole_run())


def exported(data, table, out, from_seq=1, to_seq=1 << 40):
    """The file, written."""
    with Reader(data.journal) as reader:
        rows = export.export(data, reader, table, out, out.suffix[1:], from_seq=from_seq, to_seq=to_seq)
    assert query(f"select count(*) from '{out}'") == [(rows,)]
    return out


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_duckdb_reads_the_trades(data, tmp_path, events, suffix):
    """Counts, sums and names of the trades are the same in DuckDB as in the events."""
    out = exported(data, "trades", tmp_path / f"trades.{suffix}")
    trades = events.rows[events.rows["kind"] == EventKind.TRADE]
    (found,) = query(
        "select count(*), sum(price_ticks * qty_lots), max(time_ns), count(distinct side) "
        f"from '{out}' where kind = 'TRADE'"
    )
    turnover = int((trades["price_ticks"] * trades["qty_lots"]).sum())
    assert found == (len(trades), turnover, int(trades["time_ns"].max()), 2)
    changed = query(f"select trade_id, kind from '{out}' where kind <> 'TRADE' order by cause_seq")
    assert changed == [(1, "TRADE_BUSTED"), (5, "TRADE_CORRECTED")]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_duckdb_reads_the_commands(data, tmp_path, suffix):
    """Every command is there with its own words by name, its cold row and its document."""
    out = exported(data, "commands", tmp_path / f"commands.{suffix}")
    rows = venue.whole_run().rows
    assert [row[0] for row in query(f"select seq from '{out}' order by seq")] == rows["seq"].tolist()
    cold = query(f"select client_id from '{out}' where client_id is not null order by seq limit 2")
    assert cold == [("order-0",), ("order-7",)]
    named = query(f"select document from '{out}' where kind = 'ACCOUNT_DEFINE' order by seq")
    assert '"name": "alice"' in named[0][0]
    deposits = query(f"select distinct asset_id, instrument_id from '{out}' where kind = 'DEPOSIT' order by 1")
    assert deposits == [(1, None), (2, None)]


def test_both_formats_hold_the_same_events(data, tmp_path):
    """Parquet and CSV of the events are equal, column by column, as DuckDB reads them."""
    parquet, text = exported(data, "events", tmp_path / "e.parquet"), exported(data, "events", tmp_path / "e.csv")
    columns = [row[0] for row in query(f"describe select * from '{parquet}'")]
    assert columns == [row[0] for row in query(f"describe select * from '{text}'")]
    assert set(columns) == {*schema.EVENT.names, "document"} - {"document_offset", "document_size"}
    as_text = ", ".join(f"{name}::varchar" for name in columns)
    read = f"(select {as_text} from read_csv('{text}', all_varchar = true))"
    assert query(f"select {as_text} from '{parquet}' except select * from {read}") == []


def test_a_range_is_exactly_that(data, tmp_path, events):
    """Both ends of a range are included, and beginning after a snapshot changes nothing."""
    for first, last in ((1, 1), (100, 140), (127, 127), (468, 468)):
        out = exported(data, "events", tmp_path / "e.parquet", first, last)
        wanted = events.rows["cause_seq"][(events.rows["cause_seq"] >= first) & (events.rows["cause_seq"] <= last)]
        assert [row[0] for row in query(f"select cause_seq from '{out}'")] == wanted.tolist()
        out = exported(data, "commands", tmp_path / "c.parquet", first, last)
        assert query(f"select min(seq), max(seq) from '{out}'") == [(first, last)]


def test_many_row_groups_are_one_file(data, tmp_path, monkeypatch, events):
    """A file of several row groups, whose dictionaries grow, is whole."""
    monkeypatch.setattr(export.ParquetSink, "GROUP_ROWS", 50)
    out = exported(data, "events", tmp_path / "e.parquet")
    kinds = dict(query(f"select kind, count(*) from '{out}' group by kind"))
    numbers, counts = np.unique(events.rows["kind"], return_counts=True)
    assert kinds == {EventKind(int(kind)).name: int(count) for kind, count in zip(numbers, counts, strict=True)}


def test_nothing_to_write_leaves_no_file(data, tmp_path):
    """A range without trades is refused, and neither file nor draft is left."""
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(InputError, match="there are no trades from seq 1 to 5"):
            exported(data, "trades", tmp_path / name, 1, 5)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_a_clear_error(data, tmp_path):
    """A file that can't be created is an InputError."""
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(InputError, match="can't be written"):
            exported(data, "trades", tmp_path / "none" / name)


def test_without_pyarrow_parquet_is_refused_and_csv_works(data, tmp_path, monkeypatch):
    """The error says what to install; CSV needs nothing."""
    original = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with Reader(data.journal) as reader:
        with pytest.raises(InputError, match=r"pip install 'kk99\[export\]'"):
            export.export(data, reader, "trades", tmp_path / "t.parquet", "parquet", from_seq=1, to_seq=468)
        export.export(data, reader, "trades", tmp_path / "t.csv", "csv", from_seq=1, to_seq=468)
    with (tmp_path / "t.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["kind"] == "TRADE"
