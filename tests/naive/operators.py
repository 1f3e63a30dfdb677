"""Money, prices and messages from outside, and operators' commands: states, reference prices, busts, corrections."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import AccountState, CancelReason, CommandKind, EventKind, MarketState, RejectCode
from tests.naive import groups, markets, recovery, watching
from tests.naive.fields import Document, pack
from tests.naive.matching import post, postings, trade_fields
from tests.naive.records import Account, Asset, RejectError, Trade, WorkItem, fee, refuse_if
from tests.naive.settling import PENALTIES, still_owed
from tests.naive.states import UNCROSSING, State, by_operator
from tests.naive.triggers import settle
from tests.naive.venue import repeated
from tests.naive.work import check_queue, queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.naive.venue import Command, Venue

NO_LEAVES = {"leaves_lots": 0, "contra_leaves_lots": 0}
"""A bust or correction says nothing of what either order had left at the time of the trade."""


def transfer_fee(venue: Venue, account: Account, asset: Asset, amount: int, rate: str) -> tuple[int, int]:
    """The fee of a deposit or withdrawal, and the part of it that is burned."""
    schedule = asset.document["fee_schedule"]
    charged = fee(amount, venue.rates(schedule, account)[rate])
    return charged, fee(charged, venue.burn_ppm(schedule))


def deposit(venue: Venue, command: Command) -> None:
    """DEPOSIT."""
    account, asset, amount = venue.account(command["account_id"]), command["asset_id"], command["amount_units"]
    record = venue.asset(asset)
    refuse_if(amount < 1 or record.deposited_units + amount > schema.AMOUNT_MAX, RejectCode.AMOUNT_INVALID)
    charged, burned = transfer_fee(venue, account, record, amount, "deposit_ppm")
    record.deposited_units += amount
    venue.credit(account.number, asset, amount - charged)
    venue.credit(schema.BURNED_ACCOUNT, asset, burned)
    venue.credit(schema.FEES_ACCOUNT, asset, charged - burned)
    venue.emit(
        EventKind.DEPOSITED,
        account_id=account.number,
        asset_id=asset,
        amount_units=amount - charged,
        fee_units=charged,
        contra_fee_units=burned,
    )


def withdraw(venue: Venue, command: Command) -> None:
    """WITHDRAW."""
    account, asset, amount = venue.account(command["account_id"]), command["asset_id"], command["amount_units"]
    refuse_if(account.state != AccountState.ACTIVE, RejectCode.ACCOUNT_SUSPENDED)
    record = venue.asset(asset)
    refuse_if(not 1 <= amount <= schema.AMOUNT_MAX, RejectCode.AMOUNT_INVALID)
    charged, burned = transfer_fee(venue, account, record, amount, "withdrawal_ppm")
    refuse_if(venue.available[account.number, asset] < amount + charged, RejectCode.FUNDS_INSUFFICIENT)
    record.withdrawn_units += amount
    venue.credit(account.number, asset, -amount - charged)
    venue.credit(schema.BURNED_ACCOUNT, asset, burned)
    venue.credit(schema.FEES_ACCOUNT, asset, charged - burned)
    venue.emit(
        EventKind.WITHDRAWN,
        account_id=account.number,
        asset_id=asset,
        amount_units=amount,
        fee_units=charged,
        contra_fee_units=burned,
    )


def index_price(venue: Venue, command: Command) -> None:
    """INDEX_PRICE."""
    if command["target_lo"]:
        groups.index_price(venue, command)
        return
    instrument, price_ticks = venue.instrument(command["instrument_id"]), command["price_ticks"]
    refuse_if(price_ticks < 1, RejectCode.PRICE_INVALID)
    refuse_if(price_ticks > instrument.document["max_price_ticks"], RejectCode.PRICE_ABOVE_MAX)
    instrument.index_price_ticks = price_ticks
    venue.emit(EventKind.INDEX_PRICE_CHANGED, instrument_id=instrument.number, price_ticks=price_ticks)
    watching.hear_index(venue, instrument)
    settle(venue, instrument)


def message_noted(venue: Venue, command: Command) -> None:
    """MESSAGE_NOTED."""
    more = {name: command[name] for name in ("order_type", "flags", "state")}
    venue.emit(EventKind.MESSAGE_NOTED, **repeated(command) | {"order_id": command["target_lo"]} | more)


# Operators ------------------------------------------------------------------------------------------------------------


def instrument_state(venue: Venue, command: Command, document: Document) -> None:
    """INSTRUMENT_STATE."""
    instrument, state = venue.instrument(command["instrument_id"]), command["state"]
    is_state = state in set(MarketState) - {MarketState.UNCROSSING}
    refuse_if(state == instrument.state or not is_state, RejectCode.STATE_UNCHANGED)
    refuse_if(instrument.market.now == UNCROSSING, RejectCode.MARKET_BUSY)

    def tell(now: State) -> None:
        venue.emit(
            EventKind.INSTRUMENT_STATE_CHANGED,
            instrument_id=instrument.number,
            state=now.state,
            call_purpose=now.call_purpose,
            document=pack(document),
        )

    recovery.end(venue, instrument)
    markets.change(venue, instrument, by_operator(instrument.market.now, state), tell)
    venue.wants_round = venue.has_steps


def account_state(venue: Venue, command: Command, document: Document) -> None:
    """ACCOUNT_STATE."""
    account, state = venue.account(command["account_id"]), command["state"]
    refuse_if(state == account.state or state > AccountState.KILLED, RejectCode.STATE_UNCHANGED)
    if state == AccountState.KILLED:
        check_queue(venue)
    account.state = state
    venue.emit(EventKind.ACCOUNT_STATE_CHANGED, account_id=account.number, state=state, document=pack(document))
    if state == AccountState.KILLED:
        queue(venue, WorkItem(venue.seq, CancelReason.KILL_SWITCH, account.number))


def reference_price(venue: Venue, command: Command, document: Document) -> None:
    """REFERENCE_PRICE."""
    instrument, price_ticks = venue.instrument(command["instrument_id"]), command["price_ticks"]
    refuse_if(price_ticks < 1, RejectCode.PRICE_INVALID)
    refuse_if(price_ticks > instrument.document["max_price_ticks"], RejectCode.PRICE_ABOVE_MAX)
    instrument.reference_price_ticks = price_ticks
    watching.set_reference(instrument, price_ticks)
    venue.emit(
        EventKind.REFERENCE_PRICE_CHANGED,
        instrument_id=instrument.number,
        price_ticks=price_ticks,
        document=pack(document),
    )


def trade_of(venue: Venue, command: Command) -> Trade:
    """The trade that an operator names, or TRADE_UNKNOWN, TRADE_BUSTED."""
    trade = venue.trades.get(command["target_lo"])
    if trade is None:
        raise RejectError(RejectCode.TRADE_UNKNOWN)
    refuse_if(trade.is_busted, RejectCode.TRADE_BUSTED)
    return trade


def revise(venue: Venue, old: Trade, new: Trade) -> None:
    """Put a trade's revision in its place: money from available balances, and its orders where they still live."""
    amounts = {key: -amount for key, amount in postings(old).items()}
    if not new.is_busted:
        for key, amount in postings(new).items():
            amounts[key] = amounts.get(key, 0) + amount
    owed = still_owed(venue, old, new)
    for (account, asset, _), change in owed.items():
        amounts[account, asset] -= change
        clearing = schema.CLEARING_ACCOUNT, asset
        amounts[clearing] = amounts.get(clearing, 0) + change
    short = any(venue.available[key] + amount < 0 for key, amount in amounts.items())
    refuse_if(short, RejectCode.FUNDS_INSUFFICIENT)
    post(venue, amounts)
    for one, change in owed.items():
        venue.obligations.add(one, change)
    venue.trades[old.trade_id] = new
    for order_id in (old.order_id, old.contra_order_id):
        order = venue.live.get(order_id)
        if order is not None:
            order.qty_lots -= old.qty_lots - (0 if new.is_busted else new.qty_lots)
            order.notional_units -= old.notional_units - (0 if new.is_busted else new.notional_units)


