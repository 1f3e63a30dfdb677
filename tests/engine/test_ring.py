"""The ring: what is put comes out once, in order, stamped, with its cold rows and documents."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99 import batch, schema
from kk99.engine.ring import Ring, document_bytes
from kk99.schema import CommandKind, Flag

CAPACITY = 16


def commands_of(items):
    """Commands from (number, has a cold row, document or None)."""
    rows = np.zeros(len(items), schema.COMMAND)
    cold, tail = [], b"junk"
    for row, (number, has_cold, document) in zip(rows, items, strict=True):
        row["qty_lots"] = number
        row["kind"] = CommandKind.ORDER_NEW if document is None else CommandKind.ASSET_DEFINE
        if has_cold:
            row["flags"] = Flag.HAS_COLD
            cold_row = np.zeros((), schema.COLD)
            cold_row["actor"] = number
            cold.append(cold_row)
        if document is not None:
            row["document_offset"], row["document_size"] = len(tail), len(document)
            tail += document
    return batch.commands(rows, np.array(cold, schema.COLD), tail)


def taken_apart(item):
    """What a batch holds, as it was given, and checks that its frame decodes."""
    commands = batch.decode_commands(item.commands.encode())
    cold = iter(commands.cold["actor"].tolist())
    out = []
    for row in commands.rows:
        document = None
        if row["kind"] == CommandKind.ASSET_DEFINE:
            offset, size = int(row["document_offset"]), int(row["document_size"])
            document = bytes(commands.tail[offset : offset + size])
        has_cold = bool(row["flags"] & Flag.HAS_COLD)
        if has_cold:
            assert next(cold) == row["qty_lots"]
        out.append((int(row["qty_lots"]), has_cold, document))
    return out


frames = st.lists(
    st.lists(
        st.tuples(st.integers(1, 1000), st.booleans(), st.none() | st.binary(max_size=5)), min_size=1, max_size=CAPACITY
    ),
    max_size=12,
)


@given(frames, st.integers(1, 9), st.data())
def test_everything_comes_out_once_in_order(given_frames, batch_rows, data):
    """Whatever is put comes out the same, in order, in batches with contiguous sequences."""
    ring, out, put, released = Ring(CAPACITY, 1 << 20, 100), [], [], 100
    for time_ns, items in enumerate(given_frames):
        commands = commands_of(items)
        while not ring.has_room(len(items), document_bytes(commands), released):
            cut = ring.cut(batch_rows)
            assert cut.first_seq == released + 1
            assert cut.commands.rows["seq"].tolist() == list(range(cut.first_seq, cut.last_seq + 1))
            out += taken_apart(cut)
            released = cut.last_seq
        assert ring.put(commands, time_ns, document_bytes(commands)) == 100 + len(put) + len(items)
        put += items
        if data.draw(st.booleans()) and (cut := ring.cut(batch_rows)) is not None:
            out += taken_apart(cut)
            released = cut.last_seq
    while (cut := ring.cut(batch_rows)) is not None:
        out += taken_apart(cut)
    assert out == put


def test_full_to_the_last_row_and_not_beyond():
    """Exactly `capacity` rows fit; one is free again when one is done with."""
    ring = Ring(CAPACITY, 1 << 20, 0)
    ring.put(commands_of([(n, False, None) for n in range(CAPACITY)]), 1)
    assert not ring.has_room(1, 0, 0)
    assert ring.has_room(1, 0, 1)
    assert not ring.has_room(2, 0, 1)


def test_documents_are_bounded():
    """Documents take at most `tail_bytes_max`, and give it back when they are done with."""
    ring = Ring(CAPACITY, 10, 0)
    commands = commands_of([(1, False, b"123456")])
    assert document_bytes(commands) == 6
    assert ring.has_room(1, 6, 0)
    ring.put(commands, 1, 6)
    assert ring.has_room(1, 4, 0)
    assert not ring.has_room(1, 5, 0)
    assert ring.has_room(1, 10, 1)


def test_a_tail_that_would_grow_too_long_makes_two_batches():
    """A batch ends before the document that would carry its tail past the bound of a frame."""
    count = batch.TAIL_BYTES_MAX // schema.DOCUMENT_BYTES_MAX
    ring = Ring(4096, 1 << 30, 0)
    for start in range(0, count + 8, 8):
        ring.put(commands_of([(n, False, bytes(schema.DOCUMENT_BYTES_MAX)) for n in range(start, start + 8)]), 1, 1)
    cut = ring.cut(4096)
    assert len(cut.commands.rows) == count
    assert len(ring.cut(4096).commands.rows) == 8
    assert ring.cut(4096) is None


@pytest.mark.parametrize("rows", [1, 3])
def test_a_batch_is_at_most_as_long_as_asked(rows):
    """`cut` takes no more rows than it is told."""
    ring = Ring(CAPACITY, 1 << 20, 0)
    ring.put(commands_of([(n, False, None) for n in range(5)]), 7)
    cut = ring.cut(rows)
    assert len(cut.commands.rows) == rows
    assert set(cut.commands.rows["time_ns"].tolist()) == {7}
