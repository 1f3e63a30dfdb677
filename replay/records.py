"""Records of orders and executions as European record keeping asks for them (RTS 24), one for each thing that happened.

What a venue keeps of orders is laid down in Commission Delegated Regulation (EU) 2017/580 (RTS 24), table 2 of its
annex; the numbers in `ORDER_FIELDS` are the fields there. Identification codes are those that members sent with their
commands; a later command on an order that names none leaves the order's.

Invariants, each a test:
- `sequence` rises by one from record to record of a run;
- remaining quantity includes what an iceberg hides, displayed quantity is what others see in the book after the event;
- `priority_time_ns` is when the order took the place in its queue that it has: its entry, trigger, refresh, or a
  replace that lost its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kk99 import book, schema
from kk99.decimals import Precision, amount_text
from kk99.schema import (
    CancelReason,
    CommandKind,
    EventKind,
    Flag,
    MarketState,
    OrderType,
    RejectCode,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerSource,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kk99.batch import Events
    from replay.ledger import Names

Record = dict[str, Any]

ORDER_FIELDS: Final[dict[str, str]] = {
    "sequence": "15 Sequence number", "time_ns": "9 Date and time", "seq": "Journal's number of the command",
    "index": "Number of the event under it", "gateway_time_ns": "19 Date of receipt",
    "priority_time_ns": "13 Priority time stamp", "event": "21 New order, order modification, cancellation, ...",
    "reason": "Why, in the venue's words", "order_id": "20 Order identification code",
    "client_order_id": "The member's own code of the order", "account": "1 Entity which submitted the order",
    "session": "Session that it came over", "actor": "Person or system that gave the command",
    "capacity": "7 Trading capacity", "client": "3 Client identification code",
    "investment_decision": "4 Investment decision within firm", "execution_decision": "5 Execution within firm",
    "instrument": "18 Financial instrument identification code", "side": "32 Buy-sell indicator",
    "order_type": "22 Order type", "time_in_force": "10 Validity period",
    "expire_time_ns": "12 Validity period date and time", "limit_price": "24 Limit price",
    "stop_price": "26 Stop price",
    "trigger": "What the stop price is compared with", "currency": "29 Price currency",
    "initial_quantity": "36 Initial quantity", "remaining_quantity": "37 Remaining quantity including hidden",
    "displayed_quantity": "38 Displayed quantity", "traded_quantity": "39 Traded quantity",
    "minimum_quantity": "41 Minimum execution size", "transaction_price": "28 Transaction price",
    "passive_only": "43 Passive only indicator", "aggressive": "44 Passive or aggressive indicator",
    "self_execution_prevention": "45 Self-execution prevention", "linked_order_id": "46 Strategy linked order",
    "parent_order_id": "The bracket whose exit, or the scheduled order whose child, it is",
    "trade_id": "48 Trading venue transaction code",
    "trading_phase": "49 Trading phase",
}  # fmt: skip
"""Column: field of RTS 24, by number, or what it says beyond that."""

EXECUTION_FIELDS: Final = (
    "sequence", "time_ns", "seq", "index", "event", "trade_id", "order_id", "client_order_id", "account", "capacity",
    "client", "investment_decision", "execution_decision", "instrument", "side", "price", "quantity", "gross", "fee",
    "currency", "aggressive", "trading_phase",
)  # fmt: skip

_EVENTS: Final = {
    EventKind.ORDER_ACCEPTED: "NEWO", EventKind.ORDER_TRIGGERED: "TRIG", EventKind.ORDER_REPLACED: "REME",
    EventKind.ORDER_REDUCED: "REMA", EventKind.ORDER_RESIZED: "REMA", EventKind.ORDER_REFRESHED: "REMA",
}  # fmt: skip
_HAVE_PARENTS: Final = (OrderType.LIMIT, OrderType.MARKET, OrderType.STOP, OrderType.STOP_LIMIT)
"""Types of orders in whose ORDER_DETAILS a parent may stand."""
_BY_MEMBER: Final = (CancelReason.REQUESTED, CancelReason.MASS_CANCEL)
_BY_TIME: Final = (CancelReason.EXPIRED, CancelReason.IOC, CancelReason.FOK)
_TRADES: Final = (EventKind.TRADE, EventKind.TRADE_BUSTED, EventKind.TRADE_CORRECTED)
_COLD: Final = ("actor", "capacity", "client", "investment_decision", "execution_decision", "gateway_time_ns")
_WANTED: Final = np.zeros(256, np.bool_)
_WANTED[[*book.FOLLOWED, *_TRADES, EventKind.REJECTED]] = True


@dataclass(slots=True)
class _Order:
    """What an order's records repeat."""

    account_id: int
    instrument_id: int
    side: int
    session: int
    ids: Record
    client_order_id: str
    time_in_force: int = 0
    order_type: int = 0
    flags: int = 0
    self_trade: int = 0
    price_ticks: int = 0
    qty_lots: int = 0
    leaves_lots: int = 0
    """Of a scheduled order what its children have not filled."""
    priority_time_ns: int = 0
    stop_price_ticks: int = 0
    trigger: int = 0
    expire_time_ns: int = 0
    min_qty_lots: int = 0
    display_lots: int = 0
    linked_order_id: int = 0
    parent_order_id: int = 0


