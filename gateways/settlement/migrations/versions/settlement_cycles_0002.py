"""Trades that settle later: calendars, the value dates of trades, and obligations from the trade to the settlement.

What settled at the trade is an obligation no longer; no trade before this release settled later.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _number(name: str, kind: type[sa.types.TypeEngine[int]] = sa.BigInteger, **more: Any) -> sa.Column[int]:
    wide = kind().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, wide, nullable=False, autoincrement=False, **more)


def upgrade() -> None:
    """Make and change the tables."""
    op.create_table(
        "calendars", _number("calendar_id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text(), nullable=False), sa.Column("document", sa.Text(), nullable=False),
        sqlite_strict=True,
    )  # fmt: skip
    op.add_column("trades", _number("value_date", server_default=sa.text("0")))
    op.drop_table("obligations")
    op.create_table(
        "obligations", _number("account_id", sa.Integer, primary_key=True),
        _number("asset_id", sa.Integer, primary_key=True), _number("value_date", primary_key=True),
        _number("amount_units"), _number("state", sa.SmallInteger),
        *map(_number, (
            "reason", "penalty_units", "opened_seq", "opened_ns", "failed_seq", "failed_ns", "settled_seq",
            "settled_ns", "last_seq",
        )),
        sqlite_strict=True, sqlite_with_rowid=False,
    )  # fmt: skip
    is_open = sa.text("settled_seq = 0")
    op.create_index(
        "obligations_open", "obligations", ["value_date", "account_id", "asset_id"],
        sqlite_where=is_open, postgresql_where=is_open,
    )  # fmt: skip
