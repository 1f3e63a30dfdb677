"""The whole venue as processes: `kk99 up`, its terminal, the kill drill."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from kk99 import batch, build, docs
from kk99.drill import Drill
from kk99.errors import EngineError, InputError, InvariantError
from kk99.feed import venue
from kk99.feed.flow import Flow
from kk99.feed.load import load
from kk99.feed.plan import Plan
from kk99.machine import Machine
from kk99.processes import StartUp, Venue
from kk99.schema import EventKind, Side
from kk99.terminal.model import View
from kk99.terminal.screen import Status, picture, plain, times_text
from kk99.up import commit_us, summary_table, this_command

pytestmark = pytest.mark.xdist_group("processes")

FLOWS = venue.config_path("venue.toml").parent.parent / "tests/data/flow"


def kk99(*arguments, timeout=120):
    """A finished `kk99` command."""
    command = [sys.executable, "-m", "kk99.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


# Real processes -------------------------------------------------------------------------------------------------------


def test_up_ends_by_itself_with_a_summary_and_the_next_one_goes_on(tmp_path):
    """Both print one object; the second begins where the first ended; the hash is that of a replay from nothing."""
    runs = []
    for _ in range(2):
        done = kk99("up", "--data", tmp_path, "--seconds", 2, "--speed", "max", "--json")
        assert done.returncode == 0, done.stderr
        runs.append(json.loads(done.stdout))
    for run in runs:
        assert run["commands"] == run["accepted"] + run["rejected"] + run["duplicates"] > 10_000
        assert run["rejected"] == 0
        assert run["trades"] > 0
        assert run["durable_seq"] == run["last_seq"] == run["first_seq"] + run["commands"] - 1
    assert runs[1]["first_seq"] == runs[0]["last_seq"] + 1
    replayed = json.loads(kk99("replay", "run", "--data", tmp_path, "--json").stdout)
    assert (replayed["seq"], replayed["state_hash"]) == (runs[1]["last_seq"], runs[1]["state_hash"])


def test_up_keeps_the_books(tmp_path):
    """At a modest speed they are level when it stops, and agree with the journal to the unit."""
    done = kk99("up", "--data", tmp_path, "--seconds", 8, "--speed", "10", "--json")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run["settlement_lag"] == 0, (tmp_path / "log/settlement.log").read_text()
    proved = kk99("settlement", "reconcile", "--journal", "--data", tmp_path, "--json")
    assert proved.returncode == 0, proved.stdout + proved.stderr
    found = json.loads(proved.stdout)
    assert (found["seq"], found["differences"]) == (run["last_seq"], [])
    assert found["balances"] > 16


def test_interrupt_stops_everything_cleanly(tmp_path):
    """SIGINT to `kk99 up` alone ends feed and engine, with status 0, a summary and no traceback."""
    command = [sys.executable, "-m", "kk99.cli", "up", "--data", str(tmp_path), "--speed", "50"]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            lines.append(line)
            if "commands/s" in line and len(lines) > 2:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
        assert process.wait(60) == 0
    assert "stopped cleanly" in rest
    assert f"replay verify --data {tmp_path}" in rest
    assert "Traceback" not in "".join(lines) + rest
    log = (tmp_path / "log/engine.log").read_text()
    assert '"event": "stopped"' in log
    assert (tmp_path / "log/feed.log").read_text() == ""


def test_a_second_venue_on_the_same_data_is_refused(tmp_path):
    """The second one says who has the journal, and the first goes on."""
    with Venue(tmp_path) as first:
        first.start_engine(lambda _: None, lambda: False)
        done = kk99("up", "--data", tmp_path, "--seconds", 1)
        assert done.returncode == 1
        assert f"is written by process {first.engine.process.pid}" in done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        first.check()


def test_a_dead_child_is_an_error_that_says_so(tmp_path):
    """The engine's death by a signal, and the feed's by a bad file, are named with the log to look at."""
    bad = tmp_path / "bad.csv"
    bad.write_text("op,account\nnew\n")
    with Venue(tmp_path / "v") as venue_:
        venue_.start_engine(lambda _: None, lambda: False)
        venue_.start_feed(bad, 1.0)
        venue_.feed.process.wait(60)
        with pytest.raises(EngineError, match=r"the feed ended with status 1: .*bad\.csv: line 2"):
            venue_.check()
        venue_.feed = None
        os.kill(venue_.engine.process.pid, signal.SIGKILL)
        venue_.engine.process.wait(60)
        with pytest.raises(EngineError, match="the engine was killed by SIGKILL"):
            venue_.check()
        venue_.engine = None


def test_a_folder_that_can_not_be_made_is_refused(tmp_path):
    """A file in the way of the data folder is a clear error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--data"):
        Venue(tmp_path / "file")


