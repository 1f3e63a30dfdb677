"""The naive model against recorded order flows, on whose reports independent engines agree."""

import pytest

from tests.flow_data import read_recorded_flow, recorded_flow_names
from tests.flow_reports import flow_commands, report_lines
from tests.naive.model import Naive
from tests.naive.rows import apply_to_naive


@pytest.mark.parametrize("name", recorded_flow_names())
def test_naive_model_reports_a_recorded_flow_as_expected(name):
    """The model's events, written as reports, are the expected ones line for line."""
    flow = read_recorded_flow(name)
    naive = Naive()
    events = apply_to_naive(naive, flow_commands(flow.rows))
    assert report_lines(flow.rows, events) == list(flow.reports)
    naive.check()
