"""ExecutionReports written by compiled code: the same bytes as `answers.execution` makes, for nearly every order.

Invariants: it is called only where `tellable` says so; a body is at most BODY_BYTES long.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from gateways.fix import live_table as lt
from gateways.fix import venue_table as vt
from gateways.fix.compiled import SOH, constants, inlined, kernel, literal, plain_int, store64
from gateways.fix.digits import POWERS
from gateways.fix.reasons import CANCELED as CANCEL_TEXTS
from gateways.fix.tellable import AVERAGE
from gateways.fix.write import put_decimal, put_padded, put_timestamp, put_uint
from kk99.schema import Flag, OrderType, TrailUnit

BODY_BYTES: Final = 1_024

# A report that was written, as a row
R_LINE, R_SEQ, R_INDEX, R_PART, R_OFFSET, R_LENGTH, R_TYPE = range(7)
R_WORDS: Final = 8
"""R_TYPE is MsgType: the first character, the second times 256."""
EXECUTION: Final = ord("8")

TEXT_BYTES: Final = 64
_OTHERS: Final = ("Self-trade prevention", "As the linked order", "Canceled through another session", "Triggered")
SELF_TRADE, AS_LINKED, OTHER_SESSION, TRIGGERED = range(16, 20)
_TEXTS: Final = {int(reason): text for reason, (text, _) in CANCEL_TEXTS.items()} | dict(enumerate(_OTHERS, 16))
assert max(map(len, _TEXTS.values())) <= TEXT_BYTES
assert max(CANCEL_TEXTS) < SELF_TRADE
_ENTRY: Final = 1 + TEXT_BYTES // 8


def _packed(text: str) -> list[int]:
    return [len(text), *np.frombuffer(text.encode().ljust(TEXT_BYTES, b"\0"), np.int64).tolist()]


TEXT_WORDS: Final = constants([word for number in range(20) for word in _packed(_TEXTS.get(number, ""))])
RESTATED: Final = constants([CANCEL_TEXTS[reason][1] if reason else 0 for reason in (0, *sorted(CANCEL_TEXTS))])  # type: ignore[index]
"""ExecRestatementReason (378) by CancelReason."""
OTHER_RESTATEMENT: Final = 99
MARKET_OPTION: Final = 8
PARTIAL_DECLINE: Final = 5

_MARKET, _LIMIT, _STOP, _OCO = (
    kind.value for kind in (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.OCO)
)
_TRAILING, _TRAILING_LIMIT, _BRACKET = (
    kind.value for kind in (OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT, OrderType.BRACKET)
)
_CODES: Final = constants([ord(code) for code in " 1234JJPP22"])
"""OrdType (40) by OrderType."""
_TICKS: Final = TrailUnit.TICKS.value
_POST_ONLY, _ON_LOST = int(Flag.POST_ONLY), int(Flag.CANCEL_ON_LOST)
_ZERO: Final = ord("0")
_DOT: Final = ord(".")
TRIGGER: Final = ord("L")
RESTATE: Final = ord("D")


class Out(NamedTuple):
    """Where reports are written."""

    rows: Any
    """int64[n, R_WORDS]."""
    data: Any
    """uint8[m]."""
    ids: Any
    """int64[IDS_ROWS, 1 + TEXT_WORDS]: ids of the request at hand, each its length and its words."""
    say: Any
    """int64[W_WORDS]: what the next report is to say."""


# Rows of `ids`
CLIENT, ORIGINAL, OLD = 1, 2, 3
IDS_ROWS: Final = 4
IDS_WORDS: Final = 1 + lt.TEXT_WORDS


def new_out(rows: int, data_bytes: int) -> Out:
    """Return room for so many reports and bytes."""
    return Out(
        np.zeros((rows, R_WORDS), np.int64),
        np.zeros(data_bytes, np.uint8),
        np.zeros((IDS_ROWS, IDS_WORDS), np.int64),
        np.zeros(W_WORDS, np.int64),
    )


# What a report is to say, int64[W_WORDS]; compiled code is compiled once more for each constant that it is called with
W_PART, W_EXEC_TYPE, W_RESTATED, W_TEXT, W_CLIENT, W_ORIGINAL, W_PRICE, W_QTY, W_FEE, W_TRADE, W_IS_TAKER = range(11)
"""Part of its identity; ExecType (150); ExecRestatementReason (378) or 0; number of its text (58); rows of `ids` of the
request that it answers, 0: without one; its fill, if W_QTY is not 0."""
W_WORDS: Final = 12


@inlined
def nothing(say: Any) -> None:
    """Begin with a report that says nothing special."""
    for word in range(W_WORDS):
        say[word] = 0


_T37, _T11, _T41, _T17 = (literal(text) for text in (b"37=", b"\x0111=", b"\x0141=", b"\x0117="))
_T150, _T39, _T378 = literal(b"\x01150="), literal(b"\x0139="), literal(b"\x01378=")
_T1, _T55, _T54, _T152 = literal(b"\x011="), literal(b"\x0155="), literal(b"\x0154="), literal(b"\x01152=")
_T38, _T40, _T44, _T99 = literal(b"\x0138="), literal(b"\x0140="), literal(b"\x0144="), literal(b"\x0199=")
_T211, _T389, _T59 = literal(b"\x01211="), literal(b"\x01389="), literal(b"\x0159=")
_T126, _T18, _T110, _T111 = literal(b"\x01126="), literal(b"\x0118="), literal(b"\x01110="), literal(b"\x01111=")
_T32, _T31, _T151, _T14 = literal(b"\x0132="), literal(b"\x0131="), literal(b"\x01151="), literal(b"\x0114=")
_T6, _T60, _T58, _T851 = literal(b"\x016="), literal(b"\x0160="), literal(b"\x0158="), literal(b"\x01851=")
_T136, _T137, _T138 = literal(b"\x01136=1"), literal(b"\x01137="), literal(b"\x01138=")
_T139, _T1003, _T1138 = literal(b"\x01139=4"), literal(b"\x011003="), literal(b"\x011138=")
_T1057_YES, _T1057_NO = literal(b"\x011057=Y"), literal(b"\x011057=N")
_T836_TICKS, _T836_POINTS = literal(b"\x01836=2"), literal(b"\x01836=1")
_T1385, _T7928 = literal(b"\x011385=1"), literal(b"\x017928=")
_LETTER_6, _LETTER_Q, _LETTER_A = literal(b"6 "), literal(b"Q "), literal(b"a ")
_DASH: Final = ord("-")


@kernel
def _uint(buffer: Any, at: int, number: int) -> int:
    """Write a whole number from 0 on."""
    return put_uint(buffer, at, plain_int(number))


@kernel
def _decimal(buffer: Any, at: int, number: int, places: int) -> int:
    """Write a decimal."""
    return put_decimal(buffer, at, plain_int(number), plain_int(places))


@kernel
def _time(buffer: Any, at: int, time_ns: int, places: int) -> int:
    """Write a time."""
    return put_timestamp(buffer, at, plain_int(time_ns), plain_int(places))


@kernel
def _words(buffer: Any, at: int, row: Any, word: int, length: int) -> int:
    """Write bytes that stand in words of a row."""
    for place in range(0, length, 8):
        store64(buffer, at + place, row[word + (place >> 3)])
    return at + length


@kernel
def _average(buffer: Any, at: int, notional: int, qty: int, tick_units: int, scale: int) -> int:
    """Write the value of AvgPx (6) as `Instrument.average` does; see there, and `_average_fits`."""
    if qty <= 0:
        buffer[at] = _ZERO
        return at + 1
    notional, qty, tick_units, scale = plain_int(notional), plain_int(qty), plain_int(tick_units), plain_int(scale)
    ticks = notional // qty
    rest = notional - ticks * qty
    units = ticks * tick_units
    unit = POWERS[scale]
    fraction = units % unit * AVERAGE + (2 * rest * tick_units * AVERAGE + qty) // (2 * qty)
    whole = units // unit
    places = scale + 6
    power = POWERS[places]
    at = _uint(buffer, at, whole + fraction // power)
    fraction %= power
    if fraction == 0:
        return at
    while fraction % 10 == 0:
        fraction //= 10
        places -= 1
    buffer[at] = _DOT
    return put_padded(buffer, at + 1, fraction, places)


@kernel
def _instructions(buffer: Any, at: int, flags: int, is_trailing: bool) -> int:
    """Write ExecInst (18), if there is any."""
    begin = at
    store64(buffer, at, _T18)
    at += 4
    if flags & _POST_ONLY:
        store64(buffer, at, _LETTER_6)
        at += 2
    if flags & _ON_LOST:
        store64(buffer, at, _LETTER_Q)
        at += 2
    if is_trailing:
        store64(buffer, at, _LETTER_A)
        at += 2
    return at - 1 if at > begin + 4 else begin


@kernel
def _prices(buffer: Any, at: int, row: Any, terms: Any) -> int:
    """Write type, prices and trail of an order."""
    kind, price = row[lt.O_TYPE], row[lt.O_PRICE]
    is_trailing = kind == _TRAILING or kind == _TRAILING_LIMIT
    has_no_limit = is_trailing or price == 0
    code = 49 if kind == _BRACKET and has_no_limit else _CODES[kind]
    store64(buffer, at, _T40 | code << 32)
    at += 5
    tick, places = terms[vt.I_PRICE_SIZE], terms[vt.I_PRICE_PLACES]
    if not has_no_limit:
        store64(buffer, at, _T44)
        at = _decimal(buffer, at + 4, price * tick, places)
    if _STOP <= kind < _OCO and row[lt.O_TRIGGER] != 0:
        store64(buffer, at, _T99)
        at = _decimal(buffer, at + 4, row[lt.O_TRIGGER] * tick, places)
    if is_trailing and row[lt.O_TRAIL] != 0:
        store64(buffer, at, _T211)
        at = _uint(buffer, at + 5, row[lt.O_TRAIL])
        store64(buffer, at, _T836_TICKS if row[lt.O_TRAIL_UNIT] == _TICKS else _T836_POINTS)
        at += 6
    if kind == _TRAILING_LIMIT:
        store64(buffer, at, _T389)
        at = _decimal(buffer, at + 5, price * tick, places)
    return at


@kernel
def _terms(buffer: Any, at: int, row: Any, terms: Any) -> int:
    """Write quantity, type, prices, time in force and instructions of an order, as `answers._terms`."""
    kind = row[lt.O_TYPE]
    size, places = terms[vt.I_QTY_SIZE], terms[vt.I_QTY_PLACES]
    if row[lt.O_BUDGET] != 0:
        store64(buffer, at, _T152)
        at = _decimal(buffer, at + 5, row[lt.O_BUDGET], terms[vt.I_QUOTE_SCALE])
    else:
        store64(buffer, at, _T38)
        at = _decimal(buffer, at + 4, row[lt.O_QTY] * size, places)
    at = _prices(buffer, at, row, terms)
    store64(buffer, at, _T59)
    at = _uint(buffer, at + 4, row[lt.O_TIF])
    if row[lt.O_EXPIRE] != 0:
        store64(buffer, at, _T126)
        at = _time(buffer, at + 5, row[lt.O_EXPIRE], plain_int(3))
    at = _instructions(buffer, at, row[lt.O_FLAGS], kind == _TRAILING or kind == _TRAILING_LIMIT)
    if row[lt.O_MIN_QTY] != 0:
        store64(buffer, at, _T110)
        at = _decimal(buffer, at + 5, row[lt.O_MIN_QTY] * size, places)
    if row[lt.O_DISPLAY] != 0:
        store64(buffer, at, _T111)
        at = _decimal(buffer, at + 5, row[lt.O_DISPLAY] * size, places)
    return at


@kernel
def _newer(buffer: Any, at: int, row: Any, terms: Any, say: Any) -> int:
    """Write what a report has beyond FIX 4.4, as `answers.newer_fields`."""
    if say[W_EXEC_TYPE] == TRIGGER:
        store64(buffer, at, _T150 | TRIGGER << 40)
        at += 6
    if say[W_QTY] != 0:
        store64(buffer, at, _T1003)
        at = _uint(buffer, at + 6, say[W_TRADE])
        store64(buffer, at, _T1057_YES if say[W_IS_TAKER] != 0 else _T1057_NO)
        at += 7
    if row[lt.O_DISPLAY] != 0:
        store64(buffer, at, _T1138)
        at = _decimal(buffer, at + 6, row[lt.O_DISPLAY] * terms[vt.I_QTY_SIZE], terms[vt.I_QTY_PLACES])
    if row[lt.O_LINKED] != 0:
        store64(buffer, at, _T1385)
        at += 7
    store64(buffer, at, _T7928)
    return _uint(buffer, at + 6, row[lt.O_SELF_TRADE])


@kernel
def _identity(buffer: Any, at: int, event: Any, say: Any) -> int:
    """Write ExecID (17)."""
    store64(buffer, at, _T17)
    at = _uint(buffer, at + 4, event[lt.E_CAUSE])
    buffer[at] = _DASH
    at = _uint(buffer, at + 1, event[lt.E_INDEX] & lt.LOW)
    buffer[at] = _DASH
    return _uint(buffer, at + 1, say[W_PART])


@kernel
def _ids(buffer: Any, at: int, row: Any, ids: Any, say: Any) -> int:
    """Write ClOrdID (11) and OrigClOrdID (41), as far as there are any."""
    client, original = say[W_CLIENT], say[W_ORIGINAL]
    store64(buffer, at, _T11)
    if client != 0 and ids[client, 0] != 0:
        at = _words(buffer, at + 4, ids[client], plain_int(1), ids[client, 0])
    elif row[lt.O_TEXT_LENGTH] != 0:
        at = _words(buffer, at + 4, row, plain_int(lt.O_TEXT), row[lt.O_TEXT_LENGTH])
    if original != 0 and ids[original, 0] != 0:
        store64(buffer, at, _T41)
        at = _words(buffer, at + 4, ids[original], plain_int(1), ids[original, 0])
    return at


@kernel
def _result(buffer: Any, at: int, row: Any, terms: Any, say: Any) -> int:
    """Write what was filled and what is left."""
    size, places = terms[vt.I_QTY_SIZE], terms[vt.I_QTY_PLACES]
    if say[W_QTY] != 0:
        store64(buffer, at, _T32)
        at = _decimal(buffer, at + 4, say[W_QTY] * size, places)
        store64(buffer, at, _T31)
        at = _decimal(buffer, at + 4, say[W_PRICE] * terms[vt.I_PRICE_SIZE], terms[vt.I_PRICE_PLACES])
    store64(buffer, at, _T151)
    at = _decimal(buffer, at + 5, row[lt.O_LEAVES] * size, places)
    store64(buffer, at, _T14)
    at = _decimal(buffer, at + 4, row[lt.O_FILLED] * size, places)
    store64(buffer, at, _T6)
    return _average(
        buffer, at + 3, row[lt.O_NOTIONAL], row[lt.O_FILLED], terms[vt.I_TICK_UNITS], terms[vt.I_QUOTE_SCALE]
    )


@kernel
def _rest(buffer: Any, at: int, terms: Any, say: Any) -> int:
    """Write Text (58), if there is one, and what stands at the end of a fill's report."""
    entry_at = say[W_TEXT] * _ENTRY
    length = TEXT_WORDS[entry_at]
    if length != 0:
        store64(buffer, at, _T58)
        at += 4
        for place in range(0, length, 8):
            store64(buffer, at + place, TEXT_WORDS[entry_at + 1 + (place >> 3)])
        at += length
    if say[W_QTY] == 0:
        return at
    store64(buffer, at, _T851 | (50 if say[W_IS_TAKER] != 0 else 49) << 40)
    store64(buffer, at + 6, _T136)
    store64(buffer, at + 12, _T137)
    at = _decimal(buffer, at + 17, say[W_FEE], terms[vt.I_QUOTE_SCALE])
    store64(buffer, at, _T138)
    at = _words(buffer, at + 5, terms, plain_int(vt.I_QUOTE), terms[vt.I_QUOTE_LENGTH])
    store64(buffer, at, _T139)
    return at + 6


