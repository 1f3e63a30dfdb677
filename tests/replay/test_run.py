"""The driver: small batches together or one by one, from the beginning or a snapshot, the state is the same."""

import numpy as np
import pytest

from journal.reader import Reader
from kk99 import batch, build, schema
from kk99.errors import CorruptionError, InputError, SnapshotError
from kk99.machine import Machine
from replay import run
from snapshots import store
from tests.replay import venue


@pytest.fixture(scope="module")
def commands():
    """The standard run."""
    return venue.whole_run()


@pytest.fixture(scope="module")
def wanted(commands):
    """The machine after the standard run."""
    machine = Machine()
    machine.apply_all(commands)
    return machine


def pieces_of(data, from_seq=1):
    """The run's pieces, with their memory kept."""
    with Reader(data.journal) as reader:
        return list(run.pieces(reader.batches(from_seq)))


def drained(machine, source, **options):
    """The machine after all steps."""
    for _ in run.drive(machine, source, **options):
        pass
    return machine


@pytest.mark.parametrize("sizes", [(1,), (7,), (4096,), (1, 64, 1024, 3)])
def test_any_batching_ends_in_the_same_state(tmp_path, commands, wanted, sizes):
    """Journals of batches of 1, 7, 4,096 and mixed rows replay to the state of applying all at once."""
    data = venue.write(tmp_path, commands, sizes, events=False)
    machine = drained(Machine(), run.ahead(iter(pieces_of(data))))
    assert machine.seq == wanted.seq
    assert machine.state_hash() == wanted.state_hash()


def test_small_batches_are_glued_and_documents_go_alone(tmp_path, commands):
    """Batches of one row become few pieces, and no command, cold row or document is lost or moved."""
    data = venue.write(tmp_path, commands, (1,), events=False)
    pieces = pieces_of(data)
    documents = int((commands.rows["kind"] >= schema.FIRST_DOCUMENT_KIND).sum())
    assert len(pieces) <= 2 * documents + 1
    assert sum(len(piece.ends) for piece in pieces) == len(commands.rows)
    assert np.concatenate([piece.commands.cold for piece in pieces]).tobytes() == commands.cold.tobytes()
    events = [Machine().apply_all(commands)]
    machine = Machine()
    events.append([machine.apply_all(piece.commands) for piece in pieces])
    assert b"".join(bytes(one.tail) for one in events[1]) == bytes(events[0].tail)


def test_pieces_are_never_longer_than_a_batch_may_be(tmp_path):
    """Gluing stops at PIECE_ROWS rows, and a batch at the edge is taken whole."""
    rows = build.rows_of(schema.CommandKind.CLOCK, client_seq=np.arange(2 * run.PIECE_ROWS + 1))
    commands = venue.stamped([batch.Commands(rows, np.zeros(0, schema.COLD))])
    data = venue.write(tmp_path, commands, (run.GLUE_BELOW_ROWS - 1,), events=False)
    lengths = [len(piece.commands.rows) for piece in pieces_of(data)]
    assert sum(lengths) == len(rows)
    assert max(lengths) <= run.PIECE_ROWS
    assert min(lengths[:-1]) > run.PIECE_ROWS - run.GLUE_BELOW_ROWS


def test_it_stops_at_a_sequence_and_at_a_time(tmp_path, commands):
    """`to_seq` and `to_time_ns` are included, and the stops are met exactly."""
    data = venue.write(tmp_path, commands, (64,), events=False)
    pieces = pieces_of(data)
    for seq in (0, 1, 63, 64, 65, 100, 128):
        assert drained(Machine(), pieces, to_seq=seq).seq == seq
        time_ns = venue.TIME_NS + seq * venue.STEP_NS
        assert drained(Machine(), pieces, to_time_ns=time_ns).seq == seq
        assert drained(Machine(), pieces, to_time_ns=time_ns + venue.STEP_NS - 1).seq == seq
    machine = Machine()
    steps = run.drive(machine, pieces, stops=[1, 64, 65, 200, 200, 10**9])
    met = [machine.seq for step in steps if step.stopped]
    assert met == [1, 64, 65, 200]


