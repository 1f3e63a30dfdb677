"""Slices of execution algorithms: the page's examples, exact sums, rising times, and that the venue takes them."""

import math
import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99 import build
from kk99.build import schedules
from kk99.directory import Directory
from kk99.directory.decisions import Reject
from kk99.errors import InputError
from kk99.schema import QTY_LOTS_MAX, SLICES_MAX, Side

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "execution-algorithms.md"
HOUR = 3_600 * 1_000_000_000
WEIGHTS = st.lists(st.one_of(st.integers(0, 1 << 40), st.floats(0, 1e300)), min_size=1, max_size=SLICES_MAX).filter(any)
STEPS = st.integers(1, 1 << 40)


def test_the_examples_on_the_page_are_what_the_page_says(capsys):
    """The blocks of code, one after the other, print what stands below them."""
    text, names = PAGE.read_text(), {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    printed = re.findall(r"```text\n(.*?)```", text[text.index("## Worked examples") :], re.DOTALL)
    assert capsys.readouterr().out == "".join(printed)


# Lots that add up -----------------------------------------------------------------------------------------------------


@given(STEPS, WEIGHTS, st.integers(1, 1000))
def test_lots_sum_to_the_quantity_and_none_is_a_step_from_its_share(steps, weights, lot_step):
    """Whatever the weights: whole lot steps, the exact sum, nothing without weight, nobody a step off."""
    parts = schedules.allocate(steps * lot_step, weights, lot_step)
    assert sum(parts) == steps * lot_step
    total = sum(map(Fraction, weights))
    for part, weight in zip(parts, weights, strict=True):
        share = Fraction(weight) * steps / total
        assert part % lot_step == 0
        assert abs(part // lot_step - share) < 1
        assert weight or part == 0


@given(STEPS, WEIGHTS)
def test_no_part_that_was_rounded_down_had_the_larger_remainder(steps, weights):
    """Whoever got a step more had at least the remainder of everyone who did not; of equal ones the earlier."""
    parts, total = schedules.allocate(steps, weights), sum(map(Fraction, weights))
    shares = [Fraction(weight) * steps / total for weight in weights]
    rests = [(share - math.floor(share), -at) for at, share in enumerate(shares)]
    up = [rest for part, share, rest in zip(parts, shares, rests, strict=True) if part > share]
    down = [rest for part, share, rest in zip(parts, shares, rests, strict=True) if part < share]
    assert not up or not down or min(up) > max(down)


@pytest.mark.parametrize(
    ("qty", "weights", "lot_step", "parts"),
    [
        (10, [1, 1, 1, 1], 1, [3, 3, 2, 2]),
        (7, [1, 2, 3], 1, [1, 2, 4]),  # 7/6, 14/6, 21/6: the half is the largest remainder
        (90, [60, 20, 0, 40], 10, [50, 10, 0, 30]),
        (QTY_LOTS_MAX, [1], 1, [QTY_LOTS_MAX]),
        (5, [Fraction(1, 3), Fraction(2, 3)], 1, [2, 3]),
        (4, [1e-300, 1e300], 1, [0, 4]),
    ],
)
def test_lots_go_by_largest_remainder(qty, weights, lot_step, parts):
    """Known cases, worked out by hand."""
    assert schedules.allocate(qty, weights, lot_step) == parts


@pytest.mark.parametrize(
    ("qty", "weights", "lot_step", "text"),
    [
        (0, [1], 1, "positive number of lot steps of 1, not 0"),
        (15, [1], 10, "lot steps of 10, not 15"),
        (5, [1], 0, "lot steps of 0"),
        (5, [], 1, "not all 0"),
        (5, [0, 0.0], 1, "not all 0"),
        (5, [1, -1], 1, "not negative"),
        (5, [1, math.nan], 1, "finite"),
        (5, [math.inf], 1, "finite"),
    ],
)
def test_what_cannot_be_parted_is_an_error(qty, weights, lot_step, text):
    """No lots, no whole steps, no weights: the error says which."""
    with pytest.raises(InputError, match=text):
        schedules.allocate(qty, weights, lot_step)


# Times ----------------------------------------------------------------------------------------------------------------


@given(st.integers(1, SLICES_MAX), st.integers(0, 1 << 60))
def test_times_rise_from_the_start_and_lie_before_the_end(count, more_ns):
    """However short the duration is, as long as each slice has a nanosecond."""
    times = schedules.offsets(count + more_ns, count)
    assert times[0] == 0
    assert all(early < late for early, late in pairwise(times))
    assert times[-1] < count + more_ns
    assert len(times) == count


@pytest.mark.parametrize("count", [0, -1, SLICES_MAX + 1, 1 << 60])
def test_a_schedule_has_a_bound(count):
    """No slice, or more than the core takes, is refused before anything of that size is made."""
    for make in (
        lambda: schedules.offsets(HOUR, count),
        lambda: schedules.twap(5, HOUR, count),
        lambda: schedules.shortfall(5, HOUR, count, 1.0),
        lambda: schedules.measured_profile([], 0, HOUR, count),
    ):
        with pytest.raises(InputError, match=f"1 to {SLICES_MAX} slices, not {count}"):
            make()
    with pytest.raises(InputError, match="9 ns are too short for 10 slices"):
        schedules.offsets(9, 10)


def test_empty_slices_follow_until_the_end():
    """Every so often, the last before the end; POV is nothing else; a schedule that gets too long is refused."""
    assert schedules.retried([(0, 4), (3, 3)], 9, 2) == [(0, 4), (3, 3), (5, 0), (7, 0)]
    assert schedules.retried([(0, 4)], 4, 4) == [(0, 4)]
    assert schedules.pov(9, SLICES_MAX, 1)[-1] == (SLICES_MAX - 1, 0)
    with pytest.raises(InputError, match=f"{SLICES_MAX + 1} slices; a schedule has at most"):
        schedules.pov(9, SLICES_MAX + 1, 1)
    for duration_ns, every_ns in ((3, 1), (9, 0)):
        with pytest.raises(InputError, match="does not fit"):
            schedules.retried([(0, 4), (3, 3)], duration_ns, every_ns)


# Measured profiles ----------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 1 << 60), st.integers(1, 1000)), max_size=50),
    st.integers(0, 1 << 60),
    st.integers(SLICES_MAX, schedules.DAY_NS),
    st.integers(1, SLICES_MAX),
)
def test_each_trade_within_the_time_of_day_counts_once(trades, start_ns, duration_ns, count):
    """A trade counts in the slice that begins last before it, whatever its day; none outside of the duration."""
    begins, expected = schedules.offsets(duration_ns, count), [0] * count
    for time_ns, lots in trades:
        since_ns = (time_ns - start_ns) % schedules.DAY_NS
        if since_ns < duration_ns:
            expected[max(at for at in range(count) if begins[at] <= since_ns)] += lots
    assert schedules.measured_profile(trades, start_ns, duration_ns, count) == expected


def test_a_profile_goes_over_midnight_and_is_a_day_at_most():
    """A start at 23:00 and two hours: 00:30 is in the second half."""
    trades = [(23 * HOUR, 5), (24 * HOUR + HOUR // 2, 7), (25 * HOUR, 9), (22 * HOUR, 9)]
    assert schedules.measured_profile(trades, 23 * HOUR, 2 * HOUR, 2) == [5, 7]
    with pytest.raises(InputError, match="a day at most"):
        schedules.measured_profile(trades, 0, schedules.DAY_NS + 1, 2)


# Implementation shortfall ---------------------------------------------------------------------------------------------


def trade_list(kappa, tau, count):
    """The optimal trades of Almgren and Chriss as the paper writes them, of one lot in all."""
    duration = tau * count
    factor = 2 * math.sinh(kappa * tau / 2) / math.sinh(kappa * duration)
    return [factor * math.cosh(kappa * (duration - (number - 0.5) * tau)) for number in range(1, count + 1)]


@given(st.integers(1, 60), st.floats(0.01, 50))
def test_weights_are_those_of_the_formula_and_of_its_holdings(count, urgency):
    """Normed, they are the paper's trade list, which is what its holdings sinh(k(T - t)) / sinh(kT) fall by."""
    weights = schedules.shortfall_weights(count, urgency)
    normed = [weight / math.fsum(weights) for weight in weights]
    held = [math.sinh(urgency * (1 - number / count)) / math.sinh(urgency) for number in range(count + 1)]
    fallen = [before - after for before, after in pairwise(held)]
    assert normed == pytest.approx(trade_list(urgency / count, 1, count), rel=1e-9, abs=1e-12)
    assert normed == pytest.approx(fallen, rel=1e-6, abs=1e-12)
    assert all(early >= late for early, late in pairwise(weights))


def test_the_paper_example():
    """Sigma 0.95, eta 2.5e-6, gamma 2.5e-7, lambda 1e-6, five days: kappa is 0.607 a day."""
    terms = {"volatility": 0.95, "temporary_impact": 2.5e-6, "permanent_impact": 2.5e-7, "duration": 5, "count": 5}
    urgency = schedules.urgency_of(risk_aversion=1e-6, **terms)
    assert urgency / 5 == pytest.approx(math.log(1.19 + math.sqrt(1.19**2 - 1)), rel=1e-12)
    assert schedules.urgency_of(risk_aversion=0, **terms) == 0
    fine = schedules.urgency_of(risk_aversion=1e-6, **terms | {"count": 100})
    assert fine == pytest.approx(5 * math.sqrt(0.9025e-6 / 2.5e-6), rel=0.01)  # many slices: kappa is its limit


@pytest.mark.parametrize("urgency", [0, 1, schedules.URGENCY_MAX])
def test_urgency_from_even_to_all_at_once(urgency):
    """0 is a TWAP; the largest puts everything into the first slice; all are exact."""
    slices = schedules.shortfall(1000, HOUR, 10, urgency)
    assert sum(lots for _, lots in slices) == 1000
    if urgency == 0:
        assert slices == schedules.twap(1000, HOUR, 10)
    if urgency == schedules.URGENCY_MAX:
        assert slices[0] == (0, 1000)


@pytest.mark.parametrize("urgency", [-0.1, math.nan, math.inf, schedules.URGENCY_MAX + 1])
def test_an_urgency_out_of_bounds_is_an_error(urgency):
    """It says what the bounds are."""
    with pytest.raises(InputError, match="0 to 700"):
        schedules.shortfall_weights(5, urgency)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"volatility": -1}, "finite and not negative"),
        ({"volatility": math.inf}, "finite and not negative"),
        ({"duration": 0}, "above 0"),
        ({"temporary_impact": 0}, "above half of the permanent impact"),
        ({"permanent_impact": 1}, "above half of the permanent impact"),
        ({"count": 0}, "1 to 512 slices"),
    ],
)
def test_a_model_that_makes_no_sense_is_an_error(changed, text):
    """Each with its own words."""
    terms = {"risk_aversion": 1e-6, "volatility": 1, "temporary_impact": 1e-6, "permanent_impact": 0, "duration": 5}
    with pytest.raises(InputError, match=text):
        schedules.urgency_of(**terms | {"count": 5} | changed)


# The venue ------------------------------------------------------------------------------------------------------------

ALGORITHMS = st.one_of(
    st.builds(schedules.twap, STEPS, st.integers(SLICES_MAX, 1 << 60), st.integers(1, SLICES_MAX)),
    st.builds(schedules.vwap, STEPS, st.integers(SLICES_MAX, 1 << 60), WEIGHTS),
    st.builds(schedules.pov, STEPS, st.integers(1 << 50, 1 << 51), st.integers(1 << 43, 1 << 60)),
    st.builds(
        schedules.shortfall, STEPS, st.integers(SLICES_MAX, 1 << 60), st.integers(1, SLICES_MAX), st.floats(0, 700)
    ),
)


@given(ALGORITHMS)
def test_the_directory_takes_every_schedule(slices):
    """As a document every result is of the right form and size."""
    lots = sum(each for _, each in slices)
    order = build.algo_order(16, 1, Side.BUY, lots, 1, slices, slices[-1][0] + 1)
    decision = Directory().decide(order.rows[0], order.tail)
    assert not isinstance(decision, Reject)
