"""Where everything lies in the core's one memory: tables of records of 8-byte words, at fixed places.

The memory is reserved at its largest and filled by the operating system as it is touched, so a table never moves and
growing costs nothing. Primary tables are the state: snapshots hold them and the state hash covers them. Derived tables
(books, indexes, scratch) and derived words are rebuilt from the primary ones on load; nothing that a command answers
may depend on how they are laid out. Slot 0 of a table is never used: 0 means none.
"""

from __future__ import annotations

from typing import Final

from kk99 import schema
from kk99.core.memory import CHECKED, inlined
from kk99.core.words import *  # noqa: F403 - all of them, given on: one name for one word


def _line(words: int) -> int:
    """Round up to a whole number of 128-byte line pairs."""
    return -(-words // 16) * 16


# Header: the counts and heads of everything else (primary) ------------------------------------------------------------
HEADER: Final = 0
HEADER_WORDS: Final = 64

# Scratch (derived) ------------------------------------------------------------------------------------------------
SCRATCH: Final = HEADER + HEADER_WORDS
SCRATCH_WORDS: Final = 80
S_EVENTS: Final = SCRATCH + 0  # events in the buffer
S_LEVELS: Final = SCRATCH + 1  # price levels in all books
S_STOP: Final = SCRATCH + 2  # why apply returned
S_ORIGIN: Final = SCRATCH + 3
S_COMMAND_KIND: Final = SCRATCH + 4  # shifted into place
S_CLIENT_SEQ: Final = SCRATCH + 5
S_SESSION: Final = SCRATCH + 6  # id and epoch
S_BUDGET: Final = SCRATCH + 7  # what is left of a budget order's money
S_SALT: Final = SCRATCH + 8  # odd, this process's own: keys the index
S_TRADED: Final = SCRATCH + 9  # lots that the last aggressor that met any traded
S_COPY: Final = SCRATCH + 10  # the copy under way, its number negated; 0: none
S_LEVEL_TOP: Final = SCRATCH + 12
S_LEVEL_FREE: Final = SCRATCH + 13
S_NODE_TOP: Final = SCRATCH + 14
S_NODE_FREE: Final = SCRATCH + 15
S_COPIES: Final = SCRATCH + 16  # copies begun, ever
S_COPY_FROM: Final = SCRATCH + 17  # first order that the cursor has yet to reach
S_COPY_END: Final = SCRATCH + 18
S_PATH_FIRST: Final = SCRATCH + 19  # price of the first trade since the last settling, 0: none
S_ROUND: Final = SCRATCH + 20  # 1: the command asks for a round of work at its end
S_TAKER: Final = SCRATCH + 21  # the aggressor while it matches, 0: none
S_MET: Final = SCRATCH + 22  # resting orders that the last aggressor met
S_BAND_STOP: Final = SCRATCH + 23  # side of an aggressor that its price band stopped, 4 times the price beyond; 0: none

S_LANES: Final = SCRATCH + 32  # of an auction: AUCTION_LANES orders, each with its level
AUCTION_LANES: Final = 16
S_COPY_EXTRA: Final = SCRATCH + 64  # first extra that the copy's cursor has yet to reach
S_COPY_EXTRA_END: Final = SCRATCH + 65
S_AUCTION_QTY: Final = SCRATCH + 66  # volume and surplus of the auction that was determined last
S_AUCTION_SURPLUS: Final = SCRATCH + 67

X_ORDERS: Final = SCRATCH + 24  # the indexes that grow
X_BALANCES: Final = SCRATCH + 28

STOP_DONE: Final = 0
STOP_DOCUMENT: Final = 1
STOP_EVENTS: Final = 2
STOP_BROKEN: Final = 3

# Assets (primary) -----------------------------------------------------------------------------------------------------
ASSET_WORDS: Final = 8
ASSETS: Final = _line(SCRATCH + SCRATCH_WORDS)

# Fee schedules (primary): a word for burn, then two a tier ------------------------------------------------------------
SCHEDULE_WORDS: Final = 40
SCHEDULES: Final = _line(ASSETS + schema.ASSETS_MAX * ASSET_WORDS)

# Instruments (primary) ------------------------------------------------------------------------------------------------
INSTRUMENT_WORDS: Final = 112
INSTRUMENTS: Final = _line(SCHEDULES + schema.SCHEDULES_MAX * SCHEDULE_WORDS)

TRIGGER_BOOKS: Final = 8  # LAST, BID, ASK, INDEX: down, then up
ENTERING: Final = 8  # the book of orders that wait to enter, first come first
NEVER_UP: Final = schema.PRICE_TICKS_MAX + 1
NEVER_DOWN: Final = -1
WATCHED: Final = 1 << 40  # steps of I_WATCH above the count of dormant orders

# Accounts (primary) ---------------------------------------------------------------------------------------------------
ACCOUNT_WORDS: Final = 4
ACCOUNTS: Final = _line(INSTRUMENTS + schema.INSTRUMENTS_MAX * INSTRUMENT_WORDS)

# Balances (primary) ---------------------------------------------------------------------------------------------------
BALANCE_WORDS: Final = 4
BALANCES: Final = _line(ACCOUNTS + schema.ACCOUNTS_MAX * ACCOUNT_WORDS)

# Sessions (primary) ---------------------------------------------------------------------------------------------------
SESSION_WORDS: Final = 8 + schema.SESSION_WINDOW
SESSIONS: Final = _line(BALANCES + schema.BALANCES_MAX * BALANCE_WORDS)

# Orders (primary) -----------------------------------------------------------------------------------------------------
ORDER_WORDS: Final = 16
ORDERS: Final = _line(SESSIONS + schema.SESSIONS_MAX * SESSION_WORDS)
SESSION_SHIFT: Final = 40
SESSION_MASK: Final = schema.SESSIONS_MAX - 1
SPECIAL: Final = 1 << 62  # in O_TERMS: the order has an extra

# Extras (primary): what special orders have beside their record -------------------------------------------------------
EXTRA_WORDS: Final = 16
EXTRAS: Final = _line(ORDERS + schema.ORDERS_MAX * ORDER_WORDS)
TRAIL_UNIT_SHIFT: Final = 56

# Ended client ids (primary, a ring) -----------------------------------------------------------------------------------
CLOSED_WORDS: Final = 4
CLOSED: Final = _line(EXTRAS + schema.ORDERS_MAX * EXTRA_WORDS)

# Latest trades (primary, a ring) --------------------------------------------------------------------------------------
TRADE_WORDS: Final = 12
TRADES: Final = _line(CLOSED + schema.CLIENT_ID_WINDOW * CLOSED_WORDS)

# Pending work (primary, a ring) ---------------------------------------------------------------------------------------
WORK_WORDS: Final = 8
WORK: Final = _line(TRADES + schema.TRADE_WINDOW * TRADE_WORDS)

# Timers (primary): records, and a binary heap of their slots ----------------------------------------------------------
TIMER_WORDS: Final = 4
TIMERS: Final = _line(WORK + schema.WORK_QUEUE_MAX * WORK_WORDS)
TIMER_HEAP: Final = _line(TIMERS + schema.TIMERS_MAX * TIMER_WORDS)

# Trading schedules (primary): a word of count, then the phases --------------------------------------------------------
TRADING_WORDS: Final = 64
TRADING: Final = _line(TIMER_HEAP + schema.TIMERS_MAX)

# Circuit breakers (primary), whose words stand in `breaker_layout`, as do those of the market groups ------------------
BREAKER_WORDS: Final = 256
BREAKERS: Final = _line(TRADING + schema.TRADING_SCHEDULES_MAX * TRADING_WORDS)

# Market groups (primary) ----------------------------------------------------------------------------------------------
GROUP_WORDS: Final = 16
GROUPS: Final = _line(BREAKERS + schema.INSTRUMENTS_MAX * BREAKER_WORDS)

# Scheduled orders (primary), and the slices of each -------------------------------------------------------------------
ALGO_WORDS: Final = 16
ALGOS: Final = _line(GROUPS + schema.MARKET_GROUPS_MAX * GROUP_WORDS)
SLICES_WORDS: Final = 2 * schema.SLICES_MAX
SLICES: Final = _line(ALGOS + (schema.ALGOS_MAX + 1) * ALGO_WORDS)

# Obligations (primary), and settlement calendars (primary): a count of dates, then the dates --------------------------
OBLIGATION_WORDS: Final = 8
OBLIGATIONS: Final = _line(SLICES + (schema.ALGOS_MAX + 1) * SLICES_WORDS)
CALENDAR_WORDS: Final = schema.CALENDAR_DATES_MAX + 16
CALENDARS: Final = _line(OBLIGATIONS + schema.OBLIGATIONS_MAX * OBLIGATION_WORDS)

# Books (derived): two a instrument, bids at even, asks at odd ---------------------------------------------------------
LEAVES_KNOWN: Final = 32
BOOK_WORDS: Final = 8 + LEAVES_KNOWN
BOOKS: Final = _line(CALENDARS + schema.CALENDARS_MAX * CALENDAR_WORDS)

# Trigger books (derived): of each instrument TRIGGER_BOOKS and the entering queue -------------------------------------
TRIGGERS: Final = _line(BOOKS + 2 * schema.INSTRUMENTS_MAX * BOOK_WORDS)

# Price levels (derived) -----------------------------------------------------------------------------------------------
LEVEL_WORDS: Final = 4
LEVELS: Final = _line(TRIGGERS + 9 * schema.INSTRUMENTS_MAX * BOOK_WORDS)

# Nodes of the price tries (derived): 64 children each -----------------------------------------------------------------
NODE_WORDS: Final = 36
NODES: Final = _line(LEVELS + schema.ORDERS_MAX * LEVEL_WORDS)
NODE_DEPTH_MAX: Final = 6  # 36 bits of price
NODES_MAX: Final = NODE_DEPTH_MAX * (schema.LEVELS_MAX + 2)

# The indexes (derived): heads of buckets (of balances: halves), and the window of ended client ids --------------------
ORDER_HEADS: Final = _line(NODES + NODES_MAX * NODE_WORDS)
BALANCE_HEADS: Final = ORDER_HEADS + 8 * schema.ORDERS_MAX
CLOSED_BUCKETS_COUNT: Final = schema.CLIENT_ID_WINDOW // 2
OBLIGATION_HEADS: Final = _line(BALANCE_HEADS + 2 * schema.BALANCES_MAX)
CLOSED_BUCKETS: Final = _line(OBLIGATION_HEADS + schema.OBLIGATIONS_MAX)
CLOSED_HASH_SHIFT: Final = 32
CLOSED_POSITION_MASK: Final = (1 << CLOSED_HASH_SHIFT) - 1

# The event buffer (derived) -------------------------------------------------------------------------------------------
EVENT_WORDS: Final = schema.ROW_WORDS
EVENTS: Final = CLOSED_BUCKETS + CLOSED_BUCKETS_COUNT * 8
EVENTS_MAX: Final = 65_536
EVENTS_PER_COMMAND_MAX: Final = (
    6 * schema.FILLS_PER_COMMAND_MAX  # of the command, and of the last order of each of two rounds of work
    + 12 * (schema.WORK_UNITS_PER_COMMAND // schema.WORK_UNITS_PER_ORDER + 2)
    + 2 * schema.WORK_QUEUE_MAX
    + 64
)

# The schedule that is to be judged (derived): start, end, cap, count, slices ------------------------------------------
STAGED: Final = _line(EVENTS + EVENTS_MAX * EVENT_WORDS)
STAGED_WORDS: Final = 4 + SLICES_WORDS

# Icebergs that a walk ahead has yet to meet again (derived): what is left of each, and what it shows ------------------
WALKED: Final = _line(STAGED + STAGED_WORDS)

# The copies of the orders and extras for a snapshot (derived), and which extras were copied ahead ---------------------
COPIED_ORDERS: Final = _line(WALKED + 2 * schema.FILLS_PER_COMMAND_MAX)
COPIED_EXTRAS: Final = _line(COPIED_ORDERS + schema.ORDERS_MAX * ORDER_WORDS)
EXTRA_MARKS: Final = _line(COPIED_EXTRAS + schema.ORDERS_MAX * EXTRA_WORDS)

MEMORY_WORDS: Final = EXTRA_MARKS + schema.ORDERS_MAX


@inlined
def asset(asset_id: int) -> int:
    """Return the place of an asset's record."""
    if CHECKED:
        assert 0 < asset_id < schema.ASSETS_MAX
    return ASSETS + asset_id * ASSET_WORDS


@inlined
def schedule(number: int) -> int:
    """Return the place of a fee schedule's record; number 0 is the schedule without fees."""
    if CHECKED:
        assert 0 <= number < schema.SCHEDULES_MAX
    return SCHEDULES + number * SCHEDULE_WORDS


@inlined
def instrument(instrument_id: int) -> int:
    """Return the place of an instrument's record."""
    if CHECKED:
        assert 0 < instrument_id < schema.INSTRUMENTS_MAX
    return INSTRUMENTS + instrument_id * INSTRUMENT_WORDS


@inlined
def account(account_id: int) -> int:
    """Return the place of an account's record."""
    if CHECKED:
        assert 0 < account_id < schema.ACCOUNTS_MAX
    return ACCOUNTS + account_id * ACCOUNT_WORDS


@inlined
def balance(slot: int) -> int:
    """Return the place of a balance's record."""
    if CHECKED:
        assert 0 < slot < schema.BALANCES_MAX
    return BALANCES + slot * BALANCE_WORDS


@inlined
def session(session_id: int) -> int:
    """Return the place of a session's record."""
    if CHECKED:
        assert 0 < session_id < schema.SESSIONS_MAX
    return SESSIONS + session_id * SESSION_WORDS


@inlined
def order(slot: int) -> int:
    """Return the place of an order's record."""
    if CHECKED:
        assert 0 < slot < schema.ORDERS_MAX
    return ORDERS + slot * ORDER_WORDS


@inlined
def closed(position: int) -> int:
    """Return the place of an ended client id's record; the position counts all that ever ended, from 0."""
    return CLOSED + (position & (schema.CLIENT_ID_WINDOW - 1)) * CLOSED_WORDS


@inlined
def trade(trade_id: int) -> int:
    """Return the place of a trade's record."""
    return TRADES + (trade_id & (schema.TRADE_WINDOW - 1)) * TRADE_WORDS


@inlined
def work(position: int) -> int:
    """Return the place of a work item's record; the position counts all ever queued."""
    return WORK + (position & (schema.WORK_QUEUE_MAX - 1)) * WORK_WORDS


@inlined
def book(instrument_id: int, side: int) -> int:
    """Return the place of one side of an instrument's book."""
    if CHECKED:
        assert 0 < instrument_id < schema.INSTRUMENTS_MAX
        assert 1 <= side <= 2
    return BOOKS + (instrument_id * 2 + side - 1) * BOOK_WORDS


@inlined
def extra(slot: int) -> int:
    """Return the place of a special order's extra."""
    if CHECKED:
        assert 0 < slot < schema.ORDERS_MAX
    return EXTRAS + slot * EXTRA_WORDS


@inlined
def timer(slot: int) -> int:
    """Return the place of a timer's record."""
    if CHECKED:
        assert 0 < slot < schema.TIMERS_MAX
    return TIMERS + slot * TIMER_WORDS


@inlined
def trading(number: int) -> int:
    """Return the place of a trading schedule's record."""
    if CHECKED:
        assert 0 < number < schema.TRADING_SCHEDULES_MAX
    return TRADING + number * TRADING_WORDS


@inlined
def breaker(number: int) -> int:
    """Return the place of a circuit breaker's record."""
    if CHECKED:
        assert 0 < number < schema.INSTRUMENTS_MAX
    return BREAKERS + number * BREAKER_WORDS


@inlined
def group(number: int) -> int:
    """Return the place of a market group's record."""
    if CHECKED:
        assert 0 < number < schema.MARKET_GROUPS_MAX
    return GROUPS + number * GROUP_WORDS


@inlined
def algo(number: int) -> int:
    """Return the place of a scheduled order's record."""
    if CHECKED:
        assert 0 < number <= schema.ALGOS_MAX
    return ALGOS + number * ALGO_WORDS


@inlined
def slices(number: int) -> int:
    """Return the place of a scheduled order's slices."""
    if CHECKED:
        assert 0 < number <= schema.ALGOS_MAX
    return SLICES + number * SLICES_WORDS


@inlined
def obligation(slot: int) -> int:
    """Return the place of an obligation's record."""
    if CHECKED:
        assert 0 < slot < schema.OBLIGATIONS_MAX
    return OBLIGATIONS + slot * OBLIGATION_WORDS


@inlined
def calendar(number: int) -> int:
    """Return the place of a settlement calendar's record."""
    if CHECKED:
        assert 0 < number < schema.CALENDARS_MAX
    return CALENDARS + number * CALENDAR_WORDS


@inlined
def trigger_book(instrument_id: int, number: int) -> int:
    """Return the place of one of an instrument's trigger books, or of its entering queue."""
    if CHECKED:
        assert 0 < instrument_id < schema.INSTRUMENTS_MAX
        assert 0 <= number <= ENTERING
    return TRIGGERS + (instrument_id * 9 + number) * BOOK_WORDS


@inlined
def level(slot: int) -> int:
    """Return the place of a price level's record."""
    if CHECKED:
        assert 0 < slot < schema.ORDERS_MAX
    return LEVELS + slot * LEVEL_WORDS


@inlined
def node(slot: int) -> int:
    """Return the place of a trie node's record."""
    if CHECKED:
        assert 0 < slot < NODES_MAX
    return NODES + slot * NODE_WORDS
