"""Random mixes in which most orders are worked off by a schedule: parents that are suspended, halted, capped, squeezed.

The same for the same seed. Orders of other types are drawn as in `mixes`, so that children find something to meet, and
sometimes an order of their own account that takes what they give back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99.schema import AccountState, CommandKind, Flag, MarketState, OrderType, SelfTrade, Side, TriggerSource
from tests.core import mixes
from tests.naive import commands as make
from tests.naive.clock import SECOND_NS
from tests.naive.rows import to_commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kk99 import batch
    from tests.naive.model import Naive
    from tests.naive.rows import Item

STEPS_NS = (0, 0, 1_000, 50_000_000, 200_000_000, 500_000_000)
JUMPS_NS = (3 * SECOND_NS, 40 * SECOND_NS)
STATES = (*[MarketState.OPEN] * 3, MarketState.CALL, MarketState.HALTED, MarketState.CLOSED)
POOR = mixes.ACCOUNTS[-1]


def run(naive: Naive, seed: int, count: int) -> Iterator[tuple[Item, batch.Commands]]:
    """Yield so many commands, set-up included; each must be applied to the model before the next is drawn."""
    mix = _Mix(naive, seed)
    items = mixes.setup()
    for number in range(count):
        item = items[number] if number < len(items) else mix.draw()
        commands = to_commands([item])
        commands.rows["seq"] = naive.seq + 1
        commands.rows["time_ns"] = naive.time_ns + (mix.step_ns() if number >= len(items) else SECOND_NS)
        yield item, commands


class _Mix(mixes._Mix):
    _slice_steps_ns = (100_000_000, 400_000_000, 1_000_000_000)

    def __init__(self, naive: Naive, seed: int) -> None:
        super().__init__(naive, seed)
        self._planned: list[Callable[[], Item]] = []
        self._is_planned = False
        self._kinds |= {
            self._algo: 30, self._suspend: 8, self._clock: 20, self._operate: 3, self._account: 3, self._squeeze: 2,
            self._dormant: 3, self._trailing: 2, self._oco: 3, self._price: 1,
        }  # fmt: skip

    def step_ns(self) -> int:
        """Return how long it is to the next command."""
        if self._is_planned:
            return 0 if self._planned else SECOND_NS
        return self.chance.choice(JUMPS_NS if self.chance.random() < 0.01 else STEPS_NS)

    def _clock(self) -> Item:
        return make.command(CommandKind.CLOCK)

    def _operate(self) -> Item:
        """A market halts, calls or opens; a trade is undone; orders are canceled; fees and steps change."""
        account, instrument, side, qty = self._whose()
        pick = self.chance.choice
        return pick((
            make.instrument_state(instrument, pick(STATES)),
            make.instrument_state(instrument, MarketState.OPEN),
            make.mass_cancel(account, pick((0, instrument)), pick((0, side))),
            make.trade_bust(self.chance.randint(1, 1 + self.naive.last_trade_id)),
            make.trade_correct(self.chance.randint(1, 1 + self.naive.last_trade_id), 100, 1),
            make.schedule("usual", {"maker_ppm": 0, "taker_ppm": qty * 10_000}),
            make.instrument_change("BTC/USD", tick_step=pick((1, 1, 1, 2, 7, 150))),
            make.instrument_change("BTC/USD", lot_step=pick((1, 1, 3))),
            make.instrument_change("BTC/USD", collar_ppm=pick((0, 100_000, 300_000))),
        ))  # fmt: skip

    def _account(self) -> Item:
        pick = self.chance.choice
        states = (*[AccountState.ACTIVE] * 6, AccountState.SUSPENDED, AccountState.KILLED)
        return make.account_state(pick(mixes.ACCOUNTS), pick(states))

    def draw(self) -> Item:
        """Return a command: the next of a plan, or any."""
        self._is_planned = bool(self._planned)
        return self._planned.pop(0)() if self._planned else super().draw()

    def _squeeze(self) -> Item:
        """The poor account: a parent far above the collar, an own bracket in its way, and nothing left beside them.

        While the child holds by the collar, the exits of the bracket take what its parent would need for the rest.
        """
        now_ns, bracket = self.naive.time_ns, {"order_type": OrderType.BRACKET, "take_profit_price_ticks": 80}
        bracket |= {"trigger": TriggerSource.INDEX, "trigger_price_ticks": 170, "stop_limit_price_ticks": 174}
        slices, end_ns = [(SECOND_NS, 10), (2 * SECOND_NS, 10)], now_ns + 20 * SECOND_NS
        self._planned = [
            lambda: make.instrument_state(2, MarketState.OPEN),
            lambda: make.deposit(POOR, 1, 5_000),
            lambda: make.deposit(POOR, 3, 8),
            lambda: make.algo_order(POOR, 2, Side.BUY, 170, slices, end_ns),
            lambda: make.order_new(POOR, 2, Side.SELL, 8, self._near(3), **bracket),
            lambda: make.withdraw(POOR, 1, max(1, self.naive.available[POOR, 1])),
            self._clock,
        ]
        return make.account_state(POOR, AccountState.ACTIVE)

    def _algo(self) -> Item:
        fields, document = super()._algo()
        fields["self_trade"] = self.chance.choice(tuple(SelfTrade))
        fields["flags"] |= self.chance.choice((0, 0, Flag.HAS_COLD))
        return fields, document
