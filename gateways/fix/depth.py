"""What a MarketDataRequest asked for: of each instrument what its client was told last, and what is to be told next.

A request's messages are made when there is room to send them: snapshots (W), then what has changed since (X).

Invariants:
- who applies each X to what the messages before it told has the book of the latest one, level by level;
- what waits is bounded: of levels the prices that changed, however often; of trades TRADES_WAITING_MAX; when more
  levels changed than there are, a snapshot is told in their place.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from gateways.fix.codec import timestamp_text
from kk99.schema import EventKind, Side

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateways.book import Change, Level, MarketView, Told, Trade
    from gateways.fix.answers import Field
    from gateways.fix.listing import Instrument

Message = tuple[str, "list[Field]"]
"""A MsgType, and the fields of a body in order."""

BID: Final = b"0"
OFFER: Final = b"1"
TRADE: Final = b"2"
TRADES_WAITING_MAX: Final = 10_000
"""Trades of one instrument that wait to be told, many times what comes in a turn; who is slower is logged out."""
RESYNC_LEVELS: Final = 256
"""So many changed levels are told one by one, whatever the book's size."""
ENTRIES_MAX: Final = 500
"""Entries of one X."""
_NEW: Final = b"0"
_CHANGE: Final = b"1"
_DELETE: Final = b"2"
_SIDES: Final = ((Side.BUY, BID), (Side.SELL, OFFER))
_TRADE_ACTIONS: Final = {
    EventKind.TRADE: _NEW,
    EventKind.TRADE_CORRECTED: _CHANGE,
    EventKind.TRADE_BUSTED: _DELETE,
}


class Watch:
    """One instrument of a request: the best `depth` levels (0: all) of the kinds of entries asked for."""

    def __init__(self, instrument: Instrument, view: MarketView, depth: int, kinds: frozenset[bytes]) -> None:
        self.instrument = instrument
        self.wants_snapshot = True
        self.is_slow = False
        """Whether more trades waited than may."""
        self._view = view
        self._depth = depth
        self._kinds = kinds
        self._is_new = True
        self._sides = [(side, kind) for side, kind in _SIDES if kind in kinds]
        self._told: dict[int, dict[int, Level]] = {side: {} for side, _ in self._sides}
        self._dirty: dict[int, set[int]] = {side: set() for side, _ in self._sides}
        self._trades: deque[Told] = deque()

    def note(self, change: Change) -> bool:
        """Take what has changed; whether there is something to tell."""
        for side, prices in self._dirty.items():
            prices.update(change.bids if side == Side.BUY else change.asks)
        if TRADE in self._kinds and not self._is_new:
            self._trades.extend(change.trades)
            self.is_slow = self.is_slow or len(self._trades) > TRADES_WAITING_MAX
            if self.is_slow:
                self._trades.clear()
        waiting = sum(len(prices) for prices in self._dirty.values())
        if waiting > RESYNC_LEVELS and waiting > sum(len(self._view.side(side)) for side in self._dirty):
            self.wants_snapshot = True
        return self.is_due

    @property
    def is_due(self) -> bool:
        """Whether there may be something to tell."""
        return self.wants_snapshot or bool(self._trades) or any(self._dirty.values())

    def snapshot(self) -> list[Field]:
        """Return the body of a W behind MDReqID; what it tells is told."""
        self.wants_snapshot = self._is_new = False
        entries: list[Field] = []
        count = 0
        for side, kind in self._sides:
            levels = self._told[side] = self._view.side(side).top(self._depth)
            self._dirty[side].clear()
            count += len(levels)
            for price_ticks, level in levels.items():
                entries += ((269, kind), *self._price(price_ticks), *self._size(level))
        if TRADE in self._kinds and self._view.tape:
            trade = self._view.tape[-1]
            entries += ((269, TRADE), *self._price(trade.price_ticks))
            if trade.trade_id:
                entries += ((271, self.instrument.qty(trade.qty_lots)), *_when(trade.time_ns))
            count += 1
        return [(55, self.instrument.name.encode()), (268, b"%d" % count), *entries]

    def trades(self, limit: int) -> list[list[Field]]:
        """Return entries of an X for trades, at most so many."""
        return [self._trade(self._trades.popleft()) for _ in range(min(limit, len(self._trades)))]

    def levels(self, limit: int) -> list[list[Field]]:
        """Return entries of an X for levels that changed, at most so many (of a bounded depth: of both sides all)."""
        made: list[list[Field]] = []
        for side, kind in self._sides:
            found = self._top_changes(side) if self._depth else self._changes(side, limit - len(made))
            for price_ticks, level in found:
                made.append(self._entry(side, kind, price_ticks, level))
        return made

    def has_news(self) -> bool:
        """Whether a snapshot would tell something else than was told last."""
        if self.wants_snapshot or self._trades:
            return True
        return any(self._view.side(side).top(self._depth) != self._told[side] for side, _ in self._sides)

    def forget(self) -> None:
        """Take what waits as told, as a snapshot will tell it."""
        self._trades.clear()
        for prices in self._dirty.values():
            prices.clear()

    def _top_changes(self, side: int) -> list[tuple[int, Level | None]]:
        """Return what differs from what was told of the best levels: what is gone, then what is there."""
        if not self._dirty[side]:
            return []
        self._dirty[side].clear()
        told, now = self._told[side], self._view.side(side).top(self._depth)
        gone: list[tuple[int, Level | None]] = [(price, None) for price in told if price not in now]
        return gone + [(price, level) for price, level in now.items() if told.get(price) != level]

    def _changes(self, side: int, limit: int) -> list[tuple[int, Level | None]]:
        """Return what differs from what was told at the prices that changed, at most so many."""
        told, depth, dirty = self._told[side], self._view.side(side), self._dirty[side]
        chosen = sorted(dirty, reverse=side == Side.BUY)[: max(limit, 0)]
        dirty.difference_update(chosen)
        return [(price, depth.at(price)) for price in chosen if depth.at(price) != told.get(price)]

    def _entry(self, side: int, kind: bytes, price_ticks: int, level: Level | None) -> list[Field]:
        told = self._told[side]
        action = _DELETE if level is None else _CHANGE if price_ticks in told else _NEW
        if level is None:
            del told[price_ticks]
        else:
            told[price_ticks] = level
        size = () if level is None else self._size(level)
        name = (55, self.instrument.name.encode())
        return [(279, action), (269, kind), name, *self._price(price_ticks), *size]

    def _trade(self, told: Told) -> list[Field]:
        trade: Trade = told.trade
        name = (55, self.instrument.name.encode())
        what = [(279, _TRADE_ACTIONS[EventKind(told.kind)]), (269, TRADE), (278, b"%d" % trade.trade_id), name]
        qty = (271, self.instrument.qty(trade.qty_lots))
        return [*what, *self._price(trade.price_ticks), qty, *_when(trade.time_ns)]

    def _price(self, price_ticks: int) -> tuple[Field]:
        return ((270, self.instrument.price(price_ticks)),)

    def _size(self, level: Level) -> tuple[Field, Field]:
        return (271, self.instrument.qty(level.qty_lots)), (346, b"%d" % level.orders)


