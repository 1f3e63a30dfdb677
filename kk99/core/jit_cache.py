"""The cache of compiled kernels, which can't be stale.

numba's own cache looks at the file of the function that was compiled, not at what that function calls. So each
state of the core's sources, of the schema, of the versions and of the processor gets a folder of its own, named by
their digest.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_KEEP: Final = 4
"""Folders of that many states of the sources are kept, the latest used."""


def _root() -> Path:
    """Return the folder of all caches: KK99_CACHE_DIR, else the user's cache folder, else a private temporary one."""
    chosen = os.environ.get("KK99_CACHE_DIR") or os.environ.get("CACHE_DIRECTORY")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
    root = Path(home) / "kk99"
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir()) / f"kk99-{os.getuid()}"
    return root


def digest(lane: str) -> str:
    """Return the digest of all that decides the compiled code."""
    above = Path(__file__).parent.parent
    sources = [*sorted(Path(__file__).parent.glob("*.py")), above / "schema.py", above / "codes.py"]
    state = hashlib.sha256(f"{lane} {platform.machine()} {platform.python_version()}".encode())
    for package in ("numba", "llvmlite", "numpy"):
        state.update(metadata.version(package).encode())
    for source in sources:
        state.update(source.name.encode() + source.read_bytes())
    return state.hexdigest()[:24]


def prepare(lane: str) -> Path:
    """Point numba's cache at the folder of this state of the sources, drop folders long unused, return the folder."""
    root = _root()
    folder = root / f"jit-{digest(lane)}"
    if lane == "python":
        return folder
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.utime(folder)
    import numba  # noqa: PLC0415 - the python lane must not pay for importing it

    numba.config.CACHE_DIR = str(folder)
    others = sorted(root.glob("jit-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in others[_KEEP:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


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
