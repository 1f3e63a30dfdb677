"""Damage to the files: found, located, and never the reader's death."""

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from journal import pages
from journal.reader import Reader
from journal.writer import Writer
from tests.journal.examine import examine
from tests.journal.rows import SMALL, VENUE, item, write

PAGE = 4096
OPENING = b"KK99JRNL\x01\x00\xc0\x00\x02"
COUNTS = [1, 40, 2, 100, 1, 1, 3, 60, 1, 2]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A journal of one segment: small batches inside LMDB's tree, larger ones on pages of their own."""
    path = tmp_path_factory.mktemp("sound") / "journal"
    write(path, COUNTS)
    return path


@pytest.fixture(scope="module")
def tall(tmp_path_factory):
    """A journal of so many small batches that LMDB's tree has branches."""
    path = tmp_path_factory.mktemp("tall") / "journal"
    with Writer(path, VENUE, **SMALL) as writer:
        writer.append([item(seq, 1) for seq in range(1, 2500)])
    assert pages.read_metas(data_file(path).parent).newest.depth == 3
    return path


@contextmanager
def examiner():
    """A function that has a folder examined by another process, which must live to the end."""
    command = [sys.executable, "-m", "tests.journal.examine"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as child:

        def ask(path):
            child.stdin.write(f"{path}\n")
            child.stdin.flush()
            line = child.stdout.readline()
            assert line, f"the reader died with {child.wait()}"
            return json.loads(line)

        yield ask
        child.stdin.close()
        assert child.wait(30) == 0


def data_file(path):
    """The data file of the journal's only segment."""
    return next(path.glob("0*")) / pages.DATA_FILE


def tree_pages(path):
    """Numbers of the pages of the tree as it now is; older trees leave copies of small batches behind."""
    found = set()

    class Walk(pages._Walk):
        def _page(self, number, kind):
            found.add(number)
            return super()._page(number, kind)

    with data_file(path).open("rb") as file:
        newest = pages.read_metas(data_file(path).parent).newest
        Walk(file.fileno(), newest, b"").visit(newest.root, 1, leftmost=True)
    return found


def stretches(path):
    """Where each batch's record lies in the file: (first_seq, offset, size)."""
    data, tree = data_file(path).read_bytes(), tree_pages(path)
    found = []
    with Reader(path) as reader:
        for stored in reader.batches():
            size = len(stored.record)
            copies = [at for at in range(0, len(data) - size, 2) if data.startswith(stored.record, at)]
            (at,) = [at for at in copies if size > PAGE // 2 or at // PAGE in tree]
            found.append((stored.first_seq, at, size))
    return found


def flips(sound, tmp_path, positions):
    """Flip one bit at each position in turn and yield (position, what a reader in another process finds)."""
    copy = tmp_path / "journal"
    shutil.copytree(sound, copy)
    target = data_file(copy)
    with examiner() as ask, target.open("r+b", buffering=0) as file:
        for at in positions:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ (1 << (at * 7 % 8))]))
            yield at, ask(copy)
            file.seek(at)
            file.write(bytes([byte]))
        assert ask(copy) == examine(sound)


def test_every_flip_in_a_batch_is_found_and_located(sound, tmp_path):
    """A flipped bit in a stored batch, anywhere in its header and all over its rows, is reported at that batch."""
    expected = examine(sound)["batches"]
    where = {}
    for first_seq, at, size in stretches(sound):
        for offset in (*range(192), *range(192, size, 29), size - 1):
            where[at + offset] = first_seq
    for at, found in flips(sound, tmp_path, sorted(where)):
        before = [batch for batch in expected if batch[0] < where[at]]
        assert (found["seq"], found["batches"]) == (where[at], before), f"at byte {at}: {found['error']}"


def test_a_flip_anywhere_else_is_found_or_changes_nothing(sound, tmp_path):
    """A flipped bit in LMDB's own pages yields an error after a true prefix, or all batches, never others."""
    expected = examine(sound)
    inside = {at + offset for _, at, size in stretches(sound) for offset in range(size)}
    data = data_file(sound).read_bytes()
    metas = [page * PAGE + offset for page in (0, 1) for offset in range(160)]
    positions = [
        at for at in range(2 * PAGE, len(data)) if at not in inside and (data[at] or at % PAGE < 24 or at % 61 == 0)
    ]
    unnoticed = 0
    for at, found in flips(sound, tmp_path, metas + positions):
        assert found["batches"] == expected["batches"][: len(found["batches"])], f"at byte {at}"
        if found["error"] is None:
            assert found == expected, f"at byte {at}"
            unnoticed += 1
    assert unnoticed < len(metas + positions)


