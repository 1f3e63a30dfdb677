"""What the terminal knows of the venue, kept from events alone: standing orders, trades, counts, latency.

Invariants:
- after each frame the standing orders equal the venue's at the frame's last sequence;
- a frame costs a few array operations, whatever its kinds, so a view keeps up with the venue at full speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgpack
import numpy as np
import numpy.typing as npt

from kk99 import batch, schema
from kk99.schema import EventKind, MarketState, Side

TAPE_ROWS: Final = 64
LATENCIES: Final = 8192
_SLOT_MASK: Final = (1 << schema.ORDER_SLOT_BITS) - 1
_ORDER: Final = np.dtype([("instrument_id", "i4"), ("side", "i4"), ("price_ticks", "i8"), ("leaves_lots", "i8")])
_ORDER_ID, _CONTRA_ORDER_ID, _LEAVES, _CONTRA_LEAVES = (
    schema.word_of(schema.EVENT, name) for name in ("order_id", "contra_order_id", "leaves_lots", "contra_leaves_lots")
)
_DEFINED: Final = (EventKind.INSTRUMENT_DEFINED, EventKind.INSTRUMENT_CHANGED)
_IS_PLACED: Final = np.zeros(256, bool)
_IS_PLACED[[EventKind.ORDER_ACCEPTED, EventKind.ORDER_REPLACED, EventKind.ORDER_IMAGE]] = True
_IS_CHANGE: Final = _IS_PLACED.copy()
_IS_CHANGE[[EventKind.ORDER_REDUCED, EventKind.ORDER_CANCELED, EventKind.TRADE]] = True


@dataclass(frozen=True, slots=True)
class Level:
    """A price level: price, total open quantity, number of orders."""

    price_ticks: int
    qty_lots: int
    orders: int


@dataclass(frozen=True, slots=True)
class Trade:
    """A line of the tape; `side` is the aggressor's."""

    time_ns: int
    side: Side
    price_ticks: int
    qty_lots: int


