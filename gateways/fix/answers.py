"""The fields of what the venue reports of orders: ExecutionReport (8), cancel reject (9), mass cancel report (r), j.

Invariant: the plain fields are FIX 4.4's alone; newer tags stand apart, for sessions that ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gateways.fix.codec import timestamp_text
from kk99.schema import Flag, OrderType, TrailUnit

if TYPE_CHECKING:
    from gateways.fix.listing import Instrument, Listing
    from gateways.fix.lives import Order

Field = tuple[int, bytes]
NO_SYMBOL: Final = b"[N/A]"
NO_ORDER: Final = b"NONE"
_TRANSACT_TIME: Final = 60
_ORDER_TYPES: Final = {
    OrderType.MARKET: b"1",
    OrderType.LIMIT: b"2",
    OrderType.STOP: b"3",
    OrderType.STOP_LIMIT: b"4",
    OrderType.MARKET_IF_TOUCHED: b"J",
    OrderType.LIMIT_IF_TOUCHED: b"J",
    OrderType.TRAILING_STOP: b"P",
    OrderType.TRAILING_STOP_LIMIT: b"P",
    OrderType.OCO: b"2",
    OrderType.BRACKET: b"2",
    OrderType.ALGO: b"2",
}
_EXCHANGE_FEE: Final = b"4"
_NEWER_EXEC_TYPES: Final = {b"L": b"D"}
"""FIX 4.4 has no word for "triggered": there the order is restated."""


class Report(NamedTuple):
    """A message for one session: its body in order, and what it is made of."""

    session: str
    msg_type: str
    fields: list[Field]
    """Of FIX 4.4, times in milliseconds."""
    identity: tuple[int, int, int]
    """(cause_seq, index, part) of the event, parts from 0: the same whenever it is made again."""
    newer: list[Field]
    """What goes beyond FIX 4.4, for sessions that ask: in the place of a field with the same tag, or after all."""
    time_ns: int

    def body(self, *, newer: bool = False, places: int = 3) -> list[Field]:
        """Return the fields in a session's dialect."""
        fields = self.fields
        if newer:
            replaced = {tag for tag, _ in self.newer}
            fields = [field for field in fields if field[0] not in replaced] + self.newer
        if places == 3:
            return fields
        time = timestamp_text(self.time_ns, places).encode()
        return [(tag, time if tag == _TRANSACT_TIME else value) for tag, value in fields]


class Fill(NamedTuple):
    """What an ExecutionReport says of one fill."""

    price_ticks: int
    qty_lots: int
    fee_units: int
    trade_id: int
    is_taker: bool
    replaces: bytes = b""
    """ExecRefID (19) of a bust or a correction."""


def exec_id(identity: tuple[int, int, int]) -> bytes:
    """Return ExecID (17) of a report."""
    return b"%d-%d-%d" % identity


def time_field(time_ns: int) -> Field:
    """Return TransactTime (60)."""
    return _TRANSACT_TIME, timestamp_text(time_ns).encode()


def execution(
    order: Order,
    instrument: Instrument,
    listing: Listing,
    exec_type: bytes,
    identity: tuple[int, int, int],
    time_ns: int,
    *,
    client_id: bytes = b"",
    original_client_id: bytes = b"",
    fill: Fill | None = None,
    restated: int = 0,
    text: str = "",
    more: tuple[Field, ...] = (),
) -> list[Field]:
    """Return the ExecutionReport of what happened to an order, as the order now is.

    `client_id` and `original_client_id` are those of the request that it answers; without one, the order's own.
    """
    fields = [(37, b"%d" % order.order_id)]
    fields += _present((11, client_id or order.client_id), (41, original_client_id))
    fields += more
    fields.append((17, exec_id(identity)))
    if fill is not None:
        fields += _present((19, fill.replaces))
    fields += [(150, _NEWER_EXEC_TYPES.get(exec_type, exec_type)), (39, order.status)]
    if restated:
        fields.append((378, b"%d" % restated))
    fields += [*_account(order.account_id, listing), (55, instrument.name.encode()), (54, b"%d" % order.side)]
    fields += _terms(order, instrument)
    if fill is not None:
        fields += [(32, instrument.qty(fill.qty_lots)), (31, instrument.price(fill.price_ticks))]
    fields += [(151, instrument.qty(order.leaves_lots)), (14, instrument.qty(order.filled_lots))]
    fields += [(6, instrument.average(order.notional, order.filled_lots)), time_field(time_ns)]
    fields += _present((58, text.encode()))
    if fill is not None:
        fields.append((851, b"2" if fill.is_taker else b"1"))
        fee = instrument.amount(fill.fee_units)
        fields += [(136, b"1"), (137, fee), (138, instrument.quote.encode()), (139, _EXCHANGE_FEE)]
    return fields


