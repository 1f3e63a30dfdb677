"""The messages between the engine and its clients, as bytes and back: no sockets in here.

A message is one ZeroMQ multipart message: a 32-byte head (version, kind, a number of payload parts, three integers),
then the payload parts. What the integers mean stands beside each kind. A peer that speaks another version, or
anything else, gets `ProtocolError`.

Invariants: a head is HEAD_SIZE bytes; every message but SUBMIT, EVENTS and IMAGE has at most one payload part, a
msgpack map.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgpack

from kk99 import batch, schema

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION: Final = 1
_HEAD: Final = struct.Struct("<HHIqqq")
HEAD_SIZE: Final = _HEAD.size
_INT64_MAX: Final = (1 << 63) - 1
PARTS_MAX: Final = 4096
"""Payload parts of one message: what one IMAGE or EVENTS reply may carry."""
DOCUMENT_BYTES_MAX: Final = 65_536
"""Bytes of a msgpack payload."""
MESSAGE_BYTES_MAX: Final = batch.HEADER_SIZE + 2 * schema.BATCH_ROWS_MAX * schema.ROW_SIZE + batch.TAIL_BYTES_MAX
"""Bytes of a part that a client may send: BATCH_ROWS_MAX rows, each with its cold row, and the longest tail."""
NAME_BYTES_MAX: Final = 32
INDEX_MAX: Final = (1 << 32) - 1
"""The highest index that an event's identity can have on the wire."""
_SEEN_MAX: Final = 64
"""What an answer repeats of a peer's text at most."""

SUBMIT_SOCKET: Final = "submit"
EVENTS_SOCKET: Final = "events"
QUERY_SOCKET: Final = "query"
EVENTS_TOPIC: Final = b"E"


class Kind(schema.Documented):
    """What a message is; a, b and c are its three integers."""

    HELLO = (
        1,
        "Client, submit: bind this connection to a session. a = any number. Payload {name, new_epoch, fingerprint}.",
    )
    WELCOME = 2, "Engine: the answer to HELLO (a = its number) and GREET. Payload as `Welcome`."
    SUBMIT = 3, "Client, submit: a = frame number (rises by one a connection). Payload: one frame of commands."
    ACK = (
        4,
        "Engine: a = last client sequence durable and applied, b = durable seq, c = next client sequence expected.",
    )
    BUSY = 5, "Engine: a frame was refused. a = client sequence to send again from, b = its number, c = a `BusyReason`."
    PING = 6, "Client, submit: keeps the lease. a = any number. The answer is PONG."
    PONG = 7, "Engine: a, c as in ACK, b = the number of the PING."
    BYE = 8, "Client, submit: ends the binding. a = 1: as if the lease had lapsed (cancel on lost), 0: quietly."
    ERROR = 9, "Engine: a = an `ErrorCode`, b = frame number or 0. Payload {text}. The connection is no longer bound."
    GREET = 10, "Client, query: what is this engine? Payload {fingerprint}. The answer is WELCOME with session 0."
    READ = (
        11,
        "Client, query: events after (a, b), about c bytes of them; b = -1: from a's first on. The answer is EVENTS.",
    )
    EVENTS = 12, "Engine: (a, b) = last event given, c = 1 when no more are stored. Payload: event frames."
    IMAGE_ASK = 13, "Client, query: the whole state. The answer is one or more IMAGE."
    IMAGE = 14, "Engine: a = seq; (b, c) = last event up to it. The last one has no payload. Payload: event frames."
    STATS_ASK = 15, "Client, query: counters. The answer is STATS."
    STATS = 16, "Engine: payload {name: number}."
    CLOCK_CONFIRM = 17, "Operator, query: the clock's jump is right, go on. The answer is STATS."
    COMMANDS_ASK = 18, "Client, query: durable commands by sequence. Payload {seqs}. The answer is COMMANDS."
    COMMANDS = 19, "Engine: payload: one frame of commands with their cold rows, those with documents left out."


class BusyReason(schema.Documented):
    """Why a frame was refused."""

    FULL = 1, "The engine has no room: send again a little later."
    GAP = 2, "An earlier frame was refused or lost: send again from there."
    CLOCK = 3, "The clock jumped; an operator must confirm before commands are taken."
    CLOSING = 4, "The engine is shutting down."
    DISK = 5, "The disk is nearly full."


class ErrorCode(schema.Documented):
    """Why a connection was refused."""

    MESSAGE_INVALID = 1, "Not a message of this protocol."
    FRAME_INVALID = 2, "The frame cannot be decoded, or is of another schema."
    ROWS_INVALID = 3, "The rows are not this session's, not in order, or of a kind that no client may send."
    NOT_BOUND = 4, "Say HELLO first: the engine restarted, or the lease lapsed."
    TAKEN_OVER = 5, "Another connection has said HELLO for this session."
    HELLO_REFUSED = 6, "The name or the schema is not acceptable, or the venue has no room for a session."
    NOT_STORED = 7, "The events asked for are no longer stored: take an image and go on after it."