def test_drill_kills_and_proves(tmp_path):
    """Two kills lose nothing; the verdict is on every check, the data is removed."""
    done = kk99("drill", "kill", "--times", 2, "--seed", 7, "--data", tmp_path / "drill", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["verdict"] is True
    assert set(result["checks"].values()) == {True}
    assert [entry["number"] for entry in result["rounds"]] == [1, 2]
    for entry in result["rounds"]:
        assert entry["journaled"] >= entry["acknowledged"] > 0
        assert entry["journal_seq"] >= entry["seen_seq"]
    assert not (tmp_path / "drill").exists()


def test_drill_would_notice_a_loss(tmp_path):
    """A command acknowledged but not journaled, an event that left too early, and a command changed are each found."""
    test = Drill(tmp_path, seed=1)
    with test.venue:
        test.begin()
        test.play(0.1)
        test.feed.flush()
        acknowledged = test.feed.durable_client_seq
        with pytest.raises(InvariantError, match="was acknowledged"):
            test.check_journal(acknowledged + 1, 0)
        with pytest.raises(InvariantError, match="left, the journal ends"):
            test.check_journal(acknowledged, 1 << 40)
        test.follower.finish(test.feed.engine_stats()["head_seq"], timeout_s=30.0)
        test.play(0.1)
        test.feed.flush()
        test.plan = Plan(load(FLOWS / "orders_static_s23_n20000.bin.zst"), 1, [16, 17])
        with pytest.raises(InvariantError, match="not what was sent"):
            test.check_journal(0, 0)
        test.feed.close()


def test_drill_spares_folders_that_are_not_its_own(tmp_path):
    """A folder with something else in it is refused and left as it is."""
    (tmp_path / "precious").write_text("x")
    done = kk99("drill", "kill", "--data", tmp_path)
    assert done.returncode == 1
    assert "not an earlier drill" in done.stderr
    assert (tmp_path / "precious").exists()


def kernel_line(part, done):
    """The engine's line about a part of the core."""
    return json.dumps({"event": "kernel", "part": part, "done": done, "of": 2})


def test_a_quick_start_tells_nothing():
    """The core from the cache and a short replay pass in silence, as does what is not about starting."""
    start = StartUp()
    for now_s, line in ((0.0, kernel_line("matching", 0)), (0.3, kernel_line("images", 1)), (0.4, kernel_line("", 2))):
        assert start.hear(line, now_s) + start.look(now_s) == []
    for line in ('{"event": "recovery", "text": "replaying 5 commands"}', '{"event": "other"}', "no json"):
        assert start.hear(line, 0.5) + start.look(0.5) == []
    assert start.hear('{"event": "recovery", "text": "snapshot skipped: why"}', 0.6) == ["snapshot skipped: why"]


def test_compiling_is_told_with_its_progress():
    """Once it takes noticeable time: what, how long, that it is once; then each part, and that it goes on."""
    start = StartUp()
    assert start.hear(kernel_line("matching", 0), 5.0) + start.look(6.9) == []
    assert start.look(7.0) == ["compiling the core, about a minute, once", "compiling matching, 1 of 2"]
    assert start.look(14.9) == []
    assert start.look(17.0) == ["compiling matching, 1 of 2: 12 s"]
    assert start.hear(kernel_line("images", 1), 40.0) == ["compiling images, 2 of 2"]
    assert start.hear(kernel_line("done", 2), 45.0) == ["done in 40 s"]
    assert start.look(100.0) == []


def test_a_long_replay_is_told():
    """From its first second on."""
    start = StartUp()
    assert start.hear('{"event": "recovery", "text": "replaying 5 commands"}', 5.0) == []
    assert start.look(6.0) == ["replaying 5 commands"]
    assert start.hear('{"event": "recovery", "text": "replayed to seq 3"}', 7.0) == ["replayed to seq 3"]


def test_the_summary_fits_a_terminal_and_its_command_runs(tmp_path, monkeypatch):
    """Nothing is cut at 80 columns, every figure has its name, and the command is found from the checkout."""
    summary = {
        "commands": 12_345_678, "accepted": 12_345_600, "rejected": 70, "duplicates": 8, "trades": 1_234,
        "seconds": 61.25, "first_seq": 1, "last_seq": 12_345_678, "durable_seq": 12_345_678, "state_hash": "ab" * 32,
        "latency_p50_us": 1_239, "latency_p99_us": 33_561, "settlement_lag": 0,
    }  # fmt: skip
    console = Console(width=80, file=io.StringIO())
    console.print(summary_table(summary))
    text = console.file.getvalue()
    assert text.startswith("stopped cleanly\n")
    assert "ab" * 32 in text
    for name, value in (("commands", "12,345,678"), ("rejected", "70"), ("latency p50, p99", "1.24, 33.56 ms")):
        assert re.search(rf"^ +{name} +{re.escape(value)} *$", text, re.MULTILINE)
    for folder in (Path(docs.PAGES_DIR).parent.parent, tmp_path):
        monkeypatch.chdir(folder)
        done = subprocess.run(f"{this_command()} --help", shell=True, capture_output=True, text=True, check=False)
        assert (done.returncode, "replay" in done.stdout) == (0, True), done.stderr


# The view -------------------------------------------------------------------------------------------------------------


class Core:
    """A machine with a flow's plan, and a view that follows it."""

    def __init__(self, flow):
        self.machine, self.seq = Machine(), 0
        config = venue.read_config(venue.config_path("venue.toml"))
        config["accounts"]["names"] = list(flow.accounts)
        for make in venue.ROUNDS:
            self.apply(build.batch_of(make(config, venue.Known().take(self.machine.image()))))
        known = venue.Known().take(self.machine.image())
        ids = [known.accounts[name]["number"] for name in flow.accounts]
        self.instrument_id = known.instruments[flow.instrument]["number"]
        self.plan = Plan(flow, self.instrument_id, ids)
        self.view = View()
        self.view.begin(self.seq, [self.machine.image()])

    def apply(self, commands):
        """The events of commands."""
        commands.rows["session_id"] = 0
        commands = build.stamp(commands, self.seq + 1, 1_000)
        self.seq += len(commands.rows)
        return self.machine.apply_all(commands)

    def step(self, client_seq, count):
        """Play and show some commands of the plan; how many."""
        commands = self.plan.commands(client_seq, count)
        self.view.take(self.apply(commands), 3_000)
        return len(commands.rows)

    def standing(self):
        """Each standing order of the machine by slot, as the view keeps it."""
        fresh = View()
        fresh.begin(self.seq, [self.machine.image()])
        return fresh.orders


def same_orders(one, other):
    """Whether two tables of orders have the same standing ones."""
    size = max(len(one), len(other))
    tables = []
    for table in (one, other):
        full = np.zeros(size, table.dtype)
        full[: len(table)] = table
        full[full["leaves_lots"] == 0] = 0
        tables.append(full)
    return tables[0].tobytes() == tables[1].tobytes()


@pytest.mark.parametrize("frame", [7, 1000, 4096])
def test_view_equals_the_venue_after_every_frame(frame):
    """Whatever the size of frames, recycled slots and all, the standing orders are those of an image."""
    core = Core(load(FLOWS / "orders_swing-25_s23_n20000.bin.zst"))
    client_seq, end = 1, min(core.plan.length, frame * 40)
    while client_seq <= end:
        client_seq += core.step(client_seq, frame)
        assert same_orders(core.view.orders, core.standing())
    assert core.view.last_seq == core.seq


def test_view_counts_and_ladders():
    """Ladder, tape, counts and latency are those of the events."""
    rows = load(FLOWS / "orders_static_s23_n20000.bin.zst").rows
    core = Core(Flow(rows, "DEMOUSD", ("alder", "birch")))
    core.step(1, core.plan.clearing)
    all_events = [core.apply(core.plan.commands(core.plan.clearing + 1 + at, 1000)) for at in range(0, 8000, 1000)]
    for events in all_events:
        core.view.take(batch.Events(events.rows.copy(), events.tail), 3_000)
    events = np.concatenate([events.rows for events in all_events])
    trades = events[events["kind"] == EventKind.TRADE]
    view = core.view
    assert view.counts[EventKind.TRADE] == len(trades)
    assert view.latency_ns(50, 99) == [2_000, 2_000]
    tape = view.tape(core.instrument_id, 5)
    assert [trade.price_ticks for trade in tape] == trades["price_ticks"][-1:-6:-1].tolist()
    for side in (Side.BUY, Side.SELL):
        orders = view.orders[(view.orders["leaves_lots"] > 0) & (view.orders["side"] == side)]
        prices = sorted(set(orders["price_ticks"].tolist()), reverse=side == Side.BUY)[:10]
        ladder = view.ladder(core.instrument_id, side, 10)
        assert [level.price_ticks for level in ladder] == prices
        for level in ladder:
            there = orders[orders["price_ticks"] == level.price_ticks]
            assert (level.qty_lots, level.orders) == (int(there["leaves_lots"].sum()), len(there))


def shown(view, status, width=132, height=45):
    """The picture as text."""
    console = Console(width=width, height=height, file=io.StringIO())
    console.print(picture(view, status))
    return console.file.getvalue()


@pytest.fixture(scope="module")
def market():
    """A venue that has played ten thousand commands of the recording."""
    core = Core(load(venue.config_path("recordings/btcusdt-20240808.kk99rec")))
    client_seq = 1
    while client_seq < 10_000:
        client_seq += core.step(client_seq, 4096)
    return core


def busy(core):
    """A status with large numbers."""
    rates = 4_321_234.0, 8_642_345.0, 987_656.0
    return Status(12_345.0, *rates, core.seq, 65_536, 65_536, (512, 2048), "a feed", core.seq - 54_321)


def test_picture_and_line_show_the_market(market):
    """Prices in decimals, rates, sequences and the market's state are there."""
    text = shown(market.view, busy(market))
    best = market.view.ladder(market.instrument_id, Side.BUY, 1)[0].price_ticks
    figures = "4,321,234", "a feed", f"{market.seq:,}", "54,321", "≤ 0.51, 2.05 ms"
    for part in ("BTCUSDT", "open", f"{best / 100:.2f}", *figures):
        assert part in text
    line = plain(market.view, busy(market))
    for part in ("BTCUSDT", f"{best / 100:.2f}", "4,321,234 commands/s", f"durable {market.seq:,}"):
        assert part in line


SIZES = [(80, 24), (100, 30), (132, 45), (200, 60), (80, 18), (60, 24), (40, 10)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_picture_fits_and_cuts_no_number(market, width, height):
    """At every size it fills the terminal and no more, ends with the hint, and nothing in it is cut."""
    lines = shown(market.view, busy(market), width, height).splitlines()
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    assert lines[-1].startswith("Ctrl-C stops")
    assert "…" not in "".join(lines)


@pytest.mark.parametrize(("width", "height"), SIZES[:4])
def test_all_that_matters_is_there_from_80_by_24(market, width, height):
    """Best prices, latest trade and every figure of the engine are whole; asks and bids are as many."""
    text = shown(market.view, busy(market), width, height)
    for side in (Side.BUY, Side.SELL):
        for level in market.view.ladder(market.instrument_id, side, 3):
            assert f" {level.price_ticks / 100:.2f} " in text
    for part in (
        "4,321,234 ",
        "8,642,345 ",
        f"{market.seq:,} ",
        "65,536 of 65,536 ",
        "≤ 0.51, 2.05 ms ",
        "standing now",
    ):
        assert part in text
    assert f" {market.view.tape(market.instrument_id, 1)[0].price_ticks / 100:.2f} " in text
    assert ("what it means" in text) == (height >= 45)


def test_times_have_the_unit_of_the_larger():
    """Long ones are in seconds, so that none outgrows its column."""
    assert times_text(1.234, 999.99) == "1.23, 999.99 ms"
    assert times_text(500.0, 1_000.0) == "0.50, 1.00 s"


def test_an_empty_venue_has_a_picture_too():
    """Before anything is known nothing breaks."""
    assert "KK99" in shown(View(), Status())
    assert "0 commands/s" in plain(View(), Status())


def test_commit_times_are_bounds_of_their_buckets():
    """Percentiles of commits are the powers of two that they are below; none without commits."""
    assert commit_us([0] * 24) == (0, 0)
    assert commit_us([0, 0, 99, 0, 1]) == (4, 4)
    assert commit_us([0, 0, 50, 0, 50]) == (4, 16)


def test_a_view_keeps_up_with_full_speed():
    """A frame of 4,096 events costs far less than the venue takes to make it."""
    core = Core(load(venue.config_path("recordings/btcusdt-20240808.kk99rec")))
    frames = []
    for at in range(1, 40_000, 4096):
        events = core.apply(core.plan.commands(at, 4096))
        frames.append(batch.Events(events.rows.copy(), events.tail))
    began = time.perf_counter()
    for events in frames:
        core.view.take(events, 3_000)
    count = sum(len(events.rows) for events in frames)
    assert (time.perf_counter() - began) / count < 2e-6
