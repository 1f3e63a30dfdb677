"""Scenarios as text tables: commands in, events out, run against the naive model and against the core alike.

A case is a title in brackets, then commands, each followed by its events with an arrow. The events of a command that
has none written are not looked at. `language.py` beside the tables says how lines are written.
"""

import functools
from pathlib import Path

import pytest

from kk99 import kinds, schema
from kk99.schema import RejectCode
from tests.core.tables import language
from tests.naive.clock import DAY_NS
from tests.naive.compare import empty_machine, stamped
from tests.naive.model import Naive
from tests.naive.rows import apply_to_naive, document_of

FOLDER = Path(__file__).parent / "tables"
TABLES = (
    "rejects", "orders", "matching", "self_trade", "fees", "work", "iceberg", "triggers", "trailing", "linked",
    "scheduled", "settlement",
)  # fmt: skip
ELSEWHERE = {
    RejectCode.CAPACITY_REACHED: "test_limits.py",
    RejectCode.ORDERS_FULL: "needs 16 million orders",
    RejectCode.WORK_QUEUE_FULL: "test_limits.py",
    RejectCode.MARKET_BUSY: "test_phases.py",
}
"""Reject codes that need more commands than a table has lines."""


def on_day(commands, day):
    """The commands at their times of a day."""
    commands.rows["time_ns"] += day * DAY_NS
    return commands


class Model:
    """The naive model, as the tables drive it."""

    def __init__(self):
        self.naive = Naive()

    def run(self, items, day=0):
        """Apply commands on a day and return their events."""
        events = apply_to_naive(self.naive, on_day(stamped(items, self.naive.seq + 1), day))
        self.naive.check()
        return events


class Core:
    """The core, as the tables drive it."""

    def __init__(self):
        self.machine = empty_machine()

    def run(self, items, day=0):
        """Apply commands on a day and return their events with the fields that their kinds have."""
        events = self.machine.apply_all(on_day(stamped(items, self.machine.seq + 1), day))
        self.machine.check()
        return [named_fields(row, events.tail) for row in events.rows]


@functools.cache
def cases(table):
    """The cases of a table by title: lists of (command, its events or None)."""
    result = {}
    for line in (FOLDER / f"{table}.txt").read_text().splitlines():
        text = line.partition("# ")[0].rstrip()
        if text.startswith("["):
            steps = result[text.strip("[]")] = []
        elif text.startswith("  ->"):
            steps[-1][1].append(text[5:])
        elif text:
            steps.append((text, []))
    return result


TITLES = [(table, title) for table in TABLES for title in cases(table)]


def dated(steps):
    """The commands of a case with their days and events; a line that only says which day it is has none."""
    day = 0
    for line, events in steps:
        if line.startswith("day "):
            day = int(line[4:])
        else:
            yield day, line, events


def outcome(venue, steps):
    """What a case does and what it should do: each command whose events the table gives, then those events."""
    venue.run(language.prelude())
    actual, expected = [], []
    for day, line, events in dated(steps):
        written = [language.write(event) for event in venue.run([language.read(line)], day)]
        if events:
            actual += [line, *written]
            expected += [line, *events]
    return actual, expected


@pytest.mark.parametrize("venue", [Model, Core])
@pytest.mark.parametrize(("table", "title"), TITLES)
def test_commands_cause_the_events_of_the_table(venue, table, title):
    """Each command of the case causes exactly the events written under it."""
    actual, expected = outcome(venue(), cases(table)[title])
    assert actual == expected


def test_every_reject_code_has_its_cases_in_order():
    """The table of rejects goes through the codes in the order in which the core checks them, and misses none."""
    titles = [title.split()[0] for title in cases("rejects")]
    order = [code.name for code in RejectCode if code not in ELSEWHERE]
    assert list(dict.fromkeys(titles)) == order
    for title, steps in cases("rejects").items():
        assert any(f"REJECTED {title.split()[0]}" in event for _, events in steps for event in events), title


# Rows to named fields -------------------------------------------------------------------------------------------------

HIDDEN = {"document_offset", "document_size"}


def named_fields(row, tail):
    """An event row as its fields that are not zero, by the names that its kind has for them."""
    rows = row.reshape(1)
    names = [name for name in schema.EVENT.names if row[name] and name not in HIDDEN and kinds.present(rows, name)[0]]
    document = document_of(row, tail)
    return {name: int(row[name]) for name in names} | ({"document": document} if document else {})
