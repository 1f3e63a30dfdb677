"""The states of a session, the places of a message's number, and the bounds that hold for both."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

SECOND_NS: Final = 1_000_000_000
SEQ_MAX: Final = 10**12
"""Numbers above this are no numbers of a session."""
NEVER: Final = (1 << 63) - 1


class State(enum.Enum):
    """Where a session stands."""

    AWAITING_LOGON = "awaiting logon"
    AUTHENTICATING = "authenticating"
    ACTIVE = "active"
    AWAITING_RESEND = "awaiting resend"
    LOGGING_OUT = "logging out"
    CLOSED = "closed"


class Place(enum.IntEnum):
    """Where a message's number stands against the next one expected."""

    LOW = 0
    DUPLICATE = 1
    """Lower, with PossDupFlag."""
    NEXT = 2
    HIGH = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a session."""

    accuracy_ns: int = 120 * SECOND_NS
    """How far SendingTime may be from our clock."""
    logon_ns: int = 10 * SECOND_NS
    """Within this a connection must have logged on."""
    logout_ns: int = 5 * SECOND_NS
    """Within this our Logout must be answered."""
    resend_ns: int = 60 * SECOND_NS
    """Within this, again after each message that helps, an open gap must be filled."""
    heartbeat_min_s: int = 1
    heartbeat_max_s: int = 600
    queue_messages: int = 4_096
    """Messages that wait beyond a gap; more are dropped, and asked for when the gap is closed."""
    queue_bytes: int = 1 << 20
