"""Builders of commands that have no document and name no order: money, prices, sessions, the sequencer's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99.build.rows import plain
from kk99.schema import CommandKind, Side

if TYPE_CHECKING:
    from kk99.batch import Commands
    from kk99.build.rows import Ints


def mass_cancel(account_id: Ints, instrument_id: Ints = 0, side: Ints = Side.BOTH) -> Commands:
    """Cancel an account's orders, of one instrument or (0) all, of one side or both."""
    return plain(CommandKind.MASS_CANCEL, account_id=account_id, instrument_id=instrument_id, side=side)


def deposit(account_id: Ints, asset_id: Ints, amount_units: Ints) -> Commands:
    """Credit an account from outside."""
    return plain(CommandKind.DEPOSIT, account_id=account_id, asset_id=asset_id, amount_units=amount_units)


def withdraw(account_id: Ints, asset_id: Ints, amount_units: Ints) -> Commands:
    """Debit an account to outside."""
    return plain(CommandKind.WITHDRAW, account_id=account_id, asset_id=asset_id, amount_units=amount_units)


def settle(
    account_id: Ints, asset_id: Ints, value_date: Ints, amount_units: Ints, *, failed: bool = False, why: Ints = 0
) -> Commands:
    """Say that all of what is owed to an account for a value date is settled, or has failed to and why (a number)."""
    return plain(
        CommandKind.SETTLE,
        account_id=account_id,
        asset_id=asset_id,
        target_lo=value_date,
        amount_units=amount_units,
        state=2 if failed else 1,
        price_ticks=why,
    )


def session_open(session_id: Ints, session_epoch: Ints) -> Commands:
    """Open a session's next epoch; `for_session` from client sequence 0 may begin with it."""
    return plain(CommandKind.SESSION_OPEN, session_id=session_id, session_epoch=session_epoch)


def session_lost(session_id: Ints) -> Commands:
    """Say, as the sequencer, that a session is lost."""
    return plain(CommandKind.SESSION_LOST, target_lo=session_id)


def continue_work() -> Commands:
    """Carry on pending work, as the sequencer."""
    return plain(CommandKind.CONTINUE)


def clock() -> Commands:
    """Let time move on, as the sequencer."""
    return plain(CommandKind.CLOCK)


def index_price(instrument_id: Ints, price_ticks: Ints) -> Commands:
    """Tell an instrument's index price in ticks, from outside the venue."""
    return plain(CommandKind.INDEX_PRICE, instrument_id=instrument_id, price_ticks=price_ticks)


def group_index(group_number: Ints, price_ticks: Ints = 0, close_price_ticks: Ints = 0) -> Commands:
    """Tell a market group's index, its last close or both; 0 leaves one as it is."""
    return plain(
        CommandKind.INDEX_PRICE, target_lo=group_number, price_ticks=price_ticks, close_price_ticks=close_price_ticks
    )
