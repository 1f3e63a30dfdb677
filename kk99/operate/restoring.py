"""Makes a venue of a backup, up to its end or to an earlier point, and proves that it is the one that was backed up.

Invariants, each a test: the new data folder appears whole and proved, or not at all; what is restored is a prefix of
the backed-up log that ends where a batch ends, at or before the point asked for.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from journal import storage
from journal.backup import Throttle, copy_file
from journal.event_store import EventStore
from journal.reader import Reader
from journal.truncation import CUT_FOLDER, truncate
from kk99.errors import CorruptionError, InputError
from kk99.operate.backups import check_files
from kk99.paths import DataDir
from replay import verify as replay_verify
from snapshots import store as snapshots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kk99.operate.backups import Backup


@dataclass(frozen=True, slots=True)
class Point:
    """Up to where to restore, and who wants that and why; both None: to the end."""

    seq: int | None = None
    time_ns: int | None = None
    actor: str = ""
    reason: str = ""

    @property
    def is_end(self) -> bool:
        """Whether everything is wanted."""
        return self.seq is None and self.time_ns is None


@dataclass(slots=True)
class Restored:
    """What a restore came to, and the seconds each part took."""

    seq: int = 0
    time_ns: int = 0
    state_hash: str = ""
    cut_after_seq: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def restore(
    backup: Backup, data: Path, point: Point, throttle: Throttle, *, full: bool, late_events: bool,
    tell: Callable[[int], None],
) -> Restored:  # fmt: skip
    """Restore a backup to the new folder `data` and return what was proved.

    `full` replays from the first command, else from the snapshot that came along; the chain is verified wholly either
    way. With `late_events` the event store will begin at that snapshot, else the engine's first start makes all events
    again. Raises `InputError` if there is something at `data`, `CorruptionError` if the backup is not good.
    """
    data = data.resolve()
    _check_place(backup, data)
    made, partial = Restored(), data.with_name(data.name + ".restoring")
    shutil.rmtree(partial, ignore_errors=True)
    paths = DataDir(partial)
    with _timed(made, "check"):
        check_files(backup, throttle)
    try:
        with _timed(made, "copy"):
            _copy(backup, paths, throttle)
        if not point.is_end:
            with _timed(made, "cut"):
                made.cut_after_seq = _cut(paths, point)
    except (OSError, InputError):  # a full disk gets its room back
        shutil.rmtree(partial, ignore_errors=True)
        raise
    with _timed(made, "verify"):
        _prove(backup, paths, made, full=full, tell=tell)
    if late_events:
        EventStore(paths.events).close()  # an empty one that is not new: recovery begins it after the newest snapshot
    if data.exists():
        data.rmdir()
    partial.rename(data)
    storage.sync_folder(data.parent)
    return made


def _check_place(backup: Backup, data: Path) -> None:
    """Raise `InputError` where a venue can't be made at the end, before hours are spent on it."""
    if data.exists() and any(data.iterdir()):
        raise InputError(f"{data} is not empty: move it away first, whatever it holds")
    if data.is_mount() or not data.name:
        raise InputError(f"{data} is where a disk is mounted: restore to a folder on it, then move that or mount it")
    disk = next(folder for folder in data.parents if folder.exists())
    wanted, free = sum(size for size, _ in backup.files.values()), shutil.disk_usage(disk).free
    if wanted > free:
        raise InputError(f"{disk} has {free:,} bytes free, and the backup takes {wanted:,}: name a larger disk")


class _timed:  # noqa: N801 - reads as a verb
    """Counts the seconds of a part."""

    def __init__(self, made: Restored, name: str) -> None:
        self._made, self._name = made, name

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._made.seconds[self._name] = round(time.monotonic() - self._began, 3)


def _copy(backup: Backup, paths: DataDir, throttle: Throttle) -> None:
    paths.root.mkdir(mode=0o700, parents=True)
    for name in backup.files:
        target = paths.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_file(backup.path / name, target, throttle)
        storage.sync_folder(target.parent)
    (paths.journal / "head.json").unlink(missing_ok=True)
    paths.create()


def _cut(paths: DataDir, point: Point) -> int | None:
    """Cut the journal at the last end of a batch at or before the point; return it, None: there was nothing to cut."""
    after_seq = 0
    with Reader(paths.journal, any_release=True) as reader:
        end_seq = reader.head().seq
        for item in reader.batches():
            header = item.header
            is_within = point.seq is None or header.last_seq <= point.seq
            if not is_within or (point.time_ns is not None and header.last_time_ns > point.time_ns):
                break
            after_seq = header.last_seq
    if after_seq == end_seq:
        return None
    if not after_seq:
        raise InputError("the point is before the end of the journal's first batch: nothing would be left")
    truncate(paths.journal, after_seq, actor=point.actor, reason=point.reason)
    shutil.rmtree(paths.journal / CUT_FOLDER)  # it is in the backup
    for path in snapshots.catalogue(paths.snapshots):
        if snapshots.seq_of(path) > after_seq:
            path.unlink()
    return after_seq


def _prove(backup: Backup, paths: DataDir, made: Restored, *, full: bool, tell: Callable[[int], None]) -> None:
    has_snapshot = bool(snapshots.catalogue(paths.snapshots))
    head = backup.head if made.cut_after_seq is None else None
    with Reader(paths.journal, any_release=True) as reader:
        start: Any = None if full or not has_snapshot else "newest"
        verdict = replay_verify.verify(paths, reader, from_snapshot=start, events=False, head=head, progress=tell)
    if not verdict.good:
        worst = verdict.problems[0]
        raise CorruptionError(worst.seq, f"the restored venue is not good: {worst.text}; it is left at {paths.root}")
    made.seq, made.time_ns, made.state_hash = verdict.last_seq, verdict.time_ns, verdict.state_hash
