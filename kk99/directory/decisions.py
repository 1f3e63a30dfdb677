"""What the directory answers to a document: a refusal, or the numbers the kernel needs and the event's document.

A schedule number of 0 is "no fees", a trading number of 0 "no trading schedule". `document` is canonical msgpack: the
whole thing as it now stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kk99.directory.entities import Breaker, Phase, TierRates
    from kk99.schema import RejectCode


@dataclass(frozen=True, slots=True)
class Reject:
    """The document changed nothing."""

    code: RejectCode


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineAsset:
    """A new asset has its number."""

    number: int
    scale: int
    schedule_number: int
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineSchedule:
    """A fee schedule, new or known, has these rates; `tiers` has `schema.TIERS` entries."""

    number: int
    burn_ppm: int
    tiers: tuple[TierRates, ...]
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineTradingSchedule:
    """A trading schedule, new or known, has these phases."""

    number: int
    phases: tuple[Phase, ...]
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineBreaker:
    """An instrument has this circuit breaker; `other_id` (to correlate with) and `group_number` are 0 for none."""

    breaker: Breaker
    instrument_id: int
    other_id: int
    group_number: int
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineMarketGroup:
    """A market group, new or known, has these levels, in millionths."""

    number: int
    levels: tuple[int, int, int]
    halt_s: int
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineCalendar:
    """A settlement calendar, new or known, has these business dates."""

    number: int
    dates: tuple[int, ...]
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """What an instrument's definition and change both tell."""

    number: int
    schedule_number: int
    trading_number: int
    settlement_days: int
    calendar_number: int
    tick_step: int
    lot_step: int
    min_qty_lots: int
    max_qty_lots: int
    min_notional_units: int
    max_notional_units: int
    max_price_ticks: int
    collar_ppm: int
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeInstrument(_Limits):
    """An instrument has these limits, whether or not each is new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineInstrument(_Limits):
    """A new instrument has its number; `base` and `quote` are asset numbers, `tick_lot_units` is tick times lot."""

    base: int
    quote: int
    lot_units: int
    tick_lot_units: int
    reference_price_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """What an account's definition and change both tell."""

    number: int
    group_number: int
    tier: int
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAccount(_Standing):
    """An account has this group and tier, whether or not each is new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineAccount(_Standing):
    """A new account has its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineSession:
    """A new session has its number."""

    number: int
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineIdentity:
    """An identity, new or known, stands as the document says; the kernel knows nothing of it."""

    number: int
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule for an order; the order itself is in the row, and both are the kernel's to judge.

    `slices` are the [offset_ns, qty_lots] of each.
    """

    start_time_ns: int
    end_time_ns: int
    participation_ppm: int
    slices: list[list[int]]
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Operate:
    """The document says who and why; all else is in the row and the kernel's to judge."""

    document: bytes


Decision = (
    Reject
    | DefineAsset
    | DefineSchedule
    | DefineTradingSchedule
    | DefineCalendar
    | DefineInstrument
    | DefineBreaker
    | DefineMarketGroup
    | ChangeInstrument
    | DefineAccount
    | ChangeAccount
    | DefineSession
    | DefineIdentity
    | Schedule
    | Operate
)
