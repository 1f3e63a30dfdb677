"""Every enum and reject code of the venue, declared once: what the numbers in rows mean.

`kk99.schema` gives them on beside the rows and bounds; the rest of the code reads them there. Each enum is gap-free
from its first member, and reject codes stand in the order in which the core checks them.
"""

from __future__ import annotations

import enum
from typing import Final, Self


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
    INDEX_PRICE = 11, "Tell the index price of an instrument or a market group, from outside the venue."
    MESSAGE_NOTED = (
        12,
        "A gateway took a numbered message that asks nothing of the core, or refused one: takes its number.",
    )
    ORDER_SUSPEND = 13, "Let a scheduled order release nothing for a while, or go on."
    SETTLE = 14, "Say that an obligation is settled, or has failed to."
    ASSET_DEFINE = 15, "Document: a new asset."
    FEE_SCHEDULE_DEFINE = 16, "Document: a new fee schedule, or new rates for one."
    INSTRUMENT_DEFINE = 17, "Document: a new spot instrument."
    INSTRUMENT_CHANGE = 18, "Document: new limits, collar or fee schedule of an instrument."
    ACCOUNT_DEFINE = 19, "Document: a new account."
    ACCOUNT_CHANGE = 20, "Document: a new tier or self-trade group of an account."
    SESSION_DEFINE = 21, "Document: a new session by name."
    INSTRUMENT_STATE = 22, "Operator: pre-open, open, cancel-only, halt, close a market or call an auction."
    ACCOUNT_STATE = 23, "Operator: suspend, resume or kill an account (kill also cancels all its orders)."
    REFERENCE_PRICE = 24, "Operator: set the price from which the collar is measured until the next trade."
    TRADE_BUST = 25, "Operator: undo a trade."
    TRADE_CORRECT = 26, "Operator: give a trade another price or a smaller quantity."
    TRADING_SCHEDULE_DEFINE = 27, "Document: a new trading schedule, or new phases for one."
    BREAKER_DEFINE = 28, "Document: the circuit breaker of an instrument."
    MARKET_GROUP_DEFINE = 29, "Document: a new market group, or new levels for one."
    IDENTITY_DEFINE = 30, "Document: who may log on, as what and for whom, or what he now may."
    ALGO_ORDER = 31, "Document: enter an order that is worked off by a schedule."
    SETTLEMENT_CALENDAR_DEFINE = 32, "Document: a new settlement calendar, or new dates for one."
    SETTLEMENT_PENALTY = 33, "Operator: pay an account for an obligation that failed to settle."


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
    ORDER_DETAILS = (
        16,
        "Follows ORDER_ACCEPTED of an order that waits, hides, expires or belongs to another: its other terms.",
    )
    ORDER_TRIGGERED = (
        17,
        "A dormant order is activated: it now has this type, time in force and price; `amount_units` is its hold.",
    )
    ORDER_REFRESHED = 18, "An iceberg shows `display_qty_lots` again, at the back of its price."
    ORDER_RESIZED = (
        19,
        "The order has another quantity because of the order it is linked to; `amount_units` is its hold.",
    )
    EXITS_REFUSED = 20, "A bracket's exits could not be armed; `reason` is a RejectCode."
    ORDER_SUSPENDED = 21, "The scheduled order is suspended (`state` 1) or goes on (0); `amount_units` is its hold."
    ORDER_RELEASED = (
        22,
        "The scheduled order released `qty_lots` as a child, which is gone; `leaves_lots` is what is left to release.",
    )
    INDEX_PRICE_CHANGED = 23, "The instrument's index price is `price_ticks`."
    MARKET_STATE_CHANGED = (
        24,
        "The venue itself put a market in state `state`: `state_reason` a StateReason, `call_purpose` a CallPurpose.",
    )
    AUCTION_INDICATIVE = (
        25,
        "A call auction would trade `qty_lots` at `price_ticks`, with a surplus of `leaves_lots` (above 0: to buy).",
    )
    AUCTION_UNCROSSED = 26, "A call auction's price is `price_ticks`, for `qty_lots`; its trades follow."
    BREAKER_TRIPPED = (
        27,
        "A circuit breaker halts the instrument, or market group `order_id`; `breaker_reason` is a BreakerReason.",
    )
    BREAKER_ALERT = 28, "A circuit breaker's threshold that halts nothing is passed."
    STRESS_CHANGED = 29, "The stress of a market is `measure`, 0 to 100; it was `threshold` when told last."
    GROUP_INDEX_CHANGED = (
        30,
        "Market group `order_id` has index `price_ticks`, last close `close_price_ticks`, fall `measure`.",
    )
    OBLIGATION_SETTLED = (
        31,
        "The venue paid what it owed an account for value date `order_id`: `amount_units` of `asset_id`.",
    )
    OBLIGATION_FAILED = (
        32,
        "What is owed for value date `order_id` did not settle; `price_ticks` says why.",
    )
    MESSAGE_NOTED = 33, "A gateway's numbered message was noted; fields as in the command."
    ASSET_DEFINED = 34, "Document: a new asset has its number."
    FEE_SCHEDULE_DEFINED = 35, "Document: a fee schedule has its number and rates."
    INSTRUMENT_DEFINED = 36, "Document: a new instrument has its number."
    INSTRUMENT_CHANGED = 37, "Document: an instrument as it now stands."
    ACCOUNT_DEFINED = 38, "Document: a new account has its number."
    ACCOUNT_CHANGED = 39, "Document: an account as it now stands."
    SESSION_DEFINED = 40, "Document: a new session has its number."
    TRADING_SCHEDULE_DEFINED = 41, "Document: a trading schedule has its number and phases."
    BREAKER_DEFINED = 42, "Document: the circuit breaker of an instrument has its number and thresholds."
    MARKET_GROUP_DEFINED = 43, "Document: a market group has its number and levels."
    IDENTITY_DEFINED = 44, "Document: an identity has its number, and stands as the document says."
    INSTRUMENT_STATE_CHANGED = 45, "Document (who and why): a market is in state `state`."
    ACCOUNT_STATE_CHANGED = 46, "Document (who and why): an account is in state `state`."
    REFERENCE_PRICE_CHANGED = 47, "Document (who and why): the collar is measured from `price_ticks`."
    TRADE_BUSTED = 48, "Document (who and why): the trade is undone; fields as in the TRADE."
    TRADE_CORRECTED = 49, "Document (who and why): the trade now has these fields."
    ALGO_SCHEDULED = (
        50,
        "Document: the schedule of order `order_id`, which ORDER_ACCEPTED tells next (an image: before).",
    )
    SETTLEMENT_CALENDAR_DEFINED = 51, "Document: a settlement calendar has its number and dates."
    PENALTY_PAID = 52, "Document (who and why): an account was paid `amount_units` for a failed obligation."
    BALANCE_IMAGE = 53, "In an image only: `amount_units` available and `notional_units` held of `asset_id`."
    OBLIGATION_IMAGE = (
        54,
        "In an image only: `amount_units` of `asset_id` owed for value date `order_id`; `state` 1: failed.",
    )
    ORDER_IMAGE = 55, "In an image only: a live order, in price-time order within its side, entered by `origin_seq`."
    SESSION_IMAGE = 56, "In an image only: session `order_id` is at `session_epoch` and last took `client_seq`."
    ASSET_IMAGE = 57, "In an image only: `amount_units` deposited and `notional_units` withdrawn of `asset_id`, ever."


