"""The exporter: follows the events, and answers Prometheus with its own figures and those of all other processes.

::

    engine, gateways ─ Unix sockets ─▶ gather ─┐
    engine ─ events ─▶ Market ─────────────────┴▶ HTTP: /metrics (Prometheus), and a Unix socket for `kk99 metrics`

Invariants: Prometheus is answered whether the engine is there or not; the events are followed in one thread, and what
it knows is read under a lock; a client of HTTP that says nothing is hung up on.
"""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

from gateways.client import Client
from kk99.errors import ClientError, InputError
from kk99.exporter.gather import EXPORTER, Gathered, families, followers, gather
from kk99.exporter.market import Market
from kk99.logs import stand_at
from kk99.metrics.reporter import Reporter
from kk99.notify import Heart, notify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from kk99.config import MetricsSettings
    from kk99.metrics.figures import Figures

_CONNECT_S: Final = 2.0
_AGAIN_S: Final = 1.0
"""After a failure the engine is tried again so much later."""
_WAIT_S: Final = 0.25
_HTTP_S: Final = 10.0
"""A client of HTTP that is silent for so long is hung up on."""

log = structlog.get_logger("metrics")


class Exporter:
    """Follows the venue at `address`, whose processes report in `folder`."""

    def __init__(self, address: str, folder: Path, expected: Iterable[str]) -> None:
        self._address = address
        self._folder = folder
        self._expected = tuple(expected)
        self._lock = threading.Lock()
        self._market = Market()
        self._client: Client | None = None
        self._again_at = 0.0
        self._gaps = self._events = 0
        """Of the clients before this one."""
        self._reporter = Reporter(folder, EXPORTER, self._report)

    def __enter__(self) -> Self:
        self._reporter.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._reporter.close()
        self._leave()

    @property
    def seq(self) -> int:
        """Sequence of the last command whose events it has taken in."""
        return self._market.view.last_seq

    def turn(self) -> None:
        """Take in what events there are, waiting a little; looks for the engine when it is not there."""
        try:
            if self._client is None:
                self._connect()
            if self._client is None:
                return
            events = self._client.poll_events(_WAIT_S)
        except ClientError as error:
            log.warning("events not followed", reason=str(error))
            self._leave()
            return
        if events is not None:
            with self._lock:
                self._market.take(events, time.time_ns())

    def gather(self) -> Gathered:
        """Return the figures of all processes, this one's among them."""
        found = gather(self._folder, self._expected, without={EXPORTER})
        figures = self._reporter.own()
        self._add_to(figures, found)
        found.figures[EXPORTER], found.up[EXPORTER] = figures, True
        return found

    def collect(self) -> list[Any]:
        """Return all figures as Prometheus's families; what its registry calls."""
        return families(self.gather())

    def describe(self) -> list[Any]:
        """Return nothing: which families there are is known when they are gathered."""
        return []

    def _report(self, figures: Figures) -> None:
        self._add_to(figures, gather(self._folder, without={EXPORTER}))

    def _add_to(self, figures: Figures, found: Gathered) -> None:
        client = self._client
        with self._lock:
            self._market.add_to(figures)
            seq = self._market.view.last_seq
            if seq:
                figures.add("kk99_follower_seq", seq)
            stats = None if client is None else client.stats
            figures.add("kk99_follower_gaps_total", self._gaps + (stats.gaps if stats else 0))
            figures.add("kk99_follower_events_total", self._events + (stats.events if stats else 0))
            published = found.value("engine", "kk99_engine_seq", "published")
            if published is None or not seq:
                return
            for name, at in (followers(found) | {EXPORTER: seq}).items():
                figures.add("kk99_follower_lag_commands", max(int(published) - at, 0), name)
                figures.add("kk99_follower_lag_events", self._market.lag_events(at, int(published)), name)

    def _connect(self) -> None:
        if time.monotonic() < self._again_at:
            time.sleep(_WAIT_S)
            return
        self._again_at = time.monotonic() + _AGAIN_S
        with Client.connect(self._address, timeout_s=_CONNECT_S) as client:
            image = client.image()
        self._client = Client.connect(self._address, after=image.last_event, timeout_s=_CONNECT_S)
        with self._lock:
            self._market.begin(image.seq, image.frames)
        log.info("following", seq=image.seq)

    def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._gaps += client.stats.gaps
            self._events += client.stats.events
            client.close()


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.address_family, where = found[0], found[4]
        super().__init__((str(where[0]), int(where[1])), _Handler)

    def server_bind(self) -> None:
        """Bind, without asking what this machine is called: that may take long where names are not resolved."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = _HTTP_S

    def log_message(self, *_: object) -> None:
        """Say nothing: who asks is no news."""


def serve_http(exporter: Exporter, host: str, port: int) -> WSGIServer:
    """Serve an exporter to Prometheus in a thread; raises `InputError` when it can't listen there."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(exporter)
    try:
        server = _Server(host, port)
    except OSError as error:
        raise InputError(f"metrics: listen = {host}:{port}: {error.strerror or error}") from error
    server.set_app(make_wsgi_app(registry))
    threading.Thread(target=server.serve_forever, name="kk99-http", daemon=True).start()
    return server


def run(settings: MetricsSettings, address: str, folder: Path, should_stop: Callable[[], bool]) -> None:
    """Serve until told to stop; raises `KK99Error` when it can't begin."""
    with Exporter(address, folder, settings.processes) as exporter:
        stand_at(lambda: exporter.seq)
        server = serve_http(exporter, settings.host, settings.port)
        port = server.server_address[1]
        print(  # noqa: T201 - the one line that a person or a script waits for
            f"kk99 exporter ready at http://{settings.host}:{port}/metrics", flush=True
        )
        notify("READY=1")
        heart = Heart()
        while not should_stop():
            exporter.turn()
            heart.beat(f"at seq {exporter.seq}")
        notify("STOPPING=1")
        server.shutdown()
        server.server_close()
