"""One instrument and a small steady book under the mix of commands of exchange-core's published performance test.

Invariants: about 10 % GTC, 2 % IOC, 6 % cancels and 82 % moves (a new price, the same quantity); the resting count
stays near its target because a lack of orders makes NEW likelier and CANCEL rarer; every row names an order that
rests.
The mix is that of the tests of exchange-core (Apache-2.0); the generator is our own.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from kk99.bench.workloads.flow import FLOW, FlowRows, Workload
from kk99.bench.workloads.model import (
    BUY,
    BUY_COUNT,
    CANCEL,
    LAST_PRICE,
    NEW,
    REPLACE,
    SELL,
    SELL_COUNT,
    Model,
    apply,
    kernel,
    live_count,
    new_model,
    price_of,
    put,
    put_for,
)

SEED: Final = 2_019
PRICE_TICKS_MAX: Final = 80_000
PRICE_TICKS_START: Final = 40_000
DEPTH_TICKS: Final = 8_000
"""How far from the last trade a new order may be placed."""
TAKER_SHARE: Final = 0.16
"""The share of GTC orders priced to trade at once."""
TAKER_TICKS: Final = 200
"""How far beyond the last trade an order that means to trade is priced."""
WARM_UP_COMMANDS_PER_ORDER: Final = 40
"""Setup goes on for so many commands per resting order, until the spread of prices has settled."""


@kernel
def _put_new(model: Model, row: Any, rng: np.random.Generator, order_id: int, ioc: int, account_count: int) -> None:
    """Fill a NEW row: a small order that takes what is there (every IOC, some GTC), or a larger passive one."""
    lack = (model.counts[SELL_COUNT] - model.counts[BUY_COUNT]) / (live_count(model) + 1.0)
    side = BUY if rng.random() < 0.5 + lack else SELL
    sign = -1 if side == BUY else 1
    takes, deep, near, size = rng.random(), rng.random(), rng.random(), rng.random()
    if ioc or takes < TAKER_SHARE:
        price_ticks = model.counts[LAST_PRICE] - sign * TAKER_TICKS
        qty_lots = 1 + int(4 * size)
    else:
        price_ticks = model.counts[LAST_PRICE] + sign * (1 + int(deep * deep * deep * deep * deep * near * DEPTH_TICKS))
        qty_lots = 4 + int(56 * size * size)
    price_ticks = min(max(price_ticks, 1), PRICE_TICKS_MAX - 1)
    put(row, NEW, side, ioc, order_id, price_ticks, qty_lots)
    row["instrument"] = 0
    row["account"] = int(rng.random() * account_count)


@kernel
def _moved_price_ticks(model: Model, rng: np.random.Generator, order_id: int) -> int:
    """One hundredth of the way to the last trade and up to two ticks; from there, a tick up or down."""
    price_ticks = price_of(model, order_id)
    gap_ticks = model.counts[LAST_PRICE] - price_ticks
    extra_ticks = int(3 * rng.random())
    if gap_ticks > 0:
        price_ticks += (gap_ticks + 99) // 100 + extra_ticks
    elif gap_ticks < 0:
        price_ticks -= (-gap_ticks + 99) // 100 + extra_ticks
    else:
        price_ticks += 1 if rng.random() < 0.5 else -1
    return min(max(price_ticks, 1), PRICE_TICKS_MAX - 1)


@kernel
def _generate(
    model: Model, rows: FlowRows, rng: np.random.Generator, resting_count: int, account_count: int, fill_count: int
) -> int:
    """Fill `rows`, the first `fill_count` of them with GTC orders; the number of ids given."""
    id_count = 0
    for index in range(len(rows)):
        row = rows[index]
        lack = (resting_count - live_count(model)) / (resting_count / 8.0)
        lack = min(max(lack, -1.0), 1.0)
        choice = rng.random()
        if index < fill_count or choice < 0.10 + 0.04 * lack or live_count(model) == 0:
            id_count += 1
            _put_new(model, row, rng, id_count, 0, account_count)
        elif choice < 0.12 + 0.04 * lack:
            id_count += 1
            _put_new(model, row, rng, id_count, 1, account_count)
        else:
            order_id = model.live_ids[int(rng.random() * live_count(model))]
            if choice > 0.94 + 0.04 * lack:
                put_for(model, row, CANCEL, order_id, price_of(model, order_id))
            else:
                put_for(model, row, REPLACE, order_id, _moved_price_ticks(model, rng, order_id))
        apply(model, row)
        model.counts[LAST_PRICE] = min(
            max(model.counts[LAST_PRICE], 2 * DEPTH_TICKS), PRICE_TICKS_MAX - 2 * DEPTH_TICKS
        )
    return id_count


def exchange_mix(
    timed_count: int = 3_000_000, *, seed: int = SEED, resting_count: int = 1_000, account_count: int = 1_000
) -> Workload:
    """The exchange-core mix: `timed_count` rows on about `resting_count` orders on three quarters as many levels."""
    setup_count = resting_count * (1 + WARM_UP_COMMANDS_PER_ORDER)
    rows = np.zeros(setup_count + timed_count, FLOW)
    model = new_model(np.zeros(1, np.int64), PRICE_TICKS_MAX, len(rows))
    model.counts[LAST_PRICE] = PRICE_TICKS_START
    _generate(model, rows, np.random.Generator(np.random.PCG64(seed)), resting_count, account_count, resting_count)
    return Workload(
        name="exchange-mix",
        description=(
            f"1 instrument, {account_count:,} accounts, about {resting_count:,} resting orders; "
            "10 % GTC, 2 % IOC, 6 % cancel, 82 % move"
        ),
        setup=rows[:setup_count],
        timed=rows[setup_count:],
        instrument_count=1,
        account_count=account_count,
        resting_count_hint=2 * resting_count,
    )
