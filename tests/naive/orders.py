"""Commands about orders: enter, replace, cancel, mass cancel, and the pending work that they leave."""

from __future__ import annotations

import bisect
from dataclasses import replace as copy

from kk99 import schema
from kk99.schema import (
    AccountState,
    CancelReason,
    EventKind,
    Flag,
    MarketState,
    OrderType,
    RejectCode,
    SelfTrade,
    Side,
    TimeInForce,
)
from tests.naive.book import crosses, opposite
from tests.naive.matching import aggress
from tests.naive.records import Account, Instrument, Key, Order, RejectError, WorkItem
from tests.naive.venue import Venue, identity

Command = dict[str, int]

MARKET_REJECTS = {
    MarketState.PRE_OPEN: RejectCode.MARKET_PRE_OPEN,
    MarketState.CANCEL_ONLY: RejectCode.MARKET_CANCEL_ONLY,
    MarketState.HALTED: RejectCode.MARKET_HALTED,
    MarketState.CLOSED: RejectCode.MARKET_CLOSED,
}
RESERVED = ("trigger", "state", "trigger_price_ticks", "display_qty_lots", "expire_time_ns")


def refuse_if(condition: object, code: RejectCode) -> None:
    """Reject the command if the condition holds."""
    if condition:
        raise RejectError(code)


# Enter ----------------------------------------------------------------------------------------------------------------


def order_new(venue: Venue, command: Command) -> None:
    """ORDER_NEW."""
    account = venue.account(command["account_id"])
    refuse_if(account.state != AccountState.ACTIVE, RejectCode.ACCOUNT_SUSPENDED)
    instrument = venue.instrument(command["instrument_id"])
    is_budget = (
        command["order_type"] == OrderType.MARKET and command["side"] == Side.BUY and command["amount_units"] != 0
    )
    check_form(command, is_budget)
    check_market(instrument)
    limit = limit_of(instrument, command)
    check_qty_new(instrument, command, is_budget)
    if command["order_type"] == OrderType.LIMIT:
        check_notional(instrument, command["price_ticks"] * command["qty_lots"] * instrument.tick_lot_units)
    elif is_budget:
        check_notional(instrument, command["amount_units"])
    refuse_if(command["amount_units"] != 0 and not is_budget, RejectCode.AMOUNT_INVALID)
    client_id = command["client_id_lo"], command["client_id_hi"]
    check_client_id(venue, account, client_id)
    rates = venue.rates(instrument.document["fee_schedule"], account)
    order = Order(
        order_id=0,
        account_id=account.number,
        instrument_id=instrument.number,
        side=command["side"],
        order_type=command["order_type"],
        time_in_force=command["time_in_force"],
        self_trade=command["self_trade"],
        flags=command["flags"],
        price_ticks=command["price_ticks"],
        limit_ticks=limit,
        qty_lots=command["qty_lots"],
        leaves_lots=command["qty_lots"],
        is_budget=is_budget,
        budget_units=command["amount_units"],
        maker_ppm=rates["maker_ppm"],
        taker_ppm=rates["taker_ppm"],
        client_id=client_id,
        session_id=command["session_id"],
        entry_seq=venue.seq,
    )
    available = venue.available[account.number, order.hold_asset(instrument)]
    refuse_if(available < order.hold(instrument), RejectCode.FUNDS_INSUFFICIENT)
    check_post_only(instrument, order)
    refuse_if(len(venue.live) >= schema.ORDERS_MAX, RejectCode.ORDERS_FULL)
    order.order_id = venue.take_slot()
    venue.enlist(order)
    venue.rehold(order)
    emit_order(venue, EventKind.ORDER_ACCEPTED, order, order.flags)
    aggress(venue, order)


