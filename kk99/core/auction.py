"""Call auctions: the one price at which a crossing book trades most, and the trades at it.

Only the levels of the crossing range, from the best ask up to the best bid, are looked at, each of their orders once.
Demand falls and supply rises with the price, so the volume has one hill: past its top the walk ends.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import ladder, matching
from kk99.core import layout as lay
from kk99.core.memory import far, high, inlined, kernel, load, low, prefetch, store

BUY = schema.Side.BUY.value
SELL = schema.Side.SELL.value
UP = SELL  # the direction in which asks get worse, and bids better
MARKET = schema.OrderType.MARKET.value
BEYOND = schema.PRICE_TICKS_MAX + 1
ABOVE = 1  # the surplus of what is tied
BELOW = 2
EVEN = 4


@inlined
def crosses(m: Any, instrument_id: int) -> bool:
    """Return whether an instrument's best bid is at or above its best ask."""
    bids_at = lay.book(instrument_id, BUY)
    asks_at = lay.book(instrument_id, SELL)
    if load(m, bids_at + lay.L_BEST) == 0 or load(m, asks_at + lay.L_BEST) == 0:
        return False
    return load(m, bids_at + lay.L_BEST_PRICE) >= load(m, asks_at + lay.L_BEST_PRICE)


@inlined
def _price_of(m: Any, level: int) -> int:
    """Return a level's price, of none BEYOND."""
    return load(m, lay.level(level) + lay.V_PRICE) if level != 0 else BEYOND


@kernel
def _next_within(m: Any, level: int, side: int, price: int) -> int:
    """Return the level behind one of a side if it would trade at a price too, else 0."""
    following = ladder.next_level(m, level, side)
    if following == 0:
        return 0
    at = lay.level(following)
    if load(m, at + lay.V_LEAF) != load(m, lay.level(level) + lay.V_LEAF):
        ladder.prefetch_levels(m, load(m, at + lay.V_LEAF))
    level_price = load(m, at + lay.V_PRICE)
    return following if (level_price >= price if side == BUY else level_price <= price) else 0


@inlined
def _fill_lane(m: Any, lane_at: int, level: int) -> None:
    """Let a lane begin with the first order of a level (0: none)."""
    slot = low(load(m, lay.LEVELS + level * lay.LEVEL_WORDS + lay.V_QUEUE)) if level != 0 else 0
    prefetch(m, lay.ORDERS + slot * lay.ORDER_WORDS)
    store(m, lane_at, slot)
    store(m, lane_at + 1, level)
    store(m, lay.LEVELS + level * lay.LEVEL_WORDS + lay.V_SUM, 0)


@kernel
def _add_up(m: Any, instrument_id: int, side: int, price: int) -> tuple[int, int]:
    """Add up every level of a side that would trade at a price, and keep the sum there; return the last and all.

    The best level does. Several are walked at once, an order of each in turn: the next of each is fetched meanwhile.
    """
    level = load(m, lay.book(instrument_id, side) + lay.L_BEST)
    last = 0
    qty = 0
    lanes = 0
    for lane in range(lay.AUCTION_LANES):
        _fill_lane(m, lay.S_LANES + 2 * lane, level)
        if level != 0:
            last = level
            lanes += 1
            level = _next_within(m, level, side, price)
    while lanes > 0:
        for lane in range(lay.AUCTION_LANES):
            lane_at = lay.S_LANES + 2 * lane
            slot = load(m, lane_at)
            if slot == 0:
                continue
            at = lay.order(slot)
            leaves = load(m, at + lay.O_LEAVES)
            sum_at = lay.level(load(m, lane_at + 1)) + lay.V_SUM
            has_limit = 1 if (load(m, at + lay.O_TERMS) >> 8) & 0xFF != MARKET else 0
            store(m, sum_at, load(m, sum_at) + 2 * leaves | has_limit)
            qty += leaves
            slot = low(load(m, at + lay.O_QUEUE))
            if slot != 0:
                prefetch(m, lay.order(slot))
                store(m, lane_at, slot)
                continue
            _fill_lane(m, lane_at, level)
            if level != 0:
                last = level
                level = _next_within(m, level, side, price)
            else:
                lanes -= 1
    return last, qty


