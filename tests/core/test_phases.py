"""Markets through their days: schedules, operators, calls and their uncross, and the orders that end with a phase."""

import pytest

from kk99 import build
from kk99.schema import CallPurpose, MarketState, OrderType, RejectCode, TimeInForce
from tests.core.market import (
    AT_OPEN,
    BUY,
    DAY,
    DAY_PHASES,
    SECOND,
    SELL,
    STEPS,
    WHO,
    A,
    B,
    Market,
    at,
    phase,
    slot_of,
)

MARKET_AT_CLOSE = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.AT_CLOSE}
PRE_OPEN, OPEN, CANCEL_ONLY, HALTED, CLOSED, CALL, UNCROSSING = MarketState


class TestSchedule:
    """What a market does by its trading schedule."""

    def test_a_day(self):
        """Every phase begins at its time and tells the next one's; the state that it is in already is not told."""
        market = Market(*DAY_PHASES)
        assert market.clock(at(8)) == []
        assert market.clock(at(9) - 1) == []
        assert market.clock(at(9)) == ["CALL OPENING SCHEDULE until 0d09:30"]
        assert market.clock(at(9, 30)) == [
            "UNCROSSING SCHEDULE",
            "UNCROSSED 0 at 0 surplus 0",
            "OPEN UNCROSSED until 0d17:00",
        ]
        assert market.clock(at(17)) == ["CALL CLOSING SCHEDULE until 0d17:05"]
        assert market.clock(at(17, 5))[::2] == ["UNCROSSING SCHEDULE", "CLOSED UNCROSSED until 1d08:00"]
        assert market.clock(at(8) + DAY) == ["PRE_OPEN SCHEDULE until 1d09:00"]

    def test_a_phase_comes_on_its_days_only(self):
        """Bit 0 is Monday: Monday and Wednesday open, Tuesday alone closes."""
        market = Market(phase("OPEN", 9, days=0b101), phase("CLOSED", 8, days=0b10))
        assert market.clock(at(9)) == ["OPEN SCHEDULE until 1d08:00"]
        assert market.clock(at(9) + DAY) == ["CLOSED SCHEDULE until 2d09:00"]
        assert market.clock(at(9) + 2 * DAY) == ["OPEN SCHEDULE until 7d09:00"]

    def test_of_two_at_one_time_the_later_in_the_list_counts(self):
        """And at the last second of Sunday as well as at the first of Monday."""
        market = Market(phase("CLOSED", 0), phase("OPEN", 0), phase("CLOSED", 12), phase("PRE_OPEN", 12))
        assert market.clock(at(12)) == []
        assert market.clock(at(24)) == ["OPEN SCHEDULE until 1d12:00"]
        assert market.clock(at(24) + 6 * DAY - 1) == ["PRE_OPEN SCHEDULE until 7d00:00"]

    def test_what_was_missed_is_passed_over(self):
        """After two days without a command the market takes the phase of the time, once."""
        market = Market(*DAY_PHASES)
        assert market.clock(at(12) + 2 * DAY) == ["OPEN SCHEDULE until 2d17:00"]

    def test_new_phases_count_from_the_next_transition_on(self):
        """A known schedule that is defined anew: the timer stays, and the phase is the new schedule's at that time."""
        market = Market(*DAY_PHASES)
        new = [phase("OPEN", 3), phase("CLOSED", 20)]
        assert market.run(build.trading_schedule("day", new, **WHO)) == ["TRADING_SCHEDULE_DEFINED"]
        assert market.clock(at(4)) == []
        assert market.clock(at(8)) == ["OPEN SCHEDULE until 0d20:00"]

    def test_an_instrument_takes_another_schedule_or_none(self):
        """Its timer follows at once, its state does not; the same schedule again changes nothing."""
        market = Market(*DAY_PHASES)
        night = build.trading_schedule("night", [phase("OPEN", 2), phase("CLOSED", 5)], **WHO)
        market.run(night, build.instrument_change("BTC/USD", trading_schedule="night", **WHO), time_ns=at(3))
        assert market.clock(at(5)) == ["CLOSED SCHEDULE until 1d02:00"]
        market.run(build.trading_schedule("night", [phase("OPEN", 6), phase("CLOSED", 7)], **WHO))
        market.run(build.instrument_change("BTC/USD", collar_ppm=1, trading_schedule="night", **WHO))
        assert market.clock(at(2) + DAY - 1) == []
        assert market.clock(at(2) + DAY) == []
        assert market.clock(at(6) + DAY) == ["OPEN SCHEDULE until 1d07:00"]
        market.run(build.instrument_change("BTC/USD", trading_schedule="", **WHO))
        assert market.clock(at(12) + 9 * DAY) == []

    def test_all_instruments_change_in_one_command(self):
        """Three markets of one schedule, in the order of their timers."""
        market = Market(*DAY_PHASES)
        terms = {"tick_units": 1, "lot_units": 1, "max_price_ticks": 9, "max_qty_lots": 9, "trading_schedule": "day"}
        market.run(*[build.instrument(name, "BTC", "USD", **terms, **WHO) for name in ("X", "Y")])
        events = market.machine.apply_all(build.stamp(build.clock(), market.machine.seq + 1, at(9))).rows
        assert events["instrument_id"].tolist() == [1, 2, 3, 0]

    @pytest.mark.parametrize("state", [HALTED, CANCEL_ONLY, CALL])
    def test_what_operators_stop_the_schedule_only_closes(self, state):
        """Halted, cancel-only or in a recovery call, a market takes no phase but CLOSED."""
        market = Market(*DAY_PHASES)
        market.clock(at(10))
        market.set_state(state)
        assert [one for one in market.clock(at(17)) if "INDICATIVE" not in one] == []
        assert market.clock(at(17, 5))[-1].startswith("CLOSED")

    def test_a_phase_during_the_uncross_is_taken_when_it_ends(self):
        """In place of the wanted state, and without another word."""
        market = Market(phase("OPENING_CALL", 9), phase("OPEN", 10), phase("CLOSED", 11))
        market.clock(at(9))
        for _ in range(9 * STEPS):
            market.order(A, BUY, 1, 100)
            market.order(B, SELL, 1, 100)
        first = market.run(build.clock(), time_ns=at(10))
        assert first[1:3] == ["UNCROSSING SCHEDULE", f"UNCROSSED {9 * STEPS} at 100 surplus 0"]
        assert all(one.startswith("TRADE") for one in market.run(build.clock(), time_ns=at(11)))
        assert market.clock(at(11) + 1)[-1] == "CLOSED UNCROSSED until 1d09:00"


