"""The core reproduces recorded order flows byte for byte, driven through its own command rows."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import zstandard

from kk99 import batch, schema
from kk99.bench.workloads.flow import FLOW
from tests.flow_data import HEADER, RECORD, read_recorded_flow, recorded_flow_names
from tests.flow_reports import flow_commands, report_lines
from tests.naive.compare import empty_machine

BIG_FLOW = Path(os.environ.get("KK99_BIG_FLOW", "big-flow-not-given"))
"""The orders file of the normal flow of 1,000,000 orders, which is too large to ship."""
BIG_FLOW_REPORTS_SHA256 = "e9b2e3926854410b01a035aeb25dd05f1e597c233be8263de9eb49b6713d367e"
NAMES = schema.EVENT.names


def core_events(commands):
    """The core's events for stamped commands, as fields by name."""
    machine = empty_machine()
    for start in range(0, len(commands.rows), schema.BATCH_ROWS_MAX):
        rows = commands.rows[start : start + schema.BATCH_ROWS_MAX]
        for row in machine.apply_all(batch.commands(rows, tail=commands.tail)).rows.tolist():
            yield dict(zip(NAMES, row, strict=True))
    machine.check_all()


@pytest.mark.parametrize("name", recorded_flow_names())
def test_core_reports_a_recorded_flow_as_expected(name):
    """The core's events, written as reports, are the expected ones line for line."""
    flow = read_recorded_flow(name)
    assert report_lines(flow.rows, core_events(flow_commands(flow.rows))) == list(flow.reports)


# Skipped without the file: it is too large to ship, and the recorded flows above take the same paths.
@pytest.mark.skipif(not BIG_FLOW.exists(), reason="KK99_BIG_FLOW names no file")
@pytest.mark.timeout(600)
def test_core_reports_a_million_orders_as_expected():
    """The reports of the big flow have the digest on which independent engines agree."""
    orders = zstandard.ZstdDecompressor().decompress(BIG_FLOW.read_bytes())
    records = np.frombuffer(orders, RECORD, offset=HEADER.itemsize)
    flow = np.zeros(len(records), FLOW)
    for ours, theirs in {"op": "type", "side": "side", "ioc": "ioc", "account": "side", "qty_lots": "quantity"}.items():
        flow[ours] = records[theirs]
    flow["price_ticks"], flow["order_id"] = records["price_ticks"], records["order_id"]
    text = "\n".join(report_lines(flow, core_events(flow_commands(flow))))
    assert hashlib.sha256(text.encode()).hexdigest() == BIG_FLOW_REPORTS_SHA256
