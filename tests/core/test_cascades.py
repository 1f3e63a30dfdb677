"""The core against the naive model where the work is more than a command's: cascades, long walks, icebergs in parts."""

import pytest

from tests.core import cascades
from tests.naive.compare import assert_same, empty_machine
from tests.naive.model import Naive


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("name", cascades.CASES)
def test_core_and_model_agree_however_long_the_work_takes(name, size):
    """Every event and every state is the model's, whether commands come one by one or in batches."""
    items = list(cascades.commands(name))
    first = len(items) - len(cascades.CASES[name]())
    machine, naive = empty_machine(), Naive()
    assert_same(machine, naive, items[:first], size=first)
    assert_same(machine, naive, items[first:], size=size)
