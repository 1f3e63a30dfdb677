"""What documents define, written into the core's tables: the numbers that the kernel needs, each where it reads it.

Every function takes the state and plain numbers that the directory has checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kk99 import schema
from kk99.core import apply, phases, watching
from kk99.core import breaker_layout as bl
from kk99.core import layout as lay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kk99.core.state import State


SECOND_NS: Final = 1_000_000_000


def _pair(first: int, second: int) -> int:
    return (first & 0xFFFFFFFF) | (second << 32)


def _count(state: State, header: int, number: int) -> None:
    state.words[lay.HEADER + header] = max(state.header(header), number)


def asset(state: State, number: int, schedule_number: int) -> None:
    """Write a new asset, with the venue's own balances in it."""
    at = lay.ASSETS + number * lay.ASSET_WORDS
    fees = apply.define_balance(state.handle, state.handle, schema.FEES_ACCOUNT, number)
    burned = apply.define_balance(state.handle, state.handle, schema.BURNED_ACCOUNT, number)
    clearing = apply.define_balance(state.handle, state.handle, schema.CLEARING_ACCOUNT, number)
    state.words[at : at + 7] = (0, 0, 0, schedule_number, fees, burned, clearing)
    _count(state, lay.H_ASSETS, number)


def schedule(state: State, number: int, burn_ppm: int, tiers: Sequence[tuple[int, int, int, int]]) -> None:
    """Write a fee schedule: (maker, taker, deposit, withdrawal) ppm for each tier."""
    at = lay.SCHEDULES + number * lay.SCHEDULE_WORDS
    state.words[at + lay.F_BURN_PPM] = burn_ppm
    for tier, (maker, taker, deposit, withdrawal) in enumerate(tiers):
        state.words[at + lay.F_TIERS + 2 * tier] = _pair(maker, taker)
        state.words[at + lay.F_TIERS + 2 * tier + 1] = _pair(deposit, withdrawal)
    _count(state, lay.H_SCHEDULES, number)


def trading_schedule(state: State, number: int, listed: Sequence[tuple[int, int, int, int]]) -> None:
    """Write a trading schedule: (second of the day, days, market state, purpose of a call) of each phase."""
    at = lay.TRADING + number * lay.TRADING_WORDS
    words = [
        at_s | days << phases.PHASE_DAYS_SHIFT | to << phases.PHASE_STATE_SHIFT | purpose << phases.PHASE_PURPOSE_SHIFT
        for at_s, days, to, purpose in listed
    ]
    state.words[at : at + lay.TRADING_WORDS] = [len(words), *words] + [0] * (lay.TRADING_WORDS - 1 - len(words))
    _count(state, lay.H_TRADING_SCHEDULES, number)


def instrument(state: State, number: int, *, base: int, quote: int, tick_lot_units: int, lot_units: int) -> None:
    """Write a new instrument's assets and units; its limits follow with `limits`."""
    at = lay.INSTRUMENTS + number * lay.INSTRUMENT_WORDS
    state.words[at : at + 5] = (schema.MarketState.PRE_OPEN, base, quote, tick_lot_units, lot_units)
    state.words[at + lay.I_BAND_HIGH] = lay.NEVER_UP
    for book in range(lay.TRIGGER_BOOKS):
        state.words[at + lay.I_TRIGGERS + book] = lay.NEVER_UP if book % 2 else lay.NEVER_DOWN
    _count(state, lay.H_INSTRUMENTS, number)


