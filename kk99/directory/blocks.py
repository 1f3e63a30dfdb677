"""A list of byte strings of which a copy is made in no time, for another thread to read at leisure.

Invariant: a block that is full never changes; where one of its strings is replaced, another block takes its place.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK_ITEMS: Final = 512


class Blocks:
    """Byte strings by index, from 0."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: list[list[bytes]] = [[]]

    def __len__(self) -> int:
        return (len(self._blocks) - 1) * BLOCK_ITEMS + len(self._blocks[-1])

    def __getitem__(self, index: int) -> bytes:
        return self._blocks[index // BLOCK_ITEMS][index % BLOCK_ITEMS]

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(self._blocks)

    def append(self, item: bytes) -> None:
        """Add a string at the end."""
        if len(self._blocks[-1]) == BLOCK_ITEMS:
            self._blocks.append([])
        self._blocks[-1].append(item)

    def replace(self, index: int, item: bytes) -> None:
        """Put a string in place of another."""
        block = self._blocks[index // BLOCK_ITEMS].copy()
        block[index % BLOCK_ITEMS] = item
        self._blocks[index // BLOCK_ITEMS] = block

    def copy(self) -> list[list[bytes]]:
        """Return the strings as they stand, in lists that never change."""
        return [*self._blocks[:-1], self._blocks[-1].copy()]


def join(blocks: Iterable[Iterable[bytes]]) -> bytes:
    """Return all strings end to end; block by block, so that other threads get their turns."""
    return b"".join([b"".join(block) for block in blocks])
