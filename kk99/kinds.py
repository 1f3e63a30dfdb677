"""Which fields each kind of row uses: of the names that share a place in a row, the one that it means.

Declared here once: the reference pages, `replay` and the tests read it. A command row is of the kind of its `kind`, an
ORDER_NEW further of its `order_type`; so are event rows, and ORDER_DETAILS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kk99 import schema
from kk99.schema import CommandKind, EventKind, OrderType

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from kk99.batch import Rows

COMMAND_COMMON: Final = "seq time_ns client_seq session_id session_epoch kind"
_DOCUMENT: Final = "document_offset document_size"
_CLIENT_ID: Final = "client_id_lo client_id_hi"
COMMAND_FIELDS: Final[dict[CommandKind, str]] = {
    CommandKind.CONTINUE: "",
    CommandKind.CLOCK: "",
    CommandKind.SESSION_OPEN: "",
    CommandKind.SESSION_LOST: "target_lo",
    CommandKind.ORDER_NEW: "account_id instrument_id side order_type time_in_force self_trade flags "
    f"price_ticks qty_lots expire_time_ns {_CLIENT_ID}",
    CommandKind.ORDER_REPLACE: "account_id side flags target_lo target_hi price_ticks trigger_price_ticks qty_lots "
    f"{_CLIENT_ID}",
    CommandKind.ORDER_CANCEL: "account_id flags target_lo target_hi",
    CommandKind.MASS_CANCEL: "account_id instrument_id side flags",
    CommandKind.DEPOSIT: "account_id asset_id amount_units",
    CommandKind.WITHDRAW: "account_id asset_id amount_units",
    CommandKind.INDEX_PRICE: "instrument_id price_ticks target_lo close_price_ticks",
    CommandKind.MESSAGE_NOTED: "account_id instrument_id side order_type flags state price_ticks qty_lots "
    f"amount_units target_lo {_CLIENT_ID}",
    CommandKind.ORDER_SUSPEND: "account_id flags target_lo target_hi state",
    CommandKind.SETTLE: "account_id asset_id amount_units target_lo state price_ticks",
    CommandKind.ASSET_DEFINE: _DOCUMENT,
    CommandKind.FEE_SCHEDULE_DEFINE: _DOCUMENT,
    CommandKind.INSTRUMENT_DEFINE: _DOCUMENT,
    CommandKind.INSTRUMENT_CHANGE: _DOCUMENT,
    CommandKind.ACCOUNT_DEFINE: _DOCUMENT,
    CommandKind.ACCOUNT_CHANGE: _DOCUMENT,
    CommandKind.SESSION_DEFINE: _DOCUMENT,
    CommandKind.INSTRUMENT_STATE: f"instrument_id state {_DOCUMENT}",
    CommandKind.ACCOUNT_STATE: f"account_id state {_DOCUMENT}",
    CommandKind.REFERENCE_PRICE: f"instrument_id price_ticks {_DOCUMENT}",
    CommandKind.TRADE_BUST: f"target_lo {_DOCUMENT}",
    CommandKind.TRADE_CORRECT: f"target_lo price_ticks qty_lots {_DOCUMENT}",
    CommandKind.TRADING_SCHEDULE_DEFINE: _DOCUMENT,
    CommandKind.BREAKER_DEFINE: _DOCUMENT,
    CommandKind.MARKET_GROUP_DEFINE: _DOCUMENT,
    CommandKind.IDENTITY_DEFINE: _DOCUMENT,
    CommandKind.ALGO_ORDER: "account_id instrument_id side order_type time_in_force self_trade flags price_ticks "
    f"qty_lots {_CLIENT_ID} {_DOCUMENT}",
    CommandKind.SETTLEMENT_CALENDAR_DEFINE: _DOCUMENT,
    CommandKind.SETTLEMENT_PENALTY: f"account_id asset_id amount_units target_lo {_DOCUMENT}",
}
"""Fields that a command of each kind uses, beside COMMAND_COMMON; every other byte of its row is zero."""

_TRIGGER: Final = "trigger trigger_price_ticks"
_TRAIL: Final = "trigger trail_unit trail"
ORDER_NEW_FIELDS: Final[dict[OrderType, str]] = {
    OrderType.MARKET: "amount_units",
    OrderType.LIMIT: "display_qty_lots refill_qty_lots min_qty_lots",
    OrderType.STOP: _TRIGGER,
    OrderType.STOP_LIMIT: _TRIGGER,
    OrderType.MARKET_IF_TOUCHED: _TRIGGER,
    OrderType.LIMIT_IF_TOUCHED: _TRIGGER,
    OrderType.TRAILING_STOP: _TRAIL,
    OrderType.TRAILING_STOP_LIMIT: _TRAIL,
    OrderType.OCO: f"{_TRIGGER} stop_limit_price_ticks target_lo target_hi",
    OrderType.BRACKET: f"{_TRIGGER} stop_limit_price_ticks take_profit_price_ticks",
    OrderType.ALGO: "",
}
"""Fields that an ORDER_NEW of each order type uses beside those of every ORDER_NEW."""

EVENT_COMMON: Final = "cause_seq time_ns origin_seq index kind command_kind"
_SENDER: Final = "client_seq session_id session_epoch"
_ORDER: Final = (
    "account_id instrument_id side order_type time_in_force self_trade flags order_id price_ticks qty_lots leaves_lots "
    f"{_CLIENT_ID}"
)
_SCHEDULED: Final = f"account_id instrument_id side order_id price_ticks qty_lots leaves_lots amount_units {_CLIENT_ID}"
_CHANGED: Final = f"{_SENDER} reason {_SCHEDULED}"
_MONEY: Final = f"{_SENDER} account_id asset_id amount_units fee_units contra_fee_units"
_TRADE: Final = (
    "account_id contra_account_id instrument_id side order_id contra_order_id price_ticks qty_lots contra_leaves_lots "
    "fee_units contra_fee_units trade_id burned_units"
)
_ASKED: Final = f"{_SENDER} account_id instrument_id side order_id price_ticks qty_lots amount_units {_CLIENT_ID}"
_BREAKER: Final = f"{_SENDER} instrument_id breaker_reason price_ticks measure threshold"
_AUCTION: Final = f"{_SENDER} instrument_id price_ticks qty_lots leaves_lots"
EVENT_FIELDS: Final[dict[EventKind, str]] = {
    EventKind.REJECTED: f"{_ASKED} reason",
    EventKind.DUPLICATE: _SENDER,
    EventKind.CONTINUED: _SENDER,
    EventKind.CLOCK_TICKED: _SENDER,
    EventKind.SESSION_OPENED: _SENDER,
    EventKind.SESSION_LOST: f"{_SENDER} order_id",
    EventKind.ORDER_ACCEPTED: f"{_SENDER} {_ORDER} amount_units",
    EventKind.ORDER_REPLACED: f"{_SENDER} {_ORDER} amount_units",
    EventKind.ORDER_REDUCED: _CHANGED,
    EventKind.ORDER_CANCELED: _CHANGED,
    EventKind.TRADE: f"{_TRADE} leaves_lots",
    EventKind.MASS_CANCEL_DONE: "account_id instrument_id side order_id qty_lots",
    EventKind.MASS_CANCEL_ACCEPTED: f"{_SENDER} account_id instrument_id side",
    EventKind.DEPOSITED: _MONEY,
    EventKind.WITHDRAWN: _MONEY,
    EventKind.ORDER_DETAILS: f"{_SENDER} account_id instrument_id side order_type time_in_force order_id "
    "linked_order_id expire_time_ns",
    EventKind.ORDER_TRIGGERED: f"{_SENDER} {_ORDER} amount_units",
    EventKind.ORDER_REFRESHED: f"{_SENDER} account_id instrument_id side order_id price_ticks display_qty_lots "
    f"leaves_lots {_CLIENT_ID}",
    EventKind.ORDER_RESIZED: _CHANGED,
    EventKind.EXITS_REFUSED: f"{_SENDER} reason account_id instrument_id side order_id qty_lots amount_units",
    EventKind.ORDER_SUSPENDED: f"{_SENDER} state {_SCHEDULED}",
    EventKind.ORDER_RELEASED: f"{_SENDER} {_SCHEDULED}",
    EventKind.INDEX_PRICE_CHANGED: f"{_SENDER} instrument_id price_ticks",
    EventKind.MARKET_STATE_CHANGED: f"{_SENDER} instrument_id state state_reason call_purpose expire_time_ns",
    EventKind.AUCTION_INDICATIVE: _AUCTION,
    EventKind.AUCTION_UNCROSSED: _AUCTION,
    EventKind.BREAKER_TRIPPED: f"{_BREAKER} order_id side expire_time_ns",
    EventKind.BREAKER_ALERT: _BREAKER,
    EventKind.STRESS_CHANGED: _BREAKER,
    EventKind.GROUP_INDEX_CHANGED: f"{_SENDER} order_id price_ticks close_price_ticks measure",
    EventKind.OBLIGATION_SETTLED: f"{_SENDER} account_id asset_id order_id amount_units",
    EventKind.OBLIGATION_FAILED: f"{_SENDER} account_id asset_id order_id amount_units price_ticks",
    EventKind.MESSAGE_NOTED: f"{_ASKED} order_type flags state",
    EventKind.ASSET_DEFINED: f"{_SENDER} asset_id {_DOCUMENT}",
    EventKind.FEE_SCHEDULE_DEFINED: f"{_SENDER} order_id {_DOCUMENT}",
    EventKind.INSTRUMENT_DEFINED: f"{_SENDER} instrument_id {_DOCUMENT}",
    EventKind.INSTRUMENT_CHANGED: f"{_SENDER} instrument_id {_DOCUMENT}",
    EventKind.ACCOUNT_DEFINED: f"{_SENDER} account_id {_DOCUMENT}",
    EventKind.ACCOUNT_CHANGED: f"{_SENDER} account_id {_DOCUMENT}",
    EventKind.SESSION_DEFINED: f"{_SENDER} order_id {_DOCUMENT}",
    EventKind.TRADING_SCHEDULE_DEFINED: f"{_SENDER} order_id {_DOCUMENT}",
    EventKind.BREAKER_DEFINED: f"{_SENDER} order_id {_DOCUMENT}",
    EventKind.MARKET_GROUP_DEFINED: f"{_SENDER} order_id {_DOCUMENT}",
    EventKind.IDENTITY_DEFINED: f"{_SENDER} order_id {_DOCUMENT}",
    EventKind.INSTRUMENT_STATE_CHANGED: f"{_SENDER} instrument_id state call_purpose price_ticks "
    f"expire_time_ns {_DOCUMENT}",
    EventKind.ACCOUNT_STATE_CHANGED: f"{_SENDER} account_id state {_DOCUMENT}",
    EventKind.REFERENCE_PRICE_CHANGED: f"{_SENDER} instrument_id price_ticks {_DOCUMENT}",
    EventKind.TRADE_BUSTED: f"{_TRADE} {_DOCUMENT}",
    EventKind.TRADE_CORRECTED: f"{_TRADE} {_DOCUMENT}",
    EventKind.ALGO_SCHEDULED: f"{_SENDER} account_id instrument_id side order_id {_DOCUMENT}",
    EventKind.SETTLEMENT_CALENDAR_DEFINED: f"{_SENDER} order_id {_DOCUMENT}",
    EventKind.PENALTY_PAID: f"{_SENDER} account_id asset_id order_id amount_units {_DOCUMENT}",
    EventKind.BALANCE_IMAGE: "account_id asset_id amount_units notional_units",
    EventKind.OBLIGATION_IMAGE: "account_id asset_id order_id amount_units state",
    EventKind.ORDER_IMAGE: f"session_id {_ORDER} state amount_units notional_units",
    EventKind.SESSION_IMAGE: "order_id session_epoch client_seq",
    EventKind.ASSET_IMAGE: "asset_id amount_units notional_units",
}
"""Fields that an event of each kind uses, beside EVENT_COMMON; a reject of money has the asset for the instrument."""

DOCUMENT_EVENTS: Final = tuple(kind for kind, text in EVENT_FIELDS.items() if "document_offset" in text.split())
"""Kinds of events that point to a document (in an image, rows of states have none)."""

ORDER_DETAILS_FIELDS: Final[dict[OrderType, str]] = {
    OrderType.MARKET: "parent_order_id",
    OrderType.LIMIT: "display_qty_lots refill_qty_lots min_qty_lots parent_order_id",
    OrderType.STOP: f"{_TRIGGER} parent_order_id",
    OrderType.STOP_LIMIT: f"{_TRIGGER} parent_order_id",
    OrderType.MARKET_IF_TOUCHED: _TRIGGER,
    OrderType.LIMIT_IF_TOUCHED: _TRIGGER,
    OrderType.TRAILING_STOP: f"{_TRAIL} trigger_price_ticks",
    OrderType.TRAILING_STOP_LIMIT: f"{_TRAIL} trigger_price_ticks",
    OrderType.OCO: "",
    OrderType.BRACKET: f"{_TRIGGER} stop_limit_price_ticks take_profit_price_ticks",
    OrderType.ALGO: "",
}
"""Fields that ORDER_DETAILS of an order of each type uses beside those of every ORDER_DETAILS."""

_ASSET_COMMANDS: Final = (
    CommandKind.DEPOSIT,
    CommandKind.WITHDRAW,
    CommandKind.SETTLE,
    CommandKind.SETTLEMENT_PENALTY,
)
_TYPES_AT: Final = 256


class _Places:
    """For one row: which of its fields each class of row uses, and under which name the rest of its bytes go."""

    def __init__(
        self,
        row: np.dtype[np.void],
        common: str,
        fields: Mapping[Any, str],
        typed_kind: int,
        types: Mapping[Any, str],
    ) -> None:
        assert row.fields is not None
        self.typed_kind = typed_kind
        self.used = {name: np.zeros(2 * _TYPES_AT, np.bool_) for name in row.fields}
        self.fallback = {name: np.zeros(2 * _TYPES_AT, np.bool_) for name in row.fields}
        texts = dict.fromkeys(range(2 * _TYPES_AT), common)
        texts |= {int(kind): f"{common} {text}" for kind, text in fields.items()}
        for number in range(_TYPES_AT, 2 * _TYPES_AT):
            texts[number] = f"{texts[typed_kind]} {types.get(number - _TYPES_AT, '')}"
        spans = {name: (offset, offset + kind.itemsize) for name, (kind, offset, *_) in row.fields.items()}
        for number, text in texts.items():
            names = text.split()
            covered = np.zeros(row.itemsize, np.bool_)
            for name in names:
                self.used[name][number] = True
                covered[slice(*spans[name])] = True
            for name, span in spans.items():
                if not covered[slice(*span)].any():
                    self.fallback[name][number] = True
                    covered[slice(*span)] = True

    def classes(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Return the class of each row: its kind, or for the kind that has order types one for each of those."""
        kinds, types = rows["kind"].astype(np.int64), rows["order_type"].astype(np.int64)
        return np.where(kinds == self.typed_kind, _TYPES_AT + types, kinds)