class TestOperators:
    """What operators may do."""

    @pytest.mark.parametrize(
        ("before", "purpose"),
        [(None, CallPurpose.OPENING), (CLOSED, CallPurpose.OPENING), (OPEN, CallPurpose.RECOVERY),
         (HALTED, CallPurpose.RECOVERY), (CANCEL_ONLY, CallPurpose.RECOVERY)],
    )  # fmt: skip
    def test_a_call_has_a_purpose(self, before, purpose):
        """From PRE_OPEN and CLOSED to open, else to recover."""
        market = Market()
        if before is not None:
            market.set_state(before)
        assert market.set_state(CALL) == [f"CALL {purpose.name} OPERATOR"]
        assert market.set_state(CALL) == ["REJECTED STATE_UNCHANGED"]

    @pytest.mark.parametrize("before", [OPEN, CANCEL_ONLY, HALTED, CLOSED, CALL])
    def test_states_that_cannot_be_set(self, before):
        """The same state, UNCROSSING, and what is none."""
        market = Market()
        market.set_state(before)
        for state in (before, UNCROSSING, 7, 255):
            assert market.set_state(state) == ["REJECTED STATE_UNCHANGED"]

    @pytest.mark.parametrize("wanted", [OPEN, CLOSED])
    def test_a_call_ends_with_an_uncross(self, wanted):
        """Before it opens or closes, though nothing crosses."""
        market = Market()
        market.set_state(CALL)
        assert market.set_state(wanted) == [
            "UNCROSSING OPERATOR",
            "UNCROSSED 0 at 0 surplus 0",
            f"{wanted.name} UNCROSSED",
        ]

    @pytest.mark.parametrize("other", [PRE_OPEN, CANCEL_ONLY, HALTED])
    def test_a_call_that_is_broken_off_leaves_its_orders(self, other):
        """The crossing book stays, and is uncrossed when the market opens."""
        market = Market()
        market.set_state(CALL)
        market.order(A, BUY, 5, 102)
        market.order(B, SELL, 5, 98)
        assert market.set_state(other) == [f"{other.name} OPERATOR"]
        assert market.set_state(OPEN) == [
            "UNCROSSING OPERATOR",
            "UNCROSSED 5 at 98 surplus 0",
            "TRADE 2 with 1: 5 at 98",
            "OPEN UNCROSSED",
        ]

    def test_uncrossing_takes_only_cancels(self):
        """A change of state is MARKET_BUSY, an order MARKET_CALL, and a canceled order trades no more."""
        market = Market()
        market.set_state(CALL)
        bids = [market.order(A, BUY, 1, 100) for _ in range(9 * STEPS)]
        for _ in bids:
            market.order(B, SELL, 1, 100)
        assert len(market.set_state(OPEN)) == 2 + STEPS
        assert market.set_state(OPEN)[-1] == "REJECTED MARKET_BUSY"
        assert market.set_state(HALTED)[-1] == "REJECTED MARKET_BUSY"
        assert market.refusal(A, BUY, 1, 100) == RejectCode.MARKET_CALL
        assert f"CANCELED {slot_of(bids[-1])} REQUESTED" in market.run(build.order_cancel(A, bids[-1]))
        told = market.clock(at(1))
        assert told[-1] == "OPEN UNCROSSED"
        assert not any(f"with {slot_of(bids[-1])}:" in one for one in told)
        assert len(market.orders()) == 1

    def test_a_market_opens_at_once_unless_its_book_crosses(self):
        """From any state but a call."""
        market = Market()
        market.order(A, BUY, 5, 99, **AT_OPEN)
        market.order(B, SELL, 5, 100, **AT_OPEN)
        assert market.set_state(OPEN) == ["OPEN OPERATOR", "CANCELED 1 EXPIRED", "CANCELED 2 EXPIRED"]
        market.set_state(PRE_OPEN)
        market.order(A, BUY, 5, 100, **AT_OPEN)
        market.order(B, SELL, 3, 100, **AT_OPEN)
        assert market.set_state(OPEN) == [
            "UNCROSSING OPERATOR",
            "UNCROSSED 3 at 100 surplus 2",
            "TRADE 1 with 2: 3 at 100",
            "OPEN UNCROSSED",
            "CANCELED 2 EXPIRED",
        ]


