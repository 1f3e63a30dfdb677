"""Numbers and times out of bytes, eight digits at a time: no floats, no Python objects.

Invariants: a parser returns BAD for what is not exactly such a value, whatever the bytes are; it looks at bytes beyond
`length` (never beyond PAD) but they never change its answer.
"""

from __future__ import annotations

from typing import Any, Final

from gateways.fix.compiled import constants, has_byte, inlined, kernel, load64, lowest_bit, pattern, shift_left

BAD: Final = -(1 << 63)
"""What a parser returns for bytes that are no such value."""
DIGITS_MAX: Final = 18
"""Digits that an int64 surely holds."""
AMOUNT_MAX: Final = (1 << 62) - 1
DAY_NS: Final = 86_400_000_000_000
YEAR_FIRST: Final = 1970
YEAR_LAST: Final = 2261

POWERS: Final = constants([10**power for power in range(DIGITS_MAX + 1)])
_MONTH_DAYS: Final = constants([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])

_HIGH: Final = -0x7F7F7F7F7F7F7F80
_CARRY: Final = 0x7676767676767676
"""Added to a byte of 0 to 9 it stays below 128; added to anything else it does not, or that was not below 128."""
_ZEROS: Final = pattern(ord("0"))
_DOTS: Final = pattern(ord("."))
_CLOCK: Final = int.from_bytes(b"00:00:00", "little")
_COLONS: Final = 0x0000FF0000FF0000
_MINUS: Final = ord("-")
_DOT: Final = ord(".")
_ZERO: Final = ord("0")


@inlined
def _digits(word: int, count: int) -> int:
    """Return the number that the first 1 to 8 bytes of a word spell, or BAD."""
    up = 64 - 8 * count
    places = shift_left(word, up) ^ shift_left(_ZEROS, up)
    if ((places + _CARRY) | places) & _HIGH:
        return BAD
    pairs = (places * 10 + (places >> 8)) & 0x00FF00FF00FF00FF
    fours = (pairs * 100 + (pairs >> 16)) & 0x0000FFFF0000FFFF
    return (fours * 10_000 + (fours >> 32)) & 0xFFFFFFFF


@inlined
def parse_digits(buffer: Any, at: int, length: int) -> int:
    """Return the number that 1 to 18 digits spell, or BAD."""
    if length < 1 or length > DIGITS_MAX:
        return BAD
    if length <= 8:
        return _digits(load64(buffer, at), length)
    number = _digits(load64(buffer, at), 8)
    rest = length - 8
    at += 8
    if number == BAD:
        return BAD
    if rest > 8:
        more = _digits(load64(buffer, at), 8)
        if more == BAD:
            return BAD
        number = number * 100_000_000 + more
        rest -= 8
        at += 8
    more = _digits(load64(buffer, at), rest)
    return BAD if more == BAD else number * POWERS[rest] + more


@kernel
def parse_int(buffer: Any, at: int, length: int) -> int:
    """Return the number that an optional minus and digits (18, leading zeros apart) spell, or BAD."""
    sign = 1
    if length > 0 and buffer[at] == _MINUS:
        sign = -1
        at += 1
        length -= 1
    while length > DIGITS_MAX and buffer[at] == _ZERO:
        at += 1
        length -= 1
    number = parse_digits(buffer, at, length)
    return BAD if number == BAD else sign * number


@inlined
def parse_decimal(buffer: Any, at: int, length: int) -> tuple[int, int]:
    """Return (number without its point, decimal places), or (BAD, 0): `-12.50` is (-1250, 2)."""
    if 1 <= length <= 8:  # what nearly every price and quantity is: squeeze the point out of one word
        word = load64(buffer, at)
        point = has_byte(word, _DOTS)
        place = lowest_bit(point) >> 3 if point != 0 else 8
        number, places = BAD, 0
        if place >= length:
            number = _digits(word, length)
        elif length > 1:
            below = shift_left(1, 8 * place) - 1
            number = _digits((word & below) | ((word >> 8) & ~below), length - 1)
            places = length - 1 - place
        if number != BAD:
            return number, places
    return _parse_long_decimal(buffer, at, length)


