"""Replacing a special order: one that waits, hides, expires, belongs to another or rests for an auction."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import admit, entry, extras, index, ladder, ledger, linked, matching, orders, output, triggers
from kk99.core import layout as lay
from kk99.core.copying import touch
from kk99.core.memory import add, far, high, inlined, kernel, load, low, store
from kk99.schema import RejectCode as R

BUY = schema.Side.BUY.value
MARKET = schema.OrderType.MARKET.value
LIMIT = schema.OrderType.LIMIT.value
STOP = schema.OrderType.STOP.value
ALGO = schema.OrderType.ALGO.value
AT_OPEN = schema.TimeInForce.AT_OPEN.value
OPEN = schema.MarketState.OPEN.value
PRE_OPEN = schema.MarketState.PRE_OPEN.value
CALL = schema.MarketState.CALL.value
REPLACE_FLAGS = (schema.Flag.TARGET_CLIENT_ID | schema.Flag.QTY_IS_LEAVES | schema.Flag.HAS_COLD).value
QTY_IS_LEAVES = schema.Flag.QTY_IS_LEAVES.value
POST_ONLY = schema.Flag.POST_ONLY.value
PRIORITY_KEPT = schema.Flag.PRIORITY_KEPT.value
E_REPLACED = schema.EventKind.ORDER_REPLACED.value


@kernel
def rename(m: Any, slot: int, client_lo: int, client_hi: int) -> None:
    """Give a live order another client id; the old one is ended."""
    order_at = lay.order(slot)
    if load(m, order_at + lay.O_CLIENT_LO) != 0 or load(m, order_at + lay.O_CLIENT_HI) != 0:
        index.end_order(m, slot)
    touch(m, order_at)
    store(m, order_at + lay.O_CLIENT_LO, client_lo)
    store(m, order_at + lay.O_CLIENT_HI, client_hi)
    index.add_order(m, slot)


@inlined
def _is_triggered_market(m: Any, extra_at: int) -> bool:
    return high(load(m, extra_at + lay.X_SOURCE)) == MARKET


@kernel
def _check_market(m: Any, instrument_at: int, terms: int) -> int:
    """Return why a market takes no replace of an order with such terms, or 0."""
    state = load(m, instrument_at + lay.I_STATE)
    if state == CALL and (terms >> 32) & POST_ONLY == 0:
        return 0
    if state == PRE_OPEN and (terms >> 16) & 0xFF == AT_OPEN:
        return 0
    return entry.check_market(m, instrument_at)


@kernel
def _check_price(m: Any, c: Any, at: int, slot: int) -> int:
    """Return what is wrong with the new price or trigger, or 0."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    instrument_id = high(load(m, order_at + lay.O_OWNER))
    instrument_at = lay.instrument(instrument_id)
    price = load(c, at + output.C_PRICE)
    trigger = load(c, at + entry.C_TRIGGER)
    if not extras.is_dormant(m, extra_at):
        return entry.check_limit_price(m, instrument_at, price)
    if triggers.is_trailing(m, extra_at) or _is_triggered_market(m, extra_at):
        if price != 0:
            return R.PRICE_INVALID.value
    else:
        code = admit.check_free_price(m, instrument_at, price)
        if code != 0:
            return code
    if trigger != 0 and not admit.check_trigger_price(m, instrument_at, trigger):
        return R.TRIGGER_INVALID.value
    return 0


@kernel
def _check_passed(m: Any, c: Any, at: int, slot: int) -> int:
    """Return TRIGGER_PASSED for a new trigger that has, or 0."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    trigger = load(c, at + entry.C_TRIGGER)
    if trigger == 0 or trigger == load(m, extra_at + lay.X_TRIGGER):
        return 0
    number = extras.place_of(m, extra_at) - lay.P_BOOK
    instrument_id = high(load(m, order_at + lay.O_OWNER))
    return R.TRIGGER_PASSED.value if triggers.has_passed(m, instrument_id, number, trigger) else 0


@kernel
def _is_apart(m: Any, c: Any, at: int, slot: int) -> bool:
    """Return whether the new prices of a linked leg, or of a bracket's entry, keep their distance."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    side = load(m, order_at + lay.O_TERMS) & 0xFF
    price = load(c, at + output.C_PRICE)
    trigger = load(c, at + entry.C_TRIGGER)
    if (load(m, order_at + lay.O_TERMS) >> 8) & 0xFF == schema.OrderType.BRACKET.value:
        target = load(m, extra_at + lay.X_TAKE_PROFIT)
        stop = load(m, extra_at + lay.X_TRIGGER)
        return admit.linked_apart(3 - side, target, price) and admit.linked_apart(3 - side, price, stop)
    linked_id = load(m, extra_at + lay.X_LINKED)
    if linked_id == 0:
        return True
    other_at = lay.order(linked_id & orders.SLOT_MASK)
    if extras.is_dormant(m, extra_at):
        stop = trigger if trigger != 0 else load(m, extra_at + lay.X_TRIGGER)
        return admit.linked_apart(side, load(m, other_at + lay.O_PRICE), stop)
    return admit.linked_apart(side, price, load(m, extras.of(m, other_at) + lay.X_TRIGGER))


