"""The plan: which command goes out at which client sequence, and what it does to the core."""

import numpy as np
import pytest

from kk99 import build, schema
from kk99.feed import plan as planning
from kk99.feed import recording, venue
from kk99.feed.flow import Flow, Style, rows_of
from kk99.feed.plan import Plan, clearing_rows, session_name
from kk99.machine import Machine
from kk99.schema import CommandKind, EventKind, Flag, MarketState, OrderType, Side, TimeInForce

IDS = [16, 17, 18]


def flow_of(*records, accounts=("a", "b", "c"), rotate=False):
    """A checked flow of tuples in the order of ROW."""
    return Flow(rows_of(records), "X", accounts, rotate).check()


def new(time_ns, order, account=0, side=Side.BUY, style=Style.LIMIT, price=100, qty=5):
    """A new order."""
    return (time_ns, price, qty, order, CommandKind.ORDER_NEW, account, side, style)


SMALL = flow_of(
    new(0, 1),
    new(10, 2, account=1, style=Style.IOC, side=Side.SELL),
    (20, 99, 4, 1, CommandKind.ORDER_REPLACE, 0, 0, 0),
    (30, 0, 0, 1, CommandKind.ORDER_CANCEL, 0, 0, 0),
    (40, 0, 0, 0, CommandKind.MASS_CANCEL, 2, Side.SELL, 0),
    (50, 0, 0, 0, CommandKind.INSTRUMENT_STATE, 0, 0, MarketState.HALTED),
)


@pytest.fixture
def few_clearing(monkeypatch):
    """Cycles that begin with no more mass cancels than the flow itself needs."""
    monkeypatch.setattr(planning, "CLEARED_AT_LEAST", 1)


@pytest.mark.usefixtures("few_clearing")
def test_rows_become_commands():
    """Each instruction becomes the command of its kind, orders named by their client id."""
    rows = Plan(SMALL, 7, IDS).commands(1, 100).rows
    clearing = clearing_rows(SMALL)
    assert (rows["kind"][:clearing] == CommandKind.MASS_CANCEL).all()
    assert sorted(set(rows["account_id"][:clearing].tolist())) == IDS
    body = rows[clearing:]
    assert (body["instrument_id"] == 7).all()
    names = ("ORDER_NEW", "ORDER_NEW", "ORDER_REPLACE", "ORDER_CANCEL", "MASS_CANCEL", "INSTRUMENT_STATE")
    assert [CommandKind(int(kind)).name for kind in body["kind"]] == list(names)
    assert list(body["order_type"]) == [OrderType.LIMIT, OrderType.LIMIT, 0, 0, 0, 0]
    assert list(body["time_in_force"]) == [TimeInForce.GTC, TimeInForce.IOC, 0, 0, 0, 0]
    by_id = Flag.TARGET_CLIENT_ID
    assert list(body["flags"]) == [0, 0, by_id | Flag.QTY_IS_LEAVES, by_id, 0, 0]
    assert list(body["client_id_lo"]) == [1, 2, 0, 0, 0, 0]
    assert list(body["target_lo"]) == [0, 0, 1, 1, 0, 0]
    assert body["target_hi"][2] == body["client_id_hi"][0] != 0
    assert body["state"][5] == MarketState.HALTED


@pytest.mark.usefixtures("few_clearing")
def test_batches_of_any_size_are_the_same_commands():
    """Cutting the plan into batches of 1, 3 or 4,096 changes nothing, over the ends of cycles too."""

    def first(count, size):
        plan, rows = Plan(SMALL, 7, IDS), []
        while sum(map(len, rows)) < count:
            rows.append(plan.commands(1 + sum(map(len, rows)), size).rows)
        return np.concatenate(rows)[:count]

    whole = first(40, 4096)
    assert list(whole["client_seq"]) == list(range(1, 41))
    for size in (1, 3):
        assert first(40, size).tobytes() == whole.tobytes()


