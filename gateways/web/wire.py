"""WebSocket frames written straight to a connection: what is told to thousands is framed once, not once for each.

Invariants:
- a frame goes out whole, in order with those that the server itself sends, or not at all: one that finds the
  connection's buffer full is refused, and who offered it is told when there is room again;
- a connection that is to end has ended LINGER_S later, whether its client reads or not.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame, Opcode

from gateways.web.guard import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

LINGER_S: Final = 10.0
"""How long what was written may take to reach a client whose connection ends."""
PIECES_MAX: Final = 100
"""Pings, pongs and fragments that a client may send at once; PIECES_PER_S more come back each second."""
PIECES_PER_S: Final = 20.0
EXTENSION: Final = "kk99.wire"
"""Under this name the connection's `Wire` stands in the scope's extensions."""


def framed(data: bytes, *, is_text: bool) -> bytes:
    """Return a whole message from server to client as one frame (RFC 6455, 5.2)."""
    return Frame(Opcode.TEXT if is_text else Opcode.BINARY, data).serialize(mask=False)


class Wire:
    """One connection, once it is accepted."""

    def __init__(self, protocol: WireProtocol) -> None:
        self._protocol = protocol
        self.on_room: Callable[[], None] = lambda: None
        """Called when a connection that refused a frame has room again."""

    def write(self, frame: bytes) -> bool:
        """Send a frame; False when there is no room for it now. One for a connection that ends goes nowhere."""
        protocol = self._protocol
        if not protocol.writable.is_set():
            return False
        if not protocol.close_sent and not protocol.disconnected:
            protocol.transport.write(frame)
        return True

    def end_soon(self) -> None:
        """End the connection, whether the client reads what was written or not."""
        self._protocol.end_soon()


class WireProtocol(WebSocketsSansIOProtocol):
    """The server's WebSocket connection, with its wire in the scope."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._wire = Wire(self)
        self._pieces = Bucket(PIECES_MAX, PIECES_PER_S, self.loop.time())

    def data_received(self, data: bytes) -> None:
        """Take what the client sent; a handshake that is not one is refused."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.handshake_initiated = self.close_sent = True
            refusal = self.conn.reject(HTTPStatus.BAD_REQUEST, "this handshake is not valid\n")
            self.transport.write(refusal.serialize())
            self.transport.close()

    def handle_connect(self, event: Any) -> None:
        """Begin a connection."""
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self._wire

    def handle_ping(self) -> None:
        """Answer a ping."""
        if self._may_go_on():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Take a pong."""
        if self._may_go_on():
            super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment."""
        if self._may_go_on():
            super().handle_cont(event)

    def resume_writing(self) -> None:
        """Go on: the buffer has room again."""
        super().resume_writing()
        self._wire.on_room()

    def keepalive_timeout(self) -> None:
        """End a connection whose client is silent."""
        super().keepalive_timeout()
        self.end_soon()

    def end_soon(self) -> None:
        """End the connection, at the latest when it had the time to be closed in order."""
        self.loop.call_later(LINGER_S, self._end)

    def _end(self) -> None:
        if not self.disconnected:
            self.transport.abort()

    def _may_go_on(self) -> bool:
        """Count a frame that is no request; whether the connection goes on."""
        if self.close_sent:
            return False
        if self._pieces.take(self.loop.time()):
            return True
        self.conn.fail(CloseCode.POLICY_VIOLATION, "too many frames")
        self.handle_parser_exception()
        self.end_soon()
        return False
