"""What the terminal knows of the venue, kept from events alone: live orders, trades, counts, latency.

Invariants:
- after each frame the live orders equal the venue's at the frame's last sequence;
- a frame costs a few array operations, whatever its kinds, and a step for each event of an iceberg, so a view keeps up
  with the venue at full speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgpack
import numpy as np
import numpy.typing as npt

from kk99 import batch, schema
from kk99.schema import CallPurpose, EventKind, Flag, MarketState, OrderType, Side, TimeInForce

TAPE_ROWS: Final = 64
LATENCIES: Final = 8192
_SLOT_MASK: Final = (1 << schema.ORDER_SLOT_BITS) - 1
_ORDER: Final = np.dtype([
    ("instrument_id", "i4"), ("side", "u1"), ("order_type", "u1"), ("time_in_force", "u1"), ("reserved", "u1"),
    ("price_ticks", "i8"), ("leaves_lots", "i8"), ("hidden_lots", "i8"),
])  # fmt: skip
_ORDER_ID, _CONTRA_ORDER_ID, _LEAVES, _CONTRA_LEAVES = (
    schema.word_of(schema.EVENT, name) for name in ("order_id", "contra_order_id", "leaves_lots", "contra_leaves_lots")
)
_DEFINED: Final = (EventKind.INSTRUMENT_DEFINED, EventKind.INSTRUMENT_CHANGED)
_IS_PLACED: Final = np.zeros(256, bool)
_IS_PLACED[[EventKind.ORDER_ACCEPTED, EventKind.ORDER_REPLACED, EventKind.ORDER_TRIGGERED, EventKind.ORDER_IMAGE]] = (
    True
)
_IS_CHANGE: Final = _IS_PLACED.copy()
_IS_CHANGE[
    [
        EventKind.ORDER_REDUCED,
        EventKind.ORDER_CANCELED,
        EventKind.ORDER_RESIZED,
        EventKind.ORDER_REFRESHED,
        EventKind.ORDER_RELEASED,
        EventKind.TRADE,
    ]
] = True
_STATES: Final = (EventKind.INSTRUMENT_STATE_CHANGED, EventKind.MARKET_STATE_CHANGED)
_DORMANT: Final = np.zeros(256, bool)
_DORMANT[OrderType.STOP : OrderType.TRAILING_STOP_LIMIT + 1] = True
_DORMANT[OrderType.ALGO] = True


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


@dataclass(slots=True)
class _Iceberg:
    """An order of which only a part is shown."""

    display_lots: int
    shown_lots: int
    leaves_lots: int


class View:
    """The venue as seen by a reader of its events."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.instruments: dict[int, dict[str, Any]] = {}
        self.assets: dict[str, dict[str, Any]] = {}
        self.markets: dict[int, MarketState] = {}
        self.calls: dict[int, CallPurpose] = {}
        """What the auction call of an instrument is for, where there is one."""
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
        """By slot; `leaves_lots` 0 where none lives, `hidden_lots` the part of it that an iceberg does not show."""
        self._icebergs: dict[int, _Iceberg] = {}
        self._entering = (0, 0)
        """The order that came in last, as far as it matters to icebergs: slot and cause_seq."""
        self._latencies_ns: npt.NDArray[np.int64] = np.zeros(LATENCIES, np.int64)
        self._latency_count = 0

    def begin(self, seq: int, image: list[batch.Events]) -> None:
        """Start from an image of the venue at a sequence."""
        self.orders["leaves_lots"] = 0
        self._icebergs.clear()
        for events in image:
            self._take_rows(events)
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
        self._take_rows(events)
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
        """Return the best levels of one side, the best first, with what they show: no hidden and no dormant order."""
        orders = self.orders
        chosen = orders[
            (orders["leaves_lots"] > 0)
            & (orders["instrument_id"] == instrument_id)
            & (orders["side"] == side)
            & (orders["price_ticks"] > 0)
            & ~_DORMANT[orders["order_type"]]
        ]
        if not self._is_closing(instrument_id):
            chosen = chosen[chosen["time_in_force"] != TimeInForce.AT_CLOSE]
        prices, place, count = np.unique(chosen["price_ticks"], return_inverse=True, return_counts=True)
        totals = np.zeros(len(prices), np.int64)
        np.add.at(totals, place, chosen["leaves_lots"] - chosen["hidden_lots"])
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
        """Return the number of live orders that are not dormant."""
        return int(np.count_nonzero(self.orders["leaves_lots"])) - self.dormant

    @property
    def dormant(self) -> int:
        """Return the number of orders that wait for their trigger."""
        return int(np.count_nonzero((self.orders["leaves_lots"] > 0) & _DORMANT[self.orders["order_type"]]))

    def _is_closing(self, instrument_id: int) -> bool:
        """Whether orders for the closing auction stand in the book."""
        state = self.markets.get(instrument_id)
        is_call = state in {MarketState.CALL, MarketState.UNCROSSING}
        return is_call and self.calls.get(instrument_id) == CallPurpose.CLOSING

    def _take_rows(self, events: batch.Events) -> None:
        touched = self._step(events.rows)
        self._standing(events.rows)
        for slot in touched:
            iceberg = self._icebergs.get(slot)
            self.orders["hidden_lots"][slot] = 0 if iceberg is None else iceberg.leaves_lots - iceberg.shown_lots
        self._documents(events)

    def _step(self, rows: batch.Rows) -> set[int]:
        """Follow markets' states and icebergs, event by event; return the slots of the icebergs touched."""
        kinds, words = rows["kind"], rows.view(np.int64).reshape(len(rows), schema.ROW_WORDS)
        is_hiding = (kinds == EventKind.ORDER_DETAILS) & (rows["order_type"] == OrderType.LIMIT)
        is_hiding &= rows["display_qty_lots"] > 0
        slots = words[:, _ORDER_ID] & _SLOT_MASK
        is_wanted = np.isin(kinds, _STATES) | is_hiding
        hiding = np.array([*self._icebergs, *np.unique(slots[is_hiding])], np.int64)
        if len(hiding):
            is_wanted |= (_IS_CHANGE[kinds] & np.isin(slots, hiding)) | (kinds == EventKind.ORDER_TRIGGERED)
            is_wanted |= (kinds == EventKind.TRADE) & np.isin(words[:, _CONTRA_ORDER_ID] & _SLOT_MASK, hiding)
        for row in rows[is_wanted]:
            if row["kind"] in _STATES:
                instrument_id, state = int(row["instrument_id"]), MarketState(int(row["state"]))
                self.markets[instrument_id] = state
                if state == MarketState.CALL:
                    self.calls[instrument_id] = CallPurpose(int(row["call_purpose"]))
            else:
                self._step_iceberg(row)
        for slot in [slot for slot in hiding.tolist() if slot in self._icebergs]:
            if self._icebergs[slot].display_lots == schema.QTY_LOTS_MAX:
                del self._icebergs[slot]
        return set(hiding.tolist())

    def _step_iceberg(self, row: np.void) -> None:
        kind, slot, leaves = EventKind(int(row["kind"])), int(row["order_id"]) & _SLOT_MASK, int(row["leaves_lots"])
        iceberg, cause_seq = self._icebergs.get(slot), int(row["cause_seq"])
        is_kept = row["flags"] & Flag.PRIORITY_KEPT
        if _IS_PLACED[kind] and not is_kept:
            self._entering = slot, cause_seq
        if kind in {EventKind.ORDER_ACCEPTED, EventKind.ORDER_IMAGE}:  # maybe one: its details would follow
            self._icebergs[slot] = _Iceberg(schema.QTY_LOTS_MAX, leaves, leaves)
        elif kind == EventKind.ORDER_DETAILS:
            display = int(row["display_qty_lots"])
            leaves = iceberg.leaves_lots if iceberg else int(self.orders["leaves_lots"][slot])
            self._icebergs[slot] = _Iceberg(display, min(display, leaves), leaves)
        elif kind == EventKind.TRADE:
            is_uncross = self.markets.get(int(row["instrument_id"])) == MarketState.UNCROSSING
            self._fill(slot, leaves, 0 if is_uncross else -1)
            maker, maker_leaves = int(row["contra_order_id"]) & _SLOT_MASK, int(row["contra_leaves_lots"])
            self._fill(maker, maker_leaves, 0 if is_uncross else int(row["qty_lots"]))
        elif iceberg is not None:
            if kind == EventKind.ORDER_REFRESHED:
                iceberg.shown_lots = int(row["display_qty_lots"])
            elif kind == EventKind.ORDER_REPLACED and not is_kept:
                iceberg.shown_lots = iceberg.display_lots
            elif kind == EventKind.ORDER_REDUCED:
                is_entering = self._entering == (slot, cause_seq)
                iceberg.shown_lots -= 0 if is_entering else iceberg.leaves_lots - leaves
            self._fill(slot, 0 if kind == EventKind.ORDER_CANCELED else leaves, 0)

    def _fill(self, slot: int, leaves: int, taken: int) -> None:
        """Give an iceberg, if it is one, its leaves after so much of what it shows was taken (-1: it shows anew)."""
        iceberg = self._icebergs.get(slot)
        if iceberg is None:
            return
        shown = iceberg.display_lots if taken < 0 else iceberg.shown_lots - taken
        iceberg.leaves_lots, iceberg.shown_lots = leaves, max(min(shown, leaves), 0)
        if leaves == 0:
            del self._icebergs[slot]

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
        for name in ("instrument_id", "side", "order_type", "time_in_force", "price_ticks"):
            self.orders[name][slots[is_placed]] = rows[name][placed]
        self.orders["hidden_lots"][slots[is_placed]] = 0
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
            (rows["kind"] >= EventKind.ASSET_DEFINED) & (rows["kind"] <= EventKind.TRADING_SCHEDULE_DEFINED)
        ]:
            kind, start = int(row["kind"]), int(row["document_offset"])
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
