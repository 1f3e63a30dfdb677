"""`kk99 replay export`: commands, events or trades as Parquet or CSV, with the schema's names for columns.

Invariants, each a test:
- a column is null where the row's kind does not use it, and enums are written by name;
- a file under its final name is complete.
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from kk99 import kinds, schema
from kk99.errors import InputError
from kk99.schema import Flag
from replay import columns, documents, ledger, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from journal.reader import Reader
    from kk99 import batch
    from kk99.paths import DataDir

TABLES: Final = ("commands", "events", "trades")
FORMATS: Final = ("parquet", "csv")

_TRADE_FIELDS: Final = (
    "cause_seq", "index", "time_ns", "kind", "trade_id", "instrument_id", "side", "price_ticks", "qty_lots",
    "order_id", "account_id", "fee_units", "contra_order_id", "contra_account_id", "contra_fee_units", "burned_units",
)  # fmt: skip
_COLD_FIELDS: Final = tuple(name for name in schema.COLD.names or () if name != "reserved")
_ENUM_FIELDS: Final = frozenset({"kind", "reason", "state", *columns.ENUMS})

Column = tuple[str, Any, Any]
"""Name, values (n,), and bool (n,): where there is a value."""


class Sink(Protocol):
    """Where columns are written, a piece of all of them at a time."""

    def write(self, piece: list[Column]) -> None:
        """Write one piece."""

    def close(self) -> None:
        """Finish the file."""


def export(
    data: DataDir,
    reader: Reader,
    table: str,
    out: Path,
    file_format: str,
    *,
    from_seq: int,
    to_seq: int,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Write one of `TABLES` to a file in one of `FORMATS`, over the commands `from_seq` to `to_seq`; return its rows.

    Raises InputError if the file can't be written or Parquet can't be made here.
    """
    source = (
        _commands(reader, from_seq, to_seq) if table == "commands" else _events(data, reader, from_seq, to_seq, table)
    )
    partial = out.with_name(out.name + ".partial")
    try:
        sink: Sink = ParquetSink(partial) if file_format == "parquet" else CsvSink(partial)
        try:
            written = 0
            for last_seq, piece in source:
                sink.write(piece)
                written += len(piece[0][1])
                progress(last_seq)
            if not written:
                raise InputError(f"there are no {table} from seq {from_seq} to {to_seq}")
        finally:
            sink.close()
        partial.replace(out)
    except OSError as error:
        raise InputError(f"{out}: can't be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return written


def _commands(reader: Reader, from_seq: int, to_seq: int) -> Iterator[tuple[int, list[Column]]]:
    for piece in run.ahead(run.pieces(reader.batches(from_seq, to_seq))):
        rows, tail = piece.commands.rows, piece.commands.tail
        chosen = (rows["seq"] >= from_seq) & (rows["seq"] <= to_seq)
        has_cold = (rows["flags"] & Flag.HAS_COLD) != 0
        cold = np.zeros(len(rows), schema.COLD)
        cold[has_cold] = piece.commands.cold
        made = _columns(rows[chosen], _names(schema.COMMAND), tail)
        # The cold row's "client_id" is the text, the hot row's the hash in two words: no name is in both.
        made += [_cold_column(cold[chosen], field, has_cold[chosen]) for field in _COLD_FIELDS]
        yield piece.last_seq, made


def _events(
    data: DataDir, reader: Reader, from_seq: int, to_seq: int, table: str
) -> Iterator[tuple[int, list[Column]]]:
    machine = run.nearest(data, reader, from_seq - 1)
    source = run.ahead(run.pieces(reader.batches(machine.seq + 1, to_seq)))
    for step in run.drive(machine, source, to_seq=to_seq):
        rows = step.events.rows
        rows = rows[rows["cause_seq"] >= from_seq]
        fields = _names(schema.EVENT)
        if table == "trades":
            rows, fields = rows[np.isin(rows["kind"], ledger.TRADE_KINDS)], list(_TRADE_FIELDS)
        if len(rows):
            yield machine.seq, _columns(rows, fields, step.events.tail)


def _names(row: np.dtype[np.void]) -> list[str]:
    """Return the fields of a row that become columns; where a document lies is of no use outside its batch."""
    return [name for name in row.names or () if name != "document_offset"]


def _columns(rows: batch.Rows, fields: list[str], tail: bytes | memoryview) -> list[Column]:
    made: list[Column] = []
    for field in fields:
        if field == "document_size":
            marked = kinds.has_document(rows)
            texts = np.full(len(rows), None, object)
            texts[marked] = [json.dumps(documents.fields_of(row, tail), default=repr) for row in rows[marked]]
            made.append(("document", texts, marked))
        else:
            names = columns.labels(rows, field)
            made.append((field, rows[field] if names is None else names, kinds.present(rows, field)))
    return made


def _cold_column(cold: batch.Rows, field: str, has_cold: Any) -> Column:
    values = cold[field]
    return field, np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values, has_cold


class CsvSink:
    """Comma-separated values with one line of names; a null is an empty field."""

    def __init__(self, path: Path) -> None:
        """Create the file."""
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._begun = False

    def write(self, piece: list[Column]) -> None:
        """Write one piece."""
        if not self._begun:
            self._writer.writerow([name for name, _, _ in piece])
            self._begun = True
        cells = []
        for _, values, valid in piece:
            column = values.astype(object)
            column[~valid] = None
            cells.append(column.tolist())
        self._writer.writerows(zip(*cells, strict=True))

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class ParquetSink:
    """Parquet with a row group for every `GROUP_ROWS` rows; enums are dictionaries of text."""

    GROUP_ROWS: Final = 1 << 17

    def __init__(self, path: Path) -> None:
        """Create the file with its first piece, which gives it its columns; InputError if pyarrow is not installed."""
        try:
            import pyarrow as pa  # noqa: PLC0415  (an optional dependency, and slow to load)
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError as error:
            raise InputError("Parquet needs pyarrow: pip install 'kk99[export]', or export as CSV") from error
        self._arrow = pa
        self._parquet = parquet
        self._path = path
        self._writer: Any = None
        self._waiting: list[Any] = []
        self._waiting_rows = 0

    def write(self, piece: list[Column]) -> None:
        """Write one piece."""
        arrays = [self._array(name, values, valid) for name, values, valid in piece]
        made = self._arrow.table(arrays, names=[name for name, _, _ in piece])
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._path, made.schema, compression="zstd")
        self._waiting.append(made)
        self._waiting_rows += made.num_rows
        if self._waiting_rows >= self.GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._flush()
            self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(self._arrow.concat_tables(self._waiting, promote_options="default"))
        self._waiting, self._waiting_rows = [], 0

    def _array(self, name: str, values: Any, valid: Any) -> Any:
        if name in _ENUM_FIELDS:
            kind = self._arrow.dictionary(self._arrow.int32(), self._arrow.string())
            return self._arrow.array(values.astype(object), self._arrow.string(), mask=~valid).cast(kind)
        if values.dtype.kind in "OU":
            return self._arrow.array(values.astype(object), self._arrow.string(), mask=~valid)
        return self._arrow.array(np.ascontiguousarray(values), mask=~valid)
