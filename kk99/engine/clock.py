"""The time that commands get: the machine's clock, held to never decrease and watched for jumps.

A jump is the clock moving, against the time that elapsed, by more than the bound; or standing that far behind the
last command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kk99.engine.ports import Clock


class StampClock:
    """Stamps commands; `last_time_ns` is the time of the last command there is."""

    def __init__(self, clock: Clock, last_time_ns: int, jump_ns: int) -> None:
        self._clock = clock
        self._last_time_ns = last_time_ns
        self._jump_ns = jump_ns
        self._offset_ns = clock.now_ns() - clock.monotonic_ns()
        self._confirmed = False
        self.jumped_ns = 0
        """By how far the clock jumped; 0 while it is trusted."""

    def monotonic_ns(self) -> int:
        """Return a time that only rises, for leases."""
        return self._clock.monotonic_ns()

    def confirm(self) -> None:
        """Trust the clock as it now stands; may be called by any thread."""
        self._confirmed = True

    def stamp_ns(self) -> int | None:
        """Return the time for the next command, or None while the clock is not trusted."""
        now_ns = self._clock.now_ns()
        offset_ns = now_ns - self._clock.monotonic_ns()
        ahead_ns, behind_ns = offset_ns - self._offset_ns, self._last_time_ns - now_ns
        if (ahead_ns > self._jump_ns or behind_ns > self._jump_ns) and not self._confirmed:
            self.jumped_ns = ahead_ns if ahead_ns > self._jump_ns else -behind_ns
            return None
        self.jumped_ns = 0
        self._offset_ns = offset_ns
        self._last_time_ns = max(self._last_time_ns, now_ns)
        if behind_ns <= self._jump_ns:
            self._confirmed = False  # a later jump needs a word of its own
        return self._last_time_ns

    def wait_ns(self, time_ns: int) -> int:
        """Return how long it is until the clock shows a time, 0 or less when it does."""
        return time_ns - self._clock.now_ns()

    def has_reached(self, time_ns: int) -> bool:
        """Whether the clock is trusted and shows that time or a later one: a stamp would not be below it."""
        return self.wait_ns(time_ns) <= 0 and self.stamp_ns() is not None

    def own_stamp_ns(self) -> int:
        """Return the time for the sequencer's own commands: the last one while the clock is not trusted."""
        time_ns = self.stamp_ns()
        return self._last_time_ns if time_ns is None else time_ns
