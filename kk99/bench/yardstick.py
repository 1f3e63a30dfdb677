"""Builds the C++ yardstick and runs flows through it.

Invariants: the binary is keyed by its source, flags, compiler and host, and appears in the cache folder at once or
not at all; where there is no compiler or no source, the answer is a YardstickUnavailable with the reason, never an
exception; a yardstick that fails on a flow is an error.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kk99.bench.workloads.flow import FLOW, FlowRows

if TYPE_CHECKING:
    from collections.abc import Iterable

REPOSITORY: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = REPOSITORY / "tests" / "bench" / "yardstick.cpp"
CACHE_FOLDER: Final = REPOSITORY / "var" / "bench"
COMPILER: Final = "g++"
FLAGS: Final = ("-std=c++17", "-O3", "-march=native")
CHUNKS: Final = 10

HASH_START: Final = 0xCBF29CE484222325
HASH_FACTOR: Final = 0x100000001B3
WORD: Final = 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True, slots=True)
class YardstickResult:
    """What the yardstick did with the timed rows of a flow, and how long it took."""

    command_count: int
    seconds: float
    chunk_seconds: tuple[float, ...]
    """The same time in equal parts of the flow, in order."""
    trade_count: int
    traded_qty_lots: int
    trade_hash: int
    """See trade_hash()."""
    rejected_count: int
    """NEW with a live id; CANCEL or REPLACE of an order that does not rest."""
    resting_count: int

    @property
    def command_ns(self) -> float:
        """Nanoseconds per command."""
        return self.seconds * 1e9 / self.command_count if self.command_count else 0.0

    @property
    def chunk_command_ns(self) -> tuple[float, ...]:
        """Nanoseconds per command in each chunk, chunks being equal but for rounding."""
        scale = 1e9 * len(self.chunk_seconds) / max(self.command_count, 1)
        return tuple(seconds * scale for seconds in self.chunk_seconds)


@dataclass(frozen=True, slots=True)
class YardstickUnavailable:
    """There is no yardstick on this machine, and why."""

    reason: str


def trade_hash(trades: Iterable[tuple[int, int, int, int, int]]) -> int:
    """The 64-bit hash of (instrument, price_ticks, qty_lots, maker id, taker id) in match order.

    FNV-1a over 64-bit words in two's complement, the high half folded down after each word.
    """
    value = HASH_START
    for trade in trades:
        for word in trade:
            value = ((value ^ (word & WORD)) * HASH_FACTOR) & WORD
            value ^= value >> 32
    return value


def build_yardstick(cache_folder: Path = CACHE_FOLDER) -> Path | YardstickUnavailable:
    """The path of the compiled yardstick, built when the cache folder does not have it."""
    compiler = shutil.which(COMPILER)
    if compiler is None:
        return YardstickUnavailable(f"there is no {COMPILER} on this machine")
    if not SOURCE.exists():
        return YardstickUnavailable(f"{SOURCE} is only in a checkout")
    source = SOURCE.read_bytes()
    version = _run(compiler, "--version").stdout
    key = hashlib.sha256("\0".join([source.decode(), *FLAGS, version, platform.node()]).encode()).hexdigest()
    binary = cache_folder / f"yardstick-{key[:16]}"
    if binary.exists():
        return binary
    cache_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder) as folder:
        fresh = Path(folder) / "yardstick"
        built = _run(compiler, *FLAGS, "-o", str(fresh), str(SOURCE))
        if built.returncode != 0:
            return YardstickUnavailable(f"{COMPILER} cannot build {SOURCE.name}: {built.stderr.strip()}")
        fresh.replace(binary)
    return binary


def run_yardstick(
    setup: FlowRows,
    timed: FlowRows,
    *,
    resting_count_hint: int = 1_024,
    chunk_count: int = CHUNKS,
    cache_folder: Path = CACHE_FOLDER,
) -> YardstickResult | YardstickUnavailable:
    """Run `setup` untimed, then `timed` (both one-dimensional arrays of FLOW) through the yardstick."""
    assert setup.dtype == FLOW, f"setup rows are {setup.dtype}, not FLOW"
    assert timed.dtype == FLOW, f"timed rows are {timed.dtype}, not FLOW"
    binary = build_yardstick(cache_folder)
    if isinstance(binary, YardstickUnavailable):
        return binary
    with tempfile.TemporaryDirectory(dir=cache_folder) as folder:
        path = Path(folder) / "flow.bin"
        with path.open("wb") as file:
            file.write(len(setup).to_bytes(8, "little") + len(timed).to_bytes(8, "little"))
            setup.tofile(file)
            timed.tofile(file)
        ran = _run(str(binary), str(path), str(chunk_count), str(resting_count_hint))
    if ran.returncode != 0:
        raise RuntimeError(f"the yardstick stopped with {ran.returncode}: {ran.stderr.strip()}")
    figures = json.loads(ran.stdout)
    return YardstickResult(
        command_count=figures["commands"],
        seconds=figures["seconds"],
        chunk_seconds=tuple(figures["chunk_seconds"]),
        trade_count=figures["trades"],
        traded_qty_lots=figures["traded_qty"],
        trade_hash=int(figures["hash"], 16),
        rejected_count=figures["rejected"],
        resting_count=figures["resting"],
    )


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours to its end and keep what it says."""
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed programs, no shell
