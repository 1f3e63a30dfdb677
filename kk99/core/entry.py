"""Entering an order: every check in the order of the reject codes, then hold, match, rest.

Nothing is changed before the last check has passed.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import ending, extras, index, ladder, ledger, linked, matching, orders, output, triggers
from kk99.core import layout as lay
from kk99.core.memory import far, high, inlined, kernel, load, low, pair, store, unlikely
from kk99.schema import RejectCode as R

BUY = schema.Side.BUY.value
SELL = schema.Side.SELL.value
MARKET = schema.OrderType.MARKET.value
LIMIT = schema.OrderType.LIMIT.value
GTC = schema.TimeInForce.GTC.value
IOC = schema.TimeInForce.IOC.value
FOK = schema.TimeInForce.FOK.value
SELF_TRADE_LAST = schema.SelfTrade.DECREMENT.value
POST_ONLY = schema.Flag.POST_ONLY.value
ORDER_FLAGS = schema.ORDER_FLAGS.value
ACTIVE = schema.AccountState.ACTIVE.value
OPEN = schema.MarketState.OPEN.value
PRE_OPEN = schema.MarketState.PRE_OPEN.value
CANCEL_ONLY = schema.MarketState.CANCEL_ONLY.value
HALTED = schema.MarketState.HALTED.value
CLOSED = schema.MarketState.CLOSED.value
R_IOC = schema.CancelReason.IOC.value
R_FOK = schema.CancelReason.FOK.value
R_MIN_QTY = schema.CancelReason.MIN_QTY.value
R_LINKED = schema.CancelReason.LINKED.value
BRACKET = schema.OrderType.BRACKET.value
CALL = schema.MarketState.CALL.value
E_ACCEPTED = schema.EventKind.ORDER_ACCEPTED.value
C_TRIGGER = schema.word_of(schema.COMMAND, "trigger_price_ticks")
C_DISPLAY = schema.word_of(schema.COMMAND, "display_qty_lots")
C_EXPIRE = schema.word_of(schema.COMMAND, "expire_time_ns")


@inlined
def check_account(m: Any, account_id: int) -> int:
    """Return why an account may not give any command, or 0."""
    if account_id < schema.VENUE_ACCOUNTS or account_id > load(m, lay.HEADER + lay.H_ACCOUNTS):
        return R.ACCOUNT_UNKNOWN.value
    return 0


@inlined
def check_active(m: Any, account_id: int) -> int:
    """Return why an account may not trade, or 0."""
    if low(load(m, lay.account(account_id) + lay.C_STATE)) != ACTIVE:
        return R.ACCOUNT_SUSPENDED.value
    return 0


@inlined
def check_instrument(m: Any, instrument_id: int) -> int:
    """Return INSTRUMENT_UNKNOWN or 0."""
    if instrument_id < 1 or instrument_id > load(m, lay.HEADER + lay.H_INSTRUMENTS):
        return R.INSTRUMENT_UNKNOWN.value
    return 0


@inlined
def check_market(m: Any, instrument_at: int) -> int:
    """Return why a market takes no orders, or 0."""
    state = load(m, instrument_at + lay.I_STATE)
    if state == OPEN:
        return 0
    if state == PRE_OPEN:
        return R.MARKET_PRE_OPEN.value
    if state == CANCEL_ONLY:
        return R.MARKET_CANCEL_ONLY.value
    if state == HALTED:
        return R.MARKET_HALTED.value
    if state == CLOSED:
        return R.MARKET_CLOSED.value
    return R.MARKET_CALL.value


@inlined
def check_limit_price(m: Any, instrument_at: int, price: int) -> int:
    """Return what is wrong with a limit price, or 0."""
    step = load(m, instrument_at + lay.I_TICK_STEP)
    if price < 1:
        return R.PRICE_INVALID.value
    if step != 1 and price % step != 0:
        return R.PRICE_OFF_TICK.value
    if price > load(m, instrument_at + lay.I_MAX_PRICE):
        return R.PRICE_ABOVE_MAX.value
    upper = load(m, instrument_at + lay.I_COLLAR_HIGH)
    if upper != 0 and (price > upper or price < load(m, instrument_at + lay.I_COLLAR_LOW)):
        return R.PRICE_OUTSIDE_COLLAR.value
    return 0


@inlined
def check_qty(m: Any, instrument_at: int, qty: int, filled: int) -> int:
    """Return what is wrong with a quantity that comes on top of what is filled, or 0."""
    step = load(m, instrument_at + lay.I_LOT_STEP)
    if qty < 1:
        return R.QTY_INVALID.value
    if step != 1 and qty % step != 0:
        return R.QTY_OFF_LOT.value
    if qty <= load(m, instrument_at + lay.I_MAX_QTY) and qty + filled < load(m, instrument_at + lay.I_MIN_QTY):
        return R.QTY_BELOW_MIN.value
    if qty > load(m, instrument_at + lay.I_MAX_QTY) - filled:
        return R.QTY_ABOVE_MAX.value
    return 0


@inlined
def check_notional(m: Any, instrument_at: int, notional: int) -> int:
    """Return what is wrong with a notional or a budget, or 0."""
    if notional < load(m, instrument_at + lay.I_MIN_NOTIONAL):
        return R.NOTIONAL_BELOW_MIN.value
    if notional > load(m, instrument_at + lay.I_MAX_NOTIONAL):
        return R.NOTIONAL_ABOVE_MAX.value
    return 0


@inlined
def _check_terms(side: int, kind: int, force: int, guard: int, flags: int, amount: int) -> int:
    """Return what is wrong with a plain order's enums and flags, or 0."""
    if side != BUY and side != SELL:
        return R.SIDE_INVALID.value
    if kind != MARKET and kind != LIMIT:
        return R.ORDER_TYPE_UNSUPPORTED.value
    if kind == MARKET and (force == GTC or (side == BUY and amount != 0 and force != IOC)):
        return R.TIME_IN_FORCE_UNSUPPORTED.value
    return check_flags(kind, force, guard, flags)


