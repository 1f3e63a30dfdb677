"""Matching: an aggressor meets the opposite book, best price first, oldest first; each fill is settled at once."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import ending, extras, ladder, ledger, linked, obligations, orders, output
from kk99.core import layout as lay
from kk99.core.copying import touch
from kk99.core.memory import add, far, high, inlined, kernel, load, low, pair, store

BUY = schema.Side.BUY.value
SELL = schema.Side.SELL.value
PPM = schema.PPM
FILLS_MAX = schema.FILLS_PER_COMMAND_MAX
ALLOW = schema.SelfTrade.ALLOW.value
CANCEL_NEWEST = schema.SelfTrade.CANCEL_NEWEST.value
CANCEL_OLDEST = schema.SelfTrade.CANCEL_OLDEST.value
CANCEL_BOTH = schema.SelfTrade.CANCEL_BOTH.value
R_SELF_TRADE = schema.CancelReason.SELF_TRADE.value
R_FILL_LIMIT = schema.CancelReason.FILL_LIMIT.value
R_BUDGET_SPENT = schema.CancelReason.BUDGET_SPENT.value
NO_BUDGET = -1
VOLUME_MASK = schema.AMOUNT_MAX - 1  # volumes count modulo AMOUNT_MAX


@inlined
def set_reference(m: Any, instrument_at: int, price: int) -> None:
    """Set the reference price and, with it, the collar's bounds (0 and 0 without a collar)."""
    store(m, instrument_at + lay.I_REFERENCE, price)
    collar_ppm = load(m, instrument_at + lay.I_COLLAR_PPM)
    if collar_ppm != 0 and price != 0:
        reach = price * collar_ppm // PPM
        store(m, instrument_at + lay.I_COLLAR_LOW, price - reach)
        store(m, instrument_at + lay.I_COLLAR_HIGH, min(price + reach, load(m, instrument_at + lay.I_MAX_PRICE)))
    else:
        store(m, instrument_at + lay.I_COLLAR_LOW, 0)
        store(m, instrument_at + lay.I_COLLAR_HIGH, 0)


@inlined
def crosses(m: Any, book_at: int, side: int, limit: int) -> bool:
    """Return whether an aggressor of a side, at a limit, meets the best of the opposite book."""
    if load(m, book_at + lay.L_BEST) == 0:
        return False
    best = load(m, book_at + lay.L_BEST_PRICE)
    return limit >= best if side == BUY else limit <= best


@inlined
def within_band(m: Any, instrument_at: int, side: int, limit: int) -> int:
    """Return the nearer of an aggressor's limit and the bound of the instrument's price bands."""
    if side == BUY:
        return min(limit, load(m, instrument_at + lay.I_BAND_HIGH))
    return max(limit, load(m, instrument_at + lay.I_BAND_LOW))


@inlined
def same_group(m: Any, taker_at: int, maker_at: int) -> bool:
    """Return whether two orders' accounts are of one self-trade group."""
    taker = load(m, lay.account(low(load(m, taker_at + lay.O_OWNER))) + lay.C_GROUP)
    return taker == load(m, lay.account(low(load(m, maker_at + lay.O_OWNER))) + lay.C_GROUP)


@inlined
def _pay(m: Any, order_at: int, instrument_at: int, price: int, qty: int, cost: int) -> None:
    """Take a buyer's cost from its hold, whose formula follows the leaves; what the price bettered goes back."""
    slot = low(load(m, order_at + lay.O_BALANCES))
    at = lay.balance(slot)
    if load(m, lay.S_BUDGET) != NO_BUDGET and price == 0:
        add(m, lay.S_BUDGET, -cost)
        add(m, at + lay.B_HELD, -cost)
    else:
        leaves = load(m, order_at + lay.O_LEAVES)
        ppm = ledger.hold_ppm(load(m, order_at + lay.O_RATES))
        before = ledger.order_hold(m, instrument_at, BUY, price, leaves, ppm)
        released = before - ledger.order_hold(m, instrument_at, BUY, price, leaves - qty, ppm)
        add(m, at + lay.B_HELD, -released)
        add(m, at + lay.B_AVAILABLE, released - cost)
    add(m, lay.asset(load(m, instrument_at + lay.I_QUOTE)) + lay.A_TOTAL, -cost)


