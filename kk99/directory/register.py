"""A register: the canonical documents of one kind of entity, numbered without gaps in order of definition.

Invariants: a name has one number for ever; the document at a number carries that number and that name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kk99.directory.blocks import Blocks
from kk99.directory.documents import Fields, pack, unpack

if TYPE_CHECKING:
    from kk99.schema import EventKind


class Register:
    """Documents by number, numbers by name; numbers run from `first` and stay below `bound`.

    `title` names its section of the state, `event` is the kind of the event that defines an entity.

    Documents are kept as bytes: small, ready to be sent, hashed and saved; fields are unpacked when asked for.
    """

    __slots__ = ("_bound", "_numbers", "documents", "event", "first", "title")

    def __init__(self, title: str, event: EventKind, first: int, bound: int) -> None:
        self.title = title
        self.event = event
        self.first = first
        self._bound = bound
        self._numbers: dict[str, int] = {}
        self.documents = Blocks()

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def next_number(self) -> int:
        """The number that the next entity would get."""
        return self.first + len(self.documents)

    @property
    def is_full(self) -> bool:
        """Whether no number is left."""
        return self.next_number >= self._bound

    def number_of(self, name: str) -> int:
        """Return the number of a name, 0 if it has none."""
        return self._numbers.get(name, 0)

    def fields(self, key: str | int) -> Fields | None:
        """Return the document's fields of a name or number, None if there is none."""
        number = self.number_of(key) if isinstance(key, str) else key
        if not self.first <= number < self.next_number:
            return None
        fields: Fields = unpack(self.documents[number - self.first])
        return fields

    def add(self, fields: Fields) -> tuple[int, bytes]:
        """Record a new entity under the next number; return it and the canonical document."""
        assert not self.is_full
        number = self.next_number
        document = pack(fields | {"number": number})
        self.load(fields["name"], document)
        return number, document

    def change(self, number: int, fields: Fields) -> bytes:
        """Record an entity as it now stands; return the canonical document."""
        document = pack(fields | {"number": number})
        self.documents.replace(number - self.first, document)
        return document

    def refuses(self, name: str) -> bool:
        """Whether the name is new and no number is left for it."""
        return self.is_full and name not in self._numbers

    def put(self, fields: Fields) -> tuple[int, bytes]:
        """Record an entity that is new, or a known one as it now stands; return its number and canonical document."""
        number = self.number_of(fields["name"])
        return (number, self.change(number, fields)) if number else self.add(fields)

    def load(self, name: Any, document: bytes) -> None:
        """Record a canonical document as the next one."""
        assert name not in self._numbers
        self._numbers[name] = self.next_number
        self.documents.append(document)
