"""Tells the service manager how the process fares (the sd_notify protocol: a datagram to NOTIFY_SOCKET).

Invariants: without a service manager every call does nothing; the watchdog is fed only by a caller who has just seen
that work goes on, never by a timer of its own.
"""

from __future__ import annotations

import contextlib
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
_FEEDS: Final = 3
"""The watchdog is fed that often in its time, so that one late turn does not end the process."""


def notify(state: str) -> None:
    """Send a state such as `READY=1`, `STOPPING=1` or `STATUS=...`; does nothing without a service manager."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender, contextlib.suppress(OSError):
        sender.sendto(state.encode(), address)


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
        if self._monotonic() - self._told_at >= _TELL_S:
            self._told_at = self._monotonic()
            notify(f"EXTEND_TIMEOUT_USEC={int(START_STEP_S * 1e6)}\nSTATUS={status}")


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
        self._beaten_at = now
        notify("WATCHDOG=1" + (f"\nSTATUS={status}" if status else ""))
