"""The venue's processes as children: started, watched, stopped in order.

Invariants: a child is in a process group of its own, so a Ctrl-C at the terminal reaches only the parent, which stops
the feed before the page and the books, and these before the engine; when the parent dies, however it does, its children
are told to stop; a child that dies unasked is an error that says what the child said last.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final, Self

from journal.reader import Reader
from kk99.errors import EngineError, InputError, KK99Error
from kk99.metrics.figures import FiguresError
from kk99.metrics.reporter import SUFFIX, ask
from kk99.paths import DataDir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READY_S: Final = 600.0
"""A first start compiles, and a long journal is replayed."""
STOP_S: Final = 60.0
_POLL_S: Final = 0.02
_ASK_S: Final = 0.2
"""How long a process may take to tell its figures; without an answer the picture goes on."""
_NOTICED_S: Final = {"kernel": 2.0, "replay": 1.0}
"""A phase of starting is told of when it takes longer; to load the compiled kernel takes less."""
_STILL_S: Final = 10.0
_INTRODUCTION: Final = {"kernel": ["compiling the core, about a minute, once"], "replay": []}
_LAST_WORDS_BYTES: Final = 4096
_PR_SET_PDEATHSIG: Final = 1


class Child:
    """A `kk99` command as a process; what it prints goes to the end of a log file."""

    def __init__(self, name: str, arguments: list[str], log: Path) -> None:
        self.name, self.log = name, log
        with log.open("ab") as output:
            self._start = self._from = output.tell()
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "kk99.cli", *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                process_group=0, preexec_fn=_die_with_parent,  # noqa: PLW1509 - no threads run yet when children start
            )  # fmt: skip

    def new_lines(self) -> list[str]:
        """Return the whole lines that it printed since the last call."""
        with self.log.open("rb") as lines:
            lines.seek(self._from)
            data = lines.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._from += len(whole)
        return whole.decode(errors="replace").splitlines()

    def check(self) -> None:
        """Raise `EngineError` if it has ended."""
        status = self.process.poll()
        if status is not None:
            raise self.end(status)

    def end(self, status: int) -> EngineError:
        """Return the error that it ended with a status."""
        if status < 0:
            return EngineError(f"the {self.name} was killed by {signal.Signals(-status).name} (see {self.log})")
        return EngineError(f"the {self.name} ended with status {status}: {self.last_words()} (see {self.log})")

    def last_words(self) -> str:
        """Return the last line of its log."""
        with self.log.open("rb") as lines:
            lines.seek(max(self._start, self.log.stat().st_size - _LAST_WORDS_BYTES))
            words = lines.read().decode(errors="replace").strip().splitlines()
        return words[-1].removeprefix("kk99: ") if words else "it said nothing"

    def stop(self) -> int:
        """Ask it to end, wait, kill it if it does not; its status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise EngineError(
                f"the {self.name} did not end within {STOP_S} s and was killed (see {self.log})"
            ) from None

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


