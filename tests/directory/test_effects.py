"""What the directory answers to good documents: numbers and a document; and what it knows then."""

import dataclasses

import msgpack
import numpy as np
import pytest

from kk99 import schema
from kk99.directory import entities
from kk99.directory.decisions import (
    ChangeAccount,
    ChangeInstrument,
    DefineAccount,
    DefineAsset,
    DefineInstrument,
    DefineSchedule,
    DefineSession,
    DefineTradingSchedule,
    Operate,
    Reject,
)
from kk99.directory.fields import DOCUMENTS, PHASE, PHASES, TIER
from kk99.schema import CommandKind, EventKind, RejectCode
from tests.directory.deciding import GOOD, INSTRUMENT, NINE, NOBODY, WHO, decide


class TestEffects:
    """What the kernel is told, and the document that the event carries."""

    def test_asset(self, directory):
        """An asset has the next number and its schedule's; its document has every field."""
        decision = decide(directory, CommandKind.ASSET_DEFINE, GOOD[CommandKind.ASSET_DEFINE], fee_schedule="standard")
        expected = {"name": "NEW", "scale": 2, "fee_schedule": "standard", "number": 3, **WHO}
        assert isinstance(decision, DefineAsset)
        assert (decision.number, decision.scale, decision.schedule_number) == (3, 2, 1)
        assert decision.document == msgpack.packb(dict(sorted(expected.items())))
        assert directory.asset("NEW") == directory.asset(3) == entities.Asset(**expected)

    def test_fee_schedule_fills_missing_tiers_with_the_last(self, directory):
        """Two tiers given make sixteen, and rates not given are 0."""
        tiers = [
            {"maker_ppm": -10, "taker_ppm": 20, "deposit_ppm": 1},
            {"maker_ppm": -20, "taker_ppm": 10, "withdrawal_ppm": 3},
        ]
        decision = decide(directory, CommandKind.FEE_SCHEDULE_DEFINE, {"name": "vip", "tiers": tiers}, burn_ppm=5)
        assert isinstance(decision, DefineSchedule)
        assert (decision.number, decision.burn_ppm, len(decision.tiers)) == (2, 5, schema.TIERS)
        assert decision.tiers[0] == entities.TierRates(-10, 20, 1, 0)
        assert set(decision.tiers[1:]) == {entities.TierRates(-20, 10, 0, 3)}
        assert len(msgpack.unpackb(decision.document)["tiers"]) == schema.TIERS
        assert directory.fee_schedule("vip").tiers == decision.tiers

    def test_fee_schedule_of_a_known_name_takes_new_rates(self, directory):
        """The number stays; rates, actor and reason are the new ones."""
        tiers = [{"maker_ppm": 1, "taker_ppm": schema.PPM}]
        fields = {"name": "standard", "tiers": tiers, "actor": "another"}
        decision = decide(directory, CommandKind.FEE_SCHEDULE_DEFINE, fields)
        assert decision.number == 1
        assert decision.tiers[15] == entities.TierRates(1, schema.PPM, 0, 0)
        assert directory.fee_schedule(1).actor == "another"

    def test_instrument(self, directory):
        """Names become numbers, defaults are filled in, tick times lot is in quote units."""
        decision = decide(directory, CommandKind.INSTRUMENT_DEFINE, GOOD[CommandKind.INSTRUMENT_DEFINE])
        assert decision == DefineInstrument(
            number=2, base=1, quote=2, lot_units=10_000_000, tick_lot_units=10, tick_step=1, lot_step=1, min_qty_lots=1,
            max_qty_lots=1_000, min_notional_units=1, max_notional_units=schema.AMOUNT_MAX, max_price_ticks=1_000_000,
            collar_ppm=0, reference_price_ticks=0, schedule_number=0, trading_number=0, settlement_days=0,
            calendar_number=0, document=decision.document,
        )  # fmt: skip
        told = dataclasses.asdict(decision)
        said = msgpack.unpackb(decision.document)
        assert list(said) == sorted(said)
        assert said == {name: told.get(name, value) for name, value in said.items()} | {"base": "KAU", "quote": "USD"}
        assert set(said) == {field.name for field in DOCUMENTS[CommandKind.INSTRUMENT_DEFINE]} | {"number"}
        assert not isinstance(decision, ChangeInstrument)

    def test_instrument_change_keeps_what_is_left_out(self, directory):
        """Every limit is told, whether or not it is new; the document is the whole instrument."""
        decision = decide(
            directory, CommandKind.INSTRUMENT_CHANGE, {"name": "KAU/USD", "fee_schedule": "standard", "tick_step": 5}
        )
        assert decision == ChangeInstrument(
            number=1, schedule_number=1, trading_number=0, settlement_days=0, calendar_number=0, tick_step=5,
            lot_step=1, min_qty_lots=1, max_qty_lots=1_000, min_notional_units=1, max_notional_units=schema.AMOUNT_MAX,
            max_price_ticks=1_000_000, collar_ppm=0, document=decision.document,
        )  # fmt: skip
        said = msgpack.unpackb(decision.document)
        assert (said["base"], said["tick_step"], said["number"]) == ("KAU", 5, 1)
        again = decide(directory, CommandKind.INSTRUMENT_CHANGE, {"name": "KAU/USD", "fee_schedule": ""})
        assert (again.schedule_number, again.tick_step) == (0, 5)

    def test_trading_schedule(self, directory):
        """Phases stay in the order given; a known name takes the new ones under its number."""
        phases = [{"at_s": 86_399, "days": 1, "phase": name} for name in reversed(PHASES)] + [NINE]
        fields = {"name": "night", "phases": phases}
        decision = decide(directory, CommandKind.TRADING_SCHEDULE_DEFINE, fields)
        expected = tuple(entities.Phase(**one) for one in phases)
        assert decision == DefineTradingSchedule(number=2, phases=expected, document=decision.document)
        assert msgpack.unpackb(decision.document) == fields | WHO | {"number": 2}
        assert directory.trading_schedule("night") == directory.trading_schedule(2)
        assert directory.trading_schedule(2).phases == expected
        again = decide(directory, CommandKind.TRADING_SCHEDULE_DEFINE, {"name": "day", "phases": phases[:1]})
        assert (again.number, again.phases) == (1, expected[:1])

    def test_an_instrument_has_a_trading_schedule_or_none(self, directory):
        """From its definition or a later change, and it keeps it when another change leaves it out."""
        define, change = CommandKind.INSTRUMENT_DEFINE, CommandKind.INSTRUMENT_CHANGE
        assert decide(directory, define, GOOD[define], trading_schedule="day").trading_number == 1
        assert decide(directory, change, {"name": "NEW", "tick_step": 5}).trading_number == 1
        assert decide(directory, change, {"name": "NEW", "trading_schedule": ""}).trading_number == 0
        assert decide(directory, change, {"name": "KAU/USD", "trading_schedule": "day"}).trading_number == 1

    def test_accounts_of_an_owner_are_one_group(self, directory):
        """The group is the owner unless said otherwise; groups are numbered by first sight."""
        define = CommandKind.ACCOUNT_DEFINE
        second = decide(directory, define, {"name": "alice-2", "owner": "alice", "tier": 15})
        third = decide(directory, define, {"name": "bob-1", "owner": "bob", "group": "desk"})
        fourth = decide(directory, define, {"name": "desk-1", "owner": "desk"})
        assert isinstance(second, DefineAccount)
        assert (second.number, second.group_number, second.tier) == (schema.VENUE_ACCOUNTS + 1, 1, 15)
        assert (third.group_number, fourth.group_number) == (2, 2)
        assert msgpack.unpackb(second.document)["group"] == "alice"
        assert (directory.group_number("desk"), directory.group_number("bob")) == (2, 0)

    def test_account_change_keeps_what_is_left_out(self, directory):
        """Group and tier change each for itself."""
        change = CommandKind.ACCOUNT_CHANGE
        first = decide(directory, change, {"name": "alice-1", "tier": 3})
        assert first == ChangeAccount(number=16, group_number=1, tier=3, document=first.document)
        second = decide(directory, change, {"name": "alice-1", "group": "desk"})
        assert second == ChangeAccount(number=16, group_number=2, tier=3, document=second.document)
        assert directory.account(16) == entities.Account(
            number=16, name="alice-1", owner="alice", group="desk", tier=3, **WHO
        )

    def test_session(self, directory):
        """A session needs nothing but a name."""
        decision = decide(directory, CommandKind.SESSION_DEFINE, {"name": "fix-1"}, who={})
        assert decision == DefineSession(number=2, document=decision.document)
        assert directory.session("fix-1") == entities.Session(number=2, name="fix-1", **NOBODY)

    @pytest.mark.parametrize(
        "kind",
        [kind for kind in DOCUMENTS if DOCUMENTS[kind] == DOCUMENTS[CommandKind.INSTRUMENT_STATE]],
        ids=lambda kind: kind.name,
    )
    def test_operations_say_who_and_why_and_record_nothing(self, directory, kind):
        """The kernel may still refuse, so the directory stays as it is."""
        before = directory.to_bytes()
        assert decide(directory, kind) == Operate(document=msgpack.packb(dict(sorted(WHO.items()))))
        assert directory.to_bytes() == before

    def test_kinds_have_name_spaces_of_their_own(self, directory):
        """An asset, a schedule, an account and a session may share a name."""
        for kind in (CommandKind.ASSET_DEFINE, CommandKind.ACCOUNT_DEFINE, CommandKind.SESSION_DEFINE):
            assert not isinstance(decide(directory, kind, GOOD[kind], name="standard"), Reject)

    def test_a_row_does_as_command(self, directory):
        """A row of the batch is taken as it is, and a document as a view of the tail."""
        row = np.zeros(1, schema.COMMAND)
        row["kind"] = CommandKind.SESSION_DEFINE
        document = memoryview(msgpack.packb({"name": "x"}))
        assert isinstance(directory.decide(row[0], document), DefineSession)

    @pytest.mark.parametrize("kind", [0, 1, CommandKind.MESSAGE_NOTED, max(CommandKind) + 1, 255])
    def test_other_kinds_carry_no_document(self, directory, kind):
        """A kind without documents is KIND_UNKNOWN here."""
        assert directory.decide({"kind": int(kind)}, b"\x80") == Reject(RejectCode.KIND_UNKNOWN)


