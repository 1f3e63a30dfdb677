"""The core's one door: apply a batch of commands, each to its events; all branching on command kinds stands here.

A batch stops early at a command with a document, which `kk99.machine` decides with the directory and then resolves,
or when the event buffer has no room for another command's events.
"""

from __future__ import annotations

from typing import Any

from kk99 import schema
from kk99.core import (
    advanced,
    amend,
    entry,
    extras,
    index,
    ladder,
    ledger,
    matching,
    money,
    notes,
    obligations,
    operate,
    orders,
    output,
    releasing,
    settlement,
    triggers,
    work,
)
from kk99.core import layout as lay
from kk99.core.memory import add, high, inlined, kernel, load, low, pair, prefetch, store, store_high, store_low
from kk99.core.memory import entry as compiled
from kk99.schema import CommandKind as K
from kk99.schema import RejectCode as R

C_TIME = schema.word_of(schema.COMMAND, "time_ns")
C_CLIENT_SEQ = schema.word_of(schema.COMMAND, "client_seq")
C_SESSION = schema.word_of(schema.COMMAND, "session_id")
ROW_WORDS = schema.ROW_WORDS
E_DUPLICATE = schema.EventKind.DUPLICATE.value
E_CONTINUED = schema.EventKind.CONTINUED.value
E_CLOCK_TICKED = schema.EventKind.CLOCK_TICKED.value
E_SESSION_OPENED = schema.EventKind.SESSION_OPENED.value
BY_CLIENT_ID = schema.Flag.TARGET_CLIENT_ID.value
K_CONTINUE = K.CONTINUE.value
K_CLOCK = K.CLOCK.value
K_SESSION_OPEN = K.SESSION_OPEN.value
K_SESSION_LOST = K.SESSION_LOST.value
K_ORDER_NEW = K.ORDER_NEW.value
K_ORDER_REPLACE = K.ORDER_REPLACE.value
K_ORDER_CANCEL = K.ORDER_CANCEL.value
K_MASS_CANCEL = K.MASS_CANCEL.value
K_DEPOSIT = K.DEPOSIT.value
K_WITHDRAW = K.WITHDRAW.value
K_INDEX_PRICE = K.INDEX_PRICE.value
K_MESSAGE_NOTED = K.MESSAGE_NOTED.value
K_ORDER_SUSPEND = K.ORDER_SUSPEND.value
K_FIRST_DOCUMENT = schema.FIRST_DOCUMENT_KIND.value
K_SETTLE = K.SETTLE.value
K_LAST = max(K).value
K_INSTRUMENT_STATE = K.INSTRUMENT_STATE.value
K_ACCOUNT_STATE = K.ACCOUNT_STATE.value
K_REFERENCE_PRICE = K.REFERENCE_PRICE.value
K_TRADE_BUST = K.TRADE_BUST.value
K_ALGO_ORDER = K.ALGO_ORDER.value
K_SETTLEMENT_PENALTY = K.SETTLEMENT_PENALTY.value
WINDOW_MASK = schema.SESSION_WINDOW - 1
SELL = schema.Side.SELL.value
ACCOUNT_MASK = schema.ACCOUNTS_MAX - 1
INSTRUMENT_MASK = schema.INSTRUMENTS_MAX - 1
TAKEN = 0
ANSWERED = -1
LOOKAHEAD_FROM = 16_384  # live orders and balances from which their records no longer stay in the nearest caches


@kernel
def _session(m: Any, c: Any, at: int, kind: int) -> int:
    """Take the command's number in its session: return TAKEN, a reject code, or ANSWERED for a duplicate."""
    session = load(c, at + C_SESSION)
    session_id = low(session)
    if session_id == 0 and kind != K_SESSION_OPEN:
        return TAKEN
    if session_id < 1 or session_id > load(m, lay.HEADER + lay.H_SESSIONS):
        return R.SESSION_UNKNOWN.value
    session_at = lay.session(session_id)
    epoch = load(m, session_at + lay.N_EPOCH)
    if kind == K_SESSION_OPEN:
        if high(session) != epoch + 1:
            return R.SESSION_EPOCH_WRONG.value
        store(m, session_at + lay.N_EPOCH, epoch + 1)
        store(m, session_at + lay.N_CLIENT_SEQ, 0)
        return TAKEN
    if high(session) != epoch or epoch == 0:
        return R.SESSION_EPOCH_WRONG.value
    client_seq = load(c, at + C_CLIENT_SEQ)
    last = load(m, session_at + lay.N_CLIENT_SEQ)
    if client_seq <= last:
        original = 0
        if client_seq >= 1 and client_seq > last - schema.SESSION_WINDOW:
            original = load(m, session_at + lay.N_WINDOW + (client_seq & WINDOW_MASK))
        store(m, lay.S_ORIGIN, original)
        output.simple(m, E_DUPLICATE, 0, 0, 0, 0, 0)
        return ANSWERED
    if client_seq > last + 1:
        return R.CLIENT_SEQ_GAP.value
    store(m, session_at + lay.N_CLIENT_SEQ, client_seq)
    store(m, session_at + lay.N_WINDOW + (client_seq & WINDOW_MASK), load(m, lay.HEADER + lay.H_SEQ))
    return TAKEN


