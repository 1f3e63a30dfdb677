"""Many records as they come, a line each: as a table in pages, as JSON, or as CSV.

Invariants, each a test:
- no more than a page is held; what goes to a terminal waits in a file until the progress bar there is gone;
- a CSV begins with the names of its columns, even if nothing follows.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tempfile
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

from replay import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Columns = Mapping[str, Callable[[Any], int | str | None]]
    """Name of a column, and its value in a record."""

PAGE_ROWS: Final = 1000
SPOOL_BYTES: Final = 1 << 20
NOTHING: Final = "-"


class Output(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> int:
        """Write text."""

    def writelines(self, lines: Iterable[str], /) -> None:
        """Write lines that have their ends."""


@contextmanager
def output() -> Iterator[Output]:
    """Give standard output to write to while a progress bar is drawn."""
    out = sys.stdout  # as it is now: a bar takes its place, and would bring what is printed to standard error
    if not out.isatty():
        yield out
        return
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES, "w+", encoding="utf-8", newline="") as spool:
        try:
            yield spool
        finally:
            spool.seek(0)
            shutil.copyfileobj(spool, out)


def write_json(records: Iterable[Any], columns: Columns, out: Output) -> None:
    """Write one JSON object a record."""
    out.writelines(json.dumps({name: value(record) for name, value in columns.items()}) + "\n" for record in records)


def write_csv(records: Iterable[Any], columns: Columns, out: Output) -> None:
    """Write comma-separated values; what is not there is an empty field."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for record in records:
        writer.writerow([value(record) for value in columns.values()])


def write_table(records: Iterable[Any], columns: Columns, out: Output) -> None:
    """Write a table for people, a page at a time, each with its own widths."""
    coming = iter(records)
    while page := list(islice(coming, PAGE_ROWS)):
        rows = [[_cell(value(record)) for value in columns.values()] for record in page]
        out.write(render.table(list(columns), rows) + "\n")


def _cell(value: int | str | None) -> str:
    return NOTHING if value is None else str(value)


WRITERS: Final = {"table": write_table, "json": write_json, "csv": write_csv}
