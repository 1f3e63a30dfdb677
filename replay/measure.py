"""`kk99 replay quality`: the orders and instruments of a journal, measured, and what of them is printed.

Invariants, each a test:
- the log is replayed through the machine, and read ahead once more for trades that were busted or corrected later;
- a run that begins later begins with the machine's state at that time: what it measures is the same;
- ratios are rounded once, half to even, when they become text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from kk99.build import client_id_hash
from kk99.decimals import amount_text
from kk99.errors import InputError
from kk99.machine import Machine
from kk99.schema import CommandKind, OrderType, Side, TimeInForce
from replay import ledger, run
from replay.quality import Quality, Revision, revisions_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from fractions import Fraction

    from journal.reader import Reader
    from kk99.book import Event
    from replay.figures import InstrumentQuality, OrderQuality
    from replay.lines import Columns

PRICE_PLACES: Final = 4
BPS_PLACES: Final = 2
RATIO_PLACES: Final = 6
LOTS_PLACES: Final = 2

_REVISING: Final = (CommandKind.TRADE_BUST, CommandKind.TRADE_CORRECT)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is measured: orders entered from `from_time_ns` on, and trading from then to `to_time_ns`.

    Accounts and instruments are named or numbered; what is empty or None leaves everything in.
    """

    account: str = ""
    instrument: str = ""
    order_id: int | None = None
    client_id: str = ""
    from_time_ns: int | None = None
    to_time_ns: int | None = None


class Measurement:
    """One measuring run over a journal, as far as the journal reaches when it begins."""

    def __init__(self, reader: Reader, chosen: Chosen) -> None:
        """Prepare; InputError if the times name nothing of the log."""
        self.names = ledger.Names()
        self._reader, self._chosen = reader, chosen
        self._client_id = client_id_hash(chosen.client_id) if chosen.client_id else None
        self._account_id = self._instrument_id = 0
        head = reader.head()
        self.end_seq = head.seq
        self._end_ns = head.time_ns if chosen.to_time_ns is None else min(head.time_ns, chosen.to_time_ns)
        if chosen.from_time_ns is not None and chosen.from_time_ns > self._end_ns:
            raise InputError(f"there is nothing from {chosen.from_time_ns} on: the log or the range ends before it")

    def orders(self, progress: Callable[[int], None] = lambda _: None) -> Iterator[OrderQuality]:
        """Yield the chosen orders, those that ended in the order of their end, then the live ones in that of entry."""
        quality = Quality(wants=self._wants, revisions=self._revisions())
        found = False
        for order in self._measured(quality, progress):
            if self._client_id is None or self._client_id in order.client_ids:
                found = True
                yield order
            if self._chosen.order_id is not None:
                break
        if self._chosen.order_id is not None and not found:
            raise InputError(f"no order {self._chosen.order_id} was entered there")

    def instruments(self, progress: Callable[[int], None] = lambda _: None) -> list[InstrumentQuality]:
        """Return the chosen instruments, in the order of their numbers."""
        quality = Quality(wants=lambda _: False, revisions=self._revisions())
        for _ in self._measured(quality, progress):
            pass
        measured = sorted(quality.instruments.items())
        return [one for number, one in measured if self._instrument_id in {0, number}]

    def _wants(self, event: Event) -> bool:
        chosen = self._chosen
        if chosen.account and event.account_id != self._account_id:
            return False
        return chosen.order_id is None or event.order_id == chosen.order_id

    def _measured(self, quality: Quality, progress: Callable[[int], None]) -> Iterator[OrderQuality]:
        chosen, machine = self._chosen, Machine()
        if chosen.from_time_ns is not None:
            for _ in self._steps(machine, chosen.from_time_ns - 1):
                progress(machine.seq)
            image = machine.image()
            self.names.observe(image)
            quality.begin(image, chosen.from_time_ns)
        for step in self._steps(machine, chosen.to_time_ns):
            self.names.observe(step.events)
            if self._choose():  # else nothing can be about what does not exist yet
                yield from quality.take(step.events, self._instrument_id)
            progress(machine.seq)
        self._choose(must=True)
        yield from quality.finish(self._end_ns)

    def _steps(self, machine: Machine, to_time_ns: int | None) -> Iterator[run.Step]:
        source = run.ahead(run.pieces(self._reader.batches(machine.seq + 1, self.end_seq)))
        return run.drive(machine, source, to_seq=self.end_seq, to_time_ns=to_time_ns)

    def _choose(self, *, must: bool = False) -> bool:
        """Return whether the chosen account and instrument are known by now; if they must be and are not, raise."""
        chosen = self._chosen
        try:
            if chosen.account and not self._account_id:
                self._account_id = self.names.account_id(chosen.account)
            if chosen.instrument and not self._instrument_id:
                self._instrument_id = self.names.instrument_id(chosen.instrument)
        except InputError:
            if must:
                raise
            return False
        return True

    def _revisions(self) -> dict[int, Revision]:
        """Return what became of the trades that are busted or corrected up to the end of the run."""
        last_seq = 0
        for piece in run.ahead(run.pieces(self._reader.batches(1, self.end_seq))):
            rows = piece.commands.rows
            is_revising = np.isin(rows["kind"], _REVISING) & (rows["time_ns"] <= self._end_ns)
            if is_revising.any():
                last_seq = int(rows["seq"][is_revising][-1])
        found: dict[int, Revision] = {}
        if last_seq:
            source = run.ahead(run.pieces(self._reader.batches(1, last_seq)))
            for step in run.drive(Machine(), source, to_seq=last_seq):
                found |= revisions_in(step.events.rows)
        return found


