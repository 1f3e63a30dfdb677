"""Workloads as the venue's own commands, and a venue set up for them: markets open, accounts funded, fees on.

Invariants:
- every order is checked against funds, pays fees and carries a client id, hashed as clients hash theirs, that is kept
  against duplicates;
- an account is funded in the quote asset, and in the base asset of every market in which the flow lets it sell;
- order ids follow from the commands alone, so those that a first run gave are right in every later one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypedDict

import numpy as np

from kk99 import batch, build, schema
from kk99.bench.workloads import Op, Side
from kk99.machine import Machine, Sections
from kk99.schema import CommandKind, Flag, OrderType, TimeInForce

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from kk99.batch import Commands, Rows
    from kk99.bench.workloads import FlowRows, Workload

    Words = npt.NDArray[np.int64]

ROWS_PER_BATCH: Final = schema.BATCH_ROWS_MAX
TIME_NS: Final = 1_700_000_000_000_000_000
"""The time of every command where there is no sequencer to tell it."""
NO_COLD: Final = np.zeros(0, schema.COLD)
_QUOTE_ASSET: Final = 1
_QUOTE_UNITS: Final = 1 << 44
_BASE_UNITS: Final = 1 << 40
_MIX: Final = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # splitmix64


class _Operator(TypedDict):
    actor: str
    reason: str


_OPERATOR: Final = _Operator(actor="bench", reason="set up")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A flow as stamped commands, and the venue as it stands before the first of them."""

    workload: Workload
    flow: FlowRows
    """FLOW (n,): setup and timed rows."""
    rows: Rows
    """COMMAND (n,): the same as commands, orders named by client id."""
    setup_count: int
    before: Sections

    def machine(self, *, with_setup: bool = True) -> Machine:
        """Return a venue of its own before the first command, or (`with_setup`) before the first timed one."""
        machine = Machine.from_sections(self.before.canonical())
        if with_setup:
            apply_all(machine, plain(self.rows[: self.setup_count]))
        return machine

    @property
    def timed(self) -> Rows:
        """The timed commands."""
        return self.rows[self.setup_count :]


def scenario(workload: Workload) -> Scenario:
    """Return the scenario of a workload."""
    flow = np.concatenate([workload.setup, workload.timed])
    machine = Machine()
    for commands in set_up(workload, flow):
        apply_all(machine, build.stamp(commands, machine.seq + 1, TIME_NS))
    before = Sections()
    before.copy(machine)
    rows = commands_of(flow)
    rows["seq"] = np.arange(machine.seq + 1, machine.seq + 1 + len(rows))
    rows["time_ns"] = TIME_NS
    return Scenario(workload, flow, rows, len(workload.setup), before)