def limits(state: State, number: int, limit: Any, reference_price_ticks: int | None = None) -> None:
    """Write an instrument's limits (a directory decision's fields of those names) and the collar that follows."""
    at = lay.INSTRUMENTS + number * lay.INSTRUMENT_WORDS
    state.words[at + lay.I_TICK_STEP : at + lay.I_COLLAR_PPM + 1] = (
        limit.tick_step,
        limit.lot_step,
        limit.min_qty_lots,
        limit.max_qty_lots,
        limit.min_notional_units,
        limit.max_notional_units,
        limit.max_price_ticks,
        limit.collar_ppm,
    )
    state.words[at + lay.I_SCHEDULE] = limit.schedule_number
    days = limit.settlement_days
    state.words[at + lay.I_SETTLEMENT] = _pair(days, limit.calendar_number) if days else 0
    state.words[at + lay.I_TRADE_DATE] = 0
    phases.give_schedule(state.handle, state.handle, number, limit.trading_number)
    if reference_price_ticks is not None:
        state.words[at + lay.I_REFERENCE] = reference_price_ticks
    apply.refresh_collar(state.handle, state.handle, number)


def calendar(state: State, number: int, dates: Sequence[int]) -> None:
    """Write a settlement calendar; instruments find their value dates anew."""
    at = lay.CALENDARS + number * lay.CALENDAR_WORDS
    state.words[at : at + lay.CALENDAR_WORDS] = 0
    state.words[at] = len(dates)
    state.words[at + 1 : at + 1 + len(dates)] = dates
    _count(state, lay.H_CALENDARS, number)
    instruments = state.records(lay.INSTRUMENTS, state.header(lay.H_INSTRUMENTS) + 1, lay.INSTRUMENT_WORDS)
    instruments[instruments[:, lay.I_SETTLEMENT] >> 32 == number, lay.I_TRADE_DATE] = 0


def breaker(state: State, one: Any, instrument_id: int, other_id: int, group_number: int) -> None:
    """Write an instrument's circuit breaker (the directory's record of it), which follows it from now on."""
    at = lay.BREAKERS + one.number * lay.BREAKER_WORDS
    state.words[at : at + bl.B_EXTEND_NS + 1] = (
        instrument_id,
        one.move_ppm,
        one.move_window_s * SECOND_NS // schema.MOVE_SLOTS,
        one.spread_ppm,
        one.spread_s * SECOND_NS,
        one.volume_ratio_ppm,
        one.volume_window_s * SECOND_NS,
        one.static_band_ppm,
        one.dynamic_band_ppm,
        one.index_silence_s,
        one.index_silence_halts,
        other_id,
        one.correlation_min_ppm,
        one.correlation_samples,
        one.correlation_s * SECOND_NS,
        one.stress_s * SECOND_NS,
        one.stress_step,
        group_number,
        one.cancel_only_s * SECOND_NS,
        one.call_s * SECOND_NS,
        one.extend_s * SECOND_NS,
    )
    _count(state, lay.H_BREAKERS, one.number)
    watching.define(state.handle, state.handle, instrument_id, one.number)


def market_group(state: State, number: int, levels: tuple[int, int, int], halt_s: int) -> None:
    """Write the levels at which a market group halts, in millionths, and for how long."""
    at = lay.GROUPS + number * lay.GROUP_WORDS
    state.words[at : at + bl.G_HALT_NS + 1] = (*levels, halt_s * SECOND_NS)
    _count(state, lay.H_MARKET_GROUPS, number)


def stage(state: State, start_time_ns: int, end_time_ns: int, participation_ppm: int, slices: list[list[int]]) -> None:
    """Stage the schedule of an order that the core is to judge: (offset in ns, lots) of each slice."""
    words = [start_time_ns, end_time_ns, participation_ppm, len(slices), *(word for one in slices for word in one)]
    state.words[lay.STAGED : lay.STAGED + len(words)] = words


def account(state: State, number: int, group_number: int, tier: int) -> None:
    """Write an account's group and tier; a new one is active."""
    at = lay.ACCOUNTS + number * lay.ACCOUNT_WORDS
    account_state = int(state.words[at + lay.C_STATE]) & 0xFFFFFFFF
    state.words[at + lay.C_GROUP] = group_number
    state.words[at + lay.C_STATE] = _pair(account_state, tier)
    _count(state, lay.H_ACCOUNTS, number)


def session(state: State, number: int) -> None:
    """Write a new session, not yet opened."""
    _count(state, lay.H_SESSIONS, number)
