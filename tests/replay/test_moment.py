"""Times on the command line."""

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.moment import Moment


@given(
    st.text()
    | st.datetimes().map(lambda at: at.isoformat())
    | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z?")
)
def test_a_time_is_nanoseconds_or_wrong_usage(text):
    """Whatever is given for a time, it is one or an error of usage."""
    try:
        assert isinstance(Moment().convert(text, None, None), int)
    except click.UsageError:
        return


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("7", 7),
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T00:00:01", 10**9),
        ("1970-01-01T01:00:00.000000001+01:00", 1),
        ("1969-12-31T23:59:59.5Z", -(10**9) // 2),
    ],
)
def test_times_are_read_to_the_nanosecond(text, time_ns):
    """With or without a zone and a fraction, UTC if none is named."""
    assert Moment().convert(text, None, None) == time_ns
