"""Folders of compiled code, which can't be stale: one for each state of the sources that it was compiled from.

numba's own cache looks at the file of the function that was compiled, not at what that function calls. So each state
of a package's sources, of the schema, of the versions and of the processor gets a folder of its own, named by their
digest.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEEP: Final = 4
"""Folders of that many states of a package's sources are kept, the latest used."""
_SHARED: Final = ("schema.py", "codes.py")
"""What every compiled package reads its numbers from."""


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


def _digest(lane: str, package: Path, modules: Iterable[str]) -> str:
    """Return the digest of all that decides a package's compiled code: of some modules, or of all."""
    own = [package / f"{name}.py" for name in sorted(modules)] or sorted(package.glob("*.py"))
    sources = [*own, *[Path(__file__).parent / name for name in _SHARED]]
    state = hashlib.sha256(f"{lane} {platform.machine()} {platform.python_version()}".encode())
    for library in ("numba", "llvmlite", "numpy"):
        state.update(metadata.version(library).encode())
    for source in sources:
        state.update(source.name.encode() + source.read_bytes())
    return state.hexdigest()[:24]


def folder_of(name: str, lane: str, package: Path, modules: Iterable[str] = ()) -> Path:
    """Return the folder for what a lane compiles of a package (its folder), made if need be; others long unused go.

    `modules` are those that decide what is compiled, by default all of the package.
    """
    root = _root()
    folder = root / f"{name}-{_digest(lane, package, modules)}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.utime(folder)
    others = sorted(root.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in others[_KEEP:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder
