"""Papers and commands: statements that add up, invoices that are the ledger's fees, the commands."""

import csv
import datetime as dt
import io
import json
from collections import defaultdict
from decimal import Decimal

import pytest
import sqlalchemy as sa

from gateways.settlement import reports, tables
from gateways.settlement.reports import Period
from kk99 import build, cli
from kk99.errors import InputError, InvariantError
from kk99.schema import MarketState, Side
from tests.gateways.settlement.support import Log, emptied, rows_of, sqlite, write
from tests.replay import venue
from tests.replay.venue import ALICE, BOB, BY, whole_run

DAY = dt.date(2023, 11, 14)
DAY_NS = 86_400 * 10**9


def three_days():
    """A run that goes on a day later, skips a day, and goes on."""
    parts, seq, time_ns = [whole_run()], 0, 0
    for later in (1, 3):
        seq, time_ns = seq + len(parts[-1].rows), int(parts[-1].rows["time_ns"][-1])
        items = [
            build.instrument_state(1, MarketState.HALTED, **BY),
            build.instrument_state(1, MarketState.OPEN, **BY),
            build.order_new(ALICE, 1, Side.SELL, 7, 60),
            build.order_new(BOB, 1, Side.BUY, 4, 70),
            build.withdraw(BOB, 2, 1_000_000),
            build.deposit(BOB, 2, 5_000),
        ]
        first_ns = venue.TIME_NS + later * DAY_NS
        assert first_ns > time_ns
        commands = build.batch_of(items)
        parts.append(build.stamp(commands, seq + 1, [first_ns + at for at in range(len(items))]))
    return build.batch_of(parts)


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    """Books of three days."""
    with sqlite(tmp_path_factory.mktemp("books")) as database:
        write(emptied(database), Log(three_days()).frames)
        yield database


def all_of(books, make, *arguments):
    """What a report gives, read whole."""
    with books.reading() as connection:
        return list(make(connection, *arguments))


def account(books, name):
    """An account's row."""
    with books.reading() as connection:
        return reports.account_named(connection, name)


@pytest.mark.parametrize("name", ["alice", "bob", "FEES", "BURNED", "OUTSIDE"])
@pytest.mark.parametrize(("first", "last"), [(0, 0), (1, 1), (2, 2), (3, 3), (0, 3), (1, 2), (-5, 9), (5, 9)])
def test_statements_lead_from_opening_to_closing(books, name, first, last):
    """Entries add up; a period's closing balance opens the next; days without a movement have no entry."""
    mine = account(books, name)
    period = Period(DAY + dt.timedelta(days=first), DAY + dt.timedelta(days=last))
    after = Period(period.last + dt.timedelta(days=1), period.last + dt.timedelta(days=1))
    now, then = all_of(books, reports.statement, mine, period), all_of(books, reports.statement, mine, after)
    for one, following in zip(now, then, strict=True):
        moved = sum(Decimal(entry["amount"]) for entry in one.entries)
        assert Decimal(one.opening) + moved == Decimal(one.closing)
        assert following.opening == one.closing
        assert bool(one.entries) or one.opening == one.closing
    if (first, last) == (-5, 9):
        assert all(Decimal(one.opening) == 0 for one in now)
        assert sum(len(one.entries) for one in now) == len(
            [row for row in rows_of(books, tables.ledger) if row["account_id"] == mine["account_id"]]
        )


def test_statements_that_do_not_add_up_are_not_given(tmp_path):
    """An entry changed in the database is found."""
    with sqlite(tmp_path) as database:
        write(emptied(database), Log(whole_run()).frames)
        with database.writing() as connection:
            amount = tables.ledger.c.amount_units
            connection.execute(
                sa.update(tables.ledger).where(tables.ledger.c.account_id == ALICE).values(amount_units=amount + 1)
            )
        with pytest.raises(InvariantError, match="does not follow"):
            all_of(database, reports.statement, account(database, "alice"), Period(DAY, DAY))


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_invoices_are_the_fees_of_the_ledger(books, name):
    """Per asset the lines sum to the fee entries; rebates are in the account's favour."""
    mine = account(books, name)
    period = Period(DAY, DAY + dt.timedelta(days=3))
    lines = all_of(books, reports.invoice, mine, period)
    expected, counts = defaultdict(Decimal), defaultdict(int)
    for row in rows_of(books, tables.ledger):
        if row["account_id"] == mine["account_id"] and row["entry_kind"] == 2:
            expected[row["asset_id"]] -= row["amount_units"]
            counts[row["asset_id"]] += 1
    found, listed = defaultdict(Decimal), defaultdict(int)
    for line in lines:
        asset, places = (1, 8) if line["asset"] == "BTC" else (2, 2)
        found[asset] += Decimal(line["amount"]).scaleb(places)
        listed[asset] += line["count"]
    assert (found, listed) == (expected, counts)
    assert {line["what"] for line in lines} >= {"trading fees", "rebates", "deposit fees"}
    assert any(line["what"] == "withdrawal fees" for line in lines) == (name == "bob")
    assert all(
        (Decimal(line["amount"]) < 0) == (line["what"] == "rebates")
        for line in lines
        if "bust" not in line["what"] and "corrected" not in line["what"]
    )