@inlined
def _hash_at(m: Any, c: Any, at: int, client_lo: int) -> int:
    """Return the hash of the client id at a word of a command."""
    return index.hash_of(m, high(load(c, at + output.C_OWNER)), load(c, at + client_lo), load(c, at + client_lo + 1))


@inlined
def _look_ahead(m: Any, c: Any, at: int, end: int) -> None:
    """Fetch the bucket in which a new order's client id is sought a few commands on."""
    near = at + 6 * ROW_WORDS
    if near < end and load(c, near + output.C_KINDS) & 0xFF == K_ORDER_NEW:
        index.prefetch_closed(m, _hash_at(m, c, near, output.C_CLIENT_LO))


@inlined
def _look_deep(m: Any, c: Any, at: int, end: int) -> None:
    """Of a large book, fetch in three steps what the commands ahead will touch.

    Each step by what the one before fetched.
    """
    if at + 18 * ROW_WORDS < end:
        _fetch_buckets(m, c, at + 18 * ROW_WORDS)
        _fetch_records(m, c, at + 11 * ROW_WORDS)
        _fetch_neighbours(m, c, at + 5 * ROW_WORDS)


@inlined
def _fetch_buckets(m: Any, c: Any, at: int) -> None:
    """Fetch index buckets, the account and the price's leaf."""
    kinds = load(c, at + output.C_KINDS)
    owner = load(c, at + output.C_OWNER)
    if (kinds >> 40) & BY_CLIENT_ID != 0:
        index.prefetch_order(m, _hash_at(m, c, at, output.C_TARGET_LO))
    else:
        prefetch(m, lay.ORDERS + (load(c, at + output.C_TARGET_LO) & orders.SLOT_MASK) * lay.ORDER_WORDS)
    if kinds & 0xFF == K_ORDER_NEW:
        index.prefetch_order(m, _hash_at(m, c, at, output.C_CLIENT_LO))
        prefetch(m, lay.ACCOUNTS + (high(owner) & ACCOUNT_MASK) * lay.ACCOUNT_WORDS)
        index.prefetch_balance(m, _held_balance(m, kinds, owner))
        ladder.prefetch_leaf(m, _book_guess(kinds, owner), _price_guess(c, at, kinds))


@inlined
def _book_guess(kinds: int, owner: int) -> int:
    """Return the place of the book that a new order names, of whatever instrument: only for prefetching."""
    if (kinds >> 16) & 0xFF > entry.LIMIT:
        source = (((kinds >> 56) - 1) & 3) + 1
        number = triggers.book_number(source, (kinds >> 8) & 0xFF, (kinds >> 16) & 0xFF)
        return lay.TRIGGERS + ((low(owner) & INSTRUMENT_MASK) * 9 + number) * lay.BOOK_WORDS
    return lay.BOOKS + ((low(owner) & INSTRUMENT_MASK) * 2 + ((kinds >> 8) & 0xFF == SELL)) * lay.BOOK_WORDS


@inlined
def _price_guess(c: Any, at: int, kinds: int) -> int:
    """Return the price at which a new order will stand; any price, only for prefetching."""
    return load(c, at + entry.C_TRIGGER) if (kinds >> 16) & 0xFF > entry.LIMIT else load(c, at + output.C_PRICE)


@inlined
def _held_balance(m: Any, kinds: int, owner: int) -> int:
    """Return the owner word of the balance that a new order holds."""
    instrument_at = lay.INSTRUMENTS + (low(owner) & INSTRUMENT_MASK) * lay.INSTRUMENT_WORDS
    return pair(high(owner), load(m, instrument_at + (lay.I_BASE if (kinds >> 8) & 0xFF == SELL else lay.I_QUOTE)))


