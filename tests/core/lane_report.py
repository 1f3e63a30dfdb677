"""Run as a program in a lane (KK99_LANE): print as JSON what that lane makes of logs and of the memory's primitives.

Imported, it gives these reports of all three lanes, each run once a session, the slow ones beside one another.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

LANES: Final = ("jit", "checked", "python")
LOGS: Final = (
    "scripted",
    "generated-1",
    "generated-2",
    "mix-1",
    "mix-2",
    "mix-3",
    "settling-1",
    "normal_s23_n20000:3000",
)
COPIES: Final = (("scripted", 1, 1 << 24), ("generated-1", 1, 3), ("generated-2", 4, 25))
"""Log, rows of a batch, orders copied after each batch."""
EDGES: Final = (0, 1, 2, 63, 64, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 62, (1 << 63) - 1, -(1 << 63), -1)
HALVES: Final = (0, 1, -1, (1 << 31) - 1, -(1 << 31), 1 << 30)
PLACES: Final = (0, 1, 31, 32, 62, 63)
SALT: Final = 0x5DEECE66D
RESULTS: Final = 24


def triples() -> list[tuple[int, int, int]]:
    """Words, halves and bit indexes at their edges, each with each."""
    return [(word, half, place) for word in EDGES for half in HALVES for place in PLACES]


@functools.cache
def reports() -> dict[str, Any]:
    """The report of each lane."""
    started = {}
    for lane in LANES:
        command = [sys.executable, "-m", "tests.core.lane_report"]
        environment = os.environ | {"KK99_LANE": lane}
        folder = Path(__file__).parents[2]
        started[lane] = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE)
    result = {}
    for lane, process in started.items():
        output, _ = process.communicate(timeout=580)
        assert process.returncode == 0, f"the {lane} lane ended with {process.returncode}"
        result[lane] = json.loads(output)
    return result


def _primitives() -> list[list[int]]:
    """What the lane's primitives make of the triples: a row of results for each."""
    from kk99.core.memory import (
        add,
        bit,
        bits_above,
        bits_below,
        entry,
        high,
        highest_bit,
        load,
        load_half,
        load_high,
        load_low,
        low,
        lowest_bit,
        mix,
        pair,
        store,
        store_half,
        store_high,
        store_low,
    )
    from kk99.core.state import Lent

    def probe(m: Any, out: Any, count: int) -> int:
        for number in range(count):
            word = load(m, number * 3)
            half = load(m, number * 3 + 1)
            place = load(m, number * 3 + 2)
            at = number * 24
            store(out, at, low(word))
            store(out, at + 1, high(word))
            store(out, at + 2, pair(half, place))
            store(out, at + 3, pair(place, half))
            store(out, at + 4, mix(word, half, place, 0x5DEECE66D))
            store(out, at + 5, mix(half, word, -1 - place, -1))
            store(out, at + 6, lowest_bit(word) if word != 0 else -1)
            store(out, at + 7, highest_bit(word) if word != 0 else -1)
            store(out, at + 8, bit(place))
            store(out, at + 9, bits_above(word, place))
            store(out, at + 10, bits_below(word, place))
            store(out, at + 11, load_low(m, number * 3))
            store(out, at + 12, load_high(m, number * 3))
            store(out, at + 13, word)
            store_low(out, at + 13, half)
            store(out, at + 14, word)
            store_high(out, at + 14, half)
            store(out, at + 15, word)
            store_half(out, at, 30, half)
            store(out, at + 16, word)
            store_half(out, at, 33, half)
            store(out, at + 17, load_half(m, number * 3, 0))
            store(out, at + 18, load_half(m, number * 3, 1))
            store(out, at + 19, load_half(m, number * 3, 3))
            store(out, at + 20, word >> 1)
            add(out, at + 20, half)
            store(out, at + 21, word & ~bit(place))
            store(out, at + 22, (word >> 1) // 1_000_000)
            store(out, at + 23, (word >> 1) % 1_000_000)
        return count

    given = Lent(np.array(triples(), np.int64).reshape(-1))
    count = len(given.words) // 3
    out = Lent(np.zeros(count * RESULTS, np.int64))
    assert entry(probe)(given.handle, out.handle, count) == count
    rows: list[list[int]] = out.words.reshape(-1, RESULTS).tolist()
    return rows


def _report() -> dict[str, Any]:
    from kk99.machine import Machine
    from tests.core import copies, logs

    made = [list(copies.copies(Machine(), logs.log(name), *counts)) for name, *counts in COPIES]
    return {"primitives": _primitives(), "copies": made} | {name: logs.hashes(name, Machine) for name in LOGS}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_report()))
