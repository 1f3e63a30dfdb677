"""BLAKE3 of one short text in compiled code: the hash of a client order id, as `kk99.build.client_id_hash` has it.

Source: the BLAKE3 specification; a text of at most 64 bytes is one block, which is chunk and root at once.
"""

from __future__ import annotations

from typing import Any, Final

from gateways.fix.compiled import inlined, kernel, load64, plain_int, shift_left

TEXT_BYTES_MAX: Final = 64
_MASK: Final = 0xFFFFFFFF
_IV: Final = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
_FLAGS: Final = 1 | 2 | 8
"""CHUNK_START, CHUNK_END, ROOT."""
_ROUNDS: Final = 7

Words = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int]


@inlined
def _mix(a: int, b: int, c: int, d: int, first: int, second: int) -> tuple[int, int, int, int]:
    a = (a + b + first) & _MASK
    d ^= a
    d = (d >> 16 | d << 16) & _MASK
    c = (c + d) & _MASK
    b ^= c
    b = (b >> 12 | b << 20) & _MASK
    a = (a + b + second) & _MASK
    d ^= a
    d = (d >> 8 | d << 24) & _MASK
    c = (c + d) & _MASK
    b ^= c
    b = (b >> 7 | b << 25) & _MASK
    return a, b, c, d


@inlined
def _round(v: Words, m: Words) -> Words:
    """Mix the columns, then the diagonals."""
    a0, b0, c0, d0 = _mix(v[0], v[4], v[8], v[12], m[0], m[1])
    a1, b1, c1, d1 = _mix(v[1], v[5], v[9], v[13], m[2], m[3])
    a2, b2, c2, d2 = _mix(v[2], v[6], v[10], v[14], m[4], m[5])
    a3, b3, c3, d3 = _mix(v[3], v[7], v[11], v[15], m[6], m[7])
    a0, b1, c2, d3 = _mix(a0, b1, c2, d3, m[8], m[9])
    a1, b2, c3, d0 = _mix(a1, b2, c3, d0, m[10], m[11])
    a2, b3, c0, d1 = _mix(a2, b3, c0, d1, m[12], m[13])
    a3, b0, c1, d2 = _mix(a3, b0, c1, d2, m[14], m[15])
    return a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3


@inlined
def _permuted(m: Words) -> Words:
    return m[2], m[6], m[3], m[10], m[7], m[0], m[4], m[13], m[1], m[11], m[12], m[5], m[9], m[14], m[15], m[8]


@inlined
def _word(buffer: Any, at: int, length: int, begin: int) -> int:
    """Return the eight bytes of a text from one on; those beyond its end are zero."""
    rest = length - begin
    if rest <= 0:
        return 0
    word = load64(buffer, at + begin)
    return word if rest >= 8 else word & (shift_left(plain_int(1), 8 * rest) - 1)


@kernel
def hash_text(buffer: Any, at: int, length: int) -> tuple[int, int]:
    """Return (low, high) of the BLAKE3-128 of 1 to TEXT_BYTES_MAX bytes as signed words; never (0, 0)."""
    w0, w1, w2, w3 = (
        _word(buffer, at, length, plain_int(0)), _word(buffer, at, length, plain_int(8)),
        _word(buffer, at, length, plain_int(16)), _word(buffer, at, length, plain_int(24)),
    )  # fmt: skip
    w4, w5, w6, w7 = (
        _word(buffer, at, length, plain_int(32)), _word(buffer, at, length, plain_int(40)),
        _word(buffer, at, length, plain_int(48)), _word(buffer, at, length, plain_int(56)),
    )  # fmt: skip
    m = (
        w0 & _MASK, (w0 >> 32) & _MASK, w1 & _MASK, (w1 >> 32) & _MASK, w2 & _MASK, (w2 >> 32) & _MASK, w3 & _MASK,
        (w3 >> 32) & _MASK, w4 & _MASK, (w4 >> 32) & _MASK, w5 & _MASK, (w5 >> 32) & _MASK, w6 & _MASK,
        (w6 >> 32) & _MASK, w7 & _MASK, (w7 >> 32) & _MASK,
    )  # fmt: skip
    i = plain_int(0)
    v = (
        _IV[0] + i, _IV[1] + i, _IV[2] + i, _IV[3] + i, _IV[4] + i, _IV[5] + i, _IV[6] + i, _IV[7] + i,
        _IV[0] + i, _IV[1] + i, _IV[2] + i, _IV[3] + i, i, i, length + i, _FLAGS + i,
    )  # fmt: skip
    for _ in range(_ROUNDS):
        v = _round(v, m)
        m = _permuted(m)
    low = (v[0] ^ v[8]) | shift_left(v[1] ^ v[9], 32)
    high = (v[2] ^ v[10]) | shift_left(v[3] ^ v[11], 32)
    return (low, high) if low != 0 or high != 0 else (low + 1, high)
