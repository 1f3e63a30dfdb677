"""The first tables.

What a migration makes is written down here once and for all: `gateways.settlement.tables` moves on with later ones.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_KINDS: Final = {"b": sa.BigInteger, "i": sa.Integer, "s": sa.SmallInteger}

_TABLES: Final = {
    "cursor": ("id:s! venue_id:t cause_seq:b event_index:i time_ns:b trade_id:b event_count:b"),
    "days": ("day:i! cause_seq:b event_index:i trade_id:b"),
    "assets": ("asset_id:i! name:t scale:s document:t"),
    "instruments": (
        "instrument_id:i! name:t base_asset_id:i quote_asset_id:i tick_units:b lot_units:b tick_lot_units:b "
        "state:s document:t"
    ),
    "accounts": ("account_id:i! name:t owner:t tier:s state:s document:t"),
    "instrument_states": (
        "instrument_id:i! cause_seq:b! event_index:i! time_ns:b state:s call_purpose:s state_reason:s "
        "until_ns:b actor:t reason:t"
    ),
    "halts": ("instrument_id:i! cause_seq:b! event_index:i! begin_ns:b state_reason:s end_seq:b end_ns:b"),
    "breaker_trips": (
        "instrument_id:i! cause_seq:b! event_index:i! time_ns:b is_halt:s group_id:b breaker_reason:s "
        "price_ticks:b measure:b threshold:b"
    ),
    "orders": (
        "order_id:b! account_id:i instrument_id:i side:s order_type:s time_in_force:s flags:s state:s "
        "reason:s price_ticks:b qty_lots:b leaves_lots:b filled_lots:b notional_units:b fee_units:b "
        "budget_units:b client_id_lo:b client_id_hi:b session_id:i entry_seq:b entry_ns:b last_seq:b "
        "last_ns:b"
    ),
    "order_details": (
        "order_id:b! order_type:s trigger:s trigger_price_ticks:b trail_unit:s trail:b "
        "stop_limit_price_ticks:b take_profit_price_ticks:b display_qty_lots:b refill_qty_lots:b "
        "min_qty_lots:b linked_order_id:b parent_order_id:b expire_time_ns:b"
    ),
    "trades": (
        "trade_id:b! instrument_id:i cause_seq:b event_index:i time_ns:b state:s side:s price_ticks:b "
        "qty_lots:b notional_units:b taker_account_id:i taker_order_id:b taker_fee_units:b maker_account_id:i "
        "maker_order_id:b maker_fee_units:b burned_units:b"
    ),
    "trade_changes": (
        "trade_id:b! cause_seq:b! event_index:i! time_ns:b state:s old_price_ticks:b old_qty_lots:b "
        "price_ticks:b qty_lots:b actor:t reason:t"
    ),
    "executions": (
        "account_id:i! trade_id:b! liquidity:s! order_id:b instrument_id:i state:s side:s time_ns:b "
        "price_ticks:b qty_lots:b notional_units:b fee_units:b leaves_lots:b"
    ),
    "ledger": (
        "account_id:i! asset_id:i! cause_seq:b! event_index:i! entry:s! time_ns:b cause:s entry_kind:s "
        "trade_id:b amount_units:b balance_units:b"
    ),
    "balances": ("account_id:i! asset_id:i! balance_units:b"),
    "daily_balances": ("account_id:i! asset_id:i! day:i! balance_units:b"),
    "obligations": ("account_id:i! asset_id:i! trade_day:i! settle_day:i! net_units:b state:s last_seq:b"),
    "candles": (
        "instrument_id:i! interval_s:i! start_s:b! open_ticks:b high_ticks:b low_ticks:b close_ticks:b "
        "volume_lots:b notional_units:b trade_count:i"
    ),
}
"""Columns by table: name, b(ig), i(nteger), s(mall) or t(ext), and "!" for those of the primary key."""

_WITHOUT_ROWID: Final = frozenset({
    "instrument_states", "halts", "breaker_trips", "trade_changes", "executions", "ledger", "balances",
    "daily_balances", "obligations", "candles"
})  # fmt: skip
"""SQLite keeps their rows in the order of the primary key itself."""

_INDEXES: Final = {
    "orders_by_account": ("orders", "account_id entry_seq order_id"),
    "orders_by_instrument": ("orders", "account_id instrument_id entry_seq order_id"),
    "orders_by_client_id": ("orders", "account_id client_id_lo"),
    "trades_by_instrument": ("trades", "instrument_id time_ns trade_id"),
    "executions_by_order": ("executions", "account_id order_id trade_id liquidity"),
    "executions_by_instrument": ("executions", "account_id instrument_id trade_id liquidity"),
}


def _column(text: str) -> sa.Column[Any]:
    name, _, rest = text.partition(":")
    is_key = rest.endswith("!")
    if rest[0] == "t":
        return sa.Column(name, sa.Text(), nullable=False, primary_key=is_key)
    kind = _KINDS[rest[0]]().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, nullable=False, primary_key=is_key, autoincrement=False)


def upgrade() -> None:
    """Make the tables and their indexes."""
    for name, columns in _TABLES.items():
        op.create_table(
            name, *map(_column, columns.split()), sqlite_strict=True, sqlite_with_rowid=name not in _WITHOUT_ROWID
        )
    is_open = sa.text("state = 1")
    op.create_index(
        "orders_open", "orders", ["account_id", "entry_seq", "order_id"],
        sqlite_where=is_open, postgresql_where=is_open,
    )  # fmt: skip
    for name, (table, columns) in _INDEXES.items():
        op.create_index(name, table, columns.split())