def check_form(command: Command, is_budget: bool) -> None:
    """What can be seen wrong without a look at the instrument."""
    refuse_if(command["side"] not in {Side.BUY, Side.SELL}, RejectCode.SIDE_INVALID)
    refuse_if(command["order_type"] not in {OrderType.MARKET, OrderType.LIMIT}, RejectCode.ORDER_TYPE_UNSUPPORTED)
    allowed = {TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK}
    if command["order_type"] == OrderType.MARKET:
        allowed = {TimeInForce.IOC} if is_budget else {TimeInForce.IOC, TimeInForce.FOK}
    refuse_if(command["time_in_force"] not in allowed, RejectCode.TIME_IN_FORCE_UNSUPPORTED)
    refuse_if(command["self_trade"] > SelfTrade.DECREMENT, RejectCode.SELF_TRADE_INVALID)
    is_limit_gtc = command["order_type"] == OrderType.LIMIT and command["time_in_force"] == TimeInForce.GTC
    refuse_if(command["flags"] & ~int(schema.ORDER_FLAGS), RejectCode.FLAGS_INVALID)
    refuse_if(command["flags"] & Flag.POST_ONLY and not is_limit_gtc, RejectCode.FLAGS_INVALID)
    refuse_if(any(command[name] for name in (*RESERVED, "target_lo", "target_hi")), RejectCode.FLAGS_INVALID)


def check_market(instrument: Instrument) -> None:
    """Reject unless the market is open."""
    if instrument.state != MarketState.OPEN:
        raise RejectError(MARKET_REJECTS[MarketState(instrument.state)])


def limit_of(instrument: Instrument, command: Command) -> int:
    """The worst price at which a new order may trade, its price being checked."""
    if command["order_type"] == OrderType.LIMIT:
        check_price(instrument, command["price_ticks"])
        return command["price_ticks"]
    refuse_if(command["price_ticks"] != 0, RejectCode.PRICE_INVALID)
    bounds = instrument.bounds()
    if command["side"] == Side.SELL:
        return bounds[0] if bounds else 1
    refuse_if(command["amount_units"] == 0 and not bounds, RejectCode.COLLAR_MISSING)
    return int(bounds[1] if bounds else instrument.document["max_price_ticks"])


def check_price(instrument: Instrument, price_ticks: int) -> None:
    """A limit price's checks."""
    refuse_if(price_ticks < 1, RejectCode.PRICE_INVALID)
    refuse_if(price_ticks % instrument.document["tick_step"], RejectCode.PRICE_OFF_TICK)
    refuse_if(price_ticks > instrument.document["max_price_ticks"], RejectCode.PRICE_ABOVE_MAX)
    bounds = instrument.bounds()
    refuse_if(bounds and not bounds[0] <= price_ticks <= bounds[1], RejectCode.PRICE_OUTSIDE_COLLAR)


def check_qty_new(instrument: Instrument, command: Command, is_budget: bool) -> None:
    """A new order's quantity."""
    qty_lots = command["qty_lots"]
    if is_budget:
        refuse_if(qty_lots != 0, RejectCode.QTY_INVALID)
        return
    check_lots(instrument, qty_lots)
    check_total(instrument, qty_lots)


def check_lots(instrument: Instrument, qty_lots: int) -> None:
    """A quantity's form."""
    refuse_if(qty_lots < 1, RejectCode.QTY_INVALID)
    refuse_if(qty_lots % instrument.document["lot_step"], RejectCode.QTY_OFF_LOT)


def check_total(instrument: Instrument, qty_lots: int) -> None:
    """A total quantity's bounds."""
    refuse_if(qty_lots < instrument.document["min_qty_lots"], RejectCode.QTY_BELOW_MIN)
    refuse_if(qty_lots > instrument.document["max_qty_lots"], RejectCode.QTY_ABOVE_MAX)


def check_notional(instrument: Instrument, amount_units: int) -> None:
    """A notional's bounds."""
    refuse_if(amount_units < instrument.document["min_notional_units"], RejectCode.NOTIONAL_BELOW_MIN)
    refuse_if(amount_units > instrument.document["max_notional_units"], RejectCode.NOTIONAL_ABOVE_MAX)


def check_client_id(venue: Venue, account: Account, client_id: Key) -> None:
    """A client id is none, or new."""
    key = account.number, client_id
    known = key in venue.by_client_id or key in venue.ended_ids
    refuse_if(client_id != (0, 0) and known, RejectCode.CLIENT_ID_DUPLICATE)


