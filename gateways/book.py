"""The books of all markets as a gateway shows them: price levels in order, the latest trades, states, and what changed.

`Books` is pure: event frames in, changes out. `BookReader` feeds one from the engine: its image, then its events.

Invariants:
- at the end of each command every level shows what the venue's book shows there, of an iceberg its display only;
- changes are handed out once;
- what is kept is bounded by the live orders, and for each market by TAPE_TRADES.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from gateways.client import Client
from kk99 import batch
from kk99.book import FOLLOWED, Book, Levels, events_of
from kk99.schema import EventKind, Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from kk99.batch import Events
    from kk99.book import Market

ROWS_AT_A_TIME: Final = 128
"""Events that a reader takes at a time, so that whoever shares its loop never waits long for it."""
TAPE_TRADES: Final = 256
"""Latest trades kept of each market."""
_DEFINITIONS: Final = (EventKind.INSTRUMENT_DEFINED, EventKind.INSTRUMENT_CHANGED)
_STATES: Final = (EventKind.MARKET_STATE_CHANGED, EventKind.INSTRUMENT_STATE_CHANGED)
_TRADES: Final = (EventKind.TRADE, EventKind.TRADE_BUSTED, EventKind.TRADE_CORRECTED)
_TOLD: Final = (*_STATES, *_TRADES, *_DEFINITIONS)
"""Kinds that change more of a market than its levels."""
_FOLLOWED: Final = np.array(sorted({*FOLLOWED, *_TOLD}))
_COLUMNS: Final = (
    "kind", "instrument_id", "time_ns", "state_reason", "call_purpose",
    "state", "trade_id", "price_ticks", "qty_lots", "side",
)  # fmt: skip


class Level(NamedTuple):
    """What a book shows at a price: lots, and of how many orders."""

    qty_lots: int
    orders: int


class Depth(Levels):
    """One side of a book with its prices in order, and those that were touched."""

    __slots__ = ("_keys", "_orders", "changed")

    def __init__(self, side: int) -> None:
        """Begin empty."""
        super().__init__(side)
        self.changed: set[int] = set()
        self._keys: list[int] = []  # the best price last, where lists grow and shrink for nothing
        self._orders: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, price_ticks: int, lots: int, orders: int = 0) -> None:
        """Show so many lots more at a price, or (negative) fewer, and so many orders more or fewer."""
        before, key = self.shown_lots.get(price_ticks, 0), -self._sign * price_ticks
        self.changed.add(price_ticks)
        if before + lots:
            self.shown_lots[price_ticks] = before + lots
            self._orders[price_ticks] = self._orders.get(price_ticks, 0) + orders
            if not before:
                insort(self._keys, key)
        elif before:
            del self.shown_lots[price_ticks], self._orders[price_ticks]
            del self._keys[bisect_left(self._keys, key)]

    def best(self) -> int:
        """Return the best price in ticks, 0 if there is none."""
        return -self._sign * self._keys[-1] if self._keys else 0

    def at(self, price_ticks: int) -> Level | None:
        """Return what is shown at a price, None if that is nothing."""
        qty_lots = self.shown_lots.get(price_ticks)
        return None if qty_lots is None else Level(qty_lots, self._orders[price_ticks])

    def top(self, count: int = 0) -> dict[int, Level]:
        """Return the best levels by price in ticks, the best first, at most so many (0: all)."""
        sign, shown_lots, orders = -self._sign, self.shown_lots, self._orders
        prices = [sign * key for key in reversed(self._keys[-count:])]
        return {price: Level(shown_lots[price], orders[price]) for price in prices}


class Trade(NamedTuple):
    """A trade; of the last one before the books were begun only the price is known, all else is 0."""

    trade_id: int
    time_ns: int
    price_ticks: int
    qty_lots: int
    side: int
    """The aggressor's."""


class Told(NamedTuple):
    """What happened to a trade: its `kind` is TRADE, TRADE_BUSTED or TRADE_CORRECTED."""

    kind: int
    trade: Trade


class Status(NamedTuple):
    """The state that a market was put in; `reason` is a StateReason, 0 of an operator's order."""

    state: int
    call_purpose: int
    reason: int
    time_ns: int


@dataclass(slots=True)
class Change:
    """What has changed of one market, since changes were handed out last."""

    bids: set[int] = field(default_factory=set)
    """Prices in ticks at which the book may show something else."""
    asks: set[int] = field(default_factory=set)
    trades: list[Told] = field(default_factory=list)
    states: list[Status] = field(default_factory=list)
    is_defined: bool = False
    """Whether the instrument is new, or its terms are."""


