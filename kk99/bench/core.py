"""`kk99 bench core`: what a command costs in the core with everything on, beside a plain C++ book on the same flow.

- Everything is on: matching, ledger, fees, checks of funds and limits, client ids, events, and the conservation check
  after each batch.
- The core's runs and the yardstick's take turns, and the medians count, since a machine's speed drifts.
- An untimed run comes first: it gives the venue's order ids, its trades must be the yardstick's one by one, and every
  timed run must end in the same state.
"""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np

from kk99 import batch, schema
from kk99.bench import flows, venue
from kk99.bench.results import Result
from kk99.bench.workloads import Regime, equity_flow
from kk99.bench.yardstick import YardstickResult, YardstickUnavailable, run_yardstick, trade_hash
from kk99.errors import InvariantError
from kk99.schema import EventKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from kk99.bench.options import Options
    from kk99.bench.venue import Scenario, Words
    from kk99.machine import Machine

BENCH: Final = "core"
BATCH_ROWS: Final = 1024
"""Rows of a call in the timed runs: the events of a larger batch leave the nearest caches (see the batch_… figures)."""
BATCHES: Final = (256, 512, 1024, 2048, 4096)
CALLS: Final = (1, 64)
CHUNKS: Final = 5
REPETITIONS: Final = 5
BOOK_SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
_PERCENTILES: Final = {"p50": 50, "p99": 99, "p999": 99.9}


@dataclass(frozen=True, slots=True)
class Comparison:
    """The core and the yardstick on one flow: medians of nanoseconds per command."""

    ns: float
    chunk_ns: tuple[float, ...]
    by_client_id_ns: float
    yardstick_ns: float | None
    yardstick_chunk_ns: tuple[float, ...]

    @property
    def ratio(self) -> float | None:
        """The yardstick's time over ours."""
        return self.yardstick_ns / self.ns if self.yardstick_ns else None

    def results(self, name: str) -> list[Result]:
        """Return the flow's figures."""
        theirs = self.yardstick_ns
        return [
            Result(BENCH, f"{name}.ratio", self.ratio, "x", 1.0 if theirs else None),
            Result(BENCH, f"{name}.ns_per_command", self.ns, "ns", theirs),
            Result(BENCH, f"{name}.messages_per_s", 1e9 / self.ns, "1/s", 1e9 / theirs if theirs else None),
            Result(BENCH, f"{name}.by_client_id.ns_per_command", self.by_client_id_ns, "ns"),
        ]

    def growth(self, name: str) -> list[Result]:
        """Return the cost in each stretch of the run."""
        theirs: tuple[float | None, ...] = self.yardstick_chunk_ns or (None,) * CHUNKS
        return [
            Result(BENCH, f"{name}.fifth_{number}.ns_per_command", ns, "ns", other)
            for number, (ns, other) in enumerate(zip(self.chunk_ns, theirs, strict=True), 1)
        ]


def run(options: Options) -> list[Result]:
    """Return every figure of the bench."""
    found: list[Result] = []
    mix = venue.scenario(flows.mix(options))
    compared = compare(mix, options)
    found += compared.results("exchange_mix") + compared.growth("exchange_mix")
    found += batch_sizes(mix, options) + calls(mix, options)
    del mix
    deep = venue.scenario(flows.deep(options))
    compared = compare(deep, options)
    found += compared.results("deep_book") + compared.growth("deep_book")
    found += conservation(deep)
    del deep
    found += equity(options)
    found += book_sizes(options)
    return found


# One flow -------------------------------------------------------------------------------------------------------------


