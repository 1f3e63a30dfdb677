"""The words of each record in the core's memory: where in it each of its values stands.

`kk99.core.layout`, which says where the records themselves lie, gives them on; the rest of the core reads them there.
"""

from __future__ import annotations

from typing import Final

# Header: the counts and heads of everything else (primary) ------------------------------------------------------------
H_SEQ: Final = 0
H_TIME_NS: Final = 1
H_EVENT_INDEX: Final = 2  # of the next event under this cause
H_NEXT_TIMER_NS: Final = 3  # when the first timer is due, 0: none
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
H_EXTRA_TOP: Final = 19
H_EXTRA_FREE: Final = 20  # free extras, linked through X_ORDER
H_BUSY: Final = 21  # first and last (high) busy instrument
H_HALTING: Final = 22  # first and last (high) market group whose instruments are being halted
H_TIMER_TOP: Final = 23
H_TIMER_FREE: Final = 24  # free timers, linked through M_PLACE
H_TRADING_SCHEDULES: Final = 25
H_TIMERS: Final = 26  # timers set
H_BREAKERS: Final = 27
H_MARKET_GROUPS: Final = 28
H_ALGO_TOP: Final = 29
H_ALGO_FREE: Final = 30  # free records of scheduled orders, linked through Q_ORDER
H_ALGOS: Final = 31  # live scheduled orders
H_OBLIGATION_TOP: Final = 32
H_OBLIGATION_FREE: Final = 33  # free obligations, linked through OB_OWNER, negated
H_OBLIGATIONS: Final = 34  # open ones
H_CALENDARS: Final = 35

# Scratch (derived) ------------------------------------------------------------------------------------------------
X_BUCKETS: Final = 0  # in use
X_MASK: Final = 1  # buckets at the start of this doubling, less one
X_ENTRIES: Final = 2

# Assets (primary) -----------------------------------------------------------------------------------------------------
A_DEPOSITS: Final = 0
A_WITHDRAWALS: Final = 1
A_TOTAL: Final = 2  # of all balances, kept by every posting
A_SCHEDULE: Final = 3
A_FEES_BALANCE: Final = 4
A_BURNED_BALANCE: Final = 5
A_CLEARING_BALANCE: Final = 6

# Fee schedules (primary): a word for burn, then two a tier ------------------------------------------------------------
F_BURN_PPM: Final = 0
F_TIERS: Final = 2  # per tier: maker and taker, then deposit and withdrawal

# Instruments (primary) ------------------------------------------------------------------------------------------------
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
I_WATCH: Final = 17  # dormant orders; above WATCHED, what else wants to see every change of the book
I_LAST: Final = 18  # price of the last trade
I_BAND_LOW: Final = 19  # prices at which it may trade while OPEN
I_BAND_HIGH: Final = 20
I_VOLUME: Final = 21  # lots that it traded, ever, modulo AMOUNT_MAX
I_BUSY_ORIGIN: Final = 22
I_IN_REACH: Final = 23  # 1: the reach holds
I_TRIGGERS: Final = 24  # of each trigger book the price nearest to passing
I_REACH: Final = 32  # of each trigger book the farthest that its source went
I_TRAILING: Final = 40  # first order of each trailing list: sells, then buys of each source
I_TRAIL_WALK: Final = 48  # order at which an interrupted walk goes on, and its list plus one (high)
I_TIMED: Final = 49  # first and last (high) DAY, AT_OPEN, AT_CLOSE order
I_EXPIRING: Final = 52  # last DAY, AT_OPEN, AT_CLOSE order that is to expire, with all before it
I_WAITING: Final = 55  # first AT_CLOSE order that waits for its call
I_CALL: Final = 56  # purpose of the call
I_WANTED: Final = 57  # state after the uncross, and the purpose of a call (high)
I_AUCTION_PRICE: Final = 58  # at which it uncrosses
I_INDICATIVE: Final = 59  # price, quantity and surplus told last
I_TRADING: Final = 62  # trading schedule
I_TIMERS: Final = 63  # timer slots by kind (1 to 9), 0: none
I_TRAILS: Final = 80  # orders in its trailing lists
I_HAS_TARGETS: Final = 81
I_TARGETS: Final = 82  # of each trailing list how far it is to follow
I_ENTERING: Final = 90  # orders in the entering queue
I_INDEX: Final = 91
I_BUSY: Final = 92  # 1: in the list of busy instruments
I_BREAKER: Final = 93  # its circuit breaker
I_BUSY_NEXT: Final = 94
I_SETTLEMENT: Final = 96  # days from trade to value date, and settlement calendar (high); 0: trades settle at once
I_TRADE_DATE: Final = 97  # the day, plus one, for which the value date below was found; 0: none
I_VALUE_DATE: Final = 98

# Accounts (primary) ---------------------------------------------------------------------------------------------------
C_GROUP: Final = 0
C_STATE: Final = 1  # and tier (high)
C_LIST: Final = 2  # oldest and newest (high) live order
C_ORDERS: Final = 3

# Balances (primary) ---------------------------------------------------------------------------------------------------
B_AVAILABLE: Final = 0
B_HELD: Final = 1
B_OWNER: Final = 2  # account and asset (high)
B_CHAIN: Final = 3  # derived

# Sessions (primary) ---------------------------------------------------------------------------------------------------
N_EPOCH: Final = 0
N_CLIENT_SEQ: Final = 1
N_WINDOW: Final = 8  # sequences of the latest client sequences

