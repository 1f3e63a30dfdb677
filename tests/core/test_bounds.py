"""Named bounds of the core at their edges, the far ones by raising a count in memory; and slots used again."""

import numpy as np
import pytest

from kk99 import batch, schema
from kk99.core import layout as lay
from kk99.errors import InputError
from kk99.machine import Machine
from kk99.schema import (
    CancelReason,
    CommandKind,
    EventKind,
    MarketState,
    OrderType,
    RejectCode,
    SelfTrade,
    Side,
    TimeInForce,
)
from tests.core import logs
from tests.naive import commands as make
from tests.naive.compare import stamped

A, B, C = range(schema.VENUE_ACCOUNTS, schema.VENUE_ACCOUNTS + 3)
USD, BTC = 1, 2
RICH = 1 << 50
FILLS = schema.FILLS_PER_COMMAND_MAX
BULK = schema.BATCH_ROWS_MAX
VISITS = schema.WORK_UNITS_PER_COMMAND // schema.WORK_UNITS_PER_ORDER
SLOT_MASK = (1 << schema.ORDER_SLOT_BITS) - 1


def run(machine, *items):
    """Apply commands and return the events' rows; money is conserved."""
    rows = [
        machine.apply_all(stamped(items[at : at + BULK], machine.seq + 1)).rows for at in range(0, len(items), BULK)
    ]
    machine.check()
    return np.concatenate(rows, dtype=schema.EVENT)


def bulk(machine, count, **fields):
    """Apply so many ORDER_NEW rows by A at once, by default sells of one lot at 100; return the events' rows."""
    rows = np.zeros(count, schema.COMMAND)
    given = {"kind": CommandKind.ORDER_NEW, "account_id": A, "instrument_id": 1, "side": Side.SELL, "order_type": 2}
    for name, value in (given | {"time_in_force": TimeInForce.GTC, "qty_lots": 1, "price_ticks": 100} | fields).items():
        rows[name] = value
    rows["seq"], rows["time_ns"] = np.arange(machine.seq + 1, machine.seq + 1 + count), machine.time_ns
    events = machine.apply_all(batch.commands(rows)).rows
    assert (events["kind"] == EventKind.ORDER_ACCEPTED).all()
    return events


def raise_to(machine, count, value):
    """Set a count of the header as if the venue had grown to it."""
    machine.state.words[lay.HEADER + count] = value


def venue(**instrument):
    """An open market, three rich accounts of which A and C are of one group, and a session."""
    machine = Machine()
    run(
        machine,
        make.asset("USD"),
        make.asset("BTC"),
        make.instrument("BTC/USD", "BTC", "USD", **instrument),
        make.instrument_state(1, MarketState.OPEN),
        make.account("A"),
        make.account("B"),
        make.account("C", group="A"),
        make.session("one"),
        make.session_open(1, 1),
        *[make.deposit(account, asset, RICH) for account in (A, B, C) for asset in (USD, BTC)],
    )
    return machine


# What one command may cause -------------------------------------------------------------------------------------------


def test_the_command_that_causes_most_events_stays_within_its_bound():
    """A full queue of work ends, then an order takes a lot off FILLS_PER_COMMAND_MAX orders and, each time, itself."""
    machine = venue()
    bulk(machine, FILLS + 1, account_id=C)
    bulk(machine, VISITS, side=Side.BUY, price_ticks=1)
    queue_work(machine, [(A, machine.seq), *[(B, machine.seq)] * (schema.WORK_QUEUE_MAX - 1)])
    guard = {"self_trade": SelfTrade.DECREMENT}
    rows = run(machine, make.order_new(A, 1, Side.BUY, 2 * FILLS, 100, **guard))
    kinds = rows["kind"]
    assert (rows["cause_seq"] == machine.seq).all()
    assert (kinds == EventKind.MASS_CANCEL_DONE).sum() == schema.WORK_QUEUE_MAX
    assert (kinds == EventKind.ORDER_REDUCED).sum() == FILLS
    assert (kinds == EventKind.ORDER_CANCELED).sum() == VISITS + FILLS + 1
    assert rows[-1]["reason"] == CancelReason.FILL_LIMIT
    assert rows["index"].tolist() == list(range(len(rows)))
    assert FILLS * 2 < len(rows) <= lay.EVENTS_PER_COMMAND_MAX


