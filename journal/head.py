"""The head of the journal, signed for outsiders to keep: whoever has it can prove that a later log extends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from journal import keys
from kk99.errors import CorruptionError, InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from journal.reader import Reader


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a batch: `hash` (32 bytes) commits to every batch up to `seq`, `time_ns` is its last command's."""

    seq: int
    hash: bytes
    time_ns: int
    venue_id: bytes


def sign(head: Head, private_key: Ed25519PrivateKey) -> str:
    """Return the head as one line of JSON with an Ed25519 signature and the public key."""
    fields = {"seq": head.seq, "hash": head.hash.hex(), "time_ns": head.time_ns, "venue_id": head.venue_id.hex()}
    return keys.sign(fields, private_key)


def check(text: str, public_key: Ed25519PublicKey | None = None) -> Head:
    """Return the head that a signed line states; `InputError` if the line is not one, was changed, or is another's."""
    fields = keys.check(text, public_key)
    try:
        return Head(
            int(fields["seq"]), bytes.fromhex(fields["hash"]), int(fields["time_ns"]), bytes.fromhex(fields["venue_id"])
        )
    except (KeyError, ValueError, TypeError) as error:
        raise InputError("the line is signed but is no head of a journal") from error


def extends(reader: Reader, head: Head) -> None:
    """Check that the log holds exactly the batch of `head`, ending at its sequence; raise `CorruptionError` if not.

    This looks at one batch: that the batches before it lead to its hash is `journal.verify`'s to prove.
    """
    if head.seq == 0:
        return
    batch = reader.batch_at(head.seq)
    if batch is None:
        raise CorruptionError(head.seq, "the log ends before the head")
    if batch.header.venue_id != head.venue_id:
        raise CorruptionError(head.seq, "the log is of another venue than the head")
    if batch.last_seq != head.seq:
        raise CorruptionError(head.seq, f"the head ends a batch here, the log's goes on to {batch.last_seq}")
    if batch.hash != head.hash:
        raise CorruptionError(head.seq, "the batch is not the one the head names")
