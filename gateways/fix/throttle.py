"""How many messages a session may send, as a bucket of tokens that fills with time.

Invariants: time is passed in and only ever fills the bucket; over any span a session sends at most `burst` plus
`per_s` times the span unrefused; debt is bounded, so that one who stops is heard again within `(burst + 1) / per_s`
seconds.
"""

from __future__ import annotations

from gateways.fix.states import SECOND_NS


class Throttle:
    """One session's bucket; `per_s` of 0: no limit."""

    __slots__ = ("_burst", "_level", "_per_s", "_since_ns")

    def __init__(self, per_s: int, burst: int, now_ns: int) -> None:
        """Begin with a full bucket."""
        self._per_s = per_s
        self._burst = burst * SECOND_NS
        self._level = self._burst
        self._since_ns = now_ns

    def limit(self, per_s: int, burst: int) -> None:
        """Go on with another limit; what is in the bucket stays, as far as it fits."""
        self._per_s, self._burst = per_s, burst * SECOND_NS
        self._level = min(self._level, self._burst)

    def admits(self, count: int, now_ns: int) -> bool:
        """Take so many tokens if they are all there; otherwise take none."""
        if not self._per_s:
            return True
        self._fill(now_ns)
        if self._level < count * SECOND_NS:
            return False
        self._level -= count * SECOND_NS
        return True

    def give_back(self, count: int) -> None:
        """Put tokens back that were taken and not used."""
        self._level = min(self._level + count * SECOND_NS, self._burst)

    def owe(self) -> bool:
        """Count a message beyond the limit as debt; return whether that is abuse: more debt than one burst."""
        self._level -= SECOND_NS
        is_abuse = self._level < -self._burst
        self._level = max(self._level, -self._burst)
        return is_abuse

    def _fill(self, now_ns: int) -> None:
        if now_ns > self._since_ns:
            self._level = min(self._burst, self._level + (now_ns - self._since_ns) * self._per_s)
            self._since_ns = now_ns
