"""What each document may say: one declarative table, from which validation runs and the reference page is written.

Invariants: a field is required, or has a default, or may be absent (then `default` is None, and it stays as it is or is
as its `about` says); a bound is of a value, of a text's length or of a list's, and both ends are allowed.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kk99 import schema
from kk99.directory import forms
from kk99.schema import CallPurpose, CommandKind, MarketState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9._/-]*")
DATE_MAX: Final = (1 << 31) - 1
NAME_LENGTH_MAX: Final = 32
ACTOR_LENGTH_MAX: Final = 64
REASON_LENGTH_MAX: Final = 256
SCALE_MAX: Final = 18
IDENTITY_NAME_LENGTH_MAX: Final = 64
IDENTITY_ACCOUNTS_MAX: Final = 256
IDENTITY_ADDRESSES_MAX: Final = 64
IDENTITY_CERTIFICATES_MAX: Final = 4
MESSAGES_PER_S_MAX: Final = 1_000_000
THIS_MACHINE: Final = ("127.0.0.0/8", "::1/128")

UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Controls, line ends and what turns the writing direction. A fixed set, as Python's own changes with each release of
Unicode and a log must be judged alike for ever."""


PHASES: Final[Mapping[str, tuple[MarketState, int]]] = {
    "PRE_OPEN": (MarketState.PRE_OPEN, 0),
    "OPENING_CALL": (MarketState.CALL, CallPurpose.OPENING),
    "OPEN": (MarketState.OPEN, 0),
    "CLOSING_CALL": (MarketState.CALL, CallPurpose.CLOSING),
    "CLOSED": (MarketState.CLOSED, 0),
}
"""Phases of a trading schedule by name: the market's state, and the purpose of a call."""


class FieldType(enum.Enum):
    """What a field's value is."""

    INTEGER = "integer"
    NAME = "name"
    TEXT = "text"
    TIERS = "tiers"
    PHASES = "phases"
    SLICES = "slices"
    DATES = "dates"
    WORD = "word"
    COMP_ID = "CompID"
    PASSWORD_HASH = "password hash"  # noqa: S105 - a type's name
    NAMES = "names"
    NETWORKS = "networks"
    DIGESTS = "digests"


LIST_ITEMS: Final[Mapping[FieldType, Callable[[str], bool]]] = {
    FieldType.NAMES: lambda text: 1 <= len(text) <= NAME_LENGTH_MAX and NAME_PATTERN.fullmatch(text) is not None,
    FieldType.NETWORKS: forms.is_network,
    FieldType.DIGESTS: forms.is_certificate_digest,
}
"""What each text in a list must be; no two may be the same."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a document, with its bounds, whether it may be left out, and a sentence for the reference."""

    name: str
    type: FieldType
    low: int
    high: int
    about: str
    required: bool = True
    default: int | str | tuple[str, ...] | None = None
    words: tuple[str, ...] = ()

    def accepts(self, value: object) -> bool:
        """Whether the value has the type and lies in the bounds; the fields of a list's maps are not looked at."""
        match self.type:
            case FieldType.INTEGER:
                return type(value) is int and self.low <= value <= self.high
            case FieldType.NAME:
                return type(value) is str and self._fits(value) and NAME_PATTERN.fullmatch(value) is not None
            case FieldType.TEXT:
                return type(value) is str and self._fits(value) and UNPRINTABLE.search(value) is None
            case FieldType.WORD:
                return type(value) is str and value in self.words
            case FieldType.COMP_ID:
                return type(value) is str and self._fits(value) and (not value or forms.is_comp_id(value))
            case FieldType.PASSWORD_HASH:
                return type(value) is str and (not value or forms.is_password_hash(value))
            case FieldType.TIERS | FieldType.PHASES:
                return type(value) is list and self.low <= len(value) <= self.high
            case FieldType.NAMES | FieldType.NETWORKS | FieldType.DIGESTS:
                return type(value) is list and self.low <= len(value) <= self.high and self._lists(value)
            case FieldType.DATES:
                return type(value) is list and self.low <= len(value) <= self.high and _are_dates(value)
            case FieldType.SLICES:
                return (
                    type(value) is list and self.low <= len(value) <= self.high and all(_is_slice(one) for one in value)
                )

    def _fits(self, text: str) -> bool:
        return self.low <= len(text) <= self.high

    def _lists(self, items: list[object]) -> bool:
        is_item = LIST_ITEMS[self.type]
        return all(type(one) is str and is_item(one) for one in items) and len(set(items)) == len(items)


def _are_dates(values: list[object]) -> bool:
    """Whether the values are dates, each after the one before."""
    last = -1
    for value in values:
        if type(value) is not int or not last < value <= DATE_MAX:
            return False
        last = value
    return True


