"""Documents of circuit breakers and market groups: refusals in their order, numbers, and the whole of what stands."""

import msgpack
import pytest

from kk99 import schema
from kk99.directory import Directory, entities
from kk99.directory.decisions import DefineBreaker, DefineMarketGroup, Reject
from kk99.directory.fields import DOCUMENTS
from kk99.schema import CommandKind, EventKind, RejectCode

WHO = {"actor": "operator", "reason": "test"}
BREAKER, GROUP = CommandKind.BREAKER_DEFINE, CommandKind.MARKET_GROUP_DEFINE
INSTRUMENT = {"base": "A", "quote": "B", "tick_units": 1, "lot_units": 1, "max_qty_lots": 9, "max_price_ticks": 9}


def decide(directory, kind, name, **fields):
    """The directory's answer to a document."""
    return directory.decide({"kind": int(kind)}, msgpack.packb({"name": name, **fields, **WHO}))


@pytest.fixture
def directory():
    """A directory with two instruments and a market group."""
    made = Directory()
    for name in "AB":
        decide(made, CommandKind.ASSET_DEFINE, name, scale=0)
    for name in ("A/B", "A/B2"):
        decide(made, CommandKind.INSTRUMENT_DEFINE, name, **INSTRUMENT)
    decide(made, GROUP, "all")
    return made


@pytest.mark.parametrize(
    ("kind", "name", "fields", "code"),
    [
        (BREAKER, "none", {"group": "none", "stress_step": 0}, "DOCUMENT_INVALID"),
        (BREAKER, "none", {"group": "none"}, "INSTRUMENT_UNKNOWN"),
        (BREAKER, "A/B", {"group": "none"}, "REFERENCE_UNKNOWN"),
        (BREAKER, "A/B", {"correlation_with": "none"}, "REFERENCE_UNKNOWN"),
        (BREAKER, "A/B", {"correlation_with": "A/B"}, "REFERENCE_UNKNOWN"),
        (GROUP, "new", {"level_1_ppm": 130_000}, "DOCUMENT_INVALID"),
        (GROUP, "new", {"level_2_ppm": 0, "level_1_ppm": 200_001}, "DOCUMENT_INVALID"),
        (GROUP, "new", {"level_3_ppm": 129_999}, "DOCUMENT_INVALID"),
    ],
)
def test_refusals_come_in_their_order(directory, kind, name, fields, code):
    """The first fault decides, and nothing changes."""
    before = directory.to_bytes()
    assert decide(directory, kind, name, **fields) == Reject(RejectCode[code])
    assert directory.to_bytes() == before


@pytest.mark.parametrize(
    "levels", [(0, 0, 0), (1, 2, 3), (0, 0, 1), (5, 0, 6), (0, 4, 0), (999_998, 999_999, 1_000_000)]
)
def test_levels_rise_but_for_those_that_are_off(directory, levels):
    """A level of 0 stands anywhere."""
    fields = {f"level_{level}_ppm": ppm for level, ppm in enumerate(levels, 1)}
    decision = decide(directory, GROUP, "new", **fields, halt_s=7)
    assert decision == DefineMarketGroup(number=2, levels=levels, halt_s=7, document=decision.document)
    assert directory.market_group("new") == entities.MarketGroup(number=2, name="new", **fields, halt_s=7, **WHO)


def test_a_breaker_is_whole_each_time(directory):
    """Numbers come in order of first definition; what is left out has its default, also the second time."""
    decide(directory, BREAKER, "A/B2")
    first = decide(directory, BREAKER, "A/B", move_ppm=7, correlation_with="A/B2", group="all")
    assert isinstance(first, DefineBreaker)
    assert (first.breaker.number, first.instrument_id, first.other_id, first.group_number) == (2, 1, 2, 1)
    again = decide(directory, BREAKER, "A/B", spread_s=1)
    assert (again.breaker.number, again.other_id, again.group_number) == (2, 0, 0)
    expected = {field.name: field.default for field in DOCUMENTS[BREAKER]} | {"number": 2, "name": "A/B", "spread_s": 1}
    assert msgpack.unpackb(again.document) == expected | WHO
    assert directory.breaker("A/B") == directory.breaker(2) == again.breaker
    assert directory.breaker("none") is None
    assert directory.market_group("A/B") is None


def test_numbers_of_groups_stay_below_their_bound(monkeypatch, request):
    """The last number below the bound is given; a known name is taken still."""
    monkeypatch.setattr(schema, "MARKET_GROUPS_MAX", 4)
    directory = request.getfixturevalue("directory")
    assert [decide(directory, GROUP, name).number for name in ("b", "c", "all")] == [2, 3, 1]
    assert decide(directory, GROUP, "d") == Reject(RejectCode.CAPACITY_REACHED)


def test_an_image_has_groups_and_breakers_last(directory):
    """Groups, then breakers: each can be read with what came before it."""
    decide(directory, BREAKER, "A/B", group="all")
    listed = [(kind, number) for kind, number, _ in directory.documents()]
    assert listed[-2:] == [(EventKind.MARKET_GROUP_DEFINED, 1), (EventKind.BREAKER_DEFINED, 1)]
