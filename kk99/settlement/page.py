"""The reference page of the books' tables, made from their declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateways.settlement import tables, terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from kk99.codes import Documented

_ENUMS: Final[tuple[type[Documented], ...]] = (
    terms.OrderState, terms.TradeState, terms.Liquidity, terms.LedgerCause, terms.EntryKind, terms.ObligationState,
)  # fmt: skip


def settlement_tables_page() -> str:
    """Return the page about the tables of the books and records."""
    parts = [_table(table) for table in tables.metadata.tables.values()]
    enums = [f"## {enum.__name__}\n\n{enum.__doc__}\n\n{_members(enum)}" for enum in _ENUMS]
    head = """# Tables of the books and records

What `kk99 gateway settlement` writes, in SQLite and in PostgreSQL alike; how it comes about stands in
[settlement and history](../explanation/settlement.md). All numbers are whole: prices in ticks, quantities in lots,
amounts in the smallest unit of their asset, times in nanoseconds since 1970 (UTC). 0 is "none" in every id, enum and
time; no column is null. PK: part of the primary key. Enums that are not below: [enums](enums.md).
"""
    return "\n\n".join([head.rstrip(), *parts, *enums]) + "\n"


def _table(table: sa.Table) -> str:
    rows = [
        (f"`{column.name}`", f"{_type(column)}{' PK' if column.primary_key else ''}", column.doc or "")
        for column in table.columns
    ]
    indexes = sorted((str(index.name), " ".join(f"`{c.name}`" for c in index.columns)) for index in table.indexes)
    told = [f"Index `{name}`: {columns}." for name, columns in indexes]
    return "\n\n".join([f"## {table.name}", table.info["doc"], _markdown(("column", "type", "what"), rows), *told])


def _type(column: sa.Column[object]) -> str:
    return {"BigInteger": "bigint", "Integer": "integer", "SmallInteger": "smallint", "Text": "text"}[
        type(column.type).__name__
    ]


def _members(enum: type[Documented]) -> str:
    return _markdown(("value", "name", "meaning"), [(str(int(m)), f"`{m.name}`", m.__doc__ or "") for m in enum])


def _markdown(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    cells = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells)
