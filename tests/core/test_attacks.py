"""What an attacker or a hurried operator might do between an order's entry and its end.

After every command the core and the model agree; the model's check says that money is conserved, that no balance is
below zero and that what is held is what live orders hold.
"""

import pytest

from kk99 import schema
from kk99.schema import (
    PPM,
    AccountState,
    CommandKind,
    EventKind,
    Flag,
    MarketState,
    OrderType,
    RejectCode,
    SelfTrade,
    Side,
    TimeInForce,
)
from tests.naive import commands as make
from tests.naive.compare import Image, assert_same, empty_machine
from tests.naive.model import Naive

A, B, C, D = range(schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 4)
USD, BTC = 1, 2
BUY, SELL = Side.BUY, Side.SELL
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
MARKET = {"order_type": OrderType.MARKET, "time_in_force": IOC}
MONEY = 1_000_000
ID = 1 << schema.ORDER_SLOT_BITS


class Both:
    """The core and the model, driven together one command at a time; C and D are of one group."""

    def __init__(self, **instrument):
        self.machine, self.naive = empty_machine(), Naive()
        self.run(
            make.schedule("fees", {"maker_ppm": -400_000, "taker_ppm": 300_000}, burn_ppm=333_333),
            make.asset("USD"),
            make.asset("BTC"),
            make.instrument("BTC/USD", "BTC", "USD", **{"fee_schedule": "fees"} | instrument),
            make.instrument_state(1, MarketState.OPEN),
            make.account("A"),
            make.account("B"),
            make.account("C", group="desk"),
            make.account("D", group="desk"),
            make.session("one"),
            make.session_open(1, 1),
            *[make.deposit(account, asset, MONEY) for account in (A, B, C, D) for asset in (USD, BTC)],
        )

    def run(self, *items):
        """Apply commands to both; return (kind, reason) of each event."""
        rows = [row for events in assert_same(self.machine, self.naive, items) for row in events.rows]
        self.machine.check_all()
        return [(EventKind(row["kind"]), int(row["reason"])) for row in rows]

    def oldest(self, account):
        """The id of an account's order that has been live for longest."""
        orders = [order for order in self.naive.live.values() if order.account_id == account]
        return min(orders, key=lambda order: order.entry_seq).order_id


def rejected(code):
    """The only event of a command that is refused."""
    return [(EventKind.REJECTED, int(code))]


@pytest.fixture
def both():
    """A venue with a rebate above the taker's fee and a share burned."""
    return Both()


def test_limits_that_change_under_resting_orders(both):
    """Orders above a maximum lowered later are filled, reduced and canceled as they stand, and move only within it."""
    both.run(
        make.order_new(A, 1, BUY, 90, 5_000),
        make.order_new(A, 1, SELL, 900, 9_000),
        make.reference_price(1, 9_000),
        make.instrument_change("BTC/USD", max_price_ticks=10, max_qty_lots=10, collar_ppm=100_000, lot_step=3),
        make.order_replace(A, ID | 2, 500, 9_000),
        make.order_replace(A, ID | 2, 9, 10),
        make.order_replace(A, ID | 2, 9, 9),
        make.order_new(B, 1, SELL, 9, 10),
        make.order_new(B, 1, SELL, 9, 0, **MARKET),
        make.order_new(B, 1, BUY, 9, 0, **MARKET),
        make.order_new(B, 1, BUY, 0, 0, amount_units=9_000, **MARKET),
        make.instrument_change("BTC/USD", collar_ppm=0),
        make.order_new(B, 1, SELL, 9, 10),
        make.order_new(B, 1, SELL, 9, 10, time_in_force=FOK),
        make.order_new(B, 1, BUY, 0, 0, amount_units=9_000, **MARKET),
        make.order_replace(A, ID | 1, 6, 10, flags=Flag.QTY_IS_LEAVES),
        make.order_replace(A, ID | 1, 9, 10),
        make.order_cancel(A, ID | 2),
        make.mass_cancel(A),
    )


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("rates", [(0, 0), (PPM, PPM), (-PPM, PPM), (PPM, 0), (-PPM, 0), (7, 13)])
def test_rates_that_change_between_entry_and_fill(both, side, rates):
    """An order pays the rates of its entry or its last move; its hold covers them to the last unit."""
    maker, taker = rates
    funds = make.withdraw(A, USD, 700_000)
    both.run(
        funds,
        make.order_new(A, 1, side, 7, 1_003),
        make.schedule("fees", {"maker_ppm": maker, "taker_ppm": taker}, burn_ppm=PPM),
        make.order_new(B, 1, 3 - side, 1, 1_003),
        make.order_replace(A, ID | 1, 6, 1_003),
        make.order_replace(A, ID | 1, 6, 1_004),
        make.order_new(B, 1, 3 - side, 2, 1_000 if side == BUY else 1_010),
        make.account_change("A", tier=3),
        make.instrument_change("BTC/USD", fee_schedule=""),
        make.order_replace(A, ID | 1, 1, 1_004, flags=Flag.QTY_IS_LEAVES),
        make.order_new(B, 1, 3 - side, 9, 1_000 if side == BUY else 1_010),
        make.trade_bust(1),
        make.trade_correct(2, 999, 1),
        make.trade_bust(3),
        make.trade_bust(2),
        make.mass_cancel(B),
    )


