"""The form of documents: which fields each kind has, of which type, within which bounds."""

from __future__ import annotations

import string
from typing import Any, NamedTuple

import msgpack

from kk99 import schema
from kk99.schema import AMOUNT_MAX, PPM, CommandKind
from tests.naive import identity, states

Document = dict[str, Any]
NAME_CHARACTERS = set(string.ascii_letters + string.digits + "._-/")
REQUIRED = object()


class Number(NamedTuple):
    """A whole number within bounds."""

    low: int
    high: int
    default: object = REQUIRED

    def fits(self, value: object) -> bool:
        """Whether the value is of this form."""
        return type(value) is int and self.low <= value <= self.high


class Name(NamedTuple):
    """A name; an empty one only where that is the default."""

    default: object = REQUIRED

    def fits(self, value: object) -> bool:
        """Whether the value is of this form."""
        if not isinstance(value, str):
            return False
        is_name = 1 <= len(value) <= 32 and set(value) <= NAME_CHARACTERS
        return is_name or (value == "" and self.default == "")


class Text(NamedTuple):
    """Printable text, at most so long; empty when left out."""

    length_max: int
    default: object = ""

    def fits(self, value: object) -> bool:
        """Whether the value is of this form."""
        return isinstance(value, str) and len(value) <= self.length_max and value.isprintable()


class Tiers(NamedTuple):
    """One to TIERS maps of rates."""

    default: object = REQUIRED

    def fits(self, value: object) -> bool:
        """Whether the value is of this form."""
        if not isinstance(value, list) or not 1 <= len(value) <= schema.TIERS:
            return False
        return all(isinstance(tier, dict) and read_fields(tier, TIER) is not None for tier in value)


class OneOf(NamedTuple):
    """One of some words."""

    words: tuple[str, ...]
    default: object = REQUIRED

    def fits(self, value: object) -> bool:
        """Whether the value is of this form."""
        return isinstance(value, str) and value in self.words


class Phases(NamedTuple):
    """One to PHASES maps of a transition."""

    default: object = REQUIRED

    def fits(self, value: object) -> bool:
        """Whether the value is of this form."""
        if not isinstance(value, list) or not 1 <= len(value) <= schema.PHASES:
            return False
        return all(isinstance(phase, dict) and read_fields(phase, PHASE) is not None for phase in value)


class Slices(NamedTuple):
    """One to SLICES_MAX pairs of an offset and a quantity."""

    default: object = REQUIRED

    def fits(self, value: object) -> bool:
        """Whether the value is of this form."""
        if not isinstance(value, list) or not 1 <= len(value) <= schema.SLICES_MAX:
            return False
        return all(isinstance(pair, list) and len(pair) == 2 and all(map(WHOLE.fits, pair)) for pair in value)


class Dates(NamedTuple):
    """One to CALENDAR_DATES_MAX days since 1970, rising."""

    default: object = REQUIRED

    def fits(self, value: object) -> bool:
        """Whether the value is of this form."""
        if not isinstance(value, list) or not 1 <= len(value) <= schema.CALENDAR_DATES_MAX:
            return False
        return all(Number(0, 2**31 - 1).fits(date) for date in value) and value == sorted(set(value))


