"""Builders of commands: fields in, rows of the right shape out, with the cold rows and documents that belong to them.

Invariants: every builder returns `Commands` that stand alone, not yet numbered; `batch_of` joins them, `for_session`
and `stamp` number copies. A value that its field can't hold is an `InputError`, never wrapped; whether it makes sense
is the core's to say. A field may be one number or an array (n,): then n rows are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

import blake3
import msgpack
import numpy as np
import numpy.typing as npt

from kk99 import schema
from kk99.batch import Commands, Rows
from kk99.errors import InputError
from kk99.schema import CommandKind, Flag, OrderType, SelfTrade, Side, TimeInForce

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Ints = int | npt.NDArray[np.integer[Any]]
"""One number for all rows, or one for each."""

_NO_COLD: Final = np.zeros(0, schema.COLD)

# Rows and batches -----------------------------------------------------------------------------------------------------


def new_rows(n: int) -> Rows:
    """Return COMMAND (n,), all zero."""
    return np.zeros(n, schema.COMMAND)


def rows_of(kind: CommandKind, **fields: Ints) -> Rows:
    """Return COMMAND rows of a kind, as many as the arrays among the fields are long, or raise `InputError`."""
    values = {name: _fitting(schema.COMMAND, name, value) for name, value in fields.items()}
    lengths = {len(value) for value in values.values() if not isinstance(value, int)}
    if len(lengths) > 1:
        raise InputError(f"fields of rows have different lengths: {sorted(lengths)}")
    rows = new_rows(lengths.pop() if lengths else 1)
    rows["kind"] = kind
    for name, value in values.items():
        rows[name] = value
    return rows


def cold_row(**fields: int | str) -> Rows:
    """Return COLD (1,) with these fields, client ids as text and the rest as numbers, or raise `InputError`."""
    row = np.zeros(1, schema.COLD)
    for name, value in fields.items():
        if isinstance(value, str) and name in {"client_id", "original_client_id"}:
            row[name] = _client_id_bytes(value)
        else:
            row[name] = _fitting(schema.COLD, name, value)
    return row


def batch_of(items: Iterable[Commands | Rows]) -> Commands:
    """Return one `Commands` with the rows of all items in order; documents are found in the joined tail."""
    parts = [item if isinstance(item, Commands) else Commands(item, _NO_COLD) for item in items]
    # Not np.concatenate: it would lay out rows anew, without unions.
    rows = new_rows(sum(len(part.rows) for part in parts))
    cold = np.zeros(sum(len(part.cold) for part in parts), schema.COLD)
    row_at = cold_at = tail_at = 0
    for part in parts:
        mine = rows[row_at : row_at + len(part.rows)]
        mine[:] = part.rows
        mine["document_offset"][mine["kind"] >= schema.FIRST_DOCUMENT_KIND] += tail_at
        cold[cold_at : cold_at + len(part.cold)] = part.cold
        row_at += len(part.rows)
        cold_at += len(part.cold)
        tail_at += len(part.tail)
    return Commands(rows, cold, b"".join(part.tail for part in parts))


def stamp(commands: Commands, first_seq: int, time_ns: Ints) -> Commands:
    """Return a copy with sequences from `first_seq` on and one time for all rows, or each its own."""
    rows = commands.rows.copy()
    rows["seq"] = np.arange(first_seq, first_seq + len(rows))
    rows["time_ns"] = time_ns
    return Commands(rows, commands.cold, commands.tail)


def for_session(commands: Commands, session_id: int, session_epoch: int, first_client_seq: int) -> Commands:
    """Return a copy that a session sends in its epoch, with client sequences from `first_client_seq` on."""
    rows = commands.rows.copy()
    rows["session_id"] = session_id
    rows["session_epoch"] = session_epoch
    rows["client_seq"] = np.arange(first_client_seq, first_client_seq + len(rows))
    return Commands(rows, commands.cold, commands.tail)


def client_id_hash(text: str) -> tuple[int, int]:
    """Return (lo, hi), the 128-bit BLAKE3 of a client order id as two signed words, or raise `InputError`.

    It is never (0, 0), which means "no client id".
    """
    digest = blake3.blake3(_client_id_bytes(text)).digest(length=16)
    lo = int.from_bytes(digest[:8], "little", signed=True)
    hi = int.from_bytes(digest[8:], "little", signed=True)
    return (lo, hi) if lo or hi else (1, 0)


def _client_id_bytes(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise InputError("a client order id is not text that UTF-8 can hold") from error
    if not 1 <= len(data) <= schema.CLIENT_ID_BYTES or b"\0" in data:
        raise InputError(f"a client order id is 1 to {schema.CLIENT_ID_BYTES} bytes of UTF-8, none of them zero")
    return data


def _fitting(row: np.dtype[np.void], name: str, value: Any) -> Ints:
    """Return the value, or raise `InputError` if the row has no such field of whole numbers or it can't hold it."""
    if row.fields is None or name not in row.fields or row.fields[name][0].kind not in "iu":
        raise InputError(f"no field {name} takes whole numbers")
    bounds = np.iinfo(row.fields[name][0])
    if isinstance(value, int):
        fits = bounds.min <= value <= bounds.max
    else:
        value = np.asarray(value)
        is_list = value.ndim == 1 and value.dtype.kind in "iu"
        fits = is_list and not ((value < bounds.min).any() or (value > bounds.max).any())
    if not fits:
        raise InputError(f"{name} takes whole numbers from {bounds.min} to {bounds.max}")
    return value  # type: ignore[no-any-return]


