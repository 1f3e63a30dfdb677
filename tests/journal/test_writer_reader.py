"""Writing and reading: round trips, segments, followers, and what is refused."""

import os
import subprocess
import sys

import lmdb
import pytest

from journal import disk, storage
from journal import format as record
from journal import segment as segments
from journal.reader import Reader
from journal.writer import Writer
from kk99 import batch, schema
from kk99.errors import CorruptionError, JournalError, JournalLockedError, ReleaseError
from tests.journal.rows import SMALL, VENUE, commands, item, write


def read(path, *args, **options):
    """(first_seq, count) of every batch, each compared with what was written."""
    found = []
    with Reader(path) as reader:
        for stored in reader.batches(*args, **options):
            assert bytes(stored.frame) == commands(stored.first_seq, stored.count).encode()
            assert batch.decode_commands(stored.frame).rows.flags.aligned
            found.append((stored.first_seq, stored.count))
    return found


@pytest.fixture
def path(tmp_path):
    """Where the journal goes."""
    return tmp_path / "journal"


@pytest.mark.parametrize("verify", ["full", "crc"])
def test_what_was_appended_comes_back(path, verify):
    """Batches of one row, of some and of the most come back byte for byte, whichever check is used."""
    assert write(path, [1, 3, schema.BATCH_ROWS_MAX, 20]) == schema.BATCH_ROWS_MAX + 24
    assert read(path, verify=verify) == [(1, 1), (2, 3), (5, 4096), (4101, 20)]


def test_an_empty_journal_has_a_head_at_zero(path):
    """Before the first command the head is sequence 0 and a hash of zeros, with a writer or without."""
    with Writer(path, VENUE, **SMALL) as writer:
        assert (writer.last_seq, writer.last_time_ns, writer.epoch) == (0, 0, 1)
        assert writer.head().hash == record.NO_HASH
    with Reader(path) as reader:
        assert reader.head().seq == 0
        assert list(reader.batches()) == []


def test_one_append_takes_many_batches(path):
    """Batches given together are separate records of one commit."""
    with Writer(path, VENUE, **SMALL) as writer:
        assert writer.append([item(1, 2), item(3, 5), item(8, 1)]) == 8
    assert read(path) == [(1, 2), (3, 5), (8, 1)]


def test_random_access_finds_the_batch_that_holds_a_sequence(path):
    """Every sequence, at either end of a batch or inside, is found; beyond the end there is none."""
    write(path, [1, 3, 7])
    write(path, [2, 50])
    with Reader(path) as reader:
        bounds = [(1, 1), (2, 4), (5, 11), (12, 13), (14, 63)]
        for first, last in bounds:
            for seq in range(first, last + 1):
                stored = reader.batch_at(seq)
                assert (stored.first_seq, stored.last_seq) == (first, last)
        assert reader.batch_at(64) is None
        assert [stored.first_seq for stored in reader.batches(4, 12)] == [2, 5, 12]


def test_each_writer_raises_the_epoch_and_seals_what_was_there(path):
    """A take-over begins an epoch and a segment, seals the segment before, and continues the chain."""
    for _ in range(3):
        write(path, [4, 4])
    with Reader(path) as reader:
        assert [stored.epoch for stored in reader.batches()] == [1, 1, 2, 2, 3, 3]
        assert [segment.first_seq for segment in reader.segments()] == [1, 9, 17]
        assert [segment.manifest.exists() for segment in reader.segments()] == [True, True, False]


def test_writers_without_commands_leave_one_empty_segment(path):
    """Opening again and again without a command uses the empty segment again; the epoch still rises."""
    write(path, [5])
    for epoch in (2, 3, 4):
        with Writer(path, VENUE, **SMALL) as writer:
            assert writer.epoch == epoch
    with Reader(path) as reader:
        assert [segment.first_seq for segment in reader.segments()] == [1, 6]
    assert write(path, [1]) == 6


