"""One call for a frame of events: live orders are entered, changed and ended, and reports written, in compiled code.

What `reports.Reports` does, event by event, in Python is done here for nearly every event, to the byte; an event that
is not simple enough is left to it: the call returns there, and is made again for the rest.

Invariant: an event is either followed whole, or nothing of it is.
"""

from __future__ import annotations

from typing import Any, Final

from gateways.fix import live_table as lt
from gateways.fix import report_write as rw
from gateways.fix import tellable as tb
from gateways.fix import text_table as tt
from gateways.fix import venue_table as vt
from gateways.fix.compiled import entry, inlined, kernel, plain_int
from kk99.schema import CancelReason, CommandKind, EventKind, Flag, OrderType

DONE, TO_PYTHON, NO_ROOM = range(3)
"""Why `follow` returned: all is followed; the event is for Python; it wants larger tables or an empty `out`."""

_ACCEPTED, _DETAILS, _REPLACED, _REDUCED, _RESIZED, _CANCELED, _TRIGGERED, _TRADE = (
    kind.value
    for kind in (
        EventKind.ORDER_ACCEPTED, EventKind.ORDER_DETAILS, EventKind.ORDER_REPLACED, EventKind.ORDER_REDUCED,
        EventKind.ORDER_RESIZED, EventKind.ORDER_CANCELED, EventKind.ORDER_TRIGGERED, EventKind.TRADE,
    )
)  # fmt: skip
_REJECTED, _MASS_CANCEL, _NOTED = (
    kind.value for kind in (EventKind.REJECTED, EventKind.MASS_CANCEL_ACCEPTED, EventKind.MESSAGE_NOTED)
)
_RARE: Final = sum(
    1 << kind
    for kind in (
        EventKind.ORDER_IMAGE, EventKind.ORDER_RELEASED, EventKind.EXITS_REFUSED, EventKind.TRADE_BUSTED,
        EventKind.TRADE_CORRECTED,
    )
)  # fmt: skip
_NEW: Final = CommandKind.ORDER_NEW.value
_MARKET, _LIMIT, _STOP, _STOP_LIMIT, _OCO = (
    kind.value for kind in (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT, OrderType.OCO)
)
_TRAILING, _TRAILING_LIMIT, _BRACKET = (
    kind.value for kind in (OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT, OrderType.BRACKET)
)
_REQUESTED, _EXPIRED = CancelReason.REQUESTED.value, CancelReason.EXPIRED.value
_REASON_LAST: Final = max(CancelReason).value
_KEPT: Final = int(Flag.PRIORITY_KEPT)

_FOLLOWED: Final = _RARE | tt.TEXT_BITS | sum(1 << kind for kind in (_DETAILS, _REDUCED, _RESIZED, _TRIGGERED, _TRADE))
_KIND_MAX: Final = 62
"""Kinds above are none of orders."""
assert max(EventKind) <= _KIND_MAX

_ENTERED: Final = ord("0")
_CHANGED: Final = ord("5")
_FILL: Final = ord("F")


@kernel
def _tell(book: lt.Book, venue: vt.Venue, out: rw.Out, slot: int, line: int, event: Any) -> None:
    """Write a report to a line, if one is told, and begin anew with what the next is to say."""
    if line >= 0:
        rw.write(out, venue, book.orders[slot], line, event, book.st)
    rw.nothing(out.say)


@kernel
def _take_ids(book: lt.Book, texts: tt.Texts, ids: Any) -> None:
    """Copy the texts of the command at hand to where reports read them."""
    row = book.st[lt.ST_TEXT_AT]
    for word in range(rw.IDS_WORDS):
        ids[rw.CLIENT, word] = texts.slab[row, tt.P_CLIENT + word] if row != 0 else 0
        ids[rw.ORIGINAL, word] = texts.slab[row, tt.P_ORIGINAL + word] if row != 0 else 0


@inlined
def _change(row: Any, event: Any, has_terms: bool) -> None:
    """Give an order new price and quantities, and where the event has them, type and time in force."""
    row[lt.O_PRICE], row[lt.O_QTY], row[lt.O_LEAVES] = event[lt.E_PRICE], event[lt.E_QTY], event[lt.E_LEAVES]
    if has_terms:
        row[lt.O_TYPE] = (event[lt.E_KINDS] >> lt.TYPE_SHIFT) & 0xFF
        row[lt.O_TIF] = (event[lt.E_KINDS] >> lt.TIF_SHIFT) & 0xFF


