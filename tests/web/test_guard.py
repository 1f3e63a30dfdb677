"""The budget of requests of each address."""

from hypothesis import given
from hypothesis import strategies as st

from gateways.web import guard
from gateways.web.guard import WINDOW_S, Budget


def test_a_budget_is_spent_and_comes_back_evenly():
    """So many at once, then one for each share of a minute; another address has its own."""
    budget = Budget(6)
    assert [budget.take("a", 100.0)[0] for _ in range(7)] == [5, 4, 3, 2, 1, 0, -1]
    assert budget.take("a", 100.0 + WINDOW_S / 6 - 0.01)[0] == -1
    assert budget.take("a", 100.0 + WINDOW_S / 6 + 0.01)[0] == 0
    assert budget.take("b", 100.0)[0] == 5
    assert budget.take("a", 100.0 + 3 * WINDOW_S)[0] == 5


@given(per_minute=st.integers(1, 50), steps=st.lists(st.floats(0, 30), max_size=200))
def test_no_window_holds_more_than_the_budget_twice(per_minute, steps):
    """Of any minute at most two budgets are granted, as in any rate that fills up evenly; refusals cost nothing."""
    budget, now_s, granted = Budget(per_minute), 1_000.0, []
    for step in steps:
        now_s += step / per_minute
        left, full_in_s = budget.take("a", now_s)
        assert 0 <= full_in_s <= WINDOW_S * (1 + 1e-6)
        if left >= 0:
            granted.append(now_s)
    for begin in granted:
        assert sum(begin <= time_s < begin + WINDOW_S for time_s in granted) <= 2 * per_minute


def test_addresses_are_bounded(monkeypatch):
    """The one that was quiet longest is forgotten."""
    monkeypatch.setattr(guard, "ADDRESSES_MAX", 3)
    budget = Budget(1)
    for address in "abcda":
        assert budget.take(address, 5.0)[0] == 0 if address != "a" else True
    assert len(budget._full_at) == 3