def test_a_segment_ends_when_it_is_full(path):
    """With a bound of bytes the journal rolls on to new segments, sealed one by one, and reads as one."""
    write(path, [256] * 12, segment_bytes=100_000)
    with Reader(path) as reader:
        found = reader.segments()
        assert len(found) == 6
        assert all(segment.manifest.exists() for segment in found[:-1])
    assert read(path) == [(1 + 256 * i, 256) for i in range(12)]


def test_a_segment_ends_when_it_is_old(path):
    """A segment takes no command once a command in it is older than the bound by the commands' own time."""
    write(path, [10, 10, 10, 10], segment_ns=100)
    with Reader(path) as reader:
        assert [segment.first_seq for segment in reader.segments()] == [1, 21]


def test_a_follower_sees_what_is_written_since(path):
    """Beside a live writer, in its process, reading on from the last sequence sees new batches across segments."""
    with Writer(path, VENUE, **{**SMALL, "segment_bytes": 100_000}) as writer, Reader(path) as reader:
        last = 0
        for _ in range(20):
            writer.append([item(writer.last_seq + 1, 100)])
            new = list(reader.batches(last + 1))
            assert [stored.first_seq for stored in new] == [last + 1]
            last = new[-1].last_seq
            assert reader.head() == writer.head()
        assert list(reader.batches(last + 1)) == []


FOLLOWER = """
import sys, time
from pathlib import Path
from journal.reader import Reader
last, deadline = 0, time.monotonic() + 60
with Reader(Path(sys.argv[1])) as reader:
    print("ready", flush=True)
    while last < int(sys.argv[2]) and time.monotonic() < deadline:
        for stored in reader.batches(last + 1):
            assert stored.first_seq == last + 1
            last = stored.last_seq
print(last, flush=True)
"""


