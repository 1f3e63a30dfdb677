"""The audit export: records of orders and executions by day, and the manifest that proves them."""

import datetime as dt
import json
from collections import defaultdict

import duckdb
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from journal.reader import Reader
from kk99 import build
from kk99.errors import CorruptionError, InputError
from kk99.machine import Machine
from kk99.paths import DataDir
from kk99.schema import EventKind, Side
from replay import audit
from replay.records import EXECUTION_FIELDS, ORDER_FIELDS
from tests.core import mixes
from tests.replay import venue
from tests.replay.measuring import mixed

DAY = dt.date(2023, 11, 14)
DAY_NS = 86_400 * 10**9


def with_end(commands):
    """The log, and a command of the next day."""
    rows = commands.rows
    end = build.stamp(build.clock(), int(rows["seq"][-1]) + 1, int(rows["time_ns"][-1]) + DAY_NS)
    return build.batch_of([commands, end])


def exported(folder, commands, day=DAY):
    """A log written and exported: its paths, the manifest, orders and executions as dictionaries."""
    data = venue.write(folder / "venue", commands, events=False)
    out = folder / "out"
    with Reader(data.journal) as reader:
        fields = audit.export(data, reader, day, out)
    return data, fields, *(read(out / file["name"]) for file in fields["files"])


def read(path):
    """A Parquet file's rows, read by another program."""
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM '{path}'")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def fields_of(orders, order_id, *names):
    """Some columns of the records of one order, in order."""
    return [tuple(row[name] for name in names) for row in orders if row["order_id"] == order_id]


def test_a_day_of_every_event_is_recorded(tmp_path):
    """Every column is there, sequences rise by one, and there is a record for each event of an order or trade."""
    commands = with_end(venue.whole_run())
    _, fields, orders, executions = exported(tmp_path, commands)
    assert tuple(orders[0]) == tuple(ORDER_FIELDS)
    assert tuple(executions[0]) == EXECUTION_FIELDS
    for rows in (orders, executions):
        assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    events = Machine().apply_all(commands).rows
    count = {kind: int((events["kind"] == kind).sum()) for kind in EventKind}
    codes = defaultdict(int)
    for row in orders:
        codes[row["event"]] += 1
    assert codes["NEWO"] == count[EventKind.ORDER_ACCEPTED]
    assert codes["PARF"] + codes["FILL"] == 2 * count[EventKind.TRADE]
    assert codes["CAME"] + codes["CAMO"] + codes["EXPI"] == count[EventKind.ORDER_CANCELED]
    kinds = [row["event"] for row in executions]
    assert kinds.count("TRADE") == 2 * count[EventKind.TRADE]
    assert (kinds.count("TRADE_BUSTED"), kinds.count("TRADE_CORRECTED")) == (2, 2)
    assert (fields["first_seq"], fields["day"]) == (1, str(DAY))
    assert {row["client_order_id"] for row in orders} > {"order-7", "order-14"}


def test_icebergs_and_triggers_keep_their_terms(tmp_path):
    """Displayed is what the book shows, remaining all that is open; a refresh and a trigger take a new place."""
    _, _, orders, _ = exported(tmp_path, with_end(venue.advanced_run()))
    iceberg = orders[0]["order_id"]
    seen = fields_of(orders, iceberg, "event", "remaining_quantity", "displayed_quantity")
    assert seen[:4] == [
        ("NEWO", "0.050", "0.005"), ("PARF", "0.046", "0.001"), ("PARF", "0.045", "0.000"), ("REMA", "0.045", "0.003"),
    ]  # fmt: skip
    places = fields_of(orders, iceberg, "event", "time_ns", "priority_time_ns")
    assert all(time == priority for event, time, priority in places if event in {"NEWO", "REMA"})
    assert places[1][2] == places[0][1]
    triggered = next(row for row in orders if row["event"] == "TRIG" and row["time_in_force"] != "AT_CLOSE")
    assert triggered["priority_time_ns"] == triggered["time_ns"]
    stop = next(row for row in orders if row["order_type"] == "STOP_LIMIT" and row["event"] == "NEWO")
    assert (stop["trigger"], stop["displayed_quantity"]) == ("LAST", "0.000")
    assert float(stop["stop_price"]) > 0


