"""Builders: the right row for each command, cold rows and documents that stay with it, and no silent wrapping."""

import inspect

import blake3
import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99 import batch, build, schema
from kk99.batch import Commands
from kk99.directory import Directory
from kk99.directory.decisions import Reject
from kk99.errors import InputError
from kk99.schema import CommandKind, Flag, OrderType, SelfTrade, Side, TimeInForce

WHO = {"actor": "operator", "reason": "test"}
HASH = {text: build.client_id_hash(text) for text in ("one", "two")}

BUILT = [
    # what is built, its kind, its fields that are not zero
    (build.continue_work(), "CONTINUE", {}),
    (build.clock(), "CLOCK", {}),
    (build.session_open(3, 2), "SESSION_OPEN", {"session_id": 3, "session_epoch": 2}),
    (build.session_lost(3), "SESSION_LOST", {"target_lo": 3}),
    (
        build.order_new(16, 2, Side.BUY, 5, 100),
        "ORDER_NEW",
        {
            "account_id": 16, "instrument_id": 2, "side": 1, "qty_lots": 5, "price_ticks": 100, "order_type": 2,
            "time_in_force": 1,
        },
    ),
    (
        build.order_new(
            16, 2, Side.BUY, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC, amount_units=9,
            self_trade=SelfTrade.DECREMENT, flags=Flag.CANCEL_ON_LOST, client_id="one",
        ),
        "ORDER_NEW",
        {
            "account_id": 16, "instrument_id": 2, "side": 1, "order_type": 1, "time_in_force": 3, "amount_units": 9,
            "self_trade": 4, "flags": 16 | 2, "client_id_lo": HASH["one"][0], "client_id_hi": HASH["one"][1],
        },
    ),
    (
        build.order_replace(16, 77, 5, 100, flags=Flag.QTY_IS_LEAVES),
        "ORDER_REPLACE",
        {"account_id": 16, "target_lo": 77, "qty_lots": 5, "price_ticks": 100, "flags": 8},
    ),
    (
        build.order_replace(16, 0, 5, 100, target_client_id="one", client_id="two"),
        "ORDER_REPLACE",
        {
            "account_id": 16, "target_lo": HASH["one"][0], "target_hi": HASH["one"][1], "qty_lots": 5,
            "price_ticks": 100, "flags": 4 | 2, "client_id_lo": HASH["two"][0], "client_id_hi": HASH["two"][1],
        },
    ),
    (build.order_cancel(16, 77), "ORDER_CANCEL", {"account_id": 16, "target_lo": 77}),
    (
        build.order_cancel(16, target_client_id="one"),
        "ORDER_CANCEL",
        {"account_id": 16, "target_lo": HASH["one"][0], "target_hi": HASH["one"][1], "flags": 4 | 2},
    ),
    (build.mass_cancel(16), "MASS_CANCEL", {"account_id": 16}),
    (build.mass_cancel(16, 2, Side.SELL), "MASS_CANCEL", {"account_id": 16, "instrument_id": 2, "side": 2}),
    (build.deposit(16, 1, 500), "DEPOSIT", {"account_id": 16, "asset_id": 1, "amount_units": 500}),
    (build.withdraw(16, 1, 500), "WITHDRAW", {"account_id": 16, "asset_id": 1, "amount_units": 500}),
    (build.instrument_state(2, 1, **WHO), "INSTRUMENT_STATE", {"instrument_id": 2, "state": 1}),
    (build.account_state(16, 2, **WHO), "ACCOUNT_STATE", {"account_id": 16, "state": 2}),
    (build.reference_price(2, 100, **WHO), "REFERENCE_PRICE", {"instrument_id": 2, "price_ticks": 100}),
    (build.trade_bust(9, **WHO), "TRADE_BUST", {"target_lo": 9}),
    (build.trade_correct(9, 100, 5, **WHO), "TRADE_CORRECT", {"target_lo": 9, "price_ticks": 100, "qty_lots": 5}),
]  # fmt: skip

TIER = {"maker_ppm": -1, "taker_ppm": 2}
DEFINITIONS = [
    (build.fee_schedule("fees", [TIER], 3, **WHO), "FEE_SCHEDULE_DEFINE"),
    (build.asset("KAU", 8, "fees", **WHO), "ASSET_DEFINE"),
    (build.asset("USD", 4, **WHO), "ASSET_DEFINE"),
    (
        build.instrument(
            "KAU/USD", "KAU", "USD", tick_units=100, lot_units=10**6, max_price_ticks=9, max_qty_lots=9, collar_ppm=5,
            reference_price_ticks=7, **WHO,
        ),
        "INSTRUMENT_DEFINE",
    ),
    (build.instrument_change("KAU/USD", tick_step=3, max_qty_lots=8, **WHO), "INSTRUMENT_CHANGE"),
    (build.account("alice-1", "alice", **WHO), "ACCOUNT_DEFINE"),
    (build.account("alice-2", "alice", "desk", 5, **WHO), "ACCOUNT_DEFINE"),
    (build.account_change("alice-1", group="desk", **WHO), "ACCOUNT_CHANGE"),
    (build.session("fix-1"), "SESSION_DEFINE"),
]  # fmt: skip


def document_of(commands, index=0):
    """The document that a row points to."""
    offset = int(commands.rows["document_offset"][index])
    return bytes(commands.tail[offset : offset + int(commands.rows["document_size"][index])])


