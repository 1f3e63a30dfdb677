"""Application messages of clients to commands: one message, one row that takes its number.

D, F, G, q and E become commands. H and AF ask, and what can't be mapped is refused: these become MESSAGE_NOTED rows
that hold all that their answer needs, so `reports` answers them when their event comes, and again the same when it is
rebuilt. So a caller submits what `to_row` returns, whatever it is, and sends nothing itself.

In a MESSAGE_NOTED of ours `state` is a `Refusal` (NONE: a question), `amount_units` the MsgType (first character, the
second times 256), `side` and `order_type` the characters of 54 and 40 less 48, `target_lo` OrderID (37) where it is
one. Cold row: `client_id` is 11 (AF: 584); `original_client_id` is 41 of F and G, 790 of H, the second order's 11 of
E, and of D the symbol if that is unknown.

E is taken when it holds two orders that share ClOrdLinkID (583), one limit (40=2) and one stop (40=3 or 4), alike in
account, symbol, side, quantity and time in force: one cancels the other. A session with newer tags may say 1385=1 (OCO)
instead of a shared 583.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gateways.fix import terms
from gateways.fix.message import Fields, entries
from gateways.fix.reasons import Refusal
from gateways.fix.terms import RefusedError
from kk99 import build
from kk99.batch import Commands
from kk99.schema import COLD, CommandKind, Flag, OrderType, SelfTrade, Side

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as Map

    from gateways.fix.codec import Inbound
    from gateways.fix.listing import Instrument
    from gateways.fix.lives import Order
    from kk99.batch import Rows

_ALL: Final = b"7"
_ONE_SECURITY: Final = b"1"
_OCO: Final = b"1"
_QUESTIONS: Final = frozenset({"x", "e", "V"})
"""Reference and market data: noted, answered elsewhere."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """What mapping the messages of one session needs to know.

    `find(account_id, client_id_lo, client_id_hi)` is `reports.Reports.find`: a replace that would change what can't be
    changed is refused if the order is known; without it, or of an unknown order, nothing is compared.
    """

    instruments: Map[str, Instrument]
    accounts_of_session: Map[str, int]
    self_trade: SelfTrade = SelfTrade.ALLOW
    cancel_on_lost: bool = False
    """All its orders are to be canceled when the session is lost."""
    find: Callable[[int, int, int], Order | None] = field(default=lambda *_: None)

    def instrument(self, fields: Fields) -> Instrument:
        """Return the instrument of Symbol (55), or raise `RefusedError`."""
        instrument = self.instruments.get(fields.text(55))
        if instrument is None:
            raise RefusedError(Refusal.SYMBOL_UNKNOWN)
        return instrument

    def account(self, fields: Fields, tag: int = 1) -> int:
        """Return the account that a field names, or the session's only one, or raise `RefusedError`."""
        return terms.account_of(fields.text(tag), self.accounts_of_session)


@dataclass(frozen=True, slots=True)
class Mapped:
    """One command: `row` is COMMAND (1,), `cold` COLD (1,), or (0,) of a row without HAS_COLD."""

    row: Rows
    cold: Rows


@dataclass(frozen=True, slots=True)
class Refused(Mapped):
    """A MESSAGE_NOTED instead of what was asked for, and why; `reports` answers it."""

    refusal: Refusal


def to_row(message: Inbound, context: Mapping) -> Mapped | Refused:
    """Return the command that a valid application message becomes, not yet numbered."""
    mapped = _MAPPED.get(message.msg_type)
    if mapped is None:
        if message.msg_type not in _QUESTIONS:
            return refuse(message, Refusal.UNSUPPORTED)
        commands = _note(message, Fields.of(message.raw), "", "")
        return Mapped(commands.rows, commands.cold)
    fields = Fields.of(message.raw)
    try:
        commands = mapped(message, fields, context)
    except RefusedError as error:
        return _refused(message, fields, context, error.refusal)
    return Mapped(commands.rows, commands.cold)


def refuse(message: Inbound, refusal: Refusal, context: Mapping | None = None) -> Refused:
    """Return the note of a message that is refused as it stands; with a 35=j if it is not one of orders."""
    fields = Fields.of(message.raw)
    return _refused(message, fields, context or Mapping({}, {}), refusal)


