"""The price of an auction against the rules written out over all candidates, in the python lane."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kk99 import schema
from kk99.schema import OrderType, Side
from tests.core.python_lane import python_lane

LANE = python_lane()
LAY, AUCTION, LADDER = LANE.layout, LANE.auction, LANE.ladder
TOP = schema.PRICE_TICKS_MAX
NEAR = st.integers(1, 12)
FAR = st.one_of(NEAR, st.sampled_from((63, 64, 65, 4095, 4096, TOP - 64, TOP - 1, TOP)))
QTYS = st.one_of(st.integers(1, 5), st.integers(1, 1 << 48))
TYPES = st.sampled_from((OrderType.LIMIT, OrderType.LIMIT, OrderType.MARKET, OrderType.BRACKET))
SIDES = st.sampled_from((Side.BUY, Side.SELL))


@dataclass
class Order:
    """An order that rests in a call."""

    side: Side
    price: int
    qty: int
    order_type: OrderType = OrderType.LIMIT


def orders_of(prices):
    """Lists of orders at such prices."""
    return st.lists(st.builds(Order, SIDES, prices, QTYS, TYPES), max_size=16)


def book_of(orders, reference):
    """A memory with these orders resting in instrument 1."""
    memory = LANE.state.State().words
    memory[LAY.instrument(1) + LAY.I_REFERENCE] = reference
    for slot, order in enumerate(orders, 1):
        at = LAY.order(slot)
        memory[at + LAY.O_LEAVES] = order.qty
        memory[at + LAY.O_TERMS] = order.side | order.order_type << 8
        LADDER.append(memory, LAY.book(1, order.side), order.side, slot, order.price)
    return memory


def demand_and_supply(orders, price):
    """What is bid at a price or above, and what is asked at it or below."""
    demand = sum(order.qty for order in orders if order.side == Side.BUY and order.price >= price)
    return demand, sum(order.qty for order in orders if order.side == Side.SELL and order.price <= price)


def expected(orders, reference):
    """The price, the volume and the surplus, criterion after criterion over every candidate."""
    bids = [order.price for order in orders if order.side == Side.BUY]
    asks = [order.price for order in orders if order.side == Side.SELL]
    if not bids or not asks or max(bids) < min(asks):
        return 0, 0, 0
    limits = {order.price for order in orders if order.order_type != OrderType.MARKET}
    left = [(price, *demand_and_supply(orders, price)) for price in sorted(limits) if min(asks) <= price <= max(bids)]
    if not left:
        price = min(max(reference, min(asks)), max(bids))
        left = [(price, *demand_and_supply(orders, price))]
    most = max(min(demand, supply) for _, demand, supply in left)
    left = [one for one in left if min(one[1], one[2]) == most]
    least = min(abs(demand - supply) for _, demand, supply in left)
    left = [one for one in left if abs(one[1] - one[2]) == least]
    if all(demand > supply for _, demand, supply in left):
        left = left[-1:]
    elif reference and not all(demand < supply for _, demand, supply in left):
        left.sort(key=lambda one: (abs(one[0] - reference), one[0]))
    price, demand, supply = left[0]
    return price, min(demand, supply), demand - supply


@settings(max_examples=settings().max_examples * 20)
@given(orders_of(NEAR), st.integers(0, 13))
def test_the_price_is_the_best_of_all_candidates(orders, reference):
    """Near one another, so that much is tied, the price, volume and surplus are those of the rules."""
    assert AUCTION.determine(book_of(orders, reference), 1) == expected(orders, reference)


@settings(max_examples=settings().max_examples * 5)
@given(orders_of(FAR), FAR)
def test_prices_may_be_far_apart(orders, reference):
    """From price 1 to the highest, with quantities up to the largest."""
    assert AUCTION.determine(book_of(orders, reference), 1) == expected(orders, reference)


BID, ASK = Side.BUY, Side.SELL
MARKET = OrderType.MARKET
CASES = {
    "nothing": ([], 5, (0, 0, 0)),
    "one side": ([Order(BID, 5, 1)], 5, (0, 0, 0)),
    "apart": ([Order(BID, 5, 1), Order(ASK, 6, 1)], 5, (0, 0, 0)),
    "at one price": ([Order(BID, 5, 3), Order(ASK, 5, 2)], 9, (5, 2, 1)),
    "surplus to buy: the highest": ([Order(BID, 9, 3), Order(ASK, 5, 2)], 6, (9, 2, 1)),
    "surplus to sell: the lowest": ([Order(BID, 9, 2), Order(ASK, 5, 3)], 8, (5, 2, -1)),
    "even: the nearest to the reference": ([Order(BID, 9, 2), Order(ASK, 5, 2)], 8, (9, 2, 0)),
    "even and as near: the lower": ([Order(BID, 9, 2), Order(ASK, 5, 2)], 7, (5, 2, 0)),
    "even without a reference: the lowest": ([Order(BID, 9, 2), Order(ASK, 5, 2)], 0, (5, 2, 0)),
    "surplus of both signs: the nearest": (
        [Order(BID, 9, 2), Order(BID, 5, 1), Order(ASK, 9, 1), Order(ASK, 5, 2)],
        8,
        (9, 2, -1),
    ),
    "market orders give no candidate": ([Order(BID, 9, 2, MARKET), Order(ASK, 5, 2)], 9, (5, 2, 0)),
    "market orders alone: the reference": ([Order(BID, 9, 2, MARKET), Order(ASK, 5, 3, MARKET)], 6, (6, 2, -1)),
    "the reference below": ([Order(BID, 9, 2, MARKET), Order(ASK, 5, 3, MARKET)], 4, (5, 2, -1)),
    "the reference above": ([Order(BID, 9, 2, MARKET), Order(ASK, 5, 3, MARKET)], 10, (9, 2, -1)),
    "no reference: the best ask": ([Order(BID, 9, 2, MARKET), Order(ASK, 5, 3, MARKET)], 0, (5, 2, -1)),
    "a market order on a limit's level": ([Order(BID, 9, 1, MARKET), Order(BID, 9, 1), Order(ASK, 5, 1)], 0, (9, 1, 1)),
}


@pytest.mark.parametrize(("orders", "reference", "answer"), CASES.values(), ids=CASES)
def test_each_criterion_decides_in_its_turn(orders, reference, answer):
    """A case for each, which the rules written out agree with."""
    assert expected(orders, reference) == answer
    assert AUCTION.determine(book_of(orders, reference), 1) == answer


def test_sums_may_be_as_large_as_money_allows():
    """The open quantity of a side is below AMOUNT_MAX, and so may its sum be."""
    largest = (schema.AMOUNT_MAX - 1) // 2
    orders = [Order(BID, 2, largest), Order(BID, 1, largest), Order(ASK, 1, largest), Order(ASK, 2, largest)]
    assert AUCTION.determine(book_of(orders, 1), 1) == (1, largest, largest) == expected(orders, 1)
