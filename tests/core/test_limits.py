"""Every bound of the core at its edge, in the core and in the naive model alike."""

import pytest

from kk99 import schema
from kk99.schema import (
    CancelReason,
    CommandKind,
    EventKind,
    Flag,
    MarketState,
    OrderType,
    RejectCode,
    Side,
    TimeInForce,
)
from tests.naive import commands as make
from tests.naive.compare import assert_same, empty_machine
from tests.naive.model import Naive

A, B, C = range(schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 3)
USD, BTC = 1, 2
RICH = 1 << 50
BULK = schema.BATCH_ROWS_MAX


class Both:
    """The core and the model, driven together."""

    def __init__(self, **instrument):
        self.machine, self.naive = empty_machine(), Naive()
        self.run(
            make.asset("USD"),
            make.asset("BTC"),
            make.schedule("high", {"maker_ppm": schema.PPM, "taker_ppm": schema.PPM}),
            make.instrument("BTC/USD", "BTC", "USD", **instrument),
            make.instrument_state(1, MarketState.OPEN),
            *[make.account(name) for name in "ABC"],
            make.session("one"),
            make.session_open(1, 1),
        )

    def run(self, *items):
        """Apply commands to both in large batches and return the events' rows."""
        outputs = assert_same(self.machine, self.naive, items, size=BULK)
        return [row for output in outputs for row in output.rows]

    def fund(self, amount=RICH):
        """Give all accounts much of both assets."""
        self.run(*[make.deposit(account, asset, amount) for account in (A, B, C) for asset in (USD, BTC)])


@pytest.fixture
def both():
    """A plain venue with rich accounts."""
    pair = Both()
    pair.fund()
    return pair


def count(rows, kind, reason=None):
    """How many events are of a kind (and reason)."""
    return sum(row["kind"] == kind and (reason is None or row["reason"] == reason) for row in rows)


@pytest.mark.parametrize("extra", [0, 1])
def test_an_aggressor_meets_so_many_orders_and_no_more(both, extra):
    """FILLS_PER_COMMAND_MAX resting orders are met; what is left of an aggressor that would meet more is canceled."""
    makers = schema.FILLS_PER_COMMAND_MAX + extra
    both.run(*[make.order_new(A, 1, Side.SELL, 1, 100) for _ in range(makers)])
    rows = both.run(make.order_new(B, 1, Side.BUY, makers, 100, time_in_force=TimeInForce.FOK))
    assert count(rows, EventKind.TRADE) == (0 if extra else makers)
    both.run(*[make.order_new(A, 1, Side.SELL, 1, 100) for _ in range(makers)])
    rows = both.run(make.order_new(B, 1, Side.BUY, makers, 100))
    assert count(rows, EventKind.TRADE) == schema.FILLS_PER_COMMAND_MAX
    assert count(rows, EventKind.ORDER_CANCELED, CancelReason.FILL_LIMIT) == extra


def test_canceled_own_orders_count_as_met(both):
    """Self-trade steps count towards FILLS_PER_COMMAND_MAX, in the fill-or-kill check too."""
    own = [make.order_new(A, 1, Side.SELL, 1, 100) for _ in range(schema.FILLS_PER_COMMAND_MAX)]
    both.run(*own, make.order_new(B, 1, Side.SELL, 5, 100))
    more = {"self_trade": schema.SelfTrade.CANCEL_OLDEST}
    rows = both.run(make.order_new(A, 1, Side.BUY, 5, 100, time_in_force=TimeInForce.FOK, **more))
    assert count(rows, EventKind.ORDER_CANCELED, CancelReason.FOK) == 1
    rows = both.run(make.order_new(A, 1, Side.BUY, 5, 100, **more))
    assert count(rows, EventKind.ORDER_CANCELED, CancelReason.SELF_TRADE) == schema.FILLS_PER_COMMAND_MAX
    assert count(rows, EventKind.ORDER_CANCELED, CancelReason.FILL_LIMIT) == 1


def test_a_resent_number_is_placed_as_far_back_as_the_window(both):
    """The last SESSION_WINDOW numbers are answered with their sequence, older ones with none."""
    numbers = range(1, schema.SESSION_WINDOW + 2)
    first = both.naive.seq + 1
    sent = {number: make.command(0, session_id=1, session_epoch=1, client_seq=number) for number in numbers}
    both.run(*sent.values())
    (oldest,), (older,) = both.run(sent[2]), both.run(sent[1])
    assert (oldest["kind"], oldest["origin_seq"]) == (EventKind.DUPLICATE, first + 1)
    assert (older["kind"], older["origin_seq"]) == (EventKind.DUPLICATE, 0)


