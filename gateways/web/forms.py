"""The bodies of answers: prices and quantities as decimal text, times in nanoseconds since 1970 (UTC)."""

from __future__ import annotations

import msgspec


class Instrument(msgspec.Struct, kw_only=True):
    """An instrument as it can be traded."""

    name: str
    base: str
    """The asset that is traded."""
    quote: str
    """The asset that it is paid in."""
    price_step: str
    """Prices are whole multiples of this."""
    quantity_step: str
    min_quantity: str
    max_quantity: str
    max_price: str
    state: str
    """A MarketState: OPEN, HALTED, CALL and so on."""
    call_purpose: str
    """What an auction call is for, empty without one."""
    state_reason: str
    """Why the venue itself put the market in its state; empty for an operator's order, or before this gateway began."""
    state_since_ns: int
    """0: before this gateway began."""


class Level(msgspec.Struct, array_like=True):
    """A price level: [price, quantity, number of orders]; quantity "0" means that it is gone."""

    price: str
    quantity: str
    orders: int


class Book(msgspec.Struct, kw_only=True):
    """A book, the best prices first; of icebergs what they show."""

    instrument: str
    seq: int
    """Of the last command whose effect is in it."""
    time_ns: int
    bids: list[Level]
    asks: list[Level]


class Trade(msgspec.Struct, kw_only=True):
    """A trade, as it now stands."""

    trade_id: int
    time_ns: int
    price: str
    quantity: str
    aggressor: str
    """BUY or SELL."""


class Ticker(msgspec.Struct, kw_only=True):
    """A market at a glance; prices are empty where there is none."""

    instrument: str
    seq: int
    time_ns: int
    state: str
    last: str
    bid: str
    bid_quantity: str
    ask: str
    ask_quantity: str
    open_24h: str
    high_24h: str
    low_24h: str
    volume_24h: str
    trades_24h: int
    """The four of the last 24 hours count from this gateway's start at the earliest."""


class Candle(msgspec.Struct, array_like=True):
    """[open time in seconds, open, high, low, close, volume, number of trades]."""

    open_time_s: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: int


class Time(msgspec.Struct, kw_only=True):
    """The venue's time: that of its last command, and this gateway's clock."""

    venue_time_ns: int
    gateway_time_ns: int


class Status(msgspec.Struct, kw_only=True):
    """How the gateway and its engine fare."""

    is_ready: bool
    """Whether the engine answers and its events are followed."""
    seq: int
    time_ns: int
    behind_seqs: int
    """Commands whose events this gateway has yet to take in."""
    instruments: int
    not_open: list[str]
    """Instruments whose market is not OPEN, a halt by their circuit breakers included."""
    subscribers: int


class Live(msgspec.Struct, kw_only=True):
    """The process answers."""

    status: str = "live"
