"""Any flow file by its name: the table of the formats that `kk99 feed` plays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kk99.errors import InputError
from kk99.feed import lobster, orders, recording, table
from kk99.feed.flow import Flow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE_BYTES_MAX: Final = 4 << 30
LOBSTER_INSTRUMENT: Final = "AAPL"
DEMO_INSTRUMENT: Final = "DEMOUSD"


def load(path: Path, instrument: str | None = None) -> Flow:
    """Return the flow of a file: *.kk99rec, *.bin.zst, *message*.csv[.gz] (LOBSTER), or any other *.csv[.gz] (table).

    `instrument` overrides the one that the file or its format names. Raises `InputError`.
    """
    reader, name = _reader(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise InputError(f"{path}: larger than {FILE_BYTES_MAX} bytes")
    flow = recording.read(path) if reader is None else reader(path, instrument or name)
    return flow if instrument is None else Flow(flow.rows, instrument, flow.accounts, flow.rotate, flow.notes)


def _reader(path: Path) -> tuple[Callable[[Path, str], Flow] | None, str]:
    if path.name.endswith(".kk99rec"):
        return None, ""
    if path.name.endswith(".bin.zst"):
        return orders.read, DEMO_INSTRUMENT
    if path.name.endswith((".csv", ".csv.gz")):
        return (lobster.read, LOBSTER_INSTRUMENT) if "message" in path.name else (table.read, DEMO_INSTRUMENT)
    raise InputError(f"{path}: the name ends neither in .kk99rec nor in .csv, .csv.gz or .bin.zst")
