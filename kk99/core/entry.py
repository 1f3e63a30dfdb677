"""Entering an order: every check in the order of the reject codes, then hold, match, rest.

Nothing is changed before the last check has passed.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import index, ladder, ledger, matching, orders, output
from kk99.core import layout as lay
from kk99.core.memory import high, inlined, kernel, load, low, pair, store
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
R_IOC = schema.CancelReason.IOC.value
R_FOK = schema.CancelReason.FOK.value
E_ACCEPTED = schema.EventKind.ORDER_ACCEPTED.value
ORDERS_BOUND = schema.ORDERS_MAX - 1  # slot 0 is none
# Room stays for what one more command's fills open, and for the venue's own two balances of every asset yet to come.
BALANCES_BOUND = schema.BALANCES_MAX - 2 * schema.FILLS_PER_COMMAND_MAX - 2 * schema.ASSETS_MAX
LEVELS_BOUND = schema.LEVELS_MAX
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
    return R.MARKET_CLOSED.value


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
def _check_terms(c: Any, at: int, side: int, kind: int, force: int, guard: int, flags: int, amount: int) -> int:
    """Return what is wrong with an order's enums and flags, or 0."""
    if side != BUY and side != SELL:
        return R.SIDE_INVALID.value
    if kind != MARKET and kind != LIMIT:
        return R.ORDER_TYPE_UNSUPPORTED.value
    if force != IOC and (
        (force != GTC and force != FOK) or (kind == MARKET and (force == GTC or (side == BUY and amount != 0)))
    ):
        return R.TIME_IN_FORCE_UNSUPPORTED.value
    if guard > SELF_TRADE_LAST:
        return R.SELF_TRADE_INVALID.value
    if flags & ~ORDER_FLAGS != 0 or (flags & POST_ONLY != 0 and (kind != LIMIT or force != GTC)):
        return R.FLAGS_INVALID.value
    return check_reserved(c, at, load(c, at + output.C_TARGET_LO) | load(c, at + output.C_TARGET_HI))


@inlined
def check_reserved(c: Any, at: int, others: int) -> int:
    """Return FLAGS_INVALID when a field that is not yet in use is set, or 0."""
    kinds = load(c, at + output.C_KINDS)
    if (kinds >> 48) & 0xFFFF != 0 or others != 0:
        return R.FLAGS_INVALID.value
    if load(c, at + C_TRIGGER) | load(c, at + C_DISPLAY) | load(c, at + C_EXPIRE) != 0:
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
        code = _check_terms(c, at, side, kind, (kinds >> 24) & 0xFF, (kinds >> 32) & 0xFF, (kinds >> 40) & 0xFF, amount)
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
def rates_of(m: Any, instrument_at: int, account_id: int) -> int:
    """Return the word with today's maker and taker (high) rates of an account."""
    tier = high(load(m, lay.account(account_id) + lay.C_STATE))
    return load(m, lay.schedule(load(m, instrument_at + lay.I_SCHEDULE)) + lay.F_TIERS + 2 * tier)


@inlined
def market_limit(m: Any, instrument_at: int, side: int) -> int:
    """Return the limit of a market order: the collar's bound on its side, or none."""
    upper = load(m, instrument_at + lay.I_COLLAR_HIGH)
    if side == BUY:
        return upper if upper != 0 else load(m, instrument_at + lay.I_MAX_PRICE)
    return load(m, instrument_at + lay.I_COLLAR_LOW) if upper != 0 else 1


@inlined
def full(m: Any) -> bool:
    """Return whether a named bound leaves no room for one more order."""
    return (
        load(m, lay.HEADER + lay.H_ORDERS) >= ORDERS_BOUND
        or load(m, lay.S_LEVELS) >= LEVELS_BOUND
        or load(m, lay.HEADER + lay.H_BALANCES) >= BALANCES_BOUND
    )


