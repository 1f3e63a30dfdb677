"""What the web gateway knows of the venue: instruments, books, tapes, states and candles, kept from events alone.

Invariants: `seq` is that of the last command all of whose events are taken in; what is answered is of that moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np

from gateways.book import Books
from gateways.web import forms
from gateways.web.candles import Candles
from gateways.web.errors import unknown_instrument
from kk99.decimals import Precision
from kk99.schema import CallPurpose, EventKind, MarketState, Side, StateReason

if TYPE_CHECKING:
    from gateways.book import Change, Depth, MarketView
    from gateways.query import Image
    from gateways.web.candles import Candle
    from kk99.batch import Events

_DEFINITIONS = (EventKind.INSTRUMENT_DEFINED, EventKind.INSTRUMENT_CHANGED, EventKind.ASSET_DEFINED)


class Market:
    """One instrument's documents and how its numbers are written, beside its book and its candles."""

    def __init__(self, document: dict[str, Any], precision: Precision, view: MarketView) -> None:
        self.name: str = document["name"]
        self.document = document
        self.precision = precision
        self.view = view
        self.candles = Candles()


class Venue:
    """All markets; none before `begin`."""

    def __init__(self) -> None:
        self.markets: dict[int, Market] = {}
        self.seq = 0
        self.time_ns = 0
        self._numbers: dict[str, int] = {}
        self._assets: dict[str, dict[str, Any]] = {}
        self._books = Books()

    def begin(self, image: Image) -> None:
        """Take the engine's image, in place of all that was known but for the candles of the same venue."""
        kept = {market.name: market.candles for market in self.markets.values() if image.seq >= self.seq}
        self.markets, self._numbers, self._assets, self._books = {}, {}, {}, Books()
        self._books.begin(image.frames)
        for frame in image.frames:
            self._define(frame)
        for market in self.markets.values():
            market.candles = kept.get(market.name, market.candles)
            market.view.status = market.view.status._replace(time_ns=0)  # an image does not tell since when
        self.seq = image.seq
        self.time_ns = max((int(frame.rows["time_ns"][-1]) for frame in image.frames if len(frame.rows)), default=0)

    def take(self, events: Events) -> dict[int, Change]:
        """Take a frame of events; return what has changed, by instrument, since changes were returned last."""
        rows = events.rows
        if not len(rows):
            return {}
        self._books.follow(events)
        self._define(events)
        trades = rows[rows["kind"] == EventKind.TRADE]
        columns = (trades[name].tolist() for name in ("instrument_id", "time_ns", "price_ticks", "qty_lots"))
        for instrument_id, *trade in zip(*columns, strict=True):
            self.markets[instrument_id].candles.trade(*trade)
        changes = self._books.changes()
        if events.last_seq >= int(rows["cause_seq"][-1]):
            self.seq, self.time_ns = int(rows["cause_seq"][-1]), int(rows["time_ns"][-1])
        return changes

    def market(self, name: str) -> Market:
        """Return a market by its instrument's name, or raise `RequestError`."""
        number = self._numbers.get(name)
        if number is None:
            raise unknown_instrument(name)
        return self.markets[number]

    def number_of(self, market: Market) -> int:
        """Return the number of a market's instrument."""
        return self._numbers[market.name]

    def not_open(self) -> list[str]:
        """Return the names of instruments whose market is not OPEN."""
        return [market.name for market in self.markets.values() if market.view.status.state != MarketState.OPEN]

    # As they are told -------------------------------------------------------------------------------------------------

    def instrument(self, market: Market) -> forms.Instrument:
        """Return an instrument's terms and state."""
        document, precision, status = market.document, market.precision, market.view.status
        return forms.Instrument(
            name=market.name,
            base=document["base"],
            quote=document["quote"],
            price_step=precision.price_text(document["tick_step"]),
            quantity_step=precision.qty_text(document["lot_step"]),
            min_quantity=precision.qty_text(document["min_qty_lots"]),
            max_quantity=precision.qty_text(document["max_qty_lots"]),
            max_price=precision.price_text(document["max_price_ticks"]),
            state=MarketState(status.state).name,
            call_purpose=CallPurpose(status.call_purpose).name if status.call_purpose else "",
            state_reason=StateReason(status.reason).name if status.reason else "",
            state_since_ns=status.time_ns,
        )

    def book(self, market: Market, depth: int = 0) -> forms.Book:
        """Return the best levels of both sides, at most so many of each (0: all)."""
        bids, asks = self.levels(market, market.view.bids, depth), self.levels(market, market.view.asks, depth)
        return forms.Book(instrument=market.name, seq=self.seq, time_ns=self.time_ns, bids=bids, asks=asks)

    def levels(self, market: Market, side: Depth, depth: int) -> list[forms.Level]:
        """Return the best levels of one side."""
        price, qty = market.precision.price_text, market.precision.qty_text
        return [
            forms.Level(price(price_ticks), qty(level.qty_lots), level.orders)
            for price_ticks, level in side.top(depth).items()
        ]

    def level(self, market: Market, side: Depth, price_ticks: int) -> forms.Level:
        """Return what a side shows at a price now, "0" for nothing."""
        found = side.at(price_ticks)
        price = market.precision.price_text(price_ticks)
        if found is None:
            return forms.Level(price, "0", 0)
        return forms.Level(price, market.precision.qty_text(found.qty_lots), found.orders)

    def trades(self, market: Market, count: int) -> list[forms.Trade]:
        """Return at most so many (1 or more) of the latest trades since the gateway's start, the latest last."""
        precision = market.precision
        return [
            forms.Trade(
                trade_id=trade.trade_id,
                time_ns=trade.time_ns,
                price=precision.price_text(trade.price_ticks),
                quantity=precision.qty_text(trade.qty_lots),
                aggressor=Side(trade.side).name,
            )
            for trade in [trade for trade in market.view.tape if trade.trade_id][-count:]
        ]

    def ticker(self, market: Market) -> forms.Ticker:
        """Return a market at a glance."""
        bids, asks, precision = market.view.bids, market.view.asks, market.precision
        bid, ask = bids.best(), asks.best()
        bid_level, ask_level = bids.at(bid), asks.at(ask)
        day = market.candles.statistics(self.time_ns)
        last = market.view.tape[-1].price_ticks if market.view.tape else 0

        def price(price_ticks: int) -> str:
            return precision.price_text(price_ticks) if price_ticks else ""

        return forms.Ticker(
            instrument=market.name,
            seq=self.seq,
            time_ns=self.time_ns,
            state=MarketState(market.view.status.state).name,
            last=price(last),
            bid=price(bid),
            bid_quantity=precision.qty_text(bid_level.qty_lots) if bid_level else "",
            ask=price(ask),
            ask_quantity=precision.qty_text(ask_level.qty_lots) if ask_level else "",
            open_24h=price(day.open_ticks),
            high_24h=price(day.high_ticks),
            low_24h=price(day.low_ticks),
            volume_24h=precision.qty_text(day.volume_lots),
            trades_24h=day.trades,
        )

    def candles(self, market: Market, candles: list[Candle]) -> list[forms.Candle]:
        """Return candles of a market as they are told."""
        price, qty = market.precision.price_text, market.precision.qty_text
        return [
            forms.Candle(
                candle.open_time_s,
                price(candle.open_ticks),
                price(candle.high_ticks),
                price(candle.low_ticks),
                price(candle.close_ticks),
                qty(candle.volume_lots),
                candle.trades,
            )
            for candle in candles
        ]

    # Inside -----------------------------------------------------------------------------------------------------------

    def _define(self, events: Events) -> None:
        rows = events.rows
        for row in rows[np.isin(rows["kind"], _DEFINITIONS)]:
            start = int(row["document_offset"])
            document = msgpack.unpackb(bytes(events.tail[start : start + int(row["document_size"])]))
            if row["kind"] == EventKind.ASSET_DEFINED:
                self._assets[document["name"]] = document
                continue
            number = int(document["number"])
            known = self.markets.get(number)
            if known is not None:
                known.document = document
                continue
            precision = Precision.of(document, self._assets[document["base"]], self._assets[document["quote"]])
            self.markets[number] = Market(document, precision, self._books.markets[number])
            self._numbers[document["name"]] = number