@kernel
def write(out: Out, venue: vt.Venue, row: Any, line: int, event: Any, st: Any) -> None:
    """Write the report of what happened to an order, as its row now is, and where it is; there must be room."""
    data, say, begin = out.data, out.say, st[lt.ST_BYTES] + 0
    newer = venue.lines[line, vt.D_NEWER] != 0
    terms, account = venue.instruments[row[lt.O_INSTRUMENT]], venue.accounts[row[lt.O_ACCOUNT]]
    store64(data, begin, _T37)
    at = _uint(data, begin + 3, row[lt.O_ID])
    at = _ids(data, at, row, out.ids, say)
    at = _identity(data, at, event, say)
    exec_type = say[W_EXEC_TYPE]
    if exec_type != TRIGGER or not newer:
        store64(data, at, _T150 | (RESTATE if exec_type == TRIGGER else exec_type) << 40)
        at += 6
    status = row[lt.O_END] if row[lt.O_END] != 0 else _ZERO + (1 if row[lt.O_FILLED] != 0 else 0)
    store64(data, at, _T39 | status << 32)
    at += 5
    if say[W_RESTATED] != 0:
        store64(data, at, _T378)
        at = _uint(data, at + 5, say[W_RESTATED])
    if account[vt.A_LENGTH] > 0:
        store64(data, at, _T1)
        at = _words(data, at + 3, account, plain_int(vt.A_NAME), account[vt.A_LENGTH])
    store64(data, at, _T55)
    at = _words(data, at + 4, terms, plain_int(vt.I_NAME), terms[vt.I_NAME_LENGTH])
    store64(data, at, _T54)
    at = _uint(data, at + 4, row[lt.O_SIDE])
    at = _terms(data, at, row, terms)
    at = _result(data, at, row, terms, say)
    store64(data, at, _T60)
    at = _time(data, at + 4, event[lt.E_TIME], venue.lines[line, vt.D_PLACES])
    at = _rest(data, at, terms, say)
    if newer:
        at = _newer(data, at, row, terms, say)
    data[at] = SOH
    made = out.rows[st[lt.ST_ROWS]]
    made[R_LINE], made[R_SEQ], made[R_INDEX] = line, event[lt.E_CAUSE], event[lt.E_INDEX] & lt.LOW
    made[R_PART], made[R_OFFSET], made[R_LENGTH], made[R_TYPE] = say[W_PART], begin, at + 1 - begin, EXECUTION
    st[lt.ST_ROWS] += 1
    st[lt.ST_BYTES] = at + 1
