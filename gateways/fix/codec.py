"""The codec as Python sees it: a decoder that owns its tables, messages as objects, an encoder for rare ones.

Invariant: text that came from a peer can't add a field to a message that is written: a value with a SOH in it is
refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from gateways.fix import rules, tables
from gateways.fix.decode import decode
from gateways.fix.scan import LENGTH_TAGS
from gateways.fix.tables import Status
from gateways.fix.validate import WHERE_WORDS
from kk99.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

MESSAGE_BYTES_DEFAULT: Final = 4_096
MESSAGE_BYTES_MAX: Final = 65_536
BEGIN_STRING: Final = "FIX.4.4"
SOH: Final = "\x01"

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message of a peer, as far as the session layer cares: its header, what validation said, its bytes.

    `fields` has the first value of each tag, and only of admin messages and of what a Reject may answer.
    """

    status: Status
    msg_type: str = ""
    kind: int = tables.UNSUPPORTED
    reason: int = tables.VALID
    ref_tag: int = 0
    seq: int = -1
    poss_dup: bool = False
    poss_resend: bool = False
    names_right: bool = True
    sending_ns: int = -1
    orig_sending_ns: int = -1
    fields: dict[int, str] | None = None
    raw: bytes = b""

    @property
    def is_admin(self) -> bool:
        """Whether it belongs to the session layer."""
        return rules.APPLICATION_KINDS <= self.kind < rules.ADMIN_KINDS

    def text(self, tag: int) -> str:
        """Return a field's value, "" when it is not there."""
        return (self.fields or {}).get(tag, "")

    def number(self, tag: int) -> int | None:
        """Return a field's value as a number, None when it is not there; only for fields that were validated."""
        text = self.text(tag)
        return int(text) if text else None


class Decoder:
    """Tables for `decode` and what reads them; `spans` and `peers` are the caller's to fill."""

    def __init__(
        self, *, message_bytes: int = MESSAGE_BYTES_DEFAULT, field_rows: int = 1 << 16, message_rows: int = 1 << 12
    ) -> None:
        """Make tables for so many fields and messages a call; raise `InputError` if one message might not fit."""
        if not 64 <= message_bytes <= MESSAGE_BYTES_MAX or field_rows < message_bytes or message_rows < 1:
            raise InputError(
                f"messages of {message_bytes} bytes with {field_rows} field rows: 64 to {MESSAGE_BYTES_MAX}"
            )
        self.fields = np.zeros((field_rows, tables.FIELD_WORDS), np.int32)
        self.values = np.zeros(field_rows, np.int64)
        self.messages = np.zeros((message_rows, tables.MESSAGE_WORDS), np.int64)
        self.rules = rules.build()
        self.where = np.zeros(WHERE_WORDS, np.int32)
        self.limits = np.zeros(tables.LIMIT_WORDS, np.int64)
        self.limits[tables.L_MESSAGE_BYTES] = message_bytes

    def decode(self, buffer: Bytes, spans: Words, count: int, peers: Bytes, now_ns: int, accuracy_ns: int) -> int:
        """Decode the first spans of a buffer; return how many are done with (see `gateways.fix.decode`)."""
        self.limits[tables.L_NOW_NS] = now_ns
        self.limits[tables.L_ACCURACY_NS] = accuracy_ns
        return int(
            decode(
                buffer,
                spans,
                count,
                peers,
                self.fields,
                self.values,
                self.messages,
                self.rules,
                self.where,
                self.limits,
            )
        )

    def inbound(self, buffer: Bytes, message: int) -> Inbound:
        """Return a message of the last call."""
        row = self.messages[message].tolist()
        status = Status(row[tables.M_STATUS])
        raw = buffer[row[tables.M_BEGIN] : row[tables.M_END]].tobytes()
        if status >= Status.JUNK:
            return Inbound(status, raw=raw)
        kind, reason, flags = row[tables.M_KIND], row[tables.M_REASON], row[tables.M_FLAGS]
        is_admin = rules.APPLICATION_KINDS <= kind < rules.ADMIN_KINDS
        return Inbound(
            status=status,
            msg_type=_msg_type(row[tables.M_TYPE]),
            kind=kind,
            reason=reason,
            ref_tag=row[tables.M_REF_TAG],
            seq=row[tables.M_SEQ],
            poss_dup=bool(flags & tables.POSS_DUP),
            poss_resend=bool(flags & tables.POSS_RESEND),
            names_right=bool(flags & tables.NAMES_RIGHT),
            sending_ns=row[tables.M_SENDING_NS],
            orig_sending_ns=row[tables.M_ORIG_SENDING_NS],
            fields=self._fields(buffer, row) if is_admin or reason != tables.VALID else None,
            raw=raw,
        )

    def _fields(self, buffer: Bytes, row: list[int]) -> dict[int, str]:
        first = row[tables.M_FIRST]
        found: dict[int, str] = {}
        for tag, offset, length, _ in self.fields[first : first + row[tables.M_COUNT]].tolist():
            found.setdefault(tag, buffer[offset : offset + length].tobytes().decode("latin-1"))
        return found


