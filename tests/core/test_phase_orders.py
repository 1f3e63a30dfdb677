"""Orders that end with a phase of the market, and those that wait for one."""

import pytest

from kk99 import build
from kk99.core import layout
from kk99.schema import MarketState, OrderType, TimeInForce
from tests.core.market import (
    AT_CLOSE,
    AT_OPEN,
    BUY,
    DAY_ORDER,
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
OPEN, HALTED, CLOSED, CALL = MarketState.OPEN, MarketState.HALTED, MarketState.CLOSED, MarketState.CALL


class TestEndOfPhase:
    """Orders that end with a phase, and those that wait for one."""

    def test_day_orders_end_when_the_market_closes(self):
        """Oldest first, in whatever call or book; others stay."""
        market = Market()
        market.set_state(OPEN)
        market.order(A, BUY, 1, 50, **DAY_ORDER)
        market.order(A, BUY, 1, 51)
        market.order(B, SELL, 1, 150, **DAY_ORDER)
        stop = build.stop(A, 1, SELL, 1, 40, time_in_force=TimeInForce.DAY)
        market.run(stop)
        assert market.set_state(HALTED) == ["HALTED OPERATOR"]
        assert market.set_state(CLOSED) == [
            "CLOSED OPERATOR",
            "CANCELED 1 EXPIRED",
            "CANCELED 3 EXPIRED",
            "CANCELED 4 EXPIRED",
        ]

    @pytest.mark.parametrize("is_restarted", [False, True])
    def test_they_end_in_bounded_steps(self, is_restarted):
        """64 a command; what enters after the market opened again is of the next day."""
        market = Market()
        market.set_state(OPEN)
        for number in range(5 * STEPS):
            market.order(A, BUY, 1, 20 + number % 50, **DAY_ORDER)
        told = market.set_state(CLOSED)
        assert len(told) == 1 + STEPS
        told = market.set_state(OPEN)
        assert told.count("OPEN OPERATOR") == 1
        if is_restarted:
            market.restart()
        young = market.order(A, BUY, 1, 60, **DAY_ORDER)
        market.clock(at(5))
        assert market.orders() == [young]

    def test_orders_for_the_close_wait_for_its_call(self):
        """They join it in the order of their entry, and what it did not trade ends; a canceled one is not missed."""
        market = Market(*DAY_PHASES)
        market.clock(at(10))
        first = market.order(A, BUY, 5, 100, **AT_CLOSE)
        second = market.order(A, BUY, 5, 0, **MARKET_AT_CLOSE)
        third = market.order(B, SELL, 4, 100, **AT_CLOSE)
        market.order(A, BUY, 5, 100)
        assert market.run(build.order_cancel(A, first)) == [f"CANCELED {slot_of(first)} REQUESTED"]
        call = ["CALL CLOSING SCHEDULE until 0d17:05", f"TRIGGERED {slot_of(second)}", f"TRIGGERED {slot_of(third)}"]
        assert market.clock(at(17)) == call
        late = market.order(B, SELL, 2, 100, **AT_CLOSE)
        assert market.clock(at(17, 0) + SECOND) == ["INDICATIVE 6 at 100 surplus 4"]
        assert market.clock(at(17, 5)) == [
            "UNCROSSING SCHEDULE",
            "UNCROSSED 6 at 100 surplus 4",
            f"TRADE {slot_of(third)} with {slot_of(second)}: 4 at 100",
            f"TRADE {slot_of(late)} with {slot_of(second)}: 1 at 100",
            f"TRADE {slot_of(late)} with 4: 1 at 100",
            "CLOSED UNCROSSED until 1d08:00",
        ]

    @pytest.mark.parametrize("is_restarted", [False, True])
    def test_they_join_in_bounded_steps(self, is_restarted):
        """64 a command while the call lasts; the rest waits on, and ends when the market closes."""
        market = Market()
        market.set_state(OPEN)
        ids = [market.order(A, BUY, 1, 20 + number % 90, **AT_CLOSE) for number in range(5 * STEPS)]
        market.run(build.order_cancel(A, ids[0]), build.order_cancel(A, ids[2]))
        market.run(build.trading_schedule("close", [phase("CLOSING_CALL", 5), phase("OPEN", 6)], **WHO))
        market.run(build.instrument_change("BTC/USD", trading_schedule="close", **WHO))
        told = market.run(build.clock(), time_ns=at(5))
        assert told[:4] == ["CALL CLOSING SCHEDULE until 0d06:00", "TRIGGERED 2", "TRIGGERED 4", "TRIGGERED 5"]
        assert len(told) == 2 * STEPS
        if is_restarted:
            market.restart()
        told = market.set_state(HALTED)
        assert told[:2] == [f"TRIGGERED {2 * STEPS + 2}", f"TRIGGERED {2 * STEPS + 3}"]
        assert len(told) == STEPS + 1
        assert market.clock(at(5, 1)) == []
        assert waiting(market) == 2 * STEPS - 1
        assert len(market.set_state(CLOSED)) == 1 + STEPS
        market.clock(at(5, 2))
        assert waiting(market) == 0
        assert market.orders() == []

    def test_what_enters_after_the_end_of_the_call_stays(self):
        """Also by the very command before which the uncross ended and the orders of the call expired."""
        market = Market(phase("CLOSING_CALL", 5), phase("OPEN", 6))
        market.clock(at(5))
        market.order(A, BUY, 1, 100, **AT_CLOSE)
        market.time_ns = at(6)
        young = market.order(A, BUY, 1, 100, **AT_CLOSE)
        market.clock(at(6, 1))
        assert market.orders() == [young]

    def test_a_replaced_one_waits_where_it_waited(self):
        """It keeps its turn; one that was left in the book by a halted call waits again once it loses its place."""
        market = Market(phase("CLOSING_CALL", 5), phase("OPEN", 6))
        market.set_state(OPEN)
        first, second = (market.order(A, BUY, 5, 100, **AT_CLOSE) for _ in range(2))
        market.run(build.order_replace(A, first, 9, 101))
        assert market.clock(at(5)) == ["CALL CLOSING SCHEDULE until 0d06:00", "TRIGGERED 1", "TRIGGERED 2"]
        market.set_state(HALTED)
        market.set_state(CALL)
        third = market.order(A, BUY, 5, 100, **AT_CLOSE)
        market.run(build.order_replace(A, second, 9, 102))
        assert waiting(market) == 2
        market.restart()
        market.set_state(OPEN)
        market.run(build.order_cancel(A, first))
        call = ["CALL CLOSING SCHEDULE until 1d06:00", f"TRIGGERED {slot_of(second)}", f"TRIGGERED {slot_of(third)}"]
        assert market.clock(at(5) + 24 * 3600 * SECOND)[-3:] == call

    def test_a_level_is_kept_for_each_that_waits(self):
        """So that all can join, however many levels there are then; it is given back when it joins or ends."""
        market = Market()
        market.set_state(OPEN)
        ids = [market.order(A, BUY, 1, 100, **AT_CLOSE) for _ in range(3)]
        assert levels(market) == 3
        market.restart()
        assert levels(market) == 3
        market.run(build.order_cancel(A, ids[1]))
        assert levels(market) == 2

    def test_orders_for_the_opening_end_with_it(self):
        """After its uncross, also when the market closes then."""
        market = Market()
        market.order(A, BUY, 1, 50, **AT_OPEN)
        market.set_state(CALL)
        market.order(B, SELL, 1, 150, **AT_OPEN)
        assert market.set_state(CLOSED)[2:] == ["CLOSED UNCROSSED", "CANCELED 1 EXPIRED", "CANCELED 2 EXPIRED"]


def waiting(market):
    """How many orders wait for the closing call."""
    state = market.machine.state
    extras = state.records(layout.EXTRAS, state.header(layout.H_EXTRA_TOP) + 1, layout.EXTRA_WORDS)
    is_live = extras[:, layout.X_ORDER] > 0
    return int(((extras[:, layout.X_PLACE] & 0xFFFFFFFF == layout.P_WAITING) & is_live).sum())


def levels(market):
    """How many price levels are in use or kept."""
    return int(market.machine.state.scalars[layout.S_LEVELS])
