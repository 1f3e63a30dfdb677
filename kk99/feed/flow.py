"""The flow: timed order instructions with account roles and order numbers of its own, whatever file it came from.

Invariants, checked by `Flow.check`:
- times never decrease, and are nanoseconds from the start of the flow;
- an order number is entered once (ORDER_NEW), and only entered numbers are replaced or canceled, by the same account;
- accounts are indices into `accounts`; prices and quantities are within the venue's bounds.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kk99 import batch, schema
from kk99.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

ROW: Final = np.dtype([
    ("time_ns", "<i8"), ("price_ticks", "<i8"), ("qty_lots", "<i8"), ("order", "<u4"),
    ("op", "u1"), ("account", "u1"), ("side", "u1"), ("style", "u1"),
])  # fmt: skip
"""One instruction, 32 bytes. `op` is a CommandKind of OPS; `order` is the flow's own number, from 1 (0: none)."""

OPS: Final = (
    schema.CommandKind.ORDER_NEW, schema.CommandKind.ORDER_REPLACE, schema.CommandKind.ORDER_CANCEL,
    schema.CommandKind.MASS_CANCEL, schema.CommandKind.INSTRUMENT_STATE,
)  # fmt: skip
ROWS_MAX: Final = 1 << 27
ACCOUNTS_MAX: Final = 256


class Style(enum.IntEnum):
    """How a new order meets the book; for INSTRUMENT_STATE, `style` is the MarketState instead."""

    LIMIT = 0
    POST_ONLY = 1
    IOC = 2
    FOK = 3
    MARKET = 4


@dataclass(frozen=True, slots=True)
class Flow:
    """`rows` is ROW (n,), `instrument` and `accounts` are names at the venue.

    `rotate` lets the accounts change roles from cycle to cycle when the flow is played in a loop, so that positions
    come home. `notes` says what the source had that the flow has not (counts by name).
    """

    rows: batch.Rows
    instrument: str
    accounts: tuple[str, ...]
    rotate: bool = False
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def duration_ns(self) -> int:
        """Time from the start to the last instruction."""
        return int(self.rows["time_ns"][-1]) if len(self.rows) else 0

    def check(self) -> Flow:
        """Return the flow itself if its invariants hold, else raise `InputError` naming the first bad row (from 1)."""
        rows = self.rows
        if not len(rows):
            raise InputError("the flow is empty")
        if not 0 < len(self.accounts) <= ACCOUNTS_MAX or len(set(self.accounts)) != len(self.accounts):
            raise InputError(f"a flow has 1 to {ACCOUNTS_MAX} accounts, all different")
        time_ns, op, order = rows["time_ns"], rows["op"], rows["order"]
        new, change = op == OPS[0], (op == OPS[1]) | (op == OPS[2])
        state, priced = op == OPS[4], new | (op == OPS[1])
        _refuse(~np.isin(op, OPS), "the operation does not exist")
        _refuse(np.concatenate(([time_ns[0] < 0], time_ns[1:] < time_ns[:-1])), "time goes back")
        _refuse(rows["account"] >= len(self.accounts), "the account does not exist")
        _refuse(rows["side"] > schema.Side.SELL, "the side does not exist")
        _refuse(
            (new & (rows["style"] > Style.MARKET)) | (state & (rows["style"] > max(schema.MarketState))),
            "the style does not exist",
        )
        _refuse(new & (rows["side"] == schema.Side.BOTH), "a new order needs a side")
        for name, bound in (("price_ticks", schema.PRICE_TICKS_MAX), ("qty_lots", schema.QTY_LOTS_MAX)):
            _refuse(priced & ((rows[name] < 0) | (rows[name] > bound)), f"{name} is outside 0 to {bound}")
        _refuse((new | change) & (order == 0), "the order has no number")
        self._check_orders(new, change)
        return self

    def _check_orders(self, new: Any, change: Any) -> None:
        """Refuse an order number that is entered twice, or used before it is entered, or by another account."""
        rows = self.rows
        at = np.flatnonzero(new)
        numbers, first = np.unique(rows["order"][at], return_index=True)
        twice = np.ones(len(at), bool)
        twice[first] = False
        bad = np.zeros(len(rows), bool)
        bad[at[twice]] = True
        _refuse(bad, "the order number was entered before")
        at_change = np.flatnonzero(change)
        if not len(at_change):
            return
        wanted = rows["order"][at_change]
        place = np.minimum(np.searchsorted(numbers, wanted), max(len(numbers) - 1, 0))
        known = numbers[place] == wanted if len(numbers) else np.zeros(len(wanted), bool)
        bad = np.zeros(len(rows), bool)
        bad[at_change[~known]] = True
        _refuse(bad, "no order of this number was entered")
        entry = at[first[place]]
        bad[at_change[(entry > at_change) | (rows["account"][entry] != rows["account"][at_change])]] = True
        _refuse(bad, "the order is another account's, or entered later")


def _refuse(bad: Any, text: str) -> None:
    if bad.any():
        raise InputError(f"row {int(np.argmax(bad)) + 1}: {text}")


def rows_of(records: Iterable[tuple[int, ...]]) -> batch.Rows:
    """Return ROW (n,) from tuples in the order of ROW's fields."""
    return np.array(list(records), ROW)
