"""Prove a journal, or say where it is damaged: chain, checksums, continuity, and the seals of its segments."""

from __future__ import annotations

import bisect
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from journal.reader import Reader
from journal.seal import check_manifest
from journal.segment import Link, Segment, link_of
from kk99.errors import CorruptionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Problem(NamedTuple):
    """One thing wrong, from sequence `seq` on."""

    seq: int
    text: str


class Stretch(NamedTuple):
    """Consecutive batches of one release of the program."""

    first_seq: int
    last_seq: int
    release: str
    fingerprint: int
    behaviour: int


@dataclass(slots=True)
class Report:
    """What a journal holds; `head_hash` (32 bytes) is that of the last batch that verified."""

    first_seq: int = 0
    last_seq: int = 0
    head_hash: bytes = b""
    batches: int = 0
    rows: int = 0
    epochs: list[int] = field(default_factory=list)
    segments: int = 0
    sealed: int = 0
    stretches: list[Stretch] = field(default_factory=list)
    truncations: list[dict[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def verify(
    path: Path, progress: Callable[[int], None] | None = None, public_key: Ed25519PublicKey | None = None
) -> Report:
    """Verify every batch of the journal in folder `path`, fully; `progress` is told each batch's last sequence.

    After damage, goes on with the next segment, so each damaged segment gives one problem with its exact sequence. With
    `public_key` the manifests must be signed with that key, else with the one each names.
    """
    report = Report()
    with Reader(path, any_release=True) as reader:
        segments = reader.segments()
        report.segments = len(segments)
        ends: dict[int, Link] = {}
        seq = segments[0].first_seq if segments else 1
        while True:
            try:
                _run(reader, segments, seq, report, ends, progress)
                break
            except CorruptionError as error:
                report.problems.append(Problem(error.seq, str(error)))
                later = [segment.first_seq for segment in segments if segment.first_seq > max(error.seq, seq)]
                if not later:
                    break
                seq = later[0]
        for at, segment in enumerate(segments):
            beyond = segments[at + 1].first_seq if at + 1 < len(segments) else 1 << 63
            if all(not segment.first_seq <= problem.seq < beyond for problem in report.problems):
                report.truncations += [json.loads(text) for text in reader.truncations(segment)]
                _check_seal(segment, ends.get(segment.first_seq), at + 2 >= len(segments), report, public_key)
    report.problems.sort()
    return report


def _run(
    reader: Reader,
    segments: list[Segment],
    from_seq: int,
    report: Report,
    ends: dict[int, Link],
    progress: Callable[[int], None] | None,
) -> None:
    for batch in reader.batches(from_seq):
        header = batch.header
        if not report.batches:
            report.first_seq = header.first_seq
        report.last_seq, report.head_hash = header.last_seq, header.hash
        report.batches += 1
        report.rows += header.row_count
        if header.epoch not in report.epochs[-1:]:
            report.epochs.append(header.epoch)
        kind = (header.release, header.fingerprint, header.behaviour)
        if report.stretches and report.stretches[-1][2:] == kind:
            report.stretches[-1] = report.stretches[-1]._replace(last_seq=header.last_seq)
        else:
            report.stretches.append(Stretch(header.first_seq, header.last_seq, *kind))
        at = bisect.bisect_right(segments, header.first_seq, key=lambda segment: segment.first_seq) - 1
        ends[segments[at].first_seq] = link_of(header)
        if progress is not None:
            progress(header.last_seq)


def _check_seal(
    segment: Segment, end: Link | None, may_be_open: bool, report: Report, public_key: Ed25519PublicKey | None
) -> None:
    """Check the manifest of a segment whose batches all verified.

    The last, and one before an empty last, may have none.
    """
    try:
        if end is not None and segment.manifest.exists():
            check_manifest(segment, end, public_key)
            report.sealed += 1
        elif not may_be_open:
            report.problems.append(Problem(segment.first_seq, f"segment {segment.path.name} is not sealed"))
    except CorruptionError as error:
        report.problems.append(Problem(error.seq, str(error)))
