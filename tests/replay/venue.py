"""A small venue's run for the tests of the room: commands, and the journal, snapshots and event store they leave."""

import numpy as np

from journal.event_store import EventStore
from journal.writer import Writer
from kk99 import batch, build, schema
from kk99.machine import Machine, Sections
from kk99.paths import DataDir
from kk99.schema import MarketState, OrderType, Side, TimeInForce, TriggerSource
from snapshots import store
from snapshots.format import Meta

VENUE = bytes(range(16))
BY = {"actor": "ops", "reason": "test"}
TIME_NS = 1_700_000_000_000_000_000
STEP_NS = 1_000_000
ALICE, BOB = schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 1


def setup():
    """Two assets with fees, one instrument, two accounts with funds."""
    rates = [{"maker_ppm": -100, "taker_ppm": 900, "deposit_ppm": 50, "withdrawal_ppm": 70}]
    return [
        build.fee_schedule("standard", rates, burn_ppm=200_000, **BY),
        build.asset("BTC", 8, "standard", **BY),
        build.asset("USD", 2, "standard", **BY),
        build.instrument(
            "BTC-USD", "BTC", "USD", tick_units=1_000_000, lot_units=100_000, max_price_ticks=1 << 20,
            max_qty_lots=1 << 20, fee_schedule="standard", **BY,
        ),
        build.instrument_state(1, MarketState.OPEN, **BY),
        build.account("alice", "alice", **BY),
        build.account("bob", "bob", **BY),
        build.session("s"),
        build.session_open(1, 1),
        *(build.deposit(account, asset, 10**12) for account in (ALICE, BOB) for asset in (1, 2)),
        build.clock(),
        build.clock(),
    ]  # fmt: skip


def flow(count, seed=1):
    """Random limit and market orders, cancels, rejects, withdrawals; every seventh with a cold row."""
    chance = np.random.default_rng(seed)
    items = []
    for number in range(count):
        account, side = int(chance.choice([ALICE, BOB])), int(chance.integers(1, 3))
        price, qty = int(chance.integers(90, 111)), int(chance.integers(1, 20))
        choice = chance.random()
        if number % 7 == 0:
            items.append(build.order_new(account, 1, side, qty, price, client_id=f"order-{number}"))
        elif choice < 0.6:
            items.append(build.order_new(account, 1, side, qty, price))
        elif choice < 0.75:
            items.append(
                build.order_new(account, 1, side, qty, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC)
            )
        elif choice < 0.9:
            items.append(build.order_cancel(account, 1 << schema.ORDER_SLOT_BITS | int(chance.integers(1, 20))))
        else:
            items.append(build.withdraw(account, 2, int(chance.integers(1, 1000))))
    return items


def stamped(items):
    """One `Commands` of all items, numbered from 1, a step of time apart."""
    commands = build.batch_of(items)
    return build.stamp(commands, 1, TIME_NS + STEP_NS * np.arange(1, len(commands.rows) + 1))


def whole_run(count=300, seed=1):
    """The standard run: set-up, flow, a bust and a correction of the first trades, more flow."""
    operator = [
        build.trade_bust(1, **BY),
        build.trade_correct(5, 95, 1, **BY),
        build.mass_cancel(ALICE, 1, Side.BUY),
    ]
    return stamped([*setup(), *flow(count, seed), *operator, *flow(count // 2, seed + 1)])


BRACKET_ID = 1 << schema.ORDER_SLOT_BITS | 6
"""The order id of the bracket's entry in `advanced_run`."""


def advanced_run():
    """One order of each type, what becomes of it, a message from outside, and an auction."""
    both = {"stop_limit_price_ticks": 94, "client_id": "profit", "stop_client_id": "loss"}
    exits = {"take_profit_price_ticks": 130, "trigger_price_ticks": 90, "stop_limit_price_ticks": 89}
    items = [
        build.order_new(ALICE, 1, Side.SELL, 50, 105, display_qty_lots=5, refill_qty_lots=3),
        build.order_new(BOB, 1, Side.BUY, 4, 105),
        build.order_new(BOB, 1, Side.BUY, 4, 105),
        build.stop_limit(BOB, 1, Side.BUY, 5, 110, 112),
        build.trailing(ALICE, 1, Side.SELL, 5, 3, limit_offset_ticks=1),
        build.oco(ALICE, 1, Side.SELL, 6, 120, 95, **both),
        build.bracket(BOB, 1, Side.BUY, 4, 104, **exits),
        build.order_new(ALICE, 1, Side.SELL, 2, 104),
        build.order_new(ALICE, 1, Side.SELL, 2, 104),
        build.order_replace(ALICE, 0, 6, 94, trigger_price_ticks=96, target_client_id="loss"),
        build.if_touched(ALICE, 1, Side.SELL, 3, 140, 141, trigger=TriggerSource.INDEX),
        build.index_price(1, 100),
        build.message_noted(ALICE, 1, state=3, client_id="late"),
        build.order_new(BOB, 1, Side.BUY, 1, 50, expire_time_ns=TIME_NS + 40 * STEP_NS),
        build.order_new(BOB, 1, Side.BUY, 1, 51, time_in_force=TimeInForce.DAY),
        build.order_new(BOB, 1, Side.BUY, 5, 60, min_qty_lots=2),
        build.instrument_state(1, MarketState.CALL, **BY),
        build.order_new(ALICE, 1, Side.SELL, 5, 100),
        build.order_new(BOB, 1, Side.BUY, 7, 101),
        build.instrument_state(1, MarketState.OPEN, **BY),
        *[build.clock() for _ in range(20)],
    ]
    return stamped([*setup(), *items])


def cut(commands, sizes):
    """The commands in batches of these sizes, over and over, as frames' own `Commands`."""
    made, start, turn = [], 0, 0
    cold_before = np.concatenate([[0], np.cumsum((commands.rows["flags"] & schema.Flag.HAS_COLD) != 0)])
    while start < len(commands.rows):
        end = min(start + sizes[turn % len(sizes)], len(commands.rows))
        rows = commands.rows[start:end]
        cold = commands.cold[cold_before[start] : cold_before[end]]
        documents = (rows["kind"] >= schema.FIRST_DOCUMENT_KIND).any()
        made.append(batch.Commands(rows, cold, commands.tail if documents else b""))
        start, turn = end, turn + 1
    return made


def write(root, commands, sizes=(64,), snapshots_at=(), events=True):
    """Write the journal of a run, and the snapshots and events that an engine would; return the data folder."""
    data = DataDir(root)
    data.create()
    machine = Machine()
    stored = EventStore(data.events) if events else None
    with Writer(data.journal, VENUE, reserve_bytes=0, low_water_bytes=0, keys_path=data.keys) as writer:
        for one in cut(commands, sizes):
            writer.append([(int(one.rows["seq"][0]), len(one.rows), one.pieces())])
            made = machine.apply_all(one)
            if stored is not None:
                stored.append([made.encode()])
            if machine.seq in snapshots_at:
                take_snapshot(data, machine, writer.head().hash)
    if stored is not None:
        stored.close()
    return data


def take_snapshot(data, machine, journal_hash=bytes(32)):
    """Write the machine's state into the data folder."""
    sections = Sections()
    sections.copy(machine)
    meta = Meta(VENUE, machine.seq, machine.time_ns, machine.last_event, sections.hash(), journal_hash)
    return store.write(data.snapshots, sections.canonical(), meta)
