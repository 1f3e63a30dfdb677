"""Entering the orders that are not plain: money and client ids are checked, then they wait or meet the book.

Nothing is changed before the last check has passed.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import admit, entry, extras, index, ledger, linked, matching, orders, output, timers, triggers
from kk99.core import layout as lay
from kk99.core.memory import far, high, inlined, kernel, load, low, pair, store
from kk99.schema import RejectCode as R

BUY = schema.Side.BUY.value
MARKET = schema.OrderType.MARKET.value
LIMIT = schema.OrderType.LIMIT.value
STOP = schema.OrderType.STOP.value
STOP_LIMIT = schema.OrderType.STOP_LIMIT.value
LIMIT_IF_TOUCHED = schema.OrderType.LIMIT_IF_TOUCHED.value
TRAILING_STOP_LIMIT = schema.OrderType.TRAILING_STOP_LIMIT.value
OCO = schema.OrderType.OCO.value
BRACKET = schema.OrderType.BRACKET.value
DAY = schema.TimeInForce.DAY.value
GTC = schema.TimeInForce.GTC.value
AT_OPEN = schema.TimeInForce.AT_OPEN.value
IOC = schema.TimeInForce.IOC.value
FOK = schema.TimeInForce.FOK.value
GTD = schema.TimeInForce.GTD.value
AT_CLOSE = schema.TimeInForce.AT_CLOSE.value
POST_ONLY = schema.Flag.POST_ONLY.value
OPEN = schema.MarketState.OPEN.value
E_ACCEPTED = schema.EventKind.ORDER_ACCEPTED.value
C_TRIGGER = entry.C_TRIGGER
C_DISPLAY = entry.C_DISPLAY
C_EXPIRE = entry.C_EXPIRE


@kernel
def _first_trigger(m: Any, c: Any, at: int, instrument_at: int) -> int:
    """Return the trigger that an order begins with."""
    kinds = load(c, at + output.C_KINDS)
    if not admit.trails((kinds >> 16) & 0xFF):
        return load(c, at + C_TRIGGER)
    side = (kinds >> 8) & 0xFF
    extreme = triggers.first_extreme(m, low(load(c, at + output.C_OWNER)), side, ((kinds >> 56) & 0xFF) - 1)
    trail = load(c, at + C_DISPLAY) | ((kinds >> 48) & 0xFF) << lay.TRAIL_UNIT_SHIFT
    return triggers.trail_trigger(m, instrument_at, side, trail, extreme)


@kernel
def _hold_price(m: Any, c: Any, at: int, instrument_at: int) -> int:
    """Return the hold price of a new order."""
    kinds = load(c, at + output.C_KINDS)
    side = (kinds >> 8) & 0xFF
    kind = (kinds >> 16) & 0xFF
    price = load(c, at + output.C_PRICE)
    if kind == MARKET or (kind == BRACKET and price == 0):
        return entry.market_limit(m, instrument_at, side)
    if kind == LIMIT or kind == STOP_LIMIT or kind == LIMIT_IF_TOUCHED or kind == BRACKET:
        return price
    trigger = _first_trigger(m, c, at, instrument_at)
    if kind == TRAILING_STOP_LIMIT:
        return triggers.trail_limit(m, instrument_at, side, trigger, price, schema.PRICE_TICKS_MAX)
    if kind == OCO:
        return max(price, _stop_hold_price(m, instrument_at, trigger, load(c, at + output.C_AMOUNT)))
    return linked.cap(m, instrument_at, trigger)


@inlined
def _stop_hold_price(m: Any, instrument_at: int, trigger: int, limit: int) -> int:
    return limit if limit != 0 else linked.cap(m, instrument_at, trigger)


@inlined
def _client_ids_used(m: Any, c: Any, at: int, account_id: int, is_oco: bool) -> bool:
    """Return whether a client id of the order is in use, or both legs have the same."""
    first_lo = load(c, at + output.C_CLIENT_LO)
    first_hi = load(c, at + output.C_CLIENT_HI)
    if (first_lo != 0 or first_hi != 0) and index.was_used(m, account_id, first_lo, first_hi):
        return True
    if not is_oco:
        return False
    second_lo = load(c, at + output.C_TARGET_LO)
    second_hi = load(c, at + output.C_TARGET_HI)
    if second_lo == 0 and second_hi == 0:
        return False
    if second_lo == first_lo and second_hi == first_hi:
        return True
    return index.was_used(m, account_id, second_lo, second_hi)


@far
def order_new(m: Any, c: Any, at: int) -> None:
    """Enter an order that is not plain, or reject it."""
    code = admit.check_new(m, c, at)
    if code != 0:
        output.reject(m, c, at, code)
        return
    kinds = load(c, at + output.C_KINDS)
    owner = load(c, at + output.C_OWNER)
    side = (kinds >> 8) & 0xFF
    kind = (kinds >> 16) & 0xFF
    account_id = high(owner)
    instrument_at = lay.instrument(low(owner))
    qty = load(c, at + output.C_QTY)
    amount = load(c, at + output.C_AMOUNT) if kind == MARKET else 0
    rates = linked.rates_of(m, instrument_at, account_id)
    hold_price = _hold_price(m, c, at, instrument_at)
    held = amount
    if amount == 0:
        held = ledger.order_hold(m, instrument_at, side, hold_price, qty, ledger.hold_ppm(rates))
    asset_id = load(m, instrument_at + (lay.I_QUOTE if side == BUY else lay.I_BASE))
    balance_slot = index.find_balance(m, pair(account_id, asset_id))
    is_open = load(m, instrument_at + lay.I_STATE) == OPEN
    posts = (kinds >> 40) & POST_ONLY != 0 and is_open
    if _client_ids_used(m, c, at, account_id, kind == OCO):
        code = R.CLIENT_ID_DUPLICATE.value
    elif ledger.available(m, balance_slot) < held:
        code = R.FUNDS_INSUFFICIENT.value
    elif posts and matching.crosses(m, lay.book(low(owner), 3 - side), side, hold_price):
        code = R.POST_ONLY_CROSSES.value
    elif linked.full(m, 3 if kind >= OCO else 1):
        code = R.ORDERS_FULL.value
    if code != 0:
        output.reject(m, c, at, code)
        return
    _enter(m, c, at, rates, balance_slot, hold_price, held)
    triggers.settle_watched(m, low(owner))


@kernel
def _enter(m: Any, c: Any, at: int, rates: int, balance_slot: int, hold_price: int, held: int) -> None:
    """Make the order live, with its hold; let it wait or meet the book."""
    kinds = load(c, at + output.C_KINDS)
    owner = load(c, at + output.C_OWNER)
    kind = (kinds >> 16) & 0xFF
    force = (kinds >> 24) & 0xFF
    client_lo = load(c, at + output.C_CLIENT_LO)
    client_hi = load(c, at + output.C_CLIENT_HI)
    terms = entry.terms_of(m, kinds)
    if kind == OCO:
        terms = terms & ~(0xFF << 8) | LIMIT << 8
    account_owner = pair(high(owner), low(owner))
    qty = load(c, at + output.C_QTY)
    price = load(c, at + output.C_PRICE)
    slot = entry.record(m, account_owner, terms, price, qty, rates, balance_slot, client_lo, client_hi)
    ledger.hold(m, balance_slot, held)
    order_at = lay.order(slot)
    word = load(c, at + output.C_AMOUNT)
    lasts_plainly = force == GTC or force == IOC or force == FOK
    if lasts_plainly and (kind == MARKET or (kind == LIMIT and word == 0 and load(c, at + C_DISPLAY) == 0)):
        linked.accepted(m, E_ACCEPTED, order_at, 0, held)
        wanted = qty if force == FOK else 0
        amount = word if kind == MARKET else 0
        entry.aggress_far(m, slot, hold_price, hold_price if amount == 0 else 0, amount, wanted)
        return
    store(m, order_at + lay.O_LIST, 0)
    orders.link(m, slot)
    extra_at = extras.attach(m, slot)
    store(m, extra_at + lay.X_HOLD_PRICE, hold_price)
    store(m, extra_at + lay.X_EXPIRE_NS, load(c, at + C_EXPIRE))
    _set_list(m, slot, force)
    if kind == LIMIT or kind == MARKET:
        _enter_limit(m, c, at, slot, held)
    elif kind == OCO:
        _enter_oco(m, c, at, slot, held)
    elif kind == BRACKET:
        _enter_bracket(m, c, at, slot, held)
    else:
        _enter_dormant(m, c, at, slot, held)


@inlined
def _set_list(m: Any, slot: int, force: int) -> None:
    """Put an order into the timed list that its time in force asks for."""
    if force == DAY:
        extras.timed_add(m, slot, 0)
    elif force == AT_OPEN:
        extras.timed_add(m, slot, 1)
    elif force == AT_CLOSE:
        extras.timed_add(m, slot, 2)


@kernel
def set_timer(m: Any, slot: int, order_id: int) -> None:
    """Set the timer of a GTD order, if it is still live."""
    order_at = lay.order(slot)
    if load(m, order_at + lay.O_ID) != order_id:
        return
    extra_at = extras.of(m, order_at)
    expire_ns = load(m, extra_at + lay.X_EXPIRE_NS)
    if expire_ns != 0:
        store(m, extra_at + lay.X_TIMER, timers.arm(m, timers.M_EXPIRY, slot, expire_ns))


@kernel
def _enter_limit(m: Any, c: Any, at: int, slot: int, held: int) -> None:
    """Enter a special LIMIT or MARKET order: iceberg, minimum, DAY, GTD, for an auction."""
    order_at = lay.order(slot)
    order_id = load(m, order_at + lay.O_ID)
    extra_at = extras.of(m, order_at)
    kinds = load(c, at + output.C_KINDS)
    force = (kinds >> 24) & 0xFF
    min_qty = load(c, at + output.C_AMOUNT)
    display = load(c, at + C_DISPLAY)
    store(m, extra_at + lay.X_DISPLAY, display)
    store(m, extra_at + lay.X_REFILL, load(c, at + C_TRIGGER))
    linked.accepted(m, E_ACCEPTED, order_at, 0, held)
    if display != 0 or min_qty != 0 or force == GTD:
        linked.details(m, order_at, min_qty)
    limit = load(m, extra_at + lay.X_HOLD_PRICE)
    instrument_at = lay.instrument(low(load(c, at + output.C_OWNER)))
    if extras.waits(m, instrument_at, force):
        extras.wait(m, slot)
        return
    entry.aggress_far(m, slot, limit, limit, 0, min_qty)
    set_timer(m, slot, order_id)


@kernel
def _enter_dormant(m: Any, c: Any, at: int, slot: int, held: int) -> None:
    """Enter a stop, if-touched or trailing order."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    kinds = load(c, at + output.C_KINDS)
    side = (kinds >> 8) & 0xFF
    kind = (kinds >> 16) & 0xFF
    source = (kinds >> 56) & 0xFF
    instrument_id = low(load(c, at + output.C_OWNER))
    trigger = _first_trigger(m, c, at, lay.instrument(instrument_id))
    becomes_limit = kind == STOP_LIMIT or kind == LIMIT_IF_TOUCHED or kind == TRAILING_STOP_LIMIT
    store(m, extra_at + lay.X_SOURCE, pair(source, LIMIT if becomes_limit else MARKET))
    store(m, extra_at + lay.X_TRIGGER, trigger)
    store(m, extra_at + lay.X_LIMIT, load(c, at + output.C_PRICE))
    triggers.insert(m, slot, triggers.book_number(source, side, kind), trigger)
    if admit.trails(kind):
        store(m, extra_at + lay.X_TRAIL, load(c, at + C_DISPLAY) | ((kinds >> 48) & 0xFF) << lay.TRAIL_UNIT_SHIFT)
        store(m, extra_at + lay.X_EXTREME, triggers.first_extreme(m, instrument_id, side, source - 1))
        triggers.trail_add(m, slot)
    linked.accepted(m, E_ACCEPTED, order_at, 0, held)
    linked.details(m, order_at, 0)
    set_timer(m, slot, load(m, order_at + lay.O_ID))