class Side(Documented):
    """Side of an order, numbered as FIX tag 54."""

    BOTH = 0, "In a mass cancel: both sides."
    BUY = 1, "Buy."
    SELL = 2, "Sell."


class OrderType(Documented):
    """Order type, numbered as FIX tag 40."""

    MARKET = 1, "At any price within the collar; never rests."
    LIMIT = 2, "At the limit price or better."
    STOP = 3, "Becomes a market order when the price reaches the trigger from its better side."
    STOP_LIMIT = 4, "Becomes a limit order when the price reaches the trigger from its better side."
    MARKET_IF_TOUCHED = 5, "Becomes a market order when the price reaches the trigger from its worse side."
    LIMIT_IF_TOUCHED = 6, "Becomes a limit order when the price reaches the trigger from its worse side."
    TRAILING_STOP = 7, "A stop whose trigger follows the best price since entry at a distance."
    TRAILING_STOP_LIMIT = 8, "A stop-limit whose trigger follows the best price since entry at a distance."
    OCO = 9, "A limit order and a stop, of which one cancels the other."
    BRACKET = 10, "An entry, then a take-profit and a stop-loss for what it filled."
    ALGO = 11, "Worked off by a schedule, in parts that are IOC orders; entered by ALGO_ORDER alone."


class TimeInForce(Documented):
    """How long an order lives, numbered as FIX tag 59."""

    DAY = 0, "Until the market closes."
    GTC = 1, "Good till canceled."
    AT_OPEN = 2, "For the opening auction only."
    IOC = 3, "Immediate or cancel."
    FOK = 4, "Fill or kill."
    GTX = 5, "Reserved."
    GTD = 6, "Good till date: until `expire_time_ns`."
    AT_CLOSE = 7, "For the closing auction only."


