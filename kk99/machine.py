"""The venue's deterministic state machine: the core and the directory, applied to the log of commands in order.

The same log gives the same events and the same state, whatever the batches, the machine or the restarts in between. The
machine sees no clock, file or socket; the engine, replay and tests drive it alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
from blake3 import blake3

from kk99 import batch, schema
from kk99.core import apply, conservation, define, image
from kk99.core import layout as lay
from kk99.core.state import TABLES, Copies, State, lend_rows
from kk99.directory import decisions, fields
from kk99.directory.blocks import join
from kk99.directory.directory import Directory
from kk99.errors import InvariantError, SnapshotError
from kk99.schema import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kk99.batch import Commands, Rows

DIRECTORY_SECTION: Final = "directory"
SLICE_RECORDS: Final = 1 << 14
"""Orders and extras that one step of a copy takes, 2 MiB of them: some tenths of a millisecond."""


class Applied(NamedTuple):
    """What one call of `apply` did: the row to go on with, and the events.

    The events' rows are a view into the machine's buffer, valid until the next call.
    """

    next: int
    events: batch.Events


class Sections:
    """A copy of the whole state at one sequence, for a snapshot.

    Made fast, then masked, hashed and written at leisure.
    """

    def __init__(self) -> None:
        self._copies = Copies()
        self._pieces: list[list[bytes]] = []
        self._directory = b""
        self.seq = 0
        self.time_ns = 0
        self.last_event = (0, 0)

    def reserve(self, machine: Machine) -> None:
        """Make room for the state with some growth, ahead of the copy and away from the path of commands."""
        self._copies.reserve(machine.state)

    def copy(self, machine: Machine) -> None:
        """Copy the state as it stands now."""
        self._copies.copy(machine.state)
        self._copy_rest(machine)

    def begin(self, machine: Machine) -> None:
        """Begin to copy the state as it stands now; `advance` it between batches until it says that it is done.

        A machine has one such copy at a time: the one begun last.
        """
        self._copies.begin(machine.state)
        self._copy_rest(machine)

    def advance(self, record_count: int = SLICE_RECORDS) -> bool:
        """Copy so many more orders and extras as they stood when the copy began; return whether all is copied."""
        return self._copies.advance(record_count)

    def _copy_rest(self, machine: Machine) -> None:
        self._pieces, self._directory = machine.directory.pieces(), b""
        self.seq, self.time_ns, self.last_event = machine.seq, machine.time_ns, machine.last_event

    def canonical(self) -> list[tuple[str, memoryview]]:
        """Return the sections (name, bytes): equal states give equal bytes."""
        tables = self._copies.tables()
        sections = [(table.name, tables[table.name].data.cast("B")) for table in TABLES]
        self._directory = self._directory or join(self._pieces)
        return [*sections, (DIRECTORY_SECTION, memoryview(self._directory))]

    def hash(self) -> bytes:
        """Return the state hash: BLAKE3 over every section's name, size and bytes."""
        return state_hash_of(self.canonical())


