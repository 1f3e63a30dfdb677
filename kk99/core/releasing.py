"""Scheduled orders: entering one, releasing its children when their time has come, suspending it.

A parent is live and holds, in no book; a child is an IOC order that lives within one step. Nothing is changed before
the last check has passed.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import (
    admit,
    advanced,
    algos,
    ending,
    entry,
    extras,
    index,
    ledger,
    linked,
    orders,
    output,
    timers,
    triggers,
)
from kk99.core import layout as lay
from kk99.core.copying import touch
from kk99.core.memory import far, high, inlined, kernel, load, low, pair, store
from kk99.schema import RejectCode as R

BUY = schema.Side.BUY.value
SELL = schema.Side.SELL.value
LIMIT = schema.OrderType.LIMIT.value
ALGO = schema.OrderType.ALGO.value
IOC = schema.TimeInForce.IOC.value
GTD = schema.TimeInForce.GTD.value
OPEN = schema.MarketState.OPEN.value
ON_LOST = schema.Flag.CANCEL_ON_LOST.value
HAS_COLD = schema.Flag.HAS_COLD.value
BY_CLIENT_ID = schema.Flag.TARGET_CLIENT_ID.value
E_ACCEPTED = schema.EventKind.ORDER_ACCEPTED.value
E_DETAILS = schema.EventKind.ORDER_DETAILS.value
E_SCHEDULED = schema.EventKind.ALGO_SCHEDULED.value
E_RELEASED = schema.EventKind.ORDER_RELEASED.value
E_SUSPENDED = schema.EventKind.ORDER_SUSPENDED.value
QTY_WORD = schema.word_of(schema.EVENT, "qty_lots")
R_FUNDS = schema.CancelReason.FUNDS.value
STATE_SHIFT = schema.shift_of(schema.COMMAND, "state")
VOLUME_MASK = schema.AMOUNT_MAX - 1  # volumes count modulo AMOUNT_MAX
UNITS = schema.TRIGGER_UNITS
UNITS_PER_ORDER = schema.WORK_UNITS_PER_ORDER


# Entering -------------------------------------------------------------------------------------------------------------


@kernel
def _check_form(c: Any, at: int) -> int:
    """Return the first reject code that needs no look at the venue, or 0."""
    kinds = load(c, at + output.C_KINDS)
    side = (kinds >> 8) & 0xFF
    if side != BUY and side != SELL:
        return R.SIDE_INVALID.value
    if (kinds >> 16) & 0xFF != ALGO:
        return R.ORDER_TYPE_UNSUPPORTED.value
    if (kinds >> 24) & 0xFF != GTD:
        return R.TIME_IN_FORCE_UNSUPPORTED.value
    if (kinds >> 32) & 0xFF > entry.SELF_TRADE_LAST:
        return R.SELF_TRADE_INVALID.value
    if (kinds >> 40) & 0xFF & ~(HAS_COLD | ON_LOST) != 0 or (kinds >> 48) & 0xFFFF != 0:
        return R.FLAGS_INVALID.value
    unused = load(c, at + output.C_AMOUNT) | load(c, at + entry.C_TRIGGER) | load(c, at + entry.C_DISPLAY)
    unused |= load(c, at + output.C_TARGET_LO) | load(c, at + output.C_TARGET_HI)
    return R.FLAGS_INVALID.value if unused != 0 else 0


@inlined
def _start_ns(m: Any) -> int:
    """Return when the staged schedule begins, never 0: no timer is due then."""
    start_ns = load(m, algos.STAGED_START_NS)
    return start_ns if start_ns != 0 else max(load(m, lay.HEADER + lay.H_TIME_NS), 1)


@kernel
def _check(m: Any, c: Any, at: int) -> int:
    """Return the first reject code that needs no look at money or client ids, or 0."""
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
    code = admit.check_market(m, c, at, instrument_at)
    start_ns = _start_ns(m)
    price = load(c, at + output.C_PRICE)
    qty = load(c, at + output.C_QTY)
    if code == 0 and (start_ns < load(m, lay.HEADER + lay.H_TIME_NS) or load(m, algos.STAGED_END_NS) <= start_ns):
        code = R.EXPIRE_INVALID.value
    if code == 0:
        code = admit.check_free_price(m, instrument_at, price)
    if code == 0:
        code = entry.check_qty(m, instrument_at, qty, 0)
    if code == 0 and not algos.is_schedule(m, start_ns, qty):
        code = R.SCHEDULE_INVALID.value
    if code == 0:
        code = entry.check_notional(m, instrument_at, price * qty * load(m, instrument_at + lay.I_TICK_LOT_UNITS))
    return code


@far
def enter(m: Any, c: Any, at: int) -> int:
    """Enter the order of a row with the staged schedule; return the reject code or 0."""
    code = _check(m, c, at)
    if code != 0:
        return code
    kinds = load(c, at + output.C_KINDS)
    owner = load(c, at + output.C_OWNER)
    side = (kinds >> 8) & 0xFF
    account_id = high(owner)
    instrument_at = lay.instrument(low(owner))
    price = load(c, at + output.C_PRICE)
    qty = load(c, at + output.C_QTY)
    client_lo = load(c, at + output.C_CLIENT_LO)
    client_hi = load(c, at + output.C_CLIENT_HI)
    rates = linked.rates_of(m, instrument_at, account_id)
    held = ledger.order_hold(m, instrument_at, side, price, qty, ledger.hold_ppm(rates))
    asset_id = load(m, instrument_at + (lay.I_QUOTE if side == BUY else lay.I_BASE))
    balance_slot = index.find_balance(m, pair(account_id, asset_id))
    if (client_lo != 0 or client_hi != 0) and index.was_used(m, account_id, client_lo, client_hi):
        return R.CLIENT_ID_DUPLICATE.value
    if ledger.available(m, balance_slot) < held:
        return R.FUNDS_INSUFFICIENT.value
    if linked.full(m, 1) or algos.full(m):
        return R.ORDERS_FULL.value
    terms = entry.terms_of(m, kinds)
    slot = entry.record(m, pair(account_id, low(owner)), terms, price, qty, rates, balance_slot, client_lo, client_hi)
    ledger.hold(m, balance_slot, held)
    order_at = lay.order(slot)
    store(m, order_at + lay.O_LIST, 0)
    orders.link(m, slot)
    extra_at = extras.attach(m, slot)
    store(m, extra_at + lay.X_HOLD_PRICE, price)
    store(m, extra_at + lay.X_EXPIRE_NS, load(m, algos.STAGED_END_NS))
    start_ns = _start_ns(m)
    number = algos.attach(m, slot, start_ns)
    event = output.begin(m, E_SCHEDULED | side << 8, low(owner), account_id, 0, load(m, order_at + lay.O_ID))
    output.finish(m, event, 0, 0, 0, 0, 0, 0)
    linked.accepted(m, E_ACCEPTED, order_at, 0, held)
    linked.details(m, order_at, 0)
    advanced.set_timer(m, slot, load(m, order_at + lay.O_ID))
    store(m, lay.algo(number) + lay.Q_TIMER, timers.arm(m, timers.M_RELEASE, slot, start_ns))
    triggers.settle_watched(m, low(owner))
    return 0


# Releasing ------------------------------------------------------------------------------------------------------------


@kernel
def _due(m: Any, order_at: int, number: int) -> int:
    """Return the lots that are due and not filled yet, within the cap, in whole lot steps; none is below 1."""
    at = lay.algo(number)
    instrument_at = lay.instrument(high(load(m, order_at + lay.O_OWNER)))
    filled = load(m, order_at + lay.O_QTY) - load(m, order_at + lay.O_LEAVES)
    due = load(m, at + lay.Q_DUE) - filled
    ppm = load(m, at + lay.Q_PPM)
    if ppm != 0:
        volume = (load(m, instrument_at + lay.I_VOLUME) - load(m, at + lay.Q_VOLUME)) & VOLUME_MASK
        due = min(due, ledger.fee(volume, ppm) - filled)
    return due - due % load(m, instrument_at + lay.I_LOT_STEP) if due > 0 else 0


@kernel
def _limit(m: Any, instrument_at: int, side: int, price: int) -> int:
    """Return the limit of a child: its parent's, within the collar, on a tick step."""
    upper = load(m, instrument_at + lay.I_COLLAR_HIGH)
    step = load(m, instrument_at + lay.I_TICK_STEP)
    if side == BUY:
        limit = min(price, upper) if upper != 0 else price
        return limit - limit % step
    limit = max(price, load(m, instrument_at + lay.I_COLLAR_LOW)) if upper != 0 else price
    return (limit + step - 1) // step * step


