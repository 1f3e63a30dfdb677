"""What the exporter makes of the events: counted one by one here, in arrays there; gauges as the venue stands."""

import random

import numpy as np
import pytest

from kk99 import build
from kk99.exporter import market as markets
from kk99.exporter.market import Market
from kk99.metrics.figures import Figures
from kk99.schema import EventKind, MarketState, RejectCode, Side
from tests.core.breakers import BUY, OFF, SELL, START, WHO, A, B, Venue


class Watched(Venue):
    """A venue whose events a market takes in, each command's as a frame."""

    def __init__(self, count=1, reference=0):
        self.market = Market()
        self.market.begin(0, [])
        self.rows = []
        super().__init__(count, reference)

    def run(self, *items):
        """Apply commands, one by one."""
        for item in items:
            events = self.machine.apply_all(build.stamp(item, self.machine.seq + 1, START + int(self.second * 1e9)))
            self.market.take(events, 0)
            self.rows += list(events.rows.copy())
        return []

    @property
    def samples(self):
        """All figures."""
        figures = Figures("exporter")
        self.market.add_to(figures)
        return figures.samples


def mixed(seed):
    """A venue of three markets in which orders of two accounts were entered, met and canceled at random."""
    rng = random.Random(seed)
    venue = Watched(3)
    venue.open(1, 2, 3)
    for _ in range(300):
        account, number = rng.choice((A, B)), rng.randint(1, 3)
        venue.run(
            build.order_new(account, number, rng.choice((BUY, SELL)), rng.randint(0, 5), rng.randint(990, 1_010))
            if rng.random() < 0.8
            else build.mass_cancel(account, number)
        )
    return venue


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_the_events_one_by_one(seed):
    """Events by kind, trades by instrument, rejects and cancels by reason, and orders that live."""
    venue = mixed(seed)
    samples = venue.samples
    for kind in EventKind:
        assert samples["kk99_events_total"][kind.name,] == sum(row["kind"] == kind for row in venue.rows)
    for number in (1, 2, 3):
        traded = [row for row in venue.rows if row["kind"] == EventKind.TRADE and row["instrument_id"] == number]
        assert samples["kk99_trades_total"][f"I{number}",] == len(traded) > 0
    rejected = [int(row["reason"]) for row in venue.rows if row["kind"] == EventKind.REJECTED]
    for code in RejectCode:
        assert samples["kk99_rejects_total"][code.name,] == rejected.count(code)
    assert rejected
    canceled = sum(row["kind"] == EventKind.ORDER_CANCELED for row in venue.rows)
    assert sum(samples["kk99_orders_canceled_total"].values()) == canceled > 0
    assert samples["kk99_orders_live"]["standing",] == venue.market.view.standing


@pytest.mark.parametrize("seed", range(3))
def test_the_spread_is_that_of_the_best_prices(seed):
    """Of each open market with both sides: twice the difference by the sum of the best bid and ask."""
    venue = mixed(seed)
    view, wanted = venue.market.view, {}
    for number in (1, 2, 3):
        bids, asks = (view.ladder(number, side, 1) for side in (Side.BUY, Side.SELL))
        if bids and asks:
            bid, ask = bids[0].price_ticks, asks[0].price_ticks
            wanted[f"I{number}",] = 2 * (ask - bid) / (ask + bid)
    assert venue.samples.get("kk99_market_spread_ratio", {}) == wanted
    venue.set_state(MarketState.HALTED, 1)
    assert ("I1",) not in venue.samples.get("kk99_market_spread_ratio", {})


