"""The body of a valid message as fields, and entries of its groups, for messages that are mapped one by one.

Invariant: only messages that passed validation come here; so within one entry of a group, and outside of groups, a tag
stands once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateways.fix.codec import SOH
from gateways.fix.scan import LENGTH_TAGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SOH: Final = SOH.encode()
_LENGTHS: Final = tuple(_SOH + b"%d=" % tag for tag in LENGTH_TAGS)
_PARTY_ID: Final = 448
_PARTY_ROLE: Final = 452


def split(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Return (tag, value) of each field of a whole message in order; data fields may have a SOH in their value."""
    if not any(mark in raw for mark in _LENGTHS):
        for part in raw[:-1].split(_SOH):
            tag_text, _, value = part.partition(b"=")
            yield int(tag_text), value
        return
    at, data_tag, data_length = 0, 0, 0
    while at < len(raw):
        equals = raw.index(b"=", at)
        tag = int(raw[at:equals])
        is_data = tag == data_tag != 0
        stop = equals + 1 + data_length if is_data else raw.index(_SOH, equals)
        value = raw[equals + 1 : stop]
        data_tag = LENGTH_TAGS.get(tag, 0)
        data_length = int(value) if data_tag else 0
        yield tag, value
        at = stop + 1


class Fields:
    """Fields of a message or of one entry of a group: the first value of each tag, and the parties."""

    def __init__(self, fields: Iterable[tuple[int, bytes]]) -> None:
        self._first: dict[int, bytes] = {}
        self.parties: dict[bytes, bytes] = {}
        """PartyID by PartyRole (452)."""
        party = b""
        for tag, value in fields:
            self._first.setdefault(tag, value)
            if tag == _PARTY_ID:
                party = value
            elif tag == _PARTY_ROLE:
                self.parties.setdefault(value, party)

    @classmethod
    def of(cls, raw: bytes) -> Fields:
        """Return the fields of a whole message."""
        return cls(split(raw))

    def __contains__(self, tag: int) -> bool:
        return tag in self._first

    def raw(self, tag: int) -> bytes:
        """Return a field's value, b"" when it is not there."""
        return self._first.get(tag, b"")

    def text(self, tag: int) -> str:
        """Return a field's value as text, each byte a character, "" when it is not there."""
        return self._first.get(tag, b"").decode("latin-1")

    def number(self, tag: int) -> int:
        """Return a field's value as a whole number, 0 when it is not there."""
        return int(self._first.get(tag, b"0"))


def entries(raw: bytes, first_tag: int) -> list[Fields]:
    """Return the entries of a group, each of which begins with a tag that stands nowhere else."""
    found: list[list[tuple[int, bytes]]] = []
    for tag, value in split(raw):
        if tag == first_tag:
            found.append([])
        if found:
            found[-1].append((tag, value))
    return [Fields(fields) for fields in found]
