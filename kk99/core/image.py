"""Event rows made by Python: answers to documents, and images of the whole state.

An image holds, in this order: every document with its number; markets with their states and expected ends (as a
MARKET_STATE_CHANGED would tell them now), last trades' prices, references, index prices and what was told last of their
auctions; market groups' indexes; states of accounts; totals and balances; live orders; sessions. All rows have the
sequence of the image as cause and rise in index.

Orders: those in the books come first, by instrument and side in price-time order, then those that wait outside (their
`state` is 1), by instrument and entry. ORDER_DETAILS with what now holds of it follows an order that is not plain,
ORDER_REFRESHED with what it now shows one that hides, ALGO_SCHEDULED with its schedule one that is worked off by one,
and then ORDER_SUSPENDED if it is suspended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgpack
import numpy as np
import numpy.typing as npt

from kk99 import schema
from kk99.core import apply, timers
from kk99.core import breaker_layout as bl
from kk99.core import layout as lay
from kk99.core.state import Lent
from kk99.schema import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kk99.core.state import State, Words

Rows = npt.NDArray[np.void]

DOCUMENT_EVENTS: Final = (
    EventKind.ASSET_DEFINED,
    EventKind.FEE_SCHEDULE_DEFINED,
    EventKind.INSTRUMENT_DEFINED,
    EventKind.INSTRUMENT_CHANGED,
    EventKind.ACCOUNT_DEFINED,
    EventKind.ACCOUNT_CHANGED,
    EventKind.SESSION_DEFINED,
    EventKind.TRADING_SCHEDULE_DEFINED,
    EventKind.BREAKER_DEFINED,
    EventKind.MARKET_GROUP_DEFINED,
    EventKind.IDENTITY_DEFINED,
    EventKind.INSTRUMENT_STATE_CHANGED,
    EventKind.ACCOUNT_STATE_CHANGED,
    EventKind.REFERENCE_PRICE_CHANGED,
    EventKind.TRADE_BUSTED,
    EventKind.TRADE_CORRECTED,
    EventKind.SETTLEMENT_CALENDAR_DEFINED,
    EventKind.PENALTY_PAID,
    EventKind.ALGO_SCHEDULED,
)
"""Kinds whose rows point to a document in the tail (in an image, the states' rows have none)."""

_NUMBERED: Final = {
    EventKind.ASSET_DEFINED: "asset_id",
    EventKind.FEE_SCHEDULE_DEFINED: "order_id",
    EventKind.INSTRUMENT_DEFINED: "instrument_id",
    EventKind.ACCOUNT_DEFINED: "account_id",
    EventKind.SESSION_DEFINED: "order_id",
    EventKind.TRADING_SCHEDULE_DEFINED: "order_id",
    EventKind.BREAKER_DEFINED: "order_id",
    EventKind.SETTLEMENT_CALENDAR_DEFINED: "order_id",
    EventKind.MARKET_GROUP_DEFINED: "order_id",
    EventKind.IDENTITY_DEFINED: "order_id",
}


def answer(state: State, kind: EventKind, command: Any, ids: Mapping[str, int]) -> int:
    """Write a definition's event into the buffer; return its place there."""
    place = int(state.words[lay.S_EVENTS])
    index = state.header(lay.H_EVENT_INDEX)
    state.words[lay.S_EVENTS] = place + 1
    state.words[lay.HEADER + lay.H_EVENT_INDEX] = index + 1
    state.events[place : place + 1] = np.zeros(1, schema.EVENT)
    row = state.events[place]
    row["cause_seq"] = row["origin_seq"] = command["seq"]
    row["time_ns"], row["index"] = command["time_ns"], index
    row["kind"], row["command_kind"] = kind, command["kind"]
    for name in ("client_seq", "session_id", "session_epoch"):
        row[name] = command[name]
    for name, number in ids.items():
        row[name] = number
    return place


def of(state: State, documents: Iterable[tuple[EventKind, int, bytes]], seq: int, time_ns: int) -> tuple[Rows, bytes]:
    """Return the image of a state: EVENT rows (n,) and the tail with their documents."""
    tail = bytearray()
    parts = [
        _document_rows(documents, tail), _markets(state), _groups(state), _accounts(state), _money(state),
        _orders(state, tail), _sessions(state),
    ]  # fmt: skip
    rows = np.concatenate(parts, dtype=schema.EVENT)
    rows["cause_seq"], rows["time_ns"], rows["index"] = seq, time_ns, np.arange(len(rows))
    return rows, bytes(tail)


def _rows(count: int, kind: EventKind) -> Rows:
    rows = np.zeros(count, schema.EVENT)
    rows["kind"] = kind
    return rows


def _low(words: Words) -> Words:
    return words.astype(np.int32).astype(np.int64)


def _document_rows(documents: Iterable[tuple[EventKind, int, bytes]], tail: bytearray) -> Rows:
    parts = [np.zeros(0, schema.EVENT)]
    for kind, number, document in documents:
        row = _rows(1, kind)
        row[_NUMBERED[kind]] = number
        row["document_offset"], row["document_size"] = len(tail), len(document)
        tail += document
        parts.append(row)
    return np.concatenate(parts, dtype=schema.EVENT)


def _markets(state: State) -> Rows:
    records = state.records(lay.INSTRUMENTS, state.header(lay.H_INSTRUMENTS) + 1, lay.INSTRUMENT_WORDS)[1:]
    markets = _of_instruments(records, EventKind.INSTRUMENT_STATE_CHANGED)
    markets["state"], markets["price_ticks"] = records[:, lay.I_STATE], records[:, lay.I_LAST]
    is_call = records[:, lay.I_STATE] == schema.MarketState.CALL
    markets["call_purpose"] = np.where(is_call, records[:, lay.I_CALL], 0)
    is_known = records[:, lay.I_STATE] != schema.MarketState.UNCROSSING
    recoveries, phases = (records[:, lay.I_TIMERS + kind] for kind in (timers.M_RECOVERY, timers.M_PHASE))
    ends = state.records(lay.TIMERS, state.header(lay.H_TIMER_TOP) + 1, lay.TIMER_WORDS)[:, lay.M_DUE_NS]
    markets["expire_time_ns"] = np.where(is_known, ends[np.where(recoveries != 0, recoveries, phases)], 0)
    references = _of_instruments(records, EventKind.REFERENCE_PRICE_CHANGED)
    references["price_ticks"] = records[:, lay.I_REFERENCE]
    indexes = _of_instruments(records, EventKind.INDEX_PRICE_CHANGED)
    indexes["price_ticks"] = records[:, lay.I_INDEX]
    indicatives = _of_instruments(records, EventKind.AUCTION_INDICATIVE)
    for at, name in enumerate(("price_ticks", "qty_lots", "leaves_lots")):
        indicatives[name] = records[:, lay.I_INDICATIVE + at]
    told = [part[part["price_ticks"] > 0] for part in (references, indexes, indicatives)]
    return np.concatenate([markets, *told], dtype=schema.EVENT)


def _of_instruments(records: Words, kind: EventKind) -> Rows:
    rows = _rows(len(records), kind)
    rows["instrument_id"] = np.arange(1, len(records) + 1)
    return rows


def _groups(state: State) -> Rows:
    """Return the index, the last close and the fall of each market group that was told one."""
    records = state.records(lay.GROUPS, state.header(lay.H_MARKET_GROUPS) + 1, lay.GROUP_WORDS)[1:]
    index, close = records[:, bl.G_INDEX], records[:, bl.G_CLOSE]
    rows = _rows(len(records), EventKind.GROUP_INDEX_CHANGED)
    rows["order_id"] = np.arange(1, len(records) + 1)
    rows["price_ticks"], rows["close_price_ticks"] = index, close
    has_fallen = (index > 0) & (index < close)
    rows["measure"] = np.where(has_fallen, (close - index) * schema.PPM // np.maximum(close, 1), 0)
    told: Rows = rows[(index > 0) | (close > 0)]
    return told


def _accounts(state: State) -> Rows:
    records = state.records(lay.ACCOUNTS, state.header(lay.H_ACCOUNTS) + 1, lay.ACCOUNT_WORDS)[schema.VENUE_ACCOUNTS :]
    rows = _rows(len(records), EventKind.ACCOUNT_STATE_CHANGED)
    rows["account_id"] = np.arange(schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + len(records))
    rows["state"] = _low(records[:, lay.C_STATE])
    return rows


def _money(state: State) -> Rows:
    assets = state.records(lay.ASSETS, state.header(lay.H_ASSETS) + 1, lay.ASSET_WORDS)[1:]
    totals = _rows(len(assets), EventKind.ASSET_IMAGE)
    totals["asset_id"] = np.arange(1, len(assets) + 1)
    totals["amount_units"], totals["notional_units"] = assets[:, lay.A_DEPOSITS], assets[:, lay.A_WITHDRAWALS]
    records = state.records(lay.BALANCES, state.header(lay.H_BALANCES) + 1, lay.BALANCE_WORDS)[1:]
    balances = _rows(len(records), EventKind.BALANCE_IMAGE)
    balances["account_id"], balances["asset_id"] = _low(records[:, lay.B_OWNER]), records[:, lay.B_OWNER] >> 32
    balances["amount_units"], balances["notional_units"] = records[:, lay.B_AVAILABLE], records[:, lay.B_HELD]
    return np.concatenate([totals, balances, _obligations(state)], dtype=schema.EVENT)


def _obligations(state: State) -> Rows:
    records = state.records(lay.OBLIGATIONS, state.header(lay.H_OBLIGATION_TOP) + 1, lay.OBLIGATION_WORDS)
    records = records[records[:, lay.OB_OWNER] > 0]
    rows = _rows(len(records), EventKind.OBLIGATION_IMAGE)
    rows["account_id"], rows["asset_id"] = _low(records[:, lay.OB_OWNER]), records[:, lay.OB_OWNER] >> 32
    rows["order_id"], rows["amount_units"] = records[:, lay.OB_DATE], records[:, lay.OB_UNITS]
    rows["state"] = records[:, lay.OB_STATE]
    return rows


# Orders ---------------------------------------------------------------------------------------------------------------


def _orders(state: State, tail: bytearray) -> Rows:
    """Return the rows of every live order; schedules go into the tail."""
    table = state.records(lay.ORDERS, state.header(lay.H_ORDER_TOP) + 1, lay.ORDER_WORDS)
    lent = Lent(np.zeros(state.header(lay.H_ORDERS) + 1, np.int64))
    count = 0
    for instrument_id in range(1, state.header(lay.H_INSTRUMENTS) + 1):
        for side in (schema.Side.BUY, schema.Side.SELL):
            count = apply.walk_book(state.handle, lent.handle, instrument_id, int(side), count)
    resting = lent.words[:count]
    is_waiting = table[:, lay.O_ID] > 0
    is_waiting[resting] = False
    waiting = np.flatnonzero(is_waiting)
    its = table[waiting]
    waiting = waiting[np.lexsort((waiting, its[:, lay.O_ENTRY_SEQ], its[:, lay.O_OWNER] >> 32))]
    slots = np.concatenate([resting, waiting])
    records, extras = table[slots], _extras(state, slots)
    rows = _order_rows(state, records, extras)
    rows["state"][count:] = 1
    details, has_details = _details(records, extras)
    hides = np.flatnonzero(extras[:, lay.X_DISPLAY] > 0)
    scheduled = np.flatnonzero(_low(extras[:, lay.X_PLACE]) == lay.P_SCHEDULED)
    algos = state.records(lay.ALGOS, state.header(lay.H_ALGO_TOP) + 1, lay.ALGO_WORDS)[extras[scheduled, lay.X_ALGO]]
    suspended = scheduled[algos[:, lay.Q_SUSPENDED] != 0]
    parts = (
        (rows, np.arange(len(rows))),
        (details[has_details], np.flatnonzero(has_details)),
        (_shown(records[hides], extras[hides]), hides),
        (_schedules(state, records[scheduled], extras[scheduled], algos, tail), scheduled),
        (_suspended(records[suspended], rows[suspended]), suspended),
    )
    together = np.concatenate([part for part, _ in parts], dtype=schema.EVENT)
    made: Rows = together[np.argsort(np.concatenate([places for _, places in parts]), kind="stable")]
    return made


def _schedules(state: State, records: Words, extras: Words, algos: Words, tail: bytearray) -> Rows:
    """Return an ALGO_SCHEDULED for each of these orders, its document in the tail."""
    rows = _rows(len(records), EventKind.ALGO_SCHEDULED)
    _name(rows, records, ("side",))
    for row, extra, algo in zip(rows, extras, algos, strict=True):
        at = lay.SLICES + int(extra[lay.X_ALGO]) * lay.SLICES_WORDS
        slices = state.words[at : at + 2 * int(algo[lay.Q_COUNT])].reshape(-1, 2)
        fields = {
            "end_time_ns": int(extra[lay.X_EXPIRE_NS]),
            "participation_ppm": int(algo[lay.Q_PPM]),
            "slices": slices.tolist(),
            "start_time_ns": int(algo[lay.Q_START_NS]),
        }
        document = msgpack.packb(fields)
        row["document_offset"], row["document_size"] = len(tail), len(document)
        tail += document
    return rows


def _suspended(records: Words, images: Rows) -> Rows:
    """Return an ORDER_SUSPENDED for each of these orders, whose images stand beside."""
    rows = _rows(len(records), EventKind.ORDER_SUSPENDED)
    _name(rows, records, ("side",))
    for name in ("price_ticks", "qty_lots", "leaves_lots", "client_id_lo", "client_id_hi", "amount_units"):
        rows[name] = images[name]
    rows["state"] = 1
    return rows


def _extras(state: State, slots: Words) -> Words:
    """Return the extra of each order, all zero for one that has none."""
    table = state.records(lay.EXTRAS, state.header(lay.H_EXTRA_TOP) + 1, lay.EXTRA_WORDS)
    numbers = np.zeros(state.header(lay.H_ORDER_TOP) + 1, np.int64)
    used = np.flatnonzero(table[:, lay.X_ORDER] > 0)
    numbers[table[used, lay.X_ORDER]] = used
    extras: Words = table[numbers[slots]]
    is_dormant = _is_dormant(extras)
    is_trailing = is_dormant & (extras[:, lay.X_TRAIL] >> lay.TRAIL_UNIT_SHIFT != 0)
    for word in (lay.X_DISPLAY, lay.X_REFILL):  # a trailing order has other things there
        extras[is_trailing, word] = 0
    return extras


def _is_dormant(extras: Words) -> npt.NDArray[np.bool_]:
    place = _low(extras[:, lay.X_PLACE])
    return (place >= lay.P_BOOK) & (place < lay.P_BOOK + lay.ENTERING)


def _order_rows(state: State, records: Words, extras: Words) -> Rows:
    rows = _rows(len(records), EventKind.ORDER_IMAGE)
    _name(rows, records, ("side", "order_type", "time_in_force", "self_trade", "flags"))
    rows["price_ticks"] = records[:, lay.O_PRICE]
    rows["qty_lots"], rows["leaves_lots"] = records[:, lay.O_QTY], records[:, lay.O_LEAVES]
    rows["client_id_lo"], rows["client_id_hi"] = records[:, lay.O_CLIENT_LO], records[:, lay.O_CLIENT_HI]
    rows["notional_units"], rows["origin_seq"] = records[:, lay.O_NOTIONAL], records[:, lay.O_ENTRY_SEQ]
    rows["session_id"] = records[:, lay.O_TERMS] >> lay.SESSION_SHIFT & lay.SESSION_MASK
    rows["amount_units"] = _holds(state, records, extras)
    return rows


def _name(rows: Rows, records: Words, terms: tuple[str, ...]) -> None:
    """Say which orders rows are about, and so many of their terms."""
    for shift, name in enumerate(terms):
        rows[name] = records[:, lay.O_TERMS] >> 8 * shift & 0xFF
    owner = records[:, lay.O_OWNER]
    rows["account_id"], rows["instrument_id"], rows["order_id"] = _low(owner), owner >> 32, records[:, lay.O_ID]


def _details(records: Words, extras: Words) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Return an ORDER_DETAILS for every order, and which orders have something to tell."""
    rows = _rows(len(records), EventKind.ORDER_DETAILS)
    _name(rows, records, ("side", "order_type", "time_in_force"))
    waits = _is_dormant(extras)
    is_bracket = rows["order_type"] == schema.OrderType.BRACKET
    trail = np.where(waits, extras[:, lay.X_TRAIL], 0)
    has_trigger = waits | is_bracket
    rows["trigger"] = np.where(has_trigger, _low(extras[:, lay.X_SOURCE]), 0)
    rows["trigger_price_ticks"] = np.where(has_trigger, extras[:, lay.X_TRIGGER], 0)
    rows["trail_unit"] = trail >> lay.TRAIL_UNIT_SHIFT
    hidden = np.where(waits, trail & ((1 << lay.TRAIL_UNIT_SHIFT) - 1), extras[:, lay.X_DISPLAY])
    rows["display_qty_lots"] = hidden  # or the trail
    rows["refill_qty_lots"] = np.where(is_bracket, extras[:, lay.X_LIMIT], np.where(waits, 0, extras[:, lay.X_REFILL]))
    rows["linked_order_id"], rows["parent_order_id"] = extras[:, lay.X_LINKED], extras[:, lay.X_PARENT]
    rows["expire_time_ns"] = extras[:, lay.X_EXPIRE_NS]
    is_plain = np.isin(rows["order_type"], (schema.OrderType.MARKET, schema.OrderType.LIMIT))
    names = ("display_qty_lots", "linked_order_id", "parent_order_id", "expire_time_ns")
    return rows, ~is_plain | np.logical_or.reduce([rows[name] != 0 for name in names])


def _shown(records: Words, extras: Words) -> Rows:
    rows = _rows(len(records), EventKind.ORDER_REFRESHED)
    _name(rows, records, ("side",))
    rows["price_ticks"], rows["leaves_lots"] = records[:, lay.O_PRICE], records[:, lay.O_LEAVES]
    rows["display_qty_lots"] = extras[:, lay.X_SHOWN]
    rows["client_id_lo"], rows["client_id_hi"] = records[:, lay.O_CLIENT_LO], records[:, lay.O_CLIENT_HI]
    return rows


def _holds(state: State, records: Words, extras: Words) -> Words:
    """Return what each order holds, by the formula."""
    instruments = state.records(lay.INSTRUMENTS, state.header(lay.H_INSTRUMENTS) + 1, lay.INSTRUMENT_WORDS)
    its = instruments[records[:, lay.O_OWNER] >> 32]
    leaves = records[:, lay.O_LEAVES]
    price = np.where(extras[:, lay.X_ORDER] != 0, extras[:, lay.X_HOLD_PRICE], records[:, lay.O_PRICE])
    notional = price * leaves * its[:, lay.I_TICK_LOT_UNITS]
    rates = records[:, lay.O_RATES]
    ppm = np.maximum(np.maximum(_low(rates), rates >> 32), 0)
    fees = notional // schema.PPM * ppm + notional % schema.PPM * ppm // schema.PPM
    buys = records[:, lay.O_TERMS] & 0xFF == schema.Side.BUY
    held = np.where(buys, notional + fees, leaves * its[:, lay.I_LOT_UNITS])
    is_held_for = _is_dormant(extras) & (extras[:, lay.X_LINKED] != 0)  # the other leg holds
    return np.where(is_held_for, 0, held)


def _sessions(state: State) -> Rows:
    records = state.records(lay.SESSIONS, state.header(lay.H_SESSIONS) + 1, lay.SESSION_WORDS)[1:]
    rows = _rows(len(records), EventKind.SESSION_IMAGE)
    rows["order_id"] = np.arange(1, len(records) + 1)
    rows["session_epoch"], rows["client_seq"] = records[:, lay.N_EPOCH], records[:, lay.N_CLIENT_SEQ]
    return rows