# What is printed ------------------------------------------------------------------------------------------------------


def ratio_text(value: Fraction | None, places: int) -> str | None:
    """Return a ratio as decimal text with so many places, rounded half to even; None stays None."""
    return None if value is None else amount_text(round(value * 10**places), places)


def order_columns(names: ledger.Names) -> Columns:
    """Return the columns of an order's line: numbers as they are, ratios as text."""
    columns: dict[str, Callable[[OrderQuality], int | str | None]] = {
        "order_id": lambda one: one.order_id,
        "account_id": lambda one: one.account_id,
        "account": lambda one: names.accounts[one.account_id],
        "instrument_id": lambda one: one.instrument_id,
        "instrument": lambda one: _instrument(names, one.instrument_id),
        "side": lambda one: Side(one.side).name,
        "order_type": lambda one: OrderType(one.order_type).name,
        "time_in_force": lambda one: TimeInForce(one.time_in_force).name,
        "client_id_lo": lambda one: one.client_ids[0][0],
        "client_id_hi": lambda one: one.client_ids[0][1],
        "parent_order_id": lambda one: one.parent_order_id or None,
        "entry_seq": lambda one: one.entry_seq,
        "entry_time_ns": lambda one: one.entry_time_ns,
        "active_time_ns": lambda one: one.active_time_ns,
        "first_fill_time_ns": lambda one: one.first_fill_time_ns,
        "end_time_ns": lambda one: one.end_time_ns,
        "ended": lambda one: one.ended,
        "qty_lots": lambda one: one.qty_lots,
        "budget_units": lambda one: one.budget_units or None,
        "filled_lots": lambda one: one.filled_lots,
        "filled_ratio": lambda one: ratio_text(one.filled_ratio(_unit(names, one.instrument_id)), RATIO_PLACES),
        "maker_lots": lambda one: one.maker_lots,
        "taker_lots": lambda one: one.taker_lots,
        "notional_units": lambda one: one.notional_tick_lots * _unit(names, one.instrument_id),
        "fee_units": lambda one: one.fee_units,
        "average_ticks": lambda one: ratio_text(one.average_ticks, PRICE_PLACES),
        "market_lots": lambda one: one.market_lots,
    }
    for name in ("arrival", "vwap", "twap"):
        columns |= _benchmark_columns(name)
    return columns | {
        "time_to_first_fill_ns": lambda one: one.time_to_first_fill_ns,
        "time_to_end_ns": lambda one: one.time_to_end_ns,
    }


def _benchmark_columns(name: str) -> Columns:
    """Return the columns of one benchmark: its price, and the slippage against it."""

    def price(one: OrderQuality) -> Fraction | None:
        value: Fraction | None = getattr(one, f"{name}_ticks")
        return value

    return {
        f"{name}_ticks": lambda one: ratio_text(price(one), PRICE_PLACES),
        f"{name}_slippage_ticks": lambda one: ratio_text(one.slippage_ticks(price(one)), PRICE_PLACES),
        f"{name}_slippage_bps": lambda one: ratio_text(one.slippage_bps(price(one)), BPS_PLACES),
    }


