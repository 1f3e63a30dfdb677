"""The standard workloads at the sizes of a run: as their figures ask for, or tiny."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99.bench.workloads import deep_book, exchange_mix

if TYPE_CHECKING:
    from kk99.bench.options import Options
    from kk99.bench.workloads import Workload


def mix(options: Options, timed_count: int = 3_000_000) -> Workload:
    """Return the exchange mix: 1 instrument, 1,000 accounts, about 1,000 resting orders."""
    return exchange_mix(
        options.pick(timed_count, 4_000), resting_count=options.pick(1_000, 100), account_count=options.pick(1_000, 50)
    )


def deep(
    options: Options, timed_count: int = 4_000_000, resting_count: int = 1_000_000, instrument_count: int = 100
) -> Workload:
    """Return the deep book: 100 instruments and 100,000 accounts, by default with 1,000,000 resting orders."""
    return deep_book(
        options.pick(timed_count, 8_000),
        resting_count=options.pick(resting_count, max(resting_count // 1_000, 1)),
        instrument_count=options.pick(instrument_count, 10),
        account_count=options.pick(100_000, 100),
    )
