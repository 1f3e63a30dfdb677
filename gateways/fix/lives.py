"""Live orders as reports need them: found by id or client order id, filled, changed and ended by events.

Invariants:
- what stands here is a function of the events followed since an image (or the very beginning), and of texts;
- of an order by quantity `filled_lots + leaves_lots` is `qty_lots` for as long as it lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from kk99 import build, schema
from kk99.schema import EventKind, OrderType, Side

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kk99.batch import Rows

FILLED: Final = b"2"
CANCELED: Final = b"4"
EXPIRED: Final = b"C"
_DORMANT: Final = range(OrderType.STOP, OrderType.OCO)


class Texts(Protocol):
    """Where the texts of client order ids are found."""

    def of(self, cause_seq: int) -> Rows | None:
        """Return the cold row, COLD (1,), of the command that has a sequence; None: it has none, or is unknown."""


class Columns(dict[str, list[int]]):
    """Fields of event rows as lists of integers, each made when it is first asked for: cheaper than row by row."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self._rows = rows

    def __missing__(self, name: str) -> list[int]:
        column: list[int] = self._rows[name].tolist()
        self[name] = column
        return column


class Event:
    """One of some event rows; its fields are plain integers."""

    __slots__ = ("_at", "_columns")

    def __init__(self, columns: Columns, at: int) -> None:
        self._columns = columns
        self._at = at

    def __getattr__(self, name: str) -> int:
        return self._columns[name][self._at]

    @property
    def client_hash(self) -> tuple[int, int]:
        """Both words of the client order id's hash."""
        return self.client_id_lo, self.client_id_hi


@dataclass(slots=True)
class Order:
    """A live order, or one that ended while its latest trades can still be undone."""

    order_id: int
    session_id: int
    account_id: int
    instrument_id: int
    side: int
    order_type: int
    entered_type: int
    time_in_force: int
    entered_time_in_force: int
    self_trade: int
    flags: int
    client_hash: tuple[int, int]
    client_id: bytes
    entry_seq: int
    qty_lots: int
    leaves_lots: int
    price_ticks: int
    budget_units: int = 0
    """Of a market buy by CashOrderQty, which has no quantity."""
    filled_lots: int = 0
    notional: int = 0
    """Sum of price times quantity of its fills, in ticks and lots."""
    trigger_price_ticks: int = 0
    trail: int = 0
    trail_unit: int = 0
    display_lots: int = 0
    min_qty_lots: int = 0
    expire_time_ns: int = 0
    is_linked: bool = False
    is_told: bool = False
    """Its session has been told that it is accepted."""
    end: bytes = b""
    """OrdStatus (39) once it has ended."""
    parent: Order | None = None
    """The scheduled order that it was released for, which is told of its fills."""

    @property
    def status(self) -> bytes:
        """OrdStatus (39)."""
        return self.end or (b"1" if self.filled_lots else b"0")

    @property
    def is_dormant(self) -> bool:
        """Whether it waits for its trigger."""
        return self.order_type in _DORMANT

    def fill(self, qty_lots: int, price_ticks: int) -> None:
        """Count a fill."""
        self.filled_lots += qty_lots
        self.notional += price_ticks * qty_lots

    def undo(self, qty_lots: int, price_ticks: int, new_qty_lots: int, new_price_ticks: int) -> None:
        """Count a fill as another, smaller one; what is taken off never comes back to the book."""
        taken_off = qty_lots - new_qty_lots
        self.filled_lots -= taken_off
        self.notional += new_price_ticks * new_qty_lots - price_ticks * qty_lots
        if not self.budget_units:
            self.qty_lots -= taken_off
        if self.end == FILLED and not self.filled_lots:
            self.end = CANCELED


