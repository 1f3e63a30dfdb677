"""The texts of commands that were submitted and whose events are not back yet, as compiled code keeps them.

For each line a list in the order of client sequences; the events of a session's commands come in that order too, so
the texts that an event needs stand at the head, or are of a command that this process did not submit: those were asked
for before.

Invariant: what is before the event at hand is given back, but for the last of a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from gateways.fix import live_table as lt
from gateways.fix import venue_table as vt
from gateways.fix.compiled import entry, inlined, kernel, plain_int, shift_left
from kk99 import schema
from kk99.schema import EventKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from kk99.batch import Rows

P_NEXT, P_EPOCH, P_SEQ, P_CLIENT = range(4)
"""The next of the line; epoch and client sequence; ClOrdID as its length and five words."""
P_ORIGINAL: Final = P_CLIENT + 1 + lt.TEXT_WORDS
P_WORDS: Final = P_ORIGINAL + 1 + lt.TEXT_WORDS
_HALF_WORD: Final = 4
"""The word of a cold row in which the first text ends and the second begins."""
assert schema.COLD.fields is not None
assert schema.COLD.fields["original_client_id"][1] == 8 * _HALF_WORD + 4

PS_FREE, PS_TOP, PS_ASKED = range(3)
PS_WORDS: Final = 4
ROWS_FIRST: Final = 1 << 10
ASKED_MAX: Final = 1 << 16
"""Events of a frame, each of which may need a text."""

TEXT_KINDS: Final = (
    EventKind.ORDER_ACCEPTED,
    EventKind.ORDER_REPLACED,
    EventKind.ORDER_CANCELED,
    EventKind.REJECTED,
    EventKind.MASS_CANCEL_ACCEPTED,
    EventKind.MESSAGE_NOTED,
)
"""Kinds of events whose command may have texts."""
TEXT_BITS: Final = sum(1 << kind for kind in TEXT_KINDS)
_IMAGE: Final = EventKind.ORDER_IMAGE.value


class Texts(NamedTuple):
    """The tables."""

    slab: Any
    """int64[n, P_WORDS]; row 0 is none."""
    ends: Any
    """int64[SESSIONS_MAX, 2]: the first and the last of each line."""
    asked: Any
    """int64[ASKED_MAX, 2]: (sequence, row) of what was asked for, rising."""
    ps: Any
    """int64[PS_WORDS]."""


def new_texts() -> Texts:
    """Return empty tables."""
    ps = np.zeros(PS_WORDS, np.int64)
    ps[PS_TOP] = 1
    return Texts(
        np.zeros((ROWS_FIRST, P_WORDS), np.int64),
        np.zeros((schema.SESSIONS_MAX, 2), np.int64),
        np.zeros((ASKED_MAX, 2), np.int64),
        ps,
    )


def with_room(texts: Texts, count: int) -> Texts:
    """Return the tables with room for so many more rows."""
    slab = texts.slab
    need = int(texts.ps[PS_TOP]) + count
    if need <= len(slab):
        return texts
    larger = np.zeros((max(2 * len(slab), need), P_WORDS), np.int64)
    larger[: len(slab)] = slab
    return texts._replace(slab=larger)


@inlined
def new_row(texts: Texts) -> int:
    """Return a row that is free; there must be room."""
    row = texts.ps[PS_FREE]
    if row != 0:
        texts.ps[PS_FREE] = texts.slab[row, P_NEXT]
        return int(row)
    row = texts.ps[PS_TOP]
    texts.ps[PS_TOP] = row + 1
    return int(row)


@inlined
def free_row(texts: Texts, row: int) -> None:
    """Give a row back."""
    texts.slab[row, P_NEXT] = texts.ps[PS_FREE]
    texts.ps[PS_FREE] = row


@inlined
def append(texts: Texts, line: int, epoch: int, client_seq: int) -> int:
    """Take up the texts of the next command of a line; return the row to write them to. There must be room."""
    row = new_row(texts)
    slab = texts.slab
    slab[row, P_NEXT], slab[row, P_EPOCH], slab[row, P_SEQ] = 0, epoch, client_seq
    slab[row, P_CLIENT] = slab[row, P_ORIGINAL] = 0
    last = texts.ends[line, 1]
    if last != 0:
        slab[last, P_NEXT] = row
    else:
        texts.ends[line, 0] = row
    texts.ends[line, 1] = row
    return row


@inlined
def _is_before(slab: Any, row: int, epoch: int, client_seq: int) -> bool:
    return bool(slab[row, P_EPOCH] < epoch or (slab[row, P_EPOCH] == epoch and slab[row, P_SEQ] < client_seq))


@kernel
def locate(texts: Texts, line: int, epoch: int, client_seq: int, cause: int) -> int:
    """Return the row with the texts of a command, 0: it has none."""
    slab, ends = texts.slab, texts.ends
    row = ends[line, 0]
    while row != 0 and _is_before(slab, row, epoch, client_seq):
        following = slab[row, P_NEXT]
        free_row(texts, row)
        row = following
        ends[line, 0] = row
    if row == 0:
        ends[line, 1] = 0
    elif slab[row, P_EPOCH] == epoch and slab[row, P_SEQ] == client_seq:
        return int(row)
    return find_asked(texts, cause)


@kernel
def find_asked(texts: Texts, seq: int) -> int:
    """Return the row of what was asked for by a sequence, 0: nothing."""
    low, high = 0, int(texts.ps[PS_ASKED])
    while low < high:
        middle = (low + high) >> 1
        if texts.asked[middle, 0] < seq:
            low = middle + 1
        else:
            high = middle
    if low < texts.ps[PS_ASKED] and texts.asked[low, 0] == seq:
        return int(texts.asked[low, 1])
    return 0


@entry
def look(texts: Texts, seq: int) -> int:
    """Return what `find_asked` does."""
    return int(find_asked(texts, seq))


@entry
def missing(events: Any, count: int, venue: vt.Venue, texts: Texts, found: Any) -> int:
    """Write to `found`, int64[count], the sequences whose texts this process has not; return how many."""
    many, last = 0, -1
    for at in range(count):
        event = events[at]
        kind = event[lt.E_KINDS] & 0xFF
        is_image = kind == _IMAGE
        if not is_image and (kind > 62 or (TEXT_BITS >> kind) & 1 == 0):
            continue
        session = event[lt.E_SESSION] & lt.LOW
        line = venue.sessions[session] if 0 < session < venue.sessions.shape[0] else vt.UNWANTED
        if line == vt.UNWANTED or (line < 0 and is_image):
            continue
        seq = event[lt.E_ORIGIN] if is_image else event[lt.E_CAUSE]
        if seq == last:
            continue
        if line >= 0 and not is_image:
            first, newest = texts.ends[line & (vt.SLOW - 1), 0], texts.ends[line & (vt.SLOW - 1), 1]
            epoch, client_seq = event[lt.E_SESSION] >> 32, event[lt.E_CONTRA]
            is_known = (
                first != 0
                and (_is_before(texts.slab, first, epoch, client_seq) or texts.slab[first, P_SEQ] == client_seq)
                and texts.slab[newest, P_EPOCH] == epoch
                and texts.slab[newest, P_SEQ] >= client_seq
            )
            if is_known:
                continue
        last = seq
        found[many] = seq
        many += 1
    return many


@entry
def add(texts: Texts, line: int, epoch: int, first_seq: int, flags: Any, cold: Any) -> None:
    """Take up the texts of commands about to be submitted; there must be room.

    `flags` uint8[n] are not 0 for rows with a cold row, `cold` those of `words_of`.
    """
    cold_at = 0
    for at in range(flags.shape[0]):
        row = append(texts, line, epoch, first_seq + at)
        if flags[at] != 0:
            put_texts(texts, row, cold, cold_at)
            cold_at += 1


@entry
def ask(texts: Texts, seq: int, has_cold: int, cold: Any) -> None:
    """Take up the texts of a command that was asked for, sequences rising; there must be room."""
    at = texts.ps[PS_ASKED]
    row = new_row(texts)
    texts.slab[row, P_CLIENT] = texts.slab[row, P_ORIGINAL] = 0
    if has_cold != 0:
        put_texts(texts, row, cold, plain_int(0))
    texts.asked[at, 0], texts.asked[at, 1] = seq, row
    texts.ps[PS_ASKED] = at + 1


@entry
def forget_asked(texts: Texts) -> None:
    """Give back what was asked for."""
    for at in range(texts.ps[PS_ASKED]):
        free_row(texts, texts.asked[at, 1])
    texts.ps[PS_ASKED] = 0


@kernel
def _set_length(texts: Texts, row: int, at: int) -> None:
    """Write how many bytes of a text's words come before the zeros at its end."""
    slab = texts.slab
    word = lt.TEXT_WORDS
    while word > 0 and slab[row, at + word] == 0:
        word -= 1
    length = 8 * word
    while length > 0 and (slab[row, at + word] >> (8 * ((length - 1) & 7))) & 0xFF == 0:
        length -= 1
    slab[row, at] = length


