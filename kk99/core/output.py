"""Events: each is written once, whole, into the buffer from which the caller reads them."""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import layout as lay
from kk99.core import timers
from kk99.core.memory import far, inlined, kernel, load, low, pair, store

E_REJECTED = schema.EventKind.REJECTED.value
E_TRADE = schema.EventKind.TRADE.value
E_CANCELED = schema.EventKind.ORDER_CANCELED.value
E_REDUCED = schema.EventKind.ORDER_REDUCED.value
C_SEQ = schema.word_of(schema.COMMAND, "seq")
C_KINDS = schema.word_of(schema.COMMAND, "kind")
C_OWNER = schema.word_of(schema.COMMAND, "instrument_id")
C_PRICE = schema.word_of(schema.COMMAND, "price_ticks")
C_QTY = schema.word_of(schema.COMMAND, "qty_lots")
C_AMOUNT = schema.word_of(schema.COMMAND, "amount_units")
C_CLIENT_LO = schema.word_of(schema.COMMAND, "client_id_lo")
C_CLIENT_HI = schema.word_of(schema.COMMAND, "client_id_hi")
C_TARGET_LO = schema.word_of(schema.COMMAND, "target_lo")
C_TARGET_HI = schema.word_of(schema.COMMAND, "target_hi")
FLAGS_SHIFT = schema.shift_of(schema.COMMAND, "flags")
REASON_SHIFT = schema.shift_of(schema.EVENT, "reason")
BY_CLIENT_ID = schema.Flag.TARGET_CLIENT_ID.value
BY_OPERATOR = 0  # in place of a StateReason
CALL = schema.MarketState.CALL.value
UNCROSSING = schema.MarketState.UNCROSSING.value
E_OPERATOR = schema.EventKind.INSTRUMENT_STATE_CHANGED.value
E_STATE = schema.EventKind.MARKET_STATE_CHANGED.value
STATE_SHIFT = schema.shift_of(schema.EVENT, "state")
STATE_REASON_SHIFT = schema.shift_of(schema.EVENT, "state_reason")
PURPOSE_SHIFT = schema.shift_of(schema.EVENT, "call_purpose")
EXPIRE_WORD = schema.word_of(schema.EVENT, "expire_time_ns")


@inlined
def begin(m: Any, kinds: int, instrument_id: int, account_id: int, contra_account_id: int, order_id: int) -> int:
    """Begin an event: its identity, kinds and owners; return where its other words (7 to 15) are to be set."""
    count = load(m, lay.S_EVENTS)
    index = load(m, lay.HEADER + lay.H_EVENT_INDEX)
    store(m, lay.S_EVENTS, count + 1)
    store(m, lay.HEADER + lay.H_EVENT_INDEX, index + 1)
    at = lay.EVENTS + count * lay.EVENT_WORDS
    store(m, at, load(m, lay.HEADER + lay.H_SEQ))
    store(m, at + 1, load(m, lay.HEADER + lay.H_TIME_NS))
    store(m, at + 2, load(m, lay.S_ORIGIN))
    store(m, at + 3, pair(index, instrument_id))
    store(m, at + 4, kinds | load(m, lay.S_COMMAND_KIND))
    store(m, at + 5, pair(account_id, contra_account_id))
    store(m, at + 6, order_id)
    return at


@inlined
def finish(m: Any, at: int, price: int, qty: int, leaves: int, client_lo: int, client_hi: int, amount: int) -> None:
    """Set the other words of an event that answers a command."""
    store(m, at + 7, load(m, lay.S_CLIENT_SEQ))
    store(m, at + 8, price)
    store(m, at + 9, qty)
    store(m, at + 10, leaves)
    store(m, at + 11, load(m, lay.S_SESSION))
    store(m, at + 12, client_lo)
    store(m, at + 13, client_hi)
    store(m, at + 14, 0)
    store(m, at + 15, amount)


@kernel
def simple(m: Any, kind: int, instrument_id: int, account_id: int, order_id: int, side: int, qty: int) -> None:
    """Write an event of few fields."""
    at = begin(m, kind | side << 8, instrument_id, account_id, 0, order_id)
    finish(m, at, 0, qty, 0, 0, 0, 0)


@kernel
def reject(m: Any, c: Any, at: int, code: int) -> None:
    """Write REJECTED for the command at a row, with what it asked for."""
    kinds = load(c, at + C_KINDS)
    side = (kinds >> 8) & 0xFF
    flags = (kinds >> FLAGS_SHIFT) & 0xFF
    owner = load(c, at + C_OWNER)
    target = 0 if flags & BY_CLIENT_ID != 0 else load(c, at + C_TARGET_LO)
    event = begin(m, E_REJECTED | side << 8 | code << REASON_SHIFT, low(owner), owner >> 32, 0, target)
    client_lo = load(c, at + C_CLIENT_LO)
    client_hi = load(c, at + C_CLIENT_HI)
    finish(m, event, load(c, at + C_PRICE), load(c, at + C_QTY), 0, client_lo, client_hi, load(c, at + C_AMOUNT))


@kernel
def order_event(m: Any, kind: int, reason: int, order_at: int, leaves: int, amount: int) -> None:
    """Write ORDER_CANCELED or ORDER_REDUCED from an order's record."""
    owner = load(m, order_at + lay.O_OWNER)
    side = load(m, order_at + lay.O_TERMS) & 0xFF
    order_id = load(m, order_at + lay.O_ID)
    at = begin(m, kind | side << 8 | reason << REASON_SHIFT, owner >> 32, low(owner), 0, order_id)
    store(m, at + 7, load(m, lay.S_CLIENT_SEQ))
    store(m, at + 8, load(m, order_at + lay.O_PRICE))
    store(m, at + 9, load(m, order_at + lay.O_QTY))
    store(m, at + 10, leaves)
    store(m, at + 11, load(m, lay.S_SESSION))
    store(m, at + 12, load(m, order_at + lay.O_CLIENT_LO))
    store(m, at + 13, load(m, order_at + lay.O_CLIENT_HI))
    store(m, at + 14, 0)
    store(m, at + 15, amount)


@far
def market_state(m: Any, instrument_id: int, state: int, purpose: int, reason: int) -> None:
    """Write that a market is in a state: an operator's document, or the venue's own change and its expected end."""
    kind = E_OPERATOR if reason == BY_OPERATOR else E_STATE
    told = purpose if state == CALL else 0
    kinds = kind | state << STATE_SHIFT | reason << STATE_REASON_SHIFT | told << PURPOSE_SHIFT
    event = begin(m, kinds, instrument_id, 0, 0, 0)
    finish(m, event, 0, 0, 0, 0, 0, 0)
    timers_at = lay.instrument(instrument_id) + lay.I_TIMERS
    slot = load(m, timers_at + timers.M_RECOVERY)
    if slot == 0:
        slot = load(m, timers_at + timers.M_PHASE)
    if reason != BY_OPERATOR and state != UNCROSSING and slot != 0:
        store(m, event + EXPIRE_WORD, load(m, lay.timer(slot) + lay.M_DUE_NS))
