"""A recorded order flow as the venue's own commands, and the venue's events as the flow's report lines.

Invariants: the command of a flow's row i is the (FIRST_SEQ + i)th; an order's client id is its id in the flow, so
targets need no look-up; two accounts with ample funds, buys by one and sells by the other, and self-trade allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from kk99 import batch, build, schema
from kk99.bench.workloads.flow import Op
from kk99.schema import CommandKind, EventKind, Flag, MarketState, OrderType, RejectCode, Side, TimeInForce

if TYPE_CHECKING:
    from collections.abc import Iterable

Rows = npt.NDArray[np.void]
OPERATOR: Final[Any] = {"actor": "test", "reason": "recorded flow"}
BUYER: Final = schema.VENUE_ACCOUNTS
SELLER: Final = schema.VENUE_ACCOUNTS + 1
AMPLE_UNITS: Final = schema.AMOUNT_MAX // 2


def setup_commands() -> batch.Commands:
    """What comes before a flow: two assets, one open market, two rich accounts."""
    return build.batch_of(
        [
            build.asset("BASE", 0, **OPERATOR),
            build.asset("QUOTE", 0, **OPERATOR),
            build.instrument(
                "BASE/QUOTE",
                "BASE",
                "QUOTE",
                tick_units=1,
                lot_units=1,
                max_price_ticks=1 << 24,
                max_qty_lots=1 << 24,
                **OPERATOR,
            ),
            build.instrument_state(1, MarketState.OPEN, **OPERATOR),
            build.account("buyer", "buyer", **OPERATOR),
            build.account("seller", "seller", **OPERATOR),
            build.deposit(SELLER, 1, AMPLE_UNITS),
            build.deposit(BUYER, 2, AMPLE_UNITS),
        ]
    )


SETUP_COUNT: Final = len(setup_commands().rows)
FIRST_SEQ: Final = SETUP_COUNT + 1
KINDS: Final = {
    Op.NEW: CommandKind.ORDER_NEW,
    Op.CANCEL: CommandKind.ORDER_CANCEL,
    Op.REPLACE: CommandKind.ORDER_REPLACE,
}


def flow_commands(flow: Rows) -> batch.Commands:
    """The setup and a flow (rows of FLOW) as stamped commands, one nanosecond apart."""
    rows = build.new_rows(len(flow))
    is_new, is_replace = flow["op"] == Op.NEW, flow["op"] == Op.REPLACE
    for op, kind in KINDS.items():
        rows["kind"][flow["op"] == op] = kind
    rows["account_id"] = np.where(flow["account"] == 0, BUYER, SELLER)
    rows["instrument_id"] = 1
    rows["side"][is_new] = np.where(flow["side"] == 0, Side.BUY, Side.SELL)[is_new]
    rows["order_type"][is_new] = OrderType.LIMIT
    rows["time_in_force"][is_new] = np.where(flow["ioc"] == 1, TimeInForce.IOC, TimeInForce.GTC)[is_new]
    for name in ("price_ticks", "qty_lots"):
        rows[name][is_new | is_replace] = flow[name][is_new | is_replace]
    rows["client_id_lo"][is_new] = flow["order_id"][is_new]
    rows["target_lo"][~is_new] = flow["order_id"][~is_new]
    rows["flags"][~is_new] = Flag.TARGET_CLIENT_ID
    rows["flags"][is_replace] = Flag.TARGET_CLIENT_ID | Flag.QTY_IS_LEAVES
    joined = build.batch_of([setup_commands(), rows])
    return build.stamp(joined, 1, np.arange(1, len(joined.rows) + 1))


def report_lines(flow: Rows, events: Iterable[dict[str, Any]]) -> list[str]:
    """The report lines of a flow's events in the flow's order, (sequence, type); the setup's events have none."""
    flow_ids: dict[int, int] = {}
    lines = [line_of(flow, flow_ids, event) for event in events if event["cause_seq"] >= FIRST_SEQ]
    return [",".join(map(str, line)) for line in sorted(lines, key=lambda line: (line[1], line[0]))]


def line_of(flow: Rows, flow_ids: dict[int, int], event: dict[str, Any]) -> list[int]:
    """The fields of an event's report line; `flow_ids` remembers which order of the flow each order id is."""
    seq = event["cause_seq"] - FIRST_SEQ
    side, price = int(event.get("side", 0)) - Side.BUY, event.get("price_ticks", 0)
    match event["kind"]:
        case EventKind.ORDER_ACCEPTED:
            flow_ids[event["order_id"]] = event["client_id_lo"]
            return [0, seq, side, event["client_id_lo"], price, event["qty_lots"]]
        case EventKind.TRADE:
            maker, taker = flow_ids[event["contra_order_id"]], flow_ids[event["order_id"]]
            return [1, seq, price, event["qty_lots"], maker, taker]
        case EventKind.ORDER_CANCELED:
            return [2, seq, side, event["client_id_lo"], price]
        case EventKind.ORDER_REPLACED:
            return [3, seq, side, event["client_id_lo"], price, event["leaves_lots"]]
    assert event["kind"] == EventKind.REJECTED, f"a flow does not cause {EventKind(event['kind']).name}"
    assert event["reason"] == RejectCode.ORDER_UNKNOWN, RejectCode(event["reason"]).name
    # The event repeats no target that is a client id, so the flow itself says which order was named.
    return [4 if event["command_kind"] == CommandKind.ORDER_CANCEL else 5, seq, int(flow["order_id"][seq])]
