"""Every command, event, enum and reject code of the venue, declared once.

Invariants, each a test:
- a row is one size (`COMMAND`, `COLD` and `EVENT` 128 bytes), every byte belongs to a field, every field is aligned;
- enums are gap-free from their first member, and reject codes stand in the order in which the core checks them;
- `FINGERPRINT` changes with any change of a layout or a number here, and stands in every batch and snapshot header.

Two names at one offset are a union, as in C: which of them a kind of row uses stands in `docs/reference/`.
All integers are signed 64-bit at heart; ids, counts and enums are stored narrower. Zero means "none" in every id.
"""

from __future__ import annotations

import enum
import hashlib
from typing import Final, Self

import numpy as np

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
SESSION_WINDOW: Final = 256
"""Resent commands that far back are answered with the exact sequence of the original."""
CLIENT_ID_WINDOW: Final = 1 << 16
"""Ended orders whose client order ids are still refused as duplicates."""
TRADE_WINDOW: Final = 1 << 16
"""Latest trades that can still be busted or corrected."""
CLIENT_ID_BYTES: Final = 36
DOCUMENT_BYTES_MAX: Final = 16_384
BATCH_ROWS_MAX: Final = 4096

VENUE_ACCOUNTS: Final = 16
"""Account ids below this are the venue's own."""
FEES_ACCOUNT: Final = 1
BURNED_ACCOUNT: Final = 2
INSURANCE_ACCOUNT: Final = 3


