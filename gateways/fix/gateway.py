"""The gateway without its sockets: who may log on, the lines and the engine sessions they are bound to, the reports.

What takes long is done in jobs: passwords are checked, the engine is said HELLO and goodbye to, indexes are opened.
Everything else happens in `turn` and in what connections call, in the loop's own thread.

Invariant: a connection whose engine session fails is cut off, and what the engine did not take is asked for at its next
Logon.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import structlog

from gateways.fix import codec, orders, parcels, send_many, tables
from gateways.fix.access import Access
from gateways.fix.binding import Binding
from gateways.fix.compiled import PAD
from gateways.fix.figures import FixCounters
from gateways.fix.jobs import Jobs
from gateways.fix.line import UNSENT_MAX, Line
from gateways.fix.logon import logon_problem
from gateways.fix.market import QUESTIONS, Subscriber
from gateways.fix.reasons import Refusal
from gateways.fix.settings import ADMIN, DROP_COPY, LOGON_REQUESTS, MARKET_DATA, TRADING
from gateways.fix.sources import Sources
from gateways.fix.taker import Taker
from kk99.batch import Commands
from kk99.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping
    from pathlib import Path

    from gateways.client import Client
    from gateways.fix.answers import Report
    from gateways.fix.binding import Bound
    from gateways.fix.codec import Inbound
    from gateways.fix.index import Place
    from gateways.fix.link import Link
    from gateways.fix.parcels import Parcel
    from gateways.fix.settings import FixSettings
    from gateways.fix.stream import ReportStream

RECEIVE_BYTES: Final = 1 << 18
"""Bytes taken of a connection at a time."""
_FRAMES_A_TURN: Final = 8
"""Frames of events taken before connections have their turn, unless they are large."""
_EVENTS_A_TURN: Final = 4_096
_TRADED: Final = frozenset({"D", "F", "G", "E", "q", "H", "AF"})
_OFFERED: Final = {
    TRADING: _TRADED, ADMIN: _TRADED - {"D", "G", "E"}, MARKET_DATA: QUESTIONS, DROP_COPY: frozenset[str](),
}  # fmt: skip
"""Application messages that a session of each role may send."""

_NAME_LOGGED: Final = 64
"""Characters of a stranger's name that the log shows."""

log = structlog.get_logger("fix")


