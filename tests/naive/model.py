"""The naive model of the venue: what `docs/explanation/rules.md` says, as plainly as it can be said.

It is the independent oracle of the core: written from the same page, obviously right rather than fast, sharing nothing
with the core but the schema's numbers.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from kk99 import schema
from kk99.schema import CancelReason, CommandKind, EventKind, RejectCode, Side
from tests.naive.documents import DEFINITIONS, read
from tests.naive.operators import OPERATOR_COMMANDS, deposit, withdraw
from tests.naive.orders import (
    Command,
    check_queue,
    do_work,
    mass_cancel,
    order_cancel,
    order_new,
    order_replace,
    queue,
    refuse_if,
)
from tests.naive.records import Key, Order, RejectError, Session, WorkItem
from tests.naive.venue import Event, Venue

if TYPE_CHECKING:
    import numpy as np

COMMAND_FIELDS = schema.COMMAND.names or ()
HOT = {
    CommandKind.ORDER_NEW: order_new,
    CommandKind.ORDER_REPLACE: order_replace,
    CommandKind.ORDER_CANCEL: order_cancel,
    CommandKind.MASS_CANCEL: mass_cancel,
    CommandKind.DEPOSIT: deposit,
    CommandKind.WITHDRAW: withdraw,
}
SEQUENCERS = {CommandKind.CONTINUE, CommandKind.CLOCK, CommandKind.SESSION_LOST}
REPEATED = (
    "account_id",
    "instrument_id",
    "side",
    "price_ticks",
    "qty_lots",
    "amount_units",
    "client_id_lo",
    "client_id_hi",
)


class Naive(Venue):
    """The venue as plain Python: commands in, events out."""

    def apply(self, row: np.void | Command, document: bytes = b"") -> list[Event]:
        """Apply one stamped command (a COMMAND row, or all its fields by name) and return its events."""
        command = row if isinstance(row, dict) else dict(zip(COMMAND_FIELDS, row.item(), strict=True))
        assert command["seq"] == self.seq + 1
        assert command["time_ns"] >= self.time_ns
        self.seq, self.time_ns = command["seq"], command["time_ns"]
        self.command, self.events = command, []
        do_work(self)
        try:
            self.take_number(command)
            self.dispatch(command, document)
        except RejectError as error:
            self.reject(command, error.code)
        except DuplicateError as error:
            self.emit(EventKind.DUPLICATE, origin_seq=error.origin_seq)
        return self.events

    def reject(self, command: Command, code: RejectCode) -> None:
        """Say that the command changed nothing."""
        fields = {name: command[name] for name in REPEATED}
        if not command["flags"] & schema.Flag.TARGET_CLIENT_ID:
            fields["order_id"] = command["target_lo"]
        self.emit(EventKind.REJECTED, **fields, reason=int(code))

    # Sessions ---------------------------------------------------------------------------------------------------------

    def session(self, number: int) -> Session:
        """The session of that number, or SESSION_UNKNOWN."""
        session = self.sessions.get(number)
        if session is None:
            raise RejectError(RejectCode.SESSION_UNKNOWN)
        return session

    def take_number(self, command: Command) -> None:
        """Check that a session's command is its next one, and take its number."""
        if command["session_id"] == 0 or command["kind"] == CommandKind.SESSION_OPEN:
            return
        session, number = self.session(command["session_id"]), command["client_seq"]
        wrong = session.epoch == 0 or command["session_epoch"] != session.epoch
        refuse_if(wrong, RejectCode.SESSION_EPOCH_WRONG)
        if number <= session.last:
            is_recent = number > session.last - schema.SESSION_WINDOW
            raise DuplicateError(session.taken.get(number, 0) if is_recent else 0)
        refuse_if(number > session.last + 1, RejectCode.CLIENT_SEQ_GAP)
        session.last = number
        session.taken[number] = self.seq

    def session_open(self, command: Command) -> None:
        """SESSION_OPEN."""
        session = self.session(command["session_id"])
        refuse_if(command["session_epoch"] != session.epoch + 1, RejectCode.SESSION_EPOCH_WRONG)
        session.epoch, session.last, session.taken = session.epoch + 1, 0, {}
        self.emit(EventKind.SESSION_OPENED)

    def session_lost(self, command: Command) -> None:
        """SESSION_LOST."""
        session = self.session(command["target_lo"])
        check_queue(self)
        self.emit(EventKind.SESSION_LOST, order_id=session.number)
        queue(self, WorkItem(self.seq, CancelReason.SESSION_LOST, session_id=session.number))

    # Commands ---------------------------------------------------------------------------------------------------------

    def dispatch(self, command: Command, document: bytes) -> None:
        """Do what the command asks for."""
        kind = command["kind"]
        refuse_if(kind in SEQUENCERS and command["session_id"] != 0, RejectCode.KIND_UNKNOWN)
        if kind == CommandKind.CONTINUE:
            self.emit(EventKind.CONTINUED)
        elif kind == CommandKind.CLOCK:
            self.emit(EventKind.CLOCK_TICKED)
        elif kind == CommandKind.SESSION_OPEN:
            self.session_open(command)
        elif kind == CommandKind.SESSION_LOST:
            self.session_lost(command)
        elif kind in HOT:
            HOT[CommandKind(kind)](self, command)
        elif kind in DEFINITIONS:
            DEFINITIONS[kind](self, read(kind, document))
        elif kind in OPERATOR_COMMANDS:
            OPERATOR_COMMANDS[kind](self, command, read(kind, document))
        else:
            raise RejectError(RejectCode.KIND_UNKNOWN)

    # Views and checks -------------------------------------------------------------------------------------------------

    def balances(self) -> dict[Key, tuple[int, int]]:
        """(available, held) of each (account, asset) that has either."""
        keys = sorted(self.available.keys() | self.held.keys())
        both = {key: (self.available.get(key, 0), self.held.get(key, 0)) for key in keys}
        return {key: pair for key, pair in both.items() if pair != (0, 0)}

    def book(self, instrument_id: int) -> dict[int, list[tuple[int, list[tuple[int, int]]]]]:
        """For each side, best price first: (price, [(order id, leaves) in time order])."""
        book = self.instruments[instrument_id].book
        return {
            side: [
                (price, [(order.order_id, order.leaves_lots) for order in book.levels[side][price]])
                for price in (reversed(book.prices[side]) if side == Side.BUY else book.prices[side])
            ]
            for side in (Side.BUY, Side.SELL)
        }

    def orders(self) -> list[Order]:
        """The live orders by instrument, buys before sells, in price-time order."""
        return [
            order
            for number in sorted(self.instruments)
            for side in (Side.BUY, Side.SELL)
            for order in self.instruments[number].book.walk(side)
        ]

    def check(self) -> None:
        """Assert that money is conserved, holds follow the formula, books are in order and what lives rests."""
        totals: defaultdict[int, int] = defaultdict(int)
        for balances in (self.available, self.held):
            for (_, asset), amount in balances.items():
                assert amount >= 0
                totals[asset] += amount
        for one in self.assets.values():
            assert totals[one.number] == one.deposited_units - one.withdrawn_units, f"asset {one.number} not conserved"
        holds: defaultdict[Key, int] = defaultdict(int)
        for order in self.live.values():
            instrument = self.instruments[order.instrument_id]
            assert 0 < order.leaves_lots <= order.qty_lots
            assert order.hold_units == order.hold(instrument)
            assert instrument.book.has(order)
            holds[order.account_id, order.hold_asset(instrument)] += order.hold_units
        assert dict(holds) == {key: amount for key, amount in self.held.items() if amount}
        resting = self.orders()
        assert {order.order_id for order in resting} == set(self.live)
        for instrument in self.instruments.values():
            bid, ask = instrument.book.best_price(Side.BUY), instrument.book.best_price(Side.SELL)
            assert bid is None or ask is None or bid < ask
        assert all(key in self.by_client_id for key in by_client_id(self.live.values()))


class DuplicateError(Exception):
    """The number was taken before, at this sequence (0: longer ago than the window)."""

    def __init__(self, origin_seq: int) -> None:
        super().__init__(origin_seq)
        self.origin_seq = origin_seq


def by_client_id(orders: Any) -> list[tuple[int, Key]]:
    """The client ids of orders, each with its account."""
    return [(order.account_id, order.client_id) for order in orders if order.client_id != (0, 0)]
