"""LMDB's files read as plain bytes, so that a damaged one is known before LMDB maps it.

LMDB trusts its file: a length or page number that lies sends it past the end of the map, which kills the process. So
the meta pages, and every page on the way to the keys that will be read, are checked here first with `pread`. Nothing
here maps. The layout is that of LMDB 0.9 on a 64-bit little-endian machine (data version 1).
"""

from __future__ import annotations

import itertools
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

DATA_FILE: Final = "data.mdb"
MAGIC: Final = 0xBEEFC0DE
DATA_VERSION: Final = 1
PAGE_HEADER: Final = struct.Struct("<QHHHH")
"""Page number, pad, flags, lower, upper; an overflow page has its number of pages in the last four bytes."""
_META: Final = struct.Struct("<IIQQ IHH5Q IHH5Q QQ")
META_BYTES: Final = PAGE_HEADER.size + _META.size
"""What of a meta page is in use."""
_NODE: Final = struct.Struct("<HHHH")
_BRANCH: Final = 1
_LEAF: Final = 2
_OVERFLOW: Final = 4
_META_PAGE: Final = 8
_BIG_DATA: Final = 1
_INTEGER_KEY: Final = 8
_NO_PAGE: Final = (1 << 64) - 1
_PAGE_SIZES: Final = frozenset({4096, 8192, 16384, 32768})
_KEY_SIZES: Final = frozenset({8, 16})
_DEPTH_MAX: Final = 32


class PageError(ValueError):
    """The file is damaged; `last_key` is the last key before the damage that can be reached safely (None.

    Not even one).
    """

    def __init__(self, message: str, last_key: bytes | None = None) -> None:
        """Say what is wrong, and after which key."""
        super().__init__(message)
        self.last_key = last_key


class Meta(NamedTuple):
    """One meta page: the tree of one committed transaction."""

    page_size: int
    map_size: int
    depth: int
    entries: int
    root: int
    last_page: int
    txn_id: int


@dataclass(frozen=True, slots=True)
class Metas:
    """Both meta pages; `newest` is the one LMDB will use."""

    newest: Meta
    older: Meta


