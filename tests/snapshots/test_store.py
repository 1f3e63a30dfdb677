"""Snapshots: what is written is loaded, what is damaged is noticed, and a crash leaves nothing half done."""

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99 import schema
from kk99.errors import SnapshotError
from snapshots import format as layout
from snapshots import store
from snapshots.format import Meta

VENUE = bytes(range(16))
META = Meta(VENUE, 42, 1_700_000_000_000_000_000, (42, 3), b"s" * 32, b"j" * 32)
SECTIONS = [
    ("orders", np.arange(100, dtype=np.int64)),
    ("empty", b""),
    ("directory", b"\x83\xa1a\x01"),
    ("zeros", bytes(200)),
]


def write(folder, seq=42, sections=SECTIONS, **changes):
    """Write a small snapshot and return its path."""
    return store.write(folder, sections, replace(META, seq=seq, **changes))


def bytes_of(sections):
    """The sections as a dictionary of bytes."""
    return {name: bytes(memoryview(data).cast("B")) for name, data in sections}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a good snapshot and a path on which to put damaged ones."""
    path = write(tmp_path_factory.mktemp("good"))
    return path.read_bytes(), path


def test_what_was_written_is_loaded(tmp_path):
    """Meta and sections come back equal, in their order, from a file named by the sequence."""
    path = write(tmp_path)
    meta, sections = store.load(path, VENUE)
    assert path.name == "snapshot-00000000000000000042.kk99"
    assert meta == META
    assert [name for name, _ in sections] == [name for name, _ in SECTIONS]
    assert bytes_of(sections) == bytes_of(SECTIONS)


def test_sections_are_read_only_and_aligned(tmp_path):
    """A loaded section can be used in place by numpy, and can't be written through."""
    _, sections = store.load(write(tmp_path))
    array = np.frombuffer(sections[0][1], np.int64)
    assert array.flags.aligned
    assert not array.flags.writeable
    assert array.ctypes.data % layout.ALIGNMENT == 0


def test_sections_outlive_the_deleted_file(tmp_path):
    """A mapped snapshot stays readable after pruning took its file."""
    path = write(tmp_path)
    _, sections = store.load(path)
    path.unlink()
    assert bytes_of(sections) == bytes_of(SECTIONS)


def test_sections_larger_than_a_chunk_and_a_sync_are_whole(tmp_path):
    """A section that takes many chunks and several syncs comes back equal."""
    data = np.random.default_rng(1).bytes(store.SYNC_BYTES * 2 + store.CHUNK_BYTES + 1)
    _, sections = store.load(write(tmp_path, sections=[("big", data), ("after", b"x")]))
    assert bytes_of(sections) == {"big": data, "after": b"x"}


def test_every_truncation_is_noticed(good):
    """A file cut at any length, or one byte too long, is refused without being mapped."""
    data, path = good
    for size in [*range(len(data)), len(data) + 1]:
        path.write_bytes((data + b"\0")[:size])
        with pytest.raises(SnapshotError):
            store.load(path)
    path.write_bytes(data)


@given(position=st.integers(min_value=0), flip=st.integers(1, 255))
def test_a_changed_byte_is_noticed(good, position, flip):
    """Any byte that differs makes the snapshot refused, padding and header included."""
    data, path = good
    damaged = bytearray(data)
    damaged[position % len(data)] ^= flip
    path.write_bytes(damaged)
    with pytest.raises(SnapshotError):
        store.load(path)
    path.write_bytes(data)


def test_every_single_bit_of_header_and_table_is_covered(good):
    """No bit of the header or the section table can change unnoticed."""
    data, path = good
    end = layout.table_end(len(SECTIONS))
    for bit in range(0, end * 8, 3):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(SnapshotError):
            store.read_meta(path)
    path.write_bytes(data)


def test_a_damaged_section_is_named(good):
    """The error says which section is damaged."""
    data, path = good
    damaged = bytearray(data)
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(SnapshotError, match="section zeros is damaged"):
        store.load(path)
    assert store.load(path, verify=False)[0] == META
    path.write_bytes(data)


def test_another_venue_is_refused(tmp_path):
    """A snapshot of another venue is refused by name."""
    with pytest.raises(SnapshotError, match="it is of venue 000102"):
        store.load(write(tmp_path), bytes(16))


def test_another_schema_is_refused_and_can_still_be_described(tmp_path):
    """A snapshot of another schema is not loaded, but says which release it needs."""
    path = write(tmp_path, fingerprint=schema.FINGERPRINT ^ 1, behaviour_version=7)
    with pytest.raises(SnapshotError, match="behaviour 7, where this release has"):
        store.load(path)
    assert store.read_meta(path).behaviour_version == 7


