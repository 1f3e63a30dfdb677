"""What the events say of the venue, as figures: orders, trades, rejects, halts, breakers, spreads, stress.

Invariants: a frame costs a few array operations; counts begin at 0 when this begins, as Prometheus expects of a process
that was started again, and go on through a new image; gauges are the venue's as of the last frame.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

import numpy as np

from kk99.schema import (
    BreakerReason,
    CancelReason,
    EventKind,
    MarketState,
    OrderType,
    RejectCode,
    Side,
    StateReason,
    TimeInForce,
)
from kk99.terminal.model import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from kk99 import batch
    from kk99.metrics.figures import Figures

    Words = npt.NDArray[np.int64]

MARK_EVENTS: Final = 100
"""How many events came up to a sequence is remembered about once in so many."""
MARKS_MAX: Final = 100_000
_HALTED: Final = frozenset({MarketState.HALTED, MarketState.CANCEL_ONLY})
_RARE: Final = np.zeros(256, np.bool_)
_RARE[[
    EventKind.MARKET_STATE_CHANGED, EventKind.INSTRUMENT_STATE_CHANGED, EventKind.BREAKER_TRIPPED,
    EventKind.BREAKER_ALERT, EventKind.STRESS_CHANGED,
]] = True  # fmt: skip
_HALT_BY: Final = {StateReason.BREAKER: "breaker", StateReason.MARKET_WIDE: "group"}
_NUMBERS: Final = 1 << 12
"""Room for instruments to begin with."""


class Market:
    """The venue as its events tell it; one thread at a time."""

    def __init__(self) -> None:
        self.view = View()
        self._cancels: Words = np.zeros(256, np.int64)
        self._trades: Words = np.zeros(_NUMBERS, np.int64)
        self._halts: dict[tuple[int, str], int] = {}
        self._trips: dict[tuple[str, str], int] = {}
        self._alerts: dict[tuple[str, str], int] = {}
        self._recoveries: dict[int, int] = {}
        self._stress: dict[int, int] = {}
        self._events = 0
        self._marks: list[tuple[int, int]] = []
        """(sequence, events up to it), rising."""

    def begin(self, seq: int, image: list[batch.Events]) -> None:
        """Take up an image of the venue at a sequence; what was counted stays."""
        counts, reasons = self.view.counts, self.view.reasons
        self.view = View()
        self.view.begin(seq, image)
        self.view.counts, self.view.reasons = counts, reasons
        self._marks = [(seq, self._events)]

    def take(self, events: batch.Events, now_ns: int) -> None:
        """Take a frame in that arrived at `now_ns`."""
        rows = events.rows
        if not len(rows):
            return
        kinds = rows["kind"]
        self._cancels += np.bincount(rows["reason"][kinds == EventKind.ORDER_CANCELED], minlength=256)
        traded = np.bincount(rows["instrument_id"][kinds == EventKind.TRADE], minlength=len(self._trades))
        if len(traded) > len(self._trades):
            self._trades = np.concatenate((self._trades, np.zeros(len(traded) - len(self._trades), np.int64)))
        self._trades += traded
        for row in rows[_RARE[kinds]]:
            self._take_rare(row)
        self.view.take(events, now_ns)
        self._events += len(rows)
        if self._events - self._marks[-1][1] >= MARK_EVENTS:
            self._marks.append((self.view.last_seq, self._events))
            if len(self._marks) > MARKS_MAX:
                del self._marks[: MARKS_MAX // 2]

    def lag_events(self, seq: int, published_seq: int) -> int:
        """Return about how many events came after those of the command `seq`, up to those of `published_seq`.

        What is not known here, as it is not taken in yet or too long ago, counts one event a command.
        """
        if not self._marks or seq >= self.view.last_seq:
            return max(published_seq - seq, 0)
        unseen = max(published_seq - self.view.last_seq, 0)
        at = bisect_right(self._marks, (seq, self._events + 1)) - 1
        if at < 0:
            first_seq, events = self._marks[0]
            return self._events - events + first_seq - seq + unseen
        return self._events - self._marks[at][1] + unseen

    def add_to(self, figures: Figures) -> None:
        """Add all figures."""
        view = self.view
        for kind in EventKind:
            figures.add("kk99_events_total", int(view.counts[kind]), kind.name)
        figures.add("kk99_orders_accepted_total", int(view.counts[EventKind.ORDER_ACCEPTED]))
        for cancel_reason in CancelReason:
            figures.add("kk99_orders_canceled_total", int(self._cancels[cancel_reason]), cancel_reason.name)
        for code in RejectCode:
            figures.add("kk99_rejects_total", int(view.reasons[code]), code.name)
        if not view.instruments and not view.last_seq:
            return  # nothing is known yet
        figures.add("kk99_orders_live", view.standing, "standing")
        figures.add("kk99_orders_live", view.dormant, "dormant")
        for state in MarketState:
            figures.add("kk99_markets", sum(found == state for found in view.markets.values()), state.name)
        for number in view.instruments:
            self._add_instrument(figures, number)
        for (instrument, reason), count in self._trips.items():
            figures.add("kk99_breaker_trips_total", count, instrument, reason)
        for (instrument, reason), count in self._alerts.items():
            figures.add("kk99_breaker_alerts_total", count, instrument, reason)
        for number, ratio in self._spreads():
            figures.add("kk99_market_spread_ratio", ratio, self._name(number))

    def _add_instrument(self, figures: Figures, number: int) -> None:
        """Add what there is of each instrument, also while it is 0: an alert sees only a count that rises."""
        name = self._name(number)
        figures.add("kk99_trades_total", int(self._trades[number]) if number < len(self._trades) else 0, name)
        figures.add("kk99_market_halted", int(self.view.markets.get(number) in _HALTED), name)
        for by in (*_HALT_BY.values(), "operator"):
            figures.add("kk99_market_halts_total", self._halts.get((number, by), 0), name, by)
        for reason in BreakerReason:
            figures.add("kk99_breaker_trips_total", 0, name, reason.name)
            figures.add("kk99_breaker_alerts_total", 0, name, reason.name)
        figures.add("kk99_breaker_recoveries_total", self._recoveries.get(number, 0), name)
        if number in self._stress:
            figures.add("kk99_market_stress", self._stress[number], name)

    def _take_rare(self, row: np.void) -> None:
        kind, number = EventKind(int(row["kind"])), int(row["instrument_id"])
        if kind is EventKind.STRESS_CHANGED:
            self._stress[number] = int(row["measure"])
        elif kind in {EventKind.BREAKER_TRIPPED, EventKind.BREAKER_ALERT}:
            found = self._trips if kind is EventKind.BREAKER_TRIPPED else self._alerts
            name = self._name(number) if number else f"group {int(row['order_id'])}"
            key = name, BreakerReason(int(row["breaker_reason"])).name
            found[key] = found.get(key, 0) + 1
        elif kind is EventKind.INSTRUMENT_STATE_CHANGED:
            if int(row["state"]) in _HALTED:
                self._halts[number, "operator"] = self._halts.get((number, "operator"), 0) + 1
        elif int(row["state_reason"]) == StateReason.RECOVERED:
            self._recoveries[number] = self._recoveries.get(number, 0) + 1
        elif int(row["state"]) in _HALTED and int(row["state_reason"]) in _HALT_BY:
            key_by = number, _HALT_BY[StateReason(int(row["state_reason"]))]
            self._halts[key_by] = self._halts.get(key_by, 0) + 1

    def _name(self, number: int) -> str:
        document = self.view.instruments.get(number)
        return str(document["name"]) if document else str(number)

    def _spreads(self) -> Iterator[tuple[int, float]]:
        """Yield (instrument, spread by middle) of open markets that have a bid and an ask."""
        orders, highest = self.view.orders, max(self.view.instruments, default=0) + 1
        chosen = orders[
            (orders["leaves_lots"] > 0)
            & (orders["price_ticks"] > 0)
            & ~((orders["order_type"] >= OrderType.STOP) & (orders["order_type"] <= OrderType.TRAILING_STOP_LIMIT))
            & (orders["time_in_force"] != TimeInForce.AT_CLOSE)
        ]
        is_buy = chosen["side"] == Side.BUY
        bids, asks = np.zeros(highest, np.int64), np.full(highest, np.iinfo(np.int64).max)
        np.maximum.at(bids, chosen["instrument_id"][is_buy], chosen["price_ticks"][is_buy])
        np.minimum.at(asks, chosen["instrument_id"][~is_buy], chosen["price_ticks"][~is_buy])
        for number, state in self.view.markets.items():
            bid, ask = int(bids[number]), int(asks[number])
            if state == MarketState.OPEN and bid and ask != np.iinfo(np.int64).max:
                yield number, 2 * (ask - bid) / (ask + bid)