@kernel
def _accepted(event: Any, book: lt.Book, venue: vt.Venue, texts: tt.Texts, out: rw.Out) -> bool:
    """Follow an ORDER_ACCEPTED; False: it is for Python."""
    st, kinds, ids = book.st, event[lt.E_KINDS], out.ids
    line = tb.line_of(venue, event[lt.E_SESSION] & lt.LOW)
    if line >= 0 and not tb.can_enter(event, venue, line):
        return False
    is_own = (kinds >> lt.COMMAND_SHIFT) & 0xFF == _NEW and st[lt.ST_HAS_TRADED] == 0
    slot = lt.enter(book, event)
    if not is_own:
        return True
    row = book.orders[slot]
    if (event[lt.E_LO] != 0 or event[lt.E_HI] != 0) and st[lt.ST_TEXT_AT] != 0:
        _take_ids(book, texts, ids)
        which = rw.ORIGINAL if st[lt.ST_ACCEPTED] != 0 else rw.CLIENT
        for word in range(rw.IDS_WORDS):
            row[lt.O_TEXT_LENGTH + word] = ids[which, word]
    st[lt.ST_ACCEPTED] += 1
    if st[lt.ST_DETAILED] == 0:
        row[lt.O_TOLD] = 1
        out.say[rw.W_EXEC_TYPE] = _ENTERED
        _tell(book, venue, out, slot, line, event)
    return True


@inlined
def _set_details(event: Any, row: Any) -> None:
    """Give an order its further terms."""
    kind = row[lt.O_TYPE]
    row[lt.O_EXPIRE] = event[lt.E_EXPIRE]
    row[lt.O_LINKED] = 1 if event[lt.E_LO] != 0 else 0
    if kind == _TRAILING or kind == _TRAILING_LIMIT:
        row[lt.O_TRAIL] = event[lt.E_QTY]
        row[lt.O_TRAIL_UNIT] = (event[lt.E_KINDS] >> lt.TRAIL_UNIT_SHIFT) & 0xFF
    if _STOP <= kind < _OCO or kind == _BRACKET:
        row[lt.O_TRIGGER] = event[lt.E_PRICE]
    elif kind == _LIMIT:
        row[lt.O_DISPLAY], row[lt.O_MIN_QTY] = event[lt.E_QTY], event[lt.E_AMOUNT]


@kernel
def _details(event: Any, book: lt.Book, venue: vt.Venue, out: rw.Out) -> bool:
    """Follow an ORDER_DETAILS; False: it is for Python."""
    slot = lt.find(book, event[lt.E_ORDER])
    if slot == 0:
        return True
    st, row = book.st, book.orders[slot]
    is_new = row[lt.O_TOLD] == 0
    is_replaced = not is_new and st[lt.ST_REPLACED] == slot
    session = row[lt.O_SESSION]
    if row[lt.O_TYPE] <= _STOP_LIMIT and event[lt.E_HI] != 0 and is_new:
        parent = lt.find(book, event[lt.E_HI])
        session = book.orders[parent, lt.O_SESSION] if parent != 0 else session
    line = tb.line_of(venue, session)
    if is_new or is_replaced:
        other = tb.line_of(venue, event[lt.E_SESSION] & lt.LOW) if is_replaced else line
        if not tb.can_detail(event, book, venue, slot, line) or not tb.can_detail(event, book, venue, slot, other):
            return False
    _set_details(event, row)
    row[lt.O_SESSION] = session
    if is_new:
        row[lt.O_TOLD] = 1
        out.say[rw.W_EXEC_TYPE] = _ENTERED
        _tell(book, venue, out, slot, line, event)
    elif is_replaced:
        for word in range(rw.IDS_WORDS):
            out.ids[rw.OLD, word] = st[lt.ST_OLD_LENGTH + word]
        _tell_replaced(event, book, venue, out, slot)
    return True