def test_a_snapshot_in_the_middle_of_a_batch_is_gone_on_from(tmp_path, commands, wanted):
    """From a snapshot at any sequence the replay ends in the same state as from the beginning."""
    data = venue.write(tmp_path, commands, (64,), events=False)
    machine = drained(Machine(), pieces_of(data), to_seq=100)
    venue.take_snapshot(data, machine)
    with Reader(data.journal) as reader:
        resumed = run.start(data, reader, "newest")
        assert resumed.seq == 100
        drained(resumed, run.ahead(run.pieces(reader.batches(101))))
        assert run.nearest(data, reader, 99).seq == 0
        assert run.nearest(data, reader, 100).seq == 100
    assert resumed.state_hash() == wanted.state_hash()


def test_a_snapshot_that_names_another_state_is_refused(tmp_path, commands):
    """A snapshot, undamaged as a file, whose state hash is not that of its sections can't be begun with."""
    data = venue.write(tmp_path, commands, (64,), events=False)
    machine = drained(Machine(), pieces_of(data), to_seq=100)
    meta, sections = store.load(venue.take_snapshot(data, machine))
    path = store.write(
        data.snapshots, sections, type(meta)(meta.venue_id, 100, meta.time_ns, meta.last_event, bytes(32))
    )
    with Reader(data.journal) as reader:
        with pytest.raises(SnapshotError, match="another state"):
            run.start(data, reader, str(path))
        path.unlink()
        with pytest.raises(InputError, match="no snapshot can be used"):
            run.start(data, reader, "newest")


def piece_of(*seqs, time_ns=None):
    """A piece of CLOCK commands with these sequences."""
    rows = build.rows_of(schema.CommandKind.CLOCK, client_seq=np.zeros(len(seqs), np.int64))
    rows["seq"] = seqs
    rows["time_ns"] = seqs if time_ns is None else time_ns
    return run.Piece(batch.Commands(rows, np.zeros(0, schema.COLD)), ((seqs[-1], bytes(32)),))


@pytest.mark.parametrize(
    ("pieces", "seq"),
    [
        ([piece_of(2, 3)], 1),
        ([piece_of(1, 2), piece_of(4)], 3),
        ([piece_of(1, 2, 4)], 3),
        ([piece_of(1, 2, 2)], 3),
        ([piece_of(1, 2, 3, time_ns=[5, 6, 5])], 3),
        ([piece_of(1), piece_of(2, time_ns=[0])], 2),
    ],
)
def test_a_gap_or_a_step_back_in_time_is_located(pieces, seq):
    """What does not follow is refused with the sequence at which the next command should be."""
    with pytest.raises(CorruptionError) as caught:
        drained(Machine(), pieces)
    assert caught.value.seq == seq


def test_what_was_read_ahead_comes_in_order_and_errors_too():
    """Pieces before a reader's error are yielded, then the error is raised; stopping early leaves no thread."""

    def source():
        yield piece_of(1)
        yield piece_of(2)
        raise CorruptionError(3, "damaged")

    coming = run.ahead(source())
    assert [next(coming).first_seq, next(coming).first_seq] == [1, 2]
    with pytest.raises(CorruptionError):
        next(coming)
    early = run.ahead(piece_of(seq) for seq in range(1, 100))
    assert next(early).first_seq == 1
    early.close()


def test_frames_of_another_schema_or_length_are_refused(tmp_path, commands):
    """A frame that is cut, of another schema, or of another count than its batch says is refused at its sequence."""
    data = venue.write(tmp_path, commands, (64,), events=False)
    with Reader(data.journal) as reader:
        one = reader.batch_at(100)
    frame = bytes(one.frame)
    damaged = [
        frame[:10],
        frame[:-1],
        frame[:8] + b"\1" + frame[9:],
        b"\0" + frame[1:],
        frame[:16] + b"\1" + frame[17:],
    ]
    for data in damaged:
        with pytest.raises(CorruptionError) as caught:
            list(run.pieces([type(one)(one.header, memoryview(data))]))
        assert caught.value.seq == one.first_seq
