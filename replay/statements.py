"""An account's statement as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99.decimals import amount_text
from replay import render

if TYPE_CHECKING:
    from replay import inspect


def text(found: inspect.Statement) -> str:
    """Return a statement as tables: movements, balances, and what is owed if anything is."""
    scales = {one.asset: one.scale for one in found.balances}
    movements = [
        (
            f"{one.seq}.{one.index}",
            render.time_text(one.time_ns),
            f"trade {one.trade_id}" if one.trade_id else one.event,
            one.text,
            one.asset,
            amount_text(one.amount_units, scales[one.asset]),
            amount_text(one.balance_units, scales[one.asset]),
        )
        for one in found.movements
    ]
    balances = [
        (
            one.asset,
            *(
                amount_text(units, one.scale)
                for units in (one.opening_units, one.closing_units, one.available_units, one.held_units)
            ),
        )
        for one in found.balances
    ]
    owed = [
        (one.asset, one.value_date, amount_text(one.amount_units, one.scale), "failed" if one.has_failed else "")
        for one in found.owed
    ]
    return "\n".join(
        [
            f"account {found.account_id} ({found.account}), seq {found.from_seq} to {found.to_seq}",
            "",
            render.table(("event", "time", "cause", "what", "asset", "amount", "balance"), movements),
            "",
            render.table(("asset", "opening", "closing", "available", "held"), balances),
            *(["", render.table(("owed", "value date", "amount", "state"), owed)] if owed else []),
        ]
    )