@inlined
def check_flags(kind: int, force: int, guard: int, flags: int) -> int:
    """Return what is wrong with the self-trade instruction and the flags of an order that rests as GTC, or 0."""
    if guard > SELF_TRADE_LAST:
        return R.SELF_TRADE_INVALID.value
    if flags & ~ORDER_FLAGS != 0 or (flags & POST_ONLY != 0 and (kind != LIMIT or force != GTC)):
        return R.FLAGS_INVALID.value
    return 0


@inlined
def is_plain(m: Any, c: Any, at: int) -> bool:
    """Return whether a new order is LIMIT or MARKET, GTC, IOC or FOK, uses no other field and meets no call."""
    kinds = load(c, at + output.C_KINDS)
    kind = (kinds >> 16) & 0xFF
    force = (kinds >> 24) & 0xFF
    if kind > LIMIT or (force != GTC and force != IOC and force != FOK) or (kinds >> 48) & 0xFFFF != 0:
        return False
    if kind == LIMIT and load(c, at + output.C_AMOUNT) != 0:
        return False
    if load(c, at + C_TRIGGER) | load(c, at + C_DISPLAY) | load(c, at + C_EXPIRE) != 0:
        return False
    if load(c, at + output.C_TARGET_LO) | load(c, at + output.C_TARGET_HI) != 0:
        return False
    instrument_id = low(load(c, at + output.C_OWNER))
    if check_instrument(m, instrument_id) != 0:
        return True
    return load(m, lay.instrument(instrument_id) + lay.I_STATE) != CALL


@inlined
def check_reserved(c: Any, at: int) -> int:
    """Return FLAGS_INVALID when a field is set that a replace does not use, or 0."""
    kinds = load(c, at + output.C_KINDS)
    if (kinds >> 48) & 0xFFFF != 0 or load(c, at + C_DISPLAY) | load(c, at + C_EXPIRE) != 0:
        return R.FLAGS_INVALID.value
    return 0


@kernel
def _check_new(m: Any, c: Any, at: int) -> int:
    """Return the first reject code of a new order that needs no look at money or the book, or 0."""
    kinds = load(c, at + output.C_KINDS)
    owner = load(c, at + output.C_OWNER)
    side = (kinds >> 8) & 0xFF
    kind = (kinds >> 16) & 0xFF
    price = load(c, at + output.C_PRICE)
    qty = load(c, at + output.C_QTY)
    amount = load(c, at + output.C_AMOUNT)
    account_id = high(owner)
    code = check_account(m, account_id)
    if code == 0:
        code = check_active(m, account_id)
    if code == 0:
        code = check_instrument(m, low(owner))
    if code == 0:
        code = _check_terms(side, kind, (kinds >> 24) & 0xFF, (kinds >> 32) & 0xFF, (kinds >> 40) & 0xFF, amount)
    if code != 0:
        return code
    instrument_at = lay.instrument(low(owner))
    code = check_market(m, instrument_at)
    if code != 0:
        return code
    budget = kind == MARKET and side == BUY and amount != 0
    if kind == LIMIT:
        code = check_limit_price(m, instrument_at, price)
    elif price != 0:
        code = R.PRICE_INVALID.value
    elif side == BUY and not budget and load(m, instrument_at + lay.I_COLLAR_HIGH) == 0:
        code = R.COLLAR_MISSING.value
    if code != 0:
        return code
    if budget:
        if qty != 0:
            return R.QTY_INVALID.value
        return check_notional(m, instrument_at, amount)
    code = check_qty(m, instrument_at, qty, 0)
    if code == 0 and kind == LIMIT:
        code = check_notional(m, instrument_at, price * qty * load(m, instrument_at + lay.I_TICK_LOT_UNITS))
    if code == 0 and amount != 0:
        code = R.AMOUNT_INVALID.value
    return code


