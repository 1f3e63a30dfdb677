"""Builders: the right row for each command, cold rows and documents that stay with it, and no silent wrapping."""

import inspect

import blake3
import msgpack
import numpy as np
import pytest

from kk99 import build, schema
from kk99.directory import Directory
from kk99.directory.decisions import Reject
from kk99.errors import InputError
from kk99.schema import CommandKind, Flag, OrderType, SelfTrade, Side, TimeInForce, TrailUnit, TriggerSource

WHO = {"actor": "operator", "reason": "test"}
HASH = {text: build.client_id_hash(text) for text in ("one", "two")}
NEW = {"account_id": 16, "instrument_id": 2, "side": 1, "qty_lots": 5, "time_in_force": 1}

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
        build.order_new(16, 2, 1, 50, 100, display_qty_lots=5, refill_qty_lots=7, expire_time_ns=1 << 60),
        "ORDER_NEW",
        NEW | {
            "qty_lots": 50, "order_type": 2, "price_ticks": 100, "time_in_force": 6, "display_qty_lots": 5,
            "refill_qty_lots": 7, "expire_time_ns": 1 << 60,
        },
    ),
    (
        build.order_new(16, 2, 1, 50, 100, min_qty_lots=5, time_in_force=TimeInForce.DAY),
        "ORDER_NEW",
        NEW | {"qty_lots": 50, "order_type": 2, "price_ticks": 100, "time_in_force": 0, "min_qty_lots": 5},
    ),
    (
        build.stop(16, 2, 1, 5, 110),
        "ORDER_NEW",
        NEW | {"order_type": 3, "trigger": 1, "trigger_price_ticks": 110},
    ),
    (
        build.stop_limit(16, 2, 1, 5, 110, 112, trigger=TriggerSource.INDEX, client_id="one"),
        "ORDER_NEW",
        NEW | {
            "order_type": 4, "trigger": 4, "trigger_price_ticks": 110, "price_ticks": 112, "flags": 2,
            "client_id_lo": HASH["one"][0], "client_id_hi": HASH["one"][1],
        },
    ),
    (
        build.if_touched(16, 2, 1, 5, 90, expire_time_ns=8, flags=Flag.CANCEL_ON_LOST),
        "ORDER_NEW",
        NEW | {
            "order_type": 5, "trigger": 1, "trigger_price_ticks": 90, "time_in_force": 6, "expire_time_ns": 8,
            "flags": 16,
        },
    ),
    (
        build.if_touched(16, 2, 1, 5, 90, 91, trigger=TriggerSource.ASK),
        "ORDER_NEW",
        NEW | {"order_type": 6, "trigger": 3, "trigger_price_ticks": 90, "price_ticks": 91},
    ),
    (
        build.trailing(16, 2, 1, 5, 20),
        "ORDER_NEW",
        NEW | {"order_type": 7, "trigger": 1, "trail_unit": 1, "trail": 20},
    ),
    (
        build.trailing(16, 2, 1, 5, 200, trail_unit=TrailUnit.BASIS_POINTS, limit_offset_ticks=3, self_trade=1),
        "ORDER_NEW",
        NEW | {"order_type": 8, "trigger": 1, "trail_unit": 2, "trail": 200, "price_ticks": 3, "self_trade": 1},
    ),
    (
        build.oco(16, 2, 1, 5, 90, 110),
        "ORDER_NEW",
        NEW | {"order_type": 9, "price_ticks": 90, "trigger": 1, "trigger_price_ticks": 110},
    ),
    (
        build.oco(16, 2, 1, 5, 90, 110, stop_limit_price_ticks=112, client_id="one", stop_client_id="two"),
        "ORDER_NEW",
        NEW | {
            "order_type": 9, "price_ticks": 90, "trigger": 1, "trigger_price_ticks": 110,
            "stop_limit_price_ticks": 112, "flags": 2, "client_id_lo": HASH["one"][0],
            "client_id_hi": HASH["one"][1], "target_lo": HASH["two"][0], "target_hi": HASH["two"][1],
        },
    ),
    (
        build.bracket(16, 2, 1, 5, 100, take_profit_price_ticks=120, trigger_price_ticks=90),
        "ORDER_NEW",
        NEW | {
            "order_type": 10, "price_ticks": 100, "trigger": 1, "trigger_price_ticks": 90,
            "take_profit_price_ticks": 120,
        },
    ),
    (
        build.bracket(
            16, 2, 1, 5, 0, take_profit_price_ticks=120, trigger_price_ticks=90, stop_limit_price_ticks=88,
            trigger=TriggerSource.BID,
        ),
        "ORDER_NEW",
        NEW | {
            "order_type": 10, "time_in_force": 3, "trigger": 2, "trigger_price_ticks": 90,
            "take_profit_price_ticks": 120, "stop_limit_price_ticks": 88,
        },
    ),
    (
        build.order_replace(16, 77, 5, 100, trigger_price_ticks=98),
        "ORDER_REPLACE",
        {"account_id": 16, "target_lo": 77, "qty_lots": 5, "price_ticks": 100, "trigger_price_ticks": 98},
    ),
    (build.index_price(2, 101), "INDEX_PRICE", {"instrument_id": 2, "price_ticks": 101}),
    (
        build.message_noted(16, 2, 1, 5, 100, state=3, order_id=77, client_id="one"),
        "MESSAGE_NOTED",
        {
            "account_id": 16, "instrument_id": 2, "side": 1, "qty_lots": 5, "price_ticks": 100, "state": 3,
            "target_lo": 77, "flags": 2, "client_id_lo": HASH["one"][0], "client_id_hi": HASH["one"][1],
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
    (build.order_suspend(16, 77), "ORDER_SUSPEND", {"account_id": 16, "target_lo": 77, "state": 1}),
    (
        build.order_suspend(16, state=0, target_client_id="one"),
        "ORDER_SUSPEND",
        {"account_id": 16, "target_lo": HASH["one"][0], "target_hi": HASH["one"][1], "flags": 4 | 2},
    ),
    (build.mass_cancel(16), "MASS_CANCEL", {"account_id": 16}),
    (build.mass_cancel(16, 2, Side.SELL), "MASS_CANCEL", {"account_id": 16, "instrument_id": 2, "side": 2}),
    (build.deposit(16, 1, 500), "DEPOSIT", {"account_id": 16, "asset_id": 1, "amount_units": 500}),
    (
        build.settle(16, 1, 20_000, 500),
        "SETTLE",
        {"account_id": 16, "asset_id": 1, "target_lo": 20_000, "amount_units": 500, "state": 1},
    ),
    (
        build.settle(16, 1, 20_000, 0, failed=True, why=7),
        "SETTLE",
        {"account_id": 16, "asset_id": 1, "target_lo": 20_000, "state": 2, "price_ticks": 7},
    ),
    (
        build.settlement_penalty(16, 1, 20_000, 5, **WHO),
        "SETTLEMENT_PENALTY",
        {"account_id": 16, "asset_id": 1, "target_lo": 20_000, "amount_units": 5},
    ),
    (build.withdraw(16, 1, 500), "WITHDRAW", {"account_id": 16, "asset_id": 1, "amount_units": 500}),
    (build.instrument_state(2, 1, **WHO), "INSTRUMENT_STATE", {"instrument_id": 2, "state": 1}),
    (build.account_state(16, 2, **WHO), "ACCOUNT_STATE", {"account_id": 16, "state": 2}),
    (build.reference_price(2, 100, **WHO), "REFERENCE_PRICE", {"instrument_id": 2, "price_ticks": 100}),
    (build.trade_bust(9, **WHO), "TRADE_BUST", {"target_lo": 9}),
    (build.trade_correct(9, 100, 5, **WHO), "TRADE_CORRECT", {"target_lo": 9, "price_ticks": 100, "qty_lots": 5}),
]  # fmt: skip

TIER = {"maker_ppm": -1, "taker_ppm": 2}
DAY = {"at_s": 28_800, "days": 31, "phase": "OPEN"}, {"at_s": 61_200, "days": 31, "phase": "CLOSED"}
DEFINITIONS = [
    (build.trading_schedule("days", DAY, **WHO), "TRADING_SCHEDULE_DEFINE"),
    (build.settlement_calendar("week", range(5), **WHO), "SETTLEMENT_CALENDAR_DEFINE"),
    (build.fee_schedule("fees", [TIER], 3, **WHO), "FEE_SCHEDULE_DEFINE"),
    (build.asset("KAU", 8, "fees", **WHO), "ASSET_DEFINE"),
    (build.asset("USD", 4, **WHO), "ASSET_DEFINE"),
    (
        build.instrument(
            "KAU/USD", "KAU", "USD", tick_units=100, lot_units=10**6, max_price_ticks=9, max_qty_lots=9, collar_ppm=5,
            reference_price_ticks=7, trading_schedule="days", settlement_days=2, settlement_calendar="week", **WHO,
        ),
        "INSTRUMENT_DEFINE",
    ),
    (build.instrument_change("KAU/USD", tick_step=3, max_qty_lots=8, **WHO), "INSTRUMENT_CHANGE"),
    (build.market_group("all", level_1_ppm=60_000, **WHO), "MARKET_GROUP_DEFINE"),
    (build.breaker("KAU/USD", move_ppm=90_000, group="all", **WHO), "BREAKER_DEFINE"),
    (build.account("alice-1", "alice", **WHO), "ACCOUNT_DEFINE"),
    (build.account("alice-2", "alice", "desk", 5, **WHO), "ACCOUNT_DEFINE"),
    (build.account_change("alice-1", group="desk", **WHO), "ACCOUNT_CHANGE"),
    (build.session("fix-1"), "SESSION_DEFINE"),
    (build.identity("fix-1", "fix_session", accounts=["alice-1"], certificates=["0" * 64], **WHO), "IDENTITY_DEFINE"),
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


def test_a_scheduled_order_has_its_row_its_document_and_its_client_id():
    """The document is one that the directory takes; what is left out is 0."""
    built = build.algo_order(
        16, 2, Side.SELL, 7, 100, [(0, 3), (10, 4)], 50, client_id="one", flags=Flag.CANCEL_ON_LOST
    )
    expected = build.new_rows(1)
    fields = {
        "kind": CommandKind.ALGO_ORDER, "account_id": 16, "instrument_id": 2, "side": 2, "order_type": 11,
        "time_in_force": 6, "qty_lots": 7, "price_ticks": 100, "flags": 16 | 2, "client_id_lo": HASH["one"][0],
        "client_id_hi": HASH["one"][1], "document_size": len(built.tail),
    }  # fmt: skip
    for name, value in fields.items():
        expected[name] = value
    assert built.rows.tobytes() == expected.tobytes()
    decision = Directory().decide(built.rows[0], built.tail)
    assert (decision.start_time_ns, decision.end_time_ns, decision.participation_ppm) == (0, 50, 0)
    assert decision.slices == [[0, 3], [10, 4]]
    assert build.algo_order(16, 2, 1, 3, 9, [(0, 3)], 5, participation_ppm=8, start_time_ns=4).cold.size == 0


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
    assert directory.settlement_calendar(directory.instrument("KAU/USD").settlement_calendar).dates == (0, 1, 2, 3, 4)
    assert (directory.account("alice-1").group, directory.account("alice-2").tier) == ("desk", 5)
    assert directory.session(1).name == "fix-1"


def test_every_kind_has_a_builder():
    """No kind of command is left to be built by hand."""
    kinds = {kind for _, kind, *_ in BUILT} | {kind for _, kind in DEFINITIONS} | {"ALGO_ORDER"}  # has its own test
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

        monkeypatch.setattr(blake3, "blake3", Zeros)
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
