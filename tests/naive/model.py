"""The naive model of the venue: what the rules in `docs/explanation/` say, as plainly as they can be said.

It is the independent oracle of the core: written from the same pages, obviously right rather than fast, sharing nothing
with the core but the schema's numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import CancelReason, CommandKind, EventKind, RejectCode, Side
from tests.naive import recovery
from tests.naive.conservation import check
from tests.naive.documents import DEFINITIONS, read
from tests.naive.entry import order_new
from tests.naive.operators import OPERATOR_COMMANDS, deposit, index_price, message_noted, withdraw
from tests.naive.orders import mass_cancel, order_cancel, order_replace
from tests.naive.records import Key, Order, RejectError, Session, WorkItem, refuse_if
from tests.naive.scheduled import algo_order, order_suspend
from tests.naive.settling import settle
from tests.naive.thresholds import THRESHOLD_DEFINITIONS
from tests.naive.venue import Command, Event, Venue, repeated
from tests.naive.work import check_queue, do_work, queue

if TYPE_CHECKING:
    import numpy as np

    from tests.naive.breaker import Trip
    from tests.naive.records import Instrument

COMMAND_FIELDS = schema.COMMAND.names or ()
HOT = {
    CommandKind.ORDER_NEW: order_new,
    CommandKind.ORDER_REPLACE: order_replace,
    CommandKind.ORDER_CANCEL: order_cancel,
    CommandKind.MASS_CANCEL: mass_cancel,
    CommandKind.DEPOSIT: deposit,
    CommandKind.WITHDRAW: withdraw,
    CommandKind.INDEX_PRICE: index_price,
    CommandKind.MESSAGE_NOTED: message_noted,
    CommandKind.ORDER_SUSPEND: order_suspend,
    CommandKind.SETTLE: settle,
}
DEFINING = DEFINITIONS | THRESHOLD_DEFINITIONS
DOCUMENT_KINDS = {kind for kind in CommandKind if kind >= schema.FIRST_DOCUMENT_KIND}
SEQUENCERS = {CommandKind.CONTINUE, CommandKind.CLOCK, CommandKind.SESSION_LOST}


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
        self.wants_round = False
        try:
            self.take_number(command)
            self.dispatch(command, document)
        except RejectError as error:
            self.reject(command, error.code)
        except DuplicateError as error:
            self.emit(EventKind.DUPLICATE, origin_seq=error.origin_seq)
        if self.wants_round or (self.has_steps and command["kind"] not in DOCUMENT_KINDS):
            do_work(self)
        return self.events

    def reject(self, command: Command, code: RejectCode) -> None:
        """Say that the command changed nothing."""
        self.emit(EventKind.REJECTED, **repeated(command), reason=int(code))

    def halt(self, instrument: Instrument, trip: Trip) -> None:
        """Halt a market because of what its breaker measured."""
        recovery.halt(self, instrument, trip)

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
        elif kind in DEFINING:
            DEFINING[kind](self, read(kind, document))
        elif kind == CommandKind.ALGO_ORDER:
            algo_order(self, command, read(kind, document))
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
        """The resting orders by instrument, buys before sells, in price-time order."""
        return [
            order
            for number in sorted(self.instruments)
            for side in (Side.BUY, Side.SELL)
            for order in self.instruments[number].book.walk(side)
        ]

    def check(self) -> None:
        """Assert all that must hold between two commands."""
        check(self)


class DuplicateError(Exception):
    """The number was taken before, at this sequence (0: longer ago than the window)."""

    def __init__(self, origin_seq: int) -> None:
        super().__init__(origin_seq)
        self.origin_seq = origin_seq
