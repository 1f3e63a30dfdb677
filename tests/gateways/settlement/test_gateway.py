"""The gateway killed and deserted: whatever happens to it, the engine or the database, no gap and no double."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from gateways.client import Client
from gateways.settlement import gateway as gateway_of
from gateways.settlement import tables
from gateways.settlement.books import Books, cursor_of
from gateways.settlement.database import Database, DatabaseError
from gateways.settlement.gateway import Gateway
from gateways.settlement.queries import Queries
from gateways.settlement.settings import SettlementSettings
from kk99 import build
from kk99.errors import ClientError, InputError
from kk99.schema import MarketState, Side
from kk99.settlement.drill import SettlementDrill, check_whole
from tests.engine.harness import DEADLINE_S, running, wait_for
from tests.fix.venue_process import OPERATOR, set_up
from tests.gateways.settlement.support import VENUE, Log, emptied, hash_of, mixed_log, rows_of, sqlite, write
from tests.replay.measuring import mixed


def keep_books(url, log):
    """In a process of its own: write what the books lack, a command in each transaction."""
    with Database(url, is_writer=True) as database:
        database.migrate()
        database.lock()
        books = Books(database, VENUE)
        frames = [frame for frame in log.frames if frame.previous >= books.cursor.event]
        for frame in frames:
            books.take([frame])


def test_a_keeper_killed_at_any_moment_leaves_whole_books(database, tmp_path):
    """SIGKILL again and again, while it begins and while it writes: whole books after each, right ones at the end."""
    log, chance = Log(mixed(11, 150), size=1), random.Random(1)
    url = database.url.render_as_string(hide_password=False)
    database.engine.dispose()  # what is open is not the child's
    seqs = [0]
    while seqs[-1] < log.frames[-1].last_seq:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                keep_books(url, log)
            os._exit(0)
        with Database(url) as looking:
            if chance.random() < 0.8:
                wait_for(partial(has_got_on, looking, seqs[-1]), "a transaction")
            time.sleep(chance.uniform(0.0, 0.05))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            with looking.reading() as connection:
                check_whole(connection)
            seqs.append(seq_of(looking))
    assert seqs == sorted(seqs)
    assert len(set(seqs)) > 2
    with sqlite(tmp_path / "again") as other:
        other.migrate()
        write(other, log.frames, at_once=1_000)
        assert hash_of(database) == hash_of(other)


def seq_of(database):
    """How far the books go."""
    with database.reading() as connection:
        cursor = cursor_of(connection)
    return 0 if cursor is None else cursor.cause_seq


def has_got_on(database, seq):
    """Whether the books have gone beyond a sequence."""
    return seq_of(database) > seq


def test_the_drill_kills_under_load_and_proves(tmp_path, postgres_url):
    """A whole venue, the gateway killed while it writes: the books agree with the core and with the journal."""
    with Database(postgres_url, is_writer=True) as database:
        database.drop()
    test = SettlementDrill(tmp_path, 3, postgres_url, 4_000)
    with test.venue:
        test.begin()
        test.rounds += [test.round(number) for number in (1, 2)]
        result = test.end()
    assert result["verdict"], json.dumps(result["checks"])
    assert result["events"] > 1_000
    assert result["trades"] > 10
    assert [entry["seq"] > 0 for entry in result["rounds"]] == [True, True]


def turned(gateway, is_so):
    """Turn a gateway until something is so."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline
        gateway.turn(lambda: False)


def trade(address, count, name="trader"):
    """Make so many trades; the sequence of the last command."""
    with Client.connect(address, name, timeout_s=DEADLINE_S) as client:
        for _ in range(count):
            client.submit(build.order_new(16, 1, Side.SELL, 3, 100))
            client.submit(build.order_new(17, 1, Side.BUY, 3, 100))
        client.flush()
        return client.engine_stats()["head_seq"]


