"""Events are complete: a venue rebuilt from them alone equals the one that sent them, after every command."""

import copy

from hypothesis import given

from tests.core.strategies import scenarios, setup
from tests.naive.compare import stamped
from tests.naive.model import Naive
from tests.naive.rows import apply_to_naive, to_rows
from tests.rebuild import Rebuilt


def assert_rebuilt(rebuilt, naive):
    """What the events told is what the venue holds."""
    assert rebuilt.balances() == naive.balances()
    for number, instrument in naive.instruments.items():
        assert rebuilt.book(number) == naive.book(number)
        assert rebuilt.instruments[number].state == instrument.state
        assert rebuilt.instruments[number].reference_price_ticks == instrument.reference_price_ticks
        assert rebuilt.instruments[number].document == instrument.document
    for order_id, order in naive.live.items():
        ours = rebuilt.orders[order_id]
        assert (ours.qty_lots, ours.leaves_lots, ours.hold_units) == (
            order.qty_lots,
            order.leaves_lots,
            order.hold_units,
        )
        assert (ours.notional_units, ours.client_id) == (order.notional_units, order.client_id)
    assert rebuilt.orders.keys() == naive.live.keys()
    for number, asset in naive.assets.items():
        assert (rebuilt.deposited[number], rebuilt.withdrawn[number]) == (asset.deposited_units, asset.withdrawn_units)
    assert {number: (one.document, one.state) for number, one in naive.accounts.items()} == {
        number: (document, rebuilt.account_states[number]) for number, document in rebuilt.accounts.items()
    }
    assert len(rebuilt.trades) == naive.last_trade_id


class Pair:
    """The naive model and what is rebuilt from its events."""

    def __init__(self):
        self.naive, self.rebuilt = Naive(), Rebuilt()

    def run(self, items):
        """Apply commands one at a time, comparing after each."""
        for item in items:
            events = apply_to_naive(self.naive, stamped([item], self.naive.seq + 1))
            self.rebuilt.apply_rows(*to_rows(events))
            assert_rebuilt(self.rebuilt, self.naive)


PAIR = Pair()
PAIR.run(setup())


@given(scenarios())
def test_model_is_rebuilt_from_its_events(items):
    """Books, orders, balances, totals, states and trades rebuilt from the model's events equal the model's."""
    pair = copy.deepcopy(PAIR)
    pair.run(items)
