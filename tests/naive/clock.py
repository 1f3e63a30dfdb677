"""Time: numbered timers, and the weekly transitions of a trading schedule."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
WEEK_NS = 7 * DAY_NS
MONDAY_NS = 4 * DAY_NS
"""The first Monday: time begins on a Thursday."""

Phase = dict[str, Any]
"""One entry of a schedule: `at_s`, `days`, `phase`."""


class Wants(enum.Enum):
    """What a timer's owner wants when it fires."""

    EXPIRY = enum.auto()
    """An order's end (owner: its id)."""
    RELEASE = enum.auto()
    """A scheduled order's next slice (owner: its id)."""
    TRANSITION = enum.auto()
    """An instrument's next phase (owner: its number)."""
    INDICATIVE = enum.auto()
    """A look at an instrument's call (owner: its number)."""
    SPREAD = enum.auto()
    """A halt, as the spread is wide (this and what follows: for an instrument's breaker, owner: its number)."""
    SILENCE = enum.auto()
    """A halt or an alert, as no index price comes."""
    STRESS = enum.auto()
    """The next measure of stress."""
    CORRELATION = enum.auto()
    """The next sample of the correlation."""
    RECOVERY = enum.auto()
    """The next step of a recovery."""


@dataclass(frozen=True)
class Timer:
    """When it is due, and who wants what then."""

    due_time_ns: int
    wants: Wants
    owner: int


class Timers:
    """Timers in numbered slots from 1; the slot that was freed last is used first."""

    def __init__(self) -> None:
        self.slots: list[Timer | None] = [None]
        self.free_slots: list[int] = []

    def set(self, due_time_ns: int, wants: Wants, owner: int) -> int:
        """Set a timer and return its number."""
        timer = Timer(due_time_ns, wants, owner)
        if self.free_slots:
            number = self.free_slots.pop()
            self.slots[number] = timer
        else:
            number = len(self.slots)
            self.slots.append(timer)
        return number

    def drop(self, number: int) -> None:
        """Give up a timer; 0 is none."""
        if number:
            assert self.slots[number] is not None
            self.slots[number] = None
            self.free_slots.append(number)

    def take_due(self, time_ns: int) -> Timer | None:
        """The first timer that is due by then, if any: no longer set, its slot free."""
        due = [
            (timer.due_time_ns, number)
            for number, timer in enumerate(self.slots)
            if timer is not None and timer.due_time_ns <= time_ns
        ]
        if not due:
            return None
        number = min(due)[1]
        timer = self.slots[number]
        self.drop(number)
        return timer

    def is_due(self, time_ns: int) -> bool:
        """Whether any timer is due by then."""
        return any(timer is not None and timer.due_time_ns <= time_ns for timer in self.slots)


# Schedules ------------------------------------------------------------------------------------------------------------


def week_of(phases: list[Phase]) -> dict[int, str]:
    """The transitions of a week: phase by time since Monday began; of two at one time the later in the list."""
    return {
        day * DAY_NS + phase["at_s"] * SECOND_NS: phase["phase"]
        for phase in phases
        for day in range(7)
        if phase["days"] >> day & 1
    }


def next_transition_ns(phases: list[Phase], time_ns: int) -> int:
    """The time of the first transition after a time."""
    week_began_ns = time_ns - (time_ns - MONDAY_NS) % WEEK_NS
    times = [week_began_ns + weeks * WEEK_NS + since for weeks in (0, 1) for since in week_of(phases)]
    return min(time for time in times if time > time_ns)


def phase_at(phases: list[Phase], time_ns: int) -> str:
    """The phase of the latest transition at or before a time."""
    week = week_of(phases)
    week_began_ns = time_ns - (time_ns - MONDAY_NS) % WEEK_NS
    times = {week_began_ns + weeks * WEEK_NS + since: phase for weeks in (-1, 0) for since, phase in week.items()}
    return times[max(time for time in times if time <= time_ns)]


def next_multiple_ns(began_ns: int, every_ns: int, time_ns: int) -> int:
    """The first of the beginning plus one, two, ... times the interval that is after a time."""
    return began_ns + ((time_ns - began_ns) // every_ns + 1) * every_ns
