"""Every row of a command or event and every bound of the venue, declared once, with the enums of `kk99.codes`.

Invariants, each a test:
- a row is one size (`COMMAND`, `COLD` and `EVENT` 128 bytes), every byte belongs to a field, every field is aligned;
- enums are gap-free from their first member, and reject codes stand in the order in which the core checks them;
- `FINGERPRINT` changes with any change of a layout or a number here, and stands in every batch and snapshot header.

Two names at one offset are a union, as in C: which of them a kind of row uses stands in `docs/reference/`.
All integers are signed 64-bit at heart; ids, counts and enums are stored narrower. Zero means "none" in every id.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

from kk99.codes import (
    FIRST_DOCUMENT_KIND,
    ORDER_FLAGS,
    AccountState,
    BreakerReason,
    CallPurpose,
    CancelReason,
    CommandKind,
    Documented,
    EventKind,
    Flag,
    MarketState,
    OrderType,
    RejectCode,
    SelfTrade,
    Side,
    StateReason,
    TimeInForce,
    TrailUnit,
    TriggerSource,
)

__all__ = [
    "FIRST_DOCUMENT_KIND",
    "ORDER_FLAGS",
    "AccountState",
    "BreakerReason",
    "CallPurpose",
    "CancelReason",
    "CommandKind",
    "Documented",
    "EventKind",
    "Flag",
    "MarketState",
    "OrderType",
    "RejectCode",
    "SelfTrade",
    "Side",
    "StateReason",
    "TimeInForce",
    "TrailUnit",
    "TriggerSource",
]  # given on from kk99.codes

BEHAVIOUR_VERSION: Final = 1
"""Rises when the core would answer an old log differently; replay names the release each stretch needs."""

ROW_SIZE: Final = 128
ROW_WORDS: Final = ROW_SIZE // 8

# Bounds ---------------------------------------------------------------------------------------------------------------
PPM: Final = 1_000_000
"""Fees, burn shares and collars are millionths."""
AMOUNT_MAX: Final = 1 << 62
"""No amount, notional or sum of balances may reach this."""
PRICE_TICKS_MAX: Final = (1 << 36) - 1
QTY_LOTS_MAX: Final = (1 << 48) - 1
ASSETS_MAX: Final = 1 << 12
SCHEDULES_MAX: Final = 1 << 10
TIERS: Final = 16
INSTRUMENTS_MAX: Final = 1 << 16
ACCOUNTS_MAX: Final = 1 << 24
BALANCES_MAX: Final = 1 << 25
SESSIONS_MAX: Final = 1 << 14
ORDERS_MAX: Final = 1 << 24
"""Order slots, of which 0 is none; an order id is `generation << ORDER_SLOT_BITS | slot`."""
ORDER_SLOT_BITS: Final = 24
LEVELS_MAX: Final = 2_500_000
"""Price levels in all books together."""
FILLS_PER_COMMAND_MAX: Final = 4096
"""Resting orders one aggressor may meet; what is left of it is then canceled (FILL_LIMIT)."""
WORK_UNITS_PER_COMMAND: Final = 4096
"""Units of pending work (mass cancel, kill switch, lost session) done before each command."""
WORK_UNITS_PER_ORDER: Final = 64
"""Units that visiting an order of an account, or canceling one, costs; passing an order slot costs one."""
WORK_QUEUE_MAX: Final = 1024
TRIGGER_UNITS: Final = 256
"""Units that activating a dormant order costs, beside those for the orders that it meets."""
TRAIL_BPS_MAX: Final = 10_000
BPS: Final = 10_000
TIMERS_MAX: Final = ORDERS_MAX + (1 << 20)
"""Timer slots: one for every order and some for every instrument."""
PHASES: Final = 16
"""Transitions of a trading schedule."""
TRADING_SCHEDULES_MAX: Final = 1 << 10
SLICES_MAX: Final = 512
"""Slices of a scheduled order."""
ALGOS_MAX: Final = 1 << 12
"""Scheduled orders that are live at a time."""
INDICATIVE_NS: Final = 1_000_000_000
"""How often a call auction's indicative price is looked at."""
MARKET_GROUPS_MAX: Final = 1 << 8
IDENTITIES_MAX: Final = 1 << 20
MOVE_SLOTS: Final = 60
"""Slots of a circuit breaker's window, each with the lowest and the highest price of the last trade in it."""
VOLUME_WINDOWS: Final = 10
"""Windows whose volume a circuit breaker averages."""
VOLUME_MAX: Final = 1 << 54
"""More lots of volume in one window are not counted."""
CORRELATION_SAMPLES_MAX: Final = 64
RETURN_UNITS: Final = 100_000
"""Returns that a circuit breaker correlates are whole hundred-thousandths."""
RETURN_MAX: Final = 10_000
"""A greater return, up or down, counts as this."""
STRESS_MAX: Final = 100
SESSION_WINDOW: Final = 256
"""Resent commands that far back are answered with the exact sequence of the original."""
CLIENT_ID_WINDOW: Final = 1 << 16
"""Ended orders whose client order ids are still refused as duplicates."""
TRADE_WINDOW: Final = 1 << 16
"""Latest trades that can still be busted or corrected."""
OBLIGATIONS_MAX: Final = 1 << 20
"""Slots of what is owed by trades that settle later, of which 0 is none."""
CALENDARS_MAX: Final = 1 << 6
CALENDAR_DATES_MAX: Final = 1 << 10
SETTLEMENT_DAYS_MAX: Final = 5
CLIENT_ID_BYTES: Final = 36
DOCUMENT_BYTES_MAX: Final = 16_384
BATCH_ROWS_MAX: Final = 4096

