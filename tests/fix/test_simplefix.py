"""A second client that we did not write: simplefix makes and parses the messages, the test keeps the numbers."""

import socket
import time

import simplefix

from tests.fix.data_client import DATA
from tests.fix.raw_client import COMPILE_S, PASSWORD, venue

DEADLINE_S = 30.0


class SimpleClient:
    """One connection whose messages are simplefix's."""

    def __init__(self, port, name="CLIENT"):
        self.port, self.name = port, name
        self.begin()

    def begin(self):
        """Connect, with number 1; the venue may still be starting."""
        deadline = time.monotonic() + COMPILE_S
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        self.parser = simplefix.FixParser()
        self.seq = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, msg_type, *fields):
        """Send a message with the next number; fields are (tag, value) in order."""
        message = simplefix.FixMessage()
        message.append_pair(8, "FIX.4.4", header=True)
        message.append_pair(35, msg_type, header=True)
        message.append_pair(49, self.name, header=True)
        message.append_pair(56, "KK99", header=True)
        message.append_pair(34, self.seq, header=True)
        message.append_utc_timestamp(52, precision=6, header=True)
        for tag, value in fields:
            message.append_pair(tag, value)
        self.seq += 1
        self.socket.sendall(message.encode())

    def logon(self):
        """Log on, again while the venue is not ready for this session; return the answer."""
        while True:
            self.send("A", (98, 0), (108, 30), (553, self.name), (554, PASSWORD))
            answer = self.receive()
            if answer is not None:
                return answer
            self.socket.close()
            self.begin()

    def order(self, client_id, side, qty, price):
        """Send a limit order; its time is simplefix's own text."""
        message = simplefix.FixMessage()
        message.append_utc_timestamp(60, precision=3)
        self.send("D", (11, client_id), (55, "DEMOUSD"), (54, side), (60, message.get(60).decode()),
                  (38, qty), (40, 2), (44, price), (59, 1))  # fmt: skip

    def receive(self):
        """The next message, checked; None when the venue has closed."""
        deadline = time.monotonic() + DEADLINE_S
        while (message := self.parser.get_message()) is None:
            assert time.monotonic() < deadline
            data = self.socket.recv(65_536)
            if not data:
                return None
            self.parser.append_buffer(data)
        body = message.encode()
        again = message.encode(raw=True)
        assert body == again, "length or checksum is not what simplefix computes"
        return message

    def expect(self, msg_type):
        """The next message of a type."""
        while (message := self.receive()) is not None:
            if message.get(35).decode() == msg_type:
                return message
        raise AssertionError(f"closed without a {msg_type}")


def texts(message, *tags):
    """Values of tags as text."""
    return tuple(value.decode() if (value := message.get(tag)) is not None else None for tag in tags)


def test_orders_fills_and_a_resend(tmp_path):
    """Logged on, an order rests and is filled, and all that was reported is sent again when asked for."""
    with venue(tmp_path) as (_, port), SimpleClient(port) as client, SimpleClient(port, "OTHER") as other:
        assert texts(client.logon(), 35, 34, 108) == ("A", "1", "30")
        other.logon()
        client.order("bid", 1, 10, "50")
        accepted = client.expect("8")
        assert texts(accepted, 11, 150, 39, 151) == ("bid", "0", "0", "10")
        other.order("hit", 2, 4, "50.00")
        assert texts(other.expect("8"), 150) == ("0",)
        filled = other.expect("8")
        assert texts(filled, 150, 39, 31, 32, 14) == ("F", "2", "50.00", "4", "4")
        part = client.expect("8")
        assert texts(part, 11, 150, 39, 151, 6) == ("bid", "F", "1", "6", "50")
        client.send("1", (112, "there?"))
        assert texts(client.expect("0"), 112) == ("there?",)
        client.send("2", (7, 1), (16, 0))
        fill = client.expect("4")
        assert texts(fill, 34, 36, 43, 123) == ("1", "2", "Y", "Y")
        for first in (accepted, part):
            again = client.expect("8")
            assert texts(again, 43, 122) == ("Y", first.get(52).decode())
            own = {9, 10, 43, 52, 122}
            assert [p for p in again.pairs if int(p[0]) not in own] == [p for p in first.pairs if int(p[0]) not in own]
        assert texts(client.expect("4"), 34, 36) == ("4", "5")
        client.send("5")
        assert client.expect("5") is not None


def test_market_data(tmp_path):
    """A snapshot, then what changes; the repeating groups are in the order in which they were sent."""
    with (
        venue(tmp_path, more=[DATA]) as (_, port),
        SimpleClient(port, "DATA") as data,
        SimpleClient(port) as client,
    ):
        data.logon()
        client.logon()
        client.order("bid", 1, 10, "50")
        client.expect("8")
        asked = ((262, "m"), (263, 1), (264, 0), (265, 1), (267, 2), (269, 0), (269, 1), (146, 1), (55, "DEMOUSD"))
        data.send("V", *asked)
        snapshot = data.expect("W")
        assert texts(snapshot, 262, 55, 268, 269, 270, 271, 346) == ("m", "DEMOUSD", "1", "0", "50.00", "10", "1")
        client.order("better", 1, 3, "51")
        update = data.expect("X")
        assert texts(update, 262, 268, 279, 269, 55, 270, 271) == ("m", "1", "0", "0", "DEMOUSD", "51.00", "3")
        assert [int(tag) for tag, _ in update.pairs][7:] == [262, 268, 279, 269, 55, 270, 271, 346, 10]
        data.send("V", (262, "m"), *asked[1:])
        assert texts(data.expect("Y"), 262, 281) == ("m", "1")