def test_another_process_follows_a_live_journal(path):
    """A reader in another process sees every batch of a growing journal in order, over segment ends."""
    with Writer(path, VENUE, **{**SMALL, "segment_bytes": 500_000}) as writer:
        command = [sys.executable, "-c", FOLLOWER, str(path), "30000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline() == "ready\n"
            for _ in range(300):
                writer.append([item(writer.last_seq + 1, 100)])
            assert child.stdout.readline() == "30000\n"
    assert child.returncode == 0


def test_a_reader_grows_its_map_with_the_writers(path):
    """A reader that opened a smaller map goes on when the writer's data has outgrown it."""
    write(path, [1])
    child = "import sys; from pathlib import Path; from journal.reader import Reader; r = Reader(Path(sys.argv[1]));"
    child += "print(r.head().seq, flush=True); sys.stdin.readline(); print(r.head().seq, flush=True)"
    argv = [sys.executable, "-c", child, str(path)]
    with (
        Writer(path, VENUE, **{**SMALL, "map_size": 1 << 20, "segment_bytes": 1 << 19}) as writer,
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout.readline() == "1\n"
        writer._environment.set_mapsize(64 << 20)
        writer._segment_bytes = 32 << 20
        for _ in range(8):
            writer.append([item(writer.last_seq + 1, 4096)])
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"{writer.last_seq}\n"


@pytest.mark.parametrize("first_seq", [0, 1, 3, 7])
def test_a_batch_out_of_order_is_fatal(path, first_seq):
    """A batch that is not the next one is refused, nothing of the group is written, and the writer is done."""
    with Writer(path, VENUE, **SMALL) as writer:
        writer.append([item(1, 4)])
        with pytest.raises(JournalError, match="can't go on after 4"):
            writer.append([item(5, 1), item(first_seq, 2)])
        with pytest.raises(JournalError, match="failed before"):
            writer.append([item(5, 1)])
    assert read(path) == [(1, 4)]
    assert write(path, [1]) == 5


def test_rows_that_are_not_stamped_as_they_should_be_are_refused(path):
    """Rows whose sequence or time does not follow never reach the disk."""
    wrong_seq, wrong_count, backwards = commands(1, 3), commands(1, 3), commands(1, 3)
    wrong_seq.rows["seq"][-1] += 1
    backwards.rows["time_ns"][-1] = 0
    for first_seq, count, given in ((1, 3, wrong_seq), (1, 2, wrong_count), (1, 3, backwards)):
        with Writer(path, VENUE, **SMALL) as writer, pytest.raises(JournalError):
            writer.append([(first_seq, count, given.pieces())])


class Faulty(storage.LmdbStorage):
    """Storage whose transactions fail where told."""

    def __init__(self, where):
        self.where = where
        self.armed = False

    def open(self, path, map_size):
        """Wrap the real environment."""
        outer, environment = self, super().open(path, map_size)

        class Transaction:
            def __init__(self):
                self.real = environment.begin(write=True)

            def put(self, key, value, append=False):
                if outer.armed and outer.where == "put":
                    return False
                return self.real.put(key, value, append=append)

            def commit(self):
                if outer.armed and outer.where == "commit":
                    self.real.abort()
                    raise lmdb.DiskError("no space left")
                self.real.commit()

            def abort(self):
                self.real.abort()

        class Environment:
            def begin(self, *, write):
                assert write
                return Transaction()

        return Environment()


@pytest.mark.parametrize("where", ["put", "commit"])
def test_a_failing_disk_is_fatal(path, where):
    """A put that LMDB refuses and a commit that raises both end the writer; what was durable before stays."""
    port = Faulty(where)
    with Writer(path, VENUE, **SMALL, port=port) as writer:
        writer.append([item(1, 3)])
        port.armed = True
        for _ in range(2):
            with pytest.raises(JournalError):
                writer.append([item(4, 3)])
        assert writer.last_seq == 3
    assert read(path) == [(1, 3)]


def test_a_second_writer_is_refused(path):
    """The lock keeps a second writer out, in this process and in another, until the first is closed."""
    with Writer(path, VENUE, **SMALL):
        with pytest.raises(JournalLockedError, match=str(os.getpid())):
            Writer(path, VENUE, **SMALL)
        code = "import sys; from pathlib import Path; from journal.writer import Writer; "
        code += "Writer(Path(sys.argv[1]), bytes(16))"
        child = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
        assert "JournalLockedError" in child.stderr
    Writer(path, VENUE, **SMALL).close()


def test_another_venues_journal_is_refused(path):
    """Neither a writer nor a reader takes another venue's journal for its own."""
    write(path, [1])
    with pytest.raises(JournalError, match="is of venue"):
        Writer(path, bytes(16), **SMALL)
    with pytest.raises(JournalError, match="16 bytes"):
        Writer(path, b"short", **SMALL)
    with Reader(path, venue_id=bytes(16)) as reader, pytest.raises(JournalError, match="is of venue"):
        reader.head()


def test_another_schema_stops_at_its_first_batch(path, monkeypatch):
    """Batches of another schema raise with the sequence and the release, unless they are asked for."""
    write(path, [2, 2])
    monkeypatch.setattr(schema, "FINGERPRINT", schema.FINGERPRINT ^ 1)
    with Reader(path) as reader, pytest.raises(ReleaseError, match="written by release") as caught:
        list(reader.batches(3))
    assert caught.value.seq == 3
    with Reader(path, any_release=True) as reader:
        assert len(list(reader.batches())) == 2


def test_a_missing_segment_is_a_gap(path):
    """A segment that is gone is noticed at the sequence where it began, the first one too."""
    for _ in range(3):
        write(path, [5])
    (path / f"{6:020d}").rename(path / "gone")
    with Reader(path) as reader, pytest.raises(CorruptionError) as caught:
        list(reader.batches())
    assert caught.value.seq == 6
    (path / f"{1:020d}").rename(path / "gone too")
    with Reader(path) as reader, pytest.raises(CorruptionError, match="begins at 11"):
        list(reader.batches())


def test_a_segment_of_another_history_does_not_fit(path, tmp_path):
    """A sound segment of the same sequences from another run breaks the chain where it begins."""
    other = tmp_path / "other"
    write(path, [5])
    write(path, [5])
    write(other, [2, 3])
    write(other, [5])
    (path / f"{6:020d}").rename(tmp_path / "gone")
    (other / f"{6:020d}").rename(path / f"{6:020d}")
    with Reader(path) as reader, pytest.raises(CorruptionError) as caught:
        list(reader.batches())
    assert caught.value.seq == 6


def test_a_read_only_mount_is_refused_where_locks_are_needed(path, monkeypatch):
    """On a read-only mount a journal at rest is read, a live one is not, and none is written."""
    writer = Writer(path, VENUE, **SMALL)
    writer.append([item(1, 2)])
    real = os.statvfs

    class ReadOnly:
        def __init__(self, stat):
            self._stat = stat
            self.f_flag = stat.f_flag | os.ST_RDONLY

        def __getattr__(self, name):
            return getattr(self._stat, name)

    monkeypatch.setattr(os, "statvfs", lambda at: ReadOnly(real(at)))
    with Reader(path) as reader, pytest.raises(JournalError, match="read-only mount"):
        reader.head()
    writer.close()
    assert read(path) == [(1, 2)]
    with pytest.raises(JournalError, match="read-only"):
        Writer(path, VENUE, **SMALL)


def test_room_on_the_disk_is_watched(path):
    """The reserve is laid in, the low-water mark shows, and the reserve is given up for what is under way."""
    with Writer(
        path, VENUE, map_size=64 << 20, segment_bytes=1 << 20, reserve_bytes=1 << 20, low_water_bytes=0
    ) as writer:
        assert (path / "reserve").stat().st_size == 1 << 20
        assert not writer.disk_nearly_full
        writer.room.make_room(1 << 60)
        assert not (path / "reserve").exists()
    with Writer(
        path, VENUE, map_size=64 << 20, segment_bytes=1 << 20, reserve_bytes=1 << 20, low_water_bytes=1 << 60
    ) as writer:
        assert writer.disk_nearly_full
        assert not (path / "reserve").exists()


def test_the_disk_is_looked_at_once_in_so_many_bytes(path, monkeypatch):
    """The first write looks, then one in LOOK_BYTES written; a shortage that shows then costs the reserve."""
    with Writer(path, VENUE, map_size=64 << 20, segment_bytes=1 << 20, reserve_bytes=1 << 20) as writer:
        looks = []
        monkeypatch.setattr(disk.Room, "free_bytes", property(lambda _: looks.append(1) or 1 << 60))
        writer.room.make_room(1)
        writer.room.make_room(disk.LOOK_BYTES - 1)
        assert len(looks) == 1
        monkeypatch.setattr(disk.Room, "free_bytes", property(lambda _: 0))
        assert (path / "reserve").exists()
        writer.room.make_room(1)
        assert not (path / "reserve").exists()


def test_iterators_of_one_reader_do_not_disturb_one_another(path):
    """An iterator goes on while the same reader looks elsewhere, in other segments too."""
    for _ in range(3):
        write(path, [2, 2])
    with Reader(path) as reader:
        seen = []
        for stored in reader.batches():
            seen.append(stored.first_seq)
            assert reader.batch_at(13 - stored.last_seq).first_seq % 2 == 1
        assert seen == [1, 3, 5, 7, 9, 11]


def test_names_sort_as_sequences():
    """A segment's folder name sorts by its sequence."""
    assert segments.segment_path(__import__("pathlib").Path(), 10**18).name == f"{10**18:020d}"


@pytest.mark.parametrize("again", [64 << 20, 128 << 20, 32 << 20])
def test_a_segment_without_a_batch_opened_again_with_another_map(path, again):
    """LMDB notes a larger map in one meta page first; the journal is sound all the same, and goes on."""
    write(path, [], map_size=64 << 20)
    write(path, [], map_size=again, segment_bytes=again // 2)
    assert read(path) == []
    assert write(path, [1], map_size=again, segment_bytes=again // 2) == 1
    assert write(path, [2]) == 3
    assert read(path) == [(1, 1), (2, 2)]