def order_table(names: ledger.Names) -> Columns:
    """Return the columns that people see: prices in ticks, slippage in basis points, times in seconds."""
    return {
        "order": lambda one: one.order_id,
        "account": lambda one: names.accounts[one.account_id],
        "instrument": lambda one: _instrument(names, one.instrument_id),
        "side": lambda one: Side(one.side).name,
        "type": lambda one: OrderType(one.order_type).name,
        "end": lambda one: one.ended,
        "qty": lambda one: one.qty_lots,
        "filled": lambda one: one.filled_lots,
        "ratio": lambda one: ratio_text(one.filled_ratio(_unit(names, one.instrument_id)), 4),
        "maker": lambda one: one.maker_lots,
        "fees": lambda one: amount_text(one.fee_units, names.scale(names.trade_sizes(one.instrument_id)[1])),
        "average": lambda one: ratio_text(one.average_ticks, PRICE_PLACES),
        "arrival": lambda one: ratio_text(one.arrival_ticks, 1),
        "arrival bp": lambda one: ratio_text(one.slippage_bps(one.arrival_ticks), BPS_PLACES),
        "vwap": lambda one: ratio_text(one.vwap_ticks, PRICE_PLACES),
        "vwap bp": lambda one: ratio_text(one.slippage_bps(one.vwap_ticks), BPS_PLACES),
        "twap": lambda one: ratio_text(one.twap_ticks, PRICE_PLACES),
        "twap bp": lambda one: ratio_text(one.slippage_bps(one.twap_ticks), BPS_PLACES),
        "first fill s": lambda one: _seconds(one.time_to_first_fill_ns),
        "end s": lambda one: _seconds(one.time_to_end_ns),
    }


def instrument_columns(names: ledger.Names) -> Columns:
    """Return the columns of an instrument's line: numbers as they are, ratios as text."""
    return {
        "instrument_id": lambda one: one.instrument_id,
        "instrument": lambda one: _instrument(names, one.instrument_id),
        "from_time_ns": lambda one: one.from_time_ns,
        "to_time_ns": lambda one: one.time_ns,
        "trades": lambda one: one.trades,
        "volume_lots": lambda one: one.volume_lots,
        "notional_units": lambda one: one.notional_tick_lots * _unit(names, one.instrument_id),
        "vwap_ticks": lambda one: ratio_text(one.vwap_ticks, PRICE_PLACES),
        "twap_ticks": lambda one: ratio_text(one.twap_ticks, PRICE_PLACES),
        "first_ticks": lambda one: one.first_ticks,
        "high_ticks": lambda one: one.high_ticks,
        "low_ticks": lambda one: one.low_ticks,
        "last_ticks": lambda one: one.last_ticks,
        "quoted_ns": lambda one: one.quoted_ns,
        "mean_spread_ticks": lambda one: ratio_text(one.mean_spread_ticks, PRICE_PLACES),
        "mean_bid_lots": lambda one: ratio_text(one.mean_bid_lots, LOTS_PLACES),
        "mean_ask_lots": lambda one: ratio_text(one.mean_ask_lots, LOTS_PLACES),
    }


def instrument_table(names: ledger.Names) -> Columns:
    """Return the columns that people see: prices in ticks, quantities in lots."""
    return {
        "instrument": lambda one: _instrument(names, one.instrument_id),
        "trades": lambda one: one.trades,
        "volume": lambda one: one.volume_lots,
        "notional": lambda one: amount_text(
            one.notional_tick_lots * _unit(names, one.instrument_id),
            names.scale(names.trade_sizes(one.instrument_id)[1]),
        ),
        "vwap": lambda one: ratio_text(one.vwap_ticks, PRICE_PLACES),
        "twap": lambda one: ratio_text(one.twap_ticks, PRICE_PLACES),
        "first": lambda one: one.first_ticks,
        "high": lambda one: one.high_ticks,
        "low": lambda one: one.low_ticks,
        "last": lambda one: one.last_ticks,
        "spread": lambda one: ratio_text(one.mean_spread_ticks, PRICE_PLACES),
        "bid lots": lambda one: ratio_text(one.mean_bid_lots, LOTS_PLACES),
        "ask lots": lambda one: ratio_text(one.mean_ask_lots, LOTS_PLACES),
    }


def _instrument(names: ledger.Names, instrument_id: int) -> str:
    return str(names.instruments[instrument_id]["name"])


def _unit(names: ledger.Names, instrument_id: int) -> int:
    """Return the units of quote that a tick-lot is."""
    return names.trade_sizes(instrument_id)[3]


def _seconds(time_ns: int | None) -> str | None:
    return None if time_ns is None else amount_text(time_ns // 1000, 6)


ORDERS: Final = {"table": order_table, "json": order_columns, "csv": order_columns}
INSTRUMENTS: Final = {"table": instrument_table, "json": instrument_columns, "csv": instrument_columns}
"""The columns of each form in which orders, and instruments, are printed."""
