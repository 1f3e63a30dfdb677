"""A WebSocket client, whatever it sends and however slowly it reads."""

import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.web.peer import (
    POLICY,
    REQUESTS_MAX,
    REQUESTS_PER_S,
    SNAPSHOTS_MAX,
    SUBSCRIPTIONS_MAX,
    TOO_SLOW,
    WAITING_BYTES,
    Peer,
)  # fmt: skip
from gateways.web.streams import CHANNELS, INTERVALS_MS, Message, Streams
from gateways.web.venue import Venue
from tests.web.flow import frames, payload


@pytest.fixture(scope="module")
def streams():
    """The streams of a venue with some markets."""
    venue = Venue()
    for frame in frames(0, 100):
        venue.take(frame)
    return Streams(venue)


class Line:
    """A connection's wire: what was sent, and whether there is room."""

    def __init__(self):
        self.frames, self.has_room, self.woken = [], True, 0

    def write(self, frame):
        """Send a frame if there is room."""
        if self.has_room:
            self.frames.append(frame)
        return self.has_room

    def wake(self):
        """Hear that the connection is to be closed."""
        self.woken += 1


def peer_of(streams, *, packs=False):
    """A new peer, with its line."""
    line = Line()
    peer = Peer(streams, packs=packs, write=line.write, wake=line.wake, now_s=0.0)
    peer.line = line
    return peer


def sent(peer):
    """All that was sent since this was asked last, decoded."""
    frames, peer.line.frames = peer.line.frames, []
    return [msgpack.unpackb(payload(one)) if peer.packs else json.loads(payload(one)) for one in frames]


def subscribe(name, *topics):
    """A request for (channel, interval) topics of an instrument."""
    channels = [{"channel": channel, "instrument": name, "interval_ms": interval} for channel, interval in topics]
    return json.dumps({"op": "subscribe", "id": 7, "channels": channels})


def name_of(streams):
    """The first instrument."""
    return next(iter(streams._venue.markets.values())).name


@given(frame=st.one_of(st.binary(max_size=200), st.text(max_size=200)), packs=st.booleans())
def test_whatever_it_sends_it_gets_an_answer(streams, frame, packs):
    """No frame breaks a peer: the answer names the request, or says what is wrong."""
    peer = peer_of(streams, packs=packs)
    peer.ask(frame, 0.0)
    answers = sent(peer)
    assert len(answers) == 1
    assert answers[0]["type"] in ("error", "pong", "subscribed", "unsubscribed")


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.sampled_from([*CHANNELS, "subscribe", 50])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["channel", "instrument"]), inner)
    ),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["subscribe", "unsubscribe", "ping", "x"])}, optional={"id": values, "channels": values}
    )
)
def test_a_request_of_the_right_shape_with_wrong_values_is_answered(streams, request_):
    """Any values in a request's places."""
    peer = peer_of(streams)
    peer.ask(json.dumps(request_), 0.0)
    assert sent(peer)
    peer.leave()


@pytest.mark.parametrize("packs", [False, True])
def test_a_subscription_is_confirmed_then_told(streams, packs):
    """The answer with the request's id, then the snapshot; again is confirmed and told no second time."""
    peer, request = peer_of(streams, packs=packs), json.loads(subscribe(name_of(streams), ("book", 50)))
    for _ in range(2):
        peer.ask(msgpack.packb(request) if packs else json.dumps(request), 0.0)
    assert [(one["type"], one.get("id")) for one in sent(peer)] == [
        ("subscribed", 7), ("snapshot", None), ("subscribed", 7),
    ]  # fmt: skip
    peer.leave()
    assert not streams._lines


def test_subscriptions_are_bounded(streams):
    """SUBSCRIPTIONS_MAX is refused to be passed, and changes nothing."""
    peer, names = peer_of(streams), [market.name for market in streams._venue.markets.values()]
    topics = [(channel, interval) for channel in CHANNELS for interval in INTERVALS_MS]
    peer.topics = {
        streams.topic("book", names[0], 50)._replace(instrument=f"X{n}") for n in range(SUBSCRIPTIONS_MAX - 1)
    }
    peer.ask(subscribe(names[0], topics[0]), 0.0)
    assert sent(peer)[0]["type"] == "subscribed"
    peer.ask(subscribe(names[0], topics[1]), 0.0)
    assert sent(peer)[0]["code"] == "subscriptions_max"
    assert len(peer.topics) == SUBSCRIPTIONS_MAX
    peer.leave()


def test_requests_are_bounded(streams):
    """REQUESTS_MAX at once are answered, one more ends the connection; later there is room again."""
    peer = peer_of(streams)
    for _ in range(REQUESTS_MAX):
        peer.ask('{"op": "ping"}', 0.0)
    assert not peer.close_code
    peer.ask('{"op": "ping"}', 1.0 / REQUESTS_PER_S)
    assert not peer.close_code
    peer.ask('{"op": "ping"}', 1.0 / REQUESTS_PER_S)
    assert peer.close_code == POLICY


