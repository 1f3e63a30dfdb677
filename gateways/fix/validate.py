"""Validation: one compiled routine holds any message against the table of rules, and reads its numbers on the way.

The first thing wrong decides: fields are looked at in order, each for its tag, its place, then its value; what is
missing comes last. A message that is in order leaves all its numbers in `values`, and in `where` the row of each
field outside groups: `where[column]` is this message's only if it is not below the message's first row (see `find`).

Invariants: the routine terminates and stays within its arrays whatever the bytes are; it changes nothing but
`values`, `where`, the decimal places in `fields`, and the message's row.
"""

from __future__ import annotations

from typing import Any, Final

from gateways.fix import rules as r
from gateways.fix.compiled import inlined, kernel, plain_int
from gateways.fix.digits import parse_int, parse_timestamp
from gateways.fix.tables import (
    F_LENGTH,
    F_OFFSET,
    F_TAG,
    INVALID,
    M_COUNT,
    M_FIRST,
    M_FLAGS,
    M_KIND,
    M_ORIG_SENDING_NS,
    M_REASON,
    M_REF_TAG,
    M_SENDING_NS,
    M_SEQ,
    M_TYPE,
    NAME_BYTES_MAX,
    NAMES_RIGHT,
    POSS_DUP,
    POSS_RESEND,
    TAG_MISSING,
    UNSUPPORTED,
    VALID,
    Reason,
)
from gateways.fix.values import check_value

TAG_INVALID: Final = Reason.TAG_INVALID.value
REQUIRED_MISSING: Final = Reason.REQUIRED_MISSING.value
TAG_NOT_FOR_MESSAGE: Final = Reason.TAG_NOT_FOR_MESSAGE.value
TAG_UNDEFINED: Final = Reason.TAG_UNDEFINED.value
VALUE_MISSING: Final = Reason.VALUE_MISSING.value
MSG_TYPE_INVALID: Final = Reason.MSG_TYPE_INVALID.value
TAG_REPEATED: Final = Reason.TAG_REPEATED.value
TAG_ORDER: Final = Reason.TAG_ORDER.value
GROUP_ORDER: Final = Reason.GROUP_ORDER.value
GROUP_COUNT: Final = Reason.GROUP_COUNT.value
SOH_IN_VALUE: Final = Reason.SOH_IN_VALUE.value

# An open group, in the words of `where` after the columns
G_GROUP: Final = 0
G_EXPECTED: Final = 1
G_SEEN: Final = 2
G_POSITION: Final = 3
G_NEEDED: Final = 4
G_FIRST: Final = 5
"""Row of the first field of its current entry."""
G_WORDS: Final = 6
WHERE_WORDS: Final = r.COLUMNS + r.DEPTH_MAX * G_WORDS

SEQ_COLUMN: Final = r.COLUMN_OF[34]
POSS_DUP_COLUMN: Final = r.COLUMN_OF[43]
SENDER_COLUMN: Final = r.COLUMN_OF[49]
SENDING_COLUMN: Final = r.COLUMN_OF[52]
TARGET_COLUMN: Final = r.COLUMN_OF[56]
POSS_RESEND_COLUMN: Final = r.COLUMN_OF[97]
ORIG_SENDING_COLUMN: Final = r.COLUMN_OF[122]

_SECTION: Final = 3 << r.SECTION_SHIFT
_YES: Final = ord("Y")


@inlined
def find(where: Any, column: int, first: int) -> int:
    """Return the row of a field of the message last validated, whose first row is given; -1: it is not there."""
    row = where[column]
    return row if row >= first else -1


@kernel
def _close_entry(where: Any, at: int, rules: Any, fields: Any, row: int) -> int:
    """Return the tag that the entry of an open group ending before a row lacks, or 0."""
    group = where[at + G_GROUP]
    if where[at + G_SEEN] == 0 or where[at + G_NEEDED] == rules[r.GROUP_NEEDED_AT + group]:
        return 0
    for column in range(r.COLUMNS):
        if rules[r.GROUP_RULE_AT + group * r.COLUMNS + column] & r.REQUIRED:
            tag = rules[r.TAG_AT + column]
            there = False
            for other in range(where[at + G_FIRST], row):
                there = there or fields[other, F_TAG] == tag
            if not there:
                return tag
    return 0


@kernel
def _close_group(where: Any, at: int, rules: Any, fields: Any, row: int) -> tuple[int, int]:
    """Return (reason, tag) of what is wrong with an open group that ends before a row, or (VALID, 0)."""
    tag = _close_entry(where, at, rules, fields, row)
    if tag != 0:
        return REQUIRED_MISSING, tag
    if where[at + G_SEEN] != where[at + G_EXPECTED]:
        return GROUP_COUNT, rules[r.GROUP_TAG_AT + where[at + G_GROUP]]
    return VALID, 0


