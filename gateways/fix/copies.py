"""Drop copies: the ExecutionReports of accounts, whoever entered their orders, for the sessions entitled to them.

A copy has the body that the trading session is sent, the same ExecID (17) too, and CopyMsgIndicator (797). Answers to
questions and refused cancels are not copied. Who is entitled to what is said by identities in the journal and holds
from there on; so copies are a function of the events, and are made again from the stored ones.

This follows the events apart from the trading sessions' reports: it knows all sessions, and begins when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gateways.book import parts
from gateways.client import Client
from gateways.fix.index import Place
from gateways.fix.listing import Listing
from gateways.fix.reports import Reports
from gateways.fix.settings import DROP_COPY, SessionSettings
from gateways.fix.teller import Teller
from gateways.fix.text_table import TEXT_KINDS
from gateways.query import Unreachable
from kk99 import schema
from kk99.errors import ClientError
from kk99.schema import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gateways.fix.answers import Field, Report
    from gateways.fix.lives import Event, Order
    from kk99.batch import Commands, Events, Rows

ROWS_AT_A_TIME: Final = 64
"""Events taken at a time, and those that end their command: nobody who shares the loop waits long for copies."""
_BEGINNING: Final = (0, 0)
_LAST: Final = 1 << 30
"""A part above all."""
_STATUS: Final = (150, b"I")
_COPY: Final = (797, b"Y")


class Entitled:
    """Which sessions have copies of which accounts, as the identities followed so far say."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._accounts: dict[str, frozenset[str]] = {}

    def take(self, identity: Mapping[str, Any]) -> None:
        """Take an identity as it now stands."""
        if identity["kind"] != "fix_session":
            return
        session = SessionSettings.of(identity)
        if session.role == DROP_COPY:
            self._accounts[session.engine_session] = frozenset(session.accounts)
        else:
            self._accounts.pop(session.engine_session, None)

    def __contains__(self, session: str | None) -> bool:
        """Whether an engine session is one of those that have copies."""
        return session in self._accounts

    def to(self, account_id: int) -> list[str]:
        """Return the engine sessions that have copies of an account."""
        name = self._listing.account_names.get(account_id)
        return [session for session, accounts in self._accounts.items() if name in accounts]

    def accounts(self) -> list[int]:
        """Return all accounts that someone has copies of."""
        names = frozenset[str]().union(*self._accounts.values())
        return [number for number, name in self._listing.account_names.items() if name in names]

    def sessions(self) -> list[int]:
        """Return the numbers of those that have copies."""
        return [number for number, name in self._listing.sessions.items() if name in self._accounts]


class CopyTeller(Teller):
    """Writes each report down once for each session that has copies of its account."""

    def __init__(self, listing: Listing, entitled: Entitled) -> None:
        super().__init__(listing, None)
        self._entitled = entitled

    def tell(self, event: Event, order: Order, exec_type: bytes, **terms: Any) -> None:
        """Copy what a session is told of an order, unless it asked."""
        sessions = self._entitled.to(order.account_id)
        if sessions and exec_type != _STATUS[1]:
            super().tell(event, order, exec_type, **terms)
            self._copy(self.made.pop(), sessions)

    def answer(self, event: Event, msg_type: str, fields: list[Field], part: int = 0) -> None:
        """Copy the report of an order that was refused; answer what a session for copies should not have sent."""
        own = self.listing.sessions.get(event.session_id)
        if own in self._entitled:
            super().answer(event, msg_type, fields, part)
            self.made[-1] = self.made[-1]._replace(session=str(own))
        elif msg_type == "8" and _STATUS not in fields:
            super().answer(event, msg_type, fields, part)
            self._copy(self.made.pop(), self._entitled.to(event.account_id))

    def _copy(self, report: Report, sessions: list[str]) -> None:
        fields = [*report.fields, _COPY]
        self.made += [report._replace(session=session, fields=fields) for session in sessions]

    def _session(self, _session_id: int) -> str:
        """Have every report made; whose it is, is said later."""
        return ""


