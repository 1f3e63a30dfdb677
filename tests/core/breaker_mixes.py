"""Random mixes for markets with circuit breakers: small windows, groups, index prices, schedules, and time that jumps.

The same for the same seed. Orders are drawn as in `mixes`, near prices that trip a breaker now and then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kk99 import schema
from kk99.schema import CommandKind, MarketState, OrderType, Side, TimeInForce
from tests.core import mixes
from tests.naive import commands as make
from tests.naive.clock import DAY_NS, SECOND_NS
from tests.naive.rows import to_commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kk99 import batch
    from tests.naive.model import Naive
    from tests.naive.rows import Item

MARKETS = ("BTC/USD", "ETH/USD", "BTC/ETH")
GROUPS = ("world", "coins")
STEPS_NS = (0, 0, 1_000, 100_000_000, 250_000_000, 400_000_000, SECOND_NS, 1_300_000_000)
JUMPS_NS = (5 * SECOND_NS, 20 * SECOND_NS, 3600 * SECOND_NS, DAY_NS)
PHASES = ("PRE_OPEN", "OPENING_CALL", "OPEN", "OPEN", "CLOSING_CALL", "CLOSED")
STATES = (*[MarketState.OPEN] * 5, MarketState.CALL, MarketState.HALTED, MarketState.CLOSED, MarketState.CANCEL_ONLY)
CHOICES: dict[str, tuple[int | str, ...]] = {
    "move_ppm": (0, 30_000, 60_000, 100_000),
    "move_window_s": (1, 2, 5, 60),
    "spread_ppm": (0, 20_000, 60_000),
    "spread_s": (1, 1, 2, 3),
    "volume_ratio_ppm": (0, 500_000, 1_000_000, 1_500_000),
    "volume_window_s": (1, 1, 2),
    "static_band_ppm": (0, 9_000, 50_000, 100_000),
    "dynamic_band_ppm": (0, 20_000, 50_000),
    "index_silence_s": (0, 0, 1, 3, 8),
    "index_silence_halts": (0, 1),
    "correlation_min_ppm": (-500_000, 0, 500_000, 1_000_000),
    "correlation_samples": (2, 2, 3, 5),
    "correlation_s": (1, 1, 2),
    "stress_s": (0, 1, 1, 2),
    "stress_step": (1, 5, 20),
    "group": ("", "world", "world", "coins"),
    "cancel_only_s": (0, 1, 1, 2, 3),
    "call_s": (0, 1, 2, 3),
    "extend_s": (0, 1, 2),
}
HALTING = ("move_ppm", "spread_ppm", "static_band_ppm", "dynamic_band_ppm", "index_silence_s")


def setup() -> list[Item]:
    """Three markets, two of them with a schedule, two groups and four accounts."""
    usual = {"collar_ppm": 300_000, "reference_price_ticks": 100}
    items = [
        make.schedule("usual", {"maker_ppm": 500, "taker_ppm": 1000}, {"maker_ppm": -300, "taker_ppm": 700}),
        make.trading_schedule("day", ("00:00:01", 127, "OPENING_CALL"), ("00:00:02", 127, "OPEN")),
        make.asset("USD", 2),
        make.asset("BTC", 3),
        make.asset("ETH"),
        make.instrument(MARKETS[0], "BTC", "USD", tick_units=70, lot_units=100, fee_schedule="usual", **usual),
        make.instrument(MARKETS[1], "ETH", "USD", trading_schedule="day", settlement_days=2, **usual),
        make.instrument(MARKETS[2], "BTC", "ETH", tick_units=10, lot_units=100, trading_schedule="day", **usual),
        *[make.account(name, group=group) for name, group in zip("ABCD", ("A", "B", "desk", "desk"), strict=True)],
        *[make.instrument_state(number, MarketState.OPEN) for number in (1, 2, 3)],
    ]
    items += [make.document(CommandKind.MARKET_GROUP_DEFINE, {"name": name, "halt_s": 3}) for name in GROUPS]
    return items + [make.deposit(account, asset, 1 << 36) for account in mixes.ACCOUNTS for asset in (1, 2, 3)]


def run(naive: Naive, seed: int, count: int) -> Iterator[tuple[Item, batch.Commands]]:
    """Yield so many commands, set-up included; each must be applied to the model before the next is drawn."""
    mix = _Mix(naive, seed)
    items = [*setup(), *[mix.breaker(name) for name in MARKETS]]
    for number in range(count):
        item = items[number] if number < len(items) else mix.draw()
        commands = to_commands([item])
        commands.rows["seq"] = naive.seq + 1
        commands.rows["time_ns"] = naive.time_ns + (mix.step_ns() if number >= len(items) else 0)
        yield item, commands


class _Mix(mixes._Mix):
    _slice_steps_ns = (100_000_000, SECOND_NS, 3 * SECOND_NS)

    def __init__(self, naive: Naive, seed: int) -> None:
        super().__init__(naive, seed)
        self._burst = 0
        self._is_calm = seed % 3 == 0
        self._kinds |= {
            self._limit: 55, self._operate: 4, self._price: 5, self._group_price: 3, self._define: 2, self._far: 4,
            self._replace: 5, self._clock: 6, self._one_price: 12,
            self._suspend: 1,
        }  # fmt: skip

    def step_ns(self) -> int:
        """Return how long it is to the next command: seldom long, often to the end of a day."""
        self._burst -= 1
        if self._burst > 0:
            return 0
        chance = self.chance.random()
        if chance < 0.01:
            self._burst = 30
        if chance > 0.99:
            return self.chance.choice(JUMPS_NS)
        if chance > 0.985:
            left_ns = DAY_NS - self.naive.time_ns % DAY_NS
            return max(0, left_ns - self.chance.choice((0, SECOND_NS)))
        return self.chance.choice(STEPS_NS)

    def _whose(self) -> tuple[int, int, int, int]:
        pick = self.chance.choice
        return pick(mixes.ACCOUNTS), pick((1, 1, 2, 3)), pick((Side.BUY, Side.SELL)), self.chance.randint(1, 40)

    def _near(self, distance: int = 4) -> int:
        return super()._near(min(distance, 6))

    def _far(self) -> Item:
        """An order through the book: at the market, or at a limit far away."""
        account, instrument, side, qty = self._whose()
        if self.chance.random() < 0.3:
            terms = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC}
            return make.order_new(account, instrument, side, qty, 0, **terms)
        price = self.chance.choice((112, 120)) if side == Side.BUY else self.chance.choice((80, 88))
        force = self.chance.choice((TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY))
        return make.order_new(account, instrument, side, qty, price, time_in_force=force)

    def _one_price(self) -> Item:
        """An order that mostly trades, at no great distance."""
        account, instrument, side, qty = self._whose()
        return make.order_new(account, instrument, side, qty, 100 + self.chance.choice((0, 0, 1)) * (3 - 2 * side))

    def _clock(self) -> Item:
        return make.command(self.chance.choice((CommandKind.CLOCK, CommandKind.CLOCK, CommandKind.CONTINUE)))

    def _price(self) -> Item:
        return make.index_price(self.chance.choice((1, 2, 3)), self._near())

    def _group_price(self) -> Item:
        """An index of a group, or its last close: mostly a small fall, sometimes nonsense."""
        pick = self.chance.choice
        index, close = pick((0, 990, 920, 880, 860, 790, 1000)), pick((0, 0, 0, 1000, 950))
        if self.chance.random() < 0.1:
            index, close = pick(((-1, 5), (0, 0), (1 << 40, 5), (5, -5), (1, 1)))
        group = pick((1, 1, 2)) if self.chance.random() < 0.95 else pick((3, -1, 1 << 50))
        more = {"instrument_id": pick((0, 1)), "close_price_ticks": close}
        return make.command(CommandKind.INDEX_PRICE, target_lo=group, price_ticks=index, **more)

    def breaker(self, name: str) -> Item:
        """A breaker of small windows; in a calm mix most of what halts is off."""
        fields: dict[str, Any] = {field: self.chance.choice(values) for field, values in CHOICES.items()}
        if self._is_calm:
            fields |= {field: 0 for field in HALTING if self.chance.random() < 0.9}
        fields["correlation_with"] = self.chance.choice(("", *MARKETS, *MARKETS))
        return make.document(CommandKind.BREAKER_DEFINE, {"name": name, **fields})

    def _define(self) -> Item:
        pick = self.chance.choice
        match self.chance.randrange(5):
            case 0 | 1:
                return self.breaker(pick((*MARKETS, "none")))
            case 2:
                levels = {f"level_{level}_ppm": pick((0, level * 60_000, 50_000)) for level in (1, 2, 3)}
                fields = {"name": pick(GROUPS), "halt_s": pick((1, 2, 4)), **levels}
                return make.document(CommandKind.MARKET_GROUP_DEFINE, fields)
            case 3:
                second = self.naive.time_ns // SECOND_NS
                phases = [
                    {"at_s": (second + self.chance.randint(0, 40)) % 86_400, "days": 127, "phase": pick(PHASES)}
                    for _ in range(self.chance.randint(1, schema.PHASES))
                ]
                return make.document(CommandKind.TRADING_SCHEDULE_DEFINE, {"name": "day", "phases": phases})
            case _:
                return make.instrument_change(pick(MARKETS), trading_schedule=pick(("", "day")))

    def _operate(self) -> Item:
        pick, instrument = self.chance.choice, self.chance.choice((1, 2, 3))
        return pick((
            make.instrument_state(instrument, pick(STATES)),
            make.instrument_state(instrument, MarketState.OPEN),
            make.instrument_state(instrument, MarketState.OPEN),
            make.reference_price(instrument, self._near(5)),
            make.mass_cancel(pick(mixes.ACCOUNTS), pick((0, instrument))),
            make.trade_bust(self.chance.randint(1, 1 + self.naive.last_trade_id)),
        ))  # fmt: skip
