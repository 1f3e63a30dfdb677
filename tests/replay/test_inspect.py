"""`replay inspect`: what it shows of commands, orders, trades and accounts is what the log brought forth."""

from collections import Counter

import numpy as np
import pytest

from journal.reader import Reader
from kk99 import schema
from kk99.errors import InputError, InvariantError
from kk99.machine import Machine
from kk99.schema import EventKind
from replay import inspect, ledger
from tests.replay import venue


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The data folder of the standard run."""
    return venue.write(tmp_path_factory.mktemp("run"), venue.whole_run(), (1, 64), snapshots_at=(131,))


@pytest.fixture(scope="module")
def events():
    """All events of the standard run."""
    return Machine().apply_all(venue.whole_run())


@pytest.fixture
def reader(data):
    """A reader of its journal."""
    with Reader(data.journal) as reader:
        yield reader


def nothing(_seq):
    """Progress that nobody looks at."""


def rows_of(events, kind):
    """The events of a kind."""
    return events.rows[events.rows["kind"] == kind]


def test_a_command_is_shown_with_its_document_and_events(data, reader):
    """A document command shows what the document says and the event it caused."""
    found = inspect.command(data, reader, 6)
    assert found.command["kind"] == "ACCOUNT_DEFINE"
    assert found.command["document"]["name"] == "alice"
    assert [event["kind"] for event in found.events] == ["ACCOUNT_DEFINED"]
    assert found.events[0]["document"]["number"] == venue.ALICE
    assert found.batch_last_seq >= 6


def test_every_command_shows_its_own_events_and_cold_row(data, reader, events):
    """Whatever the sequence, before and after a snapshot, the events shown are those of the run, in order."""
    commands = venue.whole_run()
    cold_seqs = commands.rows["seq"][(commands.rows["flags"] & schema.Flag.HAS_COLD) != 0]
    for seq in [1, 2, 16, 130, 131, 132, int(cold_seqs[3]), len(commands.rows)]:
        found = inspect.command(data, reader, seq)
        wanted = events.rows[events.rows["cause_seq"] == seq]
        assert [event["kind"] for event in found.events] == [EventKind(int(kind)).name for kind in wanted["kind"]]
        assert (found.command["seq"], bool(found.cold)) == (seq, seq in cold_seqs)
    cold = inspect.command(data, reader, int(cold_seqs[3])).cold
    assert cold["client_id"] == "order-21"


@pytest.mark.parametrize("seq", [0, 469])
def test_a_command_outside_the_log_is_refused(data, reader, seq):
    """Sequences below 1 and above the last are refused with the range there is."""
    with pytest.raises(InputError, match="1 to 468"):
        inspect.command(data, reader, seq)


def test_an_orders_life_begins_with_its_entry_and_is_whole(reader, events):
    """Every event that names the order is shown once, as taker or maker, in order."""
    trades = rows_of(events, EventKind.TRADE)
    order_id = int(trades["contra_order_id"][10])
    found = inspect.order(reader, order_id, nothing)
    assert found[0]["kind"] == "ORDER_ACCEPTED"
    assert found[0]["order_id"] == order_id
    traded = (trades["order_id"] == order_id) | (trades["contra_order_id"] == order_id)
    assert sum(event["kind"] == "TRADE" for event in found) == np.count_nonzero(traded)
    keys = [(event["cause_seq"], event.get("index", 0)) for event in found]
    assert keys == sorted(set(keys))


def test_the_life_of_linked_orders_shows_whom_they_belong_to(tmp_path):
    """A bracket's life has its exits, a leg's its trigger, its sizes and the other leg; an iceberg's what it showed."""
    data = venue.write(tmp_path, venue.advanced_run())
    with Reader(data.journal) as reader:
        lives = {slot: inspect.order(reader, 1 << schema.ORDER_SLOT_BITS | slot, nothing) for slot in (1, 3, 6, 8, 9)}
    kinds = {slot: [event["kind"] for event in life] for slot, life in lives.items()}
    assert kinds[1][:4] == ["ORDER_ACCEPTED", "ORDER_DETAILS", "TRADE", "TRADE"]
    assert kinds[1].count("ORDER_REFRESHED") == 2
    assert kinds[3] == ["ORDER_ACCEPTED", "ORDER_DETAILS", "ORDER_TRIGGERED", "TRADE"]
    assert kinds[6] == ["ORDER_ACCEPTED", "ORDER_DETAILS", "TRADE", "ORDER_DETAILS", "ORDER_DETAILS", "TRADE"]
    assert [event.get("parent_order_id") for event in lives[6][3:5]] == [venue.BRACKET_ID] * 2
    assert kinds[8] == ["ORDER_ACCEPTED", "ORDER_DETAILS", "ORDER_DETAILS", "ORDER_RESIZED"]
    assert [event["qty_lots"] for event in (lives[8][-1], lives[9][-1])] == [4, 4]
    assert lives[9][2]["linked_order_id"] == lives[8][0]["order_id"]


