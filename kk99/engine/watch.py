"""Judges whether the engine's stages go on, for the watchdog: from two looks at them, some seconds apart.

Invariants: a stage that has nothing to do still turns; one that has something to do must also have come further. A
thread that hangs in a call (a disk that no longer answers) and one that turns without getting on are both found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Standing:
    """How often each stage has turned, and how far it has come."""

    turns: Mapping[str, int]
    head_seq: int
    durable_seq: int
    applied_seq: int
    stored_seq: int


class Watch:
    """Looks at the stages; `stuck` compares with the look before."""

    def __init__(self, look: Callable[[], Standing]) -> None:
        self._look = look
        self._before = look()

    def stuck(self) -> list[str]:
        """Return what should have gone on since the last call and has not; empty when all is well."""
        before, now = self._before, self._look()
        self._before = now
        found = [f"the {name} stage stands still" for name, count in now.turns.items() if count == before.turns[name]]
        if before.head_seq > before.durable_seq == now.durable_seq:
            found.append(f"commands after seq {now.durable_seq} do not become durable")
        if before.head_seq > before.applied_seq == now.applied_seq:
            found.append(f"commands after seq {now.applied_seq} are not applied")
        if min(before.durable_seq, before.applied_seq) > before.stored_seq == now.stored_seq:
            found.append(f"events after seq {now.stored_seq} do not leave")
        return found