class Documented(enum.IntEnum):
    """An integer enum whose members carry a sentence for the reference pages."""

    def __new__(cls, value: int, text: str = "") -> Self:
        """Make a member from its number and its sentence."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.__doc__ = text
        return member


class CommandKind(Documented):
    """What a command row asks for. From ASSET_DEFINE on, a row carries a msgpack document."""

    CONTINUE = 1, "Do the next steps of the pending work (from the sequencer)."
    CLOCK = 2, "Time has come for a timer (from the sequencer)."
    SESSION_OPEN = 3, "Open the next epoch of a session; its client sequence starts again at 1."
    SESSION_LOST = 4, "A session's lease lapsed: cancel the orders that asked for it (from the sequencer)."
    ORDER_NEW = 5, "Enter an order."
    ORDER_REPLACE = 6, "Change price, quantity or client id of a live order."
    ORDER_CANCEL = 7, "Cancel a live order."
    MASS_CANCEL = 8, "Cancel an account's live orders, of one instrument or all, of one side or both."
    DEPOSIT = 9, "Credit an account from outside the venue."
    WITHDRAW = 10, "Debit an account to outside the venue."
    ASSET_DEFINE = 11, "Document: a new asset."
    FEE_SCHEDULE_DEFINE = 12, "Document: a new fee schedule, or new rates for one."
    INSTRUMENT_DEFINE = 13, "Document: a new spot instrument."
    INSTRUMENT_CHANGE = 14, "Document: new limits, collar or fee schedule of an instrument."
    ACCOUNT_DEFINE = 15, "Document: a new account."
    ACCOUNT_CHANGE = 16, "Document: a new tier or self-trade group of an account."
    SESSION_DEFINE = 17, "Document: a new session by name."
    INSTRUMENT_STATE = 18, "Operator: pre-open, open, cancel-only, halt or close a market."
    ACCOUNT_STATE = 19, "Operator: suspend, resume or kill an account (kill also cancels all its orders)."
    REFERENCE_PRICE = 20, "Operator: set the price from which the collar is measured until the next trade."
    TRADE_BUST = 21, "Operator: undo a trade."
    TRADE_CORRECT = 22, "Operator: give a trade another price or a smaller quantity."


FIRST_DOCUMENT_KIND: Final = CommandKind.ASSET_DEFINE


class EventKind(Documented):
    """What happened. Every command causes at least one event."""

    REJECTED = 1, "The command changed nothing; `reason` is a RejectCode."
    DUPLICATE = 2, "The command was taken before: `origin_seq` is the original's sequence (0: older than the window)."
    CONTINUED = 3, "Pending work was carried on."
    CLOCK_TICKED = 4, "Time moved on with no other command."
    SESSION_OPENED = 5, "A session's new epoch is open."
    SESSION_LOST = 6, "A session's lease lapsed; its cancels follow."
    ORDER_ACCEPTED = 7, "The order is live; `amount_units` is its hold."
    ORDER_REPLACED = 8, "The order has a new price, quantity or client id; `amount_units` is its new hold."
    ORDER_REDUCED = 9, "Self-trade prevention took quantity off the order; `amount_units` is its new hold."
    ORDER_CANCELED = 10, "The order is gone; `reason` is a CancelReason, `leaves_lots` what was canceled."
    TRADE = 11, "Two orders met at the maker's price; `order_id` is the taker, `contra_order_id` the maker."
    MASS_CANCEL_DONE = 12, "A mass cancel, kill switch or lost session is worked off; `qty_lots` counts its cancels."
    MASS_CANCEL_ACCEPTED = 13, "A mass cancel is queued and begun."
    DEPOSITED = 14, "An account was credited `amount_units`, after `fee_units`."
    WITHDRAWN = 15, "An account was debited `amount_units` and `fee_units` more."
    ASSET_DEFINED = 16, "Document: a new asset has its number."
    FEE_SCHEDULE_DEFINED = 17, "Document: a fee schedule has its number and rates."
    INSTRUMENT_DEFINED = 18, "Document: a new instrument has its number."
    INSTRUMENT_CHANGED = 19, "Document: an instrument as it now stands."
    ACCOUNT_DEFINED = 20, "Document: a new account has its number."
    ACCOUNT_CHANGED = 21, "Document: an account as it now stands."
    SESSION_DEFINED = 22, "Document: a new session has its number."
    INSTRUMENT_STATE_CHANGED = 23, "Document (who and why): a market is in state `state`."
    ACCOUNT_STATE_CHANGED = 24, "Document (who and why): an account is in state `state`."
    REFERENCE_PRICE_CHANGED = 25, "Document (who and why): the collar is measured from `price_ticks`."
    TRADE_BUSTED = 26, "Document (who and why): the trade is undone; fields as in the TRADE."
    TRADE_CORRECTED = 27, "Document (who and why): the trade now has these fields."
    BALANCE_IMAGE = 28, "In an image only: `amount_units` available and `notional_units` held of `asset_id`."
    ORDER_IMAGE = 29, "In an image only: a live order, in price-time order within its side, entered by `origin_seq`."
    SESSION_IMAGE = 30, "In an image only: session `order_id` is at `session_epoch` and last took `client_seq`."
    ASSET_IMAGE = 31, "In an image only: `amount_units` deposited and `notional_units` withdrawn of `asset_id`, ever."


class Side(Documented):
    """Side of an order, numbered as FIX tag 54."""

    BOTH = 0, "In a mass cancel: both sides."
    BUY = 1, "Buy."
    SELL = 2, "Sell."


class OrderType(Documented):
    """Order type, numbered as FIX tag 40."""

    MARKET = 1, "At any price within the collar; never rests."
    LIMIT = 2, "At the limit price or better."
    STOP = 3, "Reserved: market when triggered."
    STOP_LIMIT = 4, "Reserved: limit when triggered."


class TimeInForce(Documented):
    """How long an order lives, numbered as FIX tag 59."""

    DAY = 0, "Reserved: until the trading phase ends."
    GTC = 1, "Good till canceled."
    AT_OPEN = 2, "Reserved: opening auction only."
    IOC = 3, "Immediate or cancel."
    FOK = 4, "Fill or kill."
    GTX = 5, "Reserved."
    GTD = 6, "Reserved: good till date."
    AT_CLOSE = 7, "Reserved: closing auction only."


class SelfTrade(Documented):
    """What an aggressor asks for when it meets an order of its own group."""

    ALLOW = 0, "Trade."
    CANCEL_NEWEST = 1, "Cancel the aggressor's remainder."
    CANCEL_OLDEST = 2, "Cancel the resting order and go on."
    CANCEL_BOTH = 3, "Cancel both."
    DECREMENT = 4, "Take the smaller quantity off both; the one at zero is canceled."


class Flag(enum.IntFlag):
    """Bits of a command's and an order's `flags`."""

    POST_ONLY = 1
    HAS_COLD = 2
    TARGET_CLIENT_ID = 4
    QTY_IS_LEAVES = 8
    CANCEL_ON_LOST = 16
    PRIORITY_KEPT = 32


ORDER_FLAGS: Final = Flag.POST_ONLY | Flag.HAS_COLD | Flag.CANCEL_ON_LOST


class MarketState(Documented):
    """State of an instrument."""

    PRE_OPEN = 0, "Defined, not yet open: cancels only."
    OPEN = 1, "Continuous trading."
    CANCEL_ONLY = 2, "Cancels only."
    HALTED = 3, "Trading is halted: cancels only."
    CLOSED = 4, "Closed: cancels only."


class AccountState(Documented):
    """State of an account."""

    ACTIVE = 0, "May trade."
    SUSPENDED = 1, "May cancel, not enter or replace, not withdraw."
    KILLED = 2, "As suspended, and all its orders are being canceled; resumed by an operator only."


class CancelReason(Documented):
    """Why an order ended other than by being filled."""

    REQUESTED = 1, "Canceled by command."
    IOC = 2, "What an IOC or market order could not fill at once."
    FOK = 3, "A fill-or-kill order could not be filled whole."
    BUDGET_SPENT = 4, "What is left of a market buy's budget buys no further lot."
    SELF_TRADE = 5, "Self-trade prevention."
    FILL_LIMIT = 6, "The aggressor met FILLS_PER_COMMAND_MAX orders."
    MASS_CANCEL = 7, "By a mass cancel."
    KILL_SWITCH = 8, "The account was killed."
    SESSION_LOST = 9, "The session that entered it was lost."


class RejectCode(Documented):
    """Why a command changed nothing, in the order in which the core checks."""

    KIND_UNKNOWN = 1, "The command kind does not exist, or only the sequencer may send it."
    SESSION_UNKNOWN = 2, "The session does not exist."
    SESSION_EPOCH_WRONG = 3, "The session epoch is not the open one."
    CLIENT_SEQ_GAP = 4, "The client sequence is not the next one."
    DOCUMENT_INVALID = 5, "The document is not msgpack, or a field is missing, unknown or out of range."
    OPERATOR_MISSING = 6, "The document does not say who orders this and why."
    NAME_TAKEN = 7, "The name is in use."
    CAPACITY_REACHED = 8, "A named bound of the venue is reached."
    REFERENCE_UNKNOWN = 9, "The document refers to an asset, schedule or owner that does not exist."
    TICK_LOT_NOT_WHOLE = 10, "Tick times lot is not a whole number of quote units, or a product would overflow."
    ACCOUNT_UNKNOWN = 11, "The account does not exist or is the venue's own."
    ACCOUNT_SUSPENDED = 12, "The account is suspended or killed."
    INSTRUMENT_UNKNOWN = 13, "The instrument does not exist."
    ASSET_UNKNOWN = 14, "The asset does not exist."
    ORDER_UNKNOWN = 15, "No live order has this id on this account."
    SIDE_INVALID = 16, "The side is neither buy nor sell (or differs from the order's)."
    ORDER_TYPE_UNSUPPORTED = 17, "The order type does not exist or is not yet supported."
    TIME_IN_FORCE_UNSUPPORTED = 18, "The time in force does not exist or is not yet supported for the type."
    SELF_TRADE_INVALID = 19, "The self-trade instruction does not exist."
    FLAGS_INVALID = 20, "Flags are unknown, contradict one another, or a reserved field is not zero."
    MARKET_PRE_OPEN = 21, "The market is not open yet."
    MARKET_CANCEL_ONLY = 22, "The market takes cancels only."
    MARKET_HALTED = 23, "The market is halted."
    MARKET_CLOSED = 24, "The market is closed."
    PRICE_INVALID = 25, "A limit price below one tick, or a price where none belongs."
    PRICE_OFF_TICK = 26, "The price is not a multiple of the instrument's tick step."
    PRICE_ABOVE_MAX = 27, "The price is above the instrument's maximum."
    PRICE_OUTSIDE_COLLAR = 28, "The price is too far from the reference price."
    COLLAR_MISSING = 29, "A market buy by quantity needs a collar and a reference price; give a budget instead."
    QTY_INVALID = 30, "The quantity is zero, negative, or given where none belongs."
    QTY_OFF_LOT = 31, "The quantity is not a multiple of the instrument's lot step."
    QTY_BELOW_MIN = 32, "The quantity is below the instrument's minimum."
    QTY_ABOVE_MAX = 33, "The quantity is above the instrument's maximum."
    QTY_BELOW_FILLED = 34, "The new quantity does not exceed what is filled."
    NOTIONAL_BELOW_MIN = 35, "Price times quantity (or the budget) is below the instrument's minimum."
    NOTIONAL_ABOVE_MAX = 36, "Price times quantity (or the budget) is above the instrument's maximum."
    AMOUNT_INVALID = 37, "The amount is zero, negative, too large, or given where none belongs."
    CLIENT_ID_DUPLICATE = 38, "The account has a live or recently ended order with this client order id."
    FUNDS_INSUFFICIENT = 39, "The account's available balance does not cover the hold, debit or reversal."
    POST_ONLY_CROSSES = 40, "The order is post-only and would trade."
    ORDERS_FULL = 41, "ORDERS_MAX - 1 live orders, LEVELS_MAX price levels, or as many balances as there can be."
    WORK_QUEUE_FULL = 42, "Too many mass cancels are pending; try again."
    TRADE_UNKNOWN = 43, "No trade of this id within the bust window."
    TRADE_BUSTED = 44, "The trade is already busted."
    STATE_UNCHANGED = 45, "The market or account is in that state already, or the state does not exist."


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
    ("self_trade", "u1", 36), ("flags", "u1", 37), ("state", "u1", 38), ("trigger", "u1", 39),
    ("instrument_id", "i4", 40), ("asset_id", "i4", 40), ("account_id", "i4", 44),
    ("price_ticks", "i8", 48), ("qty_lots", "i8", 56), ("amount_units", "i8", 64),
    ("client_id_lo", "i8", 72), ("client_id_hi", "i8", 80),
    ("target_lo", "i8", 88), ("target_hi", "i8", 96),
    ("trigger_price_ticks", "i8", 104), ("display_qty_lots", "i8", 112),
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
    ("self_trade", "u1", 36), ("flags", "u1", 37), ("reason", "u1", 38), ("state", "u1", 38),
    ("command_kind", "u1", 39),
    ("account_id", "i4", 40), ("contra_account_id", "i4", 44),
    ("order_id", "i8", 48), ("contra_order_id", "i8", 56), ("client_seq", "i8", 56),
    ("price_ticks", "i8", 64), ("qty_lots", "i8", 72),
    ("leaves_lots", "i8", 80), ("document_offset", "i4", 80), ("document_size", "i4", 84),
    ("contra_leaves_lots", "i8", 88), ("session_id", "i4", 88), ("session_epoch", "i4", 92),
    ("fee_units", "i8", 96), ("client_id_lo", "i8", 96),
    ("contra_fee_units", "i8", 104), ("client_id_hi", "i8", 104),
    ("trade_id", "i8", 112), ("notional_units", "i8", 112),
    ("amount_units", "i8", 120), ("burned_units", "i8", 120),
])  # fmt: skip
"""The row of an event (128 bytes)."""

ENUMS: Final[tuple[type[Documented], ...]] = (
    CommandKind, EventKind, Side, OrderType, TimeInForce, SelfTrade, MarketState, AccountState, CancelReason,
    RejectCode,
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
