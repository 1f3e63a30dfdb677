"""Dormant orders: the trigger books, the trailing lists, and what the prices reach.

A dormant order stands in one of its instrument's eight trigger books, by its trigger's price. The price nearest to
passing of each book stands in the instrument's record, so looking whether any passes costs a few comparisons, however
many wait.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import busy, extras, ladder, watching
from kk99.core import layout as lay
from kk99.core.memory import add, far, high, inlined, kernel, load, low, pair, store, store_high, store_low

BUY = schema.Side.BUY.value
SELL = schema.Side.SELL.value
OPEN = schema.MarketState.OPEN.value
MARKET_IF_TOUCHED = schema.OrderType.MARKET_IF_TOUCHED.value
LIMIT_IF_TOUCHED = schema.OrderType.LIMIT_IF_TOUCHED.value
BASIS_POINTS = schema.TrailUnit.BASIS_POINTS.value
BPS = schema.BPS
SOURCES = 4
LAST = 0
BID = 1
ASK = 2
INDEX = 3
ENTERING_PRICE = 1  # of all that wait in the entering queue, so that they stand in one line


@inlined
def book_number(source: int, side: int, order_type: int) -> int:
    """Return the trigger book of an order: of its source, down or up."""
    is_touched = order_type == MARKET_IF_TOUCHED or order_type == LIMIT_IF_TOUCHED
    goes_up = (side == BUY) != is_touched
    return 2 * (source - 1) + (1 if goes_up else 0)


@inlined
def direction(number: int) -> int:
    """Return the side whose order of prices a trigger book has: nearest first."""
    return SELL if number & 1 != 0 else BUY


@inlined
def queue_price(m: Any, order_at: int, number: int) -> int:
    """Return the price at which an order stands in a trigger book or the entering queue."""
    return ENTERING_PRICE if number == lay.ENTERING else load(m, extras.of(m, order_at) + lay.X_TRIGGER)


@kernel
def _refresh(m: Any, instrument_id: int, number: int) -> None:
    """Let an instrument's record follow one of its trigger books."""
    book_at = lay.trigger_book(instrument_id, number)
    price = lay.NEVER_UP if number & 1 != 0 else lay.NEVER_DOWN
    if load(m, book_at + lay.L_BEST) != 0:
        price = load(m, book_at + lay.L_BEST_PRICE)
    store(m, lay.instrument(instrument_id) + lay.I_TRIGGERS + number, price)


@far
def insert(m: Any, slot: int, number: int, price: int) -> None:
    """Put a special order at the back of the queue at a price of a trigger book, or of the entering queue."""
    order_at = lay.order(slot)
    instrument_id = high(load(m, order_at + lay.O_OWNER))
    ladder.append_far(m, lay.trigger_book(instrument_id, number), direction(number), slot, price)
    store_low(m, extras.of(m, order_at) + lay.X_PLACE, lay.P_BOOK + number)
    instrument_at = lay.instrument(instrument_id)
    add(m, instrument_at + lay.I_WATCH, 1)
    if number != lay.ENTERING:
        _refresh(m, instrument_id, number)
    else:
        add(m, instrument_at + lay.I_ENTERING, 1)


@far
def remove(m: Any, slot: int) -> None:
    """Take a special order out of its trigger book or the entering queue."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    instrument_id = high(load(m, order_at + lay.O_OWNER))
    number = extras.place_of(m, extra_at) - lay.P_BOOK
    ladder.remove_far(m, lay.trigger_book(instrument_id, number), direction(number), slot)
    store_low(m, extra_at + lay.X_PLACE, lay.P_RESTING)
    instrument_at = lay.instrument(instrument_id)
    add(m, instrument_at + lay.I_WATCH, -1)
    if number != lay.ENTERING:
        _refresh(m, instrument_id, number)
    else:
        add(m, instrument_at + lay.I_ENTERING, -1)


# Trailing orders ------------------------------------------------------------------------------------------------------


@inlined
def is_trailing(m: Any, extra_at: int) -> bool:
    """Return whether an order that waits trails: only such a one has a unit."""
    return extras.is_dormant(m, extra_at) and load(m, extra_at + lay.X_TRAIL) >> lay.TRAIL_UNIT_SHIFT != 0


@inlined
def _list_at(m: Any, order_at: int, extra_at: int) -> int:
    """Return the place of the head of a trailing order's list."""
    side = load(m, order_at + lay.O_TERMS) & 0xFF
    number = 2 * (low(load(m, extra_at + lay.X_SOURCE)) - 1) + (1 if side == BUY else 0)
    return lay.instrument(high(load(m, order_at + lay.O_OWNER))) + lay.I_TRAILING + number