class TestTickAndLot:
    """Tick times lot is whole and the largest order fits."""

    @pytest.mark.parametrize(
        ("fields", "tick_lot_units"),
        [
            # The base has scale 8, so one tick of one lot is tick_units * lot_units / 10^8.
            ({"tick_units": 10**8, "lot_units": 1}, 1),
            ({"tick_units": 1, "lot_units": 10**8}, 1),
            ({"tick_units": 10**8 - 1, "lot_units": 1}, None),
            ({"tick_units": 10**4, "lot_units": 10**4 + 1}, None),
            ({"tick_units": 2**62, "lot_units": 2**62}, None),
            # max_price_ticks * max_qty_lots * tick_lot_units up to AMOUNT_MAX / 2 = 2^61.
            ({"tick_units": 2**8 * 10**8, "lot_units": 1, "max_price_ticks": 2**20, "max_qty_lots": 2**33}, 2**8),
            ({"tick_units": 2**8 * 10**8, "lot_units": 1, "max_price_ticks": 2**20, "max_qty_lots": 2**33 + 1}, None),
            ({"tick_units": 257 * 10**8, "lot_units": 1, "max_price_ticks": 2**20, "max_qty_lots": 2**33}, None),
            # max_qty_lots * lot_units up to AMOUNT_MAX / 2.
            ({"tick_units": 1, "lot_units": 10**8, "max_price_ticks": 1, "max_qty_lots": 2**61 // 10**8}, 1),
            ({"tick_units": 1, "lot_units": 10**8, "max_price_ticks": 1, "max_qty_lots": 2**61 // 10**8 + 1}, None),
        ],
    )  # fmt: skip
    def test_edges(self, directory, fields, tick_lot_units):
        """Up to the edge the instrument is defined, past it TICK_LOT_NOT_WHOLE."""
        decision = decide(directory, CommandKind.INSTRUMENT_DEFINE, INSTRUMENT | fields, name="NEW")
        if tick_lot_units is None:
            assert decision == Reject(RejectCode.TICK_LOT_NOT_WHOLE)
        else:
            assert decision.tick_lot_units == tick_lot_units

    @pytest.mark.parametrize("scale", [0, 18])
    def test_ends_of_scale(self, directory, scale):
        """An asset of no decimal places, and one of 18, can be traded."""
        decide(directory, CommandKind.ASSET_DEFINE, name="EDGE", scale=scale)
        fields = {"base": "EDGE", "tick_units": 7, "lot_units": 10**scale, "max_qty_lots": 2, "max_price_ticks": 9}
        assert decide(directory, CommandKind.INSTRUMENT_DEFINE, INSTRUMENT | fields, name="NEW").tick_lot_units == 7


def test_entities_have_the_fields_of_their_documents():
    """The table of fields and the dataclasses agree, name for name."""
    for kind, entity in [
        (CommandKind.ASSET_DEFINE, entities.Asset),
        (CommandKind.FEE_SCHEDULE_DEFINE, entities.FeeSchedule),
        (CommandKind.INSTRUMENT_DEFINE, entities.Instrument),
        (CommandKind.ACCOUNT_DEFINE, entities.Account),
        (CommandKind.SESSION_DEFINE, entities.Session),
        (CommandKind.TRADING_SCHEDULE_DEFINE, entities.TradingSchedule),
        (CommandKind.BREAKER_DEFINE, entities.Breaker),
        (CommandKind.MARKET_GROUP_DEFINE, entities.MarketGroup),
        (CommandKind.IDENTITY_DEFINE, entities.Identity),
        (CommandKind.SETTLEMENT_CALENDAR_DEFINE, entities.SettlementCalendar),
    ]:
        declared = {field.name for field in dataclasses.fields(entity)}
        assert declared == {field.name for field in DOCUMENTS[kind]} | {"number"}
    assert [field.name for field in dataclasses.fields(entities.TierRates)] == [field.name for field in TIER]
    assert [field.name for field in dataclasses.fields(entities.Phase)] == [field.name for field in PHASE]


def test_every_document_kind_has_its_table():
    """Each kind from FIRST_DOCUMENT_KIND on is in the table, and no other."""
    assert list(DOCUMENTS) == [kind for kind in CommandKind if kind >= schema.FIRST_DOCUMENT_KIND]


def test_documents_are_listed_by_kind_and_number(directory):
    """An image has each entity as it now stands, in a fixed order."""
    decide(directory, CommandKind.ACCOUNT_CHANGE, {"name": "alice-1", "tier": 2})
    listed = list(directory.documents())
    assert [(kind, number) for kind, number, _ in listed] == [
        (EventKind.ASSET_DEFINED, 1),
        (EventKind.ASSET_DEFINED, 2),
        (EventKind.FEE_SCHEDULE_DEFINED, 1),
        (EventKind.TRADING_SCHEDULE_DEFINED, 1),
        (EventKind.INSTRUMENT_DEFINED, 1),
        (EventKind.ACCOUNT_DEFINED, 16),
        (EventKind.SESSION_DEFINED, 1),
    ]
    assert all(msgpack.unpackb(document)["number"] == number for _, number, document in listed)
    assert msgpack.unpackb(listed[5][2])["tier"] == 2


def test_unknown_names_and_numbers_are_none(directory):
    """A lookup of what does not exist finds nothing, also for the venue's own accounts and numbers out of range."""
    for find in (directory.asset, directory.fee_schedule, directory.instrument, directory.account, directory.session):
        for key in ("none", "", 0, -1, 7, 15, 17, 10**9):
            assert find(key) is None
