"""The book that is followed from events: as the venue's own after every command, and right in the midst of one."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kk99 import batch, build
from kk99.book import Book, Levels, events_of
from kk99.machine import Machine
from kk99.schema import EventKind, MarketState, Side
from tests.core import mixes
from tests.core.strategies import scenarios, setup
from tests.naive.compare import stamped
from tests.naive.model import Naive
from tests.naive.rows import apply_to_naive, to_rows
from tests.replay import venue
from tests.replay.measuring import mixtures
from tests.replay.venue import ALICE, BOB, BY


def followed(book, events):
    """Let a book follow whole commands."""
    for event in events_of(events):
        book.settle(event)
        book.take(event)
    book.rest()


def shown_by(naive, number):
    """What the model's book shows at each price, for both sides."""
    shown = {}
    for side, levels in naive.book(number).items():
        for price, orders in levels:
            shown[int(side), price] = sum(naive.live[order_id].met_lots for order_id, _ in orders)
    return shown


def shown_in(market):
    """The same of a followed market."""
    return {
        (int(side), price): lots
        for side in (Side.BUY, Side.SELL)
        for price, lots in market.side(side).shown_lots.items()
    }


def assert_same_book(book, naive):
    """Levels, states and live orders are the model's, and the best prices are the best of the levels."""
    for number, instrument in naive.instruments.items():
        market = book.markets[number]
        assert shown_in(market) == shown_by(naive, number)
        assert (market.state, market.call_purpose) == instrument.market.now
        for side, choose in ((Side.BUY, max), (Side.SELL, min)):
            levels = market.side(side)
            assert levels.best() == choose(levels.shown_lots, default=0)
    assert book.orders.keys() == naive.live.keys()
    for order_id, order in book.orders.items():
        assert order.leaves_lots == naive.live[order_id].leaves_lots


class Pair:
    """The naive model, and a book that follows its events."""

    def __init__(self):
        self.naive, self.book = Naive(), Book()

    def run(self, items):
        """Apply commands one at a time, comparing after each."""
        for item in items:
            events = apply_to_naive(self.naive, stamped([item], self.naive.seq + 1))
            followed(self.book, batch.Events(*to_rows(events)))
            assert_same_book(self.book, self.naive)


PAIR = Pair()
PAIR.run(setup())


@given(scenarios())
def test_book_is_the_models_after_every_command(items):
    """Of any mix of orders, halts and auctions, what is shown at each price is what the model's book shows."""
    copy.deepcopy(PAIR).run(items)


@pytest.mark.parametrize("seed", range(3))
def test_book_of_a_mix_is_the_models(seed):
    """Likewise with many triggers, brackets, icebergs, auctions and trading phases."""
    naive, book = Naive(), Book()
    for _, commands in mixes.run(naive, seed, 1000):
        followed(book, batch.Events(*to_rows(apply_to_naive(naive, commands))))
        assert_same_book(book, naive)


@settings(max_examples=settings().max_examples // 5)
@given(mixtures())
def test_book_of_an_image_is_the_one_that_was_followed(commands):
    """A book made from the core's image shows the same as one that followed all events up to it."""
    machine, book, again = Machine(), Book(), Book()
    followed(book, machine.apply_all(commands))
    image = machine.image()
    followed(again, image)
    # An image does not tell at which price a market order waits for its auction.
    is_market = (image.rows["kind"] == EventKind.ORDER_IMAGE) & (image.rows["order_type"] == 1)
    unknown = set(np.unique(image.rows["instrument_id"][is_market]).tolist())
    for number, market in book.markets.items():
        if number not in unknown:
            assert shown_in(again.markets[number]) == shown_in(market)
        assert again.markets[number].state == market.state
    assert {number: one.leaves_lots for number, one in again.orders.items()} == {
        number: one.leaves_lots for number, one in book.orders.items()
    }


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(-4, 4))), st.sampled_from([Side.BUY, Side.SELL]))
def test_best_price_is_the_best_of_what_is_shown(changes, side):
    """Whatever is added and taken away, the best price is that of the levels that show something."""
    levels, lots = Levels(side), {}
    for price, change in changes:
        step = max(change, -lots.get(price, 0))
        levels.add(price, step)
        lots[price] = lots.get(price, 0) + step
        there = [one for one, shown in lots.items() if shown]
        assert levels.best() == (max if side == Side.BUY else min)(there, default=0)


def test_prices_that_come_and_go_leave_nothing_behind():
    """Behind one that stays best, ten thousand other prices are shown and gone: the heap stays small."""
    levels = Levels(Side.BUY)
    levels.add(1_000_000, 1)
    for price in range(1, 10_000):
        levels.add(price, 5)
        levels.add(price, -5)
    assert len(levels._heap) < 100
    assert levels.best() == 1_000_000


def test_an_order_is_not_in_the_book_before_its_matching_is_over():
    """A bracket's exits are armed amid a sell's matching: the book shows what the sell left, and not the sell."""
    items = [
        build.order_new(ALICE, 1, Side.SELL, 5, 120),
        build.order_new(BOB, 1, Side.BUY, 5, 98),
        build.bracket(BOB, 1, Side.BUY, 4, 104, take_profit_price_ticks=130, trigger_price_ticks=90),
        build.order_new(ALICE, 1, Side.SELL, 9, 99),
    ]
    machine = Machine()
    machine.apply_all(venue.stamped(venue.setup()))
    book, quotes = Book(), []
    followed(book, machine.image())
    events = machine.apply_all(build.stamp(build.batch_of(items), machine.seq + 1, machine.time_ns))
    for event in events_of(events):
        book.settle(event)
        quotes.append((EventKind(event.kind).name, event.is_exit, book.markets[1].quote()))
        book.take(event)
    told = [name for name, _, _ in quotes]
    armed = [at for at, (_, is_exit, _) in enumerate(quotes) if is_exit]
    assert told[armed[0] - 1] == "TRADE"
    assert [quotes[at][2] for at in armed] == [(98, 120), (98, 120)]
    book.rest()
    assert book.markets[1].quote() == (98, 99)
    assert book.markets[1].asks.shown_lots == {99: 5, 120: 5, 130: 4}


def test_quote_needs_an_open_market_and_both_sides():
    """Without a bid, without an ask, or while the market is not open there is no quote."""
    machine, book = Machine(), Book()
    follow = SimpleNamespace(seq=0)

    def run(*items):
        commands = build.stamp(build.batch_of(items), machine.seq + 1, follow.seq)
        followed(book, machine.apply_all(commands))
        return book.markets[1].quote()

    assert run(*venue.setup()) is None
    assert run(build.order_new(ALICE, 1, Side.BUY, 5, 98)) is None
    assert run(build.order_new(ALICE, 1, Side.SELL, 5, 100)) == (98, 100)
    assert run(build.instrument_state(1, MarketState.HALTED, **BY)) is None
    assert run(build.instrument_state(1, MarketState.OPEN, **BY)) == (98, 100)
