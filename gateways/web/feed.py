"""Brings the engine's events to the event loop, from a thread that may wait for them.

Invariants: frames come in order and each once; at most FRAMES_AHEAD wait for the loop, then the thread waits; when
events are lost for good, or the engine was not there, a new image comes first.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
import zmq

from gateways.client import Client
from kk99.errors import ClientError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from gateways.client import ClientStats
    from gateways.query import Image
    from kk99.batch import Events

FRAMES_AHEAD: Final = 64
_WAIT_MS: Final = 50
_AGAIN_S: Final = 0.5
_LOOK_S: Final = 1.0
"""How often the engine is asked how far it is."""

log = structlog.get_logger("web")


class Feed:
    """Follows the engine at `address` from `start` until `close`; `begin` and `take` are called in the event loop."""

    def __init__(self, address: str, begin: Callable[[Image], None], take: Callable[[Events], None]) -> None:
        self._address = address
        self._begin = begin
        self._take = take
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room = threading.Semaphore(FRAMES_AHEAD)
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self.published_seq = 0
        """The engine's last published command, as of the last look."""
        self.is_live = False
        """Whether the engine answered the last look, and events are followed."""
        self.stats: ClientStats | None = None
        self.failure: Exception | None = None
        """What ended the thread: the process must end too."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to follow."""
        self._loop = loop
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait until the thread has ended."""
        self._is_closed.set()
        self._room.release()
        self._thread.join()

    # In the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_closed.is_set():
            try:
                self._follow()
            except ClientError as error:
                if self.is_live:
                    log.warning("following begins again", why=str(error))
            except Exception as error:  # the program is wrong
                log.exception("following ended")
                self.failure = error
                self._is_closed.set()
            self.is_live = False
            self._is_closed.wait(_AGAIN_S)

    def _follow(self) -> None:
        with Client.connect(self._address, timeout_s=1.0) as asking:
            image = asking.image()
            self._hand(self._begin, image)
            with Client.connect(self._address, after=image.last_event, timeout_s=5.0) as client:
                self.stats, self.is_live, looked_at = client.stats, True, 0.0
                poller = zmq.Poller()
                while not self._is_closed.is_set():
                    events = client.poll_events(0)
                    if events is not None:
                        self._hand(self._take, events)
                        continue
                    if time.monotonic() - looked_at > _LOOK_S:
                        self._look(asking)
                        looked_at = time.monotonic()
                    _watch(poller, client.sockets())
                    poller.poll(_WAIT_MS)

    def _look(self, asking: Client) -> None:
        try:
            published_seq = int(asking.engine_stats()["published"][0])
        except ClientError:  # it may come back: what was published is followed across its restarts
            self.is_live = False
            return
        before, self.published_seq = self.published_seq, published_seq
        if published_seq < before:
            raise ClientError(f"command {before} was published, now {published_seq} is the last: it is another venue")
        self.is_live = True

    def _hand(self, what: Callable[[Any], None], given: Any) -> None:
        """Have something taken in the event loop, once it has room."""
        assert self._loop is not None
        self._room.acquire()
        if self._is_closed.is_set():
            return

        def taken() -> None:
            try:
                what(given)
            finally:
                self._room.release()

        self._loop.call_soon_threadsafe(taken)


def _watch(poller: zmq.Poller, sockets: list[zmq.Socket[bytes]]) -> None:
    """Let a poller wait on these sockets."""
    for socket in sockets:
        if socket not in poller:
            poller.register(socket, zmq.POLLIN)