@kernel
def _tell_replaced(event: Any, book: lt.Book, venue: vt.Venue, out: rw.Out, slot: int) -> None:
    """Tell an order's session, and the one that replaced it if that is another."""
    book.st[lt.ST_REPLACED] = 0
    session, asker = book.orders[slot, lt.O_SESSION], event[lt.E_SESSION] & lt.LOW
    out.say[rw.W_EXEC_TYPE], out.say[rw.W_ORIGINAL] = _CHANGED, rw.OLD
    _tell(book, venue, out, slot, tb.line_of(venue, session), event)
    if asker != session:
        out.say[rw.W_EXEC_TYPE], out.say[rw.W_ORIGINAL], out.say[rw.W_PART] = _CHANGED, rw.OLD, 1
        _tell(book, venue, out, slot, tb.line_of(venue, asker), event)


@kernel
def _replaced(event: Any, book: lt.Book, venue: vt.Venue, texts: tt.Texts, out: rw.Out) -> bool:
    """Follow an ORDER_REPLACED; False: it is for Python."""
    slot = lt.find(book, event[lt.E_ORDER])
    if slot == 0:
        return True
    st, row, ids = book.st, book.orders[slot], out.ids
    for session in (row[lt.O_SESSION], event[lt.E_SESSION] & lt.LOW):
        line = tb.line_of(venue, session)
        if not tb.can_tell(venue, book, slot, line, event[lt.E_QTY], event[lt.E_LEAVES], event[lt.E_PRICE]):
            return False
        if line >= 0 and (event[lt.E_KINDS] >> lt.TYPE_SHIFT) & 0xFF > _BRACKET:
            return False
    _take_ids(book, texts, ids)
    has_id = row[lt.O_TEXT_LENGTH] != 0
    for word in range(rw.IDS_WORDS):
        ids[rw.OLD, word] = row[lt.O_TEXT_LENGTH + word] if has_id else ids[rw.ORIGINAL, word]
    if event[lt.E_LO] != row[lt.O_CLIENT_LO] or event[lt.E_HI] != row[lt.O_CLIENT_HI]:
        lt.rename(book, slot, event[lt.E_LO], event[lt.E_HI])
        for word in range(rw.IDS_WORDS):
            row[lt.O_TEXT_LENGTH + word] = ids[rw.CLIENT, word]
    _change(row, event, event[lt.E_ORDER] != 0)
    flags = (event[lt.E_KINDS] >> lt.FLAGS_SHIFT) & 0xFF
    if _STOP <= row[lt.O_TYPE] < _OCO and flags & _KEPT == 0:
        st[lt.ST_REPLACED] = slot
        for word in range(rw.IDS_WORDS):
            st[lt.ST_OLD_LENGTH + word] = ids[rw.OLD, word]
    else:
        _tell_replaced(event, book, venue, out, slot)
    return True


@kernel
def _restated(event: Any, kind: int, book: lt.Book, venue: vt.Venue, out: rw.Out) -> bool:
    """Follow an ORDER_REDUCED, ORDER_RESIZED or ORDER_TRIGGERED; False: it is for Python."""
    slot = lt.find(book, event[lt.E_ORDER])
    if slot == 0:
        return True
    row, say = book.orders[slot], out.say
    line = tb.line_of(venue, row[lt.O_SESSION])
    if not tb.can_tell(venue, book, slot, line, event[lt.E_QTY], event[lt.E_LEAVES], event[lt.E_PRICE]):
        return False
    if line >= 0 and kind == _TRIGGERED and (event[lt.E_KINDS] >> lt.TYPE_SHIFT) & 0xFF > _BRACKET:
        return False
    _change(row, event, kind == _TRIGGERED)
    say[rw.W_EXEC_TYPE], say[rw.W_RESTATED], say[rw.W_TEXT] = rw.RESTATE, rw.MARKET_OPTION, rw.AS_LINKED
    if kind == _REDUCED:
        say[rw.W_RESTATED], say[rw.W_TEXT] = rw.PARTIAL_DECLINE, rw.SELF_TRADE
    elif kind == _TRIGGERED:
        say[rw.W_EXEC_TYPE], say[rw.W_RESTATED], say[rw.W_TEXT] = rw.TRIGGER, rw.OTHER_RESTATEMENT, rw.TRIGGERED
    _tell(book, venue, out, slot, line, event)
    return True


