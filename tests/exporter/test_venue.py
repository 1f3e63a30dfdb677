"""A whole venue's figures: all that is declared is served, all that dashboard and alerts name is among it."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateways.client import Client
from kk99 import build, cli
from kk99.docs import PAGES_DIR
from kk99.exporter.gather import is_known
from kk99.metrics.series import SERIES, Kind
from kk99.schema import VENUE_ACCOUNTS, Side
from tests.engine.harness import DEADLINE_S, ROOT, rejected_orders, wait_for
from tests.fix.venue_process import OPERATOR, FixVenue
from tests.web.web_process import WebProcess

pytestmark = pytest.mark.xdist_group("processes")

NAME = re.compile(r"\bkk99_[a-z0-9_]+")
CONFIG = ROOT / "config"


class ExporterProcess:
    """An exporter beside a venue."""

    def __init__(self, venue):
        self.venue = venue

    def __enter__(self):
        engine = self.venue.engine
        arguments = ["exporter", "--data", engine.data_dir, "--run", engine.run_dir, "--listen", "127.0.0.1:0"]
        self.log = engine.data_dir.with_name("exporter.log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kk99.cli", *map(str, arguments), "--json-log"],
                stdout=subprocess.PIPE, stderr=log, cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT), "KK99_METRICS__PROCESSES": "engine, fix, settlement"},
            )  # fmt: skip
        line = self.process.stdout.readline().decode()
        assert "ready at http://127.0.0.1:" in line, self.log.read_text()
        self.url = line.split()[-1]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(DEADLINE_S) == 0
        self.process.stdout.close()

    def text(self):
        """What Prometheus gets."""
        with urllib.request.urlopen(self.url, timeout=DEADLINE_S) as answer:
            return answer.read().decode()

    def samples(self):
        """Every sample's value by name and labels."""
        families = text_string_to_metric_families(self.text())
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def value(self, name, **labels):
        """One sample's value, None if there is none."""
        return self.samples().get((name, *sorted(labels.items())))


def trade(address):
    """Have a breaker, trades that stress it, rejects, and a bid and an ask that stay."""
    alice, bob = VENUE_ACCOUNTS, VENUE_ACCOUNTS + 1
    with Client.connect(address, "trader", timeout_s=DEADLINE_S) as client:
        client.submit(build.breaker("DEMOUSD", stress_s=1, stress_step=1, **OPERATOR))
        for price in (1_000, 1_020):
            client.submit(build.order_new(alice, 1, Side.SELL, 10, price))
            client.submit(build.order_new(bob, 1, Side.BUY, 10, price))
        client.submit(build.order_new(alice, 1, Side.SELL, 10, 1_030))
        client.submit(build.order_new(bob, 1, Side.BUY, 10, 1_010))
        client.submit(rejected_orders(7))
        client.flush()


@pytest.fixture(scope="module")
def venue(tmp_path_factory):
    """An engine, a FIX gateway and an exporter, when something has happened and the stress was told."""
    folder = tmp_path_factory.mktemp("metrics")
    with FixVenue(folder) as running, WebProcess(running.engine, folder) as web, ExporterProcess(running) as exporter:
        web.get("/api/v1/time")
        wait_for(lambda: exporter.value("kk99_follower_seq", process="exporter"), "the exporter's first image")
        trade(running.engine.run_dir)
        wait_for(lambda: exporter.value("kk99_market_stress", instrument="DEMOUSD"), "the stress")
        running.exporter = exporter
        yield running


def served(samples):
    """The declared names that are served, without the endings of histograms."""
    names = {key[0] for key in samples}
    endings = ("_bucket", "_sum", "_count")
    return {name for name in SERIES if name in names or {f"{name}{ending}" for ending in endings} <= names}


