"""Reports of whole frames by compiled code are those made event by event, to the byte, in any flow and dialect."""

from __future__ import annotations

import numpy as np
import pytest

from gateways.fix.bulk import BulkReports
from gateways.fix.codec import body_bytes
from gateways.fix.listing import Listing
from gateways.fix.live_table import O_WORDS
from gateways.fix.reports import Reports
from gateways.fix.venue_table import Dialect
from kk99 import batch, build, schema
from kk99.machine import Machine
from kk99.schema import CommandKind, EventKind
from tests.fix.desk import TIME, Desk, Texts, body, order

DIALECTS = [Dialect(), Dialect(newer=True), Dialect(places=6), Dialect(newer=True, places=6)]


class Journal:
    """Commands with their cold rows by sequence, as the engine answers."""

    def __init__(self):
        self.rows, self.cold = {}, {}

    def __call__(self, seqs):
        """Those of some sequences that there are."""
        found = [seq for seq in seqs if seq in self.rows]
        rows = [self.rows[seq] for seq in found]
        cold = [self.cold[seq] for seq in found if seq in self.cold]
        return batch.Commands(
            np.concatenate(rows, dtype=schema.COMMAND) if rows else np.zeros(0, schema.COMMAND),
            np.concatenate(cold, dtype=schema.COLD) if cold else np.zeros(0, schema.COLD),
        )

    def add(self, seq, cold):
        """Keep a command."""
        row = np.zeros(1, schema.COMMAND)
        row["seq"], row["flags"] = seq, schema.Flag.HAS_COLD if cold is not None else 0
        self.rows[seq] = row
        if cold is not None:
            self.cold[seq] = cold


def told(listing, made):
    """(session, type, place, body) of what was made in bulk."""
    return [
        (listing.sessions[number], parcel.msg_type(at), tuple(parcel.place(at)), parcel.body(at))
        for number, parcel in made
        for at in range(parcel.count)
    ]


def expected(reports, dialect):
    """The same of reports made one by one."""
    return [
        (one.session, one.msg_type, one.identity, body_bytes(one.body(newer=dialect.newer, places=dialect.places)))
        for one in reports
    ]


def by_session(found):
    """What each session is told, in order."""
    return {name: [one for one in found if one[0] == name] for name in {one[0] for one in found}}


def live_rows(lives):
    """All live orders, row by row."""
    return {order_id: lives.orders[order_id].row[:O_WORDS].tolist() for order_id in lives.orders}


def compare(frames, listing_of, texts, journal, dialect, sessions=None):
    """Follow frames both ways; how many events were left to Python."""
    wanted = sessions or set(listing_of.sessions.values())
    slow = Reports(Listing(), texts, wanted)
    fast = BulkReports(Listing(), wanted, journal)
    slow.listing.sessions.update(listing_of.sessions)
    fast.listing.sessions.update(listing_of.sessions)
    fast.tables.refresh()
    for name in wanted:
        fast.tables.speak(name, dialect)
    for frame in frames:
        events = batch.Events(frame.rows, bytes(frame.tail), frame.previous, frame.last_seq)
        found = told(fast.listing, fast.follow(events))
        assert by_session(found) == by_session(expected(slow.follow(events), dialect))
        assert live_rows(fast.lives) == live_rows(slow.lives)
    return fast.python_events


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_any_flow_is_told_the_same(seed, dialect):
    """Every kind of order and event of a generated flow, from one session without ids."""
    from tests.core import mixes
    from tests.naive.model import Naive

    naive, machine = Naive(), Machine()
    frames = []
    for (_, document), commands in mixes.run(naive, seed, 500):
        naive.apply(commands.rows[0], document)
        events = machine.apply_all(commands)
        frames.append(batch.Events(events.rows.copy(), bytes(events.tail)))
    listing = Listing()
    listing.sessions[0] = "ALL"
    python_events = compare(frames, listing, Texts(), Journal(), dialect)
    # A third of what such a mix tells is rejects, busts and scheduled orders, which are Python's.
    assert python_events < sum(len(frame.rows) for frame in frames) / 2


