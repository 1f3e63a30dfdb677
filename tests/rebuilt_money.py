"""Balances as they are rebuilt from events: what each account has, and what trades that settle later left owed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from kk99 import schema
from kk99.schema import EventKind, Side

if TYPE_CHECKING:
    from tests.rebuilt_book import Instrument

Event = dict[str, Any]
DAY_NS = 86_400 * 10**9


class Money:
    """What accounts have and are owed, and what ever came in and went out; nothing at first."""

    def __init__(self) -> None:
        self.available: defaultdict[tuple[int, int], int] = defaultdict(int)
        self.held: defaultdict[tuple[int, int], int] = defaultdict(int)
        self.deposited: defaultdict[int, int] = defaultdict(int)
        self.withdrawn: defaultdict[int, int] = defaultdict(int)
        self.calendars: dict[str, dict[str, Any]] = {}
        self.owed: dict[tuple[int, int, int], int] = {}
        """By account, asset and value date."""
        self.failed: set[tuple[int, int, int]] = set()

    def balances(self) -> dict[tuple[int, int], tuple[int, int]]:
        """(available, held) of each (account, asset) that has either."""
        keys = sorted(self.available.keys() | self.held.keys())
        both = {key: (self.available[key], self.held[key]) for key in keys}
        return {key: pair for key, pair in both.items() if pair != (0, 0)}

    def transfer(self, event: Event, amount: int) -> None:
        """A deposit or withdrawal: the account's amount, and the fee to where it goes."""
        asset, burned = event["asset_id"], event["contra_fee_units"]
        self.available[event["account_id"], asset] += amount
        self.available[schema.BURNED_ACCOUNT, asset] += burned
        self.available[schema.FEES_ACCOUNT, asset] += event["fee_units"] - burned

    def value_date(self, event: Event, instrument: Instrument) -> int:
        """When a trade settles, 0 if at once."""
        days, calendar = instrument.document["settlement_days"], instrument.document["settlement_calendar"]
        if days == 0 or len(self.owed) + 2 >= schema.OBLIGATIONS_MAX:
            return 0
        dates = set(self.calendars[calendar]["dates"]) if calendar else set()
        date, left = event["time_ns"] // DAY_NS, days
        while True:
            is_business = date in dates or not dates or date > max(dates)
            if is_business and left == 0:
                return int(date)
            left -= is_business
            date += 1

    def post(self, trade: Event, instrument: Instrument, sign: int, *, is_new: bool = False) -> None:
        """Post a trade's money, or (sign -1) post it back: what a side receives, to what it is owed while it is."""
        notional = trade["price_ticks"] * trade["qty_lots"] * trade["tick_lot_units"]
        base_units = trade["qty_lots"] * instrument.document["lot_units"]
        for prefix, is_buyer in (("", trade["side"] == Side.BUY), ("contra_", trade["side"] == Side.SELL)):
            account, fee = trade[prefix + "account_id"], trade[prefix + "fee_units"]
            base, quote = (account, instrument.base), (account, instrument.quote)
            received = (base, base_units) if is_buyer else (quote, notional - fee)
            paid = (quote, notional + fee) if is_buyer else (base, base_units)
            self.available[paid[0]] -= sign * paid[1]
            owed = (*received[0], trade["value_date"])
            if trade["value_date"] and is_new:
                self.owed.setdefault(owed, 0)
            if owed in self.owed:
                self.owed[owed] += sign * received[1]
                self.available[schema.CLEARING_ACCOUNT, owed[1]] += sign * received[1]
            else:
                self.available[received[0]] += sign * received[1]
        collected = trade["fee_units"] + trade["contra_fee_units"]
        self.available[schema.BURNED_ACCOUNT, instrument.quote] += sign * trade["burned_units"]
        self.available[schema.FEES_ACCOUNT, instrument.quote] += sign * (collected - trade["burned_units"])

    def of_obligation(self, event: Event) -> None:
        """What is owed was settled or failed to, or a penalty was paid for it."""
        account, asset, amount = event["account_id"], event["asset_id"], event["amount_units"]
        owed = account, asset, event["order_id"]
        if event["kind"] == EventKind.OBLIGATION_FAILED:
            assert self.owed[owed] == amount
            self.failed.add(owed)
            return
        payer = schema.FEES_ACCOUNT
        if event["kind"] == EventKind.OBLIGATION_SETTLED:
            payer = schema.CLEARING_ACCOUNT
            assert self.owed.pop(owed) == amount
            self.failed.discard(owed)
        self.available[payer, asset] -= amount
        self.available[account, asset] += amount