def type_number(msg_type: str) -> int:
    """Return a MsgType as a number: the first character, the second times 256."""
    return int.from_bytes(msg_type.encode(), "little")


# Orders ---------------------------------------------------------------------------------------------------------------


def _terms(fields: Fields, context: Mapping, order_type: OrderType) -> build.Terms:
    flags = terms.flags_of(fields, order_type)
    return {
        "time_in_force": terms.time_in_force(fields, order_type),
        "expire_time_ns": terms.expire_time_ns(fields),
        "self_trade": terms.self_trade_of(fields, context.self_trade),
        "flags": flags | (Flag.CANCEL_ON_LOST if context.cancel_on_lost else 0),
        "client_id": terms.client_id(fields, 11),
        "cold": terms.parties(fields),
    }


def _new(message: Inbound, fields: Fields, context: Mapping) -> Commands:
    """Return the command of a NewOrderSingle; one that may be a resend (97=Y) and lives already asks for its status."""
    client_id = terms.client_id(fields, 11)  # first: without it the answer could name no order
    account, instrument, side = context.account(fields), context.instrument(fields), terms.side_of(fields)
    if message.poss_resend and context.find(account, *build.client_id_hash(client_id)) is not None:
        return _status(replace(message, msg_type="H"), fields, context)
    order_type = terms.order_type_of(fields)
    terms.refuse_misplaced(fields, order_type)
    more = _terms(fields, context, order_type)
    size = terms.size(fields, instrument, order_type, side)
    whose = (account, instrument.instrument_id, side, size["qty_lots"])
    if order_type == OrderType.MARKET:
        price, budget = terms.limit_ticks(fields, instrument, needed=False), size.get("amount_units", 0)
        return build.order_new(*whose, price, order_type=order_type, amount_units=budget, **more)
    if order_type == OrderType.LIMIT:
        price = terms.limit_ticks(fields, instrument, needed=True)
        return build.order_new(*whose, price, **terms.shown(fields, instrument), **more)
    if order_type in {OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT}:
        is_limit = order_type == OrderType.TRAILING_STOP_LIMIT
        offset = terms.price_ticks(fields, 389, instrument, Refusal.OFFSET) if is_limit else None
        return build.trailing(*whose, **terms.trail_of(fields, instrument), limit_offset_ticks=offset, **more)
    trigger = terms.trigger_ticks(fields, instrument)
    if order_type == OrderType.STOP:
        commands = build.stop(*whose, trigger, **more)
        commands.rows["price_ticks"] = terms.limit_ticks(fields, instrument, needed=False)  # the core's to refuse
        return commands
    if order_type == OrderType.STOP_LIMIT:
        return build.stop_limit(*whose, trigger, terms.limit_ticks(fields, instrument, needed=True), **more)
    limit = terms.limit_ticks(fields, instrument, needed=False) if order_type == OrderType.LIMIT_IF_TOUCHED else None
    return build.if_touched(*whose, trigger, limit, **more)


def _list(message: Inbound, fields: Fields, context: Mapping) -> Commands:
    """Return the one command of two orders of a NewOrderList, of which one cancels the other."""
    orders = entries(message.raw, 11)
    for order in orders:
        terms.client_id(order, 11)
    by_type = {order.raw(40): order for order in orders}
    limit = by_type.get(b"2")
    stop = by_type.get(b"3") or by_type.get(b"4")
    if len(orders) != 2 or limit is None or stop is None:
        raise RefusedError(Refusal.LIST_SHAPE)
    is_linked = limit.raw(583) == stop.raw(583) != b"" or fields.raw(1385) == _OCO
    if not is_linked or fields.raw(1385) not in {b"", _OCO}:
        raise RefusedError(Refusal.LIST_SHAPE)
    account, instrument, side = context.account(limit), context.instrument(limit), terms.side_of(limit)
    stop_type = terms.order_type_of(stop)
    for order, order_type in ((limit, OrderType.LIMIT), (stop, stop_type)):
        terms.refuse_misplaced(order, order_type)
        if terms.shown(order, instrument) or terms.parties(order) != terms.parties(limit):
            raise RefusedError(Refusal.MISPLACED)
    more, others = _terms(limit, context, OrderType.LIMIT), _terms(stop, context, stop_type)
    qty = terms.order_qty(limit, instrument)
    is_alike = (
        context.account(stop) == account
        and context.instrument(stop) is instrument
        and terms.side_of(stop) == side
        and terms.order_qty(stop, instrument) == qty
        and all(more[name] == others[name] for name in ("time_in_force", "expire_time_ns", "self_trade"))
    )
    if not is_alike:
        raise RefusedError(Refusal.LIST_TERMS)
    more["flags"] = more["flags"] | others["flags"]
    return build.oco(
        account,
        instrument.instrument_id,
        side,
        qty,
        terms.limit_ticks(limit, instrument, needed=True),
        terms.trigger_ticks(stop, instrument),
        stop_limit_price_ticks=terms.limit_ticks(stop, instrument, needed=stop_type == OrderType.STOP_LIMIT),
        stop_client_id=others["client_id"],
        **more,
    )


