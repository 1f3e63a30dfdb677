"""The core beside the naive model: equal events byte for byte, equal state after every command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kk99 import kinds
from kk99.schema import EventKind, Side
from tests.naive.fields import pack
from tests.naive.linked import details_fields
from tests.naive.markets import ends_ns
from tests.naive.records import Place, Session
from tests.naive.rows import (
    EVENT_FIELDS,
    Item,
    apply_to_naive,
    describe_command,
    differences,
    document_of,
    to_commands,
    to_rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kk99 import batch
    from kk99.machine import Machine
    from tests.naive.model import Naive
    from tests.naive.records import Order

Book = dict[tuple[int, int], list[dict[str, int]]]

IMAGE_OF_ORDER = (
    "order_id",
    "account_id",
    "instrument_id",
    "side",
    "order_type",
    "time_in_force",
    "self_trade",
    "flags",
    "price_ticks",
    "qty_lots",
    "leaves_lots",
    "client_id_lo",
    "client_id_hi",
    "amount_units",
    "notional_units",
    "origin_seq",
)
NUMBER_FIELDS = {
    EventKind.ASSET_DEFINED: "asset_id",
    EventKind.FEE_SCHEDULE_DEFINED: "order_id",
    EventKind.INSTRUMENT_DEFINED: "instrument_id",
    EventKind.ACCOUNT_DEFINED: "account_id",
    EventKind.SESSION_DEFINED: "order_id",
    EventKind.TRADING_SCHEDULE_DEFINED: "order_id",
    EventKind.BREAKER_DEFINED: "order_id",
    EventKind.MARKET_GROUP_DEFINED: "order_id",
    EventKind.IDENTITY_DEFINED: "order_id",
    EventKind.SETTLEMENT_CALENDAR_DEFINED: "order_id",
}
DEFINED_EVENTS = tuple(NUMBER_FIELDS)


def stamped(items: Sequence[Item], first_seq: int) -> batch.Commands:
    """The commands with their sequences; time goes on with every second one."""
    commands = to_commands(items)
    commands.rows["seq"] = np.arange(first_seq, first_seq + len(items))
    commands.rows["time_ns"] = commands.rows["seq"] // 2 * 1000
    return commands


def assert_same(machine: Machine, naive: Naive, items: Sequence[Item], *, size: int = 1) -> list[batch.Events]:
    """Apply the commands to both, `size` at a time, comparing events and then state; return the core's events."""
    outputs = []
    for start in range(0, len(items), size):
        part = items[start : start + size]
        commands = stamped(part, naive.seq + 1)
        events = machine.apply_all(commands)
        assert_same_events(events, naive, commands, part)
        assert_same_state(machine, naive)
        outputs.append(events)
    return outputs


def assert_same_events(events: batch.Events, naive: Naive, commands: batch.Commands, items: Sequence[Item]) -> None:
    """Apply the commands to the model and compare the core's events with its own; name the first difference."""
    first_seq = naive.seq + 1
    expected, expected_tail = to_rows(apply_to_naive(naive, commands))
    for ours, theirs in zip(expected, events.rows, strict=False):
        command = describe_command(items[int(ours["cause_seq"]) - first_seq])
        where = f"event {ours['cause_seq']}.{ours['index']} ({EventKind(ours['kind']).name}) of {command}"
        lines = differences(ours, theirs)
        assert not lines, "\n  ".join([where, *lines])
        documents = document_of(ours, expected_tail), document_of(theirs, events.tail)
        assert documents[0] == documents[1], f"{where}: documents differ"
    assert len(expected) == len(events.rows), (
        f"naive has {len(expected)} events, core {len(events.rows)}; the first without its like is "
        f"{(expected if len(expected) > len(events.rows) else events.rows)[min(len(expected), len(events.rows))]}"
    )


