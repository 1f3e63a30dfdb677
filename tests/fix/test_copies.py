"""Drop copies: every execution of the accounts, with the ExecID that the trading session has, resent as it was sent."""

import numpy as np
import pytest

from gateways.client import Client
from gateways.fix import copies, line
from gateways.fix.settings import SessionSettings
from kk99 import batch, build, schema
from kk99.schema import EventKind
from tests.engine.harness import running
from tests.fix.identities import define
from tests.fix.raw_client import HASH, PASSWORD, RawClient, fields, gateway, venue, without
from tests.fix.stock_client import StockClient, wait_for
from tests.fix.venue_process import set_up

COPY = SessionSettings("COPY", HASH, ("alice", "bob"), role="drop_copy")
ALICE_COPY = SessionSettings("ALICES", HASH, ("alice",), role="drop_copy")


def log_on(client, **more):
    """Log on, again and again while the copies are not ready."""
    while True:
        client.logon(**more)
        answer = client.receive()
        if answer:
            return fields(answer)
        client.socket.close()
        client.begin()


def executions(messages):
    """What reports say but for their headers and the mark of a copy, by ExecID."""
    own = {8, 9, 10, 34, 35, 43, 49, 52, 56, 122, 797}
    return {
        message[17]: {tag: value for tag, value in message.items() if tag not in own}
        for message in messages
        if message[35] == "8" and message[150] != "I"
    }


@pytest.mark.xdist_group("processes")
def test_a_stock_client_has_copies_of_all_its_accounts(tmp_path):
    """What two traders are told, both entitled sessions are told too: the same bodies, the same ExecIDs, marked."""
    with (
        venue(tmp_path, more=[COPY, ALICE_COPY]) as (_, port),
        StockClient(tmp_path / "c", port, password=PASSWORD) as client,
        StockClient(tmp_path / "o", port, "OTHER", PASSWORD) as other,
        StockClient(tmp_path / "x", port, "COPY", PASSWORD) as copy,
        StockClient(tmp_path / "a", port, "ALICES", PASSWORD) as alices,
    ):
        for each in (client, other, copy, alices):
            each.wait_logged_on()
        client.order("bid", 1, 100, 50)
        client.wait_report("bid", _150="0")
        other.order("hit", 2, 30, 50)
        other.wait_report("hit", _150="F")
        client.send("G", _11="bid2", _41="bid", _55="DEMOUSD", _54=1, _38=120, _40=2, _44=49)
        client.wait_report("bid2", _150="5")
        client.order("poor", 1, 1_000_000, 999_999)
        client.wait_report("poor", _150="8")
        client.send("F", _11="bid3", _41="bid2", _55="DEMOUSD", _54=1, _38=120)
        client.wait_report("bid3", _150="4")
        told = executions(client.messages) | executions(other.messages)
        wait_for(lambda: executions(copy.messages) == told, lambda: (executions(copy.messages), told))
        mine = executions(client.messages)
        wait_for(lambda: executions(alices.messages) == mine, lambda: (executions(alices.messages), mine))
        assert {message[797] for message in copy.messages} == {"Y"}
        assert {message[1] for message in copy.messages if message[150] != "8"} == {"alice", "bob"}
        copy.order("not here", 1, 1, 1)
        wait_for(lambda: any(message[35] == "j" for message in copy.messages), "a refusal")
        assert not any(message[35] == "j" for message in alices.messages)


@pytest.mark.parametrize("memory", [line.RECENT_MAX, 3])
def test_copies_are_made_again_byte_for_byte(tmp_path, monkeypatch, memory):
    """What happens while it is away comes at its next logon; a resend after a restart has the same bytes."""
    monkeypatch.setattr(line, "RECENT_MAX", memory)
    monkeypatch.setattr(line, "UNSENT_MAX", memory)
    with running(tmp_path / "venue") as engine:
        set_up(engine.settings.address)
        with (
            gateway(engine, tmp_path / "fix", more=[COPY]) as port,
            RawClient(port, "COPY") as copy,
            RawClient(port) as client,
        ):
            assert log_on(copy)[35] == "A"
            client.logon()
            client.expect("A")
            for number in range(10):
                client.order(f"o{number}")
            first = [copy.receive() for _ in range(10)]
            copy.send("5")
            assert copy.is_closed()
            client.send("H", "11=o1|55=DEMOUSD|54=1|")
            for number in range(10, 20):
                client.order(f"o{number}")
            while client.expect("8")[11] != "o19":
                pass
        with gateway(engine, tmp_path / "fix", more=[COPY]) as port, RawClient(port, "COPY") as copy:
            assert log_on(copy, seq=3)[35] == "A"
            copy.seq = 4
            missed = [copy.receive() for _ in range(10)]
            assert [fields(message)[11] for message in missed] == [f"o{number}" for number in range(10, 20)]
            copy.send("2", "7=2|16=11|")
            again = [copy.receive() for _ in range(10)]
            for sent, resent in zip(first, again, strict=True):
                assert (fields(resent)[43], fields(resent)[122]) == ("Y", fields(sent)[52])
                assert without(resent, 9, 10, 43, 52, 122) == without(sent, 9, 10, 52)


def test_copies_begin_and_end_with_what_its_identity_says(tmp_path):
    """Of an account that is added, what follows is copied, also what another than a FIX session orders."""
    with venue(tmp_path, more=[COPY]) as (engine, port), RawClient(port, "COPY") as copy:
        log_on(copy)

        def trade(client_id):
            with Client.connect(engine.settings.address, "algo") as algo:
                algo.submit(build.order_new(16, 1, 1, 5, 4_000, client_id=client_id))
                algo.submit(build.order_new(17, 1, 1, 5, 4_000, client_id=client_id + "b"))
                algo.flush()

        trade("first")
        assert [copy.expect("8")[11] for _ in range(2)] == ["first", "firstb"]
        define(engine.settings.address, SessionSettings("COPY", HASH, ("bob",), role="drop_copy"))
        trade("second")
        assert copy.expect("8")[11] == "secondb"
        with Client.connect(engine.settings.address, "operator") as operator:
            operator.submit(build.mass_cancel(17, 1, 0))
            operator.flush()
        ended = [copy.expect("8") for _ in range(2)]
        assert {(message[11], message[150]) for message in ended} == {("firstb", "4"), ("secondb", "4")}


def test_frames_are_taken_in_parts_of_whole_commands():
    """No part is long but for one long command, and a part ends with each identity."""
    rows = np.zeros(1_000, schema.EVENT)
    rows["cause_seq"] = np.repeat(np.arange(1, 201), 5)
    rows["kind"][500:1_000] = EventKind.TRADE
    rows["cause_seq"][500:] = 300
    rows["kind"][7] = EventKind.IDENTITY_DEFINED
    parts = list(copies._parts(batch.Events(rows, last_seq=300)))
    assert [len(part.rows) for part in parts] == [8, 67, 65, 65, 65, 65, 65, 65, 535]
    assert np.array_equal(np.concatenate([part.rows for part in parts], dtype=schema.EVENT), rows)
    assert list(copies._parts(batch.Events(rows[:0]))) == []
