"""The core's memory as Python sees it: reserved once, its primary tables copied out for snapshots and loaded back.

The memory is reserved at its largest and costs only what is touched. Nothing here decides anything: it converts and
copies.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from kk99 import schema
from kk99.core import apply, index
from kk99.core import layout as lay
from kk99.core.memory import LANE
from kk99.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

Words = npt.NDArray[np.int64]
_MAP_NORESERVE: Final = 0x4000  # Linux; Python 3.11's mmap does not name it


@dataclass(frozen=True, slots=True)
class Table:
    """A primary table: where it begins, how many words are in use, and which words of each record are derived."""

    name: str
    base: int
    words: Callable[[Words], int]
    record_words: int = 1
    derived: tuple[int, ...] = ()


def _counted(header: int, record_words: int, most: int | None = None) -> Callable[[Words], int]:
    def words(memory: Words) -> int:
        count = int(memory[lay.HEADER + header]) + 1
        return (count if most is None else min(count, most)) * record_words

    return words


TABLES: Final = (
    Table("header", lay.HEADER, lambda _memory: lay.HEADER_WORDS),
    Table("assets", lay.ASSETS, _counted(lay.H_ASSETS, lay.ASSET_WORDS)),
    Table("schedules", lay.SCHEDULES, _counted(lay.H_SCHEDULES, lay.SCHEDULE_WORDS)),
    Table("instruments", lay.INSTRUMENTS, _counted(lay.H_INSTRUMENTS, lay.INSTRUMENT_WORDS)),
    Table("accounts", lay.ACCOUNTS, _counted(lay.H_ACCOUNTS, lay.ACCOUNT_WORDS)),
    Table("balances", lay.BALANCES, _counted(lay.H_BALANCES, lay.BALANCE_WORDS), lay.BALANCE_WORDS, (lay.B_CHAIN,)),
    Table("sessions", lay.SESSIONS, _counted(lay.H_SESSIONS, lay.SESSION_WORDS)),
    Table("orders", lay.ORDERS, _counted(lay.H_ORDER_TOP, lay.ORDER_WORDS), lay.ORDER_WORDS, (lay.O_LEVEL, lay.O_HASH)),
    Table("closed", lay.CLOSED, _counted(lay.H_CLOSED, lay.CLOSED_WORDS, schema.CLIENT_ID_WINDOW)),
    Table("trades", lay.TRADES, _counted(lay.H_TRADES, lay.TRADE_WORDS, schema.TRADE_WINDOW)),
    Table("work", lay.WORK, _counted(lay.H_WORK_LAST, lay.WORK_WORDS, schema.WORK_QUEUE_MAX)),
)
"""The state, in the order in which snapshots and the state hash take it."""


class State:
    """One core's memory.

    `words` is all of it as int64 words, `scalars` the same for single words, which is faster; `handle` is what
    kernels take for it in this lane.
    """

    def __init__(self) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        self._map = mmap.mmap(-1, lay.MEMORY_WORDS * 8, flags=flags)
        self._map.madvise(mmap.MADV_HUGEPAGE)
        self.words: Words = np.frombuffer(self._map, np.int64)
        self.scalars = memoryview(self._map).cast("q")
        self.handle: Any = self.words.ctypes.data if LANE == "jit" else self.words
        self.words[lay.S_SALT] = int.from_bytes(os.urandom(7), "little") | 1
        for control in (lay.X_ORDERS, lay.X_BALANCES):
            self.words[control + lay.X_BUCKETS] = index.BUCKETS_MIN
            self.words[control + lay.X_MASK] = index.BUCKETS_MIN - 1
        self._empty_window()
        self.words[lay.HEADER + lay.H_ACCOUNTS] = schema.VENUE_ACCOUNTS - 1
        self.words[lay.HEADER + lay.H_WORK_CURSOR] = -1
        self.events = self.words[lay.EVENTS : lay.EVENTS + lay.EVENTS_MAX * lay.EVENT_WORDS].view(schema.EVENT)

    def _empty_window(self) -> None:
        """Free the table of ended client ids: every position has just left the window (positions wrap)."""
        window = self.words[lay.CLOSED_BUCKETS : lay.CLOSED_BUCKETS + lay.CLOSED_BUCKETS_COUNT * 8]
        window[:] = (self.header(lay.H_CLOSED) - schema.CLIENT_ID_WINDOW - 1) & lay.CLOSED_POSITION_MASK

    def header(self, word: int) -> int:
        """Return a word of the header."""
        return self.scalars[lay.HEADER + word]

    def records(self, base: int, count: int, record_words: int) -> Words:
        """Return the first records of a table as a view, int64 (count, record_words)."""
        return self.words[base : base + count * record_words].reshape(count, record_words)

    def load(self, tables: dict[str, Words]) -> None:
        """Fill an empty memory from its primary tables and rebuild the derived ones."""
        for table in TABLES:
            words = tables[table.name]
            self.words[table.base : table.base + len(words)] = words
        self.words[lay.S_EVENTS] = 0
        self._empty_window()
        apply.rebuild(self.handle, self.handle)


def words_handle(words: Words) -> Any:
    """Return what kernels take for words that they write to in this lane."""
    return words.ctypes.data if LANE == "jit" else words


def rows_handle(rows: npt.NDArray[np.void]) -> Any:
    """Return what kernels take for command rows in this lane, or raise `InputError` unless they lie end to end."""
    if rows.strides != (schema.ROW_SIZE,):
        raise InputError(f"command rows lie {rows.strides} bytes apart, not {schema.ROW_SIZE}: copy them first")
    if LANE == "jit":
        return rows.ctypes.data
    return np.array(rows).view(np.int64).reshape(-1)


class Copies:
    """Copies of a state's primary tables, in buffers that are kept, so that copying again touches no new memory."""

    def __init__(self) -> None:
        self._buffers: dict[str, Words] = {}
        self.tables: dict[str, Words] = {}

    def reserve(self, state: State) -> None:
        """Make the buffers half as large again as the tables are now, and touch them: slow, so not between batches."""
        for table in TABLES:
            needed = table.words(state.words)
            buffer = self._buffers.get(table.name)
            if buffer is None or len(buffer) < needed + needed // 8:
                self._buffers[table.name] = np.ones(needed + needed // 2 + 1024, np.int64)

    def copy(self, state: State) -> None:
        """Copy the tables as they stand: the only step for which the state must not change."""
        for table in TABLES:
            needed = table.words(state.words)
            buffer = self._buffers.get(table.name)
            if buffer is None or len(buffer) < needed:
                buffer = self._buffers[table.name] = np.empty(needed, np.int64)
            np.copyto(buffer[:needed], state.words[table.base : table.base + needed])
            self.tables[table.name] = buffer[:needed]

    def mask(self) -> None:
        """Zero what is derived, so that equal states are equal bytes."""
        for table in TABLES:
            for word in table.derived:
                self.tables[table.name].reshape(-1, table.record_words)[:, word] = 0


ENTRIES: Final = (
    ("matching and accounts", apply.apply_rows),
    ("operators", apply.resolve),
    ("balances", apply.define_balance),
    ("collars", apply.refresh_collar),
    ("loading", apply.rebuild),
    ("conservation", apply.broken_asset),
    ("full conservation", apply.sum_balances),
    ("images", apply.walk_book),
)
"""The compiled entry points, with what each is for."""


def compile_kernel(progress: Callable[[str, int, int], None] | None = None) -> None:
    """Compile every entry point, or load it from the cache.

    `progress` hears the name, how many are done, and of how many.
    """
    for done, (name, function) in enumerate(ENTRIES):
        if progress is not None:
            progress(name, done, len(ENTRIES))
        if LANE != "python":
            function.compile()
    if progress is not None:
        progress("done", len(ENTRIES), len(ENTRIES))