@kernel
def _next_in_group(where: Any, at: int, rule: int, rules: Any, fields: Any, row: int) -> tuple[int, int]:
    """Return (reason, tag) of what is wrong with the place of a group's field within the open group, or (VALID, 0)."""
    position = (rule >> r.POSITION_SHIFT) & 0xFF
    tag = plain_int(fields[row, F_TAG])
    if position == 1:
        missing = _close_entry(where, at, rules, fields, row)
        if missing != 0:
            return REQUIRED_MISSING, missing
        where[at + G_SEEN] += 1
        where[at + G_NEEDED] = 0
        where[at + G_FIRST] = row
        if where[at + G_SEEN] > where[at + G_EXPECTED]:
            return GROUP_COUNT, rules[r.GROUP_TAG_AT + where[at + G_GROUP]]
    elif where[at + G_SEEN] == 0:
        return GROUP_ORDER, tag
    elif rule & r.ANYWHERE == 0 and position <= where[at + G_POSITION]:
        return (TAG_REPEATED if position == where[at + G_POSITION] else GROUP_ORDER), tag
    if rule & r.ANYWHERE == 0:
        where[at + G_POSITION] = position
    where[at + G_NEEDED] += (rule & r.REQUIRED) // r.REQUIRED
    return VALID, 0


@kernel
def _belongs(where: Any, depth: int, rules: Any, rule_at: int, column: int) -> bool:
    """Return whether a field that ends the innermost open group may stand in one further out, or outside all."""
    rule = rules[rule_at + column]
    for outer in range(depth - 1):
        rule |= rules[r.GROUP_RULE_AT + where[r.COLUMNS + outer * G_WORDS + G_GROUP] * r.COLUMNS + column]
    return rule != 0


@kernel
def _missing(where: Any, first: int, rules: Any, kind_row: int) -> int:
    """Return the first required field that a message lacks."""
    for column in range(r.COLUMNS):
        if rules[r.RULE_AT + kind_row * r.COLUMNS + column] & r.REQUIRED and where[column] < first:
            return rules[r.TAG_AT + column]
    return 0


@inlined
def _check_tag(tag: int, column: int, length: int) -> int:
    """Return what is wrong with a field before its place is looked at, or VALID."""
    if column == 0:
        if tag == TAG_MISSING:
            return SOH_IN_VALUE
        return TAG_UNDEFINED if tag >= r.USER_TAGS else TAG_INVALID
    return VALID if length > 0 else VALUE_MISSING


@inlined
def check_fields(
    buffer: Any, fields: Any, values: Any, first: int, end: int, kind_row: int, rules: Any, where: Any
) -> tuple[int, int]:
    """Return (reason, tag) of the first thing wrong with a message's fields [first, end), or (VALID, 0)."""
    section = needed = depth = plain_int(0)
    rule_at = r.RULE_AT + kind_row * r.COLUMNS
    for row in range(first, end):
        tag = plain_int(fields[row, F_TAG])
        column = plain_int(rules[r.COLUMN_AT + tag]) if 0 < tag < r.TAGS_END else 0
        if column == 0 or fields[row, F_LENGTH] <= 0:
            before = plain_int(fields[row - 1, F_TAG]) if row > first else 0
            return _check_tag(tag, column, fields[row, F_LENGTH]), (before if tag == TAG_MISSING else max(tag, 0))
        rule = 0
        while depth > 0 and rule == 0:
            at = r.COLUMNS + (depth - 1) * G_WORDS
            rule = rules[r.GROUP_RULE_AT + where[at + G_GROUP] * r.COLUMNS + column]
            if rule == 0 and not _belongs(where, depth, rules, rule_at, column):
                return TAG_NOT_FOR_MESSAGE, tag
            if rule == 0:
                reason, wrong = _close_group(where, at, rules, fields, row)
                depth -= 1
            else:
                reason, wrong = _next_in_group(where, at, rule, rules, fields, row)
            if reason != VALID:
                return reason, wrong
        if rule == 0:
            rule = rules[rule_at + column]
            if rule == 0:
                return TAG_NOT_FOR_MESSAGE, tag
            if rule & r.FRAMING or where[column] >= first:
                return TAG_REPEATED, tag
            if rule & _SECTION < section:
                return TAG_ORDER, tag
            section = rule & _SECTION
            where[column] = row
            needed += rule & r.REQUIRED
        reason = check_value(buffer, fields, values, row, rules, column)
        if reason != VALID:
            return reason, tag
        group = rule >> r.GROUP_SHIFT
        if group != 0 and values[row] > 0:
            at = r.COLUMNS + depth * G_WORDS
            where[at + G_GROUP] = group
            where[at + G_EXPECTED] = min(values[row], 1 << 30)
            where[at + G_SEEN] = where[at + G_POSITION] = where[at + G_NEEDED] = 0
            depth += 1
    while depth > 0:
        depth -= 1
        reason, wrong = _close_group(where, r.COLUMNS + depth * G_WORDS, rules, fields, end)
        if reason != VALID:
            return reason, wrong
    if needed != r.REQUIRED * rules[r.NEEDED_AT + kind_row]:
        return REQUIRED_MISSING, _missing(where, first, rules, kind_row)
    return VALID, 0


