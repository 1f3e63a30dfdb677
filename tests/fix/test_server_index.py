"""The index of outbound numbers: what it knows after a kill, after a loss of power, after a clean end."""

import os

import pytest

from gateways.fix import index
from gateways.fix.index import ADMIN, BLOCK, Place, Sent, open_index
from kk99.errors import ClientError

START = Place(5, 0, 0)


def opened(folder, epoch=1, *, is_unused=False, after=START):
    """The index of a session called S."""
    return open_index(folder, "S", epoch, is_unused=is_unused, after=after)


def killed(found):
    """End as a SIGKILL would: nothing is synced or said."""
    os.close(found._file)


def places(first, count):
    """So many places from an event on."""
    return [(Place(first + number, 0, 0), 1_000 + number, False) for number in range(count)]


def power_lost(monkeypatch, path, size=None, holes=()):
    """The machine boots anew; of the file only what reached the disk is there."""
    if size is not None:
        os.truncate(path, size)
    with path.open("r+b") as file:
        for number in holes:
            file.seek(index._offset(number))
            file.write(bytes(index._ROW.size))
    boot = os.urandom(16)
    monkeypatch.setattr(index, "_boot_id", lambda: boot)


def test_after_a_kill_all_is_known(tmp_path):
    """The next number follows the last one, and the last report is where it was."""
    found = opened(tmp_path, is_unused=True)
    assert found.append([(ADMIN, 7, False)]) == 1
    assert found.append([(Place(9, 1, 0), 8, False), (Place(9, 1, 1), 8, True), (ADMIN, 9, False)]) == 2
    killed(found)
    found = opened(tmp_path)
    assert (found.next_out, found.after, found.was_lost) == (5, Place(9, 1, 1), False)
    assert found.find(1) == Sent(1, ADMIN, 7)
    assert found.find(3) == Sent(3, Place(9, 1, 1), 8, poss_resend=True)
    assert found.find(5) is None
    found.close()


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_after_a_loss_of_power_no_number_is_used_twice(tmp_path, monkeypatch, count):
    """Of rows that were never synced nothing is left: the next number is above all that were used."""
    monkeypatch.setattr(index, "BLOCK_S", 0.0)
    found = opened(tmp_path, is_unused=True)
    for entry in places(10, count):
        found.append([entry])
    killed(found)
    synced = found._synced
    power_lost(monkeypatch, found.path, size=index._offset(synced + 1))
    found = opened(tmp_path)
    assert found.was_lost
    assert count < found.next_out <= count + 2 * BLOCK + 1
    assert found.after == (Place(9 + synced, 0, 0) if synced else START)
    assert found.find(count + 1) is None
    first = found.append(places(9_000, 1))
    killed(found)
    found = opened(tmp_path)
    assert (found.next_out, found.after, found.was_lost) == (first + 1, Place(9_000, 0, 0), False)
    found.close()


def test_reports_behind_a_hole_are_sent_anew(tmp_path, monkeypatch):
    """When a later page reached the disk and an earlier one did not, the last report is the one before the hole."""
    found = opened(tmp_path, is_unused=True)
    found.append(places(10, 50))
    killed(found)
    power_lost(monkeypatch, found.path, holes=[20, 21])
    found = opened(tmp_path)
    assert (found.after, found.find(20)) == (Place(28, 0, 0), None)
    assert found.find(22) == Sent(22, Place(31, 0, 0), 1_021)
    found.close()


def test_a_clean_end_leaves_no_doubt(tmp_path, monkeypatch):
    """Closed, it is whole after any boot."""
    found = opened(tmp_path, is_unused=True)
    found.append(places(10, 3))
    found.close()
    power_lost(monkeypatch, found.path)
    found = opened(tmp_path)
    assert (found.next_out, found.after, found.was_lost) == (4, Place(12, 0, 0), False)
    found.close()


def test_an_epoch_goes_on_after_the_reports_of_the_one_before(tmp_path, monkeypatch):
    """Its numbers begin at 1; the file of the epoch before goes; without one, it begins where it is told."""
    found = opened(tmp_path, is_unused=True)
    found.append(places(10, 3))
    killed(found)
    found = opened(tmp_path, 2, is_unused=True, after=Place(99, 0, 0))
    assert (found.next_out, found.after, found.was_lost) == (1, Place(12, 0, 0), False)
    assert [path.name for path in tmp_path.iterdir()] == ["S-2.index"]
    killed(found)
    power_lost(monkeypatch, found.path)
    found = opened(tmp_path, 3, is_unused=True)
    assert (found.next_out, found.after, found.was_lost) == (1, Place(12, 0, 0), True)
    found.close()


def test_what_is_gone_or_damaged_is_refused(tmp_path):
    """An epoch in use without its file, and a file with a broken head, need a reset; others' files are not touched."""
    (tmp_path / "S-other-1.index").write_bytes(b"")
    with pytest.raises(ClientError, match="141=Y"):
        opened(tmp_path)
    found = opened(tmp_path, is_unused=True)
    found.close()
    with found.path.open("r+b") as file:
        file.seek(12)
        file.write(b"x")
    with pytest.raises(ClientError, match="damaged"):
        opened(tmp_path)
    assert (tmp_path / "S-other-1.index").exists()


@pytest.mark.parametrize("is_clean", [False, True])
def test_of_a_file_that_was_cut_no_number_is_used_twice(tmp_path, is_clean):
    """Rows that the head knows of are gone: the next number is above all reserved, reports go on after the last row."""
    found = opened(tmp_path, is_unused=True)
    for first in range(0, 2 * BLOCK, 10):
        found.append(places(10 + first, 10))
    if is_clean:
        found.close()
    else:
        killed(found)
    known, reserved = found._synced, found._reserved
    assert 5 < known <= 2 * BLOCK
    os.truncate(found.path, index._offset(known + 1) - 1)  # in mid-row
    found = opened(tmp_path)
    assert (found.was_lost, found.next_out, found.after) == (True, reserved + 1, Place(8 + known, 0, 0))
    found.close()


@pytest.mark.parametrize("size", [0, 512])
def test_a_file_that_was_being_made_is_made_anew(tmp_path, size):
    """Killed before its head was there; the epoch goes on after the reports of the one before."""
    found = opened(tmp_path, is_unused=True)
    found.append(places(10, 3))
    killed(found)
    (tmp_path / "S-2.index").write_bytes(bytes(size))
    with pytest.raises(ClientError, match="damaged"):
        opened(tmp_path, 2)
    found = opened(tmp_path, 2, is_unused=True)
    assert (found.next_out, found.after) == (1, Place(12, 0, 0))
    found.close()