def queue_work(machine, items):
    """Put mass cancels (account, origin) into the queue of pending work behind its end."""
    words = machine.state.words
    last = machine.state.header(lay.H_WORK_LAST)
    for position, (account, origin) in enumerate(items, last):
        at = lay.work(position)
        words[at : at + lay.WORK_WORDS] = 0
        words[at + lay.W_REASON], words[at + lay.W_ACCOUNT] = CancelReason.MASS_CANCEL, account
        words[at + lay.W_ORIGIN] = origin
    raise_to(machine, lay.H_WORK_LAST, last + len(items))
    raise_to(machine, lay.H_WORK_CURSOR, -1)


def test_apply_stops_before_the_event_buffer_could_overflow_and_goes_on():
    """When a further command might not fit, apply returns early; going on from there, nothing differs."""
    one, other = venue(), venue()
    sweeps = lay.EVENTS_MAX // FILLS
    for machine in (one, other):
        for _ in range(sweeps):
            bulk(machine, FILLS)
    items = [make.order_new(B, 1, Side.BUY, FILLS, 100) for _ in range(sweeps)]
    items += [make.command(CommandKind.CLOCK), make.reference_price(1, 99)]
    commands = stamped(items, one.seq + 1)
    applied = one.apply(commands)
    full = 1 + (lay.EVENTS_MAX - lay.EVENTS_PER_COMMAND_MAX) // (FILLS + 1)
    assert applied.next == full < len(items)
    assert len(applied.events.rows) == full * (FILLS + 1) <= lay.EVENTS_MAX
    digest = logs.EventsHash()
    calls, row = 1, applied.next
    digest.add(applied.events)
    while row < len(items):
        before = one.last_event
        applied = one.apply(commands, row)
        assert applied.events.previous == before
        digest.add(applied.events)
        calls, row = calls + 1, applied.next
    assert calls == -(-len(items) // full)
    whole = logs.EventsHash()
    for at in range(len(items)):
        whole.add(other.apply_all(logs.part(commands, at, at + 1)))
    assert digest.hexdigest() == whole.hexdigest()
    assert one.state_hash() == other.state_hash()


def test_the_queue_of_pending_work_takes_so_many_items_and_not_one_more():
    """WORK_QUEUE_MAX items wait at once; the next mass cancel, kill or lost session is refused until one is done."""
    machine = venue()
    raise_to(machine, lay.H_ORDER_TOP, SLOT_MASK - 1)  # slots to pass for a lost session: all are free
    run(machine, make.command(CommandKind.SESSION_LOST, target_lo=1))
    rows = run(machine, *[make.mass_cancel(A) for _ in range(schema.WORK_QUEUE_MAX - 1)])
    assert (rows["kind"] == EventKind.MASS_CANCEL_ACCEPTED).all()
    refused = [
        make.mass_cancel(A),
        make.command(CommandKind.SESSION_LOST, target_lo=1),
        make.account_state(A, schema.AccountState.KILLED),
    ]
    rows = run(machine, *refused)
    assert (rows["reason"] == RejectCode.WORK_QUEUE_FULL).all()
    machine.state.words[lay.HEADER + lay.H_WORK_CURSOR] = machine.state.header(lay.H_WORK_LIMIT) + 1  # all passed
    rows = run(machine, *refused)
    assert (rows["kind"] == EventKind.MASS_CANCEL_DONE).sum() == schema.WORK_QUEUE_MAX + 1
    assert (rows["kind"] != EventKind.REJECTED).all()


# How much a venue holds -----------------------------------------------------------------------------------------------


def test_live_orders_are_bounded():
    """The last order is taken, the next one refused until one ends, whose slot is used again."""
    machine = venue()
    top = schema.ORDERS_MAX - 2
    raise_to(machine, lay.H_ORDERS, top)
    raise_to(machine, lay.H_ORDER_TOP, top)
    order = make.order_new(A, 1, Side.BUY, 1, 10)
    last, refused = run(machine, order, order)
    assert last["kind"] == EventKind.ORDER_ACCEPTED
    assert last["order_id"] == 1 << schema.ORDER_SLOT_BITS | top + 1
    assert top + 1 <= SLOT_MASK
    assert refused["reason"] == RejectCode.ORDERS_FULL
    canceled, again, refused = run(machine, make.order_cancel(A, last["order_id"]), order, order)
    assert canceled["kind"] == EventKind.ORDER_CANCELED
    assert again["order_id"] == 2 << schema.ORDER_SLOT_BITS | top + 1
    assert refused["reason"] == RejectCode.ORDERS_FULL


def test_price_levels_are_bounded():
    """With LEVELS_MAX levels in all books no order is taken, at a level that stands neither, until one empties."""
    machine = venue()
    machine.state.words[lay.S_LEVELS] = schema.LEVELS_MAX - 1
    first, refused, same = run(machine, *[make.order_new(A, 1, Side.BUY, 1, price) for price in (10, 11, 10)])
    assert first["kind"] == EventKind.ORDER_ACCEPTED
    assert refused["reason"] == same["reason"] == RejectCode.ORDERS_FULL
    run(machine, make.order_cancel(A, first["order_id"]))
    (row,) = run(machine, make.order_new(A, 1, Side.BUY, 1, 11))
    assert row["kind"] == EventKind.ORDER_ACCEPTED


def test_balances_are_bounded_and_assets_keep_their_own():
    """At the bound no deposit or order opens a balance, yet each asset still to come has room for the venue's three."""
    machine = venue()
    room = 8 * FILLS + 3 * schema.ASSETS_MAX
    raise_to(machine, lay.H_BALANCES, schema.BALANCES_MAX - room - 1)
    run(machine, make.account("D"))
    taken, refused = run(machine, make.deposit(C + 1, USD, 5), make.deposit(C + 1, BTC, 5))
    assert taken["kind"] == EventKind.DEPOSITED
    assert machine.state.header(lay.H_BALANCES) == schema.BALANCES_MAX - room
    assert refused["reason"] == RejectCode.CAPACITY_REACHED
    (row,) = run(machine, make.order_new(A, 1, Side.BUY, 1, 10))
    assert row["reason"] == RejectCode.ORDERS_FULL
    # The last command before it, with two rounds of work, opened these.
    raise_to(machine, lay.H_BALANCES, schema.BALANCES_MAX - room - 1 + 8 * FILLS)
    rows = run(machine, *[make.asset(f"a{number}") for number in range(schema.ASSETS_MAX)])
    assert (rows["kind"] == EventKind.ASSET_DEFINED).sum() == schema.ASSETS_MAX - 3
    assert machine.state.header(lay.H_BALANCES) < schema.BALANCES_MAX


def test_sessions_stay_below_their_bound():
    """The last number is one below the bound, works, and the next is refused."""
    machine = venue()
    rows = run(machine, *[make.session(f"s{number}") for number in range(schema.SESSIONS_MAX)])
    assert (rows["kind"] == EventKind.SESSION_DEFINED).sum() == schema.SESSIONS_MAX - 2
    assert set(rows["reason"][rows["kind"] == EventKind.REJECTED]) == {RejectCode.CAPACITY_REACHED}
    last = {"session_id": schema.SESSIONS_MAX - 1, "session_epoch": 1}
    rows = run(machine, make.session_open(schema.SESSIONS_MAX - 1, 1), make.command(0, client_seq=1, **last))
    assert rows["kind"].tolist() == [EventKind.SESSION_OPENED, EventKind.REJECTED]
    assert machine.session(schema.SESSIONS_MAX - 1) == (1, 1)
    rows = run(machine, make.session_open(schema.SESSIONS_MAX, 1))
    assert rows[0]["reason"] == RejectCode.SESSION_UNKNOWN


# What a number may be -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"max_price_ticks": schema.PRICE_TICKS_MAX, "max_qty_lots": 1 << 25}, None),
        ({"max_price_ticks": schema.PRICE_TICKS_MAX + 1, "max_qty_lots": 1}, RejectCode.DOCUMENT_INVALID),
        ({"max_price_ticks": 1 << 13, "max_qty_lots": schema.QTY_LOTS_MAX}, None),
        ({"max_price_ticks": 1, "max_qty_lots": schema.QTY_LOTS_MAX + 1}, RejectCode.DOCUMENT_INVALID),
        ({"max_price_ticks": 1 << 31, "max_qty_lots": 1 << 30}, None),
        ({"max_price_ticks": (1 << 31) + 1, "max_qty_lots": 1 << 30}, RejectCode.TICK_LOT_NOT_WHOLE),
        ({"max_price_ticks": 1 << 31, "max_qty_lots": (1 << 30) + 1}, RejectCode.TICK_LOT_NOT_WHOLE),
        ({"max_price_ticks": 1, "max_qty_lots": 1 << 30, "lot_units": 1 << 31}, None),
        ({"max_price_ticks": 1, "max_qty_lots": 1 << 30, "lot_units": (1 << 31) + 1}, RejectCode.TICK_LOT_NOT_WHOLE),
    ],
)
def test_limits_reach_half_of_amount_max_and_orders_reach_the_limits(limits, code):
    """Notional and quantity up to AMOUNT_MAX / 2 can be defined, ordered and filled exactly; one more is refused."""
    machine = Machine()
    most = schema.AMOUNT_MAX // 2
    run(machine, make.asset("USD"), make.asset("BTC"))
    (row,) = run(machine, make.instrument("BTC/USD", "BTC", "USD", **limits))
    if code is not None:
        assert row["reason"] == code
        return
    price, qty = limits["max_price_ticks"], limits["max_qty_lots"]
    rows = run(
        machine,
        make.instrument_state(1, MarketState.OPEN),
        make.account("A"),
        make.account("B"),
        make.deposit(A, BTC, most),
        make.deposit(B, USD, most),
        make.order_new(A, 1, Side.SELL, qty, price + 1),
        make.order_new(A, 1, Side.SELL, qty + 1, price),
        make.order_new(A, 1, Side.SELL, qty, price),
        make.order_new(B, 1, Side.BUY, qty, price),
    )
    codes = rows["reason"][rows["kind"] == EventKind.REJECTED].tolist()
    assert codes == [RejectCode.PRICE_ABOVE_MAX, RejectCode.QTY_ABOVE_MAX]
    trade = rows[-1]
    assert (trade["kind"], trade["price_ticks"], trade["qty_lots"]) == (EventKind.TRADE, price, qty)
    machine.check_all()
    assert balance(machine, A, USD) == (price * qty * limits.get("lot_units", 1), 0)
    assert balance(machine, B, BTC) == (qty * limits.get("lot_units", 1), 0)


