"""The books against the core, to the unit: every balance, what came in and went out, what is owed, every open order.

The core's side is an image of its state at a sequence. The books are compared at that very event, so they must have
reached it and not gone further, or the movements since are taken back from the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from gateways.settlement import tables
from gateways.settlement.books import cursor_of
from gateways.settlement.terms import OUTSIDE_ACCOUNT, ObligationState, OrderState
from kk99.errors import InputError
from kk99.schema import EventKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kk99.batch import Events, Rows


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which books and core differ."""

    what: str
    """"balance", "outside", "obligation", "failed obligation" or "order"."""
    number: int
    """The account or the order."""
    asset_id: int
    books: int
    """Units, or the order's open lots."""
    core: int
    value_date: int = 0
    """Of an obligation."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was compared and what differs."""

    seq: int
    balances: int
    orders: int | None
    """Open orders compared; None when the books had gone beyond the image, so that they can't be."""
    obligations: int | None
    """Open obligations compared; None likewise (their sums still are: they are CLEARING's balances)."""
    differences: tuple[Difference, ...]


def reconcile(connection: sa.Connection, last_event: tuple[int, int], frames: Sequence[Events]) -> Reconciliation:
    """Compare the books with the core's image after an event; `InputError` if they have not come that far."""
    cursor = cursor_of(connection)
    if cursor is None or cursor.event < last_event:
        at = 0 if cursor is None else cursor.cause_seq
        raise InputError(
            f"the books stand at seq {at}, the core at {last_event[0]}: try again when they have caught up"
        )
    rows = np.concatenate([frame.rows for frame in frames])
    core = _core_balances(rows)
    books = _balances_at(connection, last_event, is_behind=cursor.event > last_event)
    differences = [
        Difference("outside" if account_id == OUTSIDE_ACCOUNT else "balance", account_id, asset_id, mine, theirs)
        for account_id, asset_id in sorted(core.keys() | books.keys())
        if (mine := books.get((account_id, asset_id), 0)) != (theirs := core.get((account_id, asset_id), 0))
    ]
    orders = obligations = None
    if cursor.event == last_event:
        orders, unlike = _compare_orders(connection, rows)
        differences += unlike
        obligations, unlike = _compare_obligations(connection, rows)
        differences += unlike
    return Reconciliation(last_event[0], len(core.keys() | books.keys()), orders, obligations, tuple(differences))


def _compare_orders(connection: sa.Connection, rows: Rows) -> tuple[int, list[Difference]]:
    """Return how many orders are open in the core, and those in which the books differ."""
    core, books = _core_orders(rows), _books_orders(connection)
    return len(core), [
        Difference("order", order_id, 0, books.get(order_id, 0), core.get(order_id, 0))
        for order_id in sorted(core.keys() | books.keys())
        if books.get(order_id, -1) != core.get(order_id, -1)
    ]


def _compare_obligations(connection: sa.Connection, rows: Rows) -> tuple[int, list[Difference]]:
    """Return how many obligations are open in the core, and those in which the books differ; failed ones are others."""
    images = rows[rows["kind"] == EventKind.OBLIGATION_IMAGE]
    names = ("account_id", "asset_id", "order_id", "state", "amount_units")
    core = {one[:4]: one[4] for one in zip(*(images[name].tolist() for name in names), strict=True)}
    its = tables.obligations.c
    query = sa.select(its.account_id, its.asset_id, its.value_date, its.state, its.amount_units).where(tables.IS_OPEN)
    books = {
        (account, asset, date, int(state == ObligationState.FAILED)): int(units)
        for account, asset, date, state, units in connection.execute(query)
    }
    return len(core), [
        Difference(
            "failed obligation" if key[3] else "obligation", key[0], key[1], books.get(key, 0), core.get(key, 0), key[2]
        )
        for key in sorted(core.keys() | books.keys())
        if books.get(key) != core.get(key)
    ]


def _core_balances(rows: Rows) -> dict[tuple[int, int], int]:
    made: dict[tuple[int, int], int] = {}
    for row in rows[rows["kind"] == EventKind.BALANCE_IMAGE]:
        made[int(row["account_id"]), int(row["asset_id"])] = int(row["amount_units"]) + int(row["notional_units"])
    for row in rows[rows["kind"] == EventKind.ASSET_IMAGE]:
        made[OUTSIDE_ACCOUNT, int(row["asset_id"])] = int(row["notional_units"]) - int(row["amount_units"])
    return made


def _balances_at(connection: sa.Connection, event: tuple[int, int], *, is_behind: bool) -> dict[tuple[int, int], int]:
    """Return the books' balances after an event."""
    table = tables.balances.c
    query = sa.select(table.account_id, table.asset_id, table.balance_units)
    made = {(account, asset): int(units) for account, asset, units in connection.execute(query)}
    if not is_behind:
        return made
    entries = tables.ledger.c
    # Balance by balance, so that the key of the ledger leads to what is newer, however long it is.
    is_its = (entries.account_id == table.account_id) & (entries.asset_id == table.asset_id)
    is_newer = (entries.cause_seq > event[0]) | ((entries.cause_seq == event[0]) & (entries.event_index > event[1]))
    since = (
        sa.select(entries.account_id, entries.asset_id, sa.func.sum(entries.amount_units))
        .select_from(sa.join(tables.balances, tables.ledger, is_its & (entries.cause_seq >= event[0])))
        .where(is_newer)
        .group_by(entries.account_id, entries.asset_id)
    )
    for account, asset, units in connection.execute(since):
        made[account, asset] -= int(units)
    return made


def _core_orders(rows: Rows) -> dict[int, int]:
    images = rows[rows["kind"] == EventKind.ORDER_IMAGE]
    return dict(zip(images["order_id"].tolist(), images["leaves_lots"].tolist(), strict=True))


def _books_orders(connection: sa.Connection) -> dict[int, int]:
    table = tables.orders.c
    query = sa.select(table.order_id, table.leaves_lots).where(table.state == sa.literal_column(f"{OrderState.OPEN:d}"))
    return dict(tuple(row) for row in connection.execute(query))
