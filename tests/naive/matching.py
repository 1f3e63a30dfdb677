"""An aggressor meets the book: self-trade prevention, fills, fees, and what becomes of the rest."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields

from kk99 import schema
from kk99.schema import PPM, CancelReason, EventKind, OrderType, SelfTrade, TimeInForce
from tests.naive.book import crosses, opposite
from tests.naive.records import Instrument, Key, Order, Trade
from tests.naive.venue import Venue, identity, sign

TRADE_FIELDS = (
    "trade_id",
    "instrument_id",
    "side",
    "order_id",
    "contra_order_id",
    "account_id",
    "contra_account_id",
    "leaves_lots",
    "contra_leaves_lots",
    "price_ticks",
    "qty_lots",
    "fee_units",
    "contra_fee_units",
    "burned_units",
)


def trade_fields(trade: Trade) -> dict[str, int]:
    """The fields of a TRADE event."""
    return {name: getattr(trade, name) for name in TRADE_FIELDS}


def postings(trade: Trade) -> dict[Key, int]:
    """What a trade adds to each (account, asset): the buyer, the seller, the fees account and the burned account."""
    result: defaultdict[Key, int] = defaultdict(int)
    for side, account, paid in (
        (trade.side, trade.account_id, trade.fee_units),
        (opposite(trade.side), trade.contra_account_id, trade.contra_fee_units),
    ):
        result[account, trade.base] += sign(side) * trade.qty_lots * trade.lot_units
        result[account, trade.quote] += -sign(side) * trade.notional_units - paid
    collected = trade.fee_units + trade.contra_fee_units
    assert collected >= 0
    result[schema.BURNED_ACCOUNT, trade.quote] += trade.burned_units
    result[schema.FEES_ACCOUNT, trade.quote] += collected - trade.burned_units
    return result


def aggress(venue: Venue, order: Order) -> None:
    """Let a live order that does not rest meet the book; at the end it rests or is ended."""
    instrument = venue.instruments[order.instrument_id]
    if order.time_in_force == TimeInForce.FOK and fillable(venue, instrument, order) < order.leaves_lots:
        venue.cancel(order, CancelReason.FOK)
        return
    reason = match(venue, instrument, order)
    if reason is not None:
        venue.cancel(order, reason)
    elif order.leaves_lots == 0:
        venue.end(order)
    elif order.order_type == OrderType.LIMIT and order.time_in_force == TimeInForce.GTC:
        instrument.book.add(order)
    else:
        venue.cancel(order, CancelReason.IOC)


def is_own(venue: Venue, taker: Order, maker: Order) -> bool:
    """Whether self-trade prevention applies between the two."""
    groups = [venue.accounts[order.account_id].document["group"] for order in (taker, maker)]
    return taker.self_trade != SelfTrade.ALLOW and groups[0] == groups[1]


def fillable(venue: Venue, instrument: Instrument, taker: Order) -> int:
    """The quantity that a fill-or-kill order would find, as far as it would walk."""
    seen = 0
    for met, maker in enumerate(instrument.book.walk(opposite(taker.side))):
        if met == schema.FILLS_PER_COMMAND_MAX or not crosses(taker.side, taker.limit_ticks, maker.price_ticks):
            break
        if is_own(venue, taker, maker):
            if taker.self_trade != SelfTrade.CANCEL_OLDEST:
                break
        else:
            seen += maker.leaves_lots
        if seen >= taker.leaves_lots:
            break
    return seen


def match(venue: Venue, instrument: Instrument, taker: Order) -> CancelReason | None:
    """Meet resting orders; return why the remainder is canceled, None if only the book's end or the limit says so."""
    met = 0
    while taker.leaves_lots or taker.budget_units:
        maker = instrument.book.best(opposite(taker.side))
        if maker is None or not crosses(taker.side, taker.limit_ticks, maker.price_ticks):
            return CancelReason.IOC if taker.is_budget else None
        if met == schema.FILLS_PER_COMMAND_MAX:
            return CancelReason.FILL_LIMIT
        met += 1
        if is_own(venue, taker, maker):
            if not prevent(venue, taker, maker):
                return CancelReason.SELF_TRADE
            continue
        lots = affordable(instrument, taker, maker) if taker.is_budget else min(taker.leaves_lots, maker.leaves_lots)
        if lots == 0:
            return CancelReason.BUDGET_SPENT
        fill(venue, instrument, taker, maker, lots)
    return CancelReason.BUDGET_SPENT if taker.is_budget else None


