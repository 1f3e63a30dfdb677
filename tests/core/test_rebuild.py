"""Events are complete: a venue rebuilt from them alone equals the one that sent them, after every command."""

import copy

from hypothesis import given, settings

from tests.core.strategies import scenarios, setup
from tests.naive.compare import Image, empty_machine, stamped
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


def orders_as_in_an_image(rebuilt):
    """The rebuilt books as an image would show them: in price-time order, by instrument and side."""
    books = {}
    for number in rebuilt.instruments:
        for side, levels in rebuilt.book(number).items():
            order_ids = [order_id for _, orders in levels for order_id, _ in orders]
            if order_ids:
                books[number, int(side)] = [shown(rebuilt.orders[order_id]) for order_id in order_ids]
    return books


def shown(order):
    """What of a rebuilt order is compared with an image."""
    state = (order.order_id, order.account_id, order.price_ticks, order.qty_lots, order.leaves_lots)
    return (*state, order.hold_units, order.notional_units, *order.client_id)


IMAGE_FIELDS = ("order_id", "account_id", "price_ticks", "qty_lots", "leaves_lots", "amount_units", "notional_units")


@settings(max_examples=settings().max_examples // 4)
@given(scenarios())
def test_core_is_rebuilt_from_its_events(items):
    """Balances, totals, orders and books rebuilt from the core's events equal the core's image after every command."""
    machine, rebuilt = empty_machine(), Rebuilt()
    rebuilt.apply(machine.apply_all(stamped(setup(), 1)))
    for item in items:
        rebuilt.apply(machine.apply_all(stamped([item], machine.seq + 1)))
        image = Image(machine.image())
        assert rebuilt.balances() == image.balances
        assert orders_as_in_an_image(rebuilt) == {
            key: [tuple(order[name] for name in (*IMAGE_FIELDS, "client_id_lo", "client_id_hi")) for order in orders]
            for key, orders in image.orders.items()
        }
        for number, pair in image.totals.items():
            assert (rebuilt.deposited[number], rebuilt.withdrawn[number]) == pair
