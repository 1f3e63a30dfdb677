"""What subscribers hear: channels, each made once for all who hear it at the same pace.

A subscription is to a channel of an instrument at an interval: a change is told at once if the interval has passed
since the last one, else when it has (in the mean: one that was late does not delay the next). What changes in between
is conflated: a `book` update tells each level that changed as it now stands and spans a range of sequences, `from_seq`
being the `to_seq` of the update or snapshot before; `trades` and `status` are told one by one, nothing of them is left
out; `ticker` and `candles` as they now stand.

Invariants: an update is made, and encoded, once for an instrument, channel and interval; who subscribes hears a
snapshot first, at exactly the sequence from which the next update goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from gateways.web.candles import INTERVALS_S
from gateways.web.errors import Kind, RequestError
from gateways.web.wire import framed
from kk99.schema import CallPurpose, EventKind, MarketState, Side, StateReason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateways.book import Change
    from gateways.web.forms import Level
    from gateways.web.venue import Market, Venue

INTERVALS_MS: Final = (50, 250, 1_000)
"""Paces at which a subscriber can be told; one who can't keep up is moved to the next."""
BOOK, TRADES, TICKER, STATUS, CANDLES = "book", "trades", "ticker", "status", "candles"
CHANNELS: Final = (BOOK, TRADES, TICKER, STATUS, *(f"{CANDLES}:{name}" for name in INTERVALS_S))
_CONFLATED: Final = frozenset(CHANNELS) - {TRADES, STATUS}
_SNAPSHOT_TRADES: Final = 50
_SNAPSHOT_CANDLES: Final = 50


class Topic(NamedTuple):
    """What can be subscribed to."""

    channel: str
    instrument: str
    interval_ms: int


class Subscriber(Protocol):
    """One who hears."""

    def hear(self, message: Message) -> None:
        """Take a message, to be sent in its turn."""


class Message:
    """A message, encoded and framed at most once in each format."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self._json: bytes | None = None
        self._msgpack: bytes | None = None

    def json(self) -> bytes:
        """Return it as JSON, in a text frame."""
        if self._json is None:
            self._json = framed(msgspec.json.encode(self.content), is_text=True)
        return self._json

    def msgpack(self) -> bytes:
        """Return it as msgpack, in a binary frame."""
        if self._msgpack is None:
            self._msgpack = framed(msgspec.msgpack.encode(self.content), is_text=False)
        return self._msgpack


@dataclass(slots=True)
class _Line:
    """A topic that is heard: by whom, what has changed since it was last told, and the sequence it was told of."""

    market: Market
    told_seq: int
    due_s: float = 0.0
    """When it may be told next."""
    is_waiting: bool = False
    """Whether it is in the heap of what is to be told."""
    subscribers: set[Subscriber] = field(default_factory=set)
    bids: set[int] = field(default_factory=set)
    asks: set[int] = field(default_factory=set)
    news: list[dict[str, Any]] = field(default_factory=list)
    """Trades or states."""
    candle_s: int = 0
    """When the last candle began that was told."""
    is_changed: bool = False


class Streams:
    """All topics that are heard."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._lines: dict[Topic, _Line] = {}
        self._by_instrument: dict[str, set[Topic]] = {}
        self._waiting: list[tuple[float, Topic]] = []
        """A heap of what has changed: when it may be told, what."""

    def topic(self, channel: str, instrument: str, interval_ms: int) -> Topic:
        """Return a topic that there is, or raise `RequestError`."""
        if channel not in CHANNELS:
            raise RequestError(
                Kind.VALIDATION, "channel_unknown", f"channel is one of {', '.join(CHANNELS)}", "channel"
            )
        if interval_ms not in INTERVALS_MS:
            choices = ", ".join(map(str, INTERVALS_MS))
            raise RequestError(Kind.VALIDATION, "interval_unknown", f"interval_ms is one of {choices}", "interval_ms")
        return Topic(channel, self._venue.market(instrument).name, interval_ms)

    def subscribe(self, subscriber: Subscriber, topic: Topic) -> None:
        """Let a subscriber hear a topic: first its snapshot."""
        market = self._venue.market(topic.instrument)
        line = self._lines.get(topic)
        if line is None:
            line = self._lines[topic] = _Line(market, self._venue.seq)
            line.candle_s = _last_candle_s(topic, market)
            self._by_instrument.setdefault(topic.instrument, set()).add(topic)
        else:
            self._tell(topic, line)
        line.subscribers.add(subscriber)
        subscriber.hear(self._snapshot(topic, market))

    def unsubscribe(self, subscriber: Subscriber, topic: Topic) -> None:
        """Let a subscriber no longer hear a topic."""
        line = self._lines.get(topic)
        if line is None:
            return
        line.subscribers.discard(subscriber)
        if not line.subscribers:
            del self._lines[topic]
            self._by_instrument[topic.instrument].discard(topic)

    def take(self, changes: dict[int, Change], now_s: float) -> None:
        """Note what has changed in the markets; tell what may be told now, by a clock that never goes back."""
        for instrument_id, change in changes.items():
            market = self._venue.markets[instrument_id]
            for topic in self._by_instrument.get(market.name, ()):
                line = self._lines[topic]
                _note(topic, line, change)
                if line.is_changed and not line.is_waiting:
                    line.is_waiting = True
                    heappush(self._waiting, (line.due_s, topic))
        self.tell_due(now_s)

    def tell_due(self, now_s: float) -> None:
        """Tell what may be told by now."""
        while self._waiting and self._waiting[0][0] <= now_s:
            _, topic = heappop(self._waiting)
            line = self._lines.get(topic)
            if line is not None and line.is_waiting:
                line.is_waiting = False
                # From when it was due, not from now: else what comes at that very pace would wait longer each time.
                interval_s = topic.interval_ms / 1_000
                line.due_s = max(line.due_s + interval_s, now_s + interval_s / 2)
                self._tell(topic, line)

    def begin_again(self) -> None:
        """Tell everyone a snapshot, as what happened since the last update is not known."""
        for topic, line in self._lines.items():
            market = self._venue.market(topic.instrument)
            line.market, line.told_seq, line.is_changed = market, self._venue.seq, False
            line.bids, line.asks, line.news = set(), set(), []
            _give(line.subscribers, self._snapshot(topic, market))

    # Inside -----------------------------------------------------------------------------------------------------------

    def _tell(self, topic: Topic, line: _Line) -> None:
        if not line.is_changed:
            return
        message = Message(self._update(topic, line))
        line.bids, line.asks, line.news, line.is_changed = set(), set(), [], False
        line.told_seq = self._venue.seq
        _give(line.subscribers, message)

    def _head(self, topic: Topic, kind: str) -> dict[str, Any]:
        return {
            "channel": topic.channel,
            "type": kind,
            "instrument": topic.instrument,
            "interval_ms": topic.interval_ms,
        }

    def _update(self, topic: Topic, line: _Line) -> dict[str, Any]:
        venue, market = self._venue, line.market
        content = self._head(topic, "update") | {"seq": venue.seq, "time_ns": venue.time_ns}
        if topic.channel == BOOK:
            content |= {
                "from_seq": line.told_seq,
                "to_seq": venue.seq,
                "bids": self._levels(market, Side.BUY, line.bids),
                "asks": self._levels(market, Side.SELL, line.asks),
            }
        elif topic.channel in (TRADES, STATUS):
            content[topic.channel] = line.news
        elif topic.channel == TICKER:
            content[TICKER] = venue.ticker(market)
        else:  # each that changed: the one told of last may have gone on before the next began
            candles = market.candles.since(_interval(topic), line.candle_s)
            line.candle_s = candles[-1].open_time_s
            content[CANDLES] = venue.candles(market, candles)
        return content

    def _snapshot(self, topic: Topic, market: Market) -> Message:
        venue = self._venue
        content = self._head(topic, "snapshot") | {"seq": venue.seq, "time_ns": venue.time_ns}
        if topic.channel == BOOK:
            line = self._lines[topic]
            content |= {
                "to_seq": line.told_seq,
                "bids": venue.levels(market, market.view.bids, 0),
                "asks": venue.levels(market, market.view.asks, 0),
            }
        elif topic.channel == TRADES:
            content[TRADES] = venue.trades(market, _SNAPSHOT_TRADES)
        elif topic.channel == STATUS:
            content[STATUS] = [_status(*market.view.status)]
        elif topic.channel == TICKER:
            content[TICKER] = venue.ticker(market)
        else:
            candles = market.candles.latest(_interval(topic), _SNAPSHOT_CANDLES)
            content[CANDLES] = venue.candles(market, candles)
        return Message(content)

    def _levels(self, market: Market, side: int, prices: Iterable[int]) -> list[Level]:
        depth = market.view.side(side)
        return [self._venue.level(market, depth, price) for price in sorted(prices, reverse=side == Side.BUY)]


