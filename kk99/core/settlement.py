"""Settling what trades left owed: by command, on or after its value date; and what a failure costs the venue."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import entry, ledger, linked, obligations, output
from kk99.core import layout as lay
from kk99.core.memory import far, high, inlined, load, low, pair, store
from kk99.schema import RejectCode as R

SAY_SETTLED = 1  # states of a SETTLE command
SAY_FAILED = 2
STATE_SHIFT = schema.shift_of(schema.COMMAND, "state")
E_SETTLED = schema.EventKind.OBLIGATION_SETTLED.value
E_FAILED = schema.EventKind.OBLIGATION_FAILED.value
E_PENALTY = schema.EventKind.PENALTY_PAID.value


@inlined
def _check(m: Any, owner: int) -> int:
    """Return what is wrong with an account and an asset (low), or 0."""
    code = entry.check_account(m, high(owner))
    if code == 0 and (low(owner) < 1 or low(owner) > load(m, lay.HEADER + lay.H_ASSETS)):
        code = R.ASSET_UNKNOWN.value
    return code


@inlined
def _event(m: Any, c: Any, at: int, kind: int, price: int, amount: int) -> None:
    owner = load(c, at + output.C_OWNER)
    event = output.begin(m, kind, low(owner), high(owner), 0, load(c, at + output.C_TARGET_LO))
    output.finish(m, event, price, 0, 0, 0, 0, amount)


@inlined
def _changes(m: Any, slot: int, state: int) -> bool:
    """Return whether there is such a state to be said, and the obligation is not in it."""
    if state == SAY_FAILED:
        return load(m, lay.obligation(slot) + lay.OB_STATE) != obligations.FAILED
    return state == SAY_SETTLED


@far
def settle(m: Any, c: Any, at: int) -> None:
    """Pay what is owed, or take note that it failed to settle, or reject the command."""
    owner = load(c, at + output.C_OWNER)
    date = load(c, at + output.C_TARGET_LO)
    state = (load(c, at + output.C_KINDS) >> STATE_SHIFT) & 0xFF
    code = _check(m, owner)
    slot = obligations.find(m, pair(high(owner), low(owner)), date) if code == 0 else 0
    units = load(m, lay.obligation(slot) + lay.OB_UNITS) if slot != 0 else 0
    if code == 0 and slot == 0:
        code = R.OBLIGATION_UNKNOWN.value
    elif code == 0 and load(m, lay.HEADER + lay.H_TIME_NS) // obligations.DAY_NS < date:
        code = R.SETTLEMENT_NOT_DUE.value
    elif code == 0 and load(c, at + output.C_AMOUNT) != units:
        code = R.AMOUNT_INVALID.value
    elif code == 0 and not _changes(m, slot, state):
        code = R.STATE_UNCHANGED.value
    elif code == 0 and load(m, lay.HEADER + lay.H_BALANCES) >= linked.BALANCES_BOUND:
        code = R.CAPACITY_REACHED.value
    if code != 0:
        output.reject(m, c, at, code)
    elif state == SAY_FAILED:
        store(m, lay.obligation(slot) + lay.OB_STATE, obligations.FAILED)
        _event(m, c, at, E_FAILED, load(c, at + output.C_PRICE), units)
    else:
        obligations.close(m, slot)
        obligations.clear(m, low(owner), -units)
        ledger.post(m, ledger.open_balance(m, high(owner), low(owner)), low(owner), units)
        _event(m, c, at, E_SETTLED, 0, units)


@far
def penalty(m: Any, c: Any, at: int) -> int:
    """Pay an account, out of the venue's fees, for an obligation that failed; return the reject code or 0."""
    owner = load(c, at + output.C_OWNER)
    amount = load(c, at + output.C_AMOUNT)
    code = _check(m, owner)
    if code != 0:
        return code
    slot = obligations.find(m, pair(high(owner), low(owner)), load(c, at + output.C_TARGET_LO))
    if slot == 0:
        return R.OBLIGATION_UNKNOWN.value
    if amount < 1:
        return R.AMOUNT_INVALID.value
    fees = load(m, lay.asset(low(owner)) + lay.A_FEES_BALANCE)
    if ledger.available(m, fees) < amount:
        return R.FUNDS_INSUFFICIENT.value
    if load(m, lay.obligation(slot) + lay.OB_STATE) != obligations.FAILED:
        return R.STATE_UNCHANGED.value
    if load(m, lay.HEADER + lay.H_BALANCES) >= linked.BALANCES_BOUND:
        return R.CAPACITY_REACHED.value
    ledger.post(m, fees, low(owner), -amount)
    ledger.post(m, ledger.open_balance(m, high(owner), low(owner)), low(owner), amount)
    _event(m, c, at, E_PENALTY, 0, amount)
    return 0
