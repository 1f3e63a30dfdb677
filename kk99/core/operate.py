"""What operators do by command: states of markets and accounts, reference prices, trade busts and corrections."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import breaker, entry, index, ledger, matching, obligations, orders, output, phases, work
from kk99.core import layout as lay
from kk99.core.copying import touch
from kk99.core.memory import add, high, inlined, kernel, load, low, pair, store
from kk99.schema import RejectCode as R

E_ACCOUNT_STATE = schema.EventKind.ACCOUNT_STATE_CHANGED.value
E_REFERENCE_PRICE = schema.EventKind.REFERENCE_PRICE_CHANGED.value
E_BUSTED = schema.EventKind.TRADE_BUSTED.value
E_CORRECTED = schema.EventKind.TRADE_CORRECTED.value
PRE_OPEN = schema.MarketState.PRE_OPEN.value
CLOSED = schema.MarketState.CLOSED.value
CALL = schema.MarketState.CALL.value
UNCROSSING = schema.MarketState.UNCROSSING.value
OPENING = schema.CallPurpose.OPENING.value
RECOVERY = schema.CallPurpose.RECOVERY.value
KILLED = schema.AccountState.KILLED.value
R_KILL_SWITCH = schema.CancelReason.KILL_SWITCH.value
BUY = schema.Side.BUY.value
VENUE_ACCOUNTS = schema.VENUE_ACCOUNTS
NOTIONAL_MAX = schema.AMOUNT_MAX // 2
TRADE_WINDOW = schema.TRADE_WINDOW
STATE_SHIFT = schema.shift_of(schema.COMMAND, "state")


@kernel
def instrument_state(m: Any, c: Any, at: int) -> int:
    """Set a market's state; return the reject code or 0."""
    instrument_id = low(load(c, at + output.C_OWNER))
    state = (load(c, at + output.C_KINDS) >> STATE_SHIFT) & 0xFF
    code = entry.check_instrument(m, instrument_id)
    if code != 0:
        return code
    present = load(m, lay.instrument(instrument_id) + lay.I_STATE)
    if state >= UNCROSSING or state == present:
        return R.STATE_UNCHANGED.value
    if present == UNCROSSING:
        return R.MARKET_BUSY.value
    purpose = 0
    if state == CALL:
        purpose = OPENING if present == PRE_OPEN or present == CLOSED else RECOVERY
    phases.enter(m, instrument_id, state, purpose, phases.BY_OPERATOR)
    return 0


@kernel
def account_state(m: Any, c: Any, at: int) -> int:
    """Set an account's state; a kill begins to cancel its orders; return the reject code or 0."""
    account_id = high(load(c, at + output.C_OWNER))
    state = (load(c, at + output.C_KINDS) >> STATE_SHIFT) & 0xFF
    code = entry.check_account(m, account_id)
    if code != 0:
        return code
    account_at = lay.account(account_id)
    old = load(m, account_at + lay.C_STATE)
    if state > KILLED or state == low(old):
        return R.STATE_UNCHANGED.value
    if state == KILLED and work.queue_full(m):
        return R.WORK_QUEUE_FULL.value
    store(m, account_at + lay.C_STATE, pair(state, high(old)))
    event = output.begin(m, E_ACCOUNT_STATE | state << output.REASON_SHIFT, 0, account_id, 0, 0)
    output.finish(m, event, 0, 0, 0, 0, 0, 0)
    if state == KILLED:
        work.enqueue(m, R_KILL_SWITCH, account_id, 0, 0, 0)
    return 0


@kernel
def reference_price(m: Any, c: Any, at: int) -> int:
    """Set the price that the collar is measured from; return the reject code or 0."""
    instrument_id = low(load(c, at + output.C_OWNER))
    price = load(c, at + output.C_PRICE)
    code = entry.check_instrument(m, instrument_id)
    if code != 0:
        return code
    instrument_at = lay.instrument(instrument_id)
    if price < 1:
        return R.PRICE_INVALID.value
    if price > load(m, instrument_at + lay.I_MAX_PRICE):
        return R.PRICE_ABOVE_MAX.value
    matching.set_reference(m, instrument_at, price)
    if load(m, instrument_at + lay.I_BREAKER) != 0:
        breaker.set_static(m, instrument_id, price)
    event = output.begin(m, E_REFERENCE_PRICE, instrument_id, 0, 0, 0)
    output.finish(m, event, price, 0, 0, 0, 0, 0)
    return 0


