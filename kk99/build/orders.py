"""Builders of commands about orders: every type of order, replace and cancel.

Prices, triggers, offsets and trails by amount are in ticks of the instrument, quantities in its lots, amounts in units
of its quote asset, trails by share in basis points, expiries in nanoseconds since 1970 (UTC). What each type needs and
allows stands in `docs/explanation/advanced-orders.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np

from kk99.batch import Commands
from kk99.build.documents import document
from kk99.build.rows import NO_COLD, client_id_hash, cold_row, rows_of
from kk99.errors import InputError
from kk99.schema import CommandKind, Flag, OrderType, SelfTrade, Side, TimeInForce, TrailUnit, TriggerSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kk99.batch import Rows
    from kk99.build.rows import Ints


class Terms(TypedDict, total=False):
    """What any order may say beside its prices and quantities.

    The time in force is GTD where there is an `expire_time_ns`, else GTC, unless it is given. `client_id` is text; its
    hash goes into the row, it and what `cold` has into the cold row.
    """

    time_in_force: Ints
    expire_time_ns: Ints
    self_trade: Ints
    flags: Ints
    client_id: str
    cold: Mapping[str, int | str] | None


class Scheduled(TypedDict, total=False):
    """What `algo_order` takes beside the order and its slices: from when it runs, its cap, and what any order may say.

    `start_time_ns` 0 is now, `participation_ppm` (millionths of what the instrument trades meanwhile) 0 no cap.
    """

    start_time_ns: int
    participation_ppm: int
    self_trade: Ints
    flags: Ints
    client_id: str
    cold: Mapping[str, int | str] | None


def _with_ids(rows: Rows, client_id: str, cold: Mapping[str, int | str] | None, **cold_ids: str) -> Commands:
    """Return one command with its client id's hash and text; `cold` has more fields of the cold row."""
    texts = {"client_id": client_id, **cold_ids}
    fields = {name: text for name, text in texts.items() if text} | dict(cold or {})
    if not fields:
        return Commands(rows, NO_COLD)
    if len(rows) != 1:
        raise InputError("a client order id as text, and a cold row, go with one row at a time")
    if client_id:
        rows["client_id_lo"], rows["client_id_hi"] = client_id_hash(client_id)
    rows["flags"] |= np.uint8(Flag.HAS_COLD)
    return Commands(rows, cold_row(**fields))


def _target(order_id: Ints, target_client_id: str) -> dict[str, Ints]:
    if not target_client_id:
        return {"target_lo": order_id}
    lo, hi = client_id_hash(target_client_id)
    return {"target_lo": lo, "target_hi": hi}


def order_new(
    account_id: Ints,
    instrument_id: Ints,
    side: Ints,
    qty_lots: Ints = 0,
    price_ticks: Ints = 0,
    *,
    order_type: Ints = OrderType.LIMIT,
    amount_units: Ints = 0,
    display_qty_lots: Ints = 0,
    refill_qty_lots: Ints = 0,
    min_qty_lots: Ints = 0,
    **terms: Unpack[Terms],
) -> Commands:
    """Enter an order, by default LIMIT GTC; a market buy by budget has `amount_units` and no quantity.

    With `display_qty_lots` it is an iceberg that shows so much, and then `refill_qty_lots` (0: the display) each time.
    `min_qty_lots` must be filled at once, or nothing is.
    """
    prices = {"price_ticks": price_ticks, "amount_units": amount_units, "min_qty_lots": min_qty_lots}
    shown = {"display_qty_lots": display_qty_lots, "refill_qty_lots": refill_qty_lots}
    return _enter(order_type, (account_id, instrument_id, side, qty_lots), terms, prices | shown)


def stop(
    account_id: Ints,
    instrument_id: Ints,
    side: Ints,
    qty_lots: Ints,
    trigger_price_ticks: Ints,
    *,
    trigger: Ints = TriggerSource.LAST,
    **terms: Unpack[Terms],
) -> Commands:
    """Enter an order that becomes a market order when the price of its `trigger` source reaches the trigger.

    A buy is triggered at or above `trigger_price_ticks`, a sell at or below.
    """
    prices = {"trigger": trigger, "trigger_price_ticks": trigger_price_ticks}
    return _enter(OrderType.STOP, (account_id, instrument_id, side, qty_lots), terms, prices)


def stop_limit(
    account_id: Ints,
    instrument_id: Ints,
    side: Ints,
    qty_lots: Ints,
    trigger_price_ticks: Ints,
    price_ticks: Ints,
    *,
    trigger: Ints = TriggerSource.LAST,
    **terms: Unpack[Terms],
) -> Commands:
    """Enter a stop that becomes a limit order at `price_ticks`."""
    prices = {"trigger": trigger, "trigger_price_ticks": trigger_price_ticks, "price_ticks": price_ticks}
    return _enter(OrderType.STOP_LIMIT, (account_id, instrument_id, side, qty_lots), terms, prices)