def _note(topic: Topic, line: _Line, change: Change) -> None:
    """Note for one topic what has changed of its instrument."""
    if topic.channel == BOOK:
        line.bids |= change.bids
        line.asks |= change.asks
        line.is_changed |= bool(change.bids or change.asks)
    elif topic.channel == TRADES:
        price, qty = line.market.precision.price_text, line.market.precision.qty_text
        for kind, trade in change.trades:
            line.news.append(
                {
                    "event": EventKind(kind).name,
                    "trade_id": trade.trade_id,
                    "time_ns": trade.time_ns,
                    "price": price(trade.price_ticks),
                    "quantity": qty(trade.qty_lots),
                    "aggressor": Side(trade.side).name,
                }
            )
        line.is_changed |= bool(change.trades)
    elif topic.channel == STATUS:
        line.news += [_status(*status) for status in change.states]
        line.is_changed |= bool(change.states)
    elif topic.channel == TICKER:
        line.is_changed |= bool(change.bids or change.asks or change.trades or change.states)
    else:
        line.is_changed |= any(kind == EventKind.TRADE for kind, _ in change.trades)


def _status(state: int, call_purpose: int, reason: int, time_ns: int) -> dict[str, Any]:
    """Return a market's state as it is told."""
    return {
        "state": MarketState(state).name,
        "call_purpose": CallPurpose(call_purpose).name if call_purpose else "",
        "state_reason": StateReason(reason).name if reason else "",
        "time_ns": time_ns,
    }


def _interval(topic: Topic) -> str:
    """Return the length of a candle of one of their channels."""
    return topic.channel.partition(":")[2]


def _last_candle_s(topic: Topic, market: Market) -> int:
    """Return when the last candle of one of their channels began; 0 if there is none, or of another channel."""
    candles = market.candles.latest(_interval(topic), 1) if topic.channel.startswith(CANDLES) else []
    return candles[-1].open_time_s if candles else 0


def _give(subscribers: Iterable[Subscriber], message: Message) -> None:
    for subscriber in list(subscribers):  # who reads too slowly leaves
        subscriber.hear(message)


def slower(topic: Topic) -> Topic | None:
    """Return the topic at the next slower interval, None if it is told one by one or at the slowest already."""
    if topic.channel not in _CONFLATED or topic.interval_ms == INTERVALS_MS[-1]:
        return None
    return topic._replace(interval_ms=INTERVALS_MS[INTERVALS_MS.index(topic.interval_ms) + 1])
