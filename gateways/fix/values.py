"""One field's value against its type and its list of values; the number it spells goes to `values`.

Invariant: a value is looked at only within its length, and is wrong or leaves a number that is exactly what it says.
"""

from __future__ import annotations

from typing import Any, Final

from gateways.fix import rules as r
from gateways.fix.compiled import inlined, kernel, plain_int
from gateways.fix.digits import BAD, parse_date, parse_decimal, parse_digits, parse_int, parse_time, parse_timestamp
from gateways.fix.tables import F_LENGTH, F_OFFSET, F_PLACES, F_TAG, VALID, Reason

INT, DECIMAL, CHAR, TEXT, BOOLEAN, DATA, COUNT, SEQUENCE, LENGTH, TIMESTAMP, TIME, DATE, MONTH, CHARS, COUNTRY = (
    r.TYPES.index(name)
    for name in (
        "int", "decimal", "char", "text", "boolean", "data", "count", "sequence", "length", "timestamp", "time", "date",
        "month", "chars", "country",
    )
)  # fmt: skip

VALUE_INCORRECT: Final = Reason.VALUE_INCORRECT.value
FORMAT_INCORRECT: Final = Reason.FORMAT_INCORRECT.value
_SIGNATURE_LENGTH: Final = 93
_SIGNATURE: Final = 89
_YES: Final = ord("Y")
_NO: Final = ord("N")
_BLANK: Final = ord(" ")
_WEEK: Final = ord("w")


@inlined
def _is_listed(rules: Any, values: int, number: int) -> bool:
    """Return whether a character or a small number is in a list of values."""
    if number < 0 or number > 127:
        return False
    word = rules[r.VALUES_AT + values * r.VALUES_WORDS + (number >> 5)]
    return (word >> (number & 31)) & 1 != 0


@kernel
def _is_listed_text(buffer: Any, at: int, length: int, rules: Any, values: int) -> bool:
    """Return whether a text is in a list of values."""
    if length == 1:
        return _is_listed(rules, values, plain_int(buffer[at]))
    if length > 9:
        return False
    number = 0
    for byte in range(length):
        number = number << 7 | (int(buffer[at + byte]) & 0x7F)
        if buffer[at + byte] > 127:
            return False
    first = rules[r.VALUES_AT + values * r.VALUES_WORDS + 4]
    count = rules[r.VALUES_AT + values * r.VALUES_WORDS + 5]
    for code in range(first, first + count):
        if r.CODES[code] == number:
            return True
    return False


@kernel
def _check_chars(buffer: Any, at: int, length: int, rules: Any, values: int) -> int:
    """Return what is wrong with single characters parted by blanks."""
    if length % 2 == 0:
        return FORMAT_INCORRECT
    for place in range(length):
        if place % 2 == 1 and buffer[at + place] != _BLANK:
            return FORMAT_INCORRECT
        if place % 2 == 0 and values != 0 and not _is_listed(rules, values, plain_int(buffer[at + place])):
            return VALUE_INCORRECT
    return VALID


@kernel
def _parse_month(buffer: Any, at: int, length: int) -> int:
    """Return the number of YYYYMM, YYYYMMDD or (without its w) YYYYMMwN, or BAD."""
    if length == 6 or (length == 8 and buffer[at + 6] == _WEEK):
        number = parse_digits(buffer, at, 6)
        if number == BAD or number % 100 < 1 or number % 100 > 12:
            return BAD
        if length == 6:
            return number
        week = parse_digits(buffer, at + 7, 1)
        return number * 10 + week if 1 <= week <= 5 else BAD
    return BAD if parse_date(buffer, at, length) == BAD else parse_digits(buffer, at, length)


@kernel
def _check_rare(buffer: Any, fields: Any, values: Any, row: int, kind: int, rules: Any, listed: int) -> int:
    """Return what is wrong with a value of one of the less frequent types, and note its number."""
    at, length = plain_int(fields[row, F_OFFSET]), plain_int(fields[row, F_LENGTH])
    number = 0
    if kind == CHARS:
        return _check_chars(buffer, at, length, rules, listed)
    if kind == TIME:
        number = parse_time(buffer, at, length)
    elif kind == DATE:
        number = parse_date(buffer, at, length)
    elif kind == MONTH:
        number = _parse_month(buffer, at, length)
    elif kind == COUNTRY:
        number = 0 if length == 2 else BAD
    elif kind == DATA:  # its length stands in the field before it
        tag = fields[row - 1, F_TAG]
        follows = row > 0 and (
            tag == fields[row, F_TAG] - 1 or (tag == _SIGNATURE_LENGTH and fields[row, F_TAG] == _SIGNATURE)
        )
        number = length if follows and values[row - 1] == length else BAD
    values[row] = number
    return FORMAT_INCORRECT if number == BAD else VALID


@inlined
def check_value(buffer: Any, fields: Any, values: Any, row: int, rules: Any, column: int) -> int:
    """Return what is wrong with a field's value, or VALID; its number goes to `values`."""
    at, length = plain_int(fields[row, F_OFFSET]), plain_int(fields[row, F_LENGTH])
    trait = rules[r.TRAIT_AT + column]
    kind = trait & r.TYPE_MASK
    listed = trait >> r.VALUES_SHIFT
    if kind == TEXT:
        if listed != 0 and not _is_listed_text(buffer, at, length, rules, listed):
            return VALUE_INCORRECT
        return VALID
    if kind == CHAR:
        number = plain_int(buffer[at])
        values[row] = number
        if length != 1:
            return FORMAT_INCORRECT
        return VALID if listed == 0 or _is_listed(rules, listed, number) else VALUE_INCORRECT
    if kind == DECIMAL:
        number, places = parse_decimal(buffer, at, length)
        values[row] = number
        fields[row, F_PLACES] = places
        return FORMAT_INCORRECT if number == BAD else VALID
    if kind == TIMESTAMP:
        number = parse_timestamp(buffer, at, length)
        values[row] = number
        return FORMAT_INCORRECT if number == BAD else VALID
    if kind == SEQUENCE or kind == LENGTH or kind == COUNT or kind == INT:
        number = parse_int(buffer, at, length)
        values[row] = number
        if number == BAD or (kind != INT and number < 0):
            return FORMAT_INCORRECT
        return VALID if listed == 0 or _is_listed(rules, listed, number) else VALUE_INCORRECT
    if kind == BOOLEAN:
        yes = buffer[at] == _YES
        values[row] = 1 if yes else 0
        return VALID if length == 1 and (yes or buffer[at] == _NO) else FORMAT_INCORRECT
    return _check_rare(buffer, fields, values, row, kind, rules, listed)
