"""LOBSTER message files (NASDAQ order by order) as flow: CSV, maybe gzipped, no header line.

Columns: seconds after midnight, type (1 new, 2 partial cancel, 3 delete, 4 execution of a visible order, 5 of a
hidden one, 6 cross, 7 halt), order id, size, price times 10,000, side of the resting order (1 buy, -1 sell).
An execution becomes a taker's IOC order that meets exactly that order. Hidden executions and crosses never stood in the
book and are counted, as is whatever concerns an order that was entered before the file began.
"""

from __future__ import annotations

import csv
import gzip
from typing import TYPE_CHECKING, Final

from kk99.errors import InputError
from kk99.feed.flow import Flow, rows_of
from kk99.feed.script import Script, Standing, opposite
from kk99.schema import CommandKind, MarketState, Side

if TYPE_CHECKING:
    from pathlib import Path

MAKERS: Final = 4
TAKERS: Final = 4
ACCOUNTS: Final = ("alder", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple")
PRICE_PER_TICK: Final = 100
"""A file's price unit is 1/10,000 of a dollar, a tick one cent."""
_NEW, _PARTIAL, _DELETE, _EXECUTION, _HIDDEN, _CROSS, _HALT = range(1, 8)
_STATES: Final = {-1: MarketState.HALTED, 1: MarketState.OPEN}
_COLUMNS: Final = 6


class Converter:
    """Follows every order of the file by its id."""

    def __init__(self) -> None:
        """Start with an empty book."""
        self.script = Script(MAKERS, TAKERS)
        self.orders: dict[int, Standing] = {}
        self.start_ns: int | None = None
        self.now_ns = 0

    def line(self, fields: list[str]) -> None:
        """Take one line in."""
        if len(fields) != _COLUMNS:
            raise InputError(f"{len(fields)} columns where {_COLUMNS} are expected")
        seconds, _, fraction = fields[0].partition(".")
        time_ns = int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or "0")
        kind, order_id, size, price, direction = (int(text) for text in fields[1:])
        self.start_ns = time_ns if self.start_ns is None else self.start_ns
        if time_ns - self.start_ns < self.now_ns:
            raise InputError("time goes back")
        self.now_ns = time_ns - self.start_ns
        if kind in {_HIDDEN, _CROSS}:
            self.script.counts["hidden" if kind == _HIDDEN else "cross"] += 1
        elif kind == _HALT:
            self.halt(price)
        elif kind not in {_NEW, _PARTIAL, _DELETE, _EXECUTION}:
            raise InputError(f"there is no message type {kind}")
        elif size < 1 or direction not in {1, -1}:
            raise InputError("size or side is out of range")
        elif kind == _NEW:
            self.new(order_id, size, price, Side.BUY if direction == 1 else Side.SELL)
        else:
            self.change(kind, order_id, size)

    def new(self, order_id: int, size: int, price: int, side: Side) -> None:
        """Enter an order; what stands in its way left the file's range of levels unseen, and is withdrawn."""
        if order_id in self.orders:
            raise InputError(f"order {order_id} is entered twice")
        if price < PRICE_PER_TICK or price % PRICE_PER_TICK:
            raise InputError(f"price {price} is not a multiple of {PRICE_PER_TICK}")
        ticks = price // PRICE_PER_TICK
        self.script.clear(self.now_ns, opposite(side), ticks + (1 if side == Side.BUY else -1))
        self.orders[order_id] = self.script.quote(self.now_ns, order_id % MAKERS, side, ticks, size)

    def change(self, kind: int, order_id: int, size: int) -> None:
        """Reduce, delete or execute an order."""
        order = self.orders.get(order_id)
        if order is None or not self.script.stands(order):
            self.script.counts["order_unknown"] += 1
            return
        if size > order.leaves_lots:
            raise InputError(f"order {order_id} has {order.leaves_lots} left, not {size}")
        if kind == _EXECUTION:
            self.script.take(self.now_ns, order, size)
        elif size == order.leaves_lots:
            self.script.withdraw(self.now_ns, order)
        elif kind == _PARTIAL:
            self.script.resize(self.now_ns, order, order.leaves_lots - size)
        else:
            raise InputError(f"order {order_id} is deleted with {size}, but has {order.leaves_lots} left")
        if not self.script.stands(order):
            del self.orders[order_id]

    def halt(self, state: int) -> None:
        """Halt or open the market (0, quoting resumes, still trades nothing)."""
        if state not in {-1, 0, 1}:
            raise InputError(f"there is no trading state {state}")
        if state in _STATES:
            row = (self.now_ns, 0, 0, 0, CommandKind.INSTRUMENT_STATE, 0, 0, _STATES[state])
            self.script.records.append(row)


def read(path: Path, instrument: str) -> Flow:
    """Return the flow of a message file."""
    converter = Converter()
    number = 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="ascii", newline="") as lines:
            for fields in csv.reader(lines):
                number += 1
                converter.line(fields)
    except (OSError, EOFError, ValueError, csv.Error, InputError) as error:
        raise InputError(f"{path}: line {max(number, 1)}: {error}") from error
    notes = dict(sorted(converter.script.counts.items()))
    return Flow(rows_of(converter.script.records), instrument, ACCOUNTS, rotate=True, notes=notes).check()
