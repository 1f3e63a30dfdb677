"""The price levels of one side of a book: a trie over the price's bits, 64 ways a node, and the best level at hand.

The trie is as high as its highest price needs and has a bitmap in each node, so finding, making and removing a
level and finding the next best one each take a handful of steps, whatever the number of levels. A level knows its
leaf, so canceling touches the trie only when a level empties. Levels and nodes are recycled through free lists.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import layout as lay
from kk99.core.copying import touch, touch_neighbours
from kk99.core.memory import (
    add,
    bit,
    bits_above,
    bits_below,
    far,
    high,
    highest_bit,
    inlined,
    kernel,
    load,
    load_half,
    load_high,
    load_low,
    low,
    lowest_bit,
    pair,
    prefetch,
    store,
    store_half,
    store_low,
)

BUY = schema.Side.BUY.value


@inlined
def _child(m: Any, node_at: int, place: int) -> int:
    return load_half(m, node_at + lay.D_CHILDREN, place)


@inlined
def _set_child(m: Any, node_at: int, place: int, child: int) -> None:
    store_half(m, node_at + lay.D_CHILDREN, place, child)
    store(m, node_at + lay.D_BITS, load(m, node_at + lay.D_BITS) | bit(place))


@kernel
def _new_node(m: Any, parent: int, place: int, prefix: int) -> int:
    slot = load(m, lay.S_NODE_FREE)
    if slot != 0:
        store(m, lay.S_NODE_FREE, load(m, lay.node(slot) + lay.D_PARENT))
    else:
        slot = load(m, lay.S_NODE_TOP) + 1
        store(m, lay.S_NODE_TOP, slot)
    at = lay.node(slot)
    store(m, at + lay.D_BITS, 0)
    store(m, at + lay.D_PARENT, pair(parent, place))
    store(m, at + lay.D_PREFIX, prefix)
    return slot


@kernel
def _leaf_of(m: Any, book_at: int, price: int) -> int:
    """Return the leaf for a price, making what is missing on the way."""
    node = load(m, book_at + lay.L_ROOT)
    shift = load(m, book_at + lay.L_SHIFT)
    if node == 0:
        shift = 0
        while price >> (shift + 6) != 0:
            shift += 6
        node = _new_node(m, 0, 0, price >> (shift + 6))
        store(m, book_at + lay.L_ROOT, node)
        store(m, book_at + lay.L_SHIFT, shift)
    while price >> (shift + 6) != 0:
        root = _new_node(m, 0, 0, 0)
        _set_child(m, lay.node(root), 0, node)
        store(m, lay.node(node) + lay.D_PARENT, pair(root, 0))
        node = root
        shift += 6
        store(m, book_at + lay.L_ROOT, node)
        store(m, book_at + lay.L_SHIFT, shift)
    while shift > 0:
        place = (price >> shift) & 63
        at = lay.node(node)
        if load(m, at + lay.D_BITS) & bit(place) != 0:
            node = _child(m, at, place)
        else:
            child = _new_node(m, node, place, price >> shift)
            _set_child(m, at, place, child)
            node = child
        shift -= 6
    return node


@inlined
def _leaf_guess(m: Any, book_at: int, price: int) -> int:
    """Return the leaf of a price if it was lately used, else 0; any price, only for prefetching."""
    known = load(m, book_at + lay.L_LEAVES + ((price >> 6) & (lay.LEAVES_KNOWN - 1)))
    return low(known) if high(known) == price >> 6 else 0


@inlined
def prefetch_leaf(m: Any, book_at: int, price: int) -> None:
    """Fetch what a price's leaf knows of it."""
    leaf_at = lay.NODES + _leaf_guess(m, book_at, price) * lay.NODE_WORDS
    prefetch(m, leaf_at)
    prefetch(m, leaf_at + lay.D_CHILDREN + ((price & 63) >> 1))


@inlined
def level_guess(m: Any, book_at: int, price: int) -> int:
    """Return the level of a price if it is easily found, else 0; any price, only for prefetching."""
    leaf_at = lay.NODES + _leaf_guess(m, book_at, price) * lay.NODE_WORDS
    if load(m, leaf_at + lay.D_BITS) & bit(price & 63) == 0:
        return 0
    return _child(m, leaf_at, price & 63)


@inlined
def prefetch_levels(m: Any, leaf: int) -> None:
    """Fetch all levels of a leaf."""
    at = lay.node(leaf)
    bits = load(m, at + lay.D_BITS)
    while bits != 0:
        place = lowest_bit(bits)
        prefetch(m, lay.level(_child(m, at, place)))
        bits = bits_above(bits, place)


@kernel
def level_at(m: Any, book_at: int, side: int, price: int) -> int:
    """Return the level of a price, made empty if it isn't there."""
    prefix = price >> 6
    known_at = book_at + lay.L_LEAVES + (prefix & (lay.LEAVES_KNOWN - 1))
    known = load(m, known_at)
    leaf = low(known)
    if leaf == 0 or high(known) != prefix:
        leaf = _leaf_of(m, book_at, price)
        store(m, known_at, pair(leaf, prefix))
    at = lay.node(leaf)
    if load(m, at + lay.D_BITS) & bit(price & 63) != 0:
        return _child(m, at, price & 63)
    slot = load(m, lay.S_LEVEL_FREE)
    if slot != 0:
        store(m, lay.S_LEVEL_FREE, load(m, lay.level(slot) + lay.V_QUEUE))
    else:
        slot = load(m, lay.S_LEVEL_TOP) + 1
        store(m, lay.S_LEVEL_TOP, slot)
    _set_child(m, at, price & 63, slot)
    record = lay.level(slot)
    store(m, record + lay.V_QUEUE, 0)
    store(m, record + lay.V_PRICE, price)
    store(m, record + lay.V_LEAF, leaf)
    add(m, lay.S_LEVELS, 1)
    best = load(m, book_at + lay.L_BEST)
    best_price = load(m, book_at + lay.L_BEST_PRICE)
    if best == 0 or (price > best_price if side == BUY else price < best_price):
        store(m, book_at + lay.L_BEST, slot)
        store(m, book_at + lay.L_BEST_PRICE, price)
    return slot


