"""The web gateway's process: one event loop with the HTTP server, the WebSockets, the feed and the paces.

Invariant: all that is known and all who hear is touched by the event loop alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from gateways.figures import add_follower, report_folder
from gateways.web import forms, pages
from gateways.web.errors import Kind, RequestError
from gateways.web.feed import Feed
from gateways.web.guard import TOLD_HEADERS, Answers, Budget, Guard, address_of
from gateways.web.peer import TOO_SLOW, Peer
from gateways.web.requests import RequestProtocol
from gateways.web.rest import Api, refused
from gateways.web.streams import Message, Streams
from gateways.web.venue import Venue
from gateways.web.wire import EXTENSION, Wire, WireProtocol
from kk99.errors import InputError
from kk99.metrics.reporter import Reporter
from kk99.notify import Heart, notify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

    from gateways.query import Image
    from gateways.web.settings import WebSettings
    from kk99.batch import Events
    from kk99.metrics.figures import Figures

FRAME_BYTES_MAX: Final = 16_384
"""Longest frame that a WebSocket client may send."""
BEHIND_MAX: Final = 10_000
"""Commands that it may be behind and still be ready."""
_PING_S: Final = 20.0
_KEEP_ALIVE_S: Final = 30
_STOP_S: Final = 5
_LOOK_S: Final = 0.25
_PACE_S: Final = 0.005
"""How often to look for what has waited for its interval."""

_RESTARTED: Final = 1012
"""Close code: what served is no more (IANA registry)."""
_CLIENTS_FAULTS: Final = ("Invalid HTTP request received.", "Invalid UTF-8 sequence received from client.")
"""What the HTTP server would log each time that a client sends nonsense."""

log = structlog.get_logger("web")


class WebGateway:
    """Everything of one process; `app` is what the HTTP server serves."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self.venue = Venue()
        self.streams = Streams(self.venue)
        self.feed = Feed(settings.address, self._begin, self._take)
        self.peers: set[Peer] = set()
        self.dropped = 0
        """Peers that were dropped as they read too slowly."""
        self._has_begun = self._told_live = False
        self._answers = Answers()
        self._api = Api(self.venue, self.status)
        self.app = self._make_app()

    def status(self) -> forms.Status:
        """Return how the gateway and its engine fare."""
        behind_seqs = max(self.feed.published_seq - self.venue.seq, 0)
        return forms.Status(
            is_ready=self._has_begun and self.feed.is_live and behind_seqs <= BEHIND_MAX,
            seq=self.venue.seq,
            time_ns=self.venue.time_ns,
            behind_seqs=behind_seqs,
            instruments=len(self.venue.markets),
            not_open=self.venue.not_open(),
            subscribers=len(self.peers),
        )

    def collect(self, figures: Figures) -> None:
        """Add what the process reports of itself."""
        if self.feed.stats is not None:
            add_follower(figures, self.venue.seq, self.feed.stats)
        self._answers.add_to(figures)
        figures.add("kk99_websocket_sessions", len(self.peers))
        figures.add("kk99_websocket_slow_consumers_dropped_total", self.dropped)

    # The app ----------------------------------------------------------------------------------------------------------

    def _make_app(self) -> Starlette:
        # A name may hold a slash, so the plain path of an instrument is tried last.
        routes = sorted(self._api.routes, key=lambda route: route.path.endswith("}"))
        paths = [
            Route(route.path.replace("}", ":path}"), route.__call__, name=route.name, methods=["GET"])
            for route in routes
        ]
        origins = list(self._settings.origins)
        cors = Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET"], expose_headers=TOLD_HEADERS)
        budget = Budget(self._settings.per_minute)
        guard = Middleware(Guard, budget=budget, answers=self._answers, monotonic=time.monotonic)
        return Starlette(
            routes=[
                Route("/api/v1/openapi.json", self._api.describe, methods=["GET"]),
                Route("/api", self._api.read, methods=["GET"]),
                *pages.routes(),
                *paths,
                WebSocketRoute("/ws", self._talk),
            ],
            middleware=[
                *([cors] if origins else []),
                guard,
                Middleware(GZipMiddleware, minimum_size=1_024),
            ],
            exception_handlers={404: _not_found, 405: _not_allowed},
            lifespan=self._live,
        )

    @contextlib.asynccontextmanager
    async def _live(self, _: Starlette) -> AsyncIterator[None]:
        self.feed.start(asyncio.get_running_loop())
        pace = asyncio.create_task(self._pace())
        try:
            yield
        finally:
            pace.cancel()
            await asyncio.to_thread(self.feed.close)

    def _begin(self, image: Image) -> None:
        if image.seq < self.venue.seq:
            log.warning("another venue is there in place of the one before", seq=image.seq)
            for peer in self.peers:
                peer.leave()
                peer.end(_RESTARTED, "the venue began anew")
        self.venue.begin(image)
        self.streams.begin_again()
        self._has_begun = True

    def _take(self, events: Events) -> None:
        self.streams.take(self.venue.take(events), time.monotonic())

    async def _pace(self) -> None:
        while True:
            await asyncio.sleep(_PACE_S)
            self._tell_liveness()
            self.streams.tell_due(time.monotonic())

    def _tell_liveness(self) -> None:
        """Tell everyone when the engine stops or begins to answer."""
        is_live = self._has_begun and self.feed.is_live
        if is_live != self._told_live:
            self._told_live = is_live
            message = self._venue_message()
            for peer in self.peers:
                peer.hear(message)

    def _venue_message(self) -> Message:
        return Message({"type": "venue", "is_live": self._told_live, "seq": self.venue.seq})

    # WebSockets -------------------------------------------------------------------------------------------------------

    async def _talk(self, websocket: WebSocket) -> None:
        if len(self.peers) >= self._settings.connections_max:
            await websocket.close(TOO_SLOW, "too many connections: try again later")
            return
        packs = websocket.query_params.get("format") == "msgpack"
        await websocket.accept()
        wire: Wire = websocket.scope["extensions"][EXTENSION]
        has_ended = asyncio.Event()
        peer = Peer(self.streams, packs=packs, write=wire.write, wake=has_ended.set, now_s=time.monotonic())
        wire.on_room = peer.flush
        peer.hear(self._venue_message())
        self.peers.add(peer)
        ended = asyncio.create_task(has_ended.wait())
        hearing = asyncio.create_task(_hear(websocket, peer))
        try:
            await asyncio.wait([hearing, ended], return_when=asyncio.FIRST_COMPLETED)
            wire.end_soon()
            if peer.close_code:
                with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it is gone already
                    await websocket.close(peer.close_code, peer.close_reason)
        finally:
            hearing.cancel()
            ended.cancel()
            wire.on_room = lambda: None
            peer.leave()
            self.peers.discard(peer)
            if peer.close_code == TOO_SLOW:
                self.dropped += 1
                log.info("subscriber dropped", address=address_of(websocket.scope), why=peer.close_reason)