class SelfTrade(Documented):
    """What an aggressor asks for when it meets an order of its own group."""

    ALLOW = 0, "Trade."
    CANCEL_NEWEST = 1, "Cancel the aggressor's remainder."
    CANCEL_OLDEST = 2, "Cancel the resting order and go on."
    CANCEL_BOTH = 3, "Cancel both."
    DECREMENT = 4, "Take the smaller quantity off both; the one at zero is canceled."


class TriggerSource(Documented):
    """Whose price sets off a dormant order."""

    LAST = 1, "The last trade."
    BID = 2, "The best bid, while the market is open."
    ASK = 3, "The best ask, while the market is open."
    INDEX = 4, "The index price."


class TrailUnit(Documented):
    """What a trailing order's `trail` counts."""

    TICKS = 1, "Ticks."
    BASIS_POINTS = 2, "Hundredths of a percent of the price that is followed, rounded up to a tick."


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

    PRE_OPEN = 0, "Not yet open: cancels, and orders for the opening auction."
    OPEN = 1, "Continuous trading."
    CANCEL_ONLY = 2, "Cancels only."
    HALTED = 3, "Trading is halted: cancels only."
    CLOSED = 4, "Closed: cancels only; day orders end."
    CALL = 5, "Auction call: orders rest without meeting."
    UNCROSSING = 6, "The auction trades at its one price."


class CallPurpose(Documented):
    """What an auction call is for."""

    OPENING = 1, "To open the market."
    CLOSING = 2, "To close the market."
    RECOVERY = 3, "To resume after a halt."


class StateReason(Documented):
    """Why the venue itself changed a market's state."""

    SCHEDULE = 1, "The trading schedule says so."
    UNCROSSED = 2, "The auction has traded."
    BREAKER = 3, "The circuit breaker halted it."
    RECOVERING = 4, "The recovery of a halt takes its next step."
    EXTENDED = 5, "The call of a recovery goes on, as its price is outside the static band."
    RECOVERED = 6, "The recovery of a halt is over."
    MARKET_WIDE = 7, "Its market group was halted."


