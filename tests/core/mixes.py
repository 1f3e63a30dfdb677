"""Random mixes of every type of order, with auctions, timers and operators, the same for the same seed.

Commands look at the naive model as it stands, so that they mostly meet something: near prices, live targets, few
markets.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import (
    CommandKind,
    Flag,
    MarketState,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
    TrailUnit,
    TriggerSource,
)
from tests.naive import commands as make
from tests.naive.rows import to_commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kk99 import batch
    from tests.naive.model import Naive
    from tests.naive.records import Order
    from tests.naive.rows import Item

ACCOUNTS = tuple(range(schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 4))
LIMITED = {OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED}
STEPS_NS = (0, 1_000, 1_000_000, 10_000_000, 200_000_000)
PHASES = (
    (0, "OPENING_CALL"), (2, "OPEN"), (10, "CLOSING_CALL"), (13, "CLOSED"), (15, "PRE_OPEN"), (16, "OPENING_CALL"),
    (18, "OPEN"), (30, "CLOSING_CALL"), (33, "OPEN"),
)  # fmt: skip
"""Seconds and phases of a lively day."""
STATES = (
    *[MarketState.OPEN] * 7, *[MarketState.CALL] * 2, MarketState.HALTED, MarketState.CLOSED, MarketState.PRE_OPEN,
)  # fmt: skip
COLLARS = (100_000, 200_000, 300_000)


def setup() -> list[Item]:
    """Two markets with collars, one with a schedule and without fees, four accounts of which one is poor."""
    tiers = {"maker_ppm": 500, "taker_ppm": 1000}, {"maker_ppm": -300, "taker_ppm": 700}
    phases = [{"at_s": at_s, "days": 127, "phase": phase} for at_s, phase in PHASES]
    usual = {"collar_ppm": 200_000, "reference_price_ticks": 100, "fee_schedule": "usual"}
    scheduled = {"collar_ppm": 300_000, "reference_price_ticks": 100, "trading_schedule": "day"}
    items = [
        make.schedule("usual", *tiers, burn_ppm=250_000),
        make.document(CommandKind.TRADING_SCHEDULE_DEFINE, {"name": "day", "phases": phases}),
        make.asset("USD", 2),
        make.asset("BTC", 3),
        make.asset("ETH"),
        make.instrument("BTC/USD", "BTC", "USD", tick_units=70, lot_units=100, **usual),
        make.instrument("ETH/USD", "ETH", "USD", **scheduled),
        make.account("A"),
        make.account("B", tier=1),
        make.account("C", group="desk"),
        make.account("D", group="desk", tier=1),
        make.instrument_state(1, MarketState.OPEN),
    ]
    items += [make.deposit(account, asset, 1 << 36) for account in ACCOUNTS[:-1] for asset in (1, 2, 3)]
    return [*items, *[make.deposit(ACCOUNTS[-1], asset, 9_000) for asset in (1, 2, 3)]]


def run(naive: Naive, seed: int, count: int) -> Iterator[tuple[Item, batch.Commands]]:
    """Yield so many commands, set-up included; each must be applied to the model before the next is drawn."""
    mix = _Mix(naive, seed)
    items = setup()
    for number in range(count):
        item = items[number] if number < len(items) else mix.draw()
        commands = to_commands([item])
        commands.rows["seq"] = naive.seq + 1
        commands.rows["time_ns"] = naive.time_ns + mix.chance.choice(STEPS_NS)
        yield item, commands


class _Mix:
    _slice_steps_ns = STEPS_NS[1:]

    def __init__(self, naive: Naive, seed: int) -> None:
        self.naive, self.chance = naive, random.Random(seed)
        self._kinds: dict[Callable[[], Item], int] = {
            self._limit: 40, self._market: 6, self._dormant: 10, self._trailing: 6, self._oco: 7, self._bracket: 8,
            self._replace: 10, self._cancel: 5, self._price: 3, self._operate: 5, self._algo: 5, self._suspend: 2,
        }  # fmt: skip

    def draw(self) -> Item:
        """Return a command."""
        (make_one,) = self.chance.choices(list(self._kinds), list(self._kinds.values()))
        return make_one()

    # Fields -----------------------------------------------------------------------------------------------------------

    def _near(self, distance: int = 8) -> int:
        return 100 + self.chance.randint(-distance, distance)

    def _whose(self) -> tuple[int, int, int, int]:
        """Account, instrument, side and quantity."""
        pick = self.chance.choice
        return pick(ACCOUNTS), pick((1, 2, 2)), pick((Side.BUY, Side.SELL)), self.chance.randint(1, 40)

    def _terms(self) -> dict[str, int]:
        pick = self.chance.choice
        terms = {
            "self_trade": pick((SelfTrade.ALLOW, SelfTrade.ALLOW, *SelfTrade)),
            "client_id_lo": pick((0, self.chance.randint(1, 1 << 40))),
            "time_in_force": pick((TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTD)),
        }
        if terms["time_in_force"] == TimeInForce.GTD:
            terms["expire_time_ns"] = self.naive.time_ns + self.chance.randint(1, 10**10)
        return terms

    def _only(self, *times_in_force: int) -> dict[str, int]:
        """The same with one of these times in force."""
        return self._terms() | {"time_in_force": self.chance.choice(times_in_force), "expire_time_ns": 0}

    def _source(self) -> dict[str, int]:
        return {"trigger": self.chance.choice((TriggerSource.LAST, *TriggerSource))}

    # Orders -----------------------------------------------------------------------------------------------------------

    def _limit(self) -> Item:
        whose = self._whose()
        match self.chance.randrange(8):
            case 0 | 1 | 2 | 3:
                more = self._terms()
            case 4:
                more = self._only(TimeInForce.IOC, TimeInForce.FOK, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)
            case 5:
                more = self._terms() | {"min_qty_lots": self.chance.randint(1, whose[3])}
            case _:
                shown = {"display_qty_lots": self.chance.randint(1, 6)}
                more = self._terms() | shown | {"refill_qty_lots": self.chance.choice((0, self.chance.randint(1, 6)))}
        return make.order_new(*whose, self._near(), **more)

    def _market(self) -> Item:
        *whose, qty = self._whose()
        more = self._only(TimeInForce.IOC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)
        if self.chance.random() < 0.2:
            whose[2], qty = Side.BUY, 0
            more |= {"amount_units": self.chance.randint(1, 500_000), "time_in_force": TimeInForce.IOC}
        return make.order_new(*whose, qty, 0, order_type=OrderType.MARKET, **more)

    def _dormant(self) -> Item:
        order_type = self.chance.choice(range(OrderType.STOP, OrderType.LIMIT_IF_TOUCHED + 1))
        price = self._near(10) if order_type in LIMITED else 0
        trigger = self._source() | {"trigger_price_ticks": self._near()}
        return make.order_new(*self._whose(), price, order_type=order_type, **self._terms(), **trigger)

    def _trailing(self) -> Item:
        order_type = self.chance.choice((OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT))
        offset = self.chance.randint(0, 4) if order_type == OrderType.TRAILING_STOP_LIMIT else 0
        unit = self.chance.choice((TrailUnit.TICKS, TrailUnit.BASIS_POINTS))
        trail = self.chance.randint(1, 5 if unit == TrailUnit.TICKS else 600)
        more = {"trail_unit": unit, "trail": trail} | self._terms() | self._source()
        return make.order_new(*self._whose(), offset, order_type=order_type, **more)

    def _oco(self) -> Item:
        whose, middle = self._whose(), self._near(5)
        way = 1 if whose[2] == Side.SELL else -1
        more = {
            "trigger_price_ticks": middle - way * self.chance.randint(1, 6),
            "stop_limit_price_ticks": self.chance.choice((0, self._near(10))),
            "target_lo": self.chance.choice((0, self.chance.randint(1, 1 << 40))),
        }
        price = middle + way * self.chance.randint(-2, 6)
        return make.order_new(*whose, price, order_type=OrderType.OCO, **more, **self._terms(), **self._source())

    def _bracket(self) -> Item:
        whose, price = self._whose(), self._near()
        way = 1 if whose[2] == Side.BUY else -1
        more = {
            "trigger_price_ticks": price - way * self.chance.randint(1, 6),
            "take_profit_price_ticks": price + way * self.chance.randint(1, 6),
            "stop_limit_price_ticks": self.chance.choice((0, self._near(10))),
        } | self._source()
        is_market = self.chance.random() < 0.5
        more |= self._only(TimeInForce.IOC) if is_market else self._terms()
        return make.order_new(*whose, 0 if is_market else price, order_type=OrderType.BRACKET, **more)

    def _algo(self) -> Item:
        """A scheduled order: from now or soon, some of its slices at once, some of them of nothing."""
        account, instrument, side, _ = self._whose()
        step_ns = self.chance.choice(self._slice_steps_ns)
        offsets = sorted(self.chance.sample(range(20), self.chance.randint(1, 8)))
        slices = [(step_ns * offset, self.chance.choice((0, 1, 5, 20))) for offset in offsets]
        start_ns = self.chance.choice((0, self.naive.time_ns + self.chance.choice(self._slice_steps_ns)))
        end_ns = (start_ns or self.naive.time_ns) + step_ns * (offsets[-1] + self.chance.randint(1, 4))
        more = {
            "start_time_ns": start_ns,
            "participation_ppm": self.chance.choice((0, 0, 100_000, 500_000)),
            "self_trade": self._terms()["self_trade"],
            "client_id_lo": self._terms()["client_id_lo"],
            "flags": self.chance.choice((0, Flag.CANCEL_ON_LOST)),
        }
        return make.algo_order(account, instrument, side, self._near(14), slices, end_ns + max(STEPS_NS), **more)

    def _suspend(self) -> Item:
        """Suspend a scheduled order or let it go on; seldom one of another type."""
        parents = [order for order in self.naive.live.values() if order.schedule is not None]
        order = self.chance.choice(parents) if parents and self.chance.random() < 0.9 else self._live()
        if order is None:
            return self._algo()
        return make.order_suspend(order.account_id, order.order_id, state=self.chance.choice((0, 1)))

    def _replace(self) -> Item:
        order = self._live()
        if order is None:
            return self._limit()
        more = {"flags": self.chance.choice((0, 0, Flag.QTY_IS_LEAVES)), "client_id_lo": self._terms()["client_id_lo"]}
        if order.is_dormant and self.chance.random() < 0.5:
            more["trigger_price_ticks"] = self._near()
        price = order.price_ticks + self.chance.choice((0, self.chance.randint(-3, 3)))
        qty = max(1, order.qty_lots + self.chance.choice((0, -1, -3, 4)))
        return make.order_replace(order.account_id, order.order_id, qty, price, **more)

    def _cancel(self) -> Item:
        order = self._live()
        if order is None or self.chance.random() < 0.1:
            return make.mass_cancel(*self._whose()[:3])
        return make.order_cancel(order.account_id, order.order_id)

    def _live(self) -> Order | None:
        orders = list(self.naive.live.values())
        return self.chance.choice(orders) if orders else None

    # Others -----------------------------------------------------------------------------------------------------------

    def _price(self) -> Item:
        return make.index_price(self.chance.choice((1, 2)), self._near())

    def _operate(self) -> Item:
        account, instrument, *_ = self._whose()
        trade_id = self.chance.randint(1, 1 + self.naive.last_trade_id)
        return self.chance.choice((
            make.instrument_state(instrument, self.chance.choice(STATES)),
            make.instrument_state(instrument, MarketState.OPEN),
            make.reference_price(instrument, self._near(5)),
            make.trade_bust(trade_id),
            make.trade_correct(trade_id, 100, 1),
            make.account_change("ABCD"[account - ACCOUNTS[0]], tier=self.chance.randint(0, 2)),
            make.instrument_change(("BTC/USD", "ETH/USD")[instrument - 1], collar_ppm=self.chance.choice(COLLARS)),
            make.command(CommandKind.MESSAGE_NOTED, account_id=account, state=self.chance.randint(0, 9)),
            make.command(CommandKind.CONTINUE),
            make.command(CommandKind.CLOCK),
        ))  # fmt: skip
