"""What events did to balances: each as postings that sum to zero, or to what came in and went out.

Invariants, each a test:
- the postings of an account, summed, are its balance (available and held), and those of a trade sum to zero per asset;
- names and sizes come from the log's own events, never from outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kk99 import kinds, schema
from kk99.errors import InputError
from kk99.schema import EventKind, Side
from replay import documents
from replay.cycles import Cycles, date_text

if TYPE_CHECKING:
    from kk99 import batch

LEDGER_KINDS: Final = (
    EventKind.DEPOSITED, EventKind.WITHDRAWN, EventKind.OBLIGATION_SETTLED, EventKind.PENALTY_PAID,
    EventKind.TRADE, EventKind.TRADE_BUSTED, EventKind.TRADE_CORRECTED,
)  # fmt: skip
TRADE_KINDS: Final = LEDGER_KINDS[-3:]
Owed = tuple[int, int, int]
"""Account, asset and value date (days since 1970) of what is owed."""


class Posting(NamedTuple):
    """`amount_units` of an asset to (or, negative, from) an account, and what it was for."""

    account_id: int
    asset_id: int
    amount_units: int
    text: str


class Names:
    """The assets, instruments and accounts that the events so far defined."""

    def __init__(self) -> None:
        """Know the venue's own accounts only."""
        self.assets: dict[int, dict[str, Any]] = {}
        self.instruments: dict[int, dict[str, Any]] = {}
        self.accounts: dict[int, str] = {
            schema.FEES_ACCOUNT: "FEES",
            schema.BURNED_ACCOUNT: "BURNED",
            schema.INSURANCE_ACCOUNT: "INSURANCE",
            schema.CLEARING_ACCOUNT: "CLEARING",
        }
        self.cycles = Cycles()
        self._asset_ids: dict[str, int] = {}

    def observe(self, events: batch.Events) -> None:
        """Take in the documents among the events."""
        rows = events.rows
        for row in rows[kinds.has_document(rows)]:
            kind = int(row["kind"])
            if kind == EventKind.ASSET_DEFINED:
                fields = documents.fields_of(row, events.tail)
                self.assets[int(row["asset_id"])] = fields
                self._asset_ids[fields["name"]] = int(row["asset_id"])
            elif kind in {EventKind.INSTRUMENT_DEFINED, EventKind.INSTRUMENT_CHANGED}:
                fields = self.instruments[int(row["instrument_id"])] = documents.fields_of(row, events.tail)
                self.cycles.note_instrument(row, fields["settlement_days"], fields["settlement_calendar"])
            elif kind == EventKind.SETTLEMENT_CALENDAR_DEFINED:
                fields = documents.fields_of(row, events.tail)
                self.cycles.note_calendar(row, fields["name"], fields["dates"])
            elif kind == EventKind.ACCOUNT_DEFINED:
                self.accounts[int(row["account_id"])] = documents.fields_of(row, events.tail)["name"]

    def account_id(self, text: str) -> int:
        """Return the account of a name or, failing that, of a number; InputError if there is none."""
        for number, name in self.accounts.items():
            if name == text:
                return number
        if text.isdecimal() and int(text) in self.accounts:
            return int(text)
        raise InputError(f"no account is named or numbered {text!r}")

    def instrument_id(self, text: str) -> int:
        """Return the instrument of a name or, failing that, of a number; InputError if there is none."""
        for number, document in self.instruments.items():
            if document["name"] == text:
                return number
        if text.isdecimal() and int(text) in self.instruments:
            return int(text)
        raise InputError(f"no instrument is named or numbered {text!r}")

    def asset_name(self, asset_id: int) -> str:
        """Return an asset's name."""
        return str(self.assets[asset_id]["name"]) if asset_id in self.assets else str(asset_id)

    def scale(self, asset_id: int) -> int:
        """Return the decimal places of an asset."""
        return int(self.assets[asset_id]["scale"]) if asset_id in self.assets else 0

    def trade_sizes(self, instrument_id: int) -> tuple[int, int, int, int]:
        """Return base asset, quote asset, units of base a lot, units of quote a tick and lot."""
        instrument = self.instruments[instrument_id]
        base, quote = self._asset_ids[instrument["base"]], self._asset_ids[instrument["quote"]]
        lot_units = int(instrument["lot_units"])
        return base, quote, lot_units, int(instrument["tick_units"]) * lot_units // 10 ** self.scale(base)