@inlined
def market_limit(m: Any, instrument_at: int, side: int) -> int:
    """Return the limit of a market order: the collar's bound on its side, or none."""
    upper = load(m, instrument_at + lay.I_COLLAR_HIGH)
    if side == BUY:
        return upper if upper != 0 else load(m, instrument_at + lay.I_MAX_PRICE)
    return max(load(m, instrument_at + lay.I_COLLAR_LOW), 1)


@kernel
def order_new(m: Any, c: Any, at: int) -> None:
    """Enter a plain order, or reject it."""
    code = _check_new(m, c, at)
    if code != 0:
        output.reject(m, c, at, code)
        return
    kinds = load(c, at + output.C_KINDS)
    owner = load(c, at + output.C_OWNER)
    side = (kinds >> 8) & 0xFF
    account_id = high(owner)
    instrument_at = lay.instrument(low(owner))
    client_lo = load(c, at + output.C_CLIENT_LO)
    client_hi = load(c, at + output.C_CLIENT_HI)
    price = load(c, at + output.C_PRICE)
    qty = load(c, at + output.C_QTY)
    amount = load(c, at + output.C_AMOUNT)
    rates = linked.rates_of(m, instrument_at, account_id)
    limit = price if (kinds >> 16) & 0xFF == LIMIT else market_limit(m, instrument_at, side)
    held = amount
    if amount == 0:
        held = ledger.order_hold(m, instrument_at, side, limit, qty, ledger.hold_ppm(rates))
    asset_id = load(m, instrument_at + (lay.I_QUOTE if side == BUY else lay.I_BASE))
    balance_slot = index.find_balance(m, pair(account_id, asset_id))
    if (client_lo != 0 or client_hi != 0) and index.was_used(m, account_id, client_lo, client_hi):
        code = R.CLIENT_ID_DUPLICATE.value
    elif ledger.available(m, balance_slot) < held:
        code = R.FUNDS_INSUFFICIENT.value
    elif (kinds >> 40) & POST_ONLY != 0 and matching.crosses(m, lay.book(low(owner), 3 - side), side, limit):
        code = R.POST_ONLY_CROSSES.value
    elif linked.full(m, 1):
        code = R.ORDERS_FULL.value
    if code != 0:
        output.reject(m, c, at, code)
        return
    terms = terms_of(m, kinds)
    slot = record(m, pair(account_id, low(owner)), terms, price, qty, rates, balance_slot, client_lo, client_hi)
    ledger.hold(m, balance_slot, held)
    linked.accepted(m, E_ACCEPTED, lay.order(slot), 0, held)
    wanted = qty if (kinds >> 24) & 0xFF == FOK else 0
    aggress(m, slot, limit, limit if amount == 0 else 0, amount, wanted)
    triggers.settle_watched(m, low(owner))


@inlined
def terms_of(m: Any, kinds: int) -> int:
    """Return the terms of a new order from its command's kinds and session."""
    return (kinds >> 8) & 0xFFFFFFFFFF | low(load(m, lay.S_SESSION)) << lay.SESSION_SHIFT


@inlined
def record(
    m: Any,
    owner: int,
    terms: int,
    price: int,
    qty: int,
    rates: int,
    balance_slot: int,
    client_lo: int,
    client_hi: int,
) -> int:
    """Return the slot of a new order: live, in no book and not in its account's list."""
    slot = orders.take_slot(m)
    order_at = lay.order(slot)
    store(m, order_at + lay.O_PRICE, price)
    store(m, order_at + lay.O_LEAVES, qty)
    store(m, order_at + lay.O_QUEUE, 0)
    store(m, order_at + lay.O_OWNER, owner)
    store(m, order_at + lay.O_TERMS, terms)
    store(m, order_at + lay.O_BALANCES, balance_slot)
    store(m, order_at + lay.O_RATES, rates)
    store(m, order_at + lay.O_CLIENT_LO, client_lo)
    store(m, order_at + lay.O_CLIENT_HI, client_hi)
    store(m, order_at + lay.O_QTY, qty)
    store(m, order_at + lay.O_NOTIONAL, 0)
    store(m, order_at + lay.O_ENTRY_SEQ, load(m, lay.HEADER + lay.H_SEQ))
    store(m, order_at + lay.O_LIST, orders.NOT_LISTED)
    store(m, order_at + lay.O_LEVEL, 0)
    if client_lo != 0 or client_hi != 0:
        index.add_order(m, slot)
    return slot


