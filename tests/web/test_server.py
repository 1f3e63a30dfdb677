"""The web gateway as a process: every request, WebSockets beside a living engine, and an engine that is killed."""

import json
import socket
import time

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from gateways.client import Client
from gateways.web import forms
from gateways.web.server import FRAME_BYTES_MAX
from kk99.schema import EventKind, Side
from tests.engine.harness import DEADLINE_S, wait_for
from tests.web.web_process import WebVenue

NAME = "DEMOUSD"
TYPES = {
    "/api/v1/time": forms.Time, "/api/v1/status": forms.Status, "/api/v1/instruments": list[forms.Instrument],
    f"/api/v1/instruments/{NAME}": forms.Instrument, f"/api/v1/instruments/{NAME}/book": forms.Book,
    f"/api/v1/instruments/{NAME}/trades": list[forms.Trade], f"/api/v1/instruments/{NAME}/ticker": forms.Ticker,
    f"/api/v1/instruments/{NAME}/candles": list[forms.Candle], "/api/v1/tickers": list[forms.Ticker],
    "/health/live": forms.Live, "/health/ready": forms.Status,
}  # fmt: skip


@pytest.fixture(scope="module")
def venue(tmp_path_factory):
    """A venue with some trades."""
    with WebVenue(tmp_path_factory.mktemp("web"), "--per-minute", "100000") as venue:
        venue.trade(20)
        yield venue


def test_every_request_is_answered_in_its_type_and_documented(venue):
    """Each path of the OpenAPI document answers 200 with a body of its type."""
    described = venue.get("/api/v1/openapi.json").json()
    asked = {path.replace("{instrument}", NAME) for path in described["paths"]}
    assert asked == set(TYPES)
    for path, kind in TYPES.items():
        answer = venue.get(path)
        assert answer.status_code == 200
        msgspec.json.decode(answer.content, type=kind)
    assert all(path in venue.get("/api").text for path in described["paths"])


def test_the_book_is_the_engines(venue):
    """At the sequence it names the book shows what the engine's own orders add up to."""
    seq = venue.trade(5)
    wait_for(lambda: venue.get(f"/api/v1/instruments/{NAME}/book").json()["seq"] >= seq, DEADLINE_S)
    with Client.connect(venue.engine.run_dir, timeout_s=DEADLINE_S) as client:
        image = client.image()
    expected = {"bids": {}, "asks": {}}
    for frame in image.frames:
        for row in frame.rows[frame.rows["kind"] == EventKind.ORDER_IMAGE]:
            side = expected["bids" if row["side"] == Side.BUY else "asks"]
            price = int(row["price_ticks"])
            qty, orders = side.get(price, (0, 0))
            side[price] = (qty + int(row["leaves_lots"]), orders + 1)
    book = venue.get(f"/api/v1/instruments/{NAME}/book?depth=0").json()
    told = {
        side: {round(float(price) * 100): (int(qty), orders) for price, qty, orders in book[side]} for side in expected
    }
    assert told == expected


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/instruments/NONE", 404, "instrument_unknown"),
        ("/api/v1/instruments/NO/SUCH/book", 404, "instrument_unknown"),
        (f"/api/v1/instruments/{NAME}/book?depth=5001", 400, "parameter_invalid"),
        (f"/api/v1/instruments/{NAME}/book?depth=x", 400, "parameter_invalid"),
        (f"/api/v1/instruments/{NAME}/book?depth=1&depth=2", 400, "parameter_invalid"),
        (f"/api/v1/instruments/{NAME}/book?deep=1", 400, "parameter_invalid"),
        (f"/api/v1/instruments/{NAME}/trades?limit=0", 400, "parameter_invalid"),
        (f"/api/v1/instruments/{NAME}/candles?interval=2m", 400, "parameter_invalid"),
        ("/api/v2/time", 404, "path_unknown"),
        ("/%00", 404, "path_unknown"),
    ],
)
def test_a_wrong_request_is_refused_by_name(venue, path, status, code):
    """Problem details with the code, what to do, and the correlation id of the header."""
    answer = venue.get(path)
    assert [answer.status_code, answer.headers["content-type"]] == [status, "application/problem+json"]
    body = answer.json()
    assert [body["status"], body["code"]] == [status, code]
    assert body["correlation_id"] == answer.headers["x-correlation-id"]


@pytest.mark.parametrize("depth", [0, 1, 5_000])
def test_depth_is_taken_at_its_edges(venue, depth):
    """0 is all, else so many levels of each side at most."""
    book = venue.get(f"/api/v1/instruments/{NAME}/book?depth={depth}").json()
    assert 0 < len(book["bids"]) <= (depth or 5_000)


