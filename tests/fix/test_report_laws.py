"""What is told for every code of the venue, and laws that hold for reports in any flow of events."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest

from gateways.fix import orders
from gateways.fix.listing import Listing
from gateways.fix.reasons import BUSINESS, CANCELED, REFUSED, REJECTED, Refusal
from gateways.fix.reports import Reports
from kk99 import batch, build, schema
from kk99.machine import Machine
from kk99.schema import CancelReason, CommandKind, EventKind, RejectCode
from tests.fix.desk import Desk, Texts, check

ACC = schema.VENUE_ACCOUNTS


def _event(kind, command_kind, **fields):
    """Events of one row, from session 1."""
    rows = np.zeros(1, schema.EVENT)
    rows["kind"], rows["command_kind"] = kind, command_kind
    for name, value in {
        "cause_seq": 99,
        "time_ns": 1,
        "session_id": 1,
        "client_seq": 7,
        "account_id": ACC,
        **fields,
    }.items():
        rows[name] = value
    return batch.Events(rows)


REQUESTS = {
    CommandKind.ORDER_NEW: ("8", 103),
    CommandKind.ORDER_CANCEL: ("9", 102),
    CommandKind.ORDER_REPLACE: ("9", 102),
    CommandKind.MASS_CANCEL: ("r", 532),
}


@pytest.fixture(scope="module")
def quiet():
    """Reports of a venue in which nothing happens."""
    texts = Texts({99: build.cold_row(client_id="C1", original_client_id="A1")})
    return Reports(Desk().listing, texts)


@pytest.mark.parametrize("command_kind", REQUESTS)
@pytest.mark.parametrize("reason", RejectCode)
def test_every_reject_is_told(quiet, reason, command_kind):
    """Each reason of the core has its number in each kind of answer, but those that took no number."""
    made = quiet.follow(_event(EventKind.REJECTED, command_kind, reason=reason, side=1, instrument_id=1, qty_lots=5))
    if reason in {RejectCode.SESSION_UNKNOWN, RejectCode.SESSION_EPOCH_WRONG, RejectCode.CLIENT_SEQ_GAP}:
        assert made == []
        return
    msg_type, tag = REQUESTS[command_kind]
    answer = REJECTED[reason]
    expected = {103: answer.order, 102: answer.cancel, 532: answer.mass_cancel}[tag]
    assert [report.msg_type for report in made] == [msg_type] * (2 if command_kind == CommandKind.ORDER_NEW else 1)
    for report in made:
        check(report)
        told = dict(report.fields)
        assert (told[tag], told[58]) == (b"%d" % expected, answer.text.encode())
        assert told[11] in {b"C1", b"A1"}


@pytest.mark.parametrize("msg_type", ["D", "E", "F", "G", "q", "H", "AF", "B"])
@pytest.mark.parametrize("refusal", [refusal for refusal in Refusal if refusal])
def test_every_refusal_is_told(quiet, refusal, msg_type):
    """Whatever was refused for whatever reason, the answer is valid and says why."""
    number = orders.type_number(msg_type)
    made = quiet.follow(_event(EventKind.MESSAGE_NOTED, 0, state=refusal, amount_units=number, side=1, order_type=2))
    assert len(made) == (2 if msg_type == "E" and refusal not in BUSINESS else 1)
    for report in made:
        check(report)
        text = BUSINESS[refusal][1] if refusal in BUSINESS else REFUSED[refusal].text
        assert dict(report.fields)[58] == text.encode()


@pytest.mark.parametrize("number", [0, -1, 1 << 40])
def test_the_notes_of_others_are_left_alone(quiet, number):
    """What is no message of ours has no answer."""
    assert quiet.follow(_event(EventKind.MESSAGE_NOTED, 0, state=200, amount_units=number)) == []


@pytest.mark.parametrize("reason", CancelReason)
def test_every_cancel_is_told(reason):
    """Each reason ends the order, and all but a request's own say why."""
    reports = Reports(Desk().listing, Texts())
    named = {"order_id": 5, "instrument_id": 1, "side": 1, "order_type": 2, "time_in_force": 1}
    reports.follow(_event(EventKind.ORDER_ACCEPTED, CommandKind.ORDER_NEW, qty_lots=5, leaves_lots=5, **named))
    (made,) = reports.follow(
        _event(EventKind.ORDER_CANCELED, 0, reason=reason, leaves_lots=5, order_id=5, cause_seq=100)
    )
    check(made)
    told = dict(made.fields)
    assert told[39] == told[150] == (b"C" if reason == CancelReason.EXPIRED else b"4")
    assert (told.get(58, b""), told.get(378, b"0")) == tuple(
        text.encode() for text in (CANCELED[reason][0], str(CANCELED[reason][1]))
    )
    assert not reports.lives.orders