@inlined
def _stop_at_band(m: Any, opposite_at: int, side: int, left: int) -> None:
    """Note that a price band stopped an aggressor with something left, whose limit would have let it go on."""
    if left > 0:
        store(m, lay.S_BAND_STOP, load(m, opposite_at + lay.L_BEST_PRICE) << 2 | side)


@kernel
def aggress(m: Any, slot: int, limit: int, hold_price: int, amount: int, wanted: int) -> None:
    """Let an order that is in no book meet the opposite one, then rest or end.

    It is live, in its account's list if it is special or has rested before; `wanted` lots must be there at once.
    """
    order_at = lay.order(slot)
    terms = load(m, order_at + lay.O_TERMS)
    side = terms & 0xFF
    force = (terms >> 16) & 0xFF
    instrument_id = high(load(m, order_at + lay.O_OWNER))
    store(m, lay.S_BUDGET, amount if amount != 0 else matching.NO_BUDGET)
    store(m, lay.S_MET, 0)
    reason = 0
    before = load(m, order_at + lay.O_QTY) - load(m, order_at + lay.O_LEAVES)
    instrument_at = lay.instrument(instrument_id)
    if load(m, instrument_at + lay.I_STATE) == OPEN:
        bound = matching.within_band(m, instrument_at, side, limit)
        opposite_at = lay.book(instrument_id, 3 - side)
        if wanted != 0 and not matching.fillable(m, slot, bound, wanted):
            reason = R_FOK if force == FOK else R_MIN_QTY
        elif matching.crosses(m, opposite_at, side, bound):
            reason = matching.match(m, slot, bound, hold_price)
        if unlikely(bound != limit) and reason == 0 and matching.crosses(m, opposite_at, side, limit):
            _stop_at_band(m, opposite_at, side, load(m, lay.S_BUDGET if amount != 0 else order_at + lay.O_LEAVES))
    leaves = load(m, order_at + lay.O_LEAVES)
    is_special = terms & lay.SPECIAL != 0
    if is_special:
        _follow(m, slot, load(m, order_at + lay.O_QTY) - leaves - before)
    rests = force != IOC and force != FOK
    if amount == 0 and reason == 0 and leaves != 0 and rests:
        ladder.append(m, lay.book(instrument_id, side), side, slot, limit)
        if is_special:
            extra_at = extras.of(m, order_at)
            store(m, extra_at + lay.X_SHOWN, min(load(m, extra_at + lay.X_DISPLAY), leaves))
        elif load(m, order_at + lay.O_LIST) == orders.NOT_LISTED:
            orders.link(m, slot)
        return
    _end_taker(m, slot, hold_price, amount, reason if reason != 0 else R_IOC)


@far
def aggress_far(m: Any, slot: int, limit: int, hold_price: int, amount: int, wanted: int) -> None:
    """Do as `aggress`, for callers that are not on the path of a plain order."""
    aggress(m, slot, limit, hold_price, amount, wanted)


@kernel
def _follow(m: Any, slot: int, filled: int) -> None:
    """Let what belongs to a special order follow its matching: its other leg, its exits."""
    order_at = lay.order(slot)
    if (load(m, order_at + lay.O_TERMS) >> 8) & 0xFF == BRACKET:
        if filled != 0:
            linked.arm_exits(m, slot, filled)
    else:
        linked.follow(m, extras.of(m, order_at), load(m, order_at + lay.O_LEAVES))


@kernel
def _end_taker(m: Any, slot: int, hold_price: int, amount: int, reason: int) -> None:
    """End an order that met the book: filled, or its remainder canceled; then the leg linked to it."""
    order_at = lay.order(slot)
    leaves = load(m, order_at + lay.O_LEAVES)
    other = 0
    if amount != 0 or leaves != 0:
        output.order_event(m, output.E_CANCELED, reason, order_at, leaves, 0)
    if amount != 0:
        ledger.hold(m, low(load(m, order_at + lay.O_BALANCES)), -load(m, lay.S_BUDGET))
    elif leaves != 0:
        ending.release(m, slot, hold_price)
    if extras.is_special(m, order_at):
        other = load(m, extras.of(m, order_at) + lay.X_LINKED)
        ending.end_special(m, slot)
    if load(m, order_at + lay.O_LIST) != orders.NOT_LISTED:
        orders.unlink(m, slot)
    orders.retire(m, slot)
    if other != 0:
        ending.cancel(m, other & orders.SLOT_MASK, R_LINKED)
