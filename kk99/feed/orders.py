"""Order flows of the public matching benchmark (orders_*.bin.zst): dense binary messages, no time, no accounts.

A header `<QII` (magic, version 1, count), then records as `RECORD`: type 0 new, 1 cancel, 2 modify. Orders of even
numbers are the first account's, of odd numbers the second's. A message comes every MESSAGE_INTERVAL_NS.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np
import zstandard

from kk99.errors import InputError
from kk99.feed.flow import ROW, ROWS_MAX, Flow, Style
from kk99.schema import PRICE_TICKS_MAX, QTY_LOTS_MAX, CommandKind

if TYPE_CHECKING:
    from pathlib import Path

MAGIC: Final = 0x4D4542575F303031
HEADER: Final = struct.Struct("<QII")
RECORD: Final = np.dtype([
    ("type", "u1"), ("side", "u1"), ("ioc", "u1"), ("pad", "u1"), ("qty_lots", "<u4"), ("seq", "<u8"), ("order", "<u8"),
    ("price_ticks", "<i8"), ("reserved", "<i8"),
])  # fmt: skip
ACCOUNTS: Final = ("alder", "birch")
MESSAGE_INTERVAL_NS: Final = 100_000
_KINDS: Final = np.array([CommandKind.ORDER_NEW, CommandKind.ORDER_CANCEL, CommandKind.ORDER_REPLACE], np.uint8)


def read(path: Path, instrument: str) -> Flow:
    """Return the flow of a benchmark file."""
    try:
        with zstandard.open(path, "rb") as stream:
            magic, version, count = HEADER.unpack(stream.read(HEADER.size))
            is_known = magic == MAGIC and version == 1 and 0 < count <= ROWS_MAX
            body = stream.read(count * RECORD.itemsize + 1) if is_known else b""
    except (OSError, struct.error, zstandard.ZstdError) as error:
        raise InputError(f"{path}: {error}") from error
    if not is_known:
        raise InputError(f"{path}: not a benchmark flow of version 1")
    if len(body) != count * RECORD.itemsize:
        raise InputError(f"{path}: {len(body)} bytes where the header promises {count * RECORD.itemsize}")
    records = np.frombuffer(body, RECORD)
    for name, bound in (
        ("type", 2),
        ("side", 1),
        ("ioc", 1),
        ("order", (1 << 32) - 1),
        ("price_ticks", PRICE_TICKS_MAX),
        ("qty_lots", QTY_LOTS_MAX),
    ):
        bad = (records[name] > bound) | (records[name] < 0)
        if bad.any():
            raise InputError(f"{path}: message {int(np.argmax(bad)) + 1}: {name} is out of range")
    rows = np.zeros(count, ROW)
    rows["time_ns"] = np.arange(count, dtype=np.int64) * MESSAGE_INTERVAL_NS
    for name in ("price_ticks", "qty_lots", "order"):
        rows[name] = records[name]
    rows["op"] = _KINDS[records["type"]]
    rows["account"] = records["order"] % 2
    rows["side"] = records["side"] + 1
    rows["style"] = np.where((records["type"] == 0) & (records["ioc"] == 1), Style.IOC, Style.LIMIT)
    return Flow(rows, instrument, ACCOUNTS).check()