def trade_bust(venue: Venue, command: Command, document: Document) -> None:
    """TRADE_BUST."""
    trade = trade_of(venue, command)
    revise(venue, trade, replace(trade, is_busted=True))
    venue.emit(EventKind.TRADE_BUSTED, **trade_fields(trade) | NO_LEAVES, document=pack(document))


def trade_correct(venue: Venue, command: Command, document: Document) -> None:
    """TRADE_CORRECT."""
    trade, price_ticks, qty_lots = trade_of(venue, command), command["price_ticks"], command["qty_lots"]
    instrument = venue.instruments[trade.instrument_id]
    refuse_if(price_ticks < 1, RejectCode.PRICE_INVALID)
    refuse_if(price_ticks > instrument.document["max_price_ticks"], RejectCode.PRICE_ABOVE_MAX)
    refuse_if(qty_lots < 1, RejectCode.QTY_INVALID)
    refuse_if(qty_lots > trade.qty_lots, RejectCode.QTY_ABOVE_MAX)
    new = replace(trade, price_ticks=price_ticks, qty_lots=qty_lots)
    # Limits changed since the trade could else make a notional that no order may have.
    refuse_if(new.notional_units > schema.AMOUNT_MAX // 2, RejectCode.NOTIONAL_ABOVE_MAX)
    revise(venue, trade, new)
    venue.emit(EventKind.TRADE_CORRECTED, **trade_fields(new) | NO_LEAVES, document=pack(document))


OPERATOR_COMMANDS: dict[int, Callable[[Venue, Command, Document], None]] = {
    CommandKind.INSTRUMENT_STATE: instrument_state,
    CommandKind.ACCOUNT_STATE: account_state,
    CommandKind.REFERENCE_PRICE: reference_price,
    CommandKind.TRADE_BUST: trade_bust,
    CommandKind.TRADE_CORRECT: trade_correct,
    **PENALTIES,
}
