"""What makes a Logon acceptable once its sender is known, and what answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateways.fix.codec import Inbound
    from gateways.fix.states import Limits


def logon_problem(logon: Inbound, limits: Limits, next_in: int, next_out: int, now_ns: int) -> str:
    """Return what is wrong with a valid Logon of a session that stands at these numbers, "" when nothing is."""
    expected = logon.number(789)
    if abs(now_ns - logon.sending_ns) > limits.accuracy_ns:
        return "SendingTime (52) is too far from the venue's clock"
    if logon.number(98) != 0:
        return "EncryptMethod (98) must be 0"
    if not limits.heartbeat_min_s <= (logon.number(108) or 0) <= limits.heartbeat_max_s:
        return f"HeartBtInt (108) must be {limits.heartbeat_min_s} to {limits.heartbeat_max_s}"
    if logon.text(141) == "Y" and logon.seq != 1:
        return "MsgSeqNum (34) must be 1 with ResetSeqNumFlag (141)"
    if logon.seq < next_in:
        return too_low(next_in, logon.seq)
    if expected is not None and not 1 <= expected <= next_out:
        return f"NextExpectedMsgSeqNum (789) must be 1 to {next_out}"
    return ""


def logon_answer(logon: Inbound, next_in: int) -> tuple[tuple[int, object], ...]:
    """Return the body of the Logon that answers one; it says 789 when the peer did."""
    fields: list[tuple[int, object]] = [(98, 0), (108, logon.number(108))]
    if logon.text(141) == "Y":
        fields.append((141, True))
    if logon.number(789) is not None:
        fields.append((789, next_in))
    return tuple(fields)


def too_low(expected: int, seq: int) -> str:
    """Return what a peer is told whose number was there before."""
    return f"MsgSeqNum too low, expecting {expected} but received {seq}"
