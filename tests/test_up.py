"""The whole venue as processes: `kk99 up`, its terminal, the kill drill."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console

from kk99 import batch, build
from kk99.drill import Drill
from kk99.errors import EngineError, InputError, InvariantError
from kk99.feed import venue
from kk99.feed.flow import Flow
from kk99.feed.load import load
from kk99.feed.plan import Plan
from kk99.machine import Machine
from kk99.processes import Venue, progress_of
from kk99.schema import EventKind, Side
from kk99.terminal.model import View
from kk99.terminal.screen import Status, picture, plain
from kk99.up import commit_us

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


def test_progress_is_read_from_the_engines_log():
    """Lines about the kernel and about recovery are told, others are not."""
    assert progress_of('{"event": "kernel", "part": "loading", "done": 2, "of": 8}') == "kernel: loading (2 of 8)"
    assert progress_of('{"event": "recovery", "text": "replaying"}') == "replaying"
    assert progress_of('{"event": "other"}') == progress_of("no json") == ""


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


def shown(view, status):
    """The picture as text."""
    console = Console(width=140, file=io.StringIO())
    console.print(picture(view, status))
    return console.file.getvalue()


def test_picture_and_line_show_the_market():
    """Prices in decimals, rates, sequences and the market's state are there."""
    core = Core(load(venue.config_path("recordings/btcusdt-20240808.kk99rec")))
    client_seq = 1
    while client_seq < 10_000:
        client_seq += core.step(client_seq, 4096)
    status = Status(12.0, 1234.0, 2345.0, 56.0, core.seq, 7, 65536, (512, 2048), "a feed")
    text = shown(core.view, status)
    best = core.view.ladder(core.instrument_id, Side.BUY, 1)[0].price_ticks
    for part in ("BTCUSDT", "open", f"{best / 100:.2f}", "1,234", "a feed", f"{core.seq:,}", "≤ 0.51, 2.05 ms"):
        assert part in text
    line = plain(core.view, status)
    for part in ("BTCUSDT", f"{best / 100:.2f}", "1,234 commands/s", f"durable {core.seq:,}"):
        assert part in line


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
