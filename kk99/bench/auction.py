"""`kk99 bench auction`: how long a call auction takes to find its price and to trade, all in.

Half of the orders buy and half sell, at prices drawn around one, so that most of them cross; as CONTINUE commands come
in batches, the figure has everything in it: price, trades, fees, ledger, events.
"""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kk99 import batch, build, schema
from kk99.bench import venue
from kk99.bench.results import Result
from kk99.errors import InvariantError
from kk99.machine import Machine
from kk99.schema import CommandKind, MarketState, OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from kk99.bench.options import Options

BENCH: Final = "auction"
ORDERS: Final = 100_000
ACCOUNTS: Final = 1_000
TURNS: Final = 5
CALL_ROWS: Final = 64
_MIDDLE: Final = 50_000
_SPREAD: Final = 500
_OPERATOR: Final[dict[str, Any]] = {"actor": "bench", "reason": "auction"}


def run(options: Options) -> list[Result]:
    """Return every figure of the bench."""
    count = options.pick(ORDERS, 1_000)
    took, trades = [], 0
    for turn in range(options.pick(TURNS, 1)):
        machine = _venue(count)
        seconds, trades = _uncross(machine)
        took.append(seconds)
        options.say(f"uncross {turn + 1}: {count:,} orders, {trades:,} trades in {seconds * 1e3:.1f} ms")
    return [
        Result(BENCH, "uncross_ms", median(took) * 1e3, "ms"),
        Result(BENCH, "uncross.max_ms", max(took) * 1e3, "ms"),
        Result(BENCH, "uncross.ns_per_trade", median(took) / max(trades, 1) * 1e9, "ns"),
    ]


def _venue(count: int) -> Machine:
    """Return a venue whose one market is in an auction call with so many orders."""
    machine = Machine()
    items = [build.asset("USD", 8, **_OPERATOR), build.asset("BTC", 0, **_OPERATOR)]
    items.append(
        build.instrument(
            "I", "BTC", "USD", tick_units=1, lot_units=1, max_price_ticks=1 << 20, max_qty_lots=1 << 20, **_OPERATOR
        )
    )
    items.append(build.instrument_state(1, MarketState.CALL, **_OPERATOR))
    items += [build.account(f"a{number}", f"o{number}", **_OPERATOR) for number in range(ACCOUNTS)]
    venue.apply_all(machine, build.stamp(build.batch_of(items), 1, venue.TIME_NS))
    accounts = np.arange(ACCOUNTS) + schema.VENUE_ACCOUNTS
    random = np.random.default_rng(5)
    rows = build.new_rows(count)
    rows["kind"], rows["order_type"] = CommandKind.ORDER_NEW, OrderType.LIMIT
    rows["time_in_force"], rows["instrument_id"] = TimeInForce.GTC, 1
    rows["account_id"] = accounts[np.arange(count) % ACCOUNTS]
    is_buy = np.arange(count) % 2 == 0
    rows["side"] = np.where(is_buy, Side.BUY, Side.SELL)
    away = random.integers(-_SPREAD // 4, _SPREAD, count)
    rows["price_ticks"] = np.where(is_buy, _MIDDLE + away, _MIDDLE - away)
    rows["qty_lots"] = random.integers(1, 100, count)
    rows["client_id_lo"], rows["client_id_hi"] = venue.client_ids(np.arange(count))
    for part in (build.deposit(accounts, 1, 1 << 50).rows, build.deposit(accounts, 2, 1 << 50).rows, rows):
        venue.apply_all(machine, build.stamp(venue.plain(part), machine.seq + 1, venue.TIME_NS))
    return machine


def _uncross(machine: Machine) -> tuple[float, int]:
    """Return the seconds from the call's end to the open market, and the trades."""
    opens = build.instrument_state(1, MarketState.OPEN, **_OPERATOR)
    goes_on = build.new_rows(CALL_ROWS)
    goes_on["kind"] = CommandKind.CONTINUE
    seconds, trades = 0.0, 0
    commands: batch.Commands = opens
    while True:
        stamped = build.stamp(commands, machine.seq + 1, venue.TIME_NS)
        began = time.perf_counter()
        done = machine.apply(stamped)
        machine.check()
        seconds += time.perf_counter() - began
        trades += int(np.count_nonzero(done.events.rows["kind"] == schema.EventKind.TRADE))
        if done.next < len(stamped.rows):
            raise InvariantError("the event buffer filled in one call")
        if not machine.pending_work():
            return seconds, trades
        commands = venue.plain(goes_on)
