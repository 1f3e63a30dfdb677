"""The form of an entering order: which types and times in force there are, and which fields each uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import Flag, OrderType, RejectCode, SelfTrade, Side, TimeInForce
from tests.naive.records import DORMANT, TRAILING, refuse_if

if TYPE_CHECKING:
    from tests.naive.venue import Command

RESTING = {TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD}
PLACES = (
    "amount_units",  # and min_qty_lots, stop_limit_price_ticks
    "trigger",
    "trigger_price_ticks",  # and refill_qty_lots
    "display_qty_lots",  # and trail, take_profit_price_ticks
    "trail_unit",  # and state
    "target_lo",
    "target_hi",
    "expire_time_ns",
)
"""The fields that only some types use, one name for each place in the row."""


def is_budget(command: Command) -> bool:
    """Whether the order is bounded by money alone."""
    is_market_buy = command["order_type"] == OrderType.MARKET and command["side"] == Side.BUY
    return is_market_buy and command["amount_units"] != 0


def is_market_entry(command: Command) -> bool:
    """Whether the order meets the book without a limit: a market order, or a bracket that enters with one."""
    is_bracket = command["order_type"] == OrderType.BRACKET
    return command["order_type"] == OrderType.MARKET or (is_bracket and command["price_ticks"] == 0)


def times_of(command: Command) -> set[TimeInForce]:
    """The times in force that the order may have."""
    order_type = command["order_type"]
    if order_type == OrderType.LIMIT:
        return set(TimeInForce) - {TimeInForce.GTX}
    if order_type == OrderType.MARKET:
        auctions = {TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE}
        return {TimeInForce.IOC} if is_budget(command) else {TimeInForce.IOC, TimeInForce.FOK} | auctions
    if order_type == OrderType.BRACKET:
        return {TimeInForce.IOC} if is_market_entry(command) else RESTING | {TimeInForce.IOC}
    return RESTING


def places_of(command: Command) -> set[str]:
    """The places that the order uses."""
    order_type, time_in_force = command["order_type"], command["time_in_force"]
    used = {"expire_time_ns"} if time_in_force == TimeInForce.GTD else set()
    if order_type == OrderType.LIMIT:
        used |= {"display_qty_lots", "trigger_price_ticks"} if time_in_force in RESTING else set()
        used |= {"amount_units"} if time_in_force in RESTING | {TimeInForce.IOC} else set()
    elif order_type == OrderType.MARKET:
        used |= {"amount_units"}
    elif order_type in TRAILING:
        used |= {"trigger", "display_qty_lots", "trail_unit"}
    elif order_type in DORMANT:
        used |= {"trigger", "trigger_price_ticks"}
    elif order_type == OrderType.OCO:
        used |= {"trigger", "trigger_price_ticks", "amount_units", "target_lo", "target_hi"}
    elif order_type == OrderType.BRACKET:
        used |= {"trigger", "trigger_price_ticks", "amount_units", "display_qty_lots"}
    return used


def check_form(command: Command) -> None:
    """What can be seen wrong without a look at the instrument."""
    order_type, flags = command["order_type"], command["flags"]
    refuse_if(command["side"] not in {Side.BUY, Side.SELL}, RejectCode.SIDE_INVALID)
    refuse_if(order_type not in set(OrderType) - {OrderType.ALGO}, RejectCode.ORDER_TYPE_UNSUPPORTED)
    refuse_if(command["time_in_force"] not in times_of(command), RejectCode.TIME_IN_FORCE_UNSUPPORTED)
    refuse_if(command["self_trade"] not in set(SelfTrade), RejectCode.SELF_TRADE_INVALID)
    refuse_if(flags & ~int(schema.ORDER_FLAGS), RejectCode.FLAGS_INVALID)
    can_post = order_type == OrderType.LIMIT and command["time_in_force"] in RESTING and not command["min_qty_lots"]
    refuse_if(flags & Flag.POST_ONLY and not can_post, RejectCode.FLAGS_INVALID)
    unused = set(PLACES) - places_of(command)
    refuse_if(any(command[name] for name in unused), RejectCode.FLAGS_INVALID)
