"""What trades that settle later leave owed: an obligation for each account, asset and value date, from the events.

The rules are those of `docs/explanation/settlement-cycles.md`. That an obligation is due depends on the clock, so no
table says it: `state_on` does.

Invariants, each a test:
- the obligations that are open are the core's, to the unit, and per asset they sum to the CLEARING account's balance;
- the rows depend on the events alone, not on how they are divided into calls.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gateways.settlement import ledger, tables
from gateways.settlement import rows as rows_of
from gateways.settlement.cycles import Cycles
from gateways.settlement.rows import Write
from gateways.settlement.terms import DAY_NS, ObligationState
from kk99 import schema
from kk99.schema import EventKind

if TYPE_CHECKING:
    from gateways.settlement.reference import Block, Sizes
    from gateways.settlement.rows import Rows, Words

Owed = tuple[int, int, int]
"""Account, asset and value date."""
_COLUMNS: Final = rows_of.dtype_of(tables.obligations).names or ()
_INSTRUMENTS: Final = (EventKind.INSTRUMENT_DEFINED, EventKind.INSTRUMENT_CHANGED)
_OF_CYCLES: Final = (*_INSTRUMENTS, EventKind.SETTLEMENT_CALENDAR_DEFINED)
SETTLING: Final = (EventKind.OBLIGATION_SETTLED, EventKind.OBLIGATION_FAILED, EventKind.PENALTY_PAID)


def state_on(state: int, value_date: int, date: int) -> ObligationState:
    """Return how an obligation in a stored state stands on a date: one that is pending is due from its value date."""
    if state == ObligationState.PENDING and value_date <= date:
        return ObligationState.DUE
    return ObligationState(state)


class _Obligation:
    """A row of the table, by its columns."""

    __slots__ = _COLUMNS

    def __init__(self, values: tuple[int, ...]) -> None:
        for name, value in zip(_COLUMNS, values, strict=True):
            setattr(self, name, value)


_values: Final = attrgetter(*_COLUMNS)


def _opened(key: Owed, row: np.void) -> Any:
    """Return an obligation of nothing yet, opened by a trade."""
    made: Any = _Obligation((*key, *(0,) * (len(_COLUMNS) - len(key))))
    made.state, made.opened_seq, made.opened_ns = ObligationState.PENDING, int(row["cause_seq"]), int(row["time_ns"])
    return made


class Obligations:
    """The open obligations, and the cycles by which trades settle."""

    def __init__(self) -> None:
        """Begin with none."""
        self.cycles = Cycles()
        self._open: dict[Owed, Any] = {}
        self._changed: dict[Owed, Any] = {}

    def load(self, open_rows: Rows) -> None:
        """Take the rows of the table that are open."""
        for values in open_rows.tolist():
            self._open[values[:3]] = _Obligation(values)

    def follow(self, block: Block, begin: int, end: int, trades: Rows, trades_at: Words, sizes: Sizes) -> list[Write]:
        """Take some rows of a block in, give its trades their value dates; return what is to be written.

        `trades` are the table's rows of the TRADE events, (n,), `trades_at` their places among the rows of the stretch.
        """
        rows = block.rows[begin:end]
        of_cycles = np.flatnonzero(np.isin(rows["kind"], _OF_CYCLES))
        is_later = self.cycles.are_later(trades["instrument_id"])
        if len(of_cycles):  # what settles later from here on, or did until here
            is_later |= np.isin(trades["instrument_id"], rows["instrument_id"][of_cycles])
        later = np.flatnonzero(is_later)
        settling = np.flatnonzero(np.isin(rows["kind"], SETTLING))
        numbers = dict(zip(trades_at[later].tolist(), later.tolist(), strict=True))
        legs = ledger.legs_of(trades, sizes) if numbers else None
        for at in sorted([*of_cycles.tolist(), *numbers, *settling.tolist()]):
            row = rows[at]
            if at in numbers:
                assert legs is not None
                trades["value_date"][numbers[at]] = self._owe(row, legs, numbers[at])
            elif row["kind"] == EventKind.SETTLEMENT_CALENDAR_DEFINED:
                self.cycles.set_calendar(block.documents[begin + at])
            elif row["kind"] in _INSTRUMENTS:
                self.cycles.set_instrument(int(row["instrument_id"]), block.documents[begin + at])
            else:
                self._settle(row)
        return self.changes()

    def amend(self, event: Rows, before: Rows, after: Rows | None, sizes: Sizes) -> tuple[int, int]:
        """Take a bust (`after` None) or correction of a trade in; return who gives and gets what buyer and seller did.

        That is CLEARING as long as what the trade left owed is open, then the account itself.
        """
        legs, date = ledger.legs_of(before, sizes), int(before["value_date"][0])
        cost, lots = -legs.received_cost, -legs.lots
        if after is not None:
            now = ledger.legs_of(after, sizes)
            cost, lots = cost + now.received_cost, lots + now.lots
        made = []
        for account, asset, units in ((legs.buyer, legs.base, lots), (legs.seller, legs.quote, cost)):
            owed = self._open.get((int(account[0]), int(asset[0]), date))
            if owed is not None:
                owed.amount_units += int(units[0])
                self._change(owed, event[0])
            made.append(int(account[0]) if owed is None else schema.CLEARING_ACCOUNT)
        return made[0], made[1]

    def changes(self) -> list[Write]:
        """Return the rows that changed since the last call, whole."""
        if not self._changed:
            return []
        rows = np.array([_values(one) for one in self._changed.values()], rows_of.dtype_of(tables.obligations))
        self._changed = {}
        return [Write(tables.obligations, rows, "replace")]

    def _owe(self, row: np.void, legs: ledger.Legs, number: int) -> int:
        """Owe what a trade brings its sides; return its value date, 0 if it settled at once."""
        date = self.cycles.value_date(int(row["instrument_id"]), int(row["time_ns"]) // DAY_NS)
        if date == 0 or len(self._open) + 2 >= schema.OBLIGATIONS_MAX:
            return 0
        for account, asset, units in (
            (legs.seller, legs.quote, legs.received_cost), (legs.buyer, legs.base, legs.lots),
        ):  # fmt: skip
            key = int(account[number]), int(asset[number]), date
            owed = self._open.get(key)
            if owed is None:
                owed = self._open[key] = _opened(key, row)
            owed.amount_units += int(units[number])
            self._change(owed, row)
        return date

    def _settle(self, row: np.void) -> None:
        """Take what became of an obligation."""
        owed = self._open[int(row["account_id"]), int(row["asset_id"]), int(row["order_id"])]
        seq, time_ns = int(row["cause_seq"]), int(row["time_ns"])
        if row["kind"] == EventKind.PENALTY_PAID:
            owed.penalty_units += int(row["amount_units"])
        elif row["kind"] == EventKind.OBLIGATION_FAILED:
            owed.state, owed.reason = ObligationState.FAILED, int(row["price_ticks"])
            owed.failed_seq, owed.failed_ns = seq, time_ns
        else:
            owed.state = ObligationState.SETTLED
            owed.settled_seq, owed.settled_ns = seq, time_ns
            del self._open[owed.account_id, owed.asset_id, owed.value_date]
        self._change(owed, row)

    def _change(self, owed: Any, row: np.void) -> None:
        owed.last_seq = int(row["cause_seq"])
        self._changed[owed.account_id, owed.asset_id, owed.value_date] = owed
