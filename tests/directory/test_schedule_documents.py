"""Documents of scheduled orders: what they may say, and that nothing of them is kept."""

import msgpack
import pytest

from kk99 import schema
from kk99.directory.decisions import Reject, Schedule
from kk99.schema import CommandKind, RejectCode
from tests.directory.deciding import ABSENT, WHO, decide

MOST = schema.AMOUNT_MAX
GOOD = {"end_time_ns": 50, "slices": [[0, 3], [10, 4]]}


def decided(directory, **change):
    """The answer to the good document with changes; nothing is recorded, whatever it is."""
    before = directory.to_bytes()
    decision = decide(directory, CommandKind.ALGO_ORDER, GOOD, who={}, **change)
    assert directory.to_bytes() == before
    return decision


def test_what_may_be_left_out_is_0(directory):
    """The schedule has the numbers, its one encoding all four fields with sorted keys."""
    decision = decided(directory)
    fields = {"end_time_ns": 50, "participation_ppm": 0, "slices": [[0, 3], [10, 4]], "start_time_ns": 0}
    assert decision == Schedule(**fields, document=msgpack.packb(fields))
    assert list(msgpack.unpackb(decision.document)) == sorted(fields)


@pytest.mark.parametrize(
    "change",
    [
        {"slices": [[0, MOST]] * schema.SLICES_MAX},
        {"slices": [[MOST, 0]]},
        {"end_time_ns": 0, "start_time_ns": MOST},
        {"end_time_ns": MOST},
        {"participation_ppm": schema.PPM},
    ],
)
def test_all_that_fits_is_the_cores_to_judge(directory, change):
    """At the bounds a document is taken, also one that is no schedule for any order."""
    decision = decided(directory, **change)
    assert isinstance(decision, Schedule)
    assert len(decision.document) <= schema.DOCUMENT_BYTES_MAX


@pytest.mark.parametrize(
    "change",
    [
        {"slices": []},
        {"slices": [[0, 1]] * (schema.SLICES_MAX + 1)},
        *[{"slices": [[0, 1], one]} for one in ([], [1], [1, 2, 3], [1, -1], [-1, 1], [1, MOST + 1], [MOST + 1, 1])],
        *[{"slices": [one]} for one in ([True, 1], [1, 1.0], ["0", 1], {"0": 1}, None, 7)],
        {"slices": {}},
        {"slices": ABSENT},
        {"end_time_ns": ABSENT},
        {"end_time_ns": -1},
        {"end_time_ns": MOST + 1},
        {"start_time_ns": -1},
        {"start_time_ns": MOST + 1},
        {"participation_ppm": -1},
        {"participation_ppm": schema.PPM + 1},
        {"participation_ppm": False},
        {"name": "mine"},
        WHO,
    ],
)
def test_what_does_not_fit_is_refused(directory, change):
    """Too few or too many slices, other shapes, numbers out of range, fields that there are not."""
    assert decided(directory, **change) == Reject(RejectCode.DOCUMENT_INVALID)