def compare(scenario: Scenario, options: Options, repetitions: int = REPETITIONS) -> Comparison:
    """Check the core's trades against the yardstick's, then time both in turns."""
    workload, repetitions = scenario.workload, options.pick(repetitions, 1)
    options.say(f"{workload.name}: {workload.description}; {len(scenario.timed):,} commands")
    reference = checked(scenario)
    theirs = _yardstick(scenario)
    if isinstance(theirs, YardstickUnavailable):
        options.say(f"{workload.name}: no yardstick, no ratio: {theirs.reason}")
    else:
        reference.compare(workload.name, theirs)
    by_client_id = [sum(_timed(scenario, reference)) for _ in range(repetitions)]
    venue.address_by_order_id(scenario.rows, scenario.flow, reference.order_ids)
    ours, others = [], []
    for number in range(repetitions):
        ours.append(_timed(scenario, reference))
        if isinstance(theirs, YardstickResult):
            theirs = _yardstick(scenario)
            assert isinstance(theirs, YardstickResult)
            others.append(theirs)
        options.say(f"{workload.name}: run {number + 1} of {repetitions}")
    scale = 1e9 / len(scenario.timed)
    return Comparison(
        ns=median(map(sum, ours)) * scale,
        chunk_ns=_medians(ours, scale * CHUNKS),
        by_client_id_ns=median(by_client_id) * scale,
        yardstick_ns=median(other.command_ns for other in others) if others else None,
        yardstick_chunk_ns=_medians([other.chunk_command_ns for other in others], 1.0),
    )


@dataclass(frozen=True, slots=True)
class Reference:
    """What the untimed run came to."""

    order_ids: Words
    """By the flow's order id."""
    trades: list[tuple[int, int, int, int, int]]
    """(instrument, price_ticks, qty_lots, maker id, taker id) of the timed commands, in the flow's ids."""
    rejected_count: int
    event_count: int
    state_hash: bytes

    def compare(self, name: str, theirs: YardstickResult) -> None:
        """Raise InvariantError unless trades and rejects are the yardstick's."""
        ours = (len(self.trades), self.rejected_count, trade_hash(self.trades))
        if ours != (theirs.trade_count, theirs.rejected_count, theirs.trade_hash):
            raise InvariantError(
                f"{name}: {ours[0]} trades, {ours[1]} rejects, hash {ours[2]:016x} where the yardstick has "
                f"{theirs.trade_count}, {theirs.rejected_count}, {theirs.trade_hash:016x}"
            )


def checked(scenario: Scenario) -> Reference:
    """Run a scenario whose commands name orders by client id, untimed, and keep what it came to."""
    machine = scenario.machine(with_setup=False)
    first_timed_seq = machine.seq + 1 + scenario.setup_count
    lo_of, _ = venue.client_ids(np.arange(int(scenario.flow["order_id"].max()) + 1))
    accepted: list[Words] = []
    trades: list[Words] = []
    rejected_count = event_count = 0
    for rows in venue.applied(machine, venue.plain(scenario.rows)):
        news = rows[rows["kind"] == EventKind.ORDER_ACCEPTED]
        accepted.append(np.stack([news["client_id_lo"], news["order_id"]]))
        timed = rows[rows["cause_seq"] >= first_timed_seq]
        fills = timed[timed["kind"] == EventKind.TRADE]
        columns = ("instrument_id", "price_ticks", "qty_lots", "contra_order_id", "order_id")
        trades.append(np.stack([fills[name].astype(np.int64) for name in columns]))
        rejected_count += int(np.count_nonzero(timed["kind"] == EventKind.REJECTED))
        event_count += len(timed)
    lo, ids = np.concatenate(accepted, axis=1)
    by_lo = np.argsort(lo_of)
    numbers = by_lo[np.searchsorted(lo_of, lo, sorter=by_lo)]
    order_ids = np.zeros(len(lo_of), np.int64)
    order_ids[numbers] = ids
    by_id = np.argsort(ids)
    found = np.concatenate(trades, axis=1)
    for column in (3, 4):  # the venue's order ids are the flow's again
        found[column] = numbers[by_id[np.searchsorted(ids, found[column], sorter=by_id)]]
    found[0] -= 1
    return Reference(order_ids, list(map(tuple, found.T.tolist())), rejected_count, event_count, machine.state_hash())


def _yardstick(scenario: Scenario) -> YardstickResult | YardstickUnavailable:
    workload = scenario.workload
    hint = workload.resting_count_hint
    return run_yardstick(workload.setup, workload.timed, resting_count_hint=hint, chunk_count=CHUNKS)


