"""Market states and what they set off: trading schedules, call auctions and their uncross, orders ending with a phase.

A change to a new state is made in `enter`, whoever wants it. What may take long is left to steps: an instrument with
some is in the list of busy ones, and each command does a few.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import auction, breaker, busy, ending, extras, ladder, linked, output, timers, triggers, watching
from kk99.core import layout as lay
from kk99.core.memory import entry as compiled
from kk99.core.memory import far, high, inlined, kernel, load, low, pair, store

PRE_OPEN = schema.MarketState.PRE_OPEN.value
OPEN = schema.MarketState.OPEN.value
CANCEL_ONLY = schema.MarketState.CANCEL_ONLY.value
HALTED = schema.MarketState.HALTED.value
CLOSED = schema.MarketState.CLOSED.value
CALL = schema.MarketState.CALL.value
UNCROSSING = schema.MarketState.UNCROSSING.value
OPENING = schema.CallPurpose.OPENING.value
CLOSING = schema.CallPurpose.CLOSING.value
RECOVERY = schema.CallPurpose.RECOVERY.value
BY_OPERATOR = output.BY_OPERATOR
BY_SCHEDULE = schema.StateReason.SCHEDULE.value
BY_UNCROSS = schema.StateReason.UNCROSSED.value
BY_GROUP = schema.StateReason.MARKET_WIDE.value
R_EXPIRED = schema.CancelReason.EXPIRED.value
E_INDICATIVE = schema.EventKind.AUCTION_INDICATIVE.value
E_UNCROSSED = schema.EventKind.AUCTION_UNCROSSED.value
E_TRIGGERED = schema.EventKind.ORDER_TRIGGERED.value
UNITS_PER_STEP = schema.WORK_UNITS_PER_ORDER
INDICATIVE_NS = schema.INDICATIVE_NS
DAY_ORDERS = 0  # the lists of timed orders
AT_OPEN_ORDERS = 1
AT_CLOSE_ORDERS = 2
LISTS = 3
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
WEEK_DAYS = 7
EPOCH_WEEKDAY = 3  # 1970 began on a Thursday; Monday is 0
PHASE_DAYS_SHIFT = 32  # a phase is the second of the day, its days, state and purpose
PHASE_STATE_SHIFT = 40
PHASE_PURPOSE_SHIFT = 48


# Changes of state -----------------------------------------------------------------------------------------------------


@far
def enter(m: Any, instrument_id: int, state: int, purpose: int, reason: int) -> None:
    """Put a market in a state, of a call its purpose, for a StateReason or BY_OPERATOR; by way of UNCROSSING if needed.

    It is in another state, and not UNCROSSING.
    """
    at = lay.instrument(instrument_id)
    if load(m, at + lay.I_BREAKER) != 0:
        breaker.leave(m, instrument_id, reason == BY_OPERATOR or reason == BY_SCHEDULE)
    uncrosses = state == OPEN and auction.crosses(m, instrument_id)
    if load(m, at + lay.I_STATE) == CALL:
        uncrosses = state == OPEN or state == CLOSED
        timers.disarm(m, load(m, at + lay.I_TIMERS + timers.M_INDICATIVE))
        store(m, at + lay.I_TIMERS + timers.M_INDICATIVE, 0)
        for word in range(3):
            store(m, at + lay.I_INDICATIVE + word, 0)
    if uncrosses:
        store(m, at + lay.I_WANTED, pair(state, purpose))
        output.market_state(m, instrument_id, UNCROSSING, 0, reason)
        store(m, at + lay.I_STATE, UNCROSSING)
        _uncross(m, instrument_id)
    else:
        output.market_state(m, instrument_id, state, purpose, reason)
        _arrive(m, instrument_id, state, purpose)


@kernel
def _uncross(m: Any, instrument_id: int) -> None:
    """Determine the price at which pairs trade, step by step from now on."""
    at = lay.instrument(instrument_id)
    price = auction.price_of(m, instrument_id)
    qty = load(m, lay.S_AUCTION_QTY)
    surplus = load(m, lay.S_AUCTION_SURPLUS)
    store(m, at + lay.I_AUCTION_PRICE, price)
    if price != 0 and load(m, at + lay.I_BREAKER) != 0:
        breaker.set_static(m, instrument_id, price)
    _auction_event(m, E_UNCROSSED, instrument_id, price, qty, surplus)
    busy.join(m, instrument_id)


@inlined
def _auction_event(m: Any, kind: int, instrument_id: int, price: int, qty: int, surplus: int) -> None:
    event = output.begin(m, kind, instrument_id, 0, 0, 0)
    output.finish(m, event, price, qty, surplus, 0, 0, 0)


@kernel
def _end_uncross(m: Any, instrument_id: int) -> None:
    """Take the wanted state."""
    at = lay.instrument(instrument_id)
    wanted = load(m, at + lay.I_WANTED)
    store(m, at + lay.I_WANTED, 0)
    store(m, at + lay.I_AUCTION_PRICE, 0)
    output.market_state(m, instrument_id, low(wanted), high(wanted), BY_UNCROSS)
    left = load(m, at + lay.I_CALL)
    if left == OPENING:
        _expire(m, at, AT_OPEN_ORDERS)
    elif left == CLOSING:
        _expire(m, at, AT_CLOSE_ORDERS)
    _arrive(m, instrument_id, low(wanted), high(wanted))


@inlined
def _expire(m: Any, at: int, which: int) -> None:
    """Let all timed orders that are now in a list expire."""
    store(m, at + lay.I_EXPIRING + which, high(load(m, at + lay.I_TIMED + which)))


@kernel
def _arrive(m: Any, instrument_id: int, state: int, purpose: int) -> None:
    """Set a state and set off what it brings."""
    at = lay.instrument(instrument_id)
    store(m, at + lay.I_STATE, state)
    store(m, at + lay.I_CALL, purpose)
    if state == CALL:
        due_ns = load(m, lay.HEADER + lay.H_TIME_NS) + INDICATIVE_NS
        slot = timers.arm(m, timers.M_INDICATIVE, instrument_id, due_ns)
        store(m, at + lay.I_TIMERS + timers.M_INDICATIVE, slot)
    elif state == OPEN:
        _expire(m, at, AT_OPEN_ORDERS)
    elif state == CLOSED:
        for which in range(LISTS):
            _expire(m, at, which)
    if has_work(m, at):
        busy.join(m, instrument_id)
    if state == OPEN:
        if load(m, at + lay.I_BREAKER) != 0:
            watching.begin(m, instrument_id)
        triggers.settle(m, instrument_id)


# Steps of busy instruments --------------------------------------------------------------------------------------------


@inlined
def _expiring_of(m: Any, at: int, which: int) -> int:
    """Return the oldest timed order of a list if it is due to expire, else 0."""
    return low(load(m, at + lay.I_TIMED + which)) if load(m, at + lay.I_EXPIRING + which) != 0 else 0


@kernel
def _expiring(m: Any, at: int) -> int:
    """Return the next order that is due to expire, 0: none."""
    slot = _expiring_of(m, at, DAY_ORDERS)
    if slot == 0:
        slot = _expiring_of(m, at, AT_OPEN_ORDERS)
    if slot == 0:
        slot = _expiring_of(m, at, AT_CLOSE_ORDERS)
    return slot


@inlined
def _joining(m: Any, at: int) -> int:
    """Return the next order that joins the book for the closing call, 0: none."""
    if load(m, at + lay.I_CALL) != CLOSING or load(m, at + lay.I_STATE) != CALL:
        return 0
    return load(m, at + lay.I_WAITING)


@kernel
def has_work(m: Any, instrument_at: int) -> bool:
    """Return whether `step` would do something."""
    if load(m, instrument_at + lay.I_STATE) == UNCROSSING:
        return True
    return _expiring(m, instrument_at) != 0 or _joining(m, instrument_at) != 0


@far
def step(m: Any, instrument_id: int) -> int:
    """Do one step of a busy instrument: a pair of the uncross or its end, an order that expires, one that joins.

    Return its units, -1 for one at no cost, 0 if there was none to do.
    """
    at = lay.instrument(instrument_id)
    if load(m, at + lay.I_STATE) == UNCROSSING:
        if auction.trade_pair(m, instrument_id, load(m, at + lay.I_AUCTION_PRICE)):
            return UNITS_PER_STEP
        if low(load(m, at + lay.I_WANTED)) == OPEN and auction.crosses(m, instrument_id):
            _uncross(m, instrument_id)
        else:
            _end_uncross(m, instrument_id)
        return -1
    slot = _expiring(m, at)
    if slot != 0:
        ending.cancel(m, slot, R_EXPIRED)
        triggers.settle(m, instrument_id)
        return UNITS_PER_STEP
    slot = _joining(m, at)
    if slot != 0:
        _join(m, instrument_id, slot)
        return UNITS_PER_STEP
    return 0


@inlined
def _join(m: Any, instrument_id: int, slot: int) -> None:
    """Let an order that waited for the closing call rest in the book."""
    order_at = lay.order(slot)
    side = load(m, order_at + lay.O_TERMS) & 0xFF
    extras.stop_waiting(m, slot)
    ladder.append_far(m, lay.book(instrument_id, side), side, slot, extras.resting_price(m, order_at))
    linked.accepted(m, E_TRIGGERED, order_at, 0, linked.hold_of(m, order_at))


# Timers ---------------------------------------------------------------------------------------------------------------


@far
def fire(m: Any, kind: int, instrument_id: int) -> None:
    """Do what an instrument's timer, which was just taken out, is for."""
    if kind == timers.M_PHASE:
        _transition(m, instrument_id)
    else:
        _indicate(m, instrument_id)