@inlined
def _new_leaves(m: Any, c: Any, at: int, order_at: int) -> int:
    """Return the open quantity that a replace asks for."""
    qty = load(c, at + output.C_QTY)
    if (load(c, at + output.C_KINDS) >> 40) & QTY_IS_LEAVES != 0:
        return qty
    return qty - (load(m, order_at + lay.O_QTY) - load(m, order_at + lay.O_LEAVES))


@kernel
def _check(m: Any, c: Any, at: int, slot: int) -> int:
    """Return the first reject code that needs no look at money or the book, or 0."""
    kinds = load(c, at + output.C_KINDS)
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    instrument_at = lay.instrument(high(load(m, order_at + lay.O_OWNER)))
    terms = load(m, order_at + lay.O_TERMS)
    side = (kinds >> 8) & 0xFF
    is_dormant = extras.is_dormant(m, extra_at)
    if side != 0 and side != terms & 0xFF:
        return R.SIDE_INVALID.value
    if (terms >> 8) & 0xFF == MARKET or (terms >> 8) & 0xFF == ALGO:
        return R.REPLACE_UNSUPPORTED.value
    moves_trigger = load(c, at + entry.C_TRIGGER) != 0
    if (kinds >> 40) & 0xFF & ~REPLACE_FLAGS != 0:
        return R.FLAGS_INVALID.value
    if moves_trigger and (not is_dormant or triggers.is_trailing(m, extra_at)):
        return R.FLAGS_INVALID.value
    code = entry.check_reserved(c, at)
    if code == 0:
        code = _check_market(m, instrument_at, terms)
    if code == 0:
        code = _check_price(m, c, at, slot)
    if code == 0 and is_dormant and moves_trigger:
        code = R.LINK_INVALID.value if not _is_apart(m, c, at, slot) else _check_passed(m, c, at, slot)
    if code != 0:
        return code
    qty = load(c, at + output.C_QTY)
    filled = load(m, order_at + lay.O_QTY) - load(m, order_at + lay.O_LEAVES)
    code = entry.check_qty(m, instrument_at, qty, filled if (kinds >> 40) & QTY_IS_LEAVES != 0 else 0)
    leaves = _new_leaves(m, c, at, order_at)
    if code == 0 and leaves < 1:
        code = R.QTY_BELOW_FILLED.value
    grows = load(m, extra_at + lay.X_LINKED) != 0 and leaves > load(m, order_at + lay.O_LEAVES)
    if code == 0 and (grows or (not is_dormant and not _is_apart(m, c, at, slot))):
        code = R.LINK_INVALID.value
    price = load(c, at + output.C_PRICE)
    if code == 0 and price != 0:
        code = entry.check_notional(m, instrument_at, price * leaves * load(m, instrument_at + lay.I_TICK_LOT_UNITS))
    if code == 0 and load(c, at + output.C_AMOUNT) != 0:
        code = R.AMOUNT_INVALID.value
    return code