@inlined
def _fetch_records(m: Any, c: Any, at: int) -> None:
    """Fetch the order that is meant; of a new order the balance, the account's newest order and the price level."""
    kinds = load(c, at + output.C_KINDS)
    slot = _target_guess(m, c, at)
    prefetch(m, lay.ORDERS + slot * lay.ORDER_WORDS)
    prefetch(m, lay.ORDERS + slot * lay.ORDER_WORDS + 8)
    if kinds & 0xFF == K_ORDER_NEW:
        owner = load(c, at + output.C_OWNER)
        prefetch(m, lay.BALANCES + index.first_balance(m, _held_balance(m, kinds, owner)) * lay.BALANCE_WORDS)
        account_at = lay.ACCOUNTS + (high(owner) & ACCOUNT_MASK) * lay.ACCOUNT_WORDS
        prefetch(m, lay.ORDERS + high(load(m, account_at + lay.C_LIST)) * lay.ORDER_WORDS + 8)
        level = ladder.level_guess(m, _book_guess(kinds, owner), _price_guess(c, at, kinds))
        prefetch(m, lay.LEVELS + level * lay.LEVEL_WORDS)


@inlined
def _fetch_neighbours(m: Any, c: Any, at: int) -> None:
    """Fetch the order's neighbours at its price and of its account, its level and balance.

    Of a new order its level's last.
    """
    kinds = load(c, at + output.C_KINDS)
    if kinds & 0xFF == K_ORDER_NEW:
        price = _price_guess(c, at, kinds)
        level = ladder.level_guess(m, _book_guess(kinds, load(c, at + output.C_OWNER)), price)
        prefetch(m, lay.ORDERS + high(load(m, lay.LEVELS + level * lay.LEVEL_WORDS + lay.V_QUEUE)) * lay.ORDER_WORDS)
        return
    order_at = lay.ORDERS + _target_guess(m, c, at) * lay.ORDER_WORDS
    if load(m, order_at + lay.O_ID) <= 0:
        return
    if kinds & 0xFF == K_ORDER_CANCEL:
        index.prefetch_order(m, low(load(m, order_at + lay.O_HASH)))
        index.prefetch_closed(m, low(load(m, order_at + lay.O_HASH)))
    queue = load(m, order_at + lay.O_QUEUE)
    links = load(m, order_at + lay.O_LIST)
    prefetch(m, lay.ORDERS + low(queue) * lay.ORDER_WORDS)
    prefetch(m, lay.ORDERS + high(queue) * lay.ORDER_WORDS)
    prefetch(m, lay.ORDERS + low(links) * lay.ORDER_WORDS + 8)
    prefetch(m, lay.ORDERS + high(links) * lay.ORDER_WORDS + 8)
    if load(m, order_at + lay.O_TERMS) & lay.SPECIAL != 0:
        prefetch(m, lay.EXTRAS + high(load(m, order_at + lay.O_HASH)) * lay.EXTRA_WORDS)
    prefetch(m, lay.LEVELS + low(load(m, order_at + lay.O_LEVEL)) * lay.LEVEL_WORDS)
    prefetch(m, lay.BALANCES + low(load(m, order_at + lay.O_BALANCES)) * lay.BALANCE_WORDS)
    prefetch(m, lay.ACCOUNTS + low(load(m, order_at + lay.O_OWNER)) * lay.ACCOUNT_WORDS)


@inlined
def _target_guess(m: Any, c: Any, at: int) -> int:
    """Return the slot that a command probably targets, or 0."""
    if (load(c, at + output.C_KINDS) >> 40) & BY_CLIENT_ID != 0:
        return index.first_order(m, _hash_at(m, c, at, output.C_TARGET_LO))
    return load(c, at + output.C_TARGET_LO) & orders.SLOT_MASK


