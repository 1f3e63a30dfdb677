"""Market-wide halts: levels, days, and what becomes of each instrument of a group."""

import pytest

from kk99 import build, schema
from kk99.schema import MarketState
from tests.core.breakers import BUY, OFF, REOPENED, SELL, WHO, A, B, Venue

HOUR = 3_600
MIDNIGHT = 24 * HOUR
LEVEL_1 = "MARKET_WIDE SELL at 4650: 70000 of 70000 until"


def grouped(count=1, phases=(), **levels):
    """A venue whose instruments are all of one group; the first half is open."""
    venue = Venue(count, phases=phases)
    venue.run(build.market_group("all", **levels, **WHO))
    for number in range(1, count + 1):
        venue.breaker(number, group="all")
    venue.run(build.group_index(1, 0, 5_000))
    return venue


@pytest.mark.parametrize(
    ("index", "level", "threshold"),
    [
        (4_651, 0, 0), (4_650, 1, 70_000), (4_351, 1, 70_000), (4_350, 2, 130_000), (4_001, 2, 130_000),
        (4_000, 3, 200_000), (1, 3, 200_000), (5_001, 0, 0),
    ],
)  # fmt: skip
def test_a_fall_halts_the_group(index, level, threshold):
    """From its last close to a level or below: 15 minutes, 15 minutes, the rest of the day."""
    venue = grouped()
    venue.at(HOUR)
    told = venue.run(build.group_index(1, index))
    fall = (5_000 - index) * 1_000_000 // 5_000 if index < 5_000 else 0
    assert told[0] == f"INDEX 1: {index} after 5000, {fall}"
    end = MIDNIGHT if level == 3 else HOUR + 900
    assert told[1:] == (
        [f"TRIPPED group 1 MARKET_WIDE SELL at {index}: {fall} of {threshold} until {end}"] if level else []
    )


def test_a_level_halts_once_a_day_and_takes_the_lower_ones_with_it():
    """Level 2 first: level 1 is over for the day; the next day all begin anew."""
    venue = grouped()

    def fall_to(index):
        return [one for one in venue.run(build.group_index(1, index)) if one.startswith("TRIPPED")]

    assert len(fall_to(4_350)) == 1
    venue.at(2 * HOUR)
    assert fall_to(4_350) == fall_to(4_600) == fall_to(4_650) == []
    assert len(fall_to(4_000)) == 1
    assert fall_to(1) == []
    venue.at(MIDNIGHT - 0.000000001)
    assert fall_to(4_650) == []
    venue.at(MIDNIGHT)
    assert len(fall_to(4_650)) == 1
    assert len(fall_to(4_350)) == 1


def test_levels_may_be_off_and_changed():
    """A level of 0 is off; a known group takes new levels."""
    venue = grouped(level_1_ppm=0, level_3_ppm=0)
    assert len(venue.run(build.group_index(1, 4_351))) == 1
    assert len(venue.run(build.group_index(1, 1))) == 2
    venue.run(build.market_group("all", level_1_ppm=1, halt_s=7, **WHO))
    venue.at(MIDNIGHT)
    told = venue.run(build.group_index(1, 4_999))
    assert told[1] == f"TRIPPED group 1 MARKET_WIDE SELL at 4999: 200 of 1 until {MIDNIGHT + 7}"


@pytest.mark.parametrize(
    ("group", "index", "close", "answer"),
    [
        (2, 5, 5, "REJECTED INSTRUMENT_UNKNOWN"), (-1, 5, 5, "REJECTED INSTRUMENT_UNKNOWN"),
        (1, 0, 0, "REJECTED PRICE_INVALID"), (1, -1, 5, "REJECTED PRICE_INVALID"),
        (1, 5, -1, "REJECTED PRICE_INVALID"), (1, schema.PRICE_TICKS_MAX + 1, 0, "REJECTED PRICE_ABOVE_MAX"),
        (1, 0, schema.PRICE_TICKS_MAX + 1, "REJECTED PRICE_ABOVE_MAX"),
        (1, schema.PRICE_TICKS_MAX, schema.PRICE_TICKS_MAX, "INDEX 1: 68719476735 after 68719476735, 0"),
        (1, 4_000, 0, "INDEX 1: 4000 after 0, 0"), (1, 0, 4_000, "INDEX 1: 0 after 4000, 0"),
    ],
)  # fmt: skip
def test_an_index_is_checked(group, index, close, answer):
    """In the order of the reject codes; without a close nothing falls."""
    venue = Venue()
    venue.run(build.market_group("all", **WHO))
    assert venue.run(build.group_index(group, index, close)) == [answer]