def state_hash_of(sections: Iterable[tuple[str, bytes | memoryview]]) -> bytes:
    """Return the state hash of canonical sections, 32 bytes."""
    digest = blake3()
    for name, data in sections:
        digest.update(name.encode().ljust(16, b"\0") + len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.digest()


class Machine:
    """One venue, empty at first."""

    def __init__(self) -> None:
        self.state = State()
        self.directory = Directory()
        self._tail = bytearray()

    # Where it stands --------------------------------------------------------------------------------------------------

    @property
    def seq(self) -> int:
        """Sequence of the last command."""
        return self.state.header(lay.H_SEQ)

    @property
    def time_ns(self) -> int:
        """Time of the last command."""
        return self.state.header(lay.H_TIME_NS)

    @property
    def last_event(self) -> tuple[int, int]:
        """(cause_seq, index) of the last event, (0, 0) before the first."""
        return (self.seq, self.state.header(lay.H_EVENT_INDEX) - 1) if self.seq else (0, 0)

    def pending_work(self) -> bool:
        """Return whether CONTINUE commands are wanted: for due timers, what is busy, or the queue."""
        is_queued = self.state.header(lay.H_WORK_FIRST) != self.state.header(lay.H_WORK_LAST)
        is_busy = self.state.header(lay.H_BUSY) != 0 or self.state.header(lay.H_HALTING) != 0
        return is_queued or is_busy or 0 < self.next_timer_ns() <= self.time_ns

    def next_timer_ns(self) -> int:
        """Return when the first timer is due, 0 if none is set: the first command at or after that time fires it."""
        return self.state.header(lay.H_NEXT_TIMER_NS)

    def session(self, session_id: int) -> tuple[int, int]:
        """Return a session's open epoch and the last client sequence taken, (0, 0) for one never opened."""
        at = lay.SESSIONS + session_id * lay.SESSION_WORDS
        return int(self.state.words[at + lay.N_EPOCH]), int(self.state.words[at + lay.N_CLIENT_SEQ])

    def session_id_of(self, name: str) -> int | None:
        """Return the number of a session, None if it was never defined."""
        session = self.directory.session(name)
        return None if session is None else session.number

    def sessions_to_guard(self) -> set[int]:
        """Return the sessions that own a live order which asked to be canceled on their loss."""
        orders = self.state.records(lay.ORDERS, self.state.header(lay.H_ORDER_TOP) + 1, lay.ORDER_WORDS)
        terms = orders[orders[:, lay.O_ID] > 0, lay.O_TERMS]
        is_guarded = (terms >> 32) & schema.Flag.CANCEL_ON_LOST != 0
        return set(np.unique(terms[is_guarded] >> lay.SESSION_SHIFT & lay.SESSION_MASK).tolist())

    # Commands in, events out ------------------------------------------------------------------------------------------

    def apply(self, commands: Commands, start: int = 0) -> Applied:
        """Apply stamped command rows from `start` on, as many as the event buffer has room for."""
        scalars, rows = self.state.scalars, commands.rows
        previous = self.last_event
        scalars[lay.S_EVENTS] = 0
        self._tail.clear()
        lent, count = lend_rows(rows), len(rows)
        handle = lent.handle
        row = start
        while row < count:
            row = apply.apply_rows(self.state.handle, handle, row, count)
            stop = scalars[lay.S_STOP]
            if stop == lay.STOP_DONE:
                break
            if stop == lay.STOP_DOCUMENT:
                self._document(rows, handle, row, commands.tail)
                row += 1
            elif stop == lay.STOP_EVENTS:
                break
            elif stop == lay.STOP_BROKEN:
                message = (
                    f"row {row} is seq {rows[row]['seq']} at {rows[row]['time_ns']} after {self.seq} at {self.time_ns}"
                )
                raise InvariantError(message)
        events = self.state.events[: scalars[lay.S_EVENTS]]
        return Applied(row, batch.Events(events, bytes(self._tail), previous, self.seq))

    def apply_all(self, commands: Commands) -> batch.Events:
        """Apply all command rows; the events own their memory."""
        previous, row = self.last_event, 0
        rows: list[Rows] = []
        tail = b""
        while row < len(commands.rows):
            applied = self.apply(commands, row)
            row = applied.next
            kept = applied.events.rows.copy()
            documents = _with_document(kept)
            kept["document_offset"][documents] += len(tail)
            tail += bytes(applied.events.tail)
            rows.append(kept)
        return batch.Events(
            np.concatenate(rows, dtype=schema.EVENT) if rows else np.zeros(0, schema.EVENT), tail, previous, self.seq
        )

    def _document(self, rows: Rows, handle: Any, row: int, tail: bytes | memoryview) -> None:
        """Let the directory decide a document command, and the core do what follows."""
        command = rows[row]
        offset, size = int(command["document_offset"]), int(command["document_size"])
        decision = self.directory.decide(command, tail[offset : offset + size])
        if isinstance(decision, decisions.Reject):
            apply.resolve(self.state.handle, handle, row, int(decision.code))
            return
        if isinstance(decision, decisions.Schedule):
            terms = (decision.start_time_ns, decision.end_time_ns, decision.participation_ppm)
            define.stage(self.state, *terms, decision.slices)
        if isinstance(decision, decisions.Operate | decisions.Schedule):
            event = int(self.state.words[lay.S_EVENTS])
            if apply.resolve(self.state.handle, handle, row, 0):
                self._attach(event, decision.document)
            return
        kind, ids = self._define(decision)
        self._attach(image.answer(self.state, kind, command, ids), decision.document)

    def _define(self, decision: decisions.Decision) -> tuple[EventKind, dict[str, int]]:
        """Write what a document defines into the core; return the event's kind and ids."""
        state = self.state
        match decision:
            case decisions.DefineAsset():
                define.asset(state, decision.number, decision.schedule_number)
                return EventKind.ASSET_DEFINED, {"asset_id": decision.number}
            case decisions.DefineSchedule():
                tiers = [(t.maker_ppm, t.taker_ppm, t.deposit_ppm, t.withdrawal_ppm) for t in decision.tiers]
                define.schedule(state, decision.number, decision.burn_ppm, tiers)
                return EventKind.FEE_SCHEDULE_DEFINED, {"order_id": decision.number}
            case decisions.DefineTradingSchedule():
                listed = [(phase.at_s, phase.days, *fields.PHASES[phase.phase]) for phase in decision.phases]
                define.trading_schedule(state, decision.number, listed)
                return EventKind.TRADING_SCHEDULE_DEFINED, {"order_id": decision.number}
            case decisions.DefineCalendar():
                define.calendar(state, decision.number, decision.dates)
                return EventKind.SETTLEMENT_CALENDAR_DEFINED, {"order_id": decision.number}
            case decisions.DefineBreaker():
                define.breaker(
                    state, decision.breaker, decision.instrument_id, decision.other_id, decision.group_number
                )
                return EventKind.BREAKER_DEFINED, {"order_id": decision.breaker.number}
            case decisions.DefineMarketGroup():
                define.market_group(state, decision.number, decision.levels, decision.halt_s)
                return EventKind.MARKET_GROUP_DEFINED, {"order_id": decision.number}
            case decisions.DefineIdentity():
                return EventKind.IDENTITY_DEFINED, {"order_id": decision.number}
            case decisions.DefineInstrument():
                units = {name: getattr(decision, name) for name in ("base", "quote", "tick_lot_units", "lot_units")}
                define.instrument(state, decision.number, **units)
                define.limits(state, decision.number, decision, decision.reference_price_ticks)
                return EventKind.INSTRUMENT_DEFINED, {"instrument_id": decision.number}
            case decisions.ChangeInstrument():
                define.limits(state, decision.number, decision)
                return EventKind.INSTRUMENT_CHANGED, {"instrument_id": decision.number}
            case decisions.DefineAccount():
                define.account(state, decision.number, decision.group_number, decision.tier)
                return EventKind.ACCOUNT_DEFINED, {"account_id": decision.number}
            case decisions.ChangeAccount():
                define.account(state, decision.number, decision.group_number, decision.tier)
                return EventKind.ACCOUNT_CHANGED, {"account_id": decision.number}
            case decisions.DefineSession():
                define.session(state, decision.number)
                return EventKind.SESSION_DEFINED, {"order_id": decision.number}
        message = f"no rule for {decision!r}"
        raise InvariantError(message)

    def _attach(self, event: int, document: bytes) -> None:
        """Give an event in the buffer its document."""
        row = self.state.events[event]
        row["document_offset"], row["document_size"] = len(self._tail), len(document)
        self._tail += document

    # Checks, snapshots, images ----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise `InvariantError` unless every asset's balances are its deposits less its withdrawals."""
        asset_id = conservation.broken_asset(self.state.handle, self.state.handle)
        if asset_id:
            message = f"after seq {self.seq}: asset {asset_id} is not conserved"
            raise InvariantError(message)

    def check_all(self) -> None:
        """As `check`, and add up the whole table of balances."""
        self.check()
        for asset_id in range(1, self.state.header(lay.H_ASSETS) + 1):
            total = int(self.state.words[lay.ASSETS + asset_id * lay.ASSET_WORDS + lay.A_TOTAL])
            if conservation.sum_balances(self.state.handle, self.state.handle, asset_id) != total:
                message = f"after seq {self.seq}: asset {asset_id}'s balances do not add up to its total"
                raise InvariantError(message)
        self._check_clearing()

    def _check_clearing(self) -> None:
        """Raise `InvariantError` unless what lies in CLEARING is what is owed."""
        state = self.state
        records = state.records(lay.OBLIGATIONS, state.header(lay.H_OBLIGATION_TOP) + 1, lay.OBLIGATION_WORDS)[1:]
        is_open = records[:, lay.OB_OWNER] > 0
        owed = np.zeros(state.header(lay.H_ASSETS) + 1, np.int64)
        np.add.at(owed, records[is_open, lay.OB_OWNER] >> 32, records[is_open, lay.OB_UNITS])
        assets = state.records(lay.ASSETS, len(owed), lay.ASSET_WORDS)[1:]
        cleared = state.words[lay.BALANCES + assets[:, lay.A_CLEARING_BALANCE] * lay.BALANCE_WORDS + lay.B_AVAILABLE]
        if is_open.sum() != state.header(lay.H_OBLIGATIONS) or (cleared != owed[1:]).any():
            message = f"after seq {self.seq}: what lies in CLEARING is not what is owed"
            raise InvariantError(message)

    def state_hash(self) -> bytes:
        """Return the hash of the whole state, 32 bytes."""
        sections = Sections()
        sections.copy(self)
        return sections.hash()

    @classmethod
    def from_sections(cls, sections: Iterable[tuple[str, bytes | memoryview]]) -> Self:
        """Return the machine whose state these canonical sections hold, or raise `SnapshotError`."""
        given = dict(sections)
        machine = cls()
        if set(given) != {table.name for table in TABLES} | {DIRECTORY_SECTION}:
            message = f"the sections are {sorted(given)}"
            raise SnapshotError(message)
        if any(len(data) % 8 for name, data in given.items() if name != DIRECTORY_SECTION):
            message = "a section is not made of whole words"
            raise SnapshotError(message)
        tables = {table.name: np.frombuffer(given[table.name], np.int64) for table in TABLES}
        for table in TABLES:
            needed = lay.HEADER_WORDS if table.name == "header" else table.words(tables["header"])
            if len(tables[table.name]) != needed:
                message = f"section {table.name} has {len(tables[table.name])} words where the header tells {needed}"
                raise SnapshotError(message)
        machine.directory = Directory.from_bytes(bytes(given[DIRECTORY_SECTION]))
        machine.state.load(tables)
        return machine

    def image(self) -> batch.Events:
        """Return the whole state at `seq` as event rows, from which a gateway begins."""
        rows, tail = image.of(self.state, self.directory.documents(), self.seq, self.time_ns)
        return batch.Events(rows, tail, (self.seq, -1), self.seq)


def _with_document(rows: Rows) -> Any:
    """Return which event rows point into the tail."""
    return np.isin(rows["kind"], list(image.DOCUMENT_EVENTS))
