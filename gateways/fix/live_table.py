"""The live orders as tables that compiled code and Python share: found by id and by client order id, filled, ended.

A row of `orders` is one order, `O_…` its words; row 0 is none. Python sees a row as a `lives.Order`.

Invariants: an order that ended keeps its row for as long as its command's events are followed, and for as long as a
trade can be undone that names it; tables never grow in compiled code: its caller makes room before (`with_room`).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from gateways.fix.compiled import entry, inlined, kernel
from kk99 import schema
from kk99.schema import EventKind, OrderType

O_ID, O_SESSION, O_ACCOUNT, O_INSTRUMENT, O_SIDE, O_TYPE, O_ENTERED_TYPE, O_TIF, O_ENTERED_TIF, O_SELF_TRADE = range(10)
O_FLAGS, O_CLIENT_LO, O_CLIENT_HI, O_ENTRY_SEQ, O_QTY, O_LEAVES, O_PRICE, O_BUDGET, O_FILLED, O_NOTIONAL = range(10, 20)
O_TRIGGER, O_TRAIL, O_TRAIL_UNIT, O_DISPLAY, O_MIN_QTY, O_EXPIRE, O_LINKED, O_TOLD, O_END, O_TRADES = range(20, 30)
O_TEXT_LENGTH: Final = 30
O_TEXT: Final = 31
TEXT_WORDS: Final = 5
O_WORDS: Final = O_TEXT + TEXT_WORDS

T_ID, T_TAKER, T_MAKER, T_PRICE, T_QTY, T_SEQ, T_INDEX = range(7)
T_WORDS: Final = 8
"""A trade that can still be undone: rows of its orders (0: none), and which event its latest reports are of."""

# The state beside the tables
ST_TOP: Final = 0
"""Rows of `orders` ever used."""
ST_FREE: Final = 1
"""The first free one of these; its O_ID names the next."""
ST_LIVE: Final = 2
ST_CAUSE: Final = 3
ST_ACCEPTED: Final = 4
ST_HAS_TRADED: Final = 5
ST_ENDED: Final = 6
ST_TRADES: Final = 7
"""Trades ever followed."""
ST_REPLACED: Final = 8
"""The order whose replace is told when its details have come, and the id it had before."""
ST_OLD_LENGTH: Final = 9
ST_OLD: Final = 10
ST_TEXT_AT: Final = ST_OLD + TEXT_WORDS
"""Where the texts of the event at hand are in `texts.Texts.slab`; 0: it has none."""
ST_ROWS: Final = ST_TEXT_AT + 1
ST_BYTES: Final = ST_ROWS + 1
ST_SECRET: Final = ST_BYTES + 1
"""What client order ids are scattered by, so that nobody can choose ids that collide."""
ST_DETAILED: Final = ST_SECRET + 1
"""1 while an ORDER_ACCEPTED is followed whose ORDER_DETAILS comes next."""
ST_WORDS: Final = 24

ORDERS_FIRST: Final = 1 << 10
ENDED_ROOM: Final = 8
"""Orders that one event may end, and then some."""

FILLED: Final = ord("2")
CANCELED: Final = ord("4")
EXPIRED: Final = ord("C")

# Words and bits of an event
E_CAUSE, E_TIME, E_ORIGIN, E_INDEX, E_KINDS, E_ACCOUNTS, E_ORDER, E_CONTRA, E_PRICE, E_QTY, E_LEAVES = range(11)
E_SESSION, E_LO, E_HI, E_TRADE, E_AMOUNT = range(11, 16)
E_FEE, E_CONTRA_FEE, E_CONTRA_LEAVES, E_EXPIRE = E_LO, E_HI, E_SESSION, E_TRADE
LOW: Final = 0xFFFFFFFF
SIDE_SHIFT, TYPE_SHIFT, TIF_SHIFT, SELF_TRADE_SHIFT, FLAGS_SHIFT, REASON_SHIFT, COMMAND_SHIFT = range(8, 64, 8)
TRAIL_UNIT_SHIFT: Final = FLAGS_SHIFT
for _word, _field in enumerate(
    ("cause_seq", "time_ns", "origin_seq", "index", "kind", "account_id", "order_id", "contra_order_id", "price_ticks",
     "qty_lots", "leaves_lots", "session_id", "client_id_lo", "client_id_hi", "trade_id", "amount_units")
):  # fmt: skip
    assert schema.word_of(schema.EVENT, _field) == _word
for _shift, _field in enumerate(
    ("side", "order_type", "time_in_force", "self_trade", "flags", "reason", "command_kind"), 1
):
    assert schema.shift_of(schema.EVENT, _field) == 8 * _shift
assert schema.CLIENT_ID_BYTES <= 8 * TEXT_WORDS

_SLOT_MASK: Final = schema.ORDERS_MAX - 1
_ORDER_FLAGS: Final = int(schema.ORDER_FLAGS)
_IMAGE: Final = EventKind.ORDER_IMAGE.value
_MARKET: Final = OrderType.MARKET.value
_SCATTER: Final = 0x9E3779B1
_HALF: Final = (1 << 31) - 1

FIND, FIND_CLIENT, ENTER, FINISH, RENAME, CAUSE, TRADE = range(7)
"""What `act` can do."""


class Book(NamedTuple):
    """The tables."""

    orders: Any
    """int64[rows, O_WORDS]."""
    slot_of: Any
    """int32[ORDERS_MAX]: the row of an order, by the core's own slot."""
    by_client: Any
    """int32[power of two]: rows, by account and client order id; 0: free."""
    ended: Any
    """int64[n]: rows of the orders that ended by the command at hand."""
    trades: Any
    """int64[TRADE_WINDOW, T_WORDS]: a ring."""
    st: Any
    """int64[ST_WORDS]."""