@pytest.mark.parametrize(("built", "kind", "fields"), BUILT)
def test_rows_have_these_fields_and_no_others(built, kind, fields):
    """Each builder fills the fields of its command; all else is zero."""
    expected = build.new_rows(1)
    expected["kind"] = CommandKind[kind]
    for name, value in fields.items():
        expected[name] = value
    if expected["kind"] >= schema.FIRST_DOCUMENT_KIND:
        expected["document_size"] = len(built.tail)
        assert msgpack.unpackb(built.tail) == WHO
    assert built.rows.tobytes() == expected.tobytes()
    assert len(built.cold) == np.count_nonzero(built.rows["flags"] & Flag.HAS_COLD)


def test_definitions_are_what_the_directory_takes():
    """Each definition, in this order, is accepted by an empty directory."""
    directory = Directory()
    commands = build.batch_of(commands for commands, _ in DEFINITIONS)
    for index, (_, kind) in enumerate(DEFINITIONS):
        assert commands.rows["kind"][index] == CommandKind[kind]
        decision = directory.decide(commands.rows[index], document_of(commands, index))
        assert not isinstance(decision, Reject), kind
    assert directory.fee_schedule("fees").tiers[15].maker_ppm == -1
    assert directory.asset("KAU").fee_schedule == "fees"
    assert directory.instrument("KAU/USD").collar_ppm == 5
    assert directory.instrument("KAU/USD").max_qty_lots == 8
    assert (directory.account("alice-1").group, directory.account("alice-2").tier) == ("desk", 5)
    assert directory.session(1).name == "fix-1"


def test_every_kind_has_a_builder():
    """No kind of command is left to be built by hand."""
    kinds = {kind for _, kind, *_ in BUILT} | {kind for _, kind in DEFINITIONS}
    assert kinds == {kind.name for kind in CommandKind}


def test_operator_has_no_default():
    """Whoever defines something must say who orders it and why."""
    for builder in (build.asset, build.fee_schedule, build.instrument, build.account, build.trade_bust):
        annotation = inspect.signature(builder).parameters
        assert any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in annotation.values())
    assert build.Operator.__required_keys__ == {"actor", "reason"}
    for options in (build.InstrumentOptions, build.InstrumentChanges, build.AccountChanges):
        assert options.__required_keys__ == {"actor", "reason"}


class TestColdRows:
    """Texts and what else the kernel never reads."""

    def test_client_id_text_goes_into_the_cold_row(self):
        """A text gives the hash in the hot row and itself in the cold one."""
        built = build.order_new(16, 1, Side.BUY, 5, 100, client_id="one", cold={"actor": 4, "gateway_time_ns": 8})
        assert built.cold["client_id"][0] == b"one"
        assert (built.cold["actor"][0], built.cold["gateway_time_ns"][0]) == (4, 8)

    def test_target_text_goes_into_the_cold_row(self):
        """A replace by client id keeps the original's text."""
        built = build.order_replace(16, 0, 5, 100, target_client_id="one", client_id="two")
        assert (built.cold["original_client_id"][0], built.cold["client_id"][0]) == (b"one", b"two")

    def test_more_cold_fields_need_no_text(self):
        """Cold fields alone make a cold row too."""
        built = build.order_cancel(16, 7, cold={"capacity": 3})
        assert built.rows["flags"][0] == Flag.HAS_COLD
        assert built.cold["capacity"][0] == 3

    def test_hash_is_blake3_of_the_text(self):
        """The 128-bit BLAKE3 of the UTF-8 text, as two little-endian signed words."""
        lo, hi = build.client_id_hash("é")
        words = lo.to_bytes(8, "little", signed=True) + hi.to_bytes(8, "little", signed=True)
        assert words == blake3.blake3("é".encode()).digest(length=16)

    def test_hash_is_never_none(self, monkeypatch):
        """A digest of zeros would mean "no client id" and becomes (1, 0)."""

        class Zeros:
            def __init__(self, data):
                pass

            def digest(self, length):
                return bytes(length)

        monkeypatch.setattr(build.blake3, "blake3", Zeros)
        assert build.client_id_hash("x") == (1, 0)

    @pytest.mark.parametrize("text", ["x" * 37, "é" * 19, "a\0", "\ud800"])
    def test_text_that_does_not_fit_is_refused(self, text):
        """A client id is at most 36 bytes of UTF-8, none of them zero."""
        for build_it in (build.client_id_hash, lambda text: build.order_new(16, 1, 1, 5, 100, client_id=text)):
            with pytest.raises(InputError, match="client order id"):
                build_it(text)

    def test_longest_text_fits(self):
        """36 bytes are kept whole; an empty text has no hash."""
        assert build.order_cancel(16, 7, client_id="é" * 18).cold["client_id"][0] == "é".encode() * 18
        with pytest.raises(InputError):
            build.client_id_hash("")

    def test_text_goes_with_one_row(self):
        """Many rows can't share one client id."""
        with pytest.raises(InputError, match="one row"):
            build.order_new(16, 1, Side.BUY, np.array([5, 6]), 100, client_id="one")

    @pytest.mark.parametrize(
        "fields", [{"more": 1}, {"actor": "x"}, {"actor": 2**63}, {"client_id": 5}, {"client_id": "x" * 37}]
    )
    def test_wrong_cold_fields_are_refused(self, fields):
        """An unknown field, a wrong type or a number too large is an InputError."""
        with pytest.raises(InputError):
            build.cold_row(**fields)


class TestManyRows:
    """Arrays as fields."""

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
