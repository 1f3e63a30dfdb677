"""The flows as the venue's own commands: every order is as the flow says, and a flow can go round without end."""

import numpy as np
import pytest

from kk99.bench import core, venue
from kk99.bench.load import round_of
from kk99.bench.workloads import FLOW, Op, Regime, deep_book, equity_flow, exchange_mix
from kk99.bench.yardstick import YardstickResult
from kk99.errors import InvariantError
from kk99.schema import EventKind
from tests.flow_data import read_recorded_flow

SMALL = {
    "exchange-mix": lambda: exchange_mix(3_000, resting_count=100, account_count=50),
    "deep-book": lambda: deep_book(3_000, resting_count=1_000, instrument_count=5, account_count=99),
    "equity": lambda: equity_flow(Regime.SWING_25, 1_500),
}


@pytest.fixture(scope="module", params=SMALL)
def scenario(request):
    """A small scenario of each workload."""
    return venue.scenario(SMALL[request.param]())


def test_flow_is_rejected_only_where_it_names_dead_orders(scenario):
    """No command of a flow fails for want of funds, by a limit or by its form."""
    dead = {"equity-swing-25": {15}}.get(scenario.workload.name, set())
    machine, reasons = scenario.machine(with_setup=False), set()
    for rows in venue.applied(machine, venue.plain(scenario.rows)):
        reasons |= set(rows["reason"][rows["kind"] == EventKind.REJECTED].tolist())
    assert reasons == dead


def test_commands_by_order_id_come_to_the_same_state(scenario):
    """Orders named by the venue's ids, taken from a first run, give the same events as named by client ids."""
    reference = core.checked(scenario)
    rows = scenario.rows.copy()
    venue.address_by_order_id(rows, scenario.flow, reference.order_ids)
    assert (rows["target_hi"] == 0).all()
    machine = scenario.machine(with_setup=False)
    venue.apply_all(machine, venue.plain(rows), 100)
    assert machine.state_hash() == reference.state_hash


def test_other_trades_than_the_yardstick_s_are_an_error(scenario):
    """A yardstick that traded otherwise stops the bench."""
    reference = core.checked(scenario)
    other = YardstickResult(1, 1.0, (1.0,), len(reference.trades), 0, 12345, reference.rejected_count, 0)
    with pytest.raises(InvariantError, match="where the yardstick has"):
        reference.compare("any", other)


def test_recorded_flow_s_trades_come_back_in_its_own_ids():
    """The trades that a checked run maps back are the recorded ones, in order."""
    flow = read_recorded_flow("swing-25_s23_n20000")
    fields = [line.split(",") for line in flow.reports if line.startswith("1,")]
    wanted = [(0, int(price), int(lots), int(maker), int(taker)) for _, _, price, lots, maker, taker in fields]
    base = equity_flow(Regime.SWING_25, 10)
    workload = type(base)("recorded", "", np.zeros(0, FLOW), flow.rows, 1, 2, 1_024)
    assert core.checked(venue.scenario(workload)).trades == wanted


@pytest.mark.parametrize("name", ["exchange-mix", "deep-book"])
def test_flow_goes_round_without_a_reject(name):
    """The round's end leads back to the book of its beginning: three rounds, and nothing is rejected."""
    scenario = venue.scenario(SMALL[name]())
    machine = scenario.machine()
    rows = round_of(scenario)
    is_new = rows["client_id_lo"] != 0
    resting = []
    for _ in range(3):
        rows["seq"] = np.arange(machine.seq + 1, machine.seq + 1 + len(rows))
        rows["time_ns"] = venue.TIME_NS
        for events in venue.applied(machine, venue.plain(rows)):
            assert not (events["kind"] == EventKind.REJECTED).any()
        rows["client_id_hi"] += is_new
        rows["target_hi"] += ~is_new
        resting.append(np.count_nonzero(machine.image().rows["kind"] == EventKind.ORDER_IMAGE))
    assert resting[0] == resting[1] == resting[2]


def test_client_ids_are_spread_and_never_alike():
    """Client ids of successive numbers differ in both halves and use all their bits."""
    lo, hi = venue.client_ids(np.arange(1, 10_000))
    assert len(np.unique(lo)) == len(np.unique(hi)) == 9_999
    assert len(np.intersect1d(lo, hi)) == 0
    assert 0.45 < (lo < 0).mean() < 0.55


def test_rows_use_only_the_fields_of_their_kind():
    """A cancel has neither price nor quantity nor side, and only a new order has a client id."""
    rows = np.zeros(3, FLOW)
    rows["op"], rows["order_id"], rows["qty_lots"], rows["price_ticks"] = (Op.NEW, Op.CANCEL, Op.REPLACE), 7, 5, 100
    made = venue.commands_of(rows)
    assert made["price_ticks"].tolist() == [100, 0, 100]
    assert made["qty_lots"].tolist() == [5, 0, 5]
    assert made["side"].tolist() == [1, 0, 1]
    assert (made["client_id_lo"] != 0).tolist() == [True, False, False]
    assert (made["target_lo"] != 0).tolist() == [False, True, True]
