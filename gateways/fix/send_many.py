"""Reports that were made, as messages with their numbers and as rows of the index, in one compiled call.

Invariant: the bytes are those of `codec.encode`, and of `index.Index`, for the same report, number and time.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

import numpy as np

from gateways.fix import report_write as rw
from gateways.fix.compiled import PAD, constants, entry, kernel, literal, plain_int, store64
from gateways.fix.write import close_message, open_message, put_bytes, put_timestamp, put_uint

ROW_BYTES: Final = 36
"""Of the index: number, cause_seq, sending time, event's index, part, flags, CRC-32; little-endian."""
HEAD_BYTES_MAX: Final = 256
"""What a message has beside its body."""

_TYPE: Final = literal(b"35=")
_SEQ: Final = literal(b"\x0134=")
_RESEND: Final = literal(b"97=Y\x01")
_LOW: Final = 0xFFFFFFFF
_POLYNOMIAL: Final = 0xEDB88320


def _crc_tables() -> list[int]:
    first = []
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = rest >> 1 ^ (_POLYNOMIAL if rest & 1 else 0)
        first.append(rest)
    tables = [first]
    for _ in range(7):
        tables.append([before >> 8 ^ first[before & 0xFF] for before in tables[-1]])
    return [value for table in tables for value in table]


CRC: Final = constants(_crc_tables())
"""What each byte of eight adds to the remainder: 8 tables of 256, the last byte's first."""
assert CRC[ord("a") ^ 0xFF] ^ 0x00FFFFFF ^ _LOW == zlib.crc32(b"a")


@kernel
def _crc(crc: int, word: int) -> int:
    """Return the remainder with eight bytes more."""
    first, second = (word & _LOW) ^ crc, (word >> 32) & _LOW
    return int(
        CRC[7 * 256 + (first & 0xFF)]
        ^ CRC[6 * 256 + (first >> 8 & 0xFF)]
        ^ CRC[5 * 256 + (first >> 16 & 0xFF)]
        ^ CRC[4 * 256 + (first >> 24)]
        ^ CRC[3 * 256 + (second & 0xFF)]
        ^ CRC[2 * 256 + (second >> 8 & 0xFF)]
        ^ CRC[256 + (second >> 16 & 0xFF)]
        ^ CRC[second >> 24]
    )


@kernel
def _put_row(index: Any, at: int, number: int, seq: int, sending_ns: int, rest: int) -> None:
    """Write a row of the index; `rest` is the event's index, part and flags."""
    store64(index, at, number)
    store64(index, at + 8, seq)
    store64(index, at + 16, sending_ns)
    store64(index, at + 24, rest)
    crc = _crc(_crc(_crc(_crc(plain_int(_LOW), number), seq), sending_ns), rest) ^ _LOW
    store64(index, at + 32, crc)


@entry
def send_many(
    rows: Any, data: Any, first: int, count: int, names: Any, sizes: Any, number: int, now_ns: int, doubt: Any,
    out: Any, index: Any,
) -> int:  # fmt: skip
    """Write messages of the reports [first, first + count) and their index rows; return where the messages end.

    Args:
        rows: int64[n, R_WORDS] of `report_write`, with their bodies in `data`, uint8.
        first: the first of them.
        count: how many.
        names: uint8, the header's fields from 49 up to 52=, then from 56 on; PAD bytes longer.
        sizes: int64[3]: bytes of these two, decimal places of times.
        number: MsgSeqNum of the first.
        now_ns: SendingTime.
        doubt: int64[3]: reports up to this place may have been sent before: 97=Y.
        out: uint8, with HEAD_BYTES_MAX bytes more for each message than their bodies have.
        index: uint8[ROW_BYTES * count + PAD].

    """
    at = plain_int(0)
    for step in range(count):
        row = rows[first + step]
        begin, seq, event_index, part = at, row[rw.R_SEQ], row[rw.R_INDEX], row[rw.R_PART]
        at = open_message(out, begin)
        kind = row[rw.R_TYPE]
        store64(out, at, _TYPE | kind << 24)
        at += 4 if kind < 256 else 5
        store64(out, at, _SEQ)
        at = put_uint(out, at + 4, number + step)
        at = put_bytes(out, at, names, plain_int(0), sizes[0])
        at = put_timestamp(out, at, now_ns, sizes[2])
        at = put_bytes(out, at, names, sizes[0], sizes[1])
        is_doubted = seq < doubt[0]
        if seq == doubt[0]:
            is_doubted = event_index < doubt[1] or (event_index == doubt[1] and part <= doubt[2])
        if is_doubted:
            store64(out, at, _RESEND)
            at += 5
        at = put_bytes(out, at, data, row[rw.R_OFFSET], row[rw.R_LENGTH])
        at = close_message(out, begin, at)
        rest = event_index | part << 32 | (1 << 48 if is_doubted else 0)
        _put_row(index, ROW_BYTES * step, number + step, seq, now_ns, rest)
    return int(at)


def names_of(sender: str, target: str) -> tuple[np.ndarray[Any, Any], int, int]:
    """Return `names`, and the bytes of its two parts."""
    first, second = f"\x0149={sender}\x0152=".encode("latin-1"), f"\x0156={target}\x01".encode("latin-1")
    names = np.frombuffer(first + second + bytes(PAD), np.uint8).copy()
    return names, len(first), len(second)


def warm_up() -> None:
    """Have it compiled, the first time for some seconds."""
    names, first, second = names_of("A", "B")
    sizes, doubt = np.array([first, second, 3], np.int64), np.zeros(3, np.int64)
    rows, data = np.zeros((0, rw.R_WORDS), np.int64), np.zeros(PAD, np.uint8)
    send_many(rows, data, 0, 0, names, sizes, 1, 0, doubt, data, data)