def test_halts_trips_and_recoveries_are_counted():
    """A breaker's trip halts, its recovery ends the halt; an operator's halt is another; all begin at 0."""
    venue = Watched()
    venue.run(build.breaker("I1", **{**OFF, "move_ppm": 50_000, "cancel_only_s": 10, "call_s": 10}, **WHO))
    venue.open()
    assert venue.samples["kk99_breaker_trips_total"]["I1", "MOVE"] == 0
    assert venue.samples["kk99_market_halted"]["I1",] == 0
    venue.trade(1_000, 1_100)
    samples = venue.samples
    assert samples["kk99_breaker_trips_total"]["I1", "MOVE"] == 1
    assert samples["kk99_market_halts_total"]["I1", "breaker"] == 1
    assert samples["kk99_market_halted"]["I1",] == 1
    assert samples["kk99_breaker_recoveries_total"]["I1",] == 0
    for second in (11, 22, 23):
        venue.at(second)
    samples = venue.samples
    assert samples["kk99_breaker_recoveries_total"]["I1",] == 1
    assert (samples["kk99_market_halted"]["I1",], samples["kk99_markets"]["OPEN",]) == (0, 1)
    venue.set_state(MarketState.HALTED)
    assert venue.samples["kk99_market_halts_total"]["I1", "operator"] == 1


def test_stress_and_alerts_are_told_as_they_come():
    """Stress is unknown until it is told; a volume alert counts, and halts nothing."""
    venue = Watched()
    venue.run(build.breaker("I1", **{**OFF, "move_ppm": 100_000, "stress_s": 1, "stress_step": 1}, **WHO))
    venue.open()
    assert "kk99_market_stress" not in venue.samples
    venue.trade(1_000, 1_050)
    venue.at(2)
    assert venue.samples["kk99_market_stress"]["I1",] == 50


def test_a_halt_of_a_group_is_its_members_too():
    """The group's own trip has the group's name."""
    venue = Watched()
    venue.run(build.market_group("all", **WHO), build.breaker("I1", **{**OFF, "group": "all"}, **WHO))
    venue.open()
    venue.run(build.group_index(1, 90, 100))
    venue.at(1)
    samples = venue.samples
    assert samples["kk99_breaker_trips_total"]["group 1", "MARKET_WIDE"] == 1
    assert samples["kk99_breaker_trips_total"]["I1", "MARKET_WIDE"] == 1
    assert samples["kk99_market_halts_total"]["I1", "group"] == 1


def test_a_new_image_keeps_the_counts():
    """After a loss of the stream gauges are the image's, and counts go on from where they were."""
    venue = mixed(5)
    before = venue.samples
    venue.market.begin(venue.machine.seq, [venue.machine.image()])
    after = venue.samples
    for name in ("kk99_events_total", "kk99_trades_total", "kk99_rejects_total", "kk99_orders_canceled_total"):
        assert after[name] == before[name]
    assert after["kk99_orders_live"] == before["kk99_orders_live"]
    assert after.get("kk99_market_spread_ratio") == before.get("kk99_market_spread_ratio")


def test_nothing_is_told_of_a_venue_that_is_not_known_yet():
    """Before the first image there are counts of 0, and no gauge that would look like a calm market."""
    figures = Figures("exporter")
    Market().add_to(figures)
    assert "kk99_markets" not in figures.samples
    assert set(figures.samples["kk99_events_total"].values()) == {0}


def test_lag_is_counted_in_events():
    """Behind by some commands is behind by their events, to the mark; what was not seen counts one a command."""
    venue = mixed(7)
    total, last_seq = len(venue.rows), venue.machine.seq
    for seq in (0, 50, 200, last_seq - 1, last_seq):
        exact = sum(int(row["cause_seq"]) > seq for row in venue.rows)
        found = venue.market.lag_events(seq, last_seq)
        assert exact <= found <= exact + 2 * markets.MARK_EVENTS
    assert venue.market.lag_events(last_seq, last_seq) == 0
    assert venue.market.lag_events(last_seq, last_seq + 5) == 5
    assert venue.market.lag_events(0, last_seq + 5) == total + 5


def test_marks_are_bounded(monkeypatch):
    """However long it runs, so many marks are kept; before them a lag counts one event a command."""
    monkeypatch.setattr(markets, "MARK_EVENTS", 1)
    monkeypatch.setattr(markets, "MARKS_MAX", 20)
    venue = mixed(9)
    assert len(venue.market._marks) <= 20
    first_seq = venue.market._marks[0][0]
    inside, before = (venue.market.lag_events(seq, venue.machine.seq) for seq in (first_seq, first_seq - 10))
    assert before == inside + 10
    assert np.all(np.diff([seq for seq, _ in venue.market._marks]) > 0)
