"""A copy made a little at a time is of the state where it began, whatever commands do meanwhile."""

import numpy as np
import pytest

from kk99.core import layout as lay
from kk99.errors import InvariantError
from kk99.machine import Machine, Sections
from tests.core import logs
from tests.core.copies import ahead_count, copies
from tests.core.tables import language
from tests.core.test_tables import TABLES, Core, cases, dated

NAMES = ("scripted", "generated-1", "generated-2", "generated-3", "normal_s23_n20000:3000")
ALL = 1 << 24


def orders_of(machine):
    """The words of all orders, with what is derived zeroed."""
    orders = machine.state.records(lay.ORDERS, machine.state.header(lay.H_ORDER_TOP) + 1, lay.ORDER_WORDS).copy()
    orders[:, [lay.O_LEVEL, lay.O_HASH]] = 0
    return orders


def a_third_of(name):
    """A machine to which the first third of a log was applied, and what is left of it."""
    commands, machine = logs.log(name), Machine()
    cut = len(commands.rows) // 3
    machine.apply_all(logs.part(commands, 0, cut))
    return machine, logs.part(commands, cut)


@pytest.mark.parametrize(("row_count", "order_count"), [(1, ALL), (1, 1), (1, 7), (6, 50)])
@pytest.mark.parametrize("name", NAMES)
def test_commands_amid_a_copy_do_not_show_in_it(name, row_count, order_count):
    """Copies one after another, a slice after each batch: each has the hash that the whole state had at its begin."""
    made = list(copies(Machine(), logs.log(name), row_count, order_count))
    assert [copied for copied in made if copied.copy_hash != copied.state_hash] == []
    assert len(made) > 3
    assert sum(copied.ahead_count for copied in made) > 50


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_that_has_not_moved_sees_nothing_of_what_follows(name):
    """With the cursor at the first order all the while, each order that changes is copied before it does."""
    machine, rest = a_third_of(name)
    sections, before, state_hash = Sections(), orders_of(machine), machine.state_hash()
    sections.begin(machine)
    machine.apply_all(rest)
    changed = np.flatnonzero((orders_of(machine)[: len(before)] != before).any(axis=1))
    assert 5 < len(changed) <= ahead_count(machine)
    assert sections.advance(ALL)
    assert sections.hash() == state_hash


class CopiedCore(Core):
    """The core as the tables drive it, with a copy begun before each of their commands and made after it."""

    def run(self, items, day=0):
        """Apply commands, and check the copy."""
        sections, state_hash = Sections(), self.machine.state_hash()
        sections.begin(self.machine)
        events = super().run(items, day)
        assert sections.advance(ALL)
        assert sections.hash() == state_hash
        return events


@pytest.mark.parametrize("table", TABLES)
def test_no_kind_of_command_shows_in_a_copy(table):
    """Whatever a command of the tables changes, a copy begun just before it does not have it."""
    for title, steps in cases(table).items():
        venue = CopiedCore()
        venue.run(language.prelude())
        for day, line, _ in dated(steps):
            assert venue.run([language.read(line)], day) is not None, (title, line)


@pytest.mark.parametrize("place", [lay.order(3) + lay.O_QTY, lay.extra(1) + lay.X_HOLD_PRICE])
def test_a_change_that_is_not_announced_shows(place):
    """A word of a record ahead of the cursor that changes unannounced changes the hash: these tests can fail."""
    machine, _ = a_third_of("mix-1")
    assert machine.state.header(lay.H_EXTRA_TOP) > 1
    sections, state_hash = Sections(), machine.state_hash()
    sections.begin(machine)
    assert not sections.advance(3)
    machine.state.words[place] += 1
    assert sections.advance(ALL)
    assert sections.hash() != state_hash


def test_an_empty_machine_is_copied():
    """Without orders a copy is complete after one step, and so it stays."""
    machine, sections = Machine(), Sections()
    sections.begin(machine)
    assert sections.advance()
    assert sections.advance()
    assert sections.hash() == machine.state_hash()


def test_orders_entered_after_the_begin_are_not_in_the_copy():
    """A copy begun before the first order has none, and loads as the machine was."""
    commands, machine, sections = logs.log("generated-1"), Machine(), Sections()
    machine.apply_all(logs.part(commands, 0, len(logs.setup())))
    state_hash = machine.state_hash()
    sections.begin(machine)
    machine.apply_all(logs.part(commands, len(logs.setup())))
    assert machine.state.header(lay.H_ORDERS) > 0
    assert sections.advance()
    assert Machine.from_sections(sections.canonical()).state_hash() == state_hash


def test_a_copy_in_the_making_cannot_be_read():
    """Until it is complete, neither its sections nor its hash are given out."""
    machine, _ = a_third_of("generated-1")
    sections = Sections()
    sections.begin(machine)
    assert not sections.advance(1)
    with pytest.raises(InvariantError):
        sections.canonical()
    with pytest.raises(InvariantError):
        sections.hash()
    sections.advance(ALL)
    assert sections.hash() == machine.state_hash()


def test_a_machine_has_one_copy_in_the_making():
    """A second one takes the place of the first, which is then refused; a copy at once, and the state hash, do not."""
    machine, _ = a_third_of("generated-1")
    first, second, at_once = Sections(), Sections(), Sections()
    first.begin(machine)
    first.advance(ALL)
    at_once.copy(machine)
    assert first.hash() == machine.state_hash() == at_once.hash()
    second.begin(machine)
    with pytest.raises(InvariantError):
        first.advance()
    with pytest.raises(InvariantError):
        first.canonical()
    assert second.advance(ALL)
    assert second.hash() == machine.state_hash()


def test_room_for_a_copy_is_made_without_touching_the_last_one():
    """Reserving room, also for a state that has grown, leaves a complete copy as it is."""
    machine, rest = a_third_of("generated-1")
    sections, state_hash = Sections(), machine.state_hash()
    sections.reserve(machine)
    sections.begin(machine)
    sections.advance(ALL)
    machine.apply_all(rest)
    sections.reserve(machine)
    assert sections.hash() == state_hash
