"""The figures of execution quality: what is summed for an order and for an instrument, and the ratios of it.

Invariant, a test: nothing stored is a float: sums are integers, and what is divided is a `Fraction` or, where there is
nothing to divide by, None.

Prices are in ticks, quantities in lots, their product in *tick-lots* (times the instrument's `tick_lot_units`: quote
units). The formulas stand in `docs/explanation/execution-quality.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from kk99.schema import BPS, MarketState, Side

if TYPE_CHECKING:
    from kk99.book import Market

LIVE: Final = "LIVE"


def _ratio(numerator: int, denominator: int) -> Fraction | None:
    return Fraction(numerator, denominator) if denominator else None


@dataclass(slots=True)
class InstrumentQuality:
    """How an instrument traded, and how it was quoted, from `from_time_ns` to `time_ns`.

    Sums over time run only while the market is OPEN: `priced_ns` while there is a last price, `quoted_ns` while there
    are both a bid and an ask.
    """

    instrument_id: int
    from_time_ns: int
    time_ns: int = 0
    trades: int = 0
    volume_lots: int = 0
    notional_tick_lots: int = 0
    first_ticks: int | None = None
    last_ticks: int | None = None
    high_ticks: int | None = None
    low_ticks: int | None = None
    price_ticks: int = 0
    """The last price there is, of a trade before `from_time_ns` too; 0: none."""
    priced_ns: int = 0
    price_tick_ns: int = 0
    quoted_ns: int = 0
    spread_tick_ns: int = 0
    bid_lot_ns: int = 0
    ask_lot_ns: int = 0

    def __post_init__(self) -> None:
        """Begin at the beginning."""
        self.time_ns = self.from_time_ns

    @property
    def vwap_ticks(self) -> Fraction | None:
        """Volume-weighted average price: notional / volume."""
        return _ratio(self.notional_tick_lots, self.volume_lots)

    @property
    def twap_ticks(self) -> Fraction | None:
        """Time-weighted average price: the sum of (last price * time it stood) / that time."""
        return _ratio(self.price_tick_ns, self.priced_ns)

    @property
    def mean_spread_ticks(self) -> Fraction | None:
        """Best ask less best bid, weighted by the time it stood."""
        return _ratio(self.spread_tick_ns, self.quoted_ns)

    @property
    def mean_bid_lots(self) -> Fraction | None:
        """Lots shown at the best bid, weighted by time."""
        return _ratio(self.bid_lot_ns, self.quoted_ns)

    @property
    def mean_ask_lots(self) -> Fraction | None:
        """Lots shown at the best ask, weighted by time."""
        return _ratio(self.ask_lot_ns, self.quoted_ns)

    def advance(self, time_ns: int, market: Market) -> None:
        """Let time pass up to now with the market as it stands."""
        passed_ns, self.time_ns = time_ns - self.time_ns, time_ns
        if market.state != MarketState.OPEN:
            return
        if self.price_ticks:
            self.priced_ns += passed_ns
            self.price_tick_ns += self.price_ticks * passed_ns
        quote = market.quote()
        if quote is not None:
            bid, ask = quote
            self.quoted_ns += passed_ns
            self.spread_tick_ns += (ask - bid) * passed_ns
            self.bid_lot_ns += market.bids.shown_lots[bid] * passed_ns
            self.ask_lot_ns += market.asks.shown_lots[ask] * passed_ns

    def trade(self, price_ticks: int, qty_lots: int) -> None:
        """Count a trade."""
        self.trades += 1
        self.volume_lots += qty_lots
        self.notional_tick_lots += price_ticks * qty_lots
        if self.first_ticks is None or self.high_ticks is None or self.low_ticks is None:
            self.first_ticks = self.high_ticks = self.low_ticks = price_ticks
        self.high_ticks, self.low_ticks = max(self.high_ticks, price_ticks), min(self.low_ticks, price_ticks)
        self.last_ticks = self.price_ticks = price_ticks


@dataclass(slots=True)
class OrderQuality:
    """How one order was executed, and how the market traded from its activation to its end or that of the run.

    Slippage is positive where the trader did worse than the benchmark: a buy above it, a sell below.
    """

    order_id: int
    account_id: int
    instrument_id: int
    side: int
    order_type: int
    time_in_force: int
    client_ids: list[tuple[int, int]]
    """(lo, hi): that of the entry first, then those of replaces."""
    parent_order_id: int
    entry_seq: int
    entry_time_ns: int
    qty_lots: int
    """Asked for; 0 for an order by budget."""
    budget_units: int
    """Of an order by budget, else 0."""
    active_time_ns: int | None = None
    arrival_half_ticks: int | None = None
    """Best bid + best ask at activation: twice the mid; None without one."""
    filled_lots: int = 0
    notional_tick_lots: int = 0
    maker_lots: int = 0
    fee_units: int = 0
    first_fill_time_ns: int | None = None
    end_time_ns: int | None = None
    ended: str = LIVE
    """FILLED, a CancelReason, or LIVE."""
    market_lots: int = 0
    market_tick_lots: int = 0
    market_priced_ns: int = 0
    market_price_tick_ns: int = 0

    def filled_ratio(self, tick_lot_units: int) -> Fraction | None:
        """Return filled / asked for: quantities, or of an order by budget the money spent with fees / the budget."""
        if self.budget_units:
            return Fraction(self.notional_tick_lots * tick_lot_units + self.fee_units, self.budget_units)
        return _ratio(self.filled_lots, self.qty_lots)

    @property
    def taker_lots(self) -> int:
        """Lots filled as the taker."""
        return self.filled_lots - self.maker_lots

    @property
    def average_ticks(self) -> Fraction | None:
        """Average price: notional / filled."""
        return _ratio(self.notional_tick_lots, self.filled_lots)

    @property
    def arrival_ticks(self) -> Fraction | None:
        """Arrival mid: (best bid + best ask) / 2 right before activation."""
        return None if self.arrival_half_ticks is None else Fraction(self.arrival_half_ticks, 2)

    @property
    def vwap_ticks(self) -> Fraction | None:
        """The market's VWAP during the order's life, its own trades included."""
        return _ratio(self.market_tick_lots, self.market_lots)

    @property
    def twap_ticks(self) -> Fraction | None:
        """The market's TWAP during the order's life."""
        return _ratio(self.market_price_tick_ns, self.market_priced_ns)

    def slippage_ticks(self, benchmark_ticks: Fraction | None) -> Fraction | None:
        """Return average - benchmark for a buy, benchmark - average for a sell; None without either."""
        average = self.average_ticks
        if average is None or benchmark_ticks is None:
            return None
        return average - benchmark_ticks if self.side == Side.BUY else benchmark_ticks - average

    def slippage_bps(self, benchmark_ticks: Fraction | None) -> Fraction | None:
        """Return the slippage / the benchmark, in basis points; None without slippage."""
        slippage = self.slippage_ticks(benchmark_ticks)
        return None if slippage is None or benchmark_ticks is None else slippage * BPS / benchmark_ticks

    @property
    def time_to_first_fill_ns(self) -> int | None:
        """From activation to the first fill."""
        return _between(self.active_time_ns, self.first_fill_time_ns)

    @property
    def time_to_end_ns(self) -> int | None:
        """From activation to the end."""
        return _between(self.active_time_ns, self.end_time_ns)

    def activate(self, time_ns: int, quote: tuple[int, int] | None, market: InstrumentQuality) -> None:
        """Begin the order's life in the market."""
        self.active_time_ns = time_ns
        self.arrival_half_ticks = None if quote is None else sum(quote)
        self._add_market(-1, market)

    def fill(self, time_ns: int, price_ticks: int, qty_lots: int, fee_units: int, *, is_maker: bool) -> None:
        """Count one fill."""
        self.filled_lots += qty_lots
        self.notional_tick_lots += price_ticks * qty_lots
        self.maker_lots += qty_lots if is_maker else 0
        self.fee_units += fee_units
        if self.first_fill_time_ns is None:
            self.first_fill_time_ns = time_ns

    def close(self, market: InstrumentQuality) -> None:
        """Take the market's sums as they stand at the end of the order's life, or of the run."""
        if self.active_time_ns is not None:
            self._add_market(1, market)

    def _add_market(self, sign: int, market: InstrumentQuality) -> None:
        self.market_lots += sign * market.volume_lots
        self.market_tick_lots += sign * market.notional_tick_lots
        self.market_priced_ns += sign * market.priced_ns
        self.market_price_tick_ns += sign * market.price_tick_ns


def _between(from_ns: int | None, to_ns: int | None) -> int | None:
    return None if from_ns is None or to_ns is None else to_ns - from_ns
