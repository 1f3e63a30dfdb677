"""The gateway's sockets and its one event loop: accepts, reads, writes, wakes for timers, the engine and jobs.

Invariant: nothing in a turn waits: sockets are non-blocking, and what takes long is a job.
"""

from __future__ import annotations

import errno
import socket
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
import zmq

from gateways.figures import report_folder
from gateways.fix.control import SOCKET_NAME, Control
from gateways.fix.failures import network_of
from gateways.fix.figures import add_to
from gateways.fix.gateway import Gateway
from gateways.fix.link import Link
from gateways.fix.roster import handle
from gateways.fix.settings import EngineSessions
from gateways.fix.stream import ReportStream
from gateways.fix.tls import Tls
from kk99.errors import InputError
from kk99.logs import stand_at
from kk99.metrics.reporter import Reporter
from kk99.notify import Heart, notify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateways.fix.settings import FixSettings

_WAIT_MS: Final = 20
_LOOK_NS: Final = 50_000_000
"""That often every connection and engine session is looked at, whether anything came for it or not."""
_IN, _OUT = int(zmq.POLLIN), int(zmq.POLLOUT)
_READABLE: Final = int(zmq.POLLIN | zmq.POLLERR)
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
        self._touched: set[Link] = set()
        """Connections of which the last turn may have changed what they wait for."""
        self._look_at_ns = 0
        self._looks = True
        self._wait_ms = _WAIT_MS
        settings = gateway.settings
        self._tls = Tls(settings) if settings.tls_certificate else None
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

    @property
    def connection_count(self) -> int:
        """How many connections are open."""
        return len(self._links)

    def run(self, should_stop: Callable[[], bool], should_reload: Callable[[], bool], control: Control) -> None:
        """Serve until told to stop, then log all sessions out and close."""
        heart = Heart()
        while not should_stop():
            self.turn()
            control.turn(lambda question, reply: handle(self._gateway, question, reply))
            if should_reload():
                self._reload()
            heart.beat()
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

    def _reload(self) -> None:
        """Read the certificates again, for the connections that come."""
        if self._tls is None:
            return
        try:
            self._tls.reload()
        except InputError as error:
            log.error("certificates not read again", reason=str(error))  # noqa: TRY400 - the text says it all
        else:
            log.info("certificates read again")

    def turn(self) -> None:
        """Wait a little for something to do, and do it."""
        self._watch()
        ready = dict(self._poller.poll(self._wait_ms))
        now_ns = time.time_ns()
        gateway = self._gateway
        if gateway.jobs.fileno() in ready:
            gateway.jobs.clear()
        if not self._is_closing and self._listener.fileno() in ready:
            self._accept(now_ns)
        touched = self._receive(ready, now_ns)
        if gateway.turn(ready, touched) or now_ns >= self._look_at_ns:
            touched.update(self._links.values())
            gateway.pump()
            self._look_at_ns, self._looks = now_ns + _LOOK_NS, True
        for link in touched:
            if self._links.get(link.socket.fileno()) is not link:  # forgotten in the turn before
                continue
            if now_ns >= link.next_tick_ns:
                link.tick(now_ns)
            link.flush(now_ns)
            if link.is_gone:
                self._forget(link)
        self._touched |= touched

    def _receive(self, ready: dict[Any, int], now_ns: int) -> set[Link]:
        """Take what the connections have for us; those that something may be done for now."""
        touched: set[Link] = set()
        for number, mask in ready.items():
            link = self._links.get(number) if isinstance(number, int) else None
            if link is not None:
                touched.add(link)
                if mask & _READABLE and link.wants_input:
                    link.readable(now_ns)
        return touched

    def _watch(self) -> None:
        """Have the poller wait for what each side has room for, and say how long at most."""
        for link in self._touched:
            number = link.socket.fileno()
            if number < 0:
                continue
            mask = (_IN if link.wants_input else 0) | (_OUT if link.wants_output else 0)
            if mask != self._masks.get(number, 0):
                self._masks[number] = mask
                self._poller.register(number, mask)
        self._touched.clear()
        if not self._looks and not self._gateway.binding.has_changed:
            return
        self._looks = self._gateway.binding.has_changed = False
        wanted = set(self._gateway.sockets())
        for gone in self._engine_sockets - wanted:
            self._poller.unregister(gone)
        for new in wanted - self._engine_sockets:
            self._poller.register(new, zmq.POLLIN)
        self._engine_sockets = wanted
        due_ns = min((link.next_tick_ns for link in self._links.values()), default=0)
        left_ms = (due_ns - time.time_ns()) // 1_000_000 + 1 if due_ns else _WAIT_MS
        self._wait_ms = max(0, min(_WAIT_MS, left_ms))

    def _accept(self, now_ns: int) -> None:
        for _ in range(_ACCEPTS):
            try:
                connection, where = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # the peer has gone, or there are no descriptors left
                is_ours = error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
                (log.error if is_ours else log.info)("not accepted", reason=str(error))
                return
            address = str(where[0])
            refusal = self._refusal(network_of(address), now_ns)
            if refusal:
                log.warning("connection refused", address=address, reason=refusal)
                connection.close()
                continue
            connection.setblocking(False)
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection = connection if self._tls is None else self._tls.wrap(connection)
            except OSError as error:
                log.info("not accepted", address=address, reason=str(error))
                connection.close()
                continue
            link = Link(connection, address, self._gateway, self._free_peers.pop(), now_ns)
            self._links[connection.fileno()] = link
            self._touched.add(link)

    def _refusal(self, network: str, now_ns: int) -> str:
        """Return why no further connection from a network is taken, "" if one is."""
        if not self._free_peers:
            return "too many connections"
        count = sum(link.network == network for link in self._links.values())
        if count >= self._gateway.settings.connections_per_address:
            return "too many connections from there"
        is_locked_out = self._gateway.access.failures.is_locked_out(network, now_ns)
        return "locked out after too many refused Logons" if is_locked_out else ""

    def _forget(self, link: Link) -> None:
        number = link.socket.fileno()
        if self._masks.pop(number, 0):
            self._poller.unregister(number)
        del self._links[number]
        self._gateway.counters.disconnects += 1
        self._free_peers.append(link.peer)
        self._gateway.binding.release(link)
        link.socket.close()
        name = link.line.settings.comp_id if link.line is not None else ""
        log.info("disconnected", session=name, address=link.address, reason=link.reason)