class MarketView:
    """One market: `bids` and `asks`, the latest trades with the last one last, its state."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self.tape: deque[Trade] = deque(maxlen=TAPE_TRADES)
        self.status = Status(market.state, market.call_purpose, 0, 0)

    @property
    def bids(self) -> Depth:
        """The levels of buyers."""
        assert isinstance(self._market.bids, Depth)
        return self._market.bids

    @property
    def asks(self) -> Depth:
        """The levels of sellers."""
        assert isinstance(self._market.asks, Depth)
        return self._market.asks

    def side(self, side: int) -> Depth:
        """Return the levels of a side."""
        return self.bids if side == Side.BUY else self.asks

    def undo(self, trade: Trade, *, is_bust: bool) -> None:
        """Take a trade off the tape, or give it its new price and quantity there."""
        kept = [known for known in self.tape if not (is_bust and known.trade_id == trade.trade_id)]
        self.tape.clear()
        self.tape.extend(trade if known.trade_id == trade.trade_id else known for known in kept)


class Books:
    """The books of all markets; empty at first."""

    def __init__(self) -> None:
        self.markets: dict[int, MarketView] = {}
        """By instrument."""
        self._book = Book(Depth)
        self._changes: dict[int, Change] = {}

    def begin(self, image: list[Events]) -> None:
        """Take the frames of an image; only for books that are empty."""
        for frame in image:
            self._take(frame)
            rows = frame.rows[frame.rows["kind"] == EventKind.INSTRUMENT_STATE_CHANGED]
            for instrument_id, price in zip(rows["instrument_id"].tolist(), rows["price_ticks"].tolist(), strict=True):
                if price:
                    self.markets[instrument_id].tape.append(Trade(0, 0, price, 0, 0))
        self._book.rest()
        self.changes()

    def follow(self, events: Events) -> None:
        """Take events of whole commands, as all frames of the engine hold them."""
        self._take(events)
        self._book.rest()

    def changes(self) -> dict[int, Change]:
        """Hand out what has changed, by instrument."""
        found, self._changes = self._changes, {}
        for instrument_id, change in found.items():
            view = self.markets[instrument_id]
            change.bids, view.bids.changed = view.bids.changed, set()
            change.asks, view.asks.changed = view.asks.changed, set()
        return found

    def _take(self, events: Events) -> None:
        book = self._book
        for event in events_of(events):
            book.settle(event)
            book.take(event)
        rows = events.rows[np.isin(events.rows["kind"], _FOLLOWED)]
        for instrument_id in np.unique(rows["instrument_id"]).tolist():
            if instrument_id not in self.markets:
                self.markets[instrument_id] = MarketView(book.markets[instrument_id])
            self._changes.setdefault(instrument_id, Change())
        told = rows[np.isin(rows["kind"], _TOLD)]
        for terms in zip(*(told[name].tolist() for name in _COLUMNS), strict=True):
            self._tell(*terms)

    def _tell(self, kind: int, instrument_id: int, time_ns: int, reason: int, call_purpose: int, *trade: int) -> None:
        view, change = self.markets[instrument_id], self._changes[instrument_id]
        if kind in _DEFINITIONS:
            change.is_defined = True
        elif kind in _STATES:
            why = reason if kind == EventKind.MARKET_STATE_CHANGED else 0
            view.status = Status(trade[0], call_purpose, why, time_ns)
            change.states.append(view.status)
        else:
            _, trade_id, price_ticks, qty_lots, side = trade
            told = Told(kind, Trade(trade_id, time_ns, price_ticks, qty_lots, side))
            if kind == EventKind.TRADE:
                view.tape.append(told.trade)
            else:
                view.undo(told.trade, is_bust=kind == EventKind.TRADE_BUSTED)
            change.trades.append(told)


def parts(events: Events, rows_at_a_time: int, ends: npt.NDArray[np.bool_] | None = None) -> Iterator[Events]:
    """Yield a frame in pieces of whole commands, of so many rows and those that end the command.

    `ends`, bool (n,), marks rows that end a piece whatever its length.
    """
    rows = events.rows
    ends = np.zeros(len(rows), np.bool_) if ends is None else ends
    is_last = np.append(rows["cause_seq"][1:] != rows["cause_seq"][:-1], True)[: len(rows)]
    begin = 0
    for end in (np.flatnonzero(ends | is_last) + 1).tolist():
        if ends[end - 1] or end == len(rows) or end - begin >= rows_at_a_time:
            yield batch.Events(rows[begin:end], events.tail, events.previous, events.last_seq)
            begin = end


class BookReader:
    """Follows the engine at `address` into books."""

    def __init__(self, address: str, also: Callable[[Events], None], *, timeout_s: float = 10.0) -> None:
        """Begin with an image; `also` is given every frame too. Raises `ClientError` when no engine answers."""
        self.books = Books()
        self._also = also
        with Client.connect(address, timeout_s=timeout_s) as asking:
            image = asking.image()
        for frame in image.frames:
            also(frame)
        self.books.begin(image.frames)
        self._client = Client.connect(address, after=image.last_event, timeout_s=timeout_s)
        self._parts: Iterator[Events] = iter(())

    def sockets(self) -> list[Any]:
        """Return what to wait on."""
        return list(self._client.sockets())

    def next(self) -> bool:
        """Take the next events; whether there were any. Raises `ClientError` when they are lost for good."""
        events = next(self._parts, None)
        if events is None:
            frame = self._client.poll_events(0)
            if frame is None or not len(frame.rows):
                return frame is not None
            self._parts = parts(frame, ROWS_AT_A_TIME)
            events = next(self._parts)
        self._also(events)
        self.books.follow(events)
        return True

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
