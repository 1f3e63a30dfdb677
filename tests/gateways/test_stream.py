"""The event stream: frames that overlap, repeat or are missing come out as each event once, or as a gap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.stream import Gap, Stream
from kk99 import batch, schema


def frame(first, last):
    """A frame of the events first to last - 1 of a stream in which each third command has two events."""
    rows = np.zeros(last - first, schema.EVENT)
    rows["cause_seq"], rows["index"] = zip(*[identity(number) for number in range(first, last)], strict=True)
    return batch.Events(rows, b"", identity(first - 1) if first else (0, 0), int(rows["cause_seq"][-1]))


def identity(number):
    """The (cause_seq, index) of an event."""
    return number // 4 * 3 + min(number % 4, 2) + 1, int(number % 4 == 3)


def numbers(events):
    """What events come out, as identities."""
    return events.rows[["cause_seq", "index"]].tolist()


@given(st.integers(0, 19), st.lists(st.tuples(st.integers(0, 19), st.integers(1, 8)), max_size=20))
def test_each_event_once(start, spans):
    """Whatever frames come, what comes out continues what came before, and only a real gap is one."""
    after = identity(start - 1) if start else (0, 0)
    stream, seen = Stream(after), start
    for first, count in spans:
        events = frame(first, first + count)
        if first > seen:
            with pytest.raises(Gap):
                stream.take(events)
        elif first + count <= seen:
            assert stream.take(events) is None
        else:
            taken = stream.take(events)
            assert numbers(taken) == [identity(number) for number in range(seen, first + count)]
            assert taken.previous == (identity(seen - 1) if seen else (0, 0))
            seen = first + count
        assert stream.last == (identity(seen - 1) if seen else (0, 0))


def test_an_empty_frame_is_nothing():
    """A frame without rows changes nothing."""
    stream = Stream((1, 0))
    assert stream.take(batch.Events(np.zeros(0, schema.EVENT))) is None
    assert stream.last == (1, 0)
