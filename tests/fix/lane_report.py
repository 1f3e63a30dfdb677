"""Run as a program in a lane (KK99_LANE, or NUMBA_DISABLE_JIT=1): print what that lane makes of numbers and streams.

Imported, it gives these reports of all lanes, each run once a session, beside one another.
"""

from __future__ import annotations

import functools
import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, Final

LANES: Final = {
    "jit": {"KK99_LANE": "jit"},
    "checked": {"KK99_LANE": "checked"},
    "python": {"KK99_LANE": "python"},
    "disabled": {"NUMBA_DISABLE_JIT": "1"},
}
NUMBERS: Final = (
    "0", "7", "12345678", "123456789", "999999999999999999", "1000000000000000000", "-5", "", "-", "1a",
    "0" * 25 + "12", "1.5", "1.", ".5", ".", "-1.5", "123.4567", "1234567.89", "1.2.3", "--1", "0." + "0" * 20,
    "1." + "0" * 22, "1." + "0" * 21 + "5", "0" * 20 + "1.5", "1e5", "+1", "12345678.", "-0", "12:4", "1/",
)  # fmt: skip
TIMES: Final = (
    "20240611-12:34:56", "20240611-12:34:56.789", "20240611-12:34:56.123456789", "20240611-12:34:56.",
    "20240230-00:00:00", "20240229-23:59:60", "20240611-24:00:00", "20240611 12:34:56", "19700101-00:00:00.000001",
    "22611231-23:59:59.999999999", "22620101-00:00:00", "19691231-23:59:59", "20240611-12:34:56.1234567890",
    "2024061-12:34:56", "21000229-00:00:00",
)  # fmt: skip


@functools.cache
def reports() -> dict[str, Any]:
    """The report of each lane."""
    started = {}
    for lane, settings in LANES.items():
        environment = {
            name: text for name, text in os.environ.items() if name not in {"KK99_LANE", "NUMBA_DISABLE_JIT"}
        }
        started[lane] = subprocess.Popen(
            [sys.executable, "-m", "tests.fix.lane_report"],
            env=environment | settings,
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
        )
    result = {}
    for lane, process in started.items():
        output, _ = process.communicate(timeout=280)
        assert process.returncode == 0, f"the {lane} lane ended with {process.returncode}"
        result[lane] = json.loads(output)
    return result


def _numbers() -> list[Any]:
    """What is read from each number and time."""
    from tests.fix.kernels import read

    return [[text, *read(text.encode())] for text in (*NUMBERS, *TIMES)]


def _written() -> list[str]:
    """What is written of numbers, times and frames of many sizes."""
    from tests.fix.kernels import enframe, written

    chance = random.Random(7)
    found = []
    for _ in range(60):
        number, places = chance.randrange(10 ** chance.randint(1, 18)), chance.randint(0, 18)
        found += written(number, places, chance.choice([0, 3, 6, 9]))
    found += [enframe(b"A" * length) for length in (0, 7, 8, 9, 98, 99, 100, 998, 999, 1_000)]
    return [text.decode("latin-1") for text in found]


def _streams() -> list[Any]:
    """The rows of messages and fields of streams of good and damaged messages."""
    from gateways.fix import tables
    from tests.fix.support import ORDER, Stream, message

    chance = random.Random(11)
    bodies = [
        ("D", ORDER + "453=1|448=a|447=D|452=3|"),
        ("A", "98=0|108=30|95=3|96=a|b|"),
        ("0", ""),
        ("8", "37=1|"),
        ("ZZ", ""),
    ]
    found = []
    for seq in range(60):
        msg_type, body = chance.choice(bodies)
        fields = [field for field in body.split("|") if field]
        if chance.random() < 0.5:
            fields[chance.randint(0, len(fields)) :][:1] = ["58="]
            fields.insert(
                chance.randint(0, len(fields)), chance.choice(["999=1", "44=x", "452=99", "8=FIX", "x", "1=", "50=s"])
            )
        data = bytearray(message(msg_type, "".join(f"{field}|" for field in fields), seq=seq))
        if chance.random() < 0.3:
            data[chance.randrange(len(data))] = chance.randrange(256)
        stream = Stream()
        stream.feed(bytes(data))
        rows = stream.decoder.messages[:2, : tables.M_ORIG_SENDING_NS + 1]
        found.append(
            [rows.tolist() if stream.rest != data else [], stream.decoder.fields[:30].tolist(), len(stream.rest)]
        )
    return found