def test_numbers_of_other_things_are_not_orders(reader):
    """A session or a fee schedule of the same number is not taken for the order."""
    with pytest.raises(InputError, match="no event of the log is about an order 1"):
        inspect.order(reader, 1, nothing)


def test_a_trades_postings_sum_to_zero(reader):
    """A plain trade, a busted and a corrected one: per asset nothing is made or lost; a bust leaves nothing."""
    for trade_id, kinds in ((1, ["TRADE", "TRADE_BUSTED"]), (5, ["TRADE", "TRADE_CORRECTED"]), (6, ["TRADE"])):
        found = inspect.trade(reader, trade_id, nothing)
        assert [event["kind"] for event in found.events] == kinds
        sums, by_account = Counter(), Counter()
        for account, asset, amount, _ in found.postings:
            sums[asset] += amount
            by_account[account, asset] += amount
        assert set(sums.values()) == {0}
        assert (trade_id == 1) == (set(by_account.values()) == {0})
    with pytest.raises(InputError, match="no trade 100000"):
        inspect.trade(reader, 100_000, nothing)


@pytest.mark.parametrize("account", ["alice", str(venue.BOB), "FEES", "BURNED"])
def test_a_statement_adds_up(reader, account):
    """Opening and movements give each running balance and the closing, which is the state's balance."""
    found = inspect.statement(reader, account, 1, None, nothing)
    balances = Counter()
    for one in found.movements:
        balances[one.asset] += one.amount_units
        assert one.balance_units == balances[one.asset]
    assert found.movements
    for one in found.balances:
        assert one.opening_units == 0
        assert one.closing_units == balances[one.asset] == one.available_units + one.held_units


def test_statements_of_successive_ranges_join(reader):
    """The closing of one range is the opening of the next, and together they have all movements."""
    whole = inspect.statement(reader, "alice", 1, None, nothing)
    first = inspect.statement(reader, "alice", 1, 200, nothing)
    second = inspect.statement(reader, "alice", 201, None, nothing)
    assert first.to_seq == 200
    assert [one.opening_units for one in second.balances] == [one.closing_units for one in first.balances]
    assert first.movements + second.movements == whole.movements


def test_all_balances_follow_from_postings(events):
    """The postings of all events, summed, are every balance of the state, available and held."""
    machine = Machine()
    machine.apply_all(venue.whole_run())
    names = ledger.Names()
    names.observe(events)
    postings = ledger.Postings(names)
    sums = Counter()
    for row in events.rows[np.isin(events.rows["kind"], ledger.LEDGER_KINDS)]:
        for one in postings.of(row):
            sums[one.account_id, one.asset_id] += one.amount_units
    image = machine.image().rows
    image = image[image["kind"] == EventKind.BALANCE_IMAGE]
    wanted = {
        (int(row["account_id"]), int(row["asset_id"])): int(row["amount_units"]) + int(row["notional_units"])
        for row in image
    }
    assert {key: amount for key, amount in sums.items() if amount} == {key: one for key, one in wanted.items() if one}


def test_a_statement_that_does_not_add_up_is_an_error(reader, monkeypatch):
    """If postings and state disagree, no statement is given."""
    touching = ledger.touching
    monkeypatch.setattr(ledger, "touching", lambda rows, account: touching(rows, account)[1:])
    with pytest.raises(InvariantError, match="the movements add up to"):
        inspect.statement(reader, "alice", 1, None, nothing)


@pytest.mark.parametrize("account", ["nobody", "15", "99", "-1", ""])
def test_an_unknown_account_is_refused(reader, account):
    """A name or number that no account has is refused."""
    with pytest.raises(InputError, match="no account is named or numbered"):
        inspect.statement(reader, account, 1, None, nothing)