@pytest.mark.parametrize("taker", [A, B])
def test_busts_and_corrections_of_live_ended_and_forgotten_orders(both, taker):
    """A trade can be corrected and busted while its orders live, when they ended, when their slots are others'."""
    both.run(
        make.order_new(A, 1, SELL, 20, 100),
        make.order_new(taker, 1, BUY, 5, 100),
        make.order_new(taker, 1, BUY, 5, 100),
        make.order_new(taker, 1, BUY, 10, 101),
        make.order_new(B, 1, SELL, 4, 101),
        make.order_new(taker, 1, BUY, 8, 101),
        make.trade_correct(4, 103, 3),
        make.trade_correct(4, 101, 4),
        make.trade_correct(4, 1, 3),
        make.order_replace(taker, 2 * ID | 2, 9, 101),
        make.trade_bust(4),
        make.order_replace(taker, 2 * ID | 2, 9, 101),
        make.order_new(C, 1, SELL, 2, 300),
        make.trade_bust(1),
        make.trade_bust(2),
        make.trade_correct(2, 100, 1),
        make.trade_correct(3, 100, 0),
        make.trade_correct(3, 100, 11),
        make.trade_correct(3, 99, 10),
        make.order_new(B, 1, BUY, 2, 300),
        make.trade_bust(5),
        make.mass_cancel(taker),
    )


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_bust_that_a_trader_cannot_pay_changes_nothing(both, side):
    """What was received and is spent, withdrawn or held again is not there to be given back, of neither trader."""
    asset = BTC if side == BUY else USD
    both.run(make.order_new(A, 1, SELL, 50, 10_000), make.order_new(B, 1, BUY, 50, 10_000))
    account = B if side == BUY else A
    available = both.naive.available[account, asset]
    both.run(make.withdraw(account, asset, available - 10))
    assert both.run(make.trade_bust(1)) == rejected(RejectCode.FUNDS_INSUFFICIENT)
    assert both.run(make.trade_correct(1, 1, 1)) == rejected(RejectCode.FUNDS_INSUFFICIENT)
    assert both.run(make.trade_correct(1, 10_000, 45)) == [(EventKind.TRADE_CORRECTED, 0)] or side == SELL
    both.run(make.deposit(account, asset, available))
    if side == BUY:
        both.run(make.order_new(B, 1, SELL, available, 10_000))
    else:
        both.run(make.order_new(A, 1, BUY, 90, 1))
    both.run(make.trade_bust(1), make.mass_cancel(account), make.trade_bust(1))


