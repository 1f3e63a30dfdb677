"""Trades that settle later: value dates, what the venue owes by them, and how that is settled, fails, or is taken back.

What is owed lies in the clearing account from the moment of the trade. Unlike the core, which keeps obligations in a
hash table, the model looks them up in a dictionary and finds a value date by looking through the dates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import CommandKind, EventKind, RejectCode, Side
from tests.naive.clock import DAY_NS
from tests.naive.fields import Document, pack
from tests.naive.records import Obligation, RejectError, refuse_if

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.naive.records import Instrument, Key, Trade
    from tests.naive.venue import Command, Venue

Owed = tuple[int, int, int]
"""(account, asset, value date) of an obligation."""
FAILED = 2
"""The `state` by which SETTLE says that an obligation was not settled."""


class Obligations:
    """What is owed: slots from 1, of which the last freed is used first."""

    def __init__(self) -> None:
        self.slots: list[Obligation | None] = [None]
        self.free: list[int] = []
        self.open: dict[Owed, int] = {}

    @property
    def takes_orders(self) -> bool:
        """Whether what orders may come to be owed still has room beside what rests."""
        return len(self.open) < schema.OBLIGATIONS_MAX - 8 * schema.FILLS_PER_COMMAND_MAX

    @property
    def takes_trade(self) -> bool:
        """Whether a trade can open an obligation for each of its parties."""
        return len(self.open) + 2 <= schema.OBLIGATIONS_MAX - 1

    def find(self, owed: Owed) -> Obligation | None:
        """The open obligation, None if there is none."""
        return self.slots[self.open[owed]] if owed in self.open else None

    def add(self, owed: Owed, amount: int) -> None:
        """Owe so much more, by an obligation that is opened if need be."""
        if owed not in self.open:
            if not self.free:
                self.slots.append(None)
                self.free.append(len(self.slots) - 1)
            self.open[owed] = self.free.pop()
            self.slots[self.open[owed]] = Obligation(*owed)
        obligation = self.find(owed)
        assert obligation is not None
        obligation.receivable_units += amount
        assert obligation.receivable_units >= 0, "less than nothing is owed"

    def close(self, owed: Owed) -> None:
        """Owe nothing any more."""
        slot = self.open.pop(owed)
        self.slots[slot] = None
        self.free.append(slot)


# Dates ----------------------------------------------------------------------------------------------------------------


def business_date(dates: Sequence[int], date: int) -> int:
    """The first business date at or after a date: one of the calendar's, after its last one every day."""
    return min((one for one in dates if one >= date), default=date)


def value_date_after(dates: Sequence[int], date: int, days: int) -> int:
    """The value date of a trade made on a date: so many business dates after the first one at or after it."""
    found = business_date(dates, date)
    for _ in range(days):
        found = business_date(dates, found + 1)
    return found