@kernel
def put_texts(texts: Texts, row: int, cold: Any, at: int) -> None:
    """Write the two texts of a cold row, as words of which they have four and a half each."""
    slab, half = texts.slab, _HALF_WORD
    for word in range(4):
        slab[row, P_CLIENT + 1 + word] = cold[at, word]
        low, high = (cold[at, half + word] >> 32) & lt.LOW, shift_left(plain_int(cold[at, half + 1 + word]), 32)
        slab[row, P_ORIGINAL + 1 + word] = low | high
    slab[row, P_CLIENT + 5] = cold[at, half] & lt.LOW
    slab[row, P_ORIGINAL + 5] = (cold[at, half + 4] >> 32) & lt.LOW
    _set_length(texts, row, P_CLIENT)
    _set_length(texts, row, P_ORIGINAL)


def words_of(cold: Rows) -> npt.NDArray[np.int64]:
    """Return cold rows as int64[n, 16]."""
    return np.ascontiguousarray(cold).view(np.int64).reshape(len(cold), schema.ROW_WORDS).copy()


def cold_of(texts: Texts, row: int) -> Rows:
    """Return the texts of a row as COLD (1,)."""
    cold = np.zeros(1, schema.COLD)
    for at, name in ((P_CLIENT, "client_id"), (P_ORIGINAL, "original_client_id")):
        cold[name] = texts.slab[row, at + 1 :].tobytes()[: int(texts.slab[row, at])]
    return cold
