"""Many commands at once: rows from arrays, batches that join, numbers, documents of any fields."""

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99 import batch, build, schema
from kk99.batch import Commands
from kk99.errors import InputError
from kk99.schema import CommandKind, TimeInForce

WHO = {"actor": "operator", "reason": "test"}


def document_of(commands, index=0):
    """The document that a row points to."""
    offset = int(commands.rows["document_offset"][index])
    return bytes(commands.tail[offset : offset + int(commands.rows["document_size"][index])])


class TestManyRows:
    """Arrays as fields."""

    def test_fields_of_one_place_are_refused_together(self):
        """A row has one word for an amount and a minimum quantity, and can't lose either silently."""
        with pytest.raises(InputError, match="one of"):
            build.order_new(16, 1, 1, 5, amount_units=5, min_qty_lots=2)
        with pytest.raises(InputError, match="one of"):
            build.order_new(16, 1, 1, 5, amount_units=np.array([5]), min_qty_lots=np.array([2]))

    def test_arrays_make_stops(self):
        """Many dormant orders are built at once, those that end at a date too."""
        rows = build.stop(16, 1, 1, 5, np.arange(101, 104), expire_time_ns=np.arange(7, 10)).rows
        assert rows["trigger_price_ticks"].tolist() == [101, 102, 103]
        assert rows["expire_time_ns"].tolist() == [7, 8, 9]
        assert rows["time_in_force"].tolist() == [TimeInForce.GTD] * 3
        assert build.if_touched(16, 1, 1, 5, 90, np.arange(2)).rows["order_type"].tolist() == [6, 6]

    def test_arrays_make_rows(self):
        """One number goes to all rows, an array gives each its own."""
        rows = build.order_new(16, 1, np.array([1, 2, 1], np.int8), np.arange(1, 4), price_ticks=100).rows
        assert rows["side"].tolist() == [1, 2, 1]
        assert rows["qty_lots"].tolist() == [1, 2, 3]
        assert rows["price_ticks"].tolist() == [100] * 3

    def test_an_array_of_nothing_makes_no_rows(self):
        """No numbers, no rows."""
        assert len(build.deposit(np.zeros(0, np.int64), 1, 5).rows) == 0

    def test_different_lengths_are_refused(self):
        """Arrays that don't go together are an InputError."""
        with pytest.raises(InputError, match="lengths"):
            build.deposit(np.array([16, 17]), 1, np.array([1, 2, 3]))

    @pytest.mark.parametrize(
        "value",
        [2**31, -(2**31) - 1, 2**70, 1.0, "1", None, np.array([2**31]), np.array([1.0]), np.array([[1]])],
    )  # fmt: skip
    def test_what_a_field_cannot_hold_is_refused(self, value):
        """Nothing wraps and nothing is rounded."""
        with pytest.raises(InputError, match="account_id"):
            build.mass_cancel(value)

    def test_unsigned_arrays_do_not_wrap(self):
        """An unsigned number above int64 is refused, not turned negative."""
        with pytest.raises(InputError, match="qty_lots"):
            build.order_new(16, 1, 1, np.array([2**63], np.uint64), 1)

    @given(st.integers(-(2**63), 2**63 - 1))
    def test_hostile_numbers_reach_the_core(self, number):
        """Any int64 can be built: to refuse it is the core's business."""
        assert build.deposit(16, 1, number).rows["amount_units"][0] == number


