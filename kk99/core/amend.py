"""Replacing and canceling one live order."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import entry, index, ladder, ledger, matching, orders, output
from kk99.core import layout as lay
from kk99.core.memory import high, inlined, kernel, load, low, pair, store
from kk99.schema import RejectCode as R

BY_CLIENT_ID = schema.Flag.TARGET_CLIENT_ID.value
QTY_IS_LEAVES = schema.Flag.QTY_IS_LEAVES.value
POST_ONLY = schema.Flag.POST_ONLY.value
REPLACE_FLAGS = (schema.Flag.TARGET_CLIENT_ID | schema.Flag.QTY_IS_LEAVES | schema.Flag.HAS_COLD).value
PRIORITY_KEPT = schema.Flag.PRIORITY_KEPT.value
E_REPLACED = schema.EventKind.ORDER_REPLACED.value
R_REQUESTED = schema.CancelReason.REQUESTED.value


@inlined
def _target(m: Any, c: Any, at: int) -> int:
    by_client_id = (load(c, at + output.C_KINDS) >> 40) & BY_CLIENT_ID
    account_id = high(load(c, at + output.C_OWNER))
    return orders.find(m, account_id, load(c, at + output.C_TARGET_LO), load(c, at + output.C_TARGET_HI), by_client_id)


@kernel
def order_cancel(m: Any, c: Any, at: int) -> None:
    """Cancel an order, or reject the command."""
    code = entry.check_account(m, high(load(c, at + output.C_OWNER)))
    slot = 0
    if code == 0:
        slot = _target(m, c, at)
        if slot == 0:
            code = R.ORDER_UNKNOWN.value
    if code != 0:
        output.reject(m, c, at, code)
    else:
        orders.cancel_resting(m, slot, R_REQUESTED)


@kernel
def _check_replace(m: Any, c: Any, at: int, slot: int) -> int:
    """Return the first reject code of a replace that needs no look at money or the book, or 0."""
    kinds = load(c, at + output.C_KINDS)
    order_at = lay.order(slot)
    instrument_at = lay.instrument(high(load(m, order_at + lay.O_OWNER)))
    side = (kinds >> 8) & 0xFF
    if side != 0 and side != load(m, order_at + lay.O_TERMS) & 0xFF:
        return R.SIDE_INVALID.value
    if (kinds >> 40) & 0xFF & ~REPLACE_FLAGS != 0:
        return R.FLAGS_INVALID.value
    code = entry.check_reserved(c, at, 0)
    if code == 0:
        code = entry.check_market(m, instrument_at)
    price = load(c, at + output.C_PRICE)
    if code == 0:
        code = entry.check_limit_price(m, instrument_at, price)
    if code != 0:
        return code
    qty = load(c, at + output.C_QTY)
    filled = load(m, order_at + lay.O_QTY) - load(m, order_at + lay.O_LEAVES)
    is_leaves = (kinds >> 40) & QTY_IS_LEAVES != 0
    code = entry.check_qty(m, instrument_at, qty, filled if is_leaves else 0)
    leaves = qty if is_leaves else qty - filled
    if code == 0 and leaves < 1:
        code = R.QTY_BELOW_FILLED.value
    if code == 0:
        code = entry.check_notional(m, instrument_at, price * leaves * load(m, instrument_at + lay.I_TICK_LOT_UNITS))
    if code == 0 and load(c, at + output.C_AMOUNT) != 0:
        code = R.AMOUNT_INVALID.value
    return code


@kernel
def order_replace(m: Any, c: Any, at: int) -> None:
    """Replace an order's price, quantity or client id, or reject the command."""
    account_id = high(load(c, at + output.C_OWNER))
    code = entry.check_account(m, account_id)
    slot = 0
    if code == 0:
        code = entry.check_active(m, account_id)
    if code == 0:
        slot = _target(m, c, at)
        code = R.ORDER_UNKNOWN.value if slot == 0 else _check_replace(m, c, at, slot)
    if code != 0:
        output.reject(m, c, at, code)
        return
    order_at = lay.order(slot)
    instrument_id = high(load(m, order_at + lay.O_OWNER))
    instrument_at = lay.instrument(instrument_id)
    terms = load(m, order_at + lay.O_TERMS)
    side = terms & 0xFF
    price = load(c, at + output.C_PRICE)
    qty = load(c, at + output.C_QTY)
    old_price = load(m, order_at + lay.O_PRICE)
    old_leaves = load(m, order_at + lay.O_LEAVES)
    leaves = qty
    if (load(c, at + output.C_KINDS) >> 40) & QTY_IS_LEAVES == 0:
        leaves = qty - (load(m, order_at + lay.O_QTY) - old_leaves)
    kept = price == old_price and leaves <= old_leaves
    rates = load(m, order_at + lay.O_RATES)
    taker_ppm = 0
    old_hold = ledger.order_hold(m, instrument_at, side, old_price, old_leaves, high(rates))
    if not kept:
        today = entry.rates_of(m, instrument_at, account_id)
        taker_ppm = high(today)
        rates = pair(low(today), max(low(today), taker_ppm, 0))
    held = ledger.order_hold(m, instrument_at, side, price, leaves, high(rates))
    balance_slot = low(load(m, order_at + lay.O_BALANCES))
    client_lo = load(c, at + output.C_CLIENT_LO)
    client_hi = load(c, at + output.C_CLIENT_HI)
    renamed = client_lo != 0 or client_hi != 0
    if renamed and index.was_used(m, account_id, client_lo, client_hi):
        code = R.CLIENT_ID_DUPLICATE.value
    elif ledger.available(m, balance_slot) + old_hold < held:
        code = R.FUNDS_INSUFFICIENT.value
    elif (terms >> 32) & POST_ONLY != 0 and matching.crosses(m, lay.book(instrument_id, 3 - side), side, price):
        code = R.POST_ONLY_CROSSES.value
    elif not kept and entry.full(m):
        code = R.ORDERS_FULL.value
    if code != 0:
        output.reject(m, c, at, code)
        return
    ledger.hold(m, balance_slot, held - old_hold)
    if renamed:
        _rename(m, slot, client_lo, client_hi)
    store(m, order_at + lay.O_QTY, load(m, order_at + lay.O_QTY) - old_leaves + leaves)
    if kept:
        store(m, order_at + lay.O_LEAVES, leaves)
        entry.accepted(m, E_REPLACED, order_at, PRIORITY_KEPT, held)
        return
    ladder.remove(m, lay.book(instrument_id, side), side, slot)
    store(m, order_at + lay.O_PRICE, price)
    store(m, order_at + lay.O_LEAVES, leaves)
    store(m, order_at + lay.O_RATES, rates)
    store(m, lay.S_TAKER_PPM, taker_ppm)
    entry.accepted(m, E_REPLACED, order_at, 0, held)
    entry.aggress(m, slot, price, 0, linked=True)


@inlined
def _rename(m: Any, slot: int, client_lo: int, client_hi: int) -> None:
    """Give a live order another client id; the old one is ended."""
    order_at = lay.order(slot)
    if load(m, order_at + lay.O_CLIENT_LO) != 0 or load(m, order_at + lay.O_CLIENT_HI) != 0:
        index.end_order(m, slot)
    store(m, order_at + lay.O_CLIENT_LO, client_lo)
    store(m, order_at + lay.O_CLIENT_HI, client_hi)
    index.add_order(m, slot)
