"""`kk99 journal`: look at the journal, prove it, copy it, cut it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from journal import head as heads
from journal import keys
from journal.backup import backup as make_backup
from journal.reader import Reader
from journal.truncation import truncate as cut
from journal.verify import verify as verify_journal
from kk99.paths import DataDir

_data = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var"),
    envvar="KK99_DATA",
    show_default=True,
    help="The venue's data directory.",
)


@click.group()
def journal() -> None:
    """Look at the journal, prove it, copy it, cut it."""


@journal.command()
@_data
def head(data: Path) -> None:
    """Print the signed head: a line of JSON for outsiders to keep."""
    paths = DataDir(data)
    with Reader(paths.journal, any_release=True) as reader:
        click.echo(heads.sign(reader.head(), keys.load_or_create(paths.keys)))


@journal.command()
@_data
@click.option("--json", "as_json", is_flag=True, help="Print one object instead of lines.")
def verify(data: Path, as_json: bool) -> None:
    """Verify every batch and every seal; ends with 1 if anything is wrong."""
    paths = DataDir(data)
    report = verify_journal(paths.journal)
    if as_json:
        fields = dataclasses.asdict(report)
        fields["stretches"] = [stretch._asdict() for stretch in report.stretches]
        fields["problems"] = [problem._asdict() for problem in report.problems]
        click.echo(json.dumps({**fields, "head_hash": report.head_hash.hex()}))
    else:
        click.echo(f"commands {report.first_seq} to {report.last_seq}: {report.rows} in {report.batches} batches")
        click.echo(f"segments {report.segments}, sealed {report.sealed}; epochs {len(report.epochs)}")
        for stretch in report.stretches:
            click.echo(f"release {stretch.release} for {stretch.first_seq} to {stretch.last_seq}")
        for truncation in report.truncations:
            click.echo(f"cut after {truncation['after_seq']} by {truncation['actor']}: {truncation['reason']}")
        for problem in report.problems:
            click.echo(f"damaged {problem.text}")
        click.echo(f"head {report.head_hash.hex()}")
    if report.problems:
        raise click.exceptions.Exit(1)


@journal.command()
@_data
@click.option("--after", "after_seq", type=int, required=True, help="The last sequence that stays: the end of a batch.")
@click.option("--actor", required=True, help="Who orders it.")
@click.option("--reason", required=True, help="Why.")
def truncate(data: Path, after_seq: int, actor: str, reason: str) -> None:
    """Cut everything after a sequence off a journal at rest, and record it; what is cut is kept aside in `cut/`."""
    click.echo(json.dumps(cut(DataDir(data).journal, after_seq, actor=actor, reason=reason)))


@journal.command()
@_data
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
def backup(data: Path, target: Path) -> None:
    """Copy the journal, which may be in use, to the new folder TARGET; prints the copy's signed head."""
    paths = DataDir(data)
    key = keys.load_or_create(paths.keys)
    click.echo(heads.sign(make_backup(paths.journal, target, key).head, key))
