"""What the directory refuses: each document's checks, in the order of the rules."""

import msgpack
import pytest

from kk99 import schema
from kk99.directory.decisions import (
    DefineSession,
    Reject,
)
from kk99.directory.fields import DOCUMENTS
from kk99.schema import CommandKind, RejectCode
from tests.directory.deciding import ABSENT, FREE, GOOD, NINE, NOBODY, WHO, decide

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


@pytest.mark.parametrize("kind", GOOD, ids=lambda kind: kind.name)
class TestAnyDocument:
    """What holds for each kind but an order's schedule, which nobody signs."""

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
        wrong["phases"] = wrong["tiers"]
        wrong |= {key: [{}, "x", None, 1, [1], [[]], [None], [b"x"]] for key in ("names", "networks", "digests")}
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
        """A name is 1 to 32 of the allowed characters; only one with an empty default may be empty."""
        for field in DOCUMENTS[kind]:
            if field.type.value == "name" and not (field.low == 0 and not name):
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
    ("INSTRUMENT_DEFINE", {"trading_schedule": "none", "tick_units": 15}, "REFERENCE_UNKNOWN"),
    ("INSTRUMENT_DEFINE", {"trading_schedule": "standard"}, "REFERENCE_UNKNOWN"),
    ("INSTRUMENT_CHANGE", {"trading_schedule": "none", "max_qty_lots": 2**40}, "REFERENCE_UNKNOWN"),
    ("TRADING_SCHEDULE_DEFINE", {"phases": [NINE] * (schema.PHASES + 1)}, "DOCUMENT_INVALID"),
    ("TRADING_SCHEDULE_DEFINE", {"phases": [NINE, {"at_s": 0, "days": 1}]}, "DOCUMENT_INVALID"),
    ("TRADING_SCHEDULE_DEFINE", {"phases": [NINE | {"more": 0}]}, "DOCUMENT_INVALID"),
    ("TRADING_SCHEDULE_DEFINE", {"phases": [NINE | {"at_s": -1}]}, "DOCUMENT_INVALID"),
    ("TRADING_SCHEDULE_DEFINE", {"phases": [NINE | {"at_s": 86_400}]}, "DOCUMENT_INVALID"),
    ("TRADING_SCHEDULE_DEFINE", {"phases": [NINE | {"days": 0}]}, "DOCUMENT_INVALID"),
    ("TRADING_SCHEDULE_DEFINE", {"phases": [NINE | {"days": 128}]}, "DOCUMENT_INVALID"),
    ("TRADING_SCHEDULE_DEFINE", {"phases": [NINE | {"days": True}]}, "DOCUMENT_INVALID"),
    ("TRADING_SCHEDULE_DEFINE", {"phases": [NINE | {"phase": "HALTED"}]}, "DOCUMENT_INVALID"),
    ("TRADING_SCHEDULE_DEFINE", {"phases": [NINE | {"phase": 1}]}, "DOCUMENT_INVALID"),
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
        ("TRADING_SCHEDULES_MAX", CommandKind.TRADING_SCHEDULE_DEFINE, None),
        ("CALENDARS_MAX", CommandKind.SETTLEMENT_CALENDAR_DEFINE, None),
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
        known = {CommandKind.TRADING_SCHEDULE_DEFINE: "day", CommandKind.SETTLEMENT_CALENDAR_DEFINE: "n0"}
        assert decide(directory, kind, GOOD[kind], name=known.get(kind, "standard")).number == 1


def test_groups_stay_below_the_bound_of_accounts(monkeypatch, request):
    """A change to yet another group is refused when no group number is left; a known group is still taken."""
    monkeypatch.setattr(schema, "ACCOUNTS_MAX", schema.VENUE_ACCOUNTS + 2)
    directory = request.getfixturevalue("directory")
    change = CommandKind.ACCOUNT_CHANGE
    for number in range(2, schema.ACCOUNTS_MAX):
        assert decide(directory, change, GOOD[change], group=f"g{number}").group_number == number
    assert decide(directory, change, GOOD[change], group="more") == Reject(RejectCode.CAPACITY_REACHED)
    assert decide(directory, change, GOOD[change], group="alice").group_number == 1