def balance(machine, account, asset):
    """What is available and held, by the image."""
    rows = machine.image().rows
    rows = rows[
        (rows["kind"] == EventKind.BALANCE_IMAGE) & (rows["account_id"] == account) & (rows["asset_id"] == asset)
    ]
    return (int(rows[0]["amount_units"]), int(rows[0]["notional_units"])) if len(rows) else (0, 0)


def test_deposits_ever_reach_amount_max_and_no_further():
    """What ever came in of an asset is at most AMOUNT_MAX, withdrawn or not; other assets have their own."""
    machine = venue()
    left = schema.AMOUNT_MAX - 3 * RICH
    rows = run(
        machine,
        make.deposit(A, USD, left + 1),
        make.deposit(A, USD, left),
        make.deposit(B, USD, 1),
        make.withdraw(A, USD, left),
        make.deposit(A, USD, 1),
        make.deposit(A, BTC, left),
    )
    kinds = [(EventKind(row["kind"]), int(row["reason"])) for row in rows]
    refused = (EventKind.REJECTED, RejectCode.AMOUNT_INVALID)
    taken = (EventKind.DEPOSITED, 0)
    assert kinds == [refused, taken, refused, (EventKind.WITHDRAWN, 0), refused, taken]


def test_tiers_are_those_of_the_schedule():
    """The last tier has its own rates, missing ones are as the last given; one tier more is refused."""
    rates = [{"maker_ppm": 0, "taker_ppm": 10_000 * tier} for tier in range(schema.TIERS)]
    machine = venue()
    rows = run(
        machine,
        make.schedule("full", *rates),
        make.schedule("more", *rates, rates[0]),
        make.schedule("short", *rates[:2]),
        make.account_change("B", tier=schema.TIERS - 1),
        make.account_change("B", tier=schema.TIERS),
        make.instrument_change("BTC/USD", fee_schedule="full"),
        make.order_new(A, 1, Side.SELL, 200, 100),
        make.order_new(B, 1, Side.BUY, 100, 100),
        make.instrument_change("BTC/USD", fee_schedule="short"),
        make.order_new(B, 1, Side.BUY, 100, 100),
    )
    refused = rows[rows["kind"] == EventKind.REJECTED]
    assert refused["reason"].tolist() == [RejectCode.DOCUMENT_INVALID] * 2
    trades = rows[rows["kind"] == EventKind.TRADE]
    assert trades["fee_units"].tolist() == [100 * 15, 100]