@kernel
def trail_trigger(m: Any, instrument_at: int, side: int, trail: int, extreme: int) -> int:
    """Return the trigger of a trailing order that follows an extreme; `trail` with its unit."""
    distance = trail & ((1 << lay.TRAIL_UNIT_SHIFT) - 1)
    if trail >> lay.TRAIL_UNIT_SHIFT == BASIS_POINTS:
        distance = (extreme * distance + BPS - 1) // BPS
    if side == BUY:
        return min(extreme + distance, load(m, instrument_at + lay.I_MAX_PRICE))
    return max(extreme - distance, 0)


@kernel
def trail_limit(m: Any, instrument_at: int, side: int, trigger: int, offset: int, most: int) -> int:
    """Return the limit of a trailing stop-limit at a trigger; of a buy at most what it holds for."""
    step = load(m, instrument_at + lay.I_TICK_STEP)
    if side == BUY:
        price = min(trigger + offset, load(m, instrument_at + lay.I_MAX_PRICE), most)
        return price - price % step if price >= step else price
    price = max(trigger - offset, 1)
    return max(price - price % step, step)


@kernel
def first_extreme(m: Any, instrument_id: int, side: int, source: int) -> int:
    """Return the price that a new trailing order follows: the present one of its source (from 0).

    Or the extreme of the latest of its list, if that one has yet to follow: so those that would follow always come
    first in the list.
    """
    price = source_price(m, instrument_id, source)
    number = 2 * source + (1 if side == BUY else 0)
    latest = load(m, lay.instrument(instrument_id) + lay.I_TRAILING + number)
    if follows(m, latest, price, side):
        return load(m, extras.of(m, lay.order(latest)) + lay.X_EXTREME)
    return price


