"""Commands about orders that live: cancel, replace and mass cancel; entering one is in `entry.py`."""

from __future__ import annotations

from dataclasses import replace as copy
from typing import TYPE_CHECKING

from kk99.schema import (
    AccountState,
    CancelReason,
    EventKind,
    Flag,
    MarketState,
    OrderType,
    RejectCode,
    Side,
    TimeInForce,
)
from tests.naive import checks
from tests.naive.entry import meet_or_rest
from tests.naive.linked import are_apart, emit_details, is_bracket_right
from tests.naive.records import (
    LIMIT_ONCE_TRIGGERED,
    MARKET_ONCE_TRIGGERED,
    Account,
    Instrument,
    Key,
    Order,
    Place,
    RejectError,
    WorkItem,
    refuse_if,
)
from tests.naive.states import CLOSED_TO_ORDERS
from tests.naive.triggers import has_passed, settle
from tests.naive.work import check_queue, queue

if TYPE_CHECKING:
    from tests.naive.venue import Command, Venue

CHANGED_FIELDS = (
    "price_ticks",
    "limit_ticks",
    "hold_price_ticks",
    "trigger_price_ticks",
    "qty_lots",
    "leaves_lots",
    "maker_ppm",
    "taker_ppm",
)


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
    order = target_of(venue, account, command)
    venue.cancel(order, CancelReason.REQUESTED)
    settle(venue, venue.instruments[order.instrument_id])


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


# Replace --------------------------------------------------------------------------------------------------------------


def order_replace(venue: Venue, command: Command) -> None:
    """ORDER_REPLACE."""
    account = venue.account(command["account_id"])
    refuse_if(account.state != AccountState.ACTIVE, RejectCode.ACCOUNT_SUSPENDED)
    order = target_of(venue, account, command)
    instrument = venue.instruments[order.instrument_id]
    refuse_if(command["side"] not in {0, order.side}, RejectCode.SIDE_INVALID)
    refuse_if(order.order_type in {OrderType.MARKET, OrderType.ALGO}, RejectCode.REPLACE_UNSUPPORTED)
    check_form(order, command)
    check_market(instrument, order)
    check_price(instrument, order, command["price_ticks"])
    changed = copy(order)
    if not order.is_trailing:
        changed.price_ticks = changed.limit_ticks = command["price_ticks"]
    if command["trigger_price_ticks"]:
        changed.trigger_price_ticks = command["trigger_price_ticks"]
        check_trigger(instrument, order, changed)
    filled = order.qty_lots - order.leaves_lots
    changed.qty_lots = command["qty_lots"] + (filled if command["flags"] & Flag.QTY_IS_LEAVES else 0)
    changed.leaves_lots = changed.qty_lots - filled
    checks.check_lots(instrument, command["qty_lots"])
    checks.check_total(instrument, changed.qty_lots)
    refuse_if(changed.leaves_lots <= 0, RejectCode.QTY_BELOW_FILLED)
    check_links(order, changed)
    if not order.is_trailing and order.order_type not in MARKET_ONCE_TRIGGERED:
        notional = changed.price_ticks * changed.leaves_lots * instrument.tick_lot_units
        checks.check_notional(instrument, notional)
    refuse_if(command["amount_units"] != 0, RejectCode.AMOUNT_INVALID)
    client_id = command["client_id_lo"], command["client_id_hi"]
    checks.check_client_id(venue, account, client_id)
    is_kept = keeps_its_place(order, changed)
    pairs = changes(venue, account, instrument, order, changed, is_kept=is_kept)
    holder, new_holder = next(pair for pair in pairs if not (pair[0].linked and pair[0].is_dormant))
    available = venue.available[account.number, order.hold_asset(instrument)] + holder.hold_units
    refuse_if(available < new_holder.hold(instrument), RejectCode.FUNDS_INSUFFICIENT)
    checks.check_post_only(instrument, changed)
    refuse_if(not is_kept and not venue.obligations.takes_orders, RejectCode.ORDERS_FULL)
    replace(venue, pairs, client_id, is_kept=is_kept)
    settle(venue, instrument)


def check_form(order: Order, command: Command) -> None:
    """Flags, and fields that must be zero."""
    allowed = int(Flag.TARGET_CLIENT_ID | Flag.QTY_IS_LEAVES | Flag.HAS_COLD)
    refuse_if(command["flags"] & ~allowed, RejectCode.FLAGS_INVALID)
    reserved = ["trigger", "state", "display_qty_lots", "expire_time_ns"]
    if order.is_trailing or not order.is_dormant:
        reserved.append("trigger_price_ticks")
    refuse_if(any(command[name] for name in reserved), RejectCode.FLAGS_INVALID)