# Orders (primary) -----------------------------------------------------------------------------------------------------
O_ID: Final = 0  # negated when free
O_PRICE: Final = 1
O_LEAVES: Final = 2
O_QUEUE: Final = 3  # next and previous (high) at its price
O_OWNER: Final = 4  # account and instrument (high)
O_TERMS: Final = 5  # side, type, time in force, self-trade, flags: 8 bits each; session (14 bits), SPECIAL above
O_BALANCES: Final = 6  # balance that holds, balance that receives (high; 0: not looked up yet)
O_RATES: Final = 7  # maker rate and taker rate (high)
O_CLIENT_LO: Final = 8
O_CLIENT_HI: Final = 9
O_QTY: Final = 10
O_NOTIONAL: Final = 11  # of what is filled
O_ENTRY_SEQ: Final = 12
O_LEVEL: Final = 13  # derived; with the next order in its index bucket (high)
O_LIST: Final = 14  # next and previous (high) of its account, oldest first
O_HASH: Final = 15  # derived: of the client id; the order's extra (high)

# Extras (primary): what special orders have beside their record -------------------------------------------------------
X_ORDER: Final = 0  # its order's slot; negative when free: the next free one
X_PLACE: Final = 1  # where it waits: P_RESTING, P_WAITING, P_SCHEDULED, or its trigger book; and the timed list (high)
X_SOURCE: Final = 2  # trigger source; type once triggered (high)
X_TRIGGER: Final = 3
X_LIMIT: Final = 4  # once triggered, 0: market; of a trailing order the offset; of a bracket its stop's
X_HOLD_PRICE: Final = 5
X_SHOWN: Final = 6  # of an iceberg
X_TRAIL: Final = 6  # of a trailing order, its unit above
X_DISPLAY: Final = 7
X_EXTREME: Final = 7  # of a trailing order: the price that it follows
X_REFILL: Final = 8
X_TRAIL_LINKS: Final = 8  # next and previous (high) order of its trailing list
X_EXPIRE_NS: Final = 9
X_TIMER: Final = 10
X_TIMED_LINKS: Final = 11  # next and previous (high) order of its timed list
X_LINKED: Final = 12  # id of the other leg
X_TAKE_PROFIT: Final = 13  # of a bracket
X_PARENT: Final = 13  # id, of its exits
X_EXIT: Final = 14  # id of a bracket's take-profit leg
X_ALGO: Final = 14  # record of a scheduled order
X_EXIT_STOP: Final = 15
P_RESTING: Final = 0
P_WAITING: Final = 1  # for the closing call
P_SCHEDULED: Final = 2  # nowhere, to be released
P_BOOK: Final = 3  # plus the number of a trigger book

# Scheduled orders (primary), whose slices are pairs of words: the offset since the start, the quantity ----------------
Q_ORDER: Final = 0  # its order's slot; negative when free: the next free one
Q_START_NS: Final = 1
Q_PPM: Final = 2  # cap of its participation, 0: none
Q_TIMER: Final = 3  # of its next release
Q_COUNT: Final = 4  # slices
Q_NEXT: Final = 5  # first slice that was not due yet
Q_DUE: Final = 6  # lots of those before
Q_VOLUME: Final = 7  # of the instrument at its first release
Q_BEGUN: Final = 8  # 1: that is noted
Q_SUSPENDED: Final = 9

# Ended client ids (primary, a ring) -----------------------------------------------------------------------------------
K_CLIENT_LO: Final = 0
K_CLIENT_HI: Final = 1
K_ACCOUNT: Final = 2
K_ORDER_ID: Final = 3

# Latest trades (primary, a ring) --------------------------------------------------------------------------------------
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
T_VALUE_DATE: Final = 10  # 0: it settled at once

# Pending work (primary, a ring) ---------------------------------------------------------------------------------------
W_REASON: Final = 0
W_ACCOUNT: Final = 1
W_INSTRUMENT: Final = 2
W_SIDE: Final = 3
W_SESSION: Final = 4
W_ORIGIN: Final = 5
W_CANCELED: Final = 6

# Obligations (primary): what is owed by trades that settle later ------------------------------------------------------
OB_OWNER: Final = 0  # account and asset (high); of a free one the next free one, negated
OB_DATE: Final = 1
OB_UNITS: Final = 2
OB_STATE: Final = 3
OB_CHAIN: Final = 4  # derived

# Timers (primary): records, and a binary heap of their slots ----------------------------------------------------------
M_DUE_NS: Final = 0
M_OWNER: Final = 1  # order slot or instrument
M_KIND: Final = 2
M_PLACE: Final = 3  # in the heap; when free the next free one

# Books (derived): two a instrument, bids at even, asks at odd ---------------------------------------------------------
L_BEST: Final = 0  # best level
L_BEST_PRICE: Final = 1
L_ROOT: Final = 2
L_SHIFT: Final = 3  # of the root
L_LEAVES: Final = 8  # leaves lately used, by the low bits of their prefix: leaf, prefix (high)

# Price levels (derived) -----------------------------------------------------------------------------------------------
V_QUEUE: Final = 0  # first and last (high) order
V_PRICE: Final = 1
V_LEAF: Final = 2
V_SUM: Final = 3  # of an auction under way: twice the open quantity, 1 more with a limit order

# Nodes of the price tries (derived): 64 children each -----------------------------------------------------------------
D_BITS: Final = 0
D_PARENT: Final = 1  # and its place there (high)
D_PREFIX: Final = 2
D_CHILDREN: Final = 4  # halves