class CopyTexts:
    """The cold rows of the commands that a frame's copies need, asked of the journal."""

    def __init__(self, entitled: Entitled, commands: Callable[[list[int]], Commands]) -> None:
        self._entitled = entitled
        self._commands = commands
        self._of_frame: dict[int, Rows] = {}

    def prepare(self, events: Events) -> None:
        """Find them; raises `ClientError` when the journal can't be asked."""
        rows = events.rows
        is_ours = np.isin(rows["account_id"], self._entitled.accounts())
        is_ours |= np.isin(rows["session_id"], self._entitled.sessions())
        told = rows["cause_seq"][is_ours & np.isin(rows["kind"], TEXT_KINDS)]
        images = rows["origin_seq"][is_ours & (rows["kind"] == EventKind.ORDER_IMAGE)]
        seqs = np.unique(np.concatenate([told, images])).tolist()
        commands = self._commands(seqs) if seqs else None
        self._of_frame = {}
        if commands is not None:
            with_cold = commands.rows[commands.rows["flags"] & schema.Flag.HAS_COLD != 0]
            self._of_frame = {int(row["seq"]): commands.cold[at : at + 1] for at, row in enumerate(with_cold)}

    def of(self, cause_seq: int) -> Rows | None:
        """Return the cold row, COLD (1,), of the command that has a sequence; None: it has none."""
        return self._of_frame.get(cause_seq)


class CopyStream:
    """Follows the engine at `address`; `at` is the last event followed."""

    def __init__(self, address: str, *, timeout_s: float = 10.0) -> None:
        """Begin with the first event stored; raises `ClientError` when no engine answers."""
        self._address = address
        self._timeout_s = timeout_s
        self.at = Place(0, 0, 0)
        self._client = Client.connect(address, after=_BEGINNING, timeout_s=timeout_s)
        self._waiting: list[Events] = []
        self._begin()
        try:
            self._wait(0)
        except ClientError:  # the first events are no longer stored
            self._begin_from_image()

    @classmethod
    def level(cls, address: str) -> CopyStream:
        """Return one that has followed all there was when it began; may take long. Raises `ClientError`."""
        stream = cls(address)
        while not stream.is_level():
            if stream.next() is None:
                stream._wait(0.1)
        return stream

    def sockets(self) -> list[Any]:
        """Return what to wait on."""
        return list(self._client.sockets())

    def is_level(self) -> bool:
        """Whether all is followed that was published when it began."""
        assert self._client.welcome is not None
        return self.at[:2] >= self._client.welcome.last_event

    def next(self, until: Place | None = None) -> list[Report] | None:
        """Return the copies of the next events, None if there are none, or none up to a place.

        Raises `ClientError` when events are lost for good.
        """
        if not self._waiting:
            self._wait(0)
        if not self._waiting:
            return None
        events = self._waiting[0]
        row = events.rows[-1]
        if until is not None and (int(row["cause_seq"]), int(row["index"])) > until[:2]:
            return None
        try:
            made = self._follow(events)
        except Unreachable:
            return None  # the engine went away: again when it is back
        self._waiting.pop(0)
        self.at = Place(int(row["cause_seq"]), int(row["index"]), _LAST)
        return made

    def read_again(self, session: str, after: Place, to: Place, limit: int) -> list[Report]:
        """Return a session's copies after a place up to another, at most `limit` (0: all), made from stored events.

        Any thread may; it reads from the first event on. Raises `ClientError`.
        """
        stream = CopyStream(self._address, timeout_s=self._timeout_s)
        found: list[Report] = []
        try:
            if stream.at > after:
                raise ClientError(f"events after {after[:2]} are no longer stored")
            while stream.at < to and (not limit or len(found) < limit):
                made = stream.next()
                if made is None:
                    stream._wait(0.1)
                found += [one for one in made or () if one.session == session and after < one.identity <= to]
        finally:
            stream.close()
        return found[:limit] if limit else found

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _wait(self, timeout_s: float) -> None:
        if not self._waiting and (events := self._client.poll_events(timeout_s)) is not None:
            self._waiting = list(_parts(events))

    def _follow(self, events: Events) -> list[Report]:
        self._texts.prepare(events)
        made = self._reports.follow(events)
        for identity in self._listing.new_identities:
            self._entitled.take(identity)
        self._listing.new_identities.clear()
        return made

    def _begin(self) -> None:
        self._listing = Listing()
        self._entitled = Entitled(self._listing)
        self._texts = CopyTexts(self._entitled, self._client.commands)
        teller = CopyTeller(self._listing, self._entitled)
        self._reports = Reports(self._listing, self._texts, teller=teller)

    def _begin_from_image(self) -> None:
        image = self._client.image()
        self._client.close()
        self._client = Client.connect(self._address, after=image.last_event, timeout_s=self._timeout_s)
        self._begin()
        for frame in image.frames:
            for part in _parts(frame):
                self._follow(part)
        self.at = Place(*image.last_event, _LAST)


def _parts(events: Events) -> Iterator[Events]:
    """Yield the frame in pieces: one ends with an identity, as what that says holds for the events after it."""
    return parts(events, ROWS_AT_A_TIME, events.rows["kind"] == EventKind.IDENTITY_DEFINED)
