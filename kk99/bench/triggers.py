"""`kk99 bench triggers`: what dormant orders cost: to place and cancel, while nothing touches them, when they cascade.

- Stops wait on both sides of the market, at prices spread over thousands of ticks, each with a client id and a hold.
- *Untouched*: the same moves of a resting order on the same venue, with and without the dormant orders, in turns.
- *Cascade*: each stop sells into the next bid and so sets off the next one; batches are of 64 CONTINUE commands.
"""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kk99 import build, schema
from kk99.bench import venue
from kk99.bench.results import Result
from kk99.errors import InvariantError
from kk99.machine import Machine
from kk99.schema import CommandKind, Flag, OrderType, Side, TimeInForce, TriggerSource

if TYPE_CHECKING:
    from kk99.batch import Rows
    from kk99.bench.options import Options

BENCH: Final = "triggers"
INSTRUMENTS: Final = 100
STOPS_EACH: Final = 100_000
PRICES: Final = 10_000
"""Stops of a side stand at so many prices of an instrument."""
ACCOUNTS: Final = 1_000
PLACED: Final = 200_000
MOVES: Final = 500_000
TURNS: Final = 5
CASCADE: Final = 10_000
CALL_ROWS: Final = 64
_MIDDLE: Final = 50_000
_OPERATOR: Final[dict[str, Any]] = {"actor": "bench", "reason": "set up"}


def run(options: Options) -> list[Result]:
    """Return every figure of the bench."""
    each = options.pick(STOPS_EACH, 100)
    instruments = options.pick(INSTRUMENTS, 2)
    bare = _venue(instruments)
    full = _venue(instruments)
    began = time.perf_counter()
    _apply(full, _stops(instruments, each))
    options.say(f"{instruments * each:,} dormant stops placed in {time.perf_counter() - began:.1f} s")
    place_cancel_ns = _place_cancel(full, instruments, options.pick(PLACED, 1_000))
    bare_ns, full_ns = _moves(bare, full, instruments, options)
    del bare, full
    p100_us, p50_us, seconds = _cascade(options.pick(CASCADE, 100))
    return [
        Result(BENCH, "place_cancel_ns", place_cancel_ns, "ns"),
        Result(BENCH, "untouched_extra_ns", max(full_ns - bare_ns, 0.0), "ns"),
        Result(BENCH, "move.with_stops_ns", full_ns, "ns"),
        Result(BENCH, "move.without_ns", bare_ns, "ns"),
        Result(BENCH, "cascade_call_p100_us", p100_us, "us"),
        Result(BENCH, "cascade_call_p50_us", p50_us, "us"),
        Result(BENCH, "cascade.ns_per_order", seconds * 1e9 / options.pick(CASCADE, 100), "ns"),
    ]


def _venue(instruments: int) -> Machine:
    """Return a venue with open markets, funded accounts, and a bid and an ask in each market."""
    machine = Machine()
    items = [build.asset("USD", 8, **_OPERATOR), build.asset("BTC", 0, **_OPERATOR)]
    for number in range(1, instruments + 1):
        items.append(
            build.instrument(
                f"I{number}", "BTC", "USD", tick_units=1, lot_units=1, max_price_ticks=1 << 20, max_qty_lots=1 << 20,
                **_OPERATOR,
            )
        )  # fmt: skip
        items.append(build.instrument_state(number, schema.MarketState.OPEN, **_OPERATOR))
    items += [build.account(f"a{number}", f"o{number}", **_OPERATOR) for number in range(ACCOUNTS)]
    for start in range(0, len(items), schema.BATCH_ROWS_MAX):
        part = build.batch_of(items[start : start + schema.BATCH_ROWS_MAX])
        venue.apply_all(machine, build.stamp(part, machine.seq + 1, venue.TIME_NS))
    accounts = np.arange(ACCOUNTS) + schema.VENUE_ACCOUNTS
    for asset_id in (1, 2):
        rows = build.deposit(accounts, asset_id, 1 << 50).rows
        _apply(machine, rows)
    ends = _orders(2 * instruments)
    ends["instrument_id"] = np.repeat(np.arange(1, instruments + 1), 2)
    ends["side"] = np.tile([Side.BUY, Side.SELL], instruments)
    ends["price_ticks"] = np.tile([_MIDDLE - 1, _MIDDLE + 1], instruments)
    _apply(machine, ends)
    return machine


def _orders(count: int) -> Rows:
    """Return LIMIT orders of one lot, COMMAND (count,), that still want a market, a side and a price."""
    rows = build.new_rows(count)
    rows["kind"], rows["order_type"] = CommandKind.ORDER_NEW, OrderType.LIMIT
    rows["time_in_force"], rows["qty_lots"] = TimeInForce.GTC, 1
    rows["account_id"] = schema.VENUE_ACCOUNTS + np.arange(count) % ACCOUNTS
    return rows


