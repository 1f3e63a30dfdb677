"""From what is on disk to a machine that can go on: a snapshot, the journal after it, the events that are missing.

Invariant: a snapshot counts only at a sequence that both the journal and the event store hold, so no event is ever
missing between two that are stored. A store that was discarded begins anew after the newest snapshot, so that a broken
one does not hold up the start; where there was none at all, every event is made again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from journal.storage import sync_folder
from kk99.errors import EngineError
from kk99.paths import DataDir

if TYPE_CHECKING:
    from pathlib import Path

    from kk99.config import EngineSettings
    from kk99.engine.ports import EventStore, Machine, Ports, Writer

VENUE_ID_BYTES: Final = 16
_REPORT_S: Final = 1.0
_APPEND_BYTES: Final = 8 << 20

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Recovered:
    """A machine at the journal's last sequence, and the opened journal and event store."""

    machine: Machine
    writer: Writer
    store: EventStore
    venue_id: bytes
    snapshot_seq: int


def venue_id_of(data: Path) -> bytes:
    """Return the venue's id, chosen at random when the data folder is first used."""
    path = data / "venue.id"
    try:
        data.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            partial = path.with_name(f"venue.id.{os.getpid()}")
            with partial.open("w") as file:
                file.write(os.urandom(VENUE_ID_BYTES).hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(partial, path)  # never over one that another process has just made
            partial.unlink()
        venue_id = bytes.fromhex(path.read_text().strip())
    except FileExistsError:
        return venue_id_of(data)
    except (OSError, ValueError) as error:
        raise EngineError(f"{path}: {error}") from error
    if len(venue_id) != VENUE_ID_BYTES:
        raise EngineError(f"{path}: not {VENUE_ID_BYTES} bytes in hexadecimal")
    return venue_id


def recover(settings: EngineSettings, ports: Ports, report: Report) -> Recovered:
    """Open the data and bring a machine to the journal's last sequence; raises what the rooms raise."""
    folders = DataDir(settings.data_dir)
    venue_id = venue_id_of(folders.root)
    writer = ports.open_writer(folders.journal, venue_id)
    try:
        store = ports.open_events(folders.events, settings.event_store_bytes)
    except BaseException:
        writer.close()
        raise
    try:
        sync_folder(folders.root)  # the names of what was just made in it
        if store.discarded:
            report(f"stored events discarded: {store.discarded}")
        if store.last().last_seq > writer.last_seq:  # the journal was cut by an operator
            report(f"events after seq {writer.last_seq:,} are removed: the journal ends there")
            store.cut_after(writer.last_seq)
        stored = store.last()
        is_anew = not stored.last_seq and not store.is_new
        at_most_seq = writer.last_seq if is_anew else min(writer.last_seq, stored.last_seq)
        machine, skipped = ports.load_snapshot(folders.snapshots, venue_id, at_most_seq)
        for reason in skipped:
            report(f"snapshot skipped: {reason}")
        snapshot_seq = machine.seq
        if is_anew and snapshot_seq:
            report(f"events up to seq {snapshot_seq:,} are not stored any more")
            store.begin_after(machine.last_event, snapshot_seq)
        _replay(folders.journal, ports, machine, writer, store, report)
    except BaseException:
        store.close()
        writer.close()
        raise
    return Recovered(machine, writer, store, venue_id, snapshot_seq)


def _replay(journal: Path, ports: Ports, machine: Machine, writer: Writer, store: EventStore, report: Report) -> None:
    """Apply the journal after the machine's sequence; the events that the store lacks go into it."""
    first_seq, last_seq = machine.seq + 1, writer.last_seq
    if first_seq > last_seq:
        return
    report(f"replaying {last_seq - first_seq + 1:,} commands from seq {first_seq:,}")
    began = reported = time.monotonic()
    stored_seq = store.last().last_seq
    missing: list[bytes] = []
    missing_bytes = 0
    for batch_seq, commands in ports.read_journal(journal, first_seq):
        start = machine.seq + 1 - batch_seq
        while start < len(commands.rows):
            applied = machine.apply(commands, start)
            start = applied.next
            if machine.seq > stored_seq:
                missing.append(applied.events.encode())
                missing_bytes += len(missing[-1])
        machine.check()
        if missing_bytes >= _APPEND_BYTES:
            store.append(missing)
            missing, missing_bytes = [], 0
        if time.monotonic() - reported >= _REPORT_S:
            reported = time.monotonic()
            report(f"replayed to seq {machine.seq:,} of {last_seq:,}")
    if missing:
        store.append(missing)
    if machine.seq != last_seq:
        raise EngineError(f"the journal ends at seq {last_seq}, its batches at {machine.seq}")
    report(f"replayed to seq {last_seq:,} in {time.monotonic() - began:.1f} s")
