"""The venue's events as reports to FIX sessions: followed live, and read again from the stored ones.

Events are followed from the very first one on, or from an image when the first ones are no longer stored. The texts
of client order ids are those of the commands that this process submitted; what others or an earlier life of it
submitted is asked for from the journal, all that a frame needs at once.

Invariant: a report depends on the events and the journal alone, so reading them again makes the same one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateways.client import Client, ClientStats
from gateways.fix.bulk import BulkReports
from gateways.fix.index import Place
from gateways.fix.listing import Listing
from gateways.fix.parcels import joined
from gateways.fix.venue_table import Dialect
from gateways.query import Unreachable
from kk99.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from gateways.fix.bulk import PendingTexts
    from gateways.fix.listing import Instrument
    from gateways.fix.live_table import Book
    from gateways.fix.lives import Order
    from gateways.fix.parcels import Parcel
    from gateways.fix.venue_table import Venue
    from kk99.batch import Commands, Events

_BEGINNING: Final = (0, 0)
_LAST: Final = 1 << 30
"""A part and an index above all."""


class ReportStream:
    """Follows the engine at `address` and reports to the sessions wanted."""

    def __init__(self, address: str, sessions: Container[str], *, timeout_s: float = 10.0) -> None:
        """Begin; raises `ClientError` when no engine answers."""
        self._address = address
        self._sessions = sessions
        self._timeout_s = timeout_s
        self.at = Place(0, 0, 0)
        """The last event followed."""
        self._dialects: dict[str, Dialect] = {}
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
        return self._reports.lives.find(account_id, client_id_lo, client_id_hi)

    @property
    def book(self) -> Book:
        """The tables of the live orders; others when they have grown."""
        return self._reports.lives.book

    @property
    def venue(self) -> Venue:
        """The tables of the listing; others when they have grown."""
        return self._reports.tables.venue

    @property
    def texts(self) -> PendingTexts:
        """The texts of what was submitted."""
        return self._reports.texts

    def speak(self, session: str, dialect: Dialect) -> None:
        """Have what a session is told from now on be in a dialect."""
        self._dialects[session] = dialect
        self._reports.tables.speak(session, dialect)

    # Following --------------------------------------------------------------------------------------------------------

    def sockets(self) -> list[Any]:
        """Return what to wait on."""
        return list(self._client.sockets())

    @property
    def stats(self) -> ClientStats:
        """The totals of its following."""
        return self._client.stats

    def is_level(self) -> bool:
        """Whether all is followed that was published when it began."""
        assert self._client.welcome is not None
        return self.at[:2] >= self._client.welcome.last_event

    def new_identities(self) -> list[Mapping[str, Any]]:
        """Return the documents of the identities defined or changed since it was asked last, in order."""
        listing = self._reports.listing
        found, listing.new_identities = listing.new_identities, []
        return found

    def submitted(self, client: Client, commands: Commands) -> None:
        """Remember what is about to be submitted."""
        self._reports.texts.submitted(client.session_id, client.epoch, client.next_client_seq, commands)

    def next(self) -> list[tuple[str, Parcel]] | None:
        """Return what sessions are told of the next events, None if there are none.

        Raises `ClientError` when events or texts are lost for good.
        """
        events, self._waiting = self._waiting or self._client.poll_events(0), None
        if events is None:
            return None
        try:
            made = self._reports.follow(events)
        except Unreachable:
            self._waiting = events  # the engine went away: again when it is back
            return None
        row = events.rows[-1]
        self.at = Place(int(row["cause_seq"]), int(row["index"]), _LAST)
        sessions = self._reports.listing.sessions
        return [(sessions[number], parcel) for number, parcel in made]

    def warm_up(self) -> None:
        """Have compiled what is not yet, the first time for some seconds."""
        self._reports.warm_up()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def read_again(self, session: str, after: Place, to: Place, limit: int) -> Parcel:
        """Return a session's reports after a place up to another, at most `limit` (0: all), made from stored events.

        Any thread may; it reads from the first event on. Raises `ClientError`.
        """
        stream = ReportStream(self._address, {session}, timeout_s=self._timeout_s)
        stream.speak(session, self._dialects.get(session, Dialect()))
        found: list[Parcel] = []
        count = 0
        try:
            if stream.at > after:
                raise ClientError(f"events after {after[:2]} are no longer stored")
            while stream.at < to and (not limit or count < limit):
                for _, made in stream.next() or stream.wait():
                    chosen = made.part(made.count_to(after), made.count_to(to))
                    count += chosen.count
                    found += [chosen.alone()] if chosen.count else []
        finally:
            stream.close()
        whole = joined(found)
        return whole.part(0, limit) if limit else whole

    def wait(self) -> list[tuple[str, Parcel]]:
        """Wait a little for events, and leave them to `next`."""
        if self._waiting is None:
            self._waiting = self._client.poll_events(0.1)
        return []

    def _begin_reports(self) -> None:
        self._reports = BulkReports(Listing(), self._sessions, self._client.commands)
        for session, dialect in self._dialects.items():
            self._reports.tables.speak(session, dialect)

    def _begin_from_image(self) -> None:
        image = self._client.image()
        self._client.close()
        self._client = Client.connect(self._address, after=image.last_event, timeout_s=self._timeout_s)
        self._begin_reports()
        for frame in image.frames:
            self._reports.follow(frame)
        self.at = Place(*image.last_event, _LAST)
