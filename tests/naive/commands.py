"""Builders of a venue's commands as fields by name, for tests: each returns (fields that are not zero, document)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from kk99.schema import CommandKind, Flag, OrderType, TimeInForce

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.naive.rows import Item

OPERATOR = {"actor": "ops", "reason": "test"}


def command(kind: int, **fields: int) -> Item:
    """Any command without a document."""
    return {"kind": int(kind), **{name: int(value) for name, value in fields.items()}}, b""


def document(kind: int, fields: dict[str, Any], **row: int) -> Item:
    """Any command with a document; who and why are added unless given."""
    return command(kind, **row)[0], msgpack.packb(OPERATOR | fields)


def order_new(account_id: int, instrument_id: int, side: int, qty_lots: int, price_ticks: int, **more: int) -> Item:
    """A LIMIT GTC order, or what the further fields make of it."""
    fields = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC} | more
    return command(
        CommandKind.ORDER_NEW,
        account_id=account_id,
        instrument_id=instrument_id,
        side=side,
        qty_lots=qty_lots,
        price_ticks=price_ticks,
        **fields,
    )


def order_replace(account_id: int, target: int, qty_lots: int, price_ticks: int, **more: int) -> Item:
    """A new total quantity and price for an order by its id, or what the further fields make of it."""
    fields = {"target_lo": target} | more
    return command(
        CommandKind.ORDER_REPLACE, account_id=account_id, qty_lots=qty_lots, price_ticks=price_ticks, **fields
    )


def order_cancel(account_id: int, target: int, **more: int) -> Item:
    """Cancel an order by its id."""
    return command(CommandKind.ORDER_CANCEL, account_id=account_id, target_lo=target, **more)


def by_client_id(item: Item, lo: int, hi: int = 0) -> Item:
    """The same command with its target named by client id."""
    fields, data = item
    flags = fields.get("flags", 0) | Flag.TARGET_CLIENT_ID
    return fields | {"target_lo": lo, "target_hi": hi, "flags": int(flags)}, data


def deposit(account_id: int, asset_id: int, amount_units: int) -> Item:
    """Credit an account."""
    return command(CommandKind.DEPOSIT, account_id=account_id, asset_id=asset_id, amount_units=amount_units)


def withdraw(account_id: int, asset_id: int, amount_units: int) -> Item:
    """Debit an account."""
    return command(CommandKind.WITHDRAW, account_id=account_id, asset_id=asset_id, amount_units=amount_units)


def index_price(instrument_id: int, price_ticks: int) -> Item:
    """Tell an index price."""
    return command(CommandKind.INDEX_PRICE, instrument_id=instrument_id, price_ticks=price_ticks)


def mass_cancel(account_id: int, instrument_id: int = 0, side: int = 0) -> Item:
    """Cancel an account's orders."""
    return command(CommandKind.MASS_CANCEL, account_id=account_id, instrument_id=instrument_id, side=side)


def algo_order(
    account_id: int,
    instrument_id: int,
    side: int,
    price_ticks: int,
    slices: Sequence[tuple[int, int]],
    end_time_ns: int,
    **more: int,
) -> Item:
    """An order worked off by slices of (offset, lots); further fields may be of its document or its row."""
    in_document = ("start_time_ns", "participation_ppm")
    timing = {name: more.pop(name) for name in in_document if name in more}
    row = {
        "account_id": account_id,
        "instrument_id": instrument_id,
        "side": int(side),
        "price_ticks": price_ticks,
        "qty_lots": sum(lots for _, lots in slices),
        "order_type": int(OrderType.ALGO),
        "time_in_force": int(TimeInForce.GTD),
    } | more
    fields = timing | {"slices": [list(pair) for pair in slices], "end_time_ns": end_time_ns}
    return command(CommandKind.ALGO_ORDER, **row)[0], msgpack.packb(fields)


def order_suspend(account_id: int, target: int, **more: int) -> Item:
    """Suspend a scheduled order by its id, or with `state=0` let it go on."""
    fields = {"target_lo": target, "state": 1} | more
    return command(CommandKind.ORDER_SUSPEND, account_id=account_id, **fields)


