"""A market's state: what it is made of, whom it takes orders from, and which changes go through an uncross."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from kk99.schema import CallPurpose, Flag, MarketState, RejectCode, TimeInForce


class State(NamedTuple):
    """A market's state; a call has a purpose."""

    state: int
    call_purpose: int = 0


class Outcome(NamedTuple):
    """What an auction trades, at which price, and what more would buy (above 0) or sell there; zeros: nothing."""

    price_ticks: int = 0
    volume_lots: int = 0
    surplus_lots: int = 0


NOTHING = Outcome()
PRE_OPEN = State(MarketState.PRE_OPEN)
OPEN = State(MarketState.OPEN)
CANCEL_ONLY = State(MarketState.CANCEL_ONLY)
HALTED = State(MarketState.HALTED)
CLOSED = State(MarketState.CLOSED)
OPENING_CALL = State(MarketState.CALL, CallPurpose.OPENING)
CLOSING_CALL = State(MarketState.CALL, CallPurpose.CLOSING)
RECOVERY_CALL = State(MarketState.CALL, CallPurpose.RECOVERY)
UNCROSSING = State(MarketState.UNCROSSING)

PHASES = {
    "PRE_OPEN": PRE_OPEN,
    "OPENING_CALL": OPENING_CALL,
    "OPEN": OPEN,
    "CLOSING_CALL": CLOSING_CALL,
    "CLOSED": CLOSED,
}
"""The phases of a schedule."""
STAYING = {HALTED, CANCEL_ONLY, RECOVERY_CALL}
"""States out of which a schedule only closes the market."""
EXPIRING = (TimeInForce.DAY, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)
"""Times in force that a market ends, in the order in which it does."""
CLOSED_TO_ORDERS = {
    CANCEL_ONLY: RejectCode.MARKET_CANCEL_ONLY,
    HALTED: RejectCode.MARKET_HALTED,
    CLOSED: RejectCode.MARKET_CLOSED,
    UNCROSSING: RejectCode.MARKET_CALL,
}


@dataclass
class Market:
    """The state of one instrument's market, and what is under way in it."""

    now: State = PRE_OPEN
    wanted: State = PRE_OPEN
    """While UNCROSSING: the state that follows."""
    left: State = PRE_OPEN
    """While UNCROSSING: the state that was left, a call or another."""
    price_ticks: int = 0
    """While UNCROSSING: the auction's price, 0 is none."""
    schedule_timer: int = 0
    indicative_timer: int = 0
    began_ns: int = 0
    """When the call began."""
    told: Outcome = NOTHING
    """The last indicative of the call."""
    expire_through: dict[TimeInForce, int] = field(default_factory=lambda: dict.fromkeys(EXPIRING, 0))
    """The serial up to which orders of each time in force are to expire."""


def refusal(now: State, time_in_force: int, flags: int, min_qty_lots: int) -> RejectCode | None:
    """Why a market takes no order of these terms, None if it does."""
    if now in CLOSED_TO_ORDERS:
        return CLOSED_TO_ORDERS[now]
    is_at_open = time_in_force == TimeInForce.AT_OPEN
    if now == PRE_OPEN:
        return None if is_at_open else RejectCode.MARKET_PRE_OPEN
    if now == OPEN:
        return RejectCode.MARKET_OPEN if is_at_open else None
    is_immediate = time_in_force in {TimeInForce.IOC, TimeInForce.FOK}
    is_late = is_at_open and now != OPENING_CALL
    is_refused = is_immediate or is_late or flags & Flag.POST_ONLY or min_qty_lots
    return RejectCode.MARKET_CALL if is_refused else None


def takes_uncross(now: State, wanted: State, *, crosses: bool) -> bool:
    """Whether a change of state is made in two, with an uncross between."""
    ends_call = now.state == MarketState.CALL and wanted in {OPEN, CLOSED}
    return ends_call or (wanted == OPEN and crosses)


def by_operator(now: State, state: int) -> State:
    """What an operator means by a state, from where the market is."""
    if state != MarketState.CALL:
        return State(state)
    return OPENING_CALL if now in {PRE_OPEN, CLOSED} else RECOVERY_CALL


def by_schedule(now: State, phase: str) -> State:
    """Where a schedule's phase takes a market that does not uncross: it may stay where it is."""
    wanted = PHASES[phase]
    return now if now in STAYING and wanted != CLOSED else wanted


def waits(now: State, time_in_force: int) -> bool:
    """Whether an order that enters waits for the closing call, in no book."""
    return time_in_force == TimeInForce.AT_CLOSE and now != CLOSING_CALL
