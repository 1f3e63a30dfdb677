"""The web gateway beside clients that send nonsense, send without end, or never read."""

import shutil
import socket
import time

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from gateways.web.guard import TOLD_HEADERS
from gateways.web.peer import POLICY
from gateways.web.requests import REQUEST_BYTES_MAX, REQUEST_S
from gateways.web.wire import PIECES_MAX
from tests.engine.harness import DEADLINE_S, wait_for
from tests.fix.venue_process import set_up
from tests.web.test_server import NAME, SUBSCRIBE
from tests.web.web_process import WebVenue

ORIGIN = "https://terminal.example"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture(scope="module")
def venue(tmp_path_factory):
    """A venue whose gateway lets pages of one other origin read."""
    with WebVenue(tmp_path_factory.mktemp("web"), "--per-minute", "100000", "--origin", ORIGIN) as venue:
        yield venue


def raw(venue):
    """A connection without a client's manners."""
    host, port = venue.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=DEADLINE_S)


def without_end(act):
    """Do something again and again, until it fails."""
    while True:
        act()


def answer_to(venue, sent):
    """All that comes back until the gateway closes the connection."""
    with raw(venue) as line:
        line.sendall(sent)
        return b"".join(iter(lambda: line.recv(65_536), b""))


@pytest.mark.parametrize(("more", "status"), [(0, b"200"), (1, b"400")])
def test_the_head_of_a_request_is_bounded(venue, more, status):
    """At the bound it is answered, a byte beyond it is refused."""
    begin = b"GET /api/v1/time HTTP/1.1\r\nConnection: close\r\nX-Long: "
    counted = len("/api/v1/time") + len("Connection: close\r\n") + len("X-Long: \r\n")
    answer = answer_to(venue, begin + b"x" * (REQUEST_BYTES_MAX - counted + more) + b"\r\n\r\n")
    assert answer.split()[1] == status


def test_a_request_without_end_is_cut_off(venue):
    """A header that goes on and on is not kept."""
    with raw(venue) as line:
        line.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        with pytest.raises(OSError):
            without_end(lambda: line.sendall(b"x" * REQUEST_BYTES_MAX))


def test_a_request_that_does_not_come_ends_the_connection(venue):
    """Silent from the start or in the midst: after REQUEST_S the connection is closed."""
    began_s = time.monotonic()
    with raw(venue) as silent, raw(venue) as empty, raw(venue) as half:
        empty.sendall(b"\r\n")
        half.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        assert [line.recv(1) for line in (silent, empty, half)] == [b"", b"", b""]
    assert time.monotonic() - began_s >= REQUEST_S - 1


def test_a_quiet_websocket_stays(venue):
    """The deadline of requests is not that of a connection that has become a WebSocket."""
    with venue.talk() as socket_, pytest.raises(TimeoutError):
        without_end(lambda: socket_.recv(REQUEST_S + 1))


@pytest.mark.parametrize("header", [b"X-Long: " + b"x" * 10_000 + b"\r\n", b"X: x\r\n" * 200])
def test_a_handshake_too_long_is_refused(venue, header):
    """It is answered and closed, not left open."""
    assert answer_to(venue, UPGRADE + header + b"\r\n").split()[1] == b"400"


def test_control_frames_are_bounded(venue):
    """PIECES_MAX pings are answered; a flood of them ends the connection with 1008."""
    with venue.talk() as socket_:
        for _ in range(PIECES_MAX):
            assert socket_.ping().wait(DEADLINE_S)
        with pytest.raises(ConnectionClosedError, match="1008"):
            without_end(lambda: socket_.ping().wait(DEADLINE_S))


