"""The small book that the generators consult to know what rests, and that measures what a flow does.

Invariants: prices of an instrument lie in [base, base + width), one array slot each; a price is never bid and asked
at once; order ids are 1 to a capacity fixed when the model is made, and index the order columns directly. It is a
bookkeeper, not a contender: nothing here is timed. Kernels also run with the JIT off, to the same numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit

from kk99.bench.workloads.flow import FLOW, FlowRows, FlowStats, Op, Side

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Function = TypeVar("Function", bound="Callable[..., Any]")

NEW: Final = int(Op.NEW)
CANCEL: Final = int(Op.CANCEL)
REPLACE: Final = int(Op.REPLACE)
BUY: Final = int(Side.BUY)
SELL: Final = int(Side.SELL)

# Slots of Model.counts
BUY_COUNT: Final = 0  # resting orders by side: the slot is the side
SELL_COUNT: Final = 1
LEVEL_COUNT: Final = 2
TRADE_COUNT: Final = 3
TRADED_QTY: Final = 4
LAST_PRICE: Final = 5
COUNTS: Final = 6


def kernel(function: Function) -> Function:
    """Compile the function without changing its type."""
    return cast("Function", njit(nogil=True)(function))


class Model(NamedTuple):
    """The book as flat int arrays: per level [instrument, width], per order [id], per instrument, and counts."""

    level_head: NDArray[np.int32]
    level_tail: NDArray[np.int32]
    base_ticks: NDArray[np.int64]
    bid_slot: NDArray[np.int64]  # best bid's level, -1 when there is none
    ask_slot: NDArray[np.int64]  # best ask's level, width when there is none
    order_next: NDArray[np.int32]
    order_prev: NDArray[np.int32]
    order_qty: NDArray[np.int32]
    order_level: NDArray[np.int32]
    order_side: NDArray[np.int8]
    order_instrument: NDArray[np.int32]
    order_account: NDArray[np.int32]
    live_position: NDArray[np.int32]  # per order: where it stands in live_ids, -1 when it does not rest
    live_ids: NDArray[np.int32]
    counts: NDArray[np.int64]


def new_model(base_ticks: NDArray[np.int64], width: int, order_capacity: int) -> Model:
    """An empty book of `len(base_ticks)` instruments, `width` price slots each, for order ids 1 to `order_capacity`."""
    instruments = len(base_ticks)
    columns = [np.zeros(order_capacity + 1, np.int32) for _ in range(6)]
    return Model(
        level_head=np.zeros((instruments, width), np.int32),
        level_tail=np.zeros((instruments, width), np.int32),
        base_ticks=base_ticks.astype(np.int64),
        bid_slot=np.full(instruments, -1, np.int64),
        ask_slot=np.full(instruments, width, np.int64),
        order_next=columns[0],
        order_prev=columns[1],
        order_qty=columns[2],
        order_level=columns[3],
        order_side=np.zeros(order_capacity + 1, np.int8),
        order_instrument=columns[4],
        order_account=columns[5],
        live_position=np.full(order_capacity + 1, -1, np.int32),
        live_ids=np.zeros(order_capacity + 1, np.int32),
        counts=np.zeros(COUNTS, np.int64),
    )


@kernel
def live_count(model: Model) -> int:
    """How many orders rest."""
    return int(model.counts[BUY_COUNT] + model.counts[SELL_COUNT])


@kernel
def link(model: Model, order_id: int) -> None:
    """Put an order, its columns filled, at the end of its level's queue."""
    instrument, level, side = model.order_instrument[order_id], model.order_level[order_id], model.order_side[order_id]
    tail = model.level_tail[instrument, level]
    model.order_prev[order_id] = tail
    model.order_next[order_id] = 0
    model.level_tail[instrument, level] = order_id
    if tail:
        model.order_next[tail] = order_id
    else:
        model.level_head[instrument, level] = order_id
        model.counts[LEVEL_COUNT] += 1
        if side == BUY:
            model.bid_slot[instrument] = max(model.bid_slot[instrument], level)
        else:
            model.ask_slot[instrument] = min(model.ask_slot[instrument], level)
    position = live_count(model)
    model.live_ids[position] = order_id
    model.live_position[order_id] = position
    model.counts[side] += 1


@kernel
def unlink(model: Model, order_id: int) -> None:
    """Take a resting order out of its queue and out of the live ids; step the best price when its level empties."""
    instrument, level, side = model.order_instrument[order_id], model.order_level[order_id], model.order_side[order_id]
    before, after = model.order_prev[order_id], model.order_next[order_id]
    if before:
        model.order_next[before] = after
    else:
        model.level_head[instrument, level] = after
    if after:
        model.order_prev[after] = before
    else:
        model.level_tail[instrument, level] = before
    if not before and not after:
        model.counts[LEVEL_COUNT] -= 1
        heads = model.level_head[instrument]
        if side == BUY and level == model.bid_slot[instrument]:
            slot = level
            while slot >= 0 and heads[slot] == 0:
                slot -= 1
            model.bid_slot[instrument] = slot
        elif side == SELL and level == model.ask_slot[instrument]:
            slot = level
            while slot < len(heads) and heads[slot] == 0:
                slot += 1
            model.ask_slot[instrument] = slot
    model.counts[side] -= 1
    last = live_count(model)
    position = model.live_position[order_id]
    moved = model.live_ids[last]
    model.live_ids[position] = moved
    model.live_position[moved] = position
    model.live_position[order_id] = -1