_COMMANDS: Final = _Places(schema.COMMAND, COMMAND_COMMON, COMMAND_FIELDS, CommandKind.ORDER_NEW, ORDER_NEW_FIELDS)
_EVENTS: Final = _Places(schema.EVENT, EVENT_COMMON, EVENT_FIELDS, EventKind.ORDER_DETAILS, ORDER_DETAILS_FIELDS)


def has_document(rows: Rows) -> npt.NDArray[np.bool_]:
    """Return which rows, all COMMAND or all EVENT, are of a kind that points to a document: bool (n,)."""
    if rows.dtype == schema.COMMAND:
        made: npt.NDArray[np.bool_] = rows["kind"] >= schema.FIRST_DOCUMENT_KIND
        return made
    return np.isin(rows["kind"], DOCUMENT_EVENTS)


def uses(rows: Rows, field: str) -> npt.NDArray[np.bool_]:
    """Return in which rows, all COMMAND or all EVENT, the kind uses a field: bool (n,)."""
    places = _COMMANDS if rows.dtype == schema.COMMAND else _EVENTS
    made: npt.NDArray[np.bool_] = places.used[field][places.classes(rows)]
    if places is _EVENTS and field in {"asset_id", "instrument_id"}:
        is_of_asset = (rows["kind"] == EventKind.REJECTED) & np.isin(rows["command_kind"], _ASSET_COMMANDS)
        made = np.where(is_of_asset, field == "asset_id", made)
    return made


def present(rows: Rows, field: str) -> npt.NDArray[np.bool_]:
    """Return in which rows, all COMMAND or all EVENT, a field means something: bool (n,).

    It does where the row's kind uses it. A byte that the kind does not use should be zero; where it is not, it goes
    under the first name of its place, so that nothing that a row says is left out.
    """
    places = _COMMANDS if rows.dtype == schema.COMMAND else _EVENTS
    is_left = places.fallback[field][places.classes(rows)] & (rows[field] != 0)
    made: npt.NDArray[np.bool_] = uses(rows, field) | is_left
    return made