def test_client_ids_and_trades_leave_their_windows_one_by_one(both):
    """The oldest of CLIENT_ID_WINDOW ended ids is refused until one more ends; of TRADE_WINDOW trades likewise."""
    assert schema.CLIENT_ID_WINDOW == schema.TRADE_WINDOW == 1 << 16
    window = schema.TRADE_WINDOW
    for _ in range(16):
        first = both.naive.last_trade_id + 1
        ids = range(first, first + window // 16)
        both.run(*[make.order_new(A, 1, Side.SELL, 1, 100, client_id_lo=number) for number in ids])
        both.run(make.order_new(B, 1, Side.BUY, len(ids), 100))
    again = make.order_new(A, 1, Side.SELL, 1, 100, client_id_lo=1)
    (row,) = both.run(again)
    assert row["reason"] == RejectCode.CLIENT_ID_DUPLICATE
    (row,) = both.run(make.trade_correct(1, 99, 1))
    assert row["kind"] == EventKind.TRADE_CORRECTED
    both.run(make.order_new(C, 1, Side.SELL, 1, 100, client_id_lo=1), make.order_new(B, 1, Side.BUY, 1, 100))
    (row,) = both.run(make.trade_bust(1))
    assert row["reason"] == RejectCode.TRADE_UNKNOWN
    (row,) = both.run(make.trade_bust(2))
    assert row["kind"] == EventKind.TRADE_BUSTED
    (row,) = both.run(again)
    assert row["kind"] == EventKind.ORDER_ACCEPTED


def test_pending_work_is_bounded_and_goes_on_with_every_command(both):
    """A command cancels as many orders as its units pay for; the next ones go on, until the item is done."""
    visits = schema.WORK_UNITS_PER_COMMAND // schema.WORK_UNITS_PER_ORDER
    both.run(*[make.order_new(A, 1, Side.BUY, 1, 1 + number % 9) for number in range(2 * visits + 1)])
    rows = both.run(make.mass_cancel(A))
    assert count(rows, EventKind.ORDER_CANCELED) == visits
    rows = both.run(make.order_new(A, 1, Side.BUY, 1, 5), make.order_cancel(A, 1 << 24 | visits + 70))
    assert count(rows, EventKind.ORDER_CANCELED, CancelReason.MASS_CANCEL) == visits + 1
    assert count(rows, EventKind.MASS_CANCEL_DONE) == 1
    assert not both.machine.pending_work()


@pytest.mark.parametrize("spare", [0, 1])
def test_an_item_with_nothing_left_is_done_without_units(both, spare):
    """An item whose last order takes the last unit is done at once, and so is an empty one behind it."""
    visits = schema.WORK_UNITS_PER_COMMAND // schema.WORK_UNITS_PER_ORDER
    both.run(*[make.order_new(A, 1, Side.BUY, 1, 1) for _ in range(3 * visits + spare)])
    both.run(make.mass_cancel(A), make.mass_cancel(B))
    assert both.machine.pending_work() == bool(spare)
    both.run(make.command(CommandKind.CONTINUE), make.command(CommandKind.CLOCK))
    assert not both.machine.pending_work()


def test_the_queue_of_pending_work_is_bounded(both):
    """Beyond WORK_QUEUE_MAX items a mass cancel, a kill and a lost session are refused, and work off afterwards."""
    both.run(*[make.order_new(A, 1, Side.BUY, 1, 1 + number % 50) for number in range(2_000)])
    items = [make.mass_cancel(A, 1, Side.SELL) for _ in range(schema.WORK_QUEUE_MAX + 200)]
    rows = both.run(*items)
    assert count(rows, EventKind.REJECTED, RejectCode.WORK_QUEUE_FULL) > 0
    lost = make.command(CommandKind.SESSION_LOST, target_lo=1)
    rows = both.run(make.account_state(A, schema.AccountState.KILLED), lost, make.mass_cancel(B))
    assert len(both.naive.work) >= schema.WORK_QUEUE_MAX - 1
    assert count(rows, EventKind.REJECTED, RejectCode.WORK_QUEUE_FULL) >= 2


def test_a_lost_session_is_worked_off_slot_by_slot(both):
    """Slots cost one unit, cancels the rest of an order's; what the session enters later stays."""
    more = {"session_id": 1, "session_epoch": 1, "flags": Flag.CANCEL_ON_LOST}
    items = [make.order_new(A, 1, Side.BUY, 1, 1 + number % 50) for number in range(5_000)]
    for number, slot in enumerate((10, 11, 4_000, 4_999), 1):
        items[slot] = make.order_new(B, 1, Side.BUY, 1, 7, client_seq=number, **more)
    both.run(*items)
    rows = both.run(make.command(CommandKind.SESSION_LOST, target_lo=1))
    assert count(rows, EventKind.ORDER_CANCELED, CancelReason.SESSION_LOST) == 2
    rows = both.run(make.order_new(B, 1, Side.BUY, 1, 7, client_seq=5, **more), make.command(CommandKind.CONTINUE))
    assert count(rows, EventKind.ORDER_CANCELED, CancelReason.SESSION_LOST) == 2
    assert count(rows, EventKind.MASS_CANCEL_DONE) == 1


EXTREMES = {
    "price": {"max_price_ticks": schema.PRICE_TICKS_MAX, "max_qty_lots": 1 << 25},
    "quantity": {"max_price_ticks": 1 << 13, "max_qty_lots": schema.QTY_LOTS_MAX},
    "tick": {"max_price_ticks": 2, "max_qty_lots": 1, "tick_units": 1 << 60},
    "lot": {"max_price_ticks": 1, "max_qty_lots": 2, "lot_units": 1 << 60, "tick_units": 1},
}


@pytest.mark.parametrize("fee_schedule", ["", "high"])
@pytest.mark.parametrize("name", EXTREMES)
def test_no_order_at_the_limits_overflows(name, fee_schedule):
    """With price times quantity near AMOUNT_MAX / 2 and fees of all of it, holds and fills stay exact."""
    limits = EXTREMES[name]
    both = Both(collar_ppm=schema.PPM, fee_schedule=fee_schedule, **limits)
    most = schema.AMOUNT_MAX // 2
    both.run(*[make.deposit(account, asset, most) for account in (A, B) for asset in (USD, BTC)])
    price, qty = limits["max_price_ticks"], limits["max_qty_lots"]
    both.run(make.reference_price(1, price))
    market = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC}
    both.run(
        make.order_new(A, 1, Side.BUY, qty, price),
        make.order_new(A, 1, Side.SELL, qty, price),
        make.order_new(B, 1, Side.BUY, qty, price),
        make.order_new(B, 1, Side.SELL, 1, price),
        make.order_new(A, 1, Side.BUY, qty, 0, **market),
        make.order_new(A, 1, Side.BUY, 0, 0, amount_units=most, **market),
        make.order_new(A, 1, Side.BUY, 0, 0, amount_units=schema.AMOUNT_MAX, **market),
        make.order_new(A, 1, Side.BUY, 0, 0, amount_units=schema.AMOUNT_MAX + 1, **market),
        make.order_replace(B, 1 << 24 | 1, (1 << 63) - 1, price, flags=Flag.QTY_IS_LEAVES),
        make.order_replace(A, 1 << 24 | 1, qty, (1 << 63) - 1),
        *[make.trade_correct(trade_id, price, qty) for trade_id in (1, 2, 3)],
        *[make.trade_bust(trade_id) for trade_id in (3, 2, 1)],
        make.mass_cancel(A),
        make.mass_cancel(B),
    )
    both.machine.check_all()


