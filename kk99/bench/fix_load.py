"""The load client of `kk99 bench fix`: a process that sends orders to a FIX acceptor and counts the reports.

Run as a program: PORT WORKLOAD NAME=SIZE…; prints what it measured as one JSON object. Orders are written by compiled
code as they are needed, and at most WINDOW of them wait for their reports.

Invariant: an order counts when all its reports are back; a message that is none of those expected ends the run.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateways.fix.codec import timestamp_text
from gateways.fix.compiled import PAD, entry, literal, plain_int
from gateways.fix.write import (
    SOH_WORD,
    close_message,
    open_message,
    put_bytes,
    put_padded,
    put_timestamp,
    put_uint,
    put_word,
)
from kk99.bench import logs

WINDOW: Final = 16_384
"""Orders under way."""
BLOCK: Final = 2_048
"""Orders written at a time."""
ORDER_BYTES: Final = 320
WARM_SHARE: Final = 0.1
SILENCE_S: Final = 60.0
LIMIT_S: Final = 60.0
"""A run that is not through by then counts what it has got."""
RATE_PER_S: Final = 1_000
TRIPS_BLOCK: Final = 50
_BODY: Final = b"\x0155=DEMOUSD\x0154=1\x0138=1\x0140=2\x0159=1\x01"
_SIDE_AT: Final = _BODY.index(b"54=1") + 3
_TYPE: Final = literal(b"35=D\x0134=")
_CLIENT_ID: Final = literal(b"\x0111=")
_PRICE: Final = literal(b"44=")
_TIME: Final = literal(b"\x0160=")
_REPORT: Final = b"\x0135=8\x01"
_TRAILER: Final = b"\x0110="
_TRAILER_BYTES: Final = 8
_NEW: Final = b"\x01150=0\x01"
_FILL: Final = b"\x01150=F\x01"
_SELL: Final = ord("2")
_BUY: Final = ord("1")
_VALUE_BYTES: Final = 64 + 128 + 128


@entry
def _orders(out: Any, names: Any, sizes: Any, body: Any, first: int, count: int, now_ns: int, crosses: int) -> int:
    """Write so many orders from a number on; those that cross sell and buy in turns at one price, others rest."""
    at = plain_int(0)
    for number in range(first, first + count):
        begin = at
        at = open_message(out, begin)
        at = put_word(out, at, _TYPE, 8)
        at = put_uint(out, at, number)
        at = put_bytes(out, at, names, 0, sizes[0])
        at = put_timestamp(out, at, now_ns, 3)
        at = put_bytes(out, at, names, sizes[0], sizes[1])
        at = put_word(out, at - 1, _CLIENT_ID, 4)
        at = put_padded(out, at, sizes[4] + number, 18)
        at = put_word(out, at, _TIME, 4)
        at = put_timestamp(out, at, now_ns, 3)
        side = at + sizes[3]
        at = put_bytes(out, at, body, 0, sizes[2])
        out[side] = _SELL if crosses != 0 and number & 1 == 0 else _BUY
        at = put_word(out, at, _PRICE, 3)
        at = put_uint(out, at, 500 if crosses != 0 else number % 400 + 1)
        at = close_message(out, begin, put_word(out, at, SOH_WORD, 1))
    return int(at)


def _first_id() -> int:
    """Return where a run's ids begin: each has ids of its own."""
    return time.time_ns() // 1_000_000 % 10**8 * 10**9


class Writer:
    """Writes a session's orders."""

    def __init__(self, name: str, *, crosses: bool = False) -> None:
        head, rest = f"\x0149={name}\x0152=".encode(), b"\x0156=KK99\x01"
        self._names = np.frombuffer(head + rest + bytes(PAD), np.uint8).copy()
        self._sizes = np.array([len(head), len(rest), len(_BODY), _SIDE_AT, _first_id()], np.int64)
        self._body = np.frombuffer(_BODY + bytes(PAD), np.uint8).copy()
        self._out = np.zeros(BLOCK * ORDER_BYTES + PAD, np.uint8)
        self._crosses = int(crosses)
        self.next = 2

    def write(self, count: int) -> memoryview:
        """Return the next orders, good until the next call."""
        end = _orders(self._out, self._names, self._sizes, self._body, self.next, count, time.time_ns(), self._crosses)
        self.next += count
        return self._out[:end].data


