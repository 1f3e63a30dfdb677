"""Pending work, in bounded steps: due timers, busy instruments, then mass cancels, kill switches and lost sessions."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import (
    busy,
    draining,
    ending,
    entry,
    extras,
    groups,
    output,
    phases,
    recovery,
    releasing,
    timers,
    triggers,
)
from kk99.core import layout as lay
from kk99.core.memory import add, far, high, inlined, kernel, load, low, store
from kk99.schema import RejectCode as R

UNITS = schema.WORK_UNITS_PER_COMMAND
UNITS_PER_ORDER = schema.WORK_UNITS_PER_ORDER
ON_LOST = schema.Flag.CANCEL_ON_LOST.value
SELL = schema.Side.SELL.value
E_DONE = schema.EventKind.MASS_CANCEL_DONE.value
E_MASS_CANCEL = schema.EventKind.MASS_CANCEL_ACCEPTED.value
E_SESSION_LOST = schema.EventKind.SESSION_LOST.value
R_MASS_CANCEL = schema.CancelReason.MASS_CANCEL.value
R_SESSION_LOST = schema.CancelReason.SESSION_LOST.value
R_EXPIRED = schema.CancelReason.EXPIRED.value
NO_UNITS = -1


@inlined
def _queued(m: Any) -> bool:
    return load(m, lay.HEADER + lay.H_WORK_FIRST) != load(m, lay.HEADER + lay.H_WORK_LAST)


@inlined
def is_busy(m: Any) -> bool:
    """Return whether an instrument or a market group has steps to do, some of them in this command."""
    return load(m, lay.HEADER + lay.H_BUSY) | load(m, lay.HEADER + lay.H_HALTING) != 0


@inlined
def pending(m: Any) -> bool:
    """Return whether there is work to do."""
    return _queued(m) or is_busy(m) or timers.due(m)


@inlined
def queue_full(m: Any) -> bool:
    """Return whether no further item can be queued."""
    queued = load(m, lay.HEADER + lay.H_WORK_LAST) - load(m, lay.HEADER + lay.H_WORK_FIRST)
    return queued >= schema.WORK_QUEUE_MAX


@kernel
def enqueue(m: Any, reason: int, account_id: int, instrument_id: int, side: int, session_id: int) -> None:
    """Queue an item that this command sets off."""
    position = load(m, lay.HEADER + lay.H_WORK_LAST)
    at = lay.work(position)
    store(m, at + lay.W_REASON, reason)
    store(m, at + lay.W_ACCOUNT, account_id)
    store(m, at + lay.W_INSTRUMENT, instrument_id)
    store(m, at + lay.W_SIDE, side)
    store(m, at + lay.W_SESSION, session_id)
    store(m, at + lay.W_ORIGIN, load(m, lay.HEADER + lay.H_SEQ))
    store(m, at + lay.W_CANCELED, 0)
    if not _queued(m):
        store(m, lay.HEADER + lay.H_WORK_CURSOR, -1)
    store(m, lay.HEADER + lay.H_WORK_LAST, position + 1)
    store(m, lay.S_ROUND, 1)


@kernel
def _finish(m: Any, at: int) -> None:
    """End the item in front."""
    event = output.begin(
        m,
        E_DONE | load(m, at + lay.W_SIDE) << 8,
        load(m, at + lay.W_INSTRUMENT),
        load(m, at + lay.W_ACCOUNT),
        0,
        load(m, at + lay.W_SESSION),
    )
    output.finish(m, event, 0, load(m, at + lay.W_CANCELED), 0, 0, 0, 0)
    add(m, lay.HEADER + lay.H_WORK_FIRST, 1)
    store(m, lay.HEADER + lay.H_WORK_CURSOR, -1)


@inlined
def _begin(m: Any, at: int) -> None:
    """Set the cursor of the item in front on its first order or slot."""
    if load(m, at + lay.W_SESSION) != 0:
        store(m, lay.HEADER + lay.H_WORK_CURSOR, 1)
        store(m, lay.HEADER + lay.H_WORK_LIMIT, load(m, lay.HEADER + lay.H_ORDER_TOP))
    else:
        oldest = low(load(m, lay.account(load(m, at + lay.W_ACCOUNT)) + lay.C_LIST))
        store(m, lay.HEADER + lay.H_WORK_CURSOR, oldest)


@inlined
def _visit_listed(m: Any, at: int, slot: int) -> None:
    """Visit an order of an account's list."""
    order_at = lay.order(slot)
    store(m, lay.HEADER + lay.H_WORK_CURSOR, low(load(m, order_at + lay.O_LIST)))
    instrument_id = load(m, at + lay.W_INSTRUMENT)
    side = load(m, at + lay.W_SIDE)
    if instrument_id != 0 and instrument_id != high(load(m, order_at + lay.O_OWNER)):
        return
    if side != 0 and side != load(m, order_at + lay.O_TERMS) & 0xFF:
        return
    add(m, at + lay.W_CANCELED, 1)
    ending.cancel(m, slot, load(m, at + lay.W_REASON))
    triggers.settle(m, high(load(m, order_at + lay.O_OWNER)))


@inlined
def _visit_slot(m: Any, at: int, slot: int) -> int:
    """Visit an order slot for a lost session; return the units it cost."""
    store(m, lay.HEADER + lay.H_WORK_CURSOR, slot + 1)
    order_at = lay.order(slot)
    terms = load(m, order_at + lay.O_TERMS)
    if load(m, order_at + lay.O_ID) <= 0 or load(m, order_at + lay.O_ENTRY_SEQ) >= load(m, at + lay.W_ORIGIN):
        return 1
    if (terms >> lay.SESSION_SHIFT) & lay.SESSION_MASK != load(m, at + lay.W_SESSION) or (terms >> 32) & ON_LOST == 0:
        return 1
    add(m, at + lay.W_CANCELED, 1)
    ending.cancel(m, slot, R_SESSION_LOST)
    triggers.settle(m, high(load(m, order_at + lay.O_OWNER)))
    return UNITS_PER_ORDER