@kernel
def _canceled(event: Any, book: lt.Book, venue: vt.Venue, texts: tt.Texts, out: rw.Out) -> bool:
    """Follow an ORDER_CANCELED; False: it is for Python."""
    slot = lt.find_live(book, event[lt.E_ORDER])
    if slot == 0:
        return True
    row, reason, say = book.orders[slot], (event[lt.E_KINDS] >> lt.REASON_SHIFT) & 0xFF, out.say
    session, asker = row[lt.O_SESSION], event[lt.E_SESSION] & lt.LOW
    is_own = reason != _REQUESTED or asker == session
    line = tb.line_of(venue, session)
    other = line if is_own else tb.line_of(venue, asker)
    if not 1 <= reason <= _REASON_LAST:
        return False
    qty, price, leaves = row[lt.O_QTY], row[lt.O_PRICE], event[lt.E_LEAVES]
    for told in (line, other):
        if not tb.can_tell(venue, book, slot, told, qty, leaves, price):
            return False
    status = lt.EXPIRED if reason == _EXPIRED else lt.CANCELED
    lt.finish(book, slot, plain_int(status))
    if reason != _REQUESTED:
        say[rw.W_EXEC_TYPE], say[rw.W_RESTATED], say[rw.W_TEXT] = status, rw.RESTATED[reason], reason
        _tell(book, venue, out, slot, line, event)
        return True
    if not is_own:
        say[rw.W_EXEC_TYPE], say[rw.W_RESTATED], say[rw.W_TEXT] = status, rw.OTHER_RESTATEMENT, rw.OTHER_SESSION
        _tell(book, venue, out, slot, line, event)
        say[rw.W_PART] = 1
    _take_ids(book, texts, out.ids)
    if out.ids[rw.ORIGINAL, 0] == 0:
        for word in range(rw.IDS_WORDS):
            out.ids[rw.ORIGINAL, word] = row[lt.O_TEXT_LENGTH + word]
    say[rw.W_EXEC_TYPE], say[rw.W_CLIENT], say[rw.W_ORIGINAL] = status, rw.CLIENT, rw.ORIGINAL
    _tell(book, venue, out, slot, other, event)
    return True


@kernel
def _fill(event: Any, side: int, book: lt.Book, venue: vt.Venue, out: rw.Out, slot: int) -> None:
    """Count a fill of one side (0: the taker's), and tell it."""
    if slot == 0:
        return
    row, say = book.orders[slot], out.say
    leaves = event[lt.E_LEAVES] if side == 0 else event[lt.E_CONTRA_LEAVES]
    row[lt.O_FILLED] += event[lt.E_QTY]
    row[lt.O_NOTIONAL] += event[lt.E_QTY] * event[lt.E_PRICE]
    row[lt.O_LEAVES] = leaves
    if leaves == 0 and row[lt.O_BUDGET] == 0:
        lt.finish(book, slot, plain_int(lt.FILLED))
    say[rw.W_PART], say[rw.W_EXEC_TYPE], say[rw.W_IS_TAKER] = side, _FILL, 1 - side
    say[rw.W_PRICE], say[rw.W_QTY], say[rw.W_TRADE] = event[lt.E_PRICE], event[lt.E_QTY], event[lt.E_TRADE]
    say[rw.W_FEE] = event[lt.E_FEE] if side == 0 else event[lt.E_CONTRA_FEE]
    _tell(book, venue, out, slot, tb.line_of(venue, row[lt.O_SESSION]), event)


@kernel
def _trade(event: Any, book: lt.Book, venue: vt.Venue, out: rw.Out) -> bool:
    """Follow a TRADE; False: it is for Python."""
    taker, maker = lt.find_live(book, event[lt.E_ORDER]), lt.find_live(book, event[lt.E_CONTRA])
    leaves, contra_leaves = event[lt.E_LEAVES], event[lt.E_CONTRA_LEAVES]
    if not tb.can_fill(event, book, venue, taker, leaves) or not tb.can_fill(event, book, venue, maker, contra_leaves):
        return False
    if (event[lt.E_KINDS] >> lt.COMMAND_SHIFT) & 0xFF == _NEW:
        book.st[lt.ST_HAS_TRADED] = 1
    lt.note_trade(book, taker, maker, event)
    _fill(event, plain_int(0), book, venue, out, taker)
    _fill(event, plain_int(1), book, venue, out, maker)
    return True


