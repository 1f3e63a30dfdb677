"""An aggressor that may meet few resting orders: a FOK order knows beforehand whether it would be filled."""

import pytest

from kk99.schema import EventKind, TimeInForce
from tests.core import mixes, scheduled_mixes
from tests.core.comparing import compared, fills_of_a_command
from tests.naive.model import Naive

COMMANDS = 500


class Watched(Naive):
    """The model, which looks at every order that wants all or nothing."""

    def __init__(self):
        super().__init__()
        self.wanting = {}
        """Quantity of each FOK order that was accepted and has not ended, by id."""
        self.filled = 0

    def emit(self, kind, **fields):
        """Watch what is told: each fills completely, or nothing of it does."""
        super().emit(kind, **fields)
        if kind == EventKind.ORDER_ACCEPTED and fields["time_in_force"] == TimeInForce.FOK:
            self.wanting[fields["order_id"]] = fields["qty_lots"]
        elif kind == EventKind.TRADE and fields["order_id"] in self.wanting:
            self.wanting[fields["order_id"]] -= fields["qty_lots"]
            self.filled += not self.wanting[fields["order_id"]]
        elif kind == EventKind.ORDER_CANCELED and fields["order_id"] in self.wanting:
            assert self.wanting.pop(fields["order_id"]) == fields["qty_lots"] == fields["leaves_lots"]


@pytest.mark.parametrize("mix", [mixes, scheduled_mixes])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_fills(mix, count):
    """The core does what the model does, and a FOK order that passed its check is filled, icebergs met part by part."""
    naive = Watched()
    with fills_of_a_command(count):
        compared(naive, mix.run(naive, count, COMMANDS))
    assert naive.filled or count == 1