def test_an_image_tells_the_indexes():
    """Of each group that was told an index or a close, as the last event did."""
    venue = grouped()
    venue.run(build.market_group("other", **WHO), build.group_index(1, 4_650))
    image = venue.machine.image().rows
    told = [venue.words(row) for row in image[image["kind"] == schema.EventKind.GROUP_INDEX_CHANGED]]
    assert told == ["INDEX 1: 4650 after 5000, 70000"]


def test_an_open_market_is_halted_and_recovers_by_a_call():
    """HALTED until the group's end, then the call, whatever cancel_only_s."""
    venue = grouped()
    venue.open()
    told = venue.run(build.group_index(1, 4_650))
    assert told[1:] == [f"TRIPPED group 1 {LEVEL_1} 900", f"TRIPPED {LEVEL_1} 1140", "HALTED MARKET_WIDE until 900"]
    assert venue.order(A, BUY, 1, 5) == ["REJECTED MARKET_HALTED"]
    assert venue.at(900) == ["CALL RECOVERY RECOVERING until 1140"]
    assert venue.at(1_140) == REOPENED


def test_a_higher_level_begins_the_halt_anew():
    """The market is HALTED already: only told, with the new end."""
    venue = grouped()
    venue.open()
    venue.run(build.group_index(1, 4_650))
    venue.at(100)
    told = venue.run(build.group_index(1, 4_350))
    assert told[2:] == [
        "TRIPPED MARKET_WIDE SELL at 4350: 130000 of 130000 until 1240",
        "HALTED MARKET_WIDE until 1000",
    ]
    assert venue.at(999) == []
    assert venue.at(1_000) == ["CALL RECOVERY RECOVERING until 1240"]


@pytest.mark.parametrize(
    "state", [MarketState.PRE_OPEN, MarketState.HALTED, MarketState.CANCEL_ONLY, MarketState.CLOSED]
)
def test_what_does_not_trade_is_left_as_it_is(state):
    """Nor does a market of another group, or of none, hear of it; operators may open it."""
    venue = grouped()
    venue.open()
    venue.set_state(state)
    assert len(venue.run(build.group_index(1, 4_650))) == 2
    assert venue.state() == state
    assert venue.open() == ["OPEN OPERATOR"]


def test_other_groups_are_left_alone():
    """Of three markets one is of the group."""
    venue = grouped(3)
    venue.run(build.market_group("other", **WHO))
    venue.breaker(1, group="other")
    venue.breaker(3)
    venue.open(1, 2, 3)
    venue.run(build.group_index(1, 4_650))
    assert [venue.state(number) for number in (1, 2, 3)] == [MarketState.OPEN, MarketState.HALTED, MarketState.OPEN]


def test_a_call_and_a_recovery_go_on_where_they_were_to_end():
    """An opening call ends in itself; a recovery in OPEN, after the group's halt."""
    venue = grouped(2)
    venue.set_state(MarketState.CALL, 1)
    venue.breaker(2, group="all", move_ppm=1)
    venue.open(2)
    assert venue.trade(1_000, 1_100, number=2)[-1] == "2: CANCEL_ONLY BREAKER until 60"
    told = venue.run(build.group_index(1, 4_650))
    assert told[2:] == [
        f"TRIPPED {LEVEL_1} 1140", "HALTED MARKET_WIDE until 900",
        f"2: TRIPPED {LEVEL_1} 1140", "2: HALTED MARKET_WIDE until 900",
    ]  # fmt: skip
    assert venue.at(60) == []
    assert venue.at(900) == ["2: CALL RECOVERY RECOVERING until 1140", "CALL OPENING RECOVERED"]
    assert venue.at(1_140) == [f"2: {one}" for one in REOPENED]


