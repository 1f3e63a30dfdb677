"""The plan: which command a flow sends at which client sequence, for ever.

A cycle is LENGTH commands: first `clearing` mass cancels (enough to work off everything that the last cycle left,
whatever their number of orders), then the flow's rows in order. With `position = client_seq - 1`, `cycle = position
// LENGTH` and `index = position % LENGTH`, so the last number that the venue took says where to go on. The client id
of the flow's order n is (lo = cycle << 32 | n, hi = a hash of the session's name), so no cycle uses another's ids.
When the flow rotates, role r of cycle c is played by account (r + c) modulo their number: after as many cycles as
accounts every position is home again.

All rows of a cycle are made once; a batch is a slice of them with a few columns moved on.
"""

from __future__ import annotations

from typing import Final

import blake3
import msgpack
import numpy as np
import numpy.typing as npt

from kk99 import batch, build, schema
from kk99.feed.flow import Flow, Style
from kk99.schema import CommandKind, Flag, OrderType, TimeInForce

ORDERS_PER_MASS_CANCEL: Final = schema.WORK_UNITS_PER_COMMAND // schema.WORK_UNITS_PER_ORDER
CLEARED_AT_LEAST: Final = 16_384
"""Orders that the first commands of a cycle can cancel at least: another flow may have left them."""
_DOCUMENT: Final = bytes(msgpack.packb({"actor": "feed", "reason": "state in the recording"}))
_ORDER_BITS: Final = 32
_STYLES: Final = {  # style: order type, time in force, flags
    Style.LIMIT: (OrderType.LIMIT, TimeInForce.GTC, 0),
    Style.POST_ONLY: (OrderType.LIMIT, TimeInForce.GTC, Flag.POST_ONLY),
    Style.IOC: (OrderType.LIMIT, TimeInForce.IOC, 0),
    Style.FOK: (OrderType.LIMIT, TimeInForce.FOK, 0),
    Style.MARKET: (OrderType.MARKET, TimeInForce.IOC, 0),
}  # fmt: skip


def session_name(flow: Flow) -> str:
    """Return the name of the session that plays this flow: another flow has another, so its numbers start at 1."""
    digest = blake3.blake3(flow.rows.tobytes())
    digest.update("\0".join((flow.instrument, *flow.accounts)).encode())
    return f"feed-{digest.hexdigest(8)}"


class Plan:
    """The commands of a flow for one venue; `account_ids` are those of the flow's accounts."""

    def __init__(self, flow: Flow, instrument_id: int, account_ids: list[int]) -> None:
        """Make the rows of one cycle."""
        assert len(account_ids) == len(flow.accounts)
        self.clearing = clearing_rows(flow)
        self.length = self.clearing + len(flow.rows)
        self._account_ids = np.array(account_ids, np.int32)
        self._rotate = flow.rotate
        self._roles = np.concatenate((np.arange(self.clearing) % len(account_ids), flow.rows["account"])).astype(
            np.int64
        )
        self._rows = _commands(flow, self.clearing, instrument_id, session_name(flow))
        self._lo_is_new = (self._rows["client_id_hi"] != 0).astype(np.int64)
        self._lo_is_target = (self._rows["target_hi"] != 0).astype(np.int64)
        self._times_s = np.concatenate((np.zeros(self.clearing), flow.rows["time_ns"] / 1e9))

    def commands(self, first_client_seq: int, count: int) -> batch.Commands:
        """Return up to `count` commands from a client sequence on, not past its cycle; the session is not set."""
        cycle, index = divmod(first_client_seq - 1, self.length)
        part = slice(index, min(index + count, self.length))
        rows = self._rows[part].copy()
        rows["client_seq"] += cycle * self.length
        rows["account_id"] = self._account_ids[(self._roles[part] + self._rotate * cycle) % len(self._account_ids)]
        rows["client_id_lo"] += self._lo_is_new[part] * (cycle << _ORDER_BITS)
        rows["target_lo"] += self._lo_is_target[part] * (cycle << _ORDER_BITS)
        has_document = (rows["kind"] >= schema.FIRST_DOCUMENT_KIND).any()
        return batch.Commands(rows, np.zeros(0, schema.COLD), _DOCUMENT if has_document else b"")

    @property
    def duration_s(self) -> float:
        """Time from a cycle's start to its last command."""
        return float(self._times_s[-1])

    def time_s(self, client_seq: int) -> float:
        """Return when in its cycle a command is due."""
        return float(self._times_s[(client_seq - 1) % self.length])

    def due(self, first_client_seq: int, until_s: float) -> int:
        """Return how many commands of a cycle, from a client sequence on, are due at or before a time of the cycle."""
        index = (first_client_seq - 1) % self.length
        return max(int(np.searchsorted(self._times_s, until_s, "right")) - index, 0)

    def end(self, client_seq: int) -> int:
        """Return the last client sequence of the cycle that this one is in, with the mass cancels that follow it."""
        return ((client_seq - 1) // self.length + 1) * self.length + self.clearing


def clearing_rows(flow: Flow) -> int:
    """Return how many mass cancels surely cancel what a cycle leaves: enough for the orders at the flow's peak."""
    rows = flow.rows
    rests = (rows["op"] == CommandKind.ORDER_NEW) & (rows["style"] <= Style.POST_ONLY)
    peak = int(np.cumsum(rests.astype(np.int64) - (rows["op"] == CommandKind.ORDER_CANCEL)).max())
    return -(-max(peak, CLEARED_AT_LEAST) // ORDERS_PER_MASS_CANCEL) + len(flow.accounts)


def _commands(flow: Flow, clearing: int, instrument_id: int, name: str) -> npt.NDArray[np.void]:
    """Return COMMAND (clearing + n,) of the cycle 0, accounts not set."""
    _, client_id_hi = build.client_id_hash(name)
    client_id_hi |= 1  # never zero
    rows = build.new_rows(clearing + len(flow.rows))
    rows["client_seq"] = np.arange(1, len(rows) + 1)
    rows["instrument_id"] = instrument_id
    rows["kind"][:clearing] = CommandKind.MASS_CANCEL
    body, source = rows[clearing:], flow.rows
    for column, theirs in (("kind", "op"), ("side", "side")):
        body[column] = source[theirs]
    new, state = source["op"] == CommandKind.ORDER_NEW, source["op"] == CommandKind.INSTRUMENT_STATE
    replace = source["op"] == CommandKind.ORDER_REPLACE
    change = replace | (source["op"] == CommandKind.ORDER_CANCEL)
    for column in ("price_ticks", "qty_lots"):
        body[column] = np.where(new | replace, source[column], 0)
    styles = np.zeros((len(Style), 3), np.uint8)
    for style, fields in _STYLES.items():
        styles[style] = fields
    chosen = np.where(new, source["style"], 0)
    for place, column in enumerate(("order_type", "time_in_force", "flags")):
        body[column] = np.where(new, styles[chosen, place], 0)
    body["flags"] |= np.where(change, Flag.TARGET_CLIENT_ID, 0).astype(np.uint8)
    body["flags"] |= np.where(replace, Flag.QTY_IS_LEAVES, 0).astype(np.uint8)
    body["client_id_lo"], body["client_id_hi"] = new * source["order"].astype(np.int64), new * client_id_hi
    body["target_lo"], body["target_hi"] = change * source["order"].astype(np.int64), change * client_id_hi
    body["state"] = np.where(state, source["style"], 0)
    body["document_size"] = np.where(state, len(_DOCUMENT), 0)
    return rows
