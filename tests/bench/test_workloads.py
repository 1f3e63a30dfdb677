"""The workloads are what they say they are, and the yardstick agrees with a naive book and recorded flows."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99.bench import yardstick
from kk99.bench.workloads import FLOW, Op, Regime, Side, deep_book, equity_flow, exchange_mix, measure
from kk99.bench.yardstick import YardstickResult, YardstickUnavailable, build_yardstick, run_yardstick, trade_hash
from tests.flow_data import read_recorded_flow, recorded_flow_names

NO_ROWS = np.zeros(0, FLOW)

# Small enough for a run with the JIT off.
SMALL = {
    "exchange-mix": lambda seed: exchange_mix(4_000, seed=seed, resting_count=100, account_count=50),
    "deep-book": lambda seed: deep_book(8_000, seed=seed, resting_count=2_000, instrument_count=5, account_count=99),
    **{
        f"equity-{regime.label}": lambda seed, regime=regime: equity_flow(regime, 3_000, seed=seed) for regime in Regime
    },
}
small_workloads = pytest.mark.parametrize("name", SMALL)


class NaiveBook:
    """Price-time priority with nothing clever: a dict of lists, and a search for every question."""

    def __init__(self):
        self.queues = {}  # (instrument, side, price) -> [[order id, open lots], ...]
        self.trades = []  # (instrument, price, lots, maker id, taker id)
        self.rejected_count = 0

    def place_of(self, order_id):
        """The key of the queue and the entry of a resting order, or None."""
        for key, queue in self.queues.items():
            for entry in queue:
                if entry[0] == order_id:
                    return key, entry
        return None

    def apply(self, row):
        """Do what one row asks."""
        place = self.place_of(int(row["order_id"]))
        lots, price = int(row["qty_lots"]), int(row["price_ticks"])
        if (place is None) != (row["op"] == Op.NEW):
            self.rejected_count += 1
        elif row["op"] == Op.NEW:
            self.enter(int(row["instrument"]), int(row["side"]), price, int(row["order_id"]), lots, ioc=row["ioc"] == 1)
        else:
            (instrument, side, old_price), entry = place
            if row["op"] == Op.REPLACE and price == old_price and lots <= entry[1]:
                entry[1] = lots
                return
            self.remove((instrument, side, old_price), entry)
            if row["op"] == Op.REPLACE:
                self.enter(instrument, side, price, entry[0], lots, ioc=False)

    def enter(self, instrument, side, price, order_id, lots, *, ioc):
        """Trade with the best of the other side while the prices cross; let the rest stand unless it is IOC."""
        while lots:
            sign = 1 if side == Side.BUY else -1
            others = [key for key in self.queues if key[:2] == (instrument, 1 - side) and sign * key[2] <= sign * price]
            if not others:
                break
            best = min(others, key=lambda key: sign * key[2])
            maker = self.queues[best][0]
            fill = min(lots, maker[1])
            lots -= fill
            maker[1] -= fill
            self.trades.append((instrument, best[2], fill, maker[0], order_id))
            if maker[1] == 0:
                self.remove(best, maker)
        if lots and not ioc:
            self.queues.setdefault((instrument, side, price), []).append([order_id, lots])

    def remove(self, key, entry):
        """Take an entry out of its queue."""
        self.queues[key].remove(entry)
        if not self.queues[key]:
            del self.queues[key]

    def resting_count(self):
        """How many orders rest."""
        return sum(map(len, self.queues.values()))


@pytest.fixture(scope="module")
def compiler():
    """A test that asks for this needs the yardstick, and is skipped with the reason where it can't be built."""
    built = build_yardstick()
    if isinstance(built, YardstickUnavailable):
        pytest.skip(built.reason)


def naive_figures(setup, timed):
    """What the naive book says about a flow: trade count, traded lots, hash, rejected, resting."""
    book = NaiveBook()
    for row in setup:
        book.apply(row)
    book.trades, book.rejected_count = [], 0
    for row in timed:
        book.apply(row)
    lots = sum(trade[2] for trade in book.trades)
    return len(book.trades), lots, trade_hash(book.trades), book.rejected_count, book.resting_count()


def yardstick_figures(setup, timed):
    """The same of the yardstick."""
    result = run_yardstick(setup, timed)
    assert isinstance(result, YardstickResult), result
    return result.trade_count, result.traded_qty_lots, result.trade_hash, result.rejected_count, result.resting_count


def model_figures(setup, timed):
    """The same of the generators' model, which keeps no hash."""
    stats = measure(setup, timed)
    return stats.trade_count, stats.traded_qty_lots, stats.rejected_count, stats.resting_count_end