# Order ids ------------------------------------------------------------------------------------------------------------


def test_slots_are_used_again_last_freed_first_and_ids_never():
    """A slot's generation rises with each use; the slot freed last is taken first, then fresh ones follow in order."""
    machine = venue()
    orders = [make.order_new(A, 1, Side.BUY, 1, 10) for _ in range(4)]
    first = run(machine, *orders)["order_id"].tolist()
    assert [(one >> schema.ORDER_SLOT_BITS, one & SLOT_MASK) for one in first] == [(1, slot) for slot in (1, 2, 3, 4)]
    run(machine, *[make.order_cancel(A, first[slot - 1]) for slot in (2, 4, 1)])
    ioc = make.order_new(A, 1, Side.BUY, 1, 10, time_in_force=TimeInForce.IOC)
    rows = run(machine, ioc, *orders)
    ids = rows["order_id"][rows["kind"] == EventKind.ORDER_ACCEPTED].tolist()
    expected = [(2, 1), (3, 1), (2, 4), (2, 2), (1, 5)]
    assert [(one >> schema.ORDER_SLOT_BITS, one & SLOT_MASK) for one in ids] == expected
    rows = run(machine, *[make.order_cancel(A, old) for old in (first[0], ids[0], first[3], 0, -ids[1], SLOT_MASK)])
    assert (rows["reason"] == RejectCode.ORDER_UNKNOWN).all()


