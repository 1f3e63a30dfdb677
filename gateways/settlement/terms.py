"""The enums of the books and records: what the small numbers in the tables mean, beside those of `kk99.codes`.

Invariant: a number, once written, keeps its meaning: tables hold them for years.
"""

from __future__ import annotations

from typing import Final

from kk99.codes import Documented

OUTSIDE_ACCOUNT: Final = 0
"""Where deposits come from and withdrawals go to; its balance of an asset is withdrawals less deposits."""
CANDLE_INTERVALS_S: Final = (1, 60, 300, 900, 3_600, 86_400)
SECOND_NS: Final = 1_000_000_000
DAY_S: Final = 86_400
DAY_NS: Final = DAY_S * SECOND_NS


class OrderState(Documented):
    """How an order stands."""

    OPEN = 1, "Live: in a book, waiting for its trigger, or waiting for an auction."
    FILLED = 2, "Ended with nothing left to fill."
    CANCELED = 3, "Ended otherwise; the reason is a CancelReason."


class TradeState(Documented):
    """How a trade, or one side of it, stands."""

    GOOD = 1, "As it happened."
    CORRECTED = 2, "An operator gave it another price or a smaller quantity; these are the new ones."
    BUSTED = 3, "An operator undid it."


class Liquidity(Documented):
    """Which part an order had in a trade."""

    TAKER = 1, "It came in and took."
    MAKER = 2, "It rested and was taken."


class LedgerCause(Documented):
    """What happened that moved a balance."""

    TRADE = 1, "A trade."
    BUST = 2, "A trade was undone."
    CORRECTION = 3, "A trade got another price or quantity."
    DEPOSIT = 4, "Money or assets came in."
    WITHDRAWAL = 5, "Money or assets went out."
    SETTLEMENT = 6, "What was owed was paid, out of CLEARING."
    PENALTY = 7, "The venue paid for an obligation that failed to settle."


class EntryKind(Documented):
    """What an entry of the ledger is for."""

    PRINCIPAL = 1, "What was bought, sold, paid, received, deposited or withdrawn."
    FEE = 2, "A fee, a rebate, or the venue's part of one."
    PENALTY = 3, "A penalty for an obligation that failed to settle."


class ObligationState(Documented):
    """How the delivery of what trades left owed stands."""

    PENDING = 1, "Open, and nothing was said of it; once its value date has come, it is due."
    DUE = 2, "Open, and its value date has come. Made by the clock when it is asked for: no row has it."
    SETTLED = 3, "Paid out of CLEARING."
    FAILED = 4, "Open, and said to have failed; it can still be settled."
