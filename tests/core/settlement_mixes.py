"""Random mixes for trades that settle later: days that pass, calendars that change, what is owed settled or failed.

The same for the same seed. Orders are drawn as in `mixes`, most of them near enough to trade.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import AccountState, CommandKind, MarketState, Side, TimeInForce
from tests.core import mixes
from tests.naive import commands as make
from tests.naive.clock import DAY_NS
from tests.naive.rows import to_commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kk99 import batch
    from tests.naive.model import Naive
    from tests.naive.records import Obligation
    from tests.naive.rows import Item

MARKETS = ("BTC/USD", "ETH/USD", "BTC/ETH")
CALENDARS = ("week", "short")
STEPS_NS = (0, 0, 1_000, 1_000_000, 200_000_000)
WEEK = [day for day in range(60) if day % 7 < 5]
FAR = schema.AMOUNT_MAX


def setup() -> list[Item]:
    """Three markets of three cycles, two calendars, and four accounts of which one is poor."""
    usual = {"collar_ppm": 500_000, "reference_price_ticks": 100, "fee_schedule": "usual"}
    later = {"settlement_days": 2, "settlement_calendar": "week"}
    rates = {"maker_ppm": 5_000, "taker_ppm": 30_000}, {"maker_ppm": -30_000, "taker_ppm": 70_000}
    items = [
        make.schedule("usual", *rates, burn_ppm=250_000),
        make.settlement_calendar("week", *WEEK),
        make.settlement_calendar("short", 3, 4, 9),
        make.asset("USD", 2),
        make.asset("BTC", 3),
        make.asset("ETH"),
        make.instrument(MARKETS[0], "BTC", "USD", tick_units=70, lot_units=100, **usual, **later),
        make.instrument(MARKETS[1], "ETH", "USD", settlement_days=1),
        make.instrument(MARKETS[2], "BTC", "ETH", tick_units=10, lot_units=100, **usual),
        make.account("A"),
        make.account("B", tier=1),
        make.account("C", group="desk"),
        make.account("D", group="desk", tier=1),
        *[make.instrument_state(number, MarketState.OPEN) for number in (1, 2, 3)],
    ]
    items += [make.deposit(account, asset, 1 << 24) for account in mixes.ACCOUNTS[:-1] for asset in (1, 2, 3)]
    return [*items, *[make.deposit(mixes.ACCOUNTS[-1], asset, 20_000) for asset in (1, 2, 3)]]


def run(naive: Naive, seed: int, count: int) -> Iterator[tuple[Item, batch.Commands]]:
    """Yield so many commands, set-up included; each must be applied to the model before the next is drawn."""
    mix = _Mix(naive, seed)
    items = setup()
    for number in range(count):
        item = items[number] if number < len(items) else mix.draw()
        commands = to_commands([item])
        commands.rows["seq"] = naive.seq + 1
        commands.rows["time_ns"] = naive.time_ns + (mix.step_ns() if number >= len(items) else 1)
        yield item, commands


class _Mix(mixes._Mix):
    def __init__(self, naive: Naive, seed: int) -> None:
        super().__init__(naive, seed)
        self._kinds |= {
            self._limit: 20, self._one_price: 40, self._settle: 25, self._settle_wrong: 8, self._penalty: 6,
            self._revise: 14, self._cycle: 4, self._calendar: 3, self._money: 8, self._operate: 8, self._price: 1,
            self._dormant: 4, self._trailing: 2, self._oco: 3, self._bracket: 3, self._replace: 6,
        }  # fmt: skip

    def step_ns(self) -> int:
        """Return how long it is to the next command: mostly a moment, sometimes to a day's end or over days."""
        chance, left_ns = self.chance.random(), DAY_NS - self.naive.time_ns % DAY_NS
        if chance < 0.03:
            return left_ns + self.chance.choice((-1, 0, 0, 1))
        if chance < 0.04:
            return left_ns + DAY_NS * self.chance.randint(0, 9)
        return self.chance.choice(STEPS_NS)

    def _whose(self) -> tuple[int, int, int, int]:
        pick = self.chance.choice
        return pick(mixes.ACCOUNTS), pick((1, 1, 2, 3)), pick((Side.BUY, Side.SELL)), self.chance.randint(1, 40)

    def _one_price(self) -> Item:
        """An order that mostly trades."""
        force = self.chance.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.DAY, TimeInForce.IOC))
        return make.order_new(*self._whose(), self._near(2), time_in_force=force)

    # What is owed -----------------------------------------------------------------------------------------------------

    def _owed(self, *, is_due: bool = True) -> Obligation | None:
        """An open obligation, one that is due if there is any and wanted."""
        today = self.naive.time_ns // DAY_NS
        every = [one for one in self.naive.obligations.slots if one is not None]
        due = [one for one in every if one.value_date <= today]
        some = due if is_due and due else every
        return self.chance.choice(some) if some else None

    def _settle(self) -> Item:
        """What is owed, settled, sometimes failed; where nothing is due yet, too early."""
        owed = self._owed()
        if owed is None:
            return self._one_price()
        more = {"state": self.chance.choice((1, 1, 2)), "price_ticks": self.chance.choice((0, 7, -1))}
        return make.settle(*owed.key, owed.receivable_units, **more)

    def _settle_wrong(self) -> Item:
        """With one thing that may be wrong."""
        owed = self._owed(is_due=self.chance.random() < 0.7)
        if owed is None:
            return make.settle(mixes.ACCOUNTS[0], 1, 1, 0)
        pick = self.chance.choice
        key, amount, more = list(owed.key), owed.receivable_units, {"state": pick((1, 2))}
        match self.chance.randrange(6):
            case 0:
                key[0] = pick((0, schema.CLEARING_ACCOUNT, 99, mixes.ACCOUNTS[0]))
            case 1:
                key[1] = pick((0, -1, 4, 1 << 30, 1, 2, 3))
            case 2:
                key[2] += pick((-1, 1, 1 << 32, 1 << 60, -FAR))
            case 3:
                amount += pick((-1, 1, FAR, -amount))
            case 4:
                more = {"state": pick((0, 3, 255))}
            case _:
                more |= {"flags": int(schema.Flag.TARGET_CLIENT_ID), "target_hi": 5}
        return make.settle(*key, amount, **more)

    def _penalty(self) -> Item:
        """For something that is owed, failed or not; sometimes more than the fees, sometimes nothing."""
        failed = [one for one in self.naive.obligations.slots if one is not None and one.has_failed]
        owed = self.chance.choice(failed) if failed and self.chance.random() < 0.8 else self._owed()
        if owed is None:
            return make.settlement_penalty(mixes.ACCOUNTS[0], 1, 1, 1)
        fees = self.naive.available[schema.FEES_ACCOUNT, owed.asset_id]
        amount = self.chance.choice((1, 5, fees, fees + 1, fees // 2, 0, -3, FAR))
        account, asset, date = owed.key
        match self.chance.randrange(12):
            case 0:
                account = self.chance.choice((schema.FEES_ACCOUNT, 99))
            case 1:
                asset = self.chance.choice((0, 9))
            case 2:
                date += 1
        return make.settlement_penalty(account, asset, date, amount)

    def _revise(self) -> Item:
        """Bust or correct a trade, mostly a late one."""
        last = self.naive.last_trade_id
        trade_id = max(1, last - self.chance.choice((0, 1, 2, 5, 20, 60)))
        trade = self.naive.trades.get(trade_id)
        if trade is None or self.chance.random() < 0.4:
            return make.trade_bust(trade_id)
        qty = max(1, trade.qty_lots - self.chance.choice((0, 0, 1, 3)))
        return make.trade_correct(trade_id, trade.price_ticks + self.chance.randint(-9, 9), qty)

    # Other things -----------------------------------------------------------------------------------------------------

    def _cycle(self) -> Item:
        """Another settlement cycle for a market."""
        fields: dict[str, int | str] = {}
        if self.chance.random() < 0.8:
            fields["settlement_days"] = self.chance.choice((0, 1, 1, 2, 3, schema.SETTLEMENT_DAYS_MAX + 1))
        if self.chance.random() < 0.5:
            fields["settlement_calendar"] = self.chance.choice(("", *CALENDARS, "none"))
        return make.instrument_change(self.chance.choice(MARKETS), **fields)

    def _calendar(self) -> Item:
        """Other dates for a calendar: some that are past, a hole, an end; seldom such as none can have."""
        today = self.naive.time_ns // DAY_NS
        dates = sorted(self.chance.sample(range(max(0, today - 5), today + 12), self.chance.randint(1, 8)))
        if self.chance.random() < 0.1:
            dates = self.chance.choice(([], [5, 5], [7, 6], [-1], [2**31], [2**31 - 1]))
        return make.settlement_calendar(self.chance.choice(CALENDARS), *dates)

    def _money(self) -> Item:
        """Take out all, or put something in; not only by those who may."""
        account, asset = self.chance.choice(mixes.ACCOUNTS), self.chance.choice((1, 2, 3))
        available = self.naive.available[account, asset]
        if available and self.chance.random() < 0.4:
            return make.withdraw(account, asset, available * self.chance.choice((2, 4)) // 4 or 1)
        return make.deposit(account, asset, 1 << self.chance.randint(10, 24))

    def _operate(self) -> Item:
        account, market = self.chance.choice(mixes.ACCOUNTS), self.chance.choice((1, 2, 3))
        states = (AccountState.ACTIVE, AccountState.ACTIVE, AccountState.SUSPENDED, AccountState.KILLED)
        return self.chance.choice((
            make.instrument_state(market, self.chance.choice(mixes.STATES)),
            make.instrument_state(market, MarketState.OPEN),
            make.instrument_state(market, MarketState.OPEN),
            make.instrument_state(market, self.chance.choice((MarketState.CALL, MarketState.OPEN))),
            make.account_state(account, self.chance.choice(states)),
            make.command(CommandKind.CONTINUE),
            make.command(CommandKind.CLOCK),
        ))  # fmt: skip
