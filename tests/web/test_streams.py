"""Who hears snapshot and updates knows the book of every moment it was told of, exactly."""

import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.web.errors import RequestError
from gateways.web.streams import CHANNELS, INTERVALS_MS, Streams, Topic, slower
from gateways.web.venue import Venue
from tests.web.flow import frames, payload


class Listener:
    """Follows a book as a client does, from its messages alone."""

    def __init__(self):
        self.messages = []
        self.to_seq = None
        self.sides = {"bids": {}, "asks": {}}

    def hear(self, message):
        """Take a message; an update must go on where the one before ended."""
        content = json.loads(payload(message.json()))
        assert msgpack.unpackb(payload(message.msgpack())) == content
        self.messages.append(message)
        if content["channel"] != "book":
            return
        if content["type"] == "snapshot":
            self.sides = {"bids": {}, "asks": {}}
        else:
            assert content["from_seq"] == self.to_seq
            assert content["to_seq"] > self.to_seq
        self.to_seq = content["to_seq"]
        for side, levels in self.sides.items():
            for price, qty, orders in content[side]:
                levels.pop(price, None)
                if qty != "0":
                    levels[price] = (qty, orders)


class Collector:
    """Keeps what it hears."""

    def __init__(self):
        self.messages = []

    def hear(self, message):
        """Take a message."""
        self.messages.append(message)


def book_of(venue, name):
    """What the venue's read model shows, in the listener's shape."""
    book = venue.book(venue.market(name))
    return {
        side: {level.price: (level.quantity, level.orders) for level in getattr(book, side)}
        for side in ("bids", "asks")
    }


@given(seed=st.integers(0, 3), joins=st.integers(0, 200), pace=st.integers(1, 17))
def test_a_book_is_known_from_snapshot_and_updates(seed, joins, pace):
    """Whenever one joins and however seldom one is told, the book is the venue's after every update."""
    venue, listeners, told = Venue(), {}, 0
    streams = Streams(venue)
    for number, frame in enumerate(frames(seed, 400)):
        streams.take(venue.take(frame), number // pace)
        if number == joins:
            for market in venue.markets.values():
                listener = listeners[market.name] = Listener()
                streams.subscribe(listener, streams.topic("book", market.name, 50))
        if number % pace == 0:
            streams.tell_due(number // pace + 0.5)
            for name, listener in listeners.items():
                assert listener.sides == book_of(venue, name)
                told += len(listener.messages) > 1
    assert not listeners or told


def test_a_message_is_made_once_for_all_who_hear_at_the_same_pace():
    """Two listeners of a topic get the same object; a third at another pace one of its own, that spans more."""
    venue = Venue()
    streams, heard = Streams(venue), [Listener(), Listener(), Listener()]
    for number, frame in enumerate(frames(1, 300)):
        streams.take(venue.take(frame), number / 20)
        if number == 100:
            name = next(iter(venue.markets.values())).name
            for listener, interval_ms in zip(heard, (50, 50, 250), strict=True):
                streams.subscribe(listener, streams.topic("book", name, interval_ms))
    first, second, slow = (listener.messages[1:] for listener in heard)
    assert first
    assert all(one is other for one, other in zip(first[1:], second[1:], strict=False))
    assert 0 < len(slow) < len(first)


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_channel_begins_with_a_snapshot_and_goes_on(channel):
    """Over a life with trades and halts each channel tells something after its snapshot; who left hears nothing."""
    venue, listener, gone = Venue(), Collector(), Collector()
    streams = Streams(venue)
    for number, frame in enumerate(frames(2, 1_500)):
        streams.take(venue.take(frame), number)
        if number == 60:
            for market in venue.markets.values():
                streams.subscribe(listener, streams.topic(channel, market.name, 50))
                topic = streams.topic(channel, market.name, 50)
                streams.subscribe(gone, topic)
                streams.unsubscribe(gone, topic)
            left_with = len(gone.messages)
    kinds = [message.content["type"] for message in listener.messages]
    assert kinds[: len(venue.markets)] == ["snapshot"] * min(len(venue.markets), len(kinds))
    assert "update" in kinds
    assert len(gone.messages) == left_with


def test_trades_are_all_told():
    """Conflation leaves out no trade: those told are those of the events."""
    venue, listener = Venue(), Collector()
    streams, traded, told = Streams(venue), [], []
    for number, frame in enumerate(frames(0, 1_500)):
        changes = venue.take(frame)
        streams.take(changes, number / 50)
        if number == 60:
            for market in venue.markets.values():
                streams.subscribe(listener, streams.topic("trades", market.name, 1_000))
        elif number > 60:
            traded += [trade.trade_id for change in changes.values() for _, trade in change.trades]
    streams.tell_due(1_000)
    for message in listener.messages:
        if message.content["type"] == "update":
            told += [trade["trade_id"] for trade in message.content["trades"]]
    assert traded
    assert sorted(told) == sorted(traded)


def test_candles_are_known_from_snapshot_and_updates():
    """Who puts what he is told in place of what he knew has every candle as it ended, however seldom he is told."""
    venue, listener = Venue(), Collector()
    streams, known, life = Streams(venue), {}, frames(0, 1_500)
    for number, frame in enumerate(life):
        streams.take(venue.take(frame), number / 50)
        if number == 60:
            market = next(iter(venue.markets.values()))
            streams.subscribe(listener, streams.topic("candles:1s", market.name, 1_000))
    streams.tell_due(1_000)
    for message in listener.messages:
        known |= {candle.open_time_s: candle for candle in message.content["candles"]}
    told = venue.candles(market, market.candles.since("1s", min(known)))
    assert len(listener.messages) > 2
    assert list(known.values()) == told


@pytest.mark.parametrize("asked", [("books", "x", 50), ("book", "x", 50), ("book", "x", 51)])
def test_a_topic_that_there_is_not_is_refused(asked):
    """An unknown channel, instrument or interval."""
    with pytest.raises(RequestError):
        Streams(Venue()).topic(*asked)


def test_only_what_is_conflated_has_a_slower_topic():
    """A book goes down interval by interval; trades and states stay, as nothing of them may be left out."""
    topic, paces = Topic("book", "X", INTERVALS_MS[0]), []
    while topic is not None:
        paces.append(topic.interval_ms)
        topic = slower(topic)
    assert paces == list(INTERVALS_MS)
    assert slower(Topic("trades", "X", 50)) is slower(Topic("status", "X", 50)) is None


def test_a_change_is_told_at_once_then_when_the_interval_has_passed():
    """The first goes out with its frame; later ones wait, together, until the mean interval is kept."""
    venue, listener = Venue(), Collector()
    streams, life = Streams(venue), frames(1, 2_000)
    for frame in life:
        streams.take(venue.take(frame), 0.0)
        if venue.seq > 100:
            break
    name = next(iter(venue.markets.values())).name
    streams.subscribe(listener, streams.topic("book", name, 1_000))

    def change_at(now_s):
        """Take frames, all at one time, until the book has changed."""
        before = book_of(venue, name)
        while book_of(venue, name) == before:
            streams.take(venue.take(next(life)), now_s)

    change_at(10.0)
    assert len(listener.messages) == 2
    change_at(10.25)
    change_at(10.499)
    assert len(listener.messages) == 2
    streams.tell_due(10.5)
    assert len(listener.messages) == 3
    change_at(11.499)
    assert len(listener.messages) == 3
    streams.tell_due(11.5)
    assert len(listener.messages) == 4