def if_touched(
    account_id: Ints,
    instrument_id: Ints,
    side: Ints,
    qty_lots: Ints,
    trigger_price_ticks: Ints,
    price_ticks: Ints | None = None,
    *,
    trigger: Ints = TriggerSource.LAST,
    **terms: Unpack[Terms],
) -> Commands:
    """Enter an order that becomes a limit order at `price_ticks`, or without one a market order, when touched.

    A buy is triggered at or below `trigger_price_ticks`, a sell (a take-profit) at or above.
    """
    order_type = OrderType.MARKET_IF_TOUCHED if price_ticks is None else OrderType.LIMIT_IF_TOUCHED
    limit = 0 if price_ticks is None else price_ticks
    prices = {"trigger": trigger, "trigger_price_ticks": trigger_price_ticks, "price_ticks": limit}
    return _enter(order_type, (account_id, instrument_id, side, qty_lots), terms, prices)


def trailing(
    account_id: Ints,
    instrument_id: Ints,
    side: Ints,
    qty_lots: Ints,
    trail: Ints,
    *,
    trail_unit: Ints = TrailUnit.TICKS,
    limit_offset_ticks: Ints | None = None,
    trigger: Ints = TriggerSource.LAST,
    **terms: Unpack[Terms],
) -> Commands:
    """Enter a stop whose trigger follows the best price of its source since entry at the distance `trail`.

    `trail` counts ticks, or with `TrailUnit.BASIS_POINTS` hundredths of a percent. Once triggered it becomes a market
    order, or with `limit_offset_ticks` (from 0) a limit order so far beyond its trigger.
    """
    order_type = OrderType.TRAILING_STOP if limit_offset_ticks is None else OrderType.TRAILING_STOP_LIMIT
    offset = 0 if limit_offset_ticks is None else limit_offset_ticks
    prices = {"trigger": trigger, "trail": trail, "trail_unit": trail_unit, "price_ticks": offset}
    return _enter(order_type, (account_id, instrument_id, side, qty_lots), terms, prices)


def oco(
    account_id: Ints,
    instrument_id: Ints,
    side: Ints,
    qty_lots: Ints,
    price_ticks: Ints,
    trigger_price_ticks: Ints,
    *,
    stop_limit_price_ticks: Ints = 0,
    trigger: Ints = TriggerSource.LAST,
    stop_client_id: str = "",
    **terms: Unpack[Terms],
) -> Commands:
    """Enter a limit order at `price_ticks` and a stop, of which one cancels the other.

    The stop becomes a limit order at `stop_limit_price_ticks`, or (0) a market order. `client_id` is the limit order's,
    `stop_client_id` the stop's; its text goes into the cold row as `original_client_id`.
    """
    prices = {"price_ticks": price_ticks, "trigger": trigger, "trigger_price_ticks": trigger_price_ticks}
    prices["stop_limit_price_ticks"] = stop_limit_price_ticks
    if stop_client_id:
        prices["target_lo"], prices["target_hi"] = client_id_hash(stop_client_id)
    return _enter(OrderType.OCO, (account_id, instrument_id, side, qty_lots), terms, prices, stop_client_id)


def bracket(
    account_id: Ints,
    instrument_id: Ints,
    side: Ints,
    qty_lots: Ints,
    price_ticks: Ints,
    *,
    take_profit_price_ticks: Ints,
    trigger_price_ticks: Ints,
    stop_limit_price_ticks: Ints = 0,
    trigger: Ints = TriggerSource.LAST,
    **terms: Unpack[Terms],
) -> Commands:
    """Enter an order at `price_ticks`, and for what it fills a take-profit and a stop-loss of the other side.

    With the price 0 the entry is a market order (IOC unless said otherwise). The stop-loss is triggered at
    `trigger_price_ticks` and becomes a limit order at `stop_limit_price_ticks`, or (0) a market order.
    """
    prices = {"price_ticks": price_ticks, "trigger": trigger, "trigger_price_ticks": trigger_price_ticks}
    prices |= {"take_profit_price_ticks": take_profit_price_ticks, "stop_limit_price_ticks": stop_limit_price_ticks}
    if isinstance(price_ticks, int) and price_ticks == 0:
        terms.setdefault("time_in_force", TimeInForce.IOC)
    return _enter(OrderType.BRACKET, (account_id, instrument_id, side, qty_lots), terms, prices)


