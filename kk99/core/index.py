"""Hash indexes: live orders by client id, the window of ended client ids, and balances by account and asset.

Live orders and balances use linear hashing with chains: a bucket is split at an insert once the table is as full as
it may be, so no insert ever pays for a whole rehash, and a chain is a link or two long. The head of a chain of
orders also has the first order's hash and the chain's length, so most ids that are not there are seen to be not
there without touching an order.

The window of ended ids is a fixed table of buckets of one cache line: seven entries of hash and position, and the
latest position that found its bucket full and went on to the next. What has left the window counts as free: nothing
is ever removed.

The hash is keyed by a salt of this process, as clients choose their ids; the layout never shows in any answer.
"""

from __future__ import annotations

from typing import Any, Final

from kk99 import schema
from kk99.core import layout as lay
from kk99.core.memory import (
    inlined,
    kernel,
    load,
    load_half,
    load_high,
    low,
    mix,
    prefetch,
    store,
    store_half,
    store_high,
    store_low,
)

BUCKETS_MIN: Final = 1024
BUCKETS_PER_ENTRY: Final = 4
HEAD_SLOT: Final = schema.ORDERS_MAX - 1
HEAD_COUNT_SHIFT: Final = schema.ORDER_SLOT_BITS
HEAD_UNKNOWN: Final = 255  # as a chain's length: it has to be walked, whatever the hash in its head


@inlined
def hash_of(m: Any, account_id: int, client_lo: int, client_hi: int) -> int:
    """Return the hash of an account's client id: 31 bits, keyed by the salt."""
    return mix(client_lo, client_hi, account_id, load(m, lay.S_SALT))


@inlined
def _bucket(m: Any, control: int, hashed: int) -> int:
    mask = load(m, control + lay.X_MASK)
    bucket = hashed & mask
    if bucket < load(m, control + lay.X_BUCKETS) - mask - 1:
        bucket = hashed & (2 * mask + 1)
    return bucket


@inlined
def first_order(m: Any, hashed: int) -> int:
    """Return the first slot in a hash's bucket of live orders, or 0."""
    return load(m, lay.ORDER_HEADS + _bucket(m, lay.X_ORDERS, hashed)) & HEAD_SLOT


@inlined
def prefetch_order(m: Any, hashed: int) -> None:
    """Fetch a hash's bucket of live orders."""
    prefetch(m, lay.ORDER_HEADS + _bucket(m, lay.X_ORDERS, hashed))


@inlined
def first_balance(m: Any, owner: int) -> int:
    """Return the first slot in a balance's bucket, or 0."""
    return load_half(m, lay.BALANCE_HEADS, _bucket(m, lay.X_BALANCES, hash_of(m, 0, owner, 0)))


@inlined
def prefetch_balance(m: Any, owner: int) -> None:
    """Fetch a balance's bucket."""
    prefetch(m, lay.BALANCE_HEADS + (_bucket(m, lay.X_BALANCES, hash_of(m, 0, owner, 0)) >> 1))


@inlined
def prefetch_closed(m: Any, hashed: int) -> None:
    """Fetch a hash's bucket of ended ids."""
    prefetch(m, _closed_bucket(hashed))


@inlined
def _order_hash(m: Any, slot: int) -> int:
    at = lay.order(slot)
    account_id = low(load(m, at + lay.O_OWNER))
    return hash_of(m, account_id, load(m, at + lay.O_CLIENT_LO), load(m, at + lay.O_CLIENT_HI))


@inlined
def _grown(m: Any, control: int) -> None:
    """Count one more bucket."""
    mask = load(m, control + lay.X_MASK)
    buckets = load(m, control + lay.X_BUCKETS) + 1
    store(m, control + lay.X_BUCKETS, buckets)
    if buckets == 2 * (mask + 1):
        store(m, control + lay.X_MASK, 2 * mask + 1)


@inlined
def _head(slot: int, count: int, hashed: int) -> int:
    """Return the head of a chain: its first slot, its length, that slot's hash."""
    return slot | min(count, HEAD_UNKNOWN) << HEAD_COUNT_SHIFT | hashed << 32


@inlined
def _push(m: Any, head_at: int, slot: int, hashed: int) -> None:
    """Put an order at the front of a chain."""
    head = load(m, head_at)
    store_high(m, lay.order(slot) + lay.O_LEVEL, head & HEAD_SLOT)
    store(m, head_at, _head(slot, ((head >> HEAD_COUNT_SHIFT) & 255) + 1, hashed))


