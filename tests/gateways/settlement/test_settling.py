"""What is owed, settled: by the gateway once it is due, killed in the midst or not, and by hand."""

import contextlib
import datetime as dt
import io
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from gateways.client import Client
from gateways.settlement import reports, settler, tables
from gateways.settlement import settings as settings_of
from gateways.settlement.cycles import Cycles
from gateways.settlement.database import DatabaseError
from gateways.settlement.gateway import Gateway
from gateways.settlement.obligations import state_on
from gateways.settlement.settings import SettlementSettings
from gateways.settlement.terms import ObligationState, TradeState
from kk99 import build, cli
from kk99.engine.ports import SystemClock
from kk99.errors import InputError
from kk99.schema import CommandKind, EventKind, MarketState, Side
from kk99.settlement import calendars
from kk99.settlement.settling import penalty_units
from tests.engine.harness import DEADLINE_S, ROOT, ports_with, running, wait_for
from tests.gateways.settlement.naive import NaiveBooks
from tests.gateways.settlement.support import differences, emptied, hash_of, rows_of, settling_log, sqlite, write

BY = {"actor": "test", "reason": "set up"}
DAY_NS = 86_400 * 10**9
COUNT = 40
FIRST = 16
MARKET = {
    "name": "G", "base": "GOLD", "quote": "USD", "tick_units": 1, "lot_units": 1, "max_price_ticks": 1000,
    "max_qty_lots": 1000, "settlement_days": 1,
}  # fmt: skip


class SetClock(SystemClock):
    """The machine's clock, set back by two days."""

    ahead_ns = -2 * DAY_NS

    def now_ns(self):
        """Return the time of day as set."""
        return super().now_ns() + self.ahead_ns


@contextlib.contextmanager
def venue_that_owes(folder):
    """An engine on whose venue each account is owed what it bought and what it sold for, since yesterday."""
    clock = SetClock()
    with running(folder, ports_with(clock=clock)) as engine:
        address = str(engine.settings.sockets_dir)
        with Client.connect(address, "setup", timeout_s=DEADLINE_S) as client:
            client.submit(build.batch_of([
                build.asset("USD", 2, **BY), build.asset("GOLD", 0, **BY),
                build.document(CommandKind.INSTRUMENT_DEFINE, MARKET | BY),
                *(build.account(f"a{number}", f"a{number}", **BY) for number in range(COUNT)),
            ]))  # fmt: skip
            client.flush()
            for account in range(FIRST, FIRST + COUNT):
                client.submit(build.batch_of([build.deposit(account, asset, 10**6) for asset in (1, 2)]))
            client.submit(build.instrument_state(1, MarketState.OPEN, **BY))
            for number in range(COUNT):
                client.submit(build.order_new(FIRST + number, 1, Side.SELL, 2, 5 + number))
                client.submit(build.order_new(FIRST + (number + 1) % COUNT, 1, Side.BUY, 2, 5 + number))
            client.flush()
            clock.ahead_ns = 0
            client.submit(build.deposit(FIRST, 1, 1))
            wait_for(lambda: client.pump(0.01) or client.stats.busy, "the jump")
            client.confirm_clock()
            client.flush()
        yield SimpleNamespace(address=address, engine=engine, data=folder)


def head(venue):
    """The engine's last command."""
    with Client.connect(venue.address, timeout_s=DEADLINE_S) as client:
        return client.engine_stats()["head_seq"]


def events_of(venue, kind):
    """All events of a kind."""
    with Client.connect(venue.address, after=(0, 0), timeout_s=DEADLINE_S) as client:
        last, rows = client.welcome.last_event, []
        for events in client.events(1.0):
            rows += [row.copy() for row in events.rows if row["kind"] == kind]
            if (int(events.rows["cause_seq"][-1]), int(events.rows["index"][-1])) >= last:
                return rows
    raise AssertionError("the events end too early")


def keep(venue, database, **settings):
    """Have a gateway keep the books until they are the engine's; the gateway, closed."""
    gateway = Gateway(SettlementSettings(wait_s=0.0, **settings), database, venue.address)
    gateway.begin(lambda: False)
    last = head(venue)
    wait_for(lambda: (gateway.turn(lambda: False) and False) or gateway.seq >= last, "the books")
    gateway.close()


