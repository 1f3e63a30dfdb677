"""Prints records for people, as JSON, or as comma-separated values."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

_WIDTH_MIN: Final = 200
"""A table is not broken below this width: it is for files and pagers too."""
_NOTHING: Final = "nothing in these days"


def print_record(found: dict[str, Any], *, as_json: bool) -> None:
    """Print one record: a line for each of its fields, or JSON."""
    if as_json:
        click.echo(json.dumps(found))
        return
    width = max(map(len, found))
    for name, value in found.items():
        click.echo(f"{name:<{width}}  {value:,}" if isinstance(value, int) else f"{name:<{width}}  {value}")


def print_records(rows: Iterable[dict[str, Any]], *, as_json: bool, as_csv: bool, empty: str = _NOTHING) -> None:
    """Print rows as JSON lines, as CSV, or as a table, which says `empty` when there are none."""
    table = Table(box=None, pad_edge=False)
    writer = None
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - how many there were
        if as_json:
            click.echo(json.dumps(row))
        elif as_csv:
            if writer is None:
                writer = csv.DictWriter(sys.stdout, list(row))
                writer.writeheader()
            writer.writerow(row)
        else:
            if not table.columns:
                for name in row:
                    table.add_column(name, justify="right", no_wrap=True)
            table.add_row(*map(str, row.values()))
    if not as_json and not as_csv:
        if count:
            Console(width=max(Console().width, _WIDTH_MIN), highlight=False).print(table)
        else:
            click.echo(empty)