def set_up(workload: Workload, flow: FlowRows) -> Iterator[Commands]:
    """Yield unstamped batches that open the workload's markets, define its accounts and fund them for the flow."""
    items = [
        build.fee_schedule("standard", [{"maker_ppm": 500, "taker_ppm": 1000}], burn_ppm=100_000, **_OPERATOR),
        build.asset("USD", 8, **_OPERATOR),
    ]
    for number in range(workload.instrument_count):
        base, name = f"B{number}", f"B{number}-USD"
        items.append(build.asset(base, 0, **_OPERATOR))
        items.append(
            build.instrument(
                name, base, "USD", tick_units=1, lot_units=1, max_price_ticks=1 << 30, max_qty_lots=1 << 30,
                fee_schedule="standard", **_OPERATOR,
            )
        )  # fmt: skip
        items.append(build.instrument_state(number + 1, schema.MarketState.OPEN, **_OPERATOR))
    items += [build.account(f"a{number}", f"o{number}", **_OPERATOR) for number in range(workload.account_count)]
    for start in range(0, len(items), ROWS_PER_BATCH):
        yield build.batch_of(items[start : start + ROWS_PER_BATCH])
    sells = flow[(flow["op"] == Op.NEW) & (flow["side"] == Side.SELL)]
    pairs = np.unique(sells["account"].astype(np.int64) * workload.instrument_count + sells["instrument"])
    everyone = np.arange(workload.account_count)
    account = np.concatenate([everyone, pairs // workload.instrument_count]) + schema.VENUE_ACCOUNTS
    asset = np.concatenate([np.full(len(everyone), _QUOTE_ASSET), pairs % workload.instrument_count + 2])
    units = np.concatenate([np.full(len(everyone), _QUOTE_UNITS), np.full(len(pairs), _BASE_UNITS)])
    for start in range(0, len(account), ROWS_PER_BATCH):
        some = slice(start, start + ROWS_PER_BATCH)
        yield build.deposit(account[some], asset[some], units[some])


def commands_of(flow: FlowRows) -> Rows:
    """Return a flow as unstamped COMMAND rows of session 0 that name orders by client id."""
    rows = build.new_rows(len(flow))
    is_new, is_replace = flow["op"] == Op.NEW, flow["op"] == Op.REPLACE
    kinds = np.array([CommandKind.ORDER_NEW, CommandKind.ORDER_CANCEL, CommandKind.ORDER_REPLACE], np.uint8)
    flags = np.array([0, Flag.TARGET_CLIENT_ID, Flag.TARGET_CLIENT_ID | Flag.QTY_IS_LEAVES], np.uint8)
    rows["kind"], rows["flags"] = kinds[flow["op"]], flags[flow["op"]]
    rows["account_id"] = flow["account"] + schema.VENUE_ACCOUNTS
    rows["instrument_id"] = np.where(is_new, flow["instrument"] + 1, 0)
    rows["order_type"] = np.where(is_new, OrderType.LIMIT, 0)
    rows["time_in_force"] = np.where(is_new, np.where(flow["ioc"] == 1, TimeInForce.IOC, TimeInForce.GTC), 0)
    for name, values in (
        ("side", flow["side"] + 1),
        ("price_ticks", flow["price_ticks"]),
        ("qty_lots", flow["qty_lots"]),
    ):
        rows[name] = np.where(is_new | is_replace, values, 0)
    lo, hi = client_ids(flow["order_id"])
    rows["client_id_lo"], rows["client_id_hi"] = np.where(is_new, lo, 0), np.where(is_new, hi, 0)
    rows["target_lo"], rows["target_hi"] = np.where(is_new, 0, lo), np.where(is_new, 0, hi)
    return rows


def address_by_order_id(rows: Rows, flow: FlowRows, order_ids: Words) -> None:
    """Have commands name orders by the venue's ids, as a client does that has its acknowledgments.

    `order_ids` is int64, by the flow's order id.
    """
    names = flow["op"] != Op.NEW
    rows["target_lo"] = np.where(names, order_ids[flow["order_id"]], 0)
    rows["target_hi"] = 0
    rows["flags"] &= np.uint8(0xFF & ~Flag.TARGET_CLIENT_ID)


def client_ids(numbers: Any) -> tuple[Words, Words]:
    """Return (lo, hi) of 128-bit client ids for numbers: spread like hashes, without two alike."""
    seeds = np.asarray(numbers).astype(np.uint64)
    return _spread(seeds), _spread(seeds + np.uint64(1 << 40))


def _spread(seeds: npt.NDArray[np.uint64]) -> Words:
    """Return splitmix64 of the seeds: one to one, without a pattern."""
    first, second, third = (np.uint64(factor) for factor in _MIX)
    value = seeds * first
    value = (value ^ (value >> np.uint64(30))) * second
    value = (value ^ (value >> np.uint64(27))) * third
    return (value ^ (value >> np.uint64(31))).view(np.int64)


def apply_all(machine: Machine, commands: Commands, batch_rows: int = ROWS_PER_BATCH) -> int:
    """Apply all rows in batches, checking conservation after each as the engine does; return the events."""
    return sum(len(events) for events in applied(machine, commands, batch_rows))


def applied(machine: Machine, commands: Commands, batch_rows: int = ROWS_PER_BATCH) -> Iterator[Rows]:
    """As `apply_all`, and yield the event rows of each call, valid until the next."""
    rows = commands.rows
    for begin in range(0, len(rows), batch_rows):
        part = batch.Commands(rows[begin : begin + batch_rows], commands.cold, commands.tail)
        start = 0
        while start < len(part.rows):
            done = machine.apply(part, start)
            start = done.next
            machine.check()
            yield done.events.rows


def plain(rows: Rows) -> Commands:
    """Return rows that have neither documents nor cold rows as commands."""
    return batch.Commands(rows, NO_COLD)


def parts(rows: Rows, batch_rows: int = ROWS_PER_BATCH) -> Iterator[Commands]:
    """Yield such rows in batches."""
    for start in range(0, len(rows), batch_rows):
        yield plain(rows[start : start + batch_rows])
