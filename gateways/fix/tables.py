"""The tables that decoding fills: one row for every span of bytes, message and field, as plain int arrays.

`spans` int64[n, SPAN_WORDS] says where the bytes of each connection lie in the one receive buffer and, after `decode`,
what was in them; `messages` int64[m, MESSAGE_WORDS] is a row per message; `fields` int32[f, 4] is (tag, offset of the
value, length of the value, decimal places) and `values` int64[f] the value as a number where it is one: an integer, a
decimal without its point, nanoseconds, days, the character of a char, 1 and 0 for Y and N. Offsets count from the
receive buffer's beginning. A message's fields are those from 35 up to, not including, 10.
"""

from __future__ import annotations

import enum
from typing import Final

# A span: what the caller sets -----------------------------------------------------------------------------------------
S_START: Final = 0
S_END: Final = 1
S_PEER: Final = 2
"""Row of `peers` with the names this connection must use."""
S_NEXT_IN: Final = 3
"""The number its next message must have to be plain; 0: none is (not logged on, a gap is open)."""
# and what decoding answers
S_DONE: Final = 4
"""Bytes before this one are done with; those from it on are an incomplete message, or did not fit the tables."""
S_FIRST: Final = 5
"""Row of its first message."""
S_COUNT: Final = 6
"""Its messages."""
S_PLAIN: Final = 7
"""How many of the first of them are plain: see `gateways.fix.check.is_plain`."""
SPAN_WORDS: Final = 8

# A message ------------------------------------------------------------------------------------------------------------
M_STATUS: Final = 0
M_BEGIN: Final = 1
M_END: Final = 2
M_FIRST: Final = 3
"""Row of its first field."""
M_COUNT: Final = 4
M_TYPE: Final = 5
"""Its MsgType: the first character, and the second times 256."""
M_KIND: Final = 6
"""Row of its type in the dictionary; UNSUPPORTED or INVALID when it has none."""
M_REASON: Final = 7
"""SessionRejectReason (373), or VALID."""
M_REF_TAG: Final = 8
"""RefTagID (371) of the reason; 0: none."""
M_SEQ: Final = 9
"""MsgSeqNum (34), or -1."""
M_FLAGS: Final = 10
M_SENDING_NS: Final = 11
"""SendingTime (52), or -1."""
M_ORIG_SENDING_NS: Final = 12
"""OrigSendingTime (122), or -1."""
MESSAGE_WORDS: Final = 16

POSS_DUP: Final = 1
POSS_RESEND: Final = 2
NAMES_RIGHT: Final = 4
"""SenderCompID and TargetCompID are those of the peer."""

UNSUPPORTED: Final = -1
"""A message type of FIX 4.4 that this venue does not speak."""
INVALID: Final = -2
"""No message type of FIX 4.4."""
VALID: Final = -1

# A field --------------------------------------------------------------------------------------------------------------
F_TAG: Final = 0
F_OFFSET: Final = 1
F_LENGTH: Final = 2
F_PLACES: Final = 3
FIELD_WORDS: Final = 4

TAG_INVALID: Final = -1
"""What stands before the equals sign is no tag number."""
TAG_MISSING: Final = -2
"""There is no equals sign: the value before had a SOH in it."""

# Limits given to decoding, int64[LIMIT_WORDS] -------------------------------------------------------------------------
L_MESSAGE_BYTES: Final = 0
L_NOW_NS: Final = 1
L_ACCURACY_NS: Final = 2
LIMIT_WORDS: Final = 4

NAME_BYTES_MAX: Final = 32
PEER_BYTES: Final = 2 * NAME_BYTES_MAX + 8
"""A row of `peers`: length of SenderCompID, of TargetCompID, six bytes free, then the two names."""


class Status(enum.IntEnum):
    """What became of a message; from JUNK on its bytes are skipped, as FIX demands, and its row has no fields."""

    OK = 0
    BAD_BEGIN_STRING = 1
    """Whole, but of another version of FIX."""
    JUNK = 2
    """Bytes that are no beginning of a message."""
    GARBLED_LENGTH = 3
    """BodyLength is missing, is not a number, or leads to no CheckSum field."""
    GARBLED_CHECKSUM = 4
    GARBLED_ORDER = 5
    """The third field is not MsgType."""
    GARBLED_SIZE = 6
    """Longer than this connection may send."""


class Reason(enum.IntEnum):
    """SessionRejectReason, tag 373."""

    TAG_INVALID = 0
    REQUIRED_MISSING = 1
    TAG_NOT_FOR_MESSAGE = 2
    TAG_UNDEFINED = 3
    VALUE_MISSING = 4
    VALUE_INCORRECT = 5
    FORMAT_INCORRECT = 6
    DECRYPTION = 7
    SIGNATURE = 8
    COMP_ID = 9
    SENDING_TIME = 10
    MSG_TYPE_INVALID = 11
    XML_VALIDATION = 12
    TAG_REPEATED = 13
    TAG_ORDER = 14
    GROUP_ORDER = 15
    GROUP_COUNT = 16
    SOH_IN_VALUE = 17
    OTHER = 99
