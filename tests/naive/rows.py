"""Between fields by name and rows: commands to a batch, events to EVENT rows and back, and both as readable text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kk99 import batch, kinds, schema
from kk99.schema import AccountState, CancelReason, CommandKind, EventKind, Flag, RejectCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.naive.model import Naive
    from tests.naive.venue import Event

Rows = npt.NDArray[np.void]
Item = tuple[dict[str, int], bytes]
"""A command: its fields that are not zero, and its document."""

DOCUMENT_EVENTS = frozenset(kinds.DOCUMENT_EVENTS)
COMMAND_FIELDS = schema.COMMAND.names or ()
EVENT_FIELDS = schema.EVENT.names or ()
OFFSETS = {name: entry[1] for name, entry in (schema.EVENT.fields or {}).items()}


def to_commands(items: Sequence[Item]) -> batch.Commands:
    """A batch of the commands, with a cold row of zeros for each that says HAS_COLD."""
    rows, tail = np.zeros(len(items), schema.COMMAND), b""
    for row, (fields, document) in zip(rows, items, strict=True):
        for name, value in fields.items():
            row[name] = value
        if fields["kind"] >= schema.FIRST_DOCUMENT_KIND:
            row["document_offset"], row["document_size"] = len(tail), len(document)
            tail += document
    cold = np.zeros(int(np.count_nonzero(rows["flags"] & Flag.HAS_COLD)), schema.COLD)
    return batch.commands(rows, cold, tail)


def to_rows(events: Iterable[Event]) -> tuple[Rows, bytes]:
    """EVENT rows of the events, and the tail that their documents stand in."""
    listed = list(events)
    rows, tail = np.zeros(len(listed), schema.EVENT), b""
    for row, event in zip(rows, listed, strict=True):
        for name, value in event.items():
            if name != "document":
                row[name] = value
        if event["kind"] in DOCUMENT_EVENTS:
            row["document_offset"], row["document_size"] = len(tail), len(event.get("document", b""))
            tail += event.get("document", b"")
    return rows, tail


def document_of(row: np.void, tail: bytes | memoryview) -> bytes:
    """The document of an event row, empty if its kind has none."""
    if row["kind"] not in DOCUMENT_EVENTS:
        return b""
    offset, size = int(row["document_offset"]), int(row["document_size"])
    return bytes(tail[offset : offset + size])


def differences(ours: np.void, theirs: np.void) -> list[str]:
    """One line for each field in which two event rows differ, the offset of a document apart."""
    lines: dict[int, list[str]] = {}
    for name in EVENT_FIELDS:
        is_union = name == "leaves_lots" and ours["kind"] in DOCUMENT_EVENTS
        if name != "document_offset" and not is_union and ours[name] != theirs[name]:
            lines.setdefault(OFFSETS[name], []).append(f"{name}: naive {ours[name]}, core {theirs[name]}")
    return [" = ".join(names) for names in lines.values()]


# Text -----------------------------------------------------------------------------------------------------------------

HIDDEN = {"kind", "cause_seq", "time_ns", "index", "command_kind", "client_seq", "session_id", "session_epoch"}


def describe_event(event: Event) -> str:
    """One line: the kind, then the fields that are not zero, but for those that every event has."""
    kind = EventKind(event["kind"])
    words = [kind.name]
    for name, value in event.items():
        if name in HIDDEN or name == "document" or (name == "origin_seq" and value == event["cause_seq"]):
            continue
        words.append(f"{name}={value_text(kind, name, value)}")
    return " ".join(words)


def value_text(kind: EventKind, name: str, value: Any) -> str:
    """A field's value, by its enum's name where it has one."""
    if name == "reason":
        is_refusal = kind in {EventKind.REJECTED, EventKind.EXITS_REFUSED}
        return RejectCode(value).name if is_refusal else CancelReason(value).name
    if name == "state" and kind == EventKind.ACCOUNT_STATE_CHANGED:
        return AccountState(value).name
    return str(int(value))


def describe_command(item: Item) -> str:
    """One line: the kind and the fields that are not zero."""
    fields, document = item
    kind = fields["kind"]
    name = CommandKind(kind).name if kind in set(CommandKind) else f"kind {kind}"
    words = [name, *(f"{key}={value}" for key, value in fields.items() if value and key != "kind")]
    return " ".join(words) + (f" {document!r}" if document else "")


def completed(fields: dict[str, int]) -> dict[str, int]:
    """All fields of a command, as the row would read: unions filled from whichever name is given."""
    row = np.zeros(1, schema.COMMAND)
    for name, value in fields.items():
        row[name] = value
    return dict(zip(COMMAND_FIELDS, row[0].item(), strict=True))


def apply_to_naive(naive: Naive, commands: batch.Commands) -> list[Event]:
    """Apply a stamped batch to the model and return all its events."""
    events: list[Event] = []
    for row in commands.rows:
        document = b""
        if row["kind"] >= schema.FIRST_DOCUMENT_KIND:
            offset, size = int(row["document_offset"]), int(row["document_size"])
            document = bytes(commands.tail[offset : offset + size])
        events += naive.apply(row, document)
    return events
