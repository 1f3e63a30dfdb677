"""How every process of the venue logs: structured events on standard error, one line each, as JSON or for a person.

What a line has beside its own fields: `timestamp`, `level`, `process`, and `seq`, the sequence of the last command that
the process had taken in when it wrote the line; so lines of several processes can be laid beside one another, and
beside the journal.

Levels: `error` and `critical` are the venue's own faults, which an operator must look at; whatever a client does wrong
is a `warning` at most; `info` is what an operator wants to read later.

Invariants: no line has a control character, a line end or anything else in it that is not printable; what is called
a secret, a password in a FIX message or in an address, and a bearer token are replaced; a text is cut at TEXT_CHARS_MAX
characters. This holds for what libraries log and for what ends a thread or the process, too.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

TEXT_CHARS_MAX: Final = 8_192
"""A longer text is cut there."""
DEPTH_MAX: Final = 8
"""What is nested deeper is left out."""
ITEMS_MAX: Final = 256
"""Further items of a list or a map are left out."""
REDACTED: Final = "***"
_SECRET_KEY: Final = re.compile(
    r"passw|passphrase|pwd|secret|(^|_)token$|credential|authorization|cookie|private_?key|api_?key|(^|_)otp(_|$)",
    re.IGNORECASE,
)
_SECRETS: Final = (
    # Password (554), NewPassword (925) and RawData (96) of a FIX message, up to the field's end.
    (re.compile(r"(?<!\d)(554|925|96)=[^\x01]*"), rf"\1={REDACTED}"),
    (re.compile(r"(?<=://)([^/\s:@]*):[^/\s]*@"), rf"\1:{REDACTED}@"),
    (re.compile(r"\b(bearer)\s+[\w.~+/=-]+", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"\$argon2\w*\$[\w$+/=,]+"), REDACTED),
)


def printable(text: str) -> str:
    """Return a text with everything that is not printable, line ends among it, written out as Python would."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def scrubbed(key: str, value: Any, depth: int = 0) -> Any:
    """Return a value that may be logged under a key: plain, printable, bounded, without secrets."""
    if value is None or isinstance(value, bool | int | float):
        return REDACTED if value is not None and _SECRET_KEY.search(key) else value
    if _SECRET_KEY.search(key):
        return REDACTED
    if depth >= DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        items = list(value.items())[:ITEMS_MAX]
        return {_text(str(name)): scrubbed(str(name), item, depth + 1) for name, item in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [scrubbed(key, item, depth + 1) for item in list(value)[:ITEMS_MAX]]
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value[:TEXT_CHARS_MAX]).decode(errors="backslashreplace")
    return _text(value if isinstance(value, str) else str(value))


def _text(text: str) -> str:
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return printable(text if len(text) <= TEXT_CHARS_MAX else text[:TEXT_CHARS_MAX] + "…")


def scrub(_: Any, __: str, entry: Any) -> Any:
    """Make an entry fit to be written; structlog's last processor before the renderer."""
    trace = entry.pop("exception", None)
    clean = {printable(str(key)): scrubbed(str(key), value) for key, value in entry.items()}
    if trace is not None:
        clean["exception"] = [_text(line) for line in str(trace).splitlines()]
    return clean


class _Standing:
    """Adds the process and the sequence it stands at; an entry's own go before."""

    def __init__(self) -> None:
        self.process = ""
        self.seq: Callable[[], int] | None = None

    def __call__(self, _: Any, __: str, entry: Any) -> Any:
        if self.process:
            entry.setdefault("process", self.process)
        if self.seq is not None:
            entry.setdefault("seq", self.seq())
        return entry


_standing: Final = _Standing()


def stand_at(seq: Callable[[], int]) -> None:
    """Have further lines say which command the process has taken in last; any thread may call `seq`."""
    _standing.seq = seq


def _for_people(_: Any, __: str, entry: Any) -> Any:
    if "exception" in entry:
        entry["exception"] = "\n".join(entry["exception"])
    return entry


def configure_logs(json_log: bool, process: str = "") -> None:
    """Log to standard error as a process of that name: as JSON lines, or for a person."""
    _standing.process, _standing.seq = process, None
    renderers: list[Any] = [structlog.processors.JSONRenderer(ensure_ascii=False)]
    if not json_log:
        plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
        renderers = [_for_people, plain]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _standing,
            structlog.processors.format_exc_info,
            scrub,
            *renderers,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Forward()], level=logging.WARNING, force=True)
    if json_log:
        sys.excepthook = _report_end
        threading.excepthook = _report_thread


class _Forward(logging.Handler):
    """Hands what libraries log to our own log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record of the standard library's at its level."""
        level = record.levelname.lower() if record.levelno <= logging.CRITICAL else "critical"
        entry = getattr(structlog.get_logger(), level, structlog.get_logger().warning)
        entry(record.getMessage(), library=record.name, exc_info=record.exc_info)


def _report_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().critical("broken", exc_info=(kind, error, trace))


def _report_thread(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread is not None else ""
    structlog.get_logger().error("thread broken", thread=name, exc_info=args.exc_value)
