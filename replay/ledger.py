"""What events did to balances: each as postings that sum to zero, or to what came in and went out.

Invariants, each a test:
- the postings of an account, summed, are its balance (available and held), and those of a trade sum to zero per asset;
- names and sizes come from the log's own events, never from outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kk99 import schema
from kk99.errors import InputError
from kk99.schema import EventKind, Side
from replay import documents

if TYPE_CHECKING:
    from kk99 import batch

LEDGER_KINDS: Final = (
    EventKind.DEPOSITED, EventKind.WITHDRAWN, EventKind.TRADE, EventKind.TRADE_BUSTED, EventKind.TRADE_CORRECTED,
)  # fmt: skip
TRADE_KINDS: Final = LEDGER_KINDS[2:]


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
        }
        self._asset_ids: dict[str, int] = {}

    def observe(self, events: batch.Events) -> None:
        """Take in the documents among the events."""
        rows = events.rows
        for row in rows[documents.has_document(rows)]:
            kind = int(row["kind"])
            if kind == EventKind.ASSET_DEFINED:
                fields = documents.fields_of(row, events.tail)
                self.assets[int(row["asset_id"])] = fields
                self._asset_ids[fields["name"]] = int(row["asset_id"])
            elif kind in {EventKind.INSTRUMENT_DEFINED, EventKind.INSTRUMENT_CHANGED}:
                self.instruments[int(row["instrument_id"])] = documents.fields_of(row, events.tail)
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
    """Events to postings; remembers the trades of the bust window, since a correction posts a difference."""

    def __init__(self, names: Names) -> None:
        """Look names up in `names`, which sees every event first."""
        self._names = names
        self._trades: dict[int, np.void] = {}

    def of(self, row: np.void) -> list[Posting]:
        """Return the postings of one event of `LEDGER_KINDS`; each trade must come before what changes it."""
        match int(row["kind"]):
            case EventKind.DEPOSITED:
                return _transfer(row, int(row["amount_units"]), "deposit")
            case EventKind.WITHDRAWN:
                return _transfer(row, -int(row["amount_units"]) - int(row["fee_units"]), "withdrawal")
            case EventKind.TRADE:
                self._remember(row)
                return self._trade(row, 1, "")
            case EventKind.TRADE_BUSTED:
                return self._trade(row, -1, "busted: ")
            case EventKind.TRADE_CORRECTED:
                before = self._trades[int(row["trade_id"])]
                self._remember(row)
                return self._trade(before, -1, "correction, was: ") + self._trade(row, 1, "correction, is: ")
            case kind:
                raise AssertionError(f"event kind {kind} posts nothing")

    def _remember(self, row: np.void) -> None:
        self._trades[int(row["trade_id"])] = row.copy()
        while len(self._trades) > schema.TRADE_WINDOW + 1:
            del self._trades[next(iter(self._trades))]

    def _trade(self, row: np.void, sign: int, prefix: str) -> list[Posting]:
        base, quote, lot_units, tick_lot_units = self._names.trade_sizes(int(row["instrument_id"]))
        taker = (int(row["account_id"]), int(row["fee_units"]))
        maker = (int(row["contra_account_id"]), int(row["contra_fee_units"]))
        (buyer, buyer_fee), (seller, seller_fee) = (taker, maker) if row["side"] == Side.BUY else (maker, taker)
        qty, burned = int(row["qty_lots"]), int(row["burned_units"])
        notional = int(row["price_ticks"]) * qty * tick_lot_units
        made = [
            Posting(buyer, base, sign * qty * lot_units, prefix + "bought"),
            Posting(buyer, quote, -sign * notional, prefix + "paid"),
            Posting(buyer, quote, -sign * buyer_fee, prefix + "fee"),
            Posting(seller, base, -sign * qty * lot_units, prefix + "sold"),
            Posting(seller, quote, sign * notional, prefix + "received"),
            Posting(seller, quote, -sign * seller_fee, prefix + "fee"),
            Posting(schema.FEES_ACCOUNT, quote, sign * (buyer_fee + seller_fee - burned), prefix + "fees"),
            Posting(schema.BURNED_ACCOUNT, quote, sign * burned, prefix + "burned"),
        ]
        return [posting for posting in made if posting.amount_units]


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