@kernel
def trail_add(m: Any, slot: int) -> None:
    """Put a trailing order in front of its list: nothing that follows its source has a nearer extreme."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    list_at = _list_at(m, order_at, extra_at)
    following = load(m, list_at)
    store(m, extra_at + lay.X_TRAIL_LINKS, pair(following, 0))
    if following != 0:
        store_high(m, extras.of(m, lay.order(following)) + lay.X_TRAIL_LINKS, slot)
    store(m, list_at, slot)
    add(m, lay.instrument(high(load(m, order_at + lay.O_OWNER))) + lay.I_TRAILS, 1)


@far
def trail_remove(m: Any, slot: int) -> None:
    """Take a trailing order out of its list; an interrupted walk that was to go on with it goes on behind it."""
    order_at = lay.order(slot)
    extra_at = extras.of(m, order_at)
    links = load(m, extra_at + lay.X_TRAIL_LINKS)
    following = low(links)
    before = high(links)
    if before == 0:
        store(m, _list_at(m, order_at, extra_at), following)
    else:
        store_low(m, extras.of(m, lay.order(before)) + lay.X_TRAIL_LINKS, following)
    if following != 0:
        store_high(m, extras.of(m, lay.order(following)) + lay.X_TRAIL_LINKS, before)
    instrument_at = lay.instrument(high(load(m, order_at + lay.O_OWNER)))
    add(m, instrument_at + lay.I_TRAILS, -1)
    walk = load(m, instrument_at + lay.I_TRAIL_WALK)
    if walk != 0 and low(walk) == slot:
        store(m, instrument_at + lay.I_TRAIL_WALK, pair(following, high(walk)))


# Prices ---------------------------------------------------------------------------------------------------------------


@inlined
def source_price(m: Any, instrument_id: int, source: int) -> int:
    """Return the present price of a source (LAST 0, BID 1, ASK 2, INDEX 3), 0: none."""
    at = lay.instrument(instrument_id)
    if source == LAST:
        return load(m, at + lay.I_LAST)
    if source == INDEX:
        return load(m, at + lay.I_INDEX)
    if load(m, at + lay.I_STATE) != OPEN:
        return 0
    book_at = lay.book(instrument_id, BUY if source == BID else SELL)
    return load(m, book_at + lay.L_BEST_PRICE) if load(m, book_at + lay.L_BEST) != 0 else 0


@inlined
def _passes(m: Any, at: int, source: int, price: int) -> bool:
    """Return whether a price passes the nearest trigger of its source, down or up, or moves a trailing order."""
    if price == 0:
        return False
    if price <= load(m, at + lay.I_TRIGGERS + 2 * source) or price >= load(m, at + lay.I_TRIGGERS + 2 * source + 1):
        return True
    return load(m, at + lay.I_TRAILS) != 0 and _moves(m, at, source, price, price)


@inlined
def _moves(m: Any, at: int, source: int, highest: int, lowest: int) -> bool:
    """Return whether the latest trailing orders of a source would follow prices."""
    return follows(m, load(m, at + lay.I_TRAILING + 2 * source), highest, SELL) or follows(
        m, load(m, at + lay.I_TRAILING + 2 * source + 1), lowest, BUY
    )


@inlined
def follows(m: Any, slot: int, price: int, side: int) -> bool:
    """Return whether a trailing order (0: none) would follow a price (0: none)."""
    if slot == 0 or price == 0:
        return False
    extreme = load(m, extras.of(m, lay.order(slot)) + lay.X_EXTREME)
    return price > extreme if side == SELL else price < extreme


@kernel
def _widen(m: Any, at: int, source: int, price: int) -> None:
    """Let the reach of a source take in a price."""
    if price != 0:
        down_at = at + lay.I_REACH + 2 * source
        store(m, down_at, min(load(m, down_at), price))
        store(m, down_at + 1, max(load(m, down_at + 1), price))


@kernel
def reach_present(m: Any, instrument_id: int, last: int) -> None:
    """Set the reach to the present prices, with LAST at a price."""
    at = lay.instrument(instrument_id)
    for source in range(SOURCES):
        price = last if source == LAST else source_price(m, instrument_id, source)
        store(m, at + lay.I_REACH + 2 * source, price if price != 0 else lay.NEVER_UP)
        store(m, at + lay.I_REACH + 2 * source + 1, price)


@kernel
def drop_reach(m: Any, at: int) -> None:
    """Forget the reach, the targets and a walk."""
    for word in range(lay.TRIGGER_BOOKS):
        store(m, at + lay.I_REACH + word, 0)
        store(m, at + lay.I_TARGETS + word, 0)
    store(m, at + lay.I_IN_REACH, 0)
    store(m, at + lay.I_HAS_TARGETS, 0)
    store(m, at + lay.I_TRAIL_WALK, 0)


@kernel
def _look(m: Any, instrument_id: int, last: int) -> None:
    """Look at the present prices, with LAST at a price."""
    at = lay.instrument(instrument_id)
    bid = source_price(m, instrument_id, BID)
    ask = source_price(m, instrument_id, ASK)
    index_price = load(m, at + lay.I_INDEX)
    if load(m, at + lay.I_IN_REACH) != 0:
        _widen(m, at, LAST, last)
        _widen(m, at, BID, bid)
        _widen(m, at, ASK, ask)
        _widen(m, at, INDEX, index_price)
    elif (
        _passes(m, at, LAST, last)
        or _passes(m, at, BID, bid)
        or _passes(m, at, ASK, ask)
        or _passes(m, at, INDEX, index_price)
    ):
        reach_present(m, instrument_id, last)
        store(m, at + lay.I_IN_REACH, 1)
        busy.join(m, instrument_id)


@far
def settle(m: Any, instrument_id: int) -> None:
    """Settle an instrument: see what its prices, as they moved since the last settling, set off."""
    first = load(m, lay.S_PATH_FIRST)
    store(m, lay.S_PATH_FIRST, 0)
    at = lay.instrument(instrument_id)
    if load(m, at + lay.I_WATCH) == 0 or load(m, at + lay.I_STATE) != OPEN:
        return
    if load(m, at + lay.I_WATCH) >= lay.WATCHED and watching.look(m, instrument_id, first):
        return
    last = load(m, at + lay.I_LAST)
    if first != 0 and first != last:
        _look(m, instrument_id, first)
    _look(m, instrument_id, last)
    if load(m, at + lay.I_ENTERING) != 0:
        busy.join(m, instrument_id)


@inlined
def settle_watched(m: Any, instrument_id: int) -> None:
    """Settle an instrument, at no more than a look when nothing waits in it."""
    if load(m, lay.instrument(instrument_id) + lay.I_WATCH) != 0:
        settle(m, instrument_id)


@far
def has_passed(m: Any, instrument_id: int, number: int, trigger: int) -> bool:
    """Return whether a trigger of a book has passed: by the present price, or by what the source reached."""
    at = lay.instrument(instrument_id)
    price = source_price(m, instrument_id, number >> 1)
    lowest = price if price != 0 else lay.NEVER_UP
    highest = price
    if load(m, at + lay.I_IN_REACH) != 0:
        lowest = min(lowest, load(m, at + lay.I_REACH + (number & ~1)))
        highest = max(highest, load(m, at + lay.I_REACH + (number | 1)))
    return highest >= trigger if number & 1 != 0 else lowest <= trigger
