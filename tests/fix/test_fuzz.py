"""A seeded slice of what the fuzzer does for hours: no bytes crash, hang or fatten the codec and the session."""

import random
import time
import tracemalloc

import pytest

from tests.fix.fuzz_targets import SEEDS, TARGETS

CASES = 400
CASE_S = 5.0
"""Far more than any input takes, also on a slow machine."""
GROWTH_BYTES = 256 << 10
INTERESTING = (
    b"\x01",
    b"=",
    b"10=000\x01",
    b"\n",
    b"35=",
    b"34=",
    b"9=",
    b"-1",
    b"\xff",
    b"0",
    b"43=Y\x01",
    b"8=FIX.4.4\x01",
)


def mutated(chance, seed):
    """A seed with some bytes changed, cut out, doubled or put in."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data) + 1)
        change = chance.randrange(4)
        if change == 0 and at < len(data):
            data[at] = chance.randrange(256)
        elif change == 1:
            del data[at : at + chance.randint(1, 12)]
        elif change == 2:
            data[at:at] = data[at : at + chance.randint(1, 24)]
        else:
            data[at:at] = chance.choice(INTERESTING)
    return bytes(data)


def cases(name, count):
    """Inputs of a target: mutated seeds, and some of bytes that mean nothing."""
    chance = random.Random(f"{name} 1")
    for number in range(count):
        yield (
            chance.randbytes(chance.randint(0, 300)) if number % 8 == 0 else mutated(chance, chance.choice(SEEDS[name]))
        )


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_crashes_or_hangs(name):
    """Each input is taken, with all that must hold of it, in time."""
    target = TARGETS[name]
    for seed in SEEDS[name]:
        target(seed)
    for data in cases(name, CASES):
        begun = time.monotonic()
        target(data)
        assert time.monotonic() - begun < CASE_S, data


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_leaves_memory_behind(name):
    """After hundreds of inputs no more is kept than after the first hundreds."""
    target, inputs = TARGETS[name], list(cases(name, CASES // 2))
    for data in inputs:
        target(data)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for data in inputs:
            target(data)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < GROWTH_BYTES
