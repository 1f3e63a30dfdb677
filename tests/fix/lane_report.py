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


def _report() -> dict[str, Any]:
    warnings.simplefilter("error")
    return {"numbers": _numbers(), "written": _written(), "streams": _streams()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_report()))