@inlined
def _settle(
    m: Any, instrument_at: int, buyer_at: int, seller_at: int, buy_price: int, qty: int, cost: int, net: int, date: int
) -> None:
    """Move base and quote between buyer and seller: the buyer pays `cost`, the seller gets `net`; on a date, 0: now."""
    base = load(m, instrument_at + lay.I_BASE)
    quote = load(m, instrument_at + lay.I_QUOTE)
    base_units = qty * load(m, instrument_at + lay.I_LOT_UNITS)
    _pay(m, buyer_at, instrument_at, buy_price, qty, cost)
    add(m, lay.balance(low(load(m, seller_at + lay.O_BALANCES))) + lay.B_HELD, -base_units)
    add(m, lay.asset(base) + lay.A_TOTAL, -base_units)
    if date != 0:
        obligations.owe(m, low(load(m, seller_at + lay.O_OWNER)), quote, date, net)
        obligations.owe(m, low(load(m, buyer_at + lay.O_OWNER)), base, date, base_units)
    else:
        ledger.post(m, ledger.receiving_balance(m, buyer_at, base), base, base_units)
        ledger.post(m, ledger.receiving_balance(m, seller_at, quote), quote, net)


@inlined
def _record(
    m: Any, trade_id: int, taker_at: int, maker_at: int, side: int, price: int, qty: int, burn_ppm: int, date: int
) -> None:
    """Keep a trade for a bust or a correction."""
    at = lay.trade(trade_id)
    owner = load(m, taker_at + lay.O_OWNER)
    store(m, at + lay.T_ID, trade_id)
    store(m, at + lay.T_INSTRUMENT, pair(high(owner), side))
    store(m, at + lay.T_ACCOUNTS, pair(low(owner), low(load(m, maker_at + lay.O_OWNER))))
    store(m, at + lay.T_TAKER_ORDER, load(m, taker_at + lay.O_ID))
    store(m, at + lay.T_MAKER_ORDER, load(m, maker_at + lay.O_ID))
    store(m, at + lay.T_PRICE, price)
    store(m, at + lay.T_QTY, qty)
    store(m, at + lay.T_RATES, pair(high(load(m, taker_at + lay.O_RATES)), low(load(m, maker_at + lay.O_RATES))))
    store(m, at + lay.T_BURN_PPM, burn_ppm)
    store(m, at + lay.T_BUSTED, 0)
    store(m, at + lay.T_VALUE_DATE, date)


