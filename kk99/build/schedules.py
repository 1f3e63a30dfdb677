"""Slices of scheduled orders: TWAP, VWAP, POV and implementation shortfall, worked out before the order is sent.

Invariants, each a test:
- lots are whole lot steps and sum to the quantity exactly, by largest remainder; no slice is a lot step away from its
  share;
- offsets rise strictly from 0 and lie before the end, so `build.algo_order` takes what is returned;
- floats weigh the slices of implementation shortfall, and enter no row: what is returned is whole numbers.

Formulas, their sources and worked examples: `docs/explanation/execution-algorithms.md`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from kk99.errors import InputError
from kk99.schema import SLICES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Slices = list[tuple[int, int]]
"""(nanoseconds since the order's start, lots) each."""
DAY_NS: Final = 86_400 * 1_000_000_000
URGENCY_MAX: Final = 700.0
"""The largest urgency: beyond it all is traded at once anyhow, and `cosh` would overflow."""


def allocate(qty_lots: int, weights: Sequence[float | Fraction], lot_step: int = 1) -> list[int]:
    """Return lots for each weight, whole lot steps that sum to the quantity, by largest remainder.

    Each weight gets the whole steps of its share, and those left over go one each to the largest remainders, of equal
    ones to the earliest (Hamilton's method). `InputError` for a quantity that is no positive number of lot steps, or
    weights that are negative, not finite, or all 0.
    """
    if lot_step < 1 or qty_lots < 1 or qty_lots % lot_step:
        raise InputError(f"the quantity must be a positive number of lot steps of {lot_step}, not {qty_lots}")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        raise InputError("weights must be finite, not negative, and not all 0")
    exact = [Fraction(weight) for weight in weights]
    steps, total = qty_lots // lot_step, sum(exact)
    shares = [steps * weight / total for weight in exact]
    parts = [math.floor(share) for share in shares]
    by_remainder = sorted(range(len(parts)), key=lambda at: (parts[at] - shares[at], at))
    for at in by_remainder[: steps - sum(parts)]:
        parts[at] += 1
    return [part * lot_step for part in parts]


def offsets(duration_ns: int, count: int) -> list[int]:
    """Return `count` times that part a duration evenly: number i is at `i * duration_ns // count`, the first at 0."""
    _check_count(count)
    if duration_ns < count:
        raise InputError(f"{duration_ns} ns are too short for {count} slices")
    return [number * duration_ns // count for number in range(count)]


def twap(qty_lots: int, duration_ns: int, count: int, lot_step: int = 1) -> Slices:
    """Return the slices of a time-weighted order: as much in each of `count` equal times."""
    times = offsets(duration_ns, count)
    return list(zip(times, allocate(qty_lots, [1] * count, lot_step), strict=True))


def vwap(qty_lots: int, duration_ns: int, profile: Sequence[float | Fraction], lot_step: int = 1) -> Slices:
    """Return the slices of a volume-weighted order: a profile has the volume expected in each of its equal times."""
    times = offsets(duration_ns, len(profile))
    return list(zip(times, allocate(qty_lots, profile, lot_step), strict=True))


def measured_profile(trades: Iterable[tuple[int, int]], start_time_ns: int, duration_ns: int, count: int) -> list[int]:
    """Return the lots that traded in each of `count` equal times of the day, over all days of the trades.

    `trades` are (time_ns, lots); one counts if its time of day lies within `duration_ns` (a day at most) from that of
    `start_time_ns` on, whatever its day. The times are those of `offsets`.
    """
    begins = offsets(duration_ns, count)
    if duration_ns > DAY_NS:
        raise InputError("a profile is measured over a day at most")
    profile = [0] * count
    for time_ns, lots in trades:
        since_ns = (time_ns - start_time_ns) % DAY_NS
        if since_ns < duration_ns:
            profile[bisect_right(begins, since_ns) - 1] += lots
    return profile


def pov(qty_lots: int, duration_ns: int, every_ns: int) -> Slices:
    """Return the slices of a share-of-volume order: all is due at once, looked at `every_ns` until the end.

    The share itself is the order's `participation_ppm`.
    """
    return retried([(0, qty_lots)], duration_ns, every_ns)


def retried(slices: Slices, duration_ns: int, every_ns: int) -> Slices:
    """Return slices with empty ones behind them, `every_ns` until the end: what is still due then has another chance.

    `InputError` when that makes more than SLICES_MAX, or the slices do not end before the duration.
    """
    last_ns = slices[-1][0]
    if every_ns < 1 or last_ns >= duration_ns:
        raise InputError(f"looking every {every_ns} ns after {last_ns} ns does not fit into {duration_ns} ns")
    count = (duration_ns - 1 - last_ns) // every_ns
    if len(slices) + count > SLICES_MAX:
        raise InputError(f"that would be {len(slices) + count} slices; a schedule has at most {SLICES_MAX}")
    return [*slices, *((last_ns + number * every_ns, 0) for number in range(1, count + 1))]


def _check_count(count: int) -> None:
    if not 1 <= count <= SLICES_MAX:
        raise InputError(f"a schedule has 1 to {SLICES_MAX} slices, not {count}")


# Implementation shortfall ---------------------------------------------------------------------------------------------


def shortfall(qty_lots: int, duration_ns: int, count: int, urgency: float, lot_step: int = 1) -> Slices:
    """Return the slices of an implementation-shortfall order: the more urgent, the more of it is traded early.

    `urgency` is that of `urgency_of`, from 0 (then it is `twap`) to URGENCY_MAX.
    """
    times = offsets(duration_ns, count)
    return list(zip(times, allocate(qty_lots, shortfall_weights(count, urgency), lot_step), strict=True))


def shortfall_weights(count: int, urgency: float) -> list[float]:
    """Return the weights of an optimal trade list: slice j of n weighs `cosh(urgency * (1 - (j - 1/2) / n))`.

    Source: R. Almgren, N. Chriss, *Optimal execution of portfolio transactions*, Journal of Risk 3(2), 2000, the trade
    list of section 2.3, less its factor that all slices share; `urgency` is its kappa times the duration.
    """
    _check_count(count)
    if not 0 <= urgency <= URGENCY_MAX:
        raise InputError(f"the urgency must be 0 to {URGENCY_MAX:.0f}, not {urgency}")
    return [math.cosh(urgency * (1 - (number + 0.5) / count)) for number in range(count)]


def urgency_of(
    *,
    risk_aversion: float,
    volatility: float,
    temporary_impact: float,
    permanent_impact: float,
    duration: float,
    count: int,
) -> float:
    """Return kappa times the duration of Almgren and Chriss (source: see `shortfall_weights`).

    With T the duration and tau = T / count: eta' = eta - gamma * tau / 2, kappa'^2 = lambda * sigma^2 / eta', and
    kappa = acosh(kappa'^2 * tau^2 / 2 + 1) / tau. Units go together: the price moves by `volatility` (sigma) in the
    root of one unit of time, by `temporary_impact` (eta) for each lot per unit of time, by `permanent_impact` (gamma)
    for each lot; `risk_aversion` (lambda) is in the inverse of price times lots. `InputError` unless all are finite,
    none is below 0, and eta' is above 0.
    """
    _check_count(count)
    given = (risk_aversion, volatility, temporary_impact, permanent_impact, duration)
    if not all(math.isfinite(value) and value >= 0 for value in given) or duration == 0:
        raise InputError("impacts, volatility and risk aversion must be finite and not negative, the duration above 0")
    step = duration / count
    eta = temporary_impact - permanent_impact * step / 2
    if eta <= 0:
        raise InputError("the temporary impact must be above half of the permanent impact of one slice's time")
    return count * math.acosh(risk_aversion * volatility * volatility / eta * step * step / 2 + 1)