def settle(account_id: int, asset_id: int, value_date: int, amount_units: int, **more: int) -> Item:
    """Say that an obligation is settled, or with `state=2` that it failed."""
    fields = {"state": 1} | more
    return command(
        CommandKind.SETTLE,
        account_id=account_id,
        asset_id=asset_id,
        target_lo=value_date,
        amount_units=amount_units,
        **fields,
    )


def settlement_penalty(account_id: int, asset_id: int, value_date: int, amount_units: int) -> Item:
    """Pay an account for an obligation that failed."""
    row = {"account_id": account_id, "asset_id": asset_id, "target_lo": value_date, "amount_units": amount_units}
    return document(CommandKind.SETTLEMENT_PENALTY, {}, **row)


def settlement_calendar(name: str, *dates: int) -> Item:
    """Define a settlement calendar."""
    return document(CommandKind.SETTLEMENT_CALENDAR_DEFINE, {"name": name, "dates": list(dates)})


def asset(name: str, scale: int = 0, fee_schedule: str = "") -> Item:
    """Define an asset."""
    return document(CommandKind.ASSET_DEFINE, {"name": name, "scale": scale, "fee_schedule": fee_schedule})


def schedule(name: str, *tiers: dict[str, int], burn_ppm: int = 0) -> Item:
    """Define a fee schedule."""
    return document(CommandKind.FEE_SCHEDULE_DEFINE, {"name": name, "burn_ppm": burn_ppm, "tiers": list(tiers)})


def trading_schedule(name: str, *phases: tuple[str, int, str]) -> Item:
    """Define a trading schedule from ("hh:mm:ss", days, phase) each."""
    maps = []
    for at, days, phase in phases:
        hours, minutes, seconds = map(int, at.split(":"))
        maps.append({"at_s": hours * 3600 + minutes * 60 + seconds, "days": days, "phase": phase})
    return document(CommandKind.TRADING_SCHEDULE_DEFINE, {"name": name, "phases": maps})


def instrument(name: str, base: str, quote: str, **fields: int | str) -> Item:
    """Define an instrument: by default a tick and a lot are a unit, prices reach 10,000 and quantities a million."""
    given = {"tick_units": 1, "lot_units": 1, "max_price_ticks": 10_000, "max_qty_lots": 1_000_000} | fields
    return document(CommandKind.INSTRUMENT_DEFINE, {"name": name, "base": base, "quote": quote, **given})


def instrument_change(name: str, **fields: int | str) -> Item:
    """Change an instrument."""
    return document(CommandKind.INSTRUMENT_CHANGE, {"name": name, **fields})


def account(name: str, owner: str = "", **fields: int | str) -> Item:
    """Define an account, its own owner unless told."""
    return document(CommandKind.ACCOUNT_DEFINE, {"name": name, "owner": owner or name, **fields})


def account_change(name: str, **fields: int | str) -> Item:
    """Change an account."""
    return document(CommandKind.ACCOUNT_CHANGE, {"name": name, **fields})


def session(name: str) -> Item:
    """Define a session."""
    return command(CommandKind.SESSION_DEFINE)[0], msgpack.packb({"name": name})


def session_open(session_id: int, session_epoch: int) -> Item:
    """Open a session's epoch."""
    return command(CommandKind.SESSION_OPEN, session_id=session_id, session_epoch=session_epoch)


def instrument_state(instrument_id: int, state: int) -> Item:
    """Put a market into a state."""
    return document(CommandKind.INSTRUMENT_STATE, {}, instrument_id=instrument_id, state=state)


def account_state(account_id: int, state: int) -> Item:
    """Put an account into a state."""
    return document(CommandKind.ACCOUNT_STATE, {}, account_id=account_id, state=state)


def reference_price(instrument_id: int, price_ticks: int) -> Item:
    """Set a reference price."""
    return document(CommandKind.REFERENCE_PRICE, {}, instrument_id=instrument_id, price_ticks=price_ticks)


def trade_bust(trade_id: int) -> Item:
    """Undo a trade."""
    return document(CommandKind.TRADE_BUST, {}, target_lo=trade_id)


def trade_correct(trade_id: int, price_ticks: int, qty_lots: int) -> Item:
    """Give a trade another price or quantity."""
    return document(CommandKind.TRADE_CORRECT, {}, target_lo=trade_id, price_ticks=price_ticks, qty_lots=qty_lots)
