"""Commands about scheduled orders: one enters with its slices, is suspended, and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kk99 import schema
from kk99.schema import (
    AccountState,
    EventKind,
    Flag,
    OrderType,
    RejectCode,
    SelfTrade,
    Side,
    TimeInForce,
)
from tests.naive import checks
from tests.naive.clock import Wants
from tests.naive.fields import Document, pack
from tests.naive.linked import emit_details
from tests.naive.orders import target_of
from tests.naive.records import Order, Place, RejectError, refuse_if
from tests.naive.releasing import Schedule
from tests.naive.states import refusal
from tests.naive.triggers import settle
from tests.naive.venue import identity

if TYPE_CHECKING:
    from tests.naive.records import Account, Instrument
    from tests.naive.venue import Command, Venue

RESERVED = (
    "amount_units",
    "target_lo",
    "target_hi",
    "trigger",
    "state",
    "trigger_price_ticks",
    "display_qty_lots",
)


# Entering -------------------------------------------------------------------------------------------------------------


def algo_order(venue: Venue, command: Command, document: Document) -> None:
    """ALGO_ORDER."""
    account = venue.account(command["account_id"])
    refuse_if(account.state != AccountState.ACTIVE, RejectCode.ACCOUNT_SUSPENDED)
    instrument = venue.instrument(command["instrument_id"])
    check_form(command)
    code = refusal(instrument.market.now, TimeInForce.GTD, command["flags"], 0)
    if code is not None:
        raise RejectError(code)
    start_ns, end_ns = document["start_time_ns"], document["end_time_ns"]
    refuse_if(start_ns != 0 and start_ns < venue.time_ns, RejectCode.EXPIRE_INVALID)
    start_ns = start_ns or venue.time_ns or 1
    refuse_if(end_ns <= start_ns, RejectCode.EXPIRE_INVALID)
    checks.check_price(instrument, command["price_ticks"], is_collared=False)
    checks.check_lots(instrument, command["qty_lots"])
    checks.check_total(instrument, command["qty_lots"])
    check_slices(document["slices"], command["qty_lots"], end_ns - start_ns)
    checks.check_notional(instrument, command["price_ticks"] * command["qty_lots"] * instrument.tick_lot_units)
    schedule = Schedule(start_ns, end_ns, document["participation_ppm"], document["slices"])
    order = parent_of(venue, account, instrument, command, schedule)
    checks.check_client_id(venue, account, order.client_id)
    available = venue.available[account.number, order.hold_asset(instrument)]
    refuse_if(available < order.hold(instrument), RejectCode.FUNDS_INSUFFICIENT)
    parents = [one for one in venue.live.values() if one.schedule is not None]
    refuse_if(not venue.has_room(1) or len(parents) >= schema.ALGOS_MAX, RejectCode.ORDERS_FULL)
    accept(venue, order, document)
    settle(venue, instrument)


def check_form(command: Command) -> None:
    """What can be seen wrong without a look at the instrument."""
    refuse_if(command["side"] not in {Side.BUY, Side.SELL}, RejectCode.SIDE_INVALID)
    refuse_if(command["order_type"] != OrderType.ALGO, RejectCode.ORDER_TYPE_UNSUPPORTED)
    refuse_if(command["time_in_force"] != TimeInForce.GTD, RejectCode.TIME_IN_FORCE_UNSUPPORTED)
    refuse_if(command["self_trade"] not in set(SelfTrade), RejectCode.SELF_TRADE_INVALID)
    refuse_if(command["flags"] & ~int(Flag.HAS_COLD | Flag.CANCEL_ON_LOST), RejectCode.FLAGS_INVALID)
    refuse_if(any(command[name] for name in RESERVED), RejectCode.FLAGS_INVALID)


def check_slices(slices: list[list[int]], qty_lots: int, length_ns: int) -> None:
    """Offsets rise and end before the end, and the quantities are that of the order."""
    offsets = [offset_ns for offset_ns, _ in slices]
    is_rising = offsets == sorted(set(offsets))
    is_whole = sum(lots for _, lots in slices) == qty_lots
    refuse_if(not is_rising or offsets[-1] >= length_ns or not is_whole, RejectCode.SCHEDULE_INVALID)


def parent_of(venue: Venue, account: Account, instrument: Instrument, command: Command, schedule: Schedule) -> Order:
    """The order as it would be."""
    rates = venue.rates(instrument.document["fee_schedule"], account)
    return Order(
        order_id=0,
        account_id=account.number,
        instrument_id=instrument.number,
        side=command["side"],
        order_type=OrderType.ALGO,
        time_in_force=TimeInForce.GTD,
        self_trade=command["self_trade"],
        flags=command["flags"],
        price_ticks=command["price_ticks"],
        limit_ticks=command["price_ticks"],
        hold_price_ticks=command["price_ticks"],
        qty_lots=command["qty_lots"],
        leaves_lots=command["qty_lots"],
        maker_ppm=rates["maker_ppm"],
        taker_ppm=rates["taker_ppm"],
        client_id=(command["client_id_lo"], command["client_id_hi"]),
        session_id=command["session_id"],
        entry_seq=venue.seq,
        expire_time_ns=schedule.end_time_ns,
        schedule=schedule,
    )


def accept(venue: Venue, order: Order, document: Document) -> None:
    """Make a parent live, in no book, with its timers."""
    venue.enlist(order)
    venue.rehold(order)
    venue.put(order, Place.SCHEDULED)
    venue.emit(
        EventKind.ALGO_SCHEDULED,
        order_id=order.order_id,
        account_id=order.account_id,
        instrument_id=order.instrument_id,
        side=order.side,
        document=pack(document),
    )
    venue.emit_order(EventKind.ORDER_ACCEPTED, order, order.flags)
    emit_details(venue, order)
    venue.set_expiry(order)
    assert order.schedule is not None
    order.schedule.timer = venue.timers.set(order.schedule.start_time_ns, Wants.RELEASE, order.order_id)


# Suspending -----------------------------------------------------------------------------------------------------------


def order_suspend(venue: Venue, command: Command) -> None:
    """ORDER_SUSPEND."""
    order = target_of(venue, venue.account(command["account_id"]), command)
    if order.schedule is None:
        raise RejectError(RejectCode.ORDER_TYPE_UNSUPPORTED)
    refuse_if(command["flags"] & ~int(Flag.TARGET_CLIENT_ID | Flag.HAS_COLD), RejectCode.FLAGS_INVALID)
    is_same = command["state"] == order.schedule.is_suspended
    refuse_if(is_same or command["state"] > 1, RejectCode.STATE_UNCHANGED)
    order.schedule.is_suspended = command["state"] == 1
    venue.emit(
        EventKind.ORDER_SUSPENDED,
        **identity(order),
        state=command["state"],
        qty_lots=order.qty_lots,
        leaves_lots=order.leaves_lots,
        amount_units=order.hold_units,
    )
