"""Execution quality: every figure against logs worked out by hand, and what must hold of any log."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import given, settings

from kk99 import build
from kk99.machine import Machine
from kk99.schema import EventKind, Flag, MarketState, OrderType, SelfTrade, TimeInForce
from replay import ledger
from replay.figures import LIVE
from replay.quality import FILLED, Quality, Revision, revisions_in
from tests.replay.measuring import (
    ANN,
    BEN,
    BUY,
    BY,
    CEM,
    IOC,
    SECOND,
    SELL,
    TICK_LOT_UNITS,
    Log,
    half,
    market_setup,
    mixtures,
    order,
    part,
    trade,
)

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "execution-quality.md"
AT_CLOSE = {"time_in_force": TimeInForce.AT_CLOSE}


def quoted(**options):
    """A market of 98 to 102, 20 lots each."""
    return Log(**options).at(0, order(BEN, BUY, 20, 98), order(BEN, SELL, 20, 102))


def test_the_example_on_the_page_is_what_the_page_says(capsys):
    """The code on the page prints the figures below it."""
    code, printed = (re.search(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)[1] for kind in ("python", "text"))
    exec(compile(code, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == printed


# One order ------------------------------------------------------------------------------------------------------------


def test_a_buy_at_once_is_measured_against_the_mid_before_it():
    """5 at 102 and 3 at 104 are 102.75 on average, 2.75 ticks worse than the mid of 98 and 102."""
    log = Log().at(0, order(BEN, BUY, 20, 98), order(BEN, SELL, 5, 102), order(BEN, SELL, 20, 104))
    one = log.at(3, order(ANN, BUY, 8, 104, "a")).end(3).order("a")
    assert (one.filled_lots, one.notional_tick_lots, one.average_ticks) == (8, 822, Fraction(411, 4))
    assert one.arrival_ticks == 100
    assert one.slippage_ticks(one.arrival_ticks) == Fraction(11, 4)
    assert one.slippage_bps(one.arrival_ticks) == 275
    assert (one.ended, one.filled_ratio(TICK_LOT_UNITS)) == (FILLED, 1)
    assert (one.time_to_first_fill_ns, one.time_to_end_ns) == (0, 0)


def test_a_sell_is_worse_below_the_benchmark():
    """A sell at 98 lost two ticks against the mid of 100; one at 102 won two."""
    log = (
        quoted().at(1, order(ANN, SELL, 4, 98, "down"), order(ANN, SELL, 4, 102, "up")).at(2, order(CEM, BUY, 30, 102))
    )
    down, up = log.end(3).order("down"), log.order("up")
    assert (down.slippage_ticks(down.arrival_ticks), down.slippage_bps(down.arrival_ticks)) == (2, 200)
    assert (up.slippage_ticks(up.arrival_ticks), up.slippage_bps(up.arrival_ticks)) == (-2, -200)


def test_what_rested_and_what_was_taken_pay_their_own_fees():
    """4 taken at 102 pay 2 % of 4,080, 6 filled at rest pay 1 % of 6,120; quantities tell which."""
    log = Log().at(0, order(BEN, SELL, 4, 102)).at(1, order(ANN, BUY, 10, 102, "a")).at(3, order(CEM, SELL, 6, 102))
    one = log.end(9).order("a")
    assert (one.maker_lots, one.taker_lots, one.fee_units) == (6, 4, 81 + 61)
    assert (one.time_to_first_fill_ns, one.time_to_end_ns) == (0, 2 * SECOND)


def test_vwap_and_twap_run_from_entry_to_end():
    """Trades and prices before the entry and after the end do not count, but the last price before it stands."""
    log = quoted().at(1, *trade(7, 100)).at(4, order(ANN, BUY, 10, 99, "a")).at(6, *trade(3, 101))
    log.at(9, order(BEN, SELL, 10, 99)).at(11, *trade(50, 101)).end(20)
    one = log.order("a")
    assert (one.market_lots, one.vwap_ticks) == (13, Fraction(3 * 101 + 10 * 99, 13))
    assert one.twap_ticks == Fraction(2 * 100 + 3 * 101, 5)
    assert one.slippage_ticks(one.twap_ticks) == 99 - Fraction(503, 5)
    assert one.slippage_bps(one.vwap_ticks) == (99 / one.vwap_ticks - 1) * 10_000


def test_a_live_order_is_measured_to_the_end_of_the_run():
    """What is not over has no end, but the market's figures up to now."""
    log = quoted().at(1, *trade(2, 100)).at(2, order(ANN, BUY, 10, 99, "a")).at(5, order(BEN, SELL, 4, 99)).end(10)
    one = log.order("a")
    assert (one.ended, one.end_time_ns, one.time_to_end_ns) == (LIVE, None, None)
    assert (one.filled_ratio(TICK_LOT_UNITS), one.time_to_first_fill_ns) == (Fraction(2, 5), 3 * SECOND)
    assert one.twap_ticks == Fraction(3 * 100 + 5 * 99, 8)