def test_only_reading_is_allowed(venue):
    """Another method is refused, and headers guard every answer."""
    answer = httpx.post(venue.url + "/api/v1/time", timeout=DEADLINE_S)
    assert answer.status_code == 405
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert int(answer.headers["ratelimit-remaining"]) > 0


def answer_of(socket_):
    """The next message that answers a request."""
    while True:
        message = json.loads(socket_.recv(DEADLINE_S))
        if message["type"] != "venue":
            return message


def follow(socket_, until_seq):
    """The book as a client follows it until a sequence: {side: {price: (quantity, orders)}}."""
    book, to_seq = {"bids": {}, "asks": {}}, None
    while to_seq is None or to_seq < until_seq:
        message = json.loads(socket_.recv(DEADLINE_S))
        if message.get("channel") != "book":
            continue
        if message["type"] == "snapshot":
            book = {"bids": {}, "asks": {}}
        else:
            assert message["from_seq"] == to_seq
        to_seq = message["to_seq"]
        for side, levels in book.items():
            for price, qty, orders in message[side]:
                levels.pop(price, None)
                if qty != "0":
                    levels[price] = (qty, orders)
    return book


def rest_book(venue):
    """The same by request."""
    book = venue.get(f"/api/v1/instruments/{NAME}/book?depth=0").json()
    return {side: {price: (qty, orders) for price, qty, orders in book[side]} for side in ("bids", "asks")}


SUBSCRIBE = json.dumps(
    {"op": "subscribe", "id": 1, "channels": [{"channel": "book", "instrument": NAME, "interval_ms": 50}]}
)


def test_a_subscriber_follows_the_book(venue):
    """Snapshot, then updates that chain, end in the book that a request shows."""
    with venue.talk() as socket_:
        socket_.send(SUBSCRIBE)
        seq = venue.trade(50, 200)
        assert follow(socket_, seq) == rest_book(venue)


def test_a_killed_engine_comes_back_and_the_book_is_true(tmp_path):
    """While it is gone the gateway says that it is not ready; then updates go on where they were."""
    with WebVenue(tmp_path, "--per-minute", "100000") as venue, venue.talk() as socket_:
        venue.trade(10)
        socket_.send(SUBSCRIBE)
        venue.engine.kill()
        wait_for(lambda: venue.get("/health/ready").status_code == 503, DEADLINE_S)
        assert venue.get("/health/live").status_code == 200
        venue.engine.start()
        seq = venue.trade(10, 300)
        assert follow(socket_, seq) == rest_book(venue)
        wait_for(lambda: venue.get("/health/ready").status_code == 200, DEADLINE_S)


def test_too_many_requests_are_refused_until_there_is_room(tmp_path):
    """The budget of an address is told in headers; past it the answer is 429 with Retry-After."""
    with WebVenue(tmp_path, "--per-minute", "60") as venue:
        with httpx.Client(base_url=venue.url) as client:
            asked = (client.get("/health/live") for _ in range(1_000))
            refused = next(answer for answer in asked if answer.status_code != 200)
        assert [refused.status_code, refused.json()["code"]] == [429, "rate_limited"]
        assert int(refused.headers["retry-after"]) >= 1


def test_connections_are_bounded(tmp_path):
    """One more than allowed is turned away; when one leaves there is room again."""
    with WebVenue(tmp_path, "--connections", "2") as venue:
        with venue.talk(), venue.talk(), pytest.raises(InvalidStatus):
            venue.talk()
        wait_for(lambda: venue.get("/api/v1/status").json()["subscribers"] == 0, DEADLINE_S)
        with venue.talk() as socket_:
            socket_.send('{"op": "ping"}')
            assert answer_of(socket_)["type"] == "pong"


def test_an_oversized_frame_ends_the_connection_alone(venue):
    """One byte beyond the bound closes with 1009; at the bound it is answered; others go on."""
    with venue.talk() as other:
        with venue.talk() as socket_:
            socket_.send("x" * FRAME_BYTES_MAX)
            assert answer_of(socket_)["type"] == "error"
            socket_.send("x" * (FRAME_BYTES_MAX + 1))
            with pytest.raises(ConnectionClosedError, match="1009"):
                socket_.recv(DEADLINE_S)
        other.send('{"op": "ping"}')
        assert answer_of(other)["type"] == "pong"


def test_half_a_request_holds_nothing_up(venue):
    """A client that never ends its request does not keep others waiting."""
    with socket.create_connection(venue.url.removeprefix("http://").split(":")) as half:
        half.sendall(b"GET /api/v1/time HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        begun = time.monotonic()
        assert venue.get("/api/v1/time").status_code == 200
        assert time.monotonic() - begun < DEADLINE_S