# Orders and money -----------------------------------------------------------------------------------------------------


def _with_ids(rows: Rows, client_id: str, cold: Mapping[str, int | str] | None, **cold_ids: str) -> Commands:
    """Return one command with its client id's hash and text; `cold` has more fields of the cold row."""
    texts = {"client_id": client_id, **cold_ids}
    fields = {name: text for name, text in texts.items() if text} | dict(cold or {})
    if not fields:
        return Commands(rows, _NO_COLD)
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
    time_in_force: Ints = TimeInForce.GTC,
    self_trade: Ints = SelfTrade.ALLOW,
    flags: Ints = 0,
    amount_units: Ints = 0,
    client_id: str = "",
    cold: Mapping[str, int | str] | None = None,
) -> Commands:
    """Enter an order, by default LIMIT GTC; a market buy by budget has `amount_units` and no quantity."""
    rows = rows_of(
        CommandKind.ORDER_NEW,
        account_id=account_id,
        instrument_id=instrument_id,
        side=side,
        qty_lots=qty_lots,
        price_ticks=price_ticks,
        order_type=order_type,
        time_in_force=time_in_force,
        self_trade=self_trade,
        flags=flags,
        amount_units=amount_units,
    )
    return _with_ids(rows, client_id, cold)


def order_replace(
    account_id: Ints,
    order_id: Ints,
    qty_lots: Ints,
    price_ticks: Ints,
    *,
    side: Ints = Side.BOTH,
    instrument_id: Ints = 0,
    flags: Ints = 0,
    target_client_id: str = "",
    client_id: str = "",
    cold: Mapping[str, int | str] | None = None,
) -> Commands:
    """Change a live order, named by id or, with `target_client_id`, by its client order id."""
    rows = rows_of(
        CommandKind.ORDER_REPLACE,
        account_id=account_id,
        instrument_id=instrument_id,
        side=side,
        qty_lots=qty_lots,
        price_ticks=price_ticks,
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


def _plain(kind: CommandKind, **fields: Ints) -> Commands:
    return Commands(rows_of(kind, **fields), _NO_COLD)


def mass_cancel(account_id: Ints, instrument_id: Ints = 0, side: Ints = Side.BOTH) -> Commands:
    """Cancel an account's orders, of one instrument or (0) all, of one side or both."""
    return _plain(CommandKind.MASS_CANCEL, account_id=account_id, instrument_id=instrument_id, side=side)


def deposit(account_id: Ints, asset_id: Ints, amount_units: Ints) -> Commands:
    """Credit an account from outside."""
    return _plain(CommandKind.DEPOSIT, account_id=account_id, asset_id=asset_id, amount_units=amount_units)


def withdraw(account_id: Ints, asset_id: Ints, amount_units: Ints) -> Commands:
    """Debit an account to outside."""
    return _plain(CommandKind.WITHDRAW, account_id=account_id, asset_id=asset_id, amount_units=amount_units)


def session_open(session_id: Ints, session_epoch: Ints) -> Commands:
    """Open a session's next epoch; `for_session` from client sequence 0 may begin with it."""
    return _plain(CommandKind.SESSION_OPEN, session_id=session_id, session_epoch=session_epoch)


def session_lost(session_id: Ints) -> Commands:
    """Say, as the sequencer, that a session is lost."""
    return _plain(CommandKind.SESSION_LOST, target_lo=session_id)


def continue_work() -> Commands:
    """Carry on pending work, as the sequencer."""
    return _plain(CommandKind.CONTINUE)


def clock() -> Commands:
    """Let time move on, as the sequencer."""
    return _plain(CommandKind.CLOCK)


# Documents ------------------------------------------------------------------------------------------------------------


class Operator(TypedDict):
    """Who orders a document and why."""

    actor: str
    reason: str


class Limits(TypedDict, total=False):
    """Fields of an instrument that can be left out when it is defined, and changed later."""

    fee_schedule: str
    tick_step: int
    lot_step: int
    min_qty_lots: int
    min_notional_units: int
    max_notional_units: int
    collar_ppm: int


class InstrumentOptions(Limits, Operator, total=False):
    """What `instrument` takes beside what it must have; actor and reason are required."""

    reference_price_ticks: int


class InstrumentChanges(Limits, Operator, total=False):
    """What `instrument_change` takes beside the name; actor and reason are required."""

    max_qty_lots: int
    max_price_ticks: int


class AccountChanges(Operator, total=False):
    """What `account_change` takes beside the name; actor and reason are required."""

    group: str
    tier: int


class Rates(TypedDict, total=False):
    """Rates of one tier in millionths; maker and taker are required."""

    maker_ppm: int
    taker_ppm: int
    deposit_ppm: int
    withdrawal_ppm: int


def document(kind: CommandKind, fields: Mapping[str, Any], **row: Ints) -> Commands:
    """Return one command of a kind with a document of these fields, whatever they are, or raise `InputError`."""
    try:
        data = bytes(msgpack.packb(fields))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"a document can't hold these fields: {error}") from error
    if len(data) > schema.DOCUMENT_BYTES_MAX:
        raise InputError(f"a document of {len(data)} bytes is longer than {schema.DOCUMENT_BYTES_MAX}")
    return Commands(rows_of(kind, document_size=len(data), **row), _NO_COLD, data)


