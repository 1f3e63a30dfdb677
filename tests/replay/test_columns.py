"""Which fields of a row mean something, and how they read."""

import numpy as np
import pytest

from kk99 import build, schema
from kk99.machine import Machine
from kk99.schema import CommandKind, EventKind, RejectCode
from replay import columns
from tests.replay import venue


@pytest.mark.parametrize("row", [schema.COMMAND, schema.EVENT], ids=["command", "event"])
def test_of_a_union_one_name_at_most_is_present(row):
    """Whatever the kind, no byte of a row is read under two names."""
    rows = np.zeros(256, row)
    rows["kind"] = np.arange(256)
    used = np.zeros((256, schema.ROW_SIZE), int)
    for name, (kind, offset, *_) in row.fields.items():
        used[:, offset : offset + kind.itemsize] += columns.present(rows, name)[:, None]
    assert used.max() == 1


def test_nothing_that_the_core_says_is_left_out():
    """In every event of a run, each byte that is not zero is shown under some name."""
    machine = Machine()
    rows = machine.apply_all(venue.whole_run()).rows
    rows = np.concatenate([rows, machine.image().rows], dtype=schema.EVENT)
    shown = np.zeros((len(rows), schema.ROW_SIZE), bool)
    for name, (kind, offset, *_) in schema.EVENT.fields.items():
        shown[:, offset : offset + kind.itemsize] |= columns.present(rows, name)[:, None]
    hidden = (rows.view(np.uint8).reshape(len(rows), -1) != 0) & ~shown
    assert [EventKind(int(kind)).name for kind in np.unique(rows["kind"][hidden.any(axis=1)])] == []


def test_enums_read_by_name_and_unknown_numbers_as_numbers():
    """Kinds, reasons and states have the names of the enum that the row's kind implies."""
    rows = np.zeros(4, schema.EVENT)
    rows["kind"] = [EventKind.REJECTED, EventKind.ORDER_CANCELED, EventKind.ACCOUNT_STATE_CHANGED, 200]
    rows["reason"] = [RejectCode.QTY_OFF_LOT, 1, 2, 0]
    assert columns.labels(rows, "kind").tolist() == ["REJECTED", "ORDER_CANCELED", "ACCOUNT_STATE_CHANGED", "200"]
    assert columns.labels(rows, "reason")[:2].tolist() == ["QTY_OFF_LOT", "REQUESTED"]
    assert columns.labels(rows, "state")[2] == "KILLED"
    assert columns.labels(rows, "price_ticks") is None


def test_a_described_row_has_what_is_not_zero():
    """A row for people has its kind, its enums by name, its flags, its document, and nothing empty."""
    row = build.order_new(16, 1, 2, 5, 100, flags=schema.Flag.POST_ONLY).rows[0]
    assert columns.described(row, b"") == {
        "kind": "ORDER_NEW",
        "side": "SELL",
        "order_type": "LIMIT",
        "time_in_force": "GTC",
        "flags": "POST_ONLY",
        "instrument_id": 1,
        "account_id": 16,
        "price_ticks": 100,
        "qty_lots": 5,
    }
    made = build.account("alice", "alice", **venue.BY)
    assert columns.described(made.rows[0], made.tail)["document"]["owner"] == "alice"
    rows = build.rows_of(CommandKind.ACCOUNT_DEFINE, document_size=3)
    assert columns.described(rows[0], b"\xff\xff\xff")["document"] == "ffffff"
