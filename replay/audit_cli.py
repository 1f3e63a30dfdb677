"""The `kk99 replay audit` commands: a day's records for those who supervise the venue, and their proof."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - click looks at the types
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from journal.reader import Reader
from kk99.paths import DataDir
from replay import audit as audit_of
from replay import render

_data = click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), envvar="KK99_DATA",
    help="The venue's data folder.",
)  # fmt: skip
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def audit() -> None:
    """Export a day's orders and executions with a signed manifest, or check such an export."""


@audit.command("export")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@_data
@_json
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The UTC day.")
def export(out: Path, data: Path | None, day: dt.datetime, *, as_json: bool) -> None:
    """Write a UTC day's orders and executions as Parquet into OUT, with the manifest audit-DAY.json."""
    paths = DataDir(data or Path("var"))
    with Reader(paths.journal) as reader, render.progress("audit", 1, reader.head().seq) as tell:
        fields = audit_of.export(paths, reader, day.date(), out, tell)
    lines = [f"{file['rows']:,} rows in {out / file['name']}" for file in fields["files"]]
    lines.append(f"signed in {out / audit_of.manifest_name(day.date())}")
    render.emit(fields, "\n".join(lines), as_json=as_json)


@audit.command("check")
@click.argument("manifest", type=click.Path(dir_okay=False, path_type=Path))
@_data
@_json
@click.option("--public-key", help="Key that must have signed it, hexadecimal (default: the one that it names).")
def check(manifest: Path, data: Path | None, public_key: str | None, *, as_json: bool) -> None:
    """Check that MANIFEST is signed and its files are unchanged; with --data, that the journal is the one it names."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)) if public_key else None
    except ValueError as error:
        raise click.UsageError(f"--public-key: {error}") from error
    if data is None:
        fields = audit_of.check(manifest, None, key)
    else:
        with Reader(DataDir(data).journal) as reader:
            fields = audit_of.check(manifest, reader, key)
    journal = "" if data is None else ", the journal holds its batch"
    text = f"{manifest}: signed by {fields['public_key']}, {len(fields['files'])} files unchanged{journal}"
    render.emit(fields, text, as_json=as_json)