def newer_fields(order: Order, instrument: Instrument, fill: Fill | None, exec_type: bytes) -> list[Field]:
    """Return what a report has beyond FIX 4.4."""
    fields: list[Field] = [(150, exec_type)] if exec_type in _NEWER_EXEC_TYPES else []
    if fill is not None:
        fields += [(1003, b"%d" % fill.trade_id), (1057, b"Y" if fill.is_taker else b"N")]
    if order.display_lots:
        fields.append((1138, instrument.qty(order.display_lots)))
    if order.is_linked:
        fields.append((1385, b"1"))
    return [*fields, (7928, b"%d" % order.self_trade)]


def _terms(order: Order, instrument: Instrument) -> list[Field]:
    """Return quantity, type, prices, time in force and instructions of an order."""
    order_type = order.order_type
    is_trailing = order_type in {OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT}
    has_no_limit = is_trailing or order.price_ticks == 0
    code = b"1" if order_type == OrderType.BRACKET and has_no_limit else _ORDER_TYPES[OrderType(order_type)]
    fields = (
        [(152, instrument.amount(order.budget_units))] if order.budget_units else [(38, instrument.qty(order.qty_lots))]
    )
    fields.append((40, code))
    if not has_no_limit:
        fields.append((44, instrument.price(order.price_ticks)))
    if order.is_dormant and order.trigger_price_ticks:
        fields.append((99, instrument.price(order.trigger_price_ticks)))
    if is_trailing and order.trail:
        is_ticks = order.trail_unit == TrailUnit.TICKS
        fields += [(211, b"%d" % order.trail), (836, b"2" if is_ticks else b"1")]
    if order_type == OrderType.TRAILING_STOP_LIMIT:
        fields.append((389, instrument.price(order.price_ticks)))
    fields.append((59, b"%d" % order.time_in_force))
    if order.expire_time_ns:
        fields.append((126, timestamp_text(order.expire_time_ns).encode()))
    letters = [b"6"] if order.flags & Flag.POST_ONLY else []
    letters += [b"Q"] if order.flags & Flag.CANCEL_ON_LOST else []
    letters += [b"a"] if is_trailing else []
    fields += _present((18, b" ".join(letters)))
    if order.min_qty_lots:
        fields.append((110, instrument.qty(order.min_qty_lots)))
    if order.display_lots:
        fields.append((111, instrument.qty(order.display_lots)))
    return fields


def rejected_order(
    identity: tuple[int, int, int],
    time_ns: int,
    client_id: bytes,
    symbol: bytes,
    side: bytes,
    reason: int,
    text: str,
    *,
    exec_type: bytes = b"8",
    more: tuple[Field, ...] = (),
) -> list[Field]:
    """Return the ExecutionReport of an order that there is not."""
    return [
        (37, NO_ORDER), *_present((11, client_id)), (17, exec_id(identity)), (150, exec_type), (39, b"8"),
        (103, b"%d" % reason), (55, symbol or NO_SYMBOL), (54, side), (151, b"0"), (14, b"0"), (6, b"0"),
        time_field(time_ns), (58, text.encode()), *more,
    ]  # fmt: skip


def cancel_reject(
    time_ns: int,
    order: Order | None,
    client_id: bytes,
    original_client_id: bytes,
    reason: int,
    text: str,
    *,
    is_replace: bool,
) -> list[Field]:
    """Return the OrderCancelReject of a cancel (F) or replace (G)."""
    return [
        (37, b"%d" % order.order_id if order else NO_ORDER), (11, client_id or NO_ORDER),
        (41, original_client_id or NO_ORDER), (39, order.status if order else b"8"), time_field(time_ns),
        (434, b"2" if is_replace else b"1"), (102, b"%d" % reason), (58, text.encode()),
    ]  # fmt: skip


def mass_cancel_report(
    cause_seq: int,
    time_ns: int,
    client_id: bytes,
    scope: bytes,
    symbol: bytes,
    side: int,
    *,
    refused: tuple[int, str] | None = None,
) -> list[Field]:
    """Return the OrderMassCancelReport: begun (its cancels are reported one by one), or refused."""
    fields = [*_present((11, client_id)), (37, b"%d" % cause_seq), (530, scope)]
    fields.append((531, b"0" if refused else scope))
    if refused:
        fields.append((532, b"%d" % refused[0]))
    fields += _present((55, symbol))
    if side in {1, 2}:
        fields.append((54, b"%d" % side))
    fields.append(time_field(time_ns))
    return [*fields, (58, refused[1].encode())] if refused else fields


def business_reject(seq: int, msg_type: str, client_id: bytes, reason: int, text: str) -> list[Field]:
    """Return the BusinessMessageReject of a client's message."""
    fields = [(45, b"%d" % seq), (372, msg_type.encode()), *_present((379, client_id))]
    return [*fields, (380, b"%d" % reason), (58, text.encode())]


def _account(account_id: int, listing: Listing) -> list[Field]:
    return _present((1, listing.account_names.get(account_id, "").encode()))


def _present(*fields: Field) -> list[Field]:
    """Return the fields that have a value."""
    return [field for field in fields if field[1]]