class Postings:
    """Events to postings; remembers what they need of those before.

    That is the trades of the bust window, with their value dates, since a correction posts a difference; and what is
    owed, since a bust takes back from that what it can.
    """

    def __init__(self, names: Names) -> None:
        """Look names up in `names`, which sees every event first."""
        self.owed: dict[Owed, int] = {}
        """What trades that settle later left owed, of the accounts all of whose events were taken."""
        self._names = names
        self._trades: dict[int, tuple[np.void, int]] = {}

    def of(self, row: np.void) -> list[Posting]:
        """Return the postings of one event of `LEDGER_KINDS`; each trade must come before what changes it."""
        match int(row["kind"]):
            case EventKind.DEPOSITED:
                return _transfer(row, int(row["amount_units"]), "deposit")
            case EventKind.WITHDRAWN:
                return _transfer(row, -int(row["amount_units"]) - int(row["fee_units"]), "withdrawal")
            case EventKind.OBLIGATION_SETTLED:
                return self._settled(row)
            case EventKind.PENALTY_PAID:
                text = f"penalty, {_value_date(row)}"
                return _between(schema.FEES_ACCOUNT, int(row["account_id"]), row, text)
            case EventKind.TRADE:
                date = self._names.cycles.value_date(row)
                self._remember(row, date)
                if date:
                    self.owed |= {owed: self.owed.get(owed, 0) for owed in self._owed_by(row, date)}
                return self._trade(row, date, 1, "")
            case EventKind.TRADE_BUSTED:
                return self._trade(row, self._trades[int(row["trade_id"])][1], -1, "busted: ")
            case EventKind.TRADE_CORRECTED:
                before, date = self._trades[int(row["trade_id"])]
                self._remember(row, date)
                undone = self._trade(before, date, -1, "correction, was: ")
                return undone + self._trade(row, date, 1, "correction, is: ")
            case kind:
                raise AssertionError(f"event kind {kind} posts nothing")

    def _remember(self, row: np.void, date: int) -> None:
        self._trades[int(row["trade_id"])] = row.copy(), date
        while len(self._trades) > schema.TRADE_WINDOW + 1:
            del self._trades[next(iter(self._trades))]

    def _owed_by(self, row: np.void, date: int) -> tuple[Owed, Owed]:
        """Return what a trade owes its seller and its buyer."""
        base, quote, *_ = self._names.trade_sizes(int(row["instrument_id"]))
        taker, maker = int(row["account_id"]), int(row["contra_account_id"])
        buyer, seller = (taker, maker) if row["side"] == Side.BUY else (maker, taker)
        return (seller, quote, date), (buyer, base, date)

    def _settled(self, row: np.void) -> list[Posting]:
        account, asset = int(row["account_id"]), int(row["asset_id"])
        self.owed.pop((account, asset, int(row["order_id"])), None)
        return _between(schema.CLEARING_ACCOUNT, account, row, f"settled, {_value_date(row)}")

    def _received(self, owed: Owed, prefix: str, *parts: tuple[int, str]) -> list[Posting]:
        """Return the postings of what a side receives: its own, or CLEARING's while it is owed."""
        account, asset, date = owed
        if owed not in self.owed:
            return [Posting(account, asset, amount, prefix + text) for amount, text in parts]
        amount = sum(part for part, _ in parts)
        self.owed[owed] += amount
        text = f"{prefix}owed to {self._names.accounts[account]}, value date {date_text(date)}"
        return [Posting(schema.CLEARING_ACCOUNT, asset, amount, text)]

    def _trade(self, row: np.void, date: int, sign: int, prefix: str) -> list[Posting]:
        base, quote, lot_units, tick_lot_units = self._names.trade_sizes(int(row["instrument_id"]))
        taker = (int(row["account_id"]), int(row["fee_units"]))
        maker = (int(row["contra_account_id"]), int(row["contra_fee_units"]))
        (buyer, buyer_fee), (seller, seller_fee) = (taker, maker) if row["side"] == Side.BUY else (maker, taker)
        qty, burned = int(row["qty_lots"]), int(row["burned_units"])
        notional = int(row["price_ticks"]) * qty * tick_lot_units
        to_seller, to_buyer = self._owed_by(row, date)
        made = [
            *self._received(to_buyer, prefix, (sign * qty * lot_units, "bought")),
            Posting(buyer, quote, -sign * notional, prefix + "paid"),
            Posting(buyer, quote, -sign * buyer_fee, prefix + "fee"),
            Posting(seller, base, -sign * qty * lot_units, prefix + "sold"),
            *self._received(to_seller, prefix, (sign * notional, "received"), (-sign * seller_fee, "fee")),
            Posting(schema.FEES_ACCOUNT, quote, sign * (buyer_fee + seller_fee - burned), prefix + "fees"),
            Posting(schema.BURNED_ACCOUNT, quote, sign * burned, prefix + "burned"),
        ]
        return [posting for posting in made if posting.amount_units]


def _between(payer: int, account: int, row: np.void, text: str) -> list[Posting]:
    """Return the postings of an amount that the venue pays an account."""
    asset, amount = int(row["asset_id"]), int(row["amount_units"])
    made = [Posting(account, asset, amount, text), Posting(payer, asset, -amount, text)]
    return [posting for posting in made if posting.amount_units]


def _value_date(row: np.void) -> str:
    return f"value date {date_text(int(row['order_id']))}"


def _transfer(row: np.void, amount_units: int, text: str) -> list[Posting]:
    asset, fee, burned = int(row["asset_id"]), int(row["fee_units"]), int(row["contra_fee_units"])
    made = [
        Posting(int(row["account_id"]), asset, amount_units, text),
        Posting(schema.FEES_ACCOUNT, asset, fee - burned, f"{text} fee"),
        Posting(schema.BURNED_ACCOUNT, asset, burned, f"{text} fee burned"),
    ]
    return [posting for posting in made if posting.amount_units]


def touching(rows: batch.Rows, account_id: int) -> batch.Rows:
    """Return the event rows that may post to an account, in order."""
    posting = np.isin(rows["kind"], LEDGER_KINDS)
    if account_id >= schema.VENUE_ACCOUNTS:
        trade = np.isin(rows["kind"], TRADE_KINDS)
        posting &= (rows["account_id"] == account_id) | (trade & (rows["contra_account_id"] == account_id))
    found: batch.Rows = rows[posting]
    return found
