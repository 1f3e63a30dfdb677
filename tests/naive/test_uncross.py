"""Auctions in a market, through the naive model: who trades with whom, at which fees, and what follows from it."""

import pytest

from kk99 import schema
from kk99.schema import (
    CallPurpose,
    CancelReason,
    EventKind,
    MarketState,
    OrderType,
    SelfTrade,
    TimeInForce,
    TriggerSource,
)
from tests.naive import commands as make
from tests.naive import states
from tests.naive.floor import (
    AFTER_UNCROSS,
    ALICE,
    BOB,
    BUY,
    CANCELED,
    CAROL,
    INDICATIVE,
    JOINED,
    LINKED,
    MARKET,
    ORDERED,
    SELL,
    STATE,
    TRADE,
    UNCROSSED,
    Floor,
    brief,
)

STOP = {"trigger": TriggerSource.LAST, "trigger_price_ticks": 95, "stop_limit_price_ticks": 94}
OPENING = [
    (ORDERED, MarketState.UNCROSSING, 0),
    (UNCROSSED, 100, 5, 0),
]
OPENED = (STATE, MarketState.OPEN, 0, AFTER_UNCROSS, 0)


@pytest.fixture
def floor():
    """A market in a recovery call, without a schedule."""
    return in_call(Floor(schedule=""))


def in_call(floor):
    """Open the market and call an auction."""
    floor.put(MarketState.OPEN)
    assert floor.put(MarketState.CALL) == [(ORDERED, MarketState.CALL, CallPurpose.RECOVERY)]
    return floor


def test_pairs_trade_in_price_time_order(floor):
    """The best bid meets the best ask, first come first, all at one price; the later of the two is the taker."""
    second = floor.order(ALICE, BUY, 3, 101)
    first = floor.order(BOB, BUY, 2, 102)
    cheap = floor.order(CAROL, SELL, 4, 98)
    dear = floor.order(CAROL, SELL, 4, 100)
    third = floor.order(ALICE, BUY, 3, 101)
    assert floor.put(MarketState.OPEN) == [
        (ORDERED, MarketState.UNCROSSING, 0),
        (UNCROSSED, 100, 8, 0),
        (TRADE, cheap, first, 100, 2),
        (TRADE, cheap, second, 100, 2),
        (TRADE, dear, second, 100, 1),
        (TRADE, third, dear, 100, 3),
        OPENED,
    ]
    assert floor.live() == set()
    assert floor.instrument.reference_price_ticks == floor.instrument.last_price_ticks == 100


def test_what_a_bid_held_above_the_price_comes_back(floor):
    """A buyer pays the auction's price; the rest of its hold is available again."""
    floor.order(ALICE, BUY, 5, 109)
    assert floor.naive.balances()[ALICE, 1] == (1_000_000 - 545, 545)
    floor.order(BOB, SELL, 5, 95)
    floor.put(MarketState.OPEN)
    assert floor.naive.balances()[ALICE, 1] == (1_000_000 - 5 * 95, 0)
    assert floor.naive.balances()[BOB, 1] == (1_000_000 + 5 * 95, 0)


def test_the_later_order_pays_as_taker():
    """The one entered later pays its taker rate, the other its maker rate, whichever side they are on."""
    floor = Floor(schedule="")
    floor.do(make.schedule("fees", {"maker_ppm": 10_000, "taker_ppm": 50_000}))
    floor.do(make.instrument_change("BTC/USD", fee_schedule="fees"))
    in_call(floor)
    ask = floor.order(BOB, SELL, 5, 100)
    bid = floor.order(ALICE, BUY, 5, 100)
    events = floor.do(make.instrument_state(1, MarketState.OPEN))
    (trade,) = [event for event in events if event["kind"] == EventKind.TRADE]
    assert (trade["order_id"], trade["contra_order_id"], trade["side"]) == (bid, ask, BUY)
    assert (trade["fee_units"], trade["contra_fee_units"]) == (25, 5)


def test_a_replaced_order_was_entered_when_it_was(floor):
    """A replace takes an order's place in the book away, not its time of entry."""
    bid, ask = floor.order(ALICE, BUY, 5, 99), floor.order(BOB, SELL, 5, 100)
    floor.do(make.order_replace(ALICE, bid, 5, 100))
    assert floor.put(MarketState.OPEN) == [*OPENING, (TRADE, ask, bid, 100, 5), OPENED]


def test_an_account_may_trade_with_itself(floor):
    """Self-trade prevention does not apply in an auction."""
    bid = floor.order(ALICE, BUY, 5, 100, self_trade=SelfTrade.CANCEL_BOTH)
    ask = floor.order(ALICE, SELL, 5, 100, self_trade=SelfTrade.CANCEL_NEWEST)
    assert floor.put(MarketState.OPEN) == [*OPENING, (TRADE, ask, bid, 100, 5), OPENED]


