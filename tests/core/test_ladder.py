"""The price ladder against a dict of lists, function by function in the python lane, at extreme prices above all."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kk99 import schema
from kk99.schema import Side
from tests.core.python_lane import python_lane

LANE = python_lane()
LAY, LADDER = LANE.layout, LANE.ladder
MEMORY = LANE.state.State().words
TOP = schema.PRICE_TICKS_MAX
EDGES = (
    1,
    2,
    62,
    63,
    64,
    65,
    127,
    128,
    4095,
    4096,
    1 << 12,
    1 << 18,
    (1 << 24) - 1,
    1 << 24,
    1 << 30,
    1 << 35,
    TOP - 64,
    TOP - 1,
)
NEAR = st.integers(1, 200)
PRICES = st.one_of(st.sampled_from((*EDGES, TOP)), NEAR, st.integers(1, TOP), NEAR.map(lambda near: near * 64 * 32))
STEPS = st.lists(st.tuples(st.sampled_from((Side.BUY, Side.SELL)), st.booleans(), PRICES), min_size=10)


class Ladder:
    """Both sides of one instrument's book in the kernel, and beside them their orders as lists by price."""

    def __init__(self):
        self.slots = itertools.count(1)
        self.levels = {Side.BUY: {}, Side.SELL: {}}

    def append(self, side, price, leaves):
        """Rest an order."""
        slot = next(self.slots)
        at = LAY.order(slot)
        MEMORY[at + LAY.O_PRICE], MEMORY[at + LAY.O_LEAVES] = price, leaves
        LADDER.append(MEMORY, LAY.book(1, side), side, slot, price)
        self.levels[side].setdefault(price, []).append(slot)

    def remove(self, side, price, number):
        """Take an order out of the queue at a price."""
        queue = self.levels[side][price]
        LADDER.remove(MEMORY, LAY.book(1, side), side, queue.pop(number % len(queue)))
        if not queue:
            del self.levels[side][price]

    def prices(self, side):
        """The prices of a side, best first."""
        return sorted(self.levels[side], reverse=side == Side.BUY)

    def check(self, side):
        """Compare every level and queue of a side, in their order, and what is known of the best."""
        book_at, prices = LAY.book(1, side), self.prices(side)
        level = int(MEMORY[book_at + LAY.L_BEST])
        assert (level != 0) == bool(prices)
        if prices:
            assert MEMORY[book_at + LAY.L_BEST_PRICE] == prices[0]
        for price in prices:
            at = LAY.level(level)
            queue = self.levels[side][price]
            assert MEMORY[at + LAY.V_PRICE] == price
            assert self.queue_at(at) == queue
            assert LADDER.level_at(MEMORY, book_at, side, price) == level
            level = LADDER.next_level(MEMORY, level, side)
        assert level == 0
        assert level == 0

    def queue_at(self, level_at):
        """The slots at a level, walked forwards and, checking, back."""
        words = int(MEMORY[level_at + LAY.V_QUEUE])
        slot, last, before, found = words & 0xFFFFFFFF, words >> 32, 0, []
        while slot:
            links = int(MEMORY[LAY.order(slot) + LAY.O_QUEUE])
            assert links >> 32 == before
            found.append(slot)
            slot, before = links & 0xFFFFFFFF, slot
        assert last == before
        return found

    def clear(self):
        """Take every order out."""
        for side, levels in self.levels.items():
            for price in list(levels):
                while price in levels:
                    self.remove(side, price, 0)


def free(head, base, words, link):
    """The records on a free list."""
    count, slot = 0, int(MEMORY[head])
    while slot:
        count, slot = count + 1, int(MEMORY[base + slot * words + link])
    return count


def assert_all_free():
    """No level, node or root is in use; each that ever was is on a free list, once."""
    assert MEMORY[LAY.S_LEVELS] == 0
    assert free(LAY.S_LEVEL_FREE, LAY.LEVELS, LAY.LEVEL_WORDS, LAY.V_QUEUE) == MEMORY[LAY.S_LEVEL_TOP]
    assert free(LAY.S_NODE_FREE, LAY.NODES, LAY.NODE_WORDS, LAY.D_PARENT) == MEMORY[LAY.S_NODE_TOP]
    for side in (Side.BUY, Side.SELL):
        assert MEMORY[LAY.book(1, side) + LAY.L_BEST] == MEMORY[LAY.book(1, side) + LAY.L_ROOT] == 0


@settings(max_examples=settings().max_examples * 3)
@given(STEPS)
def test_levels_and_queues_are_those_of_a_dict(steps):
    """After any orders in and out, levels stand in price order, their orders in time order; in the end all is free."""
    ladder = Ladder()
    for number, (side, is_in, price) in enumerate(steps):
        prices = ladder.prices(side)
        if is_in or not prices:
            ladder.append(side, price, number + 1)
        else:
            ladder.remove(side, prices[price % len(prices)], price)
        ladder.check(side)
    for side in (Side.BUY, Side.SELL):
        ladder.check(side)
    ladder.clear()
    assert_all_free()


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@pytest.mark.parametrize("order", [sorted, lambda prices: sorted(prices, reverse=True)])
def test_the_trie_grows_to_the_highest_price_and_is_walked_across_all_of_it(side, order):
    """From price 1 to PRICE_TICKS_MAX, however they come, levels are found, walked, and emptied from either end."""
    for best_first in (True, False):
        ladder = Ladder()
        for price in order((*EDGES, TOP)):
            ladder.append(side, price, 5)
            ladder.check(side)
        while ladder.prices(side):
            ladder.remove(side, ladder.prices(side)[0 if best_first else -1], 0)
            ladder.check(side)
        assert_all_free()


def test_levels_and_nodes_are_used_again():
    """A thousand far prices one after another take no more levels and nodes than one does at its most."""
    ladder = Ladder()
    ladder.append(Side.BUY, TOP, 1)
    ladder.append(Side.BUY, 1, 1)
    ladder.clear()
    levels, nodes = int(MEMORY[LAY.S_LEVEL_TOP]), int(MEMORY[LAY.S_NODE_TOP])
    for number in range(1000):
        ladder.append(Side.SELL, 1 + number * 68_000_000 % TOP, 1)
        ladder.clear()
    assert (MEMORY[LAY.S_LEVEL_TOP], MEMORY[LAY.S_NODE_TOP]) == (levels, nodes)
    assert_all_free()


def test_nodes_suffice_for_every_level():
    """With all levels as far apart as can be, no level needs more than NODE_DEPTH_MAX nodes of its own."""
    ladder = Ladder()
    before = int(MEMORY[LAY.S_NODE_TOP]) - free(LAY.S_NODE_FREE, LAY.NODES, LAY.NODE_WORDS, LAY.D_PARENT)
    for count in range(1, 60):
        ladder.append(Side.BUY, count << 30 | count, 1)
        used = int(MEMORY[LAY.S_NODE_TOP]) - free(LAY.S_NODE_FREE, LAY.NODES, LAY.NODE_WORDS, LAY.D_PARENT)
        assert used - before <= LAY.NODE_DEPTH_MAX * count
    ladder.clear()
    assert_all_free()
    assert schema.PRICE_TICKS_MAX >> (6 * LAY.NODE_DEPTH_MAX) == 0
    assert LAY.NODES_MAX >= LAY.NODE_DEPTH_MAX * schema.LEVELS_MAX
