"""HTTP connections that are bounded: how long a request may be, and how long it may take to come.

Invariants: what is kept of a request that has not come whole is bounded by REQUEST_BYTES_MAX and what one read brings;
a connection on which a request begins and does not end within REQUEST_S is closed, as is one that is opened and silent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

REQUEST_BYTES_MAX: Final = 16_384
"""Longest head of a request, its line included, and of all of one that does not come at once."""
REQUEST_S: Final = 10.0


class RequestProtocol(HttpToolsProtocol):
    """The server's HTTP connection."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._head_bytes = self._unfinished_bytes = 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End it."""
        super().connection_lost(exc)
        self._relax()

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        self._watch()
        self._unfinished_bytes += len(data)
        super().data_received(data)
        if self._unfinished_bytes > REQUEST_BYTES_MAX and not self.transport.is_closing():
            self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to a WebSocket."""
        self._relax()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._head_bytes = 0
        self._watch()

    def on_url(self, url: bytes) -> None:
        """Take a part of its path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_message_complete(self) -> None:
        """End a request."""
        super().on_message_complete()
        self._unfinished_bytes = 0
        self._relax()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection without requests, with what its client did not read."""
        self.transport.abort()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > REQUEST_BYTES_MAX:
            raise ValueError("too long")  # the parser makes it an invalid request

    def _watch(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _relax(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