def call(venue, *words, status=0, address=True):
    """What a `kk99 settlement` command prints."""
    out, err = io.StringIO(), io.StringIO()
    more = ["--connect", venue.address] if address else []
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        cli.main(["settlement", *map(str, words), "--data", str(venue.data), *more])
    assert (ended.value.code or 0) == status, out.getvalue() + err.getvalue()
    return out.getvalue() + err.getvalue()


def lines(text):
    """JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


SMALL_STEPS = """
import sys
from gateways.settlement import settler
settler._BATCH, settler._LOOK_S = 5, 0.0
from kk99 import cli
cli.main(sys.argv[1:])
"""


def test_a_settler_killed_in_the_midst_settles_each_obligation_once(tmp_path):
    """SIGKILL while it settles, again and again: each settled once; the books made anew are equal, and send nothing."""
    config = tmp_path / "settlement.toml"
    config.write_text("[settlement]\nsettle = true\nwait_s = 0.0\n")
    with venue_that_owes(tmp_path / "var") as venue:
        words = ["gateway", "settlement", "--data", venue.data, "--connect", venue.address, "--config", config]
        folder = venue.data / "settlement"
        left, kills = 2 * COUNT, 0
        while left:
            with subprocess.Popen(
                [sys.executable, "-c", SMALL_STEPS, *map(str, words)], cwd=ROOT,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            ) as process:  # fmt: skip
                wanted = max(left - 30, 0)
                wait_for(lambda wanted=wanted: still_owed(folder) <= wanted, "settlements")
                process.send_signal(signal.SIGKILL)
            left, kills = still_owed(folder), kills + 1
        assert kills > 1
        settled = Counter(
            (int(row["account_id"]), int(row["asset_id"])) for row in events_of(venue, EventKind.OBLIGATION_SETTLED)
        )
        assert settled == {(account, asset): 1 for account in range(FIRST, FIRST + COUNT) for asset in (1, 2)}
        last = head(venue)
        with sqlite(folder) as database:
            keep(venue, database)
            kept = hash_of(database)
        assert "agree to the unit" in call(venue, "reconcile")
        call(venue, "rebuild", "--yes", "--config", config, address=False)
        with sqlite(folder, is_writer=False) as database:
            assert hash_of(database) == kept
        assert head(venue) == last


def still_owed(folder):
    """How many obligations the books in a folder say are open; all before there are books."""
    if not (folder / "books.db").exists():
        return 2 * COUNT
    try:
        with sqlite(folder, is_writer=False) as database:
            rows = rows_of(database, tables.obligations)
    except DatabaseError:  # it is being made
        return 2 * COUNT
    return sum(not row["settled_seq"] for row in rows) if rows else 2 * COUNT


def test_a_gateway_that_is_not_told_to_settles_nothing(tmp_path):
    """By default it only keeps the books."""
    with venue_that_owes(tmp_path / "var") as venue, sqlite(tmp_path) as database:
        keep(venue, database)
        last = head(venue)
        gateway = Gateway(SettlementSettings(), database, venue.address)
        gateway.begin(lambda: False)
        for _ in range(3):
            gateway.turn(lambda: False)
        gateway.close()
        assert head(venue) == last


@pytest.fixture(scope="module")
def owing(tmp_path_factory):
    """A venue that owes, with its books."""
    with venue_that_owes(tmp_path_factory.mktemp("owing") / "var") as venue:
        (venue.data / "settlement").mkdir()
        with sqlite(venue.data / "settlement") as database:
            keep(venue, database)
        yield venue


def test_what_is_owed_is_settled_and_failed_by_hand(owing):
    """Listed as due; failed with a reason, which costs a penalty; settled, once; what is not owed is said."""
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    listed = lines(call(owing, "obligations", "--json", address=False))
    assert len(listed) == 2 * COUNT
    assert {(one["state"], one["value_date"]) for one in listed} == {("DUE", str(yesterday))}
    (one,) = lines(call(owing, "obligations", "--account", "a0", "--asset", "USD", "--json", address=False))
    assert (one["account"], one["amount"]) == ("a0", "0.10")
    before = call(owing, "obligations", "--date", yesterday - dt.timedelta(days=1), "--state", "DUE", address=False)
    assert "nothing is owed" in before
    assert (
        json.loads(call(owing, "fail", "a0", "USD", yesterday, "--why", 7, "--json"))["outcome"] == "OBLIGATION_FAILED"
    )
    again = call(owing, "fail", "a0", "USD", yesterday, "--why", 7, "--json", status=1)
    assert json.loads(again)["outcome"] == "STATE_UNCHANGED"
    assert "owed no GOLD" in call(owing, "fail", "a0", "GOLD", "2001-01-01", "--why", 7, status=1)
    with sqlite(owing.data / "settlement") as database:
        keep(owing, database)
    (failed,) = lines(call(owing, "obligations", "--state", "failed", "--json", address=False))
    assert (failed["account"], failed["reason"]) == ("a0", 7)
    (penalty,) = lines(call(owing, "penalties", "--ppm", 500_000, "--json", address=False))
    assert (penalty["days"], penalty["penalty"], penalty["to_pay"]) == (1, "0.05", "0.05")
    assert "no penalty" in call(owing, "penalties", address=False)
    found = json.loads(call(owing, "settle", "--json"))
    assert (found["due"], found["settled"], found["refused"]) == (2 * COUNT, 2 * COUNT, 0)
    found = json.loads(call(owing, "settle", "--json"))  # the books have not heard of it
    assert (found["settled"], found["settled_before"], found["refused"]) == (0, 2 * COUNT, 0)
    with sqlite(owing.data / "settlement") as database:
        keep(owing, database)
    assert json.loads(call(owing, "settle", "--json"))["due"] == 0
    assert len(lines(call(owing, "obligations", "--state", "SETTLED", "--json", address=False))) == 2 * COUNT
    assert "agree to the unit" in call(owing, "reconcile")


def test_calendars_are_defined_from_a_file_and_from_an_exchange(owing, tmp_path):
    """Their dates are journaled as numbers; the sessions of New York leave its holidays out."""
    pytest.importorskip("exchange_calendars")
    file = tmp_path / "dates"
    file.write_text("2026-01-02\n\n2026-01-05\n")
    made = json.loads(call(owing, "calendar", "short", "--file", file, "--reason", "test", "--json"))
    assert (made["dates"], made["outcome"]) == (2, "SETTLEMENT_CALENDAR_DEFINED")
    days = ("--from", "2026-06-29", "--to", "2026-07-06", "--reason", "test", "--json")
    made = json.loads(call(owing, "calendar", "nyse", "--exchange", "XNYS", *days))
    assert (made["dates"], made["first"], made["last"]) == (5, "2026-06-29", "2026-07-06")
    assert "no exchange" in call(owing, "calendar", "x", "--exchange", "NOWHERE", *days, status=1)
    assert "at most 1,024" in call(
        owing, "calendar", "x", "--exchange", "XNYS", "--from", "2020-01-01", "--to", "2025-01-01", "--reason", "test",
        status=1,
    )  # fmt: skip
    call(owing, "calendar", "x", "--reason", "test", status=2)
    with sqlite(owing.data / "settlement") as database:
        keep(owing, database)
        stored = {row["name"]: json.loads(row["document"])["dates"] for row in rows_of(database, tables.calendars)}
    assert stored == {"short": [20455, 20458], "nyse": [20633, 20634, 20635, 20636, 20640]}


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "no dates"), ("soon", "line 1"), ("2026-01-02\n2026-01-02", "line 2"), ("1969-12-31", "1970")],
)
def test_files_of_dates_that_are_none_are_refused(tmp_path, text, why):
    """The error names the line."""
    (tmp_path / "dates").write_text(text)
    with pytest.raises(InputError, match=why):
        calendars.of_file(tmp_path / "dates")
    with pytest.raises(InputError):
        calendars.of_file(tmp_path / "none")


@given(st.text())
def test_files_of_dates_are_read_or_refused(tmp_path_factory, text):
    """Whatever a file holds: rising dates, or an error of our own."""
    path = tmp_path_factory.getbasetemp() / "dates"
    path.write_text(text, encoding="utf-8", errors="replace")
    with contextlib.suppress(InputError):
        found = calendars.of_file(path)
        assert found == sorted(set(found))


@given(st.lists(st.integers(0, 40), min_size=1, unique=True).map(sorted), st.integers(0, 60), st.integers(1, 5))
def test_value_dates_are_those_found_day_by_day(dates, day, days):
    """Business date after business date, as a naive walk does; after the calendar's end every day is one."""
    cycles, naive = Cycles(), NaiveBooks()
    cycles.set_calendar({"name": "c", "dates": dates})
    document = {"settlement_days": days, "settlement_calendar": "c"}
    cycles.set_instrument(1, document)
    naive.calendars["c"], naive.instruments[1] = dates, document
    assert cycles.value_date(1, day) == naive._value_date({"instrument_id": 1, "time_ns": day * DAY_NS})
    cycles.set_instrument(1, {})
    assert cycles.value_date(1, day) == 0


