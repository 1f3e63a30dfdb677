"""What documents define, written into the core's tables: the numbers that the kernel needs, each where it reads it.

Every function takes the state and plain numbers that the directory has checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kk99 import schema
from kk99.core import apply
from kk99.core import layout as lay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kk99.core.state import State


def _pair(first: int, second: int) -> int:
    return (first & 0xFFFFFFFF) | (second << 32)


def _count(state: State, header: int, number: int) -> None:
    state.words[lay.HEADER + header] = max(state.header(header), number)


def asset(state: State, number: int, schedule_number: int) -> None:
    """Write a new asset, with the venue's own balances in it."""
    at = lay.ASSETS + number * lay.ASSET_WORDS
    fees = apply.define_balance(state.handle, state.handle, schema.FEES_ACCOUNT, number)
    burned = apply.define_balance(state.handle, state.handle, schema.BURNED_ACCOUNT, number)
    state.words[at : at + 6] = (0, 0, 0, schedule_number, fees, burned)
    _count(state, lay.H_ASSETS, number)


def schedule(state: State, number: int, burn_ppm: int, tiers: Sequence[tuple[int, int, int, int]]) -> None:
    """Write a fee schedule: (maker, taker, deposit, withdrawal) ppm for each tier."""
    at = lay.SCHEDULES + number * lay.SCHEDULE_WORDS
    state.words[at + lay.F_BURN_PPM] = burn_ppm
    for tier, (maker, taker, deposit, withdrawal) in enumerate(tiers):
        state.words[at + lay.F_TIERS + 2 * tier] = _pair(maker, taker)
        state.words[at + lay.F_TIERS + 2 * tier + 1] = _pair(deposit, withdrawal)
    _count(state, lay.H_SCHEDULES, number)


def instrument(state: State, number: int, *, base: int, quote: int, tick_lot_units: int, lot_units: int) -> None:
    """Write a new instrument's assets and units; its limits follow with `limits`."""
    at = lay.INSTRUMENTS + number * lay.INSTRUMENT_WORDS
    state.words[at : at + 5] = (schema.MarketState.PRE_OPEN, base, quote, tick_lot_units, lot_units)
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
    if reference_price_ticks is not None:
        state.words[at + lay.I_REFERENCE] = reference_price_ticks
    apply.refresh_collar(state.handle, state.handle, number)


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
