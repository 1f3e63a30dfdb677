"""Every bench runs in its tiny size and gives the figures it is asked for, so none of them rots."""

import json

import pytest
from click.testing import CliRunner

from kk99.bench import cli, results, yardstick
from kk99.bench.cli import BENCHES, bench
from kk99.bench.results import BARS, Bar, Result
from kk99.bench.yardstick import YardstickUnavailable

MACHINE = {"cpu", "cores", "memory_gib", "disk", "kernel", "python", "numba", "load_1_min"}
FIELDS = {"id", "value", "unit", "must", "goal", "yardstick"}
SKIPPED = {"startup.cold.seconds"}
"""Figures with a bar that a quick run does not take."""


def run(name, data):
    """The JSON object of a quick bench."""
    done = CliRunner().invoke(bench, [name, "--json", "--quick", "--data", str(data)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def needs_yardstick(name):
    """Whether a figure has no value where there is no C++ compiler."""
    return name.endswith(".ratio") and isinstance(yardstick.build_yardstick(), YardstickUnavailable)


@pytest.mark.parametrize("name", BENCHES)
def test_bench_gives_its_figures(name, tmp_path):
    """A bench prints one object with the machine, every figure that has a bar, and nothing left on the disk."""
    found = run(name, tmp_path / "data")
    assert set(found) == {"bench", "machine", "results"}
    assert found["bench"] == name
    assert set(found["machine"]) == MACHINE
    assert all(set(item) == FIELDS for item in found["results"])
    by_id = {f"{name}.{item['id']}": item for item in found["results"]}
    assert len(by_id) == len(found["results"])
    wanted = {key: bar for key, bar in BARS.items() if key.startswith(f"{name}.")}
    assert set(wanted) <= set(by_id)
    for key, bar in wanted.items():
        assert (by_id[key]["must"], by_id[key]["goal"]) == (bar.must, bar.goal)
    for key, item in by_id.items():
        if key not in SKIPPED and not needs_yardstick(key):
            assert isinstance(item["value"], (int, float)), key
    assert list((tmp_path / "data").glob("*")) == []


def test_core_says_why_it_has_no_yardstick(tmp_path, monkeypatch):
    """Without a C++ compiler the ratios have no value, the costs have one, and the reason is told."""
    monkeypatch.setattr(yardstick, "COMPILER", "a-compiler-that-is-not-there")
    done = CliRunner().invoke(bench, ["core", "--json", "--quick", "--data", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0
    values = {item["id"]: item["value"] for item in json.loads(done.stdout)["results"]}
    assert values["exchange_mix.ratio"] is None
    assert values["exchange_mix.ns_per_command"] > 0
    assert "a-compiler-that-is-not-there" in done.stderr


def test_all_benches_make_one_object(tmp_path, monkeypatch):
    """`all` runs each bench apart, names its figures by it, goes on when one fails, and then ends with status 1."""
    monkeypatch.setattr(cli, "BENCHES", ("journal", "no-such-bench"))
    done = CliRunner().invoke(bench, ["all", "--json", "--quick", "--data", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["bench"] == "all"
    assert {item["id"].partition(".")[0] for item in found["results"]} == {"journal"}
    assert "no-such-bench failed" in done.stderr


@pytest.mark.parametrize(
    ("key", "value", "verdict"),
    [
        ("core.deep_book.ratio", 2.49, "MUST MISSED"),
        ("core.deep_book.ratio", 2.5, "goal missed"),
        ("core.deep_book.ratio", 5.0, "ok"),
        ("recover.seconds", 3.01, "MUST MISSED"),
        ("recover.seconds", 3.0, "goal missed"),
        ("recover.seconds", 1.0, "ok"),
        ("snapshot.stall_ms", 10.0, "ok"),
        ("startup.cold.seconds", None, "not measured"),
        ("core.deep_book.ns_per_command", 1e9, ""),
    ],
)
def test_verdict_at_the_edges(key, value, verdict):
    """A figure that just reaches a bar has reached it, whichever way is better."""
    name, _, figure = key.partition(".")
    assert Result(name, figure, value, "").verdict == verdict


def test_bars_are_in_order():
    """Every goal lies beyond what must be reached."""
    for bar in BARS.values():
        assert isinstance(bar, Bar)
        assert bar.goal is None or (bar.goal < bar.must) == bar.lower_is_better


def test_table_marks_each_shortfall(capsys):
    """The table has a line for every figure and says which bar was missed."""
    from rich.console import Console

    shown = [Result("recover", "seconds", 3.5, "s"), Result("recover", "journal", 12_345_678, "commands")]
    Console(width=140).print(results.table({"cpu": "any"}, shown, quick=False))
    text = capsys.readouterr().out
    assert "MUST MISSED" in text
    assert "12,345,678" in text
    assert "cpu any" in text
