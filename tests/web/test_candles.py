"""Candles are what a plain recomputation from the trades gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.web.candles import CANDLES_MAX, DAY_S, INTERVALS_S, SECOND_NS, Candle, Candles, Statistics

START_S = 1_700_000_000
steps = st.lists(
    st.tuples(st.integers(0, 200 * SECOND_NS), st.integers(1, 1_000), st.integers(1, 1_000)), min_size=1, max_size=60
)


def trades_of(taken):
    """Trades (time_ns, price, quantity) whose times rise by the steps given."""
    time_ns, trades = START_S * SECOND_NS, []
    for step_ns, price, qty in taken:
        time_ns += step_ns
        trades.append((time_ns, price, qty))
    return trades


def recomputed(trades, seconds):
    """The candles of trades, each made by looking at all of its trades at once."""
    opens = sorted({time_ns // SECOND_NS // seconds * seconds for time_ns, _, _ in trades})
    found = []
    for begin in opens:
        mine = [(p, q) for time_ns, p, q in trades if begin * SECOND_NS <= time_ns < (begin + seconds) * SECOND_NS]
        prices = [price for price, _ in mine]
        found.append(Candle(begin, prices[0], max(prices), min(prices), prices[-1], sum(q for _, q in mine), len(mine)))
    return found


@given(steps)
def test_candles_are_those_of_the_trades(taken):
    """Of every interval: open, high, low, close, volume and count."""
    trades, candles = trades_of(taken), Candles()
    for trade in trades:
        candles.trade(*trade)
    for name, seconds in INTERVALS_S.items():
        assert candles.latest(name, CANDLES_MAX) == recomputed(trades, seconds)


@given(steps, st.integers(0, 59))
def test_candles_since_one_are_it_and_all_later(taken, at):
    """Whatever candle was told last: it, as it may have gone on, and those after it."""
    trades, candles = trades_of(taken), Candles()
    for trade in trades:
        candles.trade(*trade)
    for name in INTERVALS_S:
        known = candles.latest(name, CANDLES_MAX)
        begin = known[min(at, len(known) - 1)].open_time_s
        assert candles.since(name, begin) == [one for one in known if one.open_time_s >= begin]


def test_only_so_many_candles_are_kept():
    """The oldest leaves when one more than CANDLES_MAX begins; fewer can be asked for."""
    candles = Candles()
    for second in range(CANDLES_MAX + 1):
        candles.trade((START_S + second) * SECOND_NS, 1, 1)
    kept = candles.latest("1s", CANDLES_MAX + 5)
    assert [kept[0].open_time_s, len(kept)] == [START_S + 1, CANDLES_MAX]
    assert candles.latest("1s", 1) == kept[-1:]


@pytest.mark.parametrize(("age_s", "counts"), [(DAY_S - 60, True), (DAY_S + 60, False)])
def test_statistics_are_of_the_last_day(age_s, counts):
    """A trade within 24 hours counts, an older one does not."""
    candles = Candles()
    candles.trade(START_S * SECOND_NS, 7, 3)
    expected = Statistics(7, 7, 7, 7, 3, 1) if counts else Statistics(0, 0, 0, 0, 0, 0)
    assert candles.statistics((START_S + age_s) * SECOND_NS) == expected
