"""`replay bisect`: the first difference between two runs, or two programs, is found where it was put."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.event_store import EventStore
from journal.reader import Reader
from kk99 import schema
from kk99.errors import InputError, JournalError
from kk99.machine import Machine
from kk99.paths import DataDir
from replay import bisect
from snapshots import store
from tests.replay import venue


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """The standard run."""
    return venue.write(tmp_path_factory.mktemp("left"), venue.whole_run(), (64,), snapshots_at=(128, 256))


def compared(left, right):
    """The comparison of two data folders."""
    with Reader(left.journal) as reader, Reader(right.journal) as other:
        return bisect.compare_runs(left, reader, right, other)


def test_a_run_equals_itself(left):
    """Commands, events and snapshots are compared, and are equal to the end."""
    found = compared(left, left)
    assert found.difference is None
    assert found.equal_to_seq == 468
    assert found.compared == ["commands", "events", "snapshots at seq 128", "snapshots at seq 256"]


@pytest.mark.parametrize("sizes", [(1,), (7, 1024), (4096,)])
def test_the_same_commands_in_other_batches_are_equal(left, tmp_path, sizes):
    """The chains differ, the commands, events and states do not."""
    right = venue.write(tmp_path, venue.whole_run(), sizes)
    assert compared(left, right).difference is None
    assert compared(right, left).equal_to_seq == 468


def test_a_shorter_run_is_equal_as_far_as_it_goes(left, tmp_path):
    """That one log ends before the other is no difference."""
    commands = venue.whole_run()
    short = venue.cut(commands, [200])[0]
    right = venue.write(tmp_path, short, (64,))
    assert compared(left, right).difference is None
    assert compared(left, right).equal_to_seq == 200


def changed(field, seq):
    """The standard run with one field of one command, its cold row or its document, changed."""
    commands = venue.whole_run()
    rows, cold, tail = commands.rows.copy(), commands.cold.copy(), bytearray(commands.tail)
    if field == "document":
        tail[int(rows["document_offset"][seq - 1]) + int(rows["document_size"][seq - 1]) - 1] ^= 1
    elif field == "cold":
        cold["actor"][np.count_nonzero(rows["flags"][: seq - 1] & schema.Flag.HAS_COLD)] += 1
    else:
        rows[field][seq - 1] += 1
    return replace(commands, rows=rows, cold=cold, tail=bytes(tail))


@pytest.mark.parametrize(
    ("field", "seq"),
    [("qty_lots", 18), ("amount_units", 10), ("time_ns", 468), ("account_id", 64), ("document", 6), ("cold", 16)],
)
@pytest.mark.parametrize("sizes", [(64,), (5,)])
def test_one_other_command_is_found(left, tmp_path, field, seq, sizes):
    """One changed field of a command, its cold row or its document is found at its sequence, in any batching."""
    right = venue.write(tmp_path, changed(field, seq), sizes)
    found = compared(left, right)
    assert (found.difference.seq, found.difference.what, found.equal_to_seq) == (seq, "commands", seq - 1)
    assert found.difference.left["seq"] == found.difference.right["seq"] == seq


def test_one_other_event_is_found_in_either_side(left, tmp_path):
    """Given equal commands, the first stored event that differs is named, also if one store begins later."""
    shutil.copytree(left.root, tmp_path / "right")
    right = DataDir(tmp_path / "right")
    shutil.rmtree(right.events)
    events = Machine().apply_all(venue.whole_run())
    rows = events.rows.copy()
    rows["price_ticks"][300] += 1
    with EventStore(right.events) as stored:
        stored.append([replace(events, rows=rows).encode()])
    found = compared(left, right).difference
    assert (found.seq, found.what) == (int(rows["cause_seq"][300]), "events")
    assert found.right["price_ticks"] == found.left.get("price_ticks", 0) + 1
    assert compared(right, left).difference == replace(found, left=found.right, right=found.left)


def test_one_other_snapshot_is_found(left, tmp_path):
    """Given equal commands and events, the first pair of snapshots that differ is named."""
    shutil.copytree(left.root, tmp_path / "right")
    right = DataDir(tmp_path / "right")
    meta, sections = store.load(store.path_of(right.snapshots, 256))
    store.write(right.snapshots, [(name, bytes(view)) for name, view in sections], replace(meta, state_hash=bytes(32)))
    found = compared(left, right)
    assert (found.difference.seq, found.difference.what, found.difference.right) == (256, "snapshot", "00" * 32)


@given(first=st.integers(1, 1000), end=st.integers(1, 1000))
def test_the_first_different_state_is_found(first, end):
    """Of two programs whose states differ from some sequence on, exactly that sequence is found, in few rounds."""
    rounds = []

    def here(seqs):
        rounds.append(seqs)
        return dict.fromkeys(seqs, "same")

    def there(seqs):
        return {seq: "same" if seq < first else "other" for seq in seqs}

    found = bisect.compare_programs(here, there, end, lambda _: None)
    assert found.equal_to_seq == min(first - 1, end)
    assert (found.difference is None) == (end < first)
    assert found.difference is None or found.difference.seq == first
    assert len(rounds) <= 6


def test_state_hashes_are_those_of_the_machine(left):
    """A replay on this side gives the hash after exactly the commands asked for."""
    commands = venue.whole_run()
    with Reader(left.journal) as reader:
        found = bisect.hashes_here(reader, [300, 1, 64])
    for seq in (1, 64, 300):
        machine = Machine()
        machine.apply_all(venue.cut(commands, [seq])[0])
        assert found[seq] == machine.state_hash().hex()


def test_another_program_that_fails_is_a_clear_error(left):
    """What the other program said is passed on; one that can't be run, or forgets a hash, is named."""
    with pytest.raises(InputError, match="can't be run"):
        bisect.hashes_of("/none/such", left, [1])
    with pytest.raises(JournalError, match="sh: "):
        bisect.hashes_of("sh -c 'echo sh: it broke >&2; exit 3'", left, [1])
    with pytest.raises(InputError, match="no state hash at seq 5"):
        bisect.compare_programs(lambda _: {}, lambda _: {}, 5, lambda _: None)
