"""The engine's sockets: bound with every limit set, in a folder only for its owner; and an eventfd to wake up."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final

import zmq

from kk99 import protocol, transport
from kk99.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kk99.config import EngineSettings

_MESSAGES_PER_ROUND: Final = 64


class Wake:
    """Wakes a thread that polls sockets."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._descriptor

    def set(self) -> None:
        """Wake the poller; any thread may."""
        os.eventfd_write(self._descriptor, 1)

    def clear(self) -> None:
        """Take the wake-up back, before looking at what it was for."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._descriptor)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)


def prepare_folder(settings: EngineSettings) -> None:
    """Make the folder of the ipc sockets, for its owner only."""
    if settings.endpoint:
        return
    folder = settings.sockets_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise EngineError(f"{folder}: {error.strerror}") from error


def bind(context: zmq.Context[Any], kind: int, settings: EngineSettings, name: str, hwm: int) -> zmq.Socket[bytes]:
    """Return a socket bound at the engine's address of that name."""
    socket: zmq.Socket[bytes] = context.socket(kind)
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = hwm
    socket.maxmsgsize = protocol.MESSAGE_BYTES_MAX
    if kind == zmq.ROUTER:
        socket.router_mandatory = 1
    address = protocol.endpoint(settings.address, name)
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        socket.close()
        raise EngineError(f"{address}: {error.strerror}") from error
    return socket


def receive_round(socket: zmq.Socket[bytes]) -> list[tuple[bytes, list[Any]]]:
    """Return the (connection, parts) messages that are there, up to a bound, without copying their payloads."""
    messages: list[tuple[bytes, list[Any]]] = []
    while len(messages) < _MESSAGES_PER_ROUND and transport.has_message(socket):
        peer, *parts = transport.receive(socket, 2)
        messages.append((peer, parts))
    return messages


def send_to(socket: zmq.Socket[bytes], peer: bytes, parts: Sequence[Any]) -> bool:
    """Send to a connection without waiting; False when it has no room now (one that is gone counts as sent)."""
    try:
        return transport.send(socket, [peer, *parts])
    except zmq.ZMQError as error:
        if error.errno != zmq.EHOSTUNREACH:
            raise
    return True