def assert_same_state(machine: Machine, naive: Naive) -> None:
    """Compare balances, totals, books, sessions and definitions, and let both check themselves."""
    naive.check()
    machine.check()
    image = Image(machine.image())
    assert_equal("balances (available, held)", naive.balances(), image.balances)
    assert_equal("obligations, by slot", dict(enumerate(obligations_of(naive))), dict(enumerate(image.obligations)))
    assert_equal("orders", orders_of(naive), image.orders)
    assert_equal("orders that wait", waiting_of(naive), image.waiting)
    assert_equal("details", details_of(naive), image.details)
    assert_equal("schedules (document, suspended)", schedules_of(naive), image.schedules)
    shown = {order.order_id: order.shown_lots for order in naive.orders() if order.display_qty_lots}
    assert_equal("shown", shown, image.shown)
    assert_equal("markets", markets_of(naive), image.markets)
    groups = {
        one.number: (one.index_ticks, one.close_ticks, one.fall_ppm)
        for one in naive.groups.values()
        if one.index_ticks or one.close_ticks
    }
    assert_equal("groups (index, close, fall)", groups, image.groups)
    totals = {asset.number: (asset.deposited_units, asset.withdrawn_units) for asset in naive.assets.values()}
    assert_equal("totals (in, out)", totals, dict.fromkeys(totals, (0, 0)) | image.totals)
    sessions = {one.number: (one.epoch, one.last) for one in naive.sessions.values()}
    assert_equal("sessions (epoch, last)", sessions, dict.fromkeys(sessions, (0, 0)) | image.sessions)
    assert_equal("documents", documents_of(naive), image.documents)


def assert_equal(what: str, ours: dict[Any, Any], theirs: dict[Any, Any]) -> None:
    """Assert that two mappings are equal, or name each key in which they differ."""
    lines = [
        f"{key}: naive {ours.get(key)}, core {theirs.get(key)}"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    ]
    assert not lines, "\n  ".join([f"{what} differ:", *lines])


def documents_of(naive: Naive) -> dict[tuple[int, int], bytes]:
    """Every definition as it now stands, by its event's kind and its number."""
    records: tuple[Iterable[Any], ...] = (
        naive.assets.values(),
        [Session(one["number"], one) for one in naive.schedules.values()],
        naive.instruments.values(),
        naive.accounts.values(),
        naive.sessions.values(),
        [Session(one["number"], one) for one in naive.trading_schedules.values()],
        naive.breakers.values(),
        naive.groups.values(),
        [Session(one["number"], one) for one in naive.identities.values()],
        [Session(one["number"], one) for one in naive.calendars.values()],
    )
    return {
        (int(kind), record.number): pack(record.document)
        for kind, several in zip(DEFINED_EVENTS, records, strict=True)
        for record in several
    }


def obligations_of(naive: Naive) -> list[tuple[int, ...]]:
    """Account, asset, value date, receivable and whether it failed of each open obligation, by slot."""
    return [(*one.key, one.receivable_units, int(one.has_failed)) for one in naive.obligations.slots if one is not None]


def orders_of(naive: Naive) -> Book:
    """The model's books: for each (instrument, side) that has orders, their image's fields in price-time order."""
    books: Book = {}
    for order in naive.orders():
        books.setdefault((order.instrument_id, order.side), []).append(fields_of(order))
    return books


def waiting_of(naive: Naive) -> dict[int, dict[str, int]]:
    """The model's orders outside the books, by id."""
    return {order.order_id: fields_of(order) for order in naive.live.values() if order.place != Place.BOOK}


def fields_of(order: Order) -> dict[str, int]:
    """An order's image's fields."""
    values = {name: getattr(order, name) for name in IMAGE_OF_ORDER if hasattr(order, name)}
    values |= {"amount_units": order.hold_units, "origin_seq": order.entry_seq}
    values["client_id_lo"], values["client_id_hi"] = order.client_id
    return values


def details_of(naive: Naive) -> dict[int, dict[str, int]]:
    """What ORDER_DETAILS would now say of each order that has any, by id."""
    details = {}
    for order in naive.live.values():
        values = details_fields(order)
        if values is not None:
            details[order.order_id] = {name: value for name, value in values.items() if value}
    return details


def schedules_of(naive: Naive) -> dict[int, tuple[bytes, bool]]:
    """What an image says of each scheduled order's slices, and whether it is suspended, by id."""
    names = ("start_time_ns", "end_time_ns", "participation_ppm", "slices")
    return {
        order.order_id: (
            pack({name: getattr(order.schedule, name) for name in names}),
            order.schedule.is_suspended,
        )
        for order in naive.live.values()
        if order.schedule is not None
    }


