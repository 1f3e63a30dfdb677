"""Refused Logons counted by where they came from and whom they named, so that guessing passwords gets nowhere.

Invariants: a name is locked only for the network that failed in it, so nobody locks out a counterparty from elsewhere;
what is kept is bounded, the oldest goes first; time is passed in.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from gateways.fix.states import SECOND_NS

WINDOW_NS: Final = 60 * SECOND_NS
"""Failures count for so long after the first, and a lock lasts as long."""
NAME_FAILURES_MAX: Final = 5
"""Failures in one name from one network, after which it is locked."""
NETWORK_FAILURES_MAX: Final = 50
"""Failures from one network, whatever the name, after which it is locked out."""
KEPT_MAX: Final = 16_384
_IPV6_PREFIX: Final = 64
"""What one customer of a provider has at least."""

_Key = tuple[str, str]


def network_of(address: str) -> str:
    """Return what an address counts as: itself, also when it is IPv4 in IPv6, but of IPv6 its network of 64 bits."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))


class Failures:
    """What failed lately."""

    def __init__(self) -> None:
        self._counts: dict[_Key, tuple[int, int]] = {}
        """(count, time of the first) by (network, name), first failed first; the name "" is for all together."""

    def note(self, network: str, name: str, now_ns: int) -> None:
        """Count a failure in a name, "" for one that does not exist."""
        for key in dict.fromkeys([(network, name), (network, "")]):
            count = self._count(key, now_ns)
            if count:
                self._counts[key] = count + 1, self._counts[key][1]
                continue
            self._counts.pop(key, None)
            if len(self._counts) >= KEPT_MAX:
                del self._counts[next(iter(self._counts))]
            self._counts[key] = 1, now_ns

    def is_locked(self, network: str, name: str, now_ns: int) -> bool:
        """Return whether a name is locked for a network."""
        return self._count((network, name), now_ns) >= NAME_FAILURES_MAX if name else False

    def is_locked_out(self, network: str, now_ns: int) -> bool:
        """Return whether a network is locked out."""
        return self._count((network, ""), now_ns) >= NETWORK_FAILURES_MAX

    def _count(self, key: _Key, now_ns: int) -> int:
        count, since_ns = self._counts.get(key, (0, 0))
        return count if now_ns < since_ns + WINDOW_NS else 0
