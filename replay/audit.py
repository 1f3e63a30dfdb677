"""`kk99 replay audit`: a UTC day's orders and executions as Parquet, with a signed manifest tied to the log.

The manifest is a line of JSON with an Ed25519 signature of the venue's key: the venue, the day, each file with rows,
size and BLAKE3 hash, the first and the last command of the day, and the sequence and hash of the journal's batch in
which the last one stands. Who trusts the key can prove that the files are what the venue wrote, and `check` also that
the journal still holds that batch.

Invariants: a file under its final name is complete, and the manifest is written last; the same day of the same journal
makes the same records.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from blake3 import blake3

from journal import keys
from journal.storage import write_durably
from kk99 import batch, schema
from kk99.errors import CorruptionError, InputError
from kk99.machine import Machine
from kk99.schema import Flag
from replay import run
from replay.export import ParquetSink
from replay.ledger import Names
from replay.records import EXECUTION_FIELDS, ORDER_FIELDS, Records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from journal.reader import Reader
    from kk99.paths import DataDir
    from replay.export import Column

FORMAT: Final = 1
"""Rises when a column changes its meaning."""
FILES: Final = {"order": ("orders", tuple(ORDER_FIELDS)), "execution": ("executions", EXECUTION_FIELDS)}
_DAY_NS: Final = 86_400 * 10**9
_PIECE_ROWS: Final = 20_000
_READ_BYTES: Final = 1 << 20


def manifest_name(day: dt.date) -> str:
    """Return the name of a day's manifest."""
    return f"audit-{day}.json"


