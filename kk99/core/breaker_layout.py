"""The words of a circuit breaker's record and of a market group's; the tables stand in `layout`."""

from __future__ import annotations

from typing import Final

from kk99 import schema

# A breaker: thresholds as they were defined, then what it measures ----------------------------------------------------
B_INSTRUMENT: Final = 0
B_MOVE_PPM: Final = 1
B_MOVE_SLOT_NS: Final = 2
B_SPREAD_PPM: Final = 3
B_SPREAD_NS: Final = 4
B_VOLUME_PPM: Final = 5
B_VOLUME_NS: Final = 6
B_STATIC_PPM: Final = 7
B_DYNAMIC_PPM: Final = 8
B_SILENCE_S: Final = 9
B_SILENCE_HALTS: Final = 10
B_OTHER: Final = 11  # instrument that it is correlated with
B_CORRELATION_MIN: Final = 12
B_SAMPLES: Final = 13
B_CORRELATION_NS: Final = 14
B_STRESS_NS: Final = 15
B_STRESS_STEP: Final = 16
B_GROUP: Final = 17
B_CANCEL_ONLY_NS: Final = 18
B_CALL_NS: Final = 19
B_EXTEND_NS: Final = 20
B_STEP: Final = 24  # of the recovery, 0: none
B_ENDS_IN: Final = 25  # state that it is to end in, and the purpose of a call (high)
B_STATIC: Final = 26  # static reference price
B_CENTRE: Final = 27  # of the dynamic band
B_LAST: Final = 28  # price that the window took in last, 0: none yet
B_SLOT: Final = 29  # number of its latest slot
B_LOW: Final = 30  # extremes of the window
B_HIGH: Final = 31
B_VOLUME_FIRST: Final = 32  # window in which it began to watch
B_VOLUME_AT: Final = 33  # latest window
B_VOLUME_ALERTED: Final = 34  # window in which it alerted last
B_BASE: Final = 35  # prices of the sample before: its own, the other's
B_SAMPLED: Final = 37  # samples since it began to watch
B_BROKEN: Final = 38  # 1: the correlation is below what it may be
B_STRESS: Final = 39  # told last
B_VOLUMES: Final = 40  # of the latest windows, a ring
VOLUMES: Final = 16
B_SLOTS: Final = 64  # lowest and highest price of each slot, a ring
B_RETURNS: Final = B_SLOTS + 2 * schema.MOVE_SLOTS  # samples, a ring: its own return, the other's (high)

# A market group -------------------------------------------------------------------------------------------------------
G_LEVELS: Final = 0  # three
G_HALT_NS: Final = 3
G_INDEX: Final = 4
G_CLOSE: Final = 5
G_DAY: Final = 6  # of the last fall, counted from 1970
G_REACHED: Final = 7  # highest level on that day
G_UNTIL_NS: Final = 8  # end of the last halt
G_PRICE: Final = 9  # what halted it: index, fall, level's threshold
G_FALL: Final = 10
G_THRESHOLD: Final = 11
G_VISIT: Final = 12  # breaker to visit next, 0: not in the list of those being halted
G_NEXT: Final = 13
G_ORIGIN: Final = 14