@pytest.mark.parametrize(("fragments", "code"), [(PIECES_MAX, 1_000), (PIECES_MAX + 10, POLICY)])
def test_fragments_are_bounded(venue, fragments, code):
    """A message in PIECES_MAX fragments after its first is taken; one in more ends the connection with 1008."""
    begin, more, end = (bytes([first, 0x80]) + bytes(4) for first in (0x01, 0x00, 0x80))
    close = b"\x88\x82" + bytes(4) + (1_000).to_bytes(2, "big")
    with raw(venue) as line:
        line.sendall(UPGRADE + b"\r\n")
        assert line.recv(1_024).split()[1] == b"101"
        line.sendall(begin + more * (fragments - 1) + end)
        if code == 1_000:
            line.sendall(close)
        told = b"".join(iter(lambda: line.recv(65_536), b""))
    assert code.to_bytes(2, "big") in told[told.rindex(b"\x88") :]


def test_who_breaks_a_rule_and_never_reads_is_gone(venue):
    """A connection that is to be closed ends soon, though its client reads nothing of what was written."""
    with raw(venue) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        line.sendall(UPGRADE + b"\r\n")
        assert line.recv(64).split()[1] == b"101"
        wait_for(lambda: venue.get("/api/v1/status").json()["subscribers"] == 1, "the subscriber")
        ping = b'{"op":"ping","id":"' + b"x" * 16_000 + b'"}'
        frame = b"\x81\xfe" + len(ping).to_bytes(2, "big") + bytes(4) + ping
        with pytest.raises(OSError):
            without_end(lambda: line.sendall(frame))
        wait_for(lambda: venue.get("/api/v1/status").json()["subscribers"] == 0, "its end")


def test_head_works_where_get_does_and_others_are_told_what_does(venue):
    """HEAD has the headers of GET and no body; a 405 names what is allowed."""
    for path in ("/", "/static/app.js", "/api", "/api/v1/time", "/api/v1/openapi.json", "/health/live"):
        head, got = httpx.head(venue.url + path, timeout=DEADLINE_S), venue.get(path)
        assert [head.status_code, head.content] == [200, b""]
        assert head.headers["content-type"] == got.headers["content-type"]
    for method in ("OPTIONS", "POST", "TRACE"):
        assert httpx.request(method, venue.url + "/api/v1/time", timeout=DEADLINE_S).headers["allow"] == "GET, HEAD"


def test_the_page_is_revalidated_whatever_its_encoding(venue):
    """The tag of the compressed file and of the plain one is the same, and weak; among others it is found too."""
    tags = {venue.get("/static/app.js", headers={"accept-encoding": how}).headers["etag"] for how in ("gzip", "")}
    assert len(tags) == 1
    tag = tags.pop()
    assert tag.startswith("W/")
    for known, status in ((tag, 304), (f'"x", {tag}', 304), ('"x"', 200)):
        assert venue.get("/static/app.js", headers={"if-none-match": known}).status_code == status


def test_a_page_of_another_origin_reads_what_is_told_to_it(venue):
    """The origin that was named may read answers and their limits; another may not."""
    answer = venue.get("/api/v1/time", headers={"origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-expose-headers"] == ", ".join(TOLD_HEADERS)
    assert "access-control-allow-origin" not in venue.get("/api/v1/time", headers={"origin": "https://x"}).headers


def test_another_venue_in_place_of_the_first_is_noticed(tmp_path):
    """An engine that begins with nothing at the same address is followed from its start; subscribers are told 1012."""
    with WebVenue(tmp_path, "--per-minute", "100000") as venue:
        venue.trade(20)
        with connect(venue.url.replace("http", "ws") + "/ws") as socket_:
            socket_.send(SUBSCRIBE)
            wait_for(lambda: venue.get("/api/v1/status").json()["behind_seqs"] == 0, "the gateway to follow")
            venue.engine.kill()
            shutil.rmtree(venue.engine.data_dir)
            venue.engine.start()
            with pytest.raises(ConnectionClosedError, match="1012"):
                without_end(lambda: socket_.recv(DEADLINE_S))
        set_up(venue.engine.run_dir)
        wait_for(lambda: venue.get(f"/api/v1/instruments/{NAME}").status_code == 200, "the new venue's market")
        assert venue.get(f"/api/v1/instruments/{NAME}/candles").json() == []
