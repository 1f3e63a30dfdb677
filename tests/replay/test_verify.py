"""`replay verify`: a good run is found good, and each kind of damage is found and located."""

import itertools
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import head as heads
from journal import keys
from journal.event_store import EventStore
from journal.reader import Reader
from kk99 import batch, schema
from kk99.machine import Machine, state_hash_of
from kk99.paths import DataDir
from replay import verify
from replay.stored import StoredEvents
from snapshots import store
from tests.replay import venue

SNAPSHOTS_AT = (128, 256, 384)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The data folder of a good run, not to be changed."""
    root = tmp_path_factory.mktemp("good")
    return venue.write(root, venue.whole_run(), snapshots_at=SNAPSHOTS_AT)


@pytest.fixture
def data(good, tmp_path):
    """A copy of the good run to damage."""
    shutil.copytree(good.root, tmp_path / "data")
    return DataDir(tmp_path / "data")


def verdict_of(data, **options):
    """The verdict on a data folder, events compared."""
    with Reader(data.journal, any_release=True) as reader:
        return verify.verify(data, reader, **{"events": True, **options})


def signed_head(data):
    """The head of the log as `kk99 journal head` would sign it, checked."""
    with Reader(data.journal) as reader:
        return heads.check(heads.sign(reader.head(), keys.load_or_create(data.keys)))


def problems_of(verdict):
    """(seq, where) of the problems."""
    return [(problem.seq, problem.where) for problem in verdict.problems]


def test_a_good_run_is_good(good):
    """All is compared: log, snapshots, events; and the state hash is that of a machine that ran through."""
    commands = venue.whole_run()
    machine = Machine()
    events = machine.apply_all(commands)
    verdict = verdict_of(good, head=signed_head(good))
    assert verdict.good
    assert (verdict.first_seq, verdict.last_seq, verdict.commands) == (1, len(commands.rows), len(commands.rows))
    assert verdict.state_hash == machine.state_hash().hex()
    assert [(check.seq, check.result) for check in verdict.snapshots] == [
        (seq, "equal to the replayed state") for seq in SNAPSHOTS_AT
    ]
    assert verdict.stored_events.startswith(f"{len(events.rows)} stored events compared, from 1.0")
    assert verdict.head.startswith("extended")
    assert [(one.first_seq, one.last_seq, one.replayed) for one in verdict.stretches] == [(1, machine.seq, True)]


def test_from_a_snapshot_the_chain_before_it_is_still_checked(good):
    """Beginning with a snapshot, the log before it is read, not replayed, and older snapshots are not compared."""
    verdict = verdict_of(good, from_snapshot=str(store.path_of(good.snapshots, 256)))
    assert verdict.good
    assert verdict.first_seq == 257
    assert [(one.first_seq, one.replayed) for one in verdict.stretches] == [(1, False), (257, True)]
    assert [check.result.split(":")[0] for check in verdict.snapshots] == [
        "not compared",
        "not compared",
        "equal to the replayed state",
    ]


@pytest.mark.parametrize("seq", [1, 15, 16, 200, 468])
def test_one_changed_byte_of_a_command_is_found_and_located(data, seq):
    """A byte of any command changed in LMDB's file is found in its batch, and nothing after is trusted."""
    row = venue.whole_run().rows[seq - 1].tobytes()
    (segment,) = [path for path in data.journal.iterdir() if (path / "data.mdb").exists()]
    file = bytearray((segment / "data.mdb").read_bytes())
    at = file.index(row)
    file[at + 64] ^= 1
    (segment / "data.mdb").write_bytes(file)
    verdict = verdict_of(data)
    assert not verdict.good
    first = verdict.problems[0]
    assert (first.seq, first.where) == ((seq - 1) // 64 * 64 + 1, "journal")
    assert verdict.commands == first.seq - 1
    assert not verdict.state_hash


def test_a_damaged_snapshot_is_found_by_section(data):
    """A snapshot with one changed byte is a problem at its seq, and the rest is verified on."""
    path = store.path_of(data.snapshots, 256)
    file = bytearray(path.read_bytes())
    file[-1] ^= 1
    path.write_bytes(file)
    verdict = verdict_of(data)
    assert problems_of(verdict) == [(256, "snapshot")]
    assert "section directory is damaged" in verdict.problems[0].text
    assert verdict.state_hash


def rewritten(data, seq, change):
    """Write the snapshot at a sequence again, its (meta, sections as bytes) changed."""
    meta, sections = store.load(store.path_of(data.snapshots, seq))
    meta, sections = change(meta, [(name, bytes(view)) for name, view in sections])
    store.write(data.snapshots, sections, meta)


def other_money(meta, sections):
    """A snapshot, whole and with the right hashes of itself, in which a balance has one unit more."""
    changed = []
    for name, data in sections:
        words = np.frombuffer(data, np.int64).copy() if name == "balances" else None
        if words is not None:
            words[np.flatnonzero(words > 10**11)[0]] += 1
        changed.append((name, data if words is None else words.tobytes()))
    return replace(meta, state_hash=state_hash_of(changed)), changed


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (other_money, "the state differs from the replay's in balances"),
        (lambda meta, sections: (replace(meta, state_hash=bytes(32)), sections), "another state hash"),
        (lambda meta, sections: (replace(meta, time_ns=1), sections), "time or last event"),
        (lambda meta, sections: (replace(meta, last_event=(1, 1)), sections), "time or last event"),
        (lambda meta, sections: (replace(meta, journal_hash=b"x" * 32), sections), "another journal batch"),
        (lambda meta, sections: (replace(meta, venue_id=bytes(16)), sections), "it is of venue 0000"),
        (lambda meta, sections: (replace(meta, fingerprint=1), sections), "load it with the release that wrote it"),
    ],
    ids=["money", "state hash", "time", "last event", "batch hash", "venue", "schema"],
)
def test_a_forged_snapshot_is_found(data, change, text):
    """A snapshot that is whole as a file but says something else than the log is a problem at its seq."""
    rewritten(data, 256, change)
    verdict = verdict_of(data)
    assert problems_of(verdict) == [(256, "snapshot")]
    assert text in verdict.problems[0].text