class Lives:
    """The live orders."""

    def __init__(self, texts: Texts) -> None:
        self.orders: dict[int, Order] = {}
        self.just_ended: dict[int, Order] = {}
        """Those that ended by the command whose events are followed now: exits may still name them."""
        self._texts = texts
        self._by_client: dict[tuple[int, int, int], Order] = {}

    def find(self, account_id: int, client_id_lo: int, client_id_hi: int) -> Order | None:
        """Return the live order of an account that has a client order id."""
        return self._by_client.get((account_id, client_id_lo, client_id_hi))

    def get(self, order_id: int) -> Order | None:
        """Return a live order, or one that ended by the command at hand."""
        return self.orders.get(order_id) or self.just_ended.get(order_id)

    def named(self, account_id: int, order_id: int, text: bytes) -> Order | None:
        """Return the live order of an account that a client names by its client order id or else the venue's id."""
        order = self.find(account_id, *build.client_id_hash(text.decode())) if text else None
        order = order or self.orders.get(order_id)
        return order if order is not None and order.account_id == account_id else None

    def of_account(self, account_id: int, session_id: int, instrument_id: int, side: int) -> Iterable[Order]:
        """Return the live orders of an account (0: of a session), an instrument (0: all) and a side, as entered."""
        chosen = [
            order
            for order in self.orders.values()
            if (order.account_id == account_id if account_id else order.session_id == session_id)
            and instrument_id in {0, order.instrument_id}
            and side in {Side.BOTH, order.side}
        ]
        return sorted(chosen, key=lambda order: (order.entry_seq, order.order_id))

    def text(self, seq: int, field: str) -> bytes:
        """Return a text of a command's cold row, b"" when there is none."""
        cold = self._texts.of(seq)
        return b"" if cold is None else bytes(cold[field][0])

    def enter(self, event: Event, client_id: bytes) -> Order:
        """Take an order that is accepted, or in an image."""
        is_image = event.kind == EventKind.ORDER_IMAGE
        is_budget = event.order_type == OrderType.MARKET and event.qty_lots == 0
        order = Order(
            order_id=event.order_id,
            session_id=event.session_id,
            account_id=event.account_id,
            instrument_id=event.instrument_id,
            side=event.side,
            order_type=event.order_type,
            entered_type=event.order_type,
            time_in_force=event.time_in_force,
            entered_time_in_force=event.time_in_force,
            self_trade=event.self_trade,
            flags=event.flags & schema.ORDER_FLAGS,
            client_hash=event.client_hash,
            client_id=client_id,
            entry_seq=event.origin_seq if is_image else event.cause_seq,
            qty_lots=event.qty_lots,
            leaves_lots=event.leaves_lots,
            price_ticks=event.price_ticks,
            budget_units=event.amount_units if is_budget else 0,
            is_told=is_image,
        )
        self.orders[order.order_id] = order
        if any(order.client_hash):
            self._by_client[order.account_id, *order.client_hash] = order
        return order

    def adopt(self, event: Event, tick_lot_units: int) -> None:
        """Take an order of an image, with what of it is filled, and the text of its client order id if it is known."""
        texts = [self.text(event.origin_seq, name) for name in ("client_id", "original_client_id")]
        matching = [text for text in texts if text and build.client_id_hash(text.decode()) == event.client_hash]
        order = self.enter(event, matching[0] if matching else b"")
        order.filled_lots = order.qty_lots - order.leaves_lots
        order.notional = event.notional_units // tick_lot_units

    def detail(self, event: Event) -> Order | None:
        """Take an order's further terms."""
        order = self.get(event.order_id)
        if order is None:
            return None
        order.expire_time_ns = event.expire_time_ns
        order.is_linked = event.linked_order_id != 0
        if order.order_type in {OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT}:
            order.trail, order.trail_unit = event.trail, event.trail_unit
        if order.is_dormant or order.order_type == OrderType.BRACKET:
            order.trigger_price_ticks = event.trigger_price_ticks
        elif order.order_type == OrderType.LIMIT:
            order.display_lots, order.min_qty_lots = event.display_qty_lots, event.min_qty_lots
        is_exit = order.order_type <= OrderType.STOP_LIMIT and event.parent_order_id
        parent = self.get(event.parent_order_id) if is_exit else None
        if parent is not None and not order.is_told:
            order.session_id = parent.session_id
        if parent is not None and parent.order_type == OrderType.ALGO:
            order.parent, order.is_told = parent, True
        return order

    def change(self, order: Order, event: Event) -> None:
        """Take new price, quantities, type and time in force."""
        order.price_ticks, order.qty_lots, order.leaves_lots = event.price_ticks, event.qty_lots, event.leaves_lots
        if event.kind in {EventKind.ORDER_REPLACED, EventKind.ORDER_TRIGGERED}:
            order.order_type, order.time_in_force = event.order_type, event.time_in_force

    def rename(self, order: Order, client_hash: tuple[int, int], client_id: bytes) -> None:
        """Give an order another client order id."""
        self._by_client.pop((order.account_id, *order.client_hash), None)
        order.client_hash, order.client_id = client_hash, client_id
        self._by_client[order.account_id, *client_hash] = order

    def finish(self, order: Order, end: bytes) -> None:
        """Take an order that has ended."""
        order.end, order.leaves_lots = end, 0
        self.just_ended[order.order_id] = order
        del self.orders[order.order_id]
        if any(order.client_hash):
            self._by_client.pop((order.account_id, *order.client_hash), None)