@kernel
def determine(m: Any, instrument_id: int) -> tuple[int, int, int]:
    """Return the price at which an auction would trade, its volume, and demand less supply; zeros without a price."""
    if not crosses(m, instrument_id):
        return 0, 0, 0
    highest = load(m, lay.book(instrument_id, BUY) + lay.L_BEST_PRICE)
    ask = load(m, lay.book(instrument_id, SELL) + lay.L_BEST)
    lowest = _price_of(m, ask)
    bid, demand = _add_up(m, instrument_id, BUY, lowest)
    _add_up(m, instrument_id, SELL, highest)
    reference = load(m, lay.instrument(instrument_id) + lay.I_REFERENCE)
    supply = 0
    volume = 0
    size = 0  # of the surplus
    signs = 0  # of the surpluses of those that are tied
    bottom = top = nearest = 0  # of those the lowest, the highest, and the nearest to the reference
    surplus_there = 0  # at the nearest
    price = lowest
    while price <= highest:
        leaving = 0
        has_limit = 0
        if _price_of(m, ask) == price:
            added = load(m, lay.level(ask) + lay.V_SUM)
            supply += added >> 1
            has_limit = added & 1
            ask = ladder.next_level(m, ask, UP)
        if _price_of(m, bid) == price:
            added = load(m, lay.level(bid) + lay.V_SUM)
            leaving = added >> 1
            has_limit |= added & 1
            bid = ladder.next_level(m, bid, UP)
        surplus = demand - supply
        here = min(demand, supply)
        if here < volume and surplus <= 0:
            break
        if has_limit != 0 and here >= volume:
            if here > volume or abs(surplus) < size:
                volume = here
                size = abs(surplus)
                signs = 0
                bottom = nearest = price
                surplus_there = surplus
            if abs(surplus) == size:
                signs |= ABOVE if surplus > 0 else BELOW if surplus < 0 else EVEN
                top = price
                if reference != 0 and abs(price - reference) < abs(nearest - reference):
                    nearest = price
                    surplus_there = surplus
        demand -= leaving
        price = min(_price_of(m, bid), _price_of(m, ask))
    if volume == 0:
        return _at_reference(m, instrument_id, reference, lowest, highest)
    if signs == ABOVE:
        return top, volume, size
    if signs == BELOW:
        return bottom, volume, -size
    return nearest, volume, surplus_there


@kernel
def _at_reference(m: Any, instrument_id: int, price: int, lowest: int, highest: int) -> tuple[int, int, int]:
    """Return what `determine` does for a book that crosses with market orders alone, by its reference price."""
    price = min(max(price, lowest), highest)
    _, demand = _add_up(m, instrument_id, BUY, price)
    _, supply = _add_up(m, instrument_id, SELL, price)
    return price, min(demand, supply), demand - supply


@far
def price_of(m: Any, instrument_id: int) -> int:
    """Return the price that `determine` does; its volume and surplus stand in scratch."""
    price, qty, surplus = determine(m, instrument_id)
    store(m, lay.S_AUCTION_QTY, qty)
    store(m, lay.S_AUCTION_SURPLUS, surplus)
    return price


@inlined
def _following(m: Any, slot: int, side: int) -> int:
    """Return the order that comes after one of a side in price-time order, 0 behind the last."""
    following = low(load(m, lay.ORDERS + slot * lay.ORDER_WORDS + lay.O_QUEUE))
    if following == 0 and slot != 0:
        level = ladder.next_level(m, low(load(m, lay.order(slot) + lay.O_LEVEL)), side)
        following = low(load(m, lay.LEVELS + level * lay.LEVEL_WORDS + lay.V_QUEUE))
    return following


@inlined
def _look_ahead(m: Any, slot: int, side: int) -> None:
    """Fetch what the pairs after this one will touch: what the next order leads to, and the order after it."""
    second = _following(m, slot, side)
    at = lay.ORDERS + second * lay.ORDER_WORDS
    links = load(m, at + lay.O_LIST)
    prefetch(m, lay.ORDERS + low(links) * lay.ORDER_WORDS + lay.O_LIST)
    prefetch(m, lay.ORDERS + high(links) * lay.ORDER_WORDS + lay.O_LIST)
    prefetch(m, lay.BALANCES + low(load(m, at + lay.O_BALANCES)) * lay.BALANCE_WORDS)
    prefetch(m, lay.EXTRAS + high(load(m, at + lay.O_HASH)) * lay.EXTRA_WORDS)
    prefetch(m, lay.EXTRAS + high(load(m, at + lay.O_HASH)) * lay.EXTRA_WORDS + 8)
    third = _following(m, second, side)
    prefetch(m, lay.ORDERS + third * lay.ORDER_WORDS)
    prefetch(m, lay.ORDERS + third * lay.ORDER_WORDS + lay.O_LIST)


@kernel
def trade_pair(m: Any, instrument_id: int, price: int) -> bool:
    """Let the first bid and the first ask trade at the auction's price; return whether there were both."""
    bids_at = lay.book(instrument_id, BUY)
    asks_at = lay.book(instrument_id, SELL)
    bid = load(m, bids_at + lay.L_BEST)
    ask = load(m, asks_at + lay.L_BEST)
    if bid == 0 or ask == 0:
        return False
    if load(m, bids_at + lay.L_BEST_PRICE) < price or load(m, asks_at + lay.L_BEST_PRICE) > price:
        return False
    buyer = low(load(m, lay.level(bid) + lay.V_QUEUE))
    seller = low(load(m, lay.level(ask) + lay.V_QUEUE))
    _look_ahead(m, buyer, BUY)
    _look_ahead(m, seller, SELL)
    buyer_at = lay.order(buyer)
    seller_at = lay.order(seller)
    qty = min(load(m, buyer_at + lay.O_LEAVES), load(m, seller_at + lay.O_LEAVES))
    instrument_at = lay.instrument(instrument_id)
    if load(m, seller_at + lay.O_ENTRY_SEQ) > load(m, buyer_at + lay.O_ENTRY_SEQ):
        matching.trade(m, instrument_at, seller, buyer, SELL, price, qty)
    else:
        matching.trade(m, instrument_at, buyer, seller, BUY, price, qty)
    return True
