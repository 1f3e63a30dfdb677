"""The naive model watches itself: what must always hold is noticed when it does not."""

import pytest

from kk99 import schema
from kk99.schema import CommandKind, EventKind, MarketState, Side
from tests.naive import commands as make
from tests.naive.compare import stamped
from tests.naive.model import Naive
from tests.naive.rows import apply_to_naive, describe_event, differences, document_of, to_rows

ALICE, BOB = schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 1


@pytest.fixture
def naive():
    """A venue with one market and an order on each side."""
    model = Naive()
    items = [
        make.asset("USD"),
        make.asset("BTC"),
        make.instrument("BTC/USD", "BTC", "USD"),
        make.instrument_state(1, MarketState.OPEN),
        make.account("alice"),
        make.account("bob"),
        *[make.deposit(account, asset, 1_000) for account in (ALICE, BOB) for asset in (1, 2)],
        make.order_new(ALICE, 1, Side.BUY, 5, 99, client_id_lo=7),
        make.order_new(BOB, 1, Side.SELL, 5, 101),
    ]
    apply_to_naive(model, stamped(items, 1))
    model.check()
    return model


def lose_money(naive):
    """A unit vanishes."""
    naive.available[ALICE, 1] -= 1


def hold_too_much(naive):
    """A hold is not what its formula says."""
    naive.held[ALICE, 1] += 1
    naive.available[ALICE, 1] -= 1


def cross(naive):
    """The book crosses."""
    order = next(iter(naive.live.values()))
    book = naive.instruments[1].book
    book.remove(order)
    order.price_ticks = order.limit_ticks = order.hold_price_ticks = 102
    book.add(order)
    naive.rehold(order)


def forget(naive):
    """An order lives, but not in the book."""
    naive.instruments[1].book.remove(next(iter(naive.live.values())))


@pytest.mark.parametrize("fault", [lose_money, hold_too_much, cross, forget])
def test_check_notices_a_fault(naive, fault):
    """The model's check fails once the state is damaged."""
    fault(naive)
    with pytest.raises(AssertionError):
        naive.check()


def test_a_sequence_follows_the_last_one(naive):
    """A command that is not the next one, or goes back in time, is no command."""
    with pytest.raises(AssertionError):
        apply_to_naive(naive, stamped([make.command(CommandKind.CLOCK)], naive.seq + 2))
    early = stamped([make.command(CommandKind.CLOCK)], naive.seq + 1)
    early.rows["time_ns"] = 0
    with pytest.raises(AssertionError):
        apply_to_naive(naive, early)


def test_views_show_books_orders_and_balances(naive):
    """The views give what a test would look up."""
    assert naive.book(1) == {Side.BUY: [(99, [(1 << 24 | 1, 5)])], Side.SELL: [(101, [(1 << 24 | 2, 5)])]}
    assert [order.order_id for order in naive.orders()] == [1 << 24 | 1, 1 << 24 | 2]
    assert naive.balances()[ALICE, 1] == (505, 495)


def test_events_become_rows_with_their_documents(naive):
    """Rows hold the fields by name, documents one after another in the tail; a difference is told by its field."""
    items = [make.asset("A"), make.command(CommandKind.CLOCK), make.asset("B")]
    rows, tail = to_rows(apply_to_naive(naive, stamped(items, naive.seq + 1)))
    assert rows["kind"].tolist() == [EventKind.ASSET_DEFINED, EventKind.CLOCK_TICKED, EventKind.ASSET_DEFINED]
    assert [b"\xa4name\xa1" in document_of(row, tail) for row in rows] == [True, False, True]
    assert differences(rows[0], rows[0]) == []
    assert any(
        line.startswith(f"kind: naive {EventKind.ASSET_DEFINED}, core {EventKind.CLOCK_TICKED}")
        for line in differences(rows[0], rows[1])
    )


def test_an_event_reads_as_a_line(naive):
    """An event's line has its kind and what is not zero."""
    (event,) = apply_to_naive(naive, stamped([make.order_cancel(BOB, 9)], naive.seq + 1))
    assert describe_event(event) == f"REJECTED account_id={BOB} order_id=9 reason=ORDER_UNKNOWN"
