"""Builders of commands that carry a document: definitions, changes, and what operators order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import msgpack

from kk99 import schema
from kk99.batch import Commands
from kk99.build.rows import NO_COLD, rows_of
from kk99.errors import InputError
from kk99.schema import CommandKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kk99.build.rows import Ints


class Operator(TypedDict):
    """Who orders a document and why."""

    actor: str
    reason: str


class Limits(TypedDict, total=False):
    """Fields of an instrument that can be left out when it is defined, and changed later."""

    fee_schedule: str
    trading_schedule: str
    settlement_days: int
    settlement_calendar: str
    tick_step: int
    lot_step: int
    min_qty_lots: int
    min_notional_units: int
    max_notional_units: int
    collar_ppm: int


class InstrumentOptions(Limits, Operator, total=False):
    """What `instrument` takes beside what it must have; actor and reason are required."""

    reference_price_ticks: int


class InstrumentChanges(Limits, Operator, total=False):
    """What `instrument_change` takes beside the name; actor and reason are required."""

    max_qty_lots: int
    max_price_ticks: int


class AccountChanges(Operator, total=False):
    """What `account_change` takes beside the name; actor and reason are required."""

    group: str
    tier: int


class Phase(TypedDict):
    """A transition of a trading schedule, from which on a market is in a phase.

    `at_s` is the second of the day in UTC, `days` a bit for each day of the week (bit 0 is Monday), `phase` one of
    PRE_OPEN, OPENING_CALL, OPEN, CLOSING_CALL, CLOSED.
    """

    at_s: int
    days: int
    phase: str


class Thresholds(Operator, total=False):
    """What `breaker` takes beside the instrument's name; actor and reason are required."""

    move_ppm: int
    move_window_s: int
    spread_ppm: int
    spread_s: int
    volume_ratio_ppm: int
    volume_window_s: int
    static_band_ppm: int
    dynamic_band_ppm: int
    index_silence_s: int
    index_silence_halts: int
    correlation_with: str
    correlation_min_ppm: int
    correlation_samples: int
    correlation_s: int
    stress_s: int
    stress_step: int
    group: str
    cancel_only_s: int
    call_s: int
    extend_s: int


class GroupLevels(Operator, total=False):
    """What `market_group` takes beside the name; actor and reason are required."""

    level_1_ppm: int
    level_2_ppm: int
    level_3_ppm: int
    halt_s: int


class IdentityFields(Operator, total=False):
    """What `identity` takes beside name and kind; actor and reason are required."""

    state: str
    role: str
    accounts: Sequence[str]
    addresses: Sequence[str]
    username: str
    credential: str
    certificates: Sequence[str]
    venue_comp_id: str
    cancel_on_disconnect: int
    messages_per_s: int
    messages_burst: int
    newer_tags: int
    microseconds: int


class Rates(TypedDict, total=False):
    """Rates of one tier in millionths; maker and taker are required."""

    maker_ppm: int
    taker_ppm: int
    deposit_ppm: int
    withdrawal_ppm: int


def document(kind: CommandKind, fields: Mapping[str, Any], **row: Ints) -> Commands:
    """Return one command of a kind with a document of these fields, whatever they are, or raise `InputError`."""
    try:
        data = bytes(msgpack.packb(fields))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"a document can't hold these fields: {error}") from error
    if len(data) > schema.DOCUMENT_BYTES_MAX:
        raise InputError(f"a document of {len(data)} bytes is longer than {schema.DOCUMENT_BYTES_MAX}")
    return Commands(rows_of(kind, document_size=len(data), **row), NO_COLD, data)


def asset(name: str, scale: int, fee_schedule: str = "", **operator: Unpack[Operator]) -> Commands:
    """Define an asset, one whole of which is 10^scale units."""
    fields = {"name": name, "scale": scale, "fee_schedule": fee_schedule}
    return document(CommandKind.ASSET_DEFINE, fields | operator)


def fee_schedule(name: str, tiers: Sequence[Rates], burn_ppm: int = 0, **operator: Unpack[Operator]) -> Commands:
    """Define a fee schedule, or give a known one new rates; missing tiers are as the last."""
    fields = {"name": name, "burn_ppm": burn_ppm, "tiers": list(tiers)}
    return document(CommandKind.FEE_SCHEDULE_DEFINE, fields | operator)


def trading_schedule(name: str, phases: Sequence[Phase], **operator: Unpack[Operator]) -> Commands:
    """Define a trading schedule, or give a known one other phases."""
    return document(CommandKind.TRADING_SCHEDULE_DEFINE, {"name": name, "phases": list(phases)} | operator)


