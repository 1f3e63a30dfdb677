"""The books that gateways show: the venue's own after every command, in order, with all that changed and no more."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.book import TAPE_TRADES, Books, Depth, parts
from kk99 import batch, build
from kk99.machine import Machine
from kk99.schema import EventKind, MarketState, Side
from tests.core import mixes
from tests.naive.model import Naive
from tests.naive.rows import apply_to_naive, to_rows
from tests.replay import venue
from tests.replay.venue import ALICE, BOB, BY


def levels_of(naive, number):
    """What the model's book shows: {(side, price): (lots, orders)}."""
    return {
        (int(side), price): (
            sum(naive.live[order_id].met_lots for order_id, _ in orders),
            len(orders),
        )
        for side, levels in naive.book(number).items()
        for price, orders in levels
    }


def shown_by(view):
    """What a view shows, likewise."""
    return {
        (int(side), price): tuple(level)
        for side in (Side.BUY, Side.SELL)
        for price, level in view.side(side).top().items()
    }


@pytest.mark.parametrize("seed", range(3))
def test_books_are_the_models_and_changes_tell_all_of_it(seed):
    """Of a mix with icebergs, brackets, auctions and halts: levels are the model's, and lead there change by change."""
    naive, books, followed, states = Naive(), Books(), {}, {}
    for _, commands in mixes.run(naive, seed, 2_000):
        books.follow(batch.Events(*to_rows(apply_to_naive(naive, commands))))
        for number, change in books.changes().items():
            mine = followed.setdefault(number, {})
            for side, prices in ((Side.BUY, change.bids), (Side.SELL, change.asks)):
                for price in prices:
                    level = books.markets[number].side(side).at(price)
                    mine.pop((int(side), price), None)
                    if level is not None:
                        mine[int(side), price] = tuple(level)
            if change.states:
                states[number] = change.states[-1].state
        for number in naive.instruments:
            assert shown_by(books.markets[number]) == levels_of(naive, number) == followed.get(number, {})
    for number, state in states.items():
        assert state == naive.instruments[number].market.now[0] == books.markets[number].status.state
    assert len(states) > 1


def test_books_of_an_image_go_on_as_those_that_followed():
    """From an image and what came after it: the same levels, states and last price as from the beginning."""
    machine, early, late = Machine(), Books(), Books()
    early.follow(machine.apply_all(venue.stamped(venue.setup())))
    first = [
        build.order_new(ALICE, 1, Side.SELL, 50, 101, display_qty_lots=7),
        build.order_new(BOB, 1, Side.BUY, 9, 101),
        build.order_new(BOB, 1, Side.BUY, 30, 98),
    ]
    early.follow(machine.apply_all(build.stamp(build.batch_of(first), machine.seq + 1, machine.time_ns)))
    late.begin([machine.image()])
    assert late.changes() == {}
    assert late.markets[1].tape[-1].price_ticks == early.markets[1].tape[-1].price_ticks == 101
    for item in (
        build.order_new(BOB, 1, Side.BUY, 8, 101),
        build.instrument_state(1, MarketState.HALTED, **BY),
    ):
        events = machine.apply_all(build.stamp(item, machine.seq + 1, machine.time_ns))
        early.follow(events)
        late.follow(events)
        assert shown_by(late.markets[1]) == shown_by(early.markets[1])
    assert late.markets[1].status == early.markets[1].status


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1_000])
def test_a_long_frame_is_taken_in_parts_of_whole_commands(size):
    """Each part has no more rows than asked for but those that end its command; the books end the same."""
    machine, books, whole_books = Machine(), Books(), Books()
    setup = machine.apply_all(venue.stamped(venue.setup()))
    orders = [build.order_new(ALICE, 1, Side.SELL, 2, 101 + number % 3) for number in range(9)]
    orders += [build.bracket(BOB, 1, Side.BUY, 4, 104, take_profit_price_ticks=130, trigger_price_ticks=90)]
    orders += [build.order_new(BOB, 1, Side.BUY, 5, 103) for _ in range(3)]
    events = machine.apply_all(build.stamp(build.batch_of(orders), machine.seq + 1, machine.time_ns))
    for each in (books, whole_books):
        each.follow(setup)
    whole_books.follow(events)
    seqs = []
    for part in parts(events, size):
        first, last = part.rows["cause_seq"][[0, -1]].tolist()
        assert len(part.rows) - np.count_nonzero(part.rows["cause_seq"] == last) < size or first == last
        assert not seqs or seqs[-1] < first
        seqs.append(last)
        books.follow(part)
        if books.markets[1].asks.best() and books.markets[1].bids.best():
            assert books.markets[1].bids.best() < books.markets[1].asks.best()
    assert shown_by(books.markets[1]) == shown_by(whole_books.markets[1])
    assert list(books.markets[1].tape) == list(whole_books.markets[1].tape)
    assert sum(len(part.rows) for part in parts(events, size)) == len(events.rows)


def test_trades_are_undone_and_the_tape_is_bounded():
    """A bust takes its trade off the tape, a correction changes it there; only the latest are kept."""
    machine, books = Machine(), Books()
    books.follow(machine.apply_all(venue.stamped(venue.setup())))

    def run(*items):
        books.follow(machine.apply_all(build.stamp(build.batch_of(list(items)), machine.seq + 1, machine.time_ns)))
        return books.changes()[1]

    pair = (build.order_new(ALICE, 1, Side.SELL, 5, 101), build.order_new(BOB, 1, Side.BUY, 5, 101))
    run(*pair, *pair)
    first, second = books.markets[1].tape
    change = run(build.trade_correct(first.trade_id, 100, 4, **BY))
    assert [(told.kind, told.trade.price_ticks) for told in change.trades] == [(EventKind.TRADE_CORRECTED, 100)]
    assert [(trade.price_ticks, trade.qty_lots) for trade in books.markets[1].tape] == [(100, 4), (101, 5)]
    change = run(build.trade_bust(second.trade_id, **BY))
    assert [told.kind for told in change.trades] == [EventKind.TRADE_BUSTED]
    assert [trade.trade_id for trade in books.markets[1].tape] == [first.trade_id]
    for _ in range(TAPE_TRADES):
        run(*pair)
    assert len(books.markets[1].tape) == TAPE_TRADES
    assert first.trade_id not in {trade.trade_id for trade in books.markets[1].tape}


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(-4, 4))), st.sampled_from([Side.BUY, Side.SELL]), st.data())
def test_levels_stand_in_order(changes, side, data):
    """Whatever is added and taken away, the best levels come best first, and every touched price is noted."""
    depth, lots = Depth(side), {}
    for price, change in changes:
        step = max(change, -lots.get(price, 0))
        if not step:
            continue
        depth.add(price, step, (lots.get(price, 0) == 0) - (lots.get(price, 0) + step == 0))
        lots[price] = lots.get(price, 0) + step
    there = sorted((price for price, shown in lots.items() if shown), reverse=side == Side.BUY)
    count = data.draw(st.integers(0, 9))
    assert list(depth.top(count)) == (there[:count] if count else there)
    assert depth.best() == (there[0] if there else 0)
    assert len(depth) == len(there)
    assert {price: level.qty_lots for price, level in copy.copy(depth.top()).items()} == {p: lots[p] for p in there}
    assert depth.changed == set(lots)
