"""Documents: how they are read, and what definitions and changes do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from kk99 import schema
from kk99.schema import AMOUNT_MAX, CommandKind, EventKind, RejectCode
from tests.naive import identity
from tests.naive.fields import CHANGES, FIELDS, OPERATOR, TIER, UNSIGNED, Document, pack, read_fields
from tests.naive.markets import set_transition
from tests.naive.records import Account, Asset, Instrument, RejectError, Session, refuse_if

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.naive.venue import Venue


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


def settlement_calendar_define(venue: Venue, document: Document) -> None:
    """SETTLEMENT_CALENDAR_DEFINE."""
    known = venue.calendars.get(document["name"])
    number = known["number"] if known else len(venue.calendars) + 1
    refuse_if(number >= schema.CALENDARS_MAX, RejectCode.CAPACITY_REACHED)
    document["number"] = number
    venue.calendars[document["name"]] = document
    venue.emit(EventKind.SETTLEMENT_CALENDAR_DEFINED, order_id=number, document=pack(document))


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
    check_schedule(venue.calendars, document["settlement_calendar"])
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
    check_schedule(venue.calendars, document["settlement_calendar"])
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
    CommandKind.SETTLEMENT_CALENDAR_DEFINE: settlement_calendar_define,
}
