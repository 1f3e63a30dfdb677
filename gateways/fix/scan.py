"""Framing and tokenizing: where in the received bytes messages begin and end, and where their fields lie.

Invariants:
- no byte outside [start, end) of a span changes the outcome, so a stream gives the same messages however it was cut;
- every byte is looked at a bounded number of times: a candidate's fields are read only when its length led to a
  CheckSum;
- what is not a message is skipped up to the next plausible "8=FIX"; nothing is skipped silently: it has a row.
"""

from __future__ import annotations

from typing import Any, Final

from gateways.fix.compiled import constants, find64, has_byte, inlined, kernel, literal, load64, lowest_bit, pattern
from gateways.fix.tables import (
    F_LENGTH,
    F_OFFSET,
    F_PLACES,
    F_TAG,
    TAG_INVALID,
    TAG_MISSING,
    Status,
)

INCOMPLETE: Final = -1
"""More bytes must come."""
FRAME_MIN: Final = 12
"""Bytes of "8=FIX.4.4|9=", from which on the usual beginning is told apart in one look."""
BEGIN_STRING_MAX: Final = 12
"""Bytes of a BeginString."""
LENGTH_DIGITS_MAX: Final = 12
"""Digits of a BodyLength, leading zeros among them."""
TRAILER: Final = 7
"""Bytes of "10=nnn|"."""
TAG_DIGITS_MAX: Final = 9

OK: Final = Status.OK.value
BAD_BEGIN_STRING: Final = Status.BAD_BEGIN_STRING.value
JUNK: Final = Status.JUNK.value
GARBLED_LENGTH: Final = Status.GARBLED_LENGTH.value
GARBLED_CHECKSUM: Final = Status.GARBLED_CHECKSUM.value
GARBLED_ORDER: Final = Status.GARBLED_ORDER.value
GARBLED_SIZE: Final = Status.GARBLED_SIZE.value

_FIX: Final = literal(b"8=FIX")
_VERSION: Final = literal(b"8=FIX.4.")
_REST: Final = literal(b"4\x019=")
_TYPE: Final = literal(b"35=")
_CHECKSUM: Final = literal(b"10=")
_THREE: Final = (1 << 24) - 1
_FOUR: Final = (1 << 32) - 1
_BYTES: Final = 0x00FF00FF00FF00FF
_EQUALS: Final = pattern(ord("="))
_EQUAL: Final = ord("=")
_EIGHT: Final = ord("8")
_ZERO: Final = ord("0")
_NINE: Final = ord("9")
_SOH: Final = 1

LENGTH_TAGS: Final = {
    90: 91, 93: 89, 95: 96, 212: 213, 348: 349, 350: 351, 352: 353, 354: 355, 360: 361, 362: 363, 364: 365, 445: 446,
    618: 619, 621: 622,
}  # fmt: skip
"""Each field that counts the bytes of the data field after it."""
_DATA_TAGS_END: Final = 1024
DATA_TAG_OF: Final = constants([LENGTH_TAGS.get(tag, 0) for tag in range(_DATA_TAGS_END)])


@inlined
def checksum(buffer: Any, begin: int, end: int) -> int:
    """Return the sum of bytes modulo 256."""
    total = 0
    at = begin
    while end - at >= 8:
        block = min(at + 1024, end)  # the four counters of 16 bits hold the sums of so many bytes
        lanes = 0
        while block - at >= 8:
            word = load64(buffer, at)
            lanes += (word & _BYTES) + ((word >> 8) & _BYTES)
            at += 8
        total += (lanes & 0xFFFF) + ((lanes >> 16) & 0xFFFF) + ((lanes >> 32) & 0xFFFF) + ((lanes >> 48) & 0xFFFF)
    while at < end:
        total += int(buffer[at])
        at += 1
    return total & 0xFF


@kernel
def resync(buffer: Any, at: int, end: int) -> int:
    """Return where from an index on the next "8=FIX" begins, or its beginning cut off by the end, or the end."""
    while at < end:
        if buffer[at] == _EIGHT:
            rest = min(end - at, 5)
            mask = (1 << (8 * rest)) - 1
            if load64(buffer, at) & mask == _FIX & mask:
                return at
        at += 1
    return end


@kernel
def _begin(buffer: Any, at: int, end: int) -> tuple[int, int]:
    """Return (status, where the digits of BodyLength begin) of a message that begins in any way but the usual one."""
    rest = min(end - at, 5)
    mask = (1 << (8 * rest)) - 1
    if load64(buffer, at) & mask != _FIX & mask:
        return JUNK, at
    stop = at + 2
    while stop < end and buffer[stop] != _SOH and stop - at - 2 <= BEGIN_STRING_MAX:
        stop += 1
    if stop - at - 2 > BEGIN_STRING_MAX:
        return JUNK, at
    if stop + 3 > end:
        if stop + 2 == end and buffer[stop + 1] != _NINE:
            return GARBLED_LENGTH, at
        return INCOMPLETE, at
    if buffer[stop + 1] != _NINE or buffer[stop + 2] != _EQUAL:
        return GARBLED_LENGTH, at
    same = stop - at == 9 and load64(buffer, at) == _VERSION and buffer[at + 8] == _REST & 0xFF
    return (OK if same else BAD_BEGIN_STRING), stop + 3