def run(
    settings: FixSettings,
    address: str,
    folder: Path,
    should_stop: Callable[[], bool],
    should_reload: Callable[[], bool] = lambda: False,
) -> None:
    """Run the gateway to the engine at `address` until told to stop; its indexes are in `folder`.

    `should_reload` says, once each time, that the certificates are to be read again. It listens once it has followed
    all events that were there. Raises `KK99Error` when it can't go on.
    """
    stream = ReportStream(address, EngineSessions())
    stand_at(lambda: stream.at.cause_seq)
    gateway = Gateway(settings, address, folder, stream)
    while not should_stop() and (gateway.take_reports() or not stream.is_level()):
        stream.wait()
    gateway.warm_up()
    server = Server(gateway)
    run_folder = report_folder(address, folder.parent)
    control = Control(run_folder / SOCKET_NAME)
    print(  # noqa: T201 - the one line that a person or a script waits for
        f"kk99 gateway fix ready at {settings.host}:{server.port}, {len(gateway.access.sessions)} sessions",
        flush=True,
    )
    notify("READY=1")
    with Reporter(run_folder, "fix", lambda figures: add_to(figures, server, gateway, stream)):
        server.run(should_stop, should_reload, control)
    notify("STOPPING=1")
    control.close()
    gateway.close()
    stream.close()
