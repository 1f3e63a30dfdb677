"""Forms of the texts that an identity holds: networks, hashes of passwords, digests of certificates, CompIDs.

Grammars of our own and not a library's: what a log may say must be judged alike by every release of Python.
"""

from __future__ import annotations

import re
from typing import Final

COMP_ID_LENGTH_MAX: Final = 28
"""So that the name of the engine's session, which has a prefix, is a name."""
PASSWORD_HASH_LENGTH_MAX: Final = 256
HASH_MEMORY_KIB_MAX: Final = 1 << 18
HASH_PASSES_MAX: Final = 16
HASH_LANES_MAX: Final = 16
"""Bounds of what checking one password may cost: 256 MiB, 16 passes over them."""

_COMP_ID: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{COMP_ID_LENGTH_MAX}}}")
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_HASH: Final = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,6}),t=([1-9][0-9]?),p=([1-9][0-9]?)"
    r"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}"
)
_NUMBER: Final = "(0|[1-9][0-9]{0,2})"
_IPV4: Final = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}\.{_NUMBER}/{_NUMBER}")
_IPV6: Final = re.compile(rf"([0-9a-f:]{{2,39}})/{_NUMBER}")


def is_comp_id(text: str) -> bool:
    """Whether the text can be a FIX CompID: 1 to 28 of `A-Z a-z 0-9 . _ -`."""
    return _COMP_ID.fullmatch(text) is not None


def is_certificate_digest(text: str) -> bool:
    """Whether the text is a SHA-256 digest as 64 small hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


def is_password_hash(text: str) -> bool:
    """Whether the text is an encoded argon2id hash (RFC 9106, version 19) whose checking costs no more than allowed."""
    found = _HASH.fullmatch(text)
    if found is None or len(text) > PASSWORD_HASH_LENGTH_MAX:
        return False
    memory_kib, passes, lanes = (int(group) for group in found.groups())
    return 8 * lanes <= memory_kib <= HASH_MEMORY_KIB_MAX and passes <= HASH_PASSES_MAX and lanes <= HASH_LANES_MAX


def is_network(text: str) -> bool:
    """Whether the text is a network, such as 10.0.0.0/8 or fd00::/8: small digits, no bit set beyond the prefix."""
    found = _IPV4.fullmatch(text)
    if found is not None:
        *octets, prefix = (int(group) for group in found.groups())
        return max(octets) < 256 and _is_whole(sum(o << 8 * at for at, o in enumerate(reversed(octets))), prefix, 32)
    found = _IPV6.fullmatch(text)
    if found is None:
        return False
    address = _ipv6(found.group(1))
    return address is not None and _is_whole(address, int(found.group(2)), 128)


def _ipv6(text: str) -> int | None:
    """Return the number of an IPv6 address, None if it is none."""
    halves = [half.split(":") if half else [] for half in text.split("::")]
    groups = [group for half in halves for group in half]
    if len(halves) > 2 or any(not 1 <= len(group) <= 4 for group in groups):
        return None
    missing = 8 - len(groups)
    if missing != 0 if len(halves) == 1 else missing < 1:
        return None
    if len(halves) == 2:
        groups = [*halves[0], *["0"] * missing, *halves[1]]
    return sum(int(group, 16) << 16 * at for at, group in enumerate(reversed(groups)))


def _is_whole(address: int, prefix: int, bits: int) -> bool:
    return prefix <= bits and address & ((1 << bits - prefix) - 1) == 0