def test_an_iceberg_counts_in_full(floor):
    """All of an iceberg trades at once, in its place; what is left shows what it showed, at most its leaves."""
    iceberg = floor.order(ALICE, BUY, 100, 100, display_qty_lots=10)
    behind = floor.order(CAROL, BUY, 5, 100)
    big = floor.order(BOB, SELL, 80, 100)
    assert floor.put(MarketState.OPEN)[1:3] == [(UNCROSSED, 100, 80, 25), (TRADE, big, iceberg, 100, 80)]
    assert floor.naive.live[iceberg].shown_lots == 10
    assert floor.book() == [[(100, 20), (100, 5)], []]
    floor.put(MarketState.CALL)
    floor.order(BOB, SELL, 13, 100)
    floor.put(MarketState.OPEN)
    assert floor.naive.live[iceberg].shown_lots == floor.naive.live[iceberg].leaves_lots == 7
    floor.order(BOB, SELL, 8, 100)
    assert floor.live() == {behind}


def test_brackets_and_ocos_in_an_auction(floor):
    """What follows from a fill follows in an auction too: for the maker first, then for the taker."""
    bracket = {"order_type": OrderType.BRACKET, "take_profit_price_ticks": 110, **STOP}
    oco = {"order_type": OrderType.OCO, **STOP}
    entry = floor.order(ALICE, BUY, 5, 100, **bracket)
    limit = floor.order(BOB, SELL, 7, 100, **oco)
    events = floor.do(make.instrument_state(1, MarketState.OPEN))
    names = [EventKind(event["kind"]) for event in events]
    assert names == [
        EventKind.INSTRUMENT_STATE_CHANGED,
        EventKind.AUCTION_UNCROSSED,
        EventKind.TRADE,
        *[EventKind.ORDER_ACCEPTED, EventKind.ORDER_DETAILS] * 2,
        EventKind.ORDER_RESIZED,
        EventKind.MARKET_STATE_CHANGED,
    ]
    assert events[4]["parent_order_id"] == entry
    assert (events[7]["order_id"], events[7]["leaves_lots"]) == (limit + 1, 2)
    assert floor.book() == [[], [(100, 2), (110, 5)]]
    assert entry not in floor.live()


def test_an_oco_filled_in_an_auction_ends_its_stop(floor):
    """A limit leg with no leaves takes its stop leg along."""
    limit = floor.order(BOB, SELL, 5, 100, order_type=OrderType.OCO, **STOP)
    bid = floor.order(ALICE, BUY, 5, 100)
    assert floor.put(MarketState.OPEN) == [
        *OPENING,
        (TRADE, bid, limit, 100, 5),
        (CANCELED, limit + 1, LINKED, 5),
        OPENED,
    ]


def test_the_auctions_price_sets_off_stops(floor):
    """Dormant orders entered in the call look at the auction's price when the market opens."""
    stop = floor.order(ALICE, SELL, 2, 0, order_type=OrderType.STOP, trigger=TriggerSource.LAST, trigger_price_ticks=96)
    floor.order(ALICE, BUY, 5, 95)
    floor.order(BOB, SELL, 5, 95)
    events = floor.put(MarketState.OPEN)
    assert events[:2] == [(ORDERED, MarketState.UNCROSSING, 0), (UNCROSSED, 95, 5, 0)]
    assert events[3:] == [OPENED, (JOINED, stop), (CANCELED, stop, CancelReason.IOC, 2)]


def test_without_a_price_nothing_trades(floor):
    """A call whose book does not cross ends with an uncross of nothing."""
    floor.order(ALICE, BUY, 5, 99)
    floor.order(BOB, SELL, 5, 100)
    assert floor.put(MarketState.OPEN) == [(ORDERED, MarketState.UNCROSSING, 0), (UNCROSSED, 0, 0, 0), OPENED]


def test_market_orders_alone_trade_at_the_reference_price():
    """Without a limit order within the crossing the reference price counts."""
    floor = Floor(schedule="")
    bid = floor.order(ALICE, BUY, 5, 0, TimeInForce.AT_OPEN, **MARKET)
    ask = floor.order(BOB, SELL, 3, 0, TimeInForce.AT_OPEN, **MARKET)
    floor.do(make.reference_price(1, 90))
    assert floor.put(MarketState.OPEN)[1:] == [
        (UNCROSSED, 90, 3, 2),
        (TRADE, ask, bid, 90, 3),
        OPENED,
        (CANCELED, bid, CancelReason.EXPIRED, 2),
    ]


