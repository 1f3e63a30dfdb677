"""Markets from events: every change of state, every halt, every trip of a circuit breaker.

A halt begins when a market becomes HALTED or CANCEL_ONLY and lasts, through its recovery, until the market is OPEN,
CLOSED, PRE_OPEN, or in a call that is not for recovery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gateways.settlement import tables
from kk99.schema import CallPurpose, EventKind, MarketState

if TYPE_CHECKING:
    from collections.abc import Iterable

    import sqlalchemy as sa

    from gateways.settlement.reference import Block, Record

_STATES: Final = (EventKind.MARKET_STATE_CHANGED, EventKind.INSTRUMENT_STATE_CHANGED)
_TRIPS: Final = (EventKind.BREAKER_TRIPPED, EventKind.BREAKER_ALERT)
_HALTING: Final = (MarketState.HALTED, MarketState.CANCEL_ONLY)
_RESUMED: Final = (MarketState.OPEN, MarketState.CLOSED, MarketState.PRE_OPEN)


class Markets:
    """The halts that last, by instrument."""

    def __init__(self) -> None:
        """Begin with none."""
        self._halts: dict[int, Record] = {}

    def load(self, lasting: Iterable[Record]) -> None:
        """Take the rows of the halts that last."""
        self._halts = {row["instrument_id"]: row for row in lasting}

    def follow(self, block: Block, begin: int, end: int) -> list[tuple[sa.Table, list[Record]]]:
        """Return the rows that some rows of a block make, whole; a halt's comes again when it ends."""
        rows = block.rows[begin:end]
        found = np.flatnonzero(np.isin(rows["kind"], (*_STATES, *_TRIPS)))
        states: list[Record] = []
        trips: list[Record] = []
        halts: dict[tuple[int, int], Record] = {}
        for at in found.tolist():
            row = rows[at]
            if row["kind"] in _TRIPS:
                trips.append(_trip(row))
                continue
            document = block.documents.get(begin + at, {})
            state = _state(row, document)
            states.append(state)
            halt = self._halt(state)
            if halt is not None:
                halts[halt["cause_seq"], halt["instrument_id"]] = dict(halt)
        made = ((tables.instrument_states, states), (tables.breaker_trips, trips), (tables.halts, [*halts.values()]))
        return [(table, rows_) for table, rows_ in made if rows_]

    def _halt(self, state: Record) -> Record | None:
        """Return the halt that a change of state begins or ends, if it does."""
        instrument_id, now = state["instrument_id"], state["state"]
        halt = self._halts.get(instrument_id)
        if halt is None:
            if now not in _HALTING:
                return None
            names = ("instrument_id", "cause_seq", "event_index", "state_reason")
            halt = {name: state[name] for name in names} | {"begin_ns": state["time_ns"], "end_seq": 0, "end_ns": 0}
            self._halts[instrument_id] = halt
            return halt
        is_other_call = now == MarketState.CALL and state["call_purpose"] != CallPurpose.RECOVERY
        if now not in _RESUMED and not is_other_call:
            return None
        del self._halts[instrument_id]
        return halt | {"end_seq": state["cause_seq"], "end_ns": state["time_ns"]}


def _key(row: np.void) -> Record:
    return {
        "instrument_id": int(row["instrument_id"]), "cause_seq": int(row["cause_seq"]),
        "event_index": int(row["index"]), "time_ns": int(row["time_ns"]),
    }  # fmt: skip


def _state(row: np.void, document: Any) -> Record:
    is_own = row["kind"] == EventKind.MARKET_STATE_CHANGED
    return _key(row) | {
        "state": int(row["state"]), "call_purpose": int(row["call_purpose"]),
        "state_reason": int(row["state_reason"]) if is_own else 0,
        "until_ns": int(row["expire_time_ns"]) if is_own else 0,
        "actor": document.get("actor", ""), "reason": document.get("reason", ""),
    }  # fmt: skip


def _trip(row: np.void) -> Record:
    return _key(row) | {
        "is_halt": int(row["kind"] == EventKind.BREAKER_TRIPPED),
        "group_id": int(row["order_id"]) if row["kind"] == EventKind.BREAKER_TRIPPED else 0,
        "breaker_reason": int(row["breaker_reason"]), "price_ticks": int(row["price_ticks"]),
        "measure": int(row["measure"]), "threshold": int(row["threshold"]),
    }  # fmt: skip
