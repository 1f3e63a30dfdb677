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
from kk99.core import apply, conservation, copying, index, jit_cache, phases, watching
from kk99.core import layout as lay
from kk99.core.memory import LANE
from kk99.errors import InputError, InvariantError

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
    Table("extras", lay.EXTRAS, _counted(lay.H_EXTRA_TOP, lay.EXTRA_WORDS)),
    Table("timers", lay.TIMERS, _counted(lay.H_TIMER_TOP, lay.TIMER_WORDS)),
    Table("timer heap", lay.TIMER_HEAP, _counted(lay.H_TIMERS, 1)),
    Table("trading", lay.TRADING, _counted(lay.H_TRADING_SCHEDULES, lay.TRADING_WORDS)),
    Table("breakers", lay.BREAKERS, _counted(lay.H_BREAKERS, lay.BREAKER_WORDS)),
    Table("market groups", lay.GROUPS, _counted(lay.H_MARKET_GROUPS, lay.GROUP_WORDS)),
    Table("algos", lay.ALGOS, _counted(lay.H_ALGO_TOP, lay.ALGO_WORDS)),
    Table("slices", lay.SLICES, _counted(lay.H_ALGO_TOP, lay.SLICES_WORDS)),
    Table(
        "obligations",
        lay.OBLIGATIONS,
        _counted(lay.H_OBLIGATION_TOP, lay.OBLIGATION_WORDS),
        lay.OBLIGATION_WORDS,
        (lay.OB_CHAIN,),
    ),
    Table("calendars", lay.CALENDARS, _counted(lay.H_CALENDARS, lay.CALENDAR_WORDS)),
    Table("closed", lay.CLOSED, _counted(lay.H_CLOSED, lay.CLOSED_WORDS, schema.CLIENT_ID_WINDOW)),
    Table("trades", lay.TRADES, _counted(lay.H_TRADES, lay.TRADE_WORDS, schema.TRADE_WINDOW)),
    Table("work", lay.WORK, _counted(lay.H_WORK_LAST, lay.WORK_WORDS, schema.WORK_QUEUE_MAX)),
)
"""The state, in the order in which snapshots and the state hash take it."""
SLICED: Final = {"orders": lay.COPIED_ORDERS, "extras": lay.COPIED_EXTRAS}
"""Tables that are copied in slices while commands go on, and where in the state's own memory the copies lie."""