def test_without_a_fill_there_are_benchmarks_but_no_slippage():
    """A canceled order has a life in the market, and nothing to compare with it."""
    log = quoted().at(1, *trade(2, 100)).at(2, order(ANN, BUY, 10, 90, "a")).at(5, *trade(4, 101))
    one = log.at(6, build.order_cancel(ANN, target_client_id="a")).end(9).order("a")
    assert (one.ended, one.filled_ratio(TICK_LOT_UNITS), one.average_ticks) == ("REQUESTED", 0, None)
    assert (one.arrival_ticks, one.vwap_ticks, one.twap_ticks) == (100, 101, Fraction(3 * 100 + 101, 4))
    assert [one.slippage_bps(price) for price in (one.arrival_ticks, one.vwap_ticks, one.twap_ticks)] == [None] * 3
    assert (one.time_to_first_fill_ns, one.time_to_end_ns) == (None, 4 * SECOND)


def test_an_empty_side_has_no_mid():
    """The first bid meets no bid, the first ask no ask: neither has an arrival mid, the third order has."""
    log = Log().at(1, order(ANN, BUY, 5, 97, "a"), order(BEN, SELL, 5, 100, "b"), order(CEM, BUY, 5, 96, "c")).end(2)
    assert [log.order(name).arrival_ticks for name in "abc"] == [None, None, half(197)]
    assert log.order("a").slippage_ticks(None) is None


def test_twap_stands_still_while_the_market_is_not_open():
    """Of ten seconds four are a halt: the price that stood then does not count."""
    log = quoted().at(0, *trade(2, 100)).at(2, order(ANN, BUY, 5, 99, "a")).at(4, *trade(1, 101))
    log.at(5, build.instrument_state(1, MarketState.HALTED, **BY)).at(
        9, build.instrument_state(1, MarketState.OPEN, **BY)
    )
    one = log.at(12, build.order_cancel(ANN, target_client_id="a")).end(12).order("a")
    assert one.twap_ticks == Fraction(2 * 100 + 4 * 101, 6)
    assert one.time_to_end_ns == 10 * SECOND


def test_a_life_without_time_or_price_has_no_twap():
    """An order filled at once sees no time pass, and before the first trade there is no price."""
    log = quoted().at(1, order(ANN, BUY, 5, 90, "early")).at(2, build.order_cancel(ANN, target_client_id="early"))
    log.at(3, order(ANN, BUY, 5, 102, "now")).end(9)
    assert [log.order(name).twap_ticks for name in ("early", "now")] == [None, None]
    assert (log.order("early").vwap_ticks, log.order("now").vwap_ticks) == (None, 102)


def test_a_budget_is_filled_by_the_money_spent():
    """Of 5,000 units, 4 lots at 102 cost 4,080 and 81 in fees: 4,161 of 5,000."""
    item = build.order_new(ANN, 1, BUY, 0, 0, order_type=OrderType.MARKET, amount_units=5_000, client_id="a", **IOC)
    one = quoted().at(1, item).end(1).order("a")
    assert (one.qty_lots, one.budget_units, one.filled_lots) == (0, 5_000, 4)
    assert (one.filled_ratio(TICK_LOT_UNITS), one.ended) == (Fraction(4_161, 5_000), "BUDGET_SPENT")


