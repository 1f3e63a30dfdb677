"""Lists of byte strings in blocks: they are the list that was made of them, and copies stay as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99.directory.blocks import BLOCK_ITEMS, Blocks, join

EDGES = [0, 1, BLOCK_ITEMS - 1, BLOCK_ITEMS, BLOCK_ITEMS + 1, 2 * BLOCK_ITEMS, 2 * BLOCK_ITEMS + 1]


def filled(count):
    """Blocks with so many strings, and the same as a list."""
    blocks, items = Blocks(), [b"%d," % number for number in range(count)]
    for item in items:
        blocks.append(item)
    return blocks, items


@pytest.mark.parametrize("count", EDGES)
def test_blocks_are_a_list(count):
    """Length, order, indexes and what is joined are a list's, at the edges of blocks."""
    blocks, items = filled(count)
    assert (len(blocks), list(blocks), join(blocks.copy())) == (count, items, b"".join(items))
    assert [blocks[index] for index in range(count)] == items


@given(st.sampled_from(EDGES), st.lists(st.integers(0, 2 * BLOCK_ITEMS), max_size=12))
def test_a_copy_stays_as_it_was(count, changes):
    """Whatever is added or replaced later, each copy gives what the list was when it was made."""
    blocks, items = filled(count)
    copies = [(blocks.copy(), b"".join(items))]
    for number, index in enumerate(changes):
        item = b"new %d," % number
        if index < len(items):
            blocks.replace(index, item)
            items[index] = item
        else:
            blocks.append(item)
            items.append(item)
        copies.append((blocks.copy(), b"".join(items)))
    assert [join(copy) for copy, _ in copies] == [expected for _, expected in copies]