@inlined
def _is_name(buffer: Any, fields: Any, row: int, peers: Any, peer: int, which: int) -> bool:
    """Return whether a field's value is one of the peer's two names."""
    length = plain_int(fields[row, F_LENGTH])
    if length != peers[peer, which]:
        return False
    at = plain_int(fields[row, F_OFFSET])
    name = 8 + which * NAME_BYTES_MAX
    for byte in range(length):
        if buffer[at + byte] != peers[peer, name + byte]:
            return False
    return True


@kernel
def _header_of_wrong(buffer: Any, fields: Any, values: Any, messages: Any, message: int, where: Any) -> None:
    """Find the header fields of a message that was not validated to its end, and read their numbers."""
    first = messages[message, M_FIRST]
    for row in range(first + messages[message, M_COUNT] - 1, first - 1, -1):  # so that the first of its kind stays
        tag, at, length = (
            plain_int(fields[row, F_TAG]),
            plain_int(fields[row, F_OFFSET]),
            plain_int(fields[row, F_LENGTH]),
        )
        if tag == 34:
            where[SEQ_COLUMN], values[row] = row, max(parse_int(buffer, at, length), -1)
        elif tag == 43 or tag == 97:
            where[POSS_DUP_COLUMN if tag == 43 else POSS_RESEND_COLUMN] = row
            values[row] = 1 if length == 1 and buffer[at] == _YES else 0
        elif tag == 52 or tag == 122:
            where[SENDING_COLUMN if tag == 52 else ORIG_SENDING_COLUMN] = row
            values[row] = max(parse_timestamp(buffer, at, length), -1)
        elif tag == 49 or tag == 56:
            where[SENDER_COLUMN if tag == 49 else TARGET_COLUMN] = row


@inlined
def _note_header(
    buffer: Any, fields: Any, values: Any, messages: Any, message: int, where: Any, peers: Any, peer: int
) -> None:
    """Write what the session layer needs of the header into the message's row."""
    first = messages[message, M_FIRST]
    row = find(where, SEQ_COLUMN, first)
    messages[message, M_SEQ] = values[row] if row >= 0 else -1
    row = find(where, SENDING_COLUMN, first)
    messages[message, M_SENDING_NS] = values[row] if row >= 0 else -1
    row = find(where, ORIG_SENDING_COLUMN, first)
    messages[message, M_ORIG_SENDING_NS] = values[row] if row >= 0 else -1
    flags = 0
    row = find(where, POSS_DUP_COLUMN, first)
    if row >= 0 and values[row] == 1:
        flags |= POSS_DUP
    row = find(where, POSS_RESEND_COLUMN, first)
    if row >= 0 and values[row] == 1:
        flags |= POSS_RESEND
    sender, target = find(where, SENDER_COLUMN, first), find(where, TARGET_COLUMN, first)
    if sender >= 0 and target >= 0:  # noqa: SIM102 - read the names only when both are there
        if _is_name(buffer, fields, sender, peers, peer, 0) and _is_name(buffer, fields, target, peers, peer, 1):
            flags |= NAMES_RIGHT
    messages[message, M_FLAGS] = flags


@inlined
def validate(
    buffer: Any, fields: Any, values: Any, messages: Any, message: int, rules: Any, where: Any, peers: Any, peer: int
) -> None:
    """Validate a message that was framed and tokenized; its kind, reason, and header go to its row.

    `peers[peer]` holds the names that the connection must use and, in its byte 2, whether it may use newer tags.
    """
    first = messages[message, M_FIRST]
    count = messages[message, M_COUNT]
    at, length = plain_int(fields[first, F_OFFSET]), plain_int(fields[first, F_LENGTH])
    code = plain_int(buffer[at])
    kind = plain_int(rules[r.KIND_AT + code]) if length == 1 and code < 128 else INVALID
    if length == 2:
        second = plain_int(buffer[at + 1])
        if (code == r.LETTER_A or code == r.LETTER_A + 1) and second < 128:
            kind = plain_int(rules[r.KIND_AT + 128 * (code - r.LETTER_A + 1) + second])
        code += second << 8
    messages[message, M_TYPE] = code if length == 1 or length == 2 else 0
    messages[message, M_KIND] = kind
    reason, tag = VALID, 0
    if kind >= 0:
        kind_row = kind + r.KIND_COUNT if peers[peer, 2] != 0 else kind
        reason, tag = check_fields(buffer, fields, values, first, first + count, kind_row, rules, where)
    elif length <= 0:
        reason, tag = VALUE_MISSING, 35
    elif kind != UNSUPPORTED:
        reason, tag = MSG_TYPE_INVALID, 35
    if reason != VALID or kind < 0:
        _header_of_wrong(buffer, fields, values, messages, message, where)
    messages[message, M_REASON] = reason
    messages[message, M_REF_TAG] = tag
    _note_header(buffer, fields, values, messages, message, where, peers, peer)