def test_states_and_retries_follow_the_clock(database):
    """Pending becomes due on its value date; a failed one is tried again when its time has passed."""
    assert [state_on(1, 5, day).name for day in (4, 5, 6)] == ["PENDING", "DUE", "DUE"]
    assert state_on(ObligationState.FAILED, 5, 9) == ObligationState.FAILED
    write(database, settling_log(1).frames)
    rows = [row for row in rows_of(database, tables.obligations) if not row["settled_seq"]]
    failed = [row for row in rows if row["state"] == ObligationState.FAILED]
    assert failed
    assert len(failed) < len(rows)
    for row in failed:
        with database.reading() as connection:
            for until_ns, is_there in ((row["failed_ns"] - 1, False), (row["failed_ns"], True)):
                found = settler.due(connection, row["value_date"], until_ns)
                keys = found[["account_id", "asset_id", "value_date"]].tolist()
                assert ((row["account_id"], row["asset_id"], row["value_date"]) in keys) == is_there
    dates = {row["value_date"] for row in rows}
    with database.reading() as connection:
        for date in dates:
            found = settler.due(connection, date, time.time_ns())
            assert len(found) == sum(row["value_date"] <= date for row in rows)


def test_what_is_owed_is_compared_with_the_core(tmp_path):
    """An obligation of another amount, and one that has failed in the books alone, are differences."""
    log = settling_log(1)
    with sqlite(tmp_path) as database:
        write(emptied(database), log.frames)
        assert differences(database, log.machine) == ()
        one = next(row for row in rows_of(database, tables.obligations) if not row["settled_seq"] and row["state"] == 1)
        its = tables.obligations.c
        key = sa.and_(*(its[name] == one[name] for name in ("account_id", "asset_id", "value_date")))
        for change, count in (({"amount_units": one["amount_units"] + 1}, 1), ({"state": 4}, 2)):
            with database.writing() as connection:
                connection.execute(sa.update(tables.obligations).where(key).values(**change))
            found = differences(database, log.machine)
            assert len(found) == count
            assert all("obligation" in difference.what for difference in found)


