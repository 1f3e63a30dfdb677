"""The call auction: its one price, what is told of it during the call, and the uncross pair by pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kk99 import schema
from kk99.schema import EventKind, OrderType, Side
from tests.naive.linked import follow
from tests.naive.matching import trade
from tests.naive.states import Outcome

if TYPE_CHECKING:
    from tests.naive.records import Instrument, Order
    from tests.naive.venue import Venue


class Interest(NamedTuple):
    """An order in an auction: the worst price it takes, and all of its open quantity."""

    limit_ticks: int
    qty_lots: int
    is_market: bool = False


def outcome_at(bids: list[Interest], asks: list[Interest], price_ticks: int) -> Outcome:
    """What would trade at a price."""
    demand = sum(bid.qty_lots for bid in bids if bid.limit_ticks >= price_ticks)
    supply = sum(ask.qty_lots for ask in asks if ask.limit_ticks <= price_ticks)
    return Outcome(price_ticks, min(demand, supply), demand - supply)


def determine(bids: list[Interest], asks: list[Interest], reference_price_ticks: int) -> Outcome:
    """The price at which an auction uncrosses, which a book that crosses always has; a reference price of 0 is none."""
    if not bids or not asks:
        return Outcome()
    highest = max(bid.limit_ticks for bid in bids)
    lowest = min(ask.limit_ticks for ask in asks)
    if lowest > highest:
        return Outcome()
    limits = {order.limit_ticks for order in bids + asks if not order.is_market}
    candidates = {price for price in limits if lowest <= price <= highest}
    if not candidates:
        return outcome_at(bids, asks, max(lowest, min(reference_price_ticks or lowest, highest)))
    outcomes = [outcome_at(bids, asks, price) for price in sorted(candidates)]
    most = max(outcome.volume_lots for outcome in outcomes)
    outcomes = [outcome for outcome in outcomes if outcome.volume_lots == most]
    least = min(abs(outcome.surplus_lots) for outcome in outcomes)
    outcomes = [outcome for outcome in outcomes if abs(outcome.surplus_lots) == least]
    if all(outcome.surplus_lots > 0 for outcome in outcomes):
        return outcomes[-1]
    if all(outcome.surplus_lots < 0 for outcome in outcomes):
        return outcomes[0]
    return min(outcomes, key=lambda outcome: (abs(outcome.price_ticks - reference_price_ticks), outcome.price_ticks))


# In a market ----------------------------------------------------------------------------------------------------------


def interests(instrument: Instrument, side: int) -> list[Interest]:
    """The resting orders of a side."""
    return [
        Interest(order.limit_ticks, order.leaves_lots, order.order_type == OrderType.MARKET)
        for order in instrument.book.walk(side)
    ]


def crosses(instrument: Instrument) -> bool:
    """Whether the best bid is at or above the best ask."""
    bid, ask = instrument.book.best_price(Side.BUY), instrument.book.best_price(Side.SELL)
    return bid is not None and ask is not None and bid >= ask


def outcome_of(instrument: Instrument) -> Outcome:
    """What the book would trade if it were uncrossed now."""
    bids, asks = interests(instrument, Side.BUY), interests(instrument, Side.SELL)
    return determine(bids, asks, instrument.reference_price_ticks)


def tell(venue: Venue, kind: EventKind, instrument: Instrument, outcome: Outcome) -> None:
    """AUCTION_INDICATIVE or AUCTION_UNCROSSED."""
    venue.emit(
        kind,
        instrument_id=instrument.number,
        price_ticks=outcome.price_ticks,
        qty_lots=outcome.volume_lots,
        leaves_lots=outcome.surplus_lots,
    )


def next_pair(instrument: Instrument) -> tuple[Order, Order] | None:
    """The bid and the ask that trade next at the auction's price, None when no pair is left."""
    price_ticks = instrument.market.price_ticks
    bid, ask = instrument.book.best(Side.BUY), instrument.book.best(Side.SELL)
    if price_ticks == 0 or bid is None or ask is None:
        return None
    return (bid, ask) if bid.limit_ticks >= price_ticks >= ask.limit_ticks else None


def trade_pair(venue: Venue, instrument: Instrument) -> int:
    """Let the first pair trade at the auction's price; return the units."""
    pair = next_pair(instrument)
    assert pair is not None
    bid, ask = pair
    taker, maker = (ask, bid) if ask.entry_seq > bid.entry_seq else (bid, ask)
    lots = min(taker.leaves_lots, maker.leaves_lots)
    trade(venue, instrument, taker, maker, lots, instrument.market.price_ticks)
    for order in (maker, taker):
        order.shown_lots = min(order.shown_lots, order.leaves_lots)
        follow(venue, order, lots)
        if order.leaves_lots == 0:
            venue.end(order)
    return schema.WORK_UNITS_PER_ORDER