def test_a_replace_changes_the_quantity_and_keeps_the_life():
    """The ratio is of what was asked for last; arrival and time are the entry's; both client ids name the order."""
    log = quoted().at(1, order(ANN, BUY, 10, 99, "a")).at(2, order(BEN, SELL, 4, 99))
    log.at(5, build.order_replace(ANN, 0, 8, 102, target_client_id="a", client_id="b")).end(6)
    one = log.order("b")
    assert one is log.order("a")
    assert (one.qty_lots, one.filled_lots, one.average_ticks) == (8, 8, Fraction(4 * 99 + 4 * 102, 8))
    assert (one.arrival_ticks, one.time_to_end_ns) == (100, 4 * SECOND)


def test_self_trade_prevention_takes_off_the_quantity():
    """8 meet 3 of their own: both fall by 3; of the 5 left all are filled."""
    log = Log().at(0, order(ANN, SELL, 3, 100, "own"), order(BEN, SELL, 9, 100))
    log.at(1, order(ANN, BUY, 8, 100, "a", self_trade=SelfTrade.DECREMENT)).end(1)
    assert (log.order("a").qty_lots, log.order("a").filled_ratio(TICK_LOT_UNITS)) == (5, 1)
    assert (log.order("own").ended, log.order("own").filled_lots) == ("SELF_TRADE", 0)


# Orders that hide, wait, or belong together ---------------------------------------------------------------------------


def test_an_iceberg_counts_from_its_entry_with_all_its_quantity():
    """What it hides is asked for, but is in no depth: 3 of 12 are shown at the best ask."""
    log = Log().at(0, order(BEN, BUY, 8, 98), order(ANN, SELL, 12, 102, "a", display_qty_lots=3))
    log.at(4, order(CEM, BUY, 4, 102)).end(8)
    one = log.order("a")
    assert (one.filled_ratio(TICK_LOT_UNITS), one.maker_lots) == (Fraction(1, 3), 4)
    assert (log.instrument.mean_bid_lots, log.instrument.mean_ask_lots) == (8, half(5))
    assert log.instrument.mean_spread_ticks == 4


def test_a_stop_lives_from_its_trigger():
    """It is measured against the market that it met when it went off, not when it was entered."""
    log = quoted().at(1, build.stop(ANN, 1, BUY, 5, 101, client_id="a")).at(5, order(BEN, BUY, 9, 99))
    one = log.at(7, *trade(2, 101)).end(9).order("a")
    assert (one.entry_time_ns, one.active_time_ns) == (1 * SECOND, 7 * SECOND)
    assert (one.order_type, one.arrival_ticks, one.average_ticks) == (OrderType.STOP, half(201), 102)
    assert (one.market_lots, one.time_to_end_ns, one.slippage_ticks(one.arrival_ticks)) == (5, 0, half(3))


def test_a_stop_that_never_went_off_has_no_figures():
    """Canceled while dormant, it had no life in the market."""
    log = quoted().at(1, build.stop_limit(ANN, 1, BUY, 5, 110, 112, client_id="a")).at(2, *trade(4, 101))
    one = log.at(3, build.order_cancel(ANN, target_client_id="a")).end(4).order("a")
    assert (one.ended, one.active_time_ns, one.end_time_ns) == ("REQUESTED", None, 3 * SECOND)
    assert (one.arrival_ticks, one.vwap_ticks, one.twap_ticks, one.time_to_end_ns) == (None,) * 4


def test_oco_legs_are_orders_of_their_own():
    """The limit leg lives from its entry; the stop leg shrinks with it and ends unmeasured."""
    log = quoted().at(1, build.oco(ANN, 1, SELL, 6, 101, 95, client_id="profit", stop_client_id="loss"))
    log.at(4, order(CEM, BUY, 2, 101)).at(5, order(CEM, BUY, 4, 101)).end(6)
    profit, loss = log.order("profit"), log.order("loss")
    assert (profit.arrival_ticks, profit.filled_lots, profit.time_to_first_fill_ns) == (100, 6, 3 * SECOND)
    assert (loss.ended, loss.qty_lots, loss.filled_lots, loss.active_time_ns) == ("LINKED", 4, 0, None)


