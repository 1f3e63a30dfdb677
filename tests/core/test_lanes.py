"""The three lanes of the core, compiled, compiled with checks, and plain Python, give the same events and state."""

import pytest

from tests.core.lane_report import LANES, LOGS, reports

pytestmark = [pytest.mark.xdist_group("lanes"), pytest.mark.timeout(600)]


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("lane", LANES[1:])
def test_every_lane_gives_the_same_events_and_state(lane, log):
    """Events and state of a log have the hashes that the compiled lane gives."""
    assert reports()[lane][log] == reports()[LANES[0]][log]