@st.composite
def flows(draw):
    """Up to 60 rows on two instruments and few prices, naming few orders, so that most rows meet another."""
    count = draw(st.integers(1, 60))
    rows = np.zeros(count, FLOW)
    instrument_of, side_of = {}, {}
    for row in rows:
        order_id = draw(st.integers(1, 12))
        row["order_id"] = order_id
        row["op"] = draw(st.sampled_from((Op.NEW, Op.NEW, Op.NEW, Op.REPLACE, Op.CANCEL)))
        row["instrument"] = instrument_of.setdefault(order_id, draw(st.integers(0, 1)))
        row["side"] = side_of.setdefault(order_id, draw(st.integers(0, 1)))
        row["ioc"] = draw(st.integers(0, 3)) == 0
        row["qty_lots"] = draw(st.integers(1, 9))
        row["price_ticks"] = draw(st.integers(98, 103))
    return rows


def test_flow_row_has_no_hidden_padding():
    """The fields of a row take up its forty bytes without a gap."""
    assert FLOW.itemsize == 40 == sum(FLOW[name].itemsize for name in FLOW.names)


@small_workloads
def test_same_seed_makes_the_same_rows(name):
    """Two calls with one seed give equal bytes, and another seed gives others."""
    first, second, other = (SMALL[name](seed) for seed in (7, 7, 8))
    digests = [hashlib.sha256(flow.setup.tobytes() + flow.timed.tobytes()).digest() for flow in (first, second, other)]
    assert digests[0] == digests[1] != digests[2]


@small_workloads
def test_rows_name_only_orders_that_were_created(name):
    """The NEW rows have each id from 1 on once, and no CANCEL or REPLACE names one that is still to come."""
    workload = SMALL[name](7)
    rows = np.concatenate([workload.setup, workload.timed])
    places = np.flatnonzero(rows["op"] == Op.NEW)
    ids = rows["order_id"][places]
    assert np.array_equal(np.sort(ids), np.arange(1, len(ids) + 1))
    assert (places[np.argsort(ids)][rows["order_id"] - 1] <= np.arange(len(rows))).all()


def test_equity_ids_come_in_no_order():
    """The ids of the equity flow are a permutation, as in the recorded flows, not a count."""
    rows = equity_flow(Regime.NORMAL, 3_000).timed
    ids = rows["order_id"][rows["op"] == Op.NEW]
    assert 0.4 < (np.diff(ids) > 0).mean() < 0.6


@small_workloads
def test_rows_stay_in_range(name):
    """Quantities and prices are positive, instruments and accounts below their counts, the padding zero."""
    workload = SMALL[name](7)
    rows = np.concatenate([workload.setup, workload.timed])
    assert rows["qty_lots"].min() > 0
    assert rows["price_ticks"].min() > 0
    assert 0 <= rows["instrument"].min() <= rows["instrument"].max() < workload.instrument_count
    assert 0 <= rows["account"].min() <= rows["account"].max() < workload.account_count
    assert not rows["pad"].any()
    assert not rows["spare"].any()


@small_workloads
def test_cancels_and_replaces_carry_the_order_s_own_side_and_account(name):
    """Side, instrument and account of a CANCEL or REPLACE are those of the NEW that it names."""
    workload = SMALL[name](7)
    rows = np.concatenate([workload.setup, workload.timed])
    news = rows[rows["op"] == Op.NEW]
    named = news[np.argsort(news["order_id"])][rows["order_id"] - 1]
    for field in ("side", "instrument", "account"):
        assert np.array_equal(rows[field], named[field])


def test_exchange_mix_has_its_mix_and_stays_steady():
    """Shares are 10, 2, 6 and 82 %, about 5 % trade, none is rejected, and the book stays near its target."""
    workload = exchange_mix(8_000, resting_count=500)
    stats = measure(workload.setup, workload.timed)
    assert stats.share(stats.new_count) == pytest.approx(0.10, abs=0.02)
    assert stats.share(stats.ioc_count) == pytest.approx(0.02, abs=0.01)
    assert stats.share(stats.cancel_count) == pytest.approx(0.06, abs=0.02)
    assert stats.share(stats.replace_count) == pytest.approx(0.82, abs=0.02)
    assert stats.share(stats.trading_command_count) == pytest.approx(0.055, abs=0.015)
    assert stats.rejected_count == 0
    assert 400 < stats.resting_count_min <= stats.resting_count_max < 600
    assert 0.6 < stats.level_count_end / stats.resting_count_end < 0.95


def test_deep_book_has_its_mix_and_stays_deep():
    """Shares are 50, 45 and 5 %, every IOC trades, none is rejected, and the book stays as deep."""
    workload = deep_book(20_000, resting_count=20_000, instrument_count=20)
    stats = measure(workload.setup, workload.timed)
    assert stats.share(stats.new_count) == pytest.approx(0.50, abs=0.02)
    assert stats.share(stats.ioc_count) == pytest.approx(0.05, abs=0.01)
    assert stats.share(stats.cancel_count) == pytest.approx(0.45, abs=0.02)
    assert stats.trading_command_count == stats.ioc_count
    assert stats.rejected_count == 0
    assert 19_000 < stats.resting_count_min <= stats.resting_count_max < 21_000
    assert set(workload.timed["instrument"]) == set(range(20))