@kernel
def order_new(m: Any, c: Any, at: int) -> None:
    """Enter an order, or reject it."""
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
    has_client = client_lo != 0 or client_hi != 0
    price = load(c, at + output.C_PRICE)
    qty = load(c, at + output.C_QTY)
    amount = load(c, at + output.C_AMOUNT)
    rates = rates_of(m, instrument_at, account_id)
    hold_ppm = max(low(rates), high(rates), 0)
    limit = price if (kinds >> 16) & 0xFF == LIMIT else market_limit(m, instrument_at, side)
    held = amount if amount != 0 else ledger.order_hold(m, instrument_at, side, limit, qty, hold_ppm)
    asset_id = load(m, instrument_at + (lay.I_QUOTE if side == BUY else lay.I_BASE))
    balance_slot = index.find_balance(m, pair(account_id, asset_id))
    if has_client and index.was_used(m, account_id, client_lo, client_hi):
        code = R.CLIENT_ID_DUPLICATE.value
    elif ledger.available(m, balance_slot) < held:
        code = R.FUNDS_INSUFFICIENT.value
    elif (kinds >> 40) & POST_ONLY != 0 and matching.crosses(m, lay.book(low(owner), 3 - side), side, limit):
        code = R.POST_ONLY_CROSSES.value
    elif full(m):
        code = R.ORDERS_FULL.value
    if code != 0:
        output.reject(m, c, at, code)
        return
    slot = orders.take_slot(m)
    order_at = lay.order(slot)
    store(m, order_at + lay.O_PRICE, price)
    store(m, order_at + lay.O_LEAVES, qty)
    store(m, order_at + lay.O_QUEUE, 0)
    store(m, order_at + lay.O_OWNER, pair(account_id, low(owner)))
    store(m, order_at + lay.O_TERMS, (kinds >> 8) & 0xFFFFFFFFFF | low(load(m, lay.S_SESSION)) << 40)
    store(m, order_at + lay.O_BALANCES, balance_slot)
    store(m, order_at + lay.O_RATES, pair(low(rates), hold_ppm))
    store(m, order_at + lay.O_CLIENT_LO, client_lo)
    store(m, order_at + lay.O_CLIENT_HI, client_hi)
    store(m, order_at + lay.O_QTY, qty)
    store(m, order_at + lay.O_NOTIONAL, 0)
    store(m, order_at + lay.O_ENTRY_SEQ, load(m, lay.HEADER + lay.H_SEQ))
    store(m, order_at + lay.O_LIST, 0)
    store(m, order_at + lay.O_LEVEL, 0)
    store(m, lay.S_TAKER_PPM, high(rates))
    if has_client:
        index.add_order(m, slot)
    ledger.hold(m, balance_slot, held)
    accepted(m, E_ACCEPTED, order_at, 0, held)
    aggress(m, slot, limit, amount, linked=False)


@kernel
def accepted(m: Any, kind: int, order_at: int, more_flags: int, held: int) -> None:
    """Write ORDER_ACCEPTED or ORDER_REPLACED from an order's record."""
    owner = load(m, order_at + lay.O_OWNER)
    terms = (load(m, order_at + lay.O_TERMS) & 0xFFFFFFFFFF) << 8
    at = output.begin(m, kind | terms | more_flags << 40, high(owner), low(owner), 0, load(m, order_at + lay.O_ID))
    leaves = load(m, order_at + lay.O_LEAVES)
    client_lo = load(m, order_at + lay.O_CLIENT_LO)
    client_hi = load(m, order_at + lay.O_CLIENT_HI)
    price = load(m, order_at + lay.O_PRICE)
    output.finish(m, at, price, load(m, order_at + lay.O_QTY), leaves, client_lo, client_hi, held)


@kernel
def aggress(m: Any, slot: int, limit: int, amount: int, linked: bool) -> None:
    """Let an order that is in no book meet the opposite one, then rest or end."""
    order_at = lay.order(slot)
    terms = load(m, order_at + lay.O_TERMS)
    side = terms & 0xFF
    force = (terms >> 16) & 0xFF
    instrument_id = high(load(m, order_at + lay.O_OWNER))
    store(m, lay.S_BUDGET, amount if amount != 0 else matching.NO_BUDGET)
    reason = 0
    if force == FOK and not matching.fillable(m, slot, limit):
        reason = R_FOK
    elif matching.crosses(m, lay.book(instrument_id, 3 - side), side, limit):
        reason = matching.match(m, slot, limit)
    leaves = load(m, order_at + lay.O_LEAVES)
    if amount == 0 and reason == 0 and leaves != 0 and force == GTC:
        ladder.append(m, lay.book(instrument_id, side), side, slot)
        if not linked:
            orders.link(m, slot)
        return
    if amount != 0 or leaves != 0:
        output.order_event(m, output.E_CANCELED, reason if reason != 0 else R_IOC, order_at, leaves, 0)
    if amount != 0:
        ledger.hold(m, low(load(m, order_at + lay.O_BALANCES)), -load(m, lay.S_BUDGET))
    elif leaves != 0:
        orders.release(m, slot, limit)
    if linked:
        orders.unlink(m, slot)
    orders.retire(m, slot)