def test_market_orders_alone_trade_though_the_reference_is_far_away():
    """The price is the end of what crosses that is nearest to the reference price: the book does not open crossed."""
    floor = Floor(schedule="")
    floor.do(make.trading_schedule("close", ("07:30:00", 127, "CLOSING_CALL")))
    floor.do(make.instrument_change("BTC/USD", trading_schedule="close"))
    floor.put(MarketState.OPEN)
    bid = floor.order(ALICE, BUY, 5, 0, TimeInForce.AT_CLOSE, **MARKET)
    ask = floor.order(BOB, SELL, 3, 0, TimeInForce.AT_CLOSE, **MARKET)
    floor.clock("07:30:00")
    floor.put(MarketState.HALTED)
    floor.do(make.reference_price(1, 200))
    assert floor.put(MarketState.OPEN)[1:3] == [(UNCROSSED, 110, 3, 2), (TRADE, ask, bid, 110, 3)]
    assert floor.now == states.OPEN
    assert floor.book() == [[(110, 2)], []]


def test_what_cancels_leave_crossing_trades_at_a_price_of_its_own(floor, monkeypatch):
    """Orders that the price left out cross once those before them are canceled: they trade before the market opens."""
    monkeypatch.setattr(schema, "WORK_UNITS_PER_COMMAND", schema.WORK_UNITS_PER_ORDER)
    first, second = floor.order(ALICE, BUY, 5, 105), floor.order(ALICE, BUY, 5, 104)
    asks = [floor.order(BOB, SELL, 1, 95), floor.order(BOB, SELL, 9, 96), floor.order(BOB, SELL, 9, 103)]
    assert floor.put(MarketState.OPEN)[1:] == [(UNCROSSED, 96, 10, 0), (TRADE, asks[0], first, 96, 1)]
    assert brief(floor.do(make.order_cancel(BOB, asks[1]))) == [
        (TRADE, asks[1], first, 96, 4),
        (CANCELED, asks[1], CancelReason.REQUESTED, 5),
        (UNCROSSED, 103, 5, -4),
        (TRADE, asks[2], second, 103, 5),
    ]
    assert floor.clock() == [OPENED]
    assert floor.book() == [[], [(103, 4)]]


def test_what_is_left_crossing_does_not_trade_when_the_market_closes(floor, monkeypatch):
    """Only a market that is to open is uncrossed once more."""
    monkeypatch.setattr(schema, "WORK_UNITS_PER_COMMAND", schema.WORK_UNITS_PER_ORDER)
    floor.order(ALICE, BUY, 5, 105)
    floor.order(ALICE, BUY, 5, 104)
    asks = [floor.order(BOB, SELL, qty, price) for qty, price in ((1, 95), (9, 96), (9, 103))]
    floor.put(MarketState.CLOSED)
    floor.do(make.order_cancel(BOB, asks[1]))
    assert floor.now == states.CLOSED
    assert floor.book() == [[(104, 5)], [(103, 9)]]


def test_indicatives_tell_changes_only(floor):
    """Each second of the call is looked at; told is what differs from the last, a vanished price too."""
    assert floor.clock("07:00:01") == []
    ask = floor.order(BOB, SELL, 5, 99)
    floor.order(ALICE, BUY, 3, 101)
    assert floor.clock("07:00:01") == []
    assert floor.clock("07:00:02") == [(INDICATIVE, 99, 3, -2)]
    assert floor.clock("07:00:03") == []
    floor.do(make.order_cancel(BOB, ask))
    assert floor.clock("07:00:09") == [(INDICATIVE, 0, 0, 0)]
    floor.put(MarketState.CANCEL_ONLY)
    floor.put(MarketState.CALL)
    assert floor.clock("07:00:10") == []


def test_work_of_an_auction_has_its_origin(floor, monkeypatch):
    """Trades that later commands carry on name the command that set off the uncross."""
    monkeypatch.setattr(schema, "WORK_UNITS_PER_COMMAND", schema.WORK_UNITS_PER_ORDER)
    for _ in range(2):
        floor.order(ALICE, BUY, 1, 100)
    for _ in range(2):
        floor.order(BOB, SELL, 1, 100)
    events = floor.do(make.instrument_state(1, MarketState.OPEN))
    later = floor.do(make.deposit(ALICE, 1, 1))
    assert brief(later)[0][0] == TRADE
    assert later[0]["origin_seq"] == events[0]["cause_seq"]
    assert "command_kind" not in later[0]
    assert later[-1]["state"] == MarketState.OPEN
