"""A fill-or-kill order is filled exactly when the same order as immediate-or-cancel would be, icebergs or not."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99 import build, schema
from kk99.schema import CancelReason, EventKind, MarketState, OrderType, SelfTrade, Side, TimeInForce
from tests.core.market import BUY, SELL, WHO, A, B, Market
from tests.core.python_lane import python_lane

LANE = python_lane()
FEW = 9
"""Orders that an aggressor may meet here."""
GUARDS = st.sampled_from((SelfTrade.ALLOW, SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH))
FILLS = schema.FILLS_PER_COMMAND_MAX


@dataclass
class Ask:
    """An order that rests."""

    account: int
    price: int
    qty: int
    display: int
    refill: int

    def command(self):
        """The command that enters it."""
        shown = {"display_qty_lots": min(self.display, self.qty)}
        shown["refill_qty_lots"] = min(self.refill, self.qty) if self.display else 0
        return build.order_new(self.account, 1, SELL, self.qty, self.price, **shown)


ASKS = st.lists(
    st.builds(
        Ask, st.sampled_from((A, B, B)), st.integers(100, 102), st.integers(1, 12), st.integers(0, 3), st.integers(0, 3)
    ),
    max_size=6,
)


@pytest.fixture(autouse=True)
def few_meetings(monkeypatch):
    """Let an aggressor of the python lane meet few orders, so that the bound is near."""
    monkeypatch.setattr(LANE.matching, "FILLS_MAX", FEW)


def filled_lots(asks, qty, guard, force):
    """What an order of A trades against these."""
    market = Market()
    market.machine = LANE.machine.Machine()
    market.run(
        build.asset("USD", 0, **WHO), build.asset("BTC", 0, **WHO),
        build.instrument("X", "BTC", "USD", tick_units=1, lot_units=1, max_price_ticks=200, max_qty_lots=99, **WHO),
        build.account("A", "A", **WHO), build.account("B", "B", **WHO),
        *[build.deposit(account, asset, 1 << 40) for account in (A, B) for asset in (1, 2)],
        build.instrument_state(1, MarketState.OPEN, **WHO),
        *[ask.command() for ask in asks],
    )  # fmt: skip
    item = build.order_new(A, 1, BUY, qty, 101, time_in_force=force, self_trade=guard)
    rows = market.machine.apply_all(build.stamp(item, market.machine.seq + 1, market.time_ns)).rows
    return int(rows["qty_lots"][rows["kind"] == EventKind.TRADE].sum())


@given(ASKS, st.integers(1, 30), GUARDS)
def test_it_is_filled_when_all_of_it_would_be(asks, qty, guard):
    """Near the bound of orders met, with parts that alternate, own orders passed over, canceled or in the way."""
    expected = filled_lots(asks, qty, guard, TimeInForce.IOC)
    assert filled_lots(asks, qty, guard, TimeInForce.FOK) == (qty if expected == qty else 0)


class TestManyParts:
    """An iceberg of more parts than an aggressor may meet."""

    @staticmethod
    def _market():
        market = Market()
        market.set_state(MarketState.OPEN)
        market.order(B, SELL, FILLS + 10, 100, display_qty_lots=1)
        return market

    @pytest.mark.parametrize(
        ("qty", "terms", "reason"),
        [
            (5, {"time_in_force": TimeInForce.FOK}, 0),
            (FILLS, {"time_in_force": TimeInForce.FOK}, 0),
            (FILLS + 1, {"time_in_force": TimeInForce.FOK}, CancelReason.FOK),
            (FILLS + 9, {"min_qty_lots": FILLS}, CancelReason.FILL_LIMIT),
            (FILLS + 9, {"min_qty_lots": FILLS + 1}, CancelReason.MIN_QTY),
        ],
    )
    def test_only_those_that_are_needed_count(self, qty, terms, reason):
        """As many parts as an aggressor may meet can be had, one more cannot."""
        market = self._market()
        item = build.order_new(A, 1, Side.BUY, qty, 100, order_type=OrderType.LIMIT, **terms)
        rows = market.machine.apply_all(build.stamp(item, market.machine.seq + 1, market.time_ns)).rows
        trades, canceled = (rows[rows["kind"] == kind] for kind in (EventKind.TRADE, EventKind.ORDER_CANCELED))
        assert canceled["reason"].tolist() == ([reason] if reason else [])
        assert len(trades) == (min(qty, FILLS) if reason in {0, CancelReason.FILL_LIMIT} else 0)
