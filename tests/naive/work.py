"""Pending work, a step at a time: due timers, groups that halt, busy instruments, then the queue of mass cancels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import CancelReason, EventKind, Flag, RejectCode
from tests.naive import firing, groups, markets, triggers
from tests.naive.records import Order, WorkItem, refuse_if
from tests.naive.venue import Step

if TYPE_CHECKING:
    from tests.naive.venue import Venue


def do_work(venue: Venue) -> None:
    """Do one command's units of the pending work; with none left, only visits or an item of the queue can still end."""
    units = schema.WORK_UNITS_PER_COMMAND
    while True:
        if units > 0:
            step = step_of_timers(venue) or groups.next_step(venue) or step_of_busy(venue) or step_of_queue(venue)
        else:
            step = step_without_units(venue)
        if step is None or (units <= 0 and not step.is_free):
            break
        venue.work_origin = step.origin_seq
        units -= step.do()
        venue.work_origin = None


def step_without_units(venue: Venue) -> Step | None:
    """What comes next, if it may be an end that takes no units."""
    if venue.timers.is_due(venue.time_ns):
        return None
    if venue.halting:
        return groups.next_step(venue)
    return None if venue.busy else step_of_queue(venue)


def step_of_timers(venue: Venue) -> Step | None:
    """The first timer that is due."""
    return Step(lambda: firing.fire_next(venue), venue.seq) if venue.timers.is_due(venue.time_ns) else None


def step_of_busy(venue: Venue) -> Step | None:
    """The next step of the busy instrument in front."""
    if not venue.busy:
        return None
    return markets.next_step(venue, venue.busy[0]) or triggers.next_step(venue, venue.busy[0])


# The queue ------------------------------------------------------------------------------------------------------------


def check_queue(venue: Venue) -> None:
    """The queue of pending work must have room."""
    refuse_if(len(venue.work) >= schema.WORK_QUEUE_MAX, RejectCode.WORK_QUEUE_FULL)


def queue(venue: Venue, item: WorkItem) -> None:
    """Add an item, whose work begins at the end of the command."""
    venue.work.append(item)
    venue.wants_round = True


def step_of_queue(venue: Venue) -> Step | None:
    """The next visit of the item in front, or its end."""
    if not venue.work:
        return None
    item = venue.work[0]
    if item.last_slot is None:
        item.last_slot = len(venue.slots) - 1
    order, is_left = next_visit(venue, item)
    if is_left:
        return Step(lambda: visit(venue, item, order), item.origin_seq)
    return Step(lambda: finish(venue, item), item.origin_seq, is_free=True)


def next_visit(venue: Venue, item: WorkItem) -> tuple[Order | None, bool]:
    """The order that an item visits next (None for an empty slot), and whether there is anything left to visit."""
    if item.session_id:
        assert item.last_slot is not None
        slot = item.passed + 1
        return (venue.slots[slot], True) if slot <= item.last_slot else (None, False)
    for order in venue.accounts[item.account_id].orders:
        if order.serial > item.passed:
            return (order, True) if order.entry_seq <= item.origin_seq else (None, False)
    return None, False


def visit(venue: Venue, item: WorkItem, order: Order | None) -> int:
    """Visit one order or slot, and return the units that it cost."""
    if item.session_id:
        item.passed += 1
        if order is None or not is_lost(order, item):
            return 1
    else:
        assert order is not None
        item.passed = order.serial
        if item.instrument_id not in {0, order.instrument_id} or item.side not in {0, order.side}:
            return schema.WORK_UNITS_PER_ORDER
    venue.cancel(order, CancelReason(item.reason))
    triggers.settle(venue, venue.instruments[order.instrument_id])
    item.canceled += 1
    return schema.WORK_UNITS_PER_ORDER


def is_lost(order: Order, item: WorkItem) -> bool:
    """Whether a lost session's item cancels the order."""
    asked = order.flags & Flag.CANCEL_ON_LOST
    return order.session_id == item.session_id and bool(asked) and order.entry_seq < item.origin_seq


def finish(venue: Venue, item: WorkItem) -> int:
    """An item is worked off."""
    venue.emit(
        EventKind.MASS_CANCEL_DONE,
        account_id=item.account_id,
        instrument_id=item.instrument_id,
        side=item.side,
        order_id=item.session_id,
        qty_lots=item.canceled,
    )
    venue.work.popleft()
    return 0