def _stops(instruments: int, each: int, seed: int = 7) -> Rows:
    """Return stop-limits of both sides for every market, in random order, COMMAND (instruments * each,)."""
    random = np.random.default_rng(seed)
    count = instruments * each
    rows = _orders(count)
    rows["order_type"], rows["trigger"] = OrderType.STOP_LIMIT, TriggerSource.BID
    rows["instrument_id"] = random.integers(1, instruments + 1, count)
    is_buy = random.integers(0, 2, count) == 0
    away = random.integers(100, 100 + PRICES, count)
    rows["side"] = np.where(is_buy, Side.BUY, Side.SELL)
    rows["trigger_price_ticks"] = np.where(is_buy, _MIDDLE + away, _MIDDLE - away)
    rows["price_ticks"] = np.where(is_buy, _MIDDLE + away + 10, _MIDDLE - away - 10)
    rows["client_id_lo"], rows["client_id_hi"] = venue.client_ids(np.arange(count) + (seed << 40))
    return rows


def _apply(machine: Machine, rows: Rows) -> None:
    """Stamp and apply rows that should all be accepted."""
    rows["seq"] = np.arange(machine.seq + 1, machine.seq + 1 + len(rows))
    rows["time_ns"] = venue.TIME_NS
    for events in venue.applied(machine, venue.plain(rows)):
        refused = events["reason"][events["kind"] == schema.EventKind.REJECTED]
        if len(refused):
            raise InvariantError(f"{schema.RejectCode(int(refused[0])).name} in the bench")


def _timed(machine: Machine, rows: Rows) -> float:
    """Return the seconds that stamped rows take."""
    rows["seq"] = np.arange(machine.seq + 1, machine.seq + 1 + len(rows))
    rows["time_ns"] = venue.TIME_NS
    parts = list(venue.parts(rows, 1024))
    began = time.perf_counter()
    for part in parts:
        venue.apply_all(machine, part)
    return time.perf_counter() - began


def _place_cancel(machine: Machine, instruments: int, count: int) -> float:
    """Return the nanoseconds of placing a stop among all the others and canceling it again."""
    placed = _stops(instruments, count // instruments, seed=11)
    canceled = build.new_rows(len(placed))
    canceled["kind"], canceled["flags"] = CommandKind.ORDER_CANCEL, Flag.TARGET_CLIENT_ID
    canceled["account_id"] = placed["account_id"]
    canceled["target_lo"], canceled["target_hi"] = placed["client_id_lo"], placed["client_id_hi"]
    return (_timed(machine, placed) + _timed(machine, canceled)) / len(placed) * 1e9


def _moves(bare: Machine, full: Machine, instruments: int, options: Options) -> tuple[float, float]:
    """Return the nanoseconds of a price move that touches no stop: without any, and with all of them."""
    count = options.pick(MOVES, 2_000)
    bids = _orders(instruments)
    bids["instrument_id"], bids["side"] = np.arange(1, instruments + 1), Side.BUY
    bids["price_ticks"] = _MIDDLE - 2
    bids["client_id_lo"], bids["client_id_hi"] = venue.client_ids(np.arange(instruments) + (13 << 40))
    for machine in (bare, full):
        _apply(machine, bids)
    random = np.random.default_rng(17)
    chosen = random.integers(0, instruments, count)
    rows = build.new_rows(count)
    rows["kind"], rows["flags"] = CommandKind.ORDER_REPLACE, Flag.TARGET_CLIENT_ID
    rows["account_id"], rows["qty_lots"] = bids["account_id"][chosen], 1
    rows["target_lo"], rows["target_hi"] = bids["client_id_lo"][chosen], bids["client_id_hi"][chosen]
    rows["price_ticks"] = _MIDDLE - random.integers(1, 50, count)
    bare_s, full_s = [], []
    for _ in range(options.pick(TURNS, 1)):
        bare_s.append(_timed(bare, rows))
        full_s.append(_timed(full, rows))
    return median(bare_s) / count * 1e9, median(full_s) / count * 1e9


def _cascade(count: int) -> tuple[float, float, float]:
    """Return the longest and the median call in microseconds, and the seconds in all, of stops that cascade."""
    machine = _venue(1)
    bids = _orders(count + 1)
    bids["instrument_id"], bids["side"] = 1, Side.BUY
    bids["price_ticks"] = _MIDDLE - 2 - np.arange(count + 1)
    _apply(machine, bids)
    stops = _orders(count)
    stops["instrument_id"], stops["side"] = 1, Side.SELL
    stops["order_type"], stops["trigger"] = OrderType.STOP, TriggerSource.LAST
    stops["trigger_price_ticks"] = _MIDDLE - 1 - np.arange(count)
    _apply(machine, stops)
    spark = _orders(1)
    spark["instrument_id"], spark["side"], spark["price_ticks"] = 1, Side.SELL, 1
    spark["time_in_force"] = TimeInForce.IOC
    calls = [_timed(machine, spark)]
    goes_on = build.new_rows(CALL_ROWS)
    goes_on["kind"] = CommandKind.CONTINUE
    while machine.pending_work():
        calls.append(_timed(machine, goes_on))
    return max(calls) * 1e6, median(calls) * 1e6, sum(calls)
