"""Event rows made by Python: answers to documents, and images of the whole state.

An image holds, in this order: every document with its number, market, reference and account states, totals and
balances, orders in price-time order within each side, sessions. All rows have the sequence of the image as cause
and rise in index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from kk99 import schema
from kk99.core import apply
from kk99.core import layout as lay
from kk99.core.state import words_handle
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
    EventKind.INSTRUMENT_STATE_CHANGED,
    EventKind.ACCOUNT_STATE_CHANGED,
    EventKind.REFERENCE_PRICE_CHANGED,
    EventKind.TRADE_BUSTED,
    EventKind.TRADE_CORRECTED,
)
"""Kinds whose rows point to a document in the tail (in an image, the states' rows have none)."""

_NUMBERED: Final = {
    EventKind.ASSET_DEFINED: "asset_id",
    EventKind.FEE_SCHEDULE_DEFINED: "order_id",
    EventKind.INSTRUMENT_DEFINED: "instrument_id",
    EventKind.ACCOUNT_DEFINED: "account_id",
    EventKind.SESSION_DEFINED: "order_id",
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
    parts = [_document_rows(documents, tail), _states(state), _money(state), _orders(state), _sessions(state)]
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


def _states(state: State) -> Rows:
    instruments = state.records(lay.INSTRUMENTS, state.header(lay.H_INSTRUMENTS) + 1, lay.INSTRUMENT_WORDS)[1:]
    markets = _rows(len(instruments), EventKind.INSTRUMENT_STATE_CHANGED)
    markets["instrument_id"] = np.arange(1, len(instruments) + 1)
    markets["state"] = instruments[:, lay.I_STATE]
    references = _rows(len(instruments), EventKind.REFERENCE_PRICE_CHANGED)
    references["instrument_id"] = markets["instrument_id"]
    references["price_ticks"] = instruments[:, lay.I_REFERENCE]
    records = state.records(lay.ACCOUNTS, state.header(lay.H_ACCOUNTS) + 1, lay.ACCOUNT_WORDS)[schema.VENUE_ACCOUNTS :]
    accounts = _rows(len(records), EventKind.ACCOUNT_STATE_CHANGED)
    accounts["account_id"] = np.arange(schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + len(records))
    accounts["state"] = _low(records[:, lay.C_STATE])
    return np.concatenate([markets, references[references["price_ticks"] > 0], accounts], dtype=schema.EVENT)


def _money(state: State) -> Rows:
    assets = state.records(lay.ASSETS, state.header(lay.H_ASSETS) + 1, lay.ASSET_WORDS)[1:]
    totals = _rows(len(assets), EventKind.ASSET_IMAGE)
    totals["asset_id"] = np.arange(1, len(assets) + 1)
    totals["amount_units"], totals["notional_units"] = assets[:, lay.A_DEPOSITS], assets[:, lay.A_WITHDRAWALS]
    records = state.records(lay.BALANCES, state.header(lay.H_BALANCES) + 1, lay.BALANCE_WORDS)[1:]
    balances = _rows(len(records), EventKind.BALANCE_IMAGE)
    balances["account_id"], balances["asset_id"] = _low(records[:, lay.B_OWNER]), records[:, lay.B_OWNER] >> 32
    balances["amount_units"], balances["notional_units"] = records[:, lay.B_AVAILABLE], records[:, lay.B_HELD]
    return np.concatenate([totals, balances], dtype=schema.EVENT)


def _orders(state: State) -> Rows:
    slots = np.zeros(state.header(lay.H_ORDERS) + 1, np.int64)
    out = words_handle(slots)
    position = 0
    for instrument_id in range(1, state.header(lay.H_INSTRUMENTS) + 1):
        for side in (schema.Side.BUY, schema.Side.SELL):
            position = apply.walk_book(state.handle, out, instrument_id, int(side), position)
    records = state.records(lay.ORDERS, state.header(lay.H_ORDER_TOP) + 1, lay.ORDER_WORDS)[slots[:position]]
    rows = _rows(position, EventKind.ORDER_IMAGE)
    terms = records[:, lay.O_TERMS]
    for shift, name in enumerate(("side", "order_type", "time_in_force", "self_trade", "flags")):
        rows[name] = (terms >> 8 * shift) & 0xFF
    owner = records[:, lay.O_OWNER]
    rows["account_id"], rows["instrument_id"] = _low(owner), owner >> 32
    rows["order_id"], rows["price_ticks"] = records[:, lay.O_ID], records[:, lay.O_PRICE]
    rows["qty_lots"], rows["leaves_lots"] = records[:, lay.O_QTY], records[:, lay.O_LEAVES]
    rows["client_id_lo"], rows["client_id_hi"] = records[:, lay.O_CLIENT_LO], records[:, lay.O_CLIENT_HI]
    rows["notional_units"], rows["origin_seq"] = records[:, lay.O_NOTIONAL], records[:, lay.O_ENTRY_SEQ]
    rows["session_id"] = terms >> 40
    rows["amount_units"] = _holds(state, records)
    return rows


def _holds(state: State, records: Words) -> Words:
    """Return what each order holds, by the formula."""
    instruments = state.records(lay.INSTRUMENTS, state.header(lay.H_INSTRUMENTS) + 1, lay.INSTRUMENT_WORDS)
    its = instruments[records[:, lay.O_OWNER] >> 32]
    leaves = records[:, lay.O_LEAVES]
    notional = records[:, lay.O_PRICE] * leaves * its[:, lay.I_TICK_LOT_UNITS]
    ppm = records[:, lay.O_RATES] >> 32
    fees = notional // schema.PPM * ppm + notional % schema.PPM * ppm // schema.PPM
    buys = records[:, lay.O_TERMS] & 0xFF == schema.Side.BUY
    return np.where(buys, notional + fees, leaves * its[:, lay.I_LOT_UNITS])


def _sessions(state: State) -> Rows:
    records = state.records(lay.SESSIONS, state.header(lay.H_SESSIONS) + 1, lay.SESSION_WORDS)[1:]
    rows = _rows(len(records), EventKind.SESSION_IMAGE)
    rows["order_id"] = np.arange(1, len(records) + 1)
    rows["session_epoch"], rows["client_seq"] = records[:, lay.N_EPOCH], records[:, lay.N_CLIENT_SEQ]
    return rows