def test_a_renamed_snapshot_is_refused(tmp_path):
    """A file that is named for another sequence than it holds is refused."""
    path = write(tmp_path)
    with pytest.raises(SnapshotError, match="named for seq 43 and holds seq 42"):
        store.load(path.rename(store.path_of(tmp_path, 43)))


@pytest.mark.parametrize("call", ["pwrite", "fdatasync", "fsync", "ftruncate"])
def test_an_interrupted_write_leaves_nothing_visible(tmp_path, monkeypatch, call):
    """Whichever call fails, no file is left under the final name, and the error is of our tree."""

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(SnapshotError, match="No space left"):
        write(tmp_path, sections=[("big", bytes(store.SYNC_BYTES))])
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
    assert store.newest_good(tmp_path)[0] is None


def test_the_file_is_synced_before_it_is_visible_and_the_folder_after(tmp_path, monkeypatch):
    """The order of the calls is: sync the file, rename, sync the folder."""
    calls = []
    fsync, rename = os.fsync, type(tmp_path).rename
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(type(tmp_path), "rename", lambda *paths: (calls.append("rename"), rename(*paths)))
    write(tmp_path)
    assert calls == ["fsync", "rename", "fsync"]


def test_a_killed_write_is_cleared_away_by_prune(tmp_path):
    """What a killed process left under the temporary name is not listed, and prune deletes it."""
    path = write(tmp_path)
    left = tmp_path / (store.path_of(tmp_path, 50).name + ".partial")
    left.write_bytes(b"half")
    assert store.catalogue(tmp_path) == [path]
    assert store.prune(tmp_path, keep=1) == [left]
    assert store.catalogue(tmp_path) == [path]


def test_writing_again_replaces(tmp_path):
    """A second snapshot at the same sequence takes the place of the first."""
    write(tmp_path)
    path = write(tmp_path, sections=[("only", b"1")])
    assert bytes_of(store.load(path)[1]) == {"only": b"1"}


def test_the_newest_good_one_is_found_and_bad_ones_are_reported(tmp_path):
    """A damaged, a foreign and an unusable snapshot are skipped with a reason each; newer than asked is left out."""
    paths = {seq: write(tmp_path, seq) for seq in (10, 20, 30, 40, 50)}
    write(tmp_path, 30, venue_id=bytes(16))
    paths[50].write_bytes(b"")
    found, skipped = store.newest_good(tmp_path, VENUE, usable=lambda meta: "too new" if meta.seq == 40 else None)
    assert found.meta.seq == 20
    assert found.path == paths[20]
    assert [skip.path for skip in skipped] == [paths[50], paths[40], paths[30]]
    assert [reason in skip.reason for skip, reason in zip(skipped, ("too few", "too new", "venue"), strict=True)]
    found, skipped = store.newest_good(tmp_path, VENUE, at_most_seq=19)
    assert (found.meta.seq, skipped) == (10, [])


def test_no_folder_is_no_snapshot(tmp_path):
    """A folder that does not exist has no snapshots and nothing to prune."""
    folder = tmp_path / "none"
    assert store.catalogue(folder) == []
    assert store.newest_good(folder) == (None, [])
    assert store.prune(folder, keep=1) == []


def test_prune_keeps_the_newest(tmp_path):
    """The newest `keep` stay; one with a damaged header does not count among them."""
    paths = {seq: write(tmp_path, seq) for seq in (10, 20, 30, 40)}
    paths[40].write_bytes(b"KK99")
    assert store.prune(tmp_path, keep=2) == [paths[10]]
    assert store.catalogue(tmp_path) == [paths[20], paths[30], paths[40]]
    with pytest.raises(SnapshotError, match="at least 1"):
        store.prune(tmp_path, keep=0)


@pytest.mark.parametrize(
    "sections",
    [[("", b"")], [("a", b""), ("a", b"")], [("é", b"")], [("n" * (layout.SECTION_NAME_BYTES + 1), b"")]],
    ids=["empty", "twice", "not ascii", "too long"],
)
def test_bad_section_names_are_refused(tmp_path, sections):
    """A name that is empty, taken, not ASCII or too long is refused, and nothing is written."""
    with pytest.raises(SnapshotError):
        write(tmp_path, sections=sections)
    assert list(tmp_path.iterdir()) == []


def test_names_and_section_counts_go_up_to_their_bounds(tmp_path):
    """The longest name and the highest number of sections are taken, one more is refused."""
    longest = "n" * layout.SECTION_NAME_BYTES
    sections = [(longest, b"1"), *((f"s{number}", b"") for number in range(layout.SECTIONS_MAX - 1))]
    _, loaded = store.load(write(tmp_path, sections=sections))
    assert bytes_of(loaded) == bytes_of(sections)
    with pytest.raises(SnapshotError, match="at most 1024"):
        write(tmp_path, sections=[*sections, ("one-more", b"")])
