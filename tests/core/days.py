"""Logs of trading days: two markets, schedules that change, every type of order, and time that creeps, runs and jumps.

Invariants: as those of `logs`: a log depends on nothing but its seed, the schema and the builders of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kk99.schema import CommandKind, MarketState, OrderType, Side, TimeInForce, TrailUnit, TriggerSource
from tests.naive import commands as make
from tests.naive.rows import to_commands

if TYPE_CHECKING:
    from kk99 import batch
    from tests.core.logs import Draws
    from tests.naive.rows import Item

A, B, C, D = range(16, 20)
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
PHASES = ("PRE_OPEN", "OPENING_CALL", "OPEN", "CLOSING_CALL", "CLOSED")
STATES = (
    MarketState.OPEN, MarketState.OPEN, MarketState.OPEN, MarketState.OPEN, MarketState.CALL, MarketState.CALL,
    MarketState.PRE_OPEN, MarketState.CLOSED, MarketState.HALTED, MarketState.CANCEL_ONLY, MarketState.UNCROSSING,
)  # fmt: skip
RESTING = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD)
STARTS = (0, 4 * DAY - 3 * SECOND, 1_600_000_000 * SECOND)
MIDDLE = 100


class Days:
    """A log in the making."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._known: list[tuple[int, int]] = []
        self._burst = 0
        self._number = 0
        self._time_ns = draws.among(*STARTS)
        self.items: list[Item] = []
        self.times: list[int] = []
        for item in self._setup():
            self._add(item)

    def _add(self, item: Item) -> None:
        self.items.append(item)
        self.times.append(self._time_ns)

    def commands(self) -> batch.Commands:
        """The commands so far, with their sequences and times."""
        commands = to_commands(self.items)
        commands.rows["seq"] = np.arange(1, len(self.items) + 1)
        commands.rows["time_ns"] = self.times
        return commands

    def go_on(self, count: int) -> None:
        """Add so many commands."""
        for _ in range(count):
            self._number += 1
            self._pass_time()
            self._add(self._command())

    def _setup(self) -> list[Item]:
        draws = self._draws
        tiers = {"maker_ppm": 500, "taker_ppm": 1000}, {"maker_ppm": -300_000, "taker_ppm": 70_000}
        items = [
            make.schedule("usual", *tiers, burn_ppm=250_000),
            make.asset("USD", 2),
            make.asset("BTC", 3),
            self._schedule("first"),
            self._schedule("second"),
        ]
        for name, tick_units, fees in (("BTC/USD", 70, "usual"), ("free", 1000, "")):
            collar_ppm = draws.among(0, 200_000, 300_000, 1_000_000)
            terms: dict[str, Any] = {"collar_ppm": collar_ppm, "reference_price_ticks": draws.among(0, 100, 100)}
            terms |= {"tick_units": tick_units, "lot_units": 100, "fee_schedule": fees}
            items.append(make.instrument(name, "BTC", "USD", trading_schedule=self._name(), **terms))
        items += [make.account("A"), make.account("B", tier=1)]
        items += [make.account("C", group="desk"), make.account("D", group="desk", tier=1)]
        items += [make.deposit(account, asset, 1 << 44) for account in (A, B, C) for asset in (1, 2)]
        items += [make.deposit(D, asset, 400_000) for asset in (1, 2)]
        return [*items, make.instrument_state(1, MarketState.OPEN), make.instrument_state(2, MarketState.CALL)]

    def _name(self) -> str:
        return ("", "first", "second")[self._draws.below(3)]

    def _schedule(self, name: str) -> Item:
        draws = self._draws
        phases = [
            {
                "at_s": draws.among(0, 1, 2, 3, 5, 8, 13, 3600, 43_200) if draws.below(9) else 86_399,
                "days": draws.among(127, 127, 127, 1, 64, 5, 96),
                "phase": PHASES[draws.below(len(PHASES))],
            }
            for _ in range(1 + draws.below(8))
        ]
        return make.document(CommandKind.TRADING_SCHEDULE_DEFINE, {"name": name, "phases": phases})

    def _pass_time(self) -> None:
        """Let time go on, but not in a burst: commands at one time that leave much to do."""
        if self._burst:
            self._burst -= 1
            return
        draws = self._draws
        chance = draws.below(100)
        if chance < 50:
            self._time_ns += draws.among(0, 1, 1000)
        elif chance < 80:
            self._time_ns += draws.among(SECOND // 3, SECOND - 1, SECOND)
        elif chance < 97:
            self._time_ns += SECOND * draws.among(2, 3, 10)
        else:
            self._time_ns += draws.among(3600 * SECOND, DAY, 3 * DAY, 20 * DAY)
        if draws.below(50) == 0:
            self._burst = 150

    def _command(self) -> Item:
        draws = self._draws
        chance = draws.below(100)
        if chance < 62 or not self._known:
            return self._order()
        account, client_id = self._known[-1 - draws.below(min(len(self._known), 80))]
        if chance < 68:
            return make.by_client_id(make.order_cancel(account, 0), client_id)
        if chance < 76:
            item = make.order_replace(account, 0, draws.among(1, 2, 4, 9), MIDDLE - 4 + draws.below(9))
            return make.by_client_id(item, client_id)
        if chance < 82:
            return make.instrument_state(1 + draws.below(2), draws.among(*STATES))
        match chance:
            case 82 | 83:
                return self._schedule(("first", "second", "third")[draws.below(3)])
            case 84 | 85:
                return make.instrument_change(("BTC/USD", "free")[draws.below(2)], trading_schedule=self._name())
            case 86:
                return make.instrument_change("BTC/USD", collar_ppm=draws.among(0, 100_000, 500_000))
            case 87 | 88:
                return make.reference_price(1 + draws.below(2), 90 + draws.below(21))
            case 89 | 90 | 91:
                return make.index_price(1 + draws.below(2), 95 + draws.below(11))
            case 92:
                return make.mass_cancel(A + draws.below(4), draws.below(3), draws.below(3))
            case 93 | 94:
                return self._algo()
            case 95:
                item = make.order_suspend(account, 0, state=draws.below(2))
                return make.by_client_id(item, client_id)
        return make.command(draws.among(CommandKind.CONTINUE, CommandKind.CLOCK, CommandKind.CLOCK))

    def _algo(self) -> Item:
        """A scheduled order of seconds or hours; the next ones drawn are replaced, canceled and suspended like any."""
        draws = self._draws
        account, step_ns = A + draws.below(4), draws.among(SECOND // 2, SECOND, 3600 * SECOND)
        self._known.append((account, self._number))
        slices = [(number * step_ns, draws.among(0, 1, 2, 40)) for number in range(1 + draws.below(12))]
        more = {
            "start_time_ns": draws.among(0, self._time_ns + SECOND),
            "participation_ppm": draws.among(0, 0, 300_000),
            "client_id_lo": self._number,
            "self_trade": draws.below(5),
        }
        end_ns = self._time_ns + (len(slices) + 1 + draws.below(9)) * step_ns + SECOND
        side = draws.among(Side.BUY, Side.SELL)
        return make.algo_order(account, draws.among(1, 2), side, MIDDLE - 4 + draws.below(9), slices, end_ns, **more)

    def _order(self) -> Item:
        draws = self._draws
        account, side = A + draws.below(4), draws.among(Side.BUY, Side.SELL)
        self._known.append((account, self._number))
        terms: dict[str, int] = {
            "client_id_lo": self._number,
            "self_trade": draws.below(5),
            "flags": 16 * draws.below(2),
        }
        terms["time_in_force"] = draws.among(*RESTING, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE, *TimeInForce)
        terms |= self._kind(side, terms)
        if terms["time_in_force"] == TimeInForce.GTD:
            terms["expire_time_ns"] = self._time_ns + draws.among(1, SECOND, 2 * SECOND, 5 * SECOND, 3600 * SECOND)
        price = terms.pop("price_ticks", MIDDLE - 4 + draws.below(9))
        return make.order_new(account, draws.among(1, 1, 2), side, draws.among(1, 2, 3, 5, 8, 200), price, **terms)

    def _kind(self, side: int, terms: dict[str, int]) -> dict[str, int]:
        """Terms of a type of order; those that only rest get a time in force with which they can."""
        draws = self._draws
        chance, is_resting = draws.below(100), terms["time_in_force"] in RESTING
        if chance < 55:
            hidden = {"display_qty_lots": draws.among(1, 2), "refill_qty_lots": draws.below(2)}
            return (hidden, {"min_qty_lots": 1}, {}, {})[draws.below(4)] if is_resting else {}
        if chance < 70:
            force = draws.among(TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE, TimeInForce.AT_CLOSE, TimeInForce.IOC)
            return {"order_type": OrderType.MARKET, "price_ticks": 0, "time_in_force": force}
        away = 1 if side == Side.SELL else -1
        found = {} if is_resting else {"time_in_force": draws.among(TimeInForce.DAY, TimeInForce.GTC)}
        if chance < 80:
            order_type = draws.among(OrderType.STOP, OrderType.STOP_LIMIT, OrderType.MARKET_IF_TOUCHED)
            found |= {"order_type": order_type, "trigger": draws.among(*TriggerSource)}
            if order_type != OrderType.STOP_LIMIT:
                found["price_ticks"] = 0
            return found | {"trigger_price_ticks": MIDDLE - 5 + draws.below(11)}
        if chance < 85:
            found |= {"order_type": OrderType.TRAILING_STOP, "price_ticks": 0, "trigger": draws.among(*TriggerSource)}
            return found | {"trail_unit": draws.among(*TrailUnit), "trail": draws.among(1, 2, 3, 100)}
        found["trigger"] = TriggerSource.LAST
        if chance < 92:
            found |= {"order_type": OrderType.OCO, "price_ticks": MIDDLE + away * draws.below(4)}
            limit = draws.among(0, MIDDLE - 5 * away)
            return found | {
                "trigger_price_ticks": MIDDLE - away * (1 + draws.below(4)),
                "stop_limit_price_ticks": limit,
            }
        found |= {"order_type": OrderType.BRACKET, "trigger_price_ticks": MIDDLE + away * (5 + draws.below(3))}
        if draws.below(5) == 0:
            found |= {"price_ticks": 0, "time_in_force": TimeInForce.IOC}
        limit = draws.among(0, MIDDLE + 8 * away)
        return found | {
            "take_profit_price_ticks": MIDDLE - away * (5 + draws.below(3)),
            "stop_limit_price_ticks": limit,
        }