@kernel
def _split_orders(m: Any) -> None:
    """Spread one bucket of live orders over itself and a new one."""
    mask = load(m, lay.X_ORDERS + lay.X_MASK)
    buckets = load(m, lay.X_ORDERS + lay.X_BUCKETS)
    source = buckets - mask - 1
    slot = load(m, lay.ORDER_HEADS + source) & HEAD_SLOT
    store(m, lay.ORDER_HEADS + source, 0)
    while slot != 0:
        at = lay.order(slot)
        following = load_high(m, at + lay.O_LEVEL)
        hashed = low(load(m, at + lay.O_HASH))
        kept = hashed & (2 * mask + 1) == source
        _push(m, lay.ORDER_HEADS + (source if kept else buckets), slot, hashed)
        slot = following
    _grown(m, lay.X_ORDERS)


@kernel
def _split_balances(m: Any) -> None:
    """Spread one bucket of balances over itself and a new one."""
    mask = load(m, lay.X_BALANCES + lay.X_MASK)
    buckets = load(m, lay.X_BALANCES + lay.X_BUCKETS)
    source = buckets - mask - 1
    slot = load_half(m, lay.BALANCE_HEADS, source)
    kept = 0
    moved = 0
    while slot != 0:
        at = lay.balance(slot)
        following = load(m, at + lay.B_CHAIN)
        if hash_of(m, 0, load(m, at + lay.B_OWNER), 0) & (2 * mask + 1) == source:
            store(m, at + lay.B_CHAIN, kept)
            kept = slot
        else:
            store(m, at + lay.B_CHAIN, moved)
            moved = slot
        slot = following
    store_half(m, lay.BALANCE_HEADS, source, kept)
    store_half(m, lay.BALANCE_HEADS, buckets, moved)
    _grown(m, lay.X_BALANCES)


@inlined
def _closed_bucket(hashed: int) -> int:
    """Return the place of a hash's bucket in the window of ended ids."""
    return lay.CLOSED_BUCKETS + (hashed & (lay.CLOSED_BUCKETS_COUNT - 1)) * 8


@inlined
def _next_closed_bucket(bucket_at: int) -> int:
    following = bucket_at + 8
    return following if following < lay.CLOSED_BUCKETS + lay.CLOSED_BUCKETS_COUNT * 8 else lay.CLOSED_BUCKETS


@inlined
def _in_window(position: int, ended: int) -> bool:
    """Return whether a position, which is kept modulo its bits, is still in the window."""
    age = (ended - position) & lay.CLOSED_POSITION_MASK
    return 0 < age <= schema.CLIENT_ID_WINDOW


@kernel
def find_order(m: Any, account_id: int, client_lo: int, client_hi: int) -> int:
    """Return the slot of an account's live order by client id, or 0."""
    hashed = hash_of(m, account_id, client_lo, client_hi)
    head = load(m, lay.ORDER_HEADS + _bucket(m, lay.X_ORDERS, hashed))
    slot = head & HEAD_SLOT
    if head >> 32 != hashed and (head >> HEAD_COUNT_SHIFT) & 255 < 2:
        return 0
    while slot != 0:
        at = lay.order(slot)
        if (
            load(m, at + lay.O_CLIENT_LO) == client_lo
            and load(m, at + lay.O_CLIENT_HI) == client_hi
            and low(load(m, at + lay.O_OWNER)) == account_id
        ):
            return slot
        slot = load_high(m, at + lay.O_LEVEL)
    return 0


@kernel
def was_used(m: Any, account_id: int, client_lo: int, client_hi: int) -> bool:
    """Return whether an account's client id is live or in the window of ended ones."""
    if find_order(m, account_id, client_lo, client_hi) != 0:
        return True
    hashed = hash_of(m, account_id, client_lo, client_hi)
    ended = load(m, lay.HEADER + lay.H_CLOSED)
    bucket_at = _closed_bucket(hashed)
    while True:
        for place in range(1, 8):
            entry = load(m, bucket_at + place)
            if entry >> lay.CLOSED_HASH_SHIFT == hashed and _in_window(entry & lay.CLOSED_POSITION_MASK, ended):
                at = lay.closed(entry & lay.CLOSED_POSITION_MASK)
                if (
                    load(m, at + lay.K_CLIENT_LO) == client_lo
                    and load(m, at + lay.K_CLIENT_HI) == client_hi
                    and load(m, at + lay.K_ACCOUNT) == account_id
                ):
                    return True
        if not _in_window(load(m, bucket_at), ended):
            return False
        bucket_at = _next_closed_bucket(bucket_at)


@kernel
def add_order(m: Any, slot: int) -> None:
    """Index a live order by the client id in its record."""
    hashed = _order_hash(m, slot)
    store_low(m, lay.order(slot) + lay.O_HASH, hashed)
    _push(m, lay.ORDER_HEADS + _bucket(m, lay.X_ORDERS, hashed), slot, hashed)
    entries = load(m, lay.X_ORDERS + lay.X_ENTRIES) + 1
    store(m, lay.X_ORDERS + lay.X_ENTRIES, entries)
    if BUCKETS_PER_ENTRY * entries > load(m, lay.X_ORDERS + lay.X_BUCKETS):
        for _ in range(BUCKETS_PER_ENTRY):
            _split_orders(m)


