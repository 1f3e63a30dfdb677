"""What the directory answers to each document: a refusal in the order of the rules, or numbers and a document."""

import dataclasses

import msgpack
import numpy as np
import pytest

from kk99 import schema
from kk99.directory import Directory, entities
from kk99.directory.decisions import (
    ChangeAccount,
    ChangeInstrument,
    DefineAccount,
    DefineAsset,
    DefineInstrument,
    DefineSchedule,
    DefineSession,
    Operate,
    Reject,
)
from kk99.directory.fields import DOCUMENTS, TIER
from kk99.schema import CommandKind, EventKind, RejectCode

WHO = {"actor": "operator", "reason": "test"}
NOBODY = {"actor": "", "reason": ""}
ABSENT = object()
FREE = {"maker_ppm": 0, "taker_ppm": 0}
INSTRUMENT = {
    "name": "KAU/USD", "base": "KAU", "quote": "USD", "tick_units": 100, "lot_units": 10_000_000, "max_qty_lots": 1_000,
    "max_price_ticks": 1_000_000,
}  # fmt: skip
GOOD = {
    CommandKind.ASSET_DEFINE: {"name": "NEW", "scale": 2},
    CommandKind.FEE_SCHEDULE_DEFINE: {"name": "new", "tiers": [FREE]},
    CommandKind.INSTRUMENT_DEFINE: INSTRUMENT | {"name": "NEW"},
    CommandKind.INSTRUMENT_CHANGE: {"name": "KAU/USD"},
    CommandKind.ACCOUNT_DEFINE: {"name": "new", "owner": "alice"},
    CommandKind.ACCOUNT_CHANGE: {"name": "alice-1"},
    CommandKind.SESSION_DEFINE: {"name": "new"},
    CommandKind.INSTRUMENT_STATE: {},
    CommandKind.ACCOUNT_STATE: {},
    CommandKind.REFERENCE_PRICE: {},
    CommandKind.TRADE_BUST: {},
    CommandKind.TRADE_CORRECT: {},
}  # fmt: skip


def decide(directory, kind, fields=None, who=WHO, **more):
    """The directory's answer to a document of these fields; one that is ABSENT is left out."""
    fields = {name: value for name, value in {**who, **(fields or {}), **more}.items() if value is not ABSENT}
    return directory.decide({"kind": int(kind)}, msgpack.packb(fields))


@pytest.fixture
def directory():
    """A directory with a schedule, two assets, an instrument, an account and a session."""
    made = Directory()
    for kind, fields in [
        (CommandKind.FEE_SCHEDULE_DEFINE, {"name": "standard", "tiers": [FREE]}),
        (CommandKind.ASSET_DEFINE, {"name": "KAU", "scale": 8}),
        (CommandKind.ASSET_DEFINE, {"name": "USD", "scale": 4}),
        (CommandKind.INSTRUMENT_DEFINE, INSTRUMENT),
        (CommandKind.ACCOUNT_DEFINE, {"name": "alice-1", "owner": "alice"}),
        (CommandKind.SESSION_DEFINE, {"name": "gateway-1"}),
    ]:
        assert not isinstance(decide(made, kind, fields), Reject)
    return made


BAD_OF_ANY = [
    pytest.param({"more": 1}, id="unknown field"),
    pytest.param({"number": 1}, id="a number is given, not asked for"),
    pytest.param({"actor": 1}, id="actor no text"),
    pytest.param({"actor": b"me"}, id="actor bytes"),
    pytest.param({"actor": None}, id="actor nil"),
    pytest.param({"actor": "a" * 65}, id="actor too long"),
    pytest.param({"actor": "a\n"}, id="actor not printable"),
    pytest.param({"actor": "a\u202eb"}, id="actor turns the writing direction"),
    pytest.param({"reason": ["why"]}, id="reason no text"),
    pytest.param({"reason": "r" * 257}, id="reason too long"),
    pytest.param({"reason": "\x7f"}, id="reason not printable"),
]


@pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.name)
class TestAnyDocument:
    """What holds for each kind."""

    def test_a_good_one_is_accepted(self, directory, kind):
        """The shortest good document is not refused, and its actor and reason are kept."""
        decision = decide(directory, kind, GOOD[kind])
        assert not isinstance(decision, Reject)
        assert msgpack.unpackb(decision.document).items() >= WHO.items()

    @pytest.mark.parametrize("change", BAD_OF_ANY)
    def test_a_bad_field_is_refused(self, directory, kind, change):
        """A field that is unknown or out of bounds is DOCUMENT_INVALID and changes nothing."""
        before = directory.to_bytes()
        assert decide(directory, kind, GOOD[kind], **change) == Reject(RejectCode.DOCUMENT_INVALID)
        assert directory.to_bytes() == before

    def test_each_required_field_is_required(self, directory, kind):
        """Without it the document is DOCUMENT_INVALID."""
        for field in DOCUMENTS[kind]:
            if field.required:
                assert decide(directory, kind, GOOD[kind], **{field.name: ABSENT}) == Reject(
                    RejectCode.DOCUMENT_INVALID
                )

    def test_each_field_has_one_type(self, directory, kind):
        """No other type will do, though it were equal: no bool, float or bytes."""
        wrong = {"integer": [True, 1.0, "1", None, b"1", [1]], "tiers": [{}, "x", None, 1, [], [1], [[]]]}
        for field in DOCUMENTS[kind]:
            for value in wrong.get(field.type.value, [1, 1.0, True, b"x", None, ["x"], {"x": 1}]):
                assert decide(directory, kind, GOOD[kind], **{field.name: value}) == Reject(RejectCode.DOCUMENT_INVALID)

    def test_each_number_has_its_bounds(self, directory, kind):
        """One beyond either end, and the ends of 64 bits, are DOCUMENT_INVALID."""
        for field in DOCUMENTS[kind]:
            if field.type.value == "integer":
                for value in (field.low - 1, field.high + 1, -(2**63), 2**63 - 1, 2**64 - 1):
                    decision = decide(directory, kind, GOOD[kind], **{field.name: value})
                    assert decision == Reject(RejectCode.DOCUMENT_INVALID)

    @pytest.mark.parametrize("name", ["", "a b", "a" * 33, "ä", "a\n", "\0", "a,b", "٣"])
    def test_names_have_their_alphabet(self, directory, kind, name):
        """A name is 1 to 32 of the allowed characters; only a fee schedule may be empty."""
        for field in DOCUMENTS[kind]:
            if field.type.value == "name" and not (field.name == "fee_schedule" and not name):
                assert decide(directory, kind, GOOD[kind], **{field.name: name}) == Reject(RejectCode.DOCUMENT_INVALID)

    @pytest.mark.parametrize("who", [{}, NOBODY, {"actor": "me"}, {"reason": "why"}, {"actor": "", "reason": "why"}])
    def test_operator_is_named(self, directory, kind, who):
        """Without actor or reason any document but a session's is OPERATOR_MISSING, before all but DOCUMENT_INVALID."""
        fields = {name: value for name, value in GOOD[kind].items() if name != "name"}
        taken = {"name": "alice-1"} if "name" in GOOD[kind] else {}
        decision = decide(directory, kind, fields | taken, who=who)
        if kind is CommandKind.SESSION_DEFINE:
            assert isinstance(decision, DefineSession)
            assert msgpack.unpackb(decision.document).items() >= (NOBODY | who).items()
        else:
            assert decision == Reject(RejectCode.OPERATOR_MISSING)
        assert decide(directory, kind, GOOD[kind], who=who, more=1) == Reject(RejectCode.DOCUMENT_INVALID)

    def test_longest_texts_are_accepted(self, directory, kind):
        """64 characters of actor and 256 of reason, of any script, are not too long."""
        decision = decide(directory, kind, GOOD[kind], actor="語" * 64, reason="é" * 256)
        assert not isinstance(decision, Reject)
        assert len(decision.document) <= schema.DOCUMENT_BYTES_MAX


