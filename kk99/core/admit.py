"""What is wrong with an order that is not plain: every check in the order of the reject codes, before money and ids.

What each type's fields mean stands in the rules of advanced orders.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import entry, output, triggers
from kk99.core import layout as lay
from kk99.core.memory import far, high, inlined, kernel, load, low
from kk99.schema import RejectCode as R

BUY = schema.Side.BUY.value
SELL = schema.Side.SELL.value
MARKET = schema.OrderType.MARKET.value
LIMIT = schema.OrderType.LIMIT.value
STOP = schema.OrderType.STOP.value
STOP_LIMIT = schema.OrderType.STOP_LIMIT.value
MARKET_IF_TOUCHED = schema.OrderType.MARKET_IF_TOUCHED.value
LIMIT_IF_TOUCHED = schema.OrderType.LIMIT_IF_TOUCHED.value
TRAILING_STOP = schema.OrderType.TRAILING_STOP.value
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
SOURCE_LAST = schema.TriggerSource.INDEX.value
BASIS_POINTS = schema.TrailUnit.BASIS_POINTS.value
POST_ONLY = schema.Flag.POST_ONLY.value
OPEN = schema.MarketState.OPEN.value
PRE_OPEN = schema.MarketState.PRE_OPEN.value
CALL = schema.MarketState.CALL.value
OPENING = schema.CallPurpose.OPENING.value
C_TRIGGER = entry.C_TRIGGER
C_DISPLAY = entry.C_DISPLAY
C_EXPIRE = entry.C_EXPIRE


@inlined
def has_trigger(kind: int) -> bool:
    """Return whether a type has a trigger of its own price."""
    return STOP <= kind <= LIMIT_IF_TOUCHED or kind == OCO or kind == BRACKET


@inlined
def trails(kind: int) -> bool:
    """Return whether a type follows its source at a distance."""
    return kind == TRAILING_STOP or kind == TRAILING_STOP_LIMIT


@inlined
def rests(force: int) -> bool:
    """Return whether a time in force lets an order rest for good."""
    return force == DAY or force == GTC or force == GTD


@inlined
def _is_budget(kind: int, side: int, amount: int) -> bool:
    return kind == MARKET and side == BUY and amount != 0


@inlined
def _check_force(kind: int, force: int, budget: bool, price: int) -> bool:
    """Return whether a type takes a time in force."""
    if kind == LIMIT:
        return rests(force) or force == IOC or force == FOK or force == AT_OPEN or force == AT_CLOSE
    if kind == MARKET:
        return force == IOC or (not budget and (force == FOK or force == AT_OPEN or force == AT_CLOSE))
    if kind == BRACKET:
        return force == IOC or (price != 0 and rests(force))
    return rests(force)


@inlined
def _check_fields(c: Any, at: int, kind: int, force: int) -> bool:
    """Return whether no field is set that the type does not use."""
    kinds = load(c, at + output.C_KINDS)
    is_trailing = trails(kind)
    if (kinds >> 48) & 0xFF != 0 and not is_trailing:
        return False
    if (kinds >> 56) & 0xFF != 0 and not is_trailing and not has_trigger(kind):
        return False
    if load(c, at + output.C_AMOUNT) != 0 and kind > LIMIT and kind < OCO:
        return False
    if load(c, at + C_TRIGGER) != 0 and kind != LIMIT and not has_trigger(kind):
        return False
    if load(c, at + C_DISPLAY) != 0 and kind != LIMIT and not is_trailing and kind != BRACKET:
        return False
    if load(c, at + C_EXPIRE) != 0 and force != GTD:
        return False
    return kind == OCO or load(c, at + output.C_TARGET_LO) | load(c, at + output.C_TARGET_HI) == 0


@kernel
def _check_form(c: Any, at: int) -> int:
    """Return the first reject code that needs no look at the venue, or 0."""
    kinds = load(c, at + output.C_KINDS)
    side = (kinds >> 8) & 0xFF
    kind = (kinds >> 16) & 0xFF
    force = (kinds >> 24) & 0xFF
    flags = (kinds >> 40) & 0xFF
    amount = load(c, at + output.C_AMOUNT)
    if side != BUY and side != SELL:
        return R.SIDE_INVALID.value
    if kind < MARKET or kind > BRACKET:
        return R.ORDER_TYPE_UNSUPPORTED.value
    if not _check_force(kind, force, _is_budget(kind, side, amount), load(c, at + output.C_PRICE)):
        return R.TIME_IN_FORCE_UNSUPPORTED.value
    code = entry.check_flags(kind, GTC if rests(force) else force, (kinds >> 32) & 0xFF, flags)
    if code != 0:
        return code
    if not _check_fields(c, at, kind, force):
        return R.FLAGS_INVALID.value
    if kind == LIMIT:
        hides = load(c, at + C_DISPLAY) | load(c, at + C_TRIGGER) != 0
        if (hides and not rests(force)) or (amount != 0 and not rests(force) and force != IOC):
            return R.FLAGS_INVALID.value
        if amount != 0 and flags & POST_ONLY != 0:
            return R.FLAGS_INVALID.value
    return 0


@kernel
def check_market(m: Any, c: Any, at: int, instrument_at: int) -> int:
    """Return why the market does not take the order in its state, or 0."""
    kinds = load(c, at + output.C_KINDS)
    force = (kinds >> 24) & 0xFF
    state = load(m, instrument_at + lay.I_STATE)
    if state == OPEN:
        return R.MARKET_OPEN.value if force == AT_OPEN else 0
    if state == PRE_OPEN and force == AT_OPEN:
        return 0
    if state != CALL:
        return entry.check_market(m, instrument_at)
    purpose = load(m, instrument_at + lay.I_CALL)
    is_min = (kinds >> 16) & 0xFF == LIMIT and load(c, at + output.C_AMOUNT) != 0
    if force == IOC or force == FOK or is_min or (kinds >> 40) & POST_ONLY != 0:
        return R.MARKET_CALL.value
    return R.MARKET_CALL.value if force == AT_OPEN and purpose != OPENING else 0


@inlined
def check_free_price(m: Any, instrument_at: int, price: int) -> int:
    """Return what is wrong with a limit price for later, to which the collar does not apply, or 0."""
    if price < 1:
        return R.PRICE_INVALID.value
    if price % load(m, instrument_at + lay.I_TICK_STEP) != 0:
        return R.PRICE_OFF_TICK.value
    if price > load(m, instrument_at + lay.I_MAX_PRICE):
        return R.PRICE_ABOVE_MAX.value
    return 0


@kernel
def _check_prices(m: Any, c: Any, at: int, instrument_at: int) -> int:
    """Return what is wrong with the order's prices, or 0."""
    kinds = load(c, at + output.C_KINDS)
    side = (kinds >> 8) & 0xFF
    kind = (kinds >> 16) & 0xFF
    price = load(c, at + output.C_PRICE)
    amount = load(c, at + output.C_AMOUNT)
    code = 0
    if kind == LIMIT or kind == OCO or (kind == BRACKET and price != 0):
        code = entry.check_limit_price(m, instrument_at, price)
    elif kind == STOP_LIMIT or kind == LIMIT_IF_TOUCHED:
        code = check_free_price(m, instrument_at, price)
    elif kind == TRAILING_STOP_LIMIT:
        if price < 0:
            code = R.PRICE_INVALID.value
        elif price > load(m, instrument_at + lay.I_MAX_PRICE):
            code = R.PRICE_ABOVE_MAX.value
    elif price != 0:
        code = R.PRICE_INVALID.value
    elif kind == MARKET or kind == BRACKET:
        needs_collar = side == BUY and not _is_budget(kind, side, amount)
        if needs_collar and load(m, instrument_at + lay.I_COLLAR_HIGH) == 0:
            code = R.COLLAR_MISSING.value
    if code == 0 and (kind == OCO or kind == BRACKET) and amount != 0:
        code = check_free_price(m, instrument_at, amount)
    if code == 0 and kind == BRACKET:
        code = check_free_price(m, instrument_at, load(c, at + C_DISPLAY))
    if code == 0 and _becomes_market_buy(kind, side, amount) and load(m, instrument_at + lay.I_COLLAR_PPM) == 0:
        code = R.COLLAR_MISSING.value
    return code


