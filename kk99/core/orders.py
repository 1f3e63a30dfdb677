"""The life of an order's record: its slot and id, its place among its account's orders, its end."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import index
from kk99.core import layout as lay
from kk99.core.copying import touch, touch_neighbours
from kk99.core.memory import add, high, inlined, kernel, load, load_high, load_low, low, pair, store

SLOT_MASK = (1 << schema.ORDER_SLOT_BITS) - 1
GENERATION = 1 << schema.ORDER_SLOT_BITS
NOT_LISTED = -1  # as links: the order is in no account's list


@inlined
def take_slot(m: Any) -> int:
    """Return a free slot, its record's id set for its new life."""
    slot = load(m, lay.HEADER + lay.H_ORDER_FREE)
    if slot != 0:
        at = lay.order(slot)
        touch(m, at)
        store(m, lay.HEADER + lay.H_ORDER_FREE, load(m, at + lay.O_QUEUE))
        store(m, at + lay.O_ID, GENERATION - load(m, at + lay.O_ID))
    else:
        slot = load(m, lay.HEADER + lay.H_ORDER_TOP) + 1
        store(m, lay.HEADER + lay.H_ORDER_TOP, slot)
        store(m, lay.order(slot) + lay.O_ID, GENERATION | slot)
    add(m, lay.HEADER + lay.H_ORDERS, 1)
    return slot


@kernel
def link(m: Any, slot: int) -> None:
    """Put an order at the end of its account's list."""
    at = lay.order(slot)
    account_at = lay.account(low(load(m, at + lay.O_OWNER)))
    ends = load(m, account_at + lay.C_LIST)
    newest = high(ends)
    touch(m, at)
    store(m, at + lay.O_LIST, pair(0, newest))
    if newest == 0:
        store(m, account_at + lay.C_LIST, pair(slot, slot))
    else:
        newest_at = lay.order(newest) + lay.O_LIST
        touch(m, lay.order(newest))
        store(m, newest_at, pair(slot, load_high(m, newest_at)))
        store(m, account_at + lay.C_LIST, pair(low(ends), slot))
    add(m, account_at + lay.C_ORDERS, 1)


@kernel
def unlink(m: Any, slot: int) -> None:
    """Take an order out of its account's list; pending work that was to visit it next goes on behind it."""
    at = lay.order(slot)
    account_at = lay.account(low(load(m, at + lay.O_OWNER)))
    touch_neighbours(m, at, lay.O_LIST)
    links = load(m, at + lay.O_LIST)
    following = low(links)
    before = high(links)
    if before == 0:
        store(m, account_at + lay.C_LIST, pair(following, load_high(m, account_at + lay.C_LIST)))
    else:
        before_at = lay.order(before) + lay.O_LIST
        store(m, before_at, pair(following, load_high(m, before_at)))
    if following == 0:
        store(m, account_at + lay.C_LIST, pair(load_low(m, account_at + lay.C_LIST), before))
    else:
        following_at = lay.order(following) + lay.O_LIST
        store(m, following_at, pair(load_low(m, following_at), before))
    add(m, account_at + lay.C_ORDERS, -1)
    if load(m, lay.HEADER + lay.H_WORK_CURSOR) == slot:
        front = load(m, lay.HEADER + lay.H_WORK_FIRST)
        if load(m, lay.work(front) + lay.W_SESSION) == 0:
            store(m, lay.HEADER + lay.H_WORK_CURSOR, following)


@kernel
def retire(m: Any, slot: int) -> None:
    """End an order that is in no book and no list: its client id, its slot."""
    at = lay.order(slot)
    if load(m, at + lay.O_CLIENT_LO) != 0 or load(m, at + lay.O_CLIENT_HI) != 0:
        index.end_order(m, slot)
    touch(m, at)
    store(m, at + lay.O_ID, -load(m, at + lay.O_ID))
    store(m, at + lay.O_QUEUE, load(m, lay.HEADER + lay.H_ORDER_FREE))
    store(m, lay.HEADER + lay.H_ORDER_FREE, slot)
    add(m, lay.HEADER + lay.H_ORDERS, -1)


@inlined
def find(m: Any, account_id: int, target_lo: int, target_hi: int, by_client_id: int) -> int:
    """Return the slot of an account's live order by order id or client id, or 0."""
    if by_client_id != 0:
        return index.find_order(m, account_id, target_lo, target_hi)
    slot = target_lo & SLOT_MASK
    if target_lo <= 0 or target_hi != 0 or slot == 0:
        return 0
    at = lay.order(slot)
    if load(m, at + lay.O_ID) != target_lo or low(load(m, at + lay.O_OWNER)) != account_id:
        return 0
    return slot
