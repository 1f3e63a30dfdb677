"""Cut the end off a journal: an operator's explicit act, on a journal at rest, that leaves a record of what was cut.

- Nothing is overwritten: batches that stay are copied, verified, to a new segment; what is cut moves to `cut/` as it
  is.
- The moves are written down before the first is made, so an interrupted truncation is finished by the next call, and
  no writer begins before it is.
"""

from __future__ import annotations

import bisect
import json
import shutil
import time
from typing import TYPE_CHECKING, Any, Final

from journal import format as record
from journal import storage
from journal.draft import Draft, opening_record, truncation_record
from journal.lock import WriterLock
from journal.reader import Reader
from journal.segment import Link, Segment, link_of, segment_path
from kk99.errors import CorruptionError, InputError

if TYPE_CHECKING:
    from pathlib import Path

CUT_FOLDER: Final = "cut"
RECORD_FILE: Final = "truncations.jsonl"
_DRAFT_FOLDER: Final = "truncating"
_PLAN_FILE: Final = "plan.json"
_COPY_BATCHES: Final = 64


def interrupted(path: Path) -> bool:
    """Tell whether a truncation of the journal in folder `path` waits to be finished."""
    return (path / _DRAFT_FOLDER / _PLAN_FILE).exists()


def truncate(path: Path, after_seq: int, *, actor: str, reason: str, now_ns: int | None = None) -> dict[str, Any]:
    """Cut every batch after `after_seq` and return the record of it: what was cut, by whom, why and when.

    `after_seq` must be the end of a batch (`InputError` names those near it). The record stands in the segment that
    follows the cut, and as a line of `truncations.jsonl`. Raises `JournalLockedError` on a journal that is being
    written, and `CorruptionError` if what is to stay is itself damaged.
    """
    if not actor.strip() or not reason.strip():
        raise InputError("a truncation needs an actor and a reason")
    lock = WriterLock(path)
    try:
        if interrupted(path):
            _carry_out(path)
        shutil.rmtree(path / _DRAFT_FOLDER, ignore_errors=True)
        return _truncate(path, after_seq, actor, reason, time.time_ns() if now_ns is None else now_ns)
    finally:
        lock.release()


def _truncate(path: Path, after_seq: int, actor: str, reason: str, now_ns: int) -> dict[str, Any]:
    draft, aside = path / _DRAFT_FOLDER, f"{CUT_FOLDER}/{now_ns}"
    with Reader(path, any_release=True) as reader:
        segments = reader.segments()
        at = bisect.bisect_right(segments, max(after_seq, 1), key=lambda segment: segment.first_seq) - 1
        if at < 0 or after_seq < 0:
            raise InputError(f"the journal does not reach back to {after_seq}")
        whole = at + 1 < len(segments) and segments[at + 1].first_seq == after_seq + 1
        opening = reader.opening(segments[at])
        end = _copy(reader, segments[at], after_seq, draft, only_look=whole)
        cut = _describe(reader, after_seq, segments[-1])
        if not cut["batches"] and cut["problem"] is None:
            raise InputError(f"the journal ends at {after_seq}: there is nothing after it to cut")
        fields = {
            "after_seq": after_seq, "kept_hash": end.hash.hex(), "actor": actor, "reason": reason, "time_ns": now_ns,
            "cut": cut,
        }  # fmt: skip
    text = json.dumps(fields, sort_keys=True)
    _write_following(draft, end, opening.venue_id, text)
    gone = segments[at + 1 if whole else at :]
    moves = [(segment.path.name, f"{aside}/{segment.path.name}") for segment in reversed(gone)]
    moves += [(f"{_DRAFT_FOLDER}/{entry.name}", entry.name) for entry in sorted(draft.iterdir())]
    storage.write_durably(draft / _PLAN_FILE, json.dumps({"moves": moves, "aside": aside, "record": text}).encode())
    _carry_out(path)
    return fields


def _copy(reader: Reader, segment: Segment, after_seq: int, draft: Path, *, only_look: bool) -> Link:
    """Copy a segment's batches up to `after_seq` to a draft of it, or only look at them; return where they end."""
    opening = reader.opening(segment)
    end = link_of(opening)
    records: list[tuple[bytes, Any]] = [opening_record(end, opening.venue_id)]
    with Draft(None if only_look or after_seq < segment.first_seq else segment_path(draft, segment.first_seq)) as copy:
        for batch in reader.batches(segment.first_seq, after_seq):
            if batch.last_seq > after_seq:
                raise InputError(f"{after_seq} is inside a batch: cut after {batch.first_seq - 1} or {batch.last_seq}")
            records.append((record.key_of(batch.first_seq), batch.record))
            end = link_of(batch.header)
            if len(records) >= _COPY_BATCHES:
                copy.put(records)
                records.clear()
        copy.put(records)
    if end.next_seq != after_seq + 1:
        raise InputError(f"the journal ends at {end.next_seq - 1}: nothing to cut after {after_seq}")
    return end


def _describe(reader: Reader, after_seq: int, last: Segment) -> dict[str, Any]:
    """Tell what is cut, as far as it can be read."""
    seq, digest, batches, problem = after_seq, "", 0, None
    try:
        for batch in reader.batches(after_seq + 1):
            seq, digest, batches = batch.last_seq, batch.hash.hex(), batches + 1
    except CorruptionError as error:
        problem = str(error)
    return {
        "first_seq": after_seq + 1, "last_seq": seq, "last_hash": digest, "batches": batches, "problem": problem,
        "last_segment": last.path.name,
    }  # fmt: skip


def _write_following(draft: Path, end: Link, venue_id: bytes, text: str) -> None:
    """Begin the segment after the cut, holding the record of it."""
    with Draft(segment_path(draft, end.next_seq)) as copy:
        copy.put([opening_record(end, venue_id), truncation_record(1, end, venue_id, text.encode())])


def _carry_out(path: Path) -> None:
    """Make the moves that were written down, those not made yet."""
    plan = json.loads((path / _DRAFT_FOLDER / _PLAN_FILE).read_text())
    (path / plan["aside"]).mkdir(parents=True, exist_ok=True)
    for source, target in plan["moves"]:
        if not (path / target).exists():
            (path / source).rename(path / target)
            storage.sync_folder(path)
    storage.sync_folder(path / plan["aside"])
    lines = path / RECORD_FILE
    before = lines.read_text() if lines.exists() else ""
    if plan["record"] not in before:
        storage.write_durably(lines, f"{before}{plan['record']}\n".encode())
    shutil.rmtree(path / _DRAFT_FOLDER)
    storage.sync_folder(path)
