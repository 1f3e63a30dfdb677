"""The memory's primitives do in every lane what their sentences say, at the edges of words, halves and bits."""

import pytest

from tests.core.lane_report import LANES, RESULTS, SALT, reports, triples

pytestmark = [pytest.mark.xdist_group("lanes"), pytest.mark.timeout(600)]
WORD = 1 << 64


def signed(value, bits=64):
    """The value as a signed number of so many bits."""
    value %= 1 << bits
    return value - (1 << bits) if value >> (bits - 1) else value


def mixed(first, second, third, salt):
    """31 bits mixed of three words and a salt, on numbers without end."""
    spread = 0x9E3779B97F4A7C1
    product = (first ^ salt) % WORD * ((second ^ third * spread ^ salt * spread) % WORD)
    return (product ^ product >> 64) >> 20 & 0x7FFFFFFF


def joined(low, high):
    """The word with these halves."""
    return signed(low % (1 << 32) | high << 32)


def expected(word, half, place):
    """What the primitives should make of a word, a half and the index of a bit."""
    bits = word % WORD
    low, high = signed(word, 32), word >> 32
    return [
        low,
        high,
        joined(half, place),
        joined(place, half),
        mixed(word, half, place, SALT),
        mixed(half, word, -1 - place, -1),
        (bits & -bits).bit_length() - 1,
        bits.bit_length() - 1,
        signed(1 << place),
        signed(bits >> (place + 1) << (place + 1)),
        signed(bits & ((1 << place) - 1)),
        low,
        high,
        joined(half, high),
        joined(low, half),
        joined(half, high),
        joined(low, half),
        low,
        high,
        signed(half >> 32, 32),
        (word >> 1) + half,
        signed(bits & ~(1 << place)),
        (word >> 1) // 1_000_000,
        (word >> 1) % 1_000_000,
    ]


@pytest.mark.parametrize("lane", LANES)
def test_primitives_are_exact_at_every_edge(lane):
    """Each result of each edge value is what arithmetic without bounds says."""
    results = reports()[lane]["primitives"]
    assert len(results) == len(triples())
    for values, ours in zip(triples(), results, strict=True):
        wanted = expected(*values)
        assert len(wanted) == RESULTS
        assert ours == wanted, values