@kernel
def fill(
    m: Any,
    instrument_at: int,
    taker_at: int,
    maker_at: int,
    side: int,
    price: int,
    qty: int,
    taker_hold_price: int,
    maker_hold_price: int,
) -> None:
    """Trade a quantity at a price between the aggressor, of a side, and a resting order."""
    touch(m, taker_at)
    touch(m, maker_at)
    notional = price * qty * load(m, instrument_at + lay.I_TICK_LOT_UNITS)
    burn_ppm = load(m, lay.schedule(load(m, instrument_at + lay.I_SCHEDULE)) + lay.F_BURN_PPM)
    taker_fee = ledger.fee(notional, high(load(m, taker_at + lay.O_RATES)))
    maker_fee = ledger.maker_fee_of(notional, low(load(m, maker_at + lay.O_RATES)), taker_fee)
    burned = ledger.fee(taker_fee + maker_fee, burn_ppm)
    date = 0
    if load(m, instrument_at + lay.I_SETTLEMENT) != 0:
        date = obligations.value_date(m, instrument_at)
    if side == BUY:
        cost = notional + taker_fee
        _settle(m, instrument_at, taker_at, maker_at, taker_hold_price, qty, cost, notional - maker_fee, date)
    else:
        cost = notional + maker_fee
        _settle(m, instrument_at, maker_at, taker_at, maker_hold_price, qty, cost, notional - taker_fee, date)
    ledger.collect(m, load(m, instrument_at + lay.I_QUOTE), taker_fee + maker_fee, burned)
    leaves = max(load(m, taker_at + lay.O_LEAVES) - qty, 0)
    store(m, taker_at + lay.O_LEAVES, leaves)
    add(m, taker_at + lay.O_NOTIONAL, notional)
    add(m, maker_at + lay.O_NOTIONAL, notional)
    add(m, maker_at + lay.O_LEAVES, -qty)
    trade_id = load(m, lay.HEADER + lay.H_TRADES) + 1
    store(m, lay.HEADER + lay.H_TRADES, trade_id)
    _record(m, trade_id, taker_at, maker_at, side, price, qty, burn_ppm, date)
    owner = load(m, taker_at + lay.O_OWNER)
    maker_account = low(load(m, maker_at + lay.O_OWNER))
    at = output.begin(
        m, output.E_TRADE | side << 8, high(owner), low(owner), maker_account, load(m, taker_at + lay.O_ID)
    )
    store(m, at + 7, load(m, maker_at + lay.O_ID))
    store(m, at + 8, price)
    store(m, at + 9, qty)
    store(m, at + 10, leaves)
    store(m, at + 11, load(m, maker_at + lay.O_LEAVES))
    store(m, at + 12, taker_fee)
    store(m, at + 13, maker_fee)
    store(m, at + 14, trade_id)
    store(m, at + 15, burned)


@inlined
def _affordable(m: Any, instrument_at: int, price: int, taker_ppm: int) -> int:
    """Return the lots that what is left of the budget buys at a price, fee included."""
    budget = load(m, lay.S_BUDGET)
    divisor = PPM + taker_ppm
    whole = budget // divisor
    notional = whole * PPM + (budget - whole * divisor) * PPM // divisor
    lots = notional // (price * load(m, instrument_at + lay.I_TICK_LOT_UNITS))
    return lots - lots % load(m, instrument_at + lay.I_LOT_STEP)


@inlined
def _shown(m: Any, order_at: int) -> int:
    """Return what others can meet of a resting order: its leaves, or what an iceberg shows."""
    if extras.is_special(m, order_at):
        extra_at = extras.of(m, order_at)
        if load(m, extra_at + lay.X_DISPLAY) != 0:
            return load(m, extra_at + lay.X_SHOWN)
    return load(m, order_at + lay.O_LEAVES)


@kernel
def _self_trade(m: Any, instrument_at: int, taker_at: int, maker: int, hold_price: int) -> int:
    """Do what the aggressor asks for on meeting its own group; return the reason to end it, or 0 to go on."""
    instruction = (load(m, taker_at + lay.O_TERMS) >> 24) & 0xFF
    maker_at = lay.order(maker)
    budget = load(m, lay.S_BUDGET) != NO_BUDGET
    if instruction == CANCEL_NEWEST or (budget and instruction != CANCEL_OLDEST and instruction != CANCEL_BOTH):
        return R_SELF_TRADE
    if instruction == CANCEL_OLDEST or instruction == CANCEL_BOTH:
        ending.cancel(m, maker, R_SELF_TRADE)
        return 0 if instruction == CANCEL_OLDEST else R_SELF_TRADE
    taker_leaves = load(m, taker_at + lay.O_LEAVES)
    taken = min(taker_leaves, _shown(m, maker_at))
    if load(m, maker_at + lay.O_LEAVES) == taken:
        ending.cancel(m, maker, R_SELF_TRADE)
    else:
        _reduce(m, instrument_at, maker_at, extras.hold_price(m, maker_at), taken)
        if extras.is_special(m, maker_at):
            linked.shrunk(m, maker, taken)
    if taker_leaves == taken:
        return R_SELF_TRADE
    _reduce(m, instrument_at, taker_at, hold_price, taken)
    return 0


