"""Frames: what goes in comes out, and bytes that are not a frame are a FrameError and nothing else."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99 import batch, build, schema
from kk99.batch import FrameError


def small_commands():
    """A plain order, one with a cold row, and two documents."""
    who = {"actor": "operator", "reason": "test"}
    return build.stamp(
        build.batch_of(
            [
                build.order_new(16, 1, schema.Side.BUY, 5, 100),
                build.asset("KAU", 8, **who),
                build.order_new(17, 1, schema.Side.SELL, 5, 100, client_id="first"),
                build.session("gateway-1"),
            ]
        ),
        7,
        1_000,
    )


def small_events():
    """Three events, with a document."""
    rows = np.zeros(3, schema.EVENT)
    rows["cause_seq"] = [4, 4, 5]
    rows["index"] = [0, 1, 0]
    rows["kind"] = schema.EventKind.TRADE
    return batch.Events(rows, b"document", (3, 2), 5)


def bytes_of(decoded):
    """Rows, cold rows if there are any, and tail, as bytes."""
    cold = decoded.cold.tobytes() if isinstance(decoded, batch.Commands) else b""
    return decoded.rows.tobytes(), cold, bytes(decoded.tail)


CASES = [
    pytest.param(small_commands().encode(), batch.decode_commands, id="commands"),
    pytest.param(small_events().encode(), batch.decode_events, id="events"),
]


def with_header(frame, **fields):
    """The frame with other values in its header."""
    header = np.frombuffer(frame, batch.HEADER, 1).copy()
    for name, value in fields.items():
        header[name] = value
    return header.tobytes() + frame[batch.HEADER_SIZE :]


def frame_of(rows, cold_count=0, tail_size=0, **fields):
    """A commands frame of zero rows with any header."""
    empty = batch.Commands(build.new_rows(rows), np.zeros(cold_count, schema.COLD), bytes(tail_size))
    return with_header(empty.encode(), **fields)


class TestRoundTrip:
    """Encoding, then decoding."""

    def test_header_is_64_bytes_without_padding(self):
        """The header's fields fill it, each at a multiple of its size."""
        assert batch.HEADER_SIZE == 64 == sum(batch.HEADER[name].itemsize for name in batch.HEADER.names)
        for name, (kind, offset, *_) in batch.HEADER.fields.items():
            assert offset % kind.itemsize == 0, name

    def test_commands_come_back(self):
        """Rows, cold rows and documents are as they were, also through a memoryview."""
        commands = small_commands()
        assert bytes_of(batch.decode_commands(commands.encode())) == bytes_of(commands)
        assert bytes_of(batch.decode_commands(memoryview(commands.encode()))) == bytes_of(commands)

    def test_events_come_back(self):
        """Rows, tail, the event before and the last sequence are as they were."""
        events = batch.decode_events(small_events().encode())
        assert bytes_of(events) == bytes_of(small_events())
        assert (events.previous, events.last_seq) == ((3, 2), 5)

    def test_nothing_comes_back_as_nothing(self):
        """A frame without rows is a header, and decodes."""
        frame = batch.Commands(build.new_rows(0), np.zeros(0, schema.COLD)).encode()
        assert len(frame) == batch.HEADER_SIZE
        assert len(batch.decode_commands(frame).rows) == 0
        assert len(batch.decode_events(batch.Events(np.zeros(0, schema.EVENT)).encode()).rows) == 0

    def test_rows_that_are_not_contiguous_are_encoded_as_they_read(self):
        """A strided view of rows is written as if it were copied first."""
        rows = build.stamp(build.batch_of([build.clock() for _ in range(6)]), 1, 0).rows
        frame = batch.Commands(rows[::2], np.zeros(0, schema.COLD)).encode()
        assert batch.decode_commands(frame).rows["seq"].tolist() == [1, 3, 5]

    def test_decoding_copies_nothing(self):
        """The rows are a read-only view of the frame's bytes."""
        frame = small_commands().encode()
        rows = batch.decode_commands(frame).rows
        assert not rows.flags.writeable
        assert np.shares_memory(rows, np.frombuffer(frame, np.uint8))

    def test_pieces_join_to_the_frame(self):
        """A gathering writer writes the same bytes."""
        assert b"".join(small_commands().pieces()) == small_commands().encode()
        assert b"".join(small_events().pieces()) == small_events().encode()

    @given(st.integers(0, 5), st.binary(max_size=32), st.tuples(*[st.integers(0, 2**62)] * 2), st.integers(0, 2**62))
    def test_any_events_come_back(self, n, tail, previous, last_seq):
        """Whatever the numbers, they come back."""
        rows = np.zeros(n, schema.EVENT)
        events = batch.decode_events(batch.Events(rows, tail, previous, last_seq).encode())
        assert (len(events.rows), bytes(events.tail), events.previous, events.last_seq) == (n, tail, previous, last_seq)


@pytest.mark.parametrize(("frame", "decode"), CASES)
class TestDamage:
    """Frames that are cut, lengthened or changed."""

    def test_every_shorter_frame_is_refused(self, frame, decode):
        """No prefix of a frame is a frame."""
        for length in range(len(frame)):
            with pytest.raises(FrameError):
                decode(frame[:length])

    def test_a_longer_frame_is_refused(self, frame, decode):
        """Bytes after the frame are an error."""
        with pytest.raises(FrameError):
            decode(frame + b"\0")

    def test_every_changed_header_byte_is_refused_or_harmless(self, frame, decode):
        """Each byte of the header, set to each other value, gives a FrameError or the same rows."""
        whole = decode(frame)
        for position in range(batch.HEADER_SIZE):
            for value in range(256):
                changed = frame[:position] + bytes([value]) + frame[position + 1 :]
                try:
                    decoded = decode(changed)
                except FrameError:
                    continue
                assert bytes_of(decoded) == bytes_of(whole), f"byte {position} as {value}"

    def test_another_kind_of_frame_is_refused(self, frame, decode):
        """Events are not taken for commands, nor commands for events."""
        other = batch.decode_events if decode is batch.decode_commands else batch.decode_commands
        with pytest.raises(FrameError, match="kind"):
            other(frame)

    def test_another_schema_is_refused(self, frame, decode):
        """The message names both fingerprints."""
        with pytest.raises(FrameError, match=f"{schema.FINGERPRINT:016x}"):
            decode(with_header(frame, fingerprint=schema.FINGERPRINT ^ 1))