def test_a_market_that_uncrosses_is_halted_when_it_has_ended():
    """The pairs trade to the end at their one price; HALTED follows instead of OPEN."""
    venue = grouped()
    venue.set_state(MarketState.CALL)
    for _ in range(200):
        venue.order(A, SELL, 1, 100)
        venue.order(B, BUY, 1, 100)
    told = venue.open()
    assert told[0] == "UNCROSSING OPERATOR"
    told = venue.run(build.group_index(1, 4_650))
    assert f"TRIPPED {LEVEL_1} 1140" in told
    assert venue.state() == MarketState.UNCROSSING
    assert venue.run(build.continue_work())[-1] == "HALTED UNCROSSED until 900"
    assert venue.at(900) == ["CALL RECOVERY RECOVERING until 1140"]


def test_a_schedule_opens_no_market_while_its_group_is_halted():
    """The phase is what the market ends in, after the group's halt; CLOSED and PRE_OPEN are taken."""
    phases = (
        {"at_s": 60, "days": 127, "phase": "PRE_OPEN"}, {"at_s": 300, "days": 127, "phase": "OPENING_CALL"},
        {"at_s": 1_000, "days": 127, "phase": "OPEN"}, {"at_s": 2_000, "days": 127, "phase": "CLOSED"},
    )  # fmt: skip
    venue = grouped(phases=phases)
    venue.set_state(MarketState.CLOSED)
    venue.run(build.group_index(1, 4_650))
    assert venue.at(60) == ["PRE_OPEN SCHEDULE until 300"]
    assert venue.at(300) == [f"TRIPPED {LEVEL_1} 1140", "HALTED MARKET_WIDE until 900"]
    assert venue.at(900) == ["CALL OPENING RECOVERED until 1000"]
    assert venue.at(1_000) == ["UNCROSSING SCHEDULE", "UNCROSSED 0 at 0", "OPEN UNCROSSED until 2000"]


def test_instruments_are_visited_in_bounded_steps():
    """Each costs 64 units if it is halted, else 1; a higher level begins the visits again."""
    venue = grouped(70)
    venue.open(*range(1, 71))
    visited = schema.WORK_UNITS_PER_COMMAND // schema.WORK_UNITS_PER_ORDER
    told = venue.run(build.group_index(1, 4_650))
    assert sum("HALTED" in one for one in told) == visited
    assert venue.machine.pending_work()
    told = venue.run(build.group_index(1, 4_350))
    first = [one for one in told[: 2 * (70 - visited)] if "HALTED" in one]
    assert [one.partition(":")[0] for one in first] == [str(number) for number in range(visited + 1, 71)]
    assert sum("4350" in one and "group" not in one for one in told) == visited + 1
    venue.restart()
    told = venue.run(build.continue_work())
    assert sum("TRIPPED" in one for one in told) == 70 - visited
    assert not venue.machine.pending_work()
    assert {venue.state(number) for number in range(1, 71)} == {MarketState.HALTED}


def test_two_groups_are_visited_in_the_order_of_their_halts():
    """The second waits for the first."""
    venue = grouped(66)
    venue.run(build.market_group("other", **WHO), build.group_index(2, 0, 5_000))
    venue.run(build.breaker("I66", **{**OFF, "group": "other"}, **WHO))
    venue.open(*range(1, 67))
    venue.run(build.group_index(1, 4_650))
    told = venue.run(build.group_index(2, 4_650))
    assert [one.partition(":")[0] for one in told if "HALTED" in one] == ["65", "66"]
    assert not venue.machine.pending_work()
