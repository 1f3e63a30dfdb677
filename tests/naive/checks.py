"""Checks of prices, quantities and ids that entering and replacing an order share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99.schema import Flag, RejectCode
from tests.naive.records import refuse_if

if TYPE_CHECKING:
    from tests.naive.records import Account, Instrument, Key, Order
    from tests.naive.venue import Venue


def check_price(instrument: Instrument, price_ticks: int, *, is_collared: bool = True) -> None:
    """A limit price."""
    refuse_if(price_ticks < 1, RejectCode.PRICE_INVALID)
    refuse_if(price_ticks % instrument.document["tick_step"], RejectCode.PRICE_OFF_TICK)
    refuse_if(price_ticks > instrument.document["max_price_ticks"], RejectCode.PRICE_ABOVE_MAX)
    bounds = instrument.bounds() if is_collared else None
    refuse_if(bounds and not bounds[0] <= price_ticks <= bounds[1], RejectCode.PRICE_OUTSIDE_COLLAR)


def check_trigger_price(instrument: Instrument, price_ticks: int) -> None:
    """A trigger's price."""
    is_off = price_ticks < 1 or price_ticks % instrument.document["tick_step"]
    refuse_if(is_off or price_ticks > instrument.document["max_price_ticks"], RejectCode.TRIGGER_INVALID)


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
    meets = instrument.book.is_crossed_by(order.side, order.limit_ticks)
    refuse_if(order.flags & Flag.POST_ONLY and meets, RejectCode.POST_ONLY_CROSSES)
