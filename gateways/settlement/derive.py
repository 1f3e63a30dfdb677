"""Events to rows: what a stretch of events without busts and corrections adds to the tables.

Invariant: rows depend on the events alone; the same events in other portions make the same content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gateways.settlement import candles, ledger, tables
from gateways.settlement import rows as rows_of
from gateways.settlement.ledger import Balances
from gateways.settlement.markets import Markets
from gateways.settlement.obligations import Obligations
from gateways.settlement.orders import Orders
from gateways.settlement.reference import Reference
from gateways.settlement.rows import Write
from gateways.settlement.terms import DAY_NS, Liquidity, TradeState
from kk99.schema import EventKind

if TYPE_CHECKING:
    import sqlalchemy as sa

    from gateways.settlement.reference import Block, Record, Sizes
    from gateways.settlement.rows import Rows, Words


@dataclass(frozen=True, slots=True)
class Derived:
    """Rows in bulk, and the few that have texts: whole rows that take the place of those with their key."""

    writes: list[Write]
    records: list[tuple[sa.Table, list[Record]]]


class Deriver:
    """What must be known to go on: definitions, live orders, balances, what is owed, halts, the last day and trade."""

    def __init__(self) -> None:
        """Begin at the first event."""
        self.reference = Reference()
        self.orders = Orders()
        self.balances = Balances()
        self.markets = Markets()
        self.obligations = Obligations()
        self.last_time_ns = -1
        """Of the last event; -1: there was none."""
        self.last_trade_id = 0

    def follow(self, block: Block, begin: int, end: int) -> Derived:
        """Return what some rows of a block add; there is no TRADE_BUSTED or TRADE_CORRECTED among them."""
        rows = block.rows[begin:end]
        self.reference.follow(block, begin, end)
        records = self.markets.follow(block, begin, end)
        writes = self.days(rows)
        is_trade = rows["kind"] == EventKind.TRADE
        notional_units = np.zeros(len(rows), np.int64)
        entries = []
        at = np.flatnonzero(is_trade)
        trades = trades_of(rows[at], self.reference.sizes)
        writes += self.obligations.follow(block, begin, end, trades, at, self.reference.sizes)
        if len(at):
            notional_units[at] = trades["notional_units"]
            writes += [
                Write(tables.trades, trades),
                Write(tables.executions, executions_of(trades, rows[at])),
                candles.of_trades(trades),
            ]
            entries.append(ledger.of_new_trades(trades, self.reference.sizes, at))
            self.last_trade_id = int(trades["trade_id"][-1])
        is_transfer = (rows["kind"] == EventKind.DEPOSITED) | (rows["kind"] == EventKind.WITHDRAWN)
        if is_transfer.any():
            at = np.flatnonzero(is_transfer)
            entries.append(ledger.of_transfers(rows[at], at))
        is_settling = (rows["kind"] == EventKind.OBLIGATION_SETTLED) | (rows["kind"] == EventKind.PENALTY_PAID)
        if is_settling.any():
            at = np.flatnonzero(is_settling)
            entries.append(ledger.of_settlements(rows[at], at))
        if entries:
            writes += self.balances.book(np.concatenate(entries))
        writes += self.orders.follow(rows, notional_units)
        return Derived([write for write in writes if len(write.rows)], records + self.reference.changes())

    def days(self, rows: Rows) -> list[Write]:
        """Return the days that begin with one of the rows, the next ones."""
        day = rows["time_ns"] // DAY_NS
        before = np.concatenate([[self.last_time_ns // DAY_NS], day[:-1]])
        begins = np.flatnonzero(day != before)
        self.last_time_ns = int(rows["time_ns"][-1])
        if not len(begins):
            return []
        traded = np.cumsum(rows["kind"] == EventKind.TRADE)
        first = self.last_trade_id + 1 + traded[begins] - (rows["kind"][begins] == EventKind.TRADE)
        made = rows_of.made(
            tables.days, len(begins), day=day[begins], cause_seq=rows["cause_seq"][begins],
            event_index=rows["index"][begins], trade_id=first,
        )  # fmt: skip
        return [Write(tables.days, made)]


def trades_of(rows: Rows, sizes: Sizes, state: TradeState = TradeState.GOOD) -> Rows:
    """Return the rows of the table `trades` for TRADE events, or for others that have its fields."""
    *_, tick_lot_units = sizes.of(rows["instrument_id"])
    return rows_of.made(
        tables.trades, len(rows), trade_id=rows["trade_id"], instrument_id=rows["instrument_id"],
        cause_seq=rows["cause_seq"], event_index=rows["index"], time_ns=rows["time_ns"], state=state,
        side=rows["side"], price_ticks=rows["price_ticks"], qty_lots=rows["qty_lots"],
        notional_units=rows["price_ticks"] * rows["qty_lots"] * tick_lot_units, taker_account_id=rows["account_id"],
        taker_order_id=rows["order_id"], taker_fee_units=rows["fee_units"],
        maker_account_id=rows["contra_account_id"], maker_order_id=rows["contra_order_id"],
        maker_fee_units=rows["contra_fee_units"], burned_units=rows["burned_units"],
    )  # fmt: skip


def executions_of(trades: Rows, rows: Rows) -> Rows:
    """Return both sides of trades; `rows` are their events, for what was open of the orders afterwards."""
    sides: tuple[tuple[str, Liquidity, Words, Any], ...] = (
        ("taker", Liquidity.TAKER, trades["side"], rows["leaves_lots"]),
        ("maker", Liquidity.MAKER, 3 - trades["side"], rows["contra_leaves_lots"]),
    )
    shared = ("trade_id", "instrument_id", "state", "time_ns", "price_ticks", "qty_lots", "notional_units")
    made = [
        rows_of.made(
            tables.executions, len(trades), account_id=trades[f"{name}_account_id"], liquidity=liquidity, side=side,
            order_id=trades[f"{name}_order_id"], fee_units=trades[f"{name}_fee_units"], leaves_lots=leaves,
            **{column: trades[column] for column in shared},
        )
        for name, liquidity, side, leaves in sides
    ]  # fmt: skip
    both = np.concatenate(made)
    return both[np.lexsort((both["liquidity"], both["trade_id"], both["account_id"]))]
