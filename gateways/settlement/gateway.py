"""The gateway's loop: follows the engine's events from the books' cursor and has them written, until told to stop.

Whatever goes away, engine or database, is waited for; what went wrong changed nothing, and the books go on from their
cursor. Only what waiting can't mend ends the process: another venue's books, another writer, events no longer stored.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog

from gateways.client import Client
from gateways.figures import add_follower, report_folder
from gateways.settlement.books import Books
from gateways.settlement.database import DatabaseError
from gateways.settlement.settler import Settler
from kk99.errors import ClientError
from kk99.logs import stand_at
from kk99.metrics.reporter import Reporter
from kk99.notify import Heart, LongStart, notify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateways.settlement.database import Database
    from gateways.settlement.settings import SettlementSettings
    from kk99.batch import Events
    from kk99.metrics.figures import Figures

_AGAIN_S: Final = 0.5
_ENGINE_S: Final = 5.0
_IDLE_S: Final = 0.25
_TOLD_S: Final = 10.0
"""How often the log says how far the books go."""
_GONE: Final = "no longer stored"

log = structlog.get_logger("settlement")


class Gateway:
    """Follows the engine at `address` into a database, with settings."""

    def __init__(self, settings: SettlementSettings, database: Database, address: str) -> None:
        self._settings = settings
        self._database = database
        self._address = address
        self._client: Client | None = None
        self._books: Books | None = None
        self._settler = Settler(settings, address) if settings.settle else None
        self._told_at = 0.0
        self._told_events = 0

    def begin(self, should_stop: Callable[[], bool]) -> None:
        """Bring the tables up to date, become their writer, and find the engine; waits for what is not there yet."""
        start = LongStart()
        while not should_stop():
            try:
                self._database.migrate()
                self._database.lock()
                break
            except DatabaseError as error:
                self._wait("no database", error, should_stop)
                start.step("waiting for the database")
        while not should_stop() and not self._connect(should_stop):
            start.step("waiting for the engine")

    def turn(self, should_stop: Callable[[], bool]) -> int:
        """Gather events and write them; return how many. What is away is looked for once, after a little wait."""
        if self._client is None and not self._connect(should_stop):
            return 0
        assert self._books is not None
        try:
            count = self._books.take(self._gather())
        except DatabaseError as error:
            self._let_go("the database is away", error, should_stop)
            return 0
        except ClientError as error:
            if _GONE in str(error):
                raise ClientError(f"{error}: run `kk99 settlement catch-up`, which reads the journal") from error
            self._let_go("the engine is away", error, should_stop)
            return 0
        self._tell(count)
        if self._settler is not None:
            self._settle(self._settler, should_stop)
        return count

    @property
    def seq(self) -> int:
        """The last command whose events are in the books."""
        return 0 if self._books is None else self._books.cursor.cause_seq

    def add_to(self, figures: Figures) -> None:
        """Add the gateway's figures."""
        client = self._client
        if client is not None:
            add_follower(figures, self.seq, client.stats)

    def close(self) -> None:
        """Close all connections."""
        if self._settler is not None:
            self._settler.close()
        if self._client is not None:
            self._client.close()
        self._database.close()

    def _gather(self) -> list[Events]:
        """Return frames that follow one another: what is there, up to a transaction's size."""
        assert self._client is not None
        frames: list[Events] = []
        count = 0
        first = self._client.poll_events(_IDLE_S)
        until = time.monotonic() + self._settings.wait_s
        while first is not None:
            frames.append(first)
            count += len(first.rows)
            if count >= self._settings.transaction_events:
                break
            first = self._client.poll_events(max(until - time.monotonic(), 0.0))
        return frames

    def _connect(self, should_stop: Callable[[], bool]) -> bool:
        """Read where the books stand and follow the engine from there; False, after a little wait, if one is away."""
        try:
            client = Client.connect(self._address, timeout_s=_ENGINE_S)
            welcome = client.welcome
            client.close()
            assert welcome is not None
            self._database.lock()
            self._books = Books(self._database, welcome.venue_id)
            cursor = self._books.cursor
            self._client = Client.connect(self._address, after=cursor.event, timeout_s=_ENGINE_S)
        except (ClientError, DatabaseError) as error:
            self._wait("waiting", error, should_stop)
            return False
        log.info("following", after_seq=cursor.cause_seq, engine_seq=welcome.durable_seq)
        return True

    def _settle(self, settler: Settler, should_stop: Callable[[], bool]) -> None:
        """Have what is due settled; what is away is looked for at the next turn."""
        try:
            count = settler.turn(self._database)
        except (ClientError, DatabaseError) as error:
            settler.close()
            self._wait("settling waits", error, should_stop)
            return
        if count:
            log.info("settling", obligations=count)

    def _let_go(self, what: str, error: Exception, should_stop: Callable[[], bool]) -> None:
        """Forget what is held in memory, which may be ahead of the tables, and the place in the stream."""
        assert self._client is not None
        self._client.close()
        self._client = None
        self._wait(what, error, should_stop)

    def _wait(self, what: str, error: Exception, should_stop: Callable[[], bool]) -> None:
        log.warning(what, reason=str(error))
        until = time.monotonic() + _AGAIN_S
        while time.monotonic() < until and not should_stop():
            time.sleep(_AGAIN_S / 10)

    def _tell(self, count: int) -> None:
        self._told_events += count
        now = time.monotonic()
        if now - self._told_at < _TOLD_S or not self._told_events:
            return
        assert self._books is not None
        log.info("books", seq=self._books.cursor.cause_seq, events=self._told_events)
        self._told_at, self._told_events = now, 0


def run(settings: SettlementSettings, address: str, data: Path, folder: Path, should_stop: Callable[[], bool]) -> None:
    """Run the gateway to the engine at `address` until told to stop.

    `data` is the venue's folder, `folder` where the books lie in it unless a URL says else. Raises `KK99Error` when it
    can't go on.
    """
    database = settings.open(folder, is_writer=True)
    gateway = Gateway(settings, database, address)
    stand_at(lambda: gateway.seq)
    heart = Heart()
    try:
        gateway.begin(should_stop)
        print(f"kk99 gateway settlement ready: {database.name}", flush=True)  # noqa: T201 - what a script waits for
        notify("READY=1")
        with Reporter(report_folder(address, data), "settlement", gateway.add_to):
            while not should_stop():
                gateway.turn(should_stop)
                heart.beat()
        notify("STOPPING=1")
    finally:
        gateway.close()
