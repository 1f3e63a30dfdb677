"""The alert rules, judged and tried by Prometheus's own promtool, and the document that says what to do about each."""

import json
import re
import shutil
import subprocess

import pytest

from tests.engine.harness import ROOT

PROMETHEUS = ROOT / "config/prometheus"
RULES = PROMETHEUS / "kk99.rules.yml"
PAGE = ROOT / "docs/how-to/monitor.md"


@pytest.fixture
def promtool():
    """Run promtool; without it the test is skipped, and says how to get it."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not here: `apt-get install prometheus` brings it")

    def run(*arguments):
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def test_rules_and_configuration_are_right(promtool):
    """Promtool finds nothing wrong with either file."""
    promtool("check", "rules", RULES)
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


def test_each_limit_is_just_kept_and_just_broken(promtool):
    """Alerts fire one step above their limit, and not at it."""
    promtool("test", "rules", ROOT / "tests/exporter/rules.yml")


def test_every_alert_has_its_paragraph():
    """The how-to says of every alert what it means and what to do, and of no other."""
    alerts = re.findall(r"^ *- alert: (\w+)$", RULES.read_text(), flags=re.MULTILINE)
    assert len(alerts) == len(set(alerts)) >= 20
    assert re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), flags=re.MULTILINE) == alerts


def test_the_dashboard_is_whole():
    """Every panel has a title, a query, and a place of its own; ids are given once."""
    dashboard = json.loads((ROOT / "config/grafana/kk99.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 30
    taken = set()
    for panel in panels:
        assert panel["title"]
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
        if panel["type"] != "row":
            assert all(target["expr"] for target in panel["targets"])
