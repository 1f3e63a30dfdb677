"""An operator's word with a running gateway: one line of JSON asked, one answered, over a Unix socket.

Invariants: only the socket's owner may ask (mode 0600, in a folder that only he may enter); what is asked is answered
in the gateway's own loop; whoever is slow to ask keeps others waiting for `ASK_S` at most, and the loop never.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from kk99.errors import ClientError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SOCKET_NAME: Final = "fix.sock"
"""Beside the sockets of the engine."""
ASK_BYTES_MAX: Final = 4_096
ANSWER_BYTES_MAX: Final = 64 << 20
ASK_S: Final = 2.0
"""Within this a question must have come, and an answer been taken."""
ANSWER_S: Final = 10.0
_LOOK_S: Final = 0.1
_LEAST_S: Final = 0.001
"""A socket with no time left is one that does not wait at all, which is something else."""
_OWNER_ONLY: Final = 0o600

Reply = dict[str, Any]


class Control:
    """The gateway's end of the socket."""

    def __init__(self, path: Path) -> None:
        """Listen, or raise `InputError` when another gateway does."""
        self._path = path
        self._asked: deque[tuple[dict[str, Any], Future[Reply]]] = deque()
        self._is_closing = threading.Event()
        self._listener = _listen(path)
        self._thread = threading.Thread(target=self._serve, name="kk99-fix-control", daemon=True)
        self._thread.start()

    def turn(self, handle: Callable[[dict[str, Any], Callable[[Reply], None]], None]) -> None:
        """Have all that was asked handled: `handle(question, reply)` calls `reply` once, now or later."""
        while self._asked:
            question, future = self._asked.popleft()
            handle(question, future.set_result)

    def close(self) -> None:
        """End; whoever still waits is told."""
        self._is_closing.set()
        while self._thread.is_alive():
            self.turn(lambda _, reply: reply({"error": "the gateway is shutting down"}))
            self._thread.join(_LOOK_S)
        self._listener.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _serve(self) -> None:
        while not self._is_closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:  # no descriptors left, or the peer has gone
                self._is_closing.wait(_LOOK_S)
                continue
            with connection, contextlib.suppress(OSError):
                answer = json.dumps(self._answer(connection)).encode() + b"\n"
                connection.settimeout(ASK_S)
                connection.sendall(answer)

    def _answer(self, connection: socket.socket) -> Reply:
        try:
            question = json.loads(_line(connection, ASK_BYTES_MAX, ASK_S))
        except (ValueError, RecursionError):
            question = None
        if not isinstance(question, dict):
            return {"error": f"a question is a JSON object on one line of at most {ASK_BYTES_MAX} bytes"}
        future: Future[Reply] = Future()
        self._asked.append((question, future))
        try:
            return future.result(ANSWER_S)
        except TimeoutError:
            return {"error": "the gateway did not answer in time"}


def ask(path: Path, question: dict[str, Any]) -> Reply:
    """Return what the gateway that listens at a path answers; `ClientError` when none does, or it refuses."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_S + ASK_S)
            connection.connect(str(path))
            connection.sendall(json.dumps(question).encode() + b"\n")
            answer = json.loads(_line(connection, ANSWER_BYTES_MAX, ANSWER_S + ASK_S))
    except (OSError, ValueError) as error:
        raise ClientError(f"no FIX gateway answers at {path}: {error}") from error
    if "error" in answer:
        raise ClientError(answer["error"])
    return dict(answer)


def _line(connection: socket.socket, size_max: int, within_s: float) -> bytes:
    """Return the bytes up to the first end of line; ValueError: too many or none; TimeoutError: not all in time."""
    data = bytearray()
    deadline = time.monotonic() + within_s
    while b"\n" not in data:
        connection.settimeout(max(deadline - time.monotonic(), _LEAST_S))
        more = connection.recv(65_536)
        if not more or len(data) + len(more) > size_max:
            raise ValueError("no line")
        data += more
    return bytes(data[: data.index(b"\n")])


def _listen(path: Path) -> socket.socket:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as other:
        other.settimeout(ASK_S)
        other.connect(str(path))
        raise InputError(f"{path}: another FIX gateway runs on these data")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        os.chmod(path, _OWNER_ONLY)  # noqa: PTH101 - before it listens, so nobody else can have come
        listener.listen()
    except OSError as error:
        listener.close()
        raise InputError(f"{path}: {error}") from error
    listener.settimeout(_LOOK_S)
    return listener