def new_book(secret: int, trade_window: int) -> Book:
    """Return empty tables; `secret` has 61 bits."""
    st = np.zeros(ST_WORDS, np.int64)
    st[ST_TOP], st[ST_SECRET] = 1, secret | 1 << 31 | 1
    return Book(
        np.zeros((ORDERS_FIRST, O_WORDS), np.int64),
        np.zeros(schema.ORDERS_MAX, np.int32),
        np.zeros(4 * ORDERS_FIRST, np.int32),
        np.zeros(4_096, np.int64),
        np.zeros((trade_window, T_WORDS), np.int64),
        st,
    )


@inlined
def fits(book: Book) -> bool:
    """Return whether one more event surely fits."""
    st = book.st
    has_row = st[ST_FREE] != 0 or st[ST_TOP] < book.orders.shape[0]
    return bool(has_row and st[ST_ENDED] + ENDED_ROOM <= book.ended.shape[0] and 2 * st[ST_LIVE] < len(book.by_client))


@kernel
def find(book: Book, order_id: int) -> int:
    """Return the row of an order that lives, or ended by the command at hand; 0: there is none."""
    slot = int(book.slot_of[order_id & _SLOT_MASK])
    if slot != 0 and book.orders[slot, O_ID] == order_id:
        return slot
    for at in range(book.st[ST_ENDED]):
        slot = int(book.ended[at])
        if book.orders[slot, O_ID] == order_id:
            return slot
    return 0


@inlined
def find_live(book: Book, order_id: int) -> int:
    """Return the row of a live order, or 0."""
    slot = int(book.slot_of[order_id & _SLOT_MASK])
    return slot if slot != 0 and book.orders[slot, O_ID] == order_id and book.orders[slot, O_END] == 0 else 0


@inlined
def _place(book: Book, account: int, low: int, high: int) -> int:
    """Return where the search for a client order id begins."""
    secret = book.st[ST_SECRET]
    first = (low ^ account * _SCATTER) & LOW
    second = ((low >> 32) ^ high) & LOW
    mixed = (first * (secret & _HALF)) >> 12 ^ (second * (secret >> 31)) >> 15
    return int(mixed & (book.by_client.shape[0] - 1))


@kernel
def find_client(book: Book, account: int, low: int, high: int) -> int:
    """Return the row of an account's live order that has a client order id, or 0."""
    mask = book.by_client.shape[0] - 1
    at = _place(book, account, low, high)
    while book.by_client[at] != 0:
        slot = int(book.by_client[at])
        row = book.orders[slot]
        if row[O_CLIENT_LO] == low and row[O_CLIENT_HI] == high and row[O_ACCOUNT] == account:
            return slot
        at = (at + 1) & mask
    return 0