def algo_order(
    account_id: int,
    instrument_id: int,
    side: int,
    qty_lots: int,
    price_ticks: int,
    slices: Sequence[tuple[int, int]],
    end_time_ns: int,
    **options: Unpack[Scheduled],
) -> Commands:
    """Enter an order that releases its `slices`, (nanoseconds since the start, lots) each, as IOC orders in time.

    `price_ticks` is the limit of all of them; what is left at `end_time_ns` is canceled.
    """
    fields = {
        "start_time_ns": options.get("start_time_ns", 0),
        "end_time_ns": end_time_ns,
        "participation_ppm": options.get("participation_ppm", 0),
        "slices": [list(one) for one in slices],
    }
    made = document(
        CommandKind.ALGO_ORDER,
        fields,
        account_id=account_id,
        instrument_id=instrument_id,
        side=side,
        qty_lots=qty_lots,
        price_ticks=price_ticks,
        order_type=OrderType.ALGO,
        time_in_force=TimeInForce.GTD,
        self_trade=options.get("self_trade", SelfTrade.ALLOW),
        flags=options.get("flags", 0),
    )
    signed = _with_ids(made.rows, options.get("client_id", ""), options.get("cold"))
    return Commands(signed.rows, signed.cold, made.tail)


def _enter(
    order_type: Ints, whose: tuple[Ints, Ints, Ints, Ints], terms: Terms, prices: dict[str, Ints], target_text: str = ""
) -> Commands:
    account_id, instrument_id, side, qty_lots = whose
    expire_time_ns = terms.get("expire_time_ns", 0)
    is_timed = not isinstance(expire_time_ns, int) or expire_time_ns != 0
    rows = rows_of(
        CommandKind.ORDER_NEW,
        account_id=account_id,
        instrument_id=instrument_id,
        side=side,
        qty_lots=qty_lots,
        order_type=order_type,
        time_in_force=terms.get("time_in_force", TimeInForce.GTD if is_timed else TimeInForce.GTC),
        self_trade=terms.get("self_trade", SelfTrade.ALLOW),
        flags=terms.get("flags", 0),
        expire_time_ns=expire_time_ns,
        **prices,
    )
    return _with_ids(rows, terms.get("client_id", ""), terms.get("cold"), original_client_id=target_text)


def order_replace(
    account_id: Ints,
    order_id: Ints,
    qty_lots: Ints,
    price_ticks: Ints,
    *,
    side: Ints = Side.BOTH,
    instrument_id: Ints = 0,
    trigger_price_ticks: Ints = 0,
    flags: Ints = 0,
    target_client_id: str = "",
    client_id: str = "",
    cold: Mapping[str, int | str] | None = None,
) -> Commands:
    """Change a live order, named by id or, with `target_client_id`, by its client order id.

    `qty_lots` is the new total, or with `Flag.QTY_IS_LEAVES` the new open quantity. Of a dormant order `price_ticks` is
    the limit once triggered and `trigger_price_ticks` the new trigger (0: as it is).
    """
    rows = rows_of(
        CommandKind.ORDER_REPLACE,
        account_id=account_id,
        instrument_id=instrument_id,
        side=side,
        qty_lots=qty_lots,
        price_ticks=price_ticks,
        trigger_price_ticks=trigger_price_ticks,
        flags=flags | (Flag.TARGET_CLIENT_ID if target_client_id else 0),
        **_target(order_id, target_client_id),
    )
    return _with_ids(rows, client_id, cold, original_client_id=target_client_id)


def order_cancel(
    account_id: Ints,
    order_id: Ints = 0,
    *,
    target_client_id: str = "",
    client_id: str = "",
    cold: Mapping[str, int | str] | None = None,
) -> Commands:
    """Cancel a live order, named by id or, with `target_client_id`, by its client order id."""
    rows = rows_of(
        CommandKind.ORDER_CANCEL,
        account_id=account_id,
        flags=Flag.TARGET_CLIENT_ID if target_client_id else 0,
        **_target(order_id, target_client_id),
    )
    return _with_ids(rows, client_id, cold, original_client_id=target_client_id)


def order_suspend(account_id: Ints, order_id: Ints = 0, state: Ints = 1, *, target_client_id: str = "") -> Commands:
    """Let a scheduled order release nothing for a while (`state` 1) or go on (0); named as in `order_cancel`."""
    rows = rows_of(
        CommandKind.ORDER_SUSPEND,
        account_id=account_id,
        state=state,
        flags=Flag.TARGET_CLIENT_ID if target_client_id else 0,
        **_target(order_id, target_client_id),
    )
    return _with_ids(rows, "", None, original_client_id=target_client_id)


def message_noted(
    account_id: Ints = 0,
    instrument_id: Ints = 0,
    side: Ints = Side.BOTH,
    qty_lots: Ints = 0,
    price_ticks: Ints = 0,
    *,
    state: Ints = 0,
    order_id: Ints = 0,
    client_id: str = "",
    cold: Mapping[str, int | str] | None = None,
) -> Commands:
    """Take the number of a gateway's message that asks nothing of the core; `state` is the gateway's own code.

    Nothing of it is checked; what it names is repeated in the event.
    """
    rows = rows_of(
        CommandKind.MESSAGE_NOTED,
        account_id=account_id,
        instrument_id=instrument_id,
        side=side,
        qty_lots=qty_lots,
        price_ticks=price_ticks,
        state=state,
        target_lo=order_id,
    )
    return _with_ids(rows, client_id, cold)
