"""Plain orders, cancels and replaces to command rows, a whole run of messages in one compiled call.

What `orders.to_row` makes of a message is made here for those that say nothing unusual: a NewOrderSingle at a limit or
at the market, an OrderCancelRequest, an OrderCancelReplaceRequest of price and quantity; of a known account and
symbol, with exact numbers, without parties. Anything else, and whatever would be refused, is left to it.

Invariant: a row that is made here is the one that `to_row` makes, to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from gateways.fix import live_table as lt
from gateways.fix import rules as r
from gateways.fix import venue_table as vt
from gateways.fix.blake import hash_text
from gateways.fix.compiled import constants, entry, inlined, kernel, load64, pattern, plain_int, shift_left
from gateways.fix.digits import BAD, rescale
from gateways.fix.tables import F_LENGTH, F_OFFSET, F_PLACES, F_TAG, M_COUNT, M_FIRST, M_TYPE
from kk99 import schema
from kk99.schema import CommandKind, Flag, OrderType, TimeInForce

if TYPE_CHECKING:
    from collections.abc import Mapping as Map

# What a field of a message is for
_IGNORED, _ID, _TARGET, _ACCOUNT, _SYMBOL, _SIDE, _TYPE, _QTY, _PRICE, _TIF, _INST, _HARD = range(12)
SLOTS: Final = 12
_ORDER: Final = {11: _ID, 1: _ACCOUNT, 55: _SYMBOL, 54: _SIDE, 40: _TYPE, 38: _QTY, 44: _PRICE, 59: _TIF, 18: _INST}
_UNUSUAL: Final = dict.fromkeys((453, 110, 111, 1138, 211, 389, 99, 126, 432, 152, 7928), _HARD)
_USES: Final = (_ORDER | _UNUSUAL, {11: _ID, 41: _TARGET, 1: _ACCOUNT, 453: _HARD}, _ORDER | _UNUSUAL | {41: _TARGET})
_NEW, _CANCEL, _REPLACE = range(3)
USE_OF: Final = constants([
    {r.COLUMN_OF[tag]: use for tag, use in uses.items()}.get(column, _IGNORED)
    for uses in _USES
    for column in range(r.COLUMNS)
])  # fmt: skip
_LETTERS: Final = (ord("D"), ord("F"), ord("G"))
_D, _F, _G = _LETTERS

ID_BYTES: Final = schema.CLIENT_ID_BYTES
_HIGH: Final = -0x7F7F7F7F7F7F7F80
_CONTROL: Final = pattern(0x60)
_ONES: Final = pattern(1)
_BLANKS: Final = pattern(0x20)
_MARKET, _LIMIT = OrderType.MARKET.value, OrderType.LIMIT.value
_DAY, _GTC, _IOC = TimeInForce.DAY.value, TimeInForce.GTC.value, TimeInForce.IOC.value
_TIF_BITS: Final = sum(1 << tif for tif in TimeInForce)
_POST_ONLY, _ON_LOST = int(Flag.POST_ONLY), int(Flag.CANCEL_ON_LOST)
_HAS_COLD, _BY_ID = int(Flag.HAS_COLD), int(Flag.TARGET_CLIENT_ID)
_KINDS: Final = constants(
    [kind.value for kind in (CommandKind.ORDER_NEW, CommandKind.ORDER_CANCEL, CommandKind.ORDER_REPLACE)]
)
_ZERO: Final = ord("0")
_SIX, _Q, _BLANK = ord("6"), ord("Q"), ord(" ")
_LOW: Final = 0xFFFFFFFF
_SCATTER: Final = 0x9E3779B1

# Words of a command and of a cold row
C_KINDS, C_OWNER, C_PRICE, C_QTY, C_LO, C_HI, C_TARGET_LO, C_TARGET_HI = (
    schema.word_of(schema.COMMAND, name)
    for name in (
        "kind", "instrument_id", "price_ticks", "qty_lots", "client_id_lo", "client_id_hi", "target_lo", "target_hi",
    )
)  # fmt: skip
_SHIFTS: Final = {"side": 8, "order_type": 16, "time_in_force": 24, "self_trade": 32, "flags": 40, "account_id": 32}
assert all(schema.shift_of(schema.COMMAND, name) == shift for name, shift in _SHIFTS.items())

N_SCOPE, N_LENGTH, N_NUMBER, N_NAME = range(4)
N_WORDS: Final = N_NAME + vt.NAME_WORDS
SYMBOLS: Final = 1
"""The scope of symbols; that of a session's accounts is 2 and more."""


