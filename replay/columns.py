"""How the values of a row's fields read, and a row as a dictionary for people.

Invariant: an enum's unknown number reads as the number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kk99 import kinds, schema
from kk99.schema import CommandKind, EventKind
from replay import documents

if TYPE_CHECKING:
    import numpy.typing as npt

    from kk99 import batch

_REJECTS: Final = (EventKind.REJECTED, EventKind.EXITS_REFUSED)
_NUMBERED_STATES: Final = (
    EventKind.MESSAGE_NOTED, EventKind.ORDER_IMAGE, EventKind.ORDER_SUSPENDED, EventKind.OBLIGATION_IMAGE,
)  # fmt: skip
_NUMBERED_WISHES: Final = (CommandKind.MESSAGE_NOTED, CommandKind.ORDER_SUSPEND, CommandKind.SETTLE)
"""Their state is no enum: a gateway's own code, whether an order waits or is suspended, what became of a debt."""
_ACCOUNT_STATES: Final = (EventKind.ACCOUNT_STATE_CHANGED, EventKind.ACCOUNT_DEFINED, EventKind.ACCOUNT_CHANGED)

_NAMED_ZEROS: Final = ("kind", "time_in_force", "state")
"""Enum fields whose 0 says something."""

ENUMS: Final[dict[str, type[schema.Documented]]] = {
    "side": schema.Side,
    "order_type": schema.OrderType,
    "time_in_force": schema.TimeInForce,
    "self_trade": schema.SelfTrade,
    "trigger": schema.TriggerSource,
    "trail_unit": schema.TrailUnit,
    "call_purpose": schema.CallPurpose,
    "state_reason": schema.StateReason,
    "breaker_reason": schema.BreakerReason,
    "command_kind": schema.CommandKind,
}
"""The enum fields that have one enum whatever the row's kind."""


def _is(rows: batch.Rows, kinds: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    return np.isin(rows["kind"], kinds)


def labels(rows: batch.Rows, field: str) -> npt.NDArray[np.str_] | None:
    """Return what the values of an enum field read, str (n,), or None if the field is a number."""
    values: npt.NDArray[np.integer[Any]] = rows[field]
    if field == "kind":
        return _read(CommandKind if rows.dtype == schema.COMMAND else EventKind, values)
    if field in ENUMS:
        return _read(ENUMS[field], values)
    if field == "reason":
        return np.where(_is(rows, _REJECTS), _read(schema.RejectCode, values), _read(schema.CancelReason, values))
    if field == "state":
        is_event = rows.dtype == schema.EVENT
        of_account = _is(rows, _ACCOUNT_STATES if is_event else (CommandKind.ACCOUNT_STATE,))
        named = np.where(of_account, _read(schema.AccountState, values), _read(schema.MarketState, values))
        numbers = _NUMBERED_STATES if is_event else _NUMBERED_WISHES
        return np.where(_is(rows, numbers), values.astype(named.dtype), named)
    return None


def _read(kind: type[schema.Documented], values: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.str_]:
    names: npt.NDArray[np.str_] = _TABLES[kind][values]
    return names


def _table(kind: type[schema.Documented]) -> npt.NDArray[np.str_]:
    names = {int(member): member.name for member in kind}
    return np.array([names.get(number, str(number)) for number in range(256)])


_TABLES: Final = {kind: _table(kind) for kind in schema.ENUMS}


def described(row: Any, tail: bytes | memoryview) -> dict[str, Any]:
    """Return one row as a dictionary for people: fields that are present and not empty, enums by name, its document."""
    rows = np.array([row])
    assert rows.dtype.names is not None
    is_cold = rows.dtype == schema.COLD
    made: dict[str, Any] = {}
    for field in rows.dtype.names:
        if field in {"document_offset", "document_size"} or not (is_cold or kinds.present(rows, field)[0]):
            continue
        value = row[field]
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif field == "flags":
            value = str(schema.Flag(int(value)).name or int(value)) if value else 0
        else:
            names = labels(rows, field)
            value = str(names[0]) if names is not None and (value or field in _NAMED_ZEROS) else int(value)
        if value and value != "0":
            made[field] = value
    if not is_cold and kinds.has_document(rows)[0]:
        made["document"] = documents.fields_of(row, tail)
    return made
