"""Writing a flow as if one were its accounts: the orders that stand, and the instructions that make them so.

The author keeps every standing order of the flow, so it knows what an aggressor will meet. Where a source says what
happened but not all that stood there, the author clears the way first, with instructions of the makers themselves: an
order that would be met before its turn is withdrawn, and one that is missing is entered.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from kk99.feed.flow import Style
from kk99.schema import CommandKind, Side


@dataclass(slots=True)
class Standing:
    """A standing order: its number in the flow, the account's index, where it stands and how much is open."""

    order: int
    account: int
    side: Side
    price_ticks: int
    leaves_lots: int


def opposite(side: Side) -> Side:
    """Return the other side."""
    return Side.SELL if side == Side.BUY else Side.BUY


class Script:
    """The instructions so far (tuples as ROW), the orders that stand after them, the levels touched (to be cleared)."""

    def __init__(self, makers: int, takers: int) -> None:
        """Accounts 0 to makers-1 quote, the next `takers` accounts take."""
        self.makers, self.takers = makers, takers
        self.records: list[tuple[int, ...]] = []
        self.levels: dict[Side, dict[int, deque[Standing]]] = {Side.BUY: {}, Side.SELL: {}}
        self.touched: set[tuple[Side, int]] = set()
        self.counts: Counter[str] = Counter()
        self._order = 0

    def quote(self, time_ns: int, account: int, side: Side, price_ticks: int, qty_lots: int) -> Standing:
        """Enter a resting order at the back of its level."""
        self._order += 1
        order = Standing(self._order, account, side, price_ticks, qty_lots)
        self.levels[side].setdefault(price_ticks, deque()).append(order)
        self._write(time_ns, CommandKind.ORDER_NEW, order, Style.POST_ONLY)
        return order

    def resize(self, time_ns: int, order: Standing, leaves_lots: int) -> None:
        """Change an order's open quantity: less keeps its place, more sends it to the back."""
        if leaves_lots > order.leaves_lots:
            level = self.levels[order.side][order.price_ticks]
            level.remove(order)
            level.append(order)
        order.leaves_lots = leaves_lots
        self._write(time_ns, CommandKind.ORDER_REPLACE, order, 0)

    def withdraw(self, time_ns: int, order: Standing) -> None:
        """Cancel a standing order."""
        self._forget(order)
        self._write(time_ns, CommandKind.ORDER_CANCEL, order, 0)
        order.leaves_lots = 0

    def stands(self, order: Standing) -> bool:
        """Return whether the order is still in the book."""
        return order.leaves_lots > 0

    def clear(self, time_ns: int, side: Side, price_ticks: int) -> None:
        """Withdraw every order of a side at a better price than the given one."""
        levels = self.levels[side]
        while levels:
            best = max(levels) if side == Side.BUY else min(levels)
            if (best <= price_ticks) if side == Side.BUY else (best >= price_ticks):
                return
            for order in tuple(levels[best]):
                self.withdraw(time_ns, order)
                self.counts["withdrawn_better"] += 1

    def take(self, time_ns: int, target: Standing, qty_lots: int) -> None:
        """Let a taker's IOC order trade with `target`, at its price, nobody else, for at most what is open."""
        assert 0 < qty_lots <= target.leaves_lots
        self.clear(time_ns, target.side, target.price_ticks)
        level = self.levels[target.side][target.price_ticks]
        while level[0] is not target:
            self.withdraw(time_ns, level[0])
            self.counts["withdrawn_ahead"] += 1
        self._order += 1
        account = self.makers + self._order % self.takers
        taker = Standing(self._order, account, opposite(target.side), target.price_ticks, qty_lots)
        self._write(time_ns, CommandKind.ORDER_NEW, taker, Style.IOC)
        self.counts["trades"] += 1
        target.leaves_lots -= qty_lots
        if not target.leaves_lots:
            self._forget(target)

    def _forget(self, order: Standing) -> None:
        level = self.levels[order.side][order.price_ticks]
        level.remove(order)
        if not level:
            del self.levels[order.side][order.price_ticks]

    def _write(self, time_ns: int, kind: CommandKind, order: Standing, style: int) -> None:
        self.touched.add((order.side, order.price_ticks))
        self.records.append((
            time_ns, order.price_ticks, order.leaves_lots, order.order, kind, order.account, order.side, style,
        ))  # fmt: skip
