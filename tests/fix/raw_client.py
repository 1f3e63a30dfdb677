"""A FIX client that says exactly what it is told to, over a socket of its own, and a gateway in a thread."""

import contextlib
import socket
import threading
import time

from gateways.fix import server
from gateways.fix.codec import timestamp_text
from gateways.fix.passwords import hash_password
from gateways.fix.settings import FixSettings, SessionSettings
from tests.engine.harness import running
from tests.fix.identities import define
from tests.fix.support import framed
from tests.fix.venue_process import free_port, set_up

PASSWORD = "secret"
DEADLINE_S = 30.0
COMPILE_S = 120.0
"""The first gateway ever compiles its codec before it listens."""
HASH = hash_password(PASSWORD, memory_kib=8, passes=1)
"""As cheap as can be: tests log on often."""


@contextlib.contextmanager
def gateway(engine, folder, more=(), fix=None, reload=lambda: False, **options):
    """A gateway to an engine, in a thread; yields its port.

    `options` are CLIENT's settings, `more` further sessions, `fix` settings of the gateway; `reload` says when it is to
    read its certificates again.
    """
    port = free_port()
    sessions = (
        SessionSettings("CLIENT", HASH, ("alice",), **options),
        SessionSettings("OTHER", HASH, ("bob",)),
        *more,
    )
    define(engine.settings.address, *sessions)
    settings = FixSettings(**({"listen": f"127.0.0.1:{port}", "logon_s": 5.0} | (fix or {})))
    stop, failed = threading.Event(), []

    def work():
        try:
            server.run(settings, engine.settings.address, folder, stop.is_set, reload)
        except BaseException as error:
            failed.append(error)
            raise

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield port
    finally:
        stop.set()
        thread.join(DEADLINE_S)
    assert not failed


@contextlib.contextmanager
def venue(folder, **options):
    """An engine with its market and a gateway; yields (engine, port)."""
    with running(folder / "venue") as engine:
        set_up(engine.settings.address)
        with gateway(engine, folder / "fix", **options) as port:
            yield engine, port


class RawClient:
    """One connection; its numbers are the test's own."""

    def __init__(self, port, name="CLIENT"):
        self.port, self.name = port, name
        self.begin()

    def begin(self):
        """Connect, with number 1."""
        deadline = time.monotonic() + COMPILE_S
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        self.data = b""
        self.seq = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, msg_type, body="", *, seq=None, header=""):
        """Send a message with the next number, or another."""
        number = self.seq if seq is None else seq
        self.seq = number + 1 if seq is None else self.seq
        now = timestamp_text(time.time_ns())
        self.socket.sendall(framed(f"35={msg_type}|34={number}|49={self.name}|52={now}|56=KK99|{header}{body}"))

    def logon(self, body="", *, seq=None, password=PASSWORD):
        """Log on."""
        self.send("A", f"98=0|108=30|{body}553={self.name}|554={password}|", seq=seq)

    def order(self, client_id, side=1, qty=10, price=50, **header):
        """Send a limit order."""
        now = timestamp_text(time.time_ns())
        self.send("D", f"11={client_id}|55=DEMOUSD|54={side}|60={now}|38={qty}|40=2|44={price}|59=1|", **header)

    def receive(self):
        """The next message's bytes; b"" when the venue has closed."""
        while (end := self.data.find(b"\x0110=")) < 0 or len(self.data) < end + 8:
            more = self.socket.recv(65_536)
            if not more:
                return b""
            self.data += more
        message, self.data = self.data[: end + 8], self.data[end + 8 :]
        return message

    def expect(self, msg_type):
        """The next message that is of a type, as {tag: text of its first value}."""
        while message := self.receive():
            found = fields(message)
            if found[35] == msg_type:
                return found
        raise AssertionError(f"closed without a {msg_type}")

    def is_closed(self):
        """Whether the venue closes, whatever it still says."""
        while self.receive():
            pass
        return True


def fields(message):
    """The first value of each tag."""
    found = {}
    for field in message.decode("latin-1").split("\x01")[:-1]:
        tag, _, value = field.partition("=")
        found.setdefault(int(tag), value)
    return found


def without(message, *tags):
    """A message's fields without some."""
    return [field for field in message.split(b"\x01") if int(field.partition(b"=")[0] or 0) not in tags]