def asset(name: str, scale: int, fee_schedule: str = "", **operator: Unpack[Operator]) -> Commands:
    """Define an asset, one whole of which is 10^scale units."""
    fields = {"name": name, "scale": scale, "fee_schedule": fee_schedule}
    return document(CommandKind.ASSET_DEFINE, fields | operator)


def fee_schedule(name: str, tiers: Sequence[Rates], burn_ppm: int = 0, **operator: Unpack[Operator]) -> Commands:
    """Define a fee schedule, or give a known one new rates; missing tiers are as the last."""
    fields = {"name": name, "burn_ppm": burn_ppm, "tiers": list(tiers)}
    return document(CommandKind.FEE_SCHEDULE_DEFINE, fields | operator)


def instrument(
    name: str,
    base: str,
    quote: str,
    *,
    tick_units: int,
    lot_units: int,
    max_price_ticks: int,
    max_qty_lots: int,
    **options: Unpack[InstrumentOptions],
) -> Commands:
    """Define a spot instrument; what is left out has the default of the reference page."""
    fields = {
        "name": name,
        "base": base,
        "quote": quote,
        "tick_units": tick_units,
        "lot_units": lot_units,
        "max_price_ticks": max_price_ticks,
        "max_qty_lots": max_qty_lots,
    }
    return document(CommandKind.INSTRUMENT_DEFINE, fields | options)


def instrument_change(name: str, **changes: Unpack[InstrumentChanges]) -> Commands:
    """Change limits, collar or fee schedule of an instrument; what is left out stays."""
    return document(CommandKind.INSTRUMENT_CHANGE, {"name": name, **changes})


def account(name: str, owner: str, group: str = "", tier: int = 0, **operator: Unpack[Operator]) -> Commands:
    """Define an account; no group means the owner's."""
    fields = {"name": name, "owner": owner, "group": group or owner, "tier": tier}
    return document(CommandKind.ACCOUNT_DEFINE, fields | operator)


def account_change(name: str, **changes: Unpack[AccountChanges]) -> Commands:
    """Change group or tier of an account; what is left out stays."""
    return document(CommandKind.ACCOUNT_CHANGE, {"name": name, **changes})


def session(name: str) -> Commands:
    """Define a session."""
    return document(CommandKind.SESSION_DEFINE, {"name": name})


def instrument_state(instrument_id: int, state: int, **operator: Unpack[Operator]) -> Commands:
    """Put a market into a MarketState."""
    return document(CommandKind.INSTRUMENT_STATE, operator, instrument_id=instrument_id, state=state)


def account_state(account_id: int, state: int, **operator: Unpack[Operator]) -> Commands:
    """Put an account into an AccountState."""
    return document(CommandKind.ACCOUNT_STATE, operator, account_id=account_id, state=state)


def reference_price(instrument_id: int, price_ticks: int, **operator: Unpack[Operator]) -> Commands:
    """Set the price from which the collar is measured."""
    return document(CommandKind.REFERENCE_PRICE, operator, instrument_id=instrument_id, price_ticks=price_ticks)


def trade_bust(trade_id: int, **operator: Unpack[Operator]) -> Commands:
    """Undo a trade."""
    return document(CommandKind.TRADE_BUST, operator, target_lo=trade_id)


def trade_correct(trade_id: int, price_ticks: int, qty_lots: int, **operator: Unpack[Operator]) -> Commands:
    """Give a trade another price or a smaller quantity."""
    return document(CommandKind.TRADE_CORRECT, operator, target_lo=trade_id, price_ticks=price_ticks, qty_lots=qty_lots)