class TestBatch:
    """Joining and numbering."""

    def test_documents_and_cold_rows_stay_with_their_rows(self):
        """In the joined batch each row finds its own document, and cold rows are in order."""
        first = build.batch_of(
            [build.asset("A", 1, **WHO), build.order_cancel(16, 7, client_id="one"), build.session("s")]
        )
        second = build.batch_of(
            [build.order_cancel(16, 8, client_id="two"), build.deposit(16, 1, 5), build.session("t")]
        )
        joined = batch.decode_commands(build.batch_of([first, build.clock().rows, second]).encode())
        assert joined.rows.dtype == schema.COMMAND
        assert joined.rows["kind"].tolist() == [
            CommandKind.ASSET_DEFINE, CommandKind.ORDER_CANCEL, CommandKind.SESSION_DEFINE, CommandKind.CLOCK,
            CommandKind.ORDER_CANCEL, CommandKind.DEPOSIT, CommandKind.SESSION_DEFINE,
        ]  # fmt: skip
        names = [msgpack.unpackb(document_of(joined, index))["name"] for index in (0, 2, 6)]
        assert names == ["A", "s", "t"]
        assert joined.cold["client_id"].tolist() == [b"one", b"two"]

    def test_joining_changes_nothing_that_was_given(self):
        """The items are as they were, also read-only ones."""
        item = batch.decode_commands(build.session("s").encode())
        joined = build.batch_of([build.session("r"), item])
        assert item.rows["document_offset"][0] == 0
        assert joined.rows["document_offset"][1] == len(build.session("r").tail)

    def test_expiry_of_an_order_is_not_moved(self):
        """Only documents move; the same bytes of an order's row are its expiry."""
        rows = build.order_new(16, 1, 1, 5, 100).rows
        rows["expire_time_ns"] = 12_345
        assert build.batch_of([build.session("r"), rows]).rows["expire_time_ns"][1] == 12_345

    def test_nothing_makes_an_empty_batch(self):
        """No items, no rows."""
        assert len(build.batch_of([]).rows) == 0

    def test_stamp_numbers_a_copy(self):
        """Sequences follow one another, time is one or each its own, and what was given stays."""
        plain = build.deposit(16, 1, np.arange(1, 4))
        stamped = build.stamp(plain, 7, 1_000)
        assert stamped.rows["seq"].tolist() == [7, 8, 9]
        assert stamped.rows["time_ns"].tolist() == [1_000] * 3
        assert plain.rows["seq"].tolist() == [0] * 3
        assert build.stamp(plain, 7, np.array([1, 2, 2])).rows["time_ns"].tolist() == [1, 2, 2]

    def test_a_session_counts_its_commands(self):
        """Session, epoch and client sequences are filled in, on a copy."""
        plain = build.batch_of([build.session_open(3, 2), build.deposit(16, 1, np.arange(1, 3))])
        sent = build.for_session(plain, 3, 2, 0)
        assert sent.rows["client_seq"].tolist() == [0, 1, 2]
        assert sent.rows["session_id"].tolist() == [3] * 3
        assert sent.rows["session_epoch"].tolist() == [2] * 3
        assert plain.rows["client_seq"].tolist() == [0] * 3

    @given(st.lists(st.integers(0, 4), max_size=12))
    def test_any_batch_decodes(self, choices):
        """Whatever is joined is a frame that decodes to the same bytes."""
        items = [
            build.order_new(16, 1, 1, 5, 100),
            build.order_cancel(16, 7, client_id="one"),
            build.session("s"),
            build.deposit(16, 1, np.arange(3)),
            Commands(build.new_rows(0), np.zeros(0, schema.COLD)),
        ]
        joined = build.batch_of(items[choice] for choice in choices)
        decoded = batch.decode_commands(joined.encode())
        assert decoded.rows.tobytes() == joined.rows.tobytes()
        assert decoded.cold.tobytes() == joined.cold.tobytes()
        for index in np.flatnonzero(decoded.rows["kind"] == CommandKind.SESSION_DEFINE):
            assert msgpack.unpackb(document_of(decoded, index)) == {"name": "s"}


class TestDocument:
    """Any fields as a document."""

    def test_longest_document(self):
        """DOCUMENT_BYTES_MAX bytes are built, one more is an InputError."""
        room = schema.DOCUMENT_BYTES_MAX - len(msgpack.packb({"x": "y" * 300})) + 300
        built = build.document(CommandKind.SESSION_DEFINE, {"x": "y" * room})
        assert built.rows["document_size"][0] == schema.DOCUMENT_BYTES_MAX
        assert batch.decode_commands(built.encode()).tail == built.tail
        with pytest.raises(InputError, match="longer"):
            build.document(CommandKind.SESSION_DEFINE, {"x": "y" * (room + 1)})

    @pytest.mark.parametrize("value", [object(), 2**64, -(2**63) - 1, "\ud800"])
    def test_what_msgpack_cannot_hold_is_refused(self, value):
        """Such a value is an InputError."""
        with pytest.raises(InputError, match="hold"):
            build.document(CommandKind.SESSION_DEFINE, {"x": value})