@kernel
def _do_item(m: Any, units: int) -> int:
    """Do a step of the item in front of the queue; return its units, or NO_UNITS when too few are left for one."""
    at = lay.work(load(m, lay.HEADER + lay.H_WORK_FIRST))
    store(m, lay.S_ORIGIN, load(m, at + lay.W_ORIGIN))
    if load(m, lay.HEADER + lay.H_WORK_CURSOR) == -1:
        _begin(m, at)
    cursor = load(m, lay.HEADER + lay.H_WORK_CURSOR)
    if load(m, at + lay.W_SESSION) != 0:
        if cursor > load(m, lay.HEADER + lay.H_WORK_LIMIT):
            _finish(m, at)
            return 0
        return _visit_slot(m, at, cursor) if units > 0 else NO_UNITS
    if cursor == 0 or load(m, lay.order(cursor) + lay.O_ENTRY_SEQ) > load(m, at + lay.W_ORIGIN):
        _finish(m, at)
        return 0
    if units <= 0:
        return NO_UNITS
    _visit_listed(m, at, cursor)
    return UNITS_PER_ORDER


@kernel
def _fire(m: Any, seq: int) -> int:
    """Fire the timer that is due first; return its units."""
    slot = timers.pop(m)
    at = lay.timer(slot)
    kind = load(m, at + lay.M_KIND)
    owner = load(m, at + lay.M_OWNER)
    store(m, lay.S_ORIGIN, seq)
    if kind == timers.M_EXPIRY:
        instrument_id = high(load(m, lay.order(owner) + lay.O_OWNER))
        store(m, extras.of(m, lay.order(owner)) + lay.X_TIMER, 0)
        ending.cancel(m, owner, R_EXPIRED)
        triggers.settle(m, instrument_id)
    elif kind == timers.M_RELEASE:
        return UNITS_PER_ORDER + releasing.fire(m, owner)
    elif kind >= timers.M_RECOVERY:
        recovery.fire(m, kind, owner)
    else:
        phases.fire(m, kind, owner)
    return UNITS_PER_ORDER


@kernel
def _do_busy(m: Any, units: int) -> int:
    """Do a step of the busy instrument in front; return its units, or NO_UNITS when there are none left for one."""
    instrument_id = busy.first(m)
    store(m, lay.S_ORIGIN, load(m, lay.instrument(instrument_id) + lay.I_BUSY_ORIGIN))
    if units <= 0:
        return NO_UNITS
    done = phases.step(m, instrument_id)
    if done != 0:
        return max(done, 0)
    done = draining.step(m, instrument_id)
    if done == draining.NOTHING:
        busy.leave(m)
        return 0
    return done


@far
def work_on(m: Any) -> None:
    """Do a command's units of the pending work."""
    kind = load(m, lay.S_COMMAND_KIND)
    origin = load(m, lay.S_ORIGIN)
    client_seq = load(m, lay.S_CLIENT_SEQ)
    session = load(m, lay.S_SESSION)
    store(m, lay.S_COMMAND_KIND, 0)
    store(m, lay.S_CLIENT_SEQ, 0)
    store(m, lay.S_SESSION, 0)
    store(m, lay.S_PATH_FIRST, 0)
    units = UNITS
    done = 0
    while done != NO_UNITS:
        units -= done
        if timers.due(m):
            done = NO_UNITS
            if units > 0:
                done = _fire(m, load(m, lay.HEADER + lay.H_SEQ))
        elif load(m, lay.HEADER + lay.H_HALTING) != 0:
            done = groups.visit(m, units)
        elif load(m, lay.HEADER + lay.H_BUSY) != 0:
            done = _do_busy(m, units)
        elif _queued(m):
            done = _do_item(m, units)
        else:
            done = NO_UNITS
    store(m, lay.S_COMMAND_KIND, kind)
    store(m, lay.S_ORIGIN, origin)
    store(m, lay.S_CLIENT_SEQ, client_seq)
    store(m, lay.S_SESSION, session)


@kernel
def mass_cancel(m: Any, c: Any, at: int) -> None:
    """Queue a mass cancel and begin it, or reject it."""
    owner = load(c, at + output.C_OWNER)
    side = (load(c, at + output.C_KINDS) >> 8) & 0xFF
    code = entry.check_account(m, high(owner))
    if code == 0 and low(owner) != 0:
        code = entry.check_instrument(m, low(owner))
    if code == 0 and side > SELL:
        code = R.SIDE_INVALID.value
    if code == 0 and queue_full(m):
        code = R.WORK_QUEUE_FULL.value
    if code != 0:
        output.reject(m, c, at, code)
        return
    output.simple(m, E_MASS_CANCEL, low(owner), high(owner), 0, side, 0)
    enqueue(m, R_MASS_CANCEL, high(owner), low(owner), side, 0)


@kernel
def session_lost(m: Any, c: Any, at: int) -> None:
    """Queue the cancels of a lost session and begin them, or reject the command."""
    session_id = load(c, at + output.C_TARGET_LO)
    code = 0
    if session_id < 1 or session_id > load(m, lay.HEADER + lay.H_SESSIONS):
        code = R.SESSION_UNKNOWN.value
    elif queue_full(m):
        code = R.WORK_QUEUE_FULL.value
    if code != 0:
        output.reject(m, c, at, code)
        return
    output.simple(m, E_SESSION_LOST, 0, 0, session_id, 0, 0)
    enqueue(m, R_SESSION_LOST, 0, 0, 0, session_id)