def test_confirmations_are_the_executions(books):
    """One line an execution, with decimals of the instrument; a busted one says so."""
    whole = Period(DAY, DAY + dt.timedelta(days=3))
    lines = all_of(books, reports.confirmations, account(books, "alice"), whole)
    mine = [row for row in rows_of(books, tables.executions) if row["account_id"] == ALICE]
    assert [line["trade_id"] for line in lines] == [row["trade_id"] for row in mine]
    assert {line["state"] for line in lines} == {"GOOD", "BUSTED", "CORRECTED"}
    for line, row in zip(lines, mine, strict=True):
        gross = Decimal(line["price"]) * Decimal(line["quantity"])
        assert gross == Decimal(line["gross"]) == Decimal(row["notional_units"]).scaleb(-2)
        sign = 1 if line["side"] == "BUY" else -1
        assert Decimal(line["net"]) == gross + sign * Decimal(line["fee"])
        assert line["settlement_date"] == line["time"][:10]
    last_day = Period(whole.last, whole.last)
    assert len(all_of(books, reports.confirmations, account(books, "alice"), last_day)) < len(lines)


def test_accounts_and_periods_that_are_not_there_are_refused(books):
    """An unknown name, and days in the wrong order."""
    with pytest.raises(InputError, match="nobody"):
        account(books, "nobody")
    assert account(books, "16")["name"] == "alice"
    with pytest.raises(InputError, match="before it begins"):
        Period(DAY, DAY - dt.timedelta(days=1))


# Commands -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A venue's folder with a journal, and books derived from it."""
    root = tmp_path_factory.mktemp("data") / "var"
    venue.write(root, three_days(), events=False)
    assert call("catch-up", root)[0] == 0
    return root


def call(command, root, *arguments):
    """A `kk99 settlement` command; its status."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["settlement", *command.split(), *map(str, arguments), "--data", str(root)])
    return ended.value.code or 0, None


def test_books_derived_twice_have_the_same_hash(data, capsys):
    """Rebuilt from nothing, and caught up with when there is nothing new."""
    hashes = []
    for command in ("catch-up --json", "rebuild --yes --json", "catch-up --json"):
        assert call(command, data)[0] == 0
        capsys.readouterr()
        assert call("hash --json", data)[0] == 0
        hashes.append(json.loads(capsys.readouterr().out))
    assert hashes[0] == hashes[1] == hashes[2]
    assert {entry["table"] for entry in hashes[0]["tables"]} == set(tables.metadata.tables)
    assert call("hash", data)[0] == 0
    assert hashes[0]["hash"] in capsys.readouterr().out


def test_books_agree_with_the_journal(data, capsys):
    """`reconcile --journal` finds no difference; after a change in the database it names it, with status 1."""
    assert call("reconcile --journal", data)[0] == 0
    assert "agree to the unit" in capsys.readouterr().out
    with SettlementOf(data) as connection:
        connection.execute(sa.text("UPDATE balances SET balance_units = balance_units + 1 WHERE account_id = 16"))
        connection.execute(sa.text("UPDATE orders SET leaves_lots = leaves_lots + 1 WHERE state = 1"))
    assert call("reconcile --journal --json", data)[0] == 1
    found = json.loads(capsys.readouterr().out)["differences"]
    assert {entry["what"] for entry in found} == {"balance", "order"}
    assert all(entry["books"] == entry["core"] + 1 for entry in found)
    with SettlementOf(data) as connection:
        connection.execute(sa.text("UPDATE balances SET balance_units = balance_units - 1 WHERE account_id = 16"))
        connection.execute(sa.text("UPDATE orders SET leaves_lots = leaves_lots - 1 WHERE state = 1"))


class SettlementOf:
    """A connection that may change the books of a venue's folder."""

    def __init__(self, root):
        from gateways.settlement.database import Database

        self.database = Database(f"sqlite:///{root}/settlement/books.db", is_writer=True)
        self.writing = self.database.writing()

    def __enter__(self):
        return self.writing.__enter__()

    def __exit__(self, *error):
        self.writing.__exit__(*error)
        self.database.close()


def test_papers_are_printed_in_each_form(data, capsys):
    """Tables for people, CSV and JSON hold the same lines."""
    days = f"--from {DAY} --to {DAY + dt.timedelta(days=3)}"
    for paper in ("confirmations", "invoice"):
        made = {}
        for form in ("", "--csv", "--json"):
            assert call(f"{paper} alice {days} {form}", data)[0] == 0
            made[form] = capsys.readouterr().out
        lines = [json.loads(line) for line in made["--json"].splitlines()]
        assert [list(row.values()) for row in csv.DictReader(io.StringIO(made["--csv"]))] == [
            list(map(str, line.values())) for line in lines
        ]
        assert len(made[""].splitlines()) == len(lines) + 1
    assert call(f"statement bob {days}", data)[0] == 0
    text = capsys.readouterr().out
    assert "opening balance 0.00" in text
    assert call(f"statement bob {days} --json", data)[0] == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["asset"] for one in found["assets"]] == ["BTC", "USD"]
    assert f"closing balance {found['assets'][1]['closing']}" in text
    assert call(f"statement bob {days} --csv", data)[0] == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + sum(len(one["entries"]) for one in found["assets"])
    assert call("statement bob --from 2001-01-01", data)[0] == 0
    assert "nothing in these days" in capsys.readouterr().out


def test_status_says_how_far_the_books_go(data, capsys):
    """The last sequence, events and time."""
    assert call("status --json", data)[0] == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["venue_id"], found["time"][:10]) == (venue.VENUE.hex(), "2023-11-17")
    assert call("status", data)[0] == 0
    assert f"{found['seq']:,}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("status", "no books there yet"),
        ("statement nobody --from 2023-11-14", "no books there yet"),
        ("invoice alice --from tomorrow", "no day"),
        ("reconcile", "no books there yet"),
    ],
)
def test_what_can_not_be_answered_is_an_error_of_one_line(tmp_path, capsys, command, why):
    """Without books, or with a day that is none, the command says so and what to do."""
    assert call(command, tmp_path)[0] in {1, 2}
    err = capsys.readouterr().err
    assert why in err
    assert "Traceback" not in err
