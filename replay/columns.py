"""Which fields of a row mean something for its kind, and how their values read.

Invariants: two names at one offset are never both present in a row; an enum's unknown number reads as the number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kk99 import schema
from kk99.schema import CommandKind, EventKind
from replay import documents

if TYPE_CHECKING:
    import numpy.typing as npt

    from kk99 import batch

_TRADES: Final = (EventKind.TRADE, EventKind.TRADE_BUSTED, EventKind.TRADE_CORRECTED)
_ASSET_COMMANDS: Final = (CommandKind.DEPOSIT, CommandKind.WITHDRAW)
_ASSET_EVENTS: Final = (
    EventKind.DEPOSITED, EventKind.WITHDRAWN, EventKind.ASSET_DEFINED, EventKind.BALANCE_IMAGE, EventKind.ASSET_IMAGE,
)  # fmt: skip
_FEE_EVENTS: Final = (*_TRADES, EventKind.DEPOSITED, EventKind.WITHDRAWN)
_NOTIONAL_EVENTS: Final = (EventKind.ORDER_IMAGE, EventKind.BALANCE_IMAGE, EventKind.ASSET_IMAGE)
_ACCOUNT_EVENTS: Final = (EventKind.ACCOUNT_STATE_CHANGED, EventKind.ACCOUNT_DEFINED, EventKind.ACCOUNT_CHANGED)
_REASON_EVENTS: Final = (EventKind.REJECTED, EventKind.ORDER_CANCELED, EventKind.ORDER_REDUCED)

ENUMS: Final[dict[str, type[schema.Documented]]] = {
    "side": schema.Side,
    "order_type": schema.OrderType,
    "time_in_force": schema.TimeInForce,
    "self_trade": schema.SelfTrade,
    "command_kind": schema.CommandKind,
}
"""The enum fields that have one enum whatever the row's kind."""


def present(rows: batch.Rows, field: str) -> npt.NDArray[np.bool_]:
    """Return in which rows, all COMMAND or all EVENT, a field is the one of its union that the kind uses: bool (n,)."""
    if rows.dtype == schema.COMMAND:
        return _present_in_commands(rows, field)
    return _present_in_events(rows, field)


def _present_in_commands(rows: batch.Rows, field: str) -> npt.NDArray[np.bool_]:
    match field:
        case "asset_id":
            return _is(rows, _ASSET_COMMANDS)
        case "instrument_id":
            return ~_is(rows, _ASSET_COMMANDS)
        case "document_offset" | "document_size":
            return documents.has_document(rows)
        case "expire_time_ns":
            return ~documents.has_document(rows)
        case _:
            return np.ones(len(rows), bool)


def _present_in_events(rows: batch.Rows, field: str) -> npt.NDArray[np.bool_]:
    match field:
        case "asset_id":
            return _about_asset(rows)
        case "instrument_id":
            return ~_about_asset(rows)
        case "reason":
            return _is(rows, _REASON_EVENTS)
        case "state":
            return ~_is(rows, _REASON_EVENTS)
        case "contra_order_id" | "contra_account_id" | "contra_leaves_lots" | "trade_id" | "burned_units":
            return _is(rows, _TRADES)
        case "client_seq" | "session_id" | "session_epoch" | "amount_units":
            return ~_is(rows, _TRADES)
        case "document_offset" | "document_size":
            return documents.has_document(rows)
        case "leaves_lots":
            return ~documents.has_document(rows)
        case "fee_units" | "contra_fee_units":
            return _is(rows, _FEE_EVENTS)
        case "client_id_lo" | "client_id_hi":
            return ~_is(rows, _FEE_EVENTS)
        case "notional_units":
            return _is(rows, _NOTIONAL_EVENTS)
        case _:
            return np.ones(len(rows), bool)


def _is(rows: batch.Rows, kinds: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    return np.isin(rows["kind"], kinds)


def _about_asset(rows: batch.Rows) -> npt.NDArray[np.bool_]:
    rejected: npt.NDArray[np.bool_] = (rows["kind"] == EventKind.REJECTED) & np.isin(
        rows["command_kind"], _ASSET_COMMANDS
    )
    return _is(rows, _ASSET_EVENTS) | rejected


def labels(rows: batch.Rows, field: str) -> npt.NDArray[np.str_] | None:
    """Return what the values of an enum field read, str (n,), or None if the field is a number."""
    values: npt.NDArray[np.integer[Any]] = rows[field]
    if field == "kind":
        return _read(CommandKind if rows.dtype == schema.COMMAND else EventKind, values)
    if field in ENUMS:
        return _read(ENUMS[field], values)
    if field == "reason":
        rejected = rows["kind"] == EventKind.REJECTED
        return np.where(rejected, _read(schema.RejectCode, values), _read(schema.CancelReason, values))
    if field == "state":
        of_account = rows["kind"] == CommandKind.ACCOUNT_STATE
        if rows.dtype == schema.EVENT:
            of_account = _is(rows, _ACCOUNT_EVENTS)
        return np.where(of_account, _read(schema.AccountState, values), _read(schema.MarketState, values))
    return None


def _read(kind: type[schema.Documented], values: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.str_]:
    names: npt.NDArray[np.str_] = _TABLES[kind][values]
    return names


def _table(kind: type[schema.Documented]) -> npt.NDArray[np.str_]:
    names = {int(member): member.name for member in kind}
    return np.array([names.get(number, str(number)) for number in range(256)])


_TABLES: Final = {kind: _table(kind) for kind in schema.ENUMS}


def described(row: Any, tail: bytes | memoryview) -> dict[str, Any]:
    """Return one row as a dictionary for people: fields that are present and not zero, enums by name, its document."""
    rows = np.array([row])
    assert rows.dtype.names is not None
    made: dict[str, Any] = {}
    for field in rows.dtype.names:
        if field in {"document_offset", "document_size"} or not present(rows, field)[0]:
            continue
        value = row[field]
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif field == "flags":
            value = str(schema.Flag(int(value)).name or int(value)) if value else 0
        else:
            names = labels(rows, field)
            value = str(names[0]) if names is not None and (value or field == "kind") else int(value)
        if value:
            made[field] = value
    if rows.dtype != schema.COLD and documents.has_document(rows)[0]:
        made["document"] = documents.fields_of(row, tail)
    return made