@kernel
def next_level(m: Any, slot: int, side: int) -> int:
    """Return the next worse level after a level that is in the trie, or 0."""
    record = lay.level(slot)
    node = load(m, record + lay.V_LEAF)
    place = load(m, record + lay.V_PRICE) & 63
    depth = 0
    while node != 0:
        at = lay.node(node)
        bits = load(m, at + lay.D_BITS)
        bits = bits_below(bits, place) if side == BUY else bits_above(bits, place)
        if bits != 0:
            child = _child(m, at, highest_bit(bits) if side == BUY else lowest_bit(bits))
            while depth > 0:
                at = lay.node(child)
                bits = load(m, at + lay.D_BITS)
                child = _child(m, at, highest_bit(bits) if side == BUY else lowest_bit(bits))
                depth -= 1
            return child
        parent = load(m, at + lay.D_PARENT)
        node = low(parent)
        place = high(parent)
        depth += 1
    return 0


@kernel
def _remove_level(m: Any, book_at: int, side: int, slot: int) -> None:
    record = lay.level(slot)
    if load(m, book_at + lay.L_BEST) == slot:
        best = next_level(m, slot, side)
        store(m, book_at + lay.L_BEST, best)
        if best != 0:
            store(m, book_at + lay.L_BEST_PRICE, load(m, lay.level(best) + lay.V_PRICE))
    node = load(m, record + lay.V_LEAF)
    place = load(m, record + lay.V_PRICE) & 63
    bits = load(m, lay.node(node) + lay.D_BITS) & ~bit(place)
    store(m, lay.node(node) + lay.D_BITS, bits)
    if bits == 0:
        prefix = load(m, record + lay.V_PRICE) >> 6
        store(m, book_at + lay.L_LEAVES + (prefix & (lay.LEAVES_KNOWN - 1)), 0)
        _remove_node(m, book_at, node)
    store(m, record + lay.V_QUEUE, load(m, lay.S_LEVEL_FREE))
    store(m, lay.S_LEVEL_FREE, slot)
    add(m, lay.S_LEVELS, -1)


@kernel
def _remove_node(m: Any, book_at: int, node: int) -> None:
    """Free a node without children, and those above it that are left without."""
    while node != 0:
        at = lay.node(node)
        parent = load(m, at + lay.D_PARENT)
        store(m, at + lay.D_PARENT, load(m, lay.S_NODE_FREE))
        store(m, lay.S_NODE_FREE, node)
        node = low(parent)
        if node == 0:
            store(m, book_at + lay.L_ROOT, 0)
            return
        bits = load(m, lay.node(node) + lay.D_BITS) & ~bit(high(parent))
        store(m, lay.node(node) + lay.D_BITS, bits)
        if bits != 0:
            return


@kernel
def append(m: Any, book_at: int, side: int, order_slot: int, price: int) -> None:
    """Put an order at the back of the queue at a price."""
    at = lay.order(order_slot)
    slot = level_at(m, book_at, side, price)
    record = lay.level(slot)
    queue = load(m, record + lay.V_QUEUE)
    last = high(queue)
    touch(m, at)
    store_low(m, at + lay.O_LEVEL, slot)
    store(m, at + lay.O_QUEUE, pair(0, last))
    if last == 0:
        store(m, record + lay.V_QUEUE, pair(order_slot, order_slot))
    else:
        last_at = lay.order(last) + lay.O_QUEUE
        touch(m, lay.order(last))
        store(m, last_at, pair(order_slot, load_high(m, last_at)))
        store(m, record + lay.V_QUEUE, pair(low(queue), order_slot))


@kernel
def remove(m: Any, book_at: int, side: int, order_slot: int) -> None:
    """Take an order out of the queue at its price; the level goes with its last order."""
    at = lay.order(order_slot)
    slot = load_low(m, at + lay.O_LEVEL)
    queue = load(m, at + lay.O_QUEUE)
    following = low(queue)
    before = high(queue)
    if following == 0 and before == 0:
        _remove_level(m, book_at, side, slot)
        return
    touch_neighbours(m, at, lay.O_QUEUE)
    record = lay.level(slot)
    if before == 0:
        store(m, record + lay.V_QUEUE, pair(following, load_high(m, record + lay.V_QUEUE)))
    else:
        before_at = lay.order(before) + lay.O_QUEUE
        store(m, before_at, pair(following, load_high(m, before_at)))
    if following == 0:
        store(m, record + lay.V_QUEUE, pair(load_low(m, record + lay.V_QUEUE), before))
    else:
        following_at = lay.order(following) + lay.O_QUEUE
        store(m, following_at, pair(load_low(m, following_at), before))


@far
def append_far(m: Any, book_at: int, side: int, order_slot: int, price: int) -> None:
    """Do as `append`, for callers that are not on the path of a plain order."""
    append(m, book_at, side, order_slot, price)


@far
def remove_far(m: Any, book_at: int, side: int, order_slot: int) -> None:
    """Do as `remove`, for callers that are not on the path of a plain order."""
    remove(m, book_at, side, order_slot)
