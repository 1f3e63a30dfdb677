"""Deposits and withdrawals: money into and out of the venue, with their fees."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import entry, index, ledger, linked, output
from kk99.core import layout as lay
from kk99.core.memory import add, high, inlined, kernel, load, low, pair
from kk99.schema import RejectCode as R

AMOUNT_MAX = schema.AMOUNT_MAX
E_DEPOSITED = schema.EventKind.DEPOSITED.value
E_WITHDRAWN = schema.EventKind.WITHDRAWN.value


@inlined
def _rates(m: Any, asset_at: int, account_id: int) -> int:
    """Return the word with the deposit and withdrawal (high) rates of an account."""
    tier = high(load(m, lay.account(account_id) + lay.C_STATE))
    return load(m, lay.schedule(load(m, asset_at + lay.A_SCHEDULE)) + lay.F_TIERS + 2 * tier + 1)


@inlined
def _check_asset(m: Any, asset_id: int) -> int:
    if asset_id < 1 or asset_id > load(m, lay.HEADER + lay.H_ASSETS):
        return R.ASSET_UNKNOWN.value
    return 0


@inlined
def _moved(m: Any, kind: int, asset_id: int, account_id: int, amount: int, fee: int) -> None:
    """Collect the fee and write the event."""
    burned = ledger.fee(fee, load(m, lay.schedule(load(m, lay.asset(asset_id) + lay.A_SCHEDULE)) + lay.F_BURN_PPM))
    ledger.collect(m, asset_id, fee, burned)
    at = output.begin(m, kind, asset_id, account_id, 0, 0)
    output.finish(m, at, 0, 0, 0, fee, burned, amount)


@kernel
def deposit(m: Any, c: Any, at: int) -> None:
    """Credit an account, or reject the command."""
    owner = load(c, at + output.C_OWNER)
    asset_id = low(owner)
    account_id = high(owner)
    amount = load(c, at + output.C_AMOUNT)
    code = entry.check_account(m, account_id)
    if code == 0:
        code = _check_asset(m, asset_id)
    if code == 0 and (amount < 1 or amount > AMOUNT_MAX - load(m, lay.asset(asset_id) + lay.A_DEPOSITS)):
        code = R.AMOUNT_INVALID.value
    if code == 0 and load(m, lay.HEADER + lay.H_BALANCES) >= linked.BALANCES_BOUND:
        code = R.CAPACITY_REACHED.value
    if code != 0:
        output.reject(m, c, at, code)
        return
    fee = ledger.fee(amount, low(_rates(m, lay.asset(asset_id), account_id)))
    add(m, lay.asset(asset_id) + lay.A_DEPOSITS, amount)
    ledger.post(m, ledger.open_balance(m, account_id, asset_id), asset_id, amount - fee)
    _moved(m, E_DEPOSITED, asset_id, account_id, amount - fee, fee)


@kernel
def withdraw(m: Any, c: Any, at: int) -> None:
    """Debit an account, or reject the command."""
    owner = load(c, at + output.C_OWNER)
    asset_id = low(owner)
    account_id = high(owner)
    amount = load(c, at + output.C_AMOUNT)
    code = entry.check_account(m, account_id)
    if code == 0:
        code = entry.check_active(m, account_id)
    if code == 0:
        code = _check_asset(m, asset_id)
    if code == 0 and (amount < 1 or amount > AMOUNT_MAX):
        code = R.AMOUNT_INVALID.value
    if code != 0:
        output.reject(m, c, at, code)
        return
    fee = ledger.fee(amount, high(_rates(m, lay.asset(asset_id), account_id)))
    slot = index.find_balance(m, pair(account_id, asset_id))
    held = ledger.available(m, slot)
    if held < amount or held - amount < fee:
        output.reject(m, c, at, R.FUNDS_INSUFFICIENT.value)
        return
    ledger.post(m, slot, asset_id, -(amount + fee))
    add(m, lay.asset(asset_id) + lay.A_WITHDRAWALS, amount)
    _moved(m, E_WITHDRAWN, asset_id, account_id, amount, fee)
