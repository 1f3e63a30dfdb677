"""The gateway without its sockets: who may log on, the lines and the engine sessions they are bound to, the reports.

A Logon is checked, the engine said HELLO to and the index opened in a job; so are all goodbyes. Everything else happens
in `turn` and in what connections call, in the loop's own thread.

Invariants: a line has one connection at a time; a line's engine client is in one thread at a time; a connection whose
engine session fails is cut off, and what the engine did not take is asked for at its next Logon.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import structlog

from gateways.client import Client
from gateways.fix import codec, orders, tables
from gateways.fix.index import Index, open_index
from gateways.fix.jobs import Jobs
from gateways.fix.line import UNSENT_MAX, Line
from gateways.fix.logon import logon_problem
from gateways.fix.reasons import Refusal
from gateways.fix.settings import is_password
from kk99.batch import Commands
from kk99.errors import ClientError, KK99Error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateways.fix.actions import Action
    from gateways.fix.answers import Report
    from gateways.fix.codec import Inbound
    from gateways.fix.index import Place
    from gateways.fix.link import Link
    from gateways.fix.settings import FixSettings
    from gateways.fix.stream import ReportStream

_ENGINE_S: Final = 3.0
"""How long a Logon waits for the engine."""
_FRAMES_A_TURN: Final = 8
"""Frames of events taken before connections have their turn."""
_UNANSWERED: Final = frozenset({"x", "e", "V"})
"""Reference and market data, which this gateway does not offer."""

log = structlog.get_logger("fix")

Bound = tuple[Client, Index]


class Gateway:
    """The lines of the settings, bound to the engine at `address`; their indexes are in `folder`."""

    def __init__(self, settings: FixSettings, address: str, folder: Path, stream: ReportStream) -> None:
        self.settings = settings
        self.jobs = Jobs()
        self.decoder = codec.Decoder(message_bytes=settings.message_bytes)
        self._spans = np.zeros((1, tables.SPAN_WORDS), np.int64)
        self._peers = np.zeros((settings.connections_max, tables.PEER_BYTES), np.uint8)
        self._address = address
        self._folder = folder
        self._stream = stream
        self._lines: dict[tuple[str, str], Line] = {}
        self._by_name: dict[str, Line] = {}
        self._mappings: dict[Line, orders.Mapping] = {}
        self._links: dict[Line, Link] = {}
        self._waiting: dict[Line, tuple[Link, Inbound]] = {}
        """Logons that wait until the goodbye of the connection before is done."""
        for session in settings.sessions:
            line = Line(session, settings.target_of(session))
            self._lines[session.comp_id, line.venue_comp_id] = line
            self._by_name[session.engine_session] = line

    # The loop -------------------------------------------------------------------------------------------------------

    def sockets(self) -> list[Any]:
        """Return the engine's sockets to wait on."""
        found = list(self._stream.sockets())
        for line in self._links:
            if line.client is not None:
                found += line.client.sockets()
        return found

    def turn(self) -> None:
        """Take what jobs and the engine have brought."""
        self.jobs.turn()
        for _ in range(_FRAMES_A_TURN):
            if not self.take_reports():
                break
        for line, link in list(self._links.items()):
            if line.client is not None:
                try:
                    line.client.pump(0)
                except ClientError as error:
                    link.drop(f"the engine session failed: {error}")

    def take_reports(self) -> bool:
        """Take the reports of the next events; whether there were events."""
        reports = self._stream.next()
        for report in reports or ():
            self._by_name[report.session].take(report)
        return reports is not None

    def close(self) -> None:
        """End all jobs and close."""
        self.jobs.close()

    # Logging on and off ---------------------------------------------------------------------------------------------

    def authenticate(self, link: Link, logon: Inbound, now_ns: int) -> None:
        """Find out in a job whether a Logon is its sender's, and bind its line."""
        line = self._lines.get((logon.text(49), logon.text(56)))
        if line is not None and line.is_leaving and line not in self._waiting:
            self._waiting[line] = link, logon
            return
        refusal = self._refusal(link, line, logon)
        if line is None or refusal:
            log.warning("logon refused", session=logon.text(49), address=link.address, reason=refusal)
            link.refuse(refusal, now_ns)
            return
        line.is_taken = True
        has_new_epoch = logon.text(141) == "Y" and not logon_problem(logon, self.settings.limits, 1, 1, now_ns)
        after = self._stream.at

        def work() -> Bound:
            if not is_password(logon.text(554), line.settings.password):
                raise ClientError("wrong password")
            return self._connect(line, after, has_new_epoch=has_new_epoch)

        def then(bound: Bound | None, error: Exception | None, now_ns: int) -> None:
            if bound is None:
                line.is_taken = False
                log.warning("logon refused", session=logon.text(49), address=link.address, reason=str(error))
                link.refuse(str(error), now_ns)
            else:
                link.begin(line, has_new_epoch=has_new_epoch, now_ns=now_ns)
                log.info("logged on", session=logon.text(49), address=link.address, epoch=bound[1].epoch)

        self._bind_by_job(link, line, work, then)

    def open_epoch(self, link: Link, rest: list[Action]) -> None:
        """Have the next epoch of a link's session opened in a job, then do the rest."""
        line = link.line
        assert line is not None
        client, index = line.unbind()
        assert client is not None
        assert index is not None
        after = index.after

        def work() -> Bound:
            try:
                client.flush(_ENGINE_S)
            finally:
                client.close()
                index.close()
            return self._connect(line, after, has_new_epoch=True)

        def then(bound: Bound | None, error: Exception | None, now_ns: int) -> None:
            if bound is None:
                link.drop(f"no new epoch: {error}")
            link.resume(rest if bound is not None else [], now_ns)

        self._bind_by_job(link, line, work, then)

    def release(self, link: Link) -> None:
        """Part a line from a connection that is gone; its orders that asked for it are canceled."""
        line = link.line
        if line is None or self._links.get(line) is not link:
            return
        del self._links[line]
        client, index = line.unbind()
        if client is not None and index is not None:
            self._let_go(line, client, index)

    def _refusal(self, link: Link, line: Line | None, logon: Inbound) -> str:
        """Return why a Logon is refused without looking at its password, "" if it is not."""
        if line is None:
            return "no such session"
        settings = line.settings
        if not settings.may_come_from(link.address):
            return "address not allowed"
        if logon.text(553) not in ({settings.username} if settings.username else {"", settings.comp_id}):
            return "wrong username"
        return "already logged on" if line.is_taken else ""

    def _connect(self, line: Line, after: Place, *, has_new_epoch: bool) -> Bound:
        name = line.settings.engine_session
        client = Client.connect(self._address, name, resume=not has_new_epoch, timeout_s=_ENGINE_S)
        try:
            is_unused = client.next_client_seq == 1
            index = open_index(self._folder, line.settings.comp_id, client.epoch, is_unused=is_unused, after=after)
        except BaseException:
            client.close()
            raise
        return client, index

    def _bind_by_job(
        self,
        link: Link,
        line: Line,
        work: Callable[[], Bound],
        then: Callable[[Bound | None, Exception | None, int], None],
    ) -> None:
        def ended(bound: Bound | None, error: Exception | None) -> None:
            if error is not None and not isinstance(error, KK99Error | OSError):
                raise error
            if bound is not None and link.is_gone:
                self._let_go(line, *bound)
                return
            if bound is not None:
                line.bind(*bound, self._stream.at)
                self._links[line] = link
                self._mappings[line] = self._mapping(line)
                newer = line.settings.newer_tags
                codec.set_peer(self._peers, link.peer, line.settings.comp_id, line.venue_comp_id, newer=newer)
            else:
                self._links.pop(line, None)
                line.is_taken = False
            then(bound, error, time.time_ns())

        self.jobs.start(work, ended)

    def _let_go(self, line: Line, client: Client, index: Index) -> None:
        line.is_leaving = True

        def work() -> None:
            client.close(lost=True)
            index.close()

        def then(_: None, error: Exception | None) -> None:
            line.is_taken = line.is_leaving = False
            if error is not None:
                raise error
            if line in self._waiting:
                link, logon = self._waiting.pop(line)
                if not link.is_gone:
                    self.authenticate(link, logon, time.time_ns())

        self.jobs.start(work, then)

    # Inbound --------------------------------------------------------------------------------------------------------

    def decode(self, buffer: codec.Bytes, size: int, peer: int, now_ns: int) -> codec.Words:
        """Decode a buffer's first bytes, of one connection; return its span."""
        span: codec.Words = self._spans[0]
        span[:] = 0
        span[tables.S_END], span[tables.S_PEER] = size, peer
        self.decoder.decode(buffer, self._spans, 1, self._peers, now_ns, self.settings.limits.accuracy_ns)
        return span

    def command(self, line: Line, message: Inbound) -> Commands:
        """Return the command that an application message becomes."""
        if message.msg_type in _UNANSWERED:
            mapped: orders.Mapped = orders.refuse(message, Refusal.UNSUPPORTED)
        else:
            mapped = orders.to_row(message, self._mappings[line])
        return Commands(mapped.row, mapped.cold)

    def submit(self, line: Line, commands: Commands, first: int) -> None:
        """Have inbound messages journaled, one row each, the first of them with this number."""
        assert line.client is not None
        self._stream.submitted(line.client, commands)
        line.submit(commands, first)

    def _mapping(self, line: Line) -> orders.Mapping:
        accounts = self._stream.accounts
        return orders.Mapping(
            self._stream.instruments,
            {name: accounts[name] for name in line.settings.accounts if name in accounts},
            cancel_on_lost=line.settings.cancel_on_disconnect,
            find=self._stream.find,
        )

    # Reports read again ---------------------------------------------------------------------------------------------

    def read(self, line: Line, after: Place, to: Place, limit: int, then: Callable[[list[Report]], None]) -> None:
        """Have a line's reports after one place, up to another, at most so many, made again from the events."""
        name = line.settings.engine_session

        def ended(reports: list[Report] | None, error: Exception | None) -> None:
            if error is not None and not isinstance(error, ClientError):
                raise error
            if error is not None:
                log.warning("events not readable", session=name, reason=str(error))
            then(reports or [])

        self.jobs.start(lambda: self._stream.read_again(name, after, to, limit), ended)

    def read_further(self, line: Line) -> None:
        """Have the reports read that a line's memory had no room for."""
        if line.is_reading or line.index is None:
            return
        line.begin_reading()
        self.read(
            line, line.index.after, self._stream.at, UNSENT_MAX,
            lambda reports: line.end_reading(reports, is_end=len(reports) < UNSENT_MAX),
        )  # fmt: skip
