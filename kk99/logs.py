"""How every process of the venue logs: structured events on standard error."""

from __future__ import annotations

import sys
from typing import Any

import structlog


def configure_logs(json_log: bool) -> None:
    """Log to standard error: as JSON lines, or for a person."""
    renderer: Any = structlog.processors.JSONRenderer() if json_log else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