def settlement_calendar(name: str, dates: Sequence[int], **operator: Unpack[Operator]) -> Commands:
    """Define a settlement calendar by its business dates (days since 1970, rising), or give a known one others."""
    return document(CommandKind.SETTLEMENT_CALENDAR_DEFINE, {"name": name, "dates": list(dates)} | operator)


def breaker(name: str, **thresholds: Unpack[Thresholds]) -> Commands:
    """Define the circuit breaker of an instrument; what is left out has the default of the reference page."""
    return document(CommandKind.BREAKER_DEFINE, {"name": name, **thresholds})


def market_group(name: str, **levels: Unpack[GroupLevels]) -> Commands:
    """Define a market group, or give a known one other levels."""
    return document(CommandKind.MARKET_GROUP_DEFINE, {"name": name, **levels})


def identity(name: str, kind: str, **fields: Unpack[IdentityFields]) -> Commands:
    """Define an identity, or give a known one another document; what is left out has the default of the reference."""
    return document(CommandKind.IDENTITY_DEFINE, {"name": name, "kind": kind, **fields})


def instrument(
    name: str,
    base: str,
    quote: str,
    *,
    tick_units: int,
    lot_units: int,
    max_price_ticks: int,
    max_qty_lots: int,
    **options: Unpack[InstrumentOptions],
) -> Commands:
    """Define a spot instrument; what is left out has the default of the reference page."""
    fields = {
        "name": name,
        "base": base,
        "quote": quote,
        "tick_units": tick_units,
        "lot_units": lot_units,
        "max_price_ticks": max_price_ticks,
        "max_qty_lots": max_qty_lots,
    }
    return document(CommandKind.INSTRUMENT_DEFINE, fields | options)


def instrument_change(name: str, **changes: Unpack[InstrumentChanges]) -> Commands:
    """Change limits, collar or fee schedule of an instrument; what is left out stays."""
    return document(CommandKind.INSTRUMENT_CHANGE, {"name": name, **changes})


def account(name: str, owner: str, group: str = "", tier: int = 0, **operator: Unpack[Operator]) -> Commands:
    """Define an account; no group means the owner's."""
    fields = {"name": name, "owner": owner, "group": group or owner, "tier": tier}
    return document(CommandKind.ACCOUNT_DEFINE, fields | operator)


def account_change(name: str, **changes: Unpack[AccountChanges]) -> Commands:
    """Change group or tier of an account; what is left out stays."""
    return document(CommandKind.ACCOUNT_CHANGE, {"name": name, **changes})


def session(name: str) -> Commands:
    """Define a session."""
    return document(CommandKind.SESSION_DEFINE, {"name": name})


def instrument_state(instrument_id: int, state: int, **operator: Unpack[Operator]) -> Commands:
    """Put a market into a MarketState."""
    return document(CommandKind.INSTRUMENT_STATE, operator, instrument_id=instrument_id, state=state)


def account_state(account_id: int, state: int, **operator: Unpack[Operator]) -> Commands:
    """Put an account into an AccountState."""
    return document(CommandKind.ACCOUNT_STATE, operator, account_id=account_id, state=state)


def reference_price(instrument_id: int, price_ticks: int, **operator: Unpack[Operator]) -> Commands:
    """Set the price from which the collar is measured."""
    return document(CommandKind.REFERENCE_PRICE, operator, instrument_id=instrument_id, price_ticks=price_ticks)


def trade_bust(trade_id: int, **operator: Unpack[Operator]) -> Commands:
    """Undo a trade."""
    return document(CommandKind.TRADE_BUST, operator, target_lo=trade_id)


def trade_correct(trade_id: int, price_ticks: int, qty_lots: int, **operator: Unpack[Operator]) -> Commands:
    """Give a trade another price or a smaller quantity."""
    return document(CommandKind.TRADE_CORRECT, operator, target_lo=trade_id, price_ticks=price_ticks, qty_lots=qty_lots)


def settlement_penalty(
    account_id: int, asset_id: int, value_date: int, amount_units: int, **operator: Unpack[Operator]
) -> Commands:
    """Pay an account, out of the venue's fees, for an obligation that failed to settle."""
    return document(
        CommandKind.SETTLEMENT_PENALTY,
        operator,
        account_id=account_id,
        asset_id=asset_id,
        target_lo=value_date,
        amount_units=amount_units,
    )