def test_flips_in_branches_are_found_or_change_nothing(tall, tmp_path):
    """A flipped bit in a page above the leaves never leads elsewhere unnoticed."""
    expected = examine(tall)
    data = data_file(tall).read_bytes()
    branches = [number for number in tree_pages(tall) if data[number * PAGE + 10] == 1]
    assert len(branches) > 2
    positions = [number * PAGE + at for number in branches for at in (*range(24), *range(24, PAGE, 409))]
    positions += [at for at in range(branches[0] * PAGE, (branches[0] + 1) * PAGE) if data[at] and at % 17 == 0]
    for at, found in flips(tall, tmp_path, sorted(positions)):
        assert found["batches"] == expected["batches"][: len(found["batches"])], f"at byte {at}"
        assert found["error"] is not None or found == expected, f"at byte {at}"


def test_truncated_files_are_found_at_every_length(sound, tmp_path):
    """A data file cut short, at page bounds, beside them and at lengths between, is an error and kills nobody."""
    copy = tmp_path / "journal"
    shutil.copytree(sound, copy)
    data = data_file(sound).read_bytes()
    needed = (pages.read_metas(data_file(sound).parent).newest.last_page + 1) * PAGE
    lengths = {
        length for page in range(needed // PAGE + 1) for length in (page * PAGE - 1, page * PAGE, page * PAGE + 1)
    }
    lengths |= set(range(0, needed, 1777)) | {16, 64, 152}
    with examiner() as ask:
        for length in sorted(length for length in lengths if 0 <= length < needed):
            data_file(copy).write_bytes(data[:length])
            found = ask(copy)
            assert found["error"] is not None, f"cut to {length}"
            assert found["batches"] == []
        data_file(copy).write_bytes(data[:needed])
        assert ask(copy) == examine(sound)


@pytest.mark.parametrize("filler", [b"\x00", b"\xff", b"\x5a"])
def test_pages_overwritten_as_a_whole_are_found(sound, tmp_path, filler):
    """A page lost to zeros, ones or garbage, each page in turn, is an error after a true prefix, or was not in use."""
    expected = examine(sound)
    copy = tmp_path / "journal"
    shutil.copytree(sound, copy)
    data = data_file(sound).read_bytes()
    with examiner() as ask:
        for at in range(0, len(data), PAGE):
            data_file(copy).write_bytes(data[:at] + filler * PAGE + data[at + PAGE :])
            found = ask(copy)
            assert found["batches"] == expected["batches"][: len(found["batches"])]
            assert found["error"] is not None or found == expected


def test_a_root_that_points_to_an_older_tree_is_found(tmp_path):
    """An older root is a sound tree without the last batches: the count of entries gives it away."""
    path = tmp_path / "journal"
    write(path, [5] * 6)
    target = data_file(path)
    metas = pages.read_metas(target.parent)
    data = bytearray(target.read_bytes())
    slot = (metas.newest.txn_id & 1) * PAGE
    root_at = slot + 16 + 24 + 48 + 40
    assert int.from_bytes(data[root_at : root_at + 8], "little") == metas.newest.root
    data[root_at : root_at + 8] = metas.older.root.to_bytes(8, "little")
    target.write_bytes(data)
    found = examine(path)
    assert found["error"] is not None


def test_a_damaged_opening_stops_before_the_first_batch(sound, tmp_path):
    """A segment whose opening is damaged can't be joined to the one before, and yields nothing."""
    data, tree = data_file(sound).read_bytes(), tree_pages(sound)
    (at,) = [at for at in range(0, len(data), 2) if data.startswith(OPENING, at) and at // PAGE in tree]
    for found_at, found in flips(sound, tmp_path, [at + 40, at + 60, at + 190]):
        assert (found["seq"], found["batches"]) == (1, []), found_at


def test_a_missing_data_file_is_an_error(sound, tmp_path):
    """A segment's folder without its data file, or with a folder in its place, is an error at its first sequence."""
    copy = tmp_path / "journal"
    shutil.copytree(sound, copy)
    data_file(copy).unlink()
    assert examine(copy)["seq"] == 1
    (copy / f"{1:020d}" / pages.DATA_FILE).mkdir()
    assert examine(copy)["seq"] == 1