def named_in(path):
    """Every name of a series in a file of config/, without the endings of histograms."""
    found = set(NAME.findall(path.read_text()))
    assert all(is_known(name) for name in found), [name for name in found if not is_known(name)]
    return {name if name in SERIES else re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def test_all_that_is_declared_is_served(venue):
    """A venue that trades serves every declared series, and none other of that prefix."""
    samples = venue.exporter.samples()
    assert served(samples) == set(SERIES)
    assert all(is_known(key[0]) for key in samples)


@pytest.mark.parametrize("file", ["grafana/kk99.json", "prometheus/kk99.rules.yml"])
def test_dashboard_and_alerts_name_only_what_is_served(venue, file):
    """No panel is empty and no alert is blind because of a name."""
    named = named_in(CONFIG / file)
    assert len(named) >= 15
    assert named <= served(venue.exporter.samples())


def test_what_is_served_is_documented():
    """The reference page has every series, with its labels, and no other."""
    page = (PAGES_DIR / "metrics.md").read_text()
    rows = re.findall(r"^\| `(kk99_[a-z0-9_]+)` \| (\w+) \| (.*?) \|", page, flags=re.MULTILINE)
    assert {name: kind for name, kind, _ in rows} == {name: series.kind.value for name, series in SERIES.items()}
    assert {name: tuple(labels.replace("`", "").split()) for name, _, labels in rows} == {
        name: series.served_labels for name, series in SERIES.items()
    }


def test_figures_are_those_of_what_happened(venue):
    """Two trades, seven rejects, one spread; each command processed once, in the buckets of a histogram."""
    samples = venue.exporter.samples()
    assert samples["kk99_trades_total", ("instrument", "DEMOUSD")] == 2
    assert samples["kk99_rejects_total", ("reason", "ACCOUNT_UNKNOWN")] == 7
    assert samples["kk99_market_spread_ratio", ("instrument", "DEMOUSD")] == 2 * 20 / 2_040
    assert samples["kk99_orders_live", ("state", "standing")] == 2
    assert samples["kk99_process_up", ("process", "fix")] == samples["kk99_process_up", ("process", "engine")] == 1
    assert samples["kk99_process_up", ("process", "settlement")] == 0
    assert samples["kk99_engine_trade_latency_seconds_count",] == 2
    commands = sum(samples["kk99_engine_commands_total", ("origin", origin)] for origin in ("client", "sequencer"))
    assert samples["kk99_engine_processing_seconds_count",] == commands
    assert samples["kk99_engine_batch_commands_sum",] == commands
    assert samples["kk99_engine_seq", ("stage", "durable")] == commands
    assert samples["kk99_engine_processing_seconds_bucket", ("le", "+Inf")] == commands
    assert samples["kk99_engine_processing_seconds_bucket", ("le", "0.1")] <= commands
    assert samples["kk99_engine_conservation_checks_total", ("kind", "batch")] > 0


@pytest.mark.parametrize("process", ["exporter", "fix", "web"])
def test_followers_lag_ends(venue, process):
    """Once nothing happens, no follower is behind, and each stands where the engine does."""
    exporter = venue.exporter
    wait_for(lambda: exporter.value("kk99_follower_lag_events", process=process) == 0, "the lag's end")
    assert exporter.value("kk99_follower_seq", process=process) == exporter.value("kk99_engine_seq", stage="stored")


def test_the_command_prints_the_same(venue, capsys, monkeypatch):
    """`kk99 metrics` has a table, one JSON object, and Prometheus's text; what is expected and missing is status 1."""

    def run(*options, processes="engine", status=0):
        monkeypatch.setenv("KK99_METRICS__PROCESSES", processes)
        with pytest.raises(SystemExit) as end:
            cli.main(["metrics", "--run", str(venue.engine.run_dir), *options])
        assert end.value.code == status
        return capsys.readouterr().out

    document = json.loads(run("--json"))
    assert document["processes"] == {"engine": True, "exporter": True, "fix": True, "web": True}
    names = {sample["name"] for sample in document["samples"]}
    assert names == set(SERIES)
    histogram = next(sample for sample in document["samples"] if sample["name"] == "kk99_engine_commit_seconds")
    assert histogram["count"] == histogram["buckets"]["+Inf"] > 0
    assert re.search(r"^kk99_trades_total +DEMOUSD +2$", run(), flags=re.MULTILINE)
    families = {family.name for family in text_string_to_metric_families(run("--prometheus"))}
    counters = {name for name, series in SERIES.items() if series.kind is Kind.COUNTER}
    assert families == {name.removesuffix("_total") if name in counters else name for name in SERIES}
    run(processes="engine, settlement", status=1)


def test_a_dead_engine_is_seen_and_a_new_one_followed(venue):
    """The exporter goes on to answer; the engine shows as down, then as up, and its events are followed again."""
    exporter = venue.exporter
    venue.engine.kill()
    assert exporter.value("kk99_process_up", process="engine") == 0
    assert exporter.value("kk99_engine_sessions") is None
    assert exporter.value("kk99_trades_total", instrument="DEMOUSD") == 2
    venue.engine.start()
    with Client.connect(venue.engine.run_dir, "trader", timeout_s=DEADLINE_S) as client:
        client.submit(rejected_orders(1))
        client.flush()
    wait_for(lambda: exporter.value("kk99_rejects_total", reason="ACCOUNT_UNKNOWN") == 8, "the event after the start")
    wait_for(lambda: exporter.value("kk99_follower_lag_events", process="exporter") == 0, "the lag's end")
    assert exporter.value("kk99_process_up", process="engine") == 1


def test_a_port_that_is_taken_is_named(venue):
    """A second exporter on the same port is refused, and says which."""
    port = venue.exporter.url.split(":")[2].split("/")[0]
    done = subprocess.run(
        [sys.executable, "-m", "kk99.cli", "exporter", "--run", venue.engine.run_dir, "--listen", f"127.0.0.1:{port}"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"127.0.0.1:{port}: Address already in use" in done.stderr


PASSWORD = "hunter2-is-wrong"


def logon(sender, password):
    """A Logon of FIX 4.4 with a password."""
    now = datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.000")
    body = f"35=A\x0149={sender}\x0156=KK99\x0134=1\x0152={now}\x0198=0\x01108=30\x01554={password}\x01"
    message = f"8=FIX.4.4\x019={len(body)}\x01{body}".encode()
    return message + f"10={sum(message) % 256:03d}\x01".encode()


def test_no_process_logs_an_error_of_a_clients_making(venue):
    """A stranger's garbage at the sockets, FIX and HTTP leaves no line of level error or above."""
    garbage = b"8=FIX.4.4\x019=5\x0135=A\x0110=000\x01GET / HTTP/1.1\r\n\r\n"
    for data in (garbage, logon("CLIENT\x1b[2J", PASSWORD), logon("CLIENT", PASSWORD)):
        with socket.create_connection(("127.0.0.1", venue.port), timeout=20) as stranger:
            stranger.sendall(data)
            with contextlib.suppress(OSError):
                while data is not garbage and stranger.recv(100):
                    pass
    for path in ("", "x" * 100_000):
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(venue.exporter.url + path, timeout=10).read()
    with Client.connect(venue.engine.run_dir, "wrong", timeout_s=DEADLINE_S) as client:
        client.submit(rejected_orders(3))
        client.flush()
    logs = [venue.engine.log, venue.log, venue.exporter.log]
    lines = [json.loads(line) for log in logs for line in Path(log).read_text().splitlines()]
    assert {line["level"] for line in lines} <= {"info", "warning"}
    assert {line["process"] for line in lines} == {"engine", "fix", "exporter"}
    assert any(line["event"] == "logon refused" for line in lines)
    assert not any(PASSWORD in log.read_text() or "\x1b" in log.read_text() for log in map(Path, logs))
    assert all(line["seq"] >= 0 for line in lines if line["event"] == "disconnected")