def test_every_code_has_its_line():
    """No reason of the core is without words."""
    assert set(REJECTED) == set(RejectCode)
    assert set(CANCELED) == set(CancelReason)


LEGAL = {"0": "0124C", "1": "0124C", "2": "24", "4": "4", "C": "C"}
"""OrdStatus that may follow each."""


@pytest.mark.parametrize("seed", range(4))
def test_laws_hold_in_any_flow(seed):
    """Ids are unique, quantities add up, statuses follow as FIX has it, and the live orders are the venue's."""
    from tests.core import mixes
    from tests.naive.model import Naive

    naive, machine, listing = Naive(), Machine(), Listing()
    listing.sessions[0] = "ALL"
    reports = Reports(listing, Texts())
    ids, told, replaced = set(), defaultdict(list), 0
    for (_, document), commands in mixes.run(naive, seed, 700):
        naive.apply(commands.rows[0], document)
        events = machine.apply_all(commands)
        replaced += np.count_nonzero(events.rows["kind"] == EventKind.ORDER_REPLACED)
        for report in reports.follow(events):
            check(report)
            if report.msg_type == "8":
                values = {tag: value.decode() for tag, value in report.fields}
                assert values[17] not in ids
                ids.add(values[17])
                told[values[37]].append(values)
    told.pop("NONE")
    assert len(told) > 200
    for story in told.values():
        _check_story(story)
    assert replaced == sum(report[150] == "5" for story in told.values() for report in story) > 20
    _check_live(reports, machine)


def _check_live(reports, machine):
    """The orders followed are those of the venue, and those taken from its image."""
    image = machine.image()
    live = image.rows[image.rows["kind"] == EventKind.ORDER_IMAGE]
    again = Reports(Listing(), Texts())
    assert again.follow(image) == []
    for kept in (reports.lives.orders, again.lives.orders):
        assert sorted(kept) == sorted(live["order_id"].tolist())
    for order_id, followed in reports.lives.orders.items():
        copy = again.lives.orders[order_id]
        for name in ("leaves_lots", "filled_lots", "qty_lots", "notional", "price_ticks", "order_type", "display_lots"):
            assert getattr(followed, name) == getattr(copy, name), (name, followed)


def _check_story(story):
    """What one order's session was told of it."""
    assert (story[0][150], story[0][39]) == ("0", "0")
    status, filled, worth = "0", Fraction(0), Fraction(0)
    fills = {}
    for report in story:
        assert report[39] in LEGAL[status], (status, report)
        status = report[39]
        cum, leaves = Fraction(report[14]), Fraction(report[151])
        if report[150] in {"F", "G", "H"}:
            qty, price = Fraction(report[32]), Fraction(report[31])
            old = fills.pop(report.get(19), (0, 0))
            new = (Fraction(0), Fraction(0)) if report[150] == "H" else (qty, price)
            fills[report[17]] = new
            filled += new[0] - old[0]
            worth += new[0] * new[1] - old[0] * old[1]
        assert cum == filled
        assert abs(Fraction(report[6]) * cum - worth) <= cum / 1_000_000
        assert leaves == 0 or status in {"0", "1"}
        assert (status == "1") <= (cum > 0)
        if 38 in report and status in {"0", "1", "2"}:
            assert cum + leaves == Fraction(report[38])
