"""The tables of the books and records, declared once with what each column means.

Invariants:
- amounts are whole numbers of the smallest unit (ticks, lots, units), prices never a float;
- zero means "none" in every id, enum and time, and no column is null;
- the tables that grow with trading hold integers only, so that rows are written in bulk from arrays;
- every row is a function of the events up to the cursor, never of when or in what portions they came.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

metadata: Final = sa.MetaData()


def _integer(kind: type[sa.types.TypeEngine[int]], name: str, doc: str, **more: Any) -> sa.Column[int]:
    # SQLite has one integer type, of up to 64 bits; its STRICT tables refuse all other names for it.
    return sa.Column(
        name, kind().with_variant(sa.Integer(), "sqlite"), doc=doc, nullable=False, autoincrement=False, **more
    )


def _big(name: str, doc: str, **more: Any) -> sa.Column[int]:
    return _integer(sa.BigInteger, name, doc, **more)


def _int(name: str, doc: str, **more: Any) -> sa.Column[int]:
    return _integer(sa.Integer, name, doc, **more)


def _small(name: str, doc: str, **more: Any) -> sa.Column[int]:
    return _integer(sa.SmallInteger, name, doc, **more)


def _text(name: str, doc: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), doc=doc, nullable=False)


def _table(name: str, doc: str, *columns: Any, rowid: bool = False) -> sa.Table:
    """Declare a table; without `rowid` SQLite keeps its rows in the order of the primary key itself."""
    return sa.Table(
        name, metadata, *columns, info={"doc": doc}, sqlite_strict=True, sqlite_with_rowid=rowid,
    )  # fmt: skip


# Where the books stand ------------------------------------------------------------------------------------------------

cursor: Final = _table(
    "cursor", "One row: the last event that all other tables hold. It changes in the transaction that writes them.",
    _small("id", "Always 1.", primary_key=True),
    _text("venue_id", "The venue that the events are of, hexadecimal."),
    _big("cause_seq", "Sequence of the command that caused the last event."),
    _int("event_index", "The last event's index under its cause."),
    _big("time_ns", "Core time of the last event."),
    _big("trade_id", "The last trade."),
    _big("event_count", "Events taken in, ever."),
    rowid=True,
)  # fmt: skip

days: Final = _table(
    "days", "The first event of each UTC day that has one: where a day begins in the other tables.",
    _int("day", "Days since 1970-01-01.", primary_key=True),
    _big("cause_seq", "Sequence of the command that caused it."),
    _int("event_index", "Its index under its cause."),
    _big("trade_id", "The first trade on or after the day."),
    rowid=True,
)  # fmt: skip

# What there is --------------------------------------------------------------------------------------------------------

assets: Final = _table(
    "assets", "Assets, as they now stand.",
    _int("asset_id", "Number.", primary_key=True),
    _text("name", "Name."),
    _small("scale", "Decimal places of a unit."),
    _text("document", "The whole definition, JSON."),
    rowid=True,
)  # fmt: skip

instruments: Final = _table(
    "instruments", "Instruments, as they now stand.",
    _int("instrument_id", "Number.", primary_key=True),
    _text("name", "Name."),
    _int("base_asset_id", "What is traded."),
    _int("quote_asset_id", "What it is paid in; fees are in it too."),
    _big("tick_units", "Units of the quote asset that one tick is, per whole base unit."),
    _big("lot_units", "Units of the base asset in a lot."),
    _big("tick_lot_units", "Units of the quote asset that one lot costs at one tick."),
    _small("state", "MarketState."),
    _text("document", "The whole definition, JSON."),
    rowid=True,
)  # fmt: skip

accounts: Final = _table(
    "accounts", "Accounts, as they now stand.",
    _int("account_id", "Number.", primary_key=True),
    _text("name", "Name."),
    _text("owner", "Owner."),
    _small("tier", "Fee tier."),
    _small("state", "AccountState."),
    _text("document", "The whole definition, JSON."),
    rowid=True,
)  # fmt: skip

calendars: Final = _table(
    "calendars", "Settlement calendars, as they now stand.",
    _int("calendar_id", "Number.", primary_key=True),
    _text("name", "Name."),
    _text("document", "The whole definition with its dates (days since 1970-01-01), JSON."),
    rowid=True,
)  # fmt: skip

# Markets --------------------------------------------------------------------------------------------------------------

instrument_states: Final = _table(
    "instrument_states", "Every change of a market's state.",
    _int("instrument_id", "Instrument.", primary_key=True),
    _big("cause_seq", "The event's cause.", primary_key=True),
    _int("event_index", "The event's index.", primary_key=True),
    _big("time_ns", "When."),
    _small("state", "MarketState."),
    _small("call_purpose", "CallPurpose of an auction call."),
    _small("state_reason", "StateReason; 0: an operator."),
    _big("until_ns", "When it is expected to end."),
    _text("actor", "The operator."),
    _text("reason", "What the operator said."),
)  # fmt: skip

halts: Final = _table(
    "halts", "Every halt: from the market's HALTED or CANCEL_ONLY until it is open, closed, or before its opening.",
    _int("instrument_id", "Instrument.", primary_key=True),
    _big("cause_seq", "The event's cause, at its beginning.", primary_key=True),
    _int("event_index", "The event's index.", primary_key=True),
    _big("begin_ns", "When it began."),
    _small("state_reason", "StateReason at its beginning; 0: an operator."),
    _big("end_seq", "Sequence at its end; 0 while it lasts."),
    _big("end_ns", "When it ended; 0 while it lasts."),
)  # fmt: skip

breaker_trips: Final = _table(
    "breaker_trips", "Every trip and alert of a circuit breaker.",
    _int("instrument_id", "Instrument; 0 for a market group.", primary_key=True),
    _big("cause_seq", "The event's cause.", primary_key=True),
    _int("event_index", "The event's index.", primary_key=True),
    _big("time_ns", "When."),
    _small("is_halt", "1: it halted the market; 0: an alert."),
    _big("group_id", "The market group."),
    _small("breaker_reason", "BreakerReason."),
    _big("price_ticks", "The price that set it off."),
    _big("measure", "What was measured."),
    _big("threshold", "What it may be."),
)  # fmt: skip

# Orders and trades ----------------------------------------------------------------------------------------------------

orders: Final = _table(
    "orders", "Every order that was accepted: as it stands while it is open, and as it ended.",
    _big("order_id", "The venue's number of it.", primary_key=True),
    _int("account_id", "Account."),
    _int("instrument_id", "Instrument."),
    _small("side", "Side."),
    _small("order_type", "OrderType; after its trigger that which it became."),
    _small("time_in_force", "TimeInForce."),
    _small("flags", "Flag bits."),
    _small("state", "OrderState."),
    _small("reason", "CancelReason of one that was canceled."),
    _big("price_ticks", "Limit price, 0 without one."),
    _big("qty_lots", "Quantity, what is filled included; 0 for a budget order."),
    _big("leaves_lots", "Open quantity; 0 once it has ended."),
    _big("filled_lots", "Filled, less what was busted or corrected since."),
    _big("notional_units", "What the filled quantity cost, in the quote asset, likewise."),
    _big("fee_units", "Fees paid on it, in the quote asset, likewise; negative: rebates."),
    _big("budget_units", "What a market buy may spend, fees included."),
    _big("client_id_lo", "Low half of the hash of the client order id; 0 without one."),
    _big("client_id_hi", "High half."),
    _int("session_id", "The session that entered it."),
    _big("entry_seq", "Sequence of the command that entered it: in the journal it names the client order id's text."),
    _big("entry_ns", "When it was accepted."),
    _big("last_seq", "Sequence of its last change."),
    _big("last_ns", "When that was."),
    rowid=True,
)  # fmt: skip
sa.Index("orders_by_account", orders.c.account_id, orders.c.entry_seq, orders.c.order_id)
sa.Index(
    "orders_open", orders.c.account_id, orders.c.entry_seq, orders.c.order_id,
    sqlite_where=orders.c.state == sa.literal_column("1"), postgresql_where=orders.c.state == sa.literal_column("1"),
)  # fmt: skip
sa.Index("orders_by_instrument", orders.c.account_id, orders.c.instrument_id, orders.c.entry_seq, orders.c.order_id)
sa.Index("orders_by_client_id", orders.c.account_id, orders.c.client_id_lo)

order_details: Final = _table(
    "order_details", "The further terms of orders that wait, hide, expire or belong to another.",
    _big("order_id", "The order.", primary_key=True),
    _small("order_type", "OrderType as it was entered."),
    _small("trigger", "TriggerSource."),
    _big("trigger_price_ticks", "Trigger price; of a trailing order its first."),
    _small("trail_unit", "TrailUnit."),
    _big("trail", "Distance of a trailing order."),
    _big("stop_limit_price_ticks", "Limit of a bracket's stop-loss."),
    _big("take_profit_price_ticks", "Limit of a bracket's take-profit."),
    _big("display_qty_lots", "What an iceberg shows."),
    _big("refill_qty_lots", "What it shows after that; 0: the same."),
    _big("min_qty_lots", "What must be filled at once."),
    _big("linked_order_id", "The other leg."),
    _big("parent_order_id", "The bracket whose exit, or the scheduled order whose child, it is."),
    _big("expire_time_ns", "When a good-till-date order ends."),
    rowid=True,
)  # fmt: skip

trades: Final = _table(
    "trades", "Every trade, with the price and quantity that now hold.",
    _big("trade_id", "Number, rising by one.", primary_key=True),
    _int("instrument_id", "Instrument."),
    _big("cause_seq", "Sequence of the command that caused it."),
    _int("event_index", "The event's index under its cause."),
    _big("time_ns", "When."),
    _small("state", "TradeState."),
    _small("side", "Side of the taker."),
    _big("price_ticks", "Price."),
    _big("qty_lots", "Quantity."),
    _big("notional_units", "Price times quantity, in the quote asset."),
    _int("taker_account_id", "The taker's account."),
    _big("taker_order_id", "The taker's order."),
    _big("taker_fee_units", "The taker's fee, in the quote asset."),
    _int("maker_account_id", "The maker's account."),
    _big("maker_order_id", "The maker's order."),
    _big("maker_fee_units", "The maker's fee; negative: a rebate."),
    _big("burned_units", "The part of both fees that was burned."),
    _big("value_date", "When it settles: days since 1970-01-01; 0: it settled at the trade."),
    rowid=True,
)  # fmt: skip
sa.Index("trades_by_instrument", trades.c.instrument_id, trades.c.time_ns, trades.c.trade_id)

trade_changes: Final = _table(
    "trade_changes", "Every bust and correction of a trade.",
    _big("trade_id", "The trade.", primary_key=True),
    _big("cause_seq", "The event's cause.", primary_key=True),
    _int("event_index", "The event's index.", primary_key=True),
    _big("time_ns", "When."),
    _small("state", "TradeState from then on."),
    _big("old_price_ticks", "Price before."),
    _big("old_qty_lots", "Quantity before."),
    _big("price_ticks", "Price after."),
    _big("qty_lots", "Quantity after."),
    _text("actor", "The operator."),
    _text("reason", "What the operator said."),
)  # fmt: skip

executions: Final = _table(
    "executions", "The two sides of every trade.",
    _int("account_id", "Account.", primary_key=True),
    _big("trade_id", "The trade.", primary_key=True),
    _small("liquidity", "Liquidity.", primary_key=True),
    _big("order_id", "The order."),
    _int("instrument_id", "Instrument."),
    _small("state", "TradeState."),
    _small("side", "Side."),
    _big("time_ns", "When."),
    _big("price_ticks", "Price."),
    _big("qty_lots", "Quantity."),
    _big("notional_units", "Price times quantity, in the quote asset."),
    _big("fee_units", "Fee, in the quote asset; negative: a rebate."),
    _big("leaves_lots", "What was open of the order afterwards."),
)  # fmt: skip

sa.Index(
    "executions_by_order",
    executions.c.account_id, executions.c.order_id, executions.c.trade_id, executions.c.liquidity,
)  # fmt: skip
sa.Index(
    "executions_by_instrument",
    executions.c.account_id, executions.c.instrument_id, executions.c.trade_id, executions.c.liquidity,
)  # fmt: skip

# Money ----------------------------------------------------------------------------------------------------------------

ledger: Final = _table(
    "ledger", "Double entry: every movement of a balance with its cause. The entries of an event sum to 0 per asset.",
    _int("account_id", "Account; 0 is the world outside.", primary_key=True),
    _int("asset_id", "Asset.", primary_key=True),
    _big("cause_seq", "Sequence of the command that caused it.", primary_key=True),
    _int("event_index", "The event's index under its cause.", primary_key=True),
    _small("entry", "Number of the entry within the event.", primary_key=True),
    _big("time_ns", "When."),
    _small("cause", "LedgerCause: what happened."),
    _small("entry_kind", "EntryKind: what this part of it is for."),
    _big("trade_id", "The trade, 0 if none."),
    _big("amount_units", "What came in, or (negative) went out."),
    _big("balance_units", "The balance afterwards, what is held for orders included."),
)  # fmt: skip

balances: Final = _table(
    "balances", "Balances as they now stand, what is held for orders included.",
    _int("account_id", "Account.", primary_key=True),
    _int("asset_id", "Asset.", primary_key=True),
    _big("balance_units", "Balance."),
)  # fmt: skip

daily_balances: Final = _table(
    "daily_balances", "The balance at the end of each UTC day on which it moved.",
    _int("account_id", "Account.", primary_key=True),
    _int("asset_id", "Asset.", primary_key=True),
    _int("day", "Days since 1970-01-01.", primary_key=True),
    _big("balance_units", "Balance."),
)  # fmt: skip

obligations: Final = _table(
    "obligations", "What trades that settle later leave owed, netted per account, asset and value date.",
    _int("account_id", "Whom it is owed to.", primary_key=True),
    _int("asset_id", "Asset.", primary_key=True),
    _big("value_date", "When it is due: days since 1970-01-01.", primary_key=True),
    _big("amount_units", "What is owed, the seller's fees taken off; of a settled one what was paid."),
    _small("state", "ObligationState: PENDING, FAILED or SETTLED."),
    _big("reason", "Why it failed: a number of who said so."),
    _big("penalty_units", "Penalties paid for it."),
    _big("opened_seq", "Sequence of the first trade's command."),
    _big("opened_ns", "When that was."),
    _big("failed_seq", "Sequence of the command by which it failed; 0: it did not."),
    _big("failed_ns", "When that was."),
    _big("settled_seq", "Sequence of the command by which it was settled; 0: it is open."),
    _big("settled_ns", "When that was."),
    _big("last_seq", "Sequence of the last change."),
)  # fmt: skip
IS_OPEN: Final = obligations.c.settled_seq == sa.literal_column("0")
"""Of an obligation: it is not settled."""
sa.Index(
    "obligations_open", obligations.c.value_date, obligations.c.account_id, obligations.c.asset_id,
    sqlite_where=IS_OPEN, postgresql_where=IS_OPEN,
)  # fmt: skip

candles: Final = _table(
    "candles", "Prices and volume of each stretch of time that has trades that are not busted.",
    _int("instrument_id", "Instrument.", primary_key=True),
    _int("interval_s", "Length: 1, 60, 300, 900, 3,600 or 86,400 s.", primary_key=True),
    _big("start_s", "Beginning: seconds since 1970-01-01, a multiple of the length.", primary_key=True),
    _big("open_ticks", "First price."),
    _big("high_ticks", "Highest price."),
    _big("low_ticks", "Lowest price."),
    _big("close_ticks", "Last price."),
    _big("volume_lots", "Quantity; at most 2^62."),
    _big("notional_units", "Price times quantity, in the quote asset; at most 2^62."),
    _int("trade_count", "Trades."),
)  # fmt: skip

# What SQLite's planner is told ----------------------------------------------------------------------------------------

SQLITE_STATISTICS: Final = {
    "orders_by_account": "10000000 1000 1 1",
    "orders_by_instrument": "10000000 1000 100 1 1",
    "orders_by_client_id": "10000000 1000 1",
    "orders_open": "1000 2 1 1",
    "trades_by_instrument": "10000000 100000 1 1",
    "obligations": "1000000 1000 100 1",
    "obligations_open": "10000 2000 2 1",
    "executions": "10000000 1000 1 1",
    "executions_by_order": "10000000 1000 2 1 1",
    "executions_by_instrument": "10000000 1000 100 1 1",
    "ledger": "40000000 2000 1000 8 2 1",
}
"""By index, or (its primary key) table: rows, then rows alike in the first column, the first two, and so on.

Without such figures the planner takes the primary key for the best way whenever its first column is given, and reads
all executions of an account to find those of one order. These are of large books, so plans do not change as books grow.
"""