@inlined
def _becomes_market_buy(kind: int, side: int, stop_limit: int) -> bool:
    if kind == OCO:
        return side == BUY and stop_limit == 0
    if kind == BRACKET:
        return side == SELL and stop_limit == 0
    return side == BUY and (kind == STOP or kind == MARKET_IF_TOUCHED or kind == TRAILING_STOP)


@inlined
def linked_apart(side: int, limit: int, trigger: int) -> bool:
    """Return whether the prices of a limit leg and a stop leg of a side stand apart as they must."""
    return limit < trigger if side == BUY else limit > trigger


@inlined
def check_trigger_price(m: Any, instrument_at: int, trigger: int) -> bool:
    """Return whether a trigger's price can be one."""
    if trigger < 1 or trigger > load(m, instrument_at + lay.I_MAX_PRICE):
        return False
    return trigger % load(m, instrument_at + lay.I_TICK_STEP) == 0


@kernel
def _check_trigger(m: Any, c: Any, at: int, instrument_at: int) -> int:
    """Return what is wrong with the order's trigger, trail or linked prices, or 0."""
    kinds = load(c, at + output.C_KINDS)
    side = (kinds >> 8) & 0xFF
    kind = (kinds >> 16) & 0xFF
    source = (kinds >> 56) & 0xFF
    instrument_id = low(load(c, at + output.C_OWNER))
    if trails(kind):
        unit = (kinds >> 48) & 0xFF
        trail = load(c, at + C_DISPLAY)
        if source < 1 or source > SOURCE_LAST:
            return R.TRIGGER_INVALID.value
        most = schema.TRAIL_BPS_MAX if unit == BASIS_POINTS else load(m, instrument_at + lay.I_MAX_PRICE)
        if unit < 1 or unit > BASIS_POINTS or trail < 1 or trail > most:
            return R.TRAIL_INVALID.value
        price = triggers.source_price(m, instrument_id, source - 1)
        return R.TRIGGER_SOURCE_MISSING.value if price == 0 else 0
    if not has_trigger(kind):
        return 0
    trigger = load(c, at + C_TRIGGER)
    if source < 1 or source > SOURCE_LAST or not check_trigger_price(m, instrument_at, trigger):
        return R.TRIGGER_INVALID.value
    price = load(c, at + output.C_PRICE)
    if kind == OCO and not linked_apart(side, price, trigger):
        return R.LINK_INVALID.value
    if kind == BRACKET:
        target = load(c, at + C_DISPLAY)
        apart = linked_apart(3 - side, target, trigger)
        if price != 0:
            apart = apart and linked_apart(3 - side, target, price) and linked_apart(3 - side, price, trigger)
        return 0 if apart else R.LINK_INVALID.value
    order_type = STOP if kind == OCO else kind
    number = triggers.book_number(source, side, order_type)
    return R.TRIGGER_PASSED.value if triggers.has_passed(m, instrument_id, number, trigger) else 0


