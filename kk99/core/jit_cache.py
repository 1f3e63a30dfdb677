"""Compiling the core when it is first needed: entries that Python calls, and the parts that they are made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kk99 import jit_folder

if TYPE_CHECKING:
    from collections.abc import Callable


def prepare(lane: str) -> None:
    """Point numba's cache at the folder of this state of the core's sources."""
    if lane == "python":
        return
    import numba  # noqa: PLC0415 - the python lane must not pay for importing it

    numba.config.CACHE_DIR = str(jit_folder.folder_of("jit", lane, Path(__file__).parent))


class _Lazy:
    """A compiled function that compiles (or loads from the cache) when first called or asked to."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._compiled: Any = None

    def compile(self) -> Any:
        """Return the compiled function, compiling it now if need be."""
        if self._compiled is None:
            self._compiled = self._make()
        return self._compiled

    def __call__(self, *args: Any) -> Any:
        """Call the compiled function."""
        compiled = self._compiled
        return (self.compile() if compiled is None else compiled)(*args)


_far: list[_Lazy] = []


def add_far(make: Callable[[], Any]) -> None:
    """Take note of a function that must be compiled before any entry, after those noted before."""
    _far.append(_Lazy(make))


def compile_far(progress: Callable[[int, int], None] | None = None) -> None:
    """Compile what `add_far` took note of, in that order; `progress` hears how many are done, and of how many."""
    for done, lazy in enumerate(_far):
        if progress is not None:
            progress(done, len(_far))
        lazy.compile()


def lazily(make: Callable[[], Any]) -> _Lazy:
    """Return a function that is compiled when first needed."""
    return _Lazy(make)