@kernel
def _indicate(m: Any, instrument_id: int) -> None:
    """Tell the price at which a call would trade now, if it is not the one told last; look again in a while."""
    at = lay.instrument(instrument_id)
    now_ns = load(m, lay.HEADER + lay.H_TIME_NS)
    due_ns = load(m, lay.timer(load(m, at + lay.I_TIMERS + timers.M_INDICATIVE)) + lay.M_DUE_NS)
    due_ns += ((now_ns - due_ns) // INDICATIVE_NS + 1) * INDICATIVE_NS
    store(m, at + lay.I_TIMERS + timers.M_INDICATIVE, timers.arm(m, timers.M_INDICATIVE, instrument_id, due_ns))
    price = auction.price_of(m, instrument_id)
    qty = load(m, lay.S_AUCTION_QTY)
    surplus = load(m, lay.S_AUCTION_SURPLUS)
    told_at = at + lay.I_INDICATIVE
    if load(m, told_at) != price or load(m, told_at + 1) != qty or load(m, told_at + 2) != surplus:
        store(m, told_at, price)
        store(m, told_at + 1, qty)
        store(m, told_at + 2, surplus)
        _auction_event(m, E_INDICATIVE, instrument_id, price, qty, surplus)


@kernel
def _transition(m: Any, instrument_id: int) -> None:
    """Take the phase that the trading schedule has now, unless the market's state keeps it out."""
    at = lay.instrument(instrument_id)
    number = load(m, at + lay.I_TRADING)
    now_ns = load(m, lay.HEADER + lay.H_TIME_NS)
    _arm_phase(m, instrument_id, number)
    phase = _phase_at(m, number, now_ns)
    state = (phase >> PHASE_STATE_SHIFT) & 0xFF
    purpose = phase >> PHASE_PURPOSE_SHIFT
    present = load(m, at + lay.I_STATE)
    has_breaker = load(m, at + lay.I_BREAKER) != 0
    if has_breaker and breaker.keeps_out(m, instrument_id, state, purpose):
        return
    if present == UNCROSSING:
        store(m, at + lay.I_WANTED, pair(state, purpose))
        return
    present_purpose = load(m, at + lay.I_CALL)
    if state == present and purpose == present_purpose:
        return
    is_kept = present == HALTED or present == CANCEL_ONLY or present_purpose == RECOVERY
    if state != CLOSED and is_kept:
        return
    if has_breaker and (state == OPEN or state == CALL) and breaker.is_held(m, instrument_id):
        breaker.hold(m, instrument_id, pair(state, purpose))
        enter(m, instrument_id, HALTED, 0, BY_GROUP)
    else:
        enter(m, instrument_id, state, purpose, BY_SCHEDULE)


@kernel
def _arm_phase(m: Any, instrument_id: int, number: int) -> None:
    """Set an instrument's timer at the first transition of a schedule after now."""
    now_ns = load(m, lay.HEADER + lay.H_TIME_NS)
    slot = timers.arm(m, timers.M_PHASE, instrument_id, _next_ns(m, number, now_ns))
    store(m, lay.instrument(instrument_id) + lay.I_TIMERS + timers.M_PHASE, slot)


@inlined
def _is_on(phase: int, day: int) -> bool:
    """Return whether a phase begins on a day, counted from 1970."""
    return (phase >> PHASE_DAYS_SHIFT >> (day + EPOCH_WEEKDAY) % WEEK_DAYS) & 1 != 0


@kernel
def _next_ns(m: Any, number: int, after_ns: int) -> int:
    """Return the time of a schedule's first transition after a time."""
    at = lay.trading(number)
    first_ns = after_ns + (WEEK_DAYS + 1) * DAY_NS
    for place in range(1, load(m, at) + 1):
        phase = load(m, at + place)
        for day in range(after_ns // DAY_NS, after_ns // DAY_NS + WEEK_DAYS + 1):
            begin_ns = day * DAY_NS + low(phase) * SECOND_NS
            if _is_on(phase, day) and begin_ns > after_ns:
                first_ns = min(first_ns, begin_ns)
    return first_ns


@kernel
def _phase_at(m: Any, number: int, now_ns: int) -> int:
    """Return the phase that a schedule is in at a time: the last that began, of equal times the later in the list."""
    at = lay.trading(number)
    found = 0
    last_ns = now_ns - (WEEK_DAYS + 1) * DAY_NS
    for place in range(1, load(m, at) + 1):
        phase = load(m, at + place)
        for day in range(now_ns // DAY_NS - WEEK_DAYS, now_ns // DAY_NS + 1):
            begin_ns = day * DAY_NS + low(phase) * SECOND_NS
            if _is_on(phase, day) and last_ns <= begin_ns <= now_ns:
                last_ns = begin_ns
                found = phase
    return found


@compiled
def give_schedule(m: Any, c: Any, instrument_id: int, number: int) -> int:
    """Give an instrument a trading schedule, 0 for none; nothing changes if it has it. Return the timer, 0: none."""
    at = lay.instrument(instrument_id)
    timer_at = at + lay.I_TIMERS + timers.M_PHASE
    if load(m, at + lay.I_TRADING) != number:
        store(m, at + lay.I_TRADING, number)
        timers.disarm(m, load(m, timer_at))
        store(m, timer_at, 0)
        if number != 0:
            _arm_phase(m, instrument_id, number)
    return load(m, timer_at)