@inlined
def _dispatch(m: Any, c: Any, at: int, kind: int) -> None:
    """Apply a command that needs no document."""
    if kind == K_ORDER_REPLACE:
        amend.order_replace(m, c, at)
    elif kind == K_ORDER_NEW:
        if entry.is_plain(m, c, at):
            entry.order_new(m, c, at)
        else:
            advanced.order_new(m, c, at)
    elif kind == K_ORDER_CANCEL:
        amend.order_cancel(m, c, at)
    elif kind == K_MASS_CANCEL:
        work.mass_cancel(m, c, at)
    elif kind == K_DEPOSIT:
        money.deposit(m, c, at)
    elif kind == K_WITHDRAW:
        money.withdraw(m, c, at)
    elif kind == K_INDEX_PRICE:
        notes.index_price(m, c, at)
    elif kind == K_MESSAGE_NOTED:
        notes.message_noted(m, c, at)
    elif kind == K_ORDER_SUSPEND:
        releasing.suspend(m, c, at)
    elif kind == K_SETTLE:
        settlement.settle(m, c, at)
    elif kind == K_SESSION_OPEN:
        output.simple(m, E_SESSION_OPENED, 0, 0, 0, 0, 0)
    elif low(load(c, at + C_SESSION)) != 0:
        output.reject(m, c, at, R.KIND_UNKNOWN.value)
    elif kind == K_CONTINUE:
        output.simple(m, E_CONTINUED, 0, 0, 0, 0, 0)
    elif kind == K_CLOCK:
        output.simple(m, E_CLOCK_TICKED, 0, 0, 0, 0, 0)
    elif kind == K_SESSION_LOST:
        work.session_lost(m, c, at)
    else:
        output.reject(m, c, at, R.KIND_UNKNOWN.value)


@inlined
def _begin(m: Any, c: Any, at: int, seq: int, kind: int) -> None:
    """Begin a command: its identity for its events, and the pending work before it."""
    store(m, lay.HEADER + lay.H_SEQ, seq)
    store(m, lay.HEADER + lay.H_TIME_NS, load(c, at + C_TIME))
    store(m, lay.HEADER + lay.H_EVENT_INDEX, 0)
    store(m, lay.S_ORIGIN, seq)
    store(m, lay.S_COMMAND_KIND, (kind if kind < 128 else kind - 256) << 56)
    store(m, lay.S_CLIENT_SEQ, load(c, at + C_CLIENT_SEQ))
    store(m, lay.S_SESSION, load(c, at + C_SESSION))
    store(m, lay.S_PATH_FIRST, 0)
    store(m, lay.S_ROUND, 0)
    if work.pending(m):
        work.work_on(m)


@compiled
def apply_rows(m: Any, c: Any, start: int, count: int) -> int:
    """Apply command rows from `start` on; return the row at which it stopped, with the reason in scratch."""
    row = start
    end = count * ROW_WORDS
    deep = load(m, lay.HEADER + lay.H_ORDERS) + load(m, lay.HEADER + lay.H_BALANCES) > LOOKAHEAD_FROM
    store(m, lay.S_STOP, lay.STOP_DONE)
    while row < count:
        at = row * ROW_WORDS
        seq = load(c, at + output.C_SEQ)
        if seq != load(m, lay.HEADER + lay.H_SEQ) + 1 or load(c, at + C_TIME) < load(m, lay.HEADER + lay.H_TIME_NS):
            store(m, lay.S_STOP, lay.STOP_BROKEN)
            break
        if load(m, lay.S_EVENTS) > lay.EVENTS_MAX - lay.EVENTS_PER_COMMAND_MAX:
            store(m, lay.S_STOP, lay.STOP_EVENTS)
            break
        _look_ahead(m, c, at, end)
        if deep:
            _look_deep(m, c, at, end)
        kind = load(c, at + output.C_KINDS) & 0xFF
        _begin(m, c, at, seq, kind)
        code = _session(m, c, at, kind)
        if code > 0:
            output.reject(m, c, at, code)
        elif code == TAKEN:
            if K_FIRST_DOCUMENT <= kind <= K_LAST:
                store(m, lay.S_STOP, lay.STOP_DOCUMENT)
                break
            _dispatch(m, c, at, kind)
        if work.is_busy(m) or load(m, lay.S_ROUND) != 0:
            work.work_on(m)
        row += 1
    return row


@compiled
def resolve(m: Any, c: Any, row: int, code: int) -> int:
    """End a document command that the directory rejected (code) or left to the core (0); return 1 if it is accepted."""
    at = row * ROW_WORDS
    kind = load(c, at + output.C_KINDS) & 0xFF
    if code == 0:
        if kind == K_INSTRUMENT_STATE:
            code = operate.instrument_state(m, c, at)
        elif kind == K_ACCOUNT_STATE:
            code = operate.account_state(m, c, at)
        elif kind == K_REFERENCE_PRICE:
            code = operate.reference_price(m, c, at)
        elif kind == K_ALGO_ORDER:
            code = releasing.enter(m, c, at)
        elif kind == K_SETTLEMENT_PENALTY:
            code = settlement.penalty(m, c, at)
        else:
            code = operate.trade_change(m, c, at, 1 if kind == K_TRADE_BUST else 0)
    if code != 0:
        output.reject(m, c, at, code)
        return 0
    if (kind == K_INSTRUMENT_STATE and work.is_busy(m)) or load(m, lay.S_ROUND) != 0:
        work.work_on(m)
    return 1