class State:
    """One core's memory.

    `words` is all of it as int64 words, `scalars` the same for single words, which is faster; `handle` is what
    kernels take for it in this lane.
    """

    def __init__(self) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        self._map = mmap.mmap(-1, mmap.PAGESIZE + lay.MEMORY_WORDS * 8, flags=flags)
        self._map.madvise(mmap.MADV_HUGEPAGE)
        self.words: Words = np.frombuffer(self._map, np.int64, offset=mmap.PAGESIZE)
        self.scalars = memoryview(self._map).cast("q")[mmap.PAGESIZE // 8 :]
        self.handle: Any = self.words if LANE == "python" else self.words.ctypes.data
        np.frombuffer(self._map, np.int64, mmap.PAGESIZE // 8)[-1] = lay.MEMORY_WORDS  # for the checked lane
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


class Lent:
    """Words lent to a kernel: `handle` is what it takes for them in this lane, `words` what Python sees.

    They must be kept until the kernel has returned.
    """

    def __init__(self, words: Words) -> None:
        if LANE == "checked":
            self._whole = np.concatenate([np.array([len(words)]), words])
            words = self._whole[1:]
        self.words = words
        self.handle: Any = words if LANE == "python" else words.ctypes.data


def lend_rows(rows: npt.NDArray[np.void]) -> Lent:
    """Return command rows as words for a kernel, or raise `InputError` unless they lie end to end."""
    if rows.strides != (schema.ROW_SIZE,):
        raise InputError(f"command rows lie {rows.strides} bytes apart, not {schema.ROW_SIZE}: copy them first")
    return Lent((rows if LANE == "jit" else np.array(rows)).view(np.int64).reshape(-1))


class Copies:
    """Copies of a state's primary tables, in memory that is kept, so that copying again touches no new memory.

    `copy` takes all at once. `begin` takes all but those of `SLICED`, which `advance` takes while commands go on; they
    lie in the state's own memory, so a state has one such copy at a time: the one begun last.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Words] = {}
        self._tables: dict[str, Words] = {}
        self._state: State | None = None  # whose memory holds the copies made in slices
        self._number = 0  # of that copy
        self._is_masked = False

    def reserve(self, state: State) -> None:
        """Make room for the tables and some growth, and touch it: slow, so neither between batches nor amid a copy."""
        for table in TABLES:
            needed = table.words(state.words)
            at = SLICED.get(table.name)
            if at is not None:
                state.words[at : at + needed + needed // 4 : mmap.PAGESIZE // 8] |= 0
            elif len(self._buffers.get(table.name, ())) < needed + needed // 8:
                self._buffers[table.name] = np.ones(needed + needed // 2 + 1024, np.int64)

    def copy(self, state: State) -> None:
        """Copy the tables as they stand: the state must not change meanwhile."""
        for table in TABLES:
            self._copy_table(state, table)
        self._state, self._is_masked = None, False

    def begin(self, state: State) -> None:
        """Begin a copy of the tables as they stand, in place of the last: the state must not change meanwhile."""
        for table in TABLES:
            at = SLICED.get(table.name)
            if at is None:
                self._copy_table(state, table)
            else:
                self._tables[table.name] = state.words[at : at + table.words(state.words)]
        self._number = copying.begin(state.handle, state.handle)
        self._state, self._is_masked = state, False

    def advance(self, count: int) -> bool:
        """Copy so many more records as they stood at `begin`, between batches; return whether all are copied."""
        handle = self._own_state().handle
        return copying.advance(handle, handle, count) == 0

    def tables(self) -> dict[str, Words]:
        """Return the whole copy, with what is derived zeroed, so that equal states are equal bytes."""
        if self._state is not None and self._own_state().scalars[lay.S_COPY]:
            raise InvariantError("a copy of the state is not yet complete")
        if not self._is_masked:
            for table in TABLES:
                for word in table.derived:
                    self._tables[table.name].reshape(-1, table.record_words)[:, word] = 0
            self._is_masked = True
        return self._tables

    def _own_state(self) -> State:
        """Return the state whose memory holds the copy, or raise `InvariantError` if it holds another now."""
        if self._state is None or self._state.scalars[lay.S_COPIES] != self._number:
            raise InvariantError("another copy of the state was begun in place of this one")
        return self._state

    def _copy_table(self, state: State, table: Table) -> None:
        needed = table.words(state.words)
        buffer = self._buffers.get(table.name)
        if buffer is None or len(buffer) < needed:
            buffer = self._buffers[table.name] = np.empty(needed, np.int64)
        np.copyto(buffer[:needed], state.words[table.base : table.base + needed])
        self._tables[table.name] = buffer[:needed]


ENTRIES: Final = (
    ("matching and accounts", apply.apply_rows),
    ("operators", apply.resolve),
    ("balances", apply.define_balance),
    ("collars", apply.refresh_collar),
    ("trading schedules", phases.give_schedule),
    ("circuit breakers", watching.define),
    ("loading", apply.rebuild),
    ("conservation", conservation.broken_asset),
    ("full conservation", conservation.sum_balances),
    ("images", apply.walk_book),
    ("snapshots", copying.begin),
    ("copies", copying.advance),
)
"""The compiled entry points, with what each is for."""


def compile_kernel(progress: Callable[[str, int, int], None] | None = None) -> None:
    """Compile every entry point, or load it from the cache.

    `progress` hears the name, how many are done, and of how many.
    """
    count = len(ENTRIES)
    if LANE != "python":
        jit_cache.compile_far(None if progress is None else lambda done, parts: progress("parts", done, parts + count))
    for done, (name, function) in enumerate(ENTRIES):
        if progress is not None:
            progress(name, done, count)
        if LANE != "python":
            function.compile()
    if progress is not None:
        progress("done", count, count)