REJECTS = [
    # kind, fields beside those of GOOD, code: in the order in which the rules check
    ("ASSET_DEFINE", {"name": "KAU", "fee_schedule": "none"}, "NAME_TAKEN"),
    ("ASSET_DEFINE", {"fee_schedule": "none"}, "REFERENCE_UNKNOWN"),
    ("INSTRUMENT_DEFINE", {"min_qty_lots": 1_001}, "DOCUMENT_INVALID"),
    ("INSTRUMENT_DEFINE", {"min_qty_lots": 1_001, "actor": ""}, "DOCUMENT_INVALID"),
    ("INSTRUMENT_DEFINE", {"min_notional_units": 11, "max_notional_units": 10}, "DOCUMENT_INVALID"),
    ("INSTRUMENT_DEFINE", {"reference_price_ticks": 1_000_001}, "DOCUMENT_INVALID"),
    ("INSTRUMENT_DEFINE", {"name": "KAU/USD", "base": "none"}, "NAME_TAKEN"),
    ("INSTRUMENT_DEFINE", {"base": "none"}, "REFERENCE_UNKNOWN"),
    ("INSTRUMENT_DEFINE", {"quote": "none", "tick_units": 1}, "REFERENCE_UNKNOWN"),
    ("INSTRUMENT_DEFINE", {"quote": "KAU"}, "REFERENCE_UNKNOWN"),
    ("INSTRUMENT_DEFINE", {"fee_schedule": "none"}, "REFERENCE_UNKNOWN"),
    ("INSTRUMENT_DEFINE", {"tick_units": 15}, "TICK_LOT_NOT_WHOLE"),
    ("INSTRUMENT_DEFINE", {"tick_units": 1, "lot_units": 1}, "TICK_LOT_NOT_WHOLE"),
    ("INSTRUMENT_CHANGE", {"name": "none", "fee_schedule": "none", "min_qty_lots": 1_001}, "INSTRUMENT_UNKNOWN"),
    ("INSTRUMENT_CHANGE", {"min_qty_lots": 1_001, "fee_schedule": "none"}, "DOCUMENT_INVALID"),
    ("INSTRUMENT_CHANGE", {"max_notional_units": 1, "min_notional_units": 2}, "DOCUMENT_INVALID"),
    ("INSTRUMENT_CHANGE", {"fee_schedule": "none", "max_qty_lots": 2**40}, "REFERENCE_UNKNOWN"),
    ("INSTRUMENT_CHANGE", {"max_qty_lots": 2**48 - 1, "max_price_ticks": 2**36 - 1}, "TICK_LOT_NOT_WHOLE"),
    ("INSTRUMENT_CHANGE", {"base": "USD"}, "DOCUMENT_INVALID"),
    ("INSTRUMENT_CHANGE", {"tick_units": 1}, "DOCUMENT_INVALID"),
    ("INSTRUMENT_CHANGE", {"reference_price_ticks": 1}, "DOCUMENT_INVALID"),
    ("ACCOUNT_DEFINE", {"name": "alice-1"}, "NAME_TAKEN"),
    ("ACCOUNT_CHANGE", {"name": "none"}, "ACCOUNT_UNKNOWN"),
    ("ACCOUNT_CHANGE", {"owner": "bob"}, "DOCUMENT_INVALID"),
    ("SESSION_DEFINE", {"name": "gateway-1"}, "NAME_TAKEN"),
    ("FEE_SCHEDULE_DEFINE", {"tiers": [FREE] * 17}, "DOCUMENT_INVALID"),
    ("FEE_SCHEDULE_DEFINE", {"tiers": [{"maker_ppm": 0}]}, "DOCUMENT_INVALID"),
    ("FEE_SCHEDULE_DEFINE", {"tiers": [FREE | {"more": 0}]}, "DOCUMENT_INVALID"),
    ("FEE_SCHEDULE_DEFINE", {"tiers": [FREE | {"taker_ppm": -1}]}, "DOCUMENT_INVALID"),
    ("FEE_SCHEDULE_DEFINE", {"tiers": [FREE | {"maker_ppm": 1_000_001}]}, "DOCUMENT_INVALID"),
    ("FEE_SCHEDULE_DEFINE", {"tiers": [FREE, FREE | {"deposit_ppm": True}]}, "DOCUMENT_INVALID"),
    ("FEE_SCHEDULE_DEFINE", {"tiers": [FREE | {"withdrawal_ppm": 0.5}]}, "DOCUMENT_INVALID"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "code"), REJECTS)
def test_refusals_come_in_the_order_of_the_rules(directory, kind, fields, code):
    """A document with a fault, and often a later one too, is refused for the first and changes nothing."""
    before = directory.to_bytes()
    assert decide(directory, CommandKind[kind], GOOD[CommandKind[kind]], **fields) == Reject(RejectCode[code])
    assert directory.to_bytes() == before


