"""Setting the venue up from config/venue.toml: whatever an image of the venue lacks becomes commands of an operator.

Idempotent: on a venue that has everything, nothing is sent. Three rounds, each from a fresh image, as later commands
need the numbers that earlier ones were given: names first, then money, then the markets open.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgpack

from kk99 import batch, build
from kk99.errors import InputError
from kk99.schema import CommandKind, EventKind, MarketState

_NAMED: Final = {
    EventKind.ASSET_DEFINED: "assets", EventKind.FEE_SCHEDULE_DEFINED: "fee_schedules",
    EventKind.INSTRUMENT_DEFINED: "instruments", EventKind.INSTRUMENT_CHANGED: "instruments",
    EventKind.ACCOUNT_DEFINED: "accounts", EventKind.ACCOUNT_CHANGED: "accounts",
}  # fmt: skip
_DEFINITIONS: Final = (
    ("fee_schedules", CommandKind.FEE_SCHEDULE_DEFINE), ("assets", CommandKind.ASSET_DEFINE),
    ("instruments", CommandKind.INSTRUMENT_DEFINE),
)  # fmt: skip


def config_path(name: str) -> Path:
    """Return the path of a file of config/: in the checkout, or where the wheel put it."""
    for folder in (Path(__file__).parents[2] / "config", Path(sys.prefix) / "share/kk99/config"):
        if (folder / name).exists():
            return folder / name
    raise InputError(f"config/{name} is neither in the checkout nor installed")


@dataclass(slots=True)
class Known:
    """What an image says: documents by name, balances by (account, asset), states by number."""

    assets: dict[str, dict[str, Any]] = field(default_factory=dict)
    fee_schedules: dict[str, dict[str, Any]] = field(default_factory=dict)
    instruments: dict[str, dict[str, Any]] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    balances: dict[tuple[int, int], int] = field(default_factory=dict)
    markets: dict[int, int] = field(default_factory=dict)

    def take(self, events: batch.Events) -> Known:
        """Take in event rows of an image, or later ones; return the same object."""
        for row in events.rows:
            kind = int(row["kind"])
            if kind in _NAMED:
                start = int(row["document_offset"])
                document = msgpack.unpackb(bytes(events.tail[start : start + int(row["document_size"])]))
                getattr(self, _NAMED[EventKind(kind)])[document["name"]] = document
            elif kind == EventKind.BALANCE_IMAGE:
                key = int(row["account_id"]), int(row["asset_id"])
                self.balances[key] = int(row["amount_units"]) + int(row["notional_units"])
            elif kind in {EventKind.INSTRUMENT_STATE_CHANGED, EventKind.MARKET_STATE_CHANGED}:
                self.markets[int(row["instrument_id"])] = int(row["state"])
        return self


def read_config(path: Path) -> dict[str, Any]:
    """Return the parsed venue.toml, or raise `InputError`."""
    try:
        config = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error
    wanted = {
        "operator": dict,
        "fee_schedules": list,
        "assets": list,
        "instruments": list,
        "accounts": dict,
        "funding": dict,
    }
    for name, kind in wanted.items():
        if not isinstance(config.get(name), kind):
            raise InputError(f"{path}: {name} is missing or of the wrong kind")
    return config


def definitions(config: dict[str, Any], known: Known) -> list[batch.Commands]:
    """Return the commands for schedules, assets, instruments and accounts that are not there yet."""
    operator = config["operator"]
    missing = [
        build.document(kind, item | operator)
        for group, kind in _DEFINITIONS
        for item in config[group]
        if item["name"] not in getattr(known, group)
    ]
    names = [name for name in config["accounts"]["names"] if name not in known.accounts]
    return missing + [build.account(name, name, **operator) for name in names]


def deposits(config: dict[str, Any], known: Known) -> list[batch.Commands]:
    """Return the deposits that bring accounts below half of their funding back to it.

    Raises `InputError` when the venue still lacks a definition: it has refused it.
    """
    if refused := definitions(config, known):
        names = [msgpack.unpackb(commands.tail)["name"] for commands in refused]
        raise InputError(f"the venue does not accept the definition of {', '.join(names)}: see its reject")
    made = []
    for name in config["accounts"]["names"]:
        account_id = known.accounts[name]["number"]
        for asset, whole in config["funding"].items():
            number, scale = known.assets[asset]["number"], known.assets[asset]["scale"]
            wanted, has = whole * 10**scale, known.balances.get((account_id, number), 0)
            if has < wanted // 2:
                made.append(build.deposit(account_id, number, wanted - has))
    return made


def openings(config: dict[str, Any], known: Known) -> list[batch.Commands]:
    """Return the commands that open the markets which are still in pre-open."""
    numbers = [known.instruments[item["name"]]["number"] for item in config["instruments"]]
    closed = [number for number in numbers if known.markets.get(number, MarketState.PRE_OPEN) == MarketState.PRE_OPEN]
    return [build.instrument_state(number, MarketState.OPEN, **config["operator"]) for number in closed]


ROUNDS: Final = (definitions, deposits, openings)
