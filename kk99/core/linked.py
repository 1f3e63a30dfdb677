"""What a fill of a special order sets off: an iceberg shows again, a linked leg follows, exits are armed."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import ending, extras, index, ladder, ledger, orders, output, timers, triggers
from kk99.core import layout as lay
from kk99.core.copying import touch
from kk99.core.memory import add, far, high, inlined, kernel, load, low, pair, store
from kk99.schema import RejectCode as R

BUY = schema.Side.BUY.value
SELL = schema.Side.SELL.value
PPM = schema.PPM
LIMIT = schema.OrderType.LIMIT.value
MARKET = schema.OrderType.MARKET.value
STOP = schema.OrderType.STOP.value
STOP_LIMIT = schema.OrderType.STOP_LIMIT.value
BRACKET = schema.OrderType.BRACKET.value
DAY = schema.TimeInForce.DAY.value
GTC = schema.TimeInForce.GTC.value
GTD = schema.TimeInForce.GTD.value
ON_LOST = schema.Flag.CANCEL_ON_LOST.value
R_LINKED = schema.CancelReason.LINKED.value
E_ACCEPTED = schema.EventKind.ORDER_ACCEPTED.value
E_DETAILS = schema.EventKind.ORDER_DETAILS.value
UNCROSSING = schema.MarketState.UNCROSSING.value
E_REFRESHED = schema.EventKind.ORDER_REFRESHED.value
E_RESIZED = schema.EventKind.ORDER_RESIZED.value
E_EXITS_REFUSED = schema.EventKind.EXITS_REFUSED.value
ORDERS_BOUND = schema.ORDERS_MAX - 1  # slot 0 is none
# Room for what fills open, and for the balances of FEES, BURNED and CLEARING in every asset to come.
BALANCES_BOUND = schema.BALANCES_MAX - 8 * schema.FILLS_PER_COMMAND_MAX - 3 * schema.ASSETS_MAX
LEVELS_BOUND = schema.LEVELS_MAX
OBLIGATIONS_BOUND = schema.OBLIGATIONS_MAX - 8 * schema.FILLS_PER_COMMAND_MAX


@inlined
def full(m: Any, count: int) -> bool:
    """Return whether a named bound leaves no room for so many more orders and what they may trade."""
    return (
        load(m, lay.HEADER + lay.H_ORDERS) + count > ORDERS_BOUND
        or load(m, lay.S_LEVELS) + count > LEVELS_BOUND
        or load(m, lay.HEADER + lay.H_BALANCES) >= BALANCES_BOUND
        or load(m, lay.HEADER + lay.H_OBLIGATIONS) >= OBLIGATIONS_BOUND
    )


@inlined
def rates_of(m: Any, instrument_at: int, account_id: int) -> int:
    """Return the word with today's maker and taker (high) rates of an account."""
    tier = high(load(m, lay.account(account_id) + lay.C_STATE))
    return load(m, lay.schedule(load(m, instrument_at + lay.I_SCHEDULE)) + lay.F_TIERS + 2 * tier)


@inlined
def cap(m: Any, instrument_at: int, trigger: int) -> int:
    """Return the price at which what becomes a market buy holds: what the collar would allow above its trigger."""
    reach = trigger * load(m, instrument_at + lay.I_COLLAR_PPM) // PPM
    return min(trigger + reach, load(m, instrument_at + lay.I_MAX_PRICE))


# Events ---------------------------------------------------------------------------------------------------------------


@kernel
def accepted(m: Any, kind: int, order_at: int, more_flags: int, held: int) -> None:
    """Write ORDER_ACCEPTED, ORDER_REPLACED or ORDER_TRIGGERED from an order's record."""
    owner = load(m, order_at + lay.O_OWNER)
    terms = (load(m, order_at + lay.O_TERMS) & 0xFFFFFFFFFF) << 8
    at = output.begin(m, kind | terms | more_flags << 40, high(owner), low(owner), 0, load(m, order_at + lay.O_ID))
    leaves = load(m, order_at + lay.O_LEAVES)
    client_lo = load(m, order_at + lay.O_CLIENT_LO)
    client_hi = load(m, order_at + lay.O_CLIENT_HI)
    price = load(m, order_at + lay.O_PRICE)
    output.finish(m, at, price, load(m, order_at + lay.O_QTY), leaves, client_lo, client_hi, held)


