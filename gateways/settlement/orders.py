"""Orders from events: the live ones are kept here, and what changed of each is a row of the table `orders`.

Invariants, each a test:
- after each call the live orders are the venue's, with their fills and fees;
- the rows depend on the events alone, not on how they are divided into calls;
- a call costs a few array operations, whatever the events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gateways.settlement import rows as rows_of
from gateways.settlement import tables
from gateways.settlement.rows import Write
from gateways.settlement.terms import OrderState
from kk99 import kinds, schema
from kk99.schema import EventKind, Flag, OrderType, Side

if TYPE_CHECKING:
    from gateways.settlement.rows import Rows, Words

_SLOT_MASK: Final = (1 << schema.ORDER_SLOT_BITS) - 1
_ROW: Final = rows_of.dtype_of(tables.orders)
_FIRST_SLOTS: Final = 4_096


def _is_one_of(*kinds: EventKind) -> Any:
    table = np.zeros(256, np.bool_)
    table[list(kinds)] = True
    return table


_PLACES: Final = _is_one_of(EventKind.ORDER_ACCEPTED, EventKind.ORDER_REPLACED, EventKind.ORDER_TRIGGERED)
"""Events that name all terms of an order."""
_CHANGES: Final = _PLACES | _is_one_of(
    EventKind.ORDER_REDUCED,
    EventKind.ORDER_RESIZED,
    EventKind.ORDER_CANCELED,
    EventKind.TRADE,
    EventKind.ORDER_RELEASED,
)
_TERMS: Final = ("side", "order_type", "time_in_force", "flags", "price_ticks", "client_id_lo", "client_id_hi")
CHANGING: Final = (
    "order_type", "time_in_force", "flags", "state", "reason", "price_ticks", "qty_lots", "leaves_lots", "filled_lots",
    "notional_units", "fee_units", "last_seq", "last_ns",
)  # fmt: skip
"""Columns that an order's later events may change, but for its client order id."""
RENAMING: Final = (*CHANGING, "client_id_lo", "client_id_hi")


class Orders:
    """The live orders by slot."""

    def __init__(self) -> None:
        """Begin with none."""
        self._live = np.zeros(_FIRST_SLOTS, _ROW)

    def load(self, open_rows: Rows) -> None:
        """Take the open orders of the table."""
        self._put(open_rows)

    def find(self, order_id: int) -> Rows | None:
        """Return the row (1,) of a live order, to be changed in place; None if it has ended."""
        slot = order_id & _SLOT_MASK
        if slot >= len(self._live) or self._live["order_id"][slot] != order_id:
            return None
        return self._live[slot : slot + 1]

    def follow(self, events: Rows, notional_units: Words) -> list[Write]:
        """Take event rows in; `notional_units` is that of each row that is a TRADE, int64 (n,)."""
        at = np.flatnonzero(_CHANGES[events["kind"]])
        if not len(at):
            return _details(events)
        rows = events[at]
        is_trade = rows["kind"] == EventKind.TRADE
        # In order, both orders of a trade one after the other: numpy keeps the last value given to a place.
        touched = np.zeros(2 * len(at), np.int64)
        touched[::2], touched[1::2] = rows["order_id"], np.where(is_trade, rows["contra_order_id"], 0)
        is_there = touched != 0
        ids, places = np.unique(touched[is_there], return_inverse=True)
        place = np.zeros(len(touched), np.int64)
        place[is_there] = places
        its, contra = place[::2], place[1::2][is_trade]
        found, is_known = self._rows(ids)
        first_lo, first_hi = found["client_id_lo"].copy(), found["client_id_hi"].copy()
        _take_terms(found, rows, its)
        _take_trades(found, rows[is_trade], its[is_trade], contra, notional_units[at][is_trade])
        leaves = np.zeros(len(touched), np.int64)
        leaves[::2] = np.where(rows["kind"] == EventKind.ORDER_CANCELED, 0, rows["leaves_lots"])
        leaves[1::2] = np.where(is_trade, rows["contra_leaves_lots"], 0)
        last = np.repeat(np.arange(len(at)), 2)
        found["leaves_lots"][place[is_there]] = leaves[is_there]
        found["last_seq"][place[is_there]] = rows["cause_seq"][last[is_there]]
        found["last_ns"][place[is_there]] = rows["time_ns"][last[is_there]]
        _end(found, rows, its)
        self._put(found)
        is_renamed = is_known & ((found["client_id_lo"] != first_lo) | (found["client_id_hi"] != first_hi))
        return [
            Write(tables.orders, found[~is_known]),
            Write(tables.orders, found[is_known & ~is_renamed], "update", CHANGING),
            Write(tables.orders, found[is_renamed], "update", RENAMING),
            *_details(events),
        ]

    def _rows(self, ids: Words) -> tuple[Rows, Any]:
        """Return the rows of orders as they stand, new ones with nothing but their number; which are known."""
        slots = ids & _SLOT_MASK
        highest = int(slots.max())
        if highest >= len(self._live):
            more = max(highest + 1 - len(self._live), len(self._live))
            self._live = np.concatenate([self._live, np.zeros(more, _ROW)])
        found = self._live[slots]
        is_known = found["order_id"] == ids
        found[~is_known] = np.zeros(1, _ROW)
        found["order_id"] = ids
        return found, is_known

    def _put(self, found: Rows) -> None:
        """Keep those that are open; those that have ended leave, before their slots are taken anew."""
        slots = found["order_id"] & _SLOT_MASK
        highest = int(slots.max(initial=0))
        if highest >= len(self._live):
            self._live = np.concatenate([self._live, np.zeros(highest + 1 - len(self._live), _ROW)])
        is_open = found["state"] == OrderState.OPEN
        ended = slots[~is_open]
        self._live[ended[self._live["order_id"][ended] == found["order_id"][~is_open]]] = np.zeros(1, _ROW)
        self._live[slots[is_open]] = found[is_open]


