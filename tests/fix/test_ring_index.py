"""The index of a session whose messages are never sent again: it does not grow, and no number is used twice."""

import os

import pytest

from gateways.fix import index
from gateways.fix.index import ADMIN, BLOCK, Place, Sent, open_index
from kk99.errors import ClientError

START = Place(5, 0, 0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A ring of 8 rows."""
    monkeypatch.setattr(index, "RING", 8)


def opened(folder, epoch=1, *, is_unused=False):
    """The index of a session called S."""
    return open_index(folder, "S", epoch, is_unused=is_unused, after=START, is_ring=True)


def sent(found, count):
    """So many messages go out, a few at a time."""
    while count:
        some = min(count, 3)
        found.append([(ADMIN, 1, False)] * some)
        count -= some


@pytest.mark.parametrize("count", [1, 7, 8, 9, 100, BLOCK + 5])
def test_after_a_kill_the_next_number_is_the_next(tmp_path, count):
    """However often the ring went round, also across a wrap."""
    found = opened(tmp_path, is_unused=True)
    sent(found, count)
    os.close(found._file)
    again = opened(tmp_path)
    assert again.next_out == count + 1
    assert again.path.stat().st_size <= 512 + 8 * index._ROW.size
    again.close()


def test_the_latest_rows_are_known(tmp_path):
    """A report among them is found, also as the one to go on after; what the ring has lost is no row."""
    found = opened(tmp_path, is_unused=True)
    sent(found, 10)
    found.append([(Place(9, 0, 0), 7, False)])
    sent(found, 6)
    assert found.find(11) == Sent(11, Place(9, 0, 0), 7)
    assert found.find(9) is None
    os.close(found._file)
    again = opened(tmp_path)
    assert (again.next_out, again.after) == (18, Place(9, 0, 0))
    again.close()


def test_after_a_loss_of_power_what_may_have_been_used_is_skipped(tmp_path, monkeypatch):
    """The next number is the first one that was not reserved."""
    found = opened(tmp_path, is_unused=True)
    sent(found, 20)
    os.close(found._file)
    monkeypatch.setattr(index, "_boot_id", lambda: os.urandom(16))
    again = opened(tmp_path)
    assert again.was_lost
    assert again.next_out == BLOCK + 1
    again.close()


def test_a_file_knows_what_it_is(tmp_path):
    """A ring stays one whatever is asked for; another epoch's is refused, and a new epoch begins anew."""
    found = opened(tmp_path, is_unused=True)
    sent(found, 20)
    found.close()
    again = open_index(tmp_path, "S", 1, is_unused=False, after=START)
    assert again.next_out == 21
    again.close()
    with pytest.raises(ClientError):
        opened(tmp_path, 2)
    assert opened(tmp_path, 2, is_unused=True).next_out == 1
    assert [path.name for path in tmp_path.iterdir()] == ["S-2.index"]