@inlined
def _balances(m: Any, instrument_at: int, account_id: int) -> int:
    """Return the word with the slots of a trader's base and quote (high) balances.

    One is 0 only where all of what it would hold is still owed: held funds opened the other, a payment this one.
    """
    base = index.find_balance(m, pair(account_id, load(m, instrument_at + lay.I_BASE)))
    return pair(base, index.find_balance(m, pair(account_id, load(m, instrument_at + lay.I_QUOTE))))


@inlined
def _short(m: Any, slots: int) -> bool:
    return ledger.available(m, low(slots)) < 0 or ledger.available(m, high(slots)) < 0


@inlined
def _receive(m: Any, date: int, account_id: int, balance_slot: int, asset_id: int, amount: int) -> None:
    """Post what a side receives from a trade: to what it is owed for its value date, while that is open."""
    if date == 0 or obligations.adjust(m, account_id, asset_id, date, amount) == 0:
        ledger.post(m, balance_slot, asset_id, amount)


@kernel
def _repost(m: Any, trade_at: int, price: int, qty: int, sign: int) -> int:
    """Post (sign 1) or take back (-1) what a trade at a price and quantity posts.

    Return whether a trader, or the FEES account, is short of it.
    """
    instrument_at = lay.instrument(low(load(m, trade_at + lay.T_INSTRUMENT)))
    base = load(m, instrument_at + lay.I_BASE)
    quote = load(m, instrument_at + lay.I_QUOTE)
    notional = price * qty * load(m, instrument_at + lay.I_TICK_LOT_UNITS)
    base_units = qty * load(m, instrument_at + lay.I_LOT_UNITS)
    rates = load(m, trade_at + lay.T_RATES)
    taker_fee = ledger.fee(notional, low(rates))
    maker_fee = ledger.maker_fee_of(notional, high(rates), taker_fee)
    burned = ledger.fee(taker_fee + maker_fee, load(m, trade_at + lay.T_BURN_PPM))
    accounts = load(m, trade_at + lay.T_ACCOUNTS)
    taker = _balances(m, instrument_at, low(accounts))
    maker = _balances(m, instrument_at, high(accounts))
    date = load(m, trade_at + lay.T_VALUE_DATE)
    if high(load(m, trade_at + lay.T_INSTRUMENT)) == BUY:
        _receive(m, date, low(accounts), low(taker), base, sign * base_units)
        ledger.post(m, high(taker), quote, -sign * (notional + taker_fee))
        ledger.post(m, low(maker), base, -sign * base_units)
        _receive(m, date, high(accounts), high(maker), quote, sign * (notional - maker_fee))
    else:
        ledger.post(m, low(taker), base, -sign * base_units)
        _receive(m, date, low(accounts), high(taker), quote, sign * (notional - taker_fee))
        _receive(m, date, high(accounts), low(maker), base, sign * base_units)
        ledger.post(m, high(maker), quote, -sign * (notional + maker_fee))
    ledger.collect(m, quote, sign * (taker_fee + maker_fee), sign * burned)
    is_fees_short = ledger.available(m, load(m, lay.asset(quote) + lay.A_FEES_BALANCE)) < 0
    return 1 if is_fees_short or _short(m, taker) or _short(m, maker) else 0


@inlined
def _adjust_order(m: Any, order_id: int, qty: int, notional: int) -> None:
    """Take what a trade lost off an order that is still live; nothing returns to the book."""
    order_at = lay.order(order_id & orders.SLOT_MASK)
    if load(m, order_at + lay.O_ID) == order_id:
        touch(m, order_at)
        add(m, order_at + lay.O_QTY, -qty)
        add(m, order_at + lay.O_NOTIONAL, -notional)