class Names(NamedTuple):
    """Numbers by name: `table` int64[power of two, N_WORDS], a hash table; N_SCOPE 0: free."""

    table: Any


class Terms(NamedTuple):
    """What holds for the messages of a session."""

    scope: int
    """Of its accounts."""
    account_id: int
    """Its only account; 0: it has not exactly one."""
    flags: int
    self_trade: int


@inlined
def _place(w0: int, w1: int, w2: int, w3: int, scope: int, size: int) -> int:
    mixed = (w0 & _LOW) * _SCATTER ^ ((w0 >> 32) & _LOW) * 31 ^ (w1 & _LOW) * 131 ^ ((w1 >> 32) & _LOW) * 17
    mixed ^= (w2 & _LOW) * 7 ^ (w3 & _LOW) * 11 ^ scope * _SCATTER
    return ((mixed >> 7) ^ (mixed >> 29)) & (size - 1)


def names_of(scopes: Map[int, Map[str, int]]) -> Names:
    """Return the table of the names in each scope; names that are too long are left out."""
    items = [(scope, name.encode(), number) for scope, names in scopes.items() for name, number in names.items()]
    size = 64
    while size < 3 * len(items):
        size *= 2
    table = np.zeros((size, N_WORDS), np.int64)
    for scope, name, number in items:
        if not 1 <= len(name) <= vt.NAME_BYTES:
            continue
        w0, w1, w2, w3 = words = vt.words_of(name).tolist()
        at = _place_of(w0, w1, w2, w3, scope, size)
        while table[at, N_SCOPE]:
            at = (at + 1) % size
        table[at] = scope, len(name), number, *words
    return Names(table)


@entry
def _place_of(w0: int, w1: int, w2: int, w3: int, scope: int, size: int) -> int:
    return _place(w0, w1, w2, w3, scope, size)


@inlined
def _word(buffer: Any, at: int, length: int, begin: int) -> int:
    rest = length - begin
    if rest <= 0:
        return 0
    word = load64(buffer, at + begin)
    return word if rest >= 8 else word & (shift_left(plain_int(1), 8 * rest) - 1)


@kernel
def _number(names: Any, scope: int, buffer: Any, at: int, length: int) -> int:
    """Return the number of a name, or 0."""
    if length < 1 or length > vt.NAME_BYTES:
        return 0
    w0, w1 = _word(buffer, at, length, plain_int(0)), _word(buffer, at, length, plain_int(8))
    w2, w3 = _word(buffer, at, length, plain_int(16)), _word(buffer, at, length, plain_int(24))
    size = names.shape[0]
    place = _place(w0, w1, w2, w3, scope, size)
    while names[place, N_SCOPE] != 0:
        row = names[place]
        is_same = row[N_SCOPE] == scope and row[N_LENGTH] == length and row[N_NAME] == w0 and row[N_NAME + 1] == w1
        if is_same and row[N_NAME + 2] == w2 and row[N_NAME + 3] == w3:
            return int(row[N_NUMBER])
        place = (place + 1) & (size - 1)
    return 0


@kernel
def _is_id(buffer: Any, at: int, length: int) -> bool:
    """Return whether a text is an id that the venue can keep: 1 to 36 printable ASCII characters."""
    if length < 1 or length > ID_BYTES:
        return False
    wrong = plain_int(0)
    for begin in range(0, length, 8):
        word = load64(buffer, at + begin)
        rest = length - begin
        if rest < 8:
            below = shift_left(plain_int(1), 8 * rest) - 1
            word = (word & below) | (_BLANKS & ~below)
        wrong |= word | ~(word + _CONTROL) | (word + _ONES)
    return bool(shift_left(wrong, plain_int(0)) & _HIGH == 0)