def value_date_of(venue: Venue, instrument: Instrument) -> int:
    """When a trade made now settles; 0: at once."""
    days, calendar = instrument.document["settlement_days"], instrument.document["settlement_calendar"]
    if days == 0 or not venue.obligations.takes_trade:
        return 0
    dates = venue.calendars[calendar]["dates"] if calendar else ()
    return value_date_after(dates, venue.time_ns // DAY_NS, days)


# Trades ---------------------------------------------------------------------------------------------------------------


def receivables(trade: Trade) -> dict[Key, int]:
    """What a trade owes its parties: the seller the money less its fee, the buyer what was bought."""
    taker = trade.account_id, trade.fee_units
    maker = trade.contra_account_id, trade.contra_fee_units
    (seller, paid), (buyer, _) = (taker, maker) if trade.side == Side.SELL else (maker, taker)
    return {(seller, trade.quote): trade.notional_units - paid, (buyer, trade.base): trade.qty_lots * trade.lot_units}


def owe(venue: Venue, trade: Trade) -> None:
    """Take what a trade of today credited to its parties into the clearing account, and owe it to them."""
    for (account, asset), amount in receivables(trade).items():
        venue.credit(account, asset, -amount)
        venue.credit(schema.CLEARING_ACCOUNT, asset, amount)
        venue.obligations.add((account, asset, trade.value_date), amount)


def still_owed(venue: Venue, old: Trade, new: Trade) -> dict[Owed, int]:
    """By how much a revised trade changes the obligations that its parties' credits went to and that are still open."""
    if old.value_date == 0:
        return {}
    before = receivables(old)
    after = dict.fromkeys(before, 0) if new.is_busted else receivables(new)
    changes = {(*key, old.value_date): after[key] - before[key] for key in before}
    return {owed: change for owed, change in changes.items() if owed in venue.obligations.open}


# Commands -------------------------------------------------------------------------------------------------------------


def obligation_of(venue: Venue, command: Command) -> Obligation:
    """The obligation that a command names, or ACCOUNT_UNKNOWN, ASSET_UNKNOWN, OBLIGATION_UNKNOWN."""
    account, asset = venue.account(command["account_id"]), venue.asset(command["asset_id"])
    obligation = venue.obligations.find((account.number, asset.number, command["target_lo"]))
    if obligation is None:
        raise RejectError(RejectCode.OBLIGATION_UNKNOWN)
    return obligation


def fields_of(obligation: Obligation) -> dict[str, int]:
    """The fields of an event that say which obligation it is about."""
    return {
        "account_id": obligation.account_id,
        "asset_id": obligation.asset_id,
        "order_id": obligation.value_date,
    }


def settle(venue: Venue, command: Command) -> None:
    """SETTLE."""
    obligation, state = obligation_of(venue, command), command["state"]
    refuse_if(venue.time_ns // DAY_NS < obligation.value_date, RejectCode.SETTLEMENT_NOT_DUE)
    amount = obligation.receivable_units
    refuse_if(command["amount_units"] != amount, RejectCode.AMOUNT_INVALID)
    is_again = state == FAILED and obligation.has_failed
    refuse_if(state not in {1, FAILED} or is_again, RejectCode.STATE_UNCHANGED)
    if state == FAILED:
        obligation.has_failed = True
        more = {"price_ticks": command["price_ticks"]}
        venue.emit(EventKind.OBLIGATION_FAILED, **fields_of(obligation), amount_units=amount, **more)
        return
    venue.obligations.close(obligation.key)
    venue.credit(schema.CLEARING_ACCOUNT, obligation.asset_id, -amount)
    venue.credit(obligation.account_id, obligation.asset_id, amount)
    venue.emit(EventKind.OBLIGATION_SETTLED, **fields_of(obligation), amount_units=amount)


def settlement_penalty(venue: Venue, command: Command, document: Document) -> None:
    """SETTLEMENT_PENALTY."""
    obligation, amount = obligation_of(venue, command), command["amount_units"]
    refuse_if(amount < 1, RejectCode.AMOUNT_INVALID)
    fees = schema.FEES_ACCOUNT, obligation.asset_id
    refuse_if(venue.available[fees] < amount, RejectCode.FUNDS_INSUFFICIENT)
    refuse_if(not obligation.has_failed, RejectCode.STATE_UNCHANGED)
    venue.credit(*fees, -amount)
    venue.credit(obligation.account_id, obligation.asset_id, amount)
    venue.emit(EventKind.PENALTY_PAID, **fields_of(obligation), amount_units=amount, document=pack(document))


# What must hold -------------------------------------------------------------------------------------------------------


def check_obligations(venue: Venue) -> None:
    """All receivables of an asset are the clearing account's balance, none of it held; slots and keys agree."""
    owed: dict[int, int] = {}
    for slot, obligation in enumerate(venue.obligations.slots):
        assert (obligation is None) == (slot == 0 or slot in venue.obligations.free)
        if obligation is not None:
            assert venue.obligations.open[obligation.key] == slot
            assert obligation.receivable_units >= 0
            owed[obligation.asset_id] = owed.get(obligation.asset_id, 0) + obligation.receivable_units
    assert len(venue.obligations.open) + len(venue.obligations.free) + 1 == len(venue.obligations.slots)
    for asset in venue.assets:
        clearing = schema.CLEARING_ACCOUNT, asset
        assert venue.available[clearing] == owed.get(asset, 0), f"asset {asset}: what is owed is not in clearing"
        assert venue.held[clearing] == 0


PENALTIES: dict[int, Callable[[Venue, Command, Document], None]] = {
    CommandKind.SETTLEMENT_PENALTY: settlement_penalty,
}
