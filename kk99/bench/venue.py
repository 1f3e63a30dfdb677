"""Workloads as the venue's own commands: a machine set up for a flow, and the flow as stamped command rows.

Orders carry client ids (the flow's numbers) and are canceled and replaced by them, as clients do; every order is checked
against funds, pays fees, and its client id is kept for duplicates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from kk99 import batch, build, schema
from kk99.bench.workloads import Op
from kk99.machine import Machine
from kk99.schema import CommandKind, Flag, OrderType, TimeInForce

if TYPE_CHECKING:
    from kk99.batch import Rows

ROWS_PER_BATCH: Final = schema.BATCH_ROWS_MAX
_OPERATOR: Final = {"actor": "bench", "reason": "set up"}
_FUNDS_UNITS: Final = 1 << 44
_BASE_FUNDS_UNITS: Final = 1 << 40


def set_up(instrument_count: int, account_count: int) -> Machine:
    """Return a machine with open markets, fees and funded accounts for flows numbered from 0."""
    machine = Machine()
    schedule = build.fee_schedule("standard", [{"maker_ppm": 500, "taker_ppm": 1000}], burn_ppm=100_000, **_OPERATOR)
    items = [schedule, build.asset("USD", 8, **_OPERATOR)]
    for number in range(instrument_count):
        items.append(build.asset(f"B{number}", 0, **_OPERATOR))
        items.append(
            build.instrument(
                f"B{number}-USD",
                f"B{number}",
                "USD",
                tick_units=1,
                lot_units=1,
                max_price_ticks=1 << 30,
                max_qty_lots=1 << 30,
                fee_schedule="standard",
                **_OPERATOR,
            )
        )
        items.append(build.instrument_state(number + 1, schema.MarketState.OPEN, **_OPERATOR))
    items += [build.account(f"a{number}", f"o{number}", **_OPERATOR) for number in range(account_count)]
    apply_batches(machine, build.stamp(build.batch_of(items), 1, 1))
    accounts = np.arange(account_count) + schema.VENUE_ACCOUNTS
    funding = [build.deposit(accounts, 1, _FUNDS_UNITS)]
    per_asset = np.arange(instrument_count) + 2
    for asset_id in per_asset:
        funding.append(build.deposit(accounts, int(asset_id), _BASE_FUNDS_UNITS))
    apply_batches(machine, build.stamp(build.batch_of(funding), machine.seq + 1, 1))
    return machine


def commands_of(flow: Rows, first_seq: int) -> Rows:
    """Return a flow (FLOW rows) as stamped COMMAND rows of session 0."""
    rows = np.zeros(len(flow), schema.COMMAND)
    is_new = flow["op"] == Op.NEW
    rows["seq"] = np.arange(first_seq, first_seq + len(flow))
    rows["time_ns"] = 1
    kinds = np.array([CommandKind.ORDER_NEW, CommandKind.ORDER_CANCEL, CommandKind.ORDER_REPLACE], np.uint8)
    rows["kind"] = kinds[flow["op"]]
    rows["side"] = flow["side"] + 1
    rows["order_type"] = np.where(is_new, OrderType.LIMIT, 0)
    rows["time_in_force"] = np.where(is_new, np.where(flow["ioc"] == 1, TimeInForce.IOC, TimeInForce.GTC), 0)
    rows["instrument_id"], rows["account_id"] = flow["instrument"] + 1, flow["account"] + schema.VENUE_ACCOUNTS
    is_cancel = flow["op"] == Op.CANCEL
    rows["price_ticks"], rows["qty_lots"] = np.where(is_cancel, 0, flow["price_ticks"]), np.where(is_cancel, 0, flow["qty_lots"])
    rows["client_id_lo"], rows["client_id_hi"] = np.where(is_new, flow["order_id"], 0), np.where(is_new, 1, 0)
    rows["target_lo"], rows["target_hi"] = np.where(is_new, 0, flow["order_id"]), np.where(is_new, 0, 1)
    flags = np.array([0, Flag.TARGET_CLIENT_ID, Flag.TARGET_CLIENT_ID | Flag.QTY_IS_LEAVES], np.uint8)
    rows["flags"] = flags[flow["op"]]
    return rows


def apply_batches(machine: Machine, commands: batch.Commands) -> int:
    """Apply all rows in batches, checking conservation after each as the engine does; return the events."""
    count, row = 0, 0
    while row < len(commands.rows):
        end = min(row + ROWS_PER_BATCH, len(commands.rows))
        part = batch.Commands(commands.rows[row:end], commands.cold, commands.tail)
        start = 0
        while start < end - row:
            applied = machine.apply(part, start)
            start = applied.next
            count += len(applied.events.rows)
        machine.check()
        row = end
    return count
