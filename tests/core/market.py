"""One market for tests about time: an hour and a second at hand, commands in, events out by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kk99 import build, schema
from kk99.machine import Machine
from kk99.schema import (
    CallPurpose,
    CancelReason,
    EventKind,
    MarketState,
    RejectCode,
    Side,
    StateReason,
    TimeInForce,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kk99.batch import Commands
    from kk99.build import Phase

A, B = schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 1
USD, BTC = 1, 2
BUY, SELL = Side.BUY, Side.SELL
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
MONDAY = 4 * DAY  # 1970 began on a Thursday
WHO = {"actor": "ops", "reason": "test"}
DAY_ORDER = {"time_in_force": TimeInForce.DAY}
AT_OPEN = {"time_in_force": TimeInForce.AT_OPEN}
AT_CLOSE = {"time_in_force": TimeInForce.AT_CLOSE}
STEPS = schema.WORK_UNITS_PER_COMMAND // schema.WORK_UNITS_PER_ORDER
"""Of work in one round."""
FREE = {EventKind.ORDER_ACCEPTED, EventKind.CLOCK_TICKED, EventKind.CONTINUED}


def at(hour: int, minute: int = 0, second: int = 0) -> int:
    """A time of the first Monday."""
    return MONDAY + ((hour * 60 + minute) * 60 + second) * SECOND


def slot_of(order_id: int) -> int:
    """An order's slot."""
    return order_id & ((1 << schema.ORDER_SLOT_BITS) - 1)


def phase(name: str, hour: int, minute: int = 0, days: int = 127) -> Phase:
    """A phase of a trading schedule."""
    return {"at_s": (hour * 60 + minute) * 60, "days": days, "phase": name}


DAY_PHASES = (
    phase("PRE_OPEN", 8),
    phase("OPENING_CALL", 9),
    phase("OPEN", 9, 30),
    phase("CLOSING_CALL", 17),
    phase("CLOSED", 17, 5),
)


class Market:
    """A venue with one instrument, without a schedule unless phases are given, and two rich accounts."""

    def __init__(self, *phases: Phase, collar_ppm: int = 900_000, reference_price_ticks: int = 100) -> None:
        self.machine = Machine()
        self.time_ns = at(0)
        items = [build.asset("USD", 0, **WHO), build.asset("BTC", 0, **WHO)]
        if phases:
            items.append(build.trading_schedule("day", phases, **WHO))
        items.append(
            build.instrument(
                "BTC/USD",
                "BTC",
                "USD",
                tick_units=1,
                lot_units=1,
                max_price_ticks=1_000_000,
                max_qty_lots=1_000_000,
                collar_ppm=collar_ppm,
                reference_price_ticks=reference_price_ticks,
                trading_schedule="day" if phases else "",
                **WHO,
            )
        )
        items += [build.account(name, name, **WHO) for name in "AB"]
        items += [build.deposit(account, asset, 1 << 50) for account in (A, B) for asset in (USD, BTC)]
        self.run(*items)

    def run(self, *items: Commands, time_ns: int = 0) -> list[str]:
        """Apply commands at a time (as it was, unless given), one by one; return all events in words."""
        self.time_ns = time_ns or self.time_ns
        told = []
        for item in items:
            events = self.machine.apply_all(build.stamp(item, self.machine.seq + 1, self.time_ns))
            self.machine.check()
            told += [words(row) for row in events.rows if row["kind"] not in FREE]
        return told

    def clock(self, time_ns: int) -> list[str]:
        """Let it become a time, with as many further commands as the pending work needs."""
        told = self.run(build.clock(), time_ns=time_ns)
        while self.machine.pending_work():
            told += self.run(build.continue_work())
        return told

    def order(self, account: int, side: Side, qty: int, price: int, **terms: Any) -> int:
        """Enter an order; return its id."""
        item = build.order_new(account, 1, side, qty, price, **terms)
        events = self.machine.apply_all(build.stamp(item, self.machine.seq + 1, self.time_ns)).rows
        accepted = events[events["kind"] == EventKind.ORDER_ACCEPTED]
        assert len(accepted) == 1, [words(row) for row in events]
        return int(accepted["order_id"][0])

    def refusal(self, account: int, side: Side, qty: int, price: int, **terms: Any) -> RejectCode:
        """Enter an order that is refused; return why."""
        item = build.order_new(account, 1, side, qty, price, **terms)
        events = self.machine.apply_all(build.stamp(item, self.machine.seq + 1, self.time_ns)).rows
        (reason,) = events["reason"][events["kind"] == EventKind.REJECTED]
        return RejectCode(reason)

    def set_state(self, state: MarketState, time_ns: int = 0) -> list[str]:
        """Let an operator set the market's state."""
        return self.run(build.instrument_state(1, state, **WHO), time_ns=time_ns)

    def orders(self) -> list[int]:
        """Ids of the live orders, oldest slot first."""
        image = self.machine.image().rows
        return sorted(image["order_id"][image["kind"] == EventKind.ORDER_IMAGE].tolist())

    def restart(self) -> None:
        """Go on with a machine that was made from this one's state."""
        sections = [(name, bytes(data)) for name, data in _sections(self.machine)]
        loaded = Machine.from_sections(sections)
        assert loaded.state_hash() == self.machine.state_hash()
        self.machine = loaded


def _sections(machine: Machine) -> Iterable[tuple[str, memoryview]]:
    from kk99.machine import Sections

    sections = Sections()
    sections.copy(machine)
    return sections.canonical()


def words(row: Any) -> str:
    """An event in words: what a test of a market's states wants to see of it."""
    kind = EventKind(row["kind"])
    slot = slot_of(int(row["order_id"]))
    match kind:
        case EventKind.MARKET_STATE_CHANGED | EventKind.INSTRUMENT_STATE_CHANGED:
            parts = [MarketState(row["state"]).name]
            if row["call_purpose"]:
                parts.append(CallPurpose(row["call_purpose"]).name)
            parts.append(StateReason(row["state_reason"]).name if row["state_reason"] else "OPERATOR")
            if kind is EventKind.MARKET_STATE_CHANGED and row["expire_time_ns"]:
                parts.append(f"until {clock_time(int(row['expire_time_ns']))}")
            return " ".join(parts)
        case EventKind.AUCTION_INDICATIVE | EventKind.AUCTION_UNCROSSED:
            return f"{kind.name[8:]} {row['qty_lots']} at {row['price_ticks']} surplus {row['leaves_lots']}"
        case EventKind.ORDER_CANCELED:
            return f"CANCELED {slot} {CancelReason(row['reason']).name}"
        case EventKind.ORDER_TRIGGERED:
            return f"TRIGGERED {slot}"
        case EventKind.TRADE:
            maker = slot_of(int(row["contra_order_id"]))
            return f"TRADE {slot} with {maker}: {row['qty_lots']} at {row['price_ticks']}"
        case EventKind.REJECTED:
            return f"REJECTED {RejectCode(row['reason']).name}"
        case _:
            return kind.name


def clock_time(time_ns: int) -> str:
    """A time as day (0 is the first Monday), hour and minute."""
    minutes = (time_ns - MONDAY) // (60 * SECOND)
    return f"{minutes // 1440}d{minutes // 60 % 24:02}:{minutes % 60:02}"
