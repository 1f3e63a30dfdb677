"""What events define: assets, instruments, accounts, and their sizes as arrays for those who reckon with many trades.

Invariant: sizes that enter into money (lot, tick, assets of an instrument) never change once defined.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgpack
import numpy as np

from gateways.settlement import tables
from kk99 import kinds, schema
from kk99.errors import InvariantError
from kk99.schema import AccountState, EventKind, MarketState

if TYPE_CHECKING:
    from collections.abc import Iterable

    import sqlalchemy as sa

    from gateways.settlement.rows import Words
    from kk99.batch import Events, Rows

_HAS_DOCUMENT: Final = np.zeros(256, np.bool_)
_HAS_DOCUMENT[[kind for kind, fields in kinds.EVENT_FIELDS.items() if "document_offset" in fields]] = True
_VENUE_NAMES: Final = {
    0: "OUTSIDE",
    schema.FEES_ACCOUNT: "FEES",
    schema.BURNED_ACCOUNT: "BURNED",
    schema.INSURANCE_ACCOUNT: "INSURANCE",
    schema.CLEARING_ACCOUNT: "CLEARING",
}
"""Accounts that no event defines."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Block:
    """Events that follow one another, of one frame or several: rows, and the document of those that have one."""

    rows: Rows
    documents: dict[int, Record] = field(default_factory=dict)
    """By place among the rows."""


def block_of(frames: Iterable[Events]) -> Block:
    """Join frames, with their documents read."""
    parts: list[Rows] = []
    documents: dict[int, Record] = {}
    count = 0
    for events in frames:
        rows = events.rows
        for at in np.flatnonzero(_HAS_DOCUMENT[rows["kind"]]).tolist():
            start, size = int(rows["document_offset"][at]), int(rows["document_size"][at])
            documents[count + at] = msgpack.unpackb(bytes(events.tail[start : start + size])) if size else {}
        parts.append(rows)
        count += len(rows)
    rows = parts[0] if len(parts) == 1 else np.concatenate(parts, dtype=schema.EVENT)
    return Block(rows, documents)


class Sizes:
    """By instrument number: assets, and units that a lot and a tick and lot are."""

    def __init__(self) -> None:
        """Know no instrument."""
        self._table = np.zeros((64, 4), np.int64)

    def define(self, instrument_id: int, base: int, quote: int, lot_units: int, tick_lot_units: int) -> None:
        """Take an instrument."""
        if instrument_id >= len(self._table):
            self._table = np.concatenate([self._table, np.zeros((instrument_id + 1, 4), np.int64)])
        self._table[instrument_id] = base, quote, lot_units, tick_lot_units

    def of(self, instrument_ids: Any) -> tuple[Words, Words, Words, Words]:
        """Return base assets, quote assets, units of base a lot, units of quote a tick and lot: int64 (n,) each."""
        found = self._table[instrument_ids]
        return found[:, 0], found[:, 1], found[:, 2], found[:, 3]


class Reference:
    """The tables of what there is, as rows that are kept whole."""

    def __init__(self) -> None:
        """Know the venue's own accounts only."""
        self.sizes = Sizes()
        self._rows: dict[sa.Table, dict[int, Record]] = {
            tables.assets: {}, tables.instruments: {}, tables.accounts: {}, tables.calendars: {},
        }  # fmt: skip
        self._asset_ids: dict[str, int] = {}
        self._changed: dict[sa.Table, set[int]] = {table: set() for table in self._rows}
        for number, name in _VENUE_NAMES.items():
            self._set(tables.accounts, number, name=name, owner="", tier=0, state=AccountState.ACTIVE, document="{}")

    def load(self, table: sa.Table, rows: Iterable[Record]) -> None:
        """Take the rows of a table as they are stored; assets before instruments."""
        key = table.primary_key.columns.keys()[0]
        for row in rows:
            self._set(table, row[key], **{name: value for name, value in row.items() if name != key})
            self._changed[table].discard(row[key])

    def changes(self) -> list[tuple[sa.Table, list[Record]]]:
        """Return the rows that changed since the last call, whole."""
        made = []
        for table, numbers in self._changed.items():
            if numbers:
                made.append((table, [self._rows[table][number] for number in sorted(numbers)]))
                numbers.clear()
        return made

    def follow(self, block: Block, begin: int, end: int) -> None:
        """Take the definitions and states among some rows of a block in, in their order."""
        states = begin + np.flatnonzero(block.rows["kind"][begin:end] == EventKind.MARKET_STATE_CHANGED)
        documents = [at for at in block.documents if begin <= at < end]
        for at in sorted([*documents, *states.tolist()]):
            self._define(block.rows[at], block.documents.get(at, {}))

    def _define(self, row: np.void, document: Record) -> None:
        kind, number = int(row["kind"]), document.get("number", 0)
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        if kind == EventKind.ASSET_DEFINED:
            self._set(tables.assets, number, name=document["name"], scale=document["scale"], document=text)
        elif kind == EventKind.SETTLEMENT_CALENDAR_DEFINED:
            self._set(tables.calendars, int(row["order_id"]), name=document["name"], document=text)
        elif kind in {EventKind.INSTRUMENT_DEFINED, EventKind.INSTRUMENT_CHANGED}:
            self._instrument(number, document, text)
        elif kind in {EventKind.ACCOUNT_DEFINED, EventKind.ACCOUNT_CHANGED}:
            before = self._rows[tables.accounts].get(number, {"state": int(AccountState.ACTIVE)})
            names = {name: document[name] for name in ("name", "owner", "tier")}
            self._set(tables.accounts, number, **names, state=before["state"], document=text)
        elif kind in {EventKind.INSTRUMENT_STATE_CHANGED, EventKind.MARKET_STATE_CHANGED}:
            self._set(tables.instruments, int(row["instrument_id"]), state=int(row["state"]))
        elif kind == EventKind.ACCOUNT_STATE_CHANGED:
            self._set(tables.accounts, int(row["account_id"]), state=int(row["state"]))

    def _instrument(self, number: int, document: Record, text: str) -> None:
        before = self._rows[tables.instruments].get(number, {"state": int(MarketState.PRE_OPEN)})
        base, quote = self._asset_ids[document["base"]], self._asset_ids[document["quote"]]
        tick_units, lot_units = int(document["tick_units"]), int(document["lot_units"])
        tick_lot_units = tick_units * lot_units // 10 ** int(self._rows[tables.assets][base]["scale"])
        self._set(
            tables.instruments, number, name=document["name"], base_asset_id=base, quote_asset_id=quote,
            tick_units=tick_units, lot_units=lot_units, tick_lot_units=tick_lot_units, state=before["state"],
            document=text,
        )  # fmt: skip

    def _set(self, table: sa.Table, number: int, **values: Any) -> None:
        rows = self._rows[table]
        key = table.primary_key.columns.keys()[0]
        rows[number] = rows.get(number, {key: number}) | values
        if len(rows[number]) != len(table.columns):
            raise InvariantError(f"a row of {table.name} changes that was never defined: {rows[number]}")
        self._changed[table].add(number)
        if table is tables.assets:
            self._asset_ids[rows[number]["name"]] = number
        elif table is tables.instruments:
            names = ("base_asset_id", "quote_asset_id", "lot_units", "tick_lot_units")
            self.sizes.define(number, *(rows[number][name] for name in names))