class Gateway:
    """The lines of the venue's FIX sessions, bound to the engine at `address`; their indexes are in `folder`."""

    def __init__(self, settings: FixSettings, address: str, folder: Path, stream: ReportStream) -> None:
        self.settings = settings
        self.jobs = Jobs()
        self.counters = FixCounters()
        self.decoder = codec.Decoder(message_bytes=settings.message_bytes)
        self.buffer = np.zeros(RECEIVE_BYTES + settings.message_bytes + PAD, np.uint8)
        """Where what connections send is put, one at a time."""
        self._spans = np.zeros((1, tables.SPAN_WORDS), np.int64)
        self._peers = np.zeros((settings.connections_max, tables.PEER_BYTES), np.uint8)
        self._address = address
        self._stream = stream
        self._taker = Taker(stream, self.decoder)
        self.access = Access(settings, self.jobs)
        self._lines: dict[str, Line] = {}
        self._by_name: dict[str, Line] = {}
        self._sources = Sources(address, stream, self.jobs, self._by_name)
        self._mappings: dict[Line, orders.Mapping] = {}
        self.binding = Binding(address, folder, self.jobs, self._bound, self._freed)
        self._clients: dict[Any, tuple[Client, Link]] = {}
        """By the sockets that their answers come by."""
        self._told: set[Link] = set()
        """Connections with new reports."""
        self._waiting: dict[Line, tuple[Link, Inbound]] = {}
        """Logons that wait until the goodbye of the connection before is done."""

    # The loop -------------------------------------------------------------------------------------------------------

    def sockets(self) -> list[Any]:
        """Return the engine's sockets to wait on."""
        self._clients = {
            line.client.sockets()[0]: (line.client, link)
            for line, link in self.binding.links.items()
            if line.client is not None
        }
        return [*self._sources.sockets(), *self._clients]

    def turn(self, ready: Container[Any], touched: set[Link]) -> bool:
        """Take what jobs and the engine have brought; whether that may be of any connection, else of those touched.

        `ready` has the sockets that were ready.
        """
        has_ended = self.jobs.turn()
        taken = 0
        for _ in range(_FRAMES_A_TURN):
            before = self._stream.stats.events
            if taken > _EVENTS_A_TURN or not self.take_reports():
                break
            taken += self._stream.stats.events - before
        touched |= self._told
        self._told.clear()
        self._sources.turn(is_busy=taken > 0)
        for socket, (client, link) in self._clients.items():
            if socket in ready:
                self._pump(client, link)
                touched.add(link)
            elif link.line is not None and link.line.settings.role != TRADING:
                touched.add(link)
        return has_ended

    def pump(self) -> None:
        """Have all engine sessions send what is due."""
        for line, link in list(self.binding.links.items()):
            if line.client is not None:
                self._pump(line.client, link)

    def _pump(self, client: Client, link: Link) -> None:
        if link.line is None or link.line.client is not client:
            return  # it is another's by now
        try:
            client.pump(0)
        except ClientError as error:
            link.drop(f"the engine session failed: {error}")

    def take_reports(self) -> bool:
        """Take the reports of the next events; whether there were events."""
        reports = self._stream.next()
        identities = self._stream.new_identities()
        for identity in identities:
            self._define(identity)
        for session, parcel in reports or ():
            line = self._by_name.get(session)
            if line is not None and line.settings.role != DROP_COPY:
                line.take(parcel)
                link = self.binding.links.get(line)
                if link is not None:
                    self._told.add(link)
        for line in self._by_name.values() if identities else ():
            self._speak(line)
        return reports is not None

    def _speak(self, line: Line) -> None:
        """Have a line's reports made in its dialect, anew those that were made before it was known."""
        if line.has_new_dialect:
            line.has_new_dialect = False
            line.owed.forget()
            self._stream.speak(line.settings.engine_session, line.dialect)

    def close(self) -> None:
        """End all jobs and close."""
        self._sources.end()
        self.jobs.close()
        self.binding.close()
        self._sources.close()

    def subscriber(self, line: Line) -> Subscriber | None:
        """Return what takes the questions of a connection, if its session is for market data."""
        return self._sources.subscriber(line)

    @property
    def lines(self) -> Mapping[str, Line]:
        """The sessions by CompID."""
        return self._lines

    def reports_at(self, line: Line) -> Place:
        """Return the place of the last event of which a session's reports are made."""
        return self._sources.of(line).at

    def link_of(self, line: Line) -> Link | None:
        """Return the connection that a session is logged on with."""
        return self.binding.links.get(line)

    @property
    def session_count(self) -> int:
        """How many sessions are logged on."""
        return len(self.binding.links)

    @property
    def waiting_reports(self) -> int:
        """How many reports are kept in memory for sessions to take."""
        return sum(len(line.owed) for line in list(self._by_name.values()))

    # Logging on and off ---------------------------------------------------------------------------------------------

    def _define(self, identity: Mapping[str, Any]) -> None:
        """Take an identity as it now stands: what it may do holds at once, for a connection that is there too."""
        session = self.access.take(identity)
        if session is None:
            return
        line = self._lines.get(session.comp_id)
        if line is None:
            line = Line(session, self.settings.target_of(session))
            self._lines[session.comp_id] = self._by_name[session.engine_session] = line
            line.owed.is_behind = session.role == DROP_COPY  # copies may be followed already
        elif session.role != line.settings.role:
            line.owed.forget()
            line.owed.is_behind = True
        self._sources.begin(session.role)
        if line.is_taken and not line.is_leaving:
            self._enforce(line, time.time_ns())
        else:
            self._renew(line)

    def _renew(self, line: Line, requests: Mapping[int, str] | None = None) -> None:
        """Have a line begin anew with what its identity says now, and its Logon asks for."""
        session = self.access.sessions[line.settings.comp_id]
        line.requests = requests or {}
        line.adopt(session.as_asked(line.requests), self.settings.target_of(session))

    def _enforce(self, line: Line, now_ns: int) -> None:
        """Hold the connection that a line has to what its identity says now."""
        session, link = self.access.sessions[line.settings.comp_id], self.binding.links.get(line)
        if link is None:
            return  # done when it is bound
        if session.is_blocked or session.role != line.settings.role:
            link.end("blocked by the venue" if session.is_blocked else "the session's role has changed", now_ns)
        line.adopt(line.settings.in_force(session).as_asked(line.requests), line.venue_comp_id)
        self._map(line)
        self._speak(line)

    def authenticate(self, link: Link, logon: Inbound, now_ns: int) -> None:
        """Find out whether a Logon is its sender's, and bind its line."""

        def checked(refusal: str) -> None:
            if link.is_gone:
                return
            if refusal:
                self._refuse(link, logon, refusal)
            else:
                self._admit(link, logon)

        self.access.check(link, logon, now_ns, checked)

    def _refuse(self, link: Link, logon: Inbound, reason: str) -> None:
        self.counters.logons_refused += 1
        log.warning("logon refused", session=logon.text(49)[:_NAME_LOGGED], address=link.address, reason=reason)
        link.refuse(reason, time.time_ns())

    def _admit(self, link: Link, logon: Inbound) -> None:
        """Bind the line of a Logon that is its sender's, in a job, once no other connection has it."""
        line = self._lines[logon.text(49)]
        if line.is_leaving and line not in self._waiting:
            self._waiting[line] = link, logon
            return
        if line.is_taken:
            self._refuse(link, logon, "already logged on")
            return
        if not self._sources.is_ready(line.settings.role):
            self._refuse(link, logon, "market data and drop copies are not ready yet")
            return
        self._renew(line, {tag: text for tag in LOGON_REQUESTS if (text := logon.text(tag))})
        self._speak(line)
        limits = self.settings.limits
        has_new_epoch = logon.text(141) == "Y" and not logon_problem(logon, limits, 1, 1, time.time_ns())
        after = self._sources.of(line).at

        def then(bound: Bound | None, error: Exception | None, now_ns: int) -> None:
            if bound is None:
                self._refuse(link, logon, str(error))
                return
            self.counters.logons_accepted += 1
            link.begin(line, has_new_epoch=has_new_epoch, now_ns=now_ns)
            log.info("logged on", session=logon.text(49), address=link.address, epoch=bound[1].epoch)
            self._enforce(line, now_ns)

        self.binding.begin(link, line, after, has_new_epoch=has_new_epoch, then=then)

    def _bound(self, line: Line, link: Link, bound: Bound) -> None:
        """Have a line go on that has its connection."""
        line.bind(*bound, self._sources.of(line).at)
        self._map(line)
        newer = line.settings.newer_tags
        codec.set_peer(self._peers, link.peer, line.settings.comp_id, line.venue_comp_id, newer=newer)

    def _freed(self, line: Line) -> None:
        """Go on with the Logon that waited for a line, which is free now."""
        link, logon = self._waiting.pop(line, (None, None))
        if link is not None and logon is not None and not link.is_gone:
            self._admit(link, logon)

    def warm_up(self) -> None:
        """Have compiled what is not yet, the first time for some seconds."""
        self.decode(0, 0, 0, 0, time.time_ns())
        self._taker.warm_up(self.buffer)
        self._stream.warm_up()
        send_many.warm_up()
        parcels.warm_up()

    # Inbound --------------------------------------------------------------------------------------------------------

    def decode(self, begin: int, end: int, peer: int, next_in: int, now_ns: int) -> codec.Words:
        """Decode bytes of `buffer`, of one connection whose next number is plain from one on; return its span."""
        buffer = self.buffer
        span: codec.Words = self._spans[0]
        span[:] = 0
        span[tables.S_START], span[tables.S_END], span[tables.S_PEER], span[tables.S_NEXT_IN] = (
            begin,
            end,
            peer,
            next_in,
        )
        self.decoder.decode(buffer, self._spans, 1, self._peers, now_ns, self.settings.limits.accuracy_ns)
        return span

    def command(self, line: Line, message: Inbound, refusal: Refusal = Refusal.NONE) -> Commands:
        """Return the command that an application message becomes, which is refused already or not."""
        if not refusal and message.msg_type not in _OFFERED[line.settings.role]:
            refusal = Refusal.UNSUPPORTED
        if refusal:
            mapped: orders.Mapped = orders.refuse(message, refusal)
        else:
            mapped = orders.to_row(message, self._mappings[line])
        return Commands(mapped.row, mapped.cold)

    def take(self, line: Line, first: int, count: int, now_ns: int) -> Commands | None:
        """Return the commands of some decoded messages that are plain, as far as they are simple; None: none is."""
        if line.settings.role != TRADING or not line.throttle.admits(count, now_ns):
            return None
        commands = self._taker.take(line, self.buffer, first, count)
        line.throttle.give_back(count - (0 if commands is None else len(commands.rows)))
        return commands

    def submit(self, line: Line, commands: Commands, first: int) -> None:
        """Have inbound messages journaled, one row each, the first of them with this number."""
        assert line.client is not None
        self._stream.submitted(line.client, commands)
        line.submit(commands, first)

    def _map(self, line: Line) -> None:
        """Have a line's messages mapped as its settings now say."""
        accounts = self._stream.accounts
        self._mappings[line] = mapping = orders.Mapping(
            self._stream.instruments,
            {name: accounts[name] for name in line.settings.accounts if name in accounts},
            cancel_on_lost=line.settings.cancel_on_disconnect,
            find=self._stream.find,
        )
        self._taker.bind(line, mapping)

    # Reports read again ---------------------------------------------------------------------------------------------

    def read(self, line: Line, after: Place, to: Place, limit: int, then: Callable[[Parcel], None]) -> None:
        """Have a line's reports after one place, up to another, at most so many, made again from the events."""
        name = line.settings.engine_session

        def ended(reports: Parcel | list[Report] | None, error: Exception | None) -> None:
            if error is not None and not isinstance(error, ClientError):
                raise error
            if error is not None:
                log.warning("events not readable", session=name, reason=str(error))
            then(line.parcel(reports or []))

        self.jobs.start(lambda: self._sources.of(line).read_again(name, after, to, limit), ended)

    def read_further(self, line: Line) -> None:
        """Have the reports read that a line's memory had no room for."""
        owed = line.owed
        if owed.is_reading or line.index is None:
            return
        owed.begin_reading()
        self.read(
            line, line.index.after, self._sources.of(line).at, UNSENT_MAX,
            lambda found: owed.end_reading(found, is_end=found.count < UNSENT_MAX),
        )  # fmt: skip