@pytest.mark.usefixtures("few_clearing")
def test_each_cycle_has_client_ids_of_its_own():
    """No client id comes twice, and targets name orders of their own cycle."""
    plan = Plan(SMALL, 7, IDS)
    cycles = [plan.commands(1 + cycle * plan.length, plan.length).rows for cycle in range(3)]
    ids = np.concatenate([rows["client_id_lo"][rows["client_id_lo"] != 0] for rows in cycles])
    assert len(set(ids.tolist())) == len(ids)
    for rows in cycles:
        assert set(rows["target_lo"][rows["target_lo"] != 0]) <= set(rows["client_id_lo"])


@pytest.mark.usefixtures("few_clearing")
def test_roles_rotate_only_if_the_flow_says_so():
    """Role r of cycle c is account r + c; without rotation it stays."""
    for rotate, wanted in ((True, [16, 17, 18, 16]), (False, [16] * 4)):
        plan = Plan(Flow(SMALL.rows, "X", SMALL.accounts, rotate), 7, IDS)
        at = plan.clearing + 1
        assert [int(plan.commands(at + c * plan.length, 1).rows["account_id"][0]) for c in range(4)] == wanted


@pytest.mark.usefixtures("few_clearing")
def test_due_counts_up_to_a_time_within_the_cycle():
    """What is due at exactly the time counts, what is after does not, nor does the next cycle."""
    plan = Plan(flow_of(new(0, 1), new(1_000_000_000, 2), new(2_000_000_000, 3)), 7, IDS)
    first = plan.clearing + 1
    assert [plan.due(first, t) for t in (0.0, 0.999, 1.0, 9.0)] == [1, 1, 2, 3]
    assert plan.due(first + 2, 0.0) == 0
    assert plan.time_s(first + 1 + plan.length) == 1.0
    assert plan.end(1) == plan.end(plan.length) == plan.length + plan.clearing


def test_another_flow_is_another_session():
    """Rows, instrument and accounts make the session's name."""
    names = {
        session_name(SMALL),
        session_name(flow_of(new(0, 1))),
        session_name(Flow(SMALL.rows, "Y", SMALL.accounts)),
        session_name(Flow(SMALL.rows, "X", ("a", "b", "d"))),
    }
    assert len(names) == 4
    assert all(len(name) <= 32 for name in names)


class Core:
    """A machine that takes commands as the engine would give them to it."""

    def __init__(self, flow):
        self.machine, self.seq = Machine(), 0
        config = venue.read_config(venue.config_path("venue.toml"))
        config["accounts"]["names"] = list(flow.accounts)
        for make in venue.ROUNDS:
            self.apply(build.batch_of(make(config, self.known())))
        known = self.known()
        ids = [known.accounts[name]["number"] for name in flow.accounts]
        self.plan = Plan(flow, known.instruments[flow.instrument]["number"], ids)

    def known(self):
        """What an image says."""
        return venue.Known().take(self.machine.image())

    def apply(self, commands):
        """The events of commands that nobody's session sent."""
        commands.rows["session_id"] = 0
        commands = build.stamp(commands, self.seq + 1, 1_000)
        self.seq += len(commands.rows)
        return self.machine.apply_all(commands)

    def play(self, first_client_seq, count):
        """All event rows of a stretch of the plan."""
        rows, end = [], first_client_seq + count
        while first_client_seq < end:
            commands = self.plan.commands(first_client_seq, min(4096, end - first_client_seq))
            first_client_seq += len(commands.rows)
            rows.append(self.apply(commands).rows.copy())
        return np.concatenate(rows)


def test_recording_makes_its_trades_on_the_core_in_every_cycle():
    """Every recorded trade and lot is traded, nothing is rejected, whoever plays which role."""
    flow = recording.read(venue.config_path("recordings/btcusdt-20240808.kk99rec"))
    core = Core(flow)
    for cycle in range(3):
        events = core.play(1 + cycle * core.plan.length, core.plan.length)
        trades = events[events["kind"] == EventKind.TRADE]
        assert (len(trades), int(trades["qty_lots"].sum())) == (9756, flow.notes["recorded_volume_lots"])
        assert not (events["kind"] == EventKind.REJECTED).any()