def _is_free(port: int) -> bool:
    """Whether nobody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _die_with_parent() -> None:
    """Have the kernel tell this process to stop when its parent is gone."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Venue:
    """An engine, a feed, the settlement and the web gateway on one data folder."""

    def __init__(self, data: Path) -> None:
        self.paths = DataDir(data.absolute())
        self.address = str(self.paths.run)
        self._logs = self.paths.root / "log"
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            for name in ("engine", "feed", "settlement", "web"):
                (self._logs / f"{name}.log").open("ab").close()
        except OSError as error:
            raise InputError(f"{error.filename}: {error.strerror}: choose another folder with --data") from error
        self.engine: Child | None = None
        self.feed: Child | None = None
        self.settlement: Child | None = None
        self.web: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.stop()
        except KK99Error:
            if kind is None:  # else what went wrong first is the news
                raise

    def launch_engine(self) -> Child:
        """Start the engine and do not wait for it."""
        arguments = ["engine", "--data", str(self.paths.root), "--json-log"]
        self.engine = Child("engine", arguments, self._logs / "engine.log")
        return self.engine

    def kill_engine(self) -> None:
        """End the engine at once, as a power cut would end it."""
        assert self.engine is not None
        engine, self.engine = self.engine, None
        engine.kill()

    def start_engine(self, tell: Callable[[str], None], should_stop: Callable[[], bool]) -> bool:
        """Start the engine and wait until it serves clients, telling what it does; False when told to stop before."""
        engine = self.launch_engine()
        deadline, start_up = time.monotonic() + READY_S, StartUp()
        while time.monotonic() < deadline:
            for line in engine.new_lines():
                if line.startswith("kk99 engine ready"):
                    tell(line.removeprefix("kk99 "))
                    return True
                for text in start_up.hear(line, time.monotonic()):
                    tell(text)
            for text in start_up.look(time.monotonic()):
                tell(text)
            engine.check()
            if should_stop():
                return False
            time.sleep(_POLL_S)
        raise EngineError(f"the engine is not ready after {READY_S} s (see {engine.log})")

    def start_feed(self, file: Path, speed: float) -> None:
        """Start the feed of a file, in a loop."""
        arguments = ["feed", "play", str(file), "--loop", "--quiet", "--connect", self.address]
        speed_text = "max" if speed == float("inf") else str(speed)
        self.feed = Child("feed", [*arguments, "--speed", speed_text], self._logs / "feed.log")

    def start_settlement(self, config: Path | None = None) -> None:
        """Start the gateway that keeps the books and do not wait for it."""
        arguments = ["gateway", "settlement", "--data", str(self.paths.root), "--connect", self.address, "--json-log"]
        arguments += [] if config is None else ["--config", str(config)]
        self.settlement = Child("settlement gateway", arguments, self._logs / "settlement.log")

    def start_web(self, port: int, should_stop: Callable[[], bool]) -> str:
        """Start the page's gateway on a port, or any if that is taken; return its address, "" if told to stop."""
        arguments = ["gateway", "web", "--port", str(port if _is_free(port) else 0)]
        arguments += ["--data", str(self.paths.root), "--connect", self.address, "--json-log"]
        self.web = Child("web gateway", arguments, self._logs / "web.log")
        deadline = time.monotonic() + STOP_S
        while time.monotonic() < deadline and not should_stop():
            for line in self.web.new_lines():
                if line.startswith("kk99 web ready at "):
                    return line.split()[-1]
            self.web.check()
            time.sleep(_POLL_S)
        return ""

    def kill_settlement(self) -> None:
        """End the gateway that keeps the books at once."""
        assert self.settlement is not None
        settlement, self.settlement = self.settlement, None
        settlement.kill()

    def settlement_seq(self) -> int | None:
        """Return the last command whose events are in the books, None if the gateway does not say just now."""
        try:
            figures = ask(self.paths.run / f"settlement{SUFFIX}", _ASK_S)
        except (OSError, FiguresError):
            return None
        seq = figures.samples.get("kk99_follower_seq", {}).get(())
        return int(seq) if isinstance(seq, int) else None

    def check(self) -> None:
        """Raise `EngineError` if a child has ended unasked."""
        for child in (self.engine, self.feed, self.settlement, self.web):
            if child is not None:
                child.check()

    def stop_feed(self) -> None:
        """Stop the feed, if there is one."""
        if self.feed is not None:
            feed, self.feed = self.feed, None
            feed.stop()

    def stop_settlement(self) -> None:
        """Stop the gateway that keeps the books, if there is one."""
        if self.settlement is not None:
            settlement, self.settlement = self.settlement, None
            status = settlement.stop()
            if status not in {0, -signal.SIGTERM}:  # told to end while it was starting, it was not yet listening
                raise settlement.end(status)

    def stop_web(self) -> None:
        """Stop the gateway that serves the page, if there is one."""
        if self.web is not None:
            web, self.web = self.web, None
            web.stop()

    def stop(self) -> None:
        """Stop the feed, the page, the books, then the engine, which finishes what it has accepted."""
        try:
            try:
                self.stop_feed()
                self.stop_web()
            finally:
                self.stop_settlement()
        finally:
            if self.engine is not None:
                engine, self.engine = self.engine, None
                if status := engine.stop():
                    raise engine.end(status)

    def state(self) -> tuple[int, str]:
        """Return sequence and state hash that the newest good snapshot and the journal after it come to."""
        from replay import run  # noqa: PLC0415 - importing the core takes a while; the engine shall have started by then

        with Reader(self.paths.journal) as reader:
            machine = run.nearest(self.paths, reader, reader.head().seq)
            for _ in run.drive(machine, run.pieces(reader.batches(machine.seq + 1))):
                pass
            return machine.seq, machine.state_hash().hex()


class StartUp:
    """Chooses what a person hears of an engine's start: every warning, and what takes noticeable time."""

    def __init__(self) -> None:
        self._phase = ""
        self._text = ""
        self._began_s = self._told_s = 0.0
        self._is_told = False

    def hear(self, line: str, now_s: float) -> list[str]:
        """Return what to tell once the engine has logged a line."""
        phase, text = _news(line)
        if phase == "warning":
            return [text]
        if not phase:
            return []
        if phase != self._phase:
            self._phase, self._began_s, self._is_told = phase, now_s, False
        if not text:  # the phase is over
            self._phase = ""
            return [f"done in {now_s - self._began_s:.0f} s"] if self._is_told else []
        self._text, self._told_s = text, now_s
        return [text] if self._is_told else []

    def look(self, now_s: float) -> list[str]:
        """Return what to tell when a phase goes on."""
        if not self._phase or now_s - self._began_s < _NOTICED_S[self._phase]:
            return []
        if not self._is_told:
            self._is_told, self._told_s = True, now_s
            return [*_INTRODUCTION[self._phase], self._text]
        if now_s - self._told_s < _STILL_S:
            return []
        self._told_s = now_s
        return [f"{self._text}: {now_s - self._began_s:.0f} s"]


def _news(line: str) -> tuple[str, str]:
    """Return which phase of starting a line of the engine's log is of, and what it says; a phase ends with no text."""
    try:
        entry = json.loads(line)
    except ValueError:
        return "", ""
    if entry.get("event") == "kernel":
        done, of = entry["done"], entry["of"]
        return "kernel", f"compiling {entry['part']}, {done + 1} of {of}" if done < of else ""
    if entry.get("event") != "recovery":
        return "", ""
    text = str(entry["text"])
    return "replay" if text.startswith("replay") else "warning", text
