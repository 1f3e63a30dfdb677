"""Loads the core before it is needed, and notes whether it had to be compiled."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kk99.core.memory import LANE
from kk99.core.state import compile_kernel

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Kernel:
    """The core as it was loaded: its lane, the seconds that took, the functions that were not in the cache."""

    lane: str
    load_s: float
    compiled: int


def load_kernel(progress: Callable[[str, int, int], None]) -> Kernel:
    """Compile the core or load it from the cache; `progress` as that of `compile_kernel`."""
    began, before = time.monotonic(), _cached()
    compile_kernel(progress)
    return Kernel(LANE, time.monotonic() - began, len(_cached() - before))


def _cached() -> set[Path]:
    """Return the files of compiled functions in this lane's cache."""
    if LANE == "python":
        return set()
    import numba  # noqa: PLC0415 - the python lane must not pay for importing it

    return set(Path(numba.config.CACHE_DIR).rglob("*.nbc"))
