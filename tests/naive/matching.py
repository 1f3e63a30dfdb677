"""An aggressor meets the book: self-trade prevention, fills, fees, icebergs, and what becomes of the rest."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import fields

from kk99 import schema
from kk99.schema import PPM, CancelReason, EventKind, SelfTrade, TimeInForce
from tests.naive import watching
from tests.naive.book import crosses, opposite
from tests.naive.linked import follow, resize_stop_leg
from tests.naive.records import Instrument, Key, Order, Place, Trade
from tests.naive.settling import owe, value_date_of
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


def aggress(venue: Venue, order: Order) -> int:
    """Let a live order that does not rest meet the book; at the end it rests or is ended. Return how many it met."""
    instrument = venue.instruments[order.instrument_id]
    wanted, reason = order.leaves_lots, CancelReason.FOK
    if order.min_qty_lots:
        wanted, reason = order.min_qty_lots, CancelReason.MIN_QTY
        order.min_qty_lots = 0
    is_bound = order.time_in_force == TimeInForce.FOK or reason == CancelReason.MIN_QTY
    if is_bound and fillable(venue, instrument, order, wanted) < wanted:
        venue.cancel(order, reason)
        return 0
    filled, met, end = match(venue, instrument, order)
    if end is None or end == CancelReason.IOC:
        watching.note_stop(instrument, order)
    follow(venue, order, filled)
    if end is not None:
        venue.cancel(order, end)
    elif order.leaves_lots == 0:
        venue.end(order)
    elif order.time_in_force in {TimeInForce.IOC, TimeInForce.FOK}:
        venue.cancel(order, CancelReason.IOC)
    else:
        venue.put(order, Place.BOOK)
    return met


def is_own(venue: Venue, taker: Order, maker: Order) -> bool:
    """Whether self-trade prevention applies between the two."""
    groups = [venue.accounts[order.account_id].document["group"] for order in (taker, maker)]
    return taker.self_trade != SelfTrade.ALLOW and groups[0] == groups[1]


def fillable(venue: Venue, instrument: Instrument, taker: Order, wanted: int) -> int:
    """The quantity that an order would find, as far as it would go on for what it wants."""
    seen = met = 0
    bound_ticks = watching.bound_of(instrument, taker)
    for price_ticks, level in instrument.book.by_price(opposite(taker.side)):
        if not crosses(taker.side, bound_ticks, price_ticks):
            break
        queue = deque((maker, maker.met_lots, maker.leaves_lots) for maker in level)
        while queue:
            if seen >= wanted or met == schema.FILLS_PER_COMMAND_MAX:
                return seen
            met += 1
            maker, shown_lots, leaves_lots = queue.popleft()
            if is_own(venue, taker, maker):
                if taker.self_trade != SelfTrade.CANCEL_OLDEST:
                    return seen
                continue
            seen += shown_lots
            if leaves_lots > shown_lots:
                refill = min(maker.refill_qty_lots or maker.display_qty_lots, leaves_lots - shown_lots)
                queue.append((maker, refill, leaves_lots - shown_lots))
    return seen


def match(venue: Venue, instrument: Instrument, taker: Order) -> tuple[int, int, CancelReason | None]:
    """Meet resting orders.

    Return the lots filled, how many orders were met, and why the remainder is canceled: None if only the book's end or
    the limit says so.
    """
    filled = met = 0
    bound_ticks = watching.bound_of(instrument, taker)
    while taker.leaves_lots or taker.budget_units:
        maker = instrument.book.best(opposite(taker.side))
        if maker is None or not crosses(taker.side, bound_ticks, maker.limit_ticks):
            return filled, met, CancelReason.IOC if taker.is_budget else None
        if met == schema.FILLS_PER_COMMAND_MAX:
            return filled, met, CancelReason.FILL_LIMIT
        met += 1
        if is_own(venue, taker, maker):
            if not prevent(venue, taker, maker):
                return filled, met, CancelReason.SELF_TRADE
            continue
        lots = affordable(instrument, taker, maker) if taker.is_budget else min(taker.leaves_lots, maker.met_lots)
        if lots == 0:
            return filled, met, CancelReason.BUDGET_SPENT
        trade(venue, instrument, taker, maker, lots, maker.limit_ticks)
        filled += lots
        maker.shown_lots -= lots if maker.display_qty_lots else 0
        follow(venue, maker, lots)
        refresh(venue, maker)
        if maker.leaves_lots == 0:
            venue.end(maker)
    return filled, met, CancelReason.BUDGET_SPENT if taker.is_budget else None


def prevent(venue: Venue, taker: Order, maker: Order) -> bool:
    """Do what the aggressor asked for on meeting its own group; False when its remainder is to be canceled."""
    if taker.self_trade in {SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH}:
        venue.cancel(maker, CancelReason.SELF_TRADE)
        return taker.self_trade == SelfTrade.CANCEL_OLDEST
    if taker.self_trade == SelfTrade.CANCEL_NEWEST or taker.is_budget:
        return False
    lots = min(taker.leaves_lots, maker.met_lots)
    if maker.leaves_lots == lots:
        venue.cancel(maker, CancelReason.SELF_TRADE)
    else:
        reduce(venue, maker, lots)
        maker.shown_lots -= lots if maker.display_qty_lots else 0
        resize_stop_leg(venue, maker)
        refresh(venue, maker)
    if taker.leaves_lots == lots:
        return False
    reduce(venue, taker, lots)
    return True


def reduce(venue: Venue, order: Order, lots: int) -> None:
    """Take quantity off an order that keeps some."""
    order.qty_lots -= lots
    order.leaves_lots -= lots
    venue.rehold(order)
    venue.emit_change(EventKind.ORDER_REDUCED, order, CancelReason.SELF_TRADE)


def refresh(venue: Venue, order: Order) -> None:
    """Let an iceberg of which nothing is shown show its next part, at the back of its price."""
    if order.display_qty_lots == 0 or order.shown_lots or order.leaves_lots == 0:
        return
    venue.put(order, Place.BOOK)
    order.shown_lots = min(order.refill_qty_lots or order.display_qty_lots, order.leaves_lots)
    venue.emit(
        EventKind.ORDER_REFRESHED,
        **identity(order),
        leaves_lots=order.leaves_lots,
        display_qty_lots=order.shown_lots,
    )


def affordable(instrument: Instrument, taker: Order, maker: Order) -> int:
    """The lots of the maker that what is left of a budget buys, fee included."""
    spendable = taker.budget_units * PPM // (PPM + max(taker.taker_ppm, 0))
    lots = spendable // (maker.limit_ticks * instrument.tick_lot_units)
    return min(lots - lots % int(instrument.document["lot_step"]), maker.met_lots)


def trade(venue: Venue, instrument: Instrument, taker: Order, maker: Order, lots: int, price_ticks: int) -> None:
    """Fill both orders at the price and post the money; what follows for either is not yet done."""
    venue.last_trade_id += 1
    taker.leaves_lots -= 0 if taker.is_budget else lots
    maker.leaves_lots -= lots
    made = Trade(
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
        price_ticks=price_ticks,
        qty_lots=lots,
        value_date=value_date_of(venue, instrument),
    )
    venue.trades[made.trade_id] = made
    venue.trades.pop(made.trade_id - schema.TRADE_WINDOW, None)
    if taker.is_budget:
        taker.budget_units -= made.notional_units + made.fee_units
    for order in (taker, maker):
        order.notional_units += made.notional_units
        venue.rehold(order)
    post(venue, postings(made))
    if made.value_date:
        owe(venue, made)
    venue.emit(EventKind.TRADE, **trade_fields(made))
    instrument.reference_price_ticks = instrument.last_price_ticks = price_ticks
    instrument.volume_lots += lots
    if instrument.is_open:
        instrument.path.append(price_ticks)
        instrument.traded_lots += lots


def post(venue: Venue, amounts: dict[Key, int]) -> None:
    """Credit or debit each (account, asset)."""
    for (account, asset), amount in amounts.items():
        venue.credit(account, asset, amount)


assert {field.name for field in fields(Trade)} >= set(TRADE_FIELDS) - {"fee_units", "contra_fee_units", "burned_units"}
