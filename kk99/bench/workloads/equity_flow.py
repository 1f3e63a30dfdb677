"""One equity-like instrument under five price regimes, after the recipe of the public matching-engine benchmark.

Invariants: `new_count` NEW rows make about twice as many rows; nothing rests before the first; buys are priced along
the first half of the price path and sells along the second, then shuffled, so that a wide swing makes them cross and
thins the book (never quite: the later half is the higher on average, or nothing would stand); buys belong to account
0 and sells to account 1. Some rows name orders that are gone: duplicate cancels, stale replaces.
The recipe is that of flash1-dev/matching-engine-benchmark (MIT); the generator and its random numbers are our own.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

import numpy as np

from kk99.bench.workloads.flow import FLOW, FlowRows, Op, Side, Workload

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED: Final = 1_128
"""At a million new orders its paths leave about as many orders standing, regime by regime, as the benchmark's own."""
MID_TICKS_START: Final = 33_504
IOC_SHARE: Final = 0.15
REPLACE_SHARE: Final = 0.20  # of the orders that are not IOC
REPRICE_SHARE: Final = 0.80  # of the replaces; the others only add a lot
CANCEL_SHARE: Final = 0.95  # of the orders that are not IOC
DUPLICATE_CANCEL_SHARE: Final = 0.02  # of the canceled orders
STALE_REPLACE_SHARE: Final = 0.02  # of the replaced and canceled orders
LIFETIME_MEAN_ARRIVALS: Final = 0.0266
"""Mean life of an order that is canceled, in times between two arrivals: mostly gone before the next order comes."""
HUMP_SHARE: Final = 0.92
HUMP_TICKS: Final = 9.0
HUMP_WIDTH_TICKS: Final = 1.1
TAIL_EXPONENT: Final = 2.23
TAIL_TICKS_MAX: Final = 1_000
QTY_LOTS_MAX: Final = 100


class Regime(Enum):
    """The five regimes; the value is the typical excursion of the price over the run."""

    STATIC = 0.0
    NORMAL = 0.02
    SWING_25 = 0.25
    SWING_40 = 0.40
    FLASH_CRASH = 0.60

    @property
    def label(self) -> str:
        """The name as written in file names and reports."""
        return self.name.lower().replace("_", "-")


def _normal(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Standard normal numbers by Box-Muller, so that the stream does not hang on a library's choice of method."""
    radius = np.sqrt(-2.0 * np.log1p(-rng.random(count)))
    return radius * np.cos(2.0 * np.pi * rng.random(count))


def _mid_ticks(rng: np.random.Generator, regime: Regime, count: int) -> NDArray[np.float64]:
    """A geometric Brownian path [count], its logarithm spread by the swing, the later half made the higher."""
    step = regime.value / np.sqrt(count)
    noise = np.cumsum(_normal(rng, count))
    if noise[count // 2 :].mean() < noise[: count // 2].mean():
        noise = -noise
    path: NDArray[np.float64] = MID_TICKS_START * np.exp(step * noise - 0.5 * step * step * np.arange(1, count + 1))
    return path


def _depth_ticks(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Distances from the mid [count], 1 or more: a hump near HUMP_TICKS over a power law from the touch."""
    hump = np.rint(HUMP_TICKS + HUMP_WIDTH_TICKS * _normal(rng, count))
    weights = np.arange(1, TAIL_TICKS_MAX + 1, dtype=np.float64) ** -TAIL_EXPONENT
    tail = 1 + np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(count))
    depth = np.where(rng.random(count) < HUMP_SHARE, hump, tail)
    return np.clip(depth, 1, TAIL_TICKS_MAX).astype(np.int64)


def _placed(rng: np.random.Generator, regime: Regime, new_count: int) -> FlowRows:
    """The NEW rows [new_count] in order of arrival, their ids 1 to new_count in no order."""
    rows = np.zeros(new_count, FLOW)
    sell = np.arange(new_count) >= new_count // 2
    sign = np.where(sell, 1, -1)
    mid_ticks = np.rint(_mid_ticks(rng, regime, new_count)).astype(np.int64)
    rows["op"] = Op.NEW
    rows["side"] = np.where(sell, Side.SELL, Side.BUY)
    rows["account"] = rows["side"]
    rows["price_ticks"] = np.maximum(mid_ticks + sign * _depth_ticks(rng, new_count), 1)
    rows["qty_lots"] = 1 + (rng.random(new_count) * QTY_LOTS_MAX).astype(np.int32)
    rows["ioc"] = rng.random(new_count) < IOC_SHARE
    rows = rows[np.argsort(rng.random(new_count), kind="stable")]
    rows["order_id"] = 1 + np.argsort(rng.random(new_count), kind="stable")
    return rows


def _followed(rng: np.random.Generator, placed: FlowRows, lifetime_mean_arrivals: float) -> FlowRows:
    """The NEW rows and what follows each of them, sorted by synthetic time in units of arrivals."""
    count = len(placed)
    born = np.arange(count, dtype=np.float64)
    life = lifetime_mean_arrivals * -np.log1p(-rng.random(count))
    standing = placed["ioc"] == 0
    replaced = standing & (rng.random(count) < REPLACE_SHARE)
    canceled = standing & (rng.random(count) < CANCEL_SHARE)
    canceled_twice = canceled & (rng.random(count) < DUPLICATE_CANCEL_SHARE)
    stale = replaced & canceled & (rng.random(count) < STALE_REPLACE_SHARE)
    drift_ticks = np.where(rng.random(count) < 0.5, 1, -1) * (rng.random(count) < REPRICE_SHARE)

    cancel = placed.copy()
    cancel["op"] = Op.CANCEL
    replace = placed.copy()
    replace["op"] = Op.REPLACE
    replace["qty_lots"] += 1
    replace["price_ticks"] = np.maximum(replace["price_ticks"] + drift_ticks, 1)
    rows = np.concatenate([placed, replace[replaced], cancel[canceled], cancel[canceled_twice], replace[stale]])
    times = np.concatenate(
        [
            born,
            (born + life / 2)[replaced],
            (born + life)[canceled],
            (born + life)[canceled_twice],
            (born + life)[stale],
        ]
    )
    return rows[np.argsort(times, kind="stable")]


def equity_flow(
    regime: Regime,
    new_count: int = 1_000_000,
    *,
    seed: int = SEED,
    lifetime_mean_arrivals: float = LIFETIME_MEAN_ARRIVALS,
) -> Workload:
    """The equity flow of a regime: `new_count` NEW rows and their followers, about 2 x `new_count` rows, no setup."""
    rng = np.random.Generator(np.random.PCG64(seed))
    timed = _followed(rng, _placed(rng, regime, new_count), lifetime_mean_arrivals)
    return Workload(
        name=f"equity-{regime.label}",
        description=f"1 instrument, 2 accounts, {new_count:,} new orders, a price that swings by {regime.value:.0%}",
        setup=np.zeros(0, FLOW),
        timed=timed,
        instrument_count=1,
        account_count=2,
        resting_count_hint=max(1_024, new_count // 20),
    )