def test_a_snapshot_beyond_the_log_is_a_problem(data):
    """A snapshot at a sequence that the log does not reach can't be of this log."""
    machine = Machine()
    machine.apply_all(venue.whole_run(count=400))
    venue.take_snapshot(data, machine)
    assert problems_of(verdict_of(data)) == [(machine.seq, "snapshot")]


def with_events(data, frames):
    """Put these frames in place of the event store."""
    shutil.rmtree(data.events)
    with EventStore(data.events) as events:
        events.append(frames)


def events_of_run():
    """All events of the standard run."""
    return Machine().apply_all(venue.whole_run())


def test_one_other_event_is_found_and_located(data):
    """A stored event that differs in one field is named by its cause and index."""
    events = events_of_run()
    rows = events.rows.copy()
    at = int((rows["kind"] == schema.EventKind.TRADE).nonzero()[0][5])
    rows["price_ticks"][at] += 1
    with_events(data, [replace(events, rows=rows).encode()])
    verdict = verdict_of(data)
    seq, index = int(rows["cause_seq"][at]), int(rows["index"][at])
    assert problems_of(verdict) == [(seq, "events")]
    price = rows["price_ticks"][at]
    assert (
        verdict.problems[0].text
        == f"event {seq}.{index} is stored otherwise: price_ticks {price} instead of {price - 1}"
    )


def test_one_other_document_is_found_and_located(data):
    """A stored event whose document alone differs is named too."""
    events = events_of_run()
    tail = bytes(events.tail).replace(b"alice", b"alicf", 1)
    with_events(data, [replace(events, tail=tail).encode()])
    assert problems_of(verdict_of(data)) == [(6, "events")]