@kernel
def _child(m: Any, parent_at: int, limit: int, qty: int) -> int:
    """Return the slot of a child, which is live with its hold, in no book; both events are written."""
    owner = load(m, parent_at + lay.O_OWNER)
    instrument_at = lay.instrument(high(owner))
    terms = load(m, parent_at + lay.O_TERMS)
    side = terms & 0xFF
    rates = load(m, parent_at + lay.O_RATES)
    balance_slot = low(load(m, parent_at + lay.O_BALANCES))
    kept = terms & (lay.SESSION_MASK << lay.SESSION_SHIFT | ON_LOST << 32 | 0xFF << 24)
    child_terms = side | LIMIT << 8 | IOC << 16 | kept
    slot = entry.record(m, owner, child_terms, limit, qty, rates, balance_slot, 0, 0)
    held = ledger.order_hold(m, instrument_at, side, limit, qty, ledger.hold_ppm(rates))
    ledger.hold(m, balance_slot, held)
    child_at = lay.order(slot)
    linked.accepted(m, E_ACCEPTED, child_at, 0, held)
    kinds = E_DETAILS | (side | LIMIT << 8 | IOC << 16) << 8
    event = output.begin(m, kinds, high(owner), low(owner), 0, load(m, child_at + lay.O_ID))
    output.finish(m, event, 0, 0, 0, 0, load(m, parent_at + lay.O_ID), 0)
    return slot