def test_snapshots_are_bounded(streams):
    """SNAPSHOTS_MAX channels may be begun at once, though few at a time; one more ends the connection."""
    peer, name = peer_of(streams), name_of(streams)
    topics = [(channel, interval) for channel in CHANNELS for interval in INTERVALS_MS][:20]
    leaving = subscribe(name, *topics).replace("subscribe", "unsubscribe")
    for _ in range(SNAPSHOTS_MAX // 20):
        assert not peer.close_code
        peer.ask(subscribe(name, *topics), 0.0)
        peer.ask(leaving, 0.0)
    assert not peer.close_code
    peer.ask(subscribe(name, topics[0]), 0.0)
    assert peer.close_code == POLICY
    assert not streams._lines


def test_a_slow_reader_is_told_less_often_then_dropped(streams):
    """What waits is replaced by snapshots at the next interval, until there is none slower."""
    peer, name, large = peer_of(streams), name_of(streams), Message({"channel": "y" * (WAITING_BYTES // 2)})
    peer.ask(subscribe(name, ("book", 50)), 0.0)
    sent(peer)
    paces = []
    while not peer.close_code:
        paces.append(max(topic.interval_ms for topic in peer.topics))
        peer.line.has_room = False
        peer.hear(large)
        peer.hear(large)  # does not fit
        peer.line.has_room = True
        peer.flush()
        if not peer.close_code:
            assert [one["type"] for one in sent(peer)] == ["slowed", "snapshot"]
    assert paces == list(INTERVALS_MS)
    assert [peer.close_code, sent(peer), peer.line.woken] == [TOO_SLOW, [], 1]
    peer.leave()
    assert not streams._lines


def test_who_falls_behind_while_it_subscribes_hears_each_channel_once(streams):
    """What has no room for its snapshots is moved as a whole: nothing stays behind at the pace before."""
    peer, name = peer_of(streams), name_of(streams)
    peer.line.has_room = False
    peer._waiting_bytes = WAITING_BYTES - 600
    peer.ask(subscribe(name, *((channel, 50) for channel in CHANNELS if channel not in ("trades", "status"))), 0.0)
    assert not streams._lines
    peer.line.has_room = True
    peer.flush()
    assert {topic.interval_ms for topic in streams._lines} == {250}
    assert set(streams._lines) == peer.topics
    assert [one["type"] for one in sent(peer)][:2] == ["subscribed", "slowed"]
    peer.leave()
    assert not streams._lines


def test_who_falls_behind_still_hears_answers_and_of_the_venue(streams):
    """Only what channels told is left out; answers beyond the bound end the connection."""
    peer, name = peer_of(streams), name_of(streams)
    peer.ask(subscribe(name, ("book", 50)), 0.0)
    sent(peer)
    peer.line.has_room = False
    peer.hear(Message({"type": "venue", "is_live": False}))
    for _ in range(2):
        peer.hear(Message({"channel": "y" * (WAITING_BYTES // 2)}))
    peer.ask('{"op": "ping"}', 0.0)
    peer.line.has_room = True
    peer.flush()
    assert [one["type"] for one in sent(peer)] == ["venue", "pong", "slowed", "snapshot"]
    peer.line.has_room = False
    while not peer.close_code:
        peer.hear(Message({"type": "y" * (WAITING_BYTES // 4)}))
    assert peer.close_code == TOO_SLOW
    peer.leave()


def test_what_waits_goes_out_in_order_when_there_is_room(streams):
    """Nothing overtakes what waits, and nothing is sent twice."""
    peer = peer_of(streams)
    peer.line.has_room = False
    peer.hear(Message({"n": 1}))
    peer.line.has_room = True
    peer.hear(Message({"n": 2}))
    peer.flush()
    peer.hear(Message({"n": 3}))
    assert [one["n"] for one in sent(peer)] == [1, 2, 3]


def test_what_waits_is_bounded_at_the_byte(streams):
    """Exactly WAITING_BYTES may wait; one byte more makes a client without subscriptions leave."""
    for more, code in ((0, 0), (1, TOO_SLOW)):
        peer = peer_of(streams)
        peer.line.has_room = False
        small = Message({"x": "y" * (10 + more)})
        large = Message({"x": ""})
        large = Message({"x": "y" * (WAITING_BYTES - len(Message({"x": "y" * 10}).json()) - len(large.json()) - 8)})
        assert len(large.json()) + len(Message({"x": "y" * 10}).json()) == WAITING_BYTES
        peer.hear(large)
        peer.hear(small)
        assert peer.close_code == code
