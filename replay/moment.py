"""A time as an option of a command: ISO 8601, or nanoseconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import click


class Moment(click.ParamType[int]):
    """A time: nanoseconds since 1970, or ISO 8601 (UTC if it names no zone); it becomes nanoseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the time in nanoseconds."""
        text = str(value)
        if text.isascii() and text.isdecimal():
            return int(text)
        match = re.fullmatch(r"(.*?)(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})?", text, re.DOTALL)
        assert match is not None
        try:
            moment = datetime.fromisoformat(match[1] + (match[3] or "Z")).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is neither nanoseconds nor ISO 8601 such as 2026-01-31T12:00:00.5Z", param, ctx)
        return int(moment.timestamp()) * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))
