"""`kk99 replay quality`: from a journal to lines, by what is chosen, in every form."""

import csv
import io
import json
from fractions import Fraction
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from journal.reader import Reader
from kk99 import batch, build
from kk99.errors import InputError
from kk99.feed import recording
from kk99.feed import venue as config
from kk99.feed.plan import Plan
from kk99.machine import Machine
from kk99.schema import EventKind, MarketState
from replay import ledger, lines, measure
from replay.cli import replay
from replay.measure import Chosen, Measurement, ratio_text
from replay.quality import Quality, revisions_in
from tests.replay import measuring, venue
from tests.replay.measuring import BY

FROM_NS = venue.TIME_NS + 200 * venue.STEP_NS
UNTIL_NS = venue.TIME_NS + 400 * venue.STEP_NS
AFTER_BUST_NS = venue.TIME_NS + 330 * venue.STEP_NS + 1
"""No command has this time; the bust and the correction are before it."""
RECORDED_ROWS = 6_000


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The data folder of the standard run, in which a trade is busted and one corrected."""
    return venue.write(tmp_path_factory.mktemp("run"), venue.whole_run(), (64,), events=False)


@pytest.fixture(scope="module")
def events():
    """All events of the standard run."""
    return Machine().apply_all(venue.whole_run())


@pytest.fixture(scope="module")
def whole(events):
    """Every order of the standard run, measured with its revisions."""
    quality = Quality(revisions=revisions_in(events.rows))
    return [*quality.take(events), *quality.finish(int(events.rows["time_ns"][-1]))]


def orders(data, **chosen):
    """The chosen orders, measured from the journal."""
    with Reader(data.journal) as reader:
        return list(Measurement(reader, Chosen(**chosen)).orders())


def instruments(data, **chosen):
    """The chosen instruments, measured from the journal."""
    with Reader(data.journal) as reader:
        return Measurement(reader, Chosen(**chosen)).instruments()


def run(data, *arguments, status=0):
    """What a command prints."""
    result = CliRunner().invoke(
        replay, ["quality", *map(str, arguments), "--data", str(data.root)], catch_exceptions=False
    )
    assert result.exit_code == status, result.output
    return result.stdout


# What is measured -----------------------------------------------------------------------------------------------------


def test_a_journal_is_measured_with_what_became_of_its_trades(data, events, whole):
    """All orders of the log are there, in order, and the busted trade counts for nothing."""
    assert orders(data) == whole
    made, final = Quality(), {}
    list(made.take(events))
    for row in events.rows[events.rows["kind"] == EventKind.TRADE]:
        final[int(row["trade_id"])] = int(row["qty_lots"])
    final |= {1: 0, 5: 1}
    (one,) = instruments(data)
    assert one.volume_lots == sum(final.values()) < made.instruments[1].volume_lots
    assert one.trades == len(final) - 1 == made.instruments[1].trades - 1


def test_orders_are_chosen_by_account_instrument_and_id(data, whole):
    """Names and numbers choose the same; what is chosen has the figures that it has among all."""
    bobs = [one for one in whole if one.account_id == venue.BOB]
    assert orders(data, account="bob") == orders(data, account=str(venue.BOB)) == bobs
    assert orders(data, instrument="BTC-USD") == orders(data, instrument="1") == whole
    assert orders(data, order_id=whole[7].order_id) == [whole[7]]
    wanted = build.client_id_hash("order-14")
    assert orders(data, client_id="order-14") == [one for one in whole if wanted in one.client_ids]


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ({"account": "joe"}, "no account is named or numbered 'joe'"),
        ({"instrument": "ETH-USD"}, "no instrument is named or numbered 'ETH-USD'"),
        ({"order_id": 77}, "no order 77 was entered there"),
        ({"from_time_ns": 1 << 62}, "there is nothing from"),
        ({"from_time_ns": UNTIL_NS, "to_time_ns": FROM_NS}, "there is nothing from"),
    ],
)
def test_what_is_not_there_is_an_error(data, chosen, text):
    """An account, instrument, order or time that the log does not have is named."""
    with pytest.raises(InputError, match=text):
        orders(data, **chosen)


def test_a_range_of_time_measures_the_same_orders_alike(data, whole):
    """Orders entered in a range that goes to the end have the figures of the whole run, the others are left out."""
    assert orders(data, from_time_ns=FROM_NS) == [one for one in whole if one.entry_time_ns >= FROM_NS]
    early = {one.order_id: one for one in orders(data, to_time_ns=UNTIL_NS)}
    assert early.keys() == {one.order_id for one in whole if one.entry_time_ns <= UNTIL_NS}
    for one in whole:
        if one.end_time_ns is not None and one.end_time_ns <= UNTIL_NS:
            assert early[one.order_id] == one


def test_ranges_of_time_add_up(data):
    """Sums of an instrument over two ranges that meet are those over both; a range ends where it says."""
    first, second, both = (
        instruments(data, from_time_ns=begin, to_time_ns=end)[0]
        for begin, end in ((None, AFTER_BUST_NS), (AFTER_BUST_NS, UNTIL_NS + 10), (None, UNTIL_NS + 10))
    )
    late = instruments(data, from_time_ns=FROM_NS)[0]
    for name in (
        "volume_lots",
        "priced_ns",
        "price_tick_ns",
        "quoted_ns",
        "spread_tick_ns",
        "bid_lot_ns",
        "ask_lot_ns",
    ):
        assert getattr(first, name) + getattr(second, name) == getattr(both, name), name
    assert (second.from_time_ns, second.time_ns, both.time_ns) == (AFTER_BUST_NS, UNTIL_NS + 10, UNTIL_NS + 10)
    assert late.time_ns == venue.TIME_NS + 468 * venue.STEP_NS


def test_memory_is_that_of_live_orders(events):
    """Once an order is handed out, nothing of it is kept."""
    quality = Quality()
    ended = [one.order_id for one in quality.take(events)]
    assert not quality._orders.keys() & set(ended)
    assert quality._orders.keys() == quality._book.orders.keys()
    list(quality.finish(int(events.rows["time_ns"][-1])))
    assert not quality._orders


def test_shipped_recording_is_measured(tmp_path):
    """The first rows of the recording, on the venue of config/: volume, prices and fills are those of its trades."""
    flow = recording.read(config.config_path("recordings/btcusdt-20240808.kk99rec"))
    setup = config.read_config(config.config_path("venue.toml"))
    machine, known, items = Machine(), config.Known(), []
    for make in (config.definitions, config.deposits):
        made = make(setup, known)
        known.take(machine.apply_all(build.stamp(build.batch_of(made), machine.seq + 1, 0)))
        items += made
    number = known.instruments[flow.instrument]["number"]
    items.append(build.instrument_state(number, MarketState.OPEN, **BY))
    plan = Plan(flow, number, [known.accounts[name]["number"] for name in flow.accounts])
    part = plan.commands(1 + plan.clearing, RECORDED_ROWS)
    part.rows["client_seq"] = 0
    commands = build.batch_of([*items, part])
    times = [0] * (len(commands.rows) - RECORDED_ROWS) + flow.rows["time_ns"][:RECORDED_ROWS].tolist()
    commands.rows["time_ns"] = times
    data = venue.write(tmp_path, build.stamp(commands, 1, commands.rows["time_ns"]), (4096,), events=False)
    trades = machine_trades(build.stamp(commands, 1, commands.rows["time_ns"]))
    measured = orders(data, instrument=flow.instrument)
    (one,) = instruments(data, instrument=flow.instrument)
    assert (one.trades, one.volume_lots) == (len(trades), int(trades["qty_lots"].sum()))
    assert (one.high_ticks, one.low_ticks) == (trades["price_ticks"].max(), trades["price_ticks"].min())
    assert one.trades > 100
    assert sum(each.filled_lots for each in measured) == 2 * one.volume_lots
    assert 0 < one.mean_spread_ticks < 1000


def machine_trades(commands):
    """The trades that commands make."""
    rows = Machine().apply_all(commands).rows
    return rows[rows["kind"] == EventKind.TRADE]


# What is printed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (None, 2, None),
        (Fraction(1, 3), 4, "0.3333"),
        (Fraction(-2, 3), 2, "-0.67"),
        (Fraction(5, 1000), 2, "0.00"),
        (Fraction(15, 1000), 2, "0.02"),
        (Fraction(-1, 1000), 2, "0.00"),
        (Fraction(101), 0, "101"),
    ],
)
def test_ratios_are_rounded_half_to_even(value, places, text):
    """Text has so many places, the last one rounded; what is not there stays so."""
    assert ratio_text(value, places) == text


def test_json_is_one_object_a_line(data, whole):
    """Each order is an object with whole numbers, and ratios as text."""
    found = [json.loads(line) for line in run(data, "orders", "--json").splitlines()]
    assert [one["order_id"] for one in found] == [one.order_id for one in whole]
    names = ledger.Names()
    names.observe(Machine().apply_all(venue.whole_run()))
    columns = measure.order_columns(names)
    assert found[3] == {name: value(whole[3]) for name, value in columns.items()}
    for one in found:
        assert not any(isinstance(value, float) for value in one.values())
    assert {"BUY", "SELL"} == {one["side"] for one in found}
    (market,) = [json.loads(line) for line in run(data, "instruments", "--json").splitlines()]
    assert (market["instrument"], market["volume_lots"]) == ("BTC-USD", instruments(data)[0].volume_lots)


def test_figures_are_printed_in_their_units():
    """The worked figures of an order, as its line and its row in the table show them."""
    log = measuring.Log().at(0, measuring.order(17, 1, 20, 98), measuring.order(17, 2, 20, 102))
    log.at(1, measuring.order(16, 1, 30, 102, "a")).at(3.5, measuring.order(17, 2, 2, 102)).end(4)
    names = ledger.Names()
    names.observe(Machine().apply_all(build.stamp(build.batch_of(measuring.market_setup()), 1, 0)))
    line, row = (
        {name: value(log.order("a")) for name, value in columns(names).items()}
        for columns in (measure.order_columns, measure.order_table)
    )
    assert {name: line[name] for name in ("notional_units", "fee_units", "filled_ratio", "average_ticks")} == {
        "notional_units": 22_440, "fee_units": 408 + 20, "filled_ratio": "0.733333", "average_ticks": "102.0000",
    }  # fmt: skip
    assert (line["arrival_slippage_ticks"], line["arrival_slippage_bps"]) == ("2.0000", "200.00")
    assert (row["fees"], row["end"], row["first fill s"], row["end s"]) == ("42.8", "LIVE", "0.000000", None)
    assert (row["arrival"], row["arrival bp"], row["ratio"]) == ("100.0", "200.00", "0.7333")


def test_csv_has_the_columns_of_json(data):
    """The same columns in the same order, an empty field for what is not there; names even without rows."""
    found = list(csv.DictReader(io.StringIO(run(data, "orders", "--csv"))))
    objects = [json.loads(line) for line in run(data, "orders", "--json").splitlines()]
    assert [list(one) for one in found] == [list(one) for one in objects]
    assert found[0] == {name: "" if value is None else str(value) for name, value in objects[0].items()}
    late = run(data, "orders", "--csv", "--from-time", venue.TIME_NS + 468 * venue.STEP_NS, "--client-id", "none")
    assert late.splitlines() == [",".join(objects[0])]


def test_table_is_for_people(data, whole, monkeypatch):
    """A table has a head on every page and a dash where nothing is; instruments have one too."""
    head, _, first = run(data, "orders", "--account", "bob").splitlines()[:3]
    assert head.split()[:4] == ["order", "account", "instrument", "side"]
    assert first.split()[1:6] == ["bob", "BTC-USD", "SELL", "LIMIT", "FILLED"]
    assert "-" in first.split()
    monkeypatch.setattr(lines, "PAGE_ROWS", 100)
    text = run(data, "orders").splitlines()
    pages = -(-len(whole) // 100)
    assert [line.split()[0] for line in text].count("order") == pages > 1
    assert len(text) == len(whole) + 2 * pages
    assert run(data, "instruments").splitlines()[2].startswith("BTC-USD")


def test_time_range_and_ids_are_options(data, whole):
    """The filters of the command line are those of the module."""
    text = run(data, "orders", "--json", "--order-id", whole[7].order_id)
    assert json.loads(text)["order_id"] == whole[7].order_id
    found = run(data, "orders", "--json", "--from-time", FROM_NS, "--to-time", UNTIL_NS).splitlines()
    assert len(found) == sum(FROM_NS <= one.entry_time_ns <= UNTIL_NS for one in whole)
    market = json.loads(run(data, "instruments", "--json", "--instrument", "1", "--from-time", FROM_NS))
    assert market["from_time_ns"] == FROM_NS


def test_a_terminal_gets_its_lines_after_the_bar(monkeypatch):
    """What is written while a bar is drawn there comes when the bar is gone, also when the work fails."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(lines, "sys", SimpleNamespace(stdout=terminal))

    def work():
        with lines.output() as out:
            lines.write_json([1], {"one": lambda one: one}, out)
            assert terminal.getvalue() == ""
            raise InputError("no more")

    with pytest.raises(InputError):
        work()
    assert terminal.getvalue() == '{"one": 1}\n'


def test_an_empty_log_has_nothing_to_measure(tmp_path):
    """A journal without orders gives no lines and no error."""
    commands = venue.stamped([build.clock()])
    data = venue.write(tmp_path, batch.Commands(commands.rows, commands.cold), (1,), events=False)
    assert run(data, "orders", "--json") == ""
    assert run(data, "orders") == ""
