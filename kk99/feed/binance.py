"""A capture of Binance spot streams (depth, best bid and ask, trades) as the order flow behind it.

The streams give each price level's total, never its orders. So a level is quoted by up to MAKERS makers, one order
each, in a queue: when its total rises, the next maker joins (or, when all are there, the last one enlarges its
order); when it falls, the last to come goes first. A trade is a taker's IOC order at the trade's price and quantity,
which meets exactly one maker. Depth is true to the capture at every diff, trades are true to it one by one, and the
best prices follow the best bid and ask.
"""

from __future__ import annotations

import gzip
import json
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from kk99.errors import InputError
from kk99.feed.flow import Flow, rows_of
from kk99.feed.script import Script, opposite
from kk99.schema import Side

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAKERS: Final = 4
TAKERS: Final = 4
BAND: Final = Decimal("0.01")
"""Levels farther than this share from the first best bid are left out."""
ACCOUNTS: Final = ("alder", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple")
"""The accounts that play; roles rotate among them."""


class Converter:
    """Builds the script message by message; `tick` and `lot` are the instrument's price and quantity steps."""

    def __init__(self, tick: Decimal, lot: Decimal) -> None:
        """Start with an empty book."""
        self.tick, self.lot = tick, lot
        self.script = Script(MAKERS, TAKERS)
        self.true: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self.update_id = 0
        self.best: dict[str, Any] = {"u": 0}
        self.band = (0, 1 << 62)

    def snapshot(self, message: dict[str, Any], time_ns: int) -> None:
        """Quote the whole depth of the snapshot, from the best price outwards."""
        best = self.ticks(message["bids"][0][0])
        self.band = int(best * (1 - BAND)), int(best * (1 + BAND))
        self.update_id = message["lastUpdateId"]
        self.apply_depth(message["bids"], message["asks"], time_ns)

    def diff(self, message: dict[str, Any], time_ns: int) -> None:
        """Set the levels of a depth diff, and those that trades touched, to their true totals."""
        if message["u"] <= self.update_id:
            return
        if message["U"] > self.update_id + 1:
            raise InputError(f"depth updates {self.update_id + 1} to {message['U'] - 1} are missing")
        self.update_id = message["u"]
        self.apply_depth(message["b"], message["a"], time_ns)
        self.ticker(self.best, time_ns)

    def apply_depth(self, bids: list[list[str]], asks: list[list[str]], time_ns: int) -> None:
        """Take the new totals in, then reduce before anything grows, so that the two sides never cross."""
        for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
            for price, qty in levels:
                price_ticks = self.ticks(price)
                if self.band[0] <= price_ticks <= self.band[1]:
                    self.true[side][price_ticks] = self.lots(qty)
                    self.script.touched.add((side, price_ticks))
        changes = sorted(self.script.touched)
        for side, price_ticks in changes:
            self.shrink(side, price_ticks, time_ns)
        for side, price_ticks in changes:
            self.grow(side, price_ticks, time_ns)
        self.script.touched.clear()

    def shrink(self, side: Side, price_ticks: int, time_ns: int) -> None:
        """Take what is above the level's true total off the back of its queue."""
        level = self.script.levels[side].get(price_ticks, ())
        excess = sum(order.leaves_lots for order in level) - self.true[side].get(price_ticks, 0)
        for order in reversed(tuple(level)):
            if excess <= 0:
                break
            taken = min(excess, order.leaves_lots)
            if taken == order.leaves_lots:
                self.script.withdraw(time_ns, order)
            else:
                self.script.resize(time_ns, order, order.leaves_lots - taken)
            excess -= taken

    def grow(self, side: Side, price_ticks: int, time_ns: int) -> None:
        """Add what is missing from the level's true total at the back of its queue, unless it would cross."""
        level = tuple(self.script.levels[side].get(price_ticks, ()))
        missing = self.true[side].get(price_ticks, 0) - sum(order.leaves_lots for order in level)
        if missing <= 0:
            return
        self.script.clear(time_ns, opposite(side), price_ticks + (1 if side == Side.BUY else -1))
        present = {order.account for order in level}
        if len(present) == MAKERS:
            last = level[-1]
            self.script.resize(time_ns, last, last.leaves_lots + missing)
        else:
            turn = (price_ticks + step for step in range(MAKERS))
            self.script.quote(
                time_ns, next(t % MAKERS for t in turn if t % MAKERS not in present), side, price_ticks, missing
            )

    def ticker(self, message: dict[str, Any], time_ns: int) -> None:
        """Move the best prices, if this is newer than the depth: withdraw what is better, quote what is missing."""
        if message["u"] <= self.update_id:
            return
        self.best = message
        for side, price, qty in ((Side.BUY, message["b"], message["B"]), (Side.SELL, message["a"], message["A"])):
            price_ticks = self.ticks(price)
            self.script.clear(time_ns, side, price_ticks)
            if price_ticks not in self.script.levels[side]:
                self.true[side][price_ticks] = self.lots(qty)
                self.grow(side, price_ticks, time_ns)

    def trade(self, message: dict[str, Any], time_ns: int) -> None:
        """Let a taker trade with the first maker of the level whose order is large enough."""
        side = Side.BUY if message["m"] else Side.SELL  # m: the buyer is the maker
        price_ticks, qty_lots = self.ticks(message["p"]), self.lots(message["q"])
        target = next((o for o in self.script.levels[side].get(price_ticks, ()) if o.leaves_lots >= qty_lots), None)
        if target is None:
            self.script.clear(time_ns, opposite(side), price_ticks + (1 if side == Side.BUY else -1))
            target = self.script.quote(time_ns, price_ticks % MAKERS, side, price_ticks, qty_lots)
            self.script.counts["entered_for_trade"] += 1
        self.script.take(time_ns, target, qty_lots)

    def ticks(self, price: str) -> int:
        """Return a price in ticks."""
        return _whole(price, self.tick)

    def lots(self, qty: str) -> int:
        """Return a quantity in lots."""
        return _whole(qty, self.lot)


def read(path: Path, instrument: str, tick: Decimal, lot: Decimal) -> Flow:
    """Return the flow of a gzipped capture (a line: local time in ns, a space, the message), from its snapshot on.

    The flow's notes say how many trades the capture has from there, and what the author had to add. Raises
    `InputError`.
    """
    try:
        return _flow(list(_messages(path)), Converter(tick, lot), instrument)
    except (KeyError, TypeError, IndexError, ValueError, InputError) as error:
        raise InputError(f"{path}: not a capture that can be played: {error}") from error


def _flow(messages: list[tuple[int, dict[str, Any]]], converter: Converter, instrument: str) -> Flow:
    start = next((index for index, (_, message) in enumerate(messages) if "lastUpdateId" in message), None)
    if start is None:
        raise InputError("no depth snapshot")
    start_ns, snapshot = messages[start]
    converter.snapshot(snapshot, 0)
    for _, message in messages[:start]:  # diffs that arrived before the snapshot they follow
        if message.get("e") == "depthUpdate":
            converter.diff(message, 0)
    # In a burst the exchange sends trades up to 200 ms late, behind the depth that shows them: their own time counts.
    offset_ns = min(
        time_ns - message["E"] * 1_000_000 for time_ns, message in messages if message.get("e") == "trade"
    )  # clocks and wire
    timed = [
        (message["T"] * 1_000_000 + offset_ns if message.get("e") == "trade" else time_ns, message)
        for time_ns, message in messages[start + 1 :]
    ]
    volume_lots = 0
    for time_ns, message in sorted(timed, key=lambda item: item[0]):
        now = max(time_ns - start_ns, 0)
        if message.get("e") == "depthUpdate":
            converter.diff(message, now)
        elif message.get("e") == "trade":
            converter.trade(message, now)
            volume_lots += converter.lots(message["q"])
        else:
            converter.ticker(message, now)
    notes = dict(sorted(converter.script.counts.items())) | {"recorded_volume_lots": volume_lots}
    return Flow(rows_of(converter.script.records), instrument, ACCOUNTS, rotate=True, notes=notes).check()


def _messages(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (local time in ns, message) of every line, streams unwrapped."""
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                number += 1
                time_ns, _, text = line.partition(" ")
                message = json.loads(text)
                yield int(time_ns), message.get("data", message)
    except (OSError, EOFError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: line {max(number, 1)}: {error}") from error


def _whole(text: str, step: Decimal) -> int:
    try:
        steps = Decimal(text) / step
    except InvalidOperation:
        raise InputError(f"{text!r} is not a number") from None
    if steps != int(steps):
        raise InputError(f"{text} is not a multiple of {step}")
    return int(steps)
