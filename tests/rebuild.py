"""Rebuilds a venue from its events alone: books, order states, balances, totals, trades, states and sessions.

Invariants: it sees EVENT rows and their documents, never a command, and shares no code with the core or the naive
model; it is right after each command's last event (in its midst, a market order's hold is not exact).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack

from kk99 import batch, schema
from kk99.schema import PPM, EventKind, Flag, OrderType, RejectCode, Side, TimeInForce

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Event = dict[str, Any]
Document = dict[str, Any]
EVENT_FIELDS = schema.EVENT.names or ()
ORDER_FIELDS = (
    "order_id",
    "account_id",
    "instrument_id",
    "side",
    "order_type",
    "time_in_force",
    "price_ticks",
    "qty_lots",
    "leaves_lots",
)
NUMBER_NOT_TAKEN = {RejectCode.SESSION_UNKNOWN, RejectCode.SESSION_EPOCH_WRONG, RejectCode.CLIENT_SEQ_GAP}


def _fee(amount: int, ppm: int) -> int:
    return amount * ppm // PPM


@dataclass
class Order:
    """A live order as its events tell."""

    order_id: int
    account_id: int
    instrument_id: int
    side: int
    order_type: int
    time_in_force: int
    price_ticks: int
    qty_lots: int
    leaves_lots: int
    hold_units: int
    hold_ppm: int
    client_id: tuple[int, int]
    notional_units: int = 0

    @property
    def is_resting_kind(self) -> bool:
        """Whether what is left of it stays in the book."""
        return self.order_type == OrderType.LIMIT and self.time_in_force == TimeInForce.GTC

    @property
    def is_budget(self) -> bool:
        """Whether it is bounded by money alone."""
        return self.order_type == OrderType.MARKET and self.qty_lots == 0


@dataclass
class Instrument:
    """An instrument, and for each side its prices with the order ids in time order."""

    document: Document
    base: int
    quote: int
    tick_lot_units: int
    reference_price_ticks: int
    state: int = 0
    levels: dict[int, dict[int, list[int]]] = field(default_factory=lambda: {Side.BUY: {}, Side.SELL: {}})


@dataclass
class Session:
    """A session's open epoch and the last number that an event showed to be taken."""

    epoch: int = 0
    last: int = 0