def frame(body: str) -> bytes:
    """Return a whole message around a body with "|" for SOH."""
    data = body.replace("|", "\x01").encode()
    data = b"8=FIX.4.4\x019=%d\x01" % len(data) + data
    return data + b"10=%03d\x01" % (sum(data) % 256)


def log_on(port: int, name: str) -> socket.socket:
    """Return a connection that is logged on; numbers go on from 2."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=SILENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    now = timestamp_text(time.time_ns())
    connection.sendall(frame(f"35=A|34=1|49={name}|52={now}|56=KK99|98=0|108=60|141=Y|553={name}|554=bench|"))
    data = b""
    while b"\x0110=" not in data:
        more = connection.recv(4_096)
        if not more:
            raise SystemExit(f"the Logon of {name} was refused")
        data += more
    if b"\x0135=A\x01" not in data:
        raise SystemExit(f"no answer to a Logon: {data!r}")
    return connection


class Pipe:
    """One session with orders under way: sends while there is room, and counts reports."""

    def __init__(self, connection: socket.socket, writer: Writer, reports_each: int, *, wanted: bytes) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._writer = writer
        self._each = reports_each
        self._wanted = wanted
        self._block = memoryview(b"")
        self._tail = b""
        self.sent = self.reports = self.wanted = 0

    def run(self, count: int, deadline: float) -> None:
        """Send until so many orders were sent in all, and wait for their reports, or for a time."""
        silent_since = time.monotonic()
        while self.reports < count * self._each and time.monotonic() < deadline:
            can_send = self.sent < count and self.sent - self.reports // self._each < WINDOW
            wants = [self._socket] if can_send or self._block else []
            readable, writable, _ = select.select([self._socket], wants, [], 1.0)
            if readable:
                self._receive()
                silent_since = time.monotonic()
            if writable:
                self._send(count)
            if time.monotonic() - silent_since > SILENCE_S:
                raise SystemExit(f"{self.sent} orders sent, {self.reports} reports: nothing for {SILENCE_S} s")

    def _send(self, count: int) -> None:
        if not self._block:
            many = min(BLOCK, count - self.sent)
            self._block = self._writer.write(many)
            self.sent += many
        sent = self._socket.send(self._block)
        self._block = self._block[sent:]

    def _receive(self) -> None:
        more = self._socket.recv(1 << 20)
        if not more:
            raise SystemExit("the venue has closed")
        data = self._tail + more
        end = data.rfind(_TRAILER)
        if end >= 0 and len(data) < end + _TRAILER_BYTES:
            end = data.rfind(_TRAILER, 0, end)
        end = end + _TRAILER_BYTES if end >= 0 else 0
        whole, self._tail = data[:end], data[end:]
        self.reports += whole.count(_REPORT)
        self.wanted += whole.count(self._wanted)


def pipelined(port: int, name: str, count: int, *, crosses: bool) -> dict[str, Any]:
    """Send orders without pause; how many a second had all their reports."""
    each = 2 if crosses else 1
    pipe = Pipe(log_on(port, name), Writer(name, crosses=crosses), each, wanted=_FILL if crosses else _NEW)
    warm = int(count * WARM_SHARE) & ~1
    pipe.run(warm, time.monotonic() + LIMIT_S)
    before = pipe.reports
    began = time.perf_counter()
    pipe.run(warm + count, time.monotonic() + LIMIT_S)
    seconds = time.perf_counter() - began
    if pipe.wanted != pipe.reports // each or pipe.reports % each:
        raise SystemExit(f"{pipe.wanted} reports of {pipe.reports} are those expected")
    orders = (pipe.reports - before) / each
    return {"orders_per_s": orders / seconds, "orders": orders, "seconds": seconds, "sent": pipe.sent}


class Single:
    """One session with one order under way."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self.socket = connection
        self._name = name
        self._number = 2
        self._tail = b""

    def send(self) -> None:
        """Send the next order."""
        now, number = timestamp_text(time.time_ns()), self._number
        price = number % 400 + 1
        body = f"35=D|34={number}|49={self._name}|52={now}|56=KK99|11={self._name}{number}|60={now}"
        self._number += 1
        self.socket.send(frame(f"{body}|55=DEMOUSD|54=1|38=1|40=2|59=1|44={price}|"))

    def is_answered(self) -> bool:
        """Take what has come; whether it was the report, whole."""
        self._tail += self.socket.recv(4_096)
        if self._tail[-8:-4] != b"\x0110=":
            return False
        if _NEW not in self._tail:
            raise SystemExit(f"no report: {self._tail!r}")
        self._tail = b""
        return True


