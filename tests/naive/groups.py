"""Market groups: their index and its fall, and the visits by which a fall halts the markets of the group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from kk99 import schema
from kk99.schema import PPM, BreakerReason, EventKind, MarketState, RejectCode, Side, StateReason
from tests.naive import markets, recovery, watching
from tests.naive.breaker import Recovery, Trip
from tests.naive.clock import DAY_NS, SECOND_NS, Wants
from tests.naive.records import RejectError, refuse_if
from tests.naive.states import HALTED, OPEN, RECOVERY_CALL, UNCROSSING
from tests.naive.venue import Step

if TYPE_CHECKING:
    from tests.naive.breaker import Breaker
    from tests.naive.records import Instrument
    from tests.naive.states import State
    from tests.naive.venue import Command, Venue

LAST_LEVEL = 3


class Halt(NamedTuple):
    """A halt of a group."""

    trip: Trip
    until_ns: int
    origin_seq: int


@dataclass(eq=False)
class Group:
    """A market group: its document as it now stands, and its index."""

    number: int
    document: dict[str, Any]
    index_ticks: int = 0
    close_ticks: int = 0
    reached: tuple[int, int] = (-1, 0)
    """The last day on which a level was reached, and the highest of that day."""
    halt: Halt | None = None
    """The last halt."""
    visited: int = 0
    """The last breaker that the visits under way have been at."""

    @property
    def fall_ppm(self) -> int:
        """How far the index is below the last close."""
        if self.index_ticks == 0 or self.index_ticks >= self.close_ticks:
            return 0
        return (self.close_ticks - self.index_ticks) * PPM // self.close_ticks


# The index ------------------------------------------------------------------------------------------------------------


def index_price(venue: Venue, command: Command) -> None:
    """INDEX_PRICE for a market group."""
    group = venue.groups.get(command["target_lo"])
    if group is None:
        raise RejectError(RejectCode.INSTRUMENT_UNKNOWN)
    index, close = command["price_ticks"], command["close_price_ticks"]
    refuse_if(index < 0 or close < 0 or index == close == 0, RejectCode.PRICE_INVALID)
    refuse_if(max(index, close) > schema.PRICE_TICKS_MAX, RejectCode.PRICE_ABOVE_MAX)
    group.index_ticks, group.close_ticks = index or group.index_ticks, close or group.close_ticks
    venue.emit(
        EventKind.GROUP_INDEX_CHANGED,
        order_id=group.number,
        price_ticks=group.index_ticks,
        close_price_ticks=group.close_ticks,
        measure=group.fall_ppm,
    )
    if index:
        look(venue, group)


def look(venue: Venue, group: Group) -> None:
    """Halt the group if its index fell to a level that was not reached today."""
    thresholds = {level: group.document[f"level_{level}_ppm"] for level in range(1, LAST_LEVEL + 1)}
    reached = [level for level, ppm in thresholds.items() if ppm and group.fall_ppm >= ppm]
    day, level = venue.time_ns // DAY_NS, max(reached, default=0)
    if level == 0 or (group.reached[0] == day and group.reached[1] >= level):
        return
    group.reached = day, level
    until_ns = venue.time_ns + group.document["halt_s"] * SECOND_NS
    if level == LAST_LEVEL:
        until_ns = (day + 1) * DAY_NS
    trip = Trip(BreakerReason.MARKET_WIDE, Side.SELL, group.index_ticks, group.fall_ppm, thresholds[level])
    group.halt, group.visited = Halt(trip, until_ns, venue.origin_seq), 0
    venue.emit(
        EventKind.BREAKER_TRIPPED,
        order_id=group.number,
        breaker_reason=int(trip.reason),
        side=int(trip.side),
        price_ticks=trip.price_ticks,
        measure=trip.measure,
        threshold=trip.threshold,
        expire_time_ns=until_ns,
    )
    if group not in venue.halting:
        venue.halting.append(group)


# Visits ---------------------------------------------------------------------------------------------------------------


def next_step(venue: Venue) -> Step | None:
    """The next visit of the group in front, or the end of its visits."""
    if not venue.halting:
        return None
    group = venue.halting[0]
    assert group.halt is not None
    if group.visited < len(venue.breakers):
        return Step(lambda: visit(venue, group), group.halt.origin_seq)
    return Step(lambda: end_visits(venue), group.halt.origin_seq, is_free=True)


def end_visits(venue: Venue) -> int:
    """All breakers were visited."""
    venue.halting.pop(0)
    return 0


def visit(venue: Venue, group: Group) -> int:
    """Visit the next breaker, and return the units that it cost."""
    group.visited += 1
    breaker = venue.breakers[group.visited]
    instrument = venue.instruments[breaker.instrument_number]
    if breaker.document["group"] != group.document["name"] or not would_trade(instrument, breaker):
        return 1
    halt_member(venue, instrument, group, ending(instrument, breaker))
    return schema.WORK_UNITS_PER_ORDER


def would_trade(instrument: Instrument, breaker: Breaker) -> bool:
    """Whether a market trades, or is on its way to it."""
    market, trading = instrument.market, {MarketState.OPEN, MarketState.CALL}
    state = market.wanted.state if market.now == UNCROSSING else market.now.state
    return breaker.recovery is not None or state in trading


def ending(instrument: Instrument, breaker: Breaker) -> State:
    """What the recovery of a visited breaker is to end in."""
    if breaker.recovery is not None:
        return breaker.recovery.ends_in
    market = instrument.market
    state = market.wanted if market.now == UNCROSSING else market.now
    return state if state.state == MarketState.CALL and state != RECOVERY_CALL else OPEN


def halt_member(venue: Venue, instrument: Instrument, group: Group, ends_in: State) -> None:
    """Halt a market until the halt of its group is over."""
    breaker, market, halt = instrument.breaker, instrument.market, group.halt
    assert breaker is not None
    assert halt is not None
    expected_ns = halt.until_ns + breaker.document["call_s"] * SECOND_NS
    watching.tell(venue, EventKind.BREAKER_TRIPPED, instrument, halt.trip, expected_ns)
    watching.stop(venue, instrument)
    recovery.end(venue, instrument)
    timer = venue.timers.set(halt.until_ns, Wants.RECOVERY, instrument.number)
    breaker.recovery = Recovery(ends_in, timer)
    tell = markets.telling(venue, instrument, StateReason.MARKET_WIDE)
    if market.now == UNCROSSING:
        market.wanted = HALTED
    elif market.now == HALTED:
        tell(HALTED)
    else:
        markets.enter(venue, instrument, HALTED, tell)


def halted_group(venue: Venue, instrument: Instrument) -> Group | None:
    """The group of an instrument's breaker, if it is halted."""
    name = instrument.breaker.document["group"] if instrument.breaker else ""
    for group in venue.groups.values():
        if group.document["name"] == name and group.halt is not None and group.halt.until_ns > venue.time_ns:
            return group
    return None
