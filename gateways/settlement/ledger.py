"""What events did to balances: entries of a double-entry ledger, and the balances that they come to.

Entries of an event, by number:

    TRADE         0 buyer +base    1 buyer -cost    2 buyer -fee    3 seller -base    4 seller +cost    5 seller -fee
                  6 FEES +both fees less what is burned    7 BURNED +that
    TRADE_BUSTED  the same, all signs turned
    TRADE_CORRECTED  the trade as it was, signs turned, then 8 to 15: as it is now
    DEPOSITED     0 account +gross    1 account -fee    2 OUTSIDE -gross    3 FEES    4 BURNED
    WITHDRAWN     0 account -amount   1 account -fee    2 OUTSIDE +amount   3 FEES    4 BURNED
    OBLIGATION_SETTLED  0 account +amount    1 CLEARING -amount
    PENALTY_PAID        0 account +amount    1 FEES -amount

In 0, 4 and 5 of a trade that settles later stands CLEARING, and so in what a bust or correction takes back and gives
as long as that is owed.

Invariants, each a test: entries of 0 are not written; the entries of an event sum to 0 per asset; the balance of an
account is the venue's own, to the unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gateways.settlement import rows as rows_of
from gateways.settlement import tables
from gateways.settlement.rows import Write
from gateways.settlement.terms import DAY_NS, OUTSIDE_ACCOUNT, EntryKind, LedgerCause
from kk99 import schema
from kk99.schema import EventKind, Side

if TYPE_CHECKING:
    from gateways.settlement.reference import Sizes
    from gateways.settlement.rows import Rows, Words

CORRECTED_FROM: Final = 8
"""The number of the first entry of a correction that is of the trade as it now is."""
_ENTRY: Final = np.dtype([("position", np.int64), *rows_of.dtype_of(tables.ledger).descr])
_ASSET_BITS: Final = (schema.ASSETS_MAX - 1).bit_length()
_BOOKED: Final = tuple(name for name in rows_of.dtype_of(tables.ledger).names or ())


def _entries(count: int, parts: list[tuple[Any, Any, Any, EntryKind]], first: int, **common: Any) -> Rows:
    """Return entries of n events for each part (accounts, assets, amounts, kind), numbered from `first`."""
    made = np.zeros((len(parts), count), _ENTRY)
    for name, values in common.items():
        made[name] = values
    for number, (account, asset, amount, kind) in enumerate(parts):
        row = made[number]
        row["account_id"], row["asset_id"], row["amount_units"], row["entry_kind"] = account, asset, amount, kind
        row["entry"] = first + number
    return made.reshape(-1)


@dataclass(frozen=True, slots=True)
class Legs:
    """What trades move: assets and accounts of both sides, and amounts in units, int64 (n,) each."""

    base: Words
    quote: Words
    buyer: Words
    seller: Words
    lots: Words
    """Of the base asset."""
    cost: Words
    buyer_fee: Words
    seller_fee: Words

    @property
    def received_cost(self) -> Words:
        """What the seller receives of the quote asset."""
        return self.cost - self.seller_fee


def legs_of(trades: Rows, sizes: Sizes) -> Legs:
    """Return what rows of the table `trades` move."""
    base, quote, lot_units, _ = sizes.of(trades["instrument_id"])
    is_buy = trades["side"] == Side.BUY

    def of_side(is_takers: Any, name: str) -> Words:
        return np.where(is_takers, trades[f"taker_{name}"], trades[f"maker_{name}"])

    return Legs(
        base, quote, of_side(is_buy, "account_id"), of_side(~is_buy, "account_id"), trades["qty_lots"] * lot_units,
        trades["notional_units"], of_side(is_buy, "fee_units"), of_side(~is_buy, "fee_units"),
    )  # fmt: skip


def of_new_trades(trades: Rows, sizes: Sizes, position: Any) -> Rows:
    """Return the entries of rows of the table `trades`, all new; `position` is the order of the events, (n,)."""
    legs, is_later = legs_of(trades, sizes), trades["value_date"] != 0
    to_buyer = np.where(is_later, schema.CLEARING_ACCOUNT, legs.buyer)
    to_seller = np.where(is_later, schema.CLEARING_ACCOUNT, legs.seller)
    return _of_trades(trades, legs, position, (to_buyer, to_seller), cause=LedgerCause.TRADE)


def of_change(before: Rows, after: Rows | None, sizes: Sizes, receivers: tuple[int, int], **event: Any) -> Rows:
    """Return the entries of a bust (`after` None) or correction of one trade, rows (1,) of the table `trades`.

    `receivers` stand for the buyer and the seller in what they received; `event` has the cause's columns.
    """
    parts = [_of_trades(before, legs_of(before, sizes), 0, receivers, sign=-1, **event)]
    if after is not None:
        parts.append(_of_trades(after, legs_of(after, sizes), 0, receivers, first=CORRECTED_FROM, **event))
    return np.concatenate(parts)


def _of_trades(
    trades: Rows, legs: Legs, position: Any, receivers: tuple[Any, Any], *, sign: int = 1, first: int = 0, **event: Any
) -> Rows:
    """Return the entries of trades, or with `sign` -1 what takes them back; `event` says what is other than theirs."""
    to_buyer, to_seller = receivers
    burned = trades["burned_units"]
    parts = [
        (to_buyer, legs.base, sign * legs.lots, EntryKind.PRINCIPAL),
        (legs.buyer, legs.quote, -sign * legs.cost, EntryKind.PRINCIPAL),
        (legs.buyer, legs.quote, -sign * legs.buyer_fee, EntryKind.FEE),
        (legs.seller, legs.base, -sign * legs.lots, EntryKind.PRINCIPAL),
        (to_seller, legs.quote, sign * legs.cost, EntryKind.PRINCIPAL),
        (to_seller, legs.quote, -sign * legs.seller_fee, EntryKind.FEE),
        (schema.FEES_ACCOUNT, legs.quote, sign * (legs.buyer_fee + legs.seller_fee - burned), EntryKind.FEE),
        (schema.BURNED_ACCOUNT, legs.quote, sign * burned, EntryKind.FEE),
    ]
    names = ("cause_seq", "event_index", "time_ns")
    common = {name: trades[name] for name in names} | event
    return _entries(len(trades), parts, first, position=position, trade_id=trades["trade_id"], **common)


def of_settlements(events: Rows, position: Any) -> Rows:
    """Return the entries of OBLIGATION_SETTLED and PENALTY_PAID rows."""
    is_penalty = events["kind"] == EventKind.PENALTY_PAID
    payer = np.where(is_penalty, schema.FEES_ACCOUNT, schema.CLEARING_ACCOUNT)
    kind: Any = np.where(is_penalty, EntryKind.PENALTY, EntryKind.PRINCIPAL)
    parts = [
        (events["account_id"], events["asset_id"], events["amount_units"], kind),
        (payer, events["asset_id"], -events["amount_units"], kind),
    ]
    return _entries(
        len(events), parts, 0, position=position, cause_seq=events["cause_seq"], event_index=events["index"],
        time_ns=events["time_ns"], cause=np.where(is_penalty, LedgerCause.PENALTY, LedgerCause.SETTLEMENT),
    )  # fmt: skip


def of_transfers(events: Rows, position: Any) -> Rows:
    """Return the entries of DEPOSITED and WITHDRAWN rows."""
    is_deposit = events["kind"] == EventKind.DEPOSITED
    fee, burned = events["fee_units"], events["contra_fee_units"]
    gross = np.where(is_deposit, events["amount_units"] + fee, -events["amount_units"])
    account, asset = events["account_id"], events["asset_id"]
    parts = [
        (account, asset, gross, EntryKind.PRINCIPAL),
        (account, asset, -fee, EntryKind.FEE),
        (OUTSIDE_ACCOUNT, asset, -gross, EntryKind.PRINCIPAL),
        (schema.FEES_ACCOUNT, asset, fee - burned, EntryKind.FEE),
        (schema.BURNED_ACCOUNT, asset, burned, EntryKind.FEE),
    ]
    return _entries(
        len(events), parts, 0, position=position, cause_seq=events["cause_seq"], event_index=events["index"],
        time_ns=events["time_ns"], cause=np.where(is_deposit, LedgerCause.DEPOSIT, LedgerCause.WITHDRAWAL),
    )  # fmt: skip


class Balances:
    """The balance of every account and asset that has one, by a key of both."""

    def __init__(self) -> None:
        """Begin with none."""
        self._keys: Words = np.zeros(0, np.int64)
        self._units: Words = np.zeros(0, np.int64)

    def load(self, rows: Rows) -> None:
        """Take the rows of the table."""
        keys = rows["account_id"] << _ASSET_BITS | rows["asset_id"]
        order = np.argsort(keys)
        self._keys, self._units = keys[order], rows["balance_units"][order]

    def book(self, entries: Rows) -> list[Write]:
        """Book entries; return what is to be written of them and of what they come to."""
        entries = entries[entries["amount_units"] != 0]
        if not len(entries):
            return []
        keys = entries["account_id"] << _ASSET_BITS | entries["asset_id"]
        order = np.lexsort((entries["entry"], entries["position"], keys))
        entries, keys = entries[order], keys[order]
        starts = rows_of.group_starts(keys)
        places = self._places(keys[starts])
        counts = np.diff(starts, append=len(keys))
        sums = np.cumsum(entries["amount_units"])  # may wrap on the way; the differences come out right
        before = sums[starts] - entries["amount_units"][starts]
        entries["balance_units"] = sums - np.repeat(before - self._units[places], counts)
        ends = starts + counts - 1
        self._units[places] = entries["balance_units"][ends]
        booked = rows_of.empty(tables.ledger, len(entries))
        for name in _BOOKED:
            booked[name] = entries[name]
        final = entries[ends]
        standing = rows_of.empty(tables.balances, len(final))
        for name in standing.dtype.names or ():
            standing[name] = final[name]
        return [
            Write(tables.ledger, booked),
            Write(tables.balances, standing, "replace"),
            _of_days(entries, keys),
        ]

    def _places(self, keys: Words) -> Words:
        """Return where the balances of some keys, rising, are; new ones begin at 0."""
        places = np.searchsorted(self._keys, keys)
        is_new = np.ones(len(keys), np.bool_)
        is_inside = places < len(self._keys)
        is_new[is_inside] = self._keys[places[is_inside]] != keys[is_inside]
        if is_new.any():
            self._keys, self._units = (
                np.insert(self._keys, places[is_new], keys[is_new]),
                np.insert(self._units, places[is_new], 0),
            )
            places = np.searchsorted(self._keys, keys)
        return places


def _of_days(entries: Rows, keys: Words) -> Write:
    """Return the last balance of each day; `entries` are by key, then in order."""
    starts = rows_of.group_starts(keys, entries["time_ns"] // DAY_NS)
    last = entries[np.append(starts[1:], len(entries)) - 1]
    daily = rows_of.made(
        tables.daily_balances, len(last), account_id=last["account_id"], asset_id=last["asset_id"],
        day=last["time_ns"] // DAY_NS, balance_units=last["balance_units"],
    )  # fmt: skip
    return Write(tables.daily_balances, daily, "replace")
