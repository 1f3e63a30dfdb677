"""Room on the disk: how much is left, and a reserve that can be given up to finish what was begun."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from journal.storage import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

RESERVE_FILE: Final = "reserve"
RESERVE_BYTES: Final = 64 << 20
LOOK_BYTES: Final = 1 << 20
"""The disk is looked at once in so many bytes written: a call for each commit would be in a lone command's way."""
LOW_WATER_BYTES: Final = 256 << 20
"""Below this a disk is nearly full: no new commands are taken in."""


class Room:
    """The disk that holds `folder`, with a reserve file of `reserve_bytes` in it."""

    def __init__(
        self, folder: Path, *, reserve_bytes: int = RESERVE_BYTES, low_water_bytes: int = LOW_WATER_BYTES
    ) -> None:
        """Lay the reserve in if there is room for it."""
        self._folder = folder
        self._reserve = folder / RESERVE_FILE
        self._reserve_bytes = reserve_bytes
        self._low_water_bytes = low_water_bytes
        self._unlooked_bytes = LOOK_BYTES
        have = self._reserve.stat().st_size if self._reserve.exists() else 0
        if have < reserve_bytes and self.free_bytes > low_water_bytes + reserve_bytes:
            with self._reserve.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, reserve_bytes)

    @property
    def free_bytes(self) -> int:
        """What the disk can still take, the reserve not counted."""
        stat = os.statvfs(self._folder)
        return stat.f_bavail * stat.f_frsize

    @property
    def nearly_full(self) -> bool:
        """Whether new commands must be refused."""
        return self.free_bytes < self._low_water_bytes

    def make_room(self, size: int) -> None:
        """Before `size` bytes are written, give up the reserve if the disk has not twice that and a little left."""
        self._unlooked_bytes += size
        if self._unlooked_bytes < LOOK_BYTES:
            return  # at the last look there was more than that left
        self._unlooked_bytes = 0
        if self.free_bytes < 2 * size + self._reserve_bytes // 4 and self._reserve.exists():
            self._reserve.unlink()
            sync_folder(self._folder)
