"""Reference data and market states in FIX: SecurityList (y) and SecurityStatus (f)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateways.fix.codec import timestamp_text
from kk99.schema import CallPurpose, MarketState, StateReason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateways.book import Status
    from gateways.fix.answers import Field
    from gateways.fix.depth import Message
    from gateways.fix.listing import Instrument

LIST_ENTRIES: Final = 100
"""Securities in one SecurityList; more of them come in further messages."""
VALID: Final = b"0"
UNSUPPORTED: Final = b"1"
NOT_FOUND: Final = b"2"
_RESUME: Final = b"3"
_UNKNOWN: Final = b"20"

_STATES: Final = {
    MarketState.PRE_OPEN: (b"21", "Pre-open"),
    MarketState.OPEN: (b"17", "Open"),
    MarketState.CANCEL_ONLY: (b"18", "Cancels only"),
    MarketState.HALTED: (b"2", "Halted"),
    MarketState.CLOSED: (b"18", "Closed"),
    MarketState.CALL: (b"5", "Auction call"),
    MarketState.UNCROSSING: (b"5", "Uncrossing"),
}
"""SecurityTradingStatus (326) and words."""
_CALLS: Final = {
    CallPurpose.OPENING: (b"22", "Opening auction call"),
    CallPurpose.CLOSING: (b"5", "Closing auction call"),
    CallPurpose.RECOVERY: (b"15", "Auction call after a halt"),
}
_REASONS: Final = {
    StateReason.SCHEDULE: "by schedule",
    StateReason.UNCROSSED: "the auction has traded",
    StateReason.BREAKER: "by circuit breaker",
    StateReason.RECOVERING: "recovering from a halt",
    StateReason.EXTENDED: "the call is extended",
    StateReason.RECOVERED: "the halt is over",
    StateReason.MARKET_WIDE: "market-wide",
}
_INTERRUPTED: Final = frozenset({MarketState.HALTED, MarketState.CANCEL_ONLY})


def security_list(request_id: bytes, number: int, instruments: Sequence[Instrument]) -> Iterator[Message]:
    """Yield the SecurityList of a request, in as many messages as it takes; `number` makes SecurityResponseID."""
    if not instruments:
        yield refused_list(request_id, number, NOT_FOUND)
    for at in range(0, len(instruments), LIST_ENTRIES):
        chosen = instruments[at : at + LIST_ENTRIES]
        last = b"Y" if at + LIST_ENTRIES >= len(instruments) else b"N"
        head = [(320, request_id), (322, b"%d" % number), (560, VALID), (393, b"%d" % len(instruments)), (893, last)]
        entries = [field for instrument in chosen for field in _listed(instrument)]
        yield "y", [*head, (146, b"%d" % len(chosen)), *entries]


def refused_list(request_id: bytes, number: int, result: bytes) -> Message:
    """Return the SecurityList that has none, and why: SecurityRequestResult (560)."""
    return "y", [(320, request_id), (322, b"%d" % number), (560, result)]


def _listed(instrument: Instrument) -> list[Field]:
    text = f"Prices are multiples of {instrument.price(instrument.tick_step).decode()}"
    return [
        (55, instrument.name.encode()), (15, instrument.quote.encode()), (561, instrument.qty(instrument.lot_step)),
        (562, instrument.qty(instrument.min_qty_lots)), (58, text.encode()),
    ]  # fmt: skip


def security_status(
    request_id: bytes, instrument: Instrument, status: Status, before: int | None, *, is_pushed: bool
) -> Message:
    """Return the SecurityStatus of an instrument; `before` is the MarketState that it had, None if unknown."""
    state = MarketState(status.state)
    code, text = _STATES[state]
    if state == MarketState.CALL and status.call_purpose in _CALLS:
        code, text = _CALLS[CallPurpose(status.call_purpose)]
    elif state == MarketState.OPEN and before in _INTERRUPTED:
        code = _RESUME
    if status.reason in _REASONS:
        text = f"{text}, {_REASONS[StateReason(status.reason)]}"
    fields = [(324, request_id), (55, instrument.name.encode()), (325, b"Y" if is_pushed else b"N"), (326, code)]
    if status.time_ns:
        fields.append((60, timestamp_text(status.time_ns).encode()))
    return "f", [*fields, (58, text.encode())]


def unknown_status(request_id: bytes, symbol: bytes, text: str) -> Message:
    """Return the SecurityStatus of what is not listed, or of a request that can't be granted."""
    return "f", [(324, request_id), (55, symbol), (325, b"N"), (326, _UNKNOWN), (58, text.encode())]
