"""The manifest of a segment that will never be written again: a signed line of JSON beside its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from journal import keys
from journal.storage import write_durably
from kk99.errors import CorruptionError, InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from journal.format import Header
    from journal.segment import Link, Segment


def seal(segment: Segment, opening: Header, end: Link, key: Ed25519PrivateKey, now_ns: int) -> None:
    """Write the manifest; the segment's environment is closed and `end` is its verified end."""
    fields = {
        "venue_id": opening.venue_id.hex(),
        "epoch": opening.epoch,
        "first_seq": opening.first_seq,
        "last_seq": end.next_seq - 1,
        "batches": end.number - opening.number,
        "rows": end.next_seq - opening.first_seq,
        "previous_hash": opening.previous_hash.hex(),
        "last_hash": end.hash.hex(),
        "size_bytes": segment.size_bytes,
        "sealed_ns": now_ns,
    }
    write_durably(segment.manifest, keys.sign(fields, key).encode() + b"\n")


def check_manifest(segment: Segment, end: Link, public_key: Ed25519PublicKey | None = None) -> dict[str, Any]:
    """Return a sealed segment's manifest if it is signed and states the segment's `end`.

    Else raise `CorruptionError`.
    """
    try:
        fields = keys.check(segment.manifest.read_text(errors="replace"), public_key)
    except (InputError, OSError) as error:
        raise CorruptionError(segment.first_seq, f"the segment's manifest: {error}") from error
    stated = (fields.get("first_seq"), fields.get("last_seq"), fields.get("last_hash"), fields.get("size_bytes"))
    found = (segment.first_seq, end.next_seq - 1, end.hash.hex(), segment.size_bytes)
    if stated != found:
        raise CorruptionError(segment.first_seq, f"the segment's manifest states {stated}, the segment is {found}")
    return fields
