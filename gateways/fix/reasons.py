"""Why something is refused or ended, in the venue's words and in FIX's: one table for each enum.

Invariant: every code has its line (a test), and every number is one that FIX 4.4 lists for its tag.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from kk99.schema import CancelReason, RejectCode


class Refusal(enum.IntEnum):
    """Why the gateway refused a message, the `state` of its MESSAGE_NOTED; those in BUSINESS are answered by a j."""

    NONE = 0
    UNSUPPORTED = 1
    THROTTLED = 2
    NOT_READY = 3
    CLIENT_ID = 4
    NOT_AUTHORIZED = 5
    ACCOUNT_MISSING = 6
    ACCOUNT_UNKNOWN = 7
    SYMBOL_UNKNOWN = 8
    SIDE = 9
    ORDER_TYPE = 10
    INSTRUCTION = 11
    PRICE = 12
    PRICE_MISSING = 13
    TRIGGER = 14
    TRIGGER_MISSING = 15
    QTY = 16
    QTY_MISSING = 17
    CASH = 18
    CASH_MISPLACED = 19
    DISPLAY = 20
    MIN_QTY = 21
    MISPLACED = 22
    TRAIL = 23
    OFFSET = 24
    PARTY = 25
    LIST_SHAPE = 26
    LIST_TERMS = 27
    SCOPE = 28
    UNCHANGEABLE = 29
    SELF_TRADE = 30


class Answer(NamedTuple):
    """A reason in FIX: text (58), OrdRejReason (103), CxlRejReason (102), MassCancelRejectReason (532)."""

    text: str
    order: int
    cancel: int = 99
    mass_cancel: int = 0
    """0 to 6: FIX 4.4 lists 99 as well, but makes it one character."""


BUSINESS: Final[dict[Refusal, tuple[int, str]]] = {
    Refusal.UNSUPPORTED: (3, "Unsupported message type"),
    Refusal.THROTTLED: (0, "Too many messages"),
    Refusal.NOT_READY: (4, "The venue is not ready"),
    Refusal.CLIENT_ID: (0, "An id is 1 to 36 printable ASCII characters"),
    Refusal.NOT_AUTHORIZED: (6, "Not authorized"),
}
"""BusinessRejectReason (380) and text."""

REFUSED: Final[dict[Refusal, Answer]] = {
    Refusal.ACCOUNT_MISSING: Answer("Which account: this session has not exactly one", 15),
    Refusal.ACCOUNT_UNKNOWN: Answer("No such account on this session", 15),
    Refusal.SYMBOL_UNKNOWN: Answer("Unknown symbol", 1, mass_cancel=1),
    Refusal.SIDE: Answer("Side is buy or sell", 11),
    Refusal.ORDER_TYPE: Answer("Order type not supported", 11, 2),
    Refusal.INSTRUCTION: Answer("ExecInst not supported", 11, 2),
    Refusal.PRICE: Answer("Price is not a whole number of ticks", 99),
    Refusal.PRICE_MISSING: Answer("Price missing", 99),
    Refusal.TRIGGER: Answer("StopPx is not a whole number of ticks", 99),
    Refusal.TRIGGER_MISSING: Answer("StopPx missing", 99),
    Refusal.QTY: Answer("OrderQty is not a whole number of lots", 99),
    Refusal.QTY_MISSING: Answer("OrderQty or CashOrderQty, one of both", 13),
    Refusal.CASH: Answer("CashOrderQty is finer than the currency", 99),
    Refusal.CASH_MISPLACED: Answer("CashOrderQty is for market buys", 11),
    Refusal.DISPLAY: Answer("MaxFloor is not a whole number of lots above zero", 99),
    Refusal.MIN_QTY: Answer("MinQty is not a whole number of lots", 99),
    Refusal.MISPLACED: Answer("A price, peg or quantity that this order type has not", 11, 2),
    Refusal.TRAIL: Answer("Trailing stop: PegOffsetValue in price, basis points or ticks", 99),
    Refusal.OFFSET: Answer("DiscretionOffsetValue is not a whole number of ticks", 99),
    Refusal.PARTY: Answer("PartyID of client and trader is a whole number", 10, 2),
    Refusal.LIST_SHAPE: Answer("A list is two orders that share ClOrdLinkID: a limit and a stop", 11),
    Refusal.LIST_TERMS: Answer("Orders of a list differ in account, symbol, side, quantity or time in force", 11),
    Refusal.SCOPE: Answer("Mass requests are for one security (1) or all (7)", 99),
    Refusal.UNCHANGEABLE: Answer("Only price, quantity and StopPx can be changed", 11, 2),
    Refusal.SELF_TRADE: Answer("Self-trade instruction not supported", 11, 2),
}

_R: Final = RejectCode
REJECTED: Final[dict[RejectCode, Answer]] = {
    _R.KIND_UNKNOWN: Answer("Not a command of this venue", 99),
    _R.SESSION_UNKNOWN: Answer("Unknown session", 99),
    _R.SESSION_EPOCH_WRONG: Answer("Session epoch is over", 99),
    _R.CLIENT_SEQ_GAP: Answer("Sequence gap", 99),
    _R.DOCUMENT_INVALID: Answer("Invalid document", 99),
    _R.OPERATOR_MISSING: Answer("Operator missing", 99),
    _R.NAME_TAKEN: Answer("Name taken", 99),
    _R.CAPACITY_REACHED: Answer("Capacity reached", 0, 2),
    _R.REFERENCE_UNKNOWN: Answer("Unknown reference", 99),
    _R.TICK_LOT_NOT_WHOLE: Answer("Tick and lot do not fit", 99),
    _R.ACCOUNT_UNKNOWN: Answer("Unknown account", 15),
    _R.ACCOUNT_SUSPENDED: Answer("Account is suspended", 0, 2),
    _R.INSTRUMENT_UNKNOWN: Answer("Unknown symbol", 1, mass_cancel=1),
    _R.ASSET_UNKNOWN: Answer("Unknown asset", 99),
    _R.ORDER_UNKNOWN: Answer("Unknown order", 5, 1),
    _R.OBLIGATION_UNKNOWN: Answer("Nothing is owed", 99),
    _R.SETTLEMENT_NOT_DUE: Answer("Not due yet", 99),
    _R.SIDE_INVALID: Answer("Side is not the order's", 11),
    _R.REPLACE_UNSUPPORTED: Answer("This order can only be canceled", 11, 2),
    _R.ORDER_TYPE_UNSUPPORTED: Answer("Order type not supported", 11, 2),
    _R.TIME_IN_FORCE_UNSUPPORTED: Answer("Time in force not supported for the order type", 11, 2),
    _R.SELF_TRADE_INVALID: Answer("Self-trade instruction not supported", 11, 2),
    _R.FLAGS_INVALID: Answer("Instructions contradict one another", 11, 2),
    _R.MARKET_PRE_OPEN: Answer("Market is not open yet", 2, 2),
    _R.MARKET_CANCEL_ONLY: Answer("Market takes cancels only", 2, 2),
    _R.MARKET_HALTED: Answer("Market is halted", 2, 2),
    _R.MARKET_CLOSED: Answer("Market is closed", 2, 2),
    _R.MARKET_OPEN: Answer("Opening auction is over", 4, 2),
    _R.MARKET_CALL: Answer("Not during an auction call", 2, 2),
    _R.EXPIRE_INVALID: Answer("Expiry is not after now", 8, 2),
    _R.PRICE_INVALID: Answer("Price below one tick, or where none belongs", 99),
    _R.PRICE_OFF_TICK: Answer("Price is off tick", 99),
    _R.PRICE_ABOVE_MAX: Answer("Price above the maximum", 3),
    _R.PRICE_OUTSIDE_COLLAR: Answer("Price too far from the market", 3),
    _R.COLLAR_MISSING: Answer("Market buy by quantity needs a price collar", 0, 2),
    _R.TRIGGER_INVALID: Answer("StopPx off tick or out of range", 99),
    _R.TRAIL_INVALID: Answer("Trail out of range", 99),
    _R.TRIGGER_SOURCE_MISSING: Answer("No price to trail from yet", 0, 2),
    _R.LINK_INVALID: Answer("Linked prices on the wrong sides, or linked quantity raised", 99),
    _R.TRIGGER_PASSED: Answer("StopPx has been passed already", 99),
    _R.QTY_INVALID: Answer("Quantity below one lot, or where none belongs", 13),
    _R.QTY_OFF_LOT: Answer("Quantity is off lot", 13),
    _R.QTY_BELOW_MIN: Answer("Quantity below the minimum", 13),
    _R.QTY_ABOVE_MAX: Answer("Quantity above the maximum", 3),
    _R.QTY_BELOW_FILLED: Answer("Quantity does not exceed what is filled", 13, 0),
    _R.DISPLAY_INVALID: Answer("MaxFloor off lot or above the quantity", 13),
    _R.MIN_QTY_INVALID: Answer("MinQty above the quantity", 13),
    _R.SCHEDULE_INVALID: Answer("Schedule does not fit the order", 99),
    _R.NOTIONAL_BELOW_MIN: Answer("Order value below the minimum", 99),
    _R.NOTIONAL_ABOVE_MAX: Answer("Order value above the maximum", 3),
    _R.AMOUNT_INVALID: Answer("CashOrderQty where none belongs", 13),
    _R.CLIENT_ID_DUPLICATE: Answer("Duplicate ClOrdID", 6, 6),
    _R.FUNDS_INSUFFICIENT: Answer("Insufficient funds", 3, 2),
    _R.POST_ONLY_CROSSES: Answer("Post-only order would trade", 99),
    _R.ORDERS_FULL: Answer("The venue is full", 0, 2),
    _R.WORK_QUEUE_FULL: Answer("Too many mass cancels are pending", 0, 2),
    _R.TRADE_UNKNOWN: Answer("Unknown trade", 99),
    _R.TRADE_BUSTED: Answer("Trade is busted", 99),
    _R.STATE_UNCHANGED: Answer("State unchanged", 99),
    _R.MARKET_BUSY: Answer("Market is uncrossing", 2, 2),
}

CANCELED: Final[dict[CancelReason, tuple[str, int]]] = {
    CancelReason.REQUESTED: ("", 0),
    CancelReason.IOC: ("Not filled at once", 0),
    CancelReason.FOK: ("Not filled whole at once", 0),
    CancelReason.BUDGET_SPENT: ("What is left of CashOrderQty buys nothing", 0),
    CancelReason.SELF_TRADE: ("Self-trade prevention", 8),
    CancelReason.FILL_LIMIT: ("Met too many orders", 8),
    CancelReason.MASS_CANCEL: ("Mass cancel", 0),
    CancelReason.KILL_SWITCH: ("Account stopped", 8),
    CancelReason.SESSION_LOST: ("Session lost", 7),
    CancelReason.EXPIRED: ("Expired", 0),
    CancelReason.LINKED: ("Linked order filled, triggered or canceled", 99),
    CancelReason.MIN_QTY: ("MinQty not filled at once", 0),
    CancelReason.FUNDS: ("What was released is no longer covered", 8),
}
"""Text and ExecRestatementReason (378; 0: none) of an order that ended other than by being filled."""