# Changes to orders ----------------------------------------------------------------------------------------------------


def _cancel(_: Inbound, fields: Fields, context: Mapping) -> Commands:
    """Return the command of an OrderCancelRequest."""
    client_id, target = terms.client_id(fields, 11), terms.client_id(fields, 41)
    account = context.account(fields)
    return build.order_cancel(account, target_client_id=target, client_id=client_id, cold=terms.parties(fields))


def _replace(_: Inbound, fields: Fields, context: Mapping) -> Commands:
    """Return the command of an OrderCancelReplaceRequest."""
    client_id, target = terms.client_id(fields, 11), terms.client_id(fields, 41)
    account, instrument, side = context.account(fields), context.instrument(fields), terms.side_of(fields)
    order_type = terms.order_type_of(fields)
    order = context.find(account, *build.client_id_hash(target))
    if order is not None:
        _refuse_unchangeable(fields, instrument, order)
    price = trigger = 0
    if order_type not in {OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT}:
        is_limit = order_type in {OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED}
        price = terms.limit_ticks(fields, instrument, needed=is_limit)
        if 99 in fields and (order is None or order.is_dormant):  # one that was triggered has its StopPx no more
            trigger = terms.trigger_ticks(fields, instrument)
    return build.order_replace(
        account,
        0,
        terms.order_qty(fields, instrument),
        price,
        side=side,
        instrument_id=instrument.instrument_id,
        trigger_price_ticks=trigger,
        target_client_id=target,
        client_id=client_id,
        cold=terms.parties(fields),
    )


def _refuse_unchangeable(fields: Fields, instrument: Instrument, order: Order) -> None:
    """Raise `RefusedError` for a replace that would change what a replace can't, as far as it says so."""
    order_type = terms.order_type_of(fields)
    same = order_type in {order.order_type, order.entered_type}
    if 59 in fields:
        same = same and terms.time_in_force(fields, order_type) in {order.time_in_force, order.entered_time_in_force}
    if 126 in fields or 432 in fields:
        same = same and terms.expire_time_ns(fields) == order.expire_time_ns
    if 18 in fields:
        flags = terms.flags_of(fields, order_type)
        same = same and (flags ^ order.flags) & Flag.POST_ONLY == 0 and flags & ~order.flags & Flag.CANCEL_ON_LOST == 0
    if 211 in fields and order.trail:
        trail = terms.trail_of(fields, instrument)
        same = same and (trail["trail"], trail["trail_unit"]) == (order.trail, order.trail_unit)
    for tag in (111, 1138):
        if tag in fields:
            same = same and terms.qty_lots(fields, tag, instrument, Refusal.DISPLAY) == order.display_lots
    if not same:
        raise RefusedError(Refusal.UNCHANGEABLE)


def _mass_cancel(_: Inbound, fields: Fields, context: Mapping) -> Commands:
    """Return the command of an OrderMassCancelRequest; of a session with many accounts, SenderSubID (50) says whose."""
    client_id = terms.client_id(fields, 11)
    account = context.account(fields, 50 if len(context.accounts_of_session) != 1 else 1)
    instrument_id = 0
    if fields.raw(530) == _ONE_SECURITY:
        instrument_id = context.instrument(fields).instrument_id
    elif fields.raw(530) != _ALL:
        raise RefusedError(Refusal.SCOPE)
    commands = build.mass_cancel(account, instrument_id, terms.side_of(fields) if 54 in fields else Side.BOTH)
    commands.rows["flags"] = Flag.HAS_COLD
    return Commands(commands.rows, build.cold_row(client_id=client_id))


