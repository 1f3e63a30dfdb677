"""The codec compiled, compiled with checks, and not compiled at all makes the same of the same bytes."""

import pytest

from tests.fix.lane_report import LANES, reports

pytestmark = [pytest.mark.xdist_group("fix-lanes"), pytest.mark.timeout(300)]


@pytest.mark.parametrize("part", ["numbers", "written", "streams", "fast"])
@pytest.mark.parametrize("lane", list(LANES)[1:])
def test_every_lane_makes_the_same_of_the_same_bytes(lane, part):
    """Numbers, times, written messages and decoded streams are those of the compiled lane."""
    assert reports()[lane][part] == reports()["jit"][part]