@pytest.mark.parametrize("stride", [2, -1])
def test_rows_that_do_not_lie_end_to_end_are_refused(stride):
    """The kernel reads rows by their address, so rows with gaps between them, or backwards, are an error."""
    rows = np.zeros(4, schema.COMMAND)[::stride]
    with pytest.raises(InputError):
        Machine().apply(batch.commands(rows))


def test_a_market_order_without_limit_reaches_the_ends_of_the_book():
    """Without a collar a market sell meets a bid at one tick; a budget meets an ask at the highest price."""
    machine = venue(max_price_ticks=schema.PRICE_TICKS_MAX, max_qty_lots=1 << 10)
    market = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC}
    rows = run(
        machine,
        make.order_new(A, 1, Side.BUY, 5, 1),
        make.order_new(A, 1, Side.SELL, 5, schema.PRICE_TICKS_MAX),
        make.order_new(B, 1, Side.SELL, 5, 0, **market),
        make.order_new(B, 1, Side.BUY, 0, 0, amount_units=5 * schema.PRICE_TICKS_MAX, **market),
    )
    trades = rows[rows["kind"] == EventKind.TRADE]
    assert trades["price_ticks"].tolist() == [1, schema.PRICE_TICKS_MAX]
    assert rows[-1]["reason"] == CancelReason.BUDGET_SPENT
