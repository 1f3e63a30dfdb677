"""The terminal's view of what hides, waits and stops for auctions: what it shows is what others can meet."""

import io

import numpy as np
import pytest
from rich.console import Console

from kk99 import batch, build, schema
from kk99.machine import Machine
from kk99.schema import CallPurpose, EventKind, MarketState, Side, TimeInForce
from kk99.terminal.model import View
from kk99.terminal.screen import Status, picture
from tests.replay import venue
from tests.replay.venue import ALICE, BOB, BY

FIRST = 1 << schema.ORDER_SLOT_BITS


class Market:
    """A machine and a view that follows its events, from the venue's set-up on."""

    def __init__(self, *items):
        self.machine, self.view = Machine(), View()
        commands = venue.stamped([*venue.setup(), *items])
        self.view.take(self.machine.apply_all(commands), 0)

    def do(self, *items):
        """Apply commands as one frame, and hold the view against one that begins with an image."""
        commands = build.stamp(build.batch_of(items), self.machine.seq + 1, self.machine.time_ns + 1)
        self.view.take(self.machine.apply_all(commands), 0)
        fresh = View()
        fresh.begin(self.machine.seq, [self.machine.image()])
        for side in (Side.BUY, Side.SELL):
            assert self.view.ladder(1, side, 99) == fresh.ladder(1, side, 99)
        assert (self.view.standing, self.view.dormant) == (fresh.standing, fresh.dormant)
        assert (self.view.markets, self.view.calls) == (fresh.markets, fresh.calls)

    def shown(self, side):
        """(price, quantity) of a side's levels."""
        return [(level.price_ticks, level.qty_lots) for level in self.view.ladder(1, side, 9)]


def test_an_iceberg_shows_its_display_only():
    """Fills take from what is shown, a refresh shows anew, a replace and the entry itself follow the rules."""
    market = Market()
    market.do(build.order_new(BOB, 1, Side.BUY, 4, 105))
    market.do(build.order_new(ALICE, 1, Side.SELL, 20, 105, display_qty_lots=5, refill_qty_lots=3))
    assert market.shown(Side.SELL) == [(105, 5)]
    market.do(build.order_new(BOB, 1, Side.BUY, 2, 105))
    assert market.shown(Side.SELL) == [(105, 3)]
    market.do(build.order_new(BOB, 1, Side.BUY, 4, 105))
    assert market.shown(Side.SELL) == [(105, 2)]
    iceberg = FIRST | 2
    market.do(build.order_replace(ALICE, iceberg, 11, 105))
    assert market.shown(Side.SELL) == [(105, 1)]
    market.do(build.order_replace(ALICE, iceberg, 30, 106))
    assert market.shown(Side.SELL) == [(106, 5)]
    market.do(build.order_cancel(ALICE, iceberg), build.order_new(ALICE, 1, Side.SELL, 9, 106))
    assert market.shown(Side.SELL) == [(106, 9)]


def test_dormant_orders_are_in_no_ladder():
    """They are counted apart until they are triggered; so are legs that another order holds for."""
    market = Market()
    market.do(
        build.order_new(ALICE, 1, Side.SELL, 9, 105),
        build.stop_limit(BOB, 1, Side.BUY, 5, 105, 104),
        build.oco(ALICE, 1, Side.SELL, 6, 120, 95, stop_limit_price_ticks=94),
    )
    assert (market.view.standing, market.view.dormant) == (2, 2)
    assert market.shown(Side.BUY) == []
    assert market.shown(Side.SELL) == [(105, 9), (120, 6)]
    market.do(build.order_new(BOB, 1, Side.BUY, 1, 105))
    assert market.shown(Side.BUY) == [(104, 5)]
    assert (market.view.standing, market.view.dormant) == (3, 1)


def test_orders_for_the_close_show_in_the_closing_call():
    """Before it they wait in no book; the state and the purpose of the call are the venue's."""
    day = [{"at_s": at_s, "days": 127, "phase": phase} for at_s, phase in ((81_000, "CLOSING_CALL"), (82_000, "OPEN"))]
    market = Market(
        build.trading_schedule("day", day, **BY), build.instrument_change("BTC-USD", trading_schedule="day", **BY)
    )
    market.do(build.order_new(BOB, 1, Side.BUY, 5, 99, time_in_force=TimeInForce.AT_CLOSE))
    assert market.shown(Side.BUY) == []
    closing_ns = market.machine.next_timer_ns()
    market.view.take(market.machine.apply_all(build.stamp(build.clock(), market.machine.seq + 1, closing_ns)), 0)
    market.do(build.clock())
    assert market.view.markets[1] == MarketState.CALL
    assert market.view.calls[1] == CallPurpose.CLOSING
    assert market.shown(Side.BUY) == [(99, 5)]


def test_the_picture_says_what_a_call_is_for():
    """An auction call is named with its purpose, and dormant orders are counted."""
    market = Market(build.stop_limit(BOB, 1, Side.BUY, 5, 105, 104))
    market.do(build.instrument_state(1, MarketState.CALL, **BY))
    console = Console(width=132, height=45, file=io.StringIO())
    console.print(picture(market.view, Status()))
    assert "recovery-call" in console.file.getvalue().replace(" ", "-")
    assert "dormant now" in console.file.getvalue()


@pytest.mark.parametrize("frame", [1, 3, 50])
def test_any_frames_lead_to_the_same_view(frame):
    """However the events of a run are cut into frames, the ladder in the end is that of an image."""
    machine = Machine()
    events = machine.apply_all(venue.advanced_run())
    view = View()
    for start in range(0, len(events.rows), frame):
        view.take(batch.Events(events.rows[start : start + frame], events.tail), 0)
    fresh = View()
    fresh.begin(machine.seq, [machine.image()])
    for side in (Side.BUY, Side.SELL):
        assert view.ladder(1, side, 99) == fresh.ladder(1, side, 99)
    assert (view.standing, view.dormant) == (fresh.standing, fresh.dormant)
    assert view.counts[EventKind.ORDER_REFRESHED] == np.count_nonzero(events.rows["kind"] == EventKind.ORDER_REFRESHED)