Field = Number | Name | Text | Tiers | OneOf | Phases | Slices | Dates | identity.Word | identity.Listed
WHOLE = Number(0, AMOUNT_MAX)
SHARE = Number(0, PPM, 0)
POSITIVE = Number(1, AMOUNT_MAX)
DAY_S = 86_400
OPERATOR: dict[str, Field] = {"actor": Text(64), "reason": Text(256)}
"""Who orders it and why."""
TIER: dict[str, Field] = {
    "maker_ppm": Number(-PPM, PPM),
    "taker_ppm": Number(0, PPM),
    "deposit_ppm": SHARE,
    "withdrawal_ppm": SHARE,
}
PHASE: dict[str, Field] = {"at_s": Number(0, 86_399), "days": Number(1, 127), "phase": OneOf(tuple(states.PHASES))}
LIMITS: dict[str, Field] = {
    "fee_schedule": Name(""),
    "tick_step": Number(1, schema.PRICE_TICKS_MAX, 1),
    "lot_step": Number(1, schema.QTY_LOTS_MAX, 1),
    "min_qty_lots": Number(1, schema.QTY_LOTS_MAX, 1),
    "max_qty_lots": Number(1, schema.QTY_LOTS_MAX),
    "min_notional_units": Number(1, AMOUNT_MAX, 1),
    "max_notional_units": Number(1, AMOUNT_MAX, AMOUNT_MAX),
    "max_price_ticks": Number(1, schema.PRICE_TICKS_MAX),
    "collar_ppm": SHARE,
    "trading_schedule": Name(""),
    "settlement_days": Number(0, schema.SETTLEMENT_DAYS_MAX, 0),
    "settlement_calendar": Name(""),
}
TIER_NUMBER = Number(0, schema.TIERS - 1, 0)
NO_DEFAULT = None
"""A change leaves out what it does not change."""
FIELDS: dict[int, dict[str, Field]] = {
    CommandKind.ASSET_DEFINE: {"name": Name(), "scale": Number(0, 18), "fee_schedule": Name("")},
    CommandKind.FEE_SCHEDULE_DEFINE: {"name": Name(), "burn_ppm": SHARE, "tiers": Tiers()},
    CommandKind.INSTRUMENT_DEFINE: {
        "name": Name(),
        "base": Name(),
        "quote": Name(),
        "tick_units": POSITIVE,
        "lot_units": POSITIVE,
        **LIMITS,
        "reference_price_ticks": Number(0, schema.PRICE_TICKS_MAX, 0),
    },
    CommandKind.INSTRUMENT_CHANGE: {"name": Name(), **LIMITS},
    CommandKind.ACCOUNT_DEFINE: {"name": Name(), "owner": Name(), "group": Name(NO_DEFAULT), "tier": TIER_NUMBER},
    CommandKind.ACCOUNT_CHANGE: {"name": Name(), "group": Name(), "tier": TIER_NUMBER},
    CommandKind.SESSION_DEFINE: {"name": Name()},
    CommandKind.TRADING_SCHEDULE_DEFINE: {"name": Name(), "phases": Phases()},
    CommandKind.BREAKER_DEFINE: {
        "name": Name(),
        "move_ppm": Number(0, PPM, 100_000),
        "move_window_s": Number(1, DAY_S, 60),
        "spread_ppm": Number(0, 2 * PPM, 20_000),
        "spread_s": Number(1, DAY_S, 10),
        "volume_ratio_ppm": Number(0, 100 * PPM, 2_000_000),
        "volume_window_s": Number(1, DAY_S, 60),
        "static_band_ppm": Number(0, PPM, 100_000),
        "dynamic_band_ppm": Number(0, PPM, 50_000),
        "index_silence_s": Number(0, DAY_S, 0),
        "index_silence_halts": Number(0, 1, 0),
        "correlation_with": Name(""),
        "correlation_min_ppm": Number(-PPM, PPM, 500_000),
        "correlation_samples": Number(2, schema.CORRELATION_SAMPLES_MAX, 30),
        "correlation_s": Number(1, DAY_S, 60),
        "stress_s": Number(0, DAY_S, 10),
        "stress_step": Number(1, schema.STRESS_MAX, 10),
        "group": Name(""),
        "cancel_only_s": Number(0, DAY_S, 60),
        "call_s": Number(0, DAY_S, 240),
        "extend_s": Number(0, DAY_S, 240),
    },
    CommandKind.MARKET_GROUP_DEFINE: {
        "name": Name(),
        "level_1_ppm": Number(0, PPM, 70_000),
        "level_2_ppm": Number(0, PPM, 130_000),
        "level_3_ppm": Number(0, PPM, 200_000),
        "halt_s": Number(1, DAY_S, 900),
    },
    CommandKind.SETTLEMENT_CALENDAR_DEFINE: {"name": Name(), "dates": Dates()},
    CommandKind.IDENTITY_DEFINE: identity.fields(REQUIRED, Name(), Text(64), Number),
    CommandKind.ALGO_ORDER: {
        "start_time_ns": WHOLE._replace(default=0),
        "end_time_ns": WHOLE,
        "participation_ppm": SHARE,
        "slices": Slices(),
    },
}
CHANGES = {CommandKind.INSTRUMENT_CHANGE, CommandKind.ACCOUNT_CHANGE}
UNSIGNED = {CommandKind.SESSION_DEFINE, CommandKind.ALGO_ORDER}
"""Kinds that need not say who orders this and why."""


def pack(document: Document) -> bytes:
    """A document's bytes, keys sorted at every depth."""

    def ordered(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: ordered(value[name]) for name in sorted(value)}
        return [ordered(one) for one in value] if isinstance(value, list) else value

    packed: bytes = msgpack.packb(ordered(document))
    return packed


def read_fields(given: Document, wanted: dict[str, Field], *, is_change: bool = False) -> Document | None:
    """The given fields with defaults filled in (for a change: only those given), None if they are not as wanted."""
    if not set(given) <= set(wanted):
        return None
    result = {}
    for name, form in wanted.items():
        if name in given:
            if not form.fits(given[name]):
                return None
            result[name] = given[name]
        elif is_change and name != "name" and name not in OPERATOR:
            continue
        elif form.default is REQUIRED:
            return None
        else:
            result[name] = form.default
    return result