@kernel
def _enter_oco(m: Any, c: Any, at: int, slot: int, held: int) -> None:
    """Enter both legs of an OCO, the limit leg being live already; then the latter meets the book."""
    order_at = lay.order(slot)
    target_id = load(m, order_at + lay.O_ID)
    kinds = load(c, at + output.C_KINDS)
    force = (kinds >> 24) & 0xFF
    limit = load(c, at + output.C_AMOUNT)
    qty = load(c, at + output.C_QTY)
    trigger = load(c, at + C_TRIGGER)
    owner = load(m, order_at + lay.O_OWNER)
    instrument_at = lay.instrument(high(owner))
    stop_type = STOP_LIMIT if limit != 0 else STOP
    terms = entry.terms_of(m, kinds) & ~(0xFF << 8) | stop_type << 8
    rates = load(m, order_at + lay.O_RATES)
    balance_slot = low(load(m, order_at + lay.O_BALANCES))
    client_lo = load(c, at + output.C_TARGET_LO)
    client_hi = load(c, at + output.C_TARGET_HI)
    stop = entry.record(m, owner, terms, limit, qty, rates, balance_slot, client_lo, client_hi)
    stop_at = lay.order(stop)
    store(m, stop_at + lay.O_LIST, 0)
    orders.link(m, stop)
    extra_at = extras.attach(m, stop)
    store(m, extra_at + lay.X_EXPIRE_NS, load(c, at + C_EXPIRE))
    _set_list(m, stop, force)
    hold_price = _stop_hold_price(m, instrument_at, trigger, limit)
    linked.place_stop(m, stop, (kinds >> 56) & 0xFF, trigger, limit, hold_price)
    linked.tie(m, slot, stop)
    linked.accepted(m, E_ACCEPTED, order_at, 0, held)
    linked.details(m, order_at, 0)
    linked.accepted(m, E_ACCEPTED, stop_at, 0, 0)
    linked.details(m, stop_at, 0)
    stop_id = load(m, stop_at + lay.O_ID)
    entry.aggress_far(m, slot, load(c, at + output.C_PRICE), load(m, extras.of(m, order_at) + lay.X_HOLD_PRICE), 0, 0)
    set_timer(m, slot, target_id)
    set_timer(m, stop, stop_id)


@kernel
def _enter_bracket(m: Any, c: Any, at: int, slot: int, held: int) -> None:
    """Enter a bracket's entry."""
    order_at = lay.order(slot)
    order_id = load(m, order_at + lay.O_ID)
    extra_at = extras.of(m, order_at)
    store(m, extra_at + lay.X_SOURCE, (load(c, at + output.C_KINDS) >> 56) & 0xFF)
    store(m, extra_at + lay.X_TRIGGER, load(c, at + C_TRIGGER))
    store(m, extra_at + lay.X_LIMIT, load(c, at + output.C_AMOUNT))
    store(m, extra_at + lay.X_TAKE_PROFIT, load(c, at + C_DISPLAY))
    linked.accepted(m, E_ACCEPTED, order_at, 0, held)
    linked.details(m, order_at, 0)
    limit = load(m, extra_at + lay.X_HOLD_PRICE)
    entry.aggress_far(m, slot, limit, limit, 0, 0)
    set_timer(m, slot, order_id)
