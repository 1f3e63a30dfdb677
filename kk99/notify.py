"""Tells the service manager how the process fares (the sd_notify protocol: a datagram to NOTIFY_SOCKET).

Invariants: without a service manager every call does nothing; no call waits, whatever the service manager does: what
its full queue does not take is said again with what is said next; the watchdog is fed only by a caller who has just
seen that work goes on, never by a timer of its own.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_S: Final = 10.0
"""How often to look at the work where there is no watchdog to say so."""
START_STEP_S: Final = 120.0
"""What one step of starting may take: a part of the kernel compiled, a second of replay told."""
_TELL_S: Final = 10.0
"""How often a long start is told."""
_SAID_ONCE: Final = frozenset({"READY=1", "STOPPING=1"})
_FEEDS: Final = 3
"""The watchdog is fed that often in its time, so that one late turn does not end the process."""
_owed: list[str] = []
"""READY=1 or STOPPING=1, if it did not go out."""


def notify(state: str) -> bool:
    """Send a state such as `READY=1`, `STOPPING=1` or `STATUS=...`; does nothing without a service manager.

    Returns whether it went out. READY=1 and STOPPING=1, which are said once, go out with the next state if not.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return True
    if address.startswith("@"):
        address = "\0" + address[1:]
    said = "\n".join([*_owed, state])
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(said.encode(), address)
    except OSError:  # BlockingIOError: its queue is full
        _owed[:] = dict.fromkeys([*_owed, *(line for line in state.split("\n") if line in _SAID_ONCE)])
        return False
    _owed.clear()
    return True


def watchdog_s() -> float | None:
    """Return the seconds within which the service manager wants to hear of this process again, None: it does not."""
    text, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isdecimal() or int(text) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 1e6


class LongStart:
    """Asks the service manager for more time while a start gets on, now and then."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told_at = monotonic()

    def step(self, status: str) -> None:
        """Say what is being done; the next step may take START_STEP_S."""
        now = self._monotonic()
        is_due = now - self._told_at >= _TELL_S
        if is_due and notify(f"EXTEND_TIMEOUT_USEC={int(START_STEP_S * 1e6)}\nSTATUS={status}"):
            self._told_at = now


class Heart:
    """Feeds the watchdog when told that work goes on, as seldom as its time allows."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        limit_s = watchdog_s()
        self.interval_s = LOOK_S if limit_s is None else limit_s / _FEEDS
        """How often `beat` must be called."""
        self._is_watched = limit_s is not None
        self._monotonic = monotonic
        self._beaten_at = monotonic() - self.interval_s

    def beat(self, status: str = "") -> None:
        """Say that work goes on, now; call it as often as you like."""
        now = self._monotonic()
        if not self._is_watched or now - self._beaten_at < self.interval_s:
            return
        if notify("WATCHDOG=1" + (f"\nSTATUS={status}" if status else "")):
            self._beaten_at = now