def _is_slice(value: object) -> bool:
    """Whether the value is a slice of a scheduled order: its offset and its quantity."""
    return (
        type(value) is list
        and len(value) == 2
        and all(type(number) is int and 0 <= number <= schema.AMOUNT_MAX for number in value)
    )


def _integer(name: str, low: int, high: int, about: str, default: int | None = None) -> Field:
    return Field(name, FieldType.INTEGER, low, high, about, required=default is None, default=default)


def _name(name: str, about: str) -> Field:
    return Field(name, FieldType.NAME, 1, NAME_LENGTH_MAX, about)


def _maybe(*fields: Field) -> tuple[Field, ...]:
    """Return the fields as those of a change: each may be absent, then it stays as it is."""
    return tuple(Field(f.name, f.type, f.low, f.high, f.about, required=False) for f in fields)


_OPERATOR: Final = (
    Field("actor", FieldType.TEXT, 0, ACTOR_LENGTH_MAX, "who orders it", required=False, default=""),
    Field("reason", FieldType.TEXT, 0, REASON_LENGTH_MAX, "why", required=False, default=""),
)
"""A SESSION_DEFINE may leave them out; in any other document, absent or empty is OPERATOR_MISSING."""

_FEE_SCHEDULE: Final = Field(
    "fee_schedule",
    FieldType.NAME,
    0,
    NAME_LENGTH_MAX,
    "name of the fee schedule, or empty: no fees",
    required=False,
    default="",
)

TIER: Final[tuple[Field, ...]] = (
    _integer("maker_ppm", -schema.PPM, schema.PPM, "maker's fee; below 0 a rebate"),
    _integer("taker_ppm", 0, schema.PPM, "taker's fee"),
    _integer("deposit_ppm", 0, schema.PPM, "fee on a deposit", 0),
    _integer("withdrawal_ppm", 0, schema.PPM, "fee on a withdrawal", 0),
)
"""Fields of each map in the `tiers` of a fee schedule."""

_TRADING_SCHEDULE: Final = Field(
    "trading_schedule",
    FieldType.NAME,
    0,
    NAME_LENGTH_MAX,
    "name of the trading schedule, or empty: operators alone change its state",
    required=False,
    default="",
)

PHASE: Final[tuple[Field, ...]] = (
    _integer("at_s", 0, 86_399, "second of the day (UTC) at which it begins"),
    _integer("days", 1, 127, "on which days: bit 0 is Monday"),
    Field("phase", FieldType.WORD, 4, 12, f"one of {', '.join(PHASES)}", words=tuple(PHASES)),
)
"""Fields of each map in the `phases` of a trading schedule."""

_SETTLEMENT: Final = (
    _integer("settlement_days", 0, schema.SETTLEMENT_DAYS_MAX, "business days from a trade to its value date", 0),
    Field(
        "settlement_calendar",
        FieldType.NAME,
        0,
        NAME_LENGTH_MAX,
        "name of the settlement calendar, or empty: every day is a business day",
        required=False,
        default="",
    ),
)

_LIMITS: Final = (
    _integer("tick_step", 1, schema.PRICE_TICKS_MAX, "a price is a multiple of this", 1),
    _integer("lot_step", 1, schema.QTY_LOTS_MAX, "a quantity is a multiple of this", 1),
    _integer("min_qty_lots", 1, schema.QTY_LOTS_MAX, "smallest order", 1),
    _integer("max_qty_lots", 1, schema.QTY_LOTS_MAX, "largest order, not below min_qty_lots"),
    _integer("min_notional_units", 1, schema.AMOUNT_MAX, "smallest price times quantity", 1),
    _integer("max_notional_units", 1, schema.AMOUNT_MAX, "largest, not below min_notional_units", schema.AMOUNT_MAX),
    _integer("max_price_ticks", 1, schema.PRICE_TICKS_MAX, "highest price"),
    _integer("collar_ppm", 0, schema.PPM, "how far a price may be from the reference, or 0: no collar", 0),
    _TRADING_SCHEDULE,
    *_SETTLEMENT,
)

