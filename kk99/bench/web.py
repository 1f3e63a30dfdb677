"""`kk99 bench web`: the web gateway beside a living engine, its clients in a process of their own.

One order moves the book at a steady rate; what subscribers hear is timed from the venue's time of its command. The
broadcast figure is this gateway's way of telling many against `broadcast()` of the `websockets` library: the same
payload, as many connections, both in this process, read by the same client.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypedDict

import msgspec
import uvicorn
import uvloop
from websockets.asyncio.server import broadcast, serve

from gateways.client import Client
from gateways.web.pages import FOLDER
from gateways.web.peer import Peer
from gateways.web.streams import Message, Streams
from gateways.web.venue import Venue
from gateways.web.wire import EXTENSION, WireProtocol
from kk99 import build, schema
from kk99.bench.load import Engine
from kk99.bench.results import Result
from kk99.errors import ClientError
from kk99.schema import MarketState, Side

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from kk99.bench.options import Options

BENCH: Final = "web"
NAME: Final = "B-USD"
_CONNECTIONS: Final = 64
_PAYLOAD: Final = {"channel": "book", "x": "y" * 400}
_BURST: Final = 100
"""Rounds before all that was told must be read: what they leave in a buffer holds nobody up."""
_PAGE: Final = ("index.html", "app.js", "app.css")
_START_S: Final = 30.0
_LIMIT_MS: Final = 50.0


def run(options: Options) -> list[Result]:
    """Return every figure of the bench."""
    ours = _rounds(options, _our_server)
    theirs = _rounds(options, _their_server)
    options.say(f"broadcast: {ours:,.0f} messages/s, the library's {theirs:,.0f}")
    found = [
        Result(BENCH, "broadcast.ratio", ours / theirs, "x", 1.0),
        Result(BENCH, "broadcast.messages_per_s", ours, "1/s", theirs),
        Result(
            BENCH, "page.gzip_kb", sum(len(gzip.compress((FOLDER / name).read_bytes())) for name in _PAGE) / 1e3, "kB"
        ),
    ]
    with options.folder() as folder, Engine(folder, snapshot_commands=0) as engine:
        engine.start()
        _set_up(engine.address)
        with _gateway(engine.address, folder) as port:
            found += _reads(options, port)
            with _market(engine.address, 20.0):
                found.append(_at_50_ms(options, port))
            with _market(engine.address, 1.0):
                found += _held(options, port)
    return found


# Telling many ---------------------------------------------------------------------------------------------------------


def _rounds(options: Options, server: Callable[[], Any]) -> float:
    """Return the messages a second at which a server tells many connections the same, until they have read it all."""
    count, seconds = options.pick(500, 10), options.pick(5.0, 0.2)

    async def measure() -> float:
        async with server() as (port, tell):
            with _client("drain", str(port), str(count)) as client:
                assert client.stdin is not None
                assert client.stdout is not None
                await asyncio.to_thread(client.stdout.readline)
                told, began = 0, time.perf_counter()
                while time.perf_counter() - began < seconds:
                    for _ in range(_BURST):
                        tell()
                        await asyncio.sleep(0)
                    told += _BURST * count
                    client.stdin.write(f"{_BURST * count * len(Message(_PAYLOAD).json())}\n")
                    client.stdin.flush()
                    await asyncio.to_thread(client.stdout.readline)
                return told / (time.perf_counter() - began)

    return uvloop.run(measure())


@contextlib.asynccontextmanager
async def _our_server() -> AsyncIterator[tuple[int, Callable[[], None]]]:
    """Serve as the gateway does; its port, and what tells everyone."""
    streams, peers = Streams(Venue()), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        wire = scope["extensions"][EXTENSION]
        peer = Peer(streams, packs=False, write=wire.write, wake=lambda: None, now_s=0.0)
        wire.on_room = peer.flush
        peers.append(peer)
        await receive()

    def tell() -> None:
        message = Message(_PAYLOAD)
        for peer in peers:
            peer.hear(message)

    config = uvicorn.Config(app, ws=WireProtocol, ws_per_message_deflate=False, lifespan="off", log_config=None)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1_024)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield int(listener.getsockname()[1]), tell
    finally:
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def _their_server() -> AsyncIterator[tuple[int, Callable[[], None]]]:
    """Serve with the library; its port, and what tells everyone."""
    connections = set()

    async def hold(connection: Any) -> None:
        connections.add(connection)
        await connection.wait_closed()

    payload = msgspec.json.encode(_PAYLOAD).decode()
    async with serve(hold, "127.0.0.1", 0, compression=None) as server:
        yield int(next(iter(server.sockets)).getsockname()[1]), lambda: broadcast(connections, payload)


# The gateway ----------------------------------------------------------------------------------------------------------


class _Operator(TypedDict):
    actor: str
    reason: str


_OPERATOR: Final = _Operator(actor="bench", reason="set up")


def _set_up(address: str) -> None:
    with Client.connect(address, "bench") as client:
        client.submit(build.batch_of([
            build.asset("USD", 2, **_OPERATOR), build.asset("B", 0, **_OPERATOR),
            build.instrument(
                NAME, "B", "USD", tick_units=1, lot_units=1, max_price_ticks=10**6, max_qty_lots=10**6, **_OPERATOR
            ),
            build.account("one", "one", **_OPERATOR), build.account("two", "two", **_OPERATOR),
            build.instrument_state(1, MarketState.OPEN, **_OPERATOR),
        ]))  # fmt: skip
        for account_id in (schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 1):
            for asset_id in (1, 2):
                client.submit(build.deposit(account_id, asset_id, 10**15))
        for level in range(50):
            client.submit(build.order_new(schema.VENUE_ACCOUNTS, 1, Side.BUY, 100, 1_000 - level))
            client.submit(build.order_new(schema.VENUE_ACCOUNTS + 1, 1, Side.SELL, 100, 1_001 + level))
        client.flush()


@contextlib.contextmanager
def _gateway(address: str, folder: Path) -> Iterator[int]:
    """Run a gateway as a process; its port."""
    command = [sys.executable, "-m", "kk99.cli", "gateway", "web", "--port", "0", "--connect", address]
    command += ["--data", str(folder), "--per-minute", "1000000", "--connections", "20000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])
            _await_market(port)
            yield port
        finally:
            process.terminate()


def _await_market(port: int) -> None:
    """Wait until a gateway knows the market."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_S)
        with contextlib.closing(connection):
            connection.request("GET", f"/api/v1/instruments/{NAME}/book")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(0.01)
    raise ClientError(f"the gateway knows no {NAME} after {_START_S} s")


