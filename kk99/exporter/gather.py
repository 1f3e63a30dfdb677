"""Gathers the figures of all processes that report in a run folder, and puts them into Prometheus's families.

Invariant: a process that does not answer in time, or wrongly, costs its own figures and shows as down; never those of
the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from kk99.metrics.figures import Counts, Figures, FiguresError
from kk99.metrics.reporter import ask, reporting
from kk99.metrics.series import SERIES, Kind, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from kk99.metrics.series import Series

ASK_S: Final = 1.0
"""How long a process has for its answer."""
EXPORTER: Final = "exporter"

log = structlog.get_logger("metrics")


@dataclass(slots=True)
class Gathered:
    """The figures of each process that answered, and whether each that is known or expected did."""

    figures: dict[str, Figures] = field(default_factory=dict)
    up: dict[str, bool] = field(default_factory=dict)

    def value(self, process: str, name: str, *labels: str) -> float | None:
        """Return one sample, None when there is none; of a histogram its sum."""
        found = self.figures.get(process)
        value = None if found is None else found.samples.get(name, {}).get(labels)
        return value.total if isinstance(value, Counts) else value

    def samples(self) -> Iterator[tuple[Series, tuple[str, ...], float | int | Counts]]:
        """Yield every sample with the labels' values as they are served, series by series."""
        for name, series in SERIES.items():
            if name == "kk99_process_up":
                for process, is_up in sorted(self.up.items()):
                    yield series, (process,), int(is_up)
                continue
            for process, figures in sorted(self.figures.items()):
                for labels, value in figures.samples.get(name, {}).items():
                    is_of_process = len(series.served_labels) > len(series.labels)
                    yield series, (process, *labels) if is_of_process else labels, value


def gather(folder: Path, expected: Iterable[str] = (), without: Collection[str] = ()) -> Gathered:
    """Ask every process that has its socket in a folder; those that are expected and have none are down."""
    found = Gathered(up={name: False for name in expected if name not in without})
    for name, path in reporting(folder).items():
        if name in without:
            continue
        found.up[name] = False
        try:
            found.figures[name] = ask(path, ASK_S)
        except OSError:
            continue  # it was killed, or is too busy to answer: it shows as down
        except FiguresError as error:
            log.error("figures not understood", of=name, reason=str(error))  # noqa: TRY400 - no trace is of use here
            continue
        found.up[name] = True
    return found


def followers(found: Gathered) -> dict[str, int]:
    """Return the sequence that each process which follows the events has come to."""
    seqs = {name: found.value(name, "kk99_follower_seq") for name in found.figures}
    return {name: int(seq) for name, seq in seqs.items() if seq is not None}


def families(found: Gathered) -> list[Any]:
    """Return the samples as Prometheus's families, each series once."""
    made: dict[str, Any] = {}
    for series, labels, value in found.samples():
        family = made.get(series.name)
        if family is None:
            family = made[series.name] = _family(series)
        if isinstance(value, Counts):
            family.add_metric(labels, buckets(series, value), value.total / series.per_unit)
        else:
            family.add_metric(labels, value)
    return list(made.values())


def _family(series: Series) -> Any:
    kinds = {Kind.COUNTER: CounterMetricFamily, Kind.GAUGE: GaugeMetricFamily, Kind.HISTOGRAM: HistogramMetricFamily}
    return kinds[series.kind](series.name, series.about, labels=series.served_labels)


def buckets(series: Series, value: Counts) -> list[tuple[str, int]]:
    """Return (upper bound, how many are at or below it) of a histogram, as Prometheus has it."""
    total, made = 0, []
    bounds = [str(bound / series.per_unit) for bound in series.bounds]
    for bound, count in zip([*bounds, "+Inf"], value.counts, strict=True):
        total += count
        made.append((bound, total))
    return made


def quantile(series: Series, value: Counts, share: float) -> float | None:
    """Return the upper bound of the bucket that holds a quantile, in the served unit; None when it has none."""
    wanted, below = sum(value.counts) * share, 0
    for bound, count in zip(series.bounds, value.counts, strict=False):
        below += count
        if wanted and below >= wanted:
            return bound / series.per_unit
    return None


def is_known(name: str) -> bool:
    """Return whether a name, also with a histogram's ending, is that of a declared series."""
    base = name
    for ending in ("_bucket", "_sum", "_count"):
        if base.endswith(ending) and SERIES.get(base.removesuffix(ending)) is not None:
            return SERIES[base.removesuffix(ending)].kind is Kind.HISTOGRAM
    return base in SERIES


__all__ = ["EXPORTER", "Gathered", "Source", "buckets", "families", "followers", "gather", "is_known", "quantile"]
