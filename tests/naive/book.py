"""One instrument's resting orders: for each side a list of prices and for each price a list of orders in time order."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from kk99.schema import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.naive.records import Order


def opposite(side: int) -> int:
    """The other side."""
    return Side.SELL if side == Side.BUY else Side.BUY


def crosses(side: int, limit_ticks: int, price_ticks: int) -> bool:
    """Whether an order of that side and limit may trade at the price."""
    return limit_ticks >= price_ticks if side == Side.BUY else limit_ticks <= price_ticks


class Book:
    """Two sides of resting orders."""

    def __init__(self) -> None:
        self.prices: dict[int, list[int]] = {Side.BUY: [], Side.SELL: []}
        self.levels: dict[int, dict[int, list[Order]]] = {Side.BUY: {}, Side.SELL: {}}

    def add(self, order: Order) -> None:
        """Rest an order at the back of its level."""
        level = self.levels[order.side].get(order.limit_ticks)
        if level is None:
            level = self.levels[order.side][order.limit_ticks] = []
            bisect.insort(self.prices[order.side], order.limit_ticks)
        level.append(order)

    def remove(self, order: Order) -> None:
        """Take a resting order off."""
        level = self.levels[order.side][order.limit_ticks]
        level.remove(order)
        if not level:
            del self.levels[order.side][order.limit_ticks]
            self.prices[order.side].remove(order.limit_ticks)

    def has(self, order: Order) -> bool:
        """Whether the order rests here."""
        return order in self.levels[order.side].get(order.limit_ticks, ())

    def best_price(self, side: int) -> int | None:
        """The best price of a side, None when the side is empty."""
        prices = self.prices[side]
        if not prices:
            return None
        return prices[-1] if side == Side.BUY else prices[0]

    def best(self, side: int) -> Order | None:
        """The first order of a side."""
        price = self.best_price(side)
        return None if price is None else self.levels[side][price][0]

    def is_crossed_by(self, side: int, limit_ticks: int) -> bool:
        """Whether an order of that side and limit would meet the opposite side."""
        best = self.best_price(opposite(side))
        return best is not None and crosses(side, limit_ticks, best)

    def by_price(self, side: int) -> Iterator[tuple[int, list[Order]]]:
        """The prices of a side, best first, each with its orders, oldest first."""
        prices = self.prices[side]
        for price in reversed(prices) if side == Side.BUY else prices:
            yield price, self.levels[side][price]

    def walk(self, side: int) -> Iterator[Order]:
        """The orders of a side, best price first, oldest first within a price."""
        for _, level in self.by_price(side):
            yield from level