def test_numbers_of_schedules_and_assets_stay_below_their_bounds(both):
    """The last number is one below the bound; what comes after it is refused, a known schedule is not."""
    rate = {"maker_ppm": 0, "taker_ppm": 0}
    rows = both.run(*[make.schedule(f"s{number}", rate) for number in range(schema.SCHEDULES_MAX)])
    assert count(rows, EventKind.FEE_SCHEDULE_DEFINED) == schema.SCHEDULES_MAX - 2
    rows = both.run(make.schedule("s1", rate), make.schedule("new", rate))
    assert [row["kind"] for row in rows] == [EventKind.FEE_SCHEDULE_DEFINED, EventKind.REJECTED]
    rows = both.run(*[make.asset(f"a{number}") for number in range(schema.ASSETS_MAX)])
    assert count(rows, EventKind.REJECTED, RejectCode.CAPACITY_REACHED) == 3


def test_a_withdrawal_whose_fee_doubles_it_does_not_overflow():
    """The greatest amount with a fee of all of it is more than any balance."""
    both = Both()
    free = {"maker_ppm": 0, "taker_ppm": 0}
    both.run(
        make.schedule("double", {**free, "withdrawal_ppm": schema.PPM}),
        make.asset("DEAR", 18, "double"),
        make.deposit(A, 3, schema.AMOUNT_MAX),
    )
    (row,) = both.run(make.withdraw(A, 3, schema.AMOUNT_MAX))
    assert row["reason"] == RejectCode.FUNDS_INSUFFICIENT
    (row,) = both.run(make.withdraw(A, 3, schema.AMOUNT_MAX // 2))
    assert row["kind"] == EventKind.WITHDRAWN


@pytest.mark.parametrize("fee_schedule", ["", "high"])
@pytest.mark.parametrize("seller", [A, B])
def test_a_correction_under_later_limits_does_not_overflow(seller, fee_schedule):
    """A large trade given a price that only later limits allow is refused if its notional passes AMOUNT_MAX / 2."""
    qty = RICH // 16
    both = Both(max_price_ticks=1, max_qty_lots=schema.QTY_LOTS_MAX, fee_schedule=fee_schedule)
    both.fund()
    both.run(make.order_new(seller, 1, Side.SELL, 2 * qty, 1), make.order_new(A, 1, Side.BUY, qty, 1))
    both.run(make.instrument_change("BTC/USD", max_price_ticks=schema.PRICE_TICKS_MAX, max_qty_lots=1))
    edge = schema.AMOUNT_MAX // 2 // qty
    for price in (2, 8, edge, edge + 1, 2 * edge, 4 * edge, 8 * edge, 16 * edge, schema.PRICE_TICKS_MAX):
        (row,) = both.run(make.trade_correct(1, price, qty))
        assert (row["reason"] == RejectCode.NOTIONAL_ABOVE_MAX) == (price > edge)
    both.run(make.trade_correct(1, edge, 1), make.trade_bust(1))
    both.machine.check_all()
