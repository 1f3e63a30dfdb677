"""Room on the disk: nearly full is said before it is full, and the reserve is given up to finish what was begun."""

import os
from types import SimpleNamespace

import pytest

from journal import disk
from journal.disk import LOOK_BYTES, RESERVE_FILE, Room
from kk99.engine.sequencer import _DISK_LOOK_NS
from kk99.protocol import BusyReason
from tests.engine.world import World, reply_of

LOW, RESERVE = 1 << 20, 1 << 16


@pytest.fixture
def statvfs(monkeypatch):
    """A disk whose free bytes are set by hand."""
    free = SimpleNamespace(bytes=LOW + RESERVE + 1)
    monkeypatch.setattr(disk.os, "statvfs", lambda _: SimpleNamespace(f_bavail=free.bytes, f_frsize=1))
    return free


def test_nearly_full_begins_below_the_low_water_mark(tmp_path, statvfs):
    """At the mark there is room, one byte below it there is none."""
    room = Room(tmp_path, reserve_bytes=RESERVE, low_water_bytes=LOW)
    statvfs.bytes = LOW
    assert not room.nearly_full
    statvfs.bytes = LOW - 1
    assert room.nearly_full


@pytest.mark.parametrize(("above", "is_made"), [(0, False), (1, True)])
def test_the_reserve_is_laid_in_only_where_it_leaves_room(tmp_path, statvfs, above, is_made):
    """A disk that it would make nearly full gets none."""
    statvfs.bytes = LOW + RESERVE + above
    Room(tmp_path, reserve_bytes=RESERVE, low_water_bytes=LOW)
    assert (tmp_path / RESERVE_FILE).exists() == is_made
    if is_made:
        assert os.stat(tmp_path / RESERVE_FILE).st_size == RESERVE  # noqa: PTH116 - statvfs is replaced, stat is not


@pytest.mark.parametrize(("left", "is_kept"), [(0, True), (-1, False)])
def test_the_reserve_is_given_up_when_what_is_written_needs_it(tmp_path, statvfs, left, is_kept):
    """Twice what is to be written and a little must be left, else the reserve goes."""
    room = Room(tmp_path, reserve_bytes=RESERVE, low_water_bytes=LOW)
    size = LOOK_BYTES
    statvfs.bytes = 2 * size + RESERVE // 4 + left
    room.make_room(size)
    assert (tmp_path / RESERVE_FILE).exists() == is_kept


@pytest.mark.parametrize(("free", "is_refused"), [(1_000, False), (999, True)])
def test_ingress_is_refused_below_the_reserve_and_taken_at_it(free, is_refused):
    """At `disk_reserve_bytes` the engine takes commands, a byte below it does not, and looks again soon."""
    world = World(disk_reserve_bytes=1_000)
    world.hello()
    world.elapsed_ns += _DISK_LOOK_NS
    world.free = free
    replies = world.submit(1)
    assert bool(replies) == is_refused
    if is_refused:
        assert reply_of(replies)[3] == BusyReason.DISK
        world.free = 1_000
        world.elapsed_ns += _DISK_LOOK_NS
        assert world.submit(1) == []
