"""The little language of the tables: a line of text to a command, an event to a line of text.

A venue of three accounts (A and C are of one owner) and three markets: X plain, Y with every limit, F with fees::

    A buy 10 @ 100 Y ioc self_trade=2     an order (times in force, types, post; field=value sets any field)
    A sell 10 @ 0 stop last:95            a trigger's source and price; of trailing ones the source alone, and trail:5
    A algo buy 10 @ 100 0:4 2:6 from:15 until:20 cap:500000   slices of offset:lots; `until`, `from` and offsets in µs
    A suspend 1       A resume 1          a scheduled order
    A cancel 1        A replace 1 12 @ 101        the order in slot 1; `2:1` its second generation; `id:7` by client id
    A mass X buy      A deposit USD 5     A withdraw USD 5
    A settle USD 2 95     A fail USD 2 95 7     A penalty USD 2 5    value date and amount; a failure's reason
    market X HALTED   account A KILLED    reference X 99    index X 99    bust 1    correct 1 5 @ 99
    day 3                                 no command: from here on it is that day (0 is 1970-01-01)
    raw CONTINUE session_id=1             define ASSET_DEFINE {"name": "Z", "scale": 0}
    document ALGO_ORDER {"slices": []}    the same, but nobody says who orders it and why
    signed SETTLEMENT_PENALTY account_id=9    like raw, with who orders it and why; `unsigned`: without who

Line n of a case is at (20 + n) // 2 µs of its day: the first at 10, the next two at 11, and so on.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgpack

from kk99 import schema
from kk99.schema import (
    AccountState,
    CancelReason,
    CommandKind,
    EventKind,
    Flag,
    MarketState,
    OrderType,
    RejectCode,
    Side,
    TimeInForce,
    TrailUnit,
    TriggerSource,
)
from tests.naive import commands as make

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.naive.rows import Item

ACCOUNTS = {"A": 16, "B": 17, "C": 18}
MARKETS = {"X": 1, "Y": 2, "F": 3}
ASSETS = {"USD": 1, "BTC": 2}
WORDS: dict[str, dict[str, int]] = {
    **{one.name.lower(): {"order_type": one} for one in OrderType},
    **{one.name.lower(): {"time_in_force": one} for one in TimeInForce},
    **{one.name.lower(): {"trigger": one} for one in TriggerSource},
    "post": {"flags": Flag.POST_ONLY},
    "leaves": {"flags": Flag.QTY_IS_LEAVES},
}
VALUES: dict[str, dict[str, int]] = {
    **{one.name.lower(): {"trigger": one, "trigger_price_ticks": 0} for one in TriggerSource},
    "trail": {"trail_unit": TrailUnit.TICKS, "trail": 0},
    "trail_bp": {"trail_unit": TrailUnit.BASIS_POINTS, "trail": 0},
    "show": {"display_qty_lots": 0},
    "refill": {"refill_qty_lots": 0},
    "min": {"min_qty_lots": 0},
    "then": {"stop_limit_price_ticks": 0},
    "take": {"take_profit_price_ticks": 0},
    "trigger": {"trigger_price_ticks": 0},
}
"""Words that a colon and a number follow: what they set, the last field to the number."""
PLAIN = {
    "kind",
    "cause_seq",
    "time_ns",
    "index",
    "command_kind",
    "client_seq",
    "session_id",
    "session_epoch",
    "document",
}


def prelude() -> list[Item]:
    """The venue that every case begins with."""
    fees = {"maker_ppm": 10_000, "taker_ppm": 20_000, "deposit_ppm": 100_000, "withdrawal_ppm": 50_000}
    rebate = {"maker_ppm": -30_000, "taker_ppm": 20_000}
    limits = {"tick_step": 5, "lot_step": 10, "min_qty_lots": 20, "max_qty_lots": 100, "max_price_ticks": 200}
    notional = {"min_notional_units": 2_500, "max_notional_units": 9_000}
    collar = {"collar_ppm": 100_000, "reference_price_ticks": 100}
    return [
        make.schedule("fees", fees, rebate, burn_ppm=500_000),
        make.asset("USD"),
        make.asset("BTC", 0, "fees"),
        make.instrument("X", "BTC", "USD", max_price_ticks=1_000, max_qty_lots=1_000),
        make.instrument("Y", "BTC", "USD", **limits, **notional, **collar),
        make.instrument("F", "BTC", "USD", fee_schedule="fees", max_price_ticks=1_000, max_qty_lots=1_000),
        *[make.instrument_state(number, MarketState.OPEN) for number in MARKETS.values()],
        make.account("A", "alice"),
        make.account("B", "bob", tier=1),
        make.account("C", "alice"),
        make.session("s"),
        make.session_open(1, 1),
        *[make.deposit(account, ASSETS["USD"], 10_000) for account in ACCOUNTS.values()],
        *[make.deposit(account, ASSETS["BTC"], 2_000) for account in ACCOUNTS.values()],
    ]


def read(line: str) -> Item:
    """The command that a line means."""
    verb, _, rest = line.partition(" ")
    if verb in ACCOUNTS:
        return _of_account(ACCOUNTS[verb], rest.split())
    if verb == "define":
        kind, _, text = rest.partition(" ")
        return make.document(CommandKind[kind], json.loads(text))
    if verb == "document":
        kind, _, text = rest.partition(" ")
        return make.command(CommandKind[kind])[0], msgpack.packb(json.loads(text))
    words = rest.split()
    match verb:
        case "raw":
            kind_number = CommandKind[words[0]] if words[0] in CommandKind.__members__ else int(words[0])
            return make.command(kind_number, **_fields(words[1:]))
        case "unsigned":
            return make.document(CommandKind[words[0]], {"reason": ""}, **_fields(words[1:]))
        case "signed":
            return make.document(CommandKind[words[0]], {}, **_fields(words[1:]))
        case "market":
            return make.instrument_state(MARKETS.get(words[0], 9), _member(MarketState, words[1]))
        case "account":
            return make.account_state(ACCOUNTS.get(words[0], 9), _member(AccountState, words[1]))
        case "reference":
            return make.reference_price(MARKETS.get(words[0], 9), int(words[1]))
        case "index":
            return make.index_price(MARKETS.get(words[0], 9), int(words[1]))
        case "bust":
            return make.trade_bust(int(words[0]))
    assert verb == "correct", line
    return make.trade_correct(int(words[0]), int(words[3]), int(words[1]))


def _member(states: type[schema.Documented], name: str) -> int:
    return int(states[name]) if name in states.__members__ else int(name)


def _fields(words: list[str]) -> dict[str, int]:
    """The fields that words set."""
    fields: dict[str, int] = {}
    for word in words:
        if word in WORDS:
            fields |= WORDS[word]
        elif ":" in word:
            name, value = word.split(":")
            fields |= VALUES[name]
            fields[list(VALUES[name])[-1]] = int(value)
        else:
            name, value = word.split("=")
            fields[name] = int(value)
    return fields


def _of_account(account: int, words: list[str]) -> Item:
    """A command of an account."""
    verb = words[0]
    if verb in {"buy", "sell"}:
        return _order(account, Side[verb.upper()], words[1:])
    if verb == "algo":
        return _algo(account, Side[words[1].upper()], words[2:])
    if verb in {"suspend", "resume"}:
        state = {"state": int(verb == "suspend")}
        return _aim(make.order_suspend(account, 0, **state | _fields(words[2:])), words[1])
    if verb in {"deposit", "withdraw"}:
        transfer = make.deposit if verb == "deposit" else make.withdraw
        return transfer(account, ASSETS.get(words[1], 9), int(words[2]))
    if verb in {"settle", "fail", "penalty"}:
        return _of_obligation(account, verb, ASSETS.get(words[1], 9), [int(word) for word in words[2:]])
    if verb == "mass":
        instrument = next((MARKETS.get(word, 9) for word in words[1:] if word not in {"buy", "sell"}), 0)
        side = next((Side[word.upper()] for word in words[1:] if word in {"buy", "sell"}), Side.BOTH)
        return make.mass_cancel(account, instrument, side)
    if verb == "cancel":
        return _aim(make.order_cancel(account, 0, **_fields(words[2:])), words[1])
    assert verb == "replace", words
    return _aim(make.order_replace(account, 0, int(words[2]), int(words[4]), **_fields(words[5:])), words[1])


def _of_obligation(account: int, verb: str, asset: int, numbers: list[int]) -> Item:
    """A command about what is owed on a date: date and amount, of a failure also the reason."""
    if verb == "penalty":
        return make.settlement_penalty(account, asset, *numbers)
    more = {"state": 2, "price_ticks": numbers.pop() if len(numbers) > 2 else 0} if verb == "fail" else {"state": 1}
    return make.settle(account, asset, *numbers, **more)


def _order(account: int, side: int, words: list[str]) -> Item:
    """An order: quantity @ price, then words in any order."""
    market = next((MARKETS.get(word, 9) for word in words[3:] if word.isupper()), MARKETS["X"])
    item, document = make.order_new(account, market, side, int(words[0]), int(words[2]))
    return item | _fields([word for word in words[3:] if not word.isupper()]), document


def _algo(account: int, side: int, words: list[str]) -> Item:
    """A scheduled order: quantity @ price, then slices, its times and cap, and other words."""
    names = {"from": "start_time_ns", "until": "end_time_ns", "cap": "participation_ppm"}
    slices: list[tuple[int, int]] = []
    document: dict[str, int] = {}
    others: list[str] = []
    for word in words:
        name, _, value = word.partition(":")
        if value and name.isdecimal():
            slices.append((1000 * int(name), int(value)))
        elif name in names:
            document[names[name]] = int(value) * (1 if name == "cap" else 1000)
        else:
            others.append(word)
    fields, _ = _order(account, side, [*others[:3], "algo", "gtd", *others[3:]])
    return fields | {"kind": int(CommandKind.ALGO_ORDER)}, msgpack.packb(document | {"slices": slices})


def _aim(item: Item, text: str) -> Item:
    """The command with its target as the text says."""
    if text.startswith("id:"):
        return make.by_client_id(item, int(text[3:]))
    generation, slot = text.split(":") if ":" in text else ("1", text)
    fields, document = item
    return fields | {"target_lo": int(generation) << schema.ORDER_SLOT_BITS | int(slot)}, document


# Events ---------------------------------------------------------------------------------------------------------------


def _name(names: dict[str, int], number: int) -> str:
    return next((name for name, one in names.items() if one == number), str(number))


def _order_name(order_id: int) -> str:
    generation, slot = order_id >> schema.ORDER_SLOT_BITS, order_id & (1 << schema.ORDER_SLOT_BITS) - 1
    return f"#{slot}" if generation == 1 else f"#{generation}:{slot}"


TEXTS: dict[str, Callable[[int], str]] = {
    "trade_id": lambda number: f"trade {number}:",
    "order_id": _order_name,
    "account_id": lambda number: _name(ACCOUNTS, number),
    "contra_order_id": lambda order_id: "with " + _order_name(order_id),
    "contra_account_id": lambda number: _name(ACCOUNTS, number),
    "instrument_id": lambda number: _name(MARKETS, number),
    "asset_id": lambda number: _name(ASSETS, number),
    "side": lambda number: Side(number).name if number in set(Side) else f"side={number}",
    "order_type": lambda number: OrderType(number).name,
    "time_in_force": lambda number: TimeInForce(number).name,
    "trigger": lambda number: TriggerSource(number).name.lower(),
    "linked_order_id": lambda order_id: "linked " + _order_name(order_id),
    "parent_order_id": lambda order_id: "parent " + _order_name(order_id),
}
"""How fields are written that have a short form, in this order."""


WITH_TIMES = {
    EventKind.ORDER_ACCEPTED,
    EventKind.ORDER_REPLACED,
    EventKind.ORDER_DETAILS,
    EventKind.ORDER_TRIGGERED,
}
"""Kinds that say a time in force, of which DAY is zero."""


OF_OBLIGATIONS = {EventKind.OBLIGATION_SETTLED, EventKind.OBLIGATION_FAILED, EventKind.PENALTY_PAID}
"""Kinds whose order id is a value date."""


def write(event: dict[str, Any]) -> str:
    """An event's line: kind, reason, order, account, market, side, quantity @ price, then what else is not zero."""
    left = {name: value for name, value in event.items() if name not in PLAIN}
    kind = EventKind(event["kind"])
    if left.get("origin_seq") == event["cause_seq"]:
        del left["origin_seq"]
    words = [kind.name]
    if "reason" in left:
        is_reject = kind in {EventKind.REJECTED, EventKind.EXITS_REFUSED}
        codes: type[schema.Documented] = RejectCode if is_reject else CancelReason
        words.append(codes(left.pop("reason")).name)
    if kind in WITH_TIMES:
        left.setdefault("time_in_force", TimeInForce.DAY)
    if kind in OF_OBLIGATIONS:
        words.append(f"on {left.pop('order_id')}")
    for name, text in TEXTS.items():
        if name in left:
            words.append(text(left.pop(name)))
    if "qty_lots" in left or "price_ticks" in left:
        words.append(f"{left.pop('qty_lots', 0)} @ {left.pop('price_ticks', 0)}")
    if "state" in left and kind not in {EventKind.MESSAGE_NOTED, EventKind.ORDER_SUSPENDED}:
        states: type[schema.Documented] = AccountState if kind == EventKind.ACCOUNT_STATE_CHANGED else MarketState
        words.append(states(left.pop("state")).name)
    short = {"leaves_lots": "leaves", "contra_leaves_lots": "contra_leaves", "amount_units": "amount"}
    return " ".join(words + [f"{short.get(name, name)}={int(left[name])}" for name in sorted(left)])