@far
def details(m: Any, order_at: int, min_qty: int) -> None:
    """Write ORDER_DETAILS of a special order."""
    extra_at = extras.of(m, order_at)
    owner = load(m, order_at + lay.O_OWNER)
    terms = load(m, order_at + lay.O_TERMS)
    waits = extras.is_dormant(m, extra_at)
    is_bracket = (terms >> 8) & 0xFF == BRACKET
    trail = load(m, extra_at + lay.X_TRAIL) if waits else 0
    source = low(load(m, extra_at + lay.X_SOURCE)) if waits or is_bracket else 0
    kinds = E_DETAILS | (terms & 0xFFFFFF) << 8 | source << 32 | (trail >> lay.TRAIL_UNIT_SHIFT) << 40
    at = output.begin(m, kinds, high(owner), low(owner), 0, load(m, order_at + lay.O_ID))
    trail &= (1 << lay.TRAIL_UNIT_SHIFT) - 1
    display = trail if waits else load(m, extra_at + lay.X_DISPLAY)
    refill = 0
    if is_bracket:
        refill = load(m, extra_at + lay.X_LIMIT)
    elif not waits:
        refill = load(m, extra_at + lay.X_REFILL)
    trigger = load(m, extra_at + lay.X_TRIGGER)
    linked = load(m, extra_at + lay.X_LINKED)
    output.finish(m, at, trigger, display, refill, linked, load(m, extra_at + lay.X_PARENT), min_qty)
    store(m, at + 14, load(m, extra_at + lay.X_EXPIRE_NS))


@kernel
def resized(m: Any, order_at: int, held: int) -> None:
    """Write ORDER_RESIZED of an order that follows its link."""
    output.order_event(m, E_RESIZED, R_LINKED, order_at, load(m, order_at + lay.O_LEAVES), held)


# Fills ----------------------------------------------------------------------------------------------------------------


@kernel
def _to_the_back(m: Any, slot: int) -> None:
    """Move a resting order to the back of its price."""
    order_at = lay.order(slot)
    side = load(m, order_at + lay.O_TERMS) & 0xFF
    book_at = lay.book(high(load(m, order_at + lay.O_OWNER)), side)
    price = load(m, order_at + lay.O_PRICE)
    ladder.remove_far(m, book_at, side, slot)
    ladder.append_far(m, book_at, side, slot, price)


@far
def follow(m: Any, extra_at: int, leaves: int) -> None:
    """Give the order that a special one is linked to the latter's leaves, or cancel it at 0."""
    linked = load(m, extra_at + lay.X_LINKED)
    if linked == 0:
        return
    if leaves == 0:
        ending.cancel_linked(m, extra_at)
        store(m, extra_at + lay.X_LINKED, 0)
        return
    order_at = lay.order(linked & orders.SLOT_MASK)
    taken = load(m, order_at + lay.O_LEAVES) - leaves
    if taken != 0:
        touch(m, order_at)
        store(m, order_at + lay.O_LEAVES, leaves)
        add(m, order_at + lay.O_QTY, -taken)
        resized(m, order_at, hold_of(m, order_at))


@kernel
def hold_of(m: Any, order_at: int) -> int:
    """Return what a special order holds."""
    extra_at = extras.of(m, order_at)
    if extras.holds_nothing(m, extra_at):
        return 0
    instrument_at = lay.instrument(high(load(m, order_at + lay.O_OWNER)))
    side = load(m, order_at + lay.O_TERMS) & 0xFF
    ppm = ledger.hold_ppm(load(m, order_at + lay.O_RATES))
    price = load(m, extra_at + lay.X_HOLD_PRICE)
    return ledger.order_hold(m, instrument_at, side, price, load(m, order_at + lay.O_LEAVES), ppm)


# A bracket's exits ----------------------------------------------------------------------------------------------------