@inlined
def frame(buffer: Any, at: int, end: int, bytes_max: int) -> tuple[int, int, int]:
    """Return (status, where the body begins, where the message ends) of what begins at an index.

    INCOMPLETE: more bytes must come. When garbled, the "end" is from where on to look for the next message.
    """
    if end - at >= FRAME_MIN and load64(buffer, at) == _VERSION and load64(buffer, at + 8) & _FOUR == _REST:
        status, digit_at = OK, at + FRAME_MIN
    else:
        status, digit_at = _begin(buffer, at, end)
        if status == INCOMPLETE or status >= JUNK:
            return status, at, at + 1
    length = 0
    body = digit_at
    while True:
        if body - digit_at > LENGTH_DIGITS_MAX:
            return GARBLED_LENGTH, at, at + 1
        if body >= end:
            return INCOMPLETE, at, at
        digit = int(buffer[body]) - _ZERO
        body += 1
        if digit < 0 or digit > 9:
            break
        length = length * 10 + digit
    if buffer[body - 1] != _SOH or body - digit_at < 2:
        return GARBLED_LENGTH, at, at + 1
    trailer = body + length
    if trailer + TRAILER - at > bytes_max:
        return GARBLED_SIZE, at, at + 1
    known = min(end - body, 3)
    mask = (1 << (8 * known)) - 1
    if load64(buffer, body) & mask != _TYPE & mask:
        return GARBLED_ORDER, at, at + 1
    if trailer + TRAILER > end:
        return INCOMPLETE, at, at
    if load64(buffer, trailer) & _THREE != _CHECKSUM or buffer[trailer + 6] != _SOH or buffer[trailer - 1] != _SOH:
        return GARBLED_LENGTH, at, at + 1
    number = _three_digits(buffer, trailer + 3)
    if number != checksum(buffer, at, trailer):
        return GARBLED_CHECKSUM, at, trailer + TRAILER
    return status, body, trailer + TRAILER


@inlined
def _three_digits(buffer: Any, at: int) -> int:
    """Return the number that exactly three digits spell, or -1."""
    first, second, third = int(buffer[at]) - _ZERO, int(buffer[at + 1]) - _ZERO, int(buffer[at + 2]) - _ZERO
    if min(first, second, third) < 0 or max(first, second, third) > 9:
        return -1
    return first * 100 + second * 10 + third


@kernel
def _long_tag(buffer: Any, at: int, end: int) -> tuple[int, int]:
    """Return (tag, bytes up to and with the equals sign) of a field whose tag is not 1 to 4 plain digits."""
    stop = at
    while stop < end and buffer[stop] != _EQUAL:
        stop += 1
    if stop == end:
        return TAG_MISSING, 0
    length = stop - at
    tag = 0 if 0 < length <= TAG_DIGITS_MAX and buffer[at] != _ZERO else TAG_INVALID
    while at < stop and tag != TAG_INVALID:
        digit = int(buffer[at]) - _ZERO
        tag = tag * 10 + digit if 0 <= digit <= 9 else TAG_INVALID
        at += 1
    return tag, length + 1


@inlined
def tokenize(buffer: Any, begin: int, end: int, fields: Any, first: int) -> int:
    """Write the fields of a body [begin, end), whose last byte is SOH, from row `first` on; the row after the last."""
    base = begin
    found = find64(buffer, base)
    at = begin
    row = first
    data_tag = 0  # the data field that must follow, and its bytes
    data_length = 0
    while at < end:
        while found == 0:
            base += 64
            found = find64(buffer, base)
        stop = base + lowest_bit(found)
        found &= found - 1
        word = load64(buffer, at)
        equals = has_byte(word, _EQUALS)
        width = lowest_bit(equals) >> 3 if equals != 0 else 0
        up = 32 - 8 * width
        digits = ((word & _FOUR) << up & _FOUR) ^ (0x30303030 << up & _FOUR) if 1 <= width <= 4 else _FOUR
        if ((digits + 0x76767676) | digits) & 0x80808080 or word & 0xFF == _ZERO:
            tag, width = _long_tag(buffer, at, stop)
        else:
            pairs = (digits * 10 + (digits >> 8)) & 0x00FF00FF
            tag = (pairs & 0xFF) * 100 + (pairs >> 16)
            width += 1
        value = at + width
        if data_tag != 0 and tag == data_tag and data_length < end - value and buffer[value + data_length] == _SOH:
            stop = value + data_length
            base = stop + 1
            found = find64(buffer, base)
        fields[row, F_TAG] = tag
        fields[row, F_OFFSET] = value
        fields[row, F_LENGTH] = stop - value
        fields[row, F_PLACES] = 0
        data_tag = DATA_TAG_OF[tag] if 0 < tag < _DATA_TAGS_END else 0
        if data_tag != 0:
            data_length = _short_number(buffer, value, stop)
        row += 1
        at = stop + 1
    return row


@kernel
def _short_number(buffer: Any, at: int, end: int) -> int:
    """Return the number that digits spell; one beyond any message's size when they are too many or none."""
    number = 0 if 0 < end - at <= TAG_DIGITS_MAX else 1 << 30
    while at < end and number < 1 << 30:
        digit = int(buffer[at]) - _ZERO
        number = number * 10 + digit if 0 <= digit <= 9 else 1 << 30
        at += 1
    return number