def markets_of(naive: Naive) -> dict[int, tuple[int, ...]]:
    """State, call purpose, expected end, last and index price of each market."""
    return {
        number: (*one.market.now, ends_ns(naive, one), one.last_price_ticks, one.index_price_ticks)
        for number, one in naive.instruments.items()
    }


def _details_of(rows: np.ndarray) -> dict[int, dict[str, int]]:
    """By order the fields of ORDER_DETAILS rows that are not zero, by the names that its type has for them."""
    made: dict[int, dict[str, int]] = {int(order_id): {} for order_id in rows["order_id"]}
    assert len(made) == len(rows)
    for name in EVENT_FIELDS:
        if name not in {"kind", "cause_seq", "time_ns", "index", "origin_seq", "command_kind"}:
            told = rows[(rows[name] != 0) & kinds.present(rows, name)]
            for order_id, value in zip(told["order_id"].tolist(), told[name].tolist(), strict=True):
                made[order_id][name] = value
    return made


class Image:
    """A core's image, sorted into what can be compared."""

    def __init__(self, events: batch.Events) -> None:
        rows = events.rows

        def of(kind: EventKind) -> Any:
            return rows[rows["kind"] == kind]

        self.balances = {
            (int(row["account_id"]), int(row["asset_id"])): (int(row["amount_units"]), int(row["notional_units"]))
            for row in of(EventKind.BALANCE_IMAGE)
            if row["amount_units"] or row["notional_units"]
        }
        self.obligations = [
            tuple(int(row[name]) for name in ("account_id", "asset_id", "order_id", "amount_units", "state"))
            for row in of(EventKind.OBLIGATION_IMAGE)
        ]
        self.totals = {
            int(row["asset_id"]): (int(row["amount_units"]), int(row["notional_units"]))
            for row in of(EventKind.ASSET_IMAGE)
        }
        self.sessions = {
            int(row["order_id"]): (int(row["session_epoch"]), int(row["client_seq"]))
            for row in of(EventKind.SESSION_IMAGE)
        }
        self.orders: Book = {}
        self.documents = {
            (int(kind), int(row[NUMBER_FIELDS[kind]])): document_of(row, events.tail)
            for kind in DEFINED_EVENTS
            for row in of(kind)
        }
        self.waiting: dict[int, dict[str, int]] = {}
        """Orders that wait outside the books, by id."""
        for row in of(EventKind.ORDER_IMAGE):
            assert row["side"] in {Side.BUY, Side.SELL}
            values = {name: int(row[name]) for name in IMAGE_OF_ORDER}
            if row["state"]:
                self.waiting[values["order_id"]] = values
            else:
                self.orders.setdefault((values["instrument_id"], values["side"]), []).append(values)
        self.groups = {
            int(row["order_id"]): (int(row["price_ticks"]), int(row["close_price_ticks"]), int(row["measure"]))
            for row in of(EventKind.GROUP_INDEX_CHANGED)
        }
        self.details = _details_of(of(EventKind.ORDER_DETAILS))
        suspended = {int(row["order_id"]) for row in of(EventKind.ORDER_SUSPENDED) if row["state"]}
        self.schedules = {
            int(row["order_id"]): (document_of(row, events.tail), int(row["order_id"]) in suspended)
            for row in of(EventKind.ALGO_SCHEDULED)
        }
        self.shown = {
            int(row["order_id"]): int(row["display_qty_lots"])
            for row in of(EventKind.ORDER_REFRESHED)
            if int(row["order_id"]) not in self.waiting
        }
        indexes = {int(row["instrument_id"]): int(row["price_ticks"]) for row in of(EventKind.INDEX_PRICE_CHANGED)}
        self.markets = {
            int(row["instrument_id"]): (
                *(int(row[name]) for name in ("state", "call_purpose", "expire_time_ns", "price_ticks")),
                indexes.get(int(row["instrument_id"]), 0),
            )
            for row in of(EventKind.INSTRUMENT_STATE_CHANGED)
        }


def empty_machine() -> Machine:
    """A core of an empty venue; importing it here lets the model's own tests run without it."""
    from kk99.machine import Machine

    return Machine()