@kernel
def _put_id(buffer: Any, at: int, length: int, cold: Any, is_second: bool) -> None:
    """Write an id to its place in a cold row, whose words are zero there."""
    for word in range((length + 7) >> 3):
        rest = length - 8 * word
        text = load64(buffer, at + 8 * word)
        if rest < 8:
            text &= shift_left(plain_int(1), 8 * rest) - 1
        if is_second:
            cold[4 + word] |= shift_left(text, 32)
            cold[5 + word] |= (text >> 32) & _LOW
        else:
            cold[word] |= text


@kernel
def _flags(buffer: Any, at: int, length: int) -> int:
    """Return the flags that ExecInst (18) asks for, -1 when it asks for anything unusual."""
    flags = 0
    for place in range(0, length, 2):
        letter = buffer[at + place]
        if letter == _SIX:
            flags |= _POST_ONLY
        elif letter == _Q:
            flags |= _ON_LOST
        else:
            return -1
    return flags


@inlined
def _decimal(fields: Any, values: Any, row: int, scale: int, size: int) -> int:
    """Return a decimal field as a number of ticks or lots; -1 when it has none from 0 on."""
    number = rescale(values[row], fields[row, F_PLACES], scale)
    if number == BAD or number < 0 or number % size != 0:
        return -1
    return int(number // size)


@kernel
def _find_fields(fields: Any, first: int, count: int, rules: Any, what: int, slots: Any) -> bool:
    """Write to `slots` which row has which use; False: there is an unusual field."""
    for slot in range(SLOTS):
        slots[slot] = -1
    for row in range(first, first + count):
        column = plain_int(rules[r.COLUMN_AT + fields[row, F_TAG]])
        slots[USE_OF[what * r.COLUMNS + column]] = row
    return bool(slots[_HARD] < 0)


@inlined
def _lies(fields: Any, row: int) -> tuple[int, int]:
    return plain_int(fields[row, F_OFFSET]), plain_int(fields[row, F_LENGTH])


@kernel
def _put_ids(buffer: Any, fields: Any, slots: Any, what: int, row: Any, cold: Any) -> bool:
    """Write the ids of a message and their hashes; False: it is for Python."""
    if slots[_ID] < 0 or (what != _NEW and slots[_TARGET] < 0):
        return False
    at, length = _lies(fields, slots[_ID])
    if not _is_id(buffer, at, length):
        return False
    if what != _NEW:
        target, target_length = _lies(fields, slots[_TARGET])
        if not _is_id(buffer, target, target_length):
            return False
        row[C_TARGET_LO], row[C_TARGET_HI] = hash_text(buffer, target, target_length)
        _put_id(buffer, target, target_length, cold, True)
    row[C_LO], row[C_HI] = hash_text(buffer, at, length)
    _put_id(buffer, at, length, cold, False)
    return True


@kernel
def _account(buffer: Any, fields: Any, slots: Any, names: Any, terms: Terms) -> int:
    """Return the account of a message, 0: it is for Python."""
    if slots[_ACCOUNT] < 0:
        return int(terms.account_id)
    at, length = _lies(fields, slots[_ACCOUNT])
    return int(_number(names, terms.scope, buffer, at, length))


@kernel
def _is_same(buffer: Any, fields: Any, slots: Any, book: lt.Book, account: int, row: Any, kind: int) -> bool:
    """Return whether a replace leaves type and time in force of its order as they are, as far as it is known."""
    slot = lt.find_client(book, account, row[C_TARGET_LO], row[C_TARGET_HI])
    if slot == 0:
        return True
    order = book.orders[slot]
    if slots[_INST] >= 0 or (kind != order[lt.O_TYPE] and kind != order[lt.O_ENTERED_TYPE]):
        return False
    if slots[_TIF] < 0:
        return True
    tif = _time_in_force(buffer, fields, slots, kind)
    return bool(tif == order[lt.O_TIF] or tif == order[lt.O_ENTERED_TIF])


@kernel
def _time_in_force(buffer: Any, fields: Any, slots: Any, kind: int) -> int:
    """Return how long an order lives, -1: that is for Python."""
    tif = plain_int(_DAY)
    if slots[_TIF] >= 0:
        at, length = _lies(fields, slots[_TIF])
        tif = plain_int(buffer[at]) - _ZERO
        if length != 1 or tif < 0 or tif > 9 or (_TIF_BITS >> tif) & 1 == 0:
            return -1
    if kind == _MARKET and (tif == _DAY or tif == _GTC):
        return _IOC
    return int(tif)


@kernel
def _put_terms(
    buffer: Any, fields: Any, values: Any, slots: Any, venue: vt.Venue, names: Any, terms: Terms, what: int, row: Any,
    book: lt.Book,
) -> int:  # fmt: skip
    """Write price, quantity and instrument of an order or a replace; its kinds, or -1: it is for Python."""
    if slots[_SYMBOL] < 0 or slots[_SIDE] < 0 or slots[_TYPE] < 0 or slots[_QTY] < 0:
        return -1
    at, length = _lies(fields, slots[_SYMBOL])
    number = _number(names, plain_int(SYMBOLS), buffer, at, length)
    if number <= 0 or number >= venue.instruments.shape[0] or venue.instruments[number, vt.I_FITS] == 0:
        return -1
    instrument = venue.instruments[number]
    side, kind = values[slots[_SIDE]] - _ZERO, values[slots[_TYPE]] - _ZERO
    account = row[C_OWNER] >> 32
    if side < 1 or side > 2 or (kind != _MARKET and kind != _LIMIT):
        return -1
    if what == _REPLACE and not _is_same(buffer, fields, slots, book, account, row, kind):
        return -1
    qty = _decimal(fields, values, slots[_QTY], instrument[vt.I_BASE_SCALE], instrument[vt.I_LOT_UNITS])
    price = plain_int(0)
    if slots[_PRICE] >= 0:
        price = _decimal(fields, values, slots[_PRICE], instrument[vt.I_QUOTE_SCALE], instrument[vt.I_TICK_UNITS])
    elif kind == _LIMIT:
        return -1
    if qty < 0 or price < 0:
        return -1
    row[C_OWNER], row[C_PRICE], row[C_QTY] = number | account << 32, price, qty
    if what == _REPLACE:
        return int(side << 8 | (_HAS_COLD | _BY_ID) << 40)
    tif, flags = _time_in_force(buffer, fields, slots, kind), plain_int(0)
    if slots[_INST] >= 0:
        at, length = _lies(fields, slots[_INST])
        flags = _flags(buffer, at, length)
    if tif < 0 or flags < 0:
        return -1
    flags |= terms.flags | _HAS_COLD
    return int(side << 8 | kind << 16 | tif << 24 | terms.self_trade << 32 | flags << 40)


@entry
def take_many(
    buffer: Any, fields: Any, values: Any, messages: Any, first: int, count: int, rules: Any, names: Names, terms:
    Terms, venue: vt.Venue, book: lt.Book, rows: Any, cold: Any, slots: Any,
) -> int:  # fmt: skip
    """Write the rows of plain messages; return how many of the first of them were made.

    Args:
        buffer: what they were decoded from, with the tables `fields`, `values`, `messages` and `rules` of it.
        first: the first message.
        count: how many.
        names: of all sessions.
        terms: of this one.
        venue: its instruments.
        book: the live orders.
        rows: int64[count, 16], where command rows go.
        cold: int64[count, 16], where cold rows go: each has one.
        slots: int64[12], scratch.

    """
    for step in range(count):
        message = first + step
        letter = messages[message, M_TYPE]
        what = _NEW if letter == _D else _CANCEL if letter == _F else _REPLACE
        if what == _REPLACE and letter != _G:
            return step
        row, texts = rows[step], cold[step]
        for word in range(16):
            row[word] = texts[word] = 0
        what = plain_int(what)
        if not _find_fields(fields, messages[message, M_FIRST], messages[message, M_COUNT], rules, what, slots):
            return step
        account = _account(buffer, fields, slots, names.table, terms)
        if account <= 0 or not _put_ids(buffer, fields, slots, what, row, texts):
            return step
        row[C_OWNER] = account << 32
        kinds = plain_int((_HAS_COLD | _BY_ID) << 40)
        if what != _CANCEL:
            kinds = _put_terms(buffer, fields, values, slots, venue, names.table, terms, what, row, book)
        if kinds < 0:
            return step
        row[C_KINDS] = kinds | _KINDS[what]
    return count
