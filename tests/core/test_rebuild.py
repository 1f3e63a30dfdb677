"""Events are complete: a venue rebuilt from them alone equals the one that sent them, after every command."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings

from kk99 import kinds
from kk99.schema import EventKind, OrderType
from tests.core import mixes, scheduled_mixes, settlement_mixes
from tests.core.strategies import scenarios, setup
from tests.naive.compare import Image, empty_machine, schedules_of, stamped
from tests.naive.fields import pack
from tests.naive.model import Naive
from tests.naive.rows import apply_to_naive, to_rows
from tests.rebuild import Rebuilt
from tests.rebuilt_book import Place


def assert_rebuilt(rebuilt, naive):
    """What the events told is what the venue holds."""
    assert rebuilt.balances() == naive.balances()
    for number, instrument in naive.instruments.items():
        assert rebuilt.book(number) == naive.book(number)
        ours = rebuilt.instruments[number]
        assert (ours.state, ours.call_purpose) == instrument.market.now
        for name in ("reference_price_ticks", "last_price_ticks", "index_price_ticks", "document"):
            assert getattr(ours, name) == getattr(instrument, name), name
    assert rebuilt.orders.keys() == naive.live.keys()
    for order_id, order in naive.live.items():
        assert_same_order(rebuilt.orders[order_id], order)
    for number, asset in naive.assets.items():
        assert (rebuilt.deposited[number], rebuilt.withdrawn[number]) == (asset.deposited_units, asset.withdrawn_units)
    assert {number: (one.document, one.state) for number, one in naive.accounts.items()} == {
        number: (document, rebuilt.account_states[number]) for number, document in rebuilt.accounts.items()
    }
    assert len(rebuilt.trades) == naive.last_trade_id
    assert rebuilt.trading_schedules == naive.trading_schedules
    assert rebuilt.calendars == naive.calendars
    owed = [one for one in naive.obligations.slots if one is not None]
    assert rebuilt.owed == {one.key: one.receivable_units for one in owed}
    assert rebuilt.failed == {one.key for one in owed if one.has_failed}
    assert schedules(rebuilt) == schedules_of(naive)


def schedules(rebuilt):
    """The slices of each rebuilt scheduled order as an image has them, and whether it is suspended."""
    return {number: (pack(document), number in rebuilt.suspended) for number, document in rebuilt.algos.items()}


SAME_FIELDS = (
    "account_id", "instrument_id", "side", "order_type", "time_in_force", "price_ticks", "qty_lots", "leaves_lots",
    "hold_units", "notional_units", "client_id", "display_qty_lots", "parent_order_id", "expire_time_ns",
)  # fmt: skip


def assert_same_order(ours, theirs):
    """What the events told of an order is what the model knows of it."""
    for name in SAME_FIELDS:
        assert getattr(ours, name) == getattr(theirs, name), (name, ours)
    assert (ours.place == Place.BOOK) == (theirs.place.name == "BOOK"), ours
    assert ours.linked_order_id == (theirs.linked.order_id if theirs.linked else 0), ours
    if ours.place == Place.BOOK and ours.display_qty_lots:
        assert ours.shown_lots == theirs.shown_lots, ours
    if theirs.is_dormant:
        assert ours.trigger == theirs.trigger, ours
    if theirs.is_dormant and not theirs.is_trailing:
        assert ours.trigger_price_ticks == theirs.trigger_price_ticks, ours


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


@pytest.mark.parametrize("mix", [mixes, scheduled_mixes, settlement_mixes])
@pytest.mark.parametrize("seed", range(4))
def test_model_of_a_mix_is_rebuilt_from_its_events(mix, seed):
    """Likewise with orders of every type, auctions and timers, scheduled ones, and trades that settle later."""
    naive, rebuilt = Naive(), Rebuilt()
    for _, commands in mix.run(naive, seed, 400):
        rebuilt.apply_rows(*to_rows(apply_to_naive(naive, commands)))
        assert_rebuilt(rebuilt, naive)


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
        assert_imaged(rebuilt, machine.image())


@pytest.mark.parametrize("mix", [mixes, scheduled_mixes, settlement_mixes])
@pytest.mark.parametrize("seed", range(4))
def test_core_of_a_mix_is_rebuilt_from_its_events(mix, seed):
    """Likewise with orders of every type, auctions and timers, scheduled ones, and trades that settle later."""
    machine, naive, rebuilt = empty_machine(), Naive(), Rebuilt()
    for _, commands in mix.run(naive, seed, 400):
        apply_to_naive(naive, commands)
        rebuilt.apply(machine.apply_all(commands))
        assert_imaged(rebuilt, machine.image())


def assert_imaged(rebuilt, events):
    """What the events told is what an image says."""
    image = Image(events)
    assert rebuilt.balances() == image.balances
    assert orders_as_in_an_image(rebuilt) == {
        key: [tuple(order[name] for name in (*IMAGE_FIELDS, "client_id_lo", "client_id_hi")) for order in orders]
        for key, orders in image.orders.items()
    }
    owed = {tuple(one[:3]): (one[3], bool(one[4])) for one in image.obligations}
    assert {key: (amount, key in rebuilt.failed) for key, amount in rebuilt.owed.items()} == owed
    for number, pair in image.totals.items():
        assert (rebuilt.deposited[number], rebuilt.withdrawn[number]) == pair
    assert markets_in(events.rows) == {
        number: (one.state, one.call_purpose, one.last_price_ticks, one.index_price_ticks)
        for number, one in rebuilt.instruments.items()
    }
    assert schedules(rebuilt) == image.schedules
    assert standing_in(events.rows) == {number: standing(order) for number, order in rebuilt.orders.items()}


def markets_in(rows):
    """(state, call purpose, last price, index price) of each instrument in an image."""
    indexes = rows[rows["kind"] == EventKind.INDEX_PRICE_CHANGED]
    index_of = dict(zip(indexes["instrument_id"].tolist(), indexes["price_ticks"].tolist(), strict=True))
    markets = rows[rows["kind"] == EventKind.INSTRUMENT_STATE_CHANGED]
    return {
        int(row["instrument_id"]): (*map(int, row[["state", "call_purpose", "price_ticks"]]), index)
        for row, index in zip(markets, [index_of.get(int(one), 0) for one in markets["instrument_id"]], strict=True)
    }


def standing_in(rows):
    """What an image says of each live order beside the books: its terms, where it is, its details, what it shows."""
    orders = {}
    for row in rows[np.isin(rows["kind"], ABOUT_ORDERS)]:
        mine = orders.setdefault(int(row["order_id"]), dict.fromkeys(DETAILS, 0) | {"shown_lots": 0})
        if row["kind"] == EventKind.ORDER_IMAGE:
            mine |= {name: int(row[name]) for name in TERMS} | {"waits": bool(row["state"])}
        elif row["kind"] == EventKind.ORDER_REFRESHED:
            mine["shown_lots"] = 0 if mine["waits"] else int(row["display_qty_lots"])
        else:
            mine |= {name: int(row[name]) for name in DETAILS if kinds.present(row.reshape(1), name)[0]}
            if row["order_type"] in TRAILING:
                mine["trigger_price_ticks"] = 0  # where it now is, no event tells
    return orders


ABOUT_ORDERS = (EventKind.ORDER_IMAGE, EventKind.ORDER_DETAILS, EventKind.ORDER_REFRESHED)
TRAILING = (OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT)
TERMS = ("account_id", "instrument_id", "side", "order_type", "time_in_force", "price_ticks", "qty_lots", "leaves_lots")
DETAILS = ("trigger", "trigger_price_ticks", "linked_order_id", "parent_order_id", "expire_time_ns", "display_qty_lots")


def standing(order):
    """The same of a rebuilt order."""
    mine = {name: getattr(order, name) for name in (*TERMS, *DETAILS)}
    if order.order_type in TRAILING:
        mine["trigger_price_ticks"] = 0
    is_shown = order.place == Place.BOOK and order.display_qty_lots
    return mine | {"waits": order.place == Place.APART, "shown_lots": order.shown_lots if is_shown else 0}