class Rebuilt:
    """A venue as its events tell; empty at first."""

    def __init__(self) -> None:
        self.assets: dict[int, Document] = {}
        self.schedules: dict[str, Document] = {}
        self.instruments: dict[int, Instrument] = {}
        self.accounts: dict[int, Document] = {}
        self.account_states: dict[int, int] = {}
        self.sessions: dict[int, Session] = {}
        self.orders: dict[int, Order] = {}
        self.available: defaultdict[tuple[int, int], int] = defaultdict(int)
        self.held: defaultdict[tuple[int, int], int] = defaultdict(int)
        self.deposited: defaultdict[int, int] = defaultdict(int)
        self.withdrawn: defaultdict[int, int] = defaultdict(int)
        self.trades: dict[int, Event] = {}
        self.last: tuple[int, int] = (0, 0)

    def apply(self, events: batch.Events) -> None:
        """Take a batch of events, which must follow the last one without a gap."""
        self.apply_rows(events.rows, events.tail)

    def apply_rows(self, rows: npt.NDArray[np.void], tail: bytes | memoryview) -> None:
        """Take event rows with the tail that their documents lie in."""
        for row in rows:
            event: Event = dict(zip(EVENT_FIELDS, row.item(), strict=True))
            cause, index = event["cause_seq"], event["index"]
            assert (cause, index) in {(self.last[0], self.last[1] + 1), (self.last[0] + 1, 0)}, "a gap"
            self.last = cause, index
            if EventKind.ASSET_DEFINED <= event["kind"] <= EventKind.TRADE_CORRECTED:
                offset, size = event["document_offset"], event["document_size"]
                self._document(event, msgpack.unpackb(bytes(tail[offset : offset + size])))
            else:
                self._plain(event)

    def balances(self) -> dict[tuple[int, int], tuple[int, int]]:
        """(available, held) of each (account, asset) that has either."""
        keys = sorted(self.available.keys() | self.held.keys())
        both = {key: (self.available[key], self.held[key]) for key in keys}
        return {key: pair for key, pair in both.items() if pair != (0, 0)}

    def book(self, instrument_id: int) -> dict[int, list[tuple[int, list[tuple[int, int]]]]]:
        """For each side, best price first: (price, [(order id, leaves) in time order])."""
        return {
            side: [
                (price, [(order_id, self.orders[order_id].leaves_lots) for order_id in levels[price]])
                for price in sorted(levels, reverse=side == Side.BUY)
            ]
            for side, levels in self.instruments[instrument_id].levels.items()
        }

    # Events without a document ----------------------------------------------------------------------------------------

    def _plain(self, event: Event) -> None:
        """Take one event."""
        match event["kind"]:
            case EventKind.ORDER_ACCEPTED:
                self._accepted(event)
            case EventKind.ORDER_REPLACED:
                self._replaced(event)
            case EventKind.ORDER_REDUCED:
                order = self.orders[event["order_id"]]
                order.qty_lots, order.leaves_lots = event["qty_lots"], event["leaves_lots"]
                self._hold(order, event["amount_units"])
            case EventKind.ORDER_CANCELED:
                self._end(self.orders[event["order_id"]])
            case EventKind.TRADE:
                self._trade(event)
            case EventKind.DEPOSITED:
                self._transfer(event, event["amount_units"])
                self.deposited[event["asset_id"]] += event["amount_units"] + event["fee_units"]
            case EventKind.WITHDRAWN:
                self._transfer(event, -event["amount_units"] - event["fee_units"])
                self.withdrawn[event["asset_id"]] += event["amount_units"]
            case EventKind.SESSION_OPENED:
                self.sessions[event["session_id"]] = Session(event["session_epoch"])
                return
        self._number(event)

    def _number(self, event: Event) -> None:
        """Note that the command took its number, where the event says which."""
        if event["kind"] in {EventKind.TRADE, EventKind.DUPLICATE} or not event["session_id"]:
            return
        if event["kind"] == EventKind.REJECTED and event["reason"] in NUMBER_NOT_TAKEN:
            return
        self.sessions[event["session_id"]].last = event["client_seq"]

    def _rates(self, instrument: Instrument, account_id: int) -> int:
        """The rate that the hold of an order entered now is made with."""
        schedule = instrument.document["fee_schedule"]
        if not schedule:
            return 0
        rates = self.schedules[schedule]["tiers"][self.accounts[account_id]["tier"]]
        return max(int(rates["maker_ppm"]), int(rates["taker_ppm"]), 0)

    def _hold(self, order: Order, amount: int) -> None:
        """Hold that amount for an order; the difference goes back to, or comes from, what is available."""
        instrument = self.instruments[order.instrument_id]
        key = order.account_id, instrument.base if order.side == Side.SELL else instrument.quote
        self.available[key] -= amount - order.hold_units
        self.held[key] += amount - order.hold_units
        order.hold_units = amount

    def _accepted(self, event: Event) -> None:
        instrument = self.instruments[event["instrument_id"]]
        order = Order(
            **{name: event[name] for name in ORDER_FIELDS},
            hold_units=0,
            hold_ppm=self._rates(instrument, event["account_id"]),
            client_id=(event["client_id_lo"], event["client_id_hi"]),
        )
        self.orders[order.order_id] = order
        self._hold(order, event["amount_units"])
        self._rest(order)

    def _rest(self, order: Order) -> None:
        """Put an order at the back of its level; what trades at once is taken off again within the command."""
        if order.is_resting_kind:
            levels = self.instruments[order.instrument_id].levels[order.side]
            levels.setdefault(order.price_ticks, []).append(order.order_id)

    def _unrest(self, order: Order) -> None:
        if order.is_resting_kind:
            levels = self.instruments[order.instrument_id].levels[order.side]
            levels[order.price_ticks].remove(order.order_id)
            if not levels[order.price_ticks]:
                del levels[order.price_ticks]

    def _end(self, order: Order) -> None:
        self._hold(order, 0)
        self._unrest(order)
        del self.orders[order.order_id]

    def _replaced(self, event: Event) -> None:
        order = self.orders[event["order_id"]]
        is_kept = event["flags"] & Flag.PRIORITY_KEPT
        if not is_kept:
            self._unrest(order)
            order.price_ticks = event["price_ticks"]
            order.hold_ppm = self._rates(self.instruments[order.instrument_id], order.account_id)
            self._rest(order)
        order.qty_lots, order.leaves_lots = event["qty_lots"], event["leaves_lots"]
        order.client_id = event["client_id_lo"], event["client_id_hi"]
        self._hold(order, event["amount_units"])

    def _trade(self, event: Event) -> None:
        """Both orders' leaves and holds, then the money."""
        trade = dict(event)
        self.trades[event["trade_id"]] = trade
        instrument = self.instruments[event["instrument_id"]]
        trade["tick_lot_units"] = instrument.tick_lot_units
        instrument.reference_price_ticks = event["price_ticks"]
        notional = event["price_ticks"] * event["qty_lots"] * instrument.tick_lot_units
        for prefix in ("", "contra_"):
            order = self.orders[event[prefix + "order_id"]]
            order.leaves_lots = event[prefix + "leaves_lots"]
            order.notional_units += notional
            self._hold(order, self._hold_left(order, instrument, notional + event["fee_units"]))
            if order.leaves_lots == 0 and not order.is_budget:
                self._end(order)
        self._post(trade, 1)

    def _hold_left(self, order: Order, instrument: Instrument, paid: int) -> int:
        """An order's hold after a fill; a market buy's is what is left of it, until its end shows."""
        if order.side == Side.SELL:
            return order.leaves_lots * int(instrument.document["lot_units"])
        if order.order_type == OrderType.MARKET:
            return order.hold_units - paid
        notional = order.price_ticks * order.leaves_lots * instrument.tick_lot_units
        return notional + _fee(notional, order.hold_ppm)

    def _post(self, trade: Event, sign: int) -> None:
        """Post a trade's money, or (sign -1) post it back."""
        instrument = self.instruments[trade["instrument_id"]]
        notional = trade["price_ticks"] * trade["qty_lots"] * trade["tick_lot_units"]
        base_units = trade["qty_lots"] * instrument.document["lot_units"]
        for prefix, is_buyer in (("", trade["side"] == Side.BUY), ("contra_", trade["side"] == Side.SELL)):
            account, way = trade[prefix + "account_id"], sign if is_buyer else -sign
            self.available[account, instrument.base] += way * base_units
            self.available[account, instrument.quote] -= way * notional + sign * trade[prefix + "fee_units"]
        collected = trade["fee_units"] + trade["contra_fee_units"]
        self.available[schema.BURNED_ACCOUNT, instrument.quote] += sign * trade["burned_units"]
        self.available[schema.FEES_ACCOUNT, instrument.quote] += sign * (collected - trade["burned_units"])

    def _transfer(self, event: Event, amount: int) -> None:
        """A deposit or withdrawal: the account's amount, and the fee to where it goes."""
        asset, burned = event["asset_id"], event["contra_fee_units"]
        self.available[event["account_id"], asset] += amount
        self.available[schema.BURNED_ACCOUNT, asset] += burned
        self.available[schema.FEES_ACCOUNT, asset] += event["fee_units"] - burned

    # Events with a document -------------------------------------------------------------------------------------------

    def _document(self, event: Event, document: Document) -> None:
        """Take one event that carries a document."""
        kind = EventKind(event["kind"])
        match kind:
            case EventKind.ASSET_DEFINED:
                self.assets[event["asset_id"]] = document
            case EventKind.FEE_SCHEDULE_DEFINED:
                self.schedules[document["name"]] = document
            case EventKind.INSTRUMENT_DEFINED:
                self._instrument(event["instrument_id"], document)
            case EventKind.INSTRUMENT_CHANGED:
                self.instruments[event["instrument_id"]].document = document
            case EventKind.ACCOUNT_DEFINED:
                self.accounts[event["account_id"]] = document
                self.account_states[event["account_id"]] = 0
            case EventKind.ACCOUNT_CHANGED:
                self.accounts[event["account_id"]] = document
            case EventKind.SESSION_DEFINED:
                self.sessions[event["order_id"]] = Session()
            case EventKind.INSTRUMENT_STATE_CHANGED:
                self.instruments[event["instrument_id"]].state = event["state"]
            case EventKind.ACCOUNT_STATE_CHANGED:
                self.account_states[event["account_id"]] = event["state"]
            case EventKind.REFERENCE_PRICE_CHANGED:
                self.instruments[event["instrument_id"]].reference_price_ticks = event["price_ticks"]
            case _:
                self._revised(event, is_busted=kind == EventKind.TRADE_BUSTED)
                return
        self._number(event)

    def _instrument(self, number: int, document: Document) -> None:
        names = {asset["name"]: one for one, asset in self.assets.items()}
        base, quote = names[document["base"]], names[document["quote"]]
        units = document["tick_units"] * document["lot_units"] // 10 ** self.assets[base]["scale"]
        self.instruments[number] = Instrument(document, base, quote, units, document["reference_price_ticks"])

    def _revised(self, event: Event, *, is_busted: bool) -> None:
        """A bust or correction: its money, and what it takes off orders that still live."""
        old = self.trades[event["trade_id"]]
        new = old | {name: event[name] for name in ("price_ticks", "qty_lots", "fee_units", "contra_fee_units")}
        new["burned_units"] = event["burned_units"]
        if is_busted:
            assert new == old, "a bust repeats the trade"
            new["qty_lots"] = 0
        self._post(old, -1)
        if not is_busted:
            self._post(new, 1)
        units = old["tick_lot_units"]
        for order_id in (old["order_id"], old["contra_order_id"]):
            if order_id in self.orders:
                order = self.orders[order_id]
                order.qty_lots -= old["qty_lots"] - new["qty_lots"]
                order.notional_units -= (
                    old["price_ticks"] * old["qty_lots"] - new["price_ticks"] * new["qty_lots"]
                ) * units
        self.trades[event["trade_id"]] = new