VENUE_ACCOUNTS: Final = 16
"""Account ids below this are the venue's own."""
FEES_ACCOUNT: Final = 1
BURNED_ACCOUNT: Final = 2
INSURANCE_ACCOUNT: Final = 3
CLEARING_ACCOUNT: Final = 4


def _row(size: int, fields: list[tuple[str, str, int]]) -> np.dtype[np.void]:
    """Make a packed little-endian dtype from (name, format, byte offset)."""
    names, formats, offsets = zip(*fields, strict=True)
    return np.dtype(
        {"names": list(names), "formats": ["<" + f for f in formats], "offsets": list(offsets), "itemsize": size}
    )


COMMAND: Final = _row(ROW_SIZE, [
    ("seq", "i8", 0), ("time_ns", "i8", 8), ("client_seq", "i8", 16),
    ("session_id", "i4", 24), ("session_epoch", "i4", 28),
    ("kind", "u1", 32), ("side", "u1", 33), ("order_type", "u1", 34), ("time_in_force", "u1", 35),
    ("self_trade", "u1", 36), ("flags", "u1", 37), ("state", "u1", 38), ("trail_unit", "u1", 38), ("trigger", "u1", 39),
    ("instrument_id", "i4", 40), ("asset_id", "i4", 40), ("account_id", "i4", 44),
    ("price_ticks", "i8", 48), ("qty_lots", "i8", 56),
    ("amount_units", "i8", 64), ("min_qty_lots", "i8", 64), ("stop_limit_price_ticks", "i8", 64),
    ("client_id_lo", "i8", 72), ("client_id_hi", "i8", 80),
    ("target_lo", "i8", 88), ("target_hi", "i8", 96),
    ("trigger_price_ticks", "i8", 104), ("refill_qty_lots", "i8", 104), ("close_price_ticks", "i8", 104),
    ("display_qty_lots", "i8", 112), ("trail", "i8", 112), ("take_profit_price_ticks", "i8", 112),
    ("expire_time_ns", "i8", 120), ("document_offset", "i4", 120), ("document_size", "i4", 124),
])  # fmt: skip
"""The hot row of a command (128 bytes), read by the kernel."""

COLD: Final = _row(ROW_SIZE, [
    ("client_id", "S36", 0), ("original_client_id", "S36", 36), ("actor", "i8", 72),
    ("capacity", "i8", 80), ("client", "i8", 88), ("investment_decision", "i8", 96), ("execution_decision", "i8", 104),
    ("gateway_time_ns", "i8", 112), ("reserved", "i8", 120),
])  # fmt: skip
"""The cold row (128 bytes), journaled, never read by the kernel: one for each hot row that says HAS_COLD, in order."""

