"""Orders that belong together: an OCO's two legs, and a bracket's exits for what its entry filled."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from kk99.schema import CancelReason, EventKind, Flag, OrderType, RejectCode, Side, TimeInForce
from tests.naive.book import opposite
from tests.naive.records import Instrument, Key, Order, Place
from tests.naive.venue import unlink

if TYPE_CHECKING:
    from tests.naive.venue import Venue


@dataclass
class Pair:
    """What an OCO's two legs are to be made of."""

    account_id: int
    instrument: Instrument
    side: int
    time_in_force: int
    self_trade: int
    flags: int
    qty_lots: int
    limit_ticks: int
    trigger: int
    trigger_price_ticks: int
    stop_limit_price_ticks: int
    session_id: int
    expire_time_ns: int
    client_ids: tuple[Key, Key] = ((0, 0), (0, 0))
    parent_order_id: int = 0

    def legs(self, venue: Venue) -> tuple[Order, Order]:
        """The limit leg and the stop leg, not yet live."""
        rates = venue.rates(self.instrument.document["fee_schedule"], venue.account(self.account_id))
        stop_hold = self.stop_limit_price_ticks or self.instrument.cap(self.trigger_price_ticks)

        def leg(order_type: int, price_ticks: int, client_id: Key, hold_price_ticks: int) -> Order:
            return Order(
                order_id=0,
                account_id=self.account_id,
                instrument_id=self.instrument.number,
                side=self.side,
                order_type=order_type,
                time_in_force=self.time_in_force,
                self_trade=self.self_trade,
                flags=self.flags,
                price_ticks=price_ticks,
                limit_ticks=price_ticks,
                hold_price_ticks=hold_price_ticks,
                qty_lots=self.qty_lots,
                leaves_lots=self.qty_lots,
                maker_ppm=rates["maker_ppm"],
                taker_ppm=rates["taker_ppm"],
                client_id=client_id,
                session_id=self.session_id,
                entry_seq=venue.seq,
                expire_time_ns=self.expire_time_ns,
                parent_order_id=self.parent_order_id,
            )

        limit = leg(OrderType.LIMIT, self.limit_ticks, self.client_ids[0], max(self.limit_ticks, stop_hold))
        stop_type = OrderType.STOP_LIMIT if self.stop_limit_price_ticks else OrderType.STOP
        stop = leg(stop_type, self.stop_limit_price_ticks, self.client_ids[1], stop_hold)
        stop.trigger, stop.trigger_price_ticks = self.trigger, self.trigger_price_ticks
        return limit, stop


def shortfall(venue: Venue, instrument: Instrument, order: Order, more_units: int, count: int) -> RejectCode | None:
    """Why so much more cannot be held as the order would, for so many new orders; None if it can."""
    if venue.available[order.account_id, order.hold_asset(instrument)] < more_units:
        return RejectCode.FUNDS_INSUFFICIENT
    return None if venue.has_room(count) else RejectCode.ORDERS_FULL


def enter_pair(venue: Venue, limit: Order, stop: Order) -> None:
    """Make both legs live and say so; the stop leg waits, the limit leg is nowhere yet."""
    limit.linked, stop.linked = stop, limit
    for leg in (limit, stop):
        venue.enlist(leg)
        venue.rehold(leg)
    for leg in (limit, stop):
        venue.emit_order(EventKind.ORDER_ACCEPTED, leg, leg.flags)
        emit_details(venue, leg)
    venue.put(stop, Place.DORMANT)


def emit_details(venue: Venue, order: Order) -> None:
    """ORDER_DETAILS, of an order that has any."""
    details = details_fields(order)
    if details is not None:
        venue.emit(EventKind.ORDER_DETAILS, **details)


def details_fields(order: Order) -> dict[str, int] | None:
    """The fields of an order's ORDER_DETAILS, None if it has none."""
    is_plain = order.order_type in {OrderType.LIMIT, OrderType.MARKET}
    belongs = order.linked is not None or order.parent_order_id
    if is_plain and not (order.display_qty_lots or order.min_qty_lots or order.expire_time_ns or belongs):
        return None
    return {
        "order_id": order.order_id,
        "account_id": order.account_id,
        "instrument_id": order.instrument_id,
        "side": order.side,
        "order_type": order.order_type,
        "time_in_force": order.time_in_force,
        "trigger": order.trigger,
        "trigger_price_ticks": order.trigger_price_ticks,
        "linked_order_id": order.linked.order_id if order.linked else 0,
        "expire_time_ns": order.expire_time_ns,
        "min_qty_lots": order.min_qty_lots,
        **details_of_type(order),
    }


def details_of_type(order: Order) -> dict[str, int]:
    """The fields of ORDER_DETAILS that share a place."""
    if order.order_type == OrderType.BRACKET:
        return {
            "stop_limit_price_ticks": order.stop_limit_price_ticks,
            "take_profit_price_ticks": order.take_profit_price_ticks,
        }
    if order.is_trailing:
        return {"trail": order.trail, "trail_unit": order.trail_unit}
    return {
        "display_qty_lots": order.display_qty_lots,
        "refill_qty_lots": order.refill_qty_lots,
        "parent_order_id": order.parent_order_id,
    }


