"""Obligations: what the venue owes accounts for trades that settle later, one for each account, asset and value date.

What is owed lies in the CLEARING account's balance of its asset, so that balance is the sum of all obligations in it.
They are found by a hash table of chains, keyed by this process's salt, whose layout never shows in any answer.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import layout as lay
from kk99.core import ledger
from kk99.core.memory import add, far, high, inlined, kernel, load, low, mix, pair, store

DAY_NS = 86_400 * 1_000_000_000
DUE = 0
FAILED = 1
HEADS_MASK = schema.OBLIGATIONS_MAX - 1


# Finding them ---------------------------------------------------------------------------------------------------------


@inlined
def _head_at(m: Any, owner: int, date: int) -> int:
    """Return the place of the head of the chain in which an obligation would be."""
    return lay.OBLIGATION_HEADS + (mix(owner, date, 0, load(m, lay.S_SALT)) & HEADS_MASK)


@kernel
def find(m: Any, owner: int, date: int) -> int:
    """Return the slot of what is owed to an account in an asset (high) for a value date, or 0."""
    slot = load(m, _head_at(m, owner, date))
    while slot != 0:
        at = lay.obligation(slot)
        if load(m, at + lay.OB_OWNER) == owner and load(m, at + lay.OB_DATE) == date:
            return slot
        slot = load(m, at + lay.OB_CHAIN)
    return 0


@kernel
def chain(m: Any, slot: int) -> None:
    """Put an obligation into the chain it belongs to."""
    at = lay.obligation(slot)
    head_at = _head_at(m, load(m, at + lay.OB_OWNER), load(m, at + lay.OB_DATE))
    store(m, at + lay.OB_CHAIN, load(m, head_at))
    store(m, head_at, slot)


@kernel
def _open(m: Any, owner: int, date: int) -> int:
    """Return the slot of a new obligation of nothing yet."""
    slot = load(m, lay.HEADER + lay.H_OBLIGATION_FREE)
    if slot != 0:
        store(m, lay.HEADER + lay.H_OBLIGATION_FREE, -load(m, lay.obligation(slot) + lay.OB_OWNER))
    else:
        slot = load(m, lay.HEADER + lay.H_OBLIGATION_TOP) + 1
        store(m, lay.HEADER + lay.H_OBLIGATION_TOP, slot)
    at = lay.obligation(slot)
    store(m, at + lay.OB_OWNER, owner)
    store(m, at + lay.OB_DATE, date)
    store(m, at + lay.OB_UNITS, 0)
    store(m, at + lay.OB_STATE, DUE)
    chain(m, slot)
    add(m, lay.HEADER + lay.H_OBLIGATIONS, 1)
    return slot


@kernel
def close(m: Any, slot: int) -> None:
    """Free an obligation."""
    at = lay.obligation(slot)
    before_at = _head_at(m, load(m, at + lay.OB_OWNER), load(m, at + lay.OB_DATE))
    while load(m, before_at) != slot:
        before_at = lay.obligation(load(m, before_at)) + lay.OB_CHAIN
    store(m, before_at, load(m, at + lay.OB_CHAIN))
    store(m, at + lay.OB_OWNER, -load(m, lay.HEADER + lay.H_OBLIGATION_FREE))
    store(m, at + lay.OB_DATE, 0)
    store(m, at + lay.OB_UNITS, 0)
    store(m, at + lay.OB_STATE, 0)
    store(m, lay.HEADER + lay.H_OBLIGATION_FREE, slot)
    add(m, lay.HEADER + lay.H_OBLIGATIONS, -1)


# What trades book -----------------------------------------------------------------------------------------------------


@kernel
def _nth_date(m: Any, number: int, days: int, today: int) -> int:
    """Return the value date of a trade made today that settles so many business days later, by a calendar (0: none)."""
    if number == 0:
        return today + days
    at = lay.calendar(number)
    count = load(m, at)
    place = 1  # of the first business date from today on
    beyond = count + 1
    while place < beyond:
        middle = (place + beyond) >> 1
        if load(m, at + middle) < today:
            place = middle + 1
        else:
            beyond = middle
    if place > count:
        return today + days
    if place + days <= count:
        return load(m, at + place + days)
    return load(m, at + count) + place + days - count


@far
def value_date(m: Any, instrument_at: int) -> int:
    """Return the value date of a trade that an instrument which settles later makes now; 0 without room to book it."""
    if load(m, lay.HEADER + lay.H_OBLIGATIONS) + 2 >= schema.OBLIGATIONS_MAX:
        return 0
    today = load(m, lay.HEADER + lay.H_TIME_NS) // DAY_NS
    if load(m, instrument_at + lay.I_TRADE_DATE) != today + 1:
        cycle = load(m, instrument_at + lay.I_SETTLEMENT)
        store(m, instrument_at + lay.I_TRADE_DATE, today + 1)
        store(m, instrument_at + lay.I_VALUE_DATE, _nth_date(m, high(cycle), low(cycle), today))
    return load(m, instrument_at + lay.I_VALUE_DATE)


@inlined
def clear(m: Any, asset_id: int, amount: int) -> None:
    """Post an amount to CLEARING."""
    ledger.post(m, load(m, lay.asset(asset_id) + lay.A_CLEARING_BALANCE), asset_id, amount)


@far
def owe(m: Any, account_id: int, asset_id: int, date: int, amount: int) -> None:
    """Owe an account so much more of an asset on a value date."""
    owner = pair(account_id, asset_id)
    slot = find(m, owner, date)
    if slot == 0:
        slot = _open(m, owner, date)
    add(m, lay.obligation(slot) + lay.OB_UNITS, amount)
    clear(m, asset_id, amount)


@far
def adjust(m: Any, account_id: int, asset_id: int, date: int, amount: int) -> int:
    """Add to what is owed, if it is still owed; return whether it is."""
    slot = find(m, pair(account_id, asset_id), date)
    if slot == 0:
        return 0
    add(m, lay.obligation(slot) + lay.OB_UNITS, amount)
    clear(m, asset_id, amount)
    return 1