@kernel
def _remove_order(m: Any, slot: int, hashed: int) -> None:
    """Take an order out of the chain it is in."""
    head_at = lay.ORDER_HEADS + _bucket(m, lay.X_ORDERS, hashed)
    head = load(m, head_at)
    here = head & HEAD_SLOT
    count = (head >> HEAD_COUNT_SHIFT) & 255
    count = count - 1 if count < HEAD_UNKNOWN else HEAD_UNKNOWN
    following = load_high(m, lay.order(slot) + lay.O_LEVEL)
    if here != slot:
        while load_high(m, lay.order(here) + lay.O_LEVEL) != slot:
            here = load_high(m, lay.order(here) + lay.O_LEVEL)
        store_high(m, lay.order(here) + lay.O_LEVEL, following)
        store(m, head_at, _head(head & HEAD_SLOT, count, head >> 32))
    elif following == 0:
        store(m, head_at, 0)
    else:
        store(m, head_at, _head(following, HEAD_UNKNOWN, 0))
    store(m, lay.X_ORDERS + lay.X_ENTRIES, load(m, lay.X_ORDERS + lay.X_ENTRIES) - 1)


@kernel
def add_closed(m: Any, hashed: int, position: int, ended: int) -> None:
    """Put an ended client id's position into the window's table, in place of one that has left the window."""
    bucket_at = _closed_bucket(hashed)
    while True:
        for place in range(1, 8):
            if not _in_window(load(m, bucket_at + place) & lay.CLOSED_POSITION_MASK, ended):
                entry = hashed << lay.CLOSED_HASH_SHIFT | (position & lay.CLOSED_POSITION_MASK)
                store(m, bucket_at + place, entry)
                return
        store(m, bucket_at, position & lay.CLOSED_POSITION_MASK)
        bucket_at = _next_closed_bucket(bucket_at)


@kernel
def end_order(m: Any, slot: int) -> None:
    """Move the client id of an order from the live ones to the window of ended ones; the oldest leaves the window."""
    at = lay.order(slot)
    hashed = low(load(m, at + lay.O_HASH))
    _remove_order(m, slot, hashed)
    position = load(m, lay.HEADER + lay.H_CLOSED)
    record = lay.closed(position)
    store(m, record + lay.K_CLIENT_LO, load(m, at + lay.O_CLIENT_LO))
    store(m, record + lay.K_CLIENT_HI, load(m, at + lay.O_CLIENT_HI))
    store(m, record + lay.K_ACCOUNT, low(load(m, at + lay.O_OWNER)))
    store(m, record + lay.K_ORDER_ID, load(m, at + lay.O_ID))
    store(m, lay.HEADER + lay.H_CLOSED, position + 1)
    add_closed(m, hashed, position, position + 1)


@kernel
def readd_closed(m: Any, position: int, ended: int) -> None:
    """Put an ended client id back into the window's table (on load)."""
    at = lay.closed(position)
    hashed = hash_of(m, load(m, at + lay.K_ACCOUNT), load(m, at + lay.K_CLIENT_LO), load(m, at + lay.K_CLIENT_HI))
    add_closed(m, hashed, position, ended)


@kernel
def add_balance(m: Any, slot: int) -> None:
    """Index a balance by its owner and asset."""
    at = lay.balance(slot)
    bucket = _bucket(m, lay.X_BALANCES, hash_of(m, 0, load(m, at + lay.B_OWNER), 0))
    store(m, at + lay.B_CHAIN, load_half(m, lay.BALANCE_HEADS, bucket))
    store_half(m, lay.BALANCE_HEADS, bucket, slot)
    entries = load(m, lay.X_BALANCES + lay.X_ENTRIES) + 1
    store(m, lay.X_BALANCES + lay.X_ENTRIES, entries)
    if BUCKETS_PER_ENTRY * entries > load(m, lay.X_BALANCES + lay.X_BUCKETS):
        for _ in range(BUCKETS_PER_ENTRY):
            _split_balances(m)


@kernel
def find_balance(m: Any, owner: int) -> int:
    """Return the slot of the balance of an account (low half) in an asset (high half), or 0."""
    slot = first_balance(m, owner)
    while slot != 0:
        if load(m, lay.balance(slot) + lay.B_OWNER) == owner:
            return slot
        slot = load(m, lay.balance(slot) + lay.B_CHAIN)
    return 0
