"""Reads the recorded order flows under tests/data/flow, whose README has their origin, licence and format.

Invariants: what is read has the SHA-256 and the counts that manifest.json states, or reading fails.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import zstandard

from kk99.bench.workloads.flow import FLOW, FlowRows

FOLDER: Final = Path(__file__).parent / "data" / "flow"
MAGIC: Final = 0x4D4542575F303031
HEADER: Final = np.dtype([("magic", "<u8"), ("version", "<u4"), ("count", "<u4")])
RECORD: Final = np.dtype(
    [
        ("type", "<u1"),  # 0 NEW, 1 CANCEL, 2 MODIFY: the numbers of Op
        ("side", "<u1"),  # 0 buy, 1 sell
        ("ioc", "<u1"),
        ("pad", "<u1"),
        ("quantity", "<u4"),
        ("sequence_number", "<u8"),
        ("order_id", "<u8"),
        ("price_ticks", "<i8"),
        ("reserved", "<i8"),
    ]
)


@dataclass(frozen=True, slots=True)
class RecordedFlow:
    """One recorded flow: its rows as FLOW, and what every correct engine answers."""

    name: str
    rows: FlowRows
    """MODIFY is REPLACE; one instrument; buys belong to account 0, sells to account 1; row number = sequence number."""
    reports: tuple[str, ...]
    """The report lines in their order, as the README describes them."""
    report_counts: dict[str, int]
    """By kind: order_ack, trade, cancel_ack, modify_ack, cancel_reject, modify_reject."""


def recorded_flow_names() -> tuple[str, ...]:
    """The names of the flows, as in the manifest: <regime>_s23_n20000."""
    return tuple(_manifest())


def read_recorded_flow(name: str) -> RecordedFlow:
    """The flow of that name, verified."""
    entry = _manifest()[name]
    orders = _unpacked(entry["workload"], entry["workload_sha256"])
    header = np.frombuffer(orders, HEADER, count=1)[0]
    assert (header["magic"], header["version"]) == (MAGIC, 1), f"{name}: not an order flow"
    records = np.frombuffer(orders, RECORD, offset=HEADER.itemsize)
    assert len(records) == header["count"] == entry["messages"], f"{name}: {len(records)} records"
    assert np.array_equal(records["sequence_number"], np.arange(len(records))), f"{name}: sequence numbers have gaps"
    rows = np.zeros(len(records), FLOW)
    rows["op"] = records["type"]
    rows["side"] = records["side"]
    rows["ioc"] = records["ioc"]
    rows["account"] = records["side"]
    rows["qty_lots"] = records["quantity"]
    rows["price_ticks"] = records["price_ticks"]
    rows["order_id"] = records["order_id"]
    reports = tuple(_unpacked(entry["reports"], entry["reports_sha256"]).decode().split("\n"))
    assert len(reports) == sum(entry["report_counts"].values()), f"{name}: {len(reports)} reports"
    return RecordedFlow(name=name, rows=rows, reports=reports, report_counts=entry["report_counts"])


def _manifest() -> dict[str, Any]:
    """The manifest as written."""
    manifest: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_text())
    return manifest


def _unpacked(file_name: str, sha256: str) -> bytes:
    """The decompressed bytes of a file, which have the given digest."""
    content = zstandard.ZstdDecompressor().decompress((FOLDER / file_name).read_bytes())
    assert hashlib.sha256(content).hexdigest() == sha256, f"{file_name}: wrong digest"
    return content
