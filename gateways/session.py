"""The client's side of a session: numbers, the window of frames under way, going back N. No sockets, no clock.

Invariants:
- a frame is kept until the engine says that it is durable, so whatever happens it can be sent again;
- frames leave in the order of their numbers; after a refusal all from the refused number on leave again, in order;
- an answer to a frame that was sent before the last going back is out of date and changes nothing.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from kk99 import batch, schema
from kk99.errors import ClientError

_CLIENT_SEQ: Final = schema.word_of(schema.COMMAND, "client_seq")
_SESSION: Final = schema.word_of(schema.COMMAND, "session_id")
_EPOCH_SHIFT: Final = schema.shift_of(schema.COMMAND, "session_epoch")
_SEQ_SESSION: Final = struct.Struct("<qq")
assert _SESSION == _CLIENT_SEQ + 1
_COUNTING: Final = np.arange(schema.BATCH_ROWS_MAX, dtype=np.int64)


@dataclass(slots=True)
class Outgoing:
    """An encoded frame with the client sequences it holds."""

    first: int
    last: int
    data: bytearray

    def after(self, client_seq: int) -> Outgoing:
        """Return what of it is above a client sequence."""
        passed = client_seq + 1 - self.first
        if passed <= 0:
            return self
        commands = batch.decode_commands(memoryview(self.data))
        rows, cold = commands.rows, commands.cold
        if len(cold):
            cold = cold[np.count_nonzero(rows["flags"][:passed] & schema.Flag.HAS_COLD) :]
        rest = batch.Commands(rows[passed:], cold, commands.tail)
        return Outgoing(client_seq + 1, self.last, bytearray().join(rest.pieces()))


class ClientSession:
    """Numbers commands, and says what to send next; `rows_max` rows may be under way."""

    def __init__(self, rows_max: int) -> None:
        self.session_id = 0
        self.epoch = 0
        self.durable_client_seq = 0
        self.times_back = 0
        """How often it went back."""
        self._rows_max = rows_max
        self._next_client_seq = 1
        self._kept: deque[Outgoing] = deque()
        self._kept_rows = 0
        self._unsent_from = 0
        """Index in `_kept` of the first frame to send."""
        self._probe_client_seq = 0
        """After a refusal one frame goes alone until this number, the first of it, is durable; 0 when all may go."""
        self._frame_no = 0
        self._valid_frame_no = 1
        """Frames below this were sent before the last going back."""

    @property
    def next_client_seq(self) -> int:
        """The number that the next command will get."""
        return self._next_client_seq

    @property
    def rows_kept(self) -> int:
        """Rows submitted that are not known to be durable."""
        return self._kept_rows

    @property
    def has_unsent(self) -> bool:
        """Whether a frame may be sent now."""
        return self._unsent_from < len(self._kept) and not (self._probe_client_seq and self._unsent_from > 0)

    @property
    def is_waiting(self) -> bool:
        """Whether a frame was sent whose durability is not known."""
        return self._unsent_from > 0

    def has_room(self, row_count: int) -> bool:
        """Whether so many rows may be submitted now; one frame always may when nothing is under way."""
        return not self._kept or self._kept_rows + row_count <= self._rows_max

    def begin(self, session_id: int, epoch: int, last_client_seq: int) -> None:
        """Take up a WELCOME: what the venue took is done with, the rest is to be sent again.

        Raises `ClientError` if the epoch or the number contradicts what is under way.
        """
        if (session_id, epoch) == (self.session_id, self.epoch):
            if not self.durable_client_seq <= last_client_seq < self._next_client_seq:
                raise ClientError(
                    f"the venue has taken client sequence {last_client_seq}; here {self.durable_client_seq} "
                    f"was durable and {self._next_client_seq - 1} submitted"
                )
        elif self._kept:
            raise ClientError(
                f"the venue is in epoch {epoch} of session {session_id}; commands of epoch {self.epoch} are under way"
            )
        self.session_id, self.epoch = session_id, epoch
        self.durable_client_seq = last_client_seq
        self._drop(last_client_seq)
        if self._kept:
            self._kept[0] = self._kept[0].after(last_client_seq)
        else:
            self._next_client_seq = last_client_seq + 1
        self._kept_rows = sum(frame.last - frame.first + 1 for frame in self._kept)
        self._probe_client_seq = 0
        self._unsent_from = 0
        self._valid_frame_no = self._frame_no + 1

    def number(self, commands: batch.Commands) -> tuple[int, int]:
        """Give commands their session, epoch and numbers, and keep a copy to be sent; the first and the last number."""
        count = len(commands.rows)
        if not 1 <= count <= schema.BATCH_ROWS_MAX:
            raise ClientError(f"{count} rows where 1 to {schema.BATCH_ROWS_MAX} may be submitted at a time")
        if len(commands.tail) > batch.TAIL_BYTES_MAX:
            raise ClientError(f"a tail of {len(commands.tail)} bytes where {batch.TAIL_BYTES_MAX} are allowed")
        first = self._next_client_seq
        data = bytearray().join(commands.pieces())
        session = self.session_id | self.epoch << _EPOCH_SHIFT
        if count == 1:  # a lone order, without numpy's machinery
            _SEQ_SESSION.pack_into(data, batch.HEADER_SIZE + 8 * _CLIENT_SEQ, first, session)
        else:
            words = np.frombuffer(data, np.int64, count * schema.ROW_WORDS, batch.HEADER_SIZE)
            words = words.reshape(count, schema.ROW_WORDS)
            words[:, _SESSION] = session
            np.add(_COUNTING[:count], first, out=words[:, _CLIENT_SEQ])
        self._next_client_seq = first + count
        self._kept.append(Outgoing(first, first + count - 1, data))
        self._kept_rows += count
        return first, first + count - 1

    def next_frame(self) -> tuple[int, bytearray]:
        """Return the frame to send now, with its frame number."""
        return self._frame_no + 1, self._kept[self._unsent_from].data

    def sent(self) -> None:
        """Note that what `next_frame` gave is on its way."""
        self._frame_no += 1
        self._unsent_from += 1

    def acknowledged(self, client_seq: int) -> None:
        """Forget what is durable."""
        if client_seq > self.durable_client_seq:
            self.durable_client_seq = client_seq
            if client_seq >= self._probe_client_seq:
                self._probe_client_seq = 0
            self._drop(client_seq)

    def refused(self, client_seq: int, frame_no: int) -> bool:
        """Go back to a number after BUSY; False when the answer is out of date."""
        if self.is_stale(frame_no):
            return False
        self._go_back(client_seq)
        self._probe_client_seq = client_seq
        return True

    @property
    def frame_no(self) -> int:
        """Number of the last frame sent."""
        return self._frame_no

    def is_stale(self, frame_no: int) -> bool:
        """Whether a frame was sent before the last going back."""
        return frame_no < self._valid_frame_no

    def expected(self, client_seq: int, frame_no: int) -> bool:
        """Compare with the number the engine expected after a frame, the last one sent; whether it went back."""
        if self.is_stale(frame_no) or frame_no != self._frame_no or not self._unsent_from:
            return False
        if client_seq > self._kept[self._unsent_from - 1].last:
            return False
        self._go_back(client_seq)
        return True

    def _go_back(self, client_seq: int) -> None:
        self.times_back += 1
        self._valid_frame_no = self._frame_no + 1
        self._unsent_from = 0
        while self._unsent_from < len(self._kept) and self._kept[self._unsent_from].last < client_seq:
            self._unsent_from += 1

    def _drop(self, client_seq: int) -> None:
        while self._kept and self._kept[0].last <= client_seq:
            frame = self._kept.popleft()
            self._kept_rows -= frame.last - frame.first + 1
            self._unsent_from = max(self._unsent_from - 1, 0)