@kernel
def _check_sizes(m: Any, c: Any, at: int, instrument_at: int) -> int:
    """Return what is wrong with the order's quantities, notionals and amount, or 0."""
    kinds = load(c, at + output.C_KINDS)
    kind = (kinds >> 16) & 0xFF
    qty = load(c, at + output.C_QTY)
    price = load(c, at + output.C_PRICE)
    amount = load(c, at + output.C_AMOUNT)
    if _is_budget(kind, (kinds >> 8) & 0xFF, amount):
        return R.QTY_INVALID.value if qty != 0 else entry.check_notional(m, instrument_at, amount)
    code = entry.check_qty(m, instrument_at, qty, 0)
    if code != 0:
        return code
    if kind == LIMIT:
        step = load(m, instrument_at + lay.I_LOT_STEP)
        display = load(c, at + C_DISPLAY)
        refill = load(c, at + C_TRIGGER)
        if display < 0 or display > qty or display % step != 0 or refill < 0 or refill > qty or refill % step != 0:
            return R.DISPLAY_INVALID.value
        if refill != 0 and display == 0:
            return R.DISPLAY_INVALID.value
        if amount < 0 or amount > qty:
            return R.MIN_QTY_INVALID.value
    unit = qty * load(m, instrument_at + lay.I_TICK_LOT_UNITS)
    if kind == MARKET:
        return R.AMOUNT_INVALID.value if amount != 0 else 0
    if price != 0 and kind != TRAILING_STOP_LIMIT:
        code = entry.check_notional(m, instrument_at, price * unit)
    if code == 0 and amount != 0 and kind != LIMIT:
        code = entry.check_notional(m, instrument_at, amount * unit)
    if code == 0 and kind == BRACKET:
        code = entry.check_notional(m, instrument_at, load(c, at + C_DISPLAY) * unit)
    return code


@far
def check_new(m: Any, c: Any, at: int) -> int:
    """Return the first reject code of a new order that needs no look at money or client ids, or 0."""
    owner = load(c, at + output.C_OWNER)
    code = entry.check_account(m, high(owner))
    if code == 0:
        code = entry.check_active(m, high(owner))
    if code == 0:
        code = entry.check_instrument(m, low(owner))
    if code == 0:
        code = _check_form(c, at)
    if code != 0:
        return code
    instrument_at = lay.instrument(low(owner))
    code = check_market(m, c, at, instrument_at)
    is_gtd = (load(c, at + output.C_KINDS) >> 24) & 0xFF == GTD
    if code == 0 and is_gtd and load(c, at + C_EXPIRE) <= load(m, lay.HEADER + lay.H_TIME_NS):
        code = R.EXPIRE_INVALID.value
    if code == 0:
        code = _check_prices(m, c, at, instrument_at)
    if code == 0:
        code = _check_trigger(m, c, at, instrument_at)
    if code == 0:
        code = _check_sizes(m, c, at, instrument_at)
    return code
