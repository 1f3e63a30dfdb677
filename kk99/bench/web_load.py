"""Run as a program: clients of the web gateway in a process of their own, that count and time what they get.

::

    python -m kk99.bench.web_load sessions PORT COUNT INTERVAL_MS INSTRUMENT   # WebSockets, each on book and trades
    python -m kk99.bench.web_load requests PORT COUNT SECONDS PATH             # HTTP connections, each asking again
    python -m kk99.bench.web_load drain PORT COUNT                             # WebSockets that only count bytes

`sessions` says `ready` once all are subscribed and, at each line on standard input, what came since the line before:
JSON with `messages`, `seconds`, `p50_ms`, `p99_ms` (from the venue's time of a command to here), and `closed` ones.
`drain` is told at each line how many bytes more are to come in all, and says `got` when they have.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, Final

import numpy as np
import uvloop

_OPENED_AT_ONCE: Final = 100
_TIME: Final = b'"time_ns":'
_KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
"""A Sec-WebSocket-Key; a load client has no use for its answer."""


class Session(asyncio.Protocol):
    """One WebSocket that reads frames and notes how old each is."""

    def __init__(self, ages_ns: list[int], request: bytes) -> None:
        self.is_open = asyncio.get_running_loop().create_future()
        self.is_closed = False
        self._ages_ns = ages_ns
        self._request = request
        self._data = bytearray()
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Ask for the WebSocket."""
        self._transport = transport
        head = (
            f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {_KEY}\r\n"
        )
        transport.write(f"{head}Sec-WebSocket-Version: 13\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Take what came: the answer to the request first, then whole frames."""
        self._data += data
        if not self.is_open.done():
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return
            del self._data[: end + 4]
            self._transport.write(_masked(self._request))
            self.is_open.set_result(None)
        now_ns, at = time.time_ns(), 0
        while (size := _frame_size(self._data, at)) is not None:
            begin = self._data.find(_TIME, at, at + size)
            if begin >= 0:
                digits = bytes(self._data[begin + len(_TIME) : begin + len(_TIME) + 19])
                self._ages_ns.append(now_ns - int(digits))
            at += size
        if at:
            del self._data[:at]

    def connection_lost(self, _: Exception | None) -> None:
        """Note that it is gone."""
        self.is_closed = True
        if not self.is_open.done():
            self.is_open.set_result(None)


def _frame_size(data: bytearray, at: int) -> int | None:
    """Return the bytes of the frame that begins there, None if not all of it is there (RFC 6455, 5.2)."""
    if len(data) < at + 2:
        return None
    size, head = data[at + 1] & 127, 2
    if size >= 126:
        head = 4 if size == 126 else 10
        size = int.from_bytes(data[at + 2 : at + head], "big")
    return head + size if len(data) >= at + head + size else None


def _masked(payload: bytes) -> bytes:
    """Return a text frame from a client, its mask all zero."""
    assert len(payload) < 1 << 16
    return bytes((0x81, 0x80 | 126)) + len(payload).to_bytes(2, "big") + bytes(4) + payload


async def sessions(port: int, count: int, interval_ms: int, instrument: str) -> None:
    """Hold so many sessions; report at each line on standard input."""
    loop, held = asyncio.get_running_loop(), []
    ages_ns: list[int] = []
    topics = [{"channel": name, "instrument": instrument, "interval_ms": interval_ms} for name in ("book", "trades")]
    request = json.dumps({"op": "subscribe", "channels": topics}).encode()
    for at in range(0, count, _OPENED_AT_ONCE):
        made = [
            loop.create_connection(lambda: Session(ages_ns, request), "127.0.0.1", port)
            for _ in range(min(_OPENED_AT_ONCE, count - at))
        ]
        held += [session for _, session in await asyncio.gather(*made)]
        await asyncio.gather(*(session.is_open for session in held[at:]))
    print("ready", flush=True)  # noqa: T201 - it is the answer
    began = time.monotonic()
    while await asyncio.to_thread(sys.stdin.readline):
        ages, seconds = np.array(ages_ns, np.int64), time.monotonic() - began
        ages_ns.clear()
        began = time.monotonic()
        p50_ms, p99_ms = np.percentile(ages, (50, 99)) / 1e6 if len(ages) else (0.0, 0.0)
        closed = sum(session.is_closed for session in held)
        found = {"messages": len(ages), "seconds": seconds, "p50_ms": p50_ms, "p99_ms": p99_ms, "closed": closed}
        print(json.dumps(found), flush=True)  # noqa: T201 - likewise


async def requests(port: int, count: int, seconds: float, path: str) -> None:
    """Ask over so many connections, each again when it has its answer; print the rate and the 99th percentile."""
    end, taken_ns = time.monotonic() + seconds, []
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < end:
            began = time.perf_counter_ns()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            size = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(size.split(b":")[1]))
            taken_ns.append(time.perf_counter_ns() - began)
        writer.close()

    await asyncio.gather(*(ask() for _ in range(count)))
    p99_ms = float(np.percentile(taken_ns, 99)) / 1e6
    print(json.dumps({"requests_per_s": len(taken_ns) / seconds, "p99_ms": p99_ms}))  # noqa: T201 - likewise


class Drain(Session):
    """One WebSocket that throws away what it reads, and counts it in the first place of a list."""

    def data_received(self, data: bytes) -> None:
        """Count it."""
        if not self.is_open.done():
            data = data.partition(b"\r\n\r\n")[2]
            self.is_open.set_result(None)
        self._ages_ns[0] += len(data)


async def drain(port: int, count: int) -> None:
    """Hold so many connections until standard input ends."""
    loop, read = asyncio.get_running_loop(), [0]
    for at in range(0, count, _OPENED_AT_ONCE):
        made = [
            loop.create_connection(lambda: Drain(read, b""), "127.0.0.1", port)
            for _ in range(min(_OPENED_AT_ONCE, count - at))
        ]
        await asyncio.gather(*(session.is_open for _, session in await asyncio.gather(*made)))
    print("ready", flush=True)  # noqa: T201 - likewise
    wanted = 0
    while line := await asyncio.to_thread(sys.stdin.readline):
        wanted += int(line)
        while read[0] < wanted:  # noqa: ASYNC110 - bytes on hundreds of connections raise no event of their own
            await asyncio.sleep(0.0005)
        print("got", flush=True)  # noqa: T201 - likewise


def main(kind: str, port: str, count: str, *more: str) -> None:
    """Run what the command line names."""
    if kind == "sessions":
        work = sessions(int(port), int(count), int(more[0]), more[1])
    elif kind == "requests":
        work = requests(int(port), int(count), float(more[0]), more[1])
    else:
        work = drain(int(port), int(count))
    uvloop.run(work)


if __name__ == "__main__":
    main(*sys.argv[1:])