_DAY_S: Final = 86_400
BREAKER: Final[tuple[Field, ...]] = (
    _name("name", "name of the instrument"),
    _integer("move_ppm", 0, schema.PPM, "move of the last price that halts, or 0: off", 100_000),
    _integer("move_window_s", 1, _DAY_S, "window in which it moves", 60),
    _integer("spread_ppm", 0, 2 * schema.PPM, "spread, of the mid price, that halts when it lasts, or 0: off", 20_000),
    _integer("spread_s", 1, _DAY_S, "how long it may last", 10),
    _integer("volume_ratio_ppm", 0, 100 * schema.PPM, "volume, of its average, that alerts, or 0: off", 2 * schema.PPM),
    _integer("volume_window_s", 1, _DAY_S, "window in which it is traded", 60),
    _integer("static_band_ppm", 0, schema.PPM, "band around the last auction's price, or 0: off", 100_000),
    _integer("dynamic_band_ppm", 0, schema.PPM, "band around the last trade's price, or 0: off", 50_000),
    _integer("index_silence_s", 0, _DAY_S, "how long no index price may come, or 0: off", 0),
    _integer("index_silence_halts", 0, 1, "whether the silence halts (1) or alerts (0)", 0),
    Field(
        "correlation_with",
        FieldType.NAME,
        0,
        NAME_LENGTH_MAX,
        "name of the instrument that it moves with, or empty: off",
        required=False,
        default="",
    ),
    _integer("correlation_min_ppm", -schema.PPM, schema.PPM, "correlation below which it alerts", 500_000),
    _integer("correlation_samples", 2, schema.CORRELATION_SAMPLES_MAX, "samples that are correlated", 30),
    _integer("correlation_s", 1, _DAY_S, "time from sample to sample", 60),
    _integer("stress_s", 0, _DAY_S, "time from one measure of stress to the next, or 0: off", 10),
    _integer("stress_step", 1, schema.STRESS_MAX, "change of stress that is told", 10),
    Field(
        "group", FieldType.NAME, 0, NAME_LENGTH_MAX, "name of its market group, or empty", required=False, default=""
    ),
    _integer("cancel_only_s", 0, _DAY_S, "first step of the recovery, or 0: an operator resumes", 60),
    _integer("call_s", 0, _DAY_S, "auction call of the recovery, or 0: none", 240),
    _integer("extend_s", 0, _DAY_S, "its one extension, or 0: none", 240),
)
"""Fields of an instrument's circuit breaker, but for who orders it and why."""

_TIER_OF_ACCOUNT: Final = _integer("tier", 0, schema.TIERS - 1, "which rates of a fee schedule apply", 0)
_GROUP: Final = Field(
    "group", FieldType.NAME, 1, NAME_LENGTH_MAX, "scope of self-trade prevention, by default the owner", required=False
)


def _maybe_empty(name: str, kind: FieldType, high: int, about: str) -> Field:
    return Field(name, kind, 0, high, about, required=False, default="")


def _word(name: str, words: tuple[str, ...], about: str, default: str | None = None) -> Field:
    low, high = min(len(word) for word in words), max(len(word) for word in words)
    return Field(name, FieldType.WORD, low, high, about, required=default is None, default=default, words=words)


def _list(name: str, kind: FieldType, high: int, about: str, default: tuple[str, ...] = ()) -> Field:
    return Field(name, kind, 0, high, about, required=False, default=default)


IDENTITY: Final[tuple[Field, ...]] = (
    Field(
        "name",
        FieldType.TEXT,
        1,
        IDENTITY_NAME_LENGTH_MAX,
        "a known one takes the new document; of a FIX session its SenderCompID: up to 28 of A-Z a-z 0-9 . _ -",
    ),
    _word("kind", ("fix_session",), "what logs on"),
    _word("state", ("ACTIVE", "BLOCKED"), "ACTIVE, or BLOCKED: it is logged out at once, and refused", "ACTIVE"),
    _word(
        "role",
        ("trading", "market_data", "drop_copy", "admin"),
        "trading enters orders; market_data and drop_copy read; admin cancels and asks, but enters none",
        "trading",
    ),
    _list("accounts", FieldType.NAMES, IDENTITY_ACCOUNTS_MAX, "accounts that it acts for; market_data needs none"),
    _list("addresses", FieldType.NETWORKS, IDENTITY_ADDRESSES_MAX, "networks that it may come from", THIS_MACHINE),
    _maybe_empty("username", FieldType.TEXT, IDENTITY_NAME_LENGTH_MAX, "Username (553), or empty: the name"),
    _maybe_empty(
        "credential",
        FieldType.PASSWORD_HASH,
        forms.PASSWORD_HASH_LENGTH_MAX,
        "argon2id hash of the password, or empty: the certificate is enough",
    ),
    _list(
        "certificates",
        FieldType.DIGESTS,
        IDENTITY_CERTIFICATES_MAX,
        "SHA-256 of the TLS client certificates, one of which it must show, or none: it need not show one",
    ),
    _maybe_empty(
        "venue_comp_id", FieldType.COMP_ID, forms.COMP_ID_LENGTH_MAX, "TargetCompID it uses, or empty: the gateway's"
    ),
    _integer("cancel_on_disconnect", 0, 1, "whether all its orders are canceled when its connection ends", 0),
    _integer("messages_per_s", 0, MESSAGES_PER_S_MAX, "messages it may send in the long run, or 0: no limit", 1_000),
    _integer("messages_burst", 1, MESSAGES_PER_S_MAX, "messages it may send at once", 5_000),
    _integer("newer_tags", 0, 1, "whether tags newer than FIX 4.4 are spoken", 0),
    _integer("microseconds", 0, 1, "whether timestamps go to the microsecond", 0),
)
"""Fields of an identity, but for who orders it and why."""

