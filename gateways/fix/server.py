"""The gateway's sockets and its one event loop: accepts, reads, writes, wakes for timers, the engine and jobs.

Invariant: nothing in a turn waits: sockets are non-blocking, and what takes long is a job.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import structlog
import zmq

from gateways.fix.compiled import PAD
from gateways.fix.gateway import Gateway
from gateways.fix.link import Link
from gateways.fix.stream import ReportStream
from kk99.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateways.fix.settings import FixSettings

_WAIT_MS: Final = 20
_BACKLOG: Final = 128
_ACCEPTS: Final = 64
"""Connections accepted in one turn."""
_LOGOUT_S: Final = 10.0
"""How long sessions have for their goodbye when the gateway stops."""

log = structlog.get_logger("fix")


class Server:
    """Listens for a gateway; `run` until told to stop."""

    def __init__(self, gateway: Gateway) -> None:
        """Open the listening socket, or raise `InputError`."""
        self._gateway = gateway
        self._links: dict[int, Link] = {}
        self._free_peers = list(range(gateway.settings.connections_max))
        self._poller = zmq.Poller()
        self._engine_sockets: set[Any] = set()
        self._masks: dict[int, int] = {}
        self._is_closing = False
        settings = gateway.settings
        try:
            family, _, _, _, where = socket.getaddrinfo(
                settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            self._listener = socket.create_server(where[:2], family=family, backlog=_BACKLOG)
        except OSError as error:
            raise InputError(f"listen = {settings.listen}: {error}") from error
        self._listener.setblocking(False)
        self._poller.register(self._listener.fileno(), zmq.POLLIN)
        self._poller.register(gateway.jobs.fileno(), zmq.POLLIN)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Serve until told to stop, then log all sessions out and close."""
        while not should_stop():
            self.turn()
        self._is_closing = True
        self._poller.unregister(self._listener.fileno())
        self._listener.close()
        for link in self._links.values():
            link.log_out("the gateway is shutting down", time.time_ns())
        deadline = time.monotonic() + _LOGOUT_S
        while self._links and time.monotonic() < deadline:
            self.turn()
        for link in list(self._links.values()):
            link.drop("the gateway was shut down")
            self._forget(link)

    def turn(self) -> None:
        """Wait a little for something to do, and do it."""
        self._watch()
        ready = dict(self._poller.poll(self._wait_ms()))
        now_ns = time.time_ns()
        gateway = self._gateway
        if gateway.jobs.fileno() in ready:
            gateway.jobs.clear()
        if not self._is_closing and self._listener.fileno() in ready:
            self._accept(now_ns)
        for number, mask in ready.items():
            link = self._links.get(number) if isinstance(number, int) else None
            if link is not None and mask & (zmq.POLLIN | zmq.POLLERR) and link.wants_input:
                link.readable(now_ns)
        gateway.turn()
        for link in list(self._links.values()):
            if now_ns >= link.next_tick_ns:
                link.tick(now_ns)
            link.flush(now_ns)
            if link.is_gone:
                self._forget(link)

    def _wait_ms(self) -> int:
        due_ns = min((link.next_tick_ns for link in self._links.values()), default=0)
        if not due_ns:
            return _WAIT_MS
        return max(0, min(_WAIT_MS, (due_ns - time.time_ns()) // 1_000_000 + 1))

    def _watch(self) -> None:
        """Have the poller wait for what each side has room for."""
        for number, link in self._links.items():
            mask = (zmq.POLLIN if link.wants_input else 0) | (zmq.POLLOUT if link.wants_output else 0)
            if mask != self._masks.get(number, 0):
                self._masks[number] = mask
                self._poller.register(number, mask)
        wanted = set(self._gateway.sockets())
        for gone in self._engine_sockets - wanted:
            self._poller.unregister(gone)
        for new in wanted - self._engine_sockets:
            self._poller.register(new, zmq.POLLIN)
        self._engine_sockets = wanted

    def _accept(self, now_ns: int) -> None:
        settings = self._gateway.settings
        for _ in range(_ACCEPTS):
            try:
                connection, where = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # the peer has gone, or there are no descriptors left
                log.warning("not accepted", reason=str(error))
                return
            address = str(where[0])
            count = sum(link.address == address for link in self._links.values())
            if not self._free_peers or count >= settings.connections_per_address:
                log.warning("too many connections", address=address)
                connection.close()
                continue
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(connection, address, self._gateway, self._free_peers.pop(), now_ns)
            self._links[connection.fileno()] = link

    def _forget(self, link: Link) -> None:
        number = link.socket.fileno()
        if self._masks.pop(number, 0):
            self._poller.unregister(number)
        del self._links[number]
        self._free_peers.append(link.peer)
        self._gateway.release(link)
        link.socket.close()
        name = link.line.settings.comp_id if link.line is not None else ""
        log.info("disconnected", session=name, address=link.address, reason=link.reason)


def run(settings: FixSettings, address: str, folder: Path, should_stop: Callable[[], bool]) -> None:
    """Run the gateway to the engine at `address` until told to stop; its indexes are in `folder`.

    It listens once it has followed all events that were there. Raises `KK99Error` when it can't go on.
    """
    stream = ReportStream(address, {session.engine_session for session in settings.sessions})
    gateway = Gateway(settings, address, folder, stream)
    while not stream.is_level() and not should_stop():
        if not gateway.take_reports():
            stream.wait()
    gateway.decode(np.zeros(PAD, np.uint8), 0, 0, time.time_ns())  # compiles, the first time for some seconds
    server = Server(gateway)
    print(  # noqa: T201 - the one line that a person or a script waits for
        f"kk99 gateway fix ready at {settings.host}:{server.port}, {len(settings.sessions)} sessions",
        flush=True,
    )
    server.run(should_stop)
    gateway.close()
    stream.close()
