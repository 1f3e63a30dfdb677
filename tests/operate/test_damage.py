"""Backups against a machine that dies at the worst moment, damage, a clock that lies and an operator in a hurry."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from journal.backup import Throttle, one_at_a_time
from journal.segment import Segment
from kk99.errors import CorruptionError, InputError
from kk99.operate import backups, restoring
from kk99.operate.backups import MANIFEST, catalogue, check_files, open_backup, prune
from kk99.operate.restoring import Point
from kk99.paths import DataDir
from tests.operate.test_backups import BY, flip, proved
from tests.replay.venue import VENUE


def contents(folder):
    """Every path below a folder with its bytes."""
    return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.mark.parametrize("how", ["flip", "cut", "remove"])
def test_damage_to_any_file_of_a_backup_is_found(copied, tmp_path, how):
    """Each file flipped, cut short or removed, the manifest too: an error, and no venue."""
    _, made = copied
    for path in [file for file in made.path.rglob("*") if file.is_file() and file.name != "lock.mdb"]:
        good = path.read_bytes()
        if how == "flip":
            flip(path)
        elif how == "cut":
            path.write_bytes(good[:-1])
        else:
            path.unlink()
        is_same = path.exists() and path.name == MANIFEST and path.read_bytes().strip() == good.strip()
        if not is_same:  # the manifest without its last newline says the same
            with pytest.raises((CorruptionError, InputError)):
                proved(open_backup(made.path), tmp_path / "new")
        path.write_bytes(good)
        assert [found.name for found in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("step", ["copy_journal", "_copy_snapshot", "_copy_folder", "_digests"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_backup_that_fails_leaves_the_store_as_it_was(copied, monkeypatch, step, error):
    """A full disk gets its room back and Ctrl-C leaves nothing, whichever step it comes in; the next one succeeds."""
    data, made = copied
    before = contents(made.path.parent)
    real = getattr(backups, step)

    def fail(*arguments, **options):
        real(*arguments, **options)
        raise error

    monkeypatch.setattr(backups, step, fail)
    with pytest.raises(type(error)):
        backups.make(data, made.path.parent, Throttle())
    assert contents(made.path.parent) == before
    monkeypatch.undo()
    assert backups.make(data, made.path.parent, Throttle())[0].head == made.head


def test_two_backups_do_not_meet(copied):
    """While one is made, another to the same folder is refused, and does not take its files away."""
    data, made = copied
    store = made.path.parent
    (store / "20260101T000000000Z.partial").mkdir()
    with one_at_a_time(store, "backup"):
        with pytest.raises(InputError, match="under way"):
            backups.make(data, store, Throttle())
        with pytest.raises(InputError, match="under way"):
            prune(store, 1, VENUE.hex())
    assert (store / "20260101T000000000Z.partial").exists()


def test_what_is_no_backups_of_ours_is_not_removed(copied):
    """Only what an interrupted backup left goes, not whatever else ends like it."""
    data, made = copied
    (made.path.parent / "mine.partial").write_text("x")
    backups.make(data, made.path.parent, Throttle())
    assert (made.path.parent / "mine.partial").read_text() == "x"


def test_a_clock_that_went_back_does_not_make_the_newest_backup_an_old_one(copied, monkeypatch):
    """The one that was made last is the last, is the one restored, and is not pruned."""
    data, made = copied
    monkeypatch.setattr(backups.time, "time_ns", lambda: made.fields["created_ns"] - 10**15)
    again, _ = backups.make(data, made.path.parent, Throttle())
    assert catalogue(made.path.parent)[-1] == again.path == open_backup(made.path.parent).path
    assert prune(made.path.parent, 1, VENUE.hex()) == [made.path]


def test_a_damaged_manifest_does_not_keep_the_next_backup_from_being_made(copied):
    """It shares nothing with the damaged one, which is not pruned either: nobody knows of what it is."""
    data, made = copied
    flip(made.path / MANIFEST)
    again, figures = backups.make(data, made.path.parent, Throttle())
    assert figures["linked_bytes"] == 0
    check_files(again, Throttle())
    assert prune(made.path.parent, 1, VENUE.hex()) == []


def test_a_folder_without_a_venue_is_not_backed_up_and_gets_no_key(tmp_path):
    """A mistyped --data is named, and nothing is made."""
    with pytest.raises(InputError, match="holds no venue"):
        backups.make(DataDir(tmp_path / "typo"), tmp_path / "store", Throttle())
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_will_not_do_is_named_before_anything_is_copied(run, tmp_path, monkeypatch):
    """A mount point can't be replaced by a folder; a disk that is too small is told at once; `.` is its folder."""
    _, made = run
    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_mount", lambda _: True)
        with pytest.raises(InputError, match="mounted"):
            proved(made, tmp_path / "new")
    with monkeypatch.context() as patch:
        patch.setattr(restoring.shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
        with pytest.raises(InputError, match="larger disk"):
            proved(made, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.chdir(tmp_path)
    assert proved(made, Path("new/../other")).seq == made.head.seq
    assert (tmp_path / "other/journal").is_dir()
    with pytest.raises(InputError, match="not empty"):
        proved(made, Path("other"))


@pytest.mark.parametrize("point", [Point(seq=1, **BY), Point(seq=63, **BY), Point(time_ns=1, **BY)])
def test_a_point_before_the_first_batch_leaves_nothing(run, tmp_path, point):
    """Before the end of the first batch there is nothing to restore, and nothing is left behind."""
    with pytest.raises(InputError, match="nothing would be left"):
        proved(run[1], tmp_path / "new", point)
    assert list(tmp_path.iterdir()) == []


def test_a_point_after_the_last_is_everything(run, tmp_path):
    """Nothing is cut, and the signed head is asked for."""
    answer = proved(run[1], tmp_path / "new", Point(time_ns=1 << 62, **BY))
    assert (answer.cut_after_seq, answer.seq) == (None, run[1].head.seq)


def test_a_segment_of_another_venue_is_not_taken_for_a_backed_up_one(copied, tmp_path):
    """A segment counts as backed up by what sealed it, not by its number."""
    _, made = copied
    name = next(name for name in made.files if name.endswith("data.mdb")).split("/")[1]
    segment = Segment(tmp_path / name, int(name))
    segment.path.mkdir()
    segment.manifest.write_text("sealed\n")
    stated = f"journal/{name}/{segment.manifest.name}"
    made.files[stated] = backups._digest(segment.manifest, Throttle())
    assert backups.holds_segment(made, segment)
    segment.manifest.write_text("of another venue\n")
    assert not backups.holds_segment(made, segment)
    del made.files[stated]
    assert not backups.holds_segment(made, segment)