def check_post_only(instrument: Instrument, order: Order) -> None:
    """A post-only order must not meet the opposite side."""
    best = instrument.book.best_price(opposite(order.side))
    meets = best is not None and crosses(order.side, order.limit_ticks, best)
    refuse_if(order.flags & Flag.POST_ONLY and meets, RejectCode.POST_ONLY_CROSSES)


def emit_order(venue: Venue, kind: EventKind, order: Order, flags: int) -> None:
    """ORDER_ACCEPTED or ORDER_REPLACED, with the whole order."""
    venue.emit(
        kind,
        **identity(order),
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        self_trade=order.self_trade,
        flags=flags,
        qty_lots=order.qty_lots,
        leaves_lots=order.leaves_lots,
        amount_units=order.hold_units,
    )


# Cancel, replace ------------------------------------------------------------------------------------------------------


def target_of(venue: Venue, account: Account, command: Command) -> Order:
    """The live order of the account that a command names."""
    order: Order | None
    if command["flags"] & Flag.TARGET_CLIENT_ID:
        order = venue.by_client_id.get((account.number, (command["target_lo"], command["target_hi"])))
    else:
        order = venue.live.get(command["target_lo"]) if command["target_hi"] == 0 else None
    if order is None or order.account_id != account.number:
        raise RejectError(RejectCode.ORDER_UNKNOWN)
    return order


def order_cancel(venue: Venue, command: Command) -> None:
    """ORDER_CANCEL."""
    account = venue.account(command["account_id"])
    venue.cancel(target_of(venue, account, command), CancelReason.REQUESTED)


def order_replace(venue: Venue, command: Command) -> None:
    """ORDER_REPLACE."""
    account = venue.account(command["account_id"])
    refuse_if(account.state != AccountState.ACTIVE, RejectCode.ACCOUNT_SUSPENDED)
    order = target_of(venue, account, command)
    instrument = venue.instruments[order.instrument_id]
    refuse_if(command["side"] not in {0, order.side}, RejectCode.SIDE_INVALID)
    allowed = int(Flag.TARGET_CLIENT_ID | Flag.QTY_IS_LEAVES | Flag.HAS_COLD)
    refuse_if(command["flags"] & ~allowed, RejectCode.FLAGS_INVALID)
    refuse_if(any(command[name] for name in RESERVED), RejectCode.FLAGS_INVALID)
    check_market(instrument)
    check_price(instrument, command["price_ticks"])
    filled = order.qty_lots - order.leaves_lots
    total = command["qty_lots"] + (filled if command["flags"] & Flag.QTY_IS_LEAVES else 0)
    check_lots(instrument, command["qty_lots"])
    check_total(instrument, total)
    refuse_if(total <= filled, RejectCode.QTY_BELOW_FILLED)
    check_notional(instrument, command["price_ticks"] * (total - filled) * instrument.tick_lot_units)
    refuse_if(command["amount_units"] != 0, RejectCode.AMOUNT_INVALID)
    client_id = command["client_id_lo"], command["client_id_hi"]
    check_client_id(venue, account, client_id)
    changed = copy(
        order,
        price_ticks=command["price_ticks"],
        limit_ticks=command["price_ticks"],
        qty_lots=total,
        leaves_lots=total - filled,
    )
    is_kept = changed.price_ticks == order.price_ticks and changed.leaves_lots <= order.leaves_lots
    if not is_kept:
        rates = venue.rates(instrument.document["fee_schedule"], account)
        changed.maker_ppm, changed.taker_ppm = rates["maker_ppm"], rates["taker_ppm"]
    available = venue.available[account.number, order.hold_asset(instrument)] + order.hold_units
    refuse_if(available < changed.hold(instrument), RejectCode.FUNDS_INSUFFICIENT)
    check_post_only(instrument, changed)
    replace(venue, order, changed, client_id, is_kept)