class BreakerReason(Documented):
    """What a circuit breaker measured."""

    MOVE = 1, "The price of the last trade moved too far within the window."
    SPREAD = 2, "The spread was too wide for too long."
    STATIC_BAND = 3, "An order would have traded too far from the static reference."
    DYNAMIC_BAND = 4, "An order would have traded too far from the last trade."
    INDEX_SILENCE = 5, "No index price came for too long."
    VOLUME = 6, "More is traded than the average of the windows before allows."
    CORRELATION = 7, "It moves no longer with the other instrument."
    MARKET_WIDE = 8, "The index of its market group fell too far from its last close."


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
    EXPIRED = 10, "Its time in force ended."
    LINKED = 11, "The order that it is linked to was filled, triggered or canceled."
    MIN_QTY = 12, "Its minimum quantity could not be filled at once."
    FUNDS = 13, "What a child gave back to its scheduled order is no longer covered."


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
    INSTRUMENT_UNKNOWN = 13, "The instrument or market group does not exist."
    ASSET_UNKNOWN = 14, "The asset does not exist."
    ORDER_UNKNOWN = 15, "No live order has this id on this account."
    OBLIGATION_UNKNOWN = 16, "Nothing is owed to the account in this asset for this value date."
    SETTLEMENT_NOT_DUE = 17, "The value date is still to come."
    SIDE_INVALID = 18, "The side is neither buy nor sell (or differs from the order's)."
    REPLACE_UNSUPPORTED = 19, "This order can only be canceled, not replaced."
    ORDER_TYPE_UNSUPPORTED = 20, "The order type does not exist or is not yet supported."
    TIME_IN_FORCE_UNSUPPORTED = 21, "The time in force does not exist or is not yet supported for the type."
    SELF_TRADE_INVALID = 22, "The self-trade instruction does not exist."
    FLAGS_INVALID = 23, "Flags are unknown, contradict one another, or a reserved field is not zero."
    MARKET_PRE_OPEN = 24, "The market is not open yet."
    MARKET_CANCEL_ONLY = 25, "The market takes cancels only."
    MARKET_HALTED = 26, "The market is halted."
    MARKET_CLOSED = 27, "The market is closed."
    MARKET_OPEN = 28, "The order is for the opening auction, which is over."
    MARKET_CALL = 29, "The auction call takes only what can rest or wait for its end."
    EXPIRE_INVALID = 30, "The expiry is not after now (or the start of a schedule), or that start is before now."
    PRICE_INVALID = 31, "A limit price below one tick, or a price where none belongs."
    PRICE_OFF_TICK = 32, "The price is not a multiple of the instrument's tick step."
    PRICE_ABOVE_MAX = 33, "The price is above the instrument's maximum."
    PRICE_OUTSIDE_COLLAR = 34, "The price is too far from the reference price."
    COLLAR_MISSING = (
        35,
        "What becomes a market buy by quantity needs a collar (and a reference price, if it trades now).",
    )
    TRIGGER_INVALID = 36, "The trigger's source does not exist, or its price is off tick or out of range."
    TRAIL_INVALID = 37, "The trail is below 1, over 100 %, over the highest price, or of no known unit."
    TRIGGER_SOURCE_MISSING = 38, "The trigger's source has no price to trail from."
    LINK_INVALID = 39, "Linked prices stand on the wrong sides of one another, or a linked quantity would rise."
    TRIGGER_PASSED = 40, "The price has passed the trigger already."
    QTY_INVALID = 41, "The quantity is zero, negative, or given where none belongs."
    QTY_OFF_LOT = 42, "The quantity is not a multiple of the instrument's lot step."
    QTY_BELOW_MIN = 43, "The quantity is below the instrument's minimum."
    QTY_ABOVE_MAX = 44, "The quantity is above the instrument's maximum."
    QTY_BELOW_FILLED = 45, "The new quantity does not exceed what is filled."
    DISPLAY_INVALID = (
        46,
        "The display or refill is off lot, negative or above the quantity, or a refill has no display.",
    )
    MIN_QTY_INVALID = 47, "The minimum quantity is negative or above the quantity."
    SCHEDULE_INVALID = (
        48,
        "Offsets do not rise, the last is not before the end, or the slices do not sum to the quantity.",
    )
    NOTIONAL_BELOW_MIN = 49, "Price times quantity (or the budget) is below the instrument's minimum."
    NOTIONAL_ABOVE_MAX = 50, "Price times quantity (or the budget) is above the instrument's maximum."
    AMOUNT_INVALID = 51, "The amount is zero, negative, too large, or given where none belongs."
    CLIENT_ID_DUPLICATE = 52, "The account has a live or recently ended order with this client order id."
    FUNDS_INSUFFICIENT = 53, "The account's available balance does not cover the hold, debit or reversal."
    POST_ONLY_CROSSES = 54, "The order is post-only and would trade."
    ORDERS_FULL = (
        55,
        "ORDERS_MAX - 1 live orders, ALGOS_MAX scheduled, LEVELS_MAX levels; no room for balances or what is owed.",
    )
    WORK_QUEUE_FULL = 56, "Too many mass cancels are pending; try again."
    TRADE_UNKNOWN = 57, "No trade of this id within the bust window."
    TRADE_BUSTED = 58, "The trade is already busted."
    STATE_UNCHANGED = (
        59,
        "The market, account, order or obligation is in that state already, or it does not exist.",
    )
    MARKET_BUSY = 60, "The market is uncrossing; try again when it has ended."