DOCUMENTS: Final[Mapping[CommandKind, tuple[Field, ...]]] = {
    CommandKind.ASSET_DEFINE: (
        _name("name", "name of the new asset"),
        _integer("scale", 0, SCALE_MAX, "decimal places: one whole is 10^scale units"),
        _FEE_SCHEDULE,
        *_OPERATOR,
    ),
    CommandKind.FEE_SCHEDULE_DEFINE: (
        _name("name", "name of the schedule; a known one takes the new rates"),
        _integer("burn_ppm", 0, schema.PPM, "share of the fees that is burned", 0),
        Field("tiers", FieldType.TIERS, 1, schema.TIERS, "rates by tier of account; missing ones are as the last"),
        *_OPERATOR,
    ),
    CommandKind.INSTRUMENT_DEFINE: (
        _name("name", "name of the new instrument"),
        _name("base", "asset that is traded"),
        _name("quote", "asset that it is paid in, not the base"),
        _integer("tick_units", 1, schema.AMOUNT_MAX, "quote units that one tick is, per whole base unit"),
        _integer("lot_units", 1, schema.AMOUNT_MAX, "base units that one lot is"),
        _FEE_SCHEDULE,
        *_LIMITS,
        _integer(
            "reference_price_ticks",
            0,
            schema.PRICE_TICKS_MAX,
            "centre of the collar until a trade, not above max_price_ticks",
            0,
        ),
        *_OPERATOR,
    ),
    CommandKind.INSTRUMENT_CHANGE: (
        _name("name", "name of the instrument"),
        *_maybe(_FEE_SCHEDULE, *_LIMITS),
        *_OPERATOR,
    ),
    CommandKind.ACCOUNT_DEFINE: (
        _name("name", "name of the new account"),
        _name("owner", "whose it is"),
        _GROUP,
        _TIER_OF_ACCOUNT,
        *_OPERATOR,
    ),
    CommandKind.ACCOUNT_CHANGE: (
        _name("name", "name of the account"),
        *_maybe(_GROUP, _TIER_OF_ACCOUNT),
        *_OPERATOR,
    ),
    CommandKind.SESSION_DEFINE: (_name("name", "name of the new session"), *_OPERATOR),
    CommandKind.INSTRUMENT_STATE: _OPERATOR,
    CommandKind.ACCOUNT_STATE: _OPERATOR,
    CommandKind.REFERENCE_PRICE: _OPERATOR,
    CommandKind.TRADE_BUST: _OPERATOR,
    CommandKind.TRADE_CORRECT: _OPERATOR,
    CommandKind.TRADING_SCHEDULE_DEFINE: (
        _name("name", "name of the schedule; a known one takes the new phases"),
        Field("phases", FieldType.PHASES, 1, schema.PHASES, "its transitions; of two at the same time the later here"),
        *_OPERATOR,
    ),
    CommandKind.BREAKER_DEFINE: (*BREAKER, *_OPERATOR),
    CommandKind.MARKET_GROUP_DEFINE: (
        _name("name", "name of the group; a known one takes the new levels"),
        _integer("level_1_ppm", 0, schema.PPM, "fall of its index that halts it for halt_s, or 0: off", 70_000),
        _integer("level_2_ppm", 0, schema.PPM, "as level 1, above it", 130_000),
        _integer("level_3_ppm", 0, schema.PPM, "fall that halts it for the rest of the day, above them, or 0", 200_000),
        _integer("halt_s", 1, _DAY_S, "how long levels 1 and 2 halt", 900),
        *_OPERATOR,
    ),
    CommandKind.IDENTITY_DEFINE: (*IDENTITY, *_OPERATOR),
    CommandKind.ALGO_ORDER: (
        _integer("start_time_ns", 0, schema.AMOUNT_MAX, "when it begins, or 0: now", 0),
        _integer("end_time_ns", 0, schema.AMOUNT_MAX, "when it ends, after the last slice"),
        _integer("participation_ppm", 0, schema.PPM, "share of the volume that it may be, or 0: any", 0),
        Field("slices", FieldType.SLICES, 1, schema.SLICES_MAX, "[ns since the start, lots] of each, in this order"),
    ),
    CommandKind.SETTLEMENT_CALENDAR_DEFINE: (
        _name("name", "name of the calendar; a known one takes the new dates"),
        Field("dates", FieldType.DATES, 1, schema.CALENDAR_DATES_MAX, "business dates (days since 1970), rising"),
        *_OPERATOR,
    ),
    CommandKind.SETTLEMENT_PENALTY: _OPERATOR,
}
"""Fields of the document that each kind of command carries, in the order of the reference page."""
