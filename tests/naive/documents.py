"""Documents: their form (which fields, of which type, within which bounds) and what definitions and changes do."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from kk99 import schema
from kk99.schema import AMOUNT_MAX, PPM, CommandKind, EventKind, RejectCode
from tests.naive import identity, states
from tests.naive.markets import set_transition
from tests.naive.records import Account, Asset, Instrument, RejectError, Session, refuse_if

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.naive.venue import Venue

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


Field = Number | Name | Text | Tiers | OneOf | Phases | Slices | identity.Word | identity.Listed
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


def read(kind: int, data: bytes) -> Document:
    """The document of a command with all its fields, or DOCUMENT_INVALID, OPERATOR_MISSING."""
    try:
        given = msgpack.unpackb(data)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise RejectError(RejectCode.DOCUMENT_INVALID)
    wanted = FIELDS.get(kind, {}) | ({} if kind == CommandKind.ALGO_ORDER else OPERATOR)
    document = read_fields(given, wanted, is_change=kind in CHANGES)
    if document is None or not is_consistent(kind, document):
        raise RejectError(RejectCode.DOCUMENT_INVALID)
    is_signed = document.get("actor") and document.get("reason")
    refuse_if(kind not in UNSIGNED and not is_signed, RejectCode.OPERATOR_MISSING)
    return document


def is_consistent(kind: int, document: Document) -> bool:
    """Whether the fields of a document go together."""
    if kind == CommandKind.INSTRUMENT_DEFINE:
        return is_ordered(document)
    if kind == CommandKind.IDENTITY_DEFINE:
        return identity.is_consistent(document)
    if kind == CommandKind.MARKET_GROUP_DEFINE:
        levels = [document[name] for name in ("level_1_ppm", "level_2_ppm", "level_3_ppm") if document[name]]
        return levels == sorted(set(levels))
    return True


def is_ordered(document: Document) -> bool:
    """Whether an instrument's minima are at most its maxima, and its first reference price at most its highest."""
    pairs = (
        ("min_qty_lots", "max_qty_lots"),
        ("min_notional_units", "max_notional_units"),
        ("reference_price_ticks", "max_price_ticks"),
    )
    return all(document[low] <= document[high] for low, high in pairs)


# What the definitions and changes do ----------------------------------------------------------------------------------


def named(records: dict[int, Any], name: str) -> Any:
    """The record of that name, None if there is none."""
    return next((record for record in records.values() if record.document["name"] == name), None)


def next_number(records: dict[int, Any], document: Document, first: int, bound: int) -> int:
    """The number for a new name, or NAME_TAKEN, CAPACITY_REACHED; numbers stay below the bound."""
    refuse_if(named(records, document["name"]), RejectCode.NAME_TAKEN)
    number = first + len(records)
    refuse_if(number >= bound, RejectCode.CAPACITY_REACHED)
    return number


def check_schedule(schedules: dict[str, Document], name: str) -> None:
    """A schedule's name is "" or known."""
    refuse_if(name and name not in schedules, RejectCode.REFERENCE_UNKNOWN)


def asset_define(venue: Venue, document: Document) -> None:
    """ASSET_DEFINE."""
    number = next_number(venue.assets, document, 1, schema.ASSETS_MAX)
    check_schedule(venue.schedules, document["fee_schedule"])
    document["number"] = number
    venue.assets[number] = Asset(number, document)
    venue.emit(EventKind.ASSET_DEFINED, asset_id=number, document=pack(document))


def fee_schedule_define(venue: Venue, document: Document) -> None:
    """FEE_SCHEDULE_DEFINE."""
    known = venue.schedules.get(document["name"])
    number = known["number"] if known else len(venue.schedules) + 1
    refuse_if(number >= schema.SCHEDULES_MAX, RejectCode.CAPACITY_REACHED)
    tiers = [read_fields(tier, TIER) for tier in document["tiers"]]
    tiers += [tiers[-1]] * (schema.TIERS - len(tiers))
    document |= {"number": number, "tiers": tiers}
    venue.schedules[document["name"]] = document
    venue.emit(EventKind.FEE_SCHEDULE_DEFINED, order_id=number, document=pack(document))


def trading_schedule_define(venue: Venue, document: Document) -> None:
    """TRADING_SCHEDULE_DEFINE."""
    known = venue.trading_schedules.get(document["name"])
    number = known["number"] if known else len(venue.trading_schedules) + 1
    refuse_if(number >= schema.TRADING_SCHEDULES_MAX, RejectCode.CAPACITY_REACHED)
    document["number"] = number
    venue.trading_schedules[document["name"]] = document
    venue.emit(EventKind.TRADING_SCHEDULE_DEFINED, order_id=number, document=pack(document))


