"""Backups and archives of a journal: throttled, shared, verified, and never a step away from a whole journal."""

import os
import shutil

import pytest

from journal import archive as archiving
from journal import backup as copying
from journal import keys
from journal.archive import archive
from journal.backup import Throttle, backup, one_at_a_time
from journal.reader import Reader
from journal.truncation import truncate
from journal.verify import verify
from journal.writer import Writer
from kk99 import paths
from kk99.errors import CorruptionError, InputError, JournalError
from tests.journal.rows import SMALL, VENUE, item, write
from tests.journal.test_operations import damage


@pytest.fixture
def data(tmp_path):
    """A data directory whose journal has three segments of three batches, the last one not sealed."""
    found = paths.DataDir(tmp_path / "data")
    for _ in range(3):
        write(found.journal, [4, 60, 6])
    return found


def records(path):
    """Every batch as it lies in a journal."""
    with Reader(path) as reader:
        return [stored.record for stored in reader.batches()]


def test_the_throttle_lets_its_rate_pass_and_saves_nothing_up():
    """A thousand bytes at a hundred a second take ten seconds, however long nothing was spent before."""
    now, slept = [0.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    throttle = Throttle(100, lambda: now[0], sleep)
    now[0] = 1_000.0
    for _ in range(10):
        throttle.spend(100)
    assert now[0] == pytest.approx(1_010.0)
    Throttle(0, lambda: now[0], sleep).spend(1 << 60)
    assert sum(slept) == pytest.approx(10.0)


def test_a_backup_spends_every_byte_of_its_throttle(data, tmp_path):
    """What is copied and what is read back both count."""
    spent = []

    class Counting(Throttle):
        def spend(self, size):
            spent.append(size)

    made = backup(data.journal, tmp_path / "copy", keys.load_or_create(data.keys), throttle=Counting())
    assert made.copied_bytes < sum(spent)


def test_an_open_segment_is_copied_up_to_where_the_journal_ended(data, tmp_path):
    """What is written after the copy began is not in it; the records are the same, byte for byte."""
    before = records(data.journal)
    with Writer(data.journal, VENUE, **SMALL) as writer:
        writer.append([item(211, 9)])

        class Writing(Throttle):
            def spend(self, _):
                writer.append([item(writer.last_seq + 1, 1)])

        head = backup(data.journal, tmp_path / "copy", keys.load_or_create(data.keys), throttle=Writing()).head
    assert head.seq == 219
    assert records(tmp_path / "copy")[: len(before)] == before
    assert verify(tmp_path / "copy").problems == []


def test_a_second_backup_shares_what_is_sealed(data, tmp_path):
    """Sealed segments of the backup before are linked, the rest is copied; without it everything is."""
    key = keys.load_or_create(data.keys)
    first = backup(data.journal, tmp_path / "one", key)
    write(data.journal, [5])
    second = backup(data.journal, tmp_path / "two", key, previous=tmp_path / "one")
    assert first.linked_bytes == 0 < second.linked_bytes
    name = "00000000000000000001"
    assert (tmp_path / "one" / name / "data.mdb").samefile(tmp_path / "two" / name / "data.mdb")
    assert verify(tmp_path / "two").problems == []
    shutil.rmtree(tmp_path / "one")
    assert records(tmp_path / "two") == records(data.journal)


def test_another_segment_of_the_same_name_is_not_shared(data, tmp_path):
    """Where the earlier backup's manifest or size differs, the segment is copied."""
    key = keys.load_or_create(data.keys)
    backup(data.journal, tmp_path / "one", key)
    (tmp_path / "one" / "00000000000000000001" / "manifest.json").write_text("{}")
    os.truncate(tmp_path / "one" / "00000000000000000071" / "data.mdb", 4096)
    assert backup(data.journal, tmp_path / "two", key, previous=tmp_path / "one").linked_bytes == 0


def test_the_record_of_a_truncation_is_in_the_copy(data, tmp_path):
    """A segment that begins after a cut keeps the record of it."""
    fields = truncate(data.journal, 204, actor="ops", reason="a drill", now_ns=5)
    write(data.journal, [3])
    truncated = truncate(data.journal, 204, actor="ops", reason="again", now_ns=6)
    backup(data.journal, tmp_path / "copy", keys.load_or_create(data.keys))
    report = verify(tmp_path / "copy")
    assert report.problems == []
    assert report.truncations == verify(data.journal).truncations
    assert report.truncations[-1] == truncated != fields


def test_a_damaged_journal_is_not_backed_up(data, tmp_path):
    """A flipped bit in a sealed segment is found when the copy is read back: no head is signed."""
    with Reader(data.journal) as reader:
        damage(reader.segments()[0], 5)
    with pytest.raises(CorruptionError):
        backup(data.journal, tmp_path / "copy", keys.load_or_create(data.keys))
    assert not (tmp_path / "copy" / "head.json").exists()


# Archives -------------------------------------------------------------------------------------------------------------


def test_archived_segments_are_read_where_they_now_are(data, tmp_path):
    """Sealed segments but the newest move, a live journal goes on, and all of it verifies and can be backed up."""
    before = records(data.journal)
    with Writer(data.journal, VENUE, **SMALL) as writer:
        moved = archive(data.journal, tmp_path / "slow", 1, Throttle())
        assert [first for first, _ in moved] == [1, 71]
        writer.append([item(211, 2)])
        assert records(data.journal)[: len(before)] == before
    assert (data.journal / "00000000000000000001").is_symlink()
    assert verify(data.journal).problems == []
    assert archive(data.journal, tmp_path / "slow", 1, Throttle()) == []
    backup(data.journal, tmp_path / "copy", keys.load_or_create(data.keys))
    assert not (tmp_path / "copy" / "00000000000000000001").is_symlink()
    assert write(data.journal, [4]) == 216


@pytest.mark.parametrize("call", ["_exchange", "_digest", "copy_file"])
def test_an_interrupted_archive_leaves_a_whole_journal_and_is_finished(data, tmp_path, monkeypatch, call):
    """Stopped at any step, the journal reads as before; the next call moves what is left."""
    before = records(data.journal)

    def failing(*_):
        raise OSError("power")

    monkeypatch.setattr(archiving, call, failing)
    with pytest.raises(OSError, match="power"):
        archive(data.journal, tmp_path / "slow", 0, Throttle())
    monkeypatch.undo()
    assert records(data.journal) == before
    assert len(archive(data.journal, tmp_path / "slow", 0, Throttle())) == 2
    assert records(data.journal) == before
    assert not list(data.journal.glob("*.link"))


def test_an_archive_that_is_not_the_journals_is_left_alone(data, tmp_path):
    """A folder of the same name with other content, and a target in the journal itself, are refused."""
    (tmp_path / "slow" / "00000000000000000001").mkdir(parents=True)
    for name in ("data.mdb", "manifest.json"):
        (tmp_path / "slow" / "00000000000000000001" / name).write_text("x")
    with pytest.raises(JournalError, match="not what the journal has"):
        archive(data.journal, tmp_path / "slow", 0, Throttle())
    for target, keep in ((data.journal / "in", 0), (tmp_path / "slow", -1)):
        with pytest.raises(InputError):
            archive(data.journal, target, keep, Throttle())
    assert verify(data.journal).problems == []


@pytest.mark.parametrize("step", ["_copy_sealed", "_copy_open"])
def test_segments_that_are_sealed_while_a_backup_is_made_cost_nothing(data, tmp_path, monkeypatch, step):
    """The journal grows and its last segment is sealed in the middle: the copy is whole, up to where it was."""
    before = records(data.journal)
    real = getattr(copying, step)

    def meanwhile(*arguments):
        monkeypatch.setattr(copying, step, real)
        write(data.journal, [4, 60])
        return real(*arguments)

    monkeypatch.setattr(copying, step, meanwhile)
    copied = backup(data.journal, tmp_path / "copy", keys.load_or_create(data.keys))
    found = records(tmp_path / "copy")
    assert found[: len(before)] == before
    assert found == records(data.journal)[: len(found)]
    assert verify(tmp_path / "copy").problems == []
    with Reader(tmp_path / "copy") as reader:
        assert reader.head() == copied.head


def test_two_archivings_do_not_meet(data, tmp_path):
    """While one moves segments, another of the journal or to the folder is refused."""
    (tmp_path / "slow").mkdir()
    for folder in (data.journal, tmp_path / "slow"):
        with one_at_a_time(folder, "archiving"), pytest.raises(InputError, match="under way"):
            archive(data.journal, tmp_path / "slow", 0, Throttle())
    assert len(archive(data.journal, tmp_path / "slow", 0, Throttle())) == 2


def test_an_archive_that_fills_its_disk_gives_the_room_back(data, tmp_path, monkeypatch):
    """What was half copied goes at once; what is no segment's, whatever its name ends with, stays."""
    (tmp_path / "slow" / "mine.partial").mkdir(parents=True)
    real = archiving.copy_file

    def full(*arguments):
        real(*arguments)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archiving, "copy_file", full)
    with pytest.raises(OSError, match="No space"):
        archive(data.journal, tmp_path / "slow", 0, Throttle())
    assert [path.name for path in (tmp_path / "slow").iterdir()] == ["mine.partial"]
    monkeypatch.undo()
    assert len(archive(data.journal, tmp_path / "slow", 0, Throttle())) == 2
    assert (tmp_path / "slow" / "mine.partial").exists()


# Keys -----------------------------------------------------------------------------------------------------------------


def test_a_key_that_the_service_manager_hands_over_comes_first(tmp_path, monkeypatch):
    """A file in the folder of credentials is the key, whatever its mode; without it the venue's own is made."""
    own = keys.load_or_create(tmp_path / "keys")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "given"))
    assert keys.load_or_create(tmp_path / "keys").private_bytes_raw() == own.private_bytes_raw()
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / keys.KEY_FILE).write_bytes(bytes(range(32)))
    assert keys.load_or_create(tmp_path / "keys").private_bytes_raw() == bytes(range(32))
    (tmp_path / "given" / keys.KEY_FILE).write_bytes(b"short")
    with pytest.raises(InputError, match="32 bytes"):
        keys.load_or_create(tmp_path / "keys")
