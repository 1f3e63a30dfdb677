"""`kk99 config`: judges the files that an operator edits, and shows what the settings come to."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from gateways.fix.settings import FixSettings
from gateways.settlement.settings import SettlementSettings
from kk99 import config as settings
from kk99.directory import documents
from kk99.errors import InputError
from kk99.feed import venue
from kk99.logs import scrubbed
from kk99.schema import CommandKind, RejectCode

FILES: Final = ("kk99.toml", "fix.toml", "venue.toml")
"""What ships in config/."""
_WIDTH: Final = 120
SECTIONS: Final = settings.SECTIONS | {"fix": FixSettings, "settlement": SettlementSettings}
"""The dataclass of every section."""
_KINDS: Final = {
    "assets": CommandKind.ASSET_DEFINE,
    "fee_schedules": CommandKind.FEE_SCHEDULE_DEFINE,
    "instruments": CommandKind.INSTRUMENT_DEFINE,
}


@click.group()
def config() -> None:
    """Check and show the settings."""


@config.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1)
def check(files: tuple[Path, ...]) -> None:
    """Judge FILES (default: those in config/): the venue's settings, those of gateways, the venue's set-up."""
    for path in files or tuple(venue.config_path(name) for name in FILES):
        what = check_file(path)
        click.echo(f"{path}: good ({what})")


@config.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML file (default: none).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(config_file: Path | None, as_json: bool) -> None:
    """Print every setting as it stands, and where it comes from: the file, the environment, or the default."""
    found = values_of(config_file)
    if as_json:
        click.echo(json.dumps(found))
        return
    table = Table("section", "key", "value", "from", box=None, pad_edge=False)
    for section, keys in found.items():
        for key, entry in keys.items():
            table.add_row(section, key, str(entry["value"]), entry["from"])
    Console(width=_WIDTH, highlight=False).print(table)


def values_of(path: Path | None) -> dict[str, dict[str, dict[str, Any]]]:
    """Return by section and key the `value` of each setting, without secrets, and where it is `from`."""
    made: dict[str, dict[str, dict[str, Any]]] = {}
    for section, kind in SECTIONS.items():
        values, origins = settings.section(path, section, kind)
        for field in dataclasses.fields(kind):
            value = getattr(values, field.name)
            plain = str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            origin = origins.get(field.name, "the default")
            made.setdefault(section, {})[field.name] = {"value": scrubbed(field.name, plain), "from": origin}
    return made


def check_file(path: Path) -> str:
    """Return what a file is, or raise `InputError` with what is wrong in it."""
    try:
        tables = set(tomllib.loads(path.read_text()))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: not TOML: {error}") from error
    if tables & {"operator", "funding", *_KINDS}:
        check_venue(path)
        return "set-up of the venue"
    for section, kind in SECTIONS.items():
        settings.section(path, section, kind, environment={})
    return f"settings: {', '.join(sorted(tables)) or 'none'}"


def check_venue(path: Path) -> None:
    """Raise `InputError` if a document of the venue's set-up would be refused for its form."""
    found = venue.read_config(path)
    for group, kind in _KINDS.items():
        for item in found[group]:
            if not isinstance(item, dict):
                raise InputError(f"{path}: {group}: {item!r} is not a table")
            parsed = documents.parse(kind, documents.pack(item | found["operator"]))
            if isinstance(parsed, RejectCode):
                name = item.get("name", "one without a name")
                raise InputError(f"{path}: [[{group}]] {name}: {parsed.name}; see docs/reference/documents.md")
