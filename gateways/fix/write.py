r"""Writing into a send buffer: literals, numbers, times, and the frame around a message, for compiled loops.

Each `put` writes at an index and returns the index after what it wrote. It may write up to 8 bytes more than that,
which the next `put` overwrites: so a buffer needs PAD bytes beyond the longest message, and whoever fills it checks
for room first.

    begin = at
    at = open_message(buffer, begin)
    at = put_word(buffer, at, literal(b"35=8\x0134="), 8)
    at = put_uint(buffer, at, seq)
    ...
    at = close_message(buffer, begin, put_word(buffer, at, SOH_WORD, 1))
"""

from __future__ import annotations

from typing import Any, Final

from gateways.fix.compiled import inlined, kernel, literal, load64, lowest_bit, store64
from gateways.fix.digits import DAY_NS, POWERS
from gateways.fix.scan import checksum

SOH_WORD: Final = 1
HEAD: Final = literal(b"8=FIX.4.")
HEAD_REST: Final = literal(b"4\x019=000\x01")
HEAD_BYTES: Final = 16
"""Bytes before the body when BodyLength has three digits, as it nearly always has."""
TRAILER_BYTES: Final = 7

_CHECKSUM: Final = literal(b"10=")
_ASCII: Final = 0x3030303030303030
_TENS_OF_THOUSANDS: Final = 0x0000007F0000007F
_TENS: Final = 0x000F000F000F000F
_COLONS: Final = 0x0A << 16 | 0x0A << 40
"""What makes a colon of the zeros between the digits of HH0MM0SS."""
_MINUS: Final = ord("-")
_DOT: Final = ord(".")
_ZERO: Final = ord("0")
_WHOLE: Final = 100_000_000


@inlined
def eight_digits(number: int) -> int:
    """Return a word of the eight digits (0 to 9, not text) of a number below 10^8, the first in the lowest byte."""
    halves = number // 10_000 | (number % 10_000) << 32
    hundreds = (halves * 10_486 >> 20) & _TENS_OF_THOUSANDS
    pairs = hundreds | (halves - hundreds * 100) << 16
    tens = (pairs * 103 >> 10) & _TENS
    return tens | (pairs - tens * 10) << 8


@inlined
def put_word(buffer: Any, at: int, word: int, length: int) -> int:
    """Write the first 0 to 8 bytes of a word, as `literal` makes it."""
    store64(buffer, at, word)
    return at + length


@inlined
def put_bytes(buffer: Any, at: int, source: Any, offset: int, length: int) -> int:
    """Write bytes of another buffer, which has PAD bytes beyond them."""
    for place in range(0, length, 8):
        store64(buffer, at + place, load64(source, offset + place))
    return at + length


@inlined
def put_padded(buffer: Any, at: int, number: int, count: int) -> int:
    """Write a number that is not negative with exactly so many digits (0 to 18), leading zeros included."""
    while count > 8:
        power = POWERS[min(count - 8, 10)]
        count = count - 8
        store64(buffer, at, eight_digits(number // power) | _ASCII)
        number %= power
        at += 8
    if count > 0:
        store64(buffer, at, (eight_digits(number) | _ASCII) >> (8 * (8 - count)))
    return at + count


@inlined
def put_uint(buffer: Any, at: int, number: int) -> int:
    """Write a number that is not negative, and below 10^18."""
    if number < _WHOLE:
        digits = eight_digits(number)
        zeros = min(lowest_bit(digits) >> 3, 7) if digits != 0 else 7
        store64(buffer, at, (digits | _ASCII) >> (8 * zeros))
        return at + 8 - zeros
    return _put_long(buffer, at, number)


@kernel
def _put_long(buffer: Any, at: int, number: int) -> int:
    """Write a number of more than eight digits."""
    count = 9
    while count < 18 and number >= POWERS[count]:
        count += 1
    return put_padded(buffer, at, number, count)


@inlined
def put_int(buffer: Any, at: int, number: int) -> int:
    """Write a number above -10^18 and below 10^18."""
    if number < 0:
        buffer[at] = _MINUS
        return put_uint(buffer, at + 1, -number)
    return put_uint(buffer, at, number)


@inlined
def put_decimal(buffer: Any, at: int, number: int, places: int) -> int:
    """Write number times 10^-places (0 to 18) with exactly so many places: (-1250, 2) is `-12.50`."""
    if number < 0:
        buffer[at] = _MINUS
        at += 1
        number = -number
    if places == 0:
        return put_uint(buffer, at, number)
    power = POWERS[places]
    at = put_uint(buffer, at, number // power)
    buffer[at] = _DOT
    return put_padded(buffer, at + 1, number % power, places)


@inlined
def put_date(buffer: Any, at: int, days: int) -> int:
    """Write the YYYYMMDD of a day that is 0 or more days after 1970-01-01."""
    shifted = days + 719_468  # days since 0000-03-01: years that begin in March end with their leap day
    era = shifted // 146_097
    day_of_era = shifted - era * 146_097
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    store64(buffer, at, eight_digits(year * 10_000 + month * 100 + day) | _ASCII)
    return at + 8


@inlined
def put_timestamp(buffer: Any, at: int, time_ns: int, places: int) -> int:
    """Write a UTCTimestamp, cut to 0, 3, 6 or 9 decimal places."""
    days = time_ns // DAY_NS
    rest = time_ns - days * DAY_NS
    seconds = rest // 1_000_000_000
    at = put_date(buffer, at, days)
    buffer[at] = _MINUS
    clock = seconds // 3600 * 1_000_000 + seconds // 60 % 60 * 1000 + seconds % 60
    store64(buffer, at + 1, (eight_digits(clock) | _ASCII) + _COLONS)
    at += 9
    if places > 0:
        buffer[at] = _DOT
        at = put_padded(buffer, at + 1, (rest - seconds * 1_000_000_000) // POWERS[9 - places], places)
    return at


@inlined
def open_message(buffer: Any, begin: int) -> int:
    """Write the frame's beginning; return where the body (35=...) begins."""
    store64(buffer, begin, HEAD)
    store64(buffer, begin + 8, HEAD_REST)
    return begin + HEAD_BYTES


@inlined
def close_message(buffer: Any, begin: int, end: int) -> int:
    """Write BodyLength and CheckSum around a body that ends, with its SOH, before `end`; return the message's end."""
    length = end - begin - HEAD_BYTES
    if length < 100 or length > 999:
        end = _move_body(buffer, begin, length)
    else:
        store64(buffer, begin + 8, HEAD_REST | eight_digits(length) >> 40 << 32)
    total = checksum(buffer, begin, end)
    store64(buffer, end, _CHECKSUM | (eight_digits(total) >> 40 | _ASCII & 0xFFFFFF) << 24 | SOH_WORD << 48)
    return end + TRAILER_BYTES


@kernel
def _move_body(buffer: Any, begin: int, length: int) -> int:
    """Move the body to where it belongs when BodyLength has not three digits, and write that; return its end."""
    digits = 1
    while digits < 8 and length >= POWERS[digits]:
        digits += 1
    source = begin + HEAD_BYTES
    target = begin + HEAD_BYTES - 3 + digits
    if target < source:
        for place in range(length):
            buffer[target + place] = buffer[source + place]
    else:
        for place in range(length - 1, -1, -1):
            buffer[target + place] = buffer[source + place]
    for place in range(digits):
        buffer[begin + 12 + place] = _ZERO + length // POWERS[digits - 1 - place] % 10
    buffer[target - 1] = SOH_WORD
    return target + length
