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


def _line(words: int) -> int:
    """Round up to a whole number of 128-byte line pairs."""
    return -(-words // 16) * 16


# Header: the counts and heads of everything else (primary) ------------------------------------------------------------
HEADER: Final = 0
HEADER_WORDS: Final = 64
H_SEQ: Final = 0
H_TIME_NS: Final = 1
H_EVENT_INDEX: Final = 2  # of the next event under this cause
H_ASSETS: Final = 4
H_SCHEDULES: Final = 5
H_INSTRUMENTS: Final = 6
H_ACCOUNTS: Final = 7  # the next account id is this plus one
H_SESSIONS: Final = 8
H_BALANCES: Final = 9
H_ORDER_TOP: Final = 10  # highest slot ever used
H_ORDER_FREE: Final = 11  # free slots, linked through O_QUEUE
H_ORDERS: Final = 12  # live orders
H_TRADES: Final = 13
H_CLOSED: Final = 14  # client ids ended, ever
H_WORK_FIRST: Final = 15  # work items finished, ever
H_WORK_LAST: Final = 16  # work items queued, ever
H_WORK_CURSOR: Final = 17  # next order or slot of the item in front; -1: not begun
H_WORK_LIMIT: Final = 18  # last slot of the item in front

# Scratch (derived) ------------------------------------------------------------------------------------------------
SCRATCH: Final = HEADER + HEADER_WORDS
SCRATCH_WORDS: Final = 64
S_EVENTS: Final = SCRATCH + 0  # events in the buffer
S_LEVELS: Final = SCRATCH + 1  # price levels in all books
S_STOP: Final = SCRATCH + 2  # why apply returned
S_ORIGIN: Final = SCRATCH + 3
S_COMMAND_KIND: Final = SCRATCH + 4  # shifted into place
S_CLIENT_SEQ: Final = SCRATCH + 5
S_SESSION: Final = SCRATCH + 6  # id and epoch
S_BUDGET: Final = SCRATCH + 7  # what is left of a budget order's money
S_TAKER_PPM: Final = SCRATCH + 9  # of the aggressor
S_SALT: Final = SCRATCH + 8  # odd, this process's own: keys the index
S_LEVEL_TOP: Final = SCRATCH + 12
S_LEVEL_FREE: Final = SCRATCH + 13
S_NODE_TOP: Final = SCRATCH + 14
S_NODE_FREE: Final = SCRATCH + 15

X_ORDERS: Final = SCRATCH + 24  # the indexes that grow
X_BALANCES: Final = SCRATCH + 28
X_BUCKETS: Final = 0  # in use
X_MASK: Final = 1  # buckets at the start of this doubling, less one
X_ENTRIES: Final = 2

STOP_DONE: Final = 0
STOP_DOCUMENT: Final = 1
STOP_EVENTS: Final = 2
STOP_BROKEN: Final = 3

# Assets (primary) -----------------------------------------------------------------------------------------------------
ASSET_WORDS: Final = 8
ASSETS: Final = _line(SCRATCH + SCRATCH_WORDS)
A_DEPOSITS: Final = 0
A_WITHDRAWALS: Final = 1
A_TOTAL: Final = 2  # of all balances, kept by every posting
A_SCHEDULE: Final = 3
A_FEES_BALANCE: Final = 4
A_BURNED_BALANCE: Final = 5

# Fee schedules (primary): a word for burn, then two a tier ------------------------------------------------------------
SCHEDULE_WORDS: Final = 40
SCHEDULES: Final = _line(ASSETS + schema.ASSETS_MAX * ASSET_WORDS)
F_BURN_PPM: Final = 0
F_TIERS: Final = 2  # per tier: maker and taker, then deposit and withdrawal

# Instruments (primary) ------------------------------------------------------------------------------------------------
INSTRUMENT_WORDS: Final = 24
INSTRUMENTS: Final = _line(SCHEDULES + schema.SCHEDULES_MAX * SCHEDULE_WORDS)
I_STATE: Final = 0
I_BASE: Final = 1
I_QUOTE: Final = 2
I_TICK_LOT_UNITS: Final = 3
I_LOT_UNITS: Final = 4
I_TICK_STEP: Final = 5
I_LOT_STEP: Final = 6
I_MIN_QTY: Final = 7
I_MAX_QTY: Final = 8
I_MIN_NOTIONAL: Final = 9
I_MAX_NOTIONAL: Final = 10
I_MAX_PRICE: Final = 11
I_COLLAR_PPM: Final = 12
I_REFERENCE: Final = 13
I_SCHEDULE: Final = 14
I_COLLAR_LOW: Final = 15  # follows from reference and collar
I_COLLAR_HIGH: Final = 16

# Accounts (primary) ---------------------------------------------------------------------------------------------------
ACCOUNT_WORDS: Final = 4
ACCOUNTS: Final = _line(INSTRUMENTS + schema.INSTRUMENTS_MAX * INSTRUMENT_WORDS)
C_GROUP: Final = 0
C_STATE: Final = 1  # and tier (high)
C_LIST: Final = 2  # oldest and newest (high) live order
C_ORDERS: Final = 3

# Balances (primary) ---------------------------------------------------------------------------------------------------
BALANCE_WORDS: Final = 4
BALANCES: Final = _line(ACCOUNTS + schema.ACCOUNTS_MAX * ACCOUNT_WORDS)
B_AVAILABLE: Final = 0
B_HELD: Final = 1
B_OWNER: Final = 2  # account and asset (high)
B_CHAIN: Final = 3  # derived

# Sessions (primary) ---------------------------------------------------------------------------------------------------
SESSION_WORDS: Final = 8 + schema.SESSION_WINDOW
SESSIONS: Final = _line(BALANCES + schema.BALANCES_MAX * BALANCE_WORDS)
N_EPOCH: Final = 0
N_CLIENT_SEQ: Final = 1
N_WINDOW: Final = 8  # sequences of the latest client sequences

# Orders (primary) -----------------------------------------------------------------------------------------------------
ORDER_WORDS: Final = 16
ORDERS: Final = _line(SESSIONS + schema.SESSIONS_MAX * SESSION_WORDS)
O_ID: Final = 0  # negated when free
O_PRICE: Final = 1
O_LEAVES: Final = 2
O_QUEUE: Final = 3  # next and previous (high) at its price
O_OWNER: Final = 4  # account and instrument (high)
O_TERMS: Final = 5  # side, type, time in force, self-trade, flags: 8 bits each; session above
O_BALANCES: Final = 6  # balance that holds, balance that receives (high; 0: not looked up yet)
O_RATES: Final = 7  # maker rate and hold rate (high)
O_CLIENT_LO: Final = 8
O_CLIENT_HI: Final = 9
O_QTY: Final = 10
O_NOTIONAL: Final = 11  # of what is filled
O_ENTRY_SEQ: Final = 12
O_LEVEL: Final = 13  # derived; with the next order in its index bucket (high)
O_LIST: Final = 14  # next and previous (high) of its account, oldest first
O_HASH: Final = 15  # derived: of the client id

# Ended client ids (primary, a ring) -----------------------------------------------------------------------------------
CLOSED_WORDS: Final = 4
CLOSED: Final = _line(ORDERS + schema.ORDERS_MAX * ORDER_WORDS)
K_CLIENT_LO: Final = 0
K_CLIENT_HI: Final = 1
K_ACCOUNT: Final = 2
K_ORDER_ID: Final = 3

# Latest trades (primary, a ring) --------------------------------------------------------------------------------------
TRADE_WORDS: Final = 12
TRADES: Final = _line(CLOSED + schema.CLIENT_ID_WINDOW * CLOSED_WORDS)
T_ID: Final = 0
T_INSTRUMENT: Final = 1  # and taker's side (high)
T_ACCOUNTS: Final = 2  # taker and maker (high)
T_TAKER_ORDER: Final = 3
T_MAKER_ORDER: Final = 4
T_PRICE: Final = 5
T_QTY: Final = 6
T_RATES: Final = 7  # taker and maker (high)
T_BURN_PPM: Final = 8
T_BUSTED: Final = 9

# Pending work (primary, a ring) ---------------------------------------------------------------------------------------
WORK_WORDS: Final = 8
WORK: Final = _line(TRADES + schema.TRADE_WINDOW * TRADE_WORDS)
W_REASON: Final = 0
W_ACCOUNT: Final = 1
W_INSTRUMENT: Final = 2
W_SIDE: Final = 3
W_SESSION: Final = 4
W_ORIGIN: Final = 5
W_CANCELED: Final = 6

# Books (derived): two a instrument, bids at even, asks at odd ---------------------------------------------------------
LEAVES_KNOWN: Final = 32
BOOK_WORDS: Final = 8 + LEAVES_KNOWN
BOOKS: Final = _line(WORK + schema.WORK_QUEUE_MAX * WORK_WORDS)
L_BEST: Final = 0  # best level
L_BEST_PRICE: Final = 1
L_ROOT: Final = 2
L_SHIFT: Final = 3  # of the root
L_LEAVES: Final = 8  # leaves lately used, by the low bits of their prefix: leaf, prefix (high)

# Price levels (derived) -----------------------------------------------------------------------------------------------
LEVEL_WORDS: Final = 4
LEVELS: Final = _line(BOOKS + 2 * schema.INSTRUMENTS_MAX * BOOK_WORDS)
V_QUEUE: Final = 0  # first and last (high) order
V_PRICE: Final = 1
V_LEAF: Final = 2

# Nodes of the price tries (derived): 64 children each -----------------------------------------------------------------
NODE_WORDS: Final = 36
NODES: Final = _line(LEVELS + schema.ORDERS_MAX * LEVEL_WORDS)
NODE_DEPTH_MAX: Final = 6  # 36 bits of price
NODES_MAX: Final = NODE_DEPTH_MAX * (schema.LEVELS_MAX + 2)
D_BITS: Final = 0
D_PARENT: Final = 1  # and its place there (high)
D_PREFIX: Final = 2
D_CHILDREN: Final = 4  # halves

# The indexes (derived): heads of buckets (of balances: halves), and the window of ended client ids --------------------
ORDER_HEADS: Final = _line(NODES + NODES_MAX * NODE_WORDS)
BALANCE_HEADS: Final = ORDER_HEADS + 8 * schema.ORDERS_MAX
CLOSED_BUCKETS_COUNT: Final = schema.CLIENT_ID_WINDOW // 2
CLOSED_BUCKETS: Final = _line(BALANCE_HEADS + 2 * schema.BALANCES_MAX)
CLOSED_HASH_SHIFT: Final = 32
CLOSED_POSITION_MASK: Final = (1 << CLOSED_HASH_SHIFT) - 1

# The event buffer (derived) -------------------------------------------------------------------------------------------
EVENT_WORDS: Final = schema.ROW_WORDS
EVENTS: Final = CLOSED_BUCKETS + CLOSED_BUCKETS_COUNT * 8
EVENTS_MAX: Final = 32_768
EVENTS_PER_COMMAND_MAX: Final = (
    2 * schema.FILLS_PER_COMMAND_MAX
    + 2 * (schema.WORK_UNITS_PER_COMMAND // schema.WORK_UNITS_PER_ORDER + schema.WORK_QUEUE_MAX + 1)
    + 16
)

MEMORY_WORDS: Final = EVENTS + EVENTS_MAX * EVENT_WORDS


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