class TestCalls:
    """Orders in a call, its indicative prices and its uncross."""

    def test_the_price_is_told_once_a_second_when_it_changes(self):
        """Not before the first second, nothing of an empty book, and again after a change alone."""
        market = Market()
        begin = market.time_ns
        market.set_state(CALL)
        assert market.clock(begin + SECOND) == []
        market.order(A, BUY, 5, 101)
        market.order(B, SELL, 3, 99)
        assert market.clock(begin + 2 * SECOND - 1) == []
        assert market.clock(begin + 2 * SECOND) == ["INDICATIVE 3 at 101 surplus 2"]
        assert market.clock(begin + 9 * SECOND) == []
        market.order(B, SELL, 9, 99)
        assert market.clock(begin + 11 * SECOND + 5) == ["INDICATIVE 5 at 99 surplus -7"]
        assert market.machine.next_timer_ns() == begin + 12 * SECOND
        market.run(build.order_cancel(A, market.orders()[0]))
        assert market.clock(begin + 12 * SECOND) == ["INDICATIVE 0 at 0 surplus 0"]
        market.set_state(HALTED)
        assert market.machine.next_timer_ns() == 0
        market.set_state(CALL)
        assert market.clock(begin + 13 * SECOND) == []

    def test_who_entered_later_takes(self):
        """The seller as well as the buyer; fees and sides follow."""
        market = Market()
        market.set_state(CALL)
        market.order(A, BUY, 2, 101)
        market.order(B, SELL, 3, 99)
        market.order(A, BUY, 2, 100)
        assert market.set_state(OPEN)[1:4] == [
            "UNCROSSED 3 at 100 surplus 1",
            "TRADE 2 with 1: 2 at 100",
            "TRADE 3 with 2: 1 at 100",
        ]

    def test_everyone_trades_at_the_one_price(self):
        """By price, then time; what the price bettered is given back, and self-trade prevention sleeps."""
        market = Market()
        market.set_state(CALL)
        market.order(A, BUY, 4, 110, self_trade=1)
        market.order(A, BUY, 4, 105)
        market.order(A, SELL, 5, 90, self_trade=2)
        market.order(B, SELL, 3, 105)
        assert market.set_state(OPEN)[1:-1] == [
            "UNCROSSED 8 at 105 surplus 0",
            "TRADE 3 with 1: 4 at 105",
            "TRADE 3 with 2: 1 at 105",
            "TRADE 4 with 2: 3 at 105",
        ]
        market.machine.check_all()
        assert market.orders() == []

    def test_market_orders_rest_at_the_collar(self):
        """Best of their side, and without a limit order the price is the reference."""
        market = Market(collar_ppm=100_000)
        market.order(A, BUY, 4, 0, order_type=OrderType.MARKET, **AT_OPEN)
        market.order(B, SELL, 6, 0, order_type=OrderType.MARKET, **AT_OPEN)
        market.set_state(CALL)
        market.order(A, BUY, 1, 110)
        assert market.set_state(OPEN) == [
            "UNCROSSING OPERATOR",
            "UNCROSSED 5 at 110 surplus -1",
            "TRADE 2 with 1: 4 at 110",
            "TRADE 3 with 2: 1 at 110",
            "OPEN UNCROSSED",
            "CANCELED 2 EXPIRED",
        ]
        market.set_state(PRE_OPEN)
        market.order(A, BUY, 4, 0, order_type=OrderType.MARKET, **AT_OPEN)
        market.order(B, SELL, 6, 0, order_type=OrderType.MARKET, **AT_OPEN)
        market.order(A, BUY, 4, 0, order_type=OrderType.MARKET, **AT_OPEN)

    @pytest.mark.parametrize("is_restarted", [False, True])
    def test_an_uncross_goes_on_over_many_commands(self, is_restarted):
        """64 pairs each, at the price determined at first, whatever happens in between."""
        market = Market()
        market.set_state(CALL)
        for number in range(3 * STEPS):
            market.order(A, BUY, 2, 100 + number % 3)
            market.order(B, SELL, 1, 100)
            market.order(B, SELL, 1, 99)
        told = market.set_state(OPEN)
        assert told[1] == f"UNCROSSED {6 * STEPS} at 100 surplus 0"
        pairs = told[2:]
        while told[-1] != "OPEN UNCROSSED":
            if is_restarted:
                market.restart()
            told = market.run(build.continue_work())
            assert len(told) <= 2 * STEPS + 1
            pairs += told
        assert len(pairs) == 6 * STEPS + 1
        assert all(one.endswith("at 100") for one in pairs[:-1])
        assert market.orders() == []
