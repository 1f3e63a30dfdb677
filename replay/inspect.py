"""`kk99 replay inspect`: one command and its events, an order's life, an account's statement, a trade.

Invariants, each a test:
- all of it is brought forth from the log anew; nothing is taken from what the venue said at the time;
- a statement's opening, movements and closing add up, and the closing is the balance in the replayed state.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kk99 import kinds
from kk99.errors import InputError, InvariantError
from kk99.machine import Machine
from kk99.schema import EventKind, Flag
from replay import columns, ledger, run
from replay.cycles import date_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from journal.reader import Reader
    from kk99 import batch
    from kk99.paths import DataDir

_ORDER_KINDS: Final = (
    EventKind.REJECTED, EventKind.ORDER_ACCEPTED, EventKind.ORDER_REPLACED, EventKind.ORDER_REDUCED,
    EventKind.ORDER_CANCELED, EventKind.ORDER_DETAILS, EventKind.ORDER_TRIGGERED, EventKind.ORDER_REFRESHED,
    EventKind.ORDER_RESIZED, EventKind.EXITS_REFUSED, EventKind.ORDER_SUSPENDED, EventKind.ORDER_RELEASED,
    EventKind.ALGO_SCHEDULED, EventKind.MESSAGE_NOTED, *ledger.TRADE_KINDS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was journaled (hot row, cold row, document), where, and what it caused."""

    command: dict[str, Any]
    cold: dict[str, Any]
    batch_last_seq: int
    batch_hash: str
    events: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Movement:
    """One line of a statement; `balance_units` is the asset's balance after it."""

    seq: int
    index: int
    time_ns: int
    event: str
    trade_id: int
    text: str
    asset: str
    amount_units: int
    balance_units: int


@dataclass(slots=True)
class Balance:
    """One asset of a statement; `closing_units` = `available_units` + `held_units`."""

    asset: str
    scale: int
    opening_units: int
    closing_units: int
    available_units: int
    held_units: int


@dataclass(frozen=True, slots=True)
class Owed:
    """What trades that settle later left owed to the account at the end, and whether it failed to settle."""

    asset: str
    scale: int
    value_date: str
    amount_units: int
    has_failed: bool