@kernel
def _change_leaves(m: Any, order_at: int, qty: int) -> bool:
    """Let a parent's leaves rise (fall) by a quantity, and its hold follow; return whether available covers that."""
    leaves = load(m, order_at + lay.O_LEAVES)
    instrument_at = lay.instrument(high(load(m, order_at + lay.O_OWNER)))
    terms = load(m, order_at + lay.O_TERMS)
    ppm = ledger.hold_ppm(load(m, order_at + lay.O_RATES))
    price = load(m, order_at + lay.O_PRICE)
    balance_slot = low(load(m, order_at + lay.O_BALANCES))
    before = ledger.order_hold(m, instrument_at, terms & 0xFF, price, leaves, ppm)
    more = ledger.order_hold(m, instrument_at, terms & 0xFF, price, leaves + qty, ppm) - before
    if ledger.available(m, balance_slot) < more:
        return False
    touch(m, order_at)
    store(m, order_at + lay.O_LEAVES, leaves + qty)
    ledger.hold(m, balance_slot, more)
    return True


@kernel
def _release(m: Any, slot: int, limit: int, qty: int) -> int:
    """Release a child of so many lots, which lives now alone; return how many resting orders it met."""
    order_at = lay.order(slot)
    _change_leaves(m, order_at, -qty)
    child = _child(m, order_at, limit, qty)
    entry.aggress_far(m, child, limit, limit, 0, 0)
    met = load(m, lay.S_MET)
    child_at = lay.order(child)  # it is gone, but not what stood there
    filled = load(m, child_at + lay.O_QTY) - load(m, child_at + lay.O_LEAVES)
    if not _change_leaves(m, order_at, qty - filled):
        ending.cancel(m, slot, R_FUNDS)
        return met
    leaves = load(m, order_at + lay.O_LEAVES)
    output.order_event(m, E_RELEASED, 0, order_at, leaves, linked.hold_of(m, order_at))
    store(m, lay.EVENTS + (load(m, lay.S_EVENTS) - 1) * lay.EVENT_WORDS + QTY_WORD, qty)
    if leaves == 0:
        ending.end(m, slot)
    return met


@far
def fire(m: Any, slot: int) -> int:
    """Do what a parent's release timer, which was just taken out, is for; return the units beside the timer's."""
    order_at = lay.order(slot)
    number = algos.of(m, order_at)
    at = lay.algo(number)
    owner = load(m, order_at + lay.O_OWNER)
    instrument_at = lay.instrument(high(owner))
    if load(m, at + lay.Q_BEGUN) == 0:
        store(m, at + lay.Q_BEGUN, 1)
        store(m, at + lay.Q_VOLUME, load(m, instrument_at + lay.I_VOLUME))
    next_ns = algos.advance(m, number, load(m, lay.HEADER + lay.H_TIME_NS))
    store(m, at + lay.Q_TIMER, timers.arm(m, timers.M_RELEASE, slot, next_ns) if next_ns != 0 else 0)
    qty = _due(m, order_at, number)
    if qty < 1 or load(m, at + lay.Q_SUSPENDED) != 0 or load(m, instrument_at + lay.I_STATE) != OPEN:
        return 0
    limit = _limit(m, instrument_at, load(m, order_at + lay.O_TERMS) & 0xFF, load(m, order_at + lay.O_PRICE))
    if entry.check_active(m, low(owner)) != 0 or limit < 1 or linked.full(m, 1):
        return 0
    met = _release(m, slot, limit, qty)
    triggers.settle(m, high(owner))
    return UNITS + UNITS_PER_ORDER * met


# Suspending -----------------------------------------------------------------------------------------------------------


@far
def suspend(m: Any, c: Any, at: int) -> None:
    """Suspend a scheduled order or let it go on, or reject the command."""
    kinds = load(c, at + output.C_KINDS)
    flags = (kinds >> 40) & 0xFF
    state = (kinds >> STATE_SHIFT) & 0xFF
    account_id = high(load(c, at + output.C_OWNER))
    target_lo = load(c, at + output.C_TARGET_LO)
    slot = 0
    code = entry.check_account(m, account_id)
    if code == 0:
        slot = orders.find(m, account_id, target_lo, load(c, at + output.C_TARGET_HI), flags & BY_CLIENT_ID)
        if slot == 0:
            code = R.ORDER_UNKNOWN.value
        elif (load(m, lay.order(slot) + lay.O_TERMS) >> 8) & 0xFF != ALGO:
            code = R.ORDER_TYPE_UNSUPPORTED.value
        elif flags & ~(BY_CLIENT_ID | HAS_COLD) != 0:
            code = R.FLAGS_INVALID.value
        elif state > 1 or state == load(m, lay.algo(algos.of(m, lay.order(slot))) + lay.Q_SUSPENDED):
            code = R.STATE_UNCHANGED.value
    if code != 0:
        output.reject(m, c, at, code)
        return
    order_at = lay.order(slot)
    store(m, lay.algo(algos.of(m, order_at)) + lay.Q_SUSPENDED, state)
    leaves = load(m, order_at + lay.O_LEAVES)
    output.order_event(m, E_SUSPENDED, state, order_at, leaves, linked.hold_of(m, order_at))
