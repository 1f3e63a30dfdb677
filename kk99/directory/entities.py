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
    reference_price_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(Entity):
    """An account; `group` is the scope of self-trade prevention."""

    owner: str
    group: str
    tier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Entity):
    """A session of a gateway or client."""
