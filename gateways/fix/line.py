"""One configured FIX session, with or without a connection: its engine session, its numbers, the reports it is owed.

    offline ── bind (an engine client, the epoch's index) ──▶ bound ── unbind ──▶ offline

Invariants: inbound numbers are the engine session's client sequences; outbound numbers come from the index, which
has each before its message leaves; reports are sent in the order of their events, each once, whoever is connected when;
what is kept of them in memory is bounded, the rest is made again from the events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gateways.fix import report_write as rw
from gateways.fix.codec import Header, encode, encode_body
from gateways.fix.compiled import PAD
from gateways.fix.index import ADMIN, Place
from gateways.fix.owed import NOWHERE, Owed
from gateways.fix.parcels import Parcel, parcel_of
from gateways.fix.reasons import Refusal
from gateways.fix.send_many import HEAD_BYTES_MAX, ROW_BYTES, names_of, send_many
from gateways.fix.throttle import Throttle
from gateways.fix.venue_table import Dialect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateways.client import Client
    from gateways.fix.answers import Report
    from gateways.fix.index import Index, Sent
    from gateways.fix.settings import SessionSettings
    from kk99 import batch

_CANCELS: Final = frozenset({"F", "q"})
UNSENT_MAX: Final = 65_536
"""Reports that wait in memory to be sent; those beyond are read from the events again."""
RECENT_MAX: Final = 8_192
"""Reports kept to be sent again without reading the events."""


class Line:
    """A FIX session of the venue."""

    def __init__(self, settings: SessionSettings, venue_comp_id: str) -> None:
        self.throttle = Throttle(settings.messages_per_s, settings.messages_burst, 0)
        self.dialect = Dialect()
        """How its reports are written."""
        self.has_new_dialect = False
        """Whether those that are owed may have been written in another."""
        self.requests: Mapping[int, str] = {}
        """What the Logon asked for, by tag."""
        self.adopt(settings, venue_comp_id)
        self.client: Client | None = None
        self.index: Index | None = None
        self.is_taken = False
        """Whether a connection is logged on, or about to."""
        self.is_leaving = False
        """Whether the goodbye of a connection is under way."""
        self.owed = Owed(UNSENT_MAX, RECENT_MAX)
        self._doubt_until = np.array(NOWHERE, np.int64)
        self._numbers = 0, 0
        self._epoch = 0
        self.resend_count = 0
        """ResendRequests answered, ever."""
        self.throttled_count = 0
        """Messages refused because there were too many, ever."""

    def adopt(self, settings: SessionSettings, venue_comp_id: str) -> None:
        """Go on with other settings; `venue_comp_id` is the TargetCompID that it uses."""
        self.settings = settings
        self.venue_comp_id = venue_comp_id
        self.throttle.limit(settings.messages_per_s, settings.messages_burst)
        dialect = Dialect(newer=settings.newer_tags, places=6 if settings.microseconds else 3)
        self.has_new_dialect = self.has_new_dialect or dialect != self.dialect
        self.dialect = dialect
        self._names, *sizes = names_of(venue_comp_id, settings.comp_id)
        self._sizes = np.array([*sizes, dialect.places], np.int64)

    def is_abused(self, now_ns: int) -> bool:
        """Count a message that can't be refused; return whether there are far too many."""
        return not self.throttle.admits(1, now_ns) and self.throttle.owe()

    def refusal(self, msg_type: str, now_ns: int) -> tuple[Refusal, bool]:
        """Return whether a message is beyond what the session may send, and whether that is abuse.

        Cancels are never refused, but they count.
        """
        if self.throttle.admits(1, now_ns):
            return Refusal.NONE, False
        is_abuse = self.throttle.owe()
        if msg_type in _CANCELS:
            return Refusal.NONE, is_abuse
        self.throttled_count += 1
        return Refusal.THROTTLED, is_abuse

    # The two ends ---------------------------------------------------------------------------------------------------

    def bind(self, client: Client, index: Index, stream_at: Place) -> None:
        """Begin with a connection; `stream_at` is the place of the last event that `take` was given."""
        self.client, self.index = client, index
        self.owed.begin(index.after)
        if index.was_lost:
            self._doubt_until = np.array(stream_at, np.int64)

    def begin_anew(self, epoch: int) -> None:
        """Note that both numbers begin at 1 in an epoch that nobody is connected in yet."""
        self._numbers, self._epoch = (1, 1), epoch

    def unbind(self) -> tuple[Client | None, Index | None]:
        """End with a connection; both are the caller's to close."""
        bound = self.client, self.index
        self._numbers, self._epoch = self.numbers, self.epoch
        self.client = self.index = None
        return bound

    @property
    def epoch(self) -> int:
        """The epoch of the connection that is there or was last; 0: there was none."""
        return self._epoch if self.client is None else self.client.epoch

    @property
    def numbers(self) -> tuple[int, int]:
        """The next inbound and outbound number of the connection that is there or was last; 0: there was none."""
        is_bound = self.client is not None and self.index is not None
        return (self.next_in, self.next_out) if is_bound else self._numbers

    # Inbound --------------------------------------------------------------------------------------------------------

    @property
    def next_in(self) -> int:
        """The inbound number that comes next, as far as the engine was told."""
        assert self.client is not None
        return self.client.next_client_seq

    @property
    def durable_in(self) -> int:
        """All inbound numbers up to this one are in the journal."""
        return 0 if self.client is None else self.client.durable_client_seq

    def submit(self, commands: batch.Commands, first: int) -> None:
        """Have inbound messages journaled, one row each, the first of them with this number."""
        assert self.client is not None
        numbers = self.client.submit(commands)
        assert numbers[0] == first, f"inbound number {first} would be client sequence {numbers[0]}"

    # Reports --------------------------------------------------------------------------------------------------------

    def take(self, reports: Parcel | Iterable[Report]) -> None:
        """Take the next reports that are due to the session."""
        parcel = self.parcel(reports)
        if parcel.count:
            self.owed.take(parcel, is_bound=self.client is not None)

    def parcel(self, reports: Parcel | Iterable[Report]) -> Parcel:
        """Return reports as bytes in the session's dialect."""
        return reports if isinstance(reports, Parcel) else parcel_of(reports, self.dialect)

    # Outbound -------------------------------------------------------------------------------------------------------

    @property
    def next_out(self) -> int:
        """The number that the next message sent gets."""
        assert self.index is not None
        return self.index.next_out

    def admin(self, msg_type: str, fields: Iterable[tuple[int, Any]], now_ns: int) -> bytes:
        """Return a message that no event made, admin or market data, with the next number."""
        assert self.index is not None
        number = self.index.append([(ADMIN, now_ns, False)])
        return encode(msg_type, fields, self._header(number, now_ns))

    def reports(self, count: int, now_ns: int) -> memoryview:
        """Return the next reports, at most so many, with the next numbers; their index rows are written before."""
        assert self.index is not None
        chosen = self.owed.next(count)
        bytes_max = int(chosen.rows[:, rw.R_LENGTH].sum()) + chosen.count * HEAD_BYTES_MAX
        out, rows = np.empty(bytes_max + PAD, np.uint8), np.empty(ROW_BYTES * chosen.count + PAD, np.uint8)
        end = send_many(
            chosen.rows, chosen.data, 0, chosen.count, self._names, self._sizes, self.index.next_out, now_ns,
            self._doubt_until, out, rows,
        )  # fmt: skip
        self.index.extend(rows[:-PAD].data, chosen.count, chosen.place(chosen.count - 1))
        return out[:end].data

    def again(self, sent: Sent, msg_type: str, body: bytes, now_ns: int) -> bytes:
        """Return a report once more, as it was sent first."""
        header = self._header(sent.number, now_ns, poss_resend=sent.poss_resend, orig_sending_ns=sent.sending_ns)
        return encode_body(msg_type, body, header)

    def gap_fill(self, first: int, last: int, now_ns: int) -> bytes:
        """Return what stands for numbers that are not sent again."""
        return encode("4", ((123, True), (36, last + 1)), self._header(first, now_ns, orig_sending_ns=now_ns))

    def _header(
        self, number: int, now_ns: int, *, poss_resend: bool = False, orig_sending_ns: int | None = None
    ) -> Header:
        return Header(
            self.venue_comp_id, self.settings.comp_id, number, now_ns, self.dialect.places, orig_sending_ns, poss_resend
        )