# What follows from a fill ---------------------------------------------------------------------------------------------


def follow(venue: Venue, order: Order, filled: int) -> None:
    """What follows from a fill of an order for those that belong to it: an OCO's stop leg, a bracket's exits."""
    resize_stop_leg(venue, order)
    if order.order_type == OrderType.BRACKET and filled:
        arm(venue, order, filled)


def resize_stop_leg(venue: Venue, limit: Order) -> None:
    """Give an OCO's stop leg the leaves of its limit leg."""
    stop = limit.linked
    if stop is None or stop.leaves_lots == limit.leaves_lots:
        return
    assert stop.is_dormant
    if limit.leaves_lots == 0:
        unlink(limit)
        venue.cancel(stop, CancelReason.LINKED)
    else:
        resize(venue, stop, limit.leaves_lots - stop.leaves_lots)


def resize(venue: Venue, order: Order, lots: int) -> None:
    """Give an order more quantity, or less, and say so."""
    order.qty_lots += lots
    order.leaves_lots += lots
    venue.rehold(order)
    venue.emit_change(EventKind.ORDER_RESIZED, order, CancelReason.LINKED)


def arm(venue: Venue, entry: Order, filled: int) -> None:
    """Make exits for what a bracket's entry filled, or let those that it has grow."""
    instrument = venue.instruments[entry.instrument_id]
    former = entry.exit
    if former is not None and former.order_id in venue.live:
        grow(venue, instrument, entry, former, filled)
        return
    limit, stop = exits_of(entry, instrument, filled).legs(venue)
    code = shortfall(venue, instrument, limit, limit.hold(instrument), count=2)
    if code is not None:
        refuse_exits(venue, entry, filled, limit.hold(instrument), code)
        return
    enter_pair(venue, limit, stop)
    entry.exit = limit
    is_crossing = instrument.book.is_crossed_by(limit.side, limit.limit_ticks)
    venue.put(limit, Place.ENTERING if is_crossing else Place.BOOK)
    for leg in (limit, stop):
        venue.set_expiry(leg)


def exits_of(entry: Order, instrument: Instrument, filled: int) -> Pair:
    """What a bracket's exits are made of."""
    lasts = entry.time_in_force in {TimeInForce.DAY, TimeInForce.GTD}
    return Pair(
        account_id=entry.account_id,
        instrument=instrument,
        side=opposite(entry.side),
        time_in_force=entry.time_in_force if lasts else TimeInForce.GTC,
        self_trade=entry.self_trade,
        flags=entry.flags & Flag.CANCEL_ON_LOST,
        qty_lots=filled,
        limit_ticks=entry.take_profit_price_ticks,
        trigger=entry.trigger,
        trigger_price_ticks=entry.trigger_price_ticks,
        stop_limit_price_ticks=entry.stop_limit_price_ticks,
        session_id=entry.session_id,
        expire_time_ns=entry.expire_time_ns,
        parent_order_id=entry.order_id,
    )


def grow(venue: Venue, instrument: Instrument, entry: Order, limit: Order, filled: int) -> None:
    """Let a bracket's exits grow by what its entry filled more."""
    stop = limit.linked
    assert stop is not None
    limit.leaves_lots += filled
    more_units = limit.hold(instrument) - limit.hold_units
    limit.leaves_lots -= filled
    code = shortfall(venue, instrument, limit, more_units, count=0)
    if code is not None:
        refuse_exits(venue, entry, filled, more_units, code)
        return
    if limit.place == Place.BOOK:
        venue.put(limit, Place.BOOK)
    resize(venue, limit, filled)
    resize(venue, stop, filled)


def refuse_exits(venue: Venue, entry: Order, filled: int, wanted_units: int, code: RejectCode) -> None:
    """EXITS_REFUSED."""
    venue.emit(
        EventKind.EXITS_REFUSED,
        order_id=entry.order_id,
        account_id=entry.account_id,
        instrument_id=entry.instrument_id,
        side=opposite(entry.side),
        qty_lots=filled,
        amount_units=wanted_units,
        reason=int(code),
    )


# Checks of linked prices ----------------------------------------------------------------------------------------------


def are_apart(side: int, limit_ticks: int, trigger_price_ticks: int) -> bool:
    """Whether an OCO's limit is on the better side of its trigger: of a sell above it, of a buy below it."""
    return limit_ticks > trigger_price_ticks if side == Side.SELL else limit_ticks < trigger_price_ticks


def is_bracket_right(side: int, limit_ticks: int, trigger_price_ticks: int, take_profit_price_ticks: int) -> bool:
    """Whether a bracket's prices are in order: stop, limit (0: none), take profit for a buy, the reverse for a sell."""
    prices = [trigger_price_ticks, limit_ticks, take_profit_price_ticks]
    if limit_ticks == 0:
        del prices[1]
    ordered = prices if side == Side.BUY else prices[::-1]
    return all(low < high for low, high in pairwise(ordered))
