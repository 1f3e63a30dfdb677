"""One configured FIX session, with or without a connection: its engine session, its numbers, the reports it is owed.

    offline ── bind (an engine client, the epoch's index) ──▶ bound ── unbind ──▶ offline

Invariants: inbound numbers are the engine session's client sequences; outbound numbers come from the index, which
has each before its message leaves; reports are sent in the order of their events, each once, whoever is connected when;
what is kept of them in memory is bounded, the rest is made again from the events.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from gateways.fix.codec import Header, encode
from gateways.fix.index import ADMIN, Place

if TYPE_CHECKING:
    from gateways.client import Client
    from gateways.fix.answers import Report
    from gateways.fix.index import Index, Sent
    from gateways.fix.settings import SessionSettings
    from kk99 import batch

UNSENT_MAX: Final = 16_384
"""Reports that wait in memory to be sent; those beyond are read from the events again."""
RECENT_MAX: Final = 8_192
"""Reports kept to be sent again without reading the events."""
NOWHERE: Final = Place(0, 0, 0)


class Line:
    """A session of the settings."""

    def __init__(self, settings: SessionSettings, venue_comp_id: str) -> None:
        self.settings = settings
        self.venue_comp_id = venue_comp_id
        self.client: Client | None = None
        self.index: Index | None = None
        self.is_taken = False
        """Whether a connection is logged on, or about to."""
        self.is_leaving = False
        """Whether the goodbye of a connection is under way."""
        self.unsent: deque[Report] = deque()
        self.is_behind = False
        """Whether there are further reports beyond those in `unsent`, to be read from the events."""
        self.is_reading = False
        """Whether those are being read now."""
        self._recent: dict[Place, Report] = {}
        self._later: deque[Report] | None = None
        self._doubt_until = NOWHERE
        self._places = 6 if settings.microseconds else 3

    # The two ends ---------------------------------------------------------------------------------------------------

    def bind(self, client: Client, index: Index, stream_at: Place) -> None:
        """Begin with a connection; `stream_at` is the place of the last event that `take` was given."""
        self.client, self.index = client, index
        while self.unsent and self.unsent[0].identity <= index.after:
            self.unsent.popleft()
        if index.was_lost:
            self._doubt_until = stream_at

    def unbind(self) -> tuple[Client | None, Index | None]:
        """End with a connection; both are the caller's to close."""
        bound = self.client, self.index
        self.client = self.index = None
        return bound

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

    def take(self, report: Report) -> None:
        """Take the next report that is due to the session."""
        self._remember(report)
        if self.is_behind:
            if self._later is not None:
                self._later.append(report)
                if len(self._later) > UNSENT_MAX:  # the reading again goes on from where it ends
                    self._later = None
            return
        if len(self.unsent) >= UNSENT_MAX:
            self.is_behind = True
        else:
            self.unsent.append(report)

    def begin_reading(self) -> None:
        """Note that further reports, up to what `take` was given, are now read from the events."""
        self._later = deque()
        self.is_reading = True

    def end_reading(self, reports: list[Report], *, is_end: bool) -> None:
        """Take what was read; with `is_end` it is all there was when the reading began."""
        self.unsent.extend(reports)
        if is_end and self._later is not None:
            self.unsent.extend(self._later)
            self.is_behind = False
        self._later = None
        self.is_reading = False

    def recent(self, place: Place) -> Report | None:
        """Return a report that was made before, if it is still in memory."""
        return self._recent.get(place)

    def _remember(self, report: Report) -> None:
        self._recent[Place(*report.identity)] = report
        if len(self._recent) > RECENT_MAX:
            del self._recent[next(iter(self._recent))]

    # Outbound -------------------------------------------------------------------------------------------------------

    @property
    def next_out(self) -> int:
        """The number that the next message sent gets."""
        assert self.index is not None
        return self.index.next_out

    def admin(self, msg_type: str, fields: tuple[tuple[int, Any], ...], now_ns: int) -> bytes:
        """Return an admin message with the next number."""
        assert self.index is not None
        number = self.index.append([(ADMIN, now_ns, False)])
        return encode(msg_type, fields, self._header(number, now_ns))

    def reports(self, count: int, now_ns: int) -> bytes:
        """Return the next reports, at most so many, with the next numbers."""
        assert self.index is not None
        chosen = [self.unsent.popleft() for _ in range(min(count, len(self.unsent)))]
        doubts = [report.identity <= self._doubt_until for report in chosen]
        entries = [(Place(*report.identity), now_ns, doubt) for report, doubt in zip(chosen, doubts, strict=True)]
        first = self.index.append(entries)
        return b"".join(
            encode(report.msg_type, self._body(report), self._header(number, now_ns, poss_resend=doubt))
            for number, (report, doubt) in enumerate(zip(chosen, doubts, strict=True), first)
        )

    def again(self, sent: Sent, report: Report, now_ns: int) -> bytes:
        """Return a report once more, as it was sent first."""
        header = self._header(sent.number, now_ns, poss_resend=sent.poss_resend, orig_sending_ns=sent.sending_ns)
        return encode(report.msg_type, self._body(report), header)

    def gap_fill(self, first: int, last: int, now_ns: int) -> bytes:
        """Return what stands for numbers that are not sent again."""
        return encode("4", ((123, True), (36, last + 1)), self._header(first, now_ns, orig_sending_ns=now_ns))

    def _body(self, report: Report) -> list[tuple[int, bytes]]:
        return report.body(newer=self.settings.newer_tags, places=self._places)

    def _header(
        self, number: int, now_ns: int, *, poss_resend: bool = False, orig_sending_ns: int | None = None
    ) -> Header:
        return Header(
            self.venue_comp_id, self.settings.comp_id, number, now_ns, self._places, orig_sending_ns, poss_resend
        )
