"""Live orders as reports need them: found by id or client order id, filled, changed and ended by events.

They stand in the tables of `live_table`, which compiled code reads and writes too; here they are objects.

Invariants:
- what stands here is a function of the events followed since an image (or the very beginning), and of texts;
- of an order by quantity `filled_lots + leaves_lots` is `qty_lots` for as long as it lives;
- an `Order` is good until the next event: tables that grow are others.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np

from gateways.fix import live_table as lt
from kk99 import build, schema
from kk99.schema import EventKind, OrderType, Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from kk99.batch import Rows

FILLED: Final = b"2"
CANCELED: Final = b"4"
EXPIRED: Final = b"C"
_DORMANT: Final = range(OrderType.STOP, OrderType.OCO)
_NO_EVENT: Final = np.zeros(schema.ROW_WORDS, np.int64)


class Texts(Protocol):
    """Where the texts of client order ids are found."""

    def of(self, cause_seq: int) -> Rows | None:
        """Return the cold row, COLD (1,), of the command that has a sequence; None: it has none, or is unknown."""


class Columns(dict[str, list[int]]):
    """Fields of event rows as lists of integers, each made when it is first asked for: cheaper than row by row."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self.rows = rows

    def __missing__(self, name: str) -> list[int]:
        column: list[int] = self.rows[name].tolist()
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

    @property
    def words(self) -> npt.NDArray[np.int64]:
        """The row as int64[16]."""
        return np.frombuffer(self._columns.rows[self._at].tobytes(), np.int64).copy()


class _Number:
    """A word of an order's row."""

    def __init__(self, word: int) -> None:
        self._word = word

    def __get__(self, order: Order, _: type[Order] | None = None) -> int:
        return int(order.row[self._word])

    def __set__(self, order: Order, value: int) -> None:
        order.row[self._word] = value


class _Truth(_Number):
    """A word that is 1 or 0."""

    def __get__(self, order: Order, _: type[Order] | None = None) -> bool:
        return bool(order.row[self._word])


class Order:
    """A live order, or one that ended while its latest trades can still be undone."""

    __slots__ = ("row", "slot")

    def __init__(self, slot: int, row: npt.NDArray[np.int64]) -> None:
        self.slot = slot
        self.row = row

    order_id = _Number(lt.O_ID)
    session_id = _Number(lt.O_SESSION)
    account_id = _Number(lt.O_ACCOUNT)
    instrument_id = _Number(lt.O_INSTRUMENT)
    side = _Number(lt.O_SIDE)
    order_type = _Number(lt.O_TYPE)
    entered_type = _Number(lt.O_ENTERED_TYPE)
    time_in_force = _Number(lt.O_TIF)
    entered_time_in_force = _Number(lt.O_ENTERED_TIF)
    self_trade = _Number(lt.O_SELF_TRADE)
    flags = _Number(lt.O_FLAGS)
    entry_seq = _Number(lt.O_ENTRY_SEQ)
    qty_lots = _Number(lt.O_QTY)
    leaves_lots = _Number(lt.O_LEAVES)
    price_ticks = _Number(lt.O_PRICE)
    budget_units = _Number(lt.O_BUDGET)
    """Of a market buy by CashOrderQty, which has no quantity."""
    filled_lots = _Number(lt.O_FILLED)
    notional = _Number(lt.O_NOTIONAL)
    """Sum of price times quantity of its fills, in ticks and lots."""
    trigger_price_ticks = _Number(lt.O_TRIGGER)
    trail = _Number(lt.O_TRAIL)
    trail_unit = _Number(lt.O_TRAIL_UNIT)
    display_lots = _Number(lt.O_DISPLAY)
    min_qty_lots = _Number(lt.O_MIN_QTY)
    expire_time_ns = _Number(lt.O_EXPIRE)
    is_linked = _Truth(lt.O_LINKED)
    is_told = _Truth(lt.O_TOLD)
    """Its session has been told that it is accepted."""

    @property
    def client_hash(self) -> tuple[int, int]:
        """Both words of its client order id's hash."""
        return int(self.row[lt.O_CLIENT_LO]), int(self.row[lt.O_CLIENT_HI])

    @property
    def client_id(self) -> bytes:
        """Its client order id, b"" when that is not known."""
        return self.row[lt.O_TEXT :].tobytes()[: int(self.row[lt.O_TEXT_LENGTH])]

    @client_id.setter
    def client_id(self, text: bytes) -> None:
        self.row[lt.O_TEXT_LENGTH] = len(text)
        self.row[lt.O_TEXT :] = np.frombuffer(text.ljust(8 * lt.TEXT_WORDS, b"\0"), np.int64)

    @property
    def end(self) -> bytes:
        """OrdStatus (39) once it has ended."""
        number = int(self.row[lt.O_END])
        return bytes([number]) if number else b""

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
            self.row[lt.O_END] = lt.CANCELED


class LiveOrders(Mapping[int, Order]):
    """The live orders by id."""

    def __init__(self, lives: Lives) -> None:
        self._lives = lives

    def __getitem__(self, order_id: int) -> Order:
        order = self._lives.get(order_id)
        if order is None or order.end:
            raise KeyError(order_id)
        return order

    def __iter__(self) -> Iterator[int]:
        rows = self._lives.rows()
        ids: list[int] = rows[(rows[:, lt.O_ID] > 0) & (rows[:, lt.O_END] == 0), lt.O_ID].tolist()
        return iter(ids)

    def __len__(self) -> int:
        return int(self._lives.book.st[lt.ST_LIVE])


