"""The core against the naive model on generated commands: equal events, byte for byte, and equal state after each."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kk99 import schema
from tests.core.strategies import scenarios, setup
from tests.naive.compare import assert_same, empty_machine
from tests.naive.model import Naive
from tests.naive.rows import COMMAND_FIELDS

SETUP_NAIVE = Naive()
assert_same(empty_machine(), SETUP_NAIVE, setup(), size=len(setup()))


def venue_pair():
    """A core and a model of the small venue, both after its setup."""
    machine = empty_machine()
    assert_same(machine, Naive(), setup(), size=len(setup()))
    return machine, copy.deepcopy(SETUP_NAIVE)


@given(scenarios())
def test_core_and_model_agree_on_every_event_and_every_state(items):
    """Whatever happens, the core's events and its state after each command are the model's."""
    assert_same(*venue_pair(), items)


@pytest.mark.parametrize("size", [7, schema.BATCH_ROWS_MAX])
@settings(max_examples=settings().max_examples // 4)
@given(items=scenarios(100, 200))
def test_core_and_model_agree_however_the_log_is_cut(size, items):
    """Batches of any size cause the events of single commands, and end in the same state hash."""
    machine, naive = venue_pair()
    assert_same(machine, naive, items, size=size)
    machine.check_all()
    one_by_one, model = venue_pair()
    assert_same(one_by_one, model, items, size=50)
    assert one_by_one.state_hash() == machine.state_hash()


def hostile_row(data):
    """Any bytes as a command without a document; a kind that asks for one keeps whatever the bytes are elsewhere."""
    fields = dict(zip(COMMAND_FIELDS, np.frombuffer(data, schema.COMMAND)[0].item(), strict=True))
    return {name: value for name, value in fields.items() if name not in {"seq", "time_ns"}}, b""


@st.composite
def hostile_rows(draw):
    """Rows of random bytes, some words of which are zero, as of a command that is nearly right."""
    data = bytearray(draw(st.binary(min_size=schema.ROW_SIZE, max_size=schema.ROW_SIZE)))
    for word in range(schema.ROW_WORDS):
        if draw(st.booleans()):
            data[word * 8 : word * 8 + 8] = bytes(8)
    data[24:28] = draw(st.sampled_from([0, 0, 0, 1, -1])).to_bytes(4, "little", signed=True)
    data[32] = draw(st.one_of(st.integers(0, max(schema.CommandKind)), st.integers(0, 255)))
    data[40:48] = bytes([draw(st.integers(0, 4)), 0, 0, 0, draw(st.integers(14, 23)), 0, 0, 0])
    return hostile_row(bytes(data))


@given(st.lists(hostile_rows(), min_size=10, max_size=40))
def test_core_and_model_agree_on_hostile_rows(items):
    """Rows of any bytes are rejected, or do, the same in both, and harm neither."""
    assert_same(*venue_pair(), items, size=5)
