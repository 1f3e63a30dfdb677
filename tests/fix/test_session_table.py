"""The session layer: each rule of tables/session.txt as a small conversation, and the bounds of what waits."""

from pathlib import Path

import pytest

from gateways.fix.session import Session
from gateways.fix.states import Limits, Place
from tests.fix.script import Run, rules

RULES = rules(Path(__file__).parent / "tables" / "session.txt")


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_of_the_session_protocol_holds(rule):
    """The conversation goes as the rule says."""
    Run().play(RULES[rule])


def test_what_waits_beyond_a_gap_is_bounded_by_number():
    """Messages beyond the bound are dropped, and asked for when the gap is closed."""
    Run(Limits(queue_messages=2)).play("""
        on
        < D 34=4
          -> send 2 7=2 16=3
        < D 34=5
        < D 34=6
        < D 34=7
        < 4 34=2 36=4 123=Y 43=Y
          -> take 2-3
          -> deliver 4
          -> deliver 5
        state active
        < 0 34=8
          -> send 2 7=6 16=7""")


def test_what_waits_beyond_a_gap_is_bounded_by_bytes():
    """The bound itself is allowed; one byte more is not."""
    size = len(Run().message("D 34=4"))
    for room, expected in ((2 * size, 2), (2 * size - 1, 1)):
        run = Run(Limits(queue_bytes=room))
        run.play("on\n< D 34=4\n-> send 2 7=2 16=3\n< D 34=5\n< D 34=5")
        assert run.session.waiting == expected


def test_the_table_has_a_move_for_each_place():
    """Every row of the table says what to do in every place."""
    assert {len(moves) for moves in Session.TABLE.values()} == {len(Place)}


def test_a_session_says_when_it_wants_to_be_ticked():
    """The next tick is the earliest deadline, and none once it is closed."""
    run = Run()
    assert run.session.next_tick_ns == run.now_ns + run.limits.logon_ns
    run.play("on")
    assert run.session.next_tick_ns == run.now_ns + 30_000_000_000
    assert run.session.plain_from == 2
    run.play("< D 34=9\n-> send 2 7=2 16=8")
    assert run.session.plain_from == 0
    run.play("gone")
    assert run.session.next_tick_ns == 2**63 - 1
    assert run.session.tick(2**62) == []
