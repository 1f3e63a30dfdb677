"""Read the journal: in order, verified, from any sequence, while it is being written or at rest.

- Nothing is yielded that does not continue what came before: sequence, batch number, hash chain, epoch, time, venue.
- The first thing wrong raises `CorruptionError` with the sequence at which it begins.
- Transactions are short: what is yielded is a copy, valid for as long as it is kept.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Literal, Self

import lmdb

from journal import format as record
from journal import storage
from journal.head import Head
from journal.lock import is_live
from journal.segment import Link, OpenSegment, Segment, link_of, list_segments
from kk99.errors import CorruptionError, JournalError, ReleaseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JournalBatch = record.JournalBatch


class Reader:
    """The journal in folder `path`, read-only; one may be used beside a `Writer` in the same process."""

    def __init__(self, path: Path, *, venue_id: bytes | None = None, any_release: bool = False) -> None:
        """Refuse what is not a journal (`JournalError`).

        With `venue_id` only that venue's is read. With `any_release`, batches of another schema or behaviour come
        too, instead of a `ReleaseError`.
        """
        if not path.is_dir():
            raise JournalError(f"{path} is not a journal's folder")
        self.path = path
        self._venue_id = venue_id
        self._any_release = any_release
        self._kept: OpenSegment | None = None
        self._kept_from = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what is open; running iterators end with an error."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def segments(self) -> list[Segment]:
        """Return the segments in order."""
        return list_segments(self.path)

    def opening(self, segment: Segment) -> record.Header:
        """Return a segment's verified opening: what came before it, and its epoch."""
        return self._at(segment).opening

    def truncations(self, segment: Segment) -> list[bytes]:
        """Return the records, JSON, of the truncations after which a segment began."""
        return self._at(segment).truncations()

    def head(self) -> Head:
        """Return the end of the last batch; sequence 0 and a hash of zeros if there is none. That batch is verified."""
        link = self.end()
        return Head(link.next_seq - 1, link.hash, link.time_ns, self._venue_id or bytes(record.VENUE_ID_BYTES))

    def end(self) -> Link:
        """Return what the next batch must continue."""
        segments = self.segments()
        if not segments:
            return Link(1, 0, record.NO_HASH, 0, 0)
        return self._open(segments, len(segments) - 1, (1 << 63) - 1).last()

    def batch_at(self, seq: int) -> JournalBatch | None:
        """Return the verified batch that holds `seq`, or None if the journal ends before it."""
        return next(self.batches(seq, seq), None)

    def batches(
        self, from_seq: int = 1, to_seq: int | None = None, verify: Literal["full", "crc"] = "full"
    ) -> Iterator[JournalBatch]:
        """Yield the batches from the one that holds `from_seq` to the one that holds `to_seq`, or to the present end.

        `verify` is "full" (CRC32C and BLAKE3 of every batch) or "crc"; the chain is followed either way. Call again
        with the last sequence plus one to see what was written since. Raises `CorruptionError`, or `ReleaseError` at
        a batch that another release must read.
        """
        seq, link, again = max(from_seq, 1), None, False
        while to_seq is None or seq <= to_seq:
            segments = self.segments()
            at = bisect.bisect_right(segments, seq, key=lambda segment: segment.first_seq) - 1
            if at < 0:
                if segments:
                    raise CorruptionError(seq, f"the journal begins at {segments[0].first_seq}")
                return
            opened = self._open(segments, at, seq)
            start = link_of(opened.opening)
            if link is not None and link.next_seq == start.next_seq and link[:3] != start[:3]:
                raise CorruptionError(seq, "the segment's opening does not continue the segment before")
            before = seq
            for batch in self._of_segment(opened, seq, full=verify == "full"):
                link, seq = link_of(batch.header), batch.last_seq + 1
                yield batch
                if to_seq is not None and seq > to_seq:
                    return
            if at + 1 == len(segments):
                return
            # The writer may have gone on here between reading to the end and beginning the next segment: look once
            # more.
            if segments[at + 1].first_seq != seq and seq == before:
                if again:
                    raise CorruptionError(seq, f"a gap: the next segment begins at {segments[at + 1].first_seq}")
                again = True

    def _of_segment(self, opened: OpenSegment, seq: int, *, full: bool) -> Iterator[JournalBatch]:
        """Yield one segment's verified batches from the one that holds `seq`."""
        path = opened.segment.path
        storage.acquire(path)  # the iterator's own hold: the reader may turn to another segment meanwhile
        try:
            link, key = opened.start(seq)
            yield from self._linked(opened, seq, link, key, full=full)
        finally:
            storage.release(path)

    def _linked(self, opened: OpenSegment, seq: int, link: Link, key: bytes, *, full: bool) -> Iterator[JournalBatch]:
        try:
            for header, value in opened.records(key):
                self._check_link(header, link, opened.opening.epoch)
                record.verify_record(header, value, full=full)
                link = link_of(header)
                if link.next_seq > seq:
                    if not self._any_release and (needed := record.check_release(header)):
                        raise ReleaseError(header.first_seq, needed)
                    yield JournalBatch(header, value)
            if opened.problem is not None:
                raise CorruptionError(link.next_seq, opened.problem)
            if not opened.live:
                opened.check_entries(link.number)
        except (record.RecordError, lmdb.Error) as error:
            raise CorruptionError(link.next_seq, str(error)) from error

    def _check_link(self, header: record.Header, link: Link, epoch: int) -> None:
        if header.kind != record.BATCH or header.row_count < 1:
            raise record.RecordError("not a batch")
        if header.venue_id != self._venue_id:
            raise record.RecordError(f"a batch of venue {header.venue_id.hex()}")
        if header.first_seq != link.next_seq or header.number != link.number + 1:
            raise record.RecordError(f"batch {header.number} from {header.first_seq} follows batch {link.number}")
        if header.previous_hash != link.hash:
            raise record.RecordError("the batch does not continue the one before: its previous hash is another")
        if header.epoch != epoch or header.first_time_ns < link.time_ns or header.last_time_ns < header.first_time_ns:
            raise record.RecordError("the batch's epoch or time does not follow")

    def _at(self, segment: Segment) -> OpenSegment:
        segments = self.segments()
        return self._open(segments, segments.index(segment), segment.first_seq)

    def _open(self, segments: list[Segment], at: int, seq: int) -> OpenSegment:
        """Return the segment, open for reading from `seq`; it stays open until another is needed."""
        segment, live = segments[at], at + 1 == len(segments) and is_live(self.path)
        kept = self._kept
        if kept is None or kept.segment != segment or kept.live != live or (not live and seq < self._kept_from):
            self.close()
            kept = self._kept = OpenSegment(segment, live=live, from_seq=seq)
            self._kept_from = seq
        venue_id = kept.opening.venue_id
        if self._venue_id is None:
            self._venue_id = venue_id
        if venue_id != self._venue_id:
            raise JournalError(f"{segment.path} is of venue {venue_id.hex()}, not {self._venue_id.hex()}")
        return kept
