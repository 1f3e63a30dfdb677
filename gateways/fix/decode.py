"""The one call per loop tick: what was received on any number of connections, framed, tokenized and validated.

Invariants: it stops only at a message's end; a message is in the tables whole or not at all; what did not fit is left
for the next call. Which messages are plain is decided here for whole runs, so that the session machine need not see
them one by one.
"""

from __future__ import annotations

from typing import Any, Final

from gateways.fix import rules as r
from gateways.fix.compiled import PAD, entry, inlined, plain_int
from gateways.fix.scan import BAD_BEGIN_STRING, INCOMPLETE, JUNK, OK, frame, resync, tokenize
from gateways.fix.tables import (
    F_TAG,
    L_ACCURACY_NS,
    L_MESSAGE_BYTES,
    L_NOW_NS,
    M_BEGIN,
    M_COUNT,
    M_END,
    M_FIRST,
    M_FLAGS,
    M_KIND,
    M_REASON,
    M_REF_TAG,
    M_SENDING_NS,
    M_SEQ,
    M_STATUS,
    NAMES_RIGHT,
    POSS_DUP,
    POSS_RESEND,
    S_COUNT,
    S_DONE,
    S_END,
    S_FIRST,
    S_NEXT_IN,
    S_PEER,
    S_PLAIN,
    S_START,
    UNSUPPORTED,
    VALID,
)
from gateways.fix.validate import validate

NO_ROOM: Final = -2


@inlined
def is_plain(messages: Any, message: int, next_in: int, limits: Any) -> bool:
    """Return whether a message needs no thought: a valid application message, new, in sequence, in time."""
    return (
        messages[message, M_STATUS] == OK
        and messages[message, M_REASON] == VALID
        and 0 <= messages[message, M_KIND] < r.APPLICATION_KINDS
        and messages[message, M_SEQ] == next_in
        and messages[message, M_FLAGS] & (POSS_DUP | POSS_RESEND | NAMES_RIGHT) == NAMES_RIGHT
        and abs(messages[message, M_SENDING_NS] - limits[L_NOW_NS]) <= limits[L_ACCURACY_NS]
    )


@inlined
def note_fields(fields: Any, messages: Any, message: int, rules: Any, where: Any) -> None:
    """Set `where[column]` to the row of each field of a valid message (of a group's fields: the last such row)."""
    first = messages[message, M_FIRST]
    for row in range(first, first + messages[message, M_COUNT]):
        where[rules[r.COLUMN_AT + fields[row, F_TAG]]] = row


@inlined
def _decode_one(
    buffer: Any, at: int, end: int, fields: Any, values: Any, messages: Any, message: int, row: int, rules: Any,
    where: Any, peers: Any, peer: int, bytes_max: int,
) -> tuple[int, int]:  # fmt: skip
    """Return (where the next message begins, or INCOMPLETE or NO_ROOM; the field row after the last) of one message."""
    status, body, stop = frame(buffer, at, end, bytes_max)
    if status == INCOMPLETE:
        return INCOMPLETE, row
    first = row
    if status >= JUNK:
        stop = resync(buffer, stop, end)
    else:
        if stop - body > fields.shape[0] - row:
            return NO_ROOM, row
        row = tokenize(buffer, body, stop - 7, fields, row)
    messages[message, M_STATUS] = status
    messages[message, M_BEGIN] = at
    messages[message, M_END] = stop
    messages[message, M_FIRST] = first
    messages[message, M_COUNT] = row - first
    messages[message, M_KIND] = UNSUPPORTED
    messages[message, M_REASON] = VALID
    messages[message, M_REF_TAG] = 0
    messages[message, M_SEQ] = -1
    messages[message, M_FLAGS] = 0
    if status == OK or status == BAD_BEGIN_STRING:
        validate(buffer, fields, values, messages, message, rules, where, peers, peer)
    return stop, row


@entry
def decode(
    buffer: Any, spans: Any, span_count: int, peers: Any, fields: Any, values: Any, messages: Any, rules: Any, where:
    Any, limits: Any,
) -> int:  # fmt: skip
    """Decode the spans [0, span_count) of a buffer; return how many of them are done with, all unless a table is full.

    Args:
        buffer: uint8, writable (else all is compiled once more), PAD bytes longer than the last span's end.
        spans: int64[n, SPAN_WORDS].
        span_count: how many of them.
        peers: uint8[p, PEER_BYTES].
        fields: int32[f, FIELD_WORDS]; f must be at least the largest message's bytes.
        values: int64[f].
        messages: int64[m, MESSAGE_WORDS].
        rules: int32[RULE_WORDS] of `rules.build`.
        where: int32[WHERE_WORDS], scratch.
        limits: int64[LIMIT_WORDS].

    """
    message = row = plain_int(0)
    for column in range(r.COLUMNS):
        where[column] = -1
    bytes_max = limits[L_MESSAGE_BYTES]
    for span in range(span_count):
        at, end = int(spans[span, S_START]), int(spans[span, S_END])
        assert 0 <= at <= end <= buffer.shape[0] - PAD
        next_in = spans[span, S_NEXT_IN]
        spans[span, S_DONE] = at
        spans[span, S_FIRST] = message
        spans[span, S_COUNT] = spans[span, S_PLAIN] = 0
        while at < end:
            if message == messages.shape[0]:
                return span
            stop, row = _decode_one(
                buffer,
                at,
                end,
                fields,
                values,
                messages,
                message,
                row,
                rules,
                where,
                peers,
                spans[span, S_PEER],
                bytes_max,
            )
            if stop == NO_ROOM:
                return span
            if stop == INCOMPLETE:
                break
            if next_in > 0 and is_plain(messages, message, next_in, limits):
                next_in += 1
                spans[span, S_PLAIN] += 1
            else:
                next_in = 0
            at = stop
            message += 1
            spans[span, S_COUNT] += 1
            spans[span, S_DONE] = at
    return span_count