class ProtocolError(ValueError):
    """The bytes are not a message of this protocol; the text says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its kind, its three integers, its payload parts (buffers)."""

    kind: Kind
    a: int = 0
    b: int = 0
    c: int = 0
    payload: Sequence[Any] = ()

    def parts(self) -> list[Any]:
        """Return the parts to send, in order."""
        return [_HEAD.pack(VERSION, self.kind, len(self.payload), self.a, self.b, self.c), *self.payload]

    def document(self) -> dict[str, Any]:
        """Return the payload as a map with text keys, or raise `ProtocolError`."""
        if len(self.payload) != 1 or len(self.payload[0]) > DOCUMENT_BYTES_MAX:
            raise ProtocolError(f"{self.kind.name} needs one payload of at most {DOCUMENT_BYTES_MAX} bytes")
        try:
            value = msgpack.unpackb(self.payload[0], raw=False, strict_map_key=True)
        except (ValueError, msgpack.UnpackException, RecursionError) as error:
            raise ProtocolError(f"the payload of {self.kind.name} is not msgpack") from error
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise ProtocolError(f"the payload of {self.kind.name} is not a map")
        return value


_KINDS: Final = {int(kind): kind for kind in Kind}


def decode(parts: Sequence[Any]) -> Message:
    """Return the message that the parts (bytes-like) are, or raise `ProtocolError`."""
    if not parts or len(parts[0]) != HEAD_SIZE:
        raise ProtocolError(f"the first part is not a head of {HEAD_SIZE} bytes")
    version, kind, count, a, b, c = _HEAD.unpack(parts[0])
    if version != VERSION:
        raise ProtocolError(f"protocol version {version} where {VERSION} is spoken")
    if kind not in _KINDS:
        raise ProtocolError(f"message kind {kind} is unknown")
    if count != len(parts) - 1 or count > PARTS_MAX:
        raise ProtocolError(f"{len(parts) - 1} payload parts where the head promises {count}")
    return Message(_KINDS[kind], a, b, c, parts[1:])


def with_document(kind: Kind, document: dict[str, Any], a: int = 0, b: int = 0, c: int = 0) -> Message:
    """Make a message whose payload is a map."""
    return Message(kind, a, b, c, [msgpack.packb(document)])


def error(code: ErrorCode, text: str, frame_no: int = 0) -> Message:
    """Make an ERROR."""
    return with_document(Kind.ERROR, {"text": text}, code, frame_no)


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client asks for: the session called `name`, in its open epoch or in a new one."""

    name: str
    new_epoch: bool = False
    fingerprint: int = schema.FINGERPRINT

    def message(self, number: int = 0) -> Message:
        """Return it as a message."""
        document = {"name": self.name, "new_epoch": self.new_epoch, "fingerprint": self.fingerprint}
        return with_document(Kind.HELLO, document, number)

    @classmethod
    def of(cls, message: Message) -> Hello:
        """Read it from a message, or raise `ProtocolError`."""
        document = message.document()
        name, new_epoch, fingerprint = (document.get(key) for key in ("name", "new_epoch", "fingerprint"))
        if not isinstance(name, str) or not 1 <= len(name.encode()) <= NAME_BYTES_MAX:
            raise ProtocolError(f"a session's name is 1 to {NAME_BYTES_MAX} bytes of text")
        if not isinstance(new_epoch, bool):
            raise ProtocolError("new_epoch is not a truth value")
        return cls(name, new_epoch, _fingerprint(fingerprint))


def check_greeting(message: Message) -> None:
    """Raise `ProtocolError` unless a GREET is of this schema."""
    _fingerprint(message.document().get("fingerprint"))


def _fingerprint(value: object) -> int:
    if value != schema.FINGERPRINT:
        raise ProtocolError(f"schema {_seen(value)} where {schema.FINGERPRINT:016x} is spoken")
    return schema.FINGERPRINT


def _seen(value: object) -> str:
    """Return something a peer sent as short text; a container is only named, since its repr has no bound."""
    if isinstance(value, int):
        return f"{value & _INT64_MAX:016x}"
    if isinstance(value, str | bytes):
        return repr(value[:_SEEN_MAX])[:_SEEN_MAX]
    return type(value).__name__


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the engine says of itself and of the session; session 0 is a reader's.

    `last_client_seq` is the last number taken in `epoch`, durably; `last_event` the last event published, as
    (cause_seq, index).
    """

    session_id: int
    epoch: int
    last_client_seq: int
    durable_seq: int
    last_event: tuple[int, int]
    lease_s: float
    venue_id: bytes

    def message(self, number: int = 0) -> Message:
        """Return it as a message; `number` is the HELLO's."""
        return with_document(
            Kind.WELCOME,
            {
                "session_id": self.session_id,
                "epoch": self.epoch,
                "last_client_seq": self.last_client_seq,
                "durable_seq": self.durable_seq,
                "last_event": list(self.last_event),
                "lease_s": self.lease_s,
                "venue_id": self.venue_id,
                "fingerprint": schema.FINGERPRINT,
            },
            number,
        )

    @classmethod
    def of(cls, message: Message) -> Welcome:
        """Read it from a message, or raise `ProtocolError`."""
        document = message.document()
        _fingerprint(document.get("fingerprint"))
        try:
            cause_seq, index = document["last_event"]
            return cls(
                int(document["session_id"]),
                int(document["epoch"]),
                int(document["last_client_seq"]),
                int(document["durable_seq"]),
                (int(cause_seq), int(index)),
                _finite(document["lease_s"]),
                bytes(document["venue_id"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError("a WELCOME lacks a field") from error


def _finite(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def endpoint(base: str, socket: str) -> str:
    """Return the address of one of the engine's sockets.

    `base` is a folder (the sockets are files in it) or `tcp://host:port` (they are that port and the two after it).
    """
    if base.startswith("tcp://"):
        host, _, port = base.rpartition(":")
        return f"{host}:{int(port) + (SUBMIT_SOCKET, EVENTS_SOCKET, QUERY_SOCKET).index(socket)}"
    return f"ipc://{Path(base.removeprefix('ipc://')).absolute() / socket}"
