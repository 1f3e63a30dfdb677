"""Money is conserved: what the balances of an asset add up to, against what came in and went out."""

from __future__ import annotations

from typing import Any

from kk99.core import layout as lay
from kk99.core.memory import entry as compiled
from kk99.core.memory import high, load


@compiled
def sum_balances(m: Any, c: Any, asset_id: int) -> int:
    """Return the sum of all balances of an asset, available and held, by adding up the whole table."""
    total = 0
    for slot in range(1, load(m, lay.HEADER + lay.H_BALANCES) + 1):
        at = lay.balance(slot)
        if high(load(m, at + lay.B_OWNER)) == asset_id:
            total += load(m, at + lay.B_AVAILABLE) + load(m, at + lay.B_HELD)
    return total


@compiled
def broken_asset(m: Any, c: Any) -> int:
    """Return the first asset whose running total is not its deposits less its withdrawals, or 0."""
    for asset_id in range(1, load(m, lay.HEADER + lay.H_ASSETS) + 1):
        at = lay.asset(asset_id)
        if load(m, at + lay.A_TOTAL) != load(m, at + lay.A_DEPOSITS) - load(m, at + lay.A_WITHDRAWALS):
            return asset_id
    return 0