def test_a_brackets_exits_live_from_their_arming_and_trigger():
    """The take-profit arrives when the entry fills, the stop-loss when it goes off; both name their parent."""
    entry = build.bracket(ANN, 1, BUY, 4, 100, take_profit_price_ticks=110, trigger_price_ticks=97, client_id="entry")
    log = quoted().at(1, entry).at(3, order(CEM, SELL, 4, 100)).at(6, order(CEM, BUY, 24, 110)).end(8)
    profit, loss = log.children("entry")
    assert (log.order("entry").arrival_ticks, log.order("entry").time_to_end_ns) == (100, 2 * SECOND)
    assert (profit.side, profit.entry_time_ns, profit.active_time_ns) == (SELL, 3 * SECOND, 3 * SECOND)
    assert (profit.arrival_ticks, profit.average_ticks, profit.maker_lots, profit.ended) == (100, 110, 4, FILLED)
    assert (loss.entry_time_ns, loss.active_time_ns, loss.ended) == (3 * SECOND, None, "LINKED")


def test_a_stop_loss_is_measured_when_it_goes_off():
    """The bid falls to 97, a trade there sets the stop-loss off, and it sells at 96 against a mid of 99."""
    entry = build.bracket(ANN, 1, BUY, 4, 100, take_profit_price_ticks=110, trigger_price_ticks=98, client_id="entry")
    log = quoted().at(0, order(BEN, BUY, 9, 96)).at(1, entry).at(3, order(CEM, SELL, 4, 100))
    log.at(6, order(CEM, SELL, 20, 98)).end(8)
    _, loss = log.children("entry")
    assert (loss.active_time_ns, loss.arrival_ticks, loss.average_ticks) == (6 * SECOND, 99, 96)
    assert (loss.ended, loss.slippage_bps(loss.arrival_ticks)) == (FILLED, Fraction(30_000, 99))


def test_an_auction_has_trades_and_no_arrival():
    """In a call there is no mid; the uncross trades at one price, the later order being the taker."""
    log = Log().at(0, build.instrument_state(1, MarketState.CALL, **BY))
    log.at(1, order(ANN, BUY, 5, 104, "a")).at(2, order(BEN, SELL, 8, 99, "b"))
    log.at(3, build.instrument_state(1, MarketState.OPEN, **BY)).end(4)
    first, second = log.order("a"), log.order("b")
    assert (first.arrival_ticks, second.arrival_ticks) == (None, None)
    assert first.average_ticks == second.average_ticks == log.instrument.vwap_ticks
    assert (first.maker_lots, second.taker_lots, second.filled_lots) == (5, 5, 5)
    assert (first.time_to_end_ns, second.ended, log.instrument.quoted_ns) == (2 * SECOND, LIVE, 0)


def test_an_order_for_the_close_lives_from_the_closing_call():
    """Entered while the market is open, it waits in no book, and is active when it joins."""
    schedule = [
        {"at_s": 0, "days": 127, "phase": "OPEN"},
        {"at_s": 60, "days": 127, "phase": "CLOSING_CALL"},
        {"at_s": 70, "days": 127, "phase": "CLOSED"},
    ]
    log = quoted().at(1, build.trading_schedule("day", schedule, **BY))
    log.at(1, build.instrument_change("BTC-USD", trading_schedule="day", **BY)).at(
        2, order(ANN, BUY, 5, 103, "a", **AT_CLOSE)
    )
    log.at(60, build.clock()).at(70, build.clock()).end(71)
    one = log.order("a")
    assert (one.entry_time_ns, one.active_time_ns, one.arrival_ticks) == (2 * SECOND, 60 * SECOND, None)
    assert (one.filled_lots, one.time_to_end_ns) == (5, 10 * SECOND)


def test_a_kept_place_and_a_lost_session_change_nothing_else():
    """A smaller quantity keeps the order's place; the reason of its end is told by name."""
    log = quoted().at(0, build.session("s"), build.session_open(1, 1))
    item = build.for_session(order(ANN, BUY, 9, 97, "a", flags=Flag.CANCEL_ON_LOST), 1, 1, 1)
    log.at(1, item).at(2, build.order_replace(ANN, 0, 5, 97, target_client_id="a")).at(3, build.session_lost(1)).end(4)
    assert (log.order("a").qty_lots, log.order("a").ended) == (5, "SESSION_LOST")


