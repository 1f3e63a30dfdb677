"""Figures of a process: what is counted arrives as it was, and nothing that is not whole is believed."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99.metrics.figures import BYTES_MAX, LABEL_CHARS_MAX, Counts, Figures, FiguresError, Histogram, decode
from kk99.metrics.series import SERIES, TIMES_NS, Kind, Source

TIMES = "kk99_engine_processing_seconds"
NUMBERS = st.one_of(st.integers(0, 1 << 62), st.floats(-1e300, 1e300))


def values_of(series):
    """Values that a series may have."""
    if series.kind is not Kind.HISTOGRAM:
        return NUMBERS
    counts = st.lists(st.integers(0, 1 << 62), min_size=len(series.bounds) + 1, max_size=len(series.bounds) + 1)
    return st.builds(Counts, counts.map(tuple), st.floats(0, 1e300))


@st.composite
def samples(draw):
    """A declared series with labels and a value."""
    series = draw(st.sampled_from(list(SERIES.values())))
    labels = tuple(draw(st.text(max_size=LABEL_CHARS_MAX)) for _ in series.labels)
    return series.name, labels, draw(values_of(series))


@given(st.lists(samples(), max_size=30))
def test_what_is_encoded_is_decoded(given_samples):
    """Every value of every series comes back, the last one of a name and its labels."""
    figures = Figures("engine")
    for name, labels, value in given_samples:
        figures.add(name, value, *labels)
    found = decode(figures.encode())
    assert found.process == "engine"
    assert found.samples == figures.samples


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(), st.text(), st.binary()),
    lambda inner: st.one_of(
        st.lists(inner), st.dictionaries(st.one_of(st.sampled_from([*SERIES, "samples", "process"]), st.text()), inner)
    ),
    max_leaves=30,
)


@given(
    st.one_of(st.binary(), JUNK.map(msgpack.packb), JUNK.map(lambda x: msgpack.packb({"process": "p", "samples": x})))
)
def test_other_bytes_are_refused_or_whole(data):
    """Bytes are figures whose every sample is of its declared form, or `FiguresError` says why not."""
    try:
        figures = decode(data)
    except FiguresError:
        return
    for name, found in figures.samples.items():
        assert all(len(labels) == len(SERIES[name].labels) for labels in found)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ({TIMES: [[[], [[1, 2], 3]]]}, "2 counts where"),
        ({TIMES: [[[], 3]]}, "no counts"),
        ({TIMES: [[[], [[-1] * (len(TIMES_NS) + 1), 3]]]}, "from 0 on"),
        ({"kk99_rejects_total": [[[], 3]]}, "0 labels where 1"),
        ({"kk99_rejects_total": [[[7], 3]]}, "labels"),
        ({"kk99_engine_sessions": [[[], float("nan")]]}, "not a finite number"),
        ({"kk99_engine_sessions": [[[], True]]}, "not a finite number"),
        ({"kk99_engine_sessions": [3]}, "labels and a value"),
        ({"kk99_engine_sessions": 3}, "not a list"),
        ([], "no map"),
    ],
)
def test_what_is_wrong_is_named(samples, reason):
    """The error says what is wrong with which series."""
    with pytest.raises(FiguresError, match=reason):
        decode(msgpack.packb({"process": "engine", "samples": samples}))


def test_series_of_another_release_are_left_out():
    """A name that is not declared here costs nothing but itself."""
    data = msgpack.packb({"process": "engine", "samples": {"kk99_new": [[[], 1]], "kk99_engine_sessions": [[[], 2]]}})
    assert decode(data).samples == {"kk99_engine_sessions": {(): 2}}


def test_too_many_bytes_are_refused():
    """The bound is on the bytes, at its edge."""
    with pytest.raises(FiguresError, match="more than"):
        decode(bytes(BYTES_MAX + 1))
    with pytest.raises(FiguresError, match="not msgpack"):
        decode(bytes(BYTES_MAX))


@pytest.mark.parametrize(("value", "place"), [(0, 0), (9_999, 0), (10_000, 0), (10_001, 1), (1_000_000, 6)])
def test_a_bound_holds_what_is_not_above_it(value, place):
    """A value that is a bound counts in its bucket; 1 ms is a bound, so a limit of 1,000 us is exact."""
    histogram = Histogram(TIMES)
    histogram.count(value, 3)
    assert [index for index, count in enumerate(histogram.counts) if count] == [place]
    assert (histogram.counts[place], histogram.total) == (3, 3 * value)


def test_above_all_bounds_is_the_last():
    """What is longer than every bound counts, too."""
    histogram = Histogram(TIMES)
    histogram.count(TIMES_NS[-1] + 1)
    assert histogram.counts[-1] == 1


def test_the_table_is_in_order():
    """Each name is the venue's own and ends as its kind asks; bounds rise; there are more than thirty."""
    assert len(SERIES) >= 30
    for name, series in SERIES.items():
        assert name.startswith("kk99_")
        assert (series.kind is Kind.COUNTER) == name.endswith("_total")
        assert (series.kind is Kind.HISTOGRAM) == bool(series.bounds)
        assert list(series.bounds) == sorted(set(series.bounds))
        assert series.about.endswith(".")
    assert {series.source for series in SERIES.values()} == set(Source)
