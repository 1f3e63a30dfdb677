"""`kk99 bench startup`: from `kk99 engine` on an empty venue to ready, with compiled kernels at hand and without."""

from __future__ import annotations

import os
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Final

from kk99.bench.load import Engine
from kk99.bench.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kk99.bench.options import Options

BENCH: Final = "startup"
WARM_STARTS: Final = 5
_CACHE: Final = "KK99_CACHE_DIR"


def run(options: Options) -> list[Result]:
    """Return every figure of the bench; a quick run does not compile, so it has no cold start."""
    _start(options)  # compiles, if nothing has yet
    warm = [_start(options) for _ in range(options.pick(WARM_STARTS, 1))]
    cold = None
    if options.quick:
        options.say("no cold start in a quick run")
    else:
        options.say("a cold start: it compiles everything")
        with options.folder() as cache, _cache(cache):
            cold = _start(options)
    return [Result(BENCH, "warm.seconds", median(warm), "s"), Result(BENCH, "cold.seconds", cold, "s")]


def _start(options: Options) -> float:
    """Start an engine on an empty venue and stop it; the seconds until it was ready."""
    with options.folder() as folder, Engine(folder, snapshot_commands=0) as engine:
        return engine.start()


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """Have processes started meanwhile keep their compiled kernels in a folder."""
    before = os.environ.get(_CACHE)
    os.environ[_CACHE] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(_CACHE)
        if before is not None:
            os.environ[_CACHE] = before