# One instrument -------------------------------------------------------------------------------------------------------


def test_an_instruments_figures():
    """Five trades at known times: first, high, low, last, volume, notional, VWAP and TWAP."""
    log = Log()
    for second, qty, price in ((1, 4, 100), (2, 2, 103), (4, 6, 98), (7, 1, 99)):
        log.at(second, *trade(qty, price))
    one = log.end(10).instrument
    assert (one.trades, one.volume_lots, one.notional_tick_lots) == (4, 13, 400 + 206 + 588 + 99)
    assert (one.first_ticks, one.high_ticks, one.low_ticks, one.last_ticks) == (100, 103, 98, 99)
    assert one.vwap_ticks == Fraction(1293, 13)
    assert one.twap_ticks == Fraction(1 * 100 + 2 * 103 + 3 * 98 + 3 * 99, 9)
    assert (one.from_time_ns, one.time_ns) == (0, 10 * SECOND)
    assert (one.quoted_ns, one.mean_spread_ticks, one.mean_bid_lots) == (0, None, None)


def test_spread_and_depth_are_weighted_by_the_time_they_stood():
    """98 to 102 for 4 s, then 99 to 102 for 4 s, then no ask for 2 s, which do not count; nor does a halt."""
    log = Log().at(0, order(BEN, BUY, 20, 98), order(BEN, SELL, 5, 102, "ask")).at(4, order(CEM, BUY, 10, 99))
    log.at(8, build.order_cancel(BEN, target_client_id="ask")).at(10, order(BEN, SELL, 7, 103))
    log.at(12, build.instrument_state(1, MarketState.HALTED, **BY)).end(20)
    one = log.instrument
    assert (one.quoted_ns, one.mean_spread_ticks) == (10 * SECOND, Fraction(4 * 4 + 4 * 3 + 2 * 4, 10))
    assert (one.mean_bid_lots, one.mean_ask_lots) == (Fraction(4 * 20 + 6 * 10, 10), Fraction(8 * 5 + 2 * 7, 10))


def test_busted_and_corrected_trades_count_as_they_end_up():
    """A busted trade is none, a corrected one has its last terms, for its orders and for the market alike."""
    revisions = {1: Revision(0, 0, 0, 0), 2: Revision(101, 3, 60, 30)}
    log = Log(revisions=revisions).at(1, order(BEN, SELL, 4, 150), order(ANN, BUY, 4, 150, "busted"))
    log.at(2, order(BEN, SELL, 5, 102, "maker"), order(ANN, BUY, 5, 102, "corrected")).at(3, *trade(1, 100)).end(4)
    busted, corrected, one = log.order("busted"), log.order("corrected"), log.instrument
    assert (busted.ended, busted.filled_lots, busted.fee_units, busted.first_fill_time_ns) == (FILLED, 0, 0, None)
    assert (corrected.filled_lots, corrected.average_ticks, corrected.fee_units) == (3, 101, 60)
    assert (log.order("maker").fee_units, corrected.filled_ratio(TICK_LOT_UNITS)) == (30, Fraction(3, 5))
    assert (one.trades, one.volume_lots, one.high_ticks, one.first_ticks) == (2, 4, 101, 101)
    assert one.twap_ticks == half(201)


# Any log --------------------------------------------------------------------------------------------------------------


def measured(quality, machine, commands):
    """The orders and events of commands that are applied and measured, to the end of the run."""
    events = machine.apply_all(commands)
    return [*quality.take(events), *quality.finish(machine.time_ns)], events