def test_ids_of_members_come_from_their_commands(tmp_path):
    """Client and decision ids of the entering command stand in all records of the order and in its executions."""
    cold = {"capacity": 1, "client": 5, "investment_decision": 6, "execution_decision": 7}
    items = [
        *venue.setup(),
        build.order_new(venue.ALICE, 1, Side.SELL, 5, 100, client_id="mine", cold=cold),
        build.order_new(venue.BOB, 1, Side.BUY, 2, 100),
    ]
    _, _, orders, executions = exported(tmp_path, with_end(venue.stamped(items)))
    names = ("client_order_id", "capacity", "client", "investment_decision", "execution_decision")
    mine = [row for row in orders if row["account"] == "alice"]
    assert [row["event"] for row in mine] == ["NEWO", "PARF"]
    assert {tuple(row[name] for name in names) for row in mine} == {("mine", 1, 5, 6, 7)}
    maker = next(row for row in executions if row["account"] == "alice")
    assert tuple(maker[name] for name in names) == ("mine", 1, 5, 6, 7)
    assert (maker["aggressive"], maker["side"]) == ("PASV", "SELL")


def test_linked_orders_have_their_own_codes(tmp_path):
    """Each leg of a pair has its text; a bracket's exits have the bracket's codes, not those of who filled it."""
    _, _, orders, _ = exported(tmp_path, with_end(venue.advanced_run()))
    assert {row["client_order_id"] for row in orders if row["linked_order_id"]} >= {"profit", "loss"}
    exits = [row for row in orders if row["parent_order_id"] == venue.BRACKET_ID and row["event"] == "NEWO"]
    assert len(exits) == 2
    assert {(row["account"], row["client_order_id"]) for row in exits} == {("bob", None)}


def test_a_scheduled_order_is_recorded_with_its_children(tmp_path):
    """Each child has the codes of its parent; the parent's records say what each release left of it."""
    timed = [(step * venue.STEP_NS, lots) for step, lots in ((1, 2), (2, 2), (3, 1), (6, 1))]
    set_up = venue.setup()
    entered_ns = venue.TIME_NS + venue.STEP_NS * (len(build.batch_of(set_up).rows) + 2)
    parent = build.algo_order(
        venue.BOB, 1, Side.BUY, 6, 104, timed, entered_ns + 9 * venue.STEP_NS, start_time_ns=entered_ns,
        client_id="parent", cold={"actor": 7, "client": 8, "investment_decision": 9},
    )  # fmt: skip
    rest = [build.order_new(venue.ALICE, 1, Side.SELL, lots, 104) for lots in (3, 3)]
    items = [*set_up, rest[0], parent, *[build.clock()] * 3, rest[1], *[build.clock()] * 3]
    _, _, orders, _ = exported(tmp_path, with_end(venue.stamped(items)))
    parent_id = next(row["order_id"] for row in orders if row["order_type"] == "ALGO")
    assert fields_of(orders, parent_id, "event", "traded_quantity", "remaining_quantity") == [
        ("NEWO", "0.000", "0.006"), ("PARF", "0.002", "0.004"), ("PARF", "0.001", "0.003"), ("CHMO", "0.000", "0.003"),
        ("FILL", "0.003", "0.000"),
    ]  # fmt: skip
    children = [row for row in orders if row["parent_order_id"] == parent_id]
    assert [row["event"] for row in children] == [
        "NEWO", "FILL", "NEWO", "PARF", "EXPI", "NEWO", "EXPI", "NEWO", "FILL",
    ]  # fmt: skip
    ids = [(row["actor"], row["client"], row["investment_decision"]) for row in children]
    assert set(ids) == {(7, 8, 9)}
    assert {row["client_order_id"] for row in children} == {None}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_records_of_mixes_say_what_the_core_says(tmp_path, seed):
    """After a log of everything each order's last record has the open quantity of the core's image."""
    commands = mixed(seed, 300 + len(mixes.setup()))
    _, _, orders, _ = exported(tmp_path, with_end(commands), dt.date(1970, 1, 1))
    machine = Machine()
    machine.apply_all(commands)
    images = machine.image().rows
    live = images[images["kind"] == EventKind.ORDER_IMAGE]
    last = {row["order_id"]: row for row in orders if row["order_id"]}
    ended = {"FILL", "CAME", "CAMO", "EXPI"}
    assert {number for number, row in last.items() if row["event"] not in ended} == set(live["order_id"].tolist())
    for image in live:
        row = last[int(image["order_id"])]
        qty = row["initial_quantity"].replace(".", "").lstrip("0") or "0"
        assert int(qty) % max(int(image["qty_lots"]), 1) == 0
        assert row["order_type"] != ""
    assert np.all(np.diff([row["time_ns"] for row in orders]) >= 0)