@kernel
def _put_client(book: Book, slot: int) -> None:
    """Let an order be found by its client order id, if it has one."""
    row = book.orders[slot]
    low, high = row[O_CLIENT_LO], row[O_CLIENT_HI]
    if low == 0 and high == 0:
        return
    mask = book.by_client.shape[0] - 1
    at = _place(book, row[O_ACCOUNT], low, high)
    while book.by_client[at] != 0:
        at = (at + 1) & mask
    book.by_client[at] = slot


@kernel
def _drop_client(book: Book, slot: int) -> None:
    """Let an order be found by its client order id no longer; those behind it close the hole."""
    row = book.orders[slot]
    if row[O_CLIENT_LO] == 0 and row[O_CLIENT_HI] == 0:
        return
    mask = book.by_client.shape[0] - 1
    at = _place(book, row[O_ACCOUNT], row[O_CLIENT_LO], row[O_CLIENT_HI])
    while book.by_client[at] != slot:
        if book.by_client[at] == 0:
            return
        at = (at + 1) & mask
    hole = at
    while True:
        at = (at + 1) & mask
        other = int(book.by_client[at])
        if other == 0:
            break
        there = book.orders[other]
        home = _place(book, there[O_ACCOUNT], there[O_CLIENT_LO], there[O_CLIENT_HI])
        if (at - home) & mask >= (at - hole) & mask:
            book.by_client[hole] = other
            hole = at
    book.by_client[hole] = 0


@inlined
def _forget_id(book: Book, slot: int) -> None:
    """Let an order be found by its id no longer."""
    at = book.orders[slot, O_ID] & _SLOT_MASK
    if book.slot_of[at] == slot:
        book.slot_of[at] = 0


@inlined
def _free(book: Book, slot: int) -> None:
    """Give a row back."""
    book.orders[slot, O_ID] = -book.st[ST_FREE]
    book.st[ST_FREE] = slot


@kernel
def enter(book: Book, event: Any) -> int:
    """Take an order that is accepted, or in an image; return its row. Its text is the caller's to set."""
    st = book.st
    before = find_live(book, event[E_ORDER])
    if before != 0:  # never in a stream of the engine's
        finish(book, before, CANCELED)
    slot = st[ST_FREE]
    if slot != 0:
        st[ST_FREE] = -book.orders[slot, O_ID]
    else:
        slot = st[ST_TOP]
        st[ST_TOP] = slot + 1
    row = book.orders[slot]
    for word in range(O_WORDS):
        row[word] = 0
    kinds = event[E_KINDS]
    order_type = (kinds >> TYPE_SHIFT) & 0xFF
    row[O_ID] = event[E_ORDER]
    row[O_SESSION] = event[E_SESSION] & LOW
    row[O_ACCOUNT] = event[E_ACCOUNTS] & LOW
    row[O_INSTRUMENT] = event[E_INDEX] >> 32
    row[O_SIDE] = (kinds >> SIDE_SHIFT) & 0xFF
    row[O_TYPE] = row[O_ENTERED_TYPE] = order_type
    row[O_TIF] = row[O_ENTERED_TIF] = (kinds >> TIF_SHIFT) & 0xFF
    row[O_SELF_TRADE] = (kinds >> SELF_TRADE_SHIFT) & 0xFF
    row[O_FLAGS] = (kinds >> FLAGS_SHIFT) & _ORDER_FLAGS
    row[O_CLIENT_LO], row[O_CLIENT_HI] = event[E_LO], event[E_HI]
    is_image = kinds & 0xFF == _IMAGE
    row[O_ENTRY_SEQ] = event[E_ORIGIN] if is_image else event[E_CAUSE]
    row[O_QTY], row[O_LEAVES], row[O_PRICE] = event[E_QTY], event[E_LEAVES], event[E_PRICE]
    if order_type == _MARKET and event[E_QTY] == 0:
        row[O_BUDGET] = event[E_AMOUNT]
    row[O_TOLD] = 1 if is_image else 0
    book.slot_of[event[E_ORDER] & _SLOT_MASK] = slot
    _put_client(book, slot)
    st[ST_LIVE] += 1
    return int(slot)


@kernel
def finish(book: Book, slot: int, end: int) -> None:
    """Take an order that has ended, with its OrdStatus (39)."""
    book.orders[slot, O_END] = end
    book.orders[slot, O_LEAVES] = 0
    _drop_client(book, slot)
    st = book.st
    book.ended[st[ST_ENDED]] = slot
    st[ST_ENDED] += 1
    st[ST_LIVE] -= 1