def test_a_trade_with_oneself_is_undone_to_the_unit(both):
    """Bust and correction of a trade between two orders of one account move its fees only."""
    both.run(
        make.order_new(A, 1, SELL, 9, 77),
        make.order_new(A, 1, BUY, 12, 77),
        make.trade_correct(1, 10_000, 9),
        make.trade_correct(1, 3, 7),
        make.order_replace(A, ID | 2, 12, 77),
        make.trade_bust(1),
        make.trade_bust(1),
        make.withdraw(A, BTC, MONEY),
        make.mass_cancel(A),
        make.withdraw(A, USD, MONEY),
    )
    assert (A, USD) not in Image(both.machine.image()).balances


def test_kills_and_mass_cancels_and_lost_sessions_upon_one_another(both):
    """The same orders asked to be canceled by several items are canceled once; what comes later stays."""
    more = {"session_id": 1, "session_epoch": 1, "flags": Flag.CANCEL_ON_LOST}
    items = [make.order_new(A, 1, BUY, 1, 1 + n % 9, client_seq=n + 1, **more) for n in range(200)]
    lost = make.command(CommandKind.SESSION_LOST, target_lo=1)
    both.run(*items)
    both.run(
        make.mass_cancel(A, 1, BUY),
        make.account_state(A, AccountState.KILLED),
        make.account_state(A, AccountState.ACTIVE),
        lost,
        lost,
        make.order_new(A, 1, BUY, 1, 5, client_seq=201, **more),
        make.mass_cancel(A, 0, SELL),
        make.order_new(A, 1, BUY, 1, 5, client_seq=202, **more),
        make.account_state(A, AccountState.SUSPENDED),
        make.account_state(A, AccountState.KILLED),
        make.account_state(A, AccountState.KILLED),
        *[make.command(CommandKind.CONTINUE) for _ in range(4)],
    )
    assert not both.machine.pending_work()


def test_pending_work_whose_next_order_goes_is_not_lost(both):
    """The order that is to be visited next is filled, canceled or moved; all the others are visited."""
    visits = schema.WORK_UNITS_PER_COMMAND // schema.WORK_UNITS_PER_ORDER
    for change in (
        lambda next_id: make.order_cancel(A, next_id),
        lambda next_id: make.order_replace(A, next_id, 5, 9),
        lambda _: make.order_new(B, 1, SELL, 1, 1, time_in_force=IOC),
        lambda _: make.order_new(A, 1, SELL, 1, 1, self_trade=SelfTrade.CANCEL_BOTH),
    ):
        both.run(*[make.order_new(A, 1, BUY, 1, 1) for _ in range(2 * visits)])
        both.run(make.order_new(A, 1, BUY, 1, 1), make.mass_cancel(A))
        both.run(change(both.oldest(A)), make.command(CommandKind.CONTINUE), make.command(CommandKind.CONTINUE))
        assert not both.machine.pending_work()
        both.run(make.mass_cancel(A), *[make.command(CommandKind.CONTINUE)] * 2)


def test_replaces_that_change_nothing_or_all(both):
    """A replace to what is there keeps the place; a post-only order may move but not cross; a full fill ends it."""
    both.run(
        make.order_new(A, 1, BUY, 10, 100, flags=Flag.POST_ONLY, client_id_lo=1),
        make.order_new(C, 1, BUY, 10, 100),
        make.order_new(B, 1, SELL, 10, 102),
        make.order_replace(A, ID | 1, 10, 100),
        make.order_replace(A, ID | 1, 10, 100, client_id_lo=1),
        make.order_replace(A, ID | 1, 10, 100, client_id_lo=2),
        make.order_replace(A, ID | 1, 10, 102),
        make.order_replace(A, ID | 1, 10, 101),
        make.order_new(A, 1, BUY, 1, 1, client_id_lo=1),
        make.order_new(B, 1, SELL, 4, 101),
        make.order_replace(A, ID | 1, 4, 101),
        make.order_replace(A, ID | 1, 5, 101),
        make.order_replace(A, ID | 1, 5, 101, flags=Flag.QTY_IS_LEAVES),
        make.order_replace(C, ID | 2, 30, 102),
        make.order_replace(B, ID | 3, 30, 90),
        make.order_replace(D, ID | 3, 30, 90),
    )


