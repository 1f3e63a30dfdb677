"""Money: balances, holds and fees, in whole units of an asset.

Every change of a balance goes through `post` or moves between available and held, so the running total per asset is
the sum of all balances, which is compared with what came in and went out.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import index
from kk99.core import layout as lay
from kk99.core.copying import touch
from kk99.core.memory import add, high, inlined, kernel, load, low, pair, store

PPM = schema.PPM
BUY = schema.Side.BUY.value


@inlined
def fee(amount: int, ppm: int) -> int:
    """Return `amount * ppm // PPM` for neither below 0, without passing 64 bits (ppm at most PPM)."""
    whole = amount // PPM
    return whole * ppm + (amount - whole * PPM) * ppm // PPM


@inlined
def with_fee(amount: int, ppm: int) -> int:
    """Return an amount and the fee on it."""
    return amount + fee(amount, ppm)


@inlined
def post(m: Any, balance_slot: int, asset_id: int, amount: int) -> None:
    """Add to what is available of a balance, and to its asset's total."""
    add(m, lay.balance(balance_slot) + lay.B_AVAILABLE, amount)
    add(m, lay.asset(asset_id) + lay.A_TOTAL, amount)


@inlined
def hold(m: Any, balance_slot: int, amount: int) -> None:
    """Move an amount from available to held (back, if negative)."""
    at = lay.balance(balance_slot)
    add(m, at + lay.B_AVAILABLE, -amount)
    add(m, at + lay.B_HELD, amount)


@inlined
def available(m: Any, balance_slot: int) -> int:
    """Return what is available; balance 0 is empty."""
    if balance_slot == 0:
        return 0
    return load(m, lay.balance(balance_slot) + lay.B_AVAILABLE)


@kernel
def open_balance(m: Any, account_id: int, asset_id: int) -> int:
    """Return the slot of a balance, opened if it isn't there."""
    owner = pair(account_id, asset_id)
    slot = index.find_balance(m, owner)
    if slot == 0:
        slot = load(m, lay.HEADER + lay.H_BALANCES) + 1
        store(m, lay.HEADER + lay.H_BALANCES, slot)
        store(m, lay.balance(slot) + lay.B_OWNER, owner)
        index.add_balance(m, slot)
    return slot


@inlined
def receiving_balance(m: Any, order_at: int, asset_id: int) -> int:
    """Return the slot of the balance into which an order's fills pay, looked up at its first fill."""
    balances = load(m, order_at + lay.O_BALANCES)
    slot = high(balances)
    if slot == 0:
        slot = open_balance(m, low(load(m, order_at + lay.O_OWNER)), asset_id)
        touch(m, order_at)
        store(m, order_at + lay.O_BALANCES, pair(low(balances), slot))
    return slot


@inlined
def hold_ppm(rates: int) -> int:
    """Return the rate at which a hold covers the fee: the higher of an order's two."""
    return max(low(rates), high(rates))


@inlined
def order_hold(m: Any, instrument_at: int, side: int, price: int, leaves: int, ppm: int) -> int:
    """Return what an order's open quantity holds: base units of a sell, quote units with the higher fee of a buy."""
    if side == BUY:
        return with_fee(price * leaves * load(m, instrument_at + lay.I_TICK_LOT_UNITS), ppm)
    return leaves * load(m, instrument_at + lay.I_LOT_UNITS)


@inlined
def maker_fee_of(notional: int, maker_ppm: int, taker_fee: int) -> int:
    """Return the maker's fee; a rebate (negative) is at most what the taker paid."""
    if maker_ppm >= 0:
        return fee(notional, maker_ppm)
    rebate = fee(notional, -maker_ppm)
    return -min(rebate, taker_fee)


@inlined
def collect(m: Any, asset_id: int, fees: int, burned: int) -> None:
    """Post fees: the burned part to BURNED, the rest, with the dust of rounding, to FEES."""
    at = lay.asset(asset_id)
    add(m, lay.balance(load(m, at + lay.A_FEES_BALANCE)) + lay.B_AVAILABLE, fees - burned)
    add(m, lay.balance(load(m, at + lay.A_BURNED_BALANCE)) + lay.B_AVAILABLE, burned)
    add(m, at + lay.A_TOTAL, fees)
