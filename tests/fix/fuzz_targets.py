"""What is fuzzed: any bytes, as a stream for the codec and as a conversation for the session; both check themselves.

A target takes bytes and returns nothing. What it must never do is raise, hang, or keep more than its bounds allow.
Most bytes chosen at random are only garbled, so both put frames with a right length and checksum around them.
"""

from __future__ import annotations

import functools

import numpy as np

from gateways.fix import message as message_
from gateways.fix import orders, tables
from gateways.fix.codec import timestamp_text
from gateways.fix.market import QUESTIONS, Subscriber
from gateways.fix.session import Session
from gateways.fix.states import SECOND_NS, Limits, State
from gateways.fix.tables import VALID, Status
from tests.fix import desk, support
from tests.fix.checked import Checked

TYPES = ["D", "F", "G", "E", "q", "H", "AF", "V", "x", "e", "0", "1", "2", "3", "4", "5", "A", "j", "N", "R", "ZZ"]
SPARE_BYTES = 64
"""Beyond a whole message, what a stream may keep before it says what it is."""
WAITING = Limits(queue_messages=8, queue_bytes=4_000)


def texts(found):
    """Status and bytes of each message."""
    return [(inbound.status, inbound.raw) for inbound in found]


def codec_target(data):
    """A stream decodes the same whole and in pieces, loses no byte, keeps a bounded rest; what is valid can be used."""
    if len(data) < 2:
        return
    mode, cut = data[0], data[1]
    stream = b"".join(support.framed(part) for part in data[2:].split(b"\n")) if mode & 1 else data[2:]
    peer = mode >> 1 & 1
    whole = support.Stream(peer=peer)
    found = whole.feed(stream)
    assert b"".join(inbound.raw for inbound in found) + whole.rest == stream
    assert len(whole.rest) <= support.MESSAGE_BYTES + SPARE_BYTES
    pieces, again = support.Stream(peer=peer), []
    for at in range(0, len(stream), cut + 1):
        again += pieces.feed(stream[at : at + cut + 1])
    good = [one for one in texts(found) if one[0] <= Status.BAD_BEGIN_STRING]
    assert good == [one for one in texts(again) if one[0] <= Status.BAD_BEGIN_STRING]
    for inbound in found:
        if inbound.status is Status.OK and inbound.reason == VALID:
            use(inbound)


@functools.cache
def feed():
    """A venue with a market for those who ask."""
    from tests.fix.test_market import Venue

    return Venue().list("BTC-USDT").feed


def use(inbound):
    """Do with a valid message what the gateway does."""
    list(message_.split(inbound.raw))
    if inbound.is_admin:
        return
    mapped = orders.to_row(inbound, desk.mapping())
    assert len(mapped.row) == 1
    if inbound.msg_type in QUESTIONS:
        subscriber = Subscriber(feed())
        subscriber.ask(inbound)
        for _ in range(100):
            if subscriber.next() is None:
                break
        subscriber.close()


class Choices:
    """Small numbers out of bytes; zeros when there are no more."""

    def __init__(self, data):
        self._data = data
        self._at = 0

    @property
    def is_over(self):
        """Whether all bytes are used."""
        return self._at >= len(self._data)

    def number(self, below):
        """A number below another."""
        self._at += 1
        return self._data[self._at - 1] % below if self._at <= len(self._data) else 0

    def bytes(self, count):
        """So many bytes, or what is left."""
        self._at += count
        return self._data[self._at - count : self._at]


def session_target(data):
    """A conversation of framed messages, garbage and pauses: numbers, gaps, queue and goodbye are as they must be."""
    choices = Choices(data)
    run = Checked(WAITING)
    receive(run, body(run, "A", 1 + choices.number(3), b"98=0\x01108=30\x01"))
    while not choices.is_over and run.session.state is not State.CLOSED:
        kind = choices.number(16)
        if kind == 0:
            run.now_ns += choices.number(40) * SECOND_NS
            run.perform(run.session.tick(run.now_ns))
        elif kind == 1:
            receive(run, choices.bytes(choices.number(40)))
        elif kind == 2:
            run.perform(run.session.logout("bye", run.now_ns))
        else:
            converse(run, choices)
    assert run.session.next_tick_ns > run.now_ns or run.session.tick(run.now_ns) is not None
    assert isinstance(run.session, Session)


def converse(run, choices):
    """One message with a number near the next one, flags and any body."""
    msg_type, near = TYPES[choices.number(len(TYPES))], choices.number(8)
    seq = run.next_in + (0 if near < 4 else near - 6)
    flags = (b"", b"43=Y\x01122=20240611-12:34:00\x01", b"97=Y\x01", b"43=Y\x01")[choices.number(4)]
    usual = {
        "2": b"7=%d\x0116=%d\x01" % (choices.number(6), choices.number(6)),
        "4": b"36=%d\x01123=%c\x01" % (seq + choices.number(4), b"YN"[choices.number(2)]),
        "A": b"98=0\x01108=30\x01" + (b"141=Y\x01" if choices.number(2) else b""),
        "1": b"112=t\x01",
        "D": support.soh(support.ORDER),
    }.get(msg_type, b"")
    more = choices.bytes(choices.number(32)) if choices.number(2) else b""
    receive(run, body(run, msg_type, seq, flags + usual + more))


def body(run, msg_type, seq, rest):
    """A frame around a message."""
    head = f"35={msg_type}|34={seq}|49={support.CLIENT}|52={timestamp_text(run.now_ns)}|56={support.VENUE}|"
    return support.framed(support.soh(head) + rest)


def receive(run, data):
    """Decode bytes and give the session each message."""
    spans = np.zeros((1, tables.SPAN_WORDS), np.int64)
    spans[0, tables.S_END] = len(data)
    buffer = support.padded(data)
    decoder = support.shared_decoder()
    decoder.decode(buffer, spans, 1, support.shared_peers(), run.now_ns, run.limits.accuracy_ns)
    for row in range(int(spans[0, tables.S_COUNT])):
        run.receive(decoder.inbound(buffer, row))


TARGETS = {"codec": codec_target, "session": session_target}
SEEDS = {
    "codec": [
        b"\x01\x07" + b"\n".join(
            support.soh(f"35={kind}|34=1|49={support.CLIENT}|52={support.NOW}|56={support.VENUE}|{rest}")
            for kind, rest in (
                ("q", "11=a|530=7|60=20240611-12:34:55|"),
                ("D", support.ORDER), ("A", "98=0|108=30|"),
                ("V", "262=a|263=1|264=0|265=1|267=1|269=0|146=1|55=BTC-USDT|"),
                ("E", "66=l|394=3|68=2|73=2|11=a|67=1|55=X|54=1|11=b|67=2|55=X|54=1|"),
            )
        ),
        b"\x00\x03" + support.message("D", support.ORDER) + b"8=FIX.4.4\x019=",
    ],
    "session": [bytes(range(256)), bytes([3, 0, 2, 0, 0, 1] * 20), bytes([7, 12, 1, 1, 3, 3] * 20)],
}  # fmt: skip
"""What mutation begins with."""