@contextlib.contextmanager
def _client(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the load client."""
    command = [sys.executable, "-m", "kk99.bench.web_load", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def _market(address: str, per_s: float) -> Iterator[None]:
    """Trade one lot at a steady rate, by turns on either side, so that book and tape change each time."""
    is_over = threading.Event()

    def trade() -> None:
        with Client.connect(address, "bench") as client:
            number, next_s = 0, time.monotonic()
            while not is_over.wait(max(next_s - time.monotonic(), 0.0)):
                account, side, price = (0, Side.BUY, 1_001) if number % 2 else (1, Side.SELL, 1_000)
                client.submit(build.batch_of([
                    build.order_new(schema.VENUE_ACCOUNTS + account, 1, side, 1, price),
                    build.order_new(schema.VENUE_ACCOUNTS + 1 - account, 1, 3 - side, 1, price),
                ]))  # fmt: skip
                client.pump()
                number, next_s = number + 1, next_s + 1 / per_s
            client.flush()

    thread = threading.Thread(target=trade)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _reads(options: Options, port: int) -> list[Result]:
    seconds, path = options.pick(10.0, 0.3), f"/api/v1/instruments/{NAME}/book?depth=20"
    with _client("requests", str(port), str(_CONNECTIONS), str(seconds), path) as client:
        found = json.loads(client.communicate(timeout=seconds + _START_S)[0])
    options.say(f"reads: {found}")
    return [
        Result(BENCH, "read.requests_per_s", found["requests_per_s"], "1/s"),
        Result(BENCH, "read.p99_ms", found["p99_ms"], "ms"),
    ]


def _hold(options: Options, port: int, count: int, interval_ms: int, seconds: float) -> dict[str, Any]:
    """Hold sessions for a time; what they got."""
    with _client("sessions", str(port), str(count), str(interval_ms), NAME) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n", "the sessions did not open"
        found: dict[str, Any] = {}
        for wait_s in (seconds / 5, seconds):  # the first ones settle
            time.sleep(wait_s)
            client.stdin.write("\n")
            client.stdin.flush()
            found = json.loads(client.stdout.readline())
    options.say(f"{count:,} sessions at {interval_ms} ms: {found}")
    return found


def _at_50_ms(options: Options, port: int) -> Result:
    """Find how many sessions can be told 20 times a second while all but one in a hundred messages take below 50 ms."""
    best, count = 0, options.pick(250, 5)
    while count <= options.pick(8_000, 10):
        found = _hold(options, port, count, 50, options.pick(8.0, 0.5))
        told = found["messages"] / found["seconds"] / count
        if found["p99_ms"] > _LIMIT_MS or found["closed"] or (not options.quick and told < 30):  # book and trades: 40
            break
        best, count = count, count * 2
    return Result(BENCH, "websocket.sessions_at_50ms", best, "1")


def _held(options: Options, port: int) -> list[Result]:
    count = options.pick(10_000, 10)
    found = _hold(options, port, count, 1_000, options.pick(15.0, 0.5))
    return [
        Result(BENCH, "websocket.held", count - found["closed"], "1"),
        Result(BENCH, "websocket.held_p99_ms", found["p99_ms"], "ms"),
    ]
