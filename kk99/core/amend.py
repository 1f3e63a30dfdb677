"""Replacing and canceling one live order."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import ending, entry, extras, index, ladder, ledger, linked, matching, orders, output, revise, triggers
from kk99.core import layout as lay
from kk99.core.copying import touch
from kk99.core.memory import high, inlined, kernel, load, low, store
from kk99.schema import RejectCode as R

BY_CLIENT_ID = schema.Flag.TARGET_CLIENT_ID.value
QTY_IS_LEAVES = schema.Flag.QTY_IS_LEAVES.value
POST_ONLY = schema.Flag.POST_ONLY.value
REPLACE_FLAGS = revise.REPLACE_FLAGS
CALL = schema.MarketState.CALL.value
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
        instrument_id = high(load(m, lay.order(slot) + lay.O_OWNER))
        ending.cancel(m, slot, R_REQUESTED)
        triggers.settle_watched(m, instrument_id)


@inlined
def check_market(m: Any, instrument_at: int, terms: int) -> int:
    """Return why a market takes no replace of an order with such terms, or 0."""
    if load(m, instrument_at + lay.I_STATE) == CALL and (terms >> 32) & POST_ONLY == 0:
        return 0
    return entry.check_market(m, instrument_at)


@kernel
def _check_replace(m: Any, c: Any, at: int, slot: int) -> int:
    """Return the first reject code of a replace that needs no look at money or the book, or 0."""
    kinds = load(c, at + output.C_KINDS)
    order_at = lay.order(slot)
    instrument_at = lay.instrument(high(load(m, order_at + lay.O_OWNER)))
    side = (kinds >> 8) & 0xFF
    if side != 0 and side != load(m, order_at + lay.O_TERMS) & 0xFF:
        return R.SIDE_INVALID.value
    if (kinds >> 40) & 0xFF & ~REPLACE_FLAGS != 0 or load(c, at + entry.C_TRIGGER) != 0:
        return R.FLAGS_INVALID.value
    code = entry.check_reserved(c, at)
    if code == 0:
        code = check_market(m, instrument_at, load(m, order_at + lay.O_TERMS))
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
        if slot != 0 and extras.is_special(m, lay.order(slot)):
            revise.order_replace(m, c, at, slot)
            return
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
    old_hold = ledger.order_hold(m, instrument_at, side, old_price, old_leaves, ledger.hold_ppm(rates))
    if not kept:
        rates = linked.rates_of(m, instrument_at, account_id)
    held = ledger.order_hold(m, instrument_at, side, price, leaves, ledger.hold_ppm(rates))
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
    elif not kept and linked.full(m, 1):
        code = R.ORDERS_FULL.value
    if code != 0:
        output.reject(m, c, at, code)
        return
    touch(m, order_at)
    ledger.hold(m, balance_slot, held - old_hold)
    if renamed:
        revise.rename(m, slot, client_lo, client_hi)
    store(m, order_at + lay.O_QTY, load(m, order_at + lay.O_QTY) - old_leaves + leaves)
    if kept:
        store(m, order_at + lay.O_LEAVES, leaves)
        linked.accepted(m, E_REPLACED, order_at, PRIORITY_KEPT, held)
        triggers.settle_watched(m, instrument_id)
        return
    ladder.remove(m, lay.book(instrument_id, side), side, slot)
    store(m, order_at + lay.O_PRICE, price)
    store(m, order_at + lay.O_LEAVES, leaves)
    store(m, order_at + lay.O_RATES, rates)
    linked.accepted(m, E_REPLACED, order_at, 0, held)
    entry.aggress(m, slot, price, price, 0, 0)
    triggers.settle_watched(m, instrument_id)
