"""What a circuit breaker remembers, and the measures that are mere sums: bands, moves, spread, volume, returns."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from kk99 import schema
from kk99.schema import PPM, BreakerReason
from tests.naive.clock import SECOND_NS

if TYPE_CHECKING:
    from tests.naive.states import State


class Trip(NamedTuple):
    """What a breaker measured, and why it halts or alerts."""

    reason: BreakerReason
    side: int
    price_ticks: int
    measure: int
    threshold: int


class Band(NamedTuple):
    """Prices that may trade, both ends allowed."""

    reason: BreakerReason
    centre_ticks: int
    ppm: int

    @property
    def width_ticks(self) -> int:
        """How far from its centre prices may be."""
        return self.centre_ticks * self.ppm // PPM

    @property
    def low_ticks(self) -> int:
        """The lowest price allowed."""
        return self.centre_ticks - self.width_ticks

    @property
    def high_ticks(self) -> int:
        """The highest price allowed."""
        return self.centre_ticks + self.width_ticks


@dataclass
class Recovery:
    """A halt on its way back to trading."""

    ends_in: State
    timer: int
    is_in_call: bool = False
    is_extended: bool = False


@dataclass(eq=False)
class Breaker:
    """The breaker of an instrument: its document as it now stands, and what it has seen."""

    number: int
    document: dict[str, Any]
    instrument_number: int
    static_ticks: int
    """The static reference, 0 is none."""
    is_watching: bool = False
    began_ns: int = 0
    """When it began to watch."""
    bands: list[Band] = field(default_factory=list)
    """Those in force, the static one first."""
    stop: Trip | None = None
    """The band that stopped an aggressor since the last look."""
    taken: list[tuple[int, int]] = field(default_factory=list)
    """(time, price): every price taken into the window of the move since it began to watch."""
    volumes: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Lots by number of the window."""
    alerted_window: int = -1
    base: tuple[int, int] | None = None
    """The prices from which the next returns are counted."""
    samples: list[tuple[int, int]] = field(default_factory=list)
    """All pairs of returns since it began to watch."""
    is_uncorrelated: bool = False
    """Whether the last correlation was below the threshold."""
    told_stress: int = 0
    spread_timer: int = 0
    silence_timer: int = 0
    stress_timer: int = 0
    correlation_timer: int = 0
    recovery: Recovery | None = None

    # Bands ------------------------------------------------------------------------------------------------------------

    @property
    def static_band(self) -> Band:
        """The static band, also if it is off."""
        return Band(BreakerReason.STATIC_BAND, self.static_ticks, self.document["static_band_ppm"])

    def set_bands(self, last_ticks: int) -> None:
        """Put the bands in force that are on."""
        dynamic = Band(BreakerReason.DYNAMIC_BAND, last_ticks, self.document["dynamic_band_ppm"])
        self.bands = [band for band in (self.static_band, dynamic) if band.ppm and band.centre_ticks]

    # Move -------------------------------------------------------------------------------------------------------------

    def window(self, time_ns: int) -> list[int]:
        """The prices in the window of the move: those since its first slot began, and the last one before that."""
        slot_ns = self.document["move_window_s"] * SECOND_NS // schema.MOVE_SLOTS
        first_ns = (time_ns // slot_ns - (schema.MOVE_SLOTS - 1)) * slot_ns
        before = [price for at_ns, price in self.taken if at_ns < first_ns]
        return before[-1:] + [price for at_ns, price in self.taken if at_ns >= first_ns]

    def moves(self, time_ns: int, price_ticks: int) -> tuple[int, int]:
        """How far a price in the window is above its lowest and below its highest."""
        prices = self.window(time_ns)
        low, high = min(prices), max(prices)
        return (price_ticks - low) * PPM // low, (high - price_ticks) * PPM // high

    # Volume -----------------------------------------------------------------------------------------------------------

    def volume_window(self, time_ns: int) -> int:
        """The number of the window of the volume."""
        number: int = time_ns // (self.document["volume_window_s"] * SECOND_NS)
        return number

    def volume_limit(self, time_ns: int) -> int:
        """What may be traded in the present window, 0 if not known."""
        window, ratio_ppm = self.volume_window(time_ns), self.document["volume_ratio_ppm"]
        before = sum(self.volumes[window - back] for back in range(1, schema.VOLUME_WINDOWS + 1))
        average = before // schema.VOLUME_WINDOWS
        if average == 0 or window <= schema.VOLUME_WINDOWS + self.volume_window(self.began_ns):
            return 0
        limit: int = max(average * ratio_ppm // PPM, 1)
        return limit


def spread_of(bid_ticks: int | None, ask_ticks: int | None) -> int | None:
    """The spread in millionths of the middle, None without one."""
    if bid_ticks is None or ask_ticks is None or ask_ticks < bid_ticks:
        return None
    return 2 * (ask_ticks - bid_ticks) * PPM // (bid_ticks + ask_ticks)


def return_of(price_ticks: int, base_ticks: int) -> int:
    """A return in whole hundred-thousandths."""
    change = (price_ticks - base_ticks) * schema.RETURN_UNITS // base_ticks
    return max(-schema.RETURN_MAX, min(change, schema.RETURN_MAX))


def correlation_of(samples: list[tuple[int, int]]) -> int | None:
    """The correlation of pairs in millionths, None without one."""
    n = len(samples)
    sum_x, sum_y = sum(x for x, _ in samples), sum(y for _, y in samples)
    c = n * sum(x * y for x, y in samples) - sum_x * sum_y
    u = n * sum(x * x for x, _ in samples) - sum_x * sum_x
    v = n * sum(y * y for _, y in samples) - sum_y * sum_y
    d = isqrt(u * 2**22) * isqrt(v * 2**22) // 2**22
    return max(-PPM, min(c * PPM // d, PPM)) if d > 0 else None