def replace(venue: Venue, order: Order, changed: Order, client_id: Key, is_kept: bool) -> None:
    """Make an order what it is to be, and let it meet the book unless it keeps its place."""
    book = venue.instruments[order.instrument_id].book
    if not is_kept:
        book.remove(order)
    order.price_ticks, order.limit_ticks = changed.price_ticks, changed.limit_ticks
    order.qty_lots, order.leaves_lots = changed.qty_lots, changed.leaves_lots
    order.maker_ppm, order.taker_ppm = changed.maker_ppm, changed.taker_ppm
    if client_id != (0, 0):
        venue.retire_client_id(order)
        order.client_id = client_id
        venue.by_client_id[order.account_id, client_id] = order
    venue.rehold(order)
    emit_order(venue, EventKind.ORDER_REPLACED, order, order.flags | (Flag.PRIORITY_KEPT if is_kept else 0))
    if not is_kept:
        aggress(venue, order)


def mass_cancel(venue: Venue, command: Command) -> None:
    """MASS_CANCEL."""
    account_id, instrument_id, side = command["account_id"], command["instrument_id"], command["side"]
    venue.account(account_id)
    if instrument_id != 0:
        venue.instrument(instrument_id)
    refuse_if(side > Side.SELL, RejectCode.SIDE_INVALID)
    check_queue(venue)
    venue.emit(EventKind.MASS_CANCEL_ACCEPTED, account_id=account_id, instrument_id=instrument_id, side=side)
    queue(venue, WorkItem(venue.seq, CancelReason.MASS_CANCEL, account_id, instrument_id, side))


# Pending work ---------------------------------------------------------------------------------------------------------


def check_queue(venue: Venue) -> None:
    """The queue of pending work must have room."""
    refuse_if(len(venue.work) >= schema.WORK_QUEUE_MAX, RejectCode.WORK_QUEUE_FULL)


def queue(venue: Venue, item: WorkItem) -> None:
    """Add an item and begin with it at once, if it is at the front."""
    venue.work.append(item)
    do_work(venue)


def do_work(venue: Venue) -> None:
    """Do one command's units of the pending work."""
    units = schema.WORK_UNITS_PER_COMMAND
    while venue.work:
        item = venue.item = venue.work[0]
        if item.last_slot is None:
            item.last_slot = len(venue.slots) - 1
        order, is_left = next_visit(venue, item)
        if not is_left:
            venue.emit(
                EventKind.MASS_CANCEL_DONE,
                account_id=item.account_id,
                instrument_id=item.instrument_id,
                side=item.side,
                order_id=item.session_id,
                qty_lots=item.canceled,
            )
            venue.work.popleft()
        elif units <= 0:
            break
        else:
            units -= visit(venue, item, order)
    venue.item = None


def next_visit(venue: Venue, item: WorkItem) -> tuple[Order | None, bool]:
    """The order that an item visits next (None for an empty slot), and whether there is anything left to visit."""
    if item.session_id:
        assert item.last_slot is not None
        slot = item.passed + 1
        return (venue.slots[slot], True) if slot <= item.last_slot else (None, False)
    orders = venue.accounts[item.account_id].orders
    at = bisect.bisect_right(orders, item.passed, key=lambda order: order.entry_seq)
    if at < len(orders) and orders[at].entry_seq <= item.origin_seq:
        return orders[at], True
    return None, False


def visit(venue: Venue, item: WorkItem, order: Order | None) -> int:
    """Visit one order or slot, and return the units that it cost."""
    if item.session_id:
        item.passed += 1
        if order is None or not is_lost(order, item):
            return 1
    else:
        assert order is not None
        item.passed = order.entry_seq
        if item.instrument_id not in {0, order.instrument_id} or item.side not in {0, order.side}:
            return schema.WORK_UNITS_PER_ORDER
    venue.cancel(order, CancelReason(item.reason))
    item.canceled += 1
    return schema.WORK_UNITS_PER_ORDER


def is_lost(order: Order, item: WorkItem) -> bool:
    """Whether a lost session's item cancels the order."""
    asked = order.flags & Flag.CANCEL_ON_LOST
    return order.session_id == item.session_id and bool(asked) and order.entry_seq < item.origin_seq