@kernel
def rename(book: Book, slot: int, low: int, high: int) -> None:
    """Give an order another client order id; its text is the caller's to set."""
    _drop_client(book, slot)
    book.orders[slot, O_CLIENT_LO], book.orders[slot, O_CLIENT_HI] = low, high
    _put_client(book, slot)


@kernel
def new_cause(book: Book, cause: int) -> None:
    """Begin with the events of another command."""
    st = book.st
    st[ST_CAUSE] = cause
    st[ST_ACCEPTED] = st[ST_HAS_TRADED] = 0
    for at in range(st[ST_ENDED]):
        slot = int(book.ended[at])
        _forget_id(book, slot)
        if book.orders[slot, O_TRADES] == 0:
            _free(book, slot)
    st[ST_ENDED] = 0


@kernel
def _leave_trade(book: Book, slot: int) -> None:
    """Let a trade that can't be undone any more forget one of its orders."""
    if slot == 0:
        return
    row = book.orders[slot]
    row[O_TRADES] -= 1
    if row[O_TRADES] > 0 or row[O_END] == 0:
        return
    for at in range(book.st[ST_ENDED]):
        if book.ended[at] == slot:
            return
    _free(book, slot)


@inlined
def note_trade(book: Book, taker: int, maker: int, event: Any) -> None:
    """Remember a trade, the oldest one no longer."""
    at = book.st[ST_TRADES] % book.trades.shape[0]
    row = book.trades[at]
    if book.st[ST_TRADES] >= book.trades.shape[0]:
        _leave_trade(book, row[T_TAKER])
        _leave_trade(book, row[T_MAKER])
    book.st[ST_TRADES] += 1
    row[T_ID], row[T_TAKER], row[T_MAKER] = event[E_TRADE], taker, maker
    row[T_PRICE], row[T_QTY] = event[E_PRICE], event[E_QTY]
    row[T_SEQ], row[T_INDEX] = event[E_CAUSE], event[E_INDEX] & LOW
    if taker != 0:
        book.orders[taker, O_TRADES] += 1
    if maker != 0:
        book.orders[maker, O_TRADES] += 1


@entry
def act(book: Book, what: int, a: int, b: int, c: int, event: Any) -> int:
    """Do one thing with the tables; return a row, or 0. There must be room.

    FIND(order id), FIND_CLIENT(account, low, high), ENTER(event), FINISH(row, OrdStatus), RENAME(row, low, high),
    CAUSE(sequence), TRADE(taker's row, maker's row, event). `event` is int64[16].
    """
    if what == FIND:
        return int(find(book, a))
    if what == FIND_CLIENT:
        return int(find_client(book, a, b, c))
    if what == ENTER:
        return int(enter(book, event))
    if what == FINISH:
        finish(book, a, b)
    elif what == RENAME:
        rename(book, a, b, c)
    elif what == CAUSE:
        new_cause(book, a)
    elif what == TRADE:
        note_trade(book, a, b, event)
    return 0


def has_room(book: Book) -> bool:
    """Return whether one more event surely fits."""
    st = book.st
    return bool(
        (st[ST_FREE] or st[ST_TOP] < len(book.orders))
        and st[ST_ENDED] + ENDED_ROOM <= len(book.ended)
        and 2 * st[ST_LIVE] < len(book.by_client)
    )


def with_room(book: Book) -> Book:
    """Return the tables with room for at least one more event, larger ones where need be."""
    orders, by_client, ended, st = book.orders, book.by_client, book.ended, book.st
    if st[ST_FREE] == 0 and st[ST_TOP] >= len(orders):
        orders = np.zeros((2 * len(orders), O_WORDS), np.int64)
        orders[: len(book.orders)] = book.orders
    if st[ST_ENDED] + ENDED_ROOM > len(ended):
        ended = np.zeros(2 * len(ended), np.int64)
        ended[: len(book.ended)] = book.ended
    larger = book._replace(orders=orders, ended=ended)
    if 2 * int(st[ST_LIVE]) >= len(by_client):
        larger = larger._replace(by_client=np.zeros(4 * len(by_client), np.int32))
        _index(larger)
    return larger


@entry
def _index(book: Book) -> None:
    """Let all live orders be found by client order id, in a table that is empty."""
    for slot in range(1, book.st[ST_TOP]):
        if book.orders[slot, O_ID] > 0 and book.orders[slot, O_END] == 0:
            _put_client(book, slot)