class Trade(NamedTuple):
    """A trade that can still be undone."""

    orders: tuple[Order | None, Order | None]
    """Taker's and maker's."""
    price_ticks: int
    qty_lots: int
    told: tuple[int, int]
    """(cause_seq, index) of the latest reports of it."""
    row: Any


class Lives:
    """The live orders, and the latest trades."""

    def __init__(self, texts: Texts, trade_window: int = schema.TRADE_WINDOW) -> None:
        self.book = lt.new_book(secrets.randbits(61), trade_window)
        self.orders = LiveOrders(self)
        self._texts = texts

    def begin(self, cause_seq: int) -> None:
        """Make room for an event of a command."""
        if not lt.has_room(self.book):
            self.book = lt.with_room(self.book)
        if cause_seq != self.book.st[lt.ST_CAUSE]:
            self._act(lt.CAUSE, cause_seq)

    def rows(self) -> npt.NDArray[np.int64]:
        """Return all rows that were ever used; what is no live order has no id above 0, or an end."""
        found: npt.NDArray[np.int64] = self.book.orders[1 : int(self.book.st[lt.ST_TOP])]
        return found

    def find(self, account_id: int, client_id_lo: int, client_id_hi: int) -> Order | None:
        """Return the live order of an account that has a client order id."""
        if not (client_id_lo or client_id_hi):
            return None
        return self._order(self._act(lt.FIND_CLIENT, account_id, client_id_lo, client_id_hi))

    def get(self, order_id: int) -> Order | None:
        """Return a live order, or one that ended by the command at hand."""
        return self._order(self._act(lt.FIND, order_id)) if order_id > 0 else None

    def named(self, account_id: int, order_id: int, text: bytes) -> Order | None:
        """Return the live order of an account that a client names by its client order id or else the venue's id."""
        order = self.find(account_id, *build.client_id_hash(text.decode())) if text else None
        order = order or self.orders.get(order_id)
        return order if order is not None and order.account_id == account_id else None

    def of_account(self, account_id: int, session_id: int, instrument_id: int, side: int) -> list[Order]:
        """Return the live orders of an account (0: of a session), an instrument (0: all) and a side, as entered."""
        rows = self.rows()
        chosen = (rows[:, lt.O_ID] > 0) & (rows[:, lt.O_END] == 0)
        chosen &= rows[:, lt.O_ACCOUNT] == account_id if account_id else rows[:, lt.O_SESSION] == session_id
        if instrument_id:
            chosen &= rows[:, lt.O_INSTRUMENT] == instrument_id
        if side != Side.BOTH:
            chosen &= rows[:, lt.O_SIDE] == side
        slots = np.flatnonzero(chosen)
        as_entered = np.lexsort((rows[slots, lt.O_ID], rows[slots, lt.O_ENTRY_SEQ]))
        return [Order(slot + 1, rows[slot]) for slot in slots[as_entered].tolist()]

    def text(self, seq: int, field: str) -> bytes:
        """Return a text of a command's cold row, b"" when there is none."""
        cold = self._texts.of(seq)
        return b"" if cold is None else bytes(cold[field][0])

    def enter(self, event: Event, client_id: bytes) -> Order:
        """Take an order that is accepted, or in an image."""
        order = self._order(self._act(lt.ENTER, event=event.words))
        assert order is not None
        order.client_id = client_id
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
        return order

    def change(self, order: Order, event: Event) -> None:
        """Take new price, quantities, type and time in force."""
        order.price_ticks, order.qty_lots, order.leaves_lots = event.price_ticks, event.qty_lots, event.leaves_lots
        if event.kind in {EventKind.ORDER_REPLACED, EventKind.ORDER_TRIGGERED}:
            order.order_type, order.time_in_force = event.order_type, event.time_in_force

    def rename(self, order: Order, client_hash: tuple[int, int], client_id: bytes) -> None:
        """Give an order another client order id."""
        self._act(lt.RENAME, order.slot, *client_hash)
        order.client_id = client_id

    def finish(self, order: Order, end: bytes) -> None:
        """Take an order that has ended."""
        self._act(lt.FINISH, order.slot, end[0])

    # Trades -----------------------------------------------------------------------------------------------------------

    def trade(self, event: Event, taker: Order | None, maker: Order | None) -> None:
        """Remember a trade."""
        slots = [0 if order is None else order.slot for order in (taker, maker)]
        self._act(lt.TRADE, *slots, event=event.words)

    def traded(self, trade_id: int) -> Trade | None:
        """Return a trade that can still be undone."""
        trades, st = self.book.trades, self.book.st
        found = np.flatnonzero(trades[: min(int(st[lt.ST_TRADES]), len(trades)), lt.T_ID] == trade_id)
        if not len(found):
            return None
        row = trades[found[-1]]
        taker, maker, price_ticks, qty_lots, seq, index = row[lt.T_TAKER : lt.T_INDEX + 1].tolist()
        return Trade((self._order(taker), self._order(maker)), price_ticks, qty_lots, (seq, index), row)

    def retrade(self, trade: Trade, event: Event, price_ticks: int, qty_lots: int) -> None:
        """Note what a trade was changed to, and by which event."""
        trade.row[lt.T_PRICE], trade.row[lt.T_QTY] = price_ticks, qty_lots
        trade.row[lt.T_SEQ], trade.row[lt.T_INDEX] = event.cause_seq, event.index

    def _order(self, slot: int) -> Order | None:
        return Order(slot, self.book.orders[slot]) if slot else None

    def _act(self, what: int, a: int = 0, b: int = 0, c: int = 0, *, event: npt.NDArray[np.int64] = _NO_EVENT) -> int:
        return int(lt.act(self.book, what, a, b, c, event))
