"""Candles and rolling statistics of one market, from its trades.

Invariants: a candle begins at a whole multiple of its interval since 1970 (UTC), a day at midnight; an interval without
a trade has none; at most CANDLES_MAX of each interval are kept. Trades count as they were made: a later bust or
correction changes the tape, not the candles here, which begin with the gateway's start.
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from typing import Final, NamedTuple

SECOND_NS: Final = 1_000_000_000
INTERVALS_S: Final = {"1s": 1, "1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": 86_400}
"""Seconds by name."""
CANDLES_MAX: Final = 1_500
"""Kept of each interval: a day and more of minutes."""
DAY_S: Final = 86_400


class Candle(NamedTuple):
    """Prices of an interval's trades in ticks, their volume in lots."""

    open_time_s: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume_lots: int
    trades: int


class Statistics(NamedTuple):
    """Of the last 24 hours, by the minute; prices 0 without a trade."""

    open_ticks: int
    high_ticks: int
    low_ticks: int
    last_ticks: int
    volume_lots: int
    trades: int


class Candles:
    """The candles of one market; none at first."""

    def __init__(self) -> None:
        self._series: dict[str, deque[Candle]] = {name: deque(maxlen=CANDLES_MAX) for name in INTERVALS_S}

    def trade(self, time_ns: int, price_ticks: int, qty_lots: int) -> None:
        """Count a trade, not earlier than the one before."""
        time_s = time_ns // SECOND_NS
        for name, seconds in INTERVALS_S.items():
            series, open_time_s = self._series[name], time_s - time_s % seconds
            if series and series[-1].open_time_s == open_time_s:
                was = series[-1]
                series[-1] = Candle(
                    open_time_s,
                    was.open_ticks,
                    max(was.high_ticks, price_ticks),
                    min(was.low_ticks, price_ticks),
                    price_ticks,
                    was.volume_lots + qty_lots,
                    was.trades + 1,
                )
            else:
                series.append(Candle(open_time_s, price_ticks, price_ticks, price_ticks, price_ticks, qty_lots, 1))

    def latest(self, interval: str, count: int) -> list[Candle]:
        """Return at most so many (1 or more) of the latest candles of an interval, the latest last."""
        series = self._series[interval]
        return [series[at] for at in range(max(len(series) - count, 0), len(series))]

    def since(self, interval: str, open_time_s: int) -> list[Candle]:
        """Return the candles of an interval that did not begin before a time, the latest last."""
        later = takewhile(lambda candle: candle.open_time_s >= open_time_s, reversed(self._series[interval]))
        return list(later)[::-1]

    def statistics(self, now_ns: int) -> Statistics:
        """Return what was traded in the minutes of the last 24 hours."""
        since_s = now_ns // SECOND_NS - DAY_S
        minutes = [candle for candle in self._series["1m"] if candle.open_time_s > since_s]
        if not minutes:
            return Statistics(0, 0, 0, 0, 0, 0)
        return Statistics(
            minutes[0].open_ticks,
            max(candle.high_ticks for candle in minutes),
            min(candle.low_ticks for candle in minutes),
            minutes[-1].close_ticks,
            sum(candle.volume_lots for candle in minutes),
            sum(candle.trades for candle in minutes),
        )