@inlined
def _is_live(m: Any, order_id: int) -> bool:
    return order_id != 0 and load(m, lay.order(order_id & orders.SLOT_MASK) + lay.O_ID) == order_id


@inlined
def _exit_hold_price(m: Any, instrument_at: int, extra_at: int) -> int:
    """Return the hold price of a bracket's exits."""
    limit = load(m, extra_at + lay.X_LIMIT)
    stop_price = limit if limit != 0 else cap(m, instrument_at, load(m, extra_at + lay.X_TRIGGER))
    return max(load(m, extra_at + lay.X_TAKE_PROFIT), stop_price)


@kernel
def _grow(m: Any, slot: int, qty: int, held: int) -> None:
    """Let an exit grow; a resting one goes to the back of its price."""
    order_at = lay.order(slot)
    touch(m, order_at)
    add(m, order_at + lay.O_QTY, qty)
    add(m, order_at + lay.O_LEAVES, qty)
    if extras.place_of(m, extras.of(m, order_at)) == lay.P_RESTING:
        _to_the_back(m, slot)
    resized(m, order_at, held)


@kernel
def new_order(m: Any, owner: int, terms: int, price: int, qty: int, rates: int, balance_slot: int) -> int:
    """Return the slot of a new order without a client id: live, in its account's list, special, in no book."""
    slot = orders.take_slot(m)
    order_at = lay.order(slot)
    store(m, order_at + lay.O_PRICE, price)
    store(m, order_at + lay.O_LEAVES, qty)
    store(m, order_at + lay.O_QUEUE, 0)
    store(m, order_at + lay.O_OWNER, owner)
    store(m, order_at + lay.O_TERMS, terms)
    store(m, order_at + lay.O_BALANCES, balance_slot)
    store(m, order_at + lay.O_RATES, rates)
    store(m, order_at + lay.O_CLIENT_LO, 0)
    store(m, order_at + lay.O_CLIENT_HI, 0)
    store(m, order_at + lay.O_QTY, qty)
    store(m, order_at + lay.O_NOTIONAL, 0)
    store(m, order_at + lay.O_ENTRY_SEQ, load(m, lay.HEADER + lay.H_SEQ))
    store(m, order_at + lay.O_LIST, 0)
    store(m, order_at + lay.O_LEVEL, 0)
    store(m, order_at + lay.O_HASH, 0)
    orders.link(m, slot)
    extras.attach(m, slot)
    return slot


@kernel
def place_stop(m: Any, slot: int, source: int, trigger: int, limit: int, hold_price: int) -> None:
    """Make a special order the dormant stop that becomes a limit order, or a market order without a limit."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    side = load(m, order_at + lay.O_TERMS) & 0xFF
    store(m, extra_at + lay.X_SOURCE, pair(source, LIMIT if limit != 0 else MARKET))
    store(m, extra_at + lay.X_TRIGGER, trigger)
    store(m, extra_at + lay.X_LIMIT, limit)
    store(m, extra_at + lay.X_HOLD_PRICE, hold_price)
    triggers.insert(m, slot, triggers.book_number(source, side, STOP), trigger)


@kernel
def tie(m: Any, target: int, stop: int) -> None:
    """Link a limit leg and its stop leg."""
    target_at = lay.order(target)
    stop_at = lay.order(stop)
    store(m, extras.of(m, target_at) + lay.X_LINKED, load(m, stop_at + lay.O_ID))
    store(m, extras.of(m, stop_at) + lay.X_LINKED, load(m, target_at + lay.O_ID))


@kernel
def set_expiry(m: Any, slot: int, force: int, expire_ns: int) -> None:
    """Let a special order end in time: with its day, or at its expiry."""
    if force == DAY:
        extras.timed_add(m, slot, 0)
    elif force == GTD:
        extra_at = extras.of(m, lay.order(slot))
        store(m, extra_at + lay.X_EXPIRE_NS, expire_ns)
        store(m, extra_at + lay.X_TIMER, timers.arm(m, timers.M_EXPIRY, slot, expire_ns))


@inlined
def _list_taker(m: Any, account_id: int) -> None:
    """Put an aggressor of the account that is matching now into the account's list: it entered before what follows."""
    slot = load(m, lay.S_TAKER)
    if slot == 0:
        return
    taker_at = lay.order(slot)
    if low(load(m, taker_at + lay.O_OWNER)) == account_id and load(m, taker_at + lay.O_LIST) == orders.NOT_LISTED:
        orders.link(m, slot)


