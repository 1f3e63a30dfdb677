"""The core answers known logs as it always has: hashes of events and state, kept in tests/golden/core.txt.

A difference means that old journals would replay to something else. If that is on purpose, raise
`schema.BEHAVIOUR_VERSION` and write the file anew with `python -m tests.core.test_golden > tests/golden/core.txt`; a
change of layout alone changes the second hash of a line (state), never the first (events).
"""

import sys
from pathlib import Path

import pytest

from kk99.machine import Machine
from tests.core import logs

GOLDEN = Path(__file__).parents[1] / "golden" / "core.txt"


def line(name):
    """A line of the golden file: the log's name, the hash of its events, the hash of the state after it."""
    return " ".join([name, *logs.hashes(name, Machine)])


@pytest.mark.parametrize("number", range(len(logs.NAMES)))
def test_known_logs_cause_what_they_always_did(number):
    """Events and state of each log have the hashes on record."""
    lines = GOLDEN.read_text().splitlines()
    assert line(logs.NAMES[number]) == lines[number], __doc__
    assert len(lines) == len(logs.NAMES)


if __name__ == "__main__":
    sys.stdout.writelines(line(name) + "\n" for name in logs.NAMES)