def sessions(port: int, many: int, count: int) -> dict[str, Any]:
    """Keep one order of each session under way; how many a second were answered."""
    singles = [Single(log_on(port, f"S{number:03d}"), f"S{number:03d}") for number in range(many)]
    by_number = {single.socket.fileno(): single for single in singles}
    poll = select.epoll()
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    for single in singles:
        single.send()
    warm, answered, began = int(count * WARM_SHARE), 0, 0.0
    deadline = time.monotonic() + LIMIT_S
    while answered < warm + count and time.monotonic() < deadline:
        for number, _ in poll.poll(SILENCE_S):
            single = by_number[number]
            if single.is_answered():
                answered += 1
                single.send()
                if answered == warm:
                    began = time.perf_counter()
    seconds = time.perf_counter() - began
    orders = answered - warm
    return {"orders_per_s": orders / seconds, "orders": orders, "seconds": seconds, "sent": answered}


def trips(port: int, name: str, count: int, folder: Path) -> dict[str, Any]:
    """Time orders that go out one each millisecond, in turns with bare commits of as many bytes on the same disk."""
    single = Single(log_on(port, name), name)
    taken: list[int] = []
    bare: list[int] = []
    gap_ns = 1_000_000_000 // RATE_PER_S
    with logs.BareCommits(folder, _VALUE_BYTES) as commits:
        while len(taken) < count:
            time.sleep(0.05)
            commits.commit_ns()
            bare += [commits.commit_ns() for _ in range(TRIPS_BLOCK)]
            time.sleep(0.05)
            due_ns = time.perf_counter_ns()
            for _ in range(TRIPS_BLOCK):
                due_ns += gap_ns
                while (left_ns := due_ns - time.perf_counter_ns()) > 0:
                    time.sleep(left_ns / 2e9)
                began_ns = time.perf_counter_ns()
                single.send()
                while not single.is_answered():
                    pass
                taken.append(time.perf_counter_ns() - began_ns)
    found = {f"p{share}_us": logs.percentile_us(taken, share) for share in (50, 99)}
    return found | {f"bare_p{share}_us": logs.percentile_us(bare, share) for share in (50, 99)}


def main(arguments: list[str]) -> None:
    """Run a workload and print what it measured."""
    port, workload = int(arguments[0]), arguments[1]
    sizes = dict(argument.split("=", 1) for argument in arguments[2:])
    count = int(sizes["count"])
    if workload in {"rest", "cross"}:
        Writer("WARM").write(1)  # compiles
        found = pipelined(port, sizes["name"], count, crosses=workload == "cross")
    elif workload == "sessions":
        found = sessions(port, int(sizes["sessions"]), count)
    else:
        found = trips(port, sizes["name"], count, Path(sizes["folder"]))
    print(json.dumps(found))  # noqa: T201 - what the bench reads


if __name__ == "__main__":
    main(sys.argv[1:])
