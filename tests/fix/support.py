"""What the tests of the FIX gateway share: messages written with "|" for SOH, and a decoder fed in pieces."""

from __future__ import annotations

import functools

import numpy as np

from gateways.fix import codec, tables
from gateways.fix.compiled import PAD

NOW_NS = 1_718_109_296_000_000_000
NOW = "20240611-12:34:56.000"
ACCURACY_NS = 120_000_000_000
CLIENT, VENUE = "CLIENT", "KK99"
MESSAGE_BYTES = 2_048

ORDER = "11=A1|1=ACC|55=BTC-USDT|54=1|60=20240611-12:34:55|38=1.5|40=2|44=67000.5|59=1|"


def soh(text):
    """Bytes of a text in which "|" stands for SOH."""
    return text.replace("|", "\x01").encode("latin-1")


def framed(body, *, begin="FIX.4.4", length=None, checksum=None):
    """A message around a body, with a BodyLength and CheckSum of one's own if wanted."""
    body = soh(body) if isinstance(body, str) else body
    data = soh(f"8={begin}|9={len(body) if length is None else length}|") + body
    return data + soh(f"10={f'{sum(data) % 256:03d}' if checksum is None else checksum}|")


def message(msg_type, body="", *, seq=1, header="", sending=NOW, **frame):
    """A whole message from the client."""
    return framed(f"35={msg_type}|34={seq}|49={CLIENT}|52={sending}|56={VENUE}|{header}{body}", **frame)


@functools.cache
def shared_decoder():
    """One decoder for all tests: making it is cheap, compiling is not."""
    return codec.Decoder(message_bytes=MESSAGE_BYTES, field_rows=4_096, message_rows=64)


@functools.cache
def shared_peers():
    """The client's names in row 0, and in row 1 those of a client that asked for newer tags."""
    peers = np.zeros((2, tables.PEER_BYTES), np.uint8)
    codec.set_peer(peers, 0, CLIENT, VENUE)
    codec.set_peer(peers, 1, CLIENT, VENUE, newer=True)
    return peers


def padded(data):
    """A receive buffer that holds the bytes."""
    buffer = np.full(len(data) + PAD, ord("8"), np.uint8)  # what lies beyond must not matter
    buffer[: len(data)] = np.frombuffer(data, np.uint8)
    return buffer


class Stream:
    """A connection's bytes, decoded as they come."""

    def __init__(self, peer=0, next_in=0, decoder=None):
        self.decoder = decoder or shared_decoder()
        self.peer = peer
        self.next_in = next_in
        self.rest = b""
        self.plain = 0
        """Plain messages of the last `feed`."""

    def feed(self, data):
        """The messages that the bytes complete, garbled ones too."""
        self.rest += data
        found = []
        spans = np.zeros((1, tables.SPAN_WORDS), np.int64)
        self.plain = 0
        while True:
            buffer = padded(self.rest)
            spans[0, :4] = 0, len(self.rest), self.peer, self.next_in
            done = self.decoder.decode(buffer, spans, 1, shared_peers(), NOW_NS, ACCURACY_NS)
            count, used = int(spans[0, tables.S_COUNT]), int(spans[0, tables.S_DONE])
            found += [self.decoder.inbound(buffer, row) for row in range(count)]
            self.plain += int(spans[0, tables.S_PLAIN])
            self.rest = self.rest[used:]
            if done == 1:
                return found


def decoded(data, **stream):
    """All messages in the bytes."""
    return Stream(**stream).feed(data)
