"""Reports that wait, are sent in bulk, and are sent again: none is skipped, and the bytes are those made one by one."""

from __future__ import annotations

import os
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.fix import index, parcels, send_many
from gateways.fix.answers import Report
from gateways.fix.codec import Header, encode
from gateways.fix.compiled import PAD
from gateways.fix.index import Index, Place
from gateways.fix.owed import Owed
from gateways.fix.venue_table import Dialect


def reports(first, count, size=3):
    """Reports of one session, of events from one on."""
    return [
        Report("S", "8" if at % 3 else "j", [(58, b"x" * (size + at % 7)), (17, b"%d" % at)], (at, 0, at % 2), [], at)
        for at in range(first, first + count)
    ]


def parcel(first, count, size=3):
    """The same as bytes."""
    return parcels.parcel_of(reports(first, count, size), Dialect())


def places(found):
    """The causes of reports."""
    return found.rows[:, 1].tolist()


def drained(owed):
    """All that waits."""
    found = []
    while len(owed):
        found += places(owed.next(3))
    return found


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=12),
    st.integers(1, 10**12), st.integers(0, 2**60), st.sampled_from([3, 6]), st.integers(0, 12),
)  # fmt: skip
def test_messages_and_index_rows_are_those_made_one_by_one(sizes, number, now_ns, places_, doubted):
    """Whatever their length and number, in milliseconds or microseconds, sure or in doubt."""
    made = [
        Report("S", "8" if short else "AF", [(58, b"y" * (1 + size))], (at + 1, at % 3, at % 2), [], 0)
        for at, (size, short) in enumerate(sizes)
    ]
    found = parcels.parcel_of(made, Dialect())
    names, first, second = send_many.names_of("KK99", "CLIENT")
    out = np.zeros(len(found.data) + found.count * send_many.HEAD_BYTES_MAX, np.uint8)
    rows = np.zeros(send_many.ROW_BYTES * found.count + PAD, np.uint8)
    doubt = np.array([doubted, 1, 0], np.int64)
    sizes_ = np.array([first, second, places_], np.int64)
    end = send_many.send_many(
        found.rows, found.data, 0, found.count, names, sizes_, number, now_ns, doubt, out, rows
    )  # fmt: skip
    expected, expected_rows = b"", b""
    for at, report in enumerate(made):
        is_doubted = report.identity <= tuple(doubt.tolist())
        header = Header("KK99", "CLIENT", number + at, now_ns, places_, poss_resend=is_doubted)
        expected += encode(report.msg_type, report.fields, header)
        row = index._ROW.pack(number + at, report.identity[0], now_ns, *report.identity[1:], is_doubted, 0)[:-4]
        expected_rows += row + zlib.crc32(row).to_bytes(4, "little")
    assert out[:end].tobytes() == expected
    assert rows[:-PAD].tobytes() == expected_rows


def test_rows_written_in_bulk_are_found(tmp_path):
    """An index knows what its rows say, after it is opened again too."""
    found = Index(tmp_path / "one.index", 1, Place(0, 0, 0))
    rows = b""
    for number in range(1, 4):
        row = index._ROW.pack(number, 10 + number, 77, 0, 0, 0, 0)[:-4]
        rows += row + zlib.crc32(row).to_bytes(4, "little")
    found.extend(memoryview(rows), 3, Place(13, 0, 0))
    os.close(found._file)
    again = Index(tmp_path / "one.index", 1, Place(0, 0, 0))
    assert (again.next_out, again.after) == (4, Place(13, 0, 0))
    assert [again.find(number).place.cause_seq for number in (1, 2, 3)] == [11, 12, 13]
    again.close()


def test_reserved_blocks_grow_with_haste(tmp_path, monkeypatch):
    """A session in a hurry reserves more at a time, up to a bound; one that is not, the least."""
    monkeypatch.setattr(index, "BLOCK_MAX", 8 * index.BLOCK)
    found = Index(tmp_path / "one.index", 1, Place(0, 0, 0))
    taken = []
    for haste in (60.0, 60.0, 60.0, 0.0):
        monkeypatch.setattr(index, "BLOCK_S", haste)
        found.next_out = found._reserved + 1
        before = found._reserved
        found.append([(index.ADMIN, 1, False)])
        taken.append(found._reserved - before - 1)
    assert taken == [4 * index.BLOCK, 8 * index.BLOCK, 8 * index.BLOCK, index.BLOCK]
    found.close()


