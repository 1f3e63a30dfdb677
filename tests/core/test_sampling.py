"""Stress and correlation, which a circuit breaker measures by the clock: the formulas of circuit-breaker.md."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99 import build, schema
from kk99.schema import MarketState
from tests.core.breakers import BUY, LANE, SELL, WHO, A, Venue, opened

LAY, BL = LANE.layout, LANE.breaker_layout


# Correlation ----------------------------------------------------------------------------------------------------------


def correlation(samples):
    """The correlation of samples, by the kernel."""
    memory = LANE.state.State().words
    at = LAY.breaker(1)
    memory[at + BL.B_SAMPLES] = memory[at + BL.B_SAMPLED] = len(samples)
    for place, (x, y) in enumerate(samples):
        memory[at + BL.B_RETURNS + place] = LANE.memory.pair(x, y)
    return LANE.sampling.correlation(memory, at)


def expected(samples):
    """The correlation by the page's formula, None without one."""
    n, xs, ys = len(samples), [x for x, _ in samples], [y for _, y in samples]
    c = n * sum(x * y for x, y in samples) - sum(xs) * sum(ys)
    u, v = (n * sum(x * x for x in one) - sum(one) ** 2 for one in (xs, ys))
    d = math.isqrt(u << 22) * math.isqrt(v << 22) >> 22
    return max(-schema.PPM, min(schema.PPM, c * schema.PPM // d)) if d else None


RETURNS = st.integers(-schema.RETURN_MAX, schema.RETURN_MAX)


@given(st.lists(st.tuples(RETURNS, RETURNS), min_size=2, max_size=schema.CORRELATION_SAMPLES_MAX))
def test_correlation_is_the_formula(samples):
    """Of any samples, and near the correlation in real numbers."""
    found, wanted = correlation(samples), expected(samples)
    assert found == (LANE.sampling.NO_CORRELATION if wanted is None else wanted)
    if wanted is not None:
        xs, ys = zip(*samples, strict=True)
        x, y = sum(xs) / len(xs), sum(ys) / len(ys)
        real = sum((a - x) * (b - y) for a, b in samples)
        real /= math.sqrt(sum((a - x) ** 2 for a in xs) * sum((b - y) ** 2 for b in ys))
        assert abs(found - real * schema.PPM) < 2_000


@pytest.mark.parametrize(
    ("samples", "answer"),
    [
        ([(100, 200), (-100, -200), (300, 500)], 996_618),
        ([(100, 200), (-100, -200), (300, -500)], -427_123),
        ([(10_000, 10_000), (-10_000, -10_000)], 1_000_000),
        ([(10_000, -10_000), (-10_000, 10_000)] * 32, -1_000_000),
        ([(5, 7)] * 30, LANE.sampling.NO_CORRELATION),
    ],
)
def test_examples_of_correlation(samples, answer):
    """Those of the page, and the largest sums."""
    assert correlation(samples) == answer


@given(st.integers(0, 1 << 62))
def test_a_root_is_whole_and_exact(square):
    """As the standard library's."""
    assert LANE.sampling.root(square) == math.isqrt(square)


@pytest.mark.parametrize(
    ("price", "before", "answer"), [(101, 100, 1_000), (99, 100, -1_000), (2, 3, -10_000), (9_999, 10_001, -20)]
)
def test_returns_are_rounded_down_and_bounded(price, before, answer):
    """In hundred-thousandths, at most a tenth."""
    assert LANE.sampling.return_of(price, before) == answer


def test_a_correlation_that_breaks_is_told_once():
    """By the last n samples, and again only after it was whole; without the other market open there are none."""
    venue = Venue(2)
    venue.breaker(correlation_with="I2", correlation_min_ppm=500_000, correlation_samples=3, correlation_s=60)
    venue.open(1, 2)
    second, told = 0, []
    for mine, other in [(1_000, 1_000), (1_010, 1_020), (1_000, 1_000), (1_010, 1_020)]:
        told += venue.trade(mine, number=1) + venue.trade(other, number=2)
        second += 60
        told += venue.at(second)
    assert told == []
    told = venue.trade(1_000, number=1) + venue.trade(1_040, number=2) + venue.at(300)
    assert told == []
    samples = [(1_000, 2_000), (-991, 1_960), (1_000, -2_020)]
    told = venue.trade(1_010, number=1) + venue.trade(1_019, number=2) + venue.at(360)
    assert told == [f"ALERT CORRELATION at 0: {expected(samples)} of 500000"]
    assert venue.at(420) == []
    venue.set_state(MarketState.HALTED, 2)
    assert venue.at(480) == []
    breaker_at = LAY.breaker(1)
    words = venue.machine.state.words
    assert (words[breaker_at + BL.B_BASE], words[breaker_at + BL.B_SAMPLED]) == (0, 6)


# Stress ---------------------------------------------------------------------------------------------------------------


def test_stress_is_the_greatest_part_and_a_quarter_of_the_others():
    """Move half of its threshold, spread a quarter, band four tenths: 50 + 65 // 4; told when it changed by a step."""
    venue = opened(10_000, move_ppm=100_000, spread_ppm=20_000, static_band_ppm=100_000, stress_s=10, stress_step=10)
    venue.trade(9_900)
    assert venue.at(10) == ["STRESS STATIC_BAND at 9900: 10 of 0"]
    venue.trade(10_400)
    venue.order(A, BUY, 1, 10_374)
    venue.order(A, SELL, 1, 10_426)
    assert venue.at(19.9) == []
    assert venue.at(20) == ["STRESS MOVE at 10400: 66 of 10"]
    venue.order(A, BUY, 1, 10_426)  # no spread now: 50 + 42 // 4
    assert venue.at(30) == []
    assert venue.at(95) == ["STRESS STATIC_BAND at 10426: 42 of 66"]
    venue.set_state(MarketState.HALTED)
    assert venue.at(200) == []
    venue.open()
    assert venue.at(209.9) == []
    venue.run(build.reference_price(1, 10_426, **WHO))
    assert venue.at(210) == ["STRESS at 10426: 0 of 42"]


@pytest.mark.parametrize(
    ("measure", "threshold", "answer"),
    [(0, 7, 0), (50_000, 100_000, 50), (999, 1_000, 99), (7, 7, 100), (9, 7, 100), (9, 0, 0)],
)
def test_a_part_of_stress(measure, threshold, answer):
    """Hundredths of the threshold, rounded down, at most 100, 0 when off."""
    assert LANE.sampling.part(measure, threshold) == answer
