"""Sequences of commands for a small venue, drawn so that most are valid and meet one another, and some are hostile.

A command is drawn as a few bytes, each a choice; all zero bytes draw nothing, so a failing sequence shrinks to the few
commands that matter. Choices look at the naive model as it stands (live orders, trades), so targets exist more often
than not.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from kk99 import schema
from kk99.schema import PPM, CommandKind, Flag, MarketState
from tests.core.orders_drawn import ACCOUNTS, Choices, algo_order, order_new
from tests.naive import commands as make
from tests.naive.compare import stamped
from tests.naive.model import Naive
from tests.naive.records import MARKET_ONCE_TRIGGERED
from tests.naive.rows import Item, apply_to_naive

if TYPE_CHECKING:
    from tests.naive.records import Order

CHOICES = 32
"""Bytes a command is drawn from."""
USD, BTC, ETH = 1, 2, 3
INSTRUMENTS = ("BTC/USD", "ETH/USD", "ETH/BTC")
CHANGES: tuple[dict[str, int | str], ...] = (
    {"fee_schedule": "usual"},
    {"collar_ppm": 30_000},
    {"collar_ppm": 0, "fee_schedule": ""},
    {"tick_step": 1, "lot_step": 1, "min_notional_units": 1},
    {"max_price_ticks": 102, "min_qty_lots": 3},
    {"max_price_ticks": 104, "min_qty_lots": 9},
    {"max_qty_lots": schema.QTY_LOTS_MAX},
    {"fee_schedule": "nothing"},
)


def setup() -> list[Item]:
    """Three assets, three instruments all different, six accounts in two tiers and four groups, two sessions."""
    wild = ({"maker_ppm": -PPM, "taker_ppm": PPM}, {"maker_ppm": PPM, "taker_ppm": 0})
    usual = (
        {"maker_ppm": 500, "taker_ppm": 1000, "deposit_ppm": 5000, "withdrawal_ppm": 1000},
        {"maker_ppm": -300_000, "taker_ppm": 70_000},
    )
    items = [
        make.schedule("usual", *usual, burn_ppm=500_000),
        make.schedule("wild", *wild, burn_ppm=333_333),
        make.asset("USD", 2),
        make.asset("BTC", 3, "usual"),
        make.asset("ETH", 0, "usual"),
        make.instrument(
            "BTC/USD",
            "BTC",
            "USD",
            tick_units=70,
            lot_units=100,
            collar_ppm=60_000,
            reference_price_ticks=100,
            fee_schedule="usual",
        ),
        make.instrument(
            "ETH/USD",
            "ETH",
            "USD",
            tick_units=3,
            lot_units=5,
            tick_step=2,
            lot_step=3,
            min_qty_lots=6,
            max_qty_lots=60,
            min_notional_units=9_000,
            max_notional_units=60_000,
            max_price_ticks=104,
            fee_schedule="wild",
        ),
        make.instrument("ETH/BTC", "ETH", "BTC", max_price_ticks=schema.PRICE_TICKS_MAX, max_qty_lots=1 << 24),
    ]
    people: list[tuple[str, str, dict[str, int | str]]] = [
        ("A", "alice", {}),
        ("B", "alice", {"tier": 1}),
        ("C", "bob", {"group": "desk"}),
        ("D", "carol", {"group": "desk", "tier": 1}),
        ("E", "eve", {}),
        ("F", "fred", {"tier": 1}),
    ]
    items += [make.account(name, owner, **fields) for name, owner, fields in people]
    items += [make.session("one"), make.session("two"), make.session_open(1, 1), make.session_open(2, 1)]
    items += [make.instrument_state(number, MarketState.OPEN) for number in (1, 2, 3)]
    items += [make.deposit(account, asset, 10_000_000) for account in ACCOUNTS[:-1] for asset in (USD, BTC, ETH)]
    return [*items, make.deposit(ACCOUNTS[-1], USD, 20_000), make.deposit(ACCOUNTS[-1], ETH, 100)]


@functools.cache
def _naive_after_setup() -> Naive:
    naive = Naive()
    apply_to_naive(naive, stamped(setup(), 1))
    return naive


def _target(choices: Choices, naive: Naive) -> Order | None:
    orders = list(naive.live.values())
    return orders[choices.pick(len(orders))] if orders else None


def _order_cancel(choices: Choices, naive: Naive) -> Item:
    order = _target(choices, naive)
    if order is None or choices.pick(10) == 9:
        return make.order_cancel(choices.among(*ACCOUNTS), 1 << schema.ORDER_SLOT_BITS | choices.pick(20))
    item = make.order_cancel(order.account_id, order.order_id)
    return make.by_client_id(item, *order.client_id) if choices.pick(2) else item


def _order_replace(choices: Choices, naive: Naive) -> Item:
    order = _target(choices, naive)
    if order is None:
        return make.order_replace(choices.among(*ACCOUNTS), choices.pick(4), 6, 100)
    price = 0
    if order.order_type not in MARKET_ONCE_TRIGGERED and not order.is_trailing:
        price = order.price_ticks + choices.among(0, 0, 2, -2, 1, 6, -6)
    step = choices.among(-3, 3, 0, -6, 6, 1, 60)
    is_leaves = choices.pick(2)
    qty = (order.leaves_lots if is_leaves else order.qty_lots) + step
    more = {"flags": Flag.QTY_IS_LEAVES if is_leaves else 0, "side": choices.among(0, 0, 0, order.side, 1)}
    if order.is_dormant and not order.is_trailing and choices.pick(3):
        more["trigger_price_ticks"] = order.trigger_price_ticks + choices.among(2, -2, 0, 1, -1, 4, -4)
    if choices.pick(3) == 0:
        more |= {"client_id_lo": choices.pick(40), "client_id_hi": 0}
    item = make.order_replace(order.account_id, order.order_id, qty, price, **more)
    return make.by_client_id(item, *order.client_id) if choices.pick(3) == 0 else item


def _index_price(choices: Choices, naive: Naive) -> Item:
    number = choices.among(1, 1, 2, 3, 9)
    present = naive.instruments[number].index_price_ticks if number in naive.instruments else 0
    price = (present or 100) + choices.among(1, -1, 2, -2, 3, -3, 4, -4, 0)
    return make.index_price(number, choices.among(*[price] * 12, 100, 100, 0, 1 << 40))


def _message_noted(choices: Choices, _: Naive) -> Item:
    fields = {"account_id": choices.pick(256), "order_type": choices.pick(12), "state": choices.pick(256)}
    more = {"target_lo": choices.pick(256), "flags": choices.among(0, Flag.TARGET_CLIENT_ID, Flag.HAS_COLD)}
    return make.command(CommandKind.MESSAGE_NOTED, **fields | more, qty_lots=choices.pick(3) - 1)


def _order_suspend(choices: Choices, naive: Naive) -> Item:
    parents = [order for order in naive.live.values() if order.schedule is not None]
    order = parents[choices.pick(len(parents))] if parents else _target(choices, naive)
    if order is None or choices.pick(10) == 9:
        return make.order_suspend(choices.among(*ACCOUNTS), choices.pick(256))
    item = make.order_suspend(order.account_id, order.order_id, state=choices.among(1, 0, 1, 0, 2))
    return make.by_client_id(item, *order.client_id) if choices.pick(2) else item


def _mass_cancel(choices: Choices, _: Naive) -> Item:
    return make.mass_cancel(choices.among(*ACCOUNTS), choices.among(0, 1, 2, 3, 9), choices.among(0, 1, 2, 3))


def _money(choices: Choices, naive: Naive) -> Item:
    account, asset = choices.among(*ACCOUNTS, 1), choices.among(USD, BTC, ETH, 9)
    amount = choices.among(1000, 1, 999_999, 0, -1, schema.AMOUNT_MAX, 77)
    if choices.pick(2):
        return make.deposit(account, asset, amount)
    is_all = choices.pick(4) == 0
    return make.withdraw(account, asset, naive.available.get((account, asset), 0) if is_all else amount)


def _state(choices: Choices, _: Naive) -> Item:
    if choices.pick(2):
        return make.instrument_state(choices.among(1, 2, 3, 9), choices.among(*[1] * 24, 0, 2, 3, 4, 5, 5, 5, 6, 7))
    return make.account_state(choices.among(*ACCOUNTS, 3), choices.among(*[0] * 9, 1, 2, 3))


def _trade(choices: Choices, naive: Naive) -> Item:
    trade = naive.trades.get(naive.last_trade_id - choices.pick(6))
    if trade is None:
        return make.trade_bust(choices.pick(9))
    if choices.pick(2):
        return make.trade_bust(trade.trade_id)
    price = trade.price_ticks + choices.among(0, 1, -1, -trade.price_ticks, 1000)
    return make.trade_correct(trade.trade_id, price, trade.qty_lots + choices.among(0, -1, 1, -trade.qty_lots))


def _definition(choices: Choices, _: Naive) -> Item:
    match choices.pick(9):
        case 0:
            rates = {"maker_ppm": choices.pick(100) * 1000 - 50_000, "taker_ppm": choices.pick(100) * 1000}
            item = make.schedule(
                ("usual", "wild", "third")[choices.pick(3)], rates, burn_ppm=choices.pick(100) * 10_000
            )
        case 1:
            item = make.account_change("ABCDEFG"[choices.pick(7)], group=("desk", "alice", "new")[choices.pick(3)])
        case 2:
            item = make.account_change("ABCDEF"[choices.pick(6)], tier=choices.among(0, 1, 15, 16))
        case 3:
            item = make.reference_price(choices.among(1, 2, 3, 4), choices.among(100, 98, 0, 102, 1 << 40))
        case 4:
            item = make.account(f"more{choices.pick(3)}")
        case 5:
            item = make.asset(f"more{choices.pick(3)}", choices.among(0, 18, 19))
        case 6:
            quote, units = ("BTC", "USD", "?")[choices.pick(3)], choices.among(100, 1)
            item = make.instrument(f"X{choices.pick(3)}", "USD", quote, tick_units=units)
        case 7:
            item = make.session(f"s{choices.pick(3)}")
        case _:
            item = make.instrument_change(INSTRUMENTS[choices.pick(3)], **CHANGES[choices.pick(len(CHANGES))])
    fields, document = item
    return fields, document[:-1] if choices.pick(12) == 11 else document


def _sequencer(choices: Choices, _: Naive) -> Item:
    kind = choices.among(CommandKind.CONTINUE, CommandKind.CLOCK, CommandKind.SESSION_LOST)
    return make.command(kind, target_lo=choices.among(1, 2, 1, 2, 0, 77) if kind == CommandKind.SESSION_LOST else 0)


def _session_open(choices: Choices, naive: Naive) -> Item:
    number = choices.among(1, 2, 3, 0)
    epoch = naive.sessions[number].epoch if number in naive.sessions else 0
    return make.session_open(number, epoch + choices.among(1, 1, 0, 2))


def _hostile(choices: Choices, _: Naive) -> Item:
    fields = {"kind": choices.pick(256)}
    for _index in range(choices.pick(6)):
        name, value = _extreme(choices)
        fields[name] = value
    return fields, b""


def _extreme(choices: Choices) -> tuple[str, int]:
    """A field of a command, and a value at or near the ends of what it holds."""
    names = [name for name in schema.COMMAND.names or () if name not in {"seq", "time_ns", "kind"}]
    name = names[choices.pick(len(names))]
    assert schema.COMMAND.fields is not None
    bounds = np.iinfo(schema.COMMAND.fields[name][0])
    values = (bounds.max, bounds.min, -1, 0, 1, 2, 1 << 31, 1 << 61, 1 << 62, bounds.max - 1, choices.pick(256) << 32)
    return name, min(max(int(values[choices.pick(len(values))]), int(bounds.min)), int(bounds.max))


Maker = Callable[[Choices, Naive], Item]
WEIGHTED: list[tuple[int, Maker]] = [
    (110, order_new),
    (10, algo_order),
    (4, _order_suspend),
    (8, _index_price),
    (24, _order_cancel),
    (32, _order_replace),
    (5, _mass_cancel),
    (12, _money),
    (10, _state),
    (10, _trade),
    (15, _definition),
    (6, _sequencer),
    (2, _session_open),
    (2, _message_noted),
    (6, _hostile),
]
TABLE: list[Maker] = [maker for weight, maker in WEIGHTED for _ in range(weight)]
assert len(TABLE) == 256


def _from_session(choices: Choices, naive: Naive, item: Item) -> Item:
    """The command as a session sends it: mostly the next number, at times an old one, one too far, or a wrong epoch."""
    fields, document = item
    number = choices.pick(256)
    number = 3 if number == 255 else number % 3
    if number == 0 or fields["kind"] == CommandKind.SESSION_OPEN:
        return item
    session = naive.sessions.get(number)
    last, epoch = (session.last, session.epoch) if session else (0, 0)
    odd = choices.pick(256)
    next_number = last + {251: 0, 252: -1, 253: 2, 254: 1 << 40, 255: -(1 << 40)}.get(odd, 1)
    epoch += {248: 1, 249: -1}.get(odd, 0)
    return {"session_id": number, "session_epoch": epoch, "client_seq": next_number} | fields, document


def interpret(entries: list[bytes]) -> list[Item]:
    """The commands that the bytes mean, after those of `setup`."""
    naive = copy.deepcopy(_naive_after_setup())
    items = []
    for entry in entries:
        if not any(entry):
            continue
        choices, envelope = Choices(entry[:-5]), Choices(entry[-5:])
        item = TABLE[choices.pick(256)](choices, naive)
        item = _from_session(envelope, naive, item)
        if envelope.pick(20) == 19:
            name, value = _extreme(envelope)
            item = item[0] | {name: value}, item[1]
        apply_to_naive(naive, stamped([item], naive.seq + 1))
        items.append(item)
    return items


def scenarios(count_min: int = 60, count_max: int = 150) -> st.SearchStrategy[list[Item]]:
    """Lists of commands that follow `setup`."""
    return st.lists(st.binary(min_size=CHOICES, max_size=CHOICES), min_size=count_min, max_size=count_max).map(
        interpret
    )