def _events() -> Any:
    """Events of orders that are entered, traded, changed and canceled; one in three of a session not known."""
    import numpy as np

    from kk99 import schema
    from kk99.schema import EventKind

    chance = random.Random(5)
    kinds = [EventKind.ORDER_ACCEPTED, EventKind.TRADE, EventKind.ORDER_CANCELED, EventKind.ORDER_REPLACED]
    rows = np.zeros(120, schema.EVENT)
    for at, row in enumerate(rows):
        kind = kinds[0] if at < 20 else chance.choice(kinds)
        row["kind"], row["command_kind"], row["cause_seq"], row["time_ns"] = kind, 5, at // 2 + 1, 1_718_109_296 * 10**9
        row["index"], row["instrument_id"], row["account_id"], row["side"] = at % 2, 1, 16, 1 + at % 2
        row["order_type"], row["time_in_force"] = chance.choice([1, 2, 2, 2, 4, 10]), 1
        row["order_id"] = at + 1 if kind == kinds[0] else chance.randint(1, 30)
        row["price_ticks"], row["qty_lots"], row["leaves_lots"] = chance.randint(1, 10**6), chance.randint(1, 999), 5
        if kind == EventKind.TRADE:
            row["contra_order_id"], row["trade_id"], row["contra_leaves_lots"] = chance.randint(1, 30), at, at % 3
            row["fee_units"], row["contra_fee_units"] = chance.randint(-(10**9), 10**9), 7
        else:
            row["session_id"], row["session_epoch"], row["client_seq"] = chance.choice([1, 1, 2]), 1, at + 1
            row["client_id_lo"], row["client_id_hi"] = chance.getrandbits(62), -chance.getrandbits(62)
            row["reason"] = 1 + at % 12 if kind == EventKind.ORDER_CANCELED else 0
    return rows


def _fast() -> list[Any]:
    """Reports of frames of events, the rows of plain orders, what is sent of the reports."""
    import numpy as np

    from gateways.fix import blake, live_table, send_many, tables, take_many
    from gateways.fix import report_write as rw
    from gateways.fix.bulk import BulkReports
    from gateways.fix.compiled import PAD
    from gateways.fix.listing import Instrument, Listing
    from gateways.fix.venue_table import Dialect
    from kk99 import batch, build
    from kk99.decimals import Precision
    from tests.fix.support import ACCURACY_NS, NOW_NS, ORDER, message, padded, shared_decoder, shared_peers

    listing = Listing()
    listing.sessions.update({1: "ONE"})
    listing.accounts["ACC"], listing.account_names[16] = 16, "ACC"
    instrument = Instrument(1, "BTC-USDT", "USDT", Precision(10_000, 100_000, 8, 6), 1, 1, 1)
    listing.instruments[1] = listing.by_name["BTC-USDT"] = instrument
    bulk = BulkReports(listing, ("ONE",), lambda _: build.batch_of([]))
    bulk.tables.refresh()
    bulk.tables.speak("ONE", Dialect(newer=True))
    bulk._numbers = {"ONE": 1}
    texts = build.batch_of([build.order_cancel(16, target_client_id=f"T{at}", client_id=f"C{at}") for at in range(120)])
    bulk.texts.submitted(1, 1, 1, texts)
    found: list[Any] = []
    for _, parcel in bulk.follow(batch.Events(_events())):
        names, first, second = send_many.names_of("KK99", "CLIENT")
        out = np.zeros(len(parcel.data) + parcel.count * send_many.HEAD_BYTES_MAX, np.uint8)
        rows = np.zeros(send_many.ROW_BYTES * parcel.count + PAD, np.uint8)
        end = send_many.send_many(
            parcel.rows, parcel.data, 0, parcel.count, names, np.array([first, second, 6], np.int64), 99, NOW_NS,
            np.array([9, 0, 0], np.int64), out, rows,
        )  # fmt: skip
        found += [parcel.rows[:, : rw.R_WORDS].tolist(), out[:end].tobytes().decode(), rows[:-PAD].tolist()]
    decoder, spans = shared_decoder(), np.zeros((1, tables.SPAN_WORDS), np.int64)
    data = b"".join(
        message(kind, body, seq=seq)
        for seq, (kind, body) in enumerate(
            [("D", ORDER), ("F", "11=F1|41=A1|55=BTC-USDT|54=1|60=20240611-12:34:56|38=1|"), ("D", ORDER + "18=6 Q|")],
            1,
        )
    )
    buffer = padded(data)
    spans[0, :4] = 0, len(data), 0, 1
    decoder.decode(buffer, spans, 1, shared_peers(), NOW_NS, ACCURACY_NS)
    rows, cold = np.zeros((3, 16), np.int64), np.zeros((3, 16), np.int64)
    names_ = take_many.names_of({take_many.SYMBOLS: {"BTC-USDT": 1}, 2: {"ACC": 16}})
    made = take_many.take_many(
        buffer, decoder.fields, decoder.values, decoder.messages, 0, int(spans[0, tables.S_PLAIN]), decoder.rules,
        names_, take_many.Terms(2, 16, 0, 0), bulk.tables.venue, live_table.new_book(1, 8), rows, cold,
        np.zeros(take_many.SLOTS, np.int64),
    )  # fmt: skip
    assert blake.TEXT_BYTES_MAX == 64
    return [*found, bulk.python_events, made, rows.tolist(), cold.tolist()]


def _report() -> dict[str, Any]:
    warnings.simplefilter("error")
    return {"numbers": _numbers(), "written": _written(), "streams": _streams(), "fast": _fast()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_report()))
