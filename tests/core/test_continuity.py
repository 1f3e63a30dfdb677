"""One log, one outcome: whatever the batches, and wherever a snapshot is taken and loaded."""

import functools

import numpy as np
import pytest

from kk99 import batch, schema
from kk99.core import layout as lay
from kk99.core.state import TABLES
from kk99.errors import SnapshotError
from kk99.machine import Machine, Sections
from kk99.schema import CommandKind, EventKind, RejectCode, Side, TimeInForce
from tests.core import logs
from tests.core.logs import BTC, USD, A, B
from tests.naive import commands as make
from tests.naive.compare import stamped

MIXED = ("scripted", "generated-1", "generated-2", "mix-1", "mix-2", "mix-3")
CUTS = 40
WINDOW = schema.CLIENT_ID_WINDOW


def sections_of(machine):
    """The machine's canonical sections, as a snapshot holds them."""
    sections = Sections()
    sections.copy(machine)
    return [(name, bytes(data)) for name, data in sections.canonical()]


def same_image(ours, theirs):
    """Whether two machines give the same image."""
    one, other = ours.image(), theirs.image()
    return one.rows.tobytes() == other.rows.tobytes() and bytes(one.tail) == bytes(other.tail)


@functools.cache
def outcome(name):
    """What a log causes when it is run through in large batches: the hashes of events and state."""
    return logs.hashes(name, Machine)


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("name", [*MIXED, "swing-25_s23_n20000:6000"])
def test_batches_of_any_size_have_one_outcome(name, size):
    """In batches of 1 and of 7 a log causes the events and the state that it causes in batches of 4,096."""
    machine = Machine()
    events = logs.run(machine, logs.log(name), size)
    assert (events, machine.state_hash().hex()) == outcome(name)


@pytest.mark.parametrize("name", MIXED)
def test_a_snapshot_anywhere_makes_no_difference(name):
    """At every cut, amid pending work too, the loaded machine is and tells the same, and ends in the same bytes."""
    commands = logs.log(name)
    cuts = np.unique(np.linspace(0, len(commands.rows), CUTS).astype(int)).tolist()
    machine, pending = Machine(), 0
    final = Machine()
    logs.run(final, commands)
    end = sections_of(final)
    for start, stop in zip([0, *cuts], cuts, strict=False):
        if stop > start:
            machine.apply_all(logs.part(commands, start, stop))
        pending += machine.pending_work()
        sections = sections_of(machine)
        loaded = Machine.from_sections(sections)
        assert sections_of(loaded) == sections
        assert loaded.state_hash() == machine.state_hash()
        assert (loaded.seq, loaded.time_ns, loaded.last_event) == (machine.seq, machine.time_ns, machine.last_event)
        assert loaded.pending_work() == machine.pending_work()
        assert same_image(loaded, machine)
        if stop < len(commands.rows):
            loaded.apply_all(logs.part(commands, stop))
        loaded.check_all()
        assert sections_of(loaded) == end
    assert pending or name != "scripted"


def test_a_snapshot_between_any_two_steps_of_pending_work_makes_no_difference():
    """Cut after each of the commands that carry on a mass cancel, a kill and two lost sessions, nothing changes."""
    commands = logs.log("scripted")
    kinds = commands.rows["kind"]
    first = int(np.argmax(kinds == CommandKind.MASS_CANCEL))
    machine = Machine()
    machine.apply_all(logs.part(commands, 0, first))
    seen = 0
    for row in range(first, len(commands.rows)):
        machine = Machine.from_sections(sections_of(machine))
        machine.apply_all(logs.part(commands, row, row + 1))
        seen += machine.pending_work()
    assert seen > 5
    assert machine.state_hash().hex() == outcome("scripted")[1]


def rows_of(machine, *items):
    """Apply commands and return the events' rows."""
    return machine.apply_all(stamped(items, machine.seq + 1)).rows


def stamped_rows(machine, rows):
    """Hot rows as the next commands."""
    rows["seq"] = np.arange(machine.seq + 1, machine.seq + 1 + len(rows))
    rows["time_ns"] = machine.time_ns
    return batch.commands(rows)