EVENT: Final = _row(ROW_SIZE, [
    ("cause_seq", "i8", 0), ("time_ns", "i8", 8), ("origin_seq", "i8", 16),
    ("index", "i4", 24), ("instrument_id", "i4", 28), ("asset_id", "i4", 28),
    ("kind", "u1", 32), ("side", "u1", 33), ("order_type", "u1", 34), ("time_in_force", "u1", 35),
    ("state_reason", "u1", 35), ("self_trade", "u1", 36), ("trigger", "u1", 36), ("call_purpose", "u1", 36),
    ("flags", "u1", 37), ("trail_unit", "u1", 37),
    ("reason", "u1", 38), ("state", "u1", 38), ("breaker_reason", "u1", 38), ("command_kind", "u1", 39),
    ("account_id", "i4", 40), ("contra_account_id", "i4", 44),
    ("order_id", "i8", 48), ("contra_order_id", "i8", 56), ("client_seq", "i8", 56),
    ("price_ticks", "i8", 64), ("trigger_price_ticks", "i8", 64),
    ("qty_lots", "i8", 72), ("trail", "i8", 72), ("display_qty_lots", "i8", 72), ("measure", "i8", 72),
    ("leaves_lots", "i8", 80), ("threshold", "i8", 80), ("close_price_ticks", "i8", 80),
    ("refill_qty_lots", "i8", 80), ("stop_limit_price_ticks", "i8", 80),
    ("document_offset", "i4", 80), ("document_size", "i4", 84),
    ("contra_leaves_lots", "i8", 88), ("session_id", "i4", 88), ("session_epoch", "i4", 92),
    ("fee_units", "i8", 96), ("client_id_lo", "i8", 96), ("linked_order_id", "i8", 96),
    ("contra_fee_units", "i8", 104), ("client_id_hi", "i8", 104), ("parent_order_id", "i8", 104),
    ("take_profit_price_ticks", "i8", 104),
    ("trade_id", "i8", 112), ("notional_units", "i8", 112), ("expire_time_ns", "i8", 112),
    ("amount_units", "i8", 120), ("burned_units", "i8", 120), ("min_qty_lots", "i8", 120),
])  # fmt: skip
"""The row of an event (128 bytes)."""

ENUMS: Final[tuple[type[Documented], ...]] = (
    CommandKind, EventKind, Side, OrderType, TimeInForce, TriggerSource, TrailUnit, SelfTrade, MarketState, CallPurpose,
    StateReason, BreakerReason, AccountState, CancelReason, RejectCode,
)  # fmt: skip


def word_of(row: np.dtype[np.void], field: str) -> int:
    """Return the 8-byte word in which a field of a row begins."""
    assert row.fields is not None
    return int(row.fields[field][1]) // 8


def shift_of(row: np.dtype[np.void], field: str) -> int:
    """Return the bit at which a field begins within its word."""
    assert row.fields is not None
    return int(row.fields[field][1]) % 8 * 8


def describe() -> str:
    """Return every layout, number and bound of this module as text, one a line, in a fixed order."""
    lines = [f"behaviour {BEHAVIOUR_VERSION}"]
    for name, row in (("COMMAND", COMMAND), ("COLD", COLD), ("EVENT", EVENT)):
        assert row.fields is not None
        lines += [f"{name}.{field} {kind.str} @{offset}" for field, (kind, offset, *_) in row.fields.items()]
    for kind in ENUMS:
        lines += [f"{kind.__name__}.{member.name} = {member.value}" for member in kind]
    lines += [f"Flag.{flag.name} = {flag.value}" for flag in Flag]
    bounds = {name: value for name, value in globals().items() if name.isupper() and isinstance(value, int)}
    bounds.pop("FINGERPRINT", None)  # the digest of this text
    lines += [f"{name} = {int(bounds[name])}" for name in sorted(bounds)]
    return "\n".join(lines)


FINGERPRINT: Final = int.from_bytes(hashlib.sha256(describe().encode()).digest()[:8], "little") >> 1
"""63-bit digest of `describe()`."""
