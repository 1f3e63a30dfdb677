"""Candles from trades, and the rule by which they are corrected.

The rule: a candle is made of the trades of its stretch of time that are not busted, in their order, each with the
price and quantity that it now has and at the time at which it happened. So a bust or a correction remakes the candles
of every length in which the trade lies, and one that has no trades left goes. Sums stop at SUM_MAX.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import sqlalchemy as sa

from gateways.settlement import rows as rows_of
from gateways.settlement import tables
from gateways.settlement.rows import Write
from gateways.settlement.terms import CANDLE_INTERVALS_S, SECOND_NS, TradeState
from kk99 import schema

if TYPE_CHECKING:
    from gateways.settlement.rows import Rows, Words

SUM_MAX: Final = schema.AMOUNT_MAX
_SAFE_SUM: Final = float(1 << 61)
_CANDLE: Final = ("open_ticks", "high_ticks", "low_ticks", "close_ticks", "volume_lots", "notional_units")


def of_trades(trades: Rows) -> Write:
    """Return the candles of rows of the table `trades`, in order, as a merge."""
    order = np.argsort(trades["instrument_id"], kind="stable")
    trades = trades[order]
    seconds = trades["time_ns"] // SECOND_NS
    parts = [_aggregated(trades, seconds - seconds % interval_s, interval_s) for interval_s in CANDLE_INTERVALS_S]
    return Write(tables.candles, np.concatenate(parts), "merge")


def _aggregated(trades: Rows, start_s: Words, interval_s: int) -> Rows:
    starts = rows_of.group_starts(trades["instrument_id"], start_s)
    prices = trades["price_ticks"]
    ends = np.append(starts[1:], len(trades))
    return rows_of.made(
        tables.candles, len(starts), instrument_id=trades["instrument_id"][starts], interval_s=interval_s,
        start_s=start_s[starts], open_ticks=prices[starts], high_ticks=np.maximum.reduceat(prices, starts),
        low_ticks=np.minimum.reduceat(prices, starts), close_ticks=prices[ends - 1],
        volume_lots=_sums(trades["qty_lots"], starts), notional_units=_sums(trades["notional_units"], starts),
        trade_count=ends - starts,
    )  # fmt: skip


def _sums(values: Words, starts: Any) -> Words:
    """Return the sum of each group, at most SUM_MAX; values are at least 0."""
    if float(values.sum(dtype=np.float64)) < _SAFE_SUM:
        return np.add.reduceat(values, starts)
    groups = np.split(values, starts[1:])
    return np.array([min(sum(group.tolist()), SUM_MAX) for group in groups], np.int64)


def remake(connection: sa.Connection, instrument_id: int, time_ns: int) -> None:
    """Make the candles anew in which a moment lies: the shortest from its trades, each longer from the ones within."""
    second = time_ns // SECOND_NS
    begin = second - second % CANDLE_INTERVALS_S[0]
    found = _from_trades(connection, instrument_id, begin, CANDLE_INTERVALS_S[0])
    _put(connection, instrument_id, CANDLE_INTERVALS_S[0], begin, found)
    for shorter, interval_s in itertools.pairwise(CANDLE_INTERVALS_S):
        begin = second - second % interval_s
        _put(
            connection,
            instrument_id,
            interval_s,
            begin,
            _from_candles(connection, instrument_id, begin, interval_s, shorter),
        )


def _from_trades(connection: sa.Connection, instrument_id: int, begin_s: int, interval_s: int) -> list[tuple[int, ...]]:
    trades = tables.trades.c
    query = (
        sa.select(trades.price_ticks, trades.qty_lots, trades.notional_units)
        .where(trades.instrument_id == instrument_id, trades.state != TradeState.BUSTED)
        .where(trades.time_ns >= begin_s * SECOND_NS, trades.time_ns < (begin_s + interval_s) * SECOND_NS)
        .order_by(trades.time_ns, trades.trade_id)
    )
    return [(price, price, price, price, qty, cost, 1) for price, qty, cost in connection.execute(query)]


def _from_candles(
    connection: sa.Connection, instrument_id: int, begin_s: int, interval_s: int, shorter_s: int
) -> list[tuple[int, ...]]:
    candles = tables.candles.c
    query = (
        sa.select(*(candles[name] for name in _CANDLE), candles.trade_count)
        .where(candles.instrument_id == instrument_id, candles.interval_s == shorter_s)
        .where(candles.start_s >= begin_s, candles.start_s < begin_s + interval_s)
        .order_by(candles.start_s)
    )
    return [tuple(row) for row in connection.execute(query)]


def _put(
    connection: sa.Connection, instrument_id: int, interval_s: int, begin_s: int, parts: list[tuple[int, ...]]
) -> None:
    """Put a candle made of parts, in order, in the place of the one that is there; without parts none."""
    candles = tables.candles
    key = {"instrument_id": instrument_id, "interval_s": interval_s, "start_s": begin_s}
    connection.execute(sa.delete(candles).where(*(candles.c[name] == value for name, value in key.items())))
    if not parts:
        return
    opens, highs, lows, closes, volumes, costs, counts = zip(*parts, strict=True)
    values = {
        "open_ticks": opens[0], "high_ticks": max(highs), "low_ticks": min(lows), "close_ticks": closes[-1],
        "volume_lots": min(sum(volumes), SUM_MAX), "notional_units": min(sum(costs), SUM_MAX),
        "trade_count": sum(counts),
    }  # fmt: skip
    connection.execute(sa.insert(candles).values(key | values))
