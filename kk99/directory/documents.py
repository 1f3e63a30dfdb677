"""Bytes to checked fields and back: strict msgpack in, canonical msgpack out.

Invariants: whatever the bytes are, `parse` returns fields or a RejectCode, never raises; equal fields give equal bytes.
No field is ever a bool, a float, bytes or an integer beyond 64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgpack

from kk99 import schema
from kk99.directory.fields import DOCUMENTS, PHASE, TIER, Field, FieldType
from kk99.directory.forms import is_comp_id
from kk99.schema import CommandKind, RejectCode

Fields = dict[str, Any]

_LISTS: Final = {FieldType.TIERS: TIER, FieldType.PHASES: PHASE}
"""Fields of the maps in a list."""

_UNSIGNED: Final = (CommandKind.SESSION_DEFINE, CommandKind.ALGO_ORDER)
"""Documents that do not say, or need not, who orders them and why."""

UNPACK_ERRORS: Final = (ValueError, msgpack.exceptions.UnpackException)
"""What msgpack raises on bytes that are not one message (text that is not UTF-8 is a ValueError too)."""


def pack(fields: Mapping[str, Any]) -> bytes:
    """Return the one msgpack encoding of the fields: keys sorted, at every depth, shortest forms."""
    return bytes(msgpack.packb(_sorted(fields)))


def unpack(document: bytes | memoryview) -> Any:
    """Return what the bytes hold, or raise one of `UNPACK_ERRORS`, also for a key that is not text or comes twice."""
    return msgpack.unpackb(document, raw=False, strict_map_key=True, object_pairs_hook=_distinct)


def parse(kind: CommandKind, document: bytes | memoryview) -> Fields | RejectCode:
    """Return the document's fields with defaults filled in, or why it is refused.

    Optional fields without a default are absent if they were not given. `tiers` has all `TIERS` entries.
    """
    try:
        given = unpack(document)
    except UNPACK_ERRORS:
        return RejectCode.DOCUMENT_INVALID
    fields = _checked(given, DOCUMENTS[kind])
    if (
        fields is None
        or (kind is CommandKind.INSTRUMENT_DEFINE and not is_coherent(fields))
        or (kind is CommandKind.MARKET_GROUP_DEFINE and not _rises(levels_of(fields)))
        or (kind is CommandKind.IDENTITY_DEFINE and not _is_usable(fields))
    ):
        return RejectCode.DOCUMENT_INVALID
    if kind not in _UNSIGNED and not (fields["actor"] and fields["reason"]):
        return RejectCode.OPERATOR_MISSING
    return fields


def is_coherent(instrument: Mapping[str, Any]) -> bool:
    """Whether an instrument's minima do not pass its maxima, and its first reference price not its highest price."""
    return bool(
        instrument["min_qty_lots"] <= instrument["max_qty_lots"]
        and instrument["min_notional_units"] <= instrument["max_notional_units"]
        and instrument["reference_price_ticks"] <= instrument["max_price_ticks"]
    )


def levels_of(market_group: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return the levels at which a market group halts, 0 for one that is off."""
    return market_group["level_1_ppm"], market_group["level_2_ppm"], market_group["level_3_ppm"]


def _rises(levels: tuple[int, ...]) -> bool:
    """Whether of the levels that are on each is above those before."""
    on = [level for level in levels if level]
    return on == sorted(set(on))


def _is_usable(identity: Mapping[str, Any]) -> bool:
    """Whether an identity can be named by FIX, has what it proves itself with, and accounts unless it needs none."""
    has_proof = identity["credential"] or identity["certificates"]
    return bool(
        is_comp_id(identity["name"]) and has_proof and (identity["accounts"] or identity["role"] == "market_data")
    )


def _checked(given: object, table: tuple[Field, ...]) -> Fields | None:
    """Return the fields that the table allows, defaults filled in, or None."""
    if not isinstance(given, dict):
        return None
    fields: Fields = {}
    for field in table:
        if field.name not in given:
            if field.required:
                return None
            if field.default is not None:
                fields[field.name] = list(field.default) if isinstance(field.default, tuple) else field.default
            continue
        value = given[field.name]
        if not field.accepts(value):
            return None
        if field.type in _LISTS:
            value = _maps(value, _LISTS[field.type])
            if value is None:
                return None
            if field.type is FieldType.TIERS:
                value += [value[-1]] * (schema.TIERS - len(value))
        fields[field.name] = value
    known = {field.name for field in table}
    return fields if given.keys() <= known else None


def _maps(given: list[object], table: tuple[Field, ...]) -> list[Fields] | None:
    """Return the maps with the fields that the table allows, or None."""
    maps: list[Fields] = []
    for one in given:
        fields = _checked(one, table)
        if fields is None:
            return None
        maps.append(fields)
    return maps


def _distinct(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    """Return the pairs as a map, or raise ValueError when a key is not text or comes twice."""
    made = dict(pairs)
    if len(made) != len(pairs) or any(type(key) is not str for key in made):
        raise ValueError("a key is not text or comes twice")
    return made


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(one) for one in value]
    return value