# Questions and refusals -----------------------------------------------------------------------------------------------


def _status(message: Inbound, fields: Fields, context: Mapping) -> Commands:
    """Return the note of an OrderStatusRequest."""
    client_id = terms.client_id(fields, 11)
    request = terms.client_id(fields, 790) if 790 in fields else ""
    instrument = context.instruments.get(fields.text(55))
    return _note(
        message,
        fields,
        client_id,
        request,
        account_id=context.account(fields),
        instrument_id=instrument.instrument_id if instrument else 0,
    )


def _mass_status(message: Inbound, fields: Fields, context: Mapping) -> Commands:
    """Return the note of an OrderMassStatusRequest; without an account it is about the session's own orders."""
    request = terms.client_id(fields, 584)
    account = context.account(fields) if 1 in fields else 0
    instrument_id = 0
    if fields.raw(585) == _ONE_SECURITY:
        instrument_id = context.instrument(fields).instrument_id
    elif fields.raw(585) != _ALL:
        raise RefusedError(Refusal.SCOPE)
    return _note(message, fields, request, "", account_id=account, instrument_id=instrument_id)


def _note(message: Inbound, fields: Fields, client_id: str, second_id: str, **row: Any) -> Commands:
    """Return the MESSAGE_NOTED of a message, with what any of them says of it."""
    order_id = fields.text(37)
    if order_id.isdigit() and len(order_id) <= 18:
        row["target_lo"] = int(order_id)
    if client_id:
        row["client_id_lo"], row["client_id_hi"] = build.client_id_hash(client_id)
    for name, tag in (("side", 54), ("order_type", 40)):
        row[name] = fields.raw(tag)[0] - 48 if tag in fields else 0
    texts = {"client_id": client_id, "original_client_id": second_id}
    texts = {name: text for name, text in texts.items() if text}
    flags = Flag.HAS_COLD if texts else Flag(0)
    rows = build.rows_of(CommandKind.MESSAGE_NOTED, amount_units=type_number(message.msg_type), flags=int(flags), **row)
    return Commands(rows, build.cold_row(**texts) if texts else np.zeros(0, COLD))


def _refused(message: Inbound, fields: Fields, context: Mapping, refusal: Refusal) -> Refused:
    """Return the note of a message that is refused, with as much of what it says as has a place and a number."""
    first = second = ""
    if message.msg_type == "E":
        orders = entries(message.raw, 11)
        first, second = ([order.text(11) for order in orders] + ["", ""])[:2]
        fields = orders[0] if orders else fields
    else:
        first = fields.text(584 if message.msg_type == "AF" else 11)
        second = fields.text({"F": 41, "G": 41, "H": 790}.get(message.msg_type, 0))
    row: dict[str, int] = {"state": refusal}
    instrument = context.instruments.get(fields.text(55))
    if instrument is not None:
        row["instrument_id"] = instrument.instrument_id
        row |= _numbers(fields, instrument)
    elif message.msg_type == "D":
        second = fields.text(55)
    row["account_id"] = context.accounts_of_session.get(fields.text(1), 0)
    first, second = (text if terms.is_client_id(text) else "" for text in (first, second))
    commands = _note(message, fields, first, second, **row)
    return Refused(commands.rows, commands.cold, refusal)


def _numbers(fields: Fields, instrument: Instrument) -> dict[str, int]:
    """Return price and quantity of a refused message where they have an exact number."""
    found: dict[str, int] = {}
    for name, tag, read in (("price_ticks", 44, terms.price_ticks), ("qty_lots", 38, terms.qty_lots)):
        if tag in fields:
            try:
                found[name] = read(fields, tag, instrument, Refusal.NONE)
            except RefusedError:
                continue
    return found


_MAPPED: Final[dict[str, Callable[[Inbound, Fields, Mapping], Commands]]] = {
    "D": _new,
    "F": _cancel,
    "G": _replace,
    "E": _list,
    "q": _mass_cancel,
    "H": _status,
    "AF": _mass_status,
}
