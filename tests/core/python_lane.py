"""The core's modules once more, in the python lane, beside the compiled ones: a test calls function by function."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from types import SimpleNamespace

MODULES = (
    "layout", "memory", "ladder", "index", "timers", "auction", "matching", "breaker_layout", "watching", "sampling",
    "linked", "obligations", "phases", "apply", "state", "image", "define",
)  # fmt: skip


@functools.cache
def python_lane() -> SimpleNamespace:
    """The modules by their names, and `machine`; the ones that everybody else imports stay as they are."""
    import kk99
    import kk99.core
    import kk99.machine

    packages = {"core": kk99.core, "machine": kk99.machine}
    kept = {name: module for name, module in sys.modules.items() if name == "kk99.machine" or _is_core(name)}
    lane = os.environ.get("KK99_LANE")
    for name in kept:
        del sys.modules[name]
    os.environ["KK99_LANE"] = "python"
    try:
        found = {name: importlib.import_module(f"kk99.core.{name}") for name in MODULES}
        found["machine"] = importlib.import_module("kk99.machine")
    finally:
        for name in [name for name in sys.modules if _is_core(name)]:
            del sys.modules[name]
        sys.modules.update(kept)
        for name, module in packages.items():
            setattr(kk99, name, module)
        os.environ.pop("KK99_LANE")
        if lane is not None:
            os.environ["KK99_LANE"] = lane
    assert found["memory"].LANE == "python"
    return SimpleNamespace(**found)


def _is_core(name: str) -> bool:
    return name == "kk99.core" or name.startswith("kk99.core.")
