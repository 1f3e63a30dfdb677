"""Documents of settlement calendars, and of the instruments that go by them."""

import msgpack
import pytest

from kk99 import schema
from kk99.directory import entities
from kk99.directory.decisions import DefineCalendar, Reject
from kk99.directory.directory import Directory
from kk99.schema import CommandKind, EventKind, RejectCode
from tests.directory.deciding import ABSENT, GOOD, WHO, decide

CALENDAR, DEFINE = CommandKind.SETTLEMENT_CALENDAR_DEFINE, CommandKind.INSTRUMENT_DEFINE
CHANGE = CommandKind.INSTRUMENT_CHANGE
DATE_MAX = (1 << 31) - 1
MOST = schema.CALENDAR_DATES_MAX


@pytest.mark.parametrize("dates", [[0], [DATE_MAX], [0, 1, DATE_MAX], list(range(DATE_MAX - MOST + 1, DATE_MAX + 1))])
def test_dates_that_rise_are_taken_up_to_their_bounds(directory, dates):
    """The decision has the dates, the document all fields with sorted keys; the largest fits into a command."""
    decision = decide(directory, CALENDAR, name="c", dates=dates)
    assert decision == DefineCalendar(number=1, dates=tuple(dates), document=decision.document)
    assert len(decision.document) <= schema.DOCUMENT_BYTES_MAX
    assert msgpack.unpackb(decision.document) == {"name": "c", "dates": dates, "number": 1} | WHO
    assert directory.settlement_calendar("c") == entities.SettlementCalendar(
        number=1, name="c", dates=tuple(dates), **WHO
    )


@pytest.mark.parametrize(
    "dates",
    [
        ABSENT, [], list(range(MOST + 1)), [1, 1], [2, 1], [-1], [DATE_MAX + 1], [True], [1.0], ["1"], [None], {"1": 1},
        7, "1", [[1]],
    ],
)  # fmt: skip
def test_others_are_no_calendar(directory, dates):
    """Too few, too many, out of order, out of range or no numbers: DOCUMENT_INVALID, and nothing changes."""
    before = directory.to_bytes()
    assert decide(directory, CALENDAR, name="c", dates=dates) == Reject(RejectCode.DOCUMENT_INVALID)
    assert directory.to_bytes() == before


def test_a_known_name_takes_new_dates(directory):
    """The number stays; instruments go by the name."""
    assert decide(directory, CALENDAR, name="a", dates=[1]).number == 1
    assert decide(directory, CALENDAR, name="b", dates=[2]).number == 2
    assert decide(directory, CALENDAR, name="a", dates=[3, 4]).number == 1
    assert directory.settlement_calendar(1).dates == (3, 4)
    assert directory.settlement_calendar("none") is None


def test_an_instrument_goes_by_a_known_calendar_or_none(directory):
    """Unknown: REFERENCE_UNKNOWN; a change that leaves it out keeps it, and "" takes it away."""
    unknown = decide(directory, DEFINE, GOOD[DEFINE], settlement_calendar="c")
    assert unknown == Reject(RejectCode.REFERENCE_UNKNOWN)
    decide(directory, CALENDAR, name="c", dates=[1])
    made = decide(directory, DEFINE, GOOD[DEFINE], settlement_calendar="c", settlement_days=schema.SETTLEMENT_DAYS_MAX)
    assert (made.calendar_number, made.settlement_days) == (1, schema.SETTLEMENT_DAYS_MAX)
    kept = decide(directory, CHANGE, {"name": "NEW"})
    assert (kept.calendar_number, kept.settlement_days) == (1, schema.SETTLEMENT_DAYS_MAX)
    other = decide(directory, CHANGE, {"name": "NEW", "settlement_calendar": "", "settlement_days": 0})
    assert (other.calendar_number, other.settlement_days) == (0, 0)
    for days in (-1, schema.SETTLEMENT_DAYS_MAX + 1, True):
        refused = decide(directory, CHANGE, {"name": "NEW", "settlement_days": days})
        assert refused == Reject(RejectCode.DOCUMENT_INVALID)


def test_calendars_come_before_the_instruments_that_go_by_them(directory):
    """In an image, and in the state's bytes, which give the same directory."""
    decide(directory, CALENDAR, name="c", dates=[1, 5])
    decide(directory, CHANGE, {"name": "KAU/USD", "settlement_calendar": "c", "settlement_days": 1})
    kinds = [kind for kind, *_ in directory.documents()]
    assert kinds.index(EventKind.SETTLEMENT_CALENDAR_DEFINED) < kinds.index(EventKind.INSTRUMENT_DEFINED)
    assert Directory.from_bytes(directory.to_bytes()).settlement_calendar(1).dates == (1, 5)
