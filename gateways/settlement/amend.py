"""Busts and corrections of trades: what an operator's change does to rows that stand in the tables already.

Each is done alone, after all events before it are written and in the same transaction: the trade, its two executions
and the two orders take the new values, its entries in the ledger are taken back (and booked anew), and the candles in
which it lies are made again. These are the venue's own rules, see `docs/explanation/rules.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import sqlalchemy as sa

from gateways.settlement import candles, ledger, tables
from gateways.settlement import rows as rows_of
from gateways.settlement.derive import trades_of
from gateways.settlement.terms import LedgerCause, Liquidity, TradeState
from kk99.errors import InvariantError
from kk99.schema import EventKind

if TYPE_CHECKING:
    from gateways.settlement.derive import Deriver
    from gateways.settlement.reference import Block
    from gateways.settlement.rows import Rows, Write

AMENDING: Final = (EventKind.TRADE_BUSTED, EventKind.TRADE_CORRECTED)


def amend(connection: sa.Connection, deriver: Deriver, block: Block, at: int) -> list[Write]:
    """Change what the row at a place of a block, a bust or a correction, changes; return what it books."""
    event = block.rows[at : at + 1]
    before = _stored(connection, tables.trades, trade_id=int(event["trade_id"][0]))
    is_bust = int(event["kind"][0]) == EventKind.TRADE_BUSTED
    after = trades_of(event, deriver.reference.sizes, TradeState.BUSTED if is_bust else TradeState.CORRECTED)
    for name in ("cause_seq", "event_index", "time_ns", "value_date"):
        after[name] = before[name]
    _change(connection, before, after, event, block.documents[at])
    for name, liquidity in (("taker", Liquidity.TAKER), ("maker", Liquidity.MAKER)):
        _change_side(connection, deriver, before, after, event, name, liquidity)
    candles.remake(connection, int(before["instrument_id"][0]), int(before["time_ns"][0]))
    deriver.reference.follow(block, at, at + 1)
    cause = {
        "cause_seq": event["cause_seq"], "event_index": event["index"], "time_ns": event["time_ns"],
        "cause": LedgerCause.BUST if is_bust else LedgerCause.CORRECTION,
    }  # fmt: skip
    sizes = deriver.reference.sizes
    remains = None if is_bust else after
    receivers = deriver.obligations.amend(event, before, remains, sizes)
    entries = ledger.of_change(before, remains, sizes, receivers, **cause)
    return [*deriver.days(event), *deriver.obligations.changes(), *deriver.balances.book(entries)]


def _stored(connection: sa.Connection, table: sa.Table, **key: int) -> Rows:
    """Return a stored row as an array (1,); a broken invariant if it is not there."""
    found = connection.execute(sa.select(table).where(*(table.c[name] == value for name, value in key.items())))
    row = found.one_or_none()
    if row is None:
        raise InvariantError(f"{table.name} has no row with {key}, which an event changes")
    return np.array([tuple(row)], rows_of.dtype_of(table))


def _update(connection: sa.Connection, table: sa.Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    where = [table.c[name] == int(value) for name, value in key.items()]
    connection.execute(sa.update(table).where(*where).values({name: int(value) for name, value in values.items()}))


def _change(connection: sa.Connection, before: Rows, after: Rows, event: Rows, document: dict[str, Any]) -> None:
    """Give the trade its new values and note the change."""
    old, new, cause = before[0], after[0], event[0]
    changed = (
        "state",
        "price_ticks",
        "qty_lots",
        "notional_units",
        "taker_fee_units",
        "maker_fee_units",
        "burned_units",
    )
    _update(connection, tables.trades, {"trade_id": old["trade_id"]}, {name: new[name] for name in changed})
    connection.execute(
        sa.insert(tables.trade_changes).values(
            trade_id=int(old["trade_id"]), cause_seq=int(cause["cause_seq"]), event_index=int(cause["index"]),
            time_ns=int(cause["time_ns"]), state=int(new["state"]),
            old_price_ticks=int(old["price_ticks"]), old_qty_lots=int(old["qty_lots"]),
            price_ticks=int(new["price_ticks"]), qty_lots=int(new["qty_lots"]),
            actor=document.get("actor", ""), reason=document.get("reason", ""),
        )
    )  # fmt: skip


def _change_side(
    connection: sa.Connection, deriver: Deriver, before: Rows, after: Rows, event: Rows, name: str, liquidity: Liquidity
) -> None:
    """Give one side's execution its new values, and its order what that leaves of its fills."""
    old, new = before[0], after[0]
    _update(
        connection, tables.executions,
        {"account_id": old[f"{name}_account_id"], "trade_id": old["trade_id"], "liquidity": liquidity},
        {column: new[column] for column in ("state", "price_ticks", "qty_lots", "notional_units")}
        | {"fee_units": new[f"{name}_fee_units"]},
    )  # fmt: skip
    order_id = int(old[f"{name}_order_id"])
    live = deriver.orders.find(order_id)
    order = live if live is not None else _stored(connection, tables.orders, order_id=order_id)
    kept = 0 if new["state"] == TradeState.BUSTED else 1
    taken_lots = old["qty_lots"] - kept * new["qty_lots"]
    order["filled_lots"] -= taken_lots
    if live is not None:
        order["qty_lots"] -= taken_lots
    order["notional_units"] -= old["notional_units"] - kept * new["notional_units"]
    order["fee_units"] -= old[f"{name}_fee_units"] - kept * new[f"{name}_fee_units"]
    order["last_seq"], order["last_ns"] = event["cause_seq"][0], event["time_ns"][0]
    changed = ("qty_lots", "filled_lots", "notional_units", "fee_units", "last_seq", "last_ns")
    _update(connection, tables.orders, {"order_id": order_id}, {column: order[column][0] for column in changed})