@kernel
def match(model: Model, order_id: int) -> int:
    """Trade an order that does not rest (its columns filled) against the other side; its open quantity afterwards."""
    instrument, level, side = model.order_instrument[order_id], model.order_level[order_id], model.order_side[order_id]
    open_lots = model.order_qty[order_id]
    while open_lots > 0:
        best = model.ask_slot[instrument] if side == BUY else model.bid_slot[instrument]
        if best < 0 or best >= model.level_head.shape[1] or (best > level if side == BUY else best < level):
            break
        maker = model.level_head[instrument, best]
        fill_lots = min(open_lots, model.order_qty[maker])
        open_lots -= fill_lots
        model.order_qty[maker] -= fill_lots
        model.counts[TRADE_COUNT] += 1
        model.counts[TRADED_QTY] += fill_lots
        model.counts[LAST_PRICE] = model.base_ticks[instrument] + best
        if model.order_qty[maker] == 0:
            unlink(model, maker)
    model.order_qty[order_id] = open_lots
    return int(open_lots)


@kernel
def apply(model: Model, row: Any) -> bool:
    """Do what one FLOW row asks; whether it was accepted."""
    order_id, op = row["order_id"], row["op"]
    resting = model.live_position[order_id] >= 0
    if resting == (op == NEW):
        return False
    level = row["price_ticks"] - model.base_ticks[row["instrument"]]
    if op == REPLACE and level == model.order_level[order_id] and row["qty_lots"] <= model.order_qty[order_id]:
        model.order_qty[order_id] = row["qty_lots"]
        return True
    if op != NEW:
        unlink(model, order_id)
    if op == CANCEL:
        return True
    model.order_instrument[order_id] = row["instrument"]
    model.order_account[order_id] = row["account"]
    model.order_side[order_id] = row["side"]
    model.order_level[order_id] = level
    model.order_qty[order_id] = row["qty_lots"]
    if match(model, order_id) > 0 and not (op == NEW and row["ioc"]):
        link(model, order_id)
    return True


@kernel
def put(row: Any, op: int, side: int, ioc: int, order_id: int, price_ticks: int, qty_lots: int) -> None:
    """Fill one FLOW row except instrument and account."""
    row["op"] = op
    row["side"] = side
    row["ioc"] = ioc
    row["order_id"] = order_id
    row["price_ticks"] = price_ticks
    row["qty_lots"] = qty_lots


@kernel
def put_for(model: Model, row: Any, op: int, order_id: int, price_ticks: int) -> None:
    """Fill one CANCEL or REPLACE row for a resting order, its open quantity unchanged."""
    put(row, op, model.order_side[order_id], 0, order_id, price_ticks, model.order_qty[order_id])
    row["instrument"] = model.order_instrument[order_id]
    row["account"] = model.order_account[order_id]


@kernel
def price_of(model: Model, order_id: int) -> int:
    """The limit price of an order, in ticks."""
    return int(model.base_ticks[model.order_instrument[order_id]] + model.order_level[order_id])


@kernel
def _replay(model: Model, rows: FlowRows, tally: NDArray[np.int64]) -> None:
    """Apply rows; tally: per kind (GTC, CANCEL, REPLACE, IOC), rejected, trading commands, least and most resting."""
    for index in range(len(rows)):
        row = rows[index]
        trades_before = model.counts[TRADE_COUNT]
        tally[3 if row["ioc"] and row["op"] == NEW else row["op"]] += 1
        if not apply(model, row):
            tally[4] += 1
        if model.counts[TRADE_COUNT] != trades_before:
            tally[5] += 1
        resting_count = live_count(model)
        tally[6] = min(tally[6], resting_count)
        tally[7] = max(tally[7], resting_count)


def measure(setup: FlowRows, timed: FlowRows) -> FlowStats:
    """Run a flow through the model and report on its timed part; memory goes with instruments x price range."""
    rows = np.concatenate([setup, timed]) if len(setup) else timed
    assert rows.dtype == FLOW, f"rows are {rows.dtype}, not FLOW"
    priced = rows[rows["op"] != CANCEL]
    low, high = int(priced["price_ticks"].min()), int(priced["price_ticks"].max())
    bases = np.full(int(rows["instrument"].max()) + 1, low, np.int64)
    model = new_model(bases, high - low + 1, int(rows["order_id"].max()))
    unused = np.zeros(8, np.int64)
    _replay(model, setup, unused)
    trades_before, qty_before = int(model.counts[TRADE_COUNT]), int(model.counts[TRADED_QTY])
    resting_count = live_count(model)
    tally = np.array([0, 0, 0, 0, 0, 0, resting_count, resting_count], np.int64)
    _replay(model, timed, tally)
    counted = [int(count) for count in tally]
    return FlowStats(
        command_count=len(timed),
        new_count=counted[0],
        ioc_count=counted[3],
        cancel_count=counted[1],
        replace_count=counted[2],
        rejected_count=counted[4],
        trading_command_count=counted[5],
        trade_count=int(model.counts[TRADE_COUNT]) - trades_before,
        traded_qty_lots=int(model.counts[TRADED_QTY]) - qty_before,
        resting_count_min=counted[6],
        resting_count_max=counted[7],
        resting_count_end=live_count(model),
        level_count_end=int(model.counts[LEVEL_COUNT]),
    )
