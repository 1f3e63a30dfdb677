"""Whether compiled code can follow an event and tell its session, asked before anything is changed.

What is too large for 64 bits, of an instrument or account that is not in the tables, or of a session that is left to
Python, can't.
"""

from __future__ import annotations

from typing import Any, Final

from gateways.fix import live_table as lt
from gateways.fix import venue_table as vt
from gateways.fix.compiled import inlined, kernel
from kk99.schema import OrderType

AVERAGE: Final = 1_000_000
"""An average price has so many times finer units than a price."""
_HALF: Final = 1 << 61
_FEE_MAX: Final = 1 << 59
_LIMIT, _BRACKET = OrderType.LIMIT.value, OrderType.BRACKET.value


@inlined
def line_of(venue: vt.Venue, session: int) -> int:
    """Return the line that is told of a session's orders; below 0: none is."""
    return int(venue.sessions[session]) if 0 <= session < venue.sessions.shape[0] else vt.UNWANTED


@inlined
def _average_fits(notional: int, qty: int, tick_units: int) -> bool:
    """Return whether an average price can be worked out in 64 bits."""
    if qty <= 0:
        return True
    rest = notional % qty
    return bool(0 <= notional < _HALF and qty < _HALF // 4 and rest < _HALF // (2 * tick_units * AVERAGE))


@kernel
def can_write(venue: vt.Venue, row: Any, qty: int, leaves: int, filled: int, notional: int, price: int) -> bool:
    """Return whether a report of an order can be written, with these quantities and this price."""
    instrument = row[lt.O_INSTRUMENT]
    if instrument >= venue.instruments.shape[0] or row[lt.O_ACCOUNT] >= venue.accounts.shape[0]:
        return False
    terms = venue.instruments[instrument]
    if terms[vt.I_FITS] == 0 or venue.accounts[row[lt.O_ACCOUNT], vt.A_LENGTH] == vt.UNFIT:
        return False
    most = max(qty, leaves, filled, row[lt.O_DISPLAY], row[lt.O_MIN_QTY])
    least = min(qty, leaves, filled, price, row[lt.O_PRICE], row[lt.O_TRIGGER])
    highest = max(price, row[lt.O_PRICE], row[lt.O_TRIGGER])
    return bool(
        least >= 0
        and most <= terms[vt.I_QTY_MAX]
        and highest <= terms[vt.I_PRICE_MAX]
        and 0 <= row[lt.O_TRAIL] < _HALF // 4
        and 0 <= row[lt.O_BUDGET] < _HALF // 4
        and 0 <= row[lt.O_TYPE] <= _BRACKET
        and _average_fits(notional, filled, terms[vt.I_TICK_UNITS])
    )


@kernel
def can_tell(venue: vt.Venue, book: lt.Book, slot: int, line: int, qty: int, leaves: int, price: int) -> bool:
    """Return whether a line, if it is told at all, can be told here of an order that will have these terms."""
    if line < 0:
        return True
    if line >= vt.SLOW:
        return False
    row = book.orders[slot]
    return can_write(venue, row, qty, leaves, row[lt.O_FILLED], row[lt.O_NOTIONAL], price)


@kernel
def can_enter(event: Any, venue: vt.Venue, line: int) -> bool:
    """Return whether a line can be told here of an order that is accepted."""
    account, instrument = event[lt.E_ACCOUNTS] & lt.LOW, event[lt.E_INDEX] >> 32
    if line >= vt.SLOW or instrument >= venue.instruments.shape[0] or account >= venue.accounts.shape[0]:
        return False
    terms = venue.instruments[instrument]
    if terms[vt.I_FITS] == 0 or venue.accounts[account, vt.A_LENGTH] == vt.UNFIT:
        return False
    qty, leaves, price = event[lt.E_QTY], event[lt.E_LEAVES], event[lt.E_PRICE]
    has_qty = 0 <= qty <= terms[vt.I_QTY_MAX] and 0 <= leaves <= terms[vt.I_QTY_MAX]
    has_budget = qty != 0 or 0 <= event[lt.E_AMOUNT] < 1 << 59
    order_type = (event[lt.E_KINDS] >> lt.TYPE_SHIFT) & 0xFF
    return bool(has_qty and has_budget and 0 <= price <= terms[vt.I_PRICE_MAX] and order_type <= _BRACKET)


@kernel
def can_detail(event: Any, book: lt.Book, venue: vt.Venue, slot: int, line: int) -> bool:
    """Return whether a line can be told here of an order with the terms of an ORDER_DETAILS."""
    if line < 0:
        return True
    row = book.orders[slot]
    shown, least = event[lt.E_QTY], event[lt.E_AMOUNT]
    if not (0 <= shown < 1 << 59 and least >= 0):
        return False
    price = max(event[lt.E_PRICE], row[lt.O_PRICE])
    if row[lt.O_TYPE] == _LIMIT:
        price = row[lt.O_PRICE]
        most = max(row[lt.O_QTY], shown, least)
    else:
        most = row[lt.O_QTY] + 0
    return event[lt.E_PRICE] >= 0 and can_tell(venue, book, slot, line, most, row[lt.O_LEAVES], price)


@kernel
def can_fill(event: Any, book: lt.Book, venue: vt.Venue, slot: int, leaves: int) -> bool:
    """Return whether a fill of an order can be followed here."""
    if slot == 0:
        return True
    row = book.orders[slot]
    line = line_of(venue, row[lt.O_SESSION])
    if line < 0:
        return True
    qty, price = event[lt.E_QTY], event[lt.E_PRICE]
    if line >= vt.SLOW or not 0 < qty < 1 << 48 or not 0 <= price < 1 << 36:
        return False
    if not -_FEE_MAX < event[lt.E_FEE] < _FEE_MAX or not -_FEE_MAX < event[lt.E_CONTRA_FEE] < _FEE_MAX:
        return False
    most = max(row[lt.O_QTY], qty)
    worth = row[lt.O_NOTIONAL] + qty * price
    return can_write(venue, row, most, leaves, row[lt.O_FILLED] + qty, worth, price)