def prevent(venue: Venue, taker: Order, maker: Order) -> bool:
    """Do what the aggressor asked for on meeting its own group; False when its remainder is to be canceled."""
    if taker.self_trade in {SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH}:
        venue.cancel(maker, CancelReason.SELF_TRADE)
        return taker.self_trade == SelfTrade.CANCEL_OLDEST
    if taker.self_trade == SelfTrade.CANCEL_NEWEST or taker.is_budget:
        return False
    lots = min(taker.leaves_lots, maker.leaves_lots)
    if maker.leaves_lots == lots:
        venue.cancel(maker, CancelReason.SELF_TRADE)
    else:
        reduce(venue, maker, lots)
    if taker.leaves_lots == lots:
        return False
    reduce(venue, taker, lots)
    return True


def reduce(venue: Venue, order: Order, lots: int) -> None:
    """Take quantity off an order that keeps some."""
    order.qty_lots -= lots
    order.leaves_lots -= lots
    venue.rehold(order)
    venue.emit(
        EventKind.ORDER_REDUCED,
        **identity(order),
        qty_lots=order.qty_lots,
        leaves_lots=order.leaves_lots,
        amount_units=order.hold_units,
        reason=int(CancelReason.SELF_TRADE),
    )


def affordable(instrument: Instrument, taker: Order, maker: Order) -> int:
    """The lots of the maker that what is left of a budget buys, fee included."""
    spendable = taker.budget_units * PPM // (PPM + max(taker.taker_ppm, 0))
    lots = spendable // (maker.price_ticks * instrument.tick_lot_units)
    return min(lots - lots % int(instrument.document["lot_step"]), maker.leaves_lots)


def fill(venue: Venue, instrument: Instrument, taker: Order, maker: Order, lots: int) -> None:
    """Trade at the maker's price and settle."""
    venue.last_trade_id += 1
    taker.leaves_lots -= 0 if taker.is_budget else lots
    maker.leaves_lots -= lots
    trade = Trade(
        trade_id=venue.last_trade_id,
        instrument_id=instrument.number,
        side=taker.side,
        order_id=taker.order_id,
        contra_order_id=maker.order_id,
        account_id=taker.account_id,
        contra_account_id=maker.account_id,
        leaves_lots=taker.leaves_lots,
        contra_leaves_lots=maker.leaves_lots,
        taker_ppm=taker.taker_ppm,
        maker_ppm=maker.maker_ppm,
        burn_ppm=venue.burn_ppm(instrument.document["fee_schedule"]),
        tick_lot_units=instrument.tick_lot_units,
        lot_units=instrument.document["lot_units"],
        base=instrument.base,
        quote=instrument.quote,
        price_ticks=maker.price_ticks,
        qty_lots=lots,
    )
    venue.trades[trade.trade_id] = trade
    venue.trades.pop(trade.trade_id - schema.TRADE_WINDOW, None)
    if taker.is_budget:
        taker.budget_units -= trade.notional_units + trade.fee_units
    for order in (taker, maker):
        order.notional_units += trade.notional_units
        venue.rehold(order)
    post(venue, postings(trade))
    venue.emit(EventKind.TRADE, **trade_fields(trade))
    instrument.reference_price_ticks = trade.price_ticks
    if maker.leaves_lots == 0:
        venue.end(maker)


def post(venue: Venue, amounts: dict[Key, int]) -> None:
    """Credit or debit each (account, asset)."""
    for (account, asset), amount in amounts.items():
        venue.credit(account, asset, amount)


assert {field.name for field in fields(Trade)} >= set(TRADE_FIELDS) - {"fee_units", "contra_fee_units", "burned_units"}
