"""What the audit commands print: one JSON object, or tables; and how far long work has got.

Invariants: answers go to standard output, progress to standard error; JSON is one object on one line; without a
terminal progress is a plain line now and then.
"""

from __future__ import annotations

import dataclasses
import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

LINE_EVERY_S: Final = 2.0
DRAW_EVERY_S: Final = 0.1
_YEAR_10000_NS: Final = 253_402_300_800 * 10**9
"""What is later has no calendar's name."""


@contextmanager
def progress(label: str, first_seq: int, last_seq: int) -> Iterator[Callable[[int], None]]:
    """Give a function to call with the last sequence done, often; it draws a bar, or prints plain lines."""
    begun = time.monotonic()
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _throttled(
            LINE_EVERY_S, lambda seq: _line(label, seq - first_seq + 1, last_seq, time.monotonic() - begun)
        )
        return
    shown = (
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*shown, console=console, transient=True) as bar:
        task = bar.add_task(label, total=max(1, last_seq - first_seq + 1), rate="")

        def draw(seq: int) -> None:
            done = seq - first_seq + 1
            bar.update(task, completed=done, rate=_rate(done, time.monotonic() - begun))

        yield _throttled(DRAW_EVERY_S, draw)


def _throttled(every_s: float, show: Callable[[int], None]) -> Callable[[int], None]:
    due = time.monotonic() + every_s

    def tell(seq: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            show(seq)
            due = time.monotonic() + every_s

    return tell


def _line(label: str, done: int, last_seq: int, seconds: float) -> None:
    click.echo(f"{label}: {done:,} commands, to seq {last_seq:,}, {_rate(done, seconds)}", err=True)


def _rate(done: int, seconds: float) -> str:
    return f"{done / seconds / 1e6:.2f} M/s" if seconds else ""


def emit(answer: Any, text: str, *, as_json: bool) -> None:
    """Print an answer: a dataclass or plain values as one JSON object, or the text."""
    click.echo(json.dumps(plain(answer)) if as_json else text)


def plain(answer: Any) -> Any:
    """Return an answer as plain values."""
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return dataclasses.asdict(answer)
    return answer


def time_text(time_ns: int) -> str:
    """Return a time as ISO 8601 in UTC, to the nanosecond."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table in plain text: a line of names, a rule, a line for each row; numbers, and "-", to the right."""
    lines = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in [list(head), *lines]) for at in range(len(head))]
    right = [bool(lines) and all(_is_number(row[at]) for row in lines) for at in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(cells, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(head), "  ".join("-" * width for width in widths), *(line(row) for row in lines)])


def _is_number(text: str) -> bool:
    return text == "-" or text.lstrip("-").replace(".", "", 1).replace(",", "").isdecimal()


def fields(named: dict[str, Any], indent: str = "") -> str:
    """Return names and values, one a line, aligned."""
    width = max((len(name) for name in named), default=0)
    return "\n".join(f"{indent}{name:<{width}}  {_value(name, value)}" for name, value in named.items())


def _value(name: str, value: Any) -> str:
    if name in {"time_ns", "expire_time_ns"} and isinstance(value, int) and 0 < value < _YEAR_10000_NS:
        return f"{value}  ({time_text(value)})"
    return json.dumps(value, default=repr) if isinstance(value, dict | list) else str(value)


def event_line(event: dict[str, Any]) -> str:
    """Return an event on one line: where, when, what, then its fields."""
    shown = {
        key: value for key, value in event.items() if key not in {"cause_seq", "index", "time_ns", "kind", "origin_seq"}
    }
    if event.get("origin_seq", event["cause_seq"]) != event["cause_seq"]:
        shown["origin_seq"] = event["origin_seq"]
    rest = " ".join(f"{name}={_value(name, value)}" for name, value in shown.items())
    return (
        f"{event['cause_seq']}.{event.get('index', 0)}  {time_text(event.get('time_ns', 0))}  {event['kind']}  {rest}"
    )