def check_market(instrument: Instrument, order: Order) -> None:
    """Whether the market takes a replace of this order."""
    now = instrument.market.now
    if now in CLOSED_TO_ORDERS:
        raise RejectError(CLOSED_TO_ORDERS[now])
    is_at_open = order.time_in_force == TimeInForce.AT_OPEN
    refuse_if(now.state == MarketState.PRE_OPEN and not is_at_open, RejectCode.MARKET_PRE_OPEN)
    refuse_if(now.state == MarketState.CALL and order.flags & Flag.POST_ONLY, RejectCode.MARKET_CALL)


def check_price(instrument: Instrument, order: Order, price_ticks: int) -> None:
    """The new price, or that there is none."""
    if order.is_trailing or order.order_type in MARKET_ONCE_TRIGGERED:
        refuse_if(price_ticks != 0, RejectCode.PRICE_INVALID)
    else:
        checks.check_price(instrument, price_ticks, is_collared=not order.is_dormant)


def check_trigger(instrument: Instrument, order: Order, changed: Order) -> None:
    """A new trigger."""
    checks.check_trigger_price(instrument, changed.trigger_price_ticks)
    limit_leg = changed.linked
    is_apart = limit_leg is None or are_apart(changed.side, limit_leg.price_ticks, changed.trigger_price_ticks)
    refuse_if(not is_apart, RejectCode.LINK_INVALID)
    is_other = changed.trigger_price_ticks != order.trigger_price_ticks
    refuse_if(is_other and has_passed(instrument, changed), RejectCode.TRIGGER_PASSED)


def check_links(order: Order, changed: Order) -> None:
    """What an order belongs to bounds its quantity and price."""
    other = order.linked
    if other is not None:
        refuse_if(changed.leaves_lots > order.leaves_lots, RejectCode.LINK_INVALID)
        is_apart = order.is_dormant or are_apart(order.side, changed.price_ticks, other.trigger_price_ticks)
        refuse_if(not is_apart, RejectCode.LINK_INVALID)
    elif order.order_type == OrderType.BRACKET:
        prices = changed.price_ticks, order.trigger_price_ticks, order.take_profit_price_ticks
        refuse_if(not is_bracket_right(order.side, *prices), RejectCode.LINK_INVALID)


def keeps_its_place(order: Order, changed: Order) -> bool:
    """Whether a replaced order stays where it is among the others."""
    if order.place in {Place.ENTERING, Place.WAITING}:
        return True
    if order.is_dormant:
        return changed.trigger_price_ticks == order.trigger_price_ticks
    return changed.price_ticks == order.price_ticks and changed.leaves_lots <= order.leaves_lots


def changes(
    venue: Venue, account: Account, instrument: Instrument, order: Order, changed: Order, *, is_kept: bool
) -> list[tuple[Order, Order]]:
    """The order as it is and as it is to be, and likewise the one that it is linked to."""
    pairs = [(order, changed)]
    if order.order_type in MARKET_ONCE_TRIGGERED and changed.trigger_price_ticks != order.trigger_price_ticks:
        changed.hold_price_ticks = instrument.cap(changed.trigger_price_ticks)
    elif order.order_type in LIMIT_ONCE_TRIGGERED - {OrderType.TRAILING_STOP_LIMIT} or not order.is_dormant:
        changed.hold_price_ticks = changed.price_ticks
    if order.linked is not None:
        other = copy(order.linked)
        other.leaves_lots = changed.leaves_lots
        other.qty_lots -= order.leaves_lots - changed.leaves_lots
        limit, stop = (other, changed) if order.is_dormant else (changed, other)
        limit.hold_price_ticks = max(limit.price_ticks, stop.hold_price_ticks)
        pairs.append((order.linked, other))
    if not is_kept:
        rates = venue.rates(instrument.document["fee_schedule"], account)
        for _, one in pairs:
            one.maker_ppm, one.taker_ppm = rates["maker_ppm"], rates["taker_ppm"]
    return pairs


def replace(venue: Venue, pairs: list[tuple[Order, Order]], client_id: Key, *, is_kept: bool) -> None:
    """Make orders what they are to be, and let the first meet the book, or wait again, unless it keeps its place."""
    order = pairs[0][0]
    if not is_kept:
        venue.put(order, Place.NOWHERE)
    before = [(one.leaves_lots, one.hold_units) for one, _ in pairs]
    for one, changed in pairs:
        for name in CHANGED_FIELDS:
            setattr(one, name, getattr(changed, name))
        one.shown_lots = min(one.shown_lots, one.leaves_lots)
        venue.rehold(one)
    if client_id != (0, 0):
        venue.retire_client_id(order)
        order.client_id = client_id
        venue.by_client_id[order.account_id, client_id] = order
    venue.emit_order(EventKind.ORDER_REPLACED, order, order.flags | (Flag.PRIORITY_KEPT if is_kept else 0))
    if order.is_dormant and not is_kept:
        emit_details(venue, order)
    for (other, _), was in zip(pairs[1:], before[1:], strict=True):
        if (other.leaves_lots, other.hold_units) != was:
            venue.emit_change(EventKind.ORDER_RESIZED, other, CancelReason.LINKED)
    if not is_kept:
        meet_or_rest(venue, order)