@compiled
def define_balance(m: Any, c: Any, account_id: int, asset_id: int) -> int:
    """Return the slot of a balance, opened if it isn't there (for the venue's own accounts)."""
    return ledger.open_balance(m, account_id, asset_id)


@compiled
def refresh_collar(m: Any, c: Any, instrument_id: int) -> int:
    """Let an instrument's collar follow its limits and reference price; return the upper bound."""
    instrument_at = lay.instrument(instrument_id)
    matching.set_reference(m, instrument_at, load(m, instrument_at + lay.I_REFERENCE))
    return load(m, instrument_at + lay.I_COLLAR_HIGH)


@compiled
def rebuild(m: Any, c: Any) -> int:
    """Rebuild books and index from the primary tables; return the live orders found."""
    for slot in range(1, load(m, lay.HEADER + lay.H_BALANCES) + 1):
        index.add_balance(m, slot)
    ended = load(m, lay.HEADER + lay.H_CLOSED)
    for position in range(max(0, ended - schema.CLIENT_ID_WINDOW), ended):
        index.readd_closed(m, position, ended)
    for slot in range(1, load(m, lay.HEADER + lay.H_OBLIGATION_TOP) + 1):
        if load(m, lay.obligation(slot) + lay.OB_OWNER) > 0:
            obligations.chain(m, slot)
    for extra in range(1, load(m, lay.HEADER + lay.H_EXTRA_TOP) + 1):
        owner = load(m, lay.extra(extra) + lay.X_ORDER)
        if owner > 0:
            store_high(m, lay.order(owner) + lay.O_HASH, extra)
    found = 0
    for slot in range(1, load(m, lay.HEADER + lay.H_ORDER_TOP) + 1):
        at = lay.order(slot)
        store(m, at + lay.O_LEVEL, 0)
        if load(m, at + lay.O_ID) <= 0:
            continue
        found += 1
        if load(m, at + lay.O_CLIENT_LO) != 0 or load(m, at + lay.O_CLIENT_HI) != 0:
            index.add_order(m, slot)
        side = load(m, at + lay.O_TERMS) & 0xFF
        instrument_id = high(load(m, at + lay.O_OWNER))
        if not extras.is_special(m, at):
            _requeue(m, slot, lay.book(instrument_id, side), side, load(m, at + lay.O_PRICE))
            continue
        number = extras.place_of(m, extras.of(m, at)) - lay.P_BOOK
        if number >= 0:
            price = triggers.queue_price(m, at, number)
            _requeue(m, slot, lay.trigger_book(instrument_id, number), triggers.direction(number), price)
        elif extras.place_of(m, extras.of(m, at)) == lay.P_RESTING:
            _requeue(m, slot, lay.book(instrument_id, side), side, extras.resting_price(m, at))
        elif number == lay.P_WAITING - lay.P_BOOK:
            add(m, lay.S_LEVELS, 1)
    return found


@inlined
def _requeue(m: Any, slot: int, book_at: int, side: int, price: int) -> None:
    """Put an order back at its level of a book, as its links say."""
    at = lay.order(slot)
    level_slot = ladder.level_at(m, book_at, side, price)
    level_at = lay.level(level_slot)
    store_low(m, at + lay.O_LEVEL, level_slot)
    queue = load(m, level_at + lay.V_QUEUE)
    links = load(m, at + lay.O_QUEUE)
    first = slot if high(links) == 0 else low(queue)
    last = slot if low(links) == 0 else high(queue)
    store(m, level_at + lay.V_QUEUE, pair(first, last))


@compiled
def walk_book(m: Any, out: Any, instrument_id: int, side: int, position: int) -> int:
    """Write the slots of one side's orders to `out` from a position on, in price-time order.

    Return the next position.
    """
    level_slot = load(m, lay.book(instrument_id, side) + lay.L_BEST)
    while level_slot != 0:
        slot = low(load(m, lay.level(level_slot) + lay.V_QUEUE))
        while slot != 0:
            store(out, position, slot)
            position += 1
            slot = low(load(m, lay.order(slot) + lay.O_QUEUE))
        level_slot = ladder.next_level(m, level_slot, side)
    return position