@kernel
def _new_hold_price(m: Any, c: Any, at: int, slot: int) -> int:
    """Return the order's own hold price after the replace, apart from its link."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    price = load(c, at + output.C_PRICE)
    if not extras.is_dormant(m, extra_at) or price != 0:
        return price
    trigger = load(c, at + entry.C_TRIGGER)
    if triggers.is_trailing(m, extra_at) or trigger == 0 or trigger == load(m, extra_at + lay.X_TRIGGER):
        return load(m, extra_at + lay.X_HOLD_PRICE)
    return linked.cap(m, lay.instrument(high(load(m, order_at + lay.O_OWNER))), trigger)


@far
def order_replace(m: Any, c: Any, at: int, slot: int) -> None:
    """Replace a special order's price, trigger, quantity or client id, or reject the command."""
    code = _check(m, c, at, slot)
    if code != 0:
        output.reject(m, c, at, code)
        return
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    owner = load(m, order_at + lay.O_OWNER)
    instrument_at = lay.instrument(high(owner))
    terms = load(m, order_at + lay.O_TERMS)
    side = terms & 0xFF
    price = load(c, at + output.C_PRICE)
    leaves = _new_leaves(m, c, at, order_at)
    trigger = load(c, at + entry.C_TRIGGER)
    is_dormant = extras.is_dormant(m, extra_at)
    kept = price == load(m, order_at + lay.O_PRICE) and leaves <= load(m, order_at + lay.O_LEAVES)
    if is_dormant:
        kept = trigger == 0 or trigger == load(m, extra_at + lay.X_TRIGGER)
    elif extras.place_of(m, extra_at) != lay.P_RESTING:
        kept = True
    rates = load(m, order_at + lay.O_RATES) if kept else linked.rates_of(m, instrument_at, low(owner))
    # Of a linked pair the limit leg holds, at the higher price of both.
    own_price = _new_hold_price(m, c, at, slot)
    holder_at = order_at
    hold_price = own_price
    linked_id = load(m, extra_at + lay.X_LINKED)
    if linked_id != 0:
        other_at = lay.order(linked_id & orders.SLOT_MASK)
        other_extra = extras.of(m, other_at)
        if is_dormant:
            holder_at = other_at
            hold_price = max(own_price, load(m, other_at + lay.O_PRICE))
        else:
            hold_price = max(own_price, load(m, other_extra + lay.X_HOLD_PRICE))
    old_hold = linked.hold_of(m, holder_at)
    held = ledger.order_hold(m, instrument_at, side, hold_price, leaves, ledger.hold_ppm(rates))
    balance_slot = low(load(m, order_at + lay.O_BALANCES))
    client_lo = load(c, at + output.C_CLIENT_LO)
    client_hi = load(c, at + output.C_CLIENT_HI)
    renamed = client_lo != 0 or client_hi != 0
    posts = (terms >> 32) & POST_ONLY != 0
    if renamed and index.was_used(m, low(owner), client_lo, client_hi):
        code = R.CLIENT_ID_DUPLICATE.value
    elif ledger.available(m, balance_slot) + old_hold < held:
        code = R.FUNDS_INSUFFICIENT.value
    elif posts and matching.crosses(m, lay.book(high(owner), 3 - side), side, price):
        code = R.POST_ONLY_CROSSES.value
    elif not kept and linked.full(m, 1):
        code = R.ORDERS_FULL.value
    if code != 0:
        output.reject(m, c, at, code)
        return
    if renamed:
        rename(m, slot, client_lo, client_hi)
    touch(m, order_at)
    touch(m, holder_at)
    ledger.hold(m, balance_slot, held - old_hold)
    store(m, extras.of(m, holder_at) + lay.X_HOLD_PRICE, hold_price)
    if is_dormant:
        store(m, extra_at + lay.X_HOLD_PRICE, own_price)
    store(m, order_at + lay.O_RATES, rates)
    if linked_id != 0 and not kept:
        other_at = lay.order(linked_id & orders.SLOT_MASK)
        touch(m, other_at)
        store(m, other_at + lay.O_RATES, rates)
    _apply(m, slot, price, leaves, trigger, kept, held != old_hold)


@kernel
def _apply(m: Any, slot: int, price: int, leaves: int, trigger: int, kept: bool, holds_anew: bool) -> None:
    """Give the order its new terms, its hold being right; tell, and let it wait or meet the book anew."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    instrument_id = high(load(m, order_at + lay.O_OWNER))
    side = load(m, order_at + lay.O_TERMS) & 0xFF
    place = extras.place_of(m, extra_at)
    meets = place == lay.P_RESTING and not kept
    if meets:
        ladder.remove_far(m, lay.book(instrument_id, side), side, slot)
    old_leaves = load(m, order_at + lay.O_LEAVES)
    is_dormant = extras.is_dormant(m, extra_at)
    add(m, order_at + lay.O_QTY, leaves - old_leaves)
    store(m, order_at + lay.O_LEAVES, leaves)
    if is_dormant:
        if not triggers.is_trailing(m, extra_at):
            store(m, order_at + lay.O_PRICE, price)
            store(m, extra_at + lay.X_LIMIT, price)
        if not kept:
            triggers.remove(m, slot)
            store(m, extra_at + lay.X_TRIGGER, trigger)
            triggers.insert(m, slot, place - lay.P_BOOK, trigger)
    else:
        store(m, order_at + lay.O_PRICE, price)
        store(m, extra_at + lay.X_SHOWN, min(load(m, extra_at + lay.X_SHOWN), leaves))
    linked.accepted(m, E_REPLACED, order_at, PRIORITY_KEPT if kept else 0, linked.hold_of(m, order_at))
    if not kept and is_dormant:
        linked.details(m, order_at, 0)
    linked_id = load(m, extra_at + lay.X_LINKED)
    if linked_id != 0 and is_dormant and holds_anew and leaves == old_leaves:
        holder_at = lay.order(linked_id & orders.SLOT_MASK)
        linked.resized(m, holder_at, linked.hold_of(m, holder_at))
    linked.follow(m, extra_at, leaves)
    if meets and extras.waits(m, lay.instrument(instrument_id), (load(m, order_at + lay.O_TERMS) >> 16) & 0xFF):
        extras.wait(m, slot)
    elif meets:
        entry.aggress_far(m, slot, price, load(m, extra_at + lay.X_HOLD_PRICE), 0, 0)
    triggers.settle_watched(m, instrument_id)
