"""What an order says, from FIX fields to the venue's numbers: account, instrument, prices, quantities, instructions.

Invariant: nothing is rounded and nothing is left out in silence: what has no exact number here, or no meaning for the
order, raises `RefusedError`. Whether the numbers make sense is the core's to say.
"""

from __future__ import annotations

import calendar
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from gateways.fix.reasons import Refusal
from kk99.decimals import amount_units
from kk99.errors import InputError
from kk99.schema import CLIENT_ID_BYTES, Flag, OrderType, SelfTrade, Side, TimeInForce, TrailUnit

if TYPE_CHECKING:
    from collections.abc import Mapping as Map

    from gateways.fix.listing import Instrument
    from gateways.fix.message import Fields

NS: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * NS
_EXEC_INST: Final = {"6": Flag.POST_ONLY, "Q": Flag.CANCEL_ON_LOST, "a": Flag(0)}
"""Post-only (participate, don't initiate), cancel on disconnect, trailing stop."""
_TRAILING: Final = "a"
_PARTY_COLUMNS: Final = {b"3": "client", b"12": "execution_decision"}
ORDER_TYPES: Final = {
    b"1": OrderType.MARKET,
    b"2": OrderType.LIMIT,
    b"3": OrderType.STOP,
    b"4": OrderType.STOP_LIMIT,
    b"J": OrderType.MARKET_IF_TOUCHED,
    b"P": OrderType.TRAILING_STOP,
}
"""OrdType (40); J with a price is LIMIT_IF_TOUCHED, P with a DiscretionOffsetValue TRAILING_STOP_LIMIT."""


class RefusedError(Exception):
    """A message can't be mapped; the gateway answers with the refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.name)
        self.refusal = refusal


def client_id(fields: Fields, tag: int) -> str:
    """Return an id that the venue can keep, or raise `RefusedError`."""
    text = fields.text(tag)
    if not is_client_id(text):
        raise RefusedError(Refusal.CLIENT_ID)
    return text


def is_client_id(text: str) -> bool:
    """Return whether a text is an id that the venue can keep: so that its bytes are the same wherever it is told."""
    return 1 <= len(text) <= CLIENT_ID_BYTES and text.isascii() and text.isprintable()


def account_of(name: str, accounts: Map[str, int]) -> int:
    """Return the number of the account named, or of a session's only one, or raise `RefusedError`."""
    if name:
        if name not in accounts:
            raise RefusedError(Refusal.ACCOUNT_UNKNOWN)
        return accounts[name]
    if len(accounts) != 1:
        raise RefusedError(Refusal.ACCOUNT_MISSING)
    return next(iter(accounts.values()))


def side_of(fields: Fields) -> Side:
    """Return buy or sell, or raise `RefusedError`."""
    if fields.raw(54) == b"1":
        return Side.BUY
    if fields.raw(54) == b"2":
        return Side.SELL
    raise RefusedError(Refusal.SIDE)


def price_ticks(fields: Fields, tag: int, instrument: Instrument, refusal: Refusal) -> int:
    """Return a price in ticks, or raise `RefusedError`."""
    try:
        return instrument.precision.price_ticks(Decimal(fields.text(tag)))
    except InputError:
        raise RefusedError(refusal) from None


def qty_lots(fields: Fields, tag: int, instrument: Instrument, refusal: Refusal) -> int:
    """Return a quantity in lots, or raise `RefusedError`."""
    try:
        return instrument.precision.qty_lots(Decimal(fields.text(tag)))
    except InputError:
        raise RefusedError(refusal) from None


def limit_ticks(fields: Fields, instrument: Instrument, *, needed: bool) -> int:
    """Return Price (44) in ticks, 0 where it is not there and need not be."""
    if 44 in fields:
        return price_ticks(fields, 44, instrument, Refusal.PRICE)
    if needed:
        raise RefusedError(Refusal.PRICE_MISSING)
    return 0


def trigger_ticks(fields: Fields, instrument: Instrument) -> int:
    """Return StopPx (99) in ticks."""
    if 99 not in fields:
        raise RefusedError(Refusal.TRIGGER_MISSING)
    return price_ticks(fields, 99, instrument, Refusal.TRIGGER)


def order_qty(fields: Fields, instrument: Instrument) -> int:
    """Return OrderQty (38) in lots."""
    if 38 not in fields or 152 in fields:
        raise RefusedError(Refusal.QTY_MISSING)
    return qty_lots(fields, 38, instrument, Refusal.QTY)


def size(fields: Fields, instrument: Instrument, order_type: OrderType, side: Side) -> dict[str, int]:
    """Return OrderQty in lots, or of a market buy CashOrderQty (152) in units of the quote asset."""
    if 152 not in fields or 38 in fields:
        return {"qty_lots": order_qty(fields, instrument)}
    if order_type != OrderType.MARKET or side != Side.BUY:
        raise RefusedError(Refusal.CASH_MISPLACED)
    try:
        budget = amount_units(Decimal(fields.text(152)), instrument.precision.quote_scale)
    except InputError:
        raise RefusedError(Refusal.CASH) from None
    if budget == 0:  # in a row that is an order by quantity
        raise RefusedError(Refusal.CASH)
    return {"qty_lots": 0, "amount_units": budget}


