"""What must hold between two commands: money is conserved, holds follow the formula, orders are where they belong."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from kk99.schema import MarketState, OrderType, Side, TimeInForce, TrailUnit, TriggerSource
from tests.naive.clock import Timer, Wants
from tests.naive.linked import are_apart, is_bracket_right
from tests.naive.markets import next_step
from tests.naive.records import MARKET_ONCE_TRIGGERED, Place
from tests.naive.settling import check_obligations
from tests.naive.triggers import passes, prices_of, reach_of, trailing, would_follow
from tests.naive.watching import present_spread

if TYPE_CHECKING:
    from tests.naive.records import Instrument, Key, Order
    from tests.naive.releasing import Schedule
    from tests.naive.venue import Venue


def check(venue: Venue) -> None:
    """Assert it all."""
    check_money(venue)
    check_obligations(venue)
    check_lists(venue)
    for order in venue.live.values():
        check_order(venue, order)
    for instrument in venue.instruments.values():
        check_book(instrument)
        check_market(venue, instrument)
        check_triggers(venue, instrument)
    check_timers(venue)


def check_money(venue: Venue) -> None:
    """Per asset all balances are what came in less what went out, and per balance the holds are those of the orders."""
    totals: defaultdict[int, int] = defaultdict(int)
    for balances in (venue.available, venue.held):
        for (_, asset), amount in balances.items():
            assert amount >= 0
            totals[asset] += amount
    for one in venue.assets.values():
        assert totals[one.number] == one.deposited_units - one.withdrawn_units, f"asset {one.number} not conserved"
    holds: defaultdict[Key, int] = defaultdict(int)
    for order in venue.live.values():
        instrument = venue.instruments[order.instrument_id]
        holds[order.account_id, order.hold_asset(instrument)] += order.hold_units
    held = {key: amount for key, amount in venue.held.items() if amount}
    assert {key: amount for key, amount in holds.items() if amount} == held


def check_lists(venue: Venue) -> None:
    """Every live order is in exactly one place, and known by its slot, account and client id."""
    resting = {order.order_id for one in venue.instruments.values() for order in walk_book(one)}
    places: dict[Place, list[int]] = {Place.BOOK: sorted(resting)}
    outside = (Place.DORMANT, "dormant"), (Place.ENTERING, "entering"), (Place.WAITING, "waiting")
    for place, name in (*outside, (Place.SCHEDULED, "scheduled")):
        places[place] = sorted(order.order_id for one in venue.instruments.values() for order in getattr(one, name))
    for place, order_ids in places.items():
        assert order_ids == sorted(order.order_id for order in venue.live.values() if order.place == place)
    assert sum(len(order_ids) for order_ids in places.values()) == len(venue.live)
    assert {order.order_id for order in venue.slots if order} == set(venue.live)
    assert sorted(order.order_id for one in venue.accounts.values() for order in one.orders) == sorted(venue.live)
    for account in venue.accounts.values():
        serials = [order.serial for order in account.orders]
        assert serials == sorted(set(serials))
    with_id = {(order.account_id, order.client_id) for order in venue.live.values() if order.client_id != (0, 0)}
    assert with_id == set(venue.by_client_id)


def walk_book(instrument: Instrument) -> list[Order]:
    """All orders at rest."""
    return [order for side in (Side.BUY, Side.SELL) for order in instrument.book.walk(side)]


def check_order(venue: Venue, order: Order) -> None:
    """An order's quantities, its hold, and what it is linked to."""
    instrument = venue.instruments[order.instrument_id]
    assert 0 < order.leaves_lots <= order.qty_lots
    assert order.hold_units == order.hold(instrument)
    assert (order.place == Place.DORMANT) == order.is_dormant
    assert (order.place == Place.ENTERING) <= (order.linked is not None)
    assert order.min_qty_lots == 0
    assert order.time_in_force not in {TimeInForce.IOC, TimeInForce.FOK}
    assert (order.expire_time_ns != 0) == (order.time_in_force == TimeInForce.GTD)
    if order.display_qty_lots and order.place == Place.BOOK:
        largest = max(order.display_qty_lots, order.refill_qty_lots)
        assert 0 < order.shown_lots <= min(order.leaves_lots, largest)
    if order.linked is not None:
        check_link(venue, order, order.linked)
    elif not order.is_dormant:
        assert order.hold_price_ticks == order.limit_ticks
    elif order.order_type in {OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED}:
        assert order.hold_price_ticks == order.price_ticks
    elif not order.is_trailing and order.side == Side.BUY:
        assert order.hold_price_ticks >= order.trigger_price_ticks
    assert (order.order_type == OrderType.ALGO) == (order.schedule is not None) == (order.place == Place.SCHEDULED)
    if order.schedule is not None:
        check_schedule(order, order.schedule)
    if order.order_type == OrderType.BRACKET:
        prices = order.price_ticks, order.trigger_price_ticks, order.take_profit_price_ticks
        assert is_bracket_right(order.side, *prices)


