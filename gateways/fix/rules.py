"""The dictionary as one int32 table that compiled code looks things up in.

Every tag known has a column (0: unknown). Sections of the table, each at an offset named here: the column of a tag,
the kind of a message type, each column's type and values, each kind's rule for each column, each group's rule for
each column.

Invariants: the columns of header and trailer come first, so that what every message touches lies together; a rule of
0 means that the field does not belong there; within one message a field stands either outside groups or in them,
never both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from gateways.fix import dictionary
from gateways.fix.compiled import constants
from gateways.fix.tables import INVALID, UNSUPPORTED

if TYPE_CHECKING:
    from collections.abc import Iterator

TAGS_END: Final = 10_000
"""Tags from here on are unknown."""
USER_TAGS: Final = 5_000
"""From here on, tags are what two sides agree on."""
DEPTH_MAX: Final = 4
"""Groups within groups."""

# Bits of a rule
ALLOWED: Final = 1
REQUIRED: Final = 2
FRAMING: Final = 4
"""8, 9 and 10: framing has dealt with them, so here they are one too many."""
ANYWHERE: Final = 8
"""A group's field that has no place in the order."""
SECTION_SHIFT: Final = 4
"""0 header, 1 body, 2 trailer (two bits)."""
POSITION_SHIFT: Final = 6
"""Place of a field in its group's order, 1 for the first (eight bits)."""
GROUP_SHIFT: Final = 14
"""Number of the group that the field counts; 0: none (eight bits)."""

TYPES: Final = (
    "text", "char", "int", "decimal", "boolean", "sequence", "length", "count", "data", "timestamp", "time", "date",
    "month", "chars", "country",
)  # fmt: skip
"""Types by number."""
TYPE_MASK: Final = 0xFF
VALUES_SHIFT: Final = 8
"""A column's trait is its type, and above it the number of its list of values (0: any)."""
VALUES_WORDS: Final = 6
"""A list of values: 128 bits (of characters or of small numbers), then first and count of its longer ones in CODES."""


@dataclass(frozen=True, slots=True)
class Node:
    """A field of a message or group; a group's count has the group's fields as children, the first of them first."""

    tag: int
    required: bool
    children: tuple[Node, ...] = ()
    anywhere: bool = False


_TOKEN: Final = re.compile(r"\s*(?:\{(\w+)(!?)\}|(\d+)(\*?)(\()?|(\)))")


def parse(spec: str) -> tuple[Node, ...]:
    """Return the fields that a line of the dictionary means."""
    tokens = list(_TOKEN.finditer(spec))
    assert "".join(token.group() for token in tokens) == spec.rstrip(), f"{spec!r} has something that is no field"
    assert spec.count("(") == spec.count(")"), f"{spec!r} has a group without beginning or end"
    nodes, rest = _parse(tokens, 0)
    assert rest == len(tokens), f"{spec!r} closes a group that is not open"
    return nodes


def _parse(tokens: list[re.Match[str]], at: int) -> tuple[tuple[Node, ...], int]:
    nodes: list[Node] = []
    while at < len(tokens):
        block, strict, tag, required, opens, closes = tokens[at].groups()
        at += 1
        if closes:
            break
        if block:
            fields = parse(dictionary.BLOCKS[block])
            nodes += [Node(node.tag, node.required and bool(strict), node.children) for node in fields]
            continue
        children: tuple[Node, ...] = ()
        if opens:
            children, at = _parse(tokens, at)
        nodes.append(Node(int(tag), bool(required), children))
    return tuple(nodes), at