@kernel
def _new_exits(m: Any, entry: int, qty: int, hold_price: int, rates: int, balance_slot: int, held: int) -> None:
    """Arm a new pair of exits, whose hold is taken."""
    entry_at = lay.order(entry)
    entry_extra = extras.of(m, entry_at)
    entry_terms = load(m, entry_at + lay.O_TERMS)
    owner = load(m, entry_at + lay.O_OWNER)
    entry_id = load(m, entry_at + lay.O_ID)
    force = (entry_terms >> 16) & 0xFF
    if force != DAY and force != GTD:
        force = GTC
    expire_ns = load(m, entry_extra + lay.X_EXPIRE_NS)
    side = 3 - (entry_terms & 0xFF)
    kept = entry_terms & (lay.SESSION_MASK << lay.SESSION_SHIFT | ON_LOST << 32 | 0xFF << 24)
    _list_taker(m, low(owner))
    limit = load(m, entry_extra + lay.X_LIMIT)
    price = load(m, entry_extra + lay.X_TAKE_PROFIT)
    stop_type = STOP_LIMIT if limit != 0 else STOP
    target = new_order(m, owner, side | LIMIT << 8 | force << 16 | kept, price, qty, rates, balance_slot)
    stop = new_order(m, owner, side | stop_type << 8 | force << 16 | kept, limit, qty, rates, balance_slot)
    target_at = lay.order(target)
    stop_at = lay.order(stop)
    target_extra = extras.of(m, target_at)
    store(m, target_extra + lay.X_HOLD_PRICE, hold_price)
    store(m, target_extra + lay.X_PARENT, entry_id)
    store(m, extras.of(m, stop_at) + lay.X_PARENT, entry_id)
    trigger = load(m, entry_extra + lay.X_TRIGGER)
    instrument_at = lay.instrument(high(owner))
    stop_hold = limit if limit != 0 else cap(m, instrument_at, trigger)
    place_stop(m, stop, low(load(m, entry_extra + lay.X_SOURCE)), trigger, limit, stop_hold)
    tie(m, target, stop)
    store(m, entry_extra + lay.X_EXIT, load(m, target_at + lay.O_ID))
    store(m, entry_extra + lay.X_EXIT_STOP, load(m, stop_at + lay.O_ID))
    set_expiry(m, target, force, expire_ns)
    set_expiry(m, stop, force, expire_ns)
    accepted(m, E_ACCEPTED, target_at, 0, held)
    details(m, target_at, 0)
    accepted(m, E_ACCEPTED, stop_at, 0, 0)
    details(m, stop_at, 0)
    _rest_target(m, target, side, price)


@kernel
def _rest_target(m: Any, slot: int, side: int, price: int) -> None:
    """Let a take-profit leg rest, or wait to enter when it would cross the book."""
    instrument_id = high(load(m, lay.order(slot) + lay.O_OWNER))
    opposite_at = lay.book(instrument_id, 3 - side)
    best = load(m, opposite_at + lay.L_BEST_PRICE)
    crosses = load(m, opposite_at + lay.L_BEST) != 0 and (price >= best if side == BUY else price <= best)
    if crosses:
        extra_at = extras.of(m, lay.order(slot))
        store(m, extra_at + lay.X_SOURCE, pair(0, LIMIT))
        triggers.insert(m, slot, lay.ENTERING, triggers.ENTERING_PRICE)
    else:
        ladder.append_far(m, lay.book(instrument_id, side), side, slot, price)