def check_schedule(order: Order, schedule: Schedule) -> None:
    """A parent's slices are its quantity, it holds for all that is left, and it begins with its first firing."""
    assert sum(lots for _, lots in schedule.slices) == order.qty_lots
    assert order.expire_time_ns == schedule.end_time_ns
    assert order.parent_order_id == 0
    assert order.notional_units == 0
    assert schedule.has_begun or order.leaves_lots == order.qty_lots
    assert schedule.timer or schedule.has_begun


def check_link(venue: Venue, order: Order, other: Order) -> None:
    """An OCO's legs are of one sort and size; the limit leg alone holds, for the dearer of both."""
    assert other.linked is order
    assert venue.live[other.order_id] is other
    assert order.is_dormant != other.is_dormant
    for name in ("account_id", "instrument_id", "side", "leaves_lots", "time_in_force", "maker_ppm", "taker_ppm"):
        assert getattr(order, name) == getattr(other, name)
    if order.is_dormant:
        assert order.hold_units == 0
        assert order.qty_lots == order.leaves_lots
        if order.order_type in MARKET_ONCE_TRIGGERED:
            assert order.price_ticks == 0
    else:
        assert order.hold_price_ticks == max(order.price_ticks, other.hold_price_ticks)
        assert are_apart(order.side, order.price_ticks, other.trigger_price_ticks)


def check_book(instrument: Instrument) -> None:
    """Levels are in order, and do not cross while the market trades."""
    book = instrument.book
    for side in (Side.BUY, Side.SELL):
        assert book.prices[side] == sorted(book.levels[side])
        assert all(order.side == side for order in book.walk(side))
    best = book.best_price(Side.BUY)
    if instrument.is_open and best is not None:
        assert not book.is_crossed_by(Side.BUY, best)


def check_market(venue: Venue, instrument: Instrument) -> None:
    """What a market has to do is not forgotten, and orders wait only for a closing call."""
    if next_step(venue, instrument) is not None:
        assert instrument in venue.busy
    for order in instrument.waiting:
        assert order.time_in_force == TimeInForce.AT_CLOSE


def check_timers(venue: Venue) -> None:
    """Each order with a date, schedule and call has its timer, at its time, and there are no others."""
    wanted = {}
    for order in venue.live.values():
        if order.time_in_force == TimeInForce.GTD:
            wanted[order.timer] = Timer(order.expire_time_ns, Wants.EXPIRY, order.order_id)
        else:
            assert order.timer == 0
        if order.schedule is not None and order.schedule.timer:
            wanted[order.schedule.timer] = release_timer(venue, order, order.schedule)
    for instrument in venue.instruments.values():
        market = instrument.market
        for number, wants in (
            (market.schedule_timer, Wants.TRANSITION),
            (market.indicative_timer, Wants.INDICATIVE),
        ):
            if number:
                timer = venue.timers.slots[number]
                assert timer is not None
                wanted[number] = Timer(timer.due_time_ns, wants, instrument.number)
        wanted |= breaker_timers(venue, instrument)
        assert (market.schedule_timer != 0) == (instrument.document["trading_schedule"] != "")
        assert (market.indicative_timer != 0) == (market.now.state == MarketState.CALL)
    assert wanted == {number: timer for number, timer in enumerate(venue.timers.slots) if timer is not None}