def time_in_force(fields: Fields, order_type: OrderType) -> TimeInForce:
    """Return how long an order lives: by default the day; what is for the market now ends at once, day or not."""
    given = TimeInForce(int(fields.text(59) or "0"))
    if order_type == OrderType.MARKET and given in {TimeInForce.DAY, TimeInForce.GTC}:
        return TimeInForce.IOC
    return given


def expire_time_ns(fields: Fields) -> int:
    """Return ExpireTime (126), else the end of ExpireDate (432) in UTC, else 0."""
    if 126 in fields:
        return timestamp_ns(fields.text(126))
    if 432 in fields:
        return timestamp_ns(fields.text(432) + "-00:00:00") + _DAY_NS
    return 0


def timestamp_ns(text: str) -> int:
    """Return the nanoseconds since 1970 of a valid UTCTimestamp."""
    date, clock = text[:8], text[9:17]
    seconds = calendar.timegm((int(date[:4]), int(date[4:6]), int(date[6:8]), 0, 0, 0))
    seconds += int(clock[:2]) * 3600 + int(clock[3:5]) * 60 + int(clock[6:8])
    return seconds * NS + int(text[18:].ljust(9, "0") or "0")


def flags_of(fields: Fields, order_type: OrderType) -> Flag:
    """Return what ExecInst (18) asks for, or raise `RefusedError` for what the venue has not."""
    flags = Flag(0)
    given = fields.text(18).split()
    for letter in given:
        if letter not in _EXEC_INST:
            raise RefusedError(Refusal.INSTRUCTION)
        flags |= _EXEC_INST[letter]
    if (_TRAILING in given) != (order_type in {OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT}):
        raise RefusedError(Refusal.INSTRUCTION)
    return flags


def parties(fields: Fields) -> dict[str, int | str]:
    """Return the cold row's numbers of client (role 3) and executing trader (12)."""
    found: dict[str, int | str] = {}
    for role, column in _PARTY_COLUMNS.items():
        if role in fields.parties:
            text = fields.parties[role]
            if not text.isdigit() or len(text) > 18:
                raise RefusedError(Refusal.PARTY)
            found[column] = int(text)
    return found


def order_type_of(fields: Fields) -> OrderType:
    """Return the venue's order type, or raise `RefusedError`."""
    order_type = ORDER_TYPES.get(fields.raw(40))
    if order_type is None:
        raise RefusedError(Refusal.ORDER_TYPE)
    if order_type == OrderType.MARKET_IF_TOUCHED and 44 in fields:
        return OrderType.LIMIT_IF_TOUCHED
    if order_type == OrderType.TRAILING_STOP and 389 in fields:
        return OrderType.TRAILING_STOP_LIMIT
    return order_type


def trail_of(fields: Fields, instrument: Instrument) -> dict[str, int]:
    """Return trail and unit of a trailing stop from PegOffsetValue (211), its sign aside, and PegOffsetType (836)."""
    text, unit = fields.text(211), fields.text(836) or "0"
    if not text or unit not in {"0", "1", "2"}:
        raise RefusedError(Refusal.TRAIL)
    distance = abs(Decimal(text))
    try:
        if unit == "0":
            return {"trail": instrument.precision.price_ticks(distance), "trail_unit": TrailUnit.TICKS}
        counted = amount_units(distance, 0)
    except InputError:
        raise RefusedError(Refusal.TRAIL) from None
    return {"trail": counted, "trail_unit": TrailUnit.BASIS_POINTS if unit == "1" else TrailUnit.TICKS}


def shown(fields: Fields, instrument: Instrument) -> dict[str, int]:
    """Return display (MaxFloor 111, or DisplayQty 1138) and minimum quantity (110) of a limit order."""
    found: dict[str, int] = {}
    if 111 in fields and 1138 in fields:
        raise RefusedError(Refusal.DISPLAY)
    for tag in (111, 1138):
        if tag in fields:
            found["display_qty_lots"] = qty_lots(fields, tag, instrument, Refusal.DISPLAY)
            if found["display_qty_lots"] == 0:  # in a row that is an order that hides nothing
                raise RefusedError(Refusal.DISPLAY)
    if 110 in fields:
        found["min_qty_lots"] = qty_lots(fields, 110, instrument, Refusal.MIN_QTY)
    return found


def refuse_misplaced(fields: Fields, order_type: OrderType) -> None:
    """Raise `RefusedError` for a price, peg or quantity that the order type has no place for."""
    trailing = order_type in {OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT}
    waits = order_type not in {OrderType.MARKET, OrderType.LIMIT} and not trailing
    misplaced = [] if order_type == OrderType.LIMIT else [110, 111, 1138]
    misplaced += [44] if trailing else [211, 389]
    misplaced += [] if waits else [99]
    if any(tag in fields for tag in misplaced):
        raise RefusedError(Refusal.MISPLACED)


def self_trade_of(fields: Fields, usual: SelfTrade) -> SelfTrade:
    """Return the self-trade instruction (7928, of sessions that may use it), else the session's usual one."""
    return SelfTrade(fields.number(7928)) if 7928 in fields else usual
