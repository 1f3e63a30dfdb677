"""Serves a process's figures on a Unix socket in the run folder, and asks for those of others.

::

    process ─ figures made when asked ─▶ FOLDER/NAME.metrics ─▶ whoever may enter the folder

Invariants: nothing is read from who connects, so there is nothing to attack; one is served at a time and must take its
figures within SEND_S; whatever goes wrong here is logged and never ends the process.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import socket
import threading
import time
from typing import TYPE_CHECKING, Final, Self

import structlog

from kk99.errors import InputError
from kk99.metrics.figures import BYTES_MAX, Figures, FiguresError, decode
from kk99.paths import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SUFFIX: Final = ".metrics"
SEND_S: Final = 1.0
"""How long one who asks may take to read what he asked for."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_BACKLOG: Final = 8
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

log = structlog.get_logger("metrics")


class Reporter:
    """Serves the figures of the process `name` in a folder, in a thread of its own, from `start` until `close`.

    `collect` adds them when somebody asks, in that thread; those of any process (memory, time, descriptors) are added
    here. A socket that an earlier process of that name left behind is replaced. Raises `InputError` when the folder
    can't be used.
    """

    def __init__(self, folder: Path, name: str, collect: Callable[[Figures], None]) -> None:
        assert _NAME.fullmatch(name), f"{name!r} is no name of a process"
        self._path = folder / f"{name}{SUFFIX}"
        self._name = name
        self._collect = collect
        self._started_s = time.time()
        self._is_closed = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            with _short(folder) as short:
                self._listener.bind(f"{short}/{self._path.name}")
            self._inode = self._path.stat().st_ino
            self._listener.listen(_BACKLOG)
        except OSError as error:
            self._listener.close()
            raise InputError(f"{self._path}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._serve, name="kk99-metrics", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """Serve no more, and remove the socket."""
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        if self._thread.is_alive():
            self._thread.join()
        self._listener.close()
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:  # else it is another process's by now
                self._path.unlink()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def own(self) -> Figures:
        """Return the figures that any process has, as they now are."""
        figures = Figures(self._name)
        _add_process(figures, self._started_s)
        return figures

    def _serve(self) -> None:
        while not self._is_closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if not self._is_closed:
                    log.exception("figures not served")
                    time.sleep(SEND_S)
                continue
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        try:
            figures = self.own()
            self._collect(figures)
            data = figures.encode()
        except Exception:  # figures must never end what they are about
            log.exception("figures not made")
            return
        connection.settimeout(SEND_S)
        with contextlib.suppress(OSError):
            connection.sendall(data)


def _add_process(figures: Figures, started_s: float) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures.add("kk99_process_start_time_seconds", started_s)
    figures.add("kk99_process_cpu_seconds_total", usage.ru_utime + usage.ru_stime)
    with contextlib.suppress(OSError):  # without /proc these two are not known
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - no path is made of it
            figures.add("kk99_process_resident_memory_bytes", int(statm.read().split()[1]) * _PAGE_BYTES)
        figures.add("kk99_process_open_descriptors", len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - likewise
    figures.add("kk99_process_threads", threading.active_count())


def reporting(folder: Path) -> dict[str, Path]:
    """Return the sockets of the processes that report, or did until they were killed, by the process's name."""
    return {path.name.removesuffix(SUFFIX): path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def ask(path: Path, timeout_s: float = 1.0) -> Figures:
    """Return the figures of the process that serves a socket.

    Raises `OSError` when none does or it does not answer in time, `FiguresError` when what it answers is none.
    """
    deadline = time.monotonic() + timeout_s
    data = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(timeout_s)
        with _short(path.parent) as short:
            connection.connect(f"{short}/{path.name}")
        while len(data) <= BYTES_MAX:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            part = connection.recv(1 << 16)
            if not part:
                break
            data += part
    if not data:
        raise FiguresError("the process made no figures: see its log")
    return decode(bytes(data))


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Give a name of a folder that is short enough for a socket's path, however long its own is."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