@pytest.mark.parametrize("guard", SelfTrade)
@pytest.mark.parametrize("force", [TimeInForce.GTC, IOC, FOK])
@pytest.mark.parametrize("side", [BUY, SELL])
def test_self_trade_upon_entry_and_replace(both, guard, force, side):
    """With own and others' orders in turn at two prices, what is met and what is left are as the instruction says."""
    step = 1 if side == BUY else -1
    for price in (100, 100 + step):
        for account in (C, A, D, A):
            both.run(make.order_new(account, 1, 3 - side, 4, price))
    both.run(make.order_new(D, 1, side, 13, 100 + step, self_trade=guard, time_in_force=force))
    both.run(make.order_new(D, 1, side, 3, 50 if side == BUY else 150, self_trade=guard))
    mine = [order.order_id for order in both.naive.live.values() if order.account_id == D and order.side == side]
    both.run(make.order_replace(D, max(mine), 9, 100 + 2 * step))
    both.run(*[make.mass_cancel(account) for account in (A, C, D)])


@pytest.mark.parametrize("amount", [1, 2, 3, 12, 13, 14, 129, 130, 131, 260, 1000, 3_999])
@pytest.mark.parametrize("lot_step", [1, 3])
def test_tiny_budgets(amount, lot_step):
    """A budget buys whole steps of lots with the fee, to the last unit, and what is left goes back."""
    both = Both(lot_step=lot_step)
    makers = [make.order_new(C, 1, SELL, 6, price) for price in (10, 100, 1_000)]
    both.run(*makers, make.order_new(A, 1, BUY, 0, 0, amount_units=amount, **MARKET))
    both.run(make.order_new(D, 1, BUY, 0, 0, amount_units=amount, self_trade=SelfTrade.DECREMENT, **MARKET))
    both.run(make.order_new(D, 1, BUY, 0, 0, amount_units=amount, self_trade=SelfTrade.CANCEL_OLDEST, **MARKET))
    both.run(make.mass_cancel(C))


def test_groups_that_change_while_orders_rest(both):
    """Self-trade looks at the groups of the moment, in the fill-or-kill check as in matching."""
    guard = {"self_trade": SelfTrade.CANCEL_NEWEST, "time_in_force": FOK}
    both.run(
        make.order_new(C, 1, SELL, 5, 100),
        make.order_new(D, 1, BUY, 5, 100, **guard),
        make.account_change("C", group="alone"),
        make.order_new(D, 1, BUY, 2, 100, **guard),
        make.account_change("A", group="alone"),
        make.order_new(A, 1, BUY, 2, 100, **guard),
        make.order_new(C, 1, BUY, 2, 100, self_trade=SelfTrade.DECREMENT),
    )


EXTREME = (-(1 << 31), -1, 0, 1, 15, 16, 1 << 24, (1 << 31) - 1)


@pytest.mark.parametrize("kind", CommandKind)
def test_hostile_ids(both, kind):
    """Ids at the ends of 32 bits are unknown, and nothing more."""

    def build(fields):
        return make.document(kind, {}, **fields) if kind >= schema.FIRST_DOCUMENT_KIND else make.command(kind, **fields)

    both.run(make.order_new(A, 1, SELL, 5, 100), make.order_new(B, 1, BUY, 2, 100))
    usual = {"side": BUY, "qty_lots": 1, "price_ticks": 100, "order_type": 2, "time_in_force": 1}
    for name in ("account_id", "instrument_id", "asset_id", "session_id", "session_epoch"):
        for value in EXTREME:
            both.run(build({"account_id": A, "instrument_id": 1, "target_lo": 1} | usual | {name: value}))
    for name in ("target_lo", "target_hi", "client_seq", "price_ticks", "qty_lots", "amount_units"):
        for value in (*EXTREME, -(1 << 63), (1 << 63) - 1, 1 << 62, ID - 1, ID, ID + 1):
            both.run(build({"account_id": A, "instrument_id": 1, "target_lo": 1} | usual | {name: value}))
