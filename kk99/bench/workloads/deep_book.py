"""Many instruments and a million resting orders, so that every command meets cold memory.

Invariants: half the timed rows add a passive order, 45 % cancel one of the resting orders, each as likely as any
other, 5 % are IOC orders priced to trade; instruments are mildly skewed; an instrument's adds never cross its fixed
middle; prices lie within LEVELS_PER_SIDE ticks of it, denser towards it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kk99.bench.workloads.flow import FLOW, FlowRows, Workload
from kk99.bench.workloads.model import (
    BUY,
    CANCEL,
    NEW,
    SELL,
    Model,
    apply,
    kernel,
    live_count,
    new_model,
    price_of,
    put,
    put_for,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED: Final = 1_000_003
LEVELS_PER_SIDE: Final = 500
DEPTH_MEAN_TICKS: Final = 150
"""Mean distance from the middle of the untruncated geometric law."""
BASE_TICKS: Final = 10_000
"""The lowest price of the first instrument; each next one begins a little higher."""
BASE_STEP_TICKS: Final = 37
TAKER_TICKS: Final = 3
"""How far beyond the best price an IOC is priced."""
QTY_LOTS_MAX: Final = 100
TABLE_SLOTS: Final = 1 << 14
INSTRUMENTS_PER_ACCOUNT: Final = 4


def _instrument_table(instrument_count: int) -> NDArray[np.int32]:
    """A table [TABLE_SLOTS] that maps an even draw to an instrument; the first is about three times the last."""
    weights = 1.0 / np.sqrt(np.arange(instrument_count) + instrument_count / 8.0)
    edges = np.cumsum(weights) / weights.sum()
    picks = np.searchsorted(edges, (np.arange(TABLE_SLOTS) + 0.5) / TABLE_SLOTS)
    return np.minimum(picks, instrument_count - 1).astype(np.int32)


def _depth_table() -> NDArray[np.int32]:
    """A table [TABLE_SLOTS] that maps an even draw to a distance from the middle in ticks, 0 to LEVELS_PER_SIDE - 1."""
    keep = 1.0 - 1.0 / DEPTH_MEAN_TICKS
    edges = np.cumsum(np.multiply.accumulate(np.full(LEVELS_PER_SIDE, keep)))
    picks = np.searchsorted(edges / edges[-1], (np.arange(TABLE_SLOTS) + 0.5) / TABLE_SLOTS)
    return np.minimum(picks, LEVELS_PER_SIDE - 1).astype(np.int32)


@kernel
def _put_add(
    model: Model, row: Any, rng: np.random.Generator, instrument: int, order_id: int, depths: NDArray[np.int32]
) -> None:
    """Fill a passive NEW row at a drawn distance from the instrument's middle."""
    side = BUY if rng.random() < 0.5 else SELL
    depth_ticks = depths[int(rng.random() * TABLE_SLOTS)]
    slot = LEVELS_PER_SIDE - 1 - depth_ticks if side == BUY else LEVELS_PER_SIDE + 1 + depth_ticks
    qty_lots = 1 + int(rng.random() * QTY_LOTS_MAX)
    put(row, NEW, side, 0, order_id, model.base_ticks[instrument] + slot, qty_lots)


@kernel
def _put_taker(model: Model, row: Any, rng: np.random.Generator, instrument: int, order_id: int) -> bool:
    """Fill an IOC row that trades with the best order of the other side; False when there is none."""
    side = BUY if rng.random() < 0.5 else SELL
    best = model.ask_slot[instrument] if side == BUY else model.bid_slot[instrument]
    if best < 0 or best >= model.level_head.shape[1]:
        return False
    slot = best + TAKER_TICKS if side == BUY else best - TAKER_TICKS
    qty_lots = 1 + int(rng.random() * QTY_LOTS_MAX)
    put(row, NEW, side, 1, order_id, model.base_ticks[instrument] + slot, qty_lots)
    return True


@kernel
def _account_of(rng: np.random.Generator, instrument: int, instrument_count: int, account_count: int) -> int:
    """Draw one of the accounts that trade an instrument: each account trades `INSTRUMENTS_PER_ACCOUNT` of them."""
    step = max(instrument_count // INSTRUMENTS_PER_ACCOUNT, 1)
    home = (instrument + step * int(rng.random() * INSTRUMENTS_PER_ACCOUNT)) % instrument_count
    groups = max(account_count // instrument_count, 1)
    return (int(rng.random() * groups) * instrument_count + home) % account_count


@kernel
def _generate(
    model: Model,
    rows: FlowRows,
    rng: np.random.Generator,
    instruments: NDArray[np.int32],
    depths: NDArray[np.int32],
    instrument_count: int,
    account_count: int,
    fill_count: int,
) -> int:
    """Fill `rows`, the first `fill_count` of them with passive orders; the number of ids given."""
    id_count = 0
    for index in range(len(rows)):
        row = rows[index]
        choice = 0.0 if index < fill_count else rng.random()
        if 0.5 <= choice < 0.95 and live_count(model) > 0:
            order_id = model.live_ids[int(rng.random() * live_count(model))]
            put_for(model, row, CANCEL, order_id, price_of(model, order_id))
        else:
            id_count += 1
            instrument = instruments[int(rng.random() * TABLE_SLOTS)]
            row["instrument"] = instrument
            row["account"] = _account_of(rng, instrument, instrument_count, account_count)
            if choice < 0.95 or not _put_taker(model, row, rng, instrument, id_count):
                _put_add(model, row, rng, instrument, id_count, depths)
        apply(model, row)
    return id_count


def deep_book(
    timed_count: int = 4_000_000,
    *,
    seed: int = SEED,
    resting_count: int = 1_000_000,
    instrument_count: int = 100,
    account_count: int = 100_000,
) -> Workload:
    """The deep book: `resting_count` orders as setup, then `timed_count` rows that keep it about as deep."""
    rows = np.zeros(resting_count + timed_count, FLOW)
    bases = BASE_TICKS + BASE_STEP_TICKS * np.arange(instrument_count, dtype=np.int64)
    model = new_model(bases, 2 * LEVELS_PER_SIDE + 1, len(rows))
    rng = np.random.Generator(np.random.PCG64(seed))
    _generate(
        model,
        rows,
        rng,
        _instrument_table(instrument_count),
        _depth_table(),
        instrument_count,
        account_count,
        resting_count,
    )
    return Workload(
        name="deep-book",
        description=(
            f"{instrument_count:,} instruments, {account_count:,} accounts, about {resting_count:,} resting orders "
            f"on up to {LEVELS_PER_SIDE} levels a side; 50 % GTC, 45 % cancel, 5 % IOC that trade"
        ),
        setup=rows[:resting_count],
        timed=rows[resting_count:],
        instrument_count=instrument_count,
        account_count=account_count,
        resting_count_hint=resting_count + resting_count // 4,
    )