def test_invoices_have_the_fees_of_trades_that_settle_later(tmp_path):
    """The seller's too, which CLEARING bears until it is paid: in sum those of the executions that stand."""
    with sqlite(tmp_path) as database:
        write(emptied(database), settling_log(1).frames)
        quotes = {row["instrument_id"]: row["quote_asset_id"] for row in rows_of(database, tables.instruments)}
        scales = {row["name"]: (row["asset_id"], row["scale"]) for row in rows_of(database, tables.assets)}
        expected, found = Counter(), Counter()
        for row in rows_of(database, tables.executions):
            if row["state"] != TradeState.BUSTED:
                expected[row["account_id"], quotes[row["instrument_id"]]] += row["fee_units"]
        period = reports.Period(dt.date(1970, 1, 1), dt.date(1999, 1, 1))
        with database.reading() as connection:
            for row in rows_of(database, tables.accounts):
                for line in reports.invoice(connection, row, period) if row["account_id"] >= FIRST else ():
                    asset_id, scale = scales[line["asset"]]
                    found[row["account_id"], asset_id] += int(Decimal(line["amount"]).scaleb(scale))
        assert any(expected.values())
        assert {key: one for key, one in found.items() if one} == {key: one for key, one in expected.items() if one}


def test_what_is_due_is_found_by_its_index(tmp_path):
    """However many were settled: SQLite's plan names the index of the open ones, and sorts nothing."""
    plans = []

    def explain(connection, _cursor, statement, parameters, *_):
        if "obligations" in statement:
            explained = connection.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append(" | ".join(row[3] for row in explained))

    with sqlite(tmp_path) as database:
        emptied(database)
        sa.event.listen(database.engine, "before_cursor_execute", explain)
        with database.reading() as connection:
            settler.due(connection, 9, 5, limit=3)
    assert "obligations_open" in plans[-1]
    assert "TEMP B-TREE" not in plans[-1]


def test_penalties_are_a_rate_for_each_day():
    """Rounded down; nothing on the value date itself."""
    row = {"amount_units": 1_999, "value_date": 10}
    assert [penalty_units(row, 1_000, date) for date in (10, 11, 13)] == [0, 1, 5]
    assert settings_of.load(None).penalty_ppm == 0
