"""What `replay inspect` says of trades that settle later is what the replayed state holds."""

from collections import Counter

import numpy as np
import pytest

from journal.reader import Reader
from kk99 import schema
from kk99.errors import InvariantError
from kk99.machine import Machine
from kk99.schema import EventKind
from replay import cycles, inspect, ledger, statements
from tests.core import logs
from tests.replay import venue


def nothing(_seq):
    """Progress that nobody looks at."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The data folder of a run with three settlement cycles."""
    return venue.write(tmp_path_factory.mktemp("run"), logs.log("settling-1"), (1, 64))


@pytest.fixture
def reader(data):
    """A reader of its journal."""
    with Reader(data.journal) as reader:
        yield reader


@pytest.mark.parametrize("seed", logs.SEEDS)
@pytest.mark.parametrize("size", [7, schema.BATCH_ROWS_MAX])
def test_balances_and_what_is_owed_follow_from_postings(seed, size):
    """The postings of all events sum to every balance, and leave owed what the state owes, however the log is cut."""
    machine, names, sums = Machine(), ledger.Names(), Counter()
    postings = ledger.Postings(names)
    for part in logs.parts(logs.log(f"settling-{seed}"), size):
        events = machine.apply_all(part)
        names.observe(events)
        for row in events.rows[np.isin(events.rows["kind"], ledger.LEDGER_KINDS)]:
            made = postings.of(row)
            totals = Counter()
            for one in made:
                totals[one.asset_id] += one.amount_units
                sums[one.account_id, one.asset_id] += one.amount_units
            is_inner = row["kind"] not in {EventKind.DEPOSITED, EventKind.WITHDRAWN}
            assert not is_inner or set(totals.values()) <= {0}
    image = machine.image().rows
    held = {
        (int(row["account_id"]), int(row["asset_id"])): int(row["amount_units"]) + int(row["notional_units"])
        for row in image[image["kind"] == EventKind.BALANCE_IMAGE]
    }
    assert {key: one for key, one in sums.items() if one} == {key: one for key, one in held.items() if one}
    owed = {
        (int(row["account_id"]), int(row["asset_id"]), int(row["order_id"])): int(row["amount_units"])
        for row in image[image["kind"] == EventKind.OBLIGATION_IMAGE]
    }
    assert owed
    assert postings.owed == owed


@pytest.mark.parametrize("account", ["A", "B", "C", "D", "FEES", "CLEARING"])
def test_a_statement_shows_what_was_settled_and_what_is_still_owed(reader, account):
    """Movements add up to the balance; what is owed stands beside it, and in the text."""
    found = inspect.statement(reader, account, 1, None, nothing)
    balances = Counter()
    for one in found.movements:
        balances[one.asset] += one.amount_units
    assert all(one.closing_units == balances[one.asset] for one in found.balances)
    text = statements.text(found)
    assert all(one.value_date in text for one in found.owed)
    if account in "ABCD":
        assert found.owed
        assert any(one.text.startswith("settled, value date 1970-") for one in found.movements)
    if account == "CLEARING":
        assert any(one.text.startswith("owed to A, value date 1970-") for one in found.movements)


def test_a_statement_that_owes_something_else_is_an_error(reader, monkeypatch):
    """If what trades left owed and the state disagree, no statement is given."""
    right = ledger.Postings.of

    def wrong(postings, row):
        made = right(postings, row)
        postings.owed = {owed: amount + 1 for owed, amount in postings.owed.items()}
        return made

    monkeypatch.setattr(ledger.Postings, "of", wrong)
    with pytest.raises(InvariantError, match="not what its trades left owed"):
        inspect.statement(reader, "A", 1, None, nothing)


def test_a_trade_and_its_bust_post_where_it_stood(reader):
    """A bust before the settlement comes out of CLEARING, one after it from the account; either way all is undone."""
    events = Machine().apply_all(logs.log("settling-1")).rows
    undone = set()
    for trade_id in events["trade_id"][events["kind"] == EventKind.TRADE_BUSTED].tolist():
        found = inspect.trade(reader, trade_id, nothing)
        sums, clearing = Counter(), Counter()
        for account, asset, amount, _text in found.postings:
            sums[account, asset] += amount
            clearing[asset] += amount if account == "CLEARING" else 0
        undone.add(any(clearing.values()))
        assert any(clearing.values()) or not any(sums.values())
    assert False in undone


@pytest.mark.parametrize(
    ("dates", "today", "days", "found"),
    [([3, 4, 8], 0, 2, 8), ([3, 4, 8], 5, 1, 9), ([3, 4, 8], 9, 2, 11), ([3], 3, 1, 4), ([3], 0, 3, 6)],
)
def test_value_dates_follow_the_calendar_and_then_every_day(dates, today, days, found):
    """The trade date is the first business date from today on; the value date so many after it."""
    assert cycles.nth_date(dates, today, days) == found


def test_dates_read_as_iso_8601_as_far_as_it_goes():
    """A date beyond the year 9999 is a number."""
    assert cycles.date_text(0) == "1970-01-01"
    assert cycles.date_text(2**31 + 4) == f"day {2**31 + 4}"
