"""Timers fire in the order that the rules name; a schedule's transitions are those of its weekdays."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.naive.clock import DAY_NS, SECOND_NS, Timers, Wants, next_multiple_ns, next_transition_ns, phase_at

WEEKDAYS = 0b0011111
EVERY_DAY = 0b1111111
SUNDAY = 0b1000000


def phase(at, days, name):
    """An entry of a schedule, at "hh:mm:ss"."""
    hours, minutes, seconds = map(int, at.split(":"))
    return {"at_s": hours * 3600 + minutes * 60 + seconds, "days": days, "phase": name}


def ns(text):
    """A time in UTC as nanoseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


OFFICE = [
    phase("08:00:00", WEEKDAYS, "PRE_OPEN"),
    phase("09:00:00", WEEKDAYS, "OPENING_CALL"),
    phase("09:10:00", WEEKDAYS, "OPEN"),
    phase("17:00:00", WEEKDAYS, "CLOSING_CALL"),
    phase("17:10:00", WEEKDAYS, "CLOSED"),
]
NIGHT = [phase("00:00:00", SUNDAY, "OPEN"), phase("23:59:59", SUNDAY, "CLOSED")]
TWICE = [
    phase("12:00:00", EVERY_DAY, "CLOSED"),
    phase("12:00:00", SUNDAY, "OPEN"),
]
LONE = [phase("00:00:00", 1, "OPEN")]


@pytest.mark.parametrize(
    ("phases", "now", "following", "present"),
    [
        # Several a day, in whatever order the list has them.
        (OFFICE, "2026-11-18 08:59:59", "2026-11-18 09:00:00", "PRE_OPEN"),
        (OFFICE, "2026-11-18 09:00:00", "2026-11-18 09:10:00", "OPENING_CALL"),
        (OFFICE, "2026-11-18 09:05:00", "2026-11-18 09:10:00", "OPENING_CALL"),
        (OFFICE[::-1], "2026-11-18 16:00:00", "2026-11-18 17:00:00", "OPEN"),
        (OFFICE, "2026-11-18 17:10:00", "2026-11-19 08:00:00", "CLOSED"),
        # Over the weekend: Friday's close holds until Monday.
        (OFFICE, "2026-11-20 17:10:00", "2026-11-23 08:00:00", "CLOSED"),
        (OFFICE, "2026-11-22 12:00:00", "2026-11-23 08:00:00", "CLOSED"),
        (OFFICE, "2026-11-23 07:59:59", "2026-11-23 08:00:00", "CLOSED"),
        # Midnight begins the day, and its last second ends it.
        (NIGHT, "2026-11-21 23:59:59", "2026-11-22 00:00:00", "CLOSED"),
        (NIGHT, "2026-11-22 00:00:00", "2026-11-22 23:59:59", "OPEN"),
        (NIGHT, "2026-11-22 23:59:59", "2026-11-29 00:00:00", "CLOSED"),
        # At one time, the later in the list counts, on the days that it names.
        (TWICE, "2026-11-21 12:00:00", "2026-11-22 12:00:00", "CLOSED"),
        (TWICE, "2026-11-22 12:00:00", "2026-11-23 12:00:00", "OPEN"),
        (TWICE[::-1], "2026-11-22 12:00:00", "2026-11-23 12:00:00", "CLOSED"),
        # A single transition comes back after a week; leap days and years' ends are days like any other.
        (LONE, "2026-11-23 00:00:00", "2026-11-30 00:00:00", "OPEN"),
        (LONE, "2026-11-22 23:59:59", "2026-11-23 00:00:00", "OPEN"),
        (OFFICE, "2028-02-28 17:10:00", "2028-02-29 08:00:00", "CLOSED"),
        (OFFICE, "2026-12-31 17:10:00", "2027-01-01 08:00:00", "CLOSED"),
        # The first hours of time, a Thursday.
        (OFFICE, "1970-01-01 00:00:00", "1970-01-01 08:00:00", "CLOSED"),
        (LONE, "1970-01-01 00:00:00", "1970-01-05 00:00:00", "OPEN"),
    ],
)
def test_transitions(phases, now, following, present):
    """The next transition is strictly after now; the phase is that of the latest at or before now."""
    assert next_transition_ns(phases, ns(now)) == ns(following)
    assert phase_at(phases, ns(now)) == present


PHASES = st.lists(
    st.fixed_dictionaries(
        {"at_s": st.integers(0, 86_399), "days": st.integers(1, 127), "phase": st.sampled_from("ABC")}
    ),
    min_size=1,
    max_size=16,
)


@given(phases=PHASES, time_ns=st.integers(0, 60 * DAY_NS))
def test_transitions_follow_one_another(phases, time_ns):
    """Between now and the next transition the phase stays; at the transition it is what the calendar says."""
    then = next_transition_ns(phases, time_ns)
    assert time_ns < then <= time_ns + 7 * DAY_NS
    assert phase_at(phases, then - 1) == phase_at(phases, time_ns)
    moment = datetime.fromtimestamp(then // SECOND_NS, UTC)
    second = moment.hour * 3600 + moment.minute * 60 + moment.second
    named = [one["phase"] for one in phases if one["at_s"] == second and one["days"] >> moment.weekday() & 1]
    assert phase_at(phases, then) == named[-1]


def test_timers_fire_by_due_time_then_by_number():
    """Of the timers that are due, the earliest comes first, and at one time the lowest number."""
    timers = Timers()
    for due, owner in ((50, 1), (40, 2), (40, 3), (60, 4)):
        timers.set(due, Wants.EXPIRY, owner)
    assert not timers.is_due(39)
    assert timers.take_due(39) is None
    fired = [timers.take_due(50) for _ in range(4)]
    assert [timer and timer.owner for timer in fired] == [2, 3, 1, None]


def test_the_slot_freed_last_is_used_first():
    """Numbers rise from 1; freed ones come back latest first, whether dropped or fired."""
    timers = Timers()
    assert [timers.set(10, Wants.EXPIRY, 0) for _ in range(3)] == [1, 2, 3]
    timers.drop(2)
    timers.drop(0)
    timers.take_due(10)
    assert [timers.set(10, Wants.EXPIRY, 0) for _ in range(3)] == [1, 2, 4]


@pytest.mark.parametrize(("now", "due"), [(100, 110), (109, 110), (110, 120), (1005, 1010)])
def test_next_multiple(now, due):
    """An interval's next end is strictly after now; what was missed is passed over."""
    assert next_multiple_ns(100, 10, now) == due
