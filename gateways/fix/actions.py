"""What the session machine asks its caller to do, in order.

The caller numbers and sends, journals, authenticates, and owns the connection. Every inbound number goes into the
journal once, by `Take` or by `Deliver`; nothing that answers it may leave before that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateways.fix.tables import VALID, Reason

if TYPE_CHECKING:
    from gateways.fix.codec import Inbound


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Find out who this is from its Logon, then call `authenticated` or `refused`; decode nothing until then."""

    message: Inbound


@dataclass(frozen=True, slots=True)
class OpenEpoch:
    """Open the session's next epoch: inbound and outbound numbers begin at 1 again."""


@dataclass(frozen=True, slots=True)
class Take:
    """Journal that inbound numbers `first` to `last` are taken and do nothing; `reason` (373) when one was refused."""

    first: int
    last: int
    reason: int = VALID
    ref_tag: int = 0
    msg_type: str = ""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Turn an application message into a command with its number; one of a kind not supported, into a refused one."""

    message: Inbound


@dataclass(frozen=True, slots=True)
class Send:
    """Send an admin message with the next outbound number."""

    msg_type: str
    fields: tuple[tuple[int, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Resend:
    """Send the outbound messages `first` to `last` again; fill in one gap for each run of what is not sent again."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Send what is under way, then close; the reason is for the log."""

    reason: str


Action = Authenticate | OpenEpoch | Take | Deliver | Send | Resend | Disconnect


REASON_TEXTS: Final = {
    Reason.TAG_INVALID: "Invalid tag number",
    Reason.REQUIRED_MISSING: "Required tag missing",
    Reason.TAG_NOT_FOR_MESSAGE: "Tag not defined for this message type",
    Reason.TAG_UNDEFINED: "Undefined tag",
    Reason.VALUE_MISSING: "Tag specified without a value",
    Reason.VALUE_INCORRECT: "Value is incorrect (out of range) for this tag",
    Reason.FORMAT_INCORRECT: "Incorrect data format for value",
    Reason.COMP_ID: "CompID problem",
    Reason.SENDING_TIME: "SendingTime accuracy problem",
    Reason.MSG_TYPE_INVALID: "Invalid MsgType",
    Reason.TAG_REPEATED: "Tag appears more than once",
    Reason.TAG_ORDER: "Tag specified out of required order",
    Reason.GROUP_ORDER: "Repeating group fields out of order",
    Reason.GROUP_COUNT: "Incorrect NumInGroup count for repeating group",
    Reason.SOH_IN_VALUE: "Non-data value includes field delimiter",
}


def reject(message: Inbound, reason: int, ref_tag: int) -> Send:
    """Return the Reject of a message."""
    fields: list[tuple[int, Any]] = [(45, message.seq)]
    if ref_tag:
        fields.append((371, ref_tag))
    if message.msg_type:
        fields.append((372, message.msg_type))
    return Send("3", (*fields, (373, reason), (58, REASON_TEXTS[Reason(reason)])))
