"""The auction's price: textbook cases, and every other price as a witness."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.naive.auction import Interest, determine, outcome_at
from tests.naive.states import Outcome


def limits(*pairs):
    """Limit orders as (limit, quantity)."""
    return [Interest(limit, qty) for limit, qty in pairs]


def markets(*pairs):
    """Market orders as (limit, quantity)."""
    return [Interest(limit, qty, is_market=True) for limit, qty in pairs]


NOTHING = Outcome()
CASES = {
    "no orders": ([], [], 100, NOTHING),
    "bids only": (limits((101, 5)), [], 100, NOTHING),
    "asks only": ([], limits((99, 5)), 100, NOTHING),
    "not crossing": (limits((99, 5)), limits((101, 5)), 100, NOTHING),
    "touching": (limits((100, 5)), limits((100, 7)), 90, Outcome(100, 5, -2)),
    # 103: 10 | 102: 30 | 101: 50 against 100: 20, 101: 40, 102: 60.
    "most volume": (
        limits((103, 10), (102, 20), (101, 20)),
        limits((100, 20), (101, 20), (102, 20)),
        100,
        Outcome(101, 40, 10),
    ),
    # 30 trade at 100 and at 102; at 100 the surplus is 30, at 102 there is none.
    "least surplus": (limits((102, 30), (100, 30)), limits((100, 30)), 100, Outcome(102, 30, 0)),
    "least surplus, of sellers": (limits((102, 30)), limits((100, 30), (102, 30)), 102, Outcome(100, 30, 0)),
    "pressure to buy: highest": (limits((103, 40)), limits((100, 30), (101, 1), (104, 9)), 100, Outcome(103, 31, 9)),
    "pressure to sell: lowest": (limits((103, 30), (99, 5)), limits((100, 40), (97, 1)), 103, Outcome(100, 30, -11)),
    "no pressure: nearest to the reference": (
        limits((103, 10)),
        limits((100, 10)),
        102,
        Outcome(103, 10, 0),
    ),
    "no pressure: nearest below": (limits((103, 10)), limits((100, 10)), 50, Outcome(100, 10, 0)),
    "no pressure, as near: the lower": (limits((102, 10)), limits((100, 10)), 101, Outcome(100, 10, 0)),
    "no reference: the lowest": (limits((103, 10)), limits((100, 10)), 0, Outcome(100, 10, 0)),
    # 100: 20 against 10; 102: 10 against 20; both trade 10.
    "pressure both ways: nearest to the reference": (
        limits((102, 10), (100, 10)),
        limits((100, 10), (102, 10)),
        103,
        Outcome(102, 10, -10),
    ),
    "pressure both ways, as near: the lower": (
        limits((102, 10), (100, 10)),
        limits((100, 10), (102, 10)),
        101,
        Outcome(100, 10, 10),
    ),
    "market orders make volume, limits the price": (
        markets((110, 50)) + limits((100, 10)),
        limits((101, 30), (99, 10)),
        100,
        Outcome(101, 40, 10),
    ),
    "market orders alone: the reference": (markets((110, 5)), markets((90, 7)), 100, Outcome(100, 5, -2)),
    "market orders alone, at the edge": (markets((110, 5)), markets((90, 7)), 110, Outcome(110, 5, -2)),
    "market orders alone, reference above": (markets((110, 5)), markets((90, 7)), 111, Outcome(110, 5, -2)),
    "market orders alone, reference below": (markets((110, 5)), markets((90, 7)), 89, Outcome(90, 5, -2)),
    "market orders alone, no reference: the best ask": (markets((110, 5)), markets((90, 7)), 0, Outcome(90, 5, -2)),
    "market orders that do not cross": (markets((89, 5)), markets((90, 7)), 90, NOTHING),
    "limits outside the crossing are no candidates": (
        markets((110, 5)) + limits((80, 9)),
        markets((90, 5)) + limits((120, 9)),
        95,
        Outcome(95, 5, 0),
    ),
    "a limit that market orders cross": (markets((110, 5)), limits((105, 5)), 100, Outcome(105, 5, 0)),
    # An iceberg counts with all that is open, whatever it shows.
    "an iceberg in full": (limits((101, 1000)), limits((100, 10), (101, 900)), 100, Outcome(101, 910, 90)),
    "several orders at a price": (
        limits((101, 5), (101, 5), (101, 5)),
        limits((101, 8), (101, 8)),
        1,
        Outcome(101, 15, -1),
    ),
}


@pytest.mark.parametrize(("bids", "asks", "reference", "expected"), CASES.values(), ids=CASES)
def test_price(bids, asks, reference, expected):
    """The price, volume and surplus of each case, whichever way the orders are listed."""
    assert determine(bids, asks, reference) == expected
    assert determine(bids[::-1], asks[::-1], reference) == expected


LIMITS = st.lists(st.builds(Interest, st.integers(1, 12), st.integers(1, 5), st.just(False)), max_size=6)
MIXED = st.lists(st.builds(Interest, st.integers(1, 12), st.integers(1, 5), st.booleans()), max_size=6)
REFERENCE = st.integers(0, 13)


@given(bids=LIMITS, asks=LIMITS, reference=REFERENCE)
def test_no_other_tick_trades_more(bids, asks, reference):
    """With limit orders, no price at all trades more than the chosen one, whether or not an order names it."""
    chosen = determine(bids, asks, reference)
    assert chosen.volume_lots == max(outcome_at(bids, asks, price).volume_lots for price in range(1, 13))


@given(bids=MIXED, asks=MIXED, reference=REFERENCE)
def test_no_better_candidate(bids, asks, reference):
    """Each limit of a limit order within the crossing is beaten by the rules taken one by one."""
    chosen = determine(bids, asks, reference)
    crossed = [
        price
        for price in range(1, 13)
        if any(bid.limit_ticks >= price for bid in bids) and any(ask.limit_ticks <= price for ask in asks)
    ]
    named = {order.limit_ticks for order in bids + asks if not order.is_market}
    candidates = [outcome_at(bids, asks, price) for price in crossed if price in named]
    if not candidates:
        nearest = min(crossed, key=lambda price: abs(price - reference), default=0)
        assert chosen == (outcome_at(bids, asks, nearest) if crossed else NOTHING)
    for other in candidates:
        if other == chosen:
            continue
        if other.volume_lots != chosen.volume_lots:
            assert other.volume_lots < chosen.volume_lots
        elif abs(other.surplus_lots) != abs(chosen.surplus_lots):
            assert abs(other.surplus_lots) > abs(chosen.surplus_lots)
    equals = [
        other
        for other in candidates
        if (other.volume_lots, abs(other.surplus_lots)) == (chosen.volume_lots, abs(chosen.surplus_lots))
    ]
    signs = {(other.surplus_lots > 0) - (other.surplus_lots < 0) for other in equals}
    if signs == {1}:
        assert chosen.price_ticks == max(other.price_ticks for other in equals)
    elif signs == {-1}:
        assert chosen.price_ticks == min(other.price_ticks for other in equals)
    elif equals:
        distances = sorted((abs(other.price_ticks - reference), other.price_ticks) for other in equals)
        assert chosen.price_ticks == distances[0][1]


@given(bids=MIXED, asks=MIXED, reference=REFERENCE)
def test_the_uncross_leaves_no_crossing_limit(bids, asks, reference):
    """When all pairs at the price have traded, only market orders can still cross one another."""
    price, volume, surplus = determine(bids, asks, reference)
    if volume == 0:
        assert not any(bid.limit_ticks >= ask.limit_ticks for bid in bids for ask in asks)
        return
    left_bids = after(sorted(bids, key=lambda bid: -bid.limit_ticks), volume)
    left_asks = after(sorted(asks, key=lambda ask: ask.limit_ticks), volume)
    for bid in left_bids:
        for ask in left_asks:
            assert bid.limit_ticks < ask.limit_ticks or (bid.is_market and ask.is_market)
    traded = [bid for bid in bids if bid.limit_ticks >= price], [ask for ask in asks if ask.limit_ticks <= price]
    assert [sum(one.qty_lots for one in side) - volume for side in traded] == [max(surplus, 0), max(-surplus, 0)]


def after(orders, lots):
    """What is left of orders in their order once so many lots have traded."""
    left = []
    for order in orders:
        taken = min(order.qty_lots, lots)
        lots -= taken
        if taken < order.qty_lots:
            left.append(order._replace(qty_lots=order.qty_lots - taken))
    return left