def test_the_gateway_outlives_the_engine_and_the_database(database, tmp_path, monkeypatch):
    """The engine restarts, the database goes away and comes back: it waits, and goes on where the books stand."""
    monkeypatch.setattr(gateway_of, "_AGAIN_S", 0.02)
    with contextlib.ExitStack() as stack:
        with running(tmp_path / "venue") as engine:
            run_dir = engine_address(engine)
            set_up(run_dir)
            gateway = Gateway(SettlementSettings(wait_s=0.0), database, str(run_dir))
            stack.callback(gateway.close)
            gateway.begin(lambda: False)
            last = trade(run_dir, 5)
            turned(gateway, lambda: gateway.seq == last)
            real = database.writing
            failures = []

            @contextlib.contextmanager
            def failing():
                if len(failures) < 3:
                    failures.append(1)
                    raise DatabaseError("away")
                with real() as connection:
                    yield connection

            monkeypatch.setattr(database, "writing", failing)
            last = trade(run_dir, 5)
            turned(gateway, lambda: gateway.seq == last)
            assert len(failures) == 3
        with running(tmp_path / "venue", run_dir=run_dir):
            last = trade(run_dir, 5)
            turned(gateway, lambda: gateway.seq == last)
        assert [row["trade_id"] for row in rows_of(database, tables.trades)] == list(range(1, 16))


def test_connections_that_the_database_cuts_are_made_again(postgres_url, tmp_path, monkeypatch):
    """PostgreSQL ends all connections, the one that holds the lock too: the gateway goes on, and holds it again."""
    monkeypatch.setattr(gateway_of, "_AGAIN_S", 0.02)
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(running(tmp_path / "venue"))
        address = engine_address(engine)
        set_up(address)
        database = stack.enter_context(Database(postgres_url, is_writer=True))
        gateway = Gateway(SettlementSettings(wait_s=0.0), emptied(database), str(address))
        stack.callback(gateway.close)
        gateway.begin(lambda: False)
        last = trade(address, 3)
        turned(gateway, lambda: gateway.seq == last)
        with Database(postgres_url, is_writer=True) as other, other.writing() as connection:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            connection.execute(sa.text(f"{others} AND backend_type = 'client backend'"))
        last = trade(address, 3)
        turned(gateway, lambda: gateway.seq == last)
        assert [row["trade_id"] for row in rows_of(database, tables.trades)] == list(range(1, 7))
        with Database(postgres_url, is_writer=True) as other, pytest.raises(InputError, match="another process"):
            other.lock()


def engine_address(engine):
    """Where an engine in this process listens."""
    return engine.settings.sockets_dir


def test_events_that_are_gone_are_told_with_the_way_out(tmp_path):
    """Where the engine stores the needed events no longer, the error names the command that reads the journal."""

    class Gone:
        def poll_events(self, timeout_s):
            raise ClientError(f"events after (0, 0) are no longer stored ({timeout_s})")

        def close(self):
            pass

    with sqlite(tmp_path) as database:
        gateway = Gateway(SettlementSettings(), emptied(database), str(tmp_path))
        gateway._client, gateway._books = Gone(), SimpleNamespace(take=len)
        with pytest.raises(ClientError, match="catch-up"):
            gateway.turn(lambda: False)
        gateway.close()


def test_a_second_writer_is_refused(database):
    """One process writes books; another is told so, and may when the first is gone."""
    url = database.url.render_as_string(hide_password=False)
    database.lock()
    with Database(url, is_writer=True) as second, pytest.raises(InputError, match="another process"):
        second.lock()
    database.close()
    with Database(url, is_writer=True) as third:
        third.lock()
        write(third, mixed_log(1).frames[:3])


def test_the_process_stops_when_told(tmp_path):
    """SIGTERM while it waits for an engine that is not there ends it with status 0."""
    command = [sys.executable, "-m", "kk99.cli", "gateway", "settlement", "--data", str(tmp_path), "--json-log"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "waiting" in line:
                process.terminate()
                break
        assert process.wait(DEADLINE_S) == 0
        assert "Traceback" not in process.stderr.read()


def test_markets_that_open_are_in_the_books(tmp_path):
    """The state of an instrument is the engine's."""
    with running(tmp_path / "venue") as engine, sqlite(tmp_path) as database:
        set_up(engine_address(engine))
        gateway = Gateway(SettlementSettings(wait_s=0.0), database, str(engine_address(engine)))
        gateway.begin(lambda: False)
        with Client.connect(engine_address(engine), "ops", timeout_s=DEADLINE_S) as client:
            client.submit(build.instrument_state(1, MarketState.HALTED, **OPERATOR))
            client.flush()
            last = client.engine_stats()["head_seq"]
        turned(gateway, lambda: gateway.seq == last)
        queries = Queries(database)
        assert queries.instruments()[0]["state"] == MarketState.HALTED
        (halt,) = queries.halts(1).rows
        assert (halt["end_seq"], halt["state_reason"]) == (0, 0)
        gateway.close()
