"""Questions to the engine that need no session: one at a time, each with its answer or a timeout."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import zmq

from kk99 import batch, protocol, schema, transport
from kk99.errors import ClientError
from kk99.protocol import Kind, Message, ProtocolError, Welcome

if TYPE_CHECKING:
    from collections.abc import Sequence

READ_BYTES: Final = 4 << 20
COMMANDS_ASKED_MAX: Final = 1_024
"""Sequences that one COMMANDS_ASK may name."""
RECEIVED_BYTES_MAX: Final = batch.HEADER_SIZE + batch.FRAME_ROWS_MAX * schema.ROW_SIZE + batch.TAIL_BYTES_MAX
"""The longest part that an engine may send: a frame of events."""
_RETRY_S: Final = 0.02
_HEARTBEAT_MS: Final = 1_000
_LOOK_MS: Final = 20


@dataclass(frozen=True, slots=True)
class Image:
    """The whole state at `seq` as frames of event rows; events after `last_event` continue it."""

    seq: int
    last_event: tuple[int, int]
    frames: list[batch.Events]


def connect(context: zmq.Context[Any], kind: int, address: str, name: str, hwm: int) -> zmq.Socket[bytes]:
    """Return a connected socket; what is sent while there is no engine is refused, not queued."""
    socket: zmq.Socket[bytes] = context.socket(kind)
    socket.linger = 0
    socket.maxmsgsize = RECEIVED_BYTES_MAX
    socket.sndhwm = socket.rcvhwm = hwm
    socket.immediate = 1
    socket.reconnect_ivl = 20
    socket.reconnect_ivl_max = 200
    if address.startswith("tcp://"):
        socket.heartbeat_ivl = _HEARTBEAT_MS
    socket.connect(protocol.endpoint(address, name))
    return socket


class Unreachable(ClientError):  # noqa: N818 - a state of the world, not of the program
    """There is no engine just now, or it did not answer."""


class Query:
    """Asks over the query socket; after a timeout over a new one, so that no late answer is mistaken."""

    def __init__(self, context: zmq.Context[Any], address: str, timeout_s: float) -> None:
        self._context = context
        self._address = address
        self._timeout_s = timeout_s
        self._socket: zmq.Socket[bytes] | None = None

    def greet(self) -> Welcome:
        """Return what the engine says of itself."""
        message = protocol.with_document(Kind.GREET, {"fingerprint": schema.FINGERPRINT})
        reply = self._ask(message, Kind.WELCOME)
        try:
            return Welcome.of(reply)
        except ProtocolError as error:
            raise ClientError(f"the engine sent no message of this protocol: {error}") from error

    def read(self, after: tuple[int, int], connect_s: float) -> tuple[list[batch.Events], bool]:
        """Return stored events after one, and whether these are all; `Unreachable` if there is no engine to ask."""
        reply = self._ask(Message(Kind.READ, *after, READ_BYTES), Kind.EVENTS, connect_s)
        try:
            return [batch.decode_events(frame) for frame in reply.payload], reply.c == 1
        except batch.FrameError as error:
            raise ClientError(f"the engine sent no event frame: {error}") from error

    def image(self) -> Image:
        """Return the whole state."""
        deadline = time.monotonic() + self._timeout_s
        reply = self._ask(Message(Kind.IMAGE_ASK), Kind.IMAGE)
        while reply.kind == Kind.BUSY:
            if time.monotonic() > deadline:
                raise ClientError("the engine makes too many images: try again later")
            time.sleep(_RETRY_S)
            reply = self._ask(Message(Kind.IMAGE_ASK), Kind.IMAGE)
        frames: list[batch.Events] = []
        while reply.payload:
            frames += [batch.decode_events(frame) for frame in reply.payload]
            reply = self._receive(Kind.IMAGE)
        return Image(reply.a, (reply.b, reply.c), frames)

    def stats(self) -> dict[str, Any]:
        """Return the engine's counters by name."""
        reply = self._ask(Message(Kind.STATS_ASK), Kind.STATS)
        try:
            return reply.document()
        except ProtocolError as error:
            raise ClientError(f"the engine sent no message of this protocol: {error}") from error

    def confirm_clock(self) -> dict[str, Any]:
        """Say that the clock's jump is right; the counters."""
        return self._ask(Message(Kind.CLOCK_CONFIRM), Kind.STATS).document()

    def commands(self, seqs: Sequence[int]) -> batch.Commands:
        """Return durable commands by sequence, rising, with their cold rows; those with documents are left out."""
        rows, cold = [np.zeros(0, schema.COMMAND)], [np.zeros(0, schema.COLD)]
        for at in range(0, len(seqs), COMMANDS_ASKED_MAX):
            document = {"seqs": [int(seq) for seq in seqs[at : at + COMMANDS_ASKED_MAX]]}
            reply = self._ask(protocol.with_document(Kind.COMMANDS_ASK, document), Kind.COMMANDS)
            try:
                found = batch.decode_commands(reply.payload[0] if reply.payload else b"")
            except batch.FrameError as error:
                raise ClientError(f"the engine sent no frame of commands: {error}") from error
            rows.append(found.rows)
            cold.append(found.cold)
        return batch.commands(np.concatenate(rows, dtype=schema.COMMAND), np.concatenate(cold, dtype=schema.COLD))

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, message: Message, expected: Kind, connect_s: float | None = None) -> Message:
        if self._socket is None:
            self._socket = connect(self._context, zmq.DEALER, self._address, protocol.QUERY_SOCKET, hwm=64)
        connect_s = self._timeout_s if connect_s is None else connect_s
        if not self._socket.poll(int(connect_s * 1000), zmq.POLLOUT):
            raise Unreachable(f"{self._address}: no engine answers within {connect_s} s")
        transport.send(self._socket, message.parts())
        return self._receive(expected)

    def _receive(self, expected: Kind) -> Message:
        assert self._socket is not None
        deadline = time.monotonic() + self._timeout_s
        while not self._socket.poll(_LOOK_MS, zmq.POLLIN):
            # Without a connection there is no room to send: then the engine that was asked is gone.
            if time.monotonic() > deadline or not self._socket.poll(0, zmq.POLLOUT):
                self.close()
                raise Unreachable(f"{self._address}: the engine did not answer")
        try:
            reply = protocol.decode(transport.receive(self._socket, 1))
            if reply.kind == Kind.ERROR:
                raise ClientError(f"the engine refused: {reply.document().get('text')}")
        except ProtocolError as error:
            raise ClientError(str(error)) from error
        if reply.kind not in (expected, Kind.BUSY):
            raise ClientError(f"the engine answered {reply.kind.name} where {expected.name} was expected")
        return reply