def with_newer(nodes: tuple[Node, ...], newer: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return the fields of a message with further ones, some of them in its groups."""
    groups = {node.tag: node.children for node in newer if node.children}
    extended = [
        Node(node.tag, node.required, with_newer(node.children, groups[node.tag])) if node.tag in groups else node
        for node in nodes
    ]
    return (*extended, *(Node(node.tag, required=False, anywhere=True) for node in newer if not node.children))


def fields_of(msg_type: str, *, newer: bool = False) -> tuple[Node, ...]:
    """Return the body of a message type."""
    nodes = with_newer(parse(dictionary.MESSAGES[msg_type]), parse(dictionary.LOGON_REQUESTS.get(msg_type, "")))
    return with_newer(nodes, parse(dictionary.NEWER.get(msg_type, ""))) if newer else nodes


def all_nodes(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Return the fields and all that is in their groups."""
    for node in nodes:
        yield node
        yield from all_nodes(node.children)


KINDS: Final = tuple(dictionary.MESSAGES)
"""Message types by their kind."""
KIND_COUNT: Final = len(KINDS)
APPLICATION_KINDS: Final = len(dictionary.APPLICATION_IN)
"""Kinds below this are application messages that clients send."""
ADMIN_KINDS: Final = APPLICATION_KINDS + len(dictionary.ADMIN)
"""Kinds below this and not below APPLICATION_KINDS are admin messages; from here on, what only the venue sends."""

_BODIES: Final = tuple(fields_of(kind) for kind in KINDS) + tuple(fields_of(kind, newer=True) for kind in KINDS)
"""The bodies in FIX 4.4, then those with newer tags."""
_HEADER: Final = parse(dictionary.HEADER)
_TRAILER: Final = parse(dictionary.TRAILER)


def _columns() -> dict[int, int]:
    found: dict[int, int] = {}
    for nodes in (_HEADER, _TRAILER, *_BODIES):
        for node in all_nodes(nodes):
            found.setdefault(node.tag, len(found) + 1)
    return found


COLUMN_OF: Final = _columns()
"""Column of each tag."""
COLUMNS: Final = len(COLUMN_OF) + 1
_GROUPS: Final = {
    (node.tag, node.children): 0 for nodes in (_HEADER, *_BODIES) for node in all_nodes(nodes) if node.children
}
for _number, _key in enumerate(_GROUPS, 1):
    _GROUPS[_key] = _number
GROUP_COUNT: Final = len(_GROUPS) + 1

COLUMN_AT: Final = 0
KIND_AT: Final = COLUMN_AT + TAGS_END
LETTER_A: Final = ord("A")
KIND_CODES: Final = 3 * 128
"""One character is its own code; a second one after A or B is 128 or 256 more."""
TRAIT_AT: Final = KIND_AT + KIND_CODES
NEEDED_AT: Final = TRAIT_AT + COLUMNS
"""How many fields each kind requires, header and all but the framing fields."""
GROUP_NEEDED_AT: Final = NEEDED_AT + 2 * KIND_COUNT
GROUP_TAG_AT: Final = GROUP_NEEDED_AT + GROUP_COUNT
RULE_AT: Final = GROUP_TAG_AT + GROUP_COUNT
GROUP_RULE_AT: Final = RULE_AT + 2 * KIND_COUNT * COLUMNS
TAG_AT: Final = GROUP_RULE_AT + GROUP_COUNT * COLUMNS
"""The tag of each column."""
VALUES_AT: Final = TAG_AT + COLUMNS


def pack(text: bytes) -> int:
    """Return up to nine characters as one number."""
    assert len(text) <= 9, f"{text!r} is too long for a value that is looked up"
    number = 0
    for byte in text:
        number = number << 7 | byte
    return number


def _value_lists() -> dict[tuple[str, bool], int]:
    ints = set(dictionary.TYPES["int"].split())
    found: dict[tuple[str, bool], int] = {}
    for tags, values in dictionary.VALUES.items():
        for tag in tags.split():
            found.setdefault((values, tag in ints), len(found) + 1)
    return found


_VALUE_LISTS: Final = _value_lists()
"""Number of each list of values, once as characters and once as numbers."""
RULE_WORDS: Final = VALUES_AT + (len(_VALUE_LISTS) + 1) * VALUES_WORDS
CODES: Final = constants(
    [pack(value.encode()) for values, _ in _VALUE_LISTS for value in values.split() if len(value) > 1]
)
"""Values of more than one character, packed, list after list."""


def _fill_columns(table: npt.NDArray[np.int32]) -> None:
    for tag, column in COLUMN_OF.items():
        table[COLUMN_AT + tag] = column
        table[TAG_AT + column] = tag
    for name, tags in dictionary.TYPES.items():
        for tag_text in tags.split():
            table[TRAIT_AT + COLUMN_OF[int(tag_text)]] = TYPES.index(name)
    ints = set(dictionary.TYPES["int"].split())
    for tags, values in dictionary.VALUES.items():
        for tag_text in tags.split():
            number = _VALUE_LISTS[values, tag_text in ints]
            table[TRAIT_AT + COLUMN_OF[int(tag_text)]] |= number << VALUES_SHIFT


def _fill_values(table: npt.NDArray[np.int32]) -> None:
    first = 0
    for (values, are_ints), number in _VALUE_LISTS.items():
        found = values.split()
        longer = sum(len(value) > 1 for value in found)
        bits = sum(1 << (int(value) if are_ints else ord(value)) for value in found if are_ints or len(value) == 1)
        at = VALUES_AT + number * VALUES_WORDS
        table[at : at + 4] = np.frombuffer(bits.to_bytes(16, "little"), np.int32)
        table[at + 4 : at + 6] = first, longer
        first += longer


def _rule(node: Node, section: int, position: int) -> int:
    rule = ALLOWED | section << SECTION_SHIFT | position << POSITION_SHIFT
    if node.children:
        rule |= _GROUPS[node.tag, node.children] << GROUP_SHIFT
    return rule | (REQUIRED if node.required else 0) | (ANYWHERE if node.anywhere else 0)


def _fill_kinds(table: npt.NDArray[np.int32]) -> None:
    table[KIND_AT : KIND_AT + KIND_CODES] = INVALID
    for text in dictionary.MESSAGE_TYPES.split():
        table[KIND_AT + code_of(text)] = KINDS.index(text) if text in KINDS else UNSUPPORTED
    for row, body in enumerate(_BODIES):
        for section, nodes in enumerate((_HEADER, body, _TRAILER)):
            for node in nodes:
                rule = _rule(node, section, 0)
                if node.tag in {8, 9, 10}:
                    rule = rule & ~REQUIRED | FRAMING
                table[RULE_AT + row * COLUMNS + COLUMN_OF[node.tag]] = rule
                table[NEEDED_AT + row] += rule & REQUIRED != 0


def _fill_groups(table: npt.NDArray[np.int32]) -> None:
    for (tag, children), group in _GROUPS.items():
        table[GROUP_TAG_AT + group] = tag
        for position, node in enumerate(children, 1):
            table[GROUP_RULE_AT + group * COLUMNS + COLUMN_OF[node.tag]] = _rule(node, 1, position)
            table[GROUP_NEEDED_AT + group] += node.required


def code_of(msg_type: str) -> int:
    """Return where a message type of FIX 4.4 stands in the section of kinds."""
    return ord(msg_type[-1]) + (128 * "AB".index(msg_type[0]) + 128 if len(msg_type) == 2 else 0)


def build() -> npt.NDArray[np.int32]:
    """Return the table, int32[RULE_WORDS]."""
    table = np.zeros(RULE_WORDS, np.int32)
    _fill_columns(table)
    _fill_values(table)
    _fill_kinds(table)
    _fill_groups(table)
    return table