@pytest.mark.parametrize(
    ("bound", "kind", "taken"),
    [
        ("ASSETS_MAX", CommandKind.ASSET_DEFINE, {"name": "USD"}),
        ("SCHEDULES_MAX", CommandKind.FEE_SCHEDULE_DEFINE, None),
        ("INSTRUMENTS_MAX", CommandKind.INSTRUMENT_DEFINE, {"name": "KAU/USD"}),
        ("ACCOUNTS_MAX", CommandKind.ACCOUNT_DEFINE, {"name": "alice-1"}),
        ("SESSIONS_MAX", CommandKind.SESSION_DEFINE, {"name": "gateway-1"}),
    ],
)
def test_numbers_stay_below_their_bound(bound, kind, taken, monkeypatch, request):
    """The last number below the bound is given, then CAPACITY_REACHED, between NAME_TAKEN and REFERENCE_UNKNOWN."""
    monkeypatch.setattr(schema, bound, schema.VENUE_ACCOUNTS + 3 if bound == "ACCOUNTS_MAX" else 5)
    directory = request.getfixturevalue("directory")
    numbers = []
    while not isinstance(decision := decide(directory, kind, GOOD[kind], name=f"n{len(numbers)}"), Reject):
        numbers.append(decision.number)
    assert numbers[-1] == getattr(schema, bound) - 1
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    late = {"fee_schedule": "none"} if "fee_schedule" in {field.name for field in DOCUMENTS[kind]} else {}
    assert decide(directory, kind, GOOD[kind], name="more", **late) == Reject(RejectCode.CAPACITY_REACHED)
    if taken:
        assert decide(directory, kind, GOOD[kind] | late, **taken) == Reject(RejectCode.NAME_TAKEN)
    else:
        assert decide(directory, kind, GOOD[kind], name="standard").number == 1


def test_groups_stay_below_the_bound_of_accounts(monkeypatch, request):
    """A change to yet another group is refused when no group number is left; a known group is still taken."""
    monkeypatch.setattr(schema, "ACCOUNTS_MAX", schema.VENUE_ACCOUNTS + 2)
    directory = request.getfixturevalue("directory")
    change = CommandKind.ACCOUNT_CHANGE
    for number in range(2, schema.ACCOUNTS_MAX):
        assert decide(directory, change, GOOD[change], group=f"g{number}").group_number == number
    assert decide(directory, change, GOOD[change], group="more") == Reject(RejectCode.CAPACITY_REACHED)
    assert decide(directory, change, GOOD[change], group="alice").group_number == 1


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
            collar_ppm=0, reference_price_ticks=0, schedule_number=0, document=decision.document,
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
            number=1, schedule_number=1, tick_step=5, lot_step=1, min_qty_lots=1, max_qty_lots=1_000,
            min_notional_units=1, max_notional_units=schema.AMOUNT_MAX, max_price_ticks=1_000_000, collar_ppm=0,
            document=decision.document,
        )  # fmt: skip
        said = msgpack.unpackb(decision.document)
        assert (said["base"], said["tick_step"], said["number"]) == ("KAU", 5, 1)
        again = decide(directory, CommandKind.INSTRUMENT_CHANGE, {"name": "KAU/USD", "fee_schedule": ""})
        assert (again.schedule_number, again.tick_step) == (0, 5)

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
        "kind", [kind for kind in DOCUMENTS if kind >= CommandKind.INSTRUMENT_STATE], ids=lambda kind: kind.name
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

    @pytest.mark.parametrize("kind", [0, 1, CommandKind.WITHDRAW, 23, 255])
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
    ]:
        declared = {field.name for field in dataclasses.fields(entity)}
        assert declared == {field.name for field in DOCUMENTS[kind]} | {"number"}
    assert [field.name for field in dataclasses.fields(entities.TierRates)] == [field.name for field in TIER]


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
        (EventKind.INSTRUMENT_DEFINED, 1),
        (EventKind.ACCOUNT_DEFINED, 16),
        (EventKind.SESSION_DEFINED, 1),
    ]
    assert all(msgpack.unpackb(document)["number"] == number for _, number, document in listed)
    assert msgpack.unpackb(listed[4][2])["tier"] == 2


def test_unknown_names_and_numbers_are_none(directory):
    """A lookup of what does not exist finds nothing, also for the venue's own accounts and numbers out of range."""
    for find in (directory.asset, directory.fee_schedule, directory.instrument, directory.account, directory.session):
        for key in ("none", "", 0, -1, 7, 15, 17, 10**9):
            assert find(key) is None
