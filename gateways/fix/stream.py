"""The venue's events as reports to FIX sessions: followed live, and read again from the stored ones.

Events are followed from the very first one on, or from an image when the first ones are no longer stored. The texts
of client order ids are those of the commands that this process submitted; what others or an earlier life of it
submitted is asked for from the journal, all that a frame needs at once.

Invariant: a report depends on the events and the journal alone, so reading them again makes the same one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gateways.client import Client
from gateways.fix.index import Place
from gateways.fix.listing import Listing
from gateways.fix.reports import Reports
from gateways.query import Unreachable
from kk99 import schema
from kk99.errors import ClientError
from kk99.schema import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from gateways.fix.answers import Report
    from gateways.fix.listing import Instrument
    from gateways.fix.lives import Order
    from kk99.batch import Commands, Events, Rows

_BEGINNING: Final = (0, 0)
_TEXT_KINDS: Final = (
    EventKind.ORDER_ACCEPTED,
    EventKind.ORDER_REPLACED,
    EventKind.ORDER_CANCELED,
    EventKind.REJECTED,
    EventKind.MASS_CANCEL_ACCEPTED,
    EventKind.MESSAGE_NOTED,
)
"""Kinds of events whose command may have texts."""
_LAST: Final = 1 << 30
"""A part and an index above all."""

_Key = tuple[int, int, int]
"""Session, epoch, client sequence."""


class ColdRows:
    """The cold rows of the commands that one frame's events came of."""

    def __init__(self, listing: Listing, sessions: Container[str], commands: Callable[[list[int]], Commands]) -> None:
        self._listing = listing
        self._sessions = sessions
        self._commands = commands
        self._submitted: dict[_Key, Rows | None] = {}
        self._of_frame: dict[int, Rows | None] = {}

    def submitted(self, key: _Key, commands: Commands) -> None:
        """Remember commands that are about to be submitted, the first of them with a client sequence."""
        session_id, epoch, client_seq = key
        at = 0
        for number, flags in enumerate(commands.rows["flags"].tolist(), client_seq):
            has_cold = flags & schema.Flag.HAS_COLD != 0
            self._submitted[session_id, epoch, number] = commands.cold[at : at + 1] if has_cold else None
            at += has_cold

    def prepare(self, events: Events) -> None:
        """Find those that a frame needs; raises `ClientError` when the journal must be asked and can't be."""
        found: dict[int, Rows | None] = {}
        unknown: set[int] = set()
        rows = events.rows[np.isin(events.rows["kind"], _TEXT_KINDS)]
        fields = (rows[name].tolist() for name in ("cause_seq", "session_id", "session_epoch", "client_seq"))
        for cause_seq, session_id, epoch, client_seq in zip(*fields, strict=True):
            name = self._listing.sessions.get(session_id)
            if cause_seq in found or session_id == 0 or (name is not None and name not in self._sessions):
                continue
            key = session_id, epoch, client_seq
            if key in self._submitted:
                found[cause_seq] = self._submitted.pop(key)
            else:
                unknown.add(cause_seq)
        images = events.rows[events.rows["kind"] == EventKind.ORDER_IMAGE]
        for origin_seq, session_id in zip(images["origin_seq"].tolist(), images["session_id"].tolist(), strict=True):
            if self._listing.sessions.get(session_id) in self._sessions:
                unknown.add(origin_seq)
        if unknown:
            found |= self._asked(sorted(unknown))
        self._of_frame = found

    def of(self, cause_seq: int) -> Rows | None:
        """Return the cold row, COLD (1,), of the command that has a sequence; None: it has none."""
        return self._of_frame.get(cause_seq)

    def _asked(self, seqs: list[int]) -> dict[int, Rows | None]:
        commands = self._commands(seqs)
        rows = commands.rows[commands.rows["flags"] & schema.Flag.HAS_COLD != 0]
        return {int(row["seq"]): commands.cold[at : at + 1] for at, row in enumerate(rows)}


class ReportStream:
    """Follows the engine at `address` and reports to the sessions wanted."""

    def __init__(self, address: str, sessions: Container[str], *, timeout_s: float = 10.0) -> None:
        """Begin; raises `ClientError` when no engine answers."""
        self._address = address
        self._sessions = sessions
        self._timeout_s = timeout_s
        self.at = Place(0, 0, 0)
        """The last event followed."""
        self._client = Client.connect(address, after=_BEGINNING, timeout_s=timeout_s)
        self._waiting: Events | None = None
        self._begin_reports()
        try:
            self._waiting = self._client.poll_events(0)
        except ClientError:  # the first events are no longer stored
            self._begin_from_image()

    # What is listed and live ------------------------------------------------------------------------------------------

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Instruments by name, as they now are."""
        return self._reports.listing.by_name

    @property
    def accounts(self) -> Mapping[str, int]:
        """Accounts by name, as they now are."""
        return self._reports.listing.accounts

    def find(self, account_id: int, client_id_lo: int, client_id_hi: int) -> Order | None:
        """Return the live order of an account that has a client order id."""
        return self._reports.find(account_id, client_id_lo, client_id_hi)

    # Following --------------------------------------------------------------------------------------------------------

    def sockets(self) -> list[Any]:
        """Return what to wait on."""
        return list(self._client.sockets())

    def is_level(self) -> bool:
        """Whether all is followed that was published when it began."""
        assert self._client.welcome is not None
        return self.at[:2] >= self._client.welcome.last_event

    def submitted(self, client: Client, commands: Commands) -> None:
        """Remember what is about to be submitted."""
        self._cold.submitted((client.session_id, client.epoch, client.next_client_seq), commands)

    def next(self) -> list[Report] | None:
        """Return the reports of the next events, None if there are none.

        Raises `ClientError` when events or texts are lost for good.
        """
        events, self._waiting = self._waiting or self._client.poll_events(0), None
        if events is None:
            return None
        try:
            self._cold.prepare(events)
        except Unreachable:
            self._waiting = events  # the engine went away: again when it is back
            return None
        made = self._reports.follow(events)
        row = events.rows[-1]
        self.at = Place(int(row["cause_seq"]), int(row["index"]), _LAST)
        return made

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def read_again(self, session: str, after: Place, to: Place, limit: int) -> list[Report]:
        """Return a session's reports after a place up to another, at most `limit` (0: all), made from stored events.

        Any thread may; it reads from the first event on. Raises `ClientError`.
        """
        stream = ReportStream(self._address, {session}, timeout_s=self._timeout_s)
        found: list[Report] = []
        try:
            if stream.at > after:
                raise ClientError(f"events after {after[:2]} are no longer stored")
            while stream.at < to and (not limit or len(found) < limit):
                made = stream.next() or stream.wait()
                found += [report for report in made if after < report.identity <= to]
        finally:
            stream.close()
        return found[:limit] if limit else found

    def wait(self) -> list[Report]:
        """Wait a little for events, and leave them to `next`."""
        if self._waiting is None:
            self._waiting = self._client.poll_events(0.1)
        return []

    def _begin_reports(self) -> None:
        listing = Listing()
        self._cold = ColdRows(listing, self._sessions, self._client.commands)
        self._reports = Reports(listing, self._cold, self._sessions)

    def _begin_from_image(self) -> None:
        image = self._client.image()
        self._client.close()
        self._client = Client.connect(self._address, after=image.last_event, timeout_s=self._timeout_s)
        self._begin_reports()
        for frame in image.frames:
            self._cold.prepare(frame)
            self._reports.follow(frame)
        self.at = Place(*image.last_event, _LAST)
