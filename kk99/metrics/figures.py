"""Figures of one process at one moment: counts kept as plain integers, gathered and encoded only when asked for.

Invariants: counting is a few list and integer operations, without a lock: each count has one writer, and a reader may
see a moment between two; what comes from another process is checked before it is believed.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from kk99.metrics.series import SERIES, Kind, Series

BYTES_MAX: Final = 4 << 20
"""An encoded set of figures is not longer."""
LABEL_CHARS_MAX: Final = 200
"""What is kept of a label's value."""


class FiguresError(ValueError):
    """Bytes are no figures; the text says why."""


class Histogram:
    """Counts by the first of the rising bounds that is not below the value; those above all of them come last."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, name: str) -> None:
        """Begin to count for the series of that name."""
        self._bounds = SERIES[name].bounds
        self.counts = [0] * (len(self._bounds) + 1)
        self.total = 0
        """Sum of all that was counted."""

    def count(self, value: int, times: int = 1) -> None:
        """Count a value, in the unit of the bounds."""
        self.counts[bisect_left(self._bounds, value)] += times
        self.total += value * times


@dataclass(frozen=True, slots=True)
class Counts:
    """A histogram as it was read: counts by bound (the last: above all bounds), and the sum of what was counted."""

    counts: tuple[int, ...]
    total: float


Value = int | float | Counts
Labels = tuple[str, ...]


class Figures:
    """Figures of the process of that name, by series and values of its labels."""

    def __init__(self, process: str) -> None:
        self.process = process
        self.samples: dict[str, dict[Labels, Value]] = {}

    def add(self, name: str, value: Value | Histogram, *labels: str) -> None:
        """Add a sample of a declared series; the labels' values stand in the order of its labels."""
        series = SERIES[name]
        if isinstance(value, Histogram):
            value = Counts(tuple(value.counts), float(value.total))
        assert _fault(series, labels, value) == "", f"{name}: {_fault(series, labels, value)}"
        self.samples.setdefault(name, {})[tuple(label[:LABEL_CHARS_MAX] for label in labels)] = value

    def encode(self) -> bytes:
        """Return the figures as bytes."""
        samples = {
            name: [[labels, _plain(value)] for labels, value in found.items()] for name, found in self.samples.items()
        }
        data: bytes = msgpack.packb({"process": self.process, "samples": samples})
        return data


def decode(data: bytes) -> Figures:
    """Return the figures that the bytes are, or raise `FiguresError`; series that are not declared here are left out.

    Another release may have others.
    """
    if len(data) > BYTES_MAX:
        raise FiguresError(f"more than {BYTES_MAX} bytes")
    try:
        document = msgpack.unpackb(data, raw=False, strict_map_key=True)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise FiguresError("not msgpack") from error
    if not isinstance(document, dict) or not isinstance(document.get("samples"), dict):
        raise FiguresError("no map of samples")
    process = document.get("process")
    if not isinstance(process, str):
        raise FiguresError("it does not say of which process")
    figures = Figures(process[:LABEL_CHARS_MAX])
    for name, found in document["samples"].items():
        if name in SERIES:
            _take(figures, SERIES[name], found)
    return figures


def _take(figures: Figures, series: Series, found: Any) -> None:
    if not isinstance(found, list):
        raise FiguresError(f"{series.name}: not a list of samples")
    for sample in found:
        if not isinstance(sample, list) or len(sample) != 2 or not isinstance(sample[0], list):
            raise FiguresError(f"{series.name}: a sample is not labels and a value")
        labels, value = tuple(sample[0]), sample[1]
        if series.kind is Kind.HISTOGRAM:
            if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], list):
                raise FiguresError(f"{series.name}: no counts and their sum")
            value = Counts(tuple(value[0]), value[1])
        if fault := _fault(series, labels, value):
            raise FiguresError(f"{series.name}: {fault}")
        figures.add(series.name, value, *labels)


def _plain(value: Value) -> Any:
    return [value.counts, value.total] if isinstance(value, Counts) else value


def _fault(series: Series, labels: tuple[Any, ...], value: Any) -> str:
    """Return what is wrong with a sample, "" if nothing is."""
    if len(labels) != len(series.labels) or not all(isinstance(label, str) for label in labels):
        return f"{len(labels)} labels where {len(series.labels)} texts are declared"
    if series.kind is not Kind.HISTOGRAM:
        return "" if _is_number(value) else "not a finite number"
    if not isinstance(value, Counts) or not _is_number(value.total):
        return "no histogram"
    if len(value.counts) != len(series.bounds) + 1:
        return f"{len(value.counts)} counts where {len(series.bounds) + 1} are declared"
    if not all(type(count) is int and count >= 0 for count in value.counts):
        return "a count is not a whole number from 0 on"
    return ""


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and math.isfinite(value)