class View:
    """The venue as seen by a reader of its events."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.instruments: dict[int, dict[str, Any]] = {}
        self.assets: dict[str, dict[str, Any]] = {}
        self.markets: dict[int, MarketState] = {}
        self.counts: npt.NDArray[np.int64] = np.zeros(256, np.int64)
        """Events by kind since the view began."""
        self.reasons: npt.NDArray[np.int64] = np.zeros(256, np.int64)
        """Rejects by code."""
        self.last_seq = 0
        self.time_ns = 0
        self.instrument_id = 0
        """The instrument that traded last; before any trade the first that was defined."""
        self._tape: batch.Rows = np.zeros(0, schema.EVENT)
        self.orders = np.zeros(4096, _ORDER)
        """By slot; `leaves_lots` 0 where none stands."""
        self._latencies_ns: npt.NDArray[np.int64] = np.zeros(LATENCIES, np.int64)
        self._latency_count = 0

    def begin(self, seq: int, image: list[batch.Events]) -> None:
        """Start from an image of the venue at a sequence."""
        self.orders["leaves_lots"] = 0
        for events in image:
            self._standing(events.rows)
            self._documents(events)
        self.last_seq = seq

    def take(self, events: batch.Events, now_ns: int) -> None:
        """Take a frame in that arrived at `now_ns`."""
        rows = events.rows
        if not len(rows):
            return
        kinds = rows["kind"]
        self.counts += np.bincount(kinds, minlength=256)
        if self.counts[EventKind.REJECTED]:
            self.reasons += np.bincount(rows["reason"][kinds == EventKind.REJECTED], minlength=256)
        self._standing(rows)
        self._documents(events)
        self._trades(rows[kinds == EventKind.TRADE])
        self.last_seq = int(rows["cause_seq"][-1])
        self.time_ns = int(rows["time_ns"][-1])
        for time_ns in rows["time_ns"][:: max(len(rows) // 4, 1)]:
            self._latencies_ns[self._latency_count % LATENCIES] = now_ns - int(time_ns)
            self._latency_count += 1

    def latency_ns(self, *percentiles: float) -> list[int]:
        """Return percentiles of the latest times from a command's sequencing to its events' arrival here."""
        known = self._latencies_ns[: self._latency_count]
        return [int(value) for value in np.percentile(known, percentiles)] if len(known) else [0] * len(percentiles)

    def ladder(self, instrument_id: int, side: Side, depth: int) -> list[Level]:
        """Return the best levels of one side, the best first."""
        orders = self.orders
        chosen = orders[
            (orders["leaves_lots"] > 0) & (orders["instrument_id"] == instrument_id) & (orders["side"] == side)
        ]
        prices, place, count = np.unique(chosen["price_ticks"], return_inverse=True, return_counts=True)
        totals = np.zeros(len(prices), np.int64)
        np.add.at(totals, place, chosen["leaves_lots"])
        levels = [Level(int(p), int(q), int(n)) for p, q, n in zip(prices, totals, count, strict=True)]
        return levels[: -depth - 1 : -1] if side == Side.BUY else levels[:depth]

    def tape(self, instrument_id: int, count: int) -> list[Trade]:
        """Return the latest trades of an instrument, the latest first."""
        rows = self._tape[self._tape["instrument_id"] == instrument_id][: -count - 1 : -1]
        return [
            Trade(int(row["time_ns"]), Side(int(row["side"])), int(row["price_ticks"]), int(row["qty_lots"]))
            for row in rows
        ]

    @property
    def standing(self) -> int:
        """Return the number of standing orders."""
        return int(np.count_nonzero(self.orders["leaves_lots"]))

    def _standing(self, rows: batch.Rows) -> None:
        """Bring the orders to where they stand after the rows: the last word on each slot counts."""
        at = np.flatnonzero(_IS_CHANGE[rows["kind"]])
        if not len(at):
            return
        kinds, words = rows["kind"][at], rows.view(np.int64).reshape(len(rows), schema.ROW_WORDS)
        is_trade, is_placed = kinds == EventKind.TRADE, _IS_PLACED[kinds]
        slots = words[at, _ORDER_ID] & _SLOT_MASK
        contra = (words[at, _CONTRA_ORDER_ID] & _SLOT_MASK) * is_trade  # slot 0 is nobody's
        highest = int(max(slots.max(), contra.max()))
        if highest >= len(self.orders):
            self.orders = np.concatenate(
                (self.orders, np.zeros(max(highest + 1 - len(self.orders), len(self.orders)), _ORDER))
            )
        placed = at[is_placed]
        for name in ("instrument_id", "side", "price_ticks"):
            self.orders[name][slots[is_placed]] = rows[name][placed]
        # In order, both orders of a trade one after the other: numpy keeps the last value given to a place.
        both = np.empty(2 * len(at), np.int64)
        both[::2], both[1::2] = slots, contra
        after = np.empty(2 * len(at), np.int64)
        after[::2] = words[at, _LEAVES] * (kinds != EventKind.ORDER_CANCELED)
        after[1::2] = words[at, _CONTRA_LEAVES]
        self.orders["leaves_lots"][both] = after
        self.orders["leaves_lots"][0] = 0

    def _documents(self, events: batch.Events) -> None:
        rows = events.rows
        for row in rows[
            (rows["kind"] >= EventKind.ASSET_DEFINED) & (rows["kind"] <= EventKind.INSTRUMENT_STATE_CHANGED)
        ]:
            kind, start = int(row["kind"]), int(row["document_offset"])
            if kind == EventKind.INSTRUMENT_STATE_CHANGED:
                self.markets[int(row["instrument_id"])] = MarketState(int(row["state"]))
                continue
            document = msgpack.unpackb(bytes(events.tail[start : start + int(row["document_size"])]))
            if kind in _DEFINED:
                self.instruments[document["number"]] = document
                self.markets.setdefault(document["number"], MarketState.PRE_OPEN)
                self.instrument_id = self.instrument_id or document["number"]
            elif kind == EventKind.ASSET_DEFINED:
                self.assets[document["name"]] = document

    def _trades(self, rows: batch.Rows) -> None:
        if len(rows):
            self.instrument_id = int(rows["instrument_id"][-1])
            self._tape = np.concatenate((self._tape, rows[-TAPE_ROWS:]))[-TAPE_ROWS:]
