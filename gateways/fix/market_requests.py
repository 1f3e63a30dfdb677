"""What a MarketDataRequest (V) asks for, or why it is refused: MDReqRejReason (281) and text.

Invariant: a request is granted whole or refused whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateways.fix.depth import BID, OFFER, TRADE
from gateways.fix.message import Fields, entries

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from gateways.fix.listing import Instrument

SNAPSHOT: Final = b"0"
SUBSCRIBE: Final = b"1"
UNSUBSCRIBE: Final = b"2"
WATCHES_MAX: Final = 4_096
"""Instruments that one connection may watch in all its requests; one counts once for each request."""
KINDS: Final = frozenset({BID, OFFER, TRADE})
"""Kinds of entries offered."""

UNKNOWN_SYMBOL: Final = b"0"
DUPLICATE_ID: Final = b"1"
BANDWIDTH: Final = b"2"
DEPTH: Final = b"5"
UPDATE_TYPE: Final = b"6"
AGGREGATED: Final = b"7"
ENTRY_TYPE: Final = b"8"
TRADING_SESSION: Final = b"9"
SCOPE: Final = b"A"
SETTLE_FLAG: Final = b"B"
IMPLICIT_DELETE: Final = b"C"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that can be granted."""

    request_id: bytes
    action: bytes
    """SNAPSHOT, SUBSCRIBE or UNSUBSCRIBE; of the last all below is empty."""
    instruments: tuple[Instrument, ...] = ()
    depth: int = 0
    kinds: frozenset[bytes] = frozenset()
    is_incremental: bool = False


@dataclass(frozen=True, slots=True)
class Declined:
    """A request that is refused: `reason` is MDReqRejReason, b"" when FIX 4.4 has none for it."""

    request_id: bytes
    reason: bytes
    text: str


def parse(raw: bytes, by_name: Mapping[str, Instrument], open_ids: Container[bytes], watched: int) -> Asked | Declined:
    """Return what a valid V asks of a connection that has these MDReqIDs open and watches so many instruments."""
    fields = Fields.of(raw)
    request_id, action = fields.raw(262), fields.raw(263)
    if action == UNSUBSCRIBE:
        if request_id not in open_ids:
            return Declined(request_id, b"", "No request with this MDReqID is open")
        return Asked(request_id, UNSUBSCRIBE)
    kinds = frozenset(entry.raw(269) for entry in entries(raw, 269))
    names = [entry.text(55) for entry in entries(raw, 55)]
    instruments = [by_name[name] for name in dict.fromkeys(names) if name in by_name]
    problem = _problem(fields, kinds)
    if request_id in open_ids:
        problem = DUPLICATE_ID, "A request with this MDReqID is open"
    elif unknown := next((name for name in names if name not in by_name), None):
        problem = UNKNOWN_SYMBOL, f"Unknown symbol {unknown}"
    elif problem is None and action == SUBSCRIBE and watched + len(instruments) > WATCHES_MAX:
        problem = BANDWIDTH, f"More than {WATCHES_MAX} instruments are watched"
    if problem is not None:
        return Declined(request_id, *problem)
    is_incremental = action == SUBSCRIBE and fields.raw(265) == b"1"
    return Asked(request_id, action, tuple(instruments), fields.number(264), kinds, is_incremental)


def _problem(fields: Fields, kinds: frozenset[bytes]) -> tuple[bytes, str] | None:
    """Return reason and text of what is asked for and not offered."""
    if fields.number(264) < 0:
        return DEPTH, "MarketDepth is 0 (all levels) or a number of levels"
    if fields.raw(263) == SUBSCRIBE and 265 not in fields:
        return UPDATE_TYPE, "MDUpdateType is missing: 0 (full refresh) or 1 (incremental)"
    if fields.raw(266) == b"N":
        return AGGREGATED, "Books are aggregated by price"
    if not kinds <= KINDS:
        return ENTRY_TYPE, "MDEntryType is 0 (bid), 1 (offer) or 2 (trade)"
    if 336 in fields or 625 in fields:
        return TRADING_SESSION, "There are no trading sessions to choose from"
    if fields.raw(546) not in {b"", b"1"}:
        return SCOPE, "Scope is 1 (local)"
    if 286 in fields:
        return SETTLE_FLAG, "There are no opening, closing or settlement entries"
    if fields.raw(547) == b"Y":
        return IMPLICIT_DELETE, "Every level that leaves the depth is deleted by an entry"
    return None