@pytest.mark.parametrize("regime", Regime)
def test_equity_flow_follows_its_recipe(regime):
    """About two rows a new order, 15 % IOC, 95 % canceled, 20 % replaced, and a few rows that come too late."""
    new_count = 10_000
    rows = equity_flow(regime, new_count).timed
    news, cancels, replaces = (rows[rows["op"] == op] for op in Op)
    standing_count = new_count - news["ioc"].sum()
    assert len(news) == new_count
    assert len(rows) / new_count == pytest.approx(2.0, abs=0.03)
    assert news["ioc"].mean() == pytest.approx(0.15, abs=0.015)
    assert len(np.unique(cancels["order_id"])) / standing_count == pytest.approx(0.95, abs=0.01)
    assert len(np.unique(replaces["order_id"])) / standing_count == pytest.approx(0.20, abs=0.015)
    assert len(cancels) > len(np.unique(cancels["order_id"]))
    assert len(replaces) > len(np.unique(replaces["order_id"]))


def test_equity_book_is_deepest_when_the_price_stands_still():
    """One order in twenty of the static regime stays to the end, and fewer do in a flash crash."""
    still, crash = (
        measure(NO_ROWS, equity_flow(regime, 10_000).timed) for regime in (Regime.STATIC, Regime.FLASH_CRASH)
    )
    assert still.resting_count_max / 8_500 == pytest.approx(0.05, abs=0.01)
    assert crash.resting_count_max < still.resting_count_max
    assert crash.trade_count > still.trade_count


@small_workloads
def test_model_agrees_with_the_naive_book(name):
    """The generators' model and the naive book count the same trades, lots, rejects and resting orders."""
    workload = SMALL[name](7)
    trade_count, lots, _, rejected_count, resting_count = naive_figures(workload.setup, workload.timed[:1_500])
    assert model_figures(workload.setup, workload.timed[:1_500]) == (trade_count, lots, rejected_count, resting_count)


@pytest.mark.usefixtures("compiler")
@small_workloads
def test_yardstick_agrees_with_the_naive_book(name):
    """The yardstick and the naive book make the same trades in the same order on every workload."""
    workload = SMALL[name](7)
    assert yardstick_figures(workload.setup, workload.timed[:1_500]) == naive_figures(
        workload.setup, workload.timed[:1_500]
    )


@pytest.mark.usefixtures("compiler")
@given(flow=flows(), setup_count=st.integers(0, 20))
def test_every_book_agrees_on_random_rows(flow, setup_count):
    """Yardstick, model and naive book agree on rows that clash, repeat ids of the dead and name the unknown."""
    setup, timed = flow[:setup_count], flow[setup_count:]
    expected = naive_figures(setup, timed)
    assert yardstick_figures(setup, timed) == expected
    if len(timed):
        assert model_figures(setup, timed) == (*expected[:2], *expected[3:])


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("name", recorded_flow_names())
def test_yardstick_makes_the_trades_that_independent_engines_made(name):
    """On each recorded flow the yardstick gives the recorded trades, in order, and the recorded number of rejects."""
    flow = read_recorded_flow(name)
    fields = [line.split(",") for line in flow.reports if line.startswith("1,")]
    trades = [(0, int(price), int(lots), int(maker), int(taker)) for _, _, price, lots, maker, taker in fields]
    trade_count, lots, trades_hash, rejected_count, _ = yardstick_figures(NO_ROWS, flow.rows)
    assert trade_count == flow.report_counts["trade"]
    assert lots == sum(trade[2] for trade in trades)
    assert trades_hash == trade_hash(trades)
    assert rejected_count == flow.report_counts["cancel_reject"] + flow.report_counts["modify_reject"]


@pytest.mark.usefixtures("compiler")
def test_yardstick_times_the_chunks_of_the_timed_rows():
    """The chunks are as many as asked for and add up to the whole time."""
    workload = SMALL["deep-book"](7)
    result = run_yardstick(workload.setup, workload.timed, chunk_count=7)
    assert len(result.chunk_seconds) == len(result.chunk_command_ns) == 7
    assert sum(result.chunk_seconds) == pytest.approx(result.seconds, rel=0.01)
    assert result.command_count == len(workload.timed)
    assert result.command_ns > 0


def test_missing_compiler_is_an_answer(monkeypatch):
    """Without a C++ compiler the result says so instead of failing."""
    monkeypatch.setattr(yardstick, "COMPILER", "a-compiler-that-is-not-there")
    answer = run_yardstick(NO_ROWS, NO_ROWS)
    assert isinstance(answer, YardstickUnavailable)
    assert "a-compiler-that-is-not-there" in answer.reason


def test_stats_read_as_one_line():
    """The text of the stats names shares, trades and the book's size."""
    text = measure(NO_ROWS, equity_flow(Regime.NORMAL, 200).timed).text()
    assert "IOC" in text
    assert "resting" in text
    assert "\n" not in text