def release_timer(venue: Venue, order: Order, schedule: Schedule) -> Timer:
    """The release timer of a parent, which is due at its start or, after that, at one of its slices."""
    timer = venue.timers.slots[schedule.timer]
    assert timer is not None
    times = {schedule.start_time_ns + offset_ns for offset_ns, _ in schedule.slices}
    assert timer.due_time_ns in (times if schedule.has_begun else {schedule.start_time_ns})
    return Timer(timer.due_time_ns, Wants.RELEASE, order.order_id)


def breaker_timers(venue: Venue, instrument: Instrument) -> dict[int, Timer]:
    """The timers that are set for an instrument's breaker, which are those that it is to have."""
    breaker = instrument.breaker
    if breaker is None:
        return {}
    document, recovery = breaker.document, breaker.recovery
    is_on = breaker.is_watching
    assert is_on == instrument.is_open
    assert not (is_on and recovery)
    assert (breaker.stress_timer != 0) == (is_on and document["stress_s"] != 0)
    assert (breaker.correlation_timer != 0) == (is_on and document["correlation_with"] != "")
    assert breaker.silence_timer == 0 or (is_on and document["index_silence_s"])
    is_wide = is_on and 0 < document["spread_ppm"] < (present_spread(instrument) or 0)
    assert (breaker.spread_timer != 0) == is_wide
    numbers = {
        breaker.spread_timer: Wants.SPREAD,
        breaker.silence_timer: Wants.SILENCE,
        breaker.stress_timer: Wants.STRESS,
        breaker.correlation_timer: Wants.CORRELATION,
        recovery.timer if recovery else 0: Wants.RECOVERY,
    }
    found = {}
    for number, wants in numbers.items():
        timer = venue.timers.slots[number]
        if timer is not None:
            found[number] = Timer(timer.due_time_ns, wants, instrument.number)
    assert recovery is None or recovery.timer in found
    return found


def check_triggers(venue: Venue, instrument: Instrument) -> None:
    """Nothing that passes or would follow is overlooked while the market trades, and trailing triggers are right."""
    is_busy = instrument in venue.busy
    assert venue.busy.count(instrument) <= 1
    if not is_busy:
        assert instrument.reach is None
        assert instrument.walk is None
        assert instrument.targets == {}
    if instrument.is_open:
        assert instrument.path == []
        assert is_busy or not instrument.entering
        present = reach_of(prices_of(instrument))
        for order in instrument.dormant:
            missed = passes(order, present) or (order.is_trailing and would_follow(order, present))
            assert is_busy or not missed
    for order in instrument.dormant:
        if order.is_trailing:
            check_trail(order)
    if instrument.walk is None:
        for source in TriggerSource:
            for side, sense in ((Side.SELL, 1), (Side.BUY, -1)):
                extremes = [sense * order.extreme_ticks for order in trailing(instrument, source, side)]
                assert extremes == sorted(extremes)


def check_trail(order: Order) -> None:
    """A trailing order's trigger is at its distance from what it follows (of a buy, at most)."""
    distance = order.trail
    if order.trail_unit == TrailUnit.BASIS_POINTS:
        distance = (order.extreme_ticks * order.trail + 9_999) // 10_000
    if order.side == Side.SELL:
        assert order.trigger_price_ticks == max(order.extreme_ticks - distance, 0)
    else:
        assert 0 < order.trigger_price_ticks <= order.extreme_ticks + distance
