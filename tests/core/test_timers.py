"""The timers against a sorted list, function by function in the python lane; the other lanes run them in their logs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kk99 import schema
from tests.core.python_lane import python_lane

LANE = python_lane()
LAY, TIMERS = LANE.layout, LANE.timers
LATE = (1 << 63) - 1
DUES = st.one_of(st.integers(1, 9), st.integers(1, LATE), st.just(LATE))
STEPS = st.lists(st.tuples(st.sampled_from(("arm", "arm", "disarm", "pop")), DUES), min_size=20, max_size=200)


class Timers:
    """Timers in the kernel, and beside them those that are set as (due, slot) and the free slots."""

    def __init__(self):
        self.memory = LANE.state.State().words
        self.set = []
        self.free = []
        self.top = 0

    def arm(self, due_ns):
        """Set one."""
        slot = TIMERS.arm(self.memory, TIMERS.M_EXPIRY, due_ns % 1000, due_ns)
        if self.free:
            assert slot == self.free.pop()
        else:
            self.top += 1
            assert slot == self.top
        assert self.record(slot)[:3] == [due_ns, due_ns % 1000, TIMERS.M_EXPIRY]
        self.set.append((due_ns, slot))

    def disarm(self, number):
        """Take one back."""
        slot = self.set.pop(number % len(self.set))[1]
        TIMERS.disarm(self.memory, slot)
        self.free.append(slot)
        assert self.record(slot)[:3] == [0, 0, 0]

    def pop(self):
        """Let the first fire."""
        due_ns, slot = min(self.set)
        assert TIMERS.pop(self.memory) == slot
        assert self.record(slot)[:3] == [due_ns, due_ns % 1000, TIMERS.M_EXPIRY]
        self.set.remove((due_ns, slot))
        self.free.append(slot)

    def record(self, slot):
        """A timer's words."""
        at = LAY.timer(slot)
        return self.memory[at : at + LAY.TIMER_WORDS].tolist()

    def header(self, word):
        """A word of the header."""
        return int(self.memory[LAY.HEADER + word])

    def check(self):
        """Compare the counts, when the first is due, and that each stands where it knows, none above an earlier one."""
        assert self.header(LAY.H_TIMERS) == len(self.set)
        assert self.header(LAY.H_TIMER_TOP) == self.top
        assert self.header(LAY.H_NEXT_TIMER_NS) == min(self.set, default=(0, 0))[0]
        heap = self.memory[LAY.TIMER_HEAP : LAY.TIMER_HEAP + len(self.set) + 1].tolist()
        due = {slot: (due_ns, slot) for due_ns, slot in self.set}
        for place in range(1, len(heap)):
            assert self.record(heap[place])[3] == place
            assert place == 1 or due[heap[place // 2]] < due[heap[place]]


@settings(max_examples=settings().max_examples * 3)
@given(STEPS)
def test_timers_fire_in_the_order_of_a_sorted_list(steps):
    """However timers are set and taken back, they fire by due time, then slot; a freed slot is used again first."""
    timers = Timers()
    for what, due_ns in steps:
        if what == "arm" or not timers.set:
            timers.arm(due_ns)
        elif what == "disarm":
            timers.disarm(due_ns)
        else:
            timers.pop()
        timers.check()
    while timers.set:
        timers.pop()
        timers.check()


def test_no_timer_is_slot_zero():
    """To take back timer 0 changes nothing."""
    timers = Timers()
    timers.arm(5)
    before = timers.memory[LAY.TIMERS : LAY.TIMERS + 8].tolist()
    TIMERS.disarm(timers.memory, 0)
    timers.check()
    assert timers.memory[LAY.TIMERS : LAY.TIMERS + 8].tolist() == before


@pytest.mark.parametrize(("time_ns", "is_due"), [(4, False), (5, True), (6, True)])
def test_a_timer_is_due_from_its_time_on(time_ns, is_due):
    """Not before, and none is due when none is set."""
    timers = Timers()
    timers.memory[LAY.HEADER + LAY.H_TIME_NS] = time_ns
    assert not TIMERS.due(timers.memory)
    timers.arm(5)
    timers.arm(7)
    assert TIMERS.due(timers.memory) == is_due


def test_there_is_room_for_every_order_and_instrument():
    """A timer for each order, and as many for each instrument as its record has words for."""
    kinds = TIMERS.M_INDICATIVE + 1 - TIMERS.M_PHASE
    assert schema.ORDERS_MAX + kinds * schema.INSTRUMENTS_MAX <= schema.TIMERS_MAX
    assert LAY.TIMER_HEAP + schema.TIMERS_MAX <= LAY.TRADING