@inlined
def _is_answered(event: Any, kind: int, venue: vt.Venue) -> bool:
    """Return whether a REJECTED, MASS_CANCEL_ACCEPTED or MESSAGE_NOTED is to be answered."""
    if kind == _NOTED and not 0 < event[lt.E_AMOUNT] <= 0xFFFF:
        return False
    return tb.line_of(venue, event[lt.E_SESSION] & lt.LOW) >= 0


@inlined
def _one(event: Any, kind: int, book: lt.Book, venue: vt.Venue, texts: tt.Texts, out: rw.Out) -> bool:
    """Follow one event; False: it is for Python."""
    if kind == _TRADE:
        return _trade(event, book, venue, out)
    if kind == _ACCEPTED:
        return _accepted(event, book, venue, texts, out)
    if kind == _CANCELED:
        return _canceled(event, book, venue, texts, out)
    if kind == _REPLACED:
        return _replaced(event, book, venue, texts, out)
    if kind == _DETAILS:
        return _details(event, book, venue, out)
    if kind == _REDUCED or kind == _RESIZED or kind == _TRIGGERED:
        return _restated(event, kind, book, venue, out)
    if kind == _REJECTED or kind == _MASS_CANCEL or kind == _NOTED:
        return not _is_answered(event, kind, venue)
    return kind > _KIND_MAX or (_RARE >> kind) & 1 == 0


@kernel
def _find_texts(event: Any, book: lt.Book, venue: vt.Venue, texts: tt.Texts) -> None:
    """Find the texts of an event's command."""
    session, at = event[lt.E_SESSION], 0
    line = tb.line_of(venue, session & lt.LOW)
    if line >= 0:
        at = tt.locate(texts, line & (vt.SLOW - 1), session >> 32, event[lt.E_CONTRA], event[lt.E_CAUSE])
    elif line == vt.UNKNOWN:
        at = tt.find_asked(texts, event[lt.E_CAUSE])
    book.st[lt.ST_TEXT_AT] = at


@inlined
def _look_ahead(events: Any, at: int, count: int, st: Any) -> None:
    """Take note of whether the order that an event accepts has details, which come next, in the same frame."""
    st[lt.ST_DETAILED] = 0
    if events[at, lt.E_KINDS] & 0xFF == _ACCEPTED and at + 1 < count and events[at + 1, lt.E_KINDS] & 0xFF == _DETAILS:
        st[lt.ST_DETAILED] = 1 if events[at + 1, lt.E_ORDER] == events[at, lt.E_ORDER] else 0


@entry
def locate_texts(events: Any, at: int, book: lt.Book, venue: vt.Venue, texts: tt.Texts) -> None:
    """Find the texts of one event's command, and whether details follow, as `follow` does."""
    _look_ahead(events, at, events.shape[0], book.st)
    kind = events[at, lt.E_KINDS] & 0xFF
    if kind <= _KIND_MAX and (tt.TEXT_BITS >> kind) & 1 != 0:
        _find_texts(events[at], book, venue, texts)


@entry
def follow(
    events: Any, first: int, count: int, book: lt.Book, venue: vt.Venue, texts: tt.Texts, out: rw.Out, why: Any
) -> int:
    """Follow the events [first, count); return the index of the first that is not followed, and why in `why[0]`.

    `events` is int64[n, 16]; ST_ROWS and ST_BYTES of the state are where the next report goes in `out`. Before an event
    that is for Python its texts are at ST_TEXT_AT.
    """
    st = book.st
    why[0] = DONE
    for at in range(first, count):
        event = events[at]
        kind = event[lt.E_KINDS] & 0xFF
        has_room = lt.fits(book) and st[lt.ST_ROWS] + 2 <= out.rows.shape[0]
        if not has_room or st[lt.ST_BYTES] + 2 * rw.BODY_BYTES > out.data.shape[0]:
            why[0] = NO_ROOM
            return at
        if event[lt.E_CAUSE] != st[lt.ST_CAUSE] and kind <= _KIND_MAX and (_FOLLOWED >> kind) & 1 != 0:
            lt.new_cause(book, event[lt.E_CAUSE])
        _look_ahead(events, at, count, st)
        if kind <= _KIND_MAX and (tt.TEXT_BITS >> kind) & 1 != 0:
            _find_texts(event, book, venue, texts)
        if not _one(event, kind, book, venue, texts, out):
            why[0] = TO_PYTHON
            return at
    return count
