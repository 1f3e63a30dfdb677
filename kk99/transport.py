"""Moves messages over ZeroMQ sockets: never waiting, without copying what is large, a call for each part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import zmq

if TYPE_CHECKING:
    from collections.abc import Sequence

COPIED_BYTES: Final = 1 << 16
"""Parts below this are copied, which is quicker than keeping track of them."""

# Plain numbers: joining pyzmq's flags takes as long as sending a part.
_NOBLOCK: Final = int(zmq.NOBLOCK)
_NOBLOCK_SNDMORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
_EVENTS: Final = int(zmq.EVENTS)
_RCVMORE: Final = int(zmq.RCVMORE)
_POLLIN: Final = int(zmq.POLLIN)


def send(socket: zmq.Socket[bytes], parts: Sequence[Any]) -> bool:
    """Send a message of bytes-like parts; False when there is no room for it now.

    A part is not to be changed before it has left. Raises `zmq.ZMQError` for all but a lack of room.
    """
    try:
        for part in parts[:-1]:
            socket.send(part, _NOBLOCK_SNDMORE, copy=len(part) < COPIED_BYTES)
        socket.send(parts[-1], _NOBLOCK, copy=len(parts[-1]) < COPIED_BYTES)
    except zmq.Again:
        return False
    return True


def has_message(socket: zmq.Socket[bytes]) -> bool:
    """Return whether a message is there."""
    return bool(int(socket.getsockopt(_EVENTS)) & _POLLIN)


def receive(socket: zmq.Socket[bytes], heads: int) -> list[Any]:
    """Return the parts of the message that is there; `zmq.Again` if there is none.

    The first `heads` parts are small and come as bytes, what follows them as views of the received memory.
    """
    parts: list[Any] = []
    for _ in range(heads):
        parts.append(socket.recv(_NOBLOCK))
        if not socket.getsockopt(_RCVMORE):
            return parts
    frame = socket.recv(_NOBLOCK, copy=False)
    parts.append(frame.buffer)
    while frame.more:
        frame = socket.recv(_NOBLOCK, copy=False)
        parts.append(frame.buffer)
    return parts