async def _hear(websocket: WebSocket, peer: Peer) -> None:
    """Take what a client sends, until it is gone."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        frame = message.get("bytes") if peer.packs else message.get("text")
        peer.ask(b"" if frame is None else frame, time.monotonic())


async def _not_found(request: Request, _: Exception) -> Response:
    return refused(request.scope, RequestError(Kind.NOT_FOUND, "path_unknown", "there is nothing here: see /api"))


async def _not_allowed(request: Request, _: Exception) -> Response:
    answer = refused(request.scope, RequestError(Kind.METHOD, "method_unknown", "this can only be read: use GET"))
    answer.headers["allow"] = "GET, HEAD"
    return answer


class _Server(uvicorn.Server):
    """The HTTP server, which says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[int], Any]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        if self.started and sockets:
            self._ready(int(sockets[0].getsockname()[1]))
            notify("READY=1")


def run(settings: WebSettings, should_stop: Callable[[], bool], ready: Callable[[int], Any]) -> None:
    """Serve until told to stop; `ready` hears the port once requests are answered. Raises `InputError`."""
    gateway = WebGateway(settings)
    try:
        listener = socket.create_server((settings.host, settings.port), backlog=1_024)
    except OSError as error:
        raise InputError(f"{settings.host}:{settings.port}: {error.strerror}: choose another port") from error
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg not in _CLIENTS_FAULTS)
    config = uvicorn.Config(
        gateway.app, log_config=None, access_log=False, http=RequestProtocol, ws=WireProtocol,
        ws_max_size=FRAME_BYTES_MAX, ws_per_message_deflate=False, ws_ping_interval=_PING_S, ws_ping_timeout=_PING_S,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_S, server_header=False, proxy_headers=False,
    )  # fmt: skip
    server = _Server(config, ready)
    with (
        Reporter(report_folder(settings.address, settings.data), "web", gateway.collect),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(server, listener, lambda: should_stop() or gateway.feed.failure is not None))
    if gateway.feed.failure is not None:
        raise gateway.feed.failure


async def _serve(server: uvicorn.Server, listener: socket.socket, should_stop: Callable[[], bool]) -> None:
    """Serve until told to stop."""
    serving = asyncio.create_task(server.serve([listener]))
    heart = Heart()
    while not serving.done() and not should_stop():
        heart.beat()
        await asyncio.wait([serving], timeout=_LOOK_S)
    server.should_exit = True
    await serving