def read_metas(folder: Path) -> Metas:
    """Return both meta pages of the environment in `folder`, or raise `PageError`.

    The file is as long as the newest one says at least.
    """
    try:
        fd = os.open(folder / DATA_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise PageError(f"{folder / DATA_FILE}: {error.strerror}") from error
    try:
        metas = _read_metas(fd)
        size = os.fstat(fd).st_size
    except OSError as error:
        raise PageError(f"{folder / DATA_FILE}: {error.strerror}") from error
    finally:
        os.close(fd)
    needed = (metas.newest.last_page + 1) * metas.newest.page_size
    if size < needed:
        raise PageError(f"the file has {size} bytes, {needed} are needed")
    return metas


def read_raw_meta(folder: Path, txn_id: int) -> bytes | None:
    """Return the meta page of transaction `txn_id` as it is, or None if a later one has taken its place."""
    with (folder / DATA_FILE).open("rb", buffering=0) as file:
        page_size = _meta(os.pread(file.fileno(), META_BYTES, 0), 0).page_size
        data = os.pread(file.fileno(), META_BYTES, (txn_id & 1) * page_size)
    return data if _meta(data, txn_id & 1).txn_id == txn_id else None


def write_raw_meta(folder: Path, data: bytes) -> None:
    """Set the environment back to the transaction of a meta page that `read_raw_meta` returned.

    Nobody may have it open.
    """
    index = PAGE_HEADER.unpack_from(data)[0]
    meta = _meta(data, index & 1)
    other = bytearray(data)
    struct.pack_into("<Q", other, 0, 1 - index)
    struct.pack_into("<Q", other, META_BYTES - 8, max(meta.txn_id - 1, 0))
    with (folder / DATA_FILE).open("r+b", buffering=0) as file:
        os.pwrite(file.fileno(), data, index * meta.page_size)
        os.pwrite(file.fileno(), other, (1 - index) * meta.page_size)
        os.fsync(file.fileno())


def _read_metas(fd: int) -> Metas:
    first = _meta(os.pread(fd, META_BYTES, 0), 0)
    second = _meta(os.pread(fd, META_BYTES, first.page_size), 1)
    newest, older = (first, second) if first.txn_id >= second.txn_id else (second, first)
    # The first commit of an opening with a larger map notes that size in its own meta page; it never gets smaller.
    is_map_sound = newest.map_size == older.map_size or (newest.txn_id and newest.map_size > older.map_size)
    if first.page_size != second.page_size or not is_map_sound:
        raise PageError("the two meta pages disagree")
    if newest.txn_id and newest.txn_id != older.txn_id + 1:
        raise PageError(f"the meta pages are of transactions {older.txn_id} and {newest.txn_id}")
    if newest.last_page < older.last_page:
        raise PageError("the newest meta page says less than the one before it")
    if (newest.last_page + 1) * newest.page_size > newest.map_size:
        raise PageError("the meta page says more pages than the map has")
    return Metas(newest, older)


def _meta(data: bytes, index: int) -> Meta:
    if len(data) < META_BYTES:
        raise PageError("the file is too short for its meta pages")
    page, _, flags, _, _ = PAGE_HEADER.unpack_from(data)
    (
        magic, version, address, map_size,
        page_size, free_flags, _, _, _, _, _, free_root,
        pad, main_flags, depth, _, _, _, entries, root,
        last_page, txn_id,
    ) = _META.unpack_from(data, PAGE_HEADER.size)  # fmt: skip
    if magic != MAGIC or version != DATA_VERSION or page != index or not flags & _META_PAGE:
        raise PageError(f"meta page {index} is not one")
    if page_size not in _PAGE_SIZES or free_flags != _INTEGER_KEY or main_flags or pad or address:
        raise PageError(f"meta page {index} is damaged")
    if txn_id and txn_id & 1 != index:
        raise PageError(f"meta page {index} is of transaction {txn_id}")
    if depth > _DEPTH_MAX or (depth == 0) != (root == _NO_PAGE) or (depth == 0) != (entries == 0):
        raise PageError(f"meta page {index} has no sound root")
    if not (free_root == _NO_PAGE or 2 <= free_root <= last_page):
        raise PageError(f"meta page {index} has no sound free list")
    return Meta(page_size, map_size, depth, entries, root, last_page, txn_id)


def check_tree(folder: Path, from_key: bytes = b"") -> Meta:
    """Check every page that reading from `from_key` on, one key before it, or the first key, can meet.

    Returns the meta page checked; raises `PageError`, whose `last_key` tells how far reading is safe.
    """
    newest = read_metas(folder).newest
    if newest.depth:
        with (folder / DATA_FILE).open("rb", buffering=0) as file:
            walk = _Walk(file.fileno(), newest, from_key)
            try:
                walk.visit(newest.root, 1, leftmost=True)
            except OSError as error:
                raise PageError(f"{folder / DATA_FILE}: {error.strerror}", walk.last_key) from error
    return newest


class _Walk:
    """One pass over a tree, in key order."""

    def __init__(self, fd: int, meta: Meta, from_key: bytes) -> None:
        self._fd = fd
        self._meta = meta
        self._from_key = from_key
        self.last_key: bytes | None = None

    def visit(self, number: int, depth: int, *, leftmost: bool) -> None:
        """Check page `number` and those below it that are in reach."""
        data, pointers = self._page(number, _LEAF if depth == self._meta.depth else _BRANCH)
        if depth == self._meta.depth:
            self._leaf(data, pointers)
            return
        children, keys = [], []
        for index, at in enumerate(pointers):
            low, high, top, key_size = _NODE.unpack_from(data, at)
            end = at + _NODE.size + key_size
            self._need(
                end <= len(data) and (key_size in _KEY_SIZES or (index == 0 and key_size == 0)), "a branch's key"
            )
            children.append(low | high << 16 | top << 32)
            keys.append(data[at + _NODE.size : end])
        self._need(all(low < high for low, high in itertools.pairwise(keys[1:])), "the order of a branch")
        for index, child in enumerate(children):
            # One child further left than the key needs: reading may step back by one key.
            in_reach = index + 2 >= len(keys) or keys[index + 2] > self._from_key
            if in_reach or (leftmost and index == 0):
                self.visit(child, depth + 1, leftmost=leftmost and index == 0)

    def _page(self, number: int, kind: int) -> tuple[bytes, tuple[int, ...]]:
        size = self._meta.page_size
        self._need(2 <= number <= self._meta.last_page, f"page number {number}")
        data = os.pread(self._fd, size, number * size)
        self._need(len(data) == size, f"page {number}: it is cut short")
        page, _, flags, lower, upper = PAGE_HEADER.unpack_from(data)
        self._need(page == number and flags == kind, f"page {number}")
        self._need(PAGE_HEADER.size < lower <= upper <= size and lower % 2 == 0, f"page {number}: its bounds")
        pointers = struct.unpack_from(f"<{(lower - PAGE_HEADER.size) // 2}H", data, PAGE_HEADER.size)
        self._need(min(pointers) >= upper and max(pointers) <= size - _NODE.size, f"page {number}: its pointers")
        self._need(kind == _LEAF or len(pointers) > 1, f"page {number}: its children")
        return data, pointers

    def _leaf(self, data: bytes, pointers: tuple[int, ...]) -> None:
        for at in pointers:
            low, high, flags, key_size = _NODE.unpack_from(data, at)
            value_at = at + _NODE.size + key_size
            value_size = low | high << 16
            self._need(key_size in _KEY_SIZES and flags in {0, _BIG_DATA}, "a node")
            self._need(value_at + (8 if flags else value_size) <= len(data), "a node's size")
            key = data[at + _NODE.size : value_at]
            self._need(self.last_key is None or key > self.last_key, "the order of a leaf")
            if flags:
                self._big(int.from_bytes(data[value_at : value_at + 8], "little"), value_size)
            self.last_key = key

    def _big(self, number: int, value_size: int) -> None:
        size, last_page = self._meta.page_size, self._meta.last_page
        self._need(2 <= number <= last_page, f"page number {number}")
        page, _, flags, low, high = PAGE_HEADER.unpack_from(os.pread(self._fd, PAGE_HEADER.size, number * size))
        pages = low | high << 16
        self._need(page == number and flags == _OVERFLOW, f"page {number}")
        self._need(pages == (PAGE_HEADER.size - 1 + value_size) // size + 1, f"page {number}: its length")
        self._need(number + pages - 1 <= last_page, f"page {number}: its end")

    def _need(self, sound: bool, what: str) -> None:
        if not sound:
            raise PageError(f"{what} is damaged", self.last_key)
