"""Lines bound to connections and to their engine sessions: HELLO and goodbye, epochs and indexes, all in jobs.

Invariants: a line has one connection at a time, and one job; its engine client is in one thread at a time; after a
goodbye the engine cancels the orders that asked for it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import structlog
import zmq

from gateways.client import Client
from gateways.fix.index import Index, open_index
from gateways.fix.settings import MARKET_DATA
from kk99.errors import KK99Error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateways.fix.actions import Action
    from gateways.fix.index import Place
    from gateways.fix.jobs import Jobs
    from gateways.fix.line import Line
    from gateways.fix.link import Link

_ENGINE_S: Final = 3.0
"""How long a Logon waits for the engine."""

_LINGER_MS: Final = 500
_SOCKETS_MAX: Final = 1 << 16
"""Of all engine sessions together."""

log = structlog.get_logger("fix")


Bound = tuple[Client, Index]
"""What a line has while it is bound."""


class Binding:
    """Binds the lines of a gateway to the engine at `address`; their indexes are in `folder`.

    `bound(line, link, client, index)` is called when a line has its connection, `freed(line)` when it has none again.
    """

    def __init__(
        self,
        address: str,
        folder: Path,
        jobs: Jobs,
        bound: Callable[[Line, Link, Bound], None],
        freed: Callable[[Line], None],
    ) -> None:
        self.links: dict[Line, Link] = {}
        """The connection of each line that has one."""
        self.has_changed = False
        """Whether those, or the engine clients of their lines, are others than when it was last looked at."""
        self._address = address
        self._context: zmq.Context[Any] = zmq.Context()
        self._context.max_sockets = _SOCKETS_MAX
        self._folder = folder
        self._jobs = jobs
        self._bound = bound
        self._freed = freed

    def begin(
        self,
        link: Link,
        line: Line,
        after: Place,
        *,
        has_new_epoch: bool,
        then: Callable[[Bound | None, Exception | None, int], None],
    ) -> None:
        """Bind a line that is free to a connection; in a new epoch reports are owed after a place."""
        line.is_taken = True
        self._start(link, line, lambda: self._connect(line, after, has_new_epoch=has_new_epoch), then)

    def open_epoch(self, link: Link, rest: list[Action]) -> None:
        """Open the next epoch of a connection's session, then have the connection do the rest."""
        line = link.line
        assert line is not None
        client, index = line.unbind()
        self.has_changed = True
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

        self._start(link, line, work, then)

    def reset(self, line: Line, after: Place, reply: Callable[[dict[str, Any]], None]) -> None:
        """Have both numbers of a session that is not logged on begin at 1 again."""
        name = line.settings.comp_id
        if line.is_taken:
            reply({"error": f"{name} is logged on: log it out first"})
            return
        line.is_taken = True

        def work() -> int:
            client, index = self._connect(line, after, has_new_epoch=True)
            index.close()
            client.close()
            return client.epoch

        def then(epoch: int | None, error: Exception | None) -> None:
            line.is_taken = False
            if error is not None and not isinstance(error, KK99Error | OSError):
                raise error
            if epoch is not None:
                line.begin_anew(epoch)
            log.info("numbers reset", session=name, epoch=epoch, reason=str(error or ""))
            reply({"error": str(error)} if error is not None else {"session": name, "epoch": epoch})
            self._freed(line)

        self._jobs.start(work, then)

    def release(self, link: Link) -> None:
        """Part a line from a connection that is gone; its orders that asked for it are canceled."""
        line = link.line
        if line is None or self.links.get(line) is not link:
            return
        del self.links[line]
        self.has_changed = True
        client, index = line.unbind()
        if client is not None and index is not None:
            self._let_go(line, client, index)

    def close(self) -> None:
        """End; no line may be bound, no job under way."""
        self._context.destroy(linger=_LINGER_MS)

    def _connect(self, line: Line, after: Place, *, has_new_epoch: bool) -> Bound:
        name = line.settings.engine_session
        client = Client.connect(
            self._address, name, resume=not has_new_epoch, timeout_s=_ENGINE_S, context=self._context
        )
        try:
            is_unused = client.next_client_seq == 1
            is_ring = line.settings.role == MARKET_DATA
            index = open_index(
                self._folder, line.settings.comp_id, client.epoch, is_unused=is_unused, after=after, is_ring=is_ring
            )
        except BaseException:
            client.close()
            raise
        return client, index

    def _start(
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
                self.links[line] = link
                self.has_changed = True
                self._bound(line, link, bound)
            else:
                self.links.pop(line, None)
                line.is_taken = False
            then(bound, error, time.time_ns())

        self._jobs.start(work, ended)

    def _let_go(self, line: Line, client: Client, index: Index) -> None:
        line.is_leaving = True

        def work() -> None:
            client.close(lost=True)
            index.close()

        def then(_: None, error: Exception | None) -> None:
            line.is_taken = line.is_leaving = False
            if error is not None:
                raise error
            self._freed(line)

        self._jobs.start(work, then)