@settings(max_examples=settings().max_examples // 2)
@given(mixtures())
def test_what_holds_of_any_log(commands):
    """Averages lie between low and high, what orders filled is twice the volume, fees are those of the trades."""
    quality = Quality(revisions=revisions_in(Machine().apply_all(commands).rows))
    orders, events = measured(quality, Machine(), commands)
    trades = events.rows[np.isin(events.rows["kind"], ledger.TRADE_KINDS)]
    final = {int(row["trade_id"]): row for row in trades if row["kind"] != EventKind.TRADE_BUSTED}
    for row in trades[trades["kind"] == EventKind.TRADE_BUSTED]:
        del final[int(row["trade_id"])]
    accepted = events.rows[events.rows["kind"] == EventKind.ORDER_ACCEPTED]
    assert sorted(one.order_id for one in orders) == sorted(accepted["order_id"].tolist())
    for number, one in quality.instruments.items():
        mine = [trade for trade in final.values() if trade["instrument_id"] == number]
        assert (one.trades, one.volume_lots) == (len(mine), sum(int(trade["qty_lots"]) for trade in mine))
        its = [each for each in orders if each.instrument_id == number and each.order_type != OrderType.ALGO]
        assert sum(each.filled_lots for each in its) == 2 * one.volume_lots
        assert sum(each.notional_tick_lots for each in its) == 2 * one.notional_tick_lots
        assert sum(each.maker_lots for each in its) == one.volume_lots
        assert sum(each.fee_units for each in its) == sum(
            int(trade["fee_units"] + trade["contra_fee_units"]) for trade in mine
        )
        if one.trades:
            assert one.low_ticks <= one.vwap_ticks <= one.high_ticks
        if one.priced_ns:
            assert one.low_ticks <= one.twap_ticks <= one.high_ticks
    for each in orders:
        assert_sound(each, quality.instruments[each.instrument_id])


def assert_sound(one, instrument):
    """What holds of every order."""
    assert one.filled_lots <= one.market_lots
    assert 0 <= one.maker_lots <= one.filled_lots
    assert one.budget_units or one.filled_lots <= one.qty_lots
    if one.filled_lots:
        assert instrument.low_ticks <= one.average_ticks <= instrument.high_ticks
        assert instrument.low_ticks <= one.vwap_ticks <= instrument.high_ticks
        assert one.time_to_first_fill_ns >= 0
    if one.end_time_ns is not None and one.active_time_ns is not None:
        assert one.market_priced_ns <= one.time_to_end_ns
    if one.active_time_ns is None:
        assert (one.market_lots, one.market_priced_ns, one.filled_lots) == (0, 0, 0)


@settings(max_examples=settings().max_examples // 5)
@given(mixtures())
def test_batches_make_no_difference(commands):
    """Taken command by command, by sevens, or at once, every figure is the same, in the same order."""
    found = []
    for size in (1, 7, len(commands.rows)):
        machine, quality, orders = Machine(), Quality(), []
        for start in range(0, len(commands.rows), size):
            orders += quality.take(machine.apply_all(part(commands, start, start + size)))
        orders += quality.finish(machine.time_ns)
        found.append((orders, quality.instruments))
    assert found[0] == found[1] == found[2]


@settings(max_examples=settings().max_examples // 5)
@given(mixtures())
def test_a_run_that_begins_with_an_image_measures_the_same(commands):
    """Orders entered after an image have the figures that they have in the whole run."""
    whole, _ = measured(Quality(), Machine(), commands)
    middle = len(commands.rows) // 2
    machine, quality = Machine(), Quality()
    machine.apply_all(part(commands, 0, middle))
    quality.begin(machine.image(), machine.time_ns)
    later, _ = measured(quality, machine, part(commands, middle))
    assert later == [one for one in whole if one.entry_seq > middle]


def test_only_what_is_wanted_is_measured():
    """`wants` chooses orders as they are accepted; a frame can be looked at for one instrument alone."""
    log = quoted(wants=lambda event: event.account_id == ANN).at(1, order(ANN, BUY, 5, 102, "a"), *trade(2, 103)).end(2)
    assert [one.account_id for one in log.ended] == [ANN]
    assert log.instrument.volume_lots == 7
    events = Machine().apply_all(build.stamp(build.batch_of([*market_setup(), *trade(2, 100)]), 1, 0))
    for number, volumes in ((1, [2]), (2, [])):
        quality = Quality()
        assert len(list(quality.take(events, number))) == 2 * len(volumes)
        assert [one.volume_lots for one in quality.instruments.values()] == volumes
