"""Decimal text to ticks, lots and units and back, exactly, for whoever speaks with people and outside protocols.

Invariants: no float and no rounding anywhere; what is finer than a tick, a lot or a unit is an `InputError`; text out
reads back to the same number. Steps, minima and maxima are the core's to check.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Self

from kk99.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN: Final = re.compile(r"(-?)([0-9]{1,40})(?:\.([0-9]{1,40}))?")
_INT64_MAX: Final = (1 << 63) - 1


def amount_units(amount: str | Decimal, scale: int) -> int:
    """Return an amount in units of 10^-scale, or raise `InputError`: not decimal, finer than a unit, beyond int64."""
    if isinstance(amount, Decimal):
        if not amount.is_finite() or abs(amount.adjusted()) >= 40:
            raise InputError(f"{amount} is not a number of this venue")
        amount = format(amount, "f")
    match = _PLAIN.fullmatch(amount)
    if match is None:
        raise InputError(f"{amount[:80]!r} is not a plain decimal number such as 12.5")
    sign, whole, fraction = match.group(1), match.group(2), (match.group(3) or "").rstrip("0")
    if len(fraction) > scale:
        raise InputError(f"{amount} has more than {scale} decimal places")
    units = int(whole + fraction.ljust(scale, "0"))
    if units > _INT64_MAX:
        raise InputError(f"{amount} is too large")
    return -units if sign else units


def amount_text(units: int, scale: int) -> str:
    """Return units of 10^-scale as plain decimal text with `scale` places."""
    digits = str(abs(units)).rjust(scale + 1, "0")
    text = digits[: len(digits) - scale] + ("." + digits[len(digits) - scale :] if scale else "")
    return "-" + text if units < 0 else text


@dataclass(frozen=True, slots=True)
class Precision:
    """How an instrument's prices and quantities are written: its tick and lot in units, its assets' decimal places."""

    tick_units: int
    lot_units: int
    base_scale: int
    quote_scale: int

    @classmethod
    def of(cls, instrument: Mapping[str, Any], base: Mapping[str, Any], quote: Mapping[str, Any]) -> Self:
        """Return the precision that the documents of an instrument and its two assets give."""
        return cls(instrument["tick_units"], instrument["lot_units"], base["scale"], quote["scale"])

    def price_ticks(self, price: str | Decimal) -> int:
        """Return a price (quote per whole base) in ticks, or raise `InputError` when it is off-tick."""
        return _whole(amount_units(price, self.quote_scale), self.tick_units, price, "ticks")

    def qty_lots(self, qty: str | Decimal) -> int:
        """Return a quantity of base in lots, or raise `InputError` when it is off-lot."""
        return _whole(amount_units(qty, self.base_scale), self.lot_units, qty, "lots")

    def price_text(self, price_ticks: int) -> str:
        """Return a price as decimal text, with the places that one tick needs."""
        return _text(price_ticks, self.tick_units, self.quote_scale)

    def qty_text(self, qty_lots: int) -> str:
        """Return a quantity as decimal text, with the places that one lot needs."""
        return _text(qty_lots, self.lot_units, self.base_scale)


def _whole(units: int, size_units: int, given: str | Decimal, what: str) -> int:
    if units % size_units:
        raise InputError(f"{given} is not a whole number of {what}")
    return units // size_units


def _text(count: int, size_units: int, scale: int) -> str:
    while scale and size_units % 10 == 0:
        size_units //= 10
        scale -= 1
    return amount_text(count * size_units, scale)
