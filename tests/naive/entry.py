"""Entering an order of any type: the checks in their order, then the order itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import (
    AccountState,
    EventKind,
    OrderType,
    RejectCode,
    Side,
    TimeInForce,
    TrailUnit,
    TriggerSource,
)
from tests.naive import checks
from tests.naive.forms import check_form, is_budget, is_market_entry
from tests.naive.linked import Pair, are_apart, emit_details, enter_pair, is_bracket_right
from tests.naive.matching import aggress
from tests.naive.records import (
    DORMANT,
    LIMIT_ONCE_TRIGGERED,
    MARKET_ONCE_TRIGGERED,
    Account,
    Instrument,
    Order,
    Place,
    RejectError,
    refuse_if,
)
from tests.naive.states import refusal, waits
from tests.naive.triggers import first_extreme, has_passed, limit_from_trigger, prices_of, settle, trail_after

if TYPE_CHECKING:
    from tests.naive.venue import Command, Venue


def order_new(venue: Venue, command: Command) -> None:
    """ORDER_NEW."""
    account = venue.account(command["account_id"])
    refuse_if(account.state != AccountState.ACTIVE, RejectCode.ACCOUNT_SUSPENDED)
    instrument = venue.instrument(command["instrument_id"])
    check_form(command)
    check_market(instrument, command)
    is_late = command["time_in_force"] == TimeInForce.GTD and command["expire_time_ns"] <= venue.time_ns
    refuse_if(is_late, RejectCode.EXPIRE_INVALID)
    check_prices(instrument, command)
    order, stop_leg = draft(venue, account, instrument, command)
    if command["order_type"] not in {OrderType.LIMIT, OrderType.MARKET}:
        check_trigger(instrument, command, stop_leg or order)
    check_quantity(instrument, command)
    check_notionals(instrument, command)
    has_amount = command["order_type"] == OrderType.MARKET and command["amount_units"] != 0
    refuse_if(has_amount and command["side"] == Side.SELL, RejectCode.AMOUNT_INVALID)
    check_client_ids(venue, account, order, stop_leg)
    available = venue.available[account.number, order.hold_asset(instrument)]
    refuse_if(available < order.hold(instrument), RejectCode.FUNDS_INSUFFICIENT)
    checks.check_post_only(instrument, order)
    needed = 3 if command["order_type"] in {OrderType.OCO, OrderType.BRACKET} else 1
    refuse_if(not venue.has_room(needed), RejectCode.ORDERS_FULL)
    accept(venue, order, stop_leg)
    for entered in (order, stop_leg):
        if entered is not None:
            venue.set_expiry(entered)
    settle(venue, instrument)


# Checks ---------------------------------------------------------------------------------------------------------------


def check_market(instrument: Instrument, command: Command) -> None:
    """Whether the market takes such an order."""
    min_qty_lots = command["min_qty_lots"] if command["order_type"] == OrderType.LIMIT else 0
    code = refusal(instrument.market.now, command["time_in_force"], command["flags"], min_qty_lots)
    if code is not None:
        raise RejectError(code)


def check_prices(instrument: Instrument, command: Command) -> None:
    """Limits, now and once triggered, and what bounds an order that has none."""
    order_type, price_ticks, is_buy = command["order_type"], command["price_ticks"], command["side"] == Side.BUY
    if is_market_entry(command):
        refuse_if(price_ticks != 0, RejectCode.PRICE_INVALID)
        is_unbounded = is_buy and not is_budget(command) and not instrument.bounds()
        refuse_if(is_unbounded, RejectCode.COLLAR_MISSING)
    elif order_type in MARKET_ONCE_TRIGGERED:
        refuse_if(price_ticks != 0, RejectCode.PRICE_INVALID)
    elif order_type == OrderType.TRAILING_STOP_LIMIT:
        refuse_if(price_ticks < 0, RejectCode.PRICE_INVALID)
        refuse_if(price_ticks > instrument.document["max_price_ticks"], RejectCode.PRICE_ABOVE_MAX)
    else:
        checks.check_price(instrument, price_ticks, is_collared=order_type not in DORMANT)
    has_exits = order_type in {OrderType.OCO, OrderType.BRACKET}
    if has_exits and command["stop_limit_price_ticks"] != 0:
        checks.check_price(instrument, command["stop_limit_price_ticks"], is_collared=False)
    if order_type == OrderType.BRACKET:
        checks.check_price(instrument, command["take_profit_price_ticks"], is_collared=False)
    becomes_market = has_exits and command["stop_limit_price_ticks"] == 0
    buys_then = is_buy != (order_type == OrderType.BRACKET)
    if (becomes_market or order_type in MARKET_ONCE_TRIGGERED) and buys_then:
        refuse_if(instrument.document["collar_ppm"] == 0, RejectCode.COLLAR_MISSING)


def check_trigger(instrument: Instrument, command: Command, order: Order) -> None:
    """The trigger of an order: its own, its stop leg's or its exits'."""
    refuse_if(command["trigger"] not in set(TriggerSource), RejectCode.TRIGGER_INVALID)
    if order.is_trailing:
        check_trail(instrument, command)
        refuse_if(order.trigger not in prices_of(instrument), RejectCode.TRIGGER_SOURCE_MISSING)
        trail_after(instrument, order, first_extreme(instrument, order))
        is_limited = order.order_type in LIMIT_ONCE_TRIGGERED
        limit = limit_from_trigger(instrument, order) if is_limited else instrument.cap(order.trigger_price_ticks)
        order.hold_price_ticks = limit
        return
    trigger_price_ticks = command["trigger_price_ticks"]
    checks.check_trigger_price(instrument, trigger_price_ticks)
    if command["order_type"] == OrderType.OCO:
        is_apart = are_apart(command["side"], command["price_ticks"], trigger_price_ticks)
        refuse_if(not is_apart, RejectCode.LINK_INVALID)
    if command["order_type"] == OrderType.BRACKET:
        prices = command["price_ticks"], trigger_price_ticks, command["take_profit_price_ticks"]
        refuse_if(not is_bracket_right(command["side"], *prices), RejectCode.LINK_INVALID)
        return
    refuse_if(has_passed(instrument, order), RejectCode.TRIGGER_PASSED)


def check_trail(instrument: Instrument, command: Command) -> None:
    """The distance at which an order trails."""
    highest = {
        TrailUnit.TICKS: int(instrument.document["max_price_ticks"]),
        TrailUnit.BASIS_POINTS: schema.TRAIL_BPS_MAX,
    }
    unit = command["trail_unit"]
    refuse_if(unit not in set(TrailUnit), RejectCode.TRAIL_INVALID)
    refuse_if(not 1 <= command["trail"] <= highest[TrailUnit(unit)], RejectCode.TRAIL_INVALID)


def check_quantity(instrument: Instrument, command: Command) -> None:
    """The quantity, and of a limit order what it shows and the least that it takes."""
    qty_lots, lot_step = command["qty_lots"], instrument.document["lot_step"]
    if is_budget(command):
        refuse_if(qty_lots != 0, RejectCode.QTY_INVALID)
        return
    checks.check_lots(instrument, qty_lots)
    checks.check_total(instrument, qty_lots)
    if command["order_type"] == OrderType.LIMIT:
        display, refill = command["display_qty_lots"], command["refill_qty_lots"]
        for shown in (display, refill):
            refuse_if(not 0 <= shown <= qty_lots or shown % lot_step, RejectCode.DISPLAY_INVALID)
        refuse_if(refill and not display, RejectCode.DISPLAY_INVALID)
        refuse_if(not 0 <= command["min_qty_lots"] <= qty_lots, RejectCode.MIN_QTY_INVALID)


def check_notionals(instrument: Instrument, command: Command) -> None:
    """What the order may cost at each of its limits, or its budget."""
    order_type = command["order_type"]
    if is_budget(command):
        checks.check_notional(instrument, command["amount_units"])
        return
    limits = []
    is_limit = order_type not in MARKET_ONCE_TRIGGERED | {OrderType.TRAILING_STOP_LIMIT}
    if is_limit and not is_market_entry(command):
        limits.append(command["price_ticks"])
    if order_type in {OrderType.OCO, OrderType.BRACKET} and command["stop_limit_price_ticks"]:
        limits.append(command["stop_limit_price_ticks"])
    if order_type == OrderType.BRACKET:
        limits.append(command["take_profit_price_ticks"])
    for price_ticks in limits:
        checks.check_notional(instrument, price_ticks * command["qty_lots"] * instrument.tick_lot_units)


def check_client_ids(venue: Venue, account: Account, order: Order, stop_leg: Order | None) -> None:
    """The order's client id, and its stop leg's."""
    checks.check_client_id(venue, account, order.client_id)
    if stop_leg is not None:
        checks.check_client_id(venue, account, stop_leg.client_id)
        is_twice = order.client_id == stop_leg.client_id != (0, 0)
        refuse_if(is_twice, RejectCode.CLIENT_ID_DUPLICATE)


# The order ------------------------------------------------------------------------------------------------------------


def draft(venue: Venue, account: Account, instrument: Instrument, command: Command) -> tuple[Order, Order | None]:
    """The order as it would be, and of an OCO its stop leg (the order is then the limit leg)."""
    client_id = command["client_id_lo"], command["client_id_hi"]
    if command["order_type"] == OrderType.OCO:
        same = ("side", "time_in_force", "self_trade", "flags", "qty_lots", "trigger", "trigger_price_ticks")
        return Pair(
            account_id=account.number,
            instrument=instrument,
            limit_ticks=command["price_ticks"],
            stop_limit_price_ticks=command["stop_limit_price_ticks"],
            session_id=command["session_id"],
            expire_time_ns=command["expire_time_ns"],
            client_ids=(client_id, (command["target_lo"], command["target_hi"])),
            **{name: command[name] for name in same},
        ).legs(venue)
    rates = venue.rates(instrument.document["fee_schedule"], account)
    limit_ticks = limit_of(instrument, command)
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
        limit_ticks=limit_ticks,
        hold_price_ticks=limit_ticks,
        qty_lots=command["qty_lots"],
        leaves_lots=command["qty_lots"],
        is_budget=is_budget(command),
        budget_units=command["amount_units"] if is_budget(command) else 0,
        maker_ppm=rates["maker_ppm"],
        taker_ppm=rates["taker_ppm"],
        client_id=client_id,
        session_id=command["session_id"],
        entry_seq=venue.seq,
        expire_time_ns=command["expire_time_ns"],
    )
    for name in OWN_FIELDS.get(OrderType(order.order_type), TRIGGER_FIELDS):
        setattr(order, name, command[name])
    if order.order_type in {OrderType.STOP, OrderType.MARKET_IF_TOUCHED}:
        order.hold_price_ticks = instrument.cap(order.trigger_price_ticks)
    return order, None


TRIGGER_FIELDS = ("trigger", "trigger_price_ticks")
OWN_FIELDS: dict[OrderType, tuple[str, ...]] = {
    OrderType.LIMIT: ("display_qty_lots", "refill_qty_lots", "min_qty_lots"),
    OrderType.MARKET: (),
    OrderType.TRAILING_STOP: ("trigger", "trail", "trail_unit"),
    OrderType.TRAILING_STOP_LIMIT: ("trigger", "trail", "trail_unit"),
    OrderType.BRACKET: (*TRIGGER_FIELDS, "stop_limit_price_ticks", "take_profit_price_ticks"),
}
"""What orders of a type have beside what all have; the others have a trigger."""


def limit_of(instrument: Instrument, command: Command) -> int:
    """The worst price at which the order may trade, or would once triggered; 0 if that is not known yet."""
    if not is_market_entry(command):
        has_limit = command["order_type"] not in MARKET_ONCE_TRIGGERED | {OrderType.TRAILING_STOP_LIMIT}
        return command["price_ticks"] if has_limit else 0
    bounds = instrument.bounds()
    if command["side"] == Side.SELL:
        return max(bounds[0], 1) if bounds else 1
    return int(bounds[1] if bounds else instrument.document["max_price_ticks"])


def accept(venue: Venue, order: Order, stop_leg: Order | None) -> None:
    """Make an order live, and let it meet the book, rest or wait."""
    if stop_leg is not None:
        enter_pair(venue, order, stop_leg)
    else:
        venue.enlist(order)
        venue.rehold(order)
        venue.emit_order(EventKind.ORDER_ACCEPTED, order, order.flags)
        emit_details(venue, order)
    meet_or_rest(venue, order)


def meet_or_rest(venue: Venue, order: Order) -> None:
    """Put a live order to where it belongs: let it meet the book if the market is open and it waits for nothing."""
    instrument = venue.instruments[order.instrument_id]
    if order.is_dormant:
        venue.put(order, Place.DORMANT)
    elif waits(instrument.market.now, order.time_in_force):
        venue.put(order, Place.WAITING)
    elif instrument.is_open:
        aggress(venue, order)
    else:
        venue.put(order, Place.BOOK)