def played(desk):
    """Have everything happen at a desk that a client can have happen."""
    sell = {"t54": "2"}
    desk.send("D", order("A1"))
    desk.send("D", order("A1"))  # a duplicate
    desk.send("D", order("A2", t38="3", t44="101"))
    desk.send("D", order("B1", t38="1.5", t44="99", t1="BCC", **sell), session="TWO")
    desk.send("G", body({11: "A3", 41: "A2", 55: "BTC-USDT", 54: "1", 60: TIME, 38: "4", 40: "2", 44: "100.5"}))
    desk.send("D", order("A4", t40="3", t44=None, t99="120"))
    desk.send("G", body({11: "A5", 41: "A4", 55: "BTC-USDT", 54: "1", 60: TIME, 38: "2", 40: "3", 99: "121"}))
    desk.send("D", order("A6", t38="2", t111="0.5"))
    desk.send("D", order("A7", t18="6 Q", t59="0"))
    desk.send("D", order("A8", t40="P", t44=None, t18="a", t211="1"))
    desk.send("D", order("B2", t40="1", t44=None, t38="7", t1="BCC", **sell), session="TWO")
    desk.send("F", body({11: "A9", 41: "A7", 55: "BTC-USDT", 54: "1", 60: TIME, 38: "1"}))
    desk.send("D", order("A10", t38=None, t152="50", t40="1", t44=None))
    desk.send("D", order("A11", t126="20240612-00:00:00", t59="6"))
    desk.send("H", body({11: "A11", 55: "BTC-USDT", 54: "1"}))
    desk.send("AF", body({584: "M1", 585: 7, 1: "ACC"}))
    desk.send("q", body({11: "Q1", 530: 7, 60: TIME}))
    desk.run(build.trade_bust(1, actor="ops", reason="test"))


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@pytest.mark.parametrize("sessions", [None, {"ONE"}], ids=["both", "one"])
def test_a_desk_is_told_the_same(dialect, sessions):
    """Orders of every type with their ids, questions, refusals; told to both sessions or to one of them."""
    desk = Desk()
    played(desk)
    journal = Journal()
    for seq in range(1, desk.machine.seq + 1):
        journal.add(seq, desk.texts.get(seq))
    empty = Listing()
    compare(desk.frames, empty, desk.texts, journal, dialect, sessions or {"ONE", "TWO"})


def test_texts_of_what_was_submitted_are_not_asked_for():
    """The ids of commands that went through this process are known; of others the journal is asked, once a frame."""
    desk = Desk()
    asked = []

    def journal(seqs):
        asked.append(list(seqs))
        found = Journal()
        for seq in seqs:
            found.add(seq, desk.texts.get(seq))
        return found(seqs)

    fast = BulkReports(Listing(), {"ONE"}, journal)
    for frame in desk.frames:
        fast.follow(frame)
    assert asked == []
    begin = len(desk.frames)
    mapped = build.order_new(16, 1, 1, 1_000, 10_000, client_id="mine")
    fast.texts.submitted(1, 1, 1, mapped)
    desk.submit_commands(mapped, 1, 1)
    desk.submit_commands(build.order_new(16, 1, 1, 1_000, 10_001, client_id="other's"), 1, 2)
    bodies = [one[3] for frame in desk.frames[begin:] for one in told(fast.listing, fast.follow(frame))]
    assert [b"11=mine\x01" in text for text in bodies] == [True, False]
    assert b"11=other's\x01" in bodies[1]
    assert len(asked) == 1


def test_tables_grow_in_the_midst_of_a_frame():
    """More orders than the tables first have room for, all alive at once, then all filled by one."""
    rows = np.zeros(3_000, schema.EVENT)
    rows["kind"], rows["command_kind"] = EventKind.ORDER_ACCEPTED, CommandKind.ORDER_NEW
    rows["cause_seq"] = np.arange(1, 3_001)
    rows["order_id"] = np.arange(1, 3_001) + (7 << 24)
    rows["client_id_lo"] = np.arange(1, 3_001) * 977
    rows["side"], rows["order_type"], rows["time_in_force"], rows["instrument_id"] = 1, 2, 1, 1
    rows["account_id"], rows["session_id"], rows["qty_lots"], rows["leaves_lots"] = 16, 9, 10, 10
    trades = rows.copy()
    trades["kind"], trades["cause_seq"], trades["client_id_lo"] = EventKind.TRADE, 3_001, 0
    trades["contra_order_id"], trades["order_id"] = rows["order_id"], 1
    trades["contra_leaves_lots"] = trades["client_id_lo"] = 0
    frames = [batch.Events(rows), batch.Events(trades)]
    listing = Listing()
    listing.sessions[9] = "other"
    assert compare(frames, listing, Texts(), Journal(), Dialect(), {"ONE"}) == 0


def test_a_start_from_an_image_knows_the_ids_of_its_orders():
    """An order of the image has its id in the reports that come, though its session is defined in the same image."""
    desk = Desk()
    desk.send("D", order("A1"))
    journal = Journal()
    for seq in range(1, desk.machine.seq + 1):
        journal.add(seq, desk.texts.get(seq))
    image = desk.machine.image()
    fast = BulkReports(Listing(), {"ONE"}, journal)
    assert fast.follow(batch.Events(image.rows.copy(), bytes(image.tail))) == []
    begin = len(desk.frames)
    desk.send("q", body({11: "Q1", 530: 7, 60: TIME}))
    for seq in range(1, desk.machine.seq + 1):
        journal.add(seq, desk.texts.get(seq))
    found = [one[3] for frame in desk.frames[begin:] for one in told(fast.listing, fast.follow(frame))]
    assert any(b"11=A1\x01" in text for text in found)