def tick_lot_units(venue: Venue, document: Document, base: int) -> int:
    """Quote units of one tick of one lot, or TICK_LOT_NOT_WHOLE."""
    units, rest = divmod(
        document["tick_units"] * document["lot_units"], 10 ** int(venue.assets[base].document["scale"])
    )
    bound = AMOUNT_MAX // 2
    refuse_if(rest or units < 1, RejectCode.TICK_LOT_NOT_WHOLE)
    refuse_if(document["max_price_ticks"] * document["max_qty_lots"] * units > bound, RejectCode.TICK_LOT_NOT_WHOLE)
    refuse_if(document["max_qty_lots"] * document["lot_units"] > bound, RejectCode.TICK_LOT_NOT_WHOLE)
    return int(units)


def instrument_define(venue: Venue, document: Document) -> None:
    """INSTRUMENT_DEFINE."""
    number = next_number(venue.instruments, document, 1, schema.INSTRUMENTS_MAX)
    base, quote = named(venue.assets, document["base"]), named(venue.assets, document["quote"])
    refuse_if(base is None or quote is None or base is quote, RejectCode.REFERENCE_UNKNOWN)
    check_schedule(venue.schedules, document["fee_schedule"])
    check_schedule(venue.trading_schedules, document["trading_schedule"])
    units = tick_lot_units(venue, document, base.number)
    document["number"] = number
    reference = document["reference_price_ticks"]
    venue.instruments[number] = Instrument(number, document, base.number, quote.number, units, reference)
    set_transition(venue, venue.instruments[number])
    venue.emit(EventKind.INSTRUMENT_DEFINED, instrument_id=number, document=pack(document))


def instrument_change(venue: Venue, change: Document) -> None:
    """INSTRUMENT_CHANGE."""
    instrument = named(venue.instruments, change["name"])
    refuse_if(instrument is None, RejectCode.INSTRUMENT_UNKNOWN)
    document = instrument.document | change
    refuse_if(not is_ordered(document), RejectCode.DOCUMENT_INVALID)
    check_schedule(venue.schedules, document["fee_schedule"])
    check_schedule(venue.trading_schedules, document["trading_schedule"])
    tick_lot_units(venue, document, instrument.base)
    is_other = document["trading_schedule"] != instrument.document["trading_schedule"]
    instrument.document = document
    if is_other:
        set_transition(venue, instrument)
    venue.emit(EventKind.INSTRUMENT_CHANGED, instrument_id=instrument.number, document=pack(document))


def account_define(venue: Venue, document: Document) -> None:
    """ACCOUNT_DEFINE."""
    number = next_number(venue.accounts, document, schema.VENUE_ACCOUNTS, schema.ACCOUNTS_MAX)
    document |= {"number": number, "group": document["group"] or document["owner"]}
    venue.accounts[number] = Account(number, document)
    venue.emit(EventKind.ACCOUNT_DEFINED, account_id=number, document=pack(document))


def account_change(venue: Venue, change: Document) -> None:
    """ACCOUNT_CHANGE."""
    account = named(venue.accounts, change["name"])
    refuse_if(account is None, RejectCode.ACCOUNT_UNKNOWN)
    account.document = account.document | change
    venue.emit(EventKind.ACCOUNT_CHANGED, account_id=account.number, document=pack(account.document))


def session_define(venue: Venue, document: Document) -> None:
    """SESSION_DEFINE."""
    number = next_number(venue.sessions, document, 1, schema.SESSIONS_MAX)
    document["number"] = number
    venue.sessions[number] = Session(number, document)
    venue.emit(EventKind.SESSION_DEFINED, order_id=number, document=pack(document))


DEFINITIONS: dict[int, Callable[[Venue, Document], None]] = {
    CommandKind.ASSET_DEFINE: asset_define,
    CommandKind.FEE_SCHEDULE_DEFINE: fee_schedule_define,
    CommandKind.INSTRUMENT_DEFINE: instrument_define,
    CommandKind.INSTRUMENT_CHANGE: instrument_change,
    CommandKind.ACCOUNT_DEFINE: account_define,
    CommandKind.ACCOUNT_CHANGE: account_change,
    CommandKind.SESSION_DEFINE: session_define,
    CommandKind.TRADING_SCHEDULE_DEFINE: trading_schedule_define,
    CommandKind.IDENTITY_DEFINE: lambda venue, document: identity.identity_define(venue, document, pack),
}
