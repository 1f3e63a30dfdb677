"""Where what sessions are told comes from: their own reports, drop copies, market data; the last two when wanted.

Invariants: the first session of a role begins what it needs, in a job; until that is ready it can't log on; copies are
followed behind the trading sessions' reports, so whoever gets one is known, and known for what it has become.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from gateways.fix.copies import CopyStream
from gateways.fix.market import Feed, Subscriber
from gateways.fix.settings import DROP_COPY, MARKET_DATA
from kk99.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateways.fix.jobs import Jobs
    from gateways.fix.line import Line
    from gateways.fix.stream import ReportStream

_PARTS_A_TURN: Final = 16
"""Parts of frames taken before connections have their turn; while orders are reported on, one: orders go first."""

log = structlog.get_logger("fix")


class Sources:
    """The sources beside `stream`; `lines` are the gateway's, by their engine session."""

    def __init__(self, address: str, stream: ReportStream, jobs: Jobs, lines: Mapping[str, Line]) -> None:
        self._address = address
        self._stream = stream
        self._jobs = jobs
        self._lines = lines
        self._feed: Feed | None = None
        self._copies: CopyStream | None = None
        self._begun: set[str] = set()
        self._is_closed = False

    def begin(self, role: str) -> None:
        """Begin what sessions of a role need, unless that was done."""
        work: dict[str, Callable[[], Feed | CopyStream]] = {
            MARKET_DATA: lambda: Feed.connect(self._address),
            DROP_COPY: lambda: CopyStream.level(self._address),
        }
        if role not in work or role in self._begun:
            return
        self._begun.add(role)

        def ended(source: Feed | CopyStream | None, error: Exception | None) -> None:
            if error is not None and not isinstance(error, ClientError):
                raise error
            if source is not None:
                self._take(source)
            elif not self._is_closed:
                log.warning("not ready, tried again", what=role, reason=str(error))
                self._begun.discard(role)
                self.begin(role)

        self._jobs.start(work[role], ended)

    def is_ready(self, role: str) -> bool:
        """Whether there is what sessions of a role need."""
        return {MARKET_DATA: self._feed, DROP_COPY: self._copies}.get(role, self._stream) is not None

    def of(self, line: Line) -> ReportStream | CopyStream:
        """Return what the reports of a line come from."""
        return self._copies if self._copies is not None and line.settings.role == DROP_COPY else self._stream

    def subscriber(self, line: Line) -> Subscriber | None:
        """Return what takes the questions of a connection, if its session is for market data."""
        return Subscriber(self._feed) if self._feed is not None and line.settings.role == MARKET_DATA else None

    def sockets(self) -> list[Any]:
        """Return what to wait on."""
        found = list(self._stream.sockets())
        for source in (self._feed, self._copies):
            found += source.sockets() if source is not None else []
        return found

    def turn(self, *, is_busy: bool) -> None:
        """Take some of what the engine has brought; raises `ClientError` when events are lost for good."""
        count = 1 if is_busy else _PARTS_A_TURN
        if self._feed is not None:
            self._feed.turn(count)
        for _ in range(count if self._copies is not None else 0):
            assert self._copies is not None
            copies = self._copies.next(self._stream.at)
            if copies is None:
                break
            for copy in copies:
                line = self._lines[copy.session]
                if line.settings.role == DROP_COPY:
                    line.take([copy])

    def end(self) -> None:
        """Begin nothing more."""
        self._is_closed = True

    def close(self) -> None:
        """Close the connections; no job may be under way."""
        for source in (self._feed, self._copies):
            if source is not None:
                source.close()

    def _take(self, source: Feed | CopyStream) -> None:
        if self._is_closed:
            source.close()
        elif isinstance(source, Feed):
            self._feed = source
        else:
            self._copies = source
            for line in self._lines.values():  # what was copied before is read when they log on
                line.owed.is_behind = line.owed.is_behind or line.settings.role == DROP_COPY