@dataclass(slots=True)
class Statement:
    """An account's statement over the commands from `from_seq` to `to_seq`, both included."""

    account_id: int
    account: str
    from_seq: int
    to_seq: int
    balances: list[Balance] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)
    owed: list[Owed] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade, what became of it, and its postings by account and asset name: (account, asset, amount_units, text)."""

    events: list[dict[str, Any]]
    postings: list[tuple[str, str, int, str]]


def command(data: DataDir, reader: Reader, seq: int) -> Command:
    """Return one command and its events, replayed from the newest good snapshot before it."""
    if not 1 <= seq <= reader.head().seq:
        raise InputError(f"the log holds the commands 1 to {reader.head().seq}, not {seq}")
    machine = run.nearest(data, reader, seq - 1)
    made: list[dict[str, Any]] = []
    for step in run.drive(machine, run.ahead(run.pieces(reader.batches(machine.seq + 1, seq))), to_seq=seq):
        rows = step.events.rows
        made += [columns.described(row, step.events.tail) for row in rows[rows["cause_seq"] == seq]]
    row, cold, (last_seq, digest) = journaled(reader, seq)
    return Command(row, cold, last_seq, digest.hex(), made)


def journaled(reader: Reader, seq: int) -> tuple[dict[str, Any], dict[str, Any], tuple[int, bytes]]:
    """Return a command of the log, its cold row (or nothing), and the end of its batch: last seq and hash."""
    piece = next(run.pieces(reader.batches(seq, seq)))
    rows = piece.commands.rows
    at = int(np.flatnonzero(rows["seq"] == seq)[0])
    cold: dict[str, Any] = {}
    if rows[at]["flags"] & Flag.HAS_COLD:
        before = int(np.count_nonzero(rows["flags"][:at] & Flag.HAS_COLD))
        cold = columns.described(piece.commands.cold[before], b"")
    return columns.described(rows[at], piece.commands.tail), cold, piece.ends[0]


def order(reader: Reader, order_id: int, progress: Callable[[int], None]) -> list[dict[str, Any]]:
    """Return every event of an order's life, in order; InputError if there is none.

    The ORDER_DETAILS of others that name it as their other leg or as their parent are among them.
    """
    made = list(_events(reader, progress, lambda rows: _of_order(rows, order_id)))
    if not made:
        raise InputError(f"no event of the log is about an order {order_id}")
    return made


def _of_order(rows: batch.Rows, order_id: int) -> batch.Rows:
    mine = np.isin(rows["kind"], _ORDER_KINDS) & (rows["order_id"] == order_id)
    theirs = np.isin(rows["kind"], ledger.TRADE_KINDS) & (rows["contra_order_id"] == order_id)
    for name in ("linked_order_id", "parent_order_id"):
        is_named = (rows["kind"] == EventKind.ORDER_DETAILS) & (rows[name] == order_id)
        theirs |= is_named & kinds.present(rows, name)
    found: batch.Rows = rows[mine | theirs]
    return found


def _events(
    reader: Reader, progress: Callable[[int], None], choose: Callable[[batch.Rows], batch.Rows]
) -> Iterator[dict[str, Any]]:
    for step in _replay(reader, progress):
        yield from (columns.described(row, step.events.tail) for row in choose(step.events.rows))


def _replay(reader: Reader, progress: Callable[[int], None], to_seq: int | None = None) -> Iterator[run.Step]:
    """Replay from the beginning, telling how far it got."""
    machine = Machine()
    for step in run.drive(machine, run.ahead(run.pieces(reader.batches(1, to_seq))), to_seq=to_seq):
        yield step
        progress(machine.seq)


def trade(reader: Reader, trade_id: int, progress: Callable[[int], None]) -> Trade:
    """Return a trade, its bust or corrections, and its postings; InputError if there is none."""
    names = ledger.Names()
    postings = ledger.Postings(names)
    made: list[dict[str, Any]] = []
    posted: list[tuple[str, str, int, str]] = []
    for step in _replay(reader, progress):
        names.observe(step.events)
        rows = step.events.rows
        is_mine = np.isin(rows["kind"], ledger.TRADE_KINDS) & (rows["trade_id"] == trade_id)
        for row in rows[is_mine | (rows["kind"] == EventKind.OBLIGATION_SETTLED)]:
            if row["kind"] == EventKind.OBLIGATION_SETTLED:
                postings.of(row)  # from where a bust then takes it
                continue
            made.append(columns.described(row, step.events.tail))
            posted += [
                (names.accounts[one.account_id], names.asset_name(one.asset_id), one.amount_units, one.text)
                for one in postings.of(row)
            ]
    if not made:
        raise InputError(f"the log has no trade {trade_id}")
    return Trade(made, posted)


def statement(
    reader: Reader, account: str, from_seq: int, to_seq: int | None, progress: Callable[[int], None]
) -> Statement:
    """Return the statement of an account, by name or number, over the commands `from_seq` to `to_seq`.

    Raises InputError for an unknown account, InvariantError if it does not add up.
    """
    names = ledger.Names()
    postings = ledger.Postings(names)
    machine = Machine()
    balances: Counter[int] = Counter()
    opening: Counter[int] = Counter()
    movements: list[Movement] = []
    account_id: int | None = None
    for step in run.drive(machine, run.ahead(run.pieces(reader.batches(1, to_seq))), to_seq=to_seq):
        names.observe(step.events)
        account_id = _known(names, account) if account_id is None else account_id
        if account_id is not None:
            for row in ledger.touching(step.events.rows, account_id):
                mine = [one for one in postings.of(row) if one.account_id == account_id]
                lines = _movements(row, mine, balances, names)
                if int(row["cause_seq"]) >= from_seq:
                    movements += lines
                else:
                    opening = balances.copy()
        progress(machine.seq)
    account_id = names.account_id(account)
    made = Statement(account_id, names.accounts[account_id], from_seq, machine.seq, movements=movements)
    image = machine.image().rows
    made.balances = _closing(image, account_id, opening, balances, names)
    made.owed = _owed(image, account_id, postings, names)
    return made


def _known(names: ledger.Names, account: str) -> int | None:
    """Return the account if it is defined by now; before that nothing can be posted to it."""
    try:
        return names.account_id(account)
    except InputError:
        return None


def _movements(
    row: np.void, postings: list[ledger.Posting], balances: Counter[int], names: ledger.Names
) -> list[Movement]:
    lines: list[Movement] = []
    trade_id = int(row["trade_id"]) if int(row["kind"]) in ledger.TRADE_KINDS else 0
    for one in postings:
        balances[one.asset_id] += one.amount_units
        lines.append(
            Movement(
                seq=int(row["cause_seq"]),
                index=int(row["index"]),
                time_ns=int(row["time_ns"]),
                event=EventKind(int(row["kind"])).name,
                trade_id=trade_id,
                text=one.text,
                asset=names.asset_name(one.asset_id),
                amount_units=one.amount_units,
                balance_units=balances[one.asset_id],
            )
        )
    return lines


def _closing(
    image: batch.Rows, account_id: int, opening: Counter[int], balances: Counter[int], names: ledger.Names
) -> list[Balance]:
    """Return the balances at the end, having checked that the movements lead to those of the replayed state."""
    rows = image[(image["kind"] == EventKind.BALANCE_IMAGE) & (image["account_id"] == account_id)]
    held = {int(row["asset_id"]): (int(row["amount_units"]), int(row["notional_units"])) for row in rows}
    made: list[Balance] = []
    for asset_id in sorted({*held, *balances}):
        available, hold = held.get(asset_id, (0, 0))
        if available + hold != balances[asset_id]:
            raise InvariantError(
                f"account {account_id}, asset {names.asset_name(asset_id)}: the movements add up to "
                f"{balances[asset_id]}, the balance is {available + hold}"
            )
        name, scale = names.asset_name(asset_id), names.scale(asset_id)
        made.append(Balance(name, scale, opening[asset_id], balances[asset_id], available, hold))
    return made


def _owed(image: batch.Rows, account_id: int, postings: ledger.Postings, names: ledger.Names) -> list[Owed]:
    """Return what is owed to the account at the end, having checked that its trades leave so much owed."""
    rows = image[(image["kind"] == EventKind.OBLIGATION_IMAGE) & (image["account_id"] == account_id)]
    found = {(int(row["asset_id"]), int(row["order_id"])): row for row in rows}
    amounts = {key: int(row["amount_units"]) for key, row in found.items()}
    if amounts != {owed[1:]: amount for owed, amount in postings.owed.items() if owed[0] == account_id}:
        raise InvariantError(f"account {account_id}: what is owed to it is not what its trades left owed")
    return [
        Owed(names.asset_name(asset), names.scale(asset), date_text(date), amounts[asset, date], bool(row["state"]))
        for (asset, date), row in sorted(found.items())
    ]
