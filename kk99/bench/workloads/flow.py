"""The neutral flow record that every benchmarked engine is fed with, and what a workload is made of.

Invariants: a row is 40 bytes, little-endian, without hidden padding; `order_id` is positive and given once, by a NEW;
CANCEL and REPLACE carry the side, instrument and account of the order that they name.
REPLACE: `qty_lots` is the new open quantity (not the original total) and `price_ticks` the new limit. The order keeps
its place in the queue only if the price is equal and the quantity not larger; otherwise it leaves the book and enters
again as a new limit order of the same id, trading first if its new price crosses. Naming an order that is not resting
is a reject.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

FLOW: Final = np.dtype(
    [
        ("op", "<u1"),  # Op
        ("side", "<u1"),  # Side
        ("ioc", "<u1"),  # 1: what does not trade at once is dropped (NEW only)
        ("pad", "<u1"),
        ("instrument", "<i4"),  # 0-based
        ("account", "<i4"),  # 0-based
        ("qty_lots", "<i4"),  # NEW: ordered; REPLACE: new open quantity; CANCEL: informational
        ("price_ticks", "<i8"),  # CANCEL: informational
        ("order_id", "<i8"),
        ("spare", "<i8"),
    ]
)
assert FLOW.itemsize == 40, f"FLOW has {FLOW.itemsize} bytes"

FlowRows: TypeAlias = NDArray[Any]
"""A one-dimensional array of dtype FLOW."""


class Op(IntEnum):
    """What a row asks for."""

    NEW = 0
    CANCEL = 1
    REPLACE = 2


class Side(IntEnum):
    """The side of the order."""

    BUY = 0
    SELL = 1


@dataclass(frozen=True, slots=True)
class Workload:
    """A flow in two parts: `setup` brings the book to its steady state untimed, `timed` is what the clock sees."""

    name: str
    description: str
    setup: FlowRows
    timed: FlowRows
    instrument_count: int
    account_count: int
    resting_count_hint: int
    """About how many orders rest at the peak: what an engine may reserve beforehand."""


@dataclass(frozen=True, slots=True)
class FlowStats:
    """What the timed part of a flow did to a book: counts of rows, trades and resting orders; levels at the end."""

    command_count: int
    new_count: int
    ioc_count: int
    cancel_count: int
    replace_count: int
    rejected_count: int
    trading_command_count: int
    trade_count: int
    traded_qty_lots: int
    resting_count_min: int
    resting_count_max: int
    resting_count_end: int
    level_count_end: int

    def share(self, count: int) -> float:
        """The count as a share of the timed rows, 0 to 1."""
        return count / self.command_count

    def text(self) -> str:
        """One line for a report."""
        return (
            f"{self.command_count:,} commands: GTC {self.share(self.new_count):.1%}, "
            f"IOC {self.share(self.ioc_count):.1%}, cancel {self.share(self.cancel_count):.1%}, "
            f"replace {self.share(self.replace_count):.1%}; "
            f"rejected {self.share(self.rejected_count):.1%}; {self.share(self.trading_command_count):.1%} trade, "
            f"{self.trade_count:,} trades; resting {self.resting_count_min:,} to {self.resting_count_max:,}, "
            f"at the end {self.resting_count_end:,} on {self.level_count_end:,} levels"
        )