@kernel
def _trade_event(m: Any, trade_at: int, kind: int) -> None:
    """Write TRADE_BUSTED or TRADE_CORRECTED from a trade's record."""
    instrument = load(m, trade_at + lay.T_INSTRUMENT)
    instrument_at = lay.instrument(low(instrument))
    accounts = load(m, trade_at + lay.T_ACCOUNTS)
    price = load(m, trade_at + lay.T_PRICE)
    qty = load(m, trade_at + lay.T_QTY)
    notional = price * qty * load(m, instrument_at + lay.I_TICK_LOT_UNITS)
    rates = load(m, trade_at + lay.T_RATES)
    taker_fee = ledger.fee(notional, low(rates))
    maker_fee = ledger.maker_fee_of(notional, high(rates), taker_fee)
    taker_order = load(m, trade_at + lay.T_TAKER_ORDER)
    event = output.begin(m, kind | high(instrument) << 8, low(instrument), low(accounts), high(accounts), taker_order)
    store(m, event + 7, load(m, trade_at + lay.T_MAKER_ORDER))
    store(m, event + 8, price)
    store(m, event + 9, qty)
    store(m, event + 10, 0)
    store(m, event + 11, 0)
    store(m, event + 12, taker_fee)
    store(m, event + 13, maker_fee)
    store(m, event + 14, load(m, trade_at + lay.T_ID))
    store(m, event + 15, ledger.fee(taker_fee + maker_fee, load(m, trade_at + lay.T_BURN_PPM)))


@inlined
def _check_trade(m: Any, trade_id: int) -> int:
    last = load(m, lay.HEADER + lay.H_TRADES)
    if trade_id < 1 or trade_id > last or trade_id <= last - TRADE_WINDOW:
        return R.TRADE_UNKNOWN.value
    if load(m, lay.trade(trade_id) + lay.T_BUSTED) != 0:
        return R.TRADE_BUSTED.value
    return 0


@kernel
def trade_change(m: Any, c: Any, at: int, bust: int) -> int:
    """Bust a trade, or give it another price and quantity; return the reject code or 0."""
    trade_id = load(c, at + output.C_TARGET_LO)
    code = _check_trade(m, trade_id)
    if code != 0:
        return code
    trade_at = lay.trade(trade_id)
    instrument_at = lay.instrument(low(load(m, trade_at + lay.T_INSTRUMENT)))
    old_price = load(m, trade_at + lay.T_PRICE)
    old_qty = load(m, trade_at + lay.T_QTY)
    price = old_price if bust != 0 else load(c, at + output.C_PRICE)
    qty = 0 if bust != 0 else load(c, at + output.C_QTY)
    if bust == 0:
        if price < 1:
            return R.PRICE_INVALID.value
        if price > load(m, instrument_at + lay.I_MAX_PRICE):
            return R.PRICE_ABOVE_MAX.value
        if qty < 1:
            return R.QTY_INVALID.value
        if qty > old_qty:
            return R.QTY_ABOVE_MAX.value
        if price > NOTIONAL_MAX // (qty * load(m, instrument_at + lay.I_TICK_LOT_UNITS)):
            return R.NOTIONAL_ABOVE_MAX.value
    _repost(m, trade_at, old_price, old_qty, -1)
    if _repost(m, trade_at, price, qty, 1) != 0:
        _repost(m, trade_at, price, qty, -1)
        _repost(m, trade_at, old_price, old_qty, 1)
        return R.FUNDS_INSUFFICIENT.value
    units = load(m, instrument_at + lay.I_TICK_LOT_UNITS)
    lost = (old_price * old_qty - price * qty) * units
    _adjust_order(m, load(m, trade_at + lay.T_TAKER_ORDER), old_qty - qty, lost)
    _adjust_order(m, load(m, trade_at + lay.T_MAKER_ORDER), old_qty - qty, lost)
    if bust != 0:
        _trade_event(m, trade_at, E_BUSTED)
        store(m, trade_at + lay.T_BUSTED, 1)
    else:
        store(m, trade_at + lay.T_PRICE, price)
        store(m, trade_at + lay.T_QTY, qty)
        _trade_event(m, trade_at, E_CORRECTED)
    return 0