def export(
    data: DataDir, reader: Reader, day: dt.date, out: Path, progress: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Write a day's files and manifest into a folder; return the manifest.

    Reads the log from its beginning, since what lives at midnight was entered before. Raises `InputError` when there is
    no command on that day, the day is not over in the log, or the files can't be written.
    """
    begin_ns = (day - dt.date(1970, 1, 1)).days * _DAY_NS
    end_ns = begin_ns + _DAY_NS
    try:
        out.mkdir(parents=True, exist_ok=True)
        writers = {what: _File(out, f"{name}-{day}.parquet", fields) for what, (name, fields) in FILES.items()}
        try:
            seqs = _write(reader, begin_ns, end_ns, writers, progress)
            files = [writer.finish() for writer in writers.values()]
        finally:
            for writer in writers.values():
                writer.abandon()
    except OSError as error:
        raise InputError(f"{out}: can't be written: {error}") from error
    last = reader.batch_at(seqs[1])
    assert last is not None
    fields = {
        "format": FORMAT, "day": str(day), "venue_id": run.venue_of(reader).hex(),
        "schema": f"{schema.FINGERPRINT:016x}",
        "first_seq": seqs[0], "last_seq": seqs[1], "journal_seq": last.last_seq, "journal_hash": last.hash.hex(),
        "files": files,
    }  # fmt: skip
    line = keys.sign(fields, keys.load_or_create(data.keys))
    write_durably(out / manifest_name(day), line.encode() + b"\n")
    return keys.check(line)


def check(manifest: Path, reader: Reader | None = None, public_key: Ed25519PublicKey | None = None) -> dict[str, Any]:
    """Return a manifest's fields if it is signed and its files are those it names.

    With a journal also that this holds the batch named. Raises `InputError` or `CorruptionError`.
    """
    try:
        fields = keys.check(manifest.read_text(errors="replace"), public_key)
        named = [(str(file["name"]), str(file["blake3"])) for file in fields["files"]]
        seq, journal_hash = int(fields["journal_seq"]), str(fields["journal_hash"])
    except OSError as error:
        raise InputError(f"{manifest}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{manifest}: signed, but no manifest of an audit export") from error
    for name, wanted in named:
        path = manifest.parent / name
        if "/" in name or not path.is_file():
            raise InputError(f"{manifest} names {name}, which is not beside it")
        if _hash(path) != wanted:
            raise InputError(f"{path} is not the file that the manifest names: it was changed")
    if reader is not None:
        found = reader.batch_at(seq)
        if found is None or found.last_seq != seq or found.hash.hex() != journal_hash:
            raise CorruptionError(seq, "the journal does not hold the batch that the manifest names")
    return fields


def _write(
    reader: Reader, begin_ns: int, end_ns: int, writers: dict[str, _File], progress: Callable[[int], None]
) -> tuple[int, int]:
    """Write the records between two times; return the first and the last command between them."""
    names, colds = Names(), _Colds()
    records = Records(names, colds.of)
    machine = Machine()
    first = last = 0
    is_over = False
    pieces = colds.watch(run.ahead(run.pieces(reader.batches())))
    for step in run.drive(machine, pieces):
        names.observe(step.events)
        times, seqs = step.commands["time_ns"], step.commands["seq"]
        inside = np.flatnonzero((times >= begin_ns) & (times < end_ns))
        is_over = bool(times[-1] >= end_ns)
        if len(inside):
            first, last = first or int(seqs[inside[0]]), int(seqs[inside[-1]])
        for part, is_wanted in _split(step.events, begin_ns, end_ns):
            for what, record in records.follow(part, is_wanted=is_wanted):
                writers[what].add(record)
        progress(machine.seq)
        if is_over:
            break
    if not first:
        raise InputError("the journal has no command on that day")
    if not is_over:
        raise InputError("that day is not over in the journal: export it when a command of a later day is there")
    return first, last


def _split(events: batch.Events, begin_ns: int, end_ns: int) -> Iterator[tuple[batch.Events, bool]]:
    """Yield the events before a time, those between two, and those after, of whole commands each."""
    times = events.rows["time_ns"]
    bounds = [0, *np.searchsorted(times, [begin_ns, end_ns]).tolist(), len(times)]
    for at in range(3):
        rows = events.rows[bounds[at] : bounds[at + 1]]
        if len(rows):
            yield batch.Events(rows, events.tail), at == 1


class _Colds:
    """The cold rows of the commands that are being applied."""

    def __init__(self) -> None:
        self._rows: dict[int, np.void] = {}

    def watch(self, pieces: Iterator[run.Piece]) -> Iterator[run.Piece]:
        """Yield the pieces; until the next one the cold rows are this one's."""
        for piece in pieces:
            rows = piece.commands.rows
            seqs = rows["seq"][(rows["flags"] & Flag.HAS_COLD) != 0].tolist()
            self._rows = dict(zip(seqs, piece.commands.cold, strict=True))
            yield piece

    def of(self, seq: int) -> np.void | None:
        """Return the cold row of a command, None if it has none."""
        return self._rows.get(seq)


class _File:
    """A Parquet file in the making: records in, columns out."""

    def __init__(self, folder: Path, name: str, fields: tuple[str, ...]) -> None:
        self._path = folder / name
        self._partial = folder / f"{name}.partial"
        self._fields = fields
        self._sink: ParquetSink | None = ParquetSink(self._partial)
        self._waiting: list[dict[str, Any]] = []
        self._rows = 0

    def add(self, record: dict[str, Any]) -> None:
        """Write one record, soon."""
        self._waiting.append(record)
        if len(self._waiting) >= _PIECE_ROWS:
            self._flush()

    def finish(self) -> dict[str, Any]:
        """Give the file its name; return what the manifest says of it."""
        self._flush()
        assert self._sink is not None
        self._sink.close()
        self._sink = None
        self._partial.replace(self._path)
        return {
            "name": self._path.name, "rows": self._rows, "size_bytes": self._path.stat().st_size,
            "blake3": _hash(self._path),
        }  # fmt: skip

    def abandon(self) -> None:
        """Remove what is not finished."""
        if self._sink is not None:
            self._sink.close()
        self._partial.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._waiting or not self._rows:
            assert self._sink is not None
            self._sink.write([self._column(name) for name in self._fields])
            self._rows += len(self._waiting)
            self._waiting = []

    def _column(self, name: str) -> Column:
        values = [record[name] for record in self._waiting]
        is_text = name in _TEXTS
        kind: Any = np.bool_ if name == "passive_only" else object if is_text else np.int64
        made = np.array(values, kind)
        return (
            name,
            made,
            np.array([value != "" for value in values], np.bool_) if is_text else np.ones(len(made), np.bool_),
        )


_TEXTS: Final = frozenset({
    "event", "reason", "client_order_id", "account", "instrument", "side", "order_type", "time_in_force", "limit_price",
    "stop_price", "trigger", "currency", "initial_quantity", "remaining_quantity", "displayed_quantity",
    "traded_quantity", "minimum_quantity", "transaction_price", "aggressive", "self_execution_prevention",
    "trading_phase", "price", "quantity", "gross", "fee",
})  # fmt: skip
"""Columns of text, decimal numbers among them: exact, in whatever unit; the others are whole numbers."""


def _hash(path: Path) -> str:
    made = blake3()
    with path.open("rb") as file:
        while part := file.read(_READ_BYTES):
            made.update(part)
    return made.hexdigest()
