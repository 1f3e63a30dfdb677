"""How orders end: canceled wherever they wait or rest, with the order they are linked to; or filled."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import algos, extras, ladder, ledger, orders, output, timers, triggers
from kk99.core import layout as lay
from kk99.core.memory import far, high, inlined, kernel, load, low

R_LINKED = schema.CancelReason.LINKED.value


@inlined
def release(m: Any, slot: int, price: int) -> None:
    """Give back what an order still holds, by the formula at a price."""
    at = lay.order(slot)
    instrument_at = lay.instrument(high(load(m, at + lay.O_OWNER)))
    side = load(m, at + lay.O_TERMS) & 0xFF
    hold_ppm = ledger.hold_ppm(load(m, at + lay.O_RATES))
    amount = ledger.order_hold(m, instrument_at, side, price, load(m, at + lay.O_LEAVES), hold_ppm)
    ledger.hold(m, low(load(m, at + lay.O_BALANCES)), -amount)


@far
def end_special(m: Any, slot: int) -> None:
    """Take a special order, that is in no book, out of its timed list and its timers; it is plain then."""
    extra_at = extras.of(m, lay.order(slot))
    extras.timed_remove(m, slot)
    timers.disarm(m, load(m, extra_at + lay.X_TIMER))
    if extras.place_of(m, extra_at) == lay.P_SCHEDULED:
        algos.detach(m, slot)
    extras.detach(m, slot)


@kernel
def end(m: Any, slot: int) -> None:
    """End an order that is in its account's list and in no book."""
    if extras.is_special(m, lay.order(slot)):
        end_special(m, slot)
    orders.unlink(m, slot)
    orders.retire(m, slot)


@kernel
def _lift(m: Any, slot: int) -> int:
    """Give back a special order's hold and take it out of where it waits or rests; return its linked order's id."""
    at = lay.order(slot)
    extra_at = extras.of(m, at)
    if not extras.holds_nothing(m, extra_at):
        release(m, slot, load(m, extra_at + lay.X_HOLD_PRICE))
    place = extras.place_of(m, extra_at)
    if place == lay.P_RESTING:
        side = load(m, at + lay.O_TERMS) & 0xFF
        ladder.remove_far(m, lay.book(high(load(m, at + lay.O_OWNER)), side), side, slot)
    elif place == lay.P_WAITING:
        extras.stop_waiting(m, slot)
    elif place >= lay.P_BOOK:
        if triggers.is_trailing(m, extra_at):
            triggers.trail_remove(m, slot)
        triggers.remove(m, slot)
    return load(m, extra_at + lay.X_LINKED)


@far
def _cancel_special(m: Any, slot: int, reason: int) -> None:
    """Cancel a special order, then its linked leg."""
    while slot != 0:
        at = lay.order(slot)
        output.order_event(m, output.E_CANCELED, reason, at, load(m, at + lay.O_LEAVES), 0)
        linked = _lift(m, slot)
        end(m, slot)
        slot = 0 if reason == R_LINKED else linked & orders.SLOT_MASK
        reason = R_LINKED


@kernel
def cancel(m: Any, slot: int, reason: int) -> None:
    """Cancel a live order: event, hold, book, list, slot; then the order linked to it."""
    at = lay.order(slot)
    if extras.is_special(m, at):
        _cancel_special(m, slot, reason)
        return
    side = load(m, at + lay.O_TERMS) & 0xFF
    output.order_event(m, output.E_CANCELED, reason, at, load(m, at + lay.O_LEAVES), 0)
    release(m, slot, load(m, at + lay.O_PRICE))
    ladder.remove(m, lay.book(high(load(m, at + lay.O_OWNER)), side), side, slot)
    orders.unlink(m, slot)
    orders.retire(m, slot)


@kernel
def cancel_linked(m: Any, extra_at: int) -> None:
    """Cancel the order that a special order is linked to, which stays; then it is linked no more."""
    linked = load(m, extra_at + lay.X_LINKED) & orders.SLOT_MASK
    if linked != 0:
        _cancel_special(m, linked, R_LINKED)
