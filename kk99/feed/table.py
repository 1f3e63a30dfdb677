"""Flow as a table anybody can write: CSV, an instruction a line, prices in ticks and quantities in lots.

Columns are in docs/reference/recording-format.md; only `op` and `account` are always needed, others may be left out
or empty.
"""

from __future__ import annotations

import csv
import gzip
from typing import TYPE_CHECKING, Any, Final

from kk99.errors import InputError
from kk99.feed.flow import ACCOUNTS_MAX, Flow, Style, rows_of
from kk99.schema import PRICE_TICKS_MAX, QTY_LOTS_MAX, CommandKind, MarketState, Side

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS: Final = ("time_ns", "op", "account", "side", "style", "price_ticks", "qty_lots", "order")
OPS: Final = {
    "new": CommandKind.ORDER_NEW, "replace": CommandKind.ORDER_REPLACE, "cancel": CommandKind.ORDER_CANCEL,
    "mass_cancel": CommandKind.MASS_CANCEL, "state": CommandKind.INSTRUMENT_STATE,
}  # fmt: skip
SIDES: Final = {"": Side.BOTH, "buy": Side.BUY, "sell": Side.SELL}
STYLES: Final = {"": Style.LIMIT} | {style.name.lower(): style for style in Style}
STATES: Final = {state.name.lower(): state for state in MarketState}
_BOUNDS: Final = {
    "time_ns": (1 << 63) - 1,
    "price_ticks": PRICE_TICKS_MAX,
    "qty_lots": QTY_LOTS_MAX,
    "order": (1 << 32) - 1,
}


def read(path: Path, instrument: str) -> Flow:
    """Return the flow of a table; the accounts are numbered as they first appear."""
    accounts: dict[str, int] = {}
    records = []
    number = 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as lines:
            table = csv.DictReader(lines, strict=True)
            _check_names(set(table.fieldnames or ()))
            for fields in table:
                number = table.line_num
                records.append(_record(fields, accounts))
    except (OSError, EOFError, ValueError, csv.Error, InputError) as error:
        raise InputError(f"{path}: line {max(number, 1)}: {error}") from error
    try:
        return Flow(rows_of(records), instrument, tuple(accounts)).check()
    except InputError as error:
        raise InputError(f"{path}: {error} (row 1 is the line after the names)") from error


def _check_names(names: set[str]) -> None:
    if names - set(COLUMNS) or not {"op", "account"} <= names:
        raise InputError(f"the first line names the columns, among {', '.join(COLUMNS)}; op and account are needed")


def _record(fields: dict[Any, Any], accounts: dict[str, int]) -> tuple[int, ...]:
    if None in fields or None in fields.values():
        raise InputError("the line has not as many columns as the first")
    op = _choice(fields, "op", OPS)
    account = accounts.setdefault(fields["account"], len(accounts))
    if account >= ACCOUNTS_MAX:
        raise InputError(f"more than {ACCOUNTS_MAX} accounts")
    style = _choice(fields, "style", STATES if op == CommandKind.INSTRUMENT_STATE else STYLES)
    numbers = {name: _number(fields, name, bound) for name, bound in _BOUNDS.items()}
    return (
        numbers["time_ns"], numbers["price_ticks"], numbers["qty_lots"], numbers["order"],
        op, account, _choice(fields, "side", SIDES), style,
    )  # fmt: skip


def _choice(fields: dict[str, str], name: str, choices: dict[str, Any]) -> int:
    text = fields.get(name, "").strip().lower()
    if text not in choices:
        raise InputError(f"{name} is {text!r}, not one of {', '.join(filter(None, choices))}")
    return int(choices[text])


def _number(fields: dict[str, str], name: str, bound: int) -> int:
    text = fields.get(name, "").strip() or "0"
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > bound:
        raise InputError(f"{name} is {text[:40]!r}, not a whole number from 0 to {bound}")
    return int(text)
