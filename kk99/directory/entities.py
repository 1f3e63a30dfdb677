"""What the directory knows, as typed records: one dataclass per entity, its fields those of the canonical document.

`entity(**unpacked document)` makes one; that the names agree with the table in `fields.py` is a test.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """What every entity has: number, name, and who last changed it and why."""

    number: int
    name: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset(Entity):
    """An asset: one whole is 10^scale units."""

    scale: int
    fee_schedule: str


@dataclass(frozen=True, slots=True)
class TierRates:
    """Rates of one tier, in millionths."""

    maker_ppm: int
    taker_ppm: int
    deposit_ppm: int
    withdrawal_ppm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeSchedule(Entity):
    """A fee schedule; `tiers` has `schema.TIERS` entries."""

    burn_ppm: int
    tiers: tuple[TierRates, ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """A transition of a trading schedule: on days (bit 0 is Monday), at a second of the day in UTC."""

    at_s: int
    days: int
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingSchedule(Entity):
    """A trading schedule, its phases in the order given."""

    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementCalendar(Entity):
    """The business dates on which trades can settle: days since 1970, rising."""

    dates: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument(Entity):
    """A spot instrument; `base` and `quote` are names of assets."""

    base: str
    quote: str
    tick_units: int
    lot_units: int
    fee_schedule: str
    tick_step: int
    lot_step: int
    min_qty_lots: int
    max_qty_lots: int
    min_notional_units: int
    max_notional_units: int
    max_price_ticks: int
    collar_ppm: int
    trading_schedule: str
    settlement_days: int
    settlement_calendar: str
    reference_price_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker(Entity):
    """The circuit breaker of the instrument of its name."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketGroup(Entity):
    """A market group: how far its index falls until its instruments are halted."""

    level_1_ppm: int
    level_2_ppm: int
    level_3_ppm: int
    halt_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(Entity):
    """An account; `group` is the scope of self-trade prevention."""

    owner: str
    group: str
    tier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Entity):
    """A session of a gateway or client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(Entity):
    """Who may log on to a gateway, as what, from where, with what, and for which accounts."""

    kind: str
    state: str
    role: str
    accounts: tuple[str, ...]
    addresses: tuple[str, ...]
    username: str
    credential: str
    certificates: tuple[str, ...]
    venue_comp_id: str
    cancel_on_disconnect: int
    messages_per_s: int
    messages_burst: int
    newer_tags: int
    microseconds: int