@inlined
def _reduce(m: Any, instrument_at: int, order_at: int, price: int, qty: int) -> None:
    """Take quantity off an order and its hold, at its hold price; event ORDER_REDUCED."""
    side = load(m, order_at + lay.O_TERMS) & 0xFF
    ppm = ledger.hold_ppm(load(m, order_at + lay.O_RATES))
    leaves = load(m, order_at + lay.O_LEAVES)
    before = ledger.order_hold(m, instrument_at, side, price, leaves, ppm)
    after = ledger.order_hold(m, instrument_at, side, price, leaves - qty, ppm)
    touch(m, order_at)
    store(m, order_at + lay.O_LEAVES, leaves - qty)
    add(m, order_at + lay.O_QTY, -qty)
    ledger.hold(m, low(load(m, order_at + lay.O_BALANCES)), after - before)
    output.order_event(m, output.E_REDUCED, R_SELF_TRADE, order_at, leaves - qty, after)


@inlined
def _filled(m: Any, book_at: int, side: int, maker: int, qty: int) -> None:
    """Do what follows from a fill for the resting order: what special ones do, and its end without leaves."""
    maker_at = lay.order(maker)
    if extras.is_special(m, maker_at):
        linked.filled(m, maker, qty)
        if load(m, maker_at + lay.O_LEAVES) == 0:
            ladder.remove(m, book_at, side, maker)
            ending.end(m, maker)
    elif load(m, maker_at + lay.O_LEAVES) == 0:
        ladder.remove(m, book_at, side, maker)
        orders.unlink(m, maker)
        orders.retire(m, maker)


@inlined
def _count(m: Any, instrument_at: int, qty: int) -> None:
    """Count what an instrument traded."""
    store(m, instrument_at + lay.I_VOLUME, (load(m, instrument_at + lay.I_VOLUME) + qty) & VOLUME_MASK)


@kernel
def match(m: Any, slot: int, limit: int, hold_price: int) -> int:
    """Match an aggressor while its limit, quantity or budget last; return the reason that ended it early, or 0."""
    taker_at = lay.order(slot)
    terms = load(m, taker_at + lay.O_TERMS)
    side = terms & 0xFF
    instrument_id = high(load(m, taker_at + lay.O_OWNER))
    instrument_at = lay.instrument(instrument_id)
    book_at = lay.book(instrument_id, 3 - side)
    guarded = (terms >> 24) & 0xFF != ALLOW
    budget = load(m, lay.S_BUDGET) != NO_BUDGET
    met = 0
    last = 0
    traded = 0
    reason = 0
    store(m, lay.S_TAKER, slot)
    while crosses(m, book_at, side, limit) and load(m, lay.S_BUDGET if budget else taker_at + lay.O_LEAVES) > 0:
        if met == FILLS_MAX:
            reason = R_FILL_LIMIT
            break
        met += 1
        maker = low(load(m, lay.level(load(m, book_at + lay.L_BEST)) + lay.V_QUEUE))
        maker_at = lay.order(maker)
        if guarded and same_group(m, taker_at, maker_at):
            reason = _self_trade(m, instrument_at, taker_at, maker, hold_price)
            if reason != 0:
                break
            continue
        price = load(m, book_at + lay.L_BEST_PRICE)
        qty = _shown(m, maker_at)
        if budget:
            qty = min(qty, _affordable(m, instrument_at, price, high(load(m, taker_at + lay.O_RATES))))
        else:
            qty = min(qty, load(m, taker_at + lay.O_LEAVES))
        if qty == 0:
            reason = R_BUDGET_SPENT
            break
        maker_hold_price = extras.hold_price(m, maker_at)
        fill(m, instrument_at, taker_at, maker_at, side, price, qty, hold_price, maker_hold_price)
        if last == 0 and load(m, lay.S_PATH_FIRST) == 0:
            store(m, lay.S_PATH_FIRST, price)
        last = price
        traded += qty
        _filled(m, book_at, 3 - side, maker, qty)
    store(m, lay.S_TAKER, 0)
    store(m, lay.S_MET, met)
    if last != 0:
        set_reference(m, instrument_at, last)
        store(m, instrument_at + lay.I_LAST, last)
        _count(m, instrument_at, traded)
        store(m, lay.S_TRADED, traded)
    if budget and reason == 0 and load(m, lay.S_BUDGET) == 0:
        reason = R_BUDGET_SPENT
    return reason


