"""What time and operators do to markets: changes of state, transitions, expiry, and the steps that they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import CancelReason, EventKind, MarketState, StateReason, TimeInForce
from tests.naive import auction, states, watching
from tests.naive.clock import Wants, next_multiple_ns, next_transition_ns
from tests.naive.records import Place
from tests.naive.states import CLOSED, CLOSING_CALL, EXPIRING, OPEN, OPENING_CALL, UNCROSSING, State
from tests.naive.triggers import settle
from tests.naive.venue import Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.naive.records import Instrument, Order
    from tests.naive.venue import Venue

    Tell = Callable[[State], None]

# Changes of state -----------------------------------------------------------------------------------------------------


def ends_ns(venue: Venue, instrument: Instrument) -> int:
    """When the present state is expected to end, 0 if that is not known."""
    recovery = instrument.breaker.recovery if instrument.breaker else None
    timer = venue.timers.slots[recovery.timer if recovery else instrument.market.schedule_timer]
    return timer.due_time_ns if timer is not None and instrument.market.now != UNCROSSING else 0


def telling(venue: Venue, instrument: Instrument, reason: StateReason) -> Tell:
    """How the venue tells its own changes of a market."""

    def tell(now: State) -> None:
        venue.emit(
            EventKind.MARKET_STATE_CHANGED,
            instrument_id=instrument.number,
            state=now.state,
            call_purpose=now.call_purpose,
            state_reason=int(reason),
            expire_time_ns=ends_ns(venue, instrument),
        )

    return tell


def change(venue: Venue, instrument: Instrument, wanted: State, tell: Tell) -> None:
    """Put a market into a state, or into its uncross on the way there."""
    market = instrument.market
    if states.takes_uncross(market.now, wanted, crosses=auction.crosses(instrument)):
        market.wanted, market.left = wanted, market.now
        enter(venue, instrument, UNCROSSING, tell)
    else:
        enter(venue, instrument, wanted, tell)


def enter(venue: Venue, instrument: Instrument, now: State, tell: Tell) -> None:
    """Take a state, with all that follows from it."""
    market = instrument.market
    if market.now == OPEN:
        watching.stop(venue, instrument)
    venue.timers.drop(market.indicative_timer)
    market.indicative_timer = 0
    market.now = now
    tell(now)
    if now == UNCROSSING:
        set_price(venue, instrument)
    if now.state == MarketState.CALL:
        market.began_ns, market.told = venue.time_ns, states.Outcome()
        set_indicative(venue, instrument)
    if now == OPEN:
        expire_all(venue, instrument, TimeInForce.AT_OPEN)
    if now == CLOSED:
        expire_all(venue, instrument, *EXPIRING)
    if next_step(venue, instrument):
        venue.make_busy(instrument)
    if now == OPEN:
        watching.begin(venue, instrument)
        settle(venue, instrument)


def set_price(venue: Venue, instrument: Instrument) -> None:
    """Determine the price of an uncross."""
    outcome = auction.outcome_of(instrument)
    instrument.market.price_ticks = outcome.price_ticks
    if outcome.price_ticks:
        watching.set_reference(instrument, outcome.price_ticks)
    auction.tell(venue, EventKind.AUCTION_UNCROSSED, instrument, outcome)


def end_uncross(venue: Venue, instrument: Instrument) -> int:
    """No pair is left: the wanted state follows, and the orders that were for this auction expire.

    But a book that still crosses does not open: what crosses trades first, at a price of its own.
    """
    market = instrument.market
    if market.wanted == OPEN and auction.crosses(instrument):
        set_price(venue, instrument)
        return 0
    if market.left == OPENING_CALL:
        expire_all(venue, instrument, TimeInForce.AT_OPEN)
    if market.left == CLOSING_CALL:
        expire_all(venue, instrument, TimeInForce.AT_CLOSE)
    enter(venue, instrument, market.wanted, telling(venue, instrument, StateReason.UNCROSSED))
    return 0


# Timers ---------------------------------------------------------------------------------------------------------------


def set_transition(venue: Venue, instrument: Instrument) -> None:
    """Set the timer of an instrument's next transition, if it has a schedule, in place of what was set."""
    market, name = instrument.market, instrument.document["trading_schedule"]
    venue.timers.drop(market.schedule_timer)
    market.schedule_timer = 0
    if name:
        due_ns = next_transition_ns(venue.trading_schedules[name]["phases"], venue.time_ns)
        market.schedule_timer = venue.timers.set(due_ns, Wants.TRANSITION, instrument.number)


def set_indicative(venue: Venue, instrument: Instrument) -> None:
    """Set the timer of the next look at a call."""
    market = instrument.market
    due_ns = next_multiple_ns(market.began_ns, schema.INDICATIVE_NS, venue.time_ns)
    market.indicative_timer = venue.timers.set(due_ns, Wants.INDICATIVE, instrument.number)


def indicate(venue: Venue, instrument: Instrument) -> None:
    """Tell what a call would trade, if that has changed."""
    market = instrument.market
    market.indicative_timer = 0
    set_indicative(venue, instrument)
    outcome = auction.outcome_of(instrument)
    if outcome != market.told:
        market.told = outcome
        auction.tell(venue, EventKind.AUCTION_INDICATIVE, instrument, outcome)


# Expiry, joining, and the steps ---------------------------------------------------------------------------------------


def expire_all(venue: Venue, instrument: Instrument, *times_in_force: TimeInForce) -> None:
    """Let a market's orders of these times in force expire that were entered up to now."""
    for time_in_force in times_in_force:
        instrument.market.expire_through[time_in_force] = venue.last_serial


def first_to_expire(venue: Venue, instrument: Instrument) -> Order | None:
    """The order that is next to expire with its market: of each time in force the oldest first."""
    mine = [order for order in venue.live.values() if order.instrument_id == instrument.number]
    for time_in_force in EXPIRING:
        through = instrument.market.expire_through[time_in_force]
        for order in sorted(mine, key=lambda one: one.serial):
            if order.time_in_force == time_in_force and order.serial <= through:
                return order
    return None


def next_step(venue: Venue, instrument: Instrument) -> Step | None:
    """What a market has to do next, before its dormant orders; None if nothing."""
    origin_seq = instrument.busy_origin
    if instrument.market.now == UNCROSSING:
        if auction.next_pair(instrument) is None:
            return Step(lambda: end_uncross(venue, instrument), origin_seq)
        return Step(lambda: auction.trade_pair(venue, instrument), origin_seq)
    order = first_to_expire(venue, instrument)
    if order is not None:
        return Step(lambda: expire(venue, order), origin_seq)
    if instrument.market.now == CLOSING_CALL and instrument.waiting:
        oldest = min(instrument.waiting, key=lambda one: one.serial)
        return Step(lambda: join(venue, oldest), origin_seq)
    return None


def expire(venue: Venue, order: Order) -> int:
    """End an order whose time is over; return the units."""
    venue.cancel(order, CancelReason.EXPIRED)
    settle(venue, venue.instruments[order.instrument_id])
    return schema.WORK_UNITS_PER_ORDER


def join(venue: Venue, order: Order) -> int:
    """Let an order that waited for the closing call rest; return the units."""
    venue.put(order, Place.BOOK)
    venue.emit_order(EventKind.ORDER_TRIGGERED, order, order.flags)
    return schema.WORK_UNITS_PER_ORDER
