"""Which fields of a row mean something, and how they read."""

import numpy as np
import pytest

from kk99 import build, kinds, schema
from kk99.machine import Machine
from kk99.schema import CommandKind, EventKind, RejectCode
from replay import columns
from tests.replay import venue


@pytest.mark.parametrize("run", [venue.whole_run, venue.advanced_run], ids=["plain", "advanced"])
def test_nothing_that_the_core_says_is_left_out(run):
    """In every event of a run, and in an image, each byte that is not zero is of a field that the kind uses."""
    machine = Machine()
    rows = machine.apply_all(run()).rows
    rows = np.concatenate([rows, machine.image().rows], dtype=schema.EVENT)
    shown = np.zeros((len(rows), schema.ROW_SIZE), bool)
    for name, (kind, offset, *_) in schema.EVENT.fields.items():
        shown[:, offset : offset + kind.itemsize] |= kinds.uses(rows, name)[:, None]
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


def test_what_orders_wait_for_reads_by_name():
    """A trigger, a unit, a call's purpose and a time in force of zero have names; a gateway's own code has none."""
    row = build.trailing(16, 1, 2, 5, 20, trigger=schema.TriggerSource.BID, time_in_force=0).rows[0]
    shown = columns.described(row, b"")
    assert (shown["trigger"], shown["trail_unit"], shown["trail"]) == ("BID", "TICKS", 20)
    assert shown["time_in_force"] == "DAY"
    rows = np.zeros(2, schema.EVENT)
    rows["kind"], rows["state"] = [EventKind.MARKET_STATE_CHANGED, EventKind.MESSAGE_NOTED], schema.MarketState.CALL
    rows["call_purpose"][0], rows["state_reason"][0] = schema.CallPurpose.CLOSING, schema.StateReason.SCHEDULE
    market, noted = (columns.described(row, b"") for row in rows)
    assert (market["state"], market["call_purpose"], market["state_reason"]) == ("CALL", "CLOSING", "SCHEDULE")
    assert noted["state"] == str(int(schema.MarketState.CALL))
    rows["kind"], rows["reason"] = EventKind.EXITS_REFUSED, RejectCode.FUNDS_INSUFFICIENT
    assert columns.described(rows[0], b"")["reason"] == "FUNDS_INSUFFICIENT"
