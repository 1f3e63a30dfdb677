"""TLS on the gateway's non-blocking sockets, with or without certificates of the counterparties.

Invariants: no TLS below 1.2; a TLS socket raises what a plain one raises, BlockingIOError or another OSError; the
handshake goes on inside reads and writes, so a peer that does not finish it is a peer that does not log on in time;
certificates that can't be read on a reload leave those in use as they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from typing import TYPE_CHECKING, Any

from kk99.errors import InputError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from gateways.fix.settings import FixSettings


class TlsSocket(ssl.SSLSocket):
    """A connection's server side; must be non-blocking."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Return decrypted bytes, b"" at the end."""
        data: bytes = self._translated(lambda: super(TlsSocket, self).recv(buflen, flags))
        return data

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """Put decrypted bytes into a buffer; return how many."""
        return int(self._translated(lambda: super(TlsSocket, self).recv_into(buffer, nbytes, flags)))

    def send(self, data: Any, flags: int = 0) -> int:
        """Send what there is room for; return how many bytes that were."""
        return int(self._translated(lambda: super(TlsSocket, self).send(data, flags)))

    def shutdown(self, how: int) -> None:
        """Say that nothing more comes, as TLS does, then as TCP does."""
        with contextlib.suppress(OSError, ValueError):  # the peer's own word is not waited for
            self.unwrap()
        super().shutdown(how)

    @staticmethod
    def _translated(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError(str(error)) from error


class Tls:
    """The certificates in use."""

    def __init__(self, settings: FixSettings) -> None:
        """Read them, or raise `InputError`."""
        self._settings = settings
        self._context = self._read()

    def reload(self) -> None:
        """Read them again for the connections that come, or raise `InputError` and go on with the old ones."""
        self._context = self._read()

    def wrap(self, connection: socket.socket) -> TlsSocket:
        """Return the TLS side of a connection, which it takes over; raises OSError when the peer has gone."""
        made = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        assert isinstance(made, TlsSocket)
        return made

    def _read(self) -> ssl.SSLContext:
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION  # of TLS 1.2: a handshake costs us more than who asks for it
        context.sslsocket_class = TlsSocket
        try:
            context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
        except (OSError, ssl.SSLError) as error:
            raise InputError(f"tls_certificate = {settings.tls_certificate!r}: {error}") from error
        if settings.tls_client_ca:
            try:
                context.load_verify_locations(settings.tls_client_ca)
            except (OSError, ssl.SSLError) as error:
                raise InputError(f"tls_client_ca = {settings.tls_client_ca!r}: {error}") from error
            is_required = settings.tls_client_required
            context.verify_mode = ssl.CERT_REQUIRED if is_required else ssl.CERT_OPTIONAL
        return context


def version_of(connection: socket.socket) -> str:
    """Return the version of TLS that a connection speaks, "" when none."""
    return (connection.version() or "") if isinstance(connection, ssl.SSLSocket) else ""


def certificate_digest(connection: socket.socket) -> str:
    """Return the SHA-256 of the certificate that a peer has shown, as hexadecimal text; "" when it has shown none."""
    shown = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
    return hashlib.sha256(shown).hexdigest() if shown else ""
