"""Passwords as their argon2id hashes (RFC 9106), and the checking of them beside the event loop.

Invariants: a password is never kept, logged or compared in clear; a check costs what its hash says, whatever the
password; at most `CHECKS_AT_ONCE` checks run and `CHECKS_WAITING_MAX` more wait, so that a flood of Logons bounds
neither memory nor the time that other jobs wait.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateways.fix.jobs import Jobs

MEMORY_KIB: Final = 19_456
PASSES: Final = 2
"""What a new hash costs, with one lane: the least that OWASP recommends, so that hundreds of sessions that come back at
once are let in within seconds."""
NOBODYS: Final = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${'A' * 22}${'A' * 43}"
"""The hash of no password that anyone could find: what the passwords of strangers are compared with."""
CHECKS_AT_ONCE: Final = 2
CHECKS_WAITING_MAX: Final = 256

_CHECKER: Final = PasswordHasher()


def hash_password(password: str, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES) -> str:
    """Return the encoded argon2id hash of a password, with a salt of its own."""
    return PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1).hash(_bytes(password))


def is_password(password: str, credential: str) -> bool:
    """Return whether a password is the one that a hash was made of; takes what the hash says, always."""
    try:
        return _CHECKER.verify(credential, _bytes(password))
    except (VerificationError, InvalidHashError):
        return False


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


class Checks:
    """Password checks under way and waiting."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._running = 0
        self._waiting: deque[tuple[str, str, Callable[[bool], None]]] = deque()

    def start(self, password: str, credential: str, then: Callable[[bool], None]) -> bool:
        """Check in a job, then call `then` in the loop's thread; False: too many wait, nothing was done."""
        if self._running < CHECKS_AT_ONCE:
            self._run(password, credential, then)
        elif len(self._waiting) < CHECKS_WAITING_MAX:
            self._waiting.append((password, credential, then))
        else:
            return False
        return True

    def _run(self, password: str, credential: str, then: Callable[[bool], None]) -> None:
        def ended(is_right: bool | None, error: Exception | None) -> None:
            self._running -= 1
            if self._waiting:
                self._run(*self._waiting.popleft())
            if error is not None:
                raise error
            then(bool(is_right))

        self._running += 1
        self._jobs.start(lambda: is_password(password, credential), ended)