def many_orders(machine, count, **fields):
    """So many equal buys of account B at a time; fields may be arrays."""
    rows = np.zeros(count, schema.COMMAND)
    given = {"kind": CommandKind.ORDER_NEW, "account_id": B, "instrument_id": 2, "side": Side.BUY, "order_type": 2}
    given |= {"time_in_force": TimeInForce.IOC, "qty_lots": 3, "price_ticks": 100} | fields
    for name, value in given.items():
        rows[name] = value
    return stamped_rows(machine, rows)


def after_setup():
    """A machine with the usual set-up."""
    machine = Machine()
    machine.apply_all(stamped(logs.setup(), 1))
    return machine


def test_the_window_of_client_ids_survives_a_snapshot_after_it_wrapped():
    """With more than CLIENT_ID_WINDOW ids ended, the loaded machine refuses exactly those that the other one does."""
    machine, count = after_setup(), WINDOW + 5_000
    machine.apply_all(many_orders(machine, count, client_id_lo=np.arange(1, count + 1)))
    loaded = Machine.from_sections(sections_of(machine))
    for one in (machine, loaded):
        (row,) = one.apply_all(many_orders(one, 1, client_id_lo=count - WINDOW + 1)).rows
        assert row["reason"] == RejectCode.CLIENT_ID_DUPLICATE
        # Each id that is free ends at once and pushes the oldest out, so the next is free too.
        kinds = one.apply_all(many_orders(one, count, client_id_lo=np.arange(1, count + 1))).rows["kind"]
        assert (kinds == EventKind.REJECTED).sum() == 0
    assert sections_of(loaded) == sections_of(machine)


def test_the_window_of_trades_survives_a_snapshot_after_it_wrapped():
    """With more than TRADE_WINDOW trades, the oldest that can be busted is the same after loading."""
    machine, count = after_setup(), schema.TRADE_WINDOW + 100
    rows_of(machine, make.order_new(A, 2, Side.SELL, 3 * count, 100))
    machine.apply_all(many_orders(machine, count))
    loaded = Machine.from_sections(sections_of(machine))
    for one in (machine, loaded):
        unknown, busted = rows_of(one, make.trade_bust(100), make.trade_bust(101))
        assert unknown["reason"] == RejectCode.TRADE_UNKNOWN
        assert busted["kind"] == EventKind.TRADE_BUSTED
    assert sections_of(loaded) == sections_of(machine)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_state_hash_covers_every_word_of_a_primary_table(table):
    """Any bit of a table that changes, changes the hash; a derived word does not."""
    machine = Machine()
    commands = logs.log("scripted")
    machine.apply_all(logs.part(commands, 0, int(np.argmax(commands.rows["kind"] == CommandKind.MASS_CANCEL)) + 1))
    assert machine.pending_work()
    words, used, hashed = machine.state.words, table.words(machine.state.words), machine.state_hash()
    # Other bits of the counts in the header change how much there is to hash.
    places = range(used) if table.name == "header" else sorted({*range(0, used, max(1, used // 97)), used - 1})
    for place in places:
        words[table.base + place] ^= 1
        is_same = machine.state_hash() == hashed
        words[table.base + place] ^= 1
        assert is_same == (place % table.record_words in table.derived), place
    assert machine.state_hash() == hashed


@pytest.mark.parametrize("name", [table.name for table in TABLES] + ["directory"])
def test_a_section_of_another_length_is_refused(name):
    """A section that is too short, or missing, is an error that says so, and nothing is loaded."""
    sections = dict(sections_of(after_setup()))
    for cut in (8, len(sections[name])):
        with pytest.raises(SnapshotError):
            Machine.from_sections((sections | {name: sections[name][:-cut]}).items())
    del sections[name]
    with pytest.raises(SnapshotError):
        Machine.from_sections(sections.items())


def test_balances_of_the_set_up_are_in_the_image():
    """The image lists each balance once, the venue's own included."""
    machine = after_setup()
    rows = machine.image().rows
    balances = rows[rows["kind"] == EventKind.BALANCE_IMAGE]
    owners = list(zip(balances["account_id"].tolist(), balances["asset_id"].tolist(), strict=True))
    assert len(owners) == len(set(owners)) == machine.state.header(lay.H_BALANCES)
    assert {(A, USD), (schema.FEES_ACCOUNT, USD), (schema.BURNED_ACCOUNT, BTC)} <= set(owners)