class BookRequest:
    """A MarketDataRequest that was granted; its messages bear its MDReqID."""

    def __init__(self, request_id: bytes, watches: Iterable[Watch], *, is_incremental: bool) -> None:
        self.request_id = request_id
        self.watches = list(watches)
        self._is_incremental = is_incremental
        self._due = dict.fromkeys(self.watches)
        """Those that may have something to tell, the longest waiting first."""

    def note(self, watch: Watch, change: Change) -> None:
        """Take what has changed of an instrument."""
        if watch.note(change):
            self._due[watch] = None

    def resync(self) -> None:
        """Tell everything anew, as its client may have lost what it was told."""
        for watch in self.watches:
            watch.wants_snapshot = True
            self._due[watch] = None

    def next(self) -> Message | None:
        """Return the next message, None if there is nothing to tell."""
        if self._is_incremental and (entries := self._news()):
            fields = [field for entry in entries for field in entry]
            return "X", [(262, self.request_id), (268, b"%d" % len(entries)), *fields]
        for watch in list(self._due):
            del self._due[watch]
            if watch.wants_snapshot or (not self._is_incremental and watch.has_news()):
                body = watch.snapshot()
                watch.forget()
                return "W", [(262, self.request_id), *body]
            watch.forget()
        return None

    def _news(self) -> list[list[Field]]:
        """Return the entries of the next X; a snapshot goes behind the trades before it."""
        entries: list[list[Field]] = []
        for watch in list(self._due):
            entries += watch.trades(ENTRIES_MAX - len(entries))
            if not watch.wants_snapshot:
                entries += watch.levels(ENTRIES_MAX - len(entries))
                if not watch.is_due:
                    del self._due[watch]
            if len(entries) >= ENTRIES_MAX:
                break
        return entries


def _when(time_ns: int) -> tuple[Field, Field]:
    """Return MDEntryDate and MDEntryTime."""
    date, _, time = timestamp_text(time_ns).partition("-")
    return (272, date.encode()), (273, time.encode())