def test_the_manifest_proves_files_and_journal(tmp_path):
    """It holds for what was written; a changed file, text, key or journal is each found."""
    data, fields, *_ = exported(tmp_path, with_end(venue.whole_run()))
    manifest = tmp_path / "out" / audit.manifest_name(DAY)
    with Reader(data.journal) as reader:
        assert audit.check(manifest, reader) == fields
    other = Ed25519PrivateKey.generate().public_key()
    with pytest.raises(InputError, match="signature"):
        audit.check(manifest, None, other)
    changed = json.loads(manifest.read_text()) | {"last_seq": 1}
    wrong = manifest.with_name("wrong.json")
    wrong.write_text(json.dumps(changed))
    with pytest.raises(InputError, match="changed"):
        audit.check(wrong)
    another = venue.write(tmp_path / "another", with_end(venue.whole_run(seed=5)), events=False)
    with Reader(another.journal) as reader, pytest.raises(CorruptionError, match="does not hold"):
        audit.check(manifest, reader)
    file = tmp_path / "out" / fields["files"][0]["name"]
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(InputError, match="was changed"):
        audit.check(manifest)
    file.unlink()
    with pytest.raises(InputError, match="not beside it"):
        audit.check(manifest)


@pytest.mark.parametrize(
    ("day", "why"), [(DAY + dt.timedelta(days=1), "not over"), (dt.date(2000, 1, 1), "no command")]
)
def test_days_that_can_not_be_told_are_refused(tmp_path, day, why):
    """A day that goes on, and one without a command, leave no file behind."""
    with pytest.raises(InputError, match=why):
        exported(tmp_path, with_end(venue.whole_run()), day)
    assert list((tmp_path / "out").iterdir()) == []


def test_days_divide_the_records(tmp_path):
    """Two days' files hold what one walk over both holds, each by its own time."""
    commands = with_end(venue.whole_run())
    later = build.stamp(
        build.order_new(venue.ALICE, 1, Side.BUY, 3, 50), int(commands.rows["seq"][-1]) + 1,
        int(commands.rows["time_ns"][-1]) + 1,
    )  # fmt: skip
    both = with_end(build.batch_of([commands, later]))
    data = venue.write(tmp_path / "venue", both, events=False)
    with Reader(data.journal) as reader:
        second = audit.export(data, reader, DAY + dt.timedelta(days=1), tmp_path / "out")
    (only,) = read(tmp_path / "out" / second["files"][0]["name"])
    assert (only["event"], only["remaining_quantity"], only["sequence"]) == ("NEWO", "0.003", 1)
    assert DataDir(tmp_path / "venue").keys.exists()
    assert second["files"][1]["rows"] == 0