@kernel
def _parse_long_decimal(buffer: Any, at: int, length: int) -> tuple[int, int]:
    """Return the same for any length and sign: leading zeros, and trailing ones beyond 18 digits, are free."""
    end = at + length
    negative = length > 0 and buffer[at] == _MINUS
    if negative:
        at += 1
    number, count, places, digits = 0, 0, -1, 0
    while at < end:
        digit = int(buffer[at]) - _ZERO
        at += 1
        if digit == _DOT - _ZERO and places < 0:
            places = 0
            continue
        if digit < 0 or digit > 9:
            return BAD, 0
        count += 1
        if digit == 0 and ((digits == 0 and places < 0) or (digits >= DIGITS_MAX and places >= 0)):
            continue
        digits += 1
        if digits > DIGITS_MAX:
            return BAD, 0
        if places >= 0:
            places += 1
        number = number * 10 + digit
    if count == 0:
        return BAD, 0
    return (-number if negative else number), max(places, 0)


@inlined
def rescale(number: int, places: int, scale: int) -> int:
    """Return a decimal (as `parse_decimal` gives it) in units of 10^-scale; BAD when it is finer, or beyond int64."""
    while places > scale and number % 10 == 0:
        number //= 10
        places -= 1
    if places > scale or scale - places > DIGITS_MAX:
        return BAD if number != 0 else 0
    power = POWERS[scale - places]
    return number * power if abs(number) <= AMOUNT_MAX // power else BAD


@kernel
def days_of(year: int, month: int, day: int) -> int:
    """Return the days since 1970-01-01 of a date of the calendar, or BAD when it is none of YEAR_FIRST to YEAR_LAST."""
    if year < YEAR_FIRST or year > YEAR_LAST or month < 1 or month > 12 or day < 1:
        return BAD
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _MONTH_DAYS[month] + leap:
        return BAD
    if month <= 2:
        year -= 1
        month += 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719_469


@inlined
def parse_date(buffer: Any, at: int, length: int) -> int:
    """Return the days since 1970-01-01 of YYYYMMDD, or BAD."""
    if length != 8:
        return BAD
    number = _digits(load64(buffer, at), 8)
    if number == BAD:
        return BAD
    return days_of(number // 10_000, number // 100 % 100, number % 100)


@inlined
def parse_time(buffer: Any, at: int, length: int) -> int:
    """Return the nanoseconds since midnight of HH:MM:SS with 0 to 9 decimal places, or BAD; second 60 is allowed."""
    if length < 8 or length > 18 or length == 9:
        return BAD
    places = load64(buffer, at) ^ _CLOCK
    if ((places + _CARRY) | places) & _HIGH or places & _COLONS:
        return BAD
    hour = (places & 0xFF) * 10 + ((places >> 8) & 0xFF)
    minute = ((places >> 24) & 0xFF) * 10 + ((places >> 32) & 0xFF)
    second = ((places >> 48) & 0xFF) * 10 + ((places >> 56) & 0xFF)
    if hour > 23 or minute > 59 or second > 60:
        return BAD
    time_ns = (hour * 3600 + minute * 60 + second) * 1_000_000_000
    if length > 8:
        if buffer[at + 8] != _DOT:
            return BAD
        fraction = parse_digits(buffer, at + 9, length - 9)
        if fraction == BAD:
            return BAD
        time_ns += fraction * POWERS[18 - length]
    return time_ns


@inlined
def parse_timestamp(buffer: Any, at: int, length: int) -> int:
    """Return the nanoseconds since 1970 of YYYYMMDD-HH:MM:SS with 0 to 9 decimal places, or BAD."""
    if length < 17 or buffer[at + 8] != _MINUS:
        return BAD
    days = parse_date(buffer, at, 8)
    time_ns = parse_time(buffer, at + 9, length - 9)
    return BAD if days == BAD or time_ns == BAD else days * DAY_NS + time_ns