def test_an_event_more_or_less_is_found(data):
    """A missing event is found where it is missing, one too many at the end."""
    events = events_of_run()
    with_events(data, [replace(events, rows=events.rows[[*range(100), *range(101, 200)]]).encode()])
    assert problems_of(verdict_of(data)) == [(int(events.rows["cause_seq"][100]), "events")]
    more = events.rows[[*range(len(events.rows)), -1]]
    more["cause_seq"][-1] = 10_000
    with_events(data, [replace(events, rows=more).encode()])
    assert problems_of(verdict_of(data)) == [(10_000, "events")]


def test_an_event_store_may_begin_late_and_end_early(data):
    """A pruned store that is behind the log is good as far as it goes."""
    events = events_of_run()
    part = replace(events, rows=events.rows[100:200])
    stored = StoredEvents([part.encode()])
    stored.compare(events)
    assert stored.problem is None
    assert stored.compared == 100
    shutil.rmtree(data.events)
    verdict = verdict_of(data)
    assert verdict.good
    assert verdict.stored_events == "no stored event was compared"


@given(cuts=st.lists(st.integers(0, 708), max_size=6), stored_cuts=st.lists(st.integers(0, 708), max_size=6))
def test_events_compare_equal_in_any_framing(cuts, stored_cuts):
    """However both sides are cut into frames, equal events are found equal."""
    events = events_of_run()

    def frames(places):
        edges = [0, *sorted(set(places)), len(events.rows)]
        return [replace(events, rows=events.rows[a:b]) for a, b in itertools.pairwise(edges) if a < b]

    stored = StoredEvents([frame.encode() for frame in frames(stored_cuts)])
    for frame in frames(cuts):
        stored.compare(frame)
    assert (stored.problem, stored.compared, stored.leftover()) == (None, len(events.rows), None)


def test_a_head_of_another_log_is_refused(good, data):
    """A head must be in the log: the same seq with another hash, a later seq, or another venue is a problem."""
    head = signed_head(good)
    assert verdict_of(data, head=head).good
    forged = {
        "is not the one that was signed": replace(head, hash=bytes(32)),
        "the signed head is at seq 1000": replace(head, seq=1000),
        "no batch ends at seq 100": replace(head, seq=100),
        "the head is of venue": replace(head, venue_id=bytes(16)),
    }
    for text, other in forged.items():
        verdict = verdict_of(data, head=other)
        assert [problem.where for problem in verdict.problems] == ["head"]
        assert text in verdict.head


def test_a_head_is_extended_by_a_longer_log(tmp_path):
    """A head signed before more was written is proved by the longer log."""
    commands = venue.whole_run()
    early = batch.Commands(commands.rows[:256], commands.cold, commands.tail)
    cold_count = int(((early.rows["flags"] & schema.Flag.HAS_COLD) != 0).sum())
    early = replace(early, cold=commands.cold[:cold_count])
    head = signed_head(venue.write(tmp_path / "early", early, events=False))
    late = venue.write(tmp_path / "late", commands, events=False)
    # The epochs are equal and so are the batches: the chains are the same up to the head.
    assert verdict_of(late, head=head).good
    assert verdict_of(DataDir(tmp_path / "early"), head=signed_head(late)).head.startswith(
        "the log was read up to seq 256"
    )


def test_another_release_is_named_and_the_chain_followed(data, monkeypatch):
    """Where another release is needed, it is named by stretch; the chain is checked to the end, not replayed."""
    monkeypatch.setattr("replay.verify.check_release", lambda _: "use 0.2")
    verdict = verdict_of(data)
    assert problems_of(verdict) == [(1, "release")]
    assert verdict.last_seq == 468
    assert verdict.commands == 0
    assert [(one.first_seq, one.last_seq, one.replayed) for one in verdict.stretches] == [(1, 468, False)]


def test_a_broken_invariant_is_reported_not_raised(data, monkeypatch):
    """If the core finds money made or lost, the verdict says after which command that may have been."""
    calls = []

    def check(machine):
        calls.append(machine.seq)
        if machine.seq > 200:
            raise AssertionError("asset 2 is not conserved")

    monkeypatch.setattr(Machine, "check", check)
    verdict = verdict_of(data)
    assert problems_of(verdict) == [(calls[-2] + 1, "invariant")]