def test_what_waits_comes_in_order_and_in_parts():
    """However it came, it is handed out in order."""
    owed = Owed(100, 100)
    for first, count in ((1, 5), (6, 1), (7, 10)):
        owed.take(parcel(first, count), is_bound=True)
    assert len(owed) == 16
    assert drained(owed) == list(range(1, 17))
    assert owed.next(5).count == 0


@pytest.mark.parametrize("is_bound", [True, False])
def test_more_than_may_wait_is_read_again(is_bound):
    """At the bound nothing is lost; beyond it a session that is there reads on later, another keeps the latest."""
    owed = Owed(4, 100)
    for at in range(1, 5):
        owed.take(parcel(at, 1), is_bound=is_bound)
    assert (len(owed), owed.is_behind) == (4, False)
    owed.take(parcel(5, 1), is_bound=is_bound)
    assert (len(owed), owed.is_behind) == (4, is_bound)
    if is_bound:
        assert drained(owed) == [1, 2, 3, 4]
        owed.begin_reading()
        owed.take(parcel(6, 1), is_bound=True)
        owed.end_reading(parcel(5, 1), is_end=True)
        assert (drained(owed), owed.is_behind) == ([5, 6], False)
        return
    owed.begin(Place(1, 0, 1))
    assert (drained(owed), owed.is_behind) == ([2, 3, 4, 5], False)


def test_what_was_given_up_while_nobody_was_there_is_read_again():
    """A session that comes back with less than what was given up reads it all anew."""
    owed = Owed(3, 100)
    owed.take(parcel(1, 9), is_bound=False)
    owed.take(parcel(10, 2), is_bound=False)
    owed.begin(Place(3, 0, 1))
    assert (len(owed), owed.is_behind) == (0, True)


def test_recent_reports_are_found_until_there_are_too_many(monkeypatch):
    """Each by its place, as long as numbers and bytes allow."""
    owed = Owed(100, 6)
    for first in (1, 4, 7):
        owed.take(parcel(first, 3), is_bound=True)
    found = [at for at in range(1, 10) if owed.recent(Place(at, 0, at % 2)) is not None]
    assert found == [4, 5, 6, 7, 8, 9]
    assert owed.recent(Place(5, 0, 0)) is None
    msg_type, body = owed.recent(Place(6, 0, 0))
    assert (msg_type, body) == ("j", b"58=" + b"x" * 9 + b"\x0117=6\x01")
    monkeypatch.setattr("gateways.fix.owed.RECENT_BYTES", 10)
    owed.take(parcel(10, 1), is_bound=True)
    assert owed.recent(Place(9, 0, 1)) is None
    assert owed.recent(Place(10, 0, 0)) is not None


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 30)), max_size=40))
def test_parcels_are_parted_by_line_without_a_loss(lines):
    """What a frame made for many sessions comes out for each in order, with bytes of its own."""
    bodies = [b"%d:" % at + b"z" * size for at, (_, size) in enumerate(lines)]
    rows = np.zeros((len(lines), 8), np.int64)
    offset = 0
    for at, ((line, _), body) in enumerate(zip(lines, bodies, strict=True)):
        rows[at] = line, at + 1, 0, 0, offset, len(body), ord("8"), 0
        offset += len(body)
    data = np.frombuffer(b"".join(bodies) + bytes(PAD), np.uint8).copy()
    found = parcels.by_line(rows, data)
    assert [line for line, _ in found] == sorted({line for line, _ in lines})
    for line, one in found:
        mine = [at for at, (owner, _) in enumerate(lines) if owner == line]
        assert [one.body(row) for row in range(one.count)] == [bodies[at] for at in mine]
        assert [one.place(row).cause_seq for row in range(one.count)] == [at + 1 for at in mine]
        assert len(one.data) == sum(len(bodies[at]) for at in mine) + PAD