def _msg_type(code: int) -> str:
    return "".join(chr(byte) for byte in (code & 0xFF, code >> 8) if byte)


def set_peer(peers: Bytes, peer: int, sender: str, target: str, *, newer: bool = False) -> None:
    """Write the names that a connection must use as SenderCompID and TargetCompID, and its dialect.

    Raises `InputError` for a name that is empty or longer than NAME_BYTES_MAX.
    """
    peers[peer] = 0
    peers[peer, 2] = newer
    for which, name in enumerate((sender.encode("latin-1"), target.encode("latin-1"))):
        if not 1 <= len(name) <= tables.NAME_BYTES_MAX:
            raise InputError(f"{name!r} is no CompID: 1 to {tables.NAME_BYTES_MAX} bytes")
        at = 8 + which * tables.NAME_BYTES_MAX
        peers[peer, which] = len(name)
        peers[peer, at : at + len(name)] = np.frombuffer(name, np.uint8)


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a message to be written says; `places` are the decimal places of its times: 0, 3, 6 or 9."""

    sender: str
    target: str
    seq: int
    sending_ns: int
    places: int = 3
    orig_sending_ns: int | None = None
    """Set on what is sent again: PossDupFlag goes with it."""
    poss_resend: bool = False


def timestamp_text(time_ns: int, places: int = 3) -> str:
    """Return a time as UTCTimestamp, cut to so many decimal places."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d-%H:%M:%S")
    return text + (f".{rest:09d}"[: places + 1] if places else "")


def encode(msg_type: str, fields: Iterable[tuple[int, Any]], header: Header) -> bytes:
    """Return a whole message: `fields` are (tag, value) of the body in order, values text, int, bool or bytes.

    Raises `InputError` for a value that has no text, or a SOH in what is not a data field.
    """
    return encode_body(msg_type, body_bytes(fields), header)


def body_bytes(fields: Iterable[tuple[int, Any]]) -> bytes:
    """Return the fields of a body as bytes; raises as `encode`."""
    return b"".join(_field(tag, value) for tag, value in fields)


def encode_body(msg_type: str, body: bytes, header: Header) -> bytes:
    """Return a whole message around a body that is bytes already."""
    parts: list[tuple[int, Any]] = [(35, msg_type), (34, header.seq), (49, header.sender)]
    parts += [(52, timestamp_text(header.sending_ns, header.places)), (56, header.target)]
    if header.orig_sending_ns is not None:
        parts += [(43, True), (122, timestamp_text(header.orig_sending_ns, header.places))]
    if header.poss_resend:
        parts.append((97, True))
    whole = body_bytes(parts) + body
    message = f"8={BEGIN_STRING}{SOH}9={len(whole)}{SOH}".encode() + whole
    return message + f"10={sum(message) % 256:03d}{SOH}".encode()


_DATA_TAGS: Final = frozenset(LENGTH_TAGS.values())


def _field(tag: int, value: str | int | bytes) -> bytes:
    if value is True or value is False:
        text = b"Y" if value else b"N"
    elif isinstance(value, bytes):
        text = value
    else:
        text = str(value).encode("latin-1", "replace")
    if not text or (b"\x01" in text and tag not in _DATA_TAGS):
        raise InputError(f"{text[:40]!r} can't be the value of field {tag}")
    return b"%d=%s\x01" % (tag, text)
