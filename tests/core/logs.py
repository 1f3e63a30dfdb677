"""Logs of commands for tests that compare a run of the core with another run of it, and the digest of such a run.

Invariants: a log is the same on every machine and depends on nothing but the schema and the builders of rows: generated
ones are drawn from a hash, not from a random generator whose stream a release may change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import blake3
import numpy as np

from kk99 import batch, schema
from kk99.schema import PPM, AccountState, CommandKind, Flag, MarketState, OrderType, SelfTrade, Side, TimeInForce
from tests.core import mixes, settlement_mixes
from tests.flow_data import read_recorded_flow, recorded_flow_names
from tests.flow_reports import SETUP_COUNT, flow_commands
from tests.naive import commands as make
from tests.naive.compare import stamped
from tests.naive.model import Naive
from tests.naive.rows import DOCUMENT_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kk99.machine import Machine
    from tests.naive.rows import Item

A, B, C, D = range(schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 4)
USD, BTC, ETH = 1, 2, 3
FIRST_ID = 1 << schema.ORDER_SLOT_BITS
SEEDS = (1, 2, 3)
GENERATED = 1_500
MIXED = 800
Mix = Callable[["Naive", int, int], "Iterator[tuple[Item, batch.Commands]]"]
MIXES: dict[str, Mix] = {"mix": mixes.run, "settling": settlement_mixes.run}
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK


def setup() -> list[Item]:
    """Three assets, two markets, one with collar and fees, four accounts of three groups and two tiers, sessions."""
    tiers = {"maker_ppm": 500, "taker_ppm": 1000, "deposit_ppm": 700}, {"maker_ppm": -300_000, "taker_ppm": 70_000}
    return [
        make.schedule("usual", *tiers, burn_ppm=250_000),
        make.asset("USD", 2),
        make.asset("BTC", 3, "usual"),
        make.asset("ETH"),
        make.instrument(
            "BTC/USD", "BTC", "USD", tick_units=70, lot_units=100, collar_ppm=100_000, reference_price_ticks=100,
            fee_schedule="usual",
        ),
        make.instrument("ETH/USD", "ETH", "USD", tick_step=2, lot_step=3),
        make.account("A"),
        make.account("B", tier=1),
        make.account("C", group="desk"),
        make.account("D", group="desk", tier=1),
        make.session("one"),
        make.session("two"),
        make.session_open(1, 1),
        make.session_open(2, 1),
        make.instrument_state(1, MarketState.OPEN),
        make.instrument_state(2, MarketState.OPEN),
        *[make.deposit(account, asset, 1 << 40) for account in (A, B, C, D) for asset in (USD, BTC, ETH)],
    ]  # fmt: skip


def scripted() -> list[Item]:
    """A day in the life: every kind of command, most kinds of orders, pending work, and operators who undo things."""
    market = {"order_type": OrderType.MARKET, "time_in_force": IOC}
    items = setup()
    items += [make.order_new(A, 1, Side.SELL, 10, 100 + n % 5, client_id_lo=n + 1) for n in range(10)]
    items += [make.order_new(C, 1, Side.BUY, 10, 99 - n % 5, flags=Flag.POST_ONLY) for n in range(10)]
    items += [
        make.order_new(B, 1, Side.BUY, 25, 102, client_id_lo=1),
        make.order_new(B, 1, Side.BUY, 5, 102, client_id_lo=1),
        make.order_new(B, 1, Side.SELL, 33, 96, time_in_force=IOC),
        make.order_new(B, 1, Side.SELL, 9_000, 96, time_in_force=FOK),
        make.order_new(B, 1, Side.BUY, 0, 0, amount_units=5_000, **market),
        make.order_new(B, 1, Side.BUY, 7, 0, **market),
        make.order_new(B, 1, Side.SELL, 7, 0, **market),
        make.order_new(B, 1, Side.SELL, 7, 90, flags=Flag.POST_ONLY),
        make.order_new(B, 1, Side.SELL, 7, 300),
        make.order_new(B, 2, Side.SELL, 4, 101),
    ]
    for guard in SelfTrade:
        items += [make.order_new(D, 1, Side.SELL, 4, 95, self_trade=guard), make.order_new(C, 1, Side.BUY, 6, 95)]
    items += [
        make.by_client_id(make.order_replace(A, 0, 6, 104), 5),
        make.by_client_id(make.order_replace(A, 0, 60, 104, client_id_lo=77), 5),
        make.by_client_id(make.order_replace(A, 0, 4, 96, flags=Flag.QTY_IS_LEAVES), 10),
        make.by_client_id(make.order_cancel(A, 0), 77),
        make.order_cancel(A, FIRST_ID | 3),
        make.trade_correct(1, 101, 1),
        make.trade_bust(2),
        make.trade_bust(2),
        make.instrument_change("BTC/USD", max_price_ticks=100, collar_ppm=0),
        make.schedule("usual", {"maker_ppm": 0, "taker_ppm": 5}, burn_ppm=PPM),
        make.account_change("A", group="desk", tier=15),
        make.reference_price(1, 97),
        make.withdraw(A, USD, 1 << 41),
        make.withdraw(A, BTC, 12_345),
    ]
    lost = {"flags": Flag.CANCEL_ON_LOST, "session_id": 1, "session_epoch": 1}
    items += [make.order_new(A, 2, Side.BUY, 3, 2 + 2 * (n % 50), client_seq=n + 1, **lost) for n in range(300)]
    items += [make.order_new(C, 2, Side.BUY, 3, 2 + 2 * (n % 40)) for n in range(300)]
    items += [
        make.mass_cancel(C, 2, Side.BUY),
        make.account_state(C, AccountState.KILLED),
        make.order_new(A, 2, Side.BUY, 3, 4, client_seq=300, **lost),
        make.command(CommandKind.SESSION_LOST, target_lo=1),
        make.command(CommandKind.SESSION_LOST, target_lo=1),
        make.session_open(1, 2),
        make.order_new(A, 2, Side.BUY, 3, 4, client_seq=1, **lost | {"session_epoch": 2}),
        *[make.command(CommandKind.CONTINUE) for _ in range(12)],
        make.command(CommandKind.CLOCK),
        make.algo_order(B, 1, Side.BUY, 99, [(0, 3), (2_000, 4), (5_000, 5), (9_000, 6)], 1 << 40, client_id_lo=900),
        make.algo_order(A, 1, Side.SELL, 95, [(n * 1_000, 2) for n in range(9)], 1 << 40, participation_ppm=300_000),
        *[make.command(CommandKind.CLOCK) for _ in range(5)],
        make.by_client_id(make.order_suspend(B, 0), 900),
        make.order_new(D, 1, Side.SELL, 9, 98),
        *[make.command(CommandKind.CLOCK) for _ in range(5)],
        make.by_client_id(make.order_suspend(B, 0, state=0), 900),
        *[make.command(CommandKind.CLOCK) for _ in range(4)],
        make.instrument_state(2, MarketState.HALTED),
        make.order_new(A, 2, Side.BUY, 3, 4),
        make.account_state(C, AccountState.ACTIVE),
    ]
    return items


class Draws:
    """Numbers drawn from a hash of a seed."""

    def __init__(self, seed: int) -> None:
        self._bytes = iter(hashlib.shake_128(seed.to_bytes(8, "little")).digest(1 << 19))

    def below(self, count: int) -> int:
        """A number below a count of at most 65,536."""
        return (next(self._bytes) << 8 | next(self._bytes)) % count

    def among(self, *values: int) -> int:
        """One of the values."""
        return values[self.below(len(values))]


def generated(seed: int, count: int = GENERATED) -> list[Item]:
    """The set-up, then commands of all kinds that mostly make sense, so many in all."""
    draws, items = Draws(seed), setup()
    known: list[tuple[int, int]] = []
    while len(items) < count:
        items.append(_drawn(draws, known, len(items)))
    return items


def _drawn(draws: Draws, known: list[tuple[int, int]], number: int) -> Item:
    account = draws.among(A, B, C, D)
    choice = draws.below(1000)
    if choice < 550 or not known:
        known.append((account, number))
        return _order(draws, account, number)
    target = known[-1 - draws.below(min(len(known), 60))]
    if choice < 650:
        return make.by_client_id(make.order_cancel(target[0], 0), target[1])
    if choice < 850:
        flags = draws.among(0, Flag.QTY_IS_LEAVES)
        item = make.order_replace(target[0], 0, 3 + 3 * draws.below(9), 94 + 2 * draws.below(7), flags=flags)
        return make.by_client_id(item, target[1])
    if choice < 900:
        trade_id = draws.below(1 + number // 4)
        return make.trade_bust(trade_id) if choice & 1 else make.trade_correct(trade_id, 100, 1)
    return _rare(draws, account, choice % 10)


def _order(draws: Draws, account: int, number: int) -> Item:
    terms: dict[str, Any] = {"self_trade": draws.below(5), "client_id_lo": number}
    terms["time_in_force"] = draws.among(*[TimeInForce.GTC] * 8, IOC, FOK)
    side = draws.among(Side.BUY, Side.SELL)
    price = (88 if side == Side.BUY else 98) + 2 * draws.below(7)
    if draws.below(10) == 0:
        terms |= {"order_type": OrderType.MARKET, "time_in_force": IOC}
        price = 0
        if side == Side.BUY:
            return make.order_new(account, 1, side, 0, 0, amount_units=100 * draws.below(60_000), **terms)
    return make.order_new(account, draws.among(1, 1, 2), side, 3 + 3 * draws.below(12), price, **terms)


def _rare(draws: Draws, account: int, choice: int) -> Item:
    match choice:
        case 0:
            return make.mass_cancel(account, draws.below(3), draws.below(3))
        case 1:
            return make.command(CommandKind.SESSION_LOST, target_lo=1 + draws.below(2))
        case 2:
            return make.account_state(D, draws.among(AccountState.ACTIVE, AccountState.ACTIVE, AccountState.KILLED))
        case 3:
            return make.schedule("usual", {"maker_ppm": draws.below(99) - 50, "taker_ppm": draws.below(99)})
        case 4:
            return make.account_change("ABCD"[account - A], tier=draws.below(3))
        case 5:
            return make.withdraw(account, draws.among(USD, BTC), 1 + draws.below(60_000))
        case 6:
            return make.instrument_change("BTC/USD", collar_ppm=1000 * draws.among(0, 100, 200))
        case 7:
            return make.deposit(account, draws.among(USD, BTC), 1 + draws.below(60_000))
        case 8:
            return make.reference_price(1, 97 + draws.below(6))
        case _:
            return make.command(draws.among(CommandKind.CONTINUE, CommandKind.CLOCK))


@cache
def log(name: str) -> batch.Commands:
    """A log by name: scripted, generated-, mix- or settling-SEED, or a recorded flow, which `:rows` may follow."""
    if name == "scripted":
        return stamped(scripted(), 1)
    kind, _, seed = name.partition("-")
    if kind == "generated":
        return stamped(generated(int(seed)), 1)
    if kind in MIXES:
        return mixed(MIXES[kind], int(seed))
    flow, _, count = name.partition(":")
    commands = flow_commands(read_recorded_flow(flow).rows)
    rows = commands.rows[: SETUP_COUNT + int(count)] if count else commands.rows
    return batch.commands(rows, tail=bytes(commands.tail))


def mixed(run: Mix, seed: int) -> batch.Commands:
    """A random mix of commands, drawn beside the naive model."""
    naive = Naive()
    rows, tail = [], b""
    for (_, document), commands in run(naive, seed, MIXED):
        row = commands.rows.copy()
        if document:
            row["document_offset"] += len(tail)
            tail += bytes(commands.tail)
        naive.apply(row[0], document)
        rows.append(row)
    return batch.commands(np.concatenate(rows, dtype=schema.COMMAND), tail=tail)


NAMES = (
    "scripted",
    *(f"generated-{seed}" for seed in SEEDS),
    *(f"mix-{seed}" for seed in SEEDS),
    *(f"settling-{seed}" for seed in SEEDS),
    *recorded_flow_names(),
)


class EventsHash:
    """BLAKE3 over events, whatever the batches: a document counts by its bytes, not by its place in a tail."""

    def __init__(self) -> None:
        self._rows, self._tail = blake3.blake3(), blake3.blake3()

    def add(self, events: batch.Events) -> None:
        """Take the next events."""
        rows = events.rows.copy()
        rows["document_offset"][np.isin(rows["kind"], list(DOCUMENT_EVENTS))] = 0
        self._rows.update(rows.tobytes())
        self._tail.update(bytes(events.tail))

    def hexdigest(self) -> str:
        """The digest of all so far."""
        return (self._rows.digest(16) + self._tail.digest(16)).hex()


def part(commands: batch.Commands, start: int, stop: int | None = None) -> batch.Commands:
    """Some of the rows, with all documents."""
    return batch.commands(commands.rows[start:stop], tail=bytes(commands.tail))


def parts(commands: batch.Commands, size: int) -> Iterator[batch.Commands]:
    """The rows in batches of a size."""
    for start in range(0, len(commands.rows), size):
        yield part(commands, start, start + size)


def run(machine: Machine, commands: batch.Commands, size: int = schema.BATCH_ROWS_MAX) -> str:
    """Apply the commands in batches of a size; return the digest of their events."""
    digest = EventsHash()
    for one in parts(commands, size):
        digest.add(machine.apply_all(one))
    return digest.hexdigest()


def hashes(name: str, machine: Callable[[], Machine]) -> tuple[str, str]:
    """Run a log through a new machine; return the digests of its events and of its state."""
    new = machine()
    events = run(new, log(name))
    new.check_all()
    return events, new.state_hash().hex()
