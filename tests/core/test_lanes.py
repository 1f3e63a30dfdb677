"""The three lanes of the core, compiled, compiled with checks, and plain Python, give the same events and state."""

import pytest

from tests.core.lane_report import COPIES, LANES, LOGS, reports

pytestmark = [pytest.mark.xdist_group("lanes"), pytest.mark.timeout(600)]


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("lane", LANES[1:])
def test_every_lane_gives_the_same_events_and_state(lane, log):
    """Events and state of a log have the hashes that the compiled lane gives."""
    assert reports()[lane][log] == reports()[LANES[0]][log]


def test_the_copies_are_the_same_in_every_lane():
    """Compiled, checked and plain Python make the same copies along a log, and each is of the state where it began."""
    expected = reports()[LANES[0]]["copies"]
    assert [len(made) > 3 for made in expected] == [True] * len(COPIES)
    for lane in LANES:
        made = reports()[lane]["copies"]
        assert made == expected
        assert all(copied[1] == copied[2] for copies_of_log in made for copied in copies_of_log)
