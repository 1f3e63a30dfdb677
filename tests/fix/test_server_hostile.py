"""Peers that mean no good: floods, silence, bytes in drops, connections without end, answers that nobody reads."""

import contextlib
import socket
import time

import pytest
import structlog

from gateways.fix import link
from gateways.fix.settings import SessionSettings
from tests.engine.harness import running, wait_for
from tests.fix.raw_client import HASH, RawClient, gateway
from tests.fix.support import framed
from tests.fix.venue_process import set_up


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine with a market, for all tests here."""
    with running(tmp_path_factory.mktemp("hostile") / "venue") as engine:
        set_up(engine.settings.address)
        yield engine


def is_closed(client):
    """Whether the venue has closed, now or within the deadline."""
    try:
        return client.is_closed()
    except OSError:
        return True


def test_silence_and_bytes_in_drops_end_at_the_logon_deadline(engine, tmp_path):
    """However busy a connection is, without a Logon in time it is closed; one that is logged on stays."""
    with (
        gateway(engine, tmp_path / "fix", fix={"logon_s": 1.0}) as port,
        RawClient(port) as good,
        RawClient(port) as silent,
        RawClient(port) as slow,
    ):
        good.logon("141=Y|")
        good.expect("A")
        began = time.monotonic()
        logon = framed(f"35=A|34=1|49=CLIENT|52=20260101-00:00:00|56=KK99|98=0|108=30|58={'x' * 3_000}|")
        with contextlib.suppress(OSError):
            for byte in logon:
                slow.socket.sendall(bytes([byte]))
                time.sleep(0.01)
        assert is_closed(slow)
        assert is_closed(silent)
        assert 0.9 < time.monotonic() - began < 10.0
        good.send("1", "112=here|")
        assert good.expect("0")[112] == "here"


def test_connections_are_capped_by_address_and_in_all(engine, tmp_path):
    """The last one that is allowed is served, the next is closed at once, and there is room again when one has gone."""
    for fix in ({"connections_per_address": 3}, {"connections_max": 3}):
        with gateway(engine, tmp_path / "fix", fix=fix) as port, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(RawClient(port)) for _ in range(3)]
            with RawClient(port) as over:
                assert is_closed(over)
            clients[2].logon("141=Y|")
            clients[2].expect("A")
            clients[0].socket.close()

            def is_let_in(port=port):
                with RawClient(port, "OTHER") as next_one, contextlib.suppress(OSError):
                    next_one.logon("141=Y|")
                    return next_one.receive() != b""
                return False

            wait_for(is_let_in)


def test_a_flood_of_connections_does_not_keep_others_out(engine, tmp_path):
    """Hundreds that connect and go, some in the midst of a Logon, while a session trades."""
    with gateway(engine, tmp_path / "fix") as port, RawClient(port) as client:
        client.logon("141=Y|")
        client.expect("A")
        for number in range(300):
            with socket.create_connection(("127.0.0.1", port)) as stranger, contextlib.suppress(OSError):
                stranger.sendall(b"8=FIX.4.4\x019=100\x0135=A\x01"[: number % 24])
            if number % 50 == 0:
                client.order(f"flood-{number}")
                assert client.expect("8")[11] == f"flood-{number}"


@pytest.mark.parametrize("sip", [0, 100])
def test_a_peer_that_does_not_read_is_dropped_with_a_reason(engine, tmp_path, monkeypatch, sip):
    """What waits is bounded; a peer that takes nothing of it, or hardly anything, is cut off, and loses nothing."""
    monkeypatch.setattr(link, "_STALLED_NS", 10**9)
    fix = {"output_bytes": 1 << 16}
    free = SessionSettings("FREE", HASH, ("alice",), messages_per_s=0)
    with (
        structlog.testing.capture_logs() as logs,
        gateway(engine, tmp_path / "fix", more=[free], fix=fix) as port,
        contextlib.closing(socket.socket()) as narrow,
    ):
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        wait_for(lambda: not narrow.connect_ex(("127.0.0.1", port)) or narrow.connect_ex(("127.0.0.1", port)) == 106)
        client = object.__new__(RawClient)
        client.socket, client.name, client.data, client.seq = narrow, "FREE", b"", 1
        client.logon("141=Y|")
        client.expect("A")
        narrow.settimeout(0.2)  # it stops once nothing more can be sent
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 200_000:
                client.order(f"deaf-{sent}", price=9)
                sent += 1
        deadline = time.monotonic() + 20
        while not any(entry.get("reason") == "the peer does not read" for entry in logs):
            assert time.monotonic() < deadline
            time.sleep(0.05)
            with contextlib.suppress(OSError):
                narrow.recv(sip)
        with RawClient(port, "FREE") as again:
            again.logon("141=Y|")
            again.expect("A")
            first = again.expect("8")[11]
            assert first.startswith("deaf-")