@pytest.mark.usefixtures("few_clearing")
@pytest.mark.parametrize("orders", [1, 64, 65, 1000])
def test_clearing_leaves_nothing_of_the_last_cycle(orders):
    """After the mass cancels at a cycle's beginning no order stands, however many the flow left."""
    flow = flow_of(*(new(0, n + 1, account=n % 3, price=100 + n) for n in range(orders)))
    core = Core(Flow(flow.rows, "DEMOUSD", flow.accounts))
    core.play(1, core.plan.length)
    assert (core.machine.image().rows["kind"] == EventKind.ORDER_IMAGE).sum() == orders
    core.play(core.plan.length + 1, core.plan.clearing)
    assert (core.machine.image().rows["kind"] == EventKind.ORDER_IMAGE).sum() == 0


def test_setting_up_twice_does_nothing():
    """With everything there, no round has a command; an account that lost more than half of its money gets it back."""
    core = Core(SMALL_ON_DEMO)
    config = venue.read_config(venue.config_path("venue.toml"))
    config["accounts"]["names"] = list(SMALL_ON_DEMO.accounts)
    assert [make(config, core.known()) for make in venue.ROUNDS] == [[], [], []]
    known = core.known()
    account, asset = known.accounts["a"]["number"], known.assets["BTC"]["number"]
    full = known.balances[account, asset]
    for taken, wanted in ((full // 2, 0), (1, full - full // 2 + 1)):
        core.apply(build.withdraw(account, asset, taken))
        made = venue.deposits(config, core.known())
        assert [int(commands.rows["amount_units"][0]) for commands in made] == ([wanted] if wanted else [])


def test_what_orders_hold_is_not_missing():
    """An account's balance is what is available and what its orders hold, so held money is not paid in again."""
    core = Core(SMALL_ON_DEMO)
    known = core.known()
    account, instrument = known.accounts["a"]["number"], known.instruments["DEMOUSD"]
    core.apply(build.order_new(account, instrument["number"], Side.SELL, 100, instrument["max_price_ticks"]))
    rows = core.machine.image().rows
    assert rows["notional_units"][rows["kind"] == EventKind.BALANCE_IMAGE].sum() == 100 * instrument["lot_units"]
    assert core.known().balances == known.balances


SMALL_ON_DEMO = Flow(SMALL.rows, "DEMOUSD", SMALL.accounts)


def test_a_refused_definition_is_named():
    """What the venue did not take in the first round is an error that names it."""
    config = venue.read_config(venue.config_path("venue.toml"))
    with pytest.raises(venue.InputError, match="standard, USDT"):
        venue.deposits(config, venue.Known())


@pytest.mark.parametrize("text", ["", "x = ", "assets = 1", "[operator]\nactor = 'a'"])
def test_a_bad_venue_file_is_refused(tmp_path, text):
    """A file that is no TOML or lacks a table raises InputError that names it."""
    path = tmp_path / "venue.toml"
    path.write_text(text)
    with pytest.raises(venue.InputError, match=r"venue\.toml"):
        venue.read_config(path)


def test_plan_is_ready_for_a_million_commands_a_second():
    """Making batches at full speed costs well under a microsecond a command."""
    import time

    flow = recording.read(venue.config_path("recordings/btcusdt-20240808.kk99rec"))
    plan = Plan(flow, 1, list(range(16, 24)))
    began, client_seq = time.perf_counter(), 1
    while client_seq < 1_000_000:
        client_seq += len(plan.commands(client_seq, schema.BATCH_ROWS_MAX).rows)
    assert time.perf_counter() - began < 1.0