@far
def trade(m: Any, instrument_at: int, taker: int, maker: int, side: int, price: int, qty: int) -> None:
    """Trade between two resting orders, the taker of a side, at an auction's price; each ends without leaves."""
    store(m, lay.S_BUDGET, NO_BUDGET)
    taker_at = lay.order(taker)
    maker_at = lay.order(maker)
    instrument_id = high(load(m, taker_at + lay.O_OWNER))
    taker_hold_price = extras.hold_price(m, taker_at)
    maker_hold_price = extras.hold_price(m, maker_at)
    fill(m, instrument_at, taker_at, maker_at, side, price, qty, taker_hold_price, maker_hold_price)
    set_reference(m, instrument_at, price)
    store(m, instrument_at + lay.I_LAST, price)
    _count(m, instrument_at, qty)
    _filled(m, lay.book(instrument_id, 3 - side), 3 - side, maker, qty)
    _filled(m, lay.book(instrument_id, side), side, taker, qty)


@inlined
def _to_the_back(m: Any, end: int, left: int, part: int) -> int:
    """Let an iceberg with so much left, if any, be met again after all others of its price; return the new end."""
    if left <= 0:
        return end
    store(m, lay.WALKED + 2 * end, left)
    store(m, lay.WALKED + 2 * end + 1, part)
    return end + 1


@inlined
def _refill(m: Any, order_at: int) -> int:
    """Return what an iceberg shows when it shows again."""
    extra_at = extras.of(m, order_at)
    refill = load(m, extra_at + lay.X_REFILL)
    return refill if refill != 0 else load(m, extra_at + lay.X_DISPLAY)


@far
def fillable(m: Any, slot: int, limit: int, wanted: int) -> bool:
    """Return whether an aggressor can trade so much at once, by walking what it would meet, icebergs part by part."""
    taker_at = lay.order(slot)
    terms = load(m, taker_at + lay.O_TERMS)
    side = terms & 0xFF
    instruction = (terms >> 24) & 0xFF
    book_at = lay.book(high(load(m, taker_at + lay.O_OWNER)), 3 - side)
    level = load(m, book_at + lay.L_BEST)
    met = 0
    while level != 0 and wanted > 0:
        price = load(m, lay.level(level) + lay.V_PRICE)
        if price > limit if side == BUY else price < limit:
            break
        maker = low(load(m, lay.level(level) + lay.V_QUEUE))
        first = 0  # of the icebergs that show again behind all others
        end = 0
        while (maker != 0 or first < end) and wanted > 0:
            met += 1
            if met > FILLS_MAX:
                return False
            if maker == 0:
                left = load(m, lay.WALKED + 2 * first)
                part = load(m, lay.WALKED + 2 * first + 1)
                first += 1
                wanted -= min(part, left)
                end = _to_the_back(m, end, left - part, part)
                continue
            maker_at = lay.order(maker)
            if instruction != ALLOW and same_group(m, taker_at, maker_at):
                if instruction != CANCEL_OLDEST:
                    return False
            else:
                shown = _shown(m, maker_at)
                wanted -= shown
                left = load(m, maker_at + lay.O_LEAVES) - shown
                end = _to_the_back(m, end, left, _refill(m, maker_at) if left > 0 else 0)
            maker = low(load(m, maker_at + lay.O_QUEUE))
        level = ladder.next_level(m, level, 3 - side)
    return wanted <= 0