def _timed(scenario: Scenario, reference: Reference, batch_rows: int = BATCH_ROWS) -> tuple[float, ...]:
    """Run the timed commands and return the seconds of each of CHUNKS equal parts."""
    machine, rows = scenario.machine(), scenario.timed
    edges = [len(rows) * number // CHUNKS for number in range(CHUNKS + 1)]
    parts = [venue.plain(rows[begin:end]) for begin, end in itertools.pairwise(edges)]
    seconds, events = [], 0
    for part in parts:
        began = time.perf_counter()
        events += venue.apply_all(machine, part, batch_rows)
        seconds.append(time.perf_counter() - began)
    if events != reference.event_count or machine.state_hash() != reference.state_hash:
        raise InvariantError(f"{scenario.workload.name}: a timed run ended in another state than the checked one")
    return tuple(seconds)


def _medians(runs: list[tuple[float, ...]], scale: float) -> tuple[float, ...]:
    return tuple(median(column) * scale for column in zip(*runs, strict=True))


# More of the same -----------------------------------------------------------------------------------------------------


def equity(options: Options) -> list[Result]:
    """Compare every regime of the equity flow; the worst one counts."""
    found: dict[str, Comparison] = {}
    for regime in Regime:
        scenario = venue.scenario(equity_flow(regime, options.pick(1_000_000, 2_000)))
        found[regime.name.lower()] = compare(scenario, options, repetitions=3)
    worst = min(found.values(), key=lambda one: one.ratio or -one.ns)
    results = worst.results("equity_flow")
    for name, one in found.items():
        results += one.results(f"equity_flow.{name}")[:2]
    return results


def book_sizes(options: Options) -> list[Result]:
    """Return the cost per command against the number of resting orders, and what each doubling adds."""
    results, ours, theirs = [], [], []
    for size in BOOK_SIZES:
        scenario = venue.scenario(flows.deep(options, 500_000, size))
        one = compare(scenario, options, repetitions=3)
        ours.append(one.ns)
        theirs.append(one.yardstick_ns)
        results.append(Result(BENCH, f"book_{size}.ns_per_command", one.ns, "ns", one.yardstick_ns))
    doublings = math.log2(BOOK_SIZES[-1] / BOOK_SIZES[0])
    other = (theirs[-1] - theirs[0]) / doublings if theirs[-1] and theirs[0] else None
    return [*results, Result(BENCH, "book.ns_per_doubling", (ours[-1] - ours[0]) / doublings, "ns", other)]


def batch_sizes(scenario: Scenario, options: Options) -> list[Result]:
    """Return the cost per command against the rows of a call; a scenario already compared."""
    results = []
    for rows in BATCHES:
        machine = scenario.machine()
        began = time.perf_counter()
        venue.apply_all(machine, venue.plain(scenario.timed), rows)
        ns = (time.perf_counter() - began) * 1e9 / len(scenario.timed)
        results.append(Result(BENCH, f"batch_{rows}.ns_per_command", ns, "ns"))
    options.say(f"batches: the timed runs have {BATCH_ROWS} rows in a call")
    return results


def calls(scenario: Scenario, options: Options) -> list[Result]:
    """Return percentiles of the time of one call of few commands, with its conservation check."""
    results = []
    for rows in CALLS:
        count = min(options.pick(200_000, 100), len(scenario.timed) // rows)
        us = _call_us(scenario.machine(), scenario.timed, rows, count)
        results += [
            Result(BENCH, f"call_{rows}.{name}_us", float(np.percentile(us, share)), "us")
            for name, share in _PERCENTILES.items()
        ]
        options.say(f"calls of {rows}: {count:,} timed")
    return results


def _call_us(machine: Machine, timed: batch.Rows, rows: int, count: int) -> npt.NDArray[np.float64]:
    ns = np.zeros(count, np.int64)
    clock = time.perf_counter_ns
    for number in range(count):
        part = venue.plain(timed[number * rows : (number + 1) * rows])
        began = clock()
        machine.apply(part)
        machine.check()
        ns[number] = clock() - began
    return ns / 1000


def conservation(scenario: Scenario) -> list[Result]:
    """Return the conservation check's cost for each command of a batch, and of a full batch of the engine's."""
    machine, count = scenario.machine(), 1_000
    began = time.perf_counter()
    for _ in range(count):
        machine.check()
    ns = (time.perf_counter() - began) * 1e9 / count
    return [
        Result(BENCH, "conservation.ns_per_command", ns / BATCH_ROWS, "ns"),
        Result(BENCH, "conservation.ns_per_batch", ns, "ns"),
        Result(BENCH, "conservation.ns_per_command_of_full_batch", ns / schema.BATCH_ROWS_MAX, "ns"),
    ]
