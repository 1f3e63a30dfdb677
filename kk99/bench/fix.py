"""`kk99 bench fix`: what the FIX codec costs a message, and what sessions get through the whole gateway.

The codec alone: one NewOrderSingle read whole, one ExecutionReport written, each with a checksum of what was done, so
that work left out would show. The gateway: `fix_venue`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from gateways.fix import codec, tables
from gateways.fix.compiled import PAD, entry, literal
from gateways.fix.write import (
    SOH_WORD,
    close_message,
    open_message,
    put_bytes,
    put_decimal,
    put_timestamp,
    put_uint,
    put_word,
)
from kk99.bench import fix_venue
from kk99.bench.results import Result

if TYPE_CHECKING:
    from kk99.bench.options import Options

BENCH: Final = "fix"
MESSAGES: Final = 2_000
ROUNDS: Final = 50
ACCURACY_NS: Final = 120_000_000_000
START_NS: Final = 1_718_109_296_000_000_000
REPORT_BYTES: Final = 512
NAMES: Final = np.frombuffer(b"\x0149=KK99\x0156=CLIENT01\x0152=".ljust(128, b"\0"), np.uint8)
SOURCE: Final = np.frombuffer(b"ORD0000000001   BTC-USDT".ljust(128, b"\0"), np.uint8)
NAMES_BYTES: Final = 24

_TYPE_AND_SEQ: Final = literal(b"35=8\x0134=")
_ORDER_ID: Final = literal(b"\x0137=")
_CLIENT_ID: Final = literal(b"\x0111=")
_EXEC_ID: Final = literal(b"\x0117=")
_NEW: Final = literal(b"\x01150=0")
_STATUS: Final = literal(b"\x0139=0")
_SYMBOL: Final = literal(b"\x0155=")
_SIDE: Final = literal(b"\x0154=1")
_QTY: Final = literal(b"\x0138=")
_TYPE: Final = literal(b"\x0140=2")
_PRICE: Final = literal(b"\x0144=")
_LEAVES: Final = literal(b"\x01151=")
_FILLED: Final = literal(b"\x0114=0")
_AVERAGE: Final = literal(b"\x016=0")
_TIME: Final = literal(b"\x0160=")


class Figure(NamedTuple):
    """Nanoseconds a message, its bytes, and the checksum of the work."""

    ns: float
    message_bytes: int
    checksum: int


def run(options: Options) -> list[Result]:
    """Return every figure of the bench."""
    count, rounds = options.pick(MESSAGES, 20), options.pick(ROUNDS, 2)
    parsed, encoded = parse(count, rounds), encode(count, rounds)
    return [
        Result(BENCH, "parse_ns", parsed.ns, "ns"),
        Result(BENCH, "parse.bytes", parsed.message_bytes, "B"),
        Result(BENCH, "encode_ns", encoded.ns, "ns"),
        Result(BENCH, "encode.bytes", encoded.message_bytes, "B"),
        *fix_venue.run(options),
    ]


def orders(count: int) -> bytes:
    """Return a stream of NewOrderSingles, numbered from 1."""
    found = []
    for seq in range(1, count + 1):
        header = codec.Header("CLIENT01", "KK99", seq, START_NS + seq * 1_000_000)
        fields = [
            (11, f"ORD{seq:010d}"), (1, f"ACC{seq % 7}"), (55, "BTC-USDT" if seq % 2 else "ETH-USDT"),
            (54, 1 + seq % 2), (60, codec.timestamp_text(header.sending_ns)), (38, f"{seq % 977 + 1}.5"), (40, 2),
            (44, f"{60_000 + seq % 5_000}.{seq % 100:02d}"), (59, 1),
        ]  # fmt: skip
        found.append(codec.encode("D", fields, header))
    return b"".join(found)


def parse(count: int, rounds: int) -> Figure:
    """Frame, tokenize, validate and read the numbers of `count` NewOrderSingles; the best of `rounds`."""
    data = orders(count)
    buffer = np.zeros(len(data) + PAD, np.uint8)
    buffer[: len(data)] = np.frombuffer(data, np.uint8)
    decoder = codec.Decoder(message_rows=count)
    peers = np.zeros((1, tables.PEER_BYTES), np.uint8)
    codec.set_peer(peers, 0, "CLIENT01", "KK99")
    spans = np.zeros((1, tables.SPAN_WORDS), np.int64)
    spans[0, : tables.S_DONE] = 0, len(data), 0, 1
    best_ns = 1 << 62
    for _ in range(rounds + 1):
        begin_ns = time.perf_counter_ns()
        done = decoder.decode(buffer, spans, 1, peers, START_NS, ACCURACY_NS)
        best_ns = min(best_ns, time.perf_counter_ns() - begin_ns)
        assert done == 1
        assert spans[0, tables.S_PLAIN] == count
    return Figure(best_ns / count, len(data) // count, int(decoder.values[decoder.fields[:, tables.F_TAG] == 38].sum()))


@entry
def _reports(buffer: Any, count: int, names: Any, source: Any) -> int:
    """Write so many ExecutionReports; return the end of the last."""
    at = 0
    for number in range(1, count + 1):
        begin = at
        at = open_message(buffer, begin)
        at = put_word(buffer, at, _TYPE_AND_SEQ, 8)
        at = put_uint(buffer, at, number)
        at = put_bytes(buffer, at, names, 0, NAMES_BYTES)
        at = put_timestamp(buffer, at, START_NS + number * 1_000, 3)
        at = put_word(buffer, at, _ORDER_ID, 4)
        at = put_uint(buffer, at, number << 24)
        at = put_word(buffer, at, _CLIENT_ID, 4)
        at = put_bytes(buffer, at, source, 0, 13)
        at = put_word(buffer, at, _EXEC_ID, 4)
        at = put_uint(buffer, at, number * 1_000_003)
        at = put_word(buffer, at, _NEW, 6)
        at = put_word(buffer, at, _STATUS, 5)
        at = put_word(buffer, at, _SYMBOL, 4)
        at = put_bytes(buffer, at, source, 16, 8)
        at = put_word(buffer, at, _SIDE, 5)
        at = put_word(buffer, at, _QTY, 4)
        at = put_decimal(buffer, at, number % 977 * 100_000_000, 8)
        at = put_word(buffer, at, _TYPE, 5)
        at = put_word(buffer, at, _PRICE, 4)
        at = put_decimal(buffer, at, 6_000_000 + number % 5_000, 2)
        at = put_word(buffer, at, _LEAVES, 5)
        at = put_decimal(buffer, at, number % 977 * 100_000_000, 8)
        at = put_word(buffer, at, _FILLED, 5)
        at = put_word(buffer, at, _AVERAGE, 4)
        at = put_word(buffer, at, _TIME, 4)
        at = put_timestamp(buffer, at, START_NS + number * 1_000, 3)
        at = close_message(buffer, begin, put_word(buffer, at, SOH_WORD, 1))
    return at


def reports(count: int) -> codec.Bytes:
    """Return a stream of ExecutionReports, numbered from 1, and PAD bytes more."""
    buffer = np.zeros(count * REPORT_BYTES + PAD, np.uint8)
    return buffer[: _reports(buffer, count, NAMES, SOURCE) + PAD]


def encode(count: int, rounds: int) -> Figure:
    """Write `count` ExecutionReports; the best of `rounds`."""
    buffer = np.zeros(count * REPORT_BYTES + PAD, np.uint8)
    best_ns, end = 1 << 62, 0
    for _ in range(rounds + 1):
        begin_ns = time.perf_counter_ns()
        end = int(_reports(buffer, count, NAMES, SOURCE))
        best_ns = min(best_ns, time.perf_counter_ns() - begin_ns)
    return Figure(best_ns / count, end // count, int(buffer[:end].sum()))