@given(st.binary(max_size=512))
def test_garbage_is_refused(data):
    """Random bytes are a FrameError for both decoders."""
    for decode in (batch.decode_commands, batch.decode_events):
        with pytest.raises(FrameError):
            decode(data)


@given(st.integers(0, len(small_commands().encode()) - 1), st.integers(0, 255))
def test_a_changed_byte_anywhere_never_raises_anything_else(position, value):
    """A changed byte of the body is other rows or a FrameError."""
    frame = bytearray(small_commands().encode())
    frame[position] = value
    with contextlib.suppress(FrameError):
        batch.decode_commands(bytes(frame))


class TestBounds:
    """Each bound of a frame at its edge."""

    def test_most_rows(self):
        """FRAME_ROWS_MAX rows are taken, one more is refused."""
        assert len(batch.decode_commands(frame_of(batch.FRAME_ROWS_MAX)).rows) == batch.FRAME_ROWS_MAX
        with pytest.raises(FrameError, match="out of bounds"):
            batch.decode_commands(frame_of(batch.FRAME_ROWS_MAX + 1))

    def test_longest_tail(self):
        """TAIL_BYTES_MAX bytes of tail are taken, one more is refused."""
        assert len(batch.decode_commands(frame_of(1, 0, batch.TAIL_BYTES_MAX)).tail) == batch.TAIL_BYTES_MAX
        with pytest.raises(FrameError, match="too long"):
            batch.decode_commands(frame_of(1, 0, batch.TAIL_BYTES_MAX + 1))

    def test_no_more_cold_rows_than_rows(self):
        """A frame with more cold rows than rows is refused by its header."""
        with pytest.raises(FrameError, match="out of bounds"):
            batch.decode_commands(frame_of(1, 2))

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_any_row_may_have_a_document_or_a_cold_row(self, count):
        """The one row that needs something is found wherever it stands, alone or among others."""
        for at in range(count):
            rows = build.new_rows(count)
            rows["flags"][at] = schema.Flag.HAS_COLD
            with pytest.raises(FrameError, match="HAS_COLD"):
                batch.decode_commands(batch.Commands(rows, np.zeros(0, schema.COLD)).encode())
            rows = build.new_rows(count)
            rows["kind"][at], rows["document_size"][at] = schema.FIRST_DOCUMENT_KIND, 1
            with pytest.raises(FrameError, match="outside the frame"):
                batch.decode_commands(batch.Commands(rows, np.zeros(0, schema.COLD)).encode())

    @pytest.mark.parametrize(("rows_with_flag", "cold_count"), [(0, 1), (1, 0), (1, 2), (2, 1)])
    def test_cold_rows_agree_with_flags(self, rows_with_flag, cold_count):
        """There is one cold row for each row that says HAS_COLD, in both directions."""
        rows = build.new_rows(3)
        rows["flags"][:rows_with_flag] = schema.Flag.HAS_COLD
        commands = batch.Commands(rows, np.zeros(cold_count, schema.COLD))
        with pytest.raises(FrameError, match="HAS_COLD"):
            batch.decode_commands(commands.encode())

    @pytest.mark.parametrize(
        ("offset", "size", "tail_size", "is_good"),
        [
            (0, 0, 0, True),
            (0, 10, 10, True),
            (10, 0, 10, True),
            (0, 11, 10, False),
            (1, 10, 10, False),
            (11, 0, 10, False),
            (-1, 5, 10, False),
            (5, -1, 10, False),
            (-(2**31), 0, 10, False),
            (2**31 - 1, 2**31 - 1, 10, False),
            (0, schema.DOCUMENT_BYTES_MAX, schema.DOCUMENT_BYTES_MAX + 1, True),
            (0, schema.DOCUMENT_BYTES_MAX + 1, schema.DOCUMENT_BYTES_MAX + 1, False),
        ],
    )
    def test_documents_lie_in_the_tail(self, offset, size, tail_size, is_good):
        """A document within the tail and DOCUMENT_BYTES_MAX is taken, any other refused."""
        rows = build.new_rows(2)
        rows["kind"][1] = schema.FIRST_DOCUMENT_KIND
        rows["document_offset"][1], rows["document_size"][1] = offset, size
        frame = batch.Commands(rows, np.zeros(0, schema.COLD), bytes(tail_size)).encode()
        if is_good:
            assert batch.decode_commands(frame).rows["document_size"][1] == size
        else:
            with pytest.raises(FrameError, match="document"):
                batch.decode_commands(frame)

    def test_expiry_of_an_order_is_not_taken_for_a_document(self):
        """Only rows from FIRST_DOCUMENT_KIND on point into the tail."""
        rows = build.new_rows(1)
        rows["kind"] = schema.CommandKind.ORDER_NEW
        rows["expire_time_ns"] = 2**62
        assert (
            batch.decode_commands(batch.Commands(rows, np.zeros(0, schema.COLD)).encode()).rows["expire_time_ns"]
            == 2**62
        )