@far
def arm_exits(m: Any, entry: int, qty: int) -> None:
    """Arm a bracket's exits for what its entry filled, or let those that live grow by it."""
    entry_at = lay.order(entry)
    extra_at = extras.of(m, entry_at)
    target_id = load(m, extra_at + lay.X_EXIT)
    stop_id = load(m, extra_at + lay.X_EXIT_STOP)
    grows = _is_live(m, target_id) and _is_live(m, stop_id)
    if grows:
        target_extra = extras.of(m, lay.order(target_id & orders.SLOT_MASK))
        grows = load(m, target_extra + lay.X_LINKED) == stop_id
    owner = load(m, entry_at + lay.O_OWNER)
    instrument_at = lay.instrument(high(owner))
    side = 3 - (load(m, entry_at + lay.O_TERMS) & 0xFF)
    held = 0
    if grows:
        target_at = lay.order(target_id & orders.SLOT_MASK)
        rates = load(m, target_at + lay.O_RATES)
        leaves = load(m, target_at + lay.O_LEAVES) + qty
        held = hold_of(m, target_at)
        price = extras.hold_price(m, target_at)
    else:
        rates = rates_of(m, instrument_at, low(owner))
        leaves = qty
        price = _exit_hold_price(m, instrument_at, extra_at)
    wanted = ledger.order_hold(m, instrument_at, side, price, leaves, ledger.hold_ppm(rates))
    asset_id = load(m, instrument_at + (lay.I_QUOTE if side == BUY else lay.I_BASE))
    balance_slot = index.find_balance(m, pair(low(owner), asset_id))
    code = 0
    if ledger.available(m, balance_slot) < wanted - held:
        code = R.FUNDS_INSUFFICIENT.value
    elif not grows and full(m, 2):
        code = R.ORDERS_FULL.value
    if code != 0:
        kinds = E_EXITS_REFUSED | side << 8 | code << output.REASON_SHIFT
        event = output.begin(m, kinds, high(owner), low(owner), 0, load(m, entry_at + lay.O_ID))
        output.finish(m, event, 0, qty, 0, 0, 0, wanted - held)
        return
    ledger.hold(m, balance_slot, wanted - held)
    if grows:
        _grow(m, target_id & orders.SLOT_MASK, qty, wanted)
        _grow(m, stop_id & orders.SLOT_MASK, qty, 0)
    else:
        _new_exits(m, entry, qty, price, rates, balance_slot, wanted)


# What a fill of a resting order sets off ------------------------------------------------------------------------------


@inlined
def _refreshed(m: Any, order_at: int, shown: int) -> None:
    """Write ORDER_REFRESHED."""
    output.order_event(m, E_REFRESHED, 0, order_at, load(m, order_at + lay.O_LEAVES), 0)
    store(m, lay.EVENTS + (load(m, lay.S_EVENTS) - 1) * lay.EVENT_WORDS + 9, shown)


@far
def shrunk(m: Any, slot: int, qty: int) -> None:
    """Let an iceberg show again, and a linked leg follow, when quantity was taken off a special resting order."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    leaves = load(m, order_at + lay.O_LEAVES)
    display = load(m, extra_at + lay.X_DISPLAY)
    if display != 0 and load(m, lay.instrument(high(load(m, order_at + lay.O_OWNER))) + lay.I_STATE) == UNCROSSING:
        store(m, extra_at + lay.X_SHOWN, min(load(m, extra_at + lay.X_SHOWN), leaves))  # all of it was open
    elif display != 0:
        shown = load(m, extra_at + lay.X_SHOWN) - qty
        store(m, extra_at + lay.X_SHOWN, shown)
        if shown <= 0 and leaves > 0:
            refill = load(m, extra_at + lay.X_REFILL)
            shown = min(refill if refill != 0 else display, leaves)
            store(m, extra_at + lay.X_SHOWN, shown)
            _to_the_back(m, slot)
            _refreshed(m, order_at, shown)
    follow(m, extra_at, leaves)


@far
def filled(m: Any, slot: int, qty: int) -> None:
    """Do what follows from a fill of a special resting order, which may have no leaves now."""
    shrunk(m, slot, qty)
    if (load(m, lay.order(slot) + lay.O_TERMS) >> 8) & 0xFF == BRACKET:
        arm_exits(m, slot, qty)