def _take_terms(found: Rows, rows: Rows, its: Words) -> None:
    """Take what events say of an order's terms."""
    kinds_ = rows["kind"]
    is_new, is_placed = kinds_ == EventKind.ORDER_ACCEPTED, _PLACES[kinds_]
    new, placed = its[is_new], its[is_placed]
    for column, field in (
        ("account_id", "account_id"), ("instrument_id", "instrument_id"), ("session_id", "session_id"),
        ("entry_seq", "cause_seq"), ("entry_ns", "time_ns"),
    ):  # fmt: skip
        found[column][new] = rows[field][is_new]
    for name in _TERMS:
        found[name][placed] = rows[name][is_placed]
    found["flags"] &= ~np.int64(Flag.PRIORITY_KEPT)  # said of the event, not of the order
    sets_qty = ~np.isin(kinds_, (EventKind.TRADE, EventKind.ORDER_RELEASED))  # theirs is what was traded or released
    found["qty_lots"][its[sets_qty]] = rows["qty_lots"][sets_qty]
    accepted = rows[is_new]
    is_budget = (
        (accepted["order_type"] == OrderType.MARKET) & (accepted["side"] == Side.BUY) & (accepted["qty_lots"] == 0)
    )
    found["budget_units"][new[is_budget]] = accepted["amount_units"][is_budget]


def _take_trades(found: Rows, trades: Rows, takers: Words, makers: Words, notional_units: Words) -> None:
    """Add fills and fees up."""
    for its, fee in ((takers, "fee_units"), (makers, "contra_fee_units")):
        np.add.at(found["filled_lots"], its, trades["qty_lots"])
        np.add.at(found["notional_units"], its, notional_units)
        np.add.at(found["fee_units"], its, trades[fee])


def _end(found: Rows, rows: Rows, its: Words) -> None:
    """Say of each order whether it is open, filled or canceled."""
    is_canceled = rows["kind"] == EventKind.ORDER_CANCELED
    is_spent = found["budget_units"] != 0  # such an order has no leaves, and always ends by being canceled
    found["state"] = np.where((found["leaves_lots"] == 0) & ~is_spent, OrderState.FILLED, OrderState.OPEN)
    found["state"][its[is_canceled]] = OrderState.CANCELED
    found["reason"][its[is_canceled]] = rows["reason"][is_canceled]


def _details(events: Rows) -> list[Write]:
    """Return the further terms of orders that have such."""
    rows = events[events["kind"] == EventKind.ORDER_DETAILS]
    if not len(rows):
        return []
    rows = rows[rows_of.last_of_each(rows["order_id"])]
    made = rows_of.empty(tables.order_details, len(rows))
    made["order_id"] = rows["order_id"]
    for name in made.dtype.names or ():
        if name != "order_id":
            made[name] = np.where(kinds.uses(rows, name), rows[name], 0)
    return [Write(tables.order_details, made, "replace")]
