"""An engine killed amid a cascade, an auction or brackets goes on with them, and replays to the same state."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from gateways.client import Client
from journal.reader import Reader
from kk99 import build, schema
from kk99.core import layout as lay
from kk99.machine import Machine
from kk99.paths import DataDir
from kk99.schema import MarketState, OrderType, Side
from replay import run
from tests.engine.harness import DEADLINE_S, ROOT, wait_for
from tests.engine.test_crashes import MortalEngine

DIE_IN_WORK = """
import time
import numpy as np
from kk99.engine.stages import CoreStage
from kk99.machine import Machine
from kk99.schema import EventKind
real_apply, real_stage, seen = Machine.apply, CoreStage._apply, [0]
def apply(*given):
    applied = real_apply(*given)
    seen[0] += int(np.isin(applied.events.rows["kind"], (EventKind.TRADE, EventKind.ORDER_TRIGGERED)).sum())
    return applied
def stage(self, item, output):
    real_stage(self, item, output)
    if seen[0] >= 200:
        while self._progress.durable_seq < item.last_seq:
            time.sleep(0.001)
        die()
Machine.apply, CoreStage._apply = apply, stage
"""
"""The engine kills itself when what brings the work's events to so many is applied and durable, and the rest is not."""
OPERATOR = {"actor": "test", "reason": "a crash"}
ALICE, BOB, CAROL = (schema.VENUE_ACCOUNTS + number for number in range(3))
FUNDS = 10**15
STEPS = 12_000
"""Stops in a row: each trade at a price sets off the stop below it, some 12 a command."""
RESTING = 15_000
"""Orders of each side of an auction: 64 pairs a command."""
TOP = 900_000


def set_up(client):
    """A market X of BTC in USD, and three accounts with money."""
    client.submit(build.batch_of([
        build.asset("USD", 2, **OPERATOR), build.asset("BTC", 0, **OPERATOR),
        build.instrument(
            "X", "BTC", "USD", tick_units=1, lot_units=1, max_price_ticks=10**6, max_qty_lots=10**6, **OPERATOR
        ),
        *(build.account(name, name, **OPERATOR) for name in ("alice", "bob", "carol")),
        build.instrument_state(1, MarketState.OPEN, **OPERATOR),
    ]))  # fmt: skip
    accounts = np.array([ALICE, BOB, CAROL])
    for asset_id in (1, 2):
        client.submit(build.deposit(accounts, asset_id, FUNDS))


def submit_all(client, commands):
    """Submit many rows in batches."""
    rows = commands.rows
    for at in range(0, len(rows), schema.BATCH_ROWS_MAX):
        client.submit(type(commands)(rows[at : at + schema.BATCH_ROWS_MAX], commands.cold, commands.tail))


def orders(account_id, side, qty_lots, prices):
    """Plain limit orders, one at each price."""
    return build.order_new(account_id, 1, side, qty_lots, prices)


def cascade(client):
    """Bids each a tick below the last, stops of which each is set off by the one before; then the first trade."""
    steps = TOP - np.arange(STEPS)
    submit_all(client, orders(BOB, Side.BUY, 2, steps))
    submit_all(client, build.stop_limit(ALICE, 1, Side.SELL, 2, steps, 1))
    client.flush()
    client.submit(orders(CAROL, Side.SELL, 1, TOP))


def auction(client):
    """A call with many orders that all trade, then its end."""
    client.submit(build.instrument_state(1, MarketState.CALL, **OPERATOR))
    submit_all(client, orders(BOB, Side.BUY, 1, 500 + np.arange(RESTING) % 100))
    submit_all(client, orders(ALICE, Side.SELL, 1, 400 + np.arange(RESTING) % 100))
    client.flush()
    client.submit(build.instrument_state(1, MarketState.OPEN, **OPERATOR))


def brackets(client):
    """Entries that wait for the market, then sells that fill most of them in two parts each."""
    entries = 3_000
    submit_all(client, build.bracket(
        ALICE, 1, Side.BUY, 2, 500 + np.arange(entries) % 50, take_profit_price_ticks=2_000, trigger_price_ticks=100
    ))  # fmt: skip
    client.flush()
    for _ in range(2 * entries // 500 - 2):
        client.submit(orders(BOB, Side.SELL, 1, np.full(500, 500)))


def replayed(engine):
    """The machine that the journal alone makes."""
    machine = Machine()
    with Reader(DataDir(engine.data_dir).journal) as reader:
        for _ in run.drive(machine, run.pieces(reader.batches(1))):
            pass
    machine.check_all()
    return machine


def is_in_midst(machine, work):
    """Whether the state has work begun and not ended."""
    if work is not brackets:
        return machine.pending_work()
    table = machine.state.records(lay.ORDERS, machine.state.header(lay.H_ORDER_TOP) + 1, lay.ORDER_WORDS)
    kinds = table[table[:, lay.O_ID] > 0, lay.O_TERMS] >> 8 & 0xFF
    return OrderType.BRACKET in kinds and OrderType.STOP in kinds


@pytest.mark.timeout(240)
@pytest.mark.parametrize("work", [cascade, auction, brackets], ids=lambda work: work.__name__)
def test_a_kill_in_the_midst_of_work_replays_to_the_same_state(tmp_path, work):
    """The work goes on where it was, ends, and everything stored agrees with what the journal alone makes."""
    engine = MortalEngine(tmp_path / "venue", "snapshot_commands = 3000\n")
    engine.change = DIE_IN_WORK
    engine.start()
    with Client.connect(engine.run_dir, "work", timeout_s=DEADLINE_S) as client:
        client.poll_events(0)
        set_up(client)
        work(client)
        wait_for(lambda: engine.process.poll() is not None, "the death amid the work")
        assert engine.process.returncode == -signal.SIGKILL
        engine.process.stdout.close()
        stopped = replayed(engine)
        assert is_in_midst(stopped, work)
        engine.change = ""
        engine.start()
        client.flush()
        wait_for(lambda: not client.engine_stats()["pending_work"], "the end of the work")
    assert engine.terminate() == 0
    ended = replayed(engine)
    assert not ended.pending_work()
    assert ended.seq > stopped.seq or work is brackets  # where all of it may be in the journal by then
    verified = subprocess.run(
        [sys.executable, "-m", "kk99.cli", "replay", "verify", "--data", str(engine.data_dir)],
        capture_output=True, text=True, cwd=ROOT, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert ended.state_hash().hex() in verified.stdout
