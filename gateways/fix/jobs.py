"""Slow work beside the event loop: done in threads, its outcome handed back to the loop's own thread.

Invariant: what a job returns is used only in `turn`, by the thread that runs the loop.
"""

from __future__ import annotations

import os
import select
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_THREADS: Final = 4


class Jobs:
    """Jobs under way; `fileno` is ready to read when one has ended."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, "kk99-fix-job")
        self._ended: deque[tuple[Future[Any], Callable[[Any, Exception | None], None]]] = deque()
        self._under_way = 0
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._wake

    def start(self, work: Callable[[], Any], then: Callable[[Any, Exception | None], None]) -> None:
        """Do `work` in a thread, then call `then` in `turn` with what it returned, or None and what it raised."""

        def ended(future: Future[Any]) -> None:
            self._ended.append((future, then))
            os.eventfd_write(self._wake, 1)

        self._under_way += 1
        self._pool.submit(work).add_done_callback(ended)

    def turn(self) -> bool:
        """Hand back what has ended; whether anything has."""
        is_any = bool(self._ended)
        while self._ended:
            future, then = self._ended.popleft()
            self._under_way -= 1
            error = future.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            then(None if error else future.result(), error)
        return is_any

    def clear(self) -> None:
        """Take note that the descriptor was ready; before `turn`."""
        os.eventfd_read(self._wake)

    def close(self) -> None:
        """Wait for what is under way, and for what its end begins, and end."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        while self._under_way:
            poll.poll()
            self.clear()
            self.turn()
        self._pool.shutdown()
        os.close(self._wake)
