"""The codec's reading and writing of numbers, compiled once so that tests can call it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from gateways.fix import digits, write
from gateways.fix.compiled import PAD, entry


@entry
def _read(buffer: Any, length: int, out: Any) -> None:
    out[0] = digits.parse_int(buffer, 3, length)
    out[1], out[2] = digits.parse_decimal(buffer, 3, length)
    out[3] = digits.rescale(out[1], out[2], 8) if out[1] != digits.BAD else digits.BAD
    out[4] = digits.parse_timestamp(buffer, 3, length)
    out[5] = digits.parse_time(buffer, 3, length)
    out[6] = digits.parse_date(buffer, 3, length)


@entry
def _write(buffer: Any, number: int, places: int, time_places: int, ends: Any) -> None:
    ends[0] = write.put_decimal(buffer, 0, number, places)
    ends[1] = write.put_int(buffer, ends[0], number)
    ends[2] = write.put_padded(buffer, ends[1], abs(number), 18)
    ends[3] = write.put_timestamp(buffer, ends[2], abs(number), time_places)


@entry
def _frame(buffer: Any, source: Any, length: int) -> int:
    at = write.open_message(buffer, 5)
    at = write.put_bytes(buffer, at, source, 0, length)
    return write.close_message(buffer, 5, write.put_word(buffer, at, write.SOH_WORD, 1))


def read(text: bytes) -> list[int]:
    """As an int; a decimal and its places; that in units of 10^-8; nanoseconds since 1970, since midnight; days."""
    buffer = np.full(3 + len(text) + PAD, ord("9"), np.uint8)  # what lies around must not matter
    buffer[3 : 3 + len(text)] = np.frombuffer(text, np.uint8)
    out = np.zeros(7, np.int64)
    _read(buffer, len(text), out)
    return out.tolist()


def written(number: int, places: int, time_places: int) -> list[bytes]:
    """A number as a decimal, as an int, its absolute value as 18 digits, and as a time."""
    buffer = np.full(200 + PAD, 255, np.uint8)
    ends = np.zeros(4, np.int64)
    _write(buffer, number, places, time_places, ends)
    places_of = [0, *ends.tolist()]
    return [buffer[begin:end].tobytes() for begin, end in pairwise(places_of)]


def enframe(body: bytes) -> bytes:
    """A whole message around a body, to which a SOH is added."""
    buffer = np.full(len(body) + 100 + PAD, 255, np.uint8)
    source = np.full(len(body) + PAD, 254, np.uint8)
    source[: len(body)] = np.frombuffer(body, np.uint8)
    return buffer[5 : _frame(buffer, source, len(body))].tobytes()
