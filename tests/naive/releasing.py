"""Scheduled orders on the clock: what a parent's slices make due, and the children that it releases for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import AccountState, CancelReason, EventKind, Flag, OrderType, Side, TimeInForce
from tests.naive.clock import Wants
from tests.naive.linked import emit_details
from tests.naive.matching import aggress
from tests.naive.records import Order, fee
from tests.naive.triggers import settle
from tests.naive.venue import identity

if TYPE_CHECKING:
    from tests.naive.records import Instrument
    from tests.naive.venue import Venue

VOLUME_MODULUS = 1 << 62


@dataclass(eq=False)
class Schedule:
    """What a parent releases, and when."""

    start_time_ns: int
    end_time_ns: int
    participation_ppm: int
    slices: list[list[int]]
    """[offset since the start, lots] each."""
    timer: int = 0
    """The number of the release timer, 0 is none."""
    noted_lots: int | None = None
    """The instrument's traded volume at the first firing."""
    is_suspended: bool = False

    @property
    def has_begun(self) -> bool:
        """Whether the release timer has fired."""
        return self.noted_lots is not None

    def due_lots(self, time_ns: int) -> int:
        """The lots of the slices that are due by then."""
        return sum(lots for offset_ns, lots in self.slices if self.start_time_ns + offset_ns <= time_ns)

    def next_time_ns(self, time_ns: int) -> int | None:
        """When the first slice after a time is due."""
        times = [self.start_time_ns + offset_ns for offset_ns, _ in self.slices]
        return min((at_ns for at_ns in times if at_ns > time_ns), default=None)


def release(venue: Venue, parent: Order) -> int:
    """A parent's release timer fired: release what is due; return the units."""
    schedule, instrument = parent.schedule, venue.instruments[parent.instrument_id]
    assert schedule is not None
    schedule.timer = 0
    if schedule.noted_lots is None:
        schedule.noted_lots = instrument.volume_lots
    next_ns = schedule.next_time_ns(venue.time_ns)
    if next_ns is not None:
        schedule.timer = venue.timers.set(next_ns, Wants.RELEASE, parent.order_id)
    lots, limit_ticks = lots_to_release(venue, parent, schedule), child_limit(instrument, parent)
    is_active = venue.accounts[parent.account_id].state == AccountState.ACTIVE
    can = instrument.is_open and is_active and not schedule.is_suspended and venue.has_room(1)
    if lots < 1 or limit_ticks < 1 or not can:
        return schema.WORK_UNITS_PER_ORDER
    met = let_child_meet(venue, parent, child_of(venue, parent, lots, limit_ticks))
    settle(venue, instrument)
    return schema.TRIGGER_UNITS + (1 + met) * schema.WORK_UNITS_PER_ORDER


def lots_to_release(venue: Venue, parent: Order, schedule: Schedule) -> int:
    """How much of a parent is due now, within its cap, in whole lot steps."""
    instrument = venue.instruments[parent.instrument_id]
    filled = parent.qty_lots - parent.leaves_lots
    lots = schedule.due_lots(venue.time_ns) - filled
    if schedule.participation_ppm:
        assert schedule.noted_lots is not None
        volume_lots = (instrument.volume_lots - schedule.noted_lots) % VOLUME_MODULUS
        lots = min(lots, fee(volume_lots, schedule.participation_ppm) - filled)
    return lots // int(instrument.document["lot_step"]) * int(instrument.document["lot_step"])


def child_limit(instrument: Instrument, parent: Order) -> int:
    """The worst price at which a child may trade: the parent's limit, within the collar, on a tick step."""
    bounds, step = instrument.bounds(), int(instrument.document["tick_step"])
    if parent.side == Side.BUY:
        limit_ticks = min(parent.price_ticks, bounds[1]) if bounds else parent.price_ticks
        return limit_ticks // step * step
    limit_ticks = max(parent.price_ticks, bounds[0]) if bounds else parent.price_ticks
    return -(-limit_ticks // step) * step


def child_of(venue: Venue, parent: Order, lots: int, limit_ticks: int) -> Order:
    """The child that a parent releases."""
    return Order(
        order_id=0,
        account_id=parent.account_id,
        instrument_id=parent.instrument_id,
        side=parent.side,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.IOC,
        self_trade=parent.self_trade,
        flags=parent.flags & Flag.CANCEL_ON_LOST,
        price_ticks=limit_ticks,
        limit_ticks=limit_ticks,
        hold_price_ticks=limit_ticks,
        qty_lots=lots,
        leaves_lots=lots,
        maker_ppm=parent.maker_ppm,
        taker_ppm=parent.taker_ppm,
        client_id=(0, 0),
        session_id=parent.session_id,
        entry_seq=venue.seq,
        parent_order_id=parent.order_id,
    )


def let_child_meet(venue: Venue, parent: Order, child: Order) -> int:
    """Let a child meet the book, and tell its parent what came of it; return how many orders it met."""
    released_lots = child.leaves_lots
    parent.leaves_lots -= released_lots
    venue.rehold(parent)
    venue.enlist(child)
    venue.rehold(child)
    venue.emit_order(EventKind.ORDER_ACCEPTED, child, child.flags)
    emit_details(venue, child)
    instrument = venue.instruments[parent.instrument_id]
    volume_lots = instrument.volume_lots
    met = aggress(venue, child)
    filled_lots = instrument.volume_lots - volume_lots
    if not take_back(venue, parent, released_lots - filled_lots):
        venue.cancel(parent, CancelReason.FUNDS)
        return met
    venue.emit(
        EventKind.ORDER_RELEASED,
        **identity(parent),
        qty_lots=released_lots,
        leaves_lots=parent.leaves_lots,
        amount_units=parent.hold_units,
    )
    if parent.leaves_lots == 0:
        venue.end(parent)
    return met


def take_back(venue: Venue, parent: Order, lots: int) -> bool:
    """Give a parent back what its child did not fill; False if that can no longer be held."""
    instrument = venue.instruments[parent.instrument_id]
    parent.leaves_lots += lots
    more_units = parent.hold(instrument) - parent.hold_units
    if venue.available[parent.account_id, parent.hold_asset(instrument)] < more_units:
        parent.leaves_lots -= lots
        return False
    venue.rehold(parent)
    return True