class Records:
    """Follows events from the first one on; `cold_of` gives the cold row of a command by its sequence, or None."""

    def __init__(self, names: Names, cold_of: Callable[[int], np.void | None]) -> None:
        """Begin before the first event; `names` sees every event first."""
        self._names = names
        self._cold_of = cold_of
        self._book = book.Book()
        self._orders: dict[int, _Order] = {}
        self._sequences = {"order": 0, "execution": 0}
        self._parents: dict[int, _Order] = {}
        """Brackets that ended under the command `_parents_seq`."""
        self._parents_seq = 0

    def follow(self, events: Events, *, is_wanted: bool) -> Iterator[tuple[str, Record]]:
        """Take events, of whole commands, in; yield ("order" or "execution", record) of each if they are wanted."""
        rows = events.rows[_WANTED[events.rows["kind"]]]
        followed = book.events_of(events)
        is_followed = np.isin(rows["kind"], book.FOLLOWED)
        for at, row in enumerate(rows):
            event = next(followed) if is_followed[at] else None
            if event is not None:
                self._book.settle(event)
                self._book.take(event)
            details = rows[at + 1] if at + 1 < len(rows) and rows["kind"][at + 1] == EventKind.ORDER_DETAILS else None
            made = list(self._records(row, details))
            if is_wanted:
                for what, record in made:
                    self._sequences[what] += 1
                    yield what, record | {"sequence": self._sequences[what]}

    def _records(self, row: np.void, details: np.void | None) -> Iterator[tuple[str, Record]]:
        kind = int(row["kind"])
        if kind == EventKind.TRADE:
            yield from self._trade(row)
        elif kind in _TRADES:
            yield from self._executions(row)
        elif kind == EventKind.REJECTED:
            if row["command_kind"] == CommandKind.ORDER_NEW:
                yield "order", self._rejected(row)
        elif kind in _EVENTS or kind == EventKind.ORDER_CANCELED:
            order_id = int(row["order_id"])
            if kind == EventKind.ORDER_ACCEPTED:
                self._orders[order_id] = self._entered(row, details)
            order = self._orders[order_id]
            self._change(order, row, details)
            yield "order", self._record(row, order_id, order, *self._event(row))
            if kind == EventKind.ORDER_CANCELED:
                self._forget(order_id, int(row["cause_seq"]))
        elif kind == EventKind.ORDER_RELEASED:
            yield "order", self._released(row)

    def _entered(self, row: np.void, details: np.void | None) -> _Order:
        """Return a new order; a bracket's exits and a scheduled order's children have their parent's codes."""
        whose = int(row["account_id"]), int(row["instrument_id"]), int(row["side"])
        has_details = details is not None and details["order_id"] == row["order_id"]
        is_linked = details is not None and has_details and details["linked_order_id"] != 0
        if (
            details is not None
            and has_details
            and details["order_type"] in _HAVE_PARENTS
            and details["parent_order_id"]
        ):
            parent_id = int(details["parent_order_id"])
            parent = self._parents.get(parent_id) or self._orders[parent_id]
            return _Order(*whose, parent.session, dict(parent.ids), "")
        cold = self._cold_of(int(row["cause_seq"]))
        is_stop_leg = is_linked and row["order_type"] != OrderType.LIMIT
        text = _text(cold, "original_client_id" if is_stop_leg else "client_id")
        return _Order(*whose, int(row["session_id"]), _ids(cold), text)

    def _change(self, order: _Order, row: np.void, details: np.void | None) -> None:
        """Take what an event says of its order."""
        kind = int(row["kind"])
        if kind in {EventKind.ORDER_ACCEPTED, EventKind.ORDER_REPLACED, EventKind.ORDER_TRIGGERED}:
            for name in ("time_in_force", "order_type", "self_trade", "price_ticks"):
                setattr(order, name, int(row[name]))
            order.flags = int(row["flags"])
            if not order.flags & Flag.PRIORITY_KEPT:
                order.priority_time_ns = int(row["time_ns"])
        if kind == EventKind.ORDER_REPLACED:
            cold = self._cold_of(int(row["cause_seq"]))
            order.ids |= {name: value for name, value in _ids(cold).items() if value}
            order.client_order_id = _text(cold) or order.client_order_id
        if kind == EventKind.ORDER_REFRESHED:
            order.priority_time_ns = int(row["time_ns"])
        else:
            order.qty_lots, order.leaves_lots = int(row["qty_lots"]), int(row["leaves_lots"])
        if details is not None and details["order_id"] == row["order_id"]:
            self._take_details(order, details)

    @staticmethod
    def _take_details(order: _Order, details: np.void) -> None:
        order.expire_time_ns, order.linked_order_id = int(details["expire_time_ns"]), int(details["linked_order_id"])
        order_type = int(details["order_type"])
        if order_type in _HAVE_PARENTS:
            order.parent_order_id = int(details["parent_order_id"])
        if order_type == OrderType.LIMIT:
            order.min_qty_lots, order.display_lots = int(details["min_qty_lots"]), int(details["display_qty_lots"])
        elif order_type not in {OrderType.OCO, OrderType.MARKET}:
            order.stop_price_ticks, order.trigger = int(details["trigger_price_ticks"]), int(details["trigger"])

    @staticmethod
    def _event(row: np.void) -> tuple[str, str]:
        """Return the event's code in RTS 24, and the venue's reason."""
        if row["kind"] != EventKind.ORDER_CANCELED:
            reason = CancelReason(int(row["reason"])).name if row["kind"] == EventKind.ORDER_RESIZED else ""
            return _EVENTS[EventKind(int(row["kind"]))], reason
        reason_ = CancelReason(int(row["reason"]))
        code = "CAME" if reason_ in _BY_MEMBER else "EXPI" if reason_ in _BY_TIME else "CAMO"
        return code, reason_.name

    def _trade(self, row: np.void) -> Iterator[tuple[str, Record]]:
        for side, order_field, leaves_field in (
            ("AGRE", "order_id", "leaves_lots"), ("PASV", "contra_order_id", "contra_leaves_lots"),
        ):  # fmt: skip
            order_id = int(row[order_field])
            order = self._orders[order_id]
            live = self._book.orders.get(order_id)
            record = self._record(row, order_id, order, "PARF" if live is not None else "FILL", "")
            precision = self._precision(order.instrument_id)
            yield "order", record | {
                "traded_quantity": precision.qty_text(int(row["qty_lots"])),
                "transaction_price": precision.price_text(int(row["price_ticks"])),
                "trade_id": int(row["trade_id"]), "aggressive": side,
                "remaining_quantity": precision.qty_text(int(row[leaves_field])),
            }  # fmt: skip
        yield from self._executions(row)
        for order_field in ("order_id", "contra_order_id"):
            if int(row[order_field]) not in self._book.orders:
                self._forget(int(row[order_field]), int(row["cause_seq"]))

    def _released(self, row: np.void) -> Record:
        """Return what a child left open of its scheduled order: as much as before, less (PARF) or nothing (FILL)."""
        order_id, leaves_lots = int(row["order_id"]), int(row["leaves_lots"])
        order = self._orders[order_id]
        filled_lots = order.leaves_lots - leaves_lots
        order.leaves_lots = leaves_lots
        code = "CHMO" if filled_lots == 0 else "PARF" if leaves_lots else "FILL"
        precision = self._precision(order.instrument_id)
        record = self._record(row, order_id, order, code, "RELEASED") | {
            "traded_quantity": precision.qty_text(filled_lots), "remaining_quantity": precision.qty_text(leaves_lots),
        }  # fmt: skip
        if leaves_lots == 0:
            self._forget(order_id, int(row["cause_seq"]))
        return record

    def _forget(self, order_id: int, seq: int) -> None:
        """Drop an order that has ended; of a bracket the exits may follow in the same command."""
        order = self._orders.pop(order_id)
        if order.order_type == OrderType.BRACKET:
            if seq != self._parents_seq:
                self._parents, self._parents_seq = {}, seq
            self._parents[order_id] = order

    def _executions(self, row: np.void) -> Iterator[tuple[str, Record]]:
        """Yield both sides of a trade, or of its bust or correction, when its orders may be gone."""
        instrument_id = int(row["instrument_id"])
        _, quote, _, tick_lot_units = self._names.trade_sizes(instrument_id)
        precision, scale = self._precision(instrument_id), self._names.scale(quote)
        gross = int(row["price_ticks"]) * int(row["qty_lots"]) * tick_lot_units
        for prefix, aggressive in (("", "AGRE"), ("contra_", "PASV")):
            order_id = int(row[f"{prefix}order_id"])
            order = self._orders.get(order_id)
            side = int(row["side"]) if not prefix else Side.BUY + Side.SELL - int(row["side"])
            ids = order.ids if order is not None else _ids(None)
            yield "execution", {
                "time_ns": int(row["time_ns"]), "seq": int(row["cause_seq"]), "index": int(row["index"]),
                "event": EventKind(int(row["kind"])).name, "trade_id": int(row["trade_id"]), "order_id": order_id,
                "client_order_id": order.client_order_id if order is not None else "",
                "account": self._account(int(row[f"{prefix}account_id"])),
                **{name: ids[name] for name in _COLD if name not in {"actor", "gateway_time_ns"}},
                "instrument": self._instrument(instrument_id), "side": Side(side).name,
                "price": precision.price_text(int(row["price_ticks"])),
                "quantity": precision.qty_text(int(row["qty_lots"])), "gross": amount_text(gross, scale),
                "fee": amount_text(int(row[f"{prefix}fee_units"]), scale), "currency": self._names.asset_name(quote),
                "aggressive": aggressive, "trading_phase": self._phase(instrument_id),
            }  # fmt: skip

    def _record(self, row: np.void, order_id: int, order: _Order, event: str, reason: str) -> Record:
        precision = self._precision(order.instrument_id)
        live = self._book.orders.get(order_id)
        shown = 0
        if live is not None and not live.waits:
            enters = live.leaves_lots and not live.is_resting and not live.is_immediate
            shown = min(order.display_lots or live.leaves_lots, live.leaves_lots) if enters else live.shown_lots
        return {
            "time_ns": int(row["time_ns"]), "seq": int(row["cause_seq"]), "index": int(row["index"]),
            "priority_time_ns": order.priority_time_ns, "event": event, "reason": reason, "order_id": order_id,
            "client_order_id": order.client_order_id, "account": self._account(order.account_id),
            "session": order.session, **order.ids, "instrument": self._instrument(order.instrument_id),
            "side": Side(order.side).name, "order_type": OrderType(order.order_type).name,
            "time_in_force": TimeInForce(order.time_in_force).name, "expire_time_ns": order.expire_time_ns,
            "limit_price": precision.price_text(order.price_ticks),
            "stop_price": precision.price_text(order.stop_price_ticks),
            "trigger": TriggerSource(order.trigger).name if order.trigger else "",
            "currency": self._names.asset_name(self._names.trade_sizes(order.instrument_id)[1]),
            "initial_quantity": precision.qty_text(order.qty_lots),
            "remaining_quantity": precision.qty_text(0 if live is None else live.leaves_lots),
            "displayed_quantity": precision.qty_text(shown), "traded_quantity": precision.qty_text(0),
            "minimum_quantity": precision.qty_text(order.min_qty_lots), "transaction_price": precision.price_text(0),
            "passive_only": bool(order.flags & Flag.POST_ONLY), "aggressive": "",
            "self_execution_prevention": SelfTrade(order.self_trade).name,
            "linked_order_id": order.linked_order_id, "parent_order_id": order.parent_order_id, "trade_id": 0,
            "trading_phase": self._phase(order.instrument_id),
        }  # fmt: skip

    def _rejected(self, row: np.void) -> Record:
        """Return the record of an order that was not accepted; what it names may not exist."""
        cold = self._cold_of(int(row["cause_seq"]))
        side = int(row["side"])
        instrument_id = int(row["instrument_id"])
        is_known = instrument_id in self._names.instruments
        return dict.fromkeys(ORDER_FIELDS, "") | _NUMBERS | {
            "time_ns": int(row["time_ns"]), "seq": int(row["cause_seq"]), "index": int(row["index"]), "event": "REMO",
            "reason": RejectCode(int(row["reason"])).name, "client_order_id": _text(cold),
            "account": self._account(int(row["account_id"])), "session": int(row["session_id"]), **_ids(cold),
            "instrument": self._instrument(instrument_id) if is_known else str(instrument_id),
            "side": Side(side).name if side in {Side.BUY, Side.SELL} else str(side), "passive_only": False,
        }  # fmt: skip

    def _precision(self, instrument_id: int) -> Precision:
        document = self._names.instruments[instrument_id]
        base, quote, lot_units, _ = self._names.trade_sizes(instrument_id)
        return Precision(int(document["tick_units"]), lot_units, self._names.scale(base), self._names.scale(quote))

    def _instrument(self, instrument_id: int) -> str:
        return str(self._names.instruments[instrument_id]["name"])

    def _account(self, account_id: int) -> str:
        return self._names.accounts.get(account_id, str(account_id))

    def _phase(self, instrument_id: int) -> str:
        market = self._book.markets.get(instrument_id)
        return MarketState(market.state if market is not None else MarketState.PRE_OPEN).name


_NUMBERS: Final = dict.fromkeys(
    ("priority_time_ns", "order_id", "expire_time_ns", "linked_order_id", "parent_order_id", "trade_id"), 0
)


def _ids(cold: np.void | None) -> Record:
    return {name: 0 if cold is None else int(cold[name]) for name in _COLD}


def _text(cold: np.void | None, name: str = "client_id") -> str:
    return "" if cold is None else bytes(cold[name]).decode("utf-8", "replace")


assert schema.COLD.fields is not None
assert set(_COLD) < set(schema.COLD.fields)
