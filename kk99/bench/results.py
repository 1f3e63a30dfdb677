"""What a benchmark gives back: figures with their bars, as one JSON object or as a table that marks each shortfall.

Invariants: every bar is declared in `BARS` and nowhere else; a figure that could not be taken has no value, and the
progress output says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from rich.table import Table

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must reach, and what it should."""

    must: float
    goal: float | None
    lower_is_better: bool = False


BARS: Final[dict[str, Bar]] = {
    "core.exchange_mix.ratio": Bar(2.5, 5),
    "core.deep_book.ratio": Bar(2.5, 5),
    "core.equity_flow.ratio": Bar(2.5, 5),
    "core.call_1.p99_us": Bar(10, 2, lower_is_better=True),
    "core.call_64.p99_us": Bar(20, 5, lower_is_better=True),
    "triggers.place_cancel_ns": Bar(1_000, 300, lower_is_better=True),
    "triggers.untouched_extra_ns": Bar(20, 5, lower_is_better=True),
    "triggers.cascade_call_p100_us": Bar(1_000, 200, lower_is_better=True),
    "auction.uncross_ms": Bar(20, 5, lower_is_better=True),
    "fix.parse_ns": Bar(400, 200, lower_is_better=True),
    "fix.encode_ns": Bar(600, 300, lower_is_better=True),
    "fix.rest.orders_per_s": Bar(400_000, 1_000_000),
    "fix.cross.orders_per_s": Bar(250_000, 600_000),
    "fix.sessions_256.orders_per_s": Bar(40_000, 100_000),
    "fix.round_trip.p50_over_us": Bar(400, 200, lower_is_better=True),
    "fix.round_trip.p99_ratio": Bar(4, 2, lower_is_better=True),
    "fix.quickfix.ratio": Bar(10, 30),
    "engine.durable.commands_per_s": Bar(1_000_000, 3_000_000),
    "engine.round_trip.p50_over_us": Bar(300, 150, lower_is_better=True),
    "engine.round_trip.p99_ratio": Bar(3, 2, lower_is_better=True),
    "replay.commands_per_s": Bar(5_000_000, 15_000_000),
    "recover.seconds": Bar(3, 1, lower_is_better=True),
    "recover.lost": Bar(0, None, lower_is_better=True),
    "recover.deep_book.seconds": Bar(3, 1, lower_is_better=True),
    "recover.deep_book.lost": Bar(0, None, lower_is_better=True),
    "startup.warm.seconds": Bar(3, 1, lower_is_better=True),
    "startup.cold.seconds": Bar(60, 30, lower_is_better=True),
    "memory.rss_bytes": Bar(768 * MIB, 450 * MIB, lower_is_better=True),
    "history.query_p99_ms": Bar(10, 2, lower_is_better=True),
    "history.sqlite.events_per_s": Bar(50_000, 200_000),
    "history.postgres.events_per_s": Bar(30_000, 150_000),
    "web.broadcast.ratio": Bar(0.75, 1.3),
    "web.websocket.sessions_at_50ms": Bar(2_000, 5_000),
    "web.websocket.held": Bar(10_000, 10_000),
    "web.websocket.held_p99_ms": Bar(250, 50, lower_is_better=True),
    "web.read.requests_per_s": Bar(8_000, 15_000),
    "web.read.p99_ms": Bar(20, 10, lower_is_better=True),
    "web.page.gzip_kb": Bar(250, 150, lower_is_better=True),
    "snapshot.stall_ms": Bar(10, None, lower_is_better=True),
}
"""By bench and id."""


@dataclass(frozen=True, slots=True)
class Result:
    """One figure; `yardstick` is the yardstick's own, in the same unit. None where there is none."""

    bench: str
    id: str
    value: float | None
    unit: str
    yardstick: float | None = None

    @property
    def bar(self) -> Bar | None:
        """The figure's bar, if it has one."""
        return BARS.get(f"{self.bench}.{self.id}")

    @property
    def verdict(self) -> str:
        """How the figure stands to its bar; empty without a bar."""
        bar = self.bar
        if bar is None:
            return ""
        if self.value is None:
            return "not measured"
        sign = -1 if bar.lower_is_better else 1
        if sign * self.value < sign * bar.must:
            return "MUST MISSED"
        if bar.goal is not None and sign * self.value < sign * bar.goal:
            return "goal missed"
        return "ok"

    def fields(self, prefix: str = "") -> dict[str, Any]:
        """Return the figure as it stands in the JSON object."""
        bar = self.bar
        return {
            "id": prefix + self.id,
            "value": self.value,
            "unit": self.unit,
            "must": bar and bar.must,
            "goal": bar and bar.goal,
            "yardstick": self.yardstick,
        }


def document(bench: str, machine: dict[str, Any], results: list[Result]) -> dict[str, Any]:
    """Return the JSON object of one bench, or of several as `bench`, their ids then begin with the bench's name."""
    fields = [result.fields("" if result.bench == bench else f"{result.bench}.") for result in results]
    return {"bench": bench, "machine": machine, "results": fields}


def results_of(found: dict[str, Any]) -> list[Result]:
    """Return the figures of a bench's JSON object."""
    return [
        Result(found["bench"], item["id"], item["value"], item["unit"], item["yardstick"]) for item in found["results"]
    ]


def table(machine: dict[str, Any], results: list[Result], *, quick: bool) -> Table:
    """Return the figures as a table, each beside its bar and yardstick."""
    caption = ", ".join(f"{name} {value}" for name, value in machine.items())
    title = "tiny sizes: these figures say nothing about the venue" if quick else None
    shown = Table(title=title, caption=caption, caption_justify="left")
    for name in ("bench", "figure"):
        shown.add_column(name, no_wrap=True)
    for name in ("value", "yardstick", "must", "goal"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("unit", no_wrap=True)
    shown.add_column("", no_wrap=True)
    before = ""
    for result in results:
        if before and result.bench != before:
            shown.add_section()
        before = result.bench
        bar, verdict = result.bar, result.verdict
        numbers = [result.value, result.yardstick, bar.must if bar else None, bar.goal if bar else None]
        style = {"MUST MISSED": "bold red", "goal missed": "yellow", "ok": "green"}.get(verdict, "")
        cells = [number_text(number) for number in numbers]
        shown.add_row(result.bench, result.id, *cells, result.unit, f"[{style}]{verdict}[/]" if style else verdict)
    return shown


def number_text(number: float | None) -> str:
    """Return a number for a person: three significant digits, or whole from 1,000 on."""
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
