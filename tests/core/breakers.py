"""A venue of few instruments with circuit breakers, in the python lane: commands in, events out in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kk99 import build, schema
from kk99.schema import BreakerReason, CallPurpose, CancelReason, EventKind, MarketState, RejectCode, Side, StateReason
from tests.core.python_lane import python_lane

if TYPE_CHECKING:
    from kk99.batch import Commands

LANE = python_lane()
A, B = schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 1
BUY, SELL = Side.BUY, Side.SELL
SECOND = 1_000_000_000
START = 4 * 86_400 * SECOND  # a Monday, at midnight
WHO = {"actor": "ops", "reason": "test"}
OFF: dict[str, Any] = {
    "move_ppm": 0, "spread_ppm": 0, "volume_ratio_ppm": 0, "static_band_ppm": 0, "dynamic_band_ppm": 0, "stress_s": 0,
}  # fmt: skip
"""Thresholds of a breaker that watches nothing."""
REOPENED = ["UNCROSSING RECOVERED", "UNCROSSED 0 at 0", "OPEN UNCROSSED"]
"""What is told when a call ends with nothing to trade."""
UNTOLD = {
    EventKind.ORDER_ACCEPTED, EventKind.ORDER_DETAILS, EventKind.CLOCK_TICKED, EventKind.CONTINUED,
    EventKind.INDEX_PRICE_CHANGED,
}  # fmt: skip


class Venue:
    """Instruments 1 to `count`, two rich accounts; time is in seconds from a Monday's midnight."""

    def __init__(self, count: int = 1, reference: int = 0, phases: tuple[Any, ...] = ()) -> None:
        self.machine = LANE.machine.Machine()
        self.second: float = 0
        items = [build.asset("USD", 0, **WHO), *(build.asset(f"A{number}", 0, **WHO) for number in range(1, count + 1))]
        if phases:
            items.append(build.trading_schedule("day", phases, **WHO))
        for number in range(1, count + 1):
            limits = {"max_price_ticks": 1 << 30, "max_qty_lots": 1 << 20, "reference_price_ticks": reference}
            limits |= {"collar_ppm": 1_000_000, "tick_units": 1, "lot_units": 1}
            schedule = "day" if phases else ""
            items.append(
                build.instrument(f"I{number}", f"A{number}", "USD", trading_schedule=schedule, **limits, **WHO)  # type: ignore[arg-type]
            )
        items += [build.account(name, name, **WHO) for name in "AB"]
        items += [build.deposit(account, asset, 1 << 55) for account in (A, B) for asset in range(1, count + 2)]
        self.run(*items)

    def breaker(self, number: int = 1, **thresholds: Any) -> list[str]:
        """Give an instrument a breaker with these thresholds alone."""
        return self.run(build.breaker(f"I{number}", **{**OFF, **thresholds}, **WHO))

    def open(self, *numbers: int) -> list[str]:
        """Let an operator open markets."""
        return [told for number in numbers or (1,) for told in self.set_state(MarketState.OPEN, number)]

    def set_state(self, state: MarketState, number: int = 1) -> list[str]:
        """Let an operator set a market's state."""
        return self.run(build.instrument_state(number, state, **WHO))

    def run(self, *items: Commands) -> list[str]:
        """Apply commands, one by one; return the events in words, what defines things left out."""
        told = []
        for item in items:
            time_ns = START + round(self.second * SECOND)
            rows = self.machine.apply_all(build.stamp(item, self.machine.seq + 1, time_ns)).rows
            self.machine.check()
            told += [self.words(row) for row in rows if row["kind"] not in UNTOLD and not _is_definition(row["kind"])]
        return told

    def at(self, second: float, *items: Commands) -> list[str]:
        """Let it become a time by a clock command, do what is pending, then apply commands."""
        self.second = second
        told = self.run(build.clock())
        while self.machine.pending_work():
            told += self.run(build.continue_work())
        return told + self.run(*items)

    def order(self, account: int, side: Side, qty: int, price: int, number: int = 1, **terms: Any) -> list[str]:
        """Enter an order."""
        return self.run(build.order_new(account, number, side, qty, price, **terms))

    def trade(self, *prices: int, qty: int = 1, number: int = 1) -> list[str]:
        """Let A sell to B at each price in turn; return what is told beside the trades."""
        told = []
        for price in prices:
            told += self.order(A, SELL, qty, price, number)
            told += self.order(B, BUY, qty, price, number)
        return [one for one in told if "TRADE " not in one]

    def state(self, number: int = 1) -> MarketState:
        """The state of a market."""
        return MarketState(int(self.machine.state.words[LANE.layout.instrument(number) + LANE.layout.I_STATE]))

    def restart(self) -> None:
        """Go on with a machine that was made from this one's state."""
        sections = LANE.machine.Sections()
        sections.copy(self.machine)
        loaded = LANE.machine.Machine.from_sections([(name, bytes(data)) for name, data in sections.canonical()])
        assert loaded.state_hash() == self.machine.state_hash()
        self.machine = loaded

    def words(self, row: Any) -> str:
        """An event in words, with its instrument if it is not the first."""
        number = int(row["instrument_id"])
        return ("" if number < 2 else f"{number}: ") + _words(row)


def opened(reference: int = 0, **thresholds: Any) -> Venue:
    """A venue whose one market is open, with a breaker of these thresholds alone."""
    venue = Venue(reference=reference)
    venue.breaker(**thresholds)
    venue.open()
    return venue


def _is_definition(kind: int) -> bool:
    is_document = EventKind.ASSET_DEFINED <= kind <= EventKind.MARKET_GROUP_DEFINED
    return is_document or kind in {EventKind.DEPOSITED, EventKind.REFERENCE_PRICE_CHANGED}


def _words(row: Any) -> str:
    kind = EventKind(row["kind"])
    end = f" until {(int(row['expire_time_ns']) - START) / SECOND:g}" if row["expire_time_ns"] else ""
    match kind:
        case EventKind.BREAKER_TRIPPED | EventKind.BREAKER_ALERT | EventKind.STRESS_CHANGED:
            parts = [kind.name.split("_")[1] if kind != EventKind.STRESS_CHANGED else "STRESS"]
            parts += [f"group {row['order_id']}"] if row["order_id"] else []
            parts += [BreakerReason(row["breaker_reason"]).name] if row["breaker_reason"] else []
            parts += [Side(row["side"]).name] if row["side"] else []
            return " ".join([*parts, f"at {row['price_ticks']}: {row['measure']} of {row['threshold']}"]) + end
        case EventKind.MARKET_STATE_CHANGED:
            purpose = f" {CallPurpose(row['call_purpose']).name}" if row["call_purpose"] else ""
            return f"{MarketState(row['state']).name}{purpose} {StateReason(row['state_reason']).name}{end}"
        case EventKind.INSTRUMENT_STATE_CHANGED:
            return f"{MarketState(row['state']).name} OPERATOR"
        case EventKind.AUCTION_UNCROSSED | EventKind.AUCTION_INDICATIVE:
            return f"{kind.name[8:]} {row['qty_lots']} at {row['price_ticks']}"
        case EventKind.GROUP_INDEX_CHANGED:
            return f"INDEX {row['order_id']}: {row['price_ticks']} after {row['close_price_ticks']}, {row['measure']}"
        case EventKind.TRADE:
            return f"TRADE {row['qty_lots']} at {row['price_ticks']}"
        case EventKind.ORDER_CANCELED:
            return f"CANCELED {row['leaves_lots']} {CancelReason(row['reason']).name}"
        case EventKind.REJECTED:
            return f"REJECTED {RejectCode(row['reason']).name}"
        case _:
            return kind.name
