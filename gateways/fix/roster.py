"""What operators see of the gateway's sessions, and what they may have done to one.

Questions are `{"do": "sessions"}`, `{"do": "log_out", "session": name}` and `{"do": "reset", "session": name}`; an
answer has `error` when nothing was done. Times are nanoseconds since 1970, 0 for never.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gateways.fix.settings import BLOCKED
from gateways.fix.tls import version_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateways.fix.control import Reply
    from gateways.fix.gateway import Gateway
    from gateways.fix.line import Line
    from gateways.fix.link import Link

_LOGGED_OUT = "logged out"


def handle(gateway: Gateway, question: dict[str, Any], reply: Callable[[Reply], None]) -> None:
    """Answer an operator's question, now or when it is done."""
    do, name = question.get("do"), question.get("session")
    if do == "sessions":
        lines = sorted(gateway.lines.values(), key=lambda line: line.settings.comp_id)
        reply({"sessions": [session(gateway, line) for line in lines]})
        return
    line = gateway.lines.get(name) if isinstance(name, str) else None
    if do not in ("log_out", "reset"):  # no set: what was asked may be a list
        reply({"error": f"there is no {do!r} here"})
    elif line is None:
        reply({"error": f"no session {name!r}: see `kk99 fix sessions`"})
    elif do == "reset":
        gateway.binding.reset(line, gateway.reports_at(line), reply)
    else:
        link = gateway.link_of(line)
        if link is None:
            reply({"error": f"{name} is not logged on"})
            return
        link.log_out("logged out by an operator", time.time_ns())
        reply({"session": name, "state": link.machine.state.value})


def session(gateway: Gateway, line: Line) -> dict[str, Any]:
    """Return a session's state and numbers."""
    settings = gateway.access.sessions[line.settings.comp_id]
    told = {
        "session": settings.comp_id,
        "role": settings.role,
        "identity": BLOCKED if settings.is_blocked else "ACTIVE",
        "state": _LOGGED_OUT,
        "epoch": line.epoch,
        "next_in": line.numbers[0],
        "next_out": line.numbers[1],
        "resends": line.resend_count,
        "throttled": line.throttled_count,
        "reports_waiting": len(line.owed),
        "reports_behind": line.owed.is_behind,
    }
    link = gateway.link_of(line)
    return told if link is None else told | _connected(link)


def _connected(link: Link) -> dict[str, Any]:
    machine = link.machine
    return {
        "state": machine.state.value,
        "address": link.address,
        "tls": version_of(link.socket),
        "since_ns": link.since_ns,
        "last_in_ns": machine.last_in_ns,
        "last_out_ns": machine.last_out_ns,
        "beyond_gap": machine.waiting,
        "bytes_waiting": link.bytes_waiting,
    }
